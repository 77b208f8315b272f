/* The router against what Envoy 1.40 answered to the same requests. */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy.h"

#define OK "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#define BEFORE "upstream connect error or disconnect/reset before headers. reset reason: "

static struct proxy *p;

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

/* One route for every path. */
static void start(const char *action)
{
    struct strbuf yaml = STRBUF_INIT;
    strbuf_printf(&yaml,
                  "{name: r, virtual_hosts: [{name: v, domains: ['*'], "
                  "routes: [{match: {prefix: /a}, %s}]}]}",
                  action);
    p = proxy_new(strbuf_str(&yaml));
    strbuf_fini(&yaml);
}

START_TEST(test_proxy)
{
    start("route: {cluster: c0}");
    proxy_get(p, "/a?x=1", "a: b\r\n");
    const char *sent = proxy_forwarded(p);
    check_has(sent, "GET /a?x=1 HTTP/1.1\nhost: in.host:123\na: b\n");
    check_has(sent, "x-envoy-expected-rq-timeout-ms: 15000\n");
    check_not(sent, "x-envoy-original");
    proxy_answer(p, OK);
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 200 OK\n");
    check_has(got, "x-envoy-upstream-service-time: 0\n");
    check_has(got, "\n\nok");
    check_not(got, "x-envoy-attempt-count");
    ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_RQ_COMPLETED), 1);
    ck_assert_int_eq(world_stat(p->w, 0, STAT_EXTERNAL_UPSTREAM_RQ_COMPLETED), 1);
    ck_assert_uint_eq(host_state_seen(p->w->states[0])->rq_success, 1);
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_RQ_TOTAL), 1);
    for (unsigned i = 0; i < 20; i++) {
        proxy_get(p, "/a", "");
        proxy_answer(p, OK);
        check_has(proxy_received(p), "\n\nok");
    }
    ck_assert_uint_eq(p->w->n_origins, 1); /* one connection on each side */
}
END_TEST

START_TEST(test_no_route)
{
    start("route: {cluster: c0}");
    proxy_get(p, "/b", "");
    check_has(proxy_received(p), "HTTP/1.1 404 Not Found\n");
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_NO_ROUTE), 1);
}
END_TEST

START_TEST(test_no_cluster)
{
    start("route: {cluster: nobody}");
    proxy_get(p, "/a", "");
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 503 Service Unavailable\n");
    check_has(got, "content-length: 0\n");
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_NO_CLUSTER), 1);
}
END_TEST

START_TEST(test_no_cluster_404)
{
    start("route: {cluster: nobody, cluster_not_found_response_code: NOT_FOUND}");
    proxy_get(p, "/a", "");
    check_has(proxy_received(p), "HTTP/1.1 404 Not Found\n");
}
END_TEST

START_TEST(test_cluster_header)
{
    start("route: {cluster_header: X-Cl}");
    proxy_get(p, "/a", "");
    check_has(proxy_received(p), "HTTP/1.1 503 ");
    proxy_get(p, "/a", "x-cl: zz\r\n");
    check_has(proxy_received(p), "HTTP/1.1 503 ");
    proxy_get(p, "/a", "x-cl: c1\r\n");
    check_has(proxy_forwarded(p), "x-cl: c1\n");
    proxy_answer(p, OK);
    check_has(proxy_received(p), "HTTP/1.1 200 ");
    ck_assert_uint_eq(world_origin(p->w, 0)->address.port, 8001);
}
END_TEST

START_TEST(test_no_host)
{
    start("route: {cluster: c2}");
    proxy_get(p, "/a", "");
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 503 Service Unavailable\n");
    check_has(got, "content-length: 19\n");
    check_has(got, "content-type: text/plain\n");
    check_has(got, "\n\nno healthy upstream");
    ck_assert_int_eq(world_stat(p->w, 2, STAT_UPSTREAM_CX_NONE_HEALTHY), 1);
    ck_assert_int_eq(world_stat(p->w, 2, STAT_LB_HEALTHY_PANIC), 1);
    ck_assert_int_eq(world_stat(p->w, 2, STAT_UPSTREAM_RQ_COMPLETED), 1);
}
END_TEST

