/* struct file_watch_set: folders that are watched for files which are moved or written there
 * (inotify), on one loop. Any one thread, the loop's. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"

struct file_watch_set;
struct file_watch;
struct loop;

typedef void file_watch_fn(void *arg);

struct file_watch_set *file_watch_set_new(struct loop *loop);
void file_watch_set_free(struct file_watch_set **s); /* with all its watches */
/* fn(arg) runs for each time that something was moved to `name` in the folder, or written there and
 * closed; name empty: to any name. It may neither begin nor end watches. NULL and *err: the folder
 * cannot be watched. */
struct file_watch *file_watch_new(struct file_watch_set *s, struct bytes folder, struct bytes name,
                                  file_watch_fn *fn, void *arg, struct error *err);
void file_watch_free(struct file_watch_set *s, struct file_watch **w);
