/* A worker in memory for the tests of this room: a loop on a clock of the test's own, snapshots
 * made by hand, and origins at the other end of memory pairs (or of real sockets where the kernel's
 * answer matters). */
#pragma once

#include "base/clock.h"
#include "base/strbuf.h"
#include "config/snapshot.h"
#include "dataplane/net/loop.h"
#include "dataplane/net/transport_pair.h"
#include "dataplane/upstream/conn_pool.h"

enum { WORLD_HOSTS = 16, WORLD_CLUSTERS = 8, WORLD_SNAPSHOTS = 8 };

/* The other end of an upstream connection. */
struct origin {
    struct list link;
    struct world *world;
    struct connection *connection; /* NULL: closed */
    struct address address;        /* that was connected to */
    struct strbuf in;
    bool eof;
};

struct world {
    struct connector connector; /* first: found from it */
    void *tag;                  /* of a test with a connector of its own */
    struct clock_fake clock;
    struct loop *loop;
    struct stat_store *stats;
    struct worker worker;
    struct cluster_manager *manager;
    struct list origins; /* in the order of connecting */
    unsigned n_origins;
    bool sockets;      /* connect for real */
    bool deaf_origins; /* new ones read nothing until told to, and take little */
    struct host_state *states[WORLD_HOSTS];
    struct cluster_state *cluster_states[WORLD_CLUSTERS];
    struct snapshot snapshots[WORLD_SNAPSHOTS];
    struct cluster clusters[WORLD_SNAPSHOTS][WORLD_CLUSTERS];
    struct cluster_entry entries[WORLD_SNAPSHOTS][WORLD_CLUSTERS];
    struct host_set sets[WORLD_SNAPSHOTS][WORLD_CLUSTERS];
    struct priority_set priorities[WORLD_SNAPSHOTS][WORLD_CLUSTERS];
    struct host hosts[WORLD_SNAPSHOTS][WORLD_CLUSTERS][WORLD_HOSTS];
    unsigned n_snapshots; /* the one being made is n_snapshots - 1 */
};

struct world *world_new(void);
void world_free(struct world *w);
/* Begins a snapshot without clusters; world_cluster() fills it; world_adopt() swaps it in. */
void world_snapshot(struct world *w);
/* Cluster `index` ("c0", "c1", ...) with the hosts of a bit mask: host i is 10.0.0.1:(8000 + i), or
 * 127.0.0.1:port. The result may be changed until world_adopt(). */
struct cluster *world_cluster(struct world *w, unsigned index, unsigned host_mask);
/* The entry of the snapshot before, unchanged. */
void world_keep_cluster(struct world *w, unsigned index);
void world_adopt(struct world *w);
void world_set_port(struct world *w, unsigned cluster, uint16_t port);

/* world_fake.c: the loop that tests drive; world_real.c: sockets and real time. */
const struct clock *world_clock(struct world *w);
/* Takes turns until nothing is left to do now. */
void world_run(struct world *w);
/* Fake: moves the clock. Real: waits in the loop for about that long, at most. */
void world_advance(struct world *w, uint64_t ms);

int64_t world_stat(struct world *w, unsigned cluster, enum cluster_stat id);
struct origin *world_origin(struct world *w, unsigned i);
void origin_send(struct origin *o, const char *text);
void origin_close(struct origin *o);

/* A request in a pool, and what came of it. */
struct client {
    struct pool_request request;
    struct arena *arena;
    struct headers head, response, trailers;
    struct chunk_pool *chunks;
    struct strbuf log; /* "ready", "headers 200", "data abc", "end", "failed WHY text" */
};

struct client *client_new(struct world *w);
void client_free(struct client *c);
/* Picks a host of the cluster and asks its pool; sends "GET /" when the answer is POOL_READY. */
enum pool_result client_get(struct world *w, struct client *c, unsigned cluster);
void client_send_get(struct client *c);
