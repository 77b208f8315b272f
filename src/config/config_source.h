/* Where a resource comes from: a ConfigSource, decoded. Two sources with equal keys are one source
 * (architecture section 4: "sources"). Plain const data. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum config_source_kind {
    SOURCE_NONE,
    SOURCE_ADS,
    SOURCE_SELF, /* resolved to the parent's source by whoever decodes the parent */
    SOURCE_GRPC, /* own stream */
    SOURCE_PATH,
    SOURCE_REST,
};

struct google_grpc;

struct grpc_service {
    struct bytes cluster_name;        /* google_grpc: its target_uri, for messages */
    struct bytes authority;           /* empty: the cluster's name */
    const struct google_grpc *google; /* NULL: envoy_grpc */
    uint64_t timeout_ms;              /* 0: none */
    struct bytes *metadata_keys, *metadata_values;
    unsigned n_metadata;
    uint64_t retry_base_ms, retry_max_ms; /* 0: 500 and 30000 (rule T02) */
};

/* What its server is told to be. */
static inline struct bytes grpc_service_authority(const struct grpc_service *s)
{
    return s->authority.len ? s->authority : s->cluster_name;
}

struct api_config_source {
    bool delta; /* the incremental dialect */
    bool set_node_on_first_message_only;
    struct grpc_service *services;
    unsigned n_services;
    uint32_t rate_tokens; /* requests at once, while rate_per_second is not 0 (rule T06) */
    double rate_per_second;
    struct bytes rest_cluster; /* SOURCE_REST: the server, polled each refresh_ms */
    uint64_t refresh_ms, request_timeout_ms;
};

struct config_source {
    enum config_source_kind kind;
    struct bytes key;                  /* identity: "ads", or the bytes of the ConfigSource */
    uint64_t initial_fetch_timeout_ms; /* default 15000; 0: wait for ever (rule T01) */
    struct api_config_source api;      /* SOURCE_GRPC, SOURCE_REST, ads_config */
    struct bytes path, watched_directory;
};
