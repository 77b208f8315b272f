#include <stdio.h>

#include "dataplane/http/codec_h1_internal.h"
#include "dataplane/http/http_reason.h"

/* A head is written straight into the tail chunk of the output when it fits there, so that head and
 * body leave in one writev; otherwise piece by piece. */
struct head_writer {
    struct buffer *out;
    char *start, *p; /* NULL: piece by piece */
};

static void writer_begin(struct head_writer *w, struct buffer *out, size_t bound)
{
    size_t room = 0;
    char *space = buffer_reserve(out, &room);
    *w = (struct head_writer){.out = out};
    if (space && room >= bound)
        w->start = w->p = space;
    else if (space)
        buffer_commit(out, 0);
}

/* Most of what a head is made of is short: a call would take longer than the copying. Eight bytes
 * at a time, some of them twice. Or'ed to *odd is what h1_odd_bytes() says of them. */
static inline void copy_8(char *to, const char *from, uint64_t *odd)
{
    uint64_t x = h1_load_8(from);
    *odd |= h1_odd_bytes(x, ' ');
    memcpy(to, &x, 8);
}

static inline char *copy_few(char *to, struct bytes b, uint64_t *odd)
{
    if (b.len >= 4) {
        char eight[8];
        memcpy(eight, b.data, 4);
        memcpy(eight + 4, b.data + b.len - 4, 4);
        *odd |= h1_odd_bytes(h1_load_8(eight), ' ');
        memcpy(to, eight, 4);
        memcpy(to + b.len - 4, eight + 4, 4);
        return to + b.len;
    }
    for (size_t i = 0; i < b.len; i++) {
        *odd |= (unsigned char)b.data[i] < ' ' || b.data[i] == 0x7f;
        to[i] = b.data[i];
    }
    return to + b.len;
}

/* Returns what follows. */
static inline char *copy_short(char *to, struct bytes b, uint64_t *odd)
{
    if (b.len < 8)
        return copy_few(to, b, odd);
    char *end = to + b.len;
    const char *from = b.data, *last = b.data + b.len - 8;
    for (; from < last; from += 8, to += 8)
        copy_8(to, from, odd);
    copy_8(end - 8, last, odd);
    return end;
}

static inline void put(struct head_writer *w, struct bytes b)
{
    if (!w->p) {
        buffer_add_bytes(w->out, b);
    } else if (b.len) {
        memcpy(w->p, b.data, b.len);
        w->p += b.len;
    }
}

static void writer_end(struct head_writer *w)
{
    put(w, BYTES("\r\n"));
    if (w->p)
        buffer_commit(w->out, (size_t)(w->p - w->start));
}

/* The last guard: whatever a filter or a format put into a value, it cannot end the line. */
static void put_value(struct head_writer *w, struct bytes value)
{
    if (LIKELY(h1_value_ok(value))) {
        put(w, value);
        return;
    }
    for (size_t i = 0; i < value.len; i++) {
        struct bytes one = bytes_from(value.data + i, 1);
        put(w, h1_value_ok(one) ? one : BYTES(" "));
    }
}

static NOINLINE void put_field_slowly(struct head_writer *w, struct bytes name, struct bytes value)
{
    put(w, name);
    put(w, BYTES(": "));
    put_value(w, value);
    put(w, BYTES("\r\n"));
}

static inline void put_field(struct head_writer *w, struct bytes name, struct bytes value)
{
    uint64_t odd = 0, any = 0;
    if (UNLIKELY(!w->p)) {
        put_field_slowly(w, name, value);
        return;
    }
    char *p = copy_short(w->p, name, &any);
    *p++ = ':';
    *p++ = ' ';
    p = copy_short(p, value, &odd);
    *p++ = '\r';
    *p++ = '\n';
    if (UNLIKELY(odd))
        put_field_slowly(w, name, value); /* over it */
    else
        w->p = p;
}

static size_t head_bound(const struct headers *h)
{
    return h->byte_size + 4 * (size_t)h->n + 256;
}

/* Not written, or not always: framing is the codec's. */
static bool is_left_out(const struct headers *h, const struct header *e, bool *no_length)
{
    switch ((int)e->id) {
    case HEADER_CONTENT_LENGTH:
        if (*no_length)
            return true;
        *no_length = true; /* the first, which frames the body, and no second opinion */
        return false;
    case HEADER_HOST:
        return headers_has(h, HEADER_AUTHORITY);
    case HEADER_TRANSFER_ENCODING:
        return true;
    default:
        return header_is_pseudo(e->id);
    }
}

static void put_fields(struct head_writer *w, const struct headers *h, bool no_length)
{
    enum { LAST_SPECIAL = HEADER_TRANSFER_ENCODING };
    for (const struct header *e = h->entries, *end = headers_end(h); e < end; e++) {
        if (e->id != HEADER_OTHER && e->id <= LAST_SPECIAL && is_left_out(h, e, &no_length))
            continue;
        put_field(w, e->name, e->value);
    }
}

