/* struct server_name: what a connection asks of TLS to its host beside the context. Pure; nothing of
 * it is owned. */
#pragma once

#include "base/bytes.h"

struct cluster;
struct headers;

/* A name, to be sent (else the host's or the cluster's is), and to be found in the peer's
 * certificate. It counts where the cluster has TLS. */
struct server_name {
    struct bytes name;
    bool send, verify;
};

/* What a cluster with TLS takes from a request's head for its connection. */
struct server_name server_name_of_request(const struct cluster *c, const struct headers *h);
