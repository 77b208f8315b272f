#include "dataplane/net/acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/net/listen_socket.h"
#include "support.h"

enum { CLIENTS = 8 };

static struct fixture f;
static struct acceptor acceptor;
static struct address bound;
static int clients[CLIENTS], accepted[CLIENTS * 4];
static unsigned n_accepted, n_exhausted;

static void on_accept(struct acceptor *a, int fd, const struct address *remote)
{
    int value = 0;
    socklen_t len = sizeof(value);

    ck_assert_int_eq(remote->kind, ADDRESS_IPV4);
    ck_assert_uint_ne(remote->port, 0);
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    ck_assert_int_eq(value, 1);
    accepted[n_accepted++] = fd;
}

static void on_exhausted(struct acceptor *a, int error, uint64_t retry_ms)
{
    ck_assert_int_eq(error, EMFILE);
    ck_assert_uint_gt(retry_ms, 0);
    n_exhausted++;
}

static const struct acceptor_ops ops = {.on_accept = on_accept, .on_exhausted = on_exhausted};

static struct address pipe_remote;

static void on_pipe_accept(struct acceptor *a, int fd, const struct address *remote)
{
    pipe_remote = *remote;
    accepted[n_accepted++] = fd;
}

static const struct acceptor_ops pipe_ops = {.on_accept = on_pipe_accept};

static void setup(void)
{
    struct listen_options opt = {.address = address_ipv4(127, 0, 0, 1, 0)};
    struct error err = ERROR_INIT;
    int fd;

    fixture_init(&f);
    n_accepted = n_exhausted = 0;
    ck_assert_msg(listen_socket_open(&opt, 1, &fd, &bound, &err), "%s", error_text(&err));
    acceptor_init(&acceptor, f.loop, fd, 3, &ops, NULL);
}

static void teardown(void)
{
    for (unsigned i = 0; i < n_accepted; i++)
        close(accepted[i]);
    fixture_fini(&f);
}

static void connect_clients(void)
{
    struct sockaddr_storage ss;
    socklen_t len = address_to_sockaddr(&bound, &ss);

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(clients[i], 0);
        ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&ss, len), 0);
    }
}

static void close_clients(void)
{
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

START_TEST(accepts_some_per_event)
{
    for (int i = 0; i < 3; i++)
        loop_turn(f.loop, false);
    connect_clients();
    loop_turn(f.loop, true);
    ck_assert_uint_eq(n_accepted, 1); /* who comes alone costs one call */
    loop_turn(f.loop, true);
    ck_assert_uint_eq(n_accepted, 4); /* more were waiting: as many as may be */
    RUN_UNTIL(&f, n_accepted == CLIENTS);
    acceptor_fini(&acceptor);
    close_clients();
}
END_TEST

/* The kernel is asked only where it may differ. */
START_TEST(local_address_of_all)
{
    struct listen_options opt = {.address = address_ipv4(0, 0, 0, 0, 0)};
    struct address wildcard, local = acceptor_local(&acceptor, -1);
    struct acceptor other;
    struct error err = ERROR_INIT;
    int fd;

    ck_assert(address_eq(&local, &bound));
    ck_assert(listen_socket_open(&opt, 1, &fd, &wildcard, &err));
    acceptor_init(&other, f.loop, fd, 0, &ops, NULL);
    ck_assert_int_eq(acceptor_local(&other, -1).kind, ADDRESS_NONE);
    acceptor_fini(&other);
    acceptor_fini(&acceptor);
}
END_TEST

/* At a socket for both families, who comes over IPv4 has an IPv4 address (on_accept asks), and so
 * has the end here. */
START_TEST(mapped_addresses_are_ipv4)
{
    struct address any6, local;
    struct listen_options opt = {.ipv4_compat = true};
    struct acceptor both;
    struct error err = ERROR_INIT;
    int fd;

    acceptor_fini(&acceptor);
    ck_assert(address_parse_ip(BYTES("::"), 0, &opt.address));
    if (!listen_socket_open(&opt, 1, &fd, &any6, &err))
        return; /* no IPv6 here */
    acceptor_init(&both, f.loop, fd, 0, &ops, NULL);
    bound = address_ipv4(127, 0, 0, 1, any6.port);
    connect_clients();
    RUN_UNTIL(&f, n_accepted == CLIENTS);
    local = acceptor_local(&both, accepted[0]);
    ck_assert(address_eq(&local, &bound));
    acceptor_fini(&both);
    close_clients();
}
END_TEST

/* Whatever the client calls itself. */
START_TEST(pipe_is_both_ends)
{
    struct listen_options opt = {0};
    struct acceptor pipe;
    struct address unused, client, local;
    struct sockaddr_storage ss;
    struct error err = ERROR_INIT;
    char path[64];
    int fd;

    acceptor_fini(&acceptor);
    snprintf(path, sizeof(path), "@xylem-acceptor-%d", (int)getpid());
    ck_assert(address_from_path(bytes_of(path), &opt.address));
    ck_assert(listen_socket_open(&opt, 1, &fd, &unused, &err));
    acceptor_init(&pipe, f.loop, fd, 0, &pipe_ops, NULL);
    clients[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcat(path, "-client");
    ck_assert(address_from_path(bytes_of(path), &client));
    socklen_t len = address_to_sockaddr(&client, &ss);
    ck_assert_int_eq(bind(clients[0], (struct sockaddr *)&ss, len), 0);
    len = address_to_sockaddr(&opt.address, &ss);
    ck_assert_int_eq(connect(clients[0], (struct sockaddr *)&ss, len), 0);
    RUN_UNTIL(&f, n_accepted == 1);
    local = acceptor_local(&pipe, accepted[0]);
    ck_assert(address_eq(&local, &opt.address));
    ck_assert(address_eq(&pipe_remote, &opt.address));
    acceptor_fini(&pipe);
    close(clients[0]);
}
END_TEST

START_TEST(pause_is_counted)
{
    acceptor_pause(&acceptor);
    acceptor_pause(&acceptor);
    connect_clients();
    settle_loop(&f);
    acceptor_resume(&acceptor);
    settle_loop(&f);
    ck_assert_uint_eq(n_accepted, 0);
    acceptor_resume(&acceptor);
    RUN_UNTIL(&f, n_accepted == CLIENTS);
    acceptor_fini(&acceptor);
    close_clients();
}
END_TEST

START_TEST(accepted_dry_before_it_closes)
{
    connect_clients();
    acceptor_fini(&acceptor);
    ck_assert_uint_eq(n_accepted, CLIENTS);
    close_clients();
}
END_TEST

START_TEST(no_descriptor_left)
{
    struct rlimit old, low;

    connect_clients();
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = 0; /* what is open stays open */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    RUN_UNTIL(&f, n_exhausted >= 2); /* pauses and tries again, no spinning */
    ck_assert_uint_eq(n_accepted, 0);
    setrlimit(RLIMIT_NOFILE, &old);
    RUN_UNTIL(&f, n_accepted == CLIENTS);
    acceptor_fini(&acceptor);
    close_clients();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("acceptor");
    TCase *t = tcase_create("acceptor");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, accepts_some_per_event);
    tcase_add_test(t, local_address_of_all);
    tcase_add_test(t, mapped_addresses_are_ipv4);
    tcase_add_test(t, pipe_is_both_ends);
    tcase_add_test(t, pause_is_counted);
    tcase_add_test(t, accepted_dry_before_it_closes);
    tcase_add_test(t, no_descriptor_left);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
