#include "main/fetch.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "dataplane/upstream/async_call.h"
#include "main/post_call.h"

struct fetch {
    struct fetcher *home;
    struct strbuf cluster, path, request;
    uint64_t timeout_ms;
    fetch_fn *fn;
    void *arg;
    bool cancelled;   /* config thread */
    struct list link; /* main: in home->live while under way */
    struct async_handle call;
    char *body; /* of the response */
    size_t len, cap;
    struct fetch_result result;
    char error[160];
};

static void fetch_free(void *a, void *b)
{
    struct fetch *f = a;
    strbuf_fini(&f->cluster);
    strbuf_fini(&f->path);
    strbuf_fini(&f->request);
    mem_free(f->body);
    mem_free(f);
}

/* Config thread. A cancelled one is freed by the abort that is on its way. */
static void deliver(void *a, void *b)
{
    struct fetch *f = a;
    if (f->cancelled)
        return;
    f->result.body = bytes_from(f->body, f->len);
    f->result.error = f->error;
    f->fn(f->arg, &f->result);
    fetch_free(f, NULL);
}

static void finish(struct fetch *f, unsigned status)
{
    f->result.status = status;
    list_remove(&f->link);
    post_call(f->home->config_loop, deliver, f, NULL);
}

static bool take(struct fetch *f, struct buffer *data)
{
    size_t n = data->len;
    if (n == 0)
        return true;
    if (n > FETCH_BODY_MAX - f->len || !mem_try_grow(&f->body, &f->cap, f->len + n, 1))
        return false;
    buffer_copy(data, 0, f->body + f->len, n);
    f->len += n;
    buffer_drain(data, n);
    return true;
}

static void on_data(struct async_call *c, struct buffer *data, bool end)
{
    struct fetch *f = c->o.owner;
    if (take(f, data))
        return;
    async_call_cancel(c);
    snprintf(f->error, sizeof(f->error), "its body is too large");
    finish(f, 0);
}

static void on_end(struct async_call *c, const struct async_end *e)
{
    static const char *const words[] = {
        [ASYNC_DONE] = "",
        [ASYNC_NO_CLUSTER] = "unknown cluster",
        [ASYNC_NO_HOST] = "no healthy host",
        [ASYNC_FAILED] = "the connection failed",
        [ASYNC_TIMEOUT] = "request_timeout is over",
        [ASYNC_BAD_RESPONSE] = "the answer cannot be understood",
        [ASYNC_SHUTDOWN] = "shutdown",
    };
    struct fetch *f = c->o.owner;
    snprintf(f->error, sizeof(f->error), "%s%s%.*s", words[e->result], e->text.len ? ": " : "",
             BYTES_ARG(e->text));
    finish(f, e->result == ASYNC_DONE ? headers_status(&c->response) : 0);
}

static const struct async_call_ops ops = {.on_data = on_data, .on_end = on_end};

static void add_head(struct async_call *c, const struct fetch *f)
{
    struct headers *h = &c->request;
    headers_add_id(h, HEADER_METHOD, BYTES("POST"));
    headers_add_id(h, HEADER_PATH, arena_dup(c->arena, strbuf_bytes(&f->path)));
    headers_add_id(h, HEADER_AUTHORITY, c->o.cluster);
    headers_add_id(h, HEADER_SCHEME, BYTES("http"));
    headers_add_id(h, HEADER_CONTENT_TYPE, BYTES("application/json"));
    headers_add_id(h, HEADER_CONTENT_LENGTH,
                   bytes_of(arena_printf(c->arena, "%zu", f->request.len)));
}

/* Main. */
static void begin(void *a, void *b)
{
    struct fetch *f = a;
    struct worker *w = f->home->main_worker;
    struct async_call_options o = {
        .cluster = strbuf_bytes(&f->cluster), .ops = &ops, .owner = f, .timeout_ms = f->timeout_ms};
    struct async_call *c = async_call_new(w, &o);
    struct buffer body;
    f->call = async_handle_of(c);
    list_push_back(&f->home->live, &f->link);
    add_head(c, f);
    buffer_init(&body, w->chunks);
    buffer_add_bytes(&body, strbuf_bytes(&f->request));
    async_call_start(c, false);
    async_call_send_data(c, &body, true);
}

/* Main: whatever became of it, the config thread has lost interest. */
static void abort_fetch(void *a, void *b)
{
    struct fetch *f = a;
    struct async_call *c = async_call_from_handle(f->call);
    if (c)
        async_call_cancel(c);
    list_remove(&f->link);
    post_call(f->home->config_loop, fetch_free, f, NULL);
}

void fetcher_init(struct fetcher *f, struct worker *main_worker, struct loop *config_loop)
{
    f->main_worker = main_worker;
    f->config_loop = config_loop;
    list_init(&f->live);
}

void fetcher_fini(struct fetcher *f)
{
    LIST_EACH(l, &f->live)
    {
        struct fetch *x = LIST_ENTRY(l, struct fetch, link);
        struct async_call *c = async_call_from_handle(x->call);
        if (c)
            async_call_cancel(c);
        list_remove(&x->link);
    }
}

void *fetcher_fetch(struct fetcher *home, const struct fetch_request *q, fetch_fn *fn, void *arg)
{
    struct fetch *f = NEW(struct fetch);
    f->home = home;
    strbuf_add_bytes(&f->cluster, q->cluster);
    strbuf_add_bytes(&f->path, q->path);
    strbuf_add_bytes(&f->request, q->body);
    f->timeout_ms = q->timeout_ms;
    f->fn = fn;
    f->arg = arg;
    list_init(&f->link);
    post_call(home->main_worker->loop, begin, f, NULL);
    return f;
}

void fetcher_cancel(struct fetcher *home, void *fetch)
{
    struct fetch *f = fetch;
    f->cancelled = true;
    post_call(home->main_worker->loop, abort_fetch, f, NULL);
}
