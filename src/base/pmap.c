#include "base/pmap.h"

#include <stdlib.h>

#include "base/memory.h"

/* A trie over hash bits, five a level, 64-bit bitmap words not needed: 32 children at most. Past
 * the 12 levels of the first hash a second, independent hash goes on. A child is a leaf or a
 * branch, told apart by the lowest pointer bit. */
enum { BITS = 5, LEVELS_PER_HASH = 12, LEVELS = 24 };

struct leaf {
    uint32_t refs;
    uint64_t hash;
    void *value;
    size_t key_len;
    char key[];
};

struct pmap_branch {
    uint32_t refs;
    uint32_t bitmap;
    uintptr_t child[];
};

static bool is_leaf(uintptr_t c)
{
    return c & 1;
}

static struct leaf *as_leaf(uintptr_t c)
{
    return (struct leaf *)(c & ~(uintptr_t)1);
}

static struct pmap_branch *as_branch(uintptr_t c)
{
    return (struct pmap_branch *)c;
}

static struct bytes leaf_key(const struct leaf *l)
{
    return bytes_from(l->key, l->key_len);
}

static uint32_t slot_of(struct bytes key, uint64_t hash, unsigned level)
{
    CHECK(level < LEVELS);
    if (level >= LEVELS_PER_HASH) {
        hash = bytes_hash_seeded(key, hash ^ 0x5851f42d4c957f2dull);
        level -= LEVELS_PER_HASH;
    }
    return (uint32_t)(hash >> (BITS * level)) & 31;
}

static unsigned position(uint32_t bitmap, uint32_t slot)
{
    return (unsigned)__builtin_popcount(bitmap & ((1u << slot) - 1));
}

static unsigned n_children(const struct pmap_branch *b)
{
    return (unsigned)__builtin_popcount(b->bitmap);
}

static struct leaf *leaf_new(struct bytes key, uint64_t hash, void *value)
{
    struct leaf *l = mem_alloc(sizeof(*l) + key.len + 1);
    l->refs = 1;
    l->hash = hash;
    l->value = value;
    l->key_len = key.len;
    if (key.len)
        memcpy(l->key, key.data, key.len);
    l->key[key.len] = '\0';
    return l;
}

static void child_ref(uintptr_t c)
{
    if (is_leaf(c))
        as_leaf(c)->refs++;
    else
        as_branch(c)->refs++;
}

static void child_unref(const struct pmap *m, uintptr_t c)
{
    if (is_leaf(c)) {
        struct leaf *l = as_leaf(c);
        if (--l->refs)
            return;
        if (m->release)
            m->release(l->value);
        mem_free(l);
        return;
    }
    struct pmap_branch *b = as_branch(c);
    if (--b->refs)
        return;
    for (unsigned i = 0, n = n_children(b); i < n; i++)
        child_unref(m, b->child[i]);
    mem_free(b);
}

static struct pmap_branch *branch_alloc(unsigned n)
{
    struct pmap_branch *b = mem_alloc(sizeof(*b) + n * sizeof(b->child[0]));
    b->refs = 1;
    b->bitmap = 0;
    return b;
}

/* A branch that only the caller holds, equal to b; b's reference is used up. */
static struct pmap_branch *branch_own(struct pmap_branch *b)
{
    if (b->refs == 1)
        return b;
    unsigned n = n_children(b);
    struct pmap_branch *copy = branch_alloc(n);
    copy->bitmap = b->bitmap;
    for (unsigned i = 0; i < n; i++) {
        copy->child[i] = b->child[i];
        child_ref(copy->child[i]);
    }
    b->refs--;
    return copy;
}

static struct pmap_branch *branch_insert(struct pmap_branch *b, uint32_t slot, uintptr_t c)
{
    unsigned n = n_children(b), at = position(b->bitmap, slot);
    b = branch_own(b);
    b = mem_realloc(b, sizeof(*b) + (n + 1) * sizeof(b->child[0]));
    memmove(&b->child[at + 1], &b->child[at], (n - at) * sizeof(b->child[0]));
    b->child[at] = c;
    b->bitmap |= 1u << slot;
    return b;
}

