#include "config/unsupported.h"

#include <check.h>
#include <stdlib.h>
#include <upb/def.h>

#include "base/map.h"
#include "config/json_read.h"
#include "config/resource_type.h"

#define CLUSTER "envoy.config.cluster.v3.Cluster"
#define LISTENER "envoy.config.listener.v3.Listener"
#define ROUTES "envoy.config.route.v3.RouteConfiguration"

static struct descriptors *pool;
static struct arena *arena;

static void scan(const char *message, const char *text, struct field_report *report)
{
    struct error err = ERROR_INIT;
    struct bytes body;
    struct yaml_node *n = yaml_parse(arena, "f", bytes_of(text), &err);
    ck_assert_msg(n && json_read(pool, n, bytes_of(message), NULL, arena, &body, &err), "%s",
                  error_text(&err));
    ck_assert_msg(unsupported_scan(pool, bytes_of(message), body, report, &err), "%s",
                  error_text(&err));
}

static void check_scan(const char *message, const char *text, const char *ignored,
                       const char *refused)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct strbuf out = STRBUF_INIT;
    scan(message, text, &report);
    field_report_join(&report, FIELD_IGNORED, " ", 100, &out);
    ck_assert_str_eq(strbuf_str(&out), ignored);
    strbuf_reset(&out);
    field_report_join(&report, FIELD_REFUSED, " ", 100, &out);
    ck_assert_str_eq(strbuf_str(&out), refused);
    strbuf_fini(&out);
    field_report_fini(&report);
}

/* Messages in order, rows of one message together, every name in the API and no field twice. */
START_TEST(the_table_is_sound)
{
    struct map seen = MAP_INIT;
    static char mark;
    for (size_t i = 0; support_rows[i].message; i++) {
        const struct support_row *r = &support_rows[i];
        const struct upb_MessageDef *m = descriptors_message(pool, bytes_of(r->message));
        ck_assert_msg(m != NULL, "%s", r->message);
        if (i > 0)
            ck_assert_msg(strcmp(support_rows[i - 1].message, r->message) <= 0, "%s", r->message);
        struct bytes rest = bytes_of(r->fields);
        while (rest.len > 0) {
            struct bytes field = bytes_split(&rest, ' ');
            const char *key = arena_printf(arena, "%s.%.*s", r->message, BYTES_ARG(field));
            ck_assert_msg(!map_set(&seen, bytes_of(key), &mark), "twice: %s", key);
            if (bytes_eq_str(field, "*"))
                continue;
            ck_assert_msg(upb_MessageDef_FindFieldByNameWithSize(m, field.data, field.len) != NULL,
                          "%s", key);
        }
    }
    map_fini(&seen);
    for (size_t i = 0; support_extensions[i]; i++)
        ck_assert_msg(descriptors_message(pool, bytes_of(support_extensions[i])) != NULL, "%s",
                      support_extensions[i]);
}
END_TEST

/* What is asked for is obeyed at least in part. */
START_TEST(every_resource_is_known)
{
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        const char *name = resource_type_name((enum resource_type)t);
        const char *field = t == RESOURCE_ENDPOINT ? "cluster_name" : "name";
        ck_assert_msg(support_of(bytes_of(name), bytes_of(field)) == SUPPORT_FULL, "%s", name);
    }
}
END_TEST

START_TEST(lookup)
{
    ck_assert_int_eq(support_of(BYTES(CLUSTER), BYTES("name")), SUPPORT_FULL);
    ck_assert_int_eq(support_of(BYTES(CLUSTER), BYTES("upstream_config")), SUPPORT_REFUSE);
    ck_assert_int_eq(support_of(BYTES(CLUSTER), BYTES("outlier_detection")), SUPPORT_LIST);
    ck_assert_int_eq(support_of(BYTES("no.Such"), BYTES("x")), SUPPORT_LIST);
    ck_assert_int_eq(support_of(BYTES("envoy.config.core.v3.Node"), BYTES("id")), SUPPORT_FULL);
    ck_assert(support_extension_known(BYTES("envoy.extensions.filters.http.router.v3.Router")));
    ck_assert(!support_extension_known(BYTES("envoy.extensions.filters.http.lua.v3.Lua")));
}
END_TEST

