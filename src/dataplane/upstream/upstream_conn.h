/* struct upstream_conn: one pooled connection with its codec; carries one request at a time,
 * or many where it speaks HTTP/2 (upstream_mux.h). Made
 * and owned by its pool, freed in its connection's on_close. Worker thread only.
 *
 *   CONNECTING ─► IDLE ◄─► BUSY
 *        └─────────┴────────┴──► CLOSING ─ on_close ─► freed */
#pragma once

#include "dataplane/http/codec.h"
#include "dataplane/net/connection.h"
#include "dataplane/upstream/conn_pool.h"

#define UPSTREAM_CONN_STATE_LIST(X) X(CONNECTING) X(IDLE) X(BUSY) X(CLOSING)
enum upstream_conn_state {
#define X(id) UPSTREAM_CONN_##id,
    UPSTREAM_CONN_STATE_LIST(X)
#undef X
};

struct upstream_mux;

struct upstream_conn {
    struct list link; /* in the pool: idle, busy, connecting, closing */
    struct conn_pool *pool;
    enum upstream_conn_state state;
    struct connection *connection;
    struct codec *codec;
    struct buffer out;            /* the codec's output on its way to the connection */
    struct pool_request *request; /* BUSY, and its user still wants the response */
    struct codec_stream *stream;
    struct upstream_mux *mux; /* HTTP/2: its requests; NULL: HTTP/1 */
    struct timer idle_timer, duration_timer;
    uint64_t id; /* worker_connection_id() */
    uint64_t idle_since_ms;
    uint64_t rx_counted, tx_counted;
    uint64_t tx_at_attach; /* bytes written before the current request */
    uint32_t requests_left, served;
    uint32_t pauses; /* of reading, by the request */
    bool connected;  /* handshake was done */
    bool tunnel;     /* an open one: what is queued is written before it is closed */
    bool serving;    /* counted as an active request */
    bool aborted;    /* closed with a request that had not ended */
    bool request_done, response_done;
    bool head_seen; /* of the current response, the final one; of TCP: always */
    bool no_more;   /* Connection: close, or last request: close after this one */
    bool eof;       /* the peer's end was seen */
};

/* Starts to connect; the connection stands in pool->connecting. */
struct upstream_conn *upstream_conn_new(struct conn_pool *p);
/* Closes without callbacks and frees: shutdown only. */
void upstream_conn_drop(struct upstream_conn *uc);
/* An idle connection takes a request. */
void upstream_conn_attach(struct upstream_conn *uc, struct pool_request *r);
/* Counts what has come of an answer that nobody will read: called at its head, or at an error. */
void upstream_conn_count_unread(struct upstream_conn *uc);
/* The user of the request has gone. */
void upstream_conn_detach(struct upstream_conn *uc);
/* Takes it out of the pool; on_close follows. */
void upstream_conn_close(struct upstream_conn *uc, enum close_reason reason);
void upstream_conn_set_idle(struct upstream_conn *uc);
