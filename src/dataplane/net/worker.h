/* A worker: one thread, one loop, everything it owns. Rooms above net hang their per-worker state
 * here as opaque pointers. Created and run by main; in tests, by the loopback harness. Only the
 * worker's own thread touches it, except for posts to its loop's mailbox. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "base/stats.h"

struct access_log_writer;
struct chunk_pool;
struct conn_limit;
struct cluster_manager;
struct loop;
struct snapshot;

enum { WORKER_MAGIC = 0x776f726b };

struct worker {
    uint32_t magic;
    unsigned slot; /* of statistics and pins: STAT_SLOT_WORKER0 + index */
    unsigned index;
    struct loop *loop;
    struct chunk_pool *chunks;
    struct random_source random;
    struct stat_store *stats;
    const struct snapshot *snapshot;      /* the current one; replaced between events only */
    struct cluster_manager *clusters;     /* upstream/: pools and balancers of this worker */
    struct access_log_writer *access_log; /* http/: where finished lines go */
    struct http_conn_list *http_conns;    /* http/: live downstream connections */
    struct stream_pool *streams;          /* http/: free list of streams and arenas */
    struct conn_limit *connections;       /* of the process, net/conn_limit.h; NULL: no limit */
    bool draining;                        /* the process drains: answer with "Connection: close" */
    uint64_t next_stream_id, next_connection_id;
};
