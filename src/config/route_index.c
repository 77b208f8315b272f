#include "config/route_index.h"

#include <stdlib.h>

#include "config/route.h"

/* A hash table from literal bytes to an ascending list of positions. */
struct entry {
    struct bytes key;
    uint64_t hash;
    uint32_t first, n; /* in positions[] */
};

struct table {
    struct entry *slots;
    uint32_t *positions;
    uint32_t mask; /* size - 1; slots == NULL: empty table */
};

/* A radix tree node: the bytes on the edge to it, the routes that end here, its children sorted by
 * their first byte. */
struct radix {
    struct bytes edge;
    uint32_t *positions;
    uint32_t n_positions, n_children;
    struct radix **children;
};

struct side {
    struct table exact;
    struct radix *prefixes;
};

struct route_index {
    struct side plain, folded;
    uint32_t *linear; /* regexes */
    uint32_t n_linear;
    const uint8_t *separated; /* bitmap by position: path_separated_prefix */
    const uint32_t *literal_len;
    bool folds;
};

/* A literal and where it stands, for building. */
struct item {
    struct bytes key;
    uint32_t position;
};

static int item_order(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int c = bytes_cmp(x->key, y->key);
    return c ? c : (x->position > y->position) - (x->position < y->position);
}

static struct entry *table_slot(const struct table *t, struct bytes key, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & t->mask;
    while (t->slots[at].n && !(t->slots[at].hash == hash && bytes_eq(t->slots[at].key, key)))
        at = (at + 1) & t->mask;
    return &t->slots[at];
}

static void table_build(struct table *t, struct arena *a, struct item *items, uint32_t n)
{
    if (n == 0)
        return;
    uint32_t size = 4;
    while (size < n * 2)
        size *= 2;
    t->slots = ARENA_ARRAY(a, struct entry, size);
    t->positions = ARENA_ARRAY(a, uint32_t, n);
    t->mask = size - 1;
    qsort(items, n, sizeof(items[0]), item_order);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash = bytes_hash(items[i].key);
        struct entry *e = table_slot(t, items[i].key, hash);
        if (e->n++ == 0)
            *e = (struct entry){items[i].key, hash, i, 1};
        t->positions[i] = items[i].position;
    }
}

/* Items [from, to) share their first `depth` bytes; makes the node they hang under. */
static struct radix *radix_build(struct arena *a, const struct item *items, uint32_t from,
                                 uint32_t to, size_t depth)
{
    struct radix *node = ARENA_NEW(a, struct radix);
    struct bytes first = items[from].key, last = items[to - 1].key;
    size_t common = depth;
    while (common < first.len && common < last.len && first.data[common] == last.data[common])
        common++;
    node->edge = bytes_first(bytes_skip(first, depth), common - depth);
    uint32_t at = from;
    while (at < to && items[at].key.len == common)
        at++;
    node->n_positions = at - from;
    node->positions = ARENA_ARRAY(a, uint32_t, node->n_positions);
    for (uint32_t i = from; i < at; i++)
        node->positions[i - from] = items[i].position;
    for (uint32_t i = at; i < to; i++)
        node->n_children += i == at || items[i].key.data[common] != items[i - 1].key.data[common];
    node->children = ARENA_ARRAY(a, struct radix *, node->n_children);
    for (uint32_t i = at, child = 0; i < to; child++) {
        uint32_t end = i + 1;
        while (end < to && items[end].key.data[common] == items[i].key.data[common])
            end++;
        node->children[child] = radix_build(a, items, i, end, common);
        i = end;
    }
    return node;
}

static void side_build(struct side *s, struct arena *a, struct item *exact, uint32_t n_exact,
                       struct item *prefix, uint32_t n_prefix)
{
    table_build(&s->exact, a, exact, n_exact);
    if (n_prefix) {
        qsort(prefix, n_prefix, sizeof(prefix[0]), item_order);
        s->prefixes = radix_build(a, prefix, 0, n_prefix, 0);
    }
}

static struct bytes fold(struct arena *a, struct bytes b)
{
    struct bytes copy = arena_dup(a, b);
    for (size_t i = 0; i < copy.len; i++)
        ((char *)copy.data)[i] = ascii_lower(copy.data[i]);
    return copy;
}

