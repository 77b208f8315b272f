#include "dataplane/http/codec_h2.h"

#include "base/memory.h"
#include "dataplane/http/codec_h2_internal.h"
#include "dataplane/http/codec_h2_pages.h"

enum {
    FRAME_SIZE = 16384,
    PIECE = 2048,             /* of input, after which no more streams may begin */
    SEND_BLOCK_MAX = 1 << 23, /* what the connection manager lets through fits */
};

/* clang-format off */
const struct codec_error
    h2_error_protocol = {400, "http2.protocol_error", "protocol error"},
    h2_error_messaging = {400, "http2.violation.of.messaging.rule", "invalid message"},
    h2_error_header = {400, "http2.invalid.header.field", "invalid header"},
    h2_error_too_many = {431, "http2.too_many_headers", "too many headers"},
    h2_error_too_large = {431, "http2.header_list_size_too_large", "headers too large"},
    h2_error_underscore = {400, "http2.unexpected_underscore", "header name contains underscores"},
    h2_error_field = {400, "http2.invalid_header_field", "a path or a scheme that is none"},
    h2_error_no_memory = {503, "http2.out_of_memory", "no memory"},
    h2_error_empty_flood = {0, "codec_error:Too_many_consecutive_frames_with_an_empty_payload",
                            "Too many consecutive frames with an empty payload"},
    h2_error_priority_flood = {0, "codec_error:Too_many_PRIORITY_frames",
                               "Too many PRIORITY frames"},
    h2_error_window_flood = {0, "codec_error:Too_many_WINDOW_UPDATE_frames",
                             "Too many WINDOW_UPDATE frames"},
    h2_error_control_flood = {0, "codec_error:Too_many_control_frames_in_the_outbound_queue.",
                              "Too many control frames in the outbound queue."},
    h2_error_outbound_flood = {0, "codec_error:Too_many_frames_in_the_outbound_queue.",
                               "Too many frames in the outbound queue."};
/* clang-format on */

void h2_count(struct codec_h2 *h, enum http2_stat stat)
{
    if (h->c.cb->on_count)
        h->c.cb->on_count(h->c.owner, stat);
}

static void tell_gauge(struct codec_h2 *h, enum http2_stat stat, int64_t *told, int64_t now)
{
    if (*told == now)
        return;
    if (h->c.cb->on_gauge)
        h->c.cb->on_gauge(h->c.owner, stat, now - *told);
    *told = now;
}

void h2_tell_gauges(struct codec_h2 *h)
{
    size_t frames = h->session ? nghttp2_session_get_outbound_queue_size(h->session) : 0;
    uint32_t control = h->session ? h->control_queued : 0;
    tell_gauge(h, STAT_HTTP2_STREAMS_ACTIVE, &h->told.streams, h->mux.open_streams);
    tell_gauge(h, STAT_HTTP2_PENDING_SEND_BYTES, &h->told.pending, (int64_t)h->pending);
    tell_gauge(h, STAT_HTTP2_OUTBOUND_FRAMES_ACTIVE, &h->told.frames, (int64_t)frames);
    tell_gauge(h, STAT_HTTP2_OUTBOUND_CONTROL_FRAMES_ACTIVE, &h->told.control, control);
}

void h2_break(struct codec_h2 *h, const struct codec_error *e, uint32_t code)
{
    if (h->broken)
        return;
    h->broken = true;
    h->error = e;
    nghttp2_session_terminate_session(h->session, code);
}

/* --- streams --- */

struct codec_stream *h2_stream_make(struct codec_h2 *h, int32_t id)
{
    struct codec_stream *s = h2_alloc(h->memory, sizeof(*s));
    if (!s)
        return NULL;
    s->h2 = h;
    s->id = id;
    s->limit = h->mux.stream_limit;
    buffer_init(&s->in, h->c.out->pool);
    buffer_init(&s->out, h->c.out->pool);
    list_init(&s->drained_link);
    list_init(&s->failed_link);
    list_init(&s->reset_link);
    list_push_back(&h->streams, &s->link);
    if (h->mux.open_streams++ == 0 && h->table)
        h2_page_busy(h->table);
    return s;
}

void h2_stream_free(struct codec_stream *s)
{
    struct codec_h2 *h = s->h2;
    if (h->reading == s)
        h->reading = NULL;
    size_t owed = s->unconsumed + s->in.len;
    if (owed && h->session && !h->broken)
        (void)nghttp2_session_consume_connection(h->session, owed);
    buffer_fini(&s->in);
    h->pending -= s->out.len;
    buffer_fini(&s->out);
    h2_release(h->memory, s->trailer_fields);
    list_remove(&s->link);
    list_remove(&s->drained_link);
    list_remove(&s->failed_link);
    list_remove(&s->reset_link);
    if (--h->mux.open_streams == 0 && h->table)
        h2_page_idle(h->table);
    h2_release(h->memory, s);
}

