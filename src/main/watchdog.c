#include "main/watchdog.h"

#include <errno.h>
#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "dataplane/net/loop_guard.h"

enum { STACK_SIGNAL_OFFSET = 7, FRAMES_MAX = 64, STACK_WAIT_MS = 200, INTERVAL_MIN_MS = 10 };

#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc watchdog_stats[] = {WATCHDOG_STAT_LIST(X)};
#undef X
const struct stat_schema watchdog_stat_schema = {watchdog_stats, ARRAY_SIZE(watchdog_stats)};

struct group {
    struct list link;
    struct watchdog_config config;
    struct stat_scope *stats;
    struct list loops;
    unsigned n;
};

struct watched {
    struct list link;
    struct group *group;
    struct loop *loop;
    char name[24];
    struct stat_scope *stats;
    _Atomic pid_t tid; /* 0: not running yet */
    pthread_t thread;  /* once tid is known */
    bool kill_never;
    uint64_t beat, since_ns; /* the turn that was seen last, and when it was new */
    bool missed, mega_missed;
};

struct watchdog {
    struct loop_guard guard; /* first member */
    struct list groups;
    struct stat_store *store;
    uint64_t interval_ns;
    pthread_t thread;
    sem_t work;
    atomic_bool stop;
    bool started;
    struct random_source random;
};

/* --- the stack of another thread --- */

static struct {
    void *frames[FRAMES_MAX];
    int n;
    sem_t taken;
} stack;

/* backtrace() was called once before, so it needs no loading and no heap in here. */
static void on_stack_signal(int signo)
{
    int error = errno;
    (void)signo;
    stack.n = backtrace(stack.frames, FRAMES_MAX);
    sem_post(&stack.taken);
    errno = error;
}

static void prepare_stacks(void)
{
    void *frame[1];
    (void)backtrace(frame, 1);
    sem_init(&stack.taken, 0, 0);
    struct sigaction sa = {.sa_handler = on_stack_signal, .sa_flags = SA_RESTART};
    sigaction(SIGRTMIN + STACK_SIGNAL_OFFSET, &sa, NULL);
}

/* False: not before `ns` from now. */
static bool wait_for(sem_t *sem, uint64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t at = (uint64_t)until.tv_nsec + ns;
    until.tv_sec += (time_t)(at / NS_PER_S);
    until.tv_nsec = (long)(at % NS_PER_S);
    while (sem_clockwait(sem, CLOCK_MONOTONIC, &until) < 0) {
        if (errno != EINTR)
            return false;
    }
    return true;
}

static void log_stack(const struct watched *w)
{
    while (sem_trywait(&stack.taken) == 0)
        ; /* of one that answered too late */
    if (pthread_kill(w->thread, SIGRTMIN + STACK_SIGNAL_OFFSET) != 0 ||
        !wait_for(&stack.taken, STACK_WAIT_MS * NS_PER_MS)) {
        LOG(LOG_MAIN, LOG_WARNING, "watchdog: %s does not show its stack", w->name);
        return;
    }
    int n = stack.n;
    char **lines = backtrace_symbols(stack.frames, n);
    for (int i = 0; lines && i < n; i++)
        LOG(LOG_MAIN, LOG_WARNING, "watchdog: %s #%d %s", w->name, i, lines[i]);
    free(lines);
}

/* --- judging --- */

static NORETURN void end_process(const struct watched *w)
{
    pthread_kill(w->thread, SIGABRT); /* the core shows the stuck thread as the one that failed */
    abort();
}

static void report(struct watched *w, enum watchdog_stat stat, uint64_t stuck)
{
    bool mega = stat == STAT_WATCHDOG_MEGA_MISS;
    /* Nobody else writes these scopes, so main's slot is free for them. */
    stat_inc(w->stats, STAT_SLOT_MAIN, stat);
    stat_inc(w->group->stats, STAT_SLOT_MAIN, stat);
    LOG(LOG_MAIN, LOG_WARNING, "watchdog: %s (thread %d) has been stuck for %llu ms%s", w->name,
        (int)w->tid, (unsigned long long)(stuck / NS_PER_MS), mega ? " (mega miss)" : "");
    log_stack(w);
    if (!w->kill_never &&
        (mega ? w->group->config.abort_at_mega_miss : w->group->config.abort_at_miss)) {
        LOG(LOG_MAIN, LOG_CRITICAL, "watchdog: the abort action ends the process");
        end_process(w);
    }
}

