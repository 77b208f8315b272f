#include "encode.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX "google.protobuf."

typedef bool well_known(struct encoder *e, const struct desc_message *m, const struct node *n,
                        const struct field_path *path, struct text *out);

/* Digits after a point as nanoseconds; moves *p past them. */
static bool read_nanos(const char **p, long *nanos)
{
    long scale = 100000000;

    *nanos = 0;
    if (**p != '.')
        return true;
    if (!isdigit((unsigned char)*++*p))
        return false;
    for (; isdigit((unsigned char)**p); ++*p, scale /= 10) {
        if (!scale)
            return false;
        *nanos += (**p - '0') * scale;
    }
    return true;
}

static void put_seconds(struct text *out, long long seconds, long nanos)
{
    if (seconds) {
        wire_tag(out, 1, 0);
        wire_varint(out, (uint64_t)seconds);
    }
    if (nanos) {
        wire_tag(out, 2, 0);
        wire_varint(out, (uint64_t)(int64_t)nanos);
    }
}

static bool duration(struct encoder *e, const struct desc_message *m, const struct node *n,
                     const struct field_path *path, struct text *out)
{
    const char *p = n->text;
    bool minus = *p == '-';
    long long seconds = 0;
    long nanos;
    int digits = 0;

    (void)m;
    for (p += minus; isdigit((unsigned char)*p) && digits < 13; p++, digits++)
        seconds = seconds * 10 + (*p - '0');
    if (!digits || !read_nanos(&p, &nanos) || strcmp(p, "s") || seconds > 315576000000ll)
        return encode_fail(e, n, path, "expected a duration such as \"1.5s\", found \"%.40s\"",
                           n->text);
    put_seconds(out, minus ? -seconds : seconds, minus ? -nanos : nanos);
    return true;
}

static bool read_offset(const char *p, long *offset)
{
    int hours, minutes, used = 0;

    *offset = 0;
    if (!strcmp(p, "Z"))
        return true;
    if ((*p != '+' && *p != '-') || sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 ||
        p[1 + used])
        return false;
    *offset = (hours * 3600L + minutes * 60L) * (*p == '-' ? -1 : 1);
    return true;
}

static bool timestamp(struct encoder *e, const struct desc_message *m, const struct node *n,
                      const struct field_path *path, struct text *out)
{
    struct tm tm = {0};
    const char *p = n->text;
    long nanos, offset;
    int used = 0;

    (void)m;
    if (sscanf(p, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &used) != 6 ||
        (p += used, !read_nanos(&p, &nanos)) || !read_offset(p, &offset))
        return encode_fail(e, n, path,
                           "expected a time such as \"2026-01-31T12:00:00Z\", found \"%.40s\"",
                           n->text);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    put_seconds(out, (long long)timegm(&tm) - offset, nanos);
    return true;
}

static bool field_mask(struct encoder *e, const struct desc_message *m, const struct node *n,
                       const struct field_path *path, struct text *out)
{
    const char *p = n->text;

    (void)e, (void)m, (void)path;
    while (*p) {
        struct text one = {0};

        for (; *p && *p != ','; p++) {
            if (isupper((unsigned char)*p))
                text_putc(&one, '_');
            text_putc(&one, (char)tolower((unsigned char)*p));
        }
        wire_bytes(out, 1, one.data, one.len);
        text_fini(&one);
        p += *p == ',';
    }
    return true;
}

static bool wrapper(struct encoder *e, const struct desc_message *m, const struct node *n,
                    const struct field_path *path, struct text *out)
{
    const struct desc_field *f = &m->fields[0];
    struct text body = {0};
    bool zero, ok = encode_scalar(e, f, n, path, &body, &zero);

    if (ok && !zero) {
        if (f->type == DESC_STRING || f->type == DESC_BYTES)
            wire_bytes(out, 1, body.data, body.len);
        else {
            wire_tag(out, 1, f->type == DESC_DOUBLE ? 1 : f->type == DESC_FLOAT ? 5 : 0);
            text_add(out, body.data, body.len);
        }
    }
    text_fini(&body);
    return ok;
}

static bool list_value(struct encoder *e, const struct desc_message *m, const struct node *n,
                       const struct field_path *path, struct text *out);
static bool struct_value(struct encoder *e, const struct desc_message *m, const struct node *n,
                         const struct field_path *path, struct text *out);

/* Is the plain scalar a number as JSON writes one? */
static bool is_number(const struct node *n, double *v)
{
    char *end;

    if (!n->plain || !n->len || !strchr("-0123456789", *n->text) || strpbrk(n->text, "xX"))
        return false;
    *v = strtod(n->text, &end);
    return !*end && isfinite(*v);
}

static void scalar_value(const struct node *n, struct text *out)
{
    uint64_t bits;
    double v;

    if (node_is_null(n)) {
        wire_tag(out, 1, 0);
        wire_varint(out, 0);
    } else if (n->plain && (!strcmp(n->text, "true") || !strcmp(n->text, "false"))) {
        wire_tag(out, 4, 0);
        wire_varint(out, *n->text == 't');
    } else if (is_number(n, &v)) {
        memcpy(&bits, &v, 8);
        wire_tag(out, 2, 1);
        wire_fixed(out, bits, 8);
    } else {
        wire_bytes(out, 3, n->text, n->len);
    }
}

