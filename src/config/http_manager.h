/* What an HTTP connection manager means: const data of
 * envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager. Times in
 * milliseconds; 0 = off. Made by the config thread, read by workers. */
#pragma once

#include "base/address.h"
#include "config/access_log.h"
#include "config/config_source.h"
#include "config/filter_factory.h"
#include "config/http2.h"
#include "config/node.h"

struct route_config;
struct scoped_routes;

enum codec_type { CODEC_AUTO, CODEC_HTTP1, CODEC_HTTP2 };
enum server_header { SERVER_HEADER_OVERWRITE, SERVER_HEADER_APPEND_IF_ABSENT, SERVER_HEADER_PASS };
enum underscores_action { UNDERSCORES_ALLOW, UNDERSCORES_REJECT, UNDERSCORES_DROP };
enum escaped_slashes {
    ESCAPED_SLASHES_KEEP,
    ESCAPED_SLASHES_REJECT,
    ESCAPED_SLASHES_UNESCAPE_REDIRECT,
    ESCAPED_SLASHES_UNESCAPE_FORWARD,
};

/* What the router counts, in http.PREFIX and in http.async-client. */
#define ROUTER_STAT_LIST(X, kind)                                                                  \
    X(NO_ROUTE, "no_route", kind)                                                                  \
    X(NO_CLUSTER, "no_cluster", kind)                                                              \
    X(REDIRECT_BAD_LOCATION, "passthrough_internal_redirect_bad_location", kind)                   \
    X(REDIRECT_NO_ROUTE, "passthrough_internal_redirect_no_route", kind)                           \
    X(REDIRECT_PREDICATE, "passthrough_internal_redirect_predicate", kind)                         \
    X(REDIRECT_TOO_MANY, "passthrough_internal_redirect_too_many_redirects", kind)                 \
    X(REDIRECT_UNSAFE_SCHEME, "passthrough_internal_redirect_unsafe_scheme", kind)                 \
    X(RQ_REDIRECT, "rq_redirect", kind)                                                            \
    X(RQ_DIRECT_RESPONSE, "rq_direct_response", kind)                                              \
    X(RQ_TOTAL, "rq_total", kind)                                                                  \
    X(RQ_RESET_AFTER_DOWNSTREAM_RESPONSE_STARTED, "rq_reset_after_downstream_response_started",    \
      kind)                                                                                        \
    X(RQ_OVERLOAD_LOCAL_REPLY, "rq_overload_local_reply", kind)

