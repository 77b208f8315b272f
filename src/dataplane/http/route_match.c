#include "dataplane/http/route_match.h"

#include "config/filter_factory.h"
#include "config/route_index.h"
#include "dataplane/http/grpc.h"

struct request_view {
    const struct route_query *q;
    const struct virtual_host *vhost;
    bool connect;             /* a CONNECT: it has no path, and only what is made for it matches */
    struct bytes path, query; /* split at "?"; query.data NULL: none */
};

/* The first value of a parameter, not decoded; data NULL when it is missing. */
static struct bytes query_value(struct bytes query, struct bytes name)
{
    while (query.data) {
        struct bytes value = bytes_split(&query, '&');
        struct bytes key = bytes_split(&value, '=');
        if (bytes_eq(key, name))
            return value.data ? value : BYTES("");
    }
    return BYTES_NONE;
}

/* The runtime may say another fraction from one request to the next. */
static bool is_chosen(uint64_t random, const struct route_extras *r)
{
    struct fraction f = runtime_fraction(r->cell, r->fraction);
    return random % f.denominator < f.numerator;
}

static bool conditions_hold(const struct request_view *v, const struct route_extras *r)
{
    if (r->has_fraction && !is_chosen(v->q->random, r))
        return false;
    for (unsigned i = 0; i < r->n_headers; i++) {
        if (!header_matcher_match(&r->headers[i], headers_values, v->q->headers))
            return false;
    }
    for (unsigned i = 0; i < r->n_queries; i++) {
        if (!query_matcher_match(&r->queries[i], query_value(v->query, r->queries[i].name)))
            return false;
    }
    return !r->grpc_only || grpc_content_type(v->q->headers);
}

/* As in Envoy, what matches any CONNECT matches HTTP's way to ask for UDP (RFC 9298) too. */
static bool is_connect(const struct request_view *v)
{
    return v->connect ||
           bytes_eq_nocase(headers_get(v->q->headers, HEADER_UPGRADE), BYTES("connect-udp"));
}

static bool accept_route(void *ctx, unsigned position)
{
    const struct request_view *v = ctx;
    const struct route *r = v->vhost->routes[position].route;
    if (r->path_kind == ROUTE_PATH_CONNECT ? !is_connect(v) : v->connect)
        return false;
    if (r->path_kind == ROUTE_PATH_REGEX && !regex_full_match(r->extras->path_regex, v->path))
        return false;
    return conditions_hold(v, r->extras);
}

static struct bytes lower_case(const struct headers *h, struct bytes b)
{
    if (LIKELY(!bytes_have_upper(b)))
        return b;
    char *copy = arena_str(h->arena, b);
    for (size_t i = 0; i < b.len; i++)
        copy[i] = ascii_lower(copy[i]);
    return bytes_from(copy, b.len);
}

/* The host without what follows its last colon, keeping an IPv6 literal's brackets. */
static struct bytes strip_port(struct bytes host)
{
    ptrdiff_t colon = bytes_rfind_char(host, ':');
    return colon < 0 || bytes_rfind_char(host, ']') > colon ? host
                                                            : bytes_first(host, (size_t)colon);
}

static struct request_view view_of(const struct route_query *q)
{
    struct request_view v = {.q = q};
    v.connect = bytes_eq(headers_get(q->headers, HEADER_METHOD), BYTES("CONNECT"));
    v.query = q->path;
    ptrdiff_t fragment = bytes_find_char(v.query, '#');
    if (fragment >= 0)
        v.query = bytes_first(v.query, (size_t)fragment);
    v.path = bytes_split(&v.query, '?');
    return v;
}

static struct bytes host_of(const struct route_config *config, const struct route_query *q)
{
    struct bytes host = lower_case(q->headers, q->host);
    return config->ignore_port_in_host_matching ? strip_port(host) : host;
}

static const struct weighted_cluster *pick_weight(const struct weighted_clusters *w,
                                                  const struct route_query *q)
{
    uint64_t value = q->random, chosen;
    struct bytes text, other;
    uint32_t at = 0;
    if (w->header.len && headers_values(q->headers, w->header, &at, &text) &&
        !headers_values(q->headers, w->header, &at, &other) && header_number(text, &chosen))
        value = chosen;
    value %= w->total_weight;
    for (uint32_t i = 0; i < w->n; i++) {
        if (value < w->list[i].weight)
            return &w->list[i];
        value -= w->list[i].weight;
    }
    return NULL;
}

static void finish(struct route_match_result *m, const struct route_query *q)
{
    if (m->vhost->require_tls != TLS_NOT_REQUIRED && !q->is_tls &&
        (m->vhost->require_tls == TLS_ALL || !q->is_internal)) {
        m->tls_redirect = true;
        return;
    }
    if (m->route && m->route->action == ROUTE_CLUSTER && m->route->cluster->weighted)
        m->weight = pick_weight(m->route->cluster->weighted, q);
}

