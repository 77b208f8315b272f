/* How host sets are put together inside this folder: begin, fill hosts and localities, finish.
 * Config thread. */
#pragma once

#include "config/cluster.h"
#include "config/decode.h"

struct envoy_config_endpoint_v3_ClusterLoadAssignment;

/* Arrays of that size, counts 0. */
struct host_set *host_set_begin(size_t n_hosts, size_t n_localities);
/* What a host has besides its address, copied; NULL: nothing. At most HOST_OTHERS_MAX addresses. */
struct host_more *host_set_more(struct host_set *hs, struct bytes name, struct bytes metadata,
                                const struct address *others, unsigned n_others);
/* Keeps the first of hosts of one address. Not for those that stand in their cluster: who writes an
 * endpoint there twice sends it twice as much, as with Envoy. */
void host_set_drop_duplicates(struct host_set *hs);
/* Shares host states with `previous` (unless with_states is false), and sorts the hosts by priority
 * and health. */
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
