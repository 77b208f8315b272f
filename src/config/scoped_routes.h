/* Scoped routes (rule O09): a key made of a request's headers names a scope, and the scope the
 * routes that serve it. How keys are made belongs to the connection manager; scopes stand in it, or
 * come apart from it (SRDS). Made by the config thread; tables are read by workers. */
#pragma once

#include "config/config_source.h"
#include "config/node.h"
#include "config/resource_type.h"
#include "base/error.h"

struct decode_context;
struct http_manager;
struct route_config;

/* A part of the key: of the first value of a header. */
struct scope_fragment {
    struct bytes header;            /* lower case */
    struct bytes element_separator; /* empty: the value is one element */
    struct bytes separator, key; /* of an element "key separator fragment"; data NULL: by index */
    uint32_t index;
};

/* Of a connection manager, in its arena. */
struct scoped_routes {
    struct bytes name;
    struct scope_fragment *fragments;
    unsigned n_fragments;
    struct config_source rds_source; /* kind SOURCE_NONE: it names none */
    struct config_source source;     /* of the scopes; SOURCE_NONE: `table` has them */
    struct bytes collection;         /* what the source is asked for: "*" is all */
    struct scope_table *table;
};

/* ScopedRouteConfiguration, decoded. Config thread. */
struct scope {
    struct arena *arena;
    struct bytes name, key; /* key: all fragments as one */
    struct bytes *fragments;
    unsigned n_fragments;
    struct bytes rds_name;
    struct route_config *routes; /* its own, which count more than rds_name; or NULL */
    bool on_demand;
    bool demanded; /* the builder's: a request has asked for its routes */
};

/* NULL and *err: refused. static_routes: it must have routes of its own, and may name no others. */
struct scope *scope_decode(struct decode_context *ctx, struct bytes wire, bool static_routes,
                           struct error *err);
void scope_free(struct scope **s);

/* HttpConnectionManager.scoped_routes; NULL and *err: refused. The caller ends it with
 * scoped_routes_fini(). */
struct scoped_routes *scoped_routes_decode(struct decode_context *ctx, struct http_manager *m,
                                           struct bytes wire, struct error *err);
void scoped_routes_fini(struct scoped_routes *s); /* NULL is fine */

/* ---- the table ---- */

struct scope_entry {
    struct bytes name;
    struct bytes *fragments;
    unsigned n_fragments;
    struct bytes rds_name;       /* empty: it has routes of its own */
    struct route_config *routes; /* NULL: they have not come */
    uint64_t hash;
};

struct scope_table {
    struct node node; /* pinnable */
    struct scope_entry *entries;
    uint32_t n;
    uint32_t *index; /* open addressing: position + 1; 0: free */
    uint32_t mask;
};

/* Scopes are added once the table is there, at most as many as it was made for. refs = 1. */
struct scope_table *scope_table_new(size_t n);
/* routes may be NULL. False: another has its key. */
bool scope_table_add(struct scope_table *t, const struct scope *s, struct route_config *routes);
/* Any thread. NULL: none has that key. */
const struct scope_entry *scope_table_find(const struct scope_table *t,
                                           const struct bytes *fragments, unsigned n);
