/* What each status of a filter does, in each hook, with the probe in front of the origin. */
#include "filters.h"
#include "loopback.h"
#include "suite.h"

static struct loopback lb;
static struct client c;

static void set_up(void)
{
    static const struct http_filter_ops *const filters[] = {&probe_filter, &origin_filter};
    probe_reset();
    loopback_init(&lb, filters, 2);
    client_connect(&c, &lb);
}

static void tear_down(void)
{
    client_fini(&c);
    loopback_fini(&lb);
    origin_reset();
}

#define POST "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKS "5\r\nhello\r\n6\r\n world\r\n"
#define END "0\r\n\r\n"
#define ANSWER                                                                                     \
    "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nx-probe: 1\r\nserver: envoy\r\n\r\nhello world"

START_TEST(test_continue)
{
    client_send(&c, POST CHUNKS END);
    ck_assert_str_eq(client_take(&c), ANSWER);
    ck_assert_uint_eq(probe.calls[PROBE_REQUEST_HEADERS], 1);
    ck_assert_uint_eq(probe.calls[PROBE_RESPONSE_HEADERS], 1);
    ck_assert_uint_eq(probe.calls[PROBE_RESPONSE_DATA], 1);
    ck_assert_uint_eq(probe.destroyed, 1);
}
END_TEST

START_TEST(test_pause_at_request_headers)
{
    probe.status[PROBE_REQUEST_HEADERS] = FILTER_PAUSE;
    client_send(&c, POST CHUNKS);
    client_send(&c, END);
    ck_assert_uint_eq(origin.begun, 0);
    ck_assert_uint_eq(probe.calls[PROBE_REQUEST_DATA], 0);
    ck_assert(connection_read_paused(c.server->connection));
    filter_resume(probe.filter, FILTER_REQUEST);
    loopback_run(&lb);
    ck_assert_str_eq(client_take(&c), ANSWER);
    ck_assert_uint_gt(probe.calls[PROBE_REQUEST_DATA], 0);
}
END_TEST

START_TEST(test_pause_at_request_headers_without_body)
{
    probe.status[PROBE_REQUEST_HEADERS] = FILTER_PAUSE;
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_uint_eq(origin.begun, 0);
    filter_resume(probe.filter, FILTER_REQUEST);
    loopback_run(&lb);
    ck_assert(bytes_ends_with(strbuf_bytes(&c.received), BYTES("hello")));
}
END_TEST

START_TEST(test_buffer_until_the_end)
{
    probe.status[PROBE_REQUEST_HEADERS] = FILTER_BUFFER;
    probe.status[PROBE_REQUEST_DATA] = FILTER_BUFFER;
    client_send(&c, POST CHUNKS);
    ck_assert_uint_eq(origin.begun, 0);
    ck_assert_uint_eq(filter_buffered(probe.filter, FILTER_REQUEST)->len, 11);
    probe.status[PROBE_REQUEST_DATA] = FILTER_CONTINUE;
    client_send(&c, END);
    ck_assert_str_eq(client_take(&c), ANSWER);
}
END_TEST

START_TEST(test_buffer_then_resume)
{
    probe.status[PROBE_REQUEST_DATA] = FILTER_BUFFER;
    client_send(&c, POST CHUNKS END);
    ck_assert_uint_eq(origin.begun, 1);
    ck_assert_uint_eq(origin.ended, 0);
    filter_resume(probe.filter, FILTER_REQUEST);
    loopback_run(&lb);
    ck_assert_str_eq(client_take(&c), ANSWER);
}
END_TEST

START_TEST(test_buffer_over_the_limit_is_413)
{
    static char block[70001];
    memset(block, 'x', sizeof(block) - 1);
    probe.status[PROBE_REQUEST_DATA] = FILTER_BUFFER;
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
    client_send(&c, block);
    ck_assert_ptr_nonnull(strstr(client_take(&c), "HTTP/1.1 413 Payload Too Large\r\n"));
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_TOO_LARGE), 1);
}
END_TEST

