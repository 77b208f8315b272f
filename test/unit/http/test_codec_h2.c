#include "h2_pair.h"

#include <stdio.h>
#include <stdlib.h>

#define GET ":method: GET\n:scheme: http\n:authority: a.test\n:path: /\n"
#define POST ":method: POST\n:scheme: http\n:authority: a.test\n:path: /\n"
#define GOT_GET "head|:method=GET|:scheme=http|:authority=a.test|:path=/"

static void answer(struct h2_seen *n, const char *lines, bool end)
{
    struct headers h;
    h2_headers(n->side, &h, lines);
    n->side->codec->ops->send_headers(n->stream, &h, end);
}

static void trailers(struct h2_seen *n, const char *lines)
{
    struct headers h;
    h2_headers(n->side, &h, lines);
    n->side->codec->ops->send_trailers(n->stream, &h);
}

/* How much is moved at a time: all, or so few bytes that every piece is cut everywhere. */
static const size_t steps[] = {0, 1, 2, 3, 7, 9, 10, 100, 16000};

START_TEST(test_exchange)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    struct h2_seen *c = h2_request(&p, POST "x-a: 1\nconnection: close\nte: trailers\n", false);
    h2_body(c, 3, false);
    trailers(c, "t: v\n");
    h2_pair_run(&p, steps[_i]);
    ck_assert_str_eq(
        h2_text(&p.server),
        "1 head|:method=POST|:scheme=http|:authority=a.test|:path=/|x-a=1|te=trailers\n"
        "1 body xxx\n1 trailers|t=v\n1 end\n");
    struct h2_seen *s = &p.server.seen[0];
    struct headers early;
    h2_headers(&p.server, &early, ":status: 103\nlink: x\n");
    p.server.codec->ops->send_informational(s->stream, &early);
    answer(s, ":status: 200\nb: 2\n", false);
    h2_body(s, 2, false);
    trailers(s, "grpc-status: 0\n");
    h2_pair_run(&p, steps[_i]);
    ck_assert_str_eq(h2_text(&p.client), "1 head|:status=103|link=x\n1 head|:status=200|b=2\n"
                                         "1 body xx\n1 trailers|grpc-status=0\n1 end\n");
    ck_assert_uint_eq(codec_mux(p.server.codec)->open_streams, 0);
    ck_assert_uint_eq(codec_mux(p.client.codec)->open_streams, 0);
    ck_assert(p.server.open && p.client.open);
    h2_pair_fini(&p);
}
END_TEST

START_TEST(test_many_streams_and_large_bodies)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    p.server.quiet = p.client.quiet = p.server.answer = true;
    for (int i = 0; i < 20; i++)
        h2_body(h2_request(&p, POST, false), 300000, true);
    h2_pair_run(&p, steps[_i] < 100 ? 100 : steps[_i]);
    ck_assert_uint_eq(p.server.body, 20 * 300000);
    ck_assert_uint_eq(codec_mux(p.client.codec)->open_streams, 0);
    ck_assert_uint_ge(p.client.above, 1);
    ck_assert_uint_eq(p.client.above, p.client.below);
    h2_pair_fini(&p);
}
END_TEST

/* Only what its stream reads is given back: the peer can send one window and no more. */
START_TEST(test_paused_stream_holds_one_window)
{
    struct h2_pair p;
    h2_pair_init(&p);
    p.h2.stream_window = 70000;
    h2_pair_open(&p);
    p.server.quiet = true;
    struct h2_seen *c = h2_request(&p, POST, false);
    h2_pair_run(&p, 0);
    const struct codec_ops *ops = p.server.codec->ops;
    ops->stream_pause(p.server.seen[0].stream, true);
    h2_body(c, 500000, true);
    h2_pair_run(&p, 0);
    ck_assert_uint_eq(p.server.body, 70000);
    ops->stream_pause(p.server.seen[0].stream, false);
    h2_pair_run(&p, 0);
    ck_assert_uint_eq(p.server.body, 500000);
    h2_pair_fini(&p);
}
END_TEST

