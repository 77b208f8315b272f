/* Time behind a small table, so that tests can run on a clock of their own. Monotonic time decides
 * timers; wall time is printed and judges certificates. Any thread. */
#pragma once

#include <stdint.h>

struct clock {
    uint64_t (*monotonic_ns)(const struct clock *c);
    uint64_t (*wall_ns)(const struct clock *c); /* since 1970, UTC */
};

extern const struct clock clock_real;

/* A clock that moves only when told. */
struct clock_fake {
    struct clock clock; /* first member */
    uint64_t monotonic, wall;
};

void clock_fake_init(struct clock_fake *c);
void clock_fake_advance(struct clock_fake *c, uint64_t ns);

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull
