#include "xds/mux.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "config/google_grpc.h"
#include "xds/client_stats.h"
#include "xds/discovery.h"
#include "xds/failover.h"
#include "xds/token_bucket.h"
#include "xds/topic.h"

enum { BACKOFF_BASE_MS = 500, BACKOFF_MAX_MS = 30000, NACK_PAUSE_MS = 500, UNAVAILABLE = 14 };

#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc control_plane_stats[] = {CONTROL_PLANE_STAT_LIST(X)};
#undef X
const struct stat_schema control_plane_stat_schema = {control_plane_stats,
                                                      ARRAY_SIZE(control_plane_stats)};

#define GUARD_STAT_LIST(X)                                                                         \
    X(HELD_BACK, "held_back", COUNTER)                                                             \
    X(HOLDING, "holding", GAUGE)
enum guard_stat {
#define X(id, name, kind) STAT_GUARD_##id,
    GUARD_STAT_LIST(X)
#undef X
};
#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc guard_stats[] = {GUARD_STAT_LIST(X)};
#undef X
static const struct stat_schema guard_schema = {guard_stats, ARRAY_SIZE(guard_stats)};

struct mux {
    const struct xds_table *table;
    struct grpc_runtime *grpc;
    struct builder *builder;
    struct arena *arena; /* of the source */
    struct config_source source;
    struct topic_home home;
    const char *method;
    struct bytes node;
    struct topic topics[RESOURCE_TYPE_COUNT];
    enum resource_type order[RESOURCE_TYPE_COUNT]; /* in which types were first wanted (T04) */
    unsigned n_order;
    struct grpc_stream *stream;
    void *dial, *retry; /* under way, or NULL */
    struct failover failover;
    struct token_bucket tokens;
    void *token_wait; /* the timer of the next token, or NULL */
    void *nack_wait;  /* the timer after which refusals that are held go out, or NULL */
    void *world_hold; /* the timer after which a smaller world is believed, or NULL */
    bool believe;     /* ... by the next stream */
    bool had_pending;
    uint64_t backoff_ms;
    bool node_sent, in_response, answered;
    bool tells_held;          /* this stream's server knows the versions that are held */
    bool busy;                /* inside a callback of the stream */
    struct stat_scope *stats; /* control_plane */
    struct stat_scope *guard; /* xylem.guard; NULL: there is none */
    struct stat_scope *client_stats[FAILOVER_MAX]; /* of each service; NULL: it has none */
};

struct mux *mux_new(const struct mux_options *o)
{
    struct mux *m = NEW(struct mux);
    m->table = o->table;
    m->grpc = o->grpc;
    m->builder = o->builder;
    m->arena = arena_new(0);
    config_source_copy(m->arena, &m->source, o->source);
    m->method = o->method;
    m->node = o->node;
    token_bucket_init(&m->tokens, o->source->api.rate_tokens, o->source->api.rate_per_second,
                      o->table->clock->monotonic_ns(o->table->clock));
    m->home = (struct topic_home){m->table, m->builder, &m->source};
    failover_init(&m->failover, o->source->api.n_services);
    m->backoff_ms = 0;
    m->stats = stat_scope_get(o->table->stats, o->stats, &control_plane_stat_schema);
    if (o->table->min_world_share)
        m->guard = stat_scope_get(o->table->stats, BYTES("xylem.guard"), &guard_schema);
    for (unsigned i = 0; i < o->source->api.n_services; i++) {
        m->client_stats[i] = client_stats_get(o->table->stats, &o->source->api.services[i]);
        client_stats_created(m->client_stats[i]);
    }
    stat_set(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_CONNECTED_STATE, 0);
    stat_set(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_PENDING_REQUESTS, 0);
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        topic_init(&m->topics[t], &m->home, (enum resource_type)t);
    }
    return m;
}

static void stop(struct mux *m)
{
    if (m->dial)
        m->table->dial_cancel(m->table->ctx, m->dial);
    if (m->retry)
        m->table->timer_cancel(m->table->ctx, m->retry);
    if (m->token_wait)
        m->table->timer_cancel(m->table->ctx, m->token_wait);
    if (m->nack_wait)
        m->table->timer_cancel(m->table->ctx, m->nack_wait);
    if (m->world_hold)
        m->table->timer_cancel(m->table->ctx, m->world_hold);
    m->dial = m->retry = m->token_wait = m->nack_wait = m->world_hold = NULL;
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
        topic_fini(&m->topics[t]);
    }
    stat_scope_unref(&m->stats);
    stat_scope_unref(&m->guard);
    for (unsigned i = 0; i < FAILOVER_MAX; i++)
        stat_scope_unref(&m->client_stats[i]);
    arena_free(&m->arena);
    mem_free(m);
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

bool mux_idle(const struct mux *m)
{
    return !m->busy && !wants_stream(m);
}

static const struct grpc_service *service_of(const struct mux *m)
{
    return &m->source.api.services[m->failover.at];
}

static struct stat_scope *client_stats_of(const struct mux *m)
{
    return m->client_stats[m->failover.at];
}

