#include "config/runtime.h"

#include "config/field_report.h"
#include "config/struct_tree.h"
#include "config/wire.h"

/* Field numbers of LayeredRuntime and RuntimeLayer. */
enum { LAYERS = 1, LAYER_NAME = 1, LAYER_STATIC = 2 };

#define LIMIT_BEFORE "envoy.resource_limits.listener."
#define LIMIT_AFTER ".connection_limit"
#define LIMIT_OF_ALL "overload.global_downstream_max_connections"

struct reading {
    struct arena *arena;
    struct field_report *report;
    struct runtime *out;
    struct error *err;
    unsigned layer;
};

static bool is_listener_limit(struct bytes key)
{
    return key.len > strlen(LIMIT_BEFORE LIMIT_AFTER) &&
           bytes_starts_with(key, BYTES(LIMIT_BEFORE)) && bytes_ends_with(key, BYTES(LIMIT_AFTER));
}

static void ignored(struct reading *r, struct bytes key)
{
    const char *path = arena_printf(r->arena, "layered_runtime.layers[%u].static_layer.%.*s",
                                    r->layer, BYTES_ARG(key));
    if (r->report)
        field_report_add(r->report, FIELD_IGNORED, bytes_of(path), "no runtime key of Xylem");
}

static void put(struct reading *r, struct bytes key, uint64_t number)
{
    struct runtime *rt = r->out;
    for (unsigned i = 0; i < rt->n; i++) {
        if (bytes_eq(rt->values[i].key, key)) {
            rt->values[i].number = number;
            return;
        }
    }
    if (rt->n == rt->cap) {
        struct runtime_value *old = rt->values;
        rt->cap = rt->cap ? rt->cap * 2 : 8;
        rt->values = ARENA_ARRAY(r->arena, struct runtime_value, rt->cap);
        for (unsigned i = 0; i < rt->n; i++)
            rt->values[i] = old[i];
    }
    rt->values[rt->n++] = (struct runtime_value){key, number};
}

static bool take_value(struct reading *r, struct bytes key, const struct yaml_node *value)
{
    uint64_t number;
    if (!is_listener_limit(key) && !bytes_eq_str(key, LIMIT_OF_ALL)) {
        ignored(r, key);
        return true;
    }
    if (value->kind != YAML_SCALAR || !bytes_to_u64(value->text, &number))
        return error_set(r->err, "%.*s: expected a whole number from 0 on", BYTES_ARG(key));
    put(r, key, number);
    return true;
}

static bool take_struct(struct reading *r, struct bytes prefix, const struct yaml_node *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct yaml_entry *e = &tree->entries[i];
        struct bytes key = e->key;
        if (prefix.len > 0)
            key =
                bytes_of(arena_printf(r->arena, "%.*s.%.*s", BYTES_ARG(prefix), BYTES_ARG(e->key)));
        if (e->value->kind == YAML_MAPPING ? !take_struct(r, key, e->value)
                                           : !take_value(r, key, e->value))
            return false;
    }
    return true;
}

/* Two layers of one name: they could not be told apart. */
static bool check_name(struct bytes layers, unsigned at, struct bytes name, struct error *err)
{
    struct wire_field f;
    for (unsigned i = 0; i < at && wire_next(&layers, &f); i++) {
        if (bytes_eq(wire_find_bytes(f.bytes, LAYER_NAME), name))
            return error_set(err, "name: Duplicate layer name: %.*s", BYTES_ARG(name));
    }
    return true;
}

static bool take_layer(struct reading *r, struct bytes layer)
{
    struct bytes values = wire_find_bytes(layer, LAYER_STATIC);
    if (!values.data)
        return true; /* of another kind: reported by the scan */
    struct yaml_node *tree = struct_tree(r->arena, values, r->err);
    return (tree && take_struct(r, BYTES(""), tree)) || error_prefix(r->err, "static_layer.");
}

bool runtime_decode(struct arena *a, struct bytes wire, struct field_report *report,
                    struct runtime *out, struct error *err)
{
    struct reading r = {.arena = a, .report = report, .out = out, .err = err};
    struct bytes rest = wire;
    struct wire_field f;
    for (; wire_next(&rest, &f); r.layer++) {
        if (f.number != LAYERS || f.type != WIRE_BYTES)
            continue;
        if (!check_name(wire, r.layer, wire_find_bytes(f.bytes, LAYER_NAME), err) ||
            !take_layer(&r, f.bytes))
            return error_prefix(err, "layers[%u].", r.layer);
    }
    return true;
}

uint64_t runtime_listener_connection_limit(const struct runtime *r, struct bytes listener)
{
    for (unsigned i = 0; r && i < r->n; i++) {
        struct bytes key = r->values[i].key;
        if (!is_listener_limit(key))
            continue;
        struct bytes name = bytes_skip(key, strlen(LIMIT_BEFORE));
        name.len -= strlen(LIMIT_AFTER);
        if (bytes_eq(name, listener))
            return r->values[i].number;
    }
    return UINT64_MAX;
}

uint64_t runtime_connection_limit(const struct runtime *r)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (bytes_eq_str(r->values[i].key, LIMIT_OF_ALL))
            return r->values[i].number;
    }
    return UINT64_MAX;
}
