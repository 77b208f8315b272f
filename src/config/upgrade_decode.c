/* upgrade_configs of a route and of an HTTP connection manager. */
#include "config/decode_util.h"
#include "config/http_manager_parts.h"
#include "config/route.h"
#include "config/wire_slice.h"
#include "envoy/config/core/v3/proxy_protocol.upb.h"
#include "envoy/config/route/v3/route_components.upb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.upb.h"

#define RA(x) envoy_config_route_v3_RouteAction_##x
#define UPGRADE(x) envoy_config_route_v3_RouteAction_UpgradeConfig_##x
#define HCM(f) envoy_extensions_filters_network_http_connection_manager_v3_HttpConnectionManager_##f

typedef envoy_config_route_v3_RouteAction_UpgradeConfig route_msg;
typedef HCM(UpgradeConfig) manager_msg;

enum { FIELD_UPGRADE_CONFIGS = 23, FIELD_UPGRADE_FILTERS = 2, UPGRADES_MAX = 1000 };

static bool take_connect(const route_msg *m, struct route_upgrade *u, struct error *err)
{
    const UPGRADE(ConnectConfig) *c = UPGRADE(connect_config)(m);
    if (!c)
        return true;
    if (!bytes_eq_nocase(u->type, BYTES("CONNECT")))
        return error_set(err, "Non-CONNECT upgrade type %.*s has ConnectConfig",
                         BYTES_ARG(u->type));
    const envoy_config_core_v3_ProxyProtocolConfig *p =
        UPGRADE(ConnectConfig_proxy_protocol_config)(c);
    if (p) {
        bool v2 = envoy_config_core_v3_ProxyProtocolConfig_version(p) ==
                  envoy_config_core_v3_ProxyProtocolConfig_V2;
        u->proxy_protocol = v2 ? 2 : 1;
    }
    u->terminates = true;
    u->posts = UPGRADE(ConnectConfig_allow_post)(c);
    return true;
}

bool route_upgrades_decode(const envoy_config_route_v3_RouteAction *m, struct route *r,
                           struct error *err)
{
    struct route_extras *x = r->extras;
    size_t n;
    const route_msg *const *list = RA(upgrade_configs)(m, &n);
    if (n == 0)
        return true;
    if (n > UPGRADES_MAX)
        return error_set(err, "upgrade_configs: more than %d", UPGRADES_MAX);
    x->upgrades = ARENA_ARRAY(r->node.arena, struct route_upgrade, n);
    for (size_t i = 0; i < n; i++) {
        struct bytes type = upb_bytes(UPGRADE(upgrade_type)(list[i]));
        struct route_upgrade *u = &x->upgrades[i];
        if (route_upgrade_find(r, type))
            return error_set(err, "Duplicate upgrade %.*s", BYTES_ARG(type));
        x->n_upgrades++;
        u->type = arena_dup(r->node.arena, type);
        u->enabled = upb_bool(UPGRADE(enabled)(list[i]), true);
        if (!take_connect(list[i], u, err))
            return error_prefix(err, "upgrade_configs[%zu].", i);
    }
    return true;
}

const struct route_upgrade *route_upgrade_find(const struct route *r, struct bytes type)
{
    const struct route_extras *x = r->extras;
    for (unsigned i = 0; i < x->n_upgrades; i++) {
        if (bytes_eq_nocase(x->upgrades[i].type, type))
            return &x->upgrades[i];
    }
    return NULL;
}

static bool take_upgrade(struct decode_context *ctx, struct http_manager *m, struct bytes wire,
                         struct http_upgrade *u, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    const manager_msg *msg = HCM(UpgradeConfig_parse)(wire.data, wire.len, arena);
    bool ok = msg || error_set(err, "the bytes are no UpgradeConfig"), own = false;
    if (msg) {
        size_t n;
        u->type = arena_dup(m->node.arena, upb_bytes(HCM(UpgradeConfig_upgrade_type)(msg)));
        u->enabled = upb_bool(HCM(UpgradeConfig_enabled)(msg), true);
        HCM(UpgradeConfig_filters)(msg, &n);
        own = n > 0;
    }
    upb_Arena_Free(arena);
    return ok && (!own || http_manager_take_chain(ctx, m, wire, FIELD_UPGRADE_FILTERS, "filters",
                                                  &u->filters, &u->n_filters, err));
}

bool http_manager_take_upgrades(struct decode_context *ctx, struct http_manager *m,
                                struct bytes wire, struct error *err)
{
    struct wire_field f;
    size_t n = wire_count(wire, FIELD_UPGRADE_CONFIGS);
    if (n > UPGRADES_MAX)
        return error_set(err, "upgrade_configs: more than %d", UPGRADES_MAX);
    m->upgrades = n ? ARENA_ARRAY(m->node.arena, struct http_upgrade, n) : NULL;
    while (wire_next(&wire, &f)) {
        if (f.number != FIELD_UPGRADE_CONFIGS || f.type != WIRE_BYTES)
            continue;
        struct http_upgrade *u = &m->upgrades[m->n_upgrades];
        if (!take_upgrade(ctx, m, f.bytes, u, err)) {
            m->n_upgrades++; /* its filters are to be freed */
            return error_prefix(err, "upgrade_configs[%u].", m->n_upgrades - 1);
        }
        if (http_manager_upgrade(m, u->type)) {
            m->n_upgrades++;
            return error_set(err, "Error: multiple upgrade configs with the same name: '%.*s'",
                             BYTES_ARG(u->type));
        }
        m->n_upgrades++;
    }
    return true;
}

const struct http_upgrade *http_manager_upgrade(const struct http_manager *m, struct bytes type)
{
    for (unsigned i = 0; i < m->n_upgrades; i++) {
        if (bytes_eq_nocase(m->upgrades[i].type, type))
            return &m->upgrades[i];
    }
    return NULL;
}
