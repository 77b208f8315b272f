#include "base/header_name.h"

#include <string.h>

const struct bytes header_names[HEADER_ID_COUNT] = {
#define X(id, name) [HEADER_##id] = {name, sizeof(name) - 1},
    HEADER_LIST(X)
#undef X
};

bool header_name_is_token(struct bytes lower_name)
{
    for (size_t i = 0; i < lower_name.len; i++) {
        char c = lower_name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr("-_.!#$%&'*+^`|~", c))))
            return false;
    }
    return lower_name.len > 0;
}

/* Length first: at most a few names share one. The list may grow; a name that is missing here is
 * found by the unit test. */
#define IS(id, text)                                                                               \
    if (memcmp(d, text, sizeof(text) - 1) == 0)                                                    \
    return HEADER_##id

static enum header_id id_of_short(const char *d, size_t len)
{
    switch (len) {
    case 2:
        IS(TE, "te");
        break;
    case 3:
        IS(VIA, "via");
        IS(AGE, "age");
        break;
    case 4:
        IS(HOST, "host");
        IS(DATE, "date");
        IS(ETAG, "etag");
        IS(VARY, "vary");
        break;
    case 5:
        IS(PATH, ":path");
        break;
    case 6:
        IS(EXPECT, "expect");
        IS(SERVER, "server");
        IS(COOKIE, "cookie");
        IS(ACCEPT, "accept");
        IS(ORIGIN, "origin");
        IS(PRAGMA, "pragma");
        break;
    case 7:
        IS(METHOD, ":method");
        IS(SCHEME, ":scheme");
        IS(STATUS, ":status");
        IS(TRAILER, "trailer");
        IS(UPGRADE, "upgrade");
        IS(REFERER, "referer");
        IS(EXPIRES, "expires");
        break;
    case 8:
        IS(LOCATION, "location");
        IS(IF_MATCH, "if-match");
        IS(IF_RANGE, "if-range");
        IS(CDN_LOOP, "cdn-loop");
        break;
    case 9:
        IS(PROTOCOL, ":protocol");
        break;
    }
    return HEADER_OTHER;
}

static enum header_id id_of_medium(const char *d, size_t len)
{
    switch (len) {
    case 10:
        IS(AUTHORITY, ":authority");
        IS(CONNECTION, "connection");
        IS(KEEP_ALIVE, "keep-alive");
        IS(USER_AGENT, "user-agent");
        break;
    case 11:
        IS(GRPC_STATUS, "grpc-status");
        break;
    case 12:
        IS(CONTENT_TYPE, "content-type");
        IS(X_REQUEST_ID, "x-request-id");
        IS(GRPC_MESSAGE, "grpc-message");
        IS(GRPC_TIMEOUT, "grpc-timeout");
        IS(PROXY_STATUS, "proxy-status");
        break;
    case 13:
        IS(AUTHORIZATION, "authorization");
        IS(CACHE_CONTROL, "cache-control");
        IS(IF_NONE_MATCH, "if-none-match");
        IS(LAST_MODIFIED, "last-modified");
        break;
    case 14:
        IS(CONTENT_LENGTH, "content-length");
        break;
    case 15:
        IS(X_FORWARDED_FOR, "x-forwarded-for");
        IS(ACCEPT_ENCODING, "accept-encoding");
        break;
    case 16:
        IS(PROXY_CONNECTION, "proxy-connection");
        IS(X_FORWARDED_HOST, "x-forwarded-host");
        IS(X_FORWARDED_PORT, "x-forwarded-port");
        IS(X_ENVOY_INTERNAL, "x-envoy-internal");
        IS(CONTENT_ENCODING, "content-encoding");
        IS(X_ENVOY_DEGRADED, "x-envoy-degraded");
        IS(X_ENVOY_RETRY_ON, "x-envoy-retry-on");
        break;
    }
    return HEADER_OTHER;
}

