/* Load balancing: which host of a host set takes a request. A balancer belongs to one worker and
 * one host set version; it is rebuilt when the host set changes. Priorities, over-provisioning and
 * panic follow Envoy: the load of each priority is computed once a version, the policy then picks
 * among the hosts of the chosen priority.
 *
 * Pointers to hosts live as long as the host set. Worker thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "config/cluster.h"

enum lb_source { LB_ALL, LB_HEALTHY, LB_DEGRADED, N_LB_SOURCES };

/* Percent of the requests that go to each priority; both arrays together sum up to 100. */
struct lb_priority_load {
    uint32_t healthy, degraded;
    bool panic; /* all hosts are used, healthy or not */
};

/* The counts that the loads are computed from: of hosts, and what the parts are taken of. */
struct lb_priority_count {
    uint32_t total, healthy, degraded;
    uint32_t excluded; /* of the total: they drain, and their leaving makes nobody panic */
    bool weighted;     /* weighted_priority_health: the hosts' weights count, not their number */
    uint64_t total_weight, healthy_weight, degraded_weight; /* with `weighted`, none excluded */
};

/* A set of priorities. */
struct lb_tried {
    uint64_t bits[3];
};
static inline bool lb_tried_has(const struct lb_tried *t, unsigned priority)
{
    return priority < 64 * ARRAY_SIZE(t->bits) && t->bits[priority / 64] >> priority % 64 & 1;
}
static inline void lb_tried_add(struct lb_tried *t, unsigned priority)
{
    if (priority < 64 * ARRAY_SIZE(t->bits))
        t->bits[priority / 64] |= UINT64_C(1) << priority % 64;
}

/* Envoy's arithmetic. overprovisioning and panic_threshold in percent (140, 50). */
void lb_priority_loads(const struct lb_priority_count *counts, unsigned n,
                       uint32_t overprovisioning, uint32_t panic_threshold,
                       struct lb_priority_load *loads);
/* The same without the priorities that were tried; `loads` keeps who is in panic. False: no other
 * has a usable host. */
bool lb_priority_loads_untried(const struct lb_priority_count *counts, unsigned n,
                               uint32_t overprovisioning, const struct lb_tried *tried,
                               struct lb_priority_load *loads);

/* The hosts of one source of one priority, and what the policy remembers about them. */
struct lb_hosts {
    const struct host *const *hosts;
    uint32_t n;
    bool weighted;           /* weights differ */
    uint32_t next;           /* round robin over equal weights */
    struct lb_edf *edf;      /* weighted; made at the first pick */
    const struct host **own; /* storage of hosts; NULL: those of LB_ALL */
};

struct lb;

/* One policy. */
struct lb_policy_ops {
    const char *name;
    const struct host *(*pick)(struct lb *lb, struct lb_hosts *h);
};

struct lb_priority {
    struct lb_hosts sources[N_LB_SOURCES];
};

struct lb {
    const struct lb_policy_ops *ops;
    const struct host_set *set;
    struct random_source *random;
    struct lb_priority *priorities;
    struct lb_priority_count *counts;
    struct lb_priority_load *loads;
    unsigned n_priorities;
    uint32_t choices; /* LEAST_REQUEST */
    double active_request_bias;
    bool fail_traffic_on_panic;
    uint32_t seed; /* where round robin starts */
};

extern const struct lb_policy_ops lb_round_robin, lb_least_request, lb_full_scan, lb_random;

/* set and cluster must outlive the balancer; random is the worker's. */
struct lb *lb_new(const struct cluster *cluster, const struct host_set *set,
                  struct random_source *random);
void lb_free(struct lb **lb);

/* What someone asks for who has tried before. */
struct lb_query {
    const struct host_state *const *avoid; /* hosts, while others can be found ... */
    unsigned n_avoid;
    unsigned picks; /* ... in at most so many picks, the last of which counts; 0: in all hosts */
    bool no_canary; /* with picks: nor those that say that they are canaries, ... */
    const struct bytes *no_labels; /* ... or have all of one of these Structs in their metadata */
    unsigned n_no_labels;
    struct lb_tried
        *tried; /* priorities, while others have hosts; emptied when none has. NULL: none */
};

/* NULL: no host may take the request (503, UH). *panic tells whether a priority in panic was
 * chosen (lb_healthy_panic). q may be NULL. */
const struct host *lb_pick(struct lb *lb, const struct lb_query *q, bool *panic);

/* Earliest-deadline-first queue over hosts: over one period each host comes as often as its weight
 * says, evenly spread. */
struct lb_edf *lb_edf_new(const struct lb_hosts *h);
void lb_edf_free(struct lb_edf **e);
/* Takes the next host and queues it again by weight(host). */
const struct host *lb_edf_next(struct lb_edf *e,
                               double (*weight)(const void *ctx, const struct host *host),
                               const void *ctx);
