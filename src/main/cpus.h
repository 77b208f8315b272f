/* What this process has of the CPUs. Any thread. */
#pragma once

/* More than that are none here. */
enum { CPUS_MAX = 1 << 20 };

/* How many it may use, >= 1: the least of the affinity mask and the control groups' quotas (rounded
 * up). */
unsigned cpus_available(void);
/* The least quota of its control groups alone; 0: there is none. top: where /proc and the rest are,
 * "" but in tests. */
unsigned cpus_quota(const char *top);
/* The calling thread, and those that it makes from now on, have no less of a CPU, but take it from
 * nobody who runs on it (SCHED_BATCH): a change of the configuration waits for a request that is
 * being moved, not the other way round. */
void cpus_give_way(void);
/* The calling thread takes the CPU from a thread of SCHED_OTHER or SCHED_BATCH at once when it has
 * something to do, and lets others have it again as soon: the shortest slice that the kernel gives
 * (0.1 ms; Linux 6.12 and later, before that it changes nothing). Its share of the CPU is the
 * same. */
void cpus_take_at_once(void);
