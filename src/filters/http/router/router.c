#include "filters/http/router/router.h"

#include "dataplane/http/format.h"
#include "dataplane/http/stream.h"
#include "filters/http/router/router_internal.h"

static struct router *router_of(struct http_filter *f)
{
    return f->state;
}

static void http_stat(struct router *r, enum http_stat id)
{
    stat_inc(r->stream->manager->stats, r->stream->worker->slot, id);
}

static void stop_timeout(struct router *r)
{
    if (r->timeout)
        timer_rest(r->timeout);
}

static void on_timeout(struct timer *t)
{
    struct router *r = t->owner;
    LIST_EACH(it, &r->attempts)
    {
        struct attempt *a = LIST_ENTRY(it, struct attempt, link);
        if (a->state == ATTEMPT_DONE)
            continue;
        cluster_stat_inc(r->cluster, STAT_UPSTREAM_RQ_TIMEOUT);
        router_count_request(r, STAT_REQUEST_TIMEOUT);
        struct host_state *host = a->started ? a->host : NULL; /* else it knows of nothing */
        if (host)
            atomic_fetch_add_explicit(&host_state_use(host)->rq_timeout, 1, memory_order_relaxed);
        if (!a->headers_seen)
            router_charge_timeout(r, host);
    }
    router_fail_timeout(r, stream_error_get(STREAM_ERROR_UPSTREAM_TIMEOUT), NULL);
}

static void start_timeout(struct router *r)
{
    if (r->timeout_ms == 0 || r->done)
        return;
    r->timeout = stream_terminal_timer(r->stream, on_timeout, r);
    timer_start(r->timeout, r->timeout_ms);
}

/* The request is complete: the route's timeout begins. A tunnel may stay open after one half. */
static void request_ended(struct router *r)
{
    r->request_ended = true;
    if (r->tunnel != TUNNEL_NONE)
        return;
    r->request_end_ns = loop_now_ns(r->stream->worker->loop);
    start_timeout(r);
    if (UNLIKELY(r->tries != NULL))
        router_tries_wait(r);
}

/* The response's last byte is about to go down. Must precede it: the stream may end inside. */
static void response_ended(struct router *r, struct attempt *a)
{
    r->done = true;
    stop_timeout(r);
    router_retry_stop(r);
    router_charge_call(r, NULL);
    router_charge_time(r);
    if (!a->out.ended)
        attempt_reset(a); /* the rest of the request is not wanted */
}

static bool is_websocket(const struct stream *s)
{
    return bytes_eq_nocase(headers_get(&s->request_headers, HEADER_UPGRADE), BYTES("websocket"));
}

static void on_sent(struct attempt *a)
{
    struct router *r = a->owner;
    router_count_request(r, STAT_REQUEST_TOTAL);
    if (UNLIKELY(r->tries != NULL) && (r->request_end_ns || is_websocket(r->stream)))
        router_tries_wait(r);
}

static void on_informational(struct attempt *a)
{
    struct router *r = a->owner;
    router_retry_settled(r, a); /* the client may act on what it is told */
    if (!a->out.interim_came)   /* as in Envoy, which goes no further with the others */
        router_charge_code(r, headers_status(&a->response_headers), NULL);
    if (!r->done)
        filter_respond_informational(r->filter, &a->response_headers);
}

/* As Envoy: what a WebSocket's origin says instead of its 101 is told without a body. */
static bool no_handshake(struct router *r, struct attempt *a)
{
    struct headers *h = &r->stream->response_headers;
    if (r->tunnel != TUNNEL_UPGRADE || a->open || r->stream->info.status >= 400 ||
        r->stream->info.upstream_protocol != PROTOCOL_HTTP11 || !is_websocket(r->stream))
        return false;
    headers_remove_id(h, HEADER_CONTENT_LENGTH);
    r->stream->info.details = "websocket_handshake_unsuccessful";
    return true;
}

static void on_headers(struct attempt *a, bool end)
{
    struct router *r = a->owner;
    struct stream *s = r->stream;
    if (a->open && r->tunnel == TUNNEL_NONE &&
        !a->tcp) { /* of an upgrade that a filter has asked for */
        router_fail_upstream(r, a->host, UPSTREAM_PROTOCOL_ERROR, BYTES_NONE);
        return;
    }
    if (UNLIKELY(r->tries != NULL)) {
        if (router_retry_answer(r, a))
            return;
        router_tries_heard(r, true);
    }
    r->chosen = a;
    r->response_started = true;
    s->response_headers = a->response_headers;
    s->info.details = "via_upstream";
    s->info.status = headers_status(&s->response_headers);
    r->canary =
        a->canary ||
        bytes_eq(headers_get(&s->response_headers, HEADER_X_ENVOY_UPSTREAM_CANARY), BYTES("true"));
    router_charge_answer(r, a, end);
    if (r->tunnel != TUNNEL_NONE && a->open)
        stop_timeout(r);
    else
        end |= no_handshake(r, a);
    router_finish_headers(r);
    if (end)
        response_ended(r, a);
    else if (r->downstream_full)
        attempt_read_pause(a);
    filter_respond_headers(r->filter, end);
}

