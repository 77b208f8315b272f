#include "config/google_grpc.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "config_fixture.h"
#include "tls_fixture.h"

static struct fixture f;
static struct config_source source;
static struct error err;

static void setup(void)
{
    fixture_init(&f);
    error_fini(&err);
}

static void teardown(void)
{
    error_fini(&err);
    fixture_fini(&f);
    ck_assert_uint_eq(fake_tls_live, 0);
}

/* NULL: refused, see err. */
static const struct grpc_service *decode(const char *fields)
{
    const char *yaml = arena_printf(f.arena,
                                    "{api_config_source: {api_type: GRPC, transport_api_version: "
                                    "V3, grpc_services: [{google_grpc: {stat_prefix: s, %s}}]}}",
                                    fields);
    struct bytes wire = fixture_wire(&f, "envoy.config.core.v3.ConfigSource", yaml);
    bool ok = config_source_decode(builder_decode_context(f.builder), f.arena, wire, &source, &err);
    return ok ? &source.api.services[0] : NULL;
}

static const char *targets_of(const struct google_grpc *g)
{
    struct strbuf s = STRBUF_INIT;
    for (unsigned i = 0; i < g->n_targets; i++) {
        char text[ADDRESS_TEXT_MAX];
        const struct google_target *t = &g->targets[i];
        if (t->name.data)
            strbuf_printf(&s, "name %.*s:%u;", BYTES_ARG(t->name), t->port);
        else
            strbuf_printf(&s, "%s;", address_format(&t->address, text));
    }
    const char *out = arena_str(f.arena, strbuf_bytes(&s));
    strbuf_fini(&s);
    return out;
}

static const struct {
    const char *uri, *targets, *authority, *tls_name; /* targets NULL: refused */
} uris[] = {
    {"a.test:80", "name a.test:80;", "a.test:80", "a.test"},
    {"a.test", "name a.test:443;", "a.test", "a.test"},
    {"dns:a.test:80", "name a.test:80;", "a.test:80", "a.test"},
    {"dns:///a.test:80", "name a.test:80;", "a.test:80", "a.test"},
    {"1.2.3.4:5", "1.2.3.4:5;", "1.2.3.4:5", "1.2.3.4"},
    {"1.2.3.4", "1.2.3.4:443;", "1.2.3.4", "1.2.3.4"},
    {"[::1]:5", "[::1]:5;", "[::1]:5", "::1"},
    {"dns:///[::1]:5", "[::1]:5;", "[::1]:5", "::1"},
    {"ipv4:1.2.3.4:5", "1.2.3.4:5;", "1.2.3.4:5", "1.2.3.4"},
    {"ipv4:1.2.3.4:5,6.7.8.9:10", "1.2.3.4:5;6.7.8.9:10;", "1.2.3.4:5,6.7.8.9:10", "1.2.3.4"},
    {"ipv4:///1.2.3.4:5", "1.2.3.4:5;", "1.2.3.4:5", "1.2.3.4"},
    {"ipv6:[::1]:5", "[::1]:5;", "[::1]:5", "::1"},
    {"unix:/tmp/a", "/tmp/a;", "localhost", "localhost"},
    {"unix:///tmp/a", "/tmp/a;", "localhost", "localhost"},
    {"unix:a", "a;", "localhost", "localhost"},
    {"unix-abstract:a", "@a;", "localhost", "localhost"},
    {"a.test:0", NULL, NULL, NULL},
    {"a.test:65536", NULL, NULL, NULL},
    {"a.test:x", NULL, NULL, NULL},
    {":80", NULL, NULL, NULL},
    {"a test:80", NULL, NULL, NULL},
    {"dns://server/a.test:80", NULL, NULL, NULL},
    {"ipv4:a.test:80", NULL, NULL, NULL},
    {"ipv4:", NULL, NULL, NULL},
    {"ipv4:1.2.3.4:5,", NULL, NULL, NULL},
    {"unix:", NULL, NULL, NULL},
    {"unix://host/tmp/a", NULL, NULL, NULL},
    {"unix:/tmp/%20", NULL, NULL, NULL},
    {"xds:///a", NULL, NULL, NULL},
    {"http://a.test", NULL, NULL, NULL},
    {"a.test:80/x", NULL, NULL, NULL},
    {"a:b:80", NULL, NULL, NULL},
};

