/* Protobuf wire bytes as proto3 JSON, driven by descriptors; the way back of encode.h.
 *
 * Pure. Never fails: bytes that cannot be read appear as {"@raw": BASE64}, unknown fields under
 * "@unknown", so that a transcript shows exactly what came. Field names as in the .proto files. */
#pragma once

#include "descriptors.h"

void print_message(const struct desc_pool *pool, const struct desc_message *m, const void *data,
                   size_t len, struct text *out);

/* Reading wire fields one by one, for those who look for particular ones. */
struct wire_field {
    unsigned number, wire_type;
    uint64_t value;   /* varint and fixed */
    const char *data; /* length-delimited */
    size_t len;
};

/* The next field, false at the end or on broken bytes (*data stays there then). */
bool wire_next(const char **data, size_t *left, struct wire_field *out);
