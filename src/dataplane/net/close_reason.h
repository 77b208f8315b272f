/* Why a connection was closed: one list, so that logs and statistics use one word for one thing.
 * No connection is closed without one. Pure data. X(enumerator, text). */
#pragma once

#define CLOSE_REASON_LIST(X)                                                                       \
    X(NONE, "none")                                                                                \
    X(REMOTE_CLOSE, "remote_close")                                                                \
    X(REMOTE_RESET, "remote_reset")                                                                \
    X(IO_ERROR, "io_error")                                                                        \
    X(CONNECT_FAILED, "connect_failed")                                                            \
    X(CONNECT_TIMEOUT, "connect_timeout")                                                          \
    X(HANDSHAKE_FAILED, "handshake_failed")                                                        \
    X(HANDSHAKE_TIMEOUT, "transport_socket_connect_timeout")                                       \
    X(OUT_OF_MEMORY, "out_of_memory")                                                              \
    X(DELAYED_CLOSE_TIMEOUT, "delayed_close_timeout")                                              \
    X(IDLE_TIMEOUT, "idle_timeout")                                                                \
    X(MAX_DURATION, "max_connection_duration")                                                     \
    X(MAX_REQUESTS, "max_requests_per_connection")                                                 \
    X(PROTOCOL_ERROR, "codec_protocol_error")                                                      \
    X(REQUEST_TIMEOUT, "request_timeout")                                                          \
    X(REQUEST_DONE, "connection_close_after_response")                                             \
    X(LOCAL_RESET, "local_reset")                                                                  \
    X(OVERLOAD, "overload")                                                                        \
    X(CONNECTION_LIMIT, "connection_limit")                                                        \
    X(NO_FILTER_CHAIN, "filter_chain_not_found")                                                   \
    X(DRAIN, "drain")                                                                              \
    X(HOST_REMOVED, "host_removed")                                                                \
    X(HOST_UNHEALTHY, "host_unhealthy")                                                            \
    X(POOL_DRAIN, "pool_drain")                                                                    \
    X(RELAY_END, "relay_end")                                                                      \
    X(SHUTDOWN, "shutdown")

enum close_reason {
#define X(id, text) CLOSE_##id,
    CLOSE_REASON_LIST(X)
#undef X
        CLOSE_REASON_COUNT
};

const char *close_reason_name(enum close_reason r); /* "remote_close" */