static bool any_value(struct encoder *e, const struct desc_message *m, const struct node *n,
                      const struct field_path *path, struct text *out)
{
    struct text body = {0};
    bool ok = true;

    if (n->kind == NODE_SCALAR) {
        scalar_value(n, out);
        return encode_json_scalar(e, n, path);
    }
    if (e->depth >= 100)
        return encode_fail(e, n, path, "nested more than 100 messages deep");
    e->depth++;
    ok = n->kind == NODE_LIST ? list_value(e, m, n, path, &body)
                              : struct_value(e, m, n, path, &body);
    e->depth--;
    if (ok)
        wire_bytes(out, n->kind == NODE_LIST ? 6 : 5, body.data, body.len);
    text_fini(&body);
    return ok;
}

static bool list_value(struct encoder *e, const struct desc_message *m, const struct node *n,
                       const struct field_path *path, struct text *out)
{
    bool ok = true;

    if (n->kind != NODE_LIST)
        return encode_fail(e, n, path, "expected a list, found %s", node_kind_name(n));
    for (size_t i = 0; ok && i < n->count; i++) {
        struct field_path at = {.up = path, .index = (long)i};
        struct text item = {0};

        ok = any_value(e, m, n->items[i], &at, &item);
        if (ok)
            wire_bytes(out, 1, item.data, item.len);
        text_fini(&item);
    }
    return ok;
}

static int by_text(const void *a, const void *b)
{
    const struct node *const *x = a, *const *y = b;

    return strcmp(x[0]->text, y[0]->text);
}

static bool struct_value(struct encoder *e, const struct desc_message *m, const struct node *n,
                         const struct field_path *path, struct text *out)
{
    struct node **pairs;
    bool ok = true;

    if (n->kind != NODE_MAP)
        return encode_fail(e, n, path, "expected a mapping, found %s", node_kind_name(n));
    pairs = mem_alloc(n->count * 2 * sizeof(*pairs));
    if (n->count)
        memcpy(pairs, n->items, n->count * 2 * sizeof(*pairs));
    qsort(pairs, n->count, 2 * sizeof(*pairs), by_text);
    for (size_t i = 0; ok && i < n->count; i++) {
        struct field_path at = {.up = path, .key = pairs[2 * i]->text};
        struct text entry = {0}, value = {0};

        wire_bytes(&entry, 1, pairs[2 * i]->text, pairs[2 * i]->len);
        ok = any_value(e, m, pairs[2 * i + 1], &at, &value);
        wire_bytes(&entry, 2, value.data, value.len);
        wire_bytes(out, 1, entry.data, entry.len);
        text_fini(&value);
        text_fini(&entry);
    }
    free(pairs);
    return ok;
}

static bool any(struct encoder *e, const struct desc_message *m, const struct node *n,
                const struct field_path *path, struct text *out)
{
    struct text url = {0}, value = {0};
    bool ok = encode_any(e, n, path, &url, &value);

    (void)m;
    if (ok && url.len)
        wire_bytes(out, 1, url.data, url.len);
    if (ok && value.len)
        wire_bytes(out, 2, value.data, value.len);
    text_fini(&url);
    text_fini(&value);
    return ok;
}

/* What is written as a scalar only; its mapping form ({seconds: 1}) is an ordinary message. */
struct form {
    const char *name;
    well_known *encode;
    bool scalar_only;
};

static const struct form forms[] = {
    {"Any", any, false},
    {"Duration", duration, true},
    {"Timestamp", timestamp, true},
    {"FieldMask", field_mask, true},
    {"Struct", struct_value, false},
    {"Value", any_value, false},
    {"ListValue", list_value, false},
    {"DoubleValue", wrapper, true},
    {"FloatValue", wrapper, true},
    {"Int64Value", wrapper, true},
    {"UInt64Value", wrapper, true},
    {"Int32Value", wrapper, true},
    {"UInt32Value", wrapper, true},
    {"BoolValue", wrapper, true},
    {"StringValue", wrapper, true},
    {"BytesValue", wrapper, true},
};

static const struct form *find_form(const struct desc_message *m)
{
    if (strncmp(m->full_name, PREFIX, strlen(PREFIX)))
        return NULL;
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
        if (!strcmp(m->full_name + strlen(PREFIX), forms[i].name))
            return &forms[i];
    return NULL;
}

bool encode_is_well_known(const struct desc_message *m)
{
    return find_form(m) != NULL;
}

bool encode_well_known(struct encoder *e, const struct desc_message *m, const struct node *n,
                       const struct field_path *path, struct text *out, bool *done)
{
    const struct form *f = find_form(m);

    *done = f && (!f->scalar_only || n->kind == NODE_SCALAR);
    return !*done || f->encode(e, m, n, path, out);
}
