/* Access loggers over gRPC in a proxy in memory: what leaves, what waits, what is dropped. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../upstream/h2_origin.h"
#include "base/memory.h"
#include "dataplane/upstream/async_call.h"
#include "envoy/data/accesslog/v3/accesslog.upb.h"
#include "envoy/service/accesslog/v3/als.upb.h"
#include "filters/access_loggers/grpc/grpc_logs.h"
#include "proxy.h"

#define ALS(f) envoy_service_accesslog_v3_StreamAccessLogsMessage_##f
#define ROUTES                                                                                     \
    "{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, "           \
    "direct_response: {status: 200, body: {inline_string: hi}}}]}]}"

static struct proxy *p;
static struct h2_origins origins;
static struct grpc_logs *logs;
static struct grpc_log config;
static struct access_log access, *list[1];
static uint32_t max_requests;

static void snapshot(bool with_service)
{
    world_snapshot(p->w);
    struct snapshot *s = &p->w->snapshots[p->w->n_snapshots - 1];
    s->listeners = (struct pmap)PMAP_INIT(NULL);
    pmap_set(&s->listeners, BYTES("l"), &p->entry);
    if (with_service) {
        struct cluster *c = world_cluster(p->w, 3, 8);
        c->protocol = UPSTREAM_HTTP2;
        c->http2 = &origins.options;
        c->breakers[0].max_requests = max_requests;
    }
    world_adopt(p->w);
}

static void setup(void)
{
    max_requests = 1024;
    p = proxy_new(ROUTES);
    h2_origins_init(&origins, p->w);
    logs = grpc_logs_new(&p->w->worker, BYTES("\x0a\2id"));
    config = (struct grpc_log){.key = BYTES("key"),
                               .log_name = BYTES("name"),
                               .service.cluster_name = BYTES("c3"),
                               .flush_ms = 1000,
                               .buffer_bytes = 16384,
                               .retry_base_ms = 1000,
                               .retry_max_ms = 10000};
    access = (struct access_log){.sink = ACCESS_LOG_GRPC, .grpc = &config};
    list[0] = &access;
    p->manager->access_logs = list;
    p->manager->n_access_logs = 1;
}

static void teardown(void)
{
    proxy_client_close(p);
    grpc_logs_free(&logs);
    h2_origins_fini(&origins);
    proxy_free(p);
}

static void get(const char *path)
{
    proxy_get(p, path, "");
}

static int64_t stat(enum grpc_log_stat id)
{
    struct stat_scope *s =
        stat_scope_get(p->w->stats, BYTES("access_logs.grpc_access_log"), &grpc_log_stat_schema);
    int64_t n = stat_read(s, id, &(bool){false});
    stat_scope_unref(&s);
    return n;
}

static size_t print_http(char *out, size_t size,
                         const envoy_service_accesslog_v3_StreamAccessLogsMessage *m)
{
    size_t count, n = 0;
    const envoy_data_accesslog_v3_HTTPAccessLogEntry *const *e =
        ALS(HTTPAccessLogEntries_log_entry)(ALS(http_logs)(m), &count);
    for (size_t k = 0; k < count; k++) {
        upb_StringView path = envoy_data_accesslog_v3_HTTPRequestProperties_path(
            envoy_data_accesslog_v3_HTTPAccessLogEntry_request(e[k]));
        n += (size_t)snprintf(out + n, size - n, "%.*s,", (int)path.size, path.data);
    }
    return n;
}

static size_t print_tcp(char *out, size_t size,
                        const envoy_service_accesslog_v3_StreamAccessLogsMessage *m)
{
    size_t count, n = 0;
    const envoy_data_accesslog_v3_TCPAccessLogEntry *const *e =
        ALS(TCPAccessLogEntries_log_entry)(ALS(tcp_logs)(m), &count);
    for (size_t k = 0; k < count; k++) {
        const envoy_data_accesslog_v3_ConnectionProperties *c =
            envoy_data_accesslog_v3_TCPAccessLogEntry_connection_properties(e[k]);
        n += (size_t)snprintf(out + n, size - n, "tcp %d/%d,",
                              (int)envoy_data_accesslog_v3_ConnectionProperties_received_bytes(c),
                              (int)envoy_data_accesslog_v3_ConnectionProperties_sent_bytes(c));
    }
    return n;
}

/* What the i-th connection has brought of bodies since the last call: "name:/a,/b;" a message. */
static const char *taken(unsigned i)
{
    static char out[4096];
    struct h2_side *s = h2_origin(&origins, i);
    h2_origin_serve(&origins, i);
    struct bytes rest = strbuf_bytes(&s->text);
    size_t n = 0;
    out[0] = '\0';
    for (ptrdiff_t at; (at = bytes_find(rest, BYTES(" body "))) >= 0;) {
        rest = bytes_skip(rest, (size_t)at + 6);
        while (rest.len > 5 && rest.data[0] == 0) {
            size_t len = (size_t)(unsigned char)rest.data[3] << 8 | (unsigned char)rest.data[4];
            upb_Arena *a = upb_Arena_New();
            const envoy_service_accesslog_v3_StreamAccessLogsMessage *m =
                ALS(parse)(rest.data + 5, len, a);
            ck_assert(m != NULL);
            if (ALS(identifier)(m)) {
                upb_StringView name = ALS(Identifier_log_name)(ALS(identifier)(m));
                n += (size_t)snprintf(out + n, sizeof(out) - n, "%.*s:", (int)name.size, name.data);
            }
            if (ALS(has_tcp_logs)(m))
                n += print_tcp(out + n, sizeof(out) - n, m);
            else
                n += print_http(out + n, sizeof(out) - n, m);
            n += (size_t)snprintf(out + n, sizeof(out) - n, ";");
            upb_Arena_Free(a);
            rest = bytes_skip(rest, 5 + len);
        }
    }
    strbuf_reset(&s->text);
    s->in_body = 0;
    return out;
}

