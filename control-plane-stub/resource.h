/* One encoded resource, and how a YAML mapping becomes one.
 *
 * Immutable after it is made and counted by reference; the count is changed only with the hub's
 * lock held (or before any other thread exists). */
#pragma once

#include "descriptors.h"
#include "yaml_tree.h"

struct resource {
    int refs;
    char *type_url; /* of the resource itself, never of the Resource wrapper */
    char *name;
    char *value; /* the bytes that go into Any.value */
    size_t len;
    char *wrapper; /* a serialized envoy.service.discovery.v3.Resource around it, or NULL */
    size_t wrapper_len;
    uint64_t ttl_us; /* what the wrapper says; 0: nothing */
    uint64_t hash;
    char *origin; /* file:line:column, or where else it came from */
};

struct resource_array {
    struct resource **items;
    size_t count, cap;
};

/* Make a resource of a mapping with `@type`; of `raw` with `type_url` and `name`; or of a
 * envoy.service.discovery.v3.Resource around one. `fallback_type` and `fallback_name` (NULL: none)
 * stand in where the mapping does not say. */
MUST_CHECK bool resource_make(struct resource **out, const struct desc_pool *pool, const char *file,
                              const struct node *n, const char *fallback_type,
                              const char *fallback_name, struct error *err);
/* Every resource of a parsed text: per document one resource, a list, or `resources:`. */
MUST_CHECK bool resources_from_tree(struct resource_array *out, const struct desc_pool *pool,
                                    const struct tree *tree, struct error *err);
struct resource *resource_ref(struct resource *r);
void resource_unref(struct resource **r);
void resource_array_add(struct resource_array *a, struct resource *r);
/* Drop the references and the array. */
void resource_array_fini(struct resource_array *a);
