/* What a context refuses, and in which words. */
#include "dataplane/net/tls_context.h"

#include <check.h>
#include <stdlib.h>

#include "tls_certs.h"

static struct made *ca, *web, *rsa;

static void setup(void)
{
    ca = make_certificate(NULL, &(struct wanted){.cn = "ca", .ca = true});
    web = make_certificate(ca, &(struct wanted){.cn = "web", .dns = "a.test", .ip = "1.2.3.4"});
    rsa = make_certificate(ca, &(struct wanted){.cn = "rsa", .dns = "a.test", .rsa = true});
}

static void teardown(void)
{
    made_free(&ca);
    made_free(&web);
    made_free(&rsa);
}

static void refused(const struct tls_settings *s, const char *want)
{
    struct error err = ERROR_INIT;
    struct tls_context *c = tls_context_new(s, &err);
    ck_assert_ptr_null(c);
    ck_assert_str_eq(error_text(&err), want);
    error_fini(&err);
}

static struct tls_context *made(const struct tls_settings *s)
{
    struct error err = ERROR_INIT;
    struct tls_context *c = tls_context_new(s, &err);
    ck_assert_msg(c != NULL, "%s", error_text(&err));
    return c;
}

static void refused_certificate(struct tls_certificate cert, const char *want)
{
    refused(&(struct tls_settings){.is_server = true, .certificates = &cert, .n_certificates = 1},
            want);
}

START_TEST(bad_certificates)
{
    struct tls_certificate c = made_settings(web);
    refused(&(struct tls_settings){.is_server = true},
            "No TLS certificates found for server context");
    c.chain = BYTES("x");
    refused_certificate(c, "Failed to load certificate chain from <inline>");
    c = made_settings(web);
    c.key = BYTES("x");
    refused_certificate(c, "Failed to load private key from <inline>, Cause: "
                           "error:0900006e:PEM routines:OPENSSL_internal:NO_START_LINE");
    c.key = made_key(rsa);
    refused_certificate(c, "Failed to load private key from <inline>, Cause: error:0b000073:X.509 "
                           "certificate routines:OPENSSL_internal:KEY_TYPE_MISMATCH");
    c.key = made_key(ca);
    refused_certificate(c, "Failed to load private key from <inline>, Cause: error:0b000074:X.509 "
                           "certificate routines:OPENSSL_internal:KEY_VALUES_MISMATCH");
    c.key = BYTES_NONE;
    refused_certificate(c, "Failed to load incomplete private key from path: ");
    c = made_settings(web);
    c.chain = BYTES_NONE;
    refused_certificate(c,
                        "Failed to load incomplete certificate from : certificate chain not set");
    c = (struct tls_certificate){.pkcs12 = BYTES("abc"), .chain_path = BYTES("<inline>")};
    refused_certificate(c, "Failed to load pkcs12 from <inline>");
}
END_TEST

START_TEST(short_rsa)
{
    struct made *m = make_certificate(ca, &(struct wanted){.rsa = true, .rsa_bits = 1024});
    refused_certificate(made_settings(m),
                        "Failed to load certificate chain from <inline>, only RSA certificates "
                        "with 2048-bit or larger keys are supported");
    made_free(&m);
}
END_TEST

START_TEST(encrypted_key)
{
    struct made *m = make_certificate(ca, &(struct wanted){.key_password = "abc"});
    struct tls_certificate c = made_settings(m);
    struct tls_settings s = {.is_server = true, .certificates = &c, .n_certificates = 1};
    refused(&s, "Failed to load private key from <inline>, Cause: "
                "error:09000068:PEM routines:OPENSSL_internal:BAD_PASSWORD_READ");
    c.password = BYTES("zzz");
    refused(&s, "Failed to load private key from <inline>, Cause: "
                "error:1e000065:Cipher functions:OPENSSL_internal:BAD_DECRYPT");
    c.password = BYTES("abc");
    struct tls_context *t = made(&s);
    tls_context_unref(&t);
    made_free(&m);
}
END_TEST

START_TEST(bad_parameters)
{
    struct tls_certificate c = made_settings(web);
    struct bytes list[] = {BYTES("FOO"), BYTES("ECDHE-RSA-AES128-GCM-SHA256")};
    char name[257];
    struct bytes long_name = {name, 256};
    struct tls_settings s = {.is_server = true, .certificates = &c, .n_certificates = 1};
    memset(name, 'a', sizeof(name));
    s.ciphers = list;
    s.n_ciphers = 2;
    refused(&s, "Failed to initialize cipher suites FOO:ECDHE-RSA-AES128-GCM-SHA256. The "
                "following ciphers were rejected when tried individually: FOO");
    s.n_ciphers = 0;
    s.curves = list;
    s.n_curves = 1;
    refused(&s, "Failed to initialize ECDH curves FOO");
    struct bytes curves[] = {BYTES("X25519"), BYTES("P-256:prime256v1")};
    s.curves = curves;
    s.n_curves = 2;
    refused(&s, "Failed to initialize ECDH curves X25519:P-256:prime256v1");
    curves[1] = BYTES("P-224");
    refused(&s, "Failed to initialize ECDH curves X25519:P-224");
    s.n_curves = 0;
    s.signature_algorithms = list;
    s.n_signature_algorithms = 1;
    refused(&s, "Failed to initialize TLS signature algorithms FOO");
    s.n_signature_algorithms = 0;
    s.alpn = &long_name;
    s.n_alpn = 1;
    refused(&s, "Invalid ALPN protocol string");
    s.n_alpn = 0;
    s.key_log.path = BYTES("/nonexistent/x");
    refused(&s, "unable to open file '/nonexistent/x': No such file or directory");
}
END_TEST

