/* Scoped routes that come apart from their connection manager (SRDS, rule O09). All scopes of a
 * source are asked for as one, by a resource that stands for them ("*") and that listeners depend
 * on; the scopes depend in turn on the routes that they name. What requests read is a table, made
 * of what has come when a listener's entry is made, and shared by those that ask for the same. */
#include "base/memory.h"
#include "config/builder_private.h"
#include "config/route.h"
#include "config/scoped_routes.h"

#define ALL "*"

struct scope_set {
    struct builder *b;
    struct arena *arena;
    struct bytes name, stat_prefix; /* of the first manager that asked */
    struct source_ref **sources;    /* of routes: what the managers say */
    unsigned n_sources;
    bool no_source; /* a manager says none */
    bool changed;   /* since the last answer */
    char *version;
    uint64_t wall_ns;
    struct map tables;                /* key of the routes' source -> struct scope_table * */
    const struct resource *waits_for; /* routes that had not come when it was last asked */
};

struct resource *builder_scopes(const struct builder *b, const struct config_source *source)
{
    struct resource *r = store_find(&b->store, source, RESOURCE_SCOPED_ROUTE, BYTES(ALL));
    return r && r->stands_for_all ? r : NULL;
}

static bool is_scope_of(const struct resource *r, const struct resource *all)
{
    return !r->stands_for_all && bytes_eq(r->source->source.key, all->source->source.key);
}

/* ---- who uses them ---- */

typedef void each_manager_fn(void *arg, const struct http_manager *m);

static void each_manager(const struct resource *all, each_manager_fn *fn, void *arg)
{
    LIST_EACH(it, &all->dependants)
    {
        const struct listener_parts *p = LIST_ENTRY(it, struct dependency, link)->from->listener;
        for (unsigned i = 0; i <= p->n_chains; i++) {
            const struct listener_chain *c = i < p->n_chains ? &p->chains[i] : p->default_chain;
            const struct scoped_routes *s = c && c->manager ? c->manager->scoped : NULL;
            if (s && bytes_eq(s->source.key, all->source->source.key))
                fn(arg, c->manager);
        }
    }
}

static void drop_tables(struct scope_set *set)
{
    struct bytes key;
    void *value;
    for (size_t it = 0; map_next(&set->tables, &it, &key, &value);) {
        struct scope_table *t = value;
        NODE_UNREF(&t);
    }
    map_fini(&set->tables);
    set->tables = (struct map)MAP_INIT;
}

/* What serves is not what it was: the next commit makes it anew. */
static void touch(struct builder *b, struct resource *all)
{
    drop_tables(all->scopes);
    all->scopes->changed = true;
    LIST_EACH(it, &all->dependants)
    {
        struct resource_version *user = LIST_ENTRY(it, struct dependency, link)->from;
        if (user == user->resource->active)
            builder_mark_dirty(b, user->resource);
    }
}

/* ---- what scopes need ---- */

/* Depends on its routes as things are now. What it needed before goes afterwards. */
static void depend(struct builder *b, struct resource_version *v, struct scope_set *set)
{
    const struct scope *s = v->scope;
    struct resource_version before = {.deps = v->deps, .n_deps = v->n_deps};
    bool none = s->routes || (s->on_demand && !s->demanded);
    unsigned n = none ? 0 : set->n_sources;
    v->deps = n ? mem_zalloc(n * sizeof(v->deps[0])) : NULL;
    v->n_deps = 0;
    for (unsigned i = 0; i < n; i++) {
        builder_depend(b, v, &set->sources[i]->source, RESOURCE_ROUTE, s->rds_name);
        builder_route_scope(b, v->deps[i].on, set->stat_prefix);
    }
    set->waits_for = NULL;
    builder_undepend(b, &before);
    mem_free(before.deps);
}

struct sources {
    struct builder *b;
    struct source_ref **list;
    unsigned n;
    size_t cap;
    bool no_source;
};

