#include "config/decode.h"
#include "config/decode_util.h"
#include "config/wire_slice.h"
#include "envoy/extensions/filters/http/on_demand/v3/on_demand.upb.h"
#include "filters/http/on_demand/on_demand.h"

#define ON_DEMAND(f) envoy_extensions_filters_http_on_demand_v3_##f

typedef envoy_extensions_filters_http_on_demand_v3_OnDemandCds odcds_msg;

enum { FIELD_ODCDS = 1, FIELD_SOURCE = 1, TIMEOUT_MS = 5000 };

static bool take_source(struct filter_context *ctx, struct bytes wire, struct config_source *out,
                        struct error *err)
{
    struct bytes source = wire_message(ctx->arena, wire, FIELD_SOURCE);
    if (!source.data)
        return error_set(err, "value is required");
    if (!config_source_decode(ctx->decode, ctx->arena, source, out, err))
        return false;
    return out->kind == SOURCE_ADS || out->kind == SOURCE_GRPC ||
           error_set(err, "clusters on demand come over ads or gRPC");
}

static bool take_odcds(struct filter_context *ctx, struct on_demand_config *c, const odcds_msg *m,
                       struct bytes wire, struct error *err)
{
    if (!m)
        return true;
    c->clusters = true;
    c->timeout_ms = TIMEOUT_MS;
    if (ON_DEMAND(OnDemandCds_resources_locator)(m).size)
        return error_set(err, "odcds.resources_locator is not implemented");
    if (!take_source(ctx, wire_message(ctx->arena, wire, FIELD_ODCDS), &c->source, err))
        return error_prefix(err, "odcds.source: ");
    return take_duration_ms(ON_DEMAND(OnDemandCds_timeout)(m), "odcds.timeout", &c->timeout_ms,
                            err);
}

void *on_demand_config_new(struct filter_context *ctx, struct bytes value, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    struct on_demand_config *c = ARENA_NEW(ctx->arena, struct on_demand_config);
    const ON_DEMAND(OnDemand) *m = ON_DEMAND(OnDemand_parse)(value.data, value.len, arena);
    bool ok = m ? take_odcds(ctx, c, ON_DEMAND(OnDemand_odcds)(m), value, err)
                : error_set(err, "the bytes are no OnDemand");
    upb_Arena_Free(arena);
    return ok ? c : NULL;
}

void *on_demand_route_config_new(struct filter_context *ctx, struct bytes value, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    struct on_demand_config *c = ARENA_NEW(ctx->arena, struct on_demand_config);
    const ON_DEMAND(PerRouteConfig) *m =
        ON_DEMAND(PerRouteConfig_parse)(value.data, value.len, arena);
    bool ok = m ? take_odcds(ctx, c, ON_DEMAND(PerRouteConfig_odcds)(m), value, err)
                : error_set(err, "the bytes are no PerRouteConfig");
    upb_Arena_Free(arena);
    return ok ? c : NULL;
}
