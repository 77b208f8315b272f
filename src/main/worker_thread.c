#include "main/worker_thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "config/config_stats.h"
#include "dataplane/http/http_conn.h"
#include "dataplane/net/acceptor.h"
#include "dataplane/net/chunk.h"
#include "dataplane/net/conn_limit.h"
#include "dataplane/upstream/cluster_demand.h"
#include "dataplane/upstream/cluster_manager.h"
#include "filters/access_loggers/grpc/grpc_logs.h"
#include "main/config_thread.h"
#include "main/cpus.h"
#include "main/post_call.h"

/* Until a listener is looked for again whose socket could not be had. */
enum { LATE_MS = 200 };

/* One listening socket of this worker. */
struct worker_listener {
    struct list link;
    struct acceptor acceptor;
    struct worker_thread *thread;
    char *key;                          /* the registry's */
    uint64_t serial;                    /* of the socket there */
    uint32_t address_id;                /* of the listener's address */
    const struct listener_entry *entry; /* of the current snapshot */
    unsigned generation;                /* last adoption that named it */
};

static void on_accept(struct acceptor *a, int fd, const struct address *remote)
{
    struct worker_listener *l = a->owner;
    struct address local = acceptor_local(a, fd);
    accept_begin(&l->thread->accepted, l->entry, l->address_id, fd, &local, remote);
}

static void on_exhausted(struct acceptor *a, int error, uint64_t retry_ms)
{
    struct worker_listener *l = a->owner;
    LOG(LOG_CONN_HANDLER, LOG_ERROR, "listener '%.*s': accept failed: %s; next try in %llu ms",
        BYTES_ARG(l->entry->listener->name), strerror(error), (unsigned long long)retry_ms);
}

static void on_accepted(struct acceptor *a, unsigned n)
{
    struct worker_listener *l = a->owner;
    stat_record(l->entry->stats, l->thread->worker.slot, STAT_LISTENER_ACCEPTED_PER_EVENT, n);
}

static const struct acceptor_ops acceptor_ops = {on_accept, on_exhausted, on_accepted};

static struct worker_listener *find_listener(struct worker_thread *t, const char *key)
{
    LIST_EACH(it, &t->acceptors)
    {
        struct worker_listener *l = LIST_ENTRY(it, struct worker_listener, link);
        if (strcmp(l->key, key) == 0)
            return l;
    }
    return NULL;
}

static void drop_listener(struct worker_listener *l)
{
    acceptor_fini(&l->acceptor); /* accepts what waits, for the listener that was */
    list_remove(&l->link);
    mem_free(l->key);
    mem_free(l);
}

struct sync {
    struct worker_thread *thread;
    unsigned generation;
    bool late; /* of some address there was no descriptor left */
};

static struct worker_listener *open_listener(struct sync *s, const struct listener_entry *e,
                                             const char *key)
{
    struct worker_thread *t = s->thread;
    uint64_t serial;
    int fd = listener_registry_take(t->o.registry, bytes_of(key), t->o.index, &serial);
    if (fd < 0) {
        s->late |= serial != 0;
        if (serial && !t->late)
            LOG(LOG_CONN_HANDLER, LOG_ERROR,
                "listener '%.*s': no socket for this worker: %s; next try in %d ms",
                BYTES_ARG(e->listener->name), strerror(errno), LATE_MS);
        return NULL;
    }
    struct worker_listener *l = NEW(struct worker_listener);
    l->thread = t;
    l->key = mem_strdup(key);
    l->serial = serial;
    l->entry = e;
    acceptor_init(&l->acceptor, t->worker.loop, fd, e->listener->max_accepts_per_event,
                  &acceptor_ops, l);
    list_push_back(&t->acceptors, &l->link);
    return l;
}

/* An address may have been given up and opened again between two snapshots that this worker saw:
 * the socket that it has is not the one that clients reach then. */
static void listen_on(struct sync *s, const struct listener_entry *e, unsigned i, const char *key)
{
    struct worker_thread *t = s->thread;
    struct worker_listener *l = find_listener(t, key);
    if (l && l->serial != listener_registry_serial(t->o.registry, bytes_of(key))) {
        drop_listener(l);
        l = NULL;
    }
    if (!l && !(l = open_listener(s, e, key)))
        return;
    l->entry = e;
    l->address_id = e->listener->addresses[i].id;
    l->generation = s->generation;
}

