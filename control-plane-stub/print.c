#include "print.h"

#include "encode.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH_LIMIT 100

struct printer {
    const struct desc_pool *pool;
    struct text *out;
    int depth;
};

static void print_any_message(struct printer *p, const struct desc_message *m, const char *data,
                              size_t len);

static bool read_varint(const char **data, size_t *left, uint64_t *v)
{
    *v = 0;
    for (size_t i = 0; i < *left && i < 10; i++) {
        *v |= (uint64_t)((*data)[i] & 0x7f) << (7 * i);
        if (!((*data)[i] & 0x80)) {
            *data += i + 1;
            *left -= i + 1;
            return true;
        }
    }
    return false;
}

static bool read_fixed(const char **data, size_t *left, size_t bytes, uint64_t *v)
{
    if (*left < bytes)
        return false;
    *v = 0;
    for (size_t i = 0; i < bytes; i++)
        *v |= (uint64_t)(unsigned char)(*data)[i] << (8 * i);
    *data += bytes;
    *left -= bytes;
    return true;
}

bool wire_next(const char **data, size_t *left, struct wire_field *out)
{
    const char *p = *data;
    size_t n = *left;
    uint64_t tag;
    bool ok = false;

    *out = (struct wire_field){0};
    if (!n || !read_varint(&p, &n, &tag) || !(tag >> 3) || tag >> 32)
        return false;
    out->number = (unsigned)(tag >> 3);
    out->wire_type = (unsigned)(tag & 7);
    if (out->wire_type == 0) {
        ok = read_varint(&p, &n, &out->value);
    } else if (out->wire_type == 1 || out->wire_type == 5) {
        ok = read_fixed(&p, &n, out->wire_type == 1 ? 8 : 4, &out->value);
    } else if (out->wire_type == 2 && read_varint(&p, &n, &out->value) && out->value <= n) {
        out->data = p;
        out->len = (size_t)out->value;
        p += out->len;
        n -= out->len;
        ok = true;
    }
    if (ok) {
        *data = p;
        *left = n;
    }
    return ok;
}

static void print_double(struct text *out, double v)
{
    char digits[40];

    if (isnan(v) || isinf(v)) {
        json_string(out, isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity");
        return;
    }
    for (int precision = 6; precision <= 17; precision++) {
        snprintf(digits, sizeof(digits), "%.*g", precision, v);
        if (strtod(digits, NULL) == v)
            break;
    }
    json_raw(out, digits);
}

static void print_floating(struct text *out, enum desc_type type, uint64_t bits)
{
    uint32_t narrow = (uint32_t)bits;
    char digits[40];
    double v;
    float f;

    if (type == DESC_DOUBLE) {
        memcpy(&v, &bits, 8);
        print_double(out, v);
        return;
    }
    memcpy(&f, &narrow, 4);
    for (int precision = 6; precision <= 9; precision++) {
        snprintf(digits, sizeof(digits), "%.*g", precision, (double)f);
        if (strtof(digits, NULL) == f)
            break;
    }
    if (isfinite(f))
        json_raw(out, digits);
    else
        print_double(out, (double)f);
}

static void print_wide(struct text *out, const char *fmt, uint64_t v)
{
    char digits[32];

    if (*fmt == 'd')
        snprintf(digits, sizeof(digits), "%lld", (long long)v);
    else
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)v);
    json_string(out, digits);
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void print_enum(struct text *out, const struct desc_enum *e, int v)
{
    for (size_t i = 0; i < e->count; i++) {
        if (e->values[i].number == v) {
            json_string(out, e->values[i].name);
            return;
        }
    }
    json_int(out, v);
}

static void print_bytes(struct text *out, const char *data, size_t len)
{
    struct text b = {0};

    base64_encode(data, len, &b);
    json_string_n(out, text_str(&b), b.len);
    text_fini(&b);
}

