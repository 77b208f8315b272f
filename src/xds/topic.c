#include "xds/topic.h"

#include <stdio.h>

#include "base/bytes_set.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/xxhash64.h"
#include "config/utf8.h"
#include "config/wire.h"
#include "config/xdstp.h"
#include "xds/world_guard.h"

enum { CODE_NOT_FOUND = 5 };

#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc subscription_stats[] = {SUBSCRIPTION_STAT_LIST(X)};
#undef X
const struct stat_schema cds_stat_schema = {subscription_stats, ARRAY_SIZE(subscription_stats)};
const struct stat_schema lds_stat_schema = {subscription_stats, SUBSCRIPTION_STATS_OF_ALL};

static const char *const topic_scopes[RESOURCE_TYPE_COUNT] = {
    [RESOURCE_CLUSTER] = "cluster_manager.cds",
    [RESOURCE_LISTENER] = "listener_manager.lds",
};

/* Rule T07: as if the server had removed them. */
static void on_expired(void *owner, const struct bytes *names, size_t n)
{
    struct topic *t = owner;
    struct builder *b = t->home->builder;
    struct update_result result = {0};
    struct strbuf version = STRBUF_INIT;
    for (size_t i = 0; i < n; i++)
        LOG(LOG_CONFIG, LOG_INFO, "%s: the time to live of '%.*s' is over",
            resource_type_short(t->type), BYTES_ARG(names[i]));
    strbuf_add_str(&version, builder_type_version(b, t->type));
    config_update(b, t->home->source, t->type, NULL, 0, names, n, false, strbuf_bytes(&version),
                  &result);
    update_result_fini(&result);
    strbuf_fini(&version);
    builder_commit(b);
}

void topic_init(struct topic *t, const struct topic_home *home, enum resource_type type)
{
    const char *scope = topic_scopes[type];
    *t = (struct topic){.home = home, .type = type};
    subscription_init(&t->sub, resource_type_url(type), resource_type_is_wildcard(type),
                      home->source->api.delta);
    ttl_init(&t->ttl, home->table, on_expired, t);
    if (scope)
        t->stats = stat_scope_get(home->table->stats, bytes_of(scope),
                                  type == RESOURCE_CLUSTER ? &cds_stat_schema : &lds_stat_schema);
}

void topic_fini(struct topic *t)
{
    subscription_fini(&t->sub);
    ttl_fini(&t->ttl);
    stat_scope_unref(&t->stats);
}

void topic_want(struct topic *t, struct bytes name)
{
    subscription_want(&t->sub, name);
}

void topic_unwant(struct topic *t, struct bytes name)
{
    subscription_unwant(&t->sub, name);
    ttl_clear(&t->ttl, name);
}

void topic_count(struct topic *t, enum subscription_stat id)
{
    if (t->stats)
        stat_inc(t->stats, STAT_SLOT_CONFIG, id);
}

/* Is the collection wanted that a resource of this name is one of? */
static bool in_collection(const struct topic *t, struct bytes name)
{
    if (!t->sub.wildcard_type || !xdstp_is(name))
        return false;
    struct arena *a = arena_new(0);
    struct bytes all = xdstp_collection(a, name);
    bool wanted = all.data && subscription_wants(&t->sub, all);
    arena_free(&a);
    return wanted;
}

/* What a resource is called here: rules S11 (what nobody asked for is passed over: data NULL) and
 * D12 (who asked by an alias gets it by that). */
static struct bytes wanted_name(const struct topic *t, const struct discovery_resource *x)
{
    struct bytes rest = x->wrapper, alias;
    if (subscription_is_wildcard(&t->sub) || subscription_wants(&t->sub, x->name) ||
        in_collection(t, x->name))
        return x->name;
    while (discovery_next_alias(&rest, &alias)) {
        if (subscription_wants(&t->sub, alias))
            return alias;
    }
    return BYTES_NONE;
}

