/* struct async_call: a request of the proxy's own, on behalf of a filter, a logger or nobody: plain
 * HTTP, a gRPC unary call or a gRPC stream (async_grpc.h), over the worker's own pools and codecs,
 * to a cluster by name of the worker's current snapshot.
 *
 *   async_call_new ─► add headers ─► async_call_start ─► on_headers, on_data, ... ─► on_end
 *                                                   └─► async_call_cancel: no further word
 *
 * Calls belong to the worker: they are taken from a list and go back to it, arena and all, and are
 * never freed while the worker runs. Whoever keeps one between two events keeps a handle, which
 * goes stale with the call. A call for a stream says nothing any more once the stream is gone.
 * Callbacks come from the loop, never from inside a function of this header, but for on_watermark,
 * which may come from inside a send. Worker thread only. */
#pragma once

#include "base/list.h"
#include "dataplane/http/stream.h"
#include "dataplane/net/loop.h"
#include "dataplane/upstream/outgoing.h"

enum { ASYNC_CALL_MAGIC = 0x6173796e, ASYNC_MESSAGE_MAX = 4 << 20 };

struct async_call;

enum async_result {
    ASYNC_DONE,         /* the whole response has come; gRPC: its status is in grpc_status */
    ASYNC_NO_CLUSTER,   /* the snapshot has none of that name */
    ASYNC_NO_HOST,      /* none that may take a request */
    ASYNC_FAILED,       /* `why` says how */
    ASYNC_TIMEOUT,      /* of the whole call */
    ASYNC_BAD_RESPONSE, /* gRPC: it cannot be understood, or is longer than allowed */
    ASYNC_SHUTDOWN,     /* the worker ends */
};

struct async_end {
    enum async_result result;
    enum upstream_failure why; /* ASYNC_FAILED */
    unsigned grpc_status;      /* gRPC: for every result; 0 is success */
    struct bytes text;         /* of the transport, or grpc-message; lives during the call */
};

/* All but on_end are optional. */
struct async_call_ops {
    void (*on_connected)(struct async_call *c);         /* from now on what is sent goes out */
    void (*on_headers)(struct async_call *c, bool end); /* the response's head: c->response */
    void (*on_data)(struct async_call *c, struct buffer *data, bool end);
    void (*on_trailers)(struct async_call *c);
    void (*on_message)(struct async_call *c, struct bytes message); /* gRPC; lives as long */
    void (*on_watermark)(struct async_call *c, bool above); /* the request is not taken, or again */
    void (*on_end)(struct async_call *c, const struct async_end *e); /* once, the last */
};

struct async_call_options {
    struct bytes cluster;
    const struct async_call_ops *ops;
    void *owner;
    struct stream_handle stream; /* {NULL}: for nobody */
    uint64_t timeout_ms;         /* from the start to the end of the response; 0: none */
    uint32_t max_message;        /* gRPC, of the response; 0: ASYNC_MESSAGE_MAX */
    unsigned priority;           /* of routing: which pool and breakers */
};

enum async_state { ASYNC_NEW, ASYNC_WAITING, ASYNC_ACTIVE, ASYNC_OVER };

struct async_call {
    uint32_t magic, generation;
    struct list link; /* live, dead or free */
    struct async_calls *calls;
    struct async_call_options o; /* cluster: in the arena */
    enum async_state state;
    struct arena *arena;
    struct headers request, response, trailers;
    struct cluster_runtime *cluster; /* used; NULL: there was none */
    struct host_state *host;         /* held */
    struct outgoing out;
    struct buffer in; /* gRPC: of a message that has not all come */
    struct timer timeout;
    struct defer later; /* tells of `failed` */
    struct async_end failed;
    uint64_t start_ns;
    bool grpc, response_ended, headers_seen, above;
    bool called; /* of gRPC: its head was good, its end is to come */
};

struct async_handle {
    struct async_call *call;
    uint32_t generation;
};
static inline struct async_handle async_handle_of(struct async_call *c)
{
    return (struct async_handle){c, c->generation};
}
/* NULL: that call is over. */
static inline struct async_call *async_call_from_handle(struct async_handle h)
{
    return h.call && h.call->generation == h.generation ? h.call : NULL;
}

/* A call without headers: the user adds those of c->request (":method", ":path", ":authority",
 * ":scheme" and others), whose bytes lie in c->arena or for ever. */
struct async_call *async_call_new(struct worker *w, const struct async_call_options *o);
/* end: there is no body. Whatever fails here is told later, by on_end. */
void async_call_start(struct async_call *c, bool end);
void async_call_send_data(struct async_call *c, struct buffer *data, bool end); /* moves */
/* It has failed already, and on_end follows: what is sent to it is lost. */
static inline bool async_call_doomed(const struct async_call *c)
{
    return defer_pending(&c->later);
}
static inline bool async_call_above(const struct async_call *c)
{
    return c->above;
}
/* Counted: stops and resumes reading the response. */
void async_call_read_pause(struct async_call *c);
void async_call_read_resume(struct async_call *c);
/* Gives up: nothing is called back, all handles are stale. Harmless when it is over. */
void async_call_cancel(struct async_call *c);

/* ---- for the cluster manager ---- */
struct async_calls *async_calls_new(struct worker *w);
/* Ends what is left with ASYNC_SHUTDOWN; before the clusters go. */
void async_calls_free(struct async_calls **calls);
unsigned async_calls_live(const struct worker *w); /* for tests */

/* ---- for async_grpc.c ---- */
/* Its end, told now: only from the loop. */
void async_call_finish(struct async_call *c, const struct async_end *e);
bool async_call_over(const struct async_call *c);
