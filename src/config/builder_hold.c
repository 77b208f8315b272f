/* Make before break, without the server's help: servers send types one after the other, and nothing
 * keeps a route from coming before its cluster. For at most route_hold_ms
 *
 *  - a changed virtual host that newly names a cluster which is not there or warm is held: the
 *    old one serves, while others of its RouteConfiguration go on;
 *  - a removed cluster lives while what serves still names it.
 *
 * Held routes: r->pending was accepted, r->active serves: the old ones, or a mixture of both. */
#include <stdio.h>

#include "base/memory.h"
#include "config/builder_private.h"
#include "config/http_manager.h"
#include "config/route.h"
#include "config/route_index.h"
#include "config/scoped_routes.h"
#include "config/wire.h"

enum { ROUTE_CONFIG_VIRTUAL_HOSTS = 2 };

struct hold {
    struct list link; /* of held_routes */
    struct builder *b;
    struct resource *r;
    void *timer;
    unsigned n_held; /* virtual hosts */
};

static bool is_there(const struct builder *b, struct bytes cluster)
{
    const struct resource *r = store_find(&b->store, NULL, RESOURCE_CLUSTER, cluster);
    return r && r->active && !r->doomed;
}

static struct hold *hold_of(const struct builder *b, const struct resource *r)
{
    LIST_EACH(it, &b->held_routes)
    {
        struct hold *h = LIST_ENTRY(it, struct hold, link);
        if (h->r == r)
            return h;
    }
    return NULL;
}

static void hold_free(struct hold *h)
{
    if (h->timer)
        h->b->table.timer_cancel(h->b->table.ctx, h->timer);
    list_remove(&h->link);
    mem_free(h);
}

/* ---- which virtual hosts wait ---- */

struct search {
    const struct builder *b;
    struct virtual_host *old;
    struct bytes name;
    bool found;
};

static bool is_name(void *arg, struct bytes cluster, const struct route_place *at)
{
    struct search *s = arg;
    s->found |= bytes_eq(cluster, s->name);
    return !s->found;
}

static bool old_names(const struct virtual_host *old, struct bytes cluster)
{
    struct search s = {.name = cluster};
    virtual_host_clusters(old, is_name, &s);
    return s.found;
}

static bool is_newly_missing(void *arg, struct bytes cluster, const struct route_place *at)
{
    struct search *s = arg;
    if (is_there(s->b, cluster) || old_names(s->old, cluster))
        return true;
    s->found = true;
    s->name = cluster;
    return false;
}

static bool is_route(const struct virtual_host *v, unsigned at, const struct route *r)
{
    return at < v->n_routes && v->routes[at].route == r;
}

/* Routes that both have name nothing new: only those that changed are looked at. */
static void search_changed(const struct virtual_host *v, struct search *s)
{
    unsigned at = 0; /* in s->old */
    for (unsigned i = 0; !s->found && i < v->n_routes; i++) {
        const struct route *r = v->routes[i].route;
        if (is_route(s->old, at, r)) {
            at++;
        } else if (is_route(s->old, at + 1, r)) { /* one before it is gone */
            at += 2;
        } else {
            route_each_cluster(r, is_newly_missing, s);
            bool added = i + 1 < v->n_routes && is_route(s->old, at, v->routes[i + 1].route);
            at += !added;
        }
    }
}

/* Who answers for a domain now; NULL: nobody, and nothing can break. */
static struct virtual_host *serves(const struct route_config *rc, struct bytes domain)
{
    struct strbuf host = STRBUF_INIT;
    for (size_t i = 0; i < domain.len; i++)
        strbuf_add_char(&host, domain.data[i] == '*' ? 'x' : domain.data[i]);
    int at = vhost_index_find(rc->index, strbuf_bytes(&host));
    strbuf_fini(&host);
    return at < 0 ? NULL : rc->vhosts[at].vhost;
}

/* Walks the old virtual hosts beside the new ones. Where both have the same names in the same
 * order, as nearly always, nothing is looked up. */
struct beside {
    const struct route_config *old;
    unsigned at;        /* the next of `old` */
    struct map by_name; /* -> struct vhost_ref *; made when it is needed */
};

