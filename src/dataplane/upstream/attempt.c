#include "dataplane/upstream/attempt.h"

#include "dataplane/http/format.h"
#include "dataplane/http/stream.h"
#include "dataplane/net/transport_tls.h"
#include "dataplane/upstream/server_name.h"
#include "dataplane/upstream/upstream_conn.h"

/* Of what comes before a tunnel is open, whatever the cluster allows. */
enum { HELD_MAX = 1024 * 1024 };

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

void attempt_note_upstream(struct attempt *a)
{
    struct stream_info *info = &a->stream->info;
    struct connection *c = pool_request_connection(&a->out.request);
    info->upstream_address = a->host_address;
    info->upstream_hostname = a->hostname;
    info->host_metadata = a->metadata;
    info->pool_ready_ns = a->pool_ready_ns;
    info->has_upstream_address = true;
    info->upstream_is_tcp = a->tcp;
    if (c) {
        tls_connection_unref(&info->upstream_tls);
        info->upstream_tls = transport_tls_hold(connection_transport(c));
        info->upstream_protocol = a->out.request.conn->mux ? PROTOCOL_HTTP2 : PROTOCOL_HTTP11;
        info->upstream_connection_id = a->out.request.conn->id;
        info->upstream_local_address = *connection_local(c);
        info->upstream_other = NULL;
        if (UNLIKELY(a->out.request.conn->pool->n_others)) {
            struct address *other = ARENA_NEW(a->stream->arena, struct address);
            *other = *connection_remote(c);
            info->upstream_other = other;
        }
        info->upstream_times = *connection_times(c);
        info->has_upstream_local_address = true;
    }
}

/* A connection is there, or will not be. */
static void note_pool(struct attempt *a)
{
    a->pool_ready_ns = loop_now_ns(a->stream->worker->loop) - a->begun_ns;
    attempt_note_upstream(a);
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
    return limit && a->out.body.len > limit;
}

static void open_tunnel(struct attempt *a)
{
    a->open = true;
    pool_request_open_tunnel(&a->out.request);
}

