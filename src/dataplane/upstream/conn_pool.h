/* struct conn_pool: the connections of one worker to one host for one routing priority. Idle
 * connections are kept for reuse, the last used first; a request that finds none waits in the
 * pending queue while a new connection is made. Limits (circuit breakers) count over all workers.
 *
 *   pool_request ─ conn_pool_get ─► POOL_READY (attached) ─► upstream_conn ─ codec ─ connection
 *                             └───► POOL_PENDING ─► on_ready | on_failure, from the loop
 *
 * A pool lives while it has connections or waiting requests, or its host is configured. It holds
 * the host's state. Worker thread only; callbacks come from the top of the loop, never from inside
 * a call of the user, except as said. */
#pragma once

#include "base/list.h"
#include "dataplane/upstream/cluster_manager.h"
#include "dataplane/upstream/server_name.h"
#include "dataplane/http/headers.h"

struct upstream_conn;
struct pool_request;

/* What must be equal for a connection to be shared. Zeroed before it is filled: compared as bytes.
 */
struct pool_key {
    uint64_t shape, path, name;
    uint8_t ip[16];
    uint32_t scope;
    uint16_t port;
    uint8_t kind, priority, protocol, name_use;
};

struct conn_pool {
    struct cluster_runtime *cluster;
    struct host_state *host;         /* held */
    struct address address, *others; /* n_others, owned: where else it is */
    uint64_t socket_shape;           /* of its transport socket, ... */
    unsigned socket;                 /* ... struct host.socket */
    struct server_name name;         /* its bytes are owned */
    unsigned priority;               /* routing priority: which breakers count */
    enum upstream_protocol protocol;
    uint32_t streams_told; /* the host's limit, as its last connection said; 0: none did */
    bool one_each;         /* AUTO: the last connection did not speak HTTP/2 */
    uint8_t n_others;
    struct list idle, busy, connecting, closing;
    unsigned n_connections, n_connecting, n_waiting;
    struct list waiting;       /* struct pool_request, oldest first */
    struct list draining_link; /* in the cluster's, once drained */
    uint32_t sweep;
    bool draining;
};

enum pool_result { POOL_READY, POOL_PENDING, POOL_OVERFLOW, POOL_OVERFLOW_ACTIVE };

/* Why a request got no connection, or lost the one it had. */
enum upstream_failure {
    UPSTREAM_OVERFLOW, /* circuit breaker */
    UPSTREAM_CONNECT_FAILED,
    UPSTREAM_CONNECT_TIMEOUT,
    UPSTREAM_LOCAL_CLOSE,    /* pool drained, worker going away */
    UPSTREAM_TERMINATED,     /* the connection ended before the response was complete */
    UPSTREAM_RESET,          /* the stream was reset by the peer */
    UPSTREAM_REFUSED,        /* the peer has not touched it: may be tried again */
    UPSTREAM_PROTOCOL_ERROR, /* the response could not be understood */
    UPSTREAM_MAX_DURATION,   /* it took longer than the cluster's max_stream_duration */
};

/* Calls to the user of a pool. None follows after on_failure(), after the end of the response, or
 * after pool_request_cancel(). */
struct pool_request_ops {
    void (*on_ready)(struct pool_request *r);
    /* text: transport failure reason ("Connection refused"), may be empty. Lives during the call.
     */
    void (*on_failure)(struct pool_request *r, enum upstream_failure why, struct bytes text);
    /* A head is in *r->response: an informational one (1xx), or the final one. */
    void (*on_informational)(struct pool_request *r);
    void (*on_headers)(struct pool_request *r, bool end);
    void (*on_data)(struct pool_request *r, struct buffer *data, bool end);
    void (*on_trailers)(struct pool_request *r);
    /* The connection cannot take more request bytes now (may be called from inside a send), or can
     * again. */
    void (*on_watermark)(struct pool_request *r, bool above);
};

/* A request's place in a pool: waiting, attached to a connection, or neither. Embedded by the user
 * in memory of its own. */
struct pool_request {
    struct list link;
    const struct pool_request_ops *ops;
    void *owner;
    struct conn_pool *pool;
    struct upstream_conn *conn; /* attached; NULL otherwise */
    struct headers *response;   /* filled by the codec */
    struct headers *trailers;
    struct wire_bytes *bytes; /* NULL: nobody counts them */
    struct codec_stream *stream;
    unsigned pauses; /* HTTP/2: of reading */
    bool waiting;
    bool request_done, response_done;
    bool serving, above; /* HTTP/2: counted as active; its body waits above the limit */
};

void pool_request_init(struct pool_request *r, const struct pool_request_ops *ops, void *owner,
                       struct headers *response, struct headers *trailers);
/* POOL_READY: r->conn is set, send at once. POOL_PENDING: on_ready or on_failure follows.
 * POOL_OVERFLOW: counted, nothing follows; POOL_OVERFLOW_ACTIVE: the same where a connection was
 * there. */
enum pool_result conn_pool_get(struct conn_pool *p, struct pool_request *r);
/* Gives up: a waiting request leaves the queue; an attached one closes its connection, unless both
 * halves were complete. Harmless when r is neither. */
void pool_request_cancel(struct pool_request *r);

/* While attached. */
void pool_request_send_headers(struct pool_request *r, const struct headers *h, bool end);
void pool_request_send_data(struct pool_request *r, struct buffer *data, bool end); /* moves */
void pool_request_send_trailers(struct pool_request *r, const struct headers *h);
/* Counted: stops and resumes reading the response. */
void pool_request_read_pause(struct pool_request *r);
void pool_request_read_resume(struct pool_request *r);
/* The answer has opened a tunnel: what was sent is written even when the request is given up, and
 * the end of the request is the connection's. */
void pool_request_open_tunnel(struct pool_request *r);
bool pool_request_above(const struct pool_request *r); /* its body waits, above the limit */
struct connection *pool_request_connection(const struct pool_request *r);

/* For the cluster manager. */
struct pool_key conn_pool_key(const struct cluster_runtime *c, const struct host *host,
                              unsigned priority, enum upstream_protocol protocol,
                              const struct server_name *name);
static inline struct bytes pool_key_bytes(const struct pool_key *k)
{
    return bytes_from((const char *)k, sizeof(*k));
}
struct conn_pool *conn_pool_new(struct cluster_runtime *c, const struct host *host,
                                unsigned priority, enum upstream_protocol protocol,
                                const struct server_name *name);
/* The pool has left `pools` and stands in the cluster's draining list: idle connections are closed
 * now, busy ones after their request, waiting requests keep their turn. Frees the pool when it is
 * empty, perhaps in here. */
void conn_pool_drain(struct conn_pool *p);
/* Closes everything at once, without callbacks, and frees the pool. */
void conn_pool_free(struct conn_pool **p);
static inline unsigned conn_pool_connections(const struct conn_pool *p)
{
    return p->n_connections;
}

/* For upstream_conn.c. */
void conn_pool_connected(struct conn_pool *p, struct upstream_conn *uc);
/* A request is complete, its connection can take another. */
void conn_pool_released(struct conn_pool *p, struct upstream_conn *uc);
/* HTTP/2: no further request fits now. */
void conn_pool_full(struct conn_pool *p, struct upstream_conn *uc);
/* The connection takes no more requests; it only waits for its on_close. */
void conn_pool_forget(struct conn_pool *p, struct upstream_conn *uc);
/* It is closed. Waiting requests fail when it never was connected. Frees the pool when it was
 * drained and is empty. */
void conn_pool_closed(struct conn_pool *p, bool was_connecting, enum upstream_failure why,
                      struct bytes text);
