/* struct attempt: one try of a stream at one upstream host: get a connection, send the request,
 * hand the response up. The router owns a set of attempts (first, later retries and hedges), each
 * with response headers of its own. Lives in the stream's arena; attempt_reset() must run before
 * the arena goes: it is what makes a late answer of the pool impossible. Worker thread only. */
#pragma once

#include "base/list.h"
#include "dataplane/net/loop.h"
#include "dataplane/http/tunnel.h"
#include "dataplane/upstream/outgoing.h"

struct attempt;
struct stream;

/* Calls to the router. After on_failed() or attempt_reset() nothing follows. */
struct attempt_ops {
    void (*on_sent)(struct attempt *a); /* there is a connection: the request begins to go out */
    void (*on_informational)(struct attempt *a);
    void (*on_headers)(struct attempt *a, bool end);
    void (*on_data)(struct attempt *a, struct buffer *data, bool end);
    void (*on_trailers)(struct attempt *a);
    /* text: the transport's reason, may be empty; lives during the call. */
    void (*on_failed)(struct attempt *a, enum upstream_failure why, struct bytes text);
    /* The upstream side cannot take more of the request now, or can again. */
    void (*on_watermark)(struct attempt *a, bool above);
};

enum attempt_state { ATTEMPT_NEW, ATTEMPT_WAITING, ATTEMPT_ACTIVE, ATTEMPT_DONE };

struct attempt {
    struct list link; /* in the router's set */
    const struct attempt_ops *ops;
    void *owner;
    struct stream *stream;
    struct arena *arena; /* of the response's head, and of what is known of this attempt alone */
    enum attempt_state state;
    struct cluster_runtime *cluster; /* used: cluster_runtime_use() */
    struct host_state *host;         /* held */
    struct address host_address;
    struct outgoing out;
    struct headers response_headers, response_trailers;
    uint32_t buffer_limit;
    bool body_above;
    bool started;       /* there was a connection: some of the request may be gone */
    bool retried_above; /* what the upstream has refused is for the owner to send again */
    bool headers_seen;  /* of the final response */
    bool response_ended;
    uint8_t tunnel; /* enum tunnel: what the request asks for */
    bool tcp;       /* set before attempt_start(): it goes over a TCP connection, not a request */
    bool open;      /* the tunnel: what was held has been sent */
    uint64_t begun_ns, pool_ready_ns; /* when a connection was asked for; how long it took */
    bool hedged; /* the owner's: another follows beside it, it is not tried again itself */
    bool canary; /* the host says so */
    struct timer *duration;          /* max_duration_ms; NULL: none */
    uint64_t max_duration_ms;        /* the cluster's, or set before attempt_start(); 0: no limit */
    struct bytes hostname, metadata; /* of the host; in the arena */
};

/* Makes an attempt (no connection yet); counts it in the stream's info. */
struct attempt *attempt_new(struct stream *s, struct arena *arena, const struct attempt_ops *ops,
                            void *owner, struct cluster_runtime *cluster);
/* Gets a connection to host and sends h once there. False: a circuit breaker refused, counted; the
 * attempt is done, nothing is called. h, in the stream's arena, must not change until then. */
MUST_CHECK bool attempt_start(struct attempt *a, const struct host *host, unsigned priority,
                              const struct headers *h, bool end);
void attempt_send_data(struct attempt *a, struct buffer *data, bool end); /* moves */
void attempt_send_trailers(struct attempt *a, const struct headers *h);
/* Stops and resumes reading the response (back-pressure from downstream). Counted. */
void attempt_read_pause(struct attempt *a);
void attempt_read_resume(struct attempt *a);
/* Tells the stream's info where it goes. Done when it waits for a connection and when it is sent;
 * again for the one of several whose answer counts. */
void attempt_note_upstream(struct attempt *a);
/* Gives up; afterwards nothing is called back. Harmless when done, and may be repeated. */
void attempt_reset(struct attempt *a);
/* The same at the head of an answer: what has come of its body is counted, as in Envoy. */
void attempt_drop(struct attempt *a);
/* Reads and forgets what the pool holds of it: after the last use of host and cluster. */
void attempt_release(struct attempt *a);
