#include "dataplane/http/http_conn_mux.h"

#include "base/memory.h"
#include "dataplane/http/codec_h2.h"
#include "dataplane/http/http_conn_list.h"
#include "dataplane/http/stream_internal.h"

enum {
    STREAM_LIMIT_MAX = 256 * 1024, /* unsent bytes of one stream, whatever the listener allows */
    /* Envoy's overload.premature_reset_*: so many streams before a connection is judged, and how
     * soon a stream without an answer has ended to count. */
    PREMATURE_STREAMS = 500,
    PREMATURE_MS = 1000,
};

static struct stream *stream_at(struct list *l)
{
    struct stream_private *p = LIST_ENTRY(l, struct stream_private, mux_link);
    return &LIST_ENTRY(p, struct stream_slot, p)->s;
}

/* --- codec callbacks --- */

static void *on_stream_begin(void *owner, struct codec_stream *cs, struct headers **headers)
{
    struct http_conn *c = owner;
    http_conn_refresh(c);
    uint32_t max = c->binding->manager->max_requests_per_connection;
    c->requests++;
    if (max && c->requests == max) {
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_MAX_REQUESTS_REACHED, 1);
        http_conn_drain(c);
    }
    struct stream *s = stream_new(c, cs);
    list_push_back(&c->mux->streams, &s->priv->mux_link);
    c->mux->n_streams++;
    *headers = &s->request_headers;
    c->codec->ops->set_trailers(cs, &s->request_trailers);
    return s;
}

static void on_headers(void *owner, void *user, bool end)
{
    stream_on_headers(user, end);
}

static void on_data(void *owner, void *user, struct buffer *data, bool end)
{
    stream_on_data(user, data, end);
}

static void on_trailers(void *owner, void *user)
{
    stream_on_trailers(user);
}

static void on_reset(void *owner, void *user, const char *reason)
{
    const struct codec_mux *m = codec_mux(((struct http_conn *)owner)->codec);
    stream_on_peer_reset(user, reason, m->reset_code != H2_PROTOCOL_ERROR);
}

static void on_error(void *owner, void *user, const struct codec_error *e)
{
    struct http_conn *c = owner;
    c->mux->error = e;
    c->codec_failed = true;
    if (e->status)
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_PROTOCOL_ERROR, 1);
}

static void on_stream_watermark(void *owner, void *user, bool above)
{
    stream_on_watermark(user, above);
}

static void on_ping(void *owner)
{
    struct http_conn *c = owner;
    h2_keepalive_answered(&c->mux->keepalive);
}

static void on_count(void *owner, unsigned stat)
{
    struct http_conn *c = owner;
    stat_inc(c->mux->codec_stats, c->worker->slot, stat);
}

/* Also when the codec is freed, after its connection has ended. */
static void on_gauge(void *owner, unsigned stat, int64_t change)
{
    struct worker *w = ((struct http_conn *)owner)->worker;
    stat_add(w->http_conns->http2_stats, w->slot, stat, change);
}

static const struct codec_callbacks codec_callbacks = {
    .on_stream_begin = on_stream_begin,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_error = on_error,
    .on_stream_watermark = on_stream_watermark,
    .on_ping = on_ping,
    .on_count = on_count,
    .on_gauge = on_gauge,
};

/* --- out --- */

/* The session is over, or a drained connection has answered all. */
static bool finished(const struct http_conn *c)
{
    const struct codec_mux *m = codec_mux(c->codec);
    return m->over || (c->mux->goaway_sent && !c->mux->n_streams && !m->open_streams);
}

/* Answers that are complete here and that their client does not take (Envoy's flush timeout). */
static void on_stuck_timer(struct timer *t)
{
    struct http_conn *c = t->owner;
    unsigned left;
    if (c->closing)
        return;
    c->codec->ops->reset_stuck(c->codec, &left);
    http_conn_flush(c);
    if (left)
        timer_start(t, c->binding->manager->stream_idle_timeout_ms);
}

static void watch_unsent(struct http_conn *c)
{
    uint64_t ms = c->binding->manager->stream_idle_timeout_ms;
    if (ms && codec_mux(c->codec)->open_streams > c->mux->n_streams &&
        !timer_pending(&c->mux->stuck_timer))
        timer_start(&c->mux->stuck_timer, ms);
}

