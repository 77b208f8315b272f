/* Configurations of filters that come apart from their listener (ECDS, rule O06). One resource may
 * stand in many places; what comes is made for all of them or, when one refuses it, for none. A
 * listener waits for the first, and new ones change its connection managers only. */
#include "base/memory.h"
#include "config/builder_private.h"
#include "config/filter_discovery.h"
#include "config/wire.h"

enum { EXTENSION_NAME = 1, EXTENSION_TYPED_CONFIG = 2 };

/* ---- who needs which ---- */

/* The i-th connection manager of a listener; NULL in *m: a chain has none. False: no more. */
static bool nth_manager(const struct resource_version *v, unsigned i, const struct http_manager **m)
{
    const struct listener_parts *p = v->listener;
    if (v->resource->type != RESOURCE_LISTENER || i > p->n_chains)
        return false;
    const struct listener_chain *c = i < p->n_chains ? &p->chains[i] : p->default_chain;
    *m = c ? c->manager : NULL;
    return true;
}

typedef bool each_fn(void *arg, struct filter_discovery *d);

/* Each place of a version that names the resource; r NULL: each place. fn returns false to end. */
static bool each_place(const struct resource_version *v, const struct resource *r, each_fn *fn,
                       void *arg)
{
    const struct http_manager *m;
    for (unsigned i = 0; nth_manager(v, i, &m); i++) {
        struct filter_discovery *d;
        for (unsigned k = 0; m && (d = http_manager_discovery(m, k)); k++) {
            bool it = !r || (bytes_eq(d->name, r->name) &&
                             bytes_eq(d->source.key, r->source->source.key));
            if (it && !fn(arg, d))
                return false;
        }
    }
    return true;
}

static bool each_dependant(const struct resource *r, each_fn *fn, void *arg)
{
    LIST_EACH(it, &r->dependants)
    {
        if (!each_place(LIST_ENTRY(it, struct dependency, link)->from, r, fn, arg))
            return false;
    }
    return true;
}

static bool count_place(void *arg, struct filter_discovery *d)
{
    unsigned *n = arg;
    ++*n;
    return true;
}

unsigned builder_extensions(const struct resource_version *v)
{
    unsigned n = 0;
    each_place(v, NULL, count_place, &n);
    return n;
}

static bool needs_no_warming(void *arg, struct filter_discovery *d)
{
    return d->without_warming;
}

bool builder_extension_awaited(const struct resource_version *v, const struct resource *r)
{
    return !each_place(v, r, needs_no_warming, NULL);
}

static void give_scope(struct builder *b, struct resource *r)
{
    if (r->stats)
        return;
    struct arena *a = arena_new(0);
    struct bytes name = stat_name_of(a, r->name);
    const char *prefix =
        arena_printf(a, "extension_config_discovery.http_filter.%.*s", BYTES_ARG(name));
    r->stats = stat_scope_get(b->options.stats, bytes_of(prefix), &ecds_stat_schema);
    arena_free(&a);
}

static struct bytes config_of(struct bytes wire)
{
    struct bytes any = wire_find_bytes(wire, EXTENSION_TYPED_CONFIG);
    return any.data ? any : BYTES("");
}

static void set_current(struct filter_discovery *d, struct filter_config *c)
{
    struct filter_config *old = d->current;
    d->current = c;
    NODE_UNREF(&old);
}

static bool fall_back(void *arg, struct filter_discovery *d)
{
    set_current(d, d->fallback ? NODE_REF(d->fallback) : NULL);
    return true;
}

/* What a new place begins with: what is there if it fits, as Envoy's. */
static void begin(struct builder *b, struct filter_discovery *d, const struct resource *r)
{
    struct error err = ERROR_INIT;
    struct filter_config *c = NULL;
    if (r->active)
        c = filter_config_decode(&b->ctx, d, config_of(r->active->wire), &err);
    if (c)
        set_current(d, c);
    else if (r->active || r->settled || d->without_warming)
        fall_back(NULL, d);
    error_fini(&err);
}

struct depend {
    struct builder *b;
    struct resource_version *v;
};

static bool depend(void *arg, struct filter_discovery *d)
{
    struct depend *x = arg;
    builder_depend(x->b, x->v, &d->source, RESOURCE_EXTENSION, d->name);
    struct resource *r = x->v->deps[x->v->n_deps - 1].on;
    give_scope(x->b, r);
    if (!d->current)
        begin(x->b, d, r);
    return true;
}

