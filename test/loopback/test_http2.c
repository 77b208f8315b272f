/* HTTP/2 clients against a terminal filter: many streams, resets, drains, back-pressure, and those
 * who do not behave. */
#include <stdio.h>
#include <time.h>

#include "../unit/http/h2_pair.h"
#include "base/check.h"
#include "dataplane/http/codec_h2_internal.h"
#include "dataplane/http/codec_h2_pages.h"
#include "dataplane/http/http_conn_list.h"
#include "dataplane/http/stream_pool.h"
#include "filters.h"
#include "loopback.h"
#include "suite.h"

#define REQUEST(method, path) ":method: " method "\n:scheme: http\n:authority: a\n:path: " path "\n"
#define OK_HEAD "head|:status=200|content-length=5|server=envoy\n"

static struct loopback lb;
static struct h2_pair p;
static struct connection *connection;
static struct http_conn *server;
static bool ended, closed;

static void flush_client(void)
{
    p.client.codec->ops->flush(p.client.codec, SIZE_MAX);
    if (p.client.out.len && !closed)
        connection_write(connection, &p.client.out);
}

static void on_data(struct connection *c, struct buffer *in, bool end)
{
    if (p.client.codec && p.client.open)
        p.client.open = p.client.codec->ops->input(p.client.codec, in);
    buffer_drain(in, in->len);
    ended |= end;
    if (p.client.codec)
        flush_client();
}

static void on_close(struct connection *c, enum close_reason reason)
{
    closed = true;
}

static const struct connection_ops client_ops = {.on_data = on_data, .on_close = on_close};

static void connect_raw(void)
{
    struct transport *ends[2];
    ended = closed = false;
    transport_pair_new(lb.loop, lb.worker.chunks, 16 * 1024, ends);
    connection = connection_new(lb.loop, lb.worker.chunks, ends[0], &client_ops, NULL);
    struct connection *other =
        connection_new(lb.loop, lb.worker.chunks, ends[1], &client_ops, NULL);
    server = http_conn_new(&lb.worker, other, lb.entry, lb.binding);
    loopback_run(&lb);
}

static void run(void)
{
    flush_client();
    loopback_run(&lb);
}

static void connect_h2(void)
{
    connect_raw();
    h2_pair_init(&p);
    h2_pair_open_client_in(&p, lb.worker.chunks);
    run();
}

static void set_up(void)
{
    static const struct http_filter_ops *const filters[] = {&origin_filter};
    loopback_init(&lb, filters, 1);
    http2_options_init(&lb.manager->http2);
    memset(&p, 0, sizeof(p));
}

static void tear_down(void)
{
    if (!closed)
        connection_close(connection, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    loopback_run(&lb);
    loopback_advance(&lb, 2000);
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 0);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_ACTIVE), 0);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_HTTP2_ACTIVE), 0);
    if (p.memory)
        h2_pair_fini(&p);
    loopback_fini(&lb);
    origin_reset();
}

START_TEST(test_get)
{
    connect_h2();
    h2_request(&p, REQUEST("GET", "/ok"), true);
    run();
    const char *text = h2_text(&p.client);
    ck_assert_msg(strstr(text, "1 head|:status=200|content-length=5|"), "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "1 body hello\n1 end\n"));
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_HTTP2_TOTAL), 1);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_HTTP1_TOTAL), 0);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_HTTP2_TOTAL), 1);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_2XX), 1);
    ck_assert(!closed);
}
END_TEST

START_TEST(test_streams_do_not_wait_for_each_other)
{
    connect_h2();
    h2_request(&p, REQUEST("GET", "/later"), true);
    h2_request(&p, REQUEST("GET", "/ok"), true);
    run();
    const char *text = h2_text(&p.client);
    ck_assert_ptr_nonnull(strstr(text, "2 end"));
    ck_assert_ptr_null(strstr(text, "1 head"));
    ck_assert_uint_eq(http_conn_list_active_requests(&lb.worker), 1);
}
END_TEST

