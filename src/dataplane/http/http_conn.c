#include "dataplane/http/http_conn.h"

#include "base/memory.h"
#include "config/snapshot.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/codec_h1.h"
#include "dataplane/http/http_conn_list.h"
#include "dataplane/http/http_conn_mux.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/http/stream_pool.h"
#include "dataplane/net/conn_limit.h"
#include "dataplane/net/transport_tls.h"

enum { BEGUN_MAX = 32 };             /* pipelined requests of a connection in one turn */
enum { HELD_INPUT_MAX = 64 * 1024 }; /* pipelined bytes kept while a response is under way */

void http_conn_count(struct http_conn *c, enum http_stat stat, int64_t n)
{
    stat_add(c->stats, c->worker->slot, stat, n);
}

void http_conn_count_bytes(struct http_conn *c)
{
    uint64_t rx = connection_bytes_read(c->connection);
    uint64_t tx = connection_bytes_written(c->connection);
    if (rx != c->rx_counted)
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_RX_BYTES_TOTAL, (int64_t)(rx - c->rx_counted));
    if (tx != c->tx_counted)
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_TX_BYTES_TOTAL, (int64_t)(tx - c->tx_counted));
    c->rx_counted = rx;
    c->tx_counted = tx;
}

void http_conn_flush_now(struct http_conn *c)
{
    if (UNLIKELY(c->mux != NULL)) {
        http_conn_mux_flush(c);
        return;
    }
    if (!c->in_input && !c->closing && c->out.len)
        connection_write(c->connection, &c->out);
}

void http_conn_flush(struct http_conn *c)
{
    if (UNLIKELY(c->mux != NULL))
        connection_want_output(c->connection);
    else
        http_conn_flush_now(c);
}

enum close_how http_conn_close_how(const struct http_conn *c, enum close_how usual)
{
    return c->codec->sends_to_end ? CLOSE_ABORT : usual;
}

static void close_as(struct http_conn *c, enum close_reason reason, enum close_how usual)
{
    if (c->closing)
        return;
    bool in_input = c->in_input;
    c->in_input = false;
    if (c->mux)
        http_conn_mux_goaway(c);
    http_conn_flush_now(c);
    c->in_input = in_input;
    c->closing = true;
    uint64_t delay = c->binding->manager->delayed_close_timeout_ms;
    connection_close(c->connection, reason, http_conn_close_how(c, usual), delay);
}

void http_conn_close(struct http_conn *c, enum close_reason reason)
{
    close_as(c, reason, CLOSE_FLUSH_DELAY);
}

/* After a whole exchange, of whom has said that it sends no more, nothing is waited for: a reset
 * can take no answer away. A session of TLS has an end of its own, which is read. */
static enum close_how how_to_part(const struct http_conn *c, bool whole)
{
    bool more = c->in_input || c->input_left; /* perhaps */
    bool at_once = whole && c->codec->peer_is_done && !c->tls && !more;
    return at_once ? CLOSE_FLUSH : CLOSE_FLUSH_DELAY;
}

void http_conn_drain(struct http_conn *c)
{
    if (c->draining)
        return;
    c->draining = true;
    if (c->mux)
        http_conn_mux_drain(c);
    else
        c->codec->ops->drain(c->codec);
}

/* Of a drain that began then. */
static bool closes_by_chance(const struct worker *w, uint64_t begun_ns)
{
    uint64_t passed_ms = (loop_now_ns(w->loop) - begun_ns) / NS_PER_MS;
    if (w->drain.immediately || passed_ms >= w->drain.time_ms)
        return true;
    return passed_ms > random_u64((struct random_source *)&w->random) % w->drain.time_ms;
}

static bool drains(const struct http_conn *c)
{
    const struct worker *w = c->worker;
    if (w->drain.health_failed && !c->modify_only)
        return true;
    if (c->chain_gone && closes_by_chance(w, c->gone_ns))
        return true;
    return w->drain.begun && (c->inbound || !w->drain.inbound_only) &&
           closes_by_chance(w, w->drain.begun_ns);
}

void http_conn_before_response(struct http_conn *c)
{
    if (!drains(c))
        return;
    http_conn_drain(c);
    if (!c->drain_counted)
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_DRAIN_CLOSE, 1);
    c->drain_counted = true;
}

void http_conn_start_drain(struct http_conn *c)
{
    uint64_t ms = c->binding->manager->drain_timeout_ms;
    http_conn_drain(c);
    c->closes_at_timer = true;
    timer_start(&c->timer, ms);
}

