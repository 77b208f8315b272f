/* What a listener means: const data of envoy.config.listener.v3.Listener. A filter chain is a node
 * keyed by match, transport socket and network filters, the HTTP connection manager left out: a
 * connection finds its manager by that key at each new stream, so an HTTP change closes nothing.
 * Made by the config thread. */
#pragma once

#include "base/address.h"
#include "config/access_log.h"
#include "config/filter_factory.h"
#include "config/http_manager.h"
#include "config/node.h"
#include "config/tls.h"

/* listener.ADDRESS.* */
#define LISTENER_STAT_LIST_OF(X, threads)                                                          \
    X(CX_TOTAL, "downstream_cx_total", COUNTER_BY(threads))                                        \
    X(CX_ACTIVE, "downstream_cx_active", GAUGE_BY(threads))                                        \
    X(CX_DESTROY, "downstream_cx_destroy", COUNTER)                                                \
    X(CX_OVERFLOW, "downstream_cx_overflow", COUNTER)                                              \
    X(CX_OVERLOAD_REJECT, "downstream_cx_overload_reject", COUNTER)                                \
    X(CX_TRANSPORT_TIMEOUT, "downstream_cx_transport_socket_connect_timeout", COUNTER)             \
    X(GLOBAL_CX_OVERFLOW, "downstream_global_cx_overflow", COUNTER)                                \
    X(CX_LENGTH_MS, "downstream_cx_length_ms", HISTOGRAM)                                          \
    X(PRE_CX_TIMEOUT, "downstream_pre_cx_timeout", COUNTER)                                        \
    X(PRE_CX_ACTIVE, "downstream_pre_cx_active", GAUGE)                                            \
    X(LISTENER_FILTER_REMOTE_CLOSE, "downstream_listener_filter_remote_close", COUNTER)            \
    X(LISTENER_FILTER_ERROR, "downstream_listener_filter_error", COUNTER)                          \
    X(NO_FILTER_CHAIN_MATCH, "no_filter_chain_match", COUNTER)                                     \
    X(ACCEPTED_PER_EVENT, "connections_accepted_per_socket_event", HISTOGRAM)                      \
    X(CONFIGURED, "", MARK) /* by a resource: not admin's */                                       \
    X(EXTENSION_CONFIG_MISSING, "extension_config_missing",                                        \
      COUNTER_AFTER(STAT_LISTENER_CONFIGURED))                                                     \
    X(NETWORK_EXTENSION_CONFIG_MISSING, "network_extension_config_missing",                        \
      COUNTER_AFTER(STAT_LISTENER_CONFIGURED))
#define LISTENER_STAT_LIST(X) LISTENER_STAT_LIST_OF(X, STAT_OF_WORKERS)

enum listener_stat {
#define X(id, name, kind) STAT_LISTENER_##id,
    LISTENER_STAT_LIST(X)
#undef X
        LISTENER_STAT_COUNT
};
extern const struct stat_schema listener_stat_schema;
extern const struct stat_schema admin_listener_stat_schema; /* the same, of main's thread */

/* listener.ADDRESS.http.PREFIX.*: only what Envoy keeps there. */
#define LISTENER_HTTP_STAT_LIST(X)                                                                 \
    X(RQ_1XX, "downstream_rq_1xx", COUNTER)                                                        \
    X(RQ_2XX, "downstream_rq_2xx", COUNTER)                                                        \
    X(RQ_3XX, "downstream_rq_3xx", COUNTER)                                                        \
    X(RQ_4XX, "downstream_rq_4xx", COUNTER)                                                        \
    X(RQ_5XX, "downstream_rq_5xx", COUNTER)                                                        \
    X(RQ_COMPLETED, "downstream_rq_completed", COUNTER)

enum listener_http_stat {
#define X(id, name, kind) STAT_LISTENER_HTTP_##id,
    LISTENER_HTTP_STAT_LIST(X)
#undef X
        LISTENER_HTTP_STAT_COUNT
};
extern const struct stat_schema listener_http_stat_schema;

enum chain_source_type { SOURCE_TYPE_ANY, SOURCE_TYPE_SAME_IP_OR_LOOPBACK, SOURCE_TYPE_EXTERNAL };

struct filter_chain_match {
    uint16_t destination_port; /* 0: any */
    struct address_prefix *prefixes, *source_prefixes, *direct_source_prefixes;
    unsigned n_prefixes, n_source_prefixes, n_direct_source_prefixes;
    uint16_t *source_ports;
    unsigned n_source_ports;
    enum chain_source_type source_type;
    struct bytes *server_names, *application_protocols;
    unsigned n_server_names, n_application_protocols;
    struct bytes transport_protocol; /* "", "raw_buffer", "tls" */
};

struct filter_chain {
    struct node node;
    struct bytes name;
    struct bytes key; /* bytes of match, transport socket and network filters without the HCM */
    struct filter_chain_match match;
    bool is_http; /* ends in the HTTP connection manager (found through the binding) */
    uint64_t transport_connect_timeout_ms;
    const struct tls_socket *tls; /* NULL: plain text */
};