void http_conn_mux_flush(struct http_conn *c)
{
    struct http_conn_mux *m = c->mux;
    if (c->in_input || c->closing)
        return;
    size_t queued = connection_output_len(c->connection), room = SIZE_MAX;
    if (c->buffer_limit) /* one beyond it: the low watermark tells when to go on */
        room = queued <= c->buffer_limit ? c->buffer_limit - queued + 1 : 0;
    c->codec->ops->flush(c->codec, room);
    m->interim = 0; /* what is left waits for room: the output is above its watermark */
    if (c->out.len)
        connection_write(c->connection, &c->out);
    if (m->finishing || c->closing)
        return;
    watch_unsent(c);
    if (!finished(c))
        return;
    m->finishing = true;
    http_conn_close(c, m->error      ? CLOSE_PROTOCOL_ERROR
                       : c->draining ? CLOSE_DRAIN
                                     : CLOSE_REQUEST_DONE);
}

void http_conn_mux_drain(struct http_conn *c)
{
    c->codec->ops->drain(c->codec);
    c->closes_at_timer = true;
    timer_start(&c->timer, c->binding->manager->drain_timeout_ms);
    http_conn_flush(c);
}

void http_conn_mux_goaway(struct http_conn *c)
{
    if (c->mux->goaway_sent)
        return;
    c->mux->goaway_sent = true;
    c->codec->ops->goaway(c->codec);
    http_conn_flush(c);
}

/* --- streams that end --- */

static void close_abuser(struct http_conn *c)
{
    static const struct codec_error e = {0, "too_many_premature_resets", "too many resets"};
    if (c->closing || c->mux->error)
        return;
    c->mux->error = &e;
    http_conn_count(c, STAT_HTTP_DOWNSTREAM_RQ_TOO_MANY_PREMATURE_RESETS, 1);
    connection_close(c->connection, CLOSE_PROTOCOL_ERROR, CLOSE_ABORT, 0);
}

/* Who makes us work and does not want the answers (rapid reset, in all its forms). */
static void judge_resets(struct http_conn *c, const struct stream *s)
{
    struct http_conn_mux *m = c->mux;
    m->ended++;
    if (s->info.status || s->info.end_ns - s->info.start_ns > PREMATURE_MS * NS_PER_MS)
        return;
    m->premature++;
    uint64_t of = m->ended < PREMATURE_STREAMS ? PREMATURE_STREAMS : m->ended;
    if (m->premature * 2 >= of)
        close_abuser(c);
}

void http_conn_mux_stream_done(struct http_conn *c, struct stream *s)
{
    list_remove(&s->priv->mux_link);
    c->mux->n_streams--;
    if (c->closing)
        return;
    judge_resets(c, s);
    http_conn_may_begin(c); /* is it the first of this turn? */
    c->begun++;             /* of those that wait for the end of the turn */
    c->codec->begin_held = !http_conn_may_begin(c);
    if (c->mux->n_streams == 0)
        http_conn_become_idle(c);
    http_conn_flush(c);
}

void http_conn_mux_end(struct http_conn *c, bool remote)
{
    struct http_conn_mux *m = c->mux;
    struct list *l;
    while ((l = list_first(&m->streams)) != NULL) {
        struct stream *s = stream_at(l);
        s->codec_stream = NULL; /* its codec goes with the connection */
        if (m->error)
            stream_on_peer_reset(s, m->error->details, false);
        else
            stream_on_disconnect(s, remote);
        CHECK(list_first(&m->streams) != l);
    }
    h2_keepalive_stop(&m->keepalive);
    timer_stop(&m->stuck_timer);
    mem_free(m);
    c->mux = NULL;
}

/* --- connection callbacks --- */

void http_conn_mux_on_data(struct connection *connection, struct buffer *in, bool end)
{
    struct http_conn *c = connection_owner(connection);
    CHECK_MAGIC(c, HTTP_CONN_MAGIC);
    http_conn_count_bytes(c);
    if (!c->closing) {
        c->in_input = true;
        c->codec->begin_held = !http_conn_may_begin(c);
        c->codec->ops->input(c->codec, in);
        c->in_input = false;
        if (end) /* the connection closes by itself */
            http_conn_flush_now(c);
        else
            http_conn_flush(c);
        c->input_left = in->len > 0;
        if (c->input_left && !c->closing)
            http_conn_list_go_on(c->worker->http_conns, c);
    }
    if (c->closing)
        buffer_drain(in, in->len);
}

