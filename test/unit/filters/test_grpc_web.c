/* The filter grpc_web: base64 in pieces, and whole calls over HTTP/1.1 in memory. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/upstream/method_stats.h"
#include "filters/http/grpc_web/grpc_web.h"
#include "filters/http/grpc_web/grpc_web_text.h"
#include "proxy.h"

#define GRPC "content-type: application/grpc\r\n"
#define WEB "application/grpc-web"
#define TEXT "application/grpc-web-text"

static struct proxy *p;
static struct chunk_pool *pool;

static void setup(void)
{
    pool = chunk_pool_new(NULL, 0);
    p = proxy_new("{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: "
                  "/}, route: {cluster: c0}}]}]}");
    proxy_add_filter(p, &grpc_web_filter.factory);
    cluster_runtime_get(&p->w->worker, BYTES("c0"))->params.enable_trailers = true;
}

static void teardown(void)
{
    proxy_free(p);
    chunk_pool_free(&pool);
}

/* ---- base64 ---- */

static bool decode(struct bytes text, size_t piece, struct strbuf *out, bool *at_end)
{
    struct web_decoder d = {.n = 0};
    struct buffer in, bytes;
    bool good = true;
    buffer_init(&in, pool);
    buffer_init(&bytes, pool);
    for (size_t at = 0; good && at < text.len; at += piece) {
        buffer_add_bytes(&in, bytes_first(bytes_skip(text, at), piece));
        good = web_decode(&d, &in, &bytes);
        ck_assert_uint_eq(in.len, 0);
    }
    for (const struct slice *s = bytes.head; s; s = s->next)
        strbuf_add(out, s->data, s->len);
    *at_end = d.n == 0;
    buffer_fini(&in);
    buffer_fini(&bytes);
    return good;
}

static const struct {
    const char *text, *bytes; /* NULL: not base64 */
} texts[] = {
    {"", ""},       {"YWJj", "abc"},          {"YWI=", "ab"},
    {"YQ==", "a"},  {"+/+/", "\xfb\xff\xbf"}, {"YQ==YWI=YWJj", "aababc"},
    {"YR==", NULL}, {"YWJ=", NULL},           {"YQ=a", NULL},
    {"=YWJ", NULL}, {"Y===", NULL},           {"====", NULL},
    {"YW J", NULL}, {"YW-_", NULL},           {"YWJjYR==", NULL},
};

/* In pieces of every size the same bytes and the same verdict. */
START_TEST(test_decode)
{
    struct bytes text = bytes_of(texts[_i].text);
    for (size_t piece = 1; piece <= text.len + 1; piece++) {
        struct strbuf out = STRBUF_INIT;
        bool at_end;
        bool good = decode(text, piece, &out, &at_end);
        ck_assert_msg(good == (texts[_i].bytes != NULL), "%s by %zu", texts[_i].text, piece);
        if (good)
            ck_assert_str_eq(strbuf_str(&out), texts[_i].bytes);
        ck_assert(!good || at_end);
        strbuf_fini(&out);
    }
}
END_TEST

START_TEST(test_decode_cut)
{
    for (size_t len = 1; len < 4; len++) {
        struct strbuf out = STRBUF_INIT;
        bool at_end;
        ck_assert(decode(bytes_first(BYTES("YWJj"), len), 1, &out, &at_end));
        ck_assert(!at_end && out.len == 0);
        strbuf_fini(&out);
    }
}
END_TEST

static void encode(struct bytes frames, size_t piece, struct strbuf *out)
{
    struct web_encoder e = {.n = 0};
    struct buffer in, text;
    buffer_init(&in, pool);
    buffer_init(&text, pool);
    for (size_t at = 0; at < frames.len; at += piece) {
        buffer_add_bytes(&in, bytes_first(bytes_skip(frames, at), piece));
        web_encode(&e, &in, &text);
    }
    web_encode_end(&e, &text);
    for (const struct slice *s = text.head; s; s = s->next)
        strbuf_add(out, s->data, s->len);
    buffer_fini(&in);
    buffer_fini(&text);
}

/* Each frame has its own padding, however the body comes; a cut one has it at the end. */
START_TEST(test_encode)
{
    struct bytes frames = BYTES("\0\0\0\0\1a"
                                "\0\0\0\0\0"
                                "\0\0\0\0\2bc"
                                "\0\0\0\0\x9xyz");
    for (size_t piece = 1; piece <= frames.len; piece++) {
        struct strbuf out = STRBUF_INIT;
        encode(frames, piece, &out);
        ck_assert_str_eq(strbuf_str(&out), "AAAAAAFhAAAAAAA=AAAAAAJiYw==AAAAAAl4eXo=");
        strbuf_fini(&out);
    }
}
END_TEST

/* ---- calls ---- */

