#include "dataplane/net/buffer.h"

#include <check.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/strbuf.h"

static struct chunk_pool *pool;
static struct buffer a, b;

static void setup(void)
{
    pool = chunk_pool_new(NULL, 0);
    buffer_init(&a, pool);
    buffer_init(&b, pool);
}

static void teardown(void)
{
    buffer_fini(&a);
    buffer_fini(&b);
    ck_assert_uint_eq(pool->live_chunks, 0);
    chunk_pool_free(&pool);
}

static void expect(const struct buffer *buf, const char *text)
{
    struct strbuf s = STRBUF_INIT;
    size_t sum = 0;

    for (const struct slice *x = buf->head; x; x = x->next) {
        strbuf_add(&s, x->data, x->len);
        sum += x->len;
        ck_assert(x->next || x == buf->tail);
    }
    ck_assert_str_eq(strbuf_str(&s), text);
    ck_assert_uint_eq(sum, buf->len);
    strbuf_fini(&s);
}

START_TEST(small_pieces_share_a_chunk)
{
    for (int i = 0; i < 100; i++)
        buffer_add_str(&a, "x");
    ck_assert_uint_eq(pool->live_chunks, 1);
    ck_assert_ptr_eq(a.head, a.tail);
    /* One-byte buffers moved one by one must not hold a chunk each */
    for (int i = 0; i < 100; i++) {
        struct buffer one;
        buffer_init(&one, pool);
        buffer_add_str(&one, "y");
        buffer_move(&b, &one);
    }
    ck_assert_uint_eq(b.len, 100);
    ck_assert_uint_eq(pool->live_chunks, 2);
}
END_TEST

/* n pieces of `len` bytes, each from the middle of a chunk of its own, which goes but for them. */
static void collect(unsigned n, size_t len, bool moved)
{
    static const char bytes[3000];
    for (unsigned i = 0; i < n; i++) {
        struct buffer whole;
        buffer_init(&whole, pool);
        buffer_add_str(&whole, "before");
        buffer_add(&whole, bytes, len);
        buffer_add_str(&whole, "behind");
        buffer_drain(&whole, 6);
        size_t was = a.len;
        if (moved) {
            struct buffer piece;
            buffer_init(&piece, pool);
            buffer_move_n(&piece, &whole, len);
            buffer_move(&a, &piece);
        } else {
            buffer_share(&a, &whole, 0, len);
        }
        buffer_tighten_grown(&a, was);
        buffer_fini(&whole);
    }
    ck_assert_uint_eq(a.len, n * len);
}

START_TEST(small_pieces_of_many_chunks_share_some)
{
    collect(10000, 1, _i);
    ck_assert_uint_le(pool->live_chunks, 2);
}
END_TEST

START_TEST(what_collects_is_made_tight)
{
    collect(1000, 3000, _i);
    ck_assert_uint_lt(pool->live_chunks * CHUNK_SIZE, 5 * a.len);
}
END_TEST

/* Slices of 3,000 bytes in `a`, each of a chunk that is otherwise somebody else's. */
static void pin_many(unsigned n, struct strbuf *text)
{
    char bytes[3000];
    size_t before = pool->live_chunks;
    for (unsigned i = 0; i < n; i++) {
        struct buffer whole;
        buffer_init(&whole, pool);
        memset(bytes, 'a' + (int)i, sizeof(bytes));
        for (unsigned k = 0; k < 5; k++)
            buffer_add(&whole, bytes, sizeof(bytes));
        buffer_share(&a, &whole, 6000, sizeof(bytes));
        strbuf_add(text, bytes, sizeof(bytes));
        buffer_fini(&whole);
    }
    ck_assert_uint_eq(pool->live_chunks, before + n);
}

START_TEST(what_is_held_is_made_tight)
{
    struct strbuf text = STRBUF_INIT;
    pin_many(10, &text);
    buffer_tighten(&a);
    expect(&a, strbuf_str(&text));
    ck_assert_uint_eq(pool->live_chunks, 2);
    const struct slice *head = a.head;
    buffer_tighten(&a); /* it is */
    ck_assert_ptr_eq(a.head, head);
    buffer_add_static(&a, BYTES("for ever"));
    strbuf_add_str(&text, "for ever");
    buffer_tighten(&b);
    buffer_tighten(&a);
    expect(&a, strbuf_str(&text));
    strbuf_fini(&text);
}
END_TEST

