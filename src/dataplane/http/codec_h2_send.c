#include "dataplane/http/codec_h2_internal.h"
#include "dataplane/http/http_syntax.h"

enum {
    FIELDS_ON_STACK = 64,
    LAST_WORDS = 4096, /* room for a GOAWAY, however full the output is */
};

/* --- fields --- */

static bool hop_by_hop(const struct header *e)
{
    switch ((int)e->id) {
    case HEADER_CONNECTION:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_UPGRADE:
        return true;
    case HEADER_TE:
        return !bytes_eq(e->value, BYTES("trailers"));
    default:
        return false;
    }
}

/* The last guard, as in HTTP/1: no filter or format puts a line end into a value. */
static struct bytes clean(struct arena *a, struct bytes value)
{
    if (LIKELY(h1_value_ok(value)))
        return value;
    char *text = arena_alloc(a, value.len);
    for (size_t i = 0; i < value.len; i++)
        text[i] = h1_value_ok(bytes_from(value.data + i, 1)) ? value.data[i] : ' ';
    return bytes_trim(bytes_from(text, value.len));
}

static void put(nghttp2_nv *nv, size_t *n, struct bytes name, struct bytes value)
{
    nv[(*n)++] = (nghttp2_nv){.name = (uint8_t *)name.data,
                              .namelen = name.len,
                              .value = (uint8_t *)(value.len ? value.data : ""),
                              .valuelen = value.len};
}

static size_t fields_of(const struct headers *h, nghttp2_nv *nv, bool trailers)
{
    size_t n = 0;
    bool authority = headers_has(h, HEADER_AUTHORITY);
    for (const struct header *e = h->entries, *end = headers_end(h); e < end; e++) {
        bool pseudo = e->name.len && e->name.data[0] == ':';
        if (hop_by_hop(e) || (trailers && pseudo) || e->name.len == 0 ||
            (e->id == HEADER_HOST && authority))
            continue;
        if (e->id !=
            HEADER_OTHER) { /* nghttp2 copies what it is not told to leave: these live on */
            put(nv, &n, header_name((enum header_id)e->id), clean(h->arena, e->value));
            nv[n - 1].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
        } else {
            put(nv, &n, e->name, clean(h->arena, e->value));
        }
    }
    return n;
}

static nghttp2_nv *fields_space(const struct headers *h, nghttp2_nv *stack)
{
    return h->n < FIELDS_ON_STACK ? stack : arena_alloc(h->arena, (h->n + 1) * sizeof(*stack));
}

static struct bytes name_of(const nghttp2_nv *nv)
{
    return bytes_from((const char *)nv->name, nv->namelen);
}

static void set_value(nghttp2_nv *nv, struct bytes value)
{
    nv->value = (uint8_t *)value.data;
    nv->valuelen = value.len;
}

/* A tunnel has no length, a plain CONNECT no scheme and no path (RFC 9113 section 8.5), and an
 * upgrade is an extended CONNECT, which begins with ":protocol" (RFC 8441). */
static size_t tunnel_request(nghttp2_nv *nv, size_t n, const struct codec_stream *s)
{
    size_t kept = 0;
    bool connect = s->tunnel == TUNNEL_CONNECT;
    for (size_t i = 0; i < n; i++) {
        struct bytes name = name_of(&nv[i]);
        if (bytes_eq(name, BYTES("content-length")) ||
            (connect && (bytes_eq(name, BYTES(":scheme")) || bytes_eq(name, BYTES(":path")))))
            continue;
        nv[kept++] = nv[i];
        if (bytes_eq(name, BYTES(":method")))
            set_value(&nv[kept - 1], BYTES("CONNECT"));
    }
    if (connect)
        return kept;
    memmove(nv + 1, nv, kept * sizeof(*nv));
    n = 0;
    put(nv, &n, BYTES(":protocol"), s->upgrade);
    return kept + 1;
}

