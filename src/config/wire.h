/* The protobuf wire format, bare: for options of descriptors, the two fields of an Any and unknown
 * fields, where a whole decoded message would be too much. Pure functions, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/strbuf.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;     /* varint and fixed */
    struct bytes bytes; /* length-delimited */
    struct bytes raw;   /* with its tag */
};

/* Takes the next field off *rest. False at the end, and on corrupt bytes or a group, where *rest is
 * left non-empty. */
bool wire_next(struct bytes *rest, struct wire_field *f);
/* The last length-delimited (or varint) field of that number; data NULL (or 0): none. */
struct bytes wire_find_bytes(struct bytes message, uint32_t number);
uint64_t wire_find_varint(struct bytes message, uint32_t number, uint64_t missing);
bool wire_has(struct bytes message, uint32_t number);

double wire_double(uint64_t fixed64);
float wire_float(uint64_t fixed32);

void wire_put_varint(struct strbuf *out, uint64_t value);
void wire_put_bytes(struct strbuf *out, uint32_t number, struct bytes value);
