#include "filters/http/router/router_config.h"

#include "config/upb_util.h"
#include "envoy/extensions/filters/http/router/v3/router.upb.h"

#define ROUTER(x) envoy_extensions_filters_http_router_v3_Router_##x

static struct router_config *refuse(struct error *err, const char *field)
{
    error_set(err, "%s: not implemented", field);
    return NULL;
}

/* The rules of the API let no other names pass. */
static void take_strict(struct filter_context *ctx,
                        const envoy_extensions_filters_http_router_v3_Router *m,
                        struct router_config *c)
{
    size_t n;
    const upb_StringView *names = ROUTER(strict_check_headers)(m, &n);
    enum header_id *ids = ARENA_ARRAY(ctx->arena, enum header_id, n);
    for (size_t i = 0; i < n; i++)
        ids[i] = header_id_of(upb_bytes(names[i]));
    c->strict = ids;
    c->n_strict = (uint32_t)n;
}

static void *decode(struct filter_context *ctx,
                    const envoy_extensions_filters_http_router_v3_Router *m, struct error *err)
{
    size_t n;
    if (ROUTER(upstream_http_filters)(m, &n) && n > 0)
        return refuse(err, "upstream_http_filters");
    struct router_config *c = ARENA_NEW(ctx->arena, struct router_config);
    c->suppress_envoy_headers = ROUTER(suppress_envoy_headers)(m);
    c->respect_expected_rq_timeout = ROUTER(respect_expected_rq_timeout)(m);
    c->start_child_span = ROUTER(start_child_span)(m);
    c->dynamic_stats = upb_bool(ROUTER(dynamic_stats)(m), true);
    take_strict(ctx, m, c);
    return c;
}

void *router_config_new(struct filter_context *ctx, struct bytes value, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    const envoy_extensions_filters_http_router_v3_Router *m =
        ROUTER(parse)(value.data, value.len, arena);
    void *config = NULL;
    if (m)
        config = decode(ctx, m, err);
    else
        error_set(err, "the bytes are not a Router message");
    upb_Arena_Free(arena);
    return config;
}
