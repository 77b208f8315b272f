#include "dataplane/net/dns.h"

#include <dlfcn.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* A DNS server in this process: answers by the first label of the name.
 *   four: one A, TTL 30   six: one AAAA, TTL 20   both: two A (TTL 300 and 7) and one AAAA
 *   none: no such name    empty: the name has no address    fail: SERVFAIL    silent: nothing */
static struct fixture f;
static struct dns_resolver *resolver;
static struct io_watch server;
static unsigned asked_a, asked_aaaa;

/* The resolver's own calls go through here: how often c-ares was started, whether it may be, what
 * servers it finds in resolv.conf (NULL: those of this machine), and the machine's interfaces. */
static unsigned starts;
static bool may_not_start;
static const char *system_servers;
static struct ifaddrs *interfaces;

int ares_init_options(void **channel, void *options, int mask);
int ares_set_servers_ports_csv(void *channel, const char *servers);

int ares_init_options(void **channel, void *options, int mask)
{
    enum { ARES_NO_MEMORY = 15 };
    int (*real)(void **, void *, int) =
        (int (*)(void **, void *, int))(intptr_t)dlsym(RTLD_NEXT, "ares_init_options");

    starts++;
    if (may_not_start)
        return ARES_NO_MEMORY;
    int status = real(channel, options, mask);
    return status || !system_servers ? status
                                     : ares_set_servers_ports_csv(*channel, system_servers);
}

int getifaddrs(struct ifaddrs **list)
{
    *list = interfaces;
    return 0;
}

void freeifaddrs(struct ifaddrs *list)
{
    ck_assert_ptr_eq(list, interfaces);
}

struct answer {
    bool done;
    enum dns_status status;
    char error[256];
    struct address addresses[8];
    size_t count;
    uint32_t ttl_s;
};

static void on_result(void *ctx, const struct dns_answer *r)
{
    struct answer *a = ctx;

    ck_assert(!a->done);
    a->done = true;
    a->status = r->status;
    snprintf(a->error, sizeof(a->error), "%s", r->error ? r->error : "");
    a->count = r->count;
    a->ttl_s = r->ttl_s;
    for (size_t i = 0; i < r->count && i < 8; i++)
        a->addresses[i] = r->addresses[i];
}

static size_t put_record(unsigned char *p, unsigned type, uint32_t ttl, unsigned last)
{
    unsigned size = type == 1 ? 4 : 16;
    unsigned char head[12] = {0xc0,
                              12,
                              0,
                              (unsigned char)type,
                              0,
                              1,
                              (unsigned char)(ttl >> 24),
                              (unsigned char)(ttl >> 16),
                              (unsigned char)(ttl >> 8),
                              (unsigned char)ttl,
                              0,
                              (unsigned char)size};

    memcpy(p, head, sizeof(head));
    memset(p + 12, 0, size);
    p[12] = type == 1 ? 10 : 0x20;
    p[12 + size - 1] = (unsigned char)last;
    return sizeof(head) + size;
}

static size_t put_answers(unsigned char *p, const char *label, unsigned type, unsigned *count)
{
    size_t n = 0;

    *count = 0;
    if (type == 1 && strcmp(label, "four") == 0) {
        n += put_record(p + n, 1, 30, 4);
        *count = 1;
    } else if (type == 28 && strcmp(label, "six") == 0) {
        n += put_record(p + n, 28, 20, 6);
        *count = 1;
    } else if (type == 1 && strcmp(label, "both") == 0) {
        n += put_record(p + n, 1, 300, 1);
        n += put_record(p + n, 1, 7, 2);
        *count = 2;
    } else if (type == 28 && strcmp(label, "both") == 0) {
        n += put_record(p + n, 28, 100, 3);
        *count = 1;
    }
    return n;
}

