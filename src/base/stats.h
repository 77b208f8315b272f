/* Counters, gauges, histograms and text readouts.
 *
 * A scope is a prefix ("cluster.web") and a schema (a table of names); it belongs to an identity,
 * not to a version of a resource: stat_scope_get() with the same prefix and schema returns the same
 * scope, counted. Each thread writes its own block of a scope (thread slot 0 = main, 1 = config,
 * 2.. = workers), which is allocated at its first write: what is never written costs nothing.
 * The reader sums. "Used" means written, not non-zero.
 *
 * Threads: stat_scope_get/ref/unref any thread (a lock); inc/add/set/record from the thread of that
 * slot, without a lock; reading any thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/strbuf.h"

enum stat_kind {
    STAT_COUNTER,
    STAT_GAUGE,     /* signed sum over threads */
    STAT_HISTOGRAM, /* milliseconds unless the name says otherwise */
    STAT_TEXT,
    STAT_CODES, /* counters upstream_rq_<code>, _<N>xx and, of 600 and more, _unknown: name is the
                 * stem */
    STAT_MARK,  /* never printed: others may be printed only after it was written */
};

/* Which names an entry has: the sum's, `main_thread.NAME`, `worker_N.NAME`. */
enum stat_threads {
    STAT_SUM = 0,
    STAT_OF_MAIN = 1,
    STAT_OF_WORKERS = 2,
    STAT_OF_ALL = 3,
    STAT_NO_SUM = 4, /* with one of the above: the sum has no name */
};

struct stat_desc {
    const char *name;
    enum stat_kind kind;
    uint16_t after;  /* 0: there from the start; 1 + id: there once entry `id` was written */
    uint8_t threads; /* enum stat_threads */
};

/* Kinds for the X-macro lists, whose rows read {name, STAT_##kind}. */
#define STAT_COUNTER_AFTER(id) STAT_COUNTER, .after = 1 + (id)
#define STAT_GAUGE_AFTER(id) STAT_GAUGE, .after = 1 + (id)
#define STAT_HISTOGRAM_AFTER(id) STAT_HISTOGRAM, .after = 1 + (id)
#define STAT_TEXT_AFTER(id) STAT_TEXT, .after = 1 + (id)
#define STAT_COUNTER_BY(which) STAT_COUNTER, .threads = (which)
#define STAT_GAUGE_BY(which) STAT_GAUGE, .threads = (which)

struct stat_schema {
    const struct stat_desc *stats;
    unsigned count;
};

enum { STAT_THREADS_MAX = 130, STAT_SLOT_MAIN = 0, STAT_SLOT_CONFIG = 1, STAT_SLOT_WORKER0 = 2 };

struct stat_text;
struct stat_store;

/* How values are kept (stats_internal.h has the rest): here only so that counting is inlined. */
enum { STAT_PAGE_CELLS = 16 };

struct stat_page {
    _Atomic uint32_t used; /* a bit a cell */
    _Atomic int64_t cells[STAT_PAGE_CELLS];
};

struct stat_block {
    unsigned n_pages;
    _Atomic(struct stat_page *) pages[];
};

struct stat_scope {
    struct stat_store *store;
    const struct stat_schema *schema;
    char *prefix; /* without the dot at the end; "" at the root */
    uint32_t refs;
    unsigned n_slots;
    struct list in_store;
    _Atomic(struct stat_text *) texts; /* of the entries that stat_set_text() was called for */
    _Atomic(struct stat_block *) blocks[];
};

/* n_slots: 2 + workers. */
struct stat_store *stat_store_new(unsigned n_slots);
void stat_store_free(struct stat_store **store); /* all scopes must be gone */

struct stat_scope *stat_scope_get(struct stat_store *store, struct bytes prefix,
                                  const struct stat_schema *schema);
struct stat_scope *stat_scope_ref(struct stat_scope *scope);
void stat_scope_unref(struct stat_scope **scope);

