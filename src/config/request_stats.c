#include "config/request_stats.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "config/upb_util.h"
#include "envoy/config/route/v3/route_components.upb.h"

#define VC(x) envoy_config_route_v3_VirtualCluster_##x

static struct stat_scope *scope_of(struct stat_store *stats, struct bytes vhost, const char *kind,
                                   struct bytes name)
{
    struct strbuf prefix = STRBUF_INIT;
    strbuf_printf(&prefix, "vhost.%.*s.%s.%.*s", BYTES_ARG(vhost), kind, BYTES_ARG(name));
    struct stat_scope *s = stat_scope_get(stats, strbuf_bytes(&prefix), &request_stat_schema);
    strbuf_fini(&prefix);
    return s;
}

struct stat_scope *route_stat_scope(struct stat_store *stats, struct bytes vhost,
                                    struct bytes stat_prefix)
{
    return stats && stat_prefix.len ? scope_of(stats, vhost, "route", stat_prefix) : NULL;
}

static bool decode_one(const envoy_config_route_v3_VirtualCluster *m, struct arena *a,
                       struct regex_list *regexes, struct virtual_cluster *out, struct error *err)
{
    size_t n;
    const envoy_config_route_v3_HeaderMatcher *const *headers = VC(headers)(m, &n);
    out->name = arena_dup(a, upb_bytes(VC(name)(m)));
    if (out->name.len == 0)
        return error_set(err, "name: value length must be at least 1 characters");
    if (n == 0)
        return error_set(err, "headers: virtual clusters must define 'headers'");
    out->headers = ARENA_ARRAY(a, struct header_matcher, n);
    for (; out->n_headers < n; out->n_headers++) {
        if (!header_matcher_decode(headers[out->n_headers], a, regexes,
                                   &out->headers[out->n_headers], err))
            return error_prefix(err, "headers[%u].", out->n_headers);
    }
    return true;
}

bool virtual_clusters_decode(const struct envoy_config_route_v3_VirtualHost *m, struct arena *a,
                             struct stat_store *stats, struct virtual_clusters **out,
                             struct error *err)
{
    size_t n;
    struct bytes vhost = upb_bytes(envoy_config_route_v3_VirtualHost_name(m));
    const envoy_config_route_v3_VirtualCluster *const *clusters =
        envoy_config_route_v3_VirtualHost_virtual_clusters(m, &n);
    if (n == 0)
        return true;
    struct virtual_clusters *v = *out = ARENA_NEW(a, struct virtual_clusters);
    v->entries = ARENA_ARRAY(a, struct virtual_cluster, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (!decode_one(clusters[i], a, &v->regexes, &v->entries[i], err))
            return error_prefix(err, "virtual_clusters[%zu].", i);
    }
    v->entries[n].name = BYTES("other");
    v->n = (unsigned)n + 1;
    for (unsigned i = 0; stats && i < v->n; i++)
        v->entries[i].stats = scope_of(stats, vhost, "vcluster", v->entries[i].name);
    return true;
}

void virtual_clusters_fini(struct virtual_clusters *v)
{
    for (unsigned i = 0; v && i < v->n; i++)
        stat_scope_unref(&v->entries[i].stats);
    if (v)
        regex_list_fini(&v->regexes);
}
