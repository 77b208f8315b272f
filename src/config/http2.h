/* What Http2ProtocolOptions means, for both sides, and the statistics of HTTP/2 codecs (Envoy's
 * names: http2.* and cluster.NAME.http2.*). Const data; decoded by the config thread. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/stats.h"

struct envoy_config_core_v3_Http2ProtocolOptions;

struct http2_setting {
    uint32_t id, value;
};

enum { HTTP2_CUSTOM_SETTINGS_MAX = 8 };

struct http2_options {
    uint32_t hpack_table_size;            /* 4096 */
    uint32_t max_concurrent_streams;      /* 100: as Envoy's edge guide asks for */
    uint32_t stream_window;               /* 64 KiB, the same */
    uint32_t connection_window;           /* 1 MiB, the same */
    uint32_t max_outbound_frames;         /* 10000 */
    uint32_t max_outbound_control;        /* 1000 */
    uint32_t max_empty_frames;            /* 1: in a row */
    uint32_t max_priority_per_stream;     /* 100 */
    uint32_t max_window_updates_per_data; /* 10 */
    uint32_t allow_connect;               /* extended CONNECT is taken (RFC 8441) */
    uint32_t stream_error; /* an invalid message resets its stream; false: ends the connection */
    struct http2_setting custom[HTTP2_CUSTOM_SETTINGS_MAX];
    unsigned n_custom;
    uint64_t keepalive_interval_ms; /* 0: no PINGs */
    uint64_t keepalive_timeout_ms;
    uint64_t keepalive_idle_ms; /* 0: no PING for having been idle */
    uint32_t keepalive_jitter;  /* percent of the interval, 15 */
};

void http2_options_init(struct http2_options *o);
/* m: NULL for none. */
bool http2_options_decode(const struct envoy_config_core_v3_Http2ProtocolOptions *m,
                          struct http2_options *o, struct error *err);

#define HTTP2_STAT_LIST(X)                                                                         \
    X(DROPPED_UNDERSCORES, "dropped_headers_with_underscores", COUNTER)                            \
    X(COOKIES_TOO_LARGE, "cookies_total_bytes_too_large", COUNTER)                                 \
    X(HEADER_LIST_TOO_LARGE, "header_list_size_too_large", COUNTER)                                \
    X(GOAWAY_SENT, "goaway_sent", COUNTER)                                                         \
    X(HEADER_OVERFLOW, "header_overflow", COUNTER)                                                 \
    X(HEADERS_CB_NO_STREAM, "headers_cb_no_stream", COUNTER)                                       \
    X(INBOUND_EMPTY_FRAMES_FLOOD, "inbound_empty_frames_flood", COUNTER)                           \
    X(INBOUND_PRIORITY_FRAMES_FLOOD, "inbound_priority_frames_flood", COUNTER)                     \
    X(INBOUND_WINDOW_UPDATE_FRAMES_FLOOD, "inbound_window_update_frames_flood", COUNTER)           \
    X(KEEPALIVE_TIMEOUT, "keepalive_timeout", COUNTER)                                             \
    X(METADATA_EMPTY_FRAMES, "metadata_empty_frames", COUNTER)                                     \
    X(OUTBOUND_CONTROL_FLOOD, "outbound_control_flood", COUNTER)                                   \
    X(OUTBOUND_FLOOD, "outbound_flood", COUNTER)                                                   \
    X(REJECTED_UNDERSCORES, "requests_rejected_with_underscores_in_headers", COUNTER)              \
    X(RX_MESSAGING_ERROR, "rx_messaging_error", COUNTER)                                           \
    X(RX_RESET, "rx_reset", COUNTER)                                                               \
    X(STREAM_REFUSED_ERRORS, "stream_refused_errors", COUNTER)                                     \
    X(TRAILERS, "trailers", COUNTER)                                                               \
    X(TX_FLUSH_TIMEOUT, "tx_flush_timeout", COUNTER)                                               \
    X(TX_RESET, "tx_reset", COUNTER)                                                               \
    X(DEFERRED_STREAM_CLOSE, "deferred_stream_close", GAUGE)                                       \
    X(OUTBOUND_CONTROL_FRAMES_ACTIVE, "outbound_control_frames_active", GAUGE)                     \
    X(OUTBOUND_FRAMES_ACTIVE, "outbound_frames_active", GAUGE)                                     \
    X(PENDING_SEND_BYTES, "pending_send_bytes", GAUGE)                                             \
    X(STREAMS_ACTIVE, "streams_active", GAUGE)
enum http2_stat {
#define X(id, name, kind) STAT_HTTP2_##id,
    HTTP2_STAT_LIST(X)
#undef X
        HTTP2_STAT_COUNT
};
extern const struct stat_schema http2_stat_schema;
