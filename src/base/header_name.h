/* The names of HTTP headers that the proxy itself speaks of, each with a number: a name is looked
 * at once, where a head is read or a configuration decoded, and is a number from then on. Pure
 * functions, any thread. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

/* X(enumerator, name) */
#define HEADER_LIST(X)                                                                             \
    X(METHOD, ":method")                                                                           \
    X(SCHEME, ":scheme")                                                                           \
    X(AUTHORITY, ":authority")                                                                     \
    X(PATH, ":path")                                                                               \
    X(PROTOCOL, ":protocol")                                                                       \
    X(STATUS, ":status")                                                                           \
    X(HOST, "host")                                                                                \
    X(CONNECTION, "connection")                                                                    \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(TE, "te")                                                                                    \
    X(TRAILER, "trailer")                                                                          \
    X(UPGRADE, "upgrade")                                                                          \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(EXPECT, "expect")                                                                            \
    X(DATE, "date")                                                                                \
    X(SERVER, "server")                                                                            \
    X(LOCATION, "location")                                                                        \
    X(USER_AGENT, "user-agent")                                                                    \
    X(CDN_LOOP, "cdn-loop")                                                                        \
    X(VIA, "via")                                                                                  \
    X(X_REQUEST_ID, "x-request-id")                                                                \
    X(X_FORWARDED_FOR, "x-forwarded-for")                                                          \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                      \
    X(X_FORWARDED_HOST, "x-forwarded-host")                                                        \
    X(X_FORWARDED_PORT, "x-forwarded-port")                                                        \
    X(X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert")                                          \
    X(X_CLIENT_TRACE_ID, "x-client-trace-id")                                                      \
    X(X_ENVOY_EXTERNAL_ADDRESS, "x-envoy-external-address")                                        \
    X(X_ENVOY_INTERNAL, "x-envoy-internal")                                                        \
    X(X_ENVOY_ORIGINAL_PATH, "x-envoy-original-path")                                              \
    X(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, "x-envoy-expected-rq-timeout-ms")                            \
    X(X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS, "x-envoy-upstream-rq-timeout-ms")                            \
    X(X_ENVOY_UPSTREAM_CANARY, "x-envoy-upstream-canary")                                          \
    X(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time")                              \
    X(X_ENVOY_ATTEMPT_COUNT, "x-envoy-attempt-count")                                              \
    X(X_ENVOY_OVERLOADED, "x-envoy-overloaded")                                                    \
    X(X_ENVOY_RATELIMITED, "x-envoy-ratelimited")                                                  \
    X(X_ENVOY_RETRY_ON, "x-envoy-retry-on")                                                        \
    X(X_ENVOY_RETRY_GRPC_ON, "x-envoy-retry-grpc-on")                                              \
    X(X_ENVOY_MAX_RETRIES, "x-envoy-max-retries")                                                  \
    X(X_ENVOY_RETRIABLE_STATUS_CODES, "x-envoy-retriable-status-codes")                            \
    X(X_ENVOY_RETRIABLE_HEADER_NAMES, "x-envoy-retriable-header-names")                            \
    X(X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT, "x-envoy-hedge-on-per-try-timeout")                        \
    X(X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS, "x-envoy-upstream-rq-per-try-timeout-ms")            \
    X(X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE, "x-envoy-upstream-rq-timeout-alt-response")        \
    X(X_ENVOY_UPSTREAM_STREAM_DURATION_MS, "x-envoy-upstream-stream-duration-ms")                  \
    X(X_ENVOY_UPSTREAM_ALT_STAT_NAME, "x-envoy-upstream-alt-stat-name")                            \
    X(GRPC_STATUS, "grpc-status")                                                                  \
    X(GRPC_MESSAGE, "grpc-message")                                                                \
    X(COOKIE, "cookie")                                                                            \
    X(AUTHORIZATION, "authorization")                                                              \
    X(ACCEPT, "accept")                                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers")                            \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method")                              \
    X(ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK, "access-control-request-private-network")            \
    X(CACHE_CONTROL, "cache-control")                                                              \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(GRPC_ACCEPT_ENCODING, "grpc-accept-encoding")                                                \
    X(GRPC_TIMEOUT, "grpc-timeout")                                                                \
    X(IF_MATCH, "if-match")                                                                        \
    X(IF_MODIFIED_SINCE, "if-modified-since")                                                      \
    X(IF_NONE_MATCH, "if-none-match")                                                              \
    X(IF_RANGE, "if-range")                                                                        \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since")                                                  \
    X(ORIGIN, "origin")                                                                            \
    X(PRAGMA, "pragma")                                                                            \
    X(PROXY_STATUS, "proxy-status")                                                                \
    X(REFERER, "referer")                                                                          \
    X(X_ENVOY_DECORATOR_OPERATION, "x-envoy-decorator-operation")                                  \
    X(X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, "x-envoy-downstream-service-cluster")                    \
    X(X_ENVOY_DOWNSTREAM_SERVICE_NODE, "x-envoy-downstream-service-node")                          \
    X(X_ENVOY_IS_TIMEOUT_RETRY, "x-envoy-is-timeout-retry")                                        \
    X(X_ENVOY_ORIGINAL_HOST, "x-envoy-original-host")                                              \
    X(AGE, "age")                                                                                  \
    X(ETAG, "etag")                                                                                \
    X(EXPIRES, "expires")                                                                          \
    X(LAST_MODIFIED, "last-modified")                                                              \
    X(VARY, "vary")                                                                                \
    X(X_ENVOY_DEGRADED, "x-envoy-degraded")                                                        \
    X(X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL, "x-envoy-immediate-health-check-fail")                  \
    X(X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER, "x-envoy-upstream-healthchecked-cluster")            \
    X(ACCESS_CONTROL_ALLOW_CREDENTIALS, "access-control-allow-credentials")                        \
    X(ACCESS_CONTROL_ALLOW_HEADERS, "access-control-allow-headers")                                \
    X(ACCESS_CONTROL_ALLOW_METHODS, "access-control-allow-methods")                                \
    X(ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin")                                  \
    X(ACCESS_CONTROL_ALLOW_PRIVATE_NETWORK, "access-control-allow-private-network")                \
    X(ACCESS_CONTROL_EXPOSE_HEADERS, "access-control-expose-headers")                              \
    X(ACCESS_CONTROL_MAX_AGE, "access-control-max-age")

enum header_id {
    HEADER_OTHER,
#define X(id, name) HEADER_##id,
    HEADER_LIST(X)
#undef X
        HEADER_ID_COUNT
};

static inline bool header_is_pseudo(enum header_id id)
{
    return id >= HEADER_METHOD && id <= HEADER_STATUS;
}

/* A name as a configuration has it, and its number. */
struct header_key {
    struct bytes name; /* lower case */
    uint16_t id;       /* enum header_id */
};

/* Is it a token of RFC 9110, in lower case, of at least one character? */
bool header_name_is_token(struct bytes lower_name);
/* The id of a lower-case name. */
enum header_id header_id_of(struct bytes name);
extern const struct bytes header_names[HEADER_ID_COUNT];
static inline struct bytes header_name(enum header_id id)
{
    CHECK(id > HEADER_OTHER && id < HEADER_ID_COUNT);
    return header_names[id];
}
static inline struct header_key header_key(struct bytes lower_name)
{
    return (struct header_key){lower_name, (uint16_t)header_id_of(lower_name)};
}
