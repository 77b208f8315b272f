/* Virtual hosts that come apart from their route configuration (VHDS, rule O08): "routes/a.test" is
 * one of the configuration "routes". What has come is put behind the virtual hosts of its own, and
 * the whole is decoded like any other version: equal parts keep their nodes, the rules of domains
 * and names hold for all, and what newly names a cluster is held as ever. */
#include "base/memory.h"
#include "config/builder_private.h"
#include "config/route.h"
#include "config/wire.h"

enum { CONFIG_VIRTUAL_HOSTS = 2, VIRTUAL_HOST_NAME = 1 };

struct bytes builder_route_own(const struct resource_version *v)
{
    return v->own ? bytes_first(v->wire, v->own) : v->wire;
}

static bool belongs(const struct resource *vhost, const struct route_config *rc)
{
    return rc->vhds && vhost->name.len > rc->name.len && vhost->name.data[rc->name.len] == '/' &&
           bytes_starts_with(vhost->name, rc->name) &&
           bytes_eq(vhost->source->source.key, rc->vhds->key);
}

bool builder_vhost_belongs(const struct builder *b, const struct resource *vhost)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_ROUTE])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        const struct resource_version *versions[] = {r->active, r->pending};
        for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
            if (versions[i] && belongs(vhost, versions[i]->route))
                return true;
        }
    }
    return false;
}

/* A virtual host that is about to change. */
struct change {
    const struct resource *vhost; /* NULL: none */
    struct bytes wire;            /* data NULL: it goes */
};

/* One that came by several names is there once. */
static void add_vhosts(const struct builder *b, const struct route_config *rc,
                       const struct change *change, struct strbuf *out)
{
    struct map names = MAP_INIT;
    LIST_EACH(it, &b->store.lists[RESOURCE_VIRTUAL_HOST])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        struct bytes wire = r == change->vhost ? change->wire
                            : r->active        ? r->active->wire
                                               : BYTES_NONE;
        struct bytes name = wire_find_bytes(wire, VIRTUAL_HOST_NAME);
        if (wire.data && belongs(r, rc) && !map_set(&names, name.data ? name : BYTES(""), out))
            wire_put_bytes(out, CONFIG_VIRTUAL_HOSTS, wire);
    }
    map_fini(&names);
}

static struct resource_version *compose(struct builder *b, const struct resource_version *from,
                                        const struct change *change, struct error *err)
{
    struct resource *r = from->resource;
    struct bytes own = builder_route_own(from);
    struct strbuf wire = STRBUF_INIT;
    strbuf_add_bytes(&wire, own);
    add_vhosts(b, from->route, change, &wire);
    struct resource_version *v =
        resource_version_new(r, strbuf_bytes(&wire), bytes_of(from->type_url),
                             bytes_of(from->version->text), from->received_wall_ns);
    v->own = own.len;
    v->route = builder_routes_decode(b, v->wire, r->active ? r->active->route : from->route, err);
    strbuf_fini(&wire);
    if (!v->route)
        resource_version_free(&v);
    return v;
}

struct resource_version *builder_route_compose(struct builder *b, struct resource_version *v,
                                               struct error *err)
{
    static const struct change none;
    struct resource_version *whole = compose(b, v, &none, err);
    resource_version_free(&v);
    return whole;
}

/* ---- updates ---- */

static bool same_bytes(const struct resource *r, struct bytes wire)
{
    const struct resource_version *v = r->pending ? r->pending : r->active;
    return v && bytes_eq(v->wire, wire);
}

static struct resource_version *newest(const struct resource *r)
{
    return r->pending ? r->pending : r->active;
}

/* Route configurations of one name may come from several sources: all take it, or none. */
static bool try_all(struct builder *b, const struct change *change, struct error *err)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_ROUTE])
    {
        struct resource_version *now = newest(LIST_ENTRY(it, struct resource, link));
        struct resource_version *v;
        if (!now || !belongs(change->vhost, now->route))
            continue;
        if (!(v = compose(b, now, change, err)))
            return false;
        resource_version_free(&v);
    }
    return true;
}

static void use_all(struct builder *b, const struct change *change)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_ROUTE])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        struct resource_version *now = newest(r), *v;
        struct error err = ERROR_INIT;
        if (now && belongs(change->vhost, now->route) && (v = compose(b, now, change, &err))) {
            if (same_bytes(r, v->wire))
                resource_version_free(&v);
            else
                builder_hold_routes(b, r, v);
        }
        error_fini(&err);
    }
}

static bool vhost_update(struct builder *b, struct resource *r, const struct incoming *in,
                         bool *unchanged, struct error *err)
{
    struct change change = {r, in->u->wire};
    *unchanged = r->active && bytes_eq(r->active->wire, in->u->wire);
    if (*unchanged) {
        builder_keep_version(r->active, in);
        return true;
    }
    builder_count_decoded(b, RESOURCE_VIRTUAL_HOST);
    if (!decode_check(&b->ctx, resource_type_name(RESOURCE_VIRTUAL_HOST), in->u->wire, err) ||
        !try_all(b, &change, err))
        return false;
    use_all(b, &change);
    resource_version_free(&r->active);
    r->active = builder_version(b, r, in);
    return true;
}

bool builder_vhost_update(struct builder *b, struct resource *r, const struct incoming *in,
                          bool *unchanged, struct error *err)
{
    bool ok = vhost_update(b, r, in, unchanged, err);
    builder_subscription_answer(b, r, in, ok, *unchanged);
    return ok;
}

/* "http.ingress.rds.routes" has "http.ingress.rds.vhds.routes". */
void builder_vhost_scope(struct builder *b, struct resource *r)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_ROUTE])
    {
        const struct resource *routes = LIST_ENTRY(it, struct resource, link);
        const struct resource_version *now = newest(routes);
        struct bytes prefix = routes->stats ? bytes_of(routes->stats->prefix) : BYTES_NONE;
        struct strbuf own = STRBUF_INIT;
        if (r->stats || !now || !prefix.data || !belongs(r, now->route))
            continue;
        size_t head = prefix.len - now->route->name.len; /* a scope's name is as long */
        strbuf_add_bytes(&own, bytes_first(prefix, head));
        strbuf_add_str(&own, "vhds.");
        strbuf_add_bytes(&own, bytes_skip(prefix, head));
        r->stats = stat_scope_get(b->options.stats, strbuf_bytes(&own), &vhds_stat_schema);
        strbuf_fini(&own);
    }
}

void builder_vhost_remove(struct builder *b, struct resource *r)
{
    struct change change = {r, BYTES_NONE};
    if (!r->active)
        return;
    use_all(b, &change);
    resource_version_free(&r->active);
}
