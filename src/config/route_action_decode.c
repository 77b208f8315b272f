#include "config/route.h"

#include <stdlib.h>
#include <string.h>

#include "config/cluster.h"
#include "config/decode_util.h"
#include "config/file_read.h"
#include "config/filter_factory.h"
#include "config/retry_policy.h"
#include "config/upb_util.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/route/v3/route_components.upb.h"
#include "envoy/type/matcher/v3/regex.upb.h"
#include "envoy/type/v3/percent.upb.h"
#include "google/protobuf/any.upb.h"

#define RM(x) envoy_config_route_v3_RouteMatch_##x
#define RA(x) envoy_config_route_v3_RouteAction_##x
#define RD(x) envoy_config_route_v3_RedirectAction_##x
#define DR(x) envoy_config_route_v3_DirectResponseAction_##x
#define WC(x) envoy_config_route_v3_WeightedCluster_##x
#define CW(x) envoy_config_route_v3_WeightedCluster_ClusterWeight_##x
#define RT(x) envoy_config_route_v3_Route_##x
#define DS(x) envoy_config_core_v3_DataSource_##x

static bool set_path(struct route *r, enum route_path_kind kind, upb_StringView text)
{
    r->path_kind = kind;
    r->path = arena_dup(r->node.arena, upb_bytes(text));
    return true;
}

static bool separated_prefix(struct route *r, upb_StringView text, struct error *err)
{
    struct bytes p = upb_bytes(text);
    if (p.len < 2 || p.data[p.len - 1] == '/' || bytes_find_char(p, '?') >= 0 ||
        bytes_find_char(p, '#') >= 0)
        return error_set(err,
                         "path_separated_prefix: value does not match regex pattern "
                         "\"^[^?#]+[^?#/]$\" (got '%.*s')",
                         BYTES_ARG(p));
    return set_path(r, ROUTE_PATH_SEPARATED_PREFIX, text);
}

static bool path_decode(const envoy_config_route_v3_RouteMatch *m, struct route *r,
                        struct error *err)
{
    switch (RM(path_specifier_case)(m)) {
    case RM(path_specifier_prefix):
        return set_path(r, ROUTE_PATH_PREFIX, RM(prefix)(m));
    case RM(path_specifier_path):
        return set_path(r, ROUTE_PATH_EXACT, RM(path)(m));
    case RM(path_specifier_path_separated_prefix):
        return separated_prefix(r, RM(path_separated_prefix)(m), err);
    case RM(path_specifier_safe_regex):
        r->path_kind = ROUTE_PATH_REGEX;
        return regex_matcher_decode(RM(safe_regex)(m), r->node.arena, &r->extras->regexes,
                                    &r->extras->path_regex, err) ||
               error_prefix(err, "safe_regex.");
    case RM(path_specifier_connect_matcher):
        r->path_kind = ROUTE_PATH_CONNECT;
        return true;
    case RM(path_specifier_path_match_policy):
        return error_set(err, "path_match_policy: this extension is not implemented");
    default:
        return error_set(err, "path_specifier: expected one of prefix, path, safe_regex, "
                              "path_separated_prefix, connect_matcher");
    }
}

static bool fraction_decode(const envoy_config_route_v3_RouteMatch *m, struct route *r,
                            struct runtime *runtime)
{
    static const uint32_t denominators[] = {100, 10000, 1000000};
    const envoy_config_core_v3_RuntimeFractionalPercent *f = RM(runtime_fraction)(m);
    const envoy_type_v3_FractionalPercent *v =
        f ? envoy_config_core_v3_RuntimeFractionalPercent_default_value(f) : NULL;
    if (!f)
        return true;
    int d = v ? envoy_type_v3_FractionalPercent_denominator(v) : 0;
    r->extras->has_fraction = true;
    r->extras->fraction.numerator = v ? envoy_type_v3_FractionalPercent_numerator(v) : 0;
    r->extras->fraction.denominator = denominators[d >= 0 && d < 3 ? d : 0];
    r->extras->cell = runtime_cell_get(
        runtime, upb_bytes(envoy_config_core_v3_RuntimeFractionalPercent_runtime_key(f)));
    return true;
}

