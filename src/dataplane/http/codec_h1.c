#include "dataplane/http/codec_h1.h"

#include "base/memory.h"
#include "dataplane/http/codec_h1_internal.h"

/* clang-format off */
const struct codec_error
    h1_error_codec = {400, "http1.codec_error", "malformed message"},
    h1_error_invalid_chars = {400, "http1.invalid_characters", "invalid character"},
    h1_error_invalid_url = {400, "http1.invalid_url", "invalid request target"},
    h1_error_invalid_scheme = {400, "http1.invalid_scheme", "invalid scheme in request target"},
    h1_error_https_url = {403, "http1.https_url_on_plaintext_connection",
                          "https request target on a plaintext connection"},
    h1_error_invalid_authority = {400, "http.invalid_authority", "invalid Host"},
    h1_error_host_lines = {400, "http1.multiple_host_headers", "more than one Host line"},
    h1_error_low_version = {426, "low_version", "HTTP version is not 1.1"},
    h1_error_transfer_encoding = {501, "http1.invalid_transfer_encoding",
                                  "unsupported transfer encoding"},
    h1_error_length_and_chunked = {400, "http1.content_length_and_chunked_not_allowed",
                                   "both Content-Length and Transfer-Encoding"},
    h1_error_too_large = {431, "http1.headers_too_large", "headers size exceeds limit"},
    h1_error_no_memory = {503, "http1.out_of_memory", "no memory for the headers"},
    h1_error_too_many = {431, "http1.too_many_headers", "headers count exceeds limit"},
    h1_error_underscore = {400, "http1.unexpected_underscore", "header name contains underscores"},
    h1_error_connection_header = {400, "http1.connection_header_rejected",
                                  "invalid Connection header"},
    h1_error_te_not_allowed = {400, "http1.transfer_encoding_not_allowed",
                               "transfer encoding not allowed here"},
    h1_error_length_not_allowed = {400, "http1.content_length_not_allowed",
                                   "content length not allowed here"},
    h1_error_body = {400, "http1.body_disallowed", "CONNECT with a body"},
    h1_error_chunk = {400, "http1.codec_error", "malformed chunk"},
    h1_error_upgrade = {502, "http1.codec_error", "upgrade that nobody asked for"};
/* clang-format on */

static struct codec_h1 *of(struct codec *c)
{
    return CONTAINER_OF(c, struct codec_h1, c);
}

/* Both directions have ended: the stream is let go, the next message may begin. */
static void exchange_ended(struct codec_h1 *h)
{
    h->active = false;
    h->stream = (struct codec_stream){.h1 = h};
    h->recv = h->keep_alive ? H1_RECV_IDLE : H1_RECV_BROKEN;
    h->send = H1_SEND_IDLE;
    h1_scan_reset(h);
}

void h1_send_ended(struct codec_h1 *h)
{
    h->send = H1_SEND_DONE;
    h->c.sends_to_end = false;
    if (h->recv == H1_RECV_DONE)
        exchange_ended(h);
}

/* recv is DONE; called after the last event was given, unless its callback ended the exchange. */
static void recv_ended(struct codec_h1 *h)
{
    if (!h->active || h->recv != H1_RECV_DONE)
        return;
    if (h->send == H1_SEND_DONE)
        exchange_ended(h);
    else if (!h->c.options.downstream)
        h->keep_alive = false; /* answered before the request was sent: what is left is unclear */
}

static bool fail(struct codec_h1 *h, const struct codec_error *e)
{
    h->recv = H1_RECV_BROKEN;
    h->keep_alive = false;
    h->c.cb->on_error(h->c.owner, h->stream.user, e);
    return false;
}

/* What the owner leaves of it is dropped. */
static void deliver_body(struct codec_h1 *h, struct buffer *body, bool end)
{
    if (h->stream.user && (body->len || end))
        h->c.cb->on_data(h->c.owner, h->stream.user, body, end);
    buffer_fini(body);
}

