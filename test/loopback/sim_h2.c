#include "sim_h2.h"

#include <check.h>
#include <stdlib.h>
#include <strings.h>

#include "base/memory.h"

enum { STREAM_LIMIT = 32 * 1024 };

unsigned sim_h2_inside;

#define STREAM(l) LIST_ENTRY(l, struct sim_h2_stream, link)

static struct sim_h2_stream *stream_make(struct sim_h2 *h)
{
    struct sim_h2_stream *s = NEW(struct sim_h2_stream);
    s->h2 = h;
    headers_init(&s->headers, h->arena);
    headers_init(&s->trailers, h->arena);
    list_push_back(&h->streams, &s->link);
    return s;
}

/* --- what comes --- */

static void print_fields(struct sim_h2_stream *s, const struct headers *h)
{
    for (const struct header *e = h->entries; e < h->entries + h->n; e++) {
        if (e->name.data[0] != ':')
            strbuf_printf(&s->text, "%.*s: %.*s\r\n", BYTES_ARG(e->name), BYTES_ARG(e->value));
    }
    strbuf_add_str(&s->text, "\r\n");
}

static void changed(struct sim_h2_stream *s)
{
    s->h2->ops->on_text(s->h2->owner, s);
}

static void *on_stream_begin(void *owner, struct codec_stream *cs, struct headers **headers)
{
    struct sim_h2 *h = owner;
    struct sim_h2_stream *s = stream_make(h);
    s->codec = cs;
    *headers = &s->headers;
    h->codec->ops->set_trailers(cs, &s->trailers);
    s->user = h->ops->on_stream(h->owner, s);
    return s;
}

static bool is_interim(struct bytes status)
{
    return status.len == 3 && status.data[0] == '1' && !bytes_eq(status, BYTES("101"));
}

static void on_headers(void *owner, void *user, bool end)
{
    struct sim_h2_stream *s = user;
    struct bytes method = headers_get(&s->headers, HEADER_METHOD);
    struct bytes status = headers_get(&s->headers, HEADER_STATUS);
    bool bare = is_interim(status) || bytes_eq(status, BYTES("204"));
    s->head_came = !is_interim(status);
    s->is_head |= bytes_eq(method, BYTES("HEAD"));
    s->ended = end;
    if (method.data)
        strbuf_printf(&s->text, "%.*s %.*s HTTP/1.1\r\n", BYTES_ARG(method),
                      BYTES_ARG(headers_get(&s->headers, HEADER_PATH)));
    else
        strbuf_printf(&s->text, "HTTP/1.1 %.*s -\r\n", BYTES_ARG(status));
    bool length = headers_get(&s->headers, HEADER_CONTENT_LENGTH).data;
    s->chunked = !bare && !length && !end;
    if (s->chunked)
        strbuf_add_str(&s->text, "transfer-encoding: chunked\r\n");
    else if (!bare && !length && status.data)
        strbuf_add_str(&s->text, "content-length: 0\r\n");
    print_fields(s, &s->headers);
    changed(s);
}

static void on_data(void *owner, void *user, struct buffer *data, bool end)
{
    struct sim_h2_stream *s = user;
    bool chunk = s->chunked && data->len;
    if (chunk)
        strbuf_printf(&s->text, "%zx\r\n", data->len);
    for (; data->len; buffer_drain(data, buffer_front(data).len))
        strbuf_add_bytes(&s->text, buffer_front(data));
    if (chunk)
        strbuf_add_str(&s->text, "\r\n");
    if (end && s->chunked)
        strbuf_add_str(&s->text, "0\r\n\r\n");
    s->ended = end;
    changed(s);
}

static void on_trailers(void *owner, void *user)
{
    struct sim_h2_stream *s = user;
    if (s->chunked) {
        strbuf_add_str(&s->text, "0\r\n");
        print_fields(s, &s->trailers);
    }
    s->ended = true;
    changed(s);
}

static void on_reset(void *owner, void *user, const char *reason)
{
    struct sim_h2_stream *s = user;
    s->codec = NULL;
    s->reset = !s->ended;
    changed(s);
}

static void on_error(void *owner, void *user, const struct codec_error *e)
{
    ((struct sim_h2 *)owner)->over = true;
}

static void on_stream_watermark(void *owner, void *user, bool above)
{
    ((struct sim_h2_stream *)user)->full = above;
}

static const struct codec_callbacks callbacks = {
    .on_stream_begin = on_stream_begin,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_error = on_error,
    .on_stream_watermark = on_stream_watermark,
};

/* --- what is sent --- */

static struct bytes trim(struct bytes line)
{
    line.len -= line.len && line.data[line.len - 1] == '\r';
    return line;
}