START_TEST(test_overflow)
{
    start("route: {cluster: c0}");
    p->w->clusters[0][0].breakers[0].max_pending_requests = 0;
    proxy_get(p, "/a", "");
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 503 Service Unavailable\n");
    check_has(got, "x-envoy-overloaded: true\n");
    check_has(got, "\n\n" BEFORE "overflow");
    ck_assert_uint_eq(host_state_seen(p->w->states[0])->rq_error, 0);
}
END_TEST

START_TEST(test_grpc_failure)
{
    start("route: {cluster: c0}");
    p->w->clusters[0][0].breakers[0].max_pending_requests = 0;
    proxy_get(p, "/a", "content-type: application/grpc\r\n");
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 200 OK\n");
    check_has(got, "x-envoy-overloaded: true\n");
    check_has(got, "grpc-status: 14\n");
    check_has(got, "grpc-message: " BEFORE "overflow\n");
}
END_TEST

START_TEST(test_terminated)
{
    start("route: {cluster: c0}");
    proxy_get(p, "/a", "");
    origin_close(world_origin(p->w, 0));
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 503 Service Unavailable\n");
    check_has(got, "\n\n" BEFORE "connection termination");
    ck_assert_uint_eq(host_state_seen(p->w->states[0])->rq_error, 1);
}
END_TEST

START_TEST(test_garbage)
{
    start("route: {cluster: c0}");
    proxy_get(p, "/a", "");
    proxy_answer(p, "garbage\r\n\r\n");
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 502 Bad Gateway\n");
    check_has(got, "\n\n" BEFORE "protocol error");
}
END_TEST

/* Cut short after its head: the client must not take it for complete. */
START_TEST(test_cut_short)
{
    start("route: {cluster: c0}");
    proxy_get(p, "/a", "");
    proxy_answer(p, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    origin_close(world_origin(p->w, 0));
    const char *got = proxy_received(p);
    check_has(got, "content-length: 10\n");
    check_has(got, "\n\nabc<closed>");
    /* Envoy counts this for gRPC alone */
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_RQ_RESET_AFTER_DOWNSTREAM_RESPONSE_STARTED), 0);
}
END_TEST

START_TEST(test_timeout)
{
    start("route: {cluster: c0, timeout: 0.3s}");
    proxy_get(p, "/a", "");
    check_has(proxy_forwarded(p), "x-envoy-expected-rq-timeout-ms: 300\n");
    world_advance(p->w, 299);
    ck_assert_str_eq(proxy_received(p), "");
    world_advance(p->w, 1);
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 504 Gateway Timeout\n");
    check_has(got, "\n\nupstream request timeout");
    ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_RQ_TIMEOUT), 1);
    ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
    ck_assert_uint_eq(host_state_seen(p->w->states[0])->rq_timeout, 1);
}
END_TEST

/* It begins with the end of the request. */
START_TEST(test_timeout_from_request_end)
{
    start("route: {cluster: c0, timeout: 1s}");
    proxy_send(p, "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx");
    world_advance(p->w, 5000);
    ck_assert_str_eq(proxy_received(p), "");
    proxy_send(p, "y");
    world_advance(p->w, 999);
    ck_assert_str_eq(proxy_received(p), "");
    world_advance(p->w, 1);
    check_has(proxy_received(p), "HTTP/1.1 504 ");
}
END_TEST

START_TEST(test_no_timeout)
{
    start("route: {cluster: c0, timeout: 0s, idle_timeout: 0s}");
    proxy_get(p, "/a", "");
    check_not(proxy_forwarded(p), "x-envoy-expected-rq-timeout-ms");
    world_advance(p->w, 3600 * 1000);
    ck_assert_str_eq(proxy_received(p), "");
    proxy_answer(p, OK);
    check_has(proxy_received(p), "HTTP/1.1 200 ");
}
END_TEST