/* Streams that do not read hold one window of the connection together; reset, they give it back. */
START_TEST(test_connection_window_bounds_all)
{
    struct h2_pair p;
    h2_pair_init(&p);
    p.h2.stream_window = 65535;
    p.h2.connection_window = 100000;
    h2_pair_open(&p);
    p.server.quiet = true;
    struct h2_seen *c[4];
    for (int i = 0; i < 4; i++)
        c[i] = h2_request(&p, POST, false);
    h2_pair_run(&p, 0);
    const struct codec_ops *ops = p.server.codec->ops;
    for (int i = 0; i < 4; i++)
        ops->stream_pause(p.server.seen[i].stream, true);
    for (int i = 0; i < 4; i++)
        h2_body(c[i], 65535, false);
    h2_pair_run(&p, 0);
    ck_assert_uint_eq(p.server.body, 100000);
    for (int i = 0; i < 4; i++)
        ops->stream_reset(p.server.seen[i].stream, 8);
    h2_pair_run(&p, 0);
    p.server.body = 0;
    h2_body(h2_request(&p, POST, false), 65535, true);
    h2_pair_run(&p, 0);
    ck_assert_uint_eq(p.server.body, 65535);
    h2_pair_fini(&p);
}
END_TEST

/* No more frames are made than there is room for. */
START_TEST(test_flush_keeps_to_its_room)
{
    struct h2_pair p;
    h2_pair_init(&p);
    p.h2.stream_window = 1 << 20;
    p.h2.connection_window = 8 << 20;
    h2_pair_open(&p);
    struct h2_seen *c = h2_request(&p, POST, false);
    h2_body(c, 500000, true);
    struct codec *codec = p.client.codec;
    codec->ops->flush(codec, 40000);
    ck_assert_uint_ge(p.client.out.len, 40000);
    ck_assert_uint_le(p.client.out.len, 40000 + 16384 + 9);
    ck_assert(codec_mux(codec)->blocked);
    size_t before = p.client.out.len;
    codec->ops->flush(codec, 40000);
    ck_assert_uint_eq(p.client.out.len, before);
    p.server.quiet = true;
    h2_pair_run(&p, 0);
    ck_assert_uint_eq(p.server.body, 500000);
    ck_assert(!codec_mux(codec)->blocked);
    h2_pair_fini(&p);
}
END_TEST

/* All sessions make their frames in one place: what waits for room lies somewhere else. */
START_TEST(test_frames_of_others_meanwhile)
{
    struct h2_pair p;
    char lines[30100], *end = lines + sprintf(lines, POST "x: ");
    h2_pair_init(&p);
    h2_pair_open(&p);
    p.server.quiet = true;
    struct codec *server = p.server.codec, *client = p.client.codec;
    h2_body(h2_request(&p, POST, false), 30000, true);
    client->ops->flush(client, 10000); /* the second frame is begun */
    ck_assert(codec_mux(client)->blocked);
    server->ops->ping(server);
    server->ops->flush(server, SIZE_MAX);
    h2_pair_run(&p, 0);
    ck_assert_uint_eq(p.server.body, 30000);
    ck_assert_uint_eq(p.server.pings, 1);
    memset(end, '~', 30000); /* of 13 bits each: more than one frame holds */
    memcpy(end + 30000, "\n", 2);
    h2_request(&p, lines, true);
    client->ops->flush(client, 100); /* its CONTINUATION waits */
    ck_assert(codec_mux(client)->blocked);
    server->ops->ping(server);
    server->ops->flush(server, SIZE_MAX);
    h2_pair_run(&p, 0);
    ck_assert(p.server.open && p.client.open);
    ck_assert_uint_eq(p.server.n_seen, 2);
    ck_assert_uint_eq(headers_get_name(&p.server.seen[1].headers, BYTES("x")).len, 30000);
    h2_pair_fini(&p);
}
END_TEST

