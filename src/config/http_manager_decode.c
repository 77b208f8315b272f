/* HttpConnectionManager into a const node. Defaults are Envoy 1.40's. */
#include "config/decode.h"
#include "config/decode_util.h"
#include "config/filter_discovery.h"
#include "config/grpc_log.h"
#include "config/http_manager_parts.h"
#include "config/scoped_routes.h"
#include "config/route.h"
#include "config/typed.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/core/v3/protocol.upb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.upb.h"
#include "envoy/extensions/request_id/uuid/v3/uuid.upb.h"

#define HCM(f) envoy_extensions_filters_network_http_connection_manager_v3_HttpConnectionManager_##f
#define REQUEST_ID(f)                                                                              \
    envoy_extensions_filters_network_http_connection_manager_v3_RequestIDExtension_##f
#define COMMON(f) envoy_config_core_v3_HttpProtocolOptions_##f
#define HTTP1(f) envoy_config_core_v3_Http1ProtocolOptions_##f

typedef envoy_extensions_filters_network_http_connection_manager_v3_HttpConnectionManager hcm_msg;

enum { FIELD_ACCESS_LOG = 13, MAX_REQUEST_HEADERS_KB = 8192 };

static bool take_codec(struct http_manager *m, const hcm_msg *msg, struct error *err)
{
    switch (HCM(codec_type)(msg)) {
    case HCM(AUTO):
        m->codec = CODEC_AUTO;
        return true;
    case HCM(HTTP1):
        m->codec = CODEC_HTTP1;
        return true;
    case HCM(HTTP2):
        m->codec = CODEC_HTTP2;
        return true;
    case HCM(HTTP3):
        return error_set(err, "codec_type: HTTP3 is not implemented");
    default:
        return error_set(err, "codec_type: %d is not known", HCM(codec_type)(msg));
    }
}

/* What would let a request pass, or send it elsewhere, if it were ignored. */
static bool check_refused(const hcm_msg *msg, struct error *err)
{
    size_t n_detection, n_mutation;
    HCM(original_ip_detection_extensions)(msg, &n_detection);
    HCM(early_header_mutation_extensions)(msg, &n_mutation);
    if (n_detection)
        return error_set(err, "original_ip_detection_extensions is not implemented");
    if (n_mutation)
        return error_set(err, "early_header_mutation_extensions is not implemented");
    if (HCM(path_normalization_options)(msg))
        return error_set(err, "path_normalization_options is not implemented");
    if (HCM(typed_header_validation_config)(msg))
        return error_set(err, "typed_header_validation_config is not implemented");
    if (HCM(scheme_header_transformation)(msg))
        return error_set(err, "scheme_header_transformation is not implemented");
    if (HCM(local_reply_config)(msg))
        return error_set(err, "local_reply_config is not implemented");
    return true;
}

static bool take_times(struct http_manager *m, const hcm_msg *msg, struct error *err)
{
    m->stream_idle_timeout_ms = 300000;
    m->drain_timeout_ms = 5000;
    m->delayed_close_timeout_ms = 1000;
    return take_limit_ms(HCM(stream_idle_timeout)(msg), "stream_idle_timeout",
                         &m->stream_idle_timeout_ms, err) &&
           take_limit_ms(HCM(request_timeout)(msg), "request_timeout", &m->request_timeout_ms,
                         err) &&
           take_limit_ms(HCM(request_headers_timeout)(msg), "request_headers_timeout",
                         &m->request_headers_timeout_ms, err) &&
           take_duration_ms(HCM(drain_timeout)(msg), "drain_timeout", &m->drain_timeout_ms, err) &&
           take_limit_ms(HCM(delayed_close_timeout)(msg), "delayed_close_timeout",
                         &m->delayed_close_timeout_ms, err);
}

