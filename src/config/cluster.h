/* What a cluster means: the decoded envoy.config.cluster.v3.Cluster and its hosts, as const data
 * that workers read, plus the few shared atomics (cluster_state, host_state) that outlive versions.
 * Made by the config thread. Times are milliseconds, 0 = off unless said. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/stats.h"
#include "config/config_source.h"
#include "config/dns_options.h"
#include "config/http2.h"
#include "config/node.h"

struct tls_node;
struct tls_socket;

enum cluster_type { CLUSTER_STATIC, CLUSTER_STRICT_DNS, CLUSTER_LOGICAL_DNS, CLUSTER_EDS };
enum lb_policy { LB_ROUND_ROBIN, LB_LEAST_REQUEST, LB_RANDOM };
enum dns_lookup_family { DNS_AUTO, DNS_V4_ONLY, DNS_V6_ONLY, DNS_V4_PREFERRED, DNS_ALL };
enum { PRIORITY_DEFAULT, PRIORITY_HIGH, N_ROUTING_PRIORITIES };

/* Statistics cluster.NAME.*: X(enumerator, name, kind). Names are Envoy's. In the order of use, for
 * memory is taken sixteen at a time: what the config thread writes of any cluster, what an ordinary
 * request writes, then the rest. */
#define CLUSTER_STAT_LIST(X)                                                                       \
    X(MEMBERSHIP_CHANGE, "membership_change", COUNTER)                                             \
    X(MEMBERSHIP_HEALTHY, "membership_healthy", GAUGE)                                             \
    X(MEMBERSHIP_DEGRADED, "membership_degraded", GAUGE)                                           \
    X(MEMBERSHIP_EXCLUDED, "membership_excluded", GAUGE)                                           \
    X(MEMBERSHIP_TOTAL, "membership_total", GAUGE)                                                 \
    X(MAX_HOST_WEIGHT, "max_host_weight", GAUGE)                                                   \
    X(CLUSTER_WARMING_STATE, "warming_state", GAUGE)                                               \
    X(CLUSTER_TRANSPORT_MATCHES, "default.total_match_count", COUNTER)                             \
    X(CLUSTER_SUBSCRIBES, "", MARK)                                                                \
    X(CLUSTER_DNS_ATTEMPT, "update_attempt", COUNTER)                                              \
    X(CLUSTER_DNS_SUCCESS, "update_success", COUNTER)                                              \
    X(CLUSTER_DNS_FAILURE, "update_failure", COUNTER)                                              \
    X(CLUSTER_UPDATE_NO_REBUILD, "update_no_rebuild", COUNTER)                                     \
    X(CLUSTER_UPDATE_TIME, "update_time", GAUGE_AFTER(STAT_CLUSTER_SUBSCRIBES))                    \
    X(CLUSTER_VERSION, "version", GAUGE)                                                           \
    X(CLUSTER_UPDATE_REJECTED, "update_rejected", COUNTER_AFTER(STAT_CLUSTER_SUBSCRIBES))          \
    X(UPSTREAM_CX_TOTAL, "upstream_cx_total", COUNTER)                                             \
    X(UPSTREAM_CX_ACTIVE, "upstream_cx_active", GAUGE)                                             \
    X(UPSTREAM_CX_HTTP1_TOTAL, "upstream_cx_http1_total", COUNTER)                                 \
    X(CLUSTER_HTTP1, "", MARK)                                                                     \
    X(UPSTREAM_CX_RX_BYTES_TOTAL, "upstream_cx_rx_bytes_total", COUNTER)                           \
    X(UPSTREAM_CX_TX_BYTES_TOTAL, "upstream_cx_tx_bytes_total", COUNTER)                           \
    X(UPSTREAM_CX_CONNECT_MS, "upstream_cx_connect_ms", HISTOGRAM)                                 \
    X(UPSTREAM_RQ_TOTAL, "upstream_rq_total", COUNTER)                                             \
    X(UPSTREAM_RQ_ACTIVE, "upstream_rq_active", GAUGE)                                             \
    X(UPSTREAM_RQ_PENDING_TOTAL, "upstream_rq_pending_total", COUNTER)                             \
    X(UPSTREAM_RQ_PENDING_ACTIVE, "upstream_rq_pending_active", GAUGE)                             \
    X(UPSTREAM_RQ_COMPLETED, "upstream_rq_completed", COUNTER)                                     \
    X(UPSTREAM_RQ_TIME, "upstream_rq_time", HISTOGRAM_AFTER(STAT_UPSTREAM_RQ_TIME))                \
    X(UPSTREAM_RQ, "upstream_rq_", CODES)                                                          \
    X(EXTERNAL_UPSTREAM_RQ_COMPLETED, "external.upstream_rq_completed",                            \
      COUNTER_AFTER(STAT_EXTERNAL_UPSTREAM_RQ_COMPLETED))                                          \
    X(EXTERNAL_UPSTREAM_RQ_TIME, "external.upstream_rq_time",                                      \
      HISTOGRAM_AFTER(STAT_EXTERNAL_UPSTREAM_RQ_TIME))                                             \
    X(EXTERNAL_UPSTREAM_RQ, "external.upstream_rq_", CODES)                                        \
    X(INTERNAL_UPSTREAM_RQ_COMPLETED, "internal.upstream_rq_completed",                            \
      COUNTER_AFTER(STAT_INTERNAL_UPSTREAM_RQ_COMPLETED))                                          \
    X(INTERNAL_UPSTREAM_RQ_TIME, "internal.upstream_rq_time",                                      \
      HISTOGRAM_AFTER(STAT_INTERNAL_UPSTREAM_RQ_TIME))                                             \
    X(INTERNAL_UPSTREAM_RQ, "internal.upstream_rq_", CODES)                                        \
    X(UPSTREAM_CX_LENGTH_MS, "upstream_cx_length_ms", HISTOGRAM)                                   \
    X(UPSTREAM_RQ_PER_CX, "upstream_rq_per_cx", HISTOGRAM)                                         \
    X(UPSTREAM_CX_DESTROY, "upstream_cx_destroy", COUNTER)                                         \
    X(UPSTREAM_CX_DESTROY_LOCAL, "upstream_cx_destroy_local", COUNTER)                             \
    X(UPSTREAM_CX_DESTROY_REMOTE, "upstream_cx_destroy_remote", COUNTER)                           \
    X(CB_DEFAULT_CX_OPEN, "circuit_breakers.default.cx_open", GAUGE)                               \
    X(CB_DEFAULT_CX_POOL_OPEN, "circuit_breakers.default.cx_pool_open", GAUGE)                     \
    X(CB_DEFAULT_RQ_PENDING_OPEN, "circuit_breakers.default.rq_pending_open", GAUGE)               \
    X(CB_DEFAULT_RQ_OPEN, "circuit_breakers.default.rq_open", GAUGE)                               \
    X(CB_DEFAULT_RQ_RETRY_OPEN, "circuit_breakers.default.rq_retry_open", GAUGE)                   \
    X(CB_HIGH_CX_OPEN, "circuit_breakers.high.cx_open", GAUGE)                                     \
    X(CB_HIGH_CX_POOL_OPEN, "circuit_breakers.high.cx_pool_open", GAUGE)                           \
    X(CB_HIGH_RQ_PENDING_OPEN, "circuit_breakers.high.rq_pending_open", GAUGE)                     \
    X(CB_HIGH_RQ_OPEN, "circuit_breakers.high.rq_open", GAUGE)                                     \
    X(CB_HIGH_RQ_RETRY_OPEN, "circuit_breakers.high.rq_retry_open", GAUGE)                         \
    X(UPSTREAM_CX_HTTP2_TOTAL, "upstream_cx_http2_total", COUNTER)                                 \
    X(UPSTREAM_CX_HTTP3_TOTAL, "upstream_cx_http3_total", COUNTER)                                 \
    X(UPSTREAM_CX_CONNECT_FAIL, "upstream_cx_connect_fail", COUNTER)                               \
    X(UPSTREAM_CX_CONNECT_TIMEOUT, "upstream_cx_connect_timeout", COUNTER)                         \
    X(UPSTREAM_CX_IDLE_TIMEOUT, "upstream_cx_idle_timeout", COUNTER)                               \
    X(UPSTREAM_CX_MAX_DURATION_REACHED, "upstream_cx_max_duration_reached", COUNTER)               \
    X(UPSTREAM_CX_CONNECT_ATTEMPTS_EXCEEDED, "upstream_cx_connect_attempts_exceeded", COUNTER)     \
    X(UPSTREAM_CX_CONNECT_WITH_0_RTT, "upstream_cx_connect_with_0_rtt", COUNTER)                   \
    X(UPSTREAM_CX_PRECONNECT_SKIPPED, "upstream_cx_preconnect_skipped", COUNTER)                   \
    X(UPSTREAM_CX_OVERFLOW, "upstream_cx_overflow", COUNTER)                                       \
    X(UPSTREAM_CX_POOL_OVERFLOW, "upstream_cx_pool_overflow", COUNTER)                             \
    X(UPSTREAM_CX_PROTOCOL_ERROR, "upstream_cx_protocol_error", COUNTER)                           \
    X(UPSTREAM_CX_DESTROY_WITH_ACTIVE_RQ, "upstream_cx_destroy_with_active_rq", COUNTER)           \
    X(UPSTREAM_CX_DESTROY_LOCAL_WITH_ACTIVE_RQ, "upstream_cx_destroy_local_with_active_rq",        \
      COUNTER)                                                                                     \
    X(UPSTREAM_CX_DESTROY_REMOTE_WITH_ACTIVE_RQ, "upstream_cx_destroy_remote_with_active_rq",      \
      COUNTER)                                                                                     \
    X(UPSTREAM_CX_CLOSE_NOTIFY, "upstream_cx_close_notify", COUNTER)                               \
    X(UPSTREAM_CX_RX_BYTES_BUFFERED, "upstream_cx_rx_bytes_buffered", GAUGE)                       \
    X(UPSTREAM_CX_TX_BYTES_BUFFERED, "upstream_cx_tx_bytes_buffered", GAUGE)                       \
    X(UPSTREAM_CX_MAX_REQUESTS, "upstream_cx_max_requests", COUNTER)                               \
    X(UPSTREAM_CX_NONE_HEALTHY, "upstream_cx_none_healthy", COUNTER)                               \
    X(UPSTREAM_RQ_ACTIVE_OVERFLOW, "upstream_rq_active_overflow", COUNTER)                         \
    X(UPSTREAM_RQ_PENDING_OVERFLOW, "upstream_rq_pending_overflow", COUNTER)                       \
    X(UPSTREAM_RQ_PENDING_FAILURE_EJECT, "upstream_rq_pending_failure_eject", COUNTER)             \
    X(UPSTREAM_RQ_CANCELLED, "upstream_rq_cancelled", COUNTER)                                     \
    X(UPSTREAM_RQ_0RTT, "upstream_rq_0rtt", COUNTER)                                               \
    X(UPSTREAM_RQ_MAINTENANCE_MODE, "upstream_rq_maintenance_mode", COUNTER)                       \
    X(UPSTREAM_RQ_TIMEOUT, "upstream_rq_timeout", COUNTER)                                         \
    X(UPSTREAM_RQ_MAX_DURATION_REACHED, "upstream_rq_max_duration_reached", COUNTER)               \
    X(UPSTREAM_RQ_PER_TRY_TIMEOUT, "upstream_rq_per_try_timeout", COUNTER)                         \
    X(UPSTREAM_RQ_PER_TRY_IDLE_TIMEOUT, "upstream_rq_per_try_idle_timeout", COUNTER)               \
    X(UPSTREAM_RQ_RX_RESET, "upstream_rq_rx_reset", COUNTER)                                       \
    X(UPSTREAM_RQ_RX_RESET_NO_ERROR, "upstream_rq_rx_reset_no_error", COUNTER)                     \
    X(UPSTREAM_RQ_TX_RESET, "upstream_rq_tx_reset", COUNTER)                                       \
    X(UPSTREAM_RQ_RETRY, "upstream_rq_retry", COUNTER)                                             \
    X(UPSTREAM_RQ_RETRY_BACKOFF_EXPONENTIAL, "upstream_rq_retry_backoff_exponential", COUNTER)     \
    X(UPSTREAM_RQ_RETRY_BACKOFF_RATELIMITED, "upstream_rq_retry_backoff_ratelimited", COUNTER)     \
    X(UPSTREAM_RQ_RETRY_LIMIT_EXCEEDED, "upstream_rq_retry_limit_exceeded", COUNTER)               \
    X(UPSTREAM_RQ_RETRY_OVERFLOW, "upstream_rq_retry_overflow", COUNTER)                           \
    X(UPSTREAM_RQ_RETRY_SUCCESS, "upstream_rq_retry_success", COUNTER)                             \
    X(CANARY_UPSTREAM_RQ_COMPLETED, "canary.upstream_rq_completed",                                \
      COUNTER_AFTER(STAT_CANARY_UPSTREAM_RQ_COMPLETED))                                            \
    X(CANARY_UPSTREAM_RQ_TIME, "canary.upstream_rq_time",                                          \
      HISTOGRAM_AFTER(STAT_CANARY_UPSTREAM_RQ_TIME))                                               \
    X(CANARY_UPSTREAM_RQ, "canary.upstream_rq_", CODES)                                            \
    X(RETRY_UPSTREAM_RQ_COMPLETED, "retry.upstream_rq_completed",                                  \
      COUNTER_AFTER(STAT_RETRY_UPSTREAM_RQ_COMPLETED))                                             \
    X(RETRY_UPSTREAM_RQ, "retry.upstream_rq_", CODES)                                              \
    X(UPSTREAM_INTERNAL_REDIRECT_FAILED, "upstream_internal_redirect_failed_total", COUNTER)       \
    X(UPSTREAM_INTERNAL_REDIRECT_SUCCEEDED, "upstream_internal_redirect_succeeded_total", COUNTER) \
    X(UPSTREAM_HTTP3_BROKEN, "upstream_http3_broken", COUNTER)                                     \
    X(UPSTREAM_QUEUE_OVERLOADED, "upstream_queue_overloaded", GAUGE)                               \
    X(UPSTREAM_FLOW_CONTROL_BACKED_UP_TOTAL, "upstream_flow_control_backed_up_total", COUNTER)     \
    X(UPSTREAM_FLOW_CONTROL_DRAINED_TOTAL, "upstream_flow_control_drained_total", COUNTER)         \
    X(UPSTREAM_FLOW_CONTROL_PAUSED_READING_TOTAL, "upstream_flow_control_paused_reading_total",    \
      COUNTER)                                                                                     \
    X(UPSTREAM_FLOW_CONTROL_RESUMED_READING_TOTAL, "upstream_flow_control_resumed_reading_total",  \
      COUNTER)                                                                                     \
    X(BIND_ERRORS, "bind_errors", COUNTER)                                                         \
    X(LB_HEALTHY_PANIC, "lb_healthy_panic", COUNTER)                                               \
    X(LB_RECALCULATE_ZONE_STRUCTURES, "lb_recalculate_zone_structures", COUNTER)                   \
    X(LB_LOCAL_CLUSTER_NOT_OK, "lb_local_cluster_not_ok", COUNTER)                                 \
    X(LB_SUBSETS_ACTIVE, "lb_subsets_active", GAUGE)                                               \
    X(LB_SUBSETS_CREATED, "lb_subsets_created", COUNTER)                                           \
    X(LB_SUBSETS_FALLBACK, "lb_subsets_fallback", COUNTER)                                         \
    X(LB_SUBSETS_FALLBACK_PANIC, "lb_subsets_fallback_panic", COUNTER)                             \
    X(LB_SUBSETS_REMOVED, "lb_subsets_removed", COUNTER)                                           \
    X(LB_SUBSETS_SELECTED, "lb_subsets_selected", COUNTER)                                         \
    X(LB_ZONE_CLUSTER_TOO_SMALL, "lb_zone_cluster_too_small", COUNTER)                             \
    X(LB_ZONE_NO_CAPACITY_LEFT, "lb_zone_no_capacity_left", COUNTER)                               \
    X(LB_ZONE_ROUTING_ALL_DIRECTLY, "lb_zone_routing_all_directly", COUNTER)                       \
    X(LB_ZONE_ROUTING_CROSS_ZONE, "lb_zone_routing_cross_zone", COUNTER)                           \
    X(LB_ZONE_ROUTING_SAMPLED, "lb_zone_routing_sampled", COUNTER)                                 \
    X(ORIGINAL_DST_HOST_INVALID, "original_dst_host_invalid", COUNTER)                             \
    X(RETRY_OR_SHADOW_ABANDONED, "retry_or_shadow_abandoned", COUNTER)                             \
    X(CLUSTER_UPDATE_EMPTY, "update_empty", COUNTER)                                               \
    X(CLUSTER_ASSIGNMENT_STALE, "assignment_stale", COUNTER)                                       \
    X(CLUSTER_ASSIGNMENT_TIMEOUT_RECEIVED, "assignment_timeout_received", COUNTER)                 \
    X(CLUSTER_ASSIGNMENT_USE_CACHED, "assignment_use_cached", COUNTER)                             \
    X(CLUSTER_INIT_FETCH_TIMEOUT, "init_fetch_timeout", COUNTER_AFTER(STAT_CLUSTER_SUBSCRIBES))    \
    X(CLUSTER_UPDATE_DURATION, "update_duration", HISTOGRAM_AFTER(STAT_CLUSTER_SUBSCRIBES))        \
    X(CLUSTER_VERSION_TEXT, "version_text", TEXT_AFTER(STAT_CLUSTER_SUBSCRIBES))                   \
    X(CLUSTER_HTTP1_DROPPED, "http1.dropped_headers_with_underscores",                             \
      COUNTER_AFTER(STAT_CLUSTER_HTTP1))                                                           \
    X(CLUSTER_HTTP1_METADATA, "http1.metadata_not_supported_error",                                \
      COUNTER_AFTER(STAT_CLUSTER_HTTP1))                                                           \
    X(CLUSTER_HTTP1_REJECTED, "http1.requests_rejected_with_underscores_in_headers",               \
      COUNTER_AFTER(STAT_CLUSTER_HTTP1))                                                           \
    X(CLUSTER_HTTP1_FLOOD, "http1.response_flood", COUNTER_AFTER(STAT_CLUSTER_HTTP1))

