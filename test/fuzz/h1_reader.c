#include "h1_reader.h"

/* The one being received: the last, or upstream the first (1xx follow it). */
static struct h1_message *message(struct h1_reader *r)
{
    return &r->messages[r->codec->options.downstream ? r->n - 1 : 0];
}

static struct h1_message *new_message(struct h1_reader *r)
{
    FUZZ_CHECK(r->n < H1_MESSAGES_MAX, "too many messages");
    struct h1_message *m = &r->messages[r->n++];
    headers_init(&m->head, r->arena);
    headers_init(&m->trailers, r->arena);
    return m;
}

static void *on_stream_begin(void *owner, struct codec_stream *s, struct headers **headers)
{
    struct h1_reader *r = owner;
    struct h1_message *m = new_message(r);
    r->stream = s;
    *headers = &m->head;
    r->codec->ops->set_trailers(s, &m->trailers);
    return r;
}

/* More requests than there is room for stay unanswered, so no further one begins. */
static void ended(struct h1_reader *r)
{
    struct h1_message *m = message(r);
    FUZZ_CHECK(!m->ended, "a message ended twice");
    m->ended = true;
    if (!r->answer || r->n == H1_MESSAGES_MAX)
        return;
    if (r->tunnel) { /* its other half ends too */
        struct buffer none;
        buffer_init(&none, r->chunks);
        r->codec->ops->send_data(r->stream, &none, true);
        buffer_fini(&none);
        return;
    }
    struct headers h;
    headers_init(&h, r->arena);
    headers_add_id(&h, HEADER_STATUS, BYTES("200"));
    r->codec->ops->send_headers(r->stream, &h, true);
}

/* As the connection manager: a tunnel without a body opens as soon as it is asked for. */
static void open_tunnel(struct h1_reader *r, const struct headers *asked)
{
    enum tunnel t = tunnel_asked(asked);
    struct headers h;
    if (!r->answer || t == TUNNEL_NONE || headers_has(asked, HEADER_CONTENT_LENGTH) ||
        headers_has(asked, HEADER_TRANSFER_ENCODING))
        return;
    headers_init(&h, r->arena);
    headers_add_id(&h, HEADER_STATUS, t == TUNNEL_UPGRADE ? BYTES("101") : BYTES("200"));
    if (t == TUNNEL_UPGRADE) {
        headers_add_id(&h, HEADER_CONNECTION, BYTES("upgrade"));
        headers_add_id(&h, HEADER_UPGRADE, tunnel_type(t, asked));
    }
    r->tunnel = true;
    r->codec->ops->send_headers(r->stream, &h, false);
}

static void on_headers(void *owner, void *user UNUSED, bool end)
{
    struct h1_reader *r = owner;
    struct h1_message *m = message(r);
    FUZZ_CHECK(!m->has_head || !r->codec->options.downstream, "a second head");
    m->protocol = r->codec->protocol;
    m->has_head = true;
    if (end) {
        ended(r);
        return;
    }
    if (r->codec->options.downstream)
        open_tunnel(r, &m->head);
    /* 1xx: the codec empties the list for the next head; a copy is kept behind the final one. */
    struct bytes status = headers_get(&m->head, HEADER_STATUS);
    if (!r->codec->options.downstream && status.len && status.data[0] == '1' &&
        !bytes_eq(status, BYTES("101"))) {
        if (r->n < H1_MESSAGES_MAX)
            r->messages[r->n++] = *m;
        m->has_head = false;
    }
}

static void on_data(void *owner, void *user UNUSED, struct buffer *data, bool end)
{
    struct h1_reader *r = owner;
    struct h1_message *m = message(r);
    FUZZ_CHECK(m->has_head && !m->ended, "a body out of turn");
    for (const struct slice *s = data->head; s; s = s->next)
        strbuf_add(&m->body, s->data, s->len);
    if (end)
        ended(r);
}

static void on_trailers(void *owner, void *user UNUSED)
{
    struct h1_reader *r = owner;
    FUZZ_CHECK(message(r)->has_head, "trailers out of turn");
    ended(r);
}

static void on_reset(void *owner, void *user UNUSED, const char *reason UNUSED)
{
    ((struct h1_reader *)owner)->resets++;
}

static void on_error(void *owner, void *user UNUSED, const struct codec_error *e)
{
    struct h1_reader *r = owner;
    FUZZ_CHECK(!r->error, "a second error: %s", e->message);
    r->error = e;
}

static const struct codec_callbacks callbacks = {
    .on_stream_begin = on_stream_begin,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_error = on_error,
};

static void send_request(struct h1_reader *r, const char *method)
{
    struct headers h;
    struct h1_message *m = new_message(r);
    r->stream = r->codec->ops->stream_new(r->codec, r, &m->head);
    r->codec->ops->set_trailers(r->stream, &m->trailers);
    headers_init(&h, r->arena);
    bool upgrade = method && strcmp(method, "UPGRADE") == 0;
    headers_add_id(&h, HEADER_METHOD, bytes_of(method && !upgrade ? method : "GET"));
    headers_add_id(&h, HEADER_PATH, BYTES("/"));
    if (upgrade) {
        headers_add_id(&h, HEADER_CONNECTION, BYTES("upgrade"));
        headers_add_id(&h, HEADER_UPGRADE, BYTES("a"));
    }
    r->codec->ops->send_headers(r->stream, &h, tunnel_asked(&h) == TUNNEL_NONE);
}

