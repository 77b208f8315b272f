/* Certificates, what peers' certificates are checked against, and keys of session tickets. */
#include <unistd.h>

#include "base/strbuf.h"
#include "config/data_source.h"
#include "config/decode_util.h"
#include "config/file_read.h"
#include "config/json_scalar.h"
#include "config/spiffe_bundles.h"
#include "config/tls_decode.h"
#include "config/typed.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/core/v3/extension.upb.h"
#include "envoy/extensions/transport_sockets/tls/v3/common.upb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.upb.h"
#include "envoy/type/matcher/v3/regex.upb.h"
#include "envoy/type/matcher/v3/string.upb.h"

#define CERT(f) envoy_extensions_transport_sockets_tls_v3_TlsCertificate_##f
#define VALIDATION(f) envoy_extensions_transport_sockets_tls_v3_CertificateValidationContext_##f
#define SAN(f) envoy_extensions_transport_sockets_tls_v3_SubjectAltNameMatcher_##f
#define SPIFFE(f) envoy_extensions_transport_sockets_tls_v3_SPIFFECertValidatorConfig_##f
#define TICKETS(f) envoy_extensions_transport_sockets_tls_v3_TlsSessionTicketKeys_##f

typedef envoy_extensions_transport_sockets_tls_v3_TlsCertificate cert_msg;
typedef envoy_extensions_transport_sockets_tls_v3_CertificateValidationContext validation_msg;
typedef envoy_extensions_transport_sockets_tls_v3_SubjectAltNameMatcher san_msg;
typedef envoy_extensions_transport_sockets_tls_v3_SPIFFECertValidatorConfig spiffe_msg;
typedef envoy_type_matcher_v3_StringMatcher string_msg;
typedef envoy_config_core_v3_DataSource source_msg;
typedef envoy_config_core_v3_WatchedDirectory watched_msg;

enum { FILES_MAX = 512 };

static struct bytes folder_of(struct bytes path)
{
    ptrdiff_t slash = bytes_rfind_char(path, '/');
    if (slash < 0)
        return BYTES(".");
    return slash == 0 ? BYTES("/") : bytes_first(path, (size_t)slash);
}

static void add_file(struct tls_reader *r, struct bytes path, const watched_msg *watched)
{
    struct bytes folder =
        watched ? upb_bytes(envoy_config_core_v3_WatchedDirectory_path(watched)) : folder_of(path);
    if (!r->files)
        r->files = ARENA_ARRAY(r->arena, struct tls_file, FILES_MAX);
    if (r->n_files < FILES_MAX)
        r->files[r->n_files++] =
            (struct tls_file){.path = path, .directory = arena_dup(r->arena, folder)};
}

/* watched: of the message around it; its own counts more. */
static bool read_source(struct tls_reader *r, const source_msg *m, const watched_msg *watched,
                        struct data_source *out, struct error *err)
{
    bool ok = data_source_read(m, r->arena, TLS_DATA_MAX, out, err);
    if (m && envoy_config_core_v3_DataSource_watched_directory(m))
        watched = envoy_config_core_v3_DataSource_watched_directory(m);
    if (!out->is_file)
        return ok;
    add_file(r, out->path, watched);
    r->files_hash = bytes_hash_seeded(ok ? out->data : BYTES(""), r->files_hash + 1);
    return ok;
}

/* ---- certificates ---- */

/* Envoy's sentence for what is missing, and why it is. */
static bool incomplete(struct error *err, struct error *why, const char *what,
                       const struct data_source *s, const char *end)
{
    error_set(err, "Failed to load incomplete %s%.*s%s", what, BYTES_ARG(s->path), end);
    if (error_is_set(why))
        error_append(err, ": ", "%s", error_text(why));
    error_fini(why);
    return false;
}

static bool read_pkcs12(struct tls_reader *r, const cert_msg *m, struct tls_certificate *out,
                        struct error *err)
{
    struct data_source s;
    if (CERT(certificate_chain)(m))
        return error_set(err,
                         "Certificate configuration can't have both pkcs12 and certificate_chain");
    if (CERT(private_key)(m))
        return error_set(err, "Certificate configuration can't have both pkcs12 and private_key");
    if (!read_source(r, CERT(pkcs12)(m), CERT(watched_directory)(m), &s, err))
        return error_prefix(err, "Failed to load pkcs12 from %.*s: ", BYTES_ARG(s.path));
    out->pkcs12 = s.data;
    out->chain_path = out->key_path = s.path;
    return true;
}

