#include "xds/mux.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/xxhash64.h"
#include "config/wire.h"
#include "xds/discovery.h"

enum { BACKOFF_BASE_MS = 500, BACKOFF_MAX_MS = 30000, CODE_NOT_FOUND = 5 };

#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc control_plane_stats[] = {CONTROL_PLANE_STAT_LIST(X)};
static const struct stat_desc subscription_stats[] = {SUBSCRIPTION_STAT_LIST(X)};
#undef X
const struct stat_schema control_plane_stat_schema = {control_plane_stats,
                                                      ARRAY_SIZE(control_plane_stats)};
const struct stat_schema subscription_stat_schema = {subscription_stats,
                                                     ARRAY_SIZE(subscription_stats)};

/* One type of this server. */
struct topic {
    struct subscription sub;
    enum resource_type type;
    bool used;
    struct stat_scope *stats; /* clusters and listeners; NULL for the others */
};

struct mux {
    const struct xds_table *table;
    struct grpc_runtime *grpc;
    struct builder *builder;
    struct config_source source;
    const char *method;
    struct bytes node;
    struct topic topics[RESOURCE_TYPE_COUNT];
    enum resource_type order[RESOURCE_TYPE_COUNT]; /* in which types were first wanted (T04) */
    unsigned n_order;
    struct grpc_stream *stream;
    void *dial, *retry; /* under way, or NULL */
    uint64_t backoff_ms;
    bool node_sent, in_response, answered;
    struct stat_scope *stats; /* control_plane */
};

static const char *const topic_scopes[RESOURCE_TYPE_COUNT] = {
    [RESOURCE_CLUSTER] = "cluster_manager.cds",
    [RESOURCE_LISTENER] = "listener_manager.lds",
};

struct mux *mux_new(const struct mux_options *o)
{
    struct mux *m = NEW(struct mux);
    m->table = o->table;
    m->grpc = o->grpc;
    m->builder = o->builder;
    m->source = *o->source;
    m->method = o->method;
    m->node = o->node;
    m->backoff_ms = 0;
    m->stats = stat_scope_get(o->table->stats, BYTES("control_plane"), &control_plane_stat_schema);
    stat_set(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_CONNECTED_STATE, 0);
    stat_set(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_PENDING_REQUESTS, 0);
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        struct topic *p = &m->topics[t];
        char *url = mem_alloc(128);
        snprintf(url, 128, "type.googleapis.com/%s", resource_type_name((enum resource_type)t));
        p->type = (enum resource_type)t;
        subscription_init(&p->sub, url, resource_type_is_wildcard(p->type), m->source.api.delta);
        if (topic_scopes[t])
            p->stats = stat_scope_get(o->table->stats, bytes_of(topic_scopes[t]),
                                      &subscription_stat_schema);
    }
    return m;
}

static void stop(struct mux *m)
{
    if (m->dial)
        m->table->dial_cancel(m->table->ctx, m->dial);
    if (m->retry)
        m->table->timer_cancel(m->table->ctx, m->retry);
    m->dial = m->retry = NULL;
    grpc_stream_free(&m->stream);
}

void mux_free(struct mux **mp)
{
    struct mux *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    stop(m);
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        mem_free((char *)m->topics[t].sub.type_url);
        subscription_fini(&m->topics[t].sub);
        stat_scope_unref(&m->topics[t].stats);
    }
    stat_scope_unref(&m->stats);
    mem_free(m);
}

static void count(struct topic *t, enum subscription_stat id)
{
    if (t->stats)
        stat_inc(t->stats, STAT_SLOT_CONFIG, id);
}

bool mux_connected(const struct mux *m)
{
    return m->stream != NULL;
}

static bool wants_stream(const struct mux *m)
{
    for (unsigned i = 0; i < m->n_order; i++) {
        if (map_count(&m->topics[m->order[i]].sub.names))
            return true;
    }
    return false;
}

static const struct grpc_service *service_of(const struct mux *m)
{
    return &m->source.api.services[0];
}

static void connect_now(struct mux *m);

static void on_retry(void *arg)
{
    struct mux *m = arg;
    m->retry = NULL;
    connect_now(m);
}

