#include "dataplane/upstream/attempt.h"

#include "dataplane/http/stream.h"
#include "dataplane/net/transport_tls.h"
#include "dataplane/upstream/upstream_conn.h"

enum {
    REFUSED_MAX = 3,
    HELD_MAX = 1024 * 1024, /* of what comes before a tunnel is open, whatever the cluster allows */
};

static struct attempt *attempt_of(struct pool_request *r)
{
    return r->owner;
}

static void note_first_rx(struct attempt *a)
{
    struct stream_info *info = &a->stream->info;
    info->upstream_last_rx_ns = loop_now_ns(a->stream->worker->loop);
    if (info->upstream_first_rx_ns == 0)
        info->upstream_first_rx_ns = info->upstream_last_rx_ns;
}

static void note_tx(struct attempt *a)
{
    struct stream_info *info = &a->stream->info;
    info->upstream_last_tx_ns = loop_now_ns(a->stream->worker->loop);
    if (info->upstream_first_tx_ns == 0)
        info->upstream_first_tx_ns = info->upstream_last_tx_ns;
}

static void note_upstream(struct attempt *a)
{
    struct stream_info *info = &a->stream->info;
    struct connection *c = pool_request_connection(&a->request);
    info->upstream_address = a->host_address;
    info->has_upstream_address = true;
    info->upstream_is_tcp = a->tcp;
    if (c) {
        tls_connection_unref(&info->upstream_tls);
        info->upstream_tls = transport_tls_hold(connection_transport(c));
        info->upstream_protocol = a->request.conn->mux ? PROTOCOL_HTTP2 : PROTOCOL_HTTP11;
        info->upstream_local_address = *connection_local(c);
        info->has_upstream_local_address = true;
    }
}

static void set_body_above(struct attempt *a, bool above)
{
    if (a->body_above == above)
        return;
    a->body_above = above;
    a->ops->on_watermark(a, above);
}

/* What a client sends before its tunnel is open is held: it may be meant for nobody, and an origin
 * that refuses would read it as the next request. */
static bool holds(const struct attempt *a)
{
    return a->tunnel != TUNNEL_NONE && !a->open;
}

static bool held_too_much(const struct attempt *a)
{
    uint32_t limit = a->buffer_limit;
    if (a->tunnel != TUNNEL_NONE && (limit == 0 || limit > HELD_MAX))
        limit = HELD_MAX;
    return limit && a->body.len > limit;
}

static void open_tunnel(struct attempt *a)
{
    a->open = true;
    pool_request_open_tunnel(&a->request);
}

/* The head that opens the tunnel has been given to the router. */
static void send_held(struct attempt *a)
{
    if (a->state != ATTEMPT_ACTIVE || !a->request.conn)
        return;
    if (a->body.len || a->request_ended) {
        note_tx(a);
        pool_request_send_data(&a->request, &a->body, a->request_ended);
    }
    if (a->state == ATTEMPT_ACTIVE && a->request.conn)
        set_body_above(a, pool_request_above(&a->request));
}

static void send_proxy_header(struct attempt *a)
{
    char text[PROXY_PROTOCOL_MAX];
    size_t len = stream_proxy_header(a->stream, text);
    struct buffer header;
    if (len == 0)
        return;
    buffer_init(&header, a->stream->worker->chunks);
    buffer_add(&header, text, len);
    pool_request_send_data(&a->request, &header, false);
    buffer_fini(&header);
}

/* A TCP origin has agreed by being there. */
static void connected(struct attempt *a)
{
    open_tunnel(a);
    send_proxy_header(a);
    headers_set_id(&a->response_headers, HEADER_STATUS, BYTES("200"));
    a->headers_seen = true;
    a->ops->on_headers(a, false);
    send_held(a);
}

/* Sends what has come so far. A stream may be refused while its head goes out (no memory for the
 * frame): then all of it has been sent again, or has failed, when that returns. What was above the
 * limit here may be above it in the connection too, which has said so while we were. */
