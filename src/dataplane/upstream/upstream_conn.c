#include "dataplane/upstream/upstream_conn.h"

#include "base/memory.h"
#include "config/tls.h"
#include "dataplane/http/codec_h1.h"
#include "dataplane/http/codec_tcp.h"
#include "dataplane/http/stream_error.h"
#include "dataplane/net/transport_tls.h"
#include "dataplane/upstream/upstream_mux.h"

enum { FLUSH_MS = 1000 }; /* without progress */

static struct cluster_runtime *cluster_of(const struct upstream_conn *uc)
{
    return uc->pool->cluster;
}

/* The bytes since the last count; written ones are seen with the next answer or the close. */
void upstream_conn_count_bytes(struct upstream_conn *uc)
{
    uint64_t rx = connection_bytes_read(uc->connection);
    uint64_t tx = connection_bytes_written(uc->connection);
    if (rx != uc->rx_counted)
        cluster_stat_add(cluster_of(uc), STAT_UPSTREAM_CX_RX_BYTES_TOTAL,
                         (int64_t)(rx - uc->rx_counted));
    if (tx != uc->tx_counted)
        cluster_stat_add(cluster_of(uc), STAT_UPSTREAM_CX_TX_BYTES_TOTAL,
                         (int64_t)(tx - uc->tx_counted));
    uc->rx_counted = rx;
    uc->tx_counted = tx;
}

void upstream_conn_count_unread(struct upstream_conn *uc)
{
    if (uc->codec->bytes && !uc->response_done)
        uc->codec->bytes->received += connection_input_len(uc->connection);
}

/* The request does not count as active any more. */
static void end_serving(struct upstream_conn *uc)
{
    if (!uc->serving)
        return;
    uc->serving = false;
    atomic_fetch_sub_explicit(&host_state_use(uc->pool->host)->rq_active, 1, memory_order_relaxed);
    cluster_stat_add(cluster_of(uc), STAT_UPSTREAM_RQ_ACTIVE, -1);
    breaker_dec(cluster_of(uc), uc->pool->priority, BREAKER_RQ);
    for (; uc->pauses > 0; uc->pauses--)
        connection_read_resume(uc->connection);
}

/* Cuts the tie between the request and its connection; returns the request, or NULL. */
static struct pool_request *untie(struct upstream_conn *uc)
{
    struct pool_request *r = uc->request;
    uc->request = NULL;
    if (r) {
        r->conn = NULL;
        uc->codec->bytes = NULL;
    }
    return r;
}

void upstream_conn_close(struct upstream_conn *uc, enum close_reason reason)
{
    if (uc->state == UPSTREAM_CONN_CLOSING)
        return;
    conn_pool_forget(uc->pool, uc);
    uc->state = UPSTREAM_CONN_CLOSING;
    timer_stop(&uc->idle_timer);
    timer_stop(&uc->duration_timer);
    bool last_words = uc->tunnel || (uc->mux && uc->mux->error); /* the GOAWAY that says why */
    connection_close(uc->connection, reason, last_words ? CLOSE_FLUSH : CLOSE_NOW,
                     last_words ? FLUSH_MS : 0);
}

static void fail_request(struct upstream_conn *uc, enum upstream_failure why, struct bytes text)
{
    struct pool_request *r = untie(uc);
    uc->aborted = uc->aborted || uc->serving;
    end_serving(uc);
    if (r)
        r->ops->on_failure(r, why, text);
}

/* Bytes that nobody asked for. A server that gives up on an idle connection may say 408 first. */
static void drop_unsolicited(struct upstream_conn *uc, struct buffer *in)
{
    struct bytes head = buffer_peek(in, in->len < 13 ? in->len : 13);
    if (!bytes_starts_with(head, BYTES("HTTP/1.1 408 ")))
        cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_CX_PROTOCOL_ERROR);
    buffer_drain(in, in->len);
}

/* Once the codec has returned: may the connection go on? What the peer has sent beyond the response
 * must not answer the request that comes next. */