/* Full jitter: anything up to the interval, which doubles until an answer comes (T02). */
static void retry_later(struct mux *m)
{
    const struct grpc_service *s = service_of(m);
    uint64_t base = s->retry_base_ms ? s->retry_base_ms : BACKOFF_BASE_MS;
    uint64_t max = s->retry_max_ms ? s->retry_max_ms : BACKOFF_MAX_MS;
    if (max < base)
        max = base;
    uint64_t interval = m->backoff_ms ? m->backoff_ms : base;
    m->backoff_ms = interval * 2 > max ? max : interval * 2;
    uint64_t wait = 1 + random_below(m->table->random, interval);
    m->retry = m->table->timer_start(m->table->ctx, wait, on_retry, m);
}

static void lost(struct mux *m)
{
    grpc_stream_free(&m->stream);
    stat_set(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_CONNECTED_STATE, 0);
    for (unsigned i = 0; i < m->n_order; i++) {
        struct topic *t = &m->topics[m->order[i]];
        subscription_stream_closed(&t->sub);
        count(t, STAT_SUB_UPDATE_FAILURE);
    }
    if (m->builder)
        config_source_failed(m->builder, &m->source);
    if (wants_stream(m))
        retry_later(m);
}

static void on_closed(void *owner, int code, const char *message)
{
    struct mux *m = owner;
    LOG(LOG_CONFIG, m->answered ? LOG_INFO : LOG_WARNING,
        "%s gRPC config stream to %.*s closed: %d, %s", strrchr(m->method, '/') + 1,
        BYTES_ARG(service_of(m)->cluster_name), code, message);
    lost(m);
}

static struct topic *topic_of(struct mux *m, struct bytes type_url)
{
    enum resource_type t = resource_type_of_url(type_url);
    return t == RESOURCE_TYPE_COUNT ? NULL : &m->topics[t];
}

static bool resource_valid(const struct topic *t, const struct discovery_resource *x,
                           struct map *names, struct error *err)
{
    if (x->wire.data && !bytes_eq_str(x->type_url, t->sub.type_url))
        return error_set(err,
                         "type URL %.*s embedded in an individual Any does not match the "
                         "message-wide type URL %s in %sDiscoveryResponse",
                         BYTES_ARG(x->type_url), t->sub.type_url, t->sub.delta ? "Delta" : "");
    struct bytes own_name = wire_find_bytes(x->wire, 1);
    if (t->sub.wildcard_type && own_name.data && !bytes_eq(own_name, x->name))
        return error_set(err, "resource '%.*s' contains one named '%.*s'", BYTES_ARG(x->name),
                         BYTES_ARG(own_name));
    if (!map_set(names, x->name, names))
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
    struct map names = MAP_INIT;
    bool ok = true;
    for (size_t i = 0; ok && i < r->n_resources; i++)
        ok = resource_valid(t, &r->resources[i], &names, err);
    for (size_t i = 0; ok && i < r->n_removed; i++) {
        if (map_set(&names, r->removed[i], &names))
            ok = error_set(err, "duplicate name %.*s found in the union of added+removed resources",
                           BYTES_ARG(r->removed[i]));
    }
    map_fini(&names);
    return ok;
}

struct batch {
    struct resource_update *updates;
    size_t n_updates, cap_updates;
    struct bytes *removed;
    size_t n_removed, cap_removed;
    bool no_memory; /* for the lists */
};

/* What a resource is called here: rules S11 (what nobody asked for is passed over: data NULL) and
 * D12 (who asked by an alias gets it by that). */
static struct bytes wanted_name(const struct topic *t, const struct discovery_resource *x)
{
    struct bytes rest = x->wrapper, alias;
    if (subscription_is_wildcard(&t->sub) || subscription_wants(&t->sub, x->name))
        return x->name;
    while (discovery_next_alias(&rest, &alias)) {
        if (subscription_wants(&t->sub, alias))
            return alias;
    }
    return BYTES_NONE;
}

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

static void batch_resources(struct topic *t, const struct discovery_response *r, struct batch *b)
{
    for (size_t i = 0; i < r->n_resources; i++) {
        const struct discovery_resource *x = &r->resources[i];
        struct bytes name = wanted_name(t, x);
        if (!x->wire.data || !name.data)
            continue;
        /* Empty is a version too where each resource has its own (D13). */
        struct bytes version = t->sub.delta || x->version.len ? x->version : r->version;
        add_update(b, (struct resource_update){name, version, x->type_url, x->wire});
    }
    for (size_t i = 0; i < r->n_removed; i++)
        add_removed(b, r->removed[i]);
}

