/* The configuration of the router filter, decoded from
 * envoy.extensions.filters.http.router.v3.Router. Config thread; const for workers. */
#pragma once

#include "base/header_name.h"
#include "config/filter_factory.h"

struct router_config {
    bool suppress_envoy_headers;
    bool respect_expected_rq_timeout;
    bool start_child_span;        /* no effect without tracing */
    bool dynamic_stats;           /* default true */
    const enum header_id *strict; /* these must be valid, in this order */
    uint32_t n_strict;
};

void *router_config_new(struct filter_context *ctx, struct bytes value, struct error *err);
