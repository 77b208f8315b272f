#include <check.h>
#include <stdlib.h>

#include "dataplane/http/headers.h"

START_TEST(test_every_name_has_its_number)
{
    for (int id = 1; id < HEADER_ID_COUNT; id++) {
        struct bytes name = header_name((enum header_id)id);
        ck_assert_msg(header_id_of(name) == (enum header_id)id, "%.*s", BYTES_ARG(name));
    }
    ck_assert_int_eq(header_id_of(BYTES("x-other")), HEADER_OTHER);
    ck_assert_int_eq(header_id_of(BYTES("hos_")), HEADER_OTHER);
    ck_assert_int_eq(header_id_of(BYTES("")), HEADER_OTHER);
}
END_TEST

START_TEST(test_add_get_set_remove)
{
    struct arena *a = arena_new(0);
    struct headers h;
    headers_init(&h, a);
    headers_add(&h, BYTES("x"), BYTES("1"));
    headers_add(&h, BYTES("cookie"), BYTES("a"));
    headers_add_id(&h, HEADER_METHOD, BYTES("GET"));
    headers_add(&h, BYTES(":path"), BYTES("/"));
    headers_add(&h, BYTES("cookie"), BYTES("b"));
    headers_add(&h, BYTES("x"), BYTES(""));
    ck_assert(bytes_eq_str(h.entries[0].name, ":method"));
    ck_assert(bytes_eq_str(h.entries[1].name, ":path"));
    ck_assert(bytes_eq_str(headers_get(&h, HEADER_PATH), "/"));
    ck_assert(bytes_eq_str(headers_get_name(&h, BYTES("x")), "1"));
    ck_assert(bytes_eq_str(headers_get_all(&h, BYTES("x")), "1,"));
    ck_assert(bytes_eq_str(headers_get_all(&h, BYTES("cookie")), "a,b"));
    ck_assert_ptr_null(headers_get_all(&h, BYTES("none")).data);
    uint32_t at = 0;
    struct bytes value;
    ck_assert(headers_values(&h, BYTES("x"), &at, &value) && bytes_eq_str(value, "1"));
    ck_assert(headers_values(&h, BYTES("x"), &at, &value) && bytes_eq_str(value, ""));
    ck_assert(!headers_values(&h, BYTES("x"), &at, &value));
    ck_assert(!headers_values(&h, BYTES("x"), &at, &value));
    at = 0;
    ck_assert(!headers_values(&h, BYTES("none"), &at, &value));
    uint32_t size = h.byte_size;
    headers_set_id(&h, HEADER_COOKIE, BYTES("cc"));
    ck_assert(bytes_eq_str(headers_get_all(&h, BYTES("cookie")), "cc"));
    ck_assert_uint_eq(h.byte_size, size - 6);
    ck_assert_uint_eq(headers_remove(&h, BYTES("x")), 2);
    ck_assert_uint_eq(headers_remove_id(&h, HEADER_METHOD), 1);
    ck_assert_uint_eq(headers_remove_id(&h, HEADER_METHOD), 0);
    ck_assert(!headers_has(&h, HEADER_METHOD));
    ck_assert(bytes_eq_str(headers_get(&h, HEADER_COOKIE), "cc"));
    ck_assert_uint_eq(h.n, 2);
    arena_free(&a);
}
END_TEST

START_TEST(test_grows_to_its_bound)
{
    struct arena *a = arena_new(0);
    struct headers h;
    headers_init(&h, a);
    for (unsigned i = 0; i < 60012; i++)
        headers_add(&h, BYTES("x"), BYTES("1"));
    ck_assert_uint_eq(h.n, 60012);
    arena_free(&a);
}
END_TEST

START_TEST(test_many)
{
    struct arena *a = arena_new(0);
    struct headers h;
    headers_init(&h, a);
    for (int i = 0; i < 5000; i++)
        headers_add(&h, BYTES("cookie"), BYTES("a"));
    ck_assert_uint_eq(h.n, 5000);
    ck_assert_uint_eq(headers_get_all(&h, BYTES("cookie")).len, 9999);
    ck_assert_uint_eq(headers_remove(&h, BYTES("cookie")), 5000);
    ck_assert_uint_eq(h.byte_size, 0);
    arena_free(&a);
}
END_TEST

/* A pseudo header that comes late stands before the rest, and all are found where they are then. */
START_TEST(test_late_pseudo_headers)
{
    struct arena *a = arena_new(0);
    struct headers h;
    headers_init(&h, a);
    headers_reserve(&h, 3);
    headers_add_id(&h, HEADER_METHOD, BYTES("GET"));
    headers_add_id(&h, HEADER_HOST, BYTES("a"));
    headers_add(&h, BYTES("x-other"), BYTES("1"));
    headers_add_id(&h, HEADER_COOKIE, BYTES("c"));
    headers_add_id(&h, HEADER_COOKIE, BYTES("d"));
    headers_add_id(&h, HEADER_SCHEME, BYTES("http"));
    headers_add(&h, BYTES(":path"), BYTES("/"));
    headers_add_id(&h, HEADER_PATH, BYTES("/twice"));
    static const char *const order[] = {":method", ":scheme", ":path",  ":path",
                                        "host",    "x-other", "cookie", "cookie"};
    ck_assert_uint_eq(h.n, ARRAY_SIZE(order));
    for (unsigned i = 0; i < h.n; i++)
        ck_assert(bytes_eq_str(h.entries[i].name, order[i]));
    for (unsigned i = h.n; i-- > 0;) {
        if (i == 0 || strcmp(order[i], order[i - 1]) != 0)
            ck_assert(bytes_eq(headers_get_name(&h, bytes_of(order[i])), h.entries[i].value));
    }
    ck_assert(bytes_eq_str(headers_get_all_id(&h, HEADER_COOKIE), "c,d"));
    ck_assert(bytes_eq_str(headers_get_all_id(&h, HEADER_HOST), "a"));
    ck_assert(bytes_eq_str(headers_get_all_id(&h, HEADER_PATH), "/,/twice"));
    ck_assert_ptr_null(headers_get_all_id(&h, HEADER_DATE).data);
    headers_set_id(&h, HEADER_COOKIE, BYTES("e"));
    ck_assert_uint_eq(h.n, ARRAY_SIZE(order) - 1);
    arena_free(&a);
}
END_TEST

