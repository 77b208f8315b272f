#include "config/upb_util.h"
#include "envoy/extensions/filters/http/grpc_http1_bridge/v3/config.upb.h"
#include "filters/http/grpc_http1_bridge/grpc_http1_bridge.h"

#define BRIDGE(x) envoy_extensions_filters_http_grpc_http1_bridge_v3_Config_##x

void *grpc_http1_bridge_config_new(struct filter_context *ctx, struct bytes value,
                                   struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    struct grpc_http1_bridge_config *c = NULL;
    const envoy_extensions_filters_http_grpc_http1_bridge_v3_Config *m =
        BRIDGE(parse)(value.data, value.len, arena);
    if (!m) {
        error_set(err, "the bytes are not a Config message");
    } else {
        c = ARENA_NEW(ctx->arena, struct grpc_http1_bridge_config);
        c->upgrade_protobuf = BRIDGE(upgrade_protobuf_to_grpc)(m);
        c->ignore_query = BRIDGE(ignore_query_parameters)(m);
    }
    upb_Arena_Free(arena);
    return c;
}
