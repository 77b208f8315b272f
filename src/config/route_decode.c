#include "config/route.h"

#include <string.h>

#include "base/memory.h"
#include "config/decode.h"
#include "config/filter_factory.h"
#include "config/retry_policy.h"
#include "config/route_index.h"
#include "config/route_reuse.h"
#include "config/typed.h"
#include "config/upb_util.h"
#include "config/wire_slice.h"
#include "envoy/config/route/v3/route.upb.h"
#include "envoy/config/route/v3/route_components.upb.h"
#include "google/protobuf/any.upb.h"

#define RC(x) envoy_config_route_v3_RouteConfiguration_##x
#define VH(x) envoy_config_route_v3_VirtualHost_##x
#define RT(x) envoy_config_route_v3_Route_##x

enum { FIELD_VIRTUAL_HOSTS = 2, FIELD_ROUTES = 3, FIELD_VHDS = 9, FIELD_VHDS_SOURCE = 1 };

/* The two lists of a level: to add, to remove. */
static bool mutations_decode(const struct envoy_config_core_v3_HeaderValueOption *const *add,
                             size_t n_add, upb_StringView const *remove, size_t n_remove,
                             struct arena *a, struct header_mutations *out, bool *removing,
                             struct error *err)
{
    if (!header_additions_decode(add, n_add, a, out, err))
        return false;
    out->remove = n_remove ? ARENA_ARRAY(a, struct header_key, n_remove) : NULL;
    *removing = true;
    for (size_t i = 0; i < n_remove; i++) {
        if (!header_removal_add(out, upb_lower(remove[i], a), err))
            return false;
    }
    return true;
}

/* Both directions of a message that has the four fields of that name. */
#define LEVEL_MUTATIONS(M, msg, a, req, resp, err)                                                 \
    (M##_mutations((msg), (a), (req), false, (err)) &&                                             \
     M##_mutations((msg), (a), (resp), true, (err)))

#define DEFINE_MUTATIONS(M, type)                                                                  \
    static bool M##_mutations(const type *msg, struct arena *a, struct header_mutations *out,      \
                              bool response, struct error *err)                                    \
    {                                                                                              \
        size_t na, nr;                                                                             \
        const struct envoy_config_core_v3_HeaderValueOption *const *add =                          \
            response ? type##_response_headers_to_add(msg, &na)                                    \
                     : type##_request_headers_to_add(msg, &na);                                    \
        upb_StringView const *rm = response ? type##_response_headers_to_remove(msg, &nr)          \
                                            : type##_request_headers_to_remove(msg, &nr);          \
        bool removing = false;                                                                     \
        return mutations_decode(add, na, rm, nr, a, out, &removing, err) ||                        \
               error_prefix(err, "%s_headers_to_%s", response ? "response" : "request",            \
                            removing ? "remove: " : "add");                                        \
    }
DEFINE_MUTATIONS(config, envoy_config_route_v3_RouteConfiguration)
DEFINE_MUTATIONS(vhost, envoy_config_route_v3_VirtualHost)
DEFINE_MUTATIONS(route, envoy_config_route_v3_Route)

void route_filter_configs_fini(struct route_filter_configs *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        const struct filter_factory *factory = f->entries[i].factory;
        if (factory && f->entries[i].config && factory->config_free)
            factory->config_free(f->entries[i].config);
    }
    f->n = 0;
}

static const struct filter_factory *find_route_factory(const struct filter_registry *r,
                                                       struct bytes type)
{
    for (unsigned i = 0; r && i < r->n_http; i++) {
        if (r->http[i]->route_type_url && bytes_eq_str(type, r->http[i]->route_type_url))
            return r->http[i];
    }
    return NULL;
}

/* envoy.config.route.v3.FilterConfig: config = 1 (Any), is_optional = 2, disabled = 3. */
struct filter_config_wrapper {
    struct bytes type_url, value;
    bool is_optional, disabled;
};