/* A TLS ClientHello, for one, is no method: no need to wait for a line end. */
static const struct codec_error *first_byte(const struct buffer *in)
{
    return h1_is_token_char(buffer_front(in).data[0]) ? NULL : &h1_error_codec;
}

/* RFC 9112 section 2.2: empty lines before a request. They have its time, and no other. */
static bool empty_lines(struct codec_h1 *h, struct buffer *in, const struct codec_error **e)
{
    char two[2];
    while (!buffer_empty(in)) {
        size_t n = buffer_copy(in, 0, two, 2);
        if (two[0] != '\r') {
            h->recv = H1_RECV_HEAD;
            *e = first_byte(in);
            return true;
        }
        if (n == 1)
            return false;
        if (two[1] != '\n') {
            *e = &h1_error_codec;
            return true;
        }
        buffer_drain(in, 2);
    }
    return false;
}

/* Returns false when it is not to begin yet. */
static bool begin(struct codec_h1 *h, struct buffer *in, const struct codec_error **e)
{
    if (h->c.out->len > H1_OUT_SOFT_MAX || h->c.begin_held)
        return false;
    h->active = true;
    h->recv = H1_RECV_HEAD;
    h->send = H1_SEND_IDLE;
    h->request_is_head = false;
    h->tunnel = TUNNEL_NONE;
    h->c.protocol = PROTOCOL_HTTP11;
    h1_scan_reset(h);
    h->stream = (struct codec_stream){.h1 = h};
    h->stream.user = h->c.cb->on_stream_begin(h->c.owner, &h->stream, &h->stream.headers);
    *e = first_byte(in);
    if (UNLIKELY(*e != NULL) && buffer_front(in).data[0] == '\r') {
        h->recv = H1_RECV_EMPTY_LINES;
        *e = NULL;
    }
    return true;
}

static const struct codec_error *request_head(struct codec_h1 *h, char *head, size_t len)
{
    const struct codec_error *e = h1_parse_request(h, head, len);
    if (!e)
        e = h1_frame_request(h);
    if (e)
        return e;
    bool end = h->recv == H1_RECV_DONE;
    h->c.cb->on_headers(h->c.owner, h->stream.user, end);
    if (end)
        recv_ended(h);
    return NULL;
}

static const struct codec_error *response_head(struct codec_h1 *h, char *head, size_t len)
{
    unsigned status = 0;
    const struct codec_error *e = h1_parse_response(h, head, len, &status);
    if (!e)
        e = h1_frame_response(h, status);
    if (e)
        return e;
    if (status < 200 && status != 101) {
        struct headers *hs = h->stream.headers;
        if (h->c.bytes)
            wire_bytes_settle(h->c.bytes); /* nobody keeps an interim head */
        h->c.cb->on_headers(h->c.owner, h->stream.user, false);
        if (h->stream.user)
            headers_init(hs, hs->arena);
        h1_scan_reset(h);
        return NULL;
    }
    bool end = h->recv == H1_RECV_DONE;
    if (!h->keep_alive && h->c.cb->on_no_more_streams)
        h->c.cb->on_no_more_streams(h->c.owner);
    if (h->stream.user)
        h->c.cb->on_headers(h->c.owner, h->stream.user, end);
    if (end)
        recv_ended(h);
    return NULL;
}

/* Can the first bytes still become a status line? No need to wait for the end of another. */
static bool may_be_response(const struct buffer *in)
{
    static const char begin[] = "HTTP/1.";
    char got[sizeof(begin) - 1];
    size_t n = in->len < sizeof(got) ? in->len : sizeof(got);
    buffer_copy(in, 0, got, n);
    return memcmp(got, begin, n) == 0;
}