START_TEST(bad_validation)
{
    struct tls_certificate c = made_settings(web);
    struct tls_san_matcher san = {.type = TLS_SAN_DNS, .matcher = {.text = BYTES("a")}};
    struct tls_validation v = {.trusted_ca = BYTES("x"), .trusted_ca_path = BYTES("<inline>")};
    struct tls_settings s = {
        .is_server = true, .certificates = &c, .n_certificates = 1, .validation = &v};
    refused(&s, "Failed to load trusted CA certificates from <inline>");
    v.trusted_ca = BYTES_NONE;
    v.crl = made_crl(ca, NULL);
    refused(&s, "Failed to load CRL from <inline> without trusted CA");
    v.trusted_ca = made_pem(ca);
    v.crl = BYTES("x");
    refused(&s, "Failed to load CRL from <inline>");
    v.trusted_ca = v.crl = BYTES_NONE;
    v.sans = &san;
    v.n_sans = 1;
    refused(&s, "SAN-based verification of peer certificates without trusted CA is insecure and "
                "not allowed");
}
END_TEST

START_TEST(staples)
{
    struct made *must = make_certificate(ca, &(struct wanted){.must_staple = true});
    struct tls_certificate c = made_settings(web);
    struct tls_settings s = {.is_server = true, .certificates = &c, .n_certificates = 1};
    s.ocsp_policy = TLS_OCSP_MUST_STAPLE;
    refused(&s, "Required OCSP response is missing from TLS context");
    c.ocsp_staple = BYTES("abc");
    refused(&s, "Data contained more than a single OCSP response");
    c.ocsp_staple = BYTES("\x30\x03\x0a\x01\x06");
    refused(&s, "OCSP response was unsuccessful");
    c.ocsp_staple = made_staple(rsa, 3600);
    refused(&s, "OCSP response does not match its TLS certificate");
    c.ocsp_staple = made_staple(web, 3600);
    struct tls_context *t = made(&s);
    struct tls_cert_infos infos;
    tls_context_cert_infos(t, &infos);
    ck_assert_int_gt(infos.certificates[0].ocsp_until, infos.certificates[0].ocsp_from);
    tls_context_unref(&t);
    c = made_settings(must);
    s.ocsp_policy = TLS_OCSP_LENIENT;
    refused(&s, "OCSP response is required for must-staple certificate");
    made_free(&must);
}
END_TEST

START_TEST(clients)
{
    struct tls_certificate c[] = {made_settings(web), made_settings(rsa)};
    struct tls_settings s = {.certificates = c, .n_certificates = 2};
    refused(&s, "Multiple TLS certificates are not supported for client contexts");
    s.n_certificates = 0;
    struct tls_context *t = made(&s);
    ck_assert(!tls_context_is_server(t));
    tls_context_unref(&t);
}
END_TEST

START_TEST(told_of_certificates)
{
    struct tls_certificate c[] = {made_settings(web), made_settings(rsa)};
    struct strbuf bundle = STRBUF_INIT;
    strbuf_add_bytes(&bundle, made_pem(ca));
    strbuf_add_bytes(&bundle, made_pem(web));
    struct tls_validation v = {.trusted_ca = strbuf_bytes(&bundle),
                               .trusted_ca_path = BYTES("ca.pem")};
    struct tls_settings s = {
        .is_server = true, .certificates = c, .n_certificates = 2, .validation = &v};
    struct tls_cert_infos infos;
    struct tls_context *t = made(&s);
    strbuf_fini(&bundle);
    tls_context_cert_infos(t, &infos);
    ck_assert_uint_eq(infos.n_ca, 2);
    ck_assert_str_eq(infos.ca[0].path, "ca.pem");
    ck_assert_str_eq(infos.ca[1].serial, infos.certificates[0].serial);
    ck_assert_uint_eq(infos.n_certificates, 2);
    const struct tls_cert_info *i = &infos.certificates[0];
    ck_assert_str_eq(i->path, "<inline>");
    ck_assert_uint_eq(i->n_sans, 2);
    ck_assert_int_eq(i->sans[0].type, TLS_SAN_DNS);
    ck_assert_str_eq(i->sans[0].value, "a.test");
    ck_assert_str_eq(i->sans[1].value, "1.2.3.4");
    ck_assert_int_eq(i->not_after - i->not_before, 31 * 86400);
    tls_context_unref(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls_context");
    TCase *t = tcase_create("all");
    tcase_add_unchecked_fixture(t, setup, teardown);
    tcase_add_test(t, bad_certificates);
    tcase_add_test(t, short_rsa);
    tcase_add_test(t, encrypted_key);
    tcase_add_test(t, bad_parameters);
    tcase_add_test(t, bad_validation);
    tcase_add_test(t, staples);
    tcase_add_test(t, clients);
    tcase_add_test(t, told_of_certificates);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
