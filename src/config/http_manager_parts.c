#include "config/http_manager_parts.h"

#include "config/decode_util.h"
#include "config/field_report.h"
#include "config/filter_discovery.h"
#include "config/route.h"
#include "config/scoped_routes.h"
#include "config/typed.h"
#include "config/wire_slice.h"
#include "config/xdstp.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.upb.h"

#define HCM(f) envoy_extensions_filters_network_http_connection_manager_v3_##f

typedef envoy_extensions_filters_network_http_connection_manager_v3_HttpFilter filter_msg;

enum {
    FIELD_RDS = 3,
    FIELD_ROUTE_CONFIG = 4,
    FIELD_HTTP_FILTERS = 5,
    FIELD_RDS_CONFIG_SOURCE = 1,
    FIELD_RDS_NAME = 2,
    FIELD_CONFIG_DISCOVERY = 5,
    FIELD_SCOPED_ROUTES = 31,
    FILTERS_MAX = 1000,
};

bool access_logs_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                        uint32_t field, struct access_log ***logs, unsigned *n, struct error *err)
{
    struct wire_field f;
    size_t count = wire_count(wire, field);
    *logs = ARENA_ARRAY(a, struct access_log *, count ? count : 1);
    *n = 0;
    while (wire_next(&wire, &f)) {
        if (f.number != field || f.type != WIRE_BYTES)
            continue;
        if (!access_log_decode(ctx, a, f.bytes, &(*logs)[*n], err))
            return error_prefix(err, "access_log[%u]: ", *n);
        ++*n;
    }
    return true;
}

/* *skip: it is optional or a pure observer, and left out. */
static const struct filter_factory *find_filter(struct decode_context *ctx, const filter_msg *m,
                                                const struct typed *t, bool *skip,
                                                struct error *err)
{
    const struct filter_registry *r = ctx->filters;
    struct bytes name = upb_bytes(HCM(HttpFilter_name)(m));
    const struct filter_factory *f = NULL;
    if (t->type_name.len)
        f = filter_registry_find(r->http, r->n_http, t->type_name);
    else
        f = filter_registry_find_name(r->http, r->n_http, name);
    if (f && t->type_name.len == 0 && !f->no_config_ok)
        f = NULL;
    if (f)
        return f;
    *skip = HCM(HttpFilter_is_optional)(m);
    for (unsigned i = 0; i < r->n_skippable; i++)
        *skip |= t->type_name.len && bytes_eq_str(t->type_name, r->skippable[i]);
    if (*skip && ctx->report)
        field_report_add(ctx->report, FIELD_IGNORED, name, "the filter is skipped");
    if (!*skip)
        error_set(err, "Didn't find a registered implementation for '%.*s' with type URL: '%.*s'",
                  BYTES_ARG(name), BYTES_ARG(t->type_name));
    return NULL;
}

static bool take_discovered(struct decode_context *ctx, struct filter_context *fctx,
                            struct http_manager *hm, struct http_filter_slot *slots, unsigned *n,
                            const filter_msg *m, struct bytes wire, bool last, struct error *err)
{
    if (slots != hm->filters)
        return error_set(err, "config_discovery is not implemented here");
    struct bytes name = arena_dup(fctx->arena, upb_bytes(HCM(HttpFilter_name)(m)));
    struct filter_discovery *d = filter_discovery_decode(
        ctx, fctx->arena, name, fctx->stat_prefix, last, HCM(HttpFilter_config_discovery)(m),
        wire_message(fctx->arena, wire, FIELD_CONFIG_DISCOVERY), err);
    if (!d)
        return false;
    slots[(*n)++] = (struct http_filter_slot){
        .name = name, .discovery = d, .disabled = HCM(HttpFilter_disabled)(m)};
    return true;
}

static bool take_filter(struct decode_context *ctx, struct filter_context *fctx,
                        struct http_filter_slot *slots, unsigned *n, const filter_msg *m,
                        struct error *err)
{
    struct typed t;
    bool skip = false;
    if (!take_any(ctx, fctx->arena, HCM(HttpFilter_typed_config)(m), &t, err))
        return false;
    const struct filter_factory *f = find_filter(ctx, m, &t, &skip, err);
    if (!f)
        return skip;
    struct http_filter_slot *slot = &slots[*n];
    *slot = (struct http_filter_slot){
        .factory = f,
        .name = arena_dup(fctx->arena, upb_bytes(HCM(HttpFilter_name)(m))),
        .disabled = HCM(HttpFilter_disabled)(m)};
    if (f->terminal && slot->disabled)
        return error_set(err, "the terminal filter cannot be disabled");
    if (f->config_new) {
        slot->config = f->config_new(fctx, t.value, err);
        if (!slot->config)
            return error_set(err, "the filter refused its configuration");
    }
    ++*n;
    return true;
}

static bool check_terminal(const struct http_filter_slot *slots, unsigned n, struct error *err)
{
    for (unsigned i = 0; i < n; i++) {
        const struct http_filter_slot *s = &slots[i];
        bool last = i + 1 == n;
        if (s->discovery)
            continue; /* told when its type is known */
        if (s->factory->terminal && !last)
            return error_set(err,
                             "Error: terminal filter named %.*s of type %s must be the last filter "
                             "in a http filter chain.",
                             BYTES_ARG(s->name), s->factory->name);
        if (!s->factory->terminal && last)
            return error_set(err,
                             "Error: non-terminal filter named %.*s of type %s is the last filter "
                             "in a http filter chain.",
                             BYTES_ARG(s->name), s->factory->name);
    }
    return true;
}

