#include "watch.h"

#include <errno.h>
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

void watch_folders(struct watch *w, const struct strmap *folders)
{
    for (size_t i = 0; w->fd >= 0 && i < folders->count; i++)
        inotify_add_watch(w->fd, folders->entries[i].key,
                          IN_CLOSE_WRITE | IN_CREATE | IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO |
                              IN_DELETE | IN_ATTRIB | IN_ONLYDIR);
}

bool watch_drain(struct watch *w)
{
    char buffer[16384];
    bool any = false;

    while (w->fd >= 0 && read(w->fd, buffer, sizeof(buffer)) > 0)
        any = true;
    return any;
}

void watch_fini(struct watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}
