#include "dataplane/upstream/async_call.h"

#include "base/memory.h"
#include "config/http_manager.h"
#include "dataplane/http/grpc_status.h"
#include "dataplane/upstream/async_grpc.h"
#include "dataplane/upstream/server_name.h"

enum { ARENA_FIRST = 2048, ARENAS_KEPT = 64 };

struct async_calls {
    struct worker *worker;
    struct list live, dead, free;
    struct defer reap;
    struct stat_scope *stats; /* http.async-client */
    unsigned n_live, n_arenas;
    bool ending;
};

/* --- life --- */

static void give_back(struct async_call *c)
{
    struct async_calls *all = c->calls;
    pool_request_cancel(&c->out.request);
    buffer_fini(&c->out.body);
    buffer_fini(&c->in);
    outgoing_fini(&c->out);
    if (c->host)
        host_state_release(c->host);
    c->host = NULL;
    if (c->cluster)
        cluster_runtime_done(c->cluster);
    c->cluster = NULL;
    if (all->n_arenas < ARENAS_KEPT && !HEAP_IS_WATCHED) {
        arena_reset(c->arena);
        all->n_arenas++;
    } else {
        arena_free(&c->arena);
    }
    list_push_front(&all->free, &c->link);
}

static void reap(struct defer *d)
{
    struct async_calls *all = d->owner;
    struct list *l;
    while ((l = list_pop_front(&all->dead)) != NULL)
        give_back(LIST_ENTRY(l, struct async_call, link));
}

/* The pool may still be inside of a call that names it: it goes back at the end of the turn. */
static void bury(struct async_call *c)
{
    struct async_calls *all = c->calls;
    c->state = ASYNC_OVER;
    c->generation++;
    timer_rest(&c->timeout);
    defer_cancel(&c->later);
    if (!c->out.ended || !c->response_ended) /* otherwise the pool is about to let go of it */
        pool_request_cancel(&c->out.request);
    list_remove(&c->link);
    list_push_back(&all->dead, &c->link);
    all->n_live--;
    if (!all->ending)
        defer_schedule(&all->reap);
}

bool async_call_over(const struct async_call *c)
{
    return c->state == ASYNC_OVER;
}

/* The stream that it was made for is gone: there is nobody to tell. */
static bool orphaned(struct async_call *c)
{
    if (!c->o.stream.stream || stream_from_handle(c->o.stream))
        return false;
    bury(c);
    return true;
}

void async_call_finish(struct async_call *c, const struct async_end *e)
{
    if (async_call_over(c) || orphaned(c))
        return;
    bury(c);
    c->o.ops->on_end(c, e);
}

void async_call_cancel(struct async_call *c)
{
    CHECK_MAGIC(c, ASYNC_CALL_MAGIC);
    if (!async_call_over(c))
        bury(c);
}

/* --- statistics, as Envoy's own client has them --- */

static void charge_host(struct async_call *c, bool failed)
{
    if (c->host)
        host_state_answered(c->host, failed);
}

/* NULL: it ends without trailers, or is cut off. */
static void charge_call(struct async_call *c, const struct headers *trailers)
{
    if (c->called)
        charge_host(c, grpc_server_failed(trailers));
    c->called = false;
}

static void charge(struct async_call *c, unsigned status)
{
    if (!c->cluster)
        return;
    unsigned slot = c->calls->worker->slot;
    bool failed = status >= 500 && status < 600;
    c->called = c->grpc && c->headers_seen && !failed;
    if (!c->called)
        charge_host(c, failed);
    stat_code(c->cluster->stats, slot, STAT_UPSTREAM_RQ, status);
    stat_code(c->cluster->stats, slot, STAT_INTERNAL_UPSTREAM_RQ, status);
    cluster_stat_inc(c->cluster, STAT_UPSTREAM_RQ_COMPLETED);
    cluster_stat_inc(c->cluster, STAT_INTERNAL_UPSTREAM_RQ_COMPLETED);
}

static void charge_time(struct async_call *c)
{
    uint64_t ms = (loop_now_ns(c->calls->worker->loop) - c->start_ns) / NS_PER_MS;
    if (!c->out.ended)
        return;
    stat_record(c->cluster->stats, c->calls->worker->slot, STAT_UPSTREAM_RQ_TIME, ms);
    stat_record(c->cluster->stats, c->calls->worker->slot, STAT_INTERNAL_UPSTREAM_RQ_TIME, ms);
}

/* --- ends --- */

static void fail(struct async_call *c, enum async_result result, enum upstream_failure why,
                 struct bytes text)
{
    struct async_end e = {result, why, async_grpc_status_of(result), text};
    if (!c->headers_seen && !async_call_over(c))
        charge(c, result == ASYNC_TIMEOUT ? 504 : 503);
    else if (result == ASYNC_FAILED)
        charge_call(c, NULL);
    async_call_finish(c, &e);
}

static void on_later(struct defer *d)
{
    struct async_call *c = d->owner;
    fail(c, c->failed.result, c->failed.why, BYTES_NONE);
}

