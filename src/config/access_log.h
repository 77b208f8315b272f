/* An access logger as configured: where to write, and a compiled format. Formats are Envoy's
 * command strings; the run time (dataplane/http/access_log.c) walks the compiled parts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "config/matcher.h"

enum access_log_sink { ACCESS_LOG_FILE, ACCESS_LOG_STDOUT, ACCESS_LOG_STDERR, ACCESS_LOG_GRPC };

/* One operator, or literal text. X(enumerator, command name). */
#define FORMAT_OP_LIST(X)                                                                          \
    X(START_TIME, "START_TIME")                                                                    \
    X(START_TIME_LOCAL, "START_TIME_LOCAL")                                                        \
    X(EMIT_TIME_LOCAL, "EMIT_TIME_LOCAL")                                                          \
    X(EMIT_TIME, "EMIT_TIME")                                                                      \
    X(REQ, "REQ")                                                                                  \
    X(RESP, "RESP")                                                                                \
    X(TRAILER, "TRAILER")                                                                          \
    X(REQ_WITHOUT_QUERY, "REQ_WITHOUT_QUERY")                                                      \
    X(PROTOCOL, "PROTOCOL")                                                                        \
    X(UPSTREAM_PROTOCOL, "UPSTREAM_PROTOCOL")                                                      \
    X(RESPONSE_CODE, "RESPONSE_CODE")                                                              \
    X(RESPONSE_CODE_DETAILS, "RESPONSE_CODE_DETAILS")                                              \
    X(RESPONSE_FLAGS, "RESPONSE_FLAGS")                                                            \
    X(RESPONSE_FLAGS_LONG, "RESPONSE_FLAGS_LONG")                                                  \
    X(CONNECTION_TERMINATION_DETAILS, "CONNECTION_TERMINATION_DETAILS")                            \
    X(UPSTREAM_TRANSPORT_FAILURE_REASON, "UPSTREAM_TRANSPORT_FAILURE_REASON")                      \
    X(BYTES_RECEIVED, "BYTES_RECEIVED")                                                            \
    X(BYTES_SENT, "BYTES_SENT")                                                                    \
    X(DURATION, "DURATION")                                                                        \
    X(REQUEST_DURATION, "REQUEST_DURATION")                                                        \
    X(REQUEST_TX_DURATION, "REQUEST_TX_DURATION")                                                  \
    X(RESPONSE_DURATION, "RESPONSE_DURATION")                                                      \
    X(RESPONSE_TX_DURATION, "RESPONSE_TX_DURATION")                                                \
    X(UPSTREAM_HOST, "UPSTREAM_HOST")                                                              \
    X(COMMON_DURATION, "COMMON_DURATION")                                                          \
    X(PATH, "PATH")                                                                                \
    X(QUERY_PARAM, "QUERY_PARAM")                                                                  \
    X(UPSTREAM_HOST_NAME, "UPSTREAM_HOST_NAME")                                                    \
    X(UPSTREAM_HOST_NAME_WITHOUT_PORT, "UPSTREAM_HOST_NAME_WITHOUT_PORT")                          \
    X(UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT")                  \
    X(UPSTREAM_LOCAL_PORT, "UPSTREAM_LOCAL_PORT")                                                  \
    X(UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT")                \
    X(UPSTREAM_REMOTE_PORT, "UPSTREAM_REMOTE_PORT")                                                \
    X(DOWNSTREAM_DIRECT_REMOTE_PORT, "DOWNSTREAM_DIRECT_REMOTE_PORT")                              \
    X(DOWNSTREAM_DIRECT_LOCAL_ADDRESS, "DOWNSTREAM_DIRECT_LOCAL_ADDRESS")                          \
    X(DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT,                                                \
      "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT")                                              \
    X(DOWNSTREAM_DIRECT_LOCAL_PORT, "DOWNSTREAM_DIRECT_LOCAL_PORT")                                \
    X(UPSTREAM_CLUSTER, "UPSTREAM_CLUSTER")                                                        \
    X(UPSTREAM_CLUSTER_RAW, "UPSTREAM_CLUSTER_RAW")                                                \
    X(UPSTREAM_LOCAL_ADDRESS, "UPSTREAM_LOCAL_ADDRESS")                                            \
    X(UPSTREAM_REMOTE_ADDRESS, "UPSTREAM_REMOTE_ADDRESS")                                          \
    X(UPSTREAM_REQUEST_ATTEMPT_COUNT, "UPSTREAM_REQUEST_ATTEMPT_COUNT")                            \
    X(DOWNSTREAM_LOCAL_ADDRESS, "DOWNSTREAM_LOCAL_ADDRESS")                                        \
    X(DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT")              \
    X(DOWNSTREAM_LOCAL_PORT, "DOWNSTREAM_LOCAL_PORT")                                              \
    X(DOWNSTREAM_REMOTE_ADDRESS, "DOWNSTREAM_REMOTE_ADDRESS")                                      \
    X(DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT")            \
    X(DOWNSTREAM_REMOTE_PORT, "DOWNSTREAM_REMOTE_PORT")                                            \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS, "DOWNSTREAM_DIRECT_REMOTE_ADDRESS")                        \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT,                                               \
      "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT")                                             \
    X(REQUESTED_SERVER_NAME, "REQUESTED_SERVER_NAME")                                              \
    X(ROUTE_NAME, "ROUTE_NAME")                                                                    \
    X(VIRTUAL_CLUSTER_NAME, "VIRTUAL_CLUSTER_NAME")                                                \
    X(CONNECTION_ID, "CONNECTION_ID")                                                              \
    X(STREAM_ID, "STREAM_ID")                                                                      \
    X(UNIQUE_ID, "UNIQUE_ID")                                                                      \
    X(HOSTNAME, "HOSTNAME")                                                                        \
    X(FILTER_CHAIN_NAME, "FILTER_CHAIN_NAME")                                                      \
    X(ENVIRONMENT, "ENVIRONMENT")                                                                  \
    X(ACCESS_LOG_TYPE, "ACCESS_LOG_TYPE")                                                          \
    X(REQUEST_HEADERS_BYTES, "REQUEST_HEADERS_BYTES")                                              \
    X(RESPONSE_HEADERS_BYTES, "RESPONSE_HEADERS_BYTES")                                            \
    X(GRPC_STATUS, "GRPC_STATUS")                                                                  \
    X(GRPC_STATUS_NUMBER, "GRPC_STATUS_NUMBER")                                                    \
    X(FILTER_STATE, "FILTER_STATE")                                                                \
    X(TRACE_ID, "TRACE_ID")                                                                        \
    X(DOWNSTREAM_TLS_VERSION, "DOWNSTREAM_TLS_VERSION")                                            \
    X(DOWNSTREAM_TLS_CIPHER, "DOWNSTREAM_TLS_CIPHER")                                              \
    X(DOWNSTREAM_TLS_SESSION_ID, "DOWNSTREAM_TLS_SESSION_ID")                                      \
    X(DOWNSTREAM_PEER_SUBJECT, "DOWNSTREAM_PEER_SUBJECT")                                          \
    X(DOWNSTREAM_PEER_ISSUER, "DOWNSTREAM_PEER_ISSUER")                                            \
    X(DOWNSTREAM_PEER_SERIAL, "DOWNSTREAM_PEER_SERIAL")                                            \
    X(DOWNSTREAM_PEER_FINGERPRINT_256, "DOWNSTREAM_PEER_FINGERPRINT_256")                          \
    X(DOWNSTREAM_PEER_FINGERPRINT_1, "DOWNSTREAM_PEER_FINGERPRINT_1")                              \
    X(DOWNSTREAM_PEER_CERT, "DOWNSTREAM_PEER_CERT")                                                \
    X(DOWNSTREAM_PEER_CERT_V_START, "DOWNSTREAM_PEER_CERT_V_START")                                \
    X(DOWNSTREAM_PEER_CERT_V_END, "DOWNSTREAM_PEER_CERT_V_END")                                    \
    X(DOWNSTREAM_PEER_URI_SAN, "DOWNSTREAM_PEER_URI_SAN")                                          \
    X(DOWNSTREAM_PEER_DNS_SAN, "DOWNSTREAM_PEER_DNS_SAN")                                          \
    X(DOWNSTREAM_PEER_IP_SAN, "DOWNSTREAM_PEER_IP_SAN")                                            \
    X(DOWNSTREAM_PEER_EMAIL_SAN, "DOWNSTREAM_PEER_EMAIL_SAN")                                      \
    X(DOWNSTREAM_LOCAL_SUBJECT, "DOWNSTREAM_LOCAL_SUBJECT")                                        \
    X(DOWNSTREAM_LOCAL_URI_SAN, "DOWNSTREAM_LOCAL_URI_SAN")                                        \
    X(DOWNSTREAM_LOCAL_DNS_SAN, "DOWNSTREAM_LOCAL_DNS_SAN")                                        \
    X(DOWNSTREAM_TRANSPORT_FAILURE_REASON, "DOWNSTREAM_TRANSPORT_FAILURE_REASON")                  \
    X(TLS_JA3_FINGERPRINT, "TLS_JA3_FINGERPRINT")                                                  \
    X(TLS_JA4_FINGERPRINT, "TLS_JA4_FINGERPRINT")                                                  \
    X(UPSTREAM_TLS_VERSION, "UPSTREAM_TLS_VERSION")                                                \
    X(UPSTREAM_TLS_CIPHER, "UPSTREAM_TLS_CIPHER")                                                  \
    X(UPSTREAM_TLS_SESSION_ID, "UPSTREAM_TLS_SESSION_ID")                                          \
    X(UPSTREAM_PEER_SUBJECT, "UPSTREAM_PEER_SUBJECT")                                              \
    X(UPSTREAM_PEER_ISSUER, "UPSTREAM_PEER_ISSUER")                                                \
    X(UPSTREAM_PEER_CERT, "UPSTREAM_PEER_CERT")                                                    \
    X(UPSTREAM_PEER_CERT_V_START, "UPSTREAM_PEER_CERT_V_START")                                    \
    X(UPSTREAM_PEER_CERT_V_END, "UPSTREAM_PEER_CERT_V_END")                                        \
    X(UPSTREAM_PEER_URI_SAN, "UPSTREAM_PEER_URI_SAN")                                              \
    X(UPSTREAM_PEER_DNS_SAN, "UPSTREAM_PEER_DNS_SAN")                                              \
    X(UPSTREAM_PEER_IP_SAN, "UPSTREAM_PEER_IP_SAN")

