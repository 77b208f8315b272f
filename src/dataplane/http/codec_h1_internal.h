/* Inside of the HTTP/1 codec, shared by its four files and nobody else. */
#pragma once

#include "dataplane/http/codec_h1.h"
#include "dataplane/http/http_syntax.h"
#include "dataplane/http/tunnel.h"

#define H1_RECV_LIST(X)                                                                            \
    X(IDLE)        /* between messages */                                                          \
    X(EMPTY_LINES) /* of a request that has begun with one */                                      \
    X(HEAD)        /* collecting a head */                                                         \
    X(LENGTH)      /* body of known length */                                                      \
    X(CHUNK_SIZE)  /* a chunk-size line */                                                         \
    X(CHUNK_DATA)                                                                                  \
    X(CHUNK_END) /* CRLF after chunk data */                                                       \
    X(TRAILERS)                                                                                    \
    X(UNTIL_CLOSE) /* a response without length */                                                 \
    X(TUNNEL)      /* bytes that are no message */                                                 \
    X(DONE)        /* received; the other direction goes on */                                     \
    X(BROKEN)      /* nothing is read any more */

enum h1_recv {
#define X(id) H1_RECV_##id,
    H1_RECV_LIST(X)
#undef X
};

enum h1_send {
    H1_SEND_IDLE, /* no head sent yet */
    H1_SEND_LENGTH,
    H1_SEND_CHUNKED,
    H1_SEND_TUNNEL, /* bytes that are no message */
    H1_SEND_CLOSE,  /* body ends with the connection */
    H1_SEND_NONE,   /* the message has no body, whatever is given */
    H1_SEND_DONE,
};

enum {
    H1_CHUNK_LINE_MAX = 4096,     /* chunk size and extensions */
    H1_OUT_SOFT_MAX = 256 * 1024, /* no further pipelined request begins above this */
};

struct codec_h1;

struct codec_stream {
    struct codec_h1 *h1;
    void *user;               /* NULL: nobody listens any more */
    struct headers *headers;  /* where the received head goes */
    struct headers *trailers; /* or NULL: dropped */
};

struct codec_h1 {
    struct codec c;
    struct codec_stream stream;
    uint64_t recv_left, send_left; /* of a body of known length, or of the chunk */
    /* The head being collected: how far it was scanned, where its last line began. */
    size_t scanned, line_start;
    uint32_t lines;
    uint8_t recv, send; /* enum h1_recv, enum h1_send */
    bool active;        /* a message exchange is under way */
    bool keep_alive, draining;
    bool request_is_head, request_is_connect;
    bool host_seen, authority_from_target;
    bool tunnel_open;     /* upstream: the origin has agreed */
    uint8_t tunnel;       /* enum tunnel: what the current request asks for */
    struct bytes host;    /* of the head being parsed */
    struct bytes upgrade; /* upstream: what the request asks for, in its own memory */
};

enum h1_scan { H1_SCAN_MORE, H1_SCAN_FOUND, H1_SCAN_TOO_LARGE, H1_SCAN_TOO_MANY };

/* codec_h1_parse.c. Finds the end of the head at the front of `in`, going on where it stopped. */
enum h1_scan h1_scan_head(struct codec_h1 *h, const struct buffer *in, size_t *head_len);
void h1_scan_reset(struct codec_h1 *h);
/* Offset of the first LF at or after `from`. */
bool h1_find_lf(const struct buffer *in, size_t from, size_t *at);
bool h1_is_token_char(char c);
static inline uint64_t h1_load_8(const char *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}
/* A high bit for each DEL and each byte below `least` (at most 0x80) among the eight of x, and
 * perhaps, by a borrow, for bytes behind the first of them; 0: there is none. */
static inline uint64_t h1_odd_bytes(uint64_t x, unsigned least)
{
    const uint64_t ones = 0x0101010101010101ull, high = 0x8080808080808080ull;
    uint64_t del = x ^ (ones * 0x7f);
    return (((x - ones * least) & ~x) | ((del - ones) & ~del)) & high;
}
/* Parses a complete head (writable: names are lowered in place) into s->headers. NULL: good. */
const struct codec_error *h1_parse_request(struct codec_h1 *h, char *head, size_t len);
const struct codec_error *h1_parse_response(struct codec_h1 *h, char *head, size_t len,
                                            unsigned *status);
/* Lines up to the empty one; out == NULL checks and drops. */
const struct codec_error *h1_parse_fields(struct codec_h1 *h, char *data, size_t len,
                                          struct headers *out, bool trailers);

/* codec_h1_target.c: the request line's parts and Host. */
const struct codec_error *h1_parse_target(struct codec_h1 *h, struct bytes method,
                                          struct bytes target);
const struct codec_error *h1_parse_version(struct codec_h1 *h, struct bytes version);
bool h1_method_known(struct bytes method);

/* codec_h1_framing.c. What body follows a parsed head: sets recv, recv_left, keep_alive. */
const struct codec_error *h1_frame_request(struct codec_h1 *h);
const struct codec_error *h1_frame_response(struct codec_h1 *h, unsigned status);

/* codec_h1_chunked.c. Decodes what it can from `in` into `body`. NULL: good; h->recv tells. */
const struct codec_error *h1_chunked_input(struct codec_h1 *h, struct buffer *in,
                                           struct buffer *body, bool *progress);

/* codec_h1_encode.c */
void h1_send_headers(struct codec_stream *s, const struct headers *h, bool end);
void h1_send_informational(struct codec_stream *s, const struct headers *h);
void h1_send_data(struct codec_stream *s, struct buffer *data, bool end);
void h1_send_trailers(struct codec_stream *s, const struct headers *h);

/* codec_h1.c: a direction has ended; both ended: the next message may begin. */
void h1_send_ended(struct codec_h1 *h);

/* Does a comma-separated header value hold this token (compared without case)? */
bool h1_has_token(struct bytes value, struct bytes token);

extern const struct codec_error h1_error_codec, h1_error_invalid_chars, h1_error_invalid_url,
    h1_error_invalid_scheme, h1_error_invalid_authority, h1_error_low_version,
    h1_error_transfer_encoding, h1_error_length_and_chunked, h1_error_too_large, h1_error_too_many,
    h1_error_no_memory, h1_error_underscore, h1_error_connection_header, h1_error_te_not_allowed,
    h1_error_length_not_allowed, h1_error_body, h1_error_chunk, h1_error_host_lines,
    h1_error_upgrade, h1_error_https_url;
