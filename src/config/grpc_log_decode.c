/* envoy.extensions.access_loggers.grpc.v3: the decoding half of grpc_log.h. */
#include "config/grpc_log_decode.h"

#include <stdlib.h>
#include <string.h>

#include "config/decode_util.h"
#include "config/grpc_log.h"
#include "envoy/config/core/v3/backoff.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/core/v3/config_source.upb.h"
#include "envoy/config/core/v3/grpc_service.upb.h"
#include "envoy/extensions/access_loggers/grpc/v3/als.upb.h"
#include "envoy/type/metadata/v3/metadata.upb.h"
#include "envoy/type/tracing/v3/custom_tag.upb.h"

#define HTTP(f) envoy_extensions_access_loggers_grpc_v3_HttpGrpcAccessLogConfig_##f
#define TCP(f) envoy_extensions_access_loggers_grpc_v3_TcpGrpcAccessLogConfig_##f
#define COMMON(f) envoy_extensions_access_loggers_grpc_v3_CommonGrpcAccessLogConfig_##f
#define KIND(f) envoy_type_metadata_v3_MetadataKind##f
#define KEY(f) envoy_type_metadata_v3_MetadataKey##f
#define TAG(f) envoy_type_tracing_v3_CustomTag_##f

typedef envoy_extensions_access_loggers_grpc_v3_CommonGrpcAccessLogConfig common_msg;
typedef envoy_type_tracing_v3_CustomTag tag_msg;

enum { FLUSH_MS = 1000, BUFFER_BYTES = 16384, RETRY_TIMES_MAX = 10 };

static struct bytes copy(struct arena *a, upb_StringView v)
{
    return arena_dup(a, upb_bytes(v));
}

/* The process's own environment, which does not change. */
static void take_environment(struct arena *a, const envoy_type_tracing_v3_CustomTag_Environment *m,
                             struct grpc_log_tag *out)
{
    struct bytes name = upb_bytes(TAG(Environment_name)(m));
    const char *value = bytes_find_char(name, 0) >= 0 ? NULL : getenv(arena_str(a, name));
    out->kind = TAG_TEXT;
    out->text = value ? arena_dup(a, bytes_of(value)) : copy(a, TAG(Environment_default_value)(m));
}

static bool take_metadata(struct arena *a, const TAG(Metadata) * m, struct grpc_log_tag *out,
                          struct error *err)
{
    const KIND() *kind = TAG(Metadata_kind)(m);
    const KEY() *key = TAG(Metadata_metadata_key)(m);
    size_t n = 0;
    out->kind = TAG_METADATA;
    out->fallback = copy(a, TAG(Metadata_default_value)(m));
    switch (kind ? KIND(_kind_case)(kind) : KIND(_kind_NOT_SET)) {
    case KIND(_kind_request):
        out->of = OF_REQUEST;
        break;
    case KIND(_kind_route):
        out->of = OF_ROUTE;
        break;
    case KIND(_kind_cluster):
        out->of = OF_CLUSTER;
        break;
    case KIND(_kind_host):
        out->of = OF_HOST;
        break;
    case KIND(_kind_NOT_SET):
        return error_set(err, "metadata.kind is required");
    }
    if (!key)
        return error_set(err, "metadata.metadata_key is required");
    const KEY(_PathSegment) *const *path = KEY(_path)(key, &n);
    out->text = copy(a, KEY(_key)(key));
    out->path = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        out->path[i] = copy(a, KEY(_PathSegment_key)(path[i]));
    out->n_path = (unsigned)n;
    return true;
}

static bool take_tag(struct arena *a, const tag_msg *m, struct grpc_log_tag *out, struct error *err)
{
    out->name = copy(a, TAG(tag)(m));
    switch (TAG(type_case)(m)) {
    case TAG(type_literal):
        out->kind = TAG_TEXT;
        out->text = copy(a, TAG(Literal_value)(TAG(literal)(m)));
        return true;
    case TAG(type_environment):
        take_environment(a, TAG(environment)(m), out);
        return true;
    case TAG(type_request_header):
        out->kind = TAG_REQUEST_HEADER;
        out->text = upb_request_header(TAG(Header_name)(TAG(request_header)(m)), a);
        out->fallback = copy(a, TAG(Header_default_value)(TAG(request_header)(m)));
        return true;
    case TAG(type_value):
        out->kind = TAG_FORMAT;
        return format_compile(a, upb_bytes(TAG(value)(m)), &out->format, err) ||
               error_prefix(err, "value: ");
    case TAG(type_metadata):
        return take_metadata(a, TAG(metadata)(m), out, err);
    case TAG(type_NOT_SET):
        break;
    }
    return error_set(err, "type: is required");
}

static bool take_tags(struct arena *a, const common_msg *m, struct grpc_log *out, struct error *err)
{
    size_t n;
    const tag_msg *const *tags = COMMON(custom_tags)(m, &n);
    out->tags = ARENA_ARRAY(a, struct grpc_log_tag, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        if (!take_tag(a, tags[i], &out->tags[i], err))
            return error_prefix(err, "custom_tags[%zu].", i);
        out->wants_upstream_metadata |=
            out->tags[i].kind == TAG_METADATA &&
            (out->tags[i].of == OF_CLUSTER || out->tags[i].of == OF_HOST);
        out->wants_upstream_metadata |= out->tags[i].format.has_upstream_metadata;
    }
    out->n_tags = (unsigned)n;
    return true;
}

