/* When a request is tried again and how: const data of envoy.config.route.v3.RetryPolicy, in the
 * node of the route or the virtual host that has it. Made by the config thread. */
#pragma once

#include "config/matcher.h"

/* The conditions: X(enumerator, word). Those of gRPC are asked of grpc-status. */
#define RETRY_ON_LIST(X)                                                                           \
    X(5XX, "5xx")                                                                                  \
    X(GATEWAY_ERROR, "gateway-error")                                                              \
    X(RESET, "reset")                                                                              \
    X(RESET_BEFORE_REQUEST, "reset-before-request")                                                \
    X(CONNECT_FAILURE, "connect-failure")                                                          \
    X(ENVOY_RATELIMITED, "envoy-ratelimited")                                                      \
    X(RETRIABLE_4XX, "retriable-4xx")                                                              \
    X(REFUSED_STREAM, "refused-stream")                                                            \
    X(RETRIABLE_STATUS_CODES, "retriable-status-codes")                                            \
    X(RETRIABLE_HEADERS, "retriable-headers")                                                      \
    X(HTTP3_POST_CONNECT_FAILURE, "http3-post-connect-failure") /* never: nothing speaks HTTP/3 */
#define RETRY_ON_GRPC_LIST(X)                                                                      \
    X(CANCELLED, "cancelled")                                                                      \
    X(DEADLINE_EXCEEDED, "deadline-exceeded")                                                      \
    X(INTERNAL, "internal")                                                                        \
    X(RESOURCE_EXHAUSTED, "resource-exhausted")                                                    \
    X(UNAVAILABLE, "unavailable")

enum retry_on {
#define X(id, word) RETRY_ON_##id,
    RETRY_ON_LIST(X) RETRY_ON_GRPC_LIST(X)
#undef X
        N_RETRY_ON
};
#define RETRY_ON(id) (1u << RETRY_ON_##id)

/* A response header that says when to come back. */
struct retry_reset_header {
    struct bytes name; /* lower case */
    bool timestamp;    /* of Unix; else seconds from now */
};

struct retry_policy {
    uint32_t on;                                          /* 1 << enum retry_on */
    uint32_t num_retries;                                 /* 1 unless set */
    uint64_t per_try_timeout_ms, per_try_idle_timeout_ms; /* 0: off */
    uint64_t base_ms, max_ms; /* of the back-off; 25, ten times as much */
    uint64_t reset_max_ms;    /* what a reset header may ask for, 300 s */
    const uint32_t *codes;
    struct header_matcher *headers, *request_headers;
    struct retry_reset_header *reset_headers;
    uint32_t n_codes, n_headers, n_request_headers, n_reset_headers;
    uint32_t host_retries;       /* how often another host is picked at most; 1 unless set */
    uint32_t priority_frequency; /* previous_priorities: after so many attempts; 0: off */
    const struct bytes
        *omit_labels;       /* hosts with all of one of these Structs under "envoy.lb" ... */
    uint32_t n_omit_labels; /* ... are not picked, */
    bool previous_hosts;    /* nor are those that were tried ... */
    bool omit_canary;       /* ... or say that they are canaries */
    struct regex_list regexes;
};

/* What counts for a request without a policy whose headers ask for retries. */
extern const struct retry_policy retry_policy_none;

/* Words between commas; unknown ones mean nothing, as in Envoy. */
uint32_t retry_on_parse(struct bytes words);
uint32_t retry_on_parse_grpc(struct bytes words);
/* Is there none that is unknown? */
bool retry_on_all_known(struct bytes words, bool grpc);

struct route_decode_context;
struct envoy_config_route_v3_RetryPolicy;

/* NULL: *err says why not. */
struct retry_policy *retry_policy_decode(struct route_decode_context *ctx, struct arena *a,
                                         const struct envoy_config_route_v3_RetryPolicy *m,
                                         struct error *err);
void retry_policy_fini(const struct retry_policy *p); /* NULL allowed; the arena keeps the rest */
