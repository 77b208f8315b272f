#include "base/error.h"

#include "suite.h"

START_TEST(first_sentence_wins)
{
    struct error err = ERROR_INIT;
    ck_assert(!error_is_set(&err));
    ck_assert_str_eq(error_text(&err), "");
    ck_assert(!error_set(&err, "expected %s, got %d", "a port", 70000));
    ck_assert(!error_set(&err, "later"));
    ck_assert(error_is_set(&err));
    ck_assert_str_eq(error_text(&err), "expected a port, got 70000");
    error_fini(&err);
    ck_assert(!error_is_set(&err));
    error_fini(&err);
}
END_TEST

START_TEST(context_grows)
{
    struct error err = ERROR_INIT;
    error_set(&err, "unknown cluster 'x'");
    ck_assert(!error_prefix(&err, "route %d: ", 3));
    ck_assert(!error_prefix(&err, "%s", "listener 'a': "));
    ck_assert(!error_append(&err, "; ", "also %s", "this"));
    ck_assert_str_eq(error_text(&err), "listener 'a': route 3: unknown cluster 'x'; also this");
    error_fini(&err);
    error_append(&err, "\n", "one");
    error_append(&err, "\n", "two 100%%");
    ck_assert_str_eq(error_text(&err), "one\ntwo 100%");
    error_fini(&err);
}
END_TEST

START_TEST(moves)
{
    struct error a = ERROR_INIT, b = ERROR_INIT;
    error_set(&b, "text with %%s inside");
    error_move(&a, &b);
    ck_assert_str_eq(error_text(&a), "text with %s inside");
    ck_assert(!error_is_set(&b));
    error_prefix(&a, "x: ");
    ck_assert_str_eq(error_text(&a), "x: text with %s inside");
    error_fini(&a);
}
END_TEST

SUITE("error", first_sentence_wins, context_grows, moves)
