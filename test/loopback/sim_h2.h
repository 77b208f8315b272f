/* The HTTP/2 of a simulated peer, as HTTP/1 text: its script becomes frames, and frames that come
 * become text, so that one script and one judge serve both. Frames are made by our own codec in
 * the other role (h2spec, fuzzers and hand-made frames judge that one elsewhere). Test support. */
#pragma once

#include "base/strbuf.h"
#include "dataplane/http/codec_h2.h"
#include "dataplane/net/connection.h"

struct sim_h2;

/* One message each way. */
struct sim_h2_stream {
    struct list link; /* in sim_h2.streams, in the order of their beginning */
    struct sim_h2 *h2;
    struct codec_stream *codec; /* NULL: given up, or reset */
    void *user;
    struct headers headers, trailers;
    struct strbuf text; /* what came, and was not taken */
    struct strbuf send; /* text that is no message yet */
    uint64_t left;      /* of the body that is sent */
    enum { SIM_SEND_HEAD, SIM_SEND_LENGTH, SIM_SEND_CHUNKS, SIM_SEND_TO_END, SIM_SEND_DONE } sends;
    bool head_came, chunked, ended, reset; /* of what came */
    bool is_head, full;
};

struct sim_h2_ops {
    void *(*on_stream)(void *owner, struct sim_h2_stream *s); /* server: its user */
    void (*on_text)(void *owner, struct sim_h2_stream *s);    /* s->text, ended or reset changed */
};

struct sim_h2 {
    const struct sim_h2_ops *ops;
    void *owner;
    struct connection *connection;
    struct codec *codec;
    struct buffer out;
    struct h2_memory *memory;
    struct arena *arena;
    struct list streams;
    struct sim_h2_stream *current; /* client: the request that is being written */
    bool over, in_input;
};

/* More than 0 while the peer works: what it does is not to be judged. */
extern unsigned sim_h2_inside;

struct sim_h2 *sim_h2_new(struct connection *c, bool server, const struct sim_h2_ops *ops,
                          void *owner);
void sim_h2_free(struct sim_h2 **h);
void sim_h2_input(struct sim_h2 *h, struct buffer *in);
void sim_h2_flush(struct sim_h2 *h);
/* Client: text of requests, whole or in pieces. */
void sim_h2_ask(struct sim_h2 *h, struct bytes text);
/* Server: text of the answer to it. */
void sim_h2_answer(struct sim_h2_stream *s, struct bytes text);
void sim_h2_answer_end(struct sim_h2_stream *s); /* of a body whose length nothing tells */
void sim_h2_stream_reset(struct sim_h2_stream *s, uint32_t code);
