#include "base/clock.h"

#include <time.h>

#include "suite.h"

START_TEST(fake_moves_when_told)
{
    struct clock_fake f;
    clock_fake_init(&f);
    const struct clock *c = &f.clock;
    uint64_t mono = c->monotonic_ns(c), wall = c->wall_ns(c);
    ck_assert_uint_eq(c->monotonic_ns(c), mono);
    clock_fake_advance(&f, 5 * NS_PER_MS);
    ck_assert_uint_eq(c->monotonic_ns(c), mono + 5 * NS_PER_MS);
    ck_assert_uint_eq(c->wall_ns(c), wall + 5 * NS_PER_MS);
    ck_assert_uint_gt(mono, 0); /* 0 means "not set" to many a timer */
}
END_TEST

START_TEST(real_is_the_system)
{
    const struct clock *c = &clock_real;
    uint64_t a = c->monotonic_ns(c), b = c->monotonic_ns(c);
    ck_assert_uint_le(a, b);
    uint64_t now = (uint64_t)time(NULL), wall = c->wall_ns(c) / NS_PER_S;
    ck_assert_uint_le(wall > now ? wall - now : now - wall, 2);
}
END_TEST

SUITE("clock", fake_moves_when_told, real_is_the_system)
