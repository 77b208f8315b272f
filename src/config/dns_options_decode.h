/* The resolver that a cluster or the bootstrap names: typed_dns_resolver_config, or the deprecated
 * fields of before. *out is in the arena, or NULL where none is named. Config thread. */
#pragma once

#include "config/decode.h"
#include "config/dns_options.h"

struct envoy_config_cluster_v3_Cluster;
struct envoy_config_bootstrap_v3_Bootstrap;

MUST_CHECK bool dns_options_of_cluster(struct decode_context *ctx, struct arena *a,
                                       const struct envoy_config_cluster_v3_Cluster *m,
                                       const struct dns_options **out, struct error *err);
struct envoy_config_core_v3_TypedExtensionConfig;

/* m may be NULL. */
MUST_CHECK bool dns_options_of_typed(struct decode_context *ctx, struct arena *a,
                                     const struct envoy_config_core_v3_TypedExtensionConfig *m,
                                     const struct dns_options **out, struct error *err);
MUST_CHECK bool dns_options_of_bootstrap(struct decode_context *ctx, struct arena *a,
                                         const struct envoy_config_bootstrap_v3_Bootstrap *m,
                                         const struct dns_options **out, struct error *err);
