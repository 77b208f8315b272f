/* Host sets: from a ClusterLoadAssignment, from a cluster's inline hosts, or from DNS answers. A
 * new set takes over the state of the hosts that its predecessor had at the same addresses, by the
 * same name and in the same locality. */
#include "base/memory.h"
#include "config/decode.h"
#include "config/decode_util.h"
#include "config/host_set_build.h"
#include "config/metadata.h"

/* Open addressing over host positions + 1. */
struct address_index {
    uint32_t *slots;
    size_t mask;
};

static void index_init(struct address_index *x, size_t n)
{
    size_t size = 16;
    while (size < n * 2)
        size *= 2;
    x->slots = mem_zalloc(size * sizeof(x->slots[0]));
    x->mask = size - 1;
}

/* The slot of that address, or the free one where it belongs. */
static uint32_t *index_slot(const struct address_index *x, const struct host *hosts,
                            const struct address *a)
{
    size_t at = (size_t)address_hash(a) & x->mask;
    while (x->slots[at] && !address_eq(&hosts[x->slots[at] - 1].address, a))
        at = (at + 1) & x->mask;
    return &x->slots[at];
}

void host_set_drop_duplicates(struct host_set *hs)
{
    struct address_index x;
    uint32_t kept = 0;
    index_init(&x, hs->n_hosts);
    for (uint32_t i = 0; i < hs->n_hosts; i++) {
        uint32_t *slot = index_slot(&x, hs->hosts, &hs->hosts[i].address);
        if (*slot)
            continue;
        hs->hosts[kept++] = hs->hosts[i];
        *slot = kept;
    }
    hs->n_hosts = kept;
    mem_free(x.slots);
}

static void make_states(struct host_set *hs, unsigned n)
{
    struct host_state *fresh = NULL;
    unsigned left = 0;
    for (uint32_t i = 0; n > 0; i++) {
        if (hs->hosts[i].state)
            continue;
        if (left == 0) {
            left = n < HOST_STATES_MAX ? n : HOST_STATES_MAX;
            fresh = host_states_new(left);
        }
        hs->hosts[i].state = fresh++;
        left--;
        n--;
    }
}

static bool same_locality(const struct host_set *a, const struct host *x, const struct host_set *b,
                          const struct host *y)
{
    static const struct locality nowhere;
    const struct locality *p =
        x->locality < a->n_localities ? &a->localities[x->locality] : &nowhere;
    const struct locality *q =
        y->locality < b->n_localities ? &b->localities[y->locality] : &nowhere;
    return p == q || (bytes_eq(p->region, q->region) && bytes_eq(p->zone, q->zone) &&
                      bytes_eq(p->sub_zone, q->sub_zone));
}

static bool same_others(const struct host *a, const struct host *b)
{
    unsigned n, n_b;
    const struct address *x = host_others(a, &n), *y = host_others(b, &n_b);
    if (n != n_b)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (!address_eq(&x[i], &y[i]))
            return false;
    }
    return true;
}

/* Hosts at one address: one that has another name, other addresses besides or stands elsewhere is
 * another host, with connections of its own, as it is for Envoy. */
static bool same_host(const struct host_set *a, const struct host *x, const struct host_set *b,
                      const struct host *y)
{
    return bytes_eq(host_name(x), host_name(y)) && same_others(x, y) && same_locality(a, x, b, y);
}

static void attach_states(struct host_set *hs, const struct host_set *previous)
{
    struct address_index x = {NULL, 0};
    unsigned missing = 0;
    if (previous) {
        index_init(&x, previous->n_hosts);
        for (uint32_t i = 0; i < previous->n_hosts; i++)
            *index_slot(&x, previous->hosts, &previous->hosts[i].address) = i + 1;
    }
    for (uint32_t i = 0; i < hs->n_hosts; i++) {
        struct host *h = &hs->hosts[i];
        uint32_t *slot = previous ? index_slot(&x, previous->hosts, &h->address) : NULL;
        const struct host *old = slot && *slot ? &previous->hosts[*slot - 1] : NULL;
        h->state = old && same_host(previous, old, hs, h) ? old->state : NULL;
        if (h->state)
            host_state_ref(h->state);
        else
            missing++;
    }
    mem_free(x.slots);
    make_states(hs, missing);
}

enum { NOT_SERVING = HEALTH_FAILED_EDS | HEALTH_DRAINING };

/* Stable, and nothing to do for nearly every resource. */
static void sort_by_priority(struct host_set *hs, const uint32_t counts[256])
{
    uint32_t at[256], sum = 0, i = 1;
    while (i < hs->n_hosts && hs->hosts[i - 1].priority <= hs->hosts[i].priority)
        i++;
    if (i >= hs->n_hosts)
        return;
    struct host *sorted = mem_alloc(hs->n_hosts * sizeof(*sorted));
    for (unsigned p = 0; p < 256; p++) {
        at[p] = sum;
        sum += counts[p];
    }
    for (i = 0; i < hs->n_hosts; i++)
        sorted[at[hs->hosts[i].priority]++] = hs->hosts[i];
    memcpy(hs->hosts, sorted, hs->n_hosts * sizeof(*sorted));
    mem_free(sorted);
}

