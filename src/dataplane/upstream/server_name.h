/* struct server_name: what a connection asks of TLS to its host beside the context, by the cluster,
 * the request and the host. Pure; nothing of it is owned. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

struct cluster;
struct headers;
struct host;
struct tls_connect_options;

struct server_name {
    struct bytes send;   /* as SNI; empty: the context's */
    struct bytes verify; /* must be in the peer's certificate, ... */
    bool verifies;       /* ... even if it is empty, which nobody's is */
};

/* What a cluster takes from a request's head. It counts where the host has TLS. */
struct server_name server_name_of_request(const struct cluster *c, const struct headers *h);
/* The same for one of its hosts: it may have a name of its own to send, or no TLS. */
struct server_name server_name_for_host(const struct server_name *n, const struct cluster *c,
                                        const struct host *h);
/* Points into *n. */
void server_name_ask(const struct server_name *n, struct tls_connect_options *o);
static inline bool server_name_any(const struct server_name *n)
{
    return n->send.len > 0 || n->verifies;
}
