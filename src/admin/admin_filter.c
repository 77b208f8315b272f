#include "admin/admin_filter.h"

#include <stdio.h>

#include "admin/admin.h"
#include "admin/admin_grpc.h"
#include "admin/admin_guard.h"
#include "admin/pages.h"
#include "base/memory.h"
#include "dataplane/http/stream.h"

/* Per stream. The page outlives the stream only while it waits for the config thread. */
struct state {
    struct http_filter *filter;
    struct admin_page *page;
    struct admin_grpc *grpc; /* CSDS; NULL: a page */
    struct timer turn;       /* the next slice: in a turn of its own */
    struct strbuf form;      /* the body of a form or of a question, as far as it is looked at */
    bool is_form, blocked, headers_sent, done;
};

enum { FORM_MAX = 64 * 1024 };

static struct state *state_of(struct http_filter *f)
{
    return f->state;
}

static void schedule(struct state *s)
{
    if (s->page && !s->page->waiting && !s->blocked && !s->done && !timer_pending(&s->turn))
        timer_start_ns(&s->turn, 1);
}

static void send_headers(struct state *s)
{
    struct http_filter *f = s->filter;
    struct headers *h = &f->stream->response_headers;
    char status[8];
    snprintf(status, sizeof(status), "%u", s->page->status);
    headers_set_id(h, HEADER_STATUS, arena_dup(f->stream->arena, bytes_of(status)));
    headers_add_id(h, HEADER_CONTENT_TYPE, bytes_of(s->page->content_type));
    headers_add(h, BYTES("cache-control"), BYTES("no-cache, max-age=0"));
    headers_add(h, BYTES("x-content-type-options"), BYTES("nosniff"));
    f->stream->info.details = "admin_filter_response";
    s->headers_sent = true;
    filter_respond_headers(f, false);
}

static void on_turn(struct timer *t)
{
    struct state *s = t->owner;
    struct http_filter *f = s->filter;
    struct strbuf slice = STRBUF_INIT;
    struct buffer data;
    if (!s->headers_sent)
        send_headers(s);
    bool more = s->page->next(s->page, &slice);
    s->done = !more;
    if (more && slice.len == 0) {
        schedule(s);
        return;
    }
    buffer_init(&data, f->stream->worker->chunks);
    buffer_add_bytes(&data, strbuf_bytes(&slice));
    strbuf_fini(&slice);
    filter_respond_data(f, &data, !more); /* may end the stream, and with it `s` */
    buffer_fini(&data);
    if (more)
        schedule(s);
}

static void on_ready(void *owner)
{
    schedule(owner);
}

/* NULL: the caller may go on. */
static const char *refusal(const struct stream *stream)
{
    struct admin_caller caller = {
        .method = stream->request.method,
        .host = stream->request.authority,
        .origin = headers_get_name(&stream->request_headers, BYTES("origin")),
        .fetch_site = headers_get_name(&stream->request_headers, BYTES("sec-fetch-site")),
        .loopback = address_is_loopback(&stream->remote)};
    return admin_guard(&caller);
}

static struct admin_page *page_of(struct http_filter *f)
{
    struct stream *stream = f->stream;
    struct state *s = state_of(f);
    const char *refused = refusal(stream);
    if (refused)
        return page_error(403, "%s", refused);
    return admin_open((struct admin *)f->config, stream->request.method, stream->request.path,
                      s->form.len ? strbuf_bytes(&s->form) : BYTES_NONE);
}

static void open_page(struct http_filter *f)
{
    struct state *s = state_of(f);
    s->page = page_of(f);
    s->page->on_ready = on_ready;
    s->page->owner = s;
    schedule(s);
}

static enum filter_status on_request_headers(struct http_filter *f, struct headers *h, bool end)
{
    struct state *s = state_of(f);
    s->filter = f;
    struct bytes type = headers_get(h, HEADER_CONTENT_TYPE);
    s->is_form = bytes_starts_with(type, BYTES("application/x-www-form-urlencoded")) ||
                 admin_takes_body(f->stream->request.path_only);
    timer_init(&s->turn, f->stream->worker->loop, on_turn, s);
    if (admin_grpc_is(f->stream->request.path_only, type)) {
        s->grpc = admin_grpc_new(f, (struct admin *)f->config, refusal(f->stream));
        if (end)
            admin_grpc_end(s->grpc);
        return FILTER_CONTINUE;
    }
    if (end)
        open_page(f);
    return FILTER_PAUSE;
}

static enum filter_status on_request_data(struct http_filter *f, struct buffer *data, bool end)
{
    struct state *s = state_of(f);
    if (s->grpc) {
        admin_grpc_data(s->grpc, data, end);
        return FILTER_TAKEN;
    }
    size_t room = FORM_MAX - s->form.len, n = data->len < room ? data->len : room;
    if (s->is_form && n) {
        strbuf_reserve(&s->form, n);
        buffer_copy(data, 0, s->form.data + s->form.len, n);
        s->form.len += n;
    }
    buffer_drain(data, data->len);
    if (end && !s->page)
        open_page(f);
    return FILTER_TAKEN;
}

static enum filter_status on_request_trailers(struct http_filter *f, struct headers *h)
{
    struct state *s = state_of(f);
    if (s->grpc)
        admin_grpc_end(s->grpc);
    else if (!s->page)
        open_page(f);
    return FILTER_PAUSE;
}

static void on_watermark(struct http_filter *f, bool above)
{
    struct state *s = state_of(f);
    s->blocked = above;
    if (s->grpc)
        admin_grpc_watermark(s->grpc, above);
    if (!above && s->page)
        schedule(s);
}

static void on_destroy(struct http_filter *f)
{
    struct state *s = state_of(f);
    if (!s->filter)
        return;
    timer_stop(&s->turn);
    if (s->page)
        s->page->free(s->page);
    s->page = NULL;
    admin_grpc_free(&s->grpc);
    strbuf_fini(&s->form);
}

const struct http_filter_ops admin_filter_ops = {
    .factory = {.name = "xylem.admin", .terminal = true, .state_size = sizeof(struct state)},
    .on_request_headers = on_request_headers,
    .on_request_data = on_request_data,
    .on_request_trailers = on_request_trailers,
    .on_downstream_watermark = on_watermark,
    .on_destroy = on_destroy,
};
