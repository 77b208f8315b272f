#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

bool watch_init(struct watch *w, struct error *err)
{
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->fd < 0)
        return error_set(err, "inotify: %s", strerror(errno));
    return true;
}

/* The limit of watches, mostly: said once. */
static void tell(struct watch *w, const char *folder, int why)
{
    if (why == ENOENT || w->told)
        return;
    w->told = true;
    fprintf(stderr, "xylem-stub: warning: %s is not watched: %s\n", folder, strerror(why));
}

bool watch_folders(struct watch *w, const struct strmap *folders)
{
    int before = w->newest;

    for (size_t i = 0; w->fd >= 0 && i < folders->count; i++) {
        int wd = inotify_add_watch(w->fd, folders->entries[i].key,
                                   IN_CLOSE_WRITE | IN_CREATE | IN_MODIFY | IN_MOVED_FROM |
                                       IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |
                                       IN_MOVE_SELF | IN_ONLYDIR);

        if (wd < 0)
            tell(w, folders->entries[i].key, errno);
        w->newest = wd > w->newest ? wd : w->newest;
    }
    return w->newest != before;
}

/* A watch goes with its folder when that moves: what happens there is not ours any more. */
static bool take(struct watch *w, const struct inotify_event *e)
{
    if (e->mask & IN_MOVE_SELF)
        inotify_rm_watch(w->fd, e->wd);
    return !(e->mask & IN_IGNORED);
}

bool watch_drain(struct watch *w)
{
    char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool any = false;
    ssize_t n;

    while (w->fd >= 0 && (n = read(w->fd, buffer, sizeof(buffer))) > 0) {
        for (const char *at = buffer; at < buffer + n;) {
            const struct inotify_event *e = (const struct inotify_event *)at;

            any |= take(w, e);
            at += sizeof(*e) + e->len;
        }
    }
    return any;
}

void watch_fini(struct watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}
