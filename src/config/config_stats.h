/* cluster_manager.* and listener_manager.*: X(enumerator, name, kind). The builder writes them on
 * the config thread; main writes what only it knows (draining, workers_started, create_*). */
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
extern const struct stat_schema cluster_manager_stat_schema, listener_manager_stat_schema;
