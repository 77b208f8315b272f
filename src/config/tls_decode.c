#include "config/tls_decode.h"

#include "config/decode_util.h"
#include "config/tls_live.h"
#include "config/typed.h"
#include "config/wire_slice.h"
#include "config/xdstp.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/core/v3/config_source.upb.h"
#include "envoy/config/core/v3/extension.upb.h"
#include "envoy/extensions/transport_sockets/tls/v3/common.upb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.upb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.upb.h"

#define COMMON(f) envoy_extensions_transport_sockets_tls_v3_CommonTlsContext_##f
#define DOWN(f) envoy_extensions_transport_sockets_tls_v3_DownstreamTlsContext_##f
#define UP(f) envoy_extensions_transport_sockets_tls_v3_UpstreamTlsContext_##f
#define PARAMS(f) envoy_extensions_transport_sockets_tls_v3_TlsParameters_##f
#define KEY_LOG(f) envoy_extensions_transport_sockets_tls_v3_TlsKeyLog_##f
#define SDS(f) envoy_extensions_transport_sockets_tls_v3_SdsSecretConfig_##f
#define SECRET(f) envoy_extensions_transport_sockets_tls_v3_Secret_##f
#define COMBINED(f) COMMON(CombinedCertificateValidationContext_##f)

typedef envoy_extensions_transport_sockets_tls_v3_CommonTlsContext common_msg;
typedef envoy_extensions_transport_sockets_tls_v3_DownstreamTlsContext down_msg;
typedef envoy_extensions_transport_sockets_tls_v3_UpstreamTlsContext up_msg;
typedef envoy_extensions_transport_sockets_tls_v3_TlsCertificate cert_msg;
typedef envoy_extensions_transport_sockets_tls_v3_SdsSecretConfig sds_msg;
typedef envoy_extensions_transport_sockets_tls_v3_Secret secret_msg;

static const char down_name[] = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
static const char up_name[] = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

enum {
    FIELD_COMMON = 1,
    FIELD_VALIDATION = 3,
    FIELD_CERTIFICATE_SDS = 6,
    FIELD_VALIDATION_SDS = 7,
    FIELD_COMBINED = 8,
    FIELD_COMBINED_DEFAULT = 1,
    FIELD_COMBINED_SDS = 2,
    FIELD_TICKETS_SDS = 5,
    FIELD_SDS_NAME = 1,
    FIELD_SDS_CONFIG = 2,
    FIELD_SECRET_VALIDATION = 4,
};

/* ---- what is neither secret nor a file ---- */

static struct bytes *take_strings(struct arena *a, upb_StringView const *list, size_t n,
                                  unsigned *count)
{
    struct bytes *out = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        out[i] = arena_dup(a, upb_bytes(list[i]));
    *count = (unsigned)n;
    return out;
}

static bool take_version(int32_t value, enum tls_version *out, struct error *err)
{
    if (value < 0 || value > (int32_t)TLS_VERSION_1_3)
        return error_set(err, "tls_params: protocol version %d is not known", value);
    *out = (enum tls_version)value;
    return true;
}

static bool take_params(struct arena *a, const common_msg *m, struct tls_settings *out,
                        struct error *err)
{
    const envoy_extensions_transport_sockets_tls_v3_TlsParameters *p = COMMON(tls_params)(m);
    size_t n;
    if (!p)
        return true;
    const int32_t *policies = PARAMS(compliance_policies)(p, &n);
    out->fips_202205 = n > 0;
    for (size_t i = 0; i < n; i++) {
        if (policies[i] != PARAMS(FIPS_202205))
            return error_set(err, "tls_params.compliance_policies: %d is not known", policies[i]);
    }
    upb_StringView const *list = PARAMS(cipher_suites)(p, &n);
    out->ciphers = take_strings(a, list, n, &out->n_ciphers);
    list = PARAMS(ecdh_curves)(p, &n);
    out->curves = take_strings(a, list, n, &out->n_curves);
    list = PARAMS(signature_algorithms)(p, &n);
    out->signature_algorithms = take_strings(a, list, n, &out->n_signature_algorithms);
    return take_version(PARAMS(tls_minimum_protocol_version)(p), &out->min_version, err) &&
           take_version(PARAMS(tls_maximum_protocol_version)(p), &out->max_version, err);
}

