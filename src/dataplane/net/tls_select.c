/* Which certificate a client gets: by the name it asks for, the keys it can check, and what it
 * knows of OCSP. In the order that Envoy tries them. */
#include <time.h>

#include <openssl/aead.h>

#include "dataplane/net/tls_internal.h"

/* Reads 16-bit numbers of an extension with a list in it (length first). */
static bool lists_number(const SSL_CLIENT_HELLO *hello, uint16_t extension, uint16_t number)
{
    const uint8_t *data;
    size_t len;
    if (!SSL_early_callback_ctx_extension_get(hello, extension, &data, &len))
        return false;
    for (size_t i = 2; i + 1 < len; i += 2) {
        if ((data[i] << 8 | data[i + 1]) == number)
            return true;
    }
    return false;
}

static bool speaks_tls13(const SSL_CLIENT_HELLO *hello)
{
    const uint8_t *data;
    size_t len;
    if (SSL_CTX_get_max_proto_version(SSL_get_SSL_CTX(hello->ssl)) < TLS1_3_VERSION ||
        !SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_supported_versions, &data, &len))
        return false;
    for (size_t i = 1; i + 1 < len; i += 2) {
        if (data[i] == 3 && data[i + 1] == 4)
            return true;
    }
    return false;
}

static bool is_ours(const SSL_CLIENT_HELLO *hello, const SSL_CIPHER *c)
{
    const STACK_OF(SSL_CIPHER) *own = SSL_CTX_get_ciphers(SSL_get_SSL_CTX(hello->ssl));
    for (size_t i = 0; i < sk_SSL_CIPHER_num(own); i++) {
        if (SSL_CIPHER_get_id(sk_SSL_CIPHER_value(own, i)) == SSL_CIPHER_get_id(c))
            return true;
    }
    return false;
}

/* One that the connection can have: ours too, and of a version that the client speaks. */
static bool offers_ecdsa_cipher(const SSL_CLIENT_HELLO *hello)
{
    for (size_t i = 0; i + 1 < hello->cipher_suites_len; i += 2) {
        const SSL_CIPHER *c = SSL_get_cipher_by_value(
            (uint16_t)(hello->cipher_suites[i] << 8 | hello->cipher_suites[i + 1]));
        if (c && SSL_CIPHER_get_auth_nid(c) == NID_auth_ecdsa &&
            SSL_CIPHER_get_min_version(c) <= hello->version && is_ours(hello, c))
            return true;
    }
    return false;
}

/* Would the library choose ChaCha20 in TLS 1.3? The client's order decides where AES is fast. */
static bool leads_to_chacha(const SSL_CLIENT_HELLO *hello)
{
    bool aes = false;
    for (size_t i = 0; i + 1 < hello->cipher_suites_len; i += 2) {
        int id = hello->cipher_suites[i] << 8 | hello->cipher_suites[i + 1];
        if (id == (TLS1_CK_CHACHA20_POLY1305_SHA256 & 0xffff))
            return !aes || !EVP_has_aes_hardware();
        aes |= id == (TLS1_CK_AES_128_GCM_SHA256 & 0xffff) ||
               id == (TLS1_CK_AES_256_GCM_SHA384 & 0xffff);
    }
    return false;
}

/* Which keys on curves the client can check: TLS 1.3 says so in one place. */
enum ability { ABILITY_NONE, ABILITY_GROUPS, ABILITY_ALGORITHMS };

static bool can_check(const SSL_CLIENT_HELLO *hello, const struct tls_identity *id,
                      enum ability ecdsa)
{
    uint16_t algorithm = id->group == SSL_CURVE_SECP256R1   ? SSL_SIGN_ECDSA_SECP256R1_SHA256
                         : id->group == SSL_CURVE_SECP384R1 ? SSL_SIGN_ECDSA_SECP384R1_SHA384
                                                            : SSL_SIGN_ECDSA_SECP521R1_SHA512;
    if (ecdsa == ABILITY_ALGORITHMS)
        return lists_number(hello, TLSEXT_TYPE_signature_algorithms, algorithm);
    return ecdsa == ABILITY_GROUPS && lists_number(hello, TLSEXT_TYPE_supported_groups, id->group);
}

