#include "proxy.h"

#include <check.h>
#include <stdio.h>

#include "base/memory.h"
#include "config/descriptors.h"
#include "config/json_read.h"
#include "filters/http/router/router.h"
#include "filters/registry.h"

static void client_on_data(struct connection *c, struct buffer *in, bool end)
{
    struct proxy *p = connection_owner(c);
    while (in->len > 0) {
        struct bytes front = buffer_front(in);
        strbuf_add_bytes(&p->received, front);
        buffer_drain(in, front.len);
    }
}

static void client_on_close(struct connection *c, enum close_reason reason)
{
    struct proxy *p = connection_owner(c);
    p->client = NULL;
    strbuf_add_str(&p->received, "<closed>");
}

static const struct connection_ops client_callbacks = {
    .on_data = client_on_data,
    .on_close = client_on_close,
};

struct route_config *proxy_routes(const char *yaml)
{
    struct error err = ERROR_INIT;
    struct arena *a = arena_new(0);
    struct descriptors *d = descriptors_new();
    struct yaml_node *root = yaml_parse(a, "routes", bytes_of(yaml), &err);
    struct bytes wire;
    ck_assert_msg(root && json_read(d, root, BYTES("envoy.config.route.v3.RouteConfiguration"),
                                    NULL, a, &wire, &err),
                  "%s", error_text(&err));
    struct filter_context filters = {.arena = a};
    struct route_decode_context ctx = {
        .filters = &filters, .registry = &filter_registry, .descriptors = d};
    struct route_config *rc = route_config_decode(&ctx, wire, NULL, &err);
    ck_assert_msg(rc != NULL, "%s", error_text(&err));
    if (!rc->node.pins)
        node_make_pinnable(&rc->node);
    descriptors_free(&d);
    arena_free(&a);
    return rc;
}

static void manager_init(struct proxy *p)
{
    struct http_manager *m = node_new(NODE_HTTP_MANAGER, sizeof(*m), 0, NULL);
    node_make_pinnable(&m->node);
    p->manager = m;
    p->router.dynamic_stats = true;
    p->slots[0] = (struct http_filter_slot){
        .factory = &router_filter.factory,
        .name = BYTES("envoy.filters.http.router"),
        .config = &p->router,
    };
    m->stat_prefix = BYTES("in");
    m->stats = stat_scope_get(p->w->stats, BYTES("http.in"), &http_stat_schema);
    m->filters = p->slots;
    m->n_filters = 1;
    m->server_name = BYTES("envoy");
    m->max_headers_count = 100;
    m->max_request_headers_kb = 60;
    m->delayed_close_timeout_ms = 1000;
    m->stream_idle_timeout_ms = 300000;
    m->allow_absolute_url = true;
}

static void listener_init(struct proxy *p)
{
    p->listener.name = BYTES("l");
    p->chain.key = BYTES("k");
    p->chain.is_http = true;
    p->binding = node_new(NODE_BINDING, sizeof(*p->binding), 0, NULL);
    node_make_pinnable(&p->binding->node);
    p->binding->chain = &p->chain;
    p->binding->listener_name = p->listener.name;
    p->binding->manager = p->manager;
    p->binding->routes = p->routes;
    p->binding->listener_http_stats =
        stat_scope_get(p->w->stats, BYTES("listener.l.http.in"), &listener_http_stat_schema);
    p->chains[0] = p->binding;
    p->entry.listener = &p->listener;
    p->entry.chains = p->chains;
    p->entry.n_chains = 1;
    p->entry.stats = stat_scope_get(p->w->stats, BYTES("listener.l"), &listener_stat_schema);
    struct snapshot *s = &p->w->snapshots[p->w->n_snapshots - 1];
    s->listeners = (struct pmap)PMAP_INIT(NULL);
    pmap_set(&s->listeners, BYTES("l"), &p->entry);
}

void proxy_add_filter(struct proxy *p, const struct filter_factory *factory)
{
    ck_assert_uint_eq(p->manager->n_filters, 1);
    p->slots[1] = p->slots[0];
    p->slots[0] = (struct http_filter_slot){.factory = factory, .name = bytes_of(factory->name)};
    p->manager->n_filters = 2;
}