static bool take_ranges(struct arena *a, const envoy_config_core_v3_CidrRange *const *list,
                        size_t n, const char *field, struct address_prefix **out, unsigned *count,
                        struct error *err)
{
    *out = ARENA_ARRAY(a, struct address_prefix, n ? n : 1);
    *count = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        if (!take_cidr(list[i], &(*out)[i], err))
            return error_prefix(err, "key_log.%s[%zu]: ", field, i);
    }
    return true;
}

static bool take_key_log(struct arena *a, const common_msg *m, struct tls_key_log *out,
                         struct error *err)
{
    const envoy_extensions_transport_sockets_tls_v3_TlsKeyLog *k = COMMON(key_log)(m);
    size_t n_local, n_remote;
    if (!k)
        return true;
    struct bytes path = upb_bytes(KEY_LOG(path)(k));
    if (path.len == 0 || memchr(path.data, '\0', path.len))
        return error_set(err, "key_log.path: expected a path");
    out->path = arena_dup(a, path);
    const envoy_config_core_v3_CidrRange *const *local = KEY_LOG(local_address_range)(k, &n_local);
    const envoy_config_core_v3_CidrRange *const *remote =
        KEY_LOG(remote_address_range)(k, &n_remote);
    return take_ranges(a, local, n_local, "local_address_range", &out->local, &out->n_local, err) &&
           take_ranges(a, remote, n_remote, "remote_address_range", &out->remote, &out->n_remote,
                       err);
}

static bool check_refused(const common_msg *m, struct error *err)
{
    if (COMMON(custom_handshaker)(m))
        return error_set(err, "custom_handshaker is not implemented");
    if (COMMON(custom_tls_certificate_selector)(m))
        return error_set(err, "custom_tls_certificate_selector is not implemented");
    if (COMMON(tls_certificate_provider_instance)(m) ||
        COMMON(tls_certificate_certificate_provider)(m) ||
        COMMON(tls_certificate_certificate_provider_instance)(m) ||
        COMMON(validation_context_certificate_provider)(m) ||
        COMMON(validation_context_certificate_provider_instance)(m))
        return error_set(err, "certificate providers are not implemented");
    return true;
}

/* An element may be several, with commas between: Envoy joins all by commas, then splits them. */
static bool take_alpn(struct arena *a, const common_msg *m, struct tls_settings *out,
                      struct error *err)
{
    size_t n = 0, max = 1;
    upb_StringView const *list = COMMON(alpn_protocols)(m, &n);
    for (size_t i = 0; i < n; i++)
        max += 1 + bytes_count_char(upb_bytes(list[i]), ',');
    out->alpn = ARENA_ARRAY(a, struct bytes, max);
    for (size_t i = 0; i < n; i++) {
        struct bytes rest = arena_dup(a, upb_bytes(list[i]));
        while (rest.data) {
            struct bytes one = bytes_split(&rest, ',');
            if (one.len > 255)
                return error_set(err, "Invalid ALPN protocol string");
            out->alpn[out->n_alpn++] = one;
        }
    }
    return true;
}

static bool take_common(struct arena *a, const common_msg *m, struct tls_settings *out,
                        struct error *err)
{
    if (!m)
        return true;
    return take_alpn(a, m, out, err) && check_refused(m, err) && take_params(a, m, out, err) &&
           take_key_log(a, m, &out->key_log, err);
}

static bool take_down(struct arena *a, const down_msg *m, struct tls_settings *out,
                      struct error *err)
{
    uint64_t timeout_ms = 0;
    out->is_server = true;
    out->require_client_certificate = upb_bool(DOWN(require_client_certificate)(m), false);
    out->require_sni = upb_bool(DOWN(require_sni)(m), false);
    out->disable_tickets = DOWN(disable_stateless_session_resumption)(m);
    out->disable_session_cache = DOWN(disable_stateful_session_resumption)(m);
    out->prefer_client_ciphers = DOWN(prefer_client_ciphers)(m);
    out->full_scan_certs_on_sni_mismatch =
        upb_bool(DOWN(full_scan_certs_on_sni_mismatch)(m), false);
    if (!take_duration_ms(DOWN(session_timeout)(m), "session_timeout", &timeout_ms, err))
        return false;
    out->session_timeout_s =
        timeout_ms / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(timeout_ms / 1000);
    if (DOWN(ocsp_staple_policy)(m) < 0 || DOWN(ocsp_staple_policy)(m) > DOWN(MUST_STAPLE))
        return error_set(err, "ocsp_staple_policy: %d is not known", DOWN(ocsp_staple_policy)(m));
    out->ocsp_policy = (enum tls_ocsp_policy)DOWN(ocsp_staple_policy)(m);
    return take_common(a, DOWN(common_tls_context)(m), out, err);
}