_Static_assert(HEADER_CONTENT_LENGTH < HEADER_TRANSFER_ENCODING &&
                   HEADER_HOST < HEADER_TRANSFER_ENCODING &&
                   HEADER_STATUS < HEADER_TRANSFER_ENCODING,
               "put_fields()");

static bool length_of(const struct headers *h, uint64_t *length)
{
    struct bytes v = headers_get(h, HEADER_CONTENT_LENGTH);
    return v.data && bytes_to_u64(v, length);
}

static void put_chunked(struct head_writer *w)
{
    put(w, BYTES("transfer-encoding: chunked\r\n"));
}

static bool bodiless_method(struct bytes m)
{
    return bytes_eq(m, BYTES("GET")) || bytes_eq(m, BYTES("HEAD")) ||
           bytes_eq(m, BYTES("DELETE")) || bytes_eq(m, BYTES("TRACE")) ||
           bytes_eq(m, BYTES("CONNECT"));
}

static bool target_ok(struct bytes t)
{
    size_t i = 0;
    while (i + 8 <= t.len && !h1_odd_bytes(h1_load_8(t.data + i), '!'))
        i += 8;
    for (; i < t.len; i++) {
        if ((unsigned char)t.data[i] <= ' ' || t.data[i] == 0x7f)
            return false;
    }
    return true;
}

/* A rewrite may have put a space or worse into the path: the line would read as another one. */
static struct bytes request_target(const struct headers *h)
{
    static const char digits[] = "0123456789ABCDEF";
    struct bytes t = headers_get(h, HEADER_PATH);
    if (!t.data)
        t = headers_get(h, HEADER_AUTHORITY);
    if (LIKELY(target_ok(t)))
        return t;
    char *out = arena_alloc(h->arena, 3 * t.len), *p = out;
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.data[i];
        *p++ = (char)c;
        if (c <= ' ' || c == 0x7f) {
            p[-1] = '%';
            *p++ = digits[c >> 4];
            *p++ = digits[c & 15];
        }
    }
    return bytes_from(out, (size_t)(p - out));
}

/* Returns how long its first line is. */
static size_t send_request(struct codec_h1 *c, const struct headers *h, bool end)
{
    struct head_writer w;
    struct bytes method = headers_get(h, HEADER_METHOD);
    struct bytes target = request_target(h);
    c->request_is_head = bytes_eq(method, BYTES("HEAD"));
    c->tunnel = tunnel_asked(h);
    c->upgrade = tunnel_type(c->tunnel, h);
    writer_begin(&w, c->c.out, head_bound(h) + target.len);
    put(&w, method);
    put(&w, BYTES(" "));
    put(&w, target);
    put(&w, BYTES(" HTTP/1.1\r\n"));
    if (headers_has(h, HEADER_AUTHORITY))
        put_field(&w, BYTES("host"), headers_get(h, HEADER_AUTHORITY));
    bool has_length = c->tunnel == TUNNEL_NONE && length_of(h, &c->send_left);
    put_fields(&w, h, !has_length);
    if (c->tunnel != TUNNEL_NONE) {
        c->send = H1_SEND_TUNNEL;
    } else if (has_length) {
        c->send = H1_SEND_LENGTH;
    } else if (end) {
        c->send = H1_SEND_NONE;
        if (!bodiless_method(method))
            put(&w, BYTES("content-length: 0\r\n"));
    } else {
        c->send = H1_SEND_CHUNKED;
        put_chunked(&w);
    }
    writer_end(&w);
    return method.len + target.len + strlen("  HTTP/1.1\r\n");
}

static void choose_response_body(struct codec_h1 *c, struct head_writer *w, unsigned status,
                                 bool has_length, bool end)
{
    c->send = H1_SEND_NONE;
    if (status == 204 || status == 304)
        return;
    if (c->request_is_head) {
        if (!has_length && c->c.protocol != PROTOCOL_HTTP10)
            put_chunked(w);
    } else if (has_length) {
        c->send = H1_SEND_LENGTH;
    } else if (end) {
        put(w, BYTES("content-length: 0\r\n"));
    } else if (c->c.protocol == PROTOCOL_HTTP10) {
        c->send = H1_SEND_CLOSE;
        c->c.sends_to_end = true;
    } else {
        c->send = H1_SEND_CHUNKED;
        put_chunked(w);
    }
}

static unsigned status_of(const struct headers *h)
{
    unsigned status = headers_status(h);
    return status ? status : 500;
}

/* Returns its length. */
static size_t put_status_line(struct head_writer *w, bool http_10, unsigned status)
{
    char line[64];
    int n = snprintf(line, sizeof(line), "HTTP/1.%c %u %s\r\n", http_10 ? '0' : '1', status,
                     http_reason(status));
    put(w, bytes_from(line, (size_t)n));
    return (size_t)n;
}