START_TEST(test_prefix_rewrite)
{
    start("route: {cluster: c0, prefix_rewrite: /new, append_x_forwarded_host: true, "
          "host_rewrite_literal: lit.host}");
    proxy_get(p, "/a/b?c=d", "");
    const char *sent = proxy_forwarded(p);
    check_has(sent, "GET /new/b?c=d HTTP/1.1\nhost: lit.host\n");
    check_has(sent, "x-envoy-original-host: in.host:123\nx-forwarded-host: in.host:123\n"
                    "x-envoy-original-path: /a/b?c=d\n");
}
END_TEST

START_TEST(test_regex_rewrite)
{
    start("route: {cluster: c0, regex_rewrite: {pattern: {regex: '/(a+)'}, "
          "substitution: '/x/\\1'}}");
    proxy_get(p, "/aaa/b?c=/a", "");
    check_has(proxy_forwarded(p), "GET /x/aaa/b?c=/a HTTP/1.1\n");
}
END_TEST

/* As Envoy: a rewrite that leaves nothing leaves the path. */
START_TEST(test_regex_rewrite_to_nothing)
{
    start("route: {cluster: c0, regex_rewrite: {pattern: {regex: '^/api(.*)$'}, "
          "substitution: '\\1'}}");
    proxy_get(p, "/api?q", "");
    const char *sent = proxy_forwarded(p);
    check_has(sent, "GET /api?q HTTP/1.1\n");
    check_not(sent, "x-envoy-original-path");
}
END_TEST

/* What a client put behind the prefix must not become another host. */
START_TEST(test_regex_rewrite_to_another_form)
{
    start("route: {cluster: c0, regex_rewrite: {pattern: {regex: '^/api/(.*)$'}, "
          "substitution: '\\1'}}");
    proxy_get(p, "/api/http://other.host/x", "");
    check_has(proxy_forwarded(p), "GET /http://other.host/x HTTP/1.1\nhost: in.host:123\n");
}
END_TEST

