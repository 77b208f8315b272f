/* Filter chains of a listener; see listener_decode.c. Config thread. */
#pragma once

#include "config/decode.h"

/* One FilterChain's bytes, with what `previous` has of it. On success *out holds a reference to the
 * chain and, for HTTP, to its manager. wire is kept: it must live in the parts' arena. */
MUST_CHECK bool filter_chain_decode(struct decode_context *ctx, struct bytes wire,
                                    const struct listener_parts *previous,
                                    struct listener_chain *out, struct error *err);
void listener_chain_fini(struct listener_chain *c);
/* Envoy's rules: no two chains with equal or overlapping matches. where: the listener's address. */
MUST_CHECK bool filter_chains_check(const struct listener_chain *chains, unsigned n,
                                    const char *where, struct error *err);
