/* What sources shall deliver, for how long it is waited for, and the order of the start. */
#include "base/memory.h"
#include "config/builder_private.h"

static void want_changed(struct builder *b, struct resource *r)
{
    if (list_empty(&r->want_link))
        list_push_back(&b->want_changes, &r->want_link);
}

void builder_depend(struct builder *b, struct resource_version *v,
                    const struct config_source *source, enum resource_type type, struct bytes name)
{
    struct resource *r = store_find(&b->store, source, type, name);
    if (!r) {
        r = store_add(&b->store, source, type, name);
        r->fetch_timeout_ms = source->initial_fetch_timeout_ms;
        builder_forget_sorted(b, type);
    }
    struct dependency *d = &v->deps[v->n_deps++];
    d->from = v;
    d->on = r;
    list_init(&d->link);
    list_push_back(&r->dependants, &d->link);
    r->n_dependants++;
    if (!r->told)
        want_changed(b, r);
}

void builder_want(struct builder *b, const struct config_source *source, enum resource_type type,
                  struct bytes name)
{
    struct resource *r = store_add(&b->store, source, type, name);
    r->fetch_timeout_ms = source->initial_fetch_timeout_ms;
    r->n_dependants = 1; /* the process */
    builder_forget_sorted(b, type);
    want_changed(b, r);
}

void builder_unwant(struct builder *b, struct resource *r)
{
    r->n_dependants = 0;
    want_changed(b, r);
}

void builder_undepend(struct builder *b, struct resource_version *v)
{
    for (unsigned i = 0; i < v->n_deps; i++) {
        struct resource *r = v->deps[i].on;
        list_remove(&v->deps[i].link);
        b->scopes_moved |= r->stands_for_all;
        if (--r->n_dependants == 0)
            want_changed(b, r);
    }
    v->n_deps = 0;
}

static void stop_timer(struct builder *b, struct resource *r)
{
    struct fetch_wait *w = r->wait;
    r->wait = NULL;
    list_remove(&r->wait_link);
    if (!w || !list_empty(&w->resources))
        return;
    if (w->timer) /* NULL: it is running out now */
        b->table.timer_cancel(b->table.ctx, w->timer);
    if (b->asking == w)
        b->asking = NULL;
    mem_free(w);
}

static void count_timeout(struct builder *b, struct resource *r)
{
    if (r->source->source.kind == SOURCE_ADS || r->source->source.kind == SOURCE_GRPC)
        builder_subscription_count(r, SUBSCRIPTION_ATTEMPT);
    builder_subscription_count(r, SUBSCRIPTION_TIMEOUT);
    if (b->table.fetch_timed_out)
        b->table.fetch_timed_out(b->table.ctx, &r->source->source, r->type, r->name);
    if (b->table.source_failed && resource_type_is_global(r->type))
        b->table.source_failed(b->table.ctx, &r->source->source);
}

/* Rule T01: goes on without it. */
static void fetch_expired(void *arg)
{
    struct fetch_wait *w = arg;
    struct builder *b = w->b;
    w->timer = NULL;
    for (struct list *l = list_first(&w->resources), *next; l; l = next) {
        struct resource *r = LIST_ENTRY(l, struct resource, wait_link);
        next = l->next == &w->resources ? NULL : l->next;
        r->timed_out = true;
        count_timeout(b, r);
        builder_settle(b, r); /* with the last one w is gone */
    }
    builder_flush_wants(b);
    builder_init_advance(b);
    builder_commit(b);
}

static void start_timer(struct builder *b, struct resource *r)
{
    struct fetch_wait *w = b->asking;
    if (!w || w->ms != r->fetch_timeout_ms) {
        w = b->asking = NEW(struct fetch_wait);
        *w = (struct fetch_wait){.b = b, .ms = r->fetch_timeout_ms};
        list_init(&w->resources);
        w->timer = b->table.timer_start(b->table.ctx, w->ms, fetch_expired, w);
    }
    r->wait = w;
    list_push_back(&w->resources, &r->wait_link);
}

static bool cluster_needs(const struct resource *r)
{
    LIST_EACH(it, &r->dependants)
    {
        if (LIST_ENTRY(it, struct dependency, link)->from->resource->type == RESOURCE_CLUSTER)
            return true;
    }
    return false;
}

