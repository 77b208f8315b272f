/* A hash map from strings to pointers: open addressing, insertion order kept for walking.
 *
 * No locks; the owner of the map owns the keys it was given (they are copied) but never the values.
 * Removal is by rebuilding: none of the users removes single keys often. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strmap_entry {
    char *key;
    void *value;
    uint64_t hash;
};

struct strmap {
    struct strmap_entry *entries; /* in insertion order */
    size_t count, cap;
    uint32_t *slots; /* index into entries + 1; 0 = free */
    size_t slot_count;
};

void strmap_fini(struct strmap *m);
/* The value stored under the key, or NULL. */
void *strmap_get(const struct strmap *m, const char *key);
/* The place of the value for the key, made (as NULL) where it is new. Valid until the next call. */
void **strmap_put(struct strmap *m, const char *key);
/* Is the key in the map, whatever its value is? */
bool strmap_has(const struct strmap *m, const char *key);
/* Take the key out; returns its value or NULL. Costs as much as the map is large. */
void *strmap_remove(struct strmap *m, const char *key);
