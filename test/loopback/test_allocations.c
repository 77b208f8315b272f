/* In the steady state a request costs no heap allocation: counted in front of malloc. */
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "config/format.h"
#include "dataplane/http/stream_pool.h"
#include "filters.h"
#include "loopback.h"
#include "suite.h"

static unsigned allocations;

#if !HEAP_IS_WATCHED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
    allocations++;
    return __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t size)
{
    allocations++;
    return __libc_realloc(p, size);
}
#endif

static struct loopback lb;
static struct client c;

static void set_up(void)
{
    static const struct http_filter_ops *const filters[] = {&probe_filter, &origin_filter};
    probe_reset();
    loopback_init(&lb, filters, 2);
    client_connect(&c, &lb);
}

static void tear_down(void)
{
    client_fini(&c);
    loopback_fini(&lb);
    origin_reset();
}

static void request(const char *text, size_t answer_ends)
{
    client_send(&c, text);
    CHECK(c.received.len >= answer_ends); /* Check allocates */
    strbuf_cut(&c.received, 0);
}

static unsigned cost_of(const char *text)
{
    for (int i = 0; i < 50; i++)
        request(text, 40);
    unsigned before = allocations;
    for (int i = 0; i < 1000; i++)
        request(text, 40);
    return allocations - before;
}

START_TEST(test_no_allocation_in_the_steady_state)
{
    if (HEAP_IS_WATCHED)
        return;
    ck_assert_uint_eq(cost_of("GET /ok HTTP/1.1\r\nHost: a.test\r\nUser-Agent: x\r\nAccept: */*\r\n"
                              "X-One: 1\r\nX-Two: 2\r\n\r\n"),
                      0);
    ck_assert_uint_eq(
        cost_of("POST /echo HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n"
                "\r\n5\r\nhello\r\n0\r\n\r\n"),
        0);
}
END_TEST

START_TEST(test_no_allocation_for_a_line_of_json)
{
    static const char *const formats[] = {"%REQ(X-ONE)%", "<%PROTOCOL% %RESPONSE_CODE%>"};
    static struct json_format_node children[ARRAY_SIZE(formats)];
    char path[] = "/tmp/xylem-allocations-XXXXXX";
    struct error err = ERROR_INIT;
    if (HEAP_IS_WATCHED)
        return;
    close(mkstemp(path));
    loopback_log_to(&lb, path, "x");
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        children[i].key = BYTES("k");
        ck_assert(format_compile(lb.manager->node.arena, bytes_of(formats[i]), &children[i].format,
                                 &err));
    }
    lb.log.is_json = true;
    lb.log.json = (struct json_format_node){
        .kind = JSON_NODE_OBJECT, .children = children, .n_children = ARRAY_SIZE(formats)};
    ck_assert_uint_eq(cost_of("GET /ok HTTP/1.1\r\nHost: a.test\r\nX-One: 1\r\n\r\n"), 0);
    unlink(path);
}
END_TEST

START_TEST(test_streams_are_reused)
{
    for (int i = 0; i < 100; i++)
        request("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n", 40);
    ck_assert_uint_eq(origin.destroyed, 100);
    /* One stream after the other on one connection: one object serves them all. */
    struct stream_handle h = {0};
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    h = stream_handle_of(origin.filter->stream);
    ck_assert_uint_gt(h.generation, 100);
    origin_answer("200", NULL, true);
    loopback_run(&lb);
}
END_TEST

START_TEST(test_a_flood_of_requests_makes_few_streams)
{
    static const char request[] = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";
    struct strbuf flood = STRBUF_INIT;
    struct client others[20];
    for (unsigned i = 0; i < 2000; i++)
        strbuf_add_str(&flood, request);
    for (unsigned i = 0; i < 20; i++)
        client_connect(&others[i], &lb);
    for (unsigned i = 0; i < 20; i++)
        connection_write_bytes(others[i].connection, strbuf_bytes(&flood));
    loopback_run(&lb);
    ck_assert_uint_eq(origin.destroyed, 20 * 2000);
    ck_assert_uint_le(lb.worker.streams->n_total, 256 + 20);
    for (unsigned i = 0; i < 20; i++)
        client_fini(&others[i]);
    strbuf_fini(&flood);
}
END_TEST

START_TEST(test_what_a_burst_took_goes_back)
{
    enum { MANY = 100, NEEDED = 50 };
    const struct stream_pool *pool = lb.worker.streams;
    struct client others[MANY];
    for (unsigned round = 0; round < 2; round++) {
        unsigned n = round == 0 ? MANY : NEEDED;
        for (unsigned i = 0; i < n; i++) {
            client_connect(&others[i], &lb);
            client_send(&others[i], "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        ck_assert_uint_eq(pool->n_live, n);
        for (unsigned i = 0; i < n; i++)
            client_fini(&others[i]);
        loopback_run(&lb);
        ck_assert_uint_eq(pool->n_live, 0);
        ck_assert_uint_eq(pool->n_kept, MANY);
        if (round == 0)
            loopback_advance(&lb, STREAM_POOL_REST_MS);
        ck_assert_uint_eq(pool->n_kept, MANY); /* may be needed again */
    }
    loopback_advance(&lb, STREAM_POOL_REST_MS);
    ck_assert_uint_eq(pool->n_kept, NEEDED);
    loopback_advance(&lb, STREAM_POOL_REST_MS);
    ck_assert_uint_eq(pool->n_kept, STREAM_POOL_KEPT);
    ck_assert(!timer_pending(&pool->rest));
    unsigned total = pool->n_total;
    for (unsigned i = 0; i < MANY; i++) {
        client_connect(&others[i], &lb);
        client_send(&others[i], "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
        ck_assert(strncmp(client_take(&others[i]), "HTTP/1.1 200", 12) == 0);
    }
    ck_assert_uint_eq(pool->n_total, total);
    for (unsigned i = 0; i < MANY; i++)
        client_fini(&others[i]);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("allocations");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, test_no_allocation_in_the_steady_state);
    tcase_add_test(t, test_no_allocation_for_a_line_of_json);
    tcase_add_test(t, test_streams_are_reused);
    tcase_add_test(t, test_a_flood_of_requests_makes_few_streams);
    tcase_add_test(t, test_what_a_burst_took_goes_back);
    return run_suite(t);
}
