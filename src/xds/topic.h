/* struct topic: one type of resource of one source: what is wanted of it, and what an answer does
 * to the builder. The transports share it: a gRPC stream (mux.c) and what polls or watches. Config
 * thread; embedded in its transport. */
#pragma once

#include "base/log.h"
#include "config/builder.h"
#include "xds/discovery.h"
#include "xds/subscription.h"
#include "xds/ttl.h"
#include "xds/xds_table.h"

/* cluster_manager.cds.*, listener_manager.lds.* (rule A12); the last two of clusters alone. */
#define SUBSCRIPTION_STAT_LIST(X)                                                                  \
    X(UPDATE_ATTEMPT, "update_attempt", COUNTER)                                                   \
    X(UPDATE_SUCCESS, "update_success", COUNTER)                                                   \
    X(UPDATE_FAILURE, "update_failure", COUNTER)                                                   \
    X(UPDATE_REJECTED, "update_rejected", COUNTER)                                                 \
    X(INIT_FETCH_TIMEOUT, "init_fetch_timeout", COUNTER)                                           \
    X(UPDATE_TIME, "update_time", GAUGE)                                                           \
    X(UPDATE_DURATION, "update_duration", HISTOGRAM)                                               \
    X(VERSION, "version", GAUGE)                                                                   \
    X(VERSION_TEXT, "version_text", TEXT)                                                          \
    X(CONFIG_RELOAD, "config_reload", COUNTER)                                                     \
    X(CONFIG_RELOAD_TIME_MS, "config_reload_time_ms", GAUGE)

enum subscription_stat {
#define X(id, name, kind) STAT_SUB_##id,
    SUBSCRIPTION_STAT_LIST(X)
#undef X
        SUBSCRIPTION_STAT_COUNT
};
enum { SUBSCRIPTION_STATS_OF_ALL = STAT_SUB_CONFIG_RELOAD };
extern const struct stat_schema cds_stat_schema, lds_stat_schema;

/* Where a topic belongs; outlives it. */
struct topic_home {
    const struct xds_table *table;
    struct builder *builder;
    const struct config_source *source;
};

struct topic {
    const struct topic_home *home;
    struct subscription sub;
    enum resource_type type;
    bool used;
    bool guarded;             /* this stream has not shown yet that its server knows the world */
    bool held_back;           /* a response of this stream, for what it would take away */
    bool repeated;            /* the response that was refused last was refused once more (A14) */
    uint64_t refused;         /* a hash of it; 0: the last one was accepted, or there was none */
    struct stat_scope *stats; /* clusters and listeners; NULL for the others */
    struct ttl ttl;           /* survives streams (T07) */
    char unnamed[37];         /* what a listener is called that has no name; made when needed */
};

void topic_init(struct topic *t, const struct topic_home *home, enum resource_type type);
void topic_fini(struct topic *t);
void topic_want(struct topic *t, struct bytes name);
void topic_unwant(struct topic *t, struct bytes name);
/* A stream begins; guard: its first response is judged by --min-world-share. */
void topic_stream_opened(struct topic *t, bool guard);
void topic_count(struct topic *t, enum subscription_stat id);
/* Where a response tells all there is: names that are wanted and not in it are added to what it
 * removes, so that nobody waits for them. False: no memory. */
MUST_CHECK bool topic_add_missing(const struct topic *t, struct discovery_response *r);
/* Applies a response of this type and counts it. An error is the text of the NACK. The caller
 * answers, commits, and ends the reserve (mem_reserve_end()). */
void topic_apply(struct topic *t, const struct discovery_response *r, struct error *err);
/* Of a refusal: what was told once is not told again for each time that the server insists. */
enum log_level topic_log_level(const struct topic *t);
