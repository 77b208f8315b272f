#include "dataplane/http/stream.h"

#include "dataplane/http/access_log.h"
#include "dataplane/http/header_mutate.h"
#include "dataplane/http/http_reason.h"
#include "dataplane/http/route_match.h"
#include "dataplane/http/grpc.h"
#include "dataplane/http/scope_match.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/http/stream_pool.h"

static void use_routes(struct stream *s, struct route_config *routes)
{
    struct route_config *old = s->routes;
    if (routes == old)
        return;
    s->routes = routes;
    if (routes)
        node_pin(&routes->node, s->worker->slot);
    if (old)
        node_unpin(&old->node, s->worker->slot);
}

/* With scoped routes, the headers of now say which configuration it is. */
static void find_scope(struct stream *s)
{
    if (!s->manager->scoped)
        return;
    s->scope = scope_match(s->manager->scoped, s->priv->scopes, &s->request_headers);
    use_routes(s, s->scope ? s->scope->routes : NULL);
}

static void pin_configuration(struct stream *s, struct chain_binding *b)
{
    unsigned slot = s->worker->slot;
    s->manager = b->manager;
    node_pin(&s->manager->node, slot);
    s->routes = b->routes;
    if (s->routes)
        node_pin(&s->routes->node, slot);
    s->priv->scopes = b->scopes;
    if (s->priv->scopes)
        node_pin(&s->priv->scopes->node, slot);
    s->priv->binding = b; /* the connection may move on to another while this stream runs */
    node_pin(&b->node, slot);
}

struct stream *stream_new(struct http_conn *conn, struct codec_stream *cs)
{
    struct worker *w = conn->worker;
    struct stream *s = &stream_pool_take(w->streams)->s;
    s->worker = w;
    s->conn = conn;
    s->codec_stream = cs;
    s->id = ++w->next_stream_id;
    s->priv->random = random_u64(&w->random);
    pin_configuration(s, conn->binding);
    /* The rest of them is zero, which is what they begin with */
    s->request_headers.arena = s->request_trailers.arena = s->arena;
    s->response_headers.arena = s->response_trailers.arena = s->arena;
    s->info.start_wall_ns = loop_wall_ns(w->loop);
    s->info.start_ns = loop_now_ns(w->loop);
    s->request.protocol = conn->mux ? PROTOCOL_HTTP2 : PROTOCOL_HTTP11;
    s->remote = *connection_remote(conn->connection);
    stream_timers_start(s);
    stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_TOTAL);
    stream_stat(s, conn->mux ? STAT_HTTP_DOWNSTREAM_RQ_HTTP2_TOTAL
                             : STAT_HTTP_DOWNSTREAM_RQ_HTTP1_TOTAL);
    stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_ACTIVE);
    return s;
}

void stream_read_request(struct stream *s)
{
    const struct headers *h = &s->request_headers;
    struct request *r = &s->request;
    struct bytes empty = BYTES("");
    r->method = headers_get(h, HEADER_METHOD);
    r->scheme = headers_get(h, HEADER_SCHEME);
    r->authority = headers_get(h, HEADER_AUTHORITY);
    r->path = headers_get(h, HEADER_PATH);
    if (!r->authority.data)
        r->authority = empty;
    if (!r->path.data)
        r->path = empty;
    ptrdiff_t q = bytes_find_char(r->path, '?');
    r->path_only = q < 0 ? r->path : bytes_first(r->path, (size_t)q);
    r->query = q < 0 ? BYTES_NONE : bytes_skip(r->path, (size_t)q + 1);
}

static void request_complete(struct stream *s)
{
    s->priv->request_complete = true;
    s->info.request_end_ns = loop_now_ns(s->worker->loop);
    stream_timers_request_complete(s);
}

/* "Expect: 100-continue" is answered here, before anything else, and goes no further. */
static void answer_expect(struct stream *s)
{
    struct headers *h = &s->request_headers;
    if (s->manager->proxy_100_continue || !headers_has(h, HEADER_EXPECT))
        return;
    struct bytes all = headers_get_all_id(h, HEADER_EXPECT);
    if (!bytes_eq_nocase(all, BYTES("100-continue")))
        return;
    struct headers answer;
    headers_init(&answer, s->arena);
    headers_add_id(&answer, HEADER_STATUS, BYTES("100"));
    stream_send_informational(s, &answer);
    headers_remove_id(h, HEADER_EXPECT);
}

void stream_on_headers(struct stream *s, bool end)
{
    struct stream_private *p = s->priv;
    if (stream_over(s))
        return;
    p->headers_received = true;
    timer_rest(&p->headers_timer);
    s->request.protocol = s->conn->codec->protocol;
    p->is_head = bytes_eq(headers_get(&s->request_headers, HEADER_METHOD), BYTES("HEAD"));
    p->is_grpc = grpc_content_type(&s->request_headers);
    if (end)
        request_complete(s);
    answer_expect(s);
    const char *details = NULL;
    find_scope(s);
    const struct stream_error *e = hcm_request(s, &details);
    stream_read_request(s);
    if (!e)
        e = hcm_tunnel(s, &details);
    if (e) {
        if (!stream_over(s) && !p->response_begun)
            stream_local_reply(s, e, NULL, details);
        return;
    }
    stream_touch(s);
    filter_chain_create(s);
    if (s->manager->flush_access_log_on_new_request) {
        stream_route(s); /* the line names it */
        access_log_stream(s, ACCESS_LOG_START);
    }
    if (!s->conn->mux && connection_above_watermark(s->conn->connection))
        stream_on_watermark(s, true);
    filter_chain_request_headers(s, end);
}