/* How long it has been in the turn it is in. */
static uint64_t stuck_for(struct watched *w, uint64_t now)
{
    uint64_t beat = loop_beat(w->loop);
    if (beat % 2 == 0 || beat != w->beat) {
        w->beat = beat;
        w->since_ns = now;
        w->missed = w->mega_missed = false;
    }
    return now - w->since_ns;
}

static void check_kill(const struct watched *w, uint64_t stuck)
{
    const struct watchdog_config *c = &w->group->config;
    if (!c->kill_ms || w->kill_never || stuck <= c->kill_ms * NS_PER_MS)
        return;
    LOG(LOG_MAIN, LOG_CRITICAL,
        "GuardDog: one thread (%d) stuck for more than watchdog_kill_timeout", (int)w->tid);
    log_stack(w);
    end_process(w);
}

static void check_multi_kill(const struct group *g, const struct watched *last, unsigned stuck)
{
    double share = g->config.multi_kill_percent / 100 * g->n;
    unsigned needed = (unsigned)share;
    needed += needed < share;
    if (!last || stuck < (needed > 2 ? needed : 2))
        return;
    LOG(LOG_MAIN, LOG_CRITICAL,
        "GuardDog: At least %u threads (%d,...) stuck for more than watchdog_multikill_timeout",
        stuck, (int)last->tid);
    log_stack(last);
    end_process(last);
}

static void judge_group(struct watchdog *d, struct group *g, uint64_t now)
{
    const struct watchdog_config *c = &g->config;
    const struct watched *last = NULL;
    unsigned n_stuck = 0;
    LIST_EACH(l, &g->loops)
    {
        struct watched *w = LIST_ENTRY(l, struct watched, link);
        uint64_t stuck = w->tid ? stuck_for(w, now) : 0;
        if (c->miss_ms && stuck > c->miss_ms * NS_PER_MS && !w->missed) {
            w->missed = true;
            report(w, STAT_WATCHDOG_MISS, stuck);
        }
        if (c->mega_miss_ms && stuck > c->mega_miss_ms * NS_PER_MS && !w->mega_missed) {
            w->mega_missed = true;
            report(w, STAT_WATCHDOG_MEGA_MISS, stuck);
        }
        check_kill(w, stuck);
        if (c->multi_kill_ms && !w->kill_never && stuck > c->multi_kill_ms * NS_PER_MS) {
            last = w;
            n_stuck++;
        }
    }
    check_multi_kill(g, last, n_stuck);
}

static bool all_wait(const struct watchdog *d)
{
    const struct list *groups = &d->groups;
    for (const struct list *g = groups->next; g != groups; g = g->next) {
        const struct list *loops = &LIST_ENTRY(g, struct group, link)->loops;
        for (const struct list *l = loops->next; l != loops; l = l->next) {
            if (loop_beat(LIST_ENTRY(l, struct watched, link)->loop) % 2)
                return false;
        }
    }
    return true;
}

static void judge(struct watchdog *d)
{
    LIST_EACH(l, &d->groups)
    {
        judge_group(d, LIST_ENTRY(l, struct group, link), clock_real.monotonic_ns(&clock_real));
    }
}

/* Asleep is told before the loops are looked at again, and they tell their turn before they look
 * at asleep (both sequentially consistent): one of the two sees the other. */
static void sleep_while_all_wait(struct watchdog *d)
{
    atomic_store(&d->guard.asleep, true);
    if (!all_wait(d) && atomic_exchange(&d->guard.asleep, false))
        return;
    while (sem_wait(&d->work) < 0 && errno == EINTR)
        ;
    judge(d); /* whose turn is new now */
}

static void *run(void *arg)
{
    struct watchdog *d = arg;
    pthread_setname_np(pthread_self(), "watchdog");
    while (!atomic_load(&d->stop)) {
        if (all_wait(d))
            sleep_while_all_wait(d);
        else
            wait_for(&d->work, d->interval_ns);
        if (!atomic_load(&d->stop))
            judge(d);
    }
    return NULL;
}