static void connect_now(struct mux *m);

static void on_retry(void *arg)
{
    struct mux *m = arg;
    m->retry = NULL;
    connect_now(m);
}

/* Full jitter: anything up to the interval, which doubles until an answer comes (T02). */
static uint64_t back_off(struct mux *m)
{
    const struct grpc_service *s = service_of(m);
    uint64_t base = s->retry_base_ms ? s->retry_base_ms : BACKOFF_BASE_MS;
    uint64_t max = s->retry_max_ms ? s->retry_max_ms : BACKOFF_MAX_MS;
    if (max < base)
        max = base;
    uint64_t interval = m->backoff_ms ? m->backoff_ms : base;
    m->backoff_ms = interval * 2 > max ? max : interval * 2;
    return 1 + random_below(m->table->random, interval);
}

static void retry_later(struct mux *m)
{
    uint64_t wait = 0;
    struct bytes left = service_of(m)->cluster_name;
    switch (failover_failed(&m->failover)) {
    case FAILOVER_BACK_OFF:
        wait = back_off(m);
        break;
    case FAILOVER_AT_ONCE:
        break;
    case FAILOVER_PAUSE:
        wait = FAILOVER_PAUSE_MS;
        break;
    }
    if (!bytes_eq(left, service_of(m)->cluster_name))
        LOG(LOG_CONFIG, LOG_WARNING, "the control plane %.*s is given up, %.*s is next",
            BYTES_ARG(left), BYTES_ARG(service_of(m)->cluster_name));
    m->retry = m->table->timer_start(m->table->ctx, wait, on_retry, m);
}

static void lost(struct mux *m)
{
    grpc_stream_free(&m->stream);
    stat_set(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_CONNECTED_STATE, 0);
    for (unsigned i = 0; i < m->n_order; i++) {
        struct topic *t = &m->topics[m->order[i]];
        subscription_stream_closed(&t->sub);
        topic_count(t, STAT_SUB_UPDATE_ATTEMPT);
        topic_count(t, STAT_SUB_UPDATE_FAILURE);
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
    client_stats_closed(client_stats_of(m), code);
    lost(m);
}

/* By all of the URL, as it was asked for. */
static struct topic *topic_of(struct mux *m, struct bytes type_url)
{
    enum resource_type t = resource_type_of_url(type_url);
    if (t == RESOURCE_TYPE_COUNT || !bytes_eq_str(type_url, resource_type_url(t)))
        return NULL;
    return &m->topics[t];
}

/* What is held back is still so: a new stream brings the whole world, and is believed. */
static void on_held_long_enough(void *arg)
{
    struct mux *m = arg;
    m->world_hold = NULL;
    LOG(LOG_CONFIG, LOG_WARNING, "the smaller world of %.*s is believed now",
        BYTES_ARG(service_of(m)->cluster_name));
    m->believe = true;
    for (unsigned i = 0; i < m->n_order; i++)
        m->topics[m->order[i]].held_back = false;
    stat_set(m->guard, STAT_SLOT_CONFIG, STAT_GUARD_HOLDING, 0);
    if (m->stream)
        lost(m);
}

static unsigned count_held_back(const struct mux *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_order; i++)
        n += m->topics[m->order[i]].held_back;
    return n;
}

/* A response was held back, or took the place of one that was. */
static void review_guard(struct mux *m, const struct topic *t)
{
    unsigned n = count_held_back(m);
    if (t->held_back)
        stat_inc(m->guard, STAT_SLOT_CONFIG, STAT_GUARD_HELD_BACK);
    stat_set(m->guard, STAT_SLOT_CONFIG, STAT_GUARD_HOLDING, n);
    if (n && !m->world_hold && m->table->world_hold_ms)
        m->world_hold =
            m->table->timer_start(m->table->ctx, m->table->world_hold_ms, on_held_long_enough, m);
    if (!n && m->world_hold) {
        m->table->timer_cancel(m->table->ctx, m->world_hold);
        m->world_hold = NULL;
    }
}

static void on_nack_pause_over(void *arg)
{
    struct mux *m = arg;
    m->nack_wait = NULL;
    for (unsigned i = 0; i < m->n_order; i++)
        subscription_let_answer_go(&m->topics[m->order[i]].sub);
    mux_flush(m);
}

/* Rule A14: some servers answer a refusal with what was refused, at once and for ever (so does
 * go-control-plane's snapshot cache). What differs, or is accepted, is answered at once. */
static void pace_refusal(struct mux *m, struct topic *t)
{
    subscription_hold_answer(&t->sub);
    if (!m->nack_wait)
        m->nack_wait = m->table->timer_start(m->table->ctx, NACK_PAUSE_MS, on_nack_pause_over, m);
}

