#include "dataplane/http/stream_pool.h"

#include "base/memory.h"
#include "config/scoped_routes.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/net/transport_tls.h"

enum { ARENAS_MAX = 512 };

static void slot_free(struct stream_slot *slot)
{
    stream_timers_fini(&slot->s);
    arena_free(&slot->s.arena);
    mem_free(slot);
}

static void keep_spare(struct stream_pool *p, struct arena **a)
{
    if (p->n_spare == STREAM_POOL_SPARE_MAX || HEAP_IS_WATCHED) {
        arena_free(a);
        return;
    }
    arena_reset(*a);
    p->spare[p->n_spare++] = *a;
    *a = NULL;
}

struct arena *stream_pool_spare_arena(struct stream_pool *p)
{
    return p->n_spare > 0 ? p->spare[--p->n_spare] : arena_new(STREAM_ARENA_FIRST);
}

static void destroy(struct stream_pool *p, struct stream *s)
{
    unsigned slot = s->worker->slot;
    filter_chain_destroy(s);
    node_unpin(&s->manager->node, slot);
    s->manager = NULL;
    tls_connection_unref(&s->info.upstream_tls);
    if (s->routes)
        node_unpin(&s->routes->node, slot);
    s->routes = NULL;
    if (s->priv->scopes)
        node_unpin(&s->priv->scopes->node, slot);
    s->priv->scopes = NULL;
    node_unpin(&s->priv->binding->node, slot);
    s->priv->binding = NULL;
    s->magic = 0;
    if (UNLIKELY(s->priv->attempt_arena != NULL))
        keep_spare(p, &s->priv->attempt_arena);
    p->n_live--;
    if (p->n_kept < ARENAS_MAX) {
        p->n_kept++;
        arena_reset(s->arena);
        list_push_front(&p->free, &s->priv->link);
    } else {
        arena_free(&s->arena);
        list_push_back(&p->free, &s->priv->link);
    }
}

static void reap(struct defer *d)
{
    struct stream_pool *p = d->owner;
    struct list *l;
    while ((l = list_pop_front(&p->dead)) != NULL)
        destroy(p, &LIST_ENTRY(l, struct stream_slot, p.link)->s);
    p->n_dead = 0;
    p->turn++;
}

/* The list is used from its front, where those with arenas are. */
static void rest(struct timer *t)
{
    struct stream_pool *p = t->owner;
    unsigned n = 0;
    LIST_EACH(it, &p->free)
    {
        struct stream_slot *slot = LIST_ENTRY(it, struct stream_slot, p.link);
        if (!slot->s.arena)
            break;
        if (n++ < STREAM_POOL_KEPT)
            continue;
        if (slot->p.rested) {
            arena_free(&slot->s.arena);
            p->n_kept--;
        }
        slot->p.rested = true;
    }
    if (p->n_kept + p->n_live > STREAM_POOL_KEPT)
        timer_start(t, STREAM_POOL_REST_MS);
}

struct stream_pool *stream_pool_new(struct worker *w)
{
    struct stream_pool *p = NEW(struct stream_pool);
    p->worker = w;
    list_init(&p->free);
    list_init(&p->dead);
    defer_init(&p->reap, w->loop, DEFER_REAP, reap, p);
    timer_init(&p->rest, w->loop, rest, p);
    return p;
}

void stream_pool_free(struct stream_pool **pool)
{
    struct stream_pool *p = *pool;
    if (!p)
        return;
    timer_stop(&p->rest);
    defer_cancel(&p->reap);
    reap(&p->reap);
    CHECK(p->n_live == 0);
    struct list *l;
    while ((l = list_pop_front(&p->free)) != NULL)
        slot_free(LIST_ENTRY(l, struct stream_slot, p.link));
    while (p->n_spare > 0)
        arena_free(&p->spare[--p->n_spare]);
    mem_free(p);
    *pool = NULL;
}

struct stream_slot *stream_pool_take(struct stream_pool *p)
{
    struct stream_slot *slot;
    struct list *l = list_pop_front(&p->free);
    if (l) {
        slot = LIST_ENTRY(l, struct stream_slot, p.link);
        p->n_kept -= slot->s.arena != NULL;
    } else {
        slot = NEW(struct stream_slot);
        slot->s.priv = &slot->p;
        stream_timers_init(&slot->s, p->worker->loop);
        p->n_total++;
    }
    if (!slot->s.arena) {
        slot->s.arena = arena_new(STREAM_ARENA_FIRST);
        if (!timer_pending(&p->rest))
            timer_start(&p->rest, STREAM_POOL_REST_MS);
    }
    struct arena *arena = slot->s.arena;
    uint32_t generation = slot->s.generation;
    memset(slot, 0, offsetof(struct stream_slot, p.idle_timer));
    slot->s.arena = arena;
    slot->s.generation = generation + 1;
    slot->s.magic = STREAM_MAGIC;
    slot->s.priv = &slot->p;
    list_init(&slot->p.link);
    list_init(&slot->p.mux_link);
    p->n_live++;
    return slot;
}

void stream_pool_bury(struct stream_pool *p, struct stream *s)
{
    s->generation++;
    list_push_back(&p->dead, &s->priv->link);
    p->n_dead++;
    defer_schedule(&p->reap);
}