static bool sync_listener(void *ctx, struct bytes name, void *value)
{
    struct sync *s = ctx;
    const struct listener_entry *e = value;
    struct strbuf key = STRBUF_INIT;
    for (unsigned i = 0; e->listener->bind_to_port && i < e->listener->n_addresses; i++) {
        strbuf_reset(&key);
        listener_registry_key(e->listener, i, &key);
        listen_on(s, e, i, strbuf_str(&key));
    }
    strbuf_fini(&key);
    return true;
}

/* The sockets follow the snapshot's listeners; an address that stays keeps its socket. */
static void sync_listeners(struct worker_thread *t)
{
    static _Thread_local unsigned generation;
    struct sync s = {t, ++generation, false};
    if (!t->accepting || !t->worker.snapshot)
        return;
    pmap_each(&t->worker.snapshot->listeners, sync_listener, &s);
    LIST_EACH(it, &t->acceptors)
    {
        struct worker_listener *l = LIST_ENTRY(it, struct worker_listener, link);
        if (l->generation != s.generation)
            drop_listener(l);
    }
    t->late = s.late;
    if (s.late)
        timer_start(&t->retry, LATE_MS);
}

static void on_retry(struct timer *timer)
{
    sync_listeners(timer->owner);
}

struct changed {
    bool any;
};

static void listener_changed(void *ctx, struct bytes name, void *old_value, void *new_value)
{
    ((struct changed *)ctx)->any = true;
}

static void adopt(struct post *p)
{
    struct worker_thread *t = p->owner;
    struct snapshot *now = snapshot_slot_take(&t->slot);
    const struct snapshot *old = t->worker.snapshot;
    struct pmap none = PMAP_INIT(NULL);
    struct changed changed = {false};
    if (!now)
        return;
    /* What a control plane sends is adopted even where an allocation fails. */
    bool UNUSED spare = mem_reserve(1);
    cluster_manager_adopt(&t->worker, old, now); /* sets worker.snapshot */
    stat_set(t->o.clusters, t->worker.slot, STAT_CLUSTERS_INFLATED, (int64_t)now->clusters.count);
    pmap_diff(old ? &old->listeners : &none, &now->listeners, listener_changed, &changed);
    if (changed.any) {
        sync_listeners(t);
        if (http_conn_list_drain_gone(&t->worker) && !timer_pending(&t->drain))
            timer_start(&t->drain, t->o.drain.time_ms);
    }
    config_thread_return(t->o.config, (struct snapshot *)old);
    cluster_demand_review(&t->worker);
    mem_reserve_end();
}

/* Of the chains that went first; each drains for its whole time. */
static void on_drained(struct timer *timer)
{
    struct worker_thread *t = timer->owner;
    uint64_t next_ms = http_conn_list_close_gone(&t->worker);
    if (next_ms)
        timer_start(&t->drain, next_ms);
}

static void ask(void *ctx, enum resource_type type, const struct config_source *source,
                struct bytes name)
{
    config_thread_demand(((struct worker_thread *)ctx)->o.config, type, source, name);
}

static void on_settled(void *a, void *b)
{
    struct worker_thread *t = a;
    struct strbuf *key = b;
    cluster_demand_settled(&t->worker, strbuf_bytes(key));
    strbuf_fini(key);
    mem_free(key);
}

void worker_thread_demand_settled(struct worker_thread *t, struct bytes key)
{
    struct strbuf *copy = NEW(struct strbuf);
    strbuf_add_bytes(copy, key);
    post_call(t->worker.loop, on_settled, t, copy);
}

struct worker_thread *worker_thread_new(const struct worker_thread_options *o, struct error *err)
{
    struct loop *loop = loop_new(&clock_real, err);
    if (!loop)
        return NULL;
    struct worker_thread *t = NEW(struct worker_thread);
    t->o = *o;
    t->worker = (struct worker){.magic = WORKER_MAGIC,
                                .slot = STAT_SLOT_WORKER0 + o->index,
                                .index = o->index,
                                .loop = loop,
                                .chunks = chunk_pool_new(loop, 0),
                                .stats = o->stats,
                                .drain = o->drain,
                                .access_log = o->access_log,
                                .connections = o->connections};
    random_seed_os(&t->worker.random);
    list_init(&t->acceptors);
    accept_list_init(&t->accepted, &t->worker);
    snapshot_slot_init(&t->slot, loop, adopt, t);
    cluster_manager_new(&t->worker, &connector_socket);
    cluster_demand_new(&t->worker, ask, t);
    http_worker_init(&t->worker);
    timer_init(&t->drain, loop, on_drained, t);
    timer_init(&t->retry, loop, on_retry, t);
    return t;
}

