/* Envoy's command strings, compiled: "%REQ(:METHOD)% %START_TIME(%s)%" as a list of parts. Access
 * logs and the values of headers are made of them (dataplane/http/format.c). Const data in the
 * arena that it was compiled in; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

/* What may stand behind the name of an operator. */
enum format_syntax {
    SYNTAX_COMMAND, /* nothing */
    SYNTAX_COUNT,   /* nothing; in JSON it is a number */
    SYNTAX_TIME,    /* (strftime) */
    SYNTAX_DETAILS, /* (ALLOW_WHITESPACES) */
    SYNTAX_GRPC,
    SYNTAX_SERVER_NAME,
    SYNTAX_ADDRESS, /* (bits of the network) */
    SYNTAX_POINTS,  /* (FROM:TO:UNIT), which it needs */
    SYNTAX_HEADER,  /* (name?other):length */
    SYNTAX_NAME,    /* (name):length */
    SYNTAX_PATH,
    SYNTAX_QUERY,
    SYNTAX_STATE,
    SYNTAX_METADATA,
    SYNTAX_COALESCE,
};

/* X(name, syntax) */
#define FORMAT_OP_LIST(X)                                                                          \
    X(START_TIME, TIME)                                                                            \
    X(START_TIME_LOCAL, TIME)                                                                      \
    X(EMIT_TIME_LOCAL, TIME)                                                                       \
    X(EMIT_TIME, TIME)                                                                             \
    X(REQ, HEADER)                                                                                 \
    X(RESP, HEADER)                                                                                \
    X(TRAILER, HEADER)                                                                             \
    X(REQ_WITHOUT_QUERY, HEADER)                                                                   \
    X(PROTOCOL, COMMAND)                                                                           \
    X(UPSTREAM_PROTOCOL, COMMAND)                                                                  \
    X(RESPONSE_CODE, COUNT)                                                                        \
    X(RESPONSE_CODE_DETAILS, DETAILS)                                                              \
    X(RESPONSE_FLAGS, COMMAND)                                                                     \
    X(RESPONSE_FLAGS_LONG, COMMAND)                                                                \
    X(CONNECTION_TERMINATION_DETAILS, COMMAND)                                                     \
    X(UPSTREAM_TRANSPORT_FAILURE_REASON, COMMAND)                                                  \
    X(BYTES_RECEIVED, COUNT)                                                                       \
    X(BYTES_SENT, COUNT)                                                                           \
    X(DURATION, COUNT)                                                                             \
    X(REQUEST_DURATION, COUNT)                                                                     \
    X(REQUEST_TX_DURATION, COUNT)                                                                  \
    X(RESPONSE_DURATION, COUNT)                                                                    \
    X(RESPONSE_TX_DURATION, COUNT)                                                                 \
    X(UPSTREAM_HOST, COMMAND)                                                                      \
    X(COMMON_DURATION, POINTS)                                                                     \
    X(PATH, PATH)                                                                                  \
    X(QUERY_PARAM, NAME)                                                                           \
    X(UPSTREAM_HOST_NAME, COMMAND)                                                                 \
    X(UPSTREAM_HOST_NAME_WITHOUT_PORT, COMMAND)                                                    \
    X(UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, ADDRESS)                                                \
    X(UPSTREAM_LOCAL_PORT, COUNT)                                                                  \
    X(UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, ADDRESS)                                               \
    X(UPSTREAM_REMOTE_PORT, COUNT)                                                                 \
    X(DOWNSTREAM_DIRECT_REMOTE_PORT, COUNT)                                                        \
    X(DOWNSTREAM_DIRECT_LOCAL_ADDRESS, COMMAND)                                                    \
    X(DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT, ADDRESS)                                       \
    X(DOWNSTREAM_DIRECT_LOCAL_PORT, COUNT)                                                         \
    X(UPSTREAM_CLUSTER, COMMAND)                                                                   \
    X(UPSTREAM_CLUSTER_RAW, COMMAND)                                                               \
    X(UPSTREAM_LOCAL_ADDRESS, COMMAND)                                                             \
    X(UPSTREAM_REMOTE_ADDRESS, COMMAND)                                                            \
    X(UPSTREAM_REQUEST_ATTEMPT_COUNT, COUNT)                                                       \
    X(DOWNSTREAM_LOCAL_ADDRESS, COMMAND)                                                           \
    X(DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, ADDRESS)                                              \
    X(DOWNSTREAM_LOCAL_PORT, COUNT)                                                                \
    X(DOWNSTREAM_REMOTE_ADDRESS, COMMAND)                                                          \
    X(DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, ADDRESS)                                             \
    X(DOWNSTREAM_REMOTE_PORT, COUNT)                                                               \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS, COMMAND)                                                   \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT, ADDRESS)                                      \
    X(REQUESTED_SERVER_NAME, SERVER_NAME)                                                          \
    X(ROUTE_NAME, COMMAND)                                                                         \
    X(VIRTUAL_CLUSTER_NAME, COMMAND)                                                               \
    X(DOWNSTREAM_HANDSHAKE_DURATION, COUNT)                                                        \
    X(CONNECTION_ID, COUNT)                                                                        \
    X(STREAM_ID, COMMAND)                                                                          \
    X(UNIQUE_ID, COMMAND)                                                                          \
    X(HOSTNAME, COMMAND)                                                                           \
    X(FILTER_CHAIN_NAME, COMMAND)                                                                  \
    X(ENVIRONMENT, NAME)                                                                           \
    X(ACCESS_LOG_TYPE, COMMAND)                                                                    \
    X(REQUEST_HEADERS_BYTES, COUNT)                                                                \
    X(RESPONSE_HEADERS_BYTES, COUNT)                                                               \
    X(GRPC_STATUS, GRPC)                                                                           \
    X(GRPC_STATUS_NUMBER, COUNT)                                                                   \
    X(FILTER_STATE, STATE)                                                                         \
    X(TRACE_ID, COMMAND)                                                                           \
    X(SPAN_ID, COMMAND)                                                                            \
    X(DYNAMIC_METADATA, METADATA)                                                                  \
    X(DOWNSTREAM_TLS_VERSION, COMMAND)                                                             \
    X(DOWNSTREAM_TLS_CIPHER, COMMAND)                                                              \
    X(DOWNSTREAM_TLS_GROUP, COMMAND)                                                               \
    X(DOWNSTREAM_TLS_SESSION_ID, COMMAND)                                                          \
    X(DOWNSTREAM_PEER_SUBJECT, COMMAND)                                                            \
    X(DOWNSTREAM_PEER_ISSUER, COMMAND)                                                             \
    X(DOWNSTREAM_PEER_SERIAL, COMMAND)                                                             \
    X(DOWNSTREAM_PEER_FINGERPRINT_256, COMMAND)                                                    \
    X(DOWNSTREAM_PEER_FINGERPRINT_1, COMMAND)                                                      \
    X(DOWNSTREAM_PEER_CERT, COMMAND)                                                               \
    X(DOWNSTREAM_PEER_CERT_V_START, TIME)                                                          \
    X(DOWNSTREAM_PEER_CERT_V_END, TIME)                                                            \
    X(DOWNSTREAM_PEER_URI_SAN, COMMAND)                                                            \
    X(DOWNSTREAM_PEER_DNS_SAN, COMMAND)                                                            \
    X(DOWNSTREAM_PEER_IP_SAN, COMMAND)                                                             \
    X(DOWNSTREAM_PEER_EMAIL_SAN, COMMAND)                                                          \
    X(DOWNSTREAM_PEER_OTHERNAME_SAN, COMMAND)                                                      \
    X(DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256, COMMAND)                                             \
    X(DOWNSTREAM_PEER_ISSUER_SERIAL, COMMAND)                                                      \
    X(DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256, COMMAND)                                             \
    X(DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1, COMMAND)                                               \
    X(DOWNSTREAM_PEER_CHAIN_SERIALS, COMMAND)                                                      \
    X(DOWNSTREAM_LOCAL_SUBJECT, COMMAND)                                                           \
    X(DOWNSTREAM_LOCAL_URI_SAN, COMMAND)                                                           \
    X(DOWNSTREAM_LOCAL_DNS_SAN, COMMAND)                                                           \
    X(DOWNSTREAM_LOCAL_IP_SAN, COMMAND)                                                            \
    X(DOWNSTREAM_LOCAL_EMAIL_SAN, COMMAND)                                                         \
    X(DOWNSTREAM_LOCAL_OTHERNAME_SAN, COMMAND)                                                     \
    X(DOWNSTREAM_TRANSPORT_FAILURE_REASON, COMMAND)                                                \
    X(TLS_JA3_FINGERPRINT, COMMAND)                                                                \
    X(TLS_JA4_FINGERPRINT, COMMAND)                                                                \
    X(UPSTREAM_TLS_VERSION, COMMAND)                                                               \
    X(UPSTREAM_TLS_CIPHER, COMMAND)                                                                \
    X(UPSTREAM_TLS_GROUP, COMMAND)                                                                 \
    X(UPSTREAM_SERVER_NAME, COMMAND)                                                               \
    X(UPSTREAM_LOCAL_URI_SAN, COMMAND)                                                             \
    X(UPSTREAM_LOCAL_DNS_SAN, COMMAND)                                                             \
    X(UPSTREAM_LOCAL_IP_SAN, COMMAND)                                                              \
    X(UPSTREAM_TLS_SESSION_ID, COMMAND)                                                            \
    X(UPSTREAM_PEER_SUBJECT, COMMAND)                                                              \
    X(UPSTREAM_PEER_ISSUER, COMMAND)                                                               \
    X(UPSTREAM_PEER_CERT, COMMAND)                                                                 \
    X(UPSTREAM_PEER_CERT_V_START, TIME)                                                            \
    X(UPSTREAM_PEER_CERT_V_END, TIME)                                                              \
    X(UPSTREAM_PEER_URI_SAN, COMMAND)                                                              \
    X(UPSTREAM_PEER_DNS_SAN, COMMAND)                                                              \
    X(UPSTREAM_PEER_IP_SAN, COMMAND)                                                               \
    X(QUERY_PARAMS, QUERY)                                                                         \
    X(RESPONSE_TRAILERS_BYTES, COUNT)                                                              \
    X(BYTES_RETRANSMITTED, COUNT)                                                                  \
    X(PACKETS_RETRANSMITTED, COUNT)                                                                \
    X(ROUNDTRIP_DURATION, COUNT)                                                                   \
    X(DOWNSTREAM_LOCAL_CLOSE_REASON, COMMAND)                                                      \
    X(DOWNSTREAM_DETECTED_CLOSE_TYPE, COMMAND)                                                     \
    X(UPSTREAM_LOCAL_CLOSE_REASON, COMMAND)                                                        \
    X(UPSTREAM_DETECTED_CLOSE_TYPE, COMMAND)                                                       \
    X(CUSTOM_FLAGS, COMMAND)                                                                       \
    X(LOCAL_REPLY_BODY, COMMAND)                                                                   \
    X(DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID, COMMAND)                                               \
    X(DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID, COMMAND)                                        \
    X(UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID, COMMAND)                                                \
    X(UPSTREAM_FILTER_STATE, STATE)                                                                \
    X(CLUSTER_METADATA, METADATA)                                                                  \
    X(UPSTREAM_METADATA, METADATA)                                                                 \
    X(METADATA, METADATA)                                                                          \
    X(UPSTREAM_CONNECTION_ID, COUNT)                                                               \
    X(UPSTREAM_CONNECTION_IDS_ATTEMPTED, COMMAND)                                                  \
    X(UPSTREAM_CONNECTION_POOL_READY_DURATION, COUNT)                                              \
    X(UPSTREAM_HOSTS_ATTEMPTED, COMMAND)                                                           \
    X(UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT, COMMAND)                                              \
    X(UPSTREAM_HOST_NAMES_ATTEMPTED, COMMAND)                                                      \
    X(UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT, COMMAND)                                         \
    X(UPSTREAM_WIRE_BYTES_SENT, COUNT)                                                             \
    X(UPSTREAM_WIRE_BYTES_RECEIVED, COUNT)                                                         \
    X(UPSTREAM_HEADER_BYTES_SENT, COUNT)                                                           \
    X(UPSTREAM_HEADER_BYTES_RECEIVED, COUNT)                                                       \
    X(UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT, COUNT)                                              \
    X(UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED, COUNT)                                          \
    X(DOWNSTREAM_WIRE_BYTES_SENT, COUNT)                                                           \
    X(DOWNSTREAM_WIRE_BYTES_RECEIVED, COUNT)                                                       \
    X(DOWNSTREAM_HEADER_BYTES_SENT, COUNT)                                                         \
    X(DOWNSTREAM_HEADER_BYTES_RECEIVED, COUNT)                                                     \
    X(DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT, COUNT)                                            \
    X(DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED, COUNT)                                        \
    X(COALESCE, COALESCE)

