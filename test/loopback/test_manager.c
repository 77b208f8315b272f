/* What the connection manager does to requests and responses, checked against what Envoy 1.40 was
 * seen to do. The origin records the request as it arrived. */
#include <stdio.h>

#include "filters.h"
#include "loopback.h"
#include "suite.h"

static struct loopback lb;
static struct client c;

static void set_up(void)
{
    static const struct http_filter_ops *const filters[] = {&origin_filter};
    loopback_init(&lb, filters, 1);
    lb.manager->generate_request_id = false;
    client_connect(&c, &lb);
}

static void tear_down(void)
{
    client_fini(&c);
    loopback_fini(&lb);
    origin_reset();
}

/* Sends a request that the origin leaves unanswered; "name=value|..." as it arrived, "" if not. */
static const char *arrived(const char *head)
{
    static struct strbuf out;
    struct client k;
    strbuf_cut(&out, 0);
    origin.filter = NULL;
    client_connect(&k, &lb);
    client_send(&k, head);
    if (origin.filter) {
        const struct headers *h = &origin.filter->stream->request_headers;
        for (const struct header *e = h->entries; e < h->entries + h->n; e++) {
            if (e->id == HEADER_METHOD || e->id == HEADER_SCHEME || e->id == HEADER_AUTHORITY)
                continue;
            strbuf_printf(&out, "%s%.*s=%.*s", out.len ? "|" : "", BYTES_ARG(e->name),
                          BYTES_ARG(e->value));
        }
    }
    client_fini(&k);
    return strbuf_str(&out);
}

static unsigned status_of(const char *head)
{
    struct client k;
    client_connect(&k, &lb);
    client_send(&k, head);
    const char *got = client_take(&k);
    unsigned status = strlen(got) > 12 ? (unsigned)atoi(got + 9) : 0;
    client_fini(&k);
    return status;
}

#define REQ(path, more) "GET " path " HTTP/1.1\r\nHost: a.test\r\n" more "\r\n"

START_TEST(test_hop_by_hop)
{
    ck_assert_str_eq(
        arrived(REQ("/later", "Connection: foo, keep-alive\r\nFoo: 1\r\nTE: gzip, trailers\r\n"
                              "Keep-Alive: 3\r\nUpgrade: x\r\nProxy-Connection: keep-alive\r\n"
                              "Via: 1\r\n")),
        ":path=/later|te=trailers|via=1|x-forwarded-proto=http");
    ck_assert_str_eq(arrived(REQ("/later", "TE: gzip\r\n")), ":path=/later|x-forwarded-proto=http");
    ck_assert_uint_eq(status_of(REQ("/later", "Connection: host\r\n")), 400);
    ck_assert_uint_eq(status_of(REQ("/later", "Connection: X-Forwarded-For\r\n")), 400);
    ck_assert_uint_eq(status_of(REQ("/later", "Connection: :path\r\n")), 400);
}
END_TEST

START_TEST(test_refusals)
{
    static const struct {
        const char *head;
        unsigned status;
    } rows[] = {
        {"GET /ok HTTP/1.1\r\n\r\n", 400},
        {REQ("/ok#x", ""), 400},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {"GET http://a.test?x HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {REQ("/ok", "Connection: upgrade\r\nUpgrade: h2c\r\n"), 200},
        {"QUERY /ok HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"QUERY /ok HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\n\r\n", 200},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned got = status_of(rows[i].head);
        ck_assert_msg(got == rows[i].status, "%s: %u", rows[i].head, got);
    }
}
END_TEST

START_TEST(test_missing_host_reply_is_envoys)
{
    client_send(&c, "GET /ok HTTP/1.1\r\n\r\n");
    ck_assert_str_eq(client_take(&c), "HTTP/1.1 400 Bad Request\r\nserver: envoy\r\n"
                                      "connection: close\r\ncontent-length: 0\r\n\r\n");
}
END_TEST

/* E 2026-73511 and its kin: one canonical path for every consumer. */
START_TEST(test_path_normalisation)
{
    static const struct {
        const char *from, *to; /* NULL: 400 */
    } rows[] = {
        {"/", "/"},
        {"/a/../b", "/b"},
        {"/a/./b", "/a/b"},
        {"/a/b/..", "/a/"},
        {"/../..", "/"},
        {"/a/..;/b", "/b"},
        {"/a/..;x=1/b", "/b"},
        {"/a/.;x/b", "/a/b"},
        {"/a;x/b", "/a;x/b"},
        {"/a/%2e%2e/b", "/b"},
        {"/a/%2E./b", "/b"},
        {"/%41%7e", "/A~"},
        {"/a\\b", "/a/b"},
        {"/a\\..\\b", "/b"},
        {"/a%2fb", "/a%2fb"},
        {"/a%5cb", "/a%5cb"},
        {"/%00", NULL},
        {"/a%zz", "/a%zz"},
        {"/a%", "/a%"},
        {"/a/%%32e%%32e/b", "/a/%252e%252e/b"}, /* else an origin decodes it to ".." */
        {"/a%2%46b", "/a%252Fb"},
        {"/a%%%34A", "/a%%254A"},
        {"/a%%4G", "/a%%4G"},
        {"/a|b", "/a%7Cb"},
        {"/a?x=/../y", "/a?x=/../y"},
        {"//a//b", "//a//b"},
        {"/a/...", "/a/..."},
        {"/a/../", "/"},
        {"/.", "/"},
    };
    lb.manager->normalize_path = true;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char head[256], want[256];
        snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
                 rows[i].from);
        if (!rows[i].to) {
            ck_assert_uint_eq(status_of(head), 400);
            continue;
        }
        snprintf(want, sizeof(want), ":path=%s|content-length=1|x-forwarded-proto=http",
                 rows[i].to);
        ck_assert_str_eq(arrived(head), want);
    }
    lb.manager->merge_slashes = true;
    ck_assert_str_eq(arrived(REQ("//a///later", "")), ":path=/a/later|x-forwarded-proto=http");
}
END_TEST

