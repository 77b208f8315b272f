/* A builder whose world does nothing, for targets that hand it configuration: no sockets, no
 * resolver, no sources; timers run out when the target says so. The descriptors and rules are made
 * once for all inputs; the builder is made and freed for each. */
#pragma once

#include "base/clock.h"
#include "config/builder.h"
#include "config/field_report.h"
#include "fuzz.h"

enum { WORLD_TIMERS_MAX = 256, WORLD_SNAPSHOTS_MAX = 256 };

struct world_timer {
    builder_timer_fn *fn;
    void *arg;
    bool used;
};

struct config_world {
    struct stat_store *stats;
    struct clock_fake clock;
    struct builder *builder;
    struct field_report report;
    struct config_source ads, other;
    struct world_timer timers[WORLD_TIMERS_MAX];
    unsigned next_timer;                             /* the one that expires next */
    struct snapshot *published[WORLD_SNAPSHOTS_MAX]; /* not given back, oldest first */
    unsigned n_published;
    bool refuse_bind;
    unsigned bound, wanted; /* told and not taken back */
};

extern struct descriptors *world_descriptors;
extern struct validator *world_validator;

void config_world_setup(void); /* once */
void config_world_init(struct config_world *w, bool strict);
/* Frees it and makes sure that nothing of it is left. */
void config_world_fini(struct config_world *w);
/* Gives back every snapshot but the newest, as a worker does. */
void config_world_adopt(struct config_world *w);
/* Lets one timer run out. False: there is none. */
bool config_world_expire(struct config_world *w);
/* Reads the newest snapshot and all views as a worker and the admin pages do. */
void config_world_look(struct config_world *w);

/* Resources and a bootstrap that are good, as YAML: where mutations begin. */
struct template
{
    const char *message, *yaml;
};
extern const struct template templates[];
extern const unsigned n_templates;
/* Their bytes, made by config_world_setup(). */
struct bytes template_wire(unsigned i);
/* For targets whose input is which of some messages, and bytes of it: adds such an input with
 * another message, one that begins anew from a template, or most often one that is changed. */
void template_mutate(struct random_source *random, const char *const *messages, unsigned n,
                     struct bytes input, struct strbuf *out);