/* A scalar from its number (varint or fixed) or its bytes. */
static void print_scalar(struct printer *p, const struct desc_field *f, const struct wire_field *w)
{
    switch (f->type) {
    case DESC_DOUBLE:
    case DESC_FLOAT:
        print_floating(p->out, f->type, w->value);
        break;
    case DESC_INT64:
    case DESC_SFIXED64:
        print_wide(p->out, "d", w->value);
        break;
    case DESC_SINT64:
        print_wide(p->out, "d", (uint64_t)unzigzag(w->value));
        break;
    case DESC_UINT64:
    case DESC_FIXED64:
        print_wide(p->out, "u", w->value);
        break;
    case DESC_INT32:
    case DESC_SFIXED32:
        json_int(p->out, (int32_t)w->value);
        break;
    case DESC_SINT32:
        json_int(p->out, unzigzag(w->value));
        break;
    case DESC_UINT32:
    case DESC_FIXED32:
        json_int(p->out, (uint32_t)w->value);
        break;
    case DESC_BOOL:
        json_bool(p->out, w->value != 0);
        break;
    case DESC_ENUM:
        print_enum(p->out, f->enumeration, (int)w->value);
        break;
    case DESC_STRING:
        json_string_n(p->out, w->data, w->len);
        break;
    case DESC_BYTES:
        print_bytes(p->out, w->data, w->len);
        break;
    case DESC_MESSAGE:
        print_any_message(p, f->message, w->data, w->len);
        break;
    case DESC_GROUP:
        json_raw(p->out, "null");
        break;
    }
}

static bool is_delimited(const struct desc_field *f)
{
    return f->type == DESC_STRING || f->type == DESC_BYTES || f->type == DESC_MESSAGE;
}

/* Packed numbers: the length-delimited form of a repeated scalar. */
static void print_packed(struct printer *p, const struct desc_field *f, const struct wire_field *w)
{
    const char *data = w->data;
    size_t left = w->len;
    size_t width = f->type == DESC_DOUBLE || f->type == DESC_FIXED64 || f->type == DESC_SFIXED64 ? 8
                   : f->type == DESC_FLOAT || f->type == DESC_FIXED32 || f->type == DESC_SFIXED32
                       ? 4
                       : 0;
    struct wire_field one = {.number = w->number};

    while (left && (width ? read_fixed(&data, &left, width, &one.value)
                          : read_varint(&data, &left, &one.value)))
        print_scalar(p, f, &one);
}

/* What a map entry without the part stands for. */
static void map_part(const char *entry, size_t len, unsigned number, struct wire_field *out)
{
    struct wire_field w;

    *out = (struct wire_field){.number = number, .data = ""};
    while (wire_next(&entry, &len, &w))
        if (w.number == number)
            *out = w;
}

static void print_map_entry(struct printer *p, const struct desc_message *entry,
                            const struct wire_field *w)
{
    struct wire_field key, value;
    struct text name = {0};
    struct printer keys = {p->pool, &name, p->depth};

    map_part(w->data, w->len, 1, &key);
    map_part(w->data, w->len, 2, &value);
    print_scalar(&keys, &entry->fields[0], &key);
    if (name.len && *name.data == '"')
        json_raw(p->out, name.data);
    else
        json_string(p->out, text_str(&name));
    text_putc(p->out, ':');
    text_fini(&name);
    print_scalar(p, &entry->fields[1], &value);
}

static void print_repeated(struct printer *p, const struct desc_field *f, const char *data,
                           size_t len)
{
    bool map = f->message && f->message->map_entry;
    struct wire_field w;

    json_open(p->out, map ? '{' : '[');
    while (wire_next(&data, &len, &w)) {
        if (w.number != f->number)
            continue;
        if (map && w.wire_type == 2)
            print_map_entry(p, f->message, &w);
        else if (w.wire_type == 2 && !is_delimited(f))
            print_packed(p, f, &w);
        else if ((w.wire_type == 2) == is_delimited(f))
            print_scalar(p, f, &w);
    }
    json_close(p->out, map ? '}' : ']');
}

static void print_field(struct printer *p, const struct desc_field *f, const char *data, size_t len)
{
    struct wire_field w, last = {0};
    const char *all = data;
    size_t all_len = len;

    while (wire_next(&data, &len, &w))
        if (w.number == f->number && (f->repeated || (w.wire_type == 2) == is_delimited(f)))
            last = w;
    if (!last.number)
        return;
    json_key(p->out, f->name);
    if (f->repeated)
        print_repeated(p, f, all, all_len);
    else
        print_scalar(p, f, &last);
}

static void print_unknown(struct printer *p, const struct desc_message *m, const char *data,
                          size_t len)
{
    struct wire_field w;
    bool any = false;

    while (wire_next(&data, &len, &w)) {
        if (desc_field_numbered(m, w.number))
            continue;
        if (!any) {
            json_key(p->out, "@unknown");
            json_open(p->out, '[');
        }
        json_int(p->out, w.number);
        any = true;
    }
    if (any)
        json_close(p->out, ']');
    if (len) {
        json_key(p->out, "@raw");
        print_bytes(p->out, data, len);
    }
}