static bool read_pair(struct tls_reader *r, const cert_msg *m, struct tls_certificate *out,
                      struct error *err)
{
    const watched_msg *watched = CERT(watched_directory)(m);
    struct error why = ERROR_INIT;
    struct data_source s;
    if (!read_source(r, CERT(certificate_chain)(m), watched, &s, &why) || s.data.len == 0)
        return incomplete(err, &why, "certificate from ", &s, ": certificate chain not set");
    out->chain = s.data;
    out->chain_path = s.path;
    if (!read_source(r, CERT(private_key)(m), watched, &s, &why) || s.data.len == 0)
        return incomplete(err, &why, "private key from path: ", &s, "");
    out->key = s.data;
    out->key_path = s.path;
    return true;
}

static bool read_beside(struct tls_reader *r, const cert_msg *m, struct tls_certificate *out,
                        struct error *err)
{
    const watched_msg *watched = CERT(watched_directory)(m);
    const source_msg *staple = CERT(ocsp_staple)(m);
    struct data_source s;
    if (!read_source(r, CERT(password)(m), watched, &s, err))
        return error_prefix(err, "password: ");
    out->password = s.data;
    if (staple && envoy_config_core_v3_DataSource_has_inline_string(staple))
        return error_set(err, "OCSP staple cannot be provided via inline_string");
    if (!read_source(r, staple, watched, &s, err))
        return error_prefix(err, "ocsp_staple: ");
    out->ocsp_staple = s.data;
    return true;
}

bool tls_certificate_read(struct tls_reader *r, const cert_msg *m, struct tls_certificate *out,
                          struct error *err)
{
    *out = (struct tls_certificate){.chain = BYTES(""), .key = BYTES(""), .pkcs12 = BYTES("")};
    if (CERT(private_key_provider)(m))
        return error_set(err, "private_key_provider is not implemented");
    bool ok = CERT(pkcs12)(m) ? read_pkcs12(r, m, out, err) : read_pair(r, m, out, err);
    return ok && read_beside(r, m, out, err);
}

/* ---- names of peers ---- */

/* Envoy's four kinds for a matcher that does not say which it means. */
static const enum tls_san_type untyped[] = {TLS_SAN_DNS, TLS_SAN_URI, TLS_SAN_EMAIL, TLS_SAN_IP};

static bool take_matcher(struct tls_reader *r, const string_msg *m, struct tls_san_matcher *out,
                         struct error *err)
{
    if (!m || !string_matcher_decode(m, r->arena, &r->regexes, &out->matcher, err))
        return m ? false : error_set(err, "matcher: value is required");
    if (out->matcher.kind == STRING_REGEX)
        out->matcher.text =
            arena_dup(r->arena, upb_bytes(envoy_type_matcher_v3_RegexMatcher_regex(
                                    envoy_type_matcher_v3_StringMatcher_safe_regex(m))));
    return true;
}

static bool take_san(struct tls_reader *r, const san_msg *m, struct tls_san_matcher *out,
                     struct error *err)
{
    out->oid = arena_dup(r->arena, upb_bytes(SAN(oid)(m)));
    switch (SAN(san_type)(m)) {
    case SAN(EMAIL):
        out->type = TLS_SAN_EMAIL;
        break;
    case SAN(DNS):
        out->type = TLS_SAN_DNS;
        break;
    case SAN(URI):
        out->type = TLS_SAN_URI;
        break;
    case SAN(IP_ADDRESS):
        out->type = TLS_SAN_IP;
        break;
    case SAN(OTHER_NAME):
        out->type = TLS_SAN_OTHER_NAME;
        break;
    default:
        return error_set(err, "san_type: %d is not known", SAN(san_type)(m));
    }
    return take_matcher(r, SAN(matcher)(m), out, err);
}

