#include "base/map.h"
#include "base/strbuf.h"
#include "config/decode.h"
#include "config/decode_util.h"
#include "config/http_manager_parts.h"
#include "config/route.h"
#include "config/scoped_routes.h"
#include "config/wire_slice.h"
#include "config/xdstp.h"
#include "envoy/config/route/v3/scoped_route.upb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.upb.h"

#define SCOPED(f) envoy_extensions_filters_network_http_connection_manager_v3_ScopedRoutes_##f
#define RDS(f) envoy_extensions_filters_network_http_connection_manager_v3_ScopedRds_##f
#define EXTRACTOR(f) SCOPED(ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_##f)
#define SCOPE(f) envoy_config_route_v3_ScopedRouteConfiguration_##f

typedef envoy_extensions_filters_network_http_connection_manager_v3_ScopedRoutes scoped_msg;
typedef envoy_config_route_v3_ScopedRouteConfiguration scope_msg;

enum {
    FIELD_RDS_SOURCE = 3,
    FIELD_LIST = 4,
    FIELD_SCOPED_RDS = 5,
    FIELD_LIST_SCOPES = 1,
    FIELD_SRDS_SOURCE = 1,
    FIELD_ROUTES = 5,
    FRAGMENTS_MAX = 64,
};

/* ---- a scope ---- */

static bool take_key(struct scope *s, const SCOPE(Key) * key, struct error *err)
{
    struct strbuf whole = STRBUF_INIT;
    size_t n = 0;
    const SCOPE(Key_Fragment) *const *list = key ? SCOPE(Key_fragments)(key, &n) : NULL;
    if (n == 0 || n > FRAGMENTS_MAX)
        return error_set(err, "key.fragments: expected 1 to %d", FRAGMENTS_MAX);
    s->fragments = ARENA_ARRAY(s->arena, struct bytes, n);
    s->n_fragments = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        s->fragments[i] = arena_dup(s->arena, upb_bytes(SCOPE(Key_Fragment_string_key)(list[i])));
        strbuf_printf(&whole, "%zu:", s->fragments[i].len);
        strbuf_add_bytes(&whole, s->fragments[i]);
    }
    s->key = arena_dup(s->arena, strbuf_bytes(&whole));
    strbuf_fini(&whole);
    return true;
}

static bool take_scope_routes(struct decode_context *ctx, struct scope *s, const scope_msg *m,
                              struct bytes wire, bool static_routes, struct error *err)
{
    struct bytes routes = wire_message(s->arena, wire, FIELD_ROUTES);
    s->rds_name = arena_dup(
        s->arena, xdstp_canonical(s->arena, upb_bytes(SCOPE(route_configuration_name)(m))));
    s->on_demand = SCOPE(on_demand)(m) && !routes.data;
    if (static_routes && s->rds_name.len)
        return error_set(err, "Fetching routes via RDS (route_configuration_name) is not supported "
                              "with inline scoped routes.");
    if (static_routes && !routes.data)
        return error_set(err, "You must specify a route_configuration with inline scoped routes.");
    if (!routes.data)
        return s->rds_name.len || error_set(err, "route_configuration_name is empty.");
    s->routes = inline_routes_decode(ctx, s->arena, BYTES(""), routes, NULL, err);
    return s->routes || error_prefix(err, "route_configuration: ");
}

struct scope *scope_decode(struct decode_context *ctx, struct bytes wire, bool static_routes,
                           struct error *err)
{
    struct arena *a = arena_new(0);
    upb_Arena *arena = upb_Arena_New();
    struct scope *s = ARENA_NEW(a, struct scope);
    s->arena = a;
    const scope_msg *m =
        SCOPE(parse_ex)(wire.data, wire.len, NULL, UPB_DECODE_MAXDEPTH(100), arena);
    if (m)
        s->name = arena_dup(a, upb_bytes(SCOPE(name)(m)));
    bool ok = m ? take_key(s, SCOPE(key)(m), err) &&
                      take_scope_routes(ctx, s, m, wire, static_routes, err)
                : error_set(err, "the bytes are no ScopedRouteConfiguration");
    upb_Arena_Free(arena);
    if (!ok)
        scope_free(&s);
    return s;
}

void scope_free(struct scope **sp)
{
    struct scope *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    NODE_UNREF(&s->routes);
    struct arena *a = s->arena;
    arena_free(&a);
}

/* ---- of a connection manager ---- */

static bool take_fragment(struct arena *a, const SCOPED(ScopeKeyBuilder_FragmentBuilder) * m,
                          struct scope_fragment *out, struct error *err)
{
    const EXTRACTOR(KvElement) * element;
    const SCOPED(ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor) *x =
        SCOPED(ScopeKeyBuilder_FragmentBuilder_header_value_extractor)(m);
    if (!x)
        return error_set(err, "header_value_extractor: value is required");
    out->header = upb_request_header(EXTRACTOR(name)(x), a);
    out->element_separator = arena_dup(a, upb_bytes(EXTRACTOR(element_separator)(x)));
    switch (EXTRACTOR(extract_type_case)(x)) {
    case EXTRACTOR(extract_type_index):
        out->index = EXTRACTOR(index)(x);
        return out->index == 0 || out->element_separator.len ||
               error_set(err, "header_value_extractor: Index > 0 for empty string element "
                              "separator.");
    case EXTRACTOR(extract_type_element):
        element = EXTRACTOR(element)(x);
        out->separator = arena_dup(a, upb_bytes(EXTRACTOR(KvElement_separator)(element)));
        out->key = arena_dup(a, upb_bytes(EXTRACTOR(KvElement_key)(element)));
        return true;
    case EXTRACTOR(extract_type_NOT_SET):
        break;
    }
    return error_set(err, "header_value_extractor: HeaderValueExtractor extract_type not set.");
}

