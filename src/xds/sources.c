#include "xds/sources.h"

#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "xds/file_source.h"
#include "xds/mux.h"
#include "xds/rest_source.h"

struct xds_sources {
    struct xds_sources_options o;
    struct grpc_runtime *grpc;
    struct builder *builder;
    /* By source key, and for a source that is not aggregated the type, and for secrets and
     * filters the name. */
    struct map muxes, files, rests;
};

/* [false]: state of the world, [true]: delta. */
static const char *const ads_methods[2] = {
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
};
static const char *const type_methods[RESOURCE_TYPE_COUNT][2] = {
    [RESOURCE_CLUSTER] = {"/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters",
                          "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters"},
    [RESOURCE_ENDPOINT] = {"/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints",
                           "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints"},
    [RESOURCE_LISTENER] = {"/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners",
                           "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners"},
    [RESOURCE_ROUTE] = {"/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes",
                        "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes"},
    [RESOURCE_SECRET] = {"/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
                         "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"},
    [RESOURCE_EXTENSION] =
        {"/envoy.service.extension.v3.ExtensionConfigDiscoveryService/StreamExtensionConfigs",
         "/envoy.service.extension.v3.ExtensionConfigDiscoveryService/DeltaExtensionConfigs"},
    [RESOURCE_VIRTUAL_HOST] =
        {NULL, /* refused by the decoder */
         "/envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts"},
    [RESOURCE_SCOPED_ROUTE] =
        {"/envoy.service.route.v3.ScopedRoutesDiscoveryService/StreamScopedRoutes",
         "/envoy.service.route.v3.ScopedRoutesDiscoveryService/DeltaScopedRoutes"},
    [RESOURCE_RUNTIME] = {"/envoy.service.runtime.v3.RuntimeDiscoveryService/StreamRuntime",
                          "/envoy.service.runtime.v3.RuntimeDiscoveryService/DeltaRuntime"},
};

static const char *const rest_paths[RESOURCE_TYPE_COUNT] = {
    [RESOURCE_CLUSTER] = "/v3/discovery:clusters",
    [RESOURCE_ENDPOINT] = "/v3/discovery:endpoints",
    [RESOURCE_LISTENER] = "/v3/discovery:listeners",
    [RESOURCE_ROUTE] = "/v3/discovery:routes",
    [RESOURCE_SECRET] = "/v3/discovery:secrets",
    [RESOURCE_EXTENSION] = "/v3/discovery:extension_configs",
    [RESOURCE_SCOPED_ROUTE] = "/v3/discovery:scoped-routes",
    [RESOURCE_RUNTIME] = "/v3/discovery:runtime",
};

struct xds_sources *xds_sources_new(const struct xds_sources_options *o)
{
    struct xds_sources *s = NEW(struct xds_sources);
    s->o = *o;
    return s;
}

void xds_sources_set_builder(struct xds_sources *s, struct builder *b)
{
    s->builder = b;
}

static void free_rests(struct xds_sources *s)
{
    size_t it = 0;
    struct bytes key;
    void *rest;
    while (map_next(&s->rests, &it, &key, &rest)) {
        struct rest_source *r = rest;
        rest_source_free(&r);
    }
    map_fini(&s->rests);
}

void xds_sources_free(struct xds_sources **sp)
{
    struct xds_sources *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    size_t it = 0;
    struct bytes key;
    void *mux, *file;
    while (map_next(&s->muxes, &it, &key, &mux)) {
        struct mux *m = mux;
        mux_free(&m);
    }
    it = 0;
    while (map_next(&s->files, &it, &key, &file)) {
        struct file_source *f = file;
        file_source_free(&f);
    }
    free_rests(s);
    map_fini(&s->muxes);
    map_fini(&s->files);
    grpc_runtime_free(&s->grpc);
    mem_free(s);
}

static struct mux *mux_make(struct xds_sources *s, const struct config_source *source,
                            const char *method, struct bytes key, struct bytes stats)
{
    if (!s->grpc)
        s->grpc = grpc_runtime_new(s->o.table->post, s->o.table->run_posted, s->o.table->ctx);
    struct mux_options o = {s->o.table, s->grpc, s->builder, source, method, s->o.node, stats};
    struct mux *m = mux_new(&o);
    map_set(&s->muxes, key, m);
    return m;
}

/* A server of secrets may know one name a stream: each has one of its own, as Envoy's (O07), and so
 * has the configuration of a filter. */
static void add_name(struct strbuf *key, struct strbuf *stats, enum resource_type type,
                     struct bytes name)
{
    static const char *const scopes[RESOURCE_TYPE_COUNT] = {
        [RESOURCE_SECRET] = "sds",
        [RESOURCE_EXTENSION] = "extension_config_discovery.http_filter",
    };
    if (!scopes[type])
        return;
    strbuf_add_char(key, '|');
    strbuf_add_bytes(key, name);
    strbuf_cut(stats, 0);
    struct arena *a = arena_new(0);
    strbuf_printf(stats, "%s.%.*s.control_plane", scopes[type], BYTES_ARG(stat_name_of(a, name)));
    arena_free(&a);
}

