#include "dataplane/net/chunk.h"

#include "base/memory.h"

#define KEEP_FREE (!HEAP_IS_WATCHED)

/* GIVEN_AT_ONCE: of chunks in one turn; the kernel takes their pages meanwhile. */
enum { MAX_FREE_DEFAULT = 4096, GIVEN_AT_ONCE = 64, GIVING_MS = 1 };

/* Marks what lies in the free lists. Whoever takes it writes 0 there. */
#define CHUNK_RESTED UINT32_MAX
#define SLICE_RESTED SIZE_MAX

static void free_list(struct chunk **list, size_t n)
{
    for (struct chunk *c; (c = *list) != NULL && n > 0; n--) {
        *list = c->next_free;
        mem_free(c);
    }
}

/* The lists are used from the top, so what nobody has needed lies at the end of them. */
static void rest_chunks(struct chunk_pool *pool)
{
    struct chunk **at = &pool->free_chunks;
    for (size_t n = 0; n < CHUNK_POOL_KEPT && *at; n++)
        at = &(*at)->next_free;
    for (; *at && (*at)->used != CHUNK_RESTED; at = &(*at)->next_free)
        (*at)->used = CHUNK_RESTED;
    pool->going = *at;
    *at = NULL;
    for (const struct chunk *c = pool->going; c; c = c->next_free)
        pool->n_free_chunks--;
}

static void rest_slices(struct chunk_pool *pool)
{
    struct slice **at = &pool->free_slices;
    for (size_t n = 0; n < CHUNK_POOL_KEPT * 4 && *at; n++)
        at = &(*at)->next;
    for (; *at && (*at)->len != SLICE_RESTED; at = &(*at)->next)
        (*at)->len = SLICE_RESTED;
    for (struct slice *s; (s = *at) != NULL; pool->n_free_slices--) {
        *at = s->next;
        mem_free(s);
    }
}

static void rest(struct timer *t)
{
    struct chunk_pool *pool = t->owner;
    if (!pool->going) {
        rest_chunks(pool);
        rest_slices(pool);
    }
    free_list(&pool->going, GIVEN_AT_ONCE);
    if (pool->going)
        timer_start(t, GIVING_MS);
    else if (pool->n_free_chunks + pool->live_chunks > CHUNK_POOL_KEPT ||
             pool->n_free_slices > CHUNK_POOL_KEPT * 4)
        timer_start(t, CHUNK_POOL_REST_MS);
}

struct chunk_pool *chunk_pool_new(struct loop *loop, size_t max_free)
{
    struct chunk_pool *pool = NEW(struct chunk_pool);
    pool->max_free_chunks = KEEP_FREE ? (max_free ? max_free : MAX_FREE_DEFAULT) : 0;
    timer_init(&pool->rest, loop, rest, pool);
    return pool;
}

void chunk_pool_free(struct chunk_pool **pool)
{
    struct chunk_pool *p = *pool;

    *pool = NULL;
    if (!p)
        return;
    CHECK(p->live_chunks == 0);
    timer_stop(&p->rest);
    free_list(&p->free_chunks, SIZE_MAX);
    free_list(&p->going, SIZE_MAX);
    for (struct slice *s; (s = p->free_slices) != NULL;) {
        p->free_slices = s->next;
        mem_free(s);
    }
    mem_free(p);
}

static void grows(struct chunk_pool *pool)
{
    pool->heap_calls++;
    if (pool->rest.loop && !timer_pending(&pool->rest))
        timer_start(&pool->rest, CHUNK_POOL_REST_MS);
}

struct chunk *chunk_from_heap(struct chunk_pool *pool)
{
    struct chunk *c = mem_try(sizeof(*c));

    if (!c)
        return NULL;
    grows(pool);
    c->pool = pool;
    return c;
}

void chunk_to_heap(struct chunk *c)
{
    mem_free(c);
}

struct slice *slice_from_heap(struct chunk_pool *pool)
{
    grows(pool);
    return mem_alloc(sizeof(struct slice));
}

void slice_to_heap(struct slice *s)
{
    mem_free(s);
}
