#include "encode.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

bool base64_decode(const char *text, size_t len, struct text *out)
{
    unsigned bits = 0, have = 0;
    size_t digits = 0, i = 0;

    for (; i < len && text[i] != '='; i++) {
        int d = base64_digit(text[i]);

        if (d < 0 && strchr(" \t\r\n", text[i]))
            continue;
        if (d < 0)
            return false;
        bits = bits << 6 | (unsigned)d;
        have += 6;
        digits++;
        if (have >= 8) {
            have -= 8;
            text_putc(out, (char)(bits >> have));
        }
    }
    for (; i < len; i++)
        if (!strchr("= \t\r\n", text[i]))
            return false;
    return digits % 4 != 1;
}

void base64_encode(const void *data, size_t len, struct text *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i += 3) {
        unsigned v = (unsigned)p[i] << 16;

        v |= i + 1 < len ? (unsigned)p[i + 1] << 8 : 0;
        v |= i + 2 < len ? p[i + 2] : 0;
        text_putc(out, digits[v >> 18]);
        text_putc(out, digits[v >> 12 & 63]);
        text_putc(out, i + 1 < len ? digits[v >> 6 & 63] : '=');
        text_putc(out, i + 2 < len ? digits[v & 63] : '=');
    }
}

/* An integer, also written as 1e3 or 5.0, as proto3 JSON has it. */
static bool read_signed(const char *s, long long low, long long high, long long *out)
{
    char *end;
    double d;

    if (!*s || strchr(" \t", *s))
        return false;
    errno = 0;
    *out = strtoll(s, &end, 10);
    if (*end || errno) {
        d = strtod(s, &end);
        if (*end || d != floor(d) || fabs(d) > 9007199254740992.0)
            return false;
        *out = (long long)d;
    }
    return *out >= low && *out <= high;
}

static bool read_unsigned(const char *s, unsigned long long high, unsigned long long *out)
{
    char *end;
    double d;

    if (!*s || strchr(" \t-", *s))
        return false;
    errno = 0;
    *out = strtoull(s, &end, 10);
    if (*end || errno) {
        d = strtod(s, &end);
        if (*end || d != floor(d) || d < 0 || d > 9007199254740992.0)
            return false;
        *out = (unsigned long long)d;
    }
    return *out <= high;
}

static bool read_double(const char *s, double *out)
{
    char *end;

    if (!strcmp(s, "NaN") || !strcmp(s, ".nan"))
        *out = NAN;
    else if (!strcmp(s, "Infinity") || !strcmp(s, ".inf"))
        *out = INFINITY;
    else if (!strcmp(s, "-Infinity") || !strcmp(s, "-.inf"))
        *out = -INFINITY;
    else if (!*s || !strchr("+-.0123456789", *s))
        return false;
    else
        *out = strtod(s, &end);
    return !isfinite(*out) || !*end;
}

