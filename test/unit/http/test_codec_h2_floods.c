#include "h2_pair.h"

#include <stdlib.h>

#define GET ":method: GET\n:scheme: http\n:authority: a.test\n:path: /\n"
#define POST ":method: POST\n:scheme: http\n:authority: a.test\n:path: /\n"

#define CONTROL "codec_error:Too_many_control_frames_in_the_outbound_queue."
#define OUTBOUND "codec_error:Too_many_frames_in_the_outbound_queue."

enum { ENHANCE_YOUR_CALM = 11, FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4 };
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONT };

static void open_server(struct h2_pair *p, struct buffer *b)
{
    h2_pair_open_server(p);
    buffer_init(b, p->chunks);
    h2_preface(b);
}

static void expect_goaway(struct h2_pair *p, const char *details, uint32_t expected)
{
    uint32_t code = 0;
    ck_assert(!p->server.open);
    ck_assert_ptr_nonnull(p->server.error);
    ck_assert_str_eq(p->server.error->details, details);
    ck_assert_int_eq(h2_sent(&p->server, GOAWAY, &code), 0);
    ck_assert_uint_eq(code, expected);
}

static void fini(struct h2_pair *p, struct buffer *b)
{
    buffer_fini(b);
    h2_pair_fini(p);
}

START_TEST(test_empty_frames)
{
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    open_server(&p, &b);
    h2_frame_headers(&b, 1, FLAG_END_HEADERS, POST);
    h2_frame(&b, DATA, 0, 1, NULL, 0);
    h2_frame(&b, DATA, 0, 1, "x", 1);
    h2_frame(&b, DATA, 0, 1, NULL, 0);
    ck_assert(h2_feed(&p.server, &b));
    h2_frame(&b, DATA, 8, 1, "\3\0\0\0", 4); /* padding only */
    h2_feed(&p.server, &b);
    expect_goaway(&p, "codec_error:Too_many_consecutive_frames_with_an_empty_payload",
                  ENHANCE_YOUR_CALM);
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_INBOUND_EMPTY_FRAMES_FLOOD], 1);
    fini(&p, &b);
}
END_TEST

START_TEST(test_priority_frames)
{
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    open_server(&p, &b);
    p.server.answer = _i > 0;
    if (_i) /* on a stream that has ended, or goes on */
        h2_frame_headers(&b, 1, _i == 1 ? 5 : 4, POST);
    for (int i = 0; i < 100 + (_i ? 100 : 0); i++)
        h2_frame(&b, PRIORITY, 0, 1, "\0\0\0\3\1", 5);
    ck_assert(h2_feed(&p.server, &b));
    h2_frame(&b, PRIORITY, 0, 1, "\0\0\0\3\1", 5);
    h2_feed(&p.server, &b);
    expect_goaway(&p, "codec_error:Too_many_PRIORITY_frames", ENHANCE_YOUR_CALM);
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_INBOUND_PRIORITY_FRAMES_FLOOD], 1);
    fini(&p, &b);
}
END_TEST

START_TEST(test_window_updates)
{
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    open_server(&p, &b);
    h2_frame_headers(&b, 1, FLAG_END_HEADERS, POST);
    for (int i = 0; i < 7; i++)
        h2_frame(&b, WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
    ck_assert(h2_feed(&p.server, &b));
    h2_frame(&b, WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
    h2_feed(&p.server, &b);
    expect_goaway(&p, "codec_error:Too_many_WINDOW_UPDATE_frames", ENHANCE_YOUR_CALM);
    fini(&p, &b);
}
END_TEST

/* A peer that asks and does not read the answers. */
START_TEST(test_control_frames)
{
    static const unsigned types[] = {PING, SETTINGS};
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    open_server(&p, &b);
    h2_feed(&p.server, &b);
    p.server.room = 0;
    unsigned type = types[_i];
    for (int i = 0; i < 1000; i++)
        h2_frame(&b, type, 0, 0, "12345678", type == PING ? 8 : 0);
    ck_assert(h2_feed(&p.server, &b));
    h2_frame(&b, type, 0, 0, "12345678", type == PING ? 8 : 0);
    p.server.room = SIZE_MAX;
    h2_feed(&p.server, &b);
    expect_goaway(&p, CONTROL, ENHANCE_YOUR_CALM);
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_OUTBOUND_CONTROL_FLOOD], 1);
    fini(&p, &b);
}
END_TEST