/* What was answered before a reset goes out before it. */
START_TEST(test_reset_after_an_answer)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    h2_request(&p, GET, true);
    h2_pair_run(&p, 0);
    answer(&p.server.seen[0], ":status: 200\n", false);
    h2_body(&p.server.seen[0], 5, false);
    p.server.codec->ops->stream_reset(p.server.seen[0].stream, 2);
    h2_pair_run(&p, 0);
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "1 head|:status=200"));
    ck_assert_uint_eq(p.client.body, 5);
    ck_assert(p.client.seen[0].reset);
    ck_assert_uint_eq(codec_mux(p.server.codec)->open_streams, 0);
    h2_pair_fini(&p);
}
END_TEST

static struct h2_pair *others;

/* Somebody who tries elsewhere, at once. */
static void open_another(struct h2_side *s)
{
    static const struct codec_callbacks none;
    struct buffer out;
    buffer_init(&out, others->chunks);
    struct codec *c =
        codec_h2_new(&others->client_options, &others->h2, &none, NULL, &out, others->memory);
    c->ops->flush(c, SIZE_MAX);
    ck_assert_uint_gt(out.len, 24);
    c->ops->free(&c);
    buffer_fini(&out);
}

/* nghttp2 tells of a stream's end while the frame that ends it is made and not yet copied. */
START_TEST(test_a_session_opens_while_a_frame_is_made)
{
    struct h2_pair p;
    struct buffer b;
    uint32_t code = 0;
    h2_pair_init(&p);
    p.h2.stream_error = true;
    h2_pair_open_server(&p);
    buffer_init(&b, p.chunks);
    h2_preface(&b);
    h2_frame_headers(&b, 1, 5, POST "A: upper\n");
    others = &p;
    p.server.when_reset = open_another;
    ck_assert(h2_feed(&p.server, &b));
    ck_assert_ptr_nonnull(strstr(h2_text(&p.server), "reset"));
    ck_assert_int_eq(h2_sent(&p.server, 3, &code), 1);
    ck_assert_uint_eq(code, 1);
    buffer_fini(&b);
    h2_pair_fini(&p);
}
END_TEST

/* A frame that was begun is finished although its stream is reset meanwhile. */
START_TEST(test_reset_under_a_begun_frame)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    p.server.quiet = true;
    struct h2_seen *c = h2_request(&p, POST, false);
    h2_body(c, 50000, false);
    p.client.codec->ops->flush(p.client.codec, 20000);
    p.client.codec->ops->stream_reset(c->stream, 8);
    h2_pair_run(&p, 0);
    ck_assert(p.server.open && p.client.open);
    ck_assert_uint_eq(codec_mux(p.client.codec)->open_streams, 0);
    ck_assert(p.server.seen[0].reset);
    p.server.answer = true;
    h2_request(&p, GET, true);
    h2_pair_run(&p, 0);
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "2 head|:status=200\n2 end"));
    h2_pair_fini(&p);
}
END_TEST

/* A whole answer before the end of the request: sent whole, then NO_ERROR. */
START_TEST(test_early_answer)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    struct h2_seen *c = h2_request(&p, POST, false);
    h2_body(c, 10, false);
    h2_pair_run(&p, 0);
    struct h2_seen *s = &p.server.seen[0];
    answer(s, ":status: 413\n", false);
    h2_body(s, 5, true);
    p.server.codec->ops->stream_reset(s->stream, 2);
    h2_pair_run(&p, 0);
    ck_assert_str_eq(h2_text(&p.client),
                     "1 head|:status=413\n1 body xxxxx\n1 end\n1 reset 0 http2.remote_reset\n");
    ck_assert_uint_eq(codec_mux(p.server.codec)->open_streams, 0);
    h2_pair_fini(&p);
}
END_TEST

