#include "config/node.h"

#include "base/memory.h"

static unsigned pin_slots = 3;
static struct node *retired;
static unsigned live;

void node_set_pin_slots(unsigned n)
{
    pin_slots = n;
}

void *node_new(enum node_kind kind, size_t size, size_t more, void (*fini)(struct node *n))
{
    struct arena *a = arena_new(size + more);
    struct node *n = arena_zalloc(a, size);
    n->refs = 1;
    n->kind = (uint8_t)kind;
    n->arena = a;
    n->fini = fini;
    live++;
    return n;
}

size_t node_pins_size(void)
{
    return sizeof(struct node_pins) + pin_slots * sizeof(uint32_t);
}

void node_make_pinnable(struct node *n)
{
    if (!n->pins)
        n->pins = arena_zalloc(n->arena, node_pins_size());
}

void node_ref(struct node *n)
{
    CHECK(n->refs > 0);
    n->refs++;
}

static void node_destroy(struct node *n)
{
    struct arena *a = n->arena;
    if (n->fini)
        n->fini(n);
    live--;
    arena_free(&a);
}

void node_unref(struct node **np)
{
    struct node *n = *np;
    *np = NULL;
    if (!n)
        return;
    CHECK(n->refs > 0);
    if (--n->refs)
        return;
    if (!n->pins) {
        node_destroy(n);
        return;
    }
    n->pins->next_retired = retired;
    retired = n;
}

void node_release(void *node)
{
    struct node *n = node;
    node_unref(&n);
}

static bool pinned(const struct node *n)
{
    for (unsigned i = 0; i < pin_slots; i++) {
        if (atomic_load_explicit(&n->pins->slots[i], memory_order_acquire))
            return true;
    }
    return false;
}

/* One pass; returns how many wait. Freeing a node can retire its children, which the next pass
 * meets. */
static unsigned reap_pass(bool *freed)
{
    unsigned waiting = 0;
    struct node *list = retired;
    retired = NULL;
    *freed = false;
    while (list) {
        struct node *n = list;
        list = n->pins->next_retired;
        if (pinned(n)) {
            n->pins->next_retired = retired;
            retired = n;
            waiting++;
        } else {
            node_destroy(n);
            *freed = true;
        }
    }
    return waiting;
}

unsigned node_reap(void)
{
    bool freed;
    unsigned waiting;
    do
        waiting = reap_pass(&freed);
    while (freed);
    return waiting;
}

unsigned node_count_live(void)
{
    return live;
}
