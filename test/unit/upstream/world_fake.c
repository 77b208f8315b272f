#include <check.h>

#include "dataplane/net/loop_fake.h"
#include "world.h"

const struct clock *world_clock(struct world *w)
{
    return &w->clock.clock;
}

void world_run(struct world *w)
{
    ck_assert(loop_fake_turn(w->loop));
}

void world_advance(struct world *w, uint64_t ms)
{
    loop_fake_advance(w->loop, ms);
    world_run(w);
}