static void add_source(void *arg, const struct http_manager *m)
{
    struct sources *s = arg;
    const struct config_source *source = &m->scoped->rds_source;
    s->no_source |= source->kind == SOURCE_NONE;
    if (source->kind == SOURCE_NONE)
        return;
    for (unsigned i = 0; i < s->n; i++) {
        if (bytes_eq(s->list[i]->source.key, source->key))
            return;
    }
    GROW(s->list, s->cap, s->n + 1);
    s->list[s->n++] = store_source(&s->b->store, source);
}

static void drop_sources(struct builder *b, struct source_ref **list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        store_source_unref(&b->store, &list[i]);
    mem_free(list);
}

/* Managers have come or gone. */
static void review_sources(struct builder *b, struct resource *all)
{
    struct scope_set *set = all->scopes;
    struct sources s = {.b = b};
    each_manager(all, add_source, &s);
    bool same = s.n == set->n_sources;
    for (unsigned i = 0; same && i < s.n; i++)
        same = s.list[i] == set->sources[i];
    drop_sources(b, set->sources, set->n_sources);
    set->sources = s.list;
    set->n_sources = s.n;
    set->no_source = s.no_source;
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (!same && r->active && is_scope_of(r, all))
            depend(b, r->active, set);
    }
}

void builder_scopes_review(struct builder *b)
{
    b->scopes_moved = false;
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->stands_for_all && r->n_dependants)
            review_sources(b, r);
    }
}

static struct scope_set *set_new(struct builder *b, const struct http_manager *m)
{
    struct scope_set *set = NEW(struct scope_set);
    set->b = b;
    set->arena = arena_new(0);
    set->name = arena_dup(set->arena, m->scoped->name);
    set->stat_prefix = arena_dup(set->arena, m->stat_prefix);
    return set;
}

void builder_depend_on_scopes(struct builder *b, struct resource_version *v,
                              const struct http_manager *m)
{
    builder_depend(b, v, &m->scoped->source, RESOURCE_SCOPED_ROUTE, m->scoped->collection);
    struct resource *all = v->deps[v->n_deps - 1].on;
    if (!all->stands_for_all) {
        struct strbuf prefix = STRBUF_INIT;
        all->stands_for_all = true;
        all->scopes = set_new(b, m);
        strbuf_printf(&prefix, "http.%.*s.scoped_rds.%.*s", BYTES_ARG(m->stat_prefix),
                      BYTES_ARG(m->scoped->name));
        all->stats = stat_scope_get(b->options.stats, strbuf_bytes(&prefix), &srds_stat_schema);
        strbuf_fini(&prefix);
    }
    review_sources(b, all);
}

/* Routes that a scope waits for; NULL: none. */
static const struct resource *awaited(const struct resource_version *v)
{
    for (unsigned i = 0; i < v->n_deps; i++) {
        if (!v->deps[i].on->active && !v->deps[i].on->settled)
            return v->deps[i].on;
    }
    return NULL;
}

bool builder_scopes_warm(const struct resource *all)
{
    struct scope_set *set = all->scopes;
    const struct resource *last = set->waits_for;
    if (!all->settled || (last && !last->active && !last->settled))
        return false;
    set->waits_for = NULL;
    LIST_EACH(it, &set->b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->active && is_scope_of(r, all) && (set->waits_for = awaited(r->active)))
            return false;
    }
    return true;
}

/* ---- what serves ---- */

static struct route_config *routes_now(const struct builder *b, const struct scope *s,
                                       const struct config_source *source)
{
    if (s->routes)
        return s->routes;
    const struct resource *r = store_find(&b->store, source, RESOURCE_ROUTE, s->rds_name);
    return r && r->active ? r->active->route : NULL;
}

struct scope_table *builder_scope_table(struct builder *b, const struct scoped_routes *s)
{
    const struct resource *all = s->table ? NULL : builder_scopes(b, &s->source);
    if (s->table || !all)
        return s->table;
    struct bytes key = s->rds_source.kind == SOURCE_NONE ? BYTES("") : s->rds_source.key;
    struct scope_table *t = map_get(&all->scopes->tables, key);
    if (t)
        return t;
    t = scope_table_new(b->store.counts[RESOURCE_SCOPED_ROUTE]);
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->active && is_scope_of(r, all))
            scope_table_add(t, r->active->scope, routes_now(b, r->active->scope, &s->rds_source));
    }
    map_set(&all->scopes->tables, key, t);
    return t;
}

