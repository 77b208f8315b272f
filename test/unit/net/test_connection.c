#include "dataplane/net/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/net/transport_pair.h"
#include "support.h"

static struct fixture f;
static struct peer a, b;
static struct tap tap_a, tap_b;

static void setup(void)
{
    fixture_init(&f);
    a = (struct peer){0};
    b = (struct peer){0};
}

static void teardown(void)
{
    if (a.conn)
        connection_close(a.conn, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    if (b.conn)
        connection_close(b.conn, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    loop_turn(f.loop, false);
    ck_assert_uint_le(a.closes, 1);
    ck_assert_uint_le(b.closes, 1);
    peer_fini(&a);
    peer_fini(&b);
    fixture_fini(&f);
}

/* Both ends over sockets, or in memory, each under a tap. */
static void join_ends(bool memory, size_t limit)
{
    struct transport *ends[2];
    int fds[2];

    if (memory) {
        transport_pair_new(f.loop, f.pool, limit, ends);
    } else {
        socket_pair(fds);
        ends[0] = transport_socket_new(f.loop, fds[0], false);
        ends[1] = transport_socket_new(f.loop, fds[1], false);
    }
    a.conn = connection_new(f.loop, f.pool, tap_init(&tap_a, ends[0]), &peer_ops, &a);
    b.conn = connection_new(f.loop, f.pool, tap_init(&tap_b, ends[1]), &peer_ops, &b);
    RUN_UNTIL(&f, a.connected && b.connected);
    settle_loop(&f);
}

static bool memory_of(int i)
{
    return i == 1;
}

START_TEST(bytes_both_ways)
{
    join_ends(memory_of(_i), 0);
    b.echo = true;
    peer_write(&a, "hello");
    peer_write(&a, " world");
    RUN_UNTIL(&f, a.got.len == 11);
    ck_assert_str_eq(a.got.data, "hello world");
    ck_assert_uint_eq(tap_a.writes, 1); /* one flush a turn */
    ck_assert_uint_eq(connection_bytes_written(a.conn), 11);
    ck_assert_uint_eq(connection_bytes_read(a.conn), 11);
    ck_assert(bytes_eq_str(connection_protocol(a.conn), "tap/1"));
    ck_assert_uint_eq(a.flushed, 1);
    settle_loop(&f);
    ck_assert_uint_eq(f.pool->live_chunks, 0); /* idle: no chunk held */
}
END_TEST

/* The floor of a proxied message: one read and one write a side, no change of interest, no heap. */
START_TEST(steady_state_calls)
{
    uint64_t heap = 0;

    join_ends(memory_of(_i), 0);
    b.echo = true;
    for (size_t i = 1; i <= 100; i++) {
        peer_write(&a, "0123456789");
        RUN_UNTIL(&f, a.got.len == i * 10);
        if (i == 10) {
            heap = f.pool->heap_calls;
            tap_a.reads = tap_a.writes = tap_a.wants = 0;
            tap_b.reads = tap_b.writes = tap_b.wants = 0;
        }
    }
    ck_assert_uint_eq(tap_a.reads, 90);
    ck_assert_uint_eq(tap_b.reads, 90);
    ck_assert_uint_eq(tap_a.writes, 90);
    ck_assert_uint_eq(tap_b.writes, 90);
    ck_assert_uint_eq(tap_a.wants + tap_b.wants, 0);
    if (f.pool->max_free_chunks > 0)
        ck_assert_uint_eq(f.pool->heap_calls, heap);
}
END_TEST

START_TEST(large_transfer)
{
    join_ends(memory_of(_i), 0);
    peer_write_n(&a, 3 << 20);
    RUN_UNTIL(&f, b.got.len == 3 << 20);
    ck_assert(is_pattern(&b.got));
}
END_TEST

START_TEST(one_byte_at_a_time)
{
    join_ends(memory_of(_i), 0);
    tap_a.max_write = 1;
    tap_b.max_read = 1;
    peer_write_n(&a, 2000);
    RUN_UNTIL(&f, b.got.len == 2000);
    ck_assert(is_pattern(&b.got));
}
END_TEST

START_TEST(watermarks)
{
    join_ends(memory_of(_i), 4096);
    connection_set_buffer_limit(a.conn, 100000);
    connection_read_pause(b.conn);
    settle_loop(&f);
    peer_write_n(&a, 2 << 20);
    ck_assert_uint_eq(a.high, 1);
    ck_assert(connection_above_watermark(a.conn));
    settle_loop(&f);
    ck_assert_uint_eq(a.low, 0);
    ck_assert_uint_eq(b.got.len, 0);
    connection_read_resume(b.conn);
    RUN_UNTIL(&f, a.low == 1);
    ck_assert_uint_le(connection_output_len(a.conn), 50000);
    ck_assert(!connection_above_watermark(a.conn));
    RUN_UNTIL(&f, b.got.len == 2 << 20);
    ck_assert(is_pattern(&b.got));
    ck_assert_uint_eq(a.high, 1);
}
END_TEST

START_TEST(input_stays_and_comes_again)
{
    join_ends(memory_of(_i), 0);
    b.hold = true;
    peer_write(&a, "first ");
    RUN_UNTIL(&f, b.data_calls == 1);
    peer_write(&a, "second");
    RUN_UNTIL(&f, b.data_calls == 2);
    b.hold = false;
    connection_read_pause(b.conn);
    connection_read_pause(b.conn);
    connection_read_resume(b.conn);
    settle_loop(&f);
    ck_assert_uint_eq(b.data_calls, 2); /* counted */
    connection_read_resume(b.conn);
    RUN_UNTIL(&f, b.data_calls == 3);
    ck_assert_str_eq(b.got.data, "first second");
}
END_TEST

START_TEST(unread_input_stops_reading)
{
    join_ends(memory_of(_i), 0);
    connection_set_buffer_limit(b.conn, 50000);
    b.hold = true;
    peer_write_n(&a, 1 << 20);
    settle_loop(&f);
    ck_assert_uint_le(connection_bytes_read(b.conn), 50000 + CHUNK_SIZE);
    b.hold = false;
    connection_reread(b.conn);
    RUN_UNTIL(&f, b.got.len == 1 << 20);
    ck_assert(is_pattern(&b.got));
}
END_TEST

START_TEST(peer_end_closes)
{
    join_ends(memory_of(_i), 0);
    peer_write(&a, "bye");
    connection_close(a.conn, CLOSE_REQUEST_DONE, CLOSE_FLUSH, 0);
    RUN_UNTIL(&f, a.closed && b.closed);
    ck_assert_str_eq(b.got.data, "bye");
    ck_assert(b.eof);
    ck_assert_int_eq(a.reason, CLOSE_REQUEST_DONE);
    ck_assert_int_eq(b.reason, CLOSE_REMOTE_CLOSE);
}
END_TEST

START_TEST(half_close)
{
    join_ends(memory_of(_i), 0);
    connection_set_half_close(a.conn, true);
    connection_set_half_close(b.conn, true);
    peer_write(&a, "request");
    connection_shutdown_write(a.conn);
    RUN_UNTIL(&f, b.eof);
    ck_assert_str_eq(b.got.data, "request");
    settle_loop(&f);
    ck_assert(!b.closed && !a.closed);
    peer_write(&b, "response");
    connection_shutdown_write(b.conn);
    RUN_UNTIL(&f, a.closed && b.closed);
    ck_assert_str_eq(a.got.data, "response");
    ck_assert(a.eof);
    ck_assert_int_eq(a.reason, CLOSE_REMOTE_CLOSE);
}
END_TEST

START_TEST(linger_waits_for_the_peer)
{
    join_ends(memory_of(_i), 0);
    connection_set_half_close(b.conn, true);
    peer_write(&a, "answer");
    connection_close(a.conn, CLOSE_REQUEST_DONE, CLOSE_FLUSH_DELAY, 5000);
    RUN_UNTIL(&f, b.eof);
    ck_assert_str_eq(b.got.data, "answer");
    peer_write_n(&b, 1 << 20); /* is dropped, not answered by a reset */
    connection_shutdown_write(b.conn);
    RUN_UNTIL(&f, a.closed && b.closed);
    ck_assert_int_eq(a.reason, CLOSE_REQUEST_DONE);
    ck_assert_int_eq(b.reason, CLOSE_REMOTE_CLOSE);
    ck_assert_uint_eq(a.got.len, 0);
}
END_TEST

START_TEST(linger_ends_by_time)
{
    join_ends(memory_of(_i), 0);
    connection_set_half_close(b.conn, true);
    connection_close(a.conn, CLOSE_REQUEST_DONE, CLOSE_FLUSH_DELAY, 20);
    RUN_UNTIL(&f, a.closed);
    ck_assert_int_eq(a.reason, CLOSE_DELAYED_CLOSE_TIMEOUT);
}
END_TEST

START_TEST(flush_that_makes_no_progress)
{
    join_ends(memory_of(_i), 1000);
    connection_read_pause(b.conn);
    peer_write_n(&a, 4 << 20);
    connection_close(a.conn, CLOSE_REQUEST_DONE, CLOSE_FLUSH, 20);
    RUN_UNTIL(&f, a.closed);
    ck_assert_int_eq(a.reason, CLOSE_DELAYED_CLOSE_TIMEOUT);
}
END_TEST

START_TEST(abort_is_a_reset)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    ck_assert_int_eq(bind(listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    struct address to = address_local(listener);
    a.conn = connection_connect(f.loop, f.pool, &to, NULL, &peer_ops, &a);
    RUN_UNTIL(&f, a.connected);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    b.conn = connection_accept(f.loop, f.pool, fd, NULL, &peer_ops, &b);
    RUN_UNTIL(&f, b.connected);
    ck_assert(address_eq(connection_remote(a.conn), &to));
    ck_assert_uint_ne(connection_local(a.conn)->port, 0);
    connection_close(b.conn, CLOSE_LOCAL_RESET, CLOSE_ABORT, 0);
    ck_assert(!b.closed); /* never from inside the call */
    ck_assert(!connection_is_open(b.conn));
    RUN_UNTIL(&f, a.closed);
    ck_assert(b.closed);
    ck_assert_int_eq(a.reason, CLOSE_REMOTE_RESET);
    ck_assert_int_eq(a.error, ECONNRESET);
    ck_assert_str_eq(a.failure, "Connection reset by peer");
    close(listener);
}
END_TEST

START_TEST(connect_refused)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    /* Bound and not listening: the port is ours, and refuses */
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    struct address to = address_local(fd);
    a.conn = connection_connect(f.loop, f.pool, &to, NULL, &peer_ops, &a);
    peer_write(&a, "lost");
    RUN_UNTIL(&f, a.closed);
    ck_assert_int_eq(a.reason, CLOSE_CONNECT_FAILED);
    ck_assert_str_eq(a.failure, "delayed connect error: Connection refused");
    ck_assert(!a.connected);
    ck_assert(address_from_path(BYTES("/nowhere/at/all.sock"), &to));
    b.conn = connection_connect(f.loop, f.pool, &to, NULL, &peer_ops, &b);
    ck_assert(!b.closed);
    RUN_UNTIL(&f, b.closed);
    ck_assert_str_eq(b.failure, "immediate connect error: No such file or directory");
    close(fd);
}
END_TEST

START_TEST(connect_timeout)
{
    struct connect_options opt = {.timeout_ms = 20};
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fillers[2];

    /* A full backlog lets nobody in */
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    struct address to = address_local(fd);
    socklen_t len = sizeof(sin);
    getsockname(fd, (struct sockaddr *)&sin, &len);
    for (int i = 0; i < 2; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&sin, len);
    }
    a.conn = connection_connect(f.loop, f.pool, &to, &opt, &peer_ops, &a);
    RUN_UNTIL(&f, a.closed);
    ck_assert_int_eq(a.reason, CLOSE_CONNECT_TIMEOUT);
    for (int i = 0; i < 2; i++)
        close(fillers[i]);
    close(fd);
}
END_TEST

START_TEST(what_came_before_a_broken_write_is_shown)
{
    join_ends(memory_of(_i), 0);
    peer_write(&b, "early response");
    tap_a.fail_write = EPIPE;
    connection_read_pause(a.conn); /* not yet seen */
    settle_loop(&f);
    peer_write(&a, "request body");
    settle_loop(&f);
    ck_assert(!a.closed);
    connection_read_resume(a.conn);
    RUN_UNTIL(&f, a.closed);
    ck_assert_str_eq(a.got.data, "early response");
    ck_assert_int_eq(a.reason, CLOSE_REMOTE_RESET);
    ck_assert_int_eq(a.error, EPIPE);
}
END_TEST

START_TEST(read_error)
{
    join_ends(memory_of(_i), 0);
    tap_a.fail_read = ETIMEDOUT;
    peer_write(&b, "x");
    RUN_UNTIL(&f, a.closed);
    ck_assert_int_eq(a.reason, CLOSE_IO_ERROR);
    ck_assert_str_eq(a.failure, "Connection timed out");
}
END_TEST

static void close_now(struct peer *p)
{
    connection_close(p->conn, CLOSE_PROTOCOL_ERROR, CLOSE_NOW, 0);
    ck_assert_uint_eq(p->closes, 0);
}

START_TEST(closing_inside_on_data)
{
    join_ends(memory_of(_i), 0);
    b.hook = close_now;
    peer_write_n(&a, 200000);
    RUN_UNTIL(&f, a.closed && b.closed);
    ck_assert_int_eq(b.reason, CLOSE_PROTOCOL_ERROR);
    ck_assert_uint_eq(b.data_calls, 1);
}
END_TEST

static void close_other(struct peer *p)
{
    connection_close(a.conn, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    connection_close(a.conn, CLOSE_DRAIN, CLOSE_NOW, 0);
    ck_assert(!a.closed);
}

START_TEST(closing_another_is_told_at_the_end_of_the_turn)
{
    join_ends(memory_of(_i), 0);
    b.hook = close_other;
    peer_write(&a, "go");
    RUN_UNTIL(&f, a.closed);
    ck_assert_int_eq(a.reason, CLOSE_SHUTDOWN); /* the first reason */
    b.hook = NULL;
}
END_TEST

START_TEST(handshake_steps)
{
    struct transport *ends[2];

    transport_pair_new(f.loop, f.pool, 0, ends);
    struct transport *ta = tap_init(&tap_a, ends[0]), *tb = tap_init(&tap_b, ends[1]);
    tap_a.handshakes_left = 3;
    tap_b.fail_handshake = true;
    a.conn = connection_new(f.loop, f.pool, ta, &peer_ops, &a);
    peer_write(&a, "early");
    ck_assert(!connection_is_connected(a.conn));
    loop_turn(f.loop, false);
    RUN_UNTIL(&f, a.connected);
    ck_assert_uint_eq(tap_a.handshakes_left, 0);
    RUN_UNTIL(&f, tap_a.writes == 1);
    b.conn = connection_new(f.loop, f.pool, tb, &peer_ops, &b);
    RUN_UNTIL(&f, b.closed);
    ck_assert_int_eq(b.reason, CLOSE_HANDSHAKE_FAILED);
    ck_assert_str_eq(b.failure, "no luck");
}
END_TEST

/* Of a peer that answers fast, all of a handshake fits into one turn. */
START_TEST(time_that_a_handshake_took)
{
    struct transport *ends[2];

    transport_pair_new(f.loop, f.pool, 0, ends);
    struct transport *ta = tap_init(&tap_a, ends[0]), *tb = tap_init(&tap_b, ends[1]);
    tap_a.handshake_ns = 50000;
    a.conn = connection_new(f.loop, f.pool, ta, &peer_ops, &a);
    b.conn = connection_new(f.loop, f.pool, tb, &peer_ops, &b);
    RUN_UNTIL(&f, a.connected);
    const struct connection_times *times = connection_times(a.conn);
    ck_assert_uint_gt(connection_time_ns(times, times->done_us1) + 1000, tap_a.handshake_end_ns);
    ck_assert_uint_ge(loop_now_ns(f.loop), tap_a.handshake_end_ns);
}
END_TEST

START_TEST(new_owner_sees_the_rest)
{
    struct peer second = {0};

    join_ends(memory_of(_i), 0);
    b.hold = true;
    peer_write(&a, "for the second");
    RUN_UNTIL(&f, b.data_calls == 1);
    second.conn = b.conn;
    connection_set_owner(b.conn, &peer_ops, &second);
    b.conn = NULL;
    RUN_UNTIL(&f, second.got.len > 0);
    ck_assert_str_eq(second.got.data, "for the second");
    connection_close(second.conn, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    RUN_UNTIL(&f, second.closed);
    peer_fini(&second);
}
END_TEST

/* Nothing to do: the loop sleeps and no interest is left that would wake it. */
START_TEST(paused_and_idle_do_not_spin)
{
    unsigned before;

    join_ends(false, 0);
    connection_read_pause(a.conn);
    connection_read_pause(b.conn);
    peer_write(&a, "unread");
    settle_loop(&f);
    before = tap_a.reads + tap_b.reads;
    settle_loop(&f);
    ck_assert_uint_eq(tap_a.reads + tap_b.reads, before);
}
END_TEST

static void add_all(TCase *t)
{
    tcase_add_loop_test(t, bytes_both_ways, 0, 2);
    tcase_add_loop_test(t, steady_state_calls, 0, 2);
    tcase_add_loop_test(t, large_transfer, 0, 2);
    tcase_add_loop_test(t, one_byte_at_a_time, 0, 2);
    tcase_add_loop_test(t, watermarks, 0, 2);
    tcase_add_loop_test(t, input_stays_and_comes_again, 0, 2);
    tcase_add_loop_test(t, unread_input_stops_reading, 0, 2);
    tcase_add_loop_test(t, peer_end_closes, 0, 2);
    tcase_add_loop_test(t, half_close, 0, 2);
    tcase_add_loop_test(t, linger_waits_for_the_peer, 0, 2);
    tcase_add_loop_test(t, linger_ends_by_time, 0, 2);
    tcase_add_loop_test(t, flush_that_makes_no_progress, 0, 2);
    tcase_add_loop_test(t, what_came_before_a_broken_write_is_shown, 0, 2);
    tcase_add_loop_test(t, read_error, 0, 2);
    tcase_add_loop_test(t, closing_inside_on_data, 0, 2);
    tcase_add_loop_test(t, closing_another_is_told_at_the_end_of_the_turn, 0, 2);
    tcase_add_loop_test(t, new_owner_sees_the_rest, 0, 2);
    tcase_add_test(t, handshake_steps);
    tcase_add_test(t, time_that_a_handshake_took);
    tcase_add_test(t, abort_is_a_reset);
    tcase_add_test(t, connect_refused);
    tcase_add_test(t, connect_timeout);
    tcase_add_test(t, paused_and_idle_do_not_spin);
}

int main(void)
{
    Suite *s = suite_create("connection");
    TCase *t = tcase_create("connection");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    add_all(t);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
