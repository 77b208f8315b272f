#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

NORETURN void check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "xylem: internal error at %s:%d: %s\n", file, line, what);
    abort();
}

static NORETURN void out_of_memory(size_t size)
{
    fprintf(stderr, "xylem: out of memory (%zu bytes)\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p)
        out_of_memory(size);
    return p;
}

void *mem_zalloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        out_of_memory(size);
    return p;
}

void *mem_realloc(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    if (!p)
        out_of_memory(size);
    return p;
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(mem_alloc(n), s, n);
}

void *mem_try(size_t size)
{
    return malloc(size ? size : 1);
}

void *mem_try_realloc(void *p, size_t size)
{
    return realloc(p, size ? size : 1);
}

void mem_free(void *p)
{
    free(p);
}