static bool unwrap_filter_config(struct bytes msg, struct filter_config_wrapper *out)
{
    struct wire_field f, g;
    while (wire_next(&msg, &f)) {
        if (f.number == 2)
            out->is_optional = f.value != 0;
        if (f.number == 3)
            out->disabled = f.value != 0;
        while (f.number == 1 && wire_next(&f.bytes, &g)) {
            if (g.number == 1)
                out->type_url = g.bytes;
            if (g.number == 2)
                out->value = g.bytes;
        }
    }
    return msg.len == 0;
}

static bool unwrap(struct route_decode_context *ctx, struct arena *a, struct bytes *type,
                   struct bytes *value, struct error *err)
{
    struct typed t;
    if (!typed_unwrap(ctx->descriptors, *type, *value, a, &t, err))
        return false;
    *type = t.type_name;
    *value = t.value;
    return true;
}

bool route_filter_config_decode(struct route_decode_context *ctx, struct arena *a,
                                struct bytes name, struct bytes type, struct bytes value,
                                struct route_filter_config *out, bool *skip, struct error *err)
{
    struct filter_config_wrapper w = {BYTES_NONE, BYTES_NONE, false, false};
    *skip = false;
    out->name = arena_dup(a, name);
    if (!unwrap(ctx, a, &type, &value, err))
        return error_prefix(err, "typed_per_filter_config['%.*s']: ", BYTES_ARG(name));
    if (bytes_eq_str(type, "envoy.config.route.v3.FilterConfig")) {
        if (!unwrap_filter_config(value, &w))
            return error_set(err, "typed_per_filter_config['%.*s']: the bytes are no FilterConfig",
                             BYTES_ARG(name));
        out->disabled = w.disabled;
        if (!w.type_url.data)
            return true;
        type = w.type_url;
        value = w.value;
        if (!unwrap(ctx, a, &type, &value, err))
            return false;
    }
    out->factory = find_route_factory(ctx->registry, type);
    if (!out->factory && w.is_optional)
        return *skip = true;
    if (!out->factory)
        return error_set(err,
                         "typed_per_filter_config['%.*s']: Didn't find a registered implementation "
                         "for '%.*s' with type URL: '%.*s'",
                         BYTES_ARG(name), BYTES_ARG(name), BYTES_ARG(type));
    out->config = out->factory->route_config_new(ctx->filters, value, err);
    return out->config || error_prefix(err, "typed_per_filter_config['%.*s']: ", BYTES_ARG(name));
}

/* The map's entries are found on the wire: the same code serves every level. */
static bool filter_configs_decode(struct route_decode_context *ctx, struct arena *a,
                                  struct bytes msg, uint32_t number,
                                  struct route_filter_configs *out, struct error *err)
{
    struct bytes rest = msg;
    struct wire_field f, g;
    unsigned n = 0;
    bool skip;
    while (wire_next(&rest, &f))
        n += f.number == number;
    if (n == 0)
        return true;
    if (n > ROUTE_LIST_MAX)
        return error_set(err, "typed_per_filter_config: more than %d", ROUTE_LIST_MAX);
    out->entries = ARENA_ARRAY(a, struct route_filter_config, n);
    while (wire_next(&msg, &f)) {
        struct bytes entry = f.bytes, key = BYTES(""), any = BYTES_NONE;
        if (f.number != number)
            continue;
        while (wire_next(&entry, &g)) {
            if (g.number == 1)
                key = g.bytes;
            if (g.number == 2)
                any = g.bytes;
        }
        struct filter_config_wrapper w = {BYTES(""), BYTES(""), false, false};
        while (wire_next(&any, &g)) {
            if (g.number == 1)
                w.type_url = g.bytes;
            if (g.number == 2)
                w.value = g.bytes;
        }
        if (!route_filter_config_decode(ctx, a, key, w.type_url, w.value, &out->entries[out->n],
                                        &skip, err))
            return false;
        out->n += !skip;
    }
    return true;
}

/* Shared by all routes that have nothing of it; nobody writes to it. */
static struct route_extras no_extras;

