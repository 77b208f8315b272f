/* How many requests a stream may send. */
#include "xds/token_bucket.h"

#include <check.h>
#include <stdlib.h>

#include "base/clock.h"

START_TEST(test_t06_a_burst_and_then_a_rate)
{
    struct token_bucket b;
    uint64_t now = 5 * NS_PER_S;
    token_bucket_init(&b, 3, 2, now);
    for (unsigned i = 0; i < 3; i++)
        ck_assert(token_bucket_take(&b, now));
    ck_assert(!token_bucket_take(&b, now));
    ck_assert_uint_eq(token_bucket_wait_ms(&b), 501);
    ck_assert(!token_bucket_take(&b, now + 499 * NS_PER_MS));
    ck_assert(token_bucket_wait_ms(&b) <= 2);
    ck_assert(token_bucket_take(&b, now + 500 * NS_PER_MS));
    ck_assert(!token_bucket_take(&b, now + 500 * NS_PER_MS));
    now += 1000 * NS_PER_S; /* no more than it holds */
    for (unsigned i = 0; i < 3; i++)
        ck_assert(token_bucket_take(&b, now));
    ck_assert(!token_bucket_take(&b, now));
}
END_TEST

START_TEST(test_edges)
{
    struct token_bucket b;
    token_bucket_init(&b, 0, 0, 0); /* no limit */
    for (unsigned i = 0; i < 1000; i++)
        ck_assert(token_bucket_take(&b, 0));
    token_bucket_init(&b, 1, 1e-9, 0); /* once in thirty years: asked again each day */
    ck_assert(token_bucket_take(&b, 0));
    ck_assert(!token_bucket_take(&b, 0));
    ck_assert_uint_eq(token_bucket_wait_ms(&b), 24 * 60 * 60 * 1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("token_bucket");
    TCase *t = tcase_create("token_bucket");
    tcase_add_test(t, test_t06_a_burst_and_then_a_rate);
    tcase_add_test(t, test_edges);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
