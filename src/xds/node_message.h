/* The Node that every stream introduces itself with: the bootstrap's, with what the command line
 * says and what this build is. Pure. */
#pragma once

#include "base/bytes.h"
#include "base/strbuf.h"

/* Data NULL leaves the bootstrap's value. */
struct node_overrides {
    struct bytes id, cluster, zone;
};

/* Version of Envoy's API and behaviour that we claim, and our own name. */
#define NODE_COMPATIBLE_MAJOR 1
#define NODE_COMPATIBLE_MINOR 40
#define NODE_COMPATIBLE_PATCH 0
#define NODE_USER_AGENT "xylem"

/* node: bytes of core.v3.Node as configured (may be empty). Adds the result to out. */
void node_message_build(struct bytes node, const struct node_overrides *o, struct strbuf *out);
