/* Tells when something in the resource folder changes (inotify). Main thread only. */
#pragma once

#include "strmap.h"
#include "text.h"

struct watch {
    int fd; /* poll for reading; -1: not watching */
};

MUST_CHECK bool watch_init(struct watch *w, struct error *err);
/* Watch these folders too (those known already stay watched). */
void watch_folders(struct watch *w, const struct strmap *folders);
/* Take all events off the queue. Was there one? */
bool watch_drain(struct watch *w);
void watch_fini(struct watch *w);
