/* The filter grpc_http1_bridge: whole calls over HTTP/1.1 in memory. */
#include <check.h>
#include <stdlib.h>

#include "filters/http/grpc_http1_bridge/grpc_http1_bridge.h"
#include "proxy.h"

#define GRPC "content-type: application/grpc\r\n"
#define PROTOBUF "content-type: application/x-protobuf\r\n"
#define FRAME(len) "\0\0\0\0" len

static struct proxy *p;
static struct grpc_http1_bridge_config config;

static void setup(void)
{
    config = (struct grpc_http1_bridge_config){.upgrade_protobuf = true};
    p = proxy_new("{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: "
                  "/}, route: {cluster: c0}}]}]}");
    proxy_add_filter(p, &grpc_http1_bridge_filter.factory);
    p->slots[0].config = &config;
    cluster_runtime_get(&p->w->worker, BYTES("c0"))->params.enable_trailers = true;
}

static void teardown(void)
{
    proxy_free(p);
}

static void check_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "expected \"%s\" in:\n%s", part, text);
}

static bool forwarded(struct bytes part)
{
    return bytes_find(strbuf_bytes(&world_origin(p->w, 0)->in), part) >= 0;
}

static void answer(const char *head, struct bytes body, const char *trailers)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "HTTP/1.1 %stransfer-encoding: chunked\r\n\r\n%zx\r\n", head, body.len);
    strbuf_add_bytes(&text, body);
    strbuf_printf(&text, "\r\n0\r\n%s\r\n", trailers);
    proxy_answer_bytes(p, strbuf_bytes(&text));
    strbuf_fini(&text);
}

#define POST "POST /a.B/M?x HTTP/1.1\r\nhost: a\r\n"

START_TEST(test_status_goes_into_the_head)
{
    static const struct {
        const char *trailers, *status, *head;
    } rows[] = {
        {"grpc-status: 0\r\n", "200 OK", "grpc-status: 0\ncontent-length: 2\n"},
        {"grpc-status: 5\r\ngrpc-message: no\r\n", "503 Service Unavailable",
         "grpc-status: 5\ngrpc-message: no\ncontent-length: 2\n"},
        {"grpc-status: x\r\n", "503 Service Unavailable", "grpc-status: x\ncontent-length: 2\n"},
        {"x: y\r\n", "200 OK", "content-length: 2\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        proxy_send(p, POST GRPC "content-length: 2\r\n\r\nab");
        answer("200 OK\r\n" GRPC, BYTES("cd"), rows[i].trailers);
        const char *got = proxy_received(p);
        check_has(got, rows[i].status);
        check_has(got, rows[i].head);
        check_has(got, "\n\ncd");
        ck_assert(strstr(got, "transfer-encoding") == NULL);
    }
    ck_assert(forwarded(BYTES("POST /a.B/M?x HTTP/1.1")));
}
END_TEST

/* The frame stands before the whole body, however it comes, and is cut off the answer's. */
START_TEST(test_message_gets_its_frame)
{
    proxy_send(p, POST PROTOBUF "content-length: 3\r\n\r\nabc");
    ck_assert(forwarded(BYTES(FRAME("\3") "abc")));
    answer("200 OK\r\n" GRPC, BYTES(FRAME("\2") "de"), "grpc-status: 0\r\n");
    check_has(proxy_received(p), "content-length: 2\n");
    proxy_send(p, POST PROTOBUF "transfer-encoding: chunked\r\n\r\n2\r\nxy\r\n");
    ck_assert(!forwarded(BYTES("xy")));
    proxy_send(p, "1\r\nz\r\n0\r\n\r\n");
    ck_assert(forwarded(BYTES(FRAME("\3") "xyz")));
    struct origin *o = world_origin(p->w, 0);
    proxy_answer(p, "HTTP/1.1 200 OK\r\n" GRPC "transfer-encoding: chunked\r\n\r\n");
    connection_write_bytes(o->connection,
                           BYTES("2\r\n\0\0\r\n2\r\n\0\0\r\n3\r\n\2de\r\n0\r\n\r\n"));
    world_run(p->w);
    const char *got = proxy_received(p);
    check_has(got, "\nde\n");
}
END_TEST

START_TEST(test_empty_message)
{
    proxy_send(p, POST PROTOBUF "transfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    ck_assert(forwarded(BYTES(FRAME("\0"))));
}
END_TEST

START_TEST(test_answers_of_others_are_whole)
{
    proxy_send(p, POST PROTOBUF "content-length: 3\r\n\r\nabc");
    proxy_answer(p, "HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n5\r\nsorry\r\n");
    proxy_answer(p, "6\r\n about\r\n0\r\n\r\n");
    check_has(proxy_received(p), "sorry about");
}
END_TEST

START_TEST(test_collects_up_to_the_limit)
{
    static char body[70000];
    p->listener.buffer_limit = 65536;
    memset(body, 'x', sizeof(body));
    proxy_send(p, POST GRPC "content-length: 0\r\n\r\n");
    answer("200 OK\r\n" GRPC, bytes_from(body, sizeof(body)), "grpc-status: 0\r\n");
    const char *got = proxy_received(p);
    check_has(got, "grpc-status: 2\n");
    ck_assert(strstr(got, "xxx") == NULL);
}
END_TEST

START_TEST(test_ignores_the_query)
{
    config.ignore_query = true;
    proxy_send(p, POST GRPC "content-length: 2\r\n\r\nab");
    ck_assert(forwarded(BYTES("POST /a.B/M HTTP/1.1")));
    answer("200 OK\r\n" GRPC, BYTES("cd"), "grpc-status: 0\r\n");
    proxy_send(p, POST "content-length: 2\r\n\r\nab");
    ck_assert(forwarded(BYTES("POST /a.B/M?x HTTP/1.1")));
}
END_TEST

START_TEST(test_config)
{
    struct arena *a = arena_new(0);
    struct filter_context ctx = {.arena = a};
    struct error err = ERROR_INIT;
    const struct grpc_http1_bridge_config *c =
        grpc_http1_bridge_filter.factory.config_new(&ctx, BYTES("\x08\1\x10\1"), &err);
    ck_assert(c->upgrade_protobuf && c->ignore_query);
    c = grpc_http1_bridge_filter.factory.config_new(&ctx, BYTES(""), &err);
    ck_assert(!c->upgrade_protobuf && !c->ignore_query);
    ck_assert_ptr_null(grpc_http1_bridge_filter.factory.config_new(&ctx, BYTES("\x0a"), &err));
    ck_assert_str_eq(error_text(&err), "the bytes are not a Config message");
    error_fini(&err);
    arena_free(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grpc_http1_bridge");
    TCase *t = tcase_create("grpc_http1_bridge");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_status_goes_into_the_head);
    tcase_add_test(t, test_message_gets_its_frame);
    tcase_add_test(t, test_empty_message);
    tcase_add_test(t, test_answers_of_others_are_whole);
    tcase_add_test(t, test_collects_up_to_the_limit);
    tcase_add_test(t, test_ignores_the_query);
    tcase_add_test(t, test_config);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
