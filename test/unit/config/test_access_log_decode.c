#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "config/access_log_filter.h"
#include "config/grpc_log.h"
#include "config_fixture.h"

static struct fixture f;
static struct access_log *last;

static void setup(void)
{
    fixture_init(&f);
    last = NULL;
}

static void drop(void)
{
    if (last)
        access_log_fini(last);
    last = NULL;
}

static void teardown(void)
{
    drop();
    fixture_fini(&f);
}

static const char *decode(const char *yaml)
{
    struct error err = ERROR_INIT;
    drop();
    bool ok = access_log_decode(builder_decode_context(f.builder), f.arena,
                                fixture_wire(&f, "envoy.config.accesslog.v3.AccessLog", yaml),
                                &last, &err);
    char *text = arena_str(f.arena, bytes_of(error_text(&err)));
    ck_assert(ok != error_is_set(&err));
    error_fini(&err);
    return text;
}

#define FILE_LOG(more)                                                                             \
    "{name: f, typed_config: {'@type': "                                                           \
    "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: "            \
    "/dev/null, " more "}}"
#define FILTER(more)                                                                               \
    "{name: s, typed_config: {'@type': "                                                           \
    "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}, filter: "     \
    "{" more "}}"

static const char *compile(const char *text, struct format *out)
{
    struct error err = ERROR_INIT;
    bool ok = format_compile(f.arena, bytes_of(text), out, &err);
    char *copy = arena_str(f.arena, bytes_of(error_text(&err)));
    ck_assert(ok != error_is_set(&err));
    error_fini(&err);
    return copy;
}

START_TEST(compiles_commands)
{
    struct format o = {0};
    ck_assert_str_eq(
        compile("a%%b %REQ(X-A?:PATH):7%|%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ %s)%%PROTOCOL%", &o),
        "");
    ck_assert_uint_eq(o.n_parts, 5);
    ck_assert(bytes_eq_str(o.parts[0].text, "a%b "));
    ck_assert_int_eq(o.parts[1].op, FORMAT_REQ);
    ck_assert(bytes_eq_str(o.parts[1].text, "x-a"));
    ck_assert(bytes_eq_str(o.parts[1].alternative, ":path"));
    ck_assert_uint_eq(o.parts[1].max_length, 7);
    ck_assert(bytes_eq_str(o.parts[2].text, "|"));
    ck_assert(bytes_eq_str(o.parts[3].text, "%Y-%m-%dT%H:%M:%S.%3fZ %s"));
    ck_assert_int_eq(o.parts[4].op, FORMAT_PROTOCOL);
    ck_assert_str_eq(compile(access_log_default_format, &o), "");
    ck_assert_str_eq(compile("", &o), "");
    ck_assert_uint_eq(o.n_parts, 0);
}
END_TEST

START_TEST(compiles_parameters)
{
    struct format o = {.has_without_query = true};
    ck_assert_str_eq(compile("%REQ(?b):0%%PROTOCOL()%%QUERY_PARAMS(DECODED):99999999999%"
                             "%REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%"
                             "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(200)%"
                             "%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%%REQ_WITHOUT_QUERY(a)%",
                             &o),
                     "");
    ck_assert_uint_eq(o.parts[0].text.len, 0);
    ck_assert(bytes_eq_str(o.parts[0].alternative, "b"));
    ck_assert_uint_eq(o.parts[0].max_length, 0);
    ck_assert_uint_eq(o.parts[1].max_length, FORMAT_NO_LIMIT);
    ck_assert(o.parts[2].decoded);
    ck_assert_uint_eq(o.parts[2].max_length, FORMAT_NO_LIMIT);
    ck_assert_int_eq(o.parts[3].server_name.from, SERVER_NAME_HOST_FIRST);
    ck_assert_int_eq(o.parts[3].server_name.host, HOST_ORIGINAL);
    ck_assert_uint_eq(o.parts[4].mask, 128);
    ck_assert_uint_eq(o.parts[5].mask, FORMAT_NO_MASK);
    ck_assert(!o.has_upstream_metadata);
}
END_TEST

