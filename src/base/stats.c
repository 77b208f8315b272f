#include "base/stats.h"

#include "base/stats_internal.h"

struct stat_store *stat_store_new(unsigned n_slots)
{
    CHECK(n_slots <= STAT_THREADS_MAX);
    struct stat_store *store = NEW(struct stat_store);
    pthread_mutex_init(&store->lock, NULL);
    pthread_mutex_init(&store->text_lock, NULL);
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
    pthread_mutex_destroy(&(*store)->text_lock);
    mem_free((*store)->buckets);
    mem_free(*store);
    *store = NULL;
}

static size_t bucket_of(const struct stat_store *store, struct bytes prefix)
{
    return bytes_hash(prefix) & (store->n_buckets - 1);
}

static void resize_buckets(struct stat_store *store, size_t n)
{
    store->n_buckets = n;
    mem_free(store->buckets);
    store->buckets = mem_zalloc(n * sizeof(struct stat_scope *));
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
    size_t size =
        sizeof(struct scope_link) + store->n_slots * sizeof(((struct stat_scope *)0)->blocks[0]);
    struct scope_link *l = mem_zalloc(size + prefix.len + 1);
    struct stat_scope *s = &l->scope;
    s->store = store;
    s->schema = schema;
    s->prefix = (char *)l + size;
    if (prefix.len)
        memcpy(s->prefix, prefix.data, prefix.len);
    s->n_slots = store->n_slots;
    list_push_back(&store->scopes, &s->in_store);
    size_t b = bucket_of(store, prefix);
    l->bucket_next = store->buckets[b];
    store->buckets[b] = s;
    store->n_scopes++;
    return s;
}

/* A configured name may have a NUL in it; that of a scope is a string, and has "_" there. */
static char *without_nul(struct bytes prefix)
{
    char *copy = mem_alloc(prefix.len);
    for (size_t i = 0; i < prefix.len; i++)
        copy[i] = prefix.data[i] ? prefix.data[i] : '_';
    return copy;
}

struct stat_scope *stat_scope_get(struct stat_store *store, struct bytes prefix,
                                  const struct stat_schema *schema)
{
    char *copy = prefix.len && memchr(prefix.data, '\0', prefix.len) ? without_nul(prefix) : NULL;
    if (copy)
        prefix.data = copy;
    pthread_mutex_lock(&store->lock);
    if (store->n_scopes >= store->n_buckets)
        resize_buckets(store, store->n_buckets ? store->n_buckets * 2 : 64);
    struct stat_scope *s = store->buckets[bucket_of(store, prefix)];
    while (s && !(s->schema == schema && bytes_eq_str(prefix, s->prefix)))
        s = link_of(s)->bucket_next;
    if (!s)
        s = scope_new(store, prefix, schema);
    s->refs++;
    pthread_mutex_unlock(&store->lock);
    mem_free(copy);
    return s;
}

struct stat_scope *stat_scope_ref(struct stat_scope *scope)
{
    pthread_mutex_lock(&scope->store->lock);
    scope->refs++;
    pthread_mutex_unlock(&scope->store->lock);
    return scope;
}

static void free_hist(struct hist *h)
{
    for (unsigned d = 0; d + 1 < STAT_DECADES; d++) {
        struct decade *decade = atomic_load(&h->decades[d]);
        if (decade)
            mem_free((void *)atomic_load(&decade->wide));
        mem_free(decade);
    }
    mem_free(h);
}

static void free_codes(struct code_node *n)
{
    while (n) {
        struct code_node *next = atomic_load(&n->next);
        mem_free(n);
        n = next;
    }
}

static void free_block(const struct stat_scope *s, unsigned slot)
{
    for (unsigned id = 0; id < s->schema->count; id++) {
        struct stat_page *p = stat_page_of(s, slot, id);
        void *extra = p ? (void *)(intptr_t)atomic_load(&p->cells[id % STAT_PAGE_CELLS]) : NULL;
        if (extra && s->schema->stats[id].kind == STAT_HISTOGRAM)
            free_hist(extra);
        else if (extra && s->schema->stats[id].kind == STAT_CODES)
            free_codes(extra);
    }
    struct stat_block *b = atomic_load(&s->blocks[slot]);
    for (unsigned i = 0; b && i < b->n_pages; i++)
        mem_free(atomic_load(&b->pages[i]));
    mem_free(b);
}

static void scope_free(struct stat_scope *s)
{
    for (unsigned i = 0; i < s->n_slots; i++)
        free_block(s, i);
    for (struct stat_text *t = atomic_load(&s->texts), *next; t; t = next) {
        next = t->next;
        mem_free(atomic_load(&t->text));
        mem_free(t);
    }
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
        if (--store->n_scopes * 8 < store->n_buckets && store->n_buckets > 64)
            resize_buckets(store, store->n_buckets / 4);
    }
    pthread_mutex_unlock(&store->lock);
    if (last)
        scope_free(s);
}