static void on_query(struct io_watch *w, unsigned events)
{
    unsigned char m[512];
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    ssize_t n = recvfrom(w->fd, m, sizeof(m), 0, (struct sockaddr *)&from, &len);
    char label[64] = "";
    unsigned count;

    ck_assert_int_gt(n, 12);
    memcpy(label, m + 13, m[12] < 63 ? m[12] : 63);
    size_t end = 12;
    while (m[end])
        end += m[end] + 1u;
    unsigned type = m[end + 2];
    *(type == 1 ? &asked_a : &asked_aaaa) += 1;
    if (strcmp(label, "silent") == 0)
        return;
    size_t at = end + 5;
    at += put_answers(m + at, label, type, &count);
    m[2] = 0x81;
    m[3] = strcmp(label, "none") == 0 ? 0x83 : strcmp(label, "fail") == 0 ? 0x82 : 0x80;
    m[7] = (unsigned char)count;
    m[6] = m[8] = m[9] = m[10] = m[11] = 0;
    (void)!sendto(w->fd, m, at, 0, (struct sockaddr *)&from, len);
}

static struct address server_at;

static void open_server(uint16_t port)
{
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    io_watch_init(&server, f.loop, fd, on_query, NULL);
    io_watch_set(&server, IO_READ);
    server_at = address_local(fd);
}

static void close_server(void)
{
    io_watch_stop(&server);
    close(server.fd);
}

/* Another resolver, which differs as told. */
static void use(struct dns_options o)
{
    struct error err = ERROR_INIT;

    dns_resolver_free(&resolver);
    starts = 0;
    o.servers = &server_at;
    o.n_servers = 1;
    o.timeout_ms = o.timeout_ms ? o.timeout_ms : 30;
    o.tries = o.tries ? o.tries : 2;
    o.no_search = true;
    resolver = dns_resolver_new(f.loop, &o, &err);
    ck_assert_msg(resolver != NULL, "%s", error_text(&err));
}

static void setup(void)
{
    fixture_init(&f);
    asked_a = asked_aaaa = 0;
    may_not_start = false;
    system_servers = NULL;
    open_server(0);
    use((struct dns_options){0});
}

static void teardown(void)
{
    dns_resolver_free(&resolver);
    close_server();
    fixture_fini(&f);
}

static struct answer resolve(const char *name, enum dns_lookup_family family)
{
    struct answer a = {0};

    ck_assert_ptr_nonnull(dns_resolve(resolver, bytes_of(name), 8080, family, on_result, &a));
    ck_assert(!a.done); /* never from inside the call */
    RUN_UNTIL(&f, a.done);
    return a;
}

static void expect_one(struct answer a, const char *text, uint32_t ttl_s)
{
    char out[ADDRESS_TEXT_MAX];

    ck_assert_msg(a.status == DNS_OK, "%s", a.error);
    ck_assert_uint_eq(a.count, 1);
    ck_assert_str_eq(address_format(&a.addresses[0], out), text);
    ck_assert_uint_eq(a.ttl_s, ttl_s);
}

START_TEST(families)
{
    expect_one(resolve("four.test", DNS_V4_ONLY), "10.0.0.4:8080", 30);
    ck_assert_uint_eq(asked_aaaa, 0);
    expect_one(resolve("six.test", DNS_V6_ONLY), "[2000::6]:8080", 20);
    expect_one(resolve("four.test", DNS_AUTO), "10.0.0.4:8080", 30);
    expect_one(resolve("six.test", DNS_AUTO), "[2000::6]:8080", 20);
    expect_one(resolve("six.test", DNS_V4_PREFERRED), "[2000::6]:8080", 20);
    expect_one(resolve("both.test", DNS_AUTO), "[2000::3]:8080", 100);
    ck_assert_int_eq(resolve("both.test", DNS_V4_PREFERRED).count, 2);
}
END_TEST

START_TEST(all_families_and_the_smallest_ttl)
{
    struct answer a = resolve("both.test", DNS_ALL);

    ck_assert_int_eq(a.status, DNS_OK);
    ck_assert_uint_eq(a.count, 3);
    ck_assert_uint_eq(a.ttl_s, 7);
}
END_TEST