static bool take_common(struct http_manager *m, const hcm_msg *msg, struct error *err)
{
    const envoy_config_core_v3_HttpProtocolOptions *c = HCM(common_http_protocol_options)(msg);
    m->idle_timeout_ms = 3600000;
    m->max_headers_count = 100;
    m->max_request_headers_kb = upb_u32(HCM(max_request_headers_kb)(msg), 60);
    if (m->max_request_headers_kb == 0 || m->max_request_headers_kb > MAX_REQUEST_HEADERS_KB)
        return error_set(err, "max_request_headers_kb: expected 1 to %d", MAX_REQUEST_HEADERS_KB);
    if (!c)
        return true;
    m->max_headers_count = upb_u32(COMMON(max_headers_count)(c), 100);
    m->max_requests_per_connection = upb_u32(COMMON(max_requests_per_connection)(c), 0);
    if (m->max_headers_count == 0)
        return error_set(err, "common_http_protocol_options.max_headers_count: value must be "
                              "greater than or equal to 1");
    switch (COMMON(headers_with_underscores_action)(c)) {
    case COMMON(ALLOW):
        m->underscores = UNDERSCORES_ALLOW;
        break;
    case COMMON(REJECT_REQUEST):
        m->underscores = UNDERSCORES_REJECT;
        break;
    case COMMON(DROP_HEADER):
        m->underscores = UNDERSCORES_DROP;
        break;
    default:
        return error_set(err, "common_http_protocol_options.headers_with_underscores_action is "
                              "not known");
    }
    return take_limit_ms(COMMON(idle_timeout)(c), "common_http_protocol_options.idle_timeout",
                         &m->idle_timeout_ms, err) &&
           take_duration_ms(COMMON(max_connection_duration)(c),
                            "common_http_protocol_options.max_connection_duration",
                            &m->max_connection_duration_ms, err) &&
           take_limit_ms(COMMON(max_stream_duration)(c),
                         "common_http_protocol_options.max_stream_duration",
                         &m->max_stream_duration_ms, err);
}

static void take_http1(struct http_manager *m, const hcm_msg *msg)
{
    const envoy_config_core_v3_Http1ProtocolOptions *h = HCM(http_protocol_options)(msg);
    m->stream_error_on_invalid_http_message =
        upb_bool(HCM(stream_error_on_invalid_http_message)(msg), false);
    m->stream_error_h1 = m->stream_error_on_invalid_http_message;
    m->allow_absolute_url = true;
    if (!h)
        return;
    m->allow_absolute_url = upb_bool(HTTP1(allow_absolute_url)(h), true);
    m->accept_http_10 = HTTP1(accept_http_10)(h);
    m->enable_trailers = HTTP1(enable_trailers)(h);
    m->allow_chunked_length = HTTP1(allow_chunked_length)(h);
    m->allow_custom_methods = HTTP1(allow_custom_methods)(h);
    m->default_host_for_http_10 =
        arena_dup(m->node.arena, upb_bytes(HTTP1(default_host_for_http_10)(h)));
    m->stream_error_h1 =
        upb_bool(HTTP1(override_stream_error_on_invalid_http_message)(h), m->stream_error_h1);
}

static bool take_http2(struct http_manager *m, const hcm_msg *msg, struct error *err)
{
    const envoy_config_core_v3_Http2ProtocolOptions *h = HCM(http2_protocol_options)(msg);
    if (!http2_options_decode(h, &m->http2, err))
        return error_prefix(err, "http2_protocol_options.");
    bool told =
        h &&
        envoy_config_core_v3_Http2ProtocolOptions_override_stream_error_on_invalid_http_message(h);
    if (!told)
        m->http2.stream_error |= m->stream_error_on_invalid_http_message;
    return true;
}

static bool take_names(const struct decode_context *ctx, struct http_manager *m, const hcm_msg *msg,
                       struct error *err)
{
    struct arena *a = m->node.arena;
    struct bytes server = upb_bytes(HCM(server_name)(msg));
    m->server_name = server.len ? arena_dup(a, server) : BYTES("envoy");
    m->via = arena_dup(a, upb_bytes(HCM(via)(msg)));
    if (upb_bool(HCM(add_user_agent)(msg), false)) {
        m->user_agent = ctx->node_cluster.len ? arena_dup(a, ctx->node_cluster) : BYTES("");
        m->downstream_node = arena_dup(a, ctx->node_id);
    }
    switch (HCM(server_header_transformation)(msg)) {
    case HCM(OVERWRITE):
        m->server_header = SERVER_HEADER_OVERWRITE;
        return true;
    case HCM(APPEND_IF_ABSENT):
        m->server_header = SERVER_HEADER_APPEND_IF_ABSENT;
        return true;
    case HCM(PASS_THROUGH):
        m->server_header = SERVER_HEADER_PASS;
        return true;
    default:
        return error_set(err, "server_header_transformation is not known");
    }
}

/* What is inside where a configuration does not say it. */
static const char *const private_ranges[] = {"127.0.0.1/32",   "10.0.0.0/8", "172.16.0.0/12",
                                             "192.168.0.0/16", "::1/128",    "fd00::/8"};

static bool take_internal(struct http_manager *m, const hcm_msg *msg, struct error *err)
{
    size_t n;
    if (!HCM(internal_address_config)(msg)) {
        m->internal_default = true;
        return true;
    }
    m->internal_unix_sockets =
        HCM(InternalAddressConfig_unix_sockets)(HCM(internal_address_config)(msg));
    const envoy_config_core_v3_CidrRange *const *ranges =
        HCM(InternalAddressConfig_cidr_ranges)(HCM(internal_address_config)(msg), &n);
    size_t count = n ? n : ARRAY_SIZE(private_ranges);
    m->internal_prefixes = ARENA_ARRAY(m->node.arena, struct address_prefix, count);
    for (size_t i = 0; i < n; i++) {
        if (!take_cidr(ranges[i], &m->internal_prefixes[i], err))
            return error_prefix(err, "internal_address_config.cidr_ranges[%zu]: ", i);
    }
    for (size_t i = 0; !n && i < count; i++)
        CHECK(address_prefix_parse(bytes_of(private_ranges[i]), &m->internal_prefixes[i]));
    m->n_internal_prefixes = (unsigned)count;
    return true;
}

