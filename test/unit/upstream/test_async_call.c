/* Requests of the proxy's own: HTTP/1, gRPC unary and streams, all their ends, handles, giving up,
 * time-outs, bounds. */
#include <check.h>
#include <stdlib.h>

#include "config/http_manager.h"
#include "dataplane/upstream/async_grpc.h"
#include "h2_origin.h"

#define PATH "/test.Service/Method"

static struct world *w;
static struct h2_origins origins;
static struct cluster *cluster;
static struct strbuf said;
static bool cancel_inside;
static struct async_call_options options;

static const char *const results[] = {
    [ASYNC_DONE] = "done",         [ASYNC_NO_CLUSTER] = "no cluster", [ASYNC_NO_HOST] = "no host",
    [ASYNC_FAILED] = "failed",     [ASYNC_TIMEOUT] = "timeout",       [ASYNC_BAD_RESPONSE] = "bad",
    [ASYNC_SHUTDOWN] = "shutdown",
};

static void on_headers(struct async_call *c, bool end)
{
    strbuf_printf(&said, "head %u%s; ", headers_status(&c->response), end ? " end" : "");
}

static void on_data(struct async_call *c, struct buffer *data, bool end)
{
    struct bytes front = buffer_front(data);
    strbuf_printf(&said, "data %.*s%s; ", BYTES_ARG(front), end ? " end" : "");
    if (cancel_inside)
        async_call_cancel(c);
}

static void on_message(struct async_call *c, struct bytes message)
{
    if (message.len < 100)
        strbuf_printf(&said, "message %.*s; ", BYTES_ARG(message));
    else
        strbuf_printf(&said, "message of %zu %c..%c; ", message.len, message.data[0],
                      message.data[message.len - 1]);
    if (cancel_inside)
        async_call_cancel(c);
}

static void on_watermark(struct async_call *c, bool above)
{
    strbuf_add_str(&said, above ? "above; " : "below; ");
}

static void on_end(struct async_call *c, const struct async_end *e)
{
    ck_assert_ptr_null(async_call_from_handle((struct async_handle){c, c->generation - 1}));
    strbuf_printf(&said, "%s %u %.*s.", results[e->result], e->grpc_status, BYTES_ARG(e->text));
}

static const struct async_call_ops ops = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_message = on_message,
    .on_watermark = on_watermark,
    .on_end = on_end,
};

static void setup(void)
{
    w = world_new();
    world_snapshot(w);
    h2_origins_init(&origins, w);
    cluster = world_cluster(w, 0, 1);
    cluster->protocol = UPSTREAM_HTTP2;
    cluster->http2 = &origins.options;
    options = (struct async_call_options){.cluster = BYTES("c0"), .ops = &ops};
    cancel_inside = false;
}

static void teardown(void)
{
    h2_origins_fini(&origins);
    world_free(w);
    strbuf_fini(&said);
}

static void check_said(const char *expected)
{
    ck_assert_str_eq(strbuf_str(&said), expected);
    strbuf_reset(&said);
}

static struct async_call *http(const char *path)
{
    struct async_call *c = async_call_new(&w->worker, &options);
    headers_add_id(&c->request, HEADER_METHOD, BYTES("GET"));
    headers_add_id(&c->request, HEADER_PATH, bytes_of(path));
    headers_add_id(&c->request, HEADER_AUTHORITY, BYTES("a.test"));
    headers_add_id(&c->request, HEADER_SCHEME, BYTES("http"));
    return c;
}

static struct async_call *unary(const char *message)
{
    struct async_call *c = async_grpc_new(&w->worker, &options, PATH, BYTES_NONE);
    async_grpc_send(c, bytes_of(message), true);
    async_call_start(c, false);
    world_run(w);
    return c;
}

static struct async_call *stream(void)
{
    struct async_call *c = async_grpc_new(&w->worker, &options, PATH, BYTES_NONE);
    async_call_start(c, false);
    world_run(w);
    return c;
}

static int64_t stat(enum cluster_stat id)
{
    return world_stat(w, 0, id);
}

static bool origin_has(const char *text)
{
    return bytes_find(strbuf_bytes(&h2_origin(&origins, 0)->text), bytes_of(text)) >= 0;
}

static void http1(void)
{
    cluster->protocol = UPSTREAM_HTTP1;
    cluster->http2 = NULL;
    world_adopt(w);
}