void h2_stream_dead(struct codec_stream *s, uint32_t code)
{
    struct codec_h2 *h = s->h2;
    void *user = s->user;
    s->user = NULL;
    if (!user)
        return;
    h->mux.reset_code = code;
    const char *why = s->error                         ? s->error->details
                      : code == NGHTTP2_REFUSED_STREAM ? "http2.remote_refuse"
                      : h->mux.remote_reset            ? "http2.remote_reset"
                                                       : h2_error_protocol.details;
    h->c.cb->on_reset(h->c.owner, user, why);
}

void h2_stream_settle(struct codec_stream *s)
{
    if (s->recv_ended && s->send_ended)
        s->user = NULL;
}

/* What is promised to a frame that has begun must still be there when it is written. */
static void drop_unsent(struct codec_stream *s)
{
    struct buffer keep;
    size_t n = s->promised < s->out.len ? s->promised : s->out.len;
    buffer_init(&keep, s->h2->c.out->pool);
    buffer_move_n(&keep, &s->out, n);
    s->h2->pending -= s->out.len;
    buffer_drain(&s->out, s->out.len);
    buffer_move(&s->out, &keep);
    s->out_end = false;
}

void h2_reset(struct codec_stream *s, uint32_t code)
{
    struct codec_h2 *h = s->h2;
    if (s->reset_sent)
        return;
    if (nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, code) != 0)
        h2_break(h, &h2_error_no_memory, NGHTTP2_INTERNAL_ERROR); /* or the peer waits for ever */
    h2_reset_queued(h, s->id, s);
}

bool h2_reset_waiting(struct codec_h2 *h)
{
    bool any = !list_empty(&h->resetting);
    struct list *l;
    while ((l = list_pop_front(&h->resetting)) != NULL) {
        struct codec_stream *s = LIST_ENTRY(l, struct codec_stream, reset_link);
        drop_unsent(s);
        h2_reset(s, s->reset_code);
    }
    return any;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct codec_h2 *h = user;
    struct codec_stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (!s)
        return 0;
    s->reset_sent = true; /* its user may reset it once more */
    h2_stream_dead(s, s->failed_code ? s->failed_code : code);
    h->mux.remote_reset = false;
    h2_stream_free(s);
    return 0;
}

static void h2_stream_reset(struct codec_stream *s, uint32_t code)
{
    struct codec_h2 *h = s->h2;
    s->user = NULL;
    s->headers = s->trailers = NULL;
    size_t owed = s->unconsumed;
    s->unconsumed = 0;
    h2_consume(s, owed);
    if (s->id == 0) { /* nothing of it is known to nghttp2 */
        h2_stream_free(s);
        return;
    }
    if (s->send_ended && !s->recv_ended && h->c.options.downstream) {
        s->reset_after = true;
        if (s->framed_end)
            h2_reset(s, NGHTTP2_NO_ERROR);
    } else if (s->head_sent && !s->send_ended && h->c.options.downstream) {
        s->reset_code = code; /* what was answered until now goes first */
        list_remove(&s->reset_link);
        list_push_back(&h->resetting, &s->reset_link);
    } else if (!s->send_ended || !s->recv_ended) {
        drop_unsent(s);
        h2_reset(s, code);
    }
}

static void h2_stream_pause(struct codec_stream *s, bool paused)
{
    s->paused = paused;
    size_t owed = s->unconsumed;
    if (paused || !owed)
        return;
    s->unconsumed = 0;
    h2_consume(s, owed);
}

/* --- the connection --- */

static void input_failed(struct codec_h2 *h, ssize_t n)
{
    const struct codec_error *e = &h2_error_protocol;
    if (h->broken)
        return;
    if (n == NGHTTP2_ERR_FLOODED) {
        h2_count(h, STAT_HTTP2_OUTBOUND_CONTROL_FLOOD);
        e = &h2_error_control_flood;
    } else if (n == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
        h2_count(h, STAT_HTTP2_HEADER_OVERFLOW);
        e = &h2_error_too_many;
    } else if (n == NGHTTP2_ERR_NOMEM) {
        e = &h2_error_no_memory;
    }
    h2_break(h, e, e == &h2_error_protocol ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM);
}

