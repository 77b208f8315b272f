/* How an upstream connection is made: sockets in the product, memory pairs in tests. Const data,
 * worker thread. */
#pragma once

#include "base/address.h"
#include "dataplane/net/connection.h"

struct worker;

struct connector {
    /* As connection_connect(): never fails at once, NULL only when there is no memory. */
    struct connection *(*connect)(const struct connector *self, struct worker *worker,
                                  const struct address *to, const struct connect_options *opt,
                                  const struct connection_ops *ops, void *owner);
};

/* Real sockets on the worker's loop. */
extern const struct connector connector_socket;