static void get(const char *lines)
{
    h2_request(&p, lines, true);
    run();
}

/* For the streams of each session nghttp2 keeps a table: that of an idle one is given back. */
START_TEST(test_table_of_an_idle_connection_rests)
{
    struct h2_pages *pages = h2_memory_pages(lb.worker.http_conns->h2_memory);
    connect_h2();
    if (HEAP_IS_WATCHED)
        return;
    for (unsigned i = 1; i < 4; i++) {
        get(REQUEST("GET", "/ok"));
        loopback_advance(&lb, 4000);
        ck_assert_uint_eq(pages->n_rested, i - 1); /* it may soon be asked again */
        loopback_advance(&lb, 5000);
        loopback_advance(&lb, 5000);
        ck_assert_uint_eq(pages->n_rested, i);
    }
    get(REQUEST("GET", "/later"));
    for (unsigned i = 0; i < 4; i++)
        loopback_advance(&lb, 5000);
    ck_assert_uint_eq(pages->n_rested, 3);
    ck_assert(list_empty(&pages->idle));
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "3 end"));
}
END_TEST

/* What is not all zero stays, and what was taken goes back, block by block. */
START_TEST(test_pages)
{
    struct h2_pages pages = {0};
    struct h2_page *owner[100] = {0};
    char *taken[100];
    connect_h2();
    if (HEAP_IS_WATCHED)
        return;
    h2_pages_init(&pages, lb.loop);
    for (unsigned i = 0; i < 100; i++) {
        taken[i] = h2_page_take(&pages);
        ck_assert(h2_is_page(taken[i]));
        memset(taken[i], i == 7, H2_PAGE_BYTES);
        h2_page_own(&pages, &owner[i]);
        ck_assert_ptr_nonnull(owner[i]);
        h2_page_idle(owner[i]);
    }
    h2_page_busy(owner[8]);
    for (unsigned i = 0; i < 4; i++)
        loopback_advance(&lb, 5000);
    ck_assert_uint_eq(pages.n_rested, 98);
    ck_assert_int_eq(taken[7][H2_PAGE_BYTES - 1], 1);
    for (unsigned i = 0; i < 100; i++) {
        h2_page_give(&pages, taken[i]);
        ck_assert_ptr_null(owner[i]);
    }
    ck_assert_uint_eq(pages.n_empty, 1);
    ck_assert_uint_le(pages.n_kept, 64);
    ck_assert_ptr_nonnull(h2_page_take(&pages));
    ck_assert_uint_eq(pages.n_empty, 0);
    h2_pages_fini(&pages);
}
END_TEST

START_TEST(test_body_and_trailers)
{
    connect_h2();
    struct h2_seen *c = h2_request(&p, REQUEST("POST", "/echo"), false);
    h2_body(c, 3, false);
    struct headers t;
    h2_headers(&p.client, &t, "x: y\n");
    p.client.codec->ops->send_trailers(c->stream, &t);
    run();
    ck_assert(origin.trailers);
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "1 body xxx\n1 end\n"));
    h2_request(&p, REQUEST("GET", "/trailers"), true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "2 trailers|x-end=1\n2 end\n"));
}
END_TEST

/* One byte after the other, the preface too. */
START_TEST(test_byte_by_byte)
{
    struct buffer b;
    connect_raw();
    buffer_init(&b, lb.worker.chunks);
    h2_preface(&b);
    h2_frame_headers(&b, 1, 5, REQUEST("GET", "/ok"));
    while (b.len) {
        struct buffer one;
        buffer_init(&one, lb.worker.chunks);
        buffer_move_n(&one, &b, 1);
        connection_write(connection, &one);
        loopback_run(&lb);
    }
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_2XX), 1);
}
END_TEST

