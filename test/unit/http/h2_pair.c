#include "h2_pair.h"

#include <stdio.h>
#include <string.h>

static void print_headers(struct h2_side *s, const struct headers *h)
{
    for (const struct header *e = h->entries; e < h->entries + h->n; e++)
        strbuf_printf(&s->text, "|%.*s=%.*s", BYTES_ARG(e->name), BYTES_ARG(e->value));
    strbuf_add_str(&s->text, "\n");
}

static struct h2_seen *see(struct h2_side *s)
{
    ck_assert_uint_lt(s->n_seen, H2_SIDE_STREAMS);
    struct h2_seen *n = &s->seen[s->n_seen];
    *n = (struct h2_seen){.side = s, .number = ++s->n_seen};
    headers_init(&n->headers, s->arena);
    headers_init(&n->trailers, s->arena);
    return n;
}

static void *on_stream_begin(void *owner, struct codec_stream *cs, struct headers **headers)
{
    struct h2_side *s = owner;
    struct h2_seen *n = see(s);
    n->stream = cs;
    *headers = &n->headers;
    s->codec->ops->set_trailers(cs, &n->trailers);
    return n;
}

static void end(struct h2_seen *n)
{
    struct h2_side *s = n->side;
    strbuf_printf(&s->text, "%u end\n", n->number);
    if (!s->answer)
        return;
    struct headers h;
    h2_headers(s, &h, ":status: 200\n");
    s->codec->ops->send_headers(n->stream, &h, true);
}

static void on_headers(void *owner, void *user, bool ended)
{
    struct h2_seen *n = user;
    n->side->in_body = 0;
    strbuf_printf(&n->side->text, "%u head", n->number);
    print_headers(n->side, &n->headers);
    if (ended)
        end(n);
}

static void on_data(void *owner, void *user, struct buffer *data, bool ended)
{
    struct h2_seen *n = user;
    struct h2_side *s = n->side;
    s->body += data->len;
    if (data->len && !s->quiet) {
        char head[32];
        int len = snprintf(head, sizeof(head), "%u body ", n->number);
        if (s->in_body == n->number)
            s->text.len--; /* the line goes on */
        else
            strbuf_add(&s->text, head, (size_t)len);
        s->in_body = n->number;
        for (const struct slice *p = data->head; p; p = p->next)
            strbuf_add(&s->text, p->data, p->len);
        strbuf_add_str(&s->text, "\n");
    }
    if (s->kept)
        buffer_move(s->kept, data);
    if (ended)
        end(n);
}

static void on_trailers(void *owner, void *user)
{
    struct h2_seen *n = user;
    n->side->in_body = 0;
    strbuf_printf(&n->side->text, "%u trailers", n->number);
    print_headers(n->side, &n->trailers);
    end(n);
}

static void on_reset(void *owner, void *user, const char *reason)
{
    struct h2_seen *n = user;
    n->side->in_body = 0;
    n->reset = true;
    strbuf_printf(&n->side->text, "%u reset %u %s\n", n->number,
                  codec_mux(n->side->codec)->reset_code, reason);
    if (n->side->when_reset)
        n->side->when_reset(n->side);
}

static void on_error(void *owner, void *user, const struct codec_error *e)
{
    struct h2_side *s = owner;
    s->error = e;
    strbuf_printf(&s->text, "error %s\n", e->details);
}

static void on_stream_watermark(void *owner, void *user, bool above)
{
    struct h2_side *s = owner;
    ++*(above ? &s->above : &s->below);
}

static void on_ping(void *owner)
{
    ((struct h2_side *)owner)->pings++;
}

static void on_settings(void *owner)
{
    ((struct h2_side *)owner)->settings++;
}

static void on_no_more(void *owner)
{
    ((struct h2_side *)owner)->no_more++;
}

static void on_count(void *owner, unsigned stat)
{
    ((struct h2_side *)owner)->counts[stat]++;
}

static void on_gauge(void *owner, unsigned stat, int64_t change)
{
    ((struct h2_side *)owner)->counts[stat] += change;
}

static const struct codec_callbacks callbacks = {
    .on_stream_begin = on_stream_begin,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_error = on_error,
    .on_stream_watermark = on_stream_watermark,
    .on_ping = on_ping,
    .on_settings = on_settings,
    .on_no_more_streams = on_no_more,
    .on_count = on_count,
    .on_gauge = on_gauge,
};