/* True: the head was complete and has been dealt with, or an error is in *e. */
static bool head_input(struct codec_h1 *h, struct buffer *in, const struct codec_error **e)
{
    size_t len;
    enum h1_scan scan = h1_scan_head(h, in, &len);
    /* The same verdict, whichever way it came in pieces. */
    if (scan != H1_SCAN_FOUND && !h->c.options.downstream && !may_be_response(in)) {
        *e = &h1_error_codec;
        return true;
    }
    switch (scan) {
    case H1_SCAN_MORE:
        return false;
    case H1_SCAN_TOO_LARGE:
        *e = &h1_error_too_large;
        return true;
    case H1_SCAN_TOO_MANY:
        *e = &h1_error_too_many;
        return true;
    case H1_SCAN_FOUND:
        break;
    }
    char *head = arena_try(h->stream.headers->arena, len);
    if (!head) {
        *e = &h1_error_no_memory;
        return true;
    }
    buffer_copy(in, 0, head, len);
    buffer_drain(in, len);
    if (h->c.bytes)
        wire_bytes_add_head(h->c.bytes, bytes_from(head, len));
    *e = h->c.options.downstream ? request_head(h, head, len) : response_head(h, head, len);
    return true;
}

static inline void count_received(struct codec_h1 *h, size_t n)
{
    if (h->c.bytes)
        h->c.bytes->received += n;
}

static void length_input(struct codec_h1 *h, struct buffer *in)
{
    struct buffer part, *body = in;
    if (in->len > h->recv_left) {
        body = &part;
        buffer_init(body, in->pool);
        buffer_move_n(body, in, (size_t)h->recv_left);
    }
    h->recv_left -= body->len;
    count_received(h, body->len);
    bool end = h->recv_left == 0;
    if (end)
        h->recv = H1_RECV_DONE;
    deliver_body(h, body, end);
    if (end)
        recv_ended(h);
}

static bool chunked_input(struct codec_h1 *h, struct buffer *in, const struct codec_error **e)
{
    bool progress = false;
    struct buffer body;
    size_t before = in->len;
    buffer_init(&body, in->pool);
    *e = h1_chunked_input(h, in, &body, &progress);
    count_received(h, before - in->len);
    if (*e) {
        buffer_fini(&body);
        return true;
    }
    bool end = h->recv == H1_RECV_DONE;
    struct headers *t = h->stream.trailers;
    bool has_trailers = end && h->c.options.enable_trailers && t && t->n;
    deliver_body(h, &body, end && !has_trailers);
    if (has_trailers && h->stream.user)
        h->c.cb->on_trailers(h->c.owner, h->stream.user);
    if (end)
        recv_ended(h);
    return progress;
}

/* One step; false: wait for more bytes, or for the other direction. */
static bool step(struct codec_h1 *h, struct buffer *in, const struct codec_error **e)
{
    switch ((enum h1_recv)h->recv) {
    case H1_RECV_IDLE:
        return h->c.options.downstream && begin(h, in, e);
    case H1_RECV_EMPTY_LINES:
        return empty_lines(h, in, e);
    case H1_RECV_HEAD:
        return head_input(h, in, e);
    case H1_RECV_LENGTH:
        length_input(h, in);
        return true;
    case H1_RECV_CHUNK_SIZE:
    case H1_RECV_CHUNK_DATA:
    case H1_RECV_CHUNK_END:
    case H1_RECV_TRAILERS:
        return chunked_input(h, in, e);
    case H1_RECV_UNTIL_CLOSE:
    case H1_RECV_TUNNEL:
        count_received(h, in->len);
        deliver_body(h, in, false);
        return true;
    case H1_RECV_DONE:
    case H1_RECV_BROKEN:
        return false;
    }
    return false;
}

static bool h1_input(struct codec *c, struct buffer *in)
{
    struct codec_h1 *h = of(c);
    const struct codec_error *e = NULL;
    while (!buffer_empty(in)) {
        bool more = step(h, in, &e);
        if (e)
            return fail(h, e);
        if (!more)
            break;
    }
    if (h->recv == H1_RECV_BROKEN)
        return false;
    /* An upstream that speaks without being asked. */
    return c->options.downstream || h->active || buffer_empty(in);
}

