#include "admin/stat_memory.h"

#include "suite.h"

enum { TIME };
static const struct stat_desc stats[] = {{"time", STAT_HISTOGRAM}};
static const struct stat_schema schema = {stats, 1};

START_TEST(an_interval_is_between_two_flushes)
{
    struct stat_store *store = stat_store_new(2);
    struct stat_scope *s = stat_scope_get(store, BYTES("h"), &schema);
    struct stat_memory *m = stat_memory_new();
    struct stat_histogram h;
    stat_memory_interval(m, BYTES("h.time"), &h);
    ck_assert_uint_eq(h.count, 0);
    stat_record(s, 0, TIME, 0);
    stat_record(s, 0, TIME, 10);
    stat_memory_interval(m, BYTES("h.time"), &h);
    ck_assert_uint_eq(h.count, 0); /* not flushed yet */
    stat_memory_flush(m, store);
    stat_memory_interval(m, BYTES("h.time"), &h);
    ck_assert_uint_eq(h.count, 2);
    ck_assert_uint_eq(h.zeros, 1);
    ck_assert_double_eq(h.sum, 10);
    stat_record(s, 1, TIME, 10);
    stat_record(s, 0, TIME, 500);
    stat_memory_flush(m, store);
    stat_memory_interval(m, BYTES("h.time"), &h);
    ck_assert_uint_eq(h.count, 2);
    ck_assert_uint_eq(h.zeros, 0);
    ck_assert_double_eq(h.sum, 510);
    ck_assert_uint_eq(h.steps[1][0], 1);
    ck_assert_uint_eq(h.steps[2][40], 1);
    stat_memory_flush(m, store);
    stat_memory_interval(m, BYTES("h.time"), &h);
    ck_assert_uint_eq(h.count, 0);
    stat_scope_unref(&s);
    stat_memory_free(&m);
    stat_store_free(&store);
}
END_TEST

/* A name that goes and comes back starts anew. */
START_TEST(gone_names_are_forgotten)
{
    struct stat_store *store = stat_store_new(2);
    struct stat_memory *m = stat_memory_new();
    struct stat_histogram h;
    for (unsigned i = 0; i < 2; i++) {
        struct stat_scope *s = stat_scope_get(store, BYTES("h"), &schema);
        stat_record(s, 0, TIME, 7);
        stat_memory_flush(m, store);
        stat_memory_interval(m, BYTES("h.time"), &h);
        ck_assert_uint_eq(h.count, 1);
        stat_scope_unref(&s);
        stat_memory_flush(m, store);
        stat_memory_interval(m, BYTES("h.time"), &h);
        ck_assert_uint_eq(h.count, 0);
    }
    stat_memory_free(&m);
    stat_store_free(&store);
}
END_TEST

SUITE("stat_memory", an_interval_is_between_two_flushes, gone_names_are_forgotten)