START_TEST(test_entries_leave_after_the_interval)
{
    snapshot(true);
    get("/a");
    get("/b");
    world_advance(p->w, 999);
    ck_assert_uint_eq(p->w->n_origins, 0);
    world_advance(p->w, 1);
    ck_assert_str_eq(taken(0), "name:/a,/b,;");
    get("/c");
    world_advance(p->w, 1000);
    ck_assert_str_eq(taken(0), "/c,;");
    ck_assert_int_eq(stat(STAT_GRPC_LOG_WRITTEN), 3);
    ck_assert_int_eq(stat(STAT_GRPC_LOG_FLUSHED), 3);
    ck_assert_int_eq(stat(STAT_GRPC_LOG_FLUSH_FAILED), 0);
}
END_TEST

START_TEST(test_entries_of_tcp)
{
    config.is_tcp = true;
    snapshot(true);
    get("/a");
    get("/b");
    world_advance(p->w, 1000);
    ck_assert_str_eq(taken(0), "name:tcp 0/2,tcp 0/2,;");
    ck_assert_int_eq(stat(STAT_GRPC_LOG_WRITTEN), 2);
}
END_TEST

/* Beyond what may wait entries are dropped; what waits is sent when the service is there. */
START_TEST(test_bounded_while_there_is_no_service)
{
    snapshot(false);
    config.buffer_bytes = 600;
    for (unsigned i = 0; i < 50; i++)
        get("/x");
    int64_t written = stat(STAT_GRPC_LOG_WRITTEN);
    ck_assert_int_ge(written, 1);
    ck_assert_int_le(written, 6);
    ck_assert_int_eq(stat(STAT_GRPC_LOG_DROPPED), 50 - written);
    ck_assert_int_gt(stat(STAT_GRPC_LOG_FLUSH_FAILED), 0);
    snapshot(true);
    world_advance(p->w, 2000);
    ck_assert(bytes_starts_with(bytes_of(taken(0)), BYTES("name:/x,")));
    ck_assert_int_eq(stat(STAT_GRPC_LOG_FLUSHED), written);
    get("/y");
    ck_assert_int_eq(stat(STAT_GRPC_LOG_WRITTEN), written + 1);
}
END_TEST

START_TEST(test_bounded_without_a_buffer)
{
    snapshot(false);
    config.buffer_bytes = 0;
    struct strbuf path = STRBUF_INIT;
    strbuf_add_char(&path, '/');
    for (unsigned i = 0; i < 30000; i++)
        strbuf_add_char(&path, 'x');
    for (unsigned i = 0; i < 60; i++)
        get(strbuf_str(&path));
    strbuf_fini(&path);
    ck_assert_int_gt(stat(STAT_GRPC_LOG_WRITTEN), 30);
    ck_assert_int_gt(stat(STAT_GRPC_LOG_DROPPED), 10);
}
END_TEST

