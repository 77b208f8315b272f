/* How many downstream connections the process may have: all listeners together, but for those that
 * ignore the limit. One, shared by all workers; `max` is set before they run. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct conn_limit {
    uint64_t max; /* UINT64_MAX: no limit, nothing is counted */
    atomic_uint_fast64_t active;
};

static inline bool conn_limit_counts(const struct conn_limit *l)
{
    return l && l->max != UINT64_MAX;
}

/* False: there is no room. Exact, also when two workers ask at once. */
static inline bool conn_limit_take(struct conn_limit *l)
{
    if (atomic_fetch_add_explicit(&l->active, 1, memory_order_relaxed) < l->max)
        return true;
    atomic_fetch_sub_explicit(&l->active, 1, memory_order_relaxed);
    return false;
}

static inline void conn_limit_give_back(struct conn_limit *l)
{
    atomic_fetch_sub_explicit(&l->active, 1, memory_order_relaxed);
}