#define DETAILS(f) HCM(SetCurrentClientCertDetails_##f)
typedef HCM(SetCurrentClientCertDetails) cert_details_msg;

static bool take_client_cert(struct http_manager *m, const hcm_msg *msg, struct error *err)
{
    struct client_cert_details *d = &m->client_cert;
    int32_t how = HCM(forward_client_cert_details)(msg);
    if (how < (int32_t)CLIENT_CERT_SANITIZE || how > (int32_t)CLIENT_CERT_ALWAYS_FORWARD_ONLY)
        return error_set(err, "forward_client_cert_details is not known");
    d->how = (enum forward_client_cert)how;
    const cert_details_msg *set = HCM(set_current_client_cert_details)(msg);
    if (set) {
        d->subject = upb_bool(DETAILS(subject)(set), false);
        d->cert = DETAILS(cert)(set);
        d->chain = DETAILS(chain)(set);
        d->dns = DETAILS(dns)(set);
        d->uri = DETAILS(uri)(set);
    }
    return true;
}

static void take_identity(struct http_manager *m, const hcm_msg *msg)
{
    m->use_remote_address = upb_bool(HCM(use_remote_address)(msg), false);
    m->skip_xff_append = HCM(skip_xff_append)(msg);
    m->append_x_forwarded_port = HCM(append_x_forwarded_port)(msg);
    m->xff_num_trusted_hops = HCM(xff_num_trusted_hops)(msg);
    m->generate_request_id = upb_bool(HCM(generate_request_id)(msg), true);
    m->preserve_external_request_id = HCM(preserve_external_request_id)(msg);
    m->always_set_request_id_in_response = HCM(always_set_request_id_in_response)(msg);
    m->represent_ipv4_as_mapped = HCM(represent_ipv4_remote_address_as_ipv4_mapped_ipv6)(msg);
    m->proxy_100_continue = HCM(proxy_100_continue)(msg);
}

static bool take_path(struct http_manager *m, const hcm_msg *msg, struct error *err)
{
    m->normalize_path = upb_bool(HCM(normalize_path)(msg), false);
    m->merge_slashes = HCM(merge_slashes)(msg);
    m->strip_matching_host_port = HCM(strip_matching_host_port)(msg);
    m->strip_any_host_port = HCM(strip_any_host_port)(msg);
    m->strip_trailing_host_dot = HCM(strip_trailing_host_dot)(msg);
    if (m->strip_matching_host_port && m->strip_any_host_port)
        return error_set(err, "Error: Only one of `strip_matching_host_port` or "
                              "`strip_any_host_port` can be set.");
    switch (HCM(path_with_escaped_slashes_action)(msg)) {
    case HCM(IMPLEMENTATION_SPECIFIC_DEFAULT):
    case HCM(KEEP_UNCHANGED):
        m->escaped_slashes = ESCAPED_SLASHES_KEEP;
        return true;
    case HCM(REJECT_REQUEST):
        m->escaped_slashes = ESCAPED_SLASHES_REJECT;
        return true;
    case HCM(UNESCAPE_AND_REDIRECT):
        m->escaped_slashes = ESCAPED_SLASHES_UNESCAPE_REDIRECT;
        return true;
    case HCM(UNESCAPE_AND_FORWARD):
        m->escaped_slashes = ESCAPED_SLASHES_UNESCAPE_FORWARD;
        return true;
    default:
        return error_set(err, "path_with_escaped_slashes_action is not known");
    }
}

static bool take_request_id(struct decode_context *ctx, struct http_manager *m, const hcm_msg *msg,
                            upb_Arena *arena, struct error *err)
{
    struct typed t;
    m->pack_trace_reason = true;
    if (!HCM(request_id_extension)(msg))
        return true;
    if (!take_any(ctx, m->node.arena, REQUEST_ID(typed_config)(HCM(request_id_extension)(msg)), &t,
                  err))
        return false;
    if (!bytes_eq_str(t.type_name, "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"))
        return error_set(err,
                         "request_id_extension: Didn't find a registered implementation for type: "
                         "'%.*s'",
                         BYTES_ARG(t.type_name));
    const envoy_extensions_request_id_uuid_v3_UuidRequestIdConfig *u =
        envoy_extensions_request_id_uuid_v3_UuidRequestIdConfig_parse(t.value.data, t.value.len,
                                                                      arena);
    if (!u)
        return error_set(err, "request_id_extension: the bytes are no UuidRequestIdConfig");
    m->pack_trace_reason = upb_bool(
        envoy_extensions_request_id_uuid_v3_UuidRequestIdConfig_pack_trace_reason(u), true);
    return true;
}

