/* gRPC over struct async_call: the frame around each message, and the status from trailers, from a
 * response of trailers only, or from what HTTP says. Unary: one message, sent with end; a stream:
 * any number. Messages that come go to on_message, one after the other; on_end has the status.
 * Compressed messages are refused: none are asked for. Worker thread. */
#pragma once

#include "dataplane/upstream/async_call.h"

enum {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_STATUS_MAX = 16,
};

/* A call of path ("/package.Service/Method", for ever), whose headers are there; the user may add
 * more before async_call_start(c, false). authority: empty takes the cluster's name. */
struct async_call *async_grpc_new(struct worker *w, const struct async_call_options *o,
                                  const char *path, struct bytes authority);
/* Copies. end: it is the last one (and the only one of a unary call). */
void async_grpc_send(struct async_call *c, struct bytes message, bool end);
void async_grpc_send_end(struct async_call *c); /* of a stream: no more messages */

/* ---- for async_call.c ---- */
void async_grpc_on_headers(struct async_call *c, bool end);
void async_grpc_on_data(struct async_call *c, struct buffer *data, bool end);
void async_grpc_on_trailers(struct async_call *c);
/* The status that a failure of HTTP is. */
unsigned async_grpc_status_of(enum async_result r);
