/* Is this the peer that the configuration means? Chain and revocation by the library; names, pins
 * and trust domains here. Sentences are Envoy's. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <time.h>

#include "base/memory.h"
#include "dataplane/net/tls_internal.h"
#include "dataplane/net/tls_verified.h"

enum { FAILURE_MAX = 2048, DEPTH_DEFAULT = 100, VERIFIED_FOR_S = 3600 };

/* --- loading --- */

static int skip_dates(int ok, X509_STORE_CTX *ctx)
{
    int e = X509_STORE_CTX_get_error(ctx);
    return ok || e == X509_V_ERR_CERT_HAS_EXPIRED || e == X509_V_ERR_CERT_NOT_YET_VALID;
}

/* The library counts the authority that is trusted: 0 would let nobody in, and is 1 as in Envoy. */
static int depth_of(const struct tls_validation *v)
{
    if (!v->has_max_depth || v->max_depth > DEPTH_DEFAULT)
        return DEPTH_DEFAULT;
    return v->max_depth ? (int)v->max_depth : 1;
}

static X509_STORE *new_store(const struct tls_context *c, const struct tls_validation *v)
{
    X509_STORE *store = X509_STORE_new();
    if (!store)
        mem_exhausted(sizeof(void *));
    X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
    X509_VERIFY_PARAM_set_purpose(param,
                                  c->is_server ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_depth(param, depth_of(v));
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (v->allow_expired)
        X509_STORE_set_verify_cb(store, skip_dates);
    return store;
}

static bool fill_store(struct tls_trust *t, struct bytes pem, struct tls_policy *p, struct arena *a)
{
    X509_STORE *store = t->store;
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    STACK_OF(X509) *certs = tls_pem_certificates(pem, &crls);
    size_t n = certs ? sk_X509_num(certs) : 0, n_crls = sk_X509_CRL_num(crls);
    X509 **all = ARENA_ARRAY(a, X509 *, p->n_ca_certs + n + 1);
    for (unsigned i = 0; i < p->n_ca_certs; i++)
        all[i] = p->ca_certs[i];
    p->ca_certs = all;
    for (size_t i = 0; i < n; i++) {
        X509_STORE_add_cert(store, sk_X509_value(certs, i));
        if (X509_up_ref(sk_X509_value(certs, i)))
            p->ca_certs[p->n_ca_certs++] = sk_X509_value(certs, i);
    }
    for (size_t i = 0; i < n_crls; i++)
        X509_STORE_add_crl(store, sk_X509_CRL_value(crls, i));
    t->has_crl = n_crls > 0;
    if (n_crls)
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    sk_X509_pop_free(certs, X509_free);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    ERR_clear_error();
    return n > 0;
}

static struct tls_trust *add_trust(struct tls_context *c, const struct tls_validation *v)
{
    struct tls_trust *t = &c->policy.trusts[c->policy.n_trusts++];
    t->store = new_store(c, v);
    return t;
}

static bool load_crl(struct tls_context *c, const struct tls_validation *v, struct error *err)
{
    if (!v->crl.len)
        return true;
    if (!c->policy.n_trusts)
        return error_set(err, "Failed to load CRL from <inline> without trusted CA");
    X509_STORE *store = c->policy.trusts[0].store;
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    STACK_OF(X509) *certs = tls_pem_certificates(v->crl, &crls);
    size_t n = sk_X509_CRL_num(crls);
    for (size_t i = 0; i < n; i++)
        X509_STORE_add_crl(store, sk_X509_CRL_value(crls, i));
    sk_X509_pop_free(certs, X509_free);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    /* What cannot be read would let in what is revoked */
    if (n == 0)
        return error_set(err, "Failed to load CRL from <inline>");
    c->policy.trusts[0].has_crl = true;
    X509_STORE_set_flags(store, v->only_verify_leaf_crl
                                    ? X509_V_FLAG_CRL_CHECK
                                    : X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return true;
}

/* As /certs tells it: of several trust domains the last one stands with all, as in Envoy. */
static struct bytes path_of(struct arena *a, const struct tls_validation *v)
{
    if (!v->n_spiffe)
        return arena_dup(a, v->trusted_ca_path);
    struct bytes path = v->spiffe[v->n_spiffe - 1].path, name = v->spiffe[v->n_spiffe - 1].name;
    return path.len ? bytes_of(arena_printf(a, "%.*s: %.*s", BYTES_ARG(name), BYTES_ARG(path)))
                    : BYTES("");
}

static bool load_trusts(struct tls_context *c, const struct tls_validation *v, struct error *err)
{
    struct tls_policy *p = &c->policy;
    p->trusts = ARENA_ARRAY(c->arena, struct tls_trust, v->n_spiffe + 1);
    p->ca_path = path_of(c->arena, v);
    p->spiffe = v->n_spiffe > 0;
    for (unsigned i = 0; i < v->n_spiffe; i++) {
        struct tls_trust *t = add_trust(c, v);
        t->domain = arena_dup(c->arena, v->spiffe[i].name);
        if (!fill_store(t, v->spiffe[i].bundle, p, c->arena))
            return error_set(err, "Failed to load trusted CA certificates for %.*s",
                             BYTES_ARG(t->domain));
    }
    if (!p->spiffe && v->trusted_ca.len && !fill_store(add_trust(c, v), v->trusted_ca, p, c->arena))
        return error_set(err, "Failed to load trusted CA certificates from %.*s",
                         BYTES_ARG(v->trusted_ca_path));
    return load_crl(c, v, err);
}

static bool load_rule(struct tls_context *c, const struct tls_san_matcher *from,
                      struct tls_san_rule *to, struct error *err)
{
    to->type = from->type;
    to->matcher = from->matcher;
    to->matcher.text = arena_dup(c->arena, from->matcher.text);
    if (from->matcher.kind == STRING_REGEX && /* its decoder has measured it */
        !(to->matcher.regex =
              regex_list_add(&c->regexes, c->arena, to->matcher.text, REGEX_PROGRAM_SIZE_ANY, err)))
        return false;
    if (from->type == TLS_SAN_OTHER_NAME &&
        !(to->oid = OBJ_txt2obj(arena_str(c->arena, from->oid), 0)))
        return error_set(err, "Invalid OID %.*s", BYTES_ARG(from->oid));
    return true;
}

static bool load_rules(struct tls_context *c, const struct tls_validation *v, struct error *err)
{
    struct tls_policy *p = &c->policy;
    if (v->n_sans && !p->n_trusts)
        return error_set(err, "SAN-based verification of peer certificates without trusted CA is "
                              "insecure and not allowed");
    if (c->auto_sni_san_validation && !p->n_trusts)
        return error_set(err, "'auto_sni_san_validation' was configured without configuring a "
                              "trusted CA");
    p->sans = ARENA_ARRAY(c->arena, struct tls_san_rule, v->n_sans + 1);
    for (unsigned i = 0; i < v->n_sans; i++) {
        p->n_sans++;
        if (!load_rule(c, &v->sans[i], &p->sans[i], err))
            return false;
    }
    return true;
}

static void *copy_hashes(struct arena *a, const void *from, unsigned n)
{
    void *to = arena_alloc(a, (n + 1) * (size_t)TLS_HASH_SIZE);
    if (n)
        memcpy(to, from, n * (size_t)TLS_HASH_SIZE);
    return to;
}

bool tls_policy_load(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    const struct tls_validation *v = s->validation;
    struct tls_policy *p = &c->policy;
    if (!v)
        return true;
    p->present = true;
    p->allow_expired = v->allow_expired;
    p->accept_untrusted = v->accept_untrusted;
    p->spki = copy_hashes(c->arena, v->spki, v->n_spki);
    p->hashes = copy_hashes(c->arena, v->hashes, v->n_hashes);
    p->n_spki = v->n_spki;
    p->n_hashes = v->n_hashes;
    return load_trusts(c, v, err) && load_rules(c, v, err);
}

void tls_policy_fini(struct tls_context *c)
{
    struct tls_policy *p = &c->policy;
    for (unsigned i = 0; i < p->n_trusts; i++)
        X509_STORE_free(p->trusts[i].store);
    for (unsigned i = 0; i < p->n_ca_certs; i++)
        X509_free(p->ca_certs[i]);
    for (unsigned i = 0; i < p->n_sans; i++)
        ASN1_OBJECT_free(p->sans[i].oid);
    p->n_trusts = p->n_ca_certs = p->n_sans = 0;
}

/* --- judging --- */

static void say(struct tls_connection *t, const char *fmt, ...) PRINTF(2, 3);
static void say(struct tls_connection *t, const char *fmt, ...)
{
    va_list ap;
    char text[FAILURE_MAX];
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    mem_free(t->verify_failure);
    t->verify_failure = mem_strdup(text);
}

static struct tls_trust *trust_of_id(struct tls_policy *p, struct bytes uri)
{
    static const char scheme[] = "spiffe://";
    if (!bytes_starts_with(uri, bytes_of(scheme)))
        return NULL;
    uri = bytes_skip(uri, strlen(scheme));
    ptrdiff_t slash = bytes_find_char(uri, '/');
    for (unsigned i = 0; slash >= 0 && i < p->n_trusts; i++) {
        if (bytes_eq(p->trusts[i].domain, bytes_first(uri, (size_t)slash)))
            return &p->trusts[i];
    }
    return NULL;
}

/* The bundle of the trust domain that the first URI of the certificate names: an SVID has one. */
static struct tls_trust *trust_for(struct tls_policy *p, X509 *leaf)
{
    if (!p->spiffe)
        return p->n_trusts ? &p->trusts[0] : NULL;
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    struct tls_trust *found = NULL;
    for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        char buf[TLS_SAN_TEXT_MAX];
        struct bytes uri;
        if (g->type != GEN_URI)
            continue;
        found = tls_san_text(g, &uri, buf) ? trust_of_id(p, uri) : NULL;
        break;
    }
    GENERAL_NAMES_free(names);
    return found;
}

/* A workload's certificate, not an authority's. */
static bool is_svid(X509 *leaf)
{
    return !(X509_get_extension_flags(leaf) & EXFLAG_CA) &&
           !(X509_get_key_usage(leaf) & (KU_KEY_CERT_SIGN | KU_CRL_SIGN));
}

/* Everything that the verification of this chain depends on, but the time. */
static void chain_key(const struct tls_connection *t, uint8_t key[TLS_VERIFIED_KEY])
{
    const STACK_OF(CRYPTO_BUFFER) *shown = SSL_get0_peer_certificates(t->ssl);
    SHA256_CTX sha;
    SHA256_Init(&sha);
    SHA256_Update(&sha, &t->context->id, sizeof(t->context->id));
    for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(shown); i++) {
        const CRYPTO_BUFFER *der = sk_CRYPTO_BUFFER_value(shown, i);
        size_t len = CRYPTO_BUFFER_len(der);
        SHA256_Update(&sha, &len, sizeof(len));
        SHA256_Update(&sha, CRYPTO_BUFFER_data(der), len);
    }
    SHA256_Final(key, &sha);
}