START_TEST(test_response_over_the_limit_is_500)
{
    static char block[70001];
    memset(block, 'x', sizeof(block) - 1);
    probe.status[PROBE_RESPONSE_HEADERS] = FILTER_BUFFER;
    probe.status[PROBE_RESPONSE_DATA] = FILTER_BUFFER;
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    origin_answer("200", NULL, false);
    probe.status[PROBE_RESPONSE_HEADERS] = FILTER_CONTINUE;
    origin_send(block, false);
    loopback_run(&lb);
    ck_assert_ptr_nonnull(strstr(client_take(&c), "HTTP/1.1 500 Internal Server Error\r\n"));
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_RS_TOO_LARGE), 1);
}
END_TEST

START_TEST(test_taken_and_injected)
{
    probe.status[PROBE_REQUEST_DATA] = FILTER_TAKEN;
    client_send(&c, POST CHUNKS END);
    ck_assert_uint_eq(origin.ended, 0);
    ck_assert_uint_eq(probe.taken.len, 11);
    struct buffer some;
    buffer_init(&some, lb.worker.chunks);
    buffer_move_n(&some, &probe.taken, 5);
    filter_inject(probe.filter, FILTER_REQUEST, &some, false);
    ck_assert_str_eq(strbuf_str(&origin.body), "hello");
    filter_inject(probe.filter, FILTER_REQUEST, &probe.taken, true);
    loopback_run(&lb);
    ck_assert_str_eq(client_take(&c), ANSWER);
    buffer_fini(&some);
}
END_TEST

START_TEST(test_pause_at_request_trailers)
{
    probe.status[PROBE_REQUEST_TRAILERS] = FILTER_PAUSE;
    client_send(&c, POST CHUNKS "0\r\nx: y\r\n\r\n");
    ck_assert_uint_eq(origin.ended, 0);
    filter_resume(probe.filter, FILTER_REQUEST);
    loopback_run(&lb);
    ck_assert(origin.trailers);
    ck_assert_str_eq(client_take(&c), ANSWER);
}
END_TEST

/* What has come meanwhile goes through the new filters, once. */
static const char *const restarted[][2] = {
    {POST, CHUNKS END},
    {POST CHUNKS, END},
    {POST CHUNKS END, ""},
    {POST CHUNKS "0\r\nx: y\r\n\r\n", ""},
};

START_TEST(test_restart)
{
    probe.status[PROBE_REQUEST_HEADERS] = FILTER_PAUSE;
    client_send(&c, restarted[_i][0]);
    ck_assert_uint_eq(origin.begun, 0);
    probe.status[PROBE_REQUEST_HEADERS] = FILTER_CONTINUE;
    filter_restart(probe.filter);
    ck_assert(!connection_read_paused(c.server->connection));
    ck_assert_uint_eq(probe.destroyed, 1);
    ck_assert_uint_eq(probe.calls[PROBE_REQUEST_HEADERS], 2);
    client_send(&c, restarted[_i][1]);
    loopback_run(&lb);
    ck_assert_str_eq(client_take(&c), ANSWER);
    ck_assert_uint_eq(origin.begun, 1);
    ck_assert_uint_eq(probe.destroyed, 2);
}
END_TEST

START_TEST(test_restart_without_body)
{
    probe.status[PROBE_REQUEST_HEADERS] = FILTER_PAUSE;
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    filter_restart(probe.filter); /* it waits again */
    ck_assert_uint_eq(origin.begun, 0);
    lb.manager->filters[0].disabled = true;
    filter_restart(probe.filter); /* and is left out */
    loopback_run(&lb);
    ck_assert_uint_eq(origin.begun, 1);
    ck_assert_uint_eq(probe.calls[PROBE_REQUEST_HEADERS], 2);
    ck_assert(bytes_ends_with(strbuf_bytes(&c.received), BYTES("hello")));
}
END_TEST

