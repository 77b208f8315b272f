/* Listeners and route configurations. A listener waits for the routes that its managers name; a new
 * version of routes goes to every listener that uses it at the next commit. */
#include "base/memory.h"
#include "config/builder_private.h"
#include "config/tls_stats.h"
#include "config/wire.h"
#include "config/xdstp.h"
#include "config/route.h"
#include "config/scoped_routes.h"

static const struct listener_chain *chain_at(const struct listener_parts *p, unsigned i)
{
    return i < p->n_chains ? &p->chains[i] : p->default_chain;
}

static unsigned n_all_chains(const struct listener_parts *p)
{
    return p->n_chains + (p->default_chain != NULL);
}

/* ---- addresses ---- */

static bool shares_address(const struct listener *a, const struct listener *b,
                           const struct address **which)
{
    for (unsigned i = 0; i < a->n_addresses; i++) {
        const struct address *x = &a->addresses[i].address;
        for (unsigned k = 0; k < b->n_addresses; k++) {
            if (x->kind != ADDRESS_PIPE && x->port == 0)
                continue;
            if (address_eq(x, &b->addresses[k].address)) {
                *which = x;
                return true;
            }
        }
    }
    return false;
}

static bool check_duplicate(struct builder *b, const struct resource *self,
                            const struct listener *l, struct error *err)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_LISTENER])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        const struct resource_version *versions[] = {r->active, r->pending};
        for (unsigned i = 0; r != self && i < ARRAY_SIZE(versions); i++) {
            const struct address *same;
            char text[ADDRESS_TEXT_MAX];
            if (versions[i] && shares_address(l, versions[i]->listener->listener, &same))
                return error_set(
                    err,
                    "error adding listener: '%.*s' has duplicate address '%s' as existing "
                    "listener, to check if the listener has duplicated addresses with other "
                    "listeners or 'enable_reuse_port' is set to 'false' for the listener",
                    BYTES_ARG(l->name), address_format(same, text));
        }
    }
    return true;
}

static bool keeps_reuse_port(const struct listener *now, const struct listener_parts *before,
                             struct error *err)
{
    return !before || before->listener->enable_reuse_port == now->enable_reuse_port ||
           error_set(err, "Listener %.*s: reuse port cannot be changed during an update",
                     BYTES_ARG(now->name));
}

static bool bind_version(struct builder *b, struct resource_version *v, struct error *err)
{
    const struct listener *l = v->listener->listener;
    if (!l->bind_to_port)
        return true;
    v->bound = b->table.bind(b->table.ctx, l, err);
    return v->bound || error_set(err, "cannot bind its addresses");
}

void builder_release_later(struct builder *b, struct resource_version *v)
{
    if (!v->bound)
        return;
    v->bound = false;
    GROW(b->releases, b->cap_releases, b->n_releases + 1);
    b->releases[b->n_releases++] = NODE_REF(v->listener->listener);
}

/* ---- entries ---- */

static void binding_fini(struct node *n)
{
    struct chain_binding *x = CONTAINER_OF(n, struct chain_binding, node);
    struct filter_chain *c = (struct filter_chain *)x->chain;
    NODE_UNREF(&c);
    NODE_UNREF(&x->manager);
    NODE_UNREF(&x->routes);
    NODE_UNREF(&x->scopes);
    if (x->tls)
        NODE_UNREF(&x->tls);
    stat_scope_unref(&x->listener_http_stats);
}

static void entry_fini(struct node *n)
{
    struct listener_entry *e = CONTAINER_OF(n, struct listener_entry, node);
    struct listener *l = (struct listener *)e->listener;
    for (unsigned i = 0; i < e->n_chains; i++)
        NODE_UNREF(&e->chains[i]);
    NODE_UNREF(&e->default_chain);
    NODE_UNREF(&l);
    stat_scope_unref(&e->stats);
    if (e->tls_stats) {
        stat_scope_unref(&e->tls_stats);
        stat_scope_unref(&e->ssl_stats);
    }
}

