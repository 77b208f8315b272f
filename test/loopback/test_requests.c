/* Whole requests against a terminal filter: framing, keep-alive, pipelining, early responses, slow
 * readers, half-close. */
#include <check.h>
#include <stdlib.h>

#include "loopback.h"
#include "filters.h"

static struct loopback lb;
static struct client c;

static void set_up(void)
{
    static const struct http_filter_ops *const filters[] = {&origin_filter};
    loopback_init(&lb, filters, 1);
    client_connect(&c, &lb);
}

static void tear_down(void)
{
    client_fini(&c);
    loopback_fini(&lb);
    origin_reset();
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nserver: envoy\r\n\r\nhello"

START_TEST(test_get)
{
    client_send(&c, GET("/ok"));
    ck_assert_str_eq(client_take(&c), OK);
    ck_assert(!c.closed && !c.ended);
    client_send(&c, GET("/ok"));
    ck_assert_str_eq(client_take(&c), OK);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_TOTAL), 2);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_2XX), 2);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_ACTIVE), 0);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_ACTIVE), 1);
    ck_assert_uint_eq(origin.destroyed, 2);
}
END_TEST

START_TEST(test_head_has_no_body)
{
    client_send(&c, "HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_str_eq(client_take(&c),
                     "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nserver: envoy\r\n\r\n");
}
END_TEST

START_TEST(test_echo_body_byte_by_byte)
{
    const char *text = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "5\r\nhello\r\n1\r\n!\r\n0\r\nx: y\r\n\r\n";
    for (; *text; text++) {
        char one[2] = {*text, 0};
        client_send(&c, one);
    }
    ck_assert_str_eq(client_take(&c),
                     "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nserver: envoy\r\n\r\nhello!");
    ck_assert(origin.trailers);
}
END_TEST

START_TEST(test_chunked_and_trailers)
{
    client_send(&c, GET("/chunked"));
    ck_assert_str_eq(client_take(&c), "HTTP/1.1 200 OK\r\nserver: envoy\r\n"
                                      "transfer-encoding: chunked\r\n\r\n"
                                      "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    client_send(&c, GET("/trailers"));
    ck_assert_str_eq(client_take(&c), "HTTP/1.1 200 OK\r\nserver: envoy\r\n"
                                      "transfer-encoding: chunked\r\n\r\n"
                                      "5\r\nhello\r\n0\r\nx-end: 1\r\n\r\n");
}
END_TEST

START_TEST(test_pipelined)
{
    client_send(&c, GET("/ok") GET("/later") GET("/ok"));
    ck_assert_str_eq(client_take(&c), OK);
    ck_assert_uint_eq(origin.begun, 2);
    origin_answer("201", NULL, true);
    loopback_run(&lb);
    ck_assert_str_eq(client_take(&c),
                     "HTTP/1.1 201 Created\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n" OK);
    ck_assert_uint_eq(origin.begun, 3);
}
END_TEST

START_TEST(test_good_request_before_bad_one_is_answered)
{
    client_send(&c, GET("/ok") "BAD\r\n\r\n");
    const char *got = client_take(&c);
    ck_assert(strncmp(got, OK, strlen(OK)) == 0);
    ck_assert_str_eq(
        got + strlen(OK),
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 11\r\ncontent-type: text/plain\r\n"
        "server: envoy\r\nconnection: close\r\n\r\nBad Request");
    ck_assert(c.ended);
    loopback_advance(&lb, 1000);
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 0);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_PROTOCOL_ERROR), 1);
}
END_TEST

START_TEST(test_early_response_closes)
{
    client_send(&c, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    ck_assert_str_eq(client_take(&c), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nserver: envoy\r\n"
                                      "connection: close\r\n\r\nearly");
    ck_assert(c.ended);
    client_send(&c, "defg" GET("/ok"));
    ck_assert_str_eq(client_take(&c), "");
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_RESPONSE_BEFORE_RQ_COMPLETE), 1);
    ck_assert_uint_eq(origin.begun, 1);
}
END_TEST

START_TEST(test_connection_close)
{
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/ok"));
    ck_assert_str_eq(client_take(&c), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nserver: envoy\r\n"
                                      "connection: close\r\n\r\nhello");
    ck_assert(c.ended);
    ck_assert_uint_eq(origin.begun, 1);
}
END_TEST

START_TEST(test_expect_continue)
{
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                    "Content-Length: 2\r\n\r\n");
    ck_assert_str_eq(client_take(&c), "HTTP/1.1 100 Continue\r\n\r\n");
    ck_assert(!headers_has(&origin.filter->stream->request_headers, HEADER_EXPECT));
    client_send(&c, "ok");
    ck_assert_str_eq(client_take(&c),
                     "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: envoy\r\n\r\nok");
}
END_TEST

