/* Clusters and their endpoints: new versions warm beside the one that serves. */
#include "base/memory.h"
#include "config/builder_private.h"
#include "config/socket_match.h"
#include "config/tls_stats.h"

static bool is_dns(const struct cluster *c)
{
    return c->type == CLUSTER_STRICT_DNS || c->type == CLUSTER_LOGICAL_DNS;
}

/* Of EDS clusters. */
static struct resource *endpoints_of(const struct resource_version *v)
{
    return v->deps[0].on;
}

/* The hosts that requests can reach now, for host states to be carried over. */
static const struct host_set *hosts_before(const struct resource *r)
{
    if (r->active && r->active->hosts)
        return r->active->hosts;
    return r->pending ? r->pending->hosts : NULL;
}

static void set_gauge(struct resource_version *v, unsigned id, uint32_t value)
{
    stat_set(v->state->stats, STAT_SLOT_CONFIG, id, value);
}

/* True: the hosts are not what they were. */
static bool count_membership(struct resource_version *v, const struct host_set *before)
{
    struct host_set_counts n = host_set_count(v->hosts);
    if (v->cluster->type == CLUSTER_STATIC && !before && n.total == 0)
        return false; /* as Envoy: nothing is written */
    set_gauge(v, STAT_MEMBERSHIP_TOTAL, n.total);
    set_gauge(v, STAT_MEMBERSHIP_HEALTHY, n.healthy);
    set_gauge(v, STAT_MEMBERSHIP_DEGRADED, n.degraded);
    set_gauge(v, STAT_MEMBERSHIP_EXCLUDED, n.excluded);
    if (v->cluster->type != CLUSTER_STATIC) /* as Envoy */
        set_gauge(v, STAT_MAX_HOST_WEIGHT, n.max_weight ? n.max_weight : 1);
    if (host_set_equal(before, v->hosts) || (!before && n.total == 0))
        return false;
    stat_add(v->state->stats, STAT_SLOT_CONFIG, STAT_MEMBERSHIP_CHANGE,
             host_set_moves(before, v->hosts));
    return true;
}

/* Envoy makes all hosts of an update anew and chooses a transport socket for each, though most of
 * them were there; here there is one to choose. */
static void count_matches(struct resource_version *v)
{
    if (v->hosts->n_hosts)
        stat_add(v->state->stats, STAT_SLOT_CONFIG, STAT_CLUSTER_TRANSPORT_MATCHES,
                 v->hosts->n_hosts);
}

/* An update that says what is there already. */
static void count_no_rebuild(struct resource_version *v)
{
    stat_inc(v->state->stats, STAT_SLOT_CONFIG, STAT_CLUSTER_UPDATE_NO_REBUILD);
    count_matches(v);
}

/* Takes over hs. An equal set is dropped: the node that is there stays. True: changed. */
static bool replace_hosts(struct builder *b, struct resource_version *v, struct host_set *hs)
{
    struct host_set *old = v->hosts;
    if (old && host_set_equal(old, hs)) {
        count_no_rebuild(v);
        NODE_UNREF(&hs);
        return false;
    }
    v->hosts = hs;
    if (v == v->resource->active) {
        count_matches(v);
        if (count_membership(v, old))
            stat_inc(b->cm_stats, STAT_SLOT_CONFIG, STAT_CM_CLUSTER_UPDATED);
        builder_mark_dirty(b, v->resource);
    }
    NODE_UNREF(&old);
    return true;
}

bool builder_cluster_warm(const struct resource_version *v)
{
    const struct cluster *c = v->cluster;
    for (unsigned i = 0; i < v->n_deps; i++) { /* endpoints and secrets */
        if (!v->deps[i].on->active && !v->deps[i].on->settled)
            return false;
    }
    if (c->type == CLUSTER_EDS)
        return true;
    /* One name with addresses is enough to serve; without any, the others may still bring some. */
    bool all = true;
    for (uint32_t i = 0; v->dns && i < c->n_dns_targets; i++) {
        if (v->dns[i].n_addresses)
            return true;
        all = all && v->dns[i].answered;
    }
    return all;
}

static void tls_fini(struct cluster_entry *e)
{
    for (unsigned i = 0; e->match_tls && i < e->cluster->n_socket_matches; i++)
        NODE_UNREF(&e->match_tls[i]);
    NODE_UNREF(&e->tls);
    stat_scope_unref(&e->tls_stats);
    stat_scope_unref(&e->ssl_stats);
}

static void entry_fini(struct node *n)
{
    struct cluster_entry *e = CONTAINER_OF(n, struct cluster_entry, node);
    struct cluster *c = (struct cluster *)e->cluster;
    struct host_set *hs = (struct host_set *)e->hosts;
    if (e->tls_stats) /* most have no TLS */
        tls_fini(e);
    NODE_UNREF(&c);
    NODE_UNREF(&hs);
    cluster_state_unref(&e->state);
}

