#include "dataplane/upstream/lb.h"

static const struct host *pick(struct lb *lb, struct lb_hosts *h)
{
    return h->hosts[random_below(lb->random, h->n)];
}

const struct lb_policy_ops lb_random = {"random", pick};