/* Two leaves that meet: as many branches as it takes to tell them apart. */
static struct pmap_branch *branch_pair(struct leaf *a, struct leaf *b, unsigned level)
{
    uint32_t sa = slot_of(leaf_key(a), a->hash, level), sb = slot_of(leaf_key(b), b->hash, level);
    uintptr_t ca = (uintptr_t)a | 1, cb = (uintptr_t)b | 1;
    if (sa == sb) {
        struct pmap_branch *up = branch_alloc(1);
        up->bitmap = 1u << sa;
        up->child[0] = (uintptr_t)branch_pair(a, b, level + 1);
        return up;
    }
    struct pmap_branch *two = branch_alloc(2);
    two->bitmap = 1u << sa | 1u << sb;
    two->child[sa < sb ? 0 : 1] = ca;
    two->child[sa < sb ? 1 : 0] = cb;
    return two;
}

static struct pmap_branch *insert(struct pmap *m, struct pmap_branch *b, struct leaf *l,
                                  unsigned level)
{
    uint32_t slot = slot_of(leaf_key(l), l->hash, level);
    if (!(b->bitmap & 1u << slot)) {
        m->count++;
        return branch_insert(b, slot, (uintptr_t)l | 1);
    }
    b = branch_own(b);
    uintptr_t *c = &b->child[position(b->bitmap, slot)];
    if (!is_leaf(*c)) {
        *c = (uintptr_t)insert(m, as_branch(*c), l, level + 1);
    } else if (bytes_eq(leaf_key(as_leaf(*c)), leaf_key(l))) {
        child_unref(m, *c);
        *c = (uintptr_t)l | 1;
    } else {
        m->count++;
        *c = (uintptr_t)branch_pair(as_leaf(*c), l, level + 1);
    }
    return b;
}

void pmap_set(struct pmap *m, struct bytes key, void *value)
{
    CHECK(value);
    if (!m->root)
        m->root = branch_alloc(0);
    m->root = insert(m, m->root, leaf_new(key, bytes_hash(key), value), 0);
}

static const struct leaf *find(const struct pmap *m, struct bytes key)
{
    uint64_t hash = bytes_hash(key);
    const struct pmap_branch *b = m->root;
    for (unsigned level = 0; b; level++) {
        uint32_t slot = slot_of(key, hash, level);
        if (!(b->bitmap & 1u << slot))
            return NULL;
        uintptr_t c = b->child[position(b->bitmap, slot)];
        if (is_leaf(c)) {
            const struct leaf *l = as_leaf(c);
            return l->hash == hash && bytes_eq(leaf_key(l), key) ? l : NULL;
        }
        b = as_branch(c);
    }
    return NULL;
}

void *pmap_get(const struct pmap *m, struct bytes key)
{
    const struct leaf *l = find(m, key);
    return l ? l->value : NULL;
}

/* Removes a key known to be there. Returns what takes b's place: 0 for nothing. */
static uintptr_t remove_key(struct pmap *m, struct pmap_branch *b, struct bytes key, uint64_t hash,
                            unsigned level)
{
    uint32_t slot = slot_of(key, hash, level);
    b = branch_own(b);
    unsigned at = position(b->bitmap, slot), n = n_children(b);
    uintptr_t rest = 0;
    if (is_leaf(b->child[at]))
        child_unref(m, b->child[at]);
    else
        rest = remove_key(m, as_branch(b->child[at]), key, hash, level + 1);
    if (rest) {
        b->child[at] = rest;
    } else {
        memmove(&b->child[at], &b->child[at + 1], (n - at - 1) * sizeof(b->child[0]));
        b->bitmap &= ~(1u << slot);
        n--;
    }
    if (n == 0 || (n == 1 && is_leaf(b->child[0]) && level > 0)) {
        uintptr_t only = n ? b->child[0] : 0;
        mem_free(b);
        return only;
    }
    return (uintptr_t)b;
}

bool pmap_remove(struct pmap *m, struct bytes key)
{
    const struct leaf *l = find(m, key);
    if (!l)
        return false;
    m->root = as_branch(remove_key(m, m->root, key, l->hash, 0));
    m->count--;
    return true;
}

struct pmap pmap_copy(const struct pmap *m)
{
    if (m->root)
        m->root->refs++;
    return *m;
}

void pmap_fini(struct pmap *m)
{
    if (m->root)
        child_unref(m, (uintptr_t)m->root);
    m->root = NULL;
    m->count = 0;
}