START_TEST(answers_without_address)
{
    struct answer a = resolve("none.test", DNS_V4_ONLY);

    ck_assert_int_eq(a.status, DNS_EMPTY);
    ck_assert_str_eq(a.error, "cannot resolve 'none.test': no such name");
    ck_assert_int_eq(resolve("empty.test", DNS_ALL).status, DNS_EMPTY);
}
END_TEST

START_TEST(failures)
{
    struct answer a = resolve("fail.test", DNS_V4_ONLY);

    ck_assert_int_eq(a.status, DNS_FAILED);
    a = resolve("silent.test", DNS_V4_ONLY);
    ck_assert_int_eq(a.status, DNS_FAILED);
    ck_assert_str_eq(a.error, "cannot resolve 'silent.test': Timeout while contacting DNS servers");
    ck_assert_int_eq(resolve("", DNS_ALL).status, DNS_FAILED);
    /* and it still works afterwards */
    expect_one(resolve("four.test", DNS_V4_ONLY), "10.0.0.4:8080", 30);
}
END_TEST

START_TEST(no_question_needed)
{
    expect_one(resolve("192.0.2.7", DNS_AUTO), "192.0.2.7:8080", 0);
    expect_one(resolve("::1", DNS_AUTO), "[::1]:8080", 0);
    expect_one(resolve("localhost", DNS_V4_ONLY), "127.0.0.1:8080", 0);
    ck_assert_uint_eq(asked_a + asked_aaaa, 0);
}
END_TEST

START_TEST(cancelled)
{
    struct answer early = {0}, late = {0}, literal = {0};
    struct dns_query *a =
        dns_resolve(resolver, BYTES("four.test"), 1, DNS_V4_ONLY, on_result, &early);
    struct dns_query *b = dns_resolve(resolver, BYTES("1.2.3.4"), 1, DNS_AUTO, on_result, &literal);

    dns_cancel(&b);
    dns_cancel(&a);
    dns_cancel(&a);
    ck_assert_ptr_null(a);
    dns_resolve(resolver, BYTES("four.test"), 1, DNS_V4_ONLY, on_result, &late);
    RUN_UNTIL(&f, late.done);
    settle_loop(&f);
    ck_assert(!early.done && !literal.done);
    /* one that is still open when the resolver goes, one that nobody waits for */
    dns_resolve(resolver, BYTES("silent.test"), 1, DNS_ALL, on_result, &early);
    a = dns_resolve(resolver, BYTES("silent.test"), 1, DNS_ALL, on_result, &early);
    dns_cancel(&a);
}
END_TEST

/* The servers refuse, and c-ares cannot be started anew at once: the next query tries again. */
START_TEST(a_failed_start_is_not_for_ever)
{
    close_server();
    ck_assert_int_eq(resolve("four.test", DNS_V4_ONLY).status, DNS_FAILED);
    may_not_start = true;
    struct answer a = resolve("four.test", DNS_V4_ONLY);
    ck_assert_int_eq(a.status, DNS_FAILED);
    ck_assert_str_eq(a.error, "cannot resolve 'four.test': cannot start the DNS resolver: "
                              "Out of memory");
    ck_assert_int_eq(resolve("four.test", DNS_V4_ONLY).status, DNS_FAILED);
    expect_one(resolve("192.0.2.7", DNS_AUTO), "192.0.2.7:8080", 0);
    may_not_start = false;
    open_server(server_at.port);
    expect_one(resolve("four.test", DNS_V4_ONLY), "10.0.0.4:8080", 30);
    ck_assert_uint_eq(starts, 4);
}
END_TEST

START_TEST(silence_starts_anew_where_asked)
{
    resolve("silent.test", DNS_V4_ONLY);
    resolve("four.test", DNS_V4_ONLY);
    ck_assert_uint_eq(starts, 1);
    use((struct dns_options){.reopen_on_timeout = true});
    resolve("silent.test", DNS_V4_ONLY);
    resolve("four.test", DNS_V4_ONLY);
    ck_assert_uint_eq(starts, 2);
}
END_TEST