/* Routes of a manager now: its own, or what its source has delivered. */
static struct route_config *routes_of(struct builder *b, const struct http_manager *m)
{
    if (!m || m->scoped)
        return NULL;
    if (m->inline_routes)
        return m->inline_routes;
    const struct resource *r = store_find(&b->store, &m->rds_source, RESOURCE_ROUTE, m->rds_name);
    return r && r->active ? r->active->route : NULL;
}

static struct tls_node *context_of(const struct listener_chain *c)
{
    return c->chain->tls ? c->chain->tls->node : NULL;
}

enum { FIELD_CHAIN_METADATA = 5 };

static struct chain_binding *find_binding(const struct listener_entry *e, const struct listener *l,
                                          const struct listener_chain *c,
                                          const struct http_manager *manager,
                                          const struct route_config *routes,
                                          const struct scope_table *scopes)
{
    for (unsigned i = 0; e && i <= e->n_chains; i++) {
        struct chain_binding *x = i < e->n_chains ? e->chains[i] : e->default_chain;
        if (x && x->chain == c->chain && x->manager == manager && x->routes == routes &&
            x->scopes == scopes && x->tls == context_of(c) &&
            bytes_eq(x->listener_metadata, l->metadata) &&
            bytes_eq(x->chain_metadata, wire_find_bytes(c->wire, FIELD_CHAIN_METADATA)))
            return x;
    }
    return NULL;
}

static struct chain_binding *make_binding(struct builder *b, const struct listener_entry *e,
                                          const struct listener_entry *old,
                                          const struct listener_chain *c)
{
    struct route_config *routes = routes_of(b, c->manager);
    struct scope_table *scopes =
        c->manager && c->manager->scoped ? builder_scope_table(b, c->manager->scoped) : NULL;
    struct http_manager *manager = builder_manager_now(b, old, c);
    /* equal parts of a listener whose address changed still count elsewhere */
    struct chain_binding *x = old && old->stats == e->stats
                                  ? find_binding(old, e->listener, c, manager, routes, scopes)
                                  : NULL;
    if (x) {
        NODE_UNREF(&manager);
        return NODE_REF(x);
    }
    struct bytes name = e->listener->name, metadata = e->listener->metadata;
    struct bytes of_chain = wire_find_bytes(c->wire, FIELD_CHAIN_METADATA);
    size_t more = node_pins_size() + name.len + metadata.len + of_chain.len + 3;
    x = node_new(NODE_BINDING, sizeof(*x), more, binding_fini);
    node_make_pinnable(&x->node);
    x->listener_name = arena_dup(x->node.arena, name);
    x->listener_metadata = arena_dup(x->node.arena, metadata);
    x->chain_metadata = arena_dup(x->node.arena, of_chain);
    x->chain = NODE_REF(c->chain);
    x->manager = manager;
    x->routes = routes ? NODE_REF(routes) : NULL;
    x->scopes = scopes ? NODE_REF(scopes) : NULL;
    x->tls = context_of(c) ? NODE_REF(context_of(c)) : NULL;
    if (c->manager) {
        struct strbuf s = STRBUF_INIT;
        strbuf_printf(&s, "%s.http.%.*s", e->stats->prefix, BYTES_ARG(c->manager->stat_prefix));
        x->listener_http_stats =
            stat_scope_get(b->options.stats, strbuf_bytes(&s), &listener_http_stat_schema);
        stat_add(c->manager->stats, STAT_SLOT_CONFIG, STAT_HTTP_CONFIGURED, 0);
        strbuf_fini(&s);
    }
    return x;
}

static struct stat_scope *listener_scope(struct builder *b, const struct listener *l)
{
    char text[ADDRESS_TEXT_MAX];
    struct arena *a = arena_new(0);
    struct bytes name = l->stat_prefix;
    if (name.len == 0)
        name = bytes_of(address_format(&l->addresses[0].address, text));
    name = stat_name_of(a, name);
    struct bytes prefix = bytes_of(arena_printf(a, "listener.%.*s", BYTES_ARG(name)));
    struct stat_scope *s = stat_scope_get(b->options.stats, prefix, &listener_stat_schema);
    stat_add(s, STAT_SLOT_CONFIG, STAT_LISTENER_CONFIGURED, 0);
    arena_free(&a);
    return s;
}

