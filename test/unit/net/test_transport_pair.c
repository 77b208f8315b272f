#include "dataplane/net/transport_pair.h"

#include <errno.h>

#include "support.h"

enum { LIMIT = 1000 };

static struct fixture f;
static struct transport *ends[2];
static unsigned told[2]; /* events of the last call */
static unsigned calls[2];

static void on_ready(void *ctx, unsigned events)
{
    unsigned i = ctx == &ends[1];

    told[i] = events;
    calls[i]++;
    transport_want(ends[i], 0); /* once is enough here */
}

static void setup(void)
{
    fixture_init(&f);
    transport_pair_new(f.loop, f.pool, LIMIT, ends);
    for (int i = 0; i < 2; i++) {
        told[i] = calls[i] = 0;
        transport_on_ready(ends[i], on_ready, &ends[i]);
    }
}

static void teardown(void)
{
    transport_close(&ends[0], false);
    transport_close(&ends[1], false);
    fixture_fini(&f);
}

static ssize_t put(int i, const char *data, size_t len)
{
    struct iovec iov = {.iov_base = (char *)(uintptr_t)data, .iov_len = len};

    return transport_writev(ends[i], &iov, 1);
}

START_TEST(bounded)
{
    char data[1500] = {0}, got[1500];

    ck_assert_int_eq(transport_read(ends[1], got, sizeof(got)), IO_AGAIN);
    ck_assert_int_eq(put(0, data, sizeof(data)), LIMIT);
    ck_assert_int_eq(put(0, data, 1), IO_AGAIN);
    transport_want(ends[0], IO_WRITE);
    settle_loop(&f);
    ck_assert_uint_eq(calls[0], 0); /* full */
    ck_assert_int_eq(transport_read(ends[1], got, 600), 600);
    settle_loop(&f);
    ck_assert_uint_eq(told[0], IO_WRITE);
    ck_assert_int_eq(put(0, data, sizeof(data)), 600);
}
END_TEST

START_TEST(ready_at_the_end_of_the_turn)
{
    transport_want(ends[1], IO_READ);
    ck_assert_int_eq(put(0, "x", 1), 1);
    ck_assert_uint_eq(calls[1], 0);
    loop_turn(f.loop, true);
    ck_assert_uint_eq(calls[1], 1);
    ck_assert_uint_eq(told[1], IO_READ);
    transport_want(ends[1], IO_READ); /* not read: told again */
    loop_turn(f.loop, true);
    ck_assert_uint_eq(calls[1], 2);
}
END_TEST

START_TEST(half_close)
{
    char got[10];

    put(0, "last", 4);
    transport_shutdown_write(ends[0]);
    ck_assert_int_eq(put(0, "x", 1), IO_ERROR);
    ck_assert_int_eq(transport_read(ends[1], got, sizeof(got)), 4);
    ck_assert_int_eq(transport_read(ends[1], got, sizeof(got)), IO_EOF);
    ck_assert_int_eq(put(1, "back", 4), 4);
    ck_assert_int_eq(transport_read(ends[0], got, sizeof(got)), 4);
}
END_TEST

START_TEST(close_and_reset)
{
    char got[10];

    put(0, "bye", 3);
    transport_close(&ends[0], false);
    ck_assert_int_eq(put(1, "x", 1), IO_ERROR);
    ck_assert_int_eq(ends[1]->error, EPIPE);
    ck_assert_int_eq(transport_read(ends[1], got, sizeof(got)), 3);
    ck_assert_int_eq(transport_read(ends[1], got, sizeof(got)), IO_EOF);
}
END_TEST

START_TEST(unread_bytes_make_it_a_reset)
{
    char got[10];

    put(0, "never read", 10);
    put(1, "still", 5);
    transport_close(&ends[1], false);
    ck_assert_int_eq(transport_read(ends[0], got, sizeof(got)), 5);
    ck_assert_int_eq(transport_read(ends[0], got, sizeof(got)), IO_ERROR);
    ck_assert_int_eq(ends[0]->error, ECONNRESET);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("transport_pair");
    TCase *t = tcase_create("transport_pair");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, bounded);
    tcase_add_test(t, ready_at_the_end_of_the_turn);
    tcase_add_test(t, half_close);
    tcase_add_test(t, close_and_reset);
    tcase_add_test(t, unread_bytes_make_it_a_reset);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
