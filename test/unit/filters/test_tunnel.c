/* Tunnels over HTTP/1.1: what is held, what is refused, and an end at every point. */
#include <check.h>
#include <stdlib.h>

#include "proxy.h"

#define WS "GET /a HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
#define SWITCH "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
#define CONNECT "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"

static struct proxy *p;

static void start(void)
{
    p = proxy_new("{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: ["
                  "{match: {prefix: /a}, route: {cluster: c0, upgrade_configs: ["
                  "{upgrade_type: websocket}]}}, "
                  "{match: {prefix: /b}, route: {cluster: c0}}, "
                  "{match: {prefix: /p}, route: {cluster: c1, upgrade_configs: ["
                  "{upgrade_type: CONNECT, connect_config: {allow_post: true, "
                  "proxy_protocol_config: {}}}]}}, "
                  "{match: {connect_matcher: {}}, route: {cluster: c1, upgrade_configs: ["
                  "{upgrade_type: CONNECT, connect_config: {}}]}}]}]}");
}

static void teardown(void)
{
    if (p)
        proxy_free(p);
    p = NULL;
}

static void check_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "expected \"%s\" in:\n%s", part, text);
}

static void check_not(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) == NULL, "did not expect \"%s\" in:\n%s", part, text);
}

static void check_nothing_is_left(void)
{
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_DOWNSTREAM_CX_UPGRADES_ACTIVE), 0);
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_DOWNSTREAM_RQ_ACTIVE), 0);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(world_stat(p->w, i, STAT_UPSTREAM_CX_ACTIVE), 0);
        ck_assert_int_eq(world_stat(p->w, i, STAT_UPSTREAM_RQ_ACTIVE), 0);
    }
}

START_TEST(test_upgrade)
{
    start();
    proxy_send(p, WS "early");
    const char *sent = proxy_forwarded(p);
    check_has(sent, "connection: upgrade\nupgrade: websocket\n");
    check_not(sent, "early");
    proxy_answer(p, SWITCH "first");
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 101 Switching Protocols\n");
    check_has(got, "connection: upgrade\nupgrade: websocket\n");
    check_has(got, "\n\nfirst");
    ck_assert_str_eq(proxy_forwarded(p), "early");
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_DOWNSTREAM_CX_UPGRADES_ACTIVE), 1);
    proxy_send(p, SMUGGLED);
    ck_assert_str_eq(proxy_forwarded(p), "GET /smuggled HTTP/1.1\nhost: a\n\n");
    proxy_answer(p, "HTTP/1.1 200 OK\r\n\r\n");
    ck_assert_str_eq(proxy_received(p), "HTTP/1.1 200 OK\n\n");
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_DOWNSTREAM_RQ_TOTAL), 1);
    proxy_client_close(p);
    check_nothing_is_left();
}
END_TEST

static const struct {
    const char *answer, *begins;
} refusals[] = {
    {"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno", "HTTP/1.1 403 "},
    {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", "HTTP/1.1 200 "},
    {"HTTP/1.1 101 S\r\n\r\n", "HTTP/1.1 502 "},
    {"HTTP/1.1 101 S\r\nupgrade: websocket\r\n\r\n", "HTTP/1.1 502 "},
    {"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n", "HTTP/1.1 502 "},
    {"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 1\r\n\r\n",
     "HTTP/1.1 502 "},
    {"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
     "transfer-encoding: chunked\r\n\r\n",
     "HTTP/1.1 502 "},
};

START_TEST(test_refused_by_the_origin)
{
    start();
    proxy_send(p, WS SMUGGLED);
    proxy_answer(p, refusals[_i].answer);
    check_has(proxy_received(p), refusals[_i].begins);
    check_not(proxy_forwarded(p), "smuggled");
    ck_assert_uint_eq(p->w->n_origins, 1);
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_DOWNSTREAM_RQ_TOTAL), 1);
    proxy_client_close(p);
    check_nothing_is_left();
}
END_TEST

static const struct {
    const char *request, *begins;
} not_opened[] = {
    {"GET /b HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
     "HTTP/1.1 403 "},
    {"GET /a HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket, x\r\n\r\n",
     "HTTP/1.1 403 "},
    {"GET /c HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
     "HTTP/1.1 404 "},
    {"POST /a HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
     "content-length: 2\r\n\r\nab",
     "HTTP/1.1 400 "},
    {"POST /a HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
     "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
     "HTTP/1.1 400 "},
    {"CONNECT a:80 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab", "HTTP/1.1 400 "},
    {"CONNECT a:80 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", "HTTP/1.1 501 "},
};

