/* dial(cluster): a control channel is an upstream connection like any other (architecture section
 * 4). Asked for on the config thread; carried out on main, with the bootstrap's cluster, its
 * endpoints tried in turn; the result, one end of a socket pair that main relays, comes back to the
 * config thread. */
#pragma once

#include "base/list.h"
#include "dataplane/net/worker.h"
#include "xds/xds_table.h"

struct dialer {
    struct worker *main_worker; /* its loop, chunks, snapshot, clusters */
    struct loop *config_loop;
    struct list relays; /* main: open channels */
    struct list dials;  /* main: under way */
};

void dialer_init(struct dialer *d, struct worker *main_worker, struct loop *config_loop);
/* Main, when no other thread runs any more: closes all channels. */
void dialer_fini(struct dialer *d);

/* Config thread. */
void *dialer_dial(struct dialer *d, struct bytes cluster, dial_fn *fn, void *arg);
void dialer_cancel(struct dialer *d, void *dial);
