#include "loopback.h"

#include <check.h>

#include "dataplane/http/http_conn_list.h"

static struct chain_binding *make_binding(struct loopback *lb, const char *key)
{
    struct filter_chain *chain = node_new(NODE_FILTER_CHAIN, sizeof(*chain), 0, NULL);
    chain->key = arena_dup(chain->node.arena, bytes_of(key));
    chain->name = BYTES("chain");
    chain->is_http = true;
    struct chain_binding *b = node_new(NODE_BINDING, sizeof(*b), 0, NULL);
    node_make_pinnable(&b->node);
    b->chain = chain;
    b->listener_name = BYTES("l");
    b->manager = lb->manager;
    b->listener_http_stats =
        stat_scope_get(lb->stats, BYTES("listener.l.http.test"), &listener_http_stat_schema);
    return b;
}

static void free_binding(struct chain_binding *b)
{
    struct filter_chain *chain = (struct filter_chain *)b->chain;
    stat_scope_unref(&b->listener_http_stats);
    NODE_UNREF(&chain);
    NODE_UNREF(&b);
}

static struct listener_entry *make_entry(struct loopback *lb, struct chain_binding *b)
{
    struct listener_entry *e = node_new(NODE_LISTENER, sizeof(*e), 0, NULL);
    struct listener *l = node_new(NODE_LISTENER, sizeof(*l), 0, NULL);
    l->name = BYTES("l");
    l->buffer_limit = 64 * 1024;
    e->listener = l;
    e->chains = ARENA_ARRAY(e->node.arena, struct chain_binding *, 1);
    e->chains[0] = b;
    e->n_chains = b ? 1 : 0;
    e->stats = stat_scope_get(lb->stats, BYTES("listener.l"), &listener_stat_schema);
    return e;
}

static void free_entry(struct listener_entry *e)
{
    struct listener *l = (struct listener *)e->listener;
    stat_scope_unref(&e->stats);
    NODE_UNREF(&l);
    NODE_UNREF(&e);
}

static struct http_manager *make_manager(struct loopback *lb,
                                         const struct http_filter_ops *const *filters, unsigned n)
{
    struct http_manager *m = node_new(NODE_HTTP_MANAGER, sizeof(*m), 0, NULL);
    node_make_pinnable(&m->node);
    m->stat_prefix = BYTES("test");
    m->stats = stat_scope_get(lb->stats, BYTES("http.test"), &http_stat_schema);
    m->filters = ARENA_ARRAY(m->node.arena, struct http_filter_slot, n);
    m->n_filters = n;
    for (unsigned i = 0; i < n; i++)
        m->filters[i] = (struct http_filter_slot){.factory = &filters[i]->factory,
                                                  .name = bytes_of(filters[i]->factory.name)};
    m->server_name = BYTES("envoy");
    m->stream_idle_timeout_ms = 300000;
    m->drain_timeout_ms = 5000;
    m->delayed_close_timeout_ms = 1000;
    m->idle_timeout_ms = 3600000;
    m->max_headers_count = 100;
    m->max_request_headers_kb = 60;
    m->generate_request_id = true;
    m->allow_absolute_url = true;
    m->enable_trailers = true;
    return m;
}

void loopback_init(struct loopback *lb, const struct http_filter_ops *const *filters, unsigned n)
{
    struct error err = ERROR_INIT;
    memset(lb, 0, sizeof(*lb));
    node_set_pin_slots(3);
    clock_fake_init(&lb->clock);
    lb->clock.wall = 1700000000ull * NS_PER_S;
    lb->loop = loop_new(&lb->clock.clock, &err);
    lb->stats = stat_store_new(3);
    lb->manager = make_manager(lb, filters, n);
    lb->binding = make_binding(lb, "key");
    lb->entry = make_entry(lb, lb->binding);
    lb->snapshot.version = 1;
    lb->snapshot.listeners = (struct pmap)PMAP_INIT(NULL);
    pmap_set(&lb->snapshot.listeners, BYTES("l"), lb->entry);
    lb->worker = (struct worker){.magic = WORKER_MAGIC,
                                 .slot = STAT_SLOT_WORKER0,
                                 .loop = lb->loop,
                                 .chunks = chunk_pool_new(lb->loop, 0),
                                 .stats = lb->stats,
                                 .snapshot = &lb->snapshot};
    random_seed(&lb->worker.random, 1);
    http_worker_init(&lb->worker);
}

