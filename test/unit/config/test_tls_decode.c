#include "config/tls_decode.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/typed.h"
#include "config/wire.h"
#include "config_fixture.h"
#include "envoy/config/core/v3/base.upb.h"
#include "upb/upb.h"

static struct fixture f;
static char folder[] = "/tmp/tls_decode_XXXXXX", path[64];

static void setup(void)
{
    fixture_init(&f);
}

static void teardown(void)
{
    fixture_fini(&f);
}

#define TLS "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
#define SOCKET(type, more) "{name: tls, typed_config: {'@type': " TLS type ", " more "}}"
#define DOWN(more) SOCKET("DownstreamTlsContext", more)
#define UP(more) SOCKET("UpstreamTlsContext", more)
#define COMMON(more) "common_tls_context: {" more "}"
#define PAIR "certificate_chain: {inline_string: c}, private_key: {inline_string: k}"
#define SERVER(more) DOWN(COMMON("tls_certificates: [{" PAIR "}], " more))
#define TRUST(more) UP(COMMON("validation_context: {" more "}"))
#define VALUE "type.googleapis.com/google.protobuf.StringValue, value: x"
#define CA "trusted_ca: {inline_string: ca}"
#define HEX "aAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa01"
#define SPIFFE(more)                                                                               \
    TRUST("custom_validator_config: {name: s, typed_config: {'@type': " TLS                        \
          "SPIFFECertValidatorConfig, " more "}}")

/* One reading of a socket, as the builder does it. */
struct reading {
    const struct tls_socket *socket;
    struct tls_settings settings;
    struct tls_reader reader;
    bool missing, read;
    struct bytes secret; /* what every name stands for */
};

static struct bytes find(void *arg, const struct tls_secret_ref *ref)
{
    return ((struct reading *)arg)->secret;
}

static bool checked(struct bytes wire, struct error *err)
{
    struct typed t;
    return typed_unwrap_any(f.descriptors, wire_find_bytes(wire, 3), f.arena, &t, err) &&
           (t.value.len == 0 || descriptors_message(f.descriptors, t.type_name) == NULL ||
            decode_check(builder_decode_context(f.builder), arena_str(f.arena, t.type_name),
                         t.value, err));
}

static const char *read_socket(const char *yaml, bool is_server, struct reading *x)
{
    struct error err = ERROR_INIT;
    struct decode_context *ctx = builder_decode_context(f.builder);
    struct bytes wire = fixture_wire(&f, "envoy.config.core.v3.TransportSocket", yaml);
    upb_Arena *a = upb_Arena_New();
    const envoy_config_core_v3_TransportSocket *m =
        envoy_config_core_v3_TransportSocket_parse(wire.data, wire.len, a);
    tls_reader_init(&x->reader, ctx);
    bool ok = checked(wire, &err) && transport_socket_decode(ctx, f.arena, m, is_server,
                                                             "transport_socket", &x->socket, &err);
    if (ok && x->socket)
        x->read =
            tls_settings_read(&x->reader, x->socket, find, x, &x->settings, &x->missing, &err);
    upb_Arena_Free(a);
    const char *text = arena_str(f.arena, bytes_of(error_text(&err)));
    ck_assert(ok == !error_is_set(&err) || !x->read);
    error_fini(&err);
    return text;
}

static void done(struct reading *x)
{
    tls_reader_fini(&x->reader);
}

