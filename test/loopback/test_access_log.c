/* Lines of finished requests: operators as Envoy prints them, and the way to the file. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/http/format.h"
#include "dataplane/http/http_conn_list.h"
#include "filters.h"
#include "loopback.h"
#include "suite.h"

static struct loopback lb;
static struct client c;
static char path[64];

static void set_up(void)
{
    static const struct http_filter_ops *const filters[] = {&origin_filter};
    snprintf(path, sizeof(path), "/tmp/xylem-test-log-%d", (int)getpid());
    unlink(path);
    loopback_init(&lb, filters, 1);
    client_connect(&c, &lb);
}

static void tear_down(void)
{
    client_fini(&c);
    loopback_fini(&lb);
    origin_reset();
    unlink(path);
}

static const char *written(const char *name)
{
    static char text[8192];
    FILE *f = fopen(name, "r");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
    return text;
}

static const char *flushed(void)
{
    loopback_advance(&lb, 1000);
    access_log_writer_sync(lb.log_writer);
    return written(path);
}

#define REQ(target, more) "GET " target " HTTP/1.1\r\nHost: a.test\r\n" more "\r\n"

START_TEST(test_default_format)
{
    loopback_log_to(&lb, path, access_log_default_format);
    lb.manager->generate_request_id = false;
    client_send(&c, REQ("/ok?q", "User-Agent: u\r\nX-Request-Id: id\r\n"));
    ck_assert_str_eq(flushed(), "[2023-11-14T22:13:20.000Z] \"GET /ok?q HTTP/1.1\" 200 - 0 5 0 - "
                                "\"-\" \"u\" \"id\" \"a.test\" \"-\"\n");
}
END_TEST

/* Longer than what is collected before it is written: still one whole line, between its
 * neighbours. */
START_TEST(test_long_lines_are_written)
{
    enum { TIMES = 3, LEN = 50000 };
    struct strbuf request = STRBUF_INIT, format = STRBUF_INIT;
    struct stat st;
    for (unsigned i = 0; i < TIMES; i++)
        strbuf_add_str(&format, "%REQ(x)%");
    strbuf_add_str(&format, "\n");
    loopback_log_to(&lb, path, strbuf_str(&format));
    strbuf_add_str(&request, "GET /ok HTTP/1.1\r\nHost: a\r\nX: ");
    for (unsigned i = 0; i < LEN; i++)
        strbuf_add_char(&request, 'x');
    strbuf_add_str(&request, "\r\n\r\n");
    client_send(&c, REQ("/ok", "X: y\r\n"));
    client_send(&c, strbuf_str(&request));
    client_send(&c, REQ("/ok", "X: z\r\n"));
    const char *text = flushed();
    ck_assert_msg(bytes_starts_with(bytes_of(text), BYTES("yyy\nxxx")), "%.20s", text);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 4 + TIMES * LEN + 1 + 4);
    ck_assert_uint_eq(access_log_writer_counts(lb.log_writer).dropped_lines, 0);
    strbuf_fini(&request);
    strbuf_fini(&format);
}
END_TEST

