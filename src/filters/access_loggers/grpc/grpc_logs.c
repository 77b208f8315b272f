#include "filters/access_loggers/grpc/grpc_logs.h"

#include "base/memory.h"
#include "dataplane/http/access_log.h"
#include "dataplane/upstream/async_grpc.h"
#include "filters/access_loggers/grpc/grpc_log_proto.h"

#define ROW(id, name, kind) {name, STAT_##kind},
static const struct stat_desc rows[] = {GRPC_LOG_STAT_LIST(ROW)};
const struct stat_schema grpc_log_stat_schema = {rows, ARRAY_SIZE(rows)};

enum {
    LOGGERS_MAX = 256,
    WAITING_MAX = 1 << 20, /* bytes, where no buffer_size_bytes bounds them */
    SWEEP_MS = 60 * 1000,
    IDLE_MS = 10 * 60 * 1000, /* without an entry: its listener may be gone */
};

static const char method[] = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";

struct grpc_logs {
    struct access_log_service service; /* first: found from it */
    struct worker *worker;
    struct bytes node;
    struct stat_scope *stats; /* NULL until there is a logger */
    struct list loggers;      /* the last used first */
    unsigned n_loggers;
    struct grpc_log_maker maker;
    struct strbuf message;
    struct timer sweep;
};

struct logger {
    struct list link;
    struct grpc_logs *all;
    struct arena *arena;
    struct grpc_log config; /* what the stream needs of it; in the arena */
    struct async_handle call;
    bool identified; /* the stream knows who we are */
    bool blocked;    /* what waits could not be sent: the timer, or the stream, tries again */
    struct strbuf entries;
    unsigned n_entries;
    struct timer flush;
    uint64_t last_ns, started_ns;
    uint64_t not_before_ns, back_off_ms;
};

static void count(struct logger *l, enum grpc_log_stat id, unsigned n)
{
    stat_add(l->all->stats, l->all->worker->slot, id, n);
}

/* --- the stream --- */

static void flush(struct logger *l);

static void on_connected(struct async_call *c)
{
    struct logger *l = c->o.owner;
    flush(l);
}

static void on_watermark(struct async_call *c, bool above)
{
    struct logger *l = c->o.owner;
    if (!above && l->entries.len >= l->config.buffer_bytes)
        flush(l);
}

/* A stream that has lived is tried again soon, one that fails again and again ever later. */
static void on_end(struct async_call *c, const struct async_end *e)
{
    struct logger *l = c->o.owner;
    struct worker *w = l->all->worker;
    uint64_t now = loop_now_ns(w->loop), lived_ms = (now - l->started_ns) / NS_PER_MS;
    if (e->result == ASYNC_SHUTDOWN)
        return;
    l->back_off_ms *= 2;
    if (l->back_off_ms < l->config.retry_base_ms || lived_ms > l->config.retry_max_ms)
        l->back_off_ms = l->config.retry_base_ms;
    if (l->back_off_ms > l->config.retry_max_ms)
        l->back_off_ms = l->config.retry_max_ms;
    l->not_before_ns =
        now + (l->back_off_ms / 2 + random_below(&w->random, l->back_off_ms / 2 + 1)) * NS_PER_MS;
}

static const struct async_call_ops call_ops = {
    .on_connected = on_connected,
    .on_watermark = on_watermark,
    .on_end = on_end,
};

static struct async_call *open_stream(struct logger *l)
{
    struct worker *w = l->all->worker;
    const struct grpc_service *g = &l->config.service;
    struct async_call_options o = {.cluster = g->cluster_name, .ops = &call_ops, .owner = l};
    struct async_call *c = async_grpc_new(w, &o, method, g->authority);
    for (unsigned i = 0; i < g->n_metadata; i++)
        headers_add(&c->request, arena_dup(c->arena, g->metadata_keys[i]),
                    arena_dup(c->arena, g->metadata_values[i]));
    l->call = async_handle_of(c);
    l->identified = false;
    l->started_ns = loop_now_ns(w->loop);
    async_call_start(c, false);
    return c;
}

