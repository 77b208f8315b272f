/* What requests ask for (rule O08): clusters, and virtual hosts. A name stays subscribed once it
 * has been asked for, a virtual host as long as its route configuration, so the server tells when
 * it comes, changes and goes, and what the server does not have is answered from here. What clients
 * can make of this is bounded: names that no server could have are not asked for, and of a full
 * table the name that was last known to be absent for the longest time goes. */
#include <string.h>

#include "base/memory.h"
#include "config/builder_private.h"
#include "config/utf8.h"

struct demand {
    struct list link; /* in builder.absent, the oldest first; of its own: not answered, or there */
    struct source_ref *source;
    enum resource_type type;
    struct bytes name, key; /* in the same piece of heap */
};

void builder_demand_key(struct strbuf *out, enum resource_type type,
                        const struct config_source *source, struct bytes name)
{
    strbuf_printf(out, "%s %zu:", resource_type_short(type), source->key.len);
    strbuf_add_bytes(out, source->key);
    strbuf_add_bytes(out, name);
}

static struct demand *find(const struct builder *b, enum resource_type type,
                           const struct config_source *source, struct bytes name)
{
    struct strbuf key = STRBUF_INIT;
    if (map_count(&b->demands) == 0)
        return NULL;
    builder_demand_key(&key, type, source, name);
    struct demand *d = map_get(&b->demands, strbuf_bytes(&key));
    strbuf_fini(&key);
    return d;
}

static void add(struct builder *b, enum resource_type type, const struct config_source *source,
                struct bytes name)
{
    struct strbuf key = STRBUF_INIT;
    builder_demand_key(&key, type, source, name);
    struct demand *d = mem_alloc(sizeof(*d) + key.len);
    char *text = memcpy(d + 1, key.data, key.len);
    d->type = type;
    d->key = bytes_from(text, key.len);
    d->name = bytes_skip(d->key, key.len - name.len);
    d->source = store_source(&b->store, source);
    list_init(&d->link);
    map_set(&b->demands, d->key, d);
    strbuf_fini(&key);
}

/* A virtual host is a resource that the process wants; a cluster's name stands beside "*". */
static void forget(struct builder *b, struct demand *d)
{
    const struct config_source *source = &d->source->source;
    struct resource *r =
        d->type == RESOURCE_VIRTUAL_HOST ? store_find(&b->store, source, d->type, d->name) : NULL;
    if (r)
        builder_unwant(b, r);
    else if (!b->closing)
        b->table.unwant(b->table.ctx, source, d->type, d->name);
    list_remove(&d->link);
    map_remove(&b->demands, d->key);
    store_source_unref(&b->store, &d->source);
    mem_free(d);
}

/* Could a server have it? What is no text would end the stream for all, and "*" asks for
 * everything. */
static bool name_possible(struct bytes name)
{
    return name.len > 0 && name.len <= DEMAND_NAME_MAX && !bytes_eq_str(name, "*") &&
           !bytes_starts_with(name, BYTES("xdstp://")) && utf8_check(name) == name.len &&
           !memchr(name.data, '\0', name.len);
}

static bool make_room(struct builder *b)
{
    struct list *oldest = list_first(&b->absent);
    if (map_count(&b->demands) < DEMANDS_MAX)
        return true;
    if (!oldest)
        return false;
    forget(b, LIST_ENTRY(oldest, struct demand, link));
    stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_FORGOTTEN);
    return true;
}

static void answer(struct builder *b, enum resource_type type, const struct config_source *source,
                   struct bytes name)
{
    struct strbuf key = STRBUF_INIT;
    builder_demand_key(&key, type, source, name);
    if (b->table.demand_settled)
        b->table.demand_settled(b->table.ctx, strbuf_bytes(&key));
    strbuf_fini(&key);
}

static const struct resource *held(const struct builder *b, enum resource_type type,
                                   const struct config_source *source, struct bytes name)
{
    const struct resource *r = store_find(&b->store, source, type, name);
    return r && (r->active || r->pending) && !r->doomed ? r : NULL;
}

