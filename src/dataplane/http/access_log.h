/* Turns a finished stream into access log lines and hands them to the worker's buffer, or hands the
 * stream to a sink of a room above. Worker thread. */
#pragma once

struct access_log;
struct stream;

/* Where ACCESS_LOG_GRPC goes: worker->log_service, set by main; NULL: nowhere. */
struct access_log_service {
    void (*write)(struct access_log_service *self, struct stream *s, const struct access_log *log);
};

/* Every access log of the stream's connection manager whose filter passes. */
void access_log_stream(struct stream *s);
