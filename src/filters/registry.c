#include "filters/registry.h"

#include "base/check.h"
#include "filters/http/grpc_http1_bridge/grpc_http1_bridge.h"
#include "filters/http/grpc_stats/grpc_stats.h"
#include "filters/http/grpc_web/grpc_web.h"
#include "filters/http/missing_config/missing_config.h"
#include "filters/http/on_demand/on_demand.h"
#include "filters/http/router/router.h"

static const struct filter_factory *const http_filters[] = {
    &grpc_http1_bridge_filter.factory, &grpc_stats_filter.factory, &grpc_web_filter.factory,
    &on_demand_filter.factory,         &router_filter.factory,
};

/* Observers of traffic: leaving one out changes no request. They are counted and listed. */
static const char *const skippable[] = {
    "envoy.tcp.metadataexchange.config.MetadataExchange",
    "io.istio.http.peer_metadata.Config",
    "stats.PluginConfig",
};

/* The HTTP connection manager is no plug-in: config/ decodes it, the dataplane runs it. */
const struct filter_registry filter_registry = {
    .http = http_filters,
    .n_http = ARRAY_SIZE(http_filters),
    .missing = &missing_config_filter.factory,
    .skippable = skippable,
    .n_skippable = ARRAY_SIZE(skippable),
};
