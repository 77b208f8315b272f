#include <math.h>
#include <stdio.h>

#include "base/stats_internal.h"

/* The share of one thread. */
static int64_t read_slot(const struct stat_scope *scope, unsigned slot, unsigned id, bool *used)
{
    struct stat_page *p = stat_page_of(scope, slot, id);
    *used = p && atomic_load_explicit(&p->used, memory_order_relaxed) >> id % STAT_PAGE_CELLS & 1;
    return p ? atomic_load_explicit(&p->cells[id % STAT_PAGE_CELLS], memory_order_relaxed) : 0;
}

int64_t stat_read(const struct stat_scope *scope, unsigned id, bool *used)
{
    int64_t sum = 0;
    *used = false;
    for (unsigned i = 0; i < scope->n_slots; i++) {
        bool here;
        sum += read_slot(scope, i, id, &here);
        *used |= here;
    }
    return sum;
}

static void merge_step(struct stat_histogram *out, unsigned decade, unsigned step, uint64_t n)
{
    out->steps[decade][step] += n;
    out->count += n;
}

static void merge_decade(struct decade *d, unsigned at, struct stat_histogram *out)
{
    _Atomic uint32_t *wide = atomic_load_explicit(&d->wide, memory_order_acquire);
    for (unsigned i = 0; i < STAT_STEPS; i++)
        merge_step(out, at, i,
                   wide ? atomic_load_explicit(&wide[i], memory_order_relaxed)
                        : atomic_load_explicit(&d->narrow[i], memory_order_relaxed));
}

static void merge_hist(struct hist *h, struct stat_histogram *out)
{
    uint64_t zeros = atomic_load_explicit(&h->zeros, memory_order_relaxed);
    out->zeros += zeros;
    out->count += zeros;
    out->sum += (double)atomic_load_explicit(&h->sum, memory_order_relaxed);
    for (unsigned i = 0; i < ARRAY_SIZE(h->ones); i++)
        merge_step(out, 0, i * 10, atomic_load_explicit(&h->ones[i], memory_order_relaxed));
    for (unsigned d = 0; d + 1 < STAT_DECADES; d++) {
        struct decade *decade = atomic_load_explicit(&h->decades[d], memory_order_acquire);
        if (decade)
            merge_decade(decade, d + 1, out);
    }
}

/* The histogram or codes of one slot, or NULL. */
static void *extra_of(const struct stat_scope *scope, unsigned slot, unsigned id)
{
    struct stat_page *p = stat_page_of(scope, slot, id);
    return p ? (void *)(intptr_t)atomic_load_explicit(&p->cells[id % STAT_PAGE_CELLS],
                                                      memory_order_acquire)
             : NULL;
}

void stat_read_histogram(const struct stat_scope *scope, unsigned id, struct stat_histogram *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < scope->n_slots; i++) {
        struct hist *h = extra_of(scope, i, id);
        if (h)
            merge_hist(h, out);
    }
}

static double step_low(unsigned step, double scale)
{
    return (10 + step) / 10.0 * scale;
}

double stat_histogram_low(unsigned decade, unsigned step)
{
    double scale = 1;
    while (decade-- > 0)
        scale *= 10;
    return step_low(step, scale);
}

/* As Envoy: the k-th of the n values of a step stands at k / (n + 1) of its width. */
double stat_histogram_quantile(const struct stat_histogram *h, double q)
{
    if (h->count == 0)
        return NAN;
    double rank = fmax(1, ceil(q * (double)h->count)), seen = (double)h->zeros;
    if (rank <= seen)
        return 0;
    double scale = 1;
    for (unsigned d = 0; d < STAT_DECADES; d++, scale *= 10) {
        for (unsigned i = 0; i < STAT_STEPS; i++) {
            double n = (double)h->steps[d][i];
            if (n > 0 && rank <= seen + n)
                return step_low(i, scale) + scale / 10 * ((rank - seen) / (n + 1));
            seen += n;
        }
    }
    return step_low(STAT_STEPS, scale / 10);
}

uint64_t stat_histogram_below(const struct stat_histogram *h, double bound)
{
    uint64_t n = h->zeros;
    double scale = 1;
    for (unsigned d = 0; d < STAT_DECADES; d++, scale *= 10) {
        for (unsigned i = 0; i < STAT_STEPS; i++) {
            if (step_low(i, scale) <= bound)
                n += h->steps[d][i];
        }
    }
    return n;
}