/* The scopes of each source that depend on these routes. */
static struct resource *all_of(const struct builder *b, const struct resource_version *v)
{
    return v->resource->type == RESOURCE_SCOPED_ROUTE
               ? builder_scopes(b, &v->resource->source->source)
               : NULL;
}

void builder_scopes_touch(struct builder *b, const struct resource *routes)
{
    LIST_EACH(it, &routes->dependants)
    {
        struct resource *all = all_of(b, LIST_ENTRY(it, struct dependency, link)->from);
        bool changed = all && all->scopes->changed; /* a change of routes is not one of scopes */
        if (!all)
            continue;
        touch(b, all);
        all->scopes->changed = changed;
    }
}

void builder_scopes_promote(struct builder *b, const struct resource *routes)
{
    const struct resource *before = NULL;
    LIST_EACH(it, &routes->dependants)
    {
        struct resource *all = all_of(b, LIST_ENTRY(it, struct dependency, link)->from);
        if (all && all != before)
            builder_promote_dependants(b, all);
        before = all;
    }
}

/* ---- on demand ---- */

static void count_scopes(const struct builder *b, struct resource *all)
{
    int64_t n = 0, active = 0, on_demand = 0;
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (!r->active || !is_scope_of(r, all))
            continue;
        n++;
        active += r->active->n_deps > 0;
        on_demand += r->active->scope->on_demand;
    }
    stat_set(all->stats, STAT_SLOT_CONFIG, STAT_SRDS_ALL_SCOPES, n);
    stat_set(all->stats, STAT_SLOT_CONFIG, STAT_SRDS_ACTIVE_SCOPES, active);
    stat_set(all->stats, STAT_SLOT_CONFIG, STAT_SRDS_ON_DEMAND_SCOPES, on_demand);
}

void builder_scope_demand(struct builder *b, const struct config_source *source, struct bytes name)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        struct scope *s = r->active ? r->active->scope : NULL;
        struct resource *all = s ? builder_scopes(b, &r->source->source) : NULL;
        if (!all || s->demanded || !bytes_eq(s->rds_name, name))
            continue;
        s->demanded = true;
        depend(b, r->active, all->scopes);
        count_scopes(b, all);
    }
    const struct resource *routes = store_find(&b->store, source, RESOURCE_ROUTE, name);
    if (!routes || routes->active || routes->settled)
        builder_demand_tell_later(b, RESOURCE_ROUTE, source, name);
    builder_flush_wants(b);
}

void builder_scopes_settled(struct builder *b, const struct resource *routes)
{
    bool demanded = false;
    LIST_EACH(it, &routes->dependants)
    {
        const struct resource_version *v = LIST_ENTRY(it, struct dependency, link)->from;
        demanded |= v->resource->type == RESOURCE_SCOPED_ROUTE && v->scope->demanded;
    }
    if (demanded)
        builder_demand_tell_later(b, RESOURCE_ROUTE, &routes->source->source, routes->name);
}

/* ---- updates ---- */

/* A resource of an update, before any of it is used. */
struct candidate {
    const struct resource_update *u;
    const struct resource *r; /* of that name, or NULL */
    struct scope *scope;      /* NULL: its bytes are those that are there, or it is refused */
    struct bytes key;
    struct error why; /* set: it is refused, and what was there stays */
};

struct trial {
    struct builder *b;
    struct resource *all;
    struct candidate *list;
    size_t n;
    struct map named; /* names of the update, and those that go */
    struct map keys;  /* key -> struct bytes *: the name */
};

enum { ROUNDS_MAX = 16 };

static bool decode_one(struct trial *t, struct candidate *c)
{
    struct builder *b = t->b;
    const struct resource_update *u = c->u;
    if (!builder_has_room(u->wire, &c->why))
        return false;
    builder_count_decoded(b, RESOURCE_SCOPED_ROUTE);
    if (bytes_eq_str(u->name, ALL))
        return error_set(&c->why, "the name stands for all scopes");
    if (!decode_check(&b->ctx, resource_type_name(RESOURCE_SCOPED_ROUTE), u->wire, &c->why) ||
        !(c->scope = scope_decode(&b->ctx, u->wire, false, &c->why)))
        return false;
    c->key = c->scope->key;
    return c->scope->routes || !t->all->scopes->no_source ||
           error_set(&c->why, "Missing config source specifier in "
                              "envoy::config::core::v3::ConfigSource");
}

