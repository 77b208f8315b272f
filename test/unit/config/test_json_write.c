#include "config/json_write.h"

#include <check.h>
#include <stdlib.h>

#include "config/json_read.h"

#define CLUSTER "envoy.config.cluster.v3.Cluster"
#define SECRET "envoy.extensions.transport_sockets.tls.v3.Secret"
#define DUMP "envoy.admin.v3.ClustersConfigDump.StaticCluster"

static struct descriptors *pool;
static struct arena *arena;

static struct bytes encode(const char *message, const char *text)
{
    struct error err = ERROR_INIT;
    struct bytes body;
    struct yaml_node *n = yaml_parse(arena, "f", bytes_of(text), &err);
    ck_assert_msg(n && json_read(pool, n, bytes_of(message), NULL, arena, &body, &err), "%s",
                  error_text(&err));
    return body;
}

static void check_json(const char *message, struct bytes body,
                       const struct json_write_options *options, const char *expected)
{
    struct error err = ERROR_INIT;
    struct strbuf out = STRBUF_INIT;
    ck_assert_msg(json_write(pool, bytes_of(message), body, options, &out, &err), "%s",
                  error_text(&err));
    ck_assert_str_eq(strbuf_str(&out), expected);
    strbuf_fini(&out);
}

/* Byte for byte what Envoy 1.40 prints for the same cluster in /config_dump. */
START_TEST(as_envoy_prints_it)
{
    struct bytes body =
        encode(CLUSTER,
               "name: a\n"
               "connect_timeout: 0.25s\n"
               "alt_stat_name: \"<>&'\\u007f\\u2028\\u00e9\\\"\\\\/\\t\\u0001 \xf0\x9f\x98\x80\"\n"
               "per_connection_buffer_limit_bytes: 0\n"
               "type: STATIC\n"
               "cleanup_interval: 12.000001s\n"
               "dns_refresh_rate: 5.000000001s\n"
               "common_lb_config:\n"
               "  healthy_panic_threshold: {value: 33.3}\n"
               "  ignore_new_hosts_until_first_hc: false\n"
               "typed_extension_protocol_options:\n"
               "  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
               "    \"@type\": type.googleapis.com/"
               "envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"
               "    explicit_http_config: {http2_protocol_options: {}}\n"
               "load_assignment:\n"
               "  cluster_name: a\n"
               "  endpoints:\n"
               "  - lb_endpoints: []\n");
    check_json(CLUSTER, body, NULL,
               "{\n"
               " \"name\": \"a\",\n"
               " \"type\": \"STATIC\",\n"
               " \"connect_timeout\": \"0.250s\",\n"
               " \"per_connection_buffer_limit_bytes\": 0,\n"
               " \"dns_refresh_rate\": \"5.000000001s\",\n"
               " \"cleanup_interval\": \"12.000001s\",\n"
               " \"common_lb_config\": {\n"
               "  \"healthy_panic_threshold\": {\n"
               "   \"value\": 33.3\n"
               "  }\n"
               " },\n"
               " \"alt_stat_name\": \"\\u003c\\u003e&'\\u007f\\u2028\xc3\xa9\\\"\\\\/\\t\\u0001 "
               "\xf0\x9f\x98\x80\",\n"
               " \"load_assignment\": {\n"
               "  \"cluster_name\": \"a\",\n"
               "  \"endpoints\": [\n"
               "   {}\n"
               "  ]\n"
               " },\n"
               " \"typed_extension_protocol_options\": {\n"
               "  \"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\": {\n"
               "   \"@type\": \"type.googleapis.com/"
               "envoy.extensions.upstreams.http.v3.HttpProtocolOptions\",\n"
               "   \"explicit_http_config\": {\n"
               "    \"http2_protocol_options\": {}\n"
               "   }\n"
               "  }\n"
               " }\n"
               "}");
}
END_TEST

START_TEST(defaults)
{
    struct json_write_options options = {.defaults = true};
    check_json("envoy.config.core.v3.Locality", BYTES_NONE, &options,
               "{\n \"region\": \"\",\n \"zone\": \"\",\n \"sub_zone\": \"\"\n}");
    check_json("envoy.config.core.v3.Extension", BYTES_NONE, &options,
               "{\n \"name\": \"\",\n \"category\": \"\",\n \"type_descriptor\": \"\",\n"
               " \"disabled\": false,\n \"type_urls\": []\n}");
    check_json("envoy.config.core.v3.Locality", BYTES_NONE, NULL, "{}");
}
END_TEST