static void after_input(struct upstream_conn *uc, struct buffer *in)
{
    if (uc->state != UPSTREAM_CONN_BUSY || !uc->response_done)
        return;
    untie(uc);
    uc->aborted = !uc->request_done;
    end_serving(uc);
    uc->stream = NULL;
    if (in->len > 0) {
        uc->no_more = true;
        drop_unsolicited(uc, in);
    }
    if (!uc->request_done || uc->no_more || uc->eof || uc->requests_left == 0 ||
        !uc->codec->ops->reusable(uc->codec))
        upstream_conn_close(uc, CLOSE_REQUEST_DONE);
    else
        conn_pool_released(uc->pool, uc);
}

static void codec_on_headers(void *owner, void *user, bool end)
{
    struct upstream_conn *uc = owner;
    struct pool_request *r = uc->request;
    if (!r)
        return;
    unsigned status = headers_status(r->response);
    if (status >= 100 && status < 200 && status != 101) {
        r->ops->on_informational(r);
        if (uc->request == r)
            headers_init(r->response, r->response->arena);
        return;
    }
    uc->head_seen = true;
    uc->response_done = end;
    r->response_done = end;
    r->ops->on_headers(r, end);
}

static void codec_on_data(void *owner, void *user, struct buffer *data, bool end)
{
    struct upstream_conn *uc = owner;
    struct pool_request *r = uc->request;
    uc->response_done = end;
    if (!r)
        return;
    r->response_done = end;
    r->ops->on_data(r, data, end);
}

static void codec_on_trailers(void *owner, void *user)
{
    struct upstream_conn *uc = owner;
    struct pool_request *r = uc->request;
    uc->response_done = true;
    if (!r)
        return;
    r->response_done = true;
    r->ops->on_trailers(r);
}

static void codec_on_reset(void *owner, void *user, const char *reason)
{
    struct upstream_conn *uc = owner;
    fail_request(uc, UPSTREAM_RESET, bytes_of(reason));
    upstream_conn_close(uc, CLOSE_REMOTE_RESET);
}

static void codec_on_error(void *owner, void *user, const struct codec_error *e)
{
    struct upstream_conn *uc = owner;
    cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_CX_PROTOCOL_ERROR);
    upstream_conn_count_unread(uc);
    fail_request(uc, UPSTREAM_PROTOCOL_ERROR, bytes_of(e->details));
    upstream_conn_close(uc, uc->eof ? CLOSE_REMOTE_CLOSE : CLOSE_PROTOCOL_ERROR);
}

static void codec_on_no_more(void *owner)
{
    struct upstream_conn *uc = owner;
    if (!uc->no_more)
        cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_CX_CLOSE_NOTIFY);
    uc->no_more = true;
}

static const struct codec_callbacks codec_callbacks = {
    .on_headers = codec_on_headers,
    .on_data = codec_on_data,
    .on_trailers = codec_on_trailers,
    .on_reset = codec_on_reset,
    .on_error = codec_on_error,
    .on_no_more_streams = codec_on_no_more,
};

static void count_http1(struct upstream_conn *uc)
{
    cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_CX_HTTP1_TOTAL);
    cluster_stat_add(cluster_of(uc), STAT_CLUSTER_HTTP1, 0);
}

/* What the handshake has agreed on. */
static void choose_protocol(struct upstream_conn *uc)
{
    if (uc->pool->protocol != UPSTREAM_AUTO)
        return;
    if (bytes_eq(connection_protocol(uc->connection), BYTES("h2")))
        upstream_mux_begin(uc);
    else
        count_http1(uc);
}

void upstream_conn_on_connected(struct connection *c)
{
    struct upstream_conn *uc = connection_owner(c);
    if (uc->state != UPSTREAM_CONN_CONNECTING)
        return;
    uc->connected = true;
    stat_record(cluster_of(uc)->stats, cluster_of(uc)->worker->slot, STAT_UPSTREAM_CX_CONNECT_MS,
                connection_connect_ms(c));
    if (cluster_of(uc)->params.max_duration_ms)
        timer_start(&uc->duration_timer, cluster_of(uc)->params.max_duration_ms);
    choose_protocol(uc);
    conn_pool_connected(uc->pool, uc);
    if (uc->mux)
        upstream_mux_connected(uc);
}

