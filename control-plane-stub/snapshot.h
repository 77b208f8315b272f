/* What is served: all resources by type and name, with a version per type that is the hash of its
 * content. One snapshot for all nodes, further ones for nodes with resources of their own.
 *
 * Immutable once built; the hub owns the current world and replaces it under its lock. */
#pragma once

#include "resource.h"
#include "strmap.h"

struct type_set {
    char *type_url;
    char version[17];
    struct resource **items; /* by name */
    size_t count;
};

struct snapshot {
    struct type_set *types; /* by type URL */
    size_t count;
};

struct world {
    struct snapshot shared;
    struct strmap nodes; /* node id -> struct snapshot *: the shared resources and its own */
};

/* Build from arrays (references are taken); a later array replaces same-named resources of an
 * earlier one. Resources whose place in `gone` ("type URL\nname") is set are left out. */
void snapshot_build(struct snapshot *s, const struct resource_array *const *arrays, size_t count,
                    const struct strmap *gone);
void snapshot_fini(struct snapshot *s);
void world_free(struct world **w);
/* The resources a node is served. */
const struct snapshot *world_for(const struct world *w, const char *node_id);
const struct type_set *snapshot_type(const struct snapshot *s, const char *type_url);
/* The version of a type; that of an empty set where it has no resource. */
const char *snapshot_version(const struct snapshot *s, const char *type_url);
struct resource *type_set_get(const struct type_set *t, const char *name);