START_TEST(test_pause_at_each_response_hook)
{
    static const enum probe_hook hooks[] = {PROBE_RESPONSE_HEADERS, PROBE_RESPONSE_DATA,
                                            PROBE_RESPONSE_TRAILERS};
    for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
        for (int buffer = 0; buffer < 2; buffer++) {
            probe.status[hooks[i]] = buffer ? FILTER_BUFFER : FILTER_PAUSE;
            /* Trailers are shown to a filter that holds data; they wait when it says so. */
            probe.status[PROBE_RESPONSE_TRAILERS] = FILTER_BUFFER;
            client_send(&c, "GET /trailers HTTP/1.1\r\nHost: a\r\n\r\n");
            ck_assert_ptr_null(strstr(strbuf_str(&c.received), "x-end"));
            probe.status[hooks[i]] = FILTER_CONTINUE;
            filter_resume(probe.filter, FILTER_RESPONSE);
            probe.status[PROBE_RESPONSE_TRAILERS] = FILTER_CONTINUE;
            if (probe.filter)
                filter_resume(probe.filter, FILTER_RESPONSE);
            loopback_run(&lb);
            ck_assert_str_eq(
                client_take(&c),
                "HTTP/1.1 200 OK\r\nx-probe: 1\r\nserver: envoy\r\n"
                "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-end: 1\r\n\r\n");
        }
    }
    ck_assert_uint_gt(origin.above, 0);
    ck_assert_uint_eq(origin.above, origin.below);
}
END_TEST

START_TEST(test_replied_at_each_request_hook)
{
    for (int hook = 0; hook <= PROBE_REQUEST_TRAILERS; hook++) {
        struct client k;
        client_connect(&k, &lb);
        probe.reply_at[hook] = true;
        client_send(&k, POST CHUNKS "0\r\nx: y\r\n\r\n");
        const char *got = client_take(&k);
        ck_assert_msg(strncmp(got, "HTTP/1.1 403 Forbidden\r\n", 24) == 0, "%d: %s", hook, got);
        ck_assert_ptr_nonnull(strstr(got, "x-probe: 1"));
        probe.reply_at[hook] = false;
        client_fini(&k);
    }
}
END_TEST

START_TEST(test_replied_at_response_headers)
{
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    probe.status[PROBE_RESPONSE_HEADERS] = FILTER_BUFFER;
    origin_answer("200", NULL, false);
    probe.status[PROBE_RESPONSE_HEADERS] = FILTER_CONTINUE;
    stream_local_reply(probe.filter->stream, stream_error_get(STREAM_ERROR_NO_HEALTHY_UPSTREAM),
                       NULL, NULL);
    loopback_run(&lb);
    ck_assert_ptr_nonnull(strstr(client_take(&c), "HTTP/1.1 503 Service Unavailable\r\n"));
}
END_TEST

START_TEST(test_the_same_filter_twice)
{
    static const struct http_filter_ops *const filters[] = {&probe_filter, &probe_filter,
                                                            &origin_filter};
    struct loopback two;
    struct client k;
    loopback_init(&two, filters, 3);
    client_connect(&k, &two);
    client_send(&k, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_uint_eq(probe.calls[PROBE_REQUEST_HEADERS], 2);
    ck_assert_uint_eq(probe.calls[PROBE_RESPONSE_HEADERS], 2);
    client_fini(&k);
    loopback_fini(&two);
}
END_TEST

START_TEST(test_disabled_filter_is_left_out)
{
    lb.manager->filters[0].disabled = true;
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_uint_eq(probe.calls[PROBE_REQUEST_HEADERS], 0);
    ck_assert_uint_eq(origin.begun, 1);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("filter_chain");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, test_continue);
    tcase_add_test(t, test_pause_at_request_headers);
    tcase_add_test(t, test_pause_at_request_headers_without_body);
    tcase_add_loop_test(t, test_restart, 0, ARRAY_SIZE(restarted));
    tcase_add_test(t, test_restart_without_body);
    tcase_add_test(t, test_buffer_until_the_end);
    tcase_add_test(t, test_buffer_then_resume);
    tcase_add_test(t, test_buffer_over_the_limit_is_413);
    tcase_add_test(t, test_response_over_the_limit_is_500);
    tcase_add_test(t, test_taken_and_injected);
    tcase_add_test(t, test_pause_at_request_trailers);
    tcase_add_test(t, test_pause_at_each_response_hook);
    tcase_add_test(t, test_replied_at_each_request_hook);
    tcase_add_test(t, test_replied_at_response_headers);
    tcase_add_test(t, test_the_same_filter_twice);
    tcase_add_test(t, test_disabled_filter_is_left_out);
    return run_suite(t);
}
