/* Snapshots come and go while connections live: what is kept, what drains, what is freed. */
#include <check.h>
#include <stdlib.h>

#include "base/memory.h"
#include "world.h"

#define OK "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#define LOG_OK "headers:200 data:ok,end "

static struct world *w;

static void setup(void)
{
    w = world_new();
    world_snapshot(w);
}

static void teardown(void)
{
    world_free(w);
}

static void check_log(struct client *c, const char *expected)
{
    ck_assert_str_eq(strbuf_str(&c->log), expected);
    strbuf_reset(&c->log);
    headers_init(&c->response, c->arena);
}

/* Opens a connection to each host of a mask (round robin) and leaves them idle. */
static void open_all(unsigned cluster, unsigned n)
{
    struct client *c[WORLD_HOSTS];
    unsigned first = w->n_origins;
    for (unsigned i = 0; i < n; i++) {
        c[i] = client_new(w);
        ck_assert_int_eq(client_get(w, c[i], cluster), POOL_PENDING);
    }
    world_run(w);
    for (unsigned i = 0; i < n; i++) {
        origin_send(world_origin(w, first + i), OK);
        check_log(c[i], "ready " LOG_OK);
        client_free(c[i]);
    }
}

static struct origin *origin_of_port(uint16_t port)
{
    for (unsigned i = 0; i < w->n_origins; i++) {
        if (world_origin(w, i)->address.port == port)
            return world_origin(w, i);
    }
    ck_abort_msg("nobody connected to %u", port);
}

START_TEST(test_unknown_cluster)
{
    world_cluster(w, 0, 1);
    world_adopt(w);
    ck_assert_ptr_null(cluster_runtime_get(&w->worker, BYTES("nobody")));
    ck_assert_ptr_null(cluster_runtime_get(&w->worker, BYTES("")));
}
END_TEST

/* Nothing is made for clusters that nobody uses. */
START_TEST(test_lazy)
{
    for (unsigned i = 0; i < WORLD_CLUSTERS; i++)
        world_cluster(w, i, 1);
    world_adopt(w);
    ck_assert_uint_eq(map_count(&w->manager->runtimes), 0);
    open_all(3, 1);
    ck_assert_uint_eq(map_count(&w->manager->runtimes), 1);
    ck_assert_uint_eq(cluster_manager_pools(w->manager), 1);
}
END_TEST

START_TEST(test_unchanged_cluster_keeps_connections)
{
    world_cluster(w, 0, 3);
    world_cluster(w, 1, 4);
    world_adopt(w);
    open_all(0, 2);
    struct cluster_runtime *before = cluster_runtime_get(&w->worker, BYTES("c0"));
    struct lb *lb = before->lb;
    world_snapshot(w);
    world_keep_cluster(w, 0);
    world_cluster(w, 1, 8);
    world_adopt(w);
    ck_assert_ptr_eq(cluster_runtime_get(&w->worker, BYTES("c0")), before);
    ck_assert_ptr_eq(before->lb, lb);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 2);
}
END_TEST

/* A cluster's timeouts and limits change, its hosts do not: no connection is closed. */
START_TEST(test_changed_values_keep_connections)
{
    world_cluster(w, 0, 3);
    world_adopt(w);
    open_all(0, 2);
    world_snapshot(w);
    struct cluster *c = world_cluster(w, 0, 3);
    c->connect_timeout_ms = 77;
    c->breakers[0].max_requests = 5;
    world_adopt(w);
    world_run(w);
    struct cluster_runtime *runtime = cluster_runtime_get(&w->worker, BYTES("c0"));
    ck_assert_uint_eq(runtime->params.connect_timeout_ms, 77);
    ck_assert_uint_eq(runtime->params.breakers[0].max_requests, 5);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 2);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY), 0);
}
END_TEST

/* What shapes a connection changes: old ones drain, new ones are made the new way. */
START_TEST(test_changed_shape_drains)
{
    world_cluster(w, 0, 1);
    world_adopt(w);
    open_all(0, 1);
    world_snapshot(w);
    world_cluster(w, 0, 1)->keepalive = true;
    world_adopt(w);
    world_run(w);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 0);
    open_all(0, 1);
    ck_assert_uint_eq(w->n_origins, 2);
}
END_TEST

START_TEST(test_removed_host)
{
    world_cluster(w, 0, 7);
    world_adopt(w);
    open_all(0, 3);
    world_snapshot(w);
    world_cluster(w, 0, 5); /* without the second */
    world_adopt(w);
    world_run(w);
    ck_assert_ptr_null(origin_of_port(8001)->connection); /* idle: closed at once */
    ck_assert_ptr_nonnull(origin_of_port(8000)->connection);
    ck_assert_ptr_nonnull(origin_of_port(8002)->connection);
    ck_assert_uint_eq(cluster_manager_pools(w->manager), 2);
    ck_assert_uint_eq(host_state_seen(w->states[1])->holds, 0);
    struct cluster_runtime *runtime = cluster_runtime_get(&w->worker, BYTES("c0"));
    for (unsigned i = 0; i < 10; i++)
        ck_assert_uint_ne(cluster_runtime_pick(runtime, NULL)->address.port, 8001);
}
END_TEST

