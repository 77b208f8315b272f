/* The parts of a cluster that shape its connections and its load balancing; see cluster_decode.c.
 * Config thread. */
#pragma once

#include "config/cluster.h"
#include "config/decode.h"

struct envoy_config_cluster_v3_Cluster;

/* HTTP options, old fields and typed_extension_protocol_options. */
MUST_CHECK bool cluster_protocol_decode(struct decode_context *ctx, struct cluster *c,
                                        const struct envoy_config_cluster_v3_Cluster *m,
                                        struct error *err);
/* lb_policy or load_balancing_policy, and common_lb_config. */
MUST_CHECK bool cluster_lb_decode(struct decode_context *ctx, struct cluster *c,
                                  const struct envoy_config_cluster_v3_Cluster *m,
                                  struct error *err);
/* The look-up of names: Cluster's own fields, unless it has a cluster_type. */
MUST_CHECK bool cluster_dns_decode(struct decode_context *ctx, struct cluster *c,
                                   const struct envoy_config_cluster_v3_Cluster *m,
                                   struct error *err);
/* cluster_type, which must be there: envoy.clusters.dns or nothing. Sets c->type. */
MUST_CHECK bool cluster_custom_decode(struct decode_context *ctx, struct cluster *c,
                                      const struct envoy_config_cluster_v3_Cluster *m,
                                      struct error *err);
