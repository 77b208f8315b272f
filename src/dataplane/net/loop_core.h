/* What both loops share: the timer queue, defers and the mailbox, without any descriptor. Private
 * to loop.c and loop_fake.c, whose struct loop begins with a struct loop_core. */
#pragma once

#include <pthread.h>

#include "dataplane/net/loop.h"

struct loop_core {
    struct loop_front front; /* first member */
    const struct clock *clock;
    size_t heap_len, heap_cap; /* of front.heap */
    uint64_t next_seq;
    unsigned passes; /* bound of the defers that one turn serves */
    pthread_mutex_t mailbox_lock;
    struct list mailbox;
    size_t mailbox_len;
};

void loop_core_init(struct loop_core *core, const struct clock *clock);
void loop_core_fini(struct loop_core *core);
/* Reads the clock: a turn begins. */
void loop_core_update_now(struct loop_core *core);
/* Runs timers that are due, in order; those that they start run in a later turn. */
void loop_core_run_timers(struct loop_core *core);
/* Runs the posts that were there at the call. Returns true when more have come. */
bool loop_core_run_posts(struct loop_core *core);
/* Defers, then the reaper. Returns true when work is left (a bound was reached). */
bool loop_core_end_turn(struct loop_core *core);
/* When the next timer may be due; UINT64_MAX: none. */
uint64_t loop_core_next_timer(const struct loop_core *core);
/* Provided by each loop: makes the loop's thread take a turn. Any thread. */
void loop_core_wake(struct loop *loop);
