#include "dataplane/net/loop.h"

#include <errno.h>
#include <ev.h>
#include <string.h>

#include "base/memory.h"
#include "dataplane/net/loop_core.h"
#include "dataplane/net/loop_guard.h"

struct loop {
    struct loop_core core; /* first member */
    struct ev_loop *ev;
    struct ev_timer timer;     /* the earliest of the queue */
    struct ev_async async;     /* the mailbox has something */
    struct ev_idle idle;       /* runs while work is left over: do not sleep */
    uint64_t timer_at;         /* what the ev_timer is set to; UINT64_MAX: not set */
    atomic_uint_fast64_t beat; /* odd inside of a turn; written by the loop alone */
    struct loop_guard *guard;
};

_Static_assert(sizeof(struct ev_io) <= sizeof(((struct io_watch *)0)->backend), "ev_io");
_Static_assert(sizeof(struct ev_signal) <= sizeof(((struct signal_watch *)0)->backend), "signal");

static void set_idle(struct loop *loop, bool busy)
{
    if (busy)
        ev_idle_start(loop->ev, &loop->idle);
    else if (ev_is_active(&loop->idle))
        ev_idle_stop(loop->ev, &loop->idle);
}

/* libev's time and ours were read at the same moment, the beginning of the turn. Most timers are
 * stopped or moved before they are due: a time that is too early stays set, and then nothing
 * runs. */
static void set_timer(struct loop *loop)
{
    uint64_t next = loop_core_next_timer(&loop->core), now = loop_now_ns(loop);

    if (next >= loop->timer_at)
        return;
    ev_timer_stop(loop->ev, &loop->timer);
    ev_timer_set(&loop->timer, next > now ? (double)(next - now) / 1e9 : 0., 0.);
    ev_timer_start(loop->ev, &loop->timer);
    loop->timer_at = next;
}

static void end_turn(struct loop *loop)
{
    set_idle(loop, loop_core_end_turn(&loop->core));
    set_timer(loop);
}

/* A turn begins, or ends, if it had not. Sequentially consistent: see watchdog.c. */
static void set_awake(struct loop *loop, bool awake)
{
    uint64_t beat = atomic_load_explicit(&loop->beat, memory_order_relaxed);
    if (!loop->guard || (beat % 2 == 1) == awake)
        return;
    atomic_store(&loop->beat, beat + 1);
    if (awake && atomic_load(&loop->guard->asleep) && atomic_exchange(&loop->guard->asleep, false))
        loop->guard->wake(loop->guard);
}

/* A turn, from the end of one wait to the beginning of the next. libev calls this where it would
 * call its watchers: one of kind prepare and one of kind check would do the same, but be queued
 * each time. */
static void on_turn(struct ev_loop *ev)
{
    struct loop *loop = ev_userdata(ev);

    set_awake(loop, true);
    loop->core.front.turns++;
    loop_update_now(loop);
    ev_invoke_pending(ev);
    end_turn(loop);
    set_awake(loop, false);
}

static void on_timer(struct ev_loop *ev, struct ev_timer *w, int events UNUSED)
{
    struct loop *loop = w->data;

    (void)ev;
    loop->timer_at = UINT64_MAX;
    /* libev counts in floating point and may be a little early */
    if (loop_core_next_timer(&loop->core) - loop->core.front.now_ns < NS_PER_MS / 2)
        loop->core.front.now_ns = loop_core_next_timer(&loop->core);
    loop_core_run_timers(&loop->core);
}

static void on_async(struct ev_loop *ev, struct ev_async *w, int events UNUSED)
{
    struct loop *loop = w->data;

    if (loop_core_run_posts(&loop->core))
        ev_async_send(ev, w);
}

static void on_idle(struct ev_loop *ev, struct ev_idle *w, int events UNUSED)
{
    (void)ev;
    (void)w;
}

struct loop *loop_new(const struct clock *clock, struct error *err)
{
    struct ev_loop *ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (!ev) {
        error_set(err, "cannot create an event loop: %s", strerror(errno));
        return NULL;
    }
    struct loop *loop = NEW(struct loop);
    loop_core_init(&loop->core, clock);
    loop->ev = ev;
    loop->timer_at = UINT64_MAX;
    ev_set_userdata(ev, loop);
    ev_set_invoke_pending_cb(ev, on_turn);
    ev_timer_init(&loop->timer, on_timer, 0., 0.);
    ev_async_init(&loop->async, on_async);
    ev_idle_init(&loop->idle, on_idle);
    loop->timer.data = loop->async.data = loop;
    /* What arrived goes before what timed out. */
    ev_set_priority(&loop->timer, EV_MINPRI);
    ev_set_priority(&loop->idle, EV_MINPRI);
    ev_async_start(ev, &loop->async);
    return loop;
}