/* Statistics http.PREFIX.*: X(enumerator, name, kind). */
#define HTTP_STAT_LIST(X)                                                                          \
    X(DOWNSTREAM_CX_TOTAL, "downstream_cx_total", COUNTER)                                         \
    X(DOWNSTREAM_CX_ACTIVE, "downstream_cx_active", GAUGE)                                         \
    X(DOWNSTREAM_CX_HTTP1_TOTAL, "downstream_cx_http1_total", COUNTER)                             \
    X(DOWNSTREAM_CX_HTTP1_ACTIVE, "downstream_cx_http1_active", GAUGE)                             \
    X(DOWNSTREAM_CX_HTTP2_TOTAL, "downstream_cx_http2_total", COUNTER)                             \
    X(DOWNSTREAM_CX_HTTP2_ACTIVE, "downstream_cx_http2_active", GAUGE)                             \
    X(DOWNSTREAM_CX_HTTP3_TOTAL, "downstream_cx_http3_total", COUNTER)                             \
    X(DOWNSTREAM_CX_HTTP3_ACTIVE, "downstream_cx_http3_active", GAUGE)                             \
    X(DOWNSTREAM_CX_SSL_TOTAL, "downstream_cx_ssl_total", COUNTER)                                 \
    X(DOWNSTREAM_CX_SSL_ACTIVE, "downstream_cx_ssl_active", GAUGE)                                 \
    X(DOWNSTREAM_CX_UPGRADES_TOTAL, "downstream_cx_upgrades_total", COUNTER)                       \
    X(DOWNSTREAM_CX_UPGRADES_ACTIVE, "downstream_cx_upgrades_active", GAUGE)                       \
    X(DOWNSTREAM_CX_DESTROY, "downstream_cx_destroy", COUNTER)                                     \
    X(DOWNSTREAM_CX_DESTROY_LOCAL, "downstream_cx_destroy_local", COUNTER)                         \
    X(DOWNSTREAM_CX_DESTROY_REMOTE, "downstream_cx_destroy_remote", COUNTER)                       \
    X(DOWNSTREAM_CX_DESTROY_ACTIVE_RQ, "downstream_cx_destroy_active_rq", COUNTER)                 \
    X(DOWNSTREAM_CX_DESTROY_LOCAL_ACTIVE_RQ, "downstream_cx_destroy_local_active_rq", COUNTER)     \
    X(DOWNSTREAM_CX_DESTROY_REMOTE_ACTIVE_RQ, "downstream_cx_destroy_remote_active_rq", COUNTER)   \
    X(DOWNSTREAM_CX_RX_BYTES_TOTAL, "downstream_cx_rx_bytes_total", COUNTER)                       \
    X(DOWNSTREAM_CX_RX_BYTES_BUFFERED, "downstream_cx_rx_bytes_buffered", GAUGE)                   \
    X(DOWNSTREAM_CX_TX_BYTES_TOTAL, "downstream_cx_tx_bytes_total", COUNTER)                       \
    X(DOWNSTREAM_CX_TX_BYTES_BUFFERED, "downstream_cx_tx_bytes_buffered", GAUGE)                   \
    X(DOWNSTREAM_CX_DRAIN_CLOSE, "downstream_cx_drain_close", COUNTER)                             \
    X(DOWNSTREAM_CX_IDLE_TIMEOUT, "downstream_cx_idle_timeout", COUNTER)                           \
    X(DOWNSTREAM_CX_MAX_DURATION_REACHED, "downstream_cx_max_duration_reached", COUNTER)           \
    X(DOWNSTREAM_CX_MAX_REQUESTS_REACHED, "downstream_cx_max_requests_reached", COUNTER)           \
    X(DOWNSTREAM_CX_OVERLOAD_DISABLE_KEEPALIVE, "downstream_cx_overload_disable_keepalive",        \
      COUNTER)                                                                                     \
    X(DOWNSTREAM_CX_HTTP1_SOFT_DRAIN, "downstream_cx_http1_soft_drain", GAUGE)                     \
    X(DOWNSTREAM_CX_DELAYED_CLOSE_TIMEOUT, "downstream_cx_delayed_close_timeout", COUNTER)         \
    X(DOWNSTREAM_CX_PROTOCOL_ERROR, "downstream_cx_protocol_error", COUNTER)                       \
    X(DOWNSTREAM_CX_LENGTH_MS, "downstream_cx_length_ms", HISTOGRAM)                               \
    X(DOWNSTREAM_FLOW_PAUSED, "downstream_flow_control_paused_reading_total", COUNTER)             \
    X(DOWNSTREAM_FLOW_RESUMED, "downstream_flow_control_resumed_reading_total", COUNTER)           \
    X(DOWNSTREAM_RQ_TOTAL, "downstream_rq_total", COUNTER)                                         \
    X(DOWNSTREAM_RQ_HTTP1_TOTAL, "downstream_rq_http1_total", COUNTER)                             \
    X(DOWNSTREAM_RQ_HTTP2_TOTAL, "downstream_rq_http2_total", COUNTER)                             \
    X(DOWNSTREAM_RQ_HTTP3_TOTAL, "downstream_rq_http3_total", COUNTER)                             \
    X(DOWNSTREAM_RQ_ACTIVE, "downstream_rq_active", GAUGE)                                         \
    X(DOWNSTREAM_RQ_COMPLETED, "downstream_rq_completed", COUNTER)                                 \
    X(DOWNSTREAM_RQ_1XX, "downstream_rq_1xx", COUNTER)                                             \
    X(DOWNSTREAM_RQ_2XX, "downstream_rq_2xx", COUNTER)                                             \
    X(DOWNSTREAM_RQ_3XX, "downstream_rq_3xx", COUNTER)                                             \
    X(DOWNSTREAM_RQ_4XX, "downstream_rq_4xx", COUNTER)                                             \
    X(DOWNSTREAM_RQ_5XX, "downstream_rq_5xx", COUNTER)                                             \
    X(DOWNSTREAM_RQ_HEADER_TIMEOUT, "downstream_rq_header_timeout", COUNTER)                       \
    X(DOWNSTREAM_RQ_IDLE_TIMEOUT, "downstream_rq_idle_timeout", COUNTER)                           \
    X(DOWNSTREAM_RQ_MAX_DURATION_REACHED, "downstream_rq_max_duration_reached", COUNTER)           \
    X(DOWNSTREAM_RQ_NON_RELATIVE_PATH, "downstream_rq_non_relative_path", COUNTER)                 \
    X(DOWNSTREAM_RQ_OVERLOAD_CLOSE, "downstream_rq_overload_close", COUNTER)                       \
    X(DOWNSTREAM_RQ_REDIRECTED_NORMALIZED, "downstream_rq_redirected_with_normalized_path",        \
      COUNTER)                                                                                     \
    X(DOWNSTREAM_RQ_REJECTED_VIA_IP_DETECTION, "downstream_rq_rejected_via_ip_detection", COUNTER) \
    X(DOWNSTREAM_RQ_RESPONSE_BEFORE_RQ_COMPLETE, "downstream_rq_response_before_rq_complete",      \
      COUNTER)                                                                                     \
    X(DOWNSTREAM_RQ_RX_RESET, "downstream_rq_rx_reset", COUNTER)                                   \
    X(DOWNSTREAM_RQ_TX_RESET, "downstream_rq_tx_reset", COUNTER)                                   \
    X(DOWNSTREAM_RQ_TIMEOUT, "downstream_rq_timeout", COUNTER)                                     \
    X(DOWNSTREAM_RQ_TOO_LARGE, "downstream_rq_too_large", COUNTER)                                 \
    X(DOWNSTREAM_RQ_TOO_MANY_PREMATURE_RESETS, "downstream_rq_too_many_premature_resets", COUNTER) \
    X(DOWNSTREAM_RQ_WS_ON_NON_WS_ROUTE, "downstream_rq_ws_on_non_ws_route", COUNTER)               \
    X(DOWNSTREAM_RQ_FAILED_PATH_NORMALIZATION, "downstream_rq_failed_path_normalization", COUNTER) \
    X(DOWNSTREAM_RQ_TIME, "downstream_rq_time", HISTOGRAM)                                         \
    X(RS_TOO_LARGE, "rs_too_large", COUNTER)                                                       \
    X(CONFIGURED, "", MARK) /* by a listener: not admin's */                                       \
    ROUTER_STAT_LIST(X, COUNTER_AFTER(STAT_HTTP_CONFIGURED))                                       \
    X(TRACING_CLIENT_ENABLED, "tracing.client_enabled", COUNTER_AFTER(STAT_HTTP_CONFIGURED))       \
    X(TRACING_HEALTH_CHECK, "tracing.health_check", COUNTER_AFTER(STAT_HTTP_CONFIGURED))           \
    X(TRACING_NOT_TRACEABLE, "tracing.not_traceable", COUNTER_AFTER(STAT_HTTP_CONFIGURED))         \
    X(TRACING_RANDOM_SAMPLING, "tracing.random_sampling", COUNTER_AFTER(STAT_HTTP_CONFIGURED))     \
    X(TRACING_SERVICE_FORCED, "tracing.service_forced", COUNTER_AFTER(STAT_HTTP_CONFIGURED))

