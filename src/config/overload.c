#include "config/overload.h"

#include "config/decode.h"
#include "config/decode_util.h"
#include "config/field_report.h"
#include "config/typed.h"
#include "envoy/config/overload/v3/overload.upb.h"
#include "envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.upb.h"

#define MONITOR(f) envoy_config_overload_v3_ResourceMonitor_##f
#define CONNECTIONS(f)                                                                             \
    envoy_extensions_resource_monitors_downstream_connections_v3_DownstreamConnectionsConfig_##f

typedef envoy_config_overload_v3_ResourceMonitor monitor_msg;
typedef envoy_extensions_resource_monitors_downstream_connections_v3_DownstreamConnectionsConfig
    connections_msg;

static bool is_double(const monitor_msg *const *list, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (bytes_eq(upb_bytes(MONITOR(name)(list[i])), upb_bytes(MONITOR(name)(list[at]))))
            return true;
    }
    return false;
}

static bool take_monitor(struct decode_context *ctx, struct arena *a, const monitor_msg *m,
                         size_t at, upb_Arena *arena, struct overload *out, struct error *err)
{
    struct typed t;
    if (!take_any(ctx, a, MONITOR(typed_config)(m), &t, err))
        return false;
    if (!bytes_eq_str(t.type_name, "envoy.extensions.resource_monitors.downstream_connections.v3."
                                   "DownstreamConnectionsConfig")) {
        const char *path = arena_printf(a, "overload_manager.resource_monitors[%zu]", at);
        if (ctx->report)
            field_report_add(ctx->report, FIELD_IGNORED, bytes_of(path),
                             "this resource is not watched");
        return true;
    }
    const connections_msg *c = CONNECTIONS(parse)(t.value.data, t.value.len, arena);
    int64_t max = c ? CONNECTIONS(max_active_downstream_connections)(c) : 0;
    if (max <= 0)
        return error_set(err,
                         "typed_config.max_active_downstream_connections: value must be greater "
                         "than 0");
    out->max_connections = (uint64_t)max;
    return true;
}

bool overload_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                     struct overload *out, struct error *err)
{
    size_t n = 0;
    upb_Arena *arena = upb_Arena_New();
    const envoy_config_overload_v3_OverloadManager *m =
        envoy_config_overload_v3_OverloadManager_parse(wire.data, wire.len, arena);
    const monitor_msg *const *list =
        m ? envoy_config_overload_v3_OverloadManager_resource_monitors(m, &n) : NULL;
    bool ok = m || error_set(err, "the bytes are no OverloadManager");
    out->max_connections = UINT64_MAX;
    for (size_t i = 0; ok && i < n; i++) {
        struct bytes name = upb_bytes(MONITOR(name)(list[i]));
        ok = is_double(list, i) ? error_set(err, "Duplicate resource monitor %.*s", BYTES_ARG(name))
                                : take_monitor(ctx, a, list[i], i, arena, out, err);
        if (!ok)
            error_prefix(err, "resource_monitors[%zu]: ", i);
    }
    upb_Arena_Free(arena);
    return ok;
}
