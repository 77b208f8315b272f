/* Turns a finished stream into access log lines and hands them to the worker's buffer, or hands the
 * stream to a sink of a room above. Worker thread. */
#pragma once

#include <stdint.h>

#include "dataplane/http/stream.h"

struct access_log;
struct address;
struct http_conn;
struct listener;
struct listener_entry;

/* Where ACCESS_LOG_GRPC goes: worker->log_service, set by main; NULL: nowhere. */
struct access_log_service {
    void (*write)(struct access_log_service *self, struct stream *s, const struct access_log *log);
};

/* Every access log of the stream's connection manager whose filter passes. */
void access_log_stream(struct stream *s, enum access_log_type type);
/* Every access log of the connection's listener, when it ends; what belongs to requests is empty in
 * it. */
void access_log_connection(struct http_conn *c, const struct listener *l);
/* The same for a connection that got no further than the listener. details: why, constant. */
void access_log_refused(struct worker *w, const struct listener_entry *l,
                        const struct address *local, const struct address *remote, uint32_t flags,
                        const char *details);
