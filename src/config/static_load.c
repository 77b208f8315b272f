#include "config/static_load.h"

#include <stdlib.h>

#include "base/random.h"
#include "config/decode_util.h"
#include "config/dns_options_decode.h"
#include "config/http_manager_parts.h"
#include "config/wire_slice.h"
#include "config/xdstp.h"
#include "envoy/config/bootstrap/v3/bootstrap.upb.h"
#include "envoy/config/cluster/v3/cluster.upb.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/core/v3/config_source.upb.h"
#include "envoy/config/metrics/v3/stats.upb.h"

#define BOOTSTRAP(f) envoy_config_bootstrap_v3_Bootstrap_##f
#define ADMIN(f) envoy_config_bootstrap_v3_Admin_##f
#define STATS(f) envoy_config_metrics_v3_StatsConfig_##f
#define TAG(f) envoy_config_metrics_v3_TagSpecifier_##f
#define NODE(f) envoy_config_core_v3_Node_##f

typedef envoy_config_bootstrap_v3_Bootstrap bootstrap_msg;

enum {
    FIELD_NODE = 1,
    FIELD_STATIC_RESOURCES = 2,
    FIELD_STATIC_LISTENERS = 1,
    FIELD_STATIC_CLUSTERS = 2,
    FIELD_STATIC_SECRETS = 3,
    FIELD_DYNAMIC_RESOURCES = 3,
    FIELD_LDS_CONFIG = 1,
    FIELD_CDS_CONFIG = 2,
    FIELD_ADS_CONFIG = 3,
    FIELD_ADMIN = 12,
    FIELD_OVERLOAD_MANAGER = 15,
    FIELD_LAYERED_RUNTIME = 17,
    FIELD_ADMIN_ACCESS_LOG = 5,
    FIELD_NAME = 1,
    FIELD_CLUSTER_TYPE = 2,
};

static void take_node(struct bootstrap_config *c, const bootstrap_msg *m)
{
    const envoy_config_core_v3_Node *n = BOOTSTRAP(node)(m);
    struct arena *a = c->arena;
    c->node_wire = wire_message(a, c->wire, FIELD_NODE);
    if (!n)
        return;
    const envoy_config_core_v3_Locality *l = NODE(locality)(n);
    c->node_id = arena_dup(a, upb_bytes(NODE(id)(n)));
    c->node_cluster = arena_dup(a, upb_bytes(NODE(cluster)(n)));
    if (l)
        c->node_zone = arena_dup(a, upb_bytes(envoy_config_core_v3_Locality_zone(l)));
}

/* admin.access_log_path: one more, a file in the default format. */
static bool take_old_admin_log(struct decode_context *ctx, struct bootstrap_config *c,
                               struct bytes path, struct error *err)
{
    unsigned n = c->n_admin_access_logs;
    struct access_log *log = ARENA_NEW(c->arena, struct access_log);
    struct access_log **logs = ARENA_ARRAY(c->arena, struct access_log *, n + 1);
    for (unsigned i = 0; i < n; i++)
        logs[i] = c->admin_access_logs[i];
    logs[n] = log;
    c->admin_access_logs = logs;
    c->n_admin_access_logs = n + 1;
    return access_log_take_path(ctx, c->arena, path, log, err) &&
           format_compile(c->arena, bytes_of(access_log_default_format), &log->format, err);
}

static bool take_admin_address(struct bootstrap_config *c, const envoy_config_core_v3_Address *m,
                               struct error *err)
{
    const envoy_config_core_v3_SocketAddress *s = envoy_config_core_v3_Address_socket_address(m);
    const envoy_config_core_v3_Pipe *p = envoy_config_core_v3_Address_pipe(m);
    c->has_admin = true;
    c->admin_ipv4_compat = s && envoy_config_core_v3_SocketAddress_ipv4_compat(s);
    c->admin_pipe_mode = p ? envoy_config_core_v3_Pipe_mode(p) : 0;
    return take_address(m, &c->admin_address, err) || error_prefix(err, "admin.address: ");
}

static bool take_admin(struct decode_context *ctx, struct bootstrap_config *c,
                       const bootstrap_msg *m, struct error *err)
{
    const envoy_config_bootstrap_v3_Admin *admin = BOOTSTRAP(admin)(m);
    struct bytes wire = wire_message(c->arena, c->wire, FIELD_ADMIN);
    if (!admin)
        return true;
    struct bytes path = upb_bytes(ADMIN(access_log_path)(admin));
    c->admin_profile_path = arena_dup(c->arena, upb_bytes(ADMIN(profile_path)(admin)));
    if (ADMIN(address)(admin) && !take_admin_address(c, ADMIN(address)(admin), err))
        return false;
    if (!access_logs_decode(ctx, c->arena, wire, FIELD_ADMIN_ACCESS_LOG, &c->admin_access_logs,
                            &c->n_admin_access_logs, err))
        return error_prefix(err, "admin.");
    for (unsigned i = 0; i < c->n_admin_access_logs; i++) {
        if (c->admin_access_logs[i]->sink == ACCESS_LOG_GRPC) /* its thread has no clusters */
            return error_set(err, "admin.access_log[%u]: not implemented over gRPC", i);
    }
    if (path.len)
        return take_old_admin_log(ctx, c, path, err) ||
               error_prefix(err, "admin.access_log_path: ");
    return true;
}