/* Where a listener filter does not act, by the destination port. */
struct listener_match {
    enum {
        LISTENER_MATCH_ANY,
        LISTENER_MATCH_NOT,
        LISTENER_MATCH_AND,
        LISTENER_MATCH_OR,
        LISTENER_MATCH_PORTS
    } kind;
    const struct listener_match *rules;
    unsigned n_rules;
    int32_t from, to; /* ports, `to` not in it */
};

/* What is looked at before a connection has a filter chain. */
struct listener_filters {
    bool tls_inspector, close_on_bad_hello, continue_on_timeout, ja3, ja4;
    const struct listener_match *disabled; /* NULL: nowhere */
    uint32_t max_client_hello;
    uint64_t timeout_ms; /* 0: none */
};
bool listener_filters_inspect(const struct listener_filters *f, uint16_t port);

enum traffic_direction { DIRECTION_UNSPECIFIED, DIRECTION_INBOUND, DIRECTION_OUTBOUND };

struct socket_option {
    int level, name;
    int state; /* 0 prebind, 1 bound, 2 listening */
    bool is_int;
    int64_t int_value;
    struct bytes buf_value;
};

struct listen_address {
    struct address address;
    uint32_t id; /* equal addresses, in whatever version, have an equal one; never 0 */
    uint32_t uds_mode;
    bool ipv4_compat;
};

struct listener {
    struct node node;
    struct bytes name;
    struct listen_address *addresses; /* [0] is `address`, then additional_addresses */
    unsigned n_addresses;
    struct bytes stat_prefix; /* or empty: the first address */
    bool bind_to_port, enable_reuse_port, freebind, transparent, modify_only_drain;
    uint32_t buffer_limit;   /* per connection, bytes, 1 MiB */
    uint32_t backlog;        /* 0: the system's */
    int32_t fast_open_queue; /* -1: not set */
    uint32_t max_accepts_per_event;
    uint64_t connection_limit; /* of all workers together; UINT64_MAX: none */
    bool ignore_global_conn_limit;
    struct socket_option *socket_options;
    unsigned n_socket_options;
    bool keepalive;
    uint32_t keepalive_probes, keepalive_time_s, keepalive_interval_s;
    enum traffic_direction direction;
    struct listener_filters filters;
    struct access_log **access_logs;
    unsigned n_access_logs;
    bool added_via_api;
    struct bytes metadata; /* bytes of an envoy.config.core.v3.Metadata; empty: none */
};

struct scope_table;

/* One filter chain of a snapshot's listener with what it is bound to now. A connection pins its
 * binding; streams pin manager and routes. */
struct chain_binding {
    struct node node; /* pinnable */
    const struct filter_chain *chain;
    struct bytes listener_name;                     /* the same in all versions */
    struct bytes listener_metadata, chain_metadata; /* bytes of a Metadata; empty: none */
    struct http_manager *manager;                   /* NULL for a TCP chain; pinnable */
    struct route_config *routes;                    /* NULL while RDS has none (404 NR); pinnable */
    struct scope_table *scopes;             /* in place of routes, of scoped_routes; pinnable */
    struct stat_scope *listener_http_stats; /* NULL for TCP */
    /* chain->tls is set and this is NULL: a secret has not come yet; the connection is closed and
     * counted (STAT_TLS_DOWNSTREAM_NOT_READY). */
    struct tls_node *tls;
};

/* What the snapshot's map holds for a listener name. */
struct listener_entry {
    struct node node;
    const struct listener *listener;
    struct chain_binding **chains; /* in the resource's order */
    unsigned n_chains;
    struct chain_binding *default_chain; /* or NULL */
    struct stat_scope *stats;            /* listener.ADDRESS */
    struct stat_scope *tls_stats; /* listener.ADDRESS.server_ssl_socket_factory; NULL: no TLS */
    struct stat_scope *ssl_stats; /* listener.ADDRESS with tls_stat_schema; NULL: no TLS */
};

/* id 0: of a connection that came to none of them. */
static inline bool listener_has_address(const struct listener *l, uint32_t id)
{
    for (unsigned i = 0; id && i < l->n_addresses; i++) {
        if (l->addresses[i].id == id)
            return true;
    }
    return id == 0;
}

/* What is known of a connection when its chain is chosen. */
struct chain_query {
    struct address local, remote, direct_remote;
    uint32_t address_id; /* of the listener's address that it came to; 0: of none */
    struct bytes server_name, transport_protocol; /* "" is raw_buffer */
    const struct bytes *application_protocols;
    unsigned n_application_protocols;
};
/* Envoy's order: destination port, prefix, server names, transport protocol, application
 * protocols, direct source prefix, source type, source prefix, source port; default chain last;
 * NULL = close (rule M16). Any thread. */
struct chain_binding *listener_find_chain(const struct listener_entry *l,
                                          const struct chain_query *q);
/* The binding with an equal key, or NULL when the chain is gone. */
struct chain_binding *listener_find_chain_key(const struct listener_entry *l, struct bytes key);
