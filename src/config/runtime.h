/* Runtime values: the static layers of the bootstrap's layered_runtime, later layers above earlier
 * ones, nested structs flattened with dots. Read once at the start, const from then on; any thread.
 * Only the keys that Xylem acts on are kept; others are reported as ignored. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

struct field_report;

struct runtime_value {
    struct bytes key;
    uint64_t number;
};

struct runtime {
    struct runtime_value *values;
    unsigned n, cap;
};

/* wire: envoy.config.bootstrap.v3.LayeredRuntime. Values live in the arena; report may be NULL. */
MUST_CHECK bool runtime_decode(struct arena *a, struct bytes wire, struct field_report *report,
                               struct runtime *out, struct error *err);
/* envoy.resource_limits.listener.NAME.connection_limit; UINT64_MAX: none. r may be NULL. */
uint64_t runtime_listener_connection_limit(const struct runtime *r, struct bytes listener);
/* overload.global_downstream_max_connections: the old way to limit all listeners together, for
 * where the overload manager does not say it; UINT64_MAX: none. */
uint64_t runtime_connection_limit(const struct runtime *r);