static void read_candidate(struct trial *t, struct candidate *c, const struct resource_update *u)
{
    c->u = u;
    c->r = store_find(&t->b->store, &t->all->source->source, RESOURCE_SCOPED_ROUTE, u->name);
    bool same = u->keep || (c->r && c->r->active && bytes_eq(c->r->active->wire, u->wire));
    if (!same)
        (void)decode_one(t, c);
}

static bool claim(struct trial *t, struct bytes key, const struct bytes *name, struct error *err)
{
    const struct bytes *first = map_get(&t->keys, key);
    if (first)
        return error_set(err,
                         "scope key conflict found, first scope is '%.*s', second scope is '%.*s'",
                         BYTES_ARG(*first), BYTES_ARG(*name));
    map_set(&t->keys, key, (void *)name);
    return true;
}

static bool changes(const struct candidate *c)
{
    return c->scope && !error_is_set(&c->why);
}

/* What stays: scopes that the update does not name, or as they are, and what was there of those it
 * names badly. */
static void claim_kept(struct trial *t)
{
    struct error none = ERROR_INIT;
    LIST_EACH(it, &t->b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->active && is_scope_of(r, t->all) && !map_has(&t->named, r->name))
            (void)claim(t, r->active->scope->key, &r->name, &none);
    }
    for (size_t i = 0; i < t->n; i++) {
        const struct resource *r = t->list[i].r;
        if (!changes(&t->list[i]) && r && r->active)
            (void)claim(t, r->active->scope->key, &r->name, &none);
    }
    error_fini(&none);
}

/* True: nobody's key is taken by another. One that is refused takes its old key back, which may be
 * another's by now. */
static bool keys_agree(struct trial *t, bool last)
{
    bool ok = true;
    map_fini(&t->keys);
    t->keys = (struct map)MAP_INIT;
    claim_kept(t);
    for (size_t i = 0; i < t->n; i++) {
        struct candidate *c = &t->list[i];
        if (!changes(c))
            continue;
        if (last)
            error_set(&c->why, "too many scope key conflicts in one update");
        else if (!claim(t, c->key, &c->u->name, &c->why))
            ok = false;
    }
    return ok;
}

/* Those that may be used wait in scopes_ready, for what is wrong with the others see
 * scopes_refused. */
static void settle_candidate(struct builder *b, struct candidate *c)
{
    if (error_is_set(&c->why)) {
        scope_free(&c->scope);
        map_set(&b->scopes_refused, c->u->name, mem_strdup(error_text(&c->why)));
    } else if (c->scope) {
        map_set(&b->scopes_ready, c->u->name, c->scope);
    }
    error_fini(&c->why);
}

void builder_scopes_try(struct builder *b, const struct config_source *source,
                        const struct resource_update *updates, size_t n,
                        const struct bytes *removed, size_t n_removed, bool full_state)
{
    struct trial t = {.b = b, .all = builder_scopes(b, source)};
    if (!t.all)
        return;
    b->ctx.self = source;
    t.list = mem_zalloc((n + 1) * sizeof(*t.list));
    for (; t.n < n; t.n++) {
        map_set(&t.named, updates[t.n].name, &t);
        read_candidate(&t, &t.list[t.n], &updates[t.n]);
    }
    for (size_t i = 0; i < n_removed; i++)
        map_set(&t.named, removed[i], &t);
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (full_state && is_scope_of(r, t.all))
            map_set(&t.named, r->name, &t);
    }
    for (unsigned round = 0; !keys_agree(&t, round == ROUNDS_MAX); round++)
        ;
    for (size_t i = 0; i < n; i++)
        settle_candidate(b, &t.list[i]);
    mem_free(t.list);
    map_fini(&t.named);
    map_fini(&t.keys);
}