static bool take_key_builder(struct arena *a, struct scoped_routes *s, const scoped_msg *m,
                             struct error *err)
{
    size_t n = 0;
    const SCOPED(ScopeKeyBuilder) *builder = SCOPED(scope_key_builder)(m);
    const SCOPED(ScopeKeyBuilder_FragmentBuilder) *const *list =
        builder ? SCOPED(ScopeKeyBuilder_fragments)(builder, &n) : NULL;
    if (n == 0 || n > FRAGMENTS_MAX)
        return error_set(err, "scope_key_builder.fragments: expected 1 to %d", FRAGMENTS_MAX);
    s->fragments = ARENA_ARRAY(a, struct scope_fragment, n);
    s->n_fragments = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        if (!take_fragment(a, list[i], &s->fragments[i], err))
            return error_prefix(err, "scope_key_builder.fragments[%zu].", i);
    }
    return true;
}

static bool add_inline(struct decode_context *ctx, struct scoped_routes *s, struct map *names,
                       struct bytes wire, struct error *err)
{
    struct scope *scope = scope_decode(ctx, wire, true, err);
    if (!scope)
        return false;
    bool ok = true;
    if (map_set(names, scope->name, s))
        ok = error_set(err, "duplicate scoped route configuration '%.*s' found",
                       BYTES_ARG(scope->name));
    const struct scope_entry *other =
        scope_table_find(s->table, scope->fragments, scope->n_fragments);
    if (ok && other)
        ok = error_set(err,
                       "scope key conflict found, first scope is '%.*s', second scope is '%.*s'",
                       BYTES_ARG(other->name), BYTES_ARG(scope->name));
    if (ok)
        scope_table_add(s->table, scope, scope->routes);
    scope_free(&scope);
    return ok;
}

static bool take_list(struct decode_context *ctx, struct scoped_routes *s, struct bytes list,
                      struct error *err)
{
    struct wire_field f;
    struct map names = MAP_INIT;
    unsigned n = (unsigned)wire_count(list, FIELD_LIST_SCOPES);
    bool ok = true;
    if (n == 0)
        return error_set(err, "scoped_route_configurations_list.scoped_route_configurations: value "
                              "must contain at least 1 item(s)");
    s->table = scope_table_new(n);
    for (unsigned i = 0; ok && wire_next(&list, &f);) {
        if (f.number != FIELD_LIST_SCOPES || f.type != WIRE_BYTES)
            continue;
        ok = add_inline(ctx, s, &names, f.bytes, err) ||
             error_prefix(err,
                          "scoped_route_configurations_list.scoped_route_configurations[%u]: ", i);
        i++;
    }
    map_fini(&names);
    return ok;
}

static bool take_srds(struct decode_context *ctx, struct arena *a, struct scoped_routes *s,
                      const scoped_msg *m, struct bytes wire, struct error *err)
{
    struct bytes source = wire_message(a, wire, FIELD_SRDS_SOURCE);
    if (!source.data)
        return error_set(err, "scoped_rds.scoped_rds_config_source: value is required");
    if (RDS(srds_resources_locator)(SCOPED(scoped_rds)(m)).size)
        return error_set(err, "scoped_rds.srds_resources_locator is not implemented");
    s->collection = BYTES("*");
    return config_source_decode(ctx, a, source, &s->source, err) ||
           error_prefix(err, "scoped_rds.scoped_rds_config_source: ");
}

static bool take_scoped(struct decode_context *ctx, struct arena *a, struct scoped_routes *s,
                        const scoped_msg *m, struct bytes wire, struct error *err)
{
    struct bytes rds = wire_message(a, wire, FIELD_RDS_SOURCE);
    struct bytes list = wire_message(a, wire, FIELD_LIST);
    s->name = stat_name_of(a, upb_bytes(SCOPED(name)(m)));
    if (s->name.len == 0)
        return error_set(err, "name: value length must be at least 1 characters");
    if (!take_key_builder(a, s, m, err))
        return false;
    if (rds.data && !config_source_decode(ctx, a, rds, &s->rds_source, err))
        return error_prefix(err, "rds_config_source: ");
    if (list.data)
        return take_list(ctx, s, list, err);
    struct bytes srds = wire_message(a, wire, FIELD_SCOPED_RDS);
    return srds.data ? take_srds(ctx, a, s, m, srds, err)
                     : error_set(err, "config_specifier: reason: is required");
}

struct scoped_routes *scoped_routes_decode(struct decode_context *ctx, struct http_manager *m,
                                           struct bytes wire, struct error *err)
{
    struct scoped_routes *s = ARENA_NEW(m->node.arena, struct scoped_routes);
    upb_Arena *arena = upb_Arena_New();
    const scoped_msg *msg =
        SCOPED(parse_ex)(wire.data, wire.len, NULL, UPB_DECODE_MAXDEPTH(100), arena);
    bool ok = msg ? take_scoped(ctx, m->node.arena, s, msg, wire, err)
                  : error_set(err, "the bytes are no ScopedRoutes");
    upb_Arena_Free(arena);
    if (!ok) {
        error_prefix(err, "scoped_routes.");
        scoped_routes_fini(s);
    }
    return ok ? s : NULL;
}

void scoped_routes_fini(struct scoped_routes *s)
{
    if (s)
        NODE_UNREF(&s->table);
}
