#include "base/check.h"
#include "config/route.h"
#include "config/scoped_routes.h"

static void table_fini(struct node *n)
{
    struct scope_table *t = CONTAINER_OF(n, struct scope_table, node);
    for (uint32_t i = 0; i < t->n; i++)
        NODE_UNREF(&t->entries[i].routes);
}

struct scope_table *scope_table_new(size_t n)
{
    size_t size = 4;
    while (size < n * 2)
        size *= 2;
    struct scope_table *t =
        node_new(NODE_SCOPE_TABLE, sizeof(*t), node_pins_size() + n * 128 + size * sizeof(uint32_t),
                 table_fini);
    node_make_pinnable(&t->node);
    t->entries = ARENA_ARRAY(t->node.arena, struct scope_entry, n ? n : 1);
    t->index = ARENA_ARRAY(t->node.arena, uint32_t, size);
    t->mask = (uint32_t)size - 1;
    return t;
}

static uint64_t hash_of(const struct bytes *fragments, unsigned n)
{
    uint64_t hash = n;
    for (unsigned i = 0; i < n; i++)
        hash = hash * 31 + bytes_hash(fragments[i]);
    return hash;
}

static bool has_key(const struct scope_entry *e, uint64_t hash, const struct bytes *fragments,
                    unsigned n)
{
    bool same = e->hash == hash && e->n_fragments == n;
    for (unsigned i = 0; same && i < n; i++)
        same = bytes_eq(e->fragments[i], fragments[i]);
    return same;
}

/* Where the key is, or would be. */
static uint32_t *place_of(const struct scope_table *t, uint64_t hash, const struct bytes *fragments,
                          unsigned n)
{
    uint32_t at = (uint32_t)hash & t->mask;
    while (t->index[at] && !has_key(&t->entries[t->index[at] - 1], hash, fragments, n))
        at = (at + 1) & t->mask;
    return &t->index[at];
}

bool scope_table_add(struct scope_table *t, const struct scope *s, struct route_config *routes)
{
    struct arena *a = t->node.arena;
    uint64_t hash = hash_of(s->fragments, s->n_fragments);
    uint32_t *place = place_of(t, hash, s->fragments, s->n_fragments);
    if (*place)
        return false;
    struct scope_entry *e = &t->entries[t->n++];
    *place = t->n;
    e->name = arena_dup(a, s->name);
    e->hash = hash;
    e->n_fragments = s->n_fragments;
    e->fragments = ARENA_ARRAY(a, struct bytes, s->n_fragments);
    for (unsigned i = 0; i < s->n_fragments; i++)
        e->fragments[i] = arena_dup(a, s->fragments[i]);
    e->rds_name = s->routes ? BYTES("") : arena_dup(a, s->rds_name);
    e->routes = routes ? NODE_REF(routes) : NULL;
    return true;
}

const struct scope_entry *scope_table_find(const struct scope_table *t,
                                           const struct bytes *fragments, unsigned n)
{
    uint32_t at = *place_of(t, hash_of(fragments, n), fragments, n);
    return at ? &t->entries[at - 1] : NULL;
}
