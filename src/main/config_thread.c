#include "main/config_thread.h"

#include <malloc.h>
#include <pthread.h>

#include "admin/server_stats.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/random.h"
#include "config/descriptors.h"
#include "config/field_report.h"
#include "config/google_grpc.h"
#include "config/runtime.h"
#include "config/wire.h"
#include "dataplane/net/loop.h"
#include "main/cpus.h"
#include "main/dial.h"
#include "main/file_watch.h"
#include "main/post_call.h"
#include "main/state_dir.h"
#include "xds/sources.h"

enum { REAP_INTERVAL_MS = 1000, TRIM_BYTES = 1024 * 1024, SECONDS_PER_DAY = 24 * 60 * 60 };

struct config_thread {
    struct config_thread_options o;
    struct loop *loop;
    pthread_t thread;
    bool running, ended;
    struct builder *builder;
    struct bootstrap_config *bootstrap;
    struct xds_sources *sources;
    struct builder_table builder_table;
    struct xds_table xds_table;
    struct random_source random;
    struct strbuf node;
    struct timer reap;
    size_t heap_kept;   /* resident and unused after the heap was trimmed last */
    struct list timers; /* struct config_timer */
    struct file_watch_set *watches;
    struct state_dir *state;    /* NULL: nothing is kept */
    struct field_report report; /* accepted and not acted on, since the last look */
    struct map told;            /* paths that have been logged: once each */
    struct stat_scope *server, *config, *runtime;
};

/* A timer of the builder's or of a stream's, on the heap: fires once or is cancelled. */
struct config_timer {
    struct list link;
    struct timer timer;
    void (*fn)(void *arg);
    void *arg;
};

static void timer_drop(struct config_timer *t)
{
    timer_stop(&t->timer);
    list_remove(&t->link);
    mem_free(t);
}

static void timer_fired(struct timer *timer)
{
    struct config_timer *t = timer->owner;
    void (*fn)(void *arg) = t->fn;
    void *arg = t->arg;
    timer_drop(t);
    fn(arg);
}

static void *start_timer(void *ctx, uint64_t ms, void (*fn)(void *arg), void *arg)
{
    struct config_thread *c = ctx;
    struct config_timer *t = NEW(struct config_timer);
    t->fn = fn;
    t->arg = arg;
    timer_init(&t->timer, c->loop, timer_fired, t);
    list_push_back(&c->timers, &t->link);
    timer_start(&t->timer, ms);
    return t;
}

static void cancel_timer(void *ctx, void *timer)
{
    timer_drop(timer);
}

static void want(void *ctx, const struct config_source *source, enum resource_type type,
                 struct bytes name)
{
    struct config_thread *c = ctx;
    if (c->sources)
        xds_sources_want(c->sources, source, type, name);
}

static void unwant(void *ctx, const struct config_source *source, enum resource_type type,
                   struct bytes name)
{
    struct config_thread *c = ctx;
    if (c->sources)
        xds_sources_unwant(c->sources, source, type, name);
}

static void wants_done(void *ctx)
{
    struct config_thread *c = ctx;
    if (c->sources)
        xds_sources_flush(c->sources);
}

/* xylem.config.*: what the builder does not know itself. */
#define CONFIG_STAT_LIST(X)                                                                        \
    X(FIELDS_IGNORED, "fields_ignored", COUNTER)                                                   \
    X(SNAPSHOT_VERSION, "snapshot_version", GAUGE)

enum config_stat {
#define X(id, name, kind) STAT_##id,
    CONFIG_STAT_LIST(X)
#undef X
};
#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc config_stats[] = {CONFIG_STAT_LIST(X)};
#undef X
static const struct stat_schema config_schema = {config_stats, ARRAY_SIZE(config_stats)};

