#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/digits.h"
#include "base/memory.h"

#define ARENA_EMULATE HEAP_IS_WATCHED

enum { ARENA_ALIGN = 8, ARENA_BLOCK_FIRST = 4096, ARENA_BLOCK_MAX = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    char data[];
};

static void use_first(struct arena *a)
{
    a->blocks = NULL;
    a->block_size = a->first_size < ARENA_BLOCK_FIRST ? a->first_size : ARENA_BLOCK_FIRST;
    a->at = a->first;
    a->end = a->first + a->first_size;
}

static bool block_add(struct arena *a, size_t size)
{
    struct arena_block *b = mem_try(sizeof(*b) + size);
    if (!b)
        return false;
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    a->at = b->data;
    a->end = b->data + size;
    return true;
}

struct arena *arena_new(size_t first)
{
    first = ARENA_EMULATE ? 0 : first ? first : 1024;
    CHECK(first <= UINT32_MAX);
    struct arena *a = mem_alloc(sizeof(*a) + first);
    a->first_size = (uint32_t)first;
    a->wipe = false;
    use_first(a);
    return a;
}

static void free_blocks(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        if (a->wipe)
            explicit_bzero(b->data, b->size);
        mem_free(b);
    }
    if (a->wipe)
        explicit_bzero(a->first, a->first_size);
}

void arena_wipe_on_free(struct arena *a)
{
    a->wipe = true;
}

void arena_free(struct arena **a)
{
    if (!*a)
        return;
    free_blocks(*a);
    mem_free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    free_blocks(a);
    use_first(a);
}

/* size bytes at a->at, or at the start of a new block; NULL: there is no memory. */
static void *try_take(struct arena *a, size_t size)
{
    if (ARENA_EMULATE || UNLIKELY(a->at > a->end || (size_t)(a->end - a->at) < size)) {
        if (a->blocks && a->block_size < ARENA_BLOCK_MAX)
            a->block_size *= 2;
        if (!block_add(a, size > a->block_size ? size : a->block_size))
            return NULL;
    }
    void *p = a->at;
    a->at += size;
    return p;
}

static void *take(struct arena *a, size_t size)
{
    void *p = try_take(a, size);
    if (UNLIKELY(!p) && mem_reserve_spend())
        p = try_take(a, size);
    if (UNLIKELY(!p))
        mem_exhausted(size);
    return p;
}

static void align(struct arena *a)
{
    a->at = (char *)(((uintptr_t)a->at + ARENA_ALIGN - 1) & ~(uintptr_t)(ARENA_ALIGN - 1));
}

void *arena_alloc_slowly(struct arena *a, size_t size)
{
    align(a);
    return take(a, size);
}

void *arena_try_slowly(struct arena *a, size_t size)
{
    align(a);
    return try_take(a, size);
}

struct bytes arena_dup(struct arena *a, struct bytes b)
{
    if (b.len == 0)
        return BYTES("");
    char *p = take(a, b.len + 1);
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
    char *p = take(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

struct bytes arena_u64(struct arena *a, uint64_t value)
{
    char *p = take(a, digits_count(value) + 1);
    unsigned n = digits_u64(p, value);
    p[n] = '\0';
    return bytes_from(p, n);
}

size_t arena_size(const struct arena *a)
{
    size_t total = sizeof(*a) + a->first_size;
    for (const struct arena_block *b = a->blocks; b; b = b->next)
        total += sizeof(*b) + b->size;
    return total;
}
