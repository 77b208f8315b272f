#include "references.h"

#include "print.h"
#include "types.h"

#include <stdlib.h>
#include <string.h>

#define CLUSTER "envoy.config.cluster.v3.Cluster"
#define ENDPOINTS "envoy.config.endpoint.v3.ClusterLoadAssignment"
#define ROUTES "envoy.config.route.v3.RouteConfiguration"
#define SECRET "envoy.extensions.transport_sockets.tls.v3.Secret"
#define HCM "envoy.extensions.filters.network.http_connection_manager.v3."
#define TCP_PROXY "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"

/* Field `number` of message `from` holds the name of a `to`. With `source`, only where that field
 * (a ConfigSource) says `ads` or `self`. */
struct reference {
    const char *from;
    unsigned number, source;
    const char *to;
};

static const struct reference references[] = {
    {HCM "Rds", 2, 1, ROUTES},
    {"envoy.config.route.v3.RouteAction", 1, 0, CLUSTER},
    {"envoy.config.route.v3.WeightedCluster.ClusterWeight", 1, 0, CLUSTER},
    {"envoy.config.route.v3.RouteAction.RequestMirrorPolicy", 1, 0, CLUSTER},
    {TCP_PROXY, 2, 0, CLUSTER},
    {TCP_PROXY ".WeightedCluster.ClusterWeight", 1, 0, CLUSTER},
    {"envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig", 1, 2, SECRET},
    {"envoy.config.route.v3.ScopedRouteConfiguration", 2, 0, ROUTES},
};

struct walk {
    const struct desc_pool *pool;
    const struct snapshot *snapshot;
    const struct strmap *known_clusters;
    const struct resource *resource;
    struct strmap *out;
    int depth;
};

static bool find(const char *data, size_t len, unsigned number, struct wire_field *out)
{
    struct wire_field w;
    bool hit = false;

    while (wire_next(&data, &len, &w)) {
        if (w.number != number)
            continue;
        *out = w;
        hit = true;
    }
    return hit;
}

/* Does the ConfigSource say `ads` or `self`, so that we are the ones asked? */
static bool is_ours(const struct wire_field *source)
{
    struct wire_field w;

    return find(source->data, source->len, 3, &w) || find(source->data, source->len, 5, &w);
}

static void need(struct walk *w, const char *type, const char *name)
{
    struct text line = {0};
    char *url = type_url_of(type);

    if (!type_set_get(snapshot_type(w->snapshot, url), name) &&
        !(!strcmp(type, CLUSTER) && w->known_clusters && strmap_has(w->known_clusters, name))) {
        const char *from = strrchr(w->resource->type_url, '.');
        const char *to = strrchr(type, '.');

        text_printf(&line, "%s: %s \"%s\" names %s \"%s\", which is not served",
                    w->resource->origin, from ? from + 1 : w->resource->type_url, w->resource->name,
                    to + 1, name);
        strmap_put(w->out, text_str(&line));
        text_fini(&line);
    }
    free(url);
}

static void check_message(struct walk *w, const struct desc_message *m, const char *data,
                          size_t len)
{
    struct wire_field name, source;

    for (size_t i = 0; i < sizeof(references) / sizeof(*references); i++) {
        const struct reference *r = &references[i];
        char *text;

        if (strcmp(r->from, m->full_name) || !find(data, len, r->number, &name) || !name.len)
            continue;
        if (r->source && (!find(data, len, r->source, &source) || !is_ours(&source)))
            continue;
        text = mem_bytes(name.data, name.len);
        need(w, r->to, text);
        free(text);
    }
}

/* A cluster of type EDS wants a ClusterLoadAssignment of its service_name, or of its own name. */
static void check_cluster(struct walk *w, const char *data, size_t len)
{
    struct wire_field type, eds, source, name;
    char *text;

    if (!find(data, len, 2, &type) || type.value != 3 || !find(data, len, 3, &eds))
        return;
    if (!find(eds.data, eds.len, 1, &source) || !is_ours(&source))
        return;
    if (!find(eds.data, eds.len, 2, &name) && !find(data, len, 1, &name))
        return;
    text = mem_bytes(name.data, name.len);
    need(w, ENDPOINTS, text);
    free(text);
}

static void visit(struct walk *w, const struct desc_message *m, const char *data, size_t len);

static void visit_any(struct walk *w, const char *data, size_t len)
{
    struct wire_field url, value;
    const struct desc_message *m;
    char *text;

    if (!find(data, len, 1, &url) || !find(data, len, 2, &value))
        return;
    text = mem_bytes(url.data, url.len);
    m = desc_find(w->pool, text);
    free(text);
    if (m)
        visit(w, m, value.data, value.len);
}

static void visit(struct walk *w, const struct desc_message *m, const char *data, size_t len)
{
    struct wire_field field;

    if (w->depth >= 100)
        return;
    w->depth++;
    if (!strcmp(m->full_name, "google.protobuf.Any"))
        visit_any(w, data, len);
    check_message(w, m, data, len);
    if (!strcmp(m->full_name, CLUSTER))
        check_cluster(w, data, len);
    while (wire_next(&data, &len, &field)) {
        const struct desc_field *f = desc_field_numbered(m, field.number);

        if (f && f->message && field.wire_type == 2)
            visit(w, f->message, field.data, field.len);
    }
    w->depth--;
}

void references_check(const struct desc_pool *pool, const struct snapshot *s,
                      const struct strmap *known_clusters, struct strmap *out)
{
    struct walk w = {.pool = pool, .snapshot = s, .known_clusters = known_clusters, .out = out};

    for (size_t i = 0; i < s->count; i++) {
        const struct type_set *t = &s->types[i];
        const struct desc_message *m = desc_find(pool, t->type_url);

        for (size_t j = 0; m && j < t->count; j++) {
            w.resource = t->items[j];
            visit(&w, m, w.resource->value, w.resource->len);
        }
    }
}