/* The longest patience that a configuration can ask for. */
START_TEST(tries_are_bounded)
{
    struct dns_options o = {.timeout_ms = DNS_TIMEOUT_MAX_S * 1000, .tries = UINT32_MAX};

    use(o);
    expect_one(resolve("four.test", DNS_V4_ONLY), "10.0.0.4:8080", 30);
    o.timeout_ms = 1;
    use(o);
    asked_a = 0;
    struct answer never = {0};
    dns_resolve(resolver, BYTES("silent.test"), 1, DNS_V4_ONLY, on_result, &never);
    RUN_UNTIL(&f, asked_a == 5);
    ck_assert(!never.done);
}
END_TEST

START_TEST(age_starts_anew)
{
    use((struct dns_options){.max_age_ms = 1});
    while (starts < 3)
        expect_one(resolve("four.test", DNS_V4_ONLY), "10.0.0.4:8080", 30);
    use((struct dns_options){.max_age_ms = 3600000});
    expect_one(resolve("four.test", DNS_V4_ONLY), "10.0.0.4:8080", 30);
    ck_assert_uint_eq(starts, 1);
}
END_TEST

/* Where nobody listens on port 53 of another address of the loopback. */
START_TEST(a_fallback_waits_for_the_system_to_have_no_server)
{
    system_servers = "127.0.0.53";
    expect_one(resolve("four.test", DNS_V4_ONLY), "10.0.0.4:8080", 30);
    use((struct dns_options){.servers_are_fallback = true});
    ck_assert_int_eq(resolve("four.test", DNS_V4_ONLY).status, DNS_FAILED);
    system_servers = "127.0.0.1";
    use((struct dns_options){.servers_are_fallback = true});
    expect_one(resolve("four.test", DNS_V4_ONLY), "10.0.0.4:8080", 30);
}
END_TEST

START_TEST(families_without_an_interface_are_left_out)
{
    struct sockaddr four = {.sa_family = AF_INET}, six = {.sa_family = AF_INET6};
    struct ifaddrs lo6 = {.ifa_addr = &six, .ifa_flags = IFF_LOOPBACK};
    struct ifaddrs none = {.ifa_next = &lo6}, eth4 = {.ifa_next = &none, .ifa_addr = &four};

    interfaces = &eth4;
    ck_assert_uint_eq(resolve("both.test", DNS_ALL).count, 3); /* not asked for */
    use((struct dns_options){.filter_unroutable = true});
    ck_assert_uint_eq(resolve("both.test", DNS_ALL).count, 2);
    asked_aaaa = 0;
    ck_assert_uint_eq(resolve("both.test", DNS_AUTO).count, 2);
    ck_assert_int_eq(resolve("six.test", DNS_V6_ONLY).status, DNS_FAILED);
    ck_assert_int_eq(resolve("six.test", DNS_V4_PREFERRED).status, DNS_FAILED);
    ck_assert_uint_eq(asked_aaaa, 0);
    interfaces = &lo6;
    struct answer a = resolve("both.test", DNS_ALL);
    ck_assert_str_eq(a.error, "cannot resolve 'both.test': no interface has an address of that "
                              "family");
    interfaces = NULL;
    ck_assert_int_eq(resolve("both.test", DNS_V4_ONLY).status, DNS_FAILED);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dns");
    TCase *t = tcase_create("dns");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, families);
    tcase_add_test(t, all_families_and_the_smallest_ttl);
    tcase_add_test(t, answers_without_address);
    tcase_add_test(t, failures);
    tcase_add_test(t, no_question_needed);
    tcase_add_test(t, cancelled);
    tcase_add_test(t, a_failed_start_is_not_for_ever);
    tcase_add_test(t, silence_starts_anew_where_asked);
    tcase_add_test(t, tries_are_bounded);
    tcase_add_test(t, age_starts_anew);
    tcase_add_test(t, a_fallback_waits_for_the_system_to_have_no_server);
    tcase_add_test(t, families_without_an_interface_are_left_out);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
