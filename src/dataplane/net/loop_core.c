#include "dataplane/net/loop_core.h"

#include "base/memory.h"

enum { DEFER_PASSES = 64 };

static struct loop_core *core_of(const struct loop *loop)
{
    return (struct loop_core *)(void *)loop;
}

void loop_core_init(struct loop_core *core, const struct clock *clock)
{
    core->clock = clock;
    core->passes = DEFER_PASSES;
    core->front.now_ns = clock->monotonic_ns(clock);
    list_init(&core->front.defers[DEFER_FLUSH]);
    list_init(&core->front.defers[DEFER_REAP]);
    list_init(&core->mailbox);
    pthread_mutex_init(&core->mailbox_lock, NULL);
}

void loop_core_fini(struct loop_core *core)
{
    for (unsigned i = 0; i < 16 && loop_core_end_turn(core); i++)
        ;
    for (size_t i = 0; i < core->heap_len; i++) {
        core->front.heap[i].timer->pos = 0;
        core->front.heap[i].timer->expires_ns = 0;
    }
    mem_free(core->front.heap);
    pthread_mutex_destroy(&core->mailbox_lock);
}

void loop_core_update_now(struct loop_core *core)
{
    core->front.now_ns = core->clock->monotonic_ns(core->clock);
    core->front.wall_ns = 0;
}

uint64_t loop_read_wall(struct loop *loop)
{
    struct loop_core *core = core_of(loop);

    core->front.wall_ns = core->clock->wall_ns(core->clock);
    return core->front.wall_ns;
}

const struct clock *loop_clock(const struct loop *loop)
{
    return core_of(loop)->clock;
}

/* --- the timer queue: a binary heap --- */

static bool place_before(const struct timer_place *a, const struct timer_place *b)
{
    return a->key_ns != b->key_ns ? a->key_ns < b->key_ns : a->seq < b->seq;
}

static void heap_put(struct loop_core *core, size_t at, struct timer_place p)
{
    core->front.heap[at] = p;
    p.timer->pos = (uint32_t)at + 1;
}

static void heap_up(struct loop_core *core, size_t at, struct timer_place p)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!place_before(&p, &core->front.heap[parent]))
            break;
        heap_put(core, at, core->front.heap[parent]);
        at = parent;
    }
    heap_put(core, at, p);
}

static void heap_down(struct loop_core *core, size_t at, struct timer_place p)
{
    const struct timer_place *heap = core->front.heap;

    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= core->heap_len)
            break;
        if (child + 1 < core->heap_len && place_before(&heap[child + 1], &heap[child]))
            child++;
        if (!place_before(&heap[child], &p))
            break;
        heap_put(core, at, heap[child]);
        at = child;
    }
    heap_put(core, at, p);
}

static void heap_remove(struct loop_core *core, struct timer *t)
{
    size_t at = t->pos - 1;
    struct timer_place last = core->front.heap[--core->heap_len];

    CHECK(core->front.heap[at].timer == t);
    t->pos = 0;
    if (last.timer == t)
        return;
    if (at > 0 && place_before(&last, &core->front.heap[(at - 1) / 2]))
        heap_up(core, at, last);
    else
        heap_down(core, at, last);
}

void timer_init(struct timer *t, struct loop *loop, void (*fn)(struct timer *t), void *owner)
{
    *t = (struct timer){.loop = loop, .fn = fn, .owner = owner};
}

void timer_start_ns(struct timer *t, uint64_t ns)
{
    struct loop_core *core = core_of(t->loop);

    t->expires_ns = ns > UINT64_MAX / 2 ? UINT64_MAX / 2 : core->front.now_ns + ns;
    if (t->expires_ns == 0)
        t->expires_ns = 1;
    if (t->pos && t->expires_ns >= core->front.heap[t->pos - 1].key_ns)
        return; /* found to be early when its old time comes */
    struct timer_place p = {t->expires_ns, core->next_seq++, t};
    if (t->pos) {
        heap_up(core, t->pos - 1, p);
        return;
    }
    GROW(core->front.heap, core->heap_cap, core->heap_len + 1);
    heap_up(core, core->heap_len++, p);
}

void timer_start_slowly(struct timer *t, uint64_t ms)
{
    timer_start_ns(t, ms > UINT64_MAX / 2 / NS_PER_MS ? UINT64_MAX / 2 : ms * NS_PER_MS);
}

