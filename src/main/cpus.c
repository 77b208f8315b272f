#include "main/cpus.h"

#include <sched.h>

unsigned cpus_available(void)
{
    cpu_set_t set;
    unsigned n = 1, limit = cpus_quota("");
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        n = (unsigned)CPU_COUNT(&set);
    if (limit && limit < n)
        n = limit;
    return n ? n : 1;
}

/* An operator's own choice (chrt) stays. Where the kernel refuses, all is as it was. */
void cpus_give_way(void)
{
    static const struct sched_param none;
    if (sched_getscheduler(0) == SCHED_OTHER)
        (void)sched_setscheduler(0, SCHED_BATCH, &none);
}