/* Statistics cluster.NAME.circuit_breakers.PRIORITY.*, of tracked breakers only, in the order of
 * enum breaker. */
#define BREAKER_STAT_LIST(X)                                                                       \
    X(CX, "remaining_cx", GAUGE)                                                                   \
    X(PENDING, "remaining_pending", GAUGE)                                                         \
    X(RQ, "remaining_rq", GAUGE)                                                                   \
    X(RETRY, "remaining_retries", GAUGE)
enum breaker {
#define X(id, name, kind) BREAKER_##id,
    BREAKER_STAT_LIST(X)
#undef X
        N_BREAKERS
};
extern const struct stat_schema breaker_stat_schema;

enum cluster_stat {
#define X(id, name, kind) STAT_##id,
    CLUSTER_STAT_LIST(X)
#undef X
        CLUSTER_STAT_COUNT
};
extern const struct stat_schema cluster_stat_schema;

struct circuit_breaker {
    union {
        struct {
            uint32_t max_connections, max_pending_requests, max_requests,
                max_retries; /* 1024,1024,1024,3 */
        };
        uint32_t limits[N_BREAKERS]; /* the same, by enum breaker */
    };
    bool track_remaining;
    bool has_budget;              /* retry_budget: counts in place of max_retries */
    double budget_percent;        /* of the requests that are active or wait, 20 ... */
    uint32_t min_retries_at_once; /* ... but at least so many, 3 */
};

