/* struct loop: the event loop of one thread, and the only doorway of libev. A turn is: wait, run
 * what is due (descriptors, timers, posts), then the end of the turn: defers, and last the reaper.
 *
 * Everything here is called by the thread that runs the loop, except loop_post() and loop_wake(),
 * which any thread may call. timer, io_watch, defer and post are embedded in the objects that use
 * them and never allocate; whoever embeds one stops it before its memory goes away.
 * loop_fake.h is the same interface without descriptors, driven by a test. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"

struct loop;

/* clock decides loop_now and the timers. NULL and *err when the kernel refuses a descriptor. */
MUST_CHECK struct loop *loop_new(const struct clock *clock, struct error *err);
/* Runs defers and reaper once more (so that closed objects are freed), drops posts and timers. */
void loop_free(struct loop **loop);
void loop_run(struct loop *loop);  /* until loop_stop() */
void loop_stop(struct loop *loop); /* ends loop_run() after this turn */
/* One turn. wait: sleep until something happens; otherwise only what is ready now. */
void loop_turn(struct loop *loop, bool wait);
/* What every loop begins with; here only so that what each request does with it is inlined. */
struct loop_front {
    uint64_t now_ns;
    uint64_t wall_ns;         /* 0: not read in this turn */
    struct timer_place *heap; /* the queue of timers: by key_ns, then seq */
    struct list defers[2];    /* by enum defer_stage */
    uint64_t turns;           /* that have begun */
};
static inline struct loop_front *loop_front(const struct loop *loop)
{
    return (struct loop_front *)(uintptr_t)loop;
}
/* The time at which this turn began: monotonic, read once a turn, and after work that took long. */
static inline uint64_t loop_now_ns(const struct loop *loop)
{
    return loop_front(loop)->now_ns;
}
/* How many turns have begun: the same number twice is the same turn. */
static inline uint64_t loop_turns(const struct loop *loop)
{
    return loop_front(loop)->turns;
}
static inline uint64_t loop_now_ms(const struct loop *loop)
{
    return loop_now_ns(loop) / NS_PER_MS;
}
uint64_t loop_read_wall(struct loop *loop); /* loop_wall_ns()'s rare case */
/* The wall clock of this turn, read when it is first asked for. */
static inline uint64_t loop_wall_ns(struct loop *loop)
{
    uint64_t ns = loop_front(loop)->wall_ns;
    return ns ? ns : loop_read_wall(loop);
}
const struct clock *loop_clock(const struct loop *loop);
void loop_update_now(struct loop *loop); /* after work that took long */

/* Timers: one shot. Setting a pending timer to a later time costs one store: it stays where it is
 * in the queue and is moved when its old time comes. */
struct timer {
    struct loop *loop;
    void (*fn)(struct timer *t);
    void *owner;
    uint64_t expires_ns; /* when it is due; 0: not pending */
    uint32_t pos;        /* place in the queue plus one; 0: not queued */
};

/* A place in the queue: comparing two touches no timer. */
struct timer_place {
    uint64_t key_ns; /* never later than the timer's expires_ns */
    uint64_t seq;    /* equal times fire in the order they were set */
    struct timer *timer;
};

void timer_init(struct timer *t, struct loop *loop, void (*fn)(struct timer *t), void *owner);
void timer_start_ns(struct timer *t, uint64_t ns);
void timer_start_slowly(struct timer *t, uint64_t ms); /* timer_start()'s rare case: it moves */
/* In ms from now; replaces what was set. */
static inline void timer_start(struct timer *t, uint64_t ms)
{
    const struct loop_front *l = loop_front(t->loop);
    uint64_t due = l->now_ns + ms * NS_PER_MS;
    if (LIKELY(t->pos && ms <= UINT32_MAX && due >= l->heap[t->pos - 1].key_ns))
        t->expires_ns = due; /* found to be early when its old time comes */
    else
        timer_start_slowly(t, ms);
}
void timer_stop(struct timer *t); /* harmless when not pending */
/* The same for one that will soon be started again, and whose memory stays: it keeps its place in
 * the queue. timer_stop() before the memory goes. */
static inline void timer_rest(struct timer *t)
{
    t->expires_ns = 0;
}
static inline bool timer_pending(const struct timer *t)
{
    return t->expires_ns != 0;
}

/* Descriptor readiness, level-triggered. Events given to fn are those of the interest. */
enum { IO_READ = 1, IO_WRITE = 2 };

struct io_watch {
    struct loop *loop;
    void (*fn)(struct io_watch *w, unsigned events);
    void *owner;
    int fd;
    unsigned interest;
    uint64_t backend[6];
};

void io_watch_init(struct io_watch *w, struct loop *loop, int fd,
                   void (*fn)(struct io_watch *w, unsigned events), void *owner);
/* Takes effect at the next wait; only a real difference costs a system call. */
void io_watch_set(struct io_watch *w, unsigned interest);
/* Before the descriptor is closed. The same as interest 0. */
void io_watch_stop(struct io_watch *w);

/* Work at the end of this turn. DEFER_FLUSH: in order of scheduling; work that schedules further
 * work is served in the same turn, up to a bound. DEFER_REAP: after all of it; destroying happens
 * here, so that no callback of this turn meets freed memory. */
enum defer_stage { DEFER_FLUSH, DEFER_REAP };

struct defer {
    struct list link;
    struct loop *loop;
    void (*fn)(struct defer *d);
    void *owner;
    enum defer_stage stage;
};

void defer_init(struct defer *d, struct loop *loop, enum defer_stage stage,
                void (*fn)(struct defer *d), void *owner);
static inline void defer_schedule(struct defer *d) /* once: a second call changes nothing */
{
    if (list_empty(&d->link))
        list_push_back(&loop_front(d->loop)->defers[d->stage], &d->link);
}
void defer_cancel(struct defer *d);
static inline bool defer_pending(const struct defer *d)
{
    return !list_empty(&d->link);
}

/* The mailbox: any thread hands a post to the loop's thread. First in, first out; never blocks for
 * longer than a list insertion. */
struct post {
    struct list link;
    void (*fn)(struct post *p);
    void *owner;
    bool queued; /* under the mailbox's lock */
};

void post_init(struct post *p, void (*fn)(struct post *p), void *owner);
/* False when p is still waiting from an earlier call (it will run once, and sees what was written
 * before this call too). When fn runs, p is free to be posted again or to be freed. */
bool loop_post(struct loop *loop, struct post *p);
void loop_wake(struct loop *loop); /* makes a sleeping loop take a turn */
/* For the end, when no thread runs the loop any more: runs what waits in the mailbox and nothing
 * else. False: there was nothing. */
bool loop_run_posts(struct loop *loop);

/* Signals: main's loop only. */
struct signal_watch {
    struct loop *loop;
    void (*fn)(struct signal_watch *w);
    void *owner;
    int signo;
    uint64_t backend[6];
};

void signal_watch_init(struct signal_watch *w, struct loop *loop, int signo,
                       void (*fn)(struct signal_watch *w), void *owner);
void signal_watch_stop(struct signal_watch *w);
