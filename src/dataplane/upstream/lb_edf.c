#include "base/memory.h"
#include "dataplane/upstream/lb.h"

struct edf_entry {
    double deadline;
    uint64_t order; /* first in, first out among equal deadlines */
    const struct host *host;
};

struct lb_edf {
    double now;
    uint64_t next_order;
    uint32_t n;
    struct edf_entry heap[];
};

static bool earlier(const struct edf_entry *a, const struct edf_entry *b)
{
    return a->deadline < b->deadline || (a->deadline == b->deadline && a->order < b->order);
}

static void swap(struct edf_entry *a, struct edf_entry *b)
{
    struct edf_entry t = *a;
    *a = *b;
    *b = t;
}

static void sift_down(struct lb_edf *e, uint32_t i)
{
    for (;;) {
        uint32_t least = i;
        for (uint32_t c = 2 * i + 1; c <= 2 * i + 2 && c < e->n; c++) {
            if (earlier(&e->heap[c], &e->heap[least]))
                least = c;
        }
        if (least == i)
            return;
        swap(&e->heap[i], &e->heap[least]);
        i = least;
    }
}

struct lb_edf *lb_edf_new(const struct lb_hosts *h)
{
    struct lb_edf *e = mem_zalloc(sizeof(*e) + h->n * sizeof(e->heap[0]));
    e->n = h->n;
    for (uint32_t i = 0; i < h->n; i++)
        e->heap[i] = (struct edf_entry){1.0 / h->hosts[i]->weight, e->next_order++, h->hosts[i]};
    for (uint32_t i = h->n / 2; i-- > 0;)
        sift_down(e, i);
    return e;
}

void lb_edf_free(struct lb_edf **e)
{
    mem_free(*e);
    *e = NULL;
}

const struct host *lb_edf_next(struct lb_edf *e,
                               double (*weight)(const void *ctx, const struct host *host),
                               const void *ctx)
{
    struct edf_entry *top = &e->heap[0];
    const struct host *host = top->host;
    e->now = top->deadline;
    top->deadline = e->now + 1.0 / weight(ctx, host);
    top->order = e->next_order++;
    sift_down(e, 0);
    return host;
}
