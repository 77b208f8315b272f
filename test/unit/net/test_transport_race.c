#include "dataplane/net/transport_race.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static struct fixture f;
static struct peer a;
static struct tap taps[4];
static unsigned tried, wrapped, bad_handshakes;
static int domains[4], fds[8];
static unsigned n_fds;

static void setup(void)
{
    fixture_init(&f);
    a = (struct peer){0};
    tried = wrapped = bad_handshakes = n_fds = 0;
}

static void teardown(void)
{
    if (a.conn)
        connection_close(a.conn, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    loop_turn(f.loop, false);
    ck_assert_uint_eq(a.closes, 1);
    peer_fini(&a);
    for (unsigned i = 0; i < n_fds; i++)
        close(fds[i]);
    fixture_fini(&f);
}

/* A socket at 127.0.0.LAST and that port; 0: one of the kernel's choice. */
static struct address place(uint8_t last, uint16_t port)
{
    struct address at = address_ipv4(127, 0, 0, last, port);
    struct sockaddr_storage ss;
    socklen_t len = address_to_sockaddr(&at, &ss);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&ss, len), 0);
    fds[n_fds++] = fd;
    return address_local(fd);
}

static struct address refusing(uint8_t last, uint16_t port)
{
    return place(last, port);
}

static struct address listening(uint8_t last, uint16_t port)
{
    struct address at = place(last, port);
    ck_assert_int_eq(listen(fds[n_fds - 1], 8), 0);
    return at;
}

/* A full backlog lets nobody in. */
static struct address hanging(uint8_t last, uint16_t port)
{
    struct address at = place(last, port);
    struct sockaddr_storage ss;
    socklen_t len = address_to_sockaddr(&at, &ss);
    ck_assert_int_eq(listen(fds[n_fds - 1], 0), 0);
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fd, (struct sockaddr *)&ss, len);
        fds[n_fds++] = fd;
    }
    return at;
}

static void on_other(void *ctx)
{
    tried++;
}

static struct transport *wrap(void *ctx, struct transport *socket)
{
    int domain = 0;
    socklen_t len = sizeof(domain);
    (void)getsockopt(transport_fd(socket), SOL_SOCKET, SO_DOMAIN, &domain, &len);
    domains[wrapped] = domain;
    struct transport *t = tap_init(&taps[wrapped++], socket);
    taps[wrapped - 1].fail_handshake = wrapped <= bad_handshakes;
    return t;
}

static struct transport *wrap_nothing(void *ctx, struct transport *socket)
{
    transport_close(&socket, false);
    return NULL;
}

static void dial(const struct address *to, struct connect_options o, const struct address *others,
                 unsigned n)
{
    o.others = others;
    o.n_others = n;
    o.on_other = on_other;
    a.conn = connection_connect(f.loop, f.pool, to, &o, &peer_ops, &a);
}

START_TEST(the_first_that_answers)
{
    struct address to = listening(1, 0), other = listening(2, to.port);
    dial(&to, (struct connect_options){0}, &other, 1);
    RUN_UNTIL(&f, a.connected);
    ck_assert_uint_eq(tried, 0);
    ck_assert(address_eq(connection_remote(a.conn), &to));
}
END_TEST

START_TEST(the_next_at_once_when_one_fails)
{
    struct address to = refusing(1, 0);
    struct address others[] = {refusing(2, to.port), listening(3, to.port)};
    uint64_t begun = loop_now_ms(f.loop);
    dial(&to, (struct connect_options){0}, others, 2);
    RUN_UNTIL(&f, a.connected);
    ck_assert_uint_eq(tried, 2);
    ck_assert(address_eq(connection_remote(a.conn), &others[1]));
    ck_assert(connection_local(a.conn)->kind == ADDRESS_IPV4);
    ck_assert_uint_lt(loop_now_ms(f.loop) - begun, RACE_DELAY_MS);
    int fd = accept(fds[2], NULL, NULL);
    ck_assert_int_ge(fd, 0);
    fds[n_fds++] = fd;
    ck_assert_int_eq(write(fd, "hello", 5), 5);
    RUN_UNTIL(&f, a.got.len == 5);
    peer_write(&a, "x");
    settle_loop(&f);
    char c;
    ck_assert_int_eq(read(fd, &c, 1), 1);
}
END_TEST

START_TEST(the_next_beside_one_that_hangs)
{
    struct address to = hanging(1, 0), other = listening(2, to.port);
    uint64_t begun = loop_now_ms(f.loop);
    dial(&to, (struct connect_options){0}, &other, 1);
    RUN_UNTIL(&f, a.connected);
    ck_assert_uint_eq(tried, 1);
    ck_assert(address_eq(connection_remote(a.conn), &other));
    ck_assert_uint_ge(loop_now_ms(f.loop) - begun, RACE_DELAY_MS);
}
END_TEST

