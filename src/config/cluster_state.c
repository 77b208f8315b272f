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
    stat_scope_unref(&s->stats);
    mem_free(s);
}

struct host_state *host_state_new(void)
{
    struct host_state *s = NEW(struct host_state);
    s->refs = 1;
    return s;
}

void host_state_ref(struct host_state *s)
{
    CHECK(s->refs > 0);
    s->refs++;
}

/* Retired even without holds: a worker's last release can still be on its way to memory. */
void host_state_unref(struct host_state **sp)
{
    struct host_state *s = *sp;
    *sp = NULL;
    if (!s || --s->refs)
        return;
    s->next_retired = retired;
    retired = s;
}

void host_state_hold(struct host_state *s)
{
    atomic_fetch_add_explicit(&s->holds, 1, memory_order_relaxed);
}

void host_state_release(struct host_state *s)
{
    uint32_t before = atomic_fetch_sub_explicit(&s->holds, 1, memory_order_release);
    CHECK(before > 0);
}

unsigned host_state_reap(void)
{
    unsigned waiting = 0;
    struct host_state *list = retired;
    retired = NULL;
    while (list) {
        struct host_state *s = list;
        list = s->next_retired;
        if (atomic_load_explicit(&s->holds, memory_order_acquire)) {
            s->next_retired = retired;
            retired = s;
            waiting++;
        } else {
            mem_free(s);
        }
    }
    return waiting;
}