START_TEST(test_resets)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    struct h2_seen *c = h2_request(&p, POST, false);
    h2_pair_run(&p, 0);
    p.client.codec->ops->stream_reset(c->stream, 8);
    h2_pair_run(&p, 0);
    ck_assert_ptr_nonnull(strstr(h2_text(&p.server), "1 reset 8 http2.remote_reset\n"));
    c = h2_request(&p, POST, false);
    h2_pair_run(&p, 0);
    p.server.codec->ops->stream_reset(p.server.seen[1].stream, 7);
    h2_pair_run(&p, 0);
    ck_assert_ptr_nonnull(strstr(h2_text(&p.client), "2 reset 7 http2.remote_refuse\n"));
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_RX_RESET], 1);
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_TX_RESET], 1);
    h2_request(&p, POST, false); /* given up before a byte of it was framed */
    p.client.codec->ops->stream_reset(p.client.seen[2].stream, 8);
    h2_pair_run(&p, 0);
    ck_assert_uint_eq(codec_mux(p.client.codec)->open_streams, 0);
    h2_pair_fini(&p);
}
END_TEST

/* GOAWAY: notice first; what comes before the second one is served, what comes after is refused by
 * the client itself. */
START_TEST(test_drain)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    struct h2_seen *c = h2_request(&p, POST, false);
    h2_pair_run(&p, 0);
    p.server.codec->ops->drain(p.server.codec);
    h2_pair_run(&p, 0);
    ck_assert_uint_eq(p.client.no_more, 1);
    ck_assert(!p.client.codec->ops->reusable(p.client.codec));
    ck_assert(p.server.open);
    p.server.codec->ops->goaway(p.server.codec);
    answer(&p.server.seen[0], ":status: 200\n", true);
    h2_body(c, 1, true);
    h2_pair_run(&p, 0);
    ck_assert_str_eq(h2_text(&p.client), "1 head|:status=200\n1 end\n");
    ck_assert_uint_eq(codec_mux(p.server.codec)->open_streams, 0);
    h2_request(&p, GET, true);
    h2_pair_run(&p, 0);
    ck_assert_str_eq(h2_text(&p.client), "2 reset 7 http2.remote_refuse\n");
    h2_pair_fini(&p);
}
END_TEST

/* What the GOAWAY does not cover is nobody's here either, though it came before that was written:
 * its client will ask again elsewhere. */
START_TEST(test_request_that_comes_before_the_goaway_is_out)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    h2_request(&p, GET, true);
    h2_pair_run(&p, 0);
    h2_text(&p.server);
    struct h2_seen *c = h2_request(&p, POST, false);
    h2_body(c, 3, true);
    p.client.codec->ops->flush(p.client.codec, SIZE_MAX);
    p.server.codec->ops->goaway(p.server.codec);
    buffer_move(&p.server.in, &p.client.out);
    ck_assert(p.server.codec->ops->input(p.server.codec, &p.server.in));
    ck_assert_str_eq(h2_text(&p.server), "");
    answer(&p.server.seen[0], ":status: 200\n", true);
    h2_pair_run(&p, 0);
    ck_assert_str_eq(h2_text(&p.server), "");
    ck_assert_str_eq(h2_text(&p.client),
                     "2 reset 7 http2.remote_refuse\n1 head|:status=200\n1 end\n");
    ck_assert_uint_eq(codec_mux(p.server.codec)->open_streams, 0);
    h2_pair_fini(&p);
}
END_TEST

START_TEST(test_ping_and_settings)
{
    struct h2_pair p;
    h2_pair_init(&p);
    p.h2.max_concurrent_streams = 7;
    h2_pair_open(&p);
    ck_assert_uint_ge(p.client.settings, 1);
    ck_assert_uint_eq(codec_mux(p.client.codec)->max_streams, 7);
    p.client.codec->ops->ping(p.client.codec);
    h2_pair_run(&p, 0);
    ck_assert_uint_eq(p.client.pings, 1);
    h2_pair_fini(&p);
}
END_TEST

/* RFC 9113 section 8.2.3. */
START_TEST(test_cookie_crumbs)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    h2_request(&p, GET "cookie: a=1\nx: y\ncookie: b=2\ncookie: c\n", true);
    h2_pair_run(&p, 0);
    ck_assert_str_eq(h2_text(&p.server), "1 " GOT_GET "|cookie=a=1; b=2; c|x=y\n1 end\n");
    h2_pair_fini(&p);
}
END_TEST