/* The origin's head is larger than what may be buffered, and comes in pieces. */
START_TEST(test_small_buffers_take_large_heads)
{
    char piece[702];
    memset(piece, 'v', sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = '\0';
    start("route: {cluster: c0}");
    p->w->clusters[0][0].buffer_limit = 1024;
    proxy_get(p, "/a", "");
    proxy_answer(p, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: ");
    for (unsigned i = 0; i < 8; i++) {
        proxy_answer(p, piece);
        world_run(p->w);
    }
    proxy_answer(p, "\r\n\r\n");
    world_run(p->w);
    check_has(proxy_received(p), "HTTP/1.1 200 OK\n");
}
END_TEST

START_TEST(test_host_rewrite_header)
{
    start("route: {cluster: c0, host_rewrite_header: x-h, append_x_forwarded_host: true}");
    proxy_get(p, "/a", "x-h: hx\r\nx-forwarded-host: first\r\n");
    const char *sent = proxy_forwarded(p);
    check_has(sent, "host: hx\n");
    check_has(sent, "x-forwarded-host: first,in.host:123\n");
}
END_TEST

START_TEST(test_host_rewrite_path)
{
    start("route: {cluster: c0, host_rewrite_path_regex: {pattern: {regex: "
          "'^/a/([^/?]+).*$'}, substitution: '\\1.host'}}");
    proxy_get(p, "/a/foo/bar?x", "");
    check_has(proxy_forwarded(p), "GET /a/foo/bar?x HTTP/1.1\nhost: foo.host\n");
}
END_TEST

START_TEST(test_auto_host_rewrite)
{
    start("route: {cluster: c0, auto_host_rewrite: true}");
    static const struct host_more more = {.name = {"ep.host", 7}};
    p->w->hosts[0][0][0].more = &more;
    proxy_get(p, "/a", "");
    check_has(proxy_forwarded(p), "host: ep.host\n");
}
END_TEST

#define MUTATIONS(level)                                                                           \
    "request_headers_to_add: [{header: {key: x-o, value: " level "}}, "                            \
    "{header: {key: x-ow, value: " level "}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}], "        \
    "response_headers_to_add: [{header: {key: x-o, value: " level "}}, "                           \
    "{header: {key: x-ow, value: " level "}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]"

static void start_mutations(const char *extra)
{
    struct strbuf yaml = STRBUF_INIT;
    strbuf_printf(
        &yaml,
        "{name: r, %s" MUTATIONS(
            "rc") ", virtual_hosts: [{name: v, domains: ['*'], "
                  "include_request_attempt_count: true, "
                  "include_attempt_count_in_response: true, " MUTATIONS(
                      "vhost") ", "
                               "routes: [{match: {prefix: /a}, " MUTATIONS(
                                   "route") ", "
                                            "request_headers_to_remove: [x-rm], "
                                            "route: {weighted_clusters: {clusters: [{name: c0, "
                                            "weight: 1, " MUTATIONS("cluster") "}]}}}]}]}",
        extra);
    p = proxy_new(strbuf_str(&yaml));
    strbuf_fini(&yaml);
}

START_TEST(test_mutations)
{
    start_mutations("");
    proxy_get(p, "/a", "x-rm: 1\r\nx-o: client\r\nx-ow: client\r\n");
    const char *sent = proxy_forwarded(p);
    check_has(sent, "x-o: client\n");
    check_has(sent, "x-envoy-attempt-count: 1\nx-o: cluster\n");
    check_has(sent, "x-o: cluster\nx-o: route\nx-o: vhost\n");
    check_has(sent, "x-ow: rc\n");
    check_has(sent, "x-o: rc\n");
    check_not(sent, "x-rm");
    check_not(sent, "x-ow: client");
    proxy_answer(p, OK);
    const char *got = proxy_received(p);
    check_has(got, "x-envoy-upstream-service-time: 0\nx-ow: rc\nx-o: cluster\n");
    check_has(got, "x-o: route\nx-o: vhost\nx-o: rc\nx-envoy-attempt-count: 1\n");
    check_has(got, "x-ow: rc\n");
    check_not(got, "x-ow: route");
}
END_TEST

START_TEST(test_mutations_most_specific_wins)
{
    start_mutations("most_specific_header_mutations_wins: true, ");
    proxy_get(p, "/a", "");
    const char *sent = proxy_forwarded(p);
    check_has(sent, "x-o: rc\n");
    check_has(sent, "x-ow: route\n");
    proxy_answer(p, OK);
    check_has(proxy_received(p), "x-ow: route\n");
}
END_TEST

/* Local replies carry them too, then what the router adds. */
START_TEST(test_mutations_of_failures)
{
    start_mutations("");
    p->w->clusters[0][0].breakers[0].max_pending_requests = 0;
    proxy_get(p, "/a", "");
    check_has(proxy_received(p),
              "x-o: rc\nx-envoy-overloaded: true\nx-envoy-attempt-count: 1\ncontent-length: 81\n"
              "content-type: text/plain\n");
}
END_TEST

struct redirect_row {
    const char *action, *path, *header, *status, *location;
};
static const struct redirect_row redirects[] = {
    {"{https_redirect: true}", "/a/x?b=c", "", "301 Moved Permanently",
     "https://in.host:123/a/x?b=c"},
    {"{host_redirect: h.red, path_redirect: '/p?z=1', response_code: FOUND}", "/a/x?b=c", "",
     "302 Found", "http://h.red/p?z=1"},
    {"{prefix_rewrite: /np, strip_query: true, port_redirect: 8443, scheme_redirect: https}",
     "/a/x?b=c", "", "301 Moved Permanently", "https://in.host:8443/np/x"},
    {"{regex_rewrite: {pattern: {regex: '/a/(.*)'}, substitution: '/q/\\1'}, "
     "response_code: TEMPORARY_REDIRECT}",
     "/a/x?b=c", "", "307 Temporary Redirect", "http://in.host:123/q/x?b=c"},
    {"{https_redirect: true, port_redirect: 443}", "/a", "", "301 Moved Permanently",
     "https://in.host:443/a"},
    {"{path_redirect: /only}", "/a?y=1", "", "301 Moved Permanently",
     "http://in.host:123/only?y=1"},
    {"{path_redirect: /only, strip_query: true}", "/a?y=1", "", "301 Moved Permanently",
     "http://in.host:123/only"},
};

START_TEST(test_redirect)
{
    const struct redirect_row *row = &redirects[_i];
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "redirect: %s", row->action);
    start(strbuf_str(&text));
    proxy_get(p, row->path, row->header);
    const char *got = proxy_received(p);
    check_has(got, row->status);
    strbuf_reset(&text);
    strbuf_printf(&text, "location: %s\n", row->location);
    check_has(got, strbuf_str(&text));
    ck_assert_int_eq(proxy_http_stat(p, STAT_HTTP_RQ_DIRECT_RESPONSE), 1);
    strbuf_fini(&text);
}
END_TEST

START_TEST(test_direct_response)
{
    start("direct_response: {status: 418, body: {inline_string: tea}}, response_headers_to_add: "
          "[{header: {key: x-r, value: route}}, {header: {key: content-type, value: text/x}, "
          "append_action: OVERWRITE_IF_EXISTS_OR_ADD}]");
    proxy_get(p, "/a", "");
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 418 ");
    check_has(got, "x-r: route\ncontent-length: 3\ncontent-type: text/x\n");
    check_has(got, "\n\ntea");
    proxy_send(p, "HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n");
    got = proxy_received(p);
    check_has(got, "content-length: 3\n");
    check_not(got, "tea");
}
END_TEST

START_TEST(test_direct_response_without_body)
{
    start("direct_response: {status: 204}");
    proxy_get(p, "/a", "");
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 204 No Content\n");
    check_not(got, "content-length");
}
END_TEST

START_TEST(test_weighted_by_header)
{
    start("route: {weighted_clusters: {header_name: x-rand, clusters: [{name: c0, weight: 50}, "
          "{name: c1, weight: 50}]}}");
    proxy_get(p, "/a", "x-rand: 49\r\n");
    ck_assert_uint_eq(world_origin(p->w, 0)->address.port, 8000);
    proxy_answer(p, OK);
    proxy_get(p, "/a", "x-rand: 50\r\n");
    ck_assert_uint_eq(world_origin(p->w, 1)->address.port, 8001);
    proxy_answer(p, OK);
    proxy_get(p, "/a", "x-rand: 199\r\n");
    ck_assert_uint_eq(p->w->n_origins, 2);
    proxy_answer(p, OK);
    check_has(proxy_received(p), "200 OK");
}
END_TEST

START_TEST(test_body)
{
    start("route: {cluster: c0}");
    proxy_send(p, "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    const char *sent = proxy_forwarded(p);
    check_has(sent, "content-length: 5\n");
    check_has(sent, "\n\nhello");
    proxy_answer(p, OK);
    proxy_send(p, "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    proxy_send(p, "2\r\nde\r\n0\r\n\r\n");
    sent = proxy_forwarded(p);
    check_has(sent, "transfer-encoding: chunked\n");
    check_has(sent, "\n\n3\nabc\n2\nde\n0\n\n");
}
END_TEST

/* The origin answers before it has read the request: the answer arrives, both connections end. */
START_TEST(test_early_response)
{
    start("route: {cluster: c0}");
    proxy_send(p, "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
    proxy_answer(p, "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
    const char *got = proxy_received(p);
    check_has(got, "HTTP/1.1 413 ");
    check_has(got, "\n\nno");
    ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
}
END_TEST

START_TEST(test_informational)
{
    start("route: {cluster: c0}");
    proxy_get(p, "/a", "");
    proxy_answer(p, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" OK);
    check_has(proxy_received(p), "HTTP/1.1 200 OK\n");
    ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_RQ_COMPLETED), 2); /* as Envoy counts */
}
END_TEST

/* However many come, they take no more memory than a few, and are counted once. */
START_TEST(test_informational_flood)
{
    struct strbuf one = STRBUF_INIT;
    size_t before = 0;
    strbuf_printf(&one, "HTTP/1.1 102 Processing\r\na: %01000d\r\n", 0);
    strbuf_printf(&one, "b: %01000d\r\nb: 1\r\n\r\n", 0);
    start("route: {cluster: c0}");
    proxy_get(p, "/a", "");
    for (unsigned i = 0; i < 1000; i++) {
        proxy_answer(p, strbuf_str(&one));
        if (i == 5)
            before = mallinfo2().uordblks;
    }
    if (!HEAP_IS_WATCHED)
        ck_assert_uint_lt(mallinfo2().uordblks, before + 10000);
    proxy_answer(p, OK);
    check_has(proxy_received(p), "HTTP/1.1 200 OK\n");
    ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_RQ_COMPLETED), 2);
    strbuf_fini(&one);
}
END_TEST

START_TEST(test_head)
{
    start("route: {cluster: c0}");
    proxy_send(p, "HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n");
    proxy_answer(p, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n");
    check_has(proxy_received(p), "content-length: 100\n");
    proxy_get(p, "/a", "");
    proxy_answer(p, OK);
    check_has(proxy_received(p), "\n\nok");
    ck_assert_uint_eq(p->w->n_origins, 1);
}
END_TEST

/* The client goes away at every stage of a request. */
START_TEST(test_client_gone)
{
    static const char *const answers[] = {NULL, "HTTP/1.1 200 OK\r\ncontent-", "H",
                                          "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab",
                                          "HTTP/1.1 103 Early Hints\r\n\r\n"};
    start("route: {cluster: c0}");
    for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
        proxy_get(p, "/a", "");
        if (answers[i])
            proxy_answer(p, answers[i]);
        proxy_client_close(p);
        ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_CX_ACTIVE), 0);
        ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_RQ_ACTIVE), 0);
        ck_assert_uint_eq(p->w->n_origins, i + 1);
    }
    proxy_send(p, "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc");
    proxy_client_close(p);
    ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_RQ_ACTIVE), 0);
}
END_TEST

