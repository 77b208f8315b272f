#include "admin/admin_grpc.h"

#include <stdio.h>
#include <string.h>

#include "admin/csds_answer.h"
#include "admin/pages.h"
#include "base/memory.h"
#include "dataplane/http/grpc_status.h"
#include "dataplane/http/stream.h"

enum {
    PREFIX = 5,
    REQUEST_MAX = 64 * 1024, /* a message, and what waits behind it */
    INVALID_ARGUMENT = 3,
    PERMISSION_DENIED = 7,
    RESOURCE_EXHAUSTED = 8,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
};

static const char service[] = "/envoy.service.status.v3.ClientStatusDiscoveryService/";

struct admin_grpc {
    struct http_filter *filter; /* NULL: the stream is gone */
    struct admin *admin;
    struct csds_answer status; /* of the message that is answered */
    struct strbuf in;          /* of messages */
    struct strbuf out;         /* of the answer on its way */
    size_t at;
    struct timer turn;
    bool unary, request_ended, blocked, headers_sent;
    bool busy;     /* a message is being answered, ... */
    bool waiting;  /* ... on the config thread */
    bool answered; /* some message was */
    bool over;
};

bool admin_grpc_is(struct bytes path, struct bytes content_type)
{
    return bytes_starts_with(path, bytes_of(service)) &&
           bytes_starts_with(content_type, BYTES("application/grpc"));
}

/* --- the response --- */

static void send_headers(struct admin_grpc *g, bool end)
{
    struct headers *h = &g->filter->stream->response_headers;
    headers_set_id(h, HEADER_STATUS, BYTES("200"));
    headers_set_id(h, HEADER_CONTENT_TYPE, BYTES("application/grpc"));
    g->filter->stream->info.details = "admin_filter_response";
    g->headers_sent = true;
    filter_respond_headers(g->filter, end);
}

/* The stream may end inside, and g with it. */
static void finish(struct admin_grpc *g, unsigned status, const char *text)
{
    struct stream *s = g->filter->stream;
    struct headers *h = g->headers_sent ? &s->response_trailers : &s->response_headers;
    struct http_filter *f = g->filter;
    g->over = true;
    timer_stop(&g->turn);
    if (!g->headers_sent)
        headers_set_id(h, HEADER_STATUS, BYTES("200")); /* stands before the others */
    headers_set_id(h, HEADER_GRPC_STATUS, arena_u64(s->arena, status));
    if (*text)
        headers_set_id(h, HEADER_GRPC_MESSAGE, grpc_message_encode(s->arena, bytes_of(text)));
    if (g->headers_sent)
        filter_respond_trailers(f);
    else
        send_headers(g, true);
}

static void schedule(struct admin_grpc *g)
{
    if (!g->over && !g->waiting && !g->blocked && !timer_pending(&g->turn))
        timer_start_ns(&g->turn, 1);
}

static void send_slice(struct admin_grpc *g)
{
    struct bytes now = bytes_first(bytes_skip(strbuf_bytes(&g->out), g->at), ADMIN_SLICE);
    struct buffer data;
    if (!g->headers_sent)
        send_headers(g, false);
    buffer_init(&data, g->filter->stream->worker->chunks);
    buffer_add_bytes(&data, now);
    g->at += now.len;
    if (g->at == g->out.len) {
        strbuf_fini(&g->out);
        g->at = 0;
        g->busy = false;
        g->answered = true;
    }
    schedule(g);
    filter_respond_data(g->filter, &data, false);
}

/* --- the answer to one message --- */

static void destroy(struct admin_grpc *g)
{
    if (g->busy)
        csds_answer_fini(&g->status);
    strbuf_fini(&g->in);
    strbuf_fini(&g->out);
    mem_free(g);
}

static void build(struct builder *b, void *arg)
{
    csds_answer_step(b, &((struct admin_grpc *)arg)->status);
}

static void built(void *arg);

static void ask(struct admin_grpc *g)
{
    const struct admin_table *t = &g->status.admin->table;
    g->waiting = true;
    t->ask_config(t->ctx, build, built, g);
}

/* A whole answer, with its length before it. */
static void take_answer(struct admin_grpc *g)
{
    struct strbuf *from = &g->status.out;
    size_t len = from->len;
    const char prefix[PREFIX] = {0, (char)(len >> 24), (char)(len >> 16), (char)(len >> 8),
                                 (char)len};
    strbuf_insert(from, 0, prefix, sizeof(prefix));
    g->out = *from;
    *from = (struct strbuf)STRBUF_INIT;
    g->at = 0;
    csds_answer_fini(&g->status);
}

