/* struct arena: memory freed all at once. One per stream (request life) and one per config node.
 * Owned by one thread. Under AddressSanitizer each allocation is its own malloc, so that an overrun
 * is seen. arena_reset() keeps the first block for reuse, unless it is over 64 KiB. Alignment:
 * 16. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

struct arena;

/* first: bytes of the first block (later ones double up to 64 KiB); 0 takes 1024. */
struct arena *arena_new(size_t first);
void arena_free(struct arena **a);
void arena_reset(struct arena *a);
void *arena_alloc(struct arena *a, size_t size); /* not zeroed */
void *arena_zalloc(struct arena *a, size_t size);
struct bytes arena_dup(struct arena *a, struct bytes b); /* also NUL-terminated after len */
char *arena_str(struct arena *a, struct bytes b);        /* a NUL-terminated copy */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
size_t arena_size(const struct arena *a); /* bytes taken from the heap */

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (size_t)(n)))