struct listener_entry *builder_listener_entry(struct builder *b, const struct resource_version *v,
                                              const struct listener_entry *old)
{
    const struct listener_parts *p = v->listener;
    struct listener_entry *e = node_new(NODE_LISTENER, sizeof(*e), 0, entry_fini);
    e->listener = NODE_REF(p->listener);
    e->stats = listener_scope(b, p->listener);
    e->chains = ARENA_ARRAY(e->node.arena, struct chain_binding *, p->n_chains + 1);
    for (unsigned i = 0; i < p->n_chains; i++)
        e->chains[e->n_chains++] = make_binding(b, e, old, &p->chains[i]);
    if (p->default_chain)
        e->default_chain = make_binding(b, e, old, p->default_chain);
    for (unsigned i = 0; i < n_all_chains(p) && !e->tls_stats; i++) {
        const struct tls_socket *s = chain_at(p, i)->chain->tls;
        e->tls_stats = s ? stat_scope_ref(s->stats) : NULL;
    }
    if (e->tls_stats)
        e->ssl_stats =
            stat_scope_get(b->options.stats, bytes_of(e->stats->prefix), &tls_stat_schema);
    return e;
}

/* ---- listeners ---- */

bool builder_awaits(const struct resource_version *v, const struct resource *on)
{
    if (on->stands_for_all)
        return !builder_scopes_warm(on);
    return !on->active && !on->settled &&
           (on->type != RESOURCE_EXTENSION || builder_extension_awaited(v, on));
}

bool builder_listener_warm(const struct resource_version *v)
{
    for (unsigned i = 0; i < v->n_deps; i++) {
        if (builder_awaits(v, v->deps[i].on))
            return false;
    }
    return true;
}

void builder_listener_promote(struct builder *b, struct resource *r)
{
    struct resource_version *v = r->pending, *old = r->active;
    if (!v || !builder_listener_warm(v))
        return;
    if (old && bytes_eq(old->listener->wire_rest, v->listener->wire_rest))
        stat_inc(b->lm_stats, STAT_SLOT_CONFIG, STAT_LM_LISTENER_IN_PLACE_UPDATED);
    r->pending = NULL;
    r->active = v;
    b->n_warming[RESOURCE_LISTENER]--;
    if (v->bound && b->table.listen)
        b->table.listen(b->table.ctx, v->listener->listener);
    builder_drop_version(b, &old);
    builder_mark_dirty(b, r);
}

/* Contexts of all chains whose secrets are there. */
static bool prepare_tls(struct builder *b, struct resource_version *v, struct error *err)
{
    const struct listener_parts *p = v->listener;
    struct strbuf prefix = STRBUF_INIT;
    bool ok = true;
    for (unsigned i = 0; i < n_all_chains(p) && ok; i++) {
        struct tls_socket *s = (struct tls_socket *)chain_at(p, i)->chain->tls;
        if (!s)
            continue;
        if (prefix.len == 0) {
            struct stat_scope *stats = listener_scope(b, p->listener);
            strbuf_printf(&prefix, "%s.server_ssl_socket_factory", stats->prefix);
            stat_scope_unref(&stats);
        }
        ok = builder_tls_prepare(b, s, strbuf_bytes(&prefix), err);
        if (!ok && i < p->n_chains)
            error_prefix(err, "filter_chains[%u]: transport_socket: ", i);
        else if (!ok)
            error_prefix(err, "default_filter_chain: transport_socket: ");
    }
    strbuf_fini(&prefix);
    return ok;
}