/* NULL: no such stream is configured, or the kind is not served (the decoder has refused it). */
static struct mux *mux_for(struct xds_sources *s, const struct config_source *source,
                           enum resource_type type, struct bytes name)
{
    const char *const *methods = type_methods[type];
    struct strbuf key = STRBUF_INIT, stats = STRBUF_INIT;
    strbuf_add_bytes(&key, source->key);
    strbuf_add_str(&stats, "control_plane");
    if (source->kind == SOURCE_ADS) {
        source = s->o.ads;
        methods = ads_methods;
    } else {
        strbuf_printf(&key, "|%s", resource_type_short(type));
        add_name(&key, &stats, type, name);
    }
    struct mux *m = map_get(&s->muxes, strbuf_bytes(&key));
    bool served = source && (source->kind == SOURCE_ADS || source->kind == SOURCE_GRPC);
    if (!m && served && source->api.n_services)
        m = mux_make(s, source, methods[source->api.delta], strbuf_bytes(&key),
                     strbuf_bytes(&stats));
    strbuf_fini(&key);
    strbuf_fini(&stats);
    return m;
}

/* NULL: the source is no file. */
static struct file_source *file_for(struct xds_sources *s, const struct config_source *source,
                                    enum resource_type type)
{
    struct strbuf key = STRBUF_INIT;
    if (source->kind != SOURCE_PATH)
        return NULL;
    strbuf_add_bytes(&key, source->key);
    strbuf_printf(&key, "|%s", resource_type_short(type));
    struct file_source *f = map_get(&s->files, strbuf_bytes(&key));
    if (!f) {
        f = file_source_new(s->o.table, s->builder, source, type);
        map_set(&s->files, strbuf_bytes(&key), f);
    }
    strbuf_fini(&key);
    return f;
}

/* NULL: the source is not polled. */
static struct rest_source *rest_for(struct xds_sources *s, const struct config_source *source,
                                    enum resource_type type)
{
    struct strbuf key = STRBUF_INIT;
    if (source->kind != SOURCE_REST || !rest_paths[type])
        return NULL;
    strbuf_add_bytes(&key, source->key);
    strbuf_printf(&key, "|%s", resource_type_short(type));
    struct rest_source *r = map_get(&s->rests, strbuf_bytes(&key));
    if (!r) {
        struct rest_source_options o = {s->o.table, s->builder,       source,
                                        type,       rest_paths[type], s->o.node};
        r = rest_source_new(&o);
        map_set(&s->rests, strbuf_bytes(&key), r);
    }
    strbuf_fini(&key);
    return r;
}

void xds_sources_want(struct xds_sources *s, const struct config_source *source,
                      enum resource_type type, struct bytes name)
{
    struct rest_source *r = rest_for(s, source, type);
    struct file_source *f = file_for(s, source, type);
    struct mux *m = r || f ? NULL : mux_for(s, source, type, name);
    if (r)
        rest_source_want(r, name);
    else if (f)
        file_source_want(f, name);
    else if (m)
        mux_want(m, type, name);
    else
        LOG(LOG_CONFIG, LOG_ERROR, "%s: no config source delivers '%.*s'",
            resource_type_short(type), BYTES_ARG(name));
}

void xds_sources_unwant(struct xds_sources *s, const struct config_source *source,
                        enum resource_type type, struct bytes name)
{
    struct rest_source *r = rest_for(s, source, type);
    struct file_source *f = file_for(s, source, type);
    struct mux *m = r || f ? NULL : mux_for(s, source, type, name);
    if (r)
        rest_source_unwant(r, name);
    else if (f)
        file_source_unwant(f, name);
    else if (m)
        mux_unwant(m, type, name);
}

static void flush_muxes(struct xds_sources *s)
{
    size_t it = 0;
    struct bytes key;
    void *mux;
    while (map_next(&s->muxes, &it, &key, &mux)) {
        struct mux *m = mux;
        if (mux_idle(m) && !bytes_eq_str(key, "ads")) { /* who named it is gone */
            map_remove(&s->muxes, key);
            mux_free(&m);
        } else {
            mux_flush(m);
        }
    }
}

static void flush_files(struct xds_sources *s)
{
    size_t it = 0;
    struct bytes key;
    void *file;
    while (map_next(&s->files, &it, &key, &file)) {
        struct file_source *f = file;
        if (file_source_idle(f)) {
            map_remove(&s->files, key);
            file_source_free(&f);
        } else {
            file_source_flush(f);
        }
    }
}

static void flush_rests(struct xds_sources *s)
{
    size_t it = 0;
    struct bytes key;
    void *rest;
    while (map_next(&s->rests, &it, &key, &rest)) {
        struct rest_source *r = rest;
        if (rest_source_idle(r)) {
            map_remove(&s->rests, key);
            rest_source_free(&r);
        } else {
            rest_source_flush(r);
        }
    }
}

void xds_sources_flush(struct xds_sources *s)
{
    flush_rests(s);
    flush_muxes(s);
    flush_files(s);
}

void xds_sources_fetch_timed_out(struct xds_sources *s, const struct config_source *source,
                                 enum resource_type type, struct bytes name)
{
    struct rest_source *r = rest_for(s, source, type);
    struct file_source *f = file_for(s, source, type);
    struct mux *m = r || f ? NULL : mux_for(s, source, type, name);
    if (r)
        rest_source_fetch_timed_out(r);
    else if (f)
        file_source_fetch_timed_out(f);
    else if (m)
        mux_fetch_timed_out(m, type);
}