START_TEST(compiles_metadata)
{
    struct format o = {0};
    ck_assert_str_eq(compile("%METADATA(ROUTE:a.b:c:)%%DYNAMIC_METADATA(a):3%", &o), "");
    ck_assert_int_eq(o.parts[0].metadata.of, METADATA_OF_ROUTE);
    ck_assert_uint_eq(o.parts[0].metadata.n_path, 3);
    ck_assert(bytes_eq_str(o.parts[0].metadata.path[0], "a.b"));
    ck_assert(bytes_eq_str(o.parts[0].metadata.path[1], "c"));
    ck_assert_uint_eq(o.parts[0].metadata.path[2].len, 0);
    ck_assert_uint_eq(o.parts[1].metadata.n_path, 1);
    ck_assert(!o.has_upstream_metadata);
    ck_assert_str_eq(compile("%COALESCE({\"operators\":[\"PROTOCOL\",{\"command\":"
                             "\"UPSTREAM_METADATA\",\"param\":\"a:b\"}]}):7%",
                             &o),
                     "");
    ck_assert(o.has_upstream_metadata);
    ck_assert_uint_eq(o.parts[0].max_length, 7);
    ck_assert_uint_eq(o.parts[0].among.n_parts, 2);
    ck_assert_int_eq(o.parts[0].among.parts[1].metadata.of, METADATA_OF_HOST);
}
END_TEST

/* The sentences are Envoy 1.40's. */
static const struct {
    const char *text, *error;
} bad[] = {
    {"%NOPE%", "Not supported field in StreamInfo: NOPE"},
    {"ab%REQ(x", "Incorrect configuration: ab%REQ(x. Couldn't find valid command at position 2"},
    {"%PROTOCOL(x)%", "PROTOCOL does not take any parameters or length"},
    {"%PROTOCOL:3%", "PROTOCOL does not take any parameters or length"},
    {"%REQ(a?b?c)%", "More than 1 alternative header specified in token: a?b?c"},
    {"%REQ%", "REQ requires parameters"},
    {"%REQ():1%", "REQ requires parameters"},
    {"%REQ(a b)%", "Invalid header configuration. Format string contains invalid characters."},
    {"%REQ(a?b:)%", "Invalid header configuration. Format string contains invalid characters."},
    {"%REQ(:)%", "Invalid header configuration. Format string contains invalid characters."},
    {"%REQ(a\nb)%",
     "Incorrect configuration: %REQ(a\nb)%. Couldn't find valid command at position 0"},
    {"%REQ(a):99999999999999999999%",
     "Incorrect configuration: %REQ(a):99999999999999999999%. Couldn't find valid command at "
     "position 0"},
    {"%REQ_WITHOUT_QUERY(a)%", "Not supported field in StreamInfo: REQ_WITHOUT_QUERY"},
    {"%START_TIME(%_9En)%", "Invalid header configuration. Format string contains newline."},
    {"%CEL(a)%", "CEL is not implemented: there is no library for its expressions"},
    {"%REQUESTED_SERVER_NAME(A)%", "Invalid REQUESTED_SERVER_NAME option: 'A', only "
                                   "'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST' are allowed"},
    {"%REQUESTED_SERVER_NAME(SNI_FIRST:A)%", "Invalid REQUESTED_SERVER_NAME option: 'A', only "
                                             "'ORIG_OR_HOST'/'HOST'/'ORIG' are allowed"},
    {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(-1)%",
     "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: expected the length of a network, in bits, got '-1'"},
    {"%QUERY_PARAMS(A)%", "Invalid QUERY_PARAMS option: 'A', only 'ORIG'/'DECODED' are allowed"},
    {"%PATH(A)%", "Invalid PATH option: 'A', only 'WQ'/'NQ' are allowed"},
    {"%PATH(WQ:A)%", "Invalid PATH option: 'A', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed"},
    {"%COMMON_DURATION(A)%", "Invalid common duration configuration: A."},
    {"%COMMON_DURATION(A:B:s)%", "Invalid common duration precision: s."},
    {"%METADATA(A)%", "A is not supported type of metadata"},
    {"%CLUSTER_METADATA%", "CLUSTER_METADATA requires parameters"},
    {"%UPSTREAM_METADATA(a):1%", "UPSTREAM_METADATA does not allow length to be specified."},
    {"%FILTER_STATE%", "Invalid filter state configuration, key cannot be empty."},
    {"%FILTER_STATE(a:B)%", "Invalid filter state serialize type, only support PLAIN/TYPED/FIELD."},
    {"%FILTER_STATE(a:FIELD)%",
     "Invalid filter state serialize type, FIELD should be used with the field name."},
    {"%COALESCE({)%",
     "COALESCE: failed to parse JSON configuration:1:2: expected a name in quotes or '}'"},
    {"%COALESCE([])%", "COALESCE: JSON configuration must contain 'operators' array"},
    {"%COALESCE({\"operators\":{}})%", "COALESCE: 'operators' must be an array"},
    {"%COALESCE({\"operators\":[]})%", "COALESCE: 'operators' array must not be empty"},
    {"%COALESCE({\"operators\":[\"PATH\",1]})%",
     "COALESCE: failed to parse operator at index 1: operator entry must be either a string "
     "(command name) or an object with 'command' field"},
    {"%COALESCE({\"operators\":[{\"param\":\"a\"}]})%",
     "COALESCE: failed to parse operator at index 0: operator object must have 'command' field, a "
     "string"},
    {"%COALESCE({\"operators\":[{\"command\":\"REQ\",\"param\":1}]})%",
     "COALESCE: failed to parse operator at index 0: 'param' field must be a string"},
    {"%COALESCE({\"operators\":[{\"command\":\"REQ\",\"param\":\"a\",\"max_length\":-1}]})%",
     "COALESCE: failed to parse operator at index 0: 'max_length' must be a positive integer"},
    {"%COALESCE({\"operators\":[{\"command\":\"REQ\",\"param\":\"a\",\"max_length\":\"1\"}]})%",
     "COALESCE: failed to parse operator at index 0: 'max_length' field must be an integer"},
    {"100%", "Incorrect configuration: 100%. Couldn't find valid command at position 3"},
    {"%START_TIME(%s):4%", "START_TIME does not allow length to be specified."},
    {"%GRPC_STATUS(NOPE)%",
     "GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: NOPE"},
    {"%GRPC_STATUS(NUMBER):2%", "GRPC_STATUS does not allow length to be specified."},
};

