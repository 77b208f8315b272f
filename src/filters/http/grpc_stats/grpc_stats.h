/* envoy.filters.http.grpc_stats: counts the calls and messages of gRPC (and of Connect) under the
 * cluster that serves them, by method where the configuration says so; see
 * dataplane/upstream/method_stats.h for the names and their bound. Changes nothing on the way. */
#pragma once

#include "dataplane/http/filter.h"
#include "dataplane/http/grpc.h"

extern const struct http_filter_ops grpc_stats_filter;

/* Const, in the arena of the connection manager. */
struct grpc_stats_config {
    bool all_methods, replace_dots; /* the dots of a service's name */
    bool emit_filter_state, upstream_stats;
    struct grpc_method *listed; /* sorted: grpc_stats_lists() */
    unsigned n_listed;
};

/* grpc_stats_config.c */
void *grpc_stats_config_new(struct filter_context *ctx, struct bytes value, struct error *err);
bool grpc_stats_lists(const struct grpc_stats_config *c, const struct grpc_method *m);
