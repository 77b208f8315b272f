/* Certificates as text: for access logs, x-forwarded-client-cert and /certs. */
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <time.h>

#include "base/strbuf.h"
#include "dataplane/net/tls_internal.h"

static struct bytes hex(const uint8_t *data, size_t len, struct arena *a)
{
    static const char digits[] = "0123456789abcdef";
    char *out = arena_alloc(a, len * 2 + 1);
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = '\0';
    return bytes_from(out, len * 2);
}

struct bytes tls_text_serial(X509 *x, struct arena *a)
{
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    char *text = n ? BN_bn2hex(n) : NULL;
    struct bytes out = text ? arena_dup(a, bytes_of(text)) : BYTES_NONE;
    OPENSSL_free(text);
    BN_free(n);
    return out;
}

int64_t tls_text_time(const ASN1_TIME *t)
{
    int days = 0, seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    if (epoch)
        (void)ASN1_TIME_diff(&days, &seconds, epoch, t);
    ASN1_TIME_free(epoch);
    return (int64_t)days * 86400 + seconds;
}

static struct bytes bio_text(BIO *bio, struct arena *a)
{
    const uint8_t *data;
    size_t len;
    struct bytes out = BIO_mem_contents(bio, &data, &len) && len
                           ? arena_dup(a, bytes_from((const char *)data, len))
                           : BYTES_NONE;
    BIO_free(bio);
    return out;
}

static struct bytes name_text(X509_NAME *name, struct arena *a)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        return BYTES_NONE;
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    return bio_text(bio, a);
}

/* Letters, digits, '-', '.', '_' and '~' stay. */
static struct bytes url_encoded(struct bytes b, struct arena *a)
{
    char *out = arena_alloc(a, b.len * 3 + 1);
    size_t n = 0;
    for (size_t i = 0; i < b.len; i++) {
        unsigned char c = (unsigned char)b.data[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c))
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, 4, "%%%02X", c);
    }
    return bytes_from(out, n);
}

static void add_pem(BIO *bio, X509 *x)
{
    if (x)
        PEM_write_bio_X509(bio, x);
}

static struct bytes pem_text(const struct tls_connection *c, bool chain, struct arena *a)
{
    BIO *bio = BIO_new(BIO_s_mem());
    STACK_OF(X509) *all = chain ? SSL_get_peer_full_cert_chain(c->ssl) : NULL;
    if (!bio)
        return BYTES_NONE;
    if (!chain)
        add_pem(bio, c->peer);
    for (size_t i = 0; i < (all ? sk_X509_num(all) : 0); i++)
        add_pem(bio, sk_X509_value(all, i));
    return url_encoded(bio_text(bio, a), a);
}

static struct bytes digest_text(X509 *x, const EVP_MD *md, struct arena *a)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    return x && X509_digest(x, md, digest, &len) ? hex(digest, len, a) : BYTES_NONE;
}

unsigned tls_text_names(X509 *x, enum tls_san_type type, struct arena *a, struct bytes **out)
{
    GENERAL_NAMES *names = x ? X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL) : NULL;
    size_t all = names ? sk_GENERAL_NAME_num(names) : 0;
    unsigned n = 0;
    *out = ARENA_ARRAY(a, struct bytes, all + 1);
    for (size_t k = 0; k < all; k++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, k);
        enum tls_san_type t;
        char buf[TLS_SAN_TEXT_MAX];
        struct bytes text;
        if (tls_san_type_of(g, &t) && t == type && tls_san_text(g, &text, buf))
            (*out)[n++] = arena_dup(a, text);
    }
    GENERAL_NAMES_free(names);
    return n;
}

/* A name may hold any byte: what would end a line is written as in a subject. */
static void add_name(struct strbuf *out, struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c < 0x20 || c == 0x7f)
            strbuf_printf(out, "\\%02X", c);
        else
            strbuf_add_char(out, (char)c);
    }
}

