#include "dataplane/net/relay.h"

#include <errno.h>

#include "dataplane/net/transport_pair.h"
#include "support.h"

static struct fixture f;
static struct peer a, b;
static struct tap tap_a, tap_b;
static struct relay *relay;
static bool ended;
static unsigned ended_by;
static enum close_reason end_reason;

static void on_end(void *owner, unsigned who, enum close_reason reason)
{
    ck_assert_ptr_eq(owner, &f);
    ended = true;
    ended_by = who;
    end_reason = reason;
    relay = NULL;
}

static uint64_t carried[2];

static void on_bytes(void *owner, unsigned from, uint64_t n)
{
    carried[from] += n;
}

static const struct relay_ops ops = {.on_end = on_end, .on_bytes = on_bytes};

/* a ─ socket pair ─ [0] relay [1] ─ memory pair ─ b */
static void setup(void)
{
    struct transport *ends[2];
    int fds[2];

    fixture_init(&f);
    a = (struct peer){0};
    b = (struct peer){0};
    ended = false;
    carried[0] = carried[1] = 0;
    socket_pair(fds);
    transport_pair_new(f.loop, f.pool, 0, ends);
    a.conn = connection_new(f.loop, f.pool,
                            tap_init(&tap_a, transport_socket_new(f.loop, fds[0], false)),
                            &peer_ops, &a);
    b.conn = connection_new(f.loop, f.pool, tap_init(&tap_b, ends[1]), &peer_ops, &b);
    struct connection *left = connection_accept(f.loop, f.pool, fds[1], NULL, &peer_ops, NULL);
    struct connection *right = connection_new(f.loop, f.pool, ends[0], &peer_ops, NULL);
    relay = relay_new(left, right, 65536, &ops, &f);
}

static void teardown(void)
{
    if (relay)
        relay_close(relay, CLOSE_SHUTDOWN);
    RUN_UNTIL(&f, ended);
    RUN_UNTIL(&f, a.closed && b.closed);
    peer_fini(&a);
    peer_fini(&b);
    fixture_fini(&f);
}

START_TEST(both_ways)
{
    b.echo = true;
    peer_write_n(&a, 3 << 20);
    RUN_UNTIL(&f, a.got.len == 3 << 20);
    ck_assert(is_pattern(&a.got));
    ck_assert_uint_eq(carried[0], 3 << 20);
    ck_assert_uint_eq(carried[1], 3 << 20);
}
END_TEST

START_TEST(a_slow_side_holds_the_other)
{
    connection_read_pause(b.conn);
    peer_write_n(&a, 8 << 20);
    settle_loop(&f);
    /* limit, the pair's limit, one read beyond: the rest stays with the sender */
    ck_assert_uint_le(carried[0], 65536 * 4 + 65536);
    connection_read_resume(b.conn);
    RUN_UNTIL(&f, b.got.len == 8 << 20);
    ck_assert(is_pattern(&b.got));
}
END_TEST

START_TEST(half_close_is_carried)
{
    connection_set_half_close(a.conn, true);
    connection_set_half_close(b.conn, true);
    peer_write(&a, "ask");
    connection_shutdown_write(a.conn);
    RUN_UNTIL(&f, b.eof);
    settle_loop(&f);
    ck_assert(!ended);
    peer_write(&b, "answer");
    connection_shutdown_write(b.conn);
    RUN_UNTIL(&f, ended && a.closed);
    ck_assert_str_eq(a.got.data, "answer");
    ck_assert_int_eq(end_reason, CLOSE_REMOTE_CLOSE);
}
END_TEST

START_TEST(a_broken_side_breaks_the_other)
{
    connection_close(b.conn, CLOSE_LOCAL_RESET, CLOSE_ABORT, 0);
    RUN_UNTIL(&f, ended && a.closed);
    ck_assert_uint_eq(ended_by, 1);
    ck_assert_int_eq(end_reason, CLOSE_REMOTE_RESET);
}
END_TEST

START_TEST(closed_by_us)
{
    peer_write(&a, "x");
    RUN_UNTIL(&f, b.got.len == 1);
    relay_close(relay, CLOSE_SHUTDOWN);
    ck_assert(!ended);
    RUN_UNTIL(&f, ended);
    ck_assert_int_eq(end_reason, CLOSE_SHUTDOWN);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("relay");
    TCase *t = tcase_create("relay");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, both_ways);
    tcase_add_test(t, a_slow_side_holds_the_other);
    tcase_add_test(t, half_close_is_carried);
    tcase_add_test(t, a_broken_side_breaks_the_other);
    tcase_add_test(t, closed_by_us);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
