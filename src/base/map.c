#include "base/map.h"

#include "base/memory.h"

void map_fini(struct map *m)
{
    for (uint32_t i = 0; i < m->n_slots; i++)
        mem_free(m->slots[i].key);
    mem_free(m->slots);
    mem_free(m->index);
    *m = (struct map)MAP_INIT;
}

static struct bytes key_of(const struct map_slot *s)
{
    return bytes_from(s->key, s->key_len);
}

/* Index position of key, or of the free place where the search ended. */
static uint32_t probe(const struct map *m, struct bytes key, uint32_t hash)
{
    uint32_t mask = m->index_size - 1, at = hash & mask;
    while (m->index[at]) {
        const struct map_slot *s = &m->slots[m->index[at] - 1];
        if (s->hash == hash && s->key && bytes_eq(key_of(s), key))
            return at;
        at = (at + 1) & mask;
    }
    return at;
}

static struct map_slot *find(const struct map *m, struct bytes key)
{
    if (m->n_live == 0)
        return NULL;
    uint32_t at = probe(m, key, (uint32_t)bytes_hash(key));
    return m->index[at] ? &m->slots[m->index[at] - 1] : NULL;
}

void *map_get(const struct map *m, struct bytes key)
{
    const struct map_slot *s = find(m, key);
    return s ? s->value : NULL;
}

bool map_has(const struct map *m, struct bytes key)
{
    return find(m, key) != NULL;
}

static void rebuild(struct map *m, uint32_t index_size)
{
    uint32_t live = 0;
    mem_free(m->index);
    m->index = mem_zalloc(index_size * sizeof(*m->index));
    m->index_size = index_size;
    for (uint32_t i = 0; i < m->n_slots; i++) {
        if (!m->slots[i].key)
            continue;
        m->slots[live] = m->slots[i];
        uint32_t at = m->slots[live].hash & (index_size - 1);
        while (m->index[at])
            at = (at + 1) & (index_size - 1);
        m->index[at] = ++live;
    }
    m->n_slots = live;
    if (m->cap_slots > index_size) {
        m->cap_slots = index_size;
        m->slots = mem_realloc(m->slots, m->cap_slots * sizeof(*m->slots));
    }
}

static uint32_t size_for(const struct map *m)
{
    uint32_t size = 8;
    while ((m->n_live + 1) * 2 > size)
        size *= 2;
    return size;
}

void map_tidy(struct map *m)
{
    if (m->index_size > 64 && m->n_live < m->index_size / 8)
        rebuild(m, size_for(m));
}

void *map_set(struct map *m, struct bytes key, void *value)
{
    CHECK(value && key.len < UINT32_MAX);
    struct map_slot *s = find(m, key);
    if (s) {
        void *old = s->value;
        s->value = value;
        return old;
    }
    if ((m->n_slots + 1) * 4 > m->index_size * 3)
        rebuild(m, size_for(m)); /* of what lives: removed slots go, and a burst is given back */
    GROW(m->slots, m->cap_slots, m->n_slots + 1);
    char *copy = mem_alloc(key.len + 1);
    if (key.len)
        memcpy(copy, key.data, key.len);
    copy[key.len] = '\0';
    uint32_t hash = (uint32_t)bytes_hash(key);
    uint32_t at = probe(m, key, hash);
    m->slots[m->n_slots] = (struct map_slot){copy, (uint32_t)key.len, hash, value};
    m->index[at] = ++m->n_slots;
    m->n_live++;
    return NULL;
}

void *map_remove(struct map *m, struct bytes key)
{
    struct map_slot *s = find(m, key);
    if (!s)
        return NULL;
    void *old = s->value;
    mem_free(s->key);
    s->key = NULL;
    s->value = NULL;
    m->n_live--;
    return old;
}

bool map_next(const struct map *m, size_t *it, struct bytes *key, void **value)
{
    while (*it < m->n_slots) {
        const struct map_slot *s = &m->slots[(*it)++];
        if (!s->key)
            continue;
        *key = key_of(s);
        *value = s->value;
        return true;
    }
    return false;
}
