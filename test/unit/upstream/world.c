#include "world.h"

#include <check.h>
#include <stdio.h>

#include "base/memory.h"

static void origin_on_data(struct connection *c, struct buffer *in, bool end)
{
    struct origin *o = connection_owner(c);
    while (in->len > 0) {
        struct bytes front = buffer_front(in);
        strbuf_add_bytes(&o->in, front);
        buffer_drain(in, front.len);
    }
    o->eof = end;
}

static void origin_on_close(struct connection *c, enum close_reason reason)
{
    struct origin *o = connection_owner(c);
    o->connection = NULL;
    o->eof = true;
}

static const struct connection_ops origin_callbacks = {
    .on_data = origin_on_data,
    .on_close = origin_on_close,
};

static struct connection *world_connect(const struct connector *self, struct worker *worker,
                                        const struct address *to, const struct connect_options *opt,
                                        const struct connection_ops *ops, void *owner)
{
    struct world *w = CONTAINER_OF(self, struct world, connector);
    struct transport *ends[2];
    if (w->sockets)
        return connection_connect(w->loop, worker->chunks, to, opt, ops, owner);
    transport_pair_new(w->loop, worker->chunks, w->deaf_origins ? 1024 : 0, ends);
    struct origin *o = NEW(struct origin);
    o->world = w;
    o->address = *to;
    o->connection = connection_new(w->loop, worker->chunks, ends[1], &origin_callbacks, o);
    if (w->deaf_origins)
        connection_read_pause(o->connection);
    list_push_back(&w->origins, &o->link);
    w->n_origins++;
    struct connection *c = connection_new(w->loop, worker->chunks, ends[0], ops, owner);
    connection_set_buffer_limit(c, opt->buffer_limit);
    return c;
}

struct world *world_new(void)
{
    struct world *w = NEW(struct world);
    struct error err = ERROR_INIT;
    char name[8];
    w->connector.connect = world_connect;
    clock_fake_init(&w->clock);
    w->loop = loop_new(world_clock(w), &err);
    ck_assert_msg(w->loop != NULL, "%s", error_text(&err));
    w->stats = stat_store_new(3);
    list_init(&w->origins);
    w->worker.magic = WORKER_MAGIC;
    w->worker.slot = STAT_SLOT_WORKER0;
    w->worker.loop = w->loop;
    w->worker.chunks = chunk_pool_new(NULL, 0);
    w->worker.stats = w->stats;
    random_seed(&w->worker.random, 7);
    for (unsigned i = 0; i < WORLD_HOSTS; i++)
        w->states[i] = host_states_new(1);
    for (unsigned i = 0; i < WORLD_CLUSTERS; i++) {
        snprintf(name, sizeof(name), "c%u", i);
        w->cluster_states[i] = cluster_state_new(w->stats, bytes_of(name));
    }
    w->manager = cluster_manager_new(&w->worker, &w->connector);
    return w;
}

static void origins_free(struct world *w)
{
    LIST_EACH(it, &w->origins)
    {
        struct origin *o = LIST_ENTRY(it, struct origin, link);
        origin_close(o);
    }
    world_run(w);
    LIST_EACH(it, &w->origins)
    {
        struct origin *o = LIST_ENTRY(it, struct origin, link);
        strbuf_fini(&o->in);
        mem_free(o);
    }
}

void world_free(struct world *w)
{
    cluster_manager_free(&w->manager);
    world_run(w);
    origins_free(w);
    for (unsigned i = 0; i < WORLD_CLUSTERS; i++) {
        for (unsigned p = 0; p < N_ROUTING_PRIORITIES; p++) {
            ck_assert_uint_eq(w->cluster_states[i]->in_use[p].counts[BREAKER_CX], 0);
            ck_assert_uint_eq(w->cluster_states[i]->in_use[p].counts[BREAKER_PENDING], 0);
            ck_assert_uint_eq(w->cluster_states[i]->in_use[p].counts[BREAKER_RQ], 0);
        }
        cluster_state_unref(&w->cluster_states[i]);
    }
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        const struct host_use *u = host_state_seen(w->states[i]);
        ck_assert_uint_eq(u->holds, 0);
        ck_assert_uint_eq(u->rq_active, 0);
        ck_assert_uint_eq(u->cx_active, 0);
        host_state_unref(&w->states[i]);
    }
    ck_assert_uint_eq(host_state_reap(), 0);
    for (unsigned i = 0; i < w->n_snapshots; i++)
        pmap_fini(&w->snapshots[i].clusters);
    loop_free(&w->loop);
    ck_assert_uint_eq(w->worker.chunks->live_chunks, 0);
    chunk_pool_free(&w->worker.chunks);
    stat_store_free(&w->stats);
    mem_free(w);
}

