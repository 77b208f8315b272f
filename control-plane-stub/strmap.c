#include "strmap.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

void strmap_fini(struct strmap *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->entries[i].key);
    free(m->entries);
    free(m->slots);
    *m = (struct strmap){0};
}

/* The slot that holds the key, or the free one where it belongs. */
static size_t find_slot(const struct strmap *m, const char *key, uint64_t hash)
{
    size_t i = hash & (m->slot_count - 1);

    for (; m->slots[i]; i = (i + 1) & (m->slot_count - 1)) {
        const struct strmap_entry *e = &m->entries[m->slots[i] - 1];

        if (e->hash == hash && !strcmp(e->key, key))
            break;
    }
    return i;
}

static void rehash(struct strmap *m, size_t slot_count)
{
    free(m->slots);
    m->slots = mem_zero(slot_count * sizeof(*m->slots));
    m->slot_count = slot_count;
    for (size_t n = 0; n < m->count; n++) {
        size_t i = find_slot(m, m->entries[n].key, m->entries[n].hash);

        m->slots[i] = (uint32_t)n + 1;
    }
}

static struct strmap_entry *find(const struct strmap *m, const char *key)
{
    size_t i;

    if (!m->slot_count)
        return NULL;
    i = find_slot(m, key, hash_bytes(HASH_START, key, strlen(key)));
    return m->slots[i] ? &m->entries[m->slots[i] - 1] : NULL;
}

void *strmap_get(const struct strmap *m, const char *key)
{
    struct strmap_entry *e = find(m, key);

    return e ? e->value : NULL;
}

bool strmap_has(const struct strmap *m, const char *key)
{
    return find(m, key) != NULL;
}

void **strmap_put(struct strmap *m, const char *key)
{
    uint64_t hash = hash_bytes(HASH_START, key, strlen(key));
    size_t i;

    if ((m->count + 1) * 2 > m->slot_count)
        rehash(m, m->slot_count ? m->slot_count * 2 : 16);
    i = find_slot(m, key, hash);
    if (!m->slots[i]) {
        ARRAY_ROOM(m->entries, m->count, m->cap);
        m->entries[m->count] = (struct strmap_entry){mem_string(key), NULL, hash};
        m->slots[i] = (uint32_t)++m->count;
    }
    return &m->entries[m->slots[i] - 1].value;
}

void *strmap_remove(struct strmap *m, const char *key)
{
    struct strmap_entry *e = find(m, key);
    void *value;

    if (!e)
        return NULL;
    value = e->value;
    free(e->key);
    m->count--;
    memmove(e, e + 1, (size_t)(m->entries + m->count - e) * sizeof(*e));
    rehash(m, m->slot_count);
    return value;
}
