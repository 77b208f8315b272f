#include "config/google_grpc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/decode_util.h"
#include "config/tls_decode.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/core/v3/grpc_service.upb.h"
#include "envoy/extensions/transport_sockets/tls/v3/common.upb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.upb.h"
#include "google/protobuf/any.upb.h"

#define GOOGLE(f) envoy_config_core_v3_GrpcService_GoogleGrpc_##f
#define TLS(f) envoy_extensions_transport_sockets_tls_v3_##f
#define SOURCE(f) envoy_config_core_v3_DataSource_##f

typedef envoy_config_core_v3_GrpcService_GoogleGrpc google_msg;
typedef GOOGLE(SslCredentials) ssl_msg;

enum { PORT_DEFAULT = 443, CONNECT_TIMEOUT_MS = 20000, TARGETS_MAX = 64 };

/* ---- target_uri ---- */

static bool take_scheme(struct bytes *rest, const char *scheme)
{
    struct bytes s = bytes_of(scheme);
    if (!bytes_starts_with(*rest, s))
        return false;
    *rest = bytes_skip(*rest, s.len);
    return true;
}

static bool take_port(struct bytes text, uint16_t *port)
{
    uint64_t n;
    if (!bytes_to_u64(text, &n) || n == 0 || n > UINT16_MAX)
        return false;
    *port = (uint16_t)n;
    return true;
}

/* "host", "host:port", "1.2.3.4", "[::1]:port". */
static bool take_host(struct arena *a, struct bytes text, struct google_target *t)
{
    ptrdiff_t colon = bytes_rfind_char(text, ':');
    t->port = PORT_DEFAULT;
    if (address_parse_ip_port(text, &t->address) ||
        address_parse_ip(text, PORT_DEFAULT, &t->address))
        return t->address.port != 0;
    struct bytes host = colon < 0 ? text : bytes_first(text, (size_t)colon);
    if (colon >= 0 && !take_port(bytes_skip(text, (size_t)colon + 1), &t->port))
        return false;
    t->name = arena_dup(a, host);
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        if (c <= ' ' || c > '~' || strchr("/:[]%?#@\\", c))
            return false;
    }
    return host.len > 0;
}

/* ipv4:1.2.3.4:5,6.7.8.9:10 */
static bool take_list(struct arena *a, struct bytes rest, struct google_grpc *g)
{
    g->targets = ARENA_ARRAY(a, struct google_target, TARGETS_MAX);
    if (rest.len && rest.data[rest.len - 1] == ',')
        return false;
    while (rest.len && g->n_targets < TARGETS_MAX) {
        if (!address_parse_ip_port(bytes_split(&rest, ','), &g->targets[g->n_targets++].address))
            return false;
    }
    return g->n_targets && !rest.len;
}

static bool take_path(struct bytes path, bool is_abstract, struct arena *a, struct google_grpc *g)
{
    if (take_scheme(&path, "//") && (!path.len || path.data[0] != '/'))
        return false;
    if (path.len == 0 || memchr(path.data, '%', path.len) || memchr(path.data, '\0', path.len))
        return false;
    g->n_targets = 1;
    return address_from_path(is_abstract ? bytes_of(arena_printf(a, "@%.*s", BYTES_ARG(path)))
                                         : path,
                             &g->targets->address);
}

/* *authority: what the server is told to be. */
static bool take_target(struct arena *a, struct bytes uri, struct google_grpc *g,
                        struct bytes *authority)
{
    struct bytes rest = uri;
    g->targets = ARENA_NEW(a, struct google_target);
    *authority = BYTES("localhost");
    if (take_scheme(&rest, "unix-abstract:"))
        return take_path(rest, true, a, g);
    if (take_scheme(&rest, "unix:"))
        return take_path(rest, false, a, g);
    if (take_scheme(&rest, "ipv4:") || take_scheme(&rest, "ipv6:")) {
        (void)take_scheme(&rest, "///");
        *authority = rest;
        return take_list(a, rest, g);
    }
    if (take_scheme(&rest, "dns:"))
        (void)take_scheme(&rest, "///");
    *authority = rest;
    g->n_targets = 1;
    return take_host(a, rest, g->targets);
}