/* Until one of the certificates ends, or an hour is over. */
static void remember(const struct tls_connection *t, X509_STORE_CTX *ctx,
                     const uint8_t key[TLS_VERIFIED_KEY], int64_t now)
{
    STACK_OF(X509) *built = X509_STORE_CTX_get0_chain(ctx);
    int64_t from = INT64_MIN, until = now + VERIFIED_FOR_S;
    for (size_t i = 0; i < sk_X509_num(built); i++) {
        int64_t begin = tls_text_time(X509_get0_notBefore(sk_X509_value(built, i)));
        int64_t end = tls_text_time(X509_get0_notAfter(sk_X509_value(built, i)));
        from = begin > from ? begin : from;
        until = end < until ? end : until;
    }
    tls_verified_add(t->slot, key, from, until);
}

/* Authorities below one that limits them (RFC 5280 6.1.4 l, m). The library counts one too few
 * where the leaf has the name of its issuer. */
static bool paths_are_short(X509_STORE_CTX *ctx)
{
    STACK_OF(X509) *built = X509_STORE_CTX_get0_chain(ctx);
    long below = 0;
    for (size_t i = 1; i < sk_X509_num(built); i++) {
        X509 *x = sk_X509_value(built, i);
        long most = X509_get_pathlen(x);
        if (most >= 0 && below > most) {
            X509_STORE_CTX_set_error(ctx, X509_V_ERR_PATH_LENGTH_EXCEEDED);
            return false;
        }
        below += !(X509_get_extension_flags(x) & EXFLAG_SI);
    }
    return true;
}

