#include "main/server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "config/builder.h"
#include "config/config_stats.h"
#include "config/descriptors.h"
#include "dataplane/http/access_log_writer.h"
#include "dataplane/net/chunk.h"
#include "dataplane/upstream/cluster_manager.h"
#include "filters/registry.h"
#include "main/cpus.h"
#include "main/post_call.h"
#include "main/server_internal.h"
#include "main/tls_factory.h"

enum { SECOND_MS = 1000 };

/* ---- what the config thread asks of the process ---- */

static void unseen(void *a, void *b)
{
    builder_snapshot_returned(config_thread_builder(((struct server *)a)->config), b);
}

static void put(struct server *s, struct snapshot_slot *slot, struct snapshot *now)
{
    struct snapshot *old = snapshot_slot_put(slot, now);
    if (old) /* not from inside the builder's call */
        post_call(config_thread_loop(s->config), unseen, s, old);
}

static void publish(void *ctx, struct snapshot *snapshot)
{
    struct server *s = ctx;
    snapshot->holders = s->n_workers + 1;
    put(s, &s->slot, snapshot);
    for (unsigned i = 0; i < s->n_workers; i++)
        put(s, &s->workers[i]->slot, snapshot);
}

static void count_created(struct server *s, bool ok)
{
    stat_inc(s->listener_manager, STAT_SLOT_CONFIG,
             ok ? STAT_LM_LISTENER_CREATE_SUCCESS : STAT_LM_LISTENER_CREATE_FAILURE);
}

static bool bind_listener(void *ctx, const struct listener *l, struct error *err)
{
    struct server *s = ctx;
    bool ok = s->options->mode == MODE_VALIDATE || listener_registry_bind(s->registry, l, err);
    if (!ok)
        count_created(s, false);
    return ok;
}

static void listen_listener(void *ctx, const struct listener *l)
{
    struct server *s = ctx;
    if (s->options->mode == MODE_VALIDATE)
        return;
    enum listen_result r = listener_registry_listen(s->registry, l);
    if (r != LISTEN_LATER)
        count_created(s, r == LISTEN_DONE);
}

static bool count_first(void *ctx, struct bytes name, void *value)
{
    struct server *s = ctx;
    const struct listener *l = ((const struct listener_entry *)value)->listener;
    if (l->bind_to_port)
        count_created(s, !listener_registry_failed(s->registry, l));
    return true;
}

/* Config thread: those that were warm before. */
static void listen_first(struct server *s)
{
    const struct snapshot *now = builder_snapshot(config_thread_builder(s->config));
    listener_registry_serve(s->registry);
    if (now)
        pmap_each(&now->listeners, count_first, s);
}

static void release_listener(void *ctx, const struct listener *l)
{
    struct server *s = ctx;
    if (s->options->mode != MODE_VALIDATE)
        listener_registry_release(s->registry, l);
}

static void dns_start(void *ctx, const struct cluster *c, uint64_t generation)
{
    dns_driver_start(((struct server *)ctx)->dns, c, generation);
}

static void dns_stop(void *ctx, const struct cluster *c, uint64_t generation)
{
    dns_driver_stop(((struct server *)ctx)->dns, c, generation);
}

static void demand_settled(void *ctx, struct bytes key)
{
    struct server *s = ctx;
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_thread_demand_settled(s->workers[i], key);
}

static void *dial(void *ctx, const struct dial_request *q, dial_fn *fn, void *arg)
{
    return dialer_dial(&((struct server *)ctx)->dialer, q, fn, arg);
}

static void dial_cancel(void *ctx, void *d)
{
    dialer_cancel(&((struct server *)ctx)->dialer, d);
}

static void *fetch(void *ctx, const struct fetch_request *q, fetch_fn *fn, void *arg)
{
    return fetcher_fetch(&((struct server *)ctx)->fetcher, q, fn, arg);
}

static void fetch_cancel(void *ctx, void *f)
{
    fetcher_cancel(&((struct server *)ctx)->fetcher, f);
}

