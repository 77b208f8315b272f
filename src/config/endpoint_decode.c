/* envoy.config.endpoint.v3.ClusterLoadAssignment, as resource and inside a cluster. */
#include "config/decode.h"
#include "config/decode_util.h"
#include "config/host_set_build.h"
#include "config/socket_match.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/core/v3/health_check.upb.h"
#include "envoy/config/endpoint/v3/endpoint.upb.h"
#include "envoy/config/endpoint/v3/endpoint_components.upb.h"

#define CLA(f) envoy_config_endpoint_v3_ClusterLoadAssignment_##f
#define POLICY(f) envoy_config_endpoint_v3_ClusterLoadAssignment_Policy_##f
#define GROUP(f) envoy_config_endpoint_v3_LocalityLbEndpoints_##f
#define ENTRY(f) envoy_config_endpoint_v3_LbEndpoint_##f
#define ENDPOINT(f) envoy_config_endpoint_v3_Endpoint_##f

typedef envoy_config_endpoint_v3_ClusterLoadAssignment cla_msg;
typedef envoy_config_endpoint_v3_LocalityLbEndpoints group_msg;
typedef envoy_config_endpoint_v3_LbEndpoint entry_msg;

enum { PRIORITY_MAX = 128, LOCALITIES_MAX = 65535 };

static uint8_t health_of(const entry_msg *m)
{
    switch (ENTRY(health_status)(m)) {
    case envoy_config_core_v3_UNHEALTHY:
    case envoy_config_core_v3_TIMEOUT:
        return HEALTH_FAILED_EDS;
    case envoy_config_core_v3_DRAINING:
        return HEALTH_DRAINING;
    case envoy_config_core_v3_DEGRADED:
        return HEALTH_DEGRADED_EDS;
    default: /* HEALTHY, UNKNOWN, and values of later versions */
        return 0;
    }
}

/* The endpoints of a group; both ways to write them. */
static const entry_msg *const *entries_of(const group_msg *g, size_t *n)
{
    const envoy_config_endpoint_v3_LocalityLbEndpoints_LbEndpointList *list =
        GROUP(load_balancer_endpoints)(g);
    if (list)
        return GROUP(LbEndpointList_lb_endpoints)(list, n);
    return GROUP(lb_endpoints)(g, n);
}

static bool check_group(const group_msg *g, size_t at, struct error *err)
{
    if (GROUP(priority)(g) > PRIORITY_MAX)
        return error_set(err, "endpoints[%zu].priority: %u is greater than %d", at,
                         GROUP(priority)(g), PRIORITY_MAX);
    if (GROUP(has_leds_cluster_locality_config)(g))
        return error_set(err, "endpoints[%zu].leds_cluster_locality_config is not implemented", at);
    size_t n;
    uint64_t sum = 0;
    const entry_msg *const *entries = entries_of(g, &n);
    for (size_t i = 0; i < n; i++) {
        sum += upb_u32(ENTRY(load_balancing_weight)(entries[i]), 1);
        if (!ENTRY(endpoint)(entries[i]))
            return error_set(err,
                             "endpoints[%zu].lb_endpoints[%zu]: expected `endpoint` (named "
                             "endpoints are not implemented)",
                             at, i);
        if (!ENDPOINT(address)(ENTRY(endpoint)(entries[i])))
            return error_set(err, "endpoints[%zu].lb_endpoints[%zu].endpoint.address is missing",
                             at, i);
    }
    if (sum > UINT32_MAX)
        return error_set(err, "The sum of weights of all endpoints in the locality must not "
                              "exceed uint32_t max");
    return true;
}