/* The cluster goes away with a request in flight: it is served to its end. */
START_TEST(test_cluster_removed)
{
    start("route: {cluster: c0}");
    proxy_get(p, "/a", "");
    world_snapshot(p->w);
    struct snapshot *s = &p->w->snapshots[1];
    s->listeners = (struct pmap)PMAP_INIT(NULL);
    pmap_set(&s->listeners, BYTES("l"), &p->entry);
    world_adopt(p->w);
    proxy_answer(p, OK);
    check_has(proxy_received(p), "\n\nok");
    proxy_get(p, "/a", "");
    check_has(proxy_received(p), "HTTP/1.1 503 ");
    ck_assert_uint_eq(cluster_manager_connections(p->w->manager), 0);
}
END_TEST

/* A slow origin holds the client back, and a slow client the origin: memory stays bounded. */
START_TEST(test_back_pressure)
{
    enum { PIECE = 16000, PIECES = 400 };
    start("route: {cluster: c0, timeout: 0s}");
    p->w->clusters[0][0].buffer_limit = 65536;
    char *piece = malloc(PIECE + 1);
    memset(piece, 'x', PIECE);
    piece[PIECE] = '\0';
    char head[128];
    snprintf(head, sizeof(head), "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n",
             PIECE * PIECES);
    proxy_send(p, head);
    connection_read_pause(world_origin(p->w, 0)->connection);
    for (unsigned i = 0; i < PIECES; i++)
        proxy_send(p, piece);
    size_t held = p->w->worker.chunks->live_chunks * 16384 - connection_output_len(p->client);
    ck_assert_msg(held < 1000000, "%zu bytes are held", held);
    connection_read_resume(world_origin(p->w, 0)->connection);
    world_run(p->w);
    ck_assert_uint_gt(world_origin(p->w, 0)->in.len, (size_t)PIECE * PIECES);
    proxy_answer(p, OK);
    check_has(proxy_received(p), "\n\nok");
    free(piece);
}
END_TEST

