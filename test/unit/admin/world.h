/* For tests of src/admin: the pages over a builder whose world is written down (config_fixture),
 * and a config thread that answers when it is told to. */
#pragma once

#include "admin/admin.h"
#include "config_fixture.h"

struct world {
    struct fixture f;
    struct admin *admin;
    enum admin_state state;
    struct strbuf log;               /* "quit;" "reopen;" "fail 1;" "drain 1 0 0;" */
    const struct snapshot *snapshot; /* NULL: the builder's newest */
    /* the question to the config thread */
    void (*fn)(struct builder *b, void *arg);
    void (*done)(void *arg);
    void *arg;
    unsigned n_asked, n_slices;
    size_t largest; /* slice of the last page */
};

/* Then world_static(), then fixture_start(&w->f). */
void world_init(struct world *w);
/* With a bootstrap in YAML. */
void world_init_bootstrap(struct world *w, const char *yaml);
void world_fini(struct world *w);
void world_static(struct world *w, enum resource_type type, const char *name, const char *yaml);

struct answer {
    unsigned status;
    const char *content_type;
    const char *text; /* in the fixture's arena */
};
struct answer world_ask(struct world *w, const char *method, const char *target);
const char *world_get(struct world *w, const char *target); /* 200 */
/* GET with that status; the text. */
const char *world_refused(struct world *w, unsigned status, const char *target);

/* One turn of a page at a time. */
struct admin_page *world_open(struct world *w, const char *target);
bool world_turn(struct world *w, struct admin_page *p, struct strbuf *out); /* false: the end */