struct proxy *proxy_new(const char *yaml)
{
    node_set_pin_slots(3);
    struct route_config *routes = proxy_routes(yaml);
    struct proxy *p = proxy_new_with(routes);
    NODE_UNREF(&routes);
    return p;
}

struct proxy *proxy_new_with(struct route_config *routes)
{
    struct proxy *p = NEW(struct proxy);
    node_set_pin_slots(3);
    p->w = world_new();
    p->routes = NODE_REF(routes);
    http_worker_init(&p->w->worker);
    world_snapshot(p->w);
    world_cluster(p->w, 0, 1);
    world_cluster(p->w, 1, 2);
    world_cluster(p->w, 2, 0);
    manager_init(p);
    listener_init(p);
    world_adopt(p->w);
    return p;
}

void proxy_free(struct proxy *p)
{
    proxy_client_close(p);
    http_conn_list_close_all(&p->w->worker);
    world_run(p->w);
    http_worker_fini(&p->w->worker);
    for (unsigned i = 0; i < p->w->n_snapshots; i++)
        pmap_fini(&p->w->snapshots[i].listeners);
    stat_scope_unref(&p->manager->stats);
    stat_scope_unref(&p->binding->listener_http_stats);
    stat_scope_unref(&p->entry.stats);
    NODE_UNREF(&p->binding);
    NODE_UNREF(&p->manager);
    NODE_UNREF(&p->routes);
    ck_assert_uint_eq(node_reap(), 0); /* no stream has left a pin */
    strbuf_fini(&p->received);
    world_free(p->w);
    mem_free(p);
}

static void connect_client(struct proxy *p)
{
    struct transport *ends[2];
    struct worker *w = &p->w->worker;
    transport_pair_new(p->w->loop, w->chunks, 0, ends);
    p->client = connection_new(p->w->loop, w->chunks, ends[0], &client_callbacks, p);
    struct connection *c = connection_new(p->w->loop, w->chunks, ends[1], &client_callbacks, NULL);
    http_conn_new(w, c, &p->entry, p->binding);
}

void proxy_send_bytes(struct proxy *p, struct bytes bytes)
{
    if (!p->client)
        connect_client(p);
    connection_write_bytes(p->client, bytes);
    world_run(p->w);
}

void proxy_send(struct proxy *p, const char *text)
{
    proxy_send_bytes(p, bytes_of(text));
}

void proxy_get(struct proxy *p, const char *path, const char *headers)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "GET %s HTTP/1.1\r\nhost: in.host:123\r\n%s\r\n", path, headers);
    proxy_send(p, strbuf_str(&text));
    strbuf_fini(&text);
}

void proxy_client_close(struct proxy *p)
{
    if (p->client)
        connection_close(p->client, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    world_run(p->w);
}

/* A copy that lives until the next call, without carriage returns and "date" lines. */
static const char *plain(struct strbuf *from)
{
    static char text[65536];
    struct bytes rest = strbuf_bytes(from);
    size_t n = 0;
    while (rest.len > 0) {
        struct bytes line = bytes_split(&rest, '\n');
        if (bytes_starts_with(line, BYTES("date: ")))
            continue;
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        ck_assert_uint_lt(n + line.len + 2, sizeof(text));
        memcpy(text + n, line.data, line.len);
        n += line.len;
        if (rest.data)
            text[n++] = '\n';
    }
    text[n] = '\0';
    strbuf_reset(from);
    return text;
}

const char *proxy_received(struct proxy *p)
{
    return plain(&p->received);
}

const char *proxy_forwarded(struct proxy *p)
{
    return plain(&world_origin(p->w, p->w->n_origins - 1)->in);
}

void proxy_answer(struct proxy *p, const char *text)
{
    origin_send(world_origin(p->w, p->w->n_origins - 1), text);
}

void proxy_answer_bytes(struct proxy *p, struct bytes bytes)
{
    connection_write_bytes(world_origin(p->w, p->w->n_origins - 1)->connection, bytes);
    world_run(p->w);
}

int64_t proxy_http_stat(struct proxy *p, enum http_stat id)
{
    return stat_read(p->manager->stats, id, &(bool){false});
}