static void add_field(struct sim_h2_stream *s, struct headers *h, struct bytes line)
{
    ptrdiff_t colon = bytes_find_char(line, ':');
    ck_assert_int_gt(colon, 0);
    struct bytes name = bytes_first(line, (size_t)colon);
    struct bytes value = bytes_skip(line, (size_t)colon + 2);
    if (bytes_eq(name, BYTES("transfer-encoding")))
        s->sends = SIM_SEND_CHUNKS;
    if (bytes_eq(name, BYTES("content-length")) && bytes_to_u64(value, &s->left))
        s->sends = SIM_SEND_LENGTH;
    if (bytes_eq(name, BYTES("host")))
        name = BYTES(":authority");
    if (bytes_eq(name, BYTES("upgrade")) && s->sends == SIM_SEND_DONE)
        s->sends = SIM_SEND_TO_END;
    bool upgrades = bytes_eq(value, BYTES("upgrade")); /* which our codec translates */
    if ((bytes_eq(name, BYTES("connection")) && !upgrades) ||
        bytes_eq(name, BYTES("transfer-encoding")))
        return;
    headers_add(h, arena_dup(h->arena, name), arena_dup(h->arena, value));
}

/* "GET /s HTTP/1.1" or "HTTP/1.1 200 OK"; pseudo headers stand before all others. */
static void add_first_line(struct sim_h2_stream *s, struct headers *h, struct bytes line)
{
    struct bytes first = bytes_split(&line, ' '), second = bytes_split(&line, ' ');
    if (bytes_starts_with(first, BYTES("HTTP/"))) {
        headers_add(h, BYTES(":status"), arena_dup(h->arena, second));
        return;
    }
    s->is_head = bytes_eq(first, BYTES("HEAD"));
    if (bytes_eq(first, BYTES("CONNECT")))
        s->sends = SIM_SEND_TO_END;
    headers_add(h, BYTES(":method"), arena_dup(h->arena, first));
    headers_add(h, BYTES(":scheme"), BYTES("http"));
    headers_add(h, BYTES(":path"), arena_dup(h->arena, second));
}

/* How many bytes the next piece of s->send has; 0: it is not whole. */
static size_t piece_of(struct bytes in, const char *end)
{
    const char *at = in.len ? memmem(in.data, in.len, end, strlen(end)) : NULL;
    return at ? (size_t)(at - in.data) + strlen(end) : 0;
}

static void drop(struct sim_h2_stream *s, size_t n)
{
    struct strbuf rest = STRBUF_INIT;
    strbuf_add_bytes(&rest, bytes_skip(strbuf_bytes(&s->send), n));
    strbuf_fini(&s->send);
    s->send = rest;
}

static bool send_head(struct sim_h2_stream *s)
{
    size_t n = piece_of(strbuf_bytes(&s->send), "\r\n\r\n");
    struct bytes rest = bytes_first(strbuf_bytes(&s->send), n);
    struct headers h;
    if (!n)
        return false;
    headers_init(&h, s->h2->arena);
    s->sends = SIM_SEND_DONE;
    add_first_line(s, &h, trim(bytes_split(&rest, '\n')));
    bool answer = headers_get(&h, HEADER_STATUS).data;
    unsigned status = headers_status(&h);
    if (answer)
        s->sends = SIM_SEND_TO_END;
    for (struct bytes line; (line = trim(bytes_split(&rest, '\n'))).len;)
        add_field(s, &h, line);
    drop(s, n);
    if (status == 204 || (answer && s->is_head) || (s->sends == SIM_SEND_LENGTH && !s->left))
        s->sends = SIM_SEND_DONE;
    if (status >= 100 && status < 200 && status != 101) {
        s->sends = SIM_SEND_HEAD;
        s->h2->codec->ops->send_informational(s->codec, &h);
    } else {
        s->h2->codec->ops->send_headers(s->codec, &h, s->sends == SIM_SEND_DONE);
    }
    return true;
}

static void send_data(struct sim_h2_stream *s, size_t n, bool end)
{
    struct buffer b;
    buffer_init(&b, s->h2->out.pool);
    buffer_add_bytes(&b, bytes_first(strbuf_bytes(&s->send), n));
    drop(s, n);
    s->h2->codec->ops->send_data(s->codec, &b, end);
    buffer_fini(&b);
}

static bool send_length(struct sim_h2_stream *s)
{
    size_t n = s->send.len < s->left ? s->send.len : (size_t)s->left;
    if (!n)
        return false;
    s->left -= n;
    if (!s->left)
        s->sends = SIM_SEND_DONE;
    send_data(s, n, !s->left);
    return true;
}

static bool send_last_chunk(struct sim_h2_stream *s, size_t line)
{
    struct bytes rest = bytes_skip(strbuf_bytes(&s->send), line);
    bool bare = bytes_starts_with(rest, BYTES("\r\n"));
    size_t n = bare ? 2 : piece_of(rest, "\r\n\r\n");
    struct headers h;
    if (!n)
        return false;
    s->sends = SIM_SEND_DONE;
    headers_init(&h, s->h2->arena);
    rest = bytes_first(rest, n);
    for (struct bytes l; !bare && (l = trim(bytes_split(&rest, '\n'))).len;)
        add_field(s, &h, l);
    drop(s, line + n);
    if (h.n)
        s->h2->codec->ops->send_trailers(s->codec, &h);
    else
        send_data(s, 0, true);
    return true;
}

