#include "dataplane/http/access_log.h"
#include "dataplane/http/http_conn_mux.h"
#include "dataplane/http/stream_internal.h"

/* The way out: the last response filter has let the head, the body or the trailers pass. */

void stream_count_status(struct stream *s, unsigned status)
{
    struct stat_scope *l = s->priv->binding->listener_http_stats;
    unsigned slot = s->worker->slot, class = status / 100;
    stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_COMPLETED);
    if (l)
        stat_inc(l, slot, STAT_LISTENER_HTTP_RQ_COMPLETED);
    if (class < 1 || class > 5)
        return;
    stat_inc(s->manager->stats, slot, STAT_HTTP_DOWNSTREAM_RQ_1XX + class - 1);
    if (l)
        stat_inc(l, slot, STAT_LISTENER_HTTP_RQ_1XX + class - 1);
}

static void response_complete(struct stream *s)
{
    s->priv->response_complete = true;
    stream_finish(s);
}

/* What becomes of an HTTP/1 connection. The codec would say it: but logs shall see it, too. */
static NOINLINE void say_connection(struct stream *s, bool reusable, bool end)
{
    struct headers *h = &s->response_headers;
    if (s->priv->tunnel_open || headers_has(h, HEADER_CONNECTION))
        return;
    if (!reusable || (!end && !headers_has(h, HEADER_CONTENT_LENGTH)))
        headers_set_id(h, HEADER_CONNECTION, BYTES("close"));
    else
        headers_set_id(h, HEADER_CONNECTION, BYTES("keep-alive"));
}

static inline void tell_connection(struct stream *s, bool end)
{
    const struct codec *c = s->conn->codec;
    bool reusable = c->ops->reusable(c);
    if (UNLIKELY(!reusable || c->protocol == PROTOCOL_HTTP10))
        say_connection(s, reusable, end);
}

void stream_send_headers(struct stream *s, bool end)
{
    struct stream_private *p = s->priv;
    struct headers *h = &s->response_headers;
    const struct codec_ops *ops = s->conn->codec->ops;
    unsigned status = headers_status(h);
    s->info.status = status ? status : 500;
    timer_rest(&p->request_timer);
    p->tunnel_open = tunnel_opened(stream_tunnel(s), s->info.status);
    if (!p->request_complete) { /* nobody reads the rest: the connection cannot go on */
        stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_RESPONSE_BEFORE_RQ_COMPLETE);
        if (!s->conn->mux && !p->tunnel_open) /* HTTP/2 ends the stream alone */
            ops->drain(s->conn->codec);
    }
    http_conn_before_response(s->conn);
    hcm_response(s);
    if (!s->conn->mux)
        tell_connection(s, end);
    stream_count_status(s, s->info.status);
    s->info.response_header_bytes = h->byte_size;
    s->info.downstream_first_tx_ns = loop_now_ns(s->worker->loop);
    p->response_sent = true;
    stream_touch(s);
    if (UNLIKELY(p->tunnel_open) && s->manager->flush_access_log_on_tunnel)
        access_log_stream(s, ACCESS_LOG_TUNNEL);
    ops->send_headers(s->codec_stream, h, end);
    if (end)
        response_complete(s);
}

void stream_send_informational(struct stream *s, const struct headers *h)
{
    const struct codec *c = s->conn->codec;
    if (c->protocol == PROTOCOL_HTTP10) /* knows none */
        return;
    if (headers_status(h))
        stream_count_status(s, headers_status(h));
    c->ops->send_informational(s->codec_stream, h);
}

void stream_send_data(struct stream *s, struct buffer *data, bool end)
{
    if (!s->priv->is_head || s->priv->tunnel_open)
        s->info.bytes_sent += data->len;
    stream_touch(s);
    s->conn->codec->ops->send_data(s->codec_stream, data, end);
    if (end)
        response_complete(s);
}

void stream_send_trailers(struct stream *s)
{
    s->conn->codec->ops->send_trailers(s->codec_stream, &s->response_trailers);
    response_complete(s);
}

/* Of interim answers that a client does not read no more are made, but for the 100 that it may wait
 * for. What a codec of many streams has taken in this turn is in no buffer yet. */
static bool interim_fits(struct stream *s, const struct headers *h)
{
    enum { WITHOUT_LIMIT = 256 * 1024 };
    struct http_conn *c = s->conn;
    size_t limit = c->buffer_limit ? c->buffer_limit : WITHOUT_LIMIT;
    bool first_100 = headers_status(h) == 100 && !s->priv->continued;
    if (first_100)
        s->priv->continued = true;
    else if (connection_above_watermark(c->connection) ||
             connection_output_len(c->connection) + (c->mux ? c->mux->interim : 0) > limit)
        return false;
    if (c->mux)
        c->mux->interim += h->byte_size;
    return true;
}

void filter_respond_informational(struct http_filter *f, struct headers *h)
{
    struct stream *s = f->stream;
    if (stream_over(s) || s->priv->response_begun)
        return;
    /* As in Envoy, one option speaks for every 1xx; without it 100 was answered here already. */
    if (!s->manager->proxy_100_continue)
        return;
    if (!interim_fits(s, h))
        return;
    hcm_informational(s, h);
    stream_send_informational(s, h);
    http_conn_flush(s->conn);
}
