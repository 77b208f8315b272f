#include "dataplane/http/codec_tcp.h"

#include "base/memory.h"

struct codec_stream {
    struct codec_tcp *tcp;
    void *user; /* NULL: nobody listens */
};

struct codec_tcp {
    struct codec c;
    struct codec_stream stream;
};

static struct codec_tcp *of(struct codec *c)
{
    return CONTAINER_OF(c, struct codec_tcp, c);
}

static bool tcp_input(struct codec *c, struct buffer *in)
{
    struct codec_tcp *t = of(c);
    if (c->bytes)
        c->bytes->received += in->len;
    if (t->stream.user && in->len)
        c->cb->on_data(c->owner, t->stream.user, in, false);
    buffer_drain(in, in->len);
    return true;
}

static bool tcp_input_eof(struct codec *c)
{
    struct codec_tcp *t = of(c);
    struct buffer none;
    buffer_init(&none, c->out->pool);
    if (t->stream.user)
        c->cb->on_data(c->owner, t->stream.user, &none, true);
    buffer_fini(&none);
    return false;
}

static struct codec_stream *tcp_stream_new(struct codec *c, void *user, struct headers *response)
{
    struct codec_tcp *t = of(c);
    t->stream.user = user;
    return &t->stream;
}

static void tcp_set_trailers(struct codec_stream *s, struct headers *trailers)
{
}

static void tcp_send_head(struct codec_stream *s, const struct headers *h)
{
}

static void tcp_send_headers(struct codec_stream *s, const struct headers *h, bool end)
{
}

static void tcp_send_data(struct codec_stream *s, struct buffer *data, bool end)
{
    if (s->tcp->c.bytes)
        s->tcp->c.bytes->sent += data->len;
    buffer_move(s->tcp->c.out, data);
}

static void tcp_stream_reset(struct codec_stream *s, uint32_t http2_code)
{
    s->user = NULL;
}

static bool tcp_reusable(const struct codec *c)
{
    return false;
}

static void tcp_drain(struct codec *c)
{
}

static void tcp_free(struct codec **c)
{
    if (*c)
        mem_free(of(*c));
    *c = NULL;
}

static const struct codec_ops tcp_ops = {
    .name = "tcp",
    .input = tcp_input,
    .input_eof = tcp_input_eof,
    .stream_new = tcp_stream_new,
    .set_trailers = tcp_set_trailers,
    .send_headers = tcp_send_headers,
    .send_informational = tcp_send_head,
    .send_data = tcp_send_data,
    .send_trailers = tcp_send_head,
    .stream_reset = tcp_stream_reset,
    .reusable = tcp_reusable,
    .drain = tcp_drain,
    .free = tcp_free,
};

struct codec *codec_tcp_new(const struct codec_callbacks *cb, void *owner, struct buffer *out)
{
    struct codec_tcp *t = NEW(struct codec_tcp);
    t->c = (struct codec){.ops = &tcp_ops, .cb = cb, .owner = owner, .out = out};
    t->stream.tcp = t;
    return &t->c;
}
