/* What the xDS room needs of the world: main fills it in. All calls on the config thread; callbacks
 * come from later turns of its loop, never from inside a call. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "base/stats.h"

struct grpc_service;

/* A control channel: one end of a socket pair whose other end is relayed to the cluster's endpoint,
 * or to the target of a google_grpc service (architecture section 4). */
struct dial_result {
    int fd; /* -1: failed, see error; otherwise the receiver's */
    const char *error;
    uint32_t keepalive_interval_ms, keepalive_timeout_ms; /* the cluster's HTTP/2 keepalive */
};

/* An HTTP POST to a cluster; everything is copied. */
struct fetch_request {
    struct bytes cluster, path, body;
    uint64_t timeout_ms; /* of all of it; 0: none */
};

struct fetch_result {
    unsigned status; /* 0: failed, see error */
    const char *error;
    struct bytes body; /* lives during the call */
};

typedef void fetch_fn(void *arg, const struct fetch_result *result);
typedef void dial_fn(void *arg, const struct dial_result *result);
typedef void xds_timer_fn(void *arg);
typedef void xds_watch_fn(void *arg);

struct xds_table {
    void *ctx;
    const struct clock *clock;
    struct random_source *random; /* of the config thread */
    struct stat_store *stats;
    unsigned min_world_share; /* percent (world_guard.h); 0: whatever comes is believed */
    uint64_t world_hold_ms;   /* 0: for ever */
    /* Any thread: runs fn(arg) on the config loop. */
    void (*post)(void *ctx, void (*fn)(void *arg), void *arg);
    /* At the end, when that loop has stopped: runs what was posted. */
    void (*run_posted)(void *ctx);
    void *(*timer_start)(void *ctx, uint64_t ms, xds_timer_fn *fn, void *arg);
    void (*timer_cancel)(void *ctx, void *timer);
    /* fn(arg) runs whenever something was moved to `name` in the folder, or written there and
     * closed; name empty: to any name. It may not watch or unwatch. NULL and *err: it cannot be
     * watched. */
    void *(*watch)(void *ctx, struct bytes folder, struct bytes name, xds_watch_fn *fn, void *arg,
                   struct error *err);
    void (*unwatch)(void *ctx, void *watch);
    /* fn is called exactly once unless dial_cancel() came first. Nothing of the service is kept. */
    void *(*dial)(void *ctx, const struct grpc_service *service, dial_fn *fn, void *arg);
    void (*dial_cancel)(void *ctx, void *dial);
    /* The same for fetch_cancel(). */
    void *(*fetch)(void *ctx, const struct fetch_request *q, fetch_fn *fn, void *arg);
    void (*fetch_cancel)(void *ctx, void *fetch);
};
