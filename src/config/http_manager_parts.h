/* The parts of an HTTP connection manager that are decoded apart; see http_manager_decode.c. Config
 * thread. */
#pragma once

#include "config/decode.h"
#include "config/http_manager.h"

/* The chain of http_filters: found by type, in order, ended by the one terminal filter. wire: the
 * HttpConnectionManager's bytes. */
MUST_CHECK bool http_manager_take_filters(struct decode_context *ctx, struct http_manager *m,
                                          struct bytes wire, struct error *err);
/* upgrade_configs, each with filters of its own or none. */
MUST_CHECK bool http_manager_take_upgrades(struct decode_context *ctx, struct http_manager *m,
                                           struct bytes wire, struct error *err);
/* The chain in the repeated HttpFilter field of this number; *n also counts what was made of a
 * chain that is refused. */
MUST_CHECK bool http_manager_take_chain(struct decode_context *ctx, struct http_manager *m,
                                        struct bytes wire, uint32_t field, const char *name,
                                        struct http_filter_slot **slots, unsigned *n,
                                        struct error *err);
/* RDS, inline or scoped routes; previous may be NULL. */
MUST_CHECK bool http_manager_take_routes(struct decode_context *ctx, struct http_manager *m,
                                         struct bytes wire, const struct http_manager *previous,
                                         struct error *err);
/* Routes that stand in something else; previous may be NULL. refs = 1. */
struct route_config;
struct route_config *inline_routes_decode(struct decode_context *ctx, struct arena *a,
                                          struct bytes stat_prefix, struct bytes wire,
                                          const struct route_config *previous, struct error *err);
/* What one repeated AccessLog field (by number) of some message holds. */
MUST_CHECK bool access_logs_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                                   uint32_t field, struct access_log ***logs, unsigned *n,
                                   struct error *err);
