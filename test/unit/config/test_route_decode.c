#include <check.h>
#include <stdlib.h>

#include "config/cluster.h"
#include "config/retry_policy.h"
#include "config/route.h"
#include "config/route_index.h"
#include "config/wire.h"
#include "config_fixture.h"

#define ROUTES "envoy.config.route.v3.RouteConfiguration"
#define CORS "\"@type\": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy"
#define CSRF "\"@type\": type.googleapis.com/envoy.extensions.filters.http.csrf.v3.CsrfPolicy"
#define PREVIOUS_HOSTS                                                                             \
    "typed_config: {\"@type\": type.googleapis.com/envoy.extensions.retry.host."                   \
    "previous_hosts.v3.PreviousHostsPredicate}"
#define PREVIOUS_PRIORITIES                                                                        \
    "\"@type\": type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3."       \
    "PreviousPrioritiesConfig"
#define FILTER_CONFIG "\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig"

static struct fixture f;
static int configs_alive;

static void *policy_new(struct filter_context *ctx, struct bytes value, struct error *err)
{
    if (value.len > 20) {
        error_set(err, "max_age: too long");
        return NULL;
    }
    configs_alive++;
    return arena_zalloc(ctx->arena, 1);
}

static void policy_free(void *config)
{
    configs_alive--;
}

static const struct filter_factory cors = {
    .name = "envoy.filters.http.cors",
    .type_url = "envoy.extensions.filters.http.cors.v3.Cors",
    .route_type_url = "envoy.extensions.filters.http.cors.v3.CorsPolicy",
    .route_config_new = policy_new,
    .config_free = policy_free,
};
static const struct filter_factory *const factories[] = {&cors};
static const struct filter_registry registry = {.http = factories, .n_http = 1};

static struct route_config *decode_wire(struct bytes wire, struct error *err)
{
    struct filter_context filters = {.arena = f.arena, .stats = f.stats};
    struct route_decode_context ctx = {
        .filters = &filters, .registry = &registry, .descriptors = f.descriptors};
    return route_config_decode(&ctx, wire, NULL, err);
}

/* A route configuration with this one route, or NULL and why not. */
static struct route_config *decode_route(const char *route, struct error *err)
{
    return decode_wire(fixture_wire(&f, ROUTES,
                                    arena_printf(f.arena,
                                                 "{name: r, virtual_hosts: [{name: v, domains: "
                                                 "['*'], routes: [%s]}]}",
                                                 route)),
                       err);
}

static struct route_config *rc;

static const struct route *route_of(const char *yaml)
{
    struct error err = ERROR_INIT;
    NODE_UNREF(&rc);
    node_reap();
    rc = decode_route(yaml, &err);
    ck_assert_msg(rc != NULL, "%s: %s", yaml, error_text(&err));
    return rc->vhosts[0].vhost->routes[0].route;
}

#define MATCH "match: {prefix: /}, "

START_TEST(matches)
{
    const struct route *r = route_of("{name: first, match: {prefix: /a}, route: {cluster: c}}");
    ck_assert(r->path_kind == ROUTE_PATH_PREFIX && bytes_eq_str(r->path, "/a"));
    ck_assert(bytes_eq_str(r->name, "first") && r->case_sensitive && !r->extras->has_fraction);
    r = route_of("{match: {path: /A, case_sensitive: false}, route: {cluster: c}}");
    ck_assert(r->path_kind == ROUTE_PATH_EXACT && !r->case_sensitive);
    r = route_of("{match: {path_separated_prefix: /a/b}, route: {cluster: c}}");
    ck_assert(r->path_kind == ROUTE_PATH_SEPARATED_PREFIX);
    r = route_of("{match: {path_separated_prefix: ab}, route: {cluster: c}}");
    ck_assert(bytes_eq_str(r->path, "ab"));
    r = route_of("{match: {safe_regex: {regex: \"/[a-z]+\"}}, route: {cluster: c}}");
    ck_assert(r->path_kind == ROUTE_PATH_REGEX && r->extras->path_regex);
    r = route_of("{match: {safe_regex: {google_re2: {max_program_size: 600}, regex: "
                 "\"a{200}b{300}\"}}, route: {cluster: c}}");
    ck_assert_uint_gt(regex_program_size(r->extras->path_regex), 500);
    r = route_of(
        "{match: {prefix: /, grpc: {}, headers: [{name: a}, {name: b}], "
        "query_parameters: [{name: q}], runtime_fraction: {default_value: "
        "{numerator: 5, denominator: TEN_THOUSAND}, runtime_key: k}}, route: {cluster: c}}");
    ck_assert(r->extras->grpc_only && r->extras->n_headers == 2 && r->extras->n_queries == 1 &&
              r->extras->has_fraction);
    ck_assert(r->extras->fraction.numerator == 5 && r->extras->fraction.denominator == 10000);
}
END_TEST