/* The service does not read: the connection takes so much, the buffer as much, and no more. */
START_TEST(test_bounded_while_the_service_is_slow)
{
    snapshot(true);
    config.buffer_bytes = 2000;
    get("/first");
    world_advance(p->w, 1000);
    ck_assert_str_eq(taken(0), "name:/first,;");
    struct h2_side *s = h2_origin(&origins, 0);
    s->codec->ops->stream_pause(s->seen[0].stream, true);
    s->quiet = true;
    for (unsigned i = 0; i < 4000 && !stat(STAT_GRPC_LOG_DROPPED); i++) {
        get("/more");
        if (i % 16 == 0)
            h2_origin_serve(&origins, 0);
    }
    ck_assert_int_gt(stat(STAT_GRPC_LOG_DROPPED), 0);
    int64_t flushed = stat(STAT_GRPC_LOG_FLUSHED);
    s->codec->ops->stream_pause(s->seen[0].stream, false);
    h2_origin_serve(&origins, 0);
    ck_assert_int_gt(stat(STAT_GRPC_LOG_FLUSHED), flushed);
}
END_TEST

/* A stream that never gets a connection takes nothing with it. */
START_TEST(test_nothing_is_lost_by_a_late_connection)
{
    max_requests = 0;
    snapshot(true);
    get("/a");
    world_advance(p->w, 1000);
    ck_assert_uint_eq(p->w->n_origins, 1);
    ck_assert_uint_eq(async_calls_live(&p->w->worker), 0);
    ck_assert_int_eq(stat(STAT_GRPC_LOG_FLUSHED), 0);
    max_requests = 10;
    snapshot(true);
    world_advance(p->w, 3000);
    ck_assert_str_eq(taken(0), "name:/a,;");
}
END_TEST

/* A stream that ends is opened anew, not before its time, and says who it is again. */
START_TEST(test_a_stream_that_ends)
{
    config.buffer_bytes = 0;
    snapshot(true);
    get("/a");
    ck_assert_str_eq(taken(0), "name:/a,;");
    h2_origin_head(&origins, 0, 0, ":status: 200\ngrpc-status: 0\n", true);
    get("/b");
    h2_origin_serve(&origins, 0);
    ck_assert_uint_eq(h2_origin(&origins, 0)->n_seen, 1);
    world_advance(p->w, 1000);
    world_advance(p->w, 1000);
    ck_assert_str_eq(taken(0), "name:/b,;");
    ck_assert_uint_eq(h2_origin(&origins, 0)->n_seen, 2);
}
END_TEST

START_TEST(test_its_cluster_is_removed)
{
    snapshot(true);
    get("/a");
    world_advance(p->w, 1000);
    ck_assert_str_eq(taken(0), "name:/a,;");
    snapshot(false);
    get("/b");
    world_advance(p->w, 1000);
    h2_origin_serve(&origins, 0);
    ck_assert(world_origin(p->w, 0)->eof);
    ck_assert_int_eq(stat(STAT_GRPC_LOG_FLUSH_FAILED), 1);
}
END_TEST

START_TEST(test_who_is_not_used_goes)
{
    snapshot(true);
    get("/a");
    world_advance(p->w, 1000);
    ck_assert_str_eq(taken(0), "name:/a,;");
    config.key = BYTES("another");
    get("/b");
    ck_assert_uint_eq(grpc_logs_count(logs), 2);
    for (unsigned i = 0; i < 12; i++) {
        world_advance(p->w, 60 * 1000);
        h2_origin_serve(&origins, 0);
    }
    ck_assert_uint_eq(grpc_logs_count(logs), 0);
    ck_assert_uint_eq(async_calls_live(&p->w->worker), 0);
    config.key = BYTES("key");
    get("/c");
    ck_assert_uint_eq(grpc_logs_count(logs), 1);
}
END_TEST

START_TEST(test_the_end_sends_what_waits)
{
    snapshot(true);
    get("/a");
    world_advance(p->w, 1000);
    ck_assert_str_eq(taken(0), "name:/a,;");
    get("/b");
    grpc_logs_flush(logs);
    ck_assert_str_eq(taken(0), "/b,;");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grpc_logs");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_entries_leave_after_the_interval);
    tcase_add_test(t, test_entries_of_tcp);
    tcase_add_test(t, test_bounded_while_there_is_no_service);
    tcase_add_test(t, test_bounded_without_a_buffer);
    tcase_add_test(t, test_bounded_while_the_service_is_slow);
    tcase_add_test(t, test_nothing_is_lost_by_a_late_connection);
    tcase_add_test(t, test_a_stream_that_ends);
    tcase_add_test(t, test_its_cluster_is_removed);
    tcase_add_test(t, test_who_is_not_used_goes);
    tcase_add_test(t, test_the_end_sends_what_waits);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
