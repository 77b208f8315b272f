#include "h2_reader.h"

enum { ANSWER = 1, ECHO = 2, RESET = 4, PAUSE = 8, RESET_AT_HEAD = 16, FLUSH = 32, TRAILERS = 64 };

static void end_body(struct h2_reader_stream *s)
{
    if (s->in_body)
        strbuf_add_str(&s->text, "\n");
    s->in_body = false;
}

static struct h2_reader_stream *stream_add(struct h2_reader *r)
{
    struct h2_reader_stream *s = &r->streams[r->n < H2_READER_STREAMS ? r->n : H2_READER_STREAMS];
    struct strbuf text = s->text;
    buffer_fini(&s->body);
    *s = (struct h2_reader_stream){.reader = r, .text = text, .number = ++r->n};
    headers_init(&s->headers, r->arena);
    headers_init(&s->trailers, r->arena);
    buffer_init(&s->body, r->chunks);
    return s;
}

static void print_head(struct h2_reader_stream *s, const char *what, const struct headers *h)
{
    const struct h2_reader *r = s->reader;
    end_body(s);
    strbuf_add_str(&s->text, what);
    size_t bytes = 0;
    for (const struct header *e = h->entries; e < h->entries + h->n; e++) {
        strbuf_printf(&s->text, "|%.*s=%.*s", BYTES_ARG(e->name), BYTES_ARG(e->value));
        bytes += e->name.len + e->value.len;
        for (size_t i = 0; i < e->value.len; i++) {
            unsigned char c = (unsigned char)e->value.data[i];
            FUZZ_CHECK(c == '\t' || (c >= 0x20 && c != 0x7f), "a control byte in a value");
        }
    }
    strbuf_add_str(&s->text, "\n");
    /* Crumbs of cookies are joined by more than was between them; a host's name was shorter. */
    FUZZ_CHECK(bytes <= r->options.max_headers_bytes + 2 * (size_t)h->n + 2 * 100 + 64,
               "%zu bytes of headers", bytes);
}

static void *on_stream_begin(void *owner, struct codec_stream *cs, struct headers **headers)
{
    struct h2_reader *r = owner;
    struct h2_reader_stream *s = stream_add(r);
    s->stream = cs;
    *headers = &s->headers;
    r->codec->ops->set_trailers(cs, &s->trailers);
    return s;
}

static void give_up(struct h2_reader_stream *s)
{
    if (s->over)
        return;
    s->over = true;
    s->reader->codec->ops->stream_reset(s->stream, 8);
}

static void answer(struct h2_reader_stream *s)
{
    struct h2_reader *r = s->reader;
    struct headers h, t;
    if (s->over || !r->options.downstream || !(r->manners & (ANSWER | ECHO)))
        return;
    s->over = true;
    headers_init(&h, r->arena);
    headers_add_id(&h, HEADER_STATUS, BYTES("200"));
    bool body = (r->manners & ECHO) && s->body.len;
    r->codec->ops->send_headers(s->stream, &h, !body);
    if (!body)
        return;
    r->codec->ops->send_data(s->stream, &s->body, !(r->manners & TRAILERS));
    if (!(r->manners & TRAILERS))
        return;
    headers_init(&t, r->arena);
    headers_add(&t, BYTES("t"), BYTES("1"));
    r->codec->ops->send_trailers(s->stream, &t);
}

/* Says something in a tunnel, or sends back what it got. */
static void speak(struct h2_reader_stream *s, struct bytes text, bool end)
{
    struct buffer b;
    buffer_init(&b, s->reader->chunks);
    buffer_add_bytes(&b, text);
    s->reader->codec->ops->send_data(s->stream, text.len ? &b : &s->body, end);
    buffer_fini(&b);
}

static void ended(struct h2_reader_stream *s)
{
    end_body(s);
    strbuf_add_str(&s->text, "end\n");
    if (s->reader->manners & RESET)
        give_up(s);
    else if (!s->tunnel)
        answer(s);
    else if (s->reader->options.downstream && !s->over) {
        s->over = true;
        speak(s, BYTES("bye"), true);
    }
}

static void open_tunnel(struct h2_reader_stream *s)
{
    struct h2_reader *r = s->reader;
    enum tunnel t = r->options.downstream ? tunnel_asked(&s->headers) : TUNNEL_NONE;
    struct headers h;
    if (s->tunnel) { /* it has been asked for here: are they the words that open it? */
        unsigned status = headers_status(&s->headers);
        if (status == 101 || (status >= 200 && status < 300))
            speak(s, BYTES("up"), r->manners & ANSWER);
        return;
    }
    if (!r->tunnels || t == TUNNEL_NONE)
        return;
    s->tunnel = true;
    headers_init(&h, r->arena);
    headers_add_id(&h, HEADER_STATUS, t == TUNNEL_UPGRADE ? BYTES("101") : BYTES("200"));
    if (t == TUNNEL_UPGRADE) {
        headers_add_id(&h, HEADER_CONNECTION, BYTES("upgrade"));
        headers_add_id(&h, HEADER_UPGRADE, tunnel_type(t, &s->headers));
    }
    r->codec->ops->send_headers(s->stream, &h, false);
}

