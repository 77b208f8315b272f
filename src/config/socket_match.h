/* transport_socket_matches of a cluster: which endpoint is reached through which transport socket,
 * by the metadata "envoy.transport_socket_match" of the endpoint, else of its locality. Config
 * thread. */
#pragma once

#include "config/cluster.h"
#include "config/decode.h"

struct envoy_config_cluster_v3_Cluster;
struct envoy_config_core_v3_Metadata;
struct upb_Arena;

/* Fills c->socket_matches; wire: the cluster's. */
MUST_CHECK bool socket_matches_decode(struct decode_context *ctx, struct cluster *c,
                                      const struct envoy_config_cluster_v3_Cluster *m,
                                      struct bytes wire, struct error *err);

/* The criteria of a cluster (NULL: none), readable while the arena lives. */
struct socket_picker {
    const struct cluster *by_matcher; /* its transport_socket_matcher decides; NULL: the criteria */
    const struct google_protobuf_Struct *criteria[SOCKET_MATCHES_MAX];
    unsigned n;
};
void socket_picker_init(struct socket_picker *p, const struct cluster *c, struct upb_Arena *arena);
/* struct host.socket of an endpoint with these metadata, each perhaps NULL. The first match counts;
 * 0: none. */
unsigned socket_picker_find(const struct socket_picker *p,
                            const struct envoy_config_core_v3_Metadata *endpoint,
                            const struct envoy_config_core_v3_Metadata *locality);
/* Would both pick the same for every endpoint? */
bool socket_matches_equal(const struct cluster *a, const struct cluster *b);
