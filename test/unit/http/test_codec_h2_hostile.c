/* What section 3.1 of the security catalogue asks beyond single floods: frames in any order, more
 * after an error, streams after a GOAWAY, the smallest frames. Each seed is a walk of its own. */
#include "h2_pair.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"

#define POST ":method: POST\n:scheme: http\n:authority: a.test\n:path: /\n"
#define TRAILERS "x-end: 1\n"

enum { FLAG_END_HEADERS = 4, WALKS = 40, STEPS = 300 };
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONT };

static struct h2_pair p;
static struct buffer b;

static void set_up(void)
{
    h2_pair_init(&p);
    p.server.quiet = true;
}

static void open_server(void)
{
    h2_pair_open_server(&p);
    buffer_init(&b, p.chunks);
    h2_preface(&b);
}

static void tear_down(void)
{
    buffer_fini(&b);
    h2_pair_fini(&p);
}

/* A frame of a random kind on one of a few streams, most of them as a peer may send them. */
static void add_random_frame(struct random_source *r, uint32_t *next)
{
    uint32_t id = 1 + 2 * (uint32_t)random_below(r, 4);
    unsigned flags = (unsigned)random_below(r, 2);
    switch (random_below(r, 12)) {
    case 0:
    case 1:
        h2_frame_headers(&b, *next, FLAG_END_HEADERS | flags, POST);
        *next += 2;
        break;
    case 2:
        h2_frame_headers(&b, id, FLAG_END_HEADERS | flags, TRAILERS); /* often not the end */
        break;
    case 3:
        h2_frame(&b, RST_STREAM, 0, id, "\0\0\0\10", 4);
        break;
    case 4:
        h2_frame(&b, WINDOW_UPDATE, 0, flags ? id : 0, "\0\0\1\0", 4);
        break;
    case 5:
        h2_frame(&b, PING, flags, 0, "12345678", 8);
        break;
    case 6:
        h2_frame(&b, SETTINGS, 0, 0, "\0\4\0\0\20\0", 6);
        break;
    case 7:
        h2_frame(&b, 0x4d, flags, id, "meta", random_below(r, 5)); /* METADATA and the like */
        break;
    default:
        h2_frame(&b, DATA, flags, id, "hello", random_below(r, 6));
        break;
    }
}

/* Whatever comes: a stream is told of in order, ends once, and nothing follows an error. */
START_TEST(test_walk)
{
    struct random_source r;
    uint32_t next = 1;
    random_seed(&r, (uint64_t)_i + 1);
    open_server();
    p.server.answer = _i % 2;
    bool open = true;
    for (int step = 0; step < STEPS && open; step++) {
        add_random_frame(&r, &next);
        open = h2_feed(&p.server, &b);
        unsigned streams = p.server.n_seen;
        if (!open) {
            ck_assert_ptr_nonnull(p.server.error);
            h2_frame_headers(&b, next, 5, POST);
            ck_assert(!h2_feed(&p.server, &b));
            ck_assert_uint_eq(p.server.n_seen, streams);
        }
        ck_assert_uint_le(codec_mux(p.server.codec)->open_streams, 100);
        for (unsigned i = 0; i < streams; i++) {
            struct h2_seen *s = &p.server.seen[i];
            char end[32], reset[32];
            snprintf(end, sizeof(end), "\n%u end\n", s->number);
            snprintf(reset, sizeof(reset), "\n%u reset ", s->number);
            const char *text = strbuf_str(&p.server.text), *at = strstr(text, end);
            ck_assert_msg(!at || !strstr(at + 1, end), "stream %u ends twice", s->number);
            ck_assert_msg(!at || p.server.answer || !strstr(at, reset) || !strstr(text, reset) ||
                              strstr(text, reset) > at,
                          "stream %u ends after its reset", s->number);
        }
    }
}
END_TEST

/* CVE-2026-27135: a session that has ended is fed on, byte by byte. */
START_TEST(test_more_after_an_error)
{
    static const struct {
        unsigned type, flags;
        uint32_t stream;
        size_t len;
    } wrong[] = {
        {PING, 0, 0, 1},   {SETTINGS, 0, 0, 5}, {RST_STREAM, 0, 0, 4}, {WINDOW_UPDATE, 0, 1, 3},
        {PUSH, 4, 1, 4},   {CONT, 4, 1, 0},     {DATA, 0, 0, 1},       {HEADERS, 5, 2, 1},
        {GOAWAY, 0, 1, 8}, {PRIORITY, 0, 1, 4},
    };
    static const char payload[16];
    open_server();
    h2_frame_headers(&b, 1, FLAG_END_HEADERS, POST);
    ck_assert(h2_feed(&p.server, &b));
    h2_frame(&b, wrong[_i].type, wrong[_i].flags, wrong[_i].stream, payload, wrong[_i].len);
    bool stream_only = wrong[_i].type == PRIORITY || wrong[_i].type == WINDOW_UPDATE;
    ck_assert(!h2_feed(&p.server, &b) || stream_only);
    for (unsigned i = 0; i < 600; i++) {
        buffer_add(&b, &"\0\0\10\6\0\0\0\0\0\0\0\0\0\0\0\0\0"[i % 17], 1);
        h2_feed(&p.server, &b);
        buffer_drain(&b, b.len);
    }
    ck_assert_uint_eq(p.server.n_seen, 1);
    ck_assert_ptr_null(strstr(strbuf_str(&p.server.text), "1 end"));
}
END_TEST

