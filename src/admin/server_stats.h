/* server.*, runtime.*, filesystem.* and others: what the process says of itself. Updated by main
 * from its timer. */
#pragma once

#include <stdbool.h>

#include "base/stats.h"

#define SERVER_STAT_LIST(X)                                                                        \
    X(LIVE, "live", GAUGE)                                                                         \
    X(STATE, "state", GAUGE)                                                                       \
    X(UPTIME, "uptime", GAUGE)                                                                     \
    X(CONCURRENCY, "concurrency", GAUGE)                                                           \
    X(VERSION, "version", GAUGE)                                                                   \
    X(HOT_RESTART_EPOCH, "hot_restart_epoch", GAUGE)                                               \
    X(MEMORY_ALLOCATED, "memory_allocated", GAUGE)                                                 \
    X(MEMORY_HEAP_SIZE, "memory_heap_size", GAUGE)                                                 \
    X(MEMORY_PHYSICAL_SIZE, "memory_physical_size", GAUGE)                                         \
    X(PARENT_CONNECTIONS, "parent_connections", GAUGE)                                             \
    X(TOTAL_CONNECTIONS, "total_connections", GAUGE)                                               \
    X(DAYS_UNTIL_FIRST_CERT_EXPIRING, "days_until_first_cert_expiring", GAUGE)                     \
    X(STATS_RECENT_LOOKUPS, "stats_recent_lookups", GAUGE)                                         \
    X(STATIC_UNKNOWN_FIELDS, "static_unknown_fields", COUNTER)                                     \
    X(DYNAMIC_UNKNOWN_FIELDS, "dynamic_unknown_fields", COUNTER)                                   \
    X(WIP_PROTOS, "wip_protos", COUNTER)                                                           \
    X(DEBUG_ASSERTION_FAILURES, "debug_assertion_failures", COUNTER)                               \
    X(ENVOY_BUG_FAILURES, "envoy_bug_failures", COUNTER)                                           \
    X(ENVOY_NOTIFICATIONS, "envoy_notifications", COUNTER)                                         \
    X(DROPPED_STAT_FLUSHES, "dropped_stat_flushes", COUNTER)                                       \
    X(FIPS_MODE, "compilation_settings.fips_mode", GAUGE)                                          \
    X(SECONDS_UNTIL_FIRST_OCSP_RESPONSE_EXPIRING, "seconds_until_first_ocsp_response_expiring",    \
      GAUGE)                                                                                       \
    X(INITIALIZATION_TIME_MS, "initialization_time_ms", HISTOGRAM)

enum server_stat {
#define X(id, name, kind) STAT_SERVER_##id,
    SERVER_STAT_LIST(X)
#undef X
        SERVER_STAT_COUNT
};
extern const struct stat_schema server_stat_schema;

#define FILESYSTEM_STAT_LIST(X)                                                                    \
    X(FLUSHED_BY_TIMER, "flushed_by_timer", COUNTER)                                               \
    X(REOPEN_FAILED, "reopen_failed", COUNTER)                                                     \
    X(WRITE_BUFFERED, "write_buffered", COUNTER)                                                   \
    X(WRITE_COMPLETED, "write_completed", COUNTER)                                                 \
    X(WRITE_FAILED, "write_failed", COUNTER)                                                       \
    X(WRITE_TOTAL_BUFFERED, "write_total_buffered", GAUGE)

enum filesystem_stat {
#define X(id, name, kind) STAT_FILESYSTEM_##id,
    FILESYSTEM_STAT_LIST(X)
#undef X
        FILESYSTEM_STAT_COUNT
};

enum { SERVER_SCOPES = 3 };

struct server_stats {
    struct stat_scope *scope;
    struct stat_scope *others[SERVER_SCOPES];
    uint64_t start_wall_ns;
    bool was_live;
};

/* version: "REVISION/1.40.0/..."; server.version is its first six hexadecimal digits. */
void server_stats_init(struct server_stats *s, struct stat_store *store, unsigned concurrency,
                       uint64_t start_wall_ns, const char *version);
void server_stats_fini(struct server_stats *s);
/* state: enum admin_state. */
void server_stats_update(struct server_stats *s, unsigned state, uint64_t now_wall_ns,
                         uint64_t total_connections);
/* What was done to access log files so far. */
void server_stats_files(struct server_stats *s, const int64_t values[FILESYSTEM_STAT_COUNT]);
