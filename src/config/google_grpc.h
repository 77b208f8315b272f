/* GrpcService.google_grpc: a control plane that is named by where it is, without a cluster. Main
 * resolves and connects (main/dial_target.c); the rest is as with envoy_grpc. Plain const data, of
 * the ConfigSource that it stands in. */
#pragma once

#include "base/address.h"
#include "base/arena.h"
#include "base/error.h"
#include "config/config_source.h"

struct decode_context;
struct envoy_config_core_v3_GrpcService_GoogleGrpc;
struct tls_context;

/* One place where it may be: an address, or a name to be resolved. */
struct google_target {
    struct address address;
    struct bytes name; /* data NULL: an address */
    uint16_t port;
};

/* gRPC's own, given to its channel as they are. */
struct channel_arg {
    const char *key, *text; /* text NULL: a number */
    int32_t number;
};

struct google_grpc {
    struct bytes stat_prefix;
    struct google_target *targets; /* tried in turn */
    unsigned n_targets;
    struct bytes tls;      /* ssl_credentials as an UpstreamTlsContext; data NULL: plain text */
    struct bytes tls_name; /* what the server's certificate must be for */
    struct channel_arg *args;
    unsigned n_args;
    uint64_t connect_timeout_ms;
};

/* Fills out, errors begin with the field. */
MUST_CHECK bool google_grpc_decode(struct decode_context *ctx, struct arena *a,
                                   const struct envoy_config_core_v3_GrpcService_GoogleGrpc *m,
                                   struct grpc_service *out, struct error *err);
struct google_grpc *google_grpc_copy(struct arena *a, const struct google_grpc *from);
/* A context of its ssl_credentials as their files are now; the caller owns a reference. NULL: *err.
 * Config thread. */
struct tls_context *google_grpc_tls(struct decode_context *ctx, const struct google_grpc *g,
                                    struct error *err);
