/* The store: every resource that was received or is wanted, keyed (source, type, name), with its
 * active version, the pending one (and what it waits for) and the last rejected one. Snapshots are
 * made of active versions only. The builder alone writes; read it on the config thread.
 *
 *     wanted ──► (no version) ──► pending ──► active ──► gone
 *                     │               └─ warm ─┘
 *                     └── rejected: kept beside them
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "config/decode.h"
#include "config/resource_type.h"

/* One accepted version of a resource. */
struct resource_version {
    struct bytes wire;           /* the message's bytes, owned (heap) */
    struct bytes type_url;       /* of the Any it came in; constant or owned by the resource */
    char *version_info;
    uint64_t received_wall_ns;
    struct cluster *cluster;         /* RESOURCE_CLUSTER */
    struct listener_parts *listener; /* RESOURCE_LISTENER */
    struct route_config *route;      /* RESOURCE_ROUTE */
                                     /* RESOURCE_ENDPOINT: the clusters that use it hold the hosts */
};

struct resource_rejected {
    struct bytes wire;
    char *details, *version_info;
    uint64_t wall_ns;
};

struct resource;

/* A cluster's run: the version it serves or warms, and its hosts. */
struct cluster_run {
    struct host_set *hosts;          /* NULL: none yet */
    struct dns_result *dns;          /* n = cluster->n_dns_targets; NULL for other types */
    struct resource *endpoints;      /* CLUSTER_EDS: the ClusterLoadAssignment's resource */
    bool warm;
};

struct resource {
    enum resource_type type;
    struct bytes name;               /* owned by the map's key */
    char *name_text, *source_key;
    struct config_source source;     /* where it comes from; a shallow copy with owned key */
    bool is_static;
    struct resource_version *active, *pending;
    struct resource_rejected *rejected;

    /* RESOURCE_CLUSTER */
    struct cluster_run active_run, pending_run;
    struct cluster_state *state;
    struct cluster_entry *entry;     /* in the snapshot under construction */
    /* RESOURCE_LISTENER */
    struct listener_entry *listener_entry;
    bool dirty;                      /* its entry must be made anew at the next commit */

    /* RESOURCE_ENDPOINT, RESOURCE_ROUTE, and "*": who waits for or uses it */
    struct list dependants;          /* struct dependency */
    unsigned n_dependants;
    bool wanted;                     /* told to the source */
    bool settled;                    /* received, refused, absent or timed out: nobody waits */
    bool absent;                     /* the source or the timer says that it does not exist */
    bool timed_out;
    void *timer;                     /* initial_fetch_timeout */
    struct list link;                /* in the type's list */
};

struct store {
    struct map by_key;               /* "type|source|name" -> struct resource * */
    struct list lists[RESOURCE_TYPE_COUNT];
};

/* Name plus type plus source key; NULL: not there. */
struct resource *store_find(const struct store *s, struct bytes source_key, enum resource_type type,
                            struct bytes name);
/* Any source: clusters and listeners share one name space each. */
struct resource *store_find_name(const struct store *s, enum resource_type type, struct bytes name);
