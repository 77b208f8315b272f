/* How a stream fails: one row a cause, with all its consequences (architecture section 7). The
 * table is the only place that knows a cause's status, flag and details; stream_local_reply() turns
 * a row into a response. Const data, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a stream's end is called in HTTP/2 (RFC 9113 section 7). */
enum http2_code {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_CONNECT_ERROR = 10,
};

/* Response flags, Envoy's letters: X(enumerator, short, long). Bit = position, the order in which
 * they are printed: why nothing is tried again comes before what has failed. */
#define RESPONSE_FLAG_LIST(X)                                                                      \
    X(FAILED_LOCAL_HEALTH_CHECK, "LH", "FailedLocalHealthCheck")                                   \
    X(UPSTREAM_RETRY_LIMIT_EXCEEDED, "URX", "UpstreamRetryLimitExceeded")                          \
    X(UPSTREAM_OVERFLOW, "UO", "UpstreamOverflow")                                                 \
    X(NO_HEALTHY_UPSTREAM, "UH", "NoHealthyUpstream")                                              \
    X(UPSTREAM_REQUEST_TIMEOUT, "UT", "UpstreamRequestTimeout")                                    \
    X(LOCAL_RESET, "LR", "LocalReset")                                                             \
    X(UPSTREAM_REMOTE_RESET, "UR", "UpstreamRemoteReset")                                          \
    X(UPSTREAM_CONNECTION_FAILURE, "UF", "UpstreamConnectionFailure")                              \
    X(UPSTREAM_CONNECTION_TERMINATION, "UC", "UpstreamConnectionTermination")                      \
    X(NO_ROUTE_FOUND, "NR", "NoRouteFound")                                                        \
    X(DELAY_INJECTED, "DI", "DelayInjected")                                                       \
    X(FAULT_INJECTED, "FI", "FaultInjected")                                                       \
    X(RATE_LIMITED, "RL", "RateLimited")                                                           \
    X(UNAUTHORIZED_EXTERNAL_SERVICE, "UAEX", "UnauthorizedExternalService")                        \
    X(RATE_LIMIT_SERVICE_ERROR, "RLSE", "RateLimitServiceError")                                   \
    X(DOWNSTREAM_CONNECTION_TERMINATION, "DC", "DownstreamConnectionTermination")                  \
    X(STREAM_IDLE_TIMEOUT, "SI", "StreamIdleTimeout")                                              \
    X(INVALID_ENVOY_REQUEST_HEADERS, "IH", "InvalidEnvoyRequestHeaders")                           \
    X(DOWNSTREAM_PROTOCOL_ERROR, "DPE", "DownstreamProtocolError")                                 \
    X(UPSTREAM_MAX_STREAM_DURATION_REACHED, "UMSDR", "UpstreamMaxStreamDurationReached")           \
    X(RESPONSE_FROM_CACHE_FILTER, "RFCF", "ResponseFromCacheFilter")                               \
    X(NO_FILTER_CONFIG_FOUND, "NFCF", "NoFilterConfigFound")                                       \
    X(DURATION_TIMEOUT, "DT", "DurationTimeout")                                                   \
    X(UPSTREAM_PROTOCOL_ERROR, "UPE", "UpstreamProtocolError")                                     \
    X(NO_CLUSTER_FOUND, "NC", "NoClusterFound")                                                    \
    X(OVERLOAD_MANAGER, "OM", "OverloadManagerTerminated")                                         \
    X(DNS_RESOLUTION_FAILED, "DF", "DnsResolutionFailed")                                          \
    X(DROP_OVERLOAD, "DO", "DropOverload")                                                         \
    X(DOWNSTREAM_REMOTE_RESET, "DR", "DownstreamRemoteReset")                                      \
    X(UNCONDITIONAL_DROP_OVERLOAD, "UDO", "UnconditionalDropOverload")

enum response_flag {
#define X(id, shrt, lng) RESPONSE_FLAG_##id,
    RESPONSE_FLAG_LIST(X)
#undef X
        RESPONSE_FLAG_COUNT
};

struct stream_error {
    const char *name;
    unsigned status; /* 0: no response, reset */
    uint32_t http2_code;
    uint32_t flags;      /* 1 << enum response_flag */
    const char *details; /* response_code_details */
    const char *body;
    const char *retry_on; /* the x-envoy-retry-on class it belongs to, or NULL */
    bool close;           /* the downstream connection cannot go on after it */
    uint8_t grpc_status;  /* 0: as of the HTTP status */
};

/* The rows are in stream_error.c. */
enum stream_error_id {
    STREAM_ERROR_ROUTE_NOT_FOUND,
    STREAM_ERROR_CLUSTER_NOT_FOUND, /* status from the route: 503 or 404 or 500 */
    STREAM_ERROR_NO_HEALTHY_UPSTREAM,
    STREAM_ERROR_CONNECT_FAILURE,
    STREAM_ERROR_CONNECT_TIMEOUT,
    STREAM_ERROR_UPSTREAM_OVERFLOW,
    STREAM_ERROR_UPSTREAM_REMOTE_RESET,
    STREAM_ERROR_UPSTREAM_CONNECTION_TERMINATION,
    STREAM_ERROR_UPSTREAM_PROTOCOL_ERROR,
    STREAM_ERROR_UPSTREAM_TIMEOUT, /* route timeout: 504 */
    STREAM_ERROR_UPSTREAM_PER_TRY_TIMEOUT,
    STREAM_ERROR_UPSTREAM_MAX_DURATION, /* while the client still sends: 408 */
    STREAM_ERROR_MAX_STREAM_DURATION,
    STREAM_ERROR_STREAM_IDLE_TIMEOUT, /* 408 */
    STREAM_ERROR_REQUEST_TIMEOUT,     /* 408, request_overall_timeout */
    STREAM_ERROR_REQUEST_HEADERS_TIMEOUT,
    STREAM_ERROR_REQUEST_PAYLOAD_TOO_LARGE,
    STREAM_ERROR_RESPONSE_PAYLOAD_TOO_LARGE,
    STREAM_ERROR_RETRY_PAYLOAD_TOO_LARGE, /* while it waits for a retry: 507 */
    STREAM_ERROR_BAD_REQUEST_BODY,        /* a filter cannot read it */
    STREAM_ERROR_STRICT_CHECK,            /* a header that steers the router: its details name it */
    STREAM_ERROR_MISSING_HOST,
    STREAM_ERROR_MISSING_PATH,
    STREAM_ERROR_ABSOLUTE_PATH, /* the path does not begin with a slash: 404 */
    STREAM_ERROR_PATH_NORMALIZATION_FAILED,
    STREAM_ERROR_PATH_REDIRECT, /* UNESCAPE_AND_REDIRECT */
    STREAM_ERROR_UPGRADE_FAILED,
    STREAM_ERROR_CONNECT_UDP_PATH,      /* its path says not whom to reach */
    STREAM_ERROR_FILTER_CONFIG_MISSING, /* 500, without a word */
    STREAM_ERROR_OVERLOAD,
    STREAM_ERROR_DOWNSTREAM_DISCONNECT, /* no response */
    STREAM_ERROR_DOWNSTREAM_RESET,      /* no response */
    STREAM_ERROR_DOWNSTREAM_PROTOCOL,   /* status and details of the codec's error */
    STREAM_ERROR_COUNT
};

const struct stream_error *stream_error_get(enum stream_error_id id);
const char *response_flag_short(enum response_flag f); /* "UH" */
const char *response_flag_long(enum response_flag f);  /* "NoHealthyUpstream" */