/* ---- channel_args ---- */

/* What a channel over one connection can obey. */
static const char *const number_args[] = {
    "grpc.http2.bdp_probe",
    "grpc.http2.hpack_table_size.decoder",
    "grpc.http2.hpack_table_size.encoder",
    "grpc.http2.lookahead_bytes",
    "grpc.http2.max_frame_size",
    "grpc.http2.max_pings_without_data",
    "grpc.http2.write_buffer_size",
    "grpc.keepalive_permit_without_calls",
    "grpc.keepalive_time_ms",
    "grpc.keepalive_timeout_ms",
    "grpc.max_metadata_size",
    "grpc.max_receive_message_length",
    "grpc.max_send_message_length",
};
static const char *const text_args[] = {"grpc.primary_user_agent", "grpc.secondary_user_agent"};

struct google_decode {
    struct arena *arena;
    struct grpc_service *out;
    struct google_grpc *g;
    struct error *err;
};

static const char *listed(const char *const *list, size_t n, struct bytes key)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes_eq_str(key, list[i]))
            return list[i];
    }
    return NULL;
}

static bool take_milliseconds(int32_t number, uint64_t *out, struct error *err)
{
    if (number <= 0)
        return error_set(err, "expected a positive number, got %d", number);
    *out = (uint64_t)number;
    return true;
}

/* Those that are not of the connection itself, but of how it is made. *known: it is one. */
static bool take_number(struct google_decode *d, struct bytes key, int32_t number, bool *known)
{
    struct grpc_service *out = d->out;
    *known = true;
    if (bytes_eq_str(key, "grpc.initial_reconnect_backoff_ms"))
        return take_milliseconds(number, &out->retry_base_ms, d->err);
    if (bytes_eq_str(key, "grpc.max_reconnect_backoff_ms"))
        return take_milliseconds(number, &out->retry_max_ms, d->err);
    if (bytes_eq_str(key, "grpc.min_reconnect_backoff_ms"))
        return take_milliseconds(number, &d->g->connect_timeout_ms, d->err);
    struct channel_arg *arg = &d->g->args[d->g->n_args];
    *known = (arg->key = listed(number_args, ARRAY_SIZE(number_args), key)) != NULL;
    arg->number = number;
    d->g->n_args += *known;
    return true;
}

static bool take_text(struct google_decode *d, struct bytes key, struct bytes text, bool *known)
{
    *known = true;
    if (text.len && memchr(text.data, '\0', text.len))
        return error_set(d->err, "a NUL in a text");
    if (bytes_eq_str(key, "grpc.default_authority"))
        d->out->authority = arena_dup(d->arena, text);
    else if (bytes_eq_str(key, "grpc.ssl_target_name_override"))
        d->g->tls_name = arena_dup(d->arena, text);
    else
        *known = false;
    if (*known)
        return text.len || error_set(d->err, "expected at least one character");
    struct channel_arg *arg = &d->g->args[d->g->n_args];
    *known = (arg->key = listed(text_args, ARRAY_SIZE(text_args), key)) != NULL;
    arg->text = arena_str(d->arena, text);
    d->g->n_args += *known;
    return true;
}

static bool take_arg(struct google_decode *d, const GOOGLE(ChannelArgs_ArgsEntry) * e)
{
    struct bytes key = upb_bytes(GOOGLE(ChannelArgs_ArgsEntry_key)(e));
    const GOOGLE(ChannelArgs_Value) *v = GOOGLE(ChannelArgs_ArgsEntry_value)(e);
    bool known = false, ok = true;
    if (v && GOOGLE(ChannelArgs_Value_has_int_value)(v)) {
        int64_t n = GOOGLE(ChannelArgs_Value_int_value)(v);
        ok = n >= INT32_MIN && n <= INT32_MAX ? take_number(d, key, (int32_t)n, &known)
                                              : error_set(d->err, "the number is too large");
    } else if (v) {
        ok = take_text(d, key, upb_bytes(GOOGLE(ChannelArgs_Value_string_value)(v)), &known);
    }
    if (ok && !known)
        ok = error_set(d->err, "it is not implemented with a value of this type");
    return ok || error_prefix(d->err, "channel_args.args[%.*s]: ", BYTES_ARG(key));
}

