/* Bodies of application/grpc-web-text: base64, made and read as the bytes come by. What is held
 * back between two calls is a group of base64 that has not ended, never more. Pure; one thread. */
#pragma once

#include "dataplane/http/grpc.h"
#include "dataplane/net/buffer.h"

/* Reads base64 of RFC 4648, with padding. A client may put several texts one after the other, each
 * padded by itself, since that is how it makes them frame by frame. */
struct web_decoder {
    char group[4];
    uint8_t n; /* characters of a group that waits for the rest: 0 at the end of a text */
};
/* Takes all of `in`; the bytes are added to `out`. False: this is no base64. */
MUST_CHECK bool web_decode(struct web_decoder *d, struct buffer *in, struct buffer *out);

/* Writes frames of gRPC, each as a text of its own with its padding. */
struct web_encoder {
    struct grpc_frames frames;
    uint8_t held[3];
    uint8_t n;
};
/* Takes all of `in`. */
void web_encode(struct web_encoder *e, struct buffer *in, struct buffer *out);
/* Nothing follows, or another frame does though this one was cut. */
void web_encode_end(struct web_encoder *e, struct buffer *out);
