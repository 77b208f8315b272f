/* HTTP/2 pools: many requests a connection, more connections when streams run out, GOAWAY,
 * refusals, PINGs, and every way in which such a connection ends. */
#include <check.h>
#include <stdlib.h>

#include "../http/h2_pair.h"
#include "world.h"

enum { ORIGINS = 4 };

static struct world *w;
static struct h2_pair servers[ORIGINS];
static struct http2_options options;
static struct cluster *cluster;

static void setup(void)
{
    w = world_new();
    world_snapshot(w);
    memset(servers, 0, sizeof(servers));
    http2_options_init(&options);
    cluster = world_cluster(w, 0, 1);
    cluster->protocol = UPSTREAM_HTTP2;
    cluster->http2 = &options;
}

static void teardown(void)
{
    for (unsigned i = 0; i < ORIGINS; i++) {
        if (servers[i].memory)
            h2_pair_fini(&servers[i]);
    }
    world_free(w);
}

static struct h2_side *server(unsigned i)
{
    if (!servers[i].memory) {
        h2_pair_init(&servers[i]);
        servers[i].h2 = options;
        h2_pair_open_server_in(&servers[i], w->worker.chunks);
    }
    return &servers[i].server;
}

/* What the proxy has sent goes into the origin's codec, and its answers come back. */
static void serve(unsigned i)
{
    struct origin *o = world_origin(w, i);
    struct h2_side *s = server(i);
    world_run(w);
    for (bool moved = true; moved;) {
        struct bytes in = strbuf_bytes(&o->in);
        moved = in.len > 0;
        buffer_add_bytes(&s->in, in);
        strbuf_reset(&o->in);
        if (moved)
            s->codec->ops->input(s->codec, &s->in);
        s->codec->ops->flush(s->codec, SIZE_MAX);
        moved |= s->out.len > 0;
        if (o->connection)
            connection_write(o->connection, &s->out);
        else
            buffer_drain(&s->out, s->out.len);
        world_run(w);
    }
}

static void answer(unsigned i, unsigned stream)
{
    struct headers h;
    struct h2_seen *n = &server(i)->seen[stream];
    h2_headers(server(i), &h, ":status: 200\n");
    server(i)->codec->ops->send_headers(n->stream, &h, false);
    h2_body(n, 2, true);
    serve(i);
}

static struct client *get(void)
{
    struct client *c = client_new(w);
    client_get(w, c, 0);
    world_run(w);
    return c;
}

static void check_log(struct client *c, const char *expected)
{
    ck_assert_str_eq(strbuf_str(&c->log), expected);
    strbuf_reset(&c->log);
}

#define LOG_OK "headers:200 data:xx,end "

START_TEST(test_many_on_one_connection)
{
    world_adopt(w);
    struct client *c[10];
    for (int i = 0; i < 10; i++)
        c[i] = get();
    serve(0);
    ck_assert_uint_eq(w->n_origins, 1);
    ck_assert_uint_eq(server(0)->n_seen, 10);
    for (unsigned i = 10; i-- > 0;)
        answer(0, i);
    check_log(c[0], "ready " LOG_OK);
    for (int i = 1; i < 10; i++)
        check_log(c[i], LOG_OK);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_TOTAL), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_HTTP2_TOTAL), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_HTTP1_TOTAL), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_TOTAL), 10);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_ACTIVE), 0);
    for (int i = 0; i < 10; i++)
        client_free(c[i]);
}
END_TEST

/* Requests that wait for the first connection do not each open one. */
START_TEST(test_burst_waits_for_one)
{
    world_adopt(w);
    struct client *c[5];
    for (int i = 0; i < 5; i++) {
        c[i] = client_new(w);
        ck_assert_int_eq(client_get(w, c[i], 0), POOL_PENDING);
    }
    world_run(w);
    ck_assert_uint_eq(w->n_origins, 1);
    for (int i = 0; i < 5; i++)
        check_log(c[i], "ready ");
    serve(0);
    for (unsigned i = 0; i < 5; i++)
        answer(0, i);
    for (int i = 0; i < 5; i++) {
        check_log(c[i], LOG_OK);
        client_free(c[i]);
    }
}
END_TEST

