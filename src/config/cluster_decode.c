/* envoy.config.cluster.v3.Cluster into a const node. */
#include "config/cluster_protocol.h"
#include "config/decode.h"
#include "config/decode_util.h"
#include "config/field_report.h"
#include "config/host_set_build.h"
#include "config/socket_match.h"
#include "config/socket_matcher.h"
#include "config/tls.h"
#include "config/tls_decode.h"
#include "config/wire_slice.h"
#include "config/xdstp.h"
#include "envoy/config/cluster/v3/circuit_breaker.upb.h"
#include "envoy/config/cluster/v3/cluster.upb.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/core/v3/config_source.upb.h"
#include "envoy/config/endpoint/v3/endpoint.upb.h"
#include "envoy/type/v3/percent.upb.h"

#define CLUSTER(f) envoy_config_cluster_v3_Cluster_##f
#define BREAKERS(f) envoy_config_cluster_v3_CircuitBreakers_##f
#define BIND(f) envoy_config_core_v3_BindConfig_##f
#define TCP_KEEPALIVE(f) envoy_config_core_v3_TcpKeepalive_##f

typedef envoy_config_cluster_v3_Cluster cluster_msg;

enum {
    FIELD_EDS_CLUSTER_CONFIG = 3,
    FIELD_EDS_CONFIG = 1,
    FIELD_METADATA = 25,
    NAME_MAX_LEN = 4096,
};

static bool take_type(struct decode_context *ctx, struct cluster *c, const cluster_msg *m,
                      struct error *err)
{
    if (CLUSTER(cluster_type)(m))
        return cluster_custom_decode(ctx, c, m, err);
    switch (CLUSTER(type)(m)) {
    case CLUSTER(STATIC):
        c->type = CLUSTER_STATIC;
        return true;
    case CLUSTER(STRICT_DNS):
        c->type = CLUSTER_STRICT_DNS;
        return true;
    case CLUSTER(LOGICAL_DNS):
        c->type = CLUSTER_LOGICAL_DNS;
        return true;
    case CLUSTER(EDS):
        c->type = CLUSTER_EDS;
        return true;
    case CLUSTER(ORIGINAL_DST):
        return error_set(err, "type: ORIGINAL_DST is not implemented");
    default:
        return error_set(err, "type: %d is not known", CLUSTER(type)(m));
    }
}

/* Nearly every cluster has its endpoints from ADS: they share it. */
static const struct config_source *keep_source(struct arena *a, const struct config_source *s)
{
    static const struct config_source ads = {
        .kind = SOURCE_ADS, .key = {"ads", 3}, .initial_fetch_timeout_ms = 15000};
    struct config_source *copy;
    if (s->kind == SOURCE_ADS && !s->api.n_services &&
        s->initial_fetch_timeout_ms == ads.initial_fetch_timeout_ms)
        return &ads;
    copy = arena_alloc(a, sizeof(*copy));
    *copy = *s;
    return copy;
}

static bool take_eds(struct decode_context *ctx, struct cluster *c, const cluster_msg *m,
                     struct bytes wire, struct error *err)
{
    const envoy_config_cluster_v3_Cluster_EdsClusterConfig *eds = CLUSTER(eds_cluster_config)(m);
    struct arena *a = c->node.arena;
    if (!eds)
        return c->type != CLUSTER_EDS ||
               error_set(err, "cannot create an EDS cluster without an EDS config");
    if (c->type != CLUSTER_EDS)
        return error_set(err, "eds_cluster_config set in a non-EDS cluster");
    struct bytes name = upb_bytes(CLUSTER(EdsClusterConfig_service_name)(eds));
    c->eds_service_name = name.len ? arena_dup(a, xdstp_canonical(a, name)) : c->name;
    struct bytes config = wire_message(a, wire, FIELD_EDS_CLUSTER_CONFIG);
    config = wire_message(a, config, FIELD_EDS_CONFIG);
    if (!config.data)
        return error_set(err, "cannot create an EDS cluster without an EDS config");
    struct config_source source;
    if (!config_source_decode(ctx, a, config, &source, err))
        return error_prefix(err, "eds_cluster_config.eds_config: ");
    c->eds_source = keep_source(a, &source);
    return true;
}