static void send_all(struct attempt *a)
{
    bool body = a->body.len > 0;
    bool end = a->request_ended && !a->request_trailers;
    uint8_t refused = a->refused;
    a->state = ATTEMPT_ACTIVE;
    a->started = true;
    note_upstream(a);
    note_tx(a);
    if (!a->refused)
        a->ops->on_sent(a);
    if (a->tcp) {
        connected(a);
        return;
    }
    if (a->tunnel != TUNNEL_NONE) {
        pool_request_send_headers(&a->request, a->request_headers, false);
        return;
    }
    pool_request_send_headers(&a->request, a->request_headers, end && !body);
    if (a->refused != refused)
        return;
    a->body_sent |= body;
    if (body && a->request.conn)
        pool_request_send_data(&a->request, &a->body, end);
    if (a->request_trailers && a->request.conn)
        pool_request_send_trailers(&a->request, a->request_trailers);
    if (a->state == ATTEMPT_ACTIVE && a->request.conn)
        set_body_above(a, pool_request_above(&a->request));
}

static void on_ready(struct pool_request *r)
{
    send_all(attempt_of(r));
}

/* A stream that the upstream has not touched (GOAWAY, REFUSED_STREAM) goes to another connection,
 * as long as all of it is still here. */
static bool try_again(struct attempt *a, enum upstream_failure why)
{
    if (why != UPSTREAM_REFUSED || a->body_sent || a->headers_seen || a->refused >= REFUSED_MAX ||
        a->retried_above)
        return false;
    a->refused++;
    a->state = ATTEMPT_WAITING;
    switch (conn_pool_get(a->request.pool, &a->request)) {
    case POOL_READY:
        send_all(a);
        return true;
    case POOL_PENDING:
        return true;
    case POOL_OVERFLOW:
        break;
    }
    return false;
}

static void on_failure(struct pool_request *r, enum upstream_failure why, struct bytes text)
{
    struct attempt *a = attempt_of(r);
    if (try_again(a, why))
        return;
    bool was_waiting = a->state == ATTEMPT_WAITING;
    a->state = ATTEMPT_DONE;
    buffer_fini(&a->body);
    if (was_waiting)
        note_upstream(a);
    a->ops->on_failed(a, why, text);
}

static void on_informational(struct pool_request *r)
{
    struct attempt *a = attempt_of(r);
    note_first_rx(a);
    a->ops->on_informational(a);
}

static void on_headers(struct pool_request *r, bool end)
{
    struct attempt *a = attempt_of(r);
    note_first_rx(a);
    a->headers_seen = true;
    a->response_ended = end;
    if (tunnel_opened(a->tunnel, headers_status(&a->response_headers)))
        open_tunnel(a);
    else if (a->tunnel != TUNNEL_NONE)
        buffer_fini(&a->body); /* refused: nobody gets it */
    a->ops->on_headers(a, end);
    if (a->open)
        send_held(a);
}

static void on_data(struct pool_request *r, struct buffer *data, bool end)
{
    struct attempt *a = attempt_of(r);
    a->stream->info.upstream_last_rx_ns = loop_now_ns(a->stream->worker->loop);
    a->response_ended = end;
    a->ops->on_data(a, data, end);
}

static void on_trailers(struct pool_request *r)
{
    struct attempt *a = attempt_of(r);
    a->stream->info.upstream_last_rx_ns = loop_now_ns(a->stream->worker->loop);
    a->response_ended = true;
    a->ops->on_trailers(a);
}

static void on_watermark(struct pool_request *r, bool above)
{
    set_body_above(attempt_of(r), above);
}

static const struct pool_request_ops request_ops = {
    .on_ready = on_ready,
    .on_failure = on_failure,
    .on_informational = on_informational,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_watermark = on_watermark,
};

struct attempt *attempt_new(struct stream *s, struct arena *arena, const struct attempt_ops *ops,
                            void *owner, struct cluster_runtime *cluster)
{
    struct attempt *a = ARENA_NEW(arena, struct attempt);
    a->arena = arena;
    list_init(&a->link);
    a->ops = ops;
    a->owner = owner;
    a->stream = s;
    a->cluster = cluster;
    cluster_runtime_use(cluster);
    a->buffer_limit = cluster->params.buffer_limit;
    headers_init(&a->response_headers, arena);
    headers_init(&a->response_trailers, arena);
    buffer_init(&a->body, s->worker->chunks);
    pool_request_init(&a->request, &request_ops, a, &a->response_headers, &a->response_trailers);
    s->info.attempts++;
    return a;
}