/* Routes, secrets and filters. */
static void depend_on_parts(struct builder *b, struct resource_version *v)
{
    const struct listener_parts *p = v->listener;
    unsigned n = n_all_chains(p), n_secrets = 0;
    for (unsigned i = 0; i < n; i++)
        n_secrets += builder_tls_secrets(chain_at(p, i)->chain->tls);
    v->deps = mem_zalloc((n + n_secrets + builder_extensions(v) + 1u) * sizeof(v->deps[0]));
    builder_depend_on_extensions(b, v);
    for (unsigned i = 0; i < n; i++) {
        const struct http_manager *m = chain_at(p, i)->manager;
        builder_depend_on_secrets(b, v, chain_at(p, i)->chain->tls);
        if (m && m->scoped && !m->scoped->table)
            builder_depend_on_scopes(b, v, m);
        if (!m || m->rds_name.len == 0)
            continue;
        builder_depend(b, v, &m->rds_source, RESOURCE_ROUTE, m->rds_name);
        builder_route_scope(b, v->deps[v->n_deps - 1].on, m->stat_prefix);
    }
}

static void drop_pending(struct builder *b, struct resource *r)
{
    if (!r->pending)
        return;
    b->n_warming[RESOURCE_LISTENER]--;
    builder_drop_version(b, &r->pending);
}

static bool same_bytes(struct builder *b, struct resource *r, const struct incoming *in)
{
    struct resource_version *newest = r->pending ? r->pending : r->active;
    bool same = newest && bytes_eq(newest->wire, in->u->wire);
    if (!same && r->active && bytes_eq(r->active->wire, in->u->wire)) {
        drop_pending(b, r); /* back to what serves */
        newest = r->active;
        same = true;
    }
    if (same)
        builder_keep_version(newest, in);
    return same;
}

bool builder_listener_update(struct builder *b, struct resource *r, const struct incoming *in,
                             bool *unchanged, struct error *err)
{
    struct resource_version *newest = r->pending ? r->pending : r->active;
    const struct resource_version *like = r->active ? r->active : r->pending;
    *unchanged = same_bytes(b, r, in);
    if (*unchanged)
        return true;
    builder_count_decoded(b, RESOURCE_LISTENER);
    struct resource_version *v = builder_version(b, r, in);
    b->ctx.default_name = r->name;
    v->listener = listener_decode(&b->ctx, v->wire, like ? like->listener : NULL, err);
    bool ok = v->listener != NULL;
    if (ok && !bytes_eq(v->listener->listener->name, r->name))
        ok = error_set(err, "the resource is named '%.*s'", BYTES_ARG(v->listener->listener->name));
    ok = ok && keeps_reuse_port(v->listener->listener, like ? like->listener : NULL, err) &&
         prepare_tls(b, v, err) && check_duplicate(b, r, v->listener->listener, err) &&
         bind_version(b, v, err);
    if (!ok) {
        resource_version_free(&v);
        return false;
    }
    stat_inc(b->lm_stats, STAT_SLOT_CONFIG,
             newest ? STAT_LM_LISTENER_MODIFIED : STAT_LM_LISTENER_ADDED);
    depend_on_parts(b, v);
    drop_pending(b, r);
    r->pending = v;
    b->n_warming[RESOURCE_LISTENER]++;
    builder_listener_promote(b, r);
    return true;
}

void builder_listener_remove(struct builder *b, struct resource *r)
{
    if (r->active || r->pending)
        stat_inc(b->lm_stats, STAT_SLOT_CONFIG, STAT_LM_LISTENER_REMOVED);
    drop_pending(b, r);
    builder_drop_version(b, &r->active);
    b->names_moved = true;
    if (pmap_remove(&b->listeners, r->name)) {
        b->going_listeners++;
        b->changed = true;
    }
}

/* ---- routes ---- */

struct known {
    struct builder *b;
    struct error *err;
};

static bool check_cluster(void *arg, struct bytes name, const struct route_place *at)
{
    struct known *k = arg;
    return k->b->ctx.cluster_known(k->b, name) || route_cluster_unknown(name, at, k->err);
}

