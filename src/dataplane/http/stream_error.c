#include "dataplane/http/stream_error.h"

#include "base/check.h"

#define BEFORE "upstream connect error or disconnect/reset before headers. reset reason: "
#define FLAG(id) (1u << RESPONSE_FLAG_##id)

enum { GRPC_DEADLINE_EXCEEDED = 4 };

/* clang-format off */
static const struct stream_error table[STREAM_ERROR_COUNT] = {
    [STREAM_ERROR_ROUTE_NOT_FOUND] = {"route_not_found", 404, H2_NO_ERROR,
        FLAG(NO_ROUTE_FOUND), "route_not_found", "", NULL, false},
    [STREAM_ERROR_CLUSTER_NOT_FOUND] = {"cluster_not_found", 503, H2_NO_ERROR,
        FLAG(NO_CLUSTER_FOUND), "cluster_not_found", "", NULL, false},
    [STREAM_ERROR_NO_HEALTHY_UPSTREAM] = {"no_healthy_upstream", 503, H2_NO_ERROR,
        FLAG(NO_HEALTHY_UPSTREAM), "no_healthy_upstream", "no healthy upstream", NULL, false},
    [STREAM_ERROR_CONNECT_FAILURE] = {"connect_failure", 503, H2_INTERNAL_ERROR,
        FLAG(UPSTREAM_CONNECTION_FAILURE),
        "upstream_reset_before_response_started{remote_connection_failure}",
        BEFORE "remote connection failure", "connect-failure", false},
    [STREAM_ERROR_CONNECT_TIMEOUT] = {"connect_timeout", 503, H2_INTERNAL_ERROR,
        FLAG(UPSTREAM_CONNECTION_FAILURE),
        "upstream_reset_before_response_started{connection_timeout}",
        BEFORE "connection timeout", "connect-failure", false},
    [STREAM_ERROR_UPSTREAM_OVERFLOW] = {"upstream_overflow", 503, H2_NO_ERROR,
        FLAG(UPSTREAM_OVERFLOW), "upstream_reset_before_response_started{overflow}",
        BEFORE "overflow", NULL, false},
    [STREAM_ERROR_UPSTREAM_REMOTE_RESET] = {"upstream_remote_reset", 503, H2_INTERNAL_ERROR,
        FLAG(UPSTREAM_REMOTE_RESET), "upstream_reset_before_response_started{remote_reset}",
        BEFORE "remote reset", "reset", false},
    [STREAM_ERROR_UPSTREAM_CONNECTION_TERMINATION] = {"upstream_connection_termination", 503,
        H2_INTERNAL_ERROR, FLAG(UPSTREAM_CONNECTION_TERMINATION),
        "upstream_reset_before_response_started{connection_termination}",
        BEFORE "connection termination", "reset", false},
    [STREAM_ERROR_UPSTREAM_PROTOCOL_ERROR] = {"upstream_protocol_error", 502, H2_INTERNAL_ERROR,
        FLAG(UPSTREAM_PROTOCOL_ERROR), "upstream_reset_before_response_started{protocol_error}",
        BEFORE "protocol error", "reset", false},
    [STREAM_ERROR_UPSTREAM_TIMEOUT] = {"upstream_timeout", 504, H2_CANCEL,
        FLAG(UPSTREAM_REQUEST_TIMEOUT), "response_timeout", "upstream request timeout",
        NULL, false},
    [STREAM_ERROR_UPSTREAM_PER_TRY_TIMEOUT] = {"upstream_per_try_timeout", 504, H2_CANCEL,
        FLAG(UPSTREAM_REQUEST_TIMEOUT), "upstream_per_try_timeout", "upstream request timeout",
        "gateway-error", false},
    [STREAM_ERROR_UPSTREAM_MAX_DURATION] = {"upstream_max_stream_duration", 504, H2_CANCEL,
        FLAG(UPSTREAM_MAX_STREAM_DURATION_REACHED), "upstream_max_stream_duration_reached",
        "upstream max stream duration reached", "reset", false},
    [STREAM_ERROR_MAX_STREAM_DURATION] = {"max_stream_duration", 408, H2_CANCEL,
        0, "max_duration_timeout", "downstream duration timeout",
        NULL, false, GRPC_DEADLINE_EXCEEDED},
    [STREAM_ERROR_STREAM_IDLE_TIMEOUT] = {"stream_idle_timeout", 408, H2_CANCEL,
        FLAG(STREAM_IDLE_TIMEOUT), "stream_idle_timeout", "stream timeout", NULL, false},
    [STREAM_ERROR_REQUEST_TIMEOUT] = {"request_timeout", 408, H2_CANCEL, 0,
        "request_overall_timeout", "request timeout", NULL, false},
    [STREAM_ERROR_REQUEST_HEADERS_TIMEOUT] = {"request_headers_timeout", 408, H2_CANCEL, 0,
        "request_header_timeout", "request header timeout", NULL, true},
    [STREAM_ERROR_REQUEST_PAYLOAD_TOO_LARGE] = {"request_payload_too_large", 413, H2_NO_ERROR, 0,
        "request_payload_too_large", "Payload Too Large", NULL, false},
    [STREAM_ERROR_RESPONSE_PAYLOAD_TOO_LARGE] = {"response_payload_too_large", 500,
        H2_INTERNAL_ERROR, 0, "response_payload_too_large", "Internal Server Error", NULL, false},
    [STREAM_ERROR_RETRY_PAYLOAD_TOO_LARGE] = {"retry_payload_too_large", 507, H2_NO_ERROR, 0,
        "request_payload_exceeded_retry_buffer_limit",
        "exceeded request buffer limit while retrying upstream", NULL, false},
    [STREAM_ERROR_BAD_REQUEST_BODY] = {"bad_request_body", 400, H2_NO_ERROR, 0, "bad_request_body",
        "Bad Request", NULL, false},
    [STREAM_ERROR_STRICT_CHECK] = {"strict_check", 400, H2_NO_ERROR,
        FLAG(INVALID_ENVOY_REQUEST_HEADERS), "request_headers_failed_strict_check",
        "invalid header", NULL, false},
    [STREAM_ERROR_MISSING_HOST] = {"missing_host", 400, H2_PROTOCOL_ERROR, 0,
        "missing_host_header", "", NULL, true},
    [STREAM_ERROR_MISSING_PATH] = {"missing_path", 404, H2_PROTOCOL_ERROR, 0,
        "missing_path_rejected", "", NULL, false},
    [STREAM_ERROR_ABSOLUTE_PATH] = {"absolute_path", 404, H2_PROTOCOL_ERROR, 0,
        "absolute_path_rejected", "", NULL, false},
    [STREAM_ERROR_PATH_NORMALIZATION_FAILED] = {"path_normalization_failed", 400,
        H2_PROTOCOL_ERROR, 0, "path_normalization_failed", "", NULL, true},
    [STREAM_ERROR_PATH_REDIRECT] = {"path_redirect", 307, H2_NO_ERROR, 0,
        "path_normalization_failed", "", NULL, false},
    [STREAM_ERROR_UPGRADE_FAILED] = {"upgrade_failed", 403, H2_PROTOCOL_ERROR, 0,
        "upgrade_failed", "", NULL, true},
    [STREAM_ERROR_CONNECT_UDP_PATH] = {"connect_udp_path", 404, H2_PROTOCOL_ERROR, 0,
        "invalid_path", "The path is incorrect for CONNECT-UDP", NULL, false},
    [STREAM_ERROR_FILTER_CONFIG_MISSING] = {"filter_config_missing", 500, H2_INTERNAL_ERROR,
        FLAG(NO_FILTER_CONFIG_FOUND), "", "", NULL, false},
    [STREAM_ERROR_OVERLOAD] = {"overload", 503, H2_NO_ERROR, FLAG(OVERLOAD_MANAGER),
        "overload", "envoy overloaded", NULL, true},
    [STREAM_ERROR_DOWNSTREAM_DISCONNECT] = {"downstream_disconnect", 0, H2_CANCEL,
        FLAG(DOWNSTREAM_CONNECTION_TERMINATION), "downstream_remote_disconnect", "",
        NULL, true},
    [STREAM_ERROR_DOWNSTREAM_RESET] = {"downstream_reset", 0, H2_CANCEL,
        FLAG(DOWNSTREAM_REMOTE_RESET), "http2.remote_reset", "", NULL, false},
    [STREAM_ERROR_DOWNSTREAM_PROTOCOL] = {"downstream_protocol", 400, H2_PROTOCOL_ERROR,
        FLAG(DOWNSTREAM_PROTOCOL_ERROR), "http1.codec_error", "Bad Request", NULL, true},
};
/* clang-format on */

static const char *const flag_names[RESPONSE_FLAG_COUNT][2] = {
#define X(id, shrt, lng) [RESPONSE_FLAG_##id] = {shrt, lng},
    RESPONSE_FLAG_LIST(X)
#undef X
};

const struct stream_error *stream_error_get(enum stream_error_id id)
{
    CHECK((unsigned)id < STREAM_ERROR_COUNT && table[id].name);
    return &table[id];
}

const char *response_flag_short(enum response_flag f)
{
    CHECK((unsigned)f < RESPONSE_FLAG_COUNT);
    return flag_names[f][0];
}

const char *response_flag_long(enum response_flag f)
{
    CHECK((unsigned)f < RESPONSE_FLAG_COUNT);
    return flag_names[f][1];
}
