#include "config/json_read.h"

#include <check.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "config/json_write.h"

#define CLUSTER "envoy.config.cluster.v3.Cluster"
#define NODE "envoy.config.core.v3.Node"
#define ROUTE "envoy.config.route.v3.Route"
#define BOOTSTRAP "envoy.config.bootstrap.v3.Bootstrap"

static struct descriptors *pool;
static struct arena *arena;

static bool read_yaml(const char *message, const char *text,
                      const struct json_read_options *options, struct bytes *body,
                      struct error *err)
{
    struct yaml_node *n = yaml_parse(arena, "f", bytes_of(text), err);
    return n && json_read(pool, n, bytes_of(message), options, arena, body, err);
}

/* YAML in, compact JSON of the resulting bytes out. */
static void check_read(const char *message, const char *text, const char *expected)
{
    struct error err = ERROR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct bytes body;
    struct json_write_options compact = {.compact = true};
    ck_assert_msg(read_yaml(message, text, NULL, &body, &err), "%s: %s", text, error_text(&err));
    ck_assert(json_write(pool, bytes_of(message), body, &compact, &out, &err));
    ck_assert_str_eq(strbuf_str(&out), expected);
    strbuf_fini(&out);
}

static void check_error(const char *message, const char *text, const char *expected)
{
    struct error err = ERROR_INIT;
    struct bytes body;
    ck_assert_msg(!read_yaml(message, text, NULL, &body, &err), "%s", text);
    ck_assert_str_eq(error_text(&err), expected);
    error_fini(&err);
}

START_TEST(both_spellings)
{
    check_read(CLUSTER, "name: a\nconnectTimeout: 1s\nlb_policy: RING_HASH\n",
               "{\"name\":\"a\",\"connect_timeout\":\"1s\",\"lb_policy\":\"RING_HASH\"}");
    check_error(CLUSTER, "connectTimeout: 1s\nconnect_timeout: 2s\n",
                "f:2:1: connect_timeout: stands twice: first as `connectTimeout` on line 1");
}
END_TEST

START_TEST(numbers)
{
    check_read(CLUSTER, "per_connection_buffer_limit_bytes: 12\n",
               "{\"per_connection_buffer_limit_bytes\":12}");
    check_read(CLUSTER, "per_connection_buffer_limit_bytes: \"12\"\n",
               "{\"per_connection_buffer_limit_bytes\":12}");
    check_read(CLUSTER, "per_connection_buffer_limit_bytes: 0x10\n",
               "{\"per_connection_buffer_limit_bytes\":16}");
    check_read("envoy.config.core.v3.Pipe", "{path: a, mode: 0644}",
               "{\"path\":\"a\",\"mode\":420}");
    check_read(CLUSTER, "per_connection_buffer_limit_bytes: 1e3\n",
               "{\"per_connection_buffer_limit_bytes\":1000}");
    check_read(CLUSTER, "per_connection_buffer_limit_bytes: \"1000.0\"\n",
               "{\"per_connection_buffer_limit_bytes\":1000}");
    check_read("envoy.type.v3.Percent", "value: 33.3", "{\"value\":33.3}");
    check_read("google.protobuf.Int64Value", "-9223372036854775808", "\"-9223372036854775808\"");
    check_read("google.protobuf.UInt64Value", "18446744073709551615", "\"18446744073709551615\"");
    check_error(CLUSTER, "per_connection_buffer_limit_bytes: -1\n",
                "f:1:36: per_connection_buffer_limit_bytes: expected an integer from 0 to "
                "4294967295, got -1");
    check_error(CLUSTER, "per_connection_buffer_limit_bytes: 1.5\n",
                "f:1:36: per_connection_buffer_limit_bytes: expected an integer from 0 to "
                "4294967295, got 1.5");
    check_error(CLUSTER, "per_connection_buffer_limit_bytes: 4294967296\n",
                "f:1:36: per_connection_buffer_limit_bytes: expected an integer from 0 to "
                "4294967295, got 4294967296");
    check_error("envoy.type.v3.Percent", "value: many",
                "f:1:8: value: expected a number, got many");
    check_read("envoy.type.v3.Percent", "value: 010", "{\"value\":8}");
    check_read("envoy.type.v3.Percent", "value: \"010\"", "{\"value\":10}");
}
END_TEST