static bool send_chunk(struct sim_h2_stream *s)
{
    size_t line = piece_of(strbuf_bytes(&s->send), "\r\n");
    size_t n = line ? strtoul(strbuf_str(&s->send), NULL, 16) : 0;
    if (!line || s->send.len < line + n + 2)
        return false;
    if (!n)
        return send_last_chunk(s, line);
    drop(s, line);
    struct strbuf rest = STRBUF_INIT;
    strbuf_add_bytes(&rest, bytes_skip(strbuf_bytes(&s->send), n + 2));
    send_data(s, n, false);
    strbuf_fini(&s->send);
    s->send = rest;
    return true;
}

static bool send_piece(struct sim_h2_stream *s)
{
    if (!s->codec || !s->send.len)
        return false;
    switch (s->sends) {
    case SIM_SEND_HEAD:
        return send_head(s);
    case SIM_SEND_LENGTH:
        return send_length(s);
    case SIM_SEND_CHUNKS:
        return send_chunk(s);
    case SIM_SEND_TO_END:
        send_data(s, s->send.len, false);
        return true;
    case SIM_SEND_DONE:
        break;
    }
    return false;
}

void sim_h2_answer(struct sim_h2_stream *s, struct bytes text)
{
    sim_h2_inside++;
    strbuf_add_bytes(&s->send, text);
    while (send_piece(s)) {
    }
    sim_h2_flush(s->h2);
    sim_h2_inside--;
}

void sim_h2_answer_end(struct sim_h2_stream *s)
{
    sim_h2_inside++;
    if (s->codec && s->sends == SIM_SEND_TO_END)
        send_data(s, 0, true);
    s->sends = SIM_SEND_DONE;
    sim_h2_flush(s->h2);
    sim_h2_inside--;
}

void sim_h2_ask(struct sim_h2 *h, struct bytes text)
{
    sim_h2_inside++;
    struct strbuf rest = STRBUF_INIT;
    strbuf_add_bytes(&rest, text);
    while (rest.len) {
        struct sim_h2_stream *s = h->current;
        if (!s) {
            s = h->current = stream_make(h);
            s->codec = h->codec->ops->stream_new(h->codec, s, &s->headers);
            h->codec->ops->set_trailers(s->codec, &s->trailers);
        }
        strbuf_add_bytes(&s->send, strbuf_bytes(&rest));
        strbuf_reset(&rest);
        while (send_piece(s)) {
        }
        if (s->sends != SIM_SEND_DONE)
            break;
        strbuf_add_bytes(&rest, strbuf_bytes(&s->send));
        strbuf_reset(&s->send);
        h->current = NULL;
    }
    strbuf_fini(&rest);
    sim_h2_flush(h);
    sim_h2_inside--;
}

void sim_h2_stream_reset(struct sim_h2_stream *s, uint32_t code)
{
    if (!s->codec || (s->sends == SIM_SEND_DONE && s->ended))
        return;
    s->h2->codec->ops->stream_reset(s->codec, code);
    s->codec = NULL;
    s->reset = !s->ended;
    sim_h2_flush(s->h2);
}

/* --- the connection --- */

void sim_h2_flush(struct sim_h2 *h)
{
    if (h->in_input || !connection_is_open(h->connection))
        return;
    sim_h2_inside++;
    h->codec->ops->flush(h->codec, SIZE_MAX);
    h->over |= codec_mux(h->codec)->over;
    if (h->out.len)
        connection_write(h->connection, &h->out);
    sim_h2_inside--;
}

void sim_h2_input(struct sim_h2 *h, struct buffer *in)
{
    sim_h2_inside++;
    h->in_input = true;
    h->codec->ops->input(h->codec, in);
    h->in_input = false;
    buffer_drain(in, in->len);
    sim_h2_flush(h);
    sim_h2_inside--;
}

struct sim_h2 *sim_h2_new(struct connection *c, bool server, const struct sim_h2_ops *ops,
                          void *owner)
{
    struct codec_options o = {.downstream = server,
                              .max_headers_bytes = 60 * 1024,
                              .max_headers_count = 100,
                              .enable_trailers = true};
    struct http2_options h2;
    sim_h2_inside++;
    struct sim_h2 *h = NEW(struct sim_h2);
    http2_options_init(&h2);
    h2.allow_connect = 1;
    h->ops = ops;
    h->owner = owner;
    h->connection = c;
    h->arena = arena_new(0);
    h->memory = h2_memory_new(NULL);
    buffer_init(&h->out, connection_pool(c));
    list_init(&h->streams);
    h->codec = codec_h2_new(&o, &h2, &callbacks, h, &h->out, h->memory);
    codec_mux(h->codec)->stream_limit = STREAM_LIMIT;
    sim_h2_inside--;
    return h;
}

void sim_h2_free(struct sim_h2 **hp)
{
    struct sim_h2 *h = *hp;
    if (!h)
        return;
    h->codec->ops->free(&h->codec);
    for (struct list *l; (l = list_pop_front(&h->streams)) != NULL;) {
        strbuf_fini(&STREAM(l)->text);
        strbuf_fini(&STREAM(l)->send);
        mem_free(STREAM(l));
    }
    buffer_fini(&h->out);
    h2_memory_free(&h->memory);
    arena_free(&h->arena);
    mem_free(h);
    *hp = NULL;
}