static const struct {
    const char *yaml, *words; /* where Envoy has a sentence, it is Envoy's */
    bool is_client;
} bad[] = {
    {DOWN("require_sni: false"), "No TLS certificates found for server context", false},
    {DOWN(COMMON("tls_certificates: [{certificate_chain: {filename: /nonexistent/x}}]")),
     "Failed to load incomplete certificate from /nonexistent/x: certificate chain not set: cannot "
     "read '/nonexistent/x': No such file or directory",
     false},
    {DOWN(COMMON("tls_certificates: [{certificate_chain: {filename: /tmp}}]")),
     "Failed to load incomplete certificate from /tmp: certificate chain not set: cannot read "
     "'/tmp': it is a folder",
     false},
    {DOWN(COMMON("tls_certificates: [{certificate_chain: {filename: /proc/self/environ}}]")),
     "Invalid path: /proc/self/environ", false},
    {DOWN(COMMON("tls_certificates: [{certificate_chain: {inline_string: ''}}]")),
     "Failed to load incomplete certificate from", false},
    {DOWN(COMMON("tls_certificates: [{certificate_chain: {environment_variable: NOT_THERE}}]")),
     "Environment variable doesn't exist: NOT_THERE", false},
    {DOWN(COMMON("tls_certificates: [{certificate_chain: {inline_string: c}}]")),
     "Failed to load incomplete private key from path:", false},
    {DOWN(COMMON("tls_certificates: [{private_key: {inline_string: c}}]")),
     "Failed to load incomplete certificate from : certificate chain not set", false},
    {DOWN(COMMON("tls_certificates: [{}]")),
     "Failed to load incomplete certificate from : certificate chain not set", false},
    {DOWN(COMMON("tls_certificates: [{" PAIR ", pkcs12: {inline_string: p}}]")),
     "Certificate configuration can't have both pkcs12 and certificate_chain", false},
    {DOWN(COMMON("tls_certificates: [{private_key: {inline_string: k}, pkcs12: {inline_string: "
                 "p}}]")),
     "Certificate configuration can't have both pkcs12 and private_key", false},
    {DOWN(COMMON("tls_certificates: [{certificate_chain: {inline_string: c}, private_key_provider: "
                 "{provider_name: x}}]")),
     "private_key_provider: not implemented", false},
    {DOWN(COMMON("tls_certificates: [{" PAIR ", ocsp_staple: {inline_string: s}}]")),
     "OCSP staple cannot be provided via inline_string", false},
    {DOWN("session_ticket_keys: {keys: [{inline_string: abc}]}, " COMMON("tls_certificates: [{" PAIR
                                                                         "}]")),
     "Incorrect TLS session ticket key length. Length 3, expected length 80.", false},
    {DOWN(COMMON("tls_certificate_sds_secret_configs: [{name: foo}]")),
     "Unknown static secret: foo", false},
    {SERVER("validation_context_sds_secret_config: {name: foo}"),
     "Unknown static certificate validation context: foo", false},
    {DOWN("session_ticket_keys_sds_secret_config: {name: foo}, " COMMON("tls_certificates: [{" PAIR
                                                                        "}]")),
     "Unknown tls session ticket keys: foo", false},
    {SERVER("tls_certificate_sds_secret_configs: [{name: foo}]"),
     "SDS and non-SDS TLS certificates may not be mixed in server contexts", false},
    {UP(COMMON("tls_certificates: [{" PAIR "}, {" PAIR "}]")),
     "Multiple TLS certificates are not supported for client contexts", true},
    {UP("sni: \"a\\0b\""), "SNI names containing NULL-byte are not allowed", true},
    {UP("auto_sni_san_validation: true"),
     "'auto_sni_san_validation' was configured without a validation context", true},
    {TRUST("match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]"),
     "SAN-based verification of peer certificates without trusted CA is insecure and not allowed",
     true},
    {TRUST("crl: {inline_string: x}"), "Failed to load CRL from <inline> without trusted CA", true},
    {TRUST("trusted_ca: {inline_string: ''}"), "DataSource cannot be empty", true},
    {TRUST("trusted_ca: {filename: /nonexistent/x}"),
     "trusted_ca: cannot read '/nonexistent/x': No such file or directory", true},
    {TRUST(CA ", verify_certificate_hash: [zz"
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
              "aaaaaaaaaaaaa]"),
     "Invalid hex-encoded SHA-256 zz", true},
    {TRUST(CA ", verify_certificate_spki: ['QUJD========================================']"),
     "Invalid base64-encoded SHA-256 QUJD", true},
    {TRUST(CA ", match_typed_subject_alt_names: [{san_type: DNS, matcher: {safe_regex: {regex: "
              "'('}}}]"),
     "missing ): (", true},
    {TRUST(CA ", match_typed_subject_alt_names: [{san_type: DNS}]"), "matcher", true},
    {TRUST(CA ", require_signed_certificate_timestamp: true"),
     "require_signed_certificate_timestamp: not implemented", true},
    {TRUST("ca_certificate_provider_instance: {instance_name: x}"),
     "ca_certificate_provider_instance: not implemented (certificates would be missing)", true},
    {TRUST("custom_validator_config: {name: x, typed_config: {'@type': "
           "type.googleapis.com/google.protobuf.StringValue, value: x}}"),
     "Failed to get certificate validator factory for x", true},
    {SPIFFE("trust_domains: [{name: a, trust_bundle: {inline_string: b}}, {name: a, trust_bundle: "
            "{inline_string: b}}]"),
     "Multiple trust bundles are given for one trust domain for a", true},
    {SPIFFE("trust_domains: [{name: a}]"), "Failed to load trusted CA certificate for a", true},
    {SPIFFE("trust_bundles: {inline_string: b}, trust_domains: [{name: a}]"),
     "trust_bundles: Invalid JSON found in SPIFFE bundle: ", true},
    {SPIFFE("trust_bundles: {inline_string: '{}'}"), "No trust domains found in SPIFFE bundle",
     true},
    {SERVER("tls_params: {compliance_policies: [FIPS_202205, 7]}"),
     "tls_params.compliance_policies: value must contain no more than 1 item(s)", false},
    {SERVER("custom_handshaker: {name: x, typed_config: {'@type': " VALUE "}}"),
     "custom_handshaker: not implemented", false},
    {SERVER("custom_tls_certificate_selector: {name: x, typed_config: {'@type': " VALUE "}}"),
     "custom_tls_certificate_selector: not implemented", false},
    {DOWN(COMMON("tls_certificate_provider_instance: {instance_name: x}")),
     "tls_certificate_provider_instance: not implemented", false},
    {SERVER("key_log: {path: /tmp/k, local_address_range: [{address_prefix: x, prefix_len: 8}]}"),
     "key_log.local_address_range[0]: malformed IP address: x", false},
    {UP("sni: a"),
     "Didn't find a registered implementation for 'tls' with type URL: "
     "'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'",
     false},
    {"{name: tls}", "Didn't find a registered implementation for 'tls' with type URL: ''", false},
    {UP(COMMON("tls_certificate_sds_secret_configs: [{name: x, sds_config: {self: {}}}]")),
     "sds_config: self: the parent did not come from a source", true},
    {DOWN("session_timeout: -1s, " COMMON("tls_certificates: [{" PAIR "}]")), "session_timeout",
     false},
};