/* Rule M14: what a later stage needs is not asked for before. */
static bool may_ask(const struct builder *b, const struct resource *r)
{
    bool early = r->type == RESOURCE_CLUSTER || r->type == RESOURCE_ENDPOINT;
    if (r->type == RESOURCE_SECRET && cluster_needs(r)) /* the first clusters may need it */
        return b->stage >= INIT_PRIMARY_CLUSTERS;
    if (r->type == RESOURCE_RUNTIME)
        return b->stage >= INIT_RUNTIME;
    return b->stage >= (early ? INIT_STATIC_CLUSTERS : INIT_LISTENERS);
}

static void tell(struct builder *b, struct resource *r)
{
    r->told = true;
    if (r->source->source.kind != SOURCE_PATH) /* reading a file is no attempt of its own */
        builder_subscription_count(r, SUBSCRIPTION_ATTEMPT);
    if (!r->settled && !r->active && r->fetch_timeout_ms)
        start_timer(b, r);
    b->table.want(b->table.ctx, &r->source->source, r->type, r->name);
}

static void forget(struct builder *b, struct resource *r)
{
    stop_timer(b, r);
    b->vhosts_moved |= r->type == RESOURCE_ROUTE;
    if (r->stands_for_all)
        builder_scopes_forget(b, r);
    if (r->told && !b->closing)
        b->table.unwant(b->table.ctx, &r->source->source, r->type, r->name);
    if (r->type == RESOURCE_ROUTE && r->active &&
        pmap_get(&b->routes, r->name) == r->active->route) {
        pmap_remove(&b->routes, r->name);
        b->changed = b->names_moved = true;
    }
    builder_hold_drop_routes(b, r);
    builder_secret_forget_refused(b, r);
    builder_drop_version(b, &r->active);
    builder_forget_sorted(b, r->type);
    store_remove(&b->store, r);
}

/* True: a source has something to say. *again: one that was forgotten needed others. */
static bool flush_wants(struct builder *b, bool *again)
{
    bool any = false;
    *again = false;
    LIST_EACH(it, &b->want_changes)
    {
        struct resource *r = LIST_ENTRY(it, struct resource, want_link);
        if (r->n_dependants == 0) {
            any |= r->told;
            *again |= r->stands_for_all;
            forget(b, r);
        } else if (r->told) {
            list_remove(&r->want_link);
        } else if (may_ask(b, r)) {
            list_remove(&r->want_link);
            tell(b, r);
            any = true;
        }
    }
    return any;
}

void builder_flush_wants(struct builder *b)
{
    bool any = false, again;
    b->asking = NULL;
    if (b->scopes_moved)
        builder_scopes_review(b);
    do {
        if (b->vhosts_moved && !b->closing)
            builder_demands_review(b);
        any |= flush_wants(b, &again);
    } while (again || (b->vhosts_moved && !b->closing));
    if (any && !b->closing)
        b->table.wants_done(b->table.ctx);
}

static bool is_warm(const struct resource_version *v)
{
    return v->resource->type == RESOURCE_CLUSTER ? builder_cluster_warm(v)
                                                 : builder_listener_warm(v);
}

/* The first dependant that can go on. Going on may take others off the list. */
static struct resource *first_ready(struct resource *r)
{
    LIST_EACH(it, &r->dependants)
    {
        struct resource_version *v = LIST_ENTRY(it, struct dependency, link)->from;
        if (v == v->resource->pending && v->resource->type != RESOURCE_SCOPED_ROUTE && is_warm(v))
            return v->resource;
    }
    return NULL;
}

void builder_promote_dependants(struct builder *b, struct resource *r)
{
    struct resource *ready;
    while ((ready = first_ready(r))) {
        if (ready->type == RESOURCE_CLUSTER)
            builder_cluster_promote(b, ready);
        else
            builder_listener_promote(b, ready);
    }
}

void builder_settle(struct builder *b, struct resource *r)
{
    r->settled = true;
    stop_timer(b, r);
    if (r->type == RESOURCE_EXTENSION)
        builder_extension_fall_back(b, r);
    if (r->type == RESOURCE_VIRTUAL_HOST)
        builder_demand_settled(b, r);
    if (r->type == RESOURCE_ROUTE) {
        builder_scopes_settled(b, r);
        builder_scopes_promote(b, r);
    }
    builder_promote_dependants(b, r);
}

/* ---- the start ---- */

static const char *const stage_names[] = {
#define X(id) #id,
    INIT_STAGE_LIST(X)
#undef X
};

const char *init_stage_name(enum init_stage s)
{
    return stage_names[s];
}

enum init_stage builder_init_stage(const struct builder *b)
{
    return b->stage;
}

