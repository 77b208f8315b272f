#include "base/arena.h"

#include "suite.h"

START_TEST(aligned_and_apart)
{
    struct arena *a = arena_new(0);
    unsigned char *parts[500];
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        parts[i] = arena_alloc(a, i + 1);
        ck_assert_uint_eq((uintptr_t)parts[i] % 8, 0);
        memset(parts[i], (int)i & 0xff, i + 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        for (size_t j = 0; j <= i; j++)
            ck_assert_uint_eq(parts[i][j], i & 0xff);
    }
    arena_free(&a);
    ck_assert_ptr_null(a);
    arena_free(&a);
}
END_TEST

START_TEST(zeroed_and_copied)
{
    struct arena *a = arena_new(64);
    memset(arena_alloc(a, 48), 0xff, 48);
    arena_reset(a);
    const char *z = arena_zalloc(a, 48);
    for (unsigned i = 0; i < 48; i++)
        ck_assert_int_eq(z[i], 0);
    struct bytes d = arena_dup(a, BYTES("a\0b"));
    ck_assert(bytes_eq(d, BYTES("a\0b")));
    ck_assert_int_eq(d.data[3], '\0');
    ck_assert_str_eq(arena_str(a, BYTES_NONE), "");
    ck_assert_str_eq(arena_printf(a, "%s-%d", "x", 42), "x-42");
    ck_assert(bytes_eq(arena_u64(a, 0), BYTES("0")));
    ck_assert(bytes_eq(arena_u64(a, 1000), BYTES("1000")));
    struct bytes most = arena_u64(a, UINT64_MAX);
    ck_assert(bytes_eq(most, BYTES("18446744073709551615")));
    ck_assert_int_eq(most.data[most.len], '\0');
    int *n = ARENA_ARRAY(a, int, 3);
    ck_assert_int_eq(n[0] + n[1] + n[2], 0);
    arena_free(&a);
}
END_TEST

/* Cannot be seen but in memory that is kept: the first bytes, after a reset. */
START_TEST(wiped_when_it_goes)
{
    struct arena *a = arena_new(1024);
    arena_wipe_on_free(a);
    char *first = arena_str(a, BYTES("secret"));
    arena_reset(a);
    if (HEAP_IS_WATCHED) { /* each piece is its own, and gone */
        arena_free(&a);
        return;
    }
    for (unsigned i = 0; i < 6; i++)
        ck_assert_int_eq(first[i], 0);
    memset(arena_alloc(a, 5000), 1, 5000);
    arena_free(&a);
}
END_TEST

START_TEST(reset_keeps_the_first_bytes_only)
{
    struct arena *a = arena_new(1024);
    size_t least = arena_size(a);
    ck_assert_uint_lt(least, 1024 + 64);
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 1000; i++)
            memset(arena_alloc(a, 100), 1, 100);
        ck_assert_uint_ge(arena_size(a), 100000);
        ck_assert_uint_lt(arena_size(a), 300000);
        arena_reset(a);
        ck_assert_uint_eq(arena_size(a), least);
    }
    memset(arena_alloc(a, 1 << 20), 1, 1 << 20);
    arena_reset(a);
    ck_assert_uint_eq(arena_size(a), least);
    ck_assert_ptr_nonnull(arena_alloc(a, 1));
    arena_free(&a);
}
END_TEST

/* A node whose parts were counted beforehand is one piece of heap without a rest. */
START_TEST(what_was_asked_for_fits_without_a_block)
{
    if (HEAP_IS_WATCHED)
        return;
    struct arena *a = arena_new(40 + 5 + 3 + 8);
    size_t least = arena_size(a);
    arena_alloc(a, 40);
    arena_dup(a, BYTES("four"));
    arena_dup(a, BYTES(""));
    arena_dup(a, BYTES("ab"));
    arena_alloc(a, 8);
    ck_assert_uint_eq(arena_size(a), least);
    arena_alloc(a, 1);
    ck_assert_uint_gt(arena_size(a), least);
    arena_free(&a);
}
END_TEST

SUITE("arena", aligned_and_apart, zeroed_and_copied, wiped_when_it_goes,
      reset_keeps_the_first_bytes_only, what_was_asked_for_fits_without_a_block)