void h1_reader_init(struct h1_reader *r, const struct codec_options *o, const char *method)
{
    memset(r, 0, sizeof(*r));
    r->chunks = chunk_pool_new(NULL, 0);
    r->arena = arena_new(0);
    buffer_init(&r->in, r->chunks);
    buffer_init(&r->out, r->chunks);
    r->codec = codec_h1_new(o, &callbacks, r, &r->out);
    if (!o->downstream)
        send_request(r, method);
}

void h1_reader_fini(struct h1_reader *r)
{
    for (unsigned i = 0; i < r->n; i++)
        strbuf_fini(&r->messages[i].body);
    r->codec->ops->free(&r->codec);
    buffer_fini(&r->in);
    buffer_fini(&r->out);
    FUZZ_CHECK(r->chunks->live_chunks == 0, "%zu chunks leaked", r->chunks->live_chunks);
    chunk_pool_free(&r->chunks);
    arena_free(&r->arena);
}

void h1_reader_feed(struct h1_reader *r, struct bytes input, struct bytes cuts, bool eof)
{
    struct fuzz_in in = {cuts};
    bool more = true;
    while (more && input.len) {
        size_t n = in.rest.len ? 1 + (size_t)fuzz_u8(&in) % 40 : input.len;
        struct bytes part = bytes_first(input, n);
        buffer_add_bytes(&r->in, part);
        input = bytes_skip(input, part.len);
        more = r->codec->ops->input(r->codec, &r->in);
    }
    r->left = r->in.len + input.len;
    if (eof && !r->error)
        r->codec->ops->input_eof(r->codec);
}

struct codec_options h1_options(bool downstream, uint8_t bits)
{
    struct codec_options o = {
        .downstream = downstream,
        .max_headers_bytes = bits & 1 ? 256 : 8192,
        .max_headers_count = bits & 1 ? 8 : 100,
        .accept_http_10 = bits & 2,
        .enable_trailers = !(bits & 4),
        .allow_chunked_length = bits & 8,
        .allow_absolute_url = !(bits & 16),
        .allow_custom_methods = bits & 32,
    };
    if (bits & 64)
        o.underscores = bits & 128 ? CODEC_UNDERSCORES_REJECT : CODEC_UNDERSCORES_DROP;
    if (bits & 2 && bits & 128)
        o.default_host_for_http_10 = "default.test";
    return o;
}

static void put_headers(const struct headers *h, struct strbuf *out)
{
    for (uint32_t i = 0; i < h->n; i++) {
        const struct header *e = &h->entries[i];
        if (e->id == HEADER_CONTENT_LENGTH || e->id == HEADER_TRANSFER_ENCODING ||
            e->id == HEADER_CONNECTION || e->id == HEADER_SCHEME)
            continue;
        strbuf_printf(out, "%.*s: %.*s\n", BYTES_ARG(e->name), BYTES_ARG(e->value));
    }
}

void h1_message_text(const struct h1_message *m, struct strbuf *out)
{
    put_headers(&m->head, out);
    strbuf_printf(out, "body (%zu): ", m->body.len);
    strbuf_add_bytes(out, strbuf_bytes(&m->body));
    strbuf_add_str(out, m->ended ? "\nend\n" : "\n");
    put_headers(&m->trailers, out);
}

static void same_message(const struct h1_message *a, const struct h1_message *b, bool whole)
{
    struct strbuf one = STRBUF_INIT, other = STRBUF_INIT;
    FUZZ_CHECK(a->has_head == b->has_head && a->ended == b->ended, "one is further");
    if (whole) {
        h1_message_text(a, &one);
        h1_message_text(b, &other);
        FUZZ_CHECK(a->protocol == b->protocol, "the protocol differs");
    } else {
        put_headers(&a->head, &one);
        put_headers(&b->head, &other);
        size_t n = a->body.len < b->body.len ? a->body.len : b->body.len;
        fuzz_same("body", bytes_first(strbuf_bytes(&a->body), n),
                  bytes_first(strbuf_bytes(&b->body), n));
    }
    fuzz_same("message", strbuf_bytes(&one), strbuf_bytes(&other));
    strbuf_fini(&one);
    strbuf_fini(&other);
}

void h1_reader_same(const struct h1_reader *a, const struct h1_reader *b)
{
    FUZZ_CHECK(a->error == b->error, "errors differ: %s, %s", a->error ? a->error->message : "none",
               b->error ? b->error->message : "none");
    FUZZ_CHECK(a->n == b->n, "%u messages, %u messages", a->n, b->n);
    FUZZ_CHECK(a->resets == b->resets, "resets differ");
    FUZZ_CHECK(a->out.len == b->out.len, "answers differ");
    /* After an error, body bytes before it may have come or not; nothing else may differ. A head
     * that was refused may be half read. */
    bool downstream = a->codec->options.downstream;
    for (unsigned i = 0; i < a->n; i++) {
        bool broken = a->error && i == (downstream ? a->n - 1 : 0);
        if (broken && !a->messages[i].has_head)
            FUZZ_CHECK(!b->messages[i].has_head, "a head was accepted");
        else
            same_message(&a->messages[i], &b->messages[i], !broken);
    }
}
