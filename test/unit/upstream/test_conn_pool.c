/* HTTP/1 pools: reuse, waiting, limits, and every way in which a connection ends. */
#include <check.h>
#include <stdlib.h>

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

/* One cluster with one host. */
static struct cluster *one_host(void)
{
    return world_cluster(w, 0, 1);
}

static void check_log(struct client *c, const char *expected)
{
    ck_assert_str_eq(strbuf_str(&c->log), expected);
    strbuf_reset(&c->log);
    headers_init(&c->response, c->arena);
}

/* A request on a connection that must be idle. */
static void exchange(struct client *c, unsigned origin)
{
    ck_assert_int_eq(client_get(w, c, 0), POOL_READY);
    world_run(w);
    origin_send(world_origin(w, origin), OK);
    check_log(c, LOG_OK);
}

/* A first request, which opens a connection. */
static void first_exchange(struct client *c)
{
    ck_assert_int_eq(client_get(w, c, 0), POOL_PENDING);
    world_run(w);
    check_log(c, "ready ");
    origin_send(world_origin(w, w->n_origins - 1), OK);
    check_log(c, LOG_OK);
}

START_TEST(test_connect_and_reuse)
{
    one_host();
    world_adopt(w);
    struct client *c = client_new(w);
    first_exchange(c);
    ck_assert_ptr_nonnull(strstr(strbuf_str(&world_origin(w, 0)->in), "GET / HTTP/1.1\r\n"));
    for (unsigned i = 0; i < 5; i++)
        exchange(c, 0);
    ck_assert_uint_eq(w->n_origins, 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_TOTAL), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_HTTP1_TOTAL), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_TOTAL), 6);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_PENDING_TOTAL), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_PENDING_ACTIVE), 0);
    ck_assert_uint_eq(host_state_seen(w->states[0])->rq_total, 6);
    client_free(c);
}
END_TEST

START_TEST(test_last_used_first)
{
    one_host();
    world_adopt(w);
    struct client *a = client_new(w), *b = client_new(w);
    client_get(w, a, 0);
    client_get(w, b, 0);
    world_run(w);
    ck_assert_uint_eq(w->n_origins, 2);
    origin_send(world_origin(w, 1), OK);
    origin_send(world_origin(w, 0), OK);
    strbuf_reset(&a->log);
    headers_init(&a->response, a->arena);
    exchange(a, 0);
    exchange(a, 0);
    client_free(a);
    client_free(b);
}
END_TEST

START_TEST(test_max_connections)
{
    one_host()->breakers[0].max_connections = 1;
    world_adopt(w);
    struct client *a = client_new(w), *b = client_new(w);
    client_get(w, a, 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_CB_DEFAULT_CX_OPEN), 1);
    ck_assert_int_eq(client_get(w, b, 0), POOL_PENDING);
    world_run(w);
    ck_assert_uint_eq(w->n_origins, 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_OVERFLOW),
                     2); /* b's, and once a is served */
    check_log(b, "");
    origin_send(world_origin(w, 0), OK);
    check_log(b, "ready ");
    origin_send(world_origin(w, 0), OK);
    check_log(b, LOG_OK);
    client_free(a);
    client_free(b);
    origin_close(world_origin(w, 0));
    ck_assert_int_eq(world_stat(w, 0, STAT_CB_DEFAULT_CX_OPEN), 0);
}
END_TEST

/* Response splitting: bytes behind a response never answer the request that waits for the
 * connection, whether they come with it or in a read of their own before that request is out. */
START_TEST(test_bytes_behind_a_response_answer_nobody)
{
    one_host()->breakers[0].max_connections = 1;
    world_adopt(w);
    struct client *a = client_new(w), *b = client_new(w);
    client_get(w, a, 0);
    ck_assert_int_eq(client_get(w, b, 0), POOL_PENDING);
    world_run(w);
    check_log(a, "ready ");
    origin_send(world_origin(w, 0), OK "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nPOISON");
    check_log(a, LOG_OK);
    check_log(b, "ready ");
    ck_assert_uint_eq(w->n_origins, 2);
    ck_assert_ptr_null(world_origin(w, 0)->connection);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), 1);
    origin_send(world_origin(w, 1), OK);
    check_log(b, LOG_OK);
    client_free(a);
    client_free(b);
}
END_TEST

