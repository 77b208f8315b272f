/* Listening sockets, with real ones. */
#include "main/listener_registry.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 2 };

static struct listener_registry *registry;
static struct listen_address address;
static struct listener listener;

/* A port that nobody has: l is on it. */
static void setup(void)
{
    registry = listener_registry_new(WORKERS);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    close(fd);
    address.address = address_from_sockaddr((struct sockaddr *)&in, len);
    listener = (struct listener){
        .name = BYTES("l"), .addresses = &address, .n_addresses = 1, .bind_to_port = true};
}

static void teardown(void)
{
    listener_registry_free(&registry);
}

static void bind_it(void)
{
    struct error err = ERROR_INIT;
    ck_assert(listener_registry_bind(registry, &listener, &err));
}

/* Somebody else, who listens there. */
static int other(void)
{
    struct sockaddr_storage ss;
    socklen_t len = address_to_sockaddr(&address.address, &ss);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&ss, len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    return fd;
}

static int take(unsigned worker)
{
    struct strbuf key = STRBUF_INIT;
    uint64_t serial;
    listener_registry_key(&listener, 0, &key);
    int fd = listener_registry_take(registry, strbuf_bytes(&key), worker, &serial);
    int error = errno;
    ck_assert_uint_ne(serial, 0);
    strbuf_fini(&key);
    errno = error;
    return fd;
}

static bool listens(int fd)
{
    int value = 0;
    socklen_t len = sizeof(value);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len);
    close(fd);
    return value;
}

START_TEST(listens_when_warm_and_serving)
{
    bind_it();
    ck_assert_int_eq(listener_registry_listen(registry, &listener), LISTEN_LATER);
    ck_assert(!listens(take(0)));
    listener_registry_serve(registry);
    ck_assert(listens(take(0)));
    ck_assert(listens(take(1)));
    ck_assert_int_eq(listener_registry_listen(registry, &listener), LISTEN_DONE);
    ck_assert(!listener_registry_failed(registry, &listener));
    ck_assert_uint_eq(listener_registry_n_failed(registry), 0);
}
END_TEST

START_TEST(somebody_else_listened_first)
{
    bind_it();
    int fd = other();
    ck_assert_int_eq(listener_registry_listen(registry, &listener), LISTEN_LATER);
    ck_assert(!listener_registry_failed(registry, &listener));
    listener_registry_serve(registry);
    ck_assert(listener_registry_failed(registry, &listener));
    ck_assert_uint_eq(listener_registry_n_failed(registry), 1);
    ck_assert_int_eq(listener_registry_listen(registry, &listener), LISTEN_FAILED);
    errno = 0;
    ck_assert_int_eq(take(1), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
    ck_assert_uint_eq(listener_registry_n_failed(registry), 1);
    listener.bind_to_port = false; /* has nothing to do with the address that it names */
    ck_assert(!listener_registry_failed(registry, &listener));
    listener.bind_to_port = true;
    close(fd);
    ck_assert(listens(take(1)));
    ck_assert(listens(take(0)));
    ck_assert(!listener_registry_failed(registry, &listener));
    ck_assert_uint_eq(listener_registry_n_failed(registry), 0);
}
END_TEST

START_TEST(what_has_gone_has_not_failed)
{
    bind_it();
    listener_registry_serve(registry);
    int fd = other();
    ck_assert_int_eq(listener_registry_listen(registry, &listener), LISTEN_FAILED);
    listener_registry_release(registry, &listener);
    ck_assert_uint_eq(listener_registry_n_failed(registry), 0);
    close(fd);
    bind_it();
    fd = other();
    ck_assert_int_eq(listener_registry_listen(registry, &listener), LISTEN_FAILED);
    listener_registry_close(registry, false);
    ck_assert_uint_eq(listener_registry_n_failed(registry), 0);
    ck_assert(!listener_registry_failed(registry, &listener));
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("listener_registry");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, listens_when_warm_and_serving);
    tcase_add_test(t, somebody_else_listened_first);
    tcase_add_test(t, what_has_gone_has_not_failed);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
