/* struct stream: one HTTP request and its response, from the first byte to the access log. Born by
 * the downstream codec, lives in an arena, ends in stream_finish(). It pins the connection
 * manager's and the route configuration's nodes. Worker thread only. Whatever works later on its
 * behalf holds a struct stream_handle, which goes stale with it. */
#pragma once

#include "base/address.h"
#include "config/http_manager.h"
#include "dataplane/http/route_match.h"
#include "dataplane/http/codec.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/tunnel.h"
#include "dataplane/net/connection.h"
#include "dataplane/net/loop.h"
#include "dataplane/net/proxy_protocol.h"
#include "dataplane/net/worker.h"

struct http_conn;
struct scope_entry;

enum { STREAM_MAGIC = 0x7374726d };

/* The one reading of a request (architecture section 6.3): made once after normalisation; the
 * router, access control, logs and upstream read this. Views into headers. */
struct request {
    struct bytes method, scheme, authority, path; /* path: with query */
    struct bytes path_only, query;                /* query: without "?", data == NULL: none */
    enum http_protocol protocol;
};

/* What is measured and printed about a stream: access log, statistics. */
/* Why a line of an access log is written; but for the end, where the connection manager asks. The
 * numbers of envoy.data.accesslog.v3.AccessLogType. */
enum access_log_type {
    ACCESS_LOG_NOT_SET = 0, /* of a connection */
    ACCESS_LOG_START = 4,
    ACCESS_LOG_PERIODIC = 5,
    ACCESS_LOG_END = 6,
    ACCESS_LOG_TUNNEL = 10,
};

#define POOL_NOT_READY UINT64_MAX /* no connection so far */

struct stream_info {
    uint64_t start_wall_ns, start_ns; /* monotonic for durations */
    uint64_t request_end_ns, upstream_first_tx_ns, upstream_last_tx_ns;
    uint64_t upstream_first_rx_ns, upstream_first_body_ns, upstream_last_rx_ns; /* 0: not */
    uint64_t downstream_first_tx_ns, end_ns;
    uint64_t bytes_received, bytes_sent; /* bodies */
    uint64_t response_header_bytes;
    struct wire_bytes downstream_bytes, upstream_bytes; /* that, of all attempts */
    uint32_t flags;                                     /* 1 << enum response_flag */
    unsigned status;                                    /* 0: none sent */
    const char *details; /* response_code_details; constant or in the arena */
    const char *termination_details;
    struct bytes upstream_failure_reason; /* UPSTREAM_TRANSPORT_FAILURE_REASON */
    struct bytes upstream_cluster, upstream_cluster_raw;
    struct bytes virtual_cluster; /* BYTES_NONE: none */
    struct bytes upstream_hostname;
    struct bytes cluster_metadata, host_metadata; /* where a log wants them */
    struct address upstream_address, upstream_local_address;
    const struct address *upstream_other; /* of the host, where its connection leads; or NULL */
    bool has_upstream_address, has_upstream_local_address;
    struct tls_connection *upstream_tls; /* held until the stream is logged */
    uint64_t upstream_connection_id;     /* with has_upstream_local_address */
    struct connection_times upstream_times;
    uint64_t pool_ready_ns; /* how long it took to get a connection, or POOL_NOT_READY; with
                             * has_upstream_address */
    unsigned attempts;
    uint64_t grpc_messages[2]; /* [direction], with has_grpc_messages */
    bool has_grpc_messages;
    enum http_protocol upstream_protocol; /* with has_upstream_address, ... */
    bool upstream_is_tcp;                 /* ... unless so */
    enum access_log_type log_type;        /* of the line that is being written */
};

struct stream {
    uint32_t magic;
    uint32_t generation; /* changes when the object is reused: see stream_handle */
    struct arena *arena;
    struct worker *worker;
    struct http_conn *conn;
    struct codec_stream *codec_stream; /* NULL once the codec has let go */
    struct http_manager *manager;      /* pinned */
    struct route_config *routes;       /* pinned; NULL: none known */
    const struct scope_entry *scope;   /* of scoped routes, whose routes those are; or NULL */
    uint64_t id;
    struct headers request_headers, request_trailers, response_headers, response_trailers;
    struct request request;
    struct address remote; /* after x-forwarded-for */
    bool remote_is_internal;
    struct route_match_result route; /* valid while route_matched */
    bool route_matched;
    struct http_filter *filters;
    unsigned n_filters;
    struct stream_info info;
    struct stream_private *priv; /* stream.c's own */
};

