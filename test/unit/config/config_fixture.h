/* For tests of src/config: messages from YAML, a registry with one router, and a builder whose
 * world is written down instead of acted on. */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"
#include "config/builder.h"
#include "config/decode.h"
#include "config/descriptors.h"
#include "config/validate.h"

extern const struct filter_registry fixture_registry;

struct fixture_timer {
    uint64_t ms;
    builder_timer_fn *fn;
    void *arg;
    bool used;
};

struct fixture {
    struct arena *arena;
    struct descriptors *descriptors;
    struct validator *validator;
    struct stat_store *stats;
    struct clock_fake clock;
    struct builder *builder;
    struct config_source ads;

    struct strbuf log; /* "want eds web;" "unwant ...;" "done;" "publish 3;" */
    void (*on_unwant)(enum resource_type type, struct bytes name); /* or NULL */
    struct fixture_timer timers[64];
    bool refuse_bind;
    const char *no_folder;   /* cannot be watched: ends in this; or NULL */
    unsigned holders;        /* what publish sets */
    uint64_t dns_generation; /* of the last dns_start */
    bool initialised;
    struct fixture_watch {
        struct bytes folder;
        builder_timer_fn *fn;
        void *arg;
        bool used;
    } watches[8];
};

void fixture_init(struct fixture *f);
void fixture_fini(struct fixture *f);
/* The bytes of a message written in YAML; ends the test when it cannot be read. */
struct bytes fixture_wire(struct fixture *f, const char *message, const char *yaml);
/* Starts with CDS and LDS over ADS, both answered with nothing. */
void fixture_start(struct fixture *f);
/* One resource of a source, then a commit. The NACK text ("" for none) is in f->arena. */
const char *fixture_update(struct fixture *f, enum resource_type type, const char *name,
                           const char *yaml);
/* The full state of clusters or listeners: pairs of name and YAML, ended by NULL. No commit. */
const char *fixture_full(struct fixture *f, enum resource_type type, const char *const *pairs);
/* What was logged since the last call. */
const char *fixture_log(struct fixture *f);
/* Lets the oldest timer run out. False: there is none. */
bool fixture_expire(struct fixture *f);
/* A file with that text. */
void fixture_put_file(const char *folder, const char *name, const char *text);
/* Something moved into a folder that is watched. False: it is not. */
bool fixture_touch(struct fixture *f, const char *folder);
struct cluster_entry *fixture_cluster(struct fixture *f, const char *name);
struct listener_entry *fixture_listener(struct fixture *f, const char *name);
int64_t fixture_stat(struct fixture *f, const char *name);
