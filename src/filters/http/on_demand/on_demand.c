#include "filters/http/on_demand/on_demand.h"

#include "config/route.h"
#include "config/scoped_routes.h"
#include "dataplane/http/stream.h"
#include "dataplane/upstream/cluster_demand.h"
#include "dataplane/upstream/cluster_manager.h"

struct on_demand_state {
    struct cluster_wait wait;
    struct timer timeout;
    bool waiting;
    bool scope_asked; /* each once a request */
    bool vhost_asked;
    bool cluster_asked;
};

/* Before the stream ends or goes on. */
static void stop(struct http_filter *f)
{
    struct on_demand_state *st = f->state;
    if (!st->waiting)
        return;
    st->waiting = false;
    cluster_demand_cancel(&st->wait);
    timer_stop(&st->timeout);
}

static bool ask(struct http_filter *f);

static void go_on(struct http_filter *f)
{
    struct on_demand_state *st = f->state;
    stop(f);
    if (!st->cluster_asked) /* the wait was for routes */
        stream_refresh_routes(f->stream);
    if (!st->cluster_asked && stream_route(f->stream)->vhost)
        filter_restart(f);
    else if (!ask(f))
        filter_resume(f, FILTER_REQUEST);
}

static void on_settled(struct cluster_wait *w)
{
    go_on(w->owner);
}

static void on_timeout(struct timer *t)
{
    go_on(t->owner);
}

/* timeout_ms 0: until there is an answer, or the stream's own end. */
static void wait_for(struct http_filter *f, enum resource_type type,
                     const struct config_source *source, struct bytes name, uint64_t timeout_ms)
{
    struct on_demand_state *st = f->state;
    struct worker *w = f->stream->worker;
    st->waiting = true;
    st->wait.fn = on_settled;
    st->wait.owner = f;
    timer_init(&st->timeout, w->loop, on_timeout, f);
    if (timeout_ms || type == RESOURCE_CLUSTER)
        timer_start(&st->timeout, timeout_ms);
    cluster_demand_wait(w, type, source, name, &st->wait);
}

/* "routes/a.test", if no virtual host answers for the host and one may come; else data NULL. */
static struct bytes missing_vhost(struct stream *s)
{
    const struct route_config *rc = s->routes;
    if (!rc || !rc->vhds || stream_route(s)->vhost || !s->request.authority.len)
        return BYTES_NONE;
    char *name =
        arena_printf(s->arena, "%.*s/%.*s", BYTES_ARG(rc->name), BYTES_ARG(s->request.authority));
    for (char *p = name + rc->name.len; *p; p++)
        *p = ascii_lower(*p);
    return bytes_of(name);
}

/* The routes of its scope, if they have not come; else data NULL. */
static struct bytes missing_routes(struct stream *s)
{
    stream_route(s);
    return s->scope && !s->scope->routes ? s->scope->rds_name : BYTES_NONE;
}

/* The cluster that the request would go to, if it is not there; else data NULL. */
static struct bytes missing_cluster(struct stream *s)
{
    const struct route_match_result *m = stream_route(s);
    if (!m->route || !m->route->cluster)
        return BYTES_NONE;
    struct bytes name = route_cluster_name(m, &s->request_headers);
    return name.len && !cluster_runtime_get(s->worker, name) ? name : BYTES_NONE;
}

/* True: the request waits. */
static bool ask(struct http_filter *f)
{
    struct on_demand_state *st = f->state;
    struct stream *s = f->stream;
    struct bytes name = st->scope_asked ? BYTES_NONE : missing_routes(s);
    st->scope_asked = true;
    if (name.data) {
        const struct config_source *source = &s->manager->scoped->rds_source;
        wait_for(f, RESOURCE_ROUTE, source, name, source->initial_fetch_timeout_ms);
        return true;
    }
    name = st->vhost_asked ? BYTES_NONE : missing_vhost(s);
    st->vhost_asked = true;
    if (name.data) {
        const struct config_source *source = s->routes->vhds;
        wait_for(f, RESOURCE_VIRTUAL_HOST, source, name, source->initial_fetch_timeout_ms);
        return true;
    }
    const struct on_demand_config *c = filter_route_config(f);
    if (!c)
        c = f->config;
    if (!c->clusters || st->cluster_asked)
        return false;
    st->cluster_asked = true;
    name = missing_cluster(s);
    if (name.data)
        wait_for(f, RESOURCE_CLUSTER, &c->source, name, c->timeout_ms);
    return name.data != NULL;
}

static enum filter_status on_request_headers(struct http_filter *f, struct headers *h, bool end)
{
    return f->stream->worker->demand && ask(f) ? FILTER_PAUSE : FILTER_CONTINUE;
}

static void on_reset(struct http_filter *f, const struct stream_error *why)
{
    stop(f);
}

const struct http_filter_ops on_demand_filter = {
    .factory =
        {
            .name = "envoy.filters.http.on_demand",
            .type_url = "envoy.extensions.filters.http.on_demand.v3.OnDemand",
            .route_type_url = "envoy.extensions.filters.http.on_demand.v3.PerRouteConfig",
            .config_new = on_demand_config_new,
            .route_config_new = on_demand_route_config_new,
            .state_size = sizeof(struct on_demand_state),
        },
    .on_request_headers = on_request_headers,
    .on_reset = on_reset,
    .on_destroy = stop,
};