static bool h1_input_eof(struct codec *c)
{
    struct codec_h1 *h = of(c);
    h->keep_alive = false;
    switch ((enum h1_recv)h->recv) {
    case H1_RECV_TUNNEL:
        if (c->options.downstream)
            break;
        __attribute__((fallthrough));
    case H1_RECV_UNTIL_CLOSE: {
        struct buffer body;
        buffer_init(&body, h->c.out->pool);
        h->recv = H1_RECV_DONE;
        deliver_body(h, &body, true);
        recv_ended(h);
        return false;
    }
    case H1_RECV_LENGTH:
    case H1_RECV_CHUNK_SIZE:
    case H1_RECV_CHUNK_DATA:
    case H1_RECV_CHUNK_END:
    case H1_RECV_TRAILERS:
        if (!c->options.downstream)
            return fail(h, &h1_error_codec); /* a cut response */
        break;
    case H1_RECV_IDLE:
    case H1_RECV_EMPTY_LINES:
    case H1_RECV_HEAD:
    case H1_RECV_DONE:
    case H1_RECV_BROKEN:
        break;
    }
    return false;
}

static struct codec_stream *h1_stream_new(struct codec *c, void *user, struct headers *response)
{
    struct codec_h1 *h = of(c);
    CHECK(!c->options.downstream && !h->active && h->recv == H1_RECV_IDLE);
    h->active = true;
    h->recv = H1_RECV_HEAD;
    h->send = H1_SEND_IDLE;
    h->tunnel = TUNNEL_NONE;
    h->tunnel_open = false;
    h1_scan_reset(h);
    h->stream = (struct codec_stream){.h1 = h, .user = user, .headers = response};
    return &h->stream;
}

static void h1_set_trailers(struct codec_stream *s, struct headers *trailers)
{
    s->trailers = trailers;
}

static void h1_stream_reset(struct codec_stream *s, uint32_t http2_code)
{
    struct codec_h1 *h = s->h1;
    if (!h->active)
        return;
    h->stream = (struct codec_stream){.h1 = h};
    h->active = false;
    h->keep_alive = false;
    h->upgrade = BYTES_NONE;
    h->recv = H1_RECV_BROKEN;
    h->send = H1_SEND_IDLE;
}

static bool h1_reusable(const struct codec *c)
{
    const struct codec_h1 *h = CONTAINER_OF(c, const struct codec_h1, c);
    return h->keep_alive && !h->draining;
}

static void h1_drain(struct codec *c)
{
    of(c)->draining = true;
}

static void h1_free(struct codec **c)
{
    if (!*c)
        return;
    struct codec_h1 *h = of(*c);
    mem_free(h);
    *c = NULL;
}

static const struct codec_ops h1_ops = {
    .name = "http1",
    .input = h1_input,
    .input_eof = h1_input_eof,
    .stream_new = h1_stream_new,
    .set_trailers = h1_set_trailers,
    .send_headers = h1_send_headers,
    .send_informational = h1_send_informational,
    .send_data = h1_send_data,
    .send_trailers = h1_send_trailers,
    .stream_reset = h1_stream_reset,
    .reusable = h1_reusable,
    .drain = h1_drain,
    .free = h1_free,
};

struct codec *codec_h1_new(const struct codec_options *options, const struct codec_callbacks *cb,
                           void *owner, struct buffer *out)
{
    struct codec_h1 *h = NEW(struct codec_h1);
    h->c.ops = &h1_ops;
    h->c.cb = cb;
    h->c.owner = owner;
    h->c.out = out;
    codec_set_options(&h->c, options);
    h->c.protocol = PROTOCOL_HTTP11;
    h->keep_alive = true;
    h->stream.h1 = h;
    return &h->c;
}
