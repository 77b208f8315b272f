#include "main/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "dataplane/net/loop.h"
#include "main/post_call.h"

#define FILE_NAME "world"
#define NEW_NAME "world.new"

enum { WORLD_MAX = 1 << 30 };

#define STATE_STAT_LIST(X)                                                                         \
    X(SERVING, "serving", GAUGE)                                                                   \
    X(SAVED_TIME, "saved_time", GAUGE)                                                             \
    X(SIZE, "size", GAUGE)                                                                         \
    X(COLLECT_US, "collect_us", GAUGE)                                                             \
    X(LEFT_OUT, "left_out", GAUGE)                                                                 \
    X(WRITTEN, "written", COUNTER)                                                                 \
    X(WRITE_FAILED, "write_failed", COUNTER)                                                       \
    X(REFUSED, "refused", COUNTER)
enum state_stat {
#define X(id, name, kind) STAT_##id,
    STATE_STAT_LIST(X)
#undef X
};
#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc state_stats[] = {STATE_STAT_LIST(X)};
#undef X
static const struct stat_schema state_schema = {state_stats, ARRAY_SIZE(state_stats)};

struct writing {
    struct state_dir *home;
    struct strbuf bytes;
    int folder;
    bool ok;
    char why[160];
};

struct state_dir {
    struct state_dir_options o;
    struct stat_scope *stats;
    int folder;
    struct arena *arena; /* the bytes of the file, while world is there */
    struct kept_world *world;
    _Atomic uint64_t serving_ns;
    struct map failed; /* keys of sources that have failed and were not looked at */
    struct timer look;
    struct writing *writing; /* under way, or NULL */
    pthread_t thread;
    bool changed, write_failed;
    uint64_t written_ns; /* monotonic */
};

/* ---- writing ---- */