static bool is_quiet(const struct config_thread *c, enum field_class class)
{
    if (class == FIELD_DEPRECATED)
        return c->o.quiet_deprecated;
    return (class == FIELD_UNKNOWN || class == FIELD_UNKNOWN_SET) && c->o.quiet_unknown;
}

static bool is_news(struct config_thread *c, const struct field_entry *e)
{
    enum { TOLD_MAX = 10000 };
    return !is_quiet(c, e->class) && map_count(&c->told) < TOLD_MAX &&
           !map_set(&c->told, bytes_of(e->path), c);
}

/* Nothing is ignored in silence: counted, and one log line for each path. */
static void tell_report(struct config_thread *c)
{
    for (size_t i = 0; i < c->report.n; i++) {
        const struct field_entry *e = &c->report.entries[i];
        bool news = is_news(c, e);
        if (e->class == FIELD_IGNORED)
            stat_inc(c->config, STAT_SLOT_CONFIG, STAT_FIELDS_IGNORED);
        if (e->class == FIELD_DEPRECATED) {
            stat_inc(c->runtime, STAT_SLOT_CONFIG, STAT_RUNTIME_DEPRECATED_FEATURE_USE);
            stat_inc(c->runtime, STAT_SLOT_CONFIG, STAT_RUNTIME_DEPRECATED_FEATURE_SEEN);
        }
        if (e->class == FIELD_UNKNOWN_SET && news)
            stat_inc(c->server, STAT_SLOT_CONFIG, STAT_SERVER_DYNAMIC_UNKNOWN_FIELDS);
        else if (news)
            LOG(LOG_CONFIG, LOG_WARNING, "%s field %s%s%s", field_class_name(e->class), e->path,
                e->detail[0] ? ": " : "", e->detail);
    }
    field_report_fini(&c->report);
}

static void publish(void *ctx, struct snapshot *s)
{
    struct config_thread *c = ctx;
    if (c->ended)
        return; /* nobody is left to take it */
    tell_report(c);
    stat_set(c->config, STAT_SLOT_CONFIG, STAT_SNAPSHOT_VERSION, (int64_t)s->version);
    if (c->state)
        state_dir_changed(c->state);
    c->o.table->publish(c->o.table->ctx, s);
}

static bool bind_listener(void *ctx, const struct listener *l, struct error *err)
{
    struct config_thread *c = ctx;
    return c->o.table->bind(c->o.table->ctx, l, err);
}

static void listen_listener(void *ctx, const struct listener *l)
{
    struct config_thread *c = ctx;
    c->o.table->listen(c->o.table->ctx, l);
}

static void release_listener(void *ctx, const struct listener *l)
{
    struct config_thread *c = ctx;
    c->o.table->release(c->o.table->ctx, l);
}

static void dns_start(void *ctx, const struct cluster *cluster, uint64_t generation)
{
    struct config_thread *c = ctx;
    c->o.table->dns_start(c->o.table->ctx, cluster, generation);
}

static void dns_stop(void *ctx, const struct cluster *cluster, uint64_t generation)
{
    struct config_thread *c = ctx;
    c->o.table->dns_stop(c->o.table->ctx, cluster, generation);
}

static void fetch_timed_out(void *ctx, const struct config_source *source, enum resource_type type,
                            struct bytes name)
{
    LOG(LOG_CONFIG, LOG_WARNING, "%s: initial fetch timed out for '%.*s'",
        resource_type_short(type), BYTES_ARG(name));
    xds_sources_fetch_timed_out(((struct config_thread *)ctx)->sources, source, type, name);
}

static void source_failed(void *ctx, const struct config_source *source)
{
    struct config_thread *c = ctx;
    if (c->state && !c->ended)
        state_dir_failed(c->state, source);
}

static void demand_settled(void *ctx, struct bytes key)
{
    struct config_thread *c = ctx;
    c->o.table->demand_settled(c->o.table->ctx, key);
}

static void on_stage(void *ctx, enum init_stage stage)
{
    struct config_thread *c = ctx;
    if (!c->ended)
        c->o.table->stage(c->o.table->ctx, stage);
}