void loop_free(struct loop **loop)
{
    struct loop *l = *loop;

    *loop = NULL;
    if (!l)
        return;
    loop_core_fini(&l->core);
    ev_loop_destroy(l->ev);
    mem_free(l);
}

void loop_run(struct loop *loop)
{
    if (loop->guard)
        loop->guard->running(loop->guard, loop);
    ev_now_update(loop->ev);
    loop_update_now(loop);
    end_turn(loop); /* of what was done before */
    ev_run(loop->ev, 0);
}

void loop_stop(struct loop *loop)
{
    ev_break(loop->ev, EVBREAK_ALL);
}

void loop_turn(struct loop *loop, bool wait)
{
    /* Work that was left for the end of a turn is something that happens */
    bool idle = list_empty(&loop->core.front.defers[DEFER_FLUSH]) &&
                list_empty(&loop->core.front.defers[DEFER_REAP]);

    ev_now_update(loop->ev);
    loop_update_now(loop);
    end_turn(loop);
    ev_run(loop->ev, wait && idle ? EVRUN_ONCE : EVRUN_NOWAIT);
}

void loop_update_now(struct loop *loop)
{
    loop_core_update_now(&loop->core);
}

void loop_set_guard(struct loop *loop, struct loop_guard *guard)
{
    loop->guard = guard;
}

uint64_t loop_beat(const struct loop *loop)
{
    return atomic_load(&loop->beat);
}

void loop_core_wake(struct loop *loop)
{
    ev_async_send(loop->ev, &loop->async);
}

/* --- descriptors --- */

static struct ev_io *io_backend(struct io_watch *w)
{
    return (struct ev_io *)(void *)w->backend;
}

static void on_io(struct ev_loop *ev UNUSED, struct ev_io *io, int revents)
{
    struct io_watch *w = io->data;
    unsigned events = 0;

    if (revents & (EV_READ | EV_ERROR))
        events |= IO_READ;
    if (revents & (EV_WRITE | EV_ERROR))
        events |= IO_WRITE;
    events &= w->interest;
    if (events)
        w->fn(w, events);
}

void io_watch_init(struct io_watch *w, struct loop *loop, int fd,
                   void (*fn)(struct io_watch *w, unsigned events), void *owner)
{
    struct ev_io *io = io_backend(w);

    *w = (struct io_watch){.loop = loop, .fn = fn, .owner = owner, .fd = fd};
    ev_io_init(io, on_io, fd, 0);
    io->data = w;
}

void io_watch_set(struct io_watch *w, unsigned interest)
{
    struct ev_io *io = io_backend(w);
    int events = (interest & IO_READ ? EV_READ : 0) | (interest & IO_WRITE ? EV_WRITE : 0);

    if (interest == w->interest)
        return;
    /* libev compares old and new interest before the next wait: going back costs nothing, and no
     * interest at all costs nothing either until something happens on the descriptor */
    if (w->interest)
        ev_io_stop(w->loop->ev, io);
    ev_io_modify(io, events);
    w->interest = interest;
    if (interest)
        ev_io_start(w->loop->ev, io);
}

void io_watch_stop(struct io_watch *w)
{
    if (w->interest) {
        w->interest = 0;
        ev_io_stop(w->loop->ev, io_backend(w));
    }
}

/* --- signals --- */

static void on_signal(struct ev_loop *ev UNUSED, struct ev_signal *s, int revents UNUSED)
{
    struct signal_watch *w = s->data;
    w->fn(w);
}

void signal_watch_init(struct signal_watch *w, struct loop *loop, int signo,
                       void (*fn)(struct signal_watch *w), void *owner)
{
    *w = (struct signal_watch){.loop = loop, .fn = fn, .owner = owner, .signo = signo};
    struct ev_signal *s = (struct ev_signal *)(void *)w->backend;
    ev_signal_init(s, on_signal, signo);
    s->data = w;
    ev_signal_start(loop->ev, s);
}

void signal_watch_stop(struct signal_watch *w)
{
    ev_signal_stop(w->loop->ev, (struct ev_signal *)(void *)w->backend);
}