START_TEST(clusters)
{
    const struct cluster_action *c = route_of("{" MATCH "route: {cluster: web}}")->cluster;
    ck_assert(bytes_eq_str(c->cluster, "web"));
    ck_assert_uint_eq(c->not_found_status, 503);
    ck_assert(c->timeout_ms == 15000 && !c->has_timeout && c->priority == PRIORITY_DEFAULT);
    const struct route *r =
        route_of("{" MATCH "route: {cluster_header: X-Where, timeout: 0.0009s, idle_timeout: 1.5s, "
                 "priority: HIGH, cluster_not_found_response_code: NOT_FOUND, "
                 "max_stream_duration: {max_stream_duration: 7s, grpc_timeout_header_max: 8s, "
                 "grpc_timeout_header_offset: 1s}, max_grpc_timeout: 9s, grpc_timeout_offset: "
                 "0.5s}}");
    const struct route_extras *x = r->extras;
    c = r->cluster;
    ck_assert(bytes_eq_str(x->cluster_header, "x-where"));
    ck_assert(c->has_timeout && c->timeout_ms == 0 && x->idle_timeout_ms == 1500);
    ck_assert(c->priority == PRIORITY_HIGH && c->not_found_status == 404);
    ck_assert(x->has_max_stream_duration && x->max_stream_duration_ms == 7000);
    ck_assert(x->has_grpc_max && x->grpc_max_ms == 8000 && x->grpc_offset_ms == 1000);
    ck_assert(x->has_old_grpc_max && x->old_grpc_max_ms == 9000 && x->old_grpc_offset_ms == 500);
    c = route_of("{" MATCH "route: {cluster: c, cluster_not_found_response_code: "
                 "INTERNAL_SERVER_ERROR}}")
            ->cluster;
    ck_assert_uint_eq(c->not_found_status, 500);
}
END_TEST

static bool list_cluster(void *arg, struct bytes name, const struct route_place *at)
{
    strbuf_printf(arg, "%u.%u.%d %.*s ", at->vhost, at->route, at->weighted, BYTES_ARG(name));
    return true;
}

START_TEST(weighted_clusters)
{
    const struct cluster_action *c =
        route_of("{" MATCH "route: {weighted_clusters: {header_name: X-Pick, clusters: ["
                 "{name: a, weight: 90, request_headers_to_add: [{header: {key: k, value: v}}], "
                 "host_rewrite_literal: h, response_headers_to_remove: [Via]}, "
                 "{name: b, weight: 10, typed_per_filter_config: {f: {" CORS "}}}, "
                 "{cluster_header: X-C, weight: 0}]}}}")
            ->cluster;
    ck_assert(c->weighted->n == 3 && c->weighted->total_weight == 100);
    ck_assert(bytes_eq_str(c->weighted->header, "x-pick"));
    ck_assert(bytes_eq_str(c->weighted->list[0].name, "a") && c->weighted->list[0].weight == 90);
    ck_assert(c->weighted->list[0].request.n_add == 1);
    ck_assert(bytes_eq_str(c->weighted->list[0].response.remove[0].name, "via"));
    ck_assert(bytes_eq_str(c->weighted->list[0].host_rewrite, "h"));
    ck_assert(c->weighted->list[1].filters.n == 1 && configs_alive == 1);
    ck_assert(bytes_eq_str(c->weighted->list[2].cluster_header, "x-c"));
    struct strbuf names = STRBUF_INIT;
    route_config_clusters(rc, list_cluster, &names);
    ck_assert_str_eq(strbuf_str(&names), "0.0.0 a 0.0.1 b ");
    strbuf_fini(&names);
    NODE_UNREF(&rc);
    node_reap();
    ck_assert_int_eq(configs_alive, 0);
}
END_TEST

/* What HTTP/1 calls the authority, wherever a route names a header of the request. */
START_TEST(host_is_the_authority)
{
    const struct route *r = route_of("{match: {prefix: /, headers: [{name: Host}]}, route: "
                                     "{cluster_header: Host, host_rewrite_header: HOST}}");
    ck_assert(bytes_eq_str(r->extras->headers[0].name, ":authority"));
    ck_assert(bytes_eq_str(r->extras->cluster_header, ":authority"));
    ck_assert(bytes_eq_str(r->cluster->rewrite->host_text, ":authority"));
    r = route_of("{" MATCH "route: {weighted_clusters: {header_name: host, clusters: ["
                 "{cluster_header: Host, weight: 1}]}}}");
    ck_assert(bytes_eq_str(r->cluster->weighted->header, ":authority"));
    ck_assert(bytes_eq_str(r->cluster->weighted->list[0].cluster_header, ":authority"));
}
END_TEST

