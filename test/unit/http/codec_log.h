/* A codec with an owner that writes down what it is told, one line of text an event. Body pieces
 * are joined, so that the log does not depend on how the input was cut. */
#pragma once

#include "base/strbuf.h"
#include "dataplane/http/codec_h1.h"

struct codec_log {
    struct chunk_pool *chunks;
    struct arena *arena;
    struct headers headers, trailers;
    struct buffer in, out;
    struct codec *codec;
    struct codec_stream *stream;
    struct strbuf text;
    bool in_body;
    bool answer;     /* downstream: answer each finished request with 200 and no body */
    bool keep_names; /* print header names and values too */
    const struct codec_error *error;
    unsigned begun;
};

extern const struct codec_options codec_log_server, codec_log_client;

void codec_log_init(struct codec_log *l, const struct codec_options *options);
void codec_log_fini(struct codec_log *l);
/* Feeds the bytes, `step` at a time (0: all at once); false once the codec wants to close. */
bool codec_log_feed(struct codec_log *l, struct bytes input, size_t step);
/* Everything in out, drained; lives until the next call. */
const char *codec_log_output(struct codec_log *l);
