/* The HTTP/2 half of struct http_conn: many streams at a time. Made when the protocol of a
 * connection is known; inside of the room. Worker thread. */
#pragma once

#include "dataplane/http/h2_keepalive.h"
#include "dataplane/http/http_conn.h"

struct http_conn_mux {
    struct list streams; /* struct stream_private, mux_link */
    unsigned n_streams;
    uint64_t ended, premature; /* streams; those that were given up at once */
    const struct codec_error *error;
    struct stat_scope *codec_stats; /* http2.*: the list's */
    struct h2_keepalive keepalive;
    struct timer stuck_timer; /* while the codec has more streams than we do */
    size_t interim;           /* bytes of interim answers since the last flush */
    bool goaway_sent, finishing;
};

/* The first bytes of an undecided connection tell what it speaks. False: too few to tell. */
bool http_conn_decide(struct http_conn *c, const struct buffer *in);

/* The connection's on_data, from now on. */
void http_conn_mux_on_data(struct connection *connection, struct buffer *in, bool end);
/* Makes frames of what is queued, and closes what is finished. */
void http_conn_mux_flush(struct http_conn *c);
void http_conn_mux_stream_done(struct http_conn *c, struct stream *s);
/* Tells the client to go; what it has asked for is still answered. */
void http_conn_mux_drain(struct http_conn *c);
void http_conn_mux_goaway(struct http_conn *c);
/* The connection has closed: its streams end. Frees the half. */
void http_conn_mux_end(struct http_conn *c, bool remote);

/* http_conn.c, for this half. */
void http_conn_count(struct http_conn *c, enum http_stat stat, int64_t n);
void http_conn_count_bytes(struct http_conn *c);
void http_conn_become_idle(struct http_conn *c);
void http_conn_on_close(struct connection *connection, enum close_reason reason);
bool http_conn_may_begin(struct http_conn *c);
struct codec_options http_conn_codec_options(const struct http_conn *c);