START_TEST(refused)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct reading x = {.secret = BYTES_NONE};
        const char *text = read_socket(bad[i].yaml, !bad[i].is_client, &x);
        ck_assert_msg(strstr(text, bad[i].words) != NULL, "%zu: %s\ngives: %s\nnot: %s", i,
                      bad[i].yaml, text, bad[i].words);
        done(&x);
    }
}
END_TEST

static void read_good(const char *yaml, bool is_server, struct reading *x)
{
    ck_assert_str_eq(read_socket(yaml, is_server, x), "");
}

static void expect(struct bytes b, const char *text)
{
    ck_assert_msg(bytes_eq_str(b, text), "%.*s is not %s", BYTES_ARG(b), text);
}

START_TEST(plain_text)
{
    struct reading x = {0};
    read_good("{name: envoy.transport_sockets.raw_buffer}", true, &x);
    ck_assert_ptr_null(x.socket);
    done(&x);
}
END_TEST

START_TEST(a_server)
{
    struct reading x = {0};
    read_good(DOWN("require_client_certificate: true, require_sni: true, session_timeout: 600s, "
                   "ocsp_staple_policy: MUST_STAPLE, full_scan_certs_on_sni_mismatch: true, "
                   "prefer_client_ciphers: true, disable_stateful_session_resumption: true, "
                   "disable_stateless_session_resumption: true, " COMMON(
                       "tls_params: {tls_minimum_protocol_version: TLSv1_2, "
                       "tls_maximum_protocol_version: TLSv1_3, cipher_suites: [A, B], ecdh_curves: "
                       "[X25519], signature_algorithms: [s]}, alpn_protocols: ['h2,x', http/1.1], "
                       "tls_certificates: [{" PAIR ", password: {inline_bytes: cHc=}, ocsp_staple: "
                       "{inline_bytes: b2s=}}, {pkcs12: {inline_bytes: cDEy}}], "
                       "key_log: {path: /tmp/k, remote_address_range: [{address_prefix: 10.0.0.0, "
                       "prefix_len: 8}]}")),
              true, &x);
    const struct tls_settings *s = &x.settings;
    ck_assert(s->is_server && s->require_client_certificate && s->require_sni);
    ck_assert(s->disable_tickets && s->disable_session_cache && s->prefer_client_ciphers);
    ck_assert(s->full_scan_certs_on_sni_mismatch);
    ck_assert_uint_eq(s->session_timeout_s, 600);
    ck_assert_int_eq(s->ocsp_policy, TLS_OCSP_MUST_STAPLE);
    ck_assert_int_eq(s->min_version, TLS_VERSION_1_2);
    ck_assert_int_eq(s->max_version, TLS_VERSION_1_3);
    ck_assert_uint_eq(s->n_ciphers + s->n_curves + s->n_signature_algorithms, 4);
    expect(s->ciphers[1], "B");
    expect(s->curves[0], "X25519");
    ck_assert_uint_eq(s->n_alpn, 3);
    expect(s->alpn[1], "x");
    expect(s->alpn[2], "http/1.1");
    ck_assert_uint_eq(s->n_certificates, 2);
    expect(s->certificates[0].chain, "c");
    expect(s->certificates[0].key, "k");
    expect(s->certificates[0].password, "pw");
    expect(s->certificates[0].ocsp_staple, "ok");
    expect(s->certificates[0].chain_path, "<inline>");
    expect(s->certificates[1].pkcs12, "p12");
    expect(s->key_log.path, "/tmp/k");
    ck_assert_uint_eq(s->key_log.n_remote, 1);
    ck_assert_uint_eq(s->key_log.n_local, 0);
    ck_assert_ptr_null(s->validation);
    done(&x);
}
END_TEST

