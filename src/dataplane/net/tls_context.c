#include "dataplane/net/tls_context.h"

#include <openssl/err.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "dataplane/net/tls_internal.h"

/* Envoy's, in its order; those in brackets are equal: the client chooses among them. */
static const char default_ciphers[] =
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]:"
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384";
static const char default_curves[] = "X25519:P-256";

static uint16_t version_of(enum tls_version v, uint16_t usual)
{
    switch (v) {
    case TLS_VERSION_AUTO:
        return usual;
    case TLS_VERSION_1_0:
        return TLS1_VERSION;
    case TLS_VERSION_1_1:
        return TLS1_1_VERSION;
    case TLS_VERSION_1_2:
        return TLS1_2_VERSION;
    case TLS_VERSION_1_3:
        return TLS1_3_VERSION;
    }
    return usual;
}

static void join(struct strbuf *out, const struct bytes *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (i)
            strbuf_add_char(out, ':');
        strbuf_add_bytes(out, list[i]);
    }
}

static bool set_ciphers(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    struct strbuf all = STRBUF_INIT, bad = STRBUF_INIT, one = STRBUF_INIT;
    join(&all, s->ciphers, s->n_ciphers);
    const char *list = all.len ? strbuf_str(&all) : default_ciphers;
    bool ok = SSL_CTX_set_strict_cipher_list(c->ssl, list);
    for (unsigned i = 0; !ok && i < s->n_ciphers; i++) {
        strbuf_reset(&one);
        strbuf_add_bytes(&one, s->ciphers[i]);
        if (!SSL_CTX_set_strict_cipher_list(c->ssl, strbuf_str(&one)))
            strbuf_printf(&bad, "%s%s", strbuf_str(&bad)[0] ? ", " : "", strbuf_str(&one));
    }
    if (!ok)
        error_set(err,
                  "Failed to initialize cipher suites %s. The following ciphers were rejected when "
                  "tried individually: %s",
                  list, strbuf_str(&bad));
    strbuf_fini(&all);
    strbuf_fini(&bad);
    strbuf_fini(&one);
    return ok;
}

/* The library takes P-224, which is weak, and a curve twice; Envoy's does not. */
static int set_curves(SSL_CTX *ssl, const char *names)
{
    enum { KNOWN = 5, WEAK = 0 };
    static const char *const known[KNOWN][2] = {{"P-224", "secp224r1"},
                                                {"X25519", "x25519"},
                                                {"P-256", "prime256v1"},
                                                {"P-384", "secp384r1"},
                                                {"P-521", "secp521r1"}};
    unsigned seen = 0;
    for (struct bytes rest = bytes_of(names); rest.data;) {
        struct bytes one = bytes_split(&rest, ':');
        for (unsigned i = 0; i < KNOWN; i++) {
            if (!bytes_eq_str(one, known[i][0]) && !bytes_eq_str(one, known[i][1]))
                continue;
            if (i == WEAK || seen & 1u << i)
                return 0;
            seen |= 1u << i;
        }
    }
    return SSL_CTX_set1_curves_list(ssl, names);
}

static bool set_list(SSL_CTX *ssl, int (*set)(SSL_CTX *, const char *), const struct bytes *list,
                     unsigned n, const char *usual, const char *what, struct error *err)
{
    struct strbuf text = STRBUF_INIT;
    join(&text, list, n);
    const char *names = text.len ? strbuf_str(&text) : usual;
    bool ok =
        !names || set(ssl, names) || error_set(err, "Failed to initialize %s %s", what, names);
    strbuf_fini(&text);
    return ok;
}

/* What FIPS_202205 means in BoringSSL, whatever else is configured. */
static const char fips_ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                   "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
static const char fips_curves[] = "P-256:P-384";
static const char fips_algorithms[] =
    "rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512:ecdsa_secp256r1_sha256:"
    "ecdsa_secp384r1_sha384:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512";

static bool set_policy(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    if (!s->fips_202205)
        return true;
    c->only_aes = true; /* TLS 1.3: this library has no list of its ciphers */
    return (SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION) &&
            SSL_CTX_set_max_proto_version(c->ssl, TLS1_3_VERSION) &&
            SSL_CTX_set_strict_cipher_list(c->ssl, fips_ciphers) &&
            SSL_CTX_set1_curves_list(c->ssl, fips_curves) &&
            SSL_CTX_set1_sigalgs_list(c->ssl, fips_algorithms)) ||
           error_set(err, "the compliance policy FIPS_202205 cannot be set");
}