START_TEST(rewrites)
{
    const struct cluster_action *c =
        route_of("{" MATCH "route: {cluster: c, prefix_rewrite: /new, host_rewrite_literal: h, "
                 "append_x_forwarded_host: true}}")
            ->cluster;
    ck_assert(c->rewrite->has_prefix && bytes_eq_str(c->rewrite->prefix, "/new"));
    ck_assert(c->rewrite->host == HOST_REWRITE_LITERAL && bytes_eq_str(c->rewrite->host_text, "h"));
    ck_assert(c->rewrite->append_x_forwarded_host);
    c = route_of("{" MATCH "route: {cluster: c, regex_rewrite: {pattern: {regex: \"/(.*)\"}, "
                 "substitution: \"/x/\\\\1\"}, auto_host_rewrite: true}}")
            ->cluster;
    ck_assert(c->rewrite->regex.regex && bytes_eq_str(c->rewrite->regex.substitution, "/x/\\1"));
    ck_assert(c->rewrite->host == HOST_REWRITE_AUTO);
    c = route_of("{" MATCH "route: {cluster: c, auto_host_rewrite: false}}")->cluster;
    ck_assert(c->rewrite->host == HOST_REWRITE_NONE);
    c = route_of("{" MATCH "route: {cluster: c, host_rewrite_header: X-H}}")->cluster;
    ck_assert(c->rewrite->host == HOST_REWRITE_HEADER &&
              bytes_eq_str(c->rewrite->host_text, "x-h"));
    c = route_of("{" MATCH "route: {cluster: c, host_rewrite_path_regex: {pattern: "
                 "{regex: \"/(.*)\"}, substitution: \"\\\\1\"}}}")
            ->cluster;
    ck_assert(c->rewrite->host == HOST_REWRITE_PATH_REGEX && c->rewrite->host_regex.regex);
}
END_TEST

START_TEST(redirects)
{
    static const char *const codes[] = {"MOVED_PERMANENTLY", "FOUND", "SEE_OTHER",
                                        "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT"};
    static const unsigned statuses[] = {301, 302, 303, 307, 308};
    for (unsigned i = 0; i < 5; i++) {
        const struct route *r =
            route_of(arena_printf(f.arena, "{" MATCH "redirect: {response_code: %s}}", codes[i]));
        ck_assert(r->action == ROUTE_REDIRECT && r->redirect->status == statuses[i]);
    }
    const struct redirect_action *d =
        route_of("{" MATCH
                 "redirect: {host_redirect: h, port_redirect: 8443, https_redirect: true, "
                 "strip_query: true, path_redirect: \"/p?q\"}}")
            ->redirect;
    ck_assert(d->status == 301 && d->port == 8443 && d->https && d->strip_query);
    ck_assert(bytes_eq_str(d->host, "h") && bytes_eq_str(d->path, "/p?q"));
    d = route_of("{" MATCH "redirect: {scheme_redirect: ftp, prefix_rewrite: z}}")->redirect;
    ck_assert(bytes_eq_str(d->scheme, "ftp") && d->has_prefix_rewrite && !d->https);
    d = route_of("{" MATCH "redirect: {prefix_rewrite: \"\"}}")->redirect;
    ck_assert(!d->has_prefix_rewrite); /* as in Envoy */
    d = route_of("{" MATCH "redirect: {regex_rewrite: {pattern: {regex: a}, substitution: b}}}")
            ->redirect;
    ck_assert_ptr_nonnull(d->regex_rewrite.regex);
}
END_TEST

START_TEST(direct_responses)
{
    const struct route *r = route_of("{" MATCH "direct_response: {status: 418}}");
    ck_assert(r->action == ROUTE_DIRECT_RESPONSE && r->direct->status == 418);
    ck_assert_uint_eq(r->direct->body.len, 0);
    r = route_of("{" MATCH "direct_response: {status: 200, body: {inline_string: hi}}}");
    ck_assert(bytes_eq_str(r->direct->body, "hi"));
    r = route_of("{" MATCH "direct_response: {status: 200, body: {inline_bytes: aGkA}}}");
    ck_assert(bytes_eq(r->direct->body, BYTES("hi\0")));
    setenv("XYLEM_TEST_BODY", "from the environment", 1);
    r = route_of("{" MATCH "direct_response: {status: 200, body: {environment_variable: "
                 "XYLEM_TEST_BODY}}}");
    ck_assert(bytes_eq_str(r->direct->body, "from the environment"));
}
END_TEST

START_TEST(filter_configs)
{
    const struct route *r =
        route_of("{" MATCH "route: {cluster: c}, typed_per_filter_config: {"
                 "one: {" CORS "}, "
                 "two: {" FILTER_CONFIG ", config: {" CORS "}, disabled: true}, "
                 "three: {" FILTER_CONFIG ", disabled: true}, "
                 "four: {" FILTER_CONFIG ", is_optional: true, config: {" CSRF "}}}}");
    ck_assert_uint_eq(r->extras->filters.n, 3); /* the optional one that nobody knows is left out */
    ck_assert_int_eq(configs_alive, 2);
    for (unsigned i = 0; i < r->extras->filters.n; i++) {
        const struct route_filter_config *c = &r->extras->filters.entries[i];
        bool two = bytes_eq_str(c->name, "two"), three = bytes_eq_str(c->name, "three");
        ck_assert(c->disabled == (two || three));
        ck_assert((c->config == NULL) == three);
    }
}
END_TEST

