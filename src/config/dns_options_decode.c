#include "config/dns_options_decode.h"

#include "base/strbuf.h"
#include "config/decode_util.h"
#include "config/typed.h"
#include "envoy/config/bootstrap/v3/bootstrap.upb.h"
#include "envoy/config/cluster/v3/cluster.upb.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/core/v3/extension.upb.h"
#include "envoy/config/core/v3/resolver.upb.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.upb.h"
#include "google/protobuf/any.upb.h"

#define CARES(f) envoy_extensions_network_dns_resolver_cares_v3_CaresDnsResolverConfig_##f
#define LEGACY(f) envoy_config_core_v3_DnsResolutionConfig_##f
#define OPTIONS(f) envoy_config_core_v3_DnsResolverOptions_##f
#define CLUSTER(f) envoy_config_cluster_v3_Cluster_##f
#define BOOTSTRAP(f) envoy_config_bootstrap_v3_Bootstrap_##f
#define ADDRESS(f) envoy_config_core_v3_Address_##f
#define SOCKET(f) envoy_config_core_v3_SocketAddress_##f

static const char cares_type[] =
    "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";

typedef const envoy_config_core_v3_Address *const address_list;

/* An address to ask, whatever protocol it names: queries choose that. */
static bool take_server(const envoy_config_core_v3_Address *m, struct address *out,
                        struct error *err)
{
    const envoy_config_core_v3_SocketAddress *s = ADDRESS(socket_address)(m);
    struct bytes ip = s ? upb_bytes(SOCKET(address)(s)) : BYTES("");
    if (!s)
        return error_set(err, "expected socket_address, with the IP address of a DNS server");
    if (SOCKET(has_named_port)(s))
        return error_set(err, "socket_address.named_port is not implemented");
    if (SOCKET(resolver_name)(s).size > 0)
        return error_set(err, "socket_address.resolver_name is not implemented");
    uint32_t port = SOCKET(port_value)(s);
    if (port > 65535)
        return error_set(err, "socket_address.port_value: %u is no port", port);
    return take_ip(ip, (uint16_t)port, out) ||
           error_set(err, "malformed IP address: %.*s", BYTES_ARG(ip));
}

static bool take_servers(struct arena *a, struct dns_options *o, address_list *list, size_t n,
                         const char *field, struct error *err)
{
    struct address *servers = ARENA_ARRAY(a, struct address, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        if (!take_server(list[i], &servers[i], err))
            return error_prefix(err, "%s[%zu]: ", field, i);
    }
    o->servers = servers;
    o->n_servers = n;
    return true;
}

static void take_options(struct dns_options *o, const envoy_config_core_v3_DnsResolverOptions *m)
{
    if (!m)
        return;
    o->use_tcp = OPTIONS(use_tcp_for_dns_lookups)(m);
    o->no_search = OPTIONS(no_default_search_domain)(m);
}

/* Equal options have equal keys, whichever field they come from. */
static void finish(struct arena *a, struct dns_options *o)
{
    struct strbuf key = STRBUF_INIT;
    char text[ADDRESS_TEXT_MAX];
    strbuf_printf(&key, "%d%d%d%d%d%d|%llu|%llu|%u|%u", o->servers_are_fallback, o->use_tcp,
                  o->no_search, o->rotate, o->filter_unroutable, o->reopen_on_timeout,
                  (unsigned long long)o->timeout_ms, (unsigned long long)o->max_age_ms, o->tries,
                  o->edns_size);
    for (size_t i = 0; i < o->n_servers; i++)
        strbuf_printf(&key, "|%s", address_format(&o->servers[i], text));
    o->key = arena_dup(a, strbuf_bytes(&key));
    strbuf_fini(&key);
}

static bool take_cares(struct arena *a, struct bytes value, struct dns_options *o,
                       struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    const envoy_extensions_network_dns_resolver_cares_v3_CaresDnsResolverConfig *m =
        CARES(parse)(value.data, value.len, arena);
    size_t n = 0;
    bool ok = m ? true : error_set(err, "the bytes are no CaresDnsResolverConfig");
    if (ok) {
        address_list *servers = CARES(resolvers)(m, &n);
        const google_protobuf_UInt64Value *timeout = CARES(query_timeout_seconds)(m);
        uint64_t seconds = timeout ? google_protobuf_UInt64Value_value(timeout) : 0;
        take_options(o, CARES(dns_resolver_options)(m));
        o->servers_are_fallback = CARES(use_resolvers_as_fallback)(m);
        o->filter_unroutable = CARES(filter_unroutable_families)(m);
        o->rotate = CARES(rotate_nameservers)(m);
        o->reopen_on_timeout = CARES(reinit_channel_on_timeout)(m);
        o->timeout_ms = (seconds < DNS_TIMEOUT_MAX_S ? seconds : DNS_TIMEOUT_MAX_S) * 1000;
        o->tries = upb_u32(CARES(query_tries)(m), 0);
        o->edns_size = upb_u32(CARES(edns0_max_payload_size)(m), 0);
        ok = take_duration_ms(CARES(max_udp_channel_duration)(m), "max_udp_channel_duration",
                              &o->max_age_ms, err) &&
             take_servers(a, o, servers, n, "resolvers", err);
    }
    upb_Arena_Free(arena);
    return ok;
}