enum format_op {
    FORMAT_LITERAL,
#define X(name, syntax) FORMAT_##name,
    FORMAT_OP_LIST(X)
#undef X
        FORMAT_OP_COUNT
};

/* COMMON_DURATION(FROM:TO:UNIT) */
#define FORMAT_POINT_LIST(X)                                                                       \
    X(DS_CX_BEG)                                                                                   \
    X(DS_HS_END)                                                                                   \
    X(US_CX_BEG)                                                                                   \
    X(US_CX_END)                                                                                   \
    X(US_HS_END)                                                                                   \
    X(DS_RX_BEG)                                                                                   \
    X(DS_RX_END)                                                                                   \
    X(US_TX_BEG) X(US_TX_END) X(US_RX_BEG) X(US_RX_BODY_BEG) X(US_RX_END) X(DS_TX_BEG) X(DS_TX_END)
enum format_point {
#define X(id) POINT_##id,
    FORMAT_POINT_LIST(X)
#undef X
        POINT_UNKNOWN /* an extension's: never reached */
};
/* PATH(WQ|NQ:...) */
enum format_path { PATH_ORIGINAL_OR_CURRENT, PATH_ORIGINAL, PATH_CURRENT };
/* REQUESTED_SERVER_NAME(...:...) */
enum format_server_name { SERVER_NAME_SNI, SERVER_NAME_SNI_FIRST, SERVER_NAME_HOST_FIRST };
enum format_host { HOST_ORIGINAL_OR_CURRENT, HOST_ORIGINAL, HOST_CURRENT };
/* FILTER_STATE(KEY:...) */
enum format_state { STATE_TYPED, STATE_PLAIN, STATE_FIELD };
/* GRPC_STATUS(...) */
enum format_grpc { GRPC_CAMEL_STRING, GRPC_SNAKE_STRING, GRPC_NUMBER };
/* METADATA(OF:...); X(enumerator, name) */
#define FORMAT_METADATA_LIST(X)                                                                    \
    X(DYNAMIC, "DYNAMIC")                                                                          \
    X(CLUSTER, "CLUSTER")                                                                          \
    X(ROUTE, "ROUTE")                                                                              \
    X(HOST, "UPSTREAM_HOST")                                                                       \
    X(LISTENER, "LISTENER")                                                                        \
    X(CHAIN, "LISTENER_FILTER_CHAIN")                                                              \
    X(VIRTUAL_HOST, "VIRTUAL_HOST")
