/* Heap allocation for small objects of our own size: never returns NULL, ends the process with a
 * message and EXIT_OUT_OF_MEMORY when memory is exhausted. What a peer or a control plane can size
 * uses mem_try(), whose failure is answered with a status or a NACK. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

enum { EXIT_OUT_OF_MEMORY = 71 };

void *mem_alloc(size_t size);  /* not zeroed */
void *mem_zalloc(size_t size); /* zeroed */
void *mem_realloc(void *p, size_t size);
char *mem_strdup(const char *s);
MUST_CHECK void *mem_try(size_t size);                           /* NULL when there is no memory */
MUST_CHECK void *mem_try_aligned(size_t alignment, size_t size); /* the same; a power of two */
MUST_CHECK void *mem_try_realloc(void *p, size_t size);
void mem_free(void *p);                   /* NULL allowed */
NORETURN void mem_exhausted(size_t size); /* says so and ends the process */

/* This thread's reserve: address space that it gives up once, when an allocation of its own finds
 * no memory, and then tries again. Whoever is about to do much on behalf of a peer or a control
 * plane sets it aside before: then either there is no room, and the peer is told so, or what was
 * begun can be finished. Nothing of it is touched, so it costs no memory. false: there is no room
 * for `size` bytes; some is kept, where there is any, so that this can be told. */
MUST_CHECK bool mem_reserve(size_t size);
void mem_reserve_end(void);
/* true: it was given up now, and the allocation is worth another try. */
MUST_CHECK bool mem_reserve_spend(void);

/* What the process has in memory, in bytes; anonymous: without pages of files. 0: not known. Asks
 * the kernel, not the heap. */
size_t mem_resident(bool anonymous);

#define NEW(type) ((type *)mem_zalloc(sizeof(type)))

/* Grows a heap array (ptr, capacity) so that it holds at least `need` elements. */
#define GROW(ptr, cap, need)                                                                       \
    do {                                                                                           \
        if ((size_t)(need) > (size_t)(cap)) {                                                      \
            size_t grow_n = (cap) ? (size_t)(cap)*2 : 8;                                           \
            if (grow_n < (size_t)(need))                                                           \
                grow_n = (size_t)(need);                                                           \
            (ptr) = mem_realloc((ptr), grow_n * sizeof(*(ptr)));                                   \
            (cap) = grow_n;                                                                        \
        }                                                                                          \
    } while (0)

/* The same for what a peer or a control plane can size; false: there is no memory. */
MUST_CHECK bool mem_try_grow(void *ptr_to_array, size_t *cap, size_t need, size_t item_size);
