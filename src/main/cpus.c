#include "main/cpus.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

/* Control groups v2: "max 100000" or "150000 100000"; 0 when there is no quota. */
static unsigned quota(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    unsigned long limit, period;
    unsigned n = 0;
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &limit, &period) == 2 && period)
        n = (unsigned)((limit + period - 1) / period);
    fclose(f);
    return n;
}

unsigned cpus_available(void)
{
    cpu_set_t set;
    unsigned n = 1, limit = quota();
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
