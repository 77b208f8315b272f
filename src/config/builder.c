#include "config/builder_private.h"

#include "base/memory.h"
#include "config/sensitive.h"
#include "config/tls_live.h"

static bool known_cluster(void *owner, struct bytes name)
{
    const struct builder *b = owner;
    const struct resource *r = store_find(&b->store, NULL, RESOURCE_CLUSTER, name);
    return r && (r->active || r->pending) && !r->doomed;
}

static bool control_cluster(void *owner, struct bytes name)
{
    const struct builder *b = owner;
    const struct resource *r = store_find(&b->store, NULL, RESOURCE_CLUSTER, name);
    if (!r || !r->is_static)
        return false;
    const struct resource_version *v = r->active ? r->active : r->pending;
    return v && v->cluster->type != CLUSTER_EDS;
}

struct builder *builder_new(const struct builder_table *table, const struct builder_options *o)
{
    struct builder *b = NEW(struct builder);
    b->table = *table;
    b->options = *o;
    b->ctx = (struct decode_context){.descriptors = o->descriptors,
                                     .validator = o->validator,
                                     .filters = o->filters,
                                     .stats = o->stats,
                                     .report = o->report,
                                     .strict = o->strict,
                                     .tls = o->tls,
                                     .control_cluster_ok = control_cluster,
                                     .cluster_known = known_cluster,
                                     .owner = b};
    b->first_expiry = INT64_MAX;
    store_init(&b->store);
    b->clusters = (struct pmap)PMAP_INIT(node_release);
    b->listeners = (struct pmap)PMAP_INIT(node_release);
    b->routes = (struct pmap)PMAP_INIT(node_release);
    list_init(&b->dirty);
    list_init(&b->want_changes);
    list_init(&b->drains);
    list_init(&b->live_sockets);
    list_init(&b->held_routes);
    list_init(&b->absent);
    b->cm_stats = stat_scope_get(o->stats, BYTES("cluster_manager"), &cluster_manager_stat_schema);
    b->lm_stats =
        stat_scope_get(o->stats, BYTES("listener_manager"), &listener_manager_stat_schema);
    b->async_stats =
        stat_scope_get(o->stats, BYTES("http.async-client"), &async_client_stat_schema);
    b->decode_stats = stat_scope_get(o->stats, BYTES("xylem.config"), &decode_stat_schema);
    return b;
}

static void drop_all(struct builder *b, enum resource_type type)
{
    LIST_EACH(it, &b->store.lists[type])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        builder_drop_version(b, &r->pending);
        builder_drop_version(b, &r->active);
        if (resource_type_is_global(type))
            store_remove(&b->store, r);
    }
}

/* Nobody asks for them, so nobody forgets them. */
static void drop_static_secrets(struct builder *b)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_SECRET])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->is_static)
            store_remove(&b->store, r);
    }
}

void builder_free(struct builder **bp)
{
    struct builder *b = *bp;
    *bp = NULL;
    if (!b)
        return;
    b->stage = INIT_DONE;
    b->closing = true;
    builder_drain_fini(b);
    builder_hold_fini(b);
    builder_live_fini(b);
    drop_all(b, RESOURCE_LISTENER);
    builder_scopes_fini(b);
    drop_all(b, RESOURCE_CLUSTER);
    drop_all(b, RESOURCE_ROUTE);
    drop_all(b, RESOURCE_ENDPOINT);
    drop_all(b, RESOURCE_SECRET);
    drop_static_secrets(b);
    drop_all(b, RESOURCE_EXTENSION);
    drop_all(b, RESOURCE_VIRTUAL_HOST);
    drop_all(b, RESOURCE_RUNTIME);
    builder_demands_fini(b);
    builder_wants_fini(b);
    b->changed = false;
    pmap_fini(&b->clusters);
    pmap_fini(&b->listeners);
    pmap_fini(&b->routes);
    builder_snapshots_fini(b);
    mem_free(b->releases);
    stat_scope_unref(&b->cm_stats);
    stat_scope_unref(&b->lm_stats);
    stat_scope_unref(&b->decode_stats);
    stat_scope_unref(&b->async_stats);
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        mem_free(b->type_versions[t]);
        mem_free(b->sorted[t]);
    }
    store_fini(&b->store);
    mem_free(b);
}