/* Over HTTP/1.1 a tunnel ends with its connection, as what is cut short does: so it is logged. */
static void tunnel_ended(struct router *r)
{
    struct stream_info *i = &r->stream->info;
    if (i->upstream_is_tcp || i->upstream_protocol != PROTOCOL_HTTP11)
        return;
    i->flags |= stream_error_get(STREAM_ERROR_UPSTREAM_CONNECTION_TERMINATION)->flags;
    i->details = "upstream_reset_after_response_started{connection_termination}";
}

static void on_data(struct attempt *a, struct buffer *data, bool end)
{
    struct router *r = a->owner;
    if (UNLIKELY(r->tries != NULL))
        router_tries_heard(r, false);
    if (end && a->open)
        tunnel_ended(r);
    if (end)
        response_ended(r, a);
    filter_respond_data(r->filter, data, end);
}

static void on_trailers(struct attempt *a)
{
    struct router *r = a->owner;
    r->stream->response_trailers = a->response_trailers;
    router_charge_call(r, &a->response_trailers);
    response_ended(r, a);
    filter_respond_trailers(r->filter);
}

static void on_failed(struct attempt *a, enum upstream_failure why, struct bytes text)
{
    struct router *r = a->owner;
    r->canary = a->canary;
    if (!r->done && !router_retry_failure(r, a, why))
        router_fail_upstream(r, a->host, why, text);
}

static void on_watermark(struct attempt *a, bool above)
{
    struct router *r = a->owner;
    filter_request_watermark(r->filter, above);
}

static const struct attempt_ops attempt_callbacks = {
    .on_sent = on_sent,
    .on_informational = on_informational,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_failed = on_failed,
    .on_watermark = on_watermark,
};

static enum filter_status cluster_missing(struct router *r)
{
    http_stat(r, STAT_HTTP_NO_CLUSTER);
    router_fail_with(r, stream_error_get(STREAM_ERROR_CLUSTER_NOT_FOUND),
                     r->action->not_found_status);
    return FILTER_REPLIED;
}

/* Picks a host and starts an attempt there. */
struct attempt *router_start_attempt(struct router *r, struct arena *arena, bool end)
{
    struct stream *s = r->stream;
    struct attempt *a = attempt_new(s, arena, &attempt_callbacks, r, r->cluster);
    list_push_back(&r->attempts, &a->link);
    const struct host *host = router_pick(r);
    if (!host) {
        router_fail_no_host(r);
        return NULL;
    }
    router_rewrite_for_host(r, arena, host);
    a->tcp = r->tunnel_ends;
    if (UNLIKELY(r->has_duration))
        a->max_duration_ms = r->duration_ms;
    a->retried_above = UNLIKELY(r->tries != NULL) && router_retries_refused(r);
    if (!attempt_start(a, host, r->action->priority, &s->request_headers, end))
        on_failed(a, UPSTREAM_OVERFLOW, BYTES_NONE);
    return a->state == ATTEMPT_DONE ? NULL : a;
}

static void note_counted(struct router *r)
{
    struct stream *s = r->stream;
    const struct virtual_cluster *v = route_virtual_cluster(s->route.vhost, &s->request_headers);
    if (v && v->n_headers) /* what the others do not match is counted, and has no name */
        s->info.virtual_cluster = v->name;
    r->counted[0] = v ? v->stats : NULL;
    r->counted[1] = s->route.route->extras->stats;
}

static enum filter_status proxy_request(struct router *r, bool end)
{
    struct stream *s = r->stream;
    r->action = s->route.route->cluster;
    r->tunnel = stream_tunnel(s);
    r->tunnel_ends = stream_ends_tunnel(s);
    if (UNLIKELY(stream_refuses_tunnel(s))) { /* a filter has changed the route */
        router_fail(r, stream_error_get(STREAM_ERROR_UPGRADE_FAILED), NULL, NULL);
        return FILTER_REPLIED;
    }
    struct bytes name = route_cluster_name(&s->route, &s->request_headers);
    r->cluster = name.len > 0 ? cluster_runtime_get(s->worker, name) : NULL;
    if (!r->cluster)
        return cluster_missing(r);
    cluster_runtime_use(r->cluster);
    note_counted(r);
    s->info.upstream_cluster = arena_dup(s->arena, r->cluster->name);
    s->info.upstream_cluster_raw = s->info.upstream_cluster;
    const struct bytes *metadata = r->cluster->entry->cluster->metadata;
    if (metadata && format_wants_upstream_metadata(s))
        s->info.cluster_metadata = arena_dup(s->arena, *metadata);
    if (UNLIKELY(r->config->n_strict) && !router_check_strictly(r))
        return FILTER_REPLIED;
    r->internal =
        bytes_eq(headers_get(&s->request_headers, HEADER_X_ENVOY_INTERNAL), BYTES("true"));
    router_prepare_request(r);
    if (!router_start_attempt(r, s->arena, end) && r->done)
        return FILTER_REPLIED;
    if (end)
        request_ended(r);
    else if (r->tunnel == TUNNEL_UPGRADE && !r->done && is_websocket(s))
        start_timeout(r); /* until it is open; others may take their time, as in Envoy */
    return FILTER_CONTINUE;
}

