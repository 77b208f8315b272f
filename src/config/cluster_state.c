/* The shared atomics of clusters and hosts: made with the first version, carried over by name and
 * address, freed when no version and no worker uses them. */
#include "config/cluster.h"

#include "base/memory.h"
#include "base/strbuf.h"

static struct host_state *retired;

struct cluster_state *cluster_state_new(struct stat_store *store, struct bytes stat_name)
{
    struct cluster_state *s = NEW(struct cluster_state);
    struct strbuf prefix = STRBUF_INIT;
    strbuf_add_str(&prefix, "cluster.");
    strbuf_add_bytes(&prefix, stat_name);
    s->refs = 1;
    s->stats = stat_scope_get(store, strbuf_bytes(&prefix), &cluster_stat_schema);
    strbuf_fini(&prefix);
    return s;
}

uint32_t circuit_breaker_shown(const struct circuit_breaker *cb, enum breaker b)
{
    return b == BREAKER_RETRY && cb->has_budget ? 0 : cb->limits[b];
}

/* A gauge is the sum of what all threads wrote. Each writes the difference to what is shown, so
 * that the sum is what was shown last, whatever limit each of them knows. */
void cluster_state_show_remaining(struct cluster_state *s, unsigned slot, unsigned priority,
                                  enum breaker b, uint32_t limit)
{
    struct breaker_gauges *g =
        atomic_load_explicit(&s->in_use[priority].tracked, memory_order_acquire);
    if (!g)
        return;
    uint32_t used = atomic_load_explicit(&s->in_use[priority].counts[b], memory_order_relaxed);
    uint32_t left = used < limit ? limit - used : 0;
    uint32_t before = atomic_exchange_explicit(&g->shown[b], left, memory_order_relaxed);
    stat_add(g->scope, slot, b, (int64_t)left - before);
}

static void track(struct cluster_state *s, struct bytes stat_name, unsigned priority)
{
    static const char *const names[N_ROUTING_PRIORITIES] = {"default", "high"};
    struct breaker_gauges *g = NEW(struct breaker_gauges);
    struct strbuf prefix = STRBUF_INIT;
    strbuf_printf(&prefix, "cluster.%.*s.circuit_breakers.%s", BYTES_ARG(stat_name),
                  names[priority]);
    g->scope = stat_scope_get(s->stats->store, strbuf_bytes(&prefix), &breaker_stat_schema);
    strbuf_fini(&prefix);
    atomic_store_explicit(&s->in_use[priority].tracked, g, memory_order_release);
}

void cluster_state_track(struct cluster_state *s, struct bytes stat_name,
                         const struct circuit_breaker breakers[N_ROUTING_PRIORITIES])
{
    for (unsigned p = 0; p < N_ROUTING_PRIORITIES; p++) {
        if (!breakers[p].track_remaining)
            continue;
        if (!atomic_load_explicit(&s->in_use[p].tracked, memory_order_relaxed))
            track(s, stat_name, p);
        for (unsigned b = 0; b < N_BREAKERS; b++)
            cluster_state_show_remaining(s, STAT_SLOT_CONFIG, p, (enum breaker)b,
                                         circuit_breaker_shown(&breakers[p], (enum breaker)b));
    }
}

void cluster_state_ref(struct cluster_state *s)
{
    CHECK(s->refs > 0);
    s->refs++;
}

void cluster_state_unref(struct cluster_state **sp)
{
    struct cluster_state *s = *sp;
    *sp = NULL;
    if (!s || --s->refs)
        return;
    for (unsigned p = 0; p < N_ROUTING_PRIORITIES; p++) {
        struct breaker_gauges *g = atomic_load(&s->in_use[p].tracked);
        for (unsigned b = 0; g && b < N_BREAKERS; b++)
            stat_add(g->scope, STAT_SLOT_CONFIG, b, -(int64_t)atomic_load(&g->shown[b]));
        if (g)
            stat_scope_unref(&g->scope);
        mem_free(g);
    }
    stat_scope_unref(&s->stats);
    mem_free(s);
}

/* The states that came together. */
struct host_states {
    uint32_t alive;
    struct host_state list[];
};

struct host_state *host_states_new(unsigned n)
{
    CHECK(n > 0 && n <= HOST_STATES_MAX);
    struct host_states *all = mem_zalloc(sizeof(*all) + n * sizeof(all->list[0]));
    all->alive = n;
    for (unsigned i = 0; i < n; i++) {
        all->list[i].refs = 1;
        all->list[i].at = (uint16_t)i;
    }
    return all->list;
}

static void state_free(struct host_state *s)
{
    struct host_states *all = CONTAINER_OF(s - s->at, struct host_states, list);
    mem_free(host_state_use(s));
    if (--all->alive == 0)
        mem_free(all);
}

void host_state_ref(struct host_state *s)
{
    CHECK(s->refs > 0);
    s->refs++;
}

/* A used one is retired even without holds: a worker's last release can still be on its way to
 * memory. What nobody has used nobody can find any more. */
void host_state_unref(struct host_state **sp)
{
    struct host_state *s = *sp;
    *sp = NULL;
    if (!s || --s->refs)
        return;
    struct host_use *u = host_state_use(s);
    if (!u) {
        state_free(s);
        return;
    }
    u->next_retired = retired;
    retired = s;
}

const struct host_use *host_state_seen(const struct host_state *s)
{
    static const struct host_use none;
    const struct host_use *u = host_state_use((struct host_state *)s);
    return u ? u : &none;
}

/* Two workers may meet here: the first one's is taken. */
struct host_use *host_state_first_use(struct host_state *s)
{
    struct host_use *mine = NEW(struct host_use), *other = NULL;
    if (atomic_compare_exchange_strong(&s->used, &other, mine))
        return mine;
    mem_free(mine);
    return other;
}

unsigned host_state_reap(void)
{
    unsigned waiting = 0;
    struct host_state *list = retired;
    retired = NULL;
    while (list) {
        struct host_state *s = list;
        struct host_use *u = host_state_use(s);
        list = u->next_retired;
        if (atomic_load_explicit(&u->holds, memory_order_acquire)) {
            u->next_retired = retired;
            retired = s;
            waiting++;
        } else {
            state_free(s);
        }
    }
    return waiting;
}
