/* The config thread: the only builder. One loop; resources, DNS answers and returned snapshots are
 * inputs to it; snapshots come out. Created and loaded with the static configuration by main before
 * the thread runs; afterwards reached by post_call(config_thread_loop(), ...). */
#pragma once

#include "config/builder.h"
#include "config/static_load.h"
#include "xds/node_message.h"
#include "xds/xds_table.h"

struct config_thread;
struct descriptors;
struct dial_request;
struct loop;
struct tls_factory;
struct validator;

/* What main gives. publish: hands a snapshot to every holder and sets s->holders (config thread).
 * The others are calls on the config thread that main carries to its own loop. */
struct config_thread_table {
    void *ctx;
    void (*publish)(void *ctx, struct snapshot *s);
    bool (*bind)(void *ctx, const struct listener *l, struct error *err);
    void (*listen)(void *ctx, const struct listener *l);
    void (*release)(void *ctx, const struct listener *l);
    void (*dns_start)(void *ctx, const struct cluster *c, uint64_t generation);
    void (*dns_stop)(void *ctx, const struct cluster *c, uint64_t generation);
    void *(*dial)(void *ctx, const struct dial_request *q, dial_fn *fn, void *arg);
    void (*dial_cancel)(void *ctx, void *dial);
    void *(*fetch)(void *ctx, const struct fetch_request *q, fetch_fn *fn, void *arg);
    void (*fetch_cancel)(void *ctx, void *fetch);
    void (*demand_settled)(void *ctx, struct bytes key);
    void (*stage)(void *ctx, enum init_stage stage);
};

struct config_thread_options {
    const struct config_thread_table *table;
    struct descriptors *descriptors;
    struct validator *validator;
    const struct filter_registry *filters;
    struct stat_store *stats;
    const struct tls_factory *tls; /* NULL: TLS is refused */
    bool strict, reject_unknown_static, reject_unknown_dynamic;
    uint64_t drain_ms, route_hold_ms;
    const char *state_dir; /* NULL: nothing is kept */
    uint64_t state_max_age_s;
    unsigned min_world_share; /* percent; 0: no guard */
    uint64_t world_hold_ms;
    bool quiet_unknown, quiet_deprecated; /* no log line; unknown fields are not counted either */
};

struct config_thread *config_thread_new(const struct config_thread_options *o, struct error *err);
/* Reads the bootstrap, without its resources. Main, before the thread runs. */
MUST_CHECK bool config_thread_load(struct config_thread *c, struct bytes bootstrap,
                                   const struct node_overrides *node, struct error *err);
/* The folder of --state-dir, if there is one. After that. */
MUST_CHECK bool config_thread_open_state(struct config_thread *c, struct error *err);
/* And then its clusters, listeners and secrets. */
MUST_CHECK bool config_thread_load_static(struct config_thread *c, struct error *err);
/* Bytes of core.v3.Node: who this proxy says it is. */
struct bytes config_thread_node(const struct config_thread *c);
const struct bootstrap_config *config_thread_bootstrap(const struct config_thread *c);
/* Starts the thread; it publishes the first snapshot. */
void config_thread_run(struct config_thread *c);
/* Ends the loop and joins; the builder stays readable until config_thread_free(). */
void config_thread_stop(struct config_thread *c);
/* Main, when no other thread runs any more: ends the sources. */
void config_thread_end_sources(struct config_thread *c);
/* Runs what is left in the mailbox; false: nothing was. After config_thread_end_sources(). */
bool config_thread_run_posted(struct config_thread *c);
void config_thread_free(struct config_thread **c);

/* Any thread: when the world that serves was saved, in wall time; 0: it is the control plane's. */
uint64_t config_thread_kept_ns(const struct config_thread *c);
struct loop *config_thread_loop(const struct config_thread *c);
struct builder *config_thread_builder(const struct config_thread *c);
/* Any thread: builder_demand(). */
void config_thread_demand(struct config_thread *c, enum resource_type type,
                          const struct config_source *source, struct bytes name);
/* Any thread: a holder gives a snapshot back. After config_thread_end_sources(): directly. */
void config_thread_return(struct config_thread *c, struct snapshot *s);