void timer_stop(struct timer *t)
{
    if (t->pos)
        heap_remove(core_of(t->loop), t);
    t->expires_ns = 0;
}

uint64_t loop_core_next_timer(const struct loop_core *core)
{
    return core->heap_len ? core->front.heap[0].key_ns : UINT64_MAX;
}

void loop_core_run_timers(struct loop_core *core)
{
    uint64_t first_new = core->next_seq;

    while (core->heap_len > 0) {
        struct timer_place p = core->front.heap[0];
        struct timer *t = p.timer;
        if (p.key_ns > core->front.now_ns || p.seq >= first_new)
            break;
        if (t->expires_ns == 0) { /* it rests */
            heap_remove(core, t);
            continue;
        }
        if (t->expires_ns > p.key_ns) {
            p.key_ns = t->expires_ns;
            heap_down(core, 0, p);
            continue;
        }
        heap_remove(core, t);
        t->expires_ns = 0;
        t->fn(t);
    }
}

/* --- defers --- */

void defer_init(struct defer *d, struct loop *loop, enum defer_stage stage,
                void (*fn)(struct defer *d), void *owner)
{
    list_init(&d->link);
    d->loop = loop;
    d->stage = stage;
    d->fn = fn;
    d->owner = owner;
}

void defer_cancel(struct defer *d)
{
    list_remove(&d->link);
}

static void run_defers(struct list *head)
{
    struct list now = LIST_INIT(now);

    list_splice(&now, head);
    for (struct list *link; (link = list_pop_front(&now)) != NULL;) {
        struct defer *d = LIST_ENTRY(link, struct defer, link);
        d->fn(d);
    }
}

bool loop_core_end_turn(struct loop_core *core)
{
    for (unsigned i = 0; i < core->passes; i++) {
        if (!list_empty(&core->front.defers[DEFER_FLUSH]))
            run_defers(&core->front.defers[DEFER_FLUSH]);
        else if (!list_empty(&core->front.defers[DEFER_REAP]))
            run_defers(&core->front.defers[DEFER_REAP]);
        else
            return false;
    }
    /* Two sides that keep each other busy must not keep closed objects alive. */
    run_defers(&core->front.defers[DEFER_REAP]);
    return true;
}

/* --- the mailbox --- */

void post_init(struct post *p, void (*fn)(struct post *p), void *owner)
{
    list_init(&p->link);
    p->fn = fn;
    p->owner = owner;
    p->queued = false;
}

bool loop_post(struct loop *loop, struct post *p)
{
    struct loop_core *core = core_of(loop);
    bool first;

    pthread_mutex_lock(&core->mailbox_lock);
    first = !p->queued;
    if (first) {
        p->queued = true;
        list_push_back(&core->mailbox, &p->link);
        core->mailbox_len++;
        /* Under the lock: once fn has run, the loop may be freed. */
        loop_core_wake(loop);
    }
    pthread_mutex_unlock(&core->mailbox_lock);
    return first;
}

void loop_wake(struct loop *loop)
{
    loop_core_wake(loop);
}

static struct post *take_post(struct loop_core *core)
{
    struct post *p = NULL;

    pthread_mutex_lock(&core->mailbox_lock);
    struct list *link = list_pop_front(&core->mailbox);
    if (link) {
        p = LIST_ENTRY(link, struct post, link);
        p->queued = false;
        core->mailbox_len--;
    }
    pthread_mutex_unlock(&core->mailbox_lock);
    return p;
}

bool loop_run_posts(struct loop *loop)
{
    struct loop_core *core = core_of(loop);
    bool any = false;

    for (struct post *p; (p = take_post(core)) != NULL; any = true)
        p->fn(p);
    return any;
}

bool loop_core_run_posts(struct loop_core *core)
{
    size_t n;

    pthread_mutex_lock(&core->mailbox_lock);
    n = core->mailbox_len;
    pthread_mutex_unlock(&core->mailbox_lock);
    for (size_t i = 0; i < n; i++) {
        struct post *p = take_post(core);
        if (!p)
            return false;
        p->fn(p);
    }
    pthread_mutex_lock(&core->mailbox_lock);
    n = core->mailbox_len;
    pthread_mutex_unlock(&core->mailbox_lock);
    return n > 0;
}