/* One who reads them may ask as often as he likes. */
START_TEST(test_pings_that_are_answered)
{
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    open_server(&p, &b);
    for (int i = 0; i < 5000; i++) {
        h2_frame(&b, PING, 0, 0, "12345678", 8);
        ck_assert(h2_feed(&p.server, &b));
    }
    fini(&p, &b);
}
END_TEST

/* Requests that are given up before they went out are no frames, whatever their number. */
START_TEST(test_requests_given_up_unsent)
{
    struct h2_pair p;
    h2_pair_init(&p);
    p.h2.max_outbound_control = 10;
    h2_pair_open(&p);
    for (int i = 0; i < 100; i++) {
        struct h2_seen *c = h2_request(&p, GET, true);
        p.client.codec->ops->stream_reset(c->stream, 8);
        h2_pair_run(&p, 0);
        ck_assert(p.client.open);
    }
    ck_assert_int_eq(p.client.counts[STAT_HTTP2_OUTBOUND_CONTROL_FRAMES_ACTIVE], 0);
    ck_assert_uint_eq(p.server.n_seen, 0);
    h2_pair_fini(&p);
}
END_TEST

START_TEST(test_settings_entries)
{
    struct h2_pair p;
    struct buffer b;
    static char entries[6 * 2000];
    h2_pair_init(&p);
    open_server(&p, &b);
    h2_frame(&b, SETTINGS, 0, 0, entries, sizeof(entries));
    ck_assert(!h2_feed(&p.server, &b));
    fini(&p, &b);
}
END_TEST

/* CONTINUATION without end: the limit of headers stops it, and nothing of it is kept. */
START_TEST(test_continuations)
{
    struct h2_pair p;
    struct buffer b;
    char block[1024];
    size_t n = h2_literals(block, sizeof(block), GET);
    h2_pair_init(&p);
    open_server(&p, &b);
    h2_frame(&b, HEADERS, FLAG_END_STREAM, 1, block, n);
    n = h2_literals(block, sizeof(block), "x: 1\n");
    int sent = 0;
    while (sent < 1000 && p.server.open) {
        h2_frame(&b, CONT, 0, 1, block, n);
        sent++;
        h2_feed(&p.server, &b);
    }
    ck_assert_int_lt(sent, 40);
    expect_goaway(&p, "http2.too_many_headers", ENHANCE_YOUR_CALM);
    ck_assert_uint_lt(arena_size(p.server.arena), 100000);
    fini(&p, &b);
}
END_TEST

/* 100 fields with the four pseudo headers, cookies among them; what is dropped counts too. */
START_TEST(test_header_count)
{
    static const char *const fields[] = {"x: 1\n", "cookie: a\n", "a_b: 1\n"};
    for (int extra = 0; extra < 2; extra++) {
        struct h2_pair p;
        struct buffer b;
        struct strbuf lines = STRBUF_INIT;
        h2_pair_init(&p);
        p.server_options.underscores = CODEC_UNDERSCORES_DROP;
        open_server(&p, &b);
        strbuf_add_str(&lines, GET);
        for (int i = 0; i < 96 + extra; i++)
            strbuf_add_str(&lines, fields[_i]);
        strbuf_add(&lines, "", 1);
        h2_frame_headers(&b, 1, 5, strbuf_bytes(&lines).data);
        ck_assert(h2_feed(&p.server, &b));
        ck_assert_int_eq(h2_sent(&p.server, RST_STREAM, NULL), extra ? 1 : -1);
        ck_assert_int_eq(p.server.counts[STAT_HTTP2_HEADER_OVERFLOW], extra);
        ck_assert_int_eq(strstr(h2_text(&p.server), "head|") != NULL, !extra);
        strbuf_fini(&lines);
        fini(&p, &b);
    }
}
END_TEST