struct route_index *route_index_new(struct arena *a, const struct route_ref *routes, unsigned n)
{
    struct route_index *ix = ARENA_NEW(a, struct route_index);
    struct arena *scratch = arena_new(64 * 1024);
    struct item *lists[2][2]; /* [folded][prefix] */
    uint32_t counts[2][2] = {{0}};
    for (unsigned i = 0; i < 4; i++)
        lists[i / 2][i % 2] = ARENA_ARRAY(scratch, struct item, n);
    uint8_t *separated = ARENA_ARRAY(a, uint8_t, n);
    uint32_t *literal_len = ARENA_ARRAY(a, uint32_t, n);
    ix->linear = ARENA_ARRAY(a, uint32_t, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct route *r = routes[i].route;
        if (r->path_kind == ROUTE_PATH_REGEX) {
            ix->linear[ix->n_linear++] = i;
            continue;
        }
        unsigned folded = !r->case_sensitive, prefix = r->path_kind != ROUTE_PATH_EXACT;
        struct bytes key = folded ? fold(a, r->path) : r->path;
        lists[folded][prefix][counts[folded][prefix]++] = (struct item){key, i};
        separated[i] = r->path_kind == ROUTE_PATH_SEPARATED_PREFIX;
        literal_len[i] = (uint32_t)key.len;
    }
    ix->separated = separated;
    ix->literal_len = literal_len;
    ix->folds = counts[1][0] + counts[1][1] > 0;
    side_build(&ix->plain, a, lists[0][0], counts[0][0], lists[0][1], counts[0][1]);
    side_build(&ix->folded, a, lists[1][0], counts[1][0], lists[1][1], counts[1][1]);
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

/* Tries a list in order until one is accepted or can no longer win. */
static void try_list(struct search *s, const uint32_t *positions, uint32_t n, bool prefix)
{
    for (uint32_t i = 0; i < n && positions[i] < s->best; i++) {
        uint32_t p = positions[i], len = s->ix->literal_len[p];
        if (prefix && s->ix->separated[p] && s->path.len > len && s->path.data[len] != '/')
            continue;
        if (s->accept(s->ctx, p)) {
            s->best = p;
            return;
        }
    }
}

static const struct radix *radix_child(const struct radix *node, char c)
{
    uint32_t low = 0, high = node->n_children;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        unsigned char at = (unsigned char)node->children[mid]->edge.data[0];
        if (at == (unsigned char)c)
            return node->children[mid];
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
    if (side->exact.slots) {
        const struct entry *e = table_slot(&side->exact, path, bytes_hash(path));
        try_list(s, side->exact.positions + e->first, e->n, false);
    }
    const struct radix *node = side->prefixes;
    while (node && bytes_starts_with(path, node->edge)) {
        path = bytes_skip(path, node->edge.len);
        try_list(s, node->positions, node->n_positions, true);
        node = path.len ? radix_child(node, path.data[0]) : NULL;
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
    w->lengths = ARENA_ARRAY(a, uint32_t, n);
    for (uint32_t i = 0; i < n; i++)
        w->lengths[i] = (uint32_t)items[i].key.len;
    qsort(w->lengths, n, sizeof(w->lengths[0]), descending);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || w->lengths[i] != w->lengths[i - 1])
            w->lengths[w->n_lengths++] = w->lengths[i];
    }
}

struct domains {
    struct item *lists[3]; /* exact, suffix, prefix */
    uint32_t counts[3];
};

static bool add_domain(struct vhost_index *ix, struct domains *d, struct bytes domain,
                       uint32_t vhost, struct bytes config_name, struct error *err)
{
    unsigned kind = 0;
    if (bytes_eq_str(domain, "*")) {
        if (ix->any >= 0)
            return error_set(err, "Only a single wildcard domain is permitted in route %.*s",
                             BYTES_ARG(config_name));
        ix->any = (int)vhost;
        return true;
    }
    if (domain.len && domain.data[0] == '*')
        kind = 1;
    else if (domain.len && domain.data[domain.len - 1] == '*')
        kind = 2;
    struct bytes key = kind == 1 ? bytes_skip(domain, 1) : bytes_first(domain, domain.len - !!kind);
    d->lists[kind][d->counts[kind]++] = (struct item){key, vhost};
    return true;
}

static bool check_unique(const struct domains *d, struct bytes config_name, struct error *err)
{
    static const char *const before[] = {"", "*", ""}, *const after[] = {"", "", "*"};
    for (unsigned k = 0; k < 3; k++) {
        for (uint32_t i = 1; i < d->counts[k]; i++) {
            struct bytes key = d->lists[k][i].key;
            if (bytes_eq(key, d->lists[k][i - 1].key))
                return error_set(err,
                                 "Only unique values for domains are permitted. Duplicate entry of "
                                 "domain %s%.*s%s in route %.*s",
                                 before[k], BYTES_ARG(key), after[k], BYTES_ARG(config_name));
        }
    }
    return true;
}

struct vhost_index *vhost_index_new(struct arena *a, const struct vhost_ref *vhosts, unsigned n,
                                    struct bytes config_name, struct error *err)
{
    struct vhost_index *ix = ARENA_NEW(a, struct vhost_index);
    struct arena *scratch = arena_new(16 * 1024);
    struct domains d = {{NULL}, {0}};
    size_t total = 0;
    bool ok = true;
    ix->any = -1;
    for (unsigned i = 0; i < n; i++)
        total += vhosts[i].vhost->n_domains;
    for (unsigned k = 0; k < 3; k++)
        d.lists[k] = ARENA_ARRAY(scratch, struct item, total);
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
    arena_free(&scratch);
    return ok ? ix : NULL;
}

static int table_find(const struct table *t, struct bytes key)
{
    if (!t->slots)
        return -1;
    const struct entry *e = table_slot(t, key, bytes_hash(key));
    return e->n ? (int)t->positions[e->first] : -1;
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