static const struct {
    const char *format, *line;
} operators[] = {
    {"%START_TIME(%s.%3f)%", "1700000000.000"},
    {"%START_TIME(%Y/%m/%dT%H:%M:%S)%", "2023/11/14T22:13:20"},
    {"%REQ(X-A)%|%REQ(x-none)%|%REQ(x-none?X-A)%|%REQ(x-a):2%", "one|-|one|on"},
    {"%REQ(HOST)% %REQ_WITHOUT_QUERY(:PATH)%", "a.test /ok"},
    {"%RESP(content-length)% %RESP(:STATUS)% %RESP(none)%", "5 200 -"},
    {"%TRAILER(none)%", "-"},
    {"%PROTOCOL% %UPSTREAM_PROTOCOL%", "HTTP/1.1 -"},
    {"%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "200 - -"},
    {"%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%", "- -"},
    {"%BYTES_RECEIVED% %BYTES_SENT% %DURATION%", "0 5 0"},
    {"%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% %REQUEST_TX_DURATION%",
     "0 - - -"},
    {"%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS%", "- - -"},
    {"%UPSTREAM_TRANSPORT_FAILURE_REASON% %ROUTE_NAME% %FILTER_CHAIN_NAME%", "- - chain"},
    {"%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "0"},
    {"%REQUESTED_SERVER_NAME% %DOWNSTREAM_TLS_VERSION% %TRACE_ID%", "- - -"},
    {"%ACCESS_LOG_TYPE% %GRPC_STATUS% %GRPC_STATUS_NUMBER%", "DownstreamEnd - -"},
    {"%CONNECTION_ID%", "1"},
    {"100%% %ENVIRONMENT(XYLEM_NO_SUCH)%", "100% -"},
};

START_TEST(test_operator)
{
    loopback_log_to(&lb, path, operators[_i].format);
    client_send(&c, REQ("/ok?q", "X-A: one\r\n"));
    ck_assert_str_eq(flushed(), operators[_i].line);
}
END_TEST

/* A request of gRPC alone has a status; it is the trailers', the head's or the HTTP status's. */
static const struct {
    const char *path, *type, *in_head, *in_trailers, *line;
} grpc_rows[] = {
    {"/later", "application/grpc", NULL, "5", "NotFound NotFound NOT_FOUND 5 5"},
    {"/later", "application/grpc+proto", "1", NULL, "Canceled Canceled CANCELLED 1 1"},
    {"/later", "application/grpc", "1", "0", "OK OK OK 0 0"},
    {"/later", "application/grpc", NULL, "99", "99 99 99 99 99"},
    {"/later", "application/grpc", NULL, "zz", "-1 -1 -1 -1 -1"},
    {"/later", "application/grpc", NULL, NULL, "Unknown Unknown UNKNOWN 2 2"},
    {"/later", "application/grpc;x", NULL, "5", "- - - - -"},
    {"/later", "text/plain", NULL, "5", "- - - - -"},
};

START_TEST(test_grpc_status)
{
    static char request[200];
    loopback_log_to(&lb, path,
                    "%GRPC_STATUS% %GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS(SNAKE_STRING)% "
                    "%GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%");
    snprintf(request, sizeof(request), "GET /later HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n\r\n",
             grpc_rows[_i].type);
    client_send(&c, request);
    struct stream *s = origin.filter->stream;
    headers_init(&s->response_headers, s->arena);
    headers_add_id(&s->response_headers, HEADER_STATUS, BYTES("200"));
    if (grpc_rows[_i].in_head)
        headers_add_id(&s->response_headers, HEADER_GRPC_STATUS, bytes_of(grpc_rows[_i].in_head));
    filter_respond_headers(origin.filter, false);
    headers_init(&s->response_trailers, s->arena);
    if (grpc_rows[_i].in_trailers)
        headers_add_id(&s->response_trailers, HEADER_GRPC_STATUS,
                       bytes_of(grpc_rows[_i].in_trailers));
    filter_respond_trailers(origin.filter);
    ck_assert_str_eq(flushed(), grpc_rows[_i].line);
}
END_TEST

/* Of the listener: one line a connection, when it ends, whatever has become of the listener. */
START_TEST(test_connections_of_a_listener)
{
    struct listener *l = (struct listener *)(uintptr_t)lb.entry->listener;
    loopback_log_to(&lb, path,
                    "%ACCESS_LOG_TYPE% %PROTOCOL% %RESPONSE_CODE% %BYTES_RECEIVED% %CONNECTION_ID% "
                    "%REQ(:PATH)% %FILTER_CHAIN_NAME%\n");
    lb.manager->n_access_logs = 0;
    client_fini(&c);
    l->access_logs = lb.logs;
    l->n_access_logs = 1;
    node_make_pinnable(&l->node);
    client_connect(&c, &lb);
    client_send(&c, REQ("/ok", ""));
    client_send(&c, REQ("/ok", ""));
    ck_assert_str_eq(flushed(), "");
    struct chain_binding *old = lb.binding;
    struct filter_chain *chain = (struct filter_chain *)old->chain;
    loopback_swap(&lb, "other");
    NODE_UNREF(&old);
    node_reap(); /* the listener that was: pinned */
    client_fini(&c);
    NODE_UNREF(&chain);
    ck_assert_str_eq(flushed(), "NotSet HTTP/1.1 0 68 2 - chain\n");
    ck_assert_uint_eq(node_reap(), 0);
    client_connect(&c, &lb);
}
END_TEST

START_TEST(test_lines_before_the_end)
{
    loopback_log_to(&lb, path, "%ACCESS_LOG_TYPE% %DURATION%\n");
    lb.manager->flush_access_log_on_new_request = true;
    lb.manager->access_log_flush_interval_ms = 300;
    client_send(&c, REQ("/later", ""));
    loopback_advance(&lb, 300);
    loopback_advance(&lb, 299);
    loopback_advance(&lb, 1);
    loopback_advance(&lb, 50);
    origin_answer("200", "hello", true);
    loopback_run(&lb);
    ck_assert_str_eq(flushed(), "DownstreamStart 0\nDownstreamPeriodic 300\n"
                                "DownstreamPeriodic 600\nDownstreamEnd 650\n");
}
END_TEST

START_TEST(test_codec_error_and_local_reply)
{
    loopback_log_to(&lb, path,
                    "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% "
                    "%RESPONSE_CODE_DETAILS% %BYTES_SENT%\n");
    client_send(&c, REQ("/ok", "Transfer-Encoding: gzip\r\n"));
    client_fini(&c);
    client_connect(&c, &lb);
    client_send(&c, REQ("/later", ""));
    stream_local_reply(origin.filter->stream, stream_error_get(STREAM_ERROR_NO_HEALTHY_UPSTREAM),
                       NULL, NULL);
    client_send(&c, REQ("/later", ""));
    client_close(&c);
    ck_assert_str_eq(flushed(), "- - 501 DPE http1.invalid_transfer_encoding 15\n"
                                "GET /later 503 UH no_healthy_upstream 19\n"
                                "GET /later 0 DC downstream_remote_disconnect 0\n");
}
END_TEST

START_TEST(test_json)
{
    static struct json_format_node children[4];
    struct error err = ERROR_INIT;
    loopback_log_to(&lb, path, "x");
    static const char *const formats[] = {"%RESPONSE_CODE%", "%REQ(X-A)%", "%REQ(none)%",
                                          "<%REQ(none)% %PROTOCOL%>"};
    static const char *const keys[] = {"code", "a\"b", "none", "both"};
    for (unsigned i = 0; i < 4; i++) {
        children[i] = (struct json_format_node){.key = bytes_of(keys[i]), .kind = JSON_NODE_FORMAT};
        ck_assert(format_compile(lb.manager->node.arena, bytes_of(formats[i]), &children[i].format,
                                 &err));
    }
    lb.log.is_json = true;
    lb.log.json =
        (struct json_format_node){.kind = JSON_NODE_OBJECT, .children = children, .n_children = 4};
    client_send(&c, REQ("/ok", "X-A: \"q\\\r\n"));
    ck_assert_str_eq(flushed(), "{\"code\":200,\"a\\\"b\":\"\\\"q\\\\\",\"none\":null,"
                                "\"both\":\"<- HTTP/1.1>\"}\n");
}
END_TEST

START_TEST(test_waits_for_the_timer)
{
    loopback_log_to(&lb, path, "line\n");
    client_send(&c, REQ("/ok", ""));
    loopback_advance(&lb, 999);
    access_log_writer_sync(lb.log_writer);
    ck_assert_str_eq(written(path), "");
    ck_assert_str_eq(flushed(), "line\n");
}
END_TEST

START_TEST(test_full_block_is_written_at_once)
{
    struct strbuf line = STRBUF_INIT;
    for (int i = 0; i < 1023; i++)
        strbuf_add_char(&line, 'x');
    strbuf_add_char(&line, '\n');
    loopback_log_to(&lb, path, strbuf_str(&line));
    for (int i = 0; i < 65; i++)
        client_send(&c, REQ("/ok", ""));
    access_log_writer_sync(lb.log_writer);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 65536);
    strbuf_fini(&line);
}
END_TEST

/* And the name that the file is to be moved to. */
static void write_first_line(char moved[80])
{
    snprintf(moved, 80, "%s.1", path);
    loopback_log_to(&lb, path, "line\n");
    client_send(&c, REQ("/ok", ""));
    flushed();
}

START_TEST(test_reopen_after_rotation)
{
    char moved[80];
    write_first_line(moved);
    ck_assert_int_eq(rename(path, moved), 0);
    client_send(&c, REQ("/ok", ""));
    ck_assert_str_eq(flushed(), ""); /* still the old file */
    ck_assert_str_eq(written(moved), "line\nline\n");
    access_log_writer_reopen(lb.log_writer);
    client_send(&c, REQ("/ok", ""));
    ck_assert_str_eq(flushed(), "line\n");
    unlink(moved);
}
END_TEST

START_TEST(test_idle_file_is_reopened_at_once)
{
    char moved[80];
    struct stat st;
    write_first_line(moved);
    ck_assert_int_eq(rename(path, moved), 0);
    access_log_writer_reopen(lb.log_writer);
    access_log_writer_sync(lb.log_writer);
    ck_assert_int_eq(stat(path, &st), 0);
    unlink(moved);
}
END_TEST

START_TEST(test_what_cannot_be_reopened_goes_on)
{
    char moved[80];
    write_first_line(moved);
    ck_assert(rename(path, moved) == 0 && mkdir(path, 0700) == 0);
    access_log_writer_reopen(lb.log_writer);
    for (unsigned i = 0; i < 2; i++) {
        client_send(&c, REQ("/ok", ""));
        flushed();
    }
    ck_assert_str_eq(written(moved), "line\nline\nline\n");
    struct access_log_counts n = access_log_writer_counts(lb.log_writer);
    ck_assert_uint_eq(n.dropped_lines, 0);
    ck_assert_uint_ge(n.open_failures, 1);
    ck_assert_int_eq(rmdir(path), 0);
    client_send(&c, REQ("/ok", ""));
    ck_assert_str_eq(flushed(), "line\n"); /* as soon as it can be */
    ck_assert_str_eq(written(moved), "line\nline\nline\n");
    unlink(moved);
}
END_TEST

/* A log of the configuration has its file before its first line. */
START_TEST(test_kept_file_needs_no_descriptor_later)
{
    struct error err = ERROR_INIT;
    struct rlimit before, none;
    loopback_log_to(&lb, path, "line\n");
    const struct log_files *files = access_log_writer_files(lb.log_writer);
    ck_assert(files->open(files->ctx, bytes_of(path), &err));
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){3, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    client_send(&c, REQ("/ok", ""));
    loopback_advance(&lb, 1000);
    access_log_writer_sync(lb.log_writer);
    access_log_writer_reopen(lb.log_writer); /* which cannot be now */
    client_send(&c, REQ("/ok", ""));
    loopback_advance(&lb, 1000);
    access_log_writer_sync(lb.log_writer);
    setrlimit(RLIMIT_NOFILE, &before);
    ck_assert_str_eq(written(path), "line\nline\n");
    files->close(files->ctx, bytes_of(path));
}
END_TEST

/* How many descriptors of this process lead to it. By their names: to ask a descriptor that another
 * thread closes would be a race. */
static unsigned descriptors_of(const char *file)
{
    struct stat wanted, st;
    char name[32];
    unsigned n = 0;
    ck_assert_int_eq(stat(file, &wanted), 0);
    for (int fd = 0; fd < 256; fd++) {
        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        n += stat(name, &st) == 0 && st.st_dev == wanted.st_dev && st.st_ino == wanted.st_ino;
    }
    return n;
}

static unsigned wait_until_closed(const char *file)
{
    for (unsigned i = 0; i < 300 && descriptors_of(file) > 0; i++)
        nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
    return descriptors_of(file);
}

START_TEST(test_file_of_no_log_is_closed)
{
    struct error err = ERROR_INIT;
    struct access_log_writer *w = access_log_writer_new(1, SIZE_MAX);
    const struct log_files *files = access_log_writer_files(w);
    struct bytes file = bytes_of(path);
    ck_assert(files->open(files->ctx, file, &err) && files->open(files->ctx, file, &err));
    ck_assert_uint_eq(descriptors_of(path), 1);
    access_log_writer_start(w);
    files->close(files->ctx, file);
    files->close(files->ctx, file);
    ck_assert(files->open(files->ctx, file, &err)); /* a version of the configuration later */
    access_log_writer_sync(w);
    ck_assert_uint_eq(descriptors_of(path), 1);
    files->close(files->ctx, file);
    ck_assert_uint_eq(wait_until_closed(path), 0);
    ck_assert(!files->open(files->ctx, BYTES("/no/such/log"), &err));
    ck_assert_str_eq(error_text(&err),
                     "unable to open file '/no/such/log': No such file or directory");
    error_fini(&err);
    access_log_writer_free(&w);
}
END_TEST

/* With 0 of either. */
START_TEST(test_no_line_waits)
{
    struct access_log_writer *w =
        _i ? access_log_writer_new(0, SIZE_MAX) : access_log_writer_new(100000, 0);
    struct access_log_buffer *b = access_log_buffer_new(w, lb.loop);
    struct access_log log = {.sink = ACCESS_LOG_FILE, .path = bytes_of(path)};
    access_log_writer_start(w);
    access_log_write(b, &log, BYTES("one\n"));
    access_log_writer_sync(w);
    ck_assert_str_eq(written(path), "one\n");
    access_log_write(b, &log, BYTES("two\n"));
    access_log_writer_sync(w);
    ck_assert_str_eq(written(path), "one\ntwo\n");
    access_log_buffer_free(&b);
    access_log_writer_free(&w);
}
END_TEST

START_TEST(test_files_are_tried_again)
{
    struct error err = ERROR_INIT;
    struct access_log_writer *w = access_log_writer_new(1000, SIZE_MAX);
    const struct log_files *files = access_log_writer_files(w);
    char moved[80];
    snprintf(moved, sizeof(moved), "%s.1", path);
    ck_assert(files->open(files->ctx, bytes_of(path), &err));
    ck_assert(access_log_writer_try_again(w, &err));
    ck_assert_uint_eq(descriptors_of(path), 1);
    ck_assert(rename(path, moved) == 0 && mkdir(path, 0700) == 0);
    ck_assert(!access_log_writer_try_again(w, &err));
    ck_assert(strstr(error_text(&err), path) && strstr(error_text(&err), "Is a directory"));
    error_fini(&err);
    ck_assert(rmdir(path) == 0 && unlink(moved) == 0);
    files->close(files->ctx, bytes_of(path));
    access_log_writer_free(&w);
}
END_TEST

/* Section 5 of the catalogue: a disk that refuses costs lines, never requests. */
START_TEST(test_file_that_cannot_be_written)
{
    loopback_log_to(&lb, "/nonexistent/folder/log", "line\n");
    for (int i = 0; i < 10; i++)
        client_send(&c, REQ("/ok", ""));
    flushed();
    struct access_log_counts n = access_log_writer_counts(lb.log_writer);
    ck_assert_uint_eq(n.lines, 10);
    ck_assert_uint_eq(n.dropped_lines, 10);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_RQ_2XX), 10);
}
END_TEST

