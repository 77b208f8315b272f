#include "config/metadata.h"

#include "config/metadata_internal.h"

bool metadata_next(struct bytes *rest, uint32_t number, struct bytes *body)
{
    struct wire_field f;
    while (wire_next(rest, &f)) {
        if (f.number != number || f.type != WIRE_BYTES)
            continue;
        *body = f.bytes;
        return true;
    }
    return false;
}

struct bytes metadata_entry_key(struct bytes entry)
{
    struct bytes key = wire_find_bytes(entry, ENTRY_KEY);
    return key.data ? key : BYTES("");
}

struct bytes metadata_entry_value(struct bytes entry)
{
    struct bytes value = wire_find_bytes(entry, ENTRY_VALUE);
    return value.data ? value : BYTES("");
}

/* Of equal keys the last counts. */
static struct bytes map_find(struct bytes message, uint32_t number, struct bytes key)
{
    struct bytes entry, found = BYTES_NONE;
    while (metadata_next(&message, number, &entry)) {
        if (bytes_eq(metadata_entry_key(entry), key))
            found = metadata_entry_value(entry);
    }
    return found;
}

struct bytes metadata_filter(struct bytes metadata, struct bytes filter)
{
    return map_find(metadata, METADATA_FILTERS, filter);
}

struct bytes metadata_field(struct bytes body, struct bytes key)
{
    return map_find(body, STRUCT_FIELDS, key);
}

bool metadata_kind(struct bytes value, struct wire_field *last)
{
    static const enum wire_type types[] = {
        [VALUE_NULL] = WIRE_VARINT, [VALUE_NUMBER] = WIRE_FIXED64, [VALUE_STRING] = WIRE_BYTES,
        [VALUE_BOOL] = WIRE_VARINT, [VALUE_STRUCT] = WIRE_BYTES,   [VALUE_LIST] = WIRE_BYTES,
    };
    struct wire_field f;
    bool any = false;
    while (wire_next(&value, &f)) {
        if (f.number < VALUE_NULL || f.number > VALUE_LIST || f.type != types[f.number])
            continue;
        *last = f;
        any = true;
    }
    return any;
}

bool metadata_is_true(struct bytes value)
{
    struct wire_field f;
    return metadata_kind(value, &f) && f.number == VALUE_BOOL && f.value != 0;
}

static bool value_equal(struct bytes a, struct bytes b, unsigned depth);

static bool has_all(struct bytes body, struct bytes labels, unsigned depth)
{
    struct bytes entry;
    while (metadata_next(&labels, STRUCT_FIELDS, &entry)) {
        struct bytes value = metadata_field(body, metadata_entry_key(entry));
        if (!value.data || !value_equal(value, metadata_entry_value(entry), depth))
            return false;
    }
    return true;
}

static size_t count(struct bytes body)
{
    struct bytes entry;
    size_t n = 0;
    while (metadata_next(&body, STRUCT_FIELDS, &entry))
        n++;
    return n;
}

static bool list_equal(struct bytes a, struct bytes b, unsigned depth)
{
    struct bytes x, y;
    for (;;) {
        bool more = metadata_next(&a, LIST_VALUES, &x);
        if (more != metadata_next(&b, LIST_VALUES, &y))
            return false;
        if (!more)
            return true;
        if (!value_equal(x, y, depth))
            return false;
    }
}

static bool value_equal(struct bytes a, struct bytes b, unsigned depth)
{
    struct wire_field x, y;
    if (depth > DEPTH_MAX || !metadata_kind(a, &x) || !metadata_kind(b, &y) || x.number != y.number)
        return false;
    switch (x.number) {
    case VALUE_NUMBER:
        return !(wire_double(x.value) < wire_double(y.value)) &&
               !(wire_double(x.value) > wire_double(y.value));
    case VALUE_STRING:
        return bytes_eq(x.bytes, y.bytes);
    case VALUE_BOOL:
        return !x.value == !y.value;
    case VALUE_STRUCT:
        return count(x.bytes) == count(y.bytes) && has_all(x.bytes, y.bytes, depth + 1);
    case VALUE_LIST:
        return list_equal(x.bytes, y.bytes, depth + 1);
    default:
        return true; /* null */
    }
}

static bool value_matches(struct bytes value, struct bytes label)
{
    struct wire_field f;
    struct bytes item;
    if (!metadata_kind(value, &f) || f.number != VALUE_LIST)
        return value_equal(value, label, 0);
    while (metadata_next(&f.bytes, LIST_VALUES, &item)) {
        if (value_equal(item, label, 0))
            return true;
    }
    return false;
}

bool metadata_has_all(struct bytes body, struct bytes labels)
{
    struct bytes entry;
    while (metadata_next(&labels, STRUCT_FIELDS, &entry)) {
        struct bytes value = metadata_field(body, metadata_entry_key(entry));
        if (!value.data || !value_matches(value, metadata_entry_value(entry)))
            return false;
    }
    return true;
}