bool builder_scope_update(struct builder *b, struct resource *r, const struct incoming *in,
                          bool *unchanged, struct error *err)
{
    struct resource *all = builder_scopes(b, in->source);
    struct resource_version *old = r->active;
    *unchanged = old && bytes_eq(old->wire, in->u->wire);
    if (*unchanged) {
        builder_keep_version(old, in);
        return true;
    }
    struct scope *s = map_remove(&b->scopes_ready, r->name);
    char *why = map_remove(&b->scopes_refused, r->name);
    if (!s) {
        error_set(err, "%s", why ? why : "nobody asks for scopes of that source");
        mem_free(why);
        return false;
    }
    s->demanded = old && old->scope->demanded && bytes_eq(old->scope->rds_name, s->rds_name);
    r->active = builder_version(b, r, in);
    r->active->scope = s;
    depend(b, r->active, all->scopes);
    builder_drop_version(b, &old);
    touch(b, all);
    return true;
}

/* Whoever waits for its routes waits in vain. */
static void tell_waiting(struct builder *b, const struct resource_version *v)
{
    for (unsigned i = 0; v->scope->demanded && i < v->n_deps; i++) {
        const struct resource *routes = v->deps[i].on;
        if (!routes->active)
            builder_demand_tell_later(b, RESOURCE_ROUTE, &routes->source->source, routes->name);
    }
}

void builder_scope_remove(struct builder *b, struct resource *r)
{
    struct resource *all = builder_scopes(b, &r->source->source);
    if (!r->active)
        return;
    tell_waiting(b, r->active);
    if (all) {
        all->scopes->waits_for = NULL;
        touch(b, all);
    }
    builder_drop_version(b, &r->active);
}

/* What an update did not come to. */
static void drop_tried(struct builder *b)
{
    struct bytes key;
    void *value;
    for (size_t it = 0; map_next(&b->scopes_ready, &it, &key, &value);) {
        struct scope *s = value;
        scope_free(&s);
    }
    for (size_t it = 0; map_next(&b->scopes_refused, &it, &key, &value);)
        mem_free(value);
    map_fini(&b->scopes_ready);
    map_fini(&b->scopes_refused);
    b->scopes_ready = b->scopes_refused = (struct map)MAP_INIT;
}

void builder_scopes_answered(struct builder *b, const struct incoming *in, bool ok)
{
    struct resource *all = builder_scopes(b, in->source);
    struct scope_set *set = all ? all->scopes : NULL;
    drop_tried(b);
    if (!set)
        return;
    builder_subscription_answer(b, all, in, ok, false);
    if (ok && set->changed) {
        mem_free(set->version);
        set->version = mem_alloc(in->version.len + 1);
        memcpy(set->version, in->version.len ? in->version.data : "", in->version.len);
        set->version[in->version.len] = '\0';
    }
    if (ok)
        set->wall_ns = in->wall_ns;
    set->changed &= !ok;
    count_scopes(b, all);
}

/* ---- the end ---- */

static void remove_all(struct builder *b, const struct resource *all)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->stands_for_all || (all && !is_scope_of(r, all)))
            continue;
        builder_scope_remove(b, r);
        store_remove(&b->store, r);
    }
    builder_forget_sorted(b, RESOURCE_SCOPED_ROUTE);
}

void builder_scopes_forget(struct builder *b, struct resource *all)
{
    struct scope_set *set = all->scopes;
    remove_all(b, all);
    drop_tables(set);
    drop_sources(b, set->sources, set->n_sources);
    mem_free(set->version);
    arena_free(&set->arena);
    mem_free(set);
    all->scopes = NULL;
    all->stands_for_all = false;
}

void builder_scopes_fini(struct builder *b)
{
    remove_all(b, NULL);
}

/* ---- views ---- */

bool builder_scopes_view(const struct builder *b, unsigned nth, struct scopes_view *out)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (!r->stands_for_all || nth--)
            continue;
        const struct scope_set *set = r->scopes;
        *out = (struct scopes_view){
            .all = r, .name = set->name, .version = set->version, .wall_ns = set->wall_ns};
        return true;
    }
    return false;
}

void builder_each_scope(const struct builder *b, const struct scopes_view *v, builder_scope_fn *fn,
                        void *arg)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->active && is_scope_of(r, v->all))
            fn(arg, r->active);
    }
}