static const struct vhost_ref *find_by_name(struct beside *w, struct bytes name)
{
    if (w->at < w->old->n_vhosts && bytes_eq(w->old->vhosts[w->at].vhost->name, name))
        return &w->old->vhosts[w->at];
    for (unsigned i = 0; map_count(&w->by_name) == 0 && i < w->old->n_vhosts; i++)
        map_set(&w->by_name, w->old->vhosts[i].vhost->name, &w->old->vhosts[i]);
    return map_get(&w->by_name, name);
}

/* The virtual host that would be replaced: of the same name, or that a domain is taken from. */
static struct virtual_host *replaced_by(struct beside *w, const struct virtual_host *v)
{
    const struct vhost_ref *ref = find_by_name(w, v->name);
    struct virtual_host *old = ref ? ref->vhost : NULL;
    if (ref)
        w->at = (unsigned)(ref - w->old->vhosts) + 1;
    for (unsigned i = 0; !old && i < v->n_domains; i++)
        old = serves(w->old, v->domains[i]);
    return old;
}

/* (*held)[i]: what to serve in place of the i-th virtual host of `new`; the caller frees it, NULL
 * where none is held. Returns how many are. */
static unsigned find_held(const struct builder *b, const struct route_config *old,
                          const struct route_config *new, struct virtual_host ***held)
{
    struct beside w = {old, 0, MAP_INIT};
    unsigned n = 0;
    *held = NULL;
    for (unsigned i = 0; i < new->n_vhosts; i++) {
        struct virtual_host *v = new->vhosts[i].vhost;
        if (w.at < old->n_vhosts && old->vhosts[w.at].vhost == v) {
            w.at++;
            continue;
        }
        struct search s = {.b = b, .old = replaced_by(&w, v)};
        if (s.old && s.old != v)
            search_changed(v, &s);
        if (!s.found)
            continue;
        if (!*held)
            *held = mem_zalloc(new->n_vhosts * sizeof(struct virtual_host *));
        (*held)[i] = s.old;
        n++;
    }
    map_fini(&w.by_name);
    return n;
}

/* ---- the mixture ---- */

static struct bytes old_bytes(const struct route_config *old, const struct virtual_host *v)
{
    for (unsigned i = 0; i < old->n_vhosts; i++) {
        if (old->vhosts[i].vhost == v)
            return bytes_first(bytes_skip(old->wire, old->vhosts[i].offset), old->vhosts[i].len);
    }
    return BYTES_NONE;
}

/* `new` with the old ones in the places of those that are held; one that is new itself is left out:
 * who answers for its domains now does so on. */
static void mix(const struct route_config *old, const struct resource_version *new,
                struct virtual_host *const *held, struct strbuf *out)
{
    struct bytes rest = new->wire;
    struct wire_field f;
    unsigned i = 0;
    while (wire_next(&rest, &f)) {
        bool vhost = f.number == ROUTE_CONFIG_VIRTUAL_HOSTS && f.type == WIRE_BYTES;
        const struct virtual_host *keep = vhost ? held[i] : NULL;
        if (!keep)
            strbuf_add_bytes(out, f.raw);
        else if (bytes_eq(keep->name, new->route->vhosts[i].vhost->name))
            wire_put_bytes(out, f.number, old_bytes(old, keep));
        i += vhost;
    }
}

static void add_domains(struct map *m, const struct route_config *rc)
{
    for (unsigned i = 0; i < rc->n_vhosts; i++) {
        const struct virtual_host *v = rc->vhosts[i].vhost;
        for (unsigned k = 0; k < v->n_domains; k++)
            map_set(m, v->domains[k], m);
    }
}

/* A domain that both have must not get lost between them. */
static bool is_whole(const struct route_config *mixed, const struct route_config *old,
                     const struct route_config *new)
{
    struct map in_mix = MAP_INIT, in_new = MAP_INIT;
    bool ok = true;
    add_domains(&in_mix, mixed);
    add_domains(&in_new, new);
    for (unsigned i = 0; ok && i < old->n_vhosts; i++) {
        const struct virtual_host *v = old->vhosts[i].vhost;
        for (unsigned k = 0; ok && k < v->n_domains; k++)
            ok = map_has(&in_mix, v->domains[k]) || !map_has(&in_new, v->domains[k]);
    }
    map_fini(&in_mix);
    map_fini(&in_new);
    return ok;
}

