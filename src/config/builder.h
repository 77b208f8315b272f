/* struct builder: from resources to snapshots. It takes updates of sources, decodes what changed,
 * warms it, and publishes a snapshot when anything active has changed. What it needs of the world
 * (timers, sockets, sources, DNS) comes as one table from main. Config thread only.
 *
 *     config_update() ─► decode or keep ─► pending ─► warm ─► active ─► builder_commit() ─► publish
 *          └ errors: NACK text                └ wants: EDS, RDS names, told after the update
 *
 * Snapshots and nodes: a snapshot that is replaced stays on the builder's list until every holder
 * (each worker and main) has returned it; then its maps let go of their nodes. A node is therefore
 * in nobody's reach by name once its references are gone: the last snapshot that held it has been
 * returned by all. What is left are pins, and a pin is set before its thread returns the snapshot
 * in which it found the node (the mailbox orders the two), so refs == 0 and no pin means no
 * reader: builder_reap() needs no further barrier. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "config/decode.h"
#include "config/resource_type.h"
#include "config/snapshot.h"
#include "config/store.h"

struct builder;
struct tls_factory;

typedef void builder_timer_fn(void *arg);

/* Rule M14: the start goes by these. */
#define INIT_STAGE_LIST(X)                                                                         \
    X(IDLE) X(PRIMARY_CLUSTERS) X(RUNTIME) X(STATIC_CLUSTERS) X(CDS) X(LISTENERS) X(DONE)
enum init_stage {
#define X(id) INIT_##id,
    INIT_STAGE_LIST(X)
#undef X
};

/* What main gives. All calls on the config thread; none may call back into the builder before it
 * has returned, unless said. */
struct builder_table {
    void *ctx;
    const struct clock *clock;
    /* The snapshot's `holders` is the number of threads that must return it: publish sets it. */
    void (*publish)(void *ctx, struct snapshot *s);
    /* Binds all addresses of a listener that bind_to_port, for all workers. Addresses already bound
     * by another (or an older) listener are shared. False: the listener is refused. */
    bool (*bind)(void *ctx, const struct listener *l, struct error *err);
    /* What bind() took serves from now on: whoever connects is answered, as soon as the process
     * serves at all. Until then it is bound, and nobody can connect. NULL: not wanted. */
    void (*listen)(void *ctx, const struct listener *l);
    /* Lets go of what bind() took for this listener (once per successful bind). After publish. */
    void (*release)(void *ctx, const struct listener *l);
    /* A source shall deliver this name ("*": all of the type), or no longer. Answers may come from
     * later turns only. */
    void (*want)(void *ctx, const struct config_source *source, enum resource_type type,
                 struct bytes name);
    void (*unwant)(void *ctx, const struct config_source *source, enum resource_type type,
                   struct bytes name);
    /* All wants and unwants of one update have been told (rule M13): send requests now. */
    void (*wants_done)(void *ctx);
    void *(*timer_start)(void *ctx, uint64_t ms, builder_timer_fn *fn, void *arg);
    void (*timer_cancel)(void *ctx, void *timer);
    /* A name of a DNS cluster is needed from now on (resolve at once, then by its TTL or refresh
     * rate), or no longer. `c` lives until dns_stop for the same cluster name and generation. */
    void (*dns_start)(void *ctx, const struct cluster *c, uint64_t generation);
    void (*dns_stop)(void *ctx, const struct cluster *c, uint64_t generation);
    /* A name was not delivered within its initial_fetch_timeout: for the statistics of its source.
     * NULL: not wanted. */
    void (*fetch_timed_out)(void *ctx, const struct config_source *source, enum resource_type type,
                            struct bytes name);
    /* fn(arg), from a later turn, whenever something was moved to the folder or written there; it
     * may neither begin nor end watches. NULL and *err: it cannot be watched. All NULL: nothing is
     * watched. */
    void *(*watch)(void *ctx, struct bytes folder, builder_timer_fn *fn, void *arg,
                   struct error *err);
    void (*unwatch)(void *ctx, void *watch);
    /* Files of a secret have changed, and cannot be used. NULL: not wanted. */
    void (*reload_failed)(void *ctx, struct bytes secret, const char *why);
    /* config_source_failed() was called, or listeners or clusters did not come in time. NULL: not
     * wanted. */
    void (*source_failed)(void *ctx, const struct config_source *source);
    /* What requests asked for cannot be had now, or, of a virtual host, is in the newest snapshot;
     * builder_demand_key() tells what. NULL: nobody asks. */
    void (*demand_settled)(void *ctx, struct bytes key);
    /* A stage of the start begins. INIT_DONE: all that the process waits for at start has come or
     * timed out. Each once, in order. */
    void (*stage)(void *ctx, enum init_stage stage);
};

