/* Statistics of gRPC methods: names, the bound on them, and who outlives whom. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/upstream/method_stats.h"
#include "world.h"

static struct world *w;
static struct cluster_runtime *c;

static void setup(void)
{
    w = world_new();
    world_snapshot(w);
    world_cluster(w, 0, 1);
    world_adopt(w);
    c = cluster_runtime_get(&w->worker, BYTES("c0"));
}

static void teardown(void)
{
    world_free(w);
}

static struct method_stats *get(const char *service, const char *method, bool listed)
{
    struct grpc_method m = {bytes_of(service), bytes_of(method)};
    return method_stats_get(c, BYTES("grpc"), &m, listed);
}

static int64_t value(const struct method_stats *m, enum method_stat id)
{
    return stat_read(m->scope, id, &(bool){false});
}

START_TEST(test_names)
{
    struct method_stats *m = get("a.B", "M", false), *again = get("a.B", "M", false);
    struct method_stats *all = method_stats_get(c, BYTES("grpc"), NULL, false);
    struct grpc_method name = {BYTES("a.B"), BYTES("M")};
    struct method_stats *web = method_stats_get(c, BYTES("grpc-web"), &name, false);
    ck_assert_ptr_eq(m, again);
    ck_assert_str_eq(m->scope->prefix, "cluster.c0.grpc.a.B.M");
    ck_assert_str_eq(all->scope->prefix, "cluster.c0.grpc");
    ck_assert_str_eq(web->scope->prefix, "cluster.c0.grpc-web.a.B.M");
    method_stats_put(&m);
    method_stats_put(&again);
    method_stats_put(&all);
    method_stats_put(&web);
    method_stats_put(&m); /* nothing is nothing */
}
END_TEST

START_TEST(test_status)
{
    static const struct {
        const char *text;
        enum method_stat id;
    } rows[] = {
        {"0", STAT_METHOD_STATUS_0},      {"9", STAT_METHOD_STATUS_9},
        {"16", STAT_METHOD_STATUS_16},    {"17", STAT_METHOD_STATUS_OTHER},
        {"00", STAT_METHOD_STATUS_OTHER}, {"0000", STAT_METHOD_STATUS_OTHER},
        {"zz", STAT_METHOD_STATUS_OTHER}, {"", STAT_METHOD_STATUS_OTHER},
    };
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char method[8];
        snprintf(method, sizeof(method), "m%zu", i);
        struct method_stats *m = get("s", method, false);
        struct headers h;
        headers_init(&h, a);
        method_stats_status(m, &h);
        ck_assert_int_eq(value(m, STAT_METHOD_TOTAL), 0);
        headers_add_id(&h, HEADER_GRPC_STATUS, bytes_of(rows[i].text));
        method_stats_status(m, &h);
        ck_assert_int_eq(value(m, rows[i].id), 1);
        ck_assert_int_eq(value(m, STAT_METHOD_TOTAL), 1);
        ck_assert_int_eq(value(m, STAT_METHOD_SUCCESS), i == 0);
        ck_assert_int_eq(value(m, STAT_METHOD_FAILURE), i != 0);
        method_stats_put(&m);
    }
    arena_free(&a);
}
END_TEST

/* Names that clients choose end at a bound: the rest counts together, and is counted. */
START_TEST(test_bound)
{
    char method[16];
    struct method_stats *m;
    for (unsigned i = 0; i < METHOD_STATS_MAX; i++) {
        snprintf(method, sizeof(method), "m%u", i);
        m = get("s", method, false);
        ck_assert_uint_eq(m->users, 2);
        method_stats_put(&m);
    }
    for (unsigned i = 0; i < 100; i++) {
        snprintf(method, sizeof(method), "over%u", i);
        m = get("s", method, false);
        ck_assert_str_eq(m->scope->prefix, "cluster.c0.grpc");
        ck_assert_int_eq(value(m, STAT_METHOD_LIMIT_EXCEEDED), i + 1);
        method_stats_put(&m);
    }
    ck_assert_uint_eq(map_count(&c->methods), METHOD_STATS_MAX + 1);
    m = get("s", "m7", false); /* those there are go on */
    ck_assert_str_eq(m->scope->prefix, "cluster.c0.grpc.s.m7");
    method_stats_put(&m);
    m = get("s", "listed", true);
    ck_assert_str_eq(m->scope->prefix, "cluster.c0.grpc.s.listed");
    method_stats_put(&m);
}
END_TEST

START_TEST(test_long_names)
{
    char name[METHOD_STATS_NAME_MAX + 2];
    memset(name, 'x', sizeof(name));
    name[METHOD_STATS_NAME_MAX - 1] = '\0';
    struct method_stats *m = get("s", name, false);
    ck_assert_uint_eq(strlen(m->scope->prefix), strlen("cluster.c0.grpc.s.") + strlen(name));
    method_stats_put(&m);
    name[METHOD_STATS_NAME_MAX - 1] = 'x';
    name[METHOD_STATS_NAME_MAX] = '\0';
    m = get("s", name, true);
    ck_assert_str_eq(m->scope->prefix, "cluster.c0.grpc");
    ck_assert_int_eq(value(m, STAT_METHOD_LIMIT_EXCEEDED), 1);
    method_stats_put(&m);
}
END_TEST

/* A stream may hold on to them longer than the cluster does. */
START_TEST(test_outlives_the_cluster)
{
    struct method_stats *m = get("s", "m", false);
    world_snapshot(w);
    world_adopt(w);
    ck_assert_ptr_null(cluster_runtime_get(&w->worker, BYTES("c0")));
    method_stats_add(m, STAT_METHOD_REQUEST_MESSAGES, 3);
    ck_assert_int_eq(value(m, STAT_METHOD_REQUEST_MESSAGES), 3);
    ck_assert_uint_eq(m->users, 1);
    method_stats_put(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("method_stats");
    TCase *t = tcase_create("method_stats");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_names);
    tcase_add_test(t, test_status);
    tcase_add_test(t, test_bound);
    tcase_add_test(t, test_long_names);
    tcase_add_test(t, test_outlives_the_cluster);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
