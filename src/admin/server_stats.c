#include "admin/server_stats.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "config/runtime.h"

#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc stats[] = {SERVER_STAT_LIST(X)};
#undef X
const struct stat_schema server_stat_schema = {stats, ARRAY_SIZE(stats)};

#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc filesystem[] = {FILESYSTEM_STAT_LIST(X)};
#undef X
static const struct stat_desc http1[] = {
    {"dropped_headers_with_underscores", STAT_COUNTER},
    {"metadata_not_supported_error", STAT_COUNTER},
    {"requests_rejected_with_underscores_in_headers", STAT_COUNTER},
    {"response_flood", STAT_COUNTER}};

enum { SCOPE_FILESYSTEM, SCOPE_HTTP1, SCOPE_RUNTIME };
static const struct {
    const char *prefix;
    struct stat_schema schema;
} others[SERVER_SCOPES] = {
    [SCOPE_FILESYSTEM] = {"filesystem", {filesystem, ARRAY_SIZE(filesystem)}},
    [SCOPE_HTTP1] = {"http1", {http1, ARRAY_SIZE(http1)}},
    [SCOPE_RUNTIME] = {"runtime", {NULL, 0}}, /* runtime_stat_schema */
};

static void set(struct server_stats *s, enum server_stat id, int64_t value)
{
    stat_set(s->scope, STAT_SLOT_MAIN, id, value);
}

void server_stats_init(struct server_stats *s, struct stat_store *store, unsigned concurrency,
                       uint64_t start_wall_ns, const char *version)
{
    char revision[7];
    s->scope = stat_scope_get(store, BYTES("server"), &server_stat_schema);
    for (unsigned i = 0; i < SERVER_SCOPES; i++)
        s->others[i] =
            stat_scope_get(store, bytes_of(others[i].prefix),
                           i == SCOPE_RUNTIME ? &runtime_stat_schema : &others[i].schema);
    s->start_wall_ns = start_wall_ns;
    set(s, STAT_SERVER_CONCURRENCY, concurrency);
    snprintf(revision, sizeof(revision), "%s", version);
    set(s, STAT_SERVER_VERSION, (int64_t)strtoull(revision, NULL, 16));
    set(s, STAT_SERVER_FIPS_MODE, 0);
    s->was_live = false;
    stat_add(s->scope, STAT_SLOT_MAIN, STAT_SERVER_STATIC_UNKNOWN_FIELDS, 0);
    stat_add(s->scope, STAT_SLOT_MAIN, STAT_SERVER_DYNAMIC_UNKNOWN_FIELDS, 0);
    stat_add(s->scope, STAT_SLOT_MAIN, STAT_SERVER_WIP_PROTOS, 0);
}

void server_stats_fini(struct server_stats *s)
{
    stat_scope_unref(&s->scope);
    for (unsigned i = 0; i < SERVER_SCOPES; i++)
        stat_scope_unref(&s->others[i]);
}

void server_stats_update(struct server_stats *s, unsigned state, uint64_t now_wall_ns,
                         uint64_t total_connections)
{
    struct mallinfo2 m = mallinfo2();
    if (state == 0 && !s->was_live)
        stat_record(s->scope, STAT_SLOT_MAIN, STAT_SERVER_INITIALIZATION_TIME_MS,
                    (now_wall_ns - s->start_wall_ns) / NS_PER_MS);
    s->was_live |= state == 0;
    set(s, STAT_SERVER_STATE, state);
    set(s, STAT_SERVER_LIVE, state == 0);
    set(s, STAT_SERVER_UPTIME, (int64_t)((now_wall_ns - s->start_wall_ns) / NS_PER_S));
    set(s, STAT_SERVER_MEMORY_ALLOCATED, (int64_t)m.uordblks);
    set(s, STAT_SERVER_MEMORY_HEAP_SIZE, (int64_t)(m.arena + m.hblkhd));
    set(s, STAT_SERVER_MEMORY_PHYSICAL_SIZE, (int64_t)mem_resident(false));
    set(s, STAT_SERVER_TOTAL_CONNECTIONS, (int64_t)total_connections);
}

void server_stats_files(struct server_stats *s, const int64_t values[FILESYSTEM_STAT_COUNT])
{
    for (unsigned i = 0; i < FILESYSTEM_STAT_COUNT; i++)
        stat_set(s->others[SCOPE_FILESYSTEM], STAT_SLOT_MAIN, i, values[i]);
}