START_TEST(test_http1)
{
    http1();
    struct async_handle h = async_handle_of(http("/x"));
    async_call_start(h.call, true);
    world_run(w);
    ck_assert_ptr_eq(async_call_from_handle(h), h.call);
    struct origin *o = world_origin(w, 0);
    ck_assert_str_eq(strbuf_str(&o->in), "GET /x HTTP/1.1\r\nhost: a.test\r\n"
                                         "x-envoy-internal: true\r\n\r\n");
    check_said("");
    origin_send(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    world_run(w);
    check_said("head 200; data hi end; done 0 .");
    ck_assert_ptr_null(async_call_from_handle(h));
    ck_assert_uint_eq(async_calls_live(&w->worker), 0);
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_COMPLETED), 1);
    ck_assert_int_eq(stat(STAT_INTERNAL_UPSTREAM_RQ_COMPLETED), 1);
    ck_assert_int_eq(stat(STAT_UPSTREAM_CX_DESTROY), 0); /* the connection waits for the next */
    async_call_start(http("/y"), true);
    world_run(w);
    ck_assert_uint_eq(w->n_origins, 1);
    origin_send(o, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    world_run(w);
    check_said("head 404 end; done 0 .");
}
END_TEST

START_TEST(test_unary)
{
    world_adopt(w);
    unary("hello");
    h2_origin_serve(&origins, 0);
    static const char asked[] =
        "1 head|:method=POST|:path=" PATH "|:authority=c0|:scheme=http|te=trailers"
        "|content-type=application/grpc|x-envoy-internal=true\n"
        "1 body \0\0\0\0\5hello\n1 end\n";
    ck_assert(bytes_eq(strbuf_bytes(&h2_origin(&origins, 0)->text),
                       bytes_from(asked, sizeof(asked) - 1)));
    h2_origin_head(&origins, 0, 0, ":status: 200\ncontent-type: application/grpc\n", false);
    h2_origin_body(&origins, 0, 0, BYTES("\0\0\0\0\3you"), false);
    check_said("head 200; message you; ");
    h2_origin_trailers(&origins, 0, 0, "grpc-status: 0\n");
    check_said("done 0 .");
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_COMPLETED), 1);
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_ACTIVE), 0);
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_TX_RESET), 0);
}
END_TEST

/* Every way of a status, and what none is. */
static const struct {
    const char *head, *body, *trailers, *said;
    unsigned success, error; /* of the host */
} statuses[] = {
    {":status: 200\ngrpc-status: 7\ngrpc-message: no%20way%2\n", NULL, NULL, "done 7 no way%2.", 1,
     0},
    {":status: 200\n", "", "grpc-status: 16\ngrpc-message: who\n", "head 200; done 16 who.", 1, 0},
    {":status: 200\n", "", "grpc-status: nine\n", "head 200; done 2 .", 0, 1},
    {":status: 200\n", "", "grpc-status: 99\n", "head 200; done 2 .", 0, 1},
    {":status: 200\n", "", "x: y\n", "head 200; bad 2 no grpc-status.", 0, 1},
    {":status: 200\n", NULL, NULL, "bad 2 no grpc-status.", 0, 1},
    {":status: 403\n", NULL, NULL, "bad 7 the response's status is not 200.", 0, 1},
    {":status: 404\n", "text", "x: y\n", "bad 12 the response's status is not 200.", 0, 0},
    {":status: 500\ngrpc-status: 5\n", NULL, NULL, "done 5 .", 0, 1},
    {":status: 429\n", NULL, NULL, "bad 14 the response's status is not 200.", 0, 1},
};

START_TEST(test_status)
{
    world_adopt(w);
    unary("m");
    h2_origin_serve(&origins, 0);
    h2_origin_head(&origins, 0, 0, statuses[_i].head, !statuses[_i].body);
    if (statuses[_i].body && !h2_origin(&origins, 0)->seen[0].reset) {
        h2_origin_body(&origins, 0, 0, bytes_of(statuses[_i].body), false);
        if (!h2_origin(&origins, 0)->seen[0].reset)
            h2_origin_trailers(&origins, 0, 0, statuses[_i].trailers);
    }
    check_said(statuses[_i].said);
    ck_assert_uint_eq(host_state_seen(w->states[0])->rq_success, statuses[_i].success);
    ck_assert_uint_eq(host_state_seen(w->states[0])->rq_error, statuses[_i].error);
    ck_assert_uint_eq(async_calls_live(&w->worker), 0);
}
END_TEST

