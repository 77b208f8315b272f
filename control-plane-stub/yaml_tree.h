/* YAML or JSON text as a tree of nodes that remember line and column.
 *
 * The only user of libyaml. Several documents, anchors and merge keys (`<<`) are understood, and
 * `${NAME}` is filled in first. One tree owns all its nodes; parsing is done on the main thread and
 * the tree is read-only afterwards. */
#pragma once

#include "text.h"

struct strmap;

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    int line, column; /* from 1, in the file as written */
    bool plain;       /* a scalar without quotes */
    const char *text; /* a scalar's text, NUL-terminated */
    size_t len;
    size_t count;        /* items of a list, pairs of a map */
    struct node **items; /* a map has its keys at 2i and its values at 2i + 1 */
};

struct tree {
    char *file;
    struct node **documents;
    size_t document_count;
    struct tree_chunk *chunks;
};

/* Parse `text`. `vars` (char * values) and then the environment fill in ${NAME} and
 * ${NAME:-default}; `$${` stands for a literal `${`. With NULL all stands as it is. Errors read
 * file:line:column: reason. */
MUST_CHECK bool tree_parse(struct tree **out, const char *file, const char *text, size_t len,
                           const struct strmap *vars, struct error *err);
void tree_free(struct tree **tree);

/* The value under the key of a map, or NULL (also where the node is no map). */
const struct node *node_get(const struct node *map, const char *key);
/* Is it a plain `null`, `~` or nothing at all? */
bool node_is_null(const struct node *n);
const char *node_kind_name(const struct node *n);