START_TEST(refuses_commands)
{
    struct format o = {0};
    ck_assert_str_eq(compile(bad[_i].text, &o), bad[_i].error);
}
END_TEST

START_TEST(refuses_what_cannot_be_written)
{
    ck_assert_str_eq(decode("{name: f, typed_config: {'@type': type.googleapis.com/envoy.extensions"
                            ".access_loggers.file.v3.FileAccessLog, path: /no/such/folder/x}}"),
                     "path: unable to open file '/no/such/folder/x': No such file or directory");
}
END_TEST

/* Nobody reads it yet: the thread that decodes does not wait. */
START_TEST(takes_a_pipe_without_a_reader)
{
    char folder[] = "/tmp/xylem-log-XXXXXX", text[256], path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/pipe", folder);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    snprintf(text, sizeof(text),
             "{name: f, typed_config: {'@type': type.googleapis.com/envoy.extensions."
             "access_loggers.file.v3.FileAccessLog, path: %s}}",
             path);
    const char *said = decode(text);
    ck_assert(unlink(path) == 0 && rmdir(folder) == 0);
    ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(reads_sinks_and_formats)
{
    ck_assert_str_eq(decode(FILE_LOG("")), "");
    ck_assert_int_eq(last->sink, ACCESS_LOG_FILE);
    ck_assert(bytes_eq_str(last->path, "/dev/null"));
    ck_assert_uint_gt(last->format.n_parts, 20);
    ck_assert_str_eq(decode(FILE_LOG("log_format: {text_format_source: {inline_string: "
                                     "'%RESPONSE_CODE%'}, omit_empty_values: true}")),
                     "");
    ck_assert(last->format.omit_empty && last->format.n_parts == 1);
    ck_assert_str_eq(decode(FILTER("not_health_check_filter: {}")), "");
    ck_assert_int_eq(last->sink, ACCESS_LOG_STDOUT);
    ck_assert_str_eq(decode(FILE_LOG("log_format: {json_format: {z: 1, a: '%REQ(X)%', m: {k: "
                                     "[true, null, x]}}}")),
                     "");
    ck_assert(last->is_json && last->json.n_children == 3);
    ck_assert(bytes_eq_str(last->json.children[0].key, "a"));
    ck_assert_int_eq(last->json.children[0].kind, JSON_NODE_FORMAT);
    ck_assert_int_eq(last->json.children[1].children[0].kind, JSON_NODE_LIST);
    ck_assert_int_eq(last->json.children[1].children[0].children[1].kind, JSON_NODE_NULL);
    ck_assert(bytes_eq_str(last->json.children[1].children[0].children[0].literal, "true"));
    ck_assert(bytes_eq_str(last->json.children[2].literal, "1"));
    ck_assert_str_eq(decode(FILE_LOG("log_format: {json_format: {a: '%NOPE%'}}")),
                     "json_format: a: Not supported field in StreamInfo: NOPE");
    ck_assert_str_eq(decode(FILTER("metadata_filter: {}")),
                     "filter.metadata_filter is not implemented");
}
END_TEST