static bool take_args(struct google_decode *d, const GOOGLE(ChannelArgs) * m)
{
    size_t it = kUpb_Map_Begin;
    const GOOGLE(ChannelArgs_ArgsEntry) * e;
    d->g->args = ARENA_ARRAY(d->arena, struct channel_arg,
                             ARRAY_SIZE(number_args) + ARRAY_SIZE(text_args) + 1);
    while (m && (e = GOOGLE(ChannelArgs_args_next)(m, &it))) {
        if (!take_arg(d, e))
            return false;
    }
    if (d->out->retry_base_ms && d->out->retry_max_ms &&
        d->out->retry_max_ms < d->out->retry_base_ms)
        d->out->retry_max_ms = d->out->retry_base_ms;
    return true;
}

/* ---- credentials ---- */

/* What gRPC takes for the roots of a system. */
static const char *default_roots(void)
{
    static const char *const paths[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    const char *named = getenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH");
    if (named && *named)
        return named;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        if (access(paths[i], R_OK) == 0)
            return paths[i];
    }
    return paths[0];
}

static struct envoy_config_core_v3_DataSource *of_file(const char *path, upb_Arena *arena)
{
    struct envoy_config_core_v3_DataSource *s = SOURCE(new)(arena);
    SOURCE(set_filename)(s, upb_StringView_FromString(path));
    return s;
}

/* The same as an UpstreamTlsContext, which the rest of the proxy knows. */
static bool take_ssl(struct google_decode *d, const ssl_msg *m, upb_Arena *arena)
{
    const struct envoy_config_core_v3_DataSource *roots = GOOGLE(SslCredentials_root_certs)(m);
    const struct envoy_config_core_v3_DataSource *key = GOOGLE(SslCredentials_private_key)(m);
    const struct envoy_config_core_v3_DataSource *chain = GOOGLE(SslCredentials_cert_chain)(m);
    TLS(UpstreamTlsContext) *tls = TLS(UpstreamTlsContext_new)(arena);
    TLS(CommonTlsContext) *common = TLS(UpstreamTlsContext_mutable_common_tls_context)(tls, arena);
    TLS(CertificateValidationContext) *validation =
        TLS(CommonTlsContext_mutable_validation_context)(common, arena);
    struct bytes name = d->g->tls_name;
    struct address address;
    size_t len;
    if (!key != !chain)
        return error_set(d->err, "private_key and cert_chain go together");
    TLS(CertificateValidationContext_set_trusted_ca)
    (validation,
     roots ? (struct envoy_config_core_v3_DataSource *)roots : of_file(default_roots(), arena));
    TLS(TlsParameters_set_tls_minimum_protocol_version)
    (TLS(CommonTlsContext_mutable_tls_params)(common, arena), TLS(TlsParameters_TLSv1_2));
    if (key) {
        TLS(TlsCertificate) *c = TLS(CommonTlsContext_add_tls_certificates)(common, arena);
        TLS(TlsCertificate_set_private_key)(c, (struct envoy_config_core_v3_DataSource *)key);
        TLS(TlsCertificate_set_certificate_chain)
        (c, (struct envoy_config_core_v3_DataSource *)chain);
    }
    if (!address_parse_ip(name, 0, &address))
        TLS(UpstreamTlsContext_set_sni)(tls, upb_StringView_FromDataAndSize(name.data, name.len));
    char *wire = TLS(UpstreamTlsContext_serialize)(tls, arena, &len);
    if (!wire)
        return error_set(d->err, "no memory");
    arena_wipe_on_free(d->arena); /* the bytes may hold a key */
    d->g->tls = arena_dup(d->arena, bytes_from(wire, len));
    return true;
}

static bool is_local(const struct google_grpc *g)
{
    return g->targets->address.kind == ADDRESS_PIPE;
}