START_TEST(all_fail)
{
    struct address to = refusing(1, 0);
    struct address others[] = {refusing(2, to.port), {0}};
    dial(&to, (struct connect_options){0}, others, 2);
    RUN_UNTIL(&f, a.closed);
    ck_assert_uint_eq(tried, 2);
    ck_assert_int_eq(a.reason, CLOSE_CONNECT_FAILED);
    ck_assert_str_eq(a.failure, "delayed connect error: Connection refused");
}
END_TEST

START_TEST(all_fail_at_once)
{
    struct address to = {0}, other = {0};
    dial(&to, (struct connect_options){0}, &other, 1);
    RUN_UNTIL(&f, a.closed);
    ck_assert_uint_eq(tried, 1);
    ck_assert_int_eq(a.reason, CLOSE_CONNECT_FAILED);
    ck_assert_str_eq(a.failure, "immediate connect error: Destination address required");
}
END_TEST

START_TEST(nothing_to_lie_on_it)
{
    struct address to = listening(1, 0), other = listening(2, to.port);
    dial(&to, (struct connect_options){.wrap = wrap_nothing, .wrap_failure = "no secret"}, &other,
         1);
    RUN_UNTIL(&f, a.closed);
    ck_assert_int_eq(a.reason, CLOSE_HANDSHAKE_FAILED);
    ck_assert_str_eq(a.failure, "no secret");
}
END_TEST

START_TEST(a_handshake_that_fails_is_a_failure)
{
    struct address to = listening(1, 0), other = listening(2, to.port);
    bad_handshakes = 1;
    dial(&to, (struct connect_options){.wrap = wrap}, &other, 1);
    RUN_UNTIL(&f, a.connected);
    ck_assert(address_eq(connection_remote(a.conn), &other));
    ck_assert(bytes_eq_str(connection_protocol(a.conn), "tap/1"));
}
END_TEST

START_TEST(handshakes_that_all_fail)
{
    struct address to = listening(1, 0), other = listening(2, to.port);
    bad_handshakes = 2;
    dial(&to, (struct connect_options){.wrap = wrap}, &other, 1);
    RUN_UNTIL(&f, a.closed);
    ck_assert_int_eq(a.reason, CLOSE_HANDSHAKE_FAILED);
    ck_assert_str_eq(a.failure, "no luck");
}
END_TEST

START_TEST(the_time_is_for_all)
{
    struct address to = hanging(1, 0), other = hanging(2, to.port);
    dial(&to, (struct connect_options){.timeout_ms = RACE_DELAY_MS + 50}, &other, 1);
    RUN_UNTIL(&f, a.closed);
    ck_assert_uint_eq(tried, 1);
    ck_assert_int_eq(a.reason, CLOSE_CONNECT_TIMEOUT);
}
END_TEST

START_TEST(closed_on_the_way)
{
    struct address to = hanging(1, 0), other = hanging(2, to.port);
    dial(&to, (struct connect_options){0}, &other, 1);
    if (_i)
        RUN_UNTIL(&f, tried == 1);
    connection_close(a.conn, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    RUN_UNTIL(&f, a.closed);
    ck_assert_int_eq(a.reason, CLOSE_SHUTDOWN);
}
END_TEST

START_TEST(families_take_turns)
{
    struct address to = refusing(1, 0), v6 = {.kind = ADDRESS_IPV6, .port = to.port};
    struct address others[] = {refusing(2, to.port), refusing(3, to.port), v6};
    others[2].ip[15] = 1;
    dial(&to, (struct connect_options){.wrap = wrap}, others, 3);
    RUN_UNTIL(&f, a.closed);
    ck_assert_uint_eq(tried, 3);
    if (wrapped < 4) /* no IPv6 here */
        return;
    ck_assert_int_eq(domains[0], AF_INET);
    ck_assert_int_eq(domains[1], AF_INET6);
    ck_assert_int_eq(domains[2], AF_INET);
    ck_assert_int_eq(domains[3], AF_INET);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("transport_race");
    TCase *t = tcase_create("transport_race");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_first_that_answers);
    tcase_add_test(t, the_next_at_once_when_one_fails);
    tcase_add_test(t, the_next_beside_one_that_hangs);
    tcase_add_test(t, all_fail);
    tcase_add_test(t, all_fail_at_once);
    tcase_add_test(t, nothing_to_lie_on_it);
    tcase_add_test(t, a_handshake_that_fails_is_a_failure);
    tcase_add_test(t, handshakes_that_all_fail);
    tcase_add_test(t, the_time_is_for_all);
    tcase_add_loop_test(t, closed_on_the_way, 0, 2);
    tcase_add_test(t, families_take_turns);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
