/* The operator's door: pages over HTTP on the main thread. What admin needs of the process comes in
 * one table. Pages are pull generators: at most ADMIN_SLICE bytes a turn of the loop, so that a
 * large one never stalls main. Main thread, except where a page asks the config thread for a
 * slice. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "admin/stat_tags.h"
#include "base/clock.h"
#include "base/stats.h"
#include "base/strbuf.h"
#include "config/builder.h"
#include "config/snapshot.h"

struct admin;
struct field_report;
struct loop;
struct stats_config;

enum { ADMIN_SLICE = 64 * 1024 };

/* A named value of the command line, for /server_info: value is JSON text ("\"a\"", "12"). */
struct runtime;

struct admin_option {
    const char *name, *value;
};

enum admin_state { ADMIN_LIVE, ADMIN_DRAINING, ADMIN_PRE_INITIALIZING, ADMIN_INITIALIZING };

struct admin_table {
    void *ctx;
    struct loop *loop; /* main's */
    const struct clock *clock;
    struct stat_store *stats;
    struct descriptors *descriptors;             /* used on the config thread only */
    const char *version;                         /* "sha/1.40.0/..." */
    struct bytes node;                           /* bytes of core.v3.Node */
    struct bytes bootstrap;                      /* bytes of the bootstrap */
    const struct field_report *bootstrap_report; /* what it says in vain; NULL: nothing */
    const struct stats_config *stats_config;     /* NULL: nothing was said */
    struct fixed_tags stats_tags;
    const struct runtime *runtime; /* its layers' kinds alone; NULL: none */
    bool flush_on_admin;           /* stats_flush_on_admin */
    uint64_t start_wall_ns;
    const struct admin_option *options;
    unsigned n_options;
    enum admin_state (*state)(void *ctx);
    /* When the configuration that serves was saved, if it was kept by an earlier process; 0: it is
     * the control plane's. NULL: nothing is kept. */
    uint64_t (*kept_ns)(void *ctx);
    /* Main's current snapshot; NULL before the first. Valid during the call. */
    const struct snapshot *(*snapshot)(void *ctx);
    /* The address that the kernel gave to l->addresses[i]. */
    bool (*bound_address)(void *ctx, const struct listener *l, unsigned i, struct address *out);
    /* False: somebody else listens on its address, so it serves nothing. */
    bool (*listens)(void *ctx, const struct listener *l);
    /* Runs fn on the config thread, then done on main. */
    void (*ask_config)(void *ctx, void (*fn)(struct builder *b, void *arg), void (*done)(void *arg),
                       void *arg);
    void (*quit)(void *ctx); /* after the response has left */
    void (*reopen_logs)(void *ctx);
    void (*fail_health)(void *ctx, bool fail);
    void (*drain)(void *ctx, bool inbound_only, bool graceful, bool skip_exit);
};

struct admin *admin_new(const struct admin_table *table);
void admin_free(struct admin **a);
/* From a timer, each stats_flush_interval: the histograms' interval values. */
void admin_stats_flush(struct admin *a);

/* ---- one request ---- */

/* A page in the making. The owner calls next until it returns false; waiting: it has asked the
 * config thread and will call on_ready(owner) once. */
struct admin_page {
    unsigned status;
    const char *content_type;
    bool waiting;
    /* Adds a slice to out, which is empty. False: that was the last one. */
    bool (*next)(struct admin_page *p, struct strbuf *out);
    void (*free)(struct admin_page *p); /* deferred by the page while it waits */
    void (*on_ready)(void *owner);
    void *owner;
};

/* Never NULL: a refusal is a page too. target: as received ("/stats?filter=^a"). form: the body of
 * a form, whose parameters count when the target has none, or that of a question
 * (admin_takes_body()). */
struct admin_page *admin_open(struct admin *a, struct bytes method, struct bytes target,
                              struct bytes form);
bool admin_takes_body(struct bytes path);
