#include "dataplane/upstream/cluster_manager.h"

#include "base/memory.h"
#include "config/snapshot.h"
#include "config/tls.h"
#include "dataplane/http/codec_h2.h"
#include "dataplane/net/tls_context.h"
#include "dataplane/upstream/async_call.h"
#include "dataplane/upstream/conn_pool.h"
#include "dataplane/upstream/method_stats.h"

struct cluster_manager *cluster_manager_new(struct worker *worker,
                                            const struct connector *connector)
{
    struct cluster_manager *m = NEW(struct cluster_manager);
    m->worker = worker;
    m->h2_memory = h2_memory_new(worker->loop);
    m->connector = connector;
    list_init(&m->retired);
    worker->clusters = m;
    m->async_calls = async_calls_new(worker);
    return m;
}

static void pools_fini(struct cluster_runtime *c)
{
    struct bytes key;
    void *value;
    for (size_t i = 0; map_next(&c->pools, &i, &key, &value);) {
        struct conn_pool *p = value;
        conn_pool_free(&p);
    }
    LIST_EACH(it, &c->draining)
    {
        struct conn_pool *p = LIST_ENTRY(it, struct conn_pool, draining_link);
        conn_pool_free(&p);
    }
    map_fini(&c->pools);
}

static void sockets_fini(struct cluster_runtime *c)
{
    tls_context_unref(&c->socket.tls);
    for (unsigned i = 0; i < c->n_matches; i++)
        tls_context_unref(&c->matches[i].tls);
    mem_free(c->matches);
    c->matches = NULL;
    c->n_matches = 0;
    stat_scope_unref(&c->ssl_stats);
    stat_scope_unref(&c->tls_stats);
}

static void runtime_free(struct cluster_runtime *c)
{
    pools_fini(c);
    breakers_move(c, NULL);
    list_remove(&c->retired_link);
    lb_free(&c->lb);
    sockets_fini(c);
    method_stats_forget(c);
    stat_scope_unref(&c->stats);
    if (c->http2_stats)
        stat_scope_unref(&c->http2_stats);
    mem_free(c->params.http2);
    mem_free((char *)c->name.data);
    mem_free(c);
}

void cluster_manager_free(struct cluster_manager **mp)
{
    struct cluster_manager *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    struct bytes key;
    void *value;
    async_calls_free(&m->async_calls);
    for (size_t i = 0; map_next(&m->runtimes, &i, &key, &value);)
        runtime_free(value);
    map_fini(&m->runtimes);
    LIST_EACH(it, &m->retired)
    runtime_free(LIST_ENTRY(it, struct cluster_runtime, retired_link));
    m->worker->clusters = NULL;
    h2_memory_free(&m->h2_memory);
    mem_free(m);
}

/* FNV-1a over the values that make two connections different. */
static uint64_t shape_add(uint64_t h, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    return h;
}

static uint64_t shape_of(const struct cluster *c)
{
    uint64_t h = 0xcbf29ce484222325ull;
    uint32_t numbers[] = {
        c->protocol,
        c->keepalive,
        c->keepalive_probes,
        c->keepalive_time_s,
        c->keepalive_interval_s,
        c->has_bind_address,
        c->has_bind_address ? (uint32_t)address_hash(&c->bind_address) : 0,
        c->max_response_headers_kb,
        c->max_headers_count,
        c->enable_trailers,
        c->allow_chunked_length,
    };
    h = shape_add(h, numbers, sizeof(numbers));
    h = c->http2 ? shape_add(h, c->http2, sizeof(*c->http2)) : h;
    /* As it stands in the resource: a new secret changes no connection that there is */
    return c->tls ? shape_add(h, c->tls->wire.data, c->tls->wire.len) : h;
}

/* Of one of the matches: never 0. */
static uint64_t socket_shape(const struct tls_socket *s)
{
    return (s ? shape_add(1, s->wire.data, s->wire.len) : 2) | 1ull << 63;
}

static void params_set(struct pool_params *p, const struct cluster *c)
{
    p->connect_timeout_ms = c->connect_timeout_ms;
    p->idle_timeout_ms = c->idle_timeout_ms;
    p->max_duration_ms = c->max_connection_duration_ms;
    p->max_stream_duration_ms = c->max_stream_duration_ms;
    p->max_requests_per_connection = c->max_requests_per_connection;
    p->buffer_limit = c->buffer_limit;
    p->max_response_headers_kb = c->max_response_headers_kb;
    p->max_headers_count = c->max_headers_count;
    p->enable_trailers = c->enable_trailers;
    p->allow_chunked_length = c->allow_chunked_length;
    p->keepalive_probes = c->keepalive_probes;
    p->keepalive_time_s = c->keepalive_time_s;
    p->keepalive_interval_s = c->keepalive_interval_s;
    p->keepalive = c->keepalive;
    p->has_bind_address = c->has_bind_address;
    p->bind_address = c->bind_address;
    p->protocol = c->protocol;
    mem_free(p->http2);
    p->http2 = NULL;
    if (c->http2) {
        p->http2 = mem_alloc(sizeof(*p->http2));
        *p->http2 = *c->http2;
    }
    memcpy(p->breakers, c->breakers, sizeof(p->breakers));
}