/* ---- listeners that do not listen ---- */

struct failed {
    struct server *server;
    int64_t n;
};

static bool is_failed(void *ctx, struct bytes name, void *value)
{
    struct failed *f = ctx;
    const struct listener_entry *e = value;
    f->n += listener_registry_failed(f->server->registry, e->listener);
    return true;
}

/* Main: they are not active, until a worker gets them to listen. The slot of the config thread has
 * all. */
static void count_failed(struct server *s)
{
    struct failed f = {s, 0};
    if (listener_registry_n_failed(s->registry) && s->main_worker.snapshot)
        pmap_each(&s->main_worker.snapshot->listeners, is_failed, &f);
    else if (!s->n_failed)
        return;
    s->n_failed = f.n;
    stat_set(s->listener_manager, STAT_SLOT_MAIN, STAT_LM_TOTAL_LISTENERS_ACTIVE, -f.n);
}

/* ---- the start ---- */

/* Main: everything that the start waits for has come. */
static void begin_serving(void *a, void *b)
{
    struct server *s = a;
    if (s->ending) /* posted before the signal, run after it */
        return;
    LOG(LOG_MAIN, LOG_INFO, "all dependencies initialized. starting workers");
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_thread_accept(s->workers[i]);
    stat_set(s->listener_manager, STAT_SLOT_MAIN, STAT_LM_WORKERS_STARTED, 1);
    s->state = SERVER_LIVE;
    count_failed(s);
    server_admin_tick(s);
}

static void clusters_done(void *a, void *b)
{
    struct server *s = a;
    if (s->ending) /* as above */
        return;
    if (s->state == SERVER_PRE_INITIALIZING)
        s->state = SERVER_INITIALIZING;
    server_admin_tick(s);
}

/* Config thread. */
static void on_stage(void *ctx, enum init_stage stage)
{
    struct server *s = ctx;
    if (stage == INIT_LISTENERS)
        post_call(s->loop, clusters_done, s, NULL);
    else if (stage == INIT_DONE) {
        listen_first(s);
        post_call(s->loop, begin_serving, s, NULL);
    }
}

/* Config thread. */
static void dns_answer(void *ctx, struct bytes cluster, uint64_t generation, unsigned target,
                       bool ok, const struct address *addresses, unsigned n)
{
    struct builder *b = config_thread_builder(((struct server *)ctx)->config);
    builder_dns_update(b, cluster, generation, target, ok, addresses, n);
    builder_commit(b);
}

/* ---- main's own snapshot ---- */

static void adopt(struct post *p)
{
    struct server *s = p->owner;
    struct snapshot *now = snapshot_slot_take(&s->slot);
    const struct snapshot *old = s->main_worker.snapshot;
    if (!now)
        return;
    cluster_manager_adopt(&s->main_worker, old, now);
    stat_set(s->thread_clusters, STAT_SLOT_MAIN, STAT_CLUSTERS_INFLATED,
             (int64_t)now->clusters.count);
    count_failed(s);
    config_thread_return(s->config, (struct snapshot *)old);
}

/* ---- signals and time ---- */

static void on_end_signal(struct signal_watch *w)
{
    struct server *s = w->owner;
    LOG(LOG_MAIN, LOG_WARNING, "caught %s", w->signo == SIGTERM ? "ENVOY_SIGTERM" : "ENVOY_SIGINT");
    loop_stop(s->loop);
}

static void on_usr1(struct signal_watch *w)
{
    struct server *s = w->owner;
    LOG(LOG_MAIN, LOG_INFO, "caught SIGUSR1. Reopening access logs.");
    access_log_writer_reopen(s->access_log);
    log_reopen();
}

static void on_hup(struct signal_watch *w)
{
    LOG(LOG_MAIN, LOG_WARNING,
        "caught and eating SIGHUP. See documentation for how to hot restart.");
}

static void on_second(struct timer *t)
{
    count_failed(t->owner);
    server_admin_tick(t->owner);
    timer_start(t, SECOND_MS);
}