/* The gauges of tracked breakers and what they show. */
struct breaker_gauges {
    struct stat_scope *scope;
    _Atomic uint32_t shown[N_BREAKERS];
};

/* Shared by all threads, atomics only; carried over by cluster name. The breakers count over all
 * workers, so that the limits are the process's. */
struct cluster_state {
    uint32_t refs;            /* config thread */
    struct stat_scope *stats; /* cluster.NAME */
    struct {
        _Atomic uint32_t counts[N_BREAKERS];
        _Atomic uint8_t open; /* 1 << enum breaker: at its limit (the *_open gauges) */
        _Atomic(struct breaker_gauges *) tracked; /* track_remaining; NULL: not tracked */
    } in_use[N_ROUTING_PRIORITIES];
};
struct cluster_state *cluster_state_new(struct stat_store *store, struct bytes stat_name);
/* Before a version is published: what it tracks gets its gauges. Config thread. */
void cluster_state_track(struct cluster_state *s, struct bytes stat_name,
                         const struct circuit_breaker breakers[N_ROUTING_PRIORITIES]);
/* How much of a breaker is used now; limit: of the version that counts. Any thread, with its slot
 * of the statistics. */
void cluster_state_show_remaining(struct cluster_state *s, unsigned slot, unsigned priority,
                                  enum breaker b, uint32_t limit);