static struct stat_page *page_new(struct stat_scope *s, unsigned slot, unsigned id)
{
    struct stat_block *b = atomic_load_explicit(&s->blocks[slot], memory_order_relaxed);
    if (!b) {
        unsigned n = (s->schema->count + STAT_PAGE_CELLS - 1) / STAT_PAGE_CELLS;
        b = mem_zalloc(sizeof(*b) + n * sizeof(b->pages[0]));
        b->n_pages = n;
        atomic_store_explicit(&s->blocks[slot], b, memory_order_release);
    }
    struct stat_page *p = NEW(struct stat_page);
    atomic_store_explicit(&b->pages[id / STAT_PAGE_CELLS], p, memory_order_release);
    return p;
}

struct stat_page *stat_page_first_write(struct stat_scope *s, unsigned slot, unsigned id)
{
    struct stat_block *b = atomic_load_explicit(&s->blocks[slot], memory_order_relaxed);
    struct stat_page *p =
        b ? atomic_load_explicit(&b->pages[id / STAT_PAGE_CELLS], memory_order_relaxed) : NULL;
    if (!p)
        p = page_new(s, slot, id);
    uint32_t used = atomic_load_explicit(&p->used, memory_order_relaxed);
    atomic_store_explicit(&p->used, used | 1u << id % STAT_PAGE_CELLS, memory_order_relaxed);
    return p;
}

void stat_set(struct stat_scope *scope, unsigned slot, unsigned id, int64_t value)
{
    atomic_store_explicit(&stat_page_for(scope, slot, id)->cells[id % STAT_PAGE_CELLS], value,
                          memory_order_relaxed);
}

static NOINLINE void *extra_new(_Atomic int64_t *cell, size_t size)
{
    void *p = mem_zalloc(size);
    atomic_store_explicit(cell, (intptr_t)p, memory_order_release);
    return p;
}

static inline void *extra_for(struct stat_scope *scope, unsigned slot, unsigned id, size_t size)
{
    _Atomic int64_t *cell = &stat_page_for(scope, slot, id)->cells[id % STAT_PAGE_CELLS];
    void *p = (void *)(intptr_t)atomic_load_explicit(cell, memory_order_relaxed);
    return LIKELY(p != NULL) ? p : extra_new(cell, size);
}

static inline void bump(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void bump32(_Atomic uint32_t *v)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* The old counts stay readable for whoever reads them now. */
static _Atomic uint32_t *widen(struct decade *d)
{
    _Atomic uint32_t *wide = mem_zalloc(STAT_STEPS * sizeof(*wide));
    for (unsigned i = 0; i < STAT_STEPS; i++)
        atomic_store_explicit(&wide[i], atomic_load_explicit(&d->narrow[i], memory_order_relaxed),
                              memory_order_relaxed);
    atomic_store_explicit(&d->wide, wide, memory_order_release);
    return wide;
}

static void count_step(struct decade *d, unsigned step)
{
    _Atomic uint32_t *wide = atomic_load_explicit(&d->wide, memory_order_relaxed);
    uint16_t n = atomic_load_explicit(&d->narrow[step], memory_order_relaxed);
    if (!wide && n == UINT16_MAX)
        wide = widen(d);
    if (wide)
        bump32(&wide[step]);
    else
        atomic_store_explicit(&d->narrow[step], (uint16_t)(n + 1), memory_order_relaxed);
}

void stat_record(struct stat_scope *scope, unsigned slot, unsigned id, uint64_t value)
{
    struct hist *h = extra_for(scope, slot, id, sizeof(*h));
    bump(&h->sum, value);
    if (value < 10) {
        bump32(value ? &h->ones[value - 1] : &h->zeros);
        return;
    }
    uint64_t scale = 10;
    unsigned decade = 0;
    while (decade + 2 < STAT_DECADES && value / scale >= 10) {
        scale *= 10;
        decade++;
    }
    uint64_t step = value / scale >= 10 ? STAT_STEPS - 1 : value * 10 / scale - 10;
    struct decade *d = atomic_load_explicit(&h->decades[decade], memory_order_relaxed);
    if (!d) {
        d = NEW(struct decade);
        atomic_store_explicit(&h->decades[decade], d, memory_order_release);
    }
    count_step(d, (unsigned)step);
}

void stat_code(struct stat_scope *scope, unsigned slot, unsigned id, unsigned http_status)
{
    if (http_status == 0)
        return; /* 0 marks a free place */
    struct code_node *n = extra_for(scope, slot, id, sizeof(*n));
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
    struct stat_text *t = text_of(scope, id);
    if (!t) {
        t = NEW(struct stat_text);
        t->id = id;
        t->next = atomic_load(&scope->texts);
        atomic_store_explicit(&scope->texts, t, memory_order_release);
    }
    pthread_mutex_lock(&scope->store->text_lock);
    char *old = atomic_exchange(&t->text, copy);
    pthread_mutex_unlock(&scope->store->text_lock);
    pthread_mutex_unlock(&scope->store->lock);
    mem_free(old);
}
