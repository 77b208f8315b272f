#include "dataplane/upstream/lb.h"

static double static_weight(const void *ctx, const struct host *host)
{
    return host->weight;
}

static const struct host *pick(struct lb *lb, struct lb_hosts *h)
{
    if (!h->weighted)
        return h->hosts[h->next++ % h->n];
    if (!h->edf) {
        h->edf = lb_edf_new(h);
        /* Workers must not all begin with the heaviest host. */
        for (uint32_t i = lb->seed % h->n; i > 0; i--)
            lb_edf_next(h->edf, static_weight, NULL);
    }
    return lb_edf_next(h->edf, static_weight, NULL);
}

const struct lb_policy_ops lb_round_robin = {"round_robin", pick};
