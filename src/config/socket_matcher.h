/* transport_socket_matcher of a cluster: a tree of matchers on what an endpoint and its locality
 * say of themselves (metadata), which ends in the name of one of transport_socket_matches.
 * Evaluated when endpoints are decoded. Config thread. */
#pragma once

#include "config/cluster.h"
#include "config/decode.h"

struct envoy_config_core_v3_Metadata;
struct socket_matcher;

/* wire: bytes of a xds.type.matcher.v3.Matcher; what it needs is in the arena, but for regexes. */
MUST_CHECK bool socket_matcher_decode(struct decode_context *ctx, struct arena *a,
                                      struct bytes wire, struct socket_matcher **out,
                                      struct error *err);
void socket_matcher_fini(struct socket_matcher *m); /* NULL: nothing */
/* The name of a transport socket; data NULL: none. Metadata may be NULL. */
struct bytes socket_matcher_find(const struct socket_matcher *m,
                                 const struct envoy_config_core_v3_Metadata *endpoint,
                                 const struct envoy_config_core_v3_Metadata *locality);
/* Both perhaps NULL. */
bool socket_matcher_equal(const struct socket_matcher *a, const struct socket_matcher *b);
