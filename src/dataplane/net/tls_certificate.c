/* Certificates and keys that a context presents: read, checked against each other, kept as DER for
 * the wire. */
#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>

#include "base/memory.h"
#include "dataplane/net/tls_internal.h"

enum { CHAIN_MAX = 64, RSA_BITS_MIN = 2048 };

void tls_library_error(char *buf, size_t size)
{
    uint32_t code = ERR_get_error();
    ERR_error_string_n(code, buf, size);
    ERR_clear_error();
}

/* Text or arena: `path` is "<inline>", a file's name, or nothing. */
static bool key_failed(struct error *err, struct bytes path)
{
    char cause[256];
    tls_library_error(cause, sizeof(cause));
    return error_set(err, "Failed to load private key from %.*s, Cause: %s", BYTES_ARG(path),
                     cause);
}

static bool at_end_of_pem(void)
{
    uint32_t e = ERR_peek_last_error();
    bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return end;
}

STACK_OF(X509) * tls_pem_certificates(struct bytes pem, STACK_OF(X509_CRL) * *crls)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (ptrdiff_t)pem.len);
    STACK_OF(X509) *out = sk_X509_new_null();
    STACK_OF(X509_INFO) *infos = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;
    for (size_t i = 0; infos && i < sk_X509_INFO_num(infos); i++) {
        X509_INFO *info = sk_X509_INFO_value(infos, i);
        if (info->x509 && X509_up_ref(info->x509))
            sk_X509_push(out, info->x509);
        if (info->crl && crls && X509_CRL_up_ref(info->crl))
            sk_X509_CRL_push(*crls, info->crl);
    }
    bool ok = infos != NULL;
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    BIO_free(bio);
    ERR_clear_error();
    if (ok)
        return out;
    sk_X509_pop_free(out, X509_free);
    return NULL;
}

static CRYPTO_BUFFER *der_of(X509 *x)
{
    uint8_t *der = NULL;
    int len = i2d_X509(x, &der);
    CRYPTO_BUFFER *b = len > 0 ? CRYPTO_BUFFER_new(der, (size_t)len, NULL) : NULL;
    OPENSSL_free(der);
    return b;
}

static bool add_to_chain(struct tls_identity *id, X509 *x)
{
    if (id->n_chain == CHAIN_MAX)
        return false;
    CRYPTO_BUFFER *b = der_of(x);
    if (b)
        id->chain[id->n_chain++] = b;
    return b != NULL;
}

static bool read_chain(struct tls_identity *id, struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (ptrdiff_t)pem.len);
    bool ok = bio != NULL;
    while (ok) {
        X509 *x = id->leaf ? PEM_read_bio_X509(bio, NULL, NULL, NULL)
                           : PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
        if (!x)
            break;
        ok = add_to_chain(id, x);
        if (!id->leaf)
            id->leaf = x;
        else
            X509_free(x);
    }
    BIO_free(bio);
    return ok && at_end_of_pem() && id->leaf;
}

static int give_password(char *buf, int size, int rwflag, void *ctx)
{
    const struct bytes *password = ctx;
    (void)rwflag;
    if (!password->data || password->len > (size_t)size)
        return -1;
    memcpy(buf, password->data, password->len);
    return (int)password->len;
}

static bool read_key(struct tls_identity *id, const struct tls_certificate *c, struct error *err)
{
    struct bytes password = c->password;
    BIO *bio = BIO_new_mem_buf(c->key.data, (ptrdiff_t)c->key.len);
    id->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, &password) : NULL;
    BIO_free(bio);
    if (!id->key || !X509_check_private_key(id->leaf, id->key))
        return key_failed(err, c->key_path);
    ERR_clear_error();
    return true;
}

static bool read_pem(struct tls_identity *id, const struct tls_certificate *c, struct error *err)
{
    if (c->chain.len == 0)
        return error_set(err, "Failed to load incomplete %s",
                         c->key.len ? "certificate from : certificate chain not set"
                                    : "private key from path: ");
    if (c->key.len == 0)
        return error_set(err, "Failed to load incomplete private key from path: ");
    if (!read_chain(id, c->chain))
        return error_set(err, "Failed to load certificate chain from %.*s",
                         BYTES_ARG(c->chain_path));
    return read_key(id, c, err);
}

static bool read_pkcs12(struct tls_identity *id, const struct tls_certificate *c, struct arena *a,
                        struct error *err)
{
    const uint8_t *der = (const uint8_t *)c->pkcs12.data;
    const char *password = c->password.data ? arena_str(a, c->password) : NULL;
    STACK_OF(X509) *more = NULL;
    PKCS12 *p12 = d2i_PKCS12(NULL, &der, c->pkcs12.len);
    bool ok = p12 && PKCS12_parse(p12, password, &id->key, &id->leaf, &more) && id->leaf &&
              id->key && add_to_chain(id, id->leaf);
    for (size_t i = 0; ok && i < (more ? sk_X509_num(more) : 0); i++)
        ok = add_to_chain(id, sk_X509_value(more, i));
    sk_X509_pop_free(more, X509_free);
    PKCS12_free(p12);
    if (password)
        OPENSSL_cleanse((char *)(uintptr_t)password, c->password.len);
    ERR_clear_error();
    return ok || error_set(err, "Failed to load pkcs12 from %.*s", BYTES_ARG(c->chain_path));
}

