/* The compiled index of a virtual host's routes and of a route configuration's domains: matching
 * does not slow down with the number of exact and prefix routes or of virtual hosts. Built once by
 * the config thread in the node's arena, const afterwards.
 *
 * A request's candidates are: the routes of its exact path, the routes of every prefix on the way
 * of its path through a radix tree, and the routes that nothing but trying can decide (regexes).
 * Each list is in configuration order; the lowest position whose other conditions hold wins, which
 * is the first match of the linear reading. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"

struct route;
struct route_config;
struct route_ref;
struct vhost_ref;

struct route_index;
/* routes: stays in place as long as the index. */
struct route_index *route_index_new(struct arena *a, const struct route_ref *routes, unsigned n);
/* What it takes of the arena, about. */
size_t route_index_size(unsigned n_routes);

/* Says whether the route at that position matches in every respect but its literal path, which
 * holds already (for regexes: path included). */
typedef bool route_accept_fn(void *ctx, unsigned position);
/* The lowest accepted position, or -1. path: without query; lower: the same in lower case, needed
 * only when route_index_folds(). */
int route_index_find(const struct route_index *ix, struct bytes path, struct bytes lower,
                     route_accept_fn *accept, void *ctx);
bool route_index_folds(const struct route_index *ix);

/* Domains: exact, longest suffix ("*.a"), longest prefix ("a.*"), "*". */
struct vhost_index;
/* NULL and *err on a domain that is given twice. */
struct error;
struct vhost_index *vhost_index_new(struct arena *a, const struct vhost_ref *vhosts, unsigned n,
                                    struct bytes config_name, struct error *err);
/* host: lower case. Position of the virtual host, or -1. */
int vhost_index_find(const struct vhost_index *ix, struct bytes host);