/* Frames that are cut anywhere, compressed, too long, or never whole. */
START_TEST(test_frames)
{
    static const char two[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\1d";
    world_adopt(w);
    stream();
    h2_origin_serve(&origins, 0);
    h2_origin_head(&origins, 0, 0, ":status: 200\n", false);
    for (size_t i = 0; i < sizeof(two) - 1; i++)
        h2_origin_body(&origins, 0, 0, bytes_from(two + i, 1), false);
    check_said("head 200; message abc; message ; message d; ");
    h2_origin_body(&origins, 0, 0, BYTES("\0\0\0\0\2x"), false);
    h2_origin_trailers(&origins, 0, 0, "grpc-status: 0\n");
    check_said("bad 13 a message was cut off.");
}
END_TEST

START_TEST(test_long_message)
{
    enum { LEN = 100000 };
    static char message[LEN + 5];
    world_adopt(w);
    options.max_message = LEN;
    stream();
    h2_origin_serve(&origins, 0);
    h2_origin_head(&origins, 0, 0, ":status: 200\n", false);
    memset(message, 'm', sizeof(message));
    memcpy(message,
           "\0\0\1\x86\xa0"
           "a",
           6);
    h2_origin_body(&origins, 0, 0, bytes_from(message, sizeof(message)), false);
    check_said("head 200; message of 100000 a..m; ");
    h2_origin_body(&origins, 0, 0, BYTES("\0\0\1\x86\xa1"), false); /* one byte more */
    check_said("bad 8 a message is too long.");
    ck_assert(h2_origin(&origins, 0)->seen[0].reset);
}
END_TEST

START_TEST(test_compressed_message)
{
    world_adopt(w);
    stream();
    h2_origin_serve(&origins, 0);
    h2_origin_head(&origins, 0, 0, ":status: 200\n", false);
    h2_origin_body(&origins, 0, 0, BYTES("\1\0\0\0\1x"), false);
    check_said("head 200; bad 13 a message is compressed.");
}
END_TEST

START_TEST(test_stream)
{
    world_adopt(w);
    struct async_call *c = stream();
    async_grpc_send(c, BYTES("one"), false);
    h2_origin_serve(&origins, 0);
    h2_origin_head(&origins, 0, 0, ":status: 200\n", false);
    h2_origin_body(&origins, 0, 0, BYTES("\0\0\0\0\1A"), false);
    async_grpc_send(c, BYTES("two"), false);
    h2_origin_serve(&origins, 0);
    async_grpc_send_end(c);
    h2_origin_serve(&origins, 0);
    ck_assert_uint_eq(h2_origin(&origins, 0)->body, 16);
    ck_assert(origin_has("two\n1 end\n"));
    h2_origin_trailers(&origins, 0, 0, "grpc-status: 0\n");
    check_said("head 200; message A; done 0 .");
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_TX_RESET), 0);
}
END_TEST

/* The server has said its status while the stream of requests goes on: the rest is not wanted. */
START_TEST(test_server_ends_first)
{
    world_adopt(w);
    struct async_call *c = stream();
    h2_origin_serve(&origins, 0);
    h2_origin_head(&origins, 0, 0, ":status: 200\ngrpc-status: 0\n", true);
    check_said("done 0 .");
    ck_assert(h2_origin(&origins, 0)->seen[0].reset);
    async_grpc_send(c, BYTES("late"), false); /* nobody's any more */
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_ACTIVE), 0);
}
END_TEST

START_TEST(test_no_cluster_and_no_host)
{
    world_cluster(w, 1, 0);
    world_adopt(w);
    options.cluster = BYTES("c7");
    struct async_handle h = async_handle_of(async_grpc_new(&w->worker, &options, PATH, BYTES_NONE));
    async_call_start(h.call, false);
    check_said(""); /* not from inside the call */
    ck_assert_ptr_nonnull(async_call_from_handle(h));
    world_run(w);
    check_said("no cluster 14 .");
    options.cluster = BYTES("c1");
    unary("m");
    check_said("no host 14 .");
    struct stat_scope *s =
        stat_scope_get(w->stats, BYTES("http.async-client"), &async_client_stat_schema);
    bool used;
    ck_assert_int_eq(stat_read(s, STAT_ASYNC_RQ_TOTAL, &used), 2);
    ck_assert_int_eq(stat_read(s, STAT_ASYNC_NO_CLUSTER, &used), 1);
    stat_scope_unref(&s);
}
END_TEST