struct decode_context *builder_decode_context(struct builder *b)
{
    return &b->ctx;
}

const struct store *builder_store(const struct builder *b)
{
    return &b->store;
}

uint64_t builder_decoded(const struct builder *b, enum resource_type type)
{
    return b->decoded[type];
}

const char *builder_type_version(const struct builder *b, enum resource_type type)
{
    return b->type_versions[type] ? b->type_versions[type] : "";
}

uint64_t builder_wall_ns(const struct builder *b)
{
    return b->table.clock->wall_ns(b->table.clock);
}

uint64_t builder_monotonic_ns(const struct builder *b)
{
    return b->table.clock->monotonic_ns(b->table.clock);
}

void builder_mark_dirty(struct builder *b, struct resource *r)
{
    b->names_moved |= r->type == RESOURCE_LISTENER || r->type == RESOURCE_ROUTE;
    if (list_empty(&r->dirty_link))
        list_push_back(&b->dirty, &r->dirty_link);
}

struct resource_version *builder_version(struct builder *b, struct resource *r,
                                         const struct incoming *in)
{
    struct resource_version *v =
        resource_version_new(r, in->u->wire, in->u->type_url, in->u->version, in->wall_ns);
    v->holds_secret =
        b->options.find_secrets &&
        sensitive_found(b->options.descriptors, bytes_of(resource_type_name(r->type)), in->u->wire);
    return v;
}

void builder_drop_version(struct builder *b, struct resource_version **vp)
{
    struct resource_version *v = *vp;
    *vp = NULL;
    if (!v)
        return;
    if (v->resource->type == RESOURCE_CLUSTER && v->dns_generation && !b->closing)
        b->table.dns_stop(b->table.ctx, v->cluster, v->dns_generation);
    builder_release_later(b, v);
    builder_undepend(b, v);
    if (v->resource->type == RESOURCE_SECRET)
        builder_secret_unwatch(b, v);
    b->expiry_stale |= v->resource->type == RESOURCE_CLUSTER
                           ? cluster_has_tls(v->cluster)
                           : v->resource->type == RESOURCE_LISTENER;
    resource_version_free(&v);
}

/* Gauges of both managers. */
void builder_count(struct builder *b)
{
    unsigned active[RESOURCE_TYPE_COUNT] = {0}, warming[RESOURCE_TYPE_COUNT] = {0};
    active[RESOURCE_CLUSTER] = (unsigned)b->clusters.count;
    active[RESOURCE_LISTENER] = (unsigned)b->listeners.count;
    warming[RESOURCE_CLUSTER] = b->n_warming[RESOURCE_CLUSTER];
    warming[RESOURCE_LISTENER] = b->n_warming[RESOURCE_LISTENER];
    stat_set(b->cm_stats, STAT_SLOT_CONFIG, STAT_CM_ACTIVE_CLUSTERS, active[RESOURCE_CLUSTER]);
    stat_set(b->cm_stats, STAT_SLOT_CONFIG, STAT_CM_WARMING_CLUSTERS, warming[RESOURCE_CLUSTER]);
    stat_set(b->lm_stats, STAT_SLOT_CONFIG, STAT_LM_TOTAL_LISTENERS_ACTIVE,
             active[RESOURCE_LISTENER]);
    stat_set(b->lm_stats, STAT_SLOT_CONFIG, STAT_LM_TOTAL_LISTENERS_WARMING,
             warming[RESOURCE_LISTENER]);
}

void builder_count_decoded(struct builder *b, enum resource_type type)
{
    static const enum decode_stat stats[RESOURCE_TYPE_COUNT] = {
        [RESOURCE_CLUSTER] = STAT_DECODED_CDS,       [RESOURCE_ENDPOINT] = STAT_DECODED_EDS,
        [RESOURCE_LISTENER] = STAT_DECODED_LDS,      [RESOURCE_ROUTE] = STAT_DECODED_RDS,
        [RESOURCE_SECRET] = STAT_DECODED_SDS,        [RESOURCE_RUNTIME] = STAT_DECODED_RTDS,
        [RESOURCE_EXTENSION] = STAT_DECODED_ECDS,    [RESOURCE_VIRTUAL_HOST] = STAT_DECODED_VHDS,
        [RESOURCE_SCOPED_ROUTE] = STAT_DECODED_SRDS,
    };
    b->decoded[type]++;
    stat_inc(b->decode_stats, STAT_SLOT_CONFIG, stats[type]);
}