/* What the gauges of the remaining ones count down from: 0 where a budget decides, as in Envoy. */
uint32_t circuit_breaker_shown(const struct circuit_breaker *cb, enum breaker b);
void cluster_state_ref(struct cluster_state *s);
void cluster_state_unref(struct cluster_state **s);

enum health_flag {
    HEALTH_FAILED_EDS = 1 << 0, /* /failed_eds_health: UNHEALTHY or TIMEOUT in EDS */
    HEALTH_DRAINING = 1 << 1,   /* EDS says DRAINING: no new requests */
    HEALTH_DEGRADED_EDS = 1 << 2,
    HEALTH_FAILED_ACTIVE_HC = 1 << 3,
    HEALTH_FAILED_OUTLIER = 1 << 4,
};

struct host_state;

/* What a host has once it is used. cx_*, rq_* are Envoy's per-host statistics, printed by
 * /clusters. */
struct host_use {
    _Atomic uint32_t holds; /* pools and attempts of workers */
    _Atomic uint32_t rq_active, rq_pending_active, cx_active;
    _Atomic uint64_t cx_total, cx_connect_fail, rq_total, rq_success, rq_error, rq_timeout;
    struct host_state *next_retired; /* config thread */
};

/* Shared atomics of one host; carried over by cluster name and address. Small: most hosts of a
 * large world are never used by one proxy. Those that come together lie together, and their memory
 * goes with the last of them. */