START_TEST(test_refused_here)
{
    start();
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "%s%s", not_opened[_i].request, SMUGGLED);
    proxy_send(p, strbuf_str(&text));
    strbuf_fini(&text);
    check_has(proxy_received(p), not_opened[_i].begins);
    ck_assert_uint_eq(p->w->n_origins, 0);
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_DOWNSTREAM_RQ_TOTAL), 1);
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_DOWNSTREAM_CX_UPGRADES_TOTAL), 0);
    proxy_client_close(p);
    check_nothing_is_left();
}
END_TEST

/* The header is first, whatever came before there was a connection. */
START_TEST(test_post_ends_here)
{
    start();
    proxy_send(p, "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\nearly");
    const char *sent = proxy_forwarded(p);
    ck_assert_msg(strncmp(sent, "PROXY ", 6) == 0, "%s", sent);
    ck_assert_msg(strstr(sent, "\nearly") != NULL, "%s", sent);
    check_has(proxy_received(p), "HTTP/1.1 200 OK\n");
    proxy_answer(p, "banner");
    check_has(proxy_received(p), "banner");
    proxy_send(p, "and"); /* its end is the origin's, which ends too */
    ck_assert_str_eq(proxy_forwarded(p), "and");
    check_has(proxy_received(p), "0\n\n");
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_DOWNSTREAM_CX_UPGRADES_TOTAL), 0);
    proxy_client_close(p);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_connect_ends_here)
{
    start();
    proxy_send(p, CONNECT "early");
    ck_assert_str_eq(proxy_forwarded(p), "early");
    check_has(proxy_received(p), "HTTP/1.1 200 OK\nserver: envoy\n\n");
    proxy_answer(p, "banner");
    ck_assert_str_eq(proxy_received(p), "banner");
    origin_close(world_origin(p->w, 0));
    world_run(p->w);
    proxy_client_close(p);
    check_nothing_is_left();
}
END_TEST

/* As much as the cluster's buffer, and the client waits. */
START_TEST(test_what_is_held_is_bounded)
{
    enum { PIECE = 16000, PIECES = 400 };
    start();
    p->w->clusters[0][0].buffer_limit = 65536;
    char *piece = malloc(PIECE + 1);
    memset(piece, 'x', PIECE);
    piece[PIECE] = '\0';
    proxy_send(p, WS);
    for (unsigned i = 0; i < PIECES; i++)
        proxy_send(p, piece);
    size_t held = p->w->worker.chunks->live_chunks * 16384 - connection_output_len(p->client);
    ck_assert_msg(held < 1000000, "%zu bytes are held", held);
    proxy_answer(p, SWITCH);
    ck_assert_uint_ge(world_origin(p->w, 0)->in.len, (size_t)PIECE * PIECES);
    free(piece);
}
END_TEST

/* Both ends go after each step of a tunnel's life. */
START_TEST(test_an_end_at_every_point)
{
    static const char *const connects[] = {WS, CONNECT};
    for (unsigned kind = 0; kind < 2; kind++) {
        for (unsigned step = 0; step < 4; step++) {
            for (unsigned who = 0; who < 2; who++) {
                start();
                proxy_send(p, connects[kind]);
                struct origin *o = world_origin(p->w, 0);
                if (step > 0)
                    proxy_send(p, "early");
                if (step > 1 && kind == 0)
                    origin_send(o, SWITCH);
                if (step > 2)
                    origin_send(o, "late");
                if (who == 0)
                    proxy_client_close(p);
                else if (o->connection)
                    origin_close(o);
                world_run(p->w);
                proxy_client_close(p);
                check_nothing_is_left();
                teardown();
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tunnel");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, test_upgrade);
    tcase_add_loop_test(t, test_refused_by_the_origin, 0, (int)ARRAY_SIZE(refusals));
    tcase_add_loop_test(t, test_refused_here, 0, (int)ARRAY_SIZE(not_opened));
    tcase_add_test(t, test_connect_ends_here);
    tcase_add_test(t, test_post_ends_here);
    tcase_add_test(t, test_what_is_held_is_bounded);
    tcase_add_test(t, test_an_end_at_every_point);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