static void *watch(void *ctx, struct bytes folder, struct bytes name, xds_watch_fn *fn, void *arg,
                   struct error *err)
{
    struct config_thread *c = ctx;
    return file_watch_new(c->watches, folder, name, fn, arg, err);
}

static void unwatch(void *ctx, void *w)
{
    struct config_thread *c = ctx;
    struct file_watch *watch = w;
    file_watch_free(c->watches, &watch);
}

static void *watch_folder(void *ctx, struct bytes folder, builder_timer_fn *fn, void *arg,
                          struct error *err)
{
    return watch(ctx, folder, BYTES(""), fn, arg, err);
}

static void reload_failed(void *ctx, struct bytes secret, const char *why)
{
    (void)ctx;
    LOG(LOG_CONFIG, LOG_WARNING, "sds: the files of '%.*s' were not reloaded: %s",
        BYTES_ARG(secret), why);
}

struct posted {
    void (*fn)(void *arg);
    void *arg;
};

static void run_posted(void *a, void *b)
{
    struct posted p = *(struct posted *)a;
    mem_free(a);
    p.fn(p.arg);
}

static void post(void *ctx, void (*fn)(void *arg), void *arg)
{
    struct config_thread *c = ctx;
    struct posted *p = NEW(struct posted);
    *p = (struct posted){fn, arg};
    post_call(c->loop, run_posted, p, NULL);
}

static void run_all_posted(void *ctx)
{
    config_thread_run_posted(ctx);
}

/* The files of a target's credentials are read whenever it is dialled. */
static void *dial(void *ctx, const struct grpc_service *service, dial_fn *fn, void *arg)
{
    struct config_thread *c = ctx;
    struct error err = ERROR_INIT;
    const struct google_grpc *g = service->google;
    struct dial_request q = {.service = service};
    if (g && g->tls.data) {
        q.tls = google_grpc_tls(builder_decode_context(c->builder), g, &err);
        q.failure = q.tls ? NULL : error_text(&err);
    }
    void *d = c->o.table->dial(c->o.table->ctx, &q, fn, arg);
    error_fini(&err);
    return d;
}

static void dial_cancel(void *ctx, void *d)
{
    struct config_thread *c = ctx;
    c->o.table->dial_cancel(c->o.table->ctx, d);
}

static void *fetch(void *ctx, const struct fetch_request *q, fetch_fn *fn, void *arg)
{
    struct config_thread *c = ctx;
    return c->o.table->fetch(c->o.table->ctx, q, fn, arg);
}

static void fetch_cancel(void *ctx, void *f)
{
    struct config_thread *c = ctx;
    c->o.table->fetch_cancel(c->o.table->ctx, f);
}

/* Heap, stacks and what the allocator keeps, less what is in use. */
static size_t kept_bytes(void)
{
    size_t resident = mem_resident(true), used = mallinfo2().uordblks;
    return resident > used ? resident - used : 0;
}

/* A large response, a world that went or a long admin page leave free memory behind, which the
 * allocator would keep: it goes back to the kernel. */
static void trim_heap(struct config_thread *c)
{
    size_t kept = kept_bytes();
    if (kept > c->heap_kept + TRIM_BYTES) {
        malloc_trim(0);
        c->heap_kept = kept_bytes();
    } else if (kept < c->heap_kept) {
        c->heap_kept = kept;
    }
}

static void tell_expiry(struct config_thread *c)
{
    int64_t until = builder_first_expiry(c->builder);
    int64_t left = until - (int64_t)(clock_real.wall_ns(&clock_real) / NS_PER_S);
    stat_set(c->server, STAT_SLOT_CONFIG, STAT_SERVER_DAYS_UNTIL_FIRST_CERT_EXPIRING,
             until == INT64_MAX ? UINT32_MAX /* there is none */
             : left > 0         ? left / SECONDS_PER_DAY
                                : 0);
}