START_TEST(connect_that_ends_here)
{
    const struct route *r =
        route_of("{match: {connect_matcher: {}}, route: {cluster: c, upgrade_configs: ["
                 "{upgrade_type: CONNECT, connect_config: {}}]}}");
    const struct route_upgrade *u = r->extras->upgrades;
    ck_assert(u->terminates && !u->posts && u->proxy_protocol == 0);
    r = route_of("{" MATCH "route: {cluster: c, upgrade_configs: [{upgrade_type: CONNECT, "
                 "connect_config: {allow_post: true, proxy_protocol_config: {}}}]}}");
    u = r->extras->upgrades;
    ck_assert(u->terminates && u->posts && u->proxy_protocol == 1);
    r = route_of("{" MATCH "route: {cluster: c, upgrade_configs: [{upgrade_type: CONNECT, "
                 "connect_config: {proxy_protocol_config: {version: V2}}}]}}");
    ck_assert_uint_eq(r->extras->upgrades->proxy_protocol, 2);
}
END_TEST

#define BODY_4097 "%4097s"

/* Every refusal names where it stands. */
static const char *const refused[][2] = {
    {"{route: {cluster: c}}", "match: value is required"},
    {"{match: {}, route: {cluster: c}}", "match.path_specifier: expected one of"},
    {"{match: {safe_regex: {google_re2: {max_program_size: 3}, regex: abcd}}, route: {cluster: c}}",
     "match.safe_regex.regex: regex 'abcd' RE2 program size of"},
    {"{match: {path_separated_prefix: /a/}, route: {cluster: c}}",
     "match.path_separated_prefix: value does not match"},
    {"{match: {safe_regex: {regex: \"(\"}}, route: {cluster: c}}", "match.safe_regex.regex: "},
    {"{match: {prefix: /}, route: {cluster: c, upgrade_configs: [{upgrade_type: a}, "
     "{upgrade_type: A}]}}",
     "route.Duplicate upgrade A"},
    {"{match: {prefix: /}, route: {cluster: c, upgrade_configs: [{upgrade_type: a, connect_config: "
     "{}}]}}",
     "route.upgrade_configs[0].Non-CONNECT upgrade type a has ConnectConfig"},
    {"{match: {prefix: /, tls_context: {}}, route: {cluster: c}}", "match.tls_context: not impl"},
    {"{match: {prefix: /, headers: [{name: a}, {name: b, string_match: {}}]}, route: {cluster: c}}",
     "match.headers[1].string_match.match_pattern: expected one of"},
    {"{match: {prefix: /, query_parameters: [{name: b, string_match: {}}]}, route: {cluster: c}}",
     "match.query_parameters[0].string_match.match_pattern: expected one of"},
    {"{" MATCH "}", "action: expected one of route, redirect, direct_response"},
    {"{" MATCH "filter_action: {}}", "filter_action: not implemented"},
    {"{" MATCH "non_forwarding_action: {}}", "non_forwarding_action: not implemented"},
    {"{" MATCH "route: {}}", "route.cluster_specifier: expected one of"},
    {"{" MATCH "route: {cluster: \"\"}}", "route.cluster: value length must be at least 1"},
    {"{" MATCH "route: {cluster: c, metadata_match: {}}}", "route.metadata_match: subset load"},
    {"{" MATCH "route: {cluster: c, cluster_not_found_response_code: 7}}",
     "route.cluster_not_found_response_code: 7 is not a defined value"},
    {"{" MATCH "route: {cluster: c, retry_policy: {retry_back_off: {}}}}",
     "route.retry_policy.retry_back_off.base_interval: value is required"},
    {"{" MATCH "route: {cluster: c, retry_policy: {retry_back_off: {base_interval: 0s}}}}",
     "route.retry_policy.retry_back_off.base_interval: value must be greater than 0s"},
    {"{" MATCH
     "route: {cluster: c, retry_policy: {retry_back_off: {base_interval: 2s, max_interval: "
     "1s}}}}",
     "route.retry_policy.retry_back_off: retry_policy.max_interval must greater than or equal to"},
    {"{" MATCH "route: {cluster: c, retry_policy: {rate_limited_retry_back_off: {}}}}",
     "route.retry_policy.rate_limited_retry_back_off.reset_headers: value must contain at least 1"},
    {"{" MATCH "route: {cluster: c, retry_policy: {rate_limited_retry_back_off: {reset_headers: "
     "[{name: a, format: 7}]}}}}",
     "route.retry_policy.rate_limited_retry_back_off.reset_headers[0].format: 7 is not a defined"},
    {"{" MATCH "route: {cluster: c, retry_policy: {retriable_headers: [{name: a, string_match: "
     "{}}]}}}",
     "route.retry_policy.retriable_headers[0].string_match.match_pattern: expected one of"},
    {"{" MATCH
     "route: {cluster: c, retry_policy: {retriable_request_headers: [{name: a}, {name: a, "
     "string_match: {safe_regex: {regex: \"[\"}}}]}}}",
     "route.retry_policy.retriable_request_headers[1].string_match.safe_regex.regex: "},
    {"{" MATCH "route: {cluster: c, retry_policy: {retry_host_predicate: [{" PREVIOUS_HOSTS
     "}, {name: other}]}}}",
     "route.retry_policy.retry_host_predicate[1]: Didn't find a registered implementation for "
     "'other' with type URL: ''"},
    {"{" MATCH "route: {cluster: c, retry_policy: {retry_priority: {name: p}}}}",
     "route.retry_policy.retry_priority: Didn't find a registered implementation for 'p'"},
    {"{" MATCH
     "route: {cluster: c, retry_policy: {retry_priority: {typed_config: {" PREVIOUS_PRIORITIES
     "}}}}}",
     "route.retry_policy.retry_priority.update_frequency: value must be greater than 0"},
    {"{" MATCH "route: {cluster: c, retry_policy: {per_try_timeout: -1s}}}",
     "route.retry_policy.per_try_timeout: "},
    {"{" MATCH "route: {cluster: c, retry_policy: {retry_options_predicates: [{name: x}]}}}",
     "route.retry_policy.retry_options_predicates: this extension is not implemented"},
    {"{" MATCH "route: {cluster: c, retry_policy_typed_config: {" CORS "}}}",
     "route.retry_policy_typed_config: this extension is not implemented"},
    {"{" MATCH "route: {cluster: c, prefix_rewrite: /a, regex_rewrite: {pattern: {regex: a}}}}",
     "route.prefix_rewrite: Cannot specify both prefix_rewrite and regex_rewrite"},
    {"{" MATCH "route: {cluster: c, regex_rewrite: {}}}",
     "route.regex_rewrite.pattern: value is required"},
    {"{" MATCH
     "route: {cluster: c, regex_rewrite: {pattern: {regex: a}, substitution: \"\\\\3\"}}}",
     "route.regex_rewrite.substitution: "},
    {"{" MATCH "route: {cluster: c, host_rewrite_path_regex: {pattern: {regex: \"[\"}}}}",
     "route.host_rewrite_path_regex.pattern.regex: "},
    {"{" MATCH "route: {cluster_specifier_plugin: p}}",
     "route.cluster_specifier_plugin: not implemented"},
    {"{" MATCH "route: {weighted_clusters: {}}}",
     "route.weighted_clusters: clusters: value must contain at least 1 item(s)"},
    {"{" MATCH "route: {weighted_clusters: {clusters: [{name: a, weight: 0}]}}}",
     "route.weighted_clusters: Sum of weights in the weighted_cluster must be greater than 0."},
    {"{" MATCH "route: {weighted_clusters: {clusters: [{name: a, weight: 4294967295}, "
     "{name: b, weight: 1}]}}}",
     "route.weighted_clusters: The sum of weights of all weighted clusters of route"},
    {"{" MATCH "route: {weighted_clusters: {clusters: [{name: a, cluster_header: b, weight: 1}]}}}",
     "route.weighted_clusters: clusters[0]: Only one of name or cluster_header"},
    {"{" MATCH "route: {weighted_clusters: {clusters: [{weight: 1}]}}}",
     "route.weighted_clusters: clusters[0]: At least one of name or cluster_header"},
    {"{" MATCH "route: {weighted_clusters: {clusters: [{name: a, weight: 1, "
     "typed_per_filter_config: {x: {" CORS "}, y: {" CSRF "}}}]}}}",
     "route.weighted_clusters: clusters[0]: typed_per_filter_config['y']: Didn't find"},
    {"{" MATCH "redirect: {response_code: 9}}", "redirect.response_code: 9 is not a defined value"},
    {"{" MATCH "redirect: {regex_rewrite: {pattern: {regex: \"\"}}}}",
     "redirect.regex_rewrite.pattern.regex: expected a pattern"},
    {"{" MATCH "direct_response: {status: 199}}", "direct_response.status: value must be inside"},
    {"{" MATCH "direct_response: {status: 600}}", "direct_response.status: value must be inside"},
    {"{" MATCH "direct_response: {status: 200, body: {}}}", "direct_response.body.specifier: exp"},
    {"{" MATCH "direct_response: {status: 200, body: {filename: /nonexistent/body}}}",
     "direct_response.body.filename: cannot read '/nonexistent/body': No such file or directory"},
    {"{" MATCH "direct_response: {status: 200, body: {environment_variable: XYLEM_NO_SUCH}}}",
     "direct_response.body.environment_variable: 'XYLEM_NO_SUCH' is not set"},
    {"{" MATCH "direct_response: {status: 200, body: {inline_string: \"" BODY_4097 "\"}}}",
     "direct_response.body.inline_string: response body size is 4097 bytes; maximum is 4096"},
    {"{" MATCH "route: {cluster: c}, typed_per_filter_config: {x: {" CSRF "}}}",
     "typed_per_filter_config['x']: Didn't find a registered implementation for 'x' with type "
     "URL: 'envoy.extensions.filters.http.csrf.v3.CsrfPolicy'"},
    {"{" MATCH "route: {cluster: c}, typed_per_filter_config: {x: {" CORS
     ", max_age: \"12345678901234567890\"}}}",
     "typed_per_filter_config['x']: max_age: too long"},
};

