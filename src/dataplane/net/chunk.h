/* struct chunk: 16 KiB of bytes, counted, shared by the buffers of one thread; struct chunk_pool:
 * the free list of that thread. Counts are plain integers: a chunk never leaves its thread.
 * Bytes below `used` are written once and never changed; whoever holds a slice that ends at `used`
 * may write after it. Under AddressSanitizer nothing is kept in the free lists. Taking from a free
 * list and giving back to it is inlined: each message takes and gives some. What a burst has left
 * in the free lists goes back to the heap once it has not been used for some seconds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "dataplane/net/loop.h"

enum { CHUNK_SIZE = 16384 };

struct chunk_pool;

struct chunk {
    struct chunk_pool *pool;
    struct chunk *next_free;
    uint32_t refs;
    uint32_t used; /* in the free list CHUNK_RESTED, when it has been there for long */
    char data[CHUNK_SIZE];
};

/* A link of a buffer: len bytes at data, in chunk (NULL: memory that lives for ever). */
struct slice {
    struct slice *next;
    struct chunk *chunk;
    const char *data;
    size_t len;
};

struct chunk_pool {
    struct chunk *free_chunks;
    struct slice *free_slices;
    size_t n_free_chunks, n_free_slices;
    size_t max_free_chunks; /* more than these go back to the heap */
    size_t live_chunks;     /* in use now */
    uint64_t heap_calls;    /* how often the heap was asked: flat in the steady state */
    struct timer rest;      /* with a loop, while there is more than is always kept */
    struct chunk *going;    /* back to the heap, some in each turn */
};

/* Kept however long nobody needs them, of four times as many slices. */
enum { CHUNK_POOL_KEPT = 16, CHUNK_POOL_REST_MS = 5000 };

/* max_free: chunks kept for reuse; 0 takes 4096 (64 MiB). loop: what is free gives itself back, by
 * timers of the loop; NULL: it stays. */
struct chunk_pool *chunk_pool_new(struct loop *loop, size_t max_free);
void chunk_pool_free(struct chunk_pool **pool); /* all chunks must be back; the loop may be gone */

/* From the heap: the free list is empty. Given back to it: the free list is full. */
struct chunk *chunk_from_heap(struct chunk_pool *pool);
struct slice *slice_from_heap(struct chunk_pool *pool);
void chunk_to_heap(struct chunk *c);
void slice_to_heap(struct slice *s);

/* One reference; NULL: no memory. */
MUST_CHECK static inline struct chunk *chunk_new(struct chunk_pool *pool)
{
    struct chunk *c = pool->free_chunks;

    if (LIKELY(c != NULL)) {
        pool->free_chunks = c->next_free;
        pool->n_free_chunks--;
    } else {
        c = chunk_from_heap(pool);
        if (!c)
            return NULL;
    }
    pool->live_chunks++;
    c->next_free = NULL;
    c->refs = 1;
    c->used = 0;
    return c;
}

static inline struct chunk *chunk_ref(struct chunk *c)
{
    CHECK(c->refs > 0);
    c->refs++;
    return c;
}

static inline void chunk_unref(struct chunk **chunk)
{
    struct chunk *c = *chunk;

    *chunk = NULL;
    if (!c)
        return;
    CHECK(c->refs > 0);
    if (--c->refs > 0)
        return;
    struct chunk_pool *pool = c->pool;
    pool->live_chunks--;
    if (UNLIKELY(pool->n_free_chunks >= pool->max_free_chunks)) {
        chunk_to_heap(c);
        return;
    }
    c->next_free = pool->free_chunks;
    pool->free_chunks = c;
    pool->n_free_chunks++;
}

static inline struct slice *slice_new(struct chunk_pool *pool)
{
    struct slice *s = pool->free_slices;

    if (LIKELY(s != NULL)) {
        pool->free_slices = s->next;
        pool->n_free_slices--;
    } else {
        s = slice_from_heap(pool);
    }
    *s = (struct slice){0};
    return s;
}

/* Drops its chunk too. */
static inline void slice_free(struct chunk_pool *pool, struct slice *s)
{
    chunk_unref(&s->chunk);
    if (UNLIKELY(pool->n_free_slices >= pool->max_free_chunks * 4)) {
        slice_to_heap(s);
        return;
    }
    s->next = pool->free_slices;
    pool->free_slices = s;
    pool->n_free_slices++;
}
