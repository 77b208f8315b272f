/* Clusters that requests ask for (on-demand CDS, rule O08). A name stays subscribed once it has
 * been asked for, so the server tells when it comes, changes and goes, and one that the server does
 * not have is answered from here. What clients can make of this is bounded: names that no server
 * could have are not asked for, and of a full table the name that was last known to be absent for
 * the longest time goes. */
#include <string.h>

#include "base/memory.h"
#include "config/builder_private.h"
#include "config/utf8.h"

struct demand {
    struct list link; /* in builder.absent, the oldest first; of its own: not answered, or there */
    struct source_ref *source;
    struct bytes name, key; /* in the same piece of heap */
};

void builder_demand_key(struct strbuf *out, const struct config_source *source, struct bytes name)
{
    strbuf_printf(out, "%zu:", source->key.len);
    strbuf_add_bytes(out, source->key);
    strbuf_add_bytes(out, name);
}

static struct demand *find(const struct builder *b, const struct config_source *source,
                           struct bytes name)
{
    struct strbuf key = STRBUF_INIT;
    builder_demand_key(&key, source, name);
    struct demand *d = map_get(&b->demands, strbuf_bytes(&key));
    strbuf_fini(&key);
    return d;
}

static struct demand *add(struct builder *b, const struct config_source *source, struct bytes name)
{
    struct strbuf key = STRBUF_INIT;
    builder_demand_key(&key, source, name);
    struct demand *d = mem_alloc(sizeof(*d) + key.len);
    char *text = memcpy(d + 1, key.data, key.len);
    d->key = bytes_from(text, key.len);
    d->name = bytes_skip(d->key, key.len - name.len);
    d->source = store_source(&b->store, source);
    list_init(&d->link);
    map_set(&b->demands, d->key, d);
    strbuf_fini(&key);
    return d;
}

static void forget(struct builder *b, struct demand *d)
{
    if (!b->closing)
        b->table.unwant(b->table.ctx, &d->source->source, RESOURCE_CLUSTER, d->name);
    list_remove(&d->link);
    map_remove(&b->demands, d->key);
    store_source_unref(&b->store, &d->source);
    mem_free(d);
}

/* Could a server have a cluster of that name? What is no text would end the stream for all, and "*"
 * asks for everything. */
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

static void answer(struct builder *b, const struct config_source *source, struct bytes name)
{
    struct strbuf key = STRBUF_INIT;
    builder_demand_key(&key, source, name);
    if (b->table.demand_absent)
        b->table.demand_absent(b->table.ctx, strbuf_bytes(&key));
    strbuf_fini(&key);
}

static bool held(const struct builder *b, struct bytes name)
{
    const struct resource *r = store_find(&b->store, NULL, RESOURCE_CLUSTER, name);
    return r && (r->active || r->pending) && !r->doomed;
}

void builder_demand_cluster(struct builder *b, const struct config_source *source,
                            struct bytes name)
{
    struct demand *d = find(b, source, name);
    if (held(b, name) || (d && list_empty(&d->link)))
        return; /* the cluster, or an answer, is on its way */
    if (d) {
        answer(b, source, name);
        return;
    }
    if (!name_possible(name) || !make_room(b)) {
        stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_REFUSED);
        answer(b, source, name);
        return;
    }
    add(b, source, name);
    stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_ASKED);
    stat_set(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_NAMES,
             (int64_t)map_count(&b->demands));
    b->table.want(b->table.ctx, source, RESOURCE_CLUSTER, name);
    b->table.wants_done(b->table.ctx);
}

void builder_demand_absent(struct builder *b, const struct config_source *source, struct bytes name)
{
    struct demand *d = map_count(&b->demands) ? find(b, source, name) : NULL;
    if (!d || held(b, name))
        return;
    list_remove(&d->link);
    list_push_back(&b->absent, &d->link);
    stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_ON_DEMAND_ABSENT);
    answer(b, source, name);
}

void builder_demand_came(struct builder *b, const struct config_source *source, struct bytes name)
{
    struct demand *d = map_count(&b->demands) ? find(b, source, name) : NULL;
    if (d)
        list_remove(&d->link);
}

void builder_demands_fini(struct builder *b)
{
    struct bytes key;
    void *value;
    for (size_t it = 0; map_next(&b->demands, &it, &key, &value); it = 0)
        forget(b, value);
    map_fini(&b->demands);
}
