#include "config/struct_tree.h"

#include "base/map.h"
#include "config/json_scalar.h"
#include "config/wire.h"

/* Field numbers of google.protobuf.Struct, ListValue, FieldsEntry and Value. */
enum { FIELDS = 1, ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { VALUE_NULL = 1, VALUE_NUMBER, VALUE_STRING, VALUE_BOOL, VALUE_STRUCT, VALUE_LIST };

struct tree_builder {
    struct arena *arena;
    const struct yaml_node *at; /* the position that all nodes have */
    struct error *err;
};

static struct yaml_node *build_struct(struct tree_builder *b, struct bytes body, unsigned depth);
static struct yaml_node *build_list(struct tree_builder *b, struct bytes body, unsigned depth);

static struct yaml_node *corrupt(struct tree_builder *b)
{
    error_set(b->err, "google.protobuf.Struct: bytes are corrupt");
    return NULL;
}

static struct yaml_node *build_number(struct tree_builder *b, double d)
{
    struct strbuf text = STRBUF_INIT;
    json_scalar_add_double(&text, d);
    struct bytes t = strbuf_bytes(&text);
    bool special = t.data[0] == '"';
    struct yaml_node *n =
        yaml_scalar(b->arena, b->at, special ? bytes_from(t.data + 1, t.len - 2) : t, special);
    strbuf_fini(&text);
    return n;
}

static struct yaml_node *build_value(struct tree_builder *b, struct bytes body, unsigned depth)
{
    struct yaml_node *n = yaml_scalar(b->arena, b->at, BYTES("null"), false);
    struct wire_field f;
    while (n && wire_next(&body, &f)) {
        if (f.number == VALUE_NULL && f.type == WIRE_VARINT)
            n = yaml_scalar(b->arena, b->at, BYTES("null"), false);
        else if (f.number == VALUE_NUMBER && f.type == WIRE_FIXED64)
            n = build_number(b, wire_double(f.value));
        else if (f.number == VALUE_STRING && f.type == WIRE_BYTES)
            n = yaml_scalar(b->arena, b->at, f.bytes, true);
        else if (f.number == VALUE_BOOL && f.type == WIRE_VARINT)
            n = yaml_scalar(b->arena, b->at, f.value ? BYTES("true") : BYTES("false"), false);
        else if (f.number == VALUE_STRUCT && f.type == WIRE_BYTES)
            n = build_struct(b, f.bytes, depth + 1);
        else if (f.number == VALUE_LIST && f.type == WIRE_BYTES)
            n = build_list(b, f.bytes, depth + 1);
    }
    return n && body.len > 0 ? corrupt(b) : n;
}

static struct yaml_node *build_list(struct tree_builder *b, struct bytes body, unsigned depth)
{
    struct yaml_node *n = yaml_mapping(b->arena, b->at);
    struct bytes rest = body;
    struct wire_field f;
    size_t count = 0;
    n->kind = YAML_SEQUENCE;
    if (depth > YAML_MAX_DEPTH) {
        error_set(b->err, "google.protobuf.Struct: nested too deeply");
        return NULL;
    }
    while (wire_next(&rest, &f))
        count += f.number == FIELDS && f.type == WIRE_BYTES;
    if (rest.len > 0)
        return corrupt(b);
    n->items = ARENA_ARRAY(b->arena, struct yaml_node *, count + 1);
    while (wire_next(&body, &f)) {
        if (f.number != FIELDS || f.type != WIRE_BYTES)
            continue;
        struct yaml_node *item = build_value(b, f.bytes, depth);
        if (!item)
            return NULL;
        n->items[n->count++] = item;
    }
    return n;
}

static bool build_entries(struct tree_builder *b, struct bytes body, unsigned depth,
                          struct yaml_node *n, struct map *seen)
{
    struct wire_field f;
    while (wire_next(&body, &f)) {
        if (f.number != FIELDS || f.type != WIRE_BYTES)
            continue;
        struct bytes key = arena_dup(b->arena, wire_find_bytes(f.bytes, ENTRY_KEY));
        struct yaml_node *value = build_value(b, wire_find_bytes(f.bytes, ENTRY_VALUE), depth);
        if (!value)
            return false;
        /* The later of two equal keys counts, as in any protobuf map. */
        struct yaml_entry *entry = map_get(seen, key);
        if (!entry) {
            entry = &n->entries[n->count++];
            map_set(seen, key, entry);
        }
        entry->key = key;
        entry->key_node = yaml_scalar(b->arena, b->at, key, true);
        entry->value = value;
    }
    return true;
}

static struct yaml_node *build_struct(struct tree_builder *b, struct bytes body, unsigned depth)
{
    struct yaml_node *n = yaml_mapping(b->arena, b->at);
    struct bytes rest = body;
    struct wire_field f;
    size_t count = 0;
    if (depth > YAML_MAX_DEPTH) {
        error_set(b->err, "google.protobuf.Struct: nested too deeply");
        return NULL;
    }
    while (wire_next(&rest, &f))
        count += f.number == FIELDS && f.type == WIRE_BYTES;
    if (rest.len > 0)
        return corrupt(b);
    n->entries = ARENA_ARRAY(b->arena, struct yaml_entry, count + 1);
    struct map seen = MAP_INIT;
    bool ok = build_entries(b, body, depth, n, &seen);
    map_fini(&seen);
    return ok ? n : NULL;
}

struct yaml_node *struct_tree(struct arena *a, struct bytes body, struct error *err)
{
    static const struct yaml_node at = {.file = "", .json = true};
    struct tree_builder b = {.arena = a, .at = &at, .err = err};
    return build_struct(&b, body, 1);
}