struct host_state {
    uint32_t refs; /* config thread; workers hold theirs through pins of the host set or through
                      host_state_hold(); freed when refs and holds are 0 */
    _Atomic uint8_t health; /* enum health_flag bits set at run time (active HC, outlier) */
    uint16_t at;            /* its place among those that it came with */
    _Atomic(struct host_use *) used;
};
enum { HOST_STATES_MAX = HEAP_IS_WATCHED ? 1 : 1000 };
/* n of them, at most HOST_STATES_MAX, each with refs = 1. */
struct host_state *host_states_new(unsigned n);
/* What it was used for; all zero before its first use. Any thread. */
const struct host_use *host_state_seen(const struct host_state *s);
/* The same, to be counted in: of a state that the caller holds. */
static inline struct host_use *host_state_use(struct host_state *s)
{
    return atomic_load_explicit(&s->used, memory_order_acquire);
}
/* It has answered, well or not, or failed to. */
static inline void host_state_answered(struct host_state *s, bool failed)
{
    struct host_use *u = host_state_use(s);
    atomic_fetch_add_explicit(failed ? &u->rq_error : &u->rq_success, 1, memory_order_relaxed);
}
void host_state_ref(struct host_state *s);
void host_state_unref(struct host_state **s); /* config thread */
struct host_use *host_state_first_use(struct host_state *s);
/* Workers hold what they use, and let go of it. */
static inline void host_state_hold(struct host_state *s)
{
    struct host_use *u = host_state_use(s);
    if (UNLIKELY(!u))
        u = host_state_first_use(s);
    atomic_fetch_add_explicit(&u->holds, 1, memory_order_relaxed);
}
static inline void host_state_release(struct host_state *s)
{
    uint32_t before = atomic_fetch_sub_explicit(&host_state_use(s)->holds, 1, memory_order_release);
    CHECK(before > 0);
}
unsigned host_state_reap(void); /* config thread, with node_reap() */