START_TEST(test_host_becomes_authority)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    h2_request(&p, ":method: GET\n:scheme: HTTP\n:path: /\nhost: a.test\n", true);
    h2_request(&p, GET "host: b.test\n", true);
    h2_pair_run(&p, 0);
    ck_assert_str_eq(h2_text(&p.server),
                     "1 head|:method=GET|:scheme=http|:path=/|:authority=a.test\n1 end\n2 " GOT_GET
                     "\n2 end\n");
    h2_pair_fini(&p);
}
END_TEST

START_TEST(test_forbidden_trailers_are_dropped)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    struct h2_seen *c = h2_request(&p, POST, false);
    trailers(c, "host: b\ncookie: c\nok: 1\n");
    h2_pair_run(&p, 0);
    ck_assert_ptr_nonnull(strstr(h2_text(&p.server), "1 trailers|ok=1\n1 end\n"));
    h2_pair_fini(&p);
}
END_TEST

/* What a message must not be: by default the connection ends; it may cost the stream alone. */
static const char *const malformed[] = {
    ":method: GET\n:scheme: http\n:path: /\n:path: /\n",
    ":method: GET\n:scheme: http\n",
    ":method: GET\n:path: /\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a b\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: u@a\n",
    ":method: GET\n:scheme: http\n:path: /a b\n:authority: a\n",
    ":method: GET\n:scheme: http\n:path: \n:authority: a\n",
    ":method: GET\n:scheme: http\n:path: x\n:authority: a\n",
    ":method: G T\n:scheme: http\n:path: /\n:authority: a\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\nhost: a b\n",
    ":method: GET\n:scheme: http\n:path: /\n:status: 200\n",
    ":method: GET\n:scheme: http\n:path: /\n:unknown: 1\n",
    ":method: GET\n:scheme: http\n:path: /\nx: 1\n:authority: a\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\nX-Upper: 1\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\nb c: 1\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\nb: 1\r2\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\nconnection: x\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\ntransfer-encoding: chunked\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\nte: gzip\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\ncontent-length: 5\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\ncontent-length: \n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\ncontent-length: +1\n",
    ":method: GET\n:scheme: http\n:path: /\n:authority: a\ncontent-length: 0\ncontent-length: 0\n",
    ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:path: /\n:authority: a\n",
};

START_TEST(test_malformed)
{
    for (int strict = 0; strict < 2; strict++) {
        struct h2_pair p;
        struct buffer b;
        uint32_t code = 0;
        h2_pair_init(&p);
        p.h2.stream_error = !strict;
        h2_pair_open_server(&p);
        buffer_init(&b, p.chunks);
        h2_preface(&b);
        h2_frame_headers(&b, 1, 5, malformed[_i]);
        bool open = h2_feed(&p.server, &b);
        ck_assert_int_eq(p.server.counts[STAT_HTTP2_RX_MESSAGING_ERROR], 1);
        ck_assert_msg(!strstr(h2_text(&p.server), "head|"), "%s", malformed[_i]);
        if (strict) {
            ck_assert(!open);
            ck_assert_int_eq(h2_sent(&p.server, 7, &code), 0);
            ck_assert_ptr_nonnull(p.server.error);
        } else {
            ck_assert(open);
            ck_assert_int_eq(h2_sent(&p.server, 3, &code), 1);
            h2_frame_headers(&b, 3, 5, GET); /* the compression goes on */
            ck_assert(h2_feed(&p.server, &b));
            ck_assert_ptr_nonnull(strstr(h2_text(&p.server), GOT_GET));
        }
        buffer_fini(&b);
        h2_pair_fini(&p);
    }
}
END_TEST