static void take_metadata(struct cluster *c, const cluster_msg *m, struct bytes wire)
{
    struct arena *a = c->node.arena;
    struct bytes metadata =
        CLUSTER(has_metadata)(m) ? wire_message(a, wire, FIELD_METADATA) : BYTES_NONE;
    if (metadata.len == 0)
        return;
    struct bytes *copy = arena_alloc(a, sizeof(*copy));
    *copy = arena_dup(a, metadata);
    c->metadata = copy;
}

/* Its endpoints come from elsewhere: Envoy does not look at those that stand here. */
static bool ignore_hosts(const struct decode_context *ctx, const struct cluster *c,
                         struct error *err)
{
    static const char why[] = "the endpoints of an EDS cluster come by eds_config";
    if (ctx->strict)
        return error_set(err, "load_assignment: %s, and strict mode refuses others", why);
    if (ctx->report) {
        struct strbuf path = STRBUF_INIT;
        strbuf_printf(&path, "Cluster '%.*s': load_assignment", BYTES_ARG(c->name));
        field_report_add(ctx->report, FIELD_IGNORED, strbuf_bytes(&path), why);
        strbuf_fini(&path);
    }
    return true;
}

static bool take_hosts(const struct decode_context *ctx, struct cluster *c, const cluster_msg *m,
                       struct error *err)
{
    const envoy_config_endpoint_v3_ClusterLoadAssignment *cla = CLUSTER(load_assignment)(m);
    bool dns = c->type == CLUSTER_STRICT_DNS || c->type == CLUSTER_LOGICAL_DNS;
    if (!cla) {
        if (c->type == CLUSTER_LOGICAL_DNS)
            return error_set(err, "LOGICAL_DNS clusters must have a single host");
        if (c->type != CLUSTER_EDS)
            c->inline_hosts = host_set_empty();
        return true;
    }
    if (c->type == CLUSTER_EDS)
        return ignore_hosts(ctx, c, err);
    if (dns) {
        if (!dns_targets_of_message(c, cla, err))
            return error_prefix(err, "load_assignment: ");
        return true;
    }
    struct host_set *hs = host_set_of_message(c, cla, err);
    if (!hs)
        return error_prefix(err, "load_assignment: ");
    host_set_finish(hs, NULL, false);
    c->inline_hosts = hs;
    return true;
}

static const struct circuit_breaker breaker_default = {
    .max_connections = 1024,
    .max_pending_requests = 1024,
    .max_requests = 1024,
    .max_retries = 3,
};

static bool take_retry_budget(const envoy_config_cluster_v3_CircuitBreakers_Thresholds *m,
                              struct circuit_breaker *cb, struct error *err)
{
    const envoy_config_cluster_v3_CircuitBreakers_Thresholds_RetryBudget *b =
        BREAKERS(Thresholds_retry_budget)(m);
    if (!b)
        return true;
    const envoy_type_v3_Percent *percent = BREAKERS(Thresholds_RetryBudget_budget_percent)(b);
    cb->has_budget = true;
    cb->budget_percent = percent ? envoy_type_v3_Percent_value(percent) : 20;
    cb->min_retries_at_once = upb_u32(BREAKERS(Thresholds_RetryBudget_min_retry_concurrency)(b), 3);
    return (cb->budget_percent >= 0 && cb->budget_percent <= 100) ||
           error_set(err, "budget_percent: value must be inside range [0, 100]");
}

/* What each host would be limited by is listed; what could never be a limit of a host is wrong. */
static bool check_host_breakers(const envoy_config_cluster_v3_CircuitBreakers *b, struct error *err)
{
    size_t n = 0;
    const envoy_config_cluster_v3_CircuitBreakers_Thresholds *const *list =
        b ? BREAKERS(per_host_thresholds)(b, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        const char *field =
            BREAKERS(Thresholds_max_pending_requests)(list[i])   ? "max_pending_requests"
            : BREAKERS(Thresholds_max_requests)(list[i])         ? "max_requests"
            : BREAKERS(Thresholds_max_retries)(list[i])          ? "max_retries"
            : BREAKERS(Thresholds_max_connection_pools)(list[i]) ? "max_connection_pools"
            : BREAKERS(Thresholds_retry_budget)(list[i])         ? "retry_budget"
                                                                 : NULL;
        if (field)
            return error_set(err,
                             "circuit_breakers.per_host_thresholds[%zu].%s: a host can be "
                             "limited by max_connections alone",
                             i, field);
    }
    return true;
}

