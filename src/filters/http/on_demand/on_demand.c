#include "filters/http/on_demand/on_demand.h"

#include "config/route.h"
#include "dataplane/http/stream.h"
#include "dataplane/upstream/cluster_demand.h"
#include "dataplane/upstream/cluster_manager.h"

struct on_demand_state {
    struct cluster_wait wait;
    struct timer timeout;
    bool waiting;
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

static void go_on(struct http_filter *f)
{
    stop(f);
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

/* The cluster that the request would go to, if it is not there; else data NULL. */
static struct bytes missing_cluster(struct stream *s)
{
    const struct route_match_result *m = stream_route(s);
    if (!m->route || !m->route->cluster)
        return BYTES_NONE;
    struct bytes name = route_cluster_name(m, &s->request_headers);
    return name.len && !cluster_runtime_get(s->worker, name) ? name : BYTES_NONE;
}

static enum filter_status on_request_headers(struct http_filter *f, struct headers *h, bool end)
{
    struct on_demand_state *st = f->state;
    struct stream *s = f->stream;
    const struct on_demand_config *c = filter_route_config(f);
    if (!c)
        c = f->config;
    struct bytes name = c->clusters && s->worker->demand ? missing_cluster(s) : BYTES_NONE;
    if (!name.data)
        return FILTER_CONTINUE;
    st->waiting = true;
    st->wait.fn = on_settled;
    st->wait.owner = f;
    timer_init(&st->timeout, s->worker->loop, on_timeout, f);
    timer_start(&st->timeout, c->timeout_ms);
    cluster_demand_wait(s->worker, &c->source, name, &st->wait);
    return FILTER_PAUSE;
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