static void on_headers(void *owner, void *user, bool end)
{
    struct h2_reader_stream *s = user;
    struct h2_reader *r = owner;
    print_head(s, "head", &s->headers);
    if (!end)
        open_tunnel(s);
    if (r->manners & PAUSE)
        r->codec->ops->stream_pause(s->stream, true);
    if (end)
        ended(s);
    else if (r->manners & RESET_AT_HEAD)
        give_up(s);
}

static void on_data(void *owner, void *user, struct buffer *data, bool end)
{
    struct h2_reader_stream *s = user;
    if (data->len && !s->in_body) {
        s->in_body = true;
        strbuf_add_str(&s->text, "body ");
    }
    for (const struct slice *p = data->head; p; p = p->next)
        strbuf_add(&s->text, p->data, p->len);
    buffer_move(&s->body, data);
    if (s->tunnel && !s->over && !end && (s->reader->manners & ECHO) &&
        s->reader->options.downstream)
        speak(s, BYTES_NONE, false);
    if (end)
        ended(s);
}

static void on_trailers(void *owner, void *user)
{
    struct h2_reader_stream *s = user;
    print_head(s, "trailers", &s->trailers);
    ended(s);
}

static void on_reset(void *owner, void *user, const char *reason)
{
    struct h2_reader_stream *s = user;
    s->over = s->was_reset = true; /* told at a flush: not part of the text */
}

static void on_error(void *owner, void *user, const struct codec_error *e)
{
    struct h2_reader *r = owner;
    FUZZ_CHECK(++r->errors == 1, "told of two errors");
    FUZZ_CHECK(*e->details && *e->message, "an error without a word");
}

static void on_count(void *owner, unsigned stat)
{
    ((struct h2_reader *)owner)->counts[stat]++;
}

static void on_gauge(void *owner, unsigned stat, int64_t change)
{
    struct h2_reader *r = owner;
    r->gauges[stat] += change;
    FUZZ_CHECK(r->gauges[stat] >= 0, "gauge %u is below nothing", stat);
}

static const struct codec_callbacks callbacks = {
    .on_stream_begin = on_stream_begin,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_error = on_error,
    .on_count = on_count,
    .on_gauge = on_gauge,
};

void h2_reader_init(struct h2_reader *r, bool downstream, uint8_t options, uint8_t manners)
{
    struct http2_options h2;
    memset(r, 0, sizeof(*r));
    http2_options_init(&h2);
    h2.stream_error = options & 1;
    h2.max_concurrent_streams = options & 2 ? 3 : 100;
    h2.hpack_table_size = options & 4 ? 64 : 4096;
    h2.max_empty_frames = options & 8 ? 1000 : 1;
    if (options & 8) { /* then others are near */
        h2.max_outbound_control = 20;
        h2.max_outbound_frames = 60;
    }
    h2.allow_connect = options >> 7;
    r->tunnels = options >> 7;
    r->options = (struct codec_options){.downstream = downstream,
                                        .max_headers_bytes = options & 16 ? 512 : 16384,
                                        .max_headers_count = options & 32 ? 5 : 100,
                                        .underscores = options & 64 ? CODEC_UNDERSCORES_DROP
                                                                    : CODEC_UNDERSCORES_ALLOW,
                                        .enable_trailers = true};
    r->chunks = chunk_pool_new(NULL, 0);
    r->memory = h2_memory_new(NULL);
    r->arena = arena_new(0);
    r->manners = manners;
    r->open = true;
    buffer_init(&r->in, r->chunks);
    buffer_init(&r->out, r->chunks);
    r->codec = codec_h2_new(&r->options, &h2, &callbacks, r, &r->out, r->memory);
    r->codec->ops->flush(r->codec, SIZE_MAX);
}

