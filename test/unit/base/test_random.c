#include "base/random.h"

#include <stdbool.h>
#include <string.h>

#include "suite.h"

START_TEST(a_seed_repeats)
{
    struct random_source a, b, c;
    random_seed(&a, 7);
    random_seed(&b, 7);
    random_seed(&c, 8);
    unsigned same = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t v = random_u64(&a);
        ck_assert_uint_eq(v, random_u64(&b));
        same += v == random_u64(&c);
    }
    ck_assert_uint_eq(same, 0);
    random_seed(&a, 0); /* no seed gives the state that never moves */
    ck_assert_uint_ne(random_u64(&a), random_u64(&a));
    random_seed_os(&a);
    random_seed_os(&b);
    ck_assert_uint_ne(random_u64(&a), random_u64(&b));
}
END_TEST

START_TEST(bounds_are_uniform)
{
    struct random_source r;
    random_seed(&r, 1);
    for (uint64_t n = 1; n < 70; n++) {
        for (unsigned i = 0; i < 200; i++)
            ck_assert_uint_lt(random_below(&r, n), n);
    }
    unsigned seen[10] = {0};
    for (unsigned i = 0; i < 100000; i++)
        seen[random_below(&r, 10)]++;
    for (unsigned i = 0; i < 10; i++)
        ck_assert_msg(seen[i] > 9500 && seen[i] < 10500, "%u: %u", i, seen[i]);
    ck_assert_uint_eq(random_below(&r, 1), 0);
    bool high = false;
    for (unsigned i = 0; i < 100; i++)
        high |= random_below(&r, UINT64_MAX) > UINT64_MAX / 2;
    ck_assert(high);
}
END_TEST

START_TEST(uuid_form)
{
    struct random_source r;
    char a[37], last[37] = "";
    random_seed(&r, 2);
    unsigned variants[4] = {0};
    for (unsigned i = 0; i < 1000; i++) {
        random_uuid4(&r, a);
        ck_assert_uint_eq(strlen(a), 36);
        for (unsigned k = 0; k < 36; k++) {
            if (k == 8 || k == 13 || k == 18 || k == 23)
                ck_assert_int_eq(a[k], '-');
            else
                ck_assert_msg(strchr("0123456789abcdef", a[k]) != NULL, "%s", a);
        }
        ck_assert_int_eq(a[14], '4');
        const char *variant = strchr("89ab", a[19]);
        ck_assert_ptr_nonnull(variant);
        variants[strlen(variant) - 1]++;
        ck_assert_str_ne(a, last);
        memcpy(last, a, sizeof(a));
    }
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_gt(variants[i], 150);
}
END_TEST

SUITE("random", a_seed_repeats, bounds_are_uniform, uuid_form)