START_TEST(test_bytes_before_the_request_answer_nobody)
{
    one_host()->breakers[0].max_connections = 1;
    world_adopt(w);
    struct client *a = client_new(w), *b = client_new(w);
    struct strbuf text = STRBUF_INIT;
    client_get(w, a, 0);
    ck_assert_int_eq(client_get(w, b, 0), POOL_PENDING);
    world_run(w);
    check_log(a, "ready ");
    /* The first response ends where one read does; the rest comes with the next read. */
    strbuf_printf(&text, "HTTP/1.1 200 OK\r\ncontent-length: %05d\r\n\r\n", CHUNK_SIZE - 42);
    ck_assert_uint_eq(text.len, 42);
    while (text.len < CHUNK_SIZE)
        strbuf_add_char(&text, 'x');
    strbuf_add_str(&text, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nPOISON");
    origin_send(world_origin(w, 0), strbuf_str(&text));
    check_log(b, "ready failed:protocol ");
    ck_assert_ptr_null(world_origin(w, 0)->connection);
    client_free(a);
    client_free(b);
    strbuf_fini(&text);
}
END_TEST

/* Other hosts used up the cluster's connections: a pool without any may open one all the same. */
START_TEST(test_first_connection_beyond_limit)
{
    world_cluster(w, 0, 3)->breakers[0].max_connections = 1;
    world_adopt(w);
    struct client *a = client_new(w), *b = client_new(w);
    client_get(w, a, 0);
    client_get(w, b, 0);
    world_run(w);
    ck_assert_uint_eq(w->n_origins, 2);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_OVERFLOW), 1);
    client_free(a);
    client_free(b);
}
END_TEST

START_TEST(test_max_pending)
{
    one_host()->breakers[0].max_pending_requests = 1;
    world_adopt(w);
    struct client *a = client_new(w), *b = client_new(w);
    ck_assert_int_eq(client_get(w, a, 0), POOL_PENDING);
    ck_assert_int_eq(world_stat(w, 0, STAT_CB_DEFAULT_RQ_PENDING_OPEN), 1);
    ck_assert_int_eq(client_get(w, b, 0), POOL_OVERFLOW);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_PENDING_OVERFLOW), 1);
    client_free(a);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_CANCELLED), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_CB_DEFAULT_RQ_PENDING_OPEN), 0);
    client_free(b);
}
END_TEST

START_TEST(test_remaining_is_tracked)
{
    struct cluster_state *state = w->cluster_states[0];
    struct cluster *c = one_host();
    c->breakers[0].max_requests = 2;
    world_adopt(w);
    ck_assert_ptr_null(state->in_use[0].tracked); /* nobody asked for it */
    c->breakers[0].track_remaining = true;
    cluster_state_track(state, BYTES("x"), c->breakers);
    world_snapshot(w);
    c = one_host();
    c->breakers[0].max_requests = 2;
    c->breakers[0].track_remaining = true;
    world_adopt(w);
    ck_assert_int_eq(stat_read(state->in_use[0].tracked->scope, BREAKER_RQ, &(bool){false}), 2);
    struct client *a = client_new(w);
    client_get(w, a, 0);
    world_run(w);
    ck_assert_int_eq(stat_read(state->in_use[0].tracked->scope, BREAKER_RQ, &(bool){false}), 1);
    ck_assert_int_eq(stat_read(state->in_use[0].tracked->scope, BREAKER_CX, &(bool){false}), 1023);
    client_free(a);
    world_run(w);
    ck_assert_int_eq(stat_read(state->in_use[0].tracked->scope, BREAKER_RQ, &(bool){false}), 2);
}
END_TEST

START_TEST(test_max_requests)
{
    one_host()->breakers[0].max_requests = 1;
    world_adopt(w);
    struct client *a = client_new(w), *b = client_new(w);
    client_get(w, a, 0);
    world_run(w);
    check_log(a, "ready ");
    ck_assert_int_eq(client_get(w, b, 0), POOL_PENDING);
    world_run(w);
    check_log(b, "failed:overflow ");
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_ACTIVE_OVERFLOW), 1);
    ck_assert_int_eq(client_get(w, b, 0),
                     POOL_OVERFLOW_ACTIVE); /* now there is an idle connection */
    client_free(a);
    client_free(b);
}
END_TEST

START_TEST(test_idle_timeout)
{
    one_host()->idle_timeout_ms = 1000;
    world_adopt(w);
    struct client *c = client_new(w);
    first_exchange(c);
    world_advance(w, 900);
    exchange(c, 0); /* begins anew after each request */
    world_advance(w, 999);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 1);
    world_advance(w, 2);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_IDLE_TIMEOUT), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_LOCAL), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_WITH_ACTIVE_RQ), 0);
    client_free(c);
}
END_TEST