START_TEST(reads_a_target)
{
    const struct grpc_service *s = decode(arena_printf(f.arena, "target_uri: '%s'", uris[_i].uri));
    ck_assert_msg(!s == !uris[_i].targets, "%s: %s", uris[_i].uri, s ? "taken" : error_text(&err));
    if (!s) {
        ck_assert_ptr_nonnull(strstr(error_text(&err), "grpc_services[0]: google_grpc.target_uri"));
        return;
    }
    ck_assert_str_eq(targets_of(s->google), uris[_i].targets);
    ck_assert_str_eq(arena_str(f.arena, s->authority), uris[_i].authority);
    ck_assert_str_eq(arena_str(f.arena, s->google->tls_name), uris[_i].tls_name);
    ck_assert(bytes_eq_str(s->cluster_name, uris[_i].uri));
}
END_TEST

#define AT "target_uri: '127.0.0.1:1', "
#define ARG(key, value) AT "channel_args: {args: {" key ": {" value "}}}"
#define SSL(fields) AT "channel_credentials: {ssl_credentials: {" fields "}}"
#define PAIR "cert_chain: {inline_string: cert-1}, private_key: {inline_string: key-1}"
#define ROOT "root_certs: {inline_string: root}"

static const struct {
    const char *fields, *why;
} refused[] = {
    {ARG("grpc.lb_policy_name", "string_value: x"), "args[grpc.lb_policy_name]: it is not impl"},
    {ARG("grpc.keepalive_time_ms", "string_value: x"), "args[grpc.keepalive_time_ms]: it is not"},
    {ARG("grpc.primary_user_agent", "int_value: 1"), "args[grpc.primary_user_agent]: it is not"},
    {ARG("grpc.keepalive_time_ms", "int_value: 2147483648"), "the number is too large"},
    {ARG("grpc.keepalive_time_ms", "int_value: -2147483649"), "the number is too large"},
    {ARG("grpc.default_authority", "string_value: ''"), "expected at least one character"},
    {ARG("grpc.initial_reconnect_backoff_ms", "int_value: 0"), "expected a positive number"},
    {SSL(ROOT ", cert_chain: {inline_string: cert-1}"), "private_key and cert_chain go together"},
    {SSL(ROOT ", private_key: {inline_string: key-1}"), "private_key and cert_chain go together"},
    {SSL("root_certs: {inline_string: bad}"), "google_grpc.channel_credentials.ssl_credentials: "},
    {SSL("root_certs: {filename: /no/such/file}"), "/no/such/file"},
    {SSL(ROOT ", cert_chain: {inline_string: cert-1}, private_key: {inline_string: key-2}"),
     "google_grpc.channel_credentials.ssl_credentials: "},
    {AT "channel_credentials: {google_default: {}}", "google_default is not implemented"},
    {AT "channel_credentials: {local_credentials: {}}", "expected a target_uri that is a Unix"},
    {AT "call_credentials: [{access_token: a}]", "call_credentials: expected channel_credentials"},
    {SSL(ROOT) ", call_credentials: [{access_token: ''}]", "access_token: expected a token"},
    {SSL(ROOT) ", call_credentials: [{access_token: \"a\\r\\nb\"}]", "expected a token"},
    {SSL(ROOT) ", call_credentials: [{}]", "call_credentials[0]: what it does not name"},
    {SSL(ROOT) ", call_credentials: [{access_token: a}, {google_iam: {}}]",
     "call_credentials[1]: google_iam is not implemented"},
    {SSL(ROOT) ", call_credentials: [{sts_service: {}}]", "sts_service is not implemented"},
    {SSL(ROOT) ", call_credentials: [{from_plugin: {}}]", "from_plugin is not implemented"},
    {SSL(ROOT) ", call_credentials: [{google_compute_engine: {}}]", "google_compute_engine is"},
    {SSL(ROOT) ", call_credentials: [{google_refresh_token: a}]", "google_refresh_token is"},
    {SSL(ROOT) ", call_credentials: [{service_account_jwt_access: {}}]", "jwt_access is"},
    {AT "credentials_factory_name: x", "Unknown google grpc credentials factory: x"},
    {AT "channel_credentials_plugin: [{}]", "channel_credentials_plugin is not implemented"},
    {AT "call_credentials_plugin: [{}]", "call_credentials_plugin is not implemented"},
};