static bool check_message(const cla_msg *m, size_t *n_hosts, size_t *n_groups, struct error *err)
{
    const group_msg *const *groups = CLA(endpoints)(m, n_groups);
    uint64_t weights[PRIORITY_MAX + 1] = {0};
    const envoy_config_endpoint_v3_ClusterLoadAssignment_Policy *policy = CLA(policy)(m);
    size_t n_drops = 0, n;
    *n_hosts = 0;
    if (policy)
        POLICY(drop_overloads)(policy, &n_drops);
    if (n_drops)
        return error_set(err, "policy.drop_overloads is not implemented");
    if (*n_groups > LOCALITIES_MAX)
        return error_set(err, "endpoints: more than %d localities", LOCALITIES_MAX);
    for (size_t i = 0; i < *n_groups; i++) {
        if (!check_group(groups[i], i, err))
            return false;
        entries_of(groups[i], &n);
        *n_hosts += n;
        uint64_t *sum = &weights[GROUP(priority)(groups[i])];
        *sum += upb_u32(GROUP(load_balancing_weight)(groups[i]), 0);
        if (*sum > UINT32_MAX)
            return error_set(err,
                             "The sum of weights of all localities at the same priority exceeds %u",
                             UINT32_MAX);
    }
    return true;
}

/* One group that says nothing of itself, as most assignments have: they share it. */
static struct locality plain_locality;

static bool is_plain(const cla_msg *m)
{
    size_t n;
    const group_msg *const *groups = CLA(endpoints)(m, &n);
    return n == 1 && !GROUP(locality)(groups[0]) && !GROUP(load_balancing_weight)(groups[0]) &&
           GROUP(priority)(groups[0]) == 0;
}

static void take_shape(struct host_set *hs, const cla_msg *m)
{
    struct arena *a = hs->node.arena;
    const envoy_config_endpoint_v3_ClusterLoadAssignment_Policy *policy = CLA(policy)(m);
    size_t n;
    const group_msg *const *groups = CLA(endpoints)(m, &n);
    if (policy) {
        hs->overprovisioning_factor = upb_u32(POLICY(overprovisioning_factor)(policy), 140);
        hs->weighted_priority_health = POLICY(weighted_priority_health)(policy);
    }
    if (is_plain(m)) {
        hs->localities = &plain_locality;
        hs->n_localities = hs->n_priorities = 1;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const envoy_config_core_v3_Locality *l = GROUP(locality)(groups[i]);
        struct locality *to = &hs->localities[hs->n_localities++];
        if (l) {
            to->region = arena_dup(a, upb_bytes(envoy_config_core_v3_Locality_region(l)));
            to->zone = arena_dup(a, upb_bytes(envoy_config_core_v3_Locality_zone(l)));
            to->sub_zone = arena_dup(a, upb_bytes(envoy_config_core_v3_Locality_sub_zone(l)));
        }
        to->weight = upb_u32(GROUP(load_balancing_weight)(groups[i]), 0);
        to->priority = (uint8_t)GROUP(priority)(groups[i]);
        if (to->priority >= hs->n_priorities)
            hs->n_priorities = to->priority + 1u;
    }
}

/* The metadata in the wire format; empty: none. *scratch: NULL, or to be freed after use. */
static struct bytes metadata_of(const entry_msg *entry, upb_Arena **scratch)
{
    const envoy_config_core_v3_Metadata *m = ENTRY(metadata)(entry);
    size_t len = 0;
    *scratch = NULL;
    if (!m || envoy_config_core_v3_Metadata_filter_metadata_size(m) == 0)
        return BYTES("");
    *scratch = upb_Arena_New();
    const char *wire = envoy_config_core_v3_Metadata_serialize(m, *scratch, &len);
    return wire ? bytes_from(wire, len) : BYTES("");
}

static void free_scratch(upb_Arena *scratch)
{
    if (scratch)
        upb_Arena_Free(scratch);
}

static bool take_place(const envoy_config_core_v3_Address *from, struct address *to,
                       struct error *err)
{
    if (take_address(from, to, err))
        return true;
    if (strstr(error_text(err), "malformed IP address"))
        error_append(err, ". ",
                     "Consider setting resolver_name or setting cluster type to 'STRICT_DNS' "
                     "or 'LOGICAL_DNS'");
    return false;
}

