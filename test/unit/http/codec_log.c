#include "codec_log.h"

const struct codec_options codec_log_server = {
    .downstream = true,
    .max_headers_bytes = 60 * 1024,
    .max_headers_count = 100,
    .enable_trailers = true,
    .allow_absolute_url = true,
};
const struct codec_options codec_log_client = {
    .max_headers_bytes = 60 * 1024,
    .max_headers_count = 100,
    .enable_trailers = true,
};

static void end_body(struct codec_log *l)
{
    if (l->in_body)
        strbuf_add_str(&l->text, "\n");
    l->in_body = false;
}

static void print_headers(struct codec_log *l, const struct headers *h)
{
    for (const struct header *e = h->entries; e < h->entries + h->n; e++)
        strbuf_printf(&l->text, "|%.*s=%.*s", BYTES_ARG(e->name), BYTES_ARG(e->value));
}

static void *on_stream_begin(void *owner, struct codec_stream *s, struct headers **headers)
{
    struct codec_log *l = owner;
    l->begun++;
    l->stream = s;
    headers_init(&l->headers, l->arena);
    headers_init(&l->trailers, l->arena);
    *headers = &l->headers;
    l->codec->ops->set_trailers(s, &l->trailers);
    return l;
}

static void finish(struct codec_log *l)
{
    end_body(l);
    strbuf_add_str(&l->text, "end\n");
    if (!l->answer)
        return;
    struct headers h;
    headers_init(&h, l->arena);
    headers_add_id(&h, HEADER_STATUS, BYTES("200"));
    l->codec->ops->send_headers(l->stream, &h, true);
}

static void on_headers(void *owner, void *user, bool end)
{
    struct codec_log *l = owner;
    strbuf_add_str(&l->text, "head");
    print_headers(l, &l->headers);
    strbuf_add_str(&l->text, "\n");
    if (end)
        finish(l);
}

static void on_data(void *owner, void *user, struct buffer *data, bool end)
{
    struct codec_log *l = owner;
    if (data->len && !l->in_body) {
        strbuf_add_str(&l->text, "body ");
        l->in_body = true;
    }
    for (const struct slice *s = data->head; s; s = s->next)
        strbuf_add(&l->text, s->data, s->len);
    if (end)
        finish(l);
}

static void on_trailers(void *owner, void *user)
{
    struct codec_log *l = owner;
    end_body(l);
    strbuf_add_str(&l->text, "trailers");
    print_headers(l, &l->trailers);
    strbuf_add_str(&l->text, "\n");
    finish(l);
}

static void on_reset(void *owner, void *user, const char *reason)
{
    struct codec_log *l = owner;
    end_body(l);
    strbuf_printf(&l->text, "reset %s\n", reason);
}

static void on_error(void *owner, void *user, const struct codec_error *e)
{
    struct codec_log *l = owner;
    end_body(l);
    l->error = e;
    strbuf_printf(&l->text, "error %u %s\n", e->status, e->details);
}

static const struct codec_callbacks callbacks = {
    .on_stream_begin = on_stream_begin,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_error = on_error,
};

void codec_log_init(struct codec_log *l, const struct codec_options *options)
{
    memset(l, 0, sizeof(*l));
    l->chunks = chunk_pool_new(NULL, 0);
    l->arena = arena_new(0);
    buffer_init(&l->in, l->chunks);
    buffer_init(&l->out, l->chunks);
    headers_init(&l->headers, l->arena);
    headers_init(&l->trailers, l->arena);
    l->codec = codec_h1_new(options, &callbacks, l, &l->out);
}

void codec_log_fini(struct codec_log *l)
{
    l->codec->ops->free(&l->codec);
    buffer_fini(&l->in);
    buffer_fini(&l->out);
    chunk_pool_free(&l->chunks);
    arena_free(&l->arena);
    strbuf_fini(&l->text);
}

bool codec_log_feed(struct codec_log *l, struct bytes input, size_t step)
{
    while (input.len) {
        struct bytes part = step ? bytes_first(input, step) : input;
        buffer_add_bytes(&l->in, part);
        input = bytes_skip(input, part.len);
        if (!l->codec->ops->input(l->codec, &l->in)) {
            end_body(l);
            return false;
        }
    }
    return true;
}

const char *codec_log_output(struct codec_log *l)
{
    static char text[8192];
    size_t n = buffer_copy(&l->out, 0, text, sizeof(text) - 1);
    text[n] = '\0';
    buffer_drain(&l->out, l->out.len);
    return text;
}