/* What HTTP allows and we do not carry on costs the stream alone. */
START_TEST(test_refused_fields)
{
    static const char *const lines[] = {
        ":method: GET\n:scheme: ftp\n:path: /\n:authority: a\n",
        ":method: GET\n:scheme: http\n:path: /\xc3\xa9\n:authority: a\n",
    };
    struct h2_pair p;
    struct buffer b;
    h2_pair_init(&p);
    h2_pair_open_server(&p);
    buffer_init(&b, p.chunks);
    h2_preface(&b);
    h2_frame_headers(&b, 1, 5, lines[_i]);
    ck_assert(h2_feed(&p.server, &b));
    ck_assert_int_eq(h2_sent(&p.server, 3, NULL), 1);
    ck_assert_str_eq(h2_text(&p.server), "1 reset 2 http2.invalid_header_field\n");
    buffer_fini(&b);
    h2_pair_fini(&p);
}
END_TEST

START_TEST(test_body_length_is_held_to)
{
    for (int i = 0; i < 3; i++) {
        struct h2_pair p;
        struct buffer b;
        h2_pair_init(&p);
        p.h2.stream_error = true;
        h2_pair_open_server(&p);
        buffer_init(&b, p.chunks);
        h2_preface(&b);
        h2_frame_headers(&b, 1, 4, POST "content-length: 3\n");
        h2_frame(&b, 0, 1, 1, "abcd", (size_t)i + 2);
        h2_feed(&p.server, &b);
        ck_assert_int_eq(h2_sent(&p.server, 3, NULL), i == 1 ? -1 : 1);
        ck_assert_int_eq(strstr(h2_text(&p.server), "end\n") != NULL, i == 1);
        buffer_fini(&b);
        h2_pair_fini(&p);
    }
}
END_TEST

START_TEST(test_underscores)
{
    struct h2_pair p;
    h2_pair_init(&p);
    p.server_options.underscores = CODEC_UNDERSCORES_DROP;
    h2_pair_open(&p);
    h2_request(&p, GET "a_b: 1\nc: 2\n", true);
    h2_pair_run(&p, 0);
    ck_assert_str_eq(h2_text(&p.server), "1 " GOT_GET "|c=2\n1 end\n");
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_DROPPED_UNDERSCORES], 1);
    h2_pair_fini(&p);
    h2_pair_init(&p);
    p.server_options.underscores = CODEC_UNDERSCORES_REJECT;
    h2_pair_open(&p);
    h2_request(&p, GET "a_b: 1\n", true);
    h2_pair_run(&p, 0);
    ck_assert_str_eq(h2_text(&p.server), "1 reset 2 http2.unexpected_underscore\n");
    ck_assert(p.server.open);
    h2_pair_fini(&p);
}
END_TEST

/* Nothing that a filter puts into a value ends up as another field. */
START_TEST(test_values_are_cleaned)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    struct headers h;
    struct h2_seen *c = h2_request(&p, GET, true);
    h2_pair_run(&p, 0);
    h2_headers(&p.server, &h, ":status: 200\n");
    headers_add(&h, BYTES("x"), BYTES("a\r\nb: c"));
    p.server.codec->ops->send_headers(p.server.seen[0].stream, &h, true);
    h2_pair_run(&p, 0);
    ck_assert_str_eq(h2_text(&p.client), "1 head|:status=200|x=a  b: c\n1 end\n");
    ck_assert(!c->reset);
    h2_pair_fini(&p);
}
END_TEST

/* The streams of a dead session go without a word. */
static void expect_gauges(struct h2_side *s, int64_t streams, int64_t bytes, int64_t frames)
{
    ck_assert_int_eq(s->counts[STAT_HTTP2_STREAMS_ACTIVE], streams);
    ck_assert_int_eq(s->counts[STAT_HTTP2_PENDING_SEND_BYTES], bytes);
    ck_assert_int_eq(s->counts[STAT_HTTP2_OUTBOUND_FRAMES_ACTIVE], frames);
}