START_TEST(lists)
{
    check_read(NODE, "client_features: a", "{\"client_features\":[\"a\"]}");
    check_read(NODE, "client_features: [[a, [b]], [], c]",
               "{\"client_features\":[\"a\",\"b\",\"c\"]}");
    check_read(BOOTSTRAP, "static_resources: {clusters: {name: a}}",
               "{\"static_resources\":{\"clusters\":[{\"name\":\"a\"}]}}");
    check_read(NODE, "metadata: {a: [[1], 2], b: {c: d}}",
               "{\"metadata\":{\"a\":[[1],2],\"b\":{\"c\":\"d\"}}}");
    check_error(NODE, "client_features: {a: b}",
                "f:1:18: client_features: expected a string, got a mapping");
    check_error(NODE, "client_features: [[a, 1]]",
                "f:1:23: client_features[0][1]: expected a string, got 1: put it in quotes");
    check_error(NODE, "client_features: [~]",
                "f:1:19: client_features[0]: expected a string, got null");
    check_error(BOOTSTRAP, "static_resources: {clusters: one}",
                "f:1:30: static_resources.clusters: expected a list, got one");
    check_error("google.protobuf.ListValue", "{a: b}", "f:1:1: expected a list, got a mapping");
}
END_TEST

START_TEST(strings_and_booleans)
{
    check_read(CLUSTER, "name: 1.5\nignore_health_on_host_removal: yes\n",
               "{\"name\":\"1.5\",\"ignore_health_on_host_removal\":true}");
    check_read(CLUSTER, "ignore_health_on_host_removal: \"true\"\n",
               "{\"ignore_health_on_host_removal\":true}");
    const char *const yes[] = {"t", "\"T\"", "\"1\"", "yEs", "on", "Y"};
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        struct strbuf text = STRBUF_INIT;
        strbuf_printf(&text, "respect_dns_ttl: %s\n", yes[i]);
        check_read(CLUSTER, strbuf_str(&text), "{\"respect_dns_ttl\":true}");
        strbuf_fini(&text);
    }
    check_read(CLUSTER, "respect_dns_ttl: \"f\"\n", "{}");
    check_error(CLUSTER, "respect_dns_ttl: \"on\"\n", /* a word of YAML, not of JSON */
                "f:1:18: respect_dns_ttl: expected true or false, got \"on\"");
    check_error(CLUSTER, "name: 123\n",
                "f:1:7: name: expected a string, got 123: put it in quotes");
    check_error(CLUSTER, "name: yes\n",
                "f:1:7: name: expected a string, got yes: put it in quotes");
    check_error(CLUSTER, "name: [a]\n", "f:1:7: name: expected a string, got a list");
    check_error(CLUSTER, "ignore_health_on_host_removal: 1\n",
                "f:1:32: ignore_health_on_host_removal: expected true or false, got 1");
    check_read("envoy.config.core.v3.DataSource",
               "inline_bytes: aGk=", "{\"inline_bytes\":\"aGk=\"}");
    check_error("envoy.config.core.v3.DataSource", "inline_bytes: a",
                "f:1:15: inline_bytes: expected bytes as base64, got a");
}
END_TEST

START_TEST(enums)
{
    check_read(CLUSTER, "type: 3\n", "{\"type\":\"EDS\"}");
    check_read(CLUSTER, "type: 77\n", "{\"type\":77}");
    check_error(CLUSTER, "type: STRICT_DSN\n",
                "f:1:7: type: expected one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST, "
                "got STRICT_DSN: did you mean `STRICT_DNS`?");
    check_error(CLUSTER, "type: FOO\n",
                "f:1:7: type: expected one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST, "
                "got FOO");
}
END_TEST

