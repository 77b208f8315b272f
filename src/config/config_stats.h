/* cluster_manager.*, listener_manager.*, http.PREFIX.rds.NAME.* and xylem.config.*: X(enumerator,
 * name, kind). The builder writes them on the config thread; main writes what only it knows
 * (draining, workers_started, create_*). */
#pragma once

#include "base/stats.h"

#define CLUSTER_MANAGER_STAT_LIST(X)                                                               \
    X(CM_CLUSTER_ADDED, "cluster_added", COUNTER)                                                  \
    X(CM_CLUSTER_MODIFIED, "cluster_modified", COUNTER)                                            \
    X(CM_CLUSTER_REMOVED, "cluster_removed", COUNTER)                                              \
    X(CM_CLUSTER_UPDATED, "cluster_updated", COUNTER)                                              \
    X(CM_CLUSTER_UPDATED_VIA_MERGE, "cluster_updated_via_merge", COUNTER)                          \
    X(CM_UPDATE_MERGE_CANCELLED, "update_merge_cancelled", COUNTER)                                \
    X(CM_UPDATE_OUT_OF_MERGE_WINDOW, "update_out_of_merge_window", COUNTER)                        \
    X(CM_ACTIVE_CLUSTERS, "active_clusters", GAUGE)                                                \
    X(CM_WARMING_CLUSTERS, "warming_clusters", GAUGE)

#define LISTENER_MANAGER_STAT_LIST(X)                                                              \
    X(LM_LISTENER_ADDED, "listener_added", COUNTER)                                                \
    X(LM_LISTENER_MODIFIED, "listener_modified", COUNTER)                                          \
    X(LM_LISTENER_REMOVED, "listener_removed", COUNTER)                                            \
    X(LM_LISTENER_STOPPED, "listener_stopped", COUNTER)                                            \
    X(LM_LISTENER_IN_PLACE_UPDATED, "listener_in_place_updated", COUNTER)                          \
    X(LM_LISTENER_CREATE_SUCCESS, "listener_create_success", COUNTER)                              \
    X(LM_LISTENER_CREATE_FAILURE, "listener_create_failure", COUNTER)                              \
    X(LM_TOTAL_FILTER_CHAINS_DRAINING, "total_filter_chains_draining", GAUGE)                      \
    X(LM_TOTAL_LISTENERS_ACTIVE, "total_listeners_active", GAUGE)                                  \
    X(LM_TOTAL_LISTENERS_DRAINING, "total_listeners_draining", GAUGE)                              \
    X(LM_TOTAL_LISTENERS_WARMING, "total_listeners_warming", GAUGE)                                \
    X(LM_WORKERS_PINNED, "workers_pinned", GAUGE)                                                  \
    X(LM_WORKERS_STARTED, "workers_started", GAUGE)

/* thread_local_cluster_manager.THREAD.*: clusters that a thread can send to. */
#define THREAD_CLUSTERS_STAT_LIST(X)                                                               \
    X(CLUSTERS_INFLATED, "clusters_inflated", GAUGE_BY(STAT_OF_ALL | STAT_NO_SUM))
enum { STAT_CLUSTERS_INFLATED };
extern const struct stat_schema thread_clusters_stat_schema;