struct builder_options {
    struct descriptors *descriptors;
    struct validator *validator;
    const struct filter_registry *filters;
    struct stat_store *stats;
    const struct tls_factory *tls; /* NULL: TLS is refused */
    struct field_report *report;   /* what is accepted and not acted on; NULL: not wanted */
    bool strict, reject_unknown_static, reject_unknown_dynamic;
    bool find_secrets;      /* looks into each resource for secrets in clear: it may be kept */
    uint64_t drain_ms;      /* how long what listens no more may have connections */
    uint64_t route_hold_ms; /* how long routes wait for clusters, and clusters for routes; 0: not */
};

struct builder *builder_new(const struct builder_table *table, const struct builder_options *o);
/* No thread may look at a snapshot any more. Timers are cancelled and addresses released; sources
 * and the resolver hear nothing. */
void builder_free(struct builder **b);
/* For loaders and tests. */
struct decode_context *builder_decode_context(struct builder *b);
const struct store *builder_store(const struct builder *b);

/* ---- updates ---- */

struct resource_update {
    struct bytes name;
    struct bytes version;  /* version_info of the response, or of the resource */
    struct bytes type_url; /* of the Any; empty: the type's own */
    struct bytes wire;     /* the Any's value */
    bool keep;             /* without the bytes: what is held of that name stays as it is */
};

struct update_error {
    char *name, *details;
};

struct update_result {
    struct update_error *errors;
    unsigned n_errors, cap_errors;
    unsigned n_accepted;  /* stored: new, changed or unchanged */
    unsigned n_unchanged; /* equal bytes: not decoded */
    unsigned n_removed;
};
void update_result_fini(struct update_result *r);
/* Envoy's NACK sentence: "Error adding/updating cluster(s) a: why, b: why". False when there is no
 * error. */
bool update_result_text(const struct update_result *r, enum resource_type type, struct strbuf *out);

/* Applies one response of a source. full_state: clusters and listeners of this source that are not
 * named are removed (rule R01; for other types absence means nothing, R02). Good resources are
 * stored, bad ones stay at their last good version (A07, A08). The caller has dealt with duplicates
 * (S12) and unasked names (S11). Publishes only where the start goes on to its next stage: call
 * builder_commit(). */
void config_update(struct builder *b, const struct config_source *source, enum resource_type type,
                   const struct resource_update *updates, size_t n_updates,
                   const struct bytes *removed, size_t n_removed, bool full_state,
                   struct bytes version, struct update_result *result);
/* A whole response was refused before it came here (S10, S12, not decodable). Names that wait for
 * their first answer on this source and type stop waiting (T01, M15). */
void config_update_failed(struct builder *b, const struct config_source *source,
                          enum resource_type type);
/* The same where there was no response at all, as of a file that cannot be read: counted, too,
 * where the resources have their statistics. */
void config_update_unread(struct builder *b, const struct config_source *source,
                          enum resource_type type);
/* There was one, without a resource that is asked for by itself. */
void config_update_lacks(struct builder *b, const struct config_source *source,
                         enum resource_type type, struct bytes name);
/* A delta stream of a source begins: what is held is told to the server, which sends again what it
 * refused to hold so far. Until then nothing is known of the last refusals. */
void config_source_begins(struct builder *b, const struct config_source *source,
                          enum resource_type type);
/* The stream of a source was lost, or could not be had: counted where its resources have their
 * statistics (rule A12); everything stays as it is (T03). */
void config_source_failed(struct builder *b, const struct config_source *source);
/* What a source that does not answer has delivered to an earlier process (kept_world.h): it counts
 * until the source's own answer. */
void builder_give_kept(struct builder *b, const struct config_source *source,
                       enum resource_type type, const struct resource_update *updates,
                       size_t n_updates, struct bytes version, struct update_result *result);
bool builder_serves_kept(const struct builder *b); /* clusters or listeners are still those */
/* Has a source answered for this type, in this process? */
bool builder_has_answer(const struct builder *b, enum resource_type type);
/* Have all clusters and listeners that were asked for been answered? */
bool builder_has_world(const struct builder *b);
/* Resources of the bootstrap; rule R09. False: *err; nothing was stored. */
MUST_CHECK bool builder_add_static(struct builder *b, enum resource_type type,
                                   const struct resource_update *u, struct error *err);

/* Addresses of one name of a DNS cluster. ok = false: the name could not be resolved (the hosts it
 * had stay). Unknown generations are dropped. */
