#include "base/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t real_monotonic(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t real_wall(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

const struct clock clock_real = {real_monotonic, real_wall};

static uint64_t fake_monotonic(const struct clock *c)
{
    return ((const struct clock_fake *)c)->monotonic;
}

static uint64_t fake_wall(const struct clock *c)
{
    return ((const struct clock_fake *)c)->wall;
}

void clock_fake_init(struct clock_fake *c)
{
    c->clock = (struct clock){fake_monotonic, fake_wall};
    c->monotonic = NS_PER_S;
    c->wall = 1700000000ull * NS_PER_S;
}

void clock_fake_advance(struct clock_fake *c, uint64_t ns)
{
    c->monotonic += ns;
    c->wall += ns;
}
