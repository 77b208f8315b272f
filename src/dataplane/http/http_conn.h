/* struct http_conn: an accepted connection bound to a filter chain that ends in the HTTP connection
 * manager. Owns the codec, the streams one after the other, keep-alive, drain and the connection's
 * timers. Lives until its connection's on_close. Worker thread only.
 *
 * At each new stream it looks for its chain in the worker's snapshot by name and key, so that a
 * change of the connection manager or of routes takes effect at the next request. When the chain is
 * gone it answers with "Connection: close". */
#pragma once

#include "base/list.h"
#include "config/listener.h"
#include "dataplane/http/codec.h"
#include "dataplane/net/connection.h"
#include "dataplane/net/worker.h"

struct http_conn_mux;
struct stream;

enum { HTTP_CONN_MAGIC = 0x6874636e };

/* What few connections have. */
struct http_conn_more {
    struct timer duration;         /* max_connection_duration */
    const struct listener *logged; /* pinned, to be told of the end; NULL: it has no access logs */
};

struct http_conn {
    uint32_t magic;
    struct list link; /* in worker->http_conns */
    struct list next; /* there, too: its next request waits for a turn */
    struct worker *worker;
    struct connection *connection;
    struct codec *codec;
    struct buffer out;             /* the codec's output on its way to the connection */
    struct chain_binding *binding; /* pinned */
    uint64_t seen;                 /* version of the snapshot it was last looked up in */
    struct stat_scope *stats, *listener_stats; /* own references: those of its birth */
    struct stream *stream;                     /* HTTP/1: the current one, or NULL */
    struct http_conn_mux *mux;                 /* HTTP/2: its streams; NULL: HTTP/1 */
    struct tls_connection *tls;                /* held; NULL: plain text */
    struct timer timer;                        /* idle; once it drains: until it is closed */
    struct http_conn_more *more;               /* NULL: nothing of it */
    uint64_t id, rx_counted, tx_counted;
    uint32_t requests, buffer_limit;
    bool undecided; /* no byte has told the protocol yet */
    bool limited;   /* counts for worker->connections: has taken its place there */
    bool in_input, draining, drain_counted, closing, chain_gone;
    bool inbound, modify_only; /* of the listener: what drains it */
    bool closes_at_timer, codec_failed;
    uint64_t gone_ns;            /* when the chain went */
    bool input_left, input_held; /* pipelined bytes wait; so many that reading is paused */
    uint8_t begun;               /* requests in the turn of streams `turn` */
    uint32_t turn;
    uint32_t address_id; /* of its listener's address that it came to; 0: of none */
};

/* Per-worker state of this room: stream pool and connection list. After worker->loop and ->chunks
 * are set; fini after all connections are closed. */
void http_worker_init(struct worker *w);
void http_worker_fini(struct worker *w);

/* Takes over a connection (accepted, handshake done or not). `l` and `b` are of the worker's
 * current snapshot. Counts it on the listener and on the connection manager. Where the process
 * has a limit of connections (http_conn_limited()) its place was taken, and is given back at the
 * end. */
bool http_conn_limited(const struct worker *w, const struct listener_entry *l);
struct http_conn *http_conn_new(struct worker *w, struct connection *c,
                                const struct listener_entry *l, struct chain_binding *b);
/* The same over an accepted, non-blocking descriptor, which it takes over. */
struct http_conn *http_conn_accept(struct worker *w, int fd, const struct address *remote,
                                   const struct listener_entry *l, struct chain_binding *b);
/* The same over the chain's transport (a socket, TLS over one), which it takes over. */
struct http_conn *http_conn_accept_over(struct worker *w, struct transport *t,
                                        const struct address *remote,
                                        const struct listener_entry *l, struct chain_binding *b);

/* After a swap of worker->snapshot: connections whose chain is gone start to drain (their next
 * response says close). Returns how many there are. */
unsigned http_conn_list_drain_gone(struct worker *w);
/* Closes those whose drain time is over. Returns how many ms later the next one's is; 0: none. */
uint64_t http_conn_list_close_gone(struct worker *w);
void http_conn_list_close_all(struct worker *w);
unsigned http_conn_list_count(const struct worker *w);
unsigned http_conn_list_active_requests(const struct worker *w);

/* Inside of the room: hands queued output to the connection. */
void http_conn_flush(struct http_conn *c); /* HTTP/2: at the end of the turn */
void http_conn_flush_now(struct http_conn *c);
void http_conn_close(struct http_conn *c, enum close_reason reason);
/* How to close: a body that would end with the connection must not look whole when it is not. */
enum close_how http_conn_close_how(const struct http_conn *c, enum close_how usual);
/* A response head is about to go out: the last chance to say close. */
void http_conn_before_response(struct http_conn *c);
/* The current stream has ended; reusable: both its halves were complete. */
void http_conn_stream_done(struct http_conn *c, bool reusable);
/* The next response says close; an idle connection may be used until somebody closes it. */
void http_conn_drain(struct http_conn *c);
/* The same, and closes it after the drain timeout. */
void http_conn_start_drain(struct http_conn *c);
/* Looks the binding up again if the snapshot has changed. */
void http_conn_refresh(struct http_conn *c);