/* One endpoint. Kept small: a host set of 10,000 is common. */
/* What most hosts have nothing of. */
struct host_more {
    struct bytes name;     /* endpoint.hostname, or the DNS name */
    struct bytes metadata; /* an envoy.config.core.v3.Metadata (config/metadata.h) */
    bool canary;           /* ... says so */
    uint8_t n_others;
    struct address others[]; /* where else the host is: connections try them in turn */
};
enum { HOST_OTHERS_MAX = UINT8_MAX };

struct host {
    struct address address;
    const struct host_more *more; /* NULL: nothing */
    struct host_state *state;
    uint32_t weight;   /* >= 1 */
    uint16_t locality; /* index into host_set.localities */
    uint8_t priority;
    uint8_t health : 3; /* enum health_flag bits that the resource sets */
    uint8_t socket : 5; /* 0: the cluster's; else that of socket_matches[socket - 1] */
};

static inline struct bytes host_name(const struct host *h)
{
    return h->more ? h->more->name : BYTES("");
}
static inline struct bytes host_metadata(const struct host *h)
{
    return h->more ? h->more->metadata : BYTES("");
}
static inline const struct address *host_others(const struct host *h, unsigned *n)
{
    *n = h->more ? h->more->n_others : 0;
    return *n ? h->more->others : NULL;
}