/* In a file, and in a variable. */
START_TEST(reads_a_format_elsewhere)
{
    char path[] = "/tmp/xylem-format-XXXXXX", text[256];
    FILE *file = fdopen(mkstemp(path), "w");
    ck_assert_ptr_nonnull(file);
    fputs("code %RESPONSE_CODE%", file);
    fclose(file);
    snprintf(text, sizeof(text), FILE_LOG("log_format: {text_format_source: {filename: %s}}"),
             path);
    ck_assert_str_eq(decode(text), "");
    ck_assert_uint_eq(last->format.n_parts, 2);
    unlink(path);
    ck_assert_str_eq(strstr(decode(text), "text_format_source: "), decode(text));
    setenv("XYLEM_FORMAT", "%NOPE%", 1);
    ck_assert_str_eq(
        decode(FILE_LOG("log_format: {text_format_source: {environment_variable: XYLEM_FORMAT}}")),
        "Not supported field in StreamInfo: NOPE");
}
END_TEST

static bool header(const void *ctx, struct bytes name, uint32_t *at, struct bytes *value)
{
    *value = BYTES("yes");
    return (*at)++ == 0 && bytes_eq_str(name, "x-a");
}

static bool passes(const char *filter, struct access_log_subject s)
{
    char yaml[1024];
    snprintf(yaml, sizeof(yaml), FILTER("%s"), filter);
    const char *text = decode(yaml);
    ck_assert_msg(*text == '\0', "%s: %s", filter, text);
    s.request_header = header;
    return access_log_filter_pass(last->filter, &s);
}

#define S(...) ((struct access_log_subject){__VA_ARGS__})
#define AT(op, v) "comparison: {op: " op ", value: {default_value: " v ", runtime_key: k}}"