enum match { MATCH_EXACT, MATCH_WILDCARD, MATCH_ANY };

static bool is_named(const struct tls_identity *id, struct bytes name, enum match how)
{
    if (how == MATCH_ANY)
        return true;
    for (unsigned i = 0; i < id->n_names; i++) {
        struct bytes own = id->names[i];
        if (how == MATCH_EXACT ? bytes_eq_nocase(own, name)
                               : own.len > 2 && own.data[0] == '*' && tls_name_matches(own, name))
            return true;
    }
    return false;
}

/* An ECDSA key for those that can check it, else the first of another kind. */
static const struct tls_identity *best(const struct tls_context *c, const SSL_CLIENT_HELLO *hello,
                                       struct bytes name, enum match how, enum ability ecdsa)
{
    const struct tls_identity *rsa = NULL;
    for (unsigned i = 0; i < c->n_identities; i++) {
        const struct tls_identity *id = &c->identities[i];
        if (!is_named(id, name, how))
            continue;
        if (id->group && can_check(hello, id, ecdsa))
            return id;
        if (!id->group && !rsa)
            rsa = id;
    }
    return rsa;
}

static const struct tls_identity *choose(const struct tls_context *c, const SSL_CLIENT_HELLO *hello)
{
    if (c->n_identities == 1)
        return &c->identities[0];
    struct bytes name = bytes_of(SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name));
    enum ability ecdsa = speaks_tls13(hello)          ? ABILITY_ALGORITHMS
                         : offers_ecdsa_cipher(hello) ? ABILITY_GROUPS
                                                      : ABILITY_NONE;
    const struct tls_identity *id = NULL;
    if (name.len) {
        id = best(c, hello, name, MATCH_EXACT, ecdsa);
        if (!id)
            id = best(c, hello, name, MATCH_WILDCARD, ecdsa);
    }
    if (!id && (!name.len || c->full_scan))
        id = best(c, hello, name, MATCH_ANY, ecdsa);
    return id ? id : &c->identities[0];
}

static bool staple(struct tls_connection *t, const struct tls_identity *id,
                   const SSL_CLIENT_HELLO *hello)
{
    const uint8_t *data;
    size_t len;
    if (!SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_status_request, &data, &len))
        return true;
    tls_count(t, STAT_TLS_OCSP_STAPLE_REQUESTS);
    bool good = id->staple.len && time(NULL) < id->staple_until;
    enum tls_ocsp_policy policy = id->must_staple ? TLS_OCSP_MUST_STAPLE : t->context->ocsp_policy;
    if (good) {
        tls_count(t, STAT_TLS_OCSP_STAPLE_RESPONSES);
        return SSL_set_ocsp_response(hello->ssl, (const uint8_t *)id->staple.data, id->staple.len);
    }
    if (policy == TLS_OCSP_MUST_STAPLE || (policy == TLS_OCSP_STRICT && id->staple.len)) {
        tls_count(t, STAT_TLS_OCSP_STAPLE_FAILED);
        return false;
    }
    tls_count(t, STAT_TLS_OCSP_STAPLE_OMITTED);
    return true;
}

enum ssl_select_cert_result_t tls_select_certificate(const SSL_CLIENT_HELLO *hello)
{
    struct tls_connection *t = tls_connection_of(hello->ssl);
    const struct tls_context *c = t->context;
    if (c->require_sni && !SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name))
        return ssl_select_cert_error;
    if (c->only_aes && leads_to_chacha(hello))
        SSL_set_max_proto_version(hello->ssl, TLS1_2_VERSION); /* whose ciphers are listed */
    const struct tls_identity *id = choose(c, hello);
    t->identity = id;
    if (!staple(t, id, hello))
        return ssl_select_cert_error;
    if (id != &c->identities[0] &&
        !SSL_set_chain_and_key(hello->ssl, id->chain, id->n_chain, id->key, NULL))
        return ssl_select_cert_error;
    return ssl_select_cert_success;
}
