/* struct stream_pool: the streams of one worker. A finished stream stays readable until the end of
 * the turn, then its filters are destroyed and the object (with its arena) waits to be used again.
 * Memory is returned only when the worker ends. Worker thread only. */
#pragma once

#include "base/list.h"
#include "dataplane/net/loop.h"

struct stream;
struct stream_slot;
struct worker;

struct stream_pool {
    struct worker *worker;
    struct list free, dead;
    struct defer reap;
    unsigned n_live, n_total;
};

struct stream_pool *stream_pool_new(struct worker *w);
/* All streams must have finished. */
void stream_pool_free(struct stream_pool **p);
struct stream_slot *stream_pool_take(struct stream_pool *p);
/* Destroyed at the end of this turn. */
void stream_pool_bury(struct stream_pool *p, struct stream *s);
