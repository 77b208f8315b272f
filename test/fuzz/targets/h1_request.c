/* Requests: however the bytes are cut, the events are the same; what was read and is sent on is
 * read again as the same request, by a reader that accepts less.
 *
 *     options, number of cuts, cuts..., bytes */
#include "../h1_reader.h"
#include "dataplane/http/tunnel.h"

static const struct codec_options strict = {
    .downstream = true,
    .max_headers_bytes = 64 * 1024,
    .max_headers_count = 200,
    .enable_trailers = true,
    .allow_custom_methods = true,
};

/* What the connection manager lets through: it refuses other targets. What a tunnel holds is sent
 * when it is open. */
static bool can_be_sent(const struct h1_message *m)
{
    struct bytes path = headers_get(&m->head, HEADER_PATH);
    return m->ended && tunnel_asked(&m->head) == TUNNEL_NONE &&
           (!path.data || (path.len && (path.data[0] == '/' || path.data[0] == '*')));
}

static void send_again(const struct h1_message *m, struct buffer *out, struct chunk_pool *chunks)
{
    static const struct codec_callbacks none;
    static const struct codec_options o = {.enable_trailers = true};
    struct codec *c = codec_h1_new(&o, &none, NULL, out);
    struct codec_stream *s = c->ops->stream_new(c, NULL, NULL);
    bool end = !m->body.len && !m->trailers.n;
    c->ops->send_headers(s, &m->head, end);
    if (m->body.len) {
        struct buffer body;
        buffer_init(&body, chunks);
        buffer_add(&body, m->body.data, m->body.len);
        c->ops->send_data(s, &body, !m->trailers.n);
        buffer_fini(&body);
    }
    if (m->trailers.n)
        c->ops->send_trailers(s, &m->trailers);
    c->ops->free(&c);
}

static void check_sent_again(struct h1_reader *r, const struct h1_message *m)
{
    struct h1_reader again;
    struct buffer out;
    struct strbuf one = STRBUF_INIT, other = STRBUF_INIT;
    buffer_init(&out, r->chunks);
    send_again(m, &out, r->chunks);
    char *text = arena_alloc(r->arena, out.len);
    size_t len = buffer_copy(&out, 0, text, out.len);
    h1_reader_init(&again, &strict, NULL);
    h1_reader_feed(&again, bytes_from(text, len), BYTES_NONE, false);
    FUZZ_CHECK(!again.error, "%s: %.*s", again.error->message, (int)len, text);
    FUZZ_CHECK(again.n == 1 && again.messages[0].ended, "%u messages in: %.*s", again.n, (int)len,
               text);
    FUZZ_CHECK(again.left == 0, "%zu bytes are left of: %.*s", again.left, (int)len, text);
    h1_message_text(m, &one);
    h1_message_text(&again.messages[0], &other);
    fuzz_same("the request sent on", strbuf_bytes(&one), strbuf_bytes(&other));
    h1_reader_fini(&again);
    buffer_fini(&out);
    strbuf_fini(&one);
    strbuf_fini(&other);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct codec_options o = h1_options(true, fuzz_u8(&in));
    struct bytes cuts = fuzz_take(&in, fuzz_below(&in, 32));
    struct h1_reader whole, pieces;
    h1_reader_init(&whole, &o, NULL);
    h1_reader_init(&pieces, &o, NULL);
    whole.answer = pieces.answer = true;
    h1_reader_feed(&whole, in.rest, BYTES_NONE, true);
    h1_reader_feed(&pieces, in.rest, cuts, true);
    h1_reader_same(&whole, &pieces);
    for (unsigned i = 0; i < whole.n; i++) {
        if (can_be_sent(&whole.messages[i]))
            check_sent_again(&whole, &whole.messages[i]);
    }
    h1_reader_fini(&whole);
    h1_reader_fini(&pieces);
}

const struct fuzz_target fuzz_target = {.run = run};