static bool write_all(int fd, struct bytes b)
{
    while (b.len) {
        ssize_t n = write(fd, b.data, b.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        b = bytes_skip(b, (size_t)n);
    }
    return true;
}

/* The old file stays whole until the new one is on the disk. */
static void write_file(struct writing *w)
{
    int fd = openat(w->folder, NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                    S_IRUSR | S_IWUSR);
    w->ok = fd >= 0 && fchmod(fd, S_IRUSR | S_IWUSR) == 0 &&
            write_all(fd, strbuf_bytes(&w->bytes)) && fsync(fd) == 0;
    if (fd >= 0 && close(fd) < 0)
        w->ok = false;
    w->ok =
        w->ok && renameat(w->folder, NEW_NAME, w->folder, FILE_NAME) == 0 && fsync(w->folder) == 0;
    if (!w->ok)
        snprintf(w->why, sizeof(w->why), "%s", strerror(errno));
}

static void told(struct state_dir *s, const struct writing *w)
{
    if (w->ok) {
        stat_inc(s->stats, STAT_SLOT_CONFIG, STAT_WRITTEN);
        stat_set(s->stats, STAT_SLOT_CONFIG, STAT_SIZE, (int64_t)w->bytes.len);
        stat_set(s->stats, STAT_SLOT_CONFIG, STAT_SAVED_TIME,
                 (int64_t)(clock_real.wall_ns(&clock_real) / NS_PER_S));
    } else {
        stat_inc(s->stats, STAT_SLOT_CONFIG, STAT_WRITE_FAILED);
        if (!s->write_failed)
            LOG(LOG_CONFIG, LOG_WARNING, "--state-dir %s: not written: %s", s->o.path, w->why);
        s->changed = true; /* again, later */
    }
    s->write_failed = !w->ok;
}

static void finish(struct state_dir *s)
{
    struct writing *w = s->writing;
    s->writing = NULL;
    if (!w)
        return;
    pthread_join(s->thread, NULL);
    told(s, w);
    strbuf_fini(&w->bytes);
    mem_free(w);
}

static void on_written(void *a, void *b)
{
    finish(a);
}

static void *write_main(void *arg)
{
    struct writing *w = arg;
    pthread_setname_np(pthread_self(), "state");
    write_file(w);
    post_call(w->home->o.loop, on_written, w->home, NULL);
    return NULL;
}

/* NULL: nothing that could be written. */
static struct writing *collect(struct state_dir *s)
{
    size_t left_out;
    struct writing *w = NEW(struct writing);
    w->home = s;
    w->folder = s->folder;
    s->changed = false;
    s->written_ns = clock_real.monotonic_ns(&clock_real);
    if (!kept_world_write(s->o.builder, &s->o.node, &w->bytes, &left_out)) {
        snprintf(w->why, sizeof(w->why), "there is no memory for it");
        told(s, w);
        mem_free(w);
        return NULL;
    }
    stat_set(s->stats, STAT_SLOT_CONFIG, STAT_LEFT_OUT, (int64_t)left_out);
    stat_set(s->stats, STAT_SLOT_CONFIG, STAT_COLLECT_US,
             (int64_t)((clock_real.monotonic_ns(&clock_real) - s->written_ns) / 1000));
    return w;
}

/* Never a world that is not yet whole, nor one that is itself the file's. */
static bool worth_writing(const struct state_dir *s)
{
    return s->changed && !s->writing && builder_has_world(s->o.builder) &&
           !builder_serves_kept(s->o.builder) && builder_init_stage(s->o.builder) == INIT_DONE;
}

static void write_later(struct state_dir *s)
{
    uint64_t now = clock_real.monotonic_ns(&clock_real);
    bool soon = s->written_ns && now - s->written_ns < STATE_WRITE_EVERY_MS * NS_PER_MS;
    if (soon || !worth_writing(s))
        return;
    s->writing = collect(s);
    if (!s->writing)
        return;
    if (pthread_create(&s->thread, NULL, write_main, s->writing) == 0)
        return;
    snprintf(s->writing->why, sizeof(s->writing->why), "no thread for it");
    told(s, s->writing);
    strbuf_fini(&s->writing->bytes);
    mem_free(s->writing);
    s->writing = NULL;
}

/* ---- reading ---- */

static bool read_whole(int fd, size_t size, char *data, struct error *err)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, data + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set(err, "%s", n < 0 ? strerror(errno) : "it was cut meanwhile");
        done += (size_t)n;
    }
    return true;
}

/* Only what this user wrote, and nobody else could have. */
static bool check_file(const struct stat *st, struct error *err)
{
    if (!S_ISREG(st->st_mode))
        return error_set(err, "it is no file");
    if (st->st_uid != geteuid() || st->st_mode & (S_IRWXG | S_IRWXO))
        return error_set(err, "others than its owner may use it (mode %o)",
                         (unsigned)st->st_mode & 07777);
    return st->st_size <= WORLD_MAX || error_set(err, "it is larger than %d bytes", WORLD_MAX);
}

static bool read_file(struct state_dir *s, int fd, struct bytes *out, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set(err, "%s", strerror(errno));
    if (!check_file(&st, err))
        return false;
    s->arena = arena_new(0);
    char *data = arena_alloc(s->arena, (size_t)st.st_size + 1);
    *out = bytes_from(data, (size_t)st.st_size);
    return read_whole(fd, out->len, data, err);
}

static bool check_age(const struct state_dir *s, struct error *err)
{
    uint64_t now = clock_real.wall_ns(&clock_real), saved = kept_world_saved_ns(s->world);
    uint64_t age = now > saved ? (now - saved) / NS_PER_S : 0;
    return !s->o.max_age_s || age <= s->o.max_age_s ||
           error_set(err, "it is %llu s old and --state-max-age-s is %llu", (unsigned long long)age,
                     (unsigned long long)s->o.max_age_s);
}

static void forget_world(struct state_dir *s)
{
    kept_world_free(&s->world);
    arena_free(&s->arena);
}