/* A large field put into the table once and named many times: decoded bytes are what counts. */
START_TEST(test_hpack_bomb)
{
    static const char *const names[] = {"x", "cookie", "host"};
    struct h2_pair p;
    struct buffer b;
    char block[8000];
    h2_pair_init(&p);
    p.server_options.max_headers_count = 30000;
    open_server(&p, &b);
    size_t n = h2_literals(block, sizeof(block), GET);
    size_t name_len = strlen(names[_i]);
    block[n++] = 0x40; /* with indexing */
    block[n++] = (char)name_len;
    memcpy(block + n, names[_i], name_len);
    n += name_len;
    block[n++] = 127;
    block[n++] = (char)(0x80 | ((3000 - 127) & 127));
    block[n++] = (char)((3000 - 127) >> 7);
    memset(block + n, 'a', 3000);
    n += 3000;
    memset(block + n, 0x80 | 62, 4000);
    n += 4000;
    h2_frame(&b, HEADERS, 5, 1, block, n);
    h2_feed(&p.server, &b);
    bool host = _i == 2; /* a second one is wrong by itself */
    ck_assert_int_eq(p.server.open, !host);
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_HEADER_LIST_TOO_LARGE], !host);
    ck_assert_uint_lt(arena_size(p.server.arena), 200000);
    fini(&p, &b);
}
END_TEST

/* More streams than were allowed: refused while the client may not know of the limit, an error once
 * it has acknowledged it. No stream object is made for them. */
START_TEST(test_streams_beyond_the_limit)
{
    struct h2_pair p;
    struct buffer b;
    uint32_t code = 0;
    h2_pair_init(&p);
    p.h2.max_concurrent_streams = 10;
    open_server(&p, &b);
    buffer_drain(&b, b.len);
    buffer_add_str(&b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    h2_frame(&b, SETTINGS, 0, 0, NULL, 0);
    for (uint32_t i = 0; i < 11; i++)
        h2_frame_headers(&b, 2 * i + 1, FLAG_END_HEADERS, POST);
    ck_assert(h2_feed(&p.server, &b));
    ck_assert_int_eq(h2_sent(&p.server, RST_STREAM, &code), 21);
    ck_assert_uint_eq(code, 7);
    h2_frame(&b, SETTINGS, 1, 0, NULL, 0);
    h2_frame_headers(&b, 23, FLAG_END_HEADERS, POST);
    ck_assert(!h2_feed(&p.server, &b));
    ck_assert_int_eq(h2_sent(&p.server, GOAWAY, &code), 0);
    ck_assert_uint_eq(p.server.n_seen, 10);
    fini(&p, &b);
}
END_TEST

/* A stream that we, or nghttp2 by itself, are made to reset; `given_up`: then by the peer, too, so
 * that it may begin the next. */
static const struct {
    const char *head, *body, *details;
    bool given_up;
    enum http2_stat counted;
    int allowed;
} resets[] = {
    {GET, NULL, CONTROL, false, STAT_HTTP2_OUTBOUND_CONTROL_FLOOD, 20},
    {POST "x: 1\nx: 2\nx: 3\n", NULL, CONTROL, true, STAT_HTTP2_OUTBOUND_CONTROL_FLOOD, 20},
    {POST "A: upper\n", NULL, CONTROL, true, STAT_HTTP2_OUTBOUND_CONTROL_FLOOD, 20},
    {POST "content-length: 1\n", "two", OUTBOUND, true, STAT_HTTP2_OUTBOUND_FLOOD, 40},
};

/* A peer that has its streams refused or reset and does not read of it. */
START_TEST(test_resets_that_nobody_reads)
{
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    p.h2.max_concurrent_streams = 2;
    p.h2.max_outbound_control = 20;
    p.h2.max_outbound_frames = 40;
    p.h2.stream_error = true;
    p.server_options.max_headers_count = 6;
    open_server(&p, &b);
    buffer_drain(&b, b.len);
    buffer_add_str(&b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    h2_frame(&b, SETTINGS, 0, 0, NULL, 0); /* ours is not acknowledged */
    uint32_t id = 1;
    for (; !resets[_i].given_up && id < 5; id += 2)
        h2_frame_headers(&b, id, FLAG_END_HEADERS, POST);
    ck_assert(h2_feed(&p.server, &b));
    p.server.room = 0;
    int n = 0;
    for (; n <= resets[_i].allowed && p.server.open; id += 2, n++) {
        h2_frame_headers(&b, id, FLAG_END_HEADERS, resets[_i].head);
        if (resets[_i].body)
            h2_frame(&b, DATA, FLAG_END_STREAM, id, resets[_i].body, strlen(resets[_i].body));
        if (resets[_i].given_up)
            h2_frame(&b, RST_STREAM, 0, id, "\0\0\0\10", 4);
        if (n == resets[_i].allowed)
            p.server.room = SIZE_MAX;
        h2_feed(&p.server, &b);
    }
    ck_assert_int_eq(n, resets[_i].allowed + 1);
    expect_goaway(&p, resets[_i].details, ENHANCE_YOUR_CALM);
    ck_assert_int_eq(p.server.counts[resets[_i].counted], 1);
    fini(&p, &b);
}
END_TEST

/* What the client had sent before it knew that its stream was reset is late, not wrong. */
START_TEST(test_late_frames)
{
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    p.h2.stream_error = true;
    p.server_options.max_headers_count = 6;
    open_server(&p, &b);
    h2_frame_headers(&b, 1, FLAG_END_HEADERS, resets[_i].head);
    if (resets[_i].body)
        h2_frame(&b, DATA, 0, 1, resets[_i].body, strlen(resets[_i].body));
    ck_assert(h2_feed(&p.server, &b));
    ck_assert_int_eq(h2_sent(&p.server, RST_STREAM, NULL), 1);
    h2_frame(&b, DATA, FLAG_END_STREAM, 1, "late", 4);
    ck_assert(h2_feed(&p.server, &b));
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_OUTBOUND_CONTROL_FRAMES_ACTIVE], 0);
    fini(&p, &b);
}
END_TEST

