#include "config/cluster_protocol.h"

#include "config/decode_util.h"
#include "config/http2.h"
#include "config/typed.h"
#include "envoy/config/cluster/v3/cluster.upb.h"
#include "envoy/config/core/v3/protocol.upb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.upb.h"

#define CLUSTER(f) envoy_config_cluster_v3_Cluster_##f
#define COMMON(f) envoy_config_core_v3_HttpProtocolOptions_##f
#define HTTP1(f) envoy_config_core_v3_Http1ProtocolOptions_##f
#define UPSTREAM(f) envoy_config_core_v3_UpstreamHttpProtocolOptions_##f
#define OPTIONS(f) envoy_extensions_upstreams_http_v3_HttpProtocolOptions_##f

typedef envoy_config_core_v3_HttpProtocolOptions common_msg;
typedef envoy_config_core_v3_Http1ProtocolOptions http1_msg;
typedef envoy_config_core_v3_Http2ProtocolOptions http2_msg;
typedef envoy_extensions_upstreams_http_v3_HttpProtocolOptions options_msg;

static bool take_common(struct cluster *c, const common_msg *m, struct error *err)
{
    if (!m)
        return true;
    if (!take_limit_ms(COMMON(idle_timeout)(m), "idle_timeout", &c->idle_timeout_ms, err) ||
        !take_limit_ms(COMMON(max_connection_duration)(m), "max_connection_duration",
                       &c->max_connection_duration_ms, err) ||
        !take_limit_ms(COMMON(max_stream_duration)(m), "max_stream_duration",
                       &c->max_stream_duration_ms, err))
        return false;
    c->max_requests_per_connection =
        upb_u32(COMMON(max_requests_per_connection)(m), c->max_requests_per_connection);
    c->max_headers_count = upb_u32(COMMON(max_headers_count)(m), c->max_headers_count);
    c->max_response_headers_kb =
        upb_u32(COMMON(max_response_headers_kb)(m), c->max_response_headers_kb);
    return true;
}

static void take_http1(struct cluster *c, const http1_msg *m)
{
    c->protocol = UPSTREAM_HTTP1;
    c->enable_trailers = m && HTTP1(enable_trailers)(m);
    c->allow_chunked_length = m && HTTP1(allow_chunked_length)(m);
}

static bool take_http2(struct cluster *c, enum upstream_protocol protocol, const http2_msg *m,
                       struct error *err)
{
    struct http2_options *o = ARENA_NEW(c->node.arena, struct http2_options);
    if (!http2_options_decode(m, o, err))
        return error_prefix(err, "http2_protocol_options.");
    c->protocol = protocol;
    c->http2 = o;
    c->h2_keepalive_interval_ms = (uint32_t)o->keepalive_interval_ms;
    c->h2_keepalive_timeout_ms = (uint32_t)o->keepalive_timeout_ms;
    return true;
}

static bool
take_explicit(struct cluster *c,
              const envoy_extensions_upstreams_http_v3_HttpProtocolOptions_ExplicitHttpConfig *m,
              struct error *err)
{
    if (OPTIONS(ExplicitHttpConfig_http3_protocol_options)(m))
        return error_set(err, "http3_protocol_options is not implemented");
    const http2_msg *h2 = OPTIONS(ExplicitHttpConfig_http2_protocol_options)(m);
    if (h2)
        return take_http2(c, UPSTREAM_HTTP2, h2, err);
    take_http1(c, OPTIONS(ExplicitHttpConfig_http_protocol_options)(m));
    return true;
}

static bool take_downstream(
    struct cluster *c,
    const envoy_extensions_upstreams_http_v3_HttpProtocolOptions_UseDownstreamHttpConfig *m,
    struct error *err)
{
    if (OPTIONS(UseDownstreamHttpConfig_http3_protocol_options)(m))
        return error_set(err, "http3_protocol_options is not implemented");
    const http2_msg *h2 = OPTIONS(UseDownstreamHttpConfig_http2_protocol_options)(m);
    take_http1(c, OPTIONS(UseDownstreamHttpConfig_http_protocol_options)(m));
    return !h2 || take_http2(c, UPSTREAM_DOWNSTREAM, h2, err);
}

static bool
take_auto(struct cluster *c,
          const envoy_extensions_upstreams_http_v3_HttpProtocolOptions_AutoHttpConfig *m,
          struct error *err)
{
    if (OPTIONS(AutoHttpConfig_http3_protocol_options)(m))
        return error_set(err, "http3_protocol_options is not implemented");
    take_http1(c, OPTIONS(AutoHttpConfig_http_protocol_options)(m));
    return take_http2(c, UPSTREAM_AUTO, OPTIONS(AutoHttpConfig_http2_protocol_options)(m), err);
}

