/* The filter grpc_stats: whole calls over HTTP/1.1 in memory, and what is counted of them. */
#include <check.h>
#include <stdlib.h>

#include "config/decode.h"
#include "config/wire.h"
#include "dataplane/upstream/method_stats.h"
#include "filters/http/grpc_stats/grpc_stats.h"
#include "proxy.h"

#define FRAME(len) "\0\0\0\0" len
#define HEAD "POST %s HTTP/1.1\r\nhost: a\r\ncontent-type: %s\r\ncontent-length: %zu\r\n%s\r\n"

static struct proxy *p;
static struct grpc_stats_config config;

static void setup(void)
{
    config = (struct grpc_stats_config){.all_methods = true};
    p = proxy_new("{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: "
                  "/none}, direct_response: {status: 200}}, {match: {prefix: /}, route: {cluster: "
                  "c0}}]}]}");
    proxy_add_filter(p, &grpc_stats_filter.factory);
    p->slots[0].config = &config;
    cluster_runtime_get(&p->w->worker, BYTES("c0"))->params.enable_trailers = true;
}

static void teardown(void)
{
    proxy_free(p);
}

static void post(const char *path, const char *type, const char *more, struct bytes body)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, HEAD, path, type, body.len, more);
    strbuf_add_bytes(&text, body);
    proxy_send_bytes(p, strbuf_bytes(&text));
    strbuf_fini(&text);
}

/* The answer's head, its body in one chunk, and its trailers. */
static void answer(const char *head, struct bytes body, const char *trailers)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "HTTP/1.1 200 OK\r\n%s", head);
    if (trailers)
        strbuf_printf(&text, "transfer-encoding: chunked\r\n\r\n%zx\r\n", body.len);
    else
        strbuf_printf(&text, "content-length: %zu\r\n\r\n", body.len);
    strbuf_add_bytes(&text, body);
    if (trailers)
        strbuf_printf(&text, "\r\n0\r\n%s\r\n", trailers);
    proxy_answer_bytes(p, strbuf_bytes(&text));
    strbuf_fini(&text);
    proxy_received(p);
}

/* -1: nobody has written it. */
static int64_t counted(const char *prefix, enum method_stat id)
{
    struct stat_scope *s = stat_scope_get(p->w->stats, bytes_of(prefix), &method_stat_schema);
    bool used;
    int64_t n = stat_read(s, id, &used);
    stat_scope_unref(&s);
    return used ? n : -1;
}

#define M "cluster.c0.grpc.a.B.M"
#define GRPC "content-type: application/grpc\r\n"

START_TEST(test_call)
{
    post("/a.B/M", "application/grpc", "", BYTES(FRAME("\2") "ab" FRAME("\0") FRAME("\1") "c"));
    answer(GRPC, BYTES(FRAME("\3") "abc"), "grpc-status: 0\r\n");
    post("/a.B/M?x=1", "application/grpc+proto", "", BYTES(FRAME("\1") "a"));
    answer(GRPC "grpc-status: 5\r\n", BYTES(""), NULL);
    ck_assert_int_eq(counted(M, STAT_METHOD_REQUEST_MESSAGES), 4);
    ck_assert_int_eq(counted(M, STAT_METHOD_RESPONSE_MESSAGES), 1);
    ck_assert_int_eq(counted(M, STAT_METHOD_STATUS_0), 1);
    ck_assert_int_eq(counted(M, STAT_METHOD_STATUS_5), 1);
    ck_assert_int_eq(counted(M, STAT_METHOD_SUCCESS), 1);
    ck_assert_int_eq(counted(M, STAT_METHOD_FAILURE), 1);
    ck_assert_int_eq(counted(M, STAT_METHOD_TOTAL), 2);
    ck_assert_int_eq(counted(M, STAT_METHOD_TIME), -1);
    ck_assert_int_eq(counted("cluster.c0.grpc", STAT_METHOD_TOTAL), -1);
}
END_TEST

