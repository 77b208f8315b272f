#include "main/file_watch.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "dataplane/net/loop.h"

struct file_watch {
    struct list link;
    int wd; /* of the folder: those of one folder share it; -1: the folder is gone */
    struct bytes name;
    file_watch_fn *fn;
    void *arg;
};

struct file_watch_set {
    struct loop *loop;
    int fd; /* -1: not opened yet */
    struct io_watch readable;
    struct list watches;
};

struct file_watch_set *file_watch_set_new(struct loop *loop)
{
    struct file_watch_set *s = NEW(struct file_watch_set);
    s->loop = loop;
    s->fd = -1;
    list_init(&s->watches);
    return s;
}

static bool shared(const struct file_watch_set *s, int wd)
{
    LIST_EACH(it, &s->watches)
    {
        if (LIST_ENTRY(it, struct file_watch, link)->wd == wd)
            return true;
    }
    return false;
}

void file_watch_free(struct file_watch_set *s, struct file_watch **wp)
{
    struct file_watch *w = *wp;
    *wp = NULL;
    if (!w)
        return;
    list_remove(&w->link);
    if (w->wd >= 0 && !shared(s, w->wd))
        inotify_rm_watch(s->fd, w->wd);
    mem_free((void *)w->name.data);
    mem_free(w);
}

void file_watch_set_free(struct file_watch_set **sp)
{
    struct file_watch_set *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    LIST_EACH(it, &s->watches)
    {
        struct file_watch *w = LIST_ENTRY(it, struct file_watch, link);
        file_watch_free(s, &w);
    }
    if (s->fd >= 0) {
        io_watch_stop(&s->readable);
        close(s->fd);
    }
    mem_free(s);
}

static bool concerns(const struct file_watch *w, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW)
        return true; /* what was lost may have been anything */
    if (w->wd != e->wd)
        return false;
    return w->name.len == 0 || (e->len > 0 && bytes_eq_str(w->name, e->name));
}

static void tell(struct file_watch_set *s, const struct inotify_event *e)
{
    bool gone = e->mask & IN_IGNORED;
    LIST_EACH(it, &s->watches)
    {
        struct file_watch *w = LIST_ENTRY(it, struct file_watch, link);
        if (gone && w->wd == e->wd) {
            w->wd = -1;
            LOG(LOG_CONFIG, LOG_WARNING,
                "the folder of '%.*s' is gone: it is not watched for changes any more",
                BYTES_ARG(w->name));
        } else if (!gone && concerns(w, e)) {
            w->fn(w->arg);
        }
    }
}

static void on_readable(struct io_watch *io, unsigned events)
{
    struct file_watch_set *s = io->owner;
    union {
        struct inotify_event event;
        char bytes[sizeof(struct inotify_event) + NAME_MAX + 1];
    } buf[8];
    ssize_t n = read(s->fd, buf, sizeof(buf));
    for (const char *at = (const char *)buf; n > 0;) {
        const struct inotify_event *e = (const struct inotify_event *)at;
        size_t size = sizeof(*e) + e->len;
        tell(s, e);
        at += size;
        n -= (ssize_t)size;
    }
}

static bool open_queue(struct file_watch_set *s, struct error *err)
{
    if (s->fd >= 0)
        return true;
    s->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->fd < 0)
        return error_set(err, "inotify: %s", strerror(errno));
    io_watch_init(&s->readable, s->loop, s->fd, on_readable, s);
    io_watch_set(&s->readable, IO_READ);
    return true;
}

static char *copy_str(struct bytes b)
{
    char *p = mem_alloc(b.len + 1);
    memcpy(p, b.len ? b.data : "", b.len);
    p[b.len] = '\0';
    return p;
}

struct file_watch *file_watch_new(struct file_watch_set *s, struct bytes folder, struct bytes name,
                                  file_watch_fn *fn, void *arg, struct error *err)
{
    char *path = copy_str(folder);
    int wd = -1;
    if (open_queue(s, err)) {
        wd = inotify_add_watch(s->fd, path, IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR);
        if (wd < 0)
            error_set(err, "'%s': %s", path, strerror(errno));
    }
    mem_free(path);
    if (wd < 0)
        return NULL;
    struct file_watch *w = NEW(struct file_watch);
    *w = (struct file_watch){.wd = wd, .fn = fn, .arg = arg};
    w->name = bytes_from(copy_str(name), name.len);
    list_push_back(&s->watches, &w->link);
    return w;
}
