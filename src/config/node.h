/* A node is an immutable piece of configuration that snapshots share by pointer: a cluster, a host
 * set, a listener, a filter chain, an HTTP connection manager, a route configuration.
 *
 * Counting: `refs` belongs to the config thread alone (maps of snapshots, parents). Workers never
 * touch it; a worker that needs a node beyond its current snapshot (a stream in flight, a live
 * connection) pins it: node_pin() writes the worker's own slot, no atomic read-modify-write, no
 * sharing. When the last reference goes, the node is retired: nobody can find it any more, so its
 * pins can only fall, and the config thread frees it once they are all zero (node_reap). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum node_kind {
    NODE_CLUSTER,
    NODE_HOST_SET,
    NODE_CLUSTER_ENTRY,
    NODE_LISTENER,
    NODE_FILTER_CHAIN,
    NODE_HTTP_MANAGER,
    NODE_ROUTE_CONFIG,
    NODE_VIRTUAL_HOST,
    NODE_ROUTE,
    NODE_BINDING,
    NODE_TLS,
    NODE_FILTER_CONFIG,
    NODE_SCOPE_TABLE,
};

/* What only a pinnable node has. */
struct node_pins {
    struct node *next_retired;
    _Atomic uint32_t slots[]; /* one a thread */
};

struct node {
    uint32_t refs;                /* config thread */
    uint8_t kind;                 /* enum node_kind */
    struct arena *arena;          /* holds the node itself and its parts; freed with it */
    void (*fini)(struct node *n); /* drops what is not in the arena (children, scopes); or NULL */
    struct node_pins *pins;       /* made by node_make_pinnable(); or NULL */
};

/* Number of pin slots: main = 0, config = 1, workers from 2 (the stat slots). Set once at start. */
void node_set_pin_slots(unsigned n);

/* A zeroed node of `size` bytes in an arena of its own, with `more` bytes beside it for its parts
 * (a guess that is too small costs a second piece of heap); refs = 1. size >= sizeof(struct node);
 * struct node is the first member. */
void *node_new(enum node_kind kind, size_t size, size_t more, void (*fini)(struct node *n));
void node_make_pinnable(struct node *n);
size_t node_pins_size(void);      /* of `more`, for a node that will be made pinnable */
void node_ref(struct node *n);    /* config thread */
void node_unref(struct node **n); /* config thread; NULL inside is fine */
#define NODE_REF(p) (node_ref(&(p)->node), (p))
#define NODE_UNREF(pp)                                                                             \
    do {                                                                                           \
        struct node *node_u = *(pp) ? &(*(pp))->node : NULL;                                       \
        *(pp) = NULL;                                                                              \
        node_unref(&node_u);                                                                       \
    } while (0)
/* For pmap.release: value is the node. */
void node_release(void *node);

/* slot: the calling thread's. */
static inline void node_pin(struct node *n, unsigned slot)
{
    _Atomic uint32_t *pins = &n->pins->slots[slot];
    atomic_store_explicit(pins, atomic_load_explicit(pins, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}
/* Release: what this thread read of the node happens before the config thread frees it. */
static inline void node_unpin(struct node *n, unsigned slot)
{
    _Atomic uint32_t *pins = &n->pins->slots[slot];
    uint32_t v = atomic_load_explicit(pins, memory_order_relaxed);
    CHECK(v > 0);
    atomic_store_explicit(pins, v - 1, memory_order_release);
}

/* Frees retired nodes without pins; returns how many still wait. Config thread, from a timer, and
 * only between snapshots: call node_reap_barrier() logic through snapshot.h. */
unsigned node_reap(void);
unsigned node_count_live(void); /* all kinds, for tests and memory accounting */
