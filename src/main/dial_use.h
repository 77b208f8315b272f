/* struct dial_use: what a control channel counts on its cluster and host, as connections of the
 * pools do: one connection, and from the moment that it stands one request, whose stream ends with
 * it. Main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/stats.h"
#include "config/cluster.h"

struct dial_use {
    struct stat_scope *stats; /* a reference; NULL: a target, which is no cluster */
    struct host_state *host;  /* held */
    uint64_t opened_ms;
    bool serving;
};

/* A connection to a host of the cluster is begun. */
void dial_use_open(struct dial_use *u, struct stat_scope *stats, struct host_state *host,
                   uint64_t now_ms);
/* Another address of the host is tried for it. */
void dial_use_other(struct dial_use *u);
/* It stands, after so many milliseconds, and the stream begins on it. */
void dial_use_serve(struct dial_use *u, uint64_t connect_ms);
void dial_use_received(const struct dial_use *u, uint64_t bytes);
void dial_use_sent(const struct dial_use *u, uint64_t bytes);
/* It is closed, by the peer or not; one that never stood has failed. Nothing is held any more. */
void dial_use_close(struct dial_use *u, bool remote, uint64_t now_ms);