struct stream_handle {
    struct stream *stream;
    uint32_t generation;
};
static inline struct stream_handle stream_handle_of(struct stream *s)
{
    return (struct stream_handle){s, s->generation};
}
/* NULL when that stream is gone. Streams come from a pool that never returns memory while the
 * worker runs, so the generation can always be read. */
static inline struct stream *stream_from_handle(struct stream_handle h)
{
    return h.stream && h.stream->generation == h.generation ? h.stream : NULL;
}

/* The matched route, cached; route == NULL in the result when nothing matches. */
const struct route_match_result *stream_route(struct stream *s);
void stream_clear_route(struct stream *s);
/* After a change of the head that leaves the route what it is: reads s->request anew. */
void stream_read_request(struct stream *s);
/* Goes on with the routes that the newest snapshot has for this connection; the route is matched
 * anew. For a request that has waited for them. */
void stream_refresh_routes(struct stream *s);
/* Ends the stream with a row of the table: a response if none has begun, otherwise a reset.
 * detail may add to the body (see Envoy's "upstream connect error ..."); NULL for the row's own. */
void stream_local_reply(struct stream *s, const struct stream_error *e, const char *body,
                        const char *details);
/* A response of our own with chosen status (direct response, redirect, health check): headers may
 * be prepared in s->response_headers; :status and content-length are set here. */
void stream_direct_reply(struct stream *s, unsigned status, struct bytes body, const char *details);
/* Ends the stream without a (further) response: the downstream sees a reset. */
void stream_reset(struct stream *s, const struct stream_error *e);
/* Restarts the stream idle timer: any byte in either direction. */
void stream_touch(struct stream *s);
/* Idle timeout of the route in place of the manager's; 0 = off. Max stream duration likewise. */
void stream_set_idle_timeout(struct stream *s, uint64_t ms);
void stream_set_max_duration(struct stream *s, uint64_t ms);
/* That duration is over: the answer to it follows, from the loop. */
void stream_expire(struct stream *s);
/* The timer of the filter that ends the chain, made ready: it rests when the stream ends, so that
 * the next one that gets it finds its place in the queue. */
struct timer *stream_terminal_timer(struct stream *s, void (*fn)(struct timer *t), void *owner);
/* Emptied for one more attempt at the request, so that retries do not add up in the stream's own
 * arena. Lives as long as that one. */
struct arena *stream_attempt_arena(struct stream *s);
/* What the client asks for, if the connection manager has let it pass. */
enum tunnel stream_tunnel(const struct stream *s);
/* Gives a CONNECT, and what HTTP/2 has as one, the port again that the connection manager took from
 * its authority: virtual hosts are found without, but an origin is told it. */
void stream_restore_port(struct stream *s);
/* Does it ask for a tunnel that it was not admitted for, or that the route of now does not take? */
bool stream_refuses_tunnel(struct stream *s);
/* Is it a CONNECT whose bytes go to the route's cluster as they are, or a POST that is as good? */
bool stream_ends_tunnel(struct stream *s);
/* What goes there before them, of the PROXY protocol; returns its length, 0: nothing. */
size_t stream_proxy_header(struct stream *s, char out[PROXY_PROTOCOL_MAX]);
/* Does the request speak gRPC (content-type), as filters have left it? Replies of our own follow
 * what the client sent. */
bool stream_is_grpc(const struct stream *s);
/* grpc-status of the trailers, else of the head, else as of the HTTP status; GRPC_NO_STATUS while
 * nothing was answered (see grpc.h). */
int64_t stream_grpc_status(const struct stream *s);
/* Of the connection; whoever it was that was refused too, in a listener's access log. */
const struct address *stream_local_address(const struct stream *s);
const struct address *stream_direct_remote(const struct stream *s);
struct bytes stream_server_name(const struct stream *s); /* the client's, of TLS; or empty */
/* How much of a body may be collected in the proxy, bytes; 0: no limit. */
uint32_t stream_buffer_limit(const struct stream *s);
/* Has the whole request (end of stream) been received from downstream? */
bool stream_request_complete(const struct stream *s);
/* Has the head of an answer left the filters? Until then another may take its place. */
bool stream_response_sent(const struct stream *s);