/* Does the start still wait for a cluster? Static ones of EDS type come after the others. */
static bool clusters_wait(const struct builder *b, bool with_eds, bool with_dynamic)
{
    if (b->n_warming[RESOURCE_CLUSTER] == 0)
        return false;
    LIST_EACH(it, &b->store.lists[RESOURCE_CLUSTER])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->active || !r->pending || !r->pending->cluster->wait_for_warm_on_init)
            continue;
        bool eds = r->pending->cluster->type == CLUSTER_EDS;
        if ((with_eds || !eds) && (with_dynamic || r->is_static))
            return true;
    }
    return false;
}

static bool listeners_wait(const struct builder *b)
{
    if (b->n_warming[RESOURCE_LISTENER] == 0)
        return false;
    LIST_EACH(it, &b->store.lists[RESOURCE_LISTENER])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (!r->active && r->pending)
            return true;
    }
    return false;
}

void builder_want_collections(struct builder *b, struct bytes cds, struct bytes lds)
{
    b->cds_collection = cds;
    b->lds_collection = lds;
}

static struct resource *want_all(struct builder *b, const struct source_ref *source,
                                 enum resource_type type, struct bytes collection)
{
    if (!source)
        return NULL;
    struct resource *r = NEW(struct resource);
    r->type = type;
    r->name = collection.len ? collection : BYTES("*");
    r->source = store_source(&b->store, &source->source);
    r->n_dependants = 1; /* the process */
    r->fetch_timeout_ms = source->source.initial_fetch_timeout_ms;
    list_init(&r->dependants);
    list_init(&r->want_link);
    list_init(&r->wait_link);
    want_changed(b, r);
    return r;
}

/* True: the stage is over. */
static bool stage_over(const struct builder *b)
{
    switch (b->stage) {
    case INIT_IDLE:
    case INIT_DONE:
        return false;
    case INIT_PRIMARY_CLUSTERS:
        return !clusters_wait(b, false, false);
    case INIT_RUNTIME:
        return !builder_runtime_waits(b);
    case INIT_STATIC_CLUSTERS:
        return !clusters_wait(b, true, false);
    case INIT_CDS:
        return (!b->cds_want || b->cds_want->settled) && !clusters_wait(b, true, true);
    case INIT_LISTENERS:
        return (!b->lds_want || b->lds_want->settled) && !listeners_wait(b);
    }
    return false;
}

void builder_init_advance(struct builder *b)
{
    while (stage_over(b)) {
        builder_commit(b); /* what the next stage asks for may need the clusters of this one */
        b->stage++;
        if (b->stage == INIT_RUNTIME)
            builder_runtime_want(b);
        if (b->stage == INIT_CDS)
            b->cds_want = want_all(b, b->cds, RESOURCE_CLUSTER, b->cds_collection);
        if (b->stage == INIT_LISTENERS)
            b->lds_want = want_all(b, b->lds, RESOURCE_LISTENER, b->lds_collection);
        builder_flush_wants(b);
        b->table.stage(b->table.ctx, b->stage);
    }
}

void builder_start(struct builder *b, const struct config_source *cds,
                   const struct config_source *lds)
{
    CHECK(b->stage == INIT_IDLE);
    b->ctx.reject_unknown = b->options.reject_unknown_dynamic; /* all that comes from now on */
    if (cds && cds->kind != SOURCE_NONE)
        b->cds = store_source(&b->store, cds);
    if (lds && lds->kind != SOURCE_NONE)
        b->lds = store_source(&b->store, lds);
    if (!list_empty(&b->want_changes))
        builder_commit(b); /* who delivers secrets to the first clusters is itself a cluster */
    b->stage = INIT_PRIMARY_CLUSTERS;
    LIST_EACH(it, &b->store.lists[RESOURCE_CLUSTER])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        builder_cluster_start_dns(b, r->active);
        builder_cluster_start_dns(b, r->pending);
    }
    builder_flush_wants(b);
    builder_init_advance(b);
    builder_commit(b);
}

static void free_want(struct builder *b, struct resource **rp)
{
    struct resource *r = *rp;
    *rp = NULL;
    if (!r)
        return;
    list_remove(&r->want_link);
    stop_timer(b, r);
    store_source_unref(&b->store, &r->source);
    mem_free(r);
}

void builder_wants_fini(struct builder *b)
{
    free_want(b, &b->cds_want);
    free_want(b, &b->lds_want);
    LIST_EACH(it, &b->store.lists[RESOURCE_RUNTIME])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        r->n_dependants = 0;
        want_changed(b, r);
    }
    builder_flush_wants(b);
    store_source_unref(&b->store, &b->cds);
    store_source_unref(&b->store, &b->lds);
}