static bool take_source(struct decode_context *ctx, struct bootstrap_config *c, struct bytes wire,
                        uint32_t field, const char *name, struct config_source *out,
                        struct error *err)
{
    struct bytes source = wire_message(c->arena, wire, field);
    if (!source.data)
        return true;
    bool ok = field == FIELD_ADS_CONFIG ? api_config_source_decode(ctx, c->arena, source, out, err)
                                        : config_source_decode(ctx, c->arena, source, out, err);
    return ok || error_prefix(err, "dynamic_resources.%s: ", name);
}

/* A collection in place of all that a source has. */
static bool take_collection(struct bootstrap_config *c, upb_StringView locator, const char *field,
                            enum resource_type type, const struct config_source *source,
                            struct bytes *out, struct error *err)
{
    struct bytes name = upb_bytes(locator);
    bool delta = source->kind == SOURCE_ADS ? c->ads.api.delta
                                            : source->kind == SOURCE_GRPC && source->api.delta;
    if (name.len == 0)
        return true;
    *out = arena_dup(c->arena, xdstp_canonical(c->arena, name));
    if (!xdstp_check_collection(*out, resource_type_name(type), err))
        return error_prefix(err, "dynamic_resources.%s: ", field);
    if (source->kind != SOURCE_ADS && source->kind != SOURCE_GRPC)
        return error_set(
            err,
            "dynamic_resources.%s: Missing or not supported config source specifier in "
            "envoy::config::core::v3::ConfigSource for a collection. Only ADS and gRPC "
            "in delta-xDS mode are supported.",
            field);
    return delta || error_set(err,
                              "dynamic_resources.%s: Unknown xdstp:// transport API type: "
                              "collections come by delta",
                              field);
}

static bool take_collections(struct bootstrap_config *c, const bootstrap_msg *m, struct error *err)
{
    const BOOTSTRAP(DynamicResources) *d = BOOTSTRAP(dynamic_resources)(m);
    return !d || (take_collection(c, BOOTSTRAP(DynamicResources_cds_resources_locator)(d),
                                  "cds_resources_locator", RESOURCE_CLUSTER, &c->cds,
                                  &c->cds_collection, err) &&
                  take_collection(c, BOOTSTRAP(DynamicResources_lds_resources_locator)(d),
                                  "lds_resources_locator", RESOURCE_LISTENER, &c->lds,
                                  &c->lds_collection, err));
}

/* Envoy looks at them where this key says so, and it does not by itself. */
static bool check_authorities(const struct bootstrap_config *c, const bootstrap_msg *m,
                              struct error *err)
{
    size_t n;
    const struct runtime_value *v = runtime_get(&c->runtime, BYTES(RUNTIME_KEY_SINGLETONS));
    BOOTSTRAP(config_sources)(m, &n);
    if (!v || !bytes_eq_nocase(bytes_of(v->text), BYTES("true")))
        return true;
    return !(n || BOOTSTRAP(default_config_source)(m)) ||
           error_set(err,
                     "config_sources, default_config_source: not implemented where the runtime "
                     "key " RUNTIME_KEY_SINGLETONS " is true");
}

static bool take_dynamic(struct decode_context *ctx, struct bootstrap_config *c, struct error *err)
{
    struct bytes wire = wire_message(c->arena, c->wire, FIELD_DYNAMIC_RESOURCES);
    c->has_ads = wire_message(c->arena, wire, FIELD_ADS_CONFIG).data != NULL;
    ctx->ads_configured = c->has_ads;
    if (!take_source(ctx, c, wire, FIELD_ADS_CONFIG, "ads_config", &c->ads, err))
        return false;
    ctx->ads_delta = c->ads.api.delta;
    return take_source(ctx, c, wire, FIELD_CDS_CONFIG, "cds_config", &c->cds, err) &&
           take_source(ctx, c, wire, FIELD_LDS_CONFIG, "lds_config", &c->lds, err);
}

static bool take_runtime(struct decode_context *ctx, struct bootstrap_config *c, struct error *err)
{
    struct bytes wire = wire_message(c->arena, c->wire, FIELD_LAYERED_RUNTIME);
    ctx->runtime = &c->runtime;
    return runtime_decode(ctx, c->arena, wire, &c->runtime, err) ||
           error_prefix(err, "layered_runtime.");
}