static void on_reap(struct timer *t)
{
    struct config_thread *c = t->owner;
    builder_reap(c->builder);
    tell_expiry(c);
    if (c->state)
        state_dir_tick(c->state);
    descriptors_rest(c->o.descriptors);
    trim_heap(c);
    timer_start(t, REAP_INTERVAL_MS);
}

struct config_thread *config_thread_new(const struct config_thread_options *o, struct error *err)
{
    struct loop *loop = loop_new(&clock_real, err);
    if (!loop)
        return NULL;
    struct config_thread *c = NEW(struct config_thread);
    c->o = *o;
    c->loop = loop;
    list_init(&c->timers);
    c->watches = file_watch_set_new(loop);
    random_seed_os(&c->random);
    c->server = stat_scope_get(o->stats, BYTES("server"), &server_stat_schema);
    c->runtime = stat_scope_get(o->stats, BYTES("runtime"), &runtime_stat_schema);
    c->config = stat_scope_get(o->stats, BYTES("xylem.config"), &config_schema);
    timer_init(&c->reap, loop, on_reap, c);
    c->builder_table = (struct builder_table){
        .ctx = c,
        .clock = &clock_real,
        .publish = publish,
        .bind = bind_listener,
        .listen = listen_listener,
        .release = release_listener,
        .want = want,
        .unwant = unwant,
        .wants_done = wants_done,
        .timer_start = start_timer,
        .timer_cancel = cancel_timer,
        .dns_start = dns_start,
        .dns_stop = dns_stop,
        .fetch_timed_out = fetch_timed_out,
        .watch = watch_folder,
        .unwatch = unwatch,
        .reload_failed = reload_failed,
        .source_failed = source_failed,
        .demand_settled = demand_settled,
        .stage = on_stage,
    };
    struct builder_options b = {.descriptors = o->descriptors,
                                .validator = o->validator,
                                .filters = o->filters,
                                .stats = o->stats,
                                .tls = o->tls,
                                .report = &c->report,
                                .strict = o->strict,
                                .reject_unknown_static = o->reject_unknown_static,
                                .reject_unknown_dynamic = o->reject_unknown_dynamic,
                                .find_secrets = o->state_dir != NULL,
                                .drain_ms = o->drain_ms,
                                .route_hold_ms = o->route_hold_ms};
    c->builder = builder_new(&c->builder_table, &b);
    return c;
}

/* What the command line says of this node stands above the bootstrap. A control plane must know
 * whom it serves. */
static bool name_node(struct config_thread *c, const struct node_overrides *node, struct error *err)
{
    const struct bootstrap_config *b = c->bootstrap;
    struct decode_context *ctx = builder_decode_context(c->builder);
    ctx->node_id = node->id.data ? node->id : b->node_id;
    ctx->node_cluster = node->cluster.data ? node->cluster : b->node_cluster;
    bool asks = b->has_ads || b->cds.kind != SOURCE_NONE || b->lds.kind != SOURCE_NONE ||
                runtime_find_layer(&b->runtime, RUNTIME_RTDS, BYTES_NONE) >= 0;
    if (!asks)
        return true;
    if (ctx->node_id.len > 0 && ctx->node_cluster.len > 0)
        return true;
    return error_set(err,
                     "node.%s is required, since dynamic_resources names a control plane: set it "
                     "in 'node', or with --service-%s",
                     ctx->node_id.len > 0 ? "cluster" : "id",
                     ctx->node_id.len > 0 ? "cluster" : "node");
}

/* ---- runtime layers in folders ---- */

struct disk_layer {
    struct config_thread *c;
    unsigned layer;
};

