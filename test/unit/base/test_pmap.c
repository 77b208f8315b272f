#include "base/pmap.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/random.h"
#include "suite.h"

/* The source itself, so that what a change allocates can be counted. */
static size_t n_allocs;

static void *counting_alloc(size_t size)
{
    n_allocs++;
    return mem_alloc(size);
}

#define mem_alloc counting_alloc
#include "base/pmap.c"
#undef mem_alloc

enum { KEYS = 300, MAPS = 6 };

/* A value knows how many model maps hold it; the map must let go of it exactly once, at the end. */
struct value {
    unsigned holders;
    bool released;
};

static void release(void *v)
{
    struct value *value = v;
    ck_assert(!value->released);
    value->released = true;
}

static struct bytes key_of(char out[16], unsigned n)
{
    return bytes_from(out, (size_t)snprintf(out, 16, "k%u", n));
}

struct pair {
    struct pmap map;
    struct value *model[KEYS];
};

static struct pair pairs[MAPS];
static struct value **all;
static size_t n_all, cap_all;

static struct value *value_new(void)
{
    GROW(all, cap_all, n_all + 1);
    return all[n_all++] = NEW(struct value);
}

static void model_put(struct pair *p, unsigned n, struct value *v)
{
    if (p->model[n])
        p->model[n]->holders--;
    if (v)
        v->holders++;
    p->model[n] = v;
}

static void check_pair(const struct pair *p)
{
    char buf[16];
    size_t count = 0;
    for (unsigned n = 0; n < KEYS; n++) {
        ck_assert_ptr_eq(pmap_get(&p->map, key_of(buf, n)), p->model[n]);
        count += p->model[n] != NULL;
    }
    ck_assert_uint_eq(p->map.count, count);
    struct pmap_pair *sorted = pmap_sorted(&p->map);
    for (size_t i = 1; i < count; i++)
        ck_assert_int_lt(bytes_cmp(sorted[i - 1].key, sorted[i].key), 0);
    mem_free(sorted);
}

struct seen {
    const struct pair *a, *b;
    bool met[KEYS];
    unsigned calls;
};

static void on_diff(void *ctx, struct bytes key, void *old_value, void *new_value)
{
    struct seen *s = ctx;
    uint64_t n;
    ck_assert(bytes_to_u64(bytes_skip(key, 1), &n));
    ck_assert(!s->met[n]);
    s->met[n] = true;
    s->calls++;
    ck_assert_ptr_eq(old_value, s->a->model[n]);
    ck_assert_ptr_eq(new_value, s->b->model[n]);
    ck_assert_ptr_ne(old_value, new_value);
}

static void check_diff(const struct pair *a, const struct pair *b)
{
    struct seen s = {a, b, {false}, 0};
    unsigned want = 0;
    for (unsigned n = 0; n < KEYS; n++)
        want += a->model[n] != b->model[n];
    pmap_diff(&a->map, &b->map, on_diff, &s);
    ck_assert_uint_eq(s.calls, want);
}

static void check_releases(void)
{
    for (size_t i = 0; i < n_all; i++)
        ck_assert_msg(all[i]->released == (all[i]->holders == 0), "value %zu", i);
}

static void take_step(struct random_source *r)
{
    struct pair *p = &pairs[random_below(r, MAPS)], *q = &pairs[random_below(r, MAPS)];
    unsigned n = (unsigned)random_below(r, KEYS), what = (unsigned)random_below(r, 100);
    char buf[16];
    if (what < 55) {
        struct value *v = value_new();
        pmap_set(&p->map, key_of(buf, n), v);
        model_put(p, n, v);
    } else if (what < 95) {
        ck_assert(pmap_remove(&p->map, key_of(buf, n)) == (p->model[n] != NULL));
        model_put(p, n, NULL);
    } else if (what < 99 && p != q) {
        pmap_fini(&q->map);
        q->map = pmap_copy(&p->map);
        for (unsigned i = 0; i < KEYS; i++)
            model_put(q, i, p->model[i]);
    } else {
        check_diff(p, q);
        check_pair(p);
        check_pair(q);
    }
}

START_TEST(random_history)
{
    struct random_source r;
    random_seed(&r, 11);
    for (unsigned i = 0; i < MAPS; i++)
        pairs[i].map = (struct pmap)PMAP_INIT(release);
    for (unsigned i = 0; i < 20000; i++) {
        take_step(&r);
        if (i % 1000 == 0)
            check_releases();
    }
    for (unsigned i = 0; i < MAPS; i++) {
        check_pair(&pairs[i]);
        for (unsigned j = 0; j < MAPS; j++)
            check_diff(&pairs[i], &pairs[j]);
    }
    for (unsigned i = 0; i < MAPS; i++) {
        pmap_fini(&pairs[i].map);
        for (unsigned n = 0; n < KEYS; n++)
            model_put(&pairs[i], n, NULL);
        check_releases();
    }
    for (size_t i = 0; i < n_all; i++)
        mem_free(all[i]);
    mem_free(all);
}
END_TEST

static int plain[20001];

