/* What a route configuration means: const data of envoy.config.route.v3.RouteConfiguration, its
 * virtual hosts, routes and the compiled index over them. Made by the config thread.
 *
 * Virtual hosts and routes are nodes of their own: an update keeps the node of every virtual host
 * and route whose bytes are equal. Where the bytes are is remembered as offsets into the resource,
 * so that comparing costs no memory of its own. */
#pragma once

#include "config/header_mutation.h"
#include "config/matcher.h"
#include "config/request_stats.h"
#include "config/node.h"
#include "config/runtime.h"

struct descriptors;
struct filter_context;
struct filter_factory;
struct filter_registry;
struct retry_policy;
struct route_index;
struct vhost_index;

enum route_path_kind {
    ROUTE_PATH_PREFIX,
    ROUTE_PATH_EXACT,
    ROUTE_PATH_SEPARATED_PREFIX,
    ROUTE_PATH_REGEX,
    ROUTE_PATH_CONNECT, /* any CONNECT, nothing else */
};

enum route_action_kind { ROUTE_CLUSTER, ROUTE_REDIRECT, ROUTE_DIRECT_RESPONSE };

/* typed_per_filter_config, one entry. name: the filter's name in the chain. */
struct route_filter_config {
    struct bytes name;
    const struct filter_factory *factory; /* NULL: only `disabled` counts */
    void *config;
    bool disabled;
};

struct route_filter_configs {
    struct route_filter_config *entries;
    uint16_t n;
};

struct weighted_cluster {
    struct bytes name;           /* empty: taken from cluster_header */
    struct bytes cluster_header; /* lower case; "host" is ":authority", as in all such names */
    uint32_t weight;
    struct bytes host_rewrite;
    struct header_mutations request, response;
    struct route_filter_configs filters;
};

enum host_rewrite {
    HOST_REWRITE_NONE,
    HOST_REWRITE_LITERAL,
    HOST_REWRITE_AUTO, /* the endpoint's host name */
    HOST_REWRITE_HEADER,
    HOST_REWRITE_PATH_REGEX,
};

struct regex_rewrite {
    const struct regex *regex; /* NULL: none */
    struct bytes substitution;
};

struct weighted_clusters {
    struct weighted_cluster *list;
    uint32_t n, total_weight;
    struct bytes header; /* header_name, lower case */
};

/* What becomes of the path and the host. */
struct route_rewrite {
    struct bytes prefix;
    bool has_prefix;
    struct regex_rewrite regex;
    enum host_rewrite host;
    struct bytes host_text; /* literal or header name */
    struct regex_rewrite host_regex;
    bool append_x_forwarded_host;
};
extern const struct route_rewrite route_no_rewrite;

/* Kept small, as struct route: a table of 10,000 is common. */
struct cluster_action {
    struct bytes cluster; /* this, `weighted` or the route's extras->cluster_header */
    const struct weighted_clusters *weighted;
    const struct route_rewrite *rewrite; /* never NULL */
    const struct retry_policy *retry;    /* NULL: the virtual host's */
    uint64_t timeout_ms;                 /* 15000 unless set; 0: off */
    uint16_t not_found_status;           /* 503, 404 or 500 */
    bool has_timeout;
    bool has_hedge;   /* else the virtual host's counts */
    bool hedge;       /* a timeout of one attempt begins another beside it */
    uint8_t priority; /* PRIORITY_DEFAULT, PRIORITY_HIGH */
};

struct redirect_action {
    struct bytes host, scheme; /* empty: unchanged */
    uint32_t port;             /* 0: unchanged */
    bool https, strip_query;
    struct bytes path; /* path_redirect, may carry a query */
    struct bytes prefix_rewrite;
    bool has_prefix_rewrite;
    struct regex_rewrite regex_rewrite;
    unsigned status;
};

struct direct_response {
    unsigned status;
    struct bytes body;
};

/* upgrade_configs, one entry. type: as it was written; CONNECT too. */
struct route_upgrade {
    struct bytes type;
    bool enabled;
    bool terminates;        /* CONNECT ends here: what is tunnelled goes to the cluster bare ... */
    bool posts;             /* ... and so does a POST, whose body it is */
    uint8_t proxy_protocol; /* version of the header that is sent first; 0: none */
};

/* How much of a request's body may be kept so that it can be sent again. */
struct body_limit {
    bool set; /* else the next level's counts */
    uint64_t bytes;
};

/* What most routes have nothing of. */
struct route_extras {
    const struct regex *path_regex;
    struct header_matcher *headers;
    struct query_matcher *queries;
    uint16_t n_headers, n_queries;
    bool grpc_only, has_fraction, has_idle_timeout, has_max_stream_duration;
    struct fraction fraction;    /* runtime_fraction's default */
    struct runtime_cell *cell;   /* ... and its key; NULL: none */
    struct bytes cluster_header; /* lower case */
    uint64_t idle_timeout_ms, max_stream_duration_ms;
    /* How far grpc-timeout counts: max_stream_duration.grpc_timeout_header_*, and the old
     * max_grpc_timeout and grpc_timeout_offset. A maximum of 0 is none. */
    bool has_grpc_max, has_old_grpc_max;
    bool has_duration; /* max_stream_duration stands there, whatever is in it: no other timeouts */
    uint64_t grpc_max_ms, grpc_offset_ms, old_grpc_max_ms, old_grpc_offset_ms;
    struct route_upgrade *upgrades;
    uint16_t n_upgrades;
    struct body_limit body_limit;
    struct header_mutations request, response;
    struct route_filter_configs filters;
    struct regex_list regexes;
    struct stat_scope *stats; /* of stat_prefix; NULL: none */
};