static void fill_priorities(struct host_set *hs)
{
    uint32_t counts[256] = {0}, first = 0;
    for (uint32_t i = 0; i < hs->n_hosts; i++)
        counts[hs->hosts[i].priority]++;
    sort_by_priority(hs, counts);
    hs->priorities = ARENA_ARRAY(hs->node.arena, struct priority_set, hs->n_priorities);
    for (uint32_t p = 0; p < hs->n_priorities; p++) {
        hs->priorities[p] = (struct priority_set){hs->hosts + first, counts[p]};
        first += counts[p];
    }
}

static void host_set_fini(struct node *n)
{
    struct host_set *hs = CONTAINER_OF(n, struct host_set, node);
    for (uint32_t i = 0; i < hs->n_hosts; i++)
        host_state_unref(&hs->hosts[i].state);
}

struct host_set *host_set_begin(size_t n_hosts, size_t n_localities)
{
    size_t more = n_hosts * sizeof(struct host) + n_localities * sizeof(struct locality) +
                  sizeof(struct priority_set);
    struct host_set *hs = node_new(NODE_HOST_SET, sizeof(*hs), more, host_set_fini);
    hs->hosts = ARENA_ARRAY(hs->node.arena, struct host, n_hosts);
    hs->localities = ARENA_ARRAY(hs->node.arena, struct locality, n_localities);
    hs->overprovisioning_factor = 140;
    return hs;
}

void host_set_finish(struct host_set *hs, const struct host_set *previous, bool with_states)
{
    if (with_states)
        attach_states(hs, previous);
    if (hs->n_priorities == 0)
        hs->n_priorities = 1;
    fill_priorities(hs);
}

struct host_set *host_set_empty(void)
{
    struct host_set *hs = host_set_begin(0, 0);
    host_set_finish(hs, NULL, false);
    return hs;
}

struct host_more *host_set_more(struct host_set *hs, struct bytes name, struct bytes metadata,
                                const struct address *others, unsigned n_others)
{
    if (name.len == 0 && metadata.len == 0 && n_others == 0)
        return NULL;
    CHECK(n_others <= HOST_OTHERS_MAX);
    size_t size = sizeof(struct host_more) + n_others * sizeof(*others);
    struct host_more *more = arena_zalloc(hs->node.arena, size);
    more->n_others = (uint8_t)n_others;
    for (unsigned i = 0; i < n_others; i++)
        more->others[i] = others[i];
    struct bytes lb = metadata_filter(metadata, METADATA_LB);
    more->name = arena_dup(hs->node.arena, name);
    more->metadata = arena_dup(hs->node.arena, metadata);
    more->canary = metadata_is_true(metadata_field(lb, BYTES("canary")));
    return more;
}

static void copy_localities(struct host_set *to, const struct host_set *from)
{
    struct arena *a = to->node.arena;
    for (uint32_t i = 0; i < from->n_localities; i++) {
        const struct locality *l = &from->localities[i];
        to->localities[i] = *l;
        to->localities[i].region = arena_dup(a, l->region);
        to->localities[i].zone = arena_dup(a, l->zone);
        to->localities[i].sub_zone = arena_dup(a, l->sub_zone);
    }
    to->n_localities = from->n_localities;
    to->n_priorities = from->n_priorities;
    to->overprovisioning_factor = from->overprovisioning_factor;
    to->weighted_priority_health = from->weighted_priority_health;
}

struct host_set *host_set_attach(const struct host_set *from, const struct host_set *previous)
{
    struct host_set *hs = host_set_begin(from->n_hosts, from->n_localities);
    copy_localities(hs, from);
    for (uint32_t i = 0; i < from->n_hosts; i++) {
        hs->hosts[i] = from->hosts[i];
        hs->hosts[i].state = NULL;
        unsigned n;
        const struct address *others = host_others(&from->hosts[i], &n);
        hs->hosts[i].more = host_set_more(hs, host_name(&from->hosts[i]),
                                          host_metadata(&from->hosts[i]), others, n);
    }
    hs->n_hosts = from->n_hosts;
    host_set_finish(hs, previous, true);
    return hs;
}

