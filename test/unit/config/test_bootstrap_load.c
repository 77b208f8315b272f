#include "config/bootstrap_load.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/json_read.h"
#include "config/json_write.h"

#define BOOTSTRAP "envoy.config.bootstrap.v3.Bootstrap"
#define URL "type.googleapis.com/envoy.extensions."

static struct descriptors *pool;
static struct validator *validator;
static struct arena *arena;
static char folder[] = "/tmp/bootstrap-XXXXXX";

/* The configuration of every introduction: the router says no type. */
static const char introduction[] =
    "static_resources:\n"
    "  listeners:\n"
    "  - name: listener_0\n"
    "    address:\n"
    "      socket_address: {address: 0.0.0.0, port_value: 10000}\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: envoy.filters.network.http_connection_manager\n"
    "        typed_config:\n"
    "          \"@type\": " URL "filters.network.http_connection_manager.v3."
    "HttpConnectionManager\n"
    "          stat_prefix: ingress_http\n"
    "          route_config:\n"
    "            name: local_route\n"
    "            virtual_hosts:\n"
    "            - name: local_service\n"
    "              domains: [\"*\"]\n"
    "              routes:\n"
    "              - match: {prefix: /}\n"
    "                route: {host_rewrite_literal: www.example.com, cluster: service}\n"
    "          http_filters:\n"
    "          - name: envoy.filters.http.router\n"
    "  clusters:\n"
    "  - name: service\n"
    "    type: LOGICAL_DNS\n"
    "    connect_timeout: 0.25s\n"
    "    load_assignment:\n"
    "      cluster_name: service\n"
    "      endpoints:\n"
    "      - lb_endpoints:\n"
    "        - endpoint:\n"
    "            address: {socket_address: {address: example.com, port_value: 443}}\n";

static const char *write_file(const char *name, struct bytes text)
{
    const char *path = arena_printf(arena, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text.data, 1, text.len, f), text.len);
    fclose(f);
    return path;
}

static bool load(const char *path, const char *yaml, bool allow, struct bytes *body,
                 struct field_report *report, struct error *err)
{
    struct bootstrap_source source = {.path = path, .yaml = yaml, .allow_unknown = allow};
    struct source_text text;
    return bootstrap_load(pool, validator, &source, arena, body, &text, report, err);
}

static const char *load_json(const char *path, const char *yaml)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct json_write_options compact = {.compact = true};
    struct bytes body;
    ck_assert_msg(load(path, yaml, false, &body, &report, &err), "%s", error_text(&err));
    ck_assert(json_write(pool, BYTES(BOOTSTRAP), body, &compact, &out, &err));
    const char *text = arena_str(arena, strbuf_bytes(&out));
    strbuf_fini(&out);
    field_report_fini(&report);
    return text;
}

static void check_error(const char *path, const char *yaml, const char *expected)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    struct bytes body;
    ck_assert(!load(path, yaml, false, &body, &report, &err));
    ck_assert_str_eq(error_text(&err), expected);
    error_fini(&err);
    field_report_fini(&report);
}

START_TEST(introduction_loads)
{
    const char *path = write_file("a.yaml", bytes_of(introduction));
    const char *text = load_json(path, NULL);
    ck_assert_ptr_nonnull(
        strstr(text, "{\"name\":\"envoy.filters.http.router\",\"typed_config\":{\"@type\":\"" URL
                     "filters.http.router.v3.Router\"}}"));
    /* and the same through --config-yaml alone */
    ck_assert_str_eq(load_json(NULL, introduction), text);
}
END_TEST

START_TEST(formats)
{
    static const char expected[] = "{\"node\":{\"id\":\"n\",\"cluster\":\"c\"}}";
    ck_assert_str_eq(load_json(write_file("a.yml", BYTES("node: {id: \"n\", cluster: c}\n")), NULL),
                     expected);
    ck_assert_str_eq(
        load_json(write_file("a.json", BYTES("{\"node\":{\"id\":\"n\",\"cluster\":\"c\",},}")),
                  NULL),
        expected);
    ck_assert_str_eq(load_json(write_file("a.pb", BYTES("\x0a\x06\x0a\x01n\x12\x01"
                                                        "c")),
                               NULL),
                     expected);
    const char *text = write_file("a.pb_text", BYTES("node {}"));
    check_error(text, NULL,
                arena_printf(arena, "%s: protobuf text is not read; use YAML, JSON or .pb", text));
    check_error("/nonexistent/x.yaml", NULL,
                "/nonexistent/x.yaml: cannot be read: No such file or directory");
    check_error(NULL, NULL, "no configuration: give one with -c FILE or --config-yaml TEXT");
}
END_TEST

/* Scalars of the string win, lists grow, messages merge. */
START_TEST(merging)
{
    const char *path = write_file("b.yaml", BYTES("node: {id: a1, cluster: c}\n"
                                                  "static_resources: {clusters: [{name: one}]}\n"));
    ck_assert_str_eq(
        load_json(path, "{\"node\": {\"id\": \"b1\"}, \"staticResources\": "
                        "{\"clusters\": [{\"name\": \"two\"},]},}"),
        "{\"node\":{\"id\":\"b1\",\"cluster\":\"c\"},"
        "\"static_resources\":{\"clusters\":[{\"name\":\"one\"},{\"name\":\"two\"}]}}");
}
END_TEST

