/* Requests of one worker that wait for what is not there: clusters (on-demand CDS) and virtual
 * hosts (VHDS). Whoever waits embeds a cluster_wait; each name is asked for once however many wait.
 * The first of these ends a wait: a snapshot with the cluster, word from the config thread,
 * cluster_demand_cancel(). Worker thread only; what can wait is bounded by the requests that the
 * worker has. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/list.h"
#include "config/resource_type.h"

struct cluster_demand;
struct config_source;
struct worker;

struct cluster_wait {
    struct list link;
    struct demanded_cluster *on;        /* NULL: it does not wait */
    void (*fn)(struct cluster_wait *w); /* the wait has ended: look the cluster up again */
    void *owner;
};

/* Carries the question to the config thread. */
typedef void cluster_demand_fn(void *ctx, enum resource_type type,
                               const struct config_source *source, struct bytes name);

/* Also sets worker->demand. */
struct cluster_demand *cluster_demand_new(struct worker *worker, cluster_demand_fn *ask, void *ctx);
/* Nobody may wait any more. */
void cluster_demand_free(struct cluster_demand **d);
/* For a cluster, or a virtual host as "routes/host". w is filled but for link and on. */
void cluster_demand_wait(struct worker *worker, enum resource_type type,
                         const struct config_source *source, struct bytes name,
                         struct cluster_wait *w);
void cluster_demand_cancel(struct cluster_wait *w); /* harmless when it does not wait */
/* worker->snapshot is a new one. */
void cluster_demand_review(struct worker *worker);
/* What has that key (builder_demand_key()) cannot be had now, or it is a virtual host and there. */
void cluster_demand_settled(struct worker *worker, struct bytes key);
