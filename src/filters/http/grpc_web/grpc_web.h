/* envoy.filters.http.grpc_web: lets browsers call servers of gRPC. Their content types become
 * application/grpc, a body in base64 becomes the bytes it stands for; trailers come back as the
 * last frame of the body, and an answer that is no gRPC's as its grpc-message. Counts
 * cluster.NAME.grpc-web.SERVICE.METHOD.* (dataplane/upstream/method_stats.h). */
#pragma once

#include "dataplane/http/filter.h"

extern const struct http_filter_ops grpc_web_filter;

/* grpc_web_config.c */
void *grpc_web_config_new(struct filter_context *ctx, struct bytes value, struct error *err);
