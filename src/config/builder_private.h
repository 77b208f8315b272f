/* What the files of the builder share. Config thread. */
#pragma once

#include "config/builder.h"
#include "config/config_stats.h"
#include "config/tls.h"

struct builder {
    struct builder_table table;
    struct builder_options options;
    struct decode_context ctx;
    struct store store;
    struct stat_scope *cm_stats, *lm_stats, *decode_stats, *async_stats;
    char *type_versions[RESOURCE_TYPE_COUNT];
    uint64_t decoded[RESOURCE_TYPE_COUNT];
    uint64_t full_updates, dns_generations;

    /* the snapshot under construction */
    struct pmap clusters, listeners, routes;
    struct list dirty;
    bool changed;
    uint64_t version;
    struct snapshot *current, *live; /* live: all that are not freed, newest first */
    struct listener **releases;      /* bound, and to be released after the next publish */
    size_t n_releases, cap_releases;

    int64_t first_expiry;
    bool expiry_stale;         /* contexts have come or gone since it was found */
    struct list want_changes;  /* resource.want_link */
    struct fetch_wait *asking; /* of the names that are being told */
    enum init_stage stage;
    bool closing; /* builder_free(): sources and names are told nothing more */
    struct source_ref *cds, *lds;
    struct resource *cds_want, *lds_want; /* "*" or a collection; not in the store */
    struct bytes cds_collection, lds_collection;
    bool giving_kept;
    unsigned kept, answered; /* bits of types: what was given from a kept world, and what was not */
    unsigned n_warming[RESOURCE_TYPE_COUNT];
    unsigned going_listeners, going_chains; /* since the last commit */
    struct list drains;                     /* struct drain */
    struct list live_sockets;               /* struct tls_live */
    struct list held_routes;                /* struct hold */
    struct map held_clusters;               /* -> struct hold * */
    bool clusters_moved;                    /* one became warm since the last review */
    bool names_moved;                       /* which clusters are named may have changed since */

    struct map scopes_ready;   /* name -> struct scope *: decoded, and about to be used */
    struct map scopes_refused; /* name -> char *: why it will not be */
    bool scopes_moved;         /* who uses scopes may have changed */

    bool vhosts_moved;      /* routes that asked for virtual hosts may have gone */
    struct map demands;     /* builder_demand_key() -> struct demand * */
    struct list absent;     /* struct demand */
    struct strbuf *settled; /* keys to be told after the commit */
    size_t n_settled, cap_settled;

    struct resource **sorted[RESOURCE_TYPE_COUNT]; /* for views; NULL: make it anew */
};

/* Names that were asked for together wait together: one timer, and one commit when it runs out. */
struct fetch_wait {
    struct builder *b;
    uint64_t ms;
    void *timer;
    struct list resources; /* resource.wait_link */
};

/* One resource of an update, while it is dealt with. */
struct incoming {
    const struct resource_update *u;    /* NULL: the response itself */
    const struct config_source *source; /* NULL: the bootstrap */
    uint64_t wall_ns, begun_ns;         /* begun_ns: monotonic */
    struct bytes version;               /* of the response: what statistics hash */
};

/* ---- builder.c ---- */
uint64_t builder_wall_ns(const struct builder *b);
uint64_t builder_monotonic_ns(const struct builder *b);
void builder_mark_dirty(struct builder *b, struct resource *r);
struct resource_version *builder_version(struct builder *b, struct resource *r,
                                         const struct incoming *in);
/* Drops a version with all it holds. */
void builder_drop_version(struct builder *b, struct resource_version **v);
void builder_count(struct builder *b);
/* A resource of that type is about to be decoded. */
void builder_count_decoded(struct builder *b, enum resource_type type);
/* Equal to what is there: only the words about it are new. */
void builder_keep_version(struct resource_version *v, const struct incoming *in);

void builder_forget_sorted(struct builder *b, enum resource_type type);

