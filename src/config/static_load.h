/* From the bootstrap's bytes to static resources in the store and to what main needs of the rest.
 * Config thread (or main before other threads run). */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "config/builder.h"
#include "config/config_source.h"
#include "config/overload.h"
#include "config/runtime.h"
#include "config/stats_config.h"

struct stat_tag {
    struct bytes name, regex, fixed_value;
};

/* The bootstrap without its static resources. Everything lives in the arena. */
struct bootstrap_config {
    struct arena *arena;
    struct bytes wire;      /* the whole message, for /config_dump */
    struct bytes node_wire; /* core.v3.Node as it stands in the bootstrap; may be empty */
    struct bytes node_id, node_cluster, node_zone;

    bool has_admin;
    struct address admin_address;
    uint32_t admin_pipe_mode; /* permissions of its Unix socket; 0: the umask's */
    bool admin_ipv4_compat;   /* "::" takes IPv4, too */
    struct access_log **admin_access_logs;
    unsigned n_admin_access_logs;
    struct bytes admin_profile_path;

    bool has_ads;
    struct config_source ads;                    /* kind SOURCE_ADS; api filled in; key "ads" */
    struct config_source cds, lds;               /* SOURCE_NONE: not configured */
    struct bytes cds_collection, lds_collection; /* xdstp names; empty: all that the source has */

    struct runtime runtime;
    const struct dns_options *dns_options; /* of clusters that name no resolver */
    struct overload overload;

    uint64_t stats_flush_interval_ms; /* 5000 */
    bool stats_flush_on_admin;
    bool use_all_default_tags; /* true */
    struct stat_tag *stat_tags;
    unsigned n_stat_tags;
    struct stats_config stats;
    struct bytes header_prefix; /* empty: x-envoy */
};

/* Decodes everything but static_resources. */
struct bootstrap_config *bootstrap_config_decode(struct decode_context *ctx, struct bytes wire,
                                                 struct error *err);
void bootstrap_config_free(struct bootstrap_config **c);
/* Stores static secrets, clusters, then listeners; the first bad one is the error. Call
 * bootstrap_config_decode() first: it tells the context whether there is an ADS stream. */
MUST_CHECK bool static_load(struct builder *b, const struct bootstrap_config *c, struct error *err);