bool route_match_decode(const envoy_config_route_v3_RouteMatch *m, struct route *r,
                        struct runtime *runtime, struct error *err)
{
    struct arena *a = r->node.arena;
    struct route_extras *x = r->extras;
    size_t n;
    if (!path_decode(m, r, err) || !fraction_decode(m, r, runtime))
        return false;
    r->case_sensitive = upb_bool(RM(case_sensitive)(m), true);
    x->grpc_only = RM(grpc)(m) != NULL;
    if (RM(tls_context)(m))
        return error_set(err, "tls_context: not implemented");
    if (RM(dynamic_metadata)(m, &n) && n)
        return error_set(err, "dynamic_metadata: not implemented");
    if (RM(filter_state)(m, &n) && n)
        return error_set(err, "filter_state: not implemented");
    const envoy_config_route_v3_HeaderMatcher *const *headers = RM(headers)(m, &n);
    if (n > ROUTE_LIST_MAX)
        return error_set(err, "headers: more than %d", ROUTE_LIST_MAX);
    x->headers = n ? ARENA_ARRAY(a, struct header_matcher, n) : NULL;
    x->n_headers = (uint16_t)n;
    for (size_t i = 0; i < n; i++) {
        if (!header_matcher_decode(headers[i], a, &x->regexes, &x->headers[i], err))
            return error_prefix(err, "headers[%zu].", i);
    }
    const envoy_config_route_v3_QueryParameterMatcher *const *queries = RM(query_parameters)(m, &n);
    if (n > ROUTE_LIST_MAX)
        return error_set(err, "query_parameters: more than %d", ROUTE_LIST_MAX);
    x->queries = n ? ARENA_ARRAY(a, struct query_matcher, n) : NULL;
    x->n_queries = (uint16_t)n;
    for (size_t i = 0; i < n; i++) {
        if (!query_matcher_decode(queries[i], a, &x->regexes, &x->queries[i], err))
            return error_prefix(err, "query_parameters[%zu].", i);
    }
    return true;
}

static bool rewrite_decode(const envoy_type_matcher_v3_RegexMatchAndSubstitute *m, struct route *r,
                           struct regex_rewrite *out, struct error *err)
{
    if (!m)
        return true;
    if (!envoy_type_matcher_v3_RegexMatchAndSubstitute_pattern(m))
        return error_set(err, "pattern: value is required");
    if (!regex_matcher_decode(envoy_type_matcher_v3_RegexMatchAndSubstitute_pattern(m),
                              r->node.arena, &r->extras->regexes, &out->regex, err))
        return error_prefix(err, "pattern.");
    out->substitution = arena_dup(
        r->node.arena, upb_bytes(envoy_type_matcher_v3_RegexMatchAndSubstitute_substitution(m)));
    return regex_check_substitution(out->regex, out->substitution, err) ||
           error_prefix(err, "substitution: ");
}

static bool weight_filters(struct route_decode_context *ctx, struct route *r,
                           const envoy_config_route_v3_WeightedCluster_ClusterWeight *m,
                           struct weighted_cluster *w, struct error *err)
{
    size_t n = CW(typed_per_filter_config_size)(m), it = kUpb_Map_Begin;
    const envoy_config_route_v3_WeightedCluster_ClusterWeight_TypedPerFilterConfigEntry *e;
    bool skip;
    if (n == 0)
        return true;
    if (n > ROUTE_LIST_MAX)
        return error_set(err, "typed_per_filter_config: more than %d", ROUTE_LIST_MAX);
    w->filters.entries = ARENA_ARRAY(r->node.arena, struct route_filter_config, n);
    while ((e = CW(typed_per_filter_config_next)(m, &it))) {
        const google_protobuf_Any *any = CW(TypedPerFilterConfigEntry_value)(e);
        if (!route_filter_config_decode(ctx, r->node.arena,
                                        upb_bytes(CW(TypedPerFilterConfigEntry_key)(e)),
                                        upb_bytes(google_protobuf_Any_type_url(any)),
                                        upb_bytes(google_protobuf_Any_value(any)),
                                        &w->filters.entries[w->filters.n], &skip, err))
            return false;
        w->filters.n += !skip;
    }
    return true;
}

