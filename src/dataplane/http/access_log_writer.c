#include "dataplane/http/access_log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"

enum { END_PATIENCE_S = 2, LATE_MS = 1000 };
enum { BLOCK_SIZE = 64 * 1024, FREE_BLOCKS_MAX = 64, WAITING_MAX = 16 * 1024 * 1024 };

/* A line that is longer than a block gets one of its own, so that nobody hides a request behind a
 * long header. */
struct block {
    struct list link;
    size_t len, size;
    uint32_t lines;
    char data[];
};

/* One destination. Never freed before the service: a path seen once is likely to come again. */
struct log_file {
    struct list link;
    enum access_log_sink sink;
    struct bytes path;   /* own copy */
    struct list waiting; /* blocks, oldest first */
    size_t waiting_bytes;
    int fd;             /* -1: not open; the writer thread alone closes it while it runs */
    unsigned keepers;   /* logs of the configuration that are written to it */
    uint64_t unused_ns; /* it had keepers, and has none since; 0: not so */
    bool reopen;        /* asked for */
    bool old;           /* it could not be: lines go where they went, and each block tries again */
    bool complained;
};

struct access_log_writer {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    pthread_t thread;
    struct list files, free_blocks;
    unsigned n_free;
    uint64_t flush_ms;
    size_t flush_bytes;
    bool started, stop, busy;
    struct access_log_counts counts;
    struct log_files kept;
};

static struct access_log_writer *abandoned;

/* --- the writer thread --- */

/* wait: for the reader of a pipe, as the writer thread does, since its lines have nowhere else to
 * go. */
static int open_file(const struct log_file *f, bool wait)
{
    if (f->sink == ACCESS_LOG_STDOUT || bytes_eq_str(f->path, "/dev/stdout"))
        return STDOUT_FILENO;
    if (f->sink == ACCESS_LOG_STDERR || bytes_eq_str(f->path, "/dev/stderr"))
        return STDERR_FILENO;
    return log_open_file(f->path.data, wait);
}

static void close_file(int fd)
{
    if (fd > STDERR_FILENO)
        close(fd);
}

