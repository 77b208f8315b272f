/* The HTTP/2 half of struct upstream_conn: many requests at a time. Made when the protocol of a
 * connection is known; inside of the room. Worker thread.
 *
 * IDLE means here that another request fits (with or without others under way), BUSY that none
 * does. */
#pragma once

#include "dataplane/http/h2_keepalive.h"
#include "dataplane/upstream/upstream_conn.h"

struct upstream_mux {
    struct list requests; /* struct pool_request, link */
    unsigned n_requests;
    uint32_t max_requests;           /* at a time, as configured */
    const struct codec_error *error; /* why the connection ends */
    struct h2_keepalive keepalive;
    bool in_input;
};

extern const struct connection_ops upstream_mux_connection_ops;

/* The connection is to speak HTTP/2: replaces its codec. */
void upstream_mux_begin(struct upstream_conn *uc);
void upstream_mux_connected(struct upstream_conn *uc);
void upstream_mux_attach(struct upstream_conn *uc, struct pool_request *r);
/* The user of the request has gone. */
void upstream_mux_detach(struct pool_request *r);
/* Frames of what is queued: at the end of the turn. */
void upstream_mux_flush(struct upstream_conn *uc);
/* Sent to its end; the answer may have ended before. */
void upstream_mux_sent(struct pool_request *r);
/* Takes no further request, and closes after the last of those there are. */
void upstream_mux_retire(struct upstream_conn *uc);
/* The connection has closed, or is dropped without a word (tell: false). */
void upstream_mux_end(struct upstream_conn *uc, enum upstream_failure why, struct bytes text,
                      bool tell);
static inline bool upstream_conn_used(const struct upstream_conn *uc)
{
    return uc->mux && uc->mux->n_requests > 0;
}

/* upstream_conn.c, for this half. */
void upstream_conn_count_bytes(struct upstream_conn *uc);
void upstream_conn_on_connected(struct connection *c);
void upstream_conn_on_close(struct connection *c, enum close_reason reason);
void upstream_conn_count_request(struct upstream_conn *uc);
struct codec_options upstream_conn_codec_options(const struct upstream_conn *uc);
