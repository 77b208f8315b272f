/* The layers of a bootstrap. What comes later (RTDS, files) is read by whoever brings it. */
#include "config/decode.h"
#include "config/decode_util.h"
#include "config/field_report.h"
#include "config/runtime.h"
#include "config/wire_slice.h"
#include "envoy/config/bootstrap/v3/bootstrap.upb.h"

/* Field numbers of LayeredRuntime and RuntimeLayer. */
enum { LAYERS = 1, LAYER_STATIC = 2, LAYER_RTDS = 5, RTDS_CONFIG = 2 };

#define LAYER(f) envoy_config_bootstrap_v3_RuntimeLayer_##f

typedef envoy_config_bootstrap_v3_RuntimeLayer layer_msg;

struct reading {
    struct decode_context *ctx;
    struct arena *arena;
    struct runtime *out;
    unsigned at;
};

/* Keys of Envoy's own that Xylem does not have; any other may be named by a resource. */
static bool is_envoys(struct bytes key)
{
    if (bytes_eq_str(key, RUNTIME_KEY_FAILOVER))
        return false;
    return bytes_starts_with(key, BYTES("envoy.reloadable_features.")) ||
           bytes_starts_with(key, BYTES("envoy.restart_features.")) ||
           bytes_starts_with(key, BYTES("envoy.deprecated_features")) ||
           bytes_starts_with(key, BYTES("re2."));
}

static void report(const struct reading *r)
{
    struct bytes key;
    void *value;
    const struct map *values = &r->out->layers[r->at].values;
    for (size_t it = 0; r->ctx->report && map_next(values, &it, &key, &value);) {
        if (is_envoys(key))
            field_report_add(
                r->ctx->report, FIELD_IGNORED,
                bytes_of(arena_printf(r->arena, "layered_runtime.layers[%u].static_layer.%.*s",
                                      r->at, BYTES_ARG(key))),
                "no runtime key of Xylem");
    }
}

/* Two layers of one name: they could not be told apart. */
static bool check_name(const struct reading *r, struct bytes name, struct error *err)
{
    for (unsigned i = 0; i < r->at; i++) {
        if (bytes_eq(r->out->layers[i].name, name))
            return error_set(err, "name: Duplicate layer name: %.*s", BYTES_ARG(name));
    }
    return true;
}

static bool take_static(struct reading *r, struct bytes wire, struct error *err)
{
    if (!runtime_set_layer(r->out, r->at, wire_find_bytes(wire, LAYER_STATIC), err))
        return error_prefix(err, "static_layer.");
    report(r);
    return true;
}

static void take_disk(const struct reading *r, const layer_msg *m, struct runtime_layer *l)
{
    const envoy_config_bootstrap_v3_RuntimeLayer_DiskLayer *d = LAYER(disk_layer)(m);
    l->kind = RUNTIME_DISK;
    l->absent = true; /* until it has been read */
    l->symlink_root = arena_dup(r->arena, upb_bytes(LAYER(DiskLayer_symlink_root)(d)));
    l->subdirectory = arena_dup(r->arena, upb_bytes(LAYER(DiskLayer_subdirectory)(d)));
    l->append_service_cluster = LAYER(DiskLayer_append_service_cluster)(d);
}

static bool take_rtds(const struct reading *r, const layer_msg *m, struct bytes wire,
                      struct runtime_layer *l, struct error *err)
{
    struct bytes config = wire_find_bytes(wire_find_bytes(wire, LAYER_RTDS), RTDS_CONFIG);
    l->kind = RUNTIME_RTDS;
    l->resource = arena_dup(r->arena, upb_bytes(LAYER(RtdsLayer_name)(LAYER(rtds_layer)(m))));
    return config_source_decode(r->ctx, r->arena, config.data ? config : BYTES(""), &l->source,
                                err) ||
           error_prefix(err, "rtds_layer.rtds_config.");
}

static bool take_layer(struct reading *r, const layer_msg *m, struct bytes wire, struct error *err)
{
    struct runtime_layer *l = &r->out->layers[r->at];
    struct bytes name = upb_bytes(LAYER(name)(m));
    if (!check_name(r, name, err))
        return false;
    l->name = arena_dup(r->arena, name);
    switch (LAYER(layer_specifier_case)(m)) {
    case LAYER(layer_specifier_static_layer):
        return take_static(r, wire, err);
    case LAYER(layer_specifier_disk_layer):
        take_disk(r, m, l);
        return true;
    case LAYER(layer_specifier_admin_layer):
        if (runtime_find_layer(r->out, RUNTIME_ADMIN, BYTES_NONE) >= 0)
            return error_set(err, "admin_layer: Too many admin layers specified in LayeredRuntime, "
                                  "at most one may be specified");
        l->kind = RUNTIME_ADMIN;
        return true;
    case LAYER(layer_specifier_rtds_layer):
        return take_rtds(r, m, wire, l, err);
    case LAYER(layer_specifier_NOT_SET):
        break;
    }
    return error_set(err, "layer_specifier: expected one of static_layer, disk_layer, admin_layer, "
                          "rtds_layer");
}

static bool take_layers(struct reading *r, struct bytes wire, upb_Arena *scratch, struct error *err)
{
    struct wire_field f;
    for (r->at = 0; wire_next(&wire, &f);) {
        if (f.number != LAYERS || f.type != WIRE_BYTES)
            continue;
        const layer_msg *m = LAYER(parse)(f.bytes.data, f.bytes.len, scratch);
        bool ok = m ? take_layer(r, m, f.bytes, err) : error_set(err, "no RuntimeLayer");
        r->at++;
        if (!ok)
            return error_prefix(err, "layers[%u].", r->at - 1);
    }
    return true;
}

bool runtime_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                    struct runtime *out, struct error *err)
{
    struct reading r = {ctx, a, out, 0};
    unsigned n = (unsigned)wire_count(wire, LAYERS);
    bool none = wire.data && n == 0; /* then an operator may have his */
    out->layers = ARENA_ARRAY(a, struct runtime_layer, n + 1);
    memset(out->layers, 0, (n + 1) * sizeof(out->layers[0]));
    out->n_layers = n + none;
    if (none)
        out->layers[0].kind = RUNTIME_ADMIN;
    upb_Arena *scratch = upb_Arena_New();
    bool ok = take_layers(&r, wire, scratch, err);
    upb_Arena_Free(scratch);
    return ok;
}
