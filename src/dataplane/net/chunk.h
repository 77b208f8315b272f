/* struct chunk: 16 KiB of bytes, counted, shared by the buffers of one thread; struct chunk_pool:
 * the free list of that thread. Counts are plain integers: a chunk never leaves its thread.
 * Bytes below `used` are written once and never changed; whoever holds a slice that ends at `used`
 * may write after it. Under AddressSanitizer nothing is kept in the free lists. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

enum { CHUNK_SIZE = 16384 };

struct chunk_pool;

struct chunk {
    struct chunk_pool *pool;
    struct chunk *next_free;
    uint32_t refs;
    uint32_t used;
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
};

/* max_free: chunks kept for reuse; 0 takes 4096 (64 MiB). */
struct chunk_pool *chunk_pool_new(size_t max_free);
void chunk_pool_free(struct chunk_pool **pool); /* all chunks must be back */
/* Gives free chunks beyond `keep` back to the heap. */
void chunk_pool_trim(struct chunk_pool *pool, size_t keep);

MUST_CHECK struct chunk *chunk_new(struct chunk_pool *pool); /* one reference; NULL: no memory */
struct chunk *chunk_ref(struct chunk *c);
void chunk_unref(struct chunk **c);

struct slice *slice_new(struct chunk_pool *pool);
void slice_free(struct chunk_pool *pool, struct slice *s); /* drops its chunk too */