/* A window that overflows costs its stream; the connection's costs the connection. */
START_TEST(test_window_overflow)
{
    struct h2_pair p;
    struct buffer b;
    uint32_t code = 0;
    h2_pair_init(&p);
    open_server(&p, &b);
    h2_frame_headers(&b, 1, FLAG_END_HEADERS, POST);
    h2_frame(&b, WINDOW_UPDATE, 0, 1, "\x7f\xff\xff\xff", 4);
    ck_assert(h2_feed(&p.server, &b));
    ck_assert_int_eq(h2_sent(&p.server, RST_STREAM, &code), 1);
    ck_assert_uint_eq(code, 3);
    h2_frame(&b, WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4);
    ck_assert(!h2_feed(&p.server, &b));
    ck_assert_int_eq(h2_sent(&p.server, GOAWAY, &code), 0);
    ck_assert_uint_eq(code, 3);
    fini(&p, &b);
}
END_TEST

/* RFC 9113 section 5.1: on a stream that has ended, an error; on one that we have reset, late. */
START_TEST(test_closed_streams)
{
    struct h2_pair p;
    struct buffer b;
    uint32_t code = 0;
    h2_pair_init(&p);
    open_server(&p, &b);
    p.server.answer = _i < 4;
    h2_frame_headers(&b, 3, _i < 4 ? 5 : 4, POST);
    if (_i == 2 || _i == 3)
        h2_frame(&b, RST_STREAM, 0, 3, "\0\0\0\10", 4);
    ck_assert(h2_feed(&p.server, &b));
    if (_i >= 4) {
        p.server.codec->ops->stream_reset(p.server.seen[0].stream, 8);
        ck_assert(h2_feed(&p.server, &b));
    }
    if (_i % 2)
        h2_frame_headers(&b, _i == 1 ? 1 : 3, 5, GET);
    else
        h2_frame(&b, DATA, 1, 3, "x", 1);
    ck_assert_int_eq(h2_feed(&p.server, &b), _i >= 4);
    ck_assert_int_eq(h2_sent(&p.server, GOAWAY, &code), _i < 4 ? 0 : -1);
    ck_assert_uint_eq(code, _i < 4 ? 5 : 0);
    fini(&p, &b);
}
END_TEST

/* Frames that nobody may send end the connection with a GOAWAY. */
static const struct {
    unsigned type, flags;
    uint32_t stream;
    const char *payload;
    size_t len;
} wrong[] = {
    {DATA, 0, 0, "x", 1},
    {DATA, 0, 1, "x", 1},
    {RST_STREAM, 0, 0, "\0\0\0\0", 4},
    {RST_STREAM, 0, 1, "\0", 1},
    {SETTINGS, 0, 1, "", 0},
    {SETTINGS, 1, 0, "123456", 6},
    {SETTINGS, 0, 0, "1234", 4},
    {PUSH, 4, 1, "\0\0\0\2", 4},
    {PING, 0, 0, "1", 1},
    {PING, 0, 1, "12345678", 8},
    {GOAWAY, 0, 1, "12345678", 8},
    {WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4},
    {WINDOW_UPDATE, 0, 0, "1", 1},
    {CONT, 4, 1, "", 0},
    {HEADERS, 5, 2, "\x82", 1},
    {HEADERS, 5, 0, "\x82", 1},
    {HEADERS, 5, 1, "\xff\xff\xff\xff\xff", 5},
};

