/* Statistics of gRPC methods, under the cluster that serves them:
 *
 *     cluster.NAME.grpc.SERVICE.METHOD.*      a method's own
 *     cluster.NAME.grpc.*                     of all that have none
 *     cluster.NAME.grpc-web.SERVICE.METHOD.*
 *
 * Names come from clients, so a cluster has METHOD_STATS_MAX of them a worker, and none longer than
 * METHOD_STATS_NAME_MAX: what is beyond counts without a name, and under method_limit_exceeded. One
 * that the configuration lists is always had. Worker thread; a lookup allocates for a new name
 * alone. */
#pragma once

#include "base/stats.h"
#include "dataplane/http/grpc.h"
#include "dataplane/upstream/cluster_manager.h"

struct stream;

enum { METHOD_STATS_MAX = 1000, METHOD_STATS_NAME_MAX = 256 };

/* Each is there once it was written, as Envoy's. */
#define METHOD_STAT_LIST(X)                                                                        \
    X(METHOD_STATUS_0, "0", COUNTER_AFTER(STAT_METHOD_STATUS_0))                                   \
    X(METHOD_STATUS_1, "1", COUNTER_AFTER(STAT_METHOD_STATUS_1))                                   \
    X(METHOD_STATUS_2, "2", COUNTER_AFTER(STAT_METHOD_STATUS_2))                                   \
    X(METHOD_STATUS_3, "3", COUNTER_AFTER(STAT_METHOD_STATUS_3))                                   \
    X(METHOD_STATUS_4, "4", COUNTER_AFTER(STAT_METHOD_STATUS_4))                                   \
    X(METHOD_STATUS_5, "5", COUNTER_AFTER(STAT_METHOD_STATUS_5))                                   \
    X(METHOD_STATUS_6, "6", COUNTER_AFTER(STAT_METHOD_STATUS_6))                                   \
    X(METHOD_STATUS_7, "7", COUNTER_AFTER(STAT_METHOD_STATUS_7))                                   \
    X(METHOD_STATUS_8, "8", COUNTER_AFTER(STAT_METHOD_STATUS_8))                                   \
    X(METHOD_STATUS_9, "9", COUNTER_AFTER(STAT_METHOD_STATUS_9))                                   \
    X(METHOD_STATUS_10, "10", COUNTER_AFTER(STAT_METHOD_STATUS_10))                                \
    X(METHOD_STATUS_11, "11", COUNTER_AFTER(STAT_METHOD_STATUS_11))                                \
    X(METHOD_STATUS_12, "12", COUNTER_AFTER(STAT_METHOD_STATUS_12))                                \
    X(METHOD_STATUS_13, "13", COUNTER_AFTER(STAT_METHOD_STATUS_13))                                \
    X(METHOD_STATUS_14, "14", COUNTER_AFTER(STAT_METHOD_STATUS_14))                                \
    X(METHOD_STATUS_15, "15", COUNTER_AFTER(STAT_METHOD_STATUS_15))                                \
    X(METHOD_STATUS_16, "16", COUNTER_AFTER(STAT_METHOD_STATUS_16))                                \
    X(METHOD_STATUS_OTHER, "other", COUNTER_AFTER(STAT_METHOD_STATUS_OTHER))                       \
    X(METHOD_SUCCESS, "success", COUNTER_AFTER(STAT_METHOD_SUCCESS))                               \
    X(METHOD_FAILURE, "failure", COUNTER_AFTER(STAT_METHOD_FAILURE))                               \
    X(METHOD_TOTAL, "total", COUNTER_AFTER(STAT_METHOD_TOTAL))                                     \
    X(METHOD_REQUEST_MESSAGES, "request_message_count",                                            \
      COUNTER_AFTER(STAT_METHOD_REQUEST_MESSAGES))                                                 \
    X(METHOD_RESPONSE_MESSAGES, "response_message_count",                                          \
      COUNTER_AFTER(STAT_METHOD_RESPONSE_MESSAGES))                                                \
    X(METHOD_TIME, "upstream_rq_time", HISTOGRAM_AFTER(STAT_METHOD_TIME))                          \
    X(METHOD_LIMIT_EXCEEDED, "method_limit_exceeded", COUNTER_AFTER(STAT_METHOD_LIMIT_EXCEEDED))

enum method_stat {
#define X(id, name, kind) STAT_##id,
    METHOD_STAT_LIST(X)
#undef X
        METHOD_STAT_COUNT
};
extern const struct stat_schema method_stat_schema;

/* Counted: those who hold one may outlive the cluster, and its name of statistics. */
struct method_stats {
    struct stat_scope *scope;
    unsigned slot;
    unsigned users; /* one is the cluster's, while it knows it */
};

/* The cluster that the route of the stream names now; NULL: none. */
struct cluster_runtime *method_stats_cluster(struct stream *s);
/* protocol: "grpc" or "grpc-web". method NULL: of all. listed: the name is the configuration's. The
 * caller gives it back. */
struct method_stats *method_stats_get(struct cluster_runtime *c, struct bytes protocol,
                                      const struct grpc_method *method, bool listed);
void method_stats_put(struct method_stats **m); /* of NULL: nothing */
/* The cluster forgets all of them. */
void method_stats_forget(struct cluster_runtime *c);

/* By the grpc-status of a head or of trailers; without one nothing is counted. */
void method_stats_status(struct method_stats *m, const struct headers *h);
void method_stats_outcome(struct method_stats *m, bool success);
static inline void method_stats_add(struct method_stats *m, enum method_stat id, uint64_t n)
{
    stat_add(m->scope, m->slot, id, (int64_t)n);
}