/* What is under way, unsent or waits; all of it falls to zero. */
START_TEST(test_gauges)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    p.server.answer = p.server.quiet = true;
    struct h2_seen *c = h2_request(&p, POST, false);
    h2_pair_run(&p, 0);
    expect_gauges(&p.client, 1, 0, 0);
    expect_gauges(&p.server, 1, 0, 0);
    h2_body(c, 100000, false);
    p.client.codec->ops->flush(p.client.codec, 1); /* one frame, and no room for more */
    expect_gauges(&p.client, 1, 100000 - 16384, 0);
    h2_pair_run(&p, 0);
    h2_body(c, 0, true);
    h2_pair_run(&p, 0);
    expect_gauges(&p.client, 0, 0, 0);
    expect_gauges(&p.server, 0, 0, 0);
    p.server.room = 0;
    for (int i = 0; i < 3; i++)
        p.client.codec->ops->ping(p.client.codec);
    h2_pair_run(&p, 0);
    expect_gauges(&p.server, 0, 0, 3);
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_OUTBOUND_CONTROL_FRAMES_ACTIVE], 3);
    h2_request(&p, POST, false);
    h2_pair_run(&p, 0);
    h2_pair_fini(&p);
    expect_gauges(&p.server, 0, 0, 0);
    ck_assert_int_eq(p.server.counts[STAT_HTTP2_OUTBOUND_CONTROL_FRAMES_ACTIVE], 0);
}
END_TEST

START_TEST(test_free_with_streams)
{
    struct h2_pair p;
    h2_pair_init(&p);
    h2_pair_open(&p);
    for (int i = 0; i < 5; i++)
        h2_body(h2_request(&p, POST, false), 100000, i % 2);
    h2_pair_run(&p, 0);
    h2_body(h2_request(&p, POST, false), 10, false);
    h2_pair_fini(&p);
}
END_TEST

/* Steady state: neither streams nor frames ask the heap (outside of a sanitizer). */
START_TEST(test_large_bodies_are_shared)
{
    struct h2_pair p;
    h2_pair_init(&p);
    p.h2.stream_window = 1 << 20;
    h2_pair_open(&p);
    p.server.quiet = true;
    struct h2_seen *c = h2_request(&p, POST, false);
    h2_body(c, 16384 * 10, false);
    size_t live = p.chunks->live_chunks;
    h2_pair_run(&p, 0);
    ck_assert_uint_le(p.chunks->live_chunks, live + 2);
    ck_assert_uint_eq(p.server.body, 16384 * 10);
    h2_pair_fini(&p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codec_h2");
    TCase *t = tcase_create("messages");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_request_that_comes_before_the_goaway_is_out);
    tcase_add_loop_test(t, test_exchange, 0, (int)ARRAY_SIZE(steps));
    tcase_add_loop_test(t, test_many_streams_and_large_bodies, 0, (int)ARRAY_SIZE(steps));
    tcase_add_test(t, test_paused_stream_holds_one_window);
    tcase_add_test(t, test_connection_window_bounds_all);
    tcase_add_test(t, test_flush_keeps_to_its_room);
    tcase_add_test(t, test_frames_of_others_meanwhile);
    tcase_add_test(t, test_reset_after_an_answer);
    tcase_add_test(t, test_a_session_opens_while_a_frame_is_made);
    tcase_add_test(t, test_reset_under_a_begun_frame);
    tcase_add_test(t, test_early_answer);
    tcase_add_test(t, test_resets);
    tcase_add_test(t, test_drain);
    tcase_add_test(t, test_ping_and_settings);
    tcase_add_test(t, test_cookie_crumbs);
    tcase_add_test(t, test_host_becomes_authority);
    tcase_add_test(t, test_forbidden_trailers_are_dropped);
    tcase_add_loop_test(t, test_malformed, 0, (int)ARRAY_SIZE(malformed));
    tcase_add_loop_test(t, test_refused_fields, 0, 2);
    tcase_add_test(t, test_body_length_is_held_to);
    tcase_add_test(t, test_underscores);
    tcase_add_test(t, test_values_are_cleaned);
    tcase_add_test(t, test_gauges);
    tcase_add_test(t, test_free_with_streams);
    tcase_add_test(t, test_large_bodies_are_shared);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