static bool write_block(int fd, const struct block *b)
{
    size_t done = 0;
    while (done < b->len) {
        ssize_t n = write(fd, b->data + done, b->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static void give_back(struct access_log_writer *s, struct block *b)
{
    if (s->n_free >= FREE_BLOCKS_MAX || b->size != BLOCK_SIZE) {
        mem_free(b);
        return;
    }
    b->len = b->lines = 0;
    list_push_front(&s->free_blocks, &b->link);
    s->n_free++;
}

static void complain(struct log_file *f, bool failed, const char *more)
{
    if (failed && !f->complained)
        LOG(LOG_FILE, LOG_WARNING, "access log '%s': %s%s", f->path.len ? f->path.data : "stdio",
            strerror(errno), more);
    f->complained = failed;
}

/* The new file, or the old one where that cannot be opened: no line is lost for it. */
static int open_again(struct log_file *f, int old)
{
    int fd = open_file(f, false);
    complain(f, fd < 0, "; writing on into the old file");
    if (fd < 0)
        return old;
    close_file(old);
    return fd;
}

/* What became of one file's turn. */
struct turn {
    bool reopen_failed, open_failed, written;
};

/* The writer thread, without the lock; its descriptor afterwards. */
static int serve_file(struct log_file *f, int fd, bool reopen, const struct block *b,
                      struct turn *out)
{
    if (reopen && fd >= 0) {
        int next = open_again(f, fd);
        out->reopen_failed = next == fd && fd > STDERR_FILENO;
        fd = next;
    }
    if (!b)
        return fd;
    if (fd < 0)
        fd = open_file(f, true);
    out->open_failed = fd < 0;
    out->written = fd >= 0 && write_block(fd, b);
    if (!out->reopen_failed)
        complain(f, !out->written, "");
    return fd;
}

static void count_block(struct access_log_writer *s, struct log_file *f, struct block *b,
                        const struct turn *t)
{
    f->waiting_bytes -= b->len;
    s->counts.waiting_bytes -= b->len;
    s->counts.blocks_written += t->written;
    s->counts.open_failures += t->open_failed;
    s->counts.write_failures += !t->open_failed && !t->written;
    if (!t->written)
        s->counts.dropped_lines += b->lines;
    give_back(s, b);
}

/* Called with the lock held; gives it up while it opens and writes. */
static void take_turn(struct access_log_writer *s, struct log_file *f)
{
    struct list *l = list_pop_front(&f->waiting);
    struct block *b = l ? LIST_ENTRY(l, struct block, link) : NULL;
    struct turn t = {0};
    bool reopen = f->reopen || f->old;
    int fd = f->fd;
    f->reopen = false;
    pthread_mutex_unlock(&s->lock);
    int next = serve_file(f, fd, reopen, b, &t);
    pthread_mutex_lock(&s->lock);
    if (fd < 0 && f->fd >= 0) /* opened for a log that has come meanwhile */
        close_file(next);
    else
        f->fd = next;
    f->old = t.reopen_failed;
    s->counts.open_failures += t.reopen_failed;
    if (b)
        count_block(s, f, b, &t);
}

/* Once the last lines have come from the workers. When the next such file is due; 0: there is none.
 */
static uint64_t close_unused(struct access_log_writer *s)
{
    uint64_t now = clock_real.monotonic_ns(&clock_real), next = 0;
    LIST_EACH(l, &s->files)
    {
        struct log_file *f = LIST_ENTRY(l, struct log_file, link);
        uint64_t due = f->unused_ns + (s->flush_ms + LATE_MS) * NS_PER_MS;
        if (!f->unused_ns || f->fd < 0)
            continue;
        if (due > now) {
            next = next && next < due ? next : due;
            continue;
        }
        close_file(f->fd);
        f->fd = -1;
        f->old = false;
    }
    return next;
}

static void wait_for_work(struct access_log_writer *s)
{
    uint64_t until = close_unused(s);
    struct timespec t = {(time_t)(until / NS_PER_S), (long)(until % NS_PER_S)};
    if (until)
        pthread_cond_clockwait(&s->work, &s->lock, CLOCK_MONOTONIC, &t);
    else
        pthread_cond_wait(&s->work, &s->lock);
}

static struct log_file *next_with_work(struct access_log_writer *s)
{
    LIST_EACH(l, &s->files)
    {
        struct log_file *f = LIST_ENTRY(l, struct log_file, link);
        if (!list_empty(&f->waiting) || f->reopen) {
            list_remove(&f->link); /* the others' turn next */
            list_push_back(&s->files, &f->link);
            return f;
        }
    }
    return NULL;
}

static void *run(void *arg)
{
    struct access_log_writer *s = arg;
    pthread_setname_np(pthread_self(), "access_log");
    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct log_file *f = next_with_work(s);
        if (f) {
            take_turn(s, f);
            continue;
        }
        s->busy = false;
        pthread_cond_broadcast(&s->done);
        if (s->stop)
            break;
        wait_for_work(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- files --- */

/* Called with the lock held. */
static void wake_writer(struct access_log_writer *s)
{
    s->busy = s->started;
    pthread_cond_signal(&s->work);
}

static char *text_of(struct bytes path)
{
    char *text = mem_alloc(path.len + 1);
    memcpy(text, path.data ? path.data : "", path.len);
    text[path.len] = '\0';
    return text;
}

static struct log_file *find_file(struct access_log_writer *s, enum access_log_sink sink,
                                  struct bytes path)
{
    LIST_EACH(l, &s->files)
    {
        struct log_file *f = LIST_ENTRY(l, struct log_file, link);
        if (f->sink == sink && bytes_eq(f->path, path))
            return f;
    }
    return NULL;
}

static struct log_file *get_file(struct access_log_writer *s, enum access_log_sink sink,
                                 struct bytes path)
{
    struct log_file *f = find_file(s, sink, path);
    if (f)
        return f;
    f = NEW(struct log_file);
    f->path = bytes_from(text_of(path), path.len);
    f->sink = sink;
    f->fd = -1;
    list_init(&f->waiting);
    list_push_back(&s->files, &f->link);
    return f;
}

static void keep(struct log_file *f)
{
    f->keepers++;
    f->unused_ns = 0;
}

static bool keep_open_one(struct access_log_writer *s, struct bytes path)
{
    pthread_mutex_lock(&s->lock);
    struct log_file *f = find_file(s, ACCESS_LOG_FILE, path);
    bool open = f && f->fd >= 0;
    if (open)
        keep(f);
    pthread_mutex_unlock(&s->lock);
    return open;
}

/* A pipe that nobody reads yet is no error: the writer waits for its reader. */
static bool try_to_open(const char *path, int *fd, struct error *err)
{
    *fd = log_open_file(path, false);
    return *fd >= 0 || errno == ENXIO ||
           error_set(err, "unable to open file '%s': %s", path, strerror(errno));
}

static bool keep_file(void *ctx, struct bytes path, struct error *err)
{
    struct access_log_writer *s = ctx;
    int fd;
    if (keep_open_one(s, path))
        return true;
    char *text = text_of(path);
    bool ok = try_to_open(text, &fd, err);
    mem_free(text);
    if (!ok)
        return false;
    pthread_mutex_lock(&s->lock);
    struct log_file *f = get_file(s, ACCESS_LOG_FILE, path);
    keep(f);
    if (f->fd < 0)
        f->fd = fd;
    else
        close_file(fd); /* the writer was faster */
    pthread_mutex_unlock(&s->lock);
    return true;
}

static void let_file_go(void *ctx, struct bytes path)
{
    struct access_log_writer *s = ctx;
    pthread_mutex_lock(&s->lock);
    struct log_file *f = find_file(s, ACCESS_LOG_FILE, path);
    CHECK(f && f->keepers > 0);
    if (--f->keepers == 0) {
        f->unused_ns = clock_real.monotonic_ns(&clock_real);
        wake_writer(s);
    }
    pthread_mutex_unlock(&s->lock);
}

/* --- the service --- */

struct access_log_writer *access_log_writer_new(uint64_t flush_ms, size_t flush_bytes)
{
    struct access_log_writer *s = NEW(struct access_log_writer);
    s->flush_ms = flush_ms;
    s->flush_bytes = flush_ms == 0 ? 0 : flush_bytes < BLOCK_SIZE ? flush_bytes : BLOCK_SIZE;
    s->kept = (struct log_files){s, keep_file, let_file_go};
    list_init(&s->files);
    list_init(&s->free_blocks);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->done, NULL);
    return s;
}

void access_log_writer_start(struct access_log_writer *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    CHECK(rc == 0);
    s->started = true;
}

/* False: a destination takes nothing (a pipe nobody reads), and the writer stays in the call. */
static bool join_writer(struct access_log_writer *s)
{
    struct timespec until;
    if (!s->started)
        return true;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += END_PATIENCE_S;
    return pthread_timedjoin_np(s->thread, NULL, &until) == 0;
}

void access_log_writer_free(struct access_log_writer **writer)
{
    struct access_log_writer *s = *writer;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    *writer = NULL;
    if (!join_writer(s)) {
        LOG(LOG_FILE, LOG_WARNING,
            "access log: a destination takes nothing: its last lines are lost");
        abandoned = s; /* the thread that still uses it ends with the process */
        return;
    }
    struct list *l, *b;
    while ((l = list_pop_front(&s->files)) != NULL) {
        struct log_file *f = LIST_ENTRY(l, struct log_file, link);
        while ((b = list_pop_front(&f->waiting)) != NULL) /* of a writer that never started */
            mem_free(LIST_ENTRY(b, struct block, link));
        close_file(f->fd);
        mem_free((char *)f->path.data);
        mem_free(f);
    }
    while ((l = list_pop_front(&s->free_blocks)) != NULL)
        mem_free(LIST_ENTRY(l, struct block, link));
    mem_free(s);
}

void access_log_writer_reopen(struct access_log_writer *s)
{
    pthread_mutex_lock(&s->lock);
    s->counts.reopens++;
    LIST_EACH(l, &s->files)
    {
        struct log_file *f = LIST_ENTRY(l, struct log_file, link);
        f->reopen = f->fd >= 0;
    }
    wake_writer(s);
    pthread_mutex_unlock(&s->lock);
}

void access_log_writer_sync(struct access_log_writer *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->busy)
        pthread_cond_wait(&s->done, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

struct access_log_counts access_log_writer_counts(struct access_log_writer *s)
{
    pthread_mutex_lock(&s->lock);
    struct access_log_counts c = s->counts;
    pthread_mutex_unlock(&s->lock);
    return c;
}

const struct log_files *access_log_writer_files(struct access_log_writer *s)
{
    return &s->kept;
}

bool access_log_writer_try_again(struct access_log_writer *s, struct error *err)
{
    LIST_EACH(l, &s->files)
    {
        struct log_file *f = LIST_ENTRY(l, struct log_file, link);
        int fd;
        if (!try_to_open(f->path.data, &fd, err))
            return false;
        if (fd < 0)
            continue;
        close_file(f->fd);
        f->fd = fd;
    }
    return true;
}

/* --- a worker's side --- */

struct open_block {
    struct log_file *file;
    struct block *block; /* NULL: none begun */
};

struct access_log_buffer {
    struct access_log_writer *writer;
    struct timer flush_timer;
    struct open_block *open;
    unsigned n_open, cap_open;
};

static void on_flush_timer(struct timer *t)
{
    struct access_log_buffer *w = t->owner;
    access_log_buffer_flush(w);
    pthread_mutex_lock(&w->writer->lock);
    w->writer->counts.flushed_by_timer++;
    pthread_mutex_unlock(&w->writer->lock);
}

struct access_log_buffer *access_log_buffer_new(struct access_log_writer *s, struct loop *loop)
{
    struct access_log_buffer *w = NEW(struct access_log_buffer);
    w->writer = s;
    timer_init(&w->flush_timer, loop, on_flush_timer, w);
    return w;
}

void access_log_buffer_free(struct access_log_buffer **writer)
{
    struct access_log_buffer *w = *writer;
    if (!w)
        return;
    access_log_buffer_flush(w);
    timer_stop(&w->flush_timer);
    mem_free(w->open);
    mem_free(w);
    *writer = NULL;
}

static void hand_over(struct access_log_buffer *w, struct open_block *o)
{
    struct access_log_writer *s = w->writer;
    struct block *b = o->block;
    o->block = NULL;
    pthread_mutex_lock(&s->lock);
    s->counts.lines += b->lines;
    if (o->file->waiting_bytes + b->len > WAITING_MAX) {
        s->counts.dropped_lines += b->lines;
        give_back(s, b);
    } else {
        o->file->waiting_bytes += b->len;
        s->counts.waiting_bytes += b->len;
        list_push_back(&o->file->waiting, &b->link);
        s->busy = true;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
}

void access_log_buffer_flush(struct access_log_buffer *w)
{
    for (unsigned i = 0; i < w->n_open; i++) {
        if (w->open[i].block)
            hand_over(w, &w->open[i]);
    }
}

static bool same_file(const struct log_file *f, const struct access_log *log)
{
    return f->sink == log->sink && bytes_eq(f->path, log->path);
}

static struct open_block *find_open(struct access_log_buffer *w, const struct access_log *log)
{
    for (unsigned i = 0; i < w->n_open; i++) {
        if (same_file(w->open[i].file, log))
            return &w->open[i];
    }
    GROW(w->open, w->cap_open, w->n_open + 1);
    pthread_mutex_lock(&w->writer->lock);
    struct log_file *f = get_file(w->writer, log->sink, log->path);
    pthread_mutex_unlock(&w->writer->lock);
    w->open[w->n_open] = (struct open_block){.file = f};
    return &w->open[w->n_open++];
}

static struct block *block_new(size_t size)
{
    struct block *b = mem_try(sizeof(*b) + size);
    if (!b)
        return NULL;
    list_init(&b->link);
    b->size = size;
    b->len = b->lines = 0;
    return b;
}

/* Room for a line. */
static struct block *take_block(struct access_log_writer *s, size_t len)
{
    if (len > BLOCK_SIZE || s->flush_bytes == 0)
        return len <= WAITING_MAX ? block_new(len) : NULL;
    pthread_mutex_lock(&s->lock);
    struct list *l = list_pop_front(&s->free_blocks);
    if (l)
        s->n_free--;
    pthread_mutex_unlock(&s->lock);
    if (!l)
        return block_new(BLOCK_SIZE);
    struct block *b = LIST_ENTRY(l, struct block, link);
    list_init(&b->link);
    b->len = b->lines = 0;
    return b;
}

void access_log_write(struct access_log_buffer *w, const struct access_log *log, struct bytes line)
{
    struct open_block *o = find_open(w, log);
    if (o->block && o->block->len + line.len > o->block->size)
        hand_over(w, o);
    if (!o->block)
        o->block = take_block(w->writer, line.len);
    if (!o->block) {
        pthread_mutex_lock(&w->writer->lock);
        w->writer->counts.dropped_lines++;
        pthread_mutex_unlock(&w->writer->lock);
        return;
    }
    if (line.len) /* a format may have nothing to say */
        memcpy(o->block->data + o->block->len, line.data, line.len);
    o->block->len += line.len;
    o->block->lines++;
    if (o->block->len >= w->writer->flush_bytes)
        hand_over(w, o);
    else if (!timer_pending(&w->flush_timer))
        timer_start(&w->flush_timer, w->writer->flush_ms);
}
