/* The snapshot: everything that workers read, immutable, made by the config thread, shared by
 * pointer. Maps are persistent, so a new snapshot costs what changed. A worker (and main) holds one
 * snapshot at a time; it gives the old one back with snapshot_return() after the swap. */
#pragma once

#include "base/pmap.h"
#include "config/cluster.h"
#include "config/listener.h"
#include "config/node.h"

struct snapshot {
    uint64_t version;      /* 1, 2, 3 ... */
    struct pmap clusters;  /* name -> struct cluster_entry *: active (warm) clusters */
    struct pmap listeners; /* name -> struct listener_entry *: active listeners */
    struct pmap routes;    /* RDS name -> struct route_config * (for admin) */
    uint32_t holders;      /* config thread */
    struct snapshot *older;
};

static inline struct cluster_entry *snapshot_cluster(const struct snapshot *s, struct bytes name)
{
    return pmap_get(&s->clusters, name);
}

static inline struct listener_entry *snapshot_listener(const struct snapshot *s, struct bytes name)
{
    return pmap_get(&s->listeners, name);
}