/* 101 is HTTP/1.1's word for 200 here. */
static size_t tunnel_response(nghttp2_nv *nv, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (bytes_eq(name_of(&nv[i]), BYTES("content-length")))
            continue;
        nv[kept++] = nv[i];
        if (bytes_eq(name_of(&nv[i]), BYTES(":status")) &&
            bytes_eq(bytes_from((const char *)nv[i].value, nv[i].valuelen), BYTES("101")))
            set_value(&nv[kept - 1], BYTES("200"));
    }
    return kept;
}

/* --- a stream's body --- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct codec_stream *s = source->ptr;
    size_t n = s->out.len < length ? s->out.len : length;
    if (n == 0 && !s->out_end) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    s->promised = n;
    if (s->out_end && n == s->out.len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailer_fields) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            int rv = nghttp2_submit_trailer(session, id, s->trailer_fields, s->n_trailer_fields);
            if (rv != 0)
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)n;
}

/* Not nghttp2's: while a frame waits for room, others are made where that lies. */
static void add_frame_head(struct buffer *out, const nghttp2_frame_hd *hd)
{
    uint32_t id = (uint32_t)hd->stream_id;
    uint8_t head[] = {(uint8_t)(hd->length >> 16),
                      (uint8_t)(hd->length >> 8),
                      (uint8_t)hd->length,
                      hd->type,
                      hd->flags,
                      (uint8_t)(id >> 24),
                      (uint8_t)(id >> 16),
                      (uint8_t)(id >> 8),
                      (uint8_t)id};
    buffer_add(out, head, sizeof(head));
}

static int send_body(nghttp2_session *session, nghttp2_frame *f, const uint8_t *head, size_t length,
                     nghttp2_data_source *source, void *user)
{
    struct codec_stream *s = source->ptr;
    struct codec_h2 *h = user;
    if (h->c.out->len >= h->room)
        return NGHTTP2_ERR_WOULDBLOCK; /* asked again for the same frame */
    add_frame_head(h->c.out, &f->hd);
    buffer_move_n(h->c.out, &s->out, length);
    h->pending -= length;
    s->promised = 0;
    h->data_sent++;
    if (s->above && s->out.len <= s->limit / 2) {
        s->above = false;
        list_remove(&s->drained_link);
        list_push_back(&h->drained, &s->drained_link);
    }
    return 0;
}

static void set_above(struct codec_stream *s)
{
    if (s->above || !s->limit || s->out.len <= s->limit)
        return;
    s->above = true;
    list_remove(&s->drained_link);
    if (s->user && s->h2->c.cb->on_stream_watermark)
        s->h2->c.cb->on_stream_watermark(s->h2->c.owner, s->user, true);
}

static void go_on(struct codec_stream *s)
{
    if (!s->deferred)
        return;
    s->deferred = false;
    if (s->id)
        nghttp2_session_resume_data(s->h2->session, s->id); /* fails when the stream has gone */
}

/* The stream cannot be sent: its user is told at the next flush, not from inside his own call. */
static void failed(struct codec_stream *s, uint32_t code)
{
    s->failed_code = code;
    list_remove(&s->failed_link);
    list_push_back(&s->h2->failed, &s->failed_link);
}

static void send_end(struct codec_stream *s)
{
    s->send_ended = true;
    h2_stream_settle(s);
}

/* RFC 8441 section 3: not to who has not said that it knows it. What its SETTINGS will say is not
 * waited for. */
