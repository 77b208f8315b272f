/* The names of a certificate, each compared as what it is: a DNS name never matches a rule for a
 * URI, and a value with a NUL inside of it matches nothing. */
#include <arpa/inet.h>
#include <openssl/obj.h>

#include "dataplane/net/tls_internal.h"

static struct bytes text_of(const ASN1_STRING *s)
{
    return bytes_from((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static bool plain(struct bytes b)
{
    return b.len > 0 && !memchr(b.data, '\0', b.len);
}

static bool address_text(const ASN1_OCTET_STRING *s, struct bytes *out, char buf[TLS_SAN_TEXT_MAX])
{
    int family = ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6;
    if (ASN1_STRING_length(s) != 4 && ASN1_STRING_length(s) != 16)
        return false;
    if (!inet_ntop(family, ASN1_STRING_get0_data(s), buf, TLS_SAN_TEXT_MAX))
        return false;
    *out = bytes_of(buf);
    return true;
}

static bool other_text(const ASN1_TYPE *v, struct bytes *out)
{
    switch (v->type) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_T61STRING:
    case V_ASN1_VISIBLESTRING:
    case V_ASN1_NUMERICSTRING:
    case V_ASN1_OCTET_STRING:
        *out = text_of(v->value.asn1_string);
        return plain(*out);
    default: /* the library's numbers, not an enum of ours */
        return false;
    }
}

bool tls_san_type_of(const GENERAL_NAME *name, enum tls_san_type *type)
{
    switch (name->type) {
    case GEN_DNS:
        *type = TLS_SAN_DNS;
        return true;
    case GEN_URI:
        *type = TLS_SAN_URI;
        return true;
    case GEN_EMAIL:
        *type = TLS_SAN_EMAIL;
        return true;
    case GEN_IPADD:
        *type = TLS_SAN_IP;
        return true;
    case GEN_OTHERNAME:
        *type = TLS_SAN_OTHER_NAME;
        return true;
    default: /* directory names and the like are compared by nothing */
        return false;
    }
}

bool tls_san_text(const GENERAL_NAME *name, struct bytes *out, char buf[TLS_SAN_TEXT_MAX])
{
    switch (name->type) {
    case GEN_DNS:
    case GEN_URI:
    case GEN_EMAIL:
        *out = text_of(name->d.ia5);
        return plain(*out);
    case GEN_IPADD:
        return address_text(name->d.iPAddress, out, buf);
    case GEN_OTHERNAME:
        return other_text(name->d.otherName->value, out);
    default:
        return false;
    }
}

bool tls_name_matches(struct bytes pattern, struct bytes name)
{
    if (bytes_eq_nocase(pattern, name))
        return true;
    /* One whole label for the star, and something of two labels at least behind it */
    if (pattern.len < 3 || !bytes_starts_with(pattern, BYTES("*.")))
        return false;
    ptrdiff_t dot = bytes_find_char(name, '.');
    return dot > 0 && bytes_eq_nocase(bytes_skip(pattern, 1), bytes_skip(name, (size_t)dot));
}

static bool rule_matches(const struct tls_san_rule *r, const GENERAL_NAME *name)
{
    enum tls_san_type type;
    char buf[TLS_SAN_TEXT_MAX];
    struct bytes text;
    if (!tls_san_type_of(name, &type) || type != r->type || !tls_san_text(name, &text, buf))
        return false;
    if (type == TLS_SAN_OTHER_NAME && OBJ_cmp(name->d.otherName->type_id, r->oid) != 0)
        return false;
    if (type == TLS_SAN_DNS && r->matcher.kind == STRING_EXACT)
        return tls_name_matches(text, r->matcher.text);
    return string_matcher_match(&r->matcher, text);
}

static GENERAL_NAMES *names_of(X509 *leaf)
{
    return X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
}

bool tls_san_any_matches(const struct tls_context *c, X509 *leaf)
{
    GENERAL_NAMES *names = names_of(leaf);
    bool found = false;
    for (size_t i = 0; names && !found && i < sk_GENERAL_NAME_num(names); i++) {
        for (unsigned k = 0; k < c->policy.n_sans && !found; k++)
            found = rule_matches(&c->policy.sans[k], sk_GENERAL_NAME_value(names, i));
    }
    GENERAL_NAMES_free(names);
    return found;
}

static bool listed(const GENERAL_NAME *name, const struct bytes *list, unsigned n)
{
    char buf[TLS_SAN_TEXT_MAX];
    struct bytes text;
    if (!tls_san_text(name, &text, buf) || name->type == GEN_OTHERNAME)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (name->type == GEN_DNS ? tls_name_matches(text, list[i]) : bytes_eq(text, list[i]))
            return true;
    }
    return false;
}

bool tls_san_listed(X509 *leaf, const struct bytes *list, unsigned n)
{
    GENERAL_NAMES *names = names_of(leaf);
    bool found = false;
    for (size_t i = 0; names && !found && i < sk_GENERAL_NAME_num(names); i++)
        found = listed(sk_GENERAL_NAME_value(names, i), list, n);
    GENERAL_NAMES_free(names);
    return found;
}

bool tls_san_dns_is(X509 *leaf, struct bytes name)
{
    GENERAL_NAMES *names = names_of(leaf);
    bool found = false;
    for (size_t i = 0; names && !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        struct bytes text;
        char buf[TLS_SAN_TEXT_MAX];
        found = g->type == GEN_DNS && tls_san_text(g, &text, buf) && tls_name_matches(text, name);
    }
    GENERAL_NAMES_free(names);
    return found;
}

void tls_san_list_text(X509 *leaf, char *buf, size_t max)
{
    GENERAL_NAMES *names = names_of(leaf);
    size_t at = 0;
    buf[0] = '\0';
    for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        char address[TLS_SAN_TEXT_MAX];
        struct bytes text;
        if (!tls_san_text(sk_GENERAL_NAME_value(names, i), &text, address))
            continue;
        size_t need = text.len + (at ? 2 : 0);
        if (need >= max - at)
            break;
        if (at)
            memcpy(buf + at, ", ", 2);
        memcpy(buf + at + (at ? 2 : 0), text.data, text.len);
        at += need;
        buf[at] = '\0';
    }
    GENERAL_NAMES_free(names);
}
