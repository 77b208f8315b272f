/* YAML and JSON text as a tree of nodes, each with line and column: the one place that knows
 * libyaml. JSON is read by a reader of its own (json_parse.c) into the same tree; it is strict but
 * for a comma before a closing bracket, which real bootstraps have. A key that stands twice in one
 * mapping is an error that names both lines; aliases are followed, and their expansion is bounded.
 * Pure functions, any thread; nodes and their text live in the arena. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

enum yaml_kind { YAML_SCALAR, YAML_MAPPING, YAML_SEQUENCE };

struct yaml_node;

struct yaml_entry {
    struct bytes key;
    const struct yaml_node *key_node; /* for its position */
    struct yaml_node *value;
};

struct yaml_node {
    enum yaml_kind kind;
    bool quoted;                /* scalar: in quotes or a block, so always a string */
    bool json;                  /* from JSON: numbers stay numbers inside a Struct */
    uint32_t line, column;      /* from 1; line 0: made from something else than text */
    const char *file;           /* name for messages */
    struct bytes text;          /* scalar */
    uint32_t weight;            /* nodes of the subtree, aliases expanded */
    size_t count;               /* entries or items */
    struct yaml_entry *entries; /* mapping, in order */
    struct yaml_node **items;   /* sequence */
};

enum {
    YAML_MAX_DEPTH = 100,
    YAML_MAX_NODES = 2000000, /* aliases expanded */
};

/* One document. Text without a document gives an empty mapping at line 0. Errors:
 * "FILE:LINE:COL: ...". */
struct yaml_node *yaml_parse(struct arena *a, const char *file, struct bytes text,
                             struct error *err);
/* All documents of the text; returns the array in the arena, *count of them; NULL on error. */
struct yaml_node **yaml_parse_all(struct arena *a, const char *file, struct bytes text,
                                  size_t *count, struct error *err);
/* Exactly one JSON value. */
struct yaml_node *json_parse(struct arena *a, const char *file, struct bytes text,
                             struct error *err);

/* NULL when the node is no mapping or has no such key. */
struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);
bool yaml_is_null(const struct yaml_node *n); /* null, ~ or nothing, not in quotes */
/* "a string", "a number", "a mapping"...: what the node looks like, for messages. */
const char *yaml_kind_name(const struct yaml_node *n);

/* "FILE:LINE:COL: problem" for a byte that cannot be read; columns are characters. Returns
 * false. */
bool yaml_fail_byte(const char *file, struct bytes text, size_t at, const char *problem,
                    struct error *err);

/* Building nodes, for readers that add to a tree (position taken from `at`). */
struct yaml_node *yaml_scalar(struct arena *a, const struct yaml_node *at, struct bytes text,
                              bool quoted);
struct yaml_node *yaml_mapping(struct arena *a, const struct yaml_node *at);
void yaml_add(struct arena *a, struct yaml_node *mapping, struct bytes key,
              struct yaml_node *value);