START_TEST(test_client_goes_away)
{
    client_send(&c, GET("/later"));
    ck_assert_uint_eq(origin.resets, 0);
    client_close(&c);
    ck_assert_uint_eq(origin.resets, 1);
    ck_assert_uint_eq(origin.destroyed, 1);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_RX_RESET), 1);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_DESTROY_REMOTE_ACTIVE_RQ), 1);
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 0);
}
END_TEST

START_TEST(test_half_close_ends_the_request)
{
    client_send(&c, GET("/later"));
    connection_shutdown_write(c.connection);
    loopback_run(&lb);
    ck_assert_uint_eq(origin.resets, 1);
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 0);
}
END_TEST

/* The reader stops: the origin is told to wait, and to go on once half has gone. */
START_TEST(test_slow_reader)
{
    static char block[16385];
    memset(block, 'x', sizeof(block) - 1);
    connection_read_pause(c.connection);
    client_send(&c, GET("/later"));
    origin_answer("200", "", false);
    for (int i = 0; i < 8; i++)
        origin_send(block, false);
    loopback_run(&lb);
    ck_assert_uint_eq(origin.above, 1);
    ck_assert_uint_eq(origin.below, 0);
    connection_read_resume(c.connection);
    loopback_run(&lb);
    ck_assert_uint_eq(origin.below, 1);
    origin_send("", true);
    loopback_run(&lb);
    ck_assert_uint_gt(c.received.len, 8 * 16384);
    client_send(&c, GET("/ok"));
    ck_assert(bytes_ends_with(strbuf_bytes(&c.received), BYTES("hello")));
}
END_TEST

START_TEST(test_request_backpressure)
{
    static char block[60001];
    memset(block, 'x', sizeof(block) - 1);
    client_send(&c, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n");
    filter_request_watermark(origin.filter, true);
    for (int i = 0; i < 10; i++)
        client_send(&c, block);
    ck_assert_uint_lt(origin.body.len, 100000);
    filter_request_watermark(origin.filter, false);
    loopback_run(&lb);
    ck_assert_uint_eq(origin.body.len, 600000);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_FLOW_PAUSED), 1);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_FLOW_RESUMED), 1);
}
END_TEST

/* A client that only sends: what it pipelines is bounded, whatever the origin does. */
START_TEST(test_pipelined_bytes_are_bounded)
{
    client_send(&c, GET("/later"));
    static char block[65537];
    memset(block, 'x', sizeof(block) - 1);
    for (int i = 0; i < 20; i++)
        client_send(&c, block);
    ck_assert_uint_lt(connection_bytes_read(c.server->connection), 300000);
    ck_assert(connection_read_paused(c.server->connection));
}
END_TEST

/* Who pipelines thousands of requests and reads nothing gets no more than the connection may hold,
 * and the rest once he reads; limit 0: the listener has none. */
START_TEST(test_pipelined_responses_are_bounded)
{
    enum { REQUESTS = 4000, BODY = 4096 };
    struct listener *l = (struct listener *)lb.entry->listener;
    static struct client k;
    struct strbuf text = STRBUF_INIT;
    for (unsigned i = 0; i < REQUESTS; i++)
        strbuf_add_str(&text, GET("/large"));
    for (unsigned slow = 0; slow < 2; slow++) {
        l->buffer_limit = slow ? 65536 : 0;
        client_connect(&k, &lb);
        if (slow)
            connection_read_pause(k.connection);
        client_send(&k, strbuf_str(&text));
        size_t held = connection_output_len(k.server->connection);
        ck_assert_msg(!slow || held < 262144, "%zu bytes are held", held);
        if (slow)
            connection_read_resume(k.connection);
        loopback_advance(&lb, 100);
        ck_assert_uint_gt(k.received.len, (size_t)REQUESTS * BODY);
        client_fini(&k);
    }
    strbuf_fini(&text);
}
END_TEST

#define POST_LATER "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n"

/* Twenty clients have sent two requests each, and their first ones are answered at once: the second
 * ones begin four in a turn, behind what somebody else asks meanwhile. Two of them end while they
 * wait, and what they had sent begins at once. (In the first turn eight: the answers are given
 * between two turns.) */