/* Of a client that has said nothing: it knows of no request that could be lost. */
static bool close_unused(struct http_conn *c, enum close_reason reason)
{
    if (!c->undecided)
        return false;
    connection_close(c->connection, reason, CLOSE_FLUSH, 0);
    return true;
}

/* A connection that drains does not wait for requests any more: one timer is enough for both. It is
 * left running while a request is served: starting it again later costs one store. */
static void on_timer(struct timer *t)
{
    struct http_conn *c = t->owner;
    if (c->mux && c->closes_at_timer)
        http_conn_mux_goaway(c);
    if (c->stream || (c->mux && c->mux->n_streams))
        return;
    if (c->closes_at_timer) {
        http_conn_close(c, CLOSE_DRAIN);
        return;
    }
    http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_IDLE_TIMEOUT, 1);
    if (!close_unused(c, CLOSE_IDLE_TIMEOUT))
        http_conn_start_drain(c);
}

static void on_duration_timer(struct timer *t)
{
    struct http_conn *c = t->owner;
    http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_MAX_DURATION_REACHED, 1);
    if (!close_unused(c, CLOSE_MAX_DURATION))
        http_conn_start_drain(c);
}

static struct http_conn_more *more_of(struct http_conn *c)
{
    if (!c->more) {
        c->more = NEW(struct http_conn_more);
        timer_init(&c->more->duration, c->worker->loop, on_duration_timer, c);
    }
    return c->more;
}

void http_conn_become_idle(struct http_conn *c)
{
    uint64_t ms = c->binding->manager->idle_timeout_ms;
    if (c->draining)
        return;
    if (ms)
        timer_start(&c->timer, ms);
    else
        timer_stop(&c->timer);
}

static void allow_heads(struct http_conn *c)
{
    uint32_t need = codec_input_need(&c->codec->options);
    if (c->buffer_limit && c->buffer_limit < need)
        connection_set_read_limit(c->connection, need);
}

/* Counted from the connection's birth, whenever it was told. */
static void start_duration(struct http_conn *c)
{
    uint64_t max = c->binding->manager->max_connection_duration_ms;
    uint64_t age = loop_now_ms(c->worker->loop) - connection_created_ms(c->connection);
    if (max && !c->draining)
        timer_start(&more_of(c)->duration, max > age ? max - age : 0);
    else if (c->more)
        timer_stop(&c->more->duration);
}

/* What a connection has kept of its manager is the new one's from now on, but for what HTTP/2 has
 * settled with its peer. */
static void take_manager(struct http_conn *c)
{
    struct codec_options o = http_conn_codec_options(c);
    codec_set_options(c->codec, &o);
    allow_heads(c);
    start_duration(c);
}

void http_conn_refresh(struct http_conn *c)
{
    const struct snapshot *now = c->worker->snapshot;
    if (!now || now->version == c->seen || c->chain_gone)
        return;
    c->seen = now->version;
    struct listener_entry *l = snapshot_listener(now, c->binding->listener_name);
    /* Of an address that the listener has left, the chain is gone too. */
    struct chain_binding *b = l && listener_has_address(l->listener, c->address_id)
                                  ? listener_find_chain_key(l, c->binding->chain->key)
                                  : NULL;
    if (!b || !b->manager) {
        c->chain_gone = true;
        c->gone_ns = loop_now_ns(c->worker->loop);
    } else if (b != c->binding) {
        struct chain_binding *old = c->binding;
        node_pin(&b->node, c->worker->slot);
        c->binding = b;
        if (b->manager != old->manager)
            take_manager(c);
        node_unpin(&old->node, c->worker->slot);
    }
}

/* --- codec callbacks --- */

/* Streams live until the end of the turn: a flood of pipelined requests may not make more of them
 * than a few for each connection and some for all. One a turn is everybody's. */
bool http_conn_may_begin(struct http_conn *c)
{
    const struct stream_pool *p = c->worker->streams;
    if (c->turn != p->turn)
        c->begun = 0;
    c->turn = p->turn;
    return c->begun == 0 || (c->begun < BEGUN_MAX && p->n_dead < STREAM_POOL_DEAD_MAX);
}