/* The head that opens the tunnel has been given to the router. */
static void send_held(struct attempt *a)
{
    if (a->state != ATTEMPT_ACTIVE || !a->out.request.conn)
        return;
    if (a->out.body.len || a->out.ended) {
        note_tx(a);
        pool_request_send_data(&a->out.request, &a->out.body, a->out.ended);
    }
    if (a->state == ATTEMPT_ACTIVE && a->out.request.conn)
        set_body_above(a, pool_request_above(&a->out.request));
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
    pool_request_send_data(&a->out.request, &header, false);
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

/* What the origin has answered in full is over, though its attempt may live on. */
static void on_max_duration(struct timer *t)
{
    struct attempt *a = t->owner;
    if (a->response_ended)
        return;
    cluster_stat_inc(a->cluster, STAT_UPSTREAM_RQ_MAX_DURATION_REACHED);
    attempt_reset(a);
    a->ops->on_failed(a, UPSTREAM_MAX_DURATION, BYTES_NONE);
}

static void limit_duration(struct attempt *a)
{
    if (!a->duration) {
        a->duration = ARENA_NEW(a->arena, struct timer);
        timer_init(a->duration, a->stream->worker->loop, on_max_duration, a);
    }
    timer_start(a->duration, a->max_duration_ms);
}

static void stop_duration(struct attempt *a)
{
    if (UNLIKELY(a->duration != NULL))
        timer_stop(a->duration);
}

/* What was above the limit here may be above it in the connection too, which has said so while we
 * were. */
static void send_all(struct attempt *a)
{
    a->state = ATTEMPT_ACTIVE;
    a->started = true;
    note_pool(a);
    note_tx(a);
    if (UNLIKELY(a->max_duration_ms > 0))
        limit_duration(a);
    if (!a->out.refused)
        a->ops->on_sent(a);
    if (a->tcp) {
        connected(a);
        return;
    }
    if (a->tunnel != TUNNEL_NONE) {
        pool_request_send_headers(&a->out.request, a->out.headers, false);
        return;
    }
    outgoing_send(&a->out);
    if (a->out.request.conn)
        set_body_above(a, pool_request_above(&a->out.request));
}

static void on_ready(struct pool_request *r)
{
    send_all(attempt_of(r));
}

static void forget_host(struct attempt *a)
{
    if (a->host)
        host_state_release(a->host);
    a->host = NULL;
}

static bool get_connection(struct attempt *a, struct conn_pool *pool)
{
    a->state = ATTEMPT_WAITING;
    switch (conn_pool_get(pool, &a->out.request)) {
    case POOL_READY:
        send_all(a);
        return true;
    case POOL_PENDING: /* the log shall say for whom, should it wait in vain */
        a->pool_ready_ns = POOL_NOT_READY;
        attempt_note_upstream(a);
        return true;
    case POOL_OVERFLOW_ACTIVE:
        attempt_note_upstream(a);
        break;
    case POOL_OVERFLOW: /* before it was the host's */
        forget_host(a);
        break;
    }
    return false;
}

/* A stream that the upstream has not touched goes to another connection, as long as all of it is
 * still here. */
static bool try_again(struct attempt *a, enum upstream_failure why)
{
    return !a->headers_seen && !a->retried_above && outgoing_repeats(&a->out, why) &&
           get_connection(a, a->out.request.pool);
}

static void on_failure(struct pool_request *r, enum upstream_failure why, struct bytes text)
{
    struct attempt *a = attempt_of(r);
    if (try_again(a, why))
        return;
    bool was_waiting = a->state == ATTEMPT_WAITING;
    a->state = ATTEMPT_DONE;
    stop_duration(a);
    buffer_fini(&a->out.body);
    if (was_waiting)
        note_pool(a);
    a->ops->on_failed(a, why, text);
}

static void on_informational(struct pool_request *r)
{
    struct attempt *a = attempt_of(r);
    note_first_rx(a);
    a->ops->on_informational(a);
    outgoing_forget_interim(&a->out);
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
        buffer_fini(&a->out.body); /* refused: nobody gets it */
    a->ops->on_headers(a, end);
    if (a->open)
        send_held(a);
}

static void on_data(struct pool_request *r, struct buffer *data, bool end)
{
    struct attempt *a = attempt_of(r);
    struct stream_info *info = &a->stream->info;
    info->upstream_last_rx_ns = loop_now_ns(a->stream->worker->loop);
    if (!info->upstream_first_body_ns)
        info->upstream_first_body_ns = info->upstream_last_rx_ns;
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
    a->max_duration_ms = cluster->params.max_stream_duration_ms;
    a->response_headers.arena = a->response_trailers.arena = arena; /* all else is zero */
    outgoing_init(&a->out, &request_ops, a, &a->response_headers, &a->response_trailers,
                  s->worker->chunks);
    a->out.request.bytes = &s->info.upstream_bytes;
    s->info.attempts++;
    return a;
}

bool attempt_start(struct attempt *a, const struct host *host, unsigned priority,
                   const struct headers *h, bool end)
{
    enum http_protocol protocol = a->stream->request.protocol;
    struct server_name name = {0};
    if (a->cluster->wants_tls)
        name = server_name_of_request(a->cluster->entry->cluster, h);
    struct conn_pool *pool =
        a->tcp ? cluster_runtime_pool_tcp(a->cluster, host, priority, &name)
               : cluster_runtime_pool_named(a->cluster, host, priority, protocol, &name);
    a->host = host->state;
    host_state_hold(a->host);
    a->host_address = host->address;
    a->canary = host->more && host->more->canary;
    if (host_name(host).len)
        a->hostname = a->stream->info.upstream_hostname = arena_dup(a->arena, host_name(host));
    if (host_metadata(host).len && format_wants_upstream_metadata(a->stream))
        a->metadata = a->stream->info.host_metadata = arena_dup(a->arena, host_metadata(host));
    a->begun_ns = loop_now_ns(a->stream->worker->loop);
    a->out.headers = h;
    a->tunnel = tunnel_asked(h);
    a->out.ended = end;
    if (get_connection(a, pool))
        return true;
    a->state = ATTEMPT_DONE;
    return false;
}

static void hold(struct attempt *a, struct buffer *data)
{
    if (holds(a) && a->headers_seen) { /* refused */
        buffer_drain(data, data->len);
        return;
    }
    size_t before = a->out.body.len;
    buffer_move(&a->out.body, data);
    buffer_tighten_grown(&a->out.body, before);
    if (held_too_much(a))
        set_body_above(a, true);
}

void attempt_send_data(struct attempt *a, struct buffer *data, bool end)
{
    if (end)
        a->out.ended = true;
    switch (a->state) {
    case ATTEMPT_ACTIVE:
        if (!a->out.request.conn) /* the response is complete already */
            break;
        if (holds(a)) {
            hold(a, data);
            return;
        }
        note_tx(a);
        a->out.body_sent = true;
        pool_request_send_data(&a->out.request, data, end);
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
    a->out.ended = true;
    if (a->tunnel != TUNNEL_NONE || a->tcp) { /* a tunnel has no trailers: it ends */
        struct buffer none;
        buffer_init(&none, a->stream->worker->chunks);
        attempt_send_data(a, &none, true);
        buffer_fini(&none);
        return;
    }
    a->out.trailers = h; /* kept: without a body all of it may be sent once more */
    if (a->state == ATTEMPT_ACTIVE && a->out.request.conn) {
        note_tx(a);
        pool_request_send_trailers(&a->out.request, h);
    }
}

void attempt_read_pause(struct attempt *a)
{
    if (a->state == ATTEMPT_ACTIVE)
        pool_request_read_pause(&a->out.request);
}

void attempt_read_resume(struct attempt *a)
{
    if (a->state == ATTEMPT_ACTIVE)
        pool_request_read_resume(&a->out.request);
}

void attempt_reset(struct attempt *a)
{
    a->state = ATTEMPT_DONE;
    stop_duration(a);
    pool_request_cancel(&a->out.request);
    buffer_fini(&a->out.body);
}

void attempt_drop(struct attempt *a)
{
    if (a->out.request.conn)
        upstream_conn_count_unread(a->out.request.conn);
    attempt_reset(a);
}

void attempt_release(struct attempt *a)
{
    attempt_reset(a);
    list_remove(&a->link);
    forget_host(a);
    outgoing_fini(&a->out);
    if (a->cluster)
        cluster_runtime_done(a->cluster);
    a->cluster = NULL;
}