START_TEST(fields)
{
    check_scan(CLUSTER, "{name: a, type: STATIC, connect_timeout: 1s}", "", "");
    check_scan(CLUSTER, "{name: a, outlier_detection: {consecutive_5xx: 1}, cleanup_interval: 1s}",
               "outlier_detection cleanup_interval", "");
    check_scan(CLUSTER, "{name: a, transport_socket_matcher: {on_no_match: {keep_matching: true}}}",
               "", "transport_socket_matcher.on_no_match.keep_matching");
    check_scan(ROUTES,
               "{name: r, virtual_hosts: [{name: v, domains: [a], routes: [{match: {prefix: /, "
               "tls_context: {}}, route: {cluster: c, internal_redirect_policy: {}}}]}]}",
               "virtual_hosts[0].routes[0].route.internal_redirect_policy",
               "virtual_hosts[0].routes[0].match.tls_context (another route would match)");
    check_scan(ROUTES,
               "{name: r, virtual_hosts: [{name: v, domains: [a], routes: [{match: {prefix: /}, "
               "direct_response: {status: 200, body: {filename: /f, watched_directory: {path: /"
               "}}}}]}]}",
               "virtual_hosts[0].routes[0].direct_response.body.watched_directory (of secrets; not "
               "of a direct response, where it is listed)",
               "");
}
END_TEST

START_TEST(inside_extensions)
{
    static const char hcm[] =
        "name: l\n"
        "filter_chains:\n"
        "- filters:\n"
        "  - name: hcm\n"
        "    typed_config:\n"
        "      \"@type\": type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager\n"
        "      tracing: {}\n"
        "      http_filters:\n"
        "      - name: router\n"
        "        typed_config:\n"
        "          \"@type\": type.googleapis.com/xds.type.v3.TypedStruct\n"
        "          type_url: a/envoy.extensions.filters.http.router.v3.Router\n"
        "          value: {upstream_log: [{}]}\n"
        "      - name: lua\n"
        "        typed_config:\n"
        "          \"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua\n"
        "          inline_code: x\n";
    check_scan(LISTENER, hcm,
               "filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.upstream_log "
               "filter_chains[0].filters[0].typed_config.tracing",
               "");
}
END_TEST

START_TEST(unknown_numbers)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    ck_assert(unsupported_scan(pool, BYTES(CLUSTER),
                               BYTES("\x8a\x02\x07\x12\x05\xc2\x3e\x02hi\x80\x7d\x05"), &report,
                               &err));
    ck_assert_uint_eq(report.counts[FIELD_UNKNOWN], 2);
    ck_assert_str_eq(report.entries[0].path, "load_assignment.endpoints[0].1000");
    struct strbuf sets = STRBUF_INIT;
    field_report_join(&report, FIELD_UNKNOWN_SET, "; ", 100, &sets);
    ck_assert_str_eq(strbuf_str(&sets),
                     "type envoy.config.endpoint.v3.LocalityLbEndpoints(" CLUSTER
                     "::envoy.config.endpoint.v3.ClusterLoadAssignment) with unknown field set "
                     "{1000}; type " CLUSTER "(root) with unknown field set {2000}");
    strbuf_fini(&sets);
    field_report_fini(&report);
    ck_assert(!unsupported_scan(pool, BYTES(CLUSTER), BYTES("\x0a\x09x"), &report, &err));
    error_fini(&err);
    field_report_fini(&report);
}
END_TEST

START_TEST(deprecated)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct strbuf paths = STRBUF_INIT;
    scan(CLUSTER,
         "{name: a, http2_protocol_options: {}, track_timeout_budgets: true, typed_extension_"
         "protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': "
         "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
         "explicit_http_config: {http_protocol_options: {}}, common_http_protocol_options: "
         "{headers_with_underscores_action: ALLOW}}}}",
         &report);
    field_report_join(&report, FIELD_DEPRECATED, " ", 100, &paths);
    ck_assert_str_eq(strbuf_str(&paths), "http2_protocol_options track_timeout_budgets");
    ck_assert_uint_eq(report.counts[FIELD_IGNORED], 1);
    strbuf_fini(&paths);
    field_report_fini(&report);
}
END_TEST

START_TEST(check)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    scan(CLUSTER, "{name: a, outlier_detection: {}}", &report);
    ck_assert(unsupported_check(&report, false, &err));
    ck_assert(!unsupported_check(&report, true, &err));
    ck_assert_str_eq(error_text(&err),
                     "outlier_detection: not implemented, and refused in strict mode");
    error_fini(&err);
    scan(CLUSTER, "{name: a, filters: [{}]}", &report);
    ck_assert(!unsupported_check(&report, false, &err));
    ck_assert_str_eq(error_text(&err), "filters: not implemented");
    error_fini(&err);
    field_report_fini(&report);
}
END_TEST

static void setup(void)
{
    pool = descriptors_new();
    arena = arena_new(0);
}

static void teardown(void)
{
    descriptors_free(&pool);
    arena_free(&arena);
}

int main(void)
{
    TCase *tc = tcase_create("unsupported");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_table_is_sound);
    tcase_add_test(tc, every_resource_is_known);
    tcase_add_test(tc, lookup);
    tcase_add_test(tc, fields);
    tcase_add_test(tc, inside_extensions);
    tcase_add_test(tc, unknown_numbers);
    tcase_add_test(tc, deprecated);
    tcase_add_test(tc, check);
    Suite *s = suite_create("unsupported");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
