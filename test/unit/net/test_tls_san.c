/* Names of certificates that lie: made one by one, each against a rule that must not take it. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/net/tls_internal.h"
#include "tls_certs.h"

static struct made *ca;

static void setup(void)
{
    ca = make_certificate(NULL, &(struct wanted){.cn = "ca", .ca = true});
}

static void teardown(void)
{
    made_free(&ca);
}

static bool judge(struct tls_san_matcher *rule, const struct wanted *w)
{
    struct tls_validation v = {.trusted_ca = made_pem(ca), .sans = rule, .n_sans = 1};
    struct tls_settings s = {.validation = &v};
    struct error err = ERROR_INIT;
    struct tls_context *c = tls_context_new(&s, &err);
    ck_assert_msg(c != NULL, "%s", error_text(&err));
    struct made *m = make_certificate(ca, w);
    STACK_OF(X509) *all = tls_pem_certificates(made_pem(m), NULL);
    bool good = tls_san_any_matches(c, sk_X509_value(all, 0));
    sk_X509_pop_free(all, X509_free);
    made_free(&m);
    tls_context_unref(&c);
    return good;
}

/* Does a rule take a certificate whose one DNS name is this? */
static bool accepts(enum tls_san_type type, enum string_match kind, const char *wanted,
                    struct bytes name)
{
    struct tls_san_matcher rule = {.type = type,
                                   .matcher = {.kind = kind, .text = bytes_of(wanted)}};
    return judge(&rule, &(struct wanted){.raw_dns = name});
}

/* 200 names made from a good one by one small lie each: case and one whole label are none. */
START_TEST(generated_names)
{
    static const char wanted[] = "abc.def.test";
    for (unsigned i = 0; i < 200; i++) {
        char text[64];
        size_t n = sizeof(wanted) - 1, at = i / 10 % n;
        bool good = false;
        memcpy(text, wanted, sizeof(wanted));
        switch (i % 10) {
        case 0: /* in capitals */
            text[at] = (char)toupper((unsigned char)text[at]);
            good = true;
            break;
        case 1: /* a star for the first label, or for more of the name, or for less */
            n = (size_t)snprintf(text, sizeof(text), "*%s", wanted + at);
            good = at == 3;
            break;
        case 2: /* a NUL and something behind it */
            text[n] = '\0';
            n += (size_t)snprintf(text + n + 1, 32, "evil%u", i) + 1;
            break;
        case 3: /* a NUL inside */
            text[at] = '\0';
            break;
        case 4: /* a byte of UTF-8 that looks like another */
            text[at] = (char)0xd0;
            break;
        case 5: /* cut */
            n = at;
            break;
        case 6: /* longer at its front or end */
            n = (size_t)snprintf(text, sizeof(text), at % 2 ? "x%s" : "%s.x", wanted);
            break;
        case 7: /* an address as a name */
            n = (size_t)snprintf(text, sizeof(text), "10.0.0.%u", i);
            break;
        case 8: /* a star inside, or at the end */
            text[at] = '*';
            break;
        case 9: /* a dot or a space after it */
            text[n++] = at % 2 ? '.' : ' ';
            break;
        }
        ck_assert_msg(accepts(TLS_SAN_DNS, STRING_EXACT, wanted, bytes_from(text, n)) == good,
                      "name %u: %.*s", i, (int)n, text);
    }
}
END_TEST

/* E 2025-66220: of two readings of a name with a NUL inside none is taken, whatever the rule. */
START_TEST(nul_inside)
{
    static const struct {
        enum string_match kind;
        const char *text;
    } rules[] = {{STRING_EXACT, "a.test"},  {STRING_EXACT, "evil"},      {STRING_PREFIX, "a.test"},
                 {STRING_SUFFIX, ".evil"},  {STRING_CONTAINS, "a.test"}, {STRING_REGEX, "(?s).*"},
                 {STRING_REGEX, "a.test.*"}};
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        ck_assert_msg(!accepts(TLS_SAN_DNS, rules[i].kind, rules[i].text, BYTES("a.test\0.evil")),
                      "rule %zu", i);
        ck_assert(!accepts(TLS_SAN_DNS, rules[i].kind, rules[i].text, BYTES("a.test\0")));
        ck_assert(!accepts(TLS_SAN_DNS, rules[i].kind, rules[i].text, BYTES("\0a.test")));
    }
    ck_assert(accepts(TLS_SAN_DNS, STRING_REGEX, "(?s).*", BYTES("a.test")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls_san");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, generated_names);
    tcase_add_test(c, nul_inside);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