static void load(struct state_dir *s)
{
    struct error err = ERROR_INIT;
    struct bytes file = BYTES_NONE;
    int fd = openat(s->folder, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return;
    bool ok = fd >= 0 ? read_file(s, fd, &file, &err) : error_set(&err, "%s", strerror(errno));
    if (ok)
        s->world = kept_world_read(file, &s->o.node, &err);
    if (!s->world || !check_age(s, &err)) {
        LOG(LOG_CONFIG, LOG_WARNING, "--state-dir %s: %s is not used: %s", s->o.path, FILE_NAME,
            error_text(&err));
        stat_inc(s->stats, STAT_SLOT_CONFIG, STAT_REFUSED);
        forget_world(s);
    }
    if (fd >= 0)
        close(fd);
    error_fini(&err);
}

/* ---- serving it ---- */

static void text_of_time(uint64_t wall_ns, char *out, size_t size)
{
    time_t t = (time_t)(wall_ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void tell_serving(struct state_dir *s)
{
    uint64_t was = state_dir_serving_ns(s);
    uint64_t now = builder_serves_kept(s->o.builder) ? kept_world_saved_ns(s->world) : 0;
    char saved[32];
    if (was == now)
        return;
    text_of_time(now ? now : was, saved, sizeof(saved));
    if (now)
        LOG(LOG_CONFIG, LOG_WARNING,
            "the control plane does not answer: serving the configuration that was kept in %s at "
            "%s, %zu resources",
            s->o.path, saved, kept_world_count(s->world));
    else
        LOG(LOG_CONFIG, LOG_WARNING,
            "the control plane has answered: its configuration replaces the one of %s", saved);
    stat_set(s->stats, STAT_SLOT_CONFIG, STAT_SERVING, now != 0);
    atomic_store_explicit(&s->serving_ns, now, memory_order_relaxed);
}

static void on_look(struct timer *t)
{
    struct state_dir *s = t->owner;
    size_t it = 0;
    struct bytes key;
    void *value;
    while (s->world && map_next(&s->failed, &it, &key, &value))
        kept_world_apply(s->world, s->o.builder, key);
    map_fini(&s->failed);
    builder_commit(s->o.builder);
    tell_serving(s);
}

void state_dir_failed(struct state_dir *s, const struct config_source *source)
{
    if (!s->world)
        return;
    map_set(&s->failed, source->key, s);
    timer_start(&s->look, 0);
}

void state_dir_changed(struct state_dir *s)
{
    s->changed = true;
}

void state_dir_tick(struct state_dir *s)
{
    tell_serving(s);
    if (builder_has_world(s->o.builder) && !builder_serves_kept(s->o.builder))
        forget_world(s);
    write_later(s);
}

uint64_t state_dir_serving_ns(const struct state_dir *s)
{
    return atomic_load_explicit(&s->serving_ns, memory_order_relaxed);
}

/* ---- life ---- */

struct state_dir *state_dir_new(const struct state_dir_options *o, struct error *err)
{
    int folder = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        error_set(err, "--state-dir %s: %s", o->path, strerror(errno));
        return NULL;
    }
    struct state_dir *s = NEW(struct state_dir);
    s->o = *o;
    s->folder = folder;
    s->stats = stat_scope_get(o->stats, BYTES("xylem.state"), &state_schema);
    stat_set(s->stats, STAT_SLOT_CONFIG, STAT_SERVING, 0);
    timer_init(&s->look, o->loop, on_look, s);
    load(s);
    return s;
}

void state_dir_end(struct state_dir *s)
{
    finish(s);
    struct writing *last = worth_writing(s) ? collect(s) : NULL;
    if (!last)
        return;
    write_file(last);
    told(s, last);
    s->changed = false;
    strbuf_fini(&last->bytes);
    mem_free(last);
}

void state_dir_free(struct state_dir **sp)
{
    struct state_dir *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    finish(s);
    timer_stop(&s->look);
    forget_world(s);
    map_fini(&s->failed);
    close(s->folder);
    stat_scope_unref(&s->stats);
    mem_free(s);
}
