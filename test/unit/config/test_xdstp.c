#include "config/xdstp.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

static struct arena *a;

static void setup(void)
{
    a = arena_new(0);
}

static void teardown(void)
{
    arena_free(&a);
}

static const struct {
    const char *name, *canonical, *collection;
} rows[] = {
    {"plain", "plain", NULL},
    {"plain?b=2&a=1", "plain?b=2&a=1", NULL},
    {"xdstp:/a/T/x?b=2&a=1", "xdstp:/a/T/x?b=2&a=1", NULL},
    {"xdstp://a/T/x", "xdstp://a/T/x", "xdstp://a/T/*"},
    {"xdstp://a/T/x/y", "xdstp://a/T/x/y", "xdstp://a/T/x/*"},
    {"xdstp:///T/x", "xdstp:///T/x", "xdstp:///T/*"},
    {"xdstp://a", "xdstp://a", NULL},
    {"xdstp://a/T/x?b=2&a=1", "xdstp://a/T/x?a=1&b=2", "xdstp://a/T/*?a=1&b=2"},
    {"xdstp://a/T/x?a=1&b=2", "xdstp://a/T/x?a=1&b=2", "xdstp://a/T/*?a=1&b=2"},
    {"xdstp://a/T/x?ab=1&a=2", "xdstp://a/T/x?a=2&ab=1", "xdstp://a/T/*?a=2&ab=1"},
    {"xdstp://a/T/x?a=/y", "xdstp://a/T/x?a=/y", "xdstp://a/T/*?a=/y"},
    {"xdstp://a/T/x?", "xdstp://a/T/x?", "xdstp://a/T/*?"},
    {"xdstp://a/T/x?&&a", "xdstp://a/T/x?&&a", "xdstp://a/T/*?&&a"},
    {"xdstp://a/T/x?a&", "xdstp://a/T/x?&a", "xdstp://a/T/*?&a"},
};

START_TEST(names)
{
    struct bytes name = bytes_of(rows[_i].name);
    struct bytes all = xdstp_collection(a, name);
    ck_assert_str_eq(arena_str(a, xdstp_canonical(a, name)), rows[_i].canonical);
    ck_assert(!all.data == !rows[_i].collection);
    if (all.data)
        ck_assert_str_eq(arena_str(a, all), rows[_i].collection);
}
END_TEST

START_TEST(a_nul_is_a_part_of_a_name)
{
    struct bytes all = xdstp_collection(a, BYTES("xdstp://a/T\0/x/y?b=\0&a=1"));
    ck_assert(bytes_eq(all, BYTES("xdstp://a/T\0/x/*?a=1&b=\0")));
}
END_TEST

/* Of more parameters than anybody has the order stays as it is. */
START_TEST(many_parameters)
{
    struct strbuf s = STRBUF_INIT;
    strbuf_add_str(&s, "xdstp://a/T/x?");
    for (unsigned i = 0; i < 1000; i++)
        strbuf_printf(&s, "%s%u=1", i ? "&" : "", 9999 - i);
    ck_assert(bytes_eq(xdstp_canonical(a, strbuf_bytes(&s)), strbuf_bytes(&s)));
    strbuf_fini(&s);
}
END_TEST

static const struct {
    const char *name, *why; /* NULL: it is one */
} collections[] = {
    {"xdstp://a/T/*", NULL},
    {"xdstp://a/T/x/*?b=1", NULL},
    {"T/*", "does not have a xdstp: scheme"},
    {"http://a/T/*", "does not have a xdstp: scheme"},
    {"xdstp://a/S/*", "type does not match T"},
    {"xdstp://a/T/x", "is no collection"},
    {"xdstp://a/T/x*", "is no collection"},
    {"xdstp://a/T", "is no collection"},
    {"xdstp://a", "type does not match T"},
};

START_TEST(names_of_collections)
{
    struct error err = ERROR_INIT;
    bool ok = xdstp_check_collection(bytes_of(collections[_i].name), "T", &err);
    ck_assert(ok == !collections[_i].why);
    if (!ok)
        ck_assert_msg(strstr(error_text(&err), collections[_i].why), "%s", error_text(&err));
    error_fini(&err);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("xdstp");
    TCase *t = tcase_create("xdstp");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, names, 0, (int)ARRAY_SIZE(rows));
    tcase_add_test(t, a_nul_is_a_part_of_a_name);
    tcase_add_test(t, many_parameters);
    tcase_add_loop_test(t, names_of_collections, 0, (int)ARRAY_SIZE(collections));
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