/* main() has held what comes before this. */
static void watch_signals(struct server *s)
{
    sigset_t watched;
    signal_watch_init(&s->term, s->loop, SIGTERM, on_end_signal, s);
    signal_watch_init(&s->interrupt, s->loop, SIGINT, on_end_signal, s);
    signal_watch_init(&s->usr1, s->loop, SIGUSR1, on_usr1, s);
    signal_watch_init(&s->hup, s->loop, SIGHUP, on_hup, s);
    sigemptyset(&watched);
    sigaddset(&watched, SIGHUP);
    sigaddset(&watched, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &watched, NULL);
}

/* ---- making ---- */

static bool load_bootstrap(struct server *s, struct bytes *body, struct source_text *text,
                           struct error *err)
{
    struct bootstrap_source source = {s->options->config_path, s->options->config_yaml,
                                      s->options->allow_unknown_static, s->options->strict};
    s->descriptors = descriptors_new();
    s->validator = validator_new(s->descriptors);
    s->arena = arena_new(64 * 1024);
    return bootstrap_load(s->descriptors, s->validator, &source, s->arena, body, text, &s->report,
                          err);
}

static void make_main_worker(struct server *s)
{
    s->main_worker = (struct worker){.magic = WORKER_MAGIC,
                                     .slot = STAT_SLOT_MAIN,
                                     .loop = s->loop,
                                     .chunks = chunk_pool_new(s->loop, 0),
                                     .stats = s->stats,
                                     .access_log = s->access_log};
    random_seed_os(&s->main_worker.random);
    cluster_manager_new(&s->main_worker, &connector_socket);
    snapshot_slot_init(&s->slot, s->loop, adopt, s);
}

static bool make_workers(struct server *s, struct error *err)
{
    s->workers = mem_zalloc(s->options->concurrency * sizeof(*s->workers));
    while (s->n_workers < s->options->concurrency) {
        struct worker_thread_options o = {
            .index = s->n_workers,
            .registry = s->registry,
            .config = s->config,
            .stats = s->stats,
            .access_log = s->access_log,
            .clusters = s->thread_clusters,
            .connections = &s->connections,
            .drain = {.time_ms = (uint64_t)s->options->drain_time_s * 1000,
                      .immediately = strcmp(s->options->drain_strategy, "immediate") == 0},
        };
        struct worker_thread *t = worker_thread_new(&o, err);
        if (!t)
            return false;
        s->workers[s->n_workers++] = t;
    }
    return true;
}

static bool make_config(struct server *s, struct error *err)
{
    static struct config_thread_table table = {
        .publish = publish,
        .bind = bind_listener,
        .listen = listen_listener,
        .release = release_listener,
        .dns_start = dns_start,
        .dns_stop = dns_stop,
        .dial = dial,
        .dial_cancel = dial_cancel,
        .fetch = fetch,
        .fetch_cancel = fetch_cancel,
        .demand_settled = demand_settled,
        .stage = on_stage,
    };
    table.ctx = s;
    struct config_thread_options o = {
        .table = &table,
        .descriptors = s->descriptors,
        .validator = s->validator,
        .filters = &filter_registry,
        .tls = &tls_factory,
        .stats = s->stats,
        .strict = s->options->strict,
        .reject_unknown_static = !s->options->allow_unknown_static,
        .reject_unknown_dynamic = s->options->reject_unknown_dynamic,
        .drain_ms = (uint64_t)s->options->drain_time_s * 1000,
        .route_hold_ms = s->options->route_hold_ms,
        .state_dir = s->options->mode == MODE_SERVE ? s->options->state_dir : NULL,
        .state_max_age_s = s->options->state_max_age_s,
        .min_world_share = s->options->min_world_share,
        .world_hold_ms = (uint64_t)s->options->world_hold_s * 1000,
        .quiet_unknown = s->options->ignore_unknown_dynamic,
        .quiet_deprecated = s->options->skip_deprecated_logs,
    };
    s->config = config_thread_new(&o, err);
    if (s->config)
        builder_decode_context(config_thread_builder(s->config))->log_files =
            access_log_writer_files(s->access_log);
    return s->config != NULL;
}