static void socket_set(struct upstream_socket *s, const struct cluster_entry *e, unsigned i)
{
    const struct tls_socket *from = cluster_socket(e->cluster, i);
    const struct tls_node *node = cluster_entry_tls(e, i);
    s->wants_tls = from != NULL;
    s->tls = node ? tls_context_ref(node->context) : NULL;
    s->shape = i ? socket_shape(from) : 0;
}

const struct upstream_socket *cluster_runtime_socket(const struct cluster_runtime *c, unsigned i,
                                                     uint64_t shape)
{
    const struct upstream_socket *s = i == 0              ? &c->socket
                                      : i <= c->n_matches ? &c->matches[i - 1]
                                                          : NULL;
    return s && s->shape == shape ? s : NULL;
}

/* What the next connection is made with. Those that stand keep what they were made with. */
static void tls_set(struct cluster_runtime *c, const struct cluster_entry *e)
{
    sockets_fini(c);
    c->wants_tls = e && (e->cluster->tls || e->cluster->n_socket_matches);
    c->socket = (struct upstream_socket){0};
    if (!c->wants_tls)
        return;
    socket_set(&c->socket, e, 0);
    c->n_matches = e->cluster->n_socket_matches;
    c->matches = c->n_matches ? mem_zalloc(c->n_matches * sizeof(c->matches[0])) : NULL;
    for (unsigned i = 0; i < c->n_matches; i++)
        socket_set(&c->matches[i], e, i + 1);
    c->ssl_stats = e->ssl_stats ? stat_scope_ref(e->ssl_stats) : NULL;
    c->tls_stats = e->tls_stats ? stat_scope_ref(e->tls_stats) : NULL;
}

static struct cluster_runtime *runtime_new(struct cluster_manager *m, struct bytes name,
                                           const struct cluster_entry *entry)
{
    struct cluster_runtime *c = NEW(struct cluster_runtime);
    char *copy = mem_alloc(name.len + 1);
    memcpy(copy, name.data, name.len);
    copy[name.len] = '\0';
    c->name = bytes_from(copy, name.len);
    c->worker = m->worker;
    c->manager = m;
    c->entry = entry;
    c->stats = stat_scope_ref(entry->state->stats);
    list_init(&c->draining);
    list_init(&c->retired_link);
    params_set(&c->params, entry->cluster);
    c->shape = shape_of(entry->cluster);
    tls_set(c, entry);
    breakers_move(c, entry->state);
    map_set(&m->runtimes, name, c);
    return c;
}

struct cluster_runtime *cluster_runtime_get(struct worker *worker, struct bytes name)
{
    struct cluster_manager *m = worker->clusters;
    if (m->last && bytes_eq(m->last->name, name))
        return m->last;
    struct cluster_runtime *c = map_get(&m->runtimes, name);
    if (LIKELY(c != NULL)) {
        m->last = c;
        return c;
    }
    const struct cluster_entry *entry =
        worker->snapshot ? snapshot_cluster(worker->snapshot, name) : NULL;
    return entry ? runtime_new(m, name, entry) : NULL;
}

void cluster_runtime_use(struct cluster_runtime *c)
{
    c->users++;
}

void cluster_runtime_unused(struct cluster_runtime *c)
{
    if (c->retired && c->users == 0 && list_empty(&c->draining))
        runtime_free(c);
}

void cluster_runtime_done(struct cluster_runtime *c)
{
    CHECK(c->users > 0);
    c->users--;
    cluster_runtime_unused(c);
}

static void drain_pool(struct cluster_runtime *c, struct bytes key, struct conn_pool *p)
{
    map_remove(&c->pools, key);
    memset(c->recent, 0, sizeof(c->recent));
    list_push_back(&c->draining, &p->draining_link);
    conn_pool_drain(p);
}

static void drain_all(struct cluster_runtime *c)
{
    struct bytes key;
    void *value;
    for (size_t i = 0; map_next(&c->pools, &i, &key, &value);)
        drain_pool(c, key, value);
}