/* Rule A11: NOT_FOUND removes the named resource, any other code keeps what is cached. */
static void batch_errors(struct mux *m, struct topic *t, const struct discovery_response *r,
                         struct batch *b)
{
    for (size_t i = 0; i < r->n_errors; i++) {
        const struct discovery_error *e = &r->errors[i];
        struct resource *known =
            store_find(builder_store(m->builder), &m->source, t->type, e->name);
        LOG(LOG_CONFIG, LOG_WARNING,
            "%s: the server reports an error for resource '%.*s': %d, %.*s",
            resource_type_short(t->type), BYTES_ARG(e->name), e->code, BYTES_ARG(e->message));
        if (e->code == CODE_NOT_FOUND) {
            add_removed(b, e->name);
        } else if (known && known->active && resource_type_is_wildcard(t->type) && !t->sub.delta) {
            add_update(b, (struct resource_update){
                              known->name, bytes_of(known->active->version->text),
                              bytes_of(known->active->type_url), known->active->wire});
        }
    }
}

static void update_stats(struct mux *m, struct topic *t, struct bytes version, bool ok,
                         uint64_t started_ns)
{
    const struct clock *c = m->table->clock;
    count(t, ok ? STAT_SUB_UPDATE_SUCCESS : STAT_SUB_UPDATE_REJECTED);
    if (!t->stats)
        return;
    stat_record(t->stats, STAT_SLOT_CONFIG, STAT_SUB_UPDATE_DURATION,
                (c->monotonic_ns(c) - started_ns) / NS_PER_MS);
    if (!ok)
        return;
    stat_set(t->stats, STAT_SLOT_CONFIG, STAT_SUB_UPDATE_TIME,
             (int64_t)(c->wall_ns(c) / NS_PER_MS));
    stat_set(t->stats, STAT_SLOT_CONFIG, STAT_SUB_VERSION, (int64_t)xxhash64(version));
    stat_set_text(t->stats, STAT_SUB_VERSION_TEXT, version);
}

static void apply(struct mux *m, struct topic *t, const struct discovery_response *r,
                  struct error *err)
{
    struct batch b = {0};
    struct update_result result = {0};
    struct strbuf text = STRBUF_INIT;
    bool full = subscription_is_wildcard(&t->sub) && !t->sub.delta;
    if (!response_valid(t, r, err)) {
        config_update_failed(m->builder, &m->source, t->type);
        return;
    }
    batch_resources(t, r, &b);
    batch_errors(m, t, r, &b);
    if (b.no_memory) {
        error_set(err, "out of memory for the list of %zu resources", r->n_resources);
        config_update_failed(m->builder, &m->source, t->type);
        mem_free(b.updates);
        mem_free(b.removed);
        return;
    }
    config_update(m->builder, &m->source, t->type, b.updates, b.n_updates, b.removed, b.n_removed,
                  full, r->version, &result);
    if (update_result_text(&result, t->type, &text))
        error_set(err, "%s", strbuf_str(&text));
    strbuf_fini(&text);
    update_result_fini(&result);
    mem_free(b.updates);
    mem_free(b.removed);
}

static void respond(struct mux *m, struct topic *t, const struct discovery_response *r)
{
    struct error err = ERROR_INIT;
    uint64_t started = m->table->clock->monotonic_ns(m->table->clock);
    m->in_response = true;
    subscription_pause(&t->sub); /* rule M13: a type is paused while its response is applied */
    apply(m, t, r, &err);
    subscription_resume(&t->sub);
    m->in_response = false;
    update_stats(m, t, r->version, !error_is_set(&err), started);
    if (error_is_set(&err))
        LOG(LOG_CONFIG, LOG_WARNING, "gRPC config for %s rejected: %s", t->sub.type_url,
            error_text(&err));
    subscription_answer(&t->sub, r->version, r->nonce,
                        error_is_set(&err) ? error_text(&err) : NULL);
    error_fini(&err);
    builder_commit(m->builder);
    mux_flush(m);
}

