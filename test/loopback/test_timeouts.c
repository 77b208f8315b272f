/* Every timer, by the fake clock: status, body and what is counted are Envoy's. */
#include "filters.h"
#include "loopback.h"
#include "suite.h"

static struct loopback lb;
static struct client c;

static void set_up(void)
{
    static const struct http_filter_ops *const filters[] = {&origin_filter};
    loopback_init(&lb, filters, 1);
}

static void tear_down(void)
{
    client_fini(&c);
    loopback_fini(&lb);
    origin_reset();
}

static void expect(const char *status_line, const char *body)
{
    const char *got = client_take(&c);
    ck_assert_msg(strncmp(got, status_line, strlen(status_line)) == 0, "%s", got);
    ck_assert_msg(bytes_ends_with(bytes_of(got), bytes_of(body)), "%s", got);
}

START_TEST(test_request_headers_timeout)
{
    lb.manager->request_headers_timeout_ms = 300;
    client_connect(&c, &lb);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n");
    loopback_advance(&lb, 299);
    ck_assert_str_eq(client_take(&c), "");
    loopback_advance(&lb, 1);
    expect("HTTP/1.1 408 Request Timeout\r\n", "request header timeout");
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_HEADER_TIMEOUT), 1);
    ck_assert(c.ended);
}
END_TEST

/* Bytes that only stand before a request, then silence or more of them. */
static const struct {
    const char *first, *drip;
} empty_lines[] = {{"\r\n", NULL}, {"\r", NULL}, {"\r\n", "\r\n"}, {"\r", "\n\r"}};

START_TEST(test_empty_lines_gain_no_time)
{
    lb.manager->request_headers_timeout_ms = 300;
    lb.manager->idle_timeout_ms = 100;
    client_connect(&c, &lb);
    client_send(&c, empty_lines[_i].first);
    for (int at = 50; at < 300; at += 50) {
        loopback_advance(&lb, 50);
        if (empty_lines[_i].drip)
            client_send(&c, empty_lines[_i].drip);
        ck_assert_str_eq(client_take(&c), "");
    }
    loopback_advance(&lb, 50);
    expect("HTTP/1.1 408 Request Timeout\r\n", "request header timeout");
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_HEADER_TIMEOUT), 1);
    ck_assert(c.ended);
}
END_TEST

/* As some old clients end a body. What follows is not answered before it has had its time. */
START_TEST(test_empty_line_behind_a_body)
{
    lb.manager->request_headers_timeout_ms = 300;
    client_connect(&c, &lb);
    client_send(&c, "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab\r\n");
    expect("HTTP/1.1 200 OK\r\n", "");
    loopback_advance(&lb, 299);
    ck_assert_str_eq(client_take(&c), "");
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    expect("HTTP/1.1 200 OK\r\n", "");
    loopback_advance(&lb, 1000);
    ck_assert_str_eq(client_take(&c), "");
    ck_assert(!c.ended);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_TOTAL), 2);
}
END_TEST

START_TEST(test_request_timeout)
{
    lb.manager->request_timeout_ms = 300;
    client_connect(&c, &lb);
    client_send(&c, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab");
    loopback_advance(&lb, 300);
    expect("HTTP/1.1 408 Request Timeout\r\n", "request timeout");
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_TIMEOUT), 1);
}
END_TEST

START_TEST(test_request_timeout_stops_at_the_end_of_the_request)
{
    lb.manager->request_timeout_ms = 300;
    client_connect(&c, &lb);
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    loopback_advance(&lb, 1000);
    ck_assert_str_eq(client_take(&c), "");
}
END_TEST

START_TEST(test_stream_idle_timeout)
{
    lb.manager->stream_idle_timeout_ms = 300;
    client_connect(&c, &lb);
    client_send(&c, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        loopback_advance(&lb, 200);
        client_send(&c, "x"); /* a byte starts it anew */
        ck_assert_str_eq(client_take(&c), "");
    }
    ck_assert_str_eq(client_take(&c), "");
    loopback_advance(&lb, 300);
    expect("HTTP/1.1 408 Request Timeout\r\n", "stream timeout");
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_IDLE_TIMEOUT), 1);
}
END_TEST

START_TEST(test_stream_idle_timeout_after_the_request_is_504)
{
    lb.manager->stream_idle_timeout_ms = 300;
    client_connect(&c, &lb);
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    loopback_advance(&lb, 300);
    expect("HTTP/1.1 504 Gateway Timeout\r\n", "stream timeout");
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    expect("HTTP/1.1 200 OK\r\n", "hello");
}
END_TEST