void builder_keep_version(struct resource_version *v, const struct incoming *in)
{
    resource_version_rename(v, in->u->version);
}

/* ---- updates ---- */

void update_result_fini(struct update_result *r)
{
    for (unsigned i = 0; i < r->n_errors; i++) {
        mem_free(r->errors[i].name);
        mem_free(r->errors[i].details);
    }
    mem_free(r->errors);
    *r = (struct update_result){0};
}

static const char *const result_words[] = {
    [RESOURCE_CLUSTER] = "cluster(s)",
    [RESOURCE_ENDPOINT] = "cluster load assignment(s)",
    [RESOURCE_LISTENER] = "listener(s)",
    [RESOURCE_ROUTE] = "route configuration(s)",
    [RESOURCE_SECRET] = "secret(s)",
    [RESOURCE_RUNTIME] = "runtime layer(s)",
    [RESOURCE_EXTENSION] = "filter configuration(s)",
    [RESOURCE_VIRTUAL_HOST] = "virtual host(s)",
    [RESOURCE_SCOPED_ROUTE] = "scoped route(s)",
};

bool update_result_text(const struct update_result *r, enum resource_type type, struct strbuf *out)
{
    if (r->n_errors == 0)
        return false;
    strbuf_printf(out, "Error adding/updating %s ", result_words[type]);
    for (unsigned i = 0; i < r->n_errors; i++)
        strbuf_printf(out, "%s%s: %s", i ? ", " : "", r->errors[i].name, r->errors[i].details);
    return true;
}

static void add_error(struct update_result *result, struct bytes name, const char *details)
{
    size_t cap = result->cap_errors;
    GROW(result->errors, cap, result->n_errors + 1u);
    result->cap_errors = (unsigned)cap;
    struct update_error *e = &result->errors[result->n_errors++];
    e->name = mem_alloc(name.len + 1);
    if (name.len)
        memcpy(e->name, name.data, name.len);
    e->name[name.len] = '\0';
    e->details = mem_strdup(details);
}

static bool update_by_type(struct builder *b, struct resource *r, const struct incoming *in,
                           bool *unchanged, struct error *err)
{
    switch ((enum resource_type)r->type) {
    case RESOURCE_CLUSTER:
        return builder_cluster_update(b, r, in, unchanged, err);
    case RESOURCE_ENDPOINT:
        return builder_endpoint_update(b, r, in, unchanged, err);
    case RESOURCE_LISTENER:
        return builder_listener_update(b, r, in, unchanged, err);
    case RESOURCE_ROUTE:
        return builder_route_update(b, r, in, unchanged, err);
    case RESOURCE_SECRET:
        return builder_secret_update(b, r, in, unchanged, err);
    case RESOURCE_EXTENSION:
        return builder_extension_update(b, r, in, unchanged, err);
    case RESOURCE_VIRTUAL_HOST:
        return builder_vhost_update(b, r, in, unchanged, err);
    case RESOURCE_SCOPED_ROUTE:
        return builder_scope_update(b, r, in, unchanged, err);
    case RESOURCE_RUNTIME:
        return builder_runtime_update(b, r, in, unchanged, err);
    case RESOURCE_TYPE_COUNT:
        break;
    }
    return error_set(err, "the type is not known");
}

void builder_forget_sorted(struct builder *b, enum resource_type type)
{
    mem_free(b->sorted[type]);
    b->sorted[type] = NULL;
}

static void answered(struct builder *b, enum resource_type type)
{
    unsigned bit = 1u << type;
    if (b->giving_kept) {
        b->kept |= bit;
    } else {
        b->answered |= bit;
        b->kept &= ~bit;
    }
}

