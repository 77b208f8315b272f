#include "config/route_index.h"

#include <stdlib.h>

#include "base/memory.h"
#include "config/route.h"

/* Nothing in an index points into a route: its texts are found by the position of a route that has
 * them, so that it fits every table whose routes have the same paths at the same positions. */

/* A radix tree node: the bytes on the edge to it are those of a route's path from the depth of its
 * parent on; the routes that end here; its children sorted by their first byte. Small: nearly every
 * route has one. */
struct radix {
    uint32_t lead;               /* position of a route with the edge in its path */
    uint32_t child;              /* the first, in the side's nodes */
    uint32_t first, n_positions; /* in the side's positions */
    uint16_t edge_len, n_children;
    unsigned char byte; /* the first of the edge */
};

struct side {
    bool folded;     /* looked at in lower case */
    uint32_t *exact; /* positions of the exact paths, sorted by path and position */
    uint32_t *slots; /* hash table: the first in `exact` of each path + 1; 0: free */
    uint32_t n_exact, mask;
    struct radix *nodes; /* of the tree of prefixes, the root first; NULL: no prefixes */
    uint32_t *positions; /* of the prefixes, sorted by them */
};

struct route_index {
    struct arena *arena; /* of all of it */
    uint32_t refs, n_linear;
    uint32_t *linear; /* regexes, and what matches any CONNECT */
    struct side plain, folded;
};

/* ---- building ---- */

/* A path, in lower case where that is how it is looked for, and where it stands. */
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

/* Many tables come sorted. */
static void sort(struct item *items, uint32_t n)
{
    uint32_t i = 1;
    while (i < n && item_order(&items[i - 1], &items[i]) < 0)
        i++;
    if (i < n)
        qsort(items, n, sizeof(items[0]), item_order);
}

static uint32_t *take_positions(struct arena *a, const struct item *items, uint32_t n)
{
    uint32_t *out = arena_alloc(a, n * sizeof(*out));
    for (uint32_t i = 0; i < n; i++)
        out[i] = items[i].position;
    return out;
}

static uint32_t slots_for(uint32_t n)
{
    uint32_t size = 2;
    while (size < n * 2)
        size *= 2;
    return size;
}

static void exact_build(struct side *s, struct arena *a, const struct item *items, uint32_t n)
{
    if (n == 0)
        return;
    uint32_t size = slots_for(n);
    s->exact = take_positions(a, items, n);
    s->n_exact = n;
    s->slots = ARENA_ARRAY(a, uint32_t, size);
    s->mask = size - 1;
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && bytes_eq(items[i].key, items[i - 1].key))
            continue;
        uint32_t at = (uint32_t)bytes_hash(items[i].key) & s->mask;
        while (s->slots[at])
            at = (at + 1) & s->mask;
        s->slots[at] = i + 1;
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
    b->nodes[node] = (struct radix){
        .lead = items[from].position,
        .child = b->n,
        .first = from,
        .n_positions = at - from,
        .edge_len = (uint16_t)(common - depth),
        .n_children = n,
        .byte = common > depth ? (unsigned char)first.data[depth] : 0,
    };
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

enum route_sort { SORT_EXACT, SORT_PREFIX, SORT_FOLDED_EXACT, SORT_FOLDED_PREFIX, SORT_LINEAR };
enum { N_SORTS = SORT_LINEAR + 1 };

static enum route_sort sort_of(const struct route *r)
{
    if (r->path_kind == ROUTE_PATH_REGEX || r->path_kind == ROUTE_PATH_CONNECT)
        return SORT_LINEAR;
    if (r->path_kind == ROUTE_PATH_EXACT)
        return r->case_sensitive ? SORT_EXACT : SORT_FOLDED_EXACT;
    return r->case_sensitive ? SORT_PREFIX : SORT_FOLDED_PREFIX;
}

static struct bytes fold(struct arena *a, struct bytes b)
{
    struct bytes copy = arena_dup(a, b);
    for (size_t i = 0; i < copy.len; i++)
        ((char *)copy.data)[i] = ascii_lower(copy.data[i]);
    return copy;
}

