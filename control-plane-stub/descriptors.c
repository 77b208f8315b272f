#include "descriptors.h"

#include "types.h"

#include "google/protobuf/descriptor.pb-c.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static char *joined(const char *scope, const char *name)
{
    struct text t = {0};

    text_printf(&t, "%s%s%s", scope, *scope ? "." : "", name);
    return text_take(&t);
}

/* The JSON name that protoc gives a field: my_field -> myField. */
static char *camel_case(const char *name)
{
    char *out = mem_string(name), *to = out;
    bool up = false;

    for (const char *p = name; *p; p++) {
        if (*p == '_') {
            up = true;
            continue;
        }
        *to++ = up && *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
        up = false;
    }
    *to = '\0';
    return out;
}

static bool scalar_packable(enum desc_type type)
{
    return type != DESC_STRING && type != DESC_BYTES && type != DESC_MESSAGE && type != DESC_GROUP;
}

static void make_field(struct desc_field *f, const Google__Protobuf__FieldDescriptorProto *d,
                       bool proto3)
{
    f->name = mem_string(d->name);
    f->json_name = d->json_name && *d->json_name ? mem_string(d->json_name) : camel_case(d->name);
    f->number = (unsigned)d->number;
    f->type = (enum desc_type)d->type;
    f->repeated = d->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    f->oneof = d->has_oneof_index ? d->oneof_index : -1;
    f->presence = !proto3 || d->has_oneof_index || d->proto3_optional;
    f->packed = f->repeated && scalar_packable(f->type) &&
                (d->options && d->options->has_packed ? d->options->packed : proto3);
    if (d->type_name)
        f->type_name = mem_string(d->type_name + (*d->type_name == '.'));
}

static int by_number(const void *a, const void *b)
{
    const struct desc_field *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

static void add_enum(struct desc_pool *pool, const char *scope,
                     const Google__Protobuf__EnumDescriptorProto *d)
{
    char *name = joined(scope, d->name);
    struct desc_enum *e;

    if (strmap_has(&pool->enums, name)) {
        free(name);
        return;
    }
    e = mem_zero(sizeof(*e));
    e->full_name = name;
    e->count = d->n_value;
    e->values = mem_zero(e->count * sizeof(*e->values));
    for (size_t i = 0; i < e->count; i++) {
        e->values[i].name = mem_string(d->value[i]->name);
        e->values[i].number = d->value[i]->number;
    }
    *strmap_put(&pool->enums, name) = e;
}

static void add_message(struct desc_pool *pool, const char *scope,
                        const Google__Protobuf__DescriptorProto *d, bool proto3)
{
    char *name = joined(scope, d->name);
    struct desc_message *m;

    if (strmap_has(&pool->messages, name)) {
        free(name);
        return;
    }
    m = mem_zero(sizeof(*m));
    m->full_name = name;
    m->map_entry = d->options && d->options->map_entry;
    m->count = d->n_field;
    m->fields = mem_zero(m->count * sizeof(*m->fields));
    for (size_t i = 0; i < m->count; i++)
        make_field(&m->fields[i], d->field[i], proto3);
    qsort(m->fields, m->count, sizeof(*m->fields), by_number);
    m->oneof_count = d->n_oneof_decl;
    m->oneofs = mem_zero(m->oneof_count * sizeof(*m->oneofs));
    for (size_t i = 0; i < m->oneof_count; i++)
        m->oneofs[i] = mem_string(d->oneof_decl[i]->name);
    *strmap_put(&pool->messages, name) = m;
    for (size_t i = 0; i < d->n_nested_type; i++)
        add_message(pool, name, d->nested_type[i], proto3);
    for (size_t i = 0; i < d->n_enum_type; i++)
        add_enum(pool, name, d->enum_type[i]);
}

static bool add_file(struct desc_pool *pool, const char *name, const void *data, size_t len,
                     struct error *err)
{
    Google__Protobuf__FileDescriptorProto *f;
    const char *package;
    bool proto3;

    f = google__protobuf__file_descriptor_proto__unpack(NULL, len, data);
    if (!f)
        return error_set(err, "descriptor of %s is not readable", name);
    package = f->package ? f->package : "";
    proto3 = f->syntax && !strcmp(f->syntax, "proto3");
    for (size_t i = 0; i < f->n_message_type; i++)
        add_message(pool, package, f->message_type[i], proto3);
    for (size_t i = 0; i < f->n_enum_type; i++)
        add_enum(pool, package, f->enum_type[i]);
    google__protobuf__file_descriptor_proto__free_unpacked(f, NULL);
    return true;
}

/* Take one {u32 LE length, bytes} off the front. */
static bool take_part(const unsigned char **at, size_t *left, const unsigned char **part,
                      size_t *part_len)
{
    size_t n;

    if (*left < 4)
        return false;
    n = (size_t)(*at)[0] | (size_t)(*at)[1] << 8 | (size_t)(*at)[2] << 16 | (size_t)(*at)[3] << 24;
    if (n > *left - 4)
        return false;
    *part = *at + 4;
    *part_len = n;
    *at += 4 + n;
    *left -= 4 + n;
    return true;
}

bool desc_pool_add_pack(struct desc_pool *pool, const void *data, size_t len, struct error *err)
{
    const unsigned char *at = data, *name, *body;
    size_t name_len, body_len;

    while (len) {
        char *file;
        bool ok;

        if (!take_part(&at, &len, &name, &name_len) || !take_part(&at, &len, &body, &body_len))
            return error_set(err, "the descriptor pack is cut short");
        file = mem_bytes(name, name_len);
        ok = add_file(pool, file, body, body_len, err);
        free(file);
        if (!ok)
            return false;
    }
    return true;
}

bool desc_pool_add_zlib(struct desc_pool *pool, const void *data, size_t len, struct error *err)
{
    z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)len};
    struct text out = {0};
    char buffer[16384];
    bool ok;
    int rc;

    if (inflateInit(&z) != Z_OK)
        return error_set(err, "zlib does not start");
    do {
        z.next_out = (Bytef *)buffer;
        z.avail_out = sizeof(buffer);
        rc = inflate(&z, Z_NO_FLUSH);
        text_add(&out, buffer, sizeof(buffer) - z.avail_out);
    } while (rc == Z_OK);
    inflateEnd(&z);
    ok = rc == Z_STREAM_END ? desc_pool_add_pack(pool, out.data, out.len, err)
                            : error_set(err, "the descriptor pack does not decompress");
    text_fini(&out);
    return ok;
}