static enum filter_status on_request_headers(struct http_filter *f, struct headers *h, bool end)
{
    struct router *r = router_of(f);
    r->filter = f;
    r->stream = f->stream;
    r->config = f->config;
    list_init(&r->attempts);
    http_stat(r, STAT_HTTP_RQ_TOTAL);
    const struct route_match_result *m = stream_route(r->stream);
    if (m->tls_redirect) {
        router_tls_redirect(r);
        return FILTER_REPLIED;
    }
    if (!m->route) {
        http_stat(r, STAT_HTTP_NO_ROUTE);
        r->done = true;
        stream_local_reply(r->stream, stream_error_get(STREAM_ERROR_ROUTE_NOT_FOUND), NULL, NULL);
        return FILTER_REPLIED;
    }
    switch (m->route->action) {
    case ROUTE_CLUSTER:
        return proxy_request(r, end);
    case ROUTE_REDIRECT:
        router_redirect(r, m->route->redirect);
        break;
    case ROUTE_DIRECT_RESPONSE:
        router_direct_response(r, m->route->direct);
        break;
    }
    return FILTER_REPLIED;
}

/* The attempt that still wants the request: the newest, unless the next is waited for. */
static struct attempt *receiver(struct router *r)
{
    return r->done || router_retry_waits(r) ? NULL : router_newest(r);
}

static enum filter_status on_request_data(struct http_filter *f, struct buffer *data, bool end)
{
    struct router *r = router_of(f);
    if (!r->stream || r->done || (UNLIKELY(r->tries != NULL) && !router_keep_body(r, data))) {
        buffer_drain(data, data->len);
        return FILTER_TAKEN;
    }
    struct attempt *a = receiver(r);
    if (LIKELY(a != NULL))
        attempt_send_data(a, data, end);
    else
        buffer_drain(data, data->len);
    if (end && (a || router_retry_waits(r)))
        request_ended(r);
    return FILTER_TAKEN;
}

static enum filter_status on_request_trailers(struct http_filter *f, struct headers *h)
{
    struct router *r = router_of(f);
    struct attempt *a = r->stream ? receiver(r) : NULL;
    if (!a && !router_retry_waits(r))
        return FILTER_CONTINUE;
    router_keep_trailers(r, h);
    if (a)
        attempt_send_trailers(a, h);
    request_ended(r);
    return FILTER_CONTINUE;
}

static void on_downstream_watermark(struct http_filter *f, bool above)
{
    struct router *r = router_of(f);
    r->downstream_full = above;
    if (!r->chosen)
        return;
    if (above)
        attempt_read_pause(r->chosen);
    else
        attempt_read_resume(r->chosen);
}

static void on_reset(struct http_filter *f, const struct stream_error *why)
{
    struct router *r = router_of(f);
    if (!r->stream)
        return;
    r->done = true;
    stop_timeout(r);
    router_retry_stop(r);
    router_give_up_attempts(r);
}

static void on_destroy(struct http_filter *f)
{
    struct router *r = router_of(f);
    if (!r->stream)
        return; /* a filter before this one answered */
    r->done = true;
    stop_timeout(r);
    router_retry_stop(r);
    LIST_EACH(it, &r->attempts)
    attempt_release(LIST_ENTRY(it, struct attempt, link));
    if (r->cluster)
        cluster_runtime_done(r->cluster);
    r->cluster = NULL;
}

const struct http_filter_ops router_filter = {
    .factory =
        {
            .name = "envoy.filters.http.router",
            .type_url = "envoy.extensions.filters.http.router.v3.Router",
            .terminal = true,
            .no_config_ok = true,
            .config_new = router_config_new,
            .state_size = sizeof(struct router),
        },
    .on_request_headers = on_request_headers,
    .on_request_data = on_request_data,
    .on_request_trailers = on_request_trailers,
    .on_downstream_watermark = on_downstream_watermark,
    .on_reset = on_reset,
    .on_destroy = on_destroy,
};
