#include "dataplane/upstream/upstream_mux.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "dataplane/http/codec_h2.h"
#include "dataplane/http/stream_error.h"

enum { STREAM_LIMIT_MAX = 256 * 1024 };

static struct cluster_runtime *cluster_of(const struct upstream_conn *uc)
{
    return uc->pool->cluster;
}

/* --- requests --- */

static void end_serving(struct upstream_conn *uc, struct pool_request *r)
{
    if (!r->serving)
        return;
    r->serving = false;
    atomic_fetch_sub_explicit(&host_state_use(uc->pool->host)->rq_active, 1, memory_order_relaxed);
    cluster_stat_add(cluster_of(uc), STAT_UPSTREAM_RQ_ACTIVE, -1);
    breaker_dec(cluster_of(uc), uc->pool->priority, BREAKER_RQ);
}

/* The request and its connection know nothing of each other any more. */
static void untie(struct upstream_conn *uc, struct pool_request *r)
{
    list_remove(&r->link);
    uc->mux->n_requests--;
    r->conn = NULL;
    r->stream = NULL;
    end_serving(uc, r);
}

static bool has_room(const struct upstream_conn *uc)
{
    const struct codec_mux *m = codec_mux(uc->codec);
    uint32_t max = uc->mux->max_requests;
    if (m->max_streams < max)
        max = m->max_streams;
    return !uc->no_more && !uc->eof && uc->requests_left > 0 && !m->over &&
           uc->mux->n_requests < max;
}

/* After anything that may have changed what the connection can take. */
static void review(struct upstream_conn *uc)
{
    if (uc->state == UPSTREAM_CONN_CLOSING || uc->state == UPSTREAM_CONN_CONNECTING)
        return;
    bool room = has_room(uc);
    bool finished = uc->no_more || uc->eof || uc->requests_left == 0;
    if (finished && uc->mux->n_requests == 0)
        upstream_conn_close(uc, CLOSE_REQUEST_DONE);
    else if (room && uc->state == UPSTREAM_CONN_BUSY)
        conn_pool_released(uc->pool, uc);
    else if (room && uc->mux->n_requests == 0)
        upstream_conn_set_idle(uc); /* in its place among those with room */
    else if (!room && uc->state == UPSTREAM_CONN_IDLE)
        conn_pool_full(uc->pool, uc);
}

static void finish(struct upstream_conn *uc, struct pool_request *r)
{
    if (r->conn == uc && r->request_done && r->response_done)
        untie(uc, r);
}

/* As in Envoy, whose own reset a broken answer is, and to which a refusal is none. */
static void count_failure(struct upstream_conn *uc, enum upstream_failure why)
{
    if (why == UPSTREAM_PROTOCOL_ERROR)
        cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_RQ_TX_RESET);
    else if (why == UPSTREAM_RESET)
        cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_RQ_RX_RESET);
    else if (why == UPSTREAM_TERMINATED) /* Envoy's name of it: it waits for its answer */
        cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_RQ_PENDING_FAILURE_EJECT);
}

static void fail(struct upstream_conn *uc, struct pool_request *r, enum upstream_failure why,
                 struct bytes text)
{
    untie(uc, r);
    r->ops->on_failure(r, why, text);
}

void upstream_mux_attach(struct upstream_conn *uc, struct pool_request *r)
{
    CHECK(uc->state == UPSTREAM_CONN_IDLE);
    r->conn = uc;
    r->request_done = r->response_done = r->above = false;
    r->pauses = 0;
    r->serving = true;
    upstream_conn_count_request(uc);
    h2_keepalive_used(&uc->mux->keepalive);
    list_push_front(&uc->mux->requests, &r->link); /* the last to come fails first */
    uc->mux->n_requests++;
    r->stream = uc->codec->ops->stream_new(uc->codec, r, r->response);
    uc->codec->ops->set_trailers(r->stream, r->trailers);
    if (!has_room(uc))
        uc->state = UPSTREAM_CONN_BUSY;
}

void upstream_mux_detach(struct pool_request *r)
{
    struct upstream_conn *uc = r->conn;
    struct codec_stream *stream = r->stream;
    bool open = !r->request_done || !r->response_done;
    untie(uc, r);
    if (open && stream) {
        cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_RQ_TX_RESET);
        uc->codec->ops->stream_reset(stream, H2_CANCEL);
    }
    upstream_mux_flush(uc);
    if (!uc->mux->in_input)
        review(uc);
}

void upstream_mux_sent(struct pool_request *r)
{
    struct upstream_conn *uc = r->conn;
    if (uc && r->response_done) {
        finish(uc, r);
        if (!uc->mux->in_input)
            review(uc);
    }
}

/* --- codec callbacks --- */

static unsigned status_of(const struct headers *h)
{
    uint64_t status = 0;
    struct bytes s = headers_get(h, HEADER_STATUS);
    return bytes_to_u64(s, &status) && status < 1000 ? (unsigned)status : 0;
}