/* This thread's page, in which `id` is marked as written; made at the first write. */
struct stat_page *stat_page_first_write(struct stat_scope *scope, unsigned slot, unsigned id);
static inline struct stat_page *stat_page_for(struct stat_scope *scope, unsigned slot, unsigned id)
{
    struct stat_block *b = atomic_load_explicit(&scope->blocks[slot], memory_order_relaxed);
    struct stat_page *p = LIKELY(b != NULL) ? atomic_load_explicit(&b->pages[id / STAT_PAGE_CELLS],
                                                                   memory_order_relaxed)
                                            : NULL;
    if (UNLIKELY(p == NULL || !(atomic_load_explicit(&p->used, memory_order_relaxed) &
                                1u << id % STAT_PAGE_CELLS)))
        return stat_page_first_write(scope, slot, id);
    return p;
}
static inline void stat_add(struct stat_scope *scope, unsigned slot, unsigned id, int64_t n)
{
    _Atomic int64_t *cell = &stat_page_for(scope, slot, id)->cells[id % STAT_PAGE_CELLS];
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void stat_inc(struct stat_scope *scope, unsigned slot, unsigned id)
{
    stat_add(scope, slot, id, 1);
}
/* Gauges that one thread owns (connected_state, version): sets this slot's share. */
void stat_set(struct stat_scope *scope, unsigned slot, unsigned id, int64_t value);
void stat_record(struct stat_scope *scope, unsigned slot, unsigned id, uint64_t value);
void stat_code(struct stat_scope *scope, unsigned slot, unsigned id, unsigned http_status);
void stat_set_text(struct stat_scope *scope, unsigned id, struct bytes text);

/* Sums over the slots. *used tells whether anything was ever written. */
int64_t stat_read(const struct stat_scope *scope, unsigned id, bool *used);

/* A merged histogram, log-linear: 90 steps a decade, two significant digits (as Envoy's). */
enum { STAT_DECADES = 12, STAT_STEPS = 90 };
struct stat_histogram {
    uint64_t zeros;                           /* values of 0 */
    uint64_t steps[STAT_DECADES][STAT_STEPS]; /* 1.0, 1.1 ... 9.9 times 10^decade */
    uint64_t count;
    double sum;
};
void stat_read_histogram(const struct stat_scope *scope, unsigned id, struct stat_histogram *out);
/* Value at quantile q in [0, 1], interpolated inside its step as Envoy does; NAN when empty. */
double stat_histogram_quantile(const struct stat_histogram *h, double q);
/* The least value of step (decade, step), as Envoy computes it. */
double stat_histogram_low(unsigned decade, unsigned step);
/* Number of values up to bound, to a step: as in Envoy, one that begins at the bound counts. */
uint64_t stat_histogram_below(const struct stat_histogram *h, double bound);

/* Visits every statistic of every scope, in no particular order. For STAT_CODES entries fn is
 * called once per code and class with the full name. The name lives during the call. Holds the
 * store's lock: fn must not get or drop scopes. */
struct stat_view {
    struct bytes name; /* full: prefix.name */
    enum stat_kind kind;
    bool used;
    int64_t value;    /* counter, gauge */
    const char *text; /* STAT_TEXT */
    const struct stat_scope *scope;
    unsigned id; /* for stat_read_histogram */
};
typedef void stat_visit_fn(void *ctx, const struct stat_view *view);
void stat_visit(struct stat_store *store, stat_visit_fn *fn, void *ctx);
/* The histograms that were written: the others cost a look, however many names there are. */
void stat_visit_histograms(struct stat_store *store, stat_visit_fn *fn, void *ctx);
/* The statistics of one scope; the caller holds a reference. Takes no lock. */
void stat_visit_scope(struct stat_scope *scope, stat_visit_fn *fn, void *ctx);
/* All scopes, each with a reference that the caller drops, in an array that it frees with
 * mem_free(): so that a long page can be made a scope at a time. */
struct stat_scope **stat_scopes(struct stat_store *store, size_t *n);
/* /reset_counters: from now on counters are read relative to what they are now. */
void stat_reset_counters(struct stat_store *store);