/* counts[0]: of all codes that are none of HTTP's. */
static void sum_codes(const struct stat_scope *s, unsigned id, uint64_t counts[CODE_SLOTS])
{
    memset(counts, 0, CODE_SLOTS * sizeof(counts[0]));
    for (unsigned slot = 0; slot < s->n_slots; slot++) {
        struct code_node *n = extra_of(s, slot, id);
        while (n) {
            for (unsigned i = 0; i < CODES_PER_NODE; i++) {
                uint32_t code = atomic_load(&n->codes[i].code);
                counts[code < CODE_SLOTS ? code : 0] += atomic_load(&n->codes[i].count);
            }
            n = atomic_load(&n->next);
        }
    }
}

struct visit {
    stat_visit_fn *fn;
    void *ctx;
    struct strbuf name, text;
};

static void visit_one(struct visit *v, struct stat_view *view, size_t prefix, const char *name)
{
    strbuf_cut(&v->name, prefix);
    strbuf_add_str(&v->name, name);
    view->name = strbuf_bytes(&v->name);
    v->fn(v->ctx, view);
}

static void visit_unknown(struct visit *v, struct stat_view *view, size_t prefix, const char *stem,
                          uint64_t count, uint64_t base)
{
    char name[128];
    if (!count)
        return;
    snprintf(name, sizeof(name), "%sunknown", stem);
    view->value = (int64_t)(count - base);
    visit_one(v, view, prefix, name);
}

static void visit_codes(struct visit *v, struct stat_view *view, size_t prefix, const char *stem)
{
    const struct scope_link *l = link_of(view->scope);
    const uint64_t *base = l->code_baselines ? l->code_baselines[view->id] : NULL;
    uint64_t counts[CODE_SLOTS], classes[6] = {0};
    bool seen[6] = {false};
    char name[128];
    sum_codes(view->scope, view->id, counts);
    view->kind = STAT_COUNTER;
    view->used = true;
    for (unsigned code = 100; code < CODE_SLOTS; code++) {
        if (!counts[code])
            continue; /* never counted: has no name */
        counts[code] -= base ? base[code] : 0;
        seen[code / 100] = true;
        classes[code / 100] += counts[code];
        snprintf(name, sizeof(name), "%s%u", stem, code);
        view->value = (int64_t)counts[code];
        visit_one(v, view, prefix, name);
    }
    for (unsigned c = 1; c <= 5; c++) {
        if (!seen[c])
            continue;
        snprintf(name, sizeof(name), "%s%uxx", stem, c);
        view->value = (int64_t)classes[c];
        visit_one(v, view, prefix, name);
    }
    visit_unknown(v, view, prefix, stem, counts[0], base ? base[0] : 0);
}

/* What one thread wrote: main_thread.NAME, worker_N.NAME. */
static void visit_threads(struct visit *v, const struct stat_view *sum, size_t prefix)
{
    const struct stat_scope *s = sum->scope;
    const struct stat_desc *d = &s->schema->stats[sum->id];
    const int64_t *baseline = link_of(s)->baseline;
    for (unsigned slot = 0; slot < s->n_slots; slot++) {
        char name[128];
        if (slot == STAT_SLOT_MAIN && d->threads & STAT_OF_MAIN)
            snprintf(name, sizeof(name), "main_thread.%s", d->name);
        else if (slot >= STAT_SLOT_WORKER0 && d->threads & STAT_OF_WORKERS)
            snprintf(name, sizeof(name), "worker_%u.%s", slot - STAT_SLOT_WORKER0, d->name);
        else
            continue;
        struct stat_view view = *sum;
        view.value = read_slot(s, slot, sum->id, &view.used);
        if (d->kind == STAT_COUNTER && baseline)
            view.value -= baseline[(1 + slot) * s->schema->count + sum->id];
        visit_one(v, &view, prefix, name);
    }
}

static bool is_there(const struct stat_scope *s, const struct stat_desc *d)
{
    bool used = true;
    if (d->after)
        stat_read(s, d->after - 1u, &used);
    return used && d->kind != STAT_MARK;
}

/* A copy: the next stat_set_text() frees the text. NULL: none was set. */
static const char *copy_text(struct visit *v, const struct stat_scope *s, unsigned id)
{
    const struct stat_text *t = text_of(s, id);
    if (!t)
        return NULL;
    pthread_mutex_lock(&s->store->text_lock);
    const char *text = atomic_load(&t->text);
    strbuf_reset(&v->text);
    strbuf_add_str(&v->text, text ? text : "");
    pthread_mutex_unlock(&s->store->text_lock);
    return text ? strbuf_str(&v->text) : NULL;
}

