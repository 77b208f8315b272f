#include "dataplane/http/codec_h2_internal.h"

enum { SHARE_MIN = 2048 }; /* less is copied, so that tiny frames do not pin a chunk each */

static struct codec_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static struct bytes rcbuf(nghttp2_rcbuf *b)
{
    nghttp2_vec v = nghttp2_rcbuf_get_buf(b);
    return bytes_from((const char *)v.base, v.len);
}

/* What to return to nghttp2: once broken, it is to stop at once. */
static int go_on(const struct codec_h2 *h)
{
    return h->broken ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void h2_consume(struct codec_stream *s, size_t n)
{
    if (n && nghttp2_session_consume(s->h2->session, s->id, n) != 0)
        h2_break(s->h2, &h2_error_no_memory, NGHTTP2_INTERNAL_ERROR);
}

/* --- heads and trailers --- */

/* Until a GOAWAY is written nghttp2 lets streams begin that it disowns: their client asks again
 * elsewhere, so nobody may answer them here. */
static bool is_disowned(const struct codec_h2 *h, int32_t id)
{
    return h->goaway_sent && id > h->goaway_last;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct codec_h2 *h = user;
    struct codec_stream *s = stream_of(session, f->hd.stream_id);
    if (h->broken)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!s && h->c.options.downstream && f->headers.cat == NGHTTP2_HCAT_REQUEST &&
        !is_disowned(h, f->hd.stream_id)) {
        s = h2_stream_make(h, f->hd.stream_id);
        if (!s) {
            h2_reset_queued(h, f->hd.stream_id, NULL);
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
        nghttp2_session_set_stream_user_data(session, s->id, s);
        h->streams_opened++;
        h->last_stream = s->id;
        s->user = h->c.cb->on_stream_begin(h->c.owner, s, &s->headers);
    }
    if (!s) {
        h2_count(h, STAT_HTTP2_HEADERS_CB_NO_STREAM);
        return 0;
    }
    return h2_head_begin(h, s);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    struct codec_h2 *h = user;
    struct codec_stream *s = stream_of(session, f->hd.stream_id);
    if (h->broken)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return s ? h2_head_field(h, s, rcbuf(name), rcbuf(value)) : 0;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *f, nghttp2_rcbuf *name,
                             nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    struct codec_stream *s = stream_of(session, f->hd.stream_id);
    if (s)
        s->error = &h2_error_header;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void recv_end(struct codec_stream *s)
{
    s->recv_ended = true;
    h2_stream_settle(s);
}

static bool is_informational(const struct codec_stream *s)
{
    struct bytes status = headers_get(s->headers, HEADER_STATUS);
    return status.len == 3 && status.data[0] == '1' && !bytes_eq(status, BYTES("101"));
}

static void head_complete(struct codec_h2 *h, struct codec_stream *s, bool end)
{
    const struct codec_error *e = h2_head_end(h, s);
    h->c.protocol = PROTOCOL_HTTP2;
    if (e) {
        s->error = e;
        h2_reset(s, e == &h2_error_no_memory ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    if (s->in_trailers) {
        s->recv_ended = true;
        if (s->user && s->trailers && s->trailers->n)
            h->c.cb->on_trailers(h->c.owner, s->user);
        else if (s->user)
            h->c.cb->on_data(h->c.owner, s->user, &s->in, true);
        h2_stream_settle(s);
        return;
    }
    bool informational = !h->c.options.downstream && s->user && is_informational(s) && !end;
    s->head_done = !informational;
    s->recv_ended = end;
    if (s->user)
        h->c.cb->on_headers(h->c.owner, s->user, end);
    if (informational && s->user)
        headers_init(s->headers, s->headers->arena);
    if (end)
        recv_end(s);
}

/* --- bodies --- */

static void deliver(struct codec_h2 *h, struct codec_stream *s, bool end)
{
    size_t n = s->in.len;
    if (s->user && (n || end)) {
        s->recv_ended = end;
        s->unconsumed += n;
        h->c.cb->on_data(h->c.owner, s->user, &s->in, end);
    } else {
        h2_consume(s, n);
    }
    buffer_drain(&s->in, s->in.len);
    if (!s->paused || !s->user) {
        n = s->unconsumed;
        s->unconsumed = 0;
        h2_consume(s, n);
    }
}

void h2_recv_rest(struct codec_h2 *h)
{
    struct codec_stream *s = h->reading;
    h->reading = NULL;
    if (s && s->in.len)
        deliver(h, s, false);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
    struct codec_h2 *h = user;
    struct codec_stream *s = stream_of(session, id);
    if (h->broken)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!s || !s->user) {
        if (nghttp2_session_consume(session, id, len) != 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        return 0;
    }
    const char *at = (const char *)data;
    struct bytes piece = h->input_piece;
    bool shared = len >= SHARE_MIN && at >= piece.data && at + len <= piece.data + piece.len;
    if (shared)
        buffer_share(&s->in, h->input, (size_t)(at - piece.data), len);
    else
        buffer_add(&s->in, at, len);
    h->reading = s;
    return 0;
}

/* --- frames --- */

static void on_goaway(struct codec_h2 *h)
{
    if (!h->goaway_received && h->c.cb->on_no_more_streams)
        h->c.cb->on_no_more_streams(h->c.owner);
    h->goaway_received = true;
}

static void on_settings(struct codec_h2 *h, const nghttp2_frame *f)
{
    if (f->hd.flags & NGHTTP2_FLAG_ACK)
        return;
    h->settings_seen = true;
    h->mux.max_streams =
        nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (h->c.cb->on_settings)
        h->c.cb->on_settings(h->c.owner);
}

static void on_stream_frame(struct codec_h2 *h, struct codec_stream *s, const nghttp2_frame *f)
{
    bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (f->hd.type == NGHTTP2_HEADERS) {
        head_complete(h, s, end);
    } else if (f->hd.type == NGHTTP2_DATA) {
        h->reading = NULL;
        deliver(h, s, end);
        if (end)
            recv_end(s);
    } else if (f->hd.type == NGHTTP2_RST_STREAM) {
        h->mux.remote_reset = true;
        h2_count(h, STAT_HTTP2_RX_RESET);
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct codec_h2 *h = user;
    if (h->broken)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    struct codec_stream *s = stream_of(session, f->hd.stream_id);
    h2_limit_frame(h, f);
    if (h->broken)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (s)
        on_stream_frame(h, s, f);
    if (f->hd.type == NGHTTP2_GOAWAY)
        on_goaway(h);
    else if (f->hd.type == NGHTTP2_SETTINGS)
        on_settings(h, f);
    else if (f->hd.type == NGHTTP2_PING && (f->hd.flags & NGHTTP2_FLAG_ACK) && h->c.cb->on_ping)
        h->c.cb->on_ping(h->c.owner);
    return go_on(h);
}

/* nghttp2 forgets streams that have ended; RFC 9113 section 5.1 does not. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    struct codec_h2 *h = user;
    if (h->broken)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (hd->type != NGHTTP2_HEADERS || !h2_is_closed(h, hd->stream_id))
        return 0;
    h2_break(h, &h2_error_protocol, NGHTTP2_STREAM_CLOSED);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* A message that breaks the rules of HTTP (not of frames) may cost its stream only, if so told. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *f, int error, void *user)
{
    struct codec_h2 *h = user;
    if (h->broken)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    struct codec_stream *s = stream_of(session, f->hd.stream_id);
    if (f->hd.stream_id) /* if not told to end the connection, nghttp2 resets the stream */
        h2_reset_queued(h, f->hd.stream_id, s);
    if (error == NGHTTP2_ERR_REFUSED_STREAM) {
        h2_count(h, STAT_HTTP2_STREAM_REFUSED_ERRORS);
    } else if (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING) {
        const struct codec_error *e =
            error == NGHTTP2_ERR_HTTP_HEADER ? &h2_error_header : &h2_error_messaging;
        h2_count(h, STAT_HTTP2_RX_MESSAGING_ERROR);
        if (s)
            s->error = e;
        if (!h->o.stream_error)
            h2_break(h, e, NGHTTP2_PROTOCOL_ERROR);
    }
    return go_on(h);
}

void h2_recv_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
}