/* "*" of clusters, listeners or a source's scopes; NULL: not asked for (yet). */
struct resource *builder_wildcard(const struct builder *b, enum resource_type type,
                                  const struct config_source *source);
/* Sets memory aside for decoding it. */
MUST_CHECK bool builder_has_room(struct bytes wire, struct error *err);

/* ---- builder_snapshot.c ---- */
void builder_snapshots_fini(struct builder *b);

/* ---- builder_cluster.c ---- */
/* *unchanged: equal bytes. False and *err: refused. */
MUST_CHECK bool builder_cluster_update(struct builder *b, struct resource *r,
                                       const struct incoming *in, bool *unchanged,
                                       struct error *err);
void builder_cluster_remove(struct builder *b, struct resource *r);
MUST_CHECK bool builder_endpoint_update(struct builder *b, struct resource *r,
                                        const struct incoming *in, bool *unchanged,
                                        struct error *err);
/* Makes a waiting version active when nothing is missing. */
void builder_cluster_promote(struct builder *b, struct resource *r);
bool builder_cluster_warm(const struct resource_version *v);
void builder_cluster_start_dns(struct builder *b, struct resource_version *v);
struct cluster_entry *builder_cluster_entry(const struct resource_version *v); /* refs = 1 */

/* ---- builder_listener.c ---- */
MUST_CHECK bool builder_listener_update(struct builder *b, struct resource *r,
                                        const struct incoming *in, bool *unchanged,
                                        struct error *err);
void builder_listener_remove(struct builder *b, struct resource *r);
MUST_CHECK bool builder_route_update(struct builder *b, struct resource *r,
                                     const struct incoming *in, bool *unchanged, struct error *err);
void builder_listener_promote(struct builder *b, struct resource *r);
bool builder_listener_warm(const struct resource_version *v);
/* Does a version wait for this one that it depends on? */
bool builder_awaits(const struct resource_version *v, const struct resource *on);
struct listener_entry *builder_listener_entry(struct builder *b, const struct resource_version *v,
                                              const struct listener_entry *old);
void builder_release_later(struct builder *b, struct resource_version *v);

void builder_route_activate(struct builder *b, struct resource *r, struct resource_version *v);
struct route_config;
struct route_config *builder_routes_decode(struct builder *b, struct bytes wire,
                                           const struct route_config *previous, struct error *err);

/* ---- builder_drain.c ---- */
/* Counts what of an entry is not in the one that comes in its place. */
void builder_drain_replaced(struct builder *b, const struct listener_entry *old,
                            const struct listener_entry *now);
/* What went since the last call drains from now on. */
void builder_drain_begin(struct builder *b);
void builder_drain_fini(struct builder *b);

/* ---- builder_vhost.c ---- */
MUST_CHECK bool builder_vhost_update(struct builder *b, struct resource *r,
                                     const struct incoming *in, bool *unchanged, struct error *err);
void builder_vhost_remove(struct builder *b, struct resource *r);
/* Gives it the statistics of its route configuration. */
void builder_vhost_scope(struct builder *b, struct resource *r);
/* Does a route configuration ask for it, as things are? */
bool builder_vhost_belongs(const struct builder *b, const struct resource *vhost);
/* What routes were delivered as, without the virtual hosts that came apart. */
struct bytes builder_route_own(const struct resource_version *v);
/* Of a version of routes without them: the same with them. NULL and *err: it cannot be. */
MUST_CHECK struct resource_version *
builder_route_compose(struct builder *b, struct resource_version *v, struct error *err);

/* ---- builder_scope.c ---- */
/* What stands for all scopes of a source; NULL: they are not wanted. */
struct resource *builder_scopes(const struct builder *b, const struct config_source *source);
void builder_depend_on_scopes(struct builder *b, struct resource_version *v,
                              const struct http_manager *m);
