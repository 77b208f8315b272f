/* Snapshots: made of what is active, given to all threads, freed when all have given them back. */
#include "base/memory.h"
#include "config/builder_private.h"
#include "config/route.h"

static void put_cluster(struct builder *b, struct resource *r)
{
    if (r->active)
        pmap_set(&b->clusters, r->name, builder_cluster_entry(r->active));
}

static void put_listener(struct builder *b, struct resource *r)
{
    const struct listener_entry *old = pmap_get(&b->listeners, r->name);
    if (!r->active)
        return;
    struct listener_entry *now = builder_listener_entry(b, r->active, old);
    if (old)
        builder_drain_replaced(b, old, now);
    pmap_set(&b->listeners, r->name, now);
}

static void put(struct builder *b, struct resource *r)
{
    switch ((enum resource_type)r->type) {
    case RESOURCE_CLUSTER:
        put_cluster(b, r);
        break;
    case RESOURCE_LISTENER:
        put_listener(b, r);
        break;
    case RESOURCE_ROUTE:
        if (r->active)
            pmap_set(&b->routes, r->name, NODE_REF(r->active->route));
        break;
    case RESOURCE_ENDPOINT:
    case RESOURCE_SECRET:
    case RESOURCE_EXTENSION:
    case RESOURCE_VIRTUAL_HOST:
    case RESOURCE_SCOPED_ROUTE:
    case RESOURCE_RUNTIME:
    case RESOURCE_TYPE_COUNT:
        break;
    }
}

static void put_dirty(struct builder *b)
{
    LIST_EACH(it, &b->dirty)
    {
        struct resource *r = LIST_ENTRY(it, struct resource, dirty_link);
        list_remove(&r->dirty_link);
        put(b, r);
        b->changed = true;
    }
}

static void snapshot_free(struct snapshot *s)
{
    pmap_fini(&s->clusters);
    pmap_fini(&s->listeners);
    pmap_fini(&s->routes);
    mem_free(s);
}

/* Those that nobody holds and that are not the newest. */
static void free_unheld(struct builder *b)
{
    struct snapshot **at = &b->live;
    while (*at) {
        struct snapshot *s = *at;
        if (s->holders || s == b->current) {
            at = &s->older;
        } else {
            *at = s->older;
            snapshot_free(s);
        }
    }
}

static void release_addresses(struct builder *b)
{
    size_t n = b->n_releases;
    b->n_releases = 0;
    for (size_t i = 0; i < n; i++) {
        b->table.release(b->table.ctx, b->releases[i]);
        NODE_UNREF(&b->releases[i]);
    }
}

struct snapshot *builder_commit(struct builder *b)
{
    struct snapshot *s = NULL;
    builder_hold_review(b);
    builder_flush_wants(b);
    put_dirty(b);
    if (b->changed) {
        b->changed = false;
        s = NEW(struct snapshot);
        s->version = ++b->version;
        s->clusters = pmap_copy(&b->clusters);
        s->listeners = pmap_copy(&b->listeners);
        s->routes = pmap_copy(&b->routes);
        s->older = b->live;
        b->live = b->current = s;
        b->table.publish(b->table.ctx, s);
        free_unheld(b);
        builder_drain_begin(b);
    }
    builder_demands_tell(b);
    release_addresses(b);
    builder_count(b);
    return s;
}

struct snapshot *builder_snapshot(const struct builder *b)
{
    return b->current;
}

void builder_snapshot_returned(struct builder *b, struct snapshot *s)
{
    CHECK(s->holders > 0);
    if (--s->holders == 0)
        free_unheld(b);
}

void builder_snapshots_fini(struct builder *b)
{
    while (b->live) {
        struct snapshot *s = b->live;
        b->live = s->older;
        snapshot_free(s);
    }
    b->current = NULL;
    release_addresses(b);
}

unsigned builder_reap(struct builder *b)
{
    (void)b;
    /* A node that goes drops its children, which the next call frees. */
    unsigned nodes = node_reap();
    return nodes + host_state_reap();
}
