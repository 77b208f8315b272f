/* The compiled index of a virtual host's routes and of a route configuration's domains: matching
 * does not slow down with the number of exact and prefix routes or of virtual hosts. Built by the
 * config thread, const afterwards.
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

/* One for all tables that have the same paths at the same positions: a change of what routes do
 * shares the index of the version before. */
struct route_index;
struct route_index *route_index_new(const struct route_ref *routes, unsigned n); /* refs = 1 */
struct route_index *route_index_ref(struct route_index *ix);                     /* config thread */
void route_index_unref(struct route_index **ix);                                 /* NULL is fine */
/* Does an index over a serve b too? */
bool route_index_fits(const struct route_ref *a, unsigned n_a, const struct route_ref *b,
                      unsigned n_b);

/* Says whether the route at that position matches in every respect but its literal path, which
 * holds already (for regexes: path included). */
typedef bool route_accept_fn(void *ctx, unsigned position);
/* The lowest accepted position, or -1. routes: that the index is over, or that it fits; path:
 * without query; lower: the same in lower case, needed only when route_index_folds(). */
int route_index_find(const struct route_index *ix, const struct route_ref *routes,
                     struct bytes path, struct bytes lower, route_accept_fn *accept, void *ctx);
/* The first that is accepted of those that match any CONNECT, and of the regexes; -1: none. */
int route_index_find_connect(const struct route_index *ix, const struct route_ref *routes,
                             route_accept_fn *accept, void *ctx);
bool route_index_folds(const struct route_index *ix);

/* In the node's arena. Domains: exact, longest suffix ("*.a"), longest prefix ("a.*"), "*". */
struct vhost_index;
/* NULL and *err on a domain that is given twice. */
struct error;
struct vhost_index *vhost_index_new(struct arena *a, const struct vhost_ref *vhosts, unsigned n,
                                    struct bytes config_name, struct error *err);
/* host: lower case. Position of the virtual host, or -1. */
int vhost_index_find(const struct vhost_index *ix, struct bytes host);
