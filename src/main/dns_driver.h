/* Keeps DNS clusters resolved: each name at once, then again by its TTL or the cluster's refresh
 * rate, with back-off after a failure. Asked for on the config thread, runs on main, answers to the
 * config thread. */
#pragma once

#include "base/error.h"
#include "base/list.h"
#include "base/random.h"
#include "config/cluster.h"

struct dns_driver;
struct dns_resolver;
struct loop;
struct stat_store;

/* Config thread: one name of a cluster was resolved, or could not be (ok false). addresses live
 * during the call. */
typedef void dns_answer_fn(void *ctx, struct bytes cluster, uint64_t generation, unsigned target,
                           bool ok, const struct address *addresses, unsigned n);

/* Main. The resolver is made when it is first needed. */
struct dns_driver *dns_driver_new(struct loop *main_loop, struct loop *config_loop,
                                  struct stat_store *stats, dns_answer_fn *answer, void *ctx);
void dns_driver_free(struct dns_driver **d); /* no other thread runs any more */

/* Of clusters that name no resolver. Before the first start; kept. */
void dns_driver_set_options(struct dns_driver *d, const struct dns_options *o);

/* Main: the resolver of the process; NULL and *err: it cannot be started (now). */
struct dns_resolver *dns_driver_resolver(struct dns_driver *d, struct error *err);

/* Config thread. */
void dns_driver_start(struct dns_driver *d, const struct cluster *c, uint64_t generation);
void dns_driver_stop(struct dns_driver *d, const struct cluster *c, uint64_t generation);
