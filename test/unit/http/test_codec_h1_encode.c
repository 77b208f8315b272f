/* What is written for a head and a body, on both sides. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec_log.h"

static struct headers list(struct codec_log *l, const char *const *pairs)
{
    struct headers h;
    headers_init(&h, l->arena);
    for (; *pairs; pairs += 2)
        headers_add(&h, bytes_of(pairs[0]), bytes_of(pairs[1]));
    return h;
}

#define LIST(l, ...) list((l), (const char *const[]){__VA_ARGS__, NULL})

static void send_body(struct codec_log *l, const char *text, bool end)
{
    struct buffer b;
    buffer_init(&b, l->chunks);
    buffer_add_str(&b, text);
    l->codec->ops->send_data(l->stream, &b, end);
    buffer_fini(&b);
}

static void server(struct codec_log *l, const char *request)
{
    struct codec_options o = codec_log_server;
    o.accept_http_10 = true;
    codec_log_init(l, &o);
    ck_assert(codec_log_feed(l, bytes_of(request), 0));
}

static void client(struct codec_log *l)
{
    codec_log_init(l, &codec_log_client);
    l->stream = l->codec->ops->stream_new(l->codec, l, &l->headers);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

START_TEST(test_response_bodies)
{
    static const struct {
        const char *request, *status, *length, *body, *want;
    } rows[] = {
        {GET, "200", NULL, NULL, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
        {GET, "200", "2", "ok", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"},
        {GET, "200", NULL, "ok",
         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
        {GET, "204", "0", NULL, "HTTP/1.1 204 No Content\r\n\r\n"},
        {GET, "304", NULL, NULL, "HTTP/1.1 304 Not Modified\r\n\r\n"},
        {GET, "304", "7", NULL, "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"},
        {GET, "404", NULL, NULL, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"},
        {GET, "299", NULL, NULL, "HTTP/1.1 299 Unknown\r\ncontent-length: 0\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200", "5", "hello",
         "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200", NULL, NULL,
         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"},
        {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "200", "2", "ok",
         "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"},
        {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "200", "2", "ok",
         "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok"},
        {"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "200", NULL, "ok",
         "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nok"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct codec_log l;
        server(&l, rows[i].request);
        struct headers h = LIST(&l, ":status", rows[i].status);
        if (rows[i].length)
            headers_add_id(&h, HEADER_CONTENT_LENGTH, bytes_of(rows[i].length));
        l.codec->ops->send_headers(l.stream, &h, !rows[i].body);
        if (rows[i].body)
            send_body(&l, rows[i].body, true);
        ck_assert_str_eq(codec_log_output(&l), rows[i].want);
        codec_log_fini(&l);
    }
}
END_TEST

START_TEST(test_requests)
{
    struct codec_log l;
    client(&l);
    struct headers h = LIST(&l, ":method", "GET", ":scheme", "http", ":authority", "a", ":path",
                            "/p", "x", "1", "transfer-encoding", "chunked", "host", "no");
    l.codec->ops->send_headers(l.stream, &h, true);
    ck_assert_str_eq(codec_log_output(&l), "GET /p HTTP/1.1\r\nhost: a\r\nx: 1\r\n\r\n");
    codec_log_fini(&l);

    client(&l);
    h = LIST(&l, ":method", "POST", ":authority", "a", ":path", "/");
    l.codec->ops->send_headers(l.stream, &h, true);
    ck_assert_str_eq(codec_log_output(&l),
                     "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    codec_log_fini(&l);

    client(&l);
    h = LIST(&l, ":method", "POST", ":authority", "a", ":path", "/");
    l.codec->ops->send_headers(l.stream, &h, false);
    send_body(&l, "hello, world!!!!", false);
    send_body(&l, "", false);
    struct headers t = LIST(&l, "x-t", "1");
    l.codec->ops->send_trailers(l.stream, &t);
    ck_assert_str_eq(codec_log_output(&l), "POST / HTTP/1.1\r\nhost: a\r\n"
                                           "transfer-encoding: chunked\r\n\r\n"
                                           "10\r\nhello, world!!!!\r\n0\r\nx-t: 1\r\n\r\n");
    codec_log_fini(&l);
}
END_TEST

START_TEST(test_body_longer_or_shorter_than_declared)
{
    struct codec_log l;
    client(&l);
    struct headers h = LIST(&l, ":method", "POST", ":path", "/", "content-length", "3");
    l.codec->ops->send_headers(l.stream, &h, false);
    codec_log_output(&l);
    send_body(&l, "abcGET / HTTP/1.1", true);
    ck_assert_str_eq(codec_log_output(&l), "abc");
    ck_assert(!l.codec->ops->reusable(l.codec));
    codec_log_fini(&l);

    client(&l);
    h = LIST(&l, ":method", "POST", ":path", "/", "content-length", "3");
    l.codec->ops->send_headers(l.stream, &h, false);
    send_body(&l, "a", true);
    ck_assert(!l.codec->ops->reusable(l.codec));
    codec_log_fini(&l);
}
END_TEST

/* Output validator: nothing put into a value can end the line. */
START_TEST(test_cve_2023_27491_value_cannot_split)
{
    struct codec_log l;
    client(&l);
    struct headers h =
        LIST(&l, ":method", "GET", ":authority", "a", ":path", "/", "x", "1\r\nevil: 2\n");
    l.codec->ops->send_headers(l.stream, &h, true);
    ck_assert_str_eq(codec_log_output(&l), "GET / HTTP/1.1\r\nhost: a\r\nx: 1  evil: 2 \r\n\r\n");
    codec_log_fini(&l);
}
END_TEST

