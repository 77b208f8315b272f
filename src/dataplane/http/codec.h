/* One table for every HTTP version and both sides. A codec is pure: bytes in, events out; events
 * in, bytes out. It never reads or writes a socket, and output is only queued while input runs:
 * the owner flushes after codec_input() has returned. One thread.
 *
 * What follows a head that asks for a tunnel (tunnel.h) is data without end; nothing of it is to be
 * sent upstream before the answer has opened it.
 *
 * Naming is by message, not by side: a downstream codec receives requests and sends responses, an
 * upstream codec sends requests and receives responses. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "dataplane/http/headers.h"
#include "dataplane/http/wire_bytes.h"
#include "dataplane/net/buffer.h"

struct codec;
struct codec_stream; /* the codec's half of a stream; `user` is the owner's */

enum http_protocol { PROTOCOL_HTTP10, PROTOCOL_HTTP11, PROTOCOL_HTTP2 };

enum codec_underscores {
    CODEC_UNDERSCORES_ALLOW,
    CODEC_UNDERSCORES_REJECT,
    CODEC_UNDERSCORES_DROP,
};

struct codec_options {
    const char *default_host_for_http_10; /* NULL: none */
    uint32_t max_headers_bytes;           /* charged before anything is allocated; 431 */
    uint32_t max_headers_count;           /* 100 */
    bool downstream;                      /* receives requests */
    bool accept_http_10, enable_trailers, allow_chunked_length, allow_absolute_url;
    bool allow_custom_methods;
    bool refuse_https_url; /* "GET https://..." over plaintext is not this proxy's to serve */
    uint8_t underscores;   /* enum codec_underscores */
};

enum { CODEC_HEADERS_MAX = 60000 }; /* what a header list holds, less what is added to it */

/* How much input a codec with these options may leave unread while it waits for the rest of a
 * piece: what the connection must be allowed to hold, whatever its buffer limit. */
static inline uint32_t codec_input_need(const struct codec_options *o)
{
    enum { SMALL_PIECES = 8192 }; /* a line of chunk sizes, say */
    return (o->max_headers_bytes > SMALL_PIECES ? o->max_headers_bytes : SMALL_PIECES) + 1;
}

/* Why a message was refused. `details` is Envoy's response_code_details ("http1.codec_error"). */
struct codec_error {
    unsigned status;     /* 400, 426, 431, 501 ... to send, downstream; 0: a flood, no message */
    const char *details; /* constant */
    const char *message; /* constant: for the log */
};

/* Calls of the codec to its owner. A callback may send and may reset streams; it never frees the
 * codec (connections are destroyed at the end of the turn). */
struct codec_callbacks {
    /* Downstream: a request begins (its first byte came). Returns the owner's stream object, whose
     * header list (and its arena) the codec fills. Upstream: not called. */
    void *(*on_stream_begin)(void *owner, struct codec_stream *s, struct headers **headers);
    /* Head complete. end: no body follows. upstream: also 1xx (status in :status). */
    void (*on_headers)(void *owner, void *user, bool end);
    /* Body bytes, by reference: take slices out of data (what is left is dropped). */
    void (*on_data)(void *owner, void *user, struct buffer *data, bool end);
    /* Trailers were put into the list given by set_trailers(); always the end. */
    void (*on_trailers)(void *owner, void *user);
    /* The stream is dead: reset by the peer or by a protocol error of the stream alone. */
    void (*on_reset)(void *owner, void *user, const char *reason);
    /* The message could not be understood: the connection must close after the error's reply. */
    void (*on_error)(void *owner, void *user_or_null, const struct codec_error *e);
    /* HTTP/2 alone, all optional. What waits to be sent of this stream has passed stream_limit (may
     * come from inside a send), or has fallen to half of it. */
    void (*on_stream_watermark)(void *owner, void *user, bool above);
    void (*on_ping)(void *owner);     /* a PING was answered */
    void (*on_settings)(void *owner); /* max_streams may have changed */
    void (*on_count)(void *owner, unsigned http2_stat);
    /* A gauge has changed; after flush, input and free, which leaves them at 0. */
    void (*on_gauge)(void *owner, unsigned http2_stat, int64_t change);
    /* Upstream HTTP/2 and HTTP/1 "Connection: close" seen: no further stream on this connection. */
    void (*on_no_more_streams)(void *owner);
};