/* CVE-2019-9516: names without a byte cost their stream. */
START_TEST(test_empty_names)
{
    char block[512];
    uint32_t code = 0;
    p.h2.stream_error = true;
    open_server();
    size_t n = h2_literals(block, sizeof(block), POST);
    for (int i = 0; i < 50; i++, n += 4)
        memcpy(block + n, "\0\0\1x", 4);
    h2_frame(&b, HEADERS, FLAG_END_HEADERS, 1, block, n);
    ck_assert(h2_feed(&p.server, &b));
    ck_assert_int_eq(h2_sent(&p.server, RST_STREAM, &code), 1);
    ck_assert_ptr_null(strstr(strbuf_str(&p.server.text), "1 head"));
}
END_TEST

/* CVE-2023-35945: streams that come after our GOAWAY and are reset leave nothing behind. */
START_TEST(test_streams_after_goaway)
{
    open_server();
    h2_frame_headers(&b, 1, FLAG_END_HEADERS, POST);
    ck_assert(h2_feed(&p.server, &b));
    p.server.codec->ops->goaway(p.server.codec);
    p.server.codec->ops->flush(p.server.codec, SIZE_MAX);
    size_t before = arena_size(p.server.arena);
    for (uint32_t id = 3; id < 8003; id += 2) {
        h2_frame_headers(&b, id, FLAG_END_HEADERS, POST);
        h2_frame(&b, RST_STREAM, 0, id, "\0\0\0\10", 4);
        ck_assert(h2_feed(&p.server, &b));
    }
    ck_assert_uint_eq(p.server.n_seen, 1);
    ck_assert_uint_eq(codec_mux(p.server.codec)->open_streams, 1);
    ck_assert_uint_eq(arena_size(p.server.arena), before);
}
END_TEST

/* CVE-2020-12603: a body of one-byte frames takes the memory of its bytes, not of its frames. */
START_TEST(test_smallest_frames)
{
    struct buffer kept;
    open_server();
    buffer_init(&kept, p.chunks);
    p.server.kept = &kept;
    h2_frame_headers(&b, 1, FLAG_END_HEADERS, POST);
    ck_assert(h2_feed(&p.server, &b));
    for (int i = 0; i < 50000; i++) {
        h2_frame(&b, DATA, 0, 1, "x", 1);
        ck_assert(h2_feed(&p.server, &b));
    }
    ck_assert_uint_eq(kept.len, 50000);
    ck_assert_uint_le(p.chunks->live_chunks, 50000 / CHUNK_SIZE + 3);
    buffer_fini(&kept);
}
END_TEST

/* CVE-2021-32780: an upstream that allows nothing, and goes. */
START_TEST(test_upstream_allows_nothing)
{
    h2_pair_open_client(&p);
    buffer_init(&b, p.chunks);
    h2_frame(&b, SETTINGS, 0, 0, "\0\3\0\0\0\0", 6);
    h2_frame(&b, SETTINGS, 1, 0, NULL, 0);
    ck_assert(h2_feed(&p.client, &b));
    ck_assert_uint_eq(codec_mux(p.client.codec)->max_streams, 0);
    h2_request(&p, POST, false); /* the pool would not; the codec holds it back */
    p.client.codec->ops->flush(p.client.codec, SIZE_MAX);
    ck_assert_int_eq(h2_sent(&p.client, HEADERS, NULL), -1);
    h2_frame(&b, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
    ck_assert(!h2_feed(&p.client, &b)); /* over: its owner ends the connection, and the stream */
    ck_assert_uint_eq(p.client.no_more, 1);
    ck_assert_int_eq(h2_sent(&p.client, HEADERS, NULL), -1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codec_h2_hostile");
    TCase *t = tcase_create("hostile");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, test_walk, 0, WALKS);
    tcase_add_loop_test(t, test_more_after_an_error, 0, 10);
    tcase_add_test(t, test_empty_names);
    tcase_add_test(t, test_streams_after_goaway);
    tcase_add_test(t, test_smallest_frames);
    tcase_add_test(t, test_upstream_allows_nothing);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
