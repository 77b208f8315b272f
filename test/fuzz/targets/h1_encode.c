/* Heads as routes, filters and formats may leave them, any bytes in their values: what is written
 * is one message and no more for a reader of the other side, and its fields are what they were, but
 * for bytes that no field can have.
 *
 *     options, which side, target or status, fields (which, length, value)..., body (pieces) */
#include "../h1_reader.h"

enum { FIELDS_MAX = 12, LONG = 300, TRAILERS = 3 };

static const char *const names[] = {"x-a",    "x-b",   "content-length", "transfer-encoding",
                                    "cookie", "date",  "connection",     "host",
                                    "server", "x-ab-", "expect",         "te"};

struct wanted {
    struct bytes name, value;
};

struct sending {
    struct fuzz_in in;
    struct arena *arena;
    struct chunk_pool *chunks; /* the codec's */
    uint8_t options;
    struct wanted fields[FIELDS_MAX];
    unsigned n;
    bool refusable; /* there is something that a reader may refuse */
};

/* As a reader finds it: a space for what ends a line, none at the ends. */
static struct bytes as_read(struct arena *a, struct bytes value)
{
    struct bytes copy = arena_dup(a, value);
    for (size_t i = 0; i < copy.len; i++) {
        unsigned char c = (unsigned char)copy.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            ((char *)(uintptr_t)copy.data)[i] = ' ';
    }
    return bytes_trim(copy);
}

static struct bytes repeated(struct arena *a, struct bytes value)
{
    char *out = arena_alloc(a, value.len * LONG + 1);
    for (unsigned i = 0; value.len && i < LONG; i++)
        memcpy(out + i * value.len, value.data, value.len);
    return bytes_from(out, value.len * LONG);
}

static void add_fields(struct sending *s, struct headers *h, unsigned max, bool head)
{
    for (unsigned i = fuzz_below(&s->in, max); i > 0 && s->in.rest.len; i--) {
        uint8_t which = fuzz_u8(&s->in);
        struct bytes name = bytes_of(names[which % ARRAY_SIZE(names)]);
        struct bytes value = arena_dup(s->arena, fuzz_take(&s->in, fuzz_u8(&s->in)));
        if (which >= 0xf0 && head) /* more than a chunk holds */
            value = repeated(s->arena, value);
        headers_add(h, name, value);
        s->refusable |= name.data[0] != 'x' && !bytes_eq_str(name, "cookie") &&
                        !bytes_eq_str(name, "date") && !bytes_eq_str(name, "server");
        if (head && name.data[0] == 'x' && s->n < FIELDS_MAX)
            s->fields[s->n++] = (struct wanted){name, as_read(s->arena, value)};
    }
}

static void send_body(struct sending *s, struct codec *c, struct codec_stream *stream)
{
    bool trailers = s->options & 4;
    while (s->in.rest.len > TRAILERS * 8 || (s->in.rest.len && !trailers)) {
        struct buffer data;
        struct bytes piece = fuzz_take(&s->in, fuzz_u8(&s->in));
        buffer_init(&data, s->chunks);
        buffer_add_bytes(&data, piece);
        c->ops->send_data(stream, &data, false);
        buffer_fini(&data);
    }
    struct buffer none;
    struct headers h;
    buffer_init(&none, s->chunks);
    headers_init(&h, s->arena);
    add_fields(s, &h, TRAILERS, false);
    if (trailers)
        c->ops->send_trailers(stream, &h);
    else
        c->ops->send_data(stream, &none, true);
    buffer_fini(&none);
}

static void send_head(struct sending *s, struct codec *c, struct codec_stream *stream,
                      struct headers *h)
{
    bool end = s->options & 1;
    add_fields(s, h, FIELDS_MAX, true);
    c->ops->send_headers(stream, h, end);
    if (!end)
        send_body(s, c, stream);
}