static const struct resource_version *held_version(const struct topic *t, struct bytes name)
{
    struct resource *r =
        store_find(builder_store(t->home->builder), t->home->source, t->type, name);
    if (!r || r->doomed)
        return NULL;
    return r->pending ? r->pending : r->active;
}

/* Rule T08: a resource without its body, at the version that is held, lives on. */
static bool heartbeat_valid(const struct topic *t, const struct discovery_resource *x,
                            struct error *err)
{
    struct bytes name = wanted_name(t, x);
    const struct resource_version *v = name.data && !x->wire.data ? held_version(t, name) : NULL;
    if (!name.data || x->wire.data)
        return true;
    const char *held = v ? t->sub.delta ? v->version->text : t->sub.version : NULL;
    if (held && bytes_eq_str(x->version, held))
        return true;
    return error_set(err, "resource '%.*s' has no body, and no version '%.*s' of it is held",
                     BYTES_ARG(x->name), BYTES_ARG(x->version));
}

/* b is in order. */
static bool same_name(struct bytes a, struct bytes b)
{
    if (bytes_eq(a, b) || !xdstp_is(a))
        return bytes_eq(a, b);
    struct arena *scratch = arena_new(0);
    bool same = bytes_eq(xdstp_canonical(scratch, a), b);
    arena_free(&scratch);
    return same;
}

static bool resource_valid(const struct topic *t, struct discovery_resource *x,
                           struct bytes_set *names, struct error *err)
{
    if (x->wire.data && !bytes_eq_str(x->type_url, t->sub.type_url))
        return error_set(err,
                         "type URL %.*s embedded in an individual Any does not match the "
                         "message-wide type URL %s in %sDiscoveryResponse",
                         BYTES_ARG(x->type_url), t->sub.type_url, t->sub.delta ? "Delta" : "");
    if (utf8_check(x->name) != x->name.len)
        return error_set(err, "the name of a resource is not valid UTF-8: '%.*s'",
                         BYTES_ARG(x->name));
    struct bytes own_name = wire_find_bytes(x->wire, 1);
    if (t->sub.wildcard_type && own_name.len && !same_name(own_name, x->name))
        return error_set(err, "resource '%.*s' contains one named '%.*s'", BYTES_ARG(x->name),
                         BYTES_ARG(own_name));
    if (x->ttl_bad)
        return error_set(err, "resource '%.*s': its ttl is no valid duration", BYTES_ARG(x->name));
    x->again = !bytes_set_add(names, x->name);
    if (!x->again || (!t->sub.delta && !t->sub.wildcard_type))
        return true;
    if (t->sub.delta)
        return error_set(err, "duplicate name %.*s found among added/updated resources",
                         BYTES_ARG(x->name));
    return error_set(err, "duplicate resource %.*s found in response of type %s",
                     BYTES_ARG(x->name), t->sub.type_url);
}

/* Rules S10, S12 and D06: what spoils the whole response. */
static bool response_valid(const struct topic *t, const struct discovery_response *r,
                           struct error *err)
{
    struct bytes_set names;
    bool ok = bytes_set_init(&names, r->n_resources + r->n_removed);
    if (!ok)
        error_set(err, "out of memory for the names of %zu resources", r->n_resources);
    for (size_t i = 0; ok && i < r->n_resources; i++)
        ok = resource_valid(t, &r->resources[i], &names, err) &&
             heartbeat_valid(t, &r->resources[i], err);
    for (size_t i = 0; ok && i < r->n_removed; i++) {
        if (!bytes_set_add(&names, r->removed[i]))
            ok = error_set(err, "duplicate name %.*s found in the union of added+removed resources",
                           BYTES_ARG(r->removed[i]));
    }
    bytes_set_fini(&names);
    return ok;
}

struct batch {
    struct resource_update *updates;
    size_t n_updates, cap_updates;
    struct bytes *removed;
    size_t n_removed, cap_removed;
    bool no_memory; /* for the lists */
};

