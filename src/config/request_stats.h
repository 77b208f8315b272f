/* Statistics that a virtual host keeps of some requests: vhost.NAME.vcluster.NAME.* of those that
 * match a virtual cluster, vhost.NAME.route.STAT_PREFIX.* of a route's. Decoded on the config
 * thread into the virtual host's and the route's nodes; the scopes are written by workers. */
#pragma once

#include "base/error.h"
#include "base/stats.h"
#include "config/matcher.h"

#define REQUEST_STAT_LIST(X)                                                                       \
    X(REQUEST_RETRY, "upstream_rq_retry", COUNTER)                                                 \
    X(REQUEST_RETRY_LIMIT_EXCEEDED, "upstream_rq_retry_limit_exceeded", COUNTER)                   \
    X(REQUEST_RETRY_OVERFLOW, "upstream_rq_retry_overflow", COUNTER)                               \
    X(REQUEST_RETRY_SUCCESS, "upstream_rq_retry_success", COUNTER)                                 \
    X(REQUEST_TIMEOUT, "upstream_rq_timeout", COUNTER)                                             \
    X(REQUEST_TOTAL, "upstream_rq_total", COUNTER)                                                 \
    X(REQUEST_COMPLETED, "upstream_rq_completed", COUNTER_AFTER(STAT_REQUEST_COMPLETED))           \
    X(REQUEST_TIME, "upstream_rq_time", HISTOGRAM_AFTER(STAT_REQUEST_TIME))                        \
    X(REQUEST_CODES, "upstream_rq_", CODES)

enum request_stat {
#define X(id, name, kind) STAT_##id,
    REQUEST_STAT_LIST(X)
#undef X
        REQUEST_STAT_COUNT
};
extern const struct stat_schema request_stat_schema;

/* The last of a virtual host's, "other", asks for nothing. */
struct virtual_cluster {
    struct bytes name;
    struct header_matcher *headers;
    unsigned n_headers;
    struct stat_scope *stats;
};

struct virtual_clusters {
    struct virtual_cluster *entries; /* the first that matches counts */
    unsigned n;
    struct regex_list regexes;
};

struct envoy_config_route_v3_VirtualHost;

/* *out stays NULL when there are none. stats may be NULL: nothing will be counted. After a failure,
 * too, fini is due. */
MUST_CHECK bool virtual_clusters_decode(const struct envoy_config_route_v3_VirtualHost *m,
                                        struct arena *a, struct stat_store *stats,
                                        struct virtual_clusters **out, struct error *err);
void virtual_clusters_fini(struct virtual_clusters *v); /* NULL allowed */
/* NULL when stat_prefix is empty. */
struct stat_scope *route_stat_scope(struct stat_store *stats, struct bytes vhost,
                                    struct bytes stat_prefix);
