#include "base/stats.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/memory.h"

/* One value of one thread. A single writer, so a relaxed load and store is enough. */
struct cell {
    _Atomic int64_t value;
};

struct code_count {
    _Atomic uint32_t code; /* 0: free */
    _Atomic uint64_t count;
};

enum { CODES_PER_NODE = 14, CODE_SLOTS = 600 };

struct code_node {
    struct code_count codes[CODES_PER_NODE];
    _Atomic(struct code_node *) next;
};

struct hist {
    _Atomic uint64_t zeros, sum;
    _Atomic(_Atomic uint32_t *) decades[STAT_DECADES];
};

/* cells[id], then one bit a cell: written or not. Histograms and codes hang off a pointer. */
struct stat_block {
    void **_Atomic *extra;
    _Atomic uint64_t *used;
    struct cell cells[];
};

struct stat_store {
    pthread_mutex_t lock;
    unsigned n_slots;
    struct list scopes; /* of stat_scope.in_store */
    struct stat_scope **buckets;
    size_t n_buckets, n_scopes;
};

struct scope_link {
    struct stat_scope *bucket_next;
    int64_t *baseline;         /* of the reader: what counters were at the last reset */
    uint64_t **code_baselines; /* one array of CODE_SLOTS a schema entry, or NULL */
    struct stat_scope scope;
};

static struct scope_link *link_of(struct stat_scope *s)
{
    return CONTAINER_OF(s, struct scope_link, scope);
}

static struct stat_scope *scope_at(struct list *in_store)
{
    return LIST_ENTRY(in_store, struct stat_scope, in_store);
}

struct stat_store *stat_store_new(unsigned n_slots)
{
    CHECK(n_slots <= STAT_THREADS_MAX);
    struct stat_store *store = NEW(struct stat_store);
    pthread_mutex_init(&store->lock, NULL);
    store->n_slots = n_slots;
    list_init(&store->scopes);
    return store;
}

void stat_store_free(struct stat_store **store)
{
    if (!*store)
        return;
    CHECK(list_empty(&(*store)->scopes));
    pthread_mutex_destroy(&(*store)->lock);
    mem_free((*store)->buckets);
    mem_free(*store);
    *store = NULL;
}

static size_t bucket_of(const struct stat_store *store, struct bytes prefix)
{
    return bytes_hash(prefix) & (store->n_buckets - 1);
}

static void grow_buckets(struct stat_store *store)
{
    if (store->n_scopes < store->n_buckets)
        return;
    store->n_buckets = store->n_buckets ? store->n_buckets * 2 : 64;
    mem_free(store->buckets);
    store->buckets = mem_zalloc(store->n_buckets * sizeof(struct stat_scope *));
    LIST_EACH(it, &store->scopes)
    {
        struct stat_scope *s = scope_at(it);
        size_t b = bucket_of(store, bytes_of(s->prefix));
        link_of(s)->bucket_next = store->buckets[b];
        store->buckets[b] = s;
    }
}

static struct stat_scope *scope_new(struct stat_store *store, struct bytes prefix,
                                    const struct stat_schema *schema)
{
    struct scope_link *l = mem_zalloc(sizeof(*l) + store->n_slots * sizeof(l->scope.blocks[0]));
    struct stat_scope *s = &l->scope;
    s->store = store;
    s->schema = schema;
    s->prefix = mem_alloc(prefix.len + 1);
    if (prefix.len)
        memcpy(s->prefix, prefix.data, prefix.len);
    s->prefix[prefix.len] = '\0';
    s->n_slots = store->n_slots;
    list_push_back(&store->scopes, &s->in_store);
    size_t b = bucket_of(store, prefix);
    l->bucket_next = store->buckets[b];
    store->buckets[b] = s;
    store->n_scopes++;
    return s;
}

struct stat_scope *stat_scope_get(struct stat_store *store, struct bytes prefix,
                                  const struct stat_schema *schema)
{
    pthread_mutex_lock(&store->lock);
    grow_buckets(store);
    struct stat_scope *s = store->buckets[bucket_of(store, prefix)];
    while (s && !(s->schema == schema && bytes_eq_str(prefix, s->prefix)))
        s = link_of(s)->bucket_next;
    if (!s)
        s = scope_new(store, prefix, schema);
    s->refs++;
    pthread_mutex_unlock(&store->lock);
    return s;
}

