/* What listener_manager.total_listeners_draining and total_filter_chains_draining count: listeners
 * and filter chains that went and whose connections may still be open, which is until the drain
 * time has passed, whether there are any or not. The connections themselves are the business of the
 * workers (http_conn_list.h). Of a listener that changes only what no connection can keep drains: a
 * chain with another HTTP connection manager goes on. */
#include "base/memory.h"
#include "config/builder_private.h"

/* Those that went with one commit. */
struct drain {
    struct builder *b;
    struct list link; /* in builder.drains */
    void *timer;
    unsigned listeners, chains;
};

static void count(struct builder *b, const struct drain *d, int64_t sign)
{
    stat_add(b->lm_stats, STAT_SLOT_CONFIG, STAT_LM_TOTAL_LISTENERS_DRAINING, sign * d->listeners);
    stat_add(b->lm_stats, STAT_SLOT_CONFIG, STAT_LM_TOTAL_FILTER_CHAINS_DRAINING, sign * d->chains);
}

static void drained(void *arg)
{
    struct drain *d = arg;
    count(d->b, d, -1);
    list_remove(&d->link);
    mem_free(d);
}

static bool shares_address(const struct listener *a, const struct listener *b)
{
    for (unsigned i = 0; i < a->n_addresses; i++) {
        if (listener_has_address(b, a->addresses[i].id))
            return true;
    }
    return false;
}

void builder_drain_replaced(struct builder *b, const struct listener_entry *old,
                            const struct listener_entry *now)
{
    if (!shares_address(old->listener, now->listener)) {
        b->going_listeners++;
        return;
    }
    for (unsigned i = 0; i <= old->n_chains; i++) {
        const struct chain_binding *x = i < old->n_chains ? old->chains[i] : old->default_chain;
        bool there = !x || (i < now->n_chains && now->chains[i]->chain == x->chain) ||
                     listener_find_chain_key(now, x->chain->key);
        b->going_chains += !there;
    }
}

void builder_drain_begin(struct builder *b)
{
    struct drain gone = {.listeners = b->going_listeners, .chains = b->going_chains};
    b->going_listeners = b->going_chains = 0;
    /* before the start is done nobody is connected */
    if (b->stage != INIT_DONE || b->options.drain_ms == 0 || gone.listeners + gone.chains == 0)
        return;
    struct drain *d = NEW(struct drain);
    *d = gone;
    d->b = b;
    list_push_back(&b->drains, &d->link);
    d->timer = b->table.timer_start(b->table.ctx, b->options.drain_ms, drained, d);
    count(b, d, 1);
}

void builder_drain_fini(struct builder *b)
{
    LIST_EACH(it, &b->drains)
    {
        struct drain *d = LIST_ENTRY(it, struct drain, link);
        b->table.timer_cancel(b->table.ctx, d->timer);
        drained(d);
    }
}