START_TEST(test_pipelined_requests_let_others_go_first)
{
    enum { N = 20, GONE = 2, EACH = 4, LARGE = 12, BODY = 70000 };
    static struct client all[N];
    static char body[BODY + 1];
    struct http_filter *filters[N];
    memset(body, 'x', BODY);
    for (unsigned i = 0; i < N; i++) {
        client_connect(&all[i], &lb);
        client_send(&all[i], GET("/later"));
        filters[i] = origin.filter;
        client_send(&all[i], i == LARGE ? POST_LATER : GET("/later"));
    }
    client_send(&all[LARGE], body); /* more than is read ahead */
    ck_assert(connection_read_paused(all[LARGE].server->connection));
    ck_assert_uint_eq(origin.begun, N);
    for (unsigned i = 0; i < N; i++) {
        origin.filter = filters[i];
        origin_answer("201", NULL, true);
    }
    for (unsigned i = N - GONE; i < N; i++)
        connection_close(all[i].connection, CLOSE_LOCAL_RESET, CLOSE_NOW, 0);
    connection_write_bytes(c.connection, BYTES(GET("/later")));
    loop_fake_step(lb.loop);
    ck_assert_uint_le(origin.begun, N + 2 * EACH + GONE + 1);
    ck_assert_ptr_nonnull(c.server->stream); /* of this one nothing was answered before */
    for (unsigned before = origin.begun; loop_fake_step(lb.loop); before = origin.begun)
        ck_assert_uint_le(origin.begun, before + EACH + GONE + 1);
    ck_assert_uint_eq(origin.begun, 2 * N + 1);
    ck_assert(stream_request_complete(all[LARGE].server->stream));
    for (unsigned i = 0; i < N; i++)
        client_fini(&all[i]);
}
END_TEST

/* Where others begin ten requests in a turn, ten of those that were sent ahead begin in the next. A
 * byte more does not let anybody go before his turn. */
START_TEST(test_pipelined_requests_have_their_share)
{
    enum { N = 40, OTHERS = 10, LEAST = 4 };
    static struct client all[N], others[OTHERS];
    struct http_filter *filters[N];
    for (unsigned i = 0; i < N; i++) {
        client_connect(&all[i], &lb);
        client_send(&all[i], GET("/later") GET("/later"));
        filters[i] = origin.filter;
    }
    for (unsigned i = 0; i < OTHERS; i++)
        client_connect(&others[i], &lb);
    loopback_run(&lb);
    for (unsigned i = 0; i < N; i++) {
        origin.filter = filters[i];
        origin_answer("201", NULL, true);
    }
    loop_fake_step(lb.loop);
    ck_assert_uint_eq(origin.begun, N + 2 * LEAST);
    for (unsigned i = 0; i < OTHERS; i++)
        connection_write_bytes(others[i].connection, BYTES(GET("/later")));
    for (unsigned i = 0; i < N; i++)
        connection_write_bytes(all[i].connection, BYTES("G"));
    loop_fake_step(lb.loop);
    ck_assert_uint_eq(origin.begun, N + 2 * LEAST + OTHERS + LEAST);
    loop_fake_step(lb.loop);
    ck_assert_uint_eq(origin.begun, N + 2 * LEAST + OTHERS + LEAST + OTHERS);
    loopback_run(&lb);
    ck_assert_uint_eq(origin.begun, 2 * N + OTHERS);
    for (unsigned i = 0; i < N; i++)
        client_fini(&all[i]);
    for (unsigned i = 0; i < OTHERS; i++)
        client_fini(&others[i]);
}
END_TEST

/* What a client may send before it is answered is larger than what may be buffered. */
START_TEST(test_small_buffers_take_large_pieces)
{
    static const char *const rows[][2] = {
        {"GET /ok HTTP/1.1\r\nHost: a\r\nx: ", "\r\n\r\n"},
        {"POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
         "\r\nx\r\n0\r\n\r\n"},
    };
    struct listener *l = (struct listener *)lb.entry->listener;
    char piece[702];
    memset(piece, 'v', sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = '\0';
    for (size_t i = 0; i < 2; i++) {
        struct client k;
        l->buffer_limit = 1024;
        client_connect(&k, &lb);
        client_send(&k, rows[i][0]);
        for (unsigned n = 0; n < 4; n++)
            client_send(&k, piece);
        client_send(&k, rows[i][1]);
        ck_assert_msg(strstr(client_take(&k), "HTTP/1.1 200 OK\r\n"), "%zu", i);
        client_fini(&k);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("requests");
    TCase *t = tcase_create("requests");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_get);
    tcase_add_test(t, test_head_has_no_body);
    tcase_add_test(t, test_echo_body_byte_by_byte);
    tcase_add_test(t, test_chunked_and_trailers);
    tcase_add_test(t, test_pipelined);
    tcase_add_test(t, test_good_request_before_bad_one_is_answered);
    tcase_add_test(t, test_early_response_closes);
    tcase_add_test(t, test_connection_close);
    tcase_add_test(t, test_expect_continue);
    tcase_add_test(t, test_client_goes_away);
    tcase_add_test(t, test_half_close_ends_the_request);
    tcase_add_test(t, test_slow_reader);
    tcase_add_test(t, test_request_backpressure);
    tcase_add_test(t, test_pipelined_bytes_are_bounded);
    tcase_add_test(t, test_pipelined_responses_are_bounded);
    tcase_add_test(t, test_pipelined_requests_let_others_go_first);
    tcase_add_test(t, test_pipelined_requests_have_their_share);
    tcase_add_test(t, test_small_buffers_take_large_pieces);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
