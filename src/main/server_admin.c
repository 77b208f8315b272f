/* The admin listener: a data plane listener on main's loop whose HTTP connection manager ends in
 * the admin filter. Its worker object is its own, with a snapshot that holds this listener alone,
 * so that swaps of the configuration do not concern it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/admin_filter.h"
#include "admin/server_stats.h"
#include "base/log.h"
#include "base/memory.h"
#include "config/config_stats.h"
#include "config/wire.h"
#include "dataplane/http/access_log_writer.h"
#include "dataplane/http/http_conn.h"
#include "dataplane/net/acceptor.h"
#include "dataplane/net/listen_socket.h"
#include "main/post_call.h"
#include "main/server_internal.h"

enum { MAX_OPTIONS = 48 };

struct server_admin {
    struct server *server;
    struct admin *admin;
    struct server_stats stats;
    struct worker worker;
    struct snapshot snapshot;
    struct listener_entry *entry;
    struct acceptor acceptor;
    bool listening;
    struct address bound;
    struct admin_option options[MAX_OPTIONS];
    unsigned n_options;
    struct arena *arena;
    struct timer quit, drained, flush;
    bool draining, drain_inbound_only, inbound_stopped, all_stopped;
};

/* ---- the table ---- */

static enum admin_state state(void *ctx)
{
    struct server *s = ctx;
    if (s->state == SERVER_LIVE && s->health_failed)
        return ADMIN_DRAINING;
    return (enum admin_state)s->state;
}

static uint64_t kept_ns(void *ctx)
{
    return config_thread_kept_ns(((struct server *)ctx)->config);
}

static const struct snapshot *current(void *ctx)
{
    return ((struct server *)ctx)->main_worker.snapshot;
}

static bool bound_address(void *ctx, const struct listener *l, unsigned i, struct address *out)
{
    return listener_registry_bound(((struct server *)ctx)->registry, l, i, out);
}

static bool listens(void *ctx, const struct listener *l)
{
    return !listener_registry_failed(((struct server *)ctx)->registry, l);
}