/* The name that the cluster takes from the request, without its port; an address is none. */
struct server_name attempt_server_name(const struct cluster_runtime *c, const struct headers *h)
{
    const struct auto_names *names = c->entry->cluster->auto_names;
    struct bytes host = headers_get(h, HEADER_AUTHORITY);
    struct address ignored;
    if (!names)
        return (struct server_name){0};
    if (names->header.len && headers_get_all(h, names->header).len)
        host = headers_get_all(h, names->header);
    ptrdiff_t colon = bytes_rfind_char(host, ':');
    if (colon >= 0 && bytes_find_char(host, ']') < colon)
        host = bytes_first(host, (size_t)colon);
    bool send =
        names->sni && host.len && host.data[0] != '[' && !address_parse_ip(host, 0, &ignored);
    if (!send && !names->san_validation)
        return (struct server_name){0};
    return (struct server_name){host, send, names->san_validation};
}

bool attempt_start(struct attempt *a, const struct host *host, unsigned priority,
                   const struct headers *h, bool end)
{
    enum http_protocol protocol = a->stream->request.protocol;
    struct server_name name = {0};
    if (a->cluster->wants_tls)
        name = attempt_server_name(a->cluster, h);
    struct conn_pool *pool =
        a->tcp ? cluster_runtime_pool_tcp(a->cluster, host, priority, &name)
               : cluster_runtime_pool_named(a->cluster, host, priority, protocol, &name);
    a->host = host->state;
    host_state_hold(a->host);
    a->host_address = host->address;
    if (host->name)
        a->stream->info.upstream_hostname = arena_dup(a->arena, *host->name);
    a->request_headers = h;
    a->tunnel = tunnel_asked(h);
    a->request_ended = end;
    switch (conn_pool_get(pool, &a->request)) {
    case POOL_READY:
        send_all(a);
        return true;
    case POOL_PENDING:
        a->state = ATTEMPT_WAITING;
        return true;
    case POOL_OVERFLOW:
        break;
    }
    a->state = ATTEMPT_DONE;
    return false;
}

static void hold(struct attempt *a, struct buffer *data)
{
    if (holds(a) && a->headers_seen) { /* refused */
        buffer_drain(data, data->len);
        return;
    }
    buffer_move(&a->body, data);
    if (held_too_much(a))
        set_body_above(a, true);
}

void attempt_send_data(struct attempt *a, struct buffer *data, bool end)
{
    if (end)
        a->request_ended = true;
    switch (a->state) {
    case ATTEMPT_ACTIVE:
        if (!a->request.conn) /* the response is complete already */
            break;
        if (holds(a)) {
            hold(a, data);
            return;
        }
        note_tx(a);
        a->body_sent = true;
        pool_request_send_data(&a->request, data, end);
        return;
    case ATTEMPT_NEW:
    case ATTEMPT_WAITING:
        hold(a, data);
        return;
    case ATTEMPT_DONE:
        break;
    }
    buffer_drain(data, data->len);
}

void attempt_send_trailers(struct attempt *a, const struct headers *h)
{
    a->request_ended = true;
    if (a->tunnel != TUNNEL_NONE || a->tcp) { /* a tunnel has no trailers: it ends */
        struct buffer none;
        buffer_init(&none, a->stream->worker->chunks);
        attempt_send_data(a, &none, true);
        buffer_fini(&none);
        return;
    }
    if (a->state == ATTEMPT_ACTIVE) {
        if (!a->request.conn)
            return;
        note_tx(a);
        pool_request_send_trailers(&a->request, h);
    } else if (a->state != ATTEMPT_DONE) {
        a->request_trailers = h;
    }
}

void attempt_read_pause(struct attempt *a)
{
    if (a->state == ATTEMPT_ACTIVE)
        pool_request_read_pause(&a->request);
}

void attempt_read_resume(struct attempt *a)
{
    if (a->state == ATTEMPT_ACTIVE)
        pool_request_read_resume(&a->request);
}

void attempt_reset(struct attempt *a)
{
    a->state = ATTEMPT_DONE;
    pool_request_cancel(&a->request);
    buffer_fini(&a->body);
}

void attempt_release(struct attempt *a)
{
    attempt_reset(a);
    list_remove(&a->link);
    if (a->host)
        host_state_release(a->host);
    a->host = NULL;
    if (a->cluster)
        cluster_runtime_done(a->cluster);
    a->cluster = NULL;
}
