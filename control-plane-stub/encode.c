#include "encode.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_LIMIT 100

/* One key of a mapping with the field it names. */
struct entry {
    const struct desc_field *field;
    const struct node *key, *value;
};

static void print_path(const struct field_path *path, struct text *out)
{
    if (!path)
        return;
    print_path(path->up, out);
    if (path->name)
        text_printf(out, "%s%s", out->len ? "." : "", path->name);
    else if (path->key)
        text_printf(out, "[\"%s\"]", path->key);
    else
        text_printf(out, "[%ld]", path->index);
}

bool encode_fail(struct encoder *e, const struct node *n, const struct field_path *path,
                 const char *fmt, ...)
{
    struct text where = {0}, what = {0};
    va_list args;

    print_path(path, &where);
    va_start(args, fmt);
    text_vprintf(&what, fmt, args);
    va_end(args);
    error_set(e->err, "%s:%d:%d: %s%s%s", e->file, n->line, n->column, text_str(&where),
              where.len ? ": " : "", text_str(&what));
    text_fini(&where);
    text_fini(&what);
    return false;
}

void wire_varint(struct text *out, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        text_putc(out, (char)(v | 0x80));
    text_putc(out, (char)v);
}

void wire_tag(struct text *out, unsigned number, unsigned wire_type)
{
    wire_varint(out, (uint64_t)number << 3 | wire_type);
}

void wire_bytes(struct text *out, unsigned number, const void *data, size_t len)
{
    wire_tag(out, number, 2);
    wire_varint(out, len);
    text_add(out, data, len);
}

void wire_fixed(struct text *out, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        text_putc(out, (char)(v >> (8 * i)));
}

static unsigned wire_type_of(enum desc_type type)
{
    switch (type) {
    case DESC_DOUBLE:
    case DESC_FIXED64:
    case DESC_SFIXED64:
        return 1;
    case DESC_STRING:
    case DESC_BYTES:
    case DESC_MESSAGE:
        return 2;
    case DESC_GROUP:
        return 3;
    case DESC_FLOAT:
    case DESC_FIXED32:
    case DESC_SFIXED32:
        return 5;
    case DESC_INT64:
    case DESC_UINT64:
    case DESC_INT32:
    case DESC_BOOL:
    case DESC_UINT32:
    case DESC_ENUM:
    case DESC_SINT32:
    case DESC_SINT64:
        return 0;
    }
    return 0;
}

/* One value with its tag. A singular zero without presence is not written. */
static bool encode_value(struct encoder *e, const struct desc_field *f, const struct node *n,
                         const struct field_path *path, bool keep_zero, struct text *out)
{
    struct text body = {0};
    bool ok, zero = false;

    if (f->type == DESC_GROUP)
        return encode_fail(e, n, path, "groups are not supported");
    if (f->message)
        ok = encode_message(e, f->message, n, path, &body);
    else
        ok = encode_scalar(e, f, n, path, &body, &zero);
    if (ok && (!zero || keep_zero)) {
        wire_tag(out, f->number, wire_type_of(f->type));
        if (wire_type_of(f->type) == 2)
            wire_varint(out, body.len);
        text_add(out, body.data, body.len);
    }
    text_fini(&body);
    return ok;
}

static bool encode_list(struct encoder *e, const struct desc_field *f, const struct node *n,
                        const struct field_path *path, struct text *out)
{
    struct text packed = {0};
    bool ok = true, zero;

    if (n->kind != NODE_LIST)
        return encode_fail(e, n, path, "expected a list, found %s", node_kind_name(n));
    for (size_t i = 0; ok && i < n->count; i++) {
        struct field_path at = {.up = path, .index = (long)i};

        if (f->packed)
            ok = encode_scalar(e, f, n->items[i], &at, &packed, &zero);
        else
            ok = encode_value(e, f, n->items[i], &at, true, out);
    }
    if (ok && packed.len)
        wire_bytes(out, f->number, packed.data, packed.len);
    text_fini(&packed);
    return ok;
}

static int by_key_text(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return strcmp(x->key->text, y->key->text);
}

static int by_key_number(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    long long p = strtoll(x->key->text, NULL, 10), q = strtoll(y->key->text, NULL, 10);

    return p < q ? -1 : p > q;
}

static bool encode_map_entry(struct encoder *e, const struct desc_field *f,
                             const struct entry *pair, const struct field_path *path,
                             struct text *out)
{
    struct field_path at = {.up = path, .key = pair->key->text};
    struct text body = {0};
    bool ok = encode_value(e, &f->message->fields[0], pair->key, &at, true, &body) &&
              encode_value(e, &f->message->fields[1], pair->value, &at, true, &body);

    if (ok)
        wire_bytes(out, f->number, body.data, body.len);
    text_fini(&body);
    return ok;
}

static bool encode_map(struct encoder *e, const struct desc_field *f, const struct node *n,
                       const struct field_path *path, struct text *out)
{
    struct entry *pairs;
    bool ok = true;

    if (n->kind != NODE_MAP)
        return encode_fail(e, n, path, "expected a mapping, found %s", node_kind_name(n));
    pairs = mem_zero(n->count * sizeof(*pairs));
    for (size_t i = 0; i < n->count; i++)
        pairs[i] = (struct entry){NULL, n->items[2 * i], n->items[2 * i + 1]};
    qsort(pairs, n->count, sizeof(*pairs),
          f->message->fields[0].type == DESC_STRING ? by_key_text : by_key_number);
    for (size_t i = 0; ok && i < n->count; i++)
        ok = encode_map_entry(e, f, &pairs[i], path, out);
    free(pairs);
    return ok;
}

static int by_field_number(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->field->number < y->field->number ? -1 : x->field->number > y->field->number;
}