static const char *about_crl(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_REVOKED:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return "certificate revocation check against provided CRLs failed: ";
    default:
        return "";
    }
}

static bool chain_is_good(struct tls_connection *t, const struct tls_trust *trust,
                          STACK_OF(X509) * chain, uint8_t *alert)
{
    /* A revocation list ends, too, and who takes what has ended asks for no date */
    bool keeps = !trust->has_crl && !t->context->policy.allow_expired;
    uint8_t key[TLS_VERIFIED_KEY];
    int64_t now = time(NULL);
    if (keeps)
        chain_key(t, key);
    if (keeps && tls_verified_has(t->slot, key, now))
        return true;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool ok = ctx && X509_STORE_CTX_init(ctx, trust->store, sk_X509_value(chain, 0), chain) &&
              X509_verify_cert(ctx) == 1 && paths_are_short(ctx);
    if (ok && keeps)
        remember(t, ctx, key, now);
    if (!ok && ctx) {
        int e = X509_STORE_CTX_get_error(ctx);
        say(t,
            "verify cert failed: X509_verify_cert: certificate verification error at depth %d: "
            "%s%s",
            X509_STORE_CTX_get_error_depth(ctx), about_crl(e), X509_verify_cert_error_string(e));
        *alert = (uint8_t)SSL_alert_from_verify_result(e);
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

static bool hash_listed(const uint8_t digest[TLS_HASH_SIZE], uint8_t (*list)[TLS_HASH_SIZE],
                        unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (CRYPTO_memcmp(digest, list[i], TLS_HASH_SIZE) == 0)
            return true;
    }
    return false;
}

static bool is_pinned(const struct tls_policy *p, X509 *leaf)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    unsigned len = sizeof(digest);
    uint8_t *der = NULL;
    if (p->n_hashes && X509_digest(leaf, EVP_sha256(), digest, &len) &&
        hash_listed(digest, p->hashes, p->n_hashes))
        return true;
    int size = p->n_spki ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der) : 0;
    if (size <= 0)
        return false;
    SHA256(der, (size_t)size, digest);
    OPENSSL_free(der);
    return hash_listed(digest, p->spki, p->n_spki);
}