void h2_pair_init(struct h2_pair *p)
{
    memset(p, 0, sizeof(*p));
    p->chunks = chunk_pool_new(NULL, 0);
    p->memory = h2_memory_new(NULL);
    p->server_options = (struct codec_options){.downstream = true,
                                               .max_headers_bytes = 60 * 1024,
                                               .max_headers_count = 100,
                                               .enable_trailers = true};
    p->client_options = p->server_options;
    p->client_options.downstream = false;
    http2_options_init(&p->h2);
}

static void side_open(struct h2_pair *p, struct h2_side *s, const struct codec_options *o)
{
    s->arena = arena_new(0);
    s->room = SIZE_MAX;
    s->open = true;
    buffer_init(&s->in, p->chunks);
    buffer_init(&s->out, p->chunks);
    s->codec = codec_h2_new(o, &p->h2, &callbacks, s, &s->out, p->memory);
    codec_mux(s->codec)->stream_limit = 32 * 1024;
}

static void flush(struct h2_side *s)
{
    s->codec->ops->flush(s->codec, s->room);
}

void h2_pair_open_server(struct h2_pair *p)
{
    side_open(p, &p->server, &p->server_options);
    flush(&p->server);
    buffer_drain(&p->server.out, p->server.out.len);
}

void h2_pair_open_client(struct h2_pair *p)
{
    side_open(p, &p->client, &p->client_options);
    flush(&p->client);
    buffer_drain(&p->client.out, p->client.out.len);
}

static void borrow(struct h2_pair *p, struct chunk_pool *chunks)
{
    chunk_pool_free(&p->chunks);
    p->chunks = chunks;
    p->borrowed = true;
}

void h2_pair_open_server_in(struct h2_pair *p, struct chunk_pool *chunks)
{
    borrow(p, chunks);
    side_open(p, &p->server, &p->server_options);
}

void h2_pair_open_client_in(struct h2_pair *p, struct chunk_pool *chunks)
{
    borrow(p, chunks);
    side_open(p, &p->client, &p->client_options);
}

void h2_pair_open(struct h2_pair *p)
{
    side_open(p, &p->server, &p->server_options);
    side_open(p, &p->client, &p->client_options);
    h2_pair_run(p, 0);
}

static void side_fini(struct h2_side *s)
{
    if (!s->codec)
        return;
    s->codec->ops->free(&s->codec);
    buffer_fini(&s->in);
    buffer_fini(&s->out);
    strbuf_fini(&s->text);
    arena_free(&s->arena);
}

void h2_pair_fini(struct h2_pair *p)
{
    side_fini(&p->server);
    side_fini(&p->client);
    h2_memory_free(&p->memory);
    if (p->borrowed)
        return;
    ck_assert_uint_eq(p->chunks->live_chunks, 0);
    chunk_pool_free(&p->chunks);
}

static bool move(struct h2_side *from, struct h2_side *to, size_t step)
{
    bool moved = false;
    flush(from);
    from->open &= !codec_mux(from->codec)->over;
    while (from->out.len) {
        size_t n = step && step < from->out.len ? step : from->out.len;
        buffer_move_n(&to->in, &from->out, n);
        to->open &= to->codec->ops->input(to->codec, &to->in);
        moved = true;
    }
    return moved;
}

void h2_pair_run(struct h2_pair *p, size_t step)
{
    bool moved = true;
    while (moved) {
        moved = move(&p->client, &p->server, step);
        moved |= move(&p->server, &p->client, step);
    }
}

static const char *next_line(const char *lines, struct bytes *name, struct bytes *value)
{
    const char *end = strchr(lines, '\n');
    ck_assert_ptr_nonnull(end);
    const char *colon = memchr(lines + 1, ':', (size_t)(end - lines - 1));
    ck_assert_ptr_nonnull(colon);
    *name = bytes_from(lines, (size_t)(colon - lines));
    const char *v = colon + 1 + (colon[1] == ' ');
    *value = bytes_from(v, (size_t)(end - v));
    return end + 1;
}

void h2_headers(struct h2_side *s, struct headers *h, const char *lines)
{
    headers_init(h, s->arena);
    while (*lines) {
        struct bytes name, value;
        lines = next_line(lines, &name, &value);
        headers_add(h, arena_dup(s->arena, name), arena_dup(s->arena, value));
    }
}

