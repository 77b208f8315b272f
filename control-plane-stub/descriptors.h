/* The types of the API at run time: messages, fields and enums by name.
 *
 * Filled once at start from serialized FileDescriptorProto messages (decoded by protobuf-c), then
 * read-only: any thread may look things up. The pool owns everything it hands out. */
#pragma once

#include "strmap.h"
#include "text.h"

/* Values of FieldDescriptorProto.Type. */
enum desc_type {
    DESC_DOUBLE = 1,
    DESC_FLOAT = 2,
    DESC_INT64 = 3,
    DESC_UINT64 = 4,
    DESC_INT32 = 5,
    DESC_FIXED64 = 6,
    DESC_FIXED32 = 7,
    DESC_BOOL = 8,
    DESC_STRING = 9,
    DESC_GROUP = 10,
    DESC_MESSAGE = 11,
    DESC_BYTES = 12,
    DESC_UINT32 = 13,
    DESC_ENUM = 14,
    DESC_SFIXED32 = 15,
    DESC_SFIXED64 = 16,
    DESC_SINT32 = 17,
    DESC_SINT64 = 18,
};

struct desc_enum_value {
    char *name;
    int number;
};

struct desc_enum {
    char *full_name;
    struct desc_enum_value *values;
    size_t count;
};

struct desc_field {
    char *name, *json_name;
    unsigned number;
    enum desc_type type;
    bool repeated;
    bool packed;
    bool presence; /* a zero is written too: optional, oneof or proto2 */
    int oneof;     /* index of the oneof it belongs to, or -1 */
    struct desc_message *message;
    struct desc_enum *enumeration;
    char *type_name;
};

struct desc_message {
    char *full_name;
    bool map_entry;
    struct desc_field *fields; /* by number */
    size_t count;
    char **oneofs;
    size_t oneof_count;
};

struct desc_pool {
    struct strmap messages; /* full name -> struct desc_message */
    struct strmap enums;    /* full name -> struct desc_enum */
};

/* Add every file of a pack: {u32 LE name length, name, u32 LE body length, body} repeated. Call
 * desc_pool_link() after the last one. */
MUST_CHECK bool desc_pool_add_pack(struct desc_pool *pool, const void *data, size_t len,
                                   struct error *err);
/* The same for a pack compressed with zlib. */
MUST_CHECK bool desc_pool_add_zlib(struct desc_pool *pool, const void *data, size_t len,
                                   struct error *err);
/* Join fields with their types. */
MUST_CHECK bool desc_pool_link(struct desc_pool *pool, struct error *err);
void desc_pool_fini(struct desc_pool *pool);

/* By full name or type URL; NULL when unknown. */
const struct desc_message *desc_find(const struct desc_pool *pool, const char *name);
/* By full name, type URL, short name (Cluster) or nickname of a resource type (cluster, CDS). */
MUST_CHECK bool desc_resolve(const struct desc_pool *pool, const char *name,
                             const struct desc_message **out, struct error *err);
/* By name as in the .proto file or in lowerCamelCase; NULL when the message has no such field. */
const struct desc_field *desc_field_named(const struct desc_message *m, const char *name);
const struct desc_field *desc_field_numbered(const struct desc_message *m, unsigned number);
/* The field's name that is nearest to a misspelt one, or NULL. */
const char *desc_nearest_field(const struct desc_message *m, const char *name);
/* The kind of a field in words, for messages: "a number (uint32)". */
const char *desc_type_name(enum desc_type type);
/* The part of a type URL after the last slash. */
const char *desc_url_name(const char *url);
