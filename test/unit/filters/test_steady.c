/* The steady state costs no heap: after a warm-up, keep-alive requests allocate nothing at all. */
#include <check.h>
#include <stdlib.h>

#include "base/check.h"
#include "dataplane/net/loop_fake.h"
#include "proxy.h"

#define COUNTED (!HEAP_IS_WATCHED)

static unsigned long allocations, answered;

#if COUNTED
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}
#endif

static struct proxy *p;

/* Check's assertions allocate: none in here. */
static void exchange(const char *request, const char *answer)
{
    struct origin *o = LIST_ENTRY(p->w->origins.next, struct origin, link);
    connection_write_bytes(p->client, bytes_of(request));
    loop_fake_turn(p->w->loop);
    connection_write_bytes(o->connection, bytes_of(answer));
    loop_fake_turn(p->w->loop);
    answered += p->received.len > 0;
    strbuf_reset(&o->in);
    strbuf_reset(&p->received);
}

#define ROUTE(more)                                                                                \
    "{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: "    \
    "{cluster: c0" more "}, request_headers_to_add: [{header: {key: x-a, value: b}}]}]}]}"
#define RETRIES ", retry_policy: {retry_on: 5xx, per_try_timeout: 5s}"

static void check_steady(const char *routes, const char *request, const char *answer)
{
    p = proxy_new(routes);
    answered = 0;
    proxy_send(p, request);
    proxy_answer(p, answer);
    for (unsigned i = 0; i < 9; i++)
        exchange(request, answer);
    unsigned long before = allocations;
    uint64_t chunk_calls = p->w->worker.chunks->heap_calls;
    for (unsigned i = 0; i < 1000; i++)
        exchange(request, answer);
    unsigned long made = allocations - before;
    if (COUNTED) {
        ck_assert_uint_eq(made, 0);
        ck_assert_uint_eq(p->w->worker.chunks->heap_calls, chunk_calls);
    }
    ck_assert_uint_eq(answered, 1009);
    ck_assert_uint_eq(p->w->n_origins, 1);
    ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_RQ_TOTAL), 1010);
    proxy_free(p);
}

static const char *const rows[] = {ROUTE(""), ROUTE(RETRIES)};

START_TEST(test_get)
{
    check_steady(rows[_i], "GET /a HTTP/1.1\r\nhost: a\r\nuser-agent: u\r\naccept: */*\r\n\r\n",
                 "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/plain\r\n\r\nhello");
}
END_TEST

START_TEST(test_post)
{
    check_steady(rows[_i], "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
                 "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
}
END_TEST

static void exchange_again(const char *request)
{
    struct origin *o = LIST_ENTRY(p->w->origins.next, struct origin, link);
    connection_write_bytes(p->client, bytes_of(request));
    loop_fake_turn(p->w->loop);
    connection_write_bytes(o->connection, BYTES("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"));
    loop_fake_turn(p->w->loop);
    loop_fake_advance(p->w->loop, 100);
    loop_fake_turn(p->w->loop);
    connection_write_bytes(o->connection, BYTES("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
    loop_fake_turn(p->w->loop);
    answered += p->received.len > 0;
    strbuf_reset(&o->in);
    strbuf_reset(&p->received);
}

/* Each request is tried twice, body and all. */
START_TEST(test_retried)
{
    const char *request = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    p = proxy_new(ROUTE(RETRIES));
    answered = 0;
    proxy_send(p, request);
    proxy_answer(p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    for (unsigned i = 0; i < 9; i++)
        exchange_again(request);
    unsigned long before = allocations;
    for (unsigned i = 0; i < 1000; i++)
        exchange_again(request);
    unsigned long made = allocations - before;
    if (COUNTED)
        ck_assert_uint_eq(made, 0);
    ck_assert_uint_eq(answered, 1009);
    ck_assert_int_eq(world_stat(p->w, 0, STAT_UPSTREAM_RQ_RETRY), 1009);
    proxy_free(p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("steady");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, test_get, 0, (int)ARRAY_SIZE(rows));
    tcase_add_loop_test(t, test_post, 0, (int)ARRAY_SIZE(rows));
    tcase_add_test(t, test_retried);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
