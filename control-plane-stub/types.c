#include "types.h"

#include "text.h"

#include <string.h>
#include <strings.h>

static const struct resource_type types[] = {
    {"envoy.config.cluster.v3.Cluster",
     "envoy.service.cluster.v3.ClusterDiscoveryService",
     "Clusters",
     {"cluster", "clusters", "cds"},
     NULL,
     true},
    {"envoy.config.endpoint.v3.ClusterLoadAssignment",
     "envoy.service.endpoint.v3.EndpointDiscoveryService",
     "Endpoints",
     {"endpoint", "endpoints", "eds"},
     "cluster_name",
     false},
    {"envoy.config.endpoint.v3.LbEndpoint",
     "envoy.service.endpoint.v3.LocalityEndpointDiscoveryService",
     "LocalityEndpoints",
     {"leds"},
     NULL,
     false},
    {"envoy.config.listener.v3.Listener",
     "envoy.service.listener.v3.ListenerDiscoveryService",
     "Listeners",
     {"listener", "listeners", "lds"},
     NULL,
     true},
    {"envoy.config.route.v3.ScopedRouteConfiguration",
     "envoy.service.route.v3.ScopedRoutesDiscoveryService",
     "ScopedRoutes",
     {"scopedroute", "scopedroutes", "srds"},
     NULL,
     true},
    {"envoy.config.route.v3.RouteConfiguration",
     "envoy.service.route.v3.RouteDiscoveryService",
     "Routes",
     {"route", "routes", "rds"},
     NULL,
     false},
    {"envoy.config.route.v3.VirtualHost",
     "envoy.service.route.v3.VirtualHostDiscoveryService",
     "VirtualHosts",
     {"virtualhost", "virtualhosts", "vhds"},
     NULL,
     false},
    {"envoy.extensions.transport_sockets.tls.v3.Secret",
     "envoy.service.secret.v3.SecretDiscoveryService",
     "Secrets",
     {"secret", "secrets", "sds"},
     NULL,
     false},
    {"envoy.config.core.v3.TypedExtensionConfig",
     "envoy.service.extension.v3.ExtensionConfigDiscoveryService",
     "ExtensionConfigs",
     {"extension", "extensions", "ecds"},
     NULL,
     false},
    {"envoy.service.runtime.v3.Runtime",
     "envoy.service.runtime.v3.RuntimeDiscoveryService",
     "Runtime",
     {"runtime", "rtds"},
     NULL,
     false},
};

const struct resource_type *resource_type_at(size_t index)
{
    return index < sizeof(types) / sizeof(*types) ? &types[index] : NULL;
}

const struct resource_type *resource_type_named(const char *name)
{
    const char *slash = strrchr(name, '/'), *full = slash ? slash + 1 : name;
    const struct resource_type *t;

    for (size_t i = 0; (t = resource_type_at(i)); i++) {
        const char *dot = strrchr(t->full_name, '.');

        if (!strcmp(t->full_name, full) || !strcmp(dot + 1, name))
            return t;
        for (size_t j = 0; j < 4 && t->nicks[j]; j++)
            if (!strcasecmp(t->nicks[j], name))
                return t;
    }
    return NULL;
}

size_t resource_type_rank(const char *type_url)
{
    const struct resource_type *t = resource_type_named(type_url);

    return t ? (size_t)(t - types) : sizeof(types) / sizeof(*types);
}

char *type_url_of(const char *full_name)
{
    struct text t = {0};

    text_printf(&t, "type.googleapis.com/%s", full_name);
    return text_take(&t);
}
