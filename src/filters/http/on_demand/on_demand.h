/* envoy.filters.http.on_demand: a request for a virtual host that may come (VHDS), or a cluster
 * that is not there (on-demand CDS), waits while the control plane is asked for it
 * (upstream/cluster_demand.h). Whatever comes of it, the request goes on, and the router answers
 * where there is still none. */
#pragma once

#include "dataplane/http/filter.h"

struct on_demand_config {
    bool clusters; /* odcds: else it does nothing for clusters */
    struct config_source source;
    uint64_t timeout_ms;
};

extern const struct http_filter_ops on_demand_filter;

void *on_demand_config_new(struct filter_context *ctx, struct bytes value, struct error *err);
void *on_demand_route_config_new(struct filter_context *ctx, struct bytes value, struct error *err);