static bool take_up(struct arena *a, const up_msg *m, struct tls_settings *out, struct error *err)
{
    struct bytes sni = upb_bytes(UP(sni)(m));
    if (sni.len && memchr(sni.data, '\0', sni.len))
        return error_set(err, "SNI names containing NULL-byte are not allowed");
    out->sni = arena_dup(a, sni);
    out->auto_host_sni = UP(auto_host_sni)(m);
    out->auto_sni_san_validation = UP(auto_sni_san_validation)(m);
    out->allow_renegotiation = UP(allow_renegotiation)(m);
    out->max_session_keys = upb_u32(UP(max_session_keys)(m), 1);
    return take_common(a, UP(common_tls_context)(m), out, err);
}

/* ---- which secrets ---- */

/* Bytes of an SdsSecretConfig. */
static bool take_ref(struct decode_context *ctx, struct arena *a, struct bytes wire,
                     struct tls_secret_ref *out, struct error *err)
{
    struct bytes config = wire_message(a, wire, FIELD_SDS_CONFIG);
    out->name = arena_dup(a, xdstp_canonical(a, wire_find_bytes(wire, FIELD_SDS_NAME)));
    if (out->name.len == 0)
        return error_set(err, "name: expected at least one character");
    if (!config.data)
        return true;
    struct config_source *source = ARENA_NEW(a, struct config_source);
    if (!config_source_decode(ctx, a, config, source, err))
        return error_prefix(err, "sds_config: ");
    out->source = source;
    return true;
}

static bool take_certificate_refs(struct decode_context *ctx, struct arena *a, struct bytes common,
                                  size_t n, struct tls_socket *out, struct error *err)
{
    struct wire_field f;
    out->certificate_secrets = ARENA_ARRAY(a, struct tls_secret_ref, n ? n : 1);
    while (wire_next(&common, &f) && out->n_certificate_secrets < n) {
        if (f.number != FIELD_CERTIFICATE_SDS || f.type != WIRE_BYTES)
            continue;
        if (!take_ref(ctx, a, f.bytes, &out->certificate_secrets[out->n_certificate_secrets], err))
            return error_prefix(err, "tls_certificate_sds_secret_configs[%u].",
                                out->n_certificate_secrets);
        out->n_certificate_secrets++;
    }
    return true;
}

static bool take_refs(struct decode_context *ctx, struct arena *a, const common_msg *m,
                      struct tls_socket *out, struct error *err)
{
    struct bytes common = wire_message(a, out->wire, FIELD_COMMON), ref = BYTES_NONE;
    size_t n = 0;
    if (m)
        COMMON(tls_certificate_sds_secret_configs)(m, &n);
    if (n > TLS_CERTIFICATES_MAX)
        return error_set(err, "tls_certificate_sds_secret_configs: more than %d",
                         TLS_CERTIFICATES_MAX);
    if (!take_certificate_refs(ctx, a, common, n, out, err))
        return false;
    if (m && COMMON(validation_context_sds_secret_config)(m))
        ref = wire_message(a, common, FIELD_VALIDATION_SDS);
    else if (m && COMMON(combined_validation_context)(m))
        ref = wire_message(a, wire_message(a, common, FIELD_COMBINED), FIELD_COMBINED_SDS);
    if (ref.data && !take_ref(ctx, a, ref, &out->validation_secret, err))
        return error_prefix(err, "validation_context_sds_secret_config.");
    return true;
}

/* How many certificates there are and where they come from. */
static bool check_certificates(const common_msg *m, const struct tls_socket *s, struct error *err)
{
    size_t n = 0;
    if (m)
        COMMON(tls_certificates)(m, &n);
    if (n > TLS_CERTIFICATES_MAX)
        return error_set(err, "tls_certificates: more than %d", TLS_CERTIFICATES_MAX);
    if (!s->is_server)
        return n + s->n_certificate_secrets <= 1 ||
               error_set(err, "Multiple TLS certificates are not supported for client contexts");
    if (n && s->n_certificate_secrets)
        return error_set(err, "SDS and non-SDS TLS certificates may not be mixed in server "
                              "contexts");
    return n || s->n_certificate_secrets ||
           error_set(err, "No TLS certificates found for server context");
}

static bool has_validation(const common_msg *m)
{
    return m && (COMMON(validation_context)(m) || COMMON(combined_validation_context)(m) ||
                 COMMON(validation_context_sds_secret_config)(m));
}

