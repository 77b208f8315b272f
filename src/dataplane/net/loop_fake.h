/* Linked instead of loop.c, for tests that run a whole proxy in memory: the interface of loop.h
 * with no descriptors (memory transports only), moved by the test alone. loop_new() takes the
 * clock of a struct clock_fake. Order is deterministic: posts, due timers by time, defers, reaper.
 * One thread. */
#pragma once

#include "dataplane/net/loop.h"

/* Takes turns until nothing is ready. Returns false if that did not end after many turns. */
bool loop_fake_turn(struct loop *loop);
/* One turn; false: there was nothing to do. */
bool loop_fake_step(struct loop *loop);
/* How many rounds of defers one turn serves: with 1, whatever may wait for the next turn does. */
void loop_fake_passes(struct loop *loop, unsigned passes);
/* Moves the clock by ms, stopping at each timer on the way. */
void loop_fake_advance(struct loop *loop, uint64_t ms);
/* Milliseconds until the next timer; UINT64_MAX: none. */
uint64_t loop_fake_next(const struct loop *loop);