static void bad_response(struct upstream_conn *uc)
{
    if (uc->state != UPSTREAM_CONN_BUSY || uc->response_done)
        return; /* told by on_error */
    cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_CX_PROTOCOL_ERROR);
    upstream_conn_count_unread(uc);
    fail_request(uc, UPSTREAM_PROTOCOL_ERROR, BYTES_NONE);
    upstream_conn_close(uc, uc->eof ? CLOSE_REMOTE_CLOSE : CLOSE_PROTOCOL_ERROR);
}

static void feed_codec(struct upstream_conn *uc, struct buffer *in, bool end)
{
    if (in->len > 0 && !uc->codec->ops->input(uc->codec, in))
        bad_response(uc);
    /* The end inside a message is a protocol error (as in Envoy); before its first byte, or after a
     * whole interim one, the connection was merely lost, which on_close() tells. */
    if (end && (uc->head_seen || in->len > 0) && uc->state == UPSTREAM_CONN_BUSY &&
        !uc->response_done && !uc->codec->ops->input_eof(uc->codec))
        bad_response(uc);
}

/* No byte of a request is on the wire that this could answer: the connection is idle, or was until
 * this very turn. */
static bool unasked(const struct upstream_conn *uc)
{
    if (uc->pool->protocol == UPSTREAM_TCP && uc->state == UPSTREAM_CONN_BUSY)
        return false; /* its origin may speak first */
    return uc->state == UPSTREAM_CONN_IDLE ||
           (uc->state == UPSTREAM_CONN_BUSY &&
            connection_bytes_written(uc->connection) == uc->tx_at_attach);
}

static void refuse_unasked(struct upstream_conn *uc, struct buffer *in)
{
    drop_unsolicited(uc, in);
    fail_request(uc, UPSTREAM_PROTOCOL_ERROR, BYTES_NONE);
    upstream_conn_close(uc, CLOSE_PROTOCOL_ERROR);
}

static void on_data(struct connection *c, struct buffer *in, bool end)
{
    struct upstream_conn *uc = connection_owner(c);
    upstream_conn_count_bytes(uc);
    uc->eof = end;
    if (in->len > 0 && unasked(uc))
        refuse_unasked(uc, in);
    if (uc->state == UPSTREAM_CONN_BUSY)
        feed_codec(uc, in, end);
    if (uc->state == UPSTREAM_CONN_CLOSING) {
        buffer_drain(in, in->len);
        return;
    }
    after_input(uc, in);
    if (end)
        upstream_conn_close(uc, CLOSE_REMOTE_CLOSE);
}

static void on_high_watermark(struct connection *c)
{
    struct upstream_conn *uc = connection_owner(c);
    cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_FLOW_CONTROL_BACKED_UP_TOTAL);
    if (uc->request)
        uc->request->ops->on_watermark(uc->request, true);
}

static void on_low_watermark(struct connection *c)
{
    struct upstream_conn *uc = connection_owner(c);
    cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_FLOW_CONTROL_DRAINED_TOTAL);
    if (uc->request)
        uc->request->ops->on_watermark(uc->request, false);
}

static bool is_remote(enum close_reason r)
{
    return r == CLOSE_REMOTE_CLOSE || r == CLOSE_REMOTE_RESET || r == CLOSE_IO_ERROR ||
           r == CLOSE_CONNECT_FAILED || r == CLOSE_HANDSHAKE_FAILED;
}