START_TEST(refuses)
{
    ck_assert_ptr_null(decode(refused[_i].fields));
    ck_assert_msg(strstr(error_text(&err), refused[_i].why), "%s", error_text(&err));
}
END_TEST

static const struct channel_arg *arg(const struct google_grpc *g, const char *key)
{
    for (unsigned i = 0; i < g->n_args; i++) {
        if (strcmp(g->args[i].key, key) == 0)
            return &g->args[i];
    }
    return NULL;
}

START_TEST(reads_arguments)
{
    const struct grpc_service *s = decode(
        AT "channel_args: {args: {grpc.keepalive_time_ms: {int_value: 7}, grpc.primary_user_agent: "
           "{string_value: me}, grpc.default_authority: {string_value: a.test}, "
           "grpc.initial_reconnect_backoff_ms: {int_value: 100}, grpc.max_reconnect_backoff_ms: "
           "{int_value: 50}, grpc.min_reconnect_backoff_ms: {int_value: 9}}}");
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->google->n_args, 2);
    ck_assert_int_eq(arg(s->google, "grpc.keepalive_time_ms")->number, 7);
    ck_assert_str_eq(arg(s->google, "grpc.primary_user_agent")->text, "me");
    ck_assert(bytes_eq_str(s->authority, "a.test"));
    ck_assert_uint_eq(s->retry_base_ms, 100);
    ck_assert_uint_eq(s->retry_max_ms, 100); /* never less */
    ck_assert_uint_eq(s->google->connect_timeout_ms, 9);
    ck_assert(!s->google->tls.data);
}
END_TEST

/* Another name is what the certificate must be for, and the authority. */
START_TEST(reads_credentials)
{
    const struct grpc_service *s =
        decode(SSL(ROOT ", " PAIR) ", channel_args: {args: {grpc.ssl_target_name_override: "
                                   "{string_value: a.test}}}, call_credentials: "
                                   "[{access_token: t1}, {access_token: t2}]");
    ck_assert_msg(s, "%s", error_text(&err));
    ck_assert(bytes_eq_str(s->google->tls_name, "a.test"));
    ck_assert(bytes_eq_str(s->authority, "a.test"));
    ck_assert_uint_eq(s->n_metadata, 2);
    ck_assert(bytes_eq_str(s->metadata_keys[1], "authorization"));
    ck_assert(bytes_eq_str(s->metadata_values[1], "Bearer t2"));
    struct tls_context *c = google_grpc_tls(builder_decode_context(f.builder), s->google, &err);
    ck_assert_ptr_nonnull(c);
    ck_assert_ptr_nonnull(strstr(c->text, "client"));
    ck_assert_ptr_nonnull(strstr(c->text, "cert-1"));
    ck_assert_ptr_nonnull(strstr(c->text, "ca=root"));
    fake_tls.unref(fake_tls.ctx, c);
}
END_TEST

START_TEST(a_token_may_go_over_a_path)
{
    const struct grpc_service *s =
        decode("target_uri: 'unix:/tmp/a', channel_credentials: {local_credentials: {}}, "
               "call_credentials: [{access_token: t}]");
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->n_metadata, 1);
}
END_TEST

START_TEST(copies)
{
    const struct grpc_service *s =
        decode("target_uri: 'a.test:1', channel_credentials: {ssl_credentials: {" ROOT "}}, "
               "channel_args: {args: {grpc.primary_user_agent: {string_value: me}}}");
    ck_assert_ptr_nonnull(s);
    struct arena *a = arena_new(0);
    struct google_grpc *g = google_grpc_copy(a, s->google);
    ck_assert_str_eq(targets_of(g), "name a.test:1;");
    ck_assert(g->targets[0].name.data != s->google->targets[0].name.data);
    ck_assert(bytes_eq(g->tls, s->google->tls) && g->tls.data != s->google->tls.data);
    ck_assert(g->args[0].text != s->google->args[0].text);
    ck_assert_str_eq(g->args[0].text, "me");
    arena_free(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("google_grpc_decode");
    TCase *t = tcase_create("google_grpc_decode");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, reads_a_target, 0, (int)ARRAY_SIZE(uris));
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_SIZE(refused));
    tcase_add_test(t, reads_arguments);
    tcase_add_test(t, reads_credentials);
    tcase_add_test(t, a_token_may_go_over_a_path);
    tcase_add_test(t, copies);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