void loopback_fini(struct loopback *lb)
{
    http_conn_list_close_all(&lb->worker);
    loopback_run(lb);
    ck_assert_uint_eq(http_conn_list_count(&lb->worker), 0);
    http_worker_fini(&lb->worker);
    access_log_writer_free(&lb->log_writer);
    pmap_fini(&lb->snapshot.listeners);
    free_entry(lb->entry);
    if (lb->binding)
        free_binding(lb->binding);
    stat_scope_unref(&lb->manager->stats);
    NODE_UNREF(&lb->manager);
    node_reap();
    loop_free(&lb->loop);
    chunk_pool_free(&lb->worker.chunks);
    stat_store_free(&lb->stats);
}

void loopback_log_to(struct loopback *lb, const char *path, const char *format)
{
    struct error err = ERROR_INIT;
    if (!lb->log_writer) {
        lb->log_writer = access_log_writer_new(1000, SIZE_MAX);
        access_log_writer_start(lb->log_writer);
        lb->worker.http_conns->log = access_log_buffer_new(lb->log_writer, lb->loop);
    }
    lb->log = (struct access_log){.sink = ACCESS_LOG_FILE, .path = bytes_of(path)};
    lb->log.format.has_without_query = true; /* as if its formatter were named */
    ck_assert_msg(format_compile(lb->manager->node.arena, bytes_of(format), &lb->log.format, &err),
                  "%s", error_text(&err));
    lb->logs[0] = &lb->log;
    lb->manager->access_logs = lb->logs;
    lb->manager->n_access_logs = 1;
}

void loopback_run(struct loopback *lb)
{
    CHECK(loop_fake_turn(lb->loop)); /* Check allocates: not in here */
}

void loopback_advance(struct loopback *lb, uint64_t ms)
{
    loop_fake_advance(lb->loop, ms);
    loopback_run(lb);
}

/* The old nodes stay pinned by connections; they are reaped at the end. */
void loopback_swap(struct loopback *lb, const char *chain_key)
{
    struct listener_entry *old_entry = lb->entry;
    struct chain_binding *old_binding = lb->binding;
    lb->binding = chain_key ? make_binding(lb, chain_key) : NULL;
    lb->entry = make_entry(lb, lb->binding);
    if (chain_key)
        pmap_set(&lb->snapshot.listeners, BYTES("l"), lb->entry);
    else
        pmap_remove(&lb->snapshot.listeners, BYTES("l"));
    lb->snapshot.version++;
    http_conn_list_drain_gone(&lb->worker);
    free_entry(old_entry);
    if (old_binding)
        stat_scope_unref(&old_binding->listener_http_stats);
}

uint64_t loopback_stat(struct loopback *lb, enum http_stat stat)
{
    bool used;
    return (uint64_t)stat_read(lb->manager->stats, stat, &used);
}

static void on_data(struct connection *connection, struct buffer *in, bool end)
{
    struct client *c = connection_owner(connection);
    for (const struct slice *s = in->head; s; s = s->next)
        strbuf_add(&c->received, s->data, s->len);
    buffer_drain(in, in->len);
    c->ended |= end;
}

static void on_close(struct connection *connection, enum close_reason reason)
{
    struct client *c = connection_owner(connection);
    c->closed = true;
    c->connection = NULL;
}

static const struct connection_ops client_ops = {.on_data = on_data, .on_close = on_close};

void client_connect(struct client *c, struct loopback *lb)
{
    struct transport *ends[2];
    memset(c, 0, sizeof(*c));
    c->lb = lb;
    transport_pair_new(lb->loop, lb->worker.chunks, 16 * 1024, ends);
    c->connection = connection_new(lb->loop, lb->worker.chunks, ends[0], &client_ops, c);
    connection_set_half_close(c->connection, true);
    struct connection *server =
        connection_new(lb->loop, lb->worker.chunks, ends[1], &client_ops, c);
    c->server = http_conn_new(&lb->worker, server, lb->entry, lb->binding);
    loopback_run(lb);
}

void client_send(struct client *c, const char *text)
{
    connection_write_bytes(c->connection, bytes_of(text));
    loopback_run(c->lb);
}

void client_close(struct client *c)
{
    if (c->connection)
        connection_close(c->connection, CLOSE_LOCAL_RESET, CLOSE_NOW, 0);
    loopback_run(c->lb);
}

void client_fini(struct client *c)
{
    client_close(c);
    strbuf_fini(&c->received);
}

const char *client_take(struct client *c)
{
    static struct strbuf out;
    struct bytes rest = strbuf_bytes(&c->received);
    strbuf_cut(&out, 0);
    while (rest.len) {
        ptrdiff_t lf = bytes_find_char(rest, '\n');
        struct bytes line = lf < 0 ? rest : bytes_first(rest, (size_t)lf + 1);
        rest = bytes_skip(rest, line.len);
        if (!bytes_starts_with(line, BYTES("date: ")))
            strbuf_add_bytes(&out, line);
    }
    strbuf_cut(&c->received, 0);
    return strbuf_str(&out);
}