static enum header_id id_of_long(const char *d, size_t len)
{
    switch (len) {
    case 17:
        IS(TRANSFER_ENCODING, "transfer-encoding");
        IS(X_FORWARDED_PROTO, "x-forwarded-proto");
        IS(X_CLIENT_TRACE_ID, "x-client-trace-id");
        IS(IF_MODIFIED_SINCE, "if-modified-since");
        break;
    case 18:
        IS(X_ENVOY_OVERLOADED, "x-envoy-overloaded");
        break;
    case 19:
        IS(IF_UNMODIFIED_SINCE, "if-unmodified-since");
        IS(X_ENVOY_RATELIMITED, "x-envoy-ratelimited");
        IS(X_ENVOY_MAX_RETRIES, "x-envoy-max-retries");
        break;
    case 20:
        IS(GRPC_ACCEPT_ENCODING, "grpc-accept-encoding");
        break;
    case 21:
        IS(X_ENVOY_ORIGINAL_PATH, "x-envoy-original-path");
        IS(X_ENVOY_ATTEMPT_COUNT, "x-envoy-attempt-count");
        IS(X_ENVOY_ORIGINAL_HOST, "x-envoy-original-host");
        IS(X_ENVOY_RETRY_GRPC_ON, "x-envoy-retry-grpc-on");
        break;
    case 22:
        IS(ACCESS_CONTROL_MAX_AGE, "access-control-max-age");
        break;
    case 23:
        IS(X_ENVOY_UPSTREAM_CANARY, "x-envoy-upstream-canary");
        IS(X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert");
        break;
    }
    return HEADER_OTHER;
}

static enum header_id id_of_longest(const char *d, size_t len)
{
    switch (len) {
    case 24:
        IS(X_ENVOY_EXTERNAL_ADDRESS, "x-envoy-external-address");
        IS(X_ENVOY_IS_TIMEOUT_RETRY, "x-envoy-is-timeout-retry");
        break;
    case 27:
        IS(X_ENVOY_DECORATOR_OPERATION, "x-envoy-decorator-operation");
        IS(ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin");
        break;
    case 28:
        IS(ACCESS_CONTROL_ALLOW_HEADERS, "access-control-allow-headers");
        IS(ACCESS_CONTROL_ALLOW_METHODS, "access-control-allow-methods");
        break;
    case 29:
        IS(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time");
        IS(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method");
        IS(ACCESS_CONTROL_EXPOSE_HEADERS, "access-control-expose-headers");
        break;
    case 30:
        IS(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, "x-envoy-expected-rq-timeout-ms");
        IS(X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS, "x-envoy-upstream-rq-timeout-ms");
        IS(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers");
        IS(X_ENVOY_RETRIABLE_STATUS_CODES, "x-envoy-retriable-status-codes");
        IS(X_ENVOY_RETRIABLE_HEADER_NAMES, "x-envoy-retriable-header-names");
        IS(X_ENVOY_UPSTREAM_ALT_STAT_NAME, "x-envoy-upstream-alt-stat-name");
        break;
    case 31:
        IS(X_ENVOY_DOWNSTREAM_SERVICE_NODE, "x-envoy-downstream-service-node");
        break;
    case 32:
        IS(ACCESS_CONTROL_ALLOW_CREDENTIALS, "access-control-allow-credentials");
        IS(X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT, "x-envoy-hedge-on-per-try-timeout");
        break;
    case 34:
        IS(X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, "x-envoy-downstream-service-cluster");
        break;
    case 35:
        IS(X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL, "x-envoy-immediate-health-check-fail");
        IS(X_ENVOY_UPSTREAM_STREAM_DURATION_MS, "x-envoy-upstream-stream-duration-ms");
        break;
    case 36:
        IS(ACCESS_CONTROL_ALLOW_PRIVATE_NETWORK, "access-control-allow-private-network");
        break;
    case 38:
        IS(ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK, "access-control-request-private-network");
        IS(X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER, "x-envoy-upstream-healthchecked-cluster");
        IS(X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS, "x-envoy-upstream-rq-per-try-timeout-ms");
        break;
    case 40:
        IS(X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE, "x-envoy-upstream-rq-timeout-alt-response");
        break;
    }
    return HEADER_OTHER;
}
#undef IS

enum header_id header_id_of(struct bytes n)
{
    if (n.len <= 16)
        return n.len < 10 ? id_of_short(n.data, n.len) : id_of_medium(n.data, n.len);
    return n.len <= 23 ? id_of_long(n.data, n.len) : id_of_longest(n.data, n.len);
}
