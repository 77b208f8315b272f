#include "xds/failover.h"

void failover_init(struct failover *f, unsigned n_servers)
{
    *f = (struct failover){.n = n_servers, .told_by = -1};
}

void failover_answered(struct failover *f)
{
    f->told_by = (int)f->at;
    if (f->at == 0) {
        f->first_answered = true;
        f->first_failures = 0;
    }
}

enum failover_retry failover_failed(struct failover *f)
{
    if (f->n < 2 || f->first_answered)
        return FAILOVER_BACK_OFF;
    if (f->at == 0) {
        if (++f->first_failures < FAILOVER_AFTER)
            return FAILOVER_BACK_OFF;
        f->first_failures = FAILOVER_AFTER; /* from here on one failure is enough */
        f->at = 1;
        return FAILOVER_AT_ONCE;
    }
    f->at = 0;
    return FAILOVER_PAUSE;
}

bool failover_knows(const struct failover *f)
{
    return f->told_by < 0 || f->told_by == (int)f->at;
}
