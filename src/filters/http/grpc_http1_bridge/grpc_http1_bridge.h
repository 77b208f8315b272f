/* envoy.filters.http.grpc_http1_bridge: lets clients of HTTP/1.1, which read no trailers, call
 * servers of gRPC. The answer is collected; grpc-status and grpc-message go into its head, and a
 * call that failed becomes a 503. With upgrade_protobuf_to_grpc the client need not frame its
 * message either. */
#pragma once

#include "dataplane/http/filter.h"

extern const struct http_filter_ops grpc_http1_bridge_filter;

/* Const, in the arena of the connection manager. */
struct grpc_http1_bridge_config {
    bool upgrade_protobuf; /* a body of application/x-protobuf is a message */
    bool ignore_query;
};

/* grpc_http1_bridge_config.c */
void *grpc_http1_bridge_config_new(struct filter_context *ctx, struct bytes value,
                                   struct error *err);
