#include "xds/file_source.h"

#include "base/log.h"
#include "base/memory.h"
#include "config/discovery_file.h"
#include "xds/topic.h"

struct file_source {
    struct arena *arena; /* of the source */
    struct config_source source;
    struct topic_home home;
    struct topic topic;
    void *watch;   /* NULL: could not be watched */
    void *refresh; /* a reading is due; or NULL */
    bool asked;    /* more is wanted than the last reading was for */
    bool busy;     /* reading now */
};

static bool parse(struct topic *t, struct bytes message, struct discovery_response *r,
                  struct error *err)
{
    if (!discovery_response_read(message, r))
        return error_set(err, "it is no DiscoveryResponse, or there is no memory for it");
    if (topic_add_missing(t, r))
        return true;
    discovery_response_fini(r);
    return error_set(err, "out of memory");
}

static void failed(struct file_source *f, enum subscription_stat id, const char *what,
                   const struct error *err)
{
    if (id == STAT_SUB_UPDATE_FAILURE) {
        topic_count(&f->topic, id);
        config_update_unread(f->home.builder, &f->source, f->topic.type);
    }
    LOG(LOG_CONFIG, LOG_WARNING, "Filesystem config update %s: in %.*s: %s", what,
        BYTES_ARG(f->source.path), error_text(err));
}

/* What else stands there is no news of it. */
static void tell_absent(struct file_source *f, const struct discovery_response *r)
{
    struct bytes name;
    void *value;
    for (size_t i = 0; map_next(&f->topic.sub.names, &i, &name, &value);) {
        bool there = subscription_is_wildcard(&f->topic.sub);
        for (size_t k = 0; k < r->n_resources && !there; k++)
            there = bytes_eq(r->resources[k].name, name);
        if (there)
            continue;
        config_update_lacks(f->home.builder, &f->source, f->topic.type, name);
        LOG(LOG_CONFIG, LOG_WARNING, "Filesystem config update: in %.*s: no resource '%.*s'",
            BYTES_ARG(f->source.path), BYTES_ARG(name));
    }
}

static void apply(struct file_source *f, struct bytes message)
{
    struct discovery_response r;
    struct error err = ERROR_INIT;
    if (!parse(&f->topic, message, &r, &err)) {
        failed(f, STAT_SUB_UPDATE_FAILURE, "failure", &err);
    } else {
        tell_absent(f, &r);
        topic_apply(&f->topic, &r, &err);
        subscription_answer(&f->topic.sub, r.version, BYTES(""),
                            error_is_set(&err) ? error_text(&err) : NULL);
        if (error_is_set(&err))
            failed(f, STAT_SUB_UPDATE_REJECTED, "rejected", &err);
        discovery_response_fini(&r);
    }
    error_fini(&err);
}

static void read_now(void *arg)
{
    struct file_source *f = arg;
    struct decode_context *ctx = builder_decode_context(f->home.builder);
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    struct bytes message;
    if (f->topic.type == RESOURCE_SECRET)
        arena_wipe_on_free(a);
    f->refresh = NULL;
    f->asked = false;
    f->busy = true;
    topic_count(&f->topic, STAT_SUB_UPDATE_ATTEMPT);
    if (discovery_file_read(ctx, f->source.path, a, &message, &err))
        apply(f, message);
    else
        failed(f, STAT_SUB_UPDATE_FAILURE, "failure", &err);
    error_fini(&err);
    arena_free(&a);
    builder_commit(f->home.builder);
    mem_reserve_end();
    f->busy = false;
}

static void read_later(struct file_source *f)
{
    if (!f->refresh)
        f->refresh = f->home.table->timer_start(f->home.table->ctx, 0, read_now, f);
}

static void on_change(void *arg)
{
    struct file_source *f = arg;
    if (map_count(&f->topic.sub.names) > 0)
        read_later(f);
}

static void start_watch(struct file_source *f)
{
    const struct xds_table *t = f->home.table;
    struct bytes path = f->source.path, folder = f->source.watched_directory;
    struct error err = ERROR_INIT;
    ptrdiff_t slash = bytes_rfind_char(path, '/');
    struct bytes name = BYTES(""); /* whatever moves into the folder */
    if (folder.len == 0) {
        folder = slash > 0    ? bytes_first(path, (size_t)slash)
                 : slash == 0 ? BYTES("/")
                              : BYTES(".");
        name = bytes_skip(path, (size_t)(slash + 1));
    }
    f->watch = t->watch(t->ctx, folder, name, on_change, f, &err);
    if (!f->watch)
        LOG(LOG_CONFIG, LOG_ERROR, "%.*s is not watched for changes: %s", BYTES_ARG(path),
            error_text(&err));
    error_fini(&err);
}

struct file_source *file_source_new(const struct xds_table *table, struct builder *builder,
                                    const struct config_source *source, enum resource_type type)
{
    struct file_source *f = NEW(struct file_source);
    f->arena = arena_new(0);
    config_source_copy(f->arena, &f->source, source);
    f->home = (struct topic_home){table, builder, &f->source};
    topic_init(&f->topic, &f->home, type);
    start_watch(f);
    return f;
}

void file_source_free(struct file_source **fp)
{
    struct file_source *f = *fp;
    *fp = NULL;
    if (!f)
        return;
    const struct xds_table *t = f->home.table;
    if (f->refresh)
        t->timer_cancel(t->ctx, f->refresh);
    if (f->watch)
        t->unwatch(t->ctx, f->watch);
    topic_fini(&f->topic);
    arena_free(&f->arena);
    mem_free(f);
}

void file_source_want(struct file_source *f, struct bytes name)
{
    topic_want(&f->topic, name);
    f->asked = true;
}

void file_source_unwant(struct file_source *f, struct bytes name)
{
    topic_unwant(&f->topic, name);
}

void file_source_flush(struct file_source *f)
{
    if (f->asked)
        read_later(f);
}

bool file_source_idle(const struct file_source *f)
{
    return !f->busy && map_count(&f->topic.sub.names) == 0;
}

void file_source_fetch_timed_out(struct file_source *f)
{
    topic_count(&f->topic, STAT_SUB_INIT_FETCH_TIMEOUT);
}