/* The routes by sort, each sort in the order of its paths, and the two trees. */
struct draft {
    struct arena *scratch;
    struct item *items[N_SORTS];
    uint32_t counts[N_SORTS];
    struct radix_builder plain, folded;
};

static struct radix_builder draft_tree(struct draft *d, enum route_sort k)
{
    struct radix_builder b = {.items = d->items[k]};
    if (d->counts[k] == 0)
        return b;
    b.n = 1;
    b.nodes = mem_alloc(most_nodes(b.items, d->counts[k]) * sizeof(struct radix));
    radix_build(&b, 0, 0, d->counts[k], 0);
    return b;
}

static void draft_init(struct draft *d, const struct route_ref *routes, unsigned n)
{
    *d = (struct draft){.scratch = arena_new((n + 1) * sizeof(struct item))};
    for (uint32_t i = 0; i < n; i++)
        d->counts[sort_of(routes[i].route)]++;
    for (unsigned k = 0; k < N_SORTS; k++)
        d->items[k] = arena_alloc(d->scratch, d->counts[k] * sizeof(struct item));
    memset(d->counts, 0, sizeof(d->counts));
    for (uint32_t i = 0; i < n; i++) {
        const struct route *r = routes[i].route;
        enum route_sort k = sort_of(r);
        bool folds = k == SORT_FOLDED_EXACT || k == SORT_FOLDED_PREFIX;
        d->items[k][d->counts[k]++] = (struct item){folds ? fold(d->scratch, r->path) : r->path, i};
    }
    for (unsigned k = 0; k < SORT_LINEAR; k++)
        sort(d->items[k], d->counts[k]);
    d->plain = draft_tree(d, SORT_PREFIX);
    d->folded = draft_tree(d, SORT_FOLDED_PREFIX);
}

static void draft_fini(struct draft *d)
{
    mem_free(d->plain.nodes);
    mem_free(d->folded.nodes);
    arena_free(&d->scratch);
}

static size_t draft_size(const struct draft *d, unsigned n)
{
    enum { PIECES = 9 };
    size_t slots = (size_t)(d->counts[SORT_EXACT] ? slots_for(d->counts[SORT_EXACT]) : 0) +
                   (d->counts[SORT_FOLDED_EXACT] ? slots_for(d->counts[SORT_FOLDED_EXACT]) : 0);
    return sizeof(struct route_index) + (n + slots) * sizeof(uint32_t) +
           (d->plain.n + d->folded.n) * sizeof(struct radix) + PIECES * sizeof(uint64_t);
}

static void side_build(struct side *s, struct arena *a, const struct draft *d,
                       enum route_sort exact, enum route_sort prefix,
                       const struct radix_builder *tree)
{
    exact_build(s, a, d->items[exact], d->counts[exact]);
    if (tree->n == 0)
        return;
    s->positions = take_positions(a, d->items[prefix], d->counts[prefix]);
    s->nodes = arena_alloc(a, tree->n * sizeof(struct radix));
    memcpy(s->nodes, tree->nodes, tree->n * sizeof(struct radix));
}

struct route_index *route_index_new(const struct route_ref *routes, unsigned n)
{
    struct draft d;
    draft_init(&d, routes, n);
    struct arena *a = arena_new(draft_size(&d, n));
    struct route_index *ix = ARENA_NEW(a, struct route_index);
    ix->arena = a;
    ix->refs = 1;
    ix->folded.folded = true;
    ix->linear = take_positions(a, d.items[SORT_LINEAR], d.counts[SORT_LINEAR]);
    ix->n_linear = d.counts[SORT_LINEAR];
    side_build(&ix->plain, a, &d, SORT_EXACT, SORT_PREFIX, &d.plain);
    side_build(&ix->folded, a, &d, SORT_FOLDED_EXACT, SORT_FOLDED_PREFIX, &d.folded);
    draft_fini(&d);
    return ix;
}

struct route_index *route_index_ref(struct route_index *ix)
{
    ix->refs++;
    return ix;
}

