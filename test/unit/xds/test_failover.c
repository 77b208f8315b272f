/* Which of two control planes the next stream goes to (rules T11, T12). */
#include "xds/failover.h"

#include <check.h>
#include <stdlib.h>

#define FAILS(f, retry, next)                                                                      \
    do {                                                                                           \
        ck_assert_int_eq(failover_failed(f), retry);                                               \
        ck_assert_uint_eq((f)->at, next);                                                          \
    } while (0)

START_TEST(test_one_server_is_always_the_one)
{
    struct failover f;
    failover_init(&f, 1);
    for (unsigned i = 0; i < 5; i++)
        FAILS(&f, FAILOVER_BACK_OFF, 0);
    ck_assert(failover_knows(&f));
}
END_TEST

START_TEST(test_t11_the_second_after_two_failures_of_the_first)
{
    struct failover f;
    failover_init(&f, 2);
    FAILS(&f, FAILOVER_BACK_OFF, 0);
    FAILS(&f, FAILOVER_AT_ONCE, 1);
}
END_TEST

START_TEST(test_t11_both_in_turn_until_one_answers)
{
    struct failover f;
    failover_init(&f, 2);
    FAILS(&f, FAILOVER_BACK_OFF, 0);
    for (unsigned i = 0; i < 4; i++) {
        FAILS(&f, FAILOVER_AT_ONCE, 1);
        FAILS(&f, FAILOVER_PAUSE, 0);
    }
}
END_TEST

START_TEST(test_t11_a_first_that_has_answered_is_not_left)
{
    struct failover f;
    failover_init(&f, 2);
    FAILS(&f, FAILOVER_BACK_OFF, 0);
    failover_answered(&f);
    for (unsigned i = 0; i < 5; i++)
        FAILS(&f, FAILOVER_BACK_OFF, 0);
}
END_TEST

START_TEST(test_t11_a_lost_second_gives_the_first_its_turn)
{
    struct failover f;
    failover_init(&f, 2);
    FAILS(&f, FAILOVER_BACK_OFF, 0);
    FAILS(&f, FAILOVER_AT_ONCE, 1);
    failover_answered(&f);
    FAILS(&f, FAILOVER_PAUSE, 0);
    failover_answered(&f);
    FAILS(&f, FAILOVER_BACK_OFF, 0);
}
END_TEST

START_TEST(test_t12_versions_belong_to_who_told_them)
{
    struct failover f;
    failover_init(&f, 2);
    ck_assert(failover_knows(&f));
    failover_failed(&f);
    failover_failed(&f);
    ck_assert_msg(failover_knows(&f), "nothing is held yet");
    failover_answered(&f);
    ck_assert(failover_knows(&f));
    failover_failed(&f);
    ck_assert(!failover_knows(&f));
    failover_failed(&f);
    ck_assert_uint_eq(f.at, 1);
    ck_assert_msg(failover_knows(&f), "back at the one that told them");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("failover");
    TCase *t = tcase_create("failover");
    tcase_add_test(t, test_one_server_is_always_the_one);
    tcase_add_test(t, test_t11_the_second_after_two_failures_of_the_first);
    tcase_add_test(t, test_t11_both_in_turn_until_one_answers);
    tcase_add_test(t, test_t11_a_first_that_has_answered_is_not_left);
    tcase_add_test(t, test_t11_a_lost_second_gives_the_first_its_turn);
    tcase_add_test(t, test_t12_versions_belong_to_who_told_them);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
