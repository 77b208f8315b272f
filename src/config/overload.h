/* The overload manager, as far as Xylem has it: how many downstream connections the process may
 * have. Other resources are reported as ignored. Config thread (or main before other threads run).
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

struct decode_context;

struct overload {
    uint64_t max_connections; /* UINT64_MAX: no limit */
};

/* wire: envoy.config.overload.v3.OverloadManager, empty where there is none. */
MUST_CHECK bool overload_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                                struct overload *out, struct error *err);