static bool takes_connect(const struct codec_h2 *h)
{
    return !h->settings_seen || nghttp2_session_get_remote_settings(
                                    h->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

void h2_send_headers(struct codec_stream *s, const struct headers *hs, bool end)
{
    struct codec_h2 *h = s->h2;
    nghttp2_nv stack[FIELDS_ON_STACK];
    nghttp2_nv *nv = fields_space(hs, stack);
    size_t n = fields_of(hs, nv, false);
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_body};
    s->head_sent = true;
    int rv;
    if (h->c.options.downstream) {
        if (s->tunnel != TUNNEL_NONE && tunnel_opened(s->tunnel, headers_status(hs)))
            n = tunnel_response(nv, n);
        rv = nghttp2_submit_response(h->session, s->id, nv, n, end ? NULL : &body);
    } else {
        s->tunnel = tunnel_asked(hs);
        if (s->tunnel != TUNNEL_NONE) {
            s->upgrade = tunnel_type(s->tunnel, hs);
            n = tunnel_request(nv, n, s);
        }
        if (s->tunnel == TUNNEL_UPGRADE && !takes_connect(h)) {
            failed(s, NGHTTP2_PROTOCOL_ERROR);
            return;
        }
        rv = nghttp2_submit_request(h->session, NULL, nv, n, end ? NULL : &body, s);
        if (rv > 0)
            s->id = rv;
    }
    if (rv < 0)
        failed(s, NGHTTP2_REFUSED_STREAM);
    else if (end)
        send_end(s);
}

void h2_send_informational(struct codec_stream *s, const struct headers *hs)
{
    nghttp2_nv stack[FIELDS_ON_STACK];
    if (s->head_sent)
        return;
    nghttp2_nv *nv = fields_space(hs, stack);
    size_t n = fields_of(hs, nv, false);
    if (nghttp2_submit_headers(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, nv, n, NULL) != 0)
        failed(s, NGHTTP2_INTERNAL_ERROR);
}

void h2_send_data(struct codec_stream *s, struct buffer *data, bool end)
{
    s->h2->pending += data->len;
    if (s->above) { /* it will stay for a while */
        buffer_tighten(&s->out);
        buffer_move_copied(&s->out, data);
    } else {
        buffer_move(&s->out, data);
    }
    s->out_end = end;
    set_above(s);
    go_on(s);
    if (end)
        send_end(s);
}

/* The fields outlive the caller's list: they go out after the body. */
static bool keep_trailers(struct codec_stream *s, const struct headers *hs)
{
    nghttp2_nv stack[FIELDS_ON_STACK];
    nghttp2_nv *nv = fields_space(hs, stack);
    size_t n = fields_of(hs, nv, true), size = n * sizeof(*nv);
    for (size_t i = 0; i < n; i++)
        size += nv[i].namelen + nv[i].valuelen;
    if (n == 0)
        return true;
    s->trailer_fields = h2_alloc(s->h2->memory, size);
    if (!s->trailer_fields)
        return false;
    uint8_t *p = (uint8_t *)(s->trailer_fields + n);
    for (size_t i = 0; i < n; i++) {
        nghttp2_nv *to = &s->trailer_fields[i];
        *to = nv[i];
        to->flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
        to->name = memcpy(p, nv[i].name, nv[i].namelen);
        p += nv[i].namelen;
        to->value = memcpy(p, nv[i].value, nv[i].valuelen);
        p += nv[i].valuelen;
    }
    s->n_trailer_fields = n;
    return true;
}

void h2_send_trailers(struct codec_stream *s, const struct headers *hs)
{
    if (!keep_trailers(s, hs))
        failed(s, NGHTTP2_INTERNAL_ERROR);
    s->out_end = true;
    go_on(s);
    send_end(s);
}

/* --- frames --- */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *f, void *user)
{
    struct codec_h2 *h = user;
    struct codec_stream *s =
        f->hd.stream_id ? nghttp2_session_get_stream_user_data(session, f->hd.stream_id) : NULL;
    bool ack = f->hd.flags & NGHTTP2_FLAG_ACK;
    switch (f->hd.type) {
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        if (ack && h->control_queued)
            h->control_queued--;
        break;
    case NGHTTP2_RST_STREAM:
        h2_count(h, STAT_HTTP2_TX_RESET);
        if (s && !s->reset_sent) /* nghttp2 did not tell: more content than was promised */
            h2_note_reset(h, s->id);
        else if (h->control_queued)
            h->control_queued--;
        break;
    case NGHTTP2_GOAWAY:
        h2_count(h, STAT_HTTP2_GOAWAY_SENT);
        if (f->goaway.error_code != NGHTTP2_NO_ERROR && !h->broken)
            h->error = &h2_error_protocol; /* nghttp2 ends it by itself */
        break;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        if (s && (f->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
            s->framed_end = true;
            if (s->reset_after && !s->recv_ended)
                h2_reset(s, NGHTTP2_NO_ERROR);
        }
        break;
    default:
        break;
    }
    return 0;
}

static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *f, int error,
                             void *user)
{
    struct codec_h2 *h = user;
    struct codec_stream *s =
        f->hd.stream_id ? nghttp2_session_get_stream_user_data(session, f->hd.stream_id) : NULL;
    bool given_up = f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_REQUEST &&
                    error == NGHTTP2_ERR_STREAM_CLOSING; /* its reset was no frame */
    if ((f->hd.type == NGHTTP2_RST_STREAM || given_up) && h->control_queued)
        h->control_queued--;
    if (f->hd.type == NGHTTP2_HEADERS && s && s->user)
        failed(s, error == NGHTTP2_ERR_START_STREAM_NOT_ALLOWED ? NGHTTP2_REFUSED_STREAM
                                                                : NGHTTP2_INTERNAL_ERROR);
    return 0;
}

