#include "dataplane/net/tls_verified.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { WORKER = 2, OTHER = 3 };

static uint8_t key[TLS_VERIFIED_KEY], second[TLS_VERIFIED_KEY], rival[TLS_VERIFIED_KEY];

static void setup(void)
{
    memset(key, 1, sizeof(key));
    memset(second, 2, sizeof(second));
    memset(rival, 1, sizeof(rival)); /* the same place */
    rival[TLS_VERIFIED_KEY - 1] = 9;
    for (unsigned slot = WORKER; slot <= OTHER; slot++) {
        tls_verified_add(slot, key, 0, 0);
        tls_verified_add(slot, second, 0, 0);
    }
}

START_TEST(what_was_verified_is_known)
{
    ck_assert(!tls_verified_has(WORKER, key, 100));
    tls_verified_add(WORKER, key, 50, 200);
    ck_assert(tls_verified_has(WORKER, key, 100));
    ck_assert(!tls_verified_has(WORKER, second, 100));
    ck_assert(!tls_verified_has(OTHER, key, 100));
}
END_TEST

START_TEST(only_while_it_holds)
{
    tls_verified_add(WORKER, key, 50, 200);
    ck_assert(!tls_verified_has(WORKER, key, 49));
    ck_assert(tls_verified_has(WORKER, key, 50));
    ck_assert(tls_verified_has(WORKER, key, 199));
    ck_assert(!tls_verified_has(WORKER, key, 200));
}
END_TEST

START_TEST(the_newest_takes_the_place)
{
    tls_verified_add(WORKER, key, 0, 200);
    tls_verified_add(WORKER, rival, 0, 200);
    ck_assert(tls_verified_has(WORKER, rival, 100));
    ck_assert(!tls_verified_has(WORKER, key, 100));
}
END_TEST

START_TEST(no_such_slot)
{
    tls_verified_add(100000, key, 0, 200);
    ck_assert(!tls_verified_has(100000, key, 100));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls_verified");
    TCase *t = tcase_create("tls_verified");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, what_was_verified_is_known);
    tcase_add_test(t, only_while_it_holds);
    tcase_add_test(t, the_newest_takes_the_place);
    tcase_add_test(t, no_such_slot);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