START_TEST(retry_policies)
{
    const struct retry_policy *p =
        route_of("{" MATCH "route: {cluster: c, retry_policy: {}}}")->cluster->retry;
    ck_assert_uint_eq(p->on, 0);
    ck_assert(p->num_retries == 1 && p->host_retries == 1 && p->priority_frequency == 0);
    ck_assert(p->base_ms == 25 && p->max_ms == 250 && p->reset_max_ms == 300000);
    ck_assert(p->per_try_timeout_ms == 0 && p->per_try_idle_timeout_ms == 0 && !p->previous_hosts);
    p = route_of(
            "{" MATCH "route: {cluster: c, retry_policy: {retry_on: ' 5xx ,,cancelled, nonsense"
            ",retriable-4xx', num_retries: 4, per_try_timeout: 1.5009s, per_try_idle_timeout: 2s, "
            "retriable_status_codes: [418, 500], retry_back_off: {base_interval: 0.0001s, "
            "max_interval: 7s}, rate_limited_retry_back_off: {reset_headers: [{name: X-Reset, "
            "format: UNIX_TIMESTAMP}], max_interval: 9s}, retriable_headers: [{name: a}, {name: "
            "b, string_match: {safe_regex: {regex: x}}}], retriable_request_headers: [{name: "
            "c}], retry_host_predicate: [{" PREVIOUS_HOSTS
            "}], host_selection_retry_max_attempts: 5, retry_priority: {typed_config: "
            "{" PREVIOUS_PRIORITIES ", update_frequency: 2}}}}}")
            ->cluster->retry;
    ck_assert_uint_eq(p->on, RETRY_ON(5XX) | RETRY_ON(CANCELLED) | RETRY_ON(RETRIABLE_4XX));
    ck_assert(p->num_retries == 4 && p->per_try_timeout_ms == 1500);
    ck_assert(p->per_try_idle_timeout_ms == 2000 && p->base_ms == 1 && p->max_ms == 7000);
    ck_assert(p->n_codes == 2 && p->codes[0] == 418 && p->codes[1] == 500);
    ck_assert(p->n_reset_headers == 1 && p->reset_headers[0].timestamp && p->reset_max_ms == 9000);
    ck_assert(bytes_eq_str(p->reset_headers[0].name, "x-reset"));
    ck_assert(p->n_headers == 2 && p->n_request_headers == 1 && p->previous_hosts);
    ck_assert(p->host_retries == 5 && p->priority_frequency == 2);
    const struct route *r =
        route_of("{" MATCH "per_request_buffer_limit_bytes: 5, route: {cluster: c}}");
    ck_assert(r->extras->body_limit.set && r->extras->body_limit.bytes == 5 && !r->cluster->retry);
    r = route_of("{" MATCH "per_request_buffer_limit_bytes: 5, request_body_buffer_limit: "
                 "5000000000, route: {cluster: c}}");
    ck_assert_uint_eq(r->extras->body_limit.bytes, 5000000000);
}
END_TEST