static void *on_stream_begin(void *owner, struct codec_stream *cs, struct headers **headers)
{
    struct http_conn *c = owner;
    CHECK(!c->stream);
    http_conn_refresh(c);
    uint32_t max = c->binding->manager->max_requests_per_connection;
    c->requests++;
    if (max && c->requests == max) {
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_MAX_REQUESTS_REACHED, 1);
        c->codec->ops->drain(c->codec);
    }
    struct stream *s = stream_new(c, cs);
    c->stream = s;
    c->begun++;
    c->worker->http_conns->requests++;
    c->codec->begin_held = !http_conn_may_begin(c);
    *headers = &s->request_headers;
    c->codec->ops->set_trailers(cs, &s->request_trailers);
    c->codec->bytes = &s->info.downstream_bytes;
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
    stream_on_disconnect(user, true);
}

static void on_error(void *owner, void *user, const struct codec_error *e)
{
    struct http_conn *c = owner;
    c->codec_failed = true;
    if (user)
        stream_on_codec_error(user, e);
}

static const struct codec_callbacks codec_callbacks = {
    .on_stream_begin = on_stream_begin,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_error = on_error,
};

/* --- connection callbacks --- */

/* Of who may begin nothing no more is read than this. */
static void hold_input(struct http_conn *c, const struct buffer *in)
{
    bool waits = c->stream ? stream_request_complete(c->stream) : !list_empty(&c->next);
    bool hold = waits && in->len >= HELD_INPUT_MAX;
    if (hold && !c->input_held) {
        c->input_held = true;
        connection_read_pause(c->connection);
    }
}

/* The codec begins no request above its own limit of queued output, which has been flushed now: the
 * pipelined rest is looked at again, at once or at the low watermark. */
static void go_on_later(struct http_conn *c, const struct buffer *in)
{
    if (c->stream || buffer_empty(in) || connection_above_watermark(c->connection))
        return;
    if (c->codec->begin_held)
        http_conn_list_go_on(c->worker->http_conns, c);
    else
        connection_reread(c->connection);
}

static void on_connection_data(struct connection *connection, struct buffer *in, bool end)
{
    struct http_conn *c = connection_owner(connection);
    CHECK_MAGIC(c, HTTP_CONN_MAGIC);
    http_conn_count_bytes(c);
    if (c->closing) {
        buffer_drain(in, in->len);
        return;
    }
    if (UNLIKELY(c->undecided) && !(buffer_empty(in) && end)) {
        if (!http_conn_decide(c, in))
            return;
        if (c->mux) {
            http_conn_mux_on_data(connection, in, end);
            return;
        }
    }
    /* Further answers would only pile up behind those that the client does not read. */
    c->input_left = !buffer_empty(in);
    if (!c->stream && !end && connection_above_watermark(connection))
        return;
    if (UNLIKELY(!list_empty(&c->next)) && !end) { /* its turn comes */
        hold_input(c, in);
        return;
    }
    c->in_input = true;
    c->codec->begin_held = !http_conn_may_begin(c);
    bool open = c->codec->ops->input(c->codec, in);
    if (end && !c->closing)
        c->codec->ops->input_eof(c->codec);
    if (end && !c->closing && c->codec->sends_to_end)
        connection_close(connection, CLOSE_REMOTE_CLOSE, CLOSE_ABORT, 0);
    c->in_input = false;
    http_conn_flush(c);
    if (c->closing) {
        buffer_drain(in, in->len);
        return;
    }
    c->input_left = !buffer_empty(in);
    if (!open) {
        http_conn_close(c, CLOSE_PROTOCOL_ERROR);
        return;
    }
    hold_input(c, in);
    go_on_later(c, in);
}

static void on_high_watermark(struct connection *connection)
{
    struct http_conn *c = connection_owner(connection);
    if (c->stream)
        stream_on_watermark(c->stream, true);
}

static void on_low_watermark(struct connection *connection)
{
    struct http_conn *c = connection_owner(connection);
    if (c->stream)
        stream_on_watermark(c->stream, false);
    else if (!c->closing)
        connection_reread(connection); /* pipelined requests may have waited for room */
}