void builder_dns_update(struct builder *b, struct bytes cluster_name, uint64_t generation,
                        unsigned target, bool ok, const struct address *addresses, unsigned n);

/* A request wants what is not there: a cluster, a virtual host as "routes/host", or the routes of a
 * scope. It comes with a snapshot, or demand_settled() is called (perhaps at once), or neither. */
void builder_demand(struct builder *b, enum resource_type type, const struct config_source *source,
                    struct bytes name);
/* What a name of a source is known by. Any thread. */
void builder_demand_key(struct strbuf *out, enum resource_type type,
                        const struct config_source *source, struct bytes name);

/* Publishes a new snapshot when something active has changed since the last one. Returns it, or
 * NULL. Call it once after a burst of updates. */
struct snapshot *builder_commit(struct builder *b);
struct snapshot *builder_snapshot(const struct builder *b); /* the newest; NULL before the first */
/* A holder has given it back. */
void builder_snapshot_returned(struct builder *b, struct snapshot *s);
/* Frees retired nodes and host states that nobody pins; returns how many wait. From a timer. */
unsigned builder_reap(struct builder *b);

/* ---- start (rule M14) ---- */

/* Before builder_start(): the sources of clusters and listeners are asked for these collections
 * (xdstp names) and not for all they have. Empty: for all. The bytes outlive the builder. */
void builder_want_collections(struct builder *b, struct bytes cds, struct bytes lds);
/* The sources of listeners and clusters (kind SOURCE_NONE: none). */
void builder_start(struct builder *b, const struct config_source *cds,
                   const struct config_source *lds);
enum init_stage builder_init_stage(const struct builder *b);
const char *init_stage_name(enum init_stage s);

/* ---- reading (config thread): /config_dump, /clusters, /init_dump, tests ---- */

/* How many resources were decoded since the start; bytes that were equal do not count. */
uint64_t builder_decoded(const struct builder *b, enum resource_type type);

#define CLIENT_STATUS_LIST(X)                                                                      \
    X(UNKNOWN) X(REQUESTED) X(DOES_NOT_EXIST) X(ACKED) X(NACKED) X(RECEIVED_ERROR) X(TIMEOUT)
enum client_status {
#define X(id) CLIENT_##id,
    CLIENT_STATUS_LIST(X)
#undef X
};

struct resource_view {
    enum resource_type type;
    struct bytes name;
    bool is_static;
    const struct resource_version *active, *warming;    /* either may be NULL */
    const struct resource_rejected *rejected;           /* error_state; NULL: none */
    const struct resource_rejected *endpoints_rejected; /* of an EDS cluster's assignment */
    enum client_status status;
    const struct cluster_entry *cluster; /* active clusters */
    const struct host_set *hosts;        /* of clusters, also warming ones */
    const struct listener_entry *listener;
    char waiting_for[256]; /* "EDS web" ...; "": nothing */
};
/* Visits the resources of a type in order of name, from position `from`; fn returns false to stop.
 * Returns the position to go on from, or SIZE_MAX at the end. Positions hold while no update comes
 * between; a slice that spans updates may miss or repeat names. */
typedef bool resource_view_fn(void *ctx, const struct resource_view *v);
size_t builder_each(struct builder *b, enum resource_type type, size_t from, resource_view_fn *fn,
                    void *ctx);
/* What is held of a type from a source: the newest accepted version of each resource that the
 * server has not removed since. Any order; nothing may change meanwhile. */
typedef void builder_held_fn(void *arg, struct bytes name, struct bytes version);
void builder_each_held(const struct builder *b, const struct config_source *source,
                       enum resource_type type, builder_held_fn *fn, void *arg);
/* The scoped routes of a source, as /config_dump has them: nth = 0, 1 ...; false: there is none. */
struct scopes_view {
    const struct resource *all;
    struct bytes name;   /* scoped_routes.name */
    const char *version; /* NULL: nothing has come */
    uint64_t wall_ns;    /* of the last update */
};
bool builder_scopes_view(const struct builder *b, unsigned nth, struct scopes_view *out);
typedef void builder_scope_fn(void *arg, const struct resource_version *v);
void builder_each_scope(const struct builder *b, const struct scopes_view *v, builder_scope_fn *fn,
                        void *arg);
/* When the first certificate of an active context ends, in Unix time; INT64_MAX: there is none. */
int64_t builder_first_expiry(struct builder *b);
/* version_info of the last full response of clusters or listeners ("" before). */
const char *builder_type_version(const struct builder *b, enum resource_type type);