START_TEST(retry_policy_of_a_virtual_host)
{
    struct error err = ERROR_INIT;
    rc = decode_wire(fixture_wire(&f, ROUTES,
                                  "{name: r, virtual_hosts: [{name: v, domains: ['*'], "
                                  "include_is_timeout_retry_header: true, retry_policy: {retry_on: "
                                  "reset, retriable_headers: [{name: b, string_match: {safe_regex: "
                                  "{regex: x}}}]}, per_request_buffer_limit_bytes: 0}]}"),
                     &err);
    ck_assert_msg(rc != NULL, "%s", error_text(&err));
    const struct virtual_host *v = rc->vhosts[0].vhost;
    ck_assert_uint_eq(v->retry->on, RETRY_ON(RESET));
    ck_assert(v->include_is_timeout_retry_header && v->body_limit.set && v->body_limit.bytes == 0);
}
END_TEST

START_TEST(refusals_name_the_field)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct error err = ERROR_INIT;
        char *yaml = strstr(refused[i][0], BODY_4097) ? arena_printf(f.arena, refused[i][0], "x")
                                                      : arena_str(f.arena, bytes_of(refused[i][0]));
        struct route_config *bad = decode_route(yaml, &err);
        ck_assert_msg(bad == NULL, "%s", refused[i][0]);
        struct bytes text = bytes_of(error_text(&err));
        ck_assert_msg(bytes_starts_with(text, BYTES("virtual_hosts[0].routes[0].")), "%s",
                      error_text(&err));
        ck_assert_msg(bytes_starts_with(bytes_skip(text, strlen("virtual_hosts[0].routes[0].")),
                                        bytes_of(refused[i][1])),
                      "%s: %s", refused[i][0], error_text(&err));
        error_fini(&err);
        node_reap();
        ck_assert_msg(configs_alive == 0 && node_count_live() == 0, "%s leaves something behind",
                      refused[i][0]);
    }
}
END_TEST