static bool weight_removals(upb_StringView const *names, size_t n, struct arena *a,
                            struct header_mutations *out, struct error *err)
{
    out->remove = ARENA_ARRAY(a, struct header_key, n);
    for (size_t i = 0; i < n; i++) {
        if (!header_removal_add(out, upb_lower(names[i], a), err))
            return false;
    }
    return true;
}

static bool weight_mutations(const envoy_config_route_v3_WeightedCluster_ClusterWeight *m,
                             struct arena *a, struct weighted_cluster *w, struct error *err)
{
    size_t n;
    const struct envoy_config_core_v3_HeaderValueOption *const *add =
        CW(request_headers_to_add)(m, &n);
    if (!header_additions_decode(add, n, a, &w->request, err))
        return error_prefix(err, "request_headers_to_add");
    add = CW(response_headers_to_add)(m, &n);
    if (!header_additions_decode(add, n, a, &w->response, err))
        return error_prefix(err, "response_headers_to_add");
    upb_StringView const *rm = CW(request_headers_to_remove)(m, &n);
    if (!weight_removals(rm, n, a, &w->request, err))
        return error_prefix(err, "request_headers_to_remove: ");
    rm = CW(response_headers_to_remove)(m, &n);
    return weight_removals(rm, n, a, &w->response, err) ||
           error_prefix(err, "response_headers_to_remove: ");
}

static bool weight_decode(struct route_decode_context *ctx, struct route *r,
                          const envoy_config_route_v3_WeightedCluster_ClusterWeight *m,
                          struct weighted_cluster *w, struct error *err)
{
    struct arena *a = r->node.arena;
    w->name = arena_dup(a, upb_bytes(CW(name)(m)));
    w->cluster_header = upb_request_header(CW(cluster_header)(m), a);
    if (!CW(weight)(m))
        return error_set(err, "weight: expected a number, given none");
    w->weight = upb_u32(CW(weight)(m), 0);
    w->host_rewrite = arena_dup(a, upb_bytes(CW(host_rewrite_literal)(m)));
    if (w->name.len && w->cluster_header.len)
        return error_set(err, "Only one of name or cluster_header can be specified");
    if (!w->name.len && !w->cluster_header.len)
        return error_set(err, "At least one of name or cluster_header need to be specified");
    if (CW(metadata_match)(m))
        return error_set(err, "metadata_match: subset load balancing is not implemented");
    return weight_mutations(m, a, w, err) && weight_filters(ctx, r, m, w, err);
}

static bool weighted_decode(struct route_decode_context *ctx,
                            const envoy_config_route_v3_WeightedCluster *m, struct route *r,
                            struct error *err)
{
    struct weighted_clusters *w = ARENA_NEW(r->node.arena, struct weighted_clusters);
    uint64_t total = 0;
    size_t n;
    const envoy_config_route_v3_WeightedCluster_ClusterWeight *const *list = WC(clusters)(m, &n);
    r->cluster->weighted = w;
    w->list = ARENA_ARRAY(r->node.arena, struct weighted_cluster, n);
    for (size_t i = 0; i < n; i++) {
        w->n++; /* also what is refused half-way has filters to free */
        if (!weight_decode(ctx, r, list[i], &w->list[i], err))
            return error_prefix(err, "clusters[%zu]: ", i);
        total += w->list[i].weight;
    }
    if (n == 0)
        return error_set(err, "clusters: value must contain at least 1 item(s)");
    if (total == 0)
        return error_set(err, "Sum of weights in the weighted_cluster must be greater than 0.");
    if (total > UINT32_MAX)
        return error_set(err,
                         "The sum of weights of all weighted clusters of route %.*s exceeds "
                         "4294967295",
                         BYTES_ARG(r->name));
    if (WC(use_hash_policy)(m))
        return error_set(err, "use_hash_policy: not implemented");
    w->total_weight = (uint32_t)total;
    w->header = upb_request_header(WC(header_name)(m), r->node.arena);
    return true;
}