/* Values are written eight bytes at a time: of each length, each byte is checked and arrives. */
START_TEST(test_bytes_at_every_place_of_a_value)
{
    static const char bytes[] = {'\n', '\r', 0x01, 0x7f, '\t', ' ', '~', (char)0x80, (char)0xff};
    for (size_t len = 1; len < 35; len++) {
        for (size_t i = 0; i < len * sizeof(bytes); i++) {
            char value[36], sent[36], want[128], c = bytes[i % sizeof(bytes)];
            struct codec_log l;
            client(&l);
            for (size_t k = 0; k < len; k++)
                value[k] = (char)('a' + k % 26);
            value[len] = '\0';
            value[i / sizeof(bytes)] = c;
            memcpy(sent, value, sizeof(sent));
            struct headers h =
                LIST(&l, ":method", "GET", ":authority", "a", ":path", "/", "x", sent);
            value[i / sizeof(bytes)] = i % sizeof(bytes) < 4 ? ' ' : c;
            snprintf(want, sizeof(want), "GET / HTTP/1.1\r\nhost: a\r\nx: %s\r\n", value);
            l.codec->ops->send_headers(l.stream, &h, true);
            ck_assert_mem_eq(codec_log_output(&l), want, strlen(want));
            codec_log_fini(&l);
        }
    }
}
END_TEST

/* A rewritten path may hold what would end the target, or begin another line. */
START_TEST(test_target_cannot_split)
{
    struct codec_log l;
    client(&l);
    struct headers h = LIST(&l, ":method", "GET", ":authority", "a", ":path", "/a b\r\nx: 1\t\x7f");
    l.codec->ops->send_headers(l.stream, &h, true);
    ck_assert_str_eq(codec_log_output(&l),
                     "GET /a%20b%0D%0Ax:%201%09%7F HTTP/1.1\r\nhost: a\r\n\r\n");
    codec_log_fini(&l);
}
END_TEST

START_TEST(test_bytes_at_every_place_of_a_target)
{
    for (size_t len = 2; len < 28; len++) {
        for (size_t at = 1; at < len; at++) {
            for (const char *c = " \n\x7f\x80"; *c; c++) {
                char target[32] = "/", want[64];
                struct codec_log l;
                client(&l);
                memset(target + 1, 't', len - 1);
                target[at] = *c;
                struct headers h = LIST(&l, ":method", "GET", ":authority", "a", ":path", target);
                l.codec->ops->send_headers(l.stream, &h, true);
                snprintf(want, sizeof(want),
                         *c < 0 ? "GET %.*s%c%s HTTP/1.1" : "GET %.*s%%%02X%s HTTP/1.1", (int)at,
                         target, *c, target + at + 1);
                ck_assert_mem_eq(codec_log_output(&l), want, strlen(want));
                codec_log_fini(&l);
            }
        }
    }
}
END_TEST

