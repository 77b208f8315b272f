/* A YAML or JSON tree to protobuf wire bytes, driven by descriptors.
 *
 * The stub's own reading of proto3 JSON, independent of the proxy's. Fields are written in order of
 * their numbers and map entries in order of their keys, so equal trees give equal bytes. Pure; main
 * thread only. Every error reads file:line:column: field path: what was expected. */
#pragma once

#include "descriptors.h"
#include "yaml_tree.h"

/* Where we are inside a resource, innermost first, for error messages. */
struct field_path {
    const struct field_path *up;
    const char *name; /* a field */
    const char *key;  /* or the key of a map entry */
    long index;       /* or, without both, the position in a list */
};

struct encoder {
    const struct desc_pool *pool;
    const char *file;
    struct error *err;
    int depth;
    bool json; /* refuses what is YAML and no proto3 JSON: 7 for a text, a key without quotes */
};

/* Append the fields of a message to `out`. */
MUST_CHECK bool encode_message(struct encoder *e, const struct desc_message *m,
                               const struct node *n, const struct field_path *path,
                               struct text *out);
/* Take the `@type` (or, without it, `raw` with `type_url`) of a mapping apart: the type URL in
 * `type_url`, the bytes that belong into Any.value in `value`. */
MUST_CHECK bool encode_any(struct encoder *e, const struct node *n, const struct field_path *path,
                           struct text *type_url, struct text *value);

/* The parts below are shared between the encode_*.c files. */

/* Report "file:line:column: path: <sentence>"; returns false. */
bool encode_fail(struct encoder *e, const struct node *n, const struct field_path *path,
                 const char *fmt, ...) PRINTF_LIKE(4, 5);
/* With `json`: does the scalar stand as JSON writes one? Else it is reported. */
MUST_CHECK bool encode_json_scalar(struct encoder *e, const struct node *n,
                                   const struct field_path *path);
/* Append a scalar or enum value without its tag; *zero tells whether it is the type's default. */
MUST_CHECK bool encode_scalar(struct encoder *e, const struct desc_field *f, const struct node *n,
                              const struct field_path *path, struct text *out, bool *zero);
/* Messages with a JSON form of their own. Sets *done = false for all others. */
MUST_CHECK bool encode_well_known(struct encoder *e, const struct desc_message *m,
                                  const struct node *n, const struct field_path *path,
                                  struct text *out, bool *done);
/* Has the message a JSON form of its own (so that an Any holds it under `value`)? */
bool encode_is_well_known(const struct desc_message *m);
MUST_CHECK bool base64_decode(const char *text, size_t len, struct text *out);
void base64_encode(const void *data, size_t len, struct text *out);

/* Wire pieces. */
void wire_varint(struct text *out, uint64_t v);
void wire_tag(struct text *out, unsigned number, unsigned wire_type);
void wire_bytes(struct text *out, unsigned number, const void *data, size_t len);
void wire_fixed(struct text *out, uint64_t v, size_t bytes);