START_TEST(test_stream_idle_timeout_in_a_response_resets)
{
    lb.manager->stream_idle_timeout_ms = 300;
    client_connect(&c, &lb);
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    origin_answer("200", NULL, false);
    origin_send("abc", false);
    loopback_advance(&lb, 300);
    expect("HTTP/1.1 200 OK\r\n", "abc\r\n");
    ck_assert(c.ended);
    ck_assert_uint_eq(origin.destroyed, 1);
}
END_TEST

START_TEST(test_route_idle_timeout)
{
    client_connect(&c, &lb);
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    stream_set_idle_timeout(origin.filter->stream, 50);
    loopback_advance(&lb, 50);
    expect("HTTP/1.1 504 Gateway Timeout\r\n", "stream timeout");
}
END_TEST

START_TEST(test_max_stream_duration)
{
    lb.manager->max_stream_duration_ms = 300;
    client_connect(&c, &lb);
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    loopback_advance(&lb, 300);
    expect("HTTP/1.1 504 Gateway Timeout\r\n", "downstream duration timeout");
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_MAX_DURATION_REACHED), 1);
}
END_TEST

START_TEST(test_connection_idle_timeout)
{
    lb.manager->idle_timeout_ms = 2000;
    client_connect(&c, &lb);
    loopback_advance(&lb, 1500);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    loopback_advance(&lb, 1999);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_IDLE_TIMEOUT), 0);
    loopback_advance(&lb, 1);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_IDLE_TIMEOUT), 1);
    ck_assert(!c.ended);
    loopback_advance(&lb, 5000); /* the drain timeout */
    ck_assert(c.ended);
}
END_TEST

START_TEST(test_max_connection_duration)
{
    lb.manager->max_connection_duration_ms = 1000;
    client_connect(&c, &lb);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_null(strstr(client_take(&c), "connection: close"));
    loopback_advance(&lb, 1000);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(client_take(&c), "connection: close"));
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_MAX_DURATION_REACHED), 1);
}
END_TEST

/* Nothing is lost to who has said nothing: no drain timeout is waited for. */
START_TEST(test_timeouts_of_a_silent_client)
{
    lb.manager->idle_timeout_ms = 2000;
    client_connect(&c, &lb);
    loopback_advance(&lb, 2000);
    ck_assert(c.ended);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_IDLE_TIMEOUT), 1);
    client_fini(&c);
    lb.manager->max_connection_duration_ms = 1000;
    client_connect(&c, &lb);
    loopback_advance(&lb, 1000);
    ck_assert(c.ended);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_MAX_DURATION_REACHED), 1);
}
END_TEST

START_TEST(test_max_requests_per_connection)
{
    lb.manager->max_requests_per_connection = 2;
    client_connect(&c, &lb);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_null(strstr(client_take(&c), "connection: close"));
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(client_take(&c), "connection: close"));
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_MAX_REQUESTS_REACHED), 1);
}
END_TEST

START_TEST(test_delayed_close)
{
    client_connect(&c, &lb);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 1);
    loopback_advance(&lb, 999);
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 1);
    loopback_advance(&lb, 1);
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 0);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_DELAYED_CLOSE_TIMEOUT), 1);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("timeouts");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, test_request_headers_timeout);
    tcase_add_loop_test(t, test_empty_lines_gain_no_time, 0, ARRAY_SIZE(empty_lines));
    tcase_add_test(t, test_empty_line_behind_a_body);
    tcase_add_test(t, test_request_timeout);
    tcase_add_test(t, test_request_timeout_stops_at_the_end_of_the_request);
    tcase_add_test(t, test_stream_idle_timeout);
    tcase_add_test(t, test_stream_idle_timeout_after_the_request_is_504);
    tcase_add_test(t, test_stream_idle_timeout_in_a_response_resets);
    tcase_add_test(t, test_route_idle_timeout);
    tcase_add_test(t, test_max_stream_duration);
    tcase_add_test(t, test_connection_idle_timeout);
    tcase_add_test(t, test_max_connection_duration);
    tcase_add_test(t, test_timeouts_of_a_silent_client);
    tcase_add_test(t, test_max_requests_per_connection);
    tcase_add_test(t, test_delayed_close);
    return run_suite(t);
}