START_TEST(filters)
{
    ck_assert(passes("status_code_filter: {" AT("GE", "500") "}", S(.status = 503)));
    ck_assert(!passes("status_code_filter: {" AT("GE", "500") "}", S(.status = 404)));
    ck_assert(passes("status_code_filter: {" AT("NE", "200") "}", S(.status = 404)));
    ck_assert(passes("duration_filter: {" AT("LE", "5") "}", S(.duration_ms = 5)));
    ck_assert(!passes("not_health_check_filter: {}", S(.health_check = true)));
    ck_assert(passes("traceable_filter: {}", S(.traceable = true)));
    ck_assert(
        passes("response_flag_filter: {flags: [NR, UF]}", S(.response_flags = BYTES("LH,UF"))));
    ck_assert(!passes("response_flag_filter: {flags: [NR]}", S(.response_flags = BYTES("UF"))));
    ck_assert(passes("response_flag_filter: {}", S(.response_flags = BYTES("UF"))));
    ck_assert(!passes("response_flag_filter: {}", S(.status = 1)));
    ck_assert(passes("header_filter: {header: {name: X-A, string_match: {exact: 'yes'}}}",
                     S(.status = 1)));
    ck_assert(!passes("header_filter: {header: {name: x-b, present_match: true}}", S(.status = 1)));
    ck_assert(passes("grpc_status_filter: {statuses: [UNAVAILABLE]}", S(.grpc_status = 14)));
    ck_assert(!passes("grpc_status_filter: {statuses: [UNAVAILABLE], exclude: true}",
                      S(.grpc_status = 14)));
    ck_assert(passes("log_type_filter: {types: [NotSet, DownstreamEnd]}", S(.log_type = 6)));
    ck_assert(!passes("log_type_filter: {types: [DownstreamStart]}", S(.log_type = 6)));
    ck_assert(
        passes("log_type_filter: {types: [DownstreamStart], exclude: true}", S(.log_type = 0)));
    ck_assert(!passes("log_type_filter: {}", S(.log_type = 6)));
    ck_assert(passes("or_filter: {filters: [{traceable_filter: {}}, {header_filter: {header: "
                     "{name: x-a, string_match: {safe_regex: {regex: 'y.*'}}}}}]}",
                     S(.status = 1)));
    ck_assert(!passes("and_filter: {filters: [{traceable_filter: {}}, {not_health_check_filter: "
                      "{}}]}",
                      S(.status = 1)));
    ck_assert(!passes("runtime_filter: {runtime_key: k}", S(.status = 1)));
    ck_assert(passes("runtime_filter: {runtime_key: k, percent_sampled: {numerator: 100}}",
                     S(.status = 1)));
}
END_TEST

#define SAMPLED(n)                                                                                 \
    "runtime_filter: {percent_sampled: {numerator: " n ", denominator: TEN_THOUSAND}}"

/* Stable by the ID of the request. */
START_TEST(sampled_by_request_id)
{
    ck_assert(passes(SAMPLED("50"), S(.request_id = BYTES("00000031-0000"))));
    ck_assert(!passes(SAMPLED("50"), S(.request_id = BYTES("00000032-0000"))));
    ck_assert(passes(SAMPLED("50"), S(.request_id = BYTES("00002710")))); /* 10,000 */
    ck_assert(passes(SAMPLED("7296"), S(.request_id = BYTES("FFFFffff"))));
    ck_assert(!passes(SAMPLED("7295"), S(.request_id = BYTES("FFFFffff"))));
    /* no number: by chance */
    struct random_source r;
    random_seed(&r, 1);
    static const char *const none[] = {"", "0000003", "0000003g", "-0000031"};
    for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
        ck_assert(passes(SAMPLED("10000"), S(.request_id = bytes_of(none[i]), .random = &r)));
        ck_assert(!passes(SAMPLED("0"), S(.request_id = bytes_of(none[i]), .random = &r)));
    }
    unsigned n = 0;
    for (unsigned i = 0; i < 1000; i++)
        n += passes("runtime_filter: {percent_sampled: {numerator: 50}, "
                    "use_independent_randomness: true}",
                    S(.request_id = BYTES("00000000"), .random = &r));
    ck_assert(n > 400 && n < 600);
}
END_TEST

#define GRPC_LOG_OF(type, more, common)                                                            \
    "{name: g, typed_config: {'@type': type.googleapis.com/envoy.extensions.access_loggers.grpc."  \
    "v3." type ", " more "common_config: {log_name: l, " common "}}}"
#define GRPC_LOG(more, common) GRPC_LOG_OF("HttpGrpcAccessLogConfig", more, common)
#define SERVICE "grpc_service: {envoy_grpc: {cluster_name: als}}"

