/* Lets another thread see whether a loop is stuck in a turn, at the cost of one store at each end
 * of a turn and no wake-up of an idle loop. See main/watchdog.h. */
#pragma once

#include <stdatomic.h>

#include "dataplane/net/loop.h"

/* Who watches. While `asleep`, the next loop that begins a turn calls wake, once, on its thread. */
struct loop_guard {
    atomic_bool asleep;
    void (*wake)(struct loop_guard *g);
    /* A loop begins to run; on its thread. */
    void (*running)(struct loop_guard *g, struct loop *loop);
};

/* Before the loop runs; the guard outlives it. NULL: nobody watches. */
void loop_set_guard(struct loop *loop, struct loop_guard *guard);
/* Odd inside of a turn, even while the loop waits; another number for each. Any thread. */
uint64_t loop_beat(const struct loop *loop);