static void post(const char *type, const char *more, struct bytes body)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text,
                  "POST /a.B/M HTTP/1.1\r\nhost: a\r\ncontent-type: %s\r\n%scontent-length: "
                  "%zu\r\n\r\n",
                  type, more, body.len);
    strbuf_add_bytes(&text, body);
    proxy_send_bytes(p, strbuf_bytes(&text));
    strbuf_fini(&text);
}

static void answer(const char *head, struct bytes body, const char *trailers)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "HTTP/1.1 %s", head);
    if (trailers)
        strbuf_printf(&text, "transfer-encoding: chunked\r\n\r\n%zx\r\n", body.len);
    else
        strbuf_printf(&text, "content-length: %zu\r\n\r\n", body.len);
    strbuf_add_bytes(&text, body);
    if (trailers)
        strbuf_printf(&text, "\r\n0\r\n%s\r\n", trailers);
    proxy_answer_bytes(p, strbuf_bytes(&text));
    strbuf_fini(&text);
}

static void check_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "expected \"%s\" in:\n%s", part, text);
}

static bool received(struct bytes part)
{
    bool found = bytes_find(strbuf_bytes(&p->received), part) >= 0;
    proxy_received(p);
    return found;
}

static int64_t counted(enum method_stat id)
{
    struct stat_scope *s =
        stat_scope_get(p->w->stats, BYTES("cluster.c0.grpc-web.a.B.M"), &method_stat_schema);
    int64_t n = stat_read(s, id, &(bool){false});
    stat_scope_unref(&s);
    return n;
}

START_TEST(test_binary)
{
    post(WEB "+proto", "accept: */*\r\n", BYTES("\0\0\0\0\1a"));
    const char *head = proxy_forwarded(p);
    check_has(head, "content-type: application/grpc\n");
    check_has(head, "te: trailers\n");
    check_has(head, "grpc-accept-encoding: identity\n");
    ck_assert(strstr(head, "content-length") == NULL);
    answer("200 OK\r\n" GRPC, BYTES("\0\0\0\0\2hi"), "grpc-status: 0\r\nx: y\r\n");
    ck_assert(received(BYTES("\0\0\0\0\2hi")));
    ck_assert_int_eq(counted(STAT_METHOD_SUCCESS), 1);
}
END_TEST

START_TEST(test_binary_trailers)
{
    post(WEB, "grpc-accept-encoding: gzip\r\n", BYTES("\0\0\0\0\1a"));
    check_has(proxy_forwarded(p), "grpc-accept-encoding: gzip\n");
    answer("200 OK\r\n" GRPC, BYTES("\0\0\0\0\2hi"), "grpc-status: 3\r\nx: y\r\n");
    ck_assert(received(BYTES("\x80\0\0\0\x14"
                             "grpc-status:3\r\nx:y\r\n")));
    ck_assert_int_eq(counted(STAT_METHOD_STATUS_3), 1);
}
END_TEST

START_TEST(test_text)
{
    post(TEXT, "accept: " TEXT "\r\n", BYTES("AAAAAAFhAAAAAAJiYw=="));
    struct strbuf *in = &world_origin(p->w, 0)->in;
    ck_assert(bytes_find(strbuf_bytes(in), BYTES("\0\0\0\0\1a\0\0\0\0\2bc")) >= 0);
    answer("200 OK\r\ncontent-type: application/grpc+proto\r\n", BYTES("\0\0\0\0\2hi"),
           "grpc-status: 0\r\n");
    const char *got = proxy_received(p);
    check_has(got, "content-type: application/grpc-web-text+proto\n");
    check_has(got, "AAAAAAJoaQ==");
    check_has(got, "gAAAAA9ncnBjLXN0YXR1czowDQo=");
}
END_TEST

static const char *const bad_texts[] = {"!!!!", "AAA", "AAAAAAFhA", "AAAAAAF="};

START_TEST(test_bad_text)
{
    post(TEXT, "", bytes_of(bad_texts[_i]));
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 400 Bad Request\n");
    check_has(got, "content-type: application/grpc-web+proto\n");
    check_has(got, "grpc-message: Bad gRPC-web request, invalid base64 data.\n");
    check_has(got, "grpc-status: 13\n");
}
END_TEST

/* Group by group, with pieces that end in the middle of one. */
START_TEST(test_text_in_pieces)
{
    proxy_send(p, "POST /a.B/M HTTP/1.1\r\nhost: a\r\ncontent-type: " TEXT
                  "\r\ntransfer-encoding: chunked\r\n\r\n3\r\nAAA\r\n");
    proxy_send(p, "2\r\nAA\r\n");
    proxy_send(p, "3\r\nAFh\r\n0\r\n\r\n");
    struct strbuf *in = &world_origin(p->w, 0)->in;
    ck_assert(bytes_find(strbuf_bytes(in), BYTES("3\r\n\0\0\0\r\n")) >= 0);
    ck_assert(bytes_find(strbuf_bytes(in), BYTES("3\r\n\0\1a\r\n0\r\n")) >= 0);
}
END_TEST

