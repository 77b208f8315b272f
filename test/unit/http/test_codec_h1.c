/* Well-formed messages, both sides. Each is read whole, byte by byte and in steps of 2, 3 and 7:
 * the events must be the same. */
#include <check.h>
#include <stdlib.h>

#include "codec_log.h"

struct message {
    const char *name, *input, *events;
    bool client, http_10, eof;
};

#define GET "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define GET_LINES "head|:method=GET|:authority=a.test|:path=/x"

static const struct message messages[] = {
    {"get", "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n", GET_LINES "\nend\n"},
    {"names_lowered_values_trimmed",
     "GET /x HTTP/1.1\r\nHost: \t a.test \r\nX-Foo:\t Bar baz \t\r\nEmpty:\r\n\r\n",
     GET_LINES "|x-foo=Bar baz|empty=\nend\n"},
    {"empty_lines_first", "\r\n\r\nGET /x HTTP/1.1\r\nhost: a.test\r\n\r\n", GET_LINES "\nend\n"},
    {"content_length", "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
     "head|:method=POST|:authority=a.test|:path=/x|content-length=5\n"
     "body hello\nend\n"},
    {"content_length_0", "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
     "head|:method=POST|:authority=a.test|:path=/x|content-length=0\nend\n"},
    {"chunked",
     "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: Chunked\r\n\r\n"
     "5\r\nhello\r\n00000A;ext=\"v\"\r\n 0123456 z\r\n0\r\n\r\n",
     "head|:method=POST|:authority=a.test|:path=/x|transfer-encoding=Chunked\n"
     "body hello 0123456 z\nend\n"},
    {"trailers",
     "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
     "1\r\na\r\n0\r\nX-T: 1\r\nContent-Length: 9\r\nHost: evil\r\nX-U:2\r\n\r\n",
     "head|:method=POST|:authority=a.test|:path=/x|transfer-encoding=chunked\n"
     "body a\ntrailers|x-t=1|x-u=2\nend\n"},
    {"absolute_form_replaces_host", "GET http://u:p@B.test:81/p?q HTTP/1.1\r\nHost: a.test\r\n\r\n",
     "head|:method=GET|:scheme=http|:authority=B.test:81|:path=/p?q\nend\n"},
    {"absolute_form_with_zeros", "GET http://[::1]:0000080/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
     "head|:method=GET|:scheme=http|:authority=[::1]:0000080|:path=/\nend\n"},
    {"absolute_form_without_path", "GET https://b.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
     "head|:method=GET|:scheme=https|:authority=b.test|:path=/\nend\n"},
    {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
     "head|:method=OPTIONS|:authority=a.test|:path=*\nend\n"},
    {"connect", "CONNECT b.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n",
     "head|:method=CONNECT|:authority=b.test:443\n"},
    {"connect_and_what_follows",
     "CONNECT b.test:443 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n" GET,
     "head|:method=CONNECT|:authority=b.test:443|content-length=0\nbody " GET},
    {"upgrade_and_what_follows",
     "GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" GET,
     GET_LINES "|connection=Upgrade|upgrade=x\nbody " GET},
    {"upgrade_that_connection_does_not_name",
     "GET /x HTTP/1.1\r\nHost: a.test\r\nUpgrade: x\r\n\r\n" GET,
     GET_LINES "|upgrade=x\nend\n" GET_LINES "\nend\n"},
    {"h2c", "GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" GET,
     GET_LINES "|connection=Upgrade\nend\n" GET_LINES "\nend\n"},
    {"upgrade_of_http_10",
     "GET /x HTTP/1.0\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
     GET_LINES "|connection=Upgrade\nend\n", .http_10 = true},
    {"upgrade_with_a_body",
     "POST /y HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
     "Content-Length: 2\r\n\r\nok" GET,
     "head|:method=POST|:authority=b|:path=/y|connection=Upgrade|upgrade=x|content-length=2\n"
     "body ok\nend\n"},
    {"no_host_is_for_the_manager_to_answer", "GET /x HTTP/1.1\r\n\r\n",
     "head|:method=GET|:path=/x\nend\n"},
    {"pipelined",
     "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\nPOST /y HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n"
     "\r\nokGET /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
     GET_LINES "\nend\nhead|:method=POST|:authority=b|:path=/y|content-length=2\n"
               "body ok\nend\n" GET_LINES "\nend\n"},
    {"http_10", "GET /x HTTP/1.0\r\nHost: a.test\r\n\r\n", GET_LINES "\nend\n", .http_10 = true},
    {"response", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     "head|:status=200|content-length=2\nbody ok\nend\n", .client = true},
    {"response_without_reason", "HTTP/1.1 404\r\ncontent-length: 0\r\n\r\n",
     "head|:status=404|content-length=0\nend\n", .client = true},
    {"response_until_close", "HTTP/1.1 200 OK\r\nx: y\r\n\r\nsome bytes",
     "head|:status=200|x=y\nbody some bytes\nend\n", .client = true, .eof = true},
    {"response_204_304", "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
     "head|:status=204\nend\n", .client = true},
    {"response_304_keeps_length", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
     "head|:status=304|content-length=7\nend\n", .client = true},
    {"response_informational",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: a\r\n\r\n"
     "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
     "head|:status=100\nhead|:status=103|link=a\nhead|:status=200|content-length=0\nend\n",
     .client = true},
    {"response_folded", "HTTP/1.1 200 OK\r\nx: 1\r\n 2\r\ncontent-length: 0\r\n\r\n",
     "head|:status=200|x=1   2|content-length=0\nend\n", .client = true},
    {"response_bare_lf", "HTTP/1.1 200 OK\nx: 1\ncontent-length: 2\n\nok",
     "head|:status=200|x=1|content-length=2\nbody ok\nend\n", .client = true},
    {"response_chunked_with_padding",
     "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2  \r\nok\r\n0\r\nt: 1\r\n\r\n",
     "head|:status=200|transfer-encoding=chunked\nbody ok\ntrailers|t=1\nend\n", .client = true},
};

