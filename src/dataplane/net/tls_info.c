/* What /certs tells of a context's certificates, and what handshakes count. */

#include "dataplane/net/tls_internal.h"

static void take_sans(struct arena *a, X509 *x, struct tls_cert_info *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t n = names ? sk_GENERAL_NAME_num(names) : 0;
    struct tls_cert_san *sans = ARENA_ARRAY(a, struct tls_cert_san, n + 1);
    for (size_t i = 0; i < n; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        struct tls_cert_san *s = &sans[out->n_sans];
        char buf[TLS_SAN_TEXT_MAX];
        struct bytes text;
        if (!tls_san_type_of(g, &s->type) || !tls_san_text(g, &text, buf) ||
            (s->type != TLS_SAN_DNS && s->type != TLS_SAN_URI && s->type != TLS_SAN_IP))
            continue;
        s->value = arena_str(a, text);
        out->n_sans++;
    }
    GENERAL_NAMES_free(names);
    out->sans = sans;
}

static void describe(struct arena *a, X509 *x, struct bytes path, struct tls_cert_info *out)
{
    out->path = arena_str(a, path);
    out->serial = arena_str(a, tls_text_serial(x, a));
    out->not_before = tls_text_time(X509_get0_notBefore(x));
    out->not_after = tls_text_time(X509_get0_notAfter(x));
    take_sans(a, x, out);
}

void tls_infos_make(struct tls_context *c)
{
    struct arena *a = c->arena;
    const struct tls_policy *p = &c->policy;
    struct tls_cert_info *ca = ARENA_ARRAY(a, struct tls_cert_info, p->n_ca_certs + 1);
    struct tls_cert_info *own = ARENA_ARRAY(a, struct tls_cert_info, c->n_identities + 1);
    for (unsigned i = 0; i < p->n_ca_certs; i++)
        describe(a, p->ca_certs[i], p->ca_path, &ca[i]);
    for (unsigned i = 0; i < c->n_identities; i++) {
        const struct tls_identity *id = &c->identities[i];
        describe(a, id->leaf, id->path, &own[i]);
        own[i].ocsp_from = id->staple_from;
        own[i].ocsp_until = id->staple_until;
    }
    c->infos = (struct tls_cert_infos){ca, own, p->n_ca_certs, c->n_identities};
}

void tls_context_cert_infos(const struct tls_context *c, struct tls_cert_infos *out)
{
    CHECK_MAGIC(c, TLS_CONTEXT_MAGIC);
    *out = c->infos;
}

/* --- statistics --- */

void tls_count(const struct tls_connection *c, enum tls_stat id)
{
    if (c->stats)
        stat_inc(c->stats, c->slot, id);
}

#define NAME(name) name,
static const char *const ciphers[TLS_CIPHERS] = {TLS_CIPHER_LIST(NAME)};
static const char *const curves[TLS_CURVES] = {TLS_CURVE_LIST(NAME)};
static const char *const sigalgs[TLS_SIGALGS] = {TLS_SIGALG_LIST(NAME)};
static const char *const versions[TLS_VERSIONS] = {TLS_VERSION_LIST(NAME)};

static void count_name(const struct tls_connection *c, enum tls_stat first, const char *const *list,
                       unsigned n, const char *name)
{
    for (unsigned i = 0; name && i < n; i++) {
        if (strcmp(list[i], name) == 0) {
            tls_count(c, first + i);
            return;
        }
    }
}

void tls_count_handshake(const struct tls_connection *c)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(c->ssl);
    uint16_t curve = SSL_get_curve_id(c->ssl), sigalg = SSL_get_peer_signature_algorithm(c->ssl);
    tls_count(c, STAT_TLS_HANDSHAKE);
    if (SSL_session_reused(c->ssl))
        tls_count(c, STAT_TLS_SESSION_REUSED);
    if (!c->peer)
        tls_count(c, STAT_TLS_NO_CERTIFICATE);
    if (!c->stats)
        return;
    count_name(c, STAT_TLS_CIPHER_FIRST, ciphers, TLS_CIPHERS,
               cipher ? SSL_CIPHER_get_name(cipher) : NULL);
    count_name(c, STAT_TLS_CURVE_FIRST, curves, TLS_CURVES,
               curve ? SSL_get_curve_name(curve) : NULL);
    count_name(c, STAT_TLS_SIGALG_FIRST, sigalgs, TLS_SIGALGS,
               sigalg ? SSL_get_signature_algorithm_name(sigalg, 1) : NULL);
    count_name(c, STAT_TLS_VERSION_FIRST, versions, TLS_VERSIONS, SSL_get_version(c->ssl));
}