struct codec_ops {
    const char *name;
    /* Feeds bytes: consumes from `in` what it can. Bytes of a pipelined message stay in `in` until
     * the current one is finished (HTTP/1). Returns false when the connection must close. */
    bool (*input)(struct codec *c, struct buffer *in);
    /* The peer closed its side: finishes a body that ends with the connection, or errs. */
    bool (*input_eof)(struct codec *c);
    /* Upstream: starts a request stream. */
    struct codec_stream *(*stream_new)(struct codec *c, void *user, struct headers *response);
    /* Where trailers received for this stream are put. Without it they are dropped. */
    void (*set_trailers)(struct codec_stream *s, struct headers *trailers);
    /* Sends a head; end: nothing follows. Downstream responses, upstream requests. */
    void (*send_headers)(struct codec_stream *s, const struct headers *h, bool end);
    void (*send_informational)(struct codec_stream *s, const struct headers *h); /* 100, 103 */
    void (*send_data)(struct codec_stream *s, struct buffer *data, bool end);    /* moves data */
    void (*send_trailers)(struct codec_stream *s, const struct headers *h);
    /* Gives up the stream: afterwards no callback names it. What the user has sent to its end is
     * still sent. http2_code: what the peer is told, where it can be told. */
    void (*stream_reset)(struct codec_stream *s, uint32_t http2_code);
    /* May a further stream follow on this connection, or is it to be closed after the current one?
     * Valid from on_headers on; a message may only take it away. */
    bool (*reusable)(const struct codec *c);
    /* Downstream drain: tell the peer to go ("Connection: close" on the next response; a GOAWAY
     * that refuses nothing yet). */
    void (*drain)(struct codec *c);
    /* HTTP/2 alone. No further stream is taken; those there are go on. */
    void (*goaway)(struct codec *c);
    void (*ping)(struct codec *c);
    /* Stops and resumes reading this stream alone: its window is not given back meanwhile. NULL:
     * the connection has to stop. */
    void (*stream_pause)(struct codec_stream *s, bool paused);
    /* Resets the streams that nobody owns any more and whose peer has taken nothing since the last
     * call. Returns how many there were; *left: others that wait for their peer. */
    unsigned (*reset_stuck)(struct codec *c, unsigned *left);
    /* Makes frames of what is queued, until `out` holds room bytes. Not from inside a callback of
     * input: there it does nothing. */
    void (*flush)(struct codec *c, size_t room);
    void (*free)(struct codec **c);
};

struct codec {
    const struct codec_ops *ops;
    const struct codec_callbacks *cb;
    void *owner;
    struct buffer *out;           /* queued output; the owner's, flushed after input */
    struct wire_bytes *bytes;     /* the owner's; NULL: nobody counts. HTTP/2 does not */
    struct codec_options options; /* by codec_set_options() */
    uint8_t protocol;             /* enum http_protocol, of the current message received */
    bool multiplexed;             /* HTTP/2: it is a codec_mux */
    bool sends_to_end; /* the message being sent, or broken off, ends where the connection does */
    bool peer_is_done; /* HTTP/1: the request says that no other follows ("connection: close") */
    bool begin_held;   /* set by the owner: no further request is to begin yet */
};

/* At any time: a message under way is judged by them from here on. What they point to must live. */
static inline void codec_set_options(struct codec *c, const struct codec_options *o)
{
    c->options = *o;
    if (c->options.max_headers_count > CODEC_HEADERS_MAX)
        c->options.max_headers_count = CODEC_HEADERS_MAX;
}

/* What a codec of many streams has besides. */
struct codec_mux {
    struct codec c;
    bool over;             /* the connection is to be closed once `out` is written */
    bool blocked;          /* flush() left frames for want of room */
    bool remote_reset;     /* during on_reset: the peer did it */
    uint32_t reset_code;   /* during on_reset */
    uint32_t stream_limit; /* watermark of a stream's unsent bytes; 0: none */
    uint32_t max_streams;  /* the peer's limit of streams at a time */
    uint32_t open_streams; /* that are not closed, or not all sent yet */
};
static inline struct codec_mux *codec_mux(struct codec *c)
{
    CHECK(c->multiplexed);
    return CONTAINER_OF(c, struct codec_mux, c);
}
