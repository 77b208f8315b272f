#include "config/upb_util.h"
#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.upb.h"
#include "filters/http/grpc_web/grpc_web.h"

/* There is nothing to say but that it is there. */
void *grpc_web_config_new(struct filter_context *ctx, struct bytes value, struct error *err)
{
    static char there;
    upb_Arena *arena = upb_Arena_New();
    bool good = envoy_extensions_filters_http_grpc_web_v3_GrpcWeb_parse(value.data, value.len,
                                                                        arena) != NULL;
    upb_Arena_Free(arena);
    if (!good)
        error_set(err, "the bytes are not a GrpcWeb message");
    return good ? &there : NULL;
}