static void count_destroy(struct upstream_conn *uc, enum close_reason reason)
{
    struct cluster_runtime *c = cluster_of(uc);
    bool remote = is_remote(reason);
    cluster_stat_inc(c, STAT_UPSTREAM_CX_DESTROY);
    cluster_stat_inc(c, remote ? STAT_UPSTREAM_CX_DESTROY_REMOTE : STAT_UPSTREAM_CX_DESTROY_LOCAL);
    if (uc->aborted) {
        cluster_stat_inc(c, STAT_UPSTREAM_CX_DESTROY_WITH_ACTIVE_RQ);
        cluster_stat_inc(c, remote ? STAT_UPSTREAM_CX_DESTROY_REMOTE_WITH_ACTIVE_RQ
                                   : STAT_UPSTREAM_CX_DESTROY_LOCAL_WITH_ACTIVE_RQ);
    }
    if (!uc->connected) {
        cluster_stat_inc(c, STAT_UPSTREAM_CX_CONNECT_FAIL);
        atomic_fetch_add_explicit(&host_state_use(uc->pool->host)->cx_connect_fail, 1,
                                  memory_order_relaxed);
        if (reason == CLOSE_CONNECT_TIMEOUT)
            cluster_stat_inc(c, STAT_UPSTREAM_CX_CONNECT_TIMEOUT);
    }
    stat_record(c->stats, c->worker->slot, STAT_UPSTREAM_CX_LENGTH_MS,
                loop_now_ms(c->worker->loop) - connection_created_ms(uc->connection));
    if (uc->connected)
        stat_record(c->stats, c->worker->slot, STAT_UPSTREAM_RQ_PER_CX, uc->served);
}

static void release_counts(struct upstream_conn *uc)
{
    struct cluster_runtime *c = cluster_of(uc);
    cluster_stat_add(c, STAT_UPSTREAM_CX_ACTIVE, -1);
    atomic_fetch_sub_explicit(&host_state_use(uc->pool->host)->cx_active, 1, memory_order_relaxed);
    breaker_dec(c, uc->pool->priority, BREAKER_CX);
}

static void conn_free(struct upstream_conn *uc)
{
    timer_stop(&uc->idle_timer);
    timer_stop(&uc->duration_timer);
    if (uc->codec)
        uc->codec->ops->free(&uc->codec);
    buffer_fini(&uc->out);
    mem_free(uc->mux);
    mem_free(uc);
}

void upstream_conn_on_close(struct connection *c, enum close_reason reason)
{
    struct upstream_conn *uc = connection_owner(c);
    struct conn_pool *p = uc->pool;
    bool connecting = !uc->connected;
    bool was_ours = uc->state == UPSTREAM_CONN_CLOSING;
    upstream_conn_count_bytes(uc);
    if (!was_ours) {
        conn_pool_forget(p, uc);
        uc->state = UPSTREAM_CONN_CLOSING;
    }
    if (uc->mux)
        upstream_mux_end(uc, UPSTREAM_TERMINATED, bytes_of(connection_failure(c)), true);
    else
        fail_request(uc, UPSTREAM_TERMINATED, bytes_of(connection_failure(c)));
    count_destroy(uc, reason);
    release_counts(uc);
    enum upstream_failure why = reason == CLOSE_CONNECT_TIMEOUT ? UPSTREAM_CONNECT_TIMEOUT
                                : is_remote(reason)             ? UPSTREAM_CONNECT_FAILED
                                                                : UPSTREAM_LOCAL_CLOSE;
    list_remove(&uc->link);
    conn_free(uc);
    conn_pool_closed(p, connecting, why, bytes_of(connection_failure(c)));
}

static const struct connection_ops connection_callbacks = {
    .on_connected = upstream_conn_on_connected,
    .on_data = on_data,
    .on_high_watermark = on_high_watermark,
    .on_low_watermark = on_low_watermark,
    .on_close = upstream_conn_on_close,
};

/* Left running while a request is served: starting it again later costs one store. */
static void on_idle_timer(struct timer *t)
{
    struct upstream_conn *uc = t->owner;
    if (uc->state != UPSTREAM_CONN_IDLE || upstream_conn_used(uc))
        return;
    uint64_t idle = loop_now_ms(t->loop) - uc->idle_since_ms;
    uint64_t limit = cluster_of(uc)->params.idle_timeout_ms;
    if (idle < limit) {
        timer_start(t, limit - idle);
        return;
    }
    cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_CX_IDLE_TIMEOUT);
    upstream_conn_close(uc, CLOSE_IDLE_TIMEOUT);
}

static void on_duration_timer(struct timer *t)
{
    struct upstream_conn *uc = t->owner;
    cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_CX_MAX_DURATION_REACHED);
    uc->no_more = true;
    if (upstream_conn_used(uc))
        upstream_mux_retire(uc);
    else if (uc->state == UPSTREAM_CONN_IDLE)
        upstream_conn_close(uc, CLOSE_MAX_DURATION);
}