/* What every subscription of a name counts. */
#define SUBSCRIPTION_STATS_OF(X, of)                                                               \
    X(of##_INIT_FETCH_TIMEOUT, "init_fetch_timeout", COUNTER)                                      \
    X(of##_UPDATE_ATTEMPT, "update_attempt", COUNTER)                                              \
    X(of##_UPDATE_DURATION, "update_duration", HISTOGRAM)                                          \
    X(of##_UPDATE_FAILURE, "update_failure", COUNTER)                                              \
    X(of##_UPDATE_REJECTED, "update_rejected", COUNTER)                                            \
    X(of##_UPDATE_SUCCESS, "update_success", COUNTER)                                              \
    X(of##_UPDATE_TIME, "update_time", GAUGE)                                                      \
    X(of##_VERSION, "version", GAUGE)                                                              \
    X(of##_VERSION_TEXT, "version_text", TEXT)

/* http.PREFIX.rds.NAME.* */
#define RDS_STAT_LIST(X)                                                                           \
    X(RDS_CONFIG_RELOAD, "config_reload", COUNTER)                                                 \
    X(RDS_CONFIG_RELOAD_TIME_MS, "config_reload_time_ms", GAUGE)                                   \
    X(RDS_UPDATE_EMPTY, "update_empty", COUNTER)                                                   \
    SUBSCRIPTION_STATS_OF(X, RDS)
/* http.PREFIX.rds.vhds.NAME.* */
#define VHDS_STAT_LIST(X)                                                                          \
    X(VHDS_CONFIG_RELOAD, "config_reload", COUNTER)                                                \
    X(VHDS_UPDATE_EMPTY, "update_empty", COUNTER)                                                  \
    SUBSCRIPTION_STATS_OF(X, VHDS)
/* http.PREFIX.scoped_rds.NAME.* */
#define SRDS_STAT_LIST(X)                                                                          \
    X(SRDS_ACTIVE_SCOPES, "active_scopes", GAUGE)                                                  \
    X(SRDS_ALL_SCOPES, "all_scopes", GAUGE)                                                        \
    X(SRDS_CONFIG_RELOAD, "config_reload", COUNTER)                                                \
    X(SRDS_CONFIG_RELOAD_TIME_MS, "config_reload_time_ms", GAUGE)                                  \
    X(SRDS_ON_DEMAND_SCOPES, "on_demand_scopes", GAUGE)                                            \
    X(SRDS_UPDATE_EMPTY, "update_empty", COUNTER)                                                  \
    SUBSCRIPTION_STATS_OF(X, SRDS)
/* sds.NAME.* */
#define SDS_STAT_LIST(X)                                                                           \
    X(SDS_KEY_ROTATION_FAILED, "key_rotation_failed", COUNTER)                                     \
    SUBSCRIPTION_STATS_OF(X, SDS)
/* extension_config_discovery.http_filter.NAME.* */
#define ECDS_STAT_LIST(X)                                                                          \
    X(ECDS_CONFIG_CONFLICT, "config_conflict", COUNTER)                                            \
    X(ECDS_CONFIG_FAIL, "config_fail", COUNTER)                                                    \
    X(ECDS_CONFIG_RELOAD, "config_reload", COUNTER)                                                \
    SUBSCRIPTION_STATS_OF(X, ECDS)

#define X(id, name, kind) STAT_##id,
enum rds_stat { RDS_STAT_LIST(X) };
enum vhds_stat { VHDS_STAT_LIST(X) };
enum srds_stat { SRDS_STAT_LIST(X) };
enum sds_stat { SDS_STAT_LIST(X) };
enum ecds_stat { ECDS_STAT_LIST(X) };
#undef X
/* Our own: what was decoded anew. Equal bytes do not count: neither whole resources nor, inside a
 * changed RouteConfiguration, its virtual hosts and routes. */
#define DECODE_STAT_LIST(X)                                                                        \
    X(DECODED_CDS, "decoded.cds", COUNTER)                                                         \
    X(DECODED_EDS, "decoded.eds", COUNTER)                                                         \
    X(DECODED_LDS, "decoded.lds", COUNTER)                                                         \
    X(DECODED_RDS, "decoded.rds", COUNTER)                                                         \
    X(DECODED_SDS, "decoded.sds", COUNTER)                                                         \
    X(DECODED_ECDS, "decoded.ecds", COUNTER)                                                       \
    X(DECODED_VHDS, "decoded.vhds", COUNTER)                                                       \
    X(DECODED_SRDS, "decoded.srds", COUNTER)                                                       \
    X(DECODED_RTDS, "decoded.rtds", COUNTER)                                                       \
    X(DECODED_VIRTUAL_HOST, "decoded.virtual_host", COUNTER)                                       \
    X(DECODED_ROUTE, "decoded.route", COUNTER)                                                     \
    X(REJECTED_CDS, "rejected.cds", COUNTER)                                                       \
    X(REJECTED_EDS, "rejected.eds", COUNTER)                                                       \
    X(REJECTED_LDS, "rejected.lds", COUNTER)                                                       \
    X(REJECTED_RDS, "rejected.rds", COUNTER)                                                       \
    X(REJECTED_SDS, "rejected.sds", COUNTER)                                                       \
    X(REJECTED_ECDS, "rejected.ecds", COUNTER)                                                     \
    X(REJECTED_VHDS, "rejected.vhds", COUNTER)                                                     \
    X(REJECTED_SRDS, "rejected.srds", COUNTER)                                                     \
    X(REJECTED_RTDS, "rejected.rtds", COUNTER)                                                     \
    X(HOLDS, "holds", COUNTER)                                                                     \
    X(HOLDS_EXPIRED, "holds_expired", COUNTER)                                                     \
    X(ON_DEMAND_ASKED, "on_demand.asked", COUNTER)                                                 \
    X(ON_DEMAND_ABSENT, "on_demand.absent", COUNTER)                                               \
    X(ON_DEMAND_REFUSED, "on_demand.refused", COUNTER)                                             \
    X(ON_DEMAND_FORGOTTEN, "on_demand.forgotten", COUNTER)                                         \
    X(ON_DEMAND_NAMES, "on_demand.names", GAUGE)

enum cluster_manager_stat {
#define X(id, name, kind) STAT_##id,
    CLUSTER_MANAGER_STAT_LIST(X)
#undef X
        CLUSTER_MANAGER_STAT_COUNT
};
enum listener_manager_stat {
#define X(id, name, kind) STAT_##id,
    LISTENER_MANAGER_STAT_LIST(X)
#undef X
        LISTENER_MANAGER_STAT_COUNT
};
enum decode_stat {
#define X(id, name, kind) STAT_##id,
    DECODE_STAT_LIST(X)
#undef X
        DECODE_STAT_COUNT
};
extern const struct stat_schema cluster_manager_stat_schema, listener_manager_stat_schema,
    rds_stat_schema, sds_stat_schema, ecds_stat_schema, vhds_stat_schema, srds_stat_schema,
    decode_stat_schema;
