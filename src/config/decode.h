/* Resources in, const nodes out: what each decoder takes and returns. A decoder checks the bytes
 * (the API's validation rules, what is not implemented), reads them with accessors in an arena of
 * its own that is freed before it returns, and leaves nodes that refer to nothing but themselves.
 * Hostile bytes give an error sentence, never a crash. Config thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "config/cluster.h"
#include "config/filter_factory.h"
#include "config/listener.h"

struct descriptors;
struct field_report;
struct log_files;
struct runtime;
struct route_config;
struct tls_factory;
struct validator;

/* Lives as long as the builder; decoders keep nothing of it. */
struct decode_context {
    struct descriptors *descriptors;
    struct validator *validator;
    const struct filter_registry *filters;
    struct stat_store *stats;
    const struct tls_factory *tls;      /* NULL: there is no TLS */
    const struct config_source *self;   /* where the resource came from: resolves SOURCE_SELF */
    struct field_report *report;        /* what was accepted and not acted on; NULL: not wanted */
    bool strict;                        /* what is not implemented is refused */
    bool reject_unknown;                /* so are field numbers that the API does not have */
    bool is_static;                     /* the resource stands in the bootstrap */
    struct runtime *runtime;            /* NULL: no values */
    const struct log_files *log_files;  /* NULL: opened at the first line */
    struct bytes default_name;          /* of a listener that has none */
    struct bytes node_id, node_cluster; /* for add_user_agent */
    bool ads_configured;                /* "ads: {}" has a stream to stand for */
    bool ads_delta;                     /* which speaks the incremental dialect */
    /* Is this a cluster of the bootstrap that a control channel may use? NULL: not checked. */
    bool (*control_cluster_ok)(void *owner, struct bytes name);
    /* While those of the bootstrap are loaded: the names, sorted, of all that will be such. */
    const struct bytes *control_clusters;
    size_t n_control_clusters;
    /* Is this a cluster, active or warming? For validate_clusters. NULL: not checked. */
    bool (*cluster_known)(void *owner, struct bytes name);
    void *owner;
};

/* Validation rules, unknown fields and what is not implemented, of one message's bytes. */
MUST_CHECK bool decode_check(struct decode_context *ctx, const char *message, struct bytes wire,
                             struct error *err);

/* ---- clusters and endpoints ---- */

/* envoy.config.cluster.v3.Cluster. refs = 1; inline_hosts have no host_state yet. */
struct cluster *cluster_decode(struct decode_context *ctx, struct bytes wire, struct error *err);

/* envoy.config.endpoint.v3.ClusterLoadAssignment, of a cluster. Hosts whose address stands in
 * `previous` (may be NULL) share its host_state; the first of equal addresses counts. refs = 1. */
struct host_set *host_set_decode(struct decode_context *ctx, const struct cluster *c,
                                 struct bytes wire, const struct host_set *previous,
                                 struct error *err);
/* A copy of `from` (a cluster's inline hosts) with host states, carried over as above. */
struct host_set *host_set_attach(const struct host_set *from, const struct host_set *previous);
struct host_set *host_set_empty(void);
/* What one name of a DNS cluster was resolved to. */
struct dns_result {
    bool answered;             /* an answer, good or bad, has come */
    struct address *addresses; /* ports are ignored; heap, the owner's */
    unsigned n_addresses;
};
/* results[i] belongs to c->dns_targets[i]. */
struct host_set *host_set_from_dns(const struct cluster *c, const struct dns_result *results,
                                   const struct host_set *previous);
/* Counts by the resource's own word: total, healthy, degraded, greatest weight. */
struct host_set_counts {
    uint32_t total, healthy, degraded, excluded, max_weight;
};
struct host_set_counts host_set_count(const struct host_set *hs);
/* Of how many priorities hosts have come or gone; a host of another locality is another. before:
 * NULL for none. */
unsigned host_set_moves(const struct host_set *before, const struct host_set *now);
/* Do both name the same hosts with the same attributes, in the same order? */
bool host_set_equal(const struct host_set *a, const struct host_set *b);

/* ---- listeners ---- */

/* A filter chain with its HTTP connection manager, as one resource version has them. */
struct listener_chain {
    struct bytes wire; /* FilterChain bytes; equal bytes keep both nodes */
    struct filter_chain *chain;
    struct http_manager *manager; /* NULL: TCP */
};

/* A decoded listener: the parts that bindings are made of. A node: kept by the store. */
struct listener_parts {
    struct node node;
    struct listener *listener;
    struct listener_chain *chains;
    unsigned n_chains;
    struct listener_chain *default_chain; /* or NULL */
    struct bytes wire_rest;               /* bytes of all but the chains: in-place update or not */
};

/* envoy.config.listener.v3.Listener. Chains and managers of `previous` (may be NULL) whose bytes
 * are equal are shared by pointer. refs = 1. */
struct listener_parts *listener_decode(struct decode_context *ctx, struct bytes wire,
                                       const struct listener_parts *previous, struct error *err);
bool listener_has_tls(const struct listener_parts *p);
/* envoy...HttpConnectionManager. `previous` may be NULL: its inline route configuration's virtual
 * hosts are reused. */
struct http_manager *http_manager_decode(struct decode_context *ctx, struct bytes wire,
                                         const struct http_manager *previous, struct error *err);

/* ---- parts ---- */

/* envoy.config.accesslog.v3.AccessLog: out is in the arena; the owner calls access_log_fini()
 * before the arena goes. */
MUST_CHECK bool access_log_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                                  struct access_log **out, struct error *err);
/* The file that a log is written to, which must be writable. */
MUST_CHECK bool access_log_take_path(struct decode_context *ctx, struct arena *a, struct bytes path,
                                     struct access_log *log, struct error *err);
void access_log_fini(struct access_log *log);
/* envoy.config.core.v3.ConfigSource. SOURCE_SELF becomes ctx->self. */
MUST_CHECK bool config_source_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                                     struct config_source *out, struct error *err);
/* envoy.config.core.v3.ApiConfigSource (ads_config). */
MUST_CHECK bool api_config_source_decode(struct decode_context *ctx, struct arena *a,
                                         struct bytes wire, struct config_source *out,
                                         struct error *err);
/* envoy.config.core.v3.Address into an address. Names (not IP addresses) are an error. */
MUST_CHECK bool address_decode(struct bytes wire, struct address *out, struct error *err);

/* In a statistic's name ':' becomes '_', and dots at the end go, as in Envoy. In the arena. */
struct bytes stat_name_of(struct arena *a, struct bytes name);