static bool take_breakers(struct cluster *c, const cluster_msg *m, struct error *err)
{
    const envoy_config_cluster_v3_CircuitBreakers *b = CLUSTER(circuit_breakers)(m);
    bool seen[N_ROUTING_PRIORITIES] = {false};
    size_t n = 0;
    for (unsigned p = 0; p < N_ROUTING_PRIORITIES; p++)
        c->breakers[p] = breaker_default;
    const envoy_config_cluster_v3_CircuitBreakers_Thresholds *const *list =
        b ? BREAKERS(thresholds)(b, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        int32_t p = BREAKERS(Thresholds_priority)(list[i]);
        if (p < 0 || p >= N_ROUTING_PRIORITIES)
            return error_set(err, "circuit_breakers.thresholds[%zu].priority: %d is not known", i,
                             p);
        if (seen[p]) /* Envoy takes the first */
            continue;
        seen[p] = true;
        c->breakers[p] = (struct circuit_breaker){
            .max_connections = upb_u32(BREAKERS(Thresholds_max_connections)(list[i]), 1024),
            .max_pending_requests =
                upb_u32(BREAKERS(Thresholds_max_pending_requests)(list[i]), 1024),
            .max_requests = upb_u32(BREAKERS(Thresholds_max_requests)(list[i]), 1024),
            .max_retries = upb_u32(BREAKERS(Thresholds_max_retries)(list[i]), 3),
            .track_remaining = BREAKERS(Thresholds_track_remaining)(list[i]),
        };
        if (!take_retry_budget(list[i], &c->breakers[p], err))
            return error_prefix(err, "circuit_breakers.thresholds[%zu].retry_budget.", i);
    }
    return check_host_breakers(b, err);
}

/* One more address, of the other family, for hosts of that family. It is listed, not used. */
static bool check_other_source(const struct cluster *c, const envoy_config_core_v3_BindConfig *b,
                               struct error *err)
{
    size_t n_extra, n_additional;
    const envoy_config_core_v3_ExtraSourceAddress *const *extra =
        BIND(extra_source_addresses)(b, &n_extra);
    const envoy_config_core_v3_SocketAddress *const *additional =
        BIND(additional_source_addresses)(b, &n_additional);
    const char *field = n_extra ? "extra_source_addresses" : "additional_source_addresses";
    struct address other;
    if (n_extra + n_additional == 0)
        return true;
    if (n_extra && n_additional)
        return error_set(err, "extra_source_addresses and additional_source_addresses are two "
                              "names of the same: expected one of them");
    if (n_extra + n_additional > 1)
        return error_set(err, "%s: expected at most one address", field);
    if (!c->has_bind_address)
        return error_set(err, "%s: expected a source_address, too", field);
    const envoy_config_core_v3_SocketAddress *a =
        n_extra ? envoy_config_core_v3_ExtraSourceAddress_address(extra[0]) : additional[0];
    if (!a)
        return error_set(err, "%s[0].address: value is required", field);
    if (!take_socket_address(a, &other, err))
        return error_prefix(err, "%s[0]: ", field);
    return other.kind != c->bind_address.kind ||
           error_set(err, "%s[0]: expected the other version of IP than source_address has", field);
}

static bool take_source(struct cluster *c, const envoy_config_core_v3_BindConfig *b,
                        struct error *err)
{
    if (BIND(source_address)(b)) {
        c->has_bind_address = true;
        if (!take_socket_address(BIND(source_address)(b), &c->bind_address, err))
            return error_prefix(err, "source_address: ");
    }
    return check_other_source(c, b, err);
}

static bool take_connection(struct cluster *c, const cluster_msg *m, struct error *err)
{
    const envoy_config_cluster_v3_UpstreamConnectionOptions *o =
        CLUSTER(upstream_connection_options)(m);
    const envoy_config_core_v3_TcpKeepalive *k =
        o ? envoy_config_cluster_v3_UpstreamConnectionOptions_tcp_keepalive(o) : NULL;
    const envoy_config_core_v3_BindConfig *b = CLUSTER(upstream_bind_config)(m);
    c->connect_timeout_ms = 5000;
    c->buffer_limit = upb_u32(CLUSTER(per_connection_buffer_limit_bytes)(m), 1024 * 1024);
    if (!take_duration_ms(CLUSTER(connect_timeout)(m), "connect_timeout", &c->connect_timeout_ms,
                          err))
        return false;
    if (c->connect_timeout_ms == 0)
        return error_set(err, "connect_timeout: expected more than 0 seconds");
    if (k) {
        c->keepalive = true;
        c->keepalive_probes = upb_u32(TCP_KEEPALIVE(keepalive_probes)(k), 0);
        c->keepalive_time_s = upb_u32(TCP_KEEPALIVE(keepalive_time)(k), 0);
        c->keepalive_interval_s = upb_u32(TCP_KEEPALIVE(keepalive_interval)(k), 0);
    }
    return !b || take_source(c, b, err) || error_prefix(err, "upstream_bind_config.");
}