/* ---- the socket ---- */

static bool take_server(struct decode_context *ctx, struct arena *a, struct tls_socket *s,
                        upb_Arena *arena, struct error *err)
{
    const down_msg *m = DOWN(parse_ex)(s->wire.data, s->wire.len, NULL, UPB_VIEW, arena);
    if (!m)
        return error_set(err, "the bytes are no DownstreamTlsContext");
    struct bytes tickets = wire_message(a, s->wire, FIELD_TICKETS_SDS);
    const common_msg *common = DOWN(common_tls_context)(m);
    if (DOWN(session_ticket_keys_sds_secret_config)(m) &&
        !take_ref(ctx, a, tickets, &s->ticket_keys_secret, err))
        return error_prefix(err, "session_ticket_keys_sds_secret_config.");
    return take_down(a, m, &s->settings, err) && take_refs(ctx, a, common, s, err) &&
           check_certificates(common, s, err);
}

static bool take_client(struct decode_context *ctx, struct arena *a, struct tls_socket *s,
                        upb_Arena *arena, struct error *err)
{
    const up_msg *m = UP(parse_ex)(s->wire.data, s->wire.len, NULL, UPB_VIEW, arena);
    if (!m)
        return error_set(err, "the bytes are no UpstreamTlsContext");
    const common_msg *common = UP(common_tls_context)(m);
    if (!take_up(a, m, &s->settings, err) || !take_refs(ctx, a, common, s, err) ||
        !check_certificates(common, s, err))
        return false;
    return !s->settings.auto_sni_san_validation || has_validation(common) ||
           error_set(err, "'auto_sni_san_validation' was configured without a validation context");
}

static struct tls_socket *decode_tls(struct decode_context *ctx, struct arena *a, struct bytes wire,
                                     bool is_server, struct error *err)
{
    const char *name = is_server ? down_name : up_name;
    struct tls_socket *s = ARENA_NEW(a, struct tls_socket);
    arena_wipe_on_free(a); /* the bytes may hold a key */
    s->type_url = bytes_of(name);
    s->wire = arena_dup(a, wire);
    s->is_server = is_server;
    upb_Arena *arena = upb_Arena_New();
    bool ok = is_server ? take_server(ctx, a, s, arena, err) : take_client(ctx, a, s, arena, err);
    upb_Arena_Free(arena);
    return ok ? s : NULL;
}

struct tls_socket *tls_socket_of_client(struct decode_context *ctx, struct arena *a,
                                        struct bytes wire, struct error *err)
{
    return decode_tls(ctx, a, wire, false, err);
}

bool transport_socket_decode(struct decode_context *ctx, struct arena *a,
                             const envoy_config_core_v3_TransportSocket *ts, bool is_server,
                             const char *field, const struct tls_socket **out, struct error *err)
{
    static const char raw[] = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
    struct typed t;
    *out = NULL;
    if (!ts)
        return true;
    struct bytes name = upb_bytes(envoy_config_core_v3_TransportSocket_name(ts));
    if (!take_any(ctx, a, envoy_config_core_v3_TransportSocket_typed_config(ts), &t, err))
        return error_prefix(err, "%s: ", field);
    if (bytes_eq_str(t.type_name, raw) ||
        (t.type_name.len == 0 && bytes_eq_str(name, "envoy.transport_sockets.raw_buffer")))
        return true;
    if (!bytes_eq_str(t.type_name, is_server ? down_name : up_name))
        return error_set(err,
                         "%s: Didn't find a registered implementation for '%.*s' with type URL: "
                         "'%.*s'",
                         field, BYTES_ARG(name), BYTES_ARG(t.type_name));
    *out = decode_tls(ctx, a, t.value, is_server, err);
    return *out || error_prefix(err, "%s: ", field);
}

void tls_socket_fini(struct tls_socket *s)
{
    if (!s)
        return;
    builder_live_free(&s->live);
    NODE_UNREF(&s->node);
    stat_scope_unref(&s->stats);
}

/* ---- settings ---- */

void tls_reader_init(struct tls_reader *r, struct decode_context *ctx)
{
    *r = (struct tls_reader){.ctx = ctx, .arena = arena_new(0), .messages = upb_Arena_New()};
    arena_wipe_on_free(r->arena);
}

void tls_reader_fini(struct tls_reader *r)
{
    regex_list_fini(&r->regexes);
    upb_Arena_Free(r->messages);
    arena_free(&r->arena);
}

