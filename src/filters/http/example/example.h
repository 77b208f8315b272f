/* An HTTP filter to learn from: adds the response header "x-example" with a configured value, and
 * lets a route choose another value. Its configuration is a google.protobuf.StringValue. It is
 * compiled and tested but stands in no list: docs/adding-a-filter.md shows where it would go. */
#pragma once

#include "dataplane/http/filter.h"

extern const struct http_filter_ops example_filter;

/* What the configuration means; const, in the arena of the connection manager or the route. */
struct example_config {
    struct bytes value;
};

/* example_config.c */
void *example_config_new(struct filter_context *ctx, struct bytes value, struct error *err);