static void count_close(struct http_conn *c, bool remote, bool active)
{
    unsigned slot = c->worker->slot;
    uint64_t ms = loop_now_ms(c->worker->loop) - connection_created_ms(c->connection);
    http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_ACTIVE, -1);
    if (!c->undecided)
        http_conn_count(
            c, c->mux ? STAT_HTTP_DOWNSTREAM_CX_HTTP2_ACTIVE : STAT_HTTP_DOWNSTREAM_CX_HTTP1_ACTIVE,
            -1);
    if (c->tls)
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_SSL_ACTIVE, -1);
    http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_DESTROY, 1);
    http_conn_count(
        c, remote ? STAT_HTTP_DOWNSTREAM_CX_DESTROY_REMOTE : STAT_HTTP_DOWNSTREAM_CX_DESTROY_LOCAL,
        1);
    if (active) {
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_DESTROY_ACTIVE_RQ, 1);
        http_conn_count(c,
                        remote ? STAT_HTTP_DOWNSTREAM_CX_DESTROY_REMOTE_ACTIVE_RQ
                               : STAT_HTTP_DOWNSTREAM_CX_DESTROY_LOCAL_ACTIVE_RQ,
                        1);
    }
    stat_record(c->stats, slot, STAT_HTTP_DOWNSTREAM_CX_LENGTH_MS, ms);
    stat_inc(c->listener_stats, slot, STAT_LISTENER_CX_DESTROY);
    stat_add(c->listener_stats, slot, STAT_LISTENER_CX_ACTIVE, -1);
    stat_record(c->listener_stats, slot, STAT_LISTENER_CX_LENGTH_MS, ms);
}

/* After its last stream. */
static void log_end(struct http_conn *c, enum close_reason reason)
{
    const struct listener *l = c->more ? c->more->logged : NULL;
    if (!l)
        return;
    access_log_connection(c, l, reason);
    node_unpin((struct node *)(uintptr_t)&l->node, c->worker->slot);
}

void http_conn_on_close(struct connection *connection, enum close_reason reason)
{
    struct http_conn *c = connection_owner(connection);
    CHECK_MAGIC(c, HTTP_CONN_MAGIC);
    bool remote =
        reason == CLOSE_REMOTE_CLOSE || reason == CLOSE_REMOTE_RESET || reason == CLOSE_IO_ERROR;
    if (reason == CLOSE_DELAYED_CLOSE_TIMEOUT)
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_DELAYED_CLOSE_TIMEOUT, 1);
    if (reason == CLOSE_CONNECT_TIMEOUT)
        stat_inc(c->listener_stats, c->worker->slot, STAT_LISTENER_CX_TRANSPORT_TIMEOUT);
    bool active = c->stream || (c->mux && c->mux->n_streams);
    c->closing = true;
    http_conn_count_bytes(c);
    count_close(c, remote, active);
    if (c->stream)
        stream_on_disconnect(c->stream, remote);
    if (c->mux)
        http_conn_mux_end(c, remote);
    log_end(c, reason);
    timer_stop(&c->timer);
    if (c->more)
        timer_stop(&c->more->duration);
    mem_free(c->more);
    if (c->limited)
        conn_limit_give_back(c->worker->connections);
    list_remove(&c->link);
    c->worker->http_conns->n--;
    c->codec->ops->free(&c->codec);
    buffer_fini(&c->out);
    node_unpin(&c->binding->node, c->worker->slot);
    stat_scope_unref(&c->stats);
    stat_scope_unref(&c->listener_stats);
    http_conn_list_bury(c->worker->http_conns, c);
}

static const struct connection_ops connection_ops = {
    .on_data = on_connection_data,
    .on_high_watermark = on_high_watermark,
    .on_low_watermark = on_low_watermark,
    .on_close = http_conn_on_close,
};

void http_conn_stream_done(struct http_conn *c, bool reusable)
{
    c->stream = NULL;
    c->codec->bytes = NULL;
    if (c->closing)
        return;
    if (!reusable || !c->codec->ops->reusable(c->codec)) {
        close_as(c, c->draining ? CLOSE_DRAIN : CLOSE_REQUEST_DONE, how_to_part(c, reusable));
        return;
    }
    if (c->input_held || (!c->in_input && c->input_left))
        http_conn_list_next(c->worker->http_conns, c);
    http_conn_become_idle(c);
}