struct h2_seen *h2_request(struct h2_pair *p, const char *lines, bool ended)
{
    struct h2_side *c = &p->client;
    struct h2_seen *n = see(c);
    struct headers h;
    h2_headers(c, &h, lines);
    n->stream = c->codec->ops->stream_new(c->codec, n, &n->headers);
    c->codec->ops->set_trailers(n->stream, &n->trailers);
    c->codec->ops->send_headers(n->stream, &h, ended);
    return n;
}

void h2_body(struct h2_seen *s, size_t n, bool ended)
{
    char text[1024];
    struct buffer b;
    buffer_init(&b, s->side->out.pool);
    memset(text, 'x', sizeof(text));
    for (size_t left = n; left;) {
        size_t now = left < sizeof(text) ? left : sizeof(text);
        buffer_add(&b, text, now);
        left -= now;
    }
    s->side->codec->ops->send_data(s->stream, &b, ended);
    buffer_fini(&b);
}

const char *h2_text(struct h2_side *s)
{
    static char text[65536];
    struct bytes b = strbuf_bytes(&s->text);
    snprintf(text, sizeof(text), "%.*s", BYTES_ARG(b));
    strbuf_fini(&s->text);
    return text;
}

void h2_frame(struct buffer *b, unsigned type, unsigned flags, uint32_t stream, const void *payload,
              size_t len)
{
    unsigned char head[9] = {
        (unsigned char)(len >> 16),    (unsigned char)(len >> 8),    (unsigned char)len,
        (unsigned char)type,           (unsigned char)flags,         (unsigned char)(stream >> 24),
        (unsigned char)(stream >> 16), (unsigned char)(stream >> 8), (unsigned char)stream};
    buffer_add(b, head, sizeof(head));
    if (len)
        buffer_add(b, payload, len);
}

void h2_preface(struct buffer *b)
{
    buffer_add_str(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    h2_frame(b, 4, 0, 0, NULL, 0);
    h2_frame(b, 4, 1, 0, NULL, 0);
}

static size_t literal(char *out, struct bytes text)
{
    size_t n = 0;
    if (text.len < 127) {
        out[n++] = (char)text.len;
    } else {
        size_t rest = text.len - 127;
        out[n++] = 127;
        for (; rest >= 128; rest >>= 7)
            out[n++] = (char)(0x80 | (rest & 127));
        out[n++] = (char)rest;
    }
    if (text.len)
        memcpy(out + n, text.data, text.len);
    return n + text.len;
}

size_t h2_literals(char *out, size_t max, const char *lines)
{
    size_t n = 0;
    while (*lines) {
        struct bytes name, value;
        lines = next_line(lines, &name, &value);
        ck_assert_uint_lt(n + name.len + value.len + 12, max);
        out[n++] = 0;
        n += literal(out + n, name);
        n += literal(out + n, value);
    }
    return n;
}

void h2_frame_headers(struct buffer *b, uint32_t stream, unsigned flags, const char *lines)
{
    char block[16384];
    size_t n = h2_literals(block, sizeof(block), lines);
    h2_frame(b, 1, flags, stream, block, n);
}

bool h2_feed(struct h2_side *s, struct buffer *b)
{
    buffer_drain(&s->out, s->out.len);
    s->open = s->open && s->codec->ops->input(s->codec, b);
    flush(s);
    s->open &= !codec_mux(s->codec)->over;
    return s->open;
}

int h2_sent(struct h2_side *s, unsigned type, uint32_t *code)
{
    int found = -1;
    size_t at = 0;
    unsigned char head[13] = {0};
    while (buffer_copy(&s->out, at, head, sizeof(head)) >= 9) {
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (head[3] == type) {
            size_t word = type == 7 ? 4 : 0;
            unsigned char w[4] = {0};
            found = (int)((uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 |
                          (uint32_t)head[7] << 8 | head[8]);
            buffer_copy(&s->out, at + 9 + word, w, 4);
            if (code)
                *code = (uint32_t)w[0] << 24 | (uint32_t)w[1] << 16 | (uint32_t)w[2] << 8 | w[3];
        }
        at += 9 + len;
    }
    return found;
}