bool desc_pool_link(struct desc_pool *pool, struct error *err)
{
    for (size_t i = 0; i < pool->messages.count; i++) {
        struct desc_message *m = pool->messages.entries[i].value;

        for (size_t j = 0; j < m->count; j++) {
            struct desc_field *f = &m->fields[j];

            if (f->type == DESC_MESSAGE || f->type == DESC_GROUP)
                f->message = strmap_get(&pool->messages, f->type_name);
            else if (f->type == DESC_ENUM)
                f->enumeration = strmap_get(&pool->enums, f->type_name);
            else
                continue;
            if (!f->message && !f->enumeration)
                return error_set(err, "%s.%s: its type %s is not in the descriptors", m->full_name,
                                 f->name, f->type_name);
        }
    }
    return true;
}

static void message_free(struct desc_message *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->fields[i].name);
        free(m->fields[i].json_name);
        free(m->fields[i].type_name);
    }
    for (size_t i = 0; i < m->oneof_count; i++)
        free(m->oneofs[i]);
    free(m->oneofs);
    free(m->fields);
    free(m->full_name);
    free(m);
}

static void enum_free(struct desc_enum *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->values[i].name);
    free(e->values);
    free(e->full_name);
    free(e);
}

void desc_pool_fini(struct desc_pool *pool)
{
    for (size_t i = 0; i < pool->messages.count; i++)
        message_free(pool->messages.entries[i].value);
    for (size_t i = 0; i < pool->enums.count; i++)
        enum_free(pool->enums.entries[i].value);
    strmap_fini(&pool->messages);
    strmap_fini(&pool->enums);
}

const char *desc_url_name(const char *url)
{
    const char *slash = strrchr(url, '/');

    return slash ? slash + 1 : url;
}

const struct desc_message *desc_find(const struct desc_pool *pool, const char *name)
{
    return strmap_get(&pool->messages, desc_url_name(name));
}

bool desc_resolve(const struct desc_pool *pool, const char *name, const struct desc_message **out,
                  struct error *err)
{
    const struct resource_type *known = resource_type_named(name);
    struct text found = {0};
    size_t hits = 0;

    *out = desc_find(pool, known ? known->full_name : name);
    if (*out)
        return true;
    for (size_t i = 0; i < pool->messages.count && !strpbrk(name, "/."); i++) {
        struct desc_message *m = pool->messages.entries[i].value;
        const char *dot = strrchr(m->full_name, '.');

        if (!dot || strcmp(dot + 1, name) || strstr(m->full_name, ".v2"))
            continue;
        *out = m;
        if (++hits <= 4)
            text_printf(&found, "%s%s", hits > 1 ? ", " : "", m->full_name);
    }
    if (hits > 1)
        error_set(err, "type \"%s\" can be one of %zu: %s%s", name, hits, text_str(&found),
                  hits > 4 ? ", ..." : "");
    else if (!hits)
        error_set(err, "type \"%s\" is not in the API", name);
    text_fini(&found);
    return hits == 1;
}

const struct desc_field *desc_field_named(const struct desc_message *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (!strcmp(m->fields[i].name, name) || !strcmp(m->fields[i].json_name, name))
            return &m->fields[i];
    return NULL;
}

const struct desc_field *desc_field_numbered(const struct desc_message *m, unsigned number)
{
    size_t low = 0, high = m->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (m->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->count && m->fields[low].number == number ? &m->fields[low] : NULL;
}

/* Edits between two names (insert, delete, change), at most 63 letters of each. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b), diagonal, above;

    if (n > 63 || strlen(a) > 63)
        return 99;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);

            above = row[j];
            row[j] = above < row[j - 1] ? above + 1 : row[j - 1] + 1;
            if (change < row[j])
                row[j] = change;
            diagonal = above;
        }
    }
    return row[n];
}

const char *desc_nearest_field(const struct desc_message *m, const char *name)
{
    size_t best = 4;
    const char *found = NULL;

    for (size_t i = 0; i < m->count; i++) {
        size_t d = distance(name, m->fields[i].name);
        size_t camel = distance(name, m->fields[i].json_name);

        d = camel < d ? camel : d;
        if (d < best && d <= strlen(name) / 2) {
            best = d;
            found = m->fields[i].name;
        }
    }
    return found;
}

const char *desc_type_name(enum desc_type type)
{
    static const char *const names[] = {"?",
                                        "a number (double)",
                                        "a number (float)",
                                        "a number (int64)",
                                        "a number (uint64)",
                                        "a number (int32)",
                                        "a number (fixed64)",
                                        "a number (fixed32)",
                                        "true or false",
                                        "a string",
                                        "a group",
                                        "a mapping",
                                        "bytes in base64",
                                        "a number (uint32)",
                                        "a name of the enum",
                                        "a number (sfixed32)",
                                        "a number (sfixed64)",
                                        "a number (sint32)",
                                        "a number (sint64)"};

    return names[type <= DESC_SINT64 ? type : 0];
}