enum format_op {
    FORMAT_LITERAL,
#define X(id, name) FORMAT_##id,
    FORMAT_OP_LIST(X)
#undef X
        FORMAT_OP_COUNT
};

/* COMMON_DURATION(FROM:TO:UNIT) */
#define FORMAT_POINT_LIST(X)                                                                       \
    X(DS_RX_BEG)                                                                                   \
    X(DS_RX_END) X(US_TX_BEG) X(US_TX_END) X(US_RX_BEG) X(US_RX_END) X(DS_TX_BEG) X(DS_TX_END)
enum format_point {
#define X(id) POINT_##id,
    FORMAT_POINT_LIST(X)
#undef X
        POINT_UNKNOWN /* an extension's: never reached */
};
/* PATH(WQ|NQ:...) */
enum format_path { PATH_ORIGINAL_OR_CURRENT, PATH_ORIGINAL, PATH_CURRENT };
/* GRPC_STATUS(...) */
/* FILTER_STATE(KEY:...) */
enum format_state { STATE_TYPED, STATE_PLAIN, STATE_FIELD };
enum format_grpc { GRPC_CAMEL_STRING, GRPC_SNAKE_STRING, GRPC_NUMBER };

struct format_part {
    enum format_op op;
    struct bytes text;        /* literal, header name, strftime format, variable name */
    struct bytes alternative; /* REQ(a?b) */
    uint32_t max_length;      /* 0: no limit */
    union {
        struct {
            uint8_t from, to; /* enum format_point */
            uint32_t unit_ns;
        } duration;
        struct {
            uint8_t which; /* enum format_path */
            bool without_query;
        } path;
        bool keep_spaces; /* RESPONSE_CODE_DETAILS */
        uint8_t grpc;     /* GRPC_STATUS: enum format_grpc */
        uint8_t state;    /* FILTER_STATE: enum format_state */
    };
};