/* The limit that counts is the lower one: ours, or what the origin's SETTINGS say. */
START_TEST(test_streams_run_out)
{
    options.max_concurrent_streams = _i ? 100 : 2;
    world_adopt(w);
    struct client *c[5];
    c[0] = get();
    if (_i) { /* the origin's */
        h2_pair_init(&servers[0]);
        servers[0].h2.max_concurrent_streams = 2;
        h2_pair_open_server_in(&servers[0], w->worker.chunks);
    }
    serve(0);
    for (int i = 1; i < 3; i++)
        c[i] = get();
    ck_assert_uint_eq(w->n_origins, 2);
    serve(0);
    serve(1);
    ck_assert_uint_eq(server(0)->n_seen, 2);
    ck_assert_uint_eq(server(1)->n_seen, 1);
    answer(0, 0); /* there is room again */
    c[3] = get();
    serve(0);
    serve(1);
    ck_assert_uint_eq(w->n_origins, 2);
    ck_assert_uint_eq(server(0)->n_seen + server(1)->n_seen, 4);
    for (int i = 0; i < 4; i++)
        client_free(c[i]);
}
END_TEST

/* A connection keeps to what the one before it was told, before it is told itself. */
START_TEST(test_limit_is_remembered)
{
    struct client *c[7];
    world_adopt(w);
    h2_pair_init(&servers[0]);
    servers[0].h2.max_concurrent_streams = 2;
    h2_pair_open_server_in(&servers[0], w->worker.chunks);
    c[0] = get();
    serve(0);
    for (int i = 1; i < 7; i++)
        c[i] = get();
    ck_assert_uint_eq(w->n_origins, 4);
    for (int i = 0; i < 7; i++)
        client_free(c[i]);
}
END_TEST

START_TEST(test_max_requests_per_connection)
{
    cluster->max_requests_per_connection = 2;
    world_adopt(w);
    struct client *c[3];
    for (int i = 0; i < 3; i++)
        c[i] = get();
    ck_assert_uint_eq(w->n_origins, 2);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_MAX_REQUESTS), 1);
    serve(0);
    answer(0, 0);
    ck_assert_ptr_nonnull(world_origin(w, 0)->connection);
    answer(0, 1);
    ck_assert(world_origin(w, 0)->eof);
    for (int i = 0; i < 3; i++)
        client_free(c[i]);
}
END_TEST

/* What was asked before a GOAWAY is answered; the next request goes elsewhere. */
START_TEST(test_goaway)
{
    world_adopt(w);
    struct client *a = get();
    serve(0);
    server(0)->codec->ops->goaway(server(0)->codec);
    serve(0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_CLOSE_NOTIFY), 1);
    struct client *b = get();
    ck_assert_uint_eq(w->n_origins, 2);
    answer(0, 0);
    check_log(a, "ready " LOG_OK);
    ck_assert(world_origin(w, 0)->eof);
    serve(1);
    answer(1, 0);
    check_log(b, "ready " LOG_OK);
    client_free(a);
    client_free(b);
}
END_TEST

START_TEST(test_refused_and_reset)
{
    static const struct {
        uint32_t code;
        int64_t counted;
    } rows[] = {{7, 0}, {8, 1}, {0, 1}};
    world_adopt(w);
    struct client *a = get(), *b = get();
    serve(0);
    server(0)->codec->ops->stream_reset(server(0)->seen[0].stream, rows[_i].code);
    serve(0);
    ck_assert_ptr_nonnull(strstr(strbuf_str(&a->log), "failed"));
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_RX_RESET), rows[_i].counted);
    answer(0, 1);
    check_log(b, LOG_OK);
    ck_assert_uint_eq(w->n_origins, 1);
    client_free(a);
    client_free(b);
}
END_TEST

/* Giving up costs the stream alone. */
START_TEST(test_cancel)
{
    world_adopt(w);
    struct client *a = get(), *b = get();
    serve(0);
    client_free(a);
    serve(0);
    ck_assert(server(0)->seen[0].reset);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_TX_RESET), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_ACTIVE), 1);
    answer(0, 1);
    check_log(b, LOG_OK);
    client_free(b);
}
END_TEST

START_TEST(test_connection_is_lost)
{
    world_adopt(w);
    struct client *c[3];
    for (int i = 0; i < 3; i++)
        c[i] = get();
    serve(0);
    origin_close(world_origin(w, 0));
    world_run(w);
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(strstr(strbuf_str(&c[i]->log), "failed"));
        client_free(c[i]);
    }
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_ACTIVE), 0);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_DESTROY_REMOTE_WITH_ACTIVE_RQ), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_RQ_PENDING_FAILURE_EJECT), 3);
}
END_TEST

