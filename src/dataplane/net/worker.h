/* A worker: one thread, one loop, everything it owns. Rooms above net hang their per-worker state
 * here as opaque pointers. Created and run by main; in tests, by the loopback harness. Only the
 * worker's own thread touches it, except for posts to its loop's mailbox. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "base/stats.h"

struct access_log_service;
struct access_log_writer;
struct chunk_pool;
struct conn_limit;
struct cluster_demand;
struct cluster_manager;
struct loop;
struct snapshot;

enum { WORKER_MAGIC = 0x776f726b };

/* A drain begins at some time and takes time_ms. Until it is over an answer closes its connection
 * with the probability of the time that has passed, so that clients do not all come back at once;
 * immediately: with certainty. */
struct worker_drain {
    uint64_t time_ms;                        /* --drain-time-s */
    bool immediately;                        /* --drain-strategy */
    bool health_failed, begun, inbound_only; /* of the process */
    uint64_t begun_ns;
};

struct worker {
    uint32_t magic;
    unsigned slot; /* of statistics and pins: STAT_SLOT_WORKER0 + index */
    unsigned index;
    struct loop *loop;
    struct chunk_pool *chunks;
    struct random_source random;
    struct stat_store *stats;
    const struct snapshot *snapshot;        /* the current one; replaced between events only */
    struct cluster_manager *clusters;       /* upstream/: pools and balancers of this worker */
    struct cluster_demand *demand;          /* upstream/: who waits for clusters; or NULL */
    struct access_log_writer *access_log;   /* http/: where finished lines go */
    struct access_log_service *log_service; /* filters/: where entries over gRPC go; or NULL */
    struct http_conn_list *http_conns;      /* http/: live downstream connections */
    struct stream_pool *streams;            /* http/: free list of streams and arenas */
    struct conn_limit *connections;         /* of the process, net/conn_limit.h; NULL: no limit */
    struct worker_drain drain;              /* when answers say "Connection: close" */
    uint64_t next_stream_id, next_connection_id;
};

/* A number for a connection of either side that no other has had in this process: workers count
 * apart, in ranges that they do not leave. */
static inline uint64_t worker_connection_id(struct worker *w)
{
    uint64_t range = w->slot > STAT_SLOT_WORKER0 ? w->slot - STAT_SLOT_WORKER0 : 0;
    return (range << 40) + ++w->next_connection_id;
}
