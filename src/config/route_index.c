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

/* A radix tree node: the bytes on the edge to it, the routes that end here, its children sorted by
 * their first byte. Small: nearly every route has one. */
struct radix {
    const char *edge;
    uint16_t edge_len, n_children;
    uint32_t child;              /* the first, in the side's nodes */
    uint32_t first, n_positions; /* in the side's positions */
};

struct side {
    struct table exact;
    struct radix *nodes; /* of the tree of prefixes, the root first; NULL: no prefixes */
    uint32_t *positions; /* of the prefixes, sorted by them */
};

struct route_index {
    const struct route_ref *routes;
    struct side plain, folded;
    uint32_t *linear; /* regexes */
    uint32_t n_linear;
    bool folds;
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

struct radix_builder {
    const struct item *items;
    struct radix *nodes;
    uint32_t n;
};

/* Items [from, to) share their first `depth` bytes; fills the node they hang under. */
static void radix_build(struct radix_builder *b, uint32_t node, uint32_t from, uint32_t to,
                        size_t depth)
{
    const struct item *items = b->items;
    struct bytes first = items[from].key, last = items[to - 1].key;
    size_t common = depth;
    while (common < first.len && common < last.len && common - depth < UINT16_MAX &&
           first.data[common] == last.data[common])
        common++;
    uint32_t at = from;
    while (at < to && items[at].key.len == common)
        at++;
    uint16_t n = 0;
    for (uint32_t i = at; i < to; i++)
        n += i == at || items[i].key.data[common] != items[i - 1].key.data[common];
    b->nodes[node] =
        (struct radix){first.data + depth, (uint16_t)(common - depth), n, b->n, from, at - from};
    uint32_t child = b->n;
    b->n += n;
    for (uint32_t i = at; i < to; child++) {
        uint32_t end = i + 1;
        while (end < to && items[end].key.data[common] == items[i].key.data[common])
            end++;
        radix_build(b, child, i, end, common);
        i = end;
    }
}

/* Nodes where no route ends have two children or are pieces of an edge of more than 64 KiB. */
static size_t most_nodes(const struct item *items, uint32_t n)
{
    size_t pieces = 0;
    for (uint32_t i = 0; i < n; i++)
        pieces += items[i].key.len / UINT16_MAX;
    return 2 * (size_t)n + 1 + pieces;
}

static void prefixes_build(struct side *s, struct arena *a, struct item *items, uint32_t n)
{
    if (n == 0)
        return;
    qsort(items, n, sizeof(items[0]), item_order);
    s->positions = arena_alloc(a, n * sizeof(uint32_t));
    for (uint32_t i = 0; i < n; i++)
        s->positions[i] = items[i].position;
    struct radix_builder b = {items, mem_alloc(most_nodes(items, n) * sizeof(struct radix)), 1};
    radix_build(&b, 0, 0, n, 0);
    s->nodes = arena_alloc(a, b.n * sizeof(struct radix));
    memcpy(s->nodes, b.nodes, b.n * sizeof(struct radix));
    mem_free(b.nodes);
}

static struct bytes fold(struct arena *a, struct bytes b)
{
    struct bytes copy = arena_dup(a, b);
    for (size_t i = 0; i < copy.len; i++)
        ((char *)copy.data)[i] = ascii_lower(copy.data[i]);
    return copy;
}

enum route_sort { SORT_EXACT, SORT_PREFIX, SORT_FOLDED_EXACT, SORT_FOLDED_PREFIX, SORT_LINEAR };
enum { N_SORTS = SORT_LINEAR + 1 };

static enum route_sort sort_of(const struct route *r)
{
    if (r->path_kind == ROUTE_PATH_REGEX)
        return SORT_LINEAR;
    if (r->path_kind == ROUTE_PATH_EXACT)
        return r->case_sensitive ? SORT_EXACT : SORT_FOLDED_EXACT;
    return r->case_sensitive ? SORT_PREFIX : SORT_FOLDED_PREFIX;
}

size_t route_index_size(unsigned n_routes)
{
    return sizeof(struct route_index) + n_routes * (sizeof(struct radix) + sizeof(uint32_t));
}

struct route_index *route_index_new(struct arena *a, const struct route_ref *routes, unsigned n)
{
    struct route_index *ix = ARENA_NEW(a, struct route_index);
    struct item *lists[N_SORTS] = {NULL};
    uint32_t counts[N_SORTS] = {0};
    for (uint32_t i = 0; i < n; i++)
        counts[sort_of(routes[i].route)]++;
    struct arena *scratch =
        arena_new((counts[SORT_PREFIX] + counts[SORT_FOLDED_PREFIX] + 1) * sizeof(struct item));
    for (unsigned k = 0; k < SORT_LINEAR; k++) {
        bool kept = k == SORT_EXACT || k == SORT_FOLDED_EXACT;
        lists[k] = arena_alloc(kept ? a : scratch, counts[k] * sizeof(struct item));
    }
    ix->routes = routes;
    ix->linear = arena_alloc(a, counts[SORT_LINEAR] * sizeof(uint32_t));
    ix->folds = counts[SORT_FOLDED_EXACT] + counts[SORT_FOLDED_PREFIX] > 0;
    memset(counts, 0, sizeof(counts));
    for (uint32_t i = 0; i < n; i++) {
        const struct route *r = routes[i].route;
        enum route_sort k = sort_of(r);
        if (k == SORT_LINEAR)
            ix->linear[ix->n_linear++] = i;
        else
            lists[k][counts[k]++] =
                (struct item){r->case_sensitive ? r->path : fold(a, r->path), i};
    }
    table_build(&ix->plain.exact, a, lists[SORT_EXACT], counts[SORT_EXACT]);
    table_build(&ix->folded.exact, a, lists[SORT_FOLDED_EXACT], counts[SORT_FOLDED_EXACT]);
    prefixes_build(&ix->plain, a, lists[SORT_PREFIX], counts[SORT_PREFIX]);
    prefixes_build(&ix->folded, a, lists[SORT_FOLDED_PREFIX], counts[SORT_FOLDED_PREFIX]);
    arena_free(&scratch);
    return ix;
}

bool route_index_folds(const struct route_index *ix)
{
    return ix->folds;
}

struct search {
    const struct route_index *ix;
    struct bytes path;
    route_accept_fn *accept;
    void *ctx;
    uint32_t best;
};

/* True: the search of this list is over: the route was taken, or can no longer win. */
static bool try_route(struct search *s, uint32_t p, bool prefix)
{
    if (p >= s->best)
        return true;
    const struct route *r = s->ix->routes[p].route;
    if (prefix && r->path_kind == ROUTE_PATH_SEPARATED_PREFIX && s->path.len > r->path.len &&
        s->path.data[r->path.len] != '/')
        return false;
    if (!s->accept(s->ctx, p))
        return false;
    s->best = p;
    return true;
}

static void try_list(struct search *s, const uint32_t *positions, uint32_t n, bool prefix)
{
    uint32_t i = 0;
    while (i < n && !try_route(s, positions[i], prefix))
        i++;
}

static void try_exact(struct search *s, const struct table *t)
{
    uint32_t at = t->slots ? *table_slot(t, s->path) : 0;
    for (uint32_t i = at - 1; at && i < t->n && bytes_eq(t->items[i].key, s->path); i++) {
        if (try_route(s, t->items[i].position, false))
            return;
    }
}

static const struct radix *radix_child(const struct radix *nodes, const struct radix *node, char c)
{
    uint32_t low = node->child, high = low + node->n_children;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        unsigned char at = (unsigned char)nodes[mid].edge[0];
        if (at == (unsigned char)c)
            return &nodes[mid];
        if (at < (unsigned char)c)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static void search_side(struct search *s, const struct side *side, struct bytes path)
{
    s->path = path;
    try_exact(s, &side->exact);
    const struct radix *node = side->nodes;
    while (node && bytes_starts_with(path, bytes_from(node->edge, node->edge_len))) {
        path = bytes_skip(path, node->edge_len);
        try_list(s, side->positions + node->first, node->n_positions, true);
        node = path.len ? radix_child(side->nodes, node, path.data[0]) : NULL;
    }
}

int route_index_find(const struct route_index *ix, struct bytes path, struct bytes lower,
                     route_accept_fn *accept, void *ctx)
{
    struct search s = {ix, path, accept, ctx, UINT32_MAX};
    search_side(&s, &ix->plain, path);
    if (ix->folds)
        search_side(&s, &ix->folded, lower);
    try_list(&s, ix->linear, ix->n_linear, false);
    return s.best == UINT32_MAX ? -1 : (int)s.best;
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