struct question {
    struct server *server;
    void (*fn)(struct builder *b, void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void answer(void *a, void *b)
{
    struct question q = *(struct question *)a;
    mem_free(a);
    q.done(q.arg);
}

static void ask(void *a, void *b)
{
    struct question *q = a;
    q->fn(config_thread_builder(q->server->config), q->arg);
    post_call(q->server->loop, answer, q, NULL);
}

static void ask_config(void *ctx, void (*fn)(struct builder *b, void *arg), void (*done)(void *arg),
                       void *arg)
{
    struct server *s = ctx;
    struct question *q = NEW(struct question);
    *q = (struct question){s, fn, done, arg};
    post_call(config_thread_loop(s->config), ask, q, NULL);
}

static void on_quit(struct timer *t)
{
    loop_stop(t->owner);
}

/* The answer to /quitquitquit leaves first. */
static void quit(void *ctx)
{
    struct server *s = ctx;
    timer_start(&s->admin->quit, 10);
}

static void reopen_logs(void *ctx)
{
    access_log_writer_reopen(((struct server *)ctx)->access_log);
    log_reopen();
}

static void fail_health(void *ctx, bool fail)
{
    struct server *s = ctx;
    s->health_failed = fail;
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_thread_fail_health(s->workers[i], fail);
    server_admin_tick(s);
}

struct stopping {
    bool inbound_only, but_inbound;
    int64_t n;
};

static bool count_stopped(void *ctx, struct bytes name, void *value)
{
    struct stopping *s = ctx;
    const struct listener_entry *e = value;
    bool inbound = e->listener->direction == DIRECTION_INBOUND;
    s->n += inbound ? !s->but_inbound : !s->inbound_only;
    return true;
}

/* New clients are refused; those that wait to be accepted still are. */
static void stop_listeners(struct server *s, bool inbound_only)
{
    struct server_admin *a = s->admin;
    struct stopping stopping = {.inbound_only = inbound_only, .but_inbound = a->inbound_stopped};
    if (a->all_stopped || (inbound_only && a->inbound_stopped))
        return;
    if (s->main_worker.snapshot)
        pmap_each(&s->main_worker.snapshot->listeners, count_stopped, &stopping);
    stat_add(s->listener_manager, STAT_SLOT_MAIN, STAT_LM_LISTENER_STOPPED, stopping.n);
    a->inbound_stopped = true;
    a->all_stopped = !inbound_only;
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_thread_stop_accepting(s->workers[i], inbound_only);
    listener_registry_close(s->registry, inbound_only);
}

static void on_drained(struct timer *t)
{
    struct server_admin *a = t->owner;
    stop_listeners(a->server, a->drain_inbound_only);
}

static void drain(void *ctx, bool inbound_only, bool graceful, bool skip_exit)
{
    struct server *s = ctx;
    if (!graceful) {
        if (!skip_exit) /* as Envoy */
            stop_listeners(s, inbound_only);
        return;
    }
    if (s->admin->draining)
        return; /* one drain goes on */
    s->admin->draining = true;
    for (unsigned i = 0; i < s->n_workers; i++)
        worker_thread_drain(s->workers[i], inbound_only);
    if (!skip_exit) {
        s->admin->drain_inbound_only = inbound_only;
        timer_start(&s->admin->drained, (uint64_t)s->options->drain_time_s * 1000);
    }
}

/* ---- the command line, as /server_info prints it ---- */

static void option(struct server_admin *a, const char *name, const char *value)
{
    CHECK(a->n_options < MAX_OPTIONS);
    a->options[a->n_options++] = (struct admin_option){name, value};
}

static void option_text(struct server_admin *a, const char *name, const char *value)
{
    struct strbuf s = STRBUF_INIT;
    strbuf_add_char(&s, '"');
    strbuf_add_json_escaped(&s, bytes_of(value ? value : ""));
    strbuf_add_char(&s, '"');
    option(a, name, arena_str(a->arena, strbuf_bytes(&s)));
    strbuf_fini(&s);
}

/* As deep as it stands on the page. */
static void option_list(struct server_admin *a, const char *name, const char *const *values,
                        unsigned n)
{
    struct strbuf s = STRBUF_INIT;
    strbuf_add_str(&s, "[");
    for (unsigned i = 0; i < n; i++) {
        strbuf_add_str(&s, i ? ",\n   \"" : "\n   \"");
        strbuf_add_json_escaped(&s, bytes_of(values[i]));
        strbuf_add_char(&s, '"');
    }
    strbuf_add_str(&s, n ? "\n  ]" : "]");
    option(a, name, arena_str(a->arena, strbuf_bytes(&s)));
    strbuf_fini(&s);
}

static void option_bool(struct server_admin *a, const char *name, bool value)
{
    option(a, name, value ? "true" : "false");
}

static void options_first(struct server_admin *a, const struct options *o)
{
    option(a, "base_id", arena_printf(a->arena, "\"%u\"", o->base_id));
    option(a, "concurrency", arena_printf(a->arena, "%u", o->concurrency));
    option_text(a, "config_path", o->config_path);
    option_text(a, "config_yaml", o->config_yaml);
    option_bool(a, "allow_unknown_static_fields", o->allow_unknown_static);
    option_text(a, "admin_address_path", o->admin_address_path);
    option_text(a, "local_address_ip_version",
                o->local_address_ip_version ? o->local_address_ip_version : "v4");
    option_text(a, "log_level", o->log_level);
    option_text(a, "component_log_level", o->component_log_level);
    option_text(a, "log_format", o->log_format ? o->log_format : LOG_FORMAT_DEFAULT);
    option_text(a, "log_path", o->log_path);
    option_text(a, "service_cluster", o->service_cluster);
    option_text(a, "service_node", o->service_node);
    option_text(a, "service_zone", o->service_zone);
    option(a, "file_flush_interval",
           arena_printf(a->arena, "\"%gs\"", o->file_flush_interval_ms / 1000.0));
    option(a, "drain_time", arena_printf(a->arena, "\"%us\"", o->drain_time_s));
    option(a, "parent_shutdown_time", arena_printf(a->arena, "\"%us\"", o->parent_shutdown_time_s));
    option_text(a, "mode", "Serve"); /* in no other is there somebody who answers */
}

static void options_second(struct server_admin *a, const struct options *o)
{
    option_bool(a, "disable_hot_restart", true);
    option_bool(a, "enable_mutex_tracing", o->mutex_tracing);
    option(a, "restart_epoch", arena_printf(a->arena, "%u", o->restart_epoch));
    option_bool(a, "cpuset_threads", o->cpuset_threads);
    option_bool(a, "reject_unknown_dynamic_fields", o->reject_unknown_dynamic);
    option_bool(a, "log_format_escaped", o->log_format_escaped);
    option(a, "disabled_extensions", "[]");
    option_bool(a, "ignore_unknown_dynamic_fields", o->ignore_unknown_dynamic);
    option_bool(a, "use_dynamic_base_id", o->use_dynamic_base_id);
    option_text(a, "base_id_path", o->base_id_path);
    option_text(a, "drain_strategy",
                strcmp(o->drain_strategy, "immediate") == 0 ? "Immediate" : "Gradual");
    option_bool(a, "enable_fine_grain_logging", o->fine_grain_logging);
    option_text(a, "socket_path", o->socket_path ? o->socket_path : "@envoy_domain_socket");
    option(a, "socket_mode", "0");
    option_bool(a, "enable_core_dump", o->core_dump);
    option_list(a, "stats_tag", o->stats_tags, o->n_stats_tags);
    option_bool(a, "skip_hot_restart_on_no_parent", o->skip_hot_restart_on_no_parent);
    option_bool(a, "skip_hot_restart_parent_stats", o->skip_hot_restart_parent_stats);
    option_bool(a, "skip_deprecated_logs", o->skip_deprecated_logs);
    option(a, "file_flush_min_size", arena_printf(a->arena, "%u", o->file_flush_min_size_kb));
    option_bool(a, "log_stacktrace_single_entry", o->log_stacktrace_single_entry);
}

/* ---- the listener ---- */

static void put_message(struct strbuf *out, uint32_t number, struct strbuf *inner)
{
    strbuf_reserve(inner, 0);
    wire_put_bytes(out, number, strbuf_bytes(inner));
    strbuf_fini(inner);
}

/* A connection manager with Envoy's defaults, whose only filter is then replaced by ours. */
static struct http_manager *make_manager(struct server *s, struct error *err)
{
    struct strbuf wire = STRBUF_INIT, routes = STRBUF_INIT, filter = STRBUF_INIT, any = STRBUF_INIT;
    wire_put_bytes(&wire, 2, BYTES("admin"));
    wire_put_bytes(&routes, 1, BYTES("admin"));
    put_message(&wire, 4, &routes);
    wire_put_bytes(&filter, 1, BYTES("envoy.filters.http.router"));
    wire_put_bytes(&any, 1,
                   BYTES("type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"));
    put_message(&filter, 4, &any);
    put_message(&wire, 5, &filter);
    struct http_manager *m = http_manager_decode(
        builder_decode_context(config_thread_builder(s->config)), strbuf_bytes(&wire), NULL, err);
    strbuf_fini(&wire);
    if (!m)
        return NULL;
    /* as in Envoy; a slow reader gets all of a long page */
    m->delayed_close_timeout_ms = 0;
    m->use_remote_address = true;
    m->generate_request_id = false;
    return m;
}

static struct listener_entry *make_entry(struct server *s, struct http_manager *manager)
{
    struct listener *l = node_new(NODE_LISTENER, sizeof(*l), 0, NULL);
    struct filter_chain *chain = node_new(NODE_FILTER_CHAIN, sizeof(*chain), 0, NULL);
    struct chain_binding *binding = node_new(NODE_BINDING, sizeof(*binding), 0, NULL);
    struct listener_entry *e = node_new(NODE_LISTENER, sizeof(*e), 0, NULL);
    node_make_pinnable(&binding->node);
    l->name = BYTES("admin");
    l->buffer_limit = 1024 * 1024;
    chain->key = BYTES("admin");
    chain->is_http = true;
    binding->chain = chain;
    binding->listener_name = l->name;
    binding->manager = manager;
    binding->routes = manager->inline_routes;
    binding->listener_http_stats =
        stat_scope_get(s->stats, BYTES("listener.admin.http.admin"), &listener_http_stat_schema);
    e->listener = l;
    e->default_chain = binding;
    e->stats = stat_scope_get(s->stats, BYTES("listener.admin"), &admin_listener_stat_schema);
    return e;
}

static void free_entry(struct listener_entry *e)
{
    struct chain_binding *b = e->default_chain;
    struct listener *l = (struct listener *)e->listener;
    struct filter_chain *c = (struct filter_chain *)b->chain;
    stat_scope_unref(&b->listener_http_stats);
    stat_scope_unref(&e->stats);
    NODE_UNREF(&l);
    NODE_UNREF(&c);
    ((struct http_manager *)b->manager)->n_access_logs = 0;
    NODE_UNREF(&b->manager);
    NODE_UNREF(&b);
    NODE_UNREF(&e);
    node_reap();
}

static void on_accept(struct acceptor *acceptor, int fd, const struct address *remote)
{
    struct server_admin *a = acceptor->owner;
    http_conn_accept(&a->worker, fd, remote, a->entry, a->entry->default_chain);
}

static void on_accepted(struct acceptor *acceptor, unsigned n)
{
    struct server_admin *a = acceptor->owner;
    stat_record(a->entry->stats, STAT_SLOT_MAIN, STAT_LISTENER_ACCEPTED_PER_EVENT, n);
}

static const struct acceptor_ops acceptor_ops = {.on_accept = on_accept,
                                                 .on_accepted = on_accepted};

void server_admin_tell(const struct server *s)
{
    const char *path = s->options->admin_address_path;
    char text[ADDRESS_TEXT_MAX];
    if (!path || !s->admin->listening)
        return;
    FILE *f = fopen(path, "we");
    bool ok = f && fputs(address_format(&s->admin->bound, text), f) >= 0;
    ok = (!f || fclose(f) == 0) && ok;
    if (!ok)
        LOG(LOG_ADMIN, LOG_CRITICAL, "cannot write the admin address to '%s': %s", path,
            strerror(errno));
}

static bool listen_admin(struct server_admin *a, const struct bootstrap_config *b,
                         struct error *err)
{
    const struct address *address = &b->admin_address;
    struct listen_options o = {
        .address = *address, .pipe_mode = b->admin_pipe_mode, .ipv4_compat = b->admin_ipv4_compat};
    char text[ADDRESS_TEXT_MAX];
    int fd;
    if (!listen_socket_open(&o, 1, &fd, &a->bound, err))
        return error_prefix(err, "admin: ");
    acceptor_init(&a->acceptor, a->server->loop, fd, 0, &acceptor_ops, a);
    a->listening = true;
    LOG(LOG_ADMIN, LOG_INFO, "admin address: %s", address_format(&a->bound, text));
    if (address_is_ip(address) && !address_is_loopback(address))
        LOG(LOG_ADMIN, LOG_WARNING,
            "the admin interface listens on %s, which is not a loopback address: it has no "
            "authentication",
            text);
    return true;
}

static void make_admin(struct server *s, struct server_admin *a)
{
    const struct bootstrap_config *b = config_thread_bootstrap(s->config);
    struct admin_table table = {.ctx = s,
                                .loop = s->loop,
                                .clock = &clock_real,
                                .stats = s->stats,
                                .descriptors = s->descriptors,
                                .version = version_text(),
                                .node = config_thread_node(s->config),
                                .bootstrap = b->wire,
                                .runtime = &b->runtime,
                                .bootstrap_report = &s->report,
                                .stats_config = &b->stats,
                                .stats_tags = {s->options->stats_tags, s->options->n_stats_tags},
                                .flush_on_admin = b->stats_flush_on_admin,
                                .start_wall_ns = s->start_wall_ns,
                                .options = a->options,
                                .n_options = a->n_options,
                                .state = state,
                                .kept_ns = kept_ns,
                                .snapshot = current,
                                .bound_address = bound_address,
                                .listens = listens,
                                .ask_config = ask_config,
                                .quit = quit,
                                .reopen_logs = reopen_logs,
                                .fail_health = fail_health,
                                .drain = drain};
    a->admin = admin_new(&table);
}

static void on_flush(struct timer *t)
{
    struct server_admin *a = t->owner;
    admin_stats_flush(a->admin);
    timer_start(t, config_thread_bootstrap(a->server->config)->stats_flush_interval_ms);
}

bool server_admin_start(struct server *s, struct error *err)
{
    const struct bootstrap_config *b = config_thread_bootstrap(s->config);
    struct server_admin *a = s->admin = NEW(struct server_admin);
    a->server = s;
    a->arena = arena_new(4096);
    timer_init(&a->quit, s->loop, on_quit, s->loop);
    timer_init(&a->drained, s->loop, on_drained, a);
    timer_init(&a->flush, s->loop, on_flush, a);
    server_stats_init(&a->stats, s->stats, s->options->concurrency, s->start_wall_ns,
                      version_text());
    options_first(a, s->options);
    options_second(a, s->options);
    make_admin(s, a);
    server_admin_tick(s);
    if (!b->stats_flush_on_admin)
        timer_start(&a->flush, b->stats_flush_interval_ms);
    if (!b->has_admin)
        return true;
    struct http_manager *manager = make_manager(s, err);
    if (!manager)
        return false;
    manager->filters[0] = (struct http_filter_slot){
        .factory = &admin_filter_ops.factory, .name = BYTES("admin"), .config = a->admin};
    manager->access_logs = b->admin_access_logs; /* the bootstrap's: given back before the end */
    manager->n_access_logs = b->n_admin_access_logs;
    a->entry = make_entry(s, manager);
    a->snapshot.listeners = (struct pmap)PMAP_INIT(NULL);
    pmap_set(&a->snapshot.listeners, BYTES("admin"), a->entry);
    a->worker = s->main_worker;
    a->worker.snapshot = &a->snapshot;
    http_worker_init(&a->worker);
    return listen_admin(a, b, err);
}

void server_admin_close(struct server *s)
{
    struct server_admin *a = s->admin;
    if (!a)
        return;
    timer_stop(&a->quit);
    timer_stop(&a->drained);
    timer_stop(&a->flush);
    if (a->listening)
        acceptor_fini(&a->acceptor);
    a->listening = false;
    if (a->entry) {
        http_conn_list_close_all(&a->worker);
        loop_turn(s->loop, false);
        http_worker_fini(&a->worker);
    }
}

void server_admin_free(struct server *s)
{
    struct server_admin *a = s->admin;
    s->admin = NULL;
    if (!a)
        return;
    if (a->entry) { /* nodes are the config thread's while it runs */
        pmap_fini(&a->snapshot.listeners);
        free_entry(a->entry);
    }
    admin_free(&a->admin);
    server_stats_fini(&a->stats);
    arena_free(&a->arena);
    mem_free(a);
}

static uint64_t connections(const struct server *s)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < s->n_workers; i++)
        n += http_conn_list_count(&s->workers[i]->worker);
    return n;
}

static void show_files(struct server *s)
{
    struct access_log_counts c = access_log_writer_counts(s->access_log);
    int64_t values[FILESYSTEM_STAT_COUNT] = {
        [STAT_FILESYSTEM_FLUSHED_BY_TIMER] = (int64_t)c.flushed_by_timer,
        [STAT_FILESYSTEM_REOPEN_FAILED] = (int64_t)c.open_failures,
        [STAT_FILESYSTEM_WRITE_BUFFERED] = (int64_t)c.lines,
        [STAT_FILESYSTEM_WRITE_COMPLETED] = (int64_t)c.blocks_written,
        [STAT_FILESYSTEM_WRITE_FAILED] = (int64_t)c.write_failures,
        [STAT_FILESYSTEM_WRITE_TOTAL_BUFFERED] = (int64_t)c.waiting_bytes};
    server_stats_files(&s->admin->stats, values);
}

void server_admin_tick(struct server *s)
{
    struct server_admin *a = s->admin;
    if (!a)
        return;
    server_stats_update(&a->stats, state(s), clock_real.wall_ns(&clock_real), connections(s));
    show_files(s);
}
