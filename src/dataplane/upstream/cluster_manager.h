/* struct cluster_manager: what one worker keeps about the clusters of its snapshot: balancers and
 * connection pools, made when a cluster is first used. Configuration is the snapshot's; this is the
 * mutable half, reconciled at every swap at a cost that follows the change.
 *
 * A cluster_runtime never outlives its use of the configuration: while it is found by name, `entry`
 * is that of the worker's current snapshot. When the cluster is removed, entry and state become
 * NULL, idle connections are closed and the runtime goes away with its last request. Worker thread
 * only. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "config/cluster.h"
#include "dataplane/http/codec.h"
#include "dataplane/net/worker.h"
#include "dataplane/upstream/connector.h"
#include "dataplane/upstream/lb.h"

struct async_calls;
struct conn_pool;
struct server_name;
struct tls_context;
struct h2_memory;
struct snapshot;

/* The cluster's values that connections need, copied so that they survive the cluster. */
struct pool_params {
    uint64_t connect_timeout_ms, idle_timeout_ms, max_duration_ms, max_stream_duration_ms;
    uint32_t max_requests_per_connection; /* 0: no limit */
    uint32_t buffer_limit;
    uint32_t max_response_headers_kb, max_headers_count;
    bool enable_trailers, allow_chunked_length;
    uint32_t keepalive_probes, keepalive_time_s, keepalive_interval_s;
    bool keepalive, has_bind_address;
    struct address bind_address;
    enum upstream_protocol protocol;
    struct http2_options *http2; /* owned; NULL: HTTP/1 alone */
    struct circuit_breaker breakers[N_ROUTING_PRIORITIES];
};

/* What connections to the hosts of one transport socket are made with (struct host.socket). */
struct upstream_socket {
    struct tls_context *tls; /* own reference: the newest; NULL: plain text, or not there yet */
    bool wants_tls;
    uint64_t shape; /* hash of what it says in the resource; 0: the cluster's own */
};

enum { RECENT_POOLS = 8 };

struct cluster_runtime {
    struct worker *worker;
    struct cluster_manager *manager;
    struct bytes name;                 /* owned */
    const struct cluster_entry *entry; /* NULL: removed from the configuration */
    struct cluster_state *state;       /* NULL with entry */
    struct stat_scope *stats;          /* own reference */
    struct stat_scope *http2_stats;    /* NULL until HTTP/2 is spoken */
    struct lb *lb;                     /* of entry->hosts; NULL until the first pick */
    struct pool_params params;
    struct upstream_socket socket;   /* the cluster's own */
    struct upstream_socket *matches; /* of the entry's socket_matches; NULL: none */
    unsigned n_matches;
    bool wants_tls;                           /* any of them */
    struct stat_scope *ssl_stats, *tls_stats; /* own references; NULL without TLS */
    uint64_t shape;                           /* hash of what shapes a connection */
    struct map pools;                         /* conn_pool_key -> struct conn_pool * */
    struct conn_pool *recent[RECENT_POOLS];   /* of `pools`: found last, by their host's state */
    struct map methods;                       /* -> struct method_stats *: see method_stats.h */
    struct list draining; /* pools that left `pools` and finish their requests */
    uint32_t sweep;       /* mark of the last reconciliation */
    bool retired;
    uint32_t in_use[N_ROUTING_PRIORITIES][N_BREAKERS]; /* this worker's share of state */
    uint8_t gauges_shown[N_ROUTING_PRIORITIES];        /* 1 << enum breaker */
    uint32_t users;                                    /* attempts that look at it */
    struct list retired_link;                          /* in the manager, after removal */
};

struct cluster_manager {
    struct worker *worker;
    const struct connector *connector;
    struct h2_memory *h2_memory;
    struct async_calls *async_calls; /* the proxy's own, async_call.h */
    struct map runtimes;             /* name -> struct cluster_runtime *: used and configured */
    struct list retired;             /* removed from the configuration, still in use */
    struct cluster_runtime *last;    /* of `runtimes`: found last, and often wanted next; or NULL */
};

/* Also sets worker->clusters. connector: &connector_socket, or a test's. */
struct cluster_manager *cluster_manager_new(struct worker *worker,
                                            const struct connector *connector);
/* Closes all connections. No stream may be left. */
void cluster_manager_free(struct cluster_manager **m);

/* The worker's state of a cluster of its current snapshot, made at the first use. NULL: the
 * snapshot has no such (warm) cluster. */
struct cluster_runtime *cluster_runtime_get(struct worker *worker, struct bytes name);
/* Keeps the object alive (not the configuration). */
void cluster_runtime_use(struct cluster_runtime *c);
void cluster_runtime_done(struct cluster_runtime *c);

/* Reconciles with `now`, which worker->snapshot becomes here. `old` (NULL at the start) must stay
 * valid until this returns; the caller then gives it back. */
void cluster_manager_adopt(struct worker *worker, const struct snapshot *old,
                           const struct snapshot *now);

/* Picks a host of the cluster; NULL: none may take a request (counts upstream_cx_none_healthy). */
const struct host *cluster_runtime_pick(struct cluster_runtime *c, const struct lb_query *q);
/* The pool for a host (of entry->hosts) and a routing priority; made when missing. */
struct conn_pool *cluster_runtime_pool(struct cluster_runtime *c, const struct host *host,
                                       unsigned priority, enum http_protocol downstream);
/* i: struct host.socket; shape: of the socket that is meant. NULL: there is none such any more. */
const struct upstream_socket *cluster_runtime_socket(const struct cluster_runtime *c, unsigned i,
                                                     uint64_t shape);
/* The same where a request asks for a name. */
struct conn_pool *cluster_runtime_pool_named(struct cluster_runtime *c, const struct host *host,
                                             unsigned priority, enum http_protocol downstream,
                                             const struct server_name *name);

/* The same for TCP connections without HTTP, whatever the cluster speaks. */
struct conn_pool *cluster_runtime_pool_tcp(struct cluster_runtime *c, const struct host *host,
                                           unsigned priority, const struct server_name *name);

/* Circuit breakers: shared counts over all workers, Envoy's names of statistics. */
bool breaker_can_create(const struct cluster_runtime *c, unsigned priority, enum breaker b);
void breaker_inc(struct cluster_runtime *c, unsigned priority, enum breaker b);
void breaker_dec(struct cluster_runtime *c, unsigned priority, enum breaker b);
/* Moves this worker's share to another state; NULL: gives it back. */
void breakers_move(struct cluster_runtime *c, struct cluster_state *to);
/* Frees a removed cluster that nobody uses any more. */
void cluster_runtime_unused(struct cluster_runtime *c);

static inline void cluster_stat_add(struct cluster_runtime *c, enum cluster_stat id, int64_t n)
{
    stat_add(c->stats, c->worker->slot, id, n);
}
static inline void cluster_stat_inc(struct cluster_runtime *c, enum cluster_stat id)
{
    stat_add(c->stats, c->worker->slot, id, 1);
}

/* Live pools and connections of this worker, for tests and memory accounting. */
unsigned cluster_manager_pools(const struct cluster_manager *m);
unsigned cluster_manager_connections(const struct cluster_manager *m);
