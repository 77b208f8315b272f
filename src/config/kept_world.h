/* struct kept_world: what was accepted last, as bytes that outlive the process: written from the
 * store, read back and given to a builder whose control plane does not answer. Secrets are left
 * out, and with them the resources that hold one in clear. Config thread.
 *
 *     file: magic (16) | saved, wall ns (8) | length of the body (8) | XXH64 of the body (8) |
 *           XXH64 of the above (8) | body: fields as protobuf has them, see kept_world.c
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "config/builder.h"

enum { KEPT_HEADER = 48 };

/* For whom the world is: another node's file is foreign. */
struct kept_node {
    struct bytes id, cluster;
};

/* Adds all that is accepted to out. *left_out: how many resources hold a secret. False: no memory
 * for it. */
MUST_CHECK bool kept_world_write(const struct builder *b, const struct kept_node *node,
                                 struct strbuf *out, size_t *left_out);

struct kept_world;

/* Takes the bytes of a file: views into them, so they outlive it. NULL and *err: foreign, cut, or
 * changed since. */
struct kept_world *kept_world_read(struct bytes file, const struct kept_node *node,
                                   struct error *err);
void kept_world_free(struct kept_world **k);
uint64_t kept_world_saved_ns(const struct kept_world *k);
size_t kept_world_count(const struct kept_world *k);

/* Gives the builder what a source that does not answer has delivered before, as far as it is wanted
 * by now and nothing newer is there. Returns how many resources were given. Commit afterwards. */
size_t kept_world_apply(struct kept_world *k, struct builder *b, struct bytes source_key);