START_TEST(test_escaped_slashes)
{
    lb.manager->escaped_slashes = ESCAPED_SLASHES_REJECT;
    ck_assert_uint_eq(status_of(REQ("/a%2Fb", "")), 400);
    ck_assert_uint_eq(status_of(REQ("/a%5cb", "")), 400);
    ck_assert_uint_eq(status_of(REQ("/ok?x=%2f", "")), 200);
    lb.manager->escaped_slashes = ESCAPED_SLASHES_UNESCAPE_FORWARD;
    ck_assert_str_eq(arrived(REQ("/a%2Fb", "")), ":path=/a/b|x-forwarded-proto=http");
    lb.manager->escaped_slashes = ESCAPED_SLASHES_UNESCAPE_REDIRECT;
    client_send(&c, REQ("/a%2Fb?q", ""));
    const char *got = client_take(&c);
    ck_assert_ptr_nonnull(strstr(got, "HTTP/1.1 307 "));
    ck_assert_ptr_nonnull(strstr(got, "location: /a/b?q\r\n"));
    client_send(&c, REQ("/a%2Fb", "content-type: application/grpc\r\n"));
    got = client_take(&c);
    ck_assert_ptr_nonnull(strstr(got, "grpc-status: 13\r\n"));
    ck_assert_ptr_null(strstr(got, "location"));
}
END_TEST

START_TEST(test_host_port_and_dot)
{
    static const char head[] = "GET /later HTTP/1.1\r\nHost: a.test.:8080\r\n\r\n";
    lb.manager->strip_any_host_port = lb.manager->strip_trailing_host_dot = true;
    client_send(&c, head);
    ck_assert(bytes_eq_str(origin.filter->stream->request.authority, "a.test"));
}
END_TEST

START_TEST(test_external_headers_do_not_pass)
{
    ck_assert_str_eq(
        arrived(REQ("/later", "x-envoy-internal: true\r\nx-envoy-expected-rq-timeout-ms: 3\r\n"
                              "x-envoy-upstream-rq-timeout-ms: 5\r\nx-envoy-attempt-count: 4\r\n"
                              "x-envoy-original-path: /zz\r\nx-forwarded-proto: foo\r\n"
                              "x-request-id: zork\r\nx-forwarded-for: 1.2.3.4\r\n"
                              "x-forwarded-client-cert: z\r\nx-envoy-retry-on: 5xx\r\n")),
        ":path=/later|x-envoy-attempt-count=4|x-envoy-original-path=/zz|x-forwarded-proto=foo|"
        "x-request-id=zork|x-forwarded-for=1.2.3.4");
}
END_TEST

START_TEST(test_edge)
{
    lb.manager->use_remote_address = true;
    lb.manager->generate_request_id = true;
    lb.manager->via = BYTES("xyz");
    const char *got = arrived(
        REQ("/later", "via: 1\r\nx-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: foo\r\n"
                      "x-request-id: zork\r\nx-envoy-original-path: /zz\r\nx-envoy-foo: 1\r\n"));
    ck_assert_msg(strncmp(got, ":path=/later|via=1, xyz|", 24) == 0, "%s", got);
    ck_assert_ptr_nonnull(strstr(got, "|x-forwarded-proto=http|"));
    ck_assert_ptr_nonnull(strstr(got, "|x-envoy-foo=1"));
    ck_assert_ptr_null(strstr(got, "zork"));
    ck_assert_ptr_null(strstr(got, "x-envoy-original-path"));
}
END_TEST

START_TEST(test_add_user_agent)
{
    lb.manager->user_agent = BYTES("front");
    lb.manager->downstream_node = BYTES("nid");
    ck_assert_str_eq(arrived(REQ("/later", "")),
                     ":path=/later|x-forwarded-proto=http|x-envoy-downstream-service-cluster=front|"
                     "user-agent=front|x-envoy-downstream-service-node=nid");
    ck_assert_str_eq(
        arrived(REQ("/later", "User-Agent: me\r\n")),
        ":path=/later|user-agent=me|x-forwarded-proto=http|"
        "x-envoy-downstream-service-cluster=front|x-envoy-downstream-service-node=nid");
}
END_TEST

