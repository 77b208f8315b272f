/* fetch(cluster, path, body): an HTTP request of the config thread (REST sources, rule O04),
 * carried out on main over its own pools and codecs (upstream/async_call.h); the whole answer comes
 * back to the config thread. */
#pragma once

#include "base/list.h"
#include "dataplane/net/worker.h"
#include "xds/xds_table.h"

enum { FETCH_BODY_MAX = 256 << 20 };

struct fetcher {
    struct worker *main_worker;
    struct loop *config_loop;
    struct list live; /* main: under way */
};

void fetcher_init(struct fetcher *f, struct worker *main_worker, struct loop *config_loop);
/* Main, when no other thread runs any more: gives up what is under way. */
void fetcher_fini(struct fetcher *f);

/* Config thread. */
void *fetcher_fetch(struct fetcher *f, const struct fetch_request *q, fetch_fn *fn, void *arg);
void fetcher_cancel(struct fetcher *f, void *fetch);