void stream_on_data(struct stream *s, struct buffer *data, bool end)
{
    s->info.bytes_received += data->len;
    if (end)
        request_complete(s);
    stream_touch(s);
    filter_chain_request_data(s, data, end);
}

void stream_on_trailers(struct stream *s)
{
    request_complete(s);
    filter_chain_request_trailers(s);
}

void stream_on_codec_error(struct stream *s, const struct codec_error *e)
{
    struct stream_private *p = s->priv;
    const struct stream_error *row = stream_error_get(STREAM_ERROR_DOWNSTREAM_PROTOCOL);
    if (stream_over(s))
        return;
    stream_stat(s, STAT_HTTP_DOWNSTREAM_CX_PROTOCOL_ERROR);
    if (p->response_sent) {
        s->info.details = e->details;
        stream_reset(s, row);
        return;
    }
    if (!p->headers_received)
        headers_init(&s->request_headers, s->arena);
    struct stream_error copy = *row;
    copy.status = e->status;
    copy.body = NULL; /* the reason phrase */
    stream_local_reply(s, &copy, NULL, e->details);
}

uint32_t stream_buffer_limit(const struct stream *s)
{
    return s->conn->buffer_limit;
}

struct arena *stream_attempt_arena(struct stream *s)
{
    struct stream_private *p = s->priv;
    wire_bytes_settle(&s->info.upstream_bytes);
    if (p->attempt_arena)
        arena_reset(p->attempt_arena);
    else
        p->attempt_arena = stream_pool_spare_arena(s->worker->streams);
    return p->attempt_arena;
}

static void notify_reset(struct stream *s, const struct stream_error *why)
{
    for (unsigned i = 0; i < s->n_filters; i++) {
        struct http_filter *f = &s->filters[i];
        if (f->ops->on_reset)
            f->ops->on_reset(f, why);
    }
}

void stream_on_disconnect(struct stream *s, bool remote)
{
    const struct stream_error *e = stream_error_get(STREAM_ERROR_DOWNSTREAM_DISCONNECT);
    if (stream_over(s))
        return;
    s->priv->reset = true;
    s->info.flags |= e->flags;
    s->info.details = remote ? e->details : "downstream_local_disconnect";
    notify_reset(s, e);
    stream_finish(s);
}

void stream_on_peer_reset(struct stream *s, const char *details, bool remote)
{
    const struct stream_error *e =
        stream_error_get(remote ? STREAM_ERROR_DOWNSTREAM_RESET : STREAM_ERROR_DOWNSTREAM_PROTOCOL);
    if (stream_over(s))
        return;
    s->codec_stream = NULL;
    s->priv->reset = true;
    s->info.flags |= e->flags;
    s->info.details = details;
    notify_reset(s, e);
    stream_finish(s);
}

void stream_reset(struct stream *s, const struct stream_error *e)
{
    if (stream_over(s))
        return;
    s->priv->reset = true;
    s->priv->reset_code = s->priv->tunnel_open ? H2_CONNECT_ERROR
                          : e                  ? e->http2_code
                              : stream_error_get(STREAM_ERROR_CONNECT_FAILURE)->http2_code;
    if (e) {
        s->info.flags |= e->flags;
        if (!s->info.details || e->status == 0)
            s->info.details = e->details;
    }
    stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_TX_RESET);
    notify_reset(s, e);
    stream_finish(s);
}

/* As for Envoy, a request that is wrong ends a connection of HTTP/1 unless the listener says that
 * it ends the stream alone; after some other failures nothing more can be read at all. */
static bool ends_connection(const struct stream *s, unsigned status, const struct stream_error *e)
{
    if (s->conn->mux)
        return false;
    if (status == 400 && e != stream_error_get(STREAM_ERROR_DOWNSTREAM_PROTOCOL))
        return !s->manager->stream_error_h1;
    return e && e->close;
}