struct codec_options http_conn_codec_options(const struct http_conn *c)
{
    const struct http_manager *m = c->binding->manager;
    struct codec_options o = {
        .downstream = true,
        .max_headers_bytes = m->max_request_headers_kb * 1024,
        .max_headers_count = m->max_headers_count,
        .accept_http_10 = m->accept_http_10,
        .enable_trailers = m->enable_trailers,
        .allow_chunked_length = m->allow_chunked_length,
        .allow_absolute_url = m->allow_absolute_url,
        .allow_custom_methods = m->allow_custom_methods,
        .refuse_https_url = m->use_remote_address && m->xff_num_trusted_hops == 0 && !c->tls,
        .default_host_for_http_10 =
            m->default_host_for_http_10.len ? m->default_host_for_http_10.data : NULL,
    };
    switch (m->underscores) {
    case UNDERSCORES_ALLOW:
        o.underscores = CODEC_UNDERSCORES_ALLOW;
        break;
    case UNDERSCORES_REJECT:
        o.underscores = CODEC_UNDERSCORES_REJECT;
        break;
    case UNDERSCORES_DROP:
        o.underscores = CODEC_UNDERSCORES_DROP;
        break;
    }
    return o;
}

static void start_connection(struct http_conn *c)
{
    if (c->more)
        connection_local(c->connection); /* asked for now: its socket is gone at the end */
    unsigned slot = c->worker->slot;
    http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_TOTAL, 1);
    http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_ACTIVE, 1);
    if (c->tls) {
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_SSL_TOTAL, 1);
        http_conn_count(c, STAT_HTTP_DOWNSTREAM_CX_SSL_ACTIVE, 1);
    }
    stat_inc(c->listener_stats, slot, STAT_LISTENER_CX_TOTAL);
    stat_inc(c->listener_stats, slot, STAT_LISTENER_CX_ACTIVE);
    stat_add(c->listener_stats, slot, STAT_LISTENER_PRE_CX_ACTIVE, 0); /* it has been, and went */
    connection_set_buffer_limit(c->connection, c->buffer_limit);
    allow_heads(c);
    http_conn_become_idle(c);
    if (c->binding->manager->max_connection_duration_ms)
        start_duration(c);
}

bool http_conn_limited(const struct worker *w, const struct listener_entry *l)
{
    return conn_limit_counts(w->connections) && !l->listener->ignore_global_conn_limit;
}

static struct http_conn *conn_make(struct worker *w, const struct listener_entry *l,
                                   struct chain_binding *b, const struct transport *t)
{
    struct http_conn *c = NEW(struct http_conn);
    c->magic = HTTP_CONN_MAGIC;
    c->worker = w;
    c->id = worker_connection_id(w);
    c->binding = b;
    node_pin(&b->node, w->slot);
    c->seen = w->snapshot ? w->snapshot->version : 0;
    c->buffer_limit = l->listener->buffer_limit;
    c->inbound = l->listener->direction == DIRECTION_INBOUND;
    c->modify_only = l->listener->modify_only_drain;
    c->stats = stat_scope_ref(b->manager->stats);
    c->listener_stats = stat_scope_ref(l->stats);
    c->limited = http_conn_limited(w, l);
    c->tls = transport_tls_hold(t);
    if (l->listener->n_access_logs) {
        more_of(c)->logged = l->listener;
        node_pin((struct node *)(uintptr_t)&l->listener->node, w->slot);
    }
    buffer_init(&c->out, w->chunks);
    timer_init(&c->timer, w->loop, on_timer, c);
    struct codec_options o = http_conn_codec_options(c);
    c->codec = codec_h1_new(&o, &codec_callbacks, c, &c->out);
    c->undecided = true;
    list_push_back(&w->http_conns->conns, &c->link);
    list_init(&c->next);
    w->http_conns->n++;
    return c;
}

struct http_conn *http_conn_new(struct worker *w, struct connection *connection,
                                const struct listener_entry *l, struct chain_binding *b)
{
    struct http_conn *c = conn_make(w, l, b, connection_transport(connection));
    c->connection = connection;
    connection_set_owner(connection, &connection_ops, c);
    start_connection(c);
    return c;
}

struct http_conn *http_conn_accept(struct worker *w, int fd, const struct address *remote,
                                   const struct listener_entry *l, struct chain_binding *b)
{
    return http_conn_accept_over(w, transport_socket_new(w->loop, fd, false), remote, l, b);
}

struct http_conn *http_conn_accept_over(struct worker *w, struct transport *t,
                                        const struct address *remote,
                                        const struct listener_entry *l, struct chain_binding *b)
{
    struct http_conn *c = conn_make(w, l, b, t);
    c->connection = connection_accept_over(
        w->loop, w->chunks, t, remote, b->chain->transport_connect_timeout_ms, &connection_ops, c);
    start_connection(c);
    return c;
}
