/* Listener filters of a Listener into struct listener_filters: the TLS inspector is the only one,
 * others are refused by name. In the listener's arena. Config thread. */
#pragma once

#include "config/decode.h"
#include "config/listener.h"

struct envoy_config_listener_v3_Listener;

MUST_CHECK bool listener_filters_decode(struct decode_context *ctx, struct arena *a,
                                        const struct envoy_config_listener_v3_Listener *m,
                                        struct listener_filters *out, struct error *err);