struct locality {
    struct bytes region, zone, sub_zone;
    uint32_t weight;
    uint8_t priority;
};

/* The hosts of one priority, whatever their health: the balancer sorts them by it. Part of the host
 * set's array. */
struct priority_set {
    const struct host *hosts;
    uint32_t n_hosts;
};

struct host_set {
    struct node node;
    struct host *hosts; /* all, by priority, else in the resource's order */
    uint32_t n_hosts;
    struct locality *localities;
    uint32_t n_localities;
    struct priority_set *priorities; /* 0 is tried first */
    uint32_t n_priorities;
    uint32_t overprovisioning_factor; /* percent, 140 */
    bool weighted_priority_health;    /* a priority's health is that of its hosts' weights */
};

/* Where a DNS cluster's names come from (LOGICAL_DNS has exactly one). */
struct dns_target {
    struct bytes name;
    uint16_t port;
    uint16_t locality;
    uint32_t weight;
    uint8_t priority, health, socket;
    struct bytes hostname, metadata;
};

enum upstream_protocol {
    UPSTREAM_HTTP1,
    UPSTREAM_HTTP2,
    UPSTREAM_AUTO,       /* what the TLS handshake agrees on (ALPN) */
    UPSTREAM_DOWNSTREAM, /* what the client speaks */
    UPSTREAM_TCP,        /* no HTTP: of a CONNECT that ends here; no cluster's own */
};

/* TLS takes the name to send, or to find in the peer's certificate, from the request. */
struct auto_names {
    bool sni, san_validation;
    struct bytes header; /* lower case: instead of the host; empty: none */
};

/* A transport socket for the endpoints whose metadata have all of the criteria. */
struct socket_match {
    struct bytes name;
    struct bytes criteria;        /* of google.protobuf.Struct */
    const struct tls_socket *tls; /* NULL: plain text */
};
enum { SOCKET_MATCHES_MAX = 31 };