static void ask(struct builder *b, enum resource_type type, const struct config_source *source,
                struct bytes name)
{
    add(b, type, source, name);
    stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_ASKED);
    stat_set(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_NAMES,
             (int64_t)map_count(&b->demands));
    if (type == RESOURCE_VIRTUAL_HOST) {
        builder_want(b, source, type, name);
        builder_vhost_scope(b, store_find(&b->store, source, type, name));
        builder_flush_wants(b);
    } else {
        b->table.want(b->table.ctx, source, type, name);
        b->table.wants_done(b->table.ctx);
    }
}

void builder_demand(struct builder *b, enum resource_type type, const struct config_source *source,
                    struct bytes name)
{
    struct demand *d = find(b, type, source, name);
    const struct resource *r = held(b, type, source, name);
    if (type == RESOURCE_ROUTE) { /* of a scope, which keeps it */
        builder_scope_demand(b, source, name);
        return;
    }
    if (r ? type == RESOURCE_CLUSTER : d && list_empty(&d->link))
        return;   /* the cluster, or an answer, is on its way */
    if (r || d) { /* a virtual host that is there serves what asks for it, or never will */
        answer(b, type, source, name);
    } else if (!name_possible(name) || !make_room(b)) {
        stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_REFUSED);
        answer(b, type, source, name);
    } else {
        ask(b, type, source, name);
    }
}

/* Of a virtual host whose route configuration is gone nobody will hear. */
void builder_demands_review(struct builder *b)
{
    struct bytes key;
    void *value;
    b->vhosts_moved = false;
    for (size_t it = 0; map_next(&b->demands, &it, &key, &value);) {
        struct demand *d = value;
        const struct config_source *source = &d->source->source;
        const struct resource *r = d->type == RESOURCE_VIRTUAL_HOST
                                       ? store_find(&b->store, source, d->type, d->name)
                                       : NULL;
        if (!r || builder_vhost_belongs(b, r))
            continue;
        builder_demand_tell_later(b, d->type, source, d->name);
        forget(b, d);
        stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_FORGOTTEN);
    }
    stat_set(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_NAMES,
             (int64_t)map_count(&b->demands));
}

static void set_absent(struct builder *b, struct demand *d)
{
    list_remove(&d->link);
    list_push_back(&b->absent, &d->link);
    stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_ABSENT);
}

void builder_demand_absent(struct builder *b, const struct config_source *source, struct bytes name)
{
    struct demand *d = find(b, RESOURCE_CLUSTER, source, name);
    if (!d || held(b, RESOURCE_CLUSTER, source, name))
        return;
    set_absent(b, d);
    answer(b, RESOURCE_CLUSTER, source, name);
}

void builder_demand_came(struct builder *b, const struct config_source *source, struct bytes name)
{
    struct demand *d = find(b, RESOURCE_CLUSTER, source, name);
    if (d)
        list_remove(&d->link);
}

void builder_demand_settled(struct builder *b, struct resource *r)
{
    struct demand *d = find(b, r->type, &r->source->source, r->name);
    if (!d)
        return;
    if (r->active)
        list_remove(&d->link);
    else
        set_absent(b, d);
    builder_demand_tell_later(b, r->type, &r->source->source, r->name);
}

void builder_demand_tell_later(struct builder *b, enum resource_type type,
                               const struct config_source *source, struct bytes name)
{
    GROW(b->settled, b->cap_settled, b->n_settled + 1);
    struct strbuf *key = &b->settled[b->n_settled++];
    *key = (struct strbuf)STRBUF_INIT;
    builder_demand_key(key, type, source, name);
}

void builder_demands_tell(struct builder *b)
{
    for (size_t i = 0; i < b->n_settled; i++) {
        if (b->table.demand_settled && !b->closing)
            b->table.demand_settled(b->table.ctx, strbuf_bytes(&b->settled[i]));
        strbuf_fini(&b->settled[i]);
    }
    b->n_settled = 0;
}

void builder_demands_fini(struct builder *b)
{
    struct bytes key;
    void *value;
    for (size_t it = 0; map_next(&b->demands, &it, &key, &value); it = 0)
        forget(b, value);
    map_fini(&b->demands);
    builder_demands_tell(b);
    mem_free(b->settled);
}