static uint64_t zigzag(long long v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static bool put_signed(enum desc_type type, const char *s, struct text *out, bool *zero)
{
    bool narrow = type == DESC_INT32 || type == DESC_SFIXED32 || type == DESC_SINT32;
    long long v;

    if (!read_signed(s, narrow ? INT32_MIN : INT64_MIN, narrow ? INT32_MAX : INT64_MAX, &v))
        return false;
    *zero = v == 0;
    if (type == DESC_SFIXED32 || type == DESC_SFIXED64)
        wire_fixed(out, (uint64_t)v, narrow ? 4 : 8);
    else
        wire_varint(out, type == DESC_SINT32 || type == DESC_SINT64 ? zigzag(v) : (uint64_t)v);
    return true;
}

static bool put_unsigned(enum desc_type type, const char *s, struct text *out, bool *zero)
{
    bool narrow = type == DESC_UINT32 || type == DESC_FIXED32;
    unsigned long long v;

    if (!read_unsigned(s, narrow ? UINT32_MAX : UINT64_MAX, &v))
        return false;
    *zero = v == 0;
    if (type == DESC_FIXED32 || type == DESC_FIXED64)
        wire_fixed(out, v, narrow ? 4 : 8);
    else
        wire_varint(out, v);
    return true;
}

static bool put_floating(enum desc_type type, const char *s, struct text *out, bool *zero)
{
    uint64_t bits = 0;
    uint32_t narrow;
    double v = 0;
    float f;

    if (!read_double(s, &v))
        return false;
    if (type == DESC_FLOAT) {
        f = (float)v;
        memcpy(&narrow, &f, 4);
        bits = narrow;
    } else {
        memcpy(&bits, &v, 8);
    }
    *zero = bits == 0;
    wire_fixed(out, bits, type == DESC_FLOAT ? 4 : 8);
    return true;
}

static bool put_bool(const char *s, struct text *out, bool *zero)
{
    bool v = !strcmp(s, "true");

    if (!v && strcmp(s, "false"))
        return false;
    *zero = !v;
    wire_varint(out, v);
    return true;
}

static bool put_enum(struct encoder *e, const struct desc_field *f, const struct node *n,
                     const struct field_path *path, struct text *out, bool *zero)
{
    const struct desc_enum *en = f->enumeration;
    struct text names = {0};
    long long v;

    if (!strcmp(en->full_name, "google.protobuf.NullValue") && node_is_null(n)) {
        *zero = true;
        wire_varint(out, 0);
        return true;
    }
    for (size_t i = 0; i < en->count; i++) {
        if (strcmp(en->values[i].name, n->text))
            continue;
        *zero = en->values[i].number == 0;
        wire_varint(out, (uint64_t)(int64_t)en->values[i].number);
        return true;
    }
    if (read_signed(n->text, INT32_MIN, INT32_MAX, &v)) {
        *zero = v == 0;
        wire_varint(out, (uint64_t)v);
        return true;
    }
    for (size_t i = 0; i < en->count && i < 12; i++)
        text_printf(&names, "%s%s", i ? ", " : "", en->values[i].name);
    encode_fail(e, n, path, "\"%s\" is no value of %s (%s%s)", n->text, en->full_name,
                text_str(&names), en->count > 12 ? ", ..." : "");
    text_fini(&names);
    return false;
}

static bool put_scalar(enum desc_type type, const struct node *n, struct text *out, bool *zero)
{
    switch (type) {
    case DESC_DOUBLE:
    case DESC_FLOAT:
        return put_floating(type, n->text, out, zero);
    case DESC_INT64:
    case DESC_INT32:
    case DESC_SFIXED32:
    case DESC_SFIXED64:
    case DESC_SINT32:
    case DESC_SINT64:
        return put_signed(type, n->text, out, zero);
    case DESC_UINT64:
    case DESC_UINT32:
    case DESC_FIXED64:
    case DESC_FIXED32:
        return put_unsigned(type, n->text, out, zero);
    case DESC_BOOL:
        return put_bool(n->text, out, zero);
    case DESC_STRING:
        *zero = n->len == 0;
        text_add(out, n->text, n->len);
        return true;
    case DESC_BYTES:
        *zero = n->len == 0;
        return base64_decode(n->text, n->len, out);
    case DESC_GROUP:
    case DESC_MESSAGE:
    case DESC_ENUM:
        break;
    }
    return false;
}

bool encode_json_scalar(struct encoder *e, const struct node *n, const struct field_path *path)
{
    double v;

    if (!e->json || !n->plain || !strcmp(n->text, "true") || !strcmp(n->text, "false") ||
        !strcmp(n->text, "null") || (strchr("-0123456789", *n->text) && read_double(n->text, &v)))
        return true;
    return encode_fail(e, n, path, "%s is no value of JSON", *n->text ? n->text : "nothing");
}

/* proto3 JSON: a text is in quotes, a truth is not. */
static bool json_type(struct encoder *e, const struct desc_field *f, const struct node *n,
                      const struct field_path *path)
{
    bool text = f->type == DESC_STRING || f->type == DESC_BYTES;

    if (!encode_json_scalar(e, n, path))
        return false;
    if (e->json && ((text && n->plain) || (f->type == DESC_BOOL && !n->plain)))
        return encode_fail(e, n, path, "expected %s, found %s%s", desc_type_name(f->type), n->text,
                           n->plain ? "" : " in quotes");
    return true;
}

bool encode_scalar(struct encoder *e, const struct desc_field *f, const struct node *n,
                   const struct field_path *path, struct text *out, bool *zero)
{
    *zero = false;
    if (n->kind != NODE_SCALAR)
        return encode_fail(e, n, path, "expected %s, found %s", desc_type_name(f->type),
                           node_kind_name(n));
    if (!json_type(e, f, n, path))
        return false;
    if (f->type == DESC_ENUM)
        return put_enum(e, f, n, path, out, zero);
    if (!put_scalar(f->type, n, out, zero))
        return encode_fail(e, n, path, "expected %s, found \"%.60s\"", desc_type_name(f->type),
                           n->text);
    return true;
}
