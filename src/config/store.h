/* The store: every resource that was received or is wanted, keyed (source, type, name), with its
 * active version, the pending one (and what it waits for) and the last rejected one. Snapshots are
 * made of active versions only. The builder alone writes; read it on the config thread.
 *
 *     wanted ──► (no version) ──► pending ──► active ──► gone
 *                     │               └─ warm ─┘
 *                     └── rejected: kept beside them
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "config/decode.h"
#include "config/resource_type.h"

struct resource;
struct scope;
struct scope_set;

/* A version of `from` needs another resource: a cluster its endpoints, a listener its routes. */
struct dependency {
    struct list link; /* in on->dependants */
    struct resource_version *from;
    struct resource *on;
};

/* The version_info of a response or of a resource: those of one response share it. */
struct version_text {
    unsigned refs;
    char text[];
};

/* One accepted version of a resource, with what it runs on. One piece of heap with its bytes; kept
 * small, as struct resource: there is one for each cluster and for its endpoints. */
struct resource_version {
    struct resource *resource;
    struct bytes wire;    /* the message's bytes */
    const char *type_url; /* of the Any it came in */
    struct version_text *version;
    uint64_t received_wall_ns;
    struct dependency *deps; /* owned, unless it is cluster_dep */
    unsigned n_deps;
    bool bound;        /* RESOURCE_LISTENER */
    bool holds_secret; /* in clear; known where builder_options.find_secrets says so */
    union {
        struct { /* RESOURCE_CLUSTER */
            struct cluster *cluster;
            struct cluster_state *state;
            struct host_set *hosts;  /* NULL: none yet */
            struct dns_result *dns;  /* [cluster->n_dns_targets] of DNS clusters */
            uint64_t dns_generation; /* 0: not started */
            struct dependency cluster_dep;
        };
        struct listener_parts *listener; /* RESOURCE_LISTENER */
        struct {                         /* RESOURCE_ROUTE */
            struct route_config *route;
            size_t own; /* of `wire`: what follows are virtual hosts that came apart; 0: all */
        };
        struct secret_files *files; /* RESOURCE_SECRET: those that it names, watched; or NULL */
        struct scope *scope;        /* RESOURCE_SCOPED_ROUTE */
        char nothing; /* RESOURCE_ENDPOINT: the clusters' versions hold the hosts; ends here */
    };
};

struct resource_rejected {
    struct bytes wire; /* owned */
    char *details, *version_info;
    uint64_t wall_ns;
};

struct source_ref {
    struct config_source source; /* in the arena */
    struct arena *arena;
    unsigned refs;
};

struct resource {
    uint8_t type; /* enum resource_type */
    bool is_static;
    bool told;    /* endpoints, routes and "*": the source has been told to deliver it */
    bool settled; /* received, refused, absent or timed out: nobody waits */
    bool absent, timed_out;
    bool doomed;               /* a cluster that was removed, and is still named */
    bool stands_for_all;       /* RESOURCE_SCOPED_ROUTE: "*" of its source */
    uint32_t hash;             /* of type and name */
    struct resource *next;     /* in its bucket */
    struct bytes name;         /* in the same piece of heap, NUL-terminated */
    struct source_ref *source; /* NULL: the bootstrap */
    struct resource_version *active, *pending;
    struct resource_rejected *rejected;
    struct list dirty_link; /* the next commit makes its entry anew */
    struct list link;       /* in the store's list of the type */
    union {
        uint64_t seen;                    /* the last full update that named it */
        struct scope_set *scopes;         /* with stands_for_all */
        struct resource_version *refused; /* RESOURCE_SECRET: its files may still become good */
    };

    /* Endpoints, routes and "*": */
    unsigned n_dependants;
    struct list dependants;    /* struct dependency */
    uint64_t fetch_timeout_ms; /* 0: for ever */
    struct fetch_wait *wait;   /* its timeout runs; with wait_link */
    struct list wait_link;
    struct stat_scope *stats; /* RESOURCE_ROUTE, RESOURCE_SECRET */
    struct list want_link;    /* told differs from what is needed */
};

/* Clusters and listeners have one name space each; all others one for each source. */
struct store {
    struct resource **buckets; /* by hash: type and name */
    size_t n_buckets, n;
    struct map sources; /* key -> struct source_ref * */
    struct list lists[RESOURCE_TYPE_COUNT];
    size_t counts[RESOURCE_TYPE_COUNT];
};

/* source: looked at for endpoints and routes only. NULL: not there. */
struct resource *store_find(const struct store *s, const struct config_source *source,
                            enum resource_type type, struct bytes name);

/* ---- the builder's ---- */

void store_init(struct store *s);
struct resource *store_add(struct store *s, const struct config_source *source,
                           enum resource_type type, struct bytes name);
/* Without versions, dependants and timer. */
void store_remove(struct store *s, struct resource *r);
void store_fini(struct store *s);
/* Into the arena, with all it refers to. */
void config_source_copy(struct arena *a, struct config_source *to,
                        const struct config_source *from);
struct source_ref *store_source(struct store *s, const struct config_source *source);
void store_source_unref(struct store *s, struct source_ref **ref);

/* type_url: empty: the type's own. */
struct resource_version *resource_version_new(struct resource *r, struct bytes wire,
                                              struct bytes type_url, struct bytes version_info,
                                              uint64_t wall_ns);
void resource_version_rename(struct resource_version *v, struct bytes version_info);
/* Dependencies must be gone. */
void resource_version_free(struct resource_version **v);
void resource_reject(struct resource *r, struct bytes wire, struct bytes version_info,
                     const char *details, uint64_t wall_ns);
void resource_clear_rejected(struct resource *r);