static bool take_logs(struct decode_context *ctx, struct http_manager *m, const hcm_msg *msg,
                      struct bytes wire, struct error *err)
{
    const struct google_protobuf_Duration *interval = HCM(access_log_flush_interval)(msg);
    m->flush_access_log_on_new_request = HCM(flush_access_log_on_new_request)(msg);
    const HCM(HcmAccessLogOptions) *o = HCM(access_log_options)(msg);
    if (o) {
        interval = HCM(HcmAccessLogOptions_access_log_flush_interval)(o);
        m->flush_access_log_on_new_request =
            HCM(HcmAccessLogOptions_flush_access_log_on_new_request)(o);
        m->flush_access_log_on_tunnel =
            HCM(HcmAccessLogOptions_flush_log_on_tunnel_successfully_established)(o);
    }
    if (!take_duration_ms(interval, "access_log_flush_interval", &m->access_log_flush_interval_ms,
                          err))
        return false;
    if (!access_logs_decode(ctx, m->node.arena, wire, FIELD_ACCESS_LOG, &m->access_logs,
                            &m->n_access_logs, err))
        return false;
    for (unsigned i = 0; i < m->n_access_logs; i++) {
        m->logs_upstream_metadata |= m->access_logs[i]->wants_upstream_metadata;
    }
    return true;
}

static void free_filters(struct http_filter_slot *slots, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (slots[i].discovery)
            filter_discovery_fini(slots[i].discovery);
        else if (slots[i].factory->config_free && slots[i].config)
            slots[i].factory->config_free(slots[i].config);
    }
}

static void http_manager_fini(struct node *n)
{
    struct http_manager *m = CONTAINER_OF(n, struct http_manager, node);
    free_filters(m->filters, m->n_filters);
    for (unsigned i = 0; i < m->n_upgrades; i++)
        free_filters(m->upgrades[i].filters, m->upgrades[i].n_filters);
    for (unsigned i = 0; i < m->n_access_logs; i++)
        access_log_fini(m->access_logs[i]);
    NODE_UNREF(&m->inline_routes);
    scoped_routes_fini(m->scoped);
    stat_scope_unref(&m->stats);
}

static bool take_manager(struct decode_context *ctx, struct http_manager *m, const hcm_msg *msg,
                         struct bytes wire, const struct http_manager *previous, upb_Arena *arena,
                         struct error *err)
{
    struct bytes prefix = upb_bytes(HCM(stat_prefix)(msg));
    if (prefix.len == 0)
        return error_set(err, "stat_prefix: value length must be at least 1 characters");
    m->stat_prefix = stat_name_of(m->node.arena, prefix);
    take_http1(m, msg);
    take_identity(m, msg);
    return check_refused(msg, err) && take_codec(m, msg, err) && take_http2(m, msg, err) &&
           take_times(m, msg, err) && take_common(m, msg, err) && take_names(ctx, m, msg, err) &&
           take_internal(m, msg, err) && take_client_cert(m, msg, err) && take_path(m, msg, err) &&
           take_request_id(ctx, m, msg, arena, err) && take_logs(ctx, m, msg, wire, err) &&
           http_manager_take_filters(ctx, m, wire, err) &&
           http_manager_take_upgrades(ctx, m, wire, err) &&
           http_manager_take_routes(ctx, m, wire, previous, err);
}

struct http_manager *http_manager_decode(struct decode_context *ctx, struct bytes wire,
                                         const struct http_manager *previous, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    const hcm_msg *msg = HCM(parse_ex)(wire.data, wire.len, NULL, UPB_DECODE_MAXDEPTH(100), arena);
    struct http_manager *m = NULL;
    if (!msg) {
        error_set(err, "the bytes are no HttpConnectionManager");
    } else {
        m = node_new(NODE_HTTP_MANAGER, sizeof(*m), wire.len + 1024, http_manager_fini);
        if (take_manager(ctx, m, msg, wire, previous, arena, err)) {
            struct bytes scope =
                bytes_of(arena_printf(m->node.arena, "http.%.*s", BYTES_ARG(m->stat_prefix)));
            m->stats = stat_scope_get(ctx->stats, scope, &http_stat_schema);
            node_make_pinnable(&m->node);
        } else {
            NODE_UNREF(&m);
        }
    }
    upb_Arena_Free(arena);
    return m;
}