static void *thread_main(void *arg)
{
    struct worker_thread *t = arg;
    char name[16];
    snprintf(name, sizeof(name), "wrk:worker_%u", t->o.index % 1000);
    pthread_setname_np(pthread_self(), name);
    cpus_take_at_once();
    loop_run(t->worker.loop);
    return NULL;
}

void worker_thread_run(struct worker_thread *t, struct bytes node)
{
    t->grpc_logs = grpc_logs_new(&t->worker, node);
    CHECK(pthread_create(&t->thread, NULL, thread_main, t) == 0);
    t->started = true;
}

static void begin_accepting(void *a, void *b)
{
    struct worker_thread *t = a;
    t->accepting = true;
    sync_listeners(t);
}

void worker_thread_accept(struct worker_thread *t)
{
    post_call(t->worker.loop, begin_accepting, t, NULL);
}

static void set_health(void *a, void *b)
{
    ((struct worker_thread *)a)->worker.drain.health_failed = b != NULL;
}

void worker_thread_fail_health(struct worker_thread *t, bool fail)
{
    post_call(t->worker.loop, set_health, t, fail ? t : NULL);
}

static void begin_drain(void *a, void *b)
{
    struct worker *w = &((struct worker_thread *)a)->worker;
    w->drain.begun = true;
    w->drain.inbound_only = b != NULL;
    w->drain.begun_ns = loop_now_ns(w->loop);
}

void worker_thread_drain(struct worker_thread *t, bool inbound_only)
{
    post_call(t->worker.loop, begin_drain, t, inbound_only ? t : NULL);
}

static void drop_matching(struct worker_thread *t, bool inbound_only)
{
    LIST_EACH(it, &t->acceptors)
    {
        struct worker_listener *l = LIST_ENTRY(it, struct worker_listener, link);
        if (!inbound_only || l->entry->listener->direction == DIRECTION_INBOUND)
            drop_listener(l);
    }
}

static void stop_accepting(void *a, void *b)
{
    struct worker_thread *t = a;
    t->accepting = b != NULL; /* only the inbound ones: others go on */
    drop_matching(t, b != NULL);
}

void worker_thread_stop_accepting(struct worker_thread *t, bool inbound_only)
{
    post_call(t->worker.loop, stop_accepting, t, inbound_only ? t : NULL);
}

static void stop_loop(void *a, void *b)
{
    loop_stop(((struct worker_thread *)a)->worker.loop);
}

void worker_thread_stop(struct worker_thread *t)
{
    if (t->started) {
        post_call(t->worker.loop, stop_loop, t, NULL);
        pthread_join(t->thread, NULL);
    }
    t->started = t->accepting = false;
    LIST_EACH(it, &t->acceptors)
    drop_listener(LIST_ENTRY(it, struct worker_listener, link));
    timer_stop(&t->drain);
    timer_stop(&t->retry);
    accept_list_fini(&t->accepted);
    http_conn_list_close_all(&t->worker);
    loop_turn(t->worker.loop, false); /* lets the reaper free what was closed */
    http_worker_fini(&t->worker);     /* the streams that are left use clusters until they end */
    if (t->grpc_logs) {               /* they have written their last lines */
        grpc_logs_flush(t->grpc_logs);
        loop_turn(t->worker.loop, false);
    }
    grpc_logs_free(&t->grpc_logs);
    cluster_demand_free(&t->worker.demand);
    cluster_manager_free(&t->worker.clusters);
    loop_turn(t->worker.loop, false);
    config_thread_return(t->o.config, snapshot_slot_take(&t->slot));
    config_thread_return(t->o.config, (struct snapshot *)t->worker.snapshot);
    t->worker.snapshot = NULL;
}

void worker_thread_free(struct worker_thread **tp)
{
    struct worker_thread *t = *tp;
    *tp = NULL;
    if (!t)
        return;
    loop_free(&t->worker.loop);
    chunk_pool_free(&t->worker.chunks);
    mem_free(t);
}
