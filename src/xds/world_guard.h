/* What a control plane that has come back may not take away at once: --min-world-share. The first
 * response of a stream must leave that share of the clusters (and of the listeners) that are held;
 * less is held back, with a NACK, until a response leaves enough or the time is over, after which
 * the next stream is believed. Pure; config thread. */
#pragma once

#include "config/builder.h"
#include "xds/discovery.h"

/* How much of what is held a response leaves. */
struct world_share {
    size_t held, left;
};

/* full: what it does not name goes. The response is valid. */
struct world_share world_share_of(const struct builder *b, const struct config_source *source,
                                  enum resource_type type, const struct discovery_response *r,
                                  bool full);
bool world_share_enough(struct world_share s, unsigned percent);
