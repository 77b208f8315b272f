#include "admin/stat_memory.h"

#include "base/map.h"
#include "base/memory.h"

struct step {
    uint32_t index; /* decade * STAT_STEPS + step */
    uint64_t count, delta;
};

struct remembered {
    struct step *steps;
    size_t n;
    uint64_t zeros, zeros_delta, count;
    double sum, sum_delta;
    bool fresh; /* written by this flush */
};

struct stat_memory {
    struct map histograms; /* name -> struct remembered * */
};

struct stat_memory *stat_memory_new(void)
{
    return NEW(struct stat_memory);
}

static void remembered_free(struct remembered *r)
{
    mem_free(r->steps);
    mem_free(r);
}

void stat_memory_free(struct stat_memory **m)
{
    size_t it = 0;
    struct bytes name;
    void *r;
    if (!*m)
        return;
    while (map_next(&(*m)->histograms, &it, &name, &r))
        remembered_free(r);
    map_fini(&(*m)->histograms);
    mem_free(*m);
    *m = NULL;
}

static uint64_t count_before(const struct remembered *r, uint32_t index)
{
    for (size_t i = 0; r && i < r->n; i++) {
        if (r->steps[i].index == index)
            return r->steps[i].count;
    }
    return 0;
}

static struct remembered *remember(const struct stat_histogram *h, const struct remembered *old)
{
    struct remembered *r = NEW(struct remembered);
    size_t cap = 0;
    for (uint32_t i = 0; i < STAT_DECADES * STAT_STEPS; i++) {
        uint64_t count = h->steps[i / STAT_STEPS][i % STAT_STEPS];
        if (!count)
            continue;
        GROW(r->steps, cap, r->n + 1);
        r->steps[r->n++] = (struct step){i, count, count - count_before(old, i)};
    }
    r->zeros = h->zeros;
    r->zeros_delta = h->zeros - (old ? old->zeros : 0);
    r->count = h->count;
    r->sum = h->sum;
    r->sum_delta = h->sum - (old ? old->sum : 0);
    return r;
}

static void flush_one(void *ctx, const struct stat_view *v)
{
    struct stat_memory *m = ctx;
    struct stat_histogram h;
    stat_read_histogram(v->scope, v->id, &h);
    struct remembered *now = remember(&h, map_get(&m->histograms, v->name));
    struct remembered *old = map_set(&m->histograms, v->name, now);
    now->fresh = true;
    if (old)
        remembered_free(old);
}

void stat_memory_flush(struct stat_memory *m, struct stat_store *stats)
{
    size_t it = 0;
    struct bytes name;
    void *value;
    stat_visit_histograms(stats, flush_one, m);
    while (map_next(&m->histograms, &it, &name, &value)) { /* the gone ones are forgotten */
        struct remembered *r = value;
        if (!r->fresh) {
            map_remove(&m->histograms, name);
            remembered_free(r);
        } else {
            r->fresh = false;
        }
    }
}

void stat_memory_interval(const struct stat_memory *m, struct bytes name,
                          struct stat_histogram *out)
{
    const struct remembered *r = map_get(&m->histograms, name);
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; r && i < r->n; i++) {
        uint32_t at = r->steps[i].index;
        out->steps[at / STAT_STEPS][at % STAT_STEPS] = r->steps[i].delta;
        out->count += r->steps[i].delta;
    }
    if (r) {
        out->zeros = r->zeros_delta;
        out->count += r->zeros_delta;
        out->sum = r->sum_delta;
    }
}
