#include "config/wire.h"

static bool take_varint(struct bytes *rest, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < 10 && i < rest->len; i++) {
        uint64_t byte = (unsigned char)rest->data[i];
        *value |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = bytes_skip(*rest, i + 1);
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct bytes *rest, size_t n, uint64_t *value)
{
    if (rest->len < n)
        return false;
    *value = 0;
    for (size_t i = 0; i < n; i++)
        *value |= (uint64_t)(unsigned char)rest->data[i] << (8 * i);
    *rest = bytes_skip(*rest, n);
    return true;
}

/* What nearly all of a large message is: a part of fewer than 128 bytes, its number below 16. */
static bool take_short(struct bytes *rest, struct wire_field *f)
{
    const unsigned char *p = (const unsigned char *)rest->data;
    if (rest->len < 2 || (p[0] & 0x87) != WIRE_BYTES || p[0] < 8 || p[1] >= 0x80 ||
        p[1] > rest->len - 2)
        return false;
    size_t n = p[1];
    *f = (struct wire_field){.number = p[0] >> 3,
                             .type = WIRE_BYTES,
                             .value = n,
                             .bytes = {rest->data + 2, n},
                             .raw = {rest->data, n + 2}};
    *rest = bytes_from(rest->data + n + 2, rest->len - n - 2);
    return true;
}

static bool take_any(struct bytes *rest, struct wire_field *f)
{
    struct bytes at = *rest;
    uint64_t tag;
    bool ok = false;
    if (at.len == 0 || !take_varint(&at, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return false;
    *f = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    switch (tag & 7) {
    case WIRE_VARINT:
        ok = take_varint(&at, &f->value);
        break;
    case WIRE_FIXED64:
        ok = take_fixed(&at, 8, &f->value);
        break;
    case WIRE_FIXED32:
        ok = take_fixed(&at, 4, &f->value);
        break;
    case WIRE_BYTES:
        ok = take_varint(&at, &f->value) && f->value <= at.len;
        if (ok) {
            f->bytes = bytes_first(at, (size_t)f->value);
            at = bytes_skip(at, (size_t)f->value);
        }
        break;
    default:
        break;
    }
    if (!ok)
        return false;
    f->raw = bytes_first(*rest, rest->len - at.len);
    *rest = at;
    return true;
}

bool wire_next(struct bytes *rest, struct wire_field *f)
{
    return take_short(rest, f) || take_any(rest, f);
}

struct bytes wire_find_bytes(struct bytes message, uint32_t number)
{
    struct bytes found = BYTES_NONE;
    struct wire_field f;
    while (wire_next(&message, &f))
        if (f.number == number && f.type == WIRE_BYTES)
            found = f.bytes;
    return found;
}

uint64_t wire_find_varint(struct bytes message, uint32_t number, uint64_t missing)
{
    struct wire_field f;
    while (wire_next(&message, &f))
        if (f.number == number && f.type == WIRE_VARINT)
            missing = f.value;
    return missing;
}

bool wire_has(struct bytes message, uint32_t number)
{
    struct wire_field f;
    while (wire_next(&message, &f))
        if (f.number == number)
            return true;
    return false;
}

double wire_double(uint64_t fixed64)
{
    double d;
    memcpy(&d, &fixed64, sizeof(d));
    return d;
}

float wire_float(uint64_t fixed32)
{
    uint32_t bits = (uint32_t)fixed32;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

void wire_put_varint(struct strbuf *out, uint64_t value)
{
    char buf[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        buf[n++] = (char)(value | 0x80);
    buf[n++] = (char)value;
    strbuf_add(out, buf, n);
}

void wire_put_bytes(struct strbuf *out, uint32_t number, struct bytes value)
{
    wire_put_varint(out, (uint64_t)number << 3 | WIRE_BYTES);
    wire_put_varint(out, value.len);
    strbuf_add_bytes(out, value);
}
