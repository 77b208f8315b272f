#include "dataplane/upstream/connector.h"

#include "dataplane/net/worker.h"

static struct connection *socket_connect(const struct connector *self, struct worker *worker,
                                         const struct address *to,
                                         const struct connect_options *opt,
                                         const struct connection_ops *ops, void *owner)
{
    return connection_connect(worker->loop, worker->chunks, to, opt, ops, owner);
}

const struct connector connector_socket = {socket_connect};