enum http_stat {
#define X(id, name, kind) STAT_HTTP_##id,
    HTTP_STAT_LIST(X)
#undef X
        HTTP_STAT_COUNT
};
enum async_client_stat {
#define X(id, name, kind) STAT_ASYNC_##id,
    ROUTER_STAT_LIST(X, 0)
#undef X
};
extern const struct stat_schema async_client_stat_schema;
extern const struct stat_schema http_stat_schema;

/* Position is the key, not the name: the same filter may stand in a chain several times. */
struct http_filter_slot {
    const struct filter_factory *factory; /* first member of the dataplane's http_filter_ops */
    struct bytes name;                    /* the name in the configuration */
    void *config;
    struct filter_discovery *discovery; /* its configuration comes apart; NULL: it stands here */
    bool disabled;
};

/* upgrade_configs, one entry. */
struct http_upgrade {
    struct bytes type; /* as it was written; CONNECT too */
    bool enabled;
    struct http_filter_slot *filters; /* of such streams; NULL: as of all others */
    unsigned n_filters;
};

struct http_manager {
    struct node node;
    struct bytes stat_prefix; /* "ingress_http" */
    struct stat_scope *stats; /* http.<stat_prefix> */
    enum codec_type codec;
    struct http_filter_slot *filters; /* request order; the last is terminal */
    unsigned n_filters;
    /* Made of another and of discovered filters (config/filter_discovery.h); NULL: of neither. */
    struct http_manager *base;
    struct filter_config **discovered;
    unsigned n_discovered;
    struct http_upgrade *upgrades;
    unsigned n_upgrades;