struct route_match_result route_match(const struct route_config *config,
                                      const struct route_query *q)
{
    struct route_match_result m = {.config = config};
    int at = config ? vhost_index_find(config->index, host_of(config, q)) : -1;
    if (at < 0)
        return m;
    struct request_view v = view_of(q);
    m.vhost = v.vhost = config->vhosts[at].vhost;
    if (v.connect) {
        at = route_index_find_connect(m.vhost->index, m.vhost->routes, accept_route, &v);
    } else if (q->path.len) {
        struct bytes lower =
            route_index_folds(m.vhost->index) ? lower_case(q->headers, v.path) : v.path;
        at = route_index_find(m.vhost->index, m.vhost->routes, v.path, lower, accept_route, &v);
    } else {
        at = -1; /* a request without a path matches no match of a path */
    }
    if (at >= 0)
        m.route = m.vhost->routes[at].route;
    finish(&m, q);
    return m;
}

/* 0: no match; otherwise the rank of the kind of match and, within it, the longer the better. */
static size_t domain_rank(struct bytes domain, struct bytes host)
{
    enum { STEP = 1 << 20 };
    if (bytes_eq_str(domain, "*"))
        return 1;
    if (domain.len && domain.data[0] == '*' && host.len > domain.len - 1 &&
        bytes_ends_with(host, bytes_skip(domain, 1)))
        return 2 * (size_t)STEP + domain.len;
    if (domain.len && domain.data[domain.len - 1] == '*' && host.len > domain.len - 1 &&
        bytes_starts_with(host, bytes_first(domain, domain.len - 1)))
        return STEP + domain.len;
    return bytes_eq(domain, host) ? 3 * (size_t)STEP : 0;
}

static bool path_matches(const struct route *r, struct bytes path)
{
    switch (r->path_kind) {
    case ROUTE_PATH_PREFIX:
        return r->case_sensitive ? bytes_starts_with(path, r->path)
                                 : bytes_starts_with_nocase(path, r->path);
    case ROUTE_PATH_EXACT:
        return r->case_sensitive ? bytes_eq(path, r->path) : bytes_eq_nocase(path, r->path);
    case ROUTE_PATH_SEPARATED_PREFIX:
        return (r->case_sensitive ? bytes_starts_with(path, r->path)
                                  : bytes_starts_with_nocase(path, r->path)) &&
               (path.len == r->path.len || path.data[r->path.len] == '/');
    case ROUTE_PATH_REGEX:
        return regex_full_match(r->extras->path_regex, path);
    case ROUTE_PATH_CONNECT:
        break;
    }
    return false;
}

struct route_match_result route_match_linear(const struct route_config *config,
                                             const struct route_query *q)
{
    struct route_match_result m = {.config = config};
    size_t best = 0;
    for (unsigned i = 0; config && i < config->n_vhosts; i++) {
        const struct virtual_host *v = config->vhosts[i].vhost;
        for (unsigned j = 0; j < v->n_domains; j++) {
            size_t rank = domain_rank(v->domains[j], host_of(config, q));
            if (rank > best) {
                best = rank;
                m.vhost = v;
            }
        }
    }
    struct request_view v = view_of(q);
    bool any = v.connect || q->path.len;
    for (unsigned i = 0; m.vhost && !m.route && any && i < m.vhost->n_routes; i++) {
        const struct route *r = m.vhost->routes[i].route;
        bool fits = r->path_kind == ROUTE_PATH_CONNECT ? is_connect(&v)
                                                       : !v.connect && path_matches(r, v.path);
        if (fits && conditions_hold(&v, r->extras))
            m.route = r;
    }
    if (m.vhost)
        finish(&m, q);
    return m;
}

struct bytes route_cluster_name(const struct route_match_result *m, const struct headers *h)
{
    struct bytes header = m->weight ? m->weight->cluster_header : m->route->extras->cluster_header;
    if (m->weight && m->weight->name.len)
        return m->weight->name;
    if (header.len)
        return headers_get_name(h, header);
    return m->route->cluster->cluster;
}

const struct virtual_cluster *route_virtual_cluster(const struct virtual_host *v,
                                                    const struct headers *h)
{
    for (unsigned i = 0; v->clusters && i < v->clusters->n; i++) {
        const struct virtual_cluster *c = &v->clusters->entries[i];
        unsigned held = 0;
        while (held < c->n_headers && header_matcher_match(&c->headers[held], headers_values, h))
            held++;
        if (held == c->n_headers)
            return c;
    }
    return NULL;
}