static void wake(struct loop_guard *g)
{
    sem_post(&((struct watchdog *)(void *)g)->work);
}

/* --- making --- */

static struct watched *find(struct watchdog *d, const struct loop *loop)
{
    LIST_EACH(g, &d->groups)
    {
        LIST_EACH(l, &LIST_ENTRY(g, struct group, link)->loops)
        {
            if (LIST_ENTRY(l, struct watched, link)->loop == loop)
                return LIST_ENTRY(l, struct watched, link);
        }
    }
    return NULL;
}

static void running(struct loop_guard *g, struct loop *loop)
{
    struct watched *w = find((struct watchdog *)(void *)g, loop);
    CHECK(w != NULL);
    w->thread = pthread_self();
    atomic_store(&w->tid, (pid_t)syscall(SYS_gettid));
}

struct watchdog *watchdog_new(struct stat_store *stats)
{
    struct watchdog *d = NEW(struct watchdog);
    d->guard.wake = wake;
    d->guard.running = running;
    d->store = stats;
    d->interval_ns = UINT64_MAX;
    list_init(&d->groups);
    sem_init(&d->work, 0, 0);
    random_seed_os(&d->random);
    return d;
}

static struct stat_scope *make_scope(struct watchdog *d, const char *before, const char *name)
{
    char full[64];
    snprintf(full, sizeof(full), "%s%s", before, name);
    return stat_scope_get(d->store, bytes_of(full), &watchdog_stat_schema);
}

static void look_as_often(struct watchdog *d, uint64_t ms)
{
    if (ms && ms < INTERVAL_MIN_MS)
        ms = INTERVAL_MIN_MS;
    if (ms && ms * NS_PER_MS < d->interval_ns)
        d->interval_ns = ms * NS_PER_MS;
}

void watchdog_add_group(struct watchdog *d, const char *name, const struct watchdog_config *config)
{
    struct group *g = NEW(struct group);
    g->config = *config;
    /* Drawn once: with a new one at each look, all would end soon after the least. */
    if (config->kill_ms && config->kill_jitter_ms)
        g->config.kill_ms += random_u64(&d->random) % config->kill_jitter_ms + 1;
    g->stats = make_scope(d, "", name);
    list_init(&g->loops);
    list_push_back(&d->groups, &g->link);
    look_as_often(d, config->miss_ms);
    look_as_often(d, config->mega_miss_ms);
    look_as_often(d, config->kill_ms);
    look_as_often(d, config->multi_kill_ms);
}

void watchdog_watch(struct watchdog *d, const char *name, struct loop *loop, bool kill_never)
{
    struct watched *w = NEW(struct watched);
    w->group = LIST_ENTRY(d->groups.prev, struct group, link);
    w->group->n += !kill_never;
    w->loop = loop;
    w->kill_never = kill_never;
    snprintf(w->name, sizeof(w->name), "%s", name);
    /* Envoy has no such thread as the one that is never killed. */
    w->stats = make_scope(d, kill_never ? "xylem." : "server.", name);
    loop_set_guard(loop, &d->guard);
    list_push_back(&w->group->loops, &w->link);
}

void watchdog_start(struct watchdog *d)
{
    sigset_t all, before;
    if (d->interval_ns == UINT64_MAX)
        return; /* all of it is off */
    prepare_stacks();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&d->thread, NULL, run, d) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    d->started = true;
}

void watchdog_stop(struct watchdog *d)
{
    if (!d->started)
        return;
    atomic_store(&d->stop, true);
    sem_post(&d->work);
    pthread_join(d->thread, NULL);
    d->started = false;
}

void watchdog_free(struct watchdog **dp)
{
    struct watchdog *d = *dp;
    *dp = NULL;
    if (!d)
        return;
    watchdog_stop(d);
    for (struct list *g; (g = list_pop_front(&d->groups)) != NULL;) {
        struct group *group = LIST_ENTRY(g, struct group, link);
        for (struct list *l; (l = list_pop_front(&group->loops)) != NULL;) {
            struct watched *w = LIST_ENTRY(l, struct watched, link);
            stat_scope_unref(&w->stats);
            mem_free(w);
        }
        stat_scope_unref(&group->stats);
        mem_free(group);
    }
    sem_destroy(&d->work);
    mem_free(d);
}