static bool find_field(struct encoder *e, const struct desc_message *m, const struct node *key,
                       const struct field_path *path, const struct desc_field **out)
{
    const char *near;

    if (e->json && key->plain)
        return encode_fail(e, key, path, "the key %s stands without quotes", key->text);
    *out = desc_field_named(m, key->text);
    if (*out)
        return true;
    near = desc_nearest_field(m, key->text);
    return encode_fail(e, key, path, "%s has no field \"%s\"%s%s%s", m->full_name, key->text,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* null is a value of its own for these; for all others it means that the field is not there. */
static bool takes_null(const struct desc_field *f)
{
    return (f->message && !strcmp(f->message->full_name, "google.protobuf.Value")) ||
           (f->enumeration && !strcmp(f->enumeration->full_name, "google.protobuf.NullValue"));
}

/* The keys of a mapping as fields in order of number; null values are left out. */
static bool collect(struct encoder *e, const struct desc_message *m, const struct node *n,
                    const struct field_path *path, struct entry *entries, size_t *count)
{
    size_t used = 0;

    for (size_t i = 0; i < n->count; i++) {
        const struct node *key = n->items[2 * i], *value = n->items[2 * i + 1];
        const struct desc_field *f;

        if (!strcmp(key->text, "@type"))
            continue;
        if (!find_field(e, m, key, path, &f))
            return false;
        if (node_is_null(value) && !takes_null(f))
            continue;
        for (size_t j = 0; j < used; j++) {
            if (entries[j].field == f)
                return encode_fail(e, key, path, "field %s stands here twice", f->name);
            if (f->oneof >= 0 && entries[j].field->oneof == f->oneof)
                return encode_fail(e, key, path, "%s and %s exclude each other (oneof %s)",
                                   entries[j].field->name, f->name, m->oneofs[f->oneof]);
        }
        entries[used++] = (struct entry){f, key, value};
    }
    *count = used;
    qsort(entries, used, sizeof(*entries), by_field_number);
    return true;
}

static bool encode_fields(struct encoder *e, const struct desc_message *m, const struct node *n,
                          const struct field_path *path, struct text *out)
{
    struct entry *entries = mem_zero(n->count * sizeof(*entries));
    size_t count = 0;
    bool ok = collect(e, m, n, path, entries, &count);

    for (size_t i = 0; ok && i < count; i++) {
        const struct desc_field *f = entries[i].field;
        struct field_path at = {.up = path, .name = f->name};

        if (f->repeated && f->message && f->message->map_entry)
            ok = encode_map(e, f, entries[i].value, &at, out);
        else if (f->repeated)
            ok = encode_list(e, f, entries[i].value, &at, out);
        else
            ok = encode_value(e, f, entries[i].value, &at, f->presence, out);
    }
    free(entries);
    return ok;
}

bool encode_message(struct encoder *e, const struct desc_message *m, const struct node *n,
                    const struct field_path *path, struct text *out)
{
    bool ok, done;

    if (e->depth >= DEPTH_LIMIT)
        return encode_fail(e, n, path, "nested more than %d messages deep", DEPTH_LIMIT);
    e->depth++;
    ok = encode_well_known(e, m, n, path, out, &done);
    if (ok && !done) {
        if (n->kind == NODE_MAP)
            ok = encode_fields(e, m, n, path, out);
        else
            ok = encode_fail(e, n, path, "expected a mapping (%s), found %s", m->full_name,
                             node_kind_name(n));
    }
    e->depth--;
    return ok;
}

/* Bytes as they are: {"@type"|"type_url": URL, "@raw"|"raw": BASE64}. */
static bool encode_raw(struct encoder *e, const struct node *raw, const struct field_path *path,
                       struct text *value)
{
    struct field_path at = {.up = path, .name = "raw"};

    if (raw->kind != NODE_SCALAR || !base64_decode(raw->text, raw->len, value))
        return encode_fail(e, raw, &at, "expected bytes in base64");
    return true;
}

/* The message's fields stand next to `@type`; one with a JSON form of its own under `value`. */
static bool encode_typed(struct encoder *e, const struct desc_message *m, const struct node *n,
                         const struct field_path *path, struct text *value)
{
    const struct node *inner = n;

    if (encode_is_well_known(m)) {
        inner = node_get(n, "value");
        if (!inner)
            return encode_fail(e, n, path, "%s in an Any needs `value`", m->full_name);
    }
    return encode_message(e, m, inner, path, value);
}

bool encode_any(struct encoder *e, const struct node *n, const struct field_path *path,
                struct text *type_url, struct text *value)
{
    const struct node *type = node_get(n, "@type"), *raw = node_get(n, "@raw");
    const struct desc_message *m;
    struct error why = {0};

    if (n->kind != NODE_MAP)
        return encode_fail(e, n, path, "expected a mapping with @type, found %s",
                           node_kind_name(n));
    if (!type && node_get(n, "type_url") && node_get(n, "raw")) {
        type = node_get(n, "type_url");
        raw = node_get(n, "raw");
    }
    if (!type)
        return n->count ? encode_fail(e, n, path, "@type is missing") : true;
    if (type->kind != NODE_SCALAR)
        return encode_fail(e, type, path, "expected the name of a type");
    if (raw) {
        text_printf(type_url, "%s%s", strchr(type->text, '/') ? "" : "type.googleapis.com/",
                    type->text);
        return encode_raw(e, raw, path, value);
    }
    if (!desc_resolve(e->pool, type->text, &m, &why)) {
        encode_fail(e, type, path, "%s", why.text);
        error_fini(&why);
        return false;
    }
    if (strchr(type->text, '/'))
        text_puts(type_url, type->text);
    else
        text_printf(type_url, "type.googleapis.com/%s", m->full_name);
    return encode_typed(e, m, n, path, value);
}
