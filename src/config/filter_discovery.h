/* HTTP filters whose configuration comes as a resource of its own (ECDS, rule O06). The connection
 * manager that is decoded from a listener has a slot for such a filter, and the slot knows what may
 * come; what has come is a filter_config, made for that slot. A manager with such slots serves
 * nobody: of it and what has come, http_manager_with_discovered() makes the one that does. So new
 * configuration is a new manager in the binding, used from the next request on.
 *
 * `current` is the builder's; workers see the managers made of it. Config thread only. */
#pragma once

#include "config/decode.h"

struct envoy_config_core_v3_ExtensionConfigSource;

/* Held by its slot and by the managers made of it. */
struct filter_config {
    struct node node;
    const struct filter_factory *factory; /* NULL: a filter that is passed over */
    void *config;
};

struct filter_discovery {
    struct bytes name; /* of the resource: the filter's, its parameters in order (O10) */
    struct config_source source;
    struct bytes *type_names;
    unsigned n_type_names;
    struct bytes stat_prefix;       /* "http.ingress." */
    bool last;                      /* in its chain */
    bool without_warming;           /* nobody waits for it */
    struct filter_config *fallback; /* default_config; NULL: none */
    struct filter_config *current;  /* NULL: none, and requests are answered with 500 */
};

/* In the arena; filter_discovery_fini() before it goes. stat_prefix must live there too. */
struct filter_discovery *
filter_discovery_decode(struct decode_context *ctx, struct arena *a, struct bytes name,
                        struct bytes stat_prefix, bool last,
                        const struct envoy_config_core_v3_ExtensionConfigSource *m,
                        struct bytes wire, struct error *err);
void filter_discovery_fini(struct filter_discovery *d);
/* From the bytes of an Any: checked against what the slot takes. refs = 1. */
struct filter_config *filter_config_decode(struct decode_context *ctx,
                                           const struct filter_discovery *d, struct bytes any,
                                           struct error *err);

/* The i-th slot of a manager that is discovered; NULL: there are no more. */
struct filter_discovery *http_manager_discovery(const struct http_manager *m, unsigned i);
/* A manager as `base`, with what its slots have now. refs = 1, pinnable. */
struct http_manager *http_manager_with_discovered(struct http_manager *base,
                                                  const struct filter_registry *filters);
/* Is `made` of that base, and of what its slots have now? */
bool http_manager_is_made_of(const struct http_manager *made, const struct http_manager *base);
