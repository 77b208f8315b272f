/* struct pmap: a persistent hash map from bytes to a value, for snapshots. A copy costs one
 * reference; a change copies only the path to the changed entry (branches that nobody else holds
 * are changed in place). Two maps are compared by walking only what they do not share.
 *
 * Writing (set, remove, copy, fini) is for one thread, the config thread, because counts are plain
 * integers. Reading (get, each, diff) is for any thread that holds a published map. The map owns
 * its values: `release` is called once when the last map that holds an entry lets go of it. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

struct pmap_branch;

struct pmap {
    struct pmap_branch *root;
    size_t count;
    void (*release)(void *value); /* NULL: values are not owned */
};

#define PMAP_INIT(release_fn)                                                                      \
    {                                                                                              \
        NULL, 0, (release_fn)                                                                      \
    }

void *pmap_get(const struct pmap *m, struct bytes key);
/* Takes over `value` (never NULL). An entry of that key is replaced and released in its turn. */
void pmap_set(struct pmap *m, struct bytes key, void *value);
bool pmap_remove(struct pmap *m, struct bytes key);
struct pmap pmap_copy(const struct pmap *m);
void pmap_fini(struct pmap *m);

/* Order: by hash, not by name. fn returns false to stop. */
typedef bool pmap_each_fn(void *ctx, struct bytes key, void *value);
void pmap_each(const struct pmap *m, pmap_each_fn *fn, void *ctx);
/* Calls fn for each key whose value pointer differs; old or new is NULL where the key is missing.
 */
typedef void pmap_diff_fn(void *ctx, struct bytes key, void *old_value, void *new_value);
void pmap_diff(const struct pmap *a, const struct pmap *b, pmap_diff_fn *fn, void *ctx);
/* All keys sorted bytewise, with their values; the caller frees the array with mem_free(). The keys
 * live as long as the map. */
struct pmap_pair {
    struct bytes key;
    void *value;
};
struct pmap_pair *pmap_sorted(const struct pmap *m);
