/* Messages with random damage, read whole and in random pieces: the events must be the same, every
 * call must consume or wait, and nothing may be read or written out of bounds. */
#include <check.h>
#include <stdlib.h>

#include "base/random.h"
#include "codec_log.h"

static const char *const requests[] = {
    "GET /x HTTP/1.1\r\nHost: a.test\r\nX-Foo: bar\r\n\r\n",
    "POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: "
    "b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
    "\r\nOPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
    "GET http://u@b:1/p HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
};
static const char *const responses[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
     "5 \r\nhello\r\n0\r\nt: 1\r\n\r\n"),
    "HTTP/1.0 404 Not Found\nx: 1\n 2\n\nuntil the end",
    "HTTP/1.1 204 No Content\r\n\r\n",
};

static size_t damage(struct random_source *r, char *text, size_t len, size_t cap)
{
    static const char bytes[] = "\r\n\0\t :;,/?#[]0123456789abcdefxX\x7f\x80\xff";
    for (uint64_t n = random_below(r, 5); n > 0; n--) {
        size_t at = random_below(r, len);
        char c = bytes[random_below(r, sizeof(bytes) - 1)];
        switch (random_below(r, 4)) {
        case 0:
            text[at] = c;
            break;
        case 1:
            memmove(text + at, text + at + 1, len - at - 1);
            len -= len > 1;
            break;
        case 2:
            if (len < cap) {
                memmove(text + at + 1, text + at, len - at);
                text[at] = c;
                len++;
            }
            break;
        default: { /* a run of the message again */
            size_t run = random_below(r, 20);
            if (at + run <= len && len + run <= cap) {
                memmove(text + at + run, text + at, len - at);
                len += run;
            }
        }
        }
    }
    return len;
}

static void start(struct codec_log *l, bool client)
{
    struct codec_options o = client ? codec_log_client : codec_log_server;
    o.accept_http_10 = true;
    codec_log_init(l, &o);
    l->answer = !client;
    if (!client)
        return;
    l->stream = l->codec->ops->stream_new(l->codec, l, &l->headers);
    l->codec->ops->set_trailers(l->stream, &l->trailers);
    struct headers h;
    headers_init(&h, l->arena);
    headers_add_id(&h, HEADER_METHOD, BYTES("GET"));
    headers_add_id(&h, HEADER_PATH, BYTES("/"));
    l->codec->ops->send_headers(l->stream, &h, true);
}

static void feed_in_pieces(struct codec_log *l, struct random_source *r, struct bytes text)
{
    while (text.len) {
        struct bytes part = bytes_first(text, 1 + random_below(r, 9));
        text = bytes_skip(text, part.len);
        if (!codec_log_feed(l, part, 0))
            return;
    }
}

static void compare(struct random_source *r, struct bytes text, bool client)
{
    struct codec_log whole, pieces;
    start(&whole, client);
    start(&pieces, client);
    codec_log_feed(&whole, text, 0);
    feed_in_pieces(&pieces, r, text);
    whole.codec->ops->input_eof(whole.codec);
    pieces.codec->ops->input_eof(pieces.codec);
    const char *a = strbuf_str(&whole.text), *b = strbuf_str(&pieces.text);
    /* Body bytes before damage in the framing may come or not; what was decided may not differ. */
    bool same = strcmp(a, b) == 0;
    if (!same && whole.error && pieces.error)
        same = whole.error == pieces.error && whole.begun == pieces.begun;
    ck_assert_msg(same, "input:\n%.*s\nwhole:\n%s\npieces:\n%s", BYTES_ARG(text), a, b);
    codec_log_fini(&whole);
    codec_log_fini(&pieces);
}

START_TEST(test_damaged_messages)
{
    struct random_source r;
    random_seed(&r, 20261125);
    for (int i = 0; i < 100000; i++) {
        char text[512];
        bool client = random_below(&r, 3) == 0;
        const char *base = client ? responses[random_below(&r, ARRAY_SIZE(responses))]
                                  : requests[random_below(&r, ARRAY_SIZE(requests))];
        size_t len = strlen(base);
        memcpy(text, base, len);
        len = damage(&r, text, len, sizeof(text));
        compare(&r, bytes_from(text, len), client);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codec_h1_random");
    TCase *t = tcase_create("random");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_damaged_messages);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