/* codec_type says what is spoken; a beginning that is no preface is HTTP/1. */
START_TEST(test_choice_of_the_codec)
{
    static const struct {
        enum codec_type codec;
        const char *text;
        unsigned http1, http2;
    } rows[] = {
        {CODEC_AUTO, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n", 1, 0},
        {CODEC_AUTO, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 1},
        {CODEC_AUTO, "PRI * HTTP/2.1\r\n\r\n", 1, 0},
        {CODEC_AUTO, "PRI * H", 0, 0},
        {CODEC_HTTP1, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1, 0},
        {CODEC_HTTP2, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n", 0, 1},
    };
    lb.manager->codec = rows[_i].codec;
    connect_raw();
    connection_write_bytes(connection, bytes_of(rows[_i].text));
    loopback_run(&lb);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_HTTP1_TOTAL), rows[_i].http1);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_HTTP2_TOTAL), rows[_i].http2);
}
END_TEST

START_TEST(test_reset_by_the_client)
{
    connect_h2();
    struct h2_seen *c = h2_request(&p, REQUEST("GET", "/later"), true);
    h2_request(&p, REQUEST("GET", "/later"), true);
    run();
    p.client.codec->ops->stream_reset(c->stream, 8);
    run();
    ck_assert_uint_eq(origin.resets, 1);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_RX_RESET), 1);
    ck_assert_uint_eq(http_conn_list_active_requests(&lb.worker), 1);
    origin_answer("200", NULL, true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "2 end"));
}
END_TEST

/* The connection goes on after an answer that came before the request was complete. */
START_TEST(test_early_answer)
{
    connect_h2();
    struct h2_seen *c = h2_request(&p, REQUEST("POST", "/early"), false);
    h2_body(c, 3, false);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "1 body early\n1 end\n1 reset 0"));
    h2_request(&p, REQUEST("GET", "/ok"), true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "2 end"));
    ck_assert(!closed);
}
END_TEST

/* A local reply to a refused request costs the stream alone. */
START_TEST(test_refused_request)
{
    connect_h2();
    h2_request(&p, REQUEST("GET", "/ok#x"), true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "1 head|:status=400"));
    h2_request(&p, REQUEST("GET", "/ok"), true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "2 end"));
}
END_TEST

/* Who does not read holds what the listener allows, and the origin is told to stop. */
START_TEST(test_slow_reader)
{
    connect_h2();
    struct h2_seen *c = h2_request(&p, REQUEST("GET", "/later"), true);
    run();
    p.client.codec->ops->stream_pause(c->stream, true);
    p.client.quiet = true;
    origin_answer("200", NULL, false);
    static char body[100001];
    memset(body, 'x', sizeof(body) - 1);
    for (int i = 0; i < 20 && !origin.above; i++) {
        origin_send(body, false);
        run();
    }
    ck_assert_uint_eq(origin.above, 1);
    ck_assert_uint_eq(p.client.body, 65536);
    ck_assert_uint_le(lb.worker.chunks->live_chunks * CHUNK_SIZE, 256 * 1024 + 400000);
    p.client.codec->ops->stream_pause(c->stream, false);
    run();
    ck_assert_uint_eq(origin.below, 1);
    origin_send("", true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "1 end"));
}
END_TEST

/* A whole answer that waits for a window: its stream is reset after the time of an idle stream. */
START_TEST(test_answer_that_nobody_takes)
{
    lb.manager->stream_idle_timeout_ms = 1000;
    connect_h2();
    struct h2_seen *c = h2_request(&p, REQUEST("GET", "/later"), true);
    run();
    p.client.codec->ops->stream_pause(c->stream, true);
    p.client.quiet = true;
    origin_answer("200", NULL, false);
    static char body[100001];
    memset(body, 'x', sizeof(body) - 1);
    origin_send(body, true);
    run();
    ck_assert_uint_eq(http_conn_list_active_requests(&lb.worker), 0);
    ck_assert_uint_eq(codec_mux(server->codec)->open_streams, 1);
    loopback_advance(&lb, 1001);
    run();
    ck_assert(!c->reset); /* it may have gone on just now */
    loopback_advance(&lb, 1001);
    run();
    ck_assert(c->reset);
    ck_assert_uint_eq(codec_mux(server->codec)->open_streams, 0);
    h2_request(&p, REQUEST("GET", "/ok"), true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "2 end"));
}
END_TEST