/* What came while the connection was being made is above the limit already when it is sent: the
 * client is still held back. */
START_TEST(test_back_pressure_from_before_the_connection)
{
    enum { PIECE = 16000, PIECES = 400 };
    start("route: {cluster: c0, timeout: 0s}");
    p->w->clusters[0][0].buffer_limit = 16384;
    p->w->deaf_origins = true;
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n",
                  PIECE * PIECES);
    size_t head = text.len;
    while (text.len < head + (size_t)PIECE * PIECES)
        strbuf_add_char(&text, 'x');
    proxy_send(p, strbuf_str(&text));
    size_t held = p->w->worker.chunks->live_chunks * 16384 - connection_output_len(p->client);
    ck_assert_msg(held < 1000000, "%zu bytes are held", held);
    connection_read_resume(world_origin(p->w, 0)->connection);
    world_run(p->w);
    ck_assert_uint_gt(world_origin(p->w, 0)->in.len, (size_t)PIECE * PIECES);
    proxy_answer(p, OK);
    check_has(proxy_received(p), "\n\nok");
    strbuf_fini(&text);
}
END_TEST

static TCase *cases(void)
{
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, test_proxy);
    tcase_add_test(t, test_no_route);
    tcase_add_test(t, test_no_cluster);
    tcase_add_test(t, test_no_cluster_404);
    tcase_add_test(t, test_cluster_header);
    tcase_add_test(t, test_no_host);
    tcase_add_test(t, test_overflow);
    tcase_add_test(t, test_grpc_failure);
    tcase_add_test(t, test_terminated);
    tcase_add_test(t, test_garbage);
    tcase_add_test(t, test_cut_short);
    tcase_add_test(t, test_timeout);
    tcase_add_test(t, test_timeout_from_request_end);
    tcase_add_test(t, test_no_timeout);
    tcase_add_test(t, test_prefix_rewrite);
    tcase_add_test(t, test_regex_rewrite);
    tcase_add_test(t, test_regex_rewrite_to_nothing);
    tcase_add_test(t, test_regex_rewrite_to_another_form);
    tcase_add_test(t, test_small_buffers_take_large_heads);
    tcase_add_test(t, test_host_rewrite_header);
    tcase_add_test(t, test_host_rewrite_path);
    tcase_add_test(t, test_auto_host_rewrite);
    tcase_add_test(t, test_mutations);
    tcase_add_test(t, test_mutations_most_specific_wins);
    tcase_add_test(t, test_mutations_of_failures);
    tcase_add_loop_test(t, test_redirect, 0, ARRAY_SIZE(redirects));
    tcase_add_test(t, test_direct_response);
    tcase_add_test(t, test_direct_response_without_body);
    tcase_add_test(t, test_weighted_by_header);
    tcase_add_test(t, test_body);
    tcase_add_test(t, test_early_response);
    tcase_add_test(t, test_informational);
    tcase_add_test(t, test_informational_flood);
    tcase_add_test(t, test_head);
    tcase_add_test(t, test_client_gone);
    tcase_add_test(t, test_cluster_removed);
    tcase_add_test(t, test_back_pressure);
    tcase_add_test(t, test_back_pressure_from_before_the_connection);
    return t;
}

int main(void)
{
    Suite *s = suite_create("router");
    suite_add_tcase(s, cases());
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