struct reading {
    struct tls_reader *r;
    tls_secret_fn *secret;
    void *arg;
    bool *missing;
    struct error *err;
};

static const secret_msg *parse_secret(struct tls_reader *r, struct bytes wire, struct error *err)
{
    const secret_msg *m =
        SECRET(parse_ex)(wire.data ? wire.data : "", wire.len, NULL, UPB_VIEW, r->messages);
    if (!m)
        error_set(err, "the bytes are no Secret");
    return m;
}

static bool bad_secret(const struct tls_secret_ref *ref, const char *what, struct error *err)
{
    if (!ref->source && !error_is_set(err))
        return error_set(err, "Unknown %s: %.*s", what, BYTES_ARG(ref->name));
    return error_prefix(err, "secret '%.*s': ", BYTES_ARG(ref->name));
}

/* NULL without an error: it is not there yet. */
static const secret_msg *find_secret(struct reading *x, const struct tls_secret_ref *ref,
                                     const char *what, int kind, struct bytes *wire)
{
    *wire = x->secret(x->arg, ref);
    if (!wire->data) {
        if (ref->source)
            *x->missing = true;
        else
            bad_secret(ref, what, x->err);
        return NULL;
    }
    const secret_msg *m = parse_secret(x->r, *wire, x->err);
    if (m && (int)SECRET(type_case)(m) == kind)
        return m;
    if (!error_is_set(x->err))
        error_set(x->err, "it is no %s", what);
    bad_secret(ref, what, x->err);
    return NULL;
}

static bool read_certificates(struct reading *x, const struct tls_socket *s, const common_msg *m,
                              struct tls_settings *out)
{
    size_t n = 0;
    const cert_msg *const *list = m ? COMMON(tls_certificates)(m, &n) : NULL;
    unsigned n_all = (unsigned)n + s->n_certificate_secrets;
    struct tls_certificate *all = ARENA_ARRAY(x->r->arena, struct tls_certificate, n_all + 1);
    out->certificates = all;
    for (size_t i = 0; i < n; i++) {
        if (!tls_certificate_read(x->r, list[i], &all[out->n_certificates++], x->err))
            return false;
    }
    for (unsigned i = 0; i < s->n_certificate_secrets; i++) {
        const struct tls_secret_ref *ref = &s->certificate_secrets[i];
        struct bytes wire;
        const secret_msg *secret =
            find_secret(x, ref, "static secret", SECRET(type_tls_certificate), &wire);
        if (secret && !tls_certificate_read(x->r, SECRET(tls_certificate)(secret),
                                            &all[out->n_certificates++], x->err))
            return bad_secret(ref, "", x->err);
        if (error_is_set(x->err))
            return false;
    }
    return true;
}

/* The default of a combined context, with what the secret says merged into it. */
static struct bytes validation_wire(struct tls_reader *r, struct bytes common, struct bytes secret)
{
    struct bytes fixed = wire_message(r->arena, common, FIELD_VALIDATION);
    struct bytes combined = wire_message(r->arena, common, FIELD_COMBINED);
    struct bytes dynamic = wire_message(r->arena, secret, FIELD_SECRET_VALIDATION);
    if (!combined.data)
        return dynamic.data ? dynamic : fixed;
    struct bytes base = wire_message(r->arena, combined, FIELD_COMBINED_DEFAULT);
    char *both = arena_alloc(r->arena, base.len + dynamic.len + 1);
    if (base.len)
        memcpy(both, base.data, base.len);
    if (dynamic.len)
        memcpy(both + base.len, dynamic.data, dynamic.len);
    return bytes_from(both, base.len + dynamic.len);
}

static bool read_validation(struct reading *x, const struct tls_socket *s, const common_msg *m,
                            struct tls_settings *out)
{
    const struct tls_secret_ref *ref = &s->validation_secret;
    struct bytes wire = BYTES_NONE, common = wire_message(x->r->arena, s->wire, FIELD_COMMON);
    if (!has_validation(m))
        return true;
    if (ref->name.len && !find_secret(x, ref, "static certificate validation context",
                                      SECRET(type_validation_context), &wire))
        return !error_is_set(x->err);
    struct tls_validation *v = ARENA_NEW(x->r->arena, struct tls_validation);
    out->validation = v;
    if (tls_validation_read(x->r, validation_wire(x->r, common, wire), true, v, x->err))
        return true;
    return ref->name.len ? bad_secret(ref, "", x->err) : false;
}