static void read_disk(void *arg)
{
    const struct disk_layer *d = arg;
    struct runtime *r = &d->c->bootstrap->runtime;
    struct error err = ERROR_INIT;
    struct bytes cluster = builder_decode_context(d->c->builder)->node_cluster;
    if (!runtime_read_disk(r, d->layer, cluster, &err))
        LOG(LOG_CONFIG, LOG_WARNING, "runtime layer '%.*s': %s",
            BYTES_ARG(r->layers[d->layer].name), error_text(&err));
    error_fini(&err);
}

/* The root is a link (or folder) that is replaced in one step. */
static bool watch_root(struct disk_layer *d, struct bytes root, struct error *err)
{
    while (root.len > 1 && root.data[root.len - 1] == '/')
        root.len--;
    ptrdiff_t slash = bytes_rfind_char(root, '/');
    struct bytes folder = slash > 0    ? bytes_first(root, (size_t)slash)
                          : slash == 0 ? BYTES("/")
                                       : BYTES(".");
    return file_watch_new(d->c->watches, folder, bytes_skip(root, (size_t)(slash + 1)), read_disk,
                          d, err) != NULL;
}

static bool load_disk_layers(struct config_thread *c, struct error *err)
{
    struct runtime *r = &c->bootstrap->runtime;
    for (unsigned i = 0; i < r->n_layers; i++) {
        if (r->layers[i].kind != RUNTIME_DISK)
            continue;
        struct disk_layer *d = ARENA_NEW(c->bootstrap->arena, struct disk_layer);
        *d = (struct disk_layer){c, i};
        if (!watch_root(d, r->layers[i].symlink_root, err))
            return error_prefix(err, "layered_runtime.layers[%u].disk_layer: ", i);
        read_disk(d);
    }
    return true;
}

bool config_thread_open_state(struct config_thread *c, struct error *err)
{
    const struct decode_context *ctx = builder_decode_context(c->builder);
    struct state_dir_options o = {.path = c->o.state_dir,
                                  .max_age_s = c->o.state_max_age_s,
                                  .loop = c->loop,
                                  .builder = c->builder,
                                  .stats = c->o.stats,
                                  .node = {ctx->node_id, ctx->node_cluster}};
    if (o.path)
        c->state = state_dir_new(&o, err);
    return !o.path || c->state;
}

bool config_thread_load(struct config_thread *c, struct bytes bootstrap,
                        const struct node_overrides *node, struct error *err)
{
    c->bootstrap = bootstrap_config_decode(builder_decode_context(c->builder), bootstrap, err);
    if (!c->bootstrap || !name_node(c, node, err))
        return false;
    if (!load_disk_layers(c, err))
        return false;
    runtime_set_stats(&c->bootstrap->runtime, c->o.stats);
    c->xds_table = (struct xds_table){
        .ctx = c,
        .clock = &clock_real,
        .random = &c->random,
        .min_world_share = c->o.min_world_share,
        .world_hold_ms = c->o.world_hold_ms,
        .stats = c->o.stats,
        .post = post,
        .run_posted = run_all_posted,
        .timer_start = start_timer,
        .timer_cancel = cancel_timer,
        .watch = watch,
        .unwatch = unwatch,
        .dial = dial,
        .dial_cancel = dial_cancel,
        .fetch = fetch,
        .fetch_cancel = fetch_cancel,
    };
    node_message_build(c->bootstrap->node_wire, node, &c->node);
    struct xds_sources_options s = {
        &c->xds_table, c->bootstrap->has_ads ? &c->bootstrap->ads : NULL, strbuf_bytes(&c->node)};
    c->sources = xds_sources_new(&s);
    xds_sources_set_builder(c->sources, c->builder);
    return true;
}

bool config_thread_load_static(struct config_thread *c, struct error *err)
{
    return static_load(c->builder, c->bootstrap, err);
}

const struct bootstrap_config *config_thread_bootstrap(const struct config_thread *c)
{
    return c->bootstrap;
}