void builder_give_kept(struct builder *b, const struct config_source *source,
                       enum resource_type type, const struct resource_update *updates,
                       size_t n_updates, struct bytes version, struct update_result *result)
{
    b->giving_kept = true;
    config_update(b, source, type, updates, n_updates, NULL, 0, true, version, result);
    b->giving_kept = false;
}

enum { WORLD = 1u << RESOURCE_CLUSTER | 1u << RESOURCE_LISTENER };

bool builder_serves_kept(const struct builder *b)
{
    return (b->cds || b->lds ? b->kept & WORLD : b->kept) != 0;
}

bool builder_has_answer(const struct builder *b, enum resource_type type)
{
    return b->answered >> type & 1;
}

bool builder_has_world(const struct builder *b)
{
    return (!b->cds || builder_has_answer(b, RESOURCE_CLUSTER)) &&
           (!b->lds || builder_has_answer(b, RESOURCE_LISTENER)) && b->answered;
}

/* A resource of that name, made where there is none. NULL: nobody wants it, or it is static. */
static struct resource *target_of(struct builder *b, const struct incoming *in,
                                  enum resource_type type)
{
    struct resource *r = store_find(&b->store, in->source, type, in->u->name);
    if (r)
        return r->is_static && in->source ? NULL : r;
    if (!resource_type_is_wildcard(type))
        return NULL;
    builder_forget_sorted(b, type);
    return store_add(&b->store, in->source, type, in->u->name);
}

/* What a resource may take while it is decoded, per byte of it: upb alone takes 25 for clusters. */
enum { ROOM_PER_BYTE = 32, ROOM_LEAST = 128 * 1024 };

/* Set aside before the first byte is decoded, so that a resource too large for this machine is
 * refused, and one that was begun is finished, instead of ending the process. */
bool builder_has_room(struct bytes wire, struct error *err)
{
    if (wire.len < SIZE_MAX / ROOM_PER_BYTE - ROOM_LEAST &&
        mem_reserve(ROOM_LEAST + wire.len * ROOM_PER_BYTE))
        return true;
    return error_set(err, "out of memory for a resource of %zu bytes", wire.len);
}

static void count_rejected(struct builder *b, enum resource_type type)
{
    static const enum decode_stat stats[RESOURCE_TYPE_COUNT] = {
        [RESOURCE_CLUSTER] = STAT_REJECTED_CDS,       [RESOURCE_ENDPOINT] = STAT_REJECTED_EDS,
        [RESOURCE_LISTENER] = STAT_REJECTED_LDS,      [RESOURCE_ROUTE] = STAT_REJECTED_RDS,
        [RESOURCE_RUNTIME] = STAT_REJECTED_RTDS,      [RESOURCE_SECRET] = STAT_REJECTED_SDS,
        [RESOURCE_EXTENSION] = STAT_REJECTED_ECDS,    [RESOURCE_VIRTUAL_HOST] = STAT_REJECTED_VHDS,
        [RESOURCE_SCOPED_ROUTE] = STAT_REJECTED_SRDS,
    };
    stat_inc(b->decode_stats, STAT_SLOT_CONFIG, stats[type]);
}

static void update_one(struct builder *b, struct resource *r, const struct incoming *in,
                       struct update_result *result)
{
    struct error err = ERROR_INIT;
    bool unchanged = false;
    b->ctx.self = in->source;
    bool room = builder_has_room(in->u->wire, &err);
    if (!room)
        builder_secret_forget_refused(b, r); /* this is newer */
    if (room && update_by_type(b, r, in, &unchanged, &err)) {
        result->n_accepted++;
        result->n_unchanged += unchanged;
        builder_hold_keep_cluster(b, r);
        r->absent = r->timed_out = false;
        resource_clear_rejected(r);
        if (r->type == RESOURCE_CLUSTER)
            builder_demand_came(b, in->source, r->name);
    } else {
        resource_reject(r, room ? in->u->wire : BYTES_NONE, in->u->version, error_text(&err),
                        in->wall_ns);
        add_error(result, in->u->name, error_text(&err));
        count_rejected(b, r->type);
        if (r->type == RESOURCE_CLUSTER)
            builder_demand_absent(b, in->source, r->name);
    }
    error_fini(&err);
    builder_settle(b, r);
}

