/* A call on another thread's loop, for the cold paths: allocates, never blocks, keeps the order of
 * posts. Any thread. */
#pragma once

struct loop;

void post_call(struct loop *loop, void (*fn)(void *a, void *b), void *a, void *b);