static void begin(void *a, void *b)
{
    struct config_thread *c = a;
    builder_want_collections(c->builder, c->bootstrap->cds_collection,
                             c->bootstrap->lds_collection);
    builder_start(c->builder, &c->bootstrap->cds, &c->bootstrap->lds);
    builder_commit(c->builder);
    tell_expiry(c);
    timer_start(&c->reap, REAP_INTERVAL_MS);
}

static void *thread_main(void *arg)
{
    struct config_thread *c = arg;
    pthread_setname_np(pthread_self(), "config");
    cpus_give_way(); /* and so do gRPC's */
    loop_run(c->loop);
    return NULL;
}

struct bytes config_thread_node(const struct config_thread *c)
{
    return strbuf_bytes(&c->node);
}

void config_thread_run(struct config_thread *c)
{
    post_call(c->loop, begin, c, NULL);
    CHECK(pthread_create(&c->thread, NULL, thread_main, c) == 0);
    c->running = true;
}

static void stop_loop(void *a, void *b)
{
    loop_stop(((struct config_thread *)a)->loop);
}

void config_thread_stop(struct config_thread *c)
{
    if (c->running) {
        post_call(c->loop, stop_loop, c, NULL);
        pthread_join(c->thread, NULL);
        if (c->state)
            state_dir_end(c->state);
    }
    c->running = false;
}

void config_thread_end_sources(struct config_thread *c)
{
    c->ended = true;
    xds_sources_free(&c->sources);
}

bool config_thread_run_posted(struct config_thread *c)
{
    return loop_run_posts(c->loop);
}

void config_thread_free(struct config_thread **cp)
{
    struct config_thread *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    config_thread_stop(c);
    config_thread_end_sources(c);
    timer_stop(&c->reap);
    state_dir_free(&c->state);
    if (c->builder)
        builder_free(&c->builder);
    CHECK(node_reap() == 0); /* nobody is left to pin anything */
    CHECK(host_state_reap() == 0);
    LIST_EACH(l, &c->timers)
    timer_drop(LIST_ENTRY(l, struct config_timer, link));
    file_watch_set_free(&c->watches);
    loop_free(&c->loop);
    bootstrap_config_free(&c->bootstrap);
    strbuf_fini(&c->node);
    field_report_fini(&c->report);
    map_fini(&c->told);
    stat_scope_unref(&c->server);
    stat_scope_unref(&c->config);
    stat_scope_unref(&c->runtime);
    mem_free(c);
}

uint64_t config_thread_kept_ns(const struct config_thread *c)
{
    return c->state ? state_dir_serving_ns(c->state) : 0;
}

struct loop *config_thread_loop(const struct config_thread *c)
{
    return c->loop;
}

struct builder *config_thread_builder(const struct config_thread *c)
{
    return c->builder;
}

static void returned(void *a, void *b)
{
    builder_snapshot_returned(((struct config_thread *)a)->builder, b);
}

void config_thread_return(struct config_thread *c, struct snapshot *s)
{
    if (!s)
        return;
    if (c->ended)
        returned(c, s);
    else
        post_call(c->loop, returned, c, s);
}

/* A question on its way to the builder: in an arena of its own. */
struct demand {
    struct arena *arena;
    enum resource_type type;
    struct config_source source;
    struct bytes name;
};

static void demanded(void *a, void *b)
{
    struct config_thread *c = a;
    struct demand *d = b;
    struct arena *arena = d->arena;
    if (!c->ended)
        builder_demand(c->builder, d->type, &d->source, d->name);
    arena_free(&arena);
}

void config_thread_demand(struct config_thread *c, enum resource_type type,
                          const struct config_source *source, struct bytes name)
{
    struct arena *a = arena_new(0);
    struct demand *d = ARENA_NEW(a, struct demand);
    d->arena = a;
    d->type = type;
    d->name = arena_dup(a, name);
    config_source_copy(a, &d->source, source);
    post_call(c->loop, demanded, c, d);
}