/* An origin that does not take the body: the client may send one window; other streams go on. */
START_TEST(test_stalled_upload)
{
    connect_h2();
    struct h2_seen *c = h2_request(&p, REQUEST("POST", "/later"), false);
    run();
    struct http_filter *f = origin.filter;
    filter_request_watermark(f, true);
    h2_body(c, 300000, true);
    run();
    ck_assert_uint_le(origin.body.len, 65536);
    h2_request(&p, REQUEST("GET", "/ok"), true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "2 end"));
    origin.filter = f;
    filter_request_watermark(f, false);
    run();
    ck_assert_uint_eq(origin.body.len, 300000 - 65536); /* the rest came before /ok */
}
END_TEST

/* GOAWAY twice: a notice, and after the drain time the end; what runs is finished. */
START_TEST(test_drain)
{
    lb.manager->max_requests_per_connection = 1;
    connect_h2();
    h2_request(&p, REQUEST("GET", "/later"), true);
    run();
    ck_assert_uint_eq(p.client.no_more, 1);
    loopback_advance(&lb, lb.manager->drain_timeout_ms + 1);
    run();
    ck_assert(!ended);
    origin_answer("200", "end", true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "1 body end\n1 end\n"));
    ck_assert(ended);
}
END_TEST

START_TEST(test_idle_connection)
{
    lb.manager->idle_timeout_ms = 1000;
    connect_h2();
    h2_request(&p, REQUEST("GET", "/ok"), true);
    run();
    loopback_advance(&lb, 1001);
    run();
    ck_assert_uint_eq(p.client.no_more, 1);
    ck_assert(!ended);
    loopback_advance(&lb, lb.manager->drain_timeout_ms + 1);
    run();
    ck_assert(ended);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_IDLE_TIMEOUT), 1);
}
END_TEST

START_TEST(test_stream_timeout)
{
    lb.manager->stream_idle_timeout_ms = 1000;
    connect_h2();
    h2_request(&p, REQUEST("GET", "/later"), true);
    run();
    loopback_advance(&lb, 1001);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "1 head|:status=504"));
    ck_assert(!ended);
}
END_TEST

START_TEST(test_keepalive)
{
    lb.manager->http2.keepalive_interval_ms = 1000;
    lb.manager->http2.keepalive_timeout_ms = 500;
    lb.manager->http2.keepalive_jitter = 0;
    connect_h2();
    for (int i = 0; i < 3; i++) {
        loopback_advance(&lb, 1001);
        run();
    }
    ck_assert(!closed); /* the client's codec answers */
    connection_read_pause(connection);
    loopback_advance(&lb, 1001);
    loopback_advance(&lb, 501);
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 0);
}
END_TEST

/* CVE-2023-44487, CVE-2025-8671: who resets streams, or makes us reset them, is gone after 250. */
static const struct {
    const char *lines;
    unsigned flags, type; /* of the head; of the frame that follows */
    const char *payload;
    size_t len;
    bool ends; /* the connection, at once */
} resets[] = {
    {"", 5, 3, "\0\0\0\10", 4},
    {"", 4, 8, "\x7f\xff\xff\xff", 4},        /* a window that is too large */
    {"", 4, 8, "\0\0\0\0", 4, true},          /* or grows by nothing */
    {"content-length: 3\n", 4, 0, "xxxx", 4}, /* more than was promised */
    {"a b: c\n", 4, 0, "x", 1, true},         /* no name */
};

