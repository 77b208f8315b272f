#include "base/map.h"

#include <stdio.h>

#include "base/random.h"
#include "suite.h"

static struct bytes key_of(char out[16], unsigned n)
{
    return bytes_from(out, (size_t)snprintf(out, 16, "key%u", n));
}

static int values[512];

START_TEST(random_history)
{
    struct map m = MAP_INIT;
    void *model[512] = {NULL};
    struct random_source r;
    size_t live = 0;
    char buf[16];
    random_seed(&r, 3);
    for (unsigned step = 0; step < 50000; step++) {
        unsigned n = (unsigned)random_below(&r, 512), bias = (step / 5000) % 2 ? 2 : 8;
        struct bytes key = key_of(buf, n);
        if (random_below(&r, 10) < bias) {
            void *value = &values[random_below(&r, 512)];
            ck_assert_ptr_eq(map_set(&m, key, value), model[n]);
            live += !model[n];
            model[n] = value;
        } else {
            ck_assert_ptr_eq(map_remove(&m, key), model[n]);
            live -= model[n] != NULL;
            model[n] = NULL;
        }
        ck_assert_uint_eq(map_count(&m), live);
        unsigned other = (unsigned)random_below(&r, 512);
        ck_assert_ptr_eq(map_get(&m, key_of(buf, other)), model[other]);
        ck_assert(map_has(&m, key_of(buf, other)) == (model[other] != NULL));
    }
    struct bytes key;
    void *value;
    size_t seen = 0;
    for (size_t i = 0; map_next(&m, &i, &key, &value); seen++) {
        uint64_t n;
        ck_assert(bytes_to_u64(bytes_skip(key, 3), &n));
        ck_assert_ptr_eq(value, model[n]);
    }
    ck_assert_uint_eq(seen, live);
    map_fini(&m);
    ck_assert_uint_eq(map_count(&m), 0);
}
END_TEST

START_TEST(order_and_removal_while_walking)
{
    struct map m = MAP_INIT;
    char buf[16];
    struct bytes key;
    void *value;
    for (unsigned i = 0; i < 100; i++)
        map_set(&m, key_of(buf, i), &values[i]);
    unsigned n = 0;
    for (size_t i = 0; map_next(&m, &i, &key, &value); n++) {
        ck_assert_ptr_eq(value, &values[n]);
        if (n % 3)
            ck_assert_ptr_eq(map_remove(&m, key_of(buf, n)), value);
    }
    ck_assert_uint_eq(n, 100);
    ck_assert_uint_eq(map_count(&m), 34);
    n = 0;
    for (size_t i = 0; map_next(&m, &i, &key, &value); n += 3)
        ck_assert_ptr_eq(value, &values[n]);
    map_fini(&m);
}
END_TEST

START_TEST(bounded_under_churn)
{
    struct map m = MAP_INIT;
    char buf[16];
    for (unsigned i = 0; i < 200000; i++) { /* ten live entries, always new names */
        map_set(&m, key_of(buf, i), &values[0]);
        if (i >= 10)
            map_remove(&m, key_of(buf, i - 10));
        ck_assert_uint_le(m.cap_slots, 64);
        ck_assert_uint_le(m.index_size, 64);
    }
    for (unsigned i = 0; i < 10000; i++)
        map_set(&m, key_of(buf, i + 300000), &values[0]);
    for (unsigned i = 0; i < 10000; i++)
        map_remove(&m, key_of(buf, i + 300000));
    map_tidy(&m);
    ck_assert_uint_le(m.cap_slots, 64);
    ck_assert_uint_eq(map_count(&m), 10);
    ck_assert(map_has(&m, key_of(buf, 199999)));
    for (unsigned i = 0; i < 10000; i++)
        map_set(&m, key_of(buf, i + 300000), &values[0]);
    for (unsigned i = 0; i < 10000; i++)
        map_remove(&m, key_of(buf, i + 300000));
    for (unsigned i = 0; i < 20000; i++) { /* a burst is given back */
        map_set(&m, key_of(buf, i), &values[0]);
        map_remove(&m, key_of(buf, i));
    }
    ck_assert_uint_le(m.cap_slots, 64);
    ck_assert_uint_le(m.index_size, 64);
    map_fini(&m);
}
END_TEST

START_TEST(empty_key_and_empty_map)
{
    struct map m = MAP_INIT;
    ck_assert_ptr_null(map_get(&m, BYTES("x")));
    ck_assert_ptr_null(map_remove(&m, BYTES("x")));
    ck_assert_ptr_null(map_set(&m, BYTES_NONE, &values[1]));
    ck_assert_ptr_eq(map_get(&m, BYTES("")), &values[1]);
    ck_assert_ptr_eq(map_set(&m, BYTES(""), &values[2]), &values[1]);
    map_set(&m, BYTES("a\0b"), &values[3]);
    ck_assert_ptr_null(map_get(&m, BYTES("a")));
    ck_assert_ptr_eq(map_get(&m, BYTES("a\0b")), &values[3]);
    map_fini(&m);
}
END_TEST

SUITE("map", random_history, order_and_removal_while_walking, bounded_under_churn,
      empty_key_and_empty_map)