/* The cluster left the configuration. */
static void runtime_retire(struct cluster_runtime *c)
{
    map_remove(&c->manager->runtimes, c->name);
    if (c->manager->last == c)
        c->manager->last = NULL;
    list_push_back(&c->manager->retired, &c->retired_link);
    lb_free(&c->lb);
    breakers_move(c, NULL);
    c->entry = NULL;
    c->users++; /* not freed by the last pool while we walk them */
    c->retired = true;
    drain_all(c);
    cluster_runtime_done(c);
}

/* Pools that have a server name in their key: found by their host instead. */
static void keep_named(struct cluster_runtime *c, const struct host_set *set)
{
    struct bytes key;
    void *value;
    struct map hosts = MAP_INIT;
    for (uint32_t i = 0; i < set->n_hosts; i++) {
        const struct host *h = &set->hosts[i];
        map_set(&hosts, bytes_from((const char *)&h->state, sizeof(h->state)), (void *)h);
    }
    for (size_t i = 0; map_next(&c->pools, &i, &key, &value);) {
        struct conn_pool *p = value;
        const struct host *h = map_get(&hosts, bytes_from((const char *)&p->host, sizeof(p->host)));
        if (h && cluster_runtime_socket(c, h->socket, p->socket_shape))
            p->sweep = c->sweep;
    }
    map_fini(&hosts);
}

static void mark(struct cluster_runtime *c, const struct host *h, unsigned priority,
                 enum upstream_protocol protocol)
{
    static const struct server_name none;
    struct pool_key k = conn_pool_key(c, h, priority, protocol, &none);
    struct conn_pool *p = map_get(&c->pools, pool_key_bytes(&k));
    if (p && p->host == h->state)
        p->sweep = c->sweep;
}

/* Drains the pools whose host is gone. Cost: the hosts and pools of this cluster. */
static void sweep_hosts(struct cluster_runtime *c, const struct host_set *set)
{
    struct bytes key;
    void *value;
    bool named = false;
    if (map_count(&c->pools) == 0)
        return;
    c->sweep++;
    for (uint32_t i = 0; i < set->n_hosts; i++) {
        for (unsigned priority = 0; priority < N_ROUTING_PRIORITIES; priority++) {
            mark(c, &set->hosts[i], priority, UPSTREAM_TCP);
            if (c->params.protocol != UPSTREAM_DOWNSTREAM) {
                mark(c, &set->hosts[i], priority, c->params.protocol);
                continue;
            }
            mark(c, &set->hosts[i], priority, UPSTREAM_HTTP1);
            mark(c, &set->hosts[i], priority, UPSTREAM_HTTP2);
        }
    }
    for (size_t i = 0; !named && map_next(&c->pools, &i, &key, &value);)
        named = server_name_any(&((struct conn_pool *)value)->name);
    if (named)
        keep_named(c, set);
    for (size_t i = 0; map_next(&c->pools, &i, &key, &value);) {
        struct conn_pool *p = value;
        if (p->sweep != c->sweep)
            drain_pool(c, key, p);
    }
}

static void runtime_refresh(struct cluster_runtime *c, const struct cluster_entry *entry)
{
    const struct cluster_entry *before = c->entry;
    c->entry = entry;
    if (entry->cluster != before->cluster || entry->hosts != before->hosts)
        lb_free(&c->lb); /* made again at the next pick */
    if (entry->state->stats != c->stats) {
        method_stats_forget(c);
        stat_scope_unref(&c->stats);
        c->stats = stat_scope_ref(entry->state->stats);
    }
    breakers_move(c, entry->state);
    tls_set(c, entry);
    if (entry->cluster != before->cluster) {
        uint64_t shape = shape_of(entry->cluster);
        params_set(&c->params, entry->cluster);
        if (shape != c->shape)
            drain_all(c);
        c->shape = shape;
    }
    if (entry->hosts != before->hosts)
        sweep_hosts(c, entry->hosts);
}

static void on_difference(void *ctx, struct bytes key, void *old_value, void *new_value)
{
    struct cluster_manager *m = ctx;
    struct cluster_runtime *c = map_get(&m->runtimes, key);
    if (!c)
        return;
    if (new_value)
        runtime_refresh(c, new_value);
    else
        runtime_retire(c);
}

void cluster_manager_adopt(struct worker *worker, const struct snapshot *old,
                           const struct snapshot *now)
{
    worker->snapshot = now;
    if (old && old != now)
        pmap_diff(&old->clusters, &now->clusters, on_difference, worker->clusters);
}

