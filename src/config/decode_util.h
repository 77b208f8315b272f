/* Small helpers of the decoders in this folder: well-known types with their defaults. The message
 * types are upb's; only .c files include its headers. Config thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "config/upb_util.h"

struct decode_context;
struct envoy_config_core_v3_Address;
struct envoy_config_core_v3_CidrRange;
struct envoy_config_core_v3_GrpcService;
struct envoy_config_core_v3_TransportSocket;
struct envoy_config_core_v3_SocketAddress;
struct address;
struct address_prefix;
struct google_protobuf_Any;
struct grpc_service;
struct typed;

/* False and *err for a negative or too long one; *out stays when d is NULL. Rounded up: what is
 * waited for takes some time. */
MUST_CHECK bool take_duration_ms(const struct google_protobuf_Duration *d, const char *field,
                                 uint64_t *out, struct error *err);
/* The same of a limit that 0 takes away: as in Envoy, what is less than a millisecond does, too. */
MUST_CHECK bool take_limit_ms(const struct google_protobuf_Duration *d, const char *field,
                              uint64_t *out, struct error *err);

MUST_CHECK bool take_address(const struct envoy_config_core_v3_Address *m, struct address *out,
                             struct error *err);
/* An IP address of a configuration: without the brackets that only a port asks for. */
MUST_CHECK bool take_ip(struct bytes ip, uint16_t port, struct address *out);
MUST_CHECK bool take_socket_address(const struct envoy_config_core_v3_SocketAddress *m,
                                    struct address *out, struct error *err);
MUST_CHECK bool take_cidr(const struct envoy_config_core_v3_CidrRange *m,
                          struct address_prefix *out, struct error *err);
/* The type and bytes of an Any, TypedStruct resolved. NULL: empty type name. */
MUST_CHECK bool take_any(struct decode_context *ctx, struct arena *a,
                         const struct google_protobuf_Any *any, struct typed *out,
                         struct error *err);
/* A GrpcService that is a cluster; whether there is such a cluster is not asked. */
MUST_CHECK bool take_grpc_service(struct arena *a, const struct envoy_config_core_v3_GrpcService *m,
                                  struct grpc_service *out, struct error *err);