static struct tls_node *context_of(const struct tls_socket *s)
{
    return s && s->node ? NODE_REF(s->node) : NULL;
}

static void take_contexts(struct cluster_entry *e, const struct resource_version *v)
{
    const struct cluster *c = v->cluster;
    struct stat_scope *own = v->state->stats;
    e->tls = context_of(c->tls);
    if (c->n_socket_matches)
        e->match_tls = ARENA_ARRAY(e->node.arena, struct tls_node *, c->n_socket_matches);
    for (unsigned i = 0; i <= c->n_socket_matches; i++) {
        const struct tls_socket *s = cluster_socket(c, i);
        if (i)
            e->match_tls[i - 1] = context_of(s);
        if (!s || e->tls_stats)
            continue;
        e->tls_stats = stat_scope_ref(s->stats);
        e->ssl_stats = stat_scope_get(own->store, bytes_of(own->prefix), &tls_stat_schema);
    }
}

struct cluster_entry *builder_cluster_entry(const struct resource_version *v)
{
    struct cluster_entry *e = node_new(NODE_CLUSTER_ENTRY, sizeof(*e), 0, entry_fini);
    e->cluster = NODE_REF(v->cluster);
    e->hosts = NODE_REF(v->hosts);
    cluster_state_ref(v->state);
    e->state = v->state;
    e->added_via_api = !v->resource->is_static;
    take_contexts(e, v);
    return e;
}

void builder_cluster_promote(struct builder *b, struct resource *r)
{
    struct resource_version *v = r->pending, *old = r->active;
    if (!v || !builder_cluster_warm(v))
        return;
    if (!v->hosts)
        v->hosts = host_set_empty();
    r->pending = NULL;
    r->active = v;
    b->n_warming[RESOURCE_CLUSTER]--;
    b->clusters_moved = true;
    set_gauge(v, STAT_CLUSTER_WARMING_STATE, 0);
    count_matches(v);
    count_membership(v, old ? old->hosts : NULL);
    builder_drop_version(b, &old);
    builder_mark_dirty(b, r);
}

/* ---- endpoints ---- */

static struct host_set *decode_hosts(struct builder *b, const struct resource_version *v,
                                     struct bytes wire, struct error *err)
{
    const struct host_set *before = hosts_before(v->resource);
    return host_set_decode(&b->ctx, v->cluster, wire, before ? before : v->hosts, err);
}

/* The assignment that the store has (rule M03): shared with the version that serves, when that one
 * uses the same, without decoding anything. */
static void take_known_endpoints(struct builder *b, struct resource *r, struct resource_version *v)
{
    struct resource *e = endpoints_of(v);
    struct error err = ERROR_INIT;
    if (!e->active)
        return;
    if (r->active && endpoints_of(r->active) == e && r->active->hosts &&
        socket_matches_equal(r->active->cluster, v->cluster)) {
        v->hosts = NODE_REF(r->active->hosts);
        return;
    }
    v->hosts = decode_hosts(b, v, e->active->wire, &err);
    error_fini(&err); /* it was accepted before; without hosts the cluster answers 503 */
}

struct hosts_for {
    struct resource_version *version;
    struct host_set *hosts;
};

/* Hosts for every cluster version that uses r; all or nothing. */
static struct hosts_for *decode_for_all(struct builder *b, struct resource *r, struct bytes wire,
                                        struct error *err)
{
    struct hosts_for *out = mem_zalloc((r->n_dependants + 1u) * sizeof(*out));
    unsigned n = 0;
    builder_count_decoded(b, RESOURCE_ENDPOINT);
    LIST_EACH(it, &r->dependants)
    {
        struct resource_version *v = LIST_ENTRY(it, struct dependency, link)->from;
        struct host_set *hs = decode_hosts(b, v, wire, err);
        if (hs) {
            out[n++] = (struct hosts_for){v, hs};
            continue;
        }
        while (n > 0)
            NODE_UNREF(&out[--n].hosts);
        mem_free(out);
        return NULL;
    }
    return out;
}

static bool endpoint_update(struct builder *b, struct resource *r, const struct incoming *in,
                            bool *unchanged, struct error *err)
{
    *unchanged = r->active && bytes_eq(r->active->wire, in->u->wire);
    if (*unchanged) {
        builder_keep_version(r->active, in);
        LIST_EACH(it, &r->dependants)
        {
            struct resource_version *v = LIST_ENTRY(it, struct dependency, link)->from;
            if (v == v->resource->active && v->hosts)
                count_no_rebuild(v);
        }
        return true;
    }
    struct hosts_for *all = decode_for_all(b, r, in->u->wire, err);
    if (!all)
        return false;
    struct resource_version *v = builder_version(b, r, in);
    resource_version_free(&r->active);
    r->active = v;
    for (unsigned i = 0; i < r->n_dependants; i++)
        replace_hosts(b, all[i].version, all[i].hosts);
    mem_free(all);
    return true;
}

