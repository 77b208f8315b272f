/* The kinds of resource that sources deliver, in the order in which one push is applied (rule M11).
 * X(enumerator, type name without "type.googleapis.com/", short name of logs and statistics,
 * full state: absence means removal). */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

#define RESOURCE_TYPE_LIST(X)                                                                      \
    X(CLUSTER, "envoy.config.cluster.v3.Cluster", "cds", true)                                     \
    X(ENDPOINT, "envoy.config.endpoint.v3.ClusterLoadAssignment", "eds", false)                    \
    X(LISTENER, "envoy.config.listener.v3.Listener", "lds", true)                                  \
    X(ROUTE, "envoy.config.route.v3.RouteConfiguration", "rds", false)                             \
    X(SECRET, "envoy.extensions.transport_sockets.tls.v3.Secret", "sds", false)                    \
    X(EXTENSION, "envoy.config.core.v3.TypedExtensionConfig", "ecds", false)                       \
    X(SCOPED_ROUTE, "envoy.config.route.v3.ScopedRouteConfiguration", "srds", true)                \
    X(VIRTUAL_HOST, "envoy.config.route.v3.VirtualHost", "vhds", false)                            \
    X(RUNTIME, "envoy.service.runtime.v3.Runtime", "rtds", false)

enum resource_type {
#define X(id, name, shrt, full) RESOURCE_##id,
    RESOURCE_TYPE_LIST(X)
#undef X
        RESOURCE_TYPE_COUNT
};

const char *resource_type_name(enum resource_type t);  /* "envoy.config.cluster.v3.Cluster" */
const char *resource_type_short(enum resource_type t); /* "cds" */
const char *resource_type_url(enum resource_type t);   /* "type.googleapis.com/envoy..." */
/* Listeners, clusters and scoped routes: a source is asked for all it has. */
bool resource_type_is_wildcard(enum resource_type t);
/* Listeners and clusters: one name space, whatever the source. */
bool resource_type_is_global(enum resource_type t);
/* By type URL or bare type name; RESOURCE_TYPE_COUNT when it is none of them. */
enum resource_type resource_type_of_url(struct bytes type_url);