START_TEST(test_overflow)
{
    cluster->breakers[0].max_pending_requests = 0;
    world_adopt(w);
    unary("m");
    check_said("failed 14 .");
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_PENDING_OVERFLOW), 1);
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_COMPLETED), 1);
}
END_TEST

START_TEST(test_connection_lost)
{
    world_adopt(w);
    stream();
    h2_origin_serve(&origins, 0);
    h2_origin_head(&origins, 0, 0, ":status: 200\n", false);
    origin_close(world_origin(w, 0));
    world_run(w);
    check_said("head 200; failed 14 .");
    ck_assert_uint_eq(host_state_seen(w->states[0])->rq_error, 1);
    ck_assert_uint_eq(async_calls_live(&w->worker), 0);
}
END_TEST

START_TEST(test_refused_goes_elsewhere)
{
    world_adopt(w);
    stream();
    h2_origin_serve(&origins, 0);
    struct h2_side *s = h2_origin(&origins, 0);
    s->codec->ops->stream_reset(s->seen[0].stream, H2_REFUSED_STREAM);
    h2_origin_serve(&origins, 0);
    check_said("");
    ck_assert_uint_eq(s->n_seen, 2);
    h2_origin_head(&origins, 0, 1, ":status: 200\ngrpc-status: 0\n", true);
    check_said("done 0 .");
}
END_TEST

START_TEST(test_timeout)
{
    options.timeout_ms = 250;
    world_adopt(w);
    unary("m");
    h2_origin_serve(&origins, 0);
    ck_assert_ptr_nonnull(strstr(h2_text(h2_origin(&origins, 0)), "|grpc-timeout=250m|"));
    world_advance(w, 249);
    check_said("");
    world_advance(w, 1);
    check_said("timeout 4 .");
    h2_origin_serve(&origins, 0);
    ck_assert(h2_origin(&origins, 0)->seen[0].reset);
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_TIMEOUT), 1);
    world_advance(w, 1000);
    check_said("");
}
END_TEST

/* Before there is a connection, after, inside of a callback: nothing follows. */
START_TEST(test_cancel)
{
    world_adopt(w);
    struct async_call *c = async_grpc_new(&w->worker, &options, PATH, BYTES_NONE);
    struct async_handle h = async_handle_of(c);
    async_grpc_send(c, BYTES("m"), true);
    async_call_start(c, false);
    if (_i == 0) {
        async_call_cancel(c);
    } else if (_i == 1) {
        h2_origin_serve(&origins, 0);
        async_call_cancel(c);
        async_call_cancel(c);
        h2_origin_serve(&origins, 0);
        ck_assert(h2_origin(&origins, 0)->seen[0].reset);
    } else {
        cancel_inside = true;
        h2_origin_serve(&origins, 0);
        h2_origin_head(&origins, 0, 0, ":status: 200\n", false);
        h2_origin_body(&origins, 0, 0, BYTES("\0\0\0\0\1a\0\0\0\0\1b"), false);
        check_said("head 200; message a; ");
    }
    ck_assert_ptr_null(async_call_from_handle(h));
    world_run(w);
    check_said("");
    ck_assert_uint_eq(async_calls_live(&w->worker), 0);
    ck_assert_int_eq(stat(STAT_UPSTREAM_RQ_ACTIVE), 0);
}
END_TEST