/* The stream, made where there is none and it is time; NULL: entries wait. */
static struct async_call *stream_of(struct logger *l)
{
    struct worker *w = l->all->worker;
    struct async_call *c = async_call_from_handle(l->call);
    if (c && c->cluster && !c->cluster->entry) { /* its cluster was removed, or made anew */
        async_call_cancel(c);
        c = NULL;
    }
    if (!c && loop_now_ns(w->loop) < l->not_before_ns)
        return NULL;
    if (!c)
        c = open_stream(l);
    return async_call_doomed(c) ? NULL : c;
}

/* --- entries --- */

static bool send_entries(struct logger *l, struct async_call *c)
{
    struct grpc_logs *all = l->all;
    struct grpc_log_message m = {.entries = strbuf_bytes(&l->entries),
                                 .is_tcp = l->config.is_tcp,
                                 .identified = !l->identified,
                                 .node = all->node,
                                 .log_name = l->config.log_name};
    if (!grpc_log_make_message(&all->maker, &m, &all->message))
        return false;
    async_grpc_send(c, strbuf_bytes(&all->message), false);
    l->identified = true;
    return true;
}

static void flush(struct logger *l)
{
    if (!l->n_entries)
        return;
    struct async_call *c = stream_of(l);
    l->blocked = true;
    timer_start(&l->flush, l->config.flush_ms);
    if (c && c->state == ASYNC_WAITING)
        return; /* it connects: on_connected() follows */
    if (!c || async_call_above(c) || !send_entries(l, c)) {
        count(l, STAT_GRPC_LOG_FLUSH_FAILED, l->n_entries);
        return;
    }
    count(l, STAT_GRPC_LOG_FLUSHED, l->n_entries);
    strbuf_cut(&l->entries, 0);
    l->n_entries = 0;
    l->blocked = false;
    timer_rest(&l->flush);
}

static void on_flush(struct timer *t)
{
    flush(t->owner);
}

static bool has_room(struct logger *l)
{
    return l->entries.len < (l->config.buffer_bytes ? l->config.buffer_bytes : WAITING_MAX);
}

static void add_entry(struct logger *l, struct stream *s, const struct grpc_log *log)
{
    l->last_ns = loop_now_ns(l->all->worker->loop);
    if (!has_room(l) || !grpc_log_add_entry(&l->all->maker, s, log, &l->entries)) {
        count(l, STAT_GRPC_LOG_DROPPED, 1);
        return;
    }
    count(l, STAT_GRPC_LOG_WRITTEN, 1);
    l->n_entries++;
    if (l->entries.len >= l->config.buffer_bytes && !l->blocked)
        flush(l);
    else if (!timer_pending(&l->flush))
        timer_start(&l->flush, l->config.flush_ms);
}

/* --- loggers --- */

static void logger_free(struct logger *l)
{
    struct async_call *c = async_call_from_handle(l->call);
    if (c)
        async_call_cancel(c);
    if (l->n_entries)
        count(l, STAT_GRPC_LOG_DROPPED, l->n_entries);
    timer_stop(&l->flush);
    list_remove(&l->link);
    l->all->n_loggers--;
    strbuf_fini(&l->entries);
    arena_free(&l->arena);
    mem_free(l);
}