const struct host *cluster_runtime_pick(struct cluster_runtime *c, const struct lb_query *q)
{
    bool panic = false;
    if (!c->lb)
        c->lb = lb_new(c->entry->cluster, c->entry->hosts, &c->worker->random);
    const struct host *host = lb_pick(c->lb, q, &panic);
    if (panic)
        cluster_stat_inc(c, STAT_LB_HEALTHY_PANIC);
    if (!host)
        cluster_stat_inc(c, STAT_UPSTREAM_CX_NONE_HEALTHY);
    return host;
}

struct conn_pool *cluster_runtime_pool(struct cluster_runtime *c, const struct host *host,
                                       unsigned priority, enum http_protocol downstream)
{
    return cluster_runtime_pool_named(c, host, priority, downstream, &(struct server_name){0});
}

static struct conn_pool **recent_of(struct cluster_runtime *c, const struct host *host)
{
    return &c->recent[(uintptr_t)host->state / sizeof(*host->state) % RECENT_POOLS];
}

/* Without TLS a host's state, the priority and the protocol say all that the key does: what a
 * connection is shaped by changes with all pools of the cluster. */
static struct conn_pool *recent_pool(struct cluster_runtime *c, const struct host *host,
                                     unsigned priority, enum upstream_protocol protocol)
{
    struct conn_pool *p = *recent_of(c, host);
    bool same = p && p->host == host->state && p->priority == priority && p->protocol == protocol &&
                p->socket == 0 && !c->wants_tls;
    return same ? p : NULL;
}

static struct conn_pool *pool_of(struct cluster_runtime *c, const struct host *host,
                                 unsigned priority, enum upstream_protocol protocol,
                                 const struct server_name *wanted)
{
    struct conn_pool *known = recent_pool(c, host, priority, protocol);
    if (LIKELY(known != NULL))
        return known;
    struct server_name name = {0};
    if (UNLIKELY(c->wants_tls))
        name = server_name_for_host(wanted, c->entry->cluster, host);
    struct pool_key k = conn_pool_key(c, host, priority, protocol, &name);
    struct conn_pool *p = map_get(&c->pools, pool_key_bytes(&k));
    if (LIKELY(p != NULL)) {
        *recent_of(c, host) = p;
        return p;
    }
    cluster_stat_add(c, priority ? STAT_CB_HIGH_CX_POOL_OPEN : STAT_CB_DEFAULT_CX_POOL_OPEN, 0);
    p = conn_pool_new(c, host, priority, protocol, &name);
    map_set(&c->pools, pool_key_bytes(&k), p);
    return p;
}

struct conn_pool *cluster_runtime_pool_named(struct cluster_runtime *c, const struct host *host,
                                             unsigned priority, enum http_protocol downstream,
                                             const struct server_name *name)
{
    enum upstream_protocol protocol = c->params.protocol;
    if (UNLIKELY(protocol == UPSTREAM_DOWNSTREAM))
        protocol = downstream == PROTOCOL_HTTP2 ? UPSTREAM_HTTP2 : UPSTREAM_HTTP1;
    return pool_of(c, host, priority, protocol, name);
}

struct conn_pool *cluster_runtime_pool_tcp(struct cluster_runtime *c, const struct host *host,
                                           unsigned priority, const struct server_name *name)
{
    return pool_of(c, host, priority, UPSTREAM_TCP, name);
}

unsigned cluster_manager_pools(const struct cluster_manager *m)
{
    struct bytes key;
    void *value;
    size_t n = 0;
    for (size_t i = 0; map_next(&m->runtimes, &i, &key, &value);)
        n += map_count(&((struct cluster_runtime *)value)->pools);
    return (unsigned)n;
}

static unsigned runtime_connections(const struct cluster_runtime *c)
{
    struct bytes key;
    void *value;
    unsigned n = 0;
    for (size_t i = 0; map_next(&c->pools, &i, &key, &value);)
        n += conn_pool_connections(value);
    for (const struct list *it = c->draining.next; it != &c->draining; it = it->next)
        n += conn_pool_connections(LIST_ENTRY(it, struct conn_pool, draining_link));
    return n;
}

unsigned cluster_manager_connections(const struct cluster_manager *m)
{
    struct bytes key;
    void *value;
    unsigned n = 0;
    for (size_t i = 0; map_next(&m->runtimes, &i, &key, &value);)
        n += runtime_connections(value);
    for (const struct list *it = m->retired.next; it != &m->retired; it = it->next)
        n += runtime_connections(LIST_ENTRY(it, struct cluster_runtime, retired_link));
    return n;
}