/* With HTTP/1 what is cancelled in the middle costs its connection. */
START_TEST(test_cancel_http1)
{
    http1();
    struct async_call *c = http("/");
    async_call_start(c, true);
    world_run(w);
    cancel_inside = true;
    origin_send(world_origin(w, 0), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
    world_run(w);
    check_said("head 200; data hi; ");
    ck_assert_ptr_null(world_origin(w, 0)->connection);
}
END_TEST

/* An object is used again: handles of its former life stay stale. */
START_TEST(test_handles)
{
    world_adopt(w);
    struct async_call *first = unary("m");
    struct async_handle old = async_handle_of(first);
    async_call_cancel(first);
    world_run(w);
    struct async_call *second = unary("m");
    ck_assert_ptr_eq(second, first);
    ck_assert_ptr_null(async_call_from_handle(old));
    ck_assert_ptr_eq(async_call_from_handle(async_handle_of(second)), second);
    async_call_cancel(second);
}
END_TEST

/* A stream's call outlives the stream by mistake: it says nothing, and ends. */
START_TEST(test_stream_gone)
{
    static struct stream s;
    world_adopt(w);
    s.generation = 5;
    options.stream = stream_handle_of(&s);
    unary("m");
    h2_origin_serve(&origins, 0);
    h2_origin_head(&origins, 0, 0, ":status: 200\n", false);
    check_said("head 200; ");
    s.generation++;
    h2_origin_body(&origins, 0, 0, BYTES("\0\0\0\0\1a"), false);
    check_said("");
    ck_assert_uint_eq(async_calls_live(&w->worker), 0);
    ck_assert(h2_origin(&origins, 0)->seen[0].reset);
}
END_TEST

/* More than the connection takes: the user is told, and told when there is room. */
START_TEST(test_watermark)
{
    enum { PIECES = 40, LEN = 8192 };
    static char piece[LEN];
    cluster->buffer_limit = 64 * 1024;
    origins.options.stream_window = 65535;
    world_adopt(w);
    struct async_call *c = stream();
    h2_origin_serve(&origins, 0);
    h2_origin(&origins, 0)->quiet = true;
    h2_origin(&origins, 0)->codec->ops->stream_pause(h2_origin(&origins, 0)->seen[0].stream, true);
    for (unsigned i = 0; i < PIECES && !async_call_above(c); i++) {
        async_grpc_send(c, bytes_from(piece, LEN), false);
        h2_origin_serve(&origins, 0);
    }
    check_said("above; ");
    h2_origin(&origins, 0)->codec->ops->stream_pause(h2_origin(&origins, 0)->seen[0].stream, false);
    h2_origin_serve(&origins, 0);
    check_said("below; ");
    ck_assert(!async_call_above(c));
    async_call_cancel(c);
}
END_TEST

START_TEST(test_reading_stops)
{
    world_adopt(w);
    struct async_call *c = stream();
    h2_origin_serve(&origins, 0);
    async_call_read_pause(c);
    async_call_read_resume(c);
    h2_origin_head(&origins, 0, 0, ":status: 200\n", false);
    h2_origin_body(&origins, 0, 0, BYTES("\0\0\0\0\1a"), false);
    check_said("head 200; message a; ");
    async_call_cancel(c);
}
END_TEST

START_TEST(test_cluster_removed)
{
    world_adopt(w);
    stream();
    h2_origin_serve(&origins, 0);
    world_snapshot(w);
    world_adopt(w);
    h2_origin_serve(&origins, 0);
    check_said(""); /* what is under way goes on */
    unary("m");
    check_said("no cluster 14 .");
    h2_origin_head(&origins, 0, 0, ":status: 200\ngrpc-status: 0\n", true);
    check_said("done 0 .");
}
END_TEST

START_TEST(test_shutdown)
{
    world_adopt(w);
    stream();
    h2_origin_serve(&origins, 0);
    cluster_manager_free(&w->manager);
    check_said("shutdown 14 .");
}
END_TEST

/* The arena and the object are the last call's: a steady stream of calls takes no new ones. */
START_TEST(test_objects_come_back)
{
    world_adopt(w);
    struct async_call *first = unary("m");
    async_call_cancel(first);
    for (int i = 0; i < 50; i++) {
        world_run(w);
        struct async_call *c = unary("m");
        ck_assert_ptr_eq(c, first);
        async_call_cancel(c);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("async_call");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_http1);
    tcase_add_test(t, test_unary);
    tcase_add_loop_test(t, test_status, 0, ARRAY_SIZE(statuses));
    tcase_add_test(t, test_frames);
    tcase_add_test(t, test_long_message);
    tcase_add_test(t, test_compressed_message);
    tcase_add_test(t, test_stream);
    tcase_add_test(t, test_server_ends_first);
    tcase_add_test(t, test_no_cluster_and_no_host);
    tcase_add_test(t, test_overflow);
    tcase_add_test(t, test_connection_lost);
    tcase_add_test(t, test_refused_goes_elsewhere);
    tcase_add_test(t, test_timeout);
    tcase_add_loop_test(t, test_cancel, 0, 3);
    tcase_add_test(t, test_cancel_http1);
    tcase_add_test(t, test_handles);
    tcase_add_test(t, test_stream_gone);
    tcase_add_test(t, test_watermark);
    tcase_add_test(t, test_reading_stops);
    tcase_add_test(t, test_cluster_removed);
    tcase_add_test(t, test_shutdown);
    tcase_add_test(t, test_objects_come_back);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