/* How long after a lost stream the next one is tried. */
static bool take_retry(const common_msg *m, struct grpc_log *out, struct error *err)
{
    const envoy_config_core_v3_RetryPolicy *p = COMMON(grpc_stream_retry_policy)(m);
    const envoy_config_core_v3_BackoffStrategy *b =
        p ? envoy_config_core_v3_RetryPolicy_retry_back_off(p) : NULL;
    out->retry_base_ms = out->flush_ms;
    out->retry_max_ms = out->flush_ms * RETRY_TIMES_MAX;
    if (!b)
        return true;
    if (!take_duration_ms(envoy_config_core_v3_BackoffStrategy_base_interval(b), "base_interval",
                          &out->retry_base_ms, err))
        return false;
    out->retry_max_ms = out->retry_base_ms * RETRY_TIMES_MAX;
    if (!take_duration_ms(envoy_config_core_v3_BackoffStrategy_max_interval(b), "max_interval",
                          &out->retry_max_ms, err))
        return false;
    return out->retry_max_ms >= out->retry_base_ms ||
           error_set(err, "retry_back_off: max_interval must not be less than base_interval");
}

static bool take_common(struct arena *a, const common_msg *m, struct grpc_log *out,
                        struct error *err)
{
    if (!m)
        return error_set(err, "is required");
    if (COMMON(transport_api_version)(m) == envoy_config_core_v3_V2) /* AUTO is V3 by now */
        return error_set(err, "transport_api_version: V2 is no longer supported; use V3");
    out->log_name = copy(a, COMMON(log_name)(m));
    out->flush_ms = upb_duration_ms(COMMON(buffer_flush_interval)(m), FLUSH_MS);
    out->buffer_bytes = upb_u32(COMMON(buffer_size_bytes)(m), BUFFER_BYTES);
    if (!COMMON(grpc_service)(m))
        return error_set(err, "grpc_service: value is required");
    if (!take_grpc_service(a, COMMON(grpc_service)(m), &out->service, err))
        return error_prefix(err, "grpc_service.");
    if (!take_retry(m, out, err))
        return error_prefix(err, "grpc_stream_retry_policy.");
    return take_tags(a, m, out, err);
}

static void take_names(struct arena *a, const upb_StringView *names, size_t n,
                       struct grpc_log_names *out)
{
    out->names = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        if (names[i].size)
            out->names[out->n++] = upb_lower(names[i], a);
    }
}

/* NULL and *err: refused. The two kinds of entries never share a stream. */
static struct grpc_log *take_log(struct arena *a, const common_msg *m, bool is_tcp,
                                 upb_Arena *arena, struct access_log *log, struct error *err)
{
    size_t len;
    struct grpc_log *out = ARENA_NEW(a, struct grpc_log);
    if (!take_common(a, m, out, err)) {
        error_prefix(err, "common_config.");
        return NULL;
    }
    char *wire = COMMON(serialize)(m, arena, &len);
    if (!wire) {
        error_set(err, "common_config: no memory");
        return NULL;
    }
    char *key = arena_alloc(a, len + 1);
    key[0] = is_tcp ? 't' : 'h';
    memcpy(key + 1, wire, len);
    out->key = bytes_from(key, len + 1);
    out->is_tcp = is_tcp;
    log->sink = ACCESS_LOG_GRPC;
    log->grpc = out;
    return out;
}

bool grpc_log_http_decode(struct arena *a, struct bytes value, upb_Arena *arena,
                          struct access_log *log, struct error *err)
{
    size_t n;
    const envoy_extensions_access_loggers_grpc_v3_HttpGrpcAccessLogConfig *m =
        HTTP(parse)(value.data, value.len, arena);
    if (!m)
        return error_set(err, "the bytes are no HttpGrpcAccessLogConfig");
    struct grpc_log *out = take_log(a, HTTP(common_config)(m), false, arena, log, err);
    if (!out)
        return false;
    const upb_StringView *names = HTTP(additional_request_headers_to_log)(m, &n);
    take_names(a, names, n, &out->request_headers);
    names = HTTP(additional_response_headers_to_log)(m, &n);
    take_names(a, names, n, &out->response_headers);
    names = HTTP(additional_response_trailers_to_log)(m, &n);
    take_names(a, names, n, &out->response_trailers);
    return true;
}

bool grpc_log_tcp_decode(struct arena *a, struct bytes value, upb_Arena *arena,
                         struct access_log *log, struct error *err)
{
    const envoy_extensions_access_loggers_grpc_v3_TcpGrpcAccessLogConfig *m =
        TCP(parse)(value.data, value.len, arena);
    if (!m)
        return error_set(err, "the bytes are no TcpGrpcAccessLogConfig");
    return take_log(a, TCP(common_config)(m), true, arena, log, err) != NULL;
}