START_TEST(test_wrong_frame)
{
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    open_server(&p, &b);
    h2_frame(&b, wrong[_i].type, wrong[_i].flags, wrong[_i].stream, wrong[_i].payload,
             wrong[_i].len);
    ck_assert(!h2_feed(&p.server, &b));
    ck_assert_int_eq(h2_sent(&p.server, GOAWAY, NULL), 0);
    ck_assert_ptr_nonnull(p.server.error);
    fini(&p, &b);
}
END_TEST

START_TEST(test_wrong_preface)
{
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    h2_pair_open_server(&p);
    buffer_init(&b, p.chunks);
    buffer_add_str(&b, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    ck_assert(!h2_feed(&p.server, &b));
    fini(&p, &b);
}
END_TEST

/* Unknown frames and flags are nothing. */
START_TEST(test_unknown_frames)
{
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    open_server(&p, &b);
    for (unsigned type = 12; type < 256; type++)
        h2_frame(&b, type, type, type % 3, "abc", type % 4);
    h2_frame_headers(&b, 1, 5 | 0x80, GET);
    ck_assert(h2_feed(&p.server, &b));
    ck_assert_ptr_nonnull(strstr(h2_text(&p.server), "1 end"));
    fini(&p, &b);
}
END_TEST

/* An upstream may not push, nor answer what was not asked, nor flood with heads. */
START_TEST(test_hostile_upstream)
{
    static const unsigned types[] = {PUSH, HEADERS};
    struct h2_pair p;
    struct buffer b;
    char block[64] = "\0\0\0\2";
    h2_pair_init(&p);
    h2_pair_open_client(&p);
    buffer_init(&b, p.chunks);
    h2_frame(&b, SETTINGS, 0, 0, NULL, 0);
    h2_frame(&b, SETTINGS, 1, 0, NULL, 0);
    h2_request(&p, GET, true);
    ck_assert(h2_feed(&p.client, &b));
    size_t at = types[_i] == PUSH ? 4 : 0;
    size_t n = at + h2_literals(block + at, sizeof(block) - at, ":status: 200\n");
    h2_frame(&b, types[_i], 4, types[_i] == PUSH ? 1 : 3, block, n);
    ck_assert(!h2_feed(&p.client, &b));
    ck_assert_int_eq(h2_sent(&p.client, GOAWAY, NULL), 0);
    fini(&p, &b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codec_h2_floods");
    TCase *t = tcase_create("floods");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_empty_frames);
    tcase_add_loop_test(t, test_priority_frames, 0, 3);
    tcase_add_test(t, test_window_updates);
    tcase_add_loop_test(t, test_control_frames, 0, 2);
    tcase_add_test(t, test_pings_that_are_answered);
    tcase_add_test(t, test_requests_given_up_unsent);
    tcase_add_test(t, test_settings_entries);
    tcase_add_test(t, test_continuations);
    tcase_add_loop_test(t, test_header_count, 0, 3);
    tcase_add_loop_test(t, test_hpack_bomb, 0, 3);
    tcase_add_test(t, test_streams_beyond_the_limit);
    tcase_add_loop_test(t, test_resets_that_nobody_reads, 0, (int)ARRAY_SIZE(resets));
    tcase_add_loop_test(t, test_late_frames, 1, (int)ARRAY_SIZE(resets));
    tcase_add_test(t, test_window_overflow);
    tcase_add_loop_test(t, test_wrong_frame, 0, (int)ARRAY_SIZE(wrong));
    tcase_add_loop_test(t, test_closed_streams, 0, 6);
    tcase_add_test(t, test_wrong_preface);
    tcase_add_test(t, test_unknown_frames);
    tcase_add_loop_test(t, test_hostile_upstream, 0, 2);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