/* A request that takes longer than the idle timeout is not idle. */
START_TEST(test_idle_timer_spares_requests)
{
    one_host()->idle_timeout_ms = 1000;
    world_adopt(w);
    struct client *c = client_new(w);
    first_exchange(c);
    client_get(w, c, 0);
    world_advance(w, 5000);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 1);
    origin_send(world_origin(w, 0), OK);
    check_log(c, LOG_OK);
    world_advance(w, 999);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 1);
    world_advance(w, 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    client_free(c);
}
END_TEST

START_TEST(test_idle_closed_by_origin)
{
    one_host();
    world_adopt(w);
    struct client *c = client_new(w);
    first_exchange(c);
    origin_close(world_origin(w, 0));
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_REMOTE), 1);
    first_exchange(c);
    ck_assert_uint_eq(w->n_origins, 2);
    client_free(c);
}
END_TEST

START_TEST(test_unsolicited_bytes)
{
    one_host();
    world_adopt(w);
    struct client *c = client_new(w);
    first_exchange(c);
    origin_send(world_origin(w, 0), OK);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), 1);
    check_log(c, "");
    first_exchange(c);
    origin_send(world_origin(w, 1), "HTTP/1.1 408 Request Timeout\r\n\r\n");
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), 1); /* a polite goodbye */
    client_free(c);
}
END_TEST

/* A client whose request has reached the one host that there is. */
static struct client *asks_one_host(void)
{
    one_host();
    world_adopt(w);
    struct client *c = client_new(w);
    client_get(w, c, 0);
    world_run(w);
    return c;
}

/* A second response behind the first must never answer the next request. */
START_TEST(test_response_smuggled_behind_another)
{
    struct client *c = asks_one_host();
    check_log(c, "ready ");
    origin_send(world_origin(w, 0), OK OK);
    check_log(c, LOG_OK);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), 1);
    client_free(c);
}
END_TEST

START_TEST(test_connection_close)
{
    struct client *c = asks_one_host();
    check_log(c, "ready ");
    origin_send(world_origin(w, 0),
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    check_log(c, LOG_OK);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_CLOSE_NOTIFY), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_LOCAL), 1);
    first_exchange(c);
    client_free(c);
}
END_TEST

START_TEST(test_body_until_close)
{
    struct client *c = asks_one_host();
    check_log(c, "ready ");
    origin_send(world_origin(w, 0), "HTTP/1.1 200 OK\r\n\r\nab");
    check_log(c, "headers:200 data:ab ");
    origin_close(world_origin(w, 0));
    check_log(c, "data:,end ");
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_ACTIVE), 0);
    client_free(c);
}
END_TEST

START_TEST(test_max_requests_per_connection)
{
    one_host()->max_requests_per_connection = 2;
    world_adopt(w);
    struct client *c = client_new(w);
    first_exchange(c);
    exchange(c, 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_MAX_REQUESTS), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    first_exchange(c);
    ck_assert_uint_eq(w->n_origins, 2);
    client_free(c);
}
END_TEST

START_TEST(test_max_duration)
{
    one_host()->max_connection_duration_ms = 1000;
    world_adopt(w);
    struct client *c = client_new(w);
    first_exchange(c);
    client_get(w, c, 0);
    world_advance(w, 1001);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_MAX_DURATION_REACHED), 1);
    origin_send(world_origin(w, 0), OK); /* the request may end */
    check_log(c, LOG_OK);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    client_free(c);
}
END_TEST

/* The race: the request was written to a connection that the origin was closing. */
START_TEST(test_terminated_before_response)
{
    one_host();
    world_adopt(w);
    struct client *c = client_new(w);
    first_exchange(c);
    client_get(w, c, 0);
    origin_close(world_origin(w, 0));
    check_log(c, "failed:terminated ");
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_REMOTE_WITH_ACTIVE_RQ), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_ACTIVE), 0);
    client_free(c);
}
END_TEST

/* Envoy calls a message cut short a protocol error, wherever it was cut. */
START_TEST(test_cut_short)
{
    static const char *const parts[] = {
        "HTTP/1.1 200 OK\r\nfoo: b",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 2",
    };
    static const char *const logs[] = {
        "ready failed:protocol ",
        "ready headers:200 data:abc failed:protocol ",
        "ready headers:200 data:abc failed:protocol ",
        "ready info:103 headers:200 data:abc failed:protocol ",
        "ready info:103 failed:protocol ",
    };
    one_host();
    world_adopt(w);
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        struct client *c = client_new(w);
        client_get(w, c, 0);
        world_run(w);
        origin_send(world_origin(w, i), parts[i]);
        origin_close(world_origin(w, i));
        check_log(c, logs[i]);
        ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), i + 1);
        client_free(c);
    }
}
END_TEST