/* One host at each address, or a single one at all of them. */
static void add_resolved(struct host_set *hs, const struct dns_target *t,
                         const struct dns_result *r, bool single)
{
    struct bytes name = t->hostname.len ? t->hostname : t->name;
    unsigned n = single && r->n_addresses > 1 ? r->n_addresses - 1 : 0;
    if (n > HOST_OTHERS_MAX)
        n = HOST_OTHERS_MAX;
    struct host_more *more = host_set_more(hs, name, t->metadata, n ? r->addresses + 1 : NULL, n);
    for (unsigned i = 0; i < n; i++)
        more->others[i].port = t->port;
    for (unsigned i = 0; i < r->n_addresses && !(single && i > 0); i++) {
        struct host *h = &hs->hosts[hs->n_hosts++];
        *h = (struct host){.address = r->addresses[i],
                           .more = more,
                           .weight = t->weight,
                           .locality = t->locality,
                           .priority = t->priority,
                           .health = t->health & 7,
                           .socket = t->socket & 31};
        h->address.port = t->port;
    }
}

struct host_set *host_set_from_dns(const struct cluster *c, const struct dns_result *results,
                                   const struct host_set *previous)
{
    bool single = c->type == CLUSTER_LOGICAL_DNS;
    size_t n = 0;
    for (uint32_t i = 0; i < c->n_dns_targets; i++)
        n += single && results[i].n_addresses ? 1 : results[i].n_addresses;
    const struct host_set *shape = c->inline_hosts;
    struct host_set *hs = host_set_begin(n, shape ? shape->n_localities : 0);
    if (shape)
        copy_localities(hs, shape);
    for (uint32_t i = 0; i < c->n_dns_targets; i++)
        add_resolved(hs, &c->dns_targets[i], &results[i], single);
    host_set_drop_duplicates(hs);
    host_set_finish(hs, previous, true);
    return hs;
}

struct host_set_counts host_set_count(const struct host_set *hs)
{
    struct host_set_counts c = {.total = hs ? hs->n_hosts : 0};
    for (uint32_t i = 0; i < c.total; i++) {
        const struct host *h = &hs->hosts[i];
        if (!(h->health & (NOT_SERVING | HEALTH_DEGRADED_EDS)))
            c.healthy++;
        else if (!(h->health & NOT_SERVING))
            c.degraded++;
        c.excluded += (h->health & HEALTH_DRAINING) != 0;
        if (h->weight > c.max_weight)
            c.max_weight = h->weight;
    }
    return c;
}

/* How many hosts of each priority of `now` were there before, too. */
static void count_kept(const struct host_set *before, const struct host_set *now,
                       uint32_t kept[256])
{
    struct address_index x;
    index_init(&x, before->n_hosts);
    for (uint32_t i = 0; i < before->n_hosts; i++)
        *index_slot(&x, before->hosts, &before->hosts[i].address) = i + 1;
    for (uint32_t i = 0; i < now->n_hosts; i++) {
        const struct host *h = &now->hosts[i];
        uint32_t slot = *index_slot(&x, before->hosts, &h->address);
        const struct host *old = slot ? &before->hosts[slot - 1] : NULL;
        if (old && old->priority == h->priority && same_host(before, old, now, h))
            kept[h->priority]++;
    }
    mem_free(x.slots);
}

static uint32_t hosts_at(const struct host_set *hs, uint32_t priority)
{
    return hs && priority < hs->n_priorities ? hs->priorities[priority].n_hosts : 0;
}

unsigned host_set_moves(const struct host_set *before, const struct host_set *now)
{
    uint32_t kept[256] = {0};
    unsigned moves = 0;
    if (before)
        count_kept(before, now, kept);
    for (uint32_t p = 0; p < now->n_priorities || (before && p < before->n_priorities); p++)
        moves += kept[p] != hosts_at(now, p) || kept[p] != hosts_at(before, p);
    return moves;
}

static bool host_equal(const struct host *a, const struct host *b)
{
    return address_eq(&a->address, &b->address) && bytes_eq(host_name(a), host_name(b)) &&
           bytes_eq(host_metadata(a), host_metadata(b)) && a->weight == b->weight &&
           a->locality == b->locality && a->priority == b->priority && a->health == b->health &&
           a->socket == b->socket && same_others(a, b);
}

bool host_set_equal(const struct host_set *a, const struct host_set *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->n_hosts != b->n_hosts || a->n_localities != b->n_localities ||
        a->n_priorities != b->n_priorities ||
        a->overprovisioning_factor != b->overprovisioning_factor ||
        a->weighted_priority_health != b->weighted_priority_health)
        return false;
    for (uint32_t i = 0; i < a->n_hosts; i++) {
        if (!host_equal(&a->hosts[i], &b->hosts[i]))
            return false;
    }
    for (uint32_t i = 0; i < a->n_localities; i++) {
        const struct locality *x = &a->localities[i], *y = &b->localities[i];
        if (!bytes_eq(x->region, y->region) || !bytes_eq(x->zone, y->zone) ||
            !bytes_eq(x->sub_zone, y->sub_zone) || x->weight != y->weight ||
            x->priority != y->priority)
            return false;
    }
    return true;
}