static void visit_entry(struct visit *v, const struct stat_scope *s, unsigned id, size_t prefix)
{
    const struct stat_desc *d = &s->schema->stats[id];
    struct stat_view view = {.kind = d->kind, .scope = s, .id = id};
    if (!is_there(s, d))
        return;
    view.value = stat_read(s, id, &view.used);
    if (d->kind == STAT_HISTOGRAM)
        view.value = 0; /* a pointer's place */
    if (d->kind == STAT_COUNTER && link_of(s)->baseline)
        view.value -= link_of(s)->baseline[id];
    if (d->kind == STAT_TEXT) {
        view.text = copy_text(v, s, id);
        view.used = view.text != NULL;
    }
    if (d->kind == STAT_CODES)
        visit_codes(v, &view, prefix, d->name);
    else if (!(d->threads & STAT_NO_SUM))
        visit_one(v, &view, prefix, d->name);
    if (d->threads)
        visit_threads(v, &view, prefix);
}

/* Returns the length of what stands before each name. */
static size_t put_prefix(struct visit *v, const struct stat_scope *s)
{
    strbuf_reset(&v->name);
    strbuf_add_str(&v->name, s->prefix);
    if (v->name.len)
        strbuf_add_char(&v->name, '.');
    return v->name.len;
}

static void visit_scope(struct visit *v, const struct stat_scope *s)
{
    size_t prefix = put_prefix(v, s);
    for (unsigned id = 0; id < s->schema->count; id++)
        visit_entry(v, s, id, prefix);
}

void stat_visit(struct stat_store *store, stat_visit_fn *fn, void *ctx)
{
    struct visit v = {fn, ctx, STRBUF_INIT, STRBUF_INIT};
    pthread_mutex_lock(&store->lock);
    LIST_EACH(it, &store->scopes)
    visit_scope(&v, scope_at(it));
    pthread_mutex_unlock(&store->lock);
    strbuf_fini(&v.name);
    strbuf_fini(&v.text);
}

void stat_visit_histograms(struct stat_store *store, stat_visit_fn *fn, void *ctx)
{
    struct visit v = {fn, ctx, STRBUF_INIT, STRBUF_INIT};
    bool used;
    pthread_mutex_lock(&store->lock);
    LIST_EACH(it, &store->scopes)
    {
        const struct stat_scope *s = scope_at(it);
        for (unsigned id = 0; id < s->schema->count; id++) {
            if (s->schema->stats[id].kind != STAT_HISTOGRAM)
                continue;
            stat_read(s, id, &used);
            if (used)
                visit_entry(&v, s, id, put_prefix(&v, s));
        }
    }
    pthread_mutex_unlock(&store->lock);
    strbuf_fini(&v.name);
    strbuf_fini(&v.text);
}

void stat_visit_scope(struct stat_scope *scope, stat_visit_fn *fn, void *ctx)
{
    struct visit v = {fn, ctx, STRBUF_INIT, STRBUF_INIT};
    visit_scope(&v, scope);
    strbuf_fini(&v.name);
    strbuf_fini(&v.text);
}

struct stat_scope **stat_scopes(struct stat_store *store, size_t *n)
{
    pthread_mutex_lock(&store->lock);
    struct stat_scope **all = mem_alloc((store->n_scopes + 1) * sizeof(*all));
    *n = 0;
    LIST_EACH(it, &store->scopes)
    {
        all[*n] = scope_at(it);
        all[(*n)++]->refs++;
    }
    pthread_mutex_unlock(&store->lock);
    return all;
}

/* Codes have no cell: their baseline is the code's count, kept beside the scope. */
static void reset_codes(struct scope_link *l, unsigned id)
{
    unsigned n = l->scope.schema->count;
    if (!l->code_baselines)
        l->code_baselines = mem_zalloc(n * sizeof(*l->code_baselines));
    if (!l->code_baselines[id])
        l->code_baselines[id] = mem_zalloc(CODE_SLOTS * sizeof(uint64_t));
    sum_codes(&l->scope, id, l->code_baselines[id]);
}

static void reset_scope(struct stat_scope *s)
{
    struct scope_link *l = link_of(s);
    unsigned count = s->schema->count;
    bool by_thread = false, used, here;
    for (unsigned id = 0; id < count; id++)
        by_thread |= s->schema->stats[id].threads != STAT_SUM;
    if (!l->baseline)
        l->baseline = mem_zalloc((by_thread ? 1 + s->n_slots : 1) * count * sizeof(int64_t));
    for (unsigned id = 0; id < count; id++) {
        l->baseline[id] = stat_read(s, id, &used);
        if (used && s->schema->stats[id].kind == STAT_CODES)
            reset_codes(l, id);
        for (unsigned slot = 0; by_thread && slot < s->n_slots; slot++)
            l->baseline[(1 + slot) * count + id] = read_slot(s, slot, id, &here);
    }
}

void stat_reset_counters(struct stat_store *store)
{
    pthread_mutex_lock(&store->lock);
    LIST_EACH(it, &store->scopes)
    reset_scope(scope_at(it));
    pthread_mutex_unlock(&store->lock);
}
