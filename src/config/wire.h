/* A reader of protobuf's wire format, one field at a time, for looking at a message without
 * decoding it: which bytes are whose, what has changed. Pure, any thread. Hostile input ends the
 * walk with an error, never past the end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;      /* WIRE_VARINT, WIRE_FIXED64, WIRE_FIXED32 */
    struct bytes bytes;  /* WIRE_BYTES: the contents */
    struct bytes whole;  /* tag and contents */
};

/* Takes the next field off *rest. False at the end, or (*bad = true) where the bytes are no
 * message. */
bool wire_next(struct bytes *rest, struct wire_field *field, bool *bad);