static bool specifier_decode(struct route_decode_context *ctx,
                             const envoy_config_route_v3_RouteAction *m, struct route *r,
                             struct error *err)
{
    struct arena *a = r->node.arena;
    switch (RA(cluster_specifier_case)(m)) {
    case RA(cluster_specifier_cluster):
        r->cluster->cluster = arena_dup(a, upb_bytes(RA(cluster)(m)));
        return r->cluster->cluster.len ||
               error_set(err, "cluster: value length must be at least 1 characters");
    case RA(cluster_specifier_cluster_header):
        r->extras->cluster_header = upb_request_header(RA(cluster_header)(m), a);
        return r->extras->cluster_header.len ||
               error_set(err, "cluster_header: value length must be at least 1 characters");
    case RA(cluster_specifier_weighted_clusters):
        return weighted_decode(ctx, RA(weighted_clusters)(m), r, err) ||
               error_prefix(err, "weighted_clusters: ");
    case RA(cluster_specifier_cluster_specifier_plugin):
    case RA(cluster_specifier_inline_cluster_specifier_plugin):
        return error_set(err, "cluster_specifier_plugin: not implemented");
    default:
        return error_set(err, "cluster_specifier: expected one of cluster, cluster_header, "
                              "weighted_clusters");
    }
}

static bool host_rewrite_decode(const envoy_config_route_v3_RouteAction *m, struct route *r,
                                struct route_rewrite *w, struct error *err)
{
    switch (RA(host_rewrite_specifier_case)(m)) {
    case RA(host_rewrite_specifier_host_rewrite_literal):
        w->host = HOST_REWRITE_LITERAL;
        w->host_text = arena_dup(r->node.arena, upb_bytes(RA(host_rewrite_literal)(m)));
        return true;
    case RA(host_rewrite_specifier_auto_host_rewrite):
        if (upb_bool(RA(auto_host_rewrite)(m), false))
            w->host = HOST_REWRITE_AUTO;
        return true;
    case RA(host_rewrite_specifier_host_rewrite_header):
        w->host = HOST_REWRITE_HEADER;
        w->host_text = upb_request_header(RA(host_rewrite_header)(m), r->node.arena);
        return true;
    case RA(host_rewrite_specifier_host_rewrite_path_regex):
        w->host = HOST_REWRITE_PATH_REGEX;
        return rewrite_decode(RA(host_rewrite_path_regex)(m), r, &w->host_regex, err) ||
               error_prefix(err, "host_rewrite_path_regex.");
    case RA(host_rewrite_specifier_host_rewrite):
        return error_set(err, "host_rewrite: this way to rewrite the host is not implemented");
    default:
        return true;
    }
}

const struct route_rewrite route_no_rewrite;

static bool rewrites_decode(const envoy_config_route_v3_RouteAction *m, struct route *r,
                            struct error *err)
{
    struct route_rewrite w;
    memset(&w, 0, sizeof(w));
    w.has_prefix = RA(prefix_rewrite)(m).size > 0;
    if (w.has_prefix)
        w.prefix = arena_dup(r->node.arena, upb_bytes(RA(prefix_rewrite)(m)));
    if (RA(path_rewrite_policy)(m))
        return error_set(err, "path_rewrite_policy: this extension is not implemented");
    if (RA(path_rewrite)(m).size)
        return error_set(err, "path_rewrite: not implemented");
    if (!rewrite_decode(RA(regex_rewrite)(m), r, &w.regex, err))
        return error_prefix(err, "regex_rewrite.");
    if (w.has_prefix && w.regex.regex)
        return error_set(err,
                         "prefix_rewrite: Cannot specify both prefix_rewrite and regex_rewrite");
    w.append_x_forwarded_host = RA(append_x_forwarded_host)(m);
    if (!host_rewrite_decode(m, r, &w, err))
        return false;
    if (memcmp(&w, &route_no_rewrite, sizeof(w)) != 0)
        r->cluster->rewrite = memcpy(arena_alloc(r->node.arena, sizeof(w)), &w, sizeof(w));
    return true;
}

static bool grpc_timeouts_decode(const envoy_config_route_v3_RouteAction *m,
                                 const envoy_config_route_v3_RouteAction_MaxStreamDuration *d,
                                 struct route_extras *x, struct error *err)
{
    const google_protobuf_Duration *max = NULL, *offset = NULL;
    if (d) {
        max = envoy_config_route_v3_RouteAction_MaxStreamDuration_grpc_timeout_header_max(d);
        offset = envoy_config_route_v3_RouteAction_MaxStreamDuration_grpc_timeout_header_offset(d);
    }
    x->has_grpc_max = max != NULL;
    x->has_old_grpc_max = RA(max_grpc_timeout)(m) != NULL;
    return take_limit_ms(max, "max_stream_duration.grpc_timeout_header_max", &x->grpc_max_ms,
                         err) &&
           take_limit_ms(offset, "max_stream_duration.grpc_timeout_header_offset",
                         &x->grpc_offset_ms, err) &&
           take_limit_ms(RA(max_grpc_timeout)(m), "max_grpc_timeout", &x->old_grpc_max_ms, err) &&
           take_limit_ms(RA(grpc_timeout_offset)(m), "grpc_timeout_offset", &x->old_grpc_offset_ms,
                         err);
}

