/* What counts as the fields of a head, of several heads, and of trailers. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/http/wire_bytes.h"

static uint64_t fields(const char *lines)
{
    return wire_bytes_of_fields(bytes_of(lines));
}

START_TEST(fields_without_their_blanks)
{
    ck_assert_uint_eq(fields(""), 0);
    ck_assert_uint_eq(fields("\r\n"), 0);
    ck_assert_uint_eq(fields("a:b\r\n\r\n"), 5);
    ck_assert_uint_eq(fields("a: \t b \t\r\n\r\n"), 5);
    ck_assert_uint_eq(fields("a:\r\nab: c d\r\n\r\nnot: counted\r\n"), 4 + 8);
    ck_assert_uint_eq(fields("a:b\nc: d"), 10); /* whatever ends the lines */
    ck_assert_uint_eq(fields("a:b:c\r\n"), 7);
}
END_TEST

START_TEST(heads_add_up)
{
    struct wire_bytes w = {0};
    ck_assert_uint_eq(wire_bytes_fields_received(&w), 0);
    wire_bytes_add_head(&w, BYTES("HTTP/1.1 103 Early Hints: a\r\nlink: a\r\n\r\n"));
    ck_assert_uint_eq(wire_bytes_fields_received(&w), strlen("link:a\r\n"));
    wire_bytes_add_head(&w, BYTES("HTTP/1.1 200 OK\r\nab: c\r\n\r\n"));
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(wire_bytes_fields_received(&w), strlen("link:a\r\nab:c\r\n"));
        wire_bytes_settle(&w);
    }
    ck_assert_uint_eq(w.received, strlen("HTTP/1.1 103 Early Hints: a\r\nlink: a\r\n\r\n"
                                         "HTTP/1.1 200 OK\r\nab: c\r\n\r\n"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wire_bytes");
    TCase *t = tcase_create("wire_bytes");
    tcase_add_test(t, fields_without_their_blanks);
    tcase_add_test(t, heads_add_up);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