enum format_metadata {
#define X(id, name) METADATA_OF_##id,
    FORMAT_METADATA_LIST(X)
#undef X
        METADATA_OF_COUNT
};

enum { FORMAT_NO_LIMIT = UINT32_MAX, FORMAT_NO_MASK = 255 };

struct format_part {
    enum format_op op;
    uint16_t id, alternative_id; /* of a header name: enum header_id; "host" is the authority's */
    struct bytes text;           /* literal, header name, strftime format, variable name */
    struct bytes alternative;    /* REQ(a?b) */
    uint32_t max_length;         /* bytes; FORMAT_NO_LIMIT */
    union {
        struct {
            uint8_t from, to; /* enum format_point */
            uint32_t unit_ns;
        } duration;
        struct {
            uint8_t which; /* enum format_path */
            bool without_query;
        } path;
        struct {
            uint8_t from, host; /* enum format_server_name, enum format_host */
        } server_name;
        struct {
            uint8_t of;         /* enum format_metadata */
            struct bytes *path; /* the filter's name first */
            unsigned n_path;
        } metadata;
        struct {
            struct format_part *parts; /* COALESCE: the first that has something to say */
            unsigned n_parts;
        } among;
        bool keep_spaces; /* RESPONSE_CODE_DETAILS */
        bool decoded;     /* QUERY_PARAMS */
        uint8_t mask;     /* bits of the network that an address is cut to, or FORMAT_NO_MASK */
        uint8_t grpc;     /* GRPC_STATUS: enum format_grpc */
        uint8_t state;    /* FILTER_STATE: enum format_state */
    };
};

struct format {
    struct format_part *parts;
    unsigned n_parts;
    bool omit_empty;            /* "" instead of "-"; nothing of a key in JSON */
    bool has_without_query;     /* set before: REQ_WITHOUT_QUERY is among the formatters */
    bool has_upstream_metadata; /* of clusters or hosts, which are kept only when asked for */
};

/* Compiles a command string; what is not known is an error that names the operator. omit_empty and
 * has_without_query are the caller's to set. */
MUST_CHECK bool format_compile(struct arena *a, struct bytes text, struct format *out,
                               struct error *err);
enum format_syntax format_syntax(enum format_op op);