START_TEST(durations_and_times)
{
    check_read(CLUSTER, "connect_timeout: 0.25s\n", "{\"connect_timeout\":\"0.250s\"}");
    check_read(CLUSTER, "connect_timeout: -1.000000001s\n",
               "{\"connect_timeout\":\"-1.000000001s\"}");
    check_error(CLUSTER, "connect_timeout: 5\n",
                "f:1:18: connect_timeout: expected a duration such as 1.5s, got 5");
    check_read(CLUSTER, "connect_timeout: {seconds: 5, nanos: 1000000}\n",
               "{\"connect_timeout\":\"5.001s\"}");
    check_error(CLUSTER, "connect_timeout: {second: 5}\n",
                "f:1:19: connect_timeout: unknown field `second` in google.protobuf.Duration: did "
                "you mean `seconds`?");
    check_read("google.protobuf.Timestamp", "2024-02-29T12:34:56.789+01:00",
               "\"2024-02-29T11:34:56.789Z\"");
    check_error("google.protobuf.Timestamp", "2023-02-29T12:34:56Z",
                "f:1:1: expected a time such as 2006-01-02T15:04:05Z, got 2023-02-29T12:34:56Z");
    check_read("google.protobuf.FieldMask", "aB.c,d_e", "\"aB.c,dE\"");
    check_read("google.protobuf.FieldMask", "a_Kb,c_", "\"a__kb,c_\"");
    check_read("google.protobuf.FieldMask", "',,a,,b,,'", "\"a,b\"");
}
END_TEST

START_TEST(oneofs_and_null)
{
    check_read(ROUTE, "match: {prefix: /}\nroute: {cluster: a, timeout: null}\nname: ~\n",
               "{\"match\":{\"prefix\":\"/\"},\"route\":{\"cluster\":\"a\"}}");
    check_error(ROUTE, "match:\n  prefix: /\n  path: /x\n",
                "f:3:3: match.path: only one of `prefix` (line 2) and `path` can be set "
                "(oneof path_specifier)");
    check_error(ROUTE, "request_headers_to_remove: [null]\n",
                "f:1:29: request_headers_to_remove[0]: expected a string, got null");
}
END_TEST

/* The same as Envoy's reader makes of them: whole numbers of 32 bits are numbers, larger ones and
 * fractions of YAML are strings. */
START_TEST(structs)
{
    check_read(
        NODE,
        "metadata:\n  s: str\n  n: 1\n  big: 5000000000\n  f: 1.5\n  q: \"1\"\n  b: yes\n"
        "  z: null\n  l: [1, a, {x: z}, [], {}]\n",
        "{\"metadata\":{\"b\":true,\"big\":\"5000000000\",\"f\":\"1.5\",\"l\":[1,\"a\",{\"x\":"
        "\"z\"},[],{}],\"n\":1,\"q\":\"1\",\"s\":\"str\",\"z\":null}}");
    check_read("google.protobuf.Struct",
               "{a: 0x1f, b: 017, c: 1e3, d: .5, e: -3, f: \"y\", g: ~, h: 2147483648, i: on, "
               "j: 2001-01-01, k: +5, l: 1_000}",
               "{\"a\":31,\"b\":15,\"c\":\"1e3\",\"d\":\".5\",\"e\":-3,\"f\":\"y\",\"g\":null,"
               "\"h\":\"2147483648\",\"i\":true,\"j\":\"2001-01-01\",\"k\":5,\"l\":\"1_000\"}");
    struct error err = ERROR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct bytes body;
    struct yaml_node *n =
        json_parse(arena, "f", BYTES("{\"metadata\":{\"f\":1.5,\"big\":5e9}}"), &err);
    ck_assert(json_read(pool, n, BYTES(NODE), NULL, arena, &body, &err));
    ck_assert(json_write(pool, BYTES(NODE), body, NULL, &out, &err));
    ck_assert_str_eq(strbuf_str(&out),
                     "{\n \"metadata\": {\n  \"big\": 5000000000,\n  \"f\": 1.5\n }\n}");
    strbuf_fini(&out);
}
END_TEST

