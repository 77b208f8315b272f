/* Two HTTP/2 codecs joined in memory, or one and hand-made frames; what each tells is written down.
 * Test support. */
#pragma once

#include <check.h>

#include "base/strbuf.h"
#include "dataplane/http/codec_h2.h"

enum { H2_SIDE_STREAMS = 600 };

struct h2_side;

struct h2_seen {
    struct h2_side *side;
    struct codec_stream *stream;
    struct headers headers, trailers;
    unsigned number;
    bool paused, reset;
};

struct h2_side {
    struct codec *codec;
    struct buffer in, out;
    struct arena *arena;
    struct h2_seen seen[H2_SIDE_STREAMS];
    unsigned n_seen;
    struct strbuf text; /* one line an event: "1 head|:method=GET" */
    int64_t counts[HTTP2_STAT_COUNT];
    const struct codec_error *error;
    unsigned pings, settings, no_more, above, below;
    size_t body;
    unsigned in_body;
    struct buffer *kept; /* where bodies go; NULL: nowhere */
    bool quiet;          /* bodies are counted, not printed */
    bool answer;         /* server: 200 without body at the end of the request */
    bool open;           /* of the last input */
    size_t room;
    void (*when_reset)(struct h2_side *s); /* what its user does then; NULL: nothing */
};

struct h2_pair {
    struct chunk_pool *chunks;
    struct h2_memory *memory;
    struct codec_options server_options, client_options;
    struct http2_options h2;
    struct h2_side server, client;
    bool borrowed; /* the chunks are somebody else's */
};

void h2_pair_init(struct h2_pair *p);        /* options may be changed before open */
void h2_pair_open(struct h2_pair *p);        /* both sides, SETTINGS exchanged */
void h2_pair_open_server(struct h2_pair *p); /* the client is made by hand */
void h2_pair_open_client(struct h2_pair *p); /* the server is */
/* The client in a world that moves bytes by itself: nothing is thrown away. */
void h2_pair_open_server_in(struct h2_pair *p, struct chunk_pool *chunks);
void h2_pair_open_client_in(struct h2_pair *p, struct chunk_pool *chunks);
void h2_pair_fini(struct h2_pair *p);
/* Moves bytes, step at a time (0: all), until none are left. */
void h2_pair_run(struct h2_pair *p, size_t step);
/* Client: a request of "name: value\n" lines. */
struct h2_seen *h2_request(struct h2_pair *p, const char *lines, bool end);
void h2_headers(struct h2_side *s, struct headers *h, const char *lines);
void h2_body(struct h2_seen *s, size_t n, bool end);
const char *h2_text(struct h2_side *s); /* and forgets it */

/* Frames by hand, given to a side. */
void h2_frame(struct buffer *b, unsigned type, unsigned flags, uint32_t stream, const void *payload,
              size_t len);
void h2_preface(struct buffer *b);
/* A HEADERS frame of literal fields, without indexing. */
void h2_frame_headers(struct buffer *b, uint32_t stream, unsigned flags, const char *lines);
size_t h2_literals(char *out, size_t max, const char *lines);
/* Gives b to the side, flushes, and empties its output. Is it still open? */
bool h2_feed(struct h2_side *s, struct buffer *b);
/* The last frame of that type in the side's output; -1: none. Its first payload word in *code. */
int h2_sent(struct h2_side *s, unsigned type, uint32_t *code);