START_TEST(test_rapid_reset)
{
    struct buffer b;
    connect_raw();
    buffer_init(&b, lb.worker.chunks);
    h2_preface(&b);
    unsigned sent = 0;
    for (uint32_t id = 1; sent < 1000 && http_conn_list_count(&lb.worker); id += 2, sent++) {
        char lines[200];
        snprintf(lines, sizeof(lines), "%s%s", REQUEST("GET", "/later"), resets[_i].lines);
        h2_frame_headers(&b, id, resets[_i].flags, lines);
        h2_frame(&b, resets[_i].type, 0, id, resets[_i].payload, resets[_i].len);
        connection_write(connection, &b);
        loopback_run(&lb);
    }
    ck_assert_uint_le(sent, 251);
    if (resets[_i].ends)
        ck_assert_uint_eq(sent, 1);
    else
        ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_TOO_MANY_PREMATURE_RESETS), 1);
    buffer_fini(&b);
}
END_TEST

/* Thousands of requests in one read do not become streams all at once. */
START_TEST(test_flood_of_requests)
{
    struct buffer b;
    lb.manager->http2.max_concurrent_streams = 10000;
    connect_raw();
    buffer_init(&b, lb.worker.chunks);
    h2_preface(&b);
    for (uint32_t i = 0; i < 5000; i++)
        h2_frame(&b, 1, 5, 2 * i + 1, "\x82\x86\x04\x03/ok\x41\1a", 10);
    connection_write(connection, &b);
    loopback_run(&lb);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_TOTAL), 5000);
    ck_assert_uint_le(lb.worker.streams->n_total, 32 + 2048 / 19 + 1);
}
END_TEST

/* CVE-2021-32778: the end of a connection costs what its streams cost. */
START_TEST(test_thousands_of_streams_end_at_once)
{
    enum { STREAMS = 10000, MS = HEAP_IS_WATCHED ? 3000 : 300 };
    struct buffer b;
    struct timespec before, after;
    lb.manager->http2.max_concurrent_streams = STREAMS;
    connect_raw();
    buffer_init(&b, lb.worker.chunks);
    h2_preface(&b);
    for (uint32_t i = 0; i < STREAMS; i++)
        h2_frame(&b, 1, 5, 2 * i + 1, "\x82\x86\x04\x06/later\x41\1a", 13);
    connection_write(connection, &b);
    loopback_run(&lb);
    ck_assert_uint_eq(http_conn_list_active_requests(&lb.worker), STREAMS);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    connection_close(connection, CLOSE_SHUTDOWN, CLOSE_ABORT, 0);
    loopback_run(&lb);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    ck_assert_uint_eq(http_conn_list_active_requests(&lb.worker), 0);
    ck_assert_int_lt(
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000, MS);
}
END_TEST

static int64_t codec_stat(enum http2_stat id)
{
    return stat_read(lb.worker.http_conns->http2_stats, id, &(bool){false});
}

/* CVE-2019-9512, CVE-2026-110353: PINGs that are asked and not read end the connection, whatever it
 * does: nothing, an upload that waits, an answer that waits, a drain. */
START_TEST(test_ping_storm)
{
    enum { LIMIT = 32 * 1024, PING = 17 };
    struct buffer b;
    ((struct listener *)(uintptr_t)lb.entry->listener)->buffer_limit = LIMIT;
    connect_raw();
    connection_read_pause(connection);
    buffer_init(&b, lb.worker.chunks);
    h2_preface(&b);
    if (_i == 1) {
        h2_frame_headers(&b, 1, 4, REQUEST("POST", "/later"));
        h2_frame(&b, 0, 0, 1, "upload", 6);
    } else if (_i == 2) {
        h2_frame_headers(&b, 1, 5, REQUEST("GET", "/ok"));
    }
    connection_write(connection, &b);
    loopback_run(&lb);
    if (_i == 3)
        http_conn_drain(server);
    unsigned sent = 0;
    for (; sent < 20000 && !codec_stat(STAT_HTTP2_OUTBOUND_CONTROL_FLOOD); sent++) {
        h2_frame(&b, 6, 0, 0, "12345678", 8);
        connection_write(connection, &b);
        loopback_run(&lb);
    }
    ck_assert_uint_le(sent, 1001 + (LIMIT + 32 * 1024) / PING);
    loopback_advance(&lb, 2000); /* for its last words */
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 0);
    buffer_fini(&b);
}
END_TEST

