/* struct mux: one stream to one server, and the subscriptions that share it. It dials, keeps the
 * stream open, backs off (rule T02), sends what is due in subscription order (T04) and applies
 * answers to the builder. One mux stands for ADS; a ConfigSource with its own gRPC service gets one
 * for each type. Config thread. */
#pragma once

#include "config/builder.h"
#include "xds/grpc_stream.h"
#include "xds/subscription.h"
#include "xds/xds_table.h"

struct mux;

#define CONTROL_PLANE_STAT_LIST(X)                                                                 \
    X(CONTROL_PLANE_CONNECTED_STATE, "connected_state", GAUGE)                                     \
    X(CONTROL_PLANE_PENDING_REQUESTS, "pending_requests", GAUGE)                                   \
    X(CONTROL_PLANE_RATE_LIMIT_ENFORCED, "rate_limit_enforced", COUNTER)                           \
    X(CONTROL_PLANE_IDENTIFIER, "identifier", TEXT)

enum control_plane_stat {
#define X(id, name, kind) STAT_##id,
    CONTROL_PLANE_STAT_LIST(X)
#undef X
        CONTROL_PLANE_STAT_COUNT
};

extern const struct stat_schema control_plane_stat_schema;

struct mux_options {
    const struct xds_table *table;
    struct grpc_runtime *grpc;
    struct builder *builder;
    const struct config_source *source; /* copied */
    const char *method;                 /* of the dialect that source->api.delta says */
    struct bytes node;                  /* core.v3.Node bytes; outlive the mux */
    struct bytes stats;                 /* the prefix: "control_plane" */
};

struct mux *mux_new(const struct mux_options *o);
void mux_free(struct mux **m);
void mux_want(struct mux *m, enum resource_type type, struct bytes name);
void mux_unwant(struct mux *m, enum resource_type type, struct bytes name);
/* Sends what is due; opens the stream when something is wanted and none is open. */
void mux_flush(struct mux *m);
/* A wanted name did not come in time (rule T01): counted. */
void mux_fetch_timed_out(struct mux *m, enum resource_type type);
/* Nothing is wanted, and nothing of it is running: it may be freed. */
bool mux_idle(const struct mux *m);
bool mux_connected(const struct mux *m);