static struct filter_context filter_context_of(struct decode_context *ctx, struct arena *a,
                                               struct bytes stat_prefix)
{
    char *prefix = arena_printf(a, "http.%.*s.", BYTES_ARG(stat_prefix));
    return (struct filter_context){.arena = a,
                                   .stats = ctx->stats,
                                   .stat_prefix = bytes_of(prefix),
                                   .self = ctx->self,
                                   .owner = ctx->owner,
                                   .decode = ctx};
}

bool http_manager_take_chain(struct decode_context *ctx, struct http_manager *m, struct bytes wire,
                             uint32_t field, const char *name, struct http_filter_slot **slots,
                             unsigned *n_slots, struct error *err)
{
    struct filter_context fctx = filter_context_of(ctx, m->node.arena, m->stat_prefix);
    size_t n = wire_count(wire, field), at = 0;
    struct wire_field f;
    if (n > FILTERS_MAX)
        return error_set(err, "%s: more than %d", name, FILTERS_MAX);
    *slots = ARENA_ARRAY(m->node.arena, struct http_filter_slot, n ? n : 1);
    while (wire_next(&wire, &f)) {
        if (f.number != field || f.type != WIRE_BYTES)
            continue;
        upb_Arena *arena = upb_Arena_New();
        const filter_msg *msg = HCM(HttpFilter_parse)(f.bytes.data, f.bytes.len, arena);
        bool ok;
        if (!msg)
            ok = error_set(err, "the bytes are no HttpFilter");
        else if (HCM(HttpFilter_config_discovery)(msg))
            ok = take_discovered(ctx, &fctx, m, *slots, n_slots, msg, f.bytes, at + 1 == n, err);
        else
            ok = take_filter(ctx, &fctx, *slots, n_slots, msg, err);
        upb_Arena_Free(arena);
        if (!ok)
            return error_prefix(err, "%s[%zu]: ", name, at);
        at++;
    }
    if (*n_slots == 0) /* Envoy takes it, and answers nothing */
        return error_set(err, "%s: expected at least a terminal filter (envoy.filters.http.router)",
                         name);
    return check_terminal(*slots, *n_slots, err);
}

bool http_manager_take_filters(struct decode_context *ctx, struct http_manager *m,
                               struct bytes wire, struct error *err)
{
    return http_manager_take_chain(ctx, m, wire, FIELD_HTTP_FILTERS, "http_filters", &m->filters,
                                   &m->n_filters, err);
}

struct known {
    struct decode_context *ctx;
    struct error *err;
};

static bool check_cluster(void *arg, struct bytes name, const struct route_place *at)
{
    struct known *k = arg;
    return k->ctx->cluster_known(k->ctx->owner, name) || route_cluster_unknown(name, at, k->err);
}

struct route_config *inline_routes_decode(struct decode_context *ctx, struct arena *a,
                                          struct bytes stat_prefix, struct bytes wire,
                                          const struct route_config *previous, struct error *err)
{
    struct filter_context fctx = filter_context_of(ctx, a, stat_prefix);
    struct route_decode_context rctx = {.filters = &fctx,
                                        .registry = ctx->filters,
                                        .descriptors = ctx->descriptors,
                                        .runtime = ctx->runtime};
    struct route_config *rc = route_config_decode(&rctx, arena_dup(a, wire), previous, err);
    if (!rc)
        return NULL;
    if (rc->vhds)
        error_set(err, "vhds: virtual hosts are discovered for routes that come by rds");
    struct known k = {ctx, err};
    if (!rc->vhds && ctx->cluster_known && (rc->validate_clusters || !rc->validate_clusters_set))
        route_config_clusters(rc, check_cluster, &k);
    if (error_is_set(err))
        NODE_UNREF(&rc);
    return rc;
}

static bool take_inline(struct decode_context *ctx, struct http_manager *m, struct bytes wire,
                        const struct http_manager *previous, struct error *err)
{
    m->inline_routes = inline_routes_decode(ctx, m->node.arena, m->stat_prefix, wire,
                                            previous ? previous->inline_routes : NULL, err);
    return m->inline_routes || error_prefix(err, "route_config: ");
}

bool http_manager_take_routes(struct decode_context *ctx, struct http_manager *m, struct bytes wire,
                              const struct http_manager *previous, struct error *err)
{
    struct arena *a = m->node.arena;
    struct bytes rds = wire_message(a, wire, FIELD_RDS);
    struct bytes routes = wire_message(a, wire, FIELD_ROUTE_CONFIG);
    struct bytes scoped = wire_message(a, wire, FIELD_SCOPED_ROUTES);
    if (routes.data)
        return take_inline(ctx, m, routes, previous, err);
    if (scoped.data)
        return (m->scoped = scoped_routes_decode(ctx, m, scoped, err)) != NULL;
    if (!rds.data)
        return error_set(err, "route_specifier: expected rds, route_config or scoped_routes");
    struct bytes source = wire_message(a, rds, FIELD_RDS_CONFIG_SOURCE);
    struct bytes name = wire_find_bytes(rds, FIELD_RDS_NAME);
    if (name.len == 0)
        return error_set(err, "rds.route_config_name: expected a name");
    m->rds_name = arena_dup(a, xdstp_canonical(a, name));
    if (!source.data)
        return error_set(err, "rds.config_source: value is required");
    return config_source_decode(ctx, a, source, &m->rds_source, err) ||
           error_prefix(err, "rds.config_source: ");
}
