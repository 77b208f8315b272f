/* Inside of the reflection reader: its state, and values that are no messages. Private to
 * json_read*.c. */
#pragma once

#include <upb/def.h>
#include <upb/message_value.h>
#include <upb/upb.h>

#include "base/strbuf.h"
#include "config/json_read.h"

struct json_reading {
    struct descriptors *d;
    const struct json_read_options *options;
    upb_Arena *arena;
    struct strbuf path;          /* of the value being read */
    const struct yaml_node *any; /* the mapping in which @type is no field */
    unsigned n_errors, nesting;
    struct error *err;
};

/* Adds an error at the node's position and the current path; returns false. */
bool json_reading_fail(struct json_reading *r, const struct yaml_node *at, const char *fmt, ...)
    PRINTF(3, 4);
/* The same in the usual form: "expected WANTED, got ..." with what the node is. */
bool json_reading_expected(struct json_reading *r, const struct yaml_node *at, const char *wanted);
/* Path steps; undone by strbuf_cut(&r->path, returned). */
size_t json_reading_enter(struct json_reading *r, struct bytes field);
size_t json_reading_enter_index(struct json_reading *r, size_t index);
size_t json_reading_enter_key(struct json_reading *r, struct bytes key);

bool json_reading_is_string(const struct yaml_node *n);
upb_StringView json_reading_keep(struct json_reading *r, struct bytes b);
/* Everything but messages. *skip: an unknown enum name that is allowed; there is no value then. */
bool json_reading_value(struct json_reading *r, const upb_FieldDef *f, const struct yaml_node *n,
                        upb_MessageValue *out, bool *skip);