void h2_notice_end(struct codec_h2 *h)
{
    bool over = !nghttp2_session_want_read(h->session);
    h->broken |= h->error != NULL;
    h->mux.over = h->broken || over;
    if (h->broken && h->error && !h->error_told) {
        h->error_told = true;
        h->c.cb->on_error(h->c.owner, NULL, h->error);
    }
}

static bool h2_input(struct codec *c, struct buffer *in)
{
    struct codec_h2 *h = h2_of(c);
    h->busy = true;
    h->input = in;
    while (!buffer_empty(in) && !h->broken && !c->begin_held) {
        h->input_piece = buffer_front(in);
        if (!h->reading && h->input_piece.len > PIECE)
            h->input_piece.len = PIECE;
        h->input_piece.len = h2_scan(h, h->input_piece);
        if (h->broken)
            break;
        ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)h->input_piece.data,
                                             h->input_piece.len);
        if (n < 0)
            input_failed(h, n);
        else
            h2_limit_counts(h);
        buffer_drain(in, n > 0 ? (size_t)n : 0);
        if (n == 0)
            break;
    }
    h2_recv_rest(h);
    h->input = NULL;
    h->input_piece = BYTES_NONE;
    h->busy = false;
    if (h->broken)
        buffer_drain(in, in->len);
    h2_notice_end(h);
    h2_tell_gauges(h);
    return !h->mux.over;
}

static bool h2_input_eof(struct codec *c)
{
    h2_of(c)->broken = codec_mux(c)->over = true;
    return false;
}

static struct codec_stream *h2_stream_new(struct codec *c, void *user, struct headers *response)
{
    struct codec_h2 *h = h2_of(c);
    struct codec_stream *s = h2_stream_make(h, 0);
    if (!s)
        mem_exhausted(sizeof(*s));
    s->user = user;
    s->headers = response;
    return s;
}

static void h2_set_trailers(struct codec_stream *s, struct headers *trailers)
{
    s->trailers = trailers;
}

static bool h2_reusable(const struct codec *c)
{
    const struct codec_h2 *h = CONTAINER_OF(c, const struct codec_h2, c);
    return !h->broken && !h->goaway_received && !h->goaway_sent &&
           (c->options.downstream || nghttp2_session_check_request_allowed(h->session));
}

static void h2_drain(struct codec *c)
{
    struct codec_h2 *h = h2_of(c);
    if (h->draining || h->broken || !c->options.downstream)
        return;
    h->draining = true;
    (void)nghttp2_submit_shutdown_notice(h->session);
}

static void h2_goaway(struct codec *c)
{
    struct codec_h2 *h = h2_of(c);
    if (h->goaway_sent || h->broken)
        return;
    h->goaway_sent = true;
    h->goaway_last = nghttp2_session_get_last_proc_stream_id(h->session);
    (void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, h->goaway_last, NGHTTP2_NO_ERROR,
                                NULL, 0);
}

static unsigned h2_reset_stuck(struct codec *c, unsigned *left)
{
    struct codec_h2 *h = h2_of(c);
    unsigned n = 0;
    *left = 0;
    LIST_EACH(l, &h->streams)
    {
        struct codec_stream *s = LIST_ENTRY(l, struct codec_stream, link);
        bool waits = !s->user && s->send_ended && !s->framed_end && !s->reset_sent && s->id;
        if (!waits)
            continue;
        if (s->seen_unsent == s->out.len + 1) {
            n++;
            h2_count(h, STAT_HTTP2_TX_FLUSH_TIMEOUT);
            drop_unsent(s);
            h2_reset(s, NGHTTP2_CANCEL);
        } else {
            ++*left;
            s->seen_unsent = s->out.len + 1;
        }
    }
    return n;
}

static void h2_ping(struct codec *c)
{
    (void)nghttp2_submit_ping(h2_of(c)->session, NGHTTP2_FLAG_NONE, NULL);
}

static void h2_free(struct codec **c)
{
    if (!*c)
        return;
    struct codec_h2 *h = h2_of(*c);
    nghttp2_session_del(h->session);
    h->session = NULL;
    LIST_EACH(l, &h->streams)
    h2_stream_free(LIST_ENTRY(l, struct codec_stream, link));
    h2_tell_gauges(h);
    h2_release(h->memory, h->resets);
    h2_memory_free(&h->memory);
    mem_free(h);
    *c = NULL;
}