/* Have the scopes come, and the routes that they name? */
bool builder_scopes_warm(const struct resource *all);
/* What serves for a connection manager, borrowed. */
struct scoped_routes;
struct scope_table *builder_scope_table(struct builder *b, const struct scoped_routes *s);
/* Before an update: decodes its scopes, and finds out which may have their keys. */
void builder_scopes_try(struct builder *b, const struct config_source *source,
                        const struct resource_update *updates, size_t n,
                        const struct bytes *removed, size_t n_removed, bool full_state);
MUST_CHECK bool builder_scope_update(struct builder *b, struct resource *r,
                                     const struct incoming *in, bool *unchanged, struct error *err);
void builder_scope_remove(struct builder *b, struct resource *r);
/* After an update. */
void builder_scopes_answered(struct builder *b, const struct incoming *in, bool ok);
/* Routes have changed, or have come or will not: what that means to scopes that name them. */
void builder_scopes_touch(struct builder *b, const struct resource *routes);
void builder_scopes_promote(struct builder *b, const struct resource *routes);
void builder_scopes_settled(struct builder *b, const struct resource *routes);
/* A request wants the routes of a scope. */
void builder_scope_demand(struct builder *b, const struct config_source *source, struct bytes name);
void builder_scopes_review(struct builder *b); /* with scopes_moved */
/* The last listener that used them is gone. */
void builder_scopes_forget(struct builder *b, struct resource *all);
void builder_scopes_fini(struct builder *b);

/* ---- builder_runtime.c ---- */
MUST_CHECK bool builder_runtime_update(struct builder *b, struct resource *r,
                                       const struct incoming *in, bool *unchanged,
                                       struct error *err);
void builder_runtime_remove(struct builder *b, struct resource *r);
void builder_runtime_want(struct builder *b);
bool builder_runtime_waits(const struct builder *b); /* has not every layer come? */

/* ---- builder_demand.c ---- */
enum { DEMANDS_MAX = 4096, DEMAND_NAME_MAX = 512 };
/* What becomes of a name that requests may have asked for. */
void builder_demand_absent(struct builder *b, const struct config_source *source,
                           struct bytes name);
void builder_demand_came(struct builder *b, const struct config_source *source, struct bytes name);
/* A virtual host has come, or will not. Who waits for it is told after the next commit. */
void builder_demand_settled(struct builder *b, struct resource *r);
/* Whoever waits for it is told so after the next commit. */
void builder_demand_tell_later(struct builder *b, enum resource_type type,
                               const struct config_source *source, struct bytes name);
void builder_demands_review(struct builder *b); /* with vhosts_moved */
void builder_demands_tell(struct builder *b);
void builder_demands_fini(struct builder *b);

/* ---- builder_extension.c ---- */
struct listener_chain;
MUST_CHECK bool builder_extension_update(struct builder *b, struct resource *r,
                                         const struct incoming *in, bool *unchanged,
                                         struct error *err);
/* False: there was none. */
bool builder_extension_remove(struct builder *b, struct resource *r);
/* Nothing has come: whoever has a default uses it. */
void builder_extension_fall_back(struct builder *b, struct resource *r);
/* How many dependencies the filters of a listener take, and to add them. */
unsigned builder_extensions(const struct resource_version *v);
void builder_depend_on_extensions(struct builder *b, struct resource_version *v);
/* Does the listener wait for this one, or begin without? */
bool builder_extension_awaited(const struct resource_version *v, const struct resource *r);
/* The manager that serves for a chain: its own, or made of it and of what has come. refs + 1. */
struct http_manager *builder_manager_now(struct builder *b, const struct listener_entry *old,
                                         const struct listener_chain *c);