static bool read_tickets(struct reading *x, const struct tls_socket *s, const down_msg *m,
                         struct tls_settings *out)
{
    const struct tls_secret_ref *ref = &s->ticket_keys_secret;
    struct bytes wire;
    if (DOWN(session_ticket_keys)(m))
        return tls_ticket_keys_read(x->r, DOWN(session_ticket_keys)(m), out, x->err);
    if (ref->name.len == 0)
        return true;
    const secret_msg *secret =
        find_secret(x, ref, "tls session ticket keys", SECRET(type_session_ticket_keys), &wire);
    if (!secret)
        return !error_is_set(x->err);
    return tls_ticket_keys_read(x->r, SECRET(session_ticket_keys)(secret), out, x->err) ||
           bad_secret(ref, "", x->err);
}

bool tls_settings_read(struct tls_reader *r, const struct tls_socket *s, tls_secret_fn *secret,
                       void *arg, struct tls_settings *out, bool *missing, struct error *err)
{
    struct reading x = {r, secret, arg, missing, err};
    const down_msg *down = NULL;
    const up_msg *up = NULL;
    *out = s->settings;
    *missing = false;
    if (s->is_server)
        down = DOWN(parse_ex)(s->wire.data, s->wire.len, NULL, UPB_VIEW, r->messages);
    else
        up = UP(parse_ex)(s->wire.data, s->wire.len, NULL, UPB_VIEW, r->messages);
    if (!down && !up)
        return error_set(err, "out of memory");
    const common_msg *common = down ? DOWN(common_tls_context)(down) : UP(common_tls_context)(up);
    return read_certificates(&x, s, common, out) && read_validation(&x, s, common, out) &&
           (!down || read_tickets(&x, s, down, out));
}

/* ---- secrets ---- */

static bool read_kind(struct tls_reader *r, const secret_msg *m, struct bytes wire,
                      enum tls_secret_kind *kind, struct tls_settings *out, struct error *err)
{
    struct tls_certificate *c = ARENA_NEW(r->arena, struct tls_certificate);
    struct tls_validation *v = ARENA_NEW(r->arena, struct tls_validation);
    switch (SECRET(type_case)(m)) {
    case SECRET(type_tls_certificate):
        *kind = TLS_SECRET_CERTIFICATE;
        out->is_server = true;
        out->certificates = c;
        out->n_certificates = 1;
        return tls_certificate_read(r, SECRET(tls_certificate)(m), c, err);
    case SECRET(type_validation_context):
        *kind = TLS_SECRET_VALIDATION;
        out->validation = v;
        return tls_validation_read(r, wire_message(r->arena, wire, FIELD_SECRET_VALIDATION), false,
                                   v, err);
    case SECRET(type_session_ticket_keys):
        *kind = TLS_SECRET_TICKET_KEYS;
        return tls_ticket_keys_read(r, SECRET(session_ticket_keys)(m), out, err);
    case SECRET(type_generic_secret):
        *kind = TLS_SECRET_GENERIC;
        return true; /* what asks for it reads it */
    case SECRET(type_NOT_SET):
        break;
    }
    return false; /* check_secret() has said so */
}

static const secret_msg *check_secret(struct tls_reader *r, struct bytes wire, struct bytes name,
                                      struct error *err)
{
    const secret_msg *m = NULL;
    if (decode_check(r->ctx, "envoy.extensions.transport_sockets.tls.v3.Secret", wire, err))
        m = parse_secret(r, wire, err);
    if (!m)
        return NULL;
    struct bytes own = upb_bytes(SECRET(name)(m));
    if (!bytes_eq(own, name))
        error_set(err, "Unexpected SDS secret (expecting %.*s): %.*s", BYTES_ARG(name),
                  BYTES_ARG(own));
    else if (SECRET(type_case)(m) == SECRET(type_NOT_SET))
        error_set(err, "type: expected one of tls_certificate, session_ticket_keys, "
                       "validation_context, generic_secret");
    return error_is_set(err) ? NULL : m;
}

bool tls_secret_check(struct tls_reader *r, struct bytes wire, struct bytes name, struct error *err)
{
    return check_secret(r, wire, name, err) != NULL;
}

bool tls_secret_read(struct tls_reader *r, struct bytes wire, struct bytes name,
                     enum tls_secret_kind *kind, struct tls_settings *out, struct error *err)
{
    *kind = TLS_SECRET_NONE;
    *out = (struct tls_settings){.max_session_keys = 1};
    const secret_msg *m = check_secret(r, wire, name, err);
    return m && read_kind(r, m, wire, kind, out, err);
}
