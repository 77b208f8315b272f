/* An HTTP/1 codec whose owner keeps what it is told as messages, so that they can be compared and
 * sent again. */
#pragma once

#include "dataplane/http/codec_h1.h"
#include "dataplane/http/tunnel.h"
#include "fuzz.h"

enum { H1_MESSAGES_MAX = 64 };

struct h1_message {
    struct headers head, trailers;
    struct strbuf body;
    enum http_protocol protocol;
    bool has_head, ended;
};

struct h1_reader {
    struct chunk_pool *chunks;
    struct arena *arena;
    struct buffer in, out;
    struct codec *codec;
    struct codec_stream *stream;
    struct h1_message messages[H1_MESSAGES_MAX]; /* upstream: the response, then 1xx heads */
    unsigned n;
    bool answer; /* downstream: each request is answered at once, so that the next one begins */
    bool tunnel; /* one is open */
    size_t left; /* of what was to be fed: not consumed */
    const struct codec_error *error;
    unsigned resets;
};

/* method: upstream only, of the request that has been sent; NULL: GET; "UPGRADE": one that asks for
 * protocol "a". */
void h1_reader_init(struct h1_reader *r, const struct codec_options *o, const char *method);
void h1_reader_fini(struct h1_reader *r);
/* Feeds input in pieces whose sizes come from cuts (at least one byte; none left: all at once).
 * eof: then the peer closes its side. */
void h1_reader_feed(struct h1_reader *r, struct bytes input, struct bytes cuts, bool eof);
/* Two readers that were fed the same bytes in different pieces. */
void h1_reader_same(const struct h1_reader *a, const struct h1_reader *b);
/* The text of a message for comparing: pseudo headers, fields, body, trailers; without what framing
 * may change, and without "connection" (the sender's own word). */
void h1_message_text(const struct h1_message *m, struct strbuf *out);

/* Options from one byte. */
struct codec_options h1_options(bool downstream, uint8_t bits);
