/* The messages of google.protobuf.Struct in the wire format, for metadata.c and metadata_text.c. */
#pragma once

#include "config/metadata.h"
#include "config/wire.h"

enum {
    METADATA_FILTERS = 1,
    STRUCT_FIELDS = 1,
    LIST_VALUES = 1,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    VALUE_NULL = 1,
    VALUE_NUMBER = 2,
    VALUE_STRING = 3,
    VALUE_BOOL = 4,
    VALUE_STRUCT = 5,
    VALUE_LIST = 6,
    DEPTH_MAX = 32,
};

/* The next field of that number, of those with a length; false: no more. */
bool metadata_next(struct bytes *rest, uint32_t number, struct bytes *body);
/* Of an entry of a map. What is absent is empty, as protobuf has it. */
struct bytes metadata_entry_key(struct bytes entry);
struct bytes metadata_entry_value(struct bytes entry);
/* What a Value is; the last of its oneof counts. False: it has no kind. */
bool metadata_kind(struct bytes value, struct wire_field *last);