START_TEST(layout)
{
    struct bytes body = encode("envoy.config.core.v3.Locality", "{region: a, zone: b}");
    struct json_write_options compact = {.compact = true}, deep = {.depth = 3};
    check_json("envoy.config.core.v3.Locality", body, &compact,
               "{\"region\":\"a\",\"zone\":\"b\"}");
    check_json("envoy.config.core.v3.Locality", body, &deep,
               "{\n    \"region\": \"a\",\n    \"zone\": \"b\"\n   }");
}
END_TEST

START_TEST(any_spoils_only_itself)
{
    struct strbuf out = STRBUF_INIT;
    struct json_write_options compact = {.compact = true};
    json_write_any(pool, BYTES("type.googleapis.com/no.Such"), BYTES("\x01\x02"), &compact, &out);
    ck_assert_str_eq(strbuf_str(&out),
                     "{\"@type\":\"type.googleapis.com/no.Such\",\"value\":\"AQI=\"}");
    strbuf_reset(&out);
    json_write_any(pool, BYTES("type.googleapis.com/" CLUSTER), BYTES("\x0a\x09x"), &compact, &out);
    ck_assert_str_eq(strbuf_str(&out),
                     "{\"@type\":\"type.googleapis.com/" CLUSTER "\",\"value\":\"Cgl4\"}");
    strbuf_reset(&out);
    json_write_any(pool, BYTES_NONE, BYTES_NONE, &compact, &out);
    ck_assert_str_eq(strbuf_str(&out), "{}");
    strbuf_fini(&out);
    struct error err = ERROR_INIT;
    ck_assert(!json_write(pool, BYTES(CLUSTER), BYTES("\x0a\x09x"), NULL, &out, &err));
    error_fini(&err);
    ck_assert(!json_write(pool, BYTES("no.Such"), BYTES(""), NULL, &out, &err));
    error_fini(&err);
    strbuf_fini(&out);
}
END_TEST

/* An Any in an Any in an Any ...: bounded, whatever a control plane sends. */
START_TEST(nested_any)
{
    struct strbuf out = STRBUF_INIT;
    struct bytes body = BYTES_NONE;
    for (int i = 0; i < 300; i++) {
        struct strbuf outer = STRBUF_INIT;
        static const char url[] = "\x0a\x26type.googleapis.com/google.protobuf.Any\x12";
        size_t len = body.len;
        strbuf_add(&outer, "\x0a\x27", 2);
        strbuf_add_str(&outer, url + 2 - 0);
        for (; len >= 0x80; len >>= 7)
            strbuf_add_char(&outer, (char)(len | 0x80));
        strbuf_add_char(&outer, (char)len);
        strbuf_add_bytes(&outer, body);
        body = arena_dup(arena, strbuf_bytes(&outer));
        strbuf_fini(&outer);
    }
    struct json_write_options compact = {.compact = true};
    json_write_any(pool, BYTES("type.googleapis.com/google.protobuf.Any"), body, &compact, &out);
    ck_assert_uint_gt(out.len, 1000);
    strbuf_fini(&out);
}
END_TEST

START_TEST(unknown_fields_are_listed)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct json_write_options options = {.compact = true, .report = &report};
    /* load_assignment { endpoints { field 1000 } } and field 2000 */
    check_json(CLUSTER, BYTES("\x8a\x02\x07\x12\x05\xc2\x3e\x02hi\x80\x7d\x05"), &options,
               "{\"load_assignment\":{\"endpoints\":[{}]}}");
    ck_assert_uint_eq(report.counts[FIELD_UNKNOWN], 2);
    ck_assert_str_eq(report.entries[0].path, "load_assignment.endpoints[0].1000");
    ck_assert_str_eq(report.entries[1].path, "2000");
    field_report_fini(&report);
}
END_TEST