static void route_fini(struct node *n)
{
    struct route *r = (struct route *)n;
    if (r->extras != &no_extras) {
        regex_list_fini(&r->extras->regexes);
        stat_scope_unref(&r->extras->stats);
        runtime_cell_unref(&r->extras->cell);
        route_filter_configs_fini(&r->extras->filters);
    }
    const struct cluster_action *c = r->action == ROUTE_CLUSTER ? r->cluster : NULL;
    const struct weighted_clusters *w = c ? c->weighted : NULL;
    retry_policy_fini(c ? c->retry : NULL);
    for (uint32_t i = 0; w && i < w->n; i++)
        route_filter_configs_fini(&w->list[i].filters);
}

static bool check_part(struct route_decode_context *ctx, const char *message, struct bytes wire,
                       struct error *err)
{
    return !ctx->check || ctx->check(ctx->check_arg, message, wire, err);
}

enum { FIELD_ROUTE_METADATA = 4, FIELD_VHOST_METADATA = 24 };

/* In one piece: most routes have none, and do not pay for that. */
static void take_name(struct arena *a, struct bytes name, struct bytes wire, struct route *r)
{
    struct bytes metadata = wire_message(a, wire, FIELD_ROUTE_METADATA);
    char *p;
    if (metadata.len == 0 || metadata.len > UINT32_MAX) {
        r->name = arena_dup(a, name);
        return;
    }
    p = arena_alloc(a, name.len + 1 + metadata.len);
    memcpy(p, name.data ? name.data : "", name.len);
    p[name.len] = '\0';
    memcpy(p + name.len + 1, metadata.data, metadata.len);
    r->name = bytes_from(p, name.len);
    r->metadata_len = (uint32_t)metadata.len;
}

/* Two fields, of which the newer counts. */
static struct body_limit take_body_limit(const google_protobuf_UInt64Value *now,
                                         const google_protobuf_UInt32Value *old)
{
    struct body_limit l = {now || old, 0};
    if (l.set)
        l.bytes = now ? google_protobuf_UInt64Value_value(now) : upb_u32(old, 0);
    return l;
}

static bool route_decode_into(struct route_decode_context *ctx, struct bytes wire, struct route *r,
                              upb_Arena *scratch, struct error *err)
{
    struct arena *a = r->node.arena;
    if (!check_part(ctx, "envoy.config.route.v3.Route", wire, err))
        return false;
    const envoy_config_route_v3_Route *m =
        envoy_config_route_v3_Route_parse(wire.data, wire.len, scratch);
    if (!m)
        return error_set(err, "the bytes are no envoy.config.route.v3.Route");
    take_name(a, upb_bytes(RT(name)(m)), wire, r);
    if (!RT(match)(m))
        return error_set(err, "match: value is required");
    if (!route_match_decode(RT(match)(m), r, ctx->runtime, err))
        return error_prefix(err, "match.");
    if (!route_action_decode(ctx, m, r, err) ||
        !filter_configs_decode(ctx, a, wire, 13, &r->extras->filters, err))
        return false;
    if (!LEVEL_MUTATIONS(route, m, a, &r->extras->request, &r->extras->response, err))
        return false;
    r->extras->body_limit =
        take_body_limit(RT(request_body_buffer_limit)(m), RT(per_request_buffer_limit_bytes)(m));
    r->extras->stats =
        route_stat_scope(ctx->filters->stats, ctx->vhost, upb_bytes(RT(stat_prefix)(m)));
    return true;
}

/* From the decoder's stack into the node, if there is anything in it. */
static struct route_extras *keep_extras(struct route *r)
{
    static const struct route_extras none;
    if (memcmp(r->extras, &none, sizeof(none)) == 0)
        return &no_extras;
    return memcpy(arena_alloc(r->node.arena, sizeof(none)), r->extras, sizeof(none));
}

