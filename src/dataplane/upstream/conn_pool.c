#include "dataplane/upstream/conn_pool.h"

#include "base/memory.h"
#include "dataplane/upstream/upstream_conn.h"
#include "dataplane/upstream/upstream_mux.h"

struct pool_key conn_pool_key(const struct cluster_runtime *c, const struct host *host,
                              unsigned priority, enum upstream_protocol protocol,
                              const struct server_name *name)
{
    struct pool_key k;
    const struct address *address = &host->address;
    memset(&k, 0, sizeof(k));
    k.shape = c->shape;
    if (UNLIKELY(host->socket > 0))
        k.shape ^= c->matches[host->socket - 1].shape;
    k.kind = address->kind;
    k.priority = (uint8_t)priority;
    k.protocol = (uint8_t)protocol;
    k.port = address->port;
    k.scope = address->scope;
    if (address->kind == ADDRESS_PIPE)
        k.path = (uint64_t)(uintptr_t)address->path; /* interned */
    else
        memcpy(k.ip, address->ip, address->kind == ADDRESS_IPV4 ? 4 : 16);
    if (UNLIKELY(server_name_any(name)))
        k.name = bytes_hash_seeded(name->verify, bytes_hash(name->send));
    k.name_use = (uint8_t)(name->verifies << 1 | (name->send.len > 0));
    return k;
}

static struct bytes copy_of(struct bytes b)
{
    char *copy = b.len ? mem_alloc(b.len) : NULL;
    if (copy)
        memcpy(copy, b.data, b.len);
    return bytes_from(copy, b.len);
}

static void set_others(struct conn_pool *p, const struct host *host)
{
    unsigned n;
    const struct address *others = host_others(host, &n);
    if (LIKELY(n == 0))
        return;
    p->others = mem_alloc(n * sizeof(*others));
    memcpy(p->others, others, n * sizeof(*others));
    p->n_others = (uint8_t)n;
}

struct conn_pool *conn_pool_new(struct cluster_runtime *c, const struct host *host,
                                unsigned priority, enum upstream_protocol protocol,
                                const struct server_name *name)
{
    struct conn_pool *p = NEW(struct conn_pool);
    p->name = (struct server_name){copy_of(name->send), copy_of(name->verify), name->verifies};
    p->cluster = c;
    p->host = host->state;
    host_state_hold(p->host);
    p->address = host->address;
    set_others(p, host);
    p->socket = host->socket;
    p->socket_shape = p->socket ? c->matches[p->socket - 1].shape : 0;
    p->priority = priority;
    p->protocol = protocol;
    list_init(&p->idle);
    list_init(&p->busy);
    list_init(&p->connecting);
    list_init(&p->closing);
    list_init(&p->waiting);
    list_init(&p->draining_link);
    return p;
}

static void join_queue(struct conn_pool *p, struct pool_request *r)
{
    r->waiting = true;
    list_push_back(&p->waiting, &r->link);
    p->n_waiting++;
    cluster_stat_inc(p->cluster, STAT_UPSTREAM_RQ_PENDING_TOTAL);
    cluster_stat_inc(p->cluster, STAT_UPSTREAM_RQ_PENDING_ACTIVE);
    atomic_fetch_add_explicit(&host_state_use(p->host)->rq_pending_active, 1, memory_order_relaxed);
    breaker_inc(p->cluster, p->priority, BREAKER_PENDING);
}

static void leave_queue(struct pool_request *r)
{
    struct conn_pool *p = r->pool;
    list_remove(&r->link);
    r->waiting = false;
    p->n_waiting--;
    cluster_stat_add(p->cluster, STAT_UPSTREAM_RQ_PENDING_ACTIVE, -1);
    atomic_fetch_sub_explicit(&host_state_use(p->host)->rq_pending_active, 1, memory_order_relaxed);
    breaker_dec(p->cluster, p->priority, BREAKER_PENDING);
}

static void drop_connections(struct list *head)
{
    LIST_EACH(it, head)
    upstream_conn_drop(LIST_ENTRY(it, struct upstream_conn, link));
}

