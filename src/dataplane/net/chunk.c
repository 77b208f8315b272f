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

struct chunk *chunk_from_heap(struct chunk_pool *pool)
{
    struct chunk *c = mem_try(sizeof(*c));

    if (!c)
        return NULL;
    pool->heap_calls++;
    c->pool = pool;
    return c;
}

void chunk_to_heap(struct chunk *c)
{
    mem_free(c);
}

struct slice *slice_from_heap(struct chunk_pool *pool)
{
    pool->heap_calls++;
    return mem_alloc(sizeof(struct slice));
}

void slice_to_heap(struct slice *s)
{
    mem_free(s);
}