static void tell_drained(struct codec_h2 *h)
{
    struct list *l;
    while ((l = list_pop_front(&h->drained)) != NULL) {
        struct codec_stream *s = LIST_ENTRY(l, struct codec_stream, drained_link);
        if (s->user && h->c.cb->on_stream_watermark)
            h->c.cb->on_stream_watermark(h->c.owner, s->user, false);
    }
}

static void tell_failed(struct codec_h2 *h)
{
    struct list *l;
    while ((l = list_pop_front(&h->failed)) != NULL) {
        struct codec_stream *s = LIST_ENTRY(l, struct codec_stream, failed_link);
        uint32_t code = s->failed_code;
        bool unsent = s->id == 0;
        if (!unsent)
            h2_reset(s, code);
        h2_stream_dead(s, code); /* whose user may flush: then the reset goes out, and s with it */
        if (unsent)
            h2_stream_free(s);
    }
}

/* 0: there is none to make. */
static ssize_t make_frame(struct codec_h2 *h)
{
    const uint8_t *data;
    void *outer = h2_memory_frame_begin(h->memory);
    ssize_t n = nghttp2_session_mem_send(h->session, &data);
    if (n > 0)
        buffer_add(h->c.out, data, (size_t)n);
    h2_memory_frame_end(h->memory, outer);
    return n;
}

void h2_flush(struct codec *c, size_t room)
{
    struct codec_h2 *h = h2_of(c);
    if (h->busy)
        return;
    h->room = h->broken && room < SIZE_MAX - LAST_WORDS ? c->out->len + LAST_WORDS : room;
    for (;;) {
        h->busy = true;
        while (c->out->len < h->room) {
            ssize_t n = make_frame(h);
            if (n < 0 && !h->broken) { /* no memory: that frame is lost, and what it belongs to */
                h2_break(h, &h2_error_no_memory, NGHTTP2_INTERNAL_ERROR);
                continue;
            }
            if (n <= 0)
                break;
        }
        h->busy = false;
        bool reset = h2_reset_waiting(h);
        if (!reset && list_empty(&h->drained) && list_empty(&h->failed))
            break;
        tell_failed(h);
        tell_drained(h);
        if (c->out->len >= h->room)
            break;
    }
    h->mux.blocked = c->out->len >= h->room && nghttp2_session_want_write(h->session);
    h2_notice_end(h);
    h2_tell_gauges(h);
}

void h2_send_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_send_data_callback(cb, send_body);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
}