START_TEST(moving_by_copying)
{
    static char forever[20000];
    struct strbuf text = STRBUF_INIT;
    memset(forever, '.', sizeof(forever) - 1);
    buffer_add_str(&b, "first");
    strbuf_add_str(&text, "first");
    pin_many(1, &text);
    buffer_add_static(&a, bytes_of(forever));
    strbuf_add_str(&text, forever);
    buffer_move_copied(&b, &a);
    ck_assert(buffer_empty(&a) && !a.head && !a.tail);
    expect(&b, strbuf_str(&text));
    ck_assert_uint_eq(pool->live_chunks, 1);
    ck_assert_ptr_eq(b.tail->data, forever);
    buffer_move_copied(&b, &a); /* of nothing */
    expect(&b, strbuf_str(&text));
    strbuf_fini(&text);
}
END_TEST

START_TEST(moving_copies_no_large_bytes)
{
    char big[10000];

    memset(big, 'b', sizeof(big));
    buffer_add(&a, big, sizeof(big));
    const char *before = a.head->data;
    buffer_move(&b, &a);
    ck_assert_ptr_eq(b.head->data, before);
    ck_assert(buffer_empty(&a));
    ck_assert_ptr_null(a.head);
    buffer_move_n(&a, &b, 9000);
    ck_assert_ptr_eq(a.head->data, before);
    ck_assert_uint_eq(a.len, 9000);
    ck_assert_uint_eq(b.len, 1000);
    ck_assert_uint_eq(pool->live_chunks, 1);
}
END_TEST

START_TEST(sharing_keeps_the_bytes)
{
    buffer_add_str(&a, "hello world");
    buffer_share(&b, &a, 6, 5);
    buffer_drain(&a, 11);
    expect(&b, "world");
    /* Whoever ends at the chunk's end may write behind it; the other then may not */
    buffer_share(&a, &b, 0, 5);
    buffer_add_str(&b, " one");
    buffer_add_str(&a, " two");
    expect(&b, "world one");
    expect(&a, "world two");
}
END_TEST

START_TEST(prepend_peek_drain)
{
    buffer_add_str(&a, "body");
    buffer_prepend(&a, "head ", 5);
    expect(&a, "head body");
    struct bytes p = buffer_peek(&a, 7);
    ck_assert(bytes_eq(p, BYTES("head bo")));
    expect(&a, "head body");
    buffer_drain(&a, 6);
    expect(&a, "ody");
    ck_assert(bytes_eq(buffer_peek(&a, 1), BYTES("o")));
    buffer_drain(&a, 3);
    ck_assert_ptr_null(a.head);
    ck_assert_ptr_null(a.tail);
    buffer_prepend(&a, "p", 1);
    buffer_add_str(&a, "q");
    expect(&a, "pq");
}
END_TEST

START_TEST(static_bytes_are_not_copied)
{
    static const char text[] = "for ever";

    buffer_add_static(&a, bytes_of(text));
    ck_assert_ptr_eq(a.head->data, text);
    ck_assert_uint_eq(pool->live_chunks, 0);
    buffer_add_str(&a, "!");
    expect(&a, "for ever!");
    buffer_share(&b, &a, 0, 8);
    expect(&b, "for ever");
}
END_TEST

START_TEST(reserve_and_commit)
{
    size_t room;
    char *p = buffer_reserve(&a, &room);

    ck_assert_uint_eq(room, CHUNK_SIZE);
    buffer_commit(&a, 0);
    ck_assert_uint_eq(pool->live_chunks, 0); /* an idle reader holds nothing */
    p = buffer_reserve(&a, &room);
    memcpy(p, "abc", 3);
    buffer_commit(&a, 3);
    p = buffer_reserve(&a, &room);
    ck_assert_uint_eq(room, CHUNK_SIZE - 3);
    memcpy(p, "def", 3);
    buffer_commit(&a, 3);
    expect(&a, "abcdef");
    ck_assert_uint_eq(pool->live_chunks, 1);
    ck_assert_ptr_nonnull(buffer_reserve(&a, &room));
    buffer_commit(&a, 0);
    expect(&a, "abcdef");
}
END_TEST

