/* dial(service): a control channel is an upstream connection like any other (architecture section
 * 4). Asked for on the config thread; carried out on main, with the bootstrap's cluster, its
 * endpoints tried in turn, or with the targets of google_grpc (dial_target.c); the result, one end
 * of a socket pair that main relays, comes back to the config thread. */
#pragma once

#include "base/list.h"
#include "dataplane/net/worker.h"
#include "xds/xds_table.h"

struct dns_driver;
struct grpc_service;
struct tls_context;

struct dialer {
    struct worker *main_worker; /* its loop, chunks, snapshot, clusters */
    struct loop *config_loop;
    struct list relays; /* main: open channels */
    struct list dials;  /* main: under way */
    struct dns_driver *dns;
};

struct dial_request {
    const struct grpc_service *service; /* of a cluster, or a target; copied */
    struct tls_context *tls; /* the target's, with a reference that is taken over, or NULL */
    const char *failure;     /* why it cannot be dialled; NULL: it can */
};

void dialer_init(struct dialer *d, struct worker *main_worker, struct loop *config_loop,
                 struct dns_driver *dns);
/* Main, when no other thread runs any more: closes the open channels, so that gRPC, whose threads
 * go on until all its streams have ended, waits for no write that nobody takes. */
void dialer_close_channels(struct dialer *d);
/* Main, after that: ends what is under way, too. */
void dialer_fini(struct dialer *d);

/* Config thread. */
void *dialer_dial(struct dialer *d, const struct dial_request *q, dial_fn *fn, void *arg);
void dialer_cancel(struct dialer *d, void *dial);