START_TEST(any)
{
    check_read(CLUSTER,
               "typed_extension_protocol_options:\n  x:\n    id: i1\n"
               "    \"@type\": type.googleapis.com/" NODE "\n",
               "{\"typed_extension_protocol_options\":{\"x\":{\"@type\":\"type.googleapis.com/" NODE
               "\",\"id\":\"i1\"}}}");
    check_read("google.protobuf.Any",
               "{\"@type\": type.googleapis.com/google.protobuf.Duration, value: 1s}",
               "{\"@type\":\"type.googleapis.com/google.protobuf.Duration\",\"value\":\"1s\"}");
    check_read("google.protobuf.Any",
               "\"@type\": type.googleapis.com/udpa.type.v1.TypedStruct\n"
               "type_url: a.b/c\nvalue: {x: 1}\n",
               "{\"@type\":\"type.googleapis.com/udpa.type.v1.TypedStruct\",\"type_url\":\"a.b/c\","
               "\"value\":{\"x\":1}}");
    check_read("google.protobuf.Any", "{}", "{}");
    /* of no kind, which null is */
    check_read("google.protobuf.Any", "{'@type': type.googleapis.com/google.protobuf.Value}",
               "{\"@type\":\"type.googleapis.com/google.protobuf.Value\"}");
    check_read("google.protobuf.Any",
               "{'@type': type.googleapis.com/google.protobuf.Value, value: null}",
               "{\"@type\":\"type.googleapis.com/google.protobuf.Value\",\"value\":null}");
    check_error("google.protobuf.Any", "{a: 1}",
                "f:1:1: expected @type: type.googleapis.com/... in it");
    check_error("google.protobuf.Any", "\"@type\": type.googleapis.com/no.Such",
                "f:1:10: no message type no.Such is known");
    check_error("google.protobuf.Any", "\"@type\": " NODE,
                "f:1:10: expected a type URL such as type.googleapis.com/" NODE ", got " NODE);
    check_error(NODE, "\"@type\": type.googleapis.com/" NODE,
                "f:1:1: unknown field `@type` in " NODE);
    check_error(CLUSTER,
                "typed_extension_protocol_options:\n  x:\n"
                "    \"@type\": type.googleapis.com/" NODE "\n    ib: i1\n",
                "f:4:5: typed_extension_protocol_options[\"x\"]: unknown field `ib` in " NODE
                ": did you mean `id`?");
}
END_TEST

START_TEST(all_errors_at_once)
{
    check_error(BOOTSTRAP,
                "static_resources:\n"
                "  clusters:\n"
                "  - name: a\n"
                "    lb_polcy: ROUND_ROBIN\n"
                "    connect_timeout: soon\n"
                "  - nmae: b\n"
                "    hosts: []\n"
                "  listeners: 5\n"
                "admin: 1\n",
                "f:4:5: static_resources.clusters[0]: unknown field `lb_polcy` in " CLUSTER
                ": did you mean `lb_policy`?\n"
                "f:5:22: static_resources.clusters[0].connect_timeout: expected a duration such as "
                "1.5s, got soon\n"
                "f:6:5: static_resources.clusters[1]: unknown field `nmae` in " CLUSTER
                ": did you mean `name`?\n"
                "f:7:5: static_resources.clusters[1]: unknown field `hosts` in " CLUSTER "\n"
                "f:8:14: static_resources.listeners: expected a list, got 5\n"
                "f:9:8: admin: expected a mapping (envoy.config.bootstrap.v3.Admin), got 1");
    struct strbuf text = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct bytes body;
    for (int i = 0; i < 500; i++)
        strbuf_printf(&text, "x%d: 1\n", i);
    ck_assert(!read_yaml(NODE, strbuf_str(&text), NULL, &body, &err));
    ck_assert_uint_lt(strlen(error_text(&err)), 5000);
    ck_assert_ptr_nonnull(strstr(error_text(&err), "\nmore errors follow"));
    error_fini(&err);
    strbuf_fini(&text);
}
END_TEST