static struct route *route_decode(struct route_decode_context *ctx, struct bytes wire,
                                  struct error *err)
{
    size_t strings = wire.len + 4; /* with what aligns the action, less the tags around them */
    struct route *r =
        node_new(NODE_ROUTE, sizeof(*r), sizeof(struct cluster_action) + strings, route_fini);
    struct route_extras extras;
    upb_Arena *scratch = upb_Arena_New();
    ctx->routes_decoded++;
    ctx->filters->arena = r->node.arena;
    r->extras = memset(&extras, 0, sizeof(extras));
    if (route_decode_into(ctx, wire, r, scratch, err))
        r->extras = keep_extras(r);
    else
        NODE_UNREF(&r);
    upb_Arena_Free(scratch);
    return r;
}

static void vhost_fini(struct node *n)
{
    struct virtual_host *v = (struct virtual_host *)n;
    route_filter_configs_fini(&v->filters);
    virtual_clusters_fini(v->clusters);
    retry_policy_fini(v->retry);
    route_index_unref(&v->index);
    for (unsigned i = 0; i < v->n_routes; i++)
        NODE_UNREF(&v->routes[i].route);
}

static bool vhost_routes(struct route_decode_context *ctx, struct bytes wire,
                         struct virtual_host *v, unsigned n, const struct parts *previous,
                         struct error *err)
{
    struct parts parts = {wire, ARENA_ARRAY(v->node.arena, struct route_ref, n), n};
    v->routes = parts.refs;
    if (!parts_find(&parts, FIELD_ROUTES))
        return error_set(err, "the bytes are no envoy.config.route.v3.VirtualHost");
    v->n_routes = n;
    parts_keep(&parts, previous);
    for (unsigned i = 0; i < n; i++) {
        struct route_ref *r = &v->routes[i];
        if (!r->route)
            r->route = route_decode(ctx, bytes_from(wire.data + r->offset, r->len), err);
        if (!r->route)
            return error_prefix(err, "routes[%u].", i);
    }
    return true;
}

/* A star is a wildcard at one end only; anywhere else it would be a name that no request has. */
static bool domain_check(struct bytes d, size_t at, struct error *err)
{
    if (d.len == 0)
        return error_set(err, "domains[%zu]: expected a host name, got an empty string", at);
    ptrdiff_t first = bytes_find_char(d, '*'), last = bytes_rfind_char(d, '*');
    if (first == last && (first <= 0 || first == (ptrdiff_t)d.len - 1))
        return true;
    return error_set(err,
                     "domains[%zu]: expected one \"*\", at the start or at the end "
                     "(\"*.example.com\", \"example.*\", \"*\"), got '%.*s'",
                     at, BYTES_ARG(d));
}

static bool vhost_domains(const envoy_config_route_v3_VirtualHost *m, struct virtual_host *v,
                          struct error *err)
{
    size_t n;
    upb_StringView const *domains = VH(domains)(m, &n);
    if (n == 0)
        return error_set(err, "domains: value must contain at least 1 item(s)");
    v->domains = ARENA_ARRAY(v->node.arena, struct bytes, n);
    v->n_domains = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        v->domains[i] = upb_lower(domains[i], v->node.arena);
        if (!domain_check(v->domains[i], i, err))
            return false;
    }
    return true;
}