/* A removed host finishes the request it has, then its connection closes. */
START_TEST(test_removed_host_drains)
{
    world_cluster(w, 0, 1);
    world_adopt(w);
    struct client *c = client_new(w);
    client_get(w, c, 0);
    world_run(w);
    check_log(c, "ready ");
    world_snapshot(w);
    world_cluster(w, 0, 2);
    world_adopt(w);
    world_run(w);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 1);
    origin_send(world_origin(w, 0), OK);
    check_log(c, LOG_OK);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 0);
    ck_assert_uint_eq(host_state_seen(w->states[0])->holds, 0);
    client_free(c);
}
END_TEST

/* It comes back while it still drains: a new pool, the old one ends on its own. */
START_TEST(test_host_returns_while_draining)
{
    world_cluster(w, 0, 1);
    world_adopt(w);
    open_all(0, 1); /* so that its pool is known */
    struct client *c = client_new(w);
    client_get(w, c, 0);
    world_run(w);
    world_snapshot(w);
    world_cluster(w, 0, 2);
    world_adopt(w);
    world_snapshot(w);
    world_cluster(w, 0, 1);
    world_adopt(w);
    open_all(0, 1);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 2);
    origin_send(world_origin(w, 0), OK);
    check_log(c, LOG_OK);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 1);
    client_free(c);
}
END_TEST

/* Requests that wait for a connection to a host that goes away keep their turn. */
START_TEST(test_removed_host_with_waiting)
{
    world_cluster(w, 0, 1);
    world_adopt(w);
    struct client *c = client_new(w);
    client_get(w, c, 0);
    world_snapshot(w);
    world_cluster(w, 0, 2);
    world_adopt(w);
    world_run(w);
    check_log(c, "ready ");
    origin_send(world_origin(w, 0), OK);
    check_log(c, LOG_OK);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 0);
    client_free(c);
}
END_TEST

START_TEST(test_removed_cluster)
{
    world_cluster(w, 0, 3);
    world_adopt(w);
    open_all(0, 2);
    struct client *c = client_new(w);
    client_get(w, c, 0);
    world_run(w);
    world_snapshot(w);
    world_adopt(w);
    ck_assert_ptr_null(cluster_runtime_get(&w->worker, BYTES("c0")));
    ck_assert_uint_eq(w->cluster_states[0]->in_use[0].counts[BREAKER_CX],
                      0); /* given back at once */
    ck_assert_uint_eq(w->cluster_states[0]->in_use[0].counts[BREAKER_RQ], 0);
    world_run(w);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 1);
    ck_assert(!list_empty(&w->manager->retired));
    for (unsigned i = 0; i < w->n_origins; i++) {
        if (world_origin(w, i)->connection)
            origin_send(world_origin(w, i), OK);
    }
    check_log(c, LOG_OK);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 0);
    ck_assert(list_empty(&w->manager->retired));
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    client_free(c);
}
END_TEST

/* Removed and made again under one name while a request is in flight. */
START_TEST(test_cluster_returns)
{
    world_cluster(w, 0, 1);
    world_adopt(w);
    struct client *c = client_new(w);
    client_get(w, c, 0);
    world_run(w);
    world_snapshot(w);
    world_adopt(w);
    world_snapshot(w);
    world_cluster(w, 0, 1);
    world_adopt(w);
    open_all(0, 1);
    origin_send(world_origin(w, 0), OK);
    check_log(c, "ready " LOG_OK);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 1);
    client_free(c);
}
END_TEST

/* 20,000 idle connections close without deep recursion. */
START_TEST(test_many_idle_connections)
{
    enum { MANY = 20000 };
    struct client **c = mem_alloc(MANY * sizeof(*c));
    struct cluster *cluster = world_cluster(w, 0, 1);
    cluster->breakers[0].max_connections = cluster->breakers[0].max_pending_requests = MANY;
    cluster->breakers[0].max_requests = MANY;
    world_adopt(w);
    for (unsigned i = 0; i < MANY; i++) {
        c[i] = client_new(w);
        client_get(w, c[i], 0);
    }
    for (unsigned i = 0; i < MANY; i++)
        client_free(c[i]); /* waiting: the connections stay */
    world_run(w);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), MANY);
    world_snapshot(w);
    world_adopt(w);
    world_run(w);
    ck_assert_uint_eq(cluster_manager_connections(w->manager), 0);
    ck_assert(list_empty(&w->manager->retired));
    mem_free(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cluster_manager");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_unknown_cluster);
    tcase_add_test(t, test_lazy);
    tcase_add_test(t, test_unchanged_cluster_keeps_connections);
    tcase_add_test(t, test_changed_values_keep_connections);
    tcase_add_test(t, test_changed_shape_drains);
    tcase_add_test(t, test_removed_host);
    tcase_add_test(t, test_removed_host_drains);
    tcase_add_test(t, test_host_returns_while_draining);
    tcase_add_test(t, test_removed_host_with_waiting);
    tcase_add_test(t, test_removed_cluster);
    tcase_add_test(t, test_cluster_returns);
    tcase_add_test(t, test_many_idle_connections);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
