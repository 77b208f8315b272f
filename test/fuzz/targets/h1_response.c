/* Responses: however the bytes are cut, the events are the same; what was read and is sent on to a
 * client is read again as the same response.
 *
 *     options, method, number of cuts, cuts..., bytes */
#include "../h1_reader.h"

static const char *const methods[] = {"GET", "HEAD", "POST", "CONNECT", "UPGRADE"};
enum { FIRST_TUNNEL = 3 };

/* A server that answers one request with the message. */
struct server {
    const struct h1_reader *from;
    struct headers request;
    struct codec *codec;
    struct codec_stream *stream;
};

static void *on_stream_begin(void *owner, struct codec_stream *s, struct headers **headers)
{
    struct server *v = owner;
    headers_init(&v->request, v->from->arena);
    *headers = &v->request;
    v->stream = s;
    return v;
}

static void on_headers(void *owner, void *user UNUSED, bool end)
{
    struct server *v = owner;
    const struct h1_message *m = &v->from->messages[0];
    for (unsigned i = 1; i < v->from->n; i++)
        v->codec->ops->send_informational(v->stream, &v->from->messages[i].head);
    bool no_body = !m->body.len && !m->trailers.n;
    v->codec->ops->send_headers(v->stream, &m->head, no_body);
    if (m->body.len) {
        struct buffer body;
        buffer_init(&body, v->from->chunks);
        buffer_add(&body, m->body.data, m->body.len);
        v->codec->ops->send_data(v->stream, &body, !m->trailers.n);
        buffer_fini(&body);
    }
    if (m->trailers.n)
        v->codec->ops->send_trailers(v->stream, &m->trailers);
}

static void on_error(void *owner UNUSED, void *user UNUSED, const struct codec_error *e)
{
    FUZZ_CHECK(false, "the request is good: %s", e->message);
}

static void serve(struct h1_reader *r, const char *method, struct buffer *out)
{
    static const struct codec_callbacks callbacks = {
        .on_stream_begin = on_stream_begin, .on_headers = on_headers, .on_error = on_error};
    struct codec_options o = h1_options(true, 0);
    struct server v = {.from = r};
    struct buffer in;
    buffer_init(&in, r->chunks);
    v.codec = codec_h1_new(&o, &callbacks, &v, out);
    buffer_printf(&in, "%s / HTTP/1.1\r\nhost: a\r\n\r\n", method);
    v.codec->ops->input(v.codec, &in);
    v.codec->ops->free(&v.codec);
    buffer_fini(&in);
}

static void check_sent_on(struct h1_reader *r, const char *method)
{
    struct h1_reader again;
    struct buffer out;
    struct codec_options o = h1_options(false, 0);
    o.max_headers_bytes = 64 * 1024;
    o.max_headers_count = 200;
    buffer_init(&out, r->chunks);
    serve(r, method, &out);
    char *text = arena_alloc(r->arena, out.len);
    size_t len = buffer_copy(&out, 0, text, out.len);
    h1_reader_init(&again, &o, method);
    h1_reader_feed(&again, bytes_from(text, len), BYTES_NONE, false);
    FUZZ_CHECK(!again.error, "%s: %.*s", again.error->message, (int)len, text);
    FUZZ_CHECK(again.n == r->n, "%u messages in: %.*s", again.n, (int)len, text);
    FUZZ_CHECK(again.left == 0, "%zu bytes are left of: %.*s", again.left, (int)len, text);
    for (unsigned i = 0; i < r->n; i++) {
        struct strbuf one = STRBUF_INIT, other = STRBUF_INIT;
        h1_message_text(&r->messages[i], &one);
        h1_message_text(&again.messages[i], &other);
        fuzz_same("the response sent on", strbuf_bytes(&one), strbuf_bytes(&other));
        strbuf_fini(&one);
        strbuf_fini(&other);
    }
    h1_reader_fini(&again);
    buffer_fini(&out);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct codec_options o = h1_options(false, fuzz_u8(&in));
    unsigned at = (unsigned)fuzz_below(&in, ARRAY_SIZE(methods));
    const char *method = methods[at];
    struct bytes cuts = fuzz_take(&in, fuzz_below(&in, 32));
    struct h1_reader whole, pieces;
    h1_reader_init(&whole, &o, method);
    h1_reader_init(&pieces, &o, method);
    h1_reader_feed(&whole, in.rest, BYTES_NONE, true);
    h1_reader_feed(&pieces, in.rest, cuts, true);
    h1_reader_same(&whole, &pieces);
    if (whole.messages[0].ended && !whole.error && at < FIRST_TUNNEL)
        check_sent_on(&whole, method);
    h1_reader_fini(&whole);
    h1_reader_fini(&pieces);
}

const struct fuzz_target fuzz_target = {.run = run};
