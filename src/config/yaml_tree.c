#include "config/yaml.h"

#include <string.h>

struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
    if (!mapping || mapping->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->count; i++)
        if (bytes_eq_str(mapping->entries[i].key, key))
            return mapping->entries[i].value;
    return NULL;
}

bool yaml_is_null(const struct yaml_node *n)
{
    if (n->kind != YAML_SCALAR || n->quoted)
        return false;
    if (n->json)
        return bytes_eq_str(n->text, "null");
    return n->text.len == 0 || bytes_eq_str(n->text, "~") || bytes_eq_str(n->text, "null") ||
           bytes_eq_str(n->text, "Null") || bytes_eq_str(n->text, "NULL");
}

const char *yaml_kind_name(const struct yaml_node *n)
{
    double number;
    switch (n->kind) {
    case YAML_MAPPING:
        return "a mapping";
    case YAML_SEQUENCE:
        return "a list";
    case YAML_SCALAR:
        break;
    }
    if (n->quoted)
        return "a string";
    if (yaml_is_null(n))
        return "null";
    if (bytes_eq_str(n->text, "true") || bytes_eq_str(n->text, "false"))
        return "a boolean";
    return bytes_to_double(n->text, &number) ? "a number" : "a string";
}

struct yaml_node *yaml_scalar(struct arena *a, const struct yaml_node *at, struct bytes text,
                              bool quoted)
{
    struct yaml_node *n = ARENA_NEW(a, struct yaml_node);
    n->kind = YAML_SCALAR;
    n->quoted = quoted;
    n->text = arena_dup(a, text);
    n->weight = 1;
    n->json = at->json;
    n->file = at->file;
    n->line = at->line;
    n->column = at->column;
    return n;
}

struct yaml_node *yaml_mapping(struct arena *a, const struct yaml_node *at)
{
    struct yaml_node *n = yaml_scalar(a, at, BYTES_NONE, false);
    n->kind = YAML_MAPPING;
    return n;
}

void yaml_add(struct arena *a, struct yaml_node *mapping, struct bytes key, struct yaml_node *value)
{
    struct yaml_entry *old = mapping->entries;
    mapping->entries = ARENA_ARRAY(a, struct yaml_entry, mapping->count + 1);
    if (mapping->count)
        memcpy(mapping->entries, old, mapping->count * sizeof(*old));
    mapping->entries[mapping->count++] = (struct yaml_entry){
        .key = arena_dup(a, key),
        .key_node = yaml_scalar(a, value, key, true),
        .value = value,
    };
    mapping->weight += value->weight;
}

bool yaml_fail_byte(const char *file, struct bytes text, size_t at, const char *problem,
                    struct error *err)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < text.len; i++) {
        if (text.data[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.data[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    return error_set(err, "%s:%zu:%zu: %s", file, line, column, problem);
}
