/* An access logger over gRPC as configured: the service, what is collected before it is sent, and
 * what an entry says besides what every entry says. Const data in the arena of its access log; any
 * thread. */
#pragma once

#include "config/access_log.h"
#include "config/config_source.h"

struct grpc_log_tag {
    struct bytes name;
    enum { TAG_TEXT, TAG_REQUEST_HEADER, TAG_FORMAT, TAG_METADATA } kind;
    struct bytes text;     /* TAG_TEXT; the name of the header, in lower case, or of the metadata */
    struct bytes fallback; /* where there is no such header or metadata; empty: no tag then */
    struct format format;  /* TAG_FORMAT */
    struct bytes *path;    /* TAG_METADATA: what to follow in them */
    unsigned n_path;
    enum { OF_REQUEST, OF_ROUTE, OF_CLUSTER, OF_HOST } of; /* request: none, no filter sets any */
};

/* Names of headers, in lower case. */
struct grpc_log_names {
    struct bytes *names;
    unsigned n;
};

struct grpc_log {
    struct bytes key; /* loggers with equal ones share a stream */
    struct bytes log_name;
    bool is_tcp; /* entries of connections, whatever they are of */
    struct grpc_service service;
    uint64_t flush_ms;                    /* 1000 */
    uint32_t buffer_bytes;                /* 16384; 0: each entry is sent at once */
    uint64_t retry_base_ms, retry_max_ms; /* between two attempts at a stream */
    struct grpc_log_names request_headers, response_headers, response_trailers;
    struct grpc_log_tag *tags;
    unsigned n_tags;
    bool wants_upstream_metadata; /* a tag is of them: of the cluster's or the host's */
};
