/* What gRPC is to a proxy: content types, status codes, the name of a method in a path, and the
 * frames of a body. Pure functions over what the caller owns; one thread. */
#pragma once

#include "dataplane/http/grpc_status.h"
#include "dataplane/http/headers.h"
#include "dataplane/net/buffer.h"

enum { GRPC_UNKNOWN = 2, GRPC_STATUS_MAX = 16, GRPC_FRAME_HEADER = 5 };
enum { GRPC_NO_STATUS = -2, GRPC_BAD_STATUS = -1 };

/* content-type: "application/grpc" or "application/grpc+..." */
bool grpc_content_type(const struct headers *h);
/* The head of an answer of gRPC: of one that is all there is (end), grpc-status says so. */
bool grpc_response(const struct headers *h, bool end);
/* grpc-status of a head or of trailers: a number, GRPC_BAD_STATUS or GRPC_NO_STATUS. */
int64_t grpc_status(const struct headers *h);

struct grpc_method {
    struct bytes service, method; /* parts of the path */
};
/* "/SERVICE/METHOD", query left out, empty segments too. False: it names no method. */
bool grpc_method_of(struct bytes path, struct grpc_method *out);

/* Reads the frames of a body that passes by, a flag and a length of four bytes before each
 * message. */
struct grpc_frames {
    uint32_t left; /* of the message */
    uint32_t length;
    uint8_t header, flags;
};
/* Takes the next piece of *data that lies within one header or one message; *begins: it is the
 * first byte of a frame. Empty when *data is. */
struct bytes grpc_frames_next(struct grpc_frames *f, struct bytes *data, bool *begins);
static inline bool grpc_frames_at_end(const struct grpc_frames *f)
{
    return f->header == 0;
}
/* How many frames begin in data. */
uint64_t grpc_frames_count(struct grpc_frames *f, const struct buffer *data);
/* Of a message of that length. */
void grpc_frame_header(uint8_t flags, uint32_t length, char out[GRPC_FRAME_HEADER]);