void world_snapshot(struct world *w)
{
    ck_assert_uint_lt(w->n_snapshots, WORLD_SNAPSHOTS);
    w->snapshots[w->n_snapshots].version = w->n_snapshots + 1;
    w->snapshots[w->n_snapshots].clusters = (struct pmap)PMAP_INIT(NULL);
    w->n_snapshots++;
}

static struct bytes cluster_name(struct cluster *c, unsigned index)
{
    static const char *const names[WORLD_CLUSTERS] = {"c0", "c1", "c2", "c3",
                                                      "c4", "c5", "c6", "c7"};
    c->name = c->stat_name = bytes_of(names[index]);
    return c->name;
}

static void fill_hosts(struct world *w, unsigned s, unsigned index, unsigned mask)
{
    struct host_set *set = &w->sets[s][index];
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        if (!(mask & 1u << i))
            continue;
        struct host *h = &w->hosts[s][index][set->n_hosts++];
        h->address = address_ipv4(10, 0, 0, 1, (uint16_t)(8000 + i));
        h->state = w->states[i];
        h->weight = 1;
    }
    set->hosts = w->hosts[s][index];
    set->priorities = &w->priorities[s][index];
    set->priorities[0].hosts = w->hosts[s][index];
    set->priorities[0].n_hosts = set->n_hosts;
    set->n_priorities = 1;
    set->overprovisioning_factor = 140;
}

struct cluster *world_cluster(struct world *w, unsigned index, unsigned host_mask)
{
    unsigned s = w->n_snapshots - 1;
    struct cluster *c = &w->clusters[s][index];
    struct circuit_breaker breaker = {{{1024, 1024, 1024, 3}}, UINT32_MAX, false};
    c->lb_policy = LB_ROUND_ROBIN;
    c->healthy_panic_threshold = 50;
    c->connect_timeout_ms = 5000;
    c->buffer_limit = 1 << 20;
    c->breakers[0] = c->breakers[1] = breaker;
    c->idle_timeout_ms = 3600000;
    c->max_response_headers_kb = 60;
    c->max_headers_count = 100;
    fill_hosts(w, s, index, host_mask);
    struct cluster_entry *e = &w->entries[s][index];
    e->cluster = c;
    e->hosts = &w->sets[s][index];
    e->state = w->cluster_states[index];
    pmap_set(&w->snapshots[s].clusters, cluster_name(c, index), e);
    return c;
}

void world_keep_cluster(struct world *w, unsigned index)
{
    unsigned s = w->n_snapshots - 1;
    struct bytes name = w->clusters[s - 1][index].name;
    pmap_set(&w->snapshots[s].clusters, name, pmap_get(&w->snapshots[s - 1].clusters, name));
}

void world_adopt(struct world *w)
{
    unsigned s = w->n_snapshots - 1;
    cluster_manager_adopt(&w->worker, s ? &w->snapshots[s - 1] : NULL, &w->snapshots[s]);
}

void world_set_port(struct world *w, unsigned cluster, uint16_t port)
{
    w->hosts[w->n_snapshots - 1][cluster][0].address = address_ipv4(127, 0, 0, 1, port);
}

int64_t world_stat(struct world *w, unsigned cluster, enum cluster_stat id)
{
    return stat_read(w->cluster_states[cluster]->stats, id, &(bool){false});
}

struct origin *world_origin(struct world *w, unsigned i)
{
    struct list *l = w->origins.next;
    ck_assert_uint_lt(i, w->n_origins);
    while (i-- > 0)
        l = l->next;
    return LIST_ENTRY(l, struct origin, link);
}

