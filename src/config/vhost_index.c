#include "config/route_index.h"

#include <stdlib.h>

#include "base/memory.h"
#include "config/route.h"

/* A literal and where it stands. */
struct item {
    struct bytes key;
    uint32_t position;
};

/* Items sorted by key and position, and a hash table over the first of each key. */
struct table {
    struct item *items;
    uint32_t *slots; /* index into items + 1; 0: free. NULL: an empty table */
    uint32_t n, mask;
};

static int item_order(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int c = bytes_cmp(x->key, y->key);
    return c ? c : (x->position > y->position) - (x->position < y->position);
}

static uint32_t *table_slot(const struct table *t, struct bytes key)
{
    uint32_t at = (uint32_t)bytes_hash(key) & t->mask;
    while (t->slots[at] && !bytes_eq(t->items[t->slots[at] - 1].key, key))
        at = (at + 1) & t->mask;
    return &t->slots[at];
}

/* items: in the arena already. */
static void table_build(struct table *t, struct arena *a, struct item *items, uint32_t n)
{
    if (n == 0)
        return;
    uint32_t size = 2;
    while (size < n * 2)
        size *= 2;
    qsort(items, n, sizeof(items[0]), item_order);
    *t = (struct table){items, ARENA_ARRAY(a, uint32_t, size), n, size - 1};
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || !bytes_eq(items[i].key, items[i - 1].key))
            *table_slot(t, items[i].key) = i + 1;
    }
}

/* Suffix ("*.a" keeps ".a") or prefix ("a.*" keeps "a.") domains, with the lengths that occur in
 * descending order: a host is looked up once for each length that is shorter than itself. */
struct wildcards {
    struct table table;
    uint32_t *lengths;
    uint32_t n_lengths;
};

struct vhost_index {
    struct table exact;
    struct wildcards suffix, prefix;
    int any;
};

static int descending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

static void wildcards_build(struct wildcards *w, struct arena *a, struct item *items, uint32_t n)
{
    table_build(&w->table, a, items, n);
    w->lengths = arena_alloc(a, n * sizeof(uint32_t));
    for (uint32_t i = 0; i < n; i++)
        w->lengths[i] = (uint32_t)items[i].key.len;
    qsort(w->lengths, n, sizeof(w->lengths[0]), descending);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || w->lengths[i] != w->lengths[i - 1])
            w->lengths[w->n_lengths++] = w->lengths[i];
    }
}

enum domain_sort { DOMAIN_EXACT, DOMAIN_SUFFIX, DOMAIN_PREFIX, DOMAIN_ANY };

struct domains {
    struct item *lists[DOMAIN_ANY];
    uint32_t counts[DOMAIN_ANY + 1];
};

static enum domain_sort domain_sort(struct bytes domain)
{
    if (bytes_eq_str(domain, "*"))
        return DOMAIN_ANY;
    if (domain.len && domain.data[0] == '*')
        return DOMAIN_SUFFIX;
    return domain.len && domain.data[domain.len - 1] == '*' ? DOMAIN_PREFIX : DOMAIN_EXACT;
}

static bool add_domain(struct vhost_index *ix, struct domains *d, struct bytes domain,
                       uint32_t vhost, struct bytes config_name, struct error *err)
{
    unsigned kind = domain_sort(domain);
    if (kind == DOMAIN_ANY) {
        if (ix->any >= 0)
            return error_set(err,
                             "virtual_hosts[%u].domains: Only a single wildcard domain is "
                             "permitted in route %.*s",
                             vhost, BYTES_ARG(config_name));
        ix->any = (int)vhost;
        return true;
    }
    struct bytes key = bytes_skip(domain, kind == DOMAIN_SUFFIX);
    if (kind == DOMAIN_PREFIX)
        key = bytes_first(key, key.len - 1);
    d->lists[kind][d->counts[kind]++] = (struct item){key, vhost};
    return true;
}

static bool check_unique(const struct domains *d, struct bytes config_name, struct error *err)
{
    static const char *const before[] = {"", "*", ""}, *const after[] = {"", "", "*"};
    for (unsigned k = 0; k < DOMAIN_ANY; k++) {
        for (uint32_t i = 1; i < d->counts[k]; i++) {
            struct bytes key = d->lists[k][i].key;
            if (bytes_eq(key, d->lists[k][i - 1].key))
                return error_set(err,
                                 "virtual_hosts[%u].domains: Only unique values for domains are "
                                 "permitted. Duplicate entry of domain %s%.*s%s in route %.*s",
                                 d->lists[k][i].position, before[k], BYTES_ARG(key), after[k],
                                 BYTES_ARG(config_name));
        }
    }
    return true;
}

struct vhost_index *vhost_index_new(struct arena *a, const struct vhost_ref *vhosts, unsigned n,
                                    struct bytes config_name, struct error *err)
{
    struct vhost_index *ix = ARENA_NEW(a, struct vhost_index);
    struct domains d = {{NULL}, {0}};
    bool ok = true;
    ix->any = -1;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < vhosts[i].vhost->n_domains; j++)
            d.counts[domain_sort(vhosts[i].vhost->domains[j])]++;
    }
    for (unsigned k = 0; k < DOMAIN_ANY; k++)
        d.lists[k] = arena_alloc(a, d.counts[k] * sizeof(struct item));
    memset(d.counts, 0, sizeof(d.counts));
    for (unsigned i = 0; i < n && ok; i++) {
        for (unsigned j = 0; j < vhosts[i].vhost->n_domains && ok; j++)
            ok = add_domain(ix, &d, vhosts[i].vhost->domains[j], i, config_name, err);
    }
    if (ok) {
        table_build(&ix->exact, a, d.lists[0], d.counts[0]);
        wildcards_build(&ix->suffix, a, d.lists[1], d.counts[1]);
        wildcards_build(&ix->prefix, a, d.lists[2], d.counts[2]);
        ok = check_unique(&d, config_name, err);
    }
    return ok ? ix : NULL;
}

static int table_find(const struct table *t, struct bytes key)
{
    if (!t->slots)
        return -1;
    uint32_t at = *table_slot(t, key);
    return at ? (int)t->items[at - 1].position : -1;
}

static int wildcard_find(const struct wildcards *w, struct bytes host, bool suffix)
{
    for (uint32_t i = 0; i < w->n_lengths; i++) {
        uint32_t len = w->lengths[i];
        if (len >= host.len) /* the star stands for at least one character */
            continue;
        int at = table_find(&w->table,
                            suffix ? bytes_skip(host, host.len - len) : bytes_first(host, len));
        if (at >= 0)
            return at;
    }
    return -1;
}

int vhost_index_find(const struct vhost_index *ix, struct bytes host)
{
    int at = table_find(&ix->exact, host);
    if (at < 0)
        at = wildcard_find(&ix->suffix, host, true);
    if (at < 0)
        at = wildcard_find(&ix->prefix, host, false);
    return at < 0 ? ix->any : at;
}
