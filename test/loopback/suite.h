/* The end of every loopback test file. */
#pragma once

#include <check.h>
#include <stdlib.h>

static inline int run_suite(TCase *t)
{
    Suite *s = suite_create("loopback");
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