START_TEST(test_protocol_error)
{
    world_adopt(w);
    struct client *c = get();
    origin_send(world_origin(w, 0), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    world_run(w);
    ck_assert_ptr_nonnull(strstr(strbuf_str(&c->log), "failed"));
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_PROTOCOL_ERROR), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    client_free(c);
}
END_TEST

START_TEST(test_keepalive)
{
    options.keepalive_interval_ms = 1000;
    options.keepalive_timeout_ms = 500;
    options.keepalive_jitter = 0;
    world_adopt(w);
    struct client *c = get();
    serve(0);
    for (int i = 0; i < 3; i++) {
        world_advance(w, 1001);
        serve(0);
    }
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 1);
    world_advance(w, 1001);
    world_advance(w, 501);
    world_run(w);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    client_free(c);
}
END_TEST

START_TEST(test_idle_timeout)
{
    cluster->idle_timeout_ms = 1000;
    world_adopt(w);
    struct client *c = get();
    serve(0);
    world_advance(w, 2000); /* in use */
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 1);
    answer(0, 0);
    world_advance(w, 1001);
    world_run(w);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_IDLE_TIMEOUT), 1);
    ck_assert_int_eq(world_stat(w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    client_free(c);
}
END_TEST

/* A cluster that goes, or turns to HTTP/1, lets its requests finish. */
START_TEST(test_removed_while_used)
{
    world_adopt(w);
    struct client *c = get();
    serve(0);
    world_snapshot(w);
    if (_i)
        world_cluster(w, 0, 1);
    world_adopt(w);
    world_run(w);
    answer(0, 0);
    check_log(c, "ready " LOG_OK);
    world_run(w);
    ck_assert(world_origin(w, 0)->eof);
    client_free(c);
}
END_TEST

START_TEST(test_freed_with_streams)
{
    world_adopt(w);
    struct client *a = get(), *b = get();
    serve(0);
    client_free(a);
    client_free(b);
}
END_TEST

/* A body beyond the window waits, and says so; a paused response holds one window. */
START_TEST(test_back_pressure)
{
    world_adopt(w);
    struct client *first = get(), *c = client_new(w);
    ck_assert_int_eq(conn_pool_get(first->request.pool, &c->request), POOL_READY);
    pool_request_send_headers(&c->request, &c->head, false);
    serve(0);
    server(0)->quiet = true;
    server(0)->codec->ops->stream_pause(server(0)->seen[1].stream, true);
    struct buffer b;
    static char text[16384];
    buffer_init(&b, w->worker.chunks);
    for (int i = 0; i < 40; i++) {
        buffer_add(&b, text, sizeof(text));
        pool_request_send_data(&c->request, &b, false);
        serve(0);
    }
    ck_assert_ptr_nonnull(strstr(strbuf_str(&c->log), "above"));
    ck_assert_uint_eq(server(0)->body, 65536);
    server(0)->codec->ops->stream_pause(server(0)->seen[1].stream, false);
    serve(0);
    ck_assert_uint_eq(server(0)->body, 40 * sizeof(text));
    ck_assert_ptr_nonnull(strstr(strbuf_str(&c->log), "below"));
    client_free(first);
    client_free(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("upstream_mux");
    TCase *t = tcase_create("mux");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_many_on_one_connection);
    tcase_add_test(t, test_burst_waits_for_one);
    tcase_add_loop_test(t, test_streams_run_out, 0, 2);
    tcase_add_test(t, test_limit_is_remembered);
    tcase_add_test(t, test_max_requests_per_connection);
    tcase_add_test(t, test_goaway);
    tcase_add_loop_test(t, test_refused_and_reset, 0, 3);
    tcase_add_test(t, test_cancel);
    tcase_add_test(t, test_connection_is_lost);
    tcase_add_test(t, test_protocol_error);
    tcase_add_test(t, test_keepalive);
    tcase_add_test(t, test_idle_timeout);
    tcase_add_loop_test(t, test_removed_while_used, 0, 2);
    tcase_add_test(t, test_freed_with_streams);
    tcase_add_test(t, test_back_pressure);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
