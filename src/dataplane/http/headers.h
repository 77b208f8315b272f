/* struct headers: an ordered list of HTTP header fields in a stream's arena. Names are lower case
 * (the codec lowers them). Frequent names have a number, so that a lookup of one of them is an
 * array access. Pseudo headers (":method", ":path", ":authority", ":scheme", ":status") are
 * ordinary entries that always stand before the others.
 *
 * One thread. Bytes added are borrowed unless the function says "copies": they must live in the
 * stream's arena or be constant. Every decoded byte is charged by the codec before it comes here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
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
    X(VIA, "via")                                                                                  \
    X(X_REQUEST_ID, "x-request-id")                                                                \
    X(X_FORWARDED_FOR, "x-forwarded-for")                                                          \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                      \
    X(X_FORWARDED_HOST, "x-forwarded-host")                                                        \
    X(X_FORWARDED_PORT, "x-forwarded-port")                                                        \
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

struct header {
    struct bytes name, value;
    uint16_t id; /* enum header_id */
};

struct headers {
    struct arena *arena;
    struct header *entries;
    uint32_t n, cap;
    uint32_t byte_size;              /* names and values */
    bool repeated;                   /* such a name was added twice since the last joining */
    bool ever_repeated;              /* the same since the beginning */
    uint16_t first[HEADER_ID_COUNT]; /* position + 1 of the first entry with that id; 0: none */
};

static inline void headers_init(struct headers *h, struct arena *a)
{
    *h = (struct headers){.arena = a};
}
/* Room for n entries in all, so that adding them allocates once. */
void headers_reserve(struct headers *h, uint32_t n);
MUST_CHECK bool headers_try_reserve(struct headers *h, uint32_t n); /* false: no memory */
/* The id of a lower-case name. */
enum header_id header_id_of(struct bytes name);
struct bytes header_name(enum header_id id);
/* Fields that frame or route a message, or speak of the connection, mean nothing in trailers. */
bool header_forbidden_in_trailers(enum header_id id);

/* Value of the first entry, or data == NULL. */
static inline struct bytes headers_get(const struct headers *h, enum header_id id)
{
    return h->first[id] ? h->entries[h->first[id] - 1].value : BYTES_NONE;
}
/* ":status" of a response; 0: it has none, or none of three digits from 100 on. */
static inline unsigned headers_status(const struct headers *h)
{
    struct bytes s = headers_get(h, HEADER_STATUS);
    if (s.len != 3)
        return 0;
    unsigned a = (unsigned char)s.data[0] - '1', b = (unsigned char)s.data[1] - '0',
             c = (unsigned char)s.data[2] - '0';
    return a < 9 && b < 10 && c < 10 ? (a + 1) * 100 + b * 10 + c : 0;
}
struct bytes headers_get_name(const struct headers *h, struct bytes lower_name);
/* All values joined with "," as Envoy's %REQ()% sees repeated headers; data == NULL
 * when there is none. Joins in the arena only when there are several. */
struct bytes headers_get_all(const struct headers *h, struct bytes lower_name);
/* One value after the other, as config/matcher.h's header_values asks for them. */
bool headers_values(const void *headers, struct bytes lower_name, uint32_t *at,
                    struct bytes *value);
static inline bool headers_has(const struct headers *h, enum header_id id)
{
    return h->first[id] != 0;
}
/* Adds at the end (pseudo headers: after the other pseudo headers). */
void headers_add(struct headers *h, struct bytes lower_name, struct bytes value);
void headers_add_id(struct headers *h, enum header_id id, struct bytes value);
/* A header that a request or a response has once is a list to which this joins ("a,b"); others get
 * one more entry. */
void headers_append(struct headers *h, struct bytes lower_name, struct bytes value);
/* The same for a head that a codec has read line by line with headers_add(). */
void headers_join_lines(struct headers *h);
/* Replaces every entry of that name by one (at the first one's place), or adds. */
void headers_set(struct headers *h, struct bytes lower_name, struct bytes value);
void headers_set_id(struct headers *h, enum header_id id, struct bytes value);
/* Returns the number removed. */
unsigned headers_remove(struct headers *h, struct bytes lower_name);
unsigned headers_remove_id(struct headers *h, enum header_id id);
/* for (const struct header *e = h->entries; e < headers_end(h); e++) is fine while nothing is added
 * or removed. A list that never had one has no entries to count from. */
static inline const struct header *headers_end(const struct headers *h)
{
    return h->n ? h->entries + h->n : h->entries;
}