static void copy_config(struct arena *a, struct grpc_log *to, const struct grpc_log *from)
{
    const struct grpc_service *g = &from->service;
    *to = (struct grpc_log){
        .key = arena_dup(a, from->key),
        .log_name = arena_dup(a, from->log_name),
        .is_tcp = from->is_tcp,
        .service.cluster_name = arena_dup(a, g->cluster_name),
        .service.authority = arena_dup(a, g->authority),
        .service.n_metadata = g->n_metadata,
        .flush_ms = from->flush_ms,
        .buffer_bytes = from->buffer_bytes,
        .retry_base_ms = from->retry_base_ms,
        .retry_max_ms = from->retry_max_ms,
    };
    to->service.metadata_keys = ARENA_ARRAY(a, struct bytes, g->n_metadata + 1);
    to->service.metadata_values = ARENA_ARRAY(a, struct bytes, g->n_metadata + 1);
    for (unsigned i = 0; i < g->n_metadata; i++) {
        to->service.metadata_keys[i] = arena_dup(a, g->metadata_keys[i]);
        to->service.metadata_values[i] = arena_dup(a, g->metadata_values[i]);
    }
}

static struct logger *logger_new(struct grpc_logs *all, const struct grpc_log *config)
{
    struct logger *l = NEW(struct logger);
    if (!all->stats) /* as Envoy's, who has no such log has no such statistics */
        all->stats = stat_scope_get(all->worker->stats, BYTES("access_logs.grpc_access_log"),
                                    &grpc_log_stat_schema);
    l->all = all;
    l->arena = arena_new(0);
    copy_config(l->arena, &l->config, config);
    timer_init(&l->flush, all->worker->loop, on_flush, l);
    list_push_front(&all->loggers, &l->link);
    all->n_loggers++;
    if (!timer_pending(&all->sweep))
        timer_start(&all->sweep, SWEEP_MS);
    return l;
}

static struct logger *logger_of(struct grpc_logs *all, const struct grpc_log *config)
{
    LIST_EACH(it, &all->loggers)
    {
        struct logger *l = LIST_ENTRY(it, struct logger, link);
        if (bytes_eq(l->config.key, config->key)) {
            list_remove(&l->link);
            list_push_front(&all->loggers, &l->link);
            return l;
        }
    }
    if (all->n_loggers >= LOGGERS_MAX)
        logger_free(LIST_ENTRY(list_last(&all->loggers), struct logger, link));
    return logger_new(all, config);
}

static void write_entry(struct access_log_service *service, struct stream *s,
                        const struct access_log *log)
{
    struct grpc_logs *all = CONTAINER_OF(service, struct grpc_logs, service);
    add_entry(logger_of(all, log->grpc), s, log->grpc);
}

/* A logger that nobody writes to any more gives its stream up. */
static void on_sweep(struct timer *t)
{
    struct grpc_logs *all = t->owner;
    uint64_t now = loop_now_ns(all->worker->loop);
    LIST_EACH(it, &all->loggers)
    {
        struct logger *l = LIST_ENTRY(it, struct logger, link);
        if (!l->n_entries && (now - l->last_ns) / NS_PER_MS >= IDLE_MS)
            logger_free(l);
    }
    if (all->n_loggers)
        timer_start(t, SWEEP_MS);
}

struct grpc_logs *grpc_logs_new(struct worker *w, struct bytes node)
{
    struct grpc_logs *all = NEW(struct grpc_logs);
    all->service.write = write_entry;
    all->worker = w;
    all->node = node;
    list_init(&all->loggers);
    grpc_log_maker_init(&all->maker);
    timer_init(&all->sweep, w->loop, on_sweep, all);
    w->log_service = &all->service;
    return all;
}

void grpc_logs_flush(struct grpc_logs *all)
{
    LIST_EACH(it, &all->loggers)
    flush(LIST_ENTRY(it, struct logger, link));
}

void grpc_logs_free(struct grpc_logs **logs)
{
    struct grpc_logs *all = *logs;
    *logs = NULL;
    if (!all)
        return;
    LIST_EACH(it, &all->loggers)
    logger_free(LIST_ENTRY(it, struct logger, link));
    timer_stop(&all->sweep);
    all->worker->log_service = NULL;
    grpc_log_maker_fini(&all->maker);
    strbuf_fini(&all->message);
    stat_scope_unref(&all->stats);
    mem_free(all);
}

unsigned grpc_logs_count(const struct grpc_logs *all)
{
    return all->n_loggers;
}
