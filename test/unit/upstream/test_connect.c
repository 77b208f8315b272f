/* What the kernel says when a connection cannot be made. */
#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "world.h"

static struct world *w;

static void setup(void)
{
    w = world_new();
    world_snapshot(w);
}

static void teardown(void)
{
    world_free(w);
}

static void check_log(struct client *c, const char *expected)
{
    ck_assert_str_eq(strbuf_str(&c->log), expected);
}

static uint16_t bound_port(int *fd, int backlog)
{
    struct sockaddr_storage ss;
    struct address a = address_ipv4(127, 0, 0, 1, 0);
    socklen_t len = address_to_sockaddr(&a, &ss);
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(*fd, (struct sockaddr *)&ss, len), 0);
    if (backlog >= 0)
        ck_assert_int_eq(listen(*fd, backlog), 0);
    return address_local(*fd).port;
}

START_TEST(test_refused)
{
    int fd;
    uint16_t port = bound_port(&fd, -1);
    world_cluster(w, 0, 1);
    world_set_port(w, 0, port);
    w->sockets = true;
    world_adopt(w);
    struct client *a = client_new(w), *b = client_new(w);
    client_get(w, a, 0);
    client_get(w, b, 0);
    for (unsigned i = 0; i < 100 && b->log.len == 0; i++)
        loop_turn(w->loop, true);
    world_run(w);
    check_log(a, "failed:connect (delayed connect error: Connection refused) ");
    check_log(b, "failed:connect (delayed connect error: Connection refused) "); /* all that wait */
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_CONNECT_FAIL), 2);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_REMOTE), 2);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_PENDING_FAILURE_EJECT), 2);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_uint_eq(host_state_seen(w->states[0])->cx_connect_fail, 2);
    client_free(a);
    client_free(b);
    close(fd);
}
END_TEST

/* A host at three addresses: each is tried, and counted. */
START_TEST(test_other_addresses)
{
    int fds[3];
    uint16_t port = bound_port(&fds[0], -1);
    struct address none = address_ipv4(127, 0, 0, 1, bound_port(&fds[1], -1));
    struct address good = address_ipv4(127, 0, 0, 1, bound_port(&fds[2], 8));
    struct host_more *more = mem_zalloc(sizeof(*more) + 2 * sizeof(good));
    more->others[0] = none;
    more->others[1] = good;
    more->n_others = 2;
    world_cluster(w, 0, 1);
    world_set_port(w, 0, port);
    w->hosts[w->n_snapshots - 1][0][0].more = more;
    w->sockets = true;
    world_adopt(w);
    struct client *c = client_new(w);
    client_get(w, c, 0);
    for (unsigned i = 0; i < 100 && c->log.len == 0; i++)
        loop_turn(w->loop, true);
    check_log(c, "ready ");
    ck_assert(address_eq(connection_remote(pool_request_connection(&c->request)), &good));
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_TOTAL), 3);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_CONNECT_FAIL), 0);
    ck_assert_uint_eq(host_state_seen(w->states[0])->cx_total, 3);
    client_free(c);
    mem_free(more);
    for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
}
END_TEST

START_TEST(test_connect_timeout)
{
    int fd, filler[3];
    struct sockaddr_storage ss;
    uint16_t port = bound_port(&fd, 0);
    struct address a = address_ipv4(127, 0, 0, 1, port);
    socklen_t len = address_to_sockaddr(&a, &ss);
    for (unsigned i = 0; i < ARRAY_SIZE(filler); i++) { /* the kernel answers no more after these */
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(filler[i], (struct sockaddr *)&ss, len);
    }
    world_cluster(w, 0, 1)->connect_timeout_ms = 50;
    world_set_port(w, 0, port);
    w->sockets = true;
    world_adopt(w);
    struct client *c = client_new(w);
    client_get(w, c, 0);
    world_run(w);
    check_log(c, "");
    world_advance(w, 60);
    check_log(c, "failed:timeout ");
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_CONNECT_TIMEOUT), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_CONNECT_FAIL), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_LOCAL), 1);
    client_free(c);
    for (unsigned i = 0; i < ARRAY_SIZE(filler); i++)
        close(filler[i]);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("connect");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_refused);
    tcase_add_test(t, test_other_addresses);
    tcase_add_test(t, test_connect_timeout);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
