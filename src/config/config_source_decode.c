/* Where resources come from: ADS, or a gRPC stream of its own, told apart by the key. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/decode.h"
#include "config/decode_util.h"
#include "config/google_grpc.h"
#include "config/wire_slice.h"
#include "envoy/config/core/v3/backoff.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/core/v3/config_source.upb.h"
#include "envoy/config/core/v3/grpc_service.upb.h"

#define SOURCE(f) envoy_config_core_v3_ConfigSource_##f
#define API(f) envoy_config_core_v3_ApiConfigSource_##f
#define GRPC(f) envoy_config_core_v3_GrpcService_##f
#define RATE(f) envoy_config_core_v3_RateLimitSettings_##f

typedef envoy_config_core_v3_ApiConfigSource api_msg;

enum {
    REQUEST_TIMEOUT_MS = 1000,
    INITIAL_FETCH_TIMEOUT_MS = 15000,
    RATE_TOKENS = 100,
    RATE_PER_SECOND = 10
};
#define RATE_PER_SECOND_MIN (1.0 / (365 * 24 * 60 * 60)) /* once a year, as Envoy */

static bool take_retry(const envoy_config_core_v3_RetryPolicy *p, struct grpc_service *out,
                       struct error *err)
{
    const envoy_config_core_v3_BackoffStrategy *b =
        p ? envoy_config_core_v3_RetryPolicy_retry_back_off(p) : NULL;
    if (!b)
        return true;
    if (!take_duration_ms(envoy_config_core_v3_BackoffStrategy_base_interval(b), "base_interval",
                          &out->retry_base_ms, err))
        return false;
    out->retry_max_ms = out->retry_base_ms * 10;
    if (!take_duration_ms(envoy_config_core_v3_BackoffStrategy_max_interval(b), "max_interval",
                          &out->retry_max_ms, err))
        return false;
    if (out->retry_max_ms < out->retry_base_ms)
        return error_set(err, "retry_back_off: max_interval must not be less than base_interval");
    return true;
}

static void take_metadata(struct arena *a, const envoy_config_core_v3_GrpcService *m,
                          struct grpc_service *out)
{
    size_t n;
    const envoy_config_core_v3_HeaderValue *const *headers = GRPC(initial_metadata)(m, &n);
    out->metadata_keys = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    out->metadata_values = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        out->metadata_keys[i] = upb_lower(envoy_config_core_v3_HeaderValue_key(headers[i]), a);
        out->metadata_values[i] =
            arena_dup(a, upb_bytes(envoy_config_core_v3_HeaderValue_value(headers[i])));
    }
    out->n_metadata = (unsigned)n;
}

bool take_grpc_service(struct arena *a, const envoy_config_core_v3_GrpcService *m,
                       struct grpc_service *out, struct error *err)
{
    const envoy_config_core_v3_GrpcService_EnvoyGrpc *g = GRPC(envoy_grpc)(m);
    if (!g)
        return error_set(err, "google_grpc is not implemented here: use envoy_grpc");
    out->cluster_name = arena_dup(a, upb_bytes(GRPC(EnvoyGrpc_cluster_name)(g)));
    out->authority = arena_dup(a, upb_bytes(GRPC(EnvoyGrpc_authority)(g)));
    if (!take_duration_ms(GRPC(timeout)(m), "timeout", &out->timeout_ms, err) ||
        !take_retry(GRPC(EnvoyGrpc_retry_policy)(g), out, err))
        return false;
    take_metadata(a, m, out);
    return true;
}

/* A control plane may be named by where it is. */
static bool take_google(struct decode_context *ctx, struct arena *a,
                        const envoy_config_core_v3_GrpcService *m, struct grpc_service *out,
                        struct error *err)
{
    if (!take_duration_ms(GRPC(timeout)(m), "timeout", &out->timeout_ms, err))
        return false;
    take_metadata(a, m, out);
    return google_grpc_decode(ctx, a, GRPC(google_grpc)(m), out, err);
}

static bool check_control_cluster(const struct decode_context *ctx, struct bytes name,
                                  struct error *err)
{
    if (!ctx->control_cluster_ok || ctx->control_cluster_ok(ctx->owner, name))
        return true;
    if (ctx->n_control_clusters &&
        bsearch(&name, ctx->control_clusters, ctx->n_control_clusters, sizeof(name), bytes_order))
        return true;
    return error_set(err,
                     "ApiConfigSource must have a statically defined non-EDS cluster: '%.*s' "
                     "does not exist, was added via api, or is an EDS cluster",
                     BYTES_ARG(name));
}