void origin_send(struct origin *o, const char *text)
{
    ck_assert_ptr_nonnull(o->connection);
    connection_write_bytes(o->connection, bytes_of(text));
    world_run(o->world);
}

void origin_close(struct origin *o)
{
    if (o->connection)
        connection_close(o->connection, CLOSE_SHUTDOWN, CLOSE_FLUSH, 0);
    world_run(o->world);
}

static struct client *client_of(struct pool_request *r)
{
    return r->owner;
}

static void on_ready(struct pool_request *r)
{
    strbuf_add_str(&client_of(r)->log, "ready ");
    client_send_get(client_of(r));
}

static void on_failure(struct pool_request *r, enum upstream_failure why, struct bytes text)
{
    static const char *const names[] = {"overflow",   "connect", "timeout", "local",
                                        "terminated", "reset",   "refused", "protocol"};
    strbuf_printf(&client_of(r)->log, "failed:%s ", names[why]);
    if (why == UPSTREAM_CONNECT_FAILED)
        strbuf_printf(&client_of(r)->log, "(%.*s) ", BYTES_ARG(text));
}

static void on_informational(struct pool_request *r)
{
    strbuf_printf(&client_of(r)->log, "info:%.*s ",
                  BYTES_ARG(headers_get(r->response, HEADER_STATUS)));
}

static void on_headers(struct pool_request *r, bool end)
{
    strbuf_printf(&client_of(r)->log, "headers:%.*s%s ",
                  BYTES_ARG(headers_get(r->response, HEADER_STATUS)), end ? ",end" : "");
}

static void on_data(struct pool_request *r, struct buffer *data, bool end)
{
    struct client *c = client_of(r);
    strbuf_add_str(&c->log, "data:");
    while (data->len > 0) {
        struct bytes front = buffer_front(data);
        strbuf_add_bytes(&c->log, front);
        buffer_drain(data, front.len);
    }
    strbuf_add_str(&c->log, end ? ",end " : " ");
}

static void on_trailers(struct pool_request *r)
{
    strbuf_add_str(&client_of(r)->log, "trailers,end ");
}

static void on_watermark(struct pool_request *r, bool above)
{
    strbuf_add_str(&client_of(r)->log, above ? "above " : "below ");
}

static const struct pool_request_ops client_callbacks = {
    .on_ready = on_ready,
    .on_failure = on_failure,
    .on_informational = on_informational,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_watermark = on_watermark,
};

struct client *client_new(struct world *w)
{
    struct client *c = NEW(struct client);
    c->arena = arena_new(0);
    c->chunks = w->worker.chunks;
    headers_init(&c->head, c->arena);
    headers_add_id(&c->head, HEADER_METHOD, BYTES("GET"));
    headers_add_id(&c->head, HEADER_SCHEME, BYTES("http"));
    headers_add_id(&c->head, HEADER_AUTHORITY, BYTES("a.test"));
    headers_add_id(&c->head, HEADER_PATH, BYTES("/"));
    headers_init(&c->response, c->arena);
    headers_init(&c->trailers, c->arena);
    pool_request_init(&c->request, &client_callbacks, c, &c->response, &c->trailers);
    return c;
}

void client_free(struct client *c)
{
    pool_request_cancel(&c->request);
    strbuf_fini(&c->log);
    arena_free(&c->arena);
    mem_free(c);
}

enum pool_result client_get(struct world *w, struct client *c, unsigned cluster)
{
    char name[8];
    snprintf(name, sizeof(name), "c%u", cluster);
    struct cluster_runtime *runtime = cluster_runtime_get(&w->worker, bytes_of(name));
    ck_assert_ptr_nonnull(runtime);
    const struct host *host = cluster_runtime_pick(runtime, NULL);
    ck_assert_ptr_nonnull(host);
    struct conn_pool *pool = cluster_runtime_pool(runtime, host, PRIORITY_DEFAULT, PROTOCOL_HTTP11);
    enum pool_result result = conn_pool_get(pool, &c->request);
    if (result == POOL_READY)
        client_send_get(c);
    return result;
}

void client_send_get(struct client *c)
{
    pool_request_send_headers(&c->request, &c->head, true);
}
