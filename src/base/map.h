/* struct map: a mutable hash map from bytes to a pointer. Keys are copied. Iteration order is the
 * order of insertion. Memory follows the number of live entries, also under churn. One thread. For
 * maps that snapshots share, see pmap.h. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

struct map_slot {
    char *key; /* owned by the map; NULL: removed */
    uint32_t key_len, hash;
    void *value;
};

struct map {
    struct map_slot *slots; /* dense, in insertion order */
    uint32_t *index;        /* open addressing into slots, 0 = free, else position + 1 */
    uint32_t n_slots, cap_slots, n_live, index_size;
};

#define MAP_INIT                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }

void map_fini(struct map *m);                         /* values are the caller's */
void *map_get(const struct map *m, struct bytes key); /* NULL: not there */
bool map_has(const struct map *m, struct bytes key);
/* Returns the value that was there before, or NULL. value must not be NULL. */
void *map_set(struct map *m, struct bytes key, void *value);
void *map_remove(struct map *m, struct bytes key); /* the removed value, or NULL */
/* Gives back what a burst of entries that are gone had taken, as map_set() does. Not while the map
 * is walked. */
void map_tidy(struct map *m);
static inline size_t map_count(const struct map *m)
{
    return m->n_live;
}
/* for (size_t i = 0; map_next(m, &i, &key, &value); ) ... ; removing the current key is allowed,
 * adding is not. */
bool map_next(const struct map *m, size_t *it, struct bytes *key, void **value);
