/* Access loggers over gRPC, decoded. Config thread. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

struct access_log;
struct upb_Arena;

/* The bytes of an HttpGrpcAccessLogConfig or a TcpGrpcAccessLogConfig, into a. */
MUST_CHECK bool grpc_log_http_decode(struct arena *a, struct bytes value, struct upb_Arena *arena,
                                     struct access_log *log, struct error *err);
MUST_CHECK bool grpc_log_tcp_decode(struct arena *a, struct bytes value, struct upb_Arena *arena,
                                    struct access_log *log, struct error *err);