struct cluster {
    struct node node;
    struct bytes name, stat_name; /* stat_name: alt_stat_name or name */
    enum cluster_type type;
    enum lb_policy lb_policy;
    uint32_t least_request_choices; /* 2 */
    bool least_request_scan;        /* all hosts are compared, not some choices */
    double active_request_bias;     /* 1.0 */
    double healthy_panic_threshold; /* percent, 50 */
    bool fail_traffic_on_panic;
    uint64_t connect_timeout_ms; /* 5000 */
    uint32_t buffer_limit;       /* bytes, 1 MiB */
    struct circuit_breaker breakers[N_ROUTING_PRIORITIES];
    enum upstream_protocol protocol;
    const struct http2_options *http2; /* NULL: HTTP/1 alone */
    uint64_t idle_timeout_ms;          /* upstream connections, 1 hour */
    uint64_t max_connection_duration_ms;
    uint64_t max_stream_duration_ms;      /* of a request, from its sending on; 0: no limit */
    uint32_t max_requests_per_connection; /* 0: no limit */
    uint32_t max_response_headers_kb;     /* 0: 80 of HTTP/1, 60 of HTTP/2 */
    uint32_t max_headers_count;           /* 100 */
    bool enable_trailers, allow_chunked_length;
    uint32_t h2_keepalive_interval_ms, h2_keepalive_timeout_ms; /* control channels (rule T05) */
    uint32_t keepalive_probes, keepalive_time_s, keepalive_interval_s; /* TCP; 0: kernel's */
    bool keepalive;
    bool has_bind_address;
    struct address bind_address;
    const struct bytes *metadata;  /* as in host_more; NULL: none */
    struct bytes eds_service_name; /* CLUSTER_EDS: the name asked for */
    const struct config_source *eds_source;
    enum dns_lookup_family dns_family;
    uint64_t dns_refresh_ms; /* 5000 */
    uint64_t dns_jitter_ms;  /* at most so much is added to it */
    uint64_t dns_failure_refresh_base_ms, dns_failure_refresh_max_ms;
    bool respect_dns_ttl;
    const struct dns_options *dns_options; /* NULL: the process's resolver */
    bool wait_for_warm_on_init;
    struct dns_target *dns_targets;
    uint32_t n_dns_targets, n_socket_matches;
    const struct host_set *inline_hosts; /* CLUSTER_STATIC; a child node */
    struct bytes observability_name;     /* alt_stat_name or name, as written: /clusters */
    const struct tls_socket *tls;        /* NULL: plain text */
    struct socket_match *socket_matches;
    struct socket_matcher *socket_matcher; /* NULL: their criteria decide */
    const struct auto_names *auto_names;   /* NULL: none; counts with TLS */
};

/* What the snapshot's map holds for a cluster name: an active (warm) cluster. */
struct cluster_entry {
    struct node node;
    const struct cluster *cluster;
    const struct host_set *hosts;
    struct cluster_state *state;
    bool added_via_api;
    /* cluster->tls is set and this is NULL: a secret has not come yet; connections fail and are
     * counted (STAT_TLS_UPSTREAM_NOT_READY). */
    struct tls_node *tls;
    struct tls_node **match_tls;  /* of cluster->socket_matches, one each, as `tls`; or NULL */
    struct stat_scope *tls_stats; /* cluster.NAME.client_ssl_socket_factory; NULL: no TLS */
    struct stat_scope *ssl_stats; /* cluster.NAME with tls_stat_schema; NULL: no TLS */
};

/* The i-th transport socket: the cluster's own, then those of its matches (struct host.socket). */
static inline const struct tls_socket *cluster_socket(const struct cluster *c, unsigned i)
{
    return i == 0 ? c->tls : c->socket_matches[i - 1].tls;
}
static inline struct tls_node *cluster_entry_tls(const struct cluster_entry *e, unsigned i)
{
    return i == 0 ? e->tls : e->match_tls[i - 1];
}
static inline bool cluster_has_tls(const struct cluster *c)
{
    bool any = c->tls != NULL;
    for (unsigned i = 0; i < c->n_socket_matches; i++)
        any |= c->socket_matches[i].tls != NULL;
    return any;
}