static void remove_one(struct builder *b, struct resource *r, struct update_result *result)
{
    bool had = r->active || r->pending;
    if (r->type == RESOURCE_CLUSTER && builder_hold_cluster(b, r))
        return;
    builder_forget_sorted(b, r->type);
    if (r->type == RESOURCE_CLUSTER) {
        builder_cluster_remove(b, r);
        builder_demand_absent(b, &r->source->source, r->name);
    } else if (r->type == RESOURCE_SCOPED_ROUTE) {
        builder_scope_remove(b, r);
    } else {
        builder_listener_remove(b, r);
    }
    store_remove(&b->store, r);
    result->n_removed += had;
}

static void remove_named(struct builder *b, const struct config_source *source,
                         enum resource_type type, struct bytes name, struct update_result *result)
{
    struct resource *r = store_find(&b->store, source, type, name);
    if (!r && type == RESOURCE_CLUSTER)
        builder_demand_absent(b, source, name);
    if (!r || r->is_static || r->stands_for_all)
        return;
    if (resource_type_is_wildcard(type)) {
        remove_one(b, r, result);
        return;
    }
    resource_clear_rejected(r);
    r->absent = true; /* what it had stays until its parent goes */
    builder_secret_forget_refused(b, r);
    if (type == RESOURCE_RUNTIME)
        builder_runtime_remove(b, r);
    if (type == RESOURCE_VIRTUAL_HOST)
        builder_vhost_remove(b, r);
    if (type == RESOURCE_EXTENSION && !builder_extension_remove(b, r) && !r->settled)
        return; /* a listener goes on waiting for the first, as Envoy's */
    builder_settle(b, r);
}

static bool same_source(const struct resource *r, const struct config_source *source)
{
    return r->source && bytes_eq(r->source->source.key, source->key);
}

/* Rule R01: what a full response does not name is gone. */
static void remove_unnamed(struct builder *b, const struct config_source *source,
                           enum resource_type type, const struct resource_update *updates, size_t n,
                           struct update_result *result)
{
    uint64_t mark = ++b->full_updates;
    for (size_t i = 0; i < n; i++) {
        struct resource *r = store_find(&b->store, source, type, updates[i].name);
        if (r && !r->stands_for_all) /* it has something else there */
            r->seen = mark;
    }
    LIST_EACH(it, &b->store.lists[type])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (!r->is_static && !r->stands_for_all && r->seen != mark && same_source(r, source))
            remove_one(b, r, result);
    }
}

static void keep_type_version(struct builder *b, enum resource_type type, struct bytes version)
{
    mem_free(b->type_versions[type]);
    b->type_versions[type] = mem_alloc(version.len + 1);
    if (version.len)
        memcpy(b->type_versions[type], version.data, version.len);
    b->type_versions[type][version.len] = '\0';
}

static struct resource *wildcard_of(const struct builder *b, enum resource_type type,
                                    const struct config_source *source)
{
    if (type == RESOURCE_CLUSTER)
        return b->cds_want;
    if (type == RESOURCE_SCOPED_ROUTE)
        return builder_scopes(b, source);
    return type == RESOURCE_LISTENER ? b->lds_want : NULL;
}

struct resource *builder_wildcard(const struct builder *b, enum resource_type type,
                                  const struct config_source *source)
{
    return wildcard_of(b, type, source);
}

