#include "dataplane/net/chunk.h"

#include "base/memory.h"

#define KEEP_FREE (!HEAP_IS_WATCHED)

enum { MAX_FREE_DEFAULT = 4096 };

struct chunk_pool *chunk_pool_new(size_t max_free)
{
    struct chunk_pool *pool = NEW(struct chunk_pool);
    pool->max_free_chunks = KEEP_FREE ? (max_free ? max_free : MAX_FREE_DEFAULT) : 0;
    return pool;
}

void chunk_pool_trim(struct chunk_pool *pool, size_t keep)
{
    while (pool->n_free_chunks > keep) {
        struct chunk *c = pool->free_chunks;
        pool->free_chunks = c->next_free;
        pool->n_free_chunks--;
        mem_free(c);
    }
}

void chunk_pool_free(struct chunk_pool **pool)
{
    struct chunk_pool *p = *pool;

    *pool = NULL;
    if (!p)
        return;
    CHECK(p->live_chunks == 0);
    chunk_pool_trim(p, 0);
    for (struct slice *s; (s = p->free_slices) != NULL;) {
        p->free_slices = s->next;
        mem_free(s);
    }
    mem_free(p);
}

struct chunk *chunk_new(struct chunk_pool *pool)
{
    struct chunk *c = pool->free_chunks;

    if (c) {
        pool->free_chunks = c->next_free;
        pool->n_free_chunks--;
    } else {
        c = mem_try(sizeof(*c));
        if (!c)
            return NULL;
        pool->heap_calls++;
        c->pool = pool;
    }
    pool->live_chunks++;
    c->next_free = NULL;
    c->refs = 1;
    c->used = 0;
    return c;
}

struct chunk *chunk_ref(struct chunk *c)
{
    CHECK(c->refs > 0);
    c->refs++;
    return c;
}

void chunk_unref(struct chunk **chunk)
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
    if (pool->n_free_chunks >= pool->max_free_chunks) {
        mem_free(c);
        return;
    }
    c->next_free = pool->free_chunks;
    pool->free_chunks = c;
    pool->n_free_chunks++;
}

struct slice *slice_new(struct chunk_pool *pool)
{
    struct slice *s = pool->free_slices;

    if (s) {
        pool->free_slices = s->next;
        pool->n_free_slices--;
    } else {
        s = mem_alloc(sizeof(*s));
        pool->heap_calls++;
    }
    *s = (struct slice){0};
    return s;
}

void slice_free(struct chunk_pool *pool, struct slice *s)
{
    chunk_unref(&s->chunk);
    if (pool->n_free_slices >= pool->max_free_chunks * 4) {
        mem_free(s);
        return;
    }
    s->next = pool->free_slices;
    pool->free_slices = s;
    pool->n_free_slices++;
}
