/* The configuration half of a filter, which config/ calls while it decodes; the run-time half lives
 * in the dataplane's ops struct, whose first member is this one. The list of filters is handed to
 * config/ by main. Config thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/stats.h"
#include "config/config_source.h"

struct decode_context;
struct http_manager;

/* What a decoder may use and ask for. Lives during the call. */
struct filter_context {
    struct arena *arena; /* of the node being built; config objects live here */
    struct stat_store *stats;
    struct bytes stat_prefix;         /* "http.ingress." */
    const struct config_source *self; /* the source the parent came from (rule O05) */
    void *owner;                      /* the builder's */
    struct decode_context *decode;    /* for parts that decode.h decodes */
};

struct filter_factory {
    const char *name;     /* canonical: envoy.filters.http.router */
    const char *type_url; /* full message name: envoy.extensions.filters.http.router.v3.Router */
    const char *route_type_url; /* per-route message, or NULL: not accepted */
    bool terminal;              /* must stand last, and only last */
    bool no_config_ok;          /* loads by name alone (Envoy once knew it so) */
    /* NULL = refused, *err says why. value: the message's bytes. */
    void *(*config_new)(struct filter_context *ctx, struct bytes value, struct error *err);
    void *(*route_config_new)(struct filter_context *ctx, struct bytes value, struct error *err);
    void (*config_free)(void *config);
    size_t state_size;        /* per stream, zeroed, in the stream's arena */
    size_t worker_state_size; /* per worker and config */
    size_t shared_state_size; /* atomics only */
};

struct filter_registry {
    const struct filter_factory *const *http;
    unsigned n_http;
    /* Stands where the configuration of a filter has not come: answers 500. */
    const struct filter_factory *missing;
    /* Pure observers that may be skipped with a count (architecture section 5). */
    const char *const *skippable;
    unsigned n_skippable;
};

/* By type URL ("type.googleapis.com/" left out), or NULL. */
const struct filter_factory *filter_registry_find(const struct filter_factory *const *list,
                                                  unsigned n, struct bytes type);
const struct filter_factory *filter_registry_find_name(const struct filter_factory *const *list,
                                                       unsigned n, struct bytes name);