struct codec_options upstream_conn_codec_options(const struct upstream_conn *uc)
{
    const struct pool_params *params = &cluster_of(uc)->params;
    uint32_t usual_kb = uc->mux ? 60 : 80, max_kb = params->max_response_headers_kb;
    struct codec_options o = {
        .max_headers_bytes = (max_kb ? max_kb : usual_kb) * 1024,
        .max_headers_count = params->max_headers_count,
        .enable_trailers = params->enable_trailers,
        .allow_chunked_length = params->allow_chunked_length,
    };
    return o;
}

static void make_codec(struct upstream_conn *uc)
{
    struct codec_options o = upstream_conn_codec_options(uc);
    if (uc->pool->protocol == UPSTREAM_HTTP2)
        upstream_mux_begin(uc);
    else if (uc->pool->protocol == UPSTREAM_TCP)
        uc->codec = codec_tcp_new(&codec_callbacks, uc, &uc->out);
    else
        uc->codec = codec_h1_new(&o, &codec_callbacks, uc, &uc->out);
}

static struct transport *wrap_tls(void *ctx, struct transport *socket)
{
    static const struct bytes protocols[] = {BYTES("h2"), BYTES("http/1.1")};
    const struct conn_pool *p = ((struct upstream_conn *)ctx)->pool;
    struct cluster_runtime *c = p->cluster;
    bool h2 = p->protocol != UPSTREAM_HTTP1, h1 = p->protocol != UPSTREAM_HTTP2;
    struct tls_connect_options o = {
        .alpn_fallback = h2 ? protocols : protocols + 1,
        .n_alpn_fallback = p->protocol == UPSTREAM_TCP ? 0
                           : h2 && h1                  ? 2
                                                       : 1,
        .stats = c->ssl_stats,
        .stat_slot = c->worker->slot,
    };
    server_name_ask(&p->name, &o);
    const struct upstream_socket *s = cluster_runtime_socket(c, p->socket, p->socket_shape);
    if (s && s->tls)
        return transport_tls_new(s->tls, socket, c->worker->chunks, &o);
    if (c->tls_stats)
        stat_inc(c->tls_stats, c->worker->slot, STAT_TLS_UPSTREAM_NOT_READY);
    transport_close(&socket, false);
    return NULL;
}

/* As Envoy does, once for each address of the host that is tried. */
static void count_connect(void *ctx)
{
    struct conn_pool *p = ((struct upstream_conn *)ctx)->pool;
    cluster_stat_inc(p->cluster, STAT_UPSTREAM_CX_TOTAL);
    atomic_fetch_add_explicit(&host_state_use(p->host)->cx_total, 1, memory_order_relaxed);
}

static void connect_now(struct upstream_conn *uc)
{
    struct cluster_runtime *c = cluster_of(uc);
    const struct pool_params *params = &c->params;
    struct connect_options o = {
        .timeout_ms = params->connect_timeout_ms,
        .source = params->has_bind_address ? &params->bind_address : NULL,
        .buffer_limit = params->buffer_limit,
        .wrap_ctx = uc,
        .others = uc->pool->others,
        .n_others = uc->pool->n_others,
        .on_other = count_connect,
    };
    if (params->keepalive) {
        o.keepalive_probes = params->keepalive_probes ? params->keepalive_probes : 9;
        o.keepalive_time_s = params->keepalive_time_s ? params->keepalive_time_s : 7200;
        o.keepalive_interval_s = params->keepalive_interval_s ? params->keepalive_interval_s : 75;
    }
    const struct upstream_socket *s =
        cluster_runtime_socket(c, uc->pool->socket, uc->pool->socket_shape);
    if (!s || s->wants_tls) {
        o.wrap = wrap_tls;
        o.wrap_failure = s && s->tls ? NULL : "TLS error: Secret is not supplied by SDS";
    }
    const struct connector *connector = c->manager->connector;
    uc->connection =
        connector->connect(connector, c->worker, &uc->pool->address, &o,
                           uc->mux ? &upstream_mux_connection_ops : &connection_callbacks, uc);
    uint32_t need = codec_input_need(&uc->codec->options);
    if (params->buffer_limit && params->buffer_limit < need)
        connection_set_read_limit(uc->connection, need);
}