void stream_local_reply(struct stream *s, const struct stream_error *e, const char *body,
                        const char *details)
{
    struct stream_private *p = s->priv;
    if (stream_over(s))
        return;
    if (details)
        s->info.details = details;
    if (p->response_sent || e->status == 0) {
        if (!details)
            s->info.details = e->details;
        stream_reset(s, e);
        return;
    }
    s->info.flags |= e->flags;
    if (!details)
        s->info.details = e->details;
    if (ends_connection(s, e->status, e))
        s->conn->codec->ops->drain(s->conn->codec);
    p->local_reply = true;
    p->grpc_status = e->grpc_status;
    const char *text = body ? body : e->body;
    if (!text)
        text = http_reason(e->status);
    headers_init(&s->response_headers, s->arena);
    const struct route *route = s->route_matched ? s->route.route : NULL;
    if (!route || route->action == ROUTE_CLUSTER) /* others add to what they say themselves */
        header_mutate_reply(s, e->status);
    if (e->flags & (1u << RESPONSE_FLAG_UPSTREAM_OVERFLOW))
        headers_add_id(&s->response_headers, HEADER_X_ENVOY_OVERLOADED, BYTES("true"));
    filter_chain_response(s, local_reply_build(s, e->status, bytes_of(text)));
    http_conn_flush(s->conn);
}

void stream_direct_reply(struct stream *s, unsigned status, struct bytes body, const char *details)
{
    if (stream_over(s) || s->priv->response_sent)
        return;
    s->info.details = details;
    if (ends_connection(s, status, NULL))
        s->conn->codec->ops->drain(s->conn->codec);
    s->priv->local_reply = true;
    filter_chain_response(s, local_reply_build(s, status, body));
    http_conn_flush(s->conn);
}

const struct route_match_result *stream_route(struct stream *s)
{
    if (s->route_matched)
        return &s->route;
    find_scope(s);
    struct bytes proto = headers_get(&s->request_headers, HEADER_X_FORWARDED_PROTO);
    struct route_query q = {
        .headers = &s->request_headers,
        .host = s->request.authority,
        .path = s->request.path,
        .random = s->priv->random,
        .is_tls = bytes_eq(proto, BYTES("https")),
        .is_internal = s->remote_is_internal,
    };
    s->route = (struct route_match_result){0};
    if (proto.len > 0) /* as Envoy, to which one without it is no client's request */
        s->route = route_match(s->routes, &q);
    s->route_matched = true;
    return &s->route;
}

void stream_clear_route(struct stream *s)
{
    s->route_matched = false;
    stream_read_request(s);
}

void stream_refresh_routes(struct stream *s)
{
    struct scope_table *old = s->priv->scopes;
    http_conn_refresh(s->conn);
    struct chain_binding *b = s->conn->binding;
    stream_clear_route(s);
    if (!b->manager->scoped != !s->manager->scoped)
        return; /* the manager of now finds its routes otherwise: this request keeps what it has */
    s->priv->scopes = b->scopes;
    s->scope = NULL;
    if (s->priv->scopes)
        node_pin(&s->priv->scopes->node, s->worker->slot);
    if (old)
        node_unpin(&old->node, s->worker->slot);
    if (!b->manager->scoped)
        use_routes(s, b->routes);
}

bool stream_is_grpc(const struct stream *s)
{
    return grpc_content_type(&s->request_headers);
}

int64_t stream_grpc_status(const struct stream *s)
{
    int64_t n = grpc_status(&s->response_trailers);
    if (n == GRPC_NO_STATUS)
        n = grpc_status(&s->response_headers);
    if (n == GRPC_NO_STATUS && s->info.status)
        n = grpc_status_of_http(s->info.status);
    return n;
}

bool stream_request_complete(const struct stream *s)
{
    return s->priv->request_complete;
}

bool stream_response_sent(const struct stream *s)
{
    return s->priv->response_sent;
}

/* HTTP/2 stops the stream alone. */
static void read_pause(struct stream *s, bool paused)
{
    struct http_conn *c = s->conn;
    if (c->mux) {
        c->codec->ops->stream_pause(s->codec_stream, paused);
        http_conn_flush(c);
    } else if (paused) {
        connection_read_pause(c->connection);
    } else {
        connection_read_resume(c->connection);
    }
}

void stream_pause_reading(struct stream *s)
{
    if (s->priv->request_pauses++ || !s->codec_stream)
        return;
    stream_stat(s, STAT_HTTP_DOWNSTREAM_FLOW_PAUSED);
    read_pause(s, true);
}

void stream_resume_reading(struct stream *s)
{
    CHECK(s->priv->request_pauses > 0);
    if (--s->priv->request_pauses || !s->codec_stream)
        return;
    stream_stat(s, STAT_HTTP_DOWNSTREAM_FLOW_RESUMED);
    read_pause(s, false);
}

void filter_request_watermark(struct http_filter *f, bool above)
{
    if (stream_over(f->stream))
        return;
    if (above)
        stream_pause_reading(f->stream);
    else
        stream_resume_reading(f->stream);
}

void stream_on_watermark(struct stream *s, bool above)
{
    if (s->priv->above_watermark == above)
        return;
    s->priv->above_watermark = above;
    stream_response_watermark(s, above);
}

void stream_response_watermark(struct stream *s, bool above)
{
    struct stream_private *p = s->priv;
    if (above ? p->response_pauses++ : --p->response_pauses)
        return;
    if (!s->n_filters || stream_over(s))
        return;
    struct http_filter *terminal = &s->filters[s->n_filters - 1];
    if (terminal->ops->on_downstream_watermark)
        terminal->ops->on_downstream_watermark(terminal, above);
}