/* ---- builder_hold.c ---- */
/* Takes over a new version of routes: to serve, or to wait in part. */
void builder_hold_routes(struct builder *b, struct resource *r, struct resource_version *v);
void builder_hold_drop_routes(struct builder *b, struct resource *r);
/* A cluster shall go. True: it is kept for now. */
bool builder_hold_cluster(struct builder *b, struct resource *r);
void builder_hold_keep_cluster(struct builder *b, struct resource *r); /* it has come again */
/* Before a commit: what can go on, or go. */
void builder_hold_review(struct builder *b);
void builder_hold_fini(struct builder *b);
/* "cds web, cds other" */
void builder_hold_describe(const struct builder *b, const struct resource *r, char *out,
                           size_t size);

/* ---- builder_secret.c ---- */
MUST_CHECK bool builder_secret_update(struct builder *b, struct resource *r,
                                      const struct incoming *in, bool *unchanged,
                                      struct error *err);
/* Files of the active or the refused version have changed, perhaps: *hash says from what. True: it
 * is used. False without an error: they have not. */
MUST_CHECK bool builder_secret_reload(struct builder *b, struct resource_version *v, uint64_t *hash,
                                      struct error *err);
/* r: of any type. */
void builder_secret_forget_refused(struct builder *b, struct resource *r);
/* Its live files have changed, perhaps: makes its context anew, unless they are those of *hash.
 * False without an error: they are. */
bool builder_socket_reload(struct builder *b, struct tls_socket *s, uint64_t *hash,
                           struct error *err);
/* ---- builder_secret_files.c ---- */
struct tls_reader;
/* Gauges of when the certificates of the socket's newest context end. */
void builder_tls_expiry(struct builder *b, const struct tls_socket *s);
/* Watches the folders of all that was read or looked for, besides those that it watches already. */
void builder_secret_watch(struct builder *b, struct resource_version *v,
                          const struct tls_reader *reader);
void builder_secret_unwatch(struct builder *b, struct resource_version *v);

/* A socket of a version that is to be kept: gives it its statistics, and its context where all that
 * it needs is there. False: the resource is refused. */
MUST_CHECK bool builder_tls_prepare(struct builder *b, struct tls_socket *s,
                                    struct bytes stat_prefix, struct error *err);
/* How many dependencies that takes (NULL: none), and to add them. */
unsigned builder_tls_secrets(const struct tls_socket *s);
void builder_depend_on_secrets(struct builder *b, struct resource_version *v,
                               const struct tls_socket *s);

/* ---- builder_stats.c ---- */
enum subscription_event {
    SUBSCRIPTION_ATTEMPT,
    SUBSCRIPTION_SUCCESS,
    SUBSCRIPTION_REJECTED,
    SUBSCRIPTION_FAILURE,
    SUBSCRIPTION_TIMEOUT,
};
/* r: endpoints, routes, secrets or extensions. */
void builder_subscription_count(struct resource *r, enum subscription_event e);
/* Is it told how long updates of this type take? */
bool builder_times_updates(enum resource_type type);
void builder_subscription_answer(const struct builder *b, struct resource *r,
                                 const struct incoming *in, bool ok, bool unchanged);
/* Gives routes their scope: by the first manager that names them. */
void builder_route_scope(struct builder *b, struct resource *r, struct bytes stat_prefix);

/* ---- builder_wants.c ---- */
/* Adds a dependency of v (deps has room) and wants it. */
void builder_depend(struct builder *b, struct resource_version *v,
                    const struct config_source *source, enum resource_type type, struct bytes name);
/* A resource that the process itself wants, for life. */
void builder_want(struct builder *b, const struct config_source *source, enum resource_type type,
                  struct bytes name);
void builder_unwant(struct builder *b, struct resource *r); /* at the next flush */
void builder_undepend(struct builder *b, struct resource_version *v);
/* Tells the sources, starts timers, frees what nobody needs. */
void builder_flush_wants(struct builder *b);
/* The resource has come, or will not: dependants go on. */
void builder_settle(struct builder *b, struct resource *r);
void builder_promote_dependants(struct builder *b, struct resource *r);
/* Goes on to the next stages of the start, where it can. */
void builder_init_advance(struct builder *b);
void builder_wants_fini(struct builder *b);
