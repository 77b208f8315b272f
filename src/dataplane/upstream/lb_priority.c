#include "dataplane/upstream/lb.h"

static uint32_t min_u32(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

/* The part of the requests that a priority can take, in percent, before scaling. */
static uint32_t availability(const struct lb_priority_count *c, bool degraded, uint32_t factor)
{
    uint64_t some = degraded ? c->degraded : c->healthy, all = c->total - c->excluded;
    if (all == 0)
        return 0;
    if (c->weighted) {
        some = degraded ? c->degraded_weight : c->healthy_weight;
        all = c->total_weight;
    }
    if (factor > 0 && some > UINT64_MAX / factor)
        return 100;
    return min_u32(factor * some / all, 100);
}

struct distribution {
    int first;     /* first available priority, -1: none */
    uint32_t rest; /* load left over */
};

struct load_input {
    const struct lb_priority_count *counts;
    unsigned n;
    uint32_t factor, normalized;
};

static struct distribution distribute(const struct load_input *in, bool degraded, uint32_t load,
                                      struct lb_priority_load *out)
{
    struct distribution d = {-1, load};
    for (unsigned p = 0; p < in->n; p++) {
        uint32_t part = availability(&in->counts[p], degraded, in->factor);
        if (d.first < 0 && part > 0)
            d.first = (int)p;
        part = min_u32((uint64_t)part * 100 / in->normalized, d.rest);
        *(degraded ? &out[p].degraded : &out[p].healthy) = part;
        d.rest -= part;
    }
    return d;
}

static uint32_t normalized_availability(const struct lb_priority_count *counts, unsigned n,
                                        uint32_t factor)
{
    uint64_t sum = 0;
    for (unsigned p = 0; p < n; p++)
        sum += availability(&counts[p], false, factor) + availability(&counts[p], true, factor);
    return min_u32(sum, 100);
}

/* All priorities are in panic: by number of hosts, whatever their health. */
static void total_panic(const struct lb_priority_count *counts, unsigned n,
                        struct lb_priority_load *loads)
{
    uint64_t total = 0;
    for (unsigned p = 0; p < n; p++)
        total += counts[p].total;
    if (total == 0) {
        loads[0].healthy = 100;
        return;
    }
    uint32_t rest = 100;
    int first = -1;
    for (unsigned p = 0; p < n; p++) {
        if (first < 0 && counts[p].total > 0)
            first = (int)p;
        loads[p].healthy = (uint32_t)(100ull * counts[p].total / total);
        loads[p].degraded = 0;
        rest -= loads[p].healthy;
    }
    loads[first].healthy += rest;
}

static bool in_panic(const struct lb_priority_count *c, uint32_t threshold)
{
    uint32_t all = c->total - c->excluded;
    double usable = all == 0 ? 0.0 : 100.0 * c->healthy / all;
    if (all != 0)
        usable += 100.0 * c->degraded / all;
    return usable < threshold;
}

void lb_priority_loads(const struct lb_priority_count *counts, unsigned n,
                       uint32_t overprovisioning, uint32_t panic_threshold,
                       struct lb_priority_load *loads)
{
    for (unsigned p = 0; p < n; p++)
        loads[p] = (struct lb_priority_load){0, 0, false};
    if (n == 0)
        return;
    uint32_t normalized = normalized_availability(counts, n, overprovisioning);
    struct load_input in = {counts, n, overprovisioning, normalized};
    if (normalized > 0) {
        struct distribution healthy = distribute(&in, false, 100, loads);
        struct distribution degraded = distribute(&in, true, healthy.rest, loads);
        /* What is left are rounding errors: the first available priority takes them. */
        if (healthy.first >= 0)
            loads[healthy.first].healthy += degraded.rest;
        else
            loads[degraded.first].degraded += degraded.rest;
    } else if (panic_threshold == 0) {
        loads[0].healthy = 100; /* nobody will be found there */
        return;
    }
    bool all = true;
    for (unsigned p = 0; p < n; p++) {
        loads[p].panic = normalized < 100 && in_panic(&counts[p], panic_threshold);
        all = all && loads[p].panic;
    }
    if (all)
        total_panic(counts, n, loads);
    else if (normalized == 0) /* a small factor left nothing of anyone: the first one's are tried */
        loads[0].healthy = 100;
}

static uint32_t untried_part(const struct lb_priority_count *c, bool degraded, uint32_t factor,
                             const struct lb_tried *tried, unsigned priority)
{
    return lb_tried_has(tried, priority) ? 0 : availability(c, degraded, factor);
}

static uint32_t take(uint32_t part, uint32_t of, uint32_t *rest)
{
    uint32_t n = min_u32((uint64_t)part * 100 / of, *rest);
    *rest -= n;
    return n;
}

bool lb_priority_loads_untried(const struct lb_priority_count *counts, unsigned n,
                               uint32_t overprovisioning, const struct lb_tried *tried,
                               struct lb_priority_load *loads)
{
    uint64_t sum = 0;
    for (unsigned p = 0; p < n; p++) {
        const struct lb_priority_count *c = &counts[p];
        loads[p].healthy = loads[p].degraded = 0;
        sum += untried_part(c, false, overprovisioning, tried, p);
        sum += untried_part(c, true, overprovisioning, tried, p);
    }
    uint32_t of = min_u32(sum, 100), rest = 100;
    if (of == 0)
        return false;
    while (rest > 0) { /* what rounding leaves goes to the first ones again */
        for (unsigned p = 0; p < n; p++)
            loads[p].healthy +=
                take(untried_part(&counts[p], false, overprovisioning, tried, p), of, &rest);
        for (unsigned p = 0; p < n; p++)
            loads[p].degraded +=
                take(untried_part(&counts[p], true, overprovisioning, tried, p), of, &rest);
    }
    return true;
}
