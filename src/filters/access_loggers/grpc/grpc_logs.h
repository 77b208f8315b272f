/* struct grpc_logs: the access loggers over gRPC of one worker (access_log_service of
 * http/access_log.h). Loggers whose common_config is the same share one: a buffer of encoded
 * entries and a stream to the service, opened when there is something to send, opened again after a
 * while when it was lost. Entries go out when buffer_size_bytes of them are there, or after
 * buffer_flush_interval. While the service takes none, as many bytes wait, and the entries after
 * them are dropped and counted: no request ever waits.
 *
 *   stream ends ─► entry ─► buffer ─(full, timer, connected)─► message ─► async_call
 *
 * Owned by the worker's thread. */
#pragma once

#include "config/grpc_log.h"
#include "dataplane/net/worker.h"

struct grpc_logs;

/* X(enumerator, name): access_logs.grpc_access_log.* */
#define GRPC_LOG_STAT_LIST(X)                                                                      \
    X(FLUSH_FAILED, "grpc_entries_flush_failed", COUNTER)                                          \
    X(FLUSHED, "grpc_entries_flushed", COUNTER)                                                    \
    X(DROPPED, "logs_dropped", COUNTER)                                                            \
    X(WRITTEN, "logs_written", COUNTER)
enum grpc_log_stat {
#define X(id, name, kind) STAT_GRPC_LOG_##id,
    GRPC_LOG_STAT_LIST(X)
#undef X
};
extern const struct stat_schema grpc_log_stat_schema;

/* Sets w->log_service. node: the bytes of core.v3.Node that every first message names; for the
 * worker's life. */
struct grpc_logs *grpc_logs_new(struct worker *w, struct bytes node);
/* Sends what waits where there is a stream: before the end. */
void grpc_logs_flush(struct grpc_logs *l);
/* Before the clusters go. */
void grpc_logs_free(struct grpc_logs **l);
unsigned grpc_logs_count(const struct grpc_logs *l); /* loggers, for tests */