static bool take_service(struct decode_context *ctx, struct arena *a,
                         const envoy_config_core_v3_GrpcService *m, struct grpc_service *out,
                         struct error *err)
{
    const envoy_config_core_v3_GrpcService_EnvoyGrpc *g = GRPC(envoy_grpc)(m);
    struct bytes name = g ? upb_bytes(GRPC(EnvoyGrpc_cluster_name)(g)) : BYTES_NONE;
    if (GRPC(google_grpc)(m))
        return take_google(ctx, a, m, out, err);
    if (g && !check_control_cluster(ctx, name, err))
        return false;
    return take_grpc_service(a, m, out, err);
}

static bool check_api(const api_msg *m, bool *delta, struct error *err)
{
    if (API(transport_api_version)(m) == envoy_config_core_v3_V2) /* AUTO is V3 by now */
        return error_set(err, "transport_api_version: the V2 xDS transport protocol version is no "
                              "longer supported; use V3");
    switch (API(api_type)(m)) {
    case API(GRPC):
    case API(DELTA_GRPC):
        *delta = API(api_type)(m) == API(DELTA_GRPC);
        return true;
    case API(REST):
        return true;
    default:
        return error_set(err, "api_type: %d is not implemented", API(api_type)(m));
    }
}

static void take_rate_limit(const envoy_config_core_v3_RateLimitSettings *m,
                            struct api_config_source *out)
{
    if (!m)
        return;
    const google_protobuf_DoubleValue *rate = RATE(fill_rate)(m);
    out->rate_tokens = upb_u32(RATE(max_tokens)(m), RATE_TOKENS);
    out->rate_per_second = rate ? google_protobuf_DoubleValue_value(rate) : RATE_PER_SECOND;
    if (out->rate_tokens == 0)
        out->rate_tokens = 1; /* none would be a channel that never speaks */
    if (out->rate_per_second < RATE_PER_SECOND_MIN)
        out->rate_per_second = RATE_PER_SECOND_MIN;
}

/* Rule O04. */
static bool take_rest(struct decode_context *ctx, struct arena *a, const api_msg *m,
                      struct api_config_source *out, struct error *err)
{
    size_t n, n_services;
    const upb_StringView *names = API(cluster_names)(m, &n);
    API(grpc_services)(m, &n_services);
    if (n != 1 || n_services)
        return error_set(err, "cluster_names: REST needs one, and no grpc_services");
    if (!API(refresh_delay)(m))
        return error_set(err, "refresh_delay is required for REST API configuration sources");
    out->request_timeout_ms = REQUEST_TIMEOUT_MS;
    out->rest_cluster = arena_dup(a, upb_bytes(names[0]));
    return take_duration_ms(API(refresh_delay)(m), "refresh_delay", &out->refresh_ms, err) &&
           take_duration_ms(API(request_timeout)(m), "request_timeout", &out->request_timeout_ms,
                            err) &&
           check_control_cluster(ctx, out->rest_cluster, err);
}

static bool take_api(struct decode_context *ctx, struct arena *a, const api_msg *m,
                     struct api_config_source *out, struct error *err)
{
    size_t n;
    if (!check_api(m, &out->delta, err))
        return false;
    if (API(api_type)(m) == API(REST))
        return take_rest(ctx, a, m, out, err);
    const envoy_config_core_v3_GrpcService *const *services = API(grpc_services)(m, &n);
    if (n == 0 || n > 2)
        return error_set(err, "grpc_services: expected one or two, got %zu", n);
    out->set_node_on_first_message_only = API(set_node_on_first_message_only)(m);
    take_rate_limit(API(rate_limit_settings)(m), out);
    out->services = ARENA_ARRAY(a, struct grpc_service, n);
    for (size_t i = 0; i < n; i++) {
        if (!take_service(ctx, a, services[i], &out->services[i], err))
            return error_prefix(err, "grpc_services[%zu]: ", i);
    }
    out->n_services = (unsigned)n;
    return true;
}

/* The path of a Unix file that is there; the rest is found out when it is read. */
static bool check_exists(struct arena *a, struct bytes path, bool folder, struct error *err)
{
    struct stat st;
    if (bytes_find_char(path, 0) >= 0 || stat(arena_str(a, path), &st) != 0)
        return error_set(err,
                         "paths must refer to an existing path in the system: '%.*s' does not "
                         "exist",
                         BYTES_ARG(path));
    return !folder || S_ISDIR(st.st_mode) ||
           error_set(err, "watched_directory: '%.*s' is no folder", BYTES_ARG(path));
}

