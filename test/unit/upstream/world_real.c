#include "world.h"

const struct clock *world_clock(struct world *w)
{
    return &clock_real;
}

void world_run(struct world *w)
{
    for (unsigned i = 0; i < 20; i++)
        loop_turn(w->loop, false);
}

static void on_timer(struct timer *t)
{
    *(bool *)t->owner = true;
}

void world_advance(struct world *w, uint64_t ms)
{
    struct timer t;
    bool over = false;
    timer_init(&t, w->loop, on_timer, &over);
    timer_start(&t, ms);
    while (!over)
        loop_turn(w->loop, true);
    world_run(w);
}
