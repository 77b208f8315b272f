#include "base/address.h"

#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>

static void roundtrip(const char *text)
{
    char out[ADDRESS_TEXT_MAX];
    struct address a, b;
    struct sockaddr_storage ss;

    ck_assert_msg(address_parse_ip_port(bytes_of(text), &a), "%s", text);
    ck_assert_str_eq(address_format(&a, out), text);
    socklen_t len = address_to_sockaddr(&a, &ss);
    b = address_from_sockaddr((struct sockaddr *)&ss, len);
    ck_assert(address_eq(&a, &b));
    ck_assert_int_eq(address_cmp(&a, &b), 0);
    ck_assert_uint_eq(address_hash(&a), address_hash(&b));
}

START_TEST(text_and_back)
{
    ck_assert_uint_eq(sizeof(struct address), 24);
    roundtrip("127.0.0.1:80");
    roundtrip("0.0.0.0:0");
    roundtrip("255.255.255.255:65535");
    roundtrip("[::1]:80");
    roundtrip("[2001:db8::1]:443");
    roundtrip("[::]:15001");
    roundtrip("[fe80::1%1]:80");
}
END_TEST

START_TEST(refused_text)
{
    static const char *const bad[] = {"",
                                      "127.0.0.1",
                                      ":80",
                                      "127.0.0.1:",
                                      "1.2.3:80",
                                      "::1:80",
                                      "[::1]",
                                      "[::1]:65536",
                                      "localhost:1",
                                      "1.2.3.4:-1",
                                      "[1.2.3.4]:1",
                                      "1.2.3.4 :1",
                                      "01.2.3.4:80",
                                      "[::1%]:80"};
    struct address a;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ck_assert_msg(!address_parse_ip_port(bytes_of(bad[i]), &a), "%s", bad[i]);
    ck_assert(!address_parse_ip(BYTES("1.2.3.4\0"), 1, &a));
    ck_assert(address_parse_ip(BYTES("[::1]"), 1, &a));
    ck_assert(address_parse_ip(BYTES("::1"), 1, &a));
}
END_TEST

START_TEST(pipes)
{
    char out[ADDRESS_TEXT_MAX], path[200];
    struct address a, b;
    struct sockaddr_storage ss;

    ck_assert(address_from_path(BYTES("/tmp/x.sock"), &a));
    ck_assert(address_from_path(bytes_of("/tmp/x.sock"), &b));
    ck_assert(address_eq(&a, &b));
    ck_assert_ptr_eq(a.path, b.path);
    ck_assert_str_eq(address_format(&a, out), "/tmp/x.sock");
    ck_assert(address_from_path(BYTES("@abstract"), &b));
    ck_assert(!address_eq(&a, &b));
    socklen_t len = address_to_sockaddr(&b, &ss);
    ck_assert_uint_eq(len, sizeof(sa_family_t) + strlen("@abstract"));
    ck_assert_int_eq(((char *)&ss)[sizeof(sa_family_t)], '\0');
    memset(path, 'p', sizeof(path));
    ck_assert(address_from_path(bytes_from(path, 107), &a));
    ck_assert(!address_from_path(bytes_from(path, 108), &a));
    ck_assert(!address_from_path(BYTES(""), &a));
}
END_TEST

static bool inside(const char *prefix, const char *ip)
{
    struct address_prefix p;
    struct address a;

    ck_assert_msg(address_prefix_parse(bytes_of(prefix), &p), "%s", prefix);
    ck_assert(address_parse_ip(bytes_of(ip), 0, &a));
    return address_prefix_contains(&p, &a);
}

START_TEST(prefixes)
{
    struct address_prefix p;

    ck_assert(inside("10.0.0.0/8", "10.255.1.2"));
    ck_assert(!inside("10.0.0.0/8", "11.0.0.0"));
    ck_assert(inside("10.1.2.3/32", "10.1.2.3"));
    ck_assert(!inside("10.1.2.3/32", "10.1.2.2"));
    ck_assert(inside("10.1.2.3/31", "10.1.2.2"));
    ck_assert(inside("0.0.0.0/0", "1.2.3.4"));
    ck_assert(!inside("0.0.0.0/0", "::1"));
    ck_assert(inside("::/0", "::1"));
    ck_assert(inside("2001:db8::/33", "2001:db8:7fff::1"));
    ck_assert(!inside("2001:db8::/33", "2001:db8:8000::1"));
    ck_assert(!address_prefix_parse(BYTES("10.0.0.0/33"), &p));
    ck_assert(!address_prefix_parse(BYTES("10.0.0.0"), &p));
    ck_assert(!address_prefix_parse(BYTES("::/129"), &p));
}
END_TEST

START_TEST(properties)
{
    struct address a;

    ck_assert(address_parse_ip(BYTES("::ffff:10.0.0.1"), 7, &a));
    struct address v4 = address_unmap(&a);
    ck_assert_int_eq(v4.kind, ADDRESS_IPV4);
    ck_assert_uint_eq(v4.port, 7);
    struct address lo = address_ipv4(127, 3, 2, 1, 0), any = address_ipv4(0, 0, 0, 0, 1);
    ck_assert(address_is_loopback(&lo));
    ck_assert(!address_is_loopback(&any));
    ck_assert(address_is_any(&any));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("address");
    TCase *t = tcase_create("address");
    tcase_add_test(t, text_and_back);
    tcase_add_test(t, refused_text);
    tcase_add_test(t, pipes);
    tcase_add_test(t, prefixes);
    tcase_add_test(t, properties);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