/* What would send traffic elsewhere, or in the clear, if it were ignored. */
static bool check_refused(struct decode_context *ctx, struct cluster *c, const cluster_msg *m,
                          struct error *err)
{
    size_t n_filters;
    CLUSTER(filters)(m, &n_filters);
    if (n_filters)
        return error_set(err, "filters: upstream network filters are not implemented");
    if (CLUSTER(upstream_config)(m))
        return error_set(err, "upstream_config is not implemented");
    return transport_socket_decode(ctx, c->node.arena, CLUSTER(transport_socket)(m), false,
                                   "transport_socket", &c->tls, err);
}

static void cluster_fini(struct node *n)
{
    struct cluster *c = CONTAINER_OF(n, struct cluster, node);
    struct host_set *hs = (struct host_set *)c->inline_hosts;
    NODE_UNREF(&hs);
    socket_matcher_fini(c->socket_matcher);
    for (unsigned i = 0; cluster_has_tls(c) && i <= c->n_socket_matches; i++)
        tls_socket_fini((struct tls_socket *)cluster_socket(c, i));
}

/* auto_config asks the TLS handshake. */
static bool check_alpn(const struct cluster *c, struct error *err)
{
    return c->protocol != UPSTREAM_AUTO || c->tls ||
           error_set(err,
                     "ALPN configured for cluster %.*s which has a non-ALPN transport socket "
                     "(auto_config needs TLS)",
                     BYTES_ARG(c->name));
}

static bool take_cluster(struct decode_context *ctx, struct cluster *c, const cluster_msg *m,
                         struct bytes wire, struct error *err)
{
    struct arena *a = c->node.arena;
    struct bytes name = upb_bytes(CLUSTER(name)(m)), alt = upb_bytes(CLUSTER(alt_stat_name)(m));
    if (name.len == 0 || name.len > NAME_MAX_LEN || memchr(name.data, '\0', name.len))
        return error_set(err, "name: expected 1 to %d characters, none of them NUL", NAME_MAX_LEN);
    c->name = arena_dup(a, name);
    c->observability_name = alt.len ? arena_dup(a, alt) : c->name;
    c->stat_name = c->observability_name;
    if (memchr(c->stat_name.data, ':', c->stat_name.len) ||
        bytes_ends_with(c->stat_name, BYTES(".")))
        c->stat_name = stat_name_of(a, c->stat_name);
    take_metadata(c, m, wire);
    c->wait_for_warm_on_init = upb_bool(CLUSTER(wait_for_warm_on_init)(m), true);
    return take_type(ctx, c, m, err) && check_refused(ctx, c, m, err) &&
           socket_matches_decode(ctx, c, m, wire, err) && take_connection(c, m, err) &&
           take_breakers(c, m, err) && cluster_lb_decode(ctx, c, m, err) &&
           cluster_protocol_decode(ctx, c, m, err) && take_eds(ctx, c, m, wire, err) &&
           cluster_dns_decode(ctx, c, m, err) && take_hosts(ctx, c, m, err) && check_alpn(c, err);
}

struct cluster *cluster_decode(struct decode_context *ctx, struct bytes wire, struct error *err)
{
    if (!decode_check(ctx, "envoy.config.cluster.v3.Cluster", wire, err))
        return NULL;
    upb_Arena *arena = upb_Arena_New();
    const cluster_msg *m = CLUSTER(parse_ex)(wire.data, wire.len, NULL, UPB_VIEW, arena);
    struct cluster *c = NULL;
    if (!m) {
        error_set(err, "the bytes are no Cluster");
    } else {
        c = node_new(NODE_CLUSTER, sizeof(*c), wire.len + 8, cluster_fini);
        if (!take_cluster(ctx, c, m, wire, err))
            NODE_UNREF(&c);
    }
    upb_Arena_Free(arena);
    return c;
}
