/* An HTTP/2 codec fed with frames, whole or in pieces; what it tells is written down. */
#pragma once

#include "dataplane/http/codec_h2.h"
#include "dataplane/http/tunnel.h"
#include "fuzz.h"

enum { H2_READER_STREAMS = 64 };

struct h2_reader;

struct h2_reader_stream {
    struct h2_reader *reader;
    struct codec_stream *stream; /* NULL: over */
    struct headers headers, trailers;
    struct buffer body;
    struct strbuf text; /* what was told of it */
    unsigned number;
    bool over, in_body, was_reset, tunnel;
};

struct h2_reader {
    struct codec *codec;
    struct chunk_pool *chunks;
    struct h2_memory *memory;
    struct arena *arena;
    struct buffer in, out;
    struct h2_reader_stream streams[H2_READER_STREAMS + 1]; /* the last: all that are beyond them */
    unsigned n;
    uint8_t manners; /* what the user of the codec does */
    struct codec_options options;
    unsigned errors, counts[HTTP2_STAT_COUNT];
    int64_t gauges[HTTP2_STAT_COUNT];
    bool open, tunnels; /* tunnels: they are taken, and asked for */
};

/* manners: bits, see h2_reader.c. */
void h2_reader_init(struct h2_reader *r, bool downstream, uint8_t options, uint8_t manners);
void h2_reader_fini(struct h2_reader *r);
/* Upstream: asks for something, before it is fed. */
void h2_reader_ask(struct h2_reader *r, unsigned n);
void h2_reader_feed(struct h2_reader *r, struct bytes input, struct bytes cuts);
/* Reads an input (options, manners of the user, number of cuts, cuts..., frames) in one piece and
 * in pieces: the same must be told of each stream. `begin` inits a reader and feeds what the
 * frames follow. */
typedef void h2_begin(struct h2_reader *r, uint8_t options, uint8_t manners);
void h2_reader_any_cut(struct bytes input, h2_begin *begin);
/* Of such an input, for one side (h2_mutate.c). */
void h2_mutate(struct random_source *r, bool downstream, struct bytes input, struct strbuf *out);