static void respond(struct mux *m, struct topic *t, const struct discovery_response *r)
{
    struct error err = ERROR_INIT;
    bool judged = t->guarded;
    m->in_response = true;
    subscription_pause(&t->sub); /* rule M13: a type is paused while its response is applied */
    topic_count(t, STAT_SUB_UPDATE_ATTEMPT);
    topic_apply(t, r, &err);
    subscription_resume(&t->sub);
    m->in_response = false;
    if (judged)
        review_guard(m, t);
    if (error_is_set(&err))
        LOG(LOG_CONFIG, topic_log_level(t), "gRPC config for %s rejected: %s", t->sub.type_url,
            error_text(&err));
    subscription_answer(&t->sub, r->version, r->nonce,
                        error_is_set(&err) ? error_text(&err) : NULL);
    if (t->repeated)
        pace_refusal(m, t);
    error_fini(&err);
    builder_commit(m->builder);
    mux_flush(m);
    mem_reserve_end();
}

static void take_message(struct mux *m, struct bytes message)
{
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
    failover_answered(&m->failover);
    discovery_response_fini(&r);
}

static void on_message(void *owner, struct bytes message)
{
    struct mux *m = owner;
    m->busy = true;
    take_message(m, message);
    m->busy = false;
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
        client_stats_closed(client_stats_of(m), UNAVAILABLE);
        lost(m);
        return;
    }
    struct grpc_stream_options o = {
        .fd = result->fd,
        .method = m->method,
        .authority = grpc_service_authority(service),
        .metadata_keys = service->metadata_keys,
        .metadata_values = service->metadata_values,
        .n_metadata = service->n_metadata,
        .keepalive_interval_ms = result->keepalive_interval_ms,
        .keepalive_timeout_ms = result->keepalive_timeout_ms,
        .args = service->google ? service->google->args : NULL,
        .n_args = service->google ? service->google->n_args : 0,
    };
    m->stream = grpc_stream_new(m->grpc, &o, &stream_ops, m);
    m->node_sent = m->answered = false;
    stat_set(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_CONNECTED_STATE,
             m->failover.at + 1); /* the second is told apart, as by Envoy */
    m->tells_held = failover_knows(&m->failover);
    for (unsigned i = 0; i < m->n_order; i++) {
        topic_stream_opened(&m->topics[m->order[i]], !m->believe);
        if (!m->tells_held)
            subscription_forget_version(&m->topics[m->order[i]].sub);
    }
    m->believe = false;
    mux_flush(m);
}

static void connect_now(struct mux *m)
{
    if (m->stream || m->dial || m->retry || !wants_stream(m))
        return;
    client_stats_opened(client_stats_of(m));
    m->dial = m->table->dial(m->table->ctx, service_of(m), on_dialed, m);
}

static struct topic *topic_used(struct mux *m, enum resource_type type)
{
    struct topic *t = &m->topics[type];
    if (!t->used) {
        t->used = true;
        topic_count(t, STAT_SUB_UPDATE_ATTEMPT); /* by each answer and each failure, too */
        m->order[m->n_order++] = type;
        if (m->stream)
            topic_stream_opened(t, false);
    }
    return t;
}

void mux_want(struct mux *m, enum resource_type type, struct bytes name)
{
    topic_want(topic_used(m, type), name);
}

void mux_unwant(struct mux *m, enum resource_type type, struct bytes name)
{
    topic_unwant(topic_used(m, type), name);
}

struct held {
    const struct mux *m;
    enum resource_type type;
};

static void each_held(void *ctx, subscription_held_fn *fn, void *arg)
{
    const struct held *h = ctx;
    if (h->m->tells_held) /* or they are another server's (T12) */
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
    grpc_stream_send(m->stream, strbuf_bytes(&request));
    strbuf_fini(&request);
}

static void on_token(void *arg)
{
    struct mux *m = arg;
    m->token_wait = NULL;
    mux_flush(m);
}

/* Rule T06: what is due waits for its token; it is written when it may go, so nothing is lost. */
static bool may_send(struct mux *m)
{
    const struct clock *c = m->table->clock;
    if (m->token_wait)
        return false;
    if (token_bucket_take(&m->tokens, c->monotonic_ns(c)))
        return true;
    stat_inc(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_RATE_LIMIT_ENFORCED);
    m->token_wait =
        m->table->timer_start(m->table->ctx, token_bucket_wait_ms(&m->tokens), on_token, m);
    return false;
}

static void count_pending(struct mux *m)
{
    int64_t n = 0;
    for (unsigned i = 0; m->token_wait && i < m->n_order; i++)
        n += subscription_due(&m->topics[m->order[i]].sub);
    if (n || m->had_pending)
        stat_set(m->stats, STAT_SLOT_CONFIG, STAT_CONTROL_PLANE_PENDING_REQUESTS, n);
    m->had_pending = n > 0;
}

void mux_fetch_timed_out(struct mux *m, enum resource_type type)
{
    topic_count(&m->topics[type], STAT_SUB_UPDATE_ATTEMPT);
    topic_count(&m->topics[type], STAT_SUB_INIT_FETCH_TIMEOUT);
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
        while (subscription_due(&t->sub) && may_send(m))
            send_request(m, t);
    }
    count_pending(m);
}