static void fail_later(struct async_call *c, enum async_result result, enum upstream_failure why)
{
    c->failed = (struct async_end){.result = result, .why = why};
    defer_schedule(&c->later);
}

static void on_timeout(struct timer *t)
{
    struct async_call *c = t->owner;
    if (c->cluster)
        cluster_stat_inc(c->cluster, STAT_UPSTREAM_RQ_TIMEOUT);
    fail(c, ASYNC_TIMEOUT, UPSTREAM_LOCAL_CLOSE, BYTES_NONE);
}

static void done(struct async_call *c)
{
    struct async_end e = {.result = ASYNC_DONE};
    charge_time(c);
    async_call_finish(c, &e);
}

/* --- the pool's callbacks --- */

static void set_above(struct async_call *c, bool above)
{
    if (c->above == above || async_call_over(c))
        return;
    c->above = above;
    if (c->o.ops->on_watermark && !orphaned(c))
        c->o.ops->on_watermark(c, above);
}

/* told: from the loop, not from inside of async_call_start(). */
static void send_all(struct async_call *c, bool told)
{
    c->state = ASYNC_ACTIVE;
    outgoing_send(&c->out);
    if (c->o.ops->on_connected && told)
        c->o.ops->on_connected(c);
    if (c->state == ASYNC_ACTIVE && c->out.request.conn)
        set_above(c, pool_request_above(&c->out.request));
}

static void on_ready(struct pool_request *r)
{
    struct async_call *c = r->owner;
    if (!orphaned(c))
        send_all(c, true);
}

static bool get_connection(struct async_call *c, struct conn_pool *pool, bool told)
{
    c->state = ASYNC_WAITING;
    switch (conn_pool_get(pool, &c->out.request)) {
    case POOL_READY:
        send_all(c, told);
        return true;
    case POOL_PENDING:
        return true;
    case POOL_OVERFLOW:
    case POOL_OVERFLOW_ACTIVE:
        break;
    }
    return false;
}

/* What the upstream has not touched goes to another connection while all of it is here. */
static bool try_again(struct async_call *c, enum upstream_failure why)
{
    return !c->headers_seen && outgoing_repeats(&c->out, why) &&
           get_connection(c, c->out.request.pool, true);
}

static void on_failure(struct pool_request *r, enum upstream_failure why, struct bytes text)
{
    struct async_call *c = r->owner;
    if (!orphaned(c) && !try_again(c, why))
        fail(c, ASYNC_FAILED, why, text);
}

static void on_informational(struct pool_request *r)
{
    struct async_call *c = r->owner;
    outgoing_forget_interim(&c->out);
}

static void on_headers(struct pool_request *r, bool end)
{
    struct async_call *c = r->owner;
    if (orphaned(c))
        return;
    c->headers_seen = true;
    c->response_ended = end;
    charge(c, headers_status(&c->response));
    if (end)
        charge_call(c, &c->response);
    if (c->grpc) {
        async_grpc_on_headers(c, end);
        return;
    }
    if (c->o.ops->on_headers)
        c->o.ops->on_headers(c, end);
    if (end && !async_call_over(c))
        done(c);
}

static void on_data(struct pool_request *r, struct buffer *data, bool end)
{
    struct async_call *c = r->owner;
    c->response_ended = end;
    if (orphaned(c))
        return;
    if (end)
        charge_call(c, NULL);
    if (c->grpc) {
        async_grpc_on_data(c, data, end);
        return;
    }
    if (c->o.ops->on_data)
        c->o.ops->on_data(c, data, end);
    if (end && !async_call_over(c))
        done(c);
}

static void on_trailers(struct pool_request *r)
{
    struct async_call *c = r->owner;
    c->response_ended = true;
    if (orphaned(c))
        return;
    charge_call(c, &c->trailers);
    if (c->grpc) {
        async_grpc_on_trailers(c);
        return;
    }
    if (c->o.ops->on_trailers)
        c->o.ops->on_trailers(c);
    if (!async_call_over(c))
        done(c);
}

static void on_watermark(struct pool_request *r, bool above)
{
    set_above(r->owner, above);
}

static const struct pool_request_ops pool_ops = {
    .on_ready = on_ready,
    .on_failure = on_failure,
    .on_informational = on_informational,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_watermark = on_watermark,
};

/* --- the user's side --- */

static struct async_call *take(struct async_calls *all)
{
    struct list *l = list_pop_front(&all->free);
    struct async_call *c = l ? LIST_ENTRY(l, struct async_call, link) : NEW(struct async_call);
    if (!l) {
        c->calls = all;
        list_init(&c->link);
        timer_init(&c->timeout, all->worker->loop, on_timeout, c);
        defer_init(&c->later, all->worker->loop, DEFER_FLUSH, on_later, c);
    }
    if (c->arena)
        all->n_arenas--;
    else
        c->arena = arena_new(ARENA_FIRST);
    return c;
}