/* Rule M10: unknown clusters are fine unless validate_clusters says otherwise. */
static bool check_clusters(struct builder *b, const struct route_config *rc, struct error *err)
{
    struct known k = {b, err};
    if (rc->validate_clusters_set && rc->validate_clusters)
        route_config_clusters(rc, check_cluster, &k);
    return !error_is_set(err);
}

static bool check_part(void *arg, const char *message, struct bytes wire, struct error *err)
{
    struct builder *b = arg;
    return decode_check(&b->ctx, message, wire, err);
}

struct route_config *builder_routes_decode(struct builder *b, struct bytes wire,
                                           const struct route_config *previous, struct error *err)
{
    struct arena *scratch = arena_new(0);
    struct filter_context fctx = {.arena = scratch,
                                  .stats = b->options.stats,
                                  .self = b->ctx.self,
                                  .owner = b,
                                  .decode = &b->ctx};
    struct route_decode_context rctx = {.filters = &fctx,
                                        .registry = b->options.filters,
                                        .descriptors = b->options.descriptors,
                                        .check = check_part,
                                        .check_arg = b,
                                        .runtime = b->ctx.runtime};
    struct route_config *rc = route_config_decode(&rctx, wire, previous, err);
    stat_add(b->decode_stats, STAT_SLOT_CONFIG, STAT_DECODED_VIRTUAL_HOST,
             (int64_t)rctx.vhosts_decoded);
    stat_add(b->decode_stats, STAT_SLOT_CONFIG, STAT_DECODED_ROUTE, (int64_t)rctx.routes_decoded);
    arena_free(&scratch);
    if (rc && !check_clusters(b, rc, err))
        NODE_UNREF(&rc);
    return rc;
}

void builder_route_activate(struct builder *b, struct resource *r, struct resource_version *v)
{
    struct resource_version *old = r->active;
    node_make_pinnable(&v->route->node);
    r->active = v;
    b->vhosts_moved |= old && old->route->vhds;
    resource_version_free(&old);
    builder_mark_dirty(b, r);
    builder_scopes_touch(b, r);
    LIST_EACH(it, &r->dependants)
    {
        struct resource_version *user = LIST_ENTRY(it, struct dependency, link)->from;
        if (user == user->resource->active && user->resource->type == RESOURCE_LISTENER)
            builder_mark_dirty(b, user->resource);
    }
}

/* The configuration may write the parameters of its name in another order. */
static bool is_named(const struct route_config *rc, struct bytes name)
{
    return bytes_eq(rc->name, name) || bytes_eq(xdstp_canonical(rc->node.arena, rc->name), name);
}

static bool route_update(struct builder *b, struct resource *r, const struct incoming *in,
                         bool *unchanged, struct error *err)
{
    struct resource_version *newest = r->pending ? r->pending : r->active;
    *unchanged = newest && bytes_eq(builder_route_own(newest), in->u->wire);
    if (*unchanged) {
        builder_keep_version(newest, in);
        return true;
    }
    struct resource_version *v = builder_version(b, r, in), *old = r->active;
    builder_count_decoded(b, RESOURCE_ROUTE);
    v->route = builder_routes_decode(b, v->wire, old ? old->route : NULL, err);
    if (v->route && !is_named(v->route, r->name)) {
        error_set(err, "Unexpected RDS configuration (expecting %.*s): %.*s", BYTES_ARG(r->name),
                  BYTES_ARG(v->route->name));
        NODE_UNREF(&v->route);
    }
    if (v->route && v->route->vhds)
        v = builder_route_compose(b, v, err);
    if (!v || !v->route) {
        resource_version_free(&v);
        return false;
    }
    builder_hold_routes(b, r, v);
    return true;
}

bool builder_route_update(struct builder *b, struct resource *r, const struct incoming *in,
                          bool *unchanged, struct error *err)
{
    bool ok = route_update(b, r, in, unchanged, err);
    builder_subscription_answer(b, r, in, ok, *unchanged);
    return ok;
}