static void add_removed(struct batch *b, struct bytes name)
{
    if (mem_try_grow(&b->removed, &b->cap_removed, b->n_removed + 1, sizeof(*b->removed)))
        b->removed[b->n_removed++] = name;
    else
        b->no_memory = true;
}

static void add_update(struct batch *b, struct resource_update u)
{
    if (mem_try_grow(&b->updates, &b->cap_updates, b->n_updates + 1, sizeof(*b->updates)))
        b->updates[b->n_updates++] = u;
    else
        b->no_memory = true;
}

static void take_ttl(struct topic *t, const struct discovery_resource *x, struct bytes name)
{
    if (x->has_ttl)
        ttl_set(&t->ttl, name, x->ttl_ms);
    else
        ttl_clear(&t->ttl, name);
}

/* It is named, so it is not one that is gone (R01). */
static void add_kept(const struct topic *t, struct bytes name, struct batch *b)
{
    if (!t->sub.delta && t->sub.wildcard_type)
        add_update(b, (struct resource_update){.name = name, .keep = true});
}

static void batch_resources(struct topic *t, const struct discovery_response *r, struct batch *b)
{
    for (size_t i = 0; i < r->n_resources; i++) {
        const struct discovery_resource *x = &r->resources[i];
        struct bytes name = wanted_name(t, x);
        if (!name.data || x->again)
            continue;
        take_ttl(t, x, name);
        if (!x->wire.data) {
            add_kept(t, name, b);
            continue;
        }
        /* Empty is a version too where each resource has its own (D13). */
        struct bytes version = t->sub.delta || x->version.len ? x->version : r->version;
        add_update(b, (struct resource_update){name, version, x->type_url, x->wire});
    }
    for (size_t i = 0; i < r->n_removed; i++) {
        add_removed(b, r->removed[i]);
        ttl_clear(&t->ttl, r->removed[i]);
    }
}

static bool only_heartbeats(const struct discovery_response *r)
{
    for (size_t i = 0; i < r->n_resources; i++) {
        if (r->resources[i].wire.data)
            return false;
    }
    return r->n_resources > 0;
}

/* Rule A11: NOT_FOUND removes the named resource, any other code keeps what is cached. What comes
 * itself beside its error is used. */
static void batch_errors(struct topic *t, const struct discovery_response *r, struct batch *b)
{
    struct map there = MAP_INIT;
    for (size_t i = 0; r->n_errors && i < r->n_resources; i++) {
        if (r->resources[i].wire.data)
            map_set(&there, r->resources[i].name, &there);
    }
    for (size_t i = 0; i < r->n_errors; i++) {
        const struct discovery_error *e = &r->errors[i];
        LOG(LOG_CONFIG, LOG_WARNING,
            "%s: the server reports an error for resource '%.*s': %d, %.*s",
            resource_type_short(t->type), BYTES_ARG(e->name), e->code, BYTES_ARG(e->message));
        if (map_has(&there, e->name))
            continue;
        if (e->code == CODE_NOT_FOUND) {
            add_removed(b, e->name);
            ttl_clear(&t->ttl, e->name);
        } else {
            add_kept(t, e->name, b);
        }
    }
    map_fini(&there);
}

bool topic_add_missing(const struct topic *t, struct discovery_response *r)
{
    struct map there = MAP_INIT;
    struct bytes name;
    void *value;
    bool ok = true;
    for (size_t i = 0; i < r->n_resources; i++)
        map_set(&there, r->resources[i].name, &there);
    for (size_t it = 0; ok && map_next(&t->sub.names, &it, &name, &value);) {
        if (map_has(&there, name) || bytes_eq_str(name, "*"))
            continue;
        ok = mem_try_grow(&r->removed, &r->cap_removed, r->n_removed + 1, sizeof(*r->removed));
        if (ok)
            r->removed[r->n_removed++] = name;
    }
    map_fini(&there);
    return ok;
}

