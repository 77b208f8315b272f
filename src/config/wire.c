#include "config/wire.h"

static bool read_varint(struct bytes *b, uint64_t *value)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 10 && i < b->len; i++) {
        uint8_t c = (uint8_t)b->data[i];
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (!(c & 0x80)) {
            *b = bytes_skip(*b, i + 1);
            *value = v;
            return true;
        }
    }
    return false;
}

static bool read_fixed(struct bytes *b, size_t size, uint64_t *value)
{
    if (b->len < size)
        return false;
    *value = 0;
    memcpy(value, b->data, size);
    *b = bytes_skip(*b, size);
    return true;
}

static bool read_value(struct bytes *b, struct wire_field *f)
{
    switch (f->type) {
    case WIRE_VARINT:
        return read_varint(b, &f->value);
    case WIRE_FIXED64:
        return read_fixed(b, 8, &f->value);
    case WIRE_FIXED32:
        return read_fixed(b, 4, &f->value);
    case WIRE_BYTES:
        if (!read_varint(b, &f->value) || f->value > b->len)
            return false;
        f->bytes = bytes_first(*b, (size_t)f->value);
        *b = bytes_skip(*b, (size_t)f->value);
        return true;
    }
    return false;
}

bool wire_next(struct bytes *rest, struct wire_field *field, bool *bad)
{
    struct bytes start = *rest;
    uint64_t tag;
    if (rest->len == 0)
        return false;
    *field = (struct wire_field){0};
    if (!read_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
        *bad = true;
        return false;
    }
    field->number = (uint32_t)(tag >> 3);
    field->type = (enum wire_type)(tag & 7);
    if (!read_value(rest, field)) {
        *bad = true;
        return false;
    }
    field->whole = bytes_first(start, start.len - rest->len);
    return true;
}