START_TEST(decodes_grpc)
{
    ck_assert_str_eq(decode(GRPC_LOG("additional_request_headers_to_log: [X-A, b], ", SERVICE)),
                     "");
    ck_assert_int_eq(last->sink, ACCESS_LOG_GRPC);
    const struct grpc_log *g = last->grpc;
    ck_assert(bytes_eq_str(g->log_name, "l"));
    ck_assert(bytes_eq_str(g->service.cluster_name, "als"));
    ck_assert_uint_eq(g->flush_ms, 1000);
    ck_assert_uint_eq(g->buffer_bytes, 16384);
    ck_assert_uint_eq(g->retry_base_ms, 1000);
    ck_assert_uint_eq(g->request_headers.n, 2);
    ck_assert(bytes_eq_str(g->request_headers.names[0], "x-a"));
    struct bytes key = g->key;
    ck_assert_str_eq(decode(GRPC_LOG("", SERVICE)), "");
    ck_assert(bytes_eq(last->grpc->key, key)); /* what is logged is no part of it */
    ck_assert(!last->grpc->is_tcp);
    ck_assert_str_eq(decode(GRPC_LOG_OF("TcpGrpcAccessLogConfig", "", SERVICE)), "");
    ck_assert(last->grpc->is_tcp);
    ck_assert(!bytes_eq(last->grpc->key, key)); /* but which kind it is */
    ck_assert_str_eq(decode(GRPC_LOG("", SERVICE ", buffer_size_bytes: 0, buffer_flush_interval: "
                                                 "0.0001s, grpc_stream_retry_policy: "
                                                 "{retry_back_off: {base_interval: 2s}}")),
                     "");
    ck_assert(!bytes_eq(last->grpc->key, key));
    ck_assert_uint_eq(last->grpc->buffer_bytes, 0);
    ck_assert_uint_eq(last->grpc->flush_ms, 1);
    ck_assert_uint_eq(last->grpc->retry_base_ms, 2000);
    ck_assert_uint_eq(last->grpc->retry_max_ms, 20000);
}
END_TEST

static const struct {
    const char *common, *error;
} grpc_refused[] = {
    {"grpc_service: {google_grpc: {target_uri: a, stat_prefix: s}}", "google_grpc"},
    {SERVICE ", custom_tags: [{tag: t, value: '%NO_SUCH%'}]", "custom_tags[0].value: "},
    {SERVICE ", transport_api_version: V2", "transport_api_version: V2"},
    {SERVICE ", grpc_stream_retry_policy: {retry_back_off: {base_interval: 2s, max_interval: 1s}}",
     "grpc_stream_retry_policy."},
};

START_TEST(refuses_grpc)
{
    struct strbuf yaml = STRBUF_INIT;
    strbuf_printf(&yaml, GRPC_LOG("", "%s"), grpc_refused[_i].common);
    const char *text = decode(strbuf_str(&yaml));
    ck_assert_msg(strstr(text, grpc_refused[_i].error) != NULL, "%s", text);
    ck_assert_msg(bytes_starts_with(bytes_of(text), BYTES("common_config.")), "%s", text);
    strbuf_fini(&yaml);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("access_log_decode");
    TCase *t = tcase_create("access_log_decode");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, compiles_commands);
    tcase_add_test(t, compiles_parameters);
    tcase_add_test(t, compiles_metadata);
    tcase_add_test(t, decodes_grpc);
    tcase_add_loop_test(t, refuses_grpc, 0, ARRAY_SIZE(grpc_refused));
    tcase_add_loop_test(t, refuses_commands, 0, (int)ARRAY_SIZE(bad));
    tcase_add_test(t, refuses_what_cannot_be_written);
    tcase_add_test(t, takes_a_pipe_without_a_reader);
    tcase_add_test(t, reads_sinks_and_formats);
    tcase_add_test(t, reads_a_format_elsewhere);
    tcase_add_test(t, filters);
    tcase_add_test(t, sampled_by_request_id);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
