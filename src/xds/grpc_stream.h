/* The only doorway of gRPC C core: a bidirectional stream over a connected descriptor. gRPC runs
 * its own threads; a pump thread of ours waits on the completion queue and hands every completion
 * to the config loop, where all callbacks run and all calls are made. A stream owns its channel and
 * its descriptor: one transport, which never reconnects by itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct channel_arg;
struct grpc_runtime;
struct grpc_stream;

/* Runs fn(arg) on the config loop; called from the pump thread. */
typedef void grpc_post_fn(void *ctx, void (*fn)(void *arg), void *arg);

/* run_posted: runs, on the calling thread, what post has been given and has not run. */
struct grpc_runtime *grpc_runtime_new(grpc_post_fn *post, void (*run_posted)(void *ctx), void *ctx);
/* All streams must have been freed; waits for the pump thread. Call with the loop no longer running
 * posts: late completions are dealt with here. */
void grpc_runtime_free(struct grpc_runtime **rt);

struct grpc_stream_options {
    int fd;             /* taken over, whatever the result */
    const char *method; /* "/envoy...AggregatedDiscoveryService/StreamAggregatedResources" */
    struct bytes authority;
    const struct bytes *metadata_keys, *metadata_values;
    unsigned n_metadata;
    uint32_t keepalive_interval_ms, keepalive_timeout_ms; /* 0: no HTTP/2 PINGs (rule T05) */
    const struct channel_arg *args; /* more of the channel; they come before what is said above */
    unsigned n_args;
};

struct grpc_stream_ops {
    void (*on_message)(void *owner, struct bytes message); /* lives during the call */
    /* Last call, and the only one after a failure. The owner still frees the stream. */
    void (*on_closed)(void *owner, int code, const char *message);
};

struct grpc_stream *grpc_stream_new(struct grpc_runtime *rt, const struct grpc_stream_options *o,
                                    const struct grpc_stream_ops *ops, void *owner);
/* Copies; messages leave in order. */
void grpc_stream_send(struct grpc_stream *s, struct bytes message);
/* Cancels what is under way; no callback follows. Allowed inside a callback. */
void grpc_stream_free(struct grpc_stream **s);