static const struct codec_ops h2_ops = {
    .name = "http2",
    .input = h2_input,
    .input_eof = h2_input_eof,
    .stream_new = h2_stream_new,
    .set_trailers = h2_set_trailers,
    .send_headers = h2_send_headers,
    .send_informational = h2_send_informational,
    .send_data = h2_send_data,
    .send_trailers = h2_send_trailers,
    .stream_reset = h2_stream_reset,
    .reusable = h2_reusable,
    .drain = h2_drain,
    .goaway = h2_goaway,
    .ping = h2_ping,
    .reset_stuck = h2_reset_stuck,
    .stream_pause = h2_stream_pause,
    .flush = h2_flush,
    .free = h2_free,
};

static nghttp2_option *session_options(const struct codec_h2 *h)
{
    nghttp2_option *o;
    if (nghttp2_option_new(&o) != 0)
        mem_exhausted(0);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_outbound_ack(o, (size_t)h->o.max_outbound_control + 1);
    nghttp2_option_set_max_continuations(o, h->c.options.max_headers_bytes / FRAME_SIZE + 8);
    nghttp2_option_set_max_deflate_dynamic_table_size(o, h->o.hpack_table_size);
    nghttp2_option_set_max_send_header_block_length(o, SEND_BLOCK_MAX);
    return o;
}

static void open_session(struct codec_h2 *h)
{
    nghttp2_session_callbacks *cb;
    nghttp2_mem mem = h2_nghttp2_memory(h->memory);
    nghttp2_option *o = session_options(h);
    if (nghttp2_session_callbacks_new(&cb) != 0)
        mem_exhausted(0);
    h2_recv_callbacks(cb);
    h2_send_callbacks(cb);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    void *outer = h2_memory_frame_begin(h->memory);
    h2_memory_opening(h->memory, true);
    int rv = h->c.options.downstream ? nghttp2_session_server_new3(&h->session, cb, h, o, &mem)
                                     : nghttp2_session_client_new3(&h->session, cb, h, o, &mem);
    if (rv != 0)
        mem_exhausted(0);
    h2_memory_opening(h->memory, false);
    h2_page_own(h2_memory_pages(h->memory), &h->table);
    if (h->table)
        h2_page_idle(h->table);
    if (!h->c.options.downstream) { /* the preface lies where the next frame is made */
        const uint8_t *preface;
        ssize_t n = nghttp2_session_mem_send(h->session, &preface);
        CHECK(n == NGHTTP2_CLIENT_MAGIC_LEN);
        buffer_add(h->c.out, preface, (size_t)n);
    }
    h2_memory_frame_end(h->memory, outer);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
}

static void add_setting(nghttp2_settings_entry *e, size_t *n, int32_t id, uint32_t value)
{
    e[(*n)++] = (nghttp2_settings_entry){id, value};
}

static void submit_settings(struct codec_h2 *h)
{
    nghttp2_settings_entry e[8 + HTTP2_CUSTOM_SETTINGS_MAX];
    size_t n = 0;
    if (h->c.options.downstream)
        add_setting(e, &n, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->o.max_concurrent_streams);
    else
        add_setting(e, &n, NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
    add_setting(e, &n, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, h->o.stream_window);
    if (h->o.hpack_table_size != NGHTTP2_DEFAULT_HEADER_TABLE_SIZE)
        add_setting(e, &n, NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, h->o.hpack_table_size);
    if (h->c.options.downstream && h->o.allow_connect)
        add_setting(e, &n, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
    for (unsigned i = 0; i < h->o.n_custom; i++)
        add_setting(e, &n, (int32_t)h->o.custom[i].id, h->o.custom[i].value);
    int rv = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, e, n);
    if (rv == 0)
        rv = nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                   (int32_t)h->o.connection_window);
    if (rv != 0)
        h2_break(h, &h2_error_no_memory, NGHTTP2_INTERNAL_ERROR);
}

struct codec *codec_h2_new(const struct codec_options *options, const struct http2_options *h2,
                           const struct codec_callbacks *cb, void *owner, struct buffer *out,
                           struct h2_memory *memory)
{
    struct codec_h2 *h = NEW(struct codec_h2);
    h->c = (struct codec){.ops = &h2_ops,
                          .cb = cb,
                          .owner = owner,
                          .out = out,
                          .protocol = PROTOCOL_HTTP2,
                          .multiplexed = true};
    h->mux.max_streams = 100; /* until the peer tells */
    codec_set_options(&h->c, options);
    h->o = *h2;
    h->memory = h2_memory_ref(memory);
    list_init(&h->streams);
    list_init(&h->drained);
    list_init(&h->failed);
    list_init(&h->resetting);
    if (h->c.options.downstream)
        h->scan.left = NGHTTP2_CLIENT_MAGIC_LEN;
    open_session(h);
    submit_settings(h);
    return &h->c;
}
