#include "dataplane/net/chunk.h"

#include <check.h>
#include <stdlib.h>

START_TEST(counted_and_reused)
{
    struct chunk_pool *pool = chunk_pool_new(NULL, 2);
    struct chunk *c[4];

    for (int i = 0; i < 4; i++)
        c[i] = chunk_new(pool);
    ck_assert_uint_eq(pool->live_chunks, 4);
    struct chunk *again = chunk_ref(c[0]);
    chunk_unref(&again);
    ck_assert_ptr_null(again);
    ck_assert_uint_eq(c[0]->refs, 1);
    for (int i = 0; i < 4; i++)
        chunk_unref(&c[i]);
    ck_assert_uint_eq(pool->live_chunks, 0);
    ck_assert_uint_le(pool->n_free_chunks, 2); /* the rest went back to the heap */
    chunk_unref(&c[0]);                        /* NULL is allowed */
    chunk_pool_free(&pool);
    ck_assert_ptr_null(pool);
}
END_TEST

START_TEST(slices_drop_their_chunk)
{
    struct chunk_pool *pool = chunk_pool_new(NULL, 0);
    struct slice *s = slice_new(pool);

    s->chunk = chunk_new(pool);
    s->chunk->used = 7;
    slice_free(pool, s);
    ck_assert_uint_eq(pool->live_chunks, 0);
    struct chunk *c = chunk_new(pool);
    ck_assert_uint_eq(c->used, 0);
    chunk_unref(&c);
    chunk_pool_free(&pool);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chunk");
    TCase *t = tcase_create("chunk");
    tcase_add_test(t, counted_and_reused);
    tcase_add_test(t, slices_drop_their_chunk);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
