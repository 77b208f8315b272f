/* How a cluster's names are looked up: Cluster's own fields, or the extension that took their
 * place, envoy.extensions.clusters.dns.v3.DnsCluster. */
#include "config/cluster_protocol.h"
#include "config/decode_util.h"
#include "config/dns_options_decode.h"
#include "config/typed.h"
#include "envoy/config/cluster/v3/cluster.upb.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.upb.h"

#define CLUSTER(f) envoy_config_cluster_v3_Cluster_##f
#define DNS(f) envoy_extensions_clusters_dns_v3_DnsCluster_##f

static const char dns_type[] = "envoy.extensions.clusters.dns.v3.DnsCluster";

/* The same of both messages; NULL: not set. */
struct rates {
    const google_protobuf_Duration *refresh, *jitter, *failure_base, *failure_max;
    bool failure, respect_ttl;
};

static bool take_rates(struct cluster *c, const struct rates *r, struct error *err)
{
    c->dns_refresh_ms = 5000;
    c->respect_dns_ttl = r->respect_ttl;
    if (!take_duration_ms(r->refresh, "dns_refresh_rate", &c->dns_refresh_ms, err) ||
        !take_duration_ms(r->jitter, "dns_jitter", &c->dns_jitter_ms, err))
        return false;
    if (c->dns_refresh_ms == 0)
        return error_set(err, "dns_refresh_rate: expected more than 1 ms");
    c->dns_failure_refresh_base_ms = c->dns_failure_refresh_max_ms = c->dns_refresh_ms;
    if (!r->failure)
        return true;
    if (!take_duration_ms(r->failure_base, "dns_failure_refresh_rate.base_interval",
                          &c->dns_failure_refresh_base_ms, err))
        return false;
    c->dns_failure_refresh_max_ms = c->dns_failure_refresh_base_ms * 10;
    if (!take_duration_ms(r->failure_max, "dns_failure_refresh_rate.max_interval",
                          &c->dns_failure_refresh_max_ms, err))
        return false;
    if (c->dns_failure_refresh_max_ms < c->dns_failure_refresh_base_ms)
        return error_set(err, "dns_failure_refresh_rate must have max_interval greater than or "
                              "equal to the base_interval");
    return true;
}

static bool take_family(struct cluster *c, int32_t family, struct error *err)
{
    if (family < 0 || family > (int32_t)DNS_ALL)
        return error_set(err, "dns_lookup_family: %d is not known", family);
    c->dns_family = (enum dns_lookup_family)family;
    return true;
}

bool cluster_dns_decode(struct decode_context *ctx, struct cluster *c,
                        const envoy_config_cluster_v3_Cluster *m, struct error *err)
{
    const envoy_config_cluster_v3_Cluster_RefreshRate *failure =
        CLUSTER(dns_failure_refresh_rate)(m);
    struct rates r = {
        .refresh = CLUSTER(dns_refresh_rate)(m),
        .jitter = CLUSTER(dns_jitter)(m),
        .failure = failure != NULL,
        .failure_base = failure ? CLUSTER(RefreshRate_base_interval)(failure) : NULL,
        .failure_max = failure ? CLUSTER(RefreshRate_max_interval)(failure) : NULL,
        .respect_ttl = CLUSTER(respect_dns_ttl)(m),
    };
    bool named = c->type == CLUSTER_STRICT_DNS || c->type == CLUSTER_LOGICAL_DNS;
    if (CLUSTER(cluster_type)(m)) /* its own fields count */
        return true;
    return take_family(c, CLUSTER(dns_lookup_family)(m), err) && take_rates(c, &r, err) &&
           (!named || dns_options_of_cluster(ctx, c->node.arena, m, &c->dns_options, err));
}

static bool take_extension(struct decode_context *ctx, struct cluster *c,
                           const envoy_extensions_clusters_dns_v3_DnsCluster *m, struct error *err)
{
    const envoy_extensions_clusters_dns_v3_DnsCluster_RefreshRate *failure =
        DNS(dns_failure_refresh_rate)(m);
    struct rates r = {
        .refresh = DNS(dns_refresh_rate)(m),
        .jitter = DNS(dns_jitter)(m),
        .failure = failure != NULL,
        .failure_base = failure ? DNS(RefreshRate_base_interval)(failure) : NULL,
        .failure_max = failure ? DNS(RefreshRate_max_interval)(failure) : NULL,
        .respect_ttl = DNS(respect_dns_ttl)(m),
    };
    int32_t family =
        DNS(dns_lookup_family)(m); /* 0: unspecified, the rest one more than Cluster's */
    c->type = DNS(all_addresses_in_single_endpoint)(m) ? CLUSTER_LOGICAL_DNS : CLUSTER_STRICT_DNS;
    return take_family(c, family ? family - 1 : DNS_AUTO, err) && take_rates(c, &r, err) &&
           dns_options_of_typed(ctx, c->node.arena, DNS(typed_dns_resolver_config)(m),
                                &c->dns_options, err);
}

bool cluster_custom_decode(struct decode_context *ctx, struct cluster *c,
                           const envoy_config_cluster_v3_Cluster *m, struct error *err)
{
    const envoy_config_cluster_v3_Cluster_CustomClusterType *custom = CLUSTER(cluster_type)(m);
    struct typed t;
    if (!take_any(ctx, c->node.arena, CLUSTER(CustomClusterType_typed_config)(custom), &t, err))
        return error_prefix(err, "cluster_type: ");
    if (!bytes_eq_str(t.type_name, dns_type))
        return error_set(err,
                         "cluster_type: '%.*s' with type URL '%.*s' is not implemented (only "
                         "envoy.clusters.dns is)",
                         BYTES_ARG(upb_bytes(CLUSTER(CustomClusterType_name)(custom))),
                         BYTES_ARG(t.type_url));
    upb_Arena *arena = upb_Arena_New();
    const envoy_extensions_clusters_dns_v3_DnsCluster *dns =
        DNS(parse)(t.value.data, t.value.len, arena);
    bool ok =
        dns ? take_extension(ctx, c, dns, err) : error_set(err, "the bytes are no DnsCluster");
    upb_Arena_Free(arena);
    return ok || error_prefix(err, "cluster_type.typed_config.");
}