struct upstream_conn *upstream_conn_new(struct conn_pool *p)
{
    struct cluster_runtime *c = p->cluster;
    struct upstream_conn *uc = NEW(struct upstream_conn);
    uc->pool = p;
    uc->id = worker_connection_id(c->worker);
    uc->state = UPSTREAM_CONN_CONNECTING;
    uc->requests_left =
        c->params.max_requests_per_connection ? c->params.max_requests_per_connection : UINT32_MAX;
    buffer_init(&uc->out, c->worker->chunks);
    timer_init(&uc->idle_timer, c->worker->loop, on_idle_timer, uc);
    timer_init(&uc->duration_timer, c->worker->loop, on_duration_timer, uc);
    make_codec(uc);
    connect_now(uc);
    p->n_connections++;
    p->n_connecting++;
    list_push_back(&p->connecting, &uc->link);
    count_connect(uc);
    cluster_stat_inc(c, STAT_UPSTREAM_CX_ACTIVE);
    if (p->protocol == UPSTREAM_HTTP1)
        count_http1(uc);
    atomic_fetch_add_explicit(&host_state_use(p->host)->cx_active, 1, memory_order_relaxed);
    breaker_inc(c, p->priority, BREAKER_CX);
    return uc;
}

static void dropped_on_data(struct connection *c, struct buffer *in, bool end)
{
    buffer_drain(in, in->len);
}

static void dropped_on_close(struct connection *c, enum close_reason reason)
{
}

static const struct connection_ops dropped_callbacks = {
    .on_data = dropped_on_data,
    .on_close = dropped_on_close,
};