static void update_stats(struct topic *t, struct bytes version, bool ok, uint64_t started_ns)
{
    const struct clock *c = t->home->table->clock;
    topic_count(t, ok ? STAT_SUB_UPDATE_SUCCESS : STAT_SUB_UPDATE_REJECTED);
    if (!t->stats || !ok)
        return;
    stat_record(t->stats, STAT_SLOT_CONFIG, STAT_SUB_UPDATE_DURATION,
                (c->monotonic_ns(c) - started_ns) / NS_PER_MS);
    stat_set(t->stats, STAT_SLOT_CONFIG, STAT_SUB_UPDATE_TIME,
             (int64_t)(c->wall_ns(c) / NS_PER_MS));
    stat_set(t->stats, STAT_SLOT_CONFIG, STAT_SUB_VERSION, (int64_t)xxhash64(version));
    stat_set_text(t->stats, STAT_SUB_VERSION_TEXT, version);
}

static void refuse(struct topic *t, struct error *err, const char *fmt, size_t n)
{
    error_set(err, fmt, n);
    config_update_failed(t->home->builder, t->home->source, t->type);
}

void topic_stream_opened(struct topic *t, bool guard)
{
    subscription_stream_opened(&t->sub);
    t->refused = 0;
    t->guarded = guard && resource_type_is_global(t->type) && t->home->table->min_world_share;
}

/* False: so little is left of the world that it is held back. */
static bool guard_allows(struct topic *t, const struct discovery_response *r, bool full,
                         struct error *err)
{
    unsigned percent = t->home->table->min_world_share;
    if (!t->guarded)
        return true;
    struct world_share s = world_share_of(t->home->builder, t->home->source, t->type, r, full);
    t->held_back = !world_share_enough(s, percent);
    t->guarded = t->held_back;
    return !t->held_back ||
           error_set(err,
                     "held back by --min-world-share %u: %zu of %zu %s would be left of what is "
                     "served",
                     percent, s.left, s.held,
                     t->type == RESOURCE_CLUSTER ? "clusters" : "listeners");
}

/* Something is another than before, by what was good of a response. */
static void count_reload(struct topic *t, const struct update_result *result)
{
    const struct clock *c = t->home->table->clock;
    if (t->type != RESOURCE_CLUSTER ||
        result->n_accepted - result->n_unchanged + result->n_removed == 0)
        return;
    topic_count(t, STAT_SUB_CONFIG_RELOAD);
    stat_set(t->stats, STAT_SLOT_CONFIG, STAT_SUB_CONFIG_RELOAD_TIME_MS,
             (int64_t)(c->wall_ns(c) / NS_PER_MS));
}

/* Nobody can have asked for what has no name. Where that is because it cannot be read, or has to
 * have one, it is bad (A07): the first is told. */
static void refuse_nameless(const struct topic *t, const struct discovery_response *r,
                            struct error *err)
{
    struct decode_context *ctx = builder_decode_context(t->home->builder);
    struct error why = ERROR_INIT;
    bool named_type = !t->sub.wildcard_type && !t->sub.delta;
    for (size_t i = 0; named_type && !error_is_set(&why) && i < r->n_resources; i++) {
        const struct discovery_resource *x = &r->resources[i];
        if (x->name.len || !x->wire.data)
            continue;
        if (!decode_check(ctx, resource_type_name(t->type), x->wire, &why))
            error_append(err, "; ", "a resource without a name: %s", error_text(&why));
    }
    error_fini(&why);
}

