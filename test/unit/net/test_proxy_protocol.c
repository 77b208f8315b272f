/* Headers of the PROXY protocol. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "dataplane/net/proxy_protocol.h"

static struct address ip(const char *text, uint16_t port)
{
    struct address a;
    ck_assert(address_parse_ip(bytes_of(text), port, &a));
    return a;
}

static void check(unsigned version, const struct address *from, const struct address *to,
                  const char *expected, size_t len)
{
    char out[PROXY_PROTOCOL_MAX];
    ck_assert_uint_eq(proxy_protocol_header(version, from, to, out), len);
    ck_assert_mem_eq(out, expected, len);
}
#define CHECK_HEADER(version, from, to, text) check(version, &(from), &(to), text, sizeof(text) - 1)
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

START_TEST(test_ipv4)
{
    struct address from = ip("10.1.2.3", 4096), to = ip("10.9.8.7", 80);
    CHECK_HEADER(1, from, to, "PROXY TCP4 10.1.2.3 10.9.8.7 4096 80\r\n");
    CHECK_HEADER(2, from, to, SIGNATURE "\x21\x11\0\x0c\x0a\1\2\3\x0a\x9\x8\7\x10\0\0\x50");
}
END_TEST

START_TEST(test_ipv6)
{
    struct address from = ip("fe80::1%3", 1), to = ip("2001:db8::2", 65535);
    CHECK_HEADER(1, from, to, "PROXY TCP6 fe80::1 2001:db8::2 1 65535\r\n");
    CHECK_HEADER(2, from, to,
                 SIGNATURE
                 "\x21\x21\0\x24\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0"
                 "\0\0\0\0\0\0\2\0\1\xff\xff");
}
END_TEST

START_TEST(test_the_longest)
{
    struct address a = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    char out[PROXY_PROTOCOL_MAX];
    ck_assert_uint_eq(proxy_protocol_header(1, &a, &a, out), 104);
    a = ip("::ffff:255.255.255.255", 65535);
    ck_assert_uint_le(proxy_protocol_header(1, &a, &a, out), PROXY_PROTOCOL_MAX);
}
END_TEST

START_TEST(test_what_is_no_pair)
{
    struct address four = ip("10.1.2.3", 1), six = ip("::1", 1), pipe = {.kind = ADDRESS_PIPE};
    struct address none = {.kind = ADDRESS_NONE};
    const struct address *pairs[][2] = {{&four, &six}, {&pipe, &pipe}, {&none, &four}};
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        CHECK_HEADER(1, *pairs[i][0], *pairs[i][1], "PROXY UNKNOWN\r\n");
        CHECK_HEADER(2, *pairs[i][0], *pairs[i][1], SIGNATURE "\x20\0\0\0");
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("proxy_protocol");
    TCase *t = tcase_create("proxy_protocol");
    tcase_add_test(t, test_ipv4);
    tcase_add_test(t, test_ipv6);
    tcase_add_test(t, test_the_longest);
    tcase_add_test(t, test_what_is_no_pair);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
