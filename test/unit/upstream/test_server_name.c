/* Which name a connection sends and which it wants to find, by cluster, request and host. */
#include <check.h>
#include <stdlib.h>

#include "config/cluster.h"
#include "config/tls.h"
#include "dataplane/http/headers.h"
#include "dataplane/upstream/server_name.h"

static struct arena *a;
static struct headers head;
static struct auto_names names;
static struct tls_socket tls;
static struct cluster cluster;
static struct host_more more;
static struct host host;

static void setup(void)
{
    a = arena_new(0);
    headers_init(&head, a);
    names = (struct auto_names){.sni = true, .san_validation = true};
    tls = (struct tls_socket){0};
    cluster = (struct cluster){.auto_names = &names, .tls = &tls};
    more = (struct host_more){.name = BYTES("ep.test")};
    host = (struct host){.more = &more};
}

static void teardown(void)
{
    arena_free(&a);
}

/* send: NULL, the context's; verify: NULL, what the context says. */
static void is_named(const char *send, const char *verify)
{
    struct server_name n = server_name_of_request(&cluster, &head);
    n = server_name_for_host(&n, &cluster, &host);
    ck_assert_str_eq(arena_str(a, n.send), send ? send : "");
    ck_assert_int_eq(n.verifies, verify != NULL);
    ck_assert_str_eq(arena_str(a, n.verify), verify ? verify : "");
}

static void asked(const char *authority)
{
    headers_init(&head, a);
    headers_add_id(&head, HEADER_AUTHORITY, bytes_of(authority));
}

START_TEST(test_what_the_cluster_wants)
{
    asked("a.test");
    is_named("a.test", "a.test");
    names.san_validation = false;
    is_named("a.test", NULL);
    names.sni = false;
    is_named(NULL, NULL);
    names.san_validation = true;
    is_named(NULL, "a.test");
    cluster.auto_names = NULL;
    is_named(NULL, NULL);
    cluster.auto_names = &names;
    cluster.tls = NULL;
    is_named(NULL, NULL);
}
END_TEST

START_TEST(test_the_hosts_own_name)
{
    tls.settings.auto_host_sni = true;
    asked("a.test");
    is_named("a.test", "a.test");
    asked("127.0.0.1"); /* an address is sent by nobody */
    is_named("ep.test", "127.0.0.1");
    asked(""); /* nobody has this name */
    is_named("ep.test", "");
    names.sni = false;
    asked("a.test");
    is_named("ep.test", "a.test");
    cluster.auto_names = NULL;
    is_named("ep.test", NULL);
    host.more = NULL;
    is_named(NULL, NULL);
}
END_TEST

START_TEST(test_ports_and_brackets)
{
    static const struct {
        const char *host, *send, *verify;
    } rows[] = {
        {"a.test:80", "a.test", "a.test"},
        {"a.test:", "a.test:", "a.test:"},
        {"a.test:65536", "a.test:65536", "a.test:65536"},
        {"a.test:x", "a.test:x", "a.test:x"},
        {":80", NULL, ""},
        {"1.2.3.4:5", NULL, "1.2.3.4"},
        {"[1.2.3.4]", NULL, "1.2.3.4"},
        {"[::1]", NULL, "::1"},
        {"[::1]:443", NULL, "::1"},
        {"[::1", "[:", "[:"},
        {"[a.test]:1", "[a.test]", "[a.test]"},
        {"[]", "[]", "[]"},
        {"[", "[", "["},
        {":", ":", ":"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        asked(rows[i].host);
        is_named(rows[i].send, rows[i].verify);
    }
}
END_TEST

START_TEST(test_another_header)
{
    names.header = BYTES("x-name");
    asked("a.test");
    is_named("a.test", "a.test");
    headers_add(&head, BYTES("x-name"), BYTES("b.test:1"));
    headers_add(&head, BYTES("x-name"), BYTES("c.test"));
    is_named("b.test", "b.test");
    asked("a.test");
    headers_add(&head, BYTES("x-name"), BYTES(""));
    headers_add(&head, BYTES("x-name"), BYTES("c.test"));
    is_named("a.test", "a.test");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("server_name");
    TCase *t = tcase_create("server_name");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_what_the_cluster_wants);
    tcase_add_test(t, test_the_hosts_own_name);
    tcase_add_test(t, test_ports_and_brackets);
    tcase_add_test(t, test_another_header);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
