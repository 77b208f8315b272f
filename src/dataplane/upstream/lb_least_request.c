#include <math.h>

#include "dataplane/upstream/lb.h"

static uint32_t active(const struct host *host)
{
    return atomic_load_explicit(&host_state_seen(host->state)->rq_active, memory_order_relaxed);
}

/* Weights differ: they fall with the requests in flight. */
static double dynamic_weight(const void *ctx, const struct host *host)
{
    const struct lb *lb = ctx;
    if (lb->active_request_bias == 0.0)
        return host->weight;
    double load = (double)active(host) + 1;
    if (lb->active_request_bias != 1.0)
        load = pow(load, lb->active_request_bias);
    return host->weight / load;
}

static const struct host *pick(struct lb *lb, struct lb_hosts *h)
{
    if (h->weighted) {
        if (!h->edf) {
            h->edf = lb_edf_new(h);
            for (uint32_t i = lb->seed % h->n; i > 0; i--)
                lb_edf_next(h->edf, dynamic_weight, lb);
        }
        return lb_edf_next(h->edf, dynamic_weight, lb);
    }
    const struct host *best = h->hosts[random_below(lb->random, h->n)];
    for (uint32_t i = 1; i < lb->choices; i++) {
        const struct host *other = h->hosts[random_below(lb->random, h->n)];
        if (active(other) < active(best))
            best = other;
    }
    return best;
}

const struct lb_policy_ops lb_least_request = {"least_request", pick};
