#include "dataplane/net/loop_fake.h"

#include <check.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "dataplane/net/connection.h"
#include "dataplane/net/transport_pair.h"

static struct clock_fake fake;
static struct loop *loop;
static struct strbuf trace;

static void setup(void)
{
    struct error err = ERROR_INIT;

    clock_fake_init(&fake);
    loop = loop_new(&fake.clock, &err);
    trace = (struct strbuf)STRBUF_INIT;
}

static void teardown(void)
{
    loop_free(&loop);
    strbuf_fini(&trace);
}

static void mark_timer(struct timer *t)
{
    strbuf_printf(&trace, "%s@%llu ", (const char *)t->owner,
                  (unsigned long long)(loop_now_ms(loop)));
    if (strcmp(t->owner, "a") == 0 && loop_now_ms(loop) < 30)
        timer_start(t, 10);
}

static void mark_post(struct post *p)
{
    strbuf_add_str(&trace, "post ");
}

static void mark_defer(struct defer *d)
{
    strbuf_add_str(&trace, "defer ");
}

START_TEST(time_moves_only_when_told)
{
    struct timer a, b;
    uint64_t start = loop_now_ms(loop);

    timer_init(&a, loop, mark_timer, "a");
    timer_init(&b, loop, mark_timer, "b");
    timer_start(&a, 10);
    timer_start(&b, 3600 * 1000);
    ck_assert(loop_fake_turn(loop));
    ck_assert_uint_eq(trace.len, 0);
    ck_assert_uint_eq(loop_fake_next(loop), 10);
    loop_fake_advance(loop, 3600 * 1000 - 1);
    ck_assert(timer_pending(&b));
    loop_fake_advance(loop, 1);
    ck_assert(!timer_pending(&b));
    ck_assert_uint_eq(loop_now_ms(loop) - start, 3600 * 1000);
    ck_assert_uint_eq(loop_fake_next(loop), UINT64_MAX);
}
END_TEST

START_TEST(the_wall_clock_is_the_turn_s)
{
    uint64_t begun = loop_wall_ns(loop);

    clock_fake_advance(&fake, NS_PER_S);
    ck_assert_uint_eq(loop_wall_ns(loop), begun);
    loop_fake_turn(loop);
    ck_assert_uint_eq(loop_wall_ns(loop), begun + NS_PER_S);
}
END_TEST

START_TEST(order_is_fixed)
{
    struct timer a;
    struct post p;
    struct defer d;

    timer_init(&a, loop, mark_timer, "t");
    timer_start(&a, 0);
    post_init(&p, mark_post, NULL);
    defer_init(&d, loop, DEFER_FLUSH, mark_defer, NULL);
    defer_schedule(&d);
    ck_assert(loop_post(loop, &p));
    ck_assert(loop_fake_turn(loop));
    ck_assert_ptr_nonnull(strstr(trace.data, "post t@"));
    ck_assert_ptr_nonnull(strstr(trace.data, " defer "));
}
END_TEST

static struct strbuf got;
static bool closed;

static void on_data(struct connection *c, struct buffer *in, bool end)
{
    struct bytes b = buffer_peek(in, in->len);

    strbuf_add_bytes(&got, b);
    buffer_drain(in, in->len);
}

static void on_close(struct connection *c, enum close_reason reason)
{
    closed = true;
    ck_assert_int_eq(reason, CLOSE_REMOTE_CLOSE);
}

static void on_other_close(struct connection *c, enum close_reason reason)
{
    ck_assert_int_eq(reason, CLOSE_SHUTDOWN);
}

START_TEST(a_connection_in_memory)
{
    static const struct connection_ops reader = {.on_data = on_data, .on_close = on_close};
    static const struct connection_ops writer = {.on_data = on_data, .on_close = on_other_close};
    struct chunk_pool *pool = chunk_pool_new(NULL, 0);
    struct transport *ends[2];

    got = (struct strbuf)STRBUF_INIT;
    closed = false;
    transport_pair_new(loop, pool, 0, ends);
    struct connection *a = connection_new(loop, pool, ends[0], &writer, NULL);
    connection_new(loop, pool, ends[1], &reader, NULL);
    connection_write_bytes(a, BYTES("in memory"));
    ck_assert(loop_fake_turn(loop));
    ck_assert_str_eq(got.data, "in memory");
    connection_close(a, CLOSE_SHUTDOWN, CLOSE_FLUSH, 0);
    ck_assert(loop_fake_turn(loop));
    ck_assert(closed);
    strbuf_fini(&got);
    chunk_pool_free(&pool);
}
END_TEST

/* A burst of n chunks and slices, all of them given back. */
static void burst(struct chunk_pool *pool, unsigned n)
{
    struct slice *first = NULL;
    for (unsigned i = 0; i < n; i++) {
        struct slice *s = slice_new(pool);
        s->chunk = chunk_new(pool);
        s->next = first;
        first = s;
    }
    for (struct slice *s; (s = first) != NULL;) {
        first = s->next;
        slice_free(pool, s);
    }
}

START_TEST(what_a_burst_took_goes_back)
{
    enum { MANY = 1000 };
    struct chunk_pool *pool = chunk_pool_new(loop, 0);

    burst(pool, MANY);
    size_t free_chunks = pool->n_free_chunks, free_slices = pool->n_free_slices;
    loop_fake_advance(loop, CHUNK_POOL_REST_MS + 1);
    ck_assert_uint_eq(pool->n_free_chunks, free_chunks); /* may be needed again */
    burst(pool, 100);
    loop_fake_advance(loop, CHUNK_POOL_REST_MS);
    if (free_chunks) { /* not under AddressSanitizer */
        ck_assert_uint_eq(pool->n_free_chunks, 100);
        ck_assert_uint_eq(pool->n_free_slices, 100);
        ck_assert_uint_gt(free_slices, 100);
        ck_assert_ptr_nonnull(pool->going); /* they do not go all at once */
    }
    uint64_t calls = pool->heap_calls;
    burst(pool, 100);
    ck_assert_uint_eq(pool->heap_calls, free_chunks ? calls : calls + 200);
    loop_fake_advance(loop, 3 * CHUNK_POOL_REST_MS);
    ck_assert_ptr_null(pool->going);
    ck_assert_uint_le(pool->n_free_chunks, CHUNK_POOL_KEPT);
    ck_assert_uint_le(pool->n_free_slices, 4 * CHUNK_POOL_KEPT);
    ck_assert_uint_eq(loop_fake_next(loop), UINT64_MAX); /* nothing wakes an idle process */
    burst(pool, 2);
    chunk_pool_free(&pool);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loop_fake");
    TCase *t = tcase_create("loop_fake");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, time_moves_only_when_told);
    tcase_add_test(t, the_wall_clock_is_the_turn_s);
    tcase_add_test(t, order_is_fixed);
    tcase_add_test(t, a_connection_in_memory);
    tcase_add_test(t, what_a_burst_took_goes_back);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