void upstream_conn_drop(struct upstream_conn *uc)
{
    struct conn_pool *p = uc->pool;
    if (uc->mux)
        upstream_mux_end(uc, UPSTREAM_LOCAL_CLOSE, BYTES_NONE, false);
    if (uc->stream)
        uc->codec->ops->stream_reset(uc->stream, H2_CANCEL);
    untie(uc);
    end_serving(uc);
    release_counts(uc);
    list_remove(&uc->link);
    p->n_connections--;
    connection_set_owner(uc->connection, &dropped_callbacks, NULL);
    connection_close(uc->connection, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    conn_free(uc);
}

void upstream_conn_set_idle(struct upstream_conn *uc)
{
    uint64_t timeout = cluster_of(uc)->params.idle_timeout_ms;
    uc->state = UPSTREAM_CONN_IDLE;
    uc->idle_since_ms = loop_now_ms(cluster_of(uc)->worker->loop);
    if (timeout)
        timer_start(&uc->idle_timer, timeout);
}

void upstream_conn_count_request(struct upstream_conn *uc)
{
    struct cluster_runtime *c = cluster_of(uc);
    uc->served++;
    if (uc->requests_left != UINT32_MAX && --uc->requests_left == 0)
        cluster_stat_inc(c, STAT_UPSTREAM_CX_MAX_REQUESTS);
    cluster_stat_inc(c, STAT_UPSTREAM_RQ_TOTAL);
    cluster_stat_inc(c, STAT_UPSTREAM_RQ_ACTIVE);
    atomic_fetch_add_explicit(&host_state_use(uc->pool->host)->rq_total, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&host_state_use(uc->pool->host)->rq_active, 1, memory_order_relaxed);
    breaker_inc(c, uc->pool->priority, BREAKER_RQ);
}

void upstream_conn_attach(struct upstream_conn *uc, struct pool_request *r)
{
    CHECK(uc->state == UPSTREAM_CONN_IDLE);
    uc->state = UPSTREAM_CONN_BUSY;
    uc->request = r;
    uc->request_done = uc->response_done = false;
    uc->head_seen = uc->pool->protocol == UPSTREAM_TCP; /* its end is an end, always */
    uc->tx_at_attach = connection_bytes_written(uc->connection);
    uc->serving = true;
    r->conn = uc;
    r->request_done = r->response_done = false;
    upstream_conn_count_request(uc);
    uc->stream = r->stream = uc->codec->ops->stream_new(uc->codec, uc, r->response);
    uc->codec->ops->set_trailers(uc->stream, r->trailers);
    uc->codec->bytes = r->bytes;
}

void upstream_conn_detach(struct upstream_conn *uc)
{
    untie(uc);
    if (uc->state == UPSTREAM_CONN_CLOSING || (uc->request_done && uc->response_done))
        return; /* after_input() gives the connection back */
    uc->aborted = uc->serving;
    end_serving(uc);
    if (uc->stream)
        uc->codec->ops->stream_reset(uc->stream, H2_CANCEL);
    uc->stream = NULL;
    upstream_conn_close(uc, CLOSE_LOCAL_RESET);
}

static void flush(struct upstream_conn *uc)
{
    if (UNLIKELY(uc->mux != NULL))
        upstream_mux_flush(uc);
    else if (uc->out.len > 0)
        connection_write(uc->connection, &uc->out);
}

static void request_sent(struct pool_request *r, bool end)
{
    struct upstream_conn *uc = r->conn;
    uc->request_done = r->request_done = end;
}

static void after_send(struct pool_request *r, struct upstream_conn *uc, bool end)
{
    flush(uc);
    if (UNLIKELY(uc->mux != NULL) && end)
        upstream_mux_sent(r);
    else if (UNLIKELY(uc->tunnel) && end)
        connection_shutdown_write(uc->connection);
}

void pool_request_send_headers(struct pool_request *r, const struct headers *h, bool end)
{
    struct upstream_conn *uc = r->conn;
    request_sent(r, end);
    uc->codec->ops->send_headers(r->stream, h, end);
    after_send(r, uc, end);
}

void pool_request_send_data(struct pool_request *r, struct buffer *data, bool end)
{
    struct upstream_conn *uc = r->conn;
    request_sent(r, end);
    uc->codec->ops->send_data(r->stream, data, end);
    after_send(r, uc, end);
}

void pool_request_send_trailers(struct pool_request *r, const struct headers *h)
{
    struct upstream_conn *uc = r->conn;
    request_sent(r, true);
    uc->codec->ops->send_trailers(r->stream, h);
    after_send(r, uc, true);
}

void pool_request_open_tunnel(struct pool_request *r)
{
    if (r->conn && !r->conn->mux)
        r->conn->tunnel = true;
}

bool pool_request_above(const struct pool_request *r)
{
    return r->conn->mux ? r->above : connection_above_watermark(r->conn->connection);
}

static void count_pause(struct upstream_conn *uc, bool paused)
{
    cluster_stat_inc(cluster_of(uc), paused ? STAT_UPSTREAM_FLOW_CONTROL_PAUSED_READING_TOTAL
                                            : STAT_UPSTREAM_FLOW_CONTROL_RESUMED_READING_TOTAL);
}

static void pause_stream(struct pool_request *r, bool paused)
{
    struct upstream_conn *uc = r->conn;
    if (paused ? r->pauses++ : --r->pauses)
        return;
    count_pause(uc, paused);
    uc->codec->ops->stream_pause(r->stream, paused);
    flush(uc);
}

void pool_request_read_pause(struct pool_request *r)
{
    if (!r->conn)
        return;
    if (r->conn->mux) {
        pause_stream(r, true);
        return;
    }
    if (r->conn->pauses++ == 0)
        count_pause(r->conn, true);
    connection_read_pause(r->conn->connection);
}

void pool_request_read_resume(struct pool_request *r)
{
    if (!r->conn || (r->conn->mux ? r->pauses : r->conn->pauses) == 0)
        return;
    if (r->conn->mux) {
        pause_stream(r, false);
        return;
    }
    if (--r->conn->pauses == 0)
        count_pause(r->conn, false);
    connection_read_resume(r->conn->connection);
}

struct connection *pool_request_connection(const struct pool_request *r)
{
    return r->conn ? r->conn->connection : NULL;
}
