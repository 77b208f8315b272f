#include <stdio.h>

#include "admin/pages.h"
#include "suite.h"
#include "tls_fixture.h"
#include "world.h"

static struct world w;

#define TLS "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
#define CLUSTER(name, common)                                                                      \
    "{name: " name ", transport_socket: {name: tls, typed_config: {'@type': " TLS                  \
    "UpstreamTlsContext, common_tls_context: {" common "}}}}"
#define CERT(n)                                                                                    \
    "tls_certificate: {certificate_chain: {inline_string: cert-" n                                 \
    "}, private_key: {inline_string: key-" n "}}"
#define SDS(name) "tls_certificate_sds_secret_configs: [{name: " name ", sds_config: {ads: {}}}]"
#define SHOWN(days, until)                                                                         \
    "  {\n   \"ca_cert\": [],\n   \"cert_chain\": [\n    {\n     \"path\": "                       \
    "\"\\u003cinline\\u003e\",\n     "                                                             \
    "\"serial_number\": \"1f\",\n     \"subject_alt_names\": [],\n     "                           \
    "\"days_until_expiration\": \"" days "\",\n     \"valid_from\": \"1970-01-01T00:00:00Z\",\n "  \
    "    \"expiration_time\": \"" until "\"\n    }\n   ]\n  }"

START_TEST(certificates_of_what_serves)
{
    world_init(&w);
    fixture_start(&w.f);
    ck_assert_str_eq(world_get(&w, "/certs"), "{\n \"certificates\": []\n}\n");
    uint64_t now = w.f.clock.clock.wall_ns(&w.f.clock.clock) / NS_PER_S;
    char yaml[300], expected[1000];
    snprintf(yaml, sizeof(yaml),
             CLUSTER("a", "tls_certificates: [{certificate_chain: {inline_string: cert-%llu}, "
                          "private_key: {inline_string: key-%llu}}]"),
             (unsigned long long)now + 200000, (unsigned long long)now + 200000);
    fixture_update(&w.f, RESOURCE_CLUSTER, "a", yaml);
    fixture_update(&w.f, RESOURCE_CLUSTER, "b", CLUSTER("b", SDS("one")));
    fixture_update(&w.f, RESOURCE_CLUSTER, "c", CLUSTER("c", SDS("missing")));
    fixture_update(&w.f, RESOURCE_SECRET, "one", "{name: one, " CERT("100") "}");
    const char *text = world_get(&w, "/certs");
    ck_assert_ptr_nonnull(strstr(text, "\"days_until_expiration\": \"2\""));
    snprintf(expected, sizeof(expected), "%s\n ]\n}\n", SHOWN("0", "1970-01-01T00:01:40Z"));
    ck_assert_ptr_nonnull(strstr(text, expected));
    world_fini(&w);
}
END_TEST

START_TEST(secrets_without_what_is_private)
{
    world_init(&w);
    world_static(&w, RESOURCE_SECRET, "s", "{name: s, " CERT("1") "}");
    fixture_start(&w.f);
    fixture_update(&w.f, RESOURCE_CLUSTER, "a", CLUSTER("a", SDS("one")));
    fixture_update(&w.f, RESOURCE_CLUSTER, "b", CLUSTER("b", SDS("two")));
    fixture_update(&w.f, RESOURCE_CLUSTER, "c", CLUSTER("c", SDS("three")));
    fixture_update(&w.f, RESOURCE_SECRET, "one", "{name: one, " CERT("1") "}");
    fixture_update(&w.f, RESOURCE_SECRET, "two",
                   "{name: two, tls_certificate: {certificate_chain: {inline_string: cert-1}, "
                   "private_key: {inline_string: key-2}, password: {inline_string: key-pw}}}");
    const char *text = world_get(&w, "/init_dump");
    ck_assert_ptr_nonnull(strstr(text, "\"shared target SdsApi three\""));
    text = world_get(&w, "/config_dump?resource=static_secrets");
    ck_assert_ptr_nonnull(strstr(text, "\"name\": \"s\",\n   \"secret\""));
    text = world_get(&w, "/config_dump?resource=dynamic_active_secrets");
    ck_assert_ptr_nonnull(strstr(text, "\"name\": \"one\",\n   \"version_info\": \"v\""));
    ck_assert_ptr_null(strstr(text, "two"));
    text = world_get(&w, "/config_dump?resource=dynamic_warming_secrets");
    ck_assert_ptr_nonnull(strstr(text, "\"name\": \"two\",\n   \"version_info\": "
                                       "\"uninitialized\""));
    ck_assert_ptr_nonnull(strstr(text, "KEY_VALUES_MISMATCH"));
    ck_assert_ptr_nonnull(strstr(text, "\"name\": \"three\",\n   \"version_info\": "
                                       "\"uninitialized\""));
    text = world_get(&w, "/config_dump");
    ck_assert_ptr_nonnull(strstr(text, "cert-1"));
    ck_assert_ptr_nonnull(strstr(text, "[redacted]"));
    ck_assert_ptr_null(strstr(text, "key-"));
    world_fini(&w);
}
END_TEST

SUITE("page_certs", certificates_of_what_serves, secrets_without_what_is_private)
