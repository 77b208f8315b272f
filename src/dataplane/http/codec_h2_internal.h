/* Inside of the HTTP/2 codec, shared by its codec_h2_*.c files and nobody else. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "dataplane/http/codec_h2.h"
#include "dataplane/http/tunnel.h"

struct codec_h2;

/* The streams that were reset from this side last: what the peer had sent by then still comes. */
enum { H2_RESETS = 128 };
struct h2_resets {
    int32_t ids[H2_RESETS];
    uint32_t n;
};

struct codec_stream {
    struct codec_h2 *h2;
    struct list link;                      /* in h2->streams */
    struct list drained_link, failed_link; /* what its user is told after the frames are made */
    struct list reset_link;                /* to be reset after what is queued of it */
    void *user;                            /* NULL: nobody listens any more */
    struct headers *headers, *trailers;
    int32_t id;     /* 0: a request that was not sent yet */
    uint32_t limit; /* of `out`: the watermark */
    /* received */
    struct buffer in;    /* body of the frame that is being read */
    size_t unconsumed;   /* bytes that the window owes while reading is paused */
    size_t header_bytes; /* of the block being decoded */
    uint32_t header_count, cookies;
    uint8_t tunnel;       /* enum tunnel: what its request asks for */
    struct bytes upgrade; /* upstream: to what, in the request's memory */
    bool head_done;       /* the final head was received */
    bool in_trailers, recv_ended, paused;
    bool host_seen;
    struct bytes host;
    /* sent */
    struct buffer out;  /* body that is no frame yet */
    size_t seen_unsent; /* when h2_reset_stuck() looked last; 0: it has not */
    size_t promised;    /* of it, to a frame that is begun */
    nghttp2_nv *trailer_fields;
    size_t n_trailer_fields;
    bool head_sent, out_end, send_ended, deferred, above, framed_end;
    bool reset_after; /* the user is gone: NO_ERROR once all is framed */
    bool reset_sent;
    uint32_t failed_code, reset_code;
    const struct codec_error *error; /* why it is being reset */
};

struct codec_h2 {
    union {
        struct codec c;
        struct codec_mux mux; /* begins with it */
    };
    nghttp2_session *session;
    struct h2_memory *memory;
    struct h2_page *table; /* where nghttp2 has its streams; NULL: not known */
    struct http2_options o;
    struct list streams, drained, failed, resetting;
    struct buffer *input; /* while it is read */
    struct bytes input_piece;
    struct codec_stream *reading; /* the stream of a DATA frame that is not whole yet */
    const struct codec_error *error;
    size_t room; /* of this flush */
    bool busy;   /* inside nghttp2: no frames are made now */
    bool broken; /* nothing is read any more */
    bool error_told, draining, goaway_sent, goaway_received;
    bool settings_seen; /* the peer's */
    /* what the peer has caused (codec_h2_limits.c) */
    uint32_t empty_frames, control_queued;
    struct {
        uint8_t head[9]; /* of the frame that comes */
        uint8_t have;
        uint32_t left; /* of its payload, or of the preface */
    } scan;
    size_t pending; /* bytes of bodies that are no frames yet */
    struct {
        int64_t streams, pending, frames, control;
    } told;                   /* of the gauges */
    int32_t last_stream;      /* begun by the peer */
    int32_t goaway_last;      /* what goaway() said: no later one is begun */
    struct h2_resets *resets; /* NULL: we have reset none */
    uint64_t priority_frames, window_updates, streams_opened, data_sent;
};

extern const struct codec_error h2_error_protocol, h2_error_messaging, h2_error_too_many,
    h2_error_too_large, h2_error_underscore, h2_error_field, h2_error_empty_flood,
    h2_error_priority_flood, h2_error_window_flood, h2_error_control_flood, h2_error_outbound_flood,
    h2_error_no_memory, h2_error_header;

