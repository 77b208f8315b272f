/* A rejection in words is taken apart into resource, field and reason. */
#include <check.h>
#include <stdlib.h>

#include "nack.h"

static const char *const names[] = {"a", "route-1", "backend"};

static void expect(const char **at, const char *resource, const char *field, const char *reason)
{
    struct nack_part part;

    ck_assert(nack_next(at, &part, names, 3));
    ck_assert_pstr_eq(part.resource, resource);
    ck_assert_pstr_eq(part.field, field);
    ck_assert_str_eq(part.reason, reason);
    nack_part_fini(&part);
}

static void expect_end(const char *at)
{
    struct nack_part part;

    ck_assert(!nack_next(&at, &part, names, 3));
}

START_TEST(our_own_sentence)
{
    const char *at = "route-1: virtual_hosts[0].routes[2].match.prefix: must not be empty";

    expect(&at, "route-1", "virtual_hosts[0].routes[2].match.prefix", at);
    expect_end(at);
}
END_TEST

START_TEST(one_line_each)
{
    const char *at = "backend: lb_policy: unknown\n\nroute-1: name: twice";

    expect(&at, "backend", NULL, "backend: lb_policy: unknown");
    expect(&at, "route-1", NULL, "route-1: name: twice");
    expect_end(at);
}
END_TEST

START_TEST(envoys_list_of_names)
{
    const char *at = "Error adding/updating cluster(s) backend: duplicate cluster backend found";

    expect(&at, "backend", NULL, at);
}
END_TEST

START_TEST(envoys_constraint_chain)
{
    const char *at =
        "goo.gle/debugonly  \nname: \"backend\"\nload_assignment {\n  x: \"other\"\n}\n: Proto "
        "constraint validation failed (ClusterValidationError.CircuitBreakers: embedded message "
        "failed validation | caused by ThresholdsValidationError.RetryBudget[1]: bad)\nlast";

    expect(&at, "backend", "circuit_breakers.retry_budget[1]",
           "Proto constraint validation failed (ClusterValidationError.CircuitBreakers: embedded "
           "message failed validation | caused by ThresholdsValidationError.RetryBudget[1]: bad)");
    expect(&at, NULL, NULL, "last");
    expect_end(at);
}
END_TEST

START_TEST(a_dump_cut_short)
{
    const char *at = "goo.gle/debugproto \nname: \"backend\"\ntype";

    expect(&at, "backend", "goo.gle", at);
    expect_end(at);
}
END_TEST

START_TEST(a_name_inside_a_word_is_no_name)
{
    const char *at = "a-b is not a.b.c, backend2";

    expect(&at, NULL, "a.b.c", at);
}
END_TEST

START_TEST(nothing)
{
    expect_end("");
    expect_end("\n\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stub/nack");
    TCase *tc = tcase_create("messages");
    tcase_add_test(tc, our_own_sentence);
    tcase_add_test(tc, one_line_each);
    tcase_add_test(tc, envoys_list_of_names);
    tcase_add_test(tc, envoys_constraint_chain);
    tcase_add_test(tc, a_dump_cut_short);
    tcase_add_test(tc, a_name_inside_a_word_is_no_name);
    tcase_add_test(tc, nothing);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