struct stat_scope *stat_scope_ref(struct stat_scope *scope)
{
    pthread_mutex_lock(&scope->store->lock);
    scope->refs++;
    pthread_mutex_unlock(&scope->store->lock);
    return scope;
}

static void free_extra(const struct stat_schema *schema, unsigned id, void *extra)
{
    if (extra && schema->stats[id].kind == STAT_HISTOGRAM) {
        struct hist *h = extra;
        for (unsigned d = 0; d < STAT_DECADES; d++)
            mem_free((void *)atomic_load(&h->decades[d]));
    } else if (extra) {
        struct code_node *n = atomic_load(&((struct code_node *)extra)->next);
        while (n) {
            struct code_node *next = atomic_load(&n->next);
            mem_free(n);
            n = next;
        }
    }
    mem_free(extra);
}

static void scope_free(struct stat_scope *s)
{
    for (unsigned i = 0; i < s->n_slots; i++) {
        struct stat_block *b = atomic_load(&s->blocks[i]);
        if (!b)
            continue;
        for (unsigned id = 0; id < s->schema->count; id++)
            free_extra(s->schema, id, (void *)atomic_load(&b->extra[id]));
        mem_free(b);
    }
    for (unsigned id = 0; s->texts && id < s->schema->count; id++)
        mem_free(atomic_load(&s->texts[id]));
    mem_free((void *)s->texts);
    mem_free(s->prefix);
    for (unsigned id = 0; link_of(s)->code_baselines && id < s->schema->count; id++)
        mem_free(link_of(s)->code_baselines[id]);
    mem_free(link_of(s)->code_baselines);
    mem_free(link_of(s)->baseline);
    mem_free(link_of(s));
}

void stat_scope_unref(struct stat_scope **scope)
{
    struct stat_scope *s = *scope;
    *scope = NULL;
    if (!s)
        return;
    struct stat_store *store = s->store;
    pthread_mutex_lock(&store->lock);
    bool last = --s->refs == 0;
    if (last) {
        list_remove(&s->in_store);
        struct stat_scope **at = &store->buckets[bucket_of(store, bytes_of(s->prefix))];
        while (*at != s)
            at = &link_of(*at)->bucket_next;
        *at = link_of(s)->bucket_next;
        store->n_scopes--;
    }
    pthread_mutex_unlock(&store->lock);
    if (last)
        scope_free(s);
}

static struct stat_block *block_new(struct stat_scope *s, unsigned slot)
{
    unsigned n = s->schema->count, words = (n + 63) / 64;
    size_t cells = sizeof(struct stat_block) + n * sizeof(struct cell);
    struct stat_block *b = mem_zalloc(cells + n * sizeof(void *) + words * sizeof(uint64_t));
    b->extra = (void **_Atomic *)(void *)((char *)b + cells);
    b->used = (_Atomic uint64_t *)(void *)((char *)b->extra + n * sizeof(void *));
    atomic_store_explicit(&s->blocks[slot], b, memory_order_release);
    return b;
}

static inline struct stat_block *block_for(struct stat_scope *s, unsigned slot)
{
    struct stat_block *b = atomic_load_explicit(&s->blocks[slot], memory_order_relaxed);
    return LIKELY(b != NULL) ? b : block_new(s, slot);
}

static inline void mark_used(struct stat_block *b, unsigned id)
{
    uint64_t bit = 1ull << (id % 64);
    uint64_t word = atomic_load_explicit(&b->used[id / 64], memory_order_relaxed);
    if (!(word & bit))
        atomic_store_explicit(&b->used[id / 64], word | bit, memory_order_relaxed);
}

void stat_add(struct stat_scope *scope, unsigned slot, unsigned id, int64_t n)
{
    struct stat_block *b = block_for(scope, slot);
    int64_t v = atomic_load_explicit(&b->cells[id].value, memory_order_relaxed);
    atomic_store_explicit(&b->cells[id].value, v + n, memory_order_relaxed);
    mark_used(b, id);
}

void stat_set(struct stat_scope *scope, unsigned slot, unsigned id, int64_t value)
{
    struct stat_block *b = block_for(scope, slot);
    atomic_store_explicit(&b->cells[id].value, value, memory_order_relaxed);
    mark_used(b, id);
}