static bool check_key_kind(struct tls_identity *id, struct bytes path, struct error *err)
{
    EVP_PKEY *key = X509_get_pubkey(id->leaf);
    int kind = key ? EVP_PKEY_id(key) : 0, bits = key ? EVP_PKEY_bits(key) : 0, curve = 0;
    if (kind == EVP_PKEY_EC)
        curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
    EVP_PKEY_free(key);
    if (kind == EVP_PKEY_RSA && bits < RSA_BITS_MIN)
        return error_set(err,
                         "Failed to load certificate chain from %.*s, only RSA certificates with "
                         "2048-bit or larger keys are supported",
                         BYTES_ARG(path));
    if (kind == EVP_PKEY_RSA || kind == EVP_PKEY_ED25519)
        return true;
    id->group = curve == NID_X9_62_prime256v1 ? SSL_CURVE_SECP256R1
                : curve == NID_secp384r1      ? SSL_CURVE_SECP384R1
                : curve == NID_secp521r1      ? SSL_CURVE_SECP521R1
                                              : 0;
    return id->group ||
           error_set(err,
                     "Failed to load certificate chain from %.*s, only P-256, P-384 or P-521 "
                     "ECDSA certificates are supported",
                     BYTES_ARG(path));
}

/* --- names --- */

static struct bytes lower(struct arena *a, struct bytes b)
{
    char *out = arena_str(a, b);
    for (size_t i = 0; i < b.len; i++)
        out[i] = ascii_lower(out[i]);
    return bytes_from(out, b.len);
}

static struct bytes common_name(X509 *x)
{
    X509_NAME *name = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0)
        return BYTES_NONE;
    ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    return bytes_from((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static void take_names(struct arena *a, struct tls_identity *id)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(id->leaf, NID_subject_alt_name, NULL, NULL);
    size_t n = names ? sk_GENERAL_NAME_num(names) : 0;
    id->names = ARENA_ARRAY(a, struct bytes, n + 1);
    for (size_t i = 0; i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        char buf[TLS_SAN_TEXT_MAX];
        struct bytes text;
        if (g->type == GEN_DNS && tls_san_text(g, &text, buf))
            id->names[id->n_names++] = lower(a, text);
    }
    bool unnamed = !names;
    GENERAL_NAMES_free(names);
    struct bytes cn = common_name(id->leaf);
    if (unnamed && cn.len > 0 && !memchr(cn.data, '\0', cn.len))
        id->names[id->n_names++] = lower(a, cn);
}

/* --- OCSP --- */

static bool asks_for_staple(X509 *x)
{
    ASN1_OBJECT *feature = OBJ_txt2obj("1.3.6.1.5.5.7.1.24", 1);
    bool found = feature && X509_get_ext_by_OBJ(x, feature, -1) >= 0;
    ASN1_OBJECT_free(feature);
    return found;
}

static bool serial_is(X509 *x, struct bytes content)
{
    uint8_t *der = NULL;
    int len = i2d_ASN1_INTEGER(X509_get_serialNumber(x), &der);
    /* Short form of the length: a serial number is not longer */
    bool same = len > 2 && der[1] < 0x80 &&
                bytes_eq(bytes_from((const char *)der + 2, (size_t)len - 2), content);
    OPENSSL_free(der);
    return same;
}

static bool take_staple(struct tls_context *c, struct tls_identity *id, struct bytes staple,
                        struct error *err)
{
    struct tls_ocsp o;
    id->must_staple = asks_for_staple(id->leaf);
    if (staple.len == 0) {
        if (id->must_staple)
            return error_set(err, "OCSP response is required for must-staple certificate");
        return c->ocsp_policy != TLS_OCSP_MUST_STAPLE ||
               error_set(err, "Required OCSP response is missing from TLS context");
    }
    if (!tls_ocsp_parse(staple, &o))
        return error_set(err, "Data contained more than a single OCSP response");
    if (!o.good)
        return error_set(err, "OCSP response was unsuccessful");
    if (!serial_is(id->leaf, o.serial))
        return error_set(err, "OCSP response does not match its TLS certificate");
    id->staple = arena_dup(c->arena, staple);
    id->staple_from = o.from;
    id->staple_until = o.until;
    return true;
}

static bool load(struct tls_context *c, struct tls_identity *id, const struct tls_certificate *from,
                 struct error *err)
{
    id->chain = ARENA_ARRAY(c->arena, CRYPTO_BUFFER *, CHAIN_MAX);
    id->path = arena_dup(c->arena, from->chain_path);
    bool ok = from->pkcs12.len ? read_pkcs12(id, from, c->arena, err) : read_pem(id, from, err);
    if (!ok || !check_key_kind(id, from->chain_path, err))
        return false;
    take_names(c->arena, id);
    return !c->is_server || take_staple(c, id, from->ocsp_staple, err);
}

bool tls_identities_load(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    if (c->is_server && s->n_certificates == 0)
        return error_set(err, "No TLS certificates found for server context");
    if (!c->is_server && s->n_certificates > 1)
        return error_set(err, "Multiple TLS certificates are not supported for client contexts");
    c->identities = ARENA_ARRAY(c->arena, struct tls_identity, s->n_certificates + 1);
    for (unsigned i = 0; i < s->n_certificates; i++) {
        c->n_identities++;
        if (!load(c, &c->identities[i], &s->certificates[i], err))
            return false;
    }
    if (c->n_identities == 0)
        return true;
    struct tls_identity *first = &c->identities[0];
    if (!SSL_CTX_set_chain_and_key(c->ssl, first->chain, first->n_chain, first->key, NULL))
        return key_failed(err, s->certificates[0].key_path);
    return true;
}

void tls_identities_fini(struct tls_context *c)
{
    for (unsigned i = 0; i < c->n_identities; i++) {
        struct tls_identity *id = &c->identities[i];
        for (size_t k = 0; k < id->n_chain; k++)
            CRYPTO_BUFFER_free(id->chain[k]);
        X509_free(id->leaf);
        EVP_PKEY_free(id->key);
    }
    c->n_identities = 0;
}