static void on_output(struct connection *connection)
{
    http_conn_mux_flush(connection_owner(connection));
}

static void on_low_watermark(struct connection *connection)
{
    http_conn_flush(connection_owner(connection));
}

static const struct connection_ops connection_ops = {
    .on_data = http_conn_mux_on_data,
    .on_output = on_output,
    .on_low_watermark = on_low_watermark,
    .on_close = http_conn_on_close,
};

/* --- the beginning --- */

static void ping(void *owner)
{
    struct http_conn *c = owner;
    c->codec->ops->ping(c->codec);
    http_conn_flush(c);
}

static void ping_failed(void *owner)
{
    struct http_conn *c = owner;
    stat_inc(c->mux->codec_stats, c->worker->slot, STAT_HTTP2_KEEPALIVE_TIMEOUT);
    connection_close(c->connection, CLOSE_IDLE_TIMEOUT, CLOSE_ABORT, 0);
}

static void become_mux(struct http_conn *c)
{
    const struct http_manager *m = c->binding->manager;
    struct codec_options o = http_conn_codec_options(c);
    struct http_conn_mux *x = c->mux = NEW(struct http_conn_mux);
    list_init(&x->streams);
    timer_init(&x->stuck_timer, c->worker->loop, on_stuck_timer, c);
    struct stat_scope **stats = &c->worker->http_conns->http2_stats;
    if (!*stats)
        *stats = stat_scope_get(c->worker->stats, BYTES("http2"), &http2_stat_schema);
    x->codec_stats = *stats;
    h2_keepalive_init(&x->keepalive, &m->http2, c->worker->loop, &c->worker->random);
    x->keepalive.ping = ping;
    x->keepalive.failed = ping_failed;
    x->keepalive.owner = c;
    c->codec->ops->free(&c->codec);
    c->codec =
        codec_h2_new(&o, &m->http2, &codec_callbacks, c, &c->out, c->worker->http_conns->h2_memory);
    uint32_t limit = c->buffer_limit;
    codec_mux(c->codec)->stream_limit =
        limit && limit < STREAM_LIMIT_MAX ? limit : STREAM_LIMIT_MAX;
    connection_set_owner(c->connection, &connection_ops, c);
    http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_HTTP2_TOTAL, 1);
    http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_HTTP2_ACTIVE, 1);
    h2_keepalive_start(&x->keepalive);
    if (c->draining)
        http_conn_mux_drain(c);
}

enum guess { GUESS_HTTP1, GUESS_HTTP2, GUESS_LATER };

static enum guess guess_preface(const struct buffer *in)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n";
    char first[sizeof(preface) - 1];
    size_t n = buffer_copy(in, 0, first, sizeof(first));
    if (memcmp(first, preface, n) != 0)
        return GUESS_HTTP1;
    return n == sizeof(first) ? GUESS_HTTP2 : GUESS_LATER;
}

static enum guess guess(const struct http_conn *c, const struct buffer *in)
{
    switch (c->binding->manager->codec) {
    case CODEC_HTTP1:
        return GUESS_HTTP1;
    case CODEC_HTTP2:
        return GUESS_HTTP2;
    case CODEC_AUTO:
        break;
    }
    struct bytes alpn = connection_protocol(c->connection);
    if (alpn.len)
        return bytes_eq(alpn, BYTES("h2")) ? GUESS_HTTP2 : GUESS_HTTP1;
    return guess_preface(in);
}

bool http_conn_decide(struct http_conn *c, const struct buffer *in)
{
    switch (guess(c, in)) {
    case GUESS_LATER:
        return false;
    case GUESS_HTTP1:
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_HTTP1_TOTAL, 1);
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_HTTP1_ACTIVE, 1);
        break;
    case GUESS_HTTP2:
        become_mux(c);
        break;
    }
    c->undecided = false;
    return true;
}
