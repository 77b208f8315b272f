#include "dataplane/net/listen_socket.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct error err;

static void setup(void)
{
    err = (struct error)ERROR_INIT;
}

static void teardown(void)
{
    error_fini(&err);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

START_TEST(workers_share_the_port)
{
    struct listen_options opt = {.address = address_ipv4(127, 0, 0, 1, 0), .reuse_port = true};
    struct address bound;
    int fds[3];

    ck_assert_msg(listen_socket_open(&opt, 3, fds, &bound, &err), "%s", error_text(&err));
    ck_assert_uint_ne(bound.port, 0);
    for (int i = 0; i < 3; i++) {
        struct address a = address_local(fds[i]);
        ck_assert(address_eq(&a, &bound));
        ck_assert_int_eq(option(fds[i], SOL_SOCKET, SO_REUSEPORT), 1);
        ck_assert_int_eq(option(fds[i], SOL_SOCKET, SO_ACCEPTCONN), 1);
        close(fds[i]);
    }
}
END_TEST

START_TEST(one_socket_duplicated)
{
    struct listen_options opt = {.address = address_ipv4(127, 0, 0, 1, 0)};
    struct address bound;
    int fds[2];

    ck_assert(listen_socket_open(&opt, 2, fds, &bound, &err));
    ck_assert_int_eq(option(fds[0], SOL_SOCKET, SO_REUSEPORT), 0);
    ck_assert_int_eq(option(fds[1], SOL_SOCKET, SO_ACCEPTCONN), 1);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(address_in_use)
{
    struct listen_options opt = {.address = address_ipv4(127, 0, 0, 1, 0)};
    struct address bound, again;
    int fd, other;
    char expected[200], text[ADDRESS_TEXT_MAX];

    ck_assert(listen_socket_open(&opt, 1, &fd, &bound, &err));
    opt.address = bound;
    ck_assert(!listen_socket_open(&opt, 1, &other, &again, &err));
    snprintf(expected, sizeof(expected), "cannot bind '%s': Address already in use",
             address_format(&bound, text));
    ck_assert_str_eq(error_text(&err), expected);
    close(fd);
}
END_TEST

START_TEST(address_not_ours)
{
    struct listen_options opt = {.address = address_ipv4(192, 0, 2, 1, 8080)};
    struct address bound;
    int fd;

    ck_assert(!listen_socket_open(&opt, 1, &fd, &bound, &err));
    ck_assert_str_eq(error_text(&err),
                     "cannot bind '192.0.2.1:8080': Cannot assign requested address");
    opt.freebind = true;
    error_fini(&err);
    ck_assert_msg(listen_socket_open(&opt, 1, &fd, &bound, &err), "%s", error_text(&err));
    close(fd);
}
END_TEST

START_TEST(ipv6_only_unless_asked)
{
    struct listen_options opt = {.no_listen = true};
    struct address bound;
    int fd;

    ck_assert(address_parse_ip(BYTES("::"), 0, &opt.address));
    ck_assert_msg(listen_socket_open(&opt, 1, &fd, &bound, &err), "%s", error_text(&err));
    ck_assert_int_eq(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    ck_assert_int_eq(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
    ck_assert(listen_socket_listen(fd, 16, &err));
    ck_assert_int_eq(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    close(fd);
    opt.ipv4_compat = true;
    ck_assert(listen_socket_open(&opt, 1, &fd, &bound, &err));
    ck_assert_int_eq(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    close(fd);
}
END_TEST

START_TEST(socket_options)
{
    struct sock_option good = {.level = SOL_SOCKET, .name = SO_KEEPALIVE, .value = 1};
    struct sock_option bad = {.level = SOL_SOCKET, .name = 9999, .value = 1};
    struct listen_options opt = {
        .address = address_ipv4(127, 0, 0, 1, 0), .options = &good, .n_options = 1};
    struct address bound;
    int fd;

    ck_assert(listen_socket_open(&opt, 1, &fd, &bound, &err));
    ck_assert_int_eq(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    close(fd);
    opt.options = &bad;
    ck_assert(!listen_socket_open(&opt, 1, &fd, &bound, &err));
    ck_assert_str_eq(error_text(&err),
                     "cannot bind '127.0.0.1:0': cannot set socket option with level 1 and name "
                     "9999: Protocol not available");
}
END_TEST

START_TEST(unix_paths)
{
    char folder[] = "/tmp/xylem-listen-XXXXXX", path[64];
    struct listen_options opt = {.pipe_mode = 0640};
    struct address bound;
    struct stat st;
    int fds[2], again;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a.sock", folder);
    ck_assert(address_from_path(bytes_of(path), &opt.address));
    ck_assert_msg(listen_socket_open(&opt, 2, fds, &bound, &err), "%s", error_text(&err));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0640);
    /* Somebody listens: not taken over */
    ck_assert(!listen_socket_open(&opt, 1, &again, &bound, &err));
    ck_assert_ptr_nonnull(strstr(error_text(&err), "Address already in use"));
    error_fini(&err);
    close(fds[0]);
    close(fds[1]);
    /* Nobody listens any more: the file is stale */
    ck_assert_msg(listen_socket_open(&opt, 1, fds, &bound, &err), "%s", error_text(&err));
    close(fds[0]);
    listen_socket_unlink(&opt.address);
    ck_assert_int_ne(stat(path, &st), 0);
    /* A file that is no socket is left alone */
    FILE *file = fopen(path, "w");
    fclose(file);
    ck_assert(!listen_socket_open(&opt, 1, fds, &bound, &err));
    listen_socket_unlink(&opt.address);
    ck_assert_int_eq(stat(path, &st), 0);
    unlink(path);
    rmdir(folder);
}
END_TEST

START_TEST(abstract_names)
{
    struct listen_options opt = {0};
    struct address bound;
    char name[64];
    int fd;

    snprintf(name, sizeof(name), "@xylem-test-%d", (int)getpid());
    ck_assert(address_from_path(bytes_of(name), &opt.address));
    ck_assert_msg(listen_socket_open(&opt, 1, &fd, &bound, &err), "%s", error_text(&err));
    close(fd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("listen_socket");
    TCase *t = tcase_create("listen_socket");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, workers_share_the_port);
    tcase_add_test(t, one_socket_duplicated);
    tcase_add_test(t, address_in_use);
    tcase_add_test(t, address_not_ours);
    tcase_add_test(t, ipv6_only_unless_asked);
    tcase_add_test(t, socket_options);
    tcase_add_test(t, unix_paths);
    tcase_add_test(t, abstract_names);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