static bool vhost_fields(struct route_decode_context *ctx, struct bytes wire,
                         struct virtual_host *v, upb_Arena *scratch, struct error *err)
{
    struct arena *a = v->node.arena;
    if (!check_part(ctx, "envoy.config.route.v3.VirtualHost", wire, err))
        return false;
    const envoy_config_route_v3_VirtualHost *m =
        envoy_config_route_v3_VirtualHost_parse(wire.data, wire.len, scratch);
    if (!m)
        return error_set(err, "the bytes are no envoy.config.route.v3.VirtualHost");
    v->name = arena_dup(a, upb_bytes(VH(name)(m)));
    if (v->name.len == 0)
        return error_set(err, "name: value length must be at least 1 characters");
    if (VH(matcher)(m))
        return error_set(err, "matcher: matcher trees are not implemented");
    v->metadata = arena_dup(a, wire_message(a, wire, FIELD_VHOST_METADATA));
    v->require_tls = (enum tls_requirement)VH(require_tls)(m);
    v->include_request_attempt_count = VH(include_request_attempt_count)(m);
    v->include_attempt_count_in_response = VH(include_attempt_count_in_response)(m);
    v->include_is_timeout_retry_header = VH(include_is_timeout_retry_header)(m);
    v->hedge = VH(has_hedge_policy)(m) &&
               envoy_config_route_v3_HedgePolicy_hedge_on_per_try_timeout(VH(hedge_policy)(m));
    v->body_limit =
        take_body_limit(VH(request_body_buffer_limit)(m), VH(per_request_buffer_limit_bytes)(m));
    if (VH(retry_policy_typed_config)(m))
        return error_set(err, "retry_policy_typed_config: this extension is not implemented");
    if (VH(retry_policy)(m) && !(v->retry = retry_policy_decode(ctx, a, VH(retry_policy)(m), err)))
        return error_prefix(err, "retry_policy.");
    ctx->filters->arena = a;
    ctx->vhost = v->name;
    return vhost_domains(m, v, err) &&
           virtual_clusters_decode(m, a, ctx->filters->stats, &v->clusters, err) &&
           LEVEL_MUTATIONS(vhost, m, a, &v->request, &v->response, err) &&
           filter_configs_decode(ctx, a, wire, 15, &v->filters, err);
}

static struct virtual_host *vhost_decode(struct route_decode_context *ctx, struct bytes wire,
                                         const struct vhost_ref *previous, struct bytes around,
                                         struct error *err)
{
    struct strbuf small = STRBUF_INIT;
    struct bytes fields;
    struct parts old = {BYTES_NONE, NULL, 0};
    if (previous)
        old = (struct parts){bytes_from(around.data + previous->offset, previous->len),
                             previous->vhost->routes, previous->vhost->n_routes};
    unsigned n = parts_count(wire, FIELD_ROUTES, &small, &fields);
    struct virtual_host *v = node_new(NODE_VIRTUAL_HOST, sizeof(*v),
                                      2 * fields.len + n * sizeof(struct route_ref), vhost_fini);
    upb_Arena *scratch = upb_Arena_New();
    ctx->vhosts_decoded++;
    bool ok =
        vhost_fields(ctx, fields, v, scratch, err) && vhost_routes(ctx, wire, v, n, &old, err);
    if (!ok)
        NODE_UNREF(&v);
    else if (previous && route_index_fits(old.refs, old.n, v->routes, n))
        v->index = route_index_ref(previous->vhost->index);
    else
        v->index = route_index_new(v->routes, n);
    upb_Arena_Free(scratch);
    strbuf_fini(&small);
    return v;
}

/* The previous virtual host of the same name as the bytes: its unchanged routes are kept. Several
 * may have a name: the nearest behind the same position then. */
static const struct vhost_ref *vhost_before(const struct route_config *previous, unsigned position,
                                            struct bytes wire)
{
    struct bytes name = BYTES("");
    struct wire_field f;
    while (previous && wire_next(&wire, &f)) {
        if (f.number == 1)
            name = f.bytes;
    }
    for (unsigned i = 0; previous && i < previous->n_vhosts; i++) {
        const struct vhost_ref *p = &previous->vhosts[(position + i) % previous->n_vhosts];
        if (bytes_eq(p->vhost->name, name))
            return p;
    }
    return NULL;
}

