#include "config/validate.h"

#include <check.h>
#include <stdlib.h>

#include "config/json_read.h"

#define CLUSTER "envoy.config.cluster.v3.Cluster"
#define ROUTE "envoy.config.route.v3.Route"
#define HCM "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"

static struct descriptors *pool;
static struct validator *validator;
static struct arena *arena;

static bool validate(const char *message, const char *text, struct error *err)
{
    struct bytes body;
    struct yaml_node *n = yaml_parse(arena, "f", bytes_of(text), err);
    ck_assert_msg(n && json_read(pool, n, bytes_of(message), NULL, arena, &body, err), "%s: %s",
                  text, error_text(err));
    return validate_message(validator, bytes_of(message), body, err);
}

struct example {
    const char *message, *text, *expected; /* expected NULL: valid */
};

/* What follows the path is what Envoy 1.40 says of the same text. */
static const struct example examples[] = {
    {CLUSTER, "{}", "name: value length must be at least 1 characters"},
    {CLUSTER, "{name: a}", NULL},
    {CLUSTER, "{name: a, connect_timeout: 0s}", "connect_timeout: value must be greater than 0s"},
    {CLUSTER, "{name: a, dns_refresh_rate: 0.0001s}",
     "dns_refresh_rate: value must be greater than 1ms"},
    {CLUSTER, "{name: a, dns_refresh_rate: 0.0011s}", NULL},
    {CLUSTER, "{name: a, type: 77}", "type: value must be one of the defined enum values"},
    {CLUSTER, "{name: a, outlier_detection: {max_ejection_percent: 101, interval: 0s}}",
     "outlier_detection.interval: value must be greater than 0s; "
     "outlier_detection.max_ejection_percent: value must be less than or equal to 100"},
    {CLUSTER, "{name: a, health_checks: [{}]}",
     "health_checks[0].timeout: value is required; health_checks[0].interval: value is required; "
     "health_checks[0].unhealthy_threshold: value is required; "
     "health_checks[0].healthy_threshold: value is required; "
     "health_checks[0]: field: \"health_checker\", reason: is required"},
    {CLUSTER, "{name: a, ring_hash_lb_config: {minimum_ring_size: 9000000}}",
     "ring_hash_lb_config.minimum_ring_size: value must be less than or equal to 8388608"},
    {CLUSTER, "{name: a, least_request_lb_config: {choice_count: 1}}",
     "least_request_lb_config.choice_count: value must be greater than or equal to 2"},
    {CLUSTER, "{name: a, common_lb_config: {healthy_panic_threshold: {value: 101}}}",
     "common_lb_config.healthy_panic_threshold.value: value must be inside range [0, 100]"},
    {CLUSTER, "{name: a, preconnect_policy: {per_upstream_preconnect_ratio: 4}}",
     "preconnect_policy.per_upstream_preconnect_ratio: value must be inside range [1, 3]"},
    {CLUSTER, "{name: a, load_assignment: {}}",
     "load_assignment.cluster_name: value length must be at least 1 characters"},
    {ROUTE, "{match: {prefix: /}}", "field: \"action\", reason: is required"},
    {ROUTE, "{route: {cluster: c}}", "match: value is required"},
    {ROUTE, "{match: {}, route: {cluster: c}}",
     "match: field: \"path_specifier\", reason: is required"},
    {ROUTE, "{match: {prefix: \"\"}, route: {cluster: c}}", NULL},
    {ROUTE, "{match: {prefix: /}, redirect: {response_code: 99}}",
     "redirect.response_code: value must be one of the defined enum values"},
    {ROUTE, "{match: {prefix: /}, direct_response: {status: 99}}",
     "direct_response.status: value must be inside range [200, 600)"},
    {ROUTE, "{match: {prefix: /, headers: [{name: \"\"}]}, route: {cluster: c}}",
     "match.headers[0].name: value length must be at least 1 characters"},
    {ROUTE, "{match: {prefix: /, headers: [{name: \"a\\nb\"}]}, route: {cluster: c}}",
     "match.headers[0].name: value does not match regex pattern \"^[^\\x00\\n\\r]*$\""},
    {ROUTE, "{match: {path_separated_prefix: a/}, route: {cluster: c}}",
     "match.path_separated_prefix: value does not match regex pattern \"^[^?#]+[^?#/]$\""},
    {ROUTE, "{match: {safe_regex: {regex: \"\"}}, route: {cluster: c}}",
     "match.safe_regex.regex: value length must be at least 1 characters"},
    {ROUTE, "{match: {prefix: /}, route: {weighted_clusters: {clusters: []}}}",
     "route.weighted_clusters.clusters: value must contain at least 1 item(s)"},
    {ROUTE, "{match: {prefix: /}, route: {cluster: c}, request_headers_to_remove: [\"a\\0b\"]}",
     "request_headers_to_remove[0]: value does not match regex pattern \"^[^\\x00\\n\\r]*$\""},
    {ROUTE, "{match: {prefix: /}, route: {cluster: c, prefix_rewrite: \"a\\nb\"}}",
     "route.prefix_rewrite: value does not match regex pattern \"^[^\\x00\\n\\r]*$\""},
    {HCM, "{stat_prefix: x, max_request_headers_kb: 9000, rds: {config_source: {ads: {}}}}",
     "max_request_headers_kb: value must be inside range (0, 8192]"},
    {"envoy.config.core.v3.SocketAddress", "{address: a, port_value: 70000}",
     "port_value: value must be less than or equal to 65535"},
    {"envoy.config.core.v3.Address", "{}", "field: \"address\", reason: is required"},
    {"envoy.type.matcher.v3.StringMatcher", "{exact: \"\"}", NULL},
    {"envoy.type.matcher.v3.StringMatcher", "{prefix: \"\"}",
     "prefix: value length must be at least 1 characters"},
    {"envoy.config.route.v3.VirtualHost", "{name: v, domains: []}",
     "domains: value must contain at least 1 item(s)"},
};