static void take_names(struct cluster *c, const options_msg *m)
{
    const envoy_config_core_v3_UpstreamHttpProtocolOptions *u =
        OPTIONS(upstream_http_protocol_options)(m);
    if (!u)
        return;
    struct auto_names *names = ARENA_NEW(c->node.arena, struct auto_names);
    names->sni = UPSTREAM(auto_sni)(u);
    names->san_validation = UPSTREAM(auto_san_validation)(u);
    names->header = upb_request_header(UPSTREAM(override_auto_sni_header)(u), c->node.arena);
    c->auto_names = names;
}

static bool take_options(struct cluster *c, const options_msg *m, struct error *err)
{
    size_t n;
    OPTIONS(http_filters)(m, &n);
    if (n)
        return error_set(err, "http_filters: upstream HTTP filters are not implemented");
    if (!take_common(c, OPTIONS(common_http_protocol_options)(m), err))
        return error_prefix(err, "common_http_protocol_options.");
    take_names(c, m);
    if (OPTIONS(explicit_http_config)(m)) {
        if (!take_explicit(c, OPTIONS(explicit_http_config)(m), err))
            return error_prefix(err, "explicit_http_config.");
        return true;
    }
    if (OPTIONS(use_downstream_protocol_config)(m))
        return take_downstream(c, OPTIONS(use_downstream_protocol_config)(m), err) ||
               error_prefix(err, "use_downstream_protocol_config.");
    if (OPTIONS(auto_config)(m))
        return take_auto(c, OPTIONS(auto_config)(m), err) || error_prefix(err, "auto_config.");
    return error_set(err, "upstream_protocol_options: expected explicit_http_config or "
                          "use_downstream_protocol_config");
}

static const char options_name[] = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

static bool take_extension(struct decode_context *ctx, struct cluster *c, struct bytes key,
                           const struct google_protobuf_Any *any, bool *seen, struct error *err)
{
    struct arena *scratch = arena_new(0);
    upb_Arena *arena = upb_Arena_New();
    struct typed t;
    bool ok = take_any(ctx, scratch, any, &t, err);
    if (ok && !bytes_eq_str(t.type_name, options_name)) {
        ok = error_set(err,
                       "Didn't find a registered network or http filter or protocol options "
                       "implementation for name: '%.*s'",
                       BYTES_ARG(key));
    } else if (ok) {
        const options_msg *m = OPTIONS(parse)(t.value.data, t.value.len, arena);
        ok = m ? take_options(c, m, err) : error_set(err, "the bytes are no %s", options_name);
        *seen = true;
    }
    upb_Arena_Free(arena);
    arena_free(&scratch);
    return ok || error_prefix(err, "typed_extension_protocol_options[%.*s]: ", BYTES_ARG(key));
}

static bool take_old_fields(struct cluster *c, const envoy_config_cluster_v3_Cluster *m,
                            struct error *err)
{
    const http1_msg *h1 = CLUSTER(http_protocol_options)(m);
    const http2_msg *h2 = CLUSTER(http2_protocol_options)(m);
    bool downstream = CLUSTER(protocol_selection)(m) == CLUSTER(USE_DOWNSTREAM_PROTOCOL);
    if (h1 && h2 && !downstream)
        return error_set(err, "cluster: Both HTTP1 and HTTP2 options may only be configured with "
                              "non-default 'protocol_selection' values");
    if (h2 && !downstream)
        return take_http2(c, UPSTREAM_HTTP2, h2, err);
    take_http1(c, h1);
    if (downstream)
        return take_http2(c, UPSTREAM_DOWNSTREAM, h2, err);
    return true;
}

bool cluster_protocol_decode(struct decode_context *ctx, struct cluster *c,
                             const envoy_config_cluster_v3_Cluster *m, struct error *err)
{
    bool seen = false;
    size_t it = kUpb_Map_Begin;
    c->idle_timeout_ms = 3600000;
    c->max_headers_count = 100;
    c->max_requests_per_connection = upb_u32(CLUSTER(max_requests_per_connection)(m), 0);
    const envoy_config_cluster_v3_Cluster_TypedExtensionProtocolOptionsEntry *e;
    while ((e = CLUSTER(typed_extension_protocol_options_next)(m, &it))) {
        struct bytes key = upb_bytes(CLUSTER(TypedExtensionProtocolOptionsEntry_key)(e));
        if (!take_extension(ctx, c, key, CLUSTER(TypedExtensionProtocolOptionsEntry_value)(e),
                            &seen, err))
            return false;
    }
    if (seen)
        return true;
    if (!take_common(c, CLUSTER(common_http_protocol_options)(m), err))
        return error_prefix(err, "common_http_protocol_options.");
    return take_old_fields(c, m, err);
}