static void on_headers(void *owner, void *user, bool end)
{
    struct pool_request *r = user;
    unsigned status = status_of(r->response);
    if (status >= 100 && status < 200 && status != 101 && !end) {
        r->ops->on_informational(r);
        return;
    }
    r->response_done = end;
    r->ops->on_headers(r, end);
    if (end)
        finish(owner, r);
}

static void on_data(void *owner, void *user, struct buffer *data, bool end)
{
    struct pool_request *r = user;
    r->response_done = end;
    r->ops->on_data(r, data, end);
    if (end)
        finish(owner, r);
}

static void on_trailers(void *owner, void *user)
{
    struct pool_request *r = user;
    r->response_done = true;
    r->ops->on_trailers(r);
    finish(owner, r);
}

static void on_reset(void *owner, void *user, const char *reason)
{
    struct upstream_conn *uc = owner;
    struct pool_request *r = user;
    uint32_t code = codec_mux(uc->codec)->reset_code; /* as in Envoy, whoever said it */
    enum upstream_failure why = code == H2_REFUSED_STREAM   ? UPSTREAM_REFUSED
                                : code == H2_PROTOCOL_ERROR ? UPSTREAM_PROTOCOL_ERROR
                                                            : UPSTREAM_RESET;
    count_failure(uc, why);
    fail(uc, r, why, bytes_of(reason));
}

static void on_error(void *owner, void *user, const struct codec_error *e)
{
    struct upstream_conn *uc = owner;
    uc->mux->error = e;
    cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_CX_PROTOCOL_ERROR);
}

static void on_stream_watermark(void *owner, void *user, bool above)
{
    struct upstream_conn *uc = owner;
    struct pool_request *r = user;
    r->above = above;
    cluster_stat_inc(cluster_of(uc), above ? STAT_UPSTREAM_FLOW_CONTROL_BACKED_UP_TOTAL
                                           : STAT_UPSTREAM_FLOW_CONTROL_DRAINED_TOTAL);
    r->ops->on_watermark(r, above);
}

static void on_ping(void *owner)
{
    struct upstream_conn *uc = owner;
    h2_keepalive_answered(&uc->mux->keepalive);
}

/* The next connection keeps to it from the start. */
static void on_settings(void *owner)
{
    struct upstream_conn *uc = owner;
    uc->pool->streams_told = codec_mux(uc->codec)->max_streams;
}

static void on_count(void *owner, unsigned stat)
{
    struct upstream_conn *uc = owner;
    stat_inc(cluster_of(uc)->http2_stats, cluster_of(uc)->worker->slot, stat);
}

static void on_gauge(void *owner, unsigned stat, int64_t change)
{
    struct upstream_conn *uc = owner;
    stat_add(cluster_of(uc)->http2_stats, cluster_of(uc)->worker->slot, stat, change);
}

/* At once out of the list of those that take requests: the streams it refuses are tried again. */
static void on_no_more(void *owner)
{
    struct upstream_conn *uc = owner;
    cluster_stat_inc(cluster_of(uc), STAT_UPSTREAM_CX_CLOSE_NOTIFY);
    uc->no_more = true;
    if (uc->state == UPSTREAM_CONN_IDLE)
        conn_pool_full(uc->pool, uc);
}

static const struct codec_callbacks codec_callbacks = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_error = on_error,
    .on_stream_watermark = on_stream_watermark,
    .on_ping = on_ping,
    .on_settings = on_settings,
    .on_count = on_count,
    .on_gauge = on_gauge,
    .on_no_more_streams = on_no_more,
};

/* --- connection --- */

void upstream_mux_flush(struct upstream_conn *uc)
{
    if (uc->state != UPSTREAM_CONN_CLOSING && uc->state != UPSTREAM_CONN_CONNECTING)
        connection_want_output(uc->connection);
}

static void flush_now(struct upstream_conn *uc)
{
    struct upstream_mux *m = uc->mux;
    uint32_t limit = cluster_of(uc)->params.buffer_limit;
    if (uc->state == UPSTREAM_CONN_CLOSING || uc->state == UPSTREAM_CONN_CONNECTING)
        return;
    size_t queued = connection_output_len(uc->connection), room = SIZE_MAX;
    if (limit)
        room = queued <= limit ? limit - queued + 1 : 0;
    uc->codec->ops->flush(uc->codec, room);
    if (uc->out.len)
        connection_write(uc->connection, &uc->out);
    if (m->error && codec_mux(uc->codec)->over)
        upstream_conn_close(uc, CLOSE_PROTOCOL_ERROR);
}

