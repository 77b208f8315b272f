/* Names of a certificate against what a configuration wants: whatever the names are made of, a
 * plain reading of RFC 6125 and of types says the same.
 *
 *     type of the rule, length of the wanted name, the wanted name, subjectAltName (DER) ... */
#include "dataplane/net/tls_internal.h"
#include "fuzz.h"

enum { INPUT_MAX = 8192, LIST_MAX = 100 };

static const int kinds[] = {[TLS_SAN_EMAIL] = GEN_EMAIL,
                            [TLS_SAN_DNS] = GEN_DNS,
                            [TLS_SAN_URI] = GEN_URI,
                            [TLS_SAN_IP] = GEN_IPADD,
                            [TLS_SAN_OTHER_NAME] = GEN_OTHERNAME};

static X509 *certificate_of(struct bytes der)
{
    X509 *x = X509_new();
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    CHECK(x && value && ASN1_OCTET_STRING_set(value, (const uint8_t *)der.data, (int)der.len));
    X509_EXTENSION *e = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
    CHECK(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(value);
    return x;
}

static bool same_letters(struct bytes a, struct bytes b)
{
    bool same = a.len == b.len;
    for (size_t i = 0; same && i < a.len; i++)
        same = ascii_lower(a.data[i]) == ascii_lower(b.data[i]);
    return same;
}

/* One label for a star that stands alone at the front; no star anywhere else. */
static bool is_host(struct bytes pattern, struct bytes name)
{
    struct bytes rest = pattern, behind = name;
    if (same_letters(pattern, name))
        return true;
    struct bytes star = bytes_split(&rest, '.'), label = bytes_split(&behind, '.');
    return bytes_eq_str(star, "*") && rest.len && label.len && label.len < name.len &&
           same_letters(rest, behind);
}

static bool naive(const GENERAL_NAME *g, enum tls_san_type type, struct bytes wanted)
{
    char buf[TLS_SAN_TEXT_MAX];
    struct bytes text;
    if (g->type != kinds[type] || !tls_san_text(g, &text, buf))
        return false;
    FUZZ_CHECK(text.len && !memchr(text.data, 0, text.len), "a name of %zu with a NUL", text.len);
    return type == TLS_SAN_DNS ? is_host(text, wanted) : bytes_eq(text, wanted);
}

static bool any(const GENERAL_NAMES *names, enum tls_san_type type, struct bytes wanted)
{
    bool found = false;
    for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names); i++)
        found |= naive(sk_GENERAL_NAME_value(names, i), type, wanted);
    return found;
}

static bool by_rule(X509 *x, enum tls_san_type type, struct bytes wanted)
{
    struct tls_san_rule rule = {.type = type, .matcher = {.kind = STRING_EXACT, .text = wanted}};
    struct tls_context c = {.policy = {.sans = &rule, .n_sans = 1}};
    return tls_san_any_matches(&c, x);
}

static void check_list(X509 *x, struct bytes wanted, const GENERAL_NAMES *names)
{
    char text[LIST_MAX];
    bool expected = false;
    memset(text, 'x', sizeof(text));
    tls_san_list_text(x, text, sizeof(text));
    FUZZ_CHECK(memchr(text, 0, sizeof(text)), "no end");
    for (unsigned type = TLS_SAN_EMAIL; type <= TLS_SAN_IP; type++)
        expected |= any(names, type, wanted);
    FUZZ_CHECK(tls_san_listed(x, &wanted, 1) == expected, "listed: %d expected", expected);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    if (input.len > INPUT_MAX)
        return;
    enum tls_san_type type = (enum tls_san_type)fuzz_below(&in, TLS_SAN_OTHER_NAME);
    struct bytes wanted = fuzz_take(&in, fuzz_u8(&in));
    X509 *x = certificate_of(in.rest);
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool expected = any(names, type, wanted);
    FUZZ_CHECK(by_rule(x, type, wanted) == expected, "type %u: %d expected", type, expected);
    expected = any(names, TLS_SAN_DNS, wanted);
    FUZZ_CHECK(tls_san_dns_is(x, wanted) == expected, "as a host: %d expected", expected);
    check_list(x, wanted, names);
    GENERAL_NAMES_free(names);
    X509_free(x);
}

const struct fuzz_target fuzz_target = {.run = run};
