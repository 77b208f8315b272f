#include "dataplane/http/scope_match.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *element_separator, *separator, *key;
    uint32_t index;
    const char *value, *fragment; /* NULL: the header is missing; there is no fragment */
} rows[] = {
    /* by its place */
    {"", NULL, NULL, 0, "a,b", "a,b"},
    {",", NULL, NULL, 0, "a,b", "a"},
    {",", NULL, NULL, 1, "a,b", "b"},
    {",", NULL, NULL, 2, "a,b", NULL},
    {",", NULL, NULL, 1, "a,", ""},
    {",", NULL, NULL, 0, "", ""},
    {",", NULL, NULL, 1, "", NULL},
    {"::", NULL, NULL, 1, "a:b::c::d", "c"},
    {",", NULL, NULL, 0, NULL, NULL},
    /* by its key */
    {";", "=", "k", 0, "x=y;k=v;k=w", "v"},
    {";", "=", "k", 0, "k=v=w", "v=w"},
    {";", "=", "k", 0, "x;k;y", ""},
    {";", "=", "k", 0, "k=", ""},
    {";", "=", "k", 0, "kk=v; k=v", NULL},
    {";", "=", "k", 0, "K=v", NULL},
    {"", "=", "k", 0, "k=v;k=w", "v;k=w"},
    {";", "->", "k", 0, "k-v;k->v", "v"},
    {";", "=", "k", 0, "", NULL},
};

static struct arena *a;

static const struct scope_entry *match(unsigned i, const struct scope_table *t)
{
    struct scope_fragment f = {.header = BYTES("x"),
                               .element_separator = bytes_of(rows[i].element_separator),
                               .separator = bytes_of(rows[i].separator),
                               .key = bytes_of(rows[i].key),
                               .index = rows[i].index};
    struct scoped_routes s = {.fragments = &f, .n_fragments = 1};
    struct headers h;
    headers_init(&h, a);
    if (rows[i].value)
        headers_add(&h, BYTES("x"), bytes_of(rows[i].value));
    headers_add(&h, BYTES("x"), BYTES("the second one says nothing"));
    if (!rows[i].value)
        headers_remove(&h, BYTES("x"));
    return scope_match(&s, t, &h);
}

START_TEST(fragments)
{
    a = arena_new(0);
    struct scope_table *t = scope_table_new(1);
    struct bytes key = bytes_of(rows[_i].fragment ? rows[_i].fragment : "never");
    struct scope s = {.name = BYTES("s"), .fragments = &key, .n_fragments = 1};
    ck_assert(scope_table_add(t, &s, NULL));
    ck_assert_msg(!match((unsigned)_i, t) == !rows[_i].fragment, "row %d", _i);
    ck_assert_ptr_null(match((unsigned)_i, NULL));
    NODE_UNREF(&t);
    node_reap();
    arena_free(&a);
}
END_TEST

START_TEST(many_scopes)
{
    enum { N = 5000 };
    a = arena_new(0);
    struct scope_table *t = scope_table_new(N);
    for (unsigned i = 0; i < N; i++) {
        struct bytes key[2] = {arena_u64(a, i / 70), arena_u64(a, i % 70)};
        struct scope s = {.name = arena_u64(a, i), .fragments = key, .n_fragments = 2};
        ck_assert(scope_table_add(t, &s, NULL));
        ck_assert(!scope_table_add(t, &s, NULL));
    }
    for (unsigned i = 0; i < N; i++) {
        struct bytes key[2] = {arena_u64(a, i / 70), arena_u64(a, i % 70)};
        const struct scope_entry *e = scope_table_find(t, key, 2);
        ck_assert(e && bytes_eq(e->name, arena_u64(a, i)));
        ck_assert_ptr_null(scope_table_find(t, key, 1)); /* half a key is none */
    }
    NODE_UNREF(&t);
    node_reap();
    arena_free(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("scope_match");
    TCase *t = tcase_create("scope_match");
    tcase_add_loop_test(t, fragments, 0, (int)ARRAY_SIZE(rows));
    tcase_add_test(t, many_scopes);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