static void on_connection_data(struct connection *c, struct buffer *in, bool end)
{
    struct upstream_conn *uc = connection_owner(c);
    upstream_conn_count_bytes(uc);
    if (connection_output_wanted(c)) /* sent before what it is told now: GOAWAY, say */
        flush_now(uc);
    if (uc->state != UPSTREAM_CONN_CLOSING) {
        uc->mux->in_input = true;
        uc->codec->ops->input(uc->codec, in);
        uc->mux->in_input = false;
        uc->eof = end;
        if (end || codec_mux(uc->codec)->over) /* what is queued still is refused one by one */
            flush_now(uc);
        else
            upstream_mux_flush(uc);
    }
    if (uc->state != UPSTREAM_CONN_CLOSING && codec_mux(uc->codec)->over)
        upstream_conn_close(uc, uc->mux->error ? CLOSE_PROTOCOL_ERROR : CLOSE_REMOTE_CLOSE);
    else if (end)
        upstream_conn_close(uc, CLOSE_REMOTE_CLOSE);
    else
        review(uc);
    if (uc->state == UPSTREAM_CONN_CLOSING)
        buffer_drain(in, in->len);
}

static void on_output(struct connection *c)
{
    struct upstream_conn *uc = connection_owner(c);
    uint32_t before = uc->mux->n_requests;
    flush_now(uc);
    if (uc->state != UPSTREAM_CONN_CLOSING && uc->mux->n_requests != before)
        review(uc); /* it has told of streams that failed */
}

static void on_low_watermark(struct connection *c)
{
    struct upstream_conn *uc = connection_owner(c);
    upstream_mux_flush(uc);
    review(uc);
}

const struct connection_ops upstream_mux_connection_ops = {
    .on_connected = upstream_conn_on_connected,
    .on_data = on_connection_data,
    .on_output = on_output,
    .on_low_watermark = on_low_watermark,
    .on_close = upstream_conn_on_close,
};

static void ping(void *owner)
{
    struct upstream_conn *uc = owner;
    uc->codec->ops->ping(uc->codec);
    upstream_mux_flush(uc);
}

static void ping_failed(void *owner)
{
    struct upstream_conn *uc = owner;
    on_count(uc, STAT_HTTP2_KEEPALIVE_TIMEOUT);
    upstream_conn_close(uc, CLOSE_IDLE_TIMEOUT);
}

static struct stat_scope *codec_stats(const struct cluster_runtime *c)
{
    struct strbuf name = STRBUF_INIT;
    strbuf_printf(&name, "%s.http2", c->stats->prefix);
    struct stat_scope *s =
        stat_scope_get(c->worker->stats, strbuf_bytes(&name), &http2_stat_schema);
    strbuf_fini(&name);
    return s;
}

void upstream_mux_begin(struct upstream_conn *uc)
{
    struct cluster_runtime *c = cluster_of(uc);
    struct upstream_mux *m = uc->mux = NEW(struct upstream_mux);
    struct codec_options o = upstream_conn_codec_options(uc);
    list_init(&m->requests);
    struct http2_options h2;
    http2_options_init(&h2);
    if (c->params.http2) /* the cluster may have turned away from HTTP/2 while this pool drains */
        h2 = *c->params.http2;
    m->max_requests = h2.max_concurrent_streams;
    h2_keepalive_init(&m->keepalive, &h2, c->worker->loop, &c->worker->random);
    m->keepalive.ping = ping;
    m->keepalive.failed = ping_failed;
    m->keepalive.owner = uc;
    if (!c->http2_stats)
        c->http2_stats = codec_stats(c);
    if (uc->codec)
        uc->codec->ops->free(&uc->codec);
    uc->codec = codec_h2_new(&o, &h2, &codec_callbacks, uc, &uc->out, c->manager->h2_memory);
    if (uc->pool->streams_told)
        codec_mux(uc->codec)->max_streams = uc->pool->streams_told;
    uint32_t limit = c->params.buffer_limit;
    codec_mux(uc->codec)->stream_limit =
        limit && limit < STREAM_LIMIT_MAX ? limit : STREAM_LIMIT_MAX;
    if (uc->connection)
        connection_set_owner(uc->connection, &upstream_mux_connection_ops, uc);
    cluster_stat_inc(c, STAT_UPSTREAM_CX_HTTP2_TOTAL);
}

void upstream_mux_connected(struct upstream_conn *uc)
{
    h2_keepalive_start(&uc->mux->keepalive);
    upstream_mux_flush(uc);
}

void upstream_mux_retire(struct upstream_conn *uc)
{
    uc->no_more = true;
    if (uc->state == UPSTREAM_CONN_IDLE)
        conn_pool_full(uc->pool, uc);
}

void upstream_mux_end(struct upstream_conn *uc, enum upstream_failure why, struct bytes text,
                      bool tell)
{
    struct upstream_mux *m = uc->mux;
    struct list *l;
    if (m->error)
        why = UPSTREAM_PROTOCOL_ERROR;
    uc->aborted |= m->n_requests > 0;
    while ((l = list_first(&m->requests)) != NULL) {
        struct pool_request *r = LIST_ENTRY(l, struct pool_request, link);
        if (r->stream)
            uc->codec->ops->stream_reset(r->stream, H2_CANCEL);
        if (!tell) {
            untie(uc, r);
            continue;
        }
        count_failure(uc, why);
        fail(uc, r, why, text);
    }
    h2_keepalive_stop(&m->keepalive);
}
