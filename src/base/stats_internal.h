/* How statistics are kept; for stats.c (scopes, writing) and stats_read.c only.
 *
 *   scope.blocks[slot] -> pages[id / 16] -> 16 values and a bit each: written or not (stats.h)
 *
 * A block and a page are made by their thread at its first write: what is never written costs the
 * pointer. Histograms and codes keep a pointer in the place of their value. A thread is the only
 * writer of its blocks, so a relaxed load and store is enough; pointers are published by release
 * and live as long as the scope. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "base/stats.h"

/* Lives as long as the scope; few scopes have one, none has many. */
struct stat_text {
    struct stat_text *next;
    unsigned id;
    _Atomic(char *) text;
};

static inline struct stat_text *text_of(const struct stat_scope *s, unsigned id)
{
    struct stat_text *t =
        atomic_load_explicit((_Atomic(struct stat_text *) *)&s->texts, memory_order_acquire);
    while (t && t->id != id)
        t = t->next;
    return t;
}

struct code_count {
    _Atomic uint32_t code; /* 0: free */
    _Atomic uint64_t count;
};

enum { CODES_PER_NODE = 6, CODE_SLOTS = 600 };

struct code_node {
    struct code_count codes[CODES_PER_NODE];
    _Atomic(struct code_node *) next;
};

/* The 90 steps of a decade: narrow until one is full, then all are counted in wide. */
struct decade {
    _Atomic(_Atomic uint32_t *) wide;
    _Atomic uint16_t narrow[STAT_STEPS];
};

/* Values are whole numbers: below 10 there are nine. */
struct hist {
    _Atomic uint64_t sum;
    _Atomic uint32_t zeros, ones[9];
    _Atomic(struct decade *) decades[STAT_DECADES - 1]; /* from 10 on */
};

struct stat_store {
    pthread_mutex_t lock;
    pthread_mutex_t text_lock; /* texts change while a page is made; inside lock */
    unsigned n_slots;
    struct list scopes; /* of stat_scope.in_store */
    struct stat_scope **buckets;
    size_t n_buckets, n_scopes;
};

struct scope_link {
    struct stat_scope *bucket_next;
    /* Of the reader: what counters were at the last reset. [0]: the sums, [1 + slot]: a thread's,
     * if the schema names threads. */
    int64_t *baseline;
    uint64_t **code_baselines; /* one array of CODE_SLOTS a schema entry, or NULL */
    struct stat_scope scope;
};

static inline struct scope_link *link_of(const struct stat_scope *s)
{
    return CONTAINER_OF((struct stat_scope *)s, struct scope_link, scope);
}

static inline struct stat_scope *scope_at(struct list *in_store)
{
    return LIST_ENTRY(in_store, struct stat_scope, in_store);
}

/* NULL: this thread has written nothing near. */
static inline struct stat_page *stat_page_of(const struct stat_scope *s, unsigned slot, unsigned id)
{
    struct stat_block *b =
        atomic_load_explicit(&((struct stat_scope *)s)->blocks[slot], memory_order_acquire);
    return b ? atomic_load_explicit(&b->pages[id / STAT_PAGE_CELLS], memory_order_acquire) : NULL;
}