struct format {
    struct format_part *parts;
    unsigned n_parts;
    bool omit_empty; /* "" instead of "-" */
};

/* JSON format: keys in order (sorted when asked) with nested objects flattened into a tree. */
struct json_format_node {
    struct bytes key;
    enum {
        JSON_NODE_FORMAT,
        JSON_NODE_NUMBER,
        JSON_NODE_BOOL,
        JSON_NODE_NULL,
        JSON_NODE_OBJECT,
        JSON_NODE_LIST
    } kind;
    struct format format;
    double number;
    struct json_format_node *children;
    unsigned n_children;
};

struct grpc_log;          /* config/grpc_log.h */
struct access_log_filter; /* config/access_log.c: status code, duration, header, flags, and/or, ...
                           */

struct access_log {
    enum access_log_sink sink;
    struct bytes path;
    const struct grpc_log *grpc; /* ACCESS_LOG_GRPC */
    bool is_json;
    struct format format;
    struct json_format_node json;
    struct access_log_filter *filter; /* NULL: every request */
    struct regex_list regexes;        /* of the filter */
    struct access_log_cell {          /* and its runtime keys */
        struct access_log_cell *next;
        struct runtime_cell *cell;
    } * cells;
};

/* Envoy's default format, with its newline. */
extern const char access_log_default_format[];

/* Compiles a command string such as "%REQ(:METHOD)% %START_TIME(%s)%"; what is not known is an
 * error that names the operator. Strings live in the arena. */
MUST_CHECK bool format_compile(struct arena *a, struct bytes text, struct format *out,
                               struct error *err);
