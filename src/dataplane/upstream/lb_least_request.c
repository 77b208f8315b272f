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

static const struct host *pick_weighted(struct lb *lb, struct lb_hosts *h)
{
    if (!h->edf) {
        h->edf = lb_edf_new(h);
        for (uint32_t i = lb->seed % h->n; i > 0; i--)
            lb_edf_next(h->edf, dynamic_weight, lb);
    }
    return lb_edf_next(h->edf, dynamic_weight, lb);
}

static const struct host *pick(struct lb *lb, struct lb_hosts *h)
{
    if (h->weighted)
        return pick_weighted(lb, h);
    const struct host *best = h->hosts[random_below(lb->random, h->n)];
    for (uint32_t i = 1; i < lb->choices; i++) {
        const struct host *other = h->hosts[random_below(lb->random, h->n)];
        if (active(other) < active(best))
            best = other;
    }
    return best;
}

/* Of hosts that are equally busy each is as likely: the n-th of them displaces what was found
 * with a chance of one in n. */
static const struct host *scan(struct lb *lb, struct lb_hosts *h)
{
    if (h->weighted)
        return pick_weighted(lb, h);
    const struct host *best = h->hosts[0];
    uint32_t least = active(best), ties = 1;
    for (uint32_t i = 1; i < h->n; i++) {
        uint32_t load = active(h->hosts[i]);
        if (load > least)
            continue;
        ties = load < least ? 1 : ties + 1;
        least = load;
        if (ties == 1 || random_below(lb->random, ties) == 0)
            best = h->hosts[i];
    }
    return best;
}

const struct lb_policy_ops lb_least_request = {"least_request", pick};
const struct lb_policy_ops lb_full_scan = {"least_request, full scan", scan};