/* NULL: they cannot be mixed, all of the old one serves. */
static struct resource_version *mixed_version(struct builder *b, struct resource *r,
                                              const struct resource_version *new,
                                              struct virtual_host *const *held)
{
    struct strbuf wire = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct route_config *old = r->active->route;
    mix(old, new, held, &wire);
    struct resource_version *v =
        resource_version_new(r, strbuf_bytes(&wire), bytes_of(new->type_url),
                             bytes_of(new->version->text), new->received_wall_ns);
    v->route = builder_routes_decode(b, v->wire, old, &err);
    if (!v->route || !is_whole(v->route, old, new->route))
        resource_version_free(&v);
    error_fini(&err);
    strbuf_fini(&wire);
    return v;
}

/* ---- routes ---- */

static void stop_holding(struct builder *b, struct resource *r)
{
    struct hold *h = hold_of(b, r);
    if (h)
        hold_free(h);
}

static void let_go(struct builder *b, struct resource *r)
{
    struct resource_version *v = r->pending;
    r->pending = NULL;
    stop_holding(b, r);
    builder_route_activate(b, r, v);
}

static void route_hold_expired(void *arg)
{
    struct hold *h = arg;
    struct builder *b = h->b;
    h->timer = NULL;
    stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_HOLDS_EXPIRED);
    let_go(b, h->r);
    builder_commit(b);
}

static struct hold *hold_new(struct builder *b, struct resource *r)
{
    struct hold *h = NEW(struct hold);
    *h = (struct hold){.b = b, .r = r};
    list_init(&h->link);
    return h;
}

static void start_timer(struct hold *h, builder_timer_fn *expired)
{
    struct builder *b = h->b;
    h->timer = b->table.timer_start(b->table.ctx, b->options.route_hold_ms, expired, h);
}

/* It is not held any longer for being changed again. */
static struct hold *start_holding(struct builder *b, struct resource *r)
{
    struct hold *h = hold_of(b, r);
    if (h)
        return h;
    h = hold_new(b, r);
    list_push_back(&b->held_routes, &h->link);
    start_timer(h, route_hold_expired);
    return h;
}

/* Serves of r->pending what can be served now. */
static void advance(struct builder *b, struct resource *r)
{
    struct resource_version *new = r->pending;
    struct route_config *old = r->active->route;
    struct virtual_host **held;
    unsigned n = find_held(b, old, new->route, &held);
    if (n == 0) {
        let_go(b, r);
    } else {
        struct hold *h = start_holding(b, r);
        struct resource_version *v = n == h->n_held ? NULL : mixed_version(b, r, new, held);
        if (n != h->n_held)
            stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_HOLDS);
        h->n_held = n;
        if (v && !bytes_eq(v->wire, r->active->wire))
            builder_route_activate(b, r, v);
        else
            resource_version_free(&v);
    }
    mem_free(held);
}

void builder_hold_routes(struct builder *b, struct resource *r, struct resource_version *v)
{
    struct hold *h = hold_of(b, r);
    resource_version_free(&r->pending);
    if (b->options.route_hold_ms == 0 || !r->active) {
        builder_route_activate(b, r, v);
        return;
    }
    if (h)
        h->n_held = 0; /* of another version */
    r->pending = v;
    advance(b, r);
}

void builder_hold_drop_routes(struct builder *b, struct resource *r)
{
    stop_holding(b, r);
    resource_version_free(&r->pending);
}

/* ---- clusters ---- */

static void remove_doomed(struct builder *b, struct hold *h)
{
    struct resource *r = h->r;
    map_remove(&b->held_clusters, r->name);
    hold_free(h);
    builder_cluster_remove(b, r);
    builder_demand_absent(b, &r->source->source, r->name);
    builder_forget_sorted(b, RESOURCE_CLUSTER);
    store_remove(&b->store, r);
}