static bool take_path(struct arena *a, struct bytes path,
                      const envoy_config_core_v3_WatchedDirectory *watched,
                      struct config_source *out, struct error *err)
{
    out->kind = SOURCE_PATH;
    out->path = arena_dup(a, path);
    if (watched)
        out->watched_directory =
            arena_dup(a, upb_bytes(envoy_config_core_v3_WatchedDirectory_path(watched)));
    return check_exists(a, out->path, false, err) &&
           (out->watched_directory.len == 0 || check_exists(a, out->watched_directory, true, err));
}

static bool take_source(struct decode_context *ctx, struct arena *a,
                        const envoy_config_core_v3_ConfigSource *m, struct config_source *out,
                        struct error *err)
{
    const envoy_config_core_v3_PathConfigSource *path;
    switch (SOURCE(config_source_specifier_case)(m)) {
    case SOURCE(config_source_specifier_path):
        return take_path(a, upb_bytes(SOURCE(path)(m)), NULL, out, err);
    case SOURCE(config_source_specifier_path_config_source):
        path = SOURCE(path_config_source)(m);
        return take_path(a, upb_bytes(envoy_config_core_v3_PathConfigSource_path(path)),
                         envoy_config_core_v3_PathConfigSource_watched_directory(path), out, err);
    case SOURCE(config_source_specifier_api_config_source):
        if (!take_api(ctx, a, SOURCE(api_config_source)(m), &out->api, err))
            return error_prefix(err, "api_config_source.");
        out->kind = out->api.rest_cluster.data ? SOURCE_REST : SOURCE_GRPC;
        if (out->api.n_services > 1)
            return error_set(err, "api_config_source.grpc_services: more than one is for "
                                  "ads_config alone");
        return true;
    case SOURCE(config_source_specifier_ads):
        if (!ctx->ads_configured)
            return error_set(err, "ADS must be configured to support an ADS config source");
        out->kind = SOURCE_ADS;
        return true;
    case SOURCE(config_source_specifier_self):
        if (!ctx->self || ctx->self->kind == SOURCE_NONE)
            return error_set(err, "self: the parent did not come from a source");
        out->kind = SOURCE_SELF;
        return true;
    case SOURCE(config_source_specifier_NOT_SET):
        break;
    }
    return error_set(err, "expected one of path_config_source, api_config_source, ads, self");
}

static void copy_self(struct config_source *out, const struct config_source *self)
{
    uint64_t timeout = out->initial_fetch_timeout_ms;
    *out = *self; /* the builder keeps sources for good */
    out->initial_fetch_timeout_ms = timeout;
}

bool config_source_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                          struct config_source *out, struct error *err)
{
    static const uint32_t timeout_field[] = {4};
    upb_Arena *arena = upb_Arena_New();
    const envoy_config_core_v3_ConfigSource *m = SOURCE(parse)(wire.data, wire.len, arena);
    *out = (struct config_source){.initial_fetch_timeout_ms = INITIAL_FETCH_TIMEOUT_MS};
    bool ok = m ? true : error_set(err, "the bytes are no ConfigSource");
    ok = ok && take_duration_ms(SOURCE(initial_fetch_timeout)(m), "initial_fetch_timeout",
                                &out->initial_fetch_timeout_ms, err);
    ok = ok && take_source(ctx, a, m, out, err);
    upb_Arena_Free(arena);
    if (!ok)
        return false;
    if (out->kind == SOURCE_SELF)
        copy_self(out, ctx->self);
    else if (out->kind == SOURCE_ADS)
        out->key = BYTES("ads");
    else
        out->key = wire_without(a, arena_dup(a, wire), timeout_field, 1);
    return true;
}

bool api_config_source_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                              struct config_source *out, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    const api_msg *m = API(parse)(wire.data, wire.len, arena);
    *out = (struct config_source){.kind = SOURCE_ADS,
                                  .key = BYTES("ads"),
                                  .initial_fetch_timeout_ms = INITIAL_FETCH_TIMEOUT_MS};
    bool ok = m ? take_api(ctx, a, m, &out->api, err)
                : error_set(err, "the bytes are no ApiConfigSource");
    if (ok && out->api.rest_cluster.data)
        ok = error_set(err, "api_type: REST cannot be aggregated");
    upb_Arena_Free(arena);
    return ok;
}