    /* Exactly one of the three. */
    struct route_config *inline_routes;
    struct bytes rds_name;
    struct config_source rds_source;
    struct scoped_routes *scoped;

    struct bytes server_name; /* "envoy" */
    enum server_header server_header;
    struct bytes via;
    struct bytes user_agent, downstream_node; /* add_user_agent; data NULL: not added */
    uint64_t stream_idle_timeout_ms;          /* 300000 */
    uint64_t request_timeout_ms, request_headers_timeout_ms;
    uint64_t drain_timeout_ms, delayed_close_timeout_ms; /* 5000, 1000 */
    uint64_t idle_timeout_ms;                            /* downstream connections, 1 hour */
    uint64_t max_connection_duration_ms, max_stream_duration_ms;
    uint32_t max_requests_per_connection; /* 0: no limit */
    uint32_t max_headers_count;           /* 100 */
    uint32_t max_request_headers_kb;      /* 60 */
    enum underscores_action underscores;

    bool use_remote_address, skip_xff_append, append_x_forwarded_port;
    struct client_cert_details {
        enum forward_client_cert {
            CLIENT_CERT_SANITIZE,
            CLIENT_CERT_FORWARD_ONLY,
            CLIENT_CERT_APPEND_FORWARD,
            CLIENT_CERT_SANITIZE_SET,
            CLIENT_CERT_ALWAYS_FORWARD_ONLY
        } how;
        bool subject, cert, chain, dns, uri;
    } client_cert; /* x-forwarded-client-cert */
    uint32_t xff_num_trusted_hops;
    struct address_prefix *internal_prefixes;
    unsigned n_internal_prefixes;
    bool internal_unix_sockets, internal_default; /* no internal_address_config: Envoy's default */
    bool generate_request_id, preserve_external_request_id, always_set_request_id_in_response;
    bool pack_trace_reason; /* uuid extension, default true */
    bool normalize_path, merge_slashes;
    enum escaped_slashes escaped_slashes;
    bool strip_matching_host_port, strip_any_host_port, strip_trailing_host_dot;
    bool proxy_100_continue, stream_error_on_invalid_http_message;
    bool stream_error_h1; /* http_protocol_options override */
    bool represent_ipv4_as_mapped;

    /* Http1ProtocolOptions */
    bool accept_http_10, enable_trailers, allow_chunked_length, allow_absolute_url;
    bool allow_custom_methods;
    struct bytes default_host_for_http_10;

    struct http2_options http2;

    struct access_log **access_logs;
    unsigned n_access_logs;
    bool logs_upstream_metadata; /* one of them tells of the cluster's or the host's */
    bool flush_access_log_on_new_request, flush_access_log_on_tunnel;
    uint64_t access_log_flush_interval_ms;
};

/* The entry of this type, in any case; NULL: none. */
const struct http_upgrade *http_manager_upgrade(const struct http_manager *m, struct bytes type);
