#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/builder.h"
#include "config_fixture.h"

static struct fixture f;

static void setup(void)
{
    fixture_init(&f);
    fixture_start(&f);
    fixture_log(&f);
}

static void teardown(void)
{
    fixture_fini(&f);
}

static const char *demand(const char *name)
{
    builder_demand(f.builder, RESOURCE_CLUSTER, &f.ads, bytes_of(name));
    return fixture_log(&f);
}

/* By delta. */
static const char *take_away(const char *name)
{
    struct bytes removed = bytes_of(name);
    struct update_result r;
    config_update(f.builder, &f.ads, RESOURCE_CLUSTER, NULL, 0, &removed, 1, false, BYTES("v"), &r);
    update_result_fini(&r);
    builder_commit(f.builder);
    return fixture_log(&f);
}

#define CLUSTER(name) "{name: " name ", type: STATIC, connect_timeout: 1s}"
#define ABSENT(name) "settled " name ";"
#define STAT(name) fixture_stat(&f, "xylem.config.on_demand." name)

START_TEST(a_name_is_asked_for_once)
{
    ck_assert_str_eq(demand("one"), "want cds one;done;");
    ck_assert_str_eq(demand("one"), "");
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "one", CLUSTER("one")), "");
    ck_assert_str_eq(fixture_log(&f), "publish 1;");
    ck_assert_str_eq(demand("one"), "");
    ck_assert_int_eq(STAT("asked"), 1);
    ck_assert_int_eq(STAT("names"), 1);
}
END_TEST

START_TEST(a_cluster_that_is_there_is_not_asked_for)
{
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "one", CLUSTER("one")), "");
    fixture_log(&f);
    ck_assert_str_eq(demand("one"), "");
    ck_assert_int_eq(STAT("asked"), 0);
}
END_TEST

START_TEST(an_absent_one_is_remembered_until_it_comes)
{
    demand("one");
    ck_assert_str_eq(take_away("one"), ABSENT("one"));
    ck_assert_str_eq(demand("one"), ABSENT("one"));
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "one", CLUSTER("one")), "");
    fixture_log(&f);
    ck_assert_str_eq(demand("one"), "");
    ck_assert_str_eq(take_away("one"), ABSENT("one") "publish 2;");
    ck_assert_str_eq(demand("one"), ABSENT("one"));
    ck_assert_int_eq(STAT("asked"), 1);
}
END_TEST

START_TEST(one_that_is_refused_is_not_waited_for)
{
    demand("one");
    ck_assert_str_ne(
        fixture_update(&f, RESOURCE_CLUSTER, "one", "{name: one, lb_policy: RING_HASH}"), "");
    ck_assert_str_eq(fixture_log(&f), ABSENT("one"));
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "one", CLUSTER("one")), "");
    fixture_log(&f);
    /* a bad change leaves the good one */
    ck_assert_str_ne(
        fixture_update(&f, RESOURCE_CLUSTER, "one", "{name: one, lb_policy: RING_HASH}"), "");
    ck_assert_str_eq(fixture_log(&f), "");
}
END_TEST

START_TEST(what_nobody_asked_for_is_not_told)
{
    ck_assert_str_eq(take_away("one"), "");
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "one", CLUSTER("one")), "");
    ck_assert_str_eq(take_away("one"), "publish 1;publish 2;");
}
END_TEST

START_TEST(names_that_no_server_has)
{
    static const char *const names[] = {"", "*", "xdstp://a/b", "\xff", "\xc0\x80"};
    char longest[514] = {0};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        demand(names[i]);
        ck_assert_int_eq(STAT("refused"), i + 1);
    }
    memset(longest, 'x', 513);
    demand(longest);
    ck_assert_int_eq(STAT("refused"), ARRAY_SIZE(names) + 1);
    ck_assert_int_eq(STAT("asked"), 0);
    longest[512] = '\0';
    demand(longest);
    ck_assert_int_eq(STAT("asked"), 1);
    builder_demand(f.builder, RESOURCE_CLUSTER, &f.ads, bytes_from("a\0b", 3));
    ck_assert_int_eq(STAT("asked"), 1);
}
END_TEST

START_TEST(a_full_table_forgets_the_oldest_absent_one)
{
    char name[16];
    for (unsigned i = 0; i < 4096; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        demand(name);
    }
    ck_assert_str_eq(demand("more"), ABSENT("more")); /* all are still being asked for */
    ck_assert_int_eq(STAT("refused"), 1);
    take_away("n7");
    take_away("n3");
    ck_assert_str_eq(demand("more"), "unwant cds n7;want cds more;done;");
    ck_assert_int_eq(STAT("names"), 4096);
    ck_assert_int_eq(STAT("forgotten"), 1);
    ck_assert_str_eq(demand("n3"), ABSENT("n3"));
    ck_assert_str_eq(demand("n7"), "unwant cds n3;want cds n7;done;");
}
END_TEST

START_TEST(sources_are_apart)
{
    struct config_source other = f.ads;
    other.key = BYTES("other");
    demand("one");
    builder_demand(f.builder, RESOURCE_CLUSTER, &other, BYTES("one"));
    ck_assert_str_eq(fixture_log(&f), "want cds one;done;");
    ck_assert_str_eq(take_away("one"), ABSENT("one"));
    builder_demand(f.builder, RESOURCE_CLUSTER, &other, BYTES("one"));
    ck_assert_str_eq(fixture_log(&f), "");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("builder_demand");
    TCase *t = tcase_create("builder_demand");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_name_is_asked_for_once);
    tcase_add_test(t, a_cluster_that_is_there_is_not_asked_for);
    tcase_add_test(t, an_absent_one_is_remembered_until_it_comes);
    tcase_add_test(t, one_that_is_refused_is_not_waited_for);
    tcase_add_test(t, what_nobody_asked_for_is_not_told);
    tcase_add_test(t, names_that_no_server_has);
    tcase_add_test(t, a_full_table_forgets_the_oldest_absent_one);
    tcase_add_test(t, sources_are_apart);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