void route_index_unref(struct route_index **ixp)
{
    struct route_index *ix = *ixp;
    *ixp = NULL;
    if (!ix || --ix->refs)
        return;
    struct arena *a = ix->arena;
    arena_free(&a);
}

bool route_index_fits(const struct route_ref *a, unsigned n_a, const struct route_ref *b,
                      unsigned n_b)
{
    if (n_a != n_b)
        return false;
    for (unsigned i = 0; i < n_a; i++) {
        const struct route *x = a[i].route, *y = b[i].route;
        if (x != y && (sort_of(x) != sort_of(y) || !bytes_eq(x->path, y->path)))
            return false;
    }
    return true;
}

bool route_index_folds(const struct route_index *ix)
{
    return ix->folded.n_exact > 0 || ix->folded.nodes;
}

/* ---- finding ---- */

struct search {
    const struct route_ref *routes;
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
    const struct route *r = s->routes[p].route;
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

static bool is_at(const struct search *s, const struct side *side, uint32_t i)
{
    struct bytes path = s->routes[side->exact[i]].route->path;
    return side->folded ? bytes_eq_nocase(path, s->path) : bytes_eq(path, s->path);
}

static void try_exact(struct search *s, const struct side *side)
{
    if (!side->slots)
        return;
    uint32_t at = (uint32_t)bytes_hash(s->path) & side->mask;
    while (side->slots[at] && !is_at(s, side, side->slots[at] - 1))
        at = (at + 1) & side->mask;
    if (!side->slots[at])
        return;
    uint32_t i = side->slots[at] - 1;
    do {
        if (try_route(s, side->exact[i], false))
            return;
    } while (++i < side->n_exact && is_at(s, side, i));
}

static const struct radix *radix_child(const struct radix *nodes, const struct radix *node, char c)
{
    uint32_t low = node->child, high = low + node->n_children;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (nodes[mid].byte == (unsigned char)c)
            return &nodes[mid];
        if (nodes[mid].byte < (unsigned char)c)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* Does the path go on with the node's edge? known: so many bytes of it are known to be there. */
static bool edge_fits(const struct search *s, const struct side *side, const struct radix *node,
                      size_t depth, size_t known)
{
    size_t n = node->edge_len;
    if (s->path.len - depth < n)
        return false;
    if (n <= known)
        return true;
    const char *edge = s->routes[node->lead].route->path.data + depth;
    const char *path = s->path.data + depth;
    if (!side->folded)
        return memcmp(edge, path, n) == 0;
    return bytes_eq_nocase(bytes_from(edge, n), bytes_from(path, n));
}

static void search_side(struct search *s, const struct side *side, struct bytes path)
{
    size_t depth = 0, known = 0;
    s->path = path;
    try_exact(s, side);
    for (const struct radix *node = side->nodes; node; known = 1) {
        if (!edge_fits(s, side, node, depth, known))
            return;
        depth += node->edge_len;
        try_list(s, side->positions + node->first, node->n_positions, true);
        node = depth < path.len ? radix_child(side->nodes, node, path.data[depth]) : NULL;
    }
}

int route_index_find(const struct route_index *ix, const struct route_ref *routes,
                     struct bytes path, struct bytes lower, route_accept_fn *accept, void *ctx)
{
    struct search s = {routes, path, accept, ctx, UINT32_MAX};
    search_side(&s, &ix->plain, path);
    if (route_index_folds(ix))
        search_side(&s, &ix->folded, lower);
    s.path = path;
    try_list(&s, ix->linear, ix->n_linear, false);
    return s.best == UINT32_MAX ? -1 : (int)s.best;
}

int route_index_find_connect(const struct route_index *ix, const struct route_ref *routes,
                             route_accept_fn *accept, void *ctx)
{
    struct search s = {routes, BYTES(""), accept, ctx, UINT32_MAX};
    try_list(&s, ix->linear, ix->n_linear, false);
    return s.best == UINT32_MAX ? -1 : (int)s.best;
}