static bool take_others(const envoy_config_endpoint_v3_Endpoint *e, struct address *others,
                        unsigned *count, struct error *err)
{
    size_t n;
    const envoy_config_endpoint_v3_Endpoint_AdditionalAddress *const *list =
        ENDPOINT(additional_addresses)(e, &n);
    *count = 0;
    if (n > HOST_OTHERS_MAX)
        return error_set(err, "additional_addresses: more than %d", HOST_OTHERS_MAX);
    for (size_t i = 0; i < n; i++) {
        const envoy_config_core_v3_Address *a = ENDPOINT(AdditionalAddress_address)(list[i]);
        if (!a)
            return error_set(err, "additional_addresses[%zu].address is missing", i);
        if (!take_place(a, &others[i], err))
            return error_prefix(err, "additional_addresses[%zu].address: ", i);
    }
    *count = (unsigned)n;
    return true;
}

static bool take_host(struct host_set *hs, const struct socket_picker *sockets, const group_msg *g,
                      size_t at, const entry_msg *entry, struct error *err)
{
    const envoy_config_endpoint_v3_Endpoint *e = ENTRY(endpoint)(entry);
    struct host *h = &hs->hosts[hs->n_hosts];
    struct address others[HOST_OTHERS_MAX];
    unsigned n_others;
    if (!take_place(ENDPOINT(address)(e), &h->address, err))
        return error_prefix(err, "address: ");
    if (!take_others(e, others, &n_others, err))
        return false;
    upb_Arena *scratch;
    h->more = host_set_more(hs, upb_bytes(ENDPOINT(hostname)(e)), metadata_of(entry, &scratch),
                            others, n_others);
    free_scratch(scratch);
    h->weight = upb_u32(ENTRY(load_balancing_weight)(entry), 1);
    if (h->weight == 0)
        h->weight = 1;
    h->locality = (uint16_t)at;
    h->priority = (uint8_t)GROUP(priority)(g);
    h->health = health_of(entry) & 7;
    h->socket = socket_picker_find(sockets, ENTRY(metadata)(entry), GROUP(metadata)(g)) & 31;
    hs->n_hosts++;
    return true;
}

static struct host_set *take_hosts(const struct socket_picker *sockets, const cla_msg *m,
                                   struct error *err)
{
    size_t n_hosts, n_groups, n;
    if (!check_message(m, &n_hosts, &n_groups, err))
        return NULL;
    struct host_set *hs = host_set_begin(n_hosts, is_plain(m) ? 0 : n_groups);
    take_shape(hs, m);
    const group_msg *const *groups = CLA(endpoints)(m, &n_groups);
    for (size_t i = 0; i < n_groups; i++) {
        const entry_msg *const *entries = entries_of(groups[i], &n);
        for (size_t k = 0; k < n; k++) {
            if (take_host(hs, sockets, groups[i], i, entries[k], err))
                continue;
            hs->n_hosts = 0;
            NODE_UNREF(&hs);
            error_prefix(err, "endpoints[%zu].lb_endpoints[%zu].endpoint.", i, k);
            return NULL;
        }
    }
    return hs;
}

struct host_set *host_set_of_message(const struct cluster *c, const cla_msg *m, struct error *err)
{
    static const struct socket_picker none;
    struct socket_picker sockets;
    if (c->n_socket_matches == 0)
        return take_hosts(&none, m, err);
    upb_Arena *arena = upb_Arena_New();
    socket_picker_init(&sockets, c, arena);
    struct host_set *hs = take_hosts(&sockets, m, err);
    upb_Arena_Free(arena);
    return hs;
}

static unsigned target_socket(const struct cluster *c, const group_msg *g, const entry_msg *entry)
{
    struct socket_picker sockets;
    if (c->n_socket_matches == 0)
        return 0;
    upb_Arena *arena = upb_Arena_New();
    socket_picker_init(&sockets, c, arena);
    unsigned found = socket_picker_find(&sockets, ENTRY(metadata)(entry), GROUP(metadata)(g));
    upb_Arena_Free(arena);
    return found;
}