static struct bytes given(const char *text)
{
    return text ? bytes_of(text) : BYTES_NONE;
}

static bool make_watchdog(struct server *s, struct error *err)
{
    struct watchdog_config main_thread, workers;
    char name[24];
    if (!watchdogs_decode(config_thread_bootstrap(s->config)->wire, &main_thread, &workers, err))
        return false;
    s->watchdog = watchdog_new(s->stats);
    watchdog_add_group(s->watchdog, "main_thread", &main_thread);
    watchdog_watch(s->watchdog, "main_thread", s->loop, false);
    /* To build a large configuration takes a while and holds up no request. */
    watchdog_watch(s->watchdog, "config", config_thread_loop(s->config), true);
    watchdog_add_group(s->watchdog, "workers", &workers);
    for (unsigned i = 0; i < s->n_workers; i++) {
        snprintf(name, sizeof(name), "worker_%u", i);
        watchdog_watch(s->watchdog, name, s->workers[i]->worker.loop, false);
    }
    return true;
}

static bool load(struct server *s, struct error *err)
{
    struct node_overrides node = {given(s->options->service_node),
                                  given(s->options->service_cluster),
                                  given(s->options->service_zone)};
    struct source_text text;
    struct bytes body;
    if (!load_bootstrap(s, &body, &text, err) || !make_config(s, err) || !make_workers(s, err))
        return false;
    s->dns = dns_driver_new(s->loop, config_thread_loop(s->config), s->stats, dns_answer, s);
    dialer_init(&s->dialer, &s->main_worker, config_thread_loop(s->config), s->dns);
    fetcher_init(&s->fetcher, &s->main_worker, config_thread_loop(s->config));
    if (!config_thread_load(s->config, body, &node, err))
        return source_text_locate(&text, err);
    if (!config_thread_open_state(s->config, err))
        return false;
    /* Before the listeners: none of them gets the admin address. */
    if (s->options->mode != MODE_VALIDATE && !server_admin_start(s, err))
        return false;
    if (!config_thread_load_static(s->config, err))
        return source_text_locate(&text, err);
    const struct bootstrap_config *b = config_thread_bootstrap(s->config);
    dns_driver_set_options(s->dns, b->dns_options);
    s->connections.max = b->overload.max_connections;
    if (!make_watchdog(s, err))
        return source_text_locate(&text, err);
    arena_free(&s->arena); /* the text and its tree, which only errors need */
    return true;
}

struct server *server_new(const struct options *o, struct error *err)
{
    struct loop *loop = loop_new(&clock_real, err);
    if (!loop)
        return NULL;
    struct server *s = NEW(struct server);
    s->options = o;
    s->loop = loop;
    s->state = SERVER_PRE_INITIALIZING;
    s->start_wall_ns = clock_real.wall_ns(&clock_real);
    s->stats = stat_store_new(STAT_SLOT_WORKER0 + o->concurrency);
    s->registry = listener_registry_new(o->concurrency);
    s->listener_manager =
        stat_scope_get(s->stats, BYTES("listener_manager"), &listener_manager_stat_schema);
    s->thread_clusters = stat_scope_get(s->stats, BYTES("thread_local_cluster_manager"),
                                        &thread_clusters_stat_schema);
    s->access_log =
        access_log_writer_new(o->file_flush_interval_ms, (size_t)o->file_flush_min_size_kb * 1024);
    node_set_pin_slots(STAT_SLOT_WORKER0 + o->concurrency);
    make_main_worker(s);
    timer_init(&s->second, s->loop, on_second, s);
    if (!load(s, err))
        server_free(&s);
    else if (s->admin)
        server_admin_tell(s);
    return s;
}