static bool name_matches(const struct tls_connection *t, X509 *leaf)
{
    struct bytes sni = bytes_of(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
    if (t->context->auto_sni_san_validation && sni.len)
        return tls_san_dns_is(leaf, sni);
    return !t->context->policy.n_sans || tls_san_any_matches(t->context, leaf);
}

static void join_names(const struct bytes *list, unsigned n, char *buf, size_t max)
{
    size_t at = 0;
    buf[0] = '\0';
    for (unsigned i = 0; i < n && at < max; i++) {
        int len = snprintf(buf + at, max - at, "%s%.*s", i ? ", " : "", BYTES_ARG(list[i]));
        at += len > 0 ? (size_t)len : 0;
    }
}

static bool names_are_good(struct tls_connection *t, X509 *leaf)
{
    char names[1024], wanted[1024];
    bool listed = !t->n_verify_sans || tls_san_listed(leaf, t->verify_sans, t->n_verify_sans);
    if (listed && name_matches(t, leaf))
        return true;
    tls_san_list_text(leaf, names, sizeof(names));
    if (!listed) {
        join_names(t->verify_sans, t->n_verify_sans, wanted, sizeof(wanted));
        say(t, "verify cert failed: verify SAN list, expected SANs: [%s], certificate SANs: [%s]",
            wanted, names);
        return false;
    }
    say(t, "verify cert failed: SAN matcher, certificate SANs are [%s]", names);
    return false;
}

static bool judge(struct tls_connection *t, STACK_OF(X509) * chain, uint8_t *alert)
{
    struct tls_policy *p = &t->context->policy;
    X509 *leaf = sk_X509_value(chain, 0);
    struct tls_trust *trust = trust_for(p, leaf);
    if (p->spiffe && !is_svid(leaf)) {
        say(t, "verify cert failed: cert precheck");
        trust = NULL;
        *alert = SSL_AD_UNKNOWN_CA;
    } else if (!trust && p->spiffe) {
        say(t, "verify cert failed: no trust bundle store");
        *alert = SSL_AD_UNKNOWN_CA;
    }
    if (trust ? !chain_is_good(t, trust, chain, alert) : p->spiffe) {
        tls_count(t, STAT_TLS_FAIL_VERIFY_ERROR);
        return false;
    }
    if (!names_are_good(t, leaf)) {
        tls_count(t, STAT_TLS_FAIL_VERIFY_SAN);
        *alert = SSL_AD_CERTIFICATE_UNKNOWN;
        return false;
    }
    if ((p->n_hashes || p->n_spki) && !is_pinned(p, leaf)) {
        tls_count(t, STAT_TLS_FAIL_VERIFY_CERT_HASH);
        say(t, "verify cert failed: cert hash and spki");
        *alert = SSL_AD_BAD_CERTIFICATE_HASH_VALUE;
        return false;
    }
    return true;
}

/* Whoever writes a certificate chooses its names: they say nothing without somebody to trust. */
static bool is_only_named(const struct tls_connection *t)
{
    const struct tls_policy *p = &t->context->policy;
    return t->n_verify_sans && !p->n_trusts && !p->n_hashes && !p->n_spki;
}

enum ssl_verify_result_t tls_verify(SSL *ssl, uint8_t *alert)
{
    struct tls_connection *t = tls_connection_of(ssl);
    const struct tls_policy *p = &t->context->policy;
    STACK_OF(X509) *chain = SSL_get_peer_full_cert_chain(ssl);
    *alert = SSL_AD_CERTIFICATE_UNKNOWN;
    if (!p->present && !t->n_verify_sans && !t->context->auto_sni_san_validation)
        return ssl_verify_ok;
    if (!chain || sk_X509_num(chain) == 0)
        return ssl_verify_invalid;
    bool good = !is_only_named(t) && judge(t, chain, alert);
    t->validated = good && (p->n_trusts || p->n_hashes || p->n_spki);
    if (good || p->accept_untrusted)
        return ssl_verify_ok;
    /* The log tells who was sent away */
    if (!t->peer && X509_up_ref(sk_X509_value(chain, 0)))
        t->peer = sk_X509_value(chain, 0);
    return ssl_verify_invalid;
}