static void fill(struct pmap *m, unsigned n)
{
    char buf[16];
    for (unsigned i = 0; i < n; i++)
        pmap_set(m, key_of(buf, i), &plain[i]);
}

struct counted {
    unsigned diffs;
};

static void count_diff(void *ctx, struct bytes key, void *a, void *b)
{
    ((struct counted *)ctx)->diffs++;
}

/* The most allocations that one change of a published map takes. */
static size_t cost_of_change(unsigned n)
{
    struct pmap m = PMAP_INIT(NULL);
    char buf[16];
    size_t worst = 0;
    fill(&m, n);
    for (unsigned i = 0; i < 200; i++) {
        struct pmap published = pmap_copy(&m);
        size_t before = n_allocs;
        pmap_set(&m, key_of(buf, i * 7 % n), &plain[0]);
        size_t cost = n_allocs - before;
        worst = cost > worst ? cost : worst;
        struct counted c = {0};
        pmap_diff(&published, &m, count_diff, &c);
        ck_assert_uint_le(c.diffs, 1);
        ck_assert_ptr_eq(pmap_get(&published, key_of(buf, i * 7 % n)), &plain[i * 7 % n]);
        pmap_fini(&published);
    }
    pmap_fini(&m);
    return worst;
}

START_TEST(a_change_copies_one_path)
{
    size_t small = cost_of_change(200), large = cost_of_change(20000);
    ck_assert_uint_le(small, 5); /* one leaf, and a branch a level */
    ck_assert_uint_le(large, 8);
}
END_TEST

START_TEST(unshared_branches_change_in_place)
{
    struct pmap m = PMAP_INIT(NULL);
    char buf[16];
    fill(&m, 5000);
    size_t before = n_allocs;
    for (unsigned i = 0; i < 5000; i++)
        pmap_set(&m, key_of(buf, i), &plain[i + 1]);
    ck_assert_uint_eq(n_allocs - before, 5000); /* a leaf each, no branch */
    pmap_fini(&m);
}
END_TEST

static bool stop_after(void *ctx, struct bytes key, void *value)
{
    return --*(unsigned *)ctx > 0;
}

START_TEST(edges)
{
    struct pmap m = PMAP_INIT(NULL), none = PMAP_INIT(NULL);
    ck_assert_ptr_null(pmap_get(&m, BYTES("a")));
    ck_assert(!pmap_remove(&m, BYTES("a")));
    mem_free(pmap_sorted(&m));
    struct pmap copy = pmap_copy(&m);
    pmap_fini(&copy);
    pmap_set(&m, BYTES_NONE, &plain[0]);
    ck_assert_ptr_eq(pmap_get(&m, BYTES("")), &plain[0]);
    ck_assert(pmap_remove(&m, BYTES("")));
    ck_assert_ptr_null(m.root);
    fill(&m, 100);
    unsigned left = 10;
    pmap_each(&m, stop_after, &left);
    ck_assert_uint_eq(left, 0);
    struct counted c = {0};
    pmap_diff(&m, &none, count_diff, &c);
    pmap_diff(&none, &m, count_diff, &c);
    pmap_diff(&m, &m, count_diff, &c);
    ck_assert_uint_eq(c.diffs, 200);
    struct pmap_pair *sorted = pmap_sorted(&m);
    char buf[16];
    for (unsigned i = 0; i < 100; i++) /* the key lives in the map that loses it */
        ck_assert(pmap_remove(&m, sorted[i].key));
    ck_assert_uint_eq(m.count, 0);
    ck_assert_ptr_null(pmap_get(&m, key_of(buf, 5)));
    mem_free(sorted);
    pmap_fini(&m);
}
END_TEST

/* Whoever knows the seed can make equal hashes; the second hash still tells the keys apart. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

START_TEST(equal_hashes)
{
    const uint64_t seed = 1234;
    bytes_hash_set_seed(seed);
    uint64_t zero = fold(seed ^ 0xe7037ed1a0b428dbull, 0xa0761d6478bd642full);
    char keys[40][16];
    struct pmap m = PMAP_INIT(NULL);
    for (unsigned i = 0; i < 40; i++) {
        memset(keys[i], 0, 16);
        memcpy(keys[i], &zero, 8);
        snprintf(keys[i] + 8, 8, "%u", i);
        ck_assert_uint_eq(bytes_hash(bytes_from(keys[i], 15)), bytes_hash(bytes_from(keys[0], 15)));
        pmap_set(&m, bytes_from(keys[i], 15), &plain[i]);
    }
    struct pmap copy = pmap_copy(&m);
    for (unsigned i = 0; i < 40; i++) {
        ck_assert_ptr_eq(pmap_get(&m, bytes_from(keys[i], 15)), &plain[i]);
        ck_assert(pmap_remove(&m, bytes_from(keys[i], 15)));
    }
    ck_assert_uint_eq(copy.count, 40);
    ck_assert_ptr_eq(pmap_get(&copy, bytes_from(keys[39], 15)), &plain[39]);
    pmap_fini(&copy);
    pmap_fini(&m);
}
END_TEST

SUITE("pmap", random_history, a_change_copies_one_path, unshared_branches_change_in_place, edges,
      equal_hashes)