static bool take_typed(struct decode_context *ctx, struct arena *a,
                       const envoy_config_core_v3_TypedExtensionConfig *m, struct dns_options *o,
                       struct error *err)
{
    struct bytes name = upb_bytes(envoy_config_core_v3_TypedExtensionConfig_name(m));
    struct typed t;
    if (!take_any(ctx, a, envoy_config_core_v3_TypedExtensionConfig_typed_config(m), &t, err))
        return error_prefix(err, "typed_dns_resolver_config: ");
    if (!bytes_eq_str(t.type_name, cares_type))
        return error_set(err,
                         "typed_dns_resolver_config: '%.*s' with type URL '%.*s' is not "
                         "implemented (only envoy.network.dns_resolver.cares is)",
                         BYTES_ARG(name), BYTES_ARG(t.type_url));
    return take_cares(a, t.value, o, err) || error_prefix(err, "typed_dns_resolver_config.");
}

static bool take_legacy(struct arena *a, const envoy_config_core_v3_DnsResolutionConfig *m,
                        struct dns_options *o, struct error *err)
{
    size_t n = 0;
    address_list *servers = LEGACY(resolvers)(m, &n);
    take_options(o, LEGACY(dns_resolver_options)(m));
    return take_servers(a, o, servers, n, "dns_resolution_config.resolvers", err);
}

/* As Envoy: one without a type is none. */
static const envoy_config_core_v3_TypedExtensionConfig *
with_type(const envoy_config_core_v3_TypedExtensionConfig *m)
{
    const google_protobuf_Any *any =
        m ? envoy_config_core_v3_TypedExtensionConfig_typed_config(m) : NULL;
    return any && google_protobuf_Any_type_url(any).size ? m : NULL;
}

bool dns_options_of_cluster(struct decode_context *ctx, struct arena *a,
                            const envoy_config_cluster_v3_Cluster *m,
                            const struct dns_options **out, struct error *err)
{
    const envoy_config_core_v3_TypedExtensionConfig *typed =
        with_type(CLUSTER(typed_dns_resolver_config)(m));
    const envoy_config_core_v3_DnsResolutionConfig *legacy = CLUSTER(dns_resolution_config)(m);
    struct dns_options *o = ARENA_NEW(a, struct dns_options);
    size_t n = 0, n_old = 0;
    address_list *old = CLUSTER(dns_resolvers)(m, &n_old);
    bool ok = true;
    if (legacy)
        LEGACY(resolvers)(legacy, &n);
    if (!typed && !n && !n_old) /* the process's resolver; alone, use_tcp changes nothing */
        return true;
    if (typed) {
        ok = take_typed(ctx, a, typed, o, err);
    } else if (legacy) {
        ok = take_legacy(a, legacy, o, err);
    } else {
        o->use_tcp = CLUSTER(use_tcp_for_dns_lookups)(m);
        ok = take_servers(a, o, old, n_old, "dns_resolvers", err);
    }
    finish(a, o);
    *out = o;
    return ok;
}

bool dns_options_of_typed(struct decode_context *ctx, struct arena *a,
                          const envoy_config_core_v3_TypedExtensionConfig *m,
                          const struct dns_options **out, struct error *err)
{
    struct dns_options *o = ARENA_NEW(a, struct dns_options);
    m = with_type(m);
    if (!m)
        return true;
    bool ok = take_typed(ctx, a, m, o, err);
    finish(a, o);
    *out = o;
    return ok;
}

bool dns_options_of_bootstrap(struct decode_context *ctx, struct arena *a,
                              const envoy_config_bootstrap_v3_Bootstrap *m,
                              const struct dns_options **out, struct error *err)
{
    const envoy_config_core_v3_TypedExtensionConfig *typed =
        with_type(BOOTSTRAP(typed_dns_resolver_config)(m));
    const envoy_config_core_v3_DnsResolutionConfig *legacy = BOOTSTRAP(dns_resolution_config)(m);
    struct dns_options *o = ARENA_NEW(a, struct dns_options);
    bool ok = true;
    if (typed)
        ok = take_typed(ctx, a, typed, o, err);
    else if (legacy)
        ok = take_legacy(a, legacy, o, err);
    else
        o->use_tcp = BOOTSTRAP(use_tcp_for_dns_lookups)(m);
    finish(a, o);
    *out = o;
    return ok;
}