static void print_fields(struct printer *p, const struct desc_message *m, const char *data,
                         size_t len)
{
    for (size_t i = 0; i < m->count; i++)
        print_field(p, &m->fields[i], data, len);
    print_unknown(p, m, data, len);
}

static void print_any(struct printer *p, const char *data, size_t len)
{
    struct wire_field url, value;
    const struct desc_message *m;
    char *name;

    map_part(data, len, 1, &url);
    map_part(data, len, 2, &value);
    json_open(p->out, '{');
    if (url.len) {
        name = mem_bytes(url.data, url.len);
        m = desc_find(p->pool, name);
        json_member(p->out, "@type", name);
        free(name);
        if (!m) {
            json_key(p->out, "@raw");
            print_bytes(p->out, value.data, value.len);
        } else if (encode_is_well_known(m)) {
            json_key(p->out, "value");
            print_any_message(p, m, value.data, value.len);
        } else {
            print_fields(p, m, value.data, value.len);
        }
    }
    json_close(p->out, '}');
}

static void print_time(struct printer *p, const char *data, size_t len, bool timestamp)
{
    struct wire_field seconds, nanos;
    struct text t = {0};
    char day[40];
    struct tm tm;
    time_t when;

    map_part(data, len, 1, &seconds);
    map_part(data, len, 2, &nanos);
    when = (time_t)seconds.value;
    if (timestamp) {
        gmtime_r(&when, &tm);
        strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
        text_puts(&t, day);
    } else {
        int64_t n = (int64_t)seconds.value;

        text_printf(&t, "%s%lld", n < 0 || (int32_t)nanos.value < 0 ? "-" : "",
                    (long long)(n < 0 ? -n : n));
    }
    if (nanos.value) {
        text_printf(&t, ".%09d", abs((int32_t)nanos.value));
        while (t.data[t.len - 1] == '0')
            t.data[--t.len] = '\0';
    }
    text_puts(&t, timestamp ? "Z" : "s");
    json_string(p->out, text_str(&t));
    text_fini(&t);
}

static void print_value(struct printer *p, const struct desc_message *m, const char *data,
                        size_t len)
{
    struct wire_field w = {0};
    const struct desc_field *f;

    if (!wire_next(&data, &len, &w) || w.number == 1) {
        json_raw(p->out, "null");
        return;
    }
    f = desc_field_numbered(m, w.number);
    if (f)
        print_scalar(p, f, &w);
    else
        json_raw(p->out, "null");
}

static void print_mask(struct printer *p, const char *data, size_t len)
{
    struct text t = {0};
    struct wire_field w;

    while (wire_next(&data, &len, &w)) {
        text_puts(&t, t.len ? "," : "");
        text_add(&t, w.data, w.len);
    }
    json_string(p->out, text_str(&t));
    text_fini(&t);
}

/* Messages with a JSON form of their own. */
static bool print_well_known(struct printer *p, const struct desc_message *m, const char *data,
                             size_t len)
{
    const char *name = m->full_name + strlen("google.protobuf.");
    struct wire_field w;

    if (!encode_is_well_known(m))
        return false;
    if (!strcmp(name, "Any")) {
        print_any(p, data, len);
    } else if (!strcmp(name, "Duration") || !strcmp(name, "Timestamp")) {
        print_time(p, data, len, *name == 'T');
    } else if (!strcmp(name, "FieldMask")) {
        print_mask(p, data, len);
    } else if (!strcmp(name, "Value")) {
        print_value(p, m, data, len);
    } else if (!strcmp(name, "Struct") || !strcmp(name, "ListValue")) {
        print_repeated(p, &m->fields[0], data, len);
    } else {
        map_part(data, len, 1, &w);
        print_scalar(p, &m->fields[0], &w);
    }
    return true;
}

static void print_any_message(struct printer *p, const struct desc_message *m, const char *data,
                              size_t len)
{
    if (p->depth >= DEPTH_LIMIT) {
        json_raw(p->out, "null");
        return;
    }
    p->depth++;
    if (!print_well_known(p, m, data, len)) {
        json_open(p->out, '{');
        print_fields(p, m, data, len);
        json_close(p->out, '}');
    }
    p->depth--;
}

void print_message(const struct desc_pool *pool, const struct desc_message *m, const void *data,
                   size_t len, struct text *out)
{
    struct printer p = {.pool = pool, .out = out};

    print_any_message(&p, m, data, len);
}
