/* grpc.STAT_PREFIX.*: what Envoy counts of the streams of a google_grpc service. Config thread. */
#pragma once

#include "base/stats.h"

struct grpc_service;

/* A reference; NULL for a service that is a cluster. */
struct stat_scope *client_stats_get(struct stat_store *store, const struct grpc_service *service);
/* Each takes NULL. */
void client_stats_created(struct stat_scope *s);
void client_stats_opened(struct stat_scope *s);
void client_stats_closed(struct stat_scope *s, int code);