/* Returns how long its first line is. */
static size_t send_response(struct codec_h1 *c, const struct headers *h, bool end)
{
    size_t line = strlen("HTTP/1.1 200 OK\r\n");
    struct head_writer w;
    unsigned status = status_of(h);
    bool http_10 = c->c.protocol == PROTOCOL_HTTP10;
    bool has_length = length_of(h, &c->send_left);
    if (http_10 && !has_length && !end)
        c->keep_alive = false;
    if (c->draining || h1_has_token(headers_get(h, HEADER_CONNECTION), BYTES("close")))
        c->keep_alive = false;
    bool opened = c->recv == H1_RECV_TUNNEL && tunnel_opened(c->tunnel, status);
    writer_begin(&w, c->c.out, head_bound(h));
    if (status == 200 && !http_10)
        put(&w, BYTES("HTTP/1.1 200 OK\r\n"));
    else
        line = put_status_line(&w, http_10, status);
    put_fields(&w, h, !has_length || status == 204 || opened);
    if (!opened && !headers_has(h, HEADER_CONNECTION)) {
        if (!c->keep_alive)
            put(&w, BYTES("connection: close\r\n"));
        else if (http_10)
            put(&w, BYTES("connection: keep-alive\r\n"));
    }
    if (opened)
        c->send = H1_SEND_TUNNEL;
    else
        choose_response_body(c, &w, status, has_length, end);
    writer_end(&w);
    return line;
}

/* All that was sent but for `no_fields` bytes of it was fields. */
static inline void count_fields(struct codec_h1 *c, size_t before, size_t no_fields)
{
    struct wire_bytes *w = c->c.bytes;
    size_t n = c->c.out->len - before;
    if (!w)
        return;
    w->sent += n;
    w->fields_sent += n - no_fields;
}

static const size_t last_line = 2;

void h1_send_headers(struct codec_stream *s, const struct headers *h, bool end)
{
    struct codec_h1 *c = s->h1;
    size_t before = c->c.out->len;
    CHECK(c->active && c->send == H1_SEND_IDLE);
    size_t line = c->c.options.downstream ? send_response(c, h, end) : send_request(c, h, end);
    count_fields(c, before, line + last_line);
    if (end) {
        if (c->send == H1_SEND_LENGTH && c->send_left)
            c->keep_alive = false;
        h1_send_ended(c);
    }
}

void h1_send_informational(struct codec_stream *s, const struct headers *h)
{
    struct codec_h1 *c = s->h1;
    if (!c->active || c->send != H1_SEND_IDLE || c->c.protocol == PROTOCOL_HTTP10)
        return;
    struct head_writer w;
    size_t before = c->c.out->len;
    writer_begin(&w, c->c.out, head_bound(h));
    size_t line = put_status_line(&w, false, status_of(h));
    put_fields(&w, h, true);
    writer_end(&w);
    count_fields(c, before, line + last_line);
}

static void send_chunk(struct buffer *out, struct buffer *data)
{
    static const char digits[] = "0123456789abcdef";
    char line[18];
    size_t at = sizeof(line);
    line[--at] = '\n';
    line[--at] = '\r';
    for (size_t n = data->len; n; n >>= 4)
        line[--at] = digits[n & 15];
    buffer_add(out, line + at, sizeof(line) - at);
    buffer_move(out, data);
    buffer_add(out, "\r\n", 2);
}

void h1_send_data(struct codec_stream *s, struct buffer *data, bool end)
{
    struct codec_h1 *c = s->h1;
    struct buffer *out = c->c.out;
    size_t before = out->len;
    CHECK(c->active && c->send != H1_SEND_IDLE);
    switch (c->send) {
    case H1_SEND_LENGTH: {
        /* More than declared would be read as the next message; less leaves the peer waiting. */
        size_t n = data->len < c->send_left ? data->len : (size_t)c->send_left;
        if (n < data->len)
            c->keep_alive = false;
        buffer_move_n(out, data, n);
        c->send_left -= n;
        if (end && c->send_left)
            c->keep_alive = false;
        break;
    }
    case H1_SEND_CHUNKED:
        if (data->len)
            send_chunk(out, data);
        if (end)
            buffer_add(out, "0\r\n\r\n", 5);
        break;
    case H1_SEND_TUNNEL: /* early bytes are not to be read as a request by who refuses it */
        CHECK(c->c.options.downstream || c->tunnel_open);
        buffer_move(out, data);
        break;
    case H1_SEND_CLOSE:
        buffer_move(out, data);
        break;
    case H1_SEND_NONE:
    case H1_SEND_DONE:
    case H1_SEND_IDLE:
        break;
    }
    buffer_drain(data, data->len);
    if (c->c.bytes)
        c->c.bytes->sent += out->len - before;
    if (end)
        h1_send_ended(c);
}

void h1_send_trailers(struct codec_stream *s, const struct headers *h)
{
    struct codec_h1 *c = s->h1;
    CHECK(c->active && c->send != H1_SEND_IDLE);
    if (c->send == H1_SEND_CHUNKED) {
        struct head_writer w;
        size_t before = c->c.out->len;
        buffer_add(c->c.out, "0\r\n", 3);
        writer_begin(&w, c->c.out, head_bound(h));
        if (c->c.options.enable_trailers)
            put_fields(&w, h, true);
        writer_end(&w);
        count_fields(c, before, 3 + last_line);
    } else if (c->send == H1_SEND_LENGTH && c->send_left) {
        c->keep_alive = false;
    }
    h1_send_ended(c);
}