START_TEST(a_client)
{
    struct reading x = {0};
    read_good(UP("sni: a.test, auto_host_sni: true, auto_sni_san_validation: true, "
                 "allow_renegotiation: true, max_session_keys: 7, " COMMON(
                     "validation_context: {" CA ", crl: {inline_string: crl}, "
                     "allow_expired_certificate: true, trust_chain_verification: "
                     "ACCEPT_UNTRUSTED, only_verify_leaf_cert_crl: true, max_verify_depth: 2, "
                     "verify_certificate_hash: [" HEX ", '"
                     "aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:"
                     "aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:02'], "
                     "verify_certificate_spki: ["
                     "'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='], "
                     "match_typed_subject_alt_names: [{san_type: URI, matcher: {prefix: "
                     "'spiffe://td/'}}, {san_type: OTHER_NAME, oid: 1.2.3, matcher: "
                     "{safe_regex: {regex: 'a+'}}}]}")),
              false, &x);
    const struct tls_settings *s = &x.settings;
    const struct tls_validation *v = s->validation;
    ck_assert(!s->is_server && s->auto_host_sni && s->auto_sni_san_validation);
    ck_assert(s->allow_renegotiation);
    ck_assert_uint_eq(s->max_session_keys, 7);
    expect(s->sni, "a.test");
    expect(v->trusted_ca, "ca");
    expect(v->trusted_ca_path, "<inline>");
    expect(v->crl, "crl");
    ck_assert(v->allow_expired && v->accept_untrusted && v->only_verify_leaf_crl);
    ck_assert(v->has_max_depth && v->max_depth == 2);
    ck_assert_uint_eq(v->n_hashes, 2);
    ck_assert_uint_eq(v->hashes[0][0], 0xaa);
    ck_assert_uint_eq(v->hashes[0][31], 1);
    ck_assert_uint_eq(v->hashes[1][31], 2);
    ck_assert_uint_eq(v->n_spki, 1);
    ck_assert_uint_eq(v->n_sans, 2);
    ck_assert_int_eq(v->sans[0].type, TLS_SAN_URI);
    ck_assert(string_matcher_match(&v->sans[0].matcher, BYTES("spiffe://td/x")));
    ck_assert_int_eq(v->sans[1].type, TLS_SAN_OTHER_NAME);
    expect(v->sans[1].oid, "1.2.3");
    expect(v->sans[1].matcher.text, "a+");
    done(&x);
}
END_TEST

