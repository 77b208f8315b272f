/* Turns a finished stream into access log lines and hands them to the worker's buffer, or hands the
 * stream to a sink of a room above. Worker thread. */
#pragma once

#include <stdint.h>

#include "dataplane/http/stream.h"
#include "dataplane/net/connection.h"

struct access_log;
struct http_conn;
struct listener;

/* Where ACCESS_LOG_GRPC goes: worker->log_service, set by main; NULL: nowhere. */
struct access_log_service {
    void (*write)(struct access_log_service *self, struct stream *s, const struct access_log *log);
};

/* Every access log of the stream's connection manager whose filter passes. */
void access_log_stream(struct stream *s, enum access_log_type type);
/* Every access log of the connection's listener, when it ends for that reason; what belongs to
 * requests is empty in it. */
void access_log_connection(struct http_conn *c, const struct listener *l, enum close_reason reason);

/* A connection that got no further than the listener, and what is known of it. */
struct refused_connection {
    struct address local, remote;
    struct bytes server_name; /* that a listener filter has read; or empty */
    uint64_t accepted_ns;     /* monotonic */
    uint32_t flags;           /* 1 << enum response_flag */
    const char *details;      /* response_code_details, constant; or NULL */
};
/* The same for it. */
void access_log_refused(struct worker *w, const struct listener *l,
                        const struct refused_connection *r);