static void add_lines(struct headers *h, enum header_id first, const char *name)
{
    headers_add_id(h, first, BYTES("x"));
    headers_add(h, bytes_of(name), BYTES(""));
    headers_add(h, BYTES("x-other"), BYTES("1"));
    headers_add(h, bytes_of(name), BYTES("a"));
    headers_add(h, BYTES("x-other"), BYTES("2"));
    headers_add(h, bytes_of(name), BYTES(""));
    headers_add(h, bytes_of(name), BYTES("b"));
    headers_add(h, BYTES("cookie"), BYTES("c"));
    headers_add(h, BYTES("cookie"), BYTES("d"));
    headers_join_lines(h);
}

static void check_joined(enum header_id first, const char *name, bool joined)
{
    struct arena *a = arena_new(0);
    struct headers h;
    uint32_t at = 0;
    struct bytes value;
    headers_init(&h, a);
    add_lines(&h, first, name);
    ck_assert_uint_eq(h.n, joined ? 6 : 9);
    ck_assert(headers_values(&h, bytes_of(name), &at, &value));
    ck_assert_msg(bytes_eq_str(value, joined ? "a,b" : ""), "%s: %.*s", name, BYTES_ARG(value));
    ck_assert(headers_values(&h, bytes_of(name), &at, &value) == !joined);
    headers_append(&h, bytes_of(name), BYTES("e"));
    ck_assert(bytes_eq_str(headers_get_all(&h, bytes_of(name)), joined ? "a,b,e" : ",a,,b,e"));
    headers_append(&h, BYTES("x-new"), BYTES("1"));
    ck_assert(bytes_eq_str(headers_get_all(&h, BYTES("x-new")), "1"));
    size_t size = 0;
    for (const struct header *e = h.entries; e < h.entries + h.n; e++)
        size += e->name.len + e->value.len;
    ck_assert_uint_eq(h.byte_size, size);
    arena_free(&a);
}

/* Which headers are one line depends on what they stand in. */
START_TEST(test_known_lists_are_joined)
{
    check_joined(HEADER_METHOD, "accept", true);
    check_joined(HEADER_METHOD, "x-forwarded-client-cert", true);
    check_joined(HEADER_METHOD, "cdn-loop", true);
    check_joined(HEADER_METHOD, "x-envoy-upstream-rq-timeout-ms", true);
    check_joined(HEADER_STATUS, "server", true);
    check_joined(HEADER_METHOD, "server", false);
    check_joined(HEADER_STATUS, "accept", false);
    check_joined(HEADER_STATUS, "vary", true);
    check_joined(HEADER_METHOD, "vary", false);
    check_joined(HEADER_METHOD, "via", true);
    check_joined(HEADER_STATUS, "via", true);
    check_joined(HEADER_TE, "via", false);
    check_joined(HEADER_METHOD, "x-mine", false);
}
END_TEST

START_TEST(test_status_is_three_digits)
{
    static const struct {
        const char *text;
        unsigned status;
    } rows[] = {{"200", 200}, {"100", 100}, {"999", 999}, {"099", 0}, {"000", 0}, {"20", 0},
                {"2000", 0},  {"", 0},      {"2x0", 0},   {"20/", 0}, {"20:", 0}, {"/00", 0}};
    struct arena *a = arena_new(0);
    struct headers h;
    headers_init(&h, a);
    ck_assert_uint_eq(headers_status(&h), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        headers_set_id(&h, HEADER_STATUS, bytes_of(rows[i].text));
        ck_assert_msg(headers_status(&h) == rows[i].status, "%s", rows[i].text);
    }
    arena_free(&a);
}
END_TEST

START_TEST(test_numbers_that_steer)
{
    static const char *const none[] = {"", " ", "+", "++1", "+ 1", "-1", "1x", "1 2", "0x1"};
    uint64_t n = 7;
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        ck_assert_msg(!header_number(bytes_of(none[i]), &n) && n == 7, "%s", none[i]);
    ck_assert(!header_number(BYTES_NONE, &n));
    ck_assert(header_number(BYTES("0"), &n) && n == 0);
    ck_assert(header_number(BYTES("\t +42 "), &n) && n == 42);
    ck_assert(header_number(BYTES("18446744073709551615"), &n) && n == UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("headers");
    TCase *t = tcase_create("headers");
    tcase_add_test(t, test_every_name_has_its_number);
    tcase_add_test(t, test_add_get_set_remove);
    tcase_add_test(t, test_grows_to_its_bound);
    tcase_add_test(t, test_many);
    tcase_add_test(t, test_late_pseudo_headers);
    tcase_add_test(t, test_known_lists_are_joined);
    tcase_add_test(t, test_status_is_three_digits);
    tcase_add_test(t, test_numbers_that_steer);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