static bool set_parameters(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    uint16_t max = c->is_server ? TLS1_3_VERSION : TLS1_2_VERSION; /* as Envoy has it */
    if (!SSL_CTX_set_min_proto_version(c->ssl, version_of(s->min_version, TLS1_2_VERSION)) ||
        !SSL_CTX_set_max_proto_version(c->ssl, version_of(s->max_version, max)))
        return error_set(err, "TLS versions cannot be set");
    if (!s->prefer_client_ciphers)
        SSL_CTX_set_options(c->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return set_ciphers(c, s, err) &&
           set_list(c->ssl, set_curves, s->curves, s->n_curves, default_curves, "ECDH curves",
                    err) &&
           set_list(c->ssl, SSL_CTX_set1_sigalgs_list, s->signature_algorithms,
                    s->n_signature_algorithms, NULL, "TLS signature algorithms", err) &&
           set_policy(c, s, err);
}

/* --- ALPN --- */

static int select_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                           unsigned in_len, void *arg)
{
    const struct tls_context *c = arg;
    uint8_t *chosen;
    (void)ssl;
    /* Our order wins; without overlap the connection goes on with no protocol */
    if (SSL_select_next_proto(&chosen, out_len, (const uint8_t *)c->alpn.data,
                              (unsigned)c->alpn.len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

bool tls_alpn_wire(struct strbuf *out, const struct bytes *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (list[i].len > UINT8_MAX)
            return false;
        if (list[i].len == 0)
            continue;
        strbuf_add_char(out, (char)list[i].len);
        strbuf_add_bytes(out, list[i]);
    }
    return out->len <= UINT16_MAX;
}

static bool set_alpn(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    struct strbuf wire = STRBUF_INIT;
    bool ok = tls_alpn_wire(&wire, s->alpn, s->n_alpn);
    if (ok && wire.len) {
        c->alpn = arena_dup(c->arena, strbuf_bytes(&wire));
        if (c->is_server)
            SSL_CTX_set_alpn_select_cb(c->ssl, select_protocol, c);
    }
    strbuf_fini(&wire);
    return ok || error_set(err, "Invalid ALPN protocol string");
}

/* --- verification --- */

/* Is there anything that tells a good certificate from another? Names alone are refused before. */
static bool can_judge(const struct tls_policy *p)
{
    return p->n_trusts || p->n_hashes || p->n_spki;
}

/* Clients are asked for nothing that could not be checked, unless anything is good enough. Where
 * names or pins are given, whoever shows no certificate is none of them. */
static int verify_mode(const struct tls_context *c)
{
    const struct tls_policy *p = &c->policy;
    bool told = p->n_sans || p->n_hashes || p->n_spki;
    if (!c->is_server)
        return SSL_VERIFY_PEER;
    if (c->require_client_certificate || p->spiffe || (told && !p->accept_untrusted))
        return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    return can_judge(p) || p->accept_untrusted ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
}

static bool set_verify(struct tls_context *c, struct error *err)
{
    if (c->require_client_certificate && !can_judge(&c->policy) && !c->policy.accept_untrusted)
        return error_set(err, "require_client_certificate: any certificate would do: expected a "
                              "validation context with trusted_ca or pins");
    SSL_CTX_set_custom_verify(c->ssl, verify_mode(c), tls_verify);
    if (!c->is_server || !c->policy.n_ca_certs)
        return true;
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    for (unsigned i = 0; i < c->policy.n_ca_certs; i++) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(c->policy.ca_certs[i]));
        if (name)
            sk_X509_NAME_push(names, name);
    }
    SSL_CTX_set_client_CA_list(c->ssl, names);
    return true;
}

/* --- life --- */

static void take_flags(struct tls_context *c, const struct tls_settings *s)
{
    c->require_client_certificate = s->require_client_certificate;
    c->require_sni = s->require_sni;
    c->full_scan = s->full_scan_certs_on_sni_mismatch;
    c->allow_renegotiation = s->allow_renegotiation;
    c->auto_sni_san_validation = s->auto_sni_san_validation;
    c->ocsp_policy = s->ocsp_policy;
    c->sni = arena_dup(c->arena, s->sni);
}

static bool fill(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    if (!set_parameters(c, s, err) || !set_alpn(c, s, err) || !tls_policy_load(c, s, err) ||
        !tls_identities_load(c, s, err) || !tls_sessions_init(c, s, err) ||
        !tls_key_log_init(c, s, err) || !set_verify(c, err))
        return false;
    if (c->is_server)
        SSL_CTX_set_select_certificate_cb(c->ssl, tls_select_certificate);
    tls_infos_make(c);
    return true;
}

struct tls_context *tls_context_new(const struct tls_settings *s, struct error *err)
{
    static atomic_uint_fast64_t last_id;
    struct tls_context *c = NEW(struct tls_context);
    c->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    c->magic = TLS_CONTEXT_MAGIC;
    c->refs = 1;
    c->key_log_fd = -1;
    c->is_server = s->is_server;
    c->arena = arena_new(0);
    c->ssl = SSL_CTX_new(TLS_method());
    if (!c->ssl)
        mem_exhausted(sizeof(void *));
    take_flags(c, s);
    ERR_clear_error();
    bool ok = fill(c, s, err);
    ERR_clear_error();
    if (!ok)
        tls_context_unref(&c);
    return c;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    CHECK_MAGIC(c, TLS_CONTEXT_MAGIC);
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_context_unref(struct tls_context **cp)
{
    struct tls_context *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    CHECK_MAGIC(c, TLS_CONTEXT_MAGIC);
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    c->magic = 0;
    tls_identities_fini(c);
    tls_policy_fini(c);
    tls_sessions_fini(c);
    tls_key_log_fini(c);
    regex_list_fini(&c->regexes);
    SSL_CTX_free(c->ssl);
    arena_free(&c->arena);
    mem_free(c);
}

bool tls_context_is_server(const struct tls_context *c)
{
    return c->is_server;
}