static bool take_channel_credentials(struct google_decode *d, const GOOGLE(ChannelCredentials) * m,
                                     upb_Arena *arena)
{
    if (!m)
        return true;
    switch (GOOGLE(ChannelCredentials_credential_specifier_case)(m)) {
    case GOOGLE(ChannelCredentials_credential_specifier_ssl_credentials):
        return take_ssl(d, GOOGLE(ChannelCredentials_ssl_credentials)(m), arena) ||
               error_prefix(d->err, "channel_credentials.ssl_credentials: ");
    case GOOGLE(ChannelCredentials_credential_specifier_google_default):
        return error_set(d->err, "channel_credentials.google_default is not implemented");
    case GOOGLE(ChannelCredentials_credential_specifier_local_credentials):
        return is_local(d->g) ||
               error_set(d->err, "channel_credentials.local_credentials: expected a target_uri "
                                 "that is a Unix socket");
    case GOOGLE(ChannelCredentials_credential_specifier_NOT_SET):
        break;
    }
    return error_set(d->err, "channel_credentials: expected one of ssl_credentials, "
                             "local_credentials");
}

static const char *call_credential_name(const GOOGLE(CallCredentials) * m)
{
    switch (GOOGLE(CallCredentials_credential_specifier_case)(m)) {
    case GOOGLE(CallCredentials_credential_specifier_access_token):
        return NULL;
    case GOOGLE(CallCredentials_credential_specifier_google_compute_engine):
        return "google_compute_engine";
    case GOOGLE(CallCredentials_credential_specifier_google_refresh_token):
        return "google_refresh_token";
    case GOOGLE(CallCredentials_credential_specifier_service_account_jwt_access):
        return "service_account_jwt_access";
    case GOOGLE(CallCredentials_credential_specifier_google_iam):
        return "google_iam";
    case GOOGLE(CallCredentials_credential_specifier_from_plugin):
        return "from_plugin";
    case GOOGLE(CallCredentials_credential_specifier_sts_service):
        return "sts_service";
    case GOOGLE(CallCredentials_credential_specifier_NOT_SET):
        break;
    }
    return "what it does not name";
}

static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    }
    return text.len > 0;
}

/* Tokens go with each call, and never over a channel that others can read, as in gRPC. */
static bool take_tokens(struct google_decode *d, const google_msg *m)
{
    size_t n;
    struct grpc_service *out = d->out;
    const GOOGLE(CallCredentials) *const *list = GOOGLE(call_credentials)(m, &n);
    struct bytes *keys = ARENA_ARRAY(d->arena, struct bytes, out->n_metadata + n + 1);
    struct bytes *values = ARENA_ARRAY(d->arena, struct bytes, out->n_metadata + n + 1);
    if (n && !d->g->tls.data && !is_local(d->g))
        return error_set(d->err, "call_credentials: expected channel_credentials with them");
    for (unsigned i = 0; i < out->n_metadata; i++) {
        keys[i] = out->metadata_keys[i];
        values[i] = out->metadata_values[i];
    }
    for (size_t i = 0; i < n; i++) {
        const char *other = call_credential_name(list[i]);
        struct bytes token = upb_bytes(GOOGLE(CallCredentials_access_token)(list[i]));
        if (other)
            return error_set(d->err, "call_credentials[%zu]: %s is not implemented", i, other);
        if (!is_token(token))
            return error_set(d->err, "call_credentials[%zu].access_token: expected a token", i);
        keys[out->n_metadata] = BYTES("authorization");
        values[out->n_metadata++] =
            bytes_of(arena_printf(d->arena, "Bearer %.*s", BYTES_ARG(token)));
    }
    out->metadata_keys = keys;
    out->metadata_values = values;
    return true;
}

static bool check_refused(const google_msg *m, struct error *err)
{
    size_t n_plugins, n_call_plugins;
    struct bytes factory = upb_bytes(GOOGLE(credentials_factory_name)(m));
    GOOGLE(channel_credentials_plugin)(m, &n_plugins);
    GOOGLE(call_credentials_plugin)(m, &n_call_plugins);
    if (n_plugins)
        return error_set(err, "channel_credentials_plugin is not implemented");
    if (n_call_plugins)
        return error_set(err, "call_credentials_plugin is not implemented");
    if (factory.len && !bytes_eq_str(factory, "envoy.grpc_credentials.default"))
        return error_set(err,
                         "credentials_factory_name: Unknown google grpc credentials factory: %.*s",
                         BYTES_ARG(factory));
    return true;
}