/* Lists whose count has 16 bits: none is cut to what is left of its length. */
static const struct {
    const char *before, *entry, *after, *error;
} long_lists[] = {
    {"match: {prefix: /, headers: [", "{name: a}", "]}, route: {cluster: c}",
     "match.headers: more than 65535"},
    {"match: {prefix: /, query_parameters: [", "{name: a}", "]}, route: {cluster: c}",
     "match.query_parameters: more than 65535"},
    {MATCH "route: {cluster: c}, request_headers_to_remove: [", "a", "]",
     "request_headers_to_remove: more than 65535"},
    {MATCH "route: {cluster: c}, response_headers_to_remove: [", "a", "]",
     "response_headers_to_remove: more than 65535"},
    {MATCH "route: {cluster: c}, request_headers_to_add: [", "{header: {key: a}}", "]",
     "request_headers_to_add: more than 65535"},
    {MATCH "route: {cluster: c}, response_headers_to_add: [", "{header: {key: a}}", "]",
     "response_headers_to_add: more than 65535"},
    {MATCH "route: {weighted_clusters: {clusters: [{name: c, weight: 1, "
           "request_headers_to_remove: [",
     "a", "]}]}}",
     "route.weighted_clusters: clusters[0]: request_headers_to_remove: more than 65535"},
};

static struct route_config *decode_long(size_t at, unsigned n, struct error *err)
{
    struct strbuf route = STRBUF_INIT;
    strbuf_printf(&route, "{%s", long_lists[at].before);
    for (unsigned i = 0; i < n; i++)
        strbuf_printf(&route, "%s%s", i ? "," : "", long_lists[at].entry);
    strbuf_printf(&route, "%s}", long_lists[at].after);
    struct route_config *made = decode_route(strbuf_str(&route), err);
    strbuf_fini(&route);
    return made;
}

START_TEST(lists_are_refused_rather_than_cut)
{
    struct error err = ERROR_INIT;
    ck_assert_ptr_null(decode_long(_i, 65536, &err));
    struct bytes text =
        bytes_skip(bytes_of(error_text(&err)), strlen("virtual_hosts[0].routes[0]."));
    ck_assert_msg(bytes_eq_str(text, long_lists[_i].error), "%s", error_text(&err));
    error_fini(&err);
    rc = decode_long(_i, 65535, &err);
    ck_assert_msg(rc != NULL, "%s", error_text(&err));
}
END_TEST

#define TWO_HOSTS(first, second)                                                                   \
    "{name: r, virtual_hosts: [{name: a, domains: " first "}, {name: b, domains: " second "}]}"

static const char *const refused_configs[][2] = {
    {"{name: r, internal_only_headers: [a, ':Method']}", "internal_only_headers[1]: :method is"},
    {"{name: r, vhds: {}}", "vhds.config_source: value is required"},
    {"{name: r, virtual_hosts: [{domains: ['*']}]}", "virtual_hosts[0].name: value length"},
    {"{name: r, virtual_hosts: [{name: a, domains: [x, '']}]}",
     "virtual_hosts[0].domains[1]: expected a host name, got an empty string"},
    {"{name: r, virtual_hosts: [{name: a, domains: ['a.*.b']}]}",
     "virtual_hosts[0].domains[0]: expected one \"*\", at the start or at the end"},
    {"{name: r, virtual_hosts: [{name: a, domains: ['*.a.*']}]}",
     "virtual_hosts[0].domains[0]: expected one"},
    {"{name: r, virtual_hosts: [{name: a}]}", "virtual_hosts[0].domains: value must contain"},
    {TWO_HOSTS("['*']", "['*']"),
     "virtual_hosts[1].domains: Only a single wildcard domain is permitted"},
    {TWO_HOSTS("[x.y]", "[X.Y]"),
     "virtual_hosts[1].domains: Only unique values for domains are permitted."},
    {"{name: r, virtual_hosts: [{name: a, domains: ['*'], retry_policy: {retry_back_off: {}}}]}",
     "virtual_hosts[0].retry_policy.retry_back_off.base_interval: value is required"},
    {"{name: r, virtual_hosts: [{name: a, domains: ['*'], matcher: {}}]}",
     "virtual_hosts[0].matcher: matcher trees are not implemented"},
    {"{name: r, typed_per_filter_config: {x: {" CSRF "}}}", "typed_per_filter_config['x']: Didn't"},
};