/* An interim answer is none: nothing of the final one has come. */
START_TEST(test_terminated_after_informational)
{
    struct client *c = asks_one_host();
    origin_send(world_origin(w, 0), "HTTP/1.1 103 Early\r\n\r\n");
    origin_close(world_origin(w, 0));
    check_log(c, "ready info:103 failed:terminated ");
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), 0);
    client_free(c);
}
END_TEST

START_TEST(test_garbage)
{
    struct client *c = asks_one_host();
    origin_send(world_origin(w, 0), "garbage\r\n\r\n");
    check_log(c, "ready failed:protocol ");
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_LOCAL_WITH_ACTIVE_RQ), 1);
    client_free(c);
}
END_TEST

START_TEST(test_informational)
{
    struct client *c = asks_one_host();
    origin_send(world_origin(w, 0), "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" OK);
    check_log(c, "ready info:103 " LOG_OK);
    client_free(c);
}
END_TEST

/* The origin answers before it has the whole request: the answer counts, the connection does
 * not. */
START_TEST(test_early_response)
{
    one_host();
    world_adopt(w);
    struct client *c = client_new(w);
    first_exchange(c);
    struct cluster_runtime *runtime = cluster_runtime_get(&w->worker, BYTES("c0"));
    struct conn_pool *pool = cluster_runtime_pool(runtime, cluster_runtime_pick(runtime, NULL),
                                                  PRIORITY_DEFAULT, PROTOCOL_HTTP11);
    ck_assert_int_eq(conn_pool_get(pool, &c->request), POOL_READY);
    headers_add_id(&c->head, HEADER_CONTENT_LENGTH, BYTES("10"));
    pool_request_send_headers(&c->request, &c->head, false);
    world_run(w);
    origin_send(world_origin(w, 0), OK);
    check_log(c, LOG_OK);
    ck_assert_ptr_null(c->request.conn);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    client_free(c);
}
END_TEST

START_TEST(test_cancel)
{
    one_host();
    world_adopt(w);
    struct client *c = client_new(w);
    client_get(w, c, 0);
    pool_request_cancel(&c->request); /* waiting: the connection is kept for others */
    world_run(w);
    check_log(c, "");
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 1);
    exchange(c, 0);
    client_get(w, c, 0);
    world_run(w);
    pool_request_cancel(&c->request); /* in flight: the connection cannot be used again */
    pool_request_cancel(&c->request);
    world_run(w);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_LOCAL_WITH_ACTIVE_RQ), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_ACTIVE), 0);
    check_log(c, "");
    client_free(c);
}
END_TEST

START_TEST(test_shutdown_with_everything)
{
    world_cluster(w, 0, 1);
    world_adopt(w);
    struct client *waiting = client_new(w), *active = client_new(w), *idle = client_new(w);
    first_exchange(idle);
    client_get(w, active, 0);
    client_get(w, waiting, 0);
    world_run(w);
    cluster_manager_free(&w->manager);
    world_run(w);
    client_free(waiting);
    client_free(active);
    client_free(idle);
}
END_TEST

static TCase *cases(void)
{
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_connect_and_reuse);
    tcase_add_test(t, test_last_used_first);
    tcase_add_test(t, test_max_connections);
    tcase_add_test(t, test_bytes_behind_a_response_answer_nobody);
    tcase_add_test(t, test_bytes_before_the_request_answer_nobody);
    tcase_add_test(t, test_first_connection_beyond_limit);
    tcase_add_test(t, test_max_pending);
    tcase_add_test(t, test_remaining_is_tracked);
    tcase_add_test(t, test_max_requests);
    tcase_add_test(t, test_idle_timeout);
    tcase_add_test(t, test_idle_timer_spares_requests);
    tcase_add_test(t, test_idle_closed_by_origin);
    tcase_add_test(t, test_unsolicited_bytes);
    tcase_add_test(t, test_response_smuggled_behind_another);
    tcase_add_test(t, test_connection_close);
    tcase_add_test(t, test_body_until_close);
    tcase_add_test(t, test_max_requests_per_connection);
    tcase_add_test(t, test_max_duration);
    tcase_add_test(t, test_terminated_before_response);
    tcase_add_test(t, test_cut_short);
    tcase_add_test(t, test_terminated_after_informational);
    tcase_add_test(t, test_garbage);
    tcase_add_test(t, test_informational);
    tcase_add_test(t, test_early_response);
    tcase_add_test(t, test_cancel);
    tcase_add_test(t, test_shutdown_with_everything);
    return t;
}

int main(void)
{
    Suite *s = suite_create("conn_pool");
    suite_add_tcase(s, cases());
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
