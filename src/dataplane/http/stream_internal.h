/* Inside of a stream, shared by stream*.c, filter_chain.c, local_reply.c, http_conn.c and hcm_*.c
 * and nobody else. Worker thread. */
#pragma once

#include "base/list.h"
#include "dataplane/http/http_conn.h"
#include "dataplane/http/stream.h"

/* What one filter holds back in one direction. */
struct filter_hold {
    bool headers; /* the head stopped here; it goes to the next filter */
    bool headers_end;
    bool all;     /* PAUSE on the head: nothing is shown to this filter meanwhile */
    bool unseen;  /* the data below came while `all`: this filter sees it first */
    bool stopped; /* waits for filter_resume() */
    bool reading_paused;
    bool end, trailers;
    struct buffer data;
};

struct stream_private {
    struct list link;                         /* dead list or free list of the pool */
    struct list mux_link;                     /* in http_conn_mux: HTTP/2 */
    struct filter_hold *holds[2];             /* [direction][filter] */
    struct chain_binding *binding;            /* pinned: holds the listener's statistics */
    struct scope_table *scopes;               /* pinned; NULL: no scoped routes */
    const struct http_upgrade *upgrade;       /* whose filters count; NULL: none's */
    const struct http_filter_slot *slots;     /* of the chain */
    const struct refused_connection *refused; /* with no_request: it never was one of HTTP */
    uint64_t random;                          /* of route matching */
    uint64_t idle_ms;
    unsigned request_pauses, response_pauses;
    uint32_t reset_code;    /* HTTP/2's, when the stream is given up */
    uint32_t stripped_port; /* of a tunnel's authority ... */
    bool has_stripped_port; /* ... which an origin gets again */
    bool headers_received, request_complete;
    bool response_begun; /* a head is on its way through the filters, or further */
    bool response_sent;  /* its head has been given to the codec */
    bool response_complete;
    bool continued;  /* a 100 was sent on */
    bool no_request; /* it is a connection, in its listener's access log */
    bool local_reply, reset, finished;
    bool is_head, is_grpc; /* as the client sent it */
    uint8_t tunnel;        /* enum tunnel: what the request asks for ... */
    bool tunnel_body;      /* ... though it announces a body */
    bool admitted;         /* ... and may */
    bool tunnel_open;      /* the answer has opened it */
    uint8_t ended;         /* with no_request: enum close_reason */
    uint8_t grpc_status;   /* of a local reply; 0: as of its HTTP status */
    bool rested;           /* in the free list of the pool, its arena was not needed for long */
    bool above_watermark;  /* the connection's share of response_pauses */
    struct arena *attempt_arena; /* stream_attempt_arena(); NULL: nothing was tried again */
    struct timer *log_timer;     /* NULL: no line before the end */
    /* Last, since they stay when the object is used again: between two streams they rest. */
    struct timer idle_timer, request_timer, headers_timer, duration_timer, terminal_timer;
};

struct stream_slot {
    struct stream s;
    struct stream_private p;
};

enum { STREAM_ARENA_FIRST = 8192 };

/* stream.c. Called by the codec's owner. */
struct stream *stream_new(struct http_conn *conn, struct codec_stream *cs);
void stream_on_headers(struct stream *s, bool end);
void stream_on_data(struct stream *s, struct buffer *data, bool end);
void stream_on_trailers(struct stream *s);
void stream_on_codec_error(struct stream *s, const struct codec_error *e);
/* The connection is gone, or goes: no response can follow. */
void stream_on_disconnect(struct stream *s, bool remote);
/* The codec has lost this stream alone. remote: the client has reset it. */
void stream_on_peer_reset(struct stream *s, const char *details, bool remote);
void stream_pause_reading(struct stream *s);
void stream_resume_reading(struct stream *s);
/* Counted: tells the terminal filter when the first pause comes and the last one goes. */
void stream_response_watermark(struct stream *s, bool above);
/* The connection's output has passed its limit, or has fallen again. */
void stream_on_watermark(struct stream *s, bool above);

/* stream_response.c. The codec's end of the response filters. */
void stream_send_headers(struct stream *s, bool end);
void stream_count_status(struct stream *s, unsigned status);
void stream_send_informational(struct stream *s, const struct headers *h); /* counted */
void stream_send_data(struct stream *s, struct buffer *data, bool end);
void stream_send_trailers(struct stream *s);

/* stream_finish.c */
void stream_finish(struct stream *s);

/* filter_chain.c */
void filter_chain_create(struct stream *s);
void filter_chain_request_headers(struct stream *s, bool end);
void filter_chain_request_data(struct stream *s, struct buffer *data, bool end);
void filter_chain_request_trailers(struct stream *s);
/* A response made here rather than by the terminal filter: through all filters, the last first. */
void filter_chain_response(struct stream *s, struct bytes body);
void filter_chain_drop(struct stream *s, enum filter_direction dir);
void filter_chain_destroy(struct stream *s);

/* stream_timeouts.c. init and fini are the pool's. */
void stream_timers_init(struct stream *s, struct loop *loop);
void stream_timers_fini(struct stream *s);
void stream_timers_start(struct stream *s);
void stream_timers_request_complete(struct stream *s);
void stream_timers_stop(struct stream *s);

/* local_reply.c: fills s->response_headers; returns the body to send. */
struct bytes local_reply_build(struct stream *s, unsigned status, struct bytes body);

/* hcm_request.c. NULL, or why the request is refused; *details may replace the row's own. */
const struct stream_error *hcm_request(struct stream *s, const char **details);
/* hcm_forwarded.c: the client's address, x-forwarded-*, internal or external. */
void hcm_forwarded(struct stream *s);
/* hcm_client_cert.c: x-forwarded-client-cert, as the manager says. */
void hcm_client_cert(struct stream *s);
/* hcm_connect_udp.c, of an upgrade: whom one to connect-udp wants to reach becomes the request's
 * authority. */
const struct stream_error *hcm_connect_udp(struct stream *s);
/* hcm_path.c */
const struct stream_error *hcm_normalize_path(struct stream *s);
/* hcm_hop_by_hop.c */
void hcm_remove_hop_by_hop(struct headers *h, bool request);
/* hcm_tunnel.c: the hop-by-hop headers of a request. */
void hcm_tunnel_headers(struct stream *s);
/* May it have its tunnel? NULL, or why not; *details may replace the row's own. */
const struct stream_error *hcm_tunnel(struct stream *s, const char **details);
void hcm_tunnel_response(struct stream *s);
/* hcm_response.c */
void hcm_response(struct stream *s);
/* The same for a 1xx that the origin said. */
void hcm_informational(struct stream *s, struct headers *h);

static inline bool stream_over(const struct stream *s)
{
    return s->priv->finished || s->priv->reset;
}

static inline void stream_stat(struct stream *s, enum http_stat stat)
{
    stat_inc(s->manager->stats, s->worker->slot, stat);
}
