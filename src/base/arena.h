/* struct arena: memory freed all at once. One per stream (request life) and one per config node.
 * Owned by one thread. Under AddressSanitizer each allocation is its own malloc, so that an overrun
 * is seen. The first bytes lie in the same piece of heap as the arena; arena_reset() keeps them.
 * Alignment: 8; strings are packed. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

/* Its fields are arena.c's: here only so that taking memory is inlined. One piece of heap holds the
 * arena and its first bytes; what does not fit goes into blocks. */
struct arena {
    struct arena_block *blocks; /* the newest first */
    char *at, *end;             /* free bytes of the newest block, or of `first` */
    uint32_t first_size, block_size : 31, wipe : 1;
    char first[];
};

/* first: bytes that come with the arena; 0 takes 1024. Blocks of as many, at most 4 KiB, follow
 * and double up to 64 KiB. Who knows what it needs says so: nothing is left over. */
struct arena *arena_new(size_t first);
void arena_free(struct arena **a);
void arena_reset(struct arena *a);
/* From now on what it held is overwritten before it goes back to the heap: for keys. */
void arena_wipe_on_free(struct arena *a);
/* For what a peer or a control plane can size: NULL when there is no memory. */
void *arena_try_slowly(struct arena *a, size_t size);
void *arena_alloc_slowly(struct arena *a, size_t size);
/* NULL: it takes another block; otherwise what the two below do most of the time. */
static inline void *arena_take(struct arena *a, size_t size)
{
    uintptr_t at = ((uintptr_t)a->at + 7) & ~(uintptr_t)7, end = (uintptr_t)a->end;
    if (HEAP_IS_WATCHED || UNLIKELY(at > end || end - at < size))
        return NULL;
    a->at = (char *)at + size;
    return (void *)at;
}
MUST_CHECK static inline void *arena_try(struct arena *a, size_t size)
{
    void *p = arena_take(a, size);
    return LIKELY(p != NULL) ? p : arena_try_slowly(a, size);
}
static inline void *arena_alloc(struct arena *a, size_t size) /* not zeroed */
{
    void *p = arena_take(a, size);
    return LIKELY(p != NULL) ? p : arena_alloc_slowly(a, size);
}
static inline void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}
struct bytes arena_dup(struct arena *a, struct bytes b); /* also NUL-terminated after len */
char *arena_str(struct arena *a, struct bytes b);        /* a NUL-terminated copy */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
struct bytes arena_u64(struct arena *a, uint64_t value); /* in decimal */
size_t arena_size(const struct arena *a);                /* bytes taken from the heap */

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (size_t)(n)))
