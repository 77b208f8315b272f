/* The counting allocator, from inside a program that is linked with it. Any thread. */
#pragma once

#include <stdint.h>

struct heap_counts {
    uint64_t calls;     /* malloc, calloc, realloc and the aligned ones */
    uint64_t allocated; /* bytes of all blocks ever given, as the allocator rounds them */
    uint64_t freed;     /* of them, given back */
};

/* Sums of all threads. */
struct heap_counts heap_counts(void);