START_TEST(test_no_call_of_the_web)
{
    static const char *const types[] = {"application/grpc", WEB "; x", WEB "+json", "text/plain"};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        post(types[i], "", BYTES("AAA"));
        char line[80];
        snprintf(line, sizeof(line), "content-type: %s\n", types[i]);
        const char *head = proxy_forwarded(p);
        check_has(head, line);
        check_has(head, "\n\nAAA");
        answer("200 OK\r\n" GRPC, BYTES("b"), "grpc-status: 0\r\n");
        check_has(proxy_received(p), "content-type: application/grpc\n");
    }
    ck_assert_int_eq(counted(STAT_METHOD_TOTAL), 0);
}
END_TEST

START_TEST(test_foreign_answer)
{
    post(WEB, "", BYTES("\0\0\0\0\1a"));
    answer("503 Sorry\r\ncontent-type: text/plain\r\n", BYTES("some%text"), NULL);
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 503 Service Unavailable\n");
    check_has(got, "content-type: application/grpc-web+proto\n");
    check_has(got, "grpc-message: some%25text\ngrpc-status: 14\ncontent-length: 0\n");
    post(WEB, "", BYTES("\0\0\0\0\1a"));
    answer("404 Gone\r\n", BYTES(""), NULL);
    got = proxy_received(p);
    check_has(got, "HTTP/1.1 404 Not Found\n");
    ck_assert(strstr(got, "grpc-status") == NULL);
}
END_TEST

/* However long a foreign body is, its beginning is all that is kept. */
START_TEST(test_foreign_answer_is_bounded)
{
    static char body[40000];
    memset(body, 'x', sizeof(body));
    post(WEB, "", BYTES("\0\0\0\0\1a"));
    answer("200 OK\r\n", bytes_from(body, sizeof(body)), NULL);
    const char *got = proxy_received(p), *message = strstr(got, "grpc-message: ");
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_eq(strspn(message + strlen("grpc-message: "), "x"), 16384);
    check_has(got, "grpc-status: 2\n");
}
END_TEST

START_TEST(test_foreign_answer_with_trailers)
{
    post(WEB, "", BYTES("\0\0\0\0\1a"));
    answer("500 Oh\r\n", BYTES("foo"), "x: y\r\n");
    check_has(proxy_received(p), "grpc-message: foo\ngrpc-status: 2\ncontent-length: 0\n");
}
END_TEST

START_TEST(test_trailers_only)
{
    post(TEXT, "accept: " TEXT "+proto\r\n", BYTES(""));
    answer("200 OK\r\n" GRPC "grpc-status: 7\r\ngrpc-message: no\r\n", BYTES(""), NULL);
    const char *got = proxy_received(p);
    check_has(got, "content-type: application/grpc-web-text+proto\n");
    check_has(got, "grpc-status: 7\ngrpc-message: no\n");
    check_has(got, "content-length: 0\n");
    ck_assert_int_eq(counted(STAT_METHOD_STATUS_7), 1);
}
END_TEST

/* The server speaks gRPC-Web: its body passes, in base64 where that was asked for. */
START_TEST(test_web_server)
{
    post(WEB, "accept: " TEXT "\r\n", BYTES("\0\0\0\0\1a"));
    answer("200 OK\r\ncontent-type: application/gRPC-web ;x\r\n", BYTES("\0\0\0\0\1b"), NULL);
    check_has(proxy_received(p), "AAAAAAFi");
}
END_TEST

START_TEST(test_config)
{
    struct filter_context ctx = {.arena = p->arena};
    struct error err = ERROR_INIT;
    ck_assert_ptr_nonnull(grpc_web_filter.factory.config_new(&ctx, BYTES(""), &err));
    ck_assert_ptr_null(grpc_web_filter.factory.config_new(&ctx, BYTES("\x0a"), &err));
    ck_assert_str_eq(error_text(&err), "the bytes are not a GrpcWeb message");
    error_fini(&err);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grpc_web");
    TCase *t = tcase_create("grpc_web");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_decode, 0, ARRAY_SIZE(texts));
    tcase_add_test(t, test_decode_cut);
    tcase_add_test(t, test_encode);
    tcase_add_test(t, test_binary);
    tcase_add_test(t, test_binary_trailers);
    tcase_add_test(t, test_text);
    tcase_add_loop_test(t, test_bad_text, 0, ARRAY_SIZE(bad_texts));
    tcase_add_test(t, test_text_in_pieces);
    tcase_add_test(t, test_no_call_of_the_web);
    tcase_add_test(t, test_foreign_answer);
    tcase_add_test(t, test_foreign_answer_is_bounded);
    tcase_add_test(t, test_foreign_answer_with_trailers);
    tcase_add_test(t, test_trailers_only);
    tcase_add_test(t, test_web_server);
    tcase_add_test(t, test_config);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