static void built(void *arg)
{
    struct admin_grpc *g = arg;
    g->waiting = false;
    if (!g->filter) {
        destroy(g);
        return;
    }
    if (error_is_set(&g->status.err)) {
        char text[512];
        bool long_answer = g->status.out.len > 0;
        snprintf(text, sizeof(text), "%s", error_text(&g->status.err));
        csds_answer_fini(&g->status);
        g->busy = false;
        finish(g, long_answer ? RESOURCE_EXHAUSTED : INVALID_ARGUMENT, text);
        return;
    }
    if (!g->status.finished) {
        ask(g);
        return;
    }
    take_answer(g);
    schedule(g);
}

/* --- the request --- */

/* The first message that has come, whole. False: there is none, or it is over. */
static bool begin_message(struct admin_grpc *g)
{
    const unsigned char *p = (const unsigned char *)g->in.data;
    if (g->in.len < PREFIX)
        return false;
    size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (p[0] || len > REQUEST_MAX) {
        finish(g, p[0] ? INTERNAL : RESOURCE_EXHAUSTED,
               p[0] ? "compressed messages are not understood" : "the request is too long");
        return false;
    }
    if (g->in.len - PREFIX < len)
        return false;
    csds_answer_init(&g->status, g->admin, false);
    strbuf_add(&g->status.request, g->in.data + PREFIX, len);
    memmove(g->in.data, g->in.data + PREFIX + len, g->in.len - PREFIX - len);
    strbuf_cut(&g->in, g->in.len - PREFIX - len);
    g->busy = true;
    ask(g);
    return true;
}

static void on_turn(struct timer *t)
{
    struct admin_grpc *g = t->owner;
    if (g->over || g->waiting || g->blocked)
        return;
    if (g->busy)
        send_slice(g);
    else if (g->unary && g->answered)
        finish(g, 0, "");
    else if (begin_message(g) || g->over)
        return;
    else if (g->request_ended && (g->in.len || (g->unary && !g->answered)))
        finish(g, INTERNAL, "a message is missing, or cut off");
    else if (g->request_ended)
        finish(g, 0, "");
}

void admin_grpc_data(struct admin_grpc *g, struct buffer *data, bool end)
{
    size_t room = PREFIX + REQUEST_MAX + ADMIN_SLICE - g->in.len;
    if (!g->over && data->len > room) {
        buffer_drain(data, data->len);
        finish(g, RESOURCE_EXHAUSTED, "too many requests wait for their answers");
        return;
    }
    while (data->len && !g->over) {
        struct bytes front = buffer_front(data);
        strbuf_add_bytes(&g->in, front);
        buffer_drain(data, front.len);
    }
    buffer_drain(data, data->len);
    g->request_ended |= end;
    schedule(g);
}

void admin_grpc_end(struct admin_grpc *g)
{
    g->request_ended = true;
    schedule(g);
}

void admin_grpc_watermark(struct admin_grpc *g, bool above)
{
    g->blocked = above;
    schedule(g);
}

static void on_refusal(struct timer *t)
{
    struct admin_grpc *g = t->owner;
    if (!g->over)
        finish(g, PERMISSION_DENIED, "this caller may not ask");
}

static void on_unknown(struct timer *t)
{
    struct admin_grpc *g = t->owner;
    if (!g->over)
        finish(g, UNIMPLEMENTED, "the service has no such method");
}

struct admin_grpc *admin_grpc_new(struct http_filter *f, struct admin *a, const char *refused)
{
    struct admin_grpc *g = NEW(struct admin_grpc);
    struct bytes method = bytes_skip(f->stream->request.path, sizeof(service) - 1);
    bool stream = bytes_eq(method, BYTES("StreamClientStatus"));
    void (*fn)(struct timer * t) = on_turn;
    g->filter = f;
    g->admin = a;
    g->unary = bytes_eq(method, BYTES("FetchClientStatus"));
    if (refused)
        fn = on_refusal;
    else if (!g->unary && !stream)
        fn = on_unknown;
    timer_init(&g->turn, f->stream->worker->loop, fn, g);
    if (fn != on_turn)
        schedule(g);
    else if (stream)
        stream_set_idle_timeout(f->stream, 0); /* who asks now and then */
    return g;
}

void admin_grpc_free(struct admin_grpc **gp)
{
    struct admin_grpc *g = *gp;
    *gp = NULL;
    if (!g)
        return;
    timer_stop(&g->turn);
    g->filter = NULL;
    g->over = true;
    if (!g->waiting)
        destroy(g);
}