START_TEST(test_what_is_no_call)
{
    static const struct {
        const char *path, *type;
    } rows[] = {{"/a.B/M", "text/plain"},
                {"/a.B/M", "application/grpc-web"},
                {"/a.B", "application/grpc"},
                {"/a/b/c", "application/grpc"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        post(rows[i].path, rows[i].type, "", BYTES(FRAME("\1") "a"));
        answer(GRPC, BYTES(FRAME("\1") "b"), "grpc-status: 0\r\n");
    }
    proxy_get(p, "/none/M", GRPC); /* to no cluster */
    ck_assert_uint_eq(map_count(&cluster_runtime_get(&p->w->worker, BYTES("c0"))->methods), 0);
}
END_TEST

START_TEST(test_list_of_methods)
{
    static struct grpc_method listed[] = {{{"a.B", 3}, {"M", 1}}, {{"a.C", 3}, {"M", 1}}};
    config = (struct grpc_stats_config){.listed = listed, .n_listed = 2};
    post("/a.B/M", "application/grpc", "", BYTES(FRAME("\1") "a"));
    answer(GRPC, BYTES(FRAME("\1") "b"), "grpc-status: 0\r\n");
    post("/a.B/N", "application/grpc", "", BYTES(FRAME("\1") "a"));
    answer(GRPC, BYTES(FRAME("\1") "b"), "grpc-status: 3\r\n");
    ck_assert_int_eq(counted(M, STAT_METHOD_TOTAL), 1);
    ck_assert_int_eq(counted("cluster.c0.grpc", STAT_METHOD_STATUS_3), 1);
    ck_assert_int_eq(counted("cluster.c0.grpc", STAT_METHOD_TOTAL), 1);
    ck_assert_int_eq(counted("cluster.c0.grpc.a.B.N", STAT_METHOD_TOTAL), -1);
}
END_TEST

START_TEST(test_dots_and_time)
{
    config.replace_dots = config.upstream_stats = true;
    post("/a.B/M.x", "application/grpc", "", BYTES(FRAME("\1") "a"));
    answer(GRPC, BYTES(FRAME("\1") "b"), "grpc-status: 0\r\n");
    ck_assert_int_eq(counted("cluster.c0.grpc.a_B.M.x", STAT_METHOD_TOTAL), 1);
    ck_assert_int_ge(counted("cluster.c0.grpc.a_B.M.x", STAT_METHOD_TIME), 0);
}
END_TEST

#define CONNECT "content-type: application/connect+json\r\n"
#define END(len) "\2\0\0\0" len

/* A stream of Connect tells in its last frame how it went. */
static const struct {
    struct bytes body;
    unsigned messages;
    bool success;
} connect_rows[] = {
    {{FRAME("\1") "a" FRAME("\1") "b" END("\2") "{}", 19}, 2, true},
    {{END("\16") "{\"error\":null}", 19}, 0, true},
    {{END("\x18") "{\"error\":{\"code\":\"some\"}}", 29}, 0, false},
    {{END("\2") "{]", 7}, 0, false},
    {{END("\2") "[]", 7}, 0, false},
    {{END("\0"), 5}, 0, false},
    {{END("\3") "{}", 7}, 0, false},                 /* cut */
    {{FRAME("\1") "a", 6}, 1, false},                /* none */
    {{END("\2") "{}" FRAME("\1") "a", 13}, 0, true}, /* nothing follows it */
};

START_TEST(test_connect_stream)
{
    post("/a.B/M", "application/connect+json", "", BYTES(FRAME("\1") "a" FRAME("\1") "b"));
    answer(CONNECT, connect_rows[_i].body, NULL);
    ck_assert_int_eq(counted(M, STAT_METHOD_REQUEST_MESSAGES), 2);
    ck_assert_int_eq(counted(M, STAT_METHOD_RESPONSE_MESSAGES),
                     connect_rows[_i].messages ? (int)connect_rows[_i].messages : -1);
    ck_assert_int_eq(counted(M, STAT_METHOD_SUCCESS), connect_rows[_i].success ? 1 : -1);
    ck_assert_int_eq(counted(M, STAT_METHOD_TOTAL), 1);
}
END_TEST

/* Its last frame is read up to a bound. */
START_TEST(test_connect_end_is_bounded)
{
    static char body[5 + CHUNK_SIZE + 1] = END("\0");
    memset(body + 5, ' ', sizeof(body) - 5);
    memcpy(body + 5, "{}", 2);
    for (unsigned over = 0; over < 2; over++) {
        size_t len = CHUNK_SIZE + over;
        grpc_frame_header(2, (uint32_t)len, body);
        post("/a.B/M", "application/connect+json", "", BYTES(""));
        answer(CONNECT, bytes_from(body, 5 + len), NULL);
        ck_assert_int_eq(counted(M, STAT_METHOD_SUCCESS), 1);
        ck_assert_int_eq(counted(M, STAT_METHOD_TOTAL), over + 1);
    }
}
END_TEST

START_TEST(test_connect_unary)
{
    post("/a.B/M", "application/proto", "connect-protocol-version: 1\r\n", BYTES("abc"));
    answer("", BYTES("d"), NULL);
    ck_assert_int_eq(counted(M, STAT_METHOD_REQUEST_MESSAGES), 1);
    ck_assert_int_eq(counted(M, STAT_METHOD_RESPONSE_MESSAGES), 1);
    ck_assert_int_eq(counted(M, STAT_METHOD_SUCCESS), 1);
    ck_assert_int_eq(counted(M, STAT_METHOD_TOTAL), 1);
}
END_TEST

START_TEST(test_local_reply)
{
    proxy_send(p, "GET /a.B/M HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n\r\n");
    connection_close(world_origin(p->w, 0)->connection, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    world_run(p->w);
    ck_assert_int_eq(counted(M, STAT_METHOD_STATUS_14), 1);
    ck_assert_int_eq(counted(M, STAT_METHOD_REQUEST_MESSAGES), -1);
}
END_TEST

/* individual_method_stats_allowlist: services with a name and names of methods. */
START_TEST(test_decode)
{
    struct strbuf one = STRBUF_INIT, list = STRBUF_INIT, wire = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct filter_context ctx = {.arena = p->manager->node.arena};
    wire_put_bytes(&one, 1, BYTES("z.Z"));
    wire_put_bytes(&one, 2, BYTES("M"));
    wire_put_bytes(&one, 2, BYTES("A"));
    wire_put_bytes(&list, 1, strbuf_bytes(&one));
    strbuf_reset(&one);
    wire_put_bytes(&one, 1, BYTES("a.B"));
    wire_put_bytes(&one, 2, BYTES("M"));
    wire_put_bytes(&list, 1, strbuf_bytes(&one));
    wire_put_bytes(&wire, 2, strbuf_bytes(&list));
    const struct grpc_stats_config *c =
        grpc_stats_filter.factory.config_new(&ctx, strbuf_bytes(&wire), &err);
    ck_assert_ptr_nonnull(c);
    ck_assert(!c->all_methods && !c->replace_dots && !c->upstream_stats && !c->emit_filter_state);
    ck_assert_uint_eq(c->n_listed, 3);
    ck_assert(grpc_stats_lists(c, &(struct grpc_method){BYTES("z.Z"), BYTES("A")}));
    ck_assert(grpc_stats_lists(c, &(struct grpc_method){BYTES("a.B"), BYTES("M")}));
    ck_assert(!grpc_stats_lists(c, &(struct grpc_method){BYTES("a.B"), BYTES("A")}));
    c = grpc_stats_filter.factory.config_new(&ctx, BYTES("\x08\1\x1a\2\x08\1\x20\1\x28\1"), &err);
    ck_assert(c->all_methods && c->replace_dots && c->upstream_stats && c->emit_filter_state);
    ck_assert_ptr_null(grpc_stats_filter.factory.config_new(&ctx, BYTES("\x0a"), &err));
    ck_assert_str_eq(error_text(&err), "the bytes are not a FilterConfig message");
    error_fini(&err);
    strbuf_fini(&one);
    strbuf_fini(&list);
    strbuf_fini(&wire);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grpc_stats");
    TCase *t = tcase_create("grpc_stats");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_call);
    tcase_add_test(t, test_what_is_no_call);
    tcase_add_test(t, test_list_of_methods);
    tcase_add_test(t, test_dots_and_time);
    tcase_add_loop_test(t, test_connect_stream, 0, ARRAY_SIZE(connect_rows));
    tcase_add_test(t, test_connect_end_is_bounded);
    tcase_add_test(t, test_connect_unary);
    tcase_add_test(t, test_local_reply);
    tcase_add_test(t, test_decode);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
