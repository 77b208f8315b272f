/* The tables of statistics names that configuration objects own. */
#include "config/cluster.h"
#include "config/config_stats.h"
#include "config/http2.h"
#include "config/http_manager.h"
#include "config/listener.h"
#include "config/request_stats.h"
#include "config/tls.h"

#define ROW(id, name, kind) {name, STAT_##kind},
#define SCHEMA(schema, list)                                                                       \
    static const struct stat_desc schema##_rows[] = {list(ROW)};                                   \
    const struct stat_schema schema = {schema##_rows, ARRAY_SIZE(schema##_rows)};

SCHEMA(cluster_stat_schema, CLUSTER_STAT_LIST)
SCHEMA(breaker_stat_schema, BREAKER_STAT_LIST)
SCHEMA(http_stat_schema, HTTP_STAT_LIST)
#define ASYNC_CLIENT_STAT_LIST(X) ROUTER_STAT_LIST(X, COUNTER)
SCHEMA(async_client_stat_schema, ASYNC_CLIENT_STAT_LIST)
SCHEMA(listener_stat_schema, LISTENER_STAT_LIST)
#define ADMIN_LISTENER_STAT_LIST(X) LISTENER_STAT_LIST_OF(X, STAT_OF_MAIN)
SCHEMA(admin_listener_stat_schema, ADMIN_LISTENER_STAT_LIST)
SCHEMA(listener_http_stat_schema, LISTENER_HTTP_STAT_LIST)
SCHEMA(cluster_manager_stat_schema, CLUSTER_MANAGER_STAT_LIST)
SCHEMA(listener_manager_stat_schema, LISTENER_MANAGER_STAT_LIST)
SCHEMA(thread_clusters_stat_schema, THREAD_CLUSTERS_STAT_LIST)
SCHEMA(request_stat_schema, REQUEST_STAT_LIST)
SCHEMA(rds_stat_schema, RDS_STAT_LIST)
SCHEMA(sds_stat_schema, SDS_STAT_LIST)
SCHEMA(ecds_stat_schema, ECDS_STAT_LIST)
SCHEMA(vhds_stat_schema, VHDS_STAT_LIST)
SCHEMA(srds_stat_schema, SRDS_STAT_LIST)
SCHEMA(decode_stat_schema, DECODE_STAT_LIST)
SCHEMA(tls_factory_stat_schema, TLS_FACTORY_STAT_LIST)
SCHEMA(http2_stat_schema, HTTP2_STAT_LIST)