static bool take_sans(struct tls_reader *r, const validation_msg *m, struct tls_validation *out,
                      struct error *err)
{
    size_t n, n_old;
    const san_msg *const *list = VALIDATION(match_typed_subject_alt_names)(m, &n);
    const string_msg *const *old = VALIDATION(match_subject_alt_names)(m, &n_old);
    size_t all = n ? n : n_old * ARRAY_SIZE(untyped);
    out->sans = ARENA_ARRAY(r->arena, struct tls_san_matcher, all ? all : 1);
    for (size_t i = 0; i < n; i++) {
        if (!take_san(r, list[i], &out->sans[i], err))
            return error_prefix(err, "match_typed_subject_alt_names[%zu].", i);
    }
    for (size_t i = 0; i < n_old && !n; i++) {
        struct tls_san_matcher *at = &out->sans[i * ARRAY_SIZE(untyped)];
        if (!take_matcher(r, old[i], at, err))
            return error_prefix(err, "match_subject_alt_names[%zu].", i);
        for (size_t k = 0; k < ARRAY_SIZE(untyped); k++) {
            at[k] = at[0];
            at[k].type = untyped[k];
        }
    }
    out->n_sans = (unsigned)all;
    return true;
}

/* ---- pins ---- */

/* 64 digits, or pairs of them with colons between. */
static bool parse_hex_hash(struct bytes text, uint8_t out[TLS_HASH_SIZE])
{
    size_t step = text.len == TLS_HASH_SIZE * 2 ? 2 : 3;
    if (text.len != TLS_HASH_SIZE * step - (step == 3))
        return false;
    for (size_t i = 0; i < TLS_HASH_SIZE; i++) {
        const char *at = text.data + i * step;
        int high = hex_digit(at[0]), low = hex_digit(at[1]);
        if (high < 0 || low < 0 || (step == 3 && i + 1 < TLS_HASH_SIZE && at[2] != ':'))
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* As it would be written, and in no other way. */
static bool parse_base64_hash(struct bytes text, uint8_t out[TLS_HASH_SIZE])
{
    struct strbuf raw = STRBUF_INIT, again = STRBUF_INIT;
    bool ok = json_scalar_base64(text, &raw) && raw.len == TLS_HASH_SIZE;
    json_scalar_add_base64(&again, strbuf_bytes(&raw));
    ok = ok && bytes_eq(strbuf_bytes(&again), text);
    if (ok)
        memcpy(out, raw.data, TLS_HASH_SIZE);
    strbuf_fini(&raw);
    strbuf_fini(&again);
    return ok;
}

static bool take_pins(struct tls_reader *r, const validation_msg *m, struct tls_validation *out,
                      struct error *err)
{
    size_t n_hashes, n_spki;
    upb_StringView const *hashes = VALIDATION(verify_certificate_hash)(m, &n_hashes);
    upb_StringView const *spki = VALIDATION(verify_certificate_spki)(m, &n_spki);
    out->hashes = arena_alloc(r->arena, (n_hashes + 1) * TLS_HASH_SIZE);
    out->spki = arena_alloc(r->arena, (n_spki + 1) * TLS_HASH_SIZE);
    for (size_t i = 0; i < n_hashes; i++) {
        if (!parse_hex_hash(upb_bytes(hashes[i]), out->hashes[out->n_hashes++]))
            return error_set(err, "Invalid hex-encoded SHA-256 %.*s",
                             BYTES_ARG(upb_bytes(hashes[i])));
    }
    for (size_t i = 0; i < n_spki; i++) {
        if (!parse_base64_hash(upb_bytes(spki[i]), out->spki[out->n_spki++]))
            return error_set(err, "Invalid base64-encoded SHA-256 %.*s",
                             BYTES_ARG(upb_bytes(spki[i])));
    }
    return true;
}

/* ---- trust ---- */

/* Where distributions keep what they trust; the first that is there. */
static const char *const system_roots[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

static bool take_system_roots(struct tls_reader *r, struct tls_validation *out, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(system_roots); i++) {
        if (access(system_roots[i], R_OK) != 0)
            continue;
        out->trusted_ca_path = bytes_of(system_roots[i]);
        return file_read(out->trusted_ca_path, TLS_DATA_MAX, r->arena, &out->trusted_ca, err);
    }
    return error_set(err, "system_root_certs: this system has none where they are looked for");
}

static bool take_trust(struct tls_reader *r, const validation_msg *m, struct tls_validation *out,
                       struct error *err)
{
    const watched_msg *watched = VALIDATION(watched_directory)(m);
    struct data_source s;
    if (!read_source(r, VALIDATION(trusted_ca)(m), watched, &s, err))
        return error_prefix(err, "trusted_ca: ");
    if (s.present && s.data.len == 0)
        return error_set(err, "trusted_ca: DataSource cannot be empty");
    out->trusted_ca = s.data;
    out->trusted_ca_path = s.path;
    if (!s.present && VALIDATION(system_root_certs)(m) && !take_system_roots(r, out, err))
        return false;
    if (!read_source(r, VALIDATION(crl)(m), watched, &s, err))
        return error_prefix(err, "crl: ");
    if (s.present && s.data.len == 0)
        return error_set(err, "crl: DataSource cannot be empty");
    out->crl = s.data;
    out->crl_path = s.path;
    return true;
}

static bool take_domain(struct tls_reader *r, const SPIFFE(TrustDomain) * m,
                        struct tls_validation *out, struct error *err)
{
    struct bytes name = upb_bytes(SPIFFE(TrustDomain_name)(m));
    struct tls_spiffe_domain *d = &out->spiffe[out->n_spiffe];
    struct data_source s;
    for (unsigned i = 0; i < out->n_spiffe; i++) {
        if (bytes_eq(out->spiffe[i].name, name))
            return error_set(err, "Multiple trust bundles are given for one trust domain for %.*s",
                             BYTES_ARG(name));
    }
    if (!read_source(r, SPIFFE(TrustDomain_trust_bundle)(m), NULL, &s, err))
        return error_prefix(err,
                            "Failed to load trusted CA certificate for %.*s: ", BYTES_ARG(name));
    if (s.data.len == 0)
        return error_set(err, "Failed to load trusted CA certificate for %.*s", BYTES_ARG(name));
    d->name = arena_dup(r->arena, name);
    d->bundle = s.data;
    d->path = s.path;
    out->n_spiffe++;
    return true;
}

/* A file of bundles is watched wherever it is named. */
static bool read_live(struct tls_reader *r, const source_msg *m, struct data_source *out,
                      struct error *err)
{
    unsigned n = r->n_files;
    bool ok = read_source(r, m, NULL, out, err);
    for (; n < r->n_files; n++) {
        r->files[n].live = true;
        r->live_hash = bytes_hash_seeded(ok ? out->data : BYTES(""), r->live_hash + 1) | 1;
    }
    return ok;
}

static bool take_bundles(struct tls_reader *r, const source_msg *m, struct tls_validation *out,
                         struct error *err)
{
    struct data_source s;
    return read_live(r, m, &s, err) && spiffe_bundles_read(r->arena, s.data, out, err);
}

static bool take_spiffe(struct tls_reader *r, struct bytes wire, struct tls_validation *out,
                        struct error *err)
{
    const spiffe_msg *m = SPIFFE(parse_ex)(wire.data, wire.len, NULL, UPB_VIEW, r->messages);
    size_t n;
    if (!m)
        return error_set(err, "the bytes are no SPIFFECertValidatorConfig");
    if (SPIFFE(trust_bundles)(m))
        return take_bundles(r, SPIFFE(trust_bundles)(m), out, err) ||
               error_prefix(err, "trust_bundles: ");
    const SPIFFE(TrustDomain) *const *list = SPIFFE(trust_domains)(m, &n);
    if (n == 0)
        return error_set(err, "trust_domains: expected at least one");
    out->spiffe = ARENA_ARRAY(r->arena, struct tls_spiffe_domain, n);
    for (size_t i = 0; i < n; i++) {
        if (!take_domain(r, list[i], out, err))
            return false;
    }
    return true;
}

static bool take_validator(struct tls_reader *r, const validation_msg *m,
                           struct tls_validation *out, struct error *err)
{
    static const char spiffe[] =
        "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";
    const envoy_config_core_v3_TypedExtensionConfig *x = VALIDATION(custom_validator_config)(m);
    struct typed t;
    if (!x)
        return true;
    if (!take_any(r->ctx, r->arena, envoy_config_core_v3_TypedExtensionConfig_typed_config(x), &t,
                  err))
        return error_prefix(err, "custom_validator_config: ");
    if (!bytes_eq_str(t.type_name, spiffe))
        return error_set(err, "Failed to get certificate validator factory for %.*s",
                         BYTES_ARG(upb_bytes(envoy_config_core_v3_TypedExtensionConfig_name(x))));
    return take_spiffe(r, t.value, out, err) ||
           error_prefix(err, "custom_validator_config.typed_config: ");
}

static bool check_refused(const validation_msg *m, struct error *err)
{
    if (VALIDATION(ca_certificate_provider_instance)(m))
        return error_set(err, "ca_certificate_provider_instance is not implemented");
    if (upb_bool(VALIDATION(require_signed_certificate_timestamp)(m), false))
        return error_set(err, "require_signed_certificate_timestamp: not implemented (peers "
                              "would not be checked)");
    return true;
}

static bool take_validation(struct tls_reader *r, const validation_msg *m,
                            struct tls_validation *out, struct error *err)
{
    out->allow_expired = VALIDATION(allow_expired_certificate)(m);
    out->accept_untrusted = VALIDATION(trust_chain_verification)(m) == VALIDATION(ACCEPT_UNTRUSTED);
    out->only_verify_leaf_crl = VALIDATION(only_verify_leaf_cert_crl)(m);
    out->has_max_depth = VALIDATION(max_verify_depth)(m) != NULL;
    out->max_depth = upb_u32(VALIDATION(max_verify_depth)(m), 0);
    if (!check_refused(m, err) || !take_validator(r, m, out, err) || !take_trust(r, m, out, err) ||
        !take_sans(r, m, out, err) || !take_pins(r, m, out, err))
        return false;
    return true;
}

/* What has no meaning without an authority to trust. */
static bool check_whole(const struct tls_validation *v, struct error *err)
{
    if (v->trusted_ca.len || v->n_spiffe)
        return true;
    if (v->n_sans)
        return error_set(err, "SAN-based verification of peer certificates without trusted CA is "
                              "insecure and not allowed");
    if (v->allow_expired)
        return error_set(err, "Certificate validity period is always ignored without trusted CA");
    return v->crl.len == 0 || error_set(err, "Failed to load CRL from %.*s without trusted CA",
                                        BYTES_ARG(v->crl_path));
}

bool tls_validation_read(struct tls_reader *r, struct bytes wire, bool whole,
                         struct tls_validation *out, struct error *err)
{
    *out = (struct tls_validation){.trusted_ca = BYTES(""), .crl = BYTES("")};
    const validation_msg *m =
        VALIDATION(parse_ex)(wire.data ? wire.data : "", wire.len, NULL, UPB_VIEW, r->messages);
    if (!m)
        return error_set(err, "the bytes are no CertificateValidationContext");
    return take_validation(r, m, out, err) && (!whole || check_whole(out, err));
}

/* ---- session tickets ---- */

bool tls_ticket_keys_read(struct tls_reader *r,
                          const envoy_extensions_transport_sockets_tls_v3_TlsSessionTicketKeys *m,
                          struct tls_settings *out, struct error *err)
{
    size_t n;
    const source_msg *const *list = TICKETS(keys)(m, &n);
    uint8_t(*keys)[TLS_TICKET_KEY_SIZE] = arena_alloc(r->arena, (n + 1) * sizeof(*keys));
    for (size_t i = 0; i < n; i++) {
        struct data_source s;
        if (!read_source(r, list[i], NULL, &s, err))
            return error_prefix(err, "session_ticket_keys.keys[%zu]: ", i);
        if (s.data.len != TLS_TICKET_KEY_SIZE)
            return error_set(err,
                             "Incorrect TLS session ticket key length. Length %zu, expected "
                             "length %d.",
                             s.data.len, TLS_TICKET_KEY_SIZE);
        memcpy(keys[i], s.data.data, TLS_TICKET_KEY_SIZE);
    }
    out->ticket_keys = (const uint8_t(*)[TLS_TICKET_KEY_SIZE])keys;
    out->n_ticket_keys = (unsigned)n;
    return true;
}
