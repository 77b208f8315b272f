/* Which requests an access logger writes: the filters of envoy.config.accesslog.v3, compiled. The
 * run time describes the finished request and asks. Const after decoding; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "config/matcher.h"

struct access_log_filter;
struct random_source;

struct access_log_subject {
    unsigned status; /* 0: none sent */
    int log_type;    /* of envoy.data.accesslog.v3.AccessLogType */
    uint64_t duration_ms;
    bool health_check; /* the request was for the health check filter */
    bool traceable;
    struct bytes response_flags; /* short names joined with ",": "UF,URX"; empty: none */
    int grpc_status;             /* -1: none that gRPC knows */
    header_values *request_header;
    const void *ctx;
    struct random_source *random;
    struct bytes request_id; /* x-request-id; empty: none (runtime filter) */
};

/* NULL passes everything. */
bool access_log_filter_pass(const struct access_log_filter *f, const struct access_log_subject *s);