static void read_in_steps(const struct message *m, size_t step)
{
    struct codec_log l;
    struct codec_options o = m->client ? codec_log_client : codec_log_server;
    o.accept_http_10 = m->http_10;
    codec_log_init(&l, &o);
    l.answer = !m->client;
    if (m->client) {
        l.stream = l.codec->ops->stream_new(l.codec, &l, &l.headers);
        l.codec->ops->set_trailers(l.stream, &l.trailers);
        struct headers h;
        headers_init(&h, l.arena);
        headers_add_id(&h, HEADER_METHOD, BYTES("GET"));
        headers_add_id(&h, HEADER_PATH, BYTES("/"));
        l.codec->ops->send_headers(l.stream, &h, true);
    }
    codec_log_feed(&l, bytes_of(m->input), step);
    if (m->eof)
        l.codec->ops->input_eof(l.codec);
    ck_assert_msg(strcmp(strbuf_str(&l.text), m->events) == 0, "%s, step %zu:\n%s\nwanted:\n%s",
                  m->name, step, strbuf_str(&l.text), m->events);
    codec_log_fini(&l);
}

START_TEST(test_message)
{
    static const size_t steps[] = {0, 1, 2, 3, 7};
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        read_in_steps(&messages[_i], steps[i]);
}
END_TEST

static struct headers answer(struct codec_log *l, const char *status, const char *length)
{
    struct headers h;
    headers_init(&h, l->arena);
    headers_add_id(&h, HEADER_STATUS, bytes_of(status));
    if (length)
        headers_add_id(&h, HEADER_CONTENT_LENGTH, bytes_of(length));
    return h;
}