START_TEST(errors_of_both_parts)
{
    const char *path = write_file("c.yaml", BYTES("nod: {}\nstatic_resources:\n  clusters:\n"
                                                  "  - nme: a\n"));
    check_error(path, "admin: 1",
                arena_printf(arena,
                             "%s:1:1: unknown field `nod` in " BOOTSTRAP ": did you mean `node`?\n"
                             "%s:4:5: static_resources.clusters[0]: unknown field `nme` in "
                             "envoy.config.cluster.v3.Cluster: did you mean `name`?\n"
                             "--config-yaml:1:8: admin: expected a mapping "
                             "(envoy.config.bootstrap.v3.Admin), got 1",
                             path, path));
    check_error(NULL, "static_resources: {clusters: [{}]}",
                "--config-yaml:1:31: static_resources.clusters[0].name: value length must be at "
                "least 1 characters");
    check_error(NULL, "a: [",
                "--config-yaml:2:1: did not find expected node content (while "
                "parsing a flow node, line 2)");
    check_error(write_file("d.pb", BYTES("\x0a\x05x")), NULL, BOOTSTRAP ": bytes are corrupt");
}
END_TEST

START_TEST(unknown_fields)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    struct bytes body;
    ck_assert(load(NULL, "{foo: 1, node: {id: n1}}", true, &body, &report, &err));
    ck_assert_uint_eq(report.counts[FIELD_UNKNOWN], 1);
    ck_assert_str_eq(report.entries[0].path, "foo");
    ck_assert(unknown_fields_check(&report, UNKNOWN_ALLOW, &err));
    ck_assert(!unknown_fields_check(&report, UNKNOWN_REJECT, &err));
    ck_assert_str_eq(error_text(&err), "unknown fields: foo (line 1)");
    error_fini(&err);
    field_report_fini(&report);
    const char *path = write_file("e.pb", BYTES("\xc2\x3e\x02hi"));
    check_error(path, NULL, "unknown fields: 1000 (field number)");
    ck_assert(load(path, NULL, true, &body, &report, &err));
    ck_assert_uint_eq(report.counts[FIELD_UNKNOWN], 1);
    field_report_fini(&report);
}
END_TEST

START_TEST(what_is_not_implemented)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    struct bytes body;
    ck_assert(load(NULL, "{enable_dispatcher_stats: true, perf_tracing_file_path: x}", false, &body,
                   &report, &err));
    ck_assert_uint_eq(report.counts[FIELD_IGNORED], 2);
    field_report_fini(&report);
    check_error(NULL, "admin: {allow_paths: [{exact: /stats}]}",
                "--config-yaml:1:22: admin.allow_paths: not implemented (it is the only lock of "
                "the admin pages)");
}
END_TEST

START_TEST(types_by_name)
{
    ck_assert_str_eq(extension_type_by_name(BYTES("envoy.filters.http.router")),
                     "envoy.extensions.filters.http.router.v3.Router");
    ck_assert_str_eq(extension_type_by_name(BYTES("envoy.router")),
                     "envoy.extensions.filters.http.router.v3.Router");
    ck_assert_str_eq(extension_type_by_name(BYTES("envoy.transport_sockets.raw_buffer")),
                     "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer");
    ck_assert_str_eq(extension_type_by_name(BYTES("envoy.access_loggers.file")),
                     "envoy.extensions.access_loggers.file.v3.FileAccessLog");
    ck_assert_ptr_null(extension_type_by_name(BYTES("envoy.filters.http.nothing")));
    ck_assert_ptr_null(extension_type_by_name(BYTES("")));
    ck_assert_ptr_null(extension_type_by_name(BYTES("zzz")));
    struct error err = ERROR_INIT;
    struct yaml_node *n = yaml_parse(arena, "f",
                                     BYTES("http_filters:\n"
                                           "- name: envoy.filters.http.router\n"
                                           "- name: mine\n"
                                           "- name: envoy.filters.http.lua\n"
                                           "  typedConfig: {}\n"
                                           "- 1\n"),
                                     &err);
    bootstrap_add_types(arena, n);
    struct yaml_node *list = yaml_get(n, "http_filters");
    ck_assert_ptr_nonnull(yaml_get(list->items[0], "typed_config"));
    ck_assert_ptr_null(yaml_get(list->items[1], "typed_config"));
    ck_assert_ptr_null(yaml_get(list->items[2], "typed_config"));
}
END_TEST

static void setup(void)
{
    pool = descriptors_new();
    validator = validator_new(pool);
    arena = arena_new(0);
    memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    static const char *const names[] = {"a.yaml", "a.yml",  "a.json", "a.pb", "a.pb_text",
                                        "b.yaml", "c.yaml", "d.pb",   "e.pb"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        unlink(arena_printf(arena, "%s/%s", folder, names[i]));
    rmdir(folder);
    validator_free(&validator);
    descriptors_free(&pool);
    arena_free(&arena);
}

int main(void)
{
    TCase *tc = tcase_create("bootstrap_load");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, introduction_loads);
    tcase_add_test(tc, formats);
    tcase_add_test(tc, merging);
    tcase_add_test(tc, errors_of_both_parts);
    tcase_add_test(tc, unknown_fields);
    tcase_add_test(tc, what_is_not_implemented);
    tcase_add_test(tc, types_by_name);
    Suite *s = suite_create("bootstrap_load");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
