/* Tells when something in the resource folder changes (inotify). Main thread only. */
#pragma once

#include "strmap.h"
#include "text.h"

struct watch {
    int fd;     /* poll for reading; -1: not watching */
    int newest; /* the kernel's number of the watch that was made last */
    bool told;  /* that a folder cannot be watched */
};

MUST_CHECK bool watch_init(struct watch *w, struct error *err);
/* Watch these folders too (those known already stay watched). Is one of them new, or another one by
 * the name of one that went? Then read again: files may have come before its watch. */
bool watch_folders(struct watch *w, const struct strmap *folders);
/* Take all events off the queue, and the watches off folders that moved. Was there one? */
bool watch_drain(struct watch *w);
void watch_fini(struct watch *w);