START_TEST(as_envoy_says_it)
{
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        const struct example *e = &examples[i];
        struct error err = ERROR_INIT;
        bool ok = validate(e->message, e->text, &err);
        if (!e->expected)
            ck_assert_msg(ok, "%s: %s", e->text, error_text(&err));
        else
            ck_assert_str_eq(error_text(&err), e->expected);
        ck_assert(ok == !e->expected);
        error_fini(&err);
    }
}
END_TEST

START_TEST(inside_any)
{
    static const char listener[] = "name: l\n"
                                   "address: {socket_address: {address: 0.0.0.0, port_value: 1}}\n"
                                   "filter_chains:\n"
                                   "- filters:\n"
                                   "  - name: hcm\n"
                                   "    typed_config:\n"
                                   "      \"@type\": type.googleapis.com/%s\n%s";
    struct error err = ERROR_INIT;
    const char *plain = arena_printf(arena, listener, HCM, "      http_filters: [{}]\n");
    ck_assert(!validate("envoy.config.listener.v3.Listener", plain, &err));
    ck_assert_str_eq(
        error_text(&err),
        "filter_chains[0].filters[0].typed_config.stat_prefix: value length must be at "
        "least 1 characters; "
        "filter_chains[0].filters[0].typed_config.http_filters[0].name: value length must "
        "be at least 1 characters; "
        "filter_chains[0].filters[0].typed_config: field: \"route_specifier\", reason: is "
        "required");
    error_fini(&err);
    const char *typed = arena_printf(arena, listener, "udpa.type.v1.TypedStruct",
                                     "      type_url: type.googleapis.com/" HCM "\n"
                                     "      value: {http_filters: [{}]}\n");
    ck_assert(!validate("envoy.config.listener.v3.Listener", typed, &err));
    ck_assert_ptr_nonnull(
        strstr(error_text(&err), "typed_config.http_filters[0].name: value length"));
    error_fini(&err);
    const char *wrong = arena_printf(arena, listener, "udpa.type.v1.TypedStruct",
                                     "      type_url: type.googleapis.com/" HCM "\n"
                                     "      value: {rdss: {}}\n");
    ck_assert(!validate("envoy.config.listener.v3.Listener", wrong, &err));
    ck_assert_str_eq(error_text(&err),
                     "filter_chains[0].filters[0].typed_config: TypedStruct of " HCM
                     ": unknown field `rdss` in " HCM ": did you mean `rds`?");
    error_fini(&err);
    const char *unknown = arena_printf(arena, listener, "udpa.type.v1.TypedStruct",
                                       "      type_url: type.googleapis.com/no.Such\n");
    ck_assert(validate("envoy.config.listener.v3.Listener", unknown, &err));
}
END_TEST

START_TEST(corrupt)
{
    struct error err = ERROR_INIT;
    ck_assert(!validate_message(validator, BYTES(CLUSTER), BYTES("\x0a\x05xx"), &err));
    ck_assert_str_eq(error_text(&err), CLUSTER ": bytes are corrupt");
    error_fini(&err);
    ck_assert(!validate_message(validator, BYTES("no.Such"), BYTES(""), &err));
    error_fini(&err);
}
END_TEST

START_TEST(many_errors_are_cut)
{
    struct strbuf text = STRBUF_INIT;
    struct error err = ERROR_INIT;
    strbuf_add_str(&text, "{name: v, domains: [");
    for (int i = 0; i < 1000; i++)
        strbuf_add_str(&text, "\"a\\n\", ");
    strbuf_add_str(&text, "]}");
    ck_assert(!validate("envoy.config.route.v3.VirtualHost", strbuf_str(&text), &err));
    ck_assert_uint_lt(strlen(error_text(&err)), 6000);
    ck_assert_ptr_nonnull(strstr(error_text(&err), "; more errors follow"));
    error_fini(&err);
    strbuf_fini(&text);
}
END_TEST

static void validate_empty(void *ctx, struct bytes name)
{
    struct error err = ERROR_INIT;
    size_t *invalid = ctx;
    if (!validate_message(validator, name, BYTES_NONE, &err))
        ++*invalid;
    error_fini(&err);
}

/* No rule of the whole API is one that this code does not know. */
START_TEST(every_rule_is_known)
{
    size_t invalid = 0;
    descriptors_each_message(pool, BYTES(""), validate_empty, &invalid);
    ck_assert_uint_gt(invalid, 100);
    ck_assert_uint_eq(validator_unknown_rules(validator), 0);
}
END_TEST

static void setup(void)
{
    pool = descriptors_new();
    validator = validator_new(pool);
    arena = arena_new(0);
}

static void teardown(void)
{
    validator_free(&validator);
    descriptors_free(&pool);
    arena_free(&arena);
}

int main(void)
{
    TCase *tc = tcase_create("validate");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, as_envoy_says_it);
    tcase_add_test(tc, inside_any);
    tcase_add_test(tc, corrupt);
    tcase_add_test(tc, many_errors_are_cut);
    tcase_add_test(tc, every_rule_is_known);
    Suite *s = suite_create("validate");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