START_TEST(test_request_id)
{
    lb.manager->generate_request_id = true;
    const char *got = strstr(arrived(REQ("/later", "")), "x-request-id=");
    ck_assert_ptr_nonnull(got);
    ck_assert_uint_eq(strlen(got), 13 + 36);
    ck_assert_int_eq(got[13 + 14], '4');
    lb.manager->always_set_request_id_in_response = true;
    client_send(&c, REQ("/ok", "x-request-id: mine\r\n"));
    ck_assert_ptr_nonnull(strstr(client_take(&c), "x-request-id: mine\r\n"));
}
END_TEST

static void respond(const char *const *pairs)
{
    client_send(&c, REQ("/later", ""));
    struct stream *s = origin.filter->stream;
    headers_add_id(&s->response_headers, HEADER_STATUS, BYTES("200"));
    for (; *pairs; pairs += 2)
        headers_add(&s->response_headers, bytes_of(pairs[0]), bytes_of(pairs[1]));
    filter_respond_headers(origin.filter, true);
    loopback_run(&lb);
}

START_TEST(test_response_headers)
{
    static const char *const pairs[] = {"connection", "foo, close", "foo",   "1",   "keep-alive",
                                        "3",          "server",     "nginx", "via", "q",
                                        "x",          "y",          NULL};
    lb.manager->via = BYTES("xyz");
    respond(pairs);
    /* keep-alive: the router takes that of an origin, a route may add one. */
    ck_assert_str_eq(client_take(&c), "HTTP/1.1 200 OK\r\nkeep-alive: 3\r\nserver: envoy\r\n"
                                      "via: q, xyz\r\nx: y\r\ncontent-length: 0\r\n\r\n");
    lb.manager->server_header = SERVER_HEADER_PASS;
    respond(pairs);
    ck_assert_ptr_nonnull(strstr(client_take(&c), "server: nginx\r\n"));
    lb.manager->server_header = SERVER_HEADER_APPEND_IF_ABSENT;
    respond(pairs + 8);
    ck_assert_ptr_nonnull(strstr(client_take(&c), "server: envoy\r\n"));
}
END_TEST

START_TEST(test_date)
{
    client_send(&c, REQ("/ok", ""));
    ck_assert_ptr_nonnull(
        strstr(strbuf_str(&c.received), "\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"));
}
END_TEST

START_TEST(test_grpc_local_reply)
{
    client_send(&c, REQ("/later", "Content-Type: application/grpc+proto\r\n"));
    stream_local_reply(origin.filter->stream, stream_error_get(STREAM_ERROR_NO_HEALTHY_UPSTREAM),
                       NULL, NULL);
    loopback_run(&lb);
    ck_assert_str_eq(client_take(&c), "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n"
                                      "grpc-status: 14\r\ngrpc-message: no healthy upstream\r\n"
                                      "server: envoy\r\ncontent-length: 0\r\n\r\n");
}
END_TEST

START_TEST(test_overflow_says_overloaded)
{
    client_send(&c, REQ("/later", ""));
    stream_local_reply(origin.filter->stream, stream_error_get(STREAM_ERROR_UPSTREAM_OVERFLOW),
                       NULL, NULL);
    loopback_run(&lb);
    ck_assert_str_eq(client_take(&c),
                     "HTTP/1.1 503 Service Unavailable\r\nx-envoy-overloaded: true\r\n"
                     "content-length: 81\r\ncontent-type: text/plain\r\nserver: envoy\r\n\r\n"
                     "upstream connect error or disconnect/reset before headers. reset reason: "
                     "overflow");
}
END_TEST

START_TEST(test_http_10)
{
    struct client k;
    lb.manager->accept_http_10 = true;
    client_connect(&k, &lb);
    client_send(&k, "GET /ok HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    ck_assert_str_eq(client_take(&k), "HTTP/1.0 200 OK\r\ncontent-length: 5\r\nserver: envoy\r\n"
                                      "connection: keep-alive\r\n\r\nhello");
    client_send(&k, "GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n");
    ck_assert_str_eq(client_take(&k),
                     "HTTP/1.0 200 OK\r\nserver: envoy\r\nconnection: close\r\n\r\nhello");
    ck_assert(k.ended);
    client_fini(&k);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("manager");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, test_hop_by_hop);
    tcase_add_test(t, test_refusals);
    tcase_add_test(t, test_missing_host_reply_is_envoys);
    tcase_add_test(t, test_path_normalisation);
    tcase_add_test(t, test_escaped_slashes);
    tcase_add_test(t, test_host_port_and_dot);
    tcase_add_test(t, test_external_headers_do_not_pass);
    tcase_add_test(t, test_edge);
    tcase_add_test(t, test_add_user_agent);
    tcase_add_test(t, test_request_id);
    tcase_add_test(t, test_response_headers);
    tcase_add_test(t, test_date);
    tcase_add_test(t, test_grpc_local_reply);
    tcase_add_test(t, test_overflow_says_overloaded);
    tcase_add_test(t, test_http_10);
    return run_suite(t);
}
