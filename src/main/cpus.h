/* What this process has of the CPUs. Any thread. */
#pragma once

/* How many it may use, >= 1: the least of the affinity mask and the control group's quota (rounded
 * up). */
unsigned cpus_available(void);
/* The calling thread, and those that it makes from now on, have no less of a CPU, but take it from
 * nobody who runs on it (SCHED_BATCH): a change of the configuration waits for a request that is
 * being moved, not the other way round. */
void cpus_give_way(void);