static struct bytes sans_text(X509 *x, enum tls_san_type type, struct arena *a)
{
    struct strbuf out = STRBUF_INIT;
    struct bytes *names;
    unsigned n = tls_text_names(x, type, a, &names);
    for (unsigned i = 0; i < n; i++) {
        if (i)
            strbuf_add_char(&out, ',');
        add_name(&out, names[i]);
    }
    struct bytes text = strbuf_bytes(&out).len ? arena_dup(a, strbuf_bytes(&out)) : BYTES_NONE;
    strbuf_fini(&out);
    return text;
}

static struct bytes session_text(const SSL *ssl, struct arena *a)
{
    unsigned len = 0;
    const SSL_SESSION *s = SSL_get_session(ssl);
    const uint8_t *id = s ? SSL_SESSION_get_id(s, &len) : NULL;
    return len && SSL_version(ssl) < TLS1_3_VERSION ? hex(id, len, a) : BYTES_NONE;
}

/* Of all that the peer showed, its own first. */
static struct bytes chain_text(const struct tls_connection *c, enum tls_question q, struct arena *a)
{
    STACK_OF(X509) *all = SSL_get_peer_full_cert_chain(c->ssl);
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < (all ? sk_X509_num(all) : 0); i++) {
        X509 *x = sk_X509_value(all, i);
        if (i)
            strbuf_add_char(&out, ',');
        strbuf_add_bytes(&out, q == TLS_PEER_CHAIN_SERIALS ? tls_text_serial(x, a)
                               : q == TLS_PEER_CHAIN_FINGERPRINTS_256
                                   ? digest_text(x, EVP_sha256(), a)
                                   : digest_text(x, EVP_sha1(), a));
    }
    struct bytes text = out.len ? arena_dup(a, strbuf_bytes(&out)) : BYTES_NONE;
    strbuf_fini(&out);
    return text;
}

static bool issued(X509 *issuer, X509 *x)
{
    bool ok = X509_check_issued(issuer, x) == X509_V_OK;
    ERR_clear_error();
    return ok;
}

/* Shown by the peer, or one that is trusted. NULL where nothing was verified. */
static X509 *issuer_of(const struct tls_connection *c)
{
    STACK_OF(X509) *all = SSL_get_peer_full_cert_chain(c->ssl);
    const struct tls_policy *p = &c->context->policy;
    if (!c->validated)
        return NULL;
    for (size_t i = 1; i < (all ? sk_X509_num(all) : 0); i++) {
        if (issued(sk_X509_value(all, i), c->peer))
            return sk_X509_value(all, i);
    }
    for (unsigned i = 0; i < p->n_ca_certs; i++) {
        if (issued(p->ca_certs[i], c->peer))
            return p->ca_certs[i];
    }
    return NULL;
}

static struct bytes issuer_text(const struct tls_connection *c, enum tls_question q,
                                struct arena *a)
{
    X509 *x = issuer_of(c);
    if (!x)
        return BYTES_NONE;
    return q == TLS_PEER_ISSUER_SERIAL ? tls_text_serial(x, a) : digest_text(x, EVP_sha256(), a);
}

static struct bytes peer_text(const struct tls_connection *c, enum tls_question q, struct arena *a)
{
    X509 *x = c->peer;
    if (!x)
        return BYTES_NONE;
    switch (q) {
    case TLS_PEER_SUBJECT:
        return name_text(X509_get_subject_name(x), a);
    case TLS_PEER_ISSUER:
        return name_text(X509_get_issuer_name(x), a);
    case TLS_PEER_SERIAL:
        return tls_text_serial(x, a);
    case TLS_PEER_FINGERPRINT_256:
        return digest_text(x, EVP_sha256(), a);
    case TLS_PEER_FINGERPRINT_1:
        return digest_text(x, EVP_sha1(), a);
    case TLS_PEER_CERT_PEM_URLENCODED:
    case TLS_PEER_CHAIN_PEM_URLENCODED:
        return pem_text(c, q == TLS_PEER_CHAIN_PEM_URLENCODED, a);
    case TLS_PEER_URI_SANS:
        return sans_text(x, TLS_SAN_URI, a);
    case TLS_PEER_DNS_SANS:
        return sans_text(x, TLS_SAN_DNS, a);
    case TLS_PEER_IP_SANS:
        return sans_text(x, TLS_SAN_IP, a);
    case TLS_PEER_EMAIL_SANS:
        return sans_text(x, TLS_SAN_EMAIL, a);
    case TLS_PEER_OTHERNAME_SANS:
        return sans_text(x, TLS_SAN_OTHER_NAME, a);
    case TLS_PEER_CHAIN_FINGERPRINTS_256:
    case TLS_PEER_CHAIN_FINGERPRINTS_1:
    case TLS_PEER_CHAIN_SERIALS:
        return chain_text(c, q, a);
    case TLS_PEER_ISSUER_FINGERPRINT_256:
    case TLS_PEER_ISSUER_SERIAL:
        return issuer_text(c, q, a);
    default: /* not about the peer: tls_text() */
        return BYTES_NONE;
    }
}