START_TEST(redaction)
{
    struct json_write_options options = {.compact = true, .redact = true};
    check_json(SECRET,
               encode(SECRET, "name: s\ntls_certificate:\n  certificate_chain: {filename: /c}\n"
                              "  private_key: {inline_string: abc}\n"
                              "  password: {inline_bytes: YWJj}\n"),
               &options,
               "{\"name\":\"s\",\"tls_certificate\":{\"certificate_chain\":{\"filename\":\"/c\"},"
               "\"private_key\":{\"inline_string\":\"[redacted]\"},"
               "\"password\":{\"inline_bytes\":\"W3JlZGFjdGVkXQ==\"}}}");
    check_json("google.protobuf.Any",
               encode("google.protobuf.Any",
                      "\"@type\": type.googleapis.com/udpa.type.v1.TypedStruct\n"
                      "type_url: type.googleapis.com/" SECRET "\n"
                      "value: {name: s, generic_secret: {secret: {inline_string: abc}}}\n"),
               &options,
               "{\"@type\":\"type.googleapis.com/udpa.type.v1.TypedStruct\",\"type_url\":"
               "\"type.googleapis.com/" SECRET "\",\"value\":{\"name\":\"s\",\"generic_secret\":"
               "{\"secret\":{\"inline_string\":\"[redacted]\"}}}}");
    check_json("google.protobuf.Any",
               encode("google.protobuf.Any",
                      "\"@type\": type.googleapis.com/udpa.type.v1.TypedStruct\n"
                      "type_url: type.googleapis.com/" CLUSTER "\n"
                      "value: {name: s, type: 1}\n"),
               &options,
               "{\"@type\":\"type.googleapis.com/udpa.type.v1.TypedStruct\",\"type_url\":"
               "\"type.googleapis.com/" CLUSTER "\",\"value\":{\"name\":\"s\",\"type\":1}}");
}
END_TEST

static void check_mask(const char *message, struct bytes body, const char *mask,
                       const char *expected)
{
    struct error err = ERROR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct json_write_options compact = {.compact = true};
    ck_assert_msg(field_mask_prune(pool, bytes_of(message), bytes_of(mask), body, &out, &err), "%s",
                  error_text(&err));
    check_json(message, strbuf_bytes(&out), &compact, expected);
    strbuf_fini(&out);
}

START_TEST(field_masks)
{
    struct bytes body =
        encode(DUMP, "cluster:\n"
                     "  \"@type\": type.googleapis.com/" CLUSTER "\n"
                     "  name: a\n"
                     "  type: EDS\n"
                     "  eds_cluster_config: {service_name: x, eds_config: {ads: {}}}\n"
                     "last_updated: \"1970-01-01T00:00:01Z\"\n");
    check_mask(DUMP, body, "last_updated", "{\"last_updated\":\"1970-01-01T00:00:01Z\"}");
    check_mask(DUMP, body, "lastUpdated", "{\"last_updated\":\"1970-01-01T00:00:01Z\"}");
    check_mask(DUMP, body, "cluster.name",
               "{\"cluster\":{\"@type\":\"type.googleapis.com/" CLUSTER "\",\"name\":\"a\"}}");
    check_mask(DUMP, body, "cluster.name,cluster.eds_cluster_config.service_name",
               "{\"cluster\":{\"@type\":\"type.googleapis.com/" CLUSTER
               "\",\"name\":\"a\",\"eds_cluster_config\":{\"service_name\":\"x\"}}}");
    check_mask(DUMP, body, "", "{}");
    static const char *const bad[] = {"zzz", "cluster.zzz", "cluster.name.x", "last_updated.x.y",
                                      "cluster.load_assignment.endpoints.locality"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = ERROR_INIT;
        struct strbuf out = STRBUF_INIT;
        ck_assert_msg(!field_mask_prune(pool, BYTES(DUMP), bytes_of(bad[i]), body, &out, &err),
                      "%s", bad[i]);
        ck_assert(error_is_set(&err));
        error_fini(&err);
        strbuf_fini(&out);
    }
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
    TCase *tc = tcase_create("json_write");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, as_envoy_prints_it);
    tcase_add_test(tc, defaults);
    tcase_add_test(tc, layout);
    tcase_add_test(tc, any_spoils_only_itself);
    tcase_add_test(tc, nested_any);
    tcase_add_test(tc, unknown_fields_are_listed);
    tcase_add_test(tc, redaction);
    tcase_add_test(tc, field_masks);
    Suite *s = suite_create("json_write");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