/* Envoy's guard of what it calls experimental: a second server needs its word. */
static bool check_failover(const struct bootstrap_config *c, struct error *err)
{
    const struct runtime_value *v = runtime_get(&c->runtime, BYTES(RUNTIME_KEY_FAILOVER));
    if (c->ads.api.n_services < 2 || (v && bytes_eq_nocase(bytes_of(v->text), BYTES("true"))))
        return true;
    return error_set(err, "dynamic_resources.ads_config.grpc_services: more than one needs the "
                          "runtime key " RUNTIME_KEY_FAILOVER);
}

static bool take_overload(struct decode_context *ctx, struct bootstrap_config *c, struct error *err)
{
    struct bytes wire = wire_message(c->arena, c->wire, FIELD_OVERLOAD_MANAGER);
    if (!overload_decode(ctx, c->arena, wire, &c->overload, err))
        return error_prefix(err, "overload_manager.");
    if (c->overload.max_connections == UINT64_MAX)
        c->overload.max_connections = runtime_connection_limit(&c->runtime);
    return true;
}

static bool take_stats(struct bootstrap_config *c, const bootstrap_msg *m, struct error *err)
{
    const envoy_config_metrics_v3_StatsConfig *s = BOOTSTRAP(stats_config)(m);
    size_t n = 0;
    c->stats_flush_interval_ms = 5000;
    c->use_all_default_tags = true;
    c->stats_flush_on_admin = BOOTSTRAP(stats_flush_on_admin)(m);
    c->header_prefix = arena_dup(c->arena, upb_bytes(BOOTSTRAP(header_prefix)(m)));
    if (c->stats_flush_on_admin && BOOTSTRAP(stats_flush_interval)(m))
        return error_set(err, "stats_flush_on_admin: Only one of stats_flush_interval or "
                              "stats_flush_on_admin should be set!");
    if (!take_duration_ms(BOOTSTRAP(stats_flush_interval)(m), "stats_flush_interval",
                          &c->stats_flush_interval_ms, err))
        return false;
    if (!stats_config_decode(s, c->arena, &c->stats, err))
        return false;
    if (!s)
        return true;
    c->use_all_default_tags = upb_bool(STATS(use_all_default_tags)(s), true);
    const envoy_config_metrics_v3_TagSpecifier *const *tags = STATS(stats_tags)(s, &n);
    c->stat_tags = ARENA_ARRAY(c->arena, struct stat_tag, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        c->stat_tags[i] = (struct stat_tag){
            .name = arena_dup(c->arena, upb_bytes(TAG(tag_name)(tags[i]))),
            .regex = arena_dup(c->arena, upb_bytes(TAG(regex)(tags[i]))),
            .fixed_value = arena_dup(c->arena, upb_bytes(TAG(fixed_value)(tags[i])))};
    c->n_stat_tags = (unsigned)n;
    return true;
}

struct bootstrap_config *bootstrap_config_decode(struct decode_context *ctx, struct bytes wire,
                                                 struct error *err)
{
    struct arena *a = arena_new(wire.len + 4096);
    struct bootstrap_config *c = ARENA_NEW(a, struct bootstrap_config);
    upb_Arena *arena = upb_Arena_New();
    const bootstrap_msg *m =
        BOOTSTRAP(parse_ex)(wire.data, wire.len, NULL, UPB_DECODE_MAXDEPTH(100), arena);
    /* The clusters that control channels use are not loaded yet: static_load() looks. */
    bool (*check)(void *, struct bytes) = ctx->control_cluster_ok;
    ctx->control_cluster_ok = NULL;
    c->arena = a;
    c->wire = arena_dup(a, wire);
    bool ok = m ? true : error_set(err, "the bytes are no Bootstrap");
    if (ok)
        take_node(c, m);
    ok = ok && take_dynamic(ctx, c, err) && take_collections(c, m, err) &&
         take_runtime(ctx, c, err) && check_failover(c, err) && check_authorities(c, m, err) &&
         take_overload(ctx, c, err) && take_admin(ctx, c, m, err) && take_stats(c, m, err) &&
         dns_options_of_bootstrap(ctx, a, m, &c->dns_options, err);
    ctx->control_cluster_ok = check;
    upb_Arena_Free(arena);
    if (!ok)
        bootstrap_config_free(&c);
    return c;
}

void bootstrap_config_free(struct bootstrap_config **cp)
{
    struct bootstrap_config *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    for (unsigned i = 0; i < c->n_admin_access_logs; i++)
        access_log_fini(c->admin_access_logs[i]);
    stats_config_fini(&c->stats);
    runtime_fini(&c->runtime);
    struct arena *a = c->arena;
    arena_free(&a);
}

static bool load_one(struct builder *b, enum resource_type type, struct bytes wire, unsigned at,
                     struct error *err)
{
    static const char *const fields[] = {[RESOURCE_CLUSTER] = "clusters",
                                         [RESOURCE_LISTENER] = "listeners",
                                         [RESOURCE_SECRET] = "secrets"};
    char uuid[37];
    struct resource_update u = {.name = wire_find_bytes(wire, FIELD_NAME), .wire = wire};
    if (u.name.len == 0 && type == RESOURCE_LISTENER) { /* Envoy gives it a random name */
        struct random_source r;
        random_seed_os(&r);
        random_uuid4(&r, uuid);
        u.name = bytes_of(uuid);
    }
    return builder_add_static(b, type, &u, err) ||
           error_prefix(err, "static_resources.%s[%u]: ", fields[type], at);
}

static bool load_all(struct builder *b, enum resource_type type, struct bytes wire, uint32_t field,
                     struct error *err)
{
    struct wire_field f;
    unsigned at = 0;
    while (wire_next(&wire, &f)) {
        if (f.number == field && f.type == WIRE_BYTES && !load_one(b, type, f.bytes, at++, err))
            return false;
    }
    return true;
}

/* A cluster may name one that stands behind it: all that control channels may use, in order. */
static void foretell(struct decode_context *ctx, struct arena *a, struct bytes wire)
{
    struct wire_field f;
    size_t n = wire_count(wire, FIELD_STATIC_CLUSTERS);
    struct bytes *names = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    n = 0;
    while (wire_next(&wire, &f)) {
        if (f.number == FIELD_STATIC_CLUSTERS && f.type == WIRE_BYTES &&
            wire_find_varint(f.bytes, FIELD_CLUSTER_TYPE, 0) != envoy_config_cluster_v3_Cluster_EDS)
            names[n++] = wire_find_bytes(f.bytes, FIELD_NAME);
    }
    qsort(names, n, sizeof(*names), bytes_order);
    ctx->control_clusters = names;
    ctx->n_control_clusters = n;
}

static bool load_clusters(struct builder *b, struct arena *a, struct bytes wire, struct error *err)
{
    struct decode_context *ctx = builder_decode_context(b);
    foretell(ctx, a, wire);
    bool ok = load_all(b, RESOURCE_CLUSTER, wire, FIELD_STATIC_CLUSTERS, err);
    ctx->control_clusters = NULL;
    ctx->n_control_clusters = 0;
    return ok;
}

static bool not_static(const char *name, struct bytes cluster, struct error *err)
{
    return error_set(err,
                     "dynamic_resources.%s: ApiConfigSource must have a statically defined "
                     "non-EDS cluster: '%.*s' does not exist, was added via api, or is an EDS "
                     "cluster",
                     name, BYTES_ARG(cluster));
}

static bool check_source(struct builder *b, const struct config_source *s, const char *name,
                         struct error *err)
{
    const struct decode_context *ctx = builder_decode_context(b);
    if (s->kind == SOURCE_REST && !ctx->control_cluster_ok(ctx->owner, s->api.rest_cluster))
        return not_static(name, s->api.rest_cluster, err);
    for (unsigned i = 0; i < s->api.n_services; i++) {
        struct bytes cluster = s->api.services[i].cluster_name;
        if (s->api.services[i].google || ctx->control_cluster_ok(ctx->owner, cluster))
            continue;
        if (s->kind == SOURCE_ADS)
            return error_set(err, "dynamic_resources.%s: Unknown gRPC client cluster '%.*s'", name,
                             BYTES_ARG(cluster));
        return not_static(name, cluster, err);
    }
    return true;
}

static bool check_layers(struct builder *b, const struct runtime *r, struct error *err)
{
    for (unsigned i = 0; i < r->n_layers; i++) {
        const struct config_source *s = &r->layers[i].source;
        if (r->layers[i].kind == RUNTIME_RTDS && s->kind != SOURCE_ADS &&
            !check_source(b, s, "rtds_config", err))
            return error_prefix(err, "layered_runtime.layers[%u].rtds_layer: ", i);
    }
    return true;
}

bool static_load(struct builder *b, const struct bootstrap_config *c, struct error *err)
{
    struct arena *scratch = arena_new(0);
    struct bytes wire = wire_message(scratch, c->wire, FIELD_STATIC_RESOURCES);
    bool ok = load_all(b, RESOURCE_SECRET, wire, FIELD_STATIC_SECRETS, err) &&
              load_clusters(b, scratch, wire, err) && check_source(b, &c->ads, "ads_config", err) &&
              check_source(b, &c->cds, "cds_config", err) &&
              check_source(b, &c->lds, "lds_config", err) && check_layers(b, &c->runtime, err) &&
              load_all(b, RESOURCE_LISTENER, wire, FIELD_STATIC_LISTENERS, err);
    arena_free(&scratch);
    return ok;
}