void conn_pool_free(struct conn_pool **pp)
{
    struct conn_pool *p = *pp;
    *pp = NULL;
    if (!p)
        return;
    LIST_EACH(it, &p->waiting)
    {
        struct pool_request *r = LIST_ENTRY(it, struct pool_request, link);
        leave_queue(r);
        r->pool = NULL;
    }
    drop_connections(&p->idle);
    drop_connections(&p->busy);
    drop_connections(&p->connecting);
    drop_connections(&p->closing);
    list_remove(&p->draining_link);
    host_state_release(p->host);
    mem_free(p->others);
    mem_free((char *)(uintptr_t)p->name.send.data);
    mem_free((char *)(uintptr_t)p->name.verify.data);
    mem_free(p);
}

static bool is_empty(const struct conn_pool *p)
{
    return p->n_connections == 0 && p->n_waiting == 0;
}

static void free_if_done(struct conn_pool *p)
{
    if (!p->draining || !is_empty(p))
        return;
    struct cluster_runtime *c = p->cluster;
    conn_pool_free(&p);
    cluster_runtime_unused(c);
}

void conn_pool_drain(struct conn_pool *p)
{
    p->draining = true;
    LIST_EACH(it, &p->idle)
    {
        struct upstream_conn *uc = LIST_ENTRY(it, struct upstream_conn, link);
        if (upstream_conn_used(uc))
            upstream_mux_retire(uc);
        else
            upstream_conn_close(uc, CLOSE_HOST_REMOVED);
    }
    if (p->n_waiting == 0) {
        LIST_EACH(it, &p->connecting)
        upstream_conn_close(LIST_ENTRY(it, struct upstream_conn, link), CLOSE_HOST_REMOVED);
    }
    free_if_done(p);
}

/* How many requests a connection under way will take. */
static uint32_t streams_expected(const struct conn_pool *p)
{
    const struct pool_params *params = &p->cluster->params;
    if (p->protocol == UPSTREAM_HTTP1 || p->protocol == UPSTREAM_TCP || p->one_each ||
        !params->http2)
        return 1;
    uint32_t n = params->http2->max_concurrent_streams, left = params->max_requests_per_connection;
    if (p->streams_told && p->streams_told < n)
        n = p->streams_told;
    return left && left < n ? left : n;
}

/* One connection under way for each waiting request, or for as many as it will take.
 * Beyond the limit of connections only a pool
 * that has none at all may open one, so that its requests do not wait for nothing. */
static void connect_more(struct conn_pool *p)
{
    uint64_t each = streams_expected(p);
    while (p->n_connecting * each < p->n_waiting) {
        if (!breaker_can_create(p->cluster, p->priority, BREAKER_CX)) {
            cluster_stat_inc(p->cluster, STAT_UPSTREAM_CX_OVERFLOW);
            if (p->n_connections > 0)
                return;
        }
        upstream_conn_new(p);
    }
}

static bool may_serve(struct conn_pool *p)
{
    if (breaker_can_create(p->cluster, p->priority, BREAKER_RQ))
        return true;
    cluster_stat_inc(p->cluster, STAT_UPSTREAM_RQ_ACTIVE_OVERFLOW);
    return false;
}

static void attach(struct conn_pool *p, struct upstream_conn *uc, struct pool_request *r)
{
    list_remove(&uc->link);
    list_push_front(&p->busy, &uc->link);
    if (LIKELY(!uc->mux)) {
        upstream_conn_attach(uc, r);
        return;
    }
    upstream_mux_attach(uc, r);
    if (uc->state == UPSTREAM_CONN_IDLE) { /* there is room for more */
        list_remove(&uc->link);
        list_push_front(&p->idle, &uc->link);
    }
}

enum pool_result conn_pool_get(struct conn_pool *p, struct pool_request *r)
{
    CHECK(!r->conn && !r->waiting);
    r->pool = p;
    struct list *first = list_first(&p->idle);
    if (LIKELY(first != NULL)) {
        if (!may_serve(p))
            return POOL_OVERFLOW_ACTIVE;
        attach(p, LIST_ENTRY(first, struct upstream_conn, link), r);
        return POOL_READY;
    }
    if (!breaker_can_create(p->cluster, p->priority, BREAKER_PENDING)) {
        cluster_stat_inc(p->cluster, STAT_UPSTREAM_RQ_PENDING_OVERFLOW);
        return POOL_OVERFLOW;
    }
    join_queue(p, r);
    connect_more(p);
    return POOL_PENDING;
}