static void apply(struct topic *t, const struct discovery_response *r, struct error *err)
{
    struct batch b = {0};
    struct update_result result = {0};
    struct strbuf text = STRBUF_INIT;
    bool full = subscription_is_wildcard(&t->sub) && !t->sub.delta && !only_heartbeats(r);
    if (!response_valid(t, r, err)) {
        config_update_failed(t->home->builder, t->home->source, t->type);
        return;
    }
    if (!guard_allows(t, r, full, err)) {
        config_update_failed(t->home->builder, t->home->source, t->type);
        return;
    }
    batch_resources(t, r, &b);
    batch_errors(t, r, &b);
    if (b.no_memory) {
        refuse(t, err, "out of memory for the list of %zu resources", r->n_resources);
        mem_free(b.updates);
        mem_free(b.removed);
        return;
    }
    config_update(t->home->builder, t->home->source, t->type, b.updates, b.n_updates, b.removed,
                  b.n_removed, full, r->version, &result);
    count_reload(t, &result);
    for (unsigned i = 0; i < result.n_errors; i++)
        LOG(LOG_CONFIG, topic_log_level(t), "%s '%s' rejected: %s", resource_type_short(t->type),
            result.errors[i].name, result.errors[i].details);
    if (update_result_text(&result, t->type, &text))
        error_set(err, "%s", strbuf_str(&text));
    refuse_nameless(t, r, err);
    strbuf_fini(&text);
    update_result_fini(&result);
    mem_free(b.updates);
    mem_free(b.removed);
}

/* Names that differ in the order of their parameters are one. *a is made when it is needed. */
static void put_in_order(struct arena **a, struct bytes *name)
{
    if (!xdstp_is(*name))
        return;
    if (!*a)
        *a = arena_new(0);
    *name = xdstp_canonical(*a, *name);
}

/* A listener need not have a name: it gets one that is nobody's, and keeps it. */
static void name_listeners(struct topic *t, const struct discovery_response *r)
{
    for (size_t i = 0; t->type == RESOURCE_LISTENER && i < r->n_resources; i++) {
        struct discovery_resource *x = &r->resources[i];
        if (x->name.len || !x->wire.data)
            continue;
        if (!t->unnamed[0])
            random_uuid4(t->home->table->random, t->unnamed);
        x->name = bytes_of(t->unnamed);
    }
}

static void put_names_in_order(struct arena **a, const struct discovery_response *r)
{
    for (size_t i = 0; i < r->n_resources; i++)
        put_in_order(a, &r->resources[i].name);
    for (size_t i = 0; i < r->n_removed; i++)
        put_in_order(a, &r->removed[i]);
    for (size_t i = 0; i < r->n_errors; i++)
        put_in_order(a, &r->errors[i].name);
}

/* What a response says, whatever its nonce and in whatever order: the sum of both. The first before
 * it is used, since what it removes may be the name of a subscription that ends thereby; the bytes
 * are hashed for one that is refused alone. */
static uint64_t hash_of_names(const struct discovery_response *r)
{
    uint64_t h = xxhash64(r->version);
    for (size_t i = 0; i < r->n_removed; i++)
        h += xxhash64(r->removed[i]);
    return h;
}

static uint64_t hash_of_bytes(const struct discovery_response *r)
{
    uint64_t h = 0;
    for (size_t i = 0; i < r->n_resources; i++)
        h += xxhash64(r->resources[i].wire);
    return h;
}

enum log_level topic_log_level(const struct topic *t)
{
    return t->repeated ? LOG_DEBUG : LOG_WARNING;
}

/* What a response may take besides its resources: lists, their places in the maps, requests. */
enum { ROOM_PER_BYTE = 4, ROOM_LEAST = 128 * 1024 };

void topic_apply(struct topic *t, const struct discovery_response *r, struct error *err)
{
    const struct clock *c = t->home->table->clock;
    uint64_t started = c->monotonic_ns(c);
    struct arena *names = NULL;
    uint64_t hash = hash_of_names(r);
    t->repeated = t->refused && t->refused == ((hash + hash_of_bytes(r)) | 1);
    if (mem_reserve(ROOM_LEAST + r->size * ROOM_PER_BYTE)) {
        name_listeners(t, r);
        put_names_in_order(&names, r);
        apply(t, r, err);
    } else {
        refuse(t, err, "out of memory for a response of %zu bytes", r->size);
    }
    arena_free(&names);
    t->refused = error_is_set(err) ? (hash + hash_of_bytes(r)) | 1 : 0;
    t->repeated &= error_is_set(err);
    update_stats(t, r->version, !error_is_set(err), started);
}
