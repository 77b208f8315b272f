#include "dataplane/upstream/cluster_demand.h"

#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "config/builder.h"
#include "config/snapshot.h"
#include "dataplane/net/worker.h"

/* A name that somebody waits for. */
struct demanded_cluster {
    struct cluster_demand *demand;
    struct list waits;
    enum resource_type type;
    bool waking;            /* no longer found by its name */
    struct bytes name, key; /* in the same piece of heap */
};

struct cluster_demand {
    struct worker *worker;
    cluster_demand_fn *ask;
    void *ctx;
    struct map names; /* key -> struct demanded_cluster * */
};

struct cluster_demand *cluster_demand_new(struct worker *worker, cluster_demand_fn *ask, void *ctx)
{
    struct cluster_demand *d = NEW(struct cluster_demand);
    d->worker = worker;
    d->ask = ask;
    d->ctx = ctx;
    worker->demand = d;
    return d;
}

void cluster_demand_free(struct cluster_demand **dp)
{
    struct cluster_demand *d = *dp;
    *dp = NULL;
    if (!d)
        return;
    CHECK(map_count(&d->names) == 0);
    d->worker->demand = NULL;
    map_fini(&d->names);
    mem_free(d);
}

static void drop(struct demanded_cluster *c)
{
    map_remove(&c->demand->names, c->key);
    mem_free(c);
}

static struct demanded_cluster *add(struct cluster_demand *d, enum resource_type type,
                                    struct bytes key, struct bytes name)
{
    struct demanded_cluster *c = mem_alloc(sizeof(*c) + key.len);
    char *text = memcpy(c + 1, key.data, key.len);
    c->demand = d;
    c->type = type;
    c->key = bytes_from(text, key.len);
    c->name = bytes_skip(c->key, key.len - name.len);
    list_init(&c->waits);
    c->waking = false;
    map_set(&d->names, c->key, c);
    return c;
}

void cluster_demand_wait(struct worker *worker, enum resource_type type,
                         const struct config_source *source, struct bytes name,
                         struct cluster_wait *w)
{
    struct cluster_demand *d = worker->demand;
    struct strbuf key = STRBUF_INIT;
    builder_demand_key(&key, type, source, name);
    struct demanded_cluster *c = map_get(&d->names, strbuf_bytes(&key));
    bool first = !c;
    if (first)
        c = add(d, type, strbuf_bytes(&key), name);
    w->on = c;
    list_init(&w->link);
    list_push_back(&c->waits, &w->link);
    strbuf_fini(&key);
    if (first)
        d->ask(d->ctx, type, source, name);
}

void cluster_demand_cancel(struct cluster_wait *w)
{
    struct demanded_cluster *c = w->on;
    w->on = NULL;
    if (!c)
        return;
    list_remove(&w->link);
    if (list_empty(&c->waits) && !c->waking)
        drop(c);
}

/* Who goes on may end the wait of others, and begin new ones of the same name. */
static void wake(struct demanded_cluster *c)
{
    map_remove(&c->demand->names, c->key);
    c->waking = true;
    while (!list_empty(&c->waits)) {
        struct cluster_wait *w = LIST_ENTRY(list_first(&c->waits), struct cluster_wait, link);
        list_remove(&w->link);
        w->on = NULL;
        w->fn(w);
    }
    mem_free(c);
}

void cluster_demand_settled(struct worker *worker, struct bytes key)
{
    struct demanded_cluster *c = worker->demand ? map_get(&worker->demand->names, key) : NULL;
    if (c)
        wake(c);
}

void cluster_demand_review(struct worker *worker)
{
    struct bytes key;
    void *value;
    size_t it = 0;
    while (worker->demand && map_next(&worker->demand->names, &it, &key, &value)) {
        struct demanded_cluster *c = value;
        if (c->type != RESOURCE_CLUSTER || !snapshot_cluster(worker->snapshot, c->name))
            continue;
        wake(c);
        it = 0; /* names may have been added */
    }
}