struct async_call *async_call_new(struct worker *w, const struct async_call_options *o)
{
    struct async_calls *all = w->clusters->async_calls;
    struct async_call *c = take(all);
    c->magic = ASYNC_CALL_MAGIC;
    c->generation++;
    c->o = *o;
    c->o.cluster = arena_dup(c->arena, o->cluster);
    c->state = ASYNC_NEW;
    c->grpc = c->response_ended = false;
    c->headers_seen = c->above = c->called = false;
    headers_init(&c->request, c->arena);
    headers_init(&c->response, c->arena);
    headers_init(&c->trailers, c->arena);
    buffer_init(&c->in, w->chunks);
    outgoing_init(&c->out, &pool_ops, c, &c->response, &c->trailers, w->chunks);
    c->out.headers = &c->request;
    list_push_back(&all->live, &c->link);
    all->n_live++;
    return c;
}

static void begin(struct async_call *c, const struct host *host)
{
    struct server_name name = {0};
    if (c->cluster->wants_tls)
        name = server_name_of_request(c->cluster->entry->cluster, &c->request);
    struct conn_pool *pool = cluster_runtime_pool_named(
        c->cluster, host, c->o.priority, c->grpc ? PROTOCOL_HTTP2 : PROTOCOL_HTTP11, &name);
    c->host = host->state;
    host_state_hold(c->host);
    if (!get_connection(c, pool, false))
        fail_later(c, ASYNC_FAILED, UPSTREAM_OVERFLOW);
}

void async_call_start(struct async_call *c, bool end)
{
    struct worker *w = c->calls->worker;
    CHECK(c->state == ASYNC_NEW);
    c->state = ASYNC_WAITING;
    c->out.ended |= end;
    c->start_ns = loop_now_ns(w->loop);
    headers_set(&c->request, BYTES("x-envoy-internal"), BYTES("true"));
    stat_inc(c->calls->stats, w->slot, STAT_ASYNC_RQ_TOTAL);
    if (c->o.timeout_ms)
        timer_start(&c->timeout, c->o.timeout_ms);
    c->cluster = cluster_runtime_get(w, c->o.cluster);
    if (!c->cluster) {
        stat_inc(c->calls->stats, w->slot, STAT_ASYNC_NO_CLUSTER);
        fail_later(c, ASYNC_NO_CLUSTER, UPSTREAM_LOCAL_CLOSE);
        return;
    }
    cluster_runtime_use(c->cluster);
    const struct host *host = cluster_runtime_pick(c->cluster, NULL);
    if (host)
        begin(c, host);
    else
        fail_later(c, ASYNC_NO_HOST, UPSTREAM_LOCAL_CLOSE);
}

void async_call_send_data(struct async_call *c, struct buffer *data, bool end)
{
    CHECK(!c->out.ended || async_call_over(c));
    c->out.ended |= end;
    switch (c->state) {
    case ASYNC_ACTIVE:
        if (!c->out.request.conn) /* the response is complete already */
            break;
        c->out.body_sent = true;
        pool_request_send_data(&c->out.request, data, end);
        return;
    case ASYNC_NEW:
    case ASYNC_WAITING:
        buffer_move(&c->out.body, data);
        if (c->cluster && c->cluster->params.buffer_limit &&
            c->out.body.len > c->cluster->params.buffer_limit)
            set_above(c, true);
        return;
    case ASYNC_OVER:
        break;
    }
    buffer_drain(data, data->len);
}

void async_call_read_pause(struct async_call *c)
{
    if (c->state == ASYNC_ACTIVE)
        pool_request_read_pause(&c->out.request);
}

void async_call_read_resume(struct async_call *c)
{
    if (c->state == ASYNC_ACTIVE)
        pool_request_read_resume(&c->out.request);
}

/* --- all of a worker --- */

struct async_calls *async_calls_new(struct worker *w)
{
    struct async_calls *all = NEW(struct async_calls);
    all->worker = w;
    list_init(&all->live);
    list_init(&all->dead);
    list_init(&all->free);
    defer_init(&all->reap, w->loop, DEFER_REAP, reap, all);
    all->stats = stat_scope_get(w->stats, BYTES("http.async-client"), &async_client_stat_schema);
    return all;
}

void async_calls_free(struct async_calls **calls)
{
    struct async_calls *all = *calls;
    struct list *l;
    *calls = NULL;
    if (!all)
        return;
    all->ending = true;
    while ((l = list_first(&all->live)) != NULL) {
        struct async_end e = {.result = ASYNC_SHUTDOWN, .grpc_status = GRPC_UNAVAILABLE};
        async_call_finish(LIST_ENTRY(l, struct async_call, link), &e);
    }
    defer_cancel(&all->reap);
    reap(&all->reap);
    while ((l = list_pop_front(&all->free)) != NULL) {
        struct async_call *c = LIST_ENTRY(l, struct async_call, link);
        timer_stop(&c->timeout);
        defer_cancel(&c->later);
        arena_free(&c->arena);
        mem_free(c);
    }
    stat_scope_unref(&all->stats);
    mem_free(all);
}

unsigned async_calls_live(const struct worker *w)
{
    return w->clusters->async_calls->n_live;
}
