#include "snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which array a resource came from decides who wins. */
struct candidate {
    struct resource *r;
    size_t order;
};

static int by_type_name_order(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int c = strcmp(x->r->type_url, y->r->type_url);

    if (!c)
        c = strcmp(x->r->name, y->r->name);
    if (!c)
        c = x->order < y->order ? -1 : x->order > y->order;
    return c;
}

static bool is_gone(const struct strmap *gone, const struct resource *r)
{
    struct text key = {0};
    bool hit;

    if (!gone || !gone->count)
        return false;
    text_printf(&key, "%s\n%s", r->type_url, r->name);
    hit = strmap_has(gone, text_str(&key));
    text_fini(&key);
    return hit;
}

static void version_of_hash(char version[17], uint64_t hash)
{
    snprintf(version, 17, "%016llx", (unsigned long long)hash);
}

static void set_version(struct type_set *t)
{
    uint64_t h = HASH_START;

    for (size_t i = 0; i < t->count; i++)
        h = hash_bytes(h, &t->items[i]->hash, sizeof(h));
    version_of_hash(t->version, h);
}

static void append(struct snapshot *s, size_t *type_cap, size_t *item_cap, struct resource *r)
{
    struct type_set *t = s->count ? &s->types[s->count - 1] : NULL;

    if (!t || strcmp(t->type_url, r->type_url)) {
        ARRAY_ROOM(s->types, s->count, *type_cap);
        t = &s->types[s->count++];
        *t = (struct type_set){.type_url = mem_string(r->type_url)};
        *item_cap = 0;
    }
    ARRAY_ROOM(t->items, t->count, *item_cap);
    t->items[t->count++] = resource_ref(r);
}

void snapshot_build(struct snapshot *s, const struct resource_array *const *arrays, size_t count,
                    const struct strmap *gone)
{
    size_t total = 0, n = 0, type_cap = 0, item_cap = 0;
    struct candidate *all;

    *s = (struct snapshot){0};
    for (size_t i = 0; i < count; i++)
        total += arrays[i]->count;
    all = mem_alloc(total * sizeof(*all));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < arrays[i]->count; j++)
            all[n++] = (struct candidate){arrays[i]->items[j], i};
    qsort(all, n, sizeof(*all), by_type_name_order);
    for (size_t i = 0; i < n; i++) {
        struct resource *r = all[i].r;
        bool replaced = i + 1 < n && !strcmp(r->type_url, all[i + 1].r->type_url) &&
                        !strcmp(r->name, all[i + 1].r->name);

        if (!replaced && !is_gone(gone, r))
            append(s, &type_cap, &item_cap, r);
    }
    free(all);
    for (size_t i = 0; i < s->count; i++)
        set_version(&s->types[i]);
}

void snapshot_fini(struct snapshot *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct type_set *t = &s->types[i];

        for (size_t j = 0; j < t->count; j++)
            resource_unref(&t->items[j]);
        free(t->items);
        free(t->type_url);
    }
    free(s->types);
    *s = (struct snapshot){0};
}

void world_free(struct world **world)
{
    struct world *w = *world;

    if (!w)
        return;
    snapshot_fini(&w->shared);
    for (size_t i = 0; i < w->nodes.count; i++) {
        snapshot_fini(w->nodes.entries[i].value);
        free(w->nodes.entries[i].value);
    }
    strmap_fini(&w->nodes);
    free(w);
    *world = NULL;
}

const struct snapshot *world_for(const struct world *w, const char *node_id)
{
    const struct snapshot *own = node_id ? strmap_get(&w->nodes, node_id) : NULL;

    return own ? own : &w->shared;
}

const struct type_set *snapshot_type(const struct snapshot *s, const char *type_url)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = strcmp(s->types[middle].type_url, type_url);

        if (!c)
            return &s->types[middle];
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *snapshot_version(const struct snapshot *s, const char *type_url)
{
    const struct type_set *t = snapshot_type(s, type_url);
    static char empty[17];

    if (t)
        return t->version;
    if (!*empty)
        version_of_hash(empty, HASH_START);
    return empty;
}

struct resource *type_set_get(const struct type_set *t, const char *name)
{
    size_t low = 0, high = t ? t->count : 0;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = strcmp(t->items[middle]->name, name);

        if (!c)
            return t->items[middle];
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