START_TEST(test_full_disk)
{
    loopback_log_to(&lb, "/dev/full", "line\n");
    client_send(&c, REQ("/ok", ""));
    flushed();
    struct access_log_counts n = access_log_writer_counts(lb.log_writer);
    ck_assert_uint_eq(n.write_failures, 1);
    ck_assert_uint_eq(n.dropped_lines, 1);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("access_log");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, test_default_format);
    tcase_add_test(t, test_connections_of_a_listener);
    tcase_add_test(t, test_lines_before_the_end);
    tcase_add_loop_test(t, test_grpc_status, 0, ARRAY_SIZE(grpc_rows));
    tcase_add_loop_test(t, test_operator, 0, (int)ARRAY_SIZE(operators));
    tcase_add_test(t, test_codec_error_and_local_reply);
    tcase_add_test(t, test_json);
    tcase_add_test(t, test_waits_for_the_timer);
    tcase_add_test(t, test_full_block_is_written_at_once);
    tcase_add_test(t, test_reopen_after_rotation);
    tcase_add_test(t, test_idle_file_is_reopened_at_once);
    tcase_add_test(t, test_what_cannot_be_reopened_goes_on);
    tcase_add_test(t, test_kept_file_needs_no_descriptor_later);
    tcase_add_test(t, test_file_of_no_log_is_closed);
    tcase_add_loop_test(t, test_no_line_waits, 0, 2);
    tcase_add_test(t, test_files_are_tried_again);
    tcase_add_test(t, test_file_that_cannot_be_written);
    tcase_add_test(t, test_full_disk);
    tcase_add_test(t, test_long_lines_are_written);
    return run_suite(t);
}