/* Without a path the authority is written twice, and must find room twice. */
START_TEST(test_target_that_is_the_authority)
{
    static char name[CHUNK_SIZE];
    memset(name, 'a', sizeof(name));
    for (size_t n = CHUNK_SIZE / 2 - 300; n < CHUNK_SIZE - 1; n += 97) {
        struct codec_log l;
        client(&l);
        struct headers h = LIST(&l, ":method", "CONNECT");
        headers_add_id(&h, HEADER_AUTHORITY, bytes_from(name, n));
        l.codec->ops->send_headers(l.stream, &h, true);
        ck_assert_uint_eq(l.out.len, strlen("CONNECT  HTTP/1.1\r\nhost: \r\n\r\n") + 2 * n);
        codec_log_fini(&l);
    }
}
END_TEST

/* A header that the configuration adds must not become a second length. */
START_TEST(test_one_length)
{
    struct codec_log l;
    client(&l);
    struct headers h = LIST(&l, ":method", "POST", ":authority", "a", ":path", "/",
                            "content-length", "2", "content-length", "3");
    l.codec->ops->send_headers(l.stream, &h, false);
    send_body(&l, "ok", true);
    ck_assert_str_eq(codec_log_output(&l),
                     "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok");
    codec_log_fini(&l);
}
END_TEST

START_TEST(test_informational_then_final)
{
    struct codec_log l;
    server(&l, GET);
    struct headers c = LIST(&l, ":status", "100");
    struct headers h = LIST(&l, ":status", "200");
    l.codec->ops->send_informational(l.stream, &c);
    l.codec->ops->send_headers(l.stream, &h, true);
    ck_assert_str_eq(codec_log_output(&l), "HTTP/1.1 100 Continue\r\n\r\n"
                                           "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    codec_log_fini(&l);
}
END_TEST

START_TEST(test_drain_says_close)
{
    struct codec_log l;
    server(&l, GET);
    l.codec->ops->drain(l.codec);
    struct headers h = LIST(&l, ":status", "200");
    l.codec->ops->send_headers(l.stream, &h, true);
    ck_assert_str_eq(codec_log_output(&l),
                     "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    ck_assert(!l.codec->ops->reusable(l.codec));
    codec_log_fini(&l);
}
END_TEST

/* E 2019-18801: every size around a chunk's end, through the fast and the piecewise writer. */
START_TEST(test_head_sizes_around_chunk_ends)
{
    static char value[CHUNK_SIZE + 600];
    memset(value, 'v', sizeof(value));
    for (size_t n = CHUNK_SIZE - 500; n < CHUNK_SIZE + 100; n++) {
        struct codec_log l;
        client(&l);
        buffer_add_str(&l.out, "before");
        struct headers h = LIST(&l, ":method", "GET", ":authority", "a", ":path", "/");
        headers_add(&h, BYTES("x"), bytes_from(value, n));
        l.codec->ops->send_headers(l.stream, &h, true);
        ck_assert_uint_eq(l.out.len, strlen("beforeGET / HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n") + n);
        char end[4];
        buffer_copy(&l.out, l.out.len - 4, end, 4);
        ck_assert_mem_eq(end, "\r\n\r\n", 4);
        codec_log_fini(&l);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codec_h1_encode");
    TCase *t = tcase_create("encode");
    tcase_add_test(t, test_response_bodies);
    tcase_add_test(t, test_requests);
    tcase_add_test(t, test_body_longer_or_shorter_than_declared);
    tcase_add_test(t, test_cve_2023_27491_value_cannot_split);
    tcase_add_test(t, test_bytes_at_every_place_of_a_value);
    tcase_add_test(t, test_target_cannot_split);
    tcase_add_test(t, test_bytes_at_every_place_of_a_target);
    tcase_add_test(t, test_target_that_is_the_authority);
    tcase_add_test(t, test_one_length);
    tcase_add_test(t, test_informational_then_final);
    tcase_add_test(t, test_drain_says_close);
    tcase_add_test(t, test_head_sizes_around_chunk_ends);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