static void *extra_for(struct stat_block *b, unsigned id, size_t size)
{
    void *p = (void *)atomic_load_explicit(&b->extra[id], memory_order_relaxed);
    if (p)
        return p;
    p = mem_zalloc(size);
    atomic_store_explicit(&b->extra[id], p, memory_order_release);
    return p;
}

static inline void bump(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void stat_record(struct stat_scope *scope, unsigned slot, unsigned id, uint64_t value)
{
    struct stat_block *b = block_for(scope, slot);
    struct hist *h = extra_for(b, id, sizeof(*h));
    mark_used(b, id);
    bump(&h->sum, value);
    if (value == 0) {
        bump(&h->zeros, 1);
        return;
    }
    uint64_t scale = 1;
    unsigned decade = 0;
    while (decade + 1 < STAT_DECADES && value / scale >= 10) {
        scale *= 10;
        decade++;
    }
    uint64_t step = value / scale >= 10 ? STAT_STEPS - 1 : value * 10 / scale - 10;
    _Atomic uint32_t *counts = atomic_load_explicit(&h->decades[decade], memory_order_relaxed);
    if (!counts) {
        counts = mem_zalloc(STAT_STEPS * sizeof(*counts));
        atomic_store_explicit(&h->decades[decade], counts, memory_order_release);
    }
    uint32_t c = atomic_load_explicit(&counts[step], memory_order_relaxed);
    atomic_store_explicit(&counts[step], c + 1, memory_order_relaxed);
}

void stat_code(struct stat_scope *scope, unsigned slot, unsigned id, unsigned http_status)
{
    if (http_status == 0)
        return; /* 0 marks a free place */
    struct stat_block *b = block_for(scope, slot);
    struct code_node *n = extra_for(b, id, sizeof(*n));
    mark_used(b, id);
    for (;;) {
        for (unsigned i = 0; i < CODES_PER_NODE; i++) {
            uint32_t code = atomic_load_explicit(&n->codes[i].code, memory_order_relaxed);
            if (code == 0)
                atomic_store_explicit(&n->codes[i].code, http_status, memory_order_relaxed);
            if (code == 0 || code == http_status) {
                bump(&n->codes[i].count, 1);
                return;
            }
        }
        struct code_node *next = atomic_load_explicit(&n->next, memory_order_relaxed);
        if (!next) {
            next = NEW(struct code_node);
            atomic_store_explicit(&n->next, next, memory_order_release);
        }
        n = next;
    }
}

void stat_set_text(struct stat_scope *scope, unsigned id, struct bytes text)
{
    char *copy = mem_alloc(text.len + 1);
    if (text.len)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    pthread_mutex_lock(&scope->store->lock);
    if (!scope->texts)
        scope->texts = mem_zalloc(scope->schema->count * sizeof(*scope->texts));
    char *old = atomic_exchange(&scope->texts[id], copy);
    pthread_mutex_unlock(&scope->store->lock);
    mem_free(old);
}

int64_t stat_read(const struct stat_scope *scope, unsigned id, bool *used)
{
    int64_t sum = 0;
    *used = false;
    for (unsigned i = 0; i < scope->n_slots; i++) {
        struct stat_block *b = atomic_load_explicit(
            (_Atomic(struct stat_block *) *)&scope->blocks[i], memory_order_acquire);
        if (!b)
            continue;
        sum += atomic_load_explicit(&b->cells[id].value, memory_order_relaxed);
        *used |= atomic_load_explicit(&b->used[id / 64], memory_order_relaxed) >> (id % 64) & 1;
    }
    return sum;
}

static void merge_hist(const struct hist *h, struct stat_histogram *out)
{
    uint64_t zeros = atomic_load_explicit((_Atomic uint64_t *)&h->zeros, memory_order_relaxed);
    out->zeros += zeros;
    out->count += zeros;
    out->sum += (double)atomic_load_explicit((_Atomic uint64_t *)&h->sum, memory_order_relaxed);
    for (unsigned d = 0; d < STAT_DECADES; d++) {
        _Atomic uint32_t *counts = atomic_load_explicit(
            (_Atomic(_Atomic uint32_t *) *)&h->decades[d], memory_order_acquire);
        for (unsigned i = 0; counts && i < STAT_STEPS; i++) {
            uint64_t n = atomic_load_explicit(&counts[i], memory_order_relaxed);
            out->steps[d][i] += n;
            out->count += n;
        }
    }
}

/* The extra of one slot, or NULL. */
static void *extra_of(const struct stat_scope *scope, unsigned slot, unsigned id)
{
    struct stat_block *b = atomic_load_explicit(
        (_Atomic(struct stat_block *) *)&scope->blocks[slot], memory_order_acquire);
    return b ? (void *)atomic_load_explicit(&b->extra[id], memory_order_acquire) : NULL;
}

void stat_read_histogram(const struct stat_scope *scope, unsigned id, struct stat_histogram *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < scope->n_slots; i++) {
        const struct hist *h = extra_of(scope, i, id);
        if (h)
            merge_hist(h, out);
    }
}

