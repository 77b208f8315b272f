/* Requests of one worker that wait for clusters which are not there (on-demand CDS). Whoever waits
 * embeds a cluster_wait; each name is asked for once however many wait. The first of these ends a
 * wait: a snapshot with the cluster, word that it cannot be had, cluster_demand_cancel(). Worker
 * thread only; what can wait is bounded by the requests that the worker has. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/list.h"

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
typedef void cluster_demand_fn(void *ctx, const struct config_source *source, struct bytes name);

/* Also sets worker->demand. */
struct cluster_demand *cluster_demand_new(struct worker *worker, cluster_demand_fn *ask, void *ctx);
/* Nobody may wait any more. */
void cluster_demand_free(struct cluster_demand **d);
/* w is filled but for link and on. */
void cluster_demand_wait(struct worker *worker, const struct config_source *source,
                         struct bytes name, struct cluster_wait *w);
void cluster_demand_cancel(struct cluster_wait *w); /* harmless when it does not wait */
/* worker->snapshot is a new one. */
void cluster_demand_review(struct worker *worker);
/* The cluster of that key (builder_demand_key()) cannot be had now. */
void cluster_demand_absent(struct worker *worker, struct bytes key);