struct route {
    struct node node;
    struct bytes name; /* the metadata follow its NUL */
    struct bytes path; /* the literal; empty for a regex */
    uint8_t path_kind; /* enum route_path_kind */
    uint8_t action;    /* enum route_action_kind */
    bool case_sensitive;
    uint32_t metadata_len;
    union {
        struct cluster_action *cluster;
        struct redirect_action *redirect;
        struct direct_response *direct;
    };
    struct route_extras *extras; /* never NULL; not to be written to once decoded */
};

/* The bytes of an envoy.config.core.v3.Metadata; empty: none. */
static inline struct bytes route_metadata(const struct route *r)
{
    return bytes_from(r->metadata_len ? r->name.data + r->name.len + 1 : NULL, r->metadata_len);
}

enum tls_requirement { TLS_NOT_REQUIRED, TLS_EXTERNAL_ONLY, TLS_ALL };

/* A child node and where its bytes are in its parent's. */
struct route_ref {
    struct route *route;
    uint32_t offset, len;
};

struct virtual_host {
    struct node node;
    struct bytes name, metadata; /* bytes of an envoy.config.core.v3.Metadata; empty: none */
    struct bytes *domains;       /* lower case */
    unsigned n_domains;
    struct route_ref *routes; /* first match wins */
    unsigned n_routes;
    struct route_index *index;
    enum tls_requirement require_tls;
    struct header_mutations request, response;
    struct route_filter_configs filters;
    bool include_request_attempt_count, include_attempt_count_in_response;
    bool include_is_timeout_retry_header;
    bool hedge; /* of routes without their own policy */
    struct body_limit body_limit;
    const struct retry_policy *retry;  /* of routes without their own; NULL: none */
    struct virtual_clusters *clusters; /* whose requests are counted; NULL: none */
};

struct vhost_ref {
    struct virtual_host *vhost;
    uint32_t offset, len;
};

struct route_config {
    struct node node; /* pinnable */
    struct bytes name;
    struct bytes wire; /* borrowed: looked at only as the `previous` of a decode */
    struct vhost_ref *vhosts;
    unsigned n_vhosts;
    struct vhost_index *index;
    struct header_mutations request, response;
    struct route_filter_configs filters;
    struct bytes *internal_only_headers;
    unsigned n_internal_only_headers;
    bool ignore_port_in_host_matching, most_specific_header_mutations_wins;
    bool validate_clusters, validate_clusters_set;
    uint32_t max_direct_response_body;
    const struct config_source *vhds; /* delivers virtual hosts that requests ask for; or NULL */
};

/* What decoding needs beside the bytes; the counters say what was decoded anew (tests, rule "equal
 * bytes keep their node"). */
struct route_decode_context {
    struct filter_context *filters; /* stats, types */
    const struct filter_registry *registry;
    struct descriptors *descriptors; /* TypedStruct; may be NULL in tests */
    uint64_t vhosts_decoded, routes_decoded;
    uint32_t max_direct_response_body; /* set by route_config_decode */
    struct bytes vhost;                /* name of the one that is being decoded */
    /* Validation rules and what is not implemented, asked for each part that is decoded anew: a
     * large table costs what changed. NULL: the caller has checked the whole. */
    bool (*check)(void *arg, const char *message, struct bytes wire, struct error *err);
    void *check_arg;
    struct runtime *runtime; /* NULL: no keys */
};

/* wire: bytes of a RouteConfiguration; they must stay in place for as long as the result may be
 * given as `previous`. previous: the running version, or NULL; its wire must still be valid. NULL
 * and *err ("virtual_hosts[2].routes[0].match: ...") when it is refused. refs = 1. */
struct route_config *route_config_decode(struct route_decode_context *ctx, struct bytes wire,
                                         const struct route_config *previous, struct error *err);

/* Where a route configuration names a cluster. */
struct route_place {
    unsigned vhost, route;
    int weighted; /* position in the weighted clusters; -1: it is the route's only one */
};
/* Calls fn for every cluster that a route names (not cluster_header); stops when fn is false. */
typedef bool route_cluster_fn(void *arg, struct bytes cluster, const struct route_place *at);
void route_config_clusters(const struct route_config *rc, route_cluster_fn *fn, void *arg);
void route_each_cluster(const struct route *r, route_cluster_fn *fn, void *arg);
/* Those of one virtual host; the place has its routes alone. */
void virtual_host_clusters(const struct virtual_host *v, route_cluster_fn *fn, void *arg);
/* Returns false. */
bool route_cluster_unknown(struct bytes cluster, const struct route_place *at, struct error *err);

/* Parts, for the files that make up the decoder. */
struct envoy_config_route_v3_Route;
struct envoy_config_route_v3_RouteMatch;
MUST_CHECK bool route_match_decode(const struct envoy_config_route_v3_RouteMatch *msg,
                                   struct route *r, struct runtime *runtime, struct error *err);
MUST_CHECK bool route_action_decode(struct route_decode_context *ctx,
                                    const struct envoy_config_route_v3_Route *msg, struct route *r,
                                    struct error *err);
/* upgrade_decode.c */
struct envoy_config_route_v3_RouteAction;
MUST_CHECK bool route_upgrades_decode(const struct envoy_config_route_v3_RouteAction *msg,
                                      struct route *r, struct error *err);
/* The entry of this type, in any case; NULL: none. */
const struct route_upgrade *route_upgrade_find(const struct route *r, struct bytes type);
/* One entry of a typed_per_filter_config map: any = bytes of the google.protobuf.Any's fields. */
MUST_CHECK bool route_filter_config_decode(struct route_decode_context *ctx, struct arena *a,
                                           struct bytes name, struct bytes type_url,
                                           struct bytes value, struct route_filter_config *out,
                                           bool *skip, struct error *err);
void route_filter_configs_fini(struct route_filter_configs *f);
