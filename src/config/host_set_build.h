/* How host sets are put together inside this folder: begin, fill hosts and localities, finish.
 * Config thread. */
#pragma once

#include "config/cluster.h"
#include "config/decode.h"

struct envoy_config_endpoint_v3_ClusterLoadAssignment;

/* Arrays of that size, counts 0. */
struct host_set *host_set_begin(size_t n_hosts, size_t n_localities);
/* A host's name, copied; NULL for an empty one. */
struct bytes *host_set_name(struct host_set *hs, struct bytes name);
/* Drops duplicates, shares host states with `previous` (unless with_states is false), and sorts the
 * hosts by priority and health. */
void host_set_finish(struct host_set *hs, const struct host_set *previous, bool with_states);

/* Host states are not attached yet. NULL and *err: refused. */
struct host_set *host_set_of_message(const struct cluster *c,
                                     const struct envoy_config_endpoint_v3_ClusterLoadAssignment *m,
                                     struct error *err);
/* A DNS cluster: targets into the cluster's arena, localities into c->inline_hosts. */
MUST_CHECK bool
dns_targets_of_message(struct cluster *c,
                       const struct envoy_config_endpoint_v3_ClusterLoadAssignment *m,
                       struct error *err);