void config_update(struct builder *b, const struct config_source *source, enum resource_type type,
                   const struct resource_update *updates, size_t n_updates,
                   const struct bytes *removed, size_t n_removed, bool full_state,
                   struct bytes version, struct update_result *result)
{
    struct incoming whole = {NULL, source, builder_wall_ns(b), builder_monotonic_ns(b), version};
    bool timed = builder_times_updates(type);
    *result = (struct update_result){0};
    b->ctx.is_static = false;
    b->ctx.reject_unknown = b->options.reject_unknown_dynamic;
    if (type == RESOURCE_SCOPED_ROUTE)
        builder_scopes_try(b, source, updates, n_updates, removed, n_removed, full_state);
    if (full_state && resource_type_is_wildcard(type))
        remove_unnamed(b, source, type, updates, n_updates, result);
    for (size_t i = 0; i < n_removed; i++)
        remove_named(b, source, type, removed[i], result);
    for (size_t i = 0; i < n_updates; i++) {
        struct incoming in = whole;
        in.u = &updates[i];
        if (timed)
            in.begun_ns = builder_monotonic_ns(b);
        struct resource *r = updates[i].keep ? NULL : target_of(b, &in, type);
        if (!r)
            continue;
        update_one(b, r, &in, result);
    }
    builder_hold_review(b);
    if (result->n_errors == 0)
        keep_type_version(b, type, version);
    if (type == RESOURCE_SCOPED_ROUTE)
        builder_scopes_answered(b, &whole, result->n_errors == 0);
    if (wildcard_of(b, type, source))
        builder_settle(b, wildcard_of(b, type, source));
    builder_flush_wants(b);
    builder_init_advance(b);
    builder_count(b);
    answered(b, type);
}

void config_source_begins(struct builder *b, const struct config_source *source,
                          enum resource_type type)
{
    struct update_result nothing = {0};
    LIST_EACH(it, &b->store.lists[type])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->is_static || r->stands_for_all || !same_source(r, source) || !r->rejected)
            continue;
        resource_clear_rejected(r);
        if (resource_type_is_wildcard(type) && !r->active && !r->pending)
            remove_one(b, r, &nothing);
    }
}

void config_update_failed(struct builder *b, const struct config_source *source,
                          enum resource_type type)
{
    if (wildcard_of(b, type, source))
        builder_settle(b, wildcard_of(b, type, source));
    LIST_EACH(it, &b->store.lists[type])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->told && !r->settled && same_source(r, source))
            builder_settle(b, r);
    }
    builder_flush_wants(b);
    builder_init_advance(b);
    builder_count(b);
}

void config_update_unread(struct builder *b, const struct config_source *source,
                          enum resource_type type)
{
    LIST_EACH(it, &b->store.lists[type])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (resource_type_is_global(type) || !r->told || !same_source(r, source))
            continue;
        builder_subscription_count(r, SUBSCRIPTION_ATTEMPT);
        builder_subscription_count(r, SUBSCRIPTION_FAILURE);
    }
    config_update_failed(b, source, type);
}

void config_update_lacks(struct builder *b, const struct config_source *source,
                         enum resource_type type, struct bytes name)
{
    struct resource *r = store_find(&b->store, source, type, name);
    if (!r || type != RESOURCE_SECRET)
        return;
    builder_subscription_count(r, SUBSCRIPTION_ATTEMPT);
    builder_subscription_count(r, SUBSCRIPTION_REJECTED);
}

static const char *const duplicates[] = {
    [RESOURCE_CLUSTER] = "cluster manager: duplicate cluster '%.*s'",
    [RESOURCE_LISTENER] = "error adding listener: there are two listeners named '%.*s'",
    [RESOURCE_SECRET] = "Duplicated static secret name %.*s",
};

bool builder_add_static(struct builder *b, enum resource_type type, const struct resource_update *u,
                        struct error *err)
{
    struct incoming in = {u, NULL, builder_wall_ns(b), builder_monotonic_ns(b), u->version};
    bool unchanged = false;
    CHECK(resource_type_is_global(type) || type == RESOURCE_SECRET);
    if (store_find(&b->store, NULL, type, u->name))
        return error_set(err, duplicates[type], BYTES_ARG(u->name));
    struct resource *r = store_add(&b->store, NULL, type, u->name);
    r->is_static = true;
    b->ctx.is_static = true;
    b->ctx.default_name = u->name;
    b->ctx.self = NULL;
    b->ctx.reject_unknown = b->options.reject_unknown_static;
    bool ok = update_by_type(b, r, &in, &unchanged, err);
    b->ctx.is_static = false;
    if (!ok)
        store_remove(&b->store, r);
    builder_forget_sorted(b, type);
    builder_count(b);
    return ok;
}
