/* struct stream_pool: the streams of one worker. A finished stream stays readable until the end of
 * the turn, then its filters are destroyed and the object (with its arena) waits to be used again.
 * Arenas beyond some are given back, and those of a burst once nobody has needed them for some
 * seconds; the objects stay until the worker ends, since handles read their generation. Worker
 * thread only. */
#pragma once

#include "base/list.h"
#include "dataplane/net/loop.h"

struct stream;
struct stream_slot;
struct worker;

/* Each holds STREAM_ARENA_FIRST bytes. */
enum { STREAM_POOL_SPARE_MAX = 16 };
/* Arenas that are kept however long nobody needs them. */
enum { STREAM_POOL_KEPT = 32, STREAM_POOL_REST_MS = 5000 };

struct stream_pool {
    struct worker *worker;
    struct list free, dead;
    struct defer reap;
    struct timer rest; /* while there are more arenas than are always kept */
    unsigned n_live, n_total, n_dead;
    unsigned n_kept; /* arenas in `free` */
    unsigned n_spare;
    struct arena *spare[STREAM_POOL_SPARE_MAX]; /* for attempts */
    uint32_t turn;                              /* how often it was reaped */
};

/* How many finished streams may wait for the end of a turn before others wait to begin. */
enum { STREAM_POOL_DEAD_MAX = 256 };

struct stream_pool *stream_pool_new(struct worker *w);
/* All streams must have finished. */
void stream_pool_free(struct stream_pool **p);
struct stream_slot *stream_pool_take(struct stream_pool *p);
/* An arena for attempts after a stream's first; destroying the stream takes it back. */
struct arena *stream_pool_spare_arena(struct stream_pool *p);
/* Destroyed at the end of this turn. */
void stream_pool_bury(struct stream_pool *p, struct stream *s);