START_TEST(iov_covers_the_front)
{
    struct iovec iov[4];

    for (int i = 0; i < 6; i++) {
        buffer_add_static(&a, BYTES("static part"));
    }
    ck_assert_int_eq(buffer_iov(&a, iov, 4), 4);
    ck_assert_uint_eq(iov[3].iov_len, 11);
}
END_TEST

/* The steady state of a proxy: read, move, write, drain: no heap after the first round. */
START_TEST(steady_state_needs_no_heap)
{
    size_t room;
    uint64_t calls = 0;

    for (int i = 0; i < 1000; i++) {
        if (i == 10)
            calls = pool->heap_calls;
        char *p = buffer_reserve(&a, &room);
        memset(p, 'r', 300);
        buffer_commit(&a, 300);
        buffer_drain(&a, 100);
        buffer_add_str(&b, "head");
        buffer_move(&b, &a);
        buffer_drain(&b, b.len);
    }
    if (pool->max_free_chunks > 0)
        ck_assert_uint_eq(pool->heap_calls, calls);
}
END_TEST

static void random_step(struct random_source *r, struct strbuf *ra, struct strbuf *rb)
{
    char text[5000];
    size_t n = random_below(r, sizeof(text)), half = a.len ? random_below(r, a.len + 1) : 0;

    memset(text, 'a' + (int)random_below(r, 26), n);
    switch (random_below(r, 5)) {
    case 0:
        buffer_add(&a, text, n);
        strbuf_add(ra, text, n);
        break;
    case 1:
        buffer_prepend(&a, text, n);
        strbuf_insert(ra, 0, text, n);
        break;
    case 2:
        buffer_move_n(&b, &a, half);
        strbuf_add(rb, ra->data, half);
        memmove(ra->data, ra->data + half, ra->len - half);
        strbuf_cut(ra, ra->len - half);
        break;
    case 3:
        buffer_share(&b, &a, half, a.len - half);
        strbuf_add(rb, ra->data + half, ra->len - half);
        break;
    case 4:
        half = b.len ? random_below(r, b.len + 1) : 0;
        buffer_drain(&b, half);
        memmove(rb->data, rb->data + half, rb->len - half);
        strbuf_cut(rb, rb->len - half);
        break;
    }
}

START_TEST(equal_to_a_plain_string)
{
    struct random_source r;
    struct strbuf ra = STRBUF_INIT, rb = STRBUF_INIT;

    random_seed(&r, 7);
    strbuf_reserve(&ra, 1);
    strbuf_reset(&ra);
    strbuf_reserve(&rb, 1);
    strbuf_reset(&rb);
    for (int i = 0; i < 3000; i++) {
        random_step(&r, &ra, &rb);
        if (i % 16 == 0) {
            expect(&a, strbuf_str(&ra));
            expect(&b, strbuf_str(&rb));
        }
        if (a.len > 100000) {
            buffer_drain(&a, a.len);
            strbuf_reset(&ra);
        }
    }
    strbuf_fini(&ra);
    strbuf_fini(&rb);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("buffer");
    TCase *t = tcase_create("buffer");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, small_pieces_share_a_chunk);
    tcase_add_test(t, moving_copies_no_large_bytes);
    tcase_add_test(t, sharing_keeps_the_bytes);
    tcase_add_test(t, prepend_peek_drain);
    tcase_add_test(t, static_bytes_are_not_copied);
    tcase_add_test(t, reserve_and_commit);
    tcase_add_test(t, iov_covers_the_front);
    tcase_add_test(t, what_is_held_is_made_tight);
    tcase_add_loop_test(t, small_pieces_of_many_chunks_share_some, 0, 2);
    tcase_add_loop_test(t, what_collects_is_made_tight, 0, 2);
    tcase_add_test(t, moving_by_copying);
    tcase_add_test(t, steady_state_needs_no_heap);
    tcase_add_test(t, equal_to_a_plain_string);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
