#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

#define ARENA_EMULATE HEAP_IS_WATCHED

enum { ARENA_ALIGN = 16, ARENA_BLOCK_MAX = 64 * 1024 };

struct block {
    struct block *next;
    size_t size;
    _Alignas(ARENA_ALIGN) char data[];
};

struct arena {
    struct block *blocks; /* the newest first; the first one ever is last */
    size_t used, block_size, total;
};

static struct block *block_new(struct arena *a, size_t size)
{
    struct block *b = mem_alloc(sizeof(*b) + size);
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    a->used = 0;
    a->total += sizeof(*b) + size;
    return b;
}

struct arena *arena_new(size_t first)
{
    struct arena *a = NEW(struct arena);
    a->block_size = first ? first : 1024;
    return a;
}

static void free_blocks(struct arena *a, struct block *keep)
{
    while (a->blocks != keep) {
        struct block *b = a->blocks;
        a->blocks = b->next;
        a->total -= sizeof(*b) + b->size;
        mem_free(b);
    }
}

void arena_free(struct arena **a)
{
    if (!*a)
        return;
    free_blocks(*a, NULL);
    mem_free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    struct block *first = a->blocks;
    while (first && first->next)
        first = first->next;
    bool keep = !ARENA_EMULATE && first && first->size <= ARENA_BLOCK_MAX;
    free_blocks(a, keep ? first : NULL);
    a->used = 0;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (ARENA_EMULATE)
        return block_new(a, size)->data;
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    struct block *b = a->blocks;
    if (UNLIKELY(!b || b->size - a->used < size)) {
        if (b && a->block_size < ARENA_BLOCK_MAX)
            a->block_size *= 2;
        b = block_new(a, size > a->block_size ? size : a->block_size);
    }
    void *p = b->data + a->used;
    a->used += size;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

struct bytes arena_dup(struct arena *a, struct bytes b)
{
    char *p = arena_alloc(a, b.len + 1);
    if (b.len)
        memcpy(p, b.data, b.len);
    p[b.len] = '\0';
    return (struct bytes){p, b.len};
}

char *arena_str(struct arena *a, struct bytes b)
{
    return (char *)arena_dup(a, b).data;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

size_t arena_size(const struct arena *a)
{
    return a->total;
}