/* Route offsets belong to a virtual host's own bytes, so a kept one needs no new offsets. */
static bool config_vhosts(struct route_decode_context *ctx, struct bytes wire, unsigned n,
                          const struct route_config *previous, struct route_config *rc,
                          struct error *err)
{
    rc->vhosts = ARENA_ARRAY(rc->node.arena, struct vhost_ref, n);
    struct parts parts = {wire, (struct route_ref *)rc->vhosts, n}, old = {BYTES_NONE, NULL, 0};
    if (!parts_find(&parts, FIELD_VIRTUAL_HOSTS))
        return error_set(err, "the bytes are no envoy.config.route.v3.RouteConfiguration");
    rc->n_vhosts = n;
    if (previous)
        old = (struct parts){previous->wire, (struct route_ref *)previous->vhosts,
                             previous->n_vhosts};
    parts_keep(&parts, &old);
    for (unsigned i = 0; i < n; i++) {
        struct vhost_ref *v = &rc->vhosts[i];
        struct bytes bytes = bytes_from(wire.data + v->offset, v->len);
        if (!v->vhost)
            v->vhost = vhost_decode(ctx, bytes, vhost_before(previous, i, bytes), old.wire, err);
        if (!v->vhost)
            return error_prefix(err, "virtual_hosts[%u].", i);
    }
    return true;
}

/* A request without a method could not be sent. */
static bool take_internal_only(upb_StringView const *names, size_t n, struct route_config *rc,
                               struct error *err)
{
    struct arena *a = rc->node.arena;
    rc->internal_only_headers = ARENA_ARRAY(a, struct bytes, n);
    rc->n_internal_only_headers = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        struct bytes name = upb_request_header(names[i], a);
        if (bytes_eq_str(name, ":method"))
            return error_set(err, "internal_only_headers[%zu]: :method is needed by each request",
                             i);
        rc->internal_only_headers[i] = name;
    }
    return true;
}

/* The protocol of virtual hosts is delta alone, and theirs are names that requests make up. */
static bool take_vhds(struct route_decode_context *ctx, struct bytes wire, struct route_config *rc,
                      struct error *err)
{
    struct arena *a = rc->node.arena;
    struct decode_context *decode = ctx->filters->decode;
    struct bytes source = wire_message(a, wire_message(a, wire, FIELD_VHDS), FIELD_VHDS_SOURCE);
    struct config_source *out = ARENA_NEW(a, struct config_source);
    if (!source.data || !decode)
        return error_set(err, "value is required");
    if (!config_source_decode(decode, a, source, out, err))
        return false;
    bool delta =
        out->kind == SOURCE_ADS ? decode->ads_delta : out->kind == SOURCE_GRPC && out->api.delta;
    rc->vhds = out;
    return delta || error_set(err, "virtual hosts come by delta gRPC alone");
}

static bool config_fields(struct route_decode_context *ctx, struct bytes wire,
                          struct route_config *rc, upb_Arena *scratch, struct error *err)
{
    struct arena *a = rc->node.arena;
    if (!check_part(ctx, "envoy.config.route.v3.RouteConfiguration", wire, err))
        return false;
    const envoy_config_route_v3_RouteConfiguration *m =
        envoy_config_route_v3_RouteConfiguration_parse(wire.data, wire.len, scratch);
    size_t n;
    if (!m)
        return error_set(err, "the bytes are no envoy.config.route.v3.RouteConfiguration");
    rc->name = arena_dup(a, upb_bytes(RC(name)(m)));
    rc->ignore_port_in_host_matching = RC(ignore_port_in_host_matching)(m);
    rc->most_specific_header_mutations_wins = RC(most_specific_header_mutations_wins)(m);
    rc->validate_clusters = upb_bool(RC(validate_clusters)(m), false);
    rc->validate_clusters_set = RC(validate_clusters)(m) != NULL;
    rc->max_direct_response_body = upb_u32(RC(max_direct_response_body_size_bytes)(m), 4096);
    if (rc->max_direct_response_body == 0) /* as for Envoy, no limit */
        rc->max_direct_response_body = UINT32_MAX;
    ctx->max_direct_response_body = rc->max_direct_response_body;
    upb_StringView const *internal = RC(internal_only_headers)(m, &n);
    if (!take_internal_only(internal, n, rc, err))
        return false;
    if (RC(vhds)(m) && !take_vhds(ctx, wire, rc, err))
        return error_prefix(err, "vhds.config_source: ");
    if (RC(cluster_specifier_plugins)(m, &n) && n)
        return error_set(err, "cluster_specifier_plugins: not implemented");
    ctx->filters->arena = a;
    return LEVEL_MUTATIONS(config, m, a, &rc->request, &rc->response, err) &&
           filter_configs_decode(ctx, a, wire, 16, &rc->filters, err);
}