static struct bytes owned(const char *text, struct arena *a)
{
    return text && text[0] ? arena_dup(a, bytes_of(text)) : BYTES_NONE;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

/* In lower case. A client may say what it likes: a name that is none is marked, and nothing of it
 * ends a line or a field of a log. */
static struct bytes host_name(const char *text, struct arena *a)
{
    static const char mark[] = "invalid:";
    enum { MARK = sizeof(mark) - 1 };
    size_t n = text ? strlen(text) : 0;
    if (n == 0)
        return BYTES_NONE;
    char *out = arena_alloc(a, MARK + n);
    bool good = true;
    memcpy(out, mark, MARK);
    for (size_t i = 0; i < n; i++) {
        char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
        good &= is_host_char(c);
        out[MARK + i] = is_host_char(c) ? c : '_';
    }
    return good ? bytes_from(out + MARK, n) : bytes_from(out, MARK + n);
}

/* Of an upstream it is the configuration's, as it stands there. */
static struct bytes server_name(const struct tls_connection *c, struct arena *a)
{
    const char *name = SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
    return c->context->is_server ? host_name(name, a) : owned(name, a);
}

static struct bytes local_text(X509 *x, enum tls_question q, struct arena *a)
{
    switch ((int)q) {
    case TLS_LOCAL_URI_SANS:
        return sans_text(x, TLS_SAN_URI, a);
    case TLS_LOCAL_DNS_SANS:
        return sans_text(x, TLS_SAN_DNS, a);
    case TLS_LOCAL_IP_SANS:
        return sans_text(x, TLS_SAN_IP, a);
    case TLS_LOCAL_EMAIL_SANS:
        return sans_text(x, TLS_SAN_EMAIL, a);
    case TLS_LOCAL_OTHERNAME_SANS:
        return sans_text(x, TLS_SAN_OTHER_NAME, a);
    default:
        return x ? name_text(X509_get_subject_name(x), a) : BYTES_NONE;
    }
}

struct bytes tls_text(const struct tls_connection *c, enum tls_question q, struct arena *a)
{
    X509 *local = c->identity ? c->identity->leaf : NULL;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(c->ssl);
    switch (q) {
    case TLS_VERSION:
        return owned(SSL_get_version(c->ssl), a);
    case TLS_CIPHER:
        return owned(cipher ? SSL_CIPHER_get_name(cipher) : NULL, a);
    case TLS_CIPHER_ID:
        return cipher ? arena_u64(a, SSL_CIPHER_get_protocol_id(cipher)) : BYTES_NONE;
    case TLS_GROUP:
        return owned(SSL_get_curve_name(SSL_get_curve_id(c->ssl)), a);
    case TLS_SESSION_ID:
        return session_text(c->ssl, a);
    case TLS_SERVER_NAME:
        return server_name(c, a);
    case TLS_JA3:
        return owned(c->ja3, a);
    case TLS_JA4:
        return owned(c->ja4, a);
    case TLS_LOCAL_SUBJECT:
    case TLS_LOCAL_URI_SANS:
    case TLS_LOCAL_DNS_SANS:
    case TLS_LOCAL_IP_SANS:
    case TLS_LOCAL_EMAIL_SANS:
    case TLS_LOCAL_OTHERNAME_SANS:
        return local_text(local, q, a);
    default:
        return peer_text(c, q, a);
    }
}