/* Streams of a connection that ends, end. */
START_TEST(test_disconnect_with_streams)
{
    connect_h2();
    for (int i = 0; i < 50; i++)
        h2_body(h2_request(&p, REQUEST("POST", "/later"), false), 10, false);
    run();
    ck_assert_uint_eq(http_conn_list_active_requests(&lb.worker), 50);
    connection_close(connection, CLOSE_SHUTDOWN, _i ? CLOSE_ABORT : CLOSE_FLUSH, 0);
    loopback_run(&lb);
    ck_assert_uint_eq(origin.resets, 50);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_DESTROY_REMOTE_ACTIVE_RQ), 1);
}
END_TEST

/* A frame that is wrong: GOAWAY, and the streams end with its cause. */
START_TEST(test_protocol_error)
{
    connect_h2();
    h2_request(&p, REQUEST("GET", "/later"), true);
    run();
    struct buffer b;
    buffer_init(&b, lb.worker.chunks);
    h2_frame(&b, 6, 0, 0, "1", 1);
    connection_write(connection, &b);
    loopback_run(&lb);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_PROTOCOL_ERROR), 1);
    ck_assert(ended || closed);
}
END_TEST

START_TEST(test_chain_is_gone)
{
    connect_h2();
    h2_request(&p, REQUEST("GET", "/later"), true);
    run();
    struct chain_binding *old = lb.binding;
    struct filter_chain *chain = (struct filter_chain *)old->chain;
    loopback_swap(&lb, NULL);
    NODE_UNREF(&chain);
    NODE_UNREF(&old);
    http_conn_list_drain_gone(&lb.worker);
    lb.worker.drain.immediately = true;
    origin_answer("200", NULL, true);
    run();
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "1 end"));
    ck_assert_uint_eq(p.client.no_more, 1);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_DRAIN_CLOSE), 1);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("http2");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_get);
    tcase_add_test(t, test_streams_do_not_wait_for_each_other);
    tcase_add_test(t, test_body_and_trailers);
    tcase_add_test(t, test_byte_by_byte);
    tcase_add_loop_test(t, test_choice_of_the_codec, 0, 6);
    tcase_add_test(t, test_reset_by_the_client);
    tcase_add_test(t, test_early_answer);
    tcase_add_test(t, test_refused_request);
    tcase_add_test(t, test_table_of_an_idle_connection_rests);
    tcase_add_test(t, test_pages);
    tcase_add_test(t, test_slow_reader);
    tcase_add_test(t, test_answer_that_nobody_takes);
    tcase_add_test(t, test_stalled_upload);
    tcase_add_test(t, test_drain);
    tcase_add_test(t, test_idle_connection);
    tcase_add_test(t, test_stream_timeout);
    tcase_add_test(t, test_keepalive);
    tcase_add_loop_test(t, test_rapid_reset, 0, (int)ARRAY_SIZE(resets));
    tcase_add_test(t, test_thousands_of_streams_end_at_once);
    tcase_add_loop_test(t, test_ping_storm, 0, 4);
    tcase_add_test(t, test_flood_of_requests);
    tcase_add_loop_test(t, test_disconnect_with_streams, 0, 2);
    tcase_add_test(t, test_protocol_error);
    tcase_add_test(t, test_chain_is_gone);
    return run_suite(t);
}