static bool take_target(struct cluster *c, const group_msg *g, size_t at, const entry_msg *entry,
                        struct error *err)
{
    struct arena *a = c->node.arena;
    const envoy_config_endpoint_v3_Endpoint *e = ENTRY(endpoint)(entry);
    const envoy_config_core_v3_SocketAddress *s =
        envoy_config_core_v3_Address_socket_address(ENDPOINT(address)(e));
    if (!s)
        return error_set(err, "endpoints of a DNS cluster need a socket_address");
    struct bytes name = upb_bytes(envoy_config_core_v3_SocketAddress_address(s));
    uint32_t port = envoy_config_core_v3_SocketAddress_port_value(s);
    if (name.len == 0 || name.len > 255 || memchr(name.data, '\0', name.len))
        return error_set(err, "socket_address.address: expected a host name");
    if (envoy_config_core_v3_SocketAddress_resolver_name(s).size)
        return error_set(err, "%s clusters must NOT have a custom resolver name set",
                         c->type == CLUSTER_LOGICAL_DNS ? "LOGICAL_DNS" : "STRICT_DNS");
    if (port > 65535 || envoy_config_core_v3_SocketAddress_has_named_port(s))
        return error_set(err, "socket_address: expected a port_value of at most 65535");
    uint32_t weight = upb_u32(ENTRY(load_balancing_weight)(entry), 1);
    upb_Arena *scratch;
    c->dns_targets[c->n_dns_targets++] = (struct dns_target){
        .name = arena_dup(a, name),
        .port = (uint16_t)port,
        .locality = (uint16_t)at,
        .weight = weight ? weight : 1,
        .priority = (uint8_t)GROUP(priority)(g),
        .health = health_of(entry),
        .socket = (uint8_t)target_socket(c, g, entry),
        .hostname = arena_dup(a, upb_bytes(ENDPOINT(hostname)(e))),
        .metadata = arena_dup(a, metadata_of(entry, &scratch)),
    };
    free_scratch(scratch);
    return true;
}

bool dns_targets_of_message(struct cluster *c, const cla_msg *m, struct error *err)
{
    size_t n_hosts, n_groups, n;
    if (!check_message(m, &n_hosts, &n_groups, err))
        return false;
    if (c->type == CLUSTER_LOGICAL_DNS && (n_hosts != 1 || n_groups != 1))
        return error_set(err, "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a "
                              "single lb_endpoint");
    struct host_set *shape = host_set_begin(0, is_plain(m) ? 0 : n_groups);
    take_shape(shape, m);
    host_set_finish(shape, NULL, false);
    c->inline_hosts = shape;
    c->dns_targets = ARENA_ARRAY(c->node.arena, struct dns_target, n_hosts ? n_hosts : 1);
    const group_msg *const *groups = CLA(endpoints)(m, &n_groups);
    for (size_t i = 0; i < n_groups; i++) {
        const entry_msg *const *entries = entries_of(groups[i], &n);
        for (size_t k = 0; k < n; k++) {
            if (!take_target(c, groups[i], i, entries[k], err))
                return error_prefix(err, "endpoints[%zu].lb_endpoints[%zu].endpoint.address: ", i,
                                    k);
        }
    }
    return true;
}

struct host_set *host_set_decode(struct decode_context *ctx, const struct cluster *c,
                                 struct bytes wire, const struct host_set *previous,
                                 struct error *err)
{
    if (!decode_check(ctx, "envoy.config.endpoint.v3.ClusterLoadAssignment", wire, err))
        return NULL;
    upb_Arena *arena = upb_Arena_New();
    const cla_msg *m = CLA(parse_ex)(wire.data, wire.len, NULL, UPB_DECODE_MAXDEPTH(100), arena);
    struct host_set *hs = NULL;
    if (!m)
        error_set(err, "the bytes are no ClusterLoadAssignment");
    else
        hs = host_set_of_message(c, m, err);
    if (hs) {
        host_set_drop_duplicates(hs);
        host_set_finish(hs, previous, true);
    }
    upb_Arena_Free(arena);
    return hs;
}
