/* The reflection reader: a YAML or JSON tree and the name of a message give the message's bytes, by
 * the rules of proto3 JSON (snake_case and lowerCamelCase, enums by name or number, Any with @type
 * anywhere, TypedStruct, well-known types). All errors are reported at once, one a line:
 *     FILE:LINE:COL: clusters[0].lb_policy: expected ..., got ...
 * Pure but for the descriptor pool, whose thread it runs on. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "config/descriptors.h"
#include "config/field_report.h"
#include "config/yaml.h"

struct json_read_options {
    bool allow_unknown;          /* unknown fields are reported, not errors */
    struct field_report *report; /* unknown and deprecated fields; NULL: not wanted */
    const char *path;            /* prefix of all field paths; NULL: none */
};

enum { JSON_READ_MAX_ERRORS = 50 };

/* The bytes are in the arena. options NULL: the defaults. */
MUST_CHECK bool json_read(struct descriptors *d, const struct yaml_node *root, struct bytes message,
                          const struct json_read_options *options, struct arena *a,
                          struct bytes *body, struct error *err);