void h2_reader_ask(struct h2_reader *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct headers h;
        struct h2_reader_stream *s = stream_add(r);
        headers_init(&h, r->arena);
        bool connect = r->tunnels && i % 2, upgrade = r->tunnels && !connect;
        headers_add_id(&h, HEADER_METHOD,
                       connect      ? BYTES("CONNECT")
                       : i % 3 == 2 ? BYTES("HEAD")
                                    : BYTES("GET"));
        headers_add_id(&h, HEADER_SCHEME, BYTES("http"));
        headers_add_id(&h, HEADER_AUTHORITY, BYTES("a"));
        headers_add_id(&h, HEADER_PATH, BYTES("/"));
        if (upgrade) {
            headers_add_id(&h, HEADER_CONNECTION, BYTES("upgrade"));
            headers_add_id(&h, HEADER_UPGRADE, BYTES("a"));
        }
        s->tunnel = r->tunnels;
        s->stream = r->codec->ops->stream_new(r->codec, s, &s->headers);
        r->codec->ops->set_trailers(s->stream, &s->trailers);
        r->codec->ops->send_headers(s->stream, &h, !s->tunnel);
    }
    r->codec->ops->flush(r->codec, SIZE_MAX);
}

static void feed(struct h2_reader *r, struct bytes part)
{
    buffer_add_bytes(&r->in, part);
    if (r->open)
        r->open = r->codec->ops->input(r->codec, &r->in);
    FUZZ_CHECK(!r->open || r->in.len == 0, "%zu bytes were left", r->in.len);
}

void h2_reader_feed(struct h2_reader *r, struct bytes input, struct bytes cuts)
{
    for (size_t i = 0; i < cuts.len && input.len && r->open; i++) {
        struct bytes part = bytes_first(input, (unsigned char)cuts.data[i]);
        input = bytes_skip(input, part.len);
        feed(r, part);
    }
    if (input.len && r->open)
        feed(r, input);
    r->codec->ops->flush(r->codec, r->manners & FLUSH ? 100 : SIZE_MAX);
    r->codec->ops->flush(r->codec, SIZE_MAX);
    r->open &= !codec_mux(r->codec)->over; /* with what was said last */
}

/* Each flood is counted once, and ends the connection. */
static void check_floods(const struct h2_reader *r)
{
    unsigned floods = r->counts[STAT_HTTP2_INBOUND_EMPTY_FRAMES_FLOOD] +
                      r->counts[STAT_HTTP2_INBOUND_PRIORITY_FRAMES_FLOOD] +
                      r->counts[STAT_HTTP2_INBOUND_WINDOW_UPDATE_FRAMES_FLOOD] +
                      r->counts[STAT_HTTP2_OUTBOUND_CONTROL_FLOOD] +
                      r->counts[STAT_HTTP2_OUTBOUND_FLOOD];
    FUZZ_CHECK(floods <= 1 && (!floods || (r->errors && !r->open)), "%u floods", floods);
}

void h2_reader_fini(struct h2_reader *r)
{
    check_floods(r);
    r->codec->ops->free(&r->codec);
    for (unsigned i = 0; i < HTTP2_STAT_COUNT; i++)
        FUZZ_CHECK(r->gauges[i] == 0, "gauge %u is left", i);
    for (unsigned i = 0; i <= H2_READER_STREAMS; i++) {
        buffer_fini(&r->streams[i].body);
        strbuf_fini(&r->streams[i].text);
    }
    buffer_fini(&r->in);
    buffer_fini(&r->out);
    h2_memory_free(&r->memory);
    FUZZ_CHECK(r->chunks->live_chunks == 0, "%zu chunks are left", r->chunks->live_chunks);
    chunk_pool_free(&r->chunks);
    arena_free(&r->arena);
}

/* A connection or a stream that breaks a rule is noticed at the end of what was read, sooner or
 * later: then one has been told less than the other, and nothing else. */
static void same(const struct h2_reader *a, const struct h2_reader *b)
{
    bool ended = !a->open || !b->open;
    FUZZ_CHECK(ended || a->n == b->n, "%u and %u streams", a->n, b->n);
    for (unsigned i = 0; i < a->n && i < b->n && i < H2_READER_STREAMS; i++) {
        const struct h2_reader_stream *s = &a->streams[i], *t = &b->streams[i];
        struct bytes one = strbuf_bytes(&s->text), other = strbuf_bytes(&t->text);
        size_t both = one.len < other.len ? one.len : other.len;
        bool cut = ended || s->was_reset || t->was_reset;
        fuzz_same("what was told", cut ? bytes_first(one, both) : one,
                  cut ? bytes_first(other, both) : other);
    }
}

void h2_reader_any_cut(struct bytes input, h2_begin *begin)
{
    static struct h2_reader whole, pieces;
    struct fuzz_in in = {input};
    uint8_t options = fuzz_u8(&in), manners = fuzz_u8(&in);
    struct bytes cuts = fuzz_take(&in, fuzz_below(&in, 32));
    begin(&whole, options, manners);
    h2_reader_feed(&whole, in.rest, BYTES_NONE);
    begin(&pieces, options, manners);
    h2_reader_feed(&pieces, in.rest, cuts);
    same(&whole, &pieces);
    h2_reader_fini(&whole);
    h2_reader_fini(&pieces);
}