static bool timeouts_decode(const envoy_config_route_v3_RouteAction *m, struct route *r,
                            struct error *err)
{
    const envoy_config_route_v3_RouteAction_MaxStreamDuration *d = RA(max_stream_duration)(m);
    const google_protobuf_Duration *max =
        d ? envoy_config_route_v3_RouteAction_MaxStreamDuration_max_stream_duration(d) : NULL;
    struct route_extras *x = r->extras;
    r->cluster->has_timeout = RA(timeout)(m) != NULL;
    r->cluster->timeout_ms = 15000;
    x->has_idle_timeout = RA(idle_timeout)(m) != NULL;
    x->has_duration = d != NULL;
    x->has_max_stream_duration = max != NULL;
    return take_limit_ms(RA(timeout)(m), "timeout", &r->cluster->timeout_ms, err) &&
           take_limit_ms(RA(idle_timeout)(m), "idle_timeout", &x->idle_timeout_ms, err) &&
           take_limit_ms(max, "max_stream_duration.max_stream_duration", &x->max_stream_duration_ms,
                         err) &&
           grpc_timeouts_decode(m, d, x, err);
}

static bool cluster_decode(struct route_decode_context *ctx,
                           const envoy_config_route_v3_RouteAction *m, struct route *r,
                           struct error *err)
{
    static const uint16_t not_found[] = {503, 404, 500};
    int code = RA(cluster_not_found_response_code)(m), priority = RA(priority)(m);
    r->action = ROUTE_CLUSTER;
    r->cluster = ARENA_NEW(r->node.arena, struct cluster_action);
    r->cluster->rewrite = &route_no_rewrite;
    if (code < 0 || code > 2)
        return error_set(err, "cluster_not_found_response_code: %d is not a defined value", code);
    if (priority < 0 || priority > 1)
        return error_set(err, "priority: %d is not a defined value", priority);
    if (RA(metadata_match)(m))
        return error_set(err, "metadata_match: subset load balancing is not implemented");
    r->cluster->not_found_status = not_found[code];
    r->cluster->priority = priority ? PRIORITY_HIGH : PRIORITY_DEFAULT;
    if (!timeouts_decode(m, r, err))
        return false;
    if (RA(retry_policy)(m)) {
        r->cluster->retry = retry_policy_decode(ctx, r->node.arena, RA(retry_policy)(m), err);
        if (!r->cluster->retry)
            return error_prefix(err, "retry_policy.");
    }
    r->cluster->has_hedge = RA(has_hedge_policy)(m);
    r->cluster->hedge =
        r->cluster->has_hedge &&
        envoy_config_route_v3_HedgePolicy_hedge_on_per_try_timeout(RA(hedge_policy)(m));
    if (RA(retry_policy_typed_config)(m))
        return error_set(err, "retry_policy_typed_config: this extension is not implemented");
    return specifier_decode(ctx, m, r, err) && rewrites_decode(m, r, err) &&
           route_upgrades_decode(m, r, err);
}

static bool redirect_path(const envoy_config_route_v3_RedirectAction *m, struct route *r,
                          struct error *err)
{
    struct redirect_action *d = r->redirect;
    switch (RD(path_rewrite_specifier_case)(m)) {
    case RD(path_rewrite_specifier_path_redirect):
        d->path = arena_dup(r->node.arena, upb_bytes(RD(path_redirect)(m)));
        return true;
    case RD(path_rewrite_specifier_prefix_rewrite):
        d->has_prefix_rewrite = RD(prefix_rewrite)(m).size > 0; /* an empty one is none */
        d->prefix_rewrite = arena_dup(r->node.arena, upb_bytes(RD(prefix_rewrite)(m)));
        return true;
    case RD(path_rewrite_specifier_regex_rewrite):
        return rewrite_decode(RD(regex_rewrite)(m), r, &d->regex_rewrite, err) ||
               error_prefix(err, "regex_rewrite.");
    default:
        return true;
    }
}

