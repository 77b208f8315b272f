/* struct rest_source: one type of resource of a server that is polled over HTTP (rule O04): a
 * DiscoveryRequest as JSON is posted, a DiscoveryResponse as JSON comes back, one request at a
 * time, and again after refresh_delay and up to as much more. What was good stays when a poll
 * fails. Config thread. */
#pragma once

#include "config/builder.h"
#include "xds/xds_table.h"

struct rest_source;

struct rest_source_options {
    const struct xds_table *table;
    struct builder *builder;
    const struct config_source *source; /* kind SOURCE_REST; copied */
    enum resource_type type;
    const char *path;  /* "/v3/discovery:clusters" */
    struct bytes node; /* core.v3.Node bytes; outlive it */
};

struct rest_source *rest_source_new(const struct rest_source_options *o);
void rest_source_free(struct rest_source **r);
void rest_source_want(struct rest_source *r, struct bytes name);
void rest_source_unwant(struct rest_source *r, struct bytes name);
/* Asks at once, where more is wanted than was asked for. */
void rest_source_flush(struct rest_source *r);
/* Nothing is wanted, and nothing of it is running: it may be freed. */
bool rest_source_idle(const struct rest_source *r);
void rest_source_fetch_timed_out(struct rest_source *r);