static double step_low(unsigned step, double scale)
{
    return (10 + step) * scale / 10;
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

static void sum_codes(const struct stat_scope *s, unsigned id, uint64_t counts[CODE_SLOTS])
{
    memset(counts, 0, CODE_SLOTS * sizeof(counts[0]));
    for (unsigned slot = 0; slot < s->n_slots; slot++) {
        const struct code_node *n = extra_of(s, slot, id);
        while (n) {
            for (unsigned i = 0; i < CODES_PER_NODE; i++) {
                uint32_t code = atomic_load((_Atomic uint32_t *)&n->codes[i].code);
                if (code && code < CODE_SLOTS)
                    counts[code] += atomic_load((_Atomic uint64_t *)&n->codes[i].count);
            }
            n = atomic_load((_Atomic(struct code_node *) *)&n->next);
        }
    }
}

struct visit {
    stat_visit_fn *fn;
    void *ctx;
    struct strbuf name;
};

static void visit_one(struct visit *v, struct stat_view *view, size_t prefix, const char *name)
{
    strbuf_cut(&v->name, prefix);
    strbuf_add_str(&v->name, name);
    view->name = strbuf_bytes(&v->name);
    v->fn(v->ctx, view);
}

static void visit_codes(struct visit *v, struct stat_view *view, size_t prefix, const char *stem)
{
    const struct scope_link *l = link_of((struct stat_scope *)view->scope);
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
}

static void visit_scope(struct visit *v, struct stat_scope *s)
{
    strbuf_reset(&v->name);
    strbuf_add_str(&v->name, s->prefix);
    if (v->name.len)
        strbuf_add_char(&v->name, '.');
    size_t prefix = v->name.len;
    for (unsigned id = 0; id < s->schema->count; id++) {
        const struct stat_desc *d = &s->schema->stats[id];
        struct stat_view view = {.kind = d->kind, .scope = s, .id = id};
        view.value = stat_read(s, id, &view.used);
        if (d->kind == STAT_COUNTER && link_of(s)->baseline)
            view.value -= link_of(s)->baseline[id];
        if (d->kind == STAT_TEXT) {
            view.text = s->texts ? atomic_load(&s->texts[id]) : NULL;
            view.used = view.text != NULL;
        }
        if (d->kind == STAT_CODES)
            visit_codes(v, &view, prefix, d->name);
        else
            visit_one(v, &view, prefix, d->name);
    }
}

void stat_visit(struct stat_store *store, stat_visit_fn *fn, void *ctx)
{
    struct visit v = {fn, ctx, STRBUF_INIT};
    pthread_mutex_lock(&store->lock);
    LIST_EACH(it, &store->scopes)
    visit_scope(&v, scope_at(it));
    pthread_mutex_unlock(&store->lock);
    strbuf_fini(&v.name);
}

void stat_visit_scope(struct stat_scope *scope, stat_visit_fn *fn, void *ctx)
{
    struct visit v = {fn, ctx, STRBUF_INIT};
    visit_scope(&v, scope);
    strbuf_fini(&v.name);
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
    bool used;
    if (!l->baseline)
        l->baseline = mem_zalloc(s->schema->count * sizeof(int64_t));
    for (unsigned id = 0; id < s->schema->count; id++) {
        l->baseline[id] = stat_read(s, id, &used);
        if (used && s->schema->stats[id].kind == STAT_CODES)
            reset_codes(l, id);
    }
}

void stat_reset_counters(struct stat_store *store)
{
    pthread_mutex_lock(&store->lock);
    LIST_EACH(it, &store->scopes)
    reset_scope(scope_at(it));
    pthread_mutex_unlock(&store->lock);
}