/* Gives an idle connection to the request that waits longest. Keeps the pool alive meanwhile. */
static void serve_waiting(struct conn_pool *p, struct upstream_conn *uc)
{
    if (LIKELY(p->n_waiting == 0))
        return;
    while (p->n_waiting > 0 && uc->state == UPSTREAM_CONN_IDLE) {
        struct pool_request *r = LIST_ENTRY(list_first(&p->waiting), struct pool_request, link);
        leave_queue(r);
        if (!may_serve(p)) {
            r->ops->on_failure(r, UPSTREAM_OVERFLOW, BYTES_NONE);
            continue;
        }
        attach(p, uc, r);
        r->ops->on_ready(r);
    }
    if (p->n_waiting > 0) /* it takes fewer than was thought, or others gave up theirs */
        connect_more(p);
}

static void became_idle(struct conn_pool *p, struct upstream_conn *uc)
{
    list_remove(&uc->link);
    list_push_front(&p->idle, &uc->link);
    upstream_conn_set_idle(uc);
    serve_waiting(p, uc);
    bool kept =
        !p->draining && p->protocol != UPSTREAM_TCP; /* a tunnel has a connection of its own */
    if (kept || uc->state != UPSTREAM_CONN_IDLE)
        return;
    if (upstream_conn_used(uc))
        upstream_mux_retire(uc);
    else
        upstream_conn_close(uc, CLOSE_HOST_REMOVED);
}

void conn_pool_connected(struct conn_pool *p, struct upstream_conn *uc)
{
    p->n_connecting--;
    p->one_each = !uc->mux;
    became_idle(p, uc);
}

void conn_pool_released(struct conn_pool *p, struct upstream_conn *uc)
{
    became_idle(p, uc);
}

void conn_pool_full(struct conn_pool *p, struct upstream_conn *uc)
{
    uc->state = UPSTREAM_CONN_BUSY;
    list_remove(&uc->link);
    list_push_front(&p->busy, &uc->link);
}

void conn_pool_forget(struct conn_pool *p, struct upstream_conn *uc)
{
    if (uc->state == UPSTREAM_CONN_CONNECTING)
        p->n_connecting--;
    list_remove(&uc->link);
    list_push_back(&p->closing, &uc->link);
}

/* A failed connection fails all that wait: the users decide whether to try again. */
static void fail_waiting(struct conn_pool *p, enum upstream_failure why, struct bytes text)
{
    struct list waiting;
    list_init(&waiting);
    list_splice(&waiting, &p->waiting);
    struct list *l;
    while ((l = list_first(&waiting)) != NULL) {
        struct pool_request *r = LIST_ENTRY(l, struct pool_request, link);
        leave_queue(r);
        cluster_stat_inc(p->cluster, STAT_UPSTREAM_RQ_PENDING_FAILURE_EJECT);
        r->ops->on_failure(r, why, text);
    }
}

void conn_pool_closed(struct conn_pool *p, bool was_connecting, enum upstream_failure why,
                      struct bytes text)
{
    if (was_connecting)
        fail_waiting(p, why, text);
    p->n_connections--; /* only now: the callbacks above must not free the pool */
    if (p->n_waiting > 0)
        connect_more(p);
    free_if_done(p);
}

void pool_request_init(struct pool_request *r, const struct pool_request_ops *ops, void *owner,
                       struct headers *response, struct headers *trailers)
{
    memset(r, 0, sizeof(*r));
    list_init(&r->link);
    r->ops = ops;
    r->owner = owner;
    r->response = response;
    r->trailers = trailers;
}

void pool_request_cancel(struct pool_request *r)
{
    if (r->waiting) {
        struct conn_pool *p = r->pool;
        leave_queue(r);
        cluster_stat_inc(p->cluster, STAT_UPSTREAM_RQ_CANCELLED);
        free_if_done(p);
    } else if (r->conn && r->conn->mux) {
        upstream_mux_detach(r);
    } else if (r->conn) {
        upstream_conn_detach(r->conn);
    }
    r->pool = NULL;
}
