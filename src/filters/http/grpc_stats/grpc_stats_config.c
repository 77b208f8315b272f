#include <stdlib.h>

#include "config/upb_util.h"
#include "envoy/config/core/v3/grpc_method_list.upb.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.upb.h"
#include "filters/http/grpc_stats/grpc_stats.h"

#define STATS(x) envoy_extensions_filters_http_grpc_stats_v3_FilterConfig_##x
#define LIST(x) envoy_config_core_v3_GrpcMethodList_##x

typedef envoy_config_core_v3_GrpcMethodList_Service service_msg;

static int by_name(const void *a, const void *b)
{
    const struct grpc_method *x = a, *y = b;
    int order = bytes_cmp(x->service, y->service);
    return order ? order : bytes_cmp(x->method, y->method);
}

bool grpc_stats_lists(const struct grpc_stats_config *c, const struct grpc_method *m)
{
    return c->n_listed && bsearch(m, c->listed, c->n_listed, sizeof(*m), by_name);
}

static void take_list(struct arena *a, struct grpc_stats_config *c,
                      const envoy_config_core_v3_GrpcMethodList *list)
{
    size_t n, n_names, total = 0;
    const service_msg *const *services = LIST(services)(list, &n);
    for (size_t i = 0; i < n; i++) {
        LIST(Service_method_names)(services[i], &n_names);
        total += n_names;
    }
    c->listed = ARENA_ARRAY(a, struct grpc_method, total ? total : 1);
    for (size_t i = 0; i < n; i++) {
        upb_StringView const *names = LIST(Service_method_names)(services[i], &n_names);
        struct bytes service = arena_dup(a, upb_bytes(LIST(Service_name)(services[i])));
        for (size_t k = 0; k < n_names; k++)
            c->listed[c->n_listed++] =
                (struct grpc_method){service, arena_dup(a, upb_bytes(names[k]))};
    }
    qsort(c->listed, c->n_listed, sizeof(c->listed[0]), by_name);
}

void *grpc_stats_config_new(struct filter_context *ctx, struct bytes value, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    struct grpc_stats_config *c = NULL;
    const envoy_extensions_filters_http_grpc_stats_v3_FilterConfig *m =
        STATS(parse)(value.data, value.len, arena);
    if (!m) {
        error_set(err, "the bytes are not a FilterConfig message");
    } else {
        c = ARENA_NEW(ctx->arena, struct grpc_stats_config);
        c->all_methods = upb_bool(STATS(stats_for_all_methods)(m), false);
        c->replace_dots = STATS(replace_dots_in_grpc_service_name)(m);
        c->emit_filter_state = STATS(emit_filter_state)(m);
        c->upstream_stats = STATS(enable_upstream_stats)(m);
        if (STATS(individual_method_stats_allowlist)(m))
            take_list(ctx->arena, c, STATS(individual_method_stats_allowlist)(m));
    }
    upb_Arena_Free(arena);
    return c;
}