/* ---- all of it ---- */

static bool take_all(struct google_decode *d, const google_msg *m, upb_Arena *arena)
{
    struct bytes uri = upb_bytes(GOOGLE(target_uri)(m)), authority;
    struct grpc_service *out = d->out;
    if (!take_target(d->arena, uri, d->g, &authority))
        return error_set(d->err,
                         "target_uri: '%.*s': expected host:port, dns:host:port, "
                         "ipv4:address:port, ipv6:[address]:port, unix:path or unix-abstract:name",
                         BYTES_ARG(uri));
    out->cluster_name = arena_dup(d->arena, uri);
    d->g->stat_prefix = arena_dup(d->arena, upb_bytes(GOOGLE(stat_prefix)(m)));
    if (!check_refused(m, d->err) || !take_args(d, GOOGLE(channel_args)(m)))
        return false;
    if (!out->authority.len)
        out->authority = arena_dup(d->arena, d->g->tls_name.len ? d->g->tls_name : authority);
    if (!d->g->tls_name.len) {
        char text[ADDRESS_TEXT_MAX];
        const struct google_target *t = d->g->targets;
        d->g->tls_name = t->name.len ? t->name
                         : address_is_ip(&t->address)
                             ? arena_dup(d->arena, bytes_of(address_format_ip(&t->address, text)))
                             : BYTES("localhost");
    }
    return take_channel_credentials(d, GOOGLE(channel_credentials)(m), arena) && take_tokens(d, m);
}

bool google_grpc_decode(struct decode_context *ctx, struct arena *a, const google_msg *m,
                        struct grpc_service *out, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    struct google_decode d = {a, out, ARENA_NEW(a, struct google_grpc), err};
    d.g->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    bool ok = take_all(&d, m, arena);
    upb_Arena_Free(arena);
    if (ok && d.g->tls.data && ctx->tls) { /* what is bad is said now */
        struct tls_context *c = google_grpc_tls(ctx, d.g, err);
        ok = c != NULL;
        if (ok)
            ctx->tls->unref(ctx->tls->ctx, c);
    }
    out->google = d.g;
    return ok || error_prefix(err, "google_grpc.");
}

struct google_grpc *google_grpc_copy(struct arena *a, const struct google_grpc *from)
{
    struct google_grpc *g = ARENA_NEW(a, struct google_grpc);
    *g = *from;
    arena_wipe_on_free(a);
    g->stat_prefix = arena_dup(a, from->stat_prefix);
    g->tls = from->tls.data ? arena_dup(a, from->tls) : BYTES_NONE;
    g->tls_name = arena_dup(a, from->tls_name);
    g->targets = ARENA_ARRAY(a, struct google_target, from->n_targets);
    for (unsigned i = 0; i < from->n_targets; i++) {
        g->targets[i] = from->targets[i];
        if (from->targets[i].name.data)
            g->targets[i].name = arena_dup(a, from->targets[i].name);
    }
    g->args = ARENA_ARRAY(a, struct channel_arg, from->n_args + 1);
    for (unsigned i = 0; i < from->n_args; i++) {
        g->args[i] = from->args[i]; /* keys are constant */
        if (from->args[i].text)
            g->args[i].text = arena_str(a, bytes_of(from->args[i].text));
    }
    return g;
}

static struct bytes no_secret(void *arg, const struct tls_secret_ref *ref)
{
    (void)arg;
    (void)ref;
    return BYTES_NONE;
}

struct tls_context *google_grpc_tls(struct decode_context *ctx, const struct google_grpc *g,
                                    struct error *err)
{
    struct tls_reader r;
    struct tls_settings settings;
    struct tls_context *c = NULL;
    bool missing = false;
    tls_reader_init(&r, ctx);
    struct tls_socket *s = tls_socket_of_client(ctx, r.arena, g->tls, err);
    if (s && tls_settings_read(&r, s, no_secret, NULL, &settings, &missing, err))
        c = ctx->tls->make(ctx->tls->ctx, &settings, err);
    tls_reader_fini(&r);
    if (!c)
        error_prefix(err, "channel_credentials.ssl_credentials: ");
    return c;
}
