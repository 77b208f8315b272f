#include "xds/ttl.h"

#include "base/memory.h"

struct ttl_entry {
    uint64_t due_ns;
    size_t pos; /* in the heap */
    size_t name_len;
    char name[];
};

void ttl_init(struct ttl *t, const struct xds_table *table, ttl_expired_fn *expired, void *owner)
{
    *t = (struct ttl){.table = table, .expired = expired, .owner = owner, .names = MAP_INIT};
}

void ttl_fini(struct ttl *t)
{
    if (t->timer)
        t->table->timer_cancel(t->table->ctx, t->timer);
    for (size_t i = 0; i < t->n; i++)
        mem_free(t->heap[i]);
    mem_free(t->heap);
    map_fini(&t->names);
    *t = (struct ttl){0};
}

static struct bytes name_of(const struct ttl_entry *e)
{
    return bytes_from(e->name, e->name_len);
}

static void place(struct ttl *t, size_t pos, struct ttl_entry *e)
{
    t->heap[pos] = e;
    e->pos = pos;
}

static void sift_up(struct ttl *t, struct ttl_entry *e)
{
    size_t pos = e->pos;
    for (; pos > 0 && t->heap[(pos - 1) / 2]->due_ns > e->due_ns; pos = (pos - 1) / 2)
        place(t, pos, t->heap[(pos - 1) / 2]);
    place(t, pos, e);
}

static void sift_down(struct ttl *t, struct ttl_entry *e)
{
    size_t pos = e->pos;
    for (size_t child; (child = pos * 2 + 1) < t->n; pos = child) {
        if (child + 1 < t->n && t->heap[child + 1]->due_ns < t->heap[child]->due_ns)
            child++;
        if (t->heap[child]->due_ns >= e->due_ns)
            break;
        place(t, pos, t->heap[child]);
    }
    place(t, pos, e);
}

static uint64_t now_ns(const struct ttl *t)
{
    return t->table->clock->monotonic_ns(t->table->clock);
}

static void take_out(struct ttl *t, struct ttl_entry *e)
{
    struct ttl_entry *last = t->heap[--t->n];
    map_remove(&t->names, name_of(e));
    if (last == e)
        return;
    place(t, e->pos, last);
    sift_up(t, last);
    sift_down(t, last);
}

static void arm(struct ttl *t);

static void on_timer(void *arg)
{
    struct ttl *t = arg;
    struct ttl_entry **due = mem_alloc((t->n + 1) * sizeof(struct ttl_entry *));
    struct bytes *names = mem_alloc((t->n + 1) * sizeof(struct bytes));
    uint64_t now = now_ns(t);
    size_t n = 0;
    t->timer = NULL;
    while (t->n > 0 && t->heap[0]->due_ns <= now) {
        due[n] = t->heap[0];
        names[n] = name_of(due[n]);
        take_out(t, due[n++]);
    }
    arm(t);
    if (n)
        t->expired(t->owner, names, n);
    for (size_t i = 0; i < n; i++)
        mem_free(due[i]);
    mem_free(due);
    mem_free(names);
}

/* A timer that runs out too early is set anew when it does: to live longer costs no timer. */
static void arm(struct ttl *t)
{
    if (t->n == 0 || (t->timer && t->timer_ns <= t->heap[0]->due_ns))
        return;
    if (t->timer)
        t->table->timer_cancel(t->table->ctx, t->timer);
    uint64_t now = now_ns(t), due = t->heap[0]->due_ns;
    uint64_t ms = due > now ? (due - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    t->timer_ns = due;
    t->timer = t->table->timer_start(t->table->ctx, ms, on_timer, t);
}

static struct ttl_entry *add(struct ttl *t, struct bytes name)
{
    struct ttl_entry *e = mem_alloc(sizeof(*e) + name.len + 1);
    memcpy(e->name, name.len ? name.data : "", name.len);
    e->name_len = name.len;
    GROW(t->heap, t->cap, t->n + 1);
    place(t, t->n++, e);
    map_set(&t->names, name, e);
    return e;
}

void ttl_set(struct ttl *t, struct bytes name, uint64_t ms)
{
    enum { MAX_MS = INT32_MAX }; /* 24 days, as a timer */
    struct ttl_entry *e = map_get(&t->names, name);
    if (!e)
        e = add(t, name);
    e->due_ns = now_ns(t) + (ms < MAX_MS ? ms : MAX_MS) * NS_PER_MS;
    sift_up(t, e);
    sift_down(t, e);
    arm(t);
}

void ttl_clear(struct ttl *t, struct bytes name)
{
    struct ttl_entry *e = map_get(&t->names, name);
    if (!e)
        return;
    take_out(t, e);
    mem_free(e);
}