static void cluster_hold_expired(void *arg)
{
    struct hold *h = arg;
    struct builder *b = h->b;
    h->timer = NULL;
    stat_inc(b->decode_stats, STAT_SLOT_CONFIG, STAT_HOLDS_EXPIRED);
    remove_doomed(b, h);
    builder_flush_wants(b);
    builder_commit(b);
}

bool builder_hold_cluster(struct builder *b, struct resource *r)
{
    if (b->options.route_hold_ms == 0 || !r->active || b->closing)
        return false;
    if (r->doomed)
        return true;
    r->doomed = true;
    b->names_moved = true;
    map_set(&b->held_clusters, r->name, hold_new(b, r));
    return true;
}

void builder_hold_keep_cluster(struct builder *b, struct resource *r)
{
    if (!r->doomed)
        return;
    r->doomed = false;
    hold_free(map_remove(&b->held_clusters, r->name));
}

static bool add_name(void *arg, struct bytes cluster, const struct route_place *at)
{
    map_set(arg, cluster, arg);
    return true;
}

static void scope_names(const struct scope_table *t, struct map *names)
{
    for (uint32_t i = 0; t && i < t->n; i++) {
        if (t->entries[i].routes)
            route_config_clusters(t->entries[i].routes, add_name, names);
    }
}

/* Every cluster that what serves now names. */
static void all_names(const struct builder *b, struct map *names)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->active)
            route_config_clusters(r->active->route, add_name, names);
    }
    LIST_EACH(it, &b->store.lists[RESOURCE_LISTENER])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        const struct listener_parts *p = r->active ? r->active->listener : NULL;
        for (unsigned i = 0; p && i <= p->n_chains; i++) {
            const struct listener_chain *c = i < p->n_chains ? &p->chains[i] : p->default_chain;
            if (c && c->manager && c->manager->inline_routes)
                route_config_clusters(c->manager->inline_routes, add_name, names);
            if (c && c->manager && c->manager->scoped)
                scope_names(c->manager->scoped->table, names);
        }
    }
    LIST_EACH(it, &b->store.lists[RESOURCE_SCOPED_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (r->active && r->active->scope->routes)
            route_config_clusters(r->active->scope->routes, add_name, names);
    }
}

static void hold_named(struct hold *h)
{
    stat_inc(h->b->decode_stats, STAT_SLOT_CONFIG, STAT_HOLDS);
    start_timer(h, cluster_hold_expired);
}

static void review_clusters(struct builder *b)
{
    struct map names = MAP_INIT;
    struct bytes name;
    void *hold;
    all_names(b, &names);
    for (size_t it = 0; map_next(&b->held_clusters, &it, &name, &hold);) {
        struct hold *h = hold;
        if (!map_has(&names, name))
            remove_doomed(b, h);
        else if (!h->timer)
            hold_named(h);
    }
    map_fini(&names);
}

void builder_hold_review(struct builder *b)
{
    if (b->clusters_moved) {
        LIST_EACH(it, &b->held_routes)
        advance(b, LIST_ENTRY(it, struct hold, link)->r);
    }
    if (b->names_moved && map_count(&b->held_clusters) > 0)
        review_clusters(b);
    b->clusters_moved = b->names_moved = false;
}

void builder_hold_fini(struct builder *b)
{
    LIST_EACH(it, &b->held_routes)
    hold_free(LIST_ENTRY(it, struct hold, link));
    struct bytes name;
    void *hold;
    for (size_t it = 0; map_next(&b->held_clusters, &it, &name, &hold);)
        hold_free(hold);
    map_fini(&b->held_clusters);
}

/* ---- telling ---- */

struct telling {
    const struct builder *b;
    char *out;
    size_t size, n;
};

static bool tell_missing(void *arg, struct bytes cluster, const struct route_place *at)
{
    struct telling *t = arg;
    if (!is_there(t->b, cluster))
        t->n += (size_t)snprintf(t->out + t->n, t->size - t->n, "%scds %.*s", t->n ? ", " : "",
                                 BYTES_ARG(cluster));
    return t->n < t->size;
}

void builder_hold_describe(const struct builder *b, const struct resource *r, char *out,
                           size_t size)
{
    struct telling t = {b, out, size, 0};
    route_config_clusters(r->pending->route, tell_missing, &t);
}