bool builder_endpoint_update(struct builder *b, struct resource *r, const struct incoming *in,
                             bool *unchanged, struct error *err)
{
    bool ok = endpoint_update(b, r, in, unchanged, err);
    builder_subscription_answer(b, r, in, ok, *unchanged);
    return ok;
}

/* ---- names ---- */

static bool same_lookup(const struct cluster *a, uint32_t i, const struct cluster *b, uint32_t k)
{
    return bytes_eq_nocase(a->dns_targets[i].name, b->dns_targets[k].name) &&
           a->dns_family == b->dns_family;
}

static void set_addresses(struct dns_result *d, const struct address *addresses, unsigned n)
{
    mem_free(d->addresses);
    d->addresses = mem_alloc((n + 1u) * sizeof(d->addresses[0]));
    if (n)
        memcpy(d->addresses, addresses, n * sizeof(d->addresses[0]));
    d->n_addresses = n;
    d->answered = true;
}

/* Answers that an older version has for the same names are good for the new one at once. */
static void take_known_names(struct resource_version *v, const struct resource_version *old)
{
    const struct cluster *c = v->cluster;
    for (uint32_t i = 0; i < c->n_dns_targets; i++) {
        for (uint32_t k = 0; old && old->dns && k < old->cluster->n_dns_targets; k++) {
            const struct dns_result *d = &old->dns[k];
            if (!v->dns[i].answered && d->answered && same_lookup(c, i, old->cluster, k))
                set_addresses(&v->dns[i], d->addresses, d->n_addresses);
        }
    }
}

static bool any_answered(const struct resource_version *v)
{
    for (uint32_t i = 0; i < v->cluster->n_dns_targets; i++) {
        if (v->dns[i].answered)
            return true;
    }
    return false;
}

void builder_cluster_start_dns(struct builder *b, struct resource_version *v)
{
    if (!v || !v->dns || v->dns_generation || b->stage == INIT_IDLE)
        return;
    v->dns_generation = ++b->dns_generations;
    b->table.dns_start(b->table.ctx, v->cluster, v->dns_generation);
}

void builder_dns_update(struct builder *b, struct bytes cluster_name, uint64_t generation,
                        unsigned target, bool ok, const struct address *addresses, unsigned n)
{
    struct resource *r = store_find(&b->store, NULL, RESOURCE_CLUSTER, cluster_name);
    struct resource_version *v = r ? r->active : NULL;
    if (r && (!v || v->dns_generation != generation))
        v = r->pending;
    if (!v || v->dns_generation != generation || target >= v->cluster->n_dns_targets)
        return;
    struct stat_scope *stats = v->state->stats;
    stat_inc(stats, STAT_SLOT_CONFIG, STAT_CLUSTER_DNS_ATTEMPT);
    stat_inc(stats, STAT_SLOT_CONFIG, ok ? STAT_CLUSTER_DNS_SUCCESS : STAT_CLUSTER_DNS_FAILURE);
    if (ok)
        set_addresses(&v->dns[target], addresses, n);
    v->dns[target].answered = true;
    if (ok || !v->hosts)
        replace_hosts(b, v, host_set_from_dns(v->cluster, v->dns, hosts_before(r)));
    builder_cluster_promote(b, r);
    builder_init_advance(b);
    builder_count(b);
}

/* ---- clusters ---- */

static void take_state(struct builder *b, struct resource *r, struct resource_version *v)
{
    const struct resource_version *from[] = {r->active, r->pending};
    for (unsigned i = 0; i < ARRAY_SIZE(from) && !v->state; i++) {
        if (!from[i] || !bytes_eq(from[i]->cluster->stat_name, v->cluster->stat_name))
            continue;
        cluster_state_ref(from[i]->state);
        v->state = from[i]->state;
    }
    if (!v->state)
        v->state = cluster_state_new(b->options.stats, v->cluster->stat_name);
    cluster_state_track(v->state, v->cluster->stat_name, v->cluster->breakers);
}

/* The same bytes, made of the same secrets: the context that is there. Without secrets it may be
 * made of files, which nobody watches: they are read again, as by Envoy. */
static void take_context(const struct resource *r, struct tls_socket *s)
{
    const struct resource_version *old = r->pending ? r->pending : r->active;
    const struct cluster *c = old ? old->cluster : NULL;
    if (builder_tls_secrets(s) == 0)
        return;
    for (unsigned i = 0; c && i <= c->n_socket_matches && !s->node; i++) {
        const struct tls_socket *from = cluster_socket(c, i);
        if (from && from->node && !from->live && bytes_eq(from->wire, s->wire))
            s->node = NODE_REF(from->node);
    }
}