/* What the reader of the other side makes of it. */
static void check_read(struct sending *s, struct buffer *out, bool downstream, const char *method,
                       unsigned interim)
{
    const struct codec_options o = {
        .downstream = downstream,
        .max_headers_bytes = 1024 * 1024,
        .max_headers_count = 200,
        .enable_trailers = true,
        .allow_custom_methods = true,
    };
    struct h1_reader r;
    char *text = arena_alloc(s->arena, out->len + 1);
    size_t len = buffer_copy(out, 0, text, out->len);
    h1_reader_init(&r, &o, method);
    h1_reader_feed(&r, bytes_from(text, len), BYTES_NONE, false);
    FUZZ_CHECK(r.n <= 1 + interim, "%u messages in: %.*s", r.n, (int)len, text);
    FUZZ_CHECK(!r.error || s->refusable, "%s: %.*s", r.error->message, (int)len, text);
    if (!r.error) {
        FUZZ_CHECK(r.left == 0, "%zu bytes are left of: %.*s", r.left, (int)len, text);
        FUZZ_CHECK(r.messages[0].has_head, "no head in: %.*s", (int)len, text);
        unsigned at = 0;
        const struct headers *h = &r.messages[0].head;
        for (uint32_t i = 0; i < h->n; i++) {
            const struct header *e = &h->entries[i];
            if (e->name.data[0] != 'x')
                continue;
            FUZZ_CHECK(at < s->n && bytes_eq(e->name, s->fields[at].name), "another field");
            fuzz_same("a value", s->fields[at++].value, e->value);
        }
        FUZZ_CHECK(at == s->n, "%u fields of %u", at, s->n);
    }
    h1_reader_fini(&r);
}

static void send_request(struct sending *s, struct buffer *out)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "X"};
    static const struct codec_callbacks none;
    const struct codec_options o = {.enable_trailers = s->options & 8};
    struct codec *c = codec_h1_new(&o, &none, NULL, out);
    struct codec_stream *stream = c->ops->stream_new(c, NULL, NULL);
    struct bytes rest = fuzz_take(&s->in, fuzz_u8(&s->in) % 32);
    struct headers h;
    for (size_t i = 0; i < rest.len; i++)
        s->refusable |= rest.data[i] == '#' || (unsigned char)rest.data[i] >= 0x80;
    headers_init(&h, s->arena);
    headers_add_id(&h, HEADER_METHOD, bytes_of(methods[s->options >> 6]));
    headers_add_id(&h, HEADER_PATH, bytes_of(arena_printf(s->arena, "/%.*s", BYTES_ARG(rest))));
    headers_add_id(&h, HEADER_AUTHORITY, BYTES("a.test"));
    send_head(s, c, stream, &h);
    check_read(s, out, true, NULL, 0);
    c->ops->free(&c);
}

static void send_response(struct sending *s)
{
    static const char *const asked[] = {
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n"};
    static const uint16_t statuses[] = {200, 204, 304, 404, 500, 299, 599, 201};
    struct headers h;
    struct h1_reader r;
    unsigned which = s->options >> 6;
    const struct codec_options o = {.downstream = true,
                                    .max_headers_bytes = 8192,
                                    .max_headers_count = 100,
                                    .accept_http_10 = true,
                                    .enable_trailers = s->options & 8};
    h1_reader_init(&r, &o, NULL);
    h1_reader_feed(&r, bytes_of(asked[which]), BYTES_NONE, false);
    struct codec_stream *stream = r.stream;
    s->chunks = r.chunks;
    headers_init(&h, s->arena);
    if (s->options & 2) {
        headers_add_id(&h, HEADER_STATUS, BYTES("103"));
        headers_add(&h, BYTES("link"), arena_dup(s->arena, fuzz_take(&s->in, 9)));
        r.codec->ops->send_informational(stream, &h);
        headers_init(&h, s->arena);
    }
    unsigned status = statuses[fuzz_below(&s->in, ARRAY_SIZE(statuses))];
    headers_add_id(&h, HEADER_STATUS, bytes_of(arena_printf(s->arena, "%u", status)));
    send_head(s, r.codec, stream, &h);
    check_read(s, &r.out, false, which == 1 ? "HEAD" : "GET", s->options >> 1 & 1);
    h1_reader_fini(&r);
}

static void run(struct bytes input)
{
    struct sending s = {.in = {input}};
    struct chunk_pool *chunks = chunk_pool_new(NULL, 0);
    struct buffer out;
    s.arena = arena_new(0);
    s.chunks = chunks;
    s.options = fuzz_u8(&s.in);
    buffer_init(&out, chunks);
    if (fuzz_bool(&s.in))
        send_request(&s, &out);
    else
        send_response(&s);
    buffer_fini(&out);
    chunk_pool_free(&chunks);
    arena_free(&s.arena);
}

const struct fuzz_target fuzz_target = {.run = run};