static inline struct codec_h2 *h2_of(struct codec *c)
{
    return CONTAINER_OF(c, struct codec_h2, c);
}

void h2_count(struct codec_h2 *h, enum http2_stat stat);
void h2_tell_gauges(struct codec_h2 *h);

/* codec_h2_memory.c */
void *h2_alloc(struct h2_memory *m, size_t size); /* zeroed; NULL: no memory */
void h2_release(struct h2_memory *m, void *p);
struct h2_memory *h2_memory_ref(struct h2_memory *m);
nghttp2_mem h2_nghttp2_memory(struct h2_memory *m);
struct h2_pages *h2_memory_pages(struct h2_memory *m);
/* Around the making of a session, whose frames are made in the memory that all share. */
void h2_memory_opening(struct h2_memory *m, bool opening);
/* Around whatever makes a frame, until it is copied: keeps the one that another session was making
 * when it told its user something. */
void *h2_memory_frame_begin(struct h2_memory *m);
void h2_memory_frame_end(struct h2_memory *m, void *outer);

/* codec_h2.c. Ends the connection with a GOAWAY of this code; nothing more is read. */
void h2_break(struct codec_h2 *h, const struct codec_error *e, uint32_t code);
/* Has the session ended? Tells why, once. */
void h2_notice_end(struct codec_h2 *h);
struct codec_stream *h2_stream_make(struct codec_h2 *h, int32_t id);
void h2_stream_free(struct codec_stream *s);
/* Tells the user that the stream is dead, once. */
void h2_stream_dead(struct codec_stream *s, uint32_t code);
void h2_reset(struct codec_stream *s, uint32_t code);
/* The same for all that wait for it, less what could not be framed. False: none did. */
bool h2_reset_waiting(struct codec_h2 *h);
/* Both directions have ended as far as the user can see: he is told nothing more. */
void h2_stream_settle(struct codec_stream *s);

/* codec_h2_recv.c */
void h2_recv_callbacks(nghttp2_session_callbacks *cb);
/* Gives the stream what has come of an unfinished frame. */
void h2_recv_rest(struct codec_h2 *h);
void h2_consume(struct codec_stream *s, size_t n);

/* codec_h2_head.c: a header block into a list of headers. */
int h2_head_begin(struct codec_h2 *h, struct codec_stream *s);
int h2_head_field(struct codec_h2 *h, struct codec_stream *s, struct bytes name,
                  struct bytes value);
/* NULL: good. */
const struct codec_error *h2_head_end(struct codec_h2 *h, struct codec_stream *s);

/* codec_h2_send.c */
void h2_send_callbacks(nghttp2_session_callbacks *cb);
void h2_send_headers(struct codec_stream *s, const struct headers *h, bool end);
void h2_send_informational(struct codec_stream *s, const struct headers *h);
void h2_send_data(struct codec_stream *s, struct buffer *data, bool end);
void h2_send_trailers(struct codec_stream *s, const struct headers *h);
void h2_flush(struct codec *c, size_t room);

/* codec_h2_limits.c */
/* How much of it may be given to nghttp2 at once; frames that it would drop in silence are seen
 * here. */
size_t h2_scan(struct codec_h2 *h, struct bytes piece);
/* A message's frame on a stream that has ended? */
bool h2_is_closed(struct codec_h2 *h, int32_t id);
void h2_note_reset(struct codec_h2 *h, int32_t id);
/* A RST_STREAM waits, ours or one that nghttp2 makes by itself. s: NULL if it was refused. */
void h2_reset_queued(struct codec_h2 *h, int32_t id, struct codec_stream *s);
/* May a frame of this stream come, which is not there any more? */
bool h2_may_be_late(const struct codec_h2 *h, int32_t id);
void h2_limit_frame(struct codec_h2 *h, const nghttp2_frame *frame);
void h2_limit_outbound(struct codec_h2 *h);
void h2_limit_counts(struct codec_h2 *h);