static void config_fini(struct node *n)
{
    struct route_config *rc = (struct route_config *)n;
    route_filter_configs_fini(&rc->filters);
    for (unsigned i = 0; i < rc->n_vhosts; i++)
        NODE_UNREF(&rc->vhosts[i].vhost);
}

struct route_config *route_config_decode(struct route_decode_context *ctx, struct bytes wire,
                                         const struct route_config *previous, struct error *err)
{
    struct route_config *rc = node_new(NODE_ROUTE_CONFIG, sizeof(*rc), 512, config_fini);
    struct strbuf small = STRBUF_INIT;
    struct bytes fields;
    upb_Arena *scratch = upb_Arena_New();
    struct arena *outer = ctx->filters->arena;
    node_make_pinnable(&rc->node);
    rc->wire = wire;
    unsigned n = parts_count(wire, FIELD_VIRTUAL_HOSTS, &small, &fields);
    bool ok = config_fields(ctx, fields, rc, scratch, err) &&
              config_vhosts(ctx, wire, n, previous, rc, err);
    if (ok) {
        rc->index = vhost_index_new(rc->node.arena, rc->vhosts, rc->n_vhosts, rc->name, err);
        ok = rc->index != NULL;
    }
    ctx->filters->arena = outer;
    if (!ok)
        NODE_UNREF(&rc);
    upb_Arena_Free(scratch);
    strbuf_fini(&small);
    return rc;
}

static bool route_clusters(const struct route *r, struct route_place at, route_cluster_fn *fn,
                           void *arg)
{
    if (r->action != ROUTE_CLUSTER)
        return true;
    at.weighted = -1;
    if (r->cluster->cluster.len && !fn(arg, r->cluster->cluster, &at))
        return false;
    const struct weighted_clusters *w = r->cluster->weighted;
    for (uint32_t i = 0; w && i < w->n; i++) {
        at.weighted = (int)i;
        if (w->list[i].name.len && !fn(arg, w->list[i].name, &at))
            return false;
    }
    return true;
}

void route_each_cluster(const struct route *r, route_cluster_fn *fn, void *arg)
{
    route_clusters(r, (struct route_place){0}, fn, arg);
}

static bool vhost_clusters(const struct virtual_host *v, unsigned vhost, route_cluster_fn *fn,
                           void *arg)
{
    bool go_on = true;
    for (unsigned i = 0; go_on && i < v->n_routes; i++) {
        struct route_place at = {.vhost = vhost, .route = i};
        go_on = route_clusters(v->routes[i].route, at, fn, arg);
    }
    return go_on;
}

void virtual_host_clusters(const struct virtual_host *v, route_cluster_fn *fn, void *arg)
{
    vhost_clusters(v, 0, fn, arg);
}

void route_config_clusters(const struct route_config *rc, route_cluster_fn *fn, void *arg)
{
    bool go_on = true;
    for (unsigned i = 0; go_on && i < rc->n_vhosts; i++)
        go_on = vhost_clusters(rc->vhosts[i].vhost, i, fn, arg);
}

bool route_cluster_unknown(struct bytes cluster, const struct route_place *at, struct error *err)
{
    error_set(err, "route: unknown cluster '%.*s'", BYTES_ARG(cluster));
    if (at->weighted < 0)
        return error_prefix(err, "virtual_hosts[%u].routes[%u].route.cluster: ", at->vhost,
                            at->route);
    return error_prefix(err, "virtual_hosts[%u].routes[%u].route.weighted_clusters.clusters[%d]: ",
                        at->vhost, at->route, at->weighted);
}