static bool each(const struct pmap_branch *b, pmap_each_fn *fn, void *ctx)
{
    for (unsigned i = 0, n = n_children(b); i < n; i++) {
        uintptr_t c = b->child[i];
        bool go = is_leaf(c) ? fn(ctx, leaf_key(as_leaf(c)), as_leaf(c)->value)
                             : each(as_branch(c), fn, ctx);
        if (!go)
            return false;
    }
    return true;
}

void pmap_each(const struct pmap *m, pmap_each_fn *fn, void *ctx)
{
    if (m->root)
        each(m->root, fn, ctx);
}

struct diff {
    const struct pmap *a, *b;
    pmap_diff_fn *fn;
    void *ctx;
};

static bool diff_gone(void *ctx, struct bytes key, void *value)
{
    struct diff *d = ctx;
    d->fn(d->ctx, key, value, NULL);
    return true;
}

static bool diff_new(void *ctx, struct bytes key, void *value)
{
    struct diff *d = ctx;
    d->fn(d->ctx, key, NULL, value);
    return true;
}

static void each_child(uintptr_t c, pmap_each_fn *fn, void *ctx)
{
    if (is_leaf(c))
        fn(ctx, leaf_key(as_leaf(c)), as_leaf(c)->value);
    else if (c)
        each(as_branch(c), fn, ctx);
}

/* A leaf on one side against a branch on the other: everything in the branch, but the leaf's key.
 */
struct diff_leaf {
    struct diff *d;
    const struct leaf *leaf;
    bool leaf_is_old, met;
};

static bool diff_against_leaf(void *ctx, struct bytes key, void *value)
{
    struct diff_leaf *x = ctx;
    bool same = bytes_eq(key, leaf_key(x->leaf));
    x->met |= same;
    if (same && value == x->leaf->value)
        return true;
    void *other = same ? x->leaf->value : NULL;
    if (x->leaf_is_old)
        x->d->fn(x->d->ctx, key, other, value);
    else
        x->d->fn(x->d->ctx, key, value, other);
    return true;
}

static void diff_leaf_other(struct diff *d, const struct leaf *l, uintptr_t other, bool leaf_is_old)
{
    struct diff_leaf x = {d, l, leaf_is_old, false};
    each_child(other, diff_against_leaf, &x);
    if (x.met)
        return;
    if (leaf_is_old)
        d->fn(d->ctx, leaf_key(l), l->value, NULL);
    else
        d->fn(d->ctx, leaf_key(l), NULL, l->value);
}

static void diff_branches(struct diff *d, const struct pmap_branch *a, const struct pmap_branch *b);

static void diff_child(struct diff *d, uintptr_t a, uintptr_t b)
{
    if (a == b)
        return;
    if (!a || !b)
        each_child(a ? a : b, a ? diff_gone : diff_new, d);
    else if (is_leaf(a))
        diff_leaf_other(d, as_leaf(a), b, true);
    else if (is_leaf(b))
        diff_leaf_other(d, as_leaf(b), a, false);
    else
        diff_branches(d, as_branch(a), as_branch(b));
}

static void diff_branches(struct diff *d, const struct pmap_branch *a, const struct pmap_branch *b)
{
    for (uint32_t slot = 0; slot < 32; slot++) {
        uint32_t bit = 1u << slot;
        uintptr_t ca = a->bitmap & bit ? a->child[position(a->bitmap, slot)] : 0;
        uintptr_t cb = b->bitmap & bit ? b->child[position(b->bitmap, slot)] : 0;
        diff_child(d, ca, cb);
    }
}

void pmap_diff(const struct pmap *a, const struct pmap *b, pmap_diff_fn *fn, void *ctx)
{
    struct diff d = {a, b, fn, ctx};
    diff_child(&d, (uintptr_t)a->root, (uintptr_t)b->root);
}

struct collect {
    struct pmap_pair *pairs;
    size_t n;
};

static bool collect(void *ctx, struct bytes key, void *value)
{
    struct collect *c = ctx;
    c->pairs[c->n++] = (struct pmap_pair){key, value};
    return true;
}

static int by_key(const void *a, const void *b)
{
    return bytes_cmp(((const struct pmap_pair *)a)->key, ((const struct pmap_pair *)b)->key);
}

struct pmap_pair *pmap_sorted(const struct pmap *m)
{
    struct collect c = {mem_alloc(m->count * sizeof(struct pmap_pair)), 0};
    pmap_each(m, collect, &c);
    qsort(c.pairs, c.n, sizeof(c.pairs[0]), by_key);
    return c.pairs;
}