/* What istiod writes: matchers without a type, which stand for four. */
START_TEST(untyped_matchers)
{
    struct reading x = {0};
    read_good(TRUST(CA ", match_subject_alt_names: [{exact: a}, {exact: b}]"), false, &x);
    const struct tls_validation *v = x.settings.validation;
    ck_assert_uint_eq(v->n_sans, 8);
    ck_assert_int_eq(v->sans[0].type, TLS_SAN_DNS);
    ck_assert_int_eq(v->sans[5].type, TLS_SAN_URI);
    expect(v->sans[3].matcher.text, "a");
    expect(v->sans[4].matcher.text, "b");
    done(&x);
    struct reading y = {0};
    read_good(TRUST(CA ", match_subject_alt_names: [{exact: a}], match_typed_subject_alt_names: "
                       "[{san_type: IP_ADDRESS, matcher: {exact: '::1'}}]"),
              false, &y);
    ck_assert_uint_eq(y.settings.validation->n_sans, 1);
    ck_assert_int_eq(y.settings.validation->sans[0].type, TLS_SAN_IP);
    done(&y);
}
END_TEST

START_TEST(spiffe_domains)
{
    struct reading x = {0};
    read_good(SPIFFE("trust_domains: [{name: a.test, trust_bundle: {inline_string: x}}, {name: "
                     "b.test, trust_bundle: {inline_string: z}}]"),
              false, &x);
    const struct tls_validation *v = x.settings.validation;
    ck_assert_uint_eq(v->n_spiffe, 2);
    expect(v->spiffe[1].name, "b.test");
    expect(v->spiffe[1].bundle, "z");
    done(&x);
}
END_TEST

static void write_file(const char *name, const char *text, size_t size)
{
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(text, 1, size, out), size);
    fclose(out);
}

START_TEST(files_and_variables)
{
    char yaml[500];
    struct reading x = {0};
    ck_assert_ptr_nonnull(mkdtemp(folder));
    write_file("a.pem", "chain", 5);
    setenv("XYLEM_TEST_KEY", "secret", 1);
    snprintf(yaml, sizeof(yaml),
             DOWN(COMMON("tls_certificates: [{certificate_chain: {filename: %s}, private_key: "
                         "{environment_variable: XYLEM_TEST_KEY}, watched_directory: {path: "
                         "/watched}}], validation_context: {trusted_ca: {filename: %s}}")),
             path, path);
    read_good(yaml, true, &x);
    expect(x.settings.certificates[0].chain, "chain");
    expect(x.settings.certificates[0].chain_path, path);
    expect(x.settings.certificates[0].key, "secret");
    ck_assert_uint_eq(x.reader.n_files, 2);
    expect(x.reader.files[0].path, path);
    expect(x.reader.files[0].directory, "/watched");
    expect(x.reader.files[1].directory, folder);
    done(&x);
    struct reading large = {0};
    char *much = calloc(1, TLS_DATA_MAX + 1);
    write_file("a.pem", much, TLS_DATA_MAX + 1);
    ck_assert_ptr_nonnull(strstr(read_socket(yaml, true, &large), "maximum is 1048576"));
    done(&large);
    free(much);
    unlink(path);
    rmdir(folder);
}
END_TEST

START_TEST(secrets_by_name)
{
    struct reading x = {.secret = BYTES_NONE};
    const char *yaml = DOWN(COMMON("tls_certificate_sds_secret_configs: [{name: one, sds_config: "
                                   "{ads: {}}}]"));
    read_good(yaml, true, &x);
    ck_assert(x.missing);
    ck_assert_uint_eq(x.socket->n_certificate_secrets, 1);
    expect(x.socket->certificate_secrets[0].name, "one");
    expect(x.socket->certificate_secrets[0].source->key, "ads");
    done(&x);
    struct reading y = {.secret = fixture_wire(&f, resource_type_name(RESOURCE_SECRET),
                                               "{name: one, tls_certificate: {" PAIR "}}")};
    read_good(yaml, true, &y);
    ck_assert(!y.missing);
    expect(y.settings.certificates[0].key, "k");
    done(&y);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("tls_decode");
    TCase *t = tcase_create("tls_decode");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, refused);
    tcase_add_test(t, plain_text);
    tcase_add_test(t, a_server);
    tcase_add_test(t, a_client);
    tcase_add_test(t, untyped_matchers);
    tcase_add_test(t, spiffe_domains);
    tcase_add_test(t, files_and_variables);
    tcase_add_test(t, secrets_by_name);
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
