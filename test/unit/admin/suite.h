/* main() of the tests of this folder: SUITE("name", test_one, test_two) at the end of the file. */
#pragma once

#include <check.h>
#include <stdlib.h>

#define SUITE(name, ...)                                                                           \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        Suite *suite = suite_create(name);                                                         \
        TCase *suite_all = tcase_create("all");                                                    \
        tcase_set_timeout(suite_all, 60);                                                          \
        for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)                              \
            tcase_add_test(suite_all, tests[i]);                                                   \
        suite_add_tcase(suite, suite_all);                                                         \
        SRunner *runner = srunner_create(suite);                                                   \
        srunner_run_all(runner, CK_ENV);                                                           \
        int failed = srunner_ntests_failed(runner);                                                \
        srunner_free(runner);                                                                      \
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                               \
    }
