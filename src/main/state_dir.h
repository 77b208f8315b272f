/* struct state_dir: --state-dir, the last accepted world in a file (config/kept_world.h). It is
 * written by a thread of its own, at most every STATE_WRITE_EVERY_MS, into a new file that is
 * flushed and then moved over the old one; a start whose control plane does not answer serves it.
 * Config thread, but for state_dir_serving_ns(), which any thread may ask. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/stats.h"
#include "config/builder.h"
#include "config/kept_world.h"

struct state_dir;
struct loop;

enum { STATE_WRITE_EVERY_MS = 5000 };

struct state_dir_options {
    const char *path;
    uint64_t max_age_s; /* 0: any age */
    struct loop *loop;
    struct builder *builder;
    struct stat_store *stats;
    struct kept_node node; /* outlives it */
};

/* Reads what is there. A file that cannot be used is told of and passed over. NULL and *err: there
 * is no such folder. Main, before the thread runs. */
struct state_dir *state_dir_new(const struct state_dir_options *o, struct error *err);
/* The loop has stopped, the builder is still whole: writes what is new. */
void state_dir_end(struct state_dir *s);
void state_dir_free(struct state_dir **s); /* what was posted to the loop has run */
void state_dir_failed(struct state_dir *s, const struct config_source *source);
void state_dir_changed(struct state_dir *s); /* a snapshot was published */
void state_dir_tick(struct state_dir *s);    /* from a timer, each second */
/* When the world that serves was saved; 0: it is the control plane's. */
uint64_t state_dir_serving_ns(const struct state_dir *s);