static void on_message(void *owner, struct bytes message)
{
    struct mux *m = owner;
    struct discovery_response r;
    bool delta = m->source.api.delta;
    if (!(delta ? delta_response_read(message, &r) : discovery_response_read(message, &r))) {
        LOG(LOG_CONFIG, LOG_WARNING,
            "%s: a message of %zu bytes is no %sDiscoveryResponse, or there is no "
            "memory for it",
            m->method, message.len, delta ? "Delta" : "");
        lost(m);
        return;
    }
    m->backoff_ms = 0;
    m->answered = true;
    if (r.control_plane.data)
        stat_set_text(m->stats, STAT_CONTROL_PLANE_IDENTIFIER, r.control_plane);
    struct topic *t = topic_of(m, r.type_url);
    if (t && t->sub.requested)
        respond(m, t, &r);
    else /* rule S09 */
        LOG(LOG_CONFIG, LOG_WARNING,
            "Ignoring the message for type URL %.*s as it has no current subscribers.",
            BYTES_ARG(r.type_url));
    discovery_response_fini(&r);
}

static const struct grpc_stream_ops stream_ops = {on_message, on_closed};

static void on_dialed(void *arg, const struct dial_result *result)
{
    struct mux *m = arg;
    const struct grpc_service *service = service_of(m);
    m->dial = NULL;
    if (result->fd < 0) {
        LOG(LOG_CONFIG, LOG_WARNING, "%s gRPC config stream to %.*s closed: 14, %s",
            strrchr(m->method, '/') + 1, BYTES_ARG(service->cluster_name), result->error);
        lost(m);
        return;
    }
    struct grpc_stream_options o = {
        .fd = result->fd,
        .method = m->method,
        .authority = service->authority.len ? service->authority : service->cluster_name,
        .metadata_keys = service->metadata_keys,
        .metadata_values = service->metadata_values,
        .n_metadata = service->n_metadata,
        .keepalive_interval_ms = result->keepalive_interval_ms,
        .keepalive_timeout_ms = result->keepalive_timeout_ms,
    };
    m->stream = grpc_stream_new(m->grpc, &o, &stream_ops, m);
    m->node_sent = m->answered = false;
    stat_set(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_CONNECTED_STATE, 1);
    for (unsigned i = 0; i < m->n_order; i++)
        subscription_stream_opened(&m->topics[m->order[i]].sub);
    mux_flush(m);
}

static void connect_now(struct mux *m)
{
    if (m->stream || m->dial || m->retry || !wants_stream(m))
        return;
    m->dial = m->table->dial(m->table->ctx, service_of(m)->cluster_name, on_dialed, m);
}

static struct topic *topic_used(struct mux *m, enum resource_type type)
{
    struct topic *t = &m->topics[type];
    if (!t->used) {
        t->used = true;
        m->order[m->n_order++] = type;
        if (m->stream)
            subscription_stream_opened(&t->sub);
    }
    return t;
}

void mux_want(struct mux *m, enum resource_type type, struct bytes name)
{
    subscription_want(&topic_used(m, type)->sub, name);
}

void mux_unwant(struct mux *m, enum resource_type type, struct bytes name)
{
    subscription_unwant(&topic_used(m, type)->sub, name);
}

struct held {
    const struct mux *m;
    enum resource_type type;
};

static void each_held(void *ctx, subscription_held_fn *fn, void *arg)
{
    const struct held *h = ctx;
    builder_each_held(h->m->builder, &h->m->source, h->type, fn, arg);
}

static void send_request(struct mux *m, struct topic *t)
{
    struct strbuf request = STRBUF_INIT;
    struct held ctx = {m, t->type};
    struct subscription_held held = {each_held, &ctx};
    bool node = !m->node_sent || !m->source.api.set_node_on_first_message_only;
    bool first = !t->sub.requested;
    if (first && t->sub.delta)
        config_source_begins(m->builder, &m->source, t->type);
    subscription_take(&t->sub, node ? m->node : BYTES_NONE, &held, &request);
    m->node_sent = true;
    if (first)
        count(t, STAT_SUB_UPDATE_ATTEMPT);
    grpc_stream_send(m->stream, strbuf_bytes(&request));
    strbuf_fini(&request);
}

void mux_fetch_timed_out(struct mux *m, enum resource_type type)
{
    count(&m->topics[type], STAT_SUB_INIT_FETCH_TIMEOUT);
}

void mux_flush(struct mux *m)
{
    if (m->in_response)
        return;
    if (!m->stream) {
        connect_now(m);
        return;
    }
    for (unsigned i = 0; i < m->n_order; i++) {
        struct topic *t = &m->topics[m->order[i]];
        while (subscription_due(&t->sub))
            send_request(m, t);
    }
}