START_TEST(unknown_fields_allowed)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct json_read_options options = {.allow_unknown = true, .report = &report, .path = "c"};
    struct error err = ERROR_INIT;
    struct bytes body;
    ck_assert(read_yaml(CLUSTER, "name: a\nfoo: {x: 1}\ntype: BAR\ndns_refresh_rate: 1s\n",
                        &options, &body, &err));
    ck_assert(bytes_eq_str(bytes_first(body, 3), "\x0a\x01"
                                                 "a"));
    ck_assert_uint_eq(report.counts[FIELD_UNKNOWN], 2);
    ck_assert_str_eq(report.entries[0].path, "c.foo");
    ck_assert_str_eq(report.entries[0].detail, "line 2");
    ck_assert_str_eq(report.entries[1].path, "c.type");
    field_report_fini(&report);
    ck_assert(read_yaml("envoy.config.route.v3.HeaderMatcher", "name: a\nexact_match: b\n",
                        &options, &body, &err));
    ck_assert_uint_eq(report.counts[FIELD_DEPRECATED], 1);
    ck_assert_str_eq(report.entries[0].path, "c.exact_match");
    field_report_fini(&report);
}
END_TEST

START_TEST(maps)
{
    check_read("envoy.config.core.v3.Metadata", "filter_metadata: {b: {}, a: {k: v}}",
               "{\"filter_metadata\":{\"a\":{\"k\":\"v\"},\"b\":{}}}");
    check_read("envoy.config.core.v3.Metadata", "filter_metadata: {1: {}}",
               "{\"filter_metadata\":{\"1\":{}}}");
    check_error("envoy.config.core.v3.Metadata", "filter_metadata: {a: [1]}",
                "f:1:22: filter_metadata[\"a\"]: expected a mapping, got a list");
    check_error("no.Such", "{}", "no message type no.Such is known");
}
END_TEST

/* What Envoy's reader takes beyond proto3 JSON. */
START_TEST(as_envoy)
{
    check_read(CLUSTER, "per_connection_buffer_limit_bytes: {value: 7}",
               "{\"per_connection_buffer_limit_bytes\":7}");
    check_read(CLUSTER, "{type: strict_dns, lb_policy: Random}",
               "{\"type\":\"STRICT_DNS\",\"lb_policy\":\"RANDOM\"}");
    check_read(CLUSTER, "respect_dns_ttl: \"yes\"", "{\"respect_dns_ttl\":true}");
    check_read("envoy.config.endpoint.v3.ClusterLoadAssignment", "endpoints: [null, ~]",
               "{\"endpoints\":[{},{}]}");
    check_read("envoy.config.core.v3.Metadata", "filter_metadata: {a: null}",
               "{\"filter_metadata\":{\"a\":{}}}");
    struct error err = ERROR_INIT;
    struct bytes body;
    ck_assert(!read_yaml(CLUSTER, "lb_policy: 1.0", NULL, &body, &err));
    error_fini(&err);
}
END_TEST

static bool read_nested(int levels, struct error *err)
{
    struct strbuf text = STRBUF_INIT;
    struct bytes body;
    strbuf_add_str(&text, "metadata: ");
    for (int i = 0; i < levels; i++)
        strbuf_add_str(&text, "{a: ");
    strbuf_add_str(&text, "b");
    for (int i = 0; i < levels; i++)
        strbuf_add_str(&text, "}");
    bool ok = read_yaml(NODE, strbuf_str(&text), NULL, &body, err);
    strbuf_fini(&text);
    return ok;
}

START_TEST(depth)
{
    struct error err = ERROR_INIT;
    ck_assert_msg(read_nested(32, &err), "%s", error_text(&err));
    ck_assert(!read_nested(60, &err));
    ck_assert(bytes_starts_with(bytes_of(error_text(&err)), BYTES("f:1:143: metadata[\"a\"]")));
    ck_assert(
        bytes_ends_with(bytes_of(error_text(&err)),
                        BYTES(": nested too deeply: at most 100 messages inside each other")));
    error_fini(&err);
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
    TCase *tc = tcase_create("json_read");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, both_spellings);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, lists);
    tcase_add_test(tc, strings_and_booleans);
    tcase_add_test(tc, enums);
    tcase_add_test(tc, durations_and_times);
    tcase_add_test(tc, oneofs_and_null);
    tcase_add_test(tc, structs);
    tcase_add_test(tc, any);
    tcase_add_test(tc, all_errors_at_once);
    tcase_add_test(tc, unknown_fields_allowed);
    tcase_add_test(tc, maps);
    tcase_add_test(tc, as_envoy);
    tcase_add_test(tc, depth);
    Suite *s = suite_create("json_read");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
