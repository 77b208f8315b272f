/* Which route serves a request: virtual host by host name, then the first route whose path and
 * conditions match, through the compiled index. Pure; worker thread; allocates only in the
 * headers' arena, and only where a request repeats a header or folds case. */
#pragma once

#include "config/route.h"
#include "dataplane/http/headers.h"

struct route_query {
    const struct headers *headers;
    struct bytes host; /* :authority as received */
    struct bytes path; /* with query */
    uint64_t random;   /* of the stream: weights and fractions */
    bool is_tls;       /* x-forwarded-proto is https */
    bool is_internal;
};

struct route_match_result {
    const struct route_config *config;
    const struct virtual_host *vhost;      /* NULL: no domain matches */
    const struct route *route;             /* NULL: no route matches */
    const struct weighted_cluster *weight; /* the chosen one of weighted_clusters, or NULL */
    bool tls_redirect;                     /* require_tls: answer with a redirect to https */
};

/* config may be NULL: nothing matches. */
struct route_match_result route_match(const struct route_config *config,
                                      const struct route_query *q);
/* The plain reading, one route after the other: what the index must equal. For tests. */
struct route_match_result route_match_linear(const struct route_config *config,
                                             const struct route_query *q);
/* The virtual cluster that counts the request, or NULL. */
const struct virtual_cluster *route_virtual_cluster(const struct virtual_host *v,
                                                    const struct headers *h);
/* Name of the cluster that the result leads to; empty when its header is missing. */
struct bytes route_cluster_name(const struct route_match_result *m, const struct headers *h);