static bool take_tls(struct builder *b, struct resource *r, struct resource_version *v,
                     struct error *err)
{
    struct strbuf prefix = STRBUF_INIT;
    bool ok = true;
    for (unsigned i = 0; i <= v->cluster->n_socket_matches && ok; i++) {
        struct tls_socket *s = (struct tls_socket *)cluster_socket(v->cluster, i);
        if (!s)
            continue;
        if (prefix.len == 0)
            strbuf_printf(&prefix, "%s.client_ssl_socket_factory", v->state->stats->prefix);
        take_context(r, s);
        ok = builder_tls_prepare(b, s, strbuf_bytes(&prefix), err);
        if (!ok && i)
            error_prefix(err, "transport_socket_matches[%u].transport_socket: ", i - 1);
        else if (!ok)
            error_prefix(err, "transport_socket: ");
    }
    strbuf_fini(&prefix);
    return ok;
}

/* Endpoints come first (endpoints_of()). */
static void make_room(struct resource_version *v)
{
    unsigned n = 0;
    for (unsigned i = 0; i <= v->cluster->n_socket_matches; i++)
        n += builder_tls_secrets(cluster_socket(v->cluster, i));
    v->deps = n ? mem_zalloc((n + 1u) * sizeof(v->deps[0])) : &v->cluster_dep;
}

static void take_hosts(struct builder *b, struct resource *r, struct resource_version *v)
{
    const struct cluster *c = v->cluster;
    make_room(v);
    if (c->type == CLUSTER_EDS) {
        stat_add(v->state->stats, STAT_SLOT_CONFIG, STAT_CLUSTER_SUBSCRIBES, 0);
        builder_depend(b, v, c->eds_source, RESOURCE_ENDPOINT, c->eds_service_name);
        take_known_endpoints(b, r, v);
    } else if (is_dns(c)) {
        v->dns = mem_zalloc((c->n_dns_targets + 1u) * sizeof(v->dns[0]));
        take_known_names(v, r->active);
        take_known_names(v, r->pending);
        if (any_answered(v))
            v->hosts = host_set_from_dns(c, v->dns, hosts_before(r));
        builder_cluster_start_dns(b, v);
    } else {
        v->hosts = host_set_attach(c->inline_hosts, hosts_before(r));
    }
    for (unsigned i = 0; i <= c->n_socket_matches; i++)
        builder_depend_on_secrets(b, v, cluster_socket(c, i));
}

static void drop_pending(struct builder *b, struct resource *r)
{
    if (!r->pending)
        return;
    b->n_warming[RESOURCE_CLUSTER]--;
    set_gauge(r->pending, STAT_CLUSTER_WARMING_STATE, 0);
    builder_drop_version(b, &r->pending);
}

bool builder_cluster_update(struct builder *b, struct resource *r, const struct incoming *in,
                            bool *unchanged, struct error *err)
{
    struct resource_version *newest = r->pending ? r->pending : r->active;
    if (newest && bytes_eq(newest->wire, in->u->wire)) {
        builder_keep_version(newest, in);
        *unchanged = true;
        return true;
    }
    if (r->active && bytes_eq(r->active->wire, in->u->wire)) {
        drop_pending(b, r); /* back to what serves */
        builder_keep_version(r->active, in);
        *unchanged = true;
        return true;
    }
    builder_count_decoded(b, RESOURCE_CLUSTER);
    struct cluster *c = cluster_decode(&b->ctx, in->u->wire, err);
    if (!c)
        return false;
    if (!bytes_eq(c->name, r->name)) {
        error_set(err, "the resource is named '%.*s'", BYTES_ARG(c->name));
        NODE_UNREF(&c);
        return false;
    }
    struct resource_version *v = builder_version(b, r, in);
    v->cluster = c;
    take_state(b, r, v);
    if (!take_tls(b, r, v, err)) {
        resource_version_free(&v);
        return false;
    }
    take_hosts(b, r, v);
    stat_inc(b->cm_stats, STAT_SLOT_CONFIG,
             newest ? STAT_CM_CLUSTER_MODIFIED : STAT_CM_CLUSTER_ADDED);
    drop_pending(b, r);
    r->pending = v;
    b->n_warming[RESOURCE_CLUSTER]++;
    set_gauge(v, STAT_CLUSTER_WARMING_STATE, 1);
    builder_cluster_promote(b, r);
    return true;
}

void builder_cluster_remove(struct builder *b, struct resource *r)
{
    if (r->active || r->pending)
        stat_inc(b->cm_stats, STAT_SLOT_CONFIG, STAT_CM_CLUSTER_REMOVED);
    drop_pending(b, r);
    builder_drop_version(b, &r->active);
    if (pmap_remove(&b->clusters, r->name))
        b->changed = true;
}