static void tell_report(const struct server *s)
{
    for (size_t i = 0; i < s->report.n; i++) {
        const struct field_entry *e = &s->report.entries[i];
        if (e->class == FIELD_DEPRECATED && s->options->skip_deprecated_logs)
            continue;
        LOG(LOG_CONFIG, LOG_WARNING, "bootstrap: %s field %s%s%s", field_class_name(e->class),
            e->path, e->detail[0] ? ": " : "", e->detail);
    }
}

static bool enter_sandbox(struct server *s, struct error *err)
{
    const struct options *o = s->options;
    struct sandbox_status status;
    if (!sandbox_enter(&o->sandbox, &status, err))
        return false;
    s->sandbox = sandbox_stats_new(s->stats, &status);
    if (!status.landlock_abi)
        return true;
    if (o->log_path && !log_set_path(o->log_path, err))
        return error_prefix(err, "--sandbox-write names no folder of --log-path: ");
    return access_log_writer_try_again(s->access_log, err) ||
           error_prefix(err, "--sandbox-write names no folder of an access log: ");
}

bool server_run(struct server *s, struct error *err)
{
    tell_report(s);
    if (!enter_sandbox(s, err))
        return false;
    watch_signals(s);
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_thread_run(s->workers[i], config_thread_node(s->config));
    config_thread_run(s->config);
    timer_start(&s->second, SECOND_MS);
    LOG(LOG_MAIN, LOG_INFO, "starting main dispatch loop");
    watchdog_start(s->watchdog);
    cpus_give_way();
    access_log_writer_start(s->access_log);
    loop_run(s->loop);
    watchdog_stop(s->watchdog);
    LOG(LOG_MAIN, LOG_INFO, "main dispatch loop exited");
    return true;
}

static void stop_threads(struct server *s)
{
    if (s->config)
        config_thread_stop(s->config);
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_thread_stop(s->workers[i]);
}

/* No other thread runs any more. What they had posted to each other still runs, so that nothing is
 * left behind: questions of admin pages, returned snapshots, dials, completions of gRPC. */
static void settle(struct server *s)
{
    enum { ROUNDS = 16 };
    if (!s->config)
        return;
    if (s->dialer.main_worker)
        dialer_close_channels(&s->dialer);
    config_thread_end_sources(s->config);
    if (s->dialer.main_worker)
        dialer_fini(&s->dialer);
    if (s->fetcher.main_worker)
        fetcher_fini(&s->fetcher);
    for (unsigned i = 0; i < ROUNDS; i++) {
        loop_turn(s->loop, false);
        if (!config_thread_run_posted(s->config) && i > 1)
            break;
    }
}

static void fini_main_worker(struct server *s)
{
    loop_turn(s->loop, false);
    if (s->config) {
        config_thread_return(s->config, snapshot_slot_take(&s->slot));
        const struct snapshot *last = s->main_worker.snapshot;
        cluster_manager_free(&s->main_worker.clusters);
        config_thread_return(s->config, (struct snapshot *)last);
    } else {
        cluster_manager_free(&s->main_worker.clusters);
    }
    s->main_worker.snapshot = NULL;
    loop_turn(s->loop, false);
}

void server_free(struct server **sp)
{
    struct server *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    timer_stop(&s->second);
    s->ending = true;
    server_admin_close(s);
    stop_threads(s);
    settle(s);
    server_admin_free(s);
    dns_driver_free(&s->dns);
    fini_main_worker(s);
    config_thread_free(&s->config);
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_thread_free(&s->workers[i]);
    watchdog_free(&s->watchdog);
    mem_free(s->workers);
    access_log_writer_free(&s->access_log);
    listener_registry_free(&s->registry);
    loop_free(&s->loop);
    chunk_pool_free(&s->main_worker.chunks);
    stat_scope_unref(&s->listener_manager);
    stat_scope_unref(&s->sandbox);
    stat_scope_unref(&s->thread_clusters);
    validator_free(&s->validator);
    descriptors_free(&s->descriptors);
    field_report_fini(&s->report);
    arena_free(&s->arena);
    stat_store_free(&s->stats);
    mem_free(s);
}
