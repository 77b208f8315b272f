/* Times to live, with a clock of the test's own and one timer. */
#include "xds/ttl.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

static struct clock_fake clock;
static xds_timer_fn *timer_fn;
static void *timer_arg;
static uint64_t timer_due;
static unsigned n_started;
static struct strbuf gone;

static void *timer_start(void *ctx, uint64_t ms, xds_timer_fn *fn, void *arg)
{
    ck_assert_ptr_null(timer_fn);
    timer_fn = fn;
    timer_arg = arg;
    timer_due = clock.monotonic + ms * NS_PER_MS;
    n_started++;
    return &timer_fn;
}

static void timer_cancel(void *ctx, void *timer)
{
    timer_fn = NULL;
}

static const struct xds_table table = {
    .clock = &clock.clock, .timer_start = timer_start, .timer_cancel = timer_cancel};

static void on_expired(void *owner, const struct bytes *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&gone, "%.*s;", BYTES_ARG(names[i]));
}

/* Lets time pass; timers run at their time. */
static const char *pass(uint64_t ms)
{
    uint64_t end = clock.monotonic + ms * NS_PER_MS;
    strbuf_reset(&gone);
    while (timer_fn && timer_due <= end) {
        xds_timer_fn *fn = timer_fn;
        timer_fn = NULL;
        clock.monotonic = timer_due;
        fn(timer_arg);
    }
    clock.monotonic = end;
    return strbuf_str(&gone);
}

static struct ttl ttl;

static void setup(void)
{
    clock_fake_init(&clock);
    timer_fn = NULL;
    n_started = 0;
    strbuf_fini(&gone);
    ttl_init(&ttl, &table, on_expired, NULL);
}

static void teardown(void)
{
    ttl_fini(&ttl);
    ck_assert_ptr_null(timer_fn);
    strbuf_fini(&gone);
}

START_TEST(test_each_at_its_time_once)
{
    ttl_set(&ttl, BYTES("b"), 200);
    ttl_set(&ttl, BYTES("a"), 100);
    ttl_set(&ttl, BYTES("c"), 300);
    ttl_set(&ttl, BYTES("c2"), 300);
    ck_assert_str_eq(pass(99), "");
    ck_assert_str_eq(pass(1), "a;");
    ck_assert_str_eq(pass(100), "b;");
    ck_assert_uint_eq(strlen(pass(1000)), strlen("c;c2;"));
    ck_assert_str_eq(pass(100000), "");
}
END_TEST

START_TEST(test_set_again_and_cleared)
{
    ttl_set(&ttl, BYTES("a"), 100);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_str_eq(pass(90), "");
        ttl_set(&ttl, BYTES("a"), 100);
    }
    ck_assert_uint_le(n_started, 11);
    ttl_set(&ttl, BYTES("a"), 10); /* earlier */
    ck_assert_str_eq(pass(10), "a;");
    ttl_set(&ttl, BYTES("b"), 10);
    ttl_clear(&ttl, BYTES("b"));
    ttl_clear(&ttl, BYTES("unknown"));
    ck_assert_str_eq(pass(1000), "");
    ttl_set(&ttl, BYTES("c"), 0);
    ck_assert_str_eq(pass(0), "c;");
    ttl_set(&ttl, BYTES("d"), UINT64_MAX);
    ck_assert_str_eq(pass(1000000), "");
}
END_TEST

/* The heap against a plain list. */
START_TEST(test_many_in_any_order)
{
    enum { N = 60 };
    uint64_t due[N] = {0};
    struct random_source r;
    random_seed(&r, 7);
    for (unsigned step = 0; step < 3000; step++) {
        unsigned i = (unsigned)random_below(&r, N);
        char name[8];
        snprintf(name, sizeof(name), "%u", i);
        if (random_below(&r, 4) == 0) {
            ttl_clear(&ttl, bytes_of(name));
            due[i] = 0;
        } else {
            uint64_t ms = random_below(&r, 50);
            ttl_set(&ttl, bytes_of(name), ms);
            due[i] = clock.monotonic + ms * NS_PER_MS + 1;
        }
        size_t expected = 0, seen = 0;
        const char *text = pass(random_below(&r, 3));
        for (unsigned k = 0; k < N; k++) {
            if (due[k] && due[k] - 1 <= clock.monotonic) {
                due[k] = 0;
                expected++;
            }
        }
        for (; *text; text++)
            seen += *text == ';';
        ck_assert_uint_eq(seen, expected);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ttl");
    TCase *t = tcase_create("ttl");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_each_at_its_time_once);
    tcase_add_test(t, test_set_again_and_cleared);
    tcase_add_test(t, test_many_in_any_order);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
