#include "dataplane/upstream/cluster_manager.h"

static uint32_t limit(const struct cluster_runtime *c, unsigned priority, enum breaker b)
{
    return c->params.breakers[priority].limits[b];
}

static enum cluster_stat open_stat(unsigned priority, enum breaker b)
{
    static const enum cluster_stat stats[N_ROUTING_PRIORITIES][N_BREAKERS] = {
        {STAT_CB_DEFAULT_CX_OPEN, STAT_CB_DEFAULT_RQ_PENDING_OPEN, STAT_CB_DEFAULT_RQ_OPEN,
         STAT_CB_DEFAULT_RQ_RETRY_OPEN},
        {STAT_CB_HIGH_CX_OPEN, STAT_CB_HIGH_RQ_PENDING_OPEN, STAT_CB_HIGH_RQ_OPEN,
         STAT_CB_HIGH_RQ_RETRY_OPEN},
    };
    return stats[priority][b];
}

/* Keeps the *_open gauge right: whoever turns the shared bit writes the difference, so that the
 * gauge, a sum over workers, is 0 or 1. */
static void update_open(struct cluster_runtime *c, unsigned priority, enum breaker b,
                        uint32_t count)
{
    uint8_t bit = (uint8_t)(1u << b);
    _Atomic uint8_t *bits = &c->state->in_use[priority].open;
    bool open = count >= limit(c, priority, b);
    bool was = atomic_load_explicit(bits, memory_order_relaxed) & bit;
    if (LIKELY(open == was))
        return;
    uint8_t before = open ? atomic_fetch_or(bits, bit) : atomic_fetch_and(bits, (uint8_t)~bit);
    if (!!(before & bit) != open)
        cluster_stat_add(c, open_stat(priority, b), open ? 1 : -1);
}

/* How many retries the requests of now allow. */
static uint32_t budget(const struct cluster_runtime *c, unsigned priority)
{
    const struct circuit_breaker *cb = &c->params.breakers[priority];
    uint64_t active = 0;
    active +=
        atomic_load_explicit(&c->state->in_use[priority].counts[BREAKER_RQ], memory_order_relaxed);
    active += atomic_load_explicit(&c->state->in_use[priority].counts[BREAKER_PENDING],
                                   memory_order_relaxed);
    double allowed = cb->budget_percent * (double)active / 100;
    return allowed > cb->min_retries_at_once ? (uint32_t)allowed : cb->min_retries_at_once;
}

bool breaker_can_create(const struct cluster_runtime *c, unsigned priority, enum breaker b)
{
    if (!c->state)
        return true; /* the cluster is gone; what is left may finish */
    if (b == BREAKER_RETRY && c->params.breakers[priority].has_budget)
        return atomic_load_explicit(&c->state->in_use[priority].counts[b], memory_order_relaxed) <
               budget(c, priority);
    return atomic_load_explicit(&c->state->in_use[priority].counts[b], memory_order_relaxed) <
           limit(c, priority, b);
}

static void shared_add(struct cluster_runtime *c, unsigned priority, enum breaker b, uint32_t n)
{
    uint32_t before =
        atomic_fetch_add_explicit(&c->state->in_use[priority].counts[b], n, memory_order_relaxed);
    update_open(c, priority, b, before + n);
    if (c->params.breakers[priority].track_remaining)
        cluster_state_show_remaining(c->state, c->worker->slot, priority, b,
                                     circuit_breaker_shown(&c->params.breakers[priority], b));
}

void breaker_inc(struct cluster_runtime *c, unsigned priority, enum breaker b)
{
    if (!c->state)
        return;
    if (!(c->gauges_shown[priority] & 1u << b)) { /* a breaker in use shows its gauge */
        c->gauges_shown[priority] |= (uint8_t)(1u << b);
        cluster_stat_add(c, open_stat(priority, b), 0);
    }
    c->in_use[priority][b]++;
    shared_add(c, priority, b, 1);
}

/* What was counted before the cluster was removed has been given back then. */
void breaker_dec(struct cluster_runtime *c, unsigned priority, enum breaker b)
{
    if (!c->state || c->in_use[priority][b] == 0)
        return;
    c->in_use[priority][b]--;
    shared_add(c, priority, b, (uint32_t)-1);
}

void breakers_move(struct cluster_runtime *c, struct cluster_state *to)
{
    if (c->state == to)
        return;
    for (unsigned p = 0; p < N_ROUTING_PRIORITIES; p++) {
        for (unsigned b = 0; c->state && b < N_BREAKERS; b++) {
            if (c->in_use[p][b] > 0)
                shared_add(c, p, b, 0u - c->in_use[p][b]);
        }
    }
    c->state = to;
    for (unsigned p = 0; p < N_ROUTING_PRIORITIES; p++) {
        for (unsigned b = 0; b < N_BREAKERS; b++) {
            if (to && c->in_use[p][b] > 0)
                shared_add(c, p, b, c->in_use[p][b]);
            else if (!to)
                c->in_use[p][b] = 0;
        }
    }
}