START_TEST(test_pipelined_waits_for_answer)
{
    struct codec_log l;
    codec_log_init(&l, &codec_log_server);
    codec_log_feed(
        &l, BYTES("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
    ck_assert_uint_eq(l.begun, 1);
    ck_assert_uint_gt(l.in.len, 0);
    struct headers h = answer(&l, "200", "2");
    l.codec->ops->send_headers(l.stream, &h, false);
    ck_assert(l.codec->ops->input(l.codec, &l.in));
    ck_assert_uint_eq(l.begun, 1);
    struct buffer body;
    buffer_init(&body, l.chunks);
    buffer_add_str(&body, "ok");
    l.codec->ops->send_data(l.stream, &body, true);
    ck_assert(l.codec->ops->input(l.codec, &l.in));
    ck_assert_uint_eq(l.begun, 2);
    ck_assert_uint_eq(l.in.len, 0);
    ck_assert(l.codec->ops->reusable(l.codec));
    buffer_fini(&body);
    codec_log_fini(&l);
}
END_TEST

START_TEST(test_connection_close_is_not_reusable)
{
    static const char *const inputs[] = {
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\nGET / HTTP/1.1\r\nHost: "
        "a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\nGET / HTTP/1.1\r\nHost: "
        "a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
        struct codec_log l;
        struct codec_options o = codec_log_server;
        o.accept_http_10 = true;
        codec_log_init(&l, &o);
        l.answer = true;
        ck_assert(!codec_log_feed(&l, bytes_of(inputs[i]), 0));
        ck_assert_uint_eq(l.begun, 1);
        ck_assert(!l.codec->ops->reusable(l.codec));
        ck_assert_ptr_nonnull(strstr(codec_log_output(&l), "connection: close\r\n"));
        codec_log_fini(&l);
    }
}
END_TEST

START_TEST(test_early_response_upstream_is_not_reusable)
{
    struct codec_log l;
    codec_log_init(&l, &codec_log_client);
    l.stream = l.codec->ops->stream_new(l.codec, &l, &l.headers);
    struct headers h;
    headers_init(&h, l.arena);
    headers_add_id(&h, HEADER_METHOD, BYTES("POST"));
    headers_add_id(&h, HEADER_PATH, BYTES("/"));
    l.codec->ops->send_headers(l.stream, &h, false);
    ck_assert(codec_log_feed(&l, BYTES("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 0));
    ck_assert(!l.codec->ops->reusable(l.codec));
    codec_log_fini(&l);
}
END_TEST

START_TEST(test_unasked_response_closes)
{
    struct codec_log l;
    codec_log_init(&l, &codec_log_client);
    ck_assert(!codec_log_feed(&l, BYTES("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 0));
    codec_log_fini(&l);
}
END_TEST

START_TEST(test_reset_gives_no_more_events)
{
    struct codec_log l;
    codec_log_init(&l, &codec_log_server);
    codec_log_feed(&l, BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"), 0);
    strbuf_cut(&l.text, 0);
    l.codec->ops->stream_reset(l.stream, 0);
    ck_assert(!codec_log_feed(&l, BYTES("def"), 0));
    ck_assert_str_eq(strbuf_str(&l.text), "\n");
    codec_log_fini(&l);
}
END_TEST

START_TEST(test_cut_response_is_an_error)
{
    struct codec_log l;
    codec_log_init(&l, &codec_log_client);
    l.stream = l.codec->ops->stream_new(l.codec, &l, &l.headers);
    codec_log_feed(&l, BYTES("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), 0);
    l.codec->ops->input_eof(l.codec);
    ck_assert_ptr_nonnull(l.error);
    codec_log_fini(&l);
}
END_TEST

/* A limit beyond what a header list can hold is that of the list: no peer ends the process. */
START_TEST(test_headers_beyond_every_limit)
{
    struct codec_options o[] = {codec_log_server, codec_log_client};
    struct strbuf text = STRBUF_INIT;
    for (unsigned side = 0; side < 2; side++) {
        struct codec_log l;
        o[side].max_headers_count = 100000;
        o[side].max_headers_bytes = 1 << 30;
        o[side].enable_trailers = true;
        for (unsigned trailers = 0; trailers < 2; trailers++) {
            codec_log_init(&l, &o[side]);
            if (side)
                l.stream = l.codec->ops->stream_new(l.codec, &l, &l.headers);
            strbuf_reset(&text);
            strbuf_add_str(&text, side ? "HTTP/1.1 200 OK\r\n" : "GET / HTTP/1.1\r\nHost: a\r\n");
            if (trailers)
                strbuf_add_str(&text, "Transfer-Encoding: chunked\r\n\r\n0\r\n");
            for (unsigned i = 0; i < 70000; i++)
                strbuf_add_str(&text, "a:b\r\n");
            strbuf_add_str(&text, "\r\n");
            codec_log_feed(&l, strbuf_bytes(&text), 0);
            ck_assert_ptr_nonnull(l.error);
            ck_assert_uint_eq(l.error->status, 431);
            codec_log_fini(&l);
        }
    }
    strbuf_fini(&text);
}
END_TEST

/* Trailers that go nowhere may be many and oddly named, but not large, and must be well-formed. */
START_TEST(test_trailers_that_are_dropped)
{
    static const struct {
        const char *lines;
        bool kept;
        unsigned status;
    } rows[] = {
        {"x_t: 1\r\na: 1\r\nb: 2\r\nc: 3\r\n", false, 0},
        {"x_t: 1\r\n", true, 400},
        {"a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n", true, 431},
        {"a: 11111111111111111111111111111111111111111111111111111111111111\r\n", false, 431},
        {"a b: 1\r\n", false, 400},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
        struct codec_log l;
        bool client = i >= ARRAY_SIZE(rows);
        struct codec_options o = client ? codec_log_client : codec_log_server;
        o.max_headers_count = 3;
        o.max_headers_bytes = 64;
        o.enable_trailers = rows[i % ARRAY_SIZE(rows)].kept;
        o.underscores = CODEC_UNDERSCORES_REJECT;
        codec_log_init(&l, &o);
        if (client) {
            l.stream = l.codec->ops->stream_new(l.codec, &l, &l.headers);
            l.codec->ops->set_trailers(l.stream, &l.trailers);
        }
        codec_log_feed(
            &l, bytes_of(client ? "HTTP/1.1 200 OK\r\n" : "POST / HTTP/1.1\r\nHost: a\r\n"), 0);
        codec_log_feed(&l, BYTES("Transfer-Encoding: chunked\r\n\r\n0\r\n"), 0);
        codec_log_feed(&l, bytes_of(rows[i % ARRAY_SIZE(rows)].lines), 3);
        codec_log_feed(&l, BYTES("\r\n"), 0);
        ck_assert_uint_eq(l.error ? l.error->status : 0, rows[i % ARRAY_SIZE(rows)].status);
        codec_log_fini(&l);
    }
}
END_TEST

/* An origin may say for hours that it is still at work. */
START_TEST(test_informational_flood)
{
    struct codec_log l;
    codec_log_init(&l, &codec_log_client);
    l.stream = l.codec->ops->stream_new(l.codec, &l, &l.headers);
    for (unsigned i = 0; i < 1000; i++)
        codec_log_feed(&l, BYTES("HTTP/1.1 102 Processing\r\nlink: </a>\r\n\r\n"), 0);
    codec_log_feed(&l, BYTES("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 0);
    ck_assert_ptr_null(l.error);
    ck_assert_uint_eq(headers_status(&l.headers), 200);
    codec_log_fini(&l);
}
END_TEST

/* A body read in full chunks is handed on by reference: nothing is copied. */
START_TEST(test_body_is_not_copied)
{
    struct codec_log l;
    codec_log_init(&l, &codec_log_server);
    codec_log_feed(&l, BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"), 0);
    uint64_t before = l.chunks->heap_calls;
    for (int i = 0; i < 6; i++) {
        size_t room;
        char *p = buffer_reserve(&l.in, &room);
        memset(p, 'x', room);
        buffer_commit(&l.in, room);
        size_t live = l.chunks->live_chunks;
        l.codec->ops->input(l.codec, &l.in);
        ck_assert_uint_le(l.chunks->live_chunks, live);
    }
    ck_assert_uint_le(l.chunks->heap_calls - before, 12); /* a chunk and a slice each */
    codec_log_fini(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codec_h1");
    TCase *t = tcase_create("messages");
    tcase_add_loop_test(t, test_message, 0, (int)ARRAY_SIZE(messages));
    tcase_add_test(t, test_pipelined_waits_for_answer);
    tcase_add_test(t, test_connection_close_is_not_reusable);
    tcase_add_test(t, test_early_response_upstream_is_not_reusable);
    tcase_add_test(t, test_unasked_response_closes);
    tcase_add_test(t, test_reset_gives_no_more_events);
    tcase_add_test(t, test_cut_response_is_an_error);
    tcase_add_test(t, test_headers_beyond_every_limit);
    tcase_add_test(t, test_trailers_that_are_dropped);
    tcase_add_test(t, test_informational_flood);
    tcase_add_test(t, test_body_is_not_copied);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