static bool redirect_decode(const envoy_config_route_v3_RedirectAction *m, struct route *r,
                            struct error *err)
{
    static const unsigned codes[] = {301, 302, 303, 307, 308};
    int code = RD(response_code)(m);
    r->action = ROUTE_REDIRECT;
    struct redirect_action *d = r->redirect = ARENA_NEW(r->node.arena, struct redirect_action);
    if (code < 0 || code > 4)
        return error_set(err, "response_code: %d is not a defined value", code);
    d->status = codes[code];
    d->host = arena_dup(r->node.arena, upb_bytes(RD(host_redirect)(m)));
    d->port = RD(port_redirect)(m);
    d->strip_query = RD(strip_query)(m);
    d->https = RD(https_redirect)(m);
    d->scheme = arena_dup(r->node.arena, upb_bytes(RD(scheme_redirect)(m)));
    return redirect_path(m, r, err);
}

static bool body_decode(const envoy_config_core_v3_DataSource *m, size_t max, struct arena *a,
                        struct bytes *out, struct error *err)
{
    const char *value, *field = "inline_string";
    switch (DS(specifier_case)(m)) {
    case DS(specifier_inline_string):
        *out = arena_dup(a, upb_bytes(DS(inline_string)(m)));
        break;
    case DS(specifier_inline_bytes):
        field = "inline_bytes";
        *out = arena_dup(a, upb_bytes(DS(inline_bytes)(m)));
        break;
    case DS(specifier_filename):
        field = "filename";
        if (!file_read(upb_bytes(DS(filename)(m)), max, a, out, err))
            return error_prefix(err, "filename: ");
        break;
    case DS(specifier_environment_variable):
        field = "environment_variable";
        value = getenv(arena_str(a, upb_bytes(DS(environment_variable)(m))));
        if (!value)
            return error_set(err, "environment_variable: '%.*s' is not set",
                             BYTES_ARG(upb_bytes(DS(environment_variable)(m))));
        *out = arena_dup(a, bytes_of(value));
        break;
    default:
        return error_set(err, "specifier: expected one of filename, inline_bytes, inline_string, "
                              "environment_variable");
    }
    return out->len <= max || error_set(err, "%s: response body size is %zu bytes; maximum is %zu",
                                        field, out->len, max);
}

static bool direct_decode(struct route_decode_context *ctx,
                          const envoy_config_route_v3_DirectResponseAction *m, struct route *r,
                          struct error *err)
{
    r->action = ROUTE_DIRECT_RESPONSE;
    r->direct = ARENA_NEW(r->node.arena, struct direct_response);
    r->direct->status = DR(status)(m);
    if (r->direct->status < 200 || r->direct->status >= 600)
        return error_set(err, "status: value must be inside range [200, 600), got %u",
                         r->direct->status);
    if (DR(body_format)(m))
        return error_set(err, "body_format: not implemented");
    const envoy_config_core_v3_DataSource *body = DR(body)(m);
    return !body ||
           body_decode(body, ctx->max_direct_response_body, r->node.arena, &r->direct->body, err) ||
           error_prefix(err, "body.");
}

bool route_action_decode(struct route_decode_context *ctx, const envoy_config_route_v3_Route *m,
                         struct route *r, struct error *err)
{
    switch (RT(action_case)(m)) {
    case RT(action_route):
        return cluster_decode(ctx, RT(route)(m), r, err) || error_prefix(err, "route.");
    case RT(action_redirect):
        return redirect_decode(RT(redirect)(m), r, err) || error_prefix(err, "redirect.");
    case RT(action_direct_response):
        return direct_decode(ctx, RT(direct_response)(m), r, err) ||
               error_prefix(err, "direct_response.");
    case RT(action_filter_action):
        return error_set(err, "filter_action: not implemented");
    case RT(action_non_forwarding_action):
        return error_set(err, "non_forwarding_action: not implemented");
    default:
        return error_set(err, "action: expected one of route, redirect, direct_response");
    }
}
