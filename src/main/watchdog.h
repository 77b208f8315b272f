/* struct watchdog: one thread that sees when a loop does not come back from a turn: a miss, a mega
 * miss, and the end of the process where the bootstrap says so. Each miss is counted under Envoy's
 * names and logged with the stack of the stuck thread. It sleeps while all loops do: an idle
 * process is not woken for its sake. Made and ended by main. */
#pragma once

#include <pthread.h>

#include "base/stats.h"
#include "config/watchdog.h"

struct loop;
struct watchdog;

/* Of a loop, and of its group. */
#define WATCHDOG_STAT_LIST(X)                                                                      \
    X(MISS, "watchdog_miss", COUNTER)                                                              \
    X(MEGA_MISS, "watchdog_mega_miss", COUNTER)

enum watchdog_stat {
#define X(id, name, kind) STAT_WATCHDOG_##id,
    WATCHDOG_STAT_LIST(X)
#undef X
};
extern const struct stat_schema watchdog_stat_schema;

struct watchdog *watchdog_new(struct stat_store *stats);
/* Loops of one group ("main_thread", "workers") are killed together; kill_never: only counted. */
void watchdog_add_group(struct watchdog *w, const char *name, const struct watchdog_config *config);
/* Before the loop runs; the group is the last that was added. name: "worker_0". */
void watchdog_watch(struct watchdog *w, const char *name, struct loop *loop, bool kill_never);
void watchdog_start(struct watchdog *w);
void watchdog_stop(struct watchdog *w); /* before the loops end */
/* After they ended. */
void watchdog_free(struct watchdog **w);