START_TEST(refused_configurations)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused_configs); i++) {
        struct error err = ERROR_INIT;
        struct route_config *bad =
            decode_wire(fixture_wire(&f, ROUTES, refused_configs[i][0]), &err);
        ck_assert_msg(bad == NULL, "%s", refused_configs[i][0]);
        ck_assert_msg(
            bytes_starts_with(bytes_of(error_text(&err)), bytes_of(refused_configs[i][1])),
            "%s: %s", refused_configs[i][0], error_text(&err));
        error_fini(&err);
        node_reap();
        ck_assert_uint_eq(node_count_live(), 0);
    }
}
END_TEST

#define NAMESAKES(second)                                                                          \
    "{name: r, virtual_hosts: [{name: a, domains: ['x'], routes: [{" MATCH                         \
    "route: {cluster: c}}]},"                                                                      \
    "{name: a, domains: ['y'], routes: [{" MATCH "route: {cluster: d}}" second "]}]}"

/* Domains tell virtual hosts apart. Each keeps its own routes when one of them changes. */
START_TEST(virtual_hosts_of_one_name)
{
    struct error err = ERROR_INIT;
    struct filter_context filters = {.arena = f.arena, .stats = f.stats};
    struct route_decode_context ctx = {
        .filters = &filters, .registry = &registry, .descriptors = f.descriptors};
    rc = decode_wire(fixture_wire(&f, ROUTES, NAMESAKES("")), &err);
    ck_assert_msg(rc != NULL && rc->n_vhosts == 2, "%s", error_text(&err));
    struct route_config *next = route_config_decode(
        &ctx, fixture_wire(&f, ROUTES, NAMESAKES(", {match: {path: /p}, redirect: {}}")), rc, &err);
    ck_assert_msg(next != NULL, "%s", error_text(&err));
    ck_assert_ptr_eq(next->vhosts[0].vhost, rc->vhosts[0].vhost);
    ck_assert_ptr_eq(next->vhosts[1].vhost->routes[0].route, rc->vhosts[1].vhost->routes[0].route);
    ck_assert_uint_eq(ctx.routes_decoded, 1);
    ck_assert_int_eq(vhost_index_find(next->index, BYTES("x")), 0);
    ck_assert_int_eq(vhost_index_find(next->index, BYTES("y")), 1);
    NODE_UNREF(&next);
}
END_TEST

/* Bytes cut short anywhere are refused or mean something: they never crash. */
START_TEST(hostile_bytes)
{
    struct bytes wire = fixture_wire(
        &f, ROUTES,
        "{name: r, virtual_hosts: [{name: v, domains: ['*', a.b], routes: [{" MATCH
        "route: {weighted_clusters: {clusters: [{name: a, weight: 1, typed_per_filter_config: "
        "{x: {" CORS "}}}]}}, typed_per_filter_config: {y: {" FILTER_CONFIG ", config: {" CORS
        "}}}}, {" MATCH "redirect: {host_redirect: h}}]}]}");
    char *copy = arena_alloc(f.arena, wire.len);
    for (size_t i = 0; i < wire.len * 9; i++) {
        struct error err = ERROR_INIT;
        memcpy(copy, wire.data, wire.len);
        if (i % 9 < 8)
            copy[i / 9] ^= (char)(1 << i % 9);
        struct route_config *any =
            decode_wire(bytes_from(copy, i % 9 < 8 ? wire.len : i / 9), &err);
        ck_assert(any || error_is_set(&err));
        NODE_UNREF(&any);
        node_reap();
        error_fini(&err);
        ck_assert(configs_alive == 0 && node_count_live() == 0);
    }
}
END_TEST

static void setup(void)
{
    fixture_init(&f);
}

static void teardown(void)
{
    NODE_UNREF(&rc);
    node_reap();
    ck_assert_int_eq(configs_alive, 0);
    fixture_fini(&f);
}

int main(void)
{
    Suite *s = suite_create("route_decode");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, matches);
    tcase_add_test(t, clusters);
    tcase_add_test(t, connect_that_ends_here);
    tcase_add_test(t, weighted_clusters);
    tcase_add_test(t, host_is_the_authority);
    tcase_add_test(t, rewrites);
    tcase_add_test(t, redirects);
    tcase_add_test(t, direct_responses);
    tcase_add_test(t, filter_configs);
    tcase_add_test(t, retry_policies);
    tcase_add_test(t, retry_policy_of_a_virtual_host);
    tcase_add_test(t, refusals_name_the_field);
    tcase_add_loop_test(t, lists_are_refused_rather_than_cut, 0, ARRAY_SIZE(long_lists));
    tcase_add_test(t, refused_configurations);
    tcase_add_test(t, virtual_hosts_of_one_name);
    tcase_add_test(t, hostile_bytes);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