void builder_depend_on_extensions(struct builder *b, struct resource_version *v)
{
    struct depend x = {b, v};
    each_place(v, NULL, depend, &x);
}

/* ---- updates ---- */

/* Configurations that stand ready while others are made. */
struct remake {
    struct builder *b;
    struct bytes any;
    struct error *err;
    struct {
        struct filter_discovery *place;
        struct filter_config *config;
    } * made;
    size_t n, cap;
};

static bool make(void *arg, struct filter_discovery *d)
{
    struct remake *m = arg;
    for (size_t i = 0; i < m->n; i++) {
        if (m->made[i].place == d)
            return true; /* two versions of a listener share it */
    }
    struct filter_config *c = filter_config_decode(&m->b->ctx, d, m->any, m->err);
    if (!c)
        return false;
    GROW(m->made, m->cap, m->n + 1);
    m->made[m->n].place = d;
    m->made[m->n++].config = c;
    return true;
}

static void mark_dependants(struct builder *b, struct resource *r)
{
    LIST_EACH(it, &r->dependants)
    {
        struct resource *user = LIST_ENTRY(it, struct dependency, link)->from->resource;
        if (user->active)
            builder_mark_dirty(b, user);
    }
}

static bool make_all(struct builder *b, struct resource *r, struct bytes wire, struct error *err)
{
    struct remake m = {.b = b, .any = config_of(wire), .err = err};
    bool ok = each_dependant(r, make, &m);
    for (size_t i = 0; i < m.n; i++) {
        if (ok)
            set_current(m.made[i].place, m.made[i].config);
        else
            NODE_UNREF(&m.made[i].config);
    }
    mem_free(m.made);
    return ok;
}

static bool extension_update(struct builder *b, struct resource *r, const struct incoming *in,
                             bool *unchanged, struct error *err)
{
    struct bytes name = wire_find_bytes(in->u->wire, EXTENSION_NAME);
    *unchanged = r->active && bytes_eq(r->active->wire, in->u->wire);
    if (*unchanged) {
        builder_keep_version(r->active, in);
        return true;
    }
    builder_count_decoded(b, RESOURCE_EXTENSION);
    if (!bytes_eq(name, r->name))
        return error_set(err, "Unexpected resource name in ExtensionConfigDS response: %.*s",
                         BYTES_ARG(name));
    if (!decode_check(&b->ctx, resource_type_name(RESOURCE_EXTENSION), in->u->wire, err) ||
        !make_all(b, r, in->u->wire, err))
        return false;
    resource_version_free(&r->active);
    r->active = builder_version(b, r, in);
    mark_dependants(b, r);
    return true;
}

bool builder_extension_update(struct builder *b, struct resource *r, const struct incoming *in,
                              bool *unchanged, struct error *err)
{
    bool ok = extension_update(b, r, in, unchanged, err);
    builder_subscription_answer(b, r, in, ok, *unchanged);
    return ok;
}

void builder_extension_fall_back(struct builder *b, struct resource *r)
{
    if (r->active)
        return;
    each_dependant(r, fall_back, NULL);
    mark_dependants(b, r);
}

bool builder_extension_remove(struct builder *b, struct resource *r)
{
    if (!r->active)
        return false;
    resource_version_free(&r->active);
    builder_forget_sorted(b, RESOURCE_EXTENSION);
    builder_subscription_count(r, SUBSCRIPTION_ATTEMPT);
    builder_subscription_count(r, SUBSCRIPTION_SUCCESS);
    stat_inc(r->stats, STAT_SLOT_CONFIG, STAT_ECDS_CONFIG_RELOAD);
    builder_extension_fall_back(b, r);
    return true;
}

/* ---- what serves ---- */

struct http_manager *builder_manager_now(struct builder *b, const struct listener_entry *old,
                                         const struct listener_chain *c)
{
    if (!c->manager || !http_manager_discovery(c->manager, 0))
        return c->manager ? NODE_REF(c->manager) : NULL;
    for (unsigned i = 0; old && i <= old->n_chains; i++) {
        const struct chain_binding *x = i < old->n_chains ? old->chains[i] : old->default_chain;
        if (x && http_manager_is_made_of(x->manager, c->manager))
            return NODE_REF(x->manager);
    }
    return http_manager_with_discovered(c->manager, b->options.filters);
}
