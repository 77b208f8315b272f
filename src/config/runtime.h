/* Runtime values: the layers of the bootstrap's layered_runtime, later ones above earlier ones,
 * nested structs flattened with dots. Layers change while the process runs: by RTDS, by a folder of
 * files, by /runtime_modify. Config thread, but for runtime_fraction(), which reads a cell: any
 * thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/map.h"
#include "base/stats.h"
#include "config/config_source.h"

struct decode_context;

#define RUNTIME_STAT_LIST(X)                                                                       \
    X(LOAD_SUCCESS, "load_success", COUNTER)                                                       \
    X(LOAD_ERROR, "load_error", COUNTER)                                                           \
    X(OVERRIDE_DIR_EXISTS, "override_dir_exists", COUNTER)                                         \
    X(OVERRIDE_DIR_NOT_EXISTS, "override_dir_not_exists", COUNTER)                                 \
    X(DEPRECATED_FEATURE_USE, "deprecated_feature_use", COUNTER)                                   \
    X(DEPRECATED_FEATURE_SEEN, "deprecated_feature_seen_since_process_start", GAUGE)               \
    X(ADMIN_OVERRIDES_ACTIVE, "admin_overrides_active", GAUGE)                                     \
    X(NUM_KEYS, "num_keys", GAUGE)                                                                 \
    X(NUM_LAYERS, "num_layers", GAUGE)

enum runtime_stat {
#define X(id, name, kind) STAT_RUNTIME_##id,
    RUNTIME_STAT_LIST(X)
#undef X
        RUNTIME_STAT_COUNT
};
extern const struct stat_schema runtime_stat_schema;

/* What allows a second control plane (rule T11). */
#define RUNTIME_KEY_FAILOVER "envoy.restart_features.xds_failover_support"
#define RUNTIME_KEY_SINGLETONS                                                                     \
    "envoy.reloadable_features.xdstp_based_config_singleton_subscriptions"

enum runtime_kind { RUNTIME_STATIC, RUNTIME_DISK, RUNTIME_ADMIN, RUNTIME_RTDS };
enum runtime_value_kind { RUNTIME_TEXT, RUNTIME_BOOL, RUNTIME_NUMBER, RUNTIME_FRACTION };

struct fraction {
    uint32_t numerator, denominator;
};

struct runtime_value {
    enum runtime_value_kind kind;
    double number;
    struct fraction fraction;
    size_t len;
    char text[]; /* as it is printed */
};

struct runtime_layer {
    enum runtime_kind kind;
    struct bytes name;
    struct map values;                       /* -> struct runtime_value *, on the heap */
    struct bytes symlink_root, subdirectory; /* RUNTIME_DISK */
    bool append_service_cluster;
    bool absent;                 /* RUNTIME_DISK: there is no such folder */
    struct config_source source; /* RUNTIME_RTDS */
    struct bytes resource;       /* what it is called there */
};

struct runtime {
    struct runtime_layer *layers; /* in the arena of the bootstrap */
    unsigned n_layers;
    struct map cells; /* key -> struct runtime_cell * */
    struct stat_scope *stats;
    bool failed; /* a layer could not be read before there were statistics */
};

/* A key that something acts on: what it says now. Shared by all that name it. */
struct runtime_cell {
    struct runtime *home;
    unsigned refs;
    /* 0: nothing; else 4 in the upper half, with 0 to 2 for a fraction of 100, 10,000 or 1,000,000
     * and 3 for a whole number, and the numerator or the number in the lower. */
    _Atomic uint64_t packed;
    struct bytes key;
};

/* wire: envoy.config.bootstrap.v3.LayeredRuntime. *out is empty. */
MUST_CHECK bool runtime_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                               struct runtime *out, struct error *err);
void runtime_fini(struct runtime *r);
/* Once its layers have been read: counts from now on. The store outlives r. */
void runtime_set_stats(struct runtime *r, struct stat_store *stats);

/* Replaces a layer by the bytes of a google.protobuf.Struct; all or nothing. */
MUST_CHECK bool runtime_set_layer(struct runtime *r, unsigned layer, struct bytes wire,
                                  struct error *err);
/* The same of a folder of files, a value each; service_cluster: of the node. A folder that is not
 * there is an empty layer, and absent. */
MUST_CHECK bool runtime_read_disk(struct runtime *r, unsigned layer, struct bytes service_cluster,
                                  struct error *err);
/* Of the admin layer; an empty value takes the key out. False: there is no such layer. */
bool runtime_modify(struct runtime *r, struct bytes key, struct bytes value);
int runtime_find_layer(const struct runtime *r, enum runtime_kind kind, struct bytes name);

/* What counts: of the highest layer that has the key. NULL: none. */
const struct runtime_value *runtime_get(const struct runtime *r, struct bytes key);
/* All keys in order; the caller frees the array. */
struct bytes *runtime_keys(const struct runtime *r, size_t *n);

/* NULL: no key, or no runtime. */
struct runtime_cell *runtime_cell_get(struct runtime *r, struct bytes key);
void runtime_cell_unref(struct runtime_cell **c);
/* Any thread: what the key says, or the default. c may be NULL. */
static inline struct fraction runtime_fraction(const struct runtime_cell *c,
                                               struct fraction missing)
{
    static const uint32_t denominators[] = {100, 10000, 1000000, 100};
    uint64_t v = c ? atomic_load_explicit(&c->packed, memory_order_relaxed) : 0;
    if (v == 0)
        return missing;
    return (struct fraction){(uint32_t)v, denominators[v >> 32 & 3]};
}

/* The same of a whole number; a fraction is none. */
static inline uint32_t runtime_number(const struct runtime_cell *c, uint32_t missing)
{
    uint64_t v = c ? atomic_load_explicit(&c->packed, memory_order_relaxed) : 0;
    return v >> 32 == 7 ? (uint32_t)v : missing;
}

/* envoy.resource_limits.listener.NAME.connection_limit; UINT64_MAX: none. r may be NULL. */
uint64_t runtime_listener_connection_limit(const struct runtime *r, struct bytes listener);
/* overload.global_downstream_max_connections: the old way to limit all listeners together, for
 * where the overload manager does not say it; UINT64_MAX: none. */
uint64_t runtime_connection_limit(const struct runtime *r);
