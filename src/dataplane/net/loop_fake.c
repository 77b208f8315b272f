#include "dataplane/net/loop_fake.h"

#include "base/memory.h"
#include "dataplane/net/loop_core.h"

enum { TURNS_MAX = 100000 };

struct loop {
    struct loop_core core; /* first member */
    bool stopped;
};

struct loop *loop_new(const struct clock *clock, struct error *err UNUSED)
{
    struct loop *loop = NEW(struct loop);
    loop_core_init(&loop->core, clock);
    return loop;
}

void loop_free(struct loop **loop)
{
    if (!*loop)
        return;
    loop_core_fini(&(*loop)->core);
    mem_free(*loop);
    *loop = NULL;
}

void loop_update_now(struct loop *loop)
{
    loop_core_update_now(&loop->core);
}

/* True when something ran, or is left to run. */
static bool turn(struct loop *loop)
{
    struct loop_core *core = &loop->core;
    bool busy;

    core->front.turns++;
    loop_update_now(loop);
    busy = !list_empty(&core->mailbox) || loop_core_next_timer(core) <= core->front.now_ns ||
           !list_empty(&core->front.defers[DEFER_FLUSH]) ||
           !list_empty(&core->front.defers[DEFER_REAP]);
    loop_core_run_posts(core);
    loop_core_run_timers(core);
    return loop_core_end_turn(core) || busy;
}

void loop_turn(struct loop *loop, bool wait UNUSED)
{
    turn(loop);
}

bool loop_fake_step(struct loop *loop)
{
    return turn(loop);
}

void loop_fake_passes(struct loop *loop, unsigned passes)
{
    loop->core.passes = passes;
}

bool loop_fake_turn(struct loop *loop)
{
    for (unsigned i = 0; i < TURNS_MAX; i++)
        if (!turn(loop))
            return true;
    return false;
}

void loop_fake_advance(struct loop *loop, uint64_t ms)
{
    struct clock_fake *fake = (struct clock_fake *)(void *)loop->core.clock;
    uint64_t end = fake->monotonic + ms * NS_PER_MS;

    loop_fake_turn(loop);
    for (uint64_t next; (next = loop_core_next_timer(&loop->core)) <= end;) {
        if (next > fake->monotonic)
            clock_fake_advance(fake, next - fake->monotonic);
        loop_fake_turn(loop);
    }
    clock_fake_advance(fake, end - fake->monotonic);
    loop_fake_turn(loop);
}

uint64_t loop_fake_next(const struct loop *loop)
{
    uint64_t next = loop_core_next_timer(&loop->core);

    if (next == UINT64_MAX)
        return next;
    return next > loop->core.front.now_ns ? (next - loop->core.front.now_ns) / NS_PER_MS : 0;
}

/* Runs what there is to run, timers included, until loop_stop() or until nothing is left. */
void loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped) {
        loop_fake_turn(loop);
        if (loop->stopped || loop_fake_next(loop) == UINT64_MAX)
            break;
        loop_fake_advance(loop, loop_fake_next(loop) + 1);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

void loop_core_wake(struct loop *loop)
{
    (void)loop;
}

void io_watch_init(struct io_watch *w, struct loop *loop, int fd,
                   void (*fn)(struct io_watch *w, unsigned events), void *owner)
{
    *w = (struct io_watch){.loop = loop, .fn = fn, .owner = owner, .fd = fd};
}

void io_watch_set(struct io_watch *w, unsigned interest)
{
    CHECK(interest == 0); /* no descriptors here: use memory transports */
    w->interest = interest;
}

void io_watch_stop(struct io_watch *w)
{
    w->interest = 0;
}

void signal_watch_init(struct signal_watch *w, struct loop *loop, int signo,
                       void (*fn)(struct signal_watch *w), void *owner)
{
    *w = (struct signal_watch){.loop = loop, .fn = fn, .owner = owner, .signo = signo};
}

void signal_watch_stop(struct signal_watch *w)
{
    w->loop = NULL;
}
