#include "dataplane/http/access_log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"

enum { END_PATIENCE_S = 2 };
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
    int fd; /* writer thread only; -1: not open */
    bool reopen, complained;
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
};

static struct access_log_writer *abandoned;

/* --- the writer thread --- */

static int open_file(const struct log_file *f)
{
    if (f->sink == ACCESS_LOG_STDOUT || bytes_eq_str(f->path, "/dev/stdout"))
        return dup(STDOUT_FILENO);
    if (f->sink == ACCESS_LOG_STDERR || bytes_eq_str(f->path, "/dev/stderr"))
        return dup(STDERR_FILENO);
    return open(f->path.data, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
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

/* Called with the lock held; gives it up while it writes. */
static void write_waiting(struct access_log_writer *s, struct log_file *f)
{
    struct list *l = list_pop_front(&f->waiting);
    struct block *b = LIST_ENTRY(l, struct block, link);
    bool reopen = f->reopen;
    f->reopen = false;
    pthread_mutex_unlock(&s->lock);
    if (reopen && f->fd >= 0) {
        close(f->fd);
        f->fd = -1;
    }
    bool opened = f->fd >= 0 || (f->fd = open_file(f)) >= 0;
    bool written = opened && write_block(f->fd, b);
    if (!written && !f->complained)
        LOG(LOG_FILE, LOG_WARNING, "access log '%s': %s", f->path.len ? f->path.data : "stdio",
            strerror(errno));
    f->complained = !written;
    pthread_mutex_lock(&s->lock);
    f->waiting_bytes -= b->len;
    s->counts.waiting_bytes -= b->len;
    s->counts.blocks_written += written;
    s->counts.open_failures += !opened;
    s->counts.write_failures += opened && !written;
    if (!written)
        s->counts.dropped_lines += b->lines;
    give_back(s, b);
}

static struct log_file *next_with_work(struct access_log_writer *s)
{
    LIST_EACH(l, &s->files)
    {
        struct log_file *f = LIST_ENTRY(l, struct log_file, link);
        if (!list_empty(&f->waiting)) {
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
            write_waiting(s, f);
            continue;
        }
        s->busy = false;
        pthread_cond_broadcast(&s->done);
        if (s->stop)
            break;
        pthread_cond_wait(&s->work, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- the service --- */

struct access_log_writer *access_log_writer_new(uint64_t flush_ms, size_t flush_bytes)
{
    struct access_log_writer *s = NEW(struct access_log_writer);
    s->flush_ms = flush_ms ? flush_ms : 1000;
    s->flush_bytes = flush_bytes && flush_bytes < BLOCK_SIZE ? flush_bytes : BLOCK_SIZE;
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
        if (f->fd >= 0)
            close(f->fd);
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
        LIST_ENTRY(l, struct log_file, link)->reopen = true;
    }
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

static bool same_file(const struct log_file *f, const struct access_log *log)
{
    return f->sink == log->sink && bytes_eq(f->path, log->path);
}

static struct log_file *get_file(struct access_log_writer *s, const struct access_log *log)
{
    LIST_EACH(l, &s->files)
    {
        struct log_file *f = LIST_ENTRY(l, struct log_file, link);
        if (same_file(f, log))
            return f;
    }
    struct log_file *f = NEW(struct log_file);
    char *path = mem_alloc(log->path.len + 1);
    memcpy(path, log->path.data ? log->path.data : "", log->path.len);
    path[log->path.len] = '\0';
    f->path = bytes_from(path, log->path.len);
    f->sink = log->sink;
    f->fd = -1;
    list_init(&f->waiting);
    list_push_back(&s->files, &f->link);
    return f;
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

static struct open_block *find_open(struct access_log_buffer *w, const struct access_log *log)
{
    for (unsigned i = 0; i < w->n_open; i++) {
        if (same_file(w->open[i].file, log))
            return &w->open[i];
    }
    GROW(w->open, w->cap_open, w->n_open + 1);
    pthread_mutex_lock(&w->writer->lock);
    struct log_file *f = get_file(w->writer, log);
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
    if (len > BLOCK_SIZE)
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
