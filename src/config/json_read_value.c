#include "config/json_read_value.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "config/json_scalar.h"
#include "config/suggest.h"
#include "config/utf8.h"

bool json_reading_fail(struct json_reading *r, const struct yaml_node *at, const char *fmt, ...)
{
    va_list ap;
    struct strbuf text = STRBUF_INIT;
    if (r->n_errors++ >= JSON_READ_MAX_ERRORS) {
        if (r->n_errors == JSON_READ_MAX_ERRORS + 1)
            error_append(r->err, "\n", "more errors follow");
        return false;
    }
    va_start(ap, fmt);
    strbuf_vprintf(&text, fmt, ap);
    va_end(ap);
    const char *path = strbuf_str(&r->path), *colon = r->path.len > 0 ? ": " : "";
    if (at->line > 0)
        error_append(r->err, "\n", "%s:%u:%u: %s%s%s", at->file, at->line, at->column, path, colon,
                     strbuf_str(&text));
    else
        error_append(r->err, "\n", "%s%s%s", path, colon, strbuf_str(&text));
    strbuf_fini(&text);
    return false;
}

bool json_reading_expected(struct json_reading *r, const struct yaml_node *at, const char *wanted)
{
    const char *kind = yaml_kind_name(at);
    if (at->kind != YAML_SCALAR || yaml_is_null(at))
        return json_reading_fail(r, at, "expected %s, got %s", wanted, kind);
    struct bytes text = bytes_first(at->text, 60);
    const char *more = at->text.len > text.len ? "..." : "";
    if (at->quoted)
        return json_reading_fail(r, at, "expected %s, got \"%.*s%s\"", wanted, BYTES_ARG(text),
                                 more);
    return json_reading_fail(r, at, "expected %s, got %.*s%s", wanted, BYTES_ARG(text), more);
}

size_t json_reading_enter(struct json_reading *r, struct bytes field)
{
    size_t before = r->path.len;
    if (before > 0)
        strbuf_add_char(&r->path, '.');
    strbuf_add_bytes(&r->path, field);
    return before;
}

size_t json_reading_enter_index(struct json_reading *r, size_t index)
{
    size_t before = r->path.len;
    strbuf_printf(&r->path, "[%zu]", index);
    return before;
}

size_t json_reading_enter_key(struct json_reading *r, struct bytes key)
{
    size_t before = r->path.len;
    strbuf_add_str(&r->path, "[\"");
    strbuf_add_json_escaped(&r->path, key);
    strbuf_add_str(&r->path, "\"]");
    return before;
}

upb_StringView json_reading_keep(struct json_reading *r, struct bytes b)
{
    char *copy = upb_Arena_Malloc(r->arena, b.len + 1);
    CHECK(copy != NULL);
    if (b.len > 0)
        memcpy(copy, b.data, b.len);
    copy[b.len] = '\0';
    return upb_StringView_FromDataAndSize(copy, b.len);
}

/* Unquoted words of YAML that mean a boolean or a whole number are no strings: Envoy refuses them
 * where it wants a string, and so a file means the same to both. */
bool json_reading_is_string(const struct yaml_node *n)
{
    bool b;
    int64_t i;
    if (n->kind != YAML_SCALAR)
        return false;
    if (n->quoted)
        return true;
    return !n->json && !yaml_is_null(n) && !yaml_scalar_is_bool(n->text, &b) &&
           !yaml_scalar_is_int(n->text, &i);
}

static bool bare_bool(struct bytes text, bool *value)
{
    *value = bytes_eq_str(text, "true");
    return *value || bytes_eq_str(text, "false");
}

/* Envoy's YAML knows words without quotes, its JSON some more in them, in any case; a word that is
 * nothing else to YAML is a string. */
static bool read_bool(struct json_reading *r, const struct yaml_node *n, upb_MessageValue *out)
{
    static const char *const yes[] = {"true", "t", "yes", "y", "1"};
    static const char *const no[] = {"false", "f", "no", "n", "0"};
    if (n->kind == YAML_SCALAR && !n->quoted &&
        (n->json ? bare_bool(n->text, &out->bool_val)
                 : yaml_scalar_is_bool(n->text, &out->bool_val)))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(yes) && json_reading_is_string(n); i++) {
        out->bool_val = bytes_eq_nocase(n->text, bytes_of(yes[i]));
        if (out->bool_val || bytes_eq_nocase(n->text, bytes_of(no[i])))
            return true;
    }
    return json_reading_expected(r, n, "true or false");
}

static bool scalar_i64(const struct yaml_node *n, int64_t *value)
{
    if (n->kind != YAML_SCALAR || yaml_is_null(n))
        return false;
    if (!n->quoted && !n->json && yaml_scalar_is_int(n->text, value))
        return true;
    return json_scalar_i64(n->text, value);
}

static bool read_signed(struct json_reading *r, const struct yaml_node *n, int64_t min, int64_t max,
                        int64_t *value)
{
    char wanted[80];
    if (scalar_i64(n, value) && *value >= min && *value <= max)
        return true;
    snprintf(wanted, sizeof(wanted), "an integer from %" PRId64 " to %" PRId64, min, max);
    return json_reading_expected(r, n, wanted);
}

static bool read_unsigned(struct json_reading *r, const struct yaml_node *n, uint64_t max,
                          uint64_t *value)
{
    char wanted[80];
    int64_t i;
    if (scalar_i64(n, &i)) {
        *value = (uint64_t)i;
        if (i >= 0 && *value <= max)
            return true;
    } else if (n->kind == YAML_SCALAR && !yaml_is_null(n) && json_scalar_u64(n->text, value) &&
               *value <= max) {
        return true;
    }
    snprintf(wanted, sizeof(wanted), "an integer from 0 to %" PRIu64, max);
    return json_reading_expected(r, n, wanted);
}

static bool read_double(struct json_reading *r, const struct yaml_node *n, double *value)
{
    int64_t i;
    if (n->kind == YAML_SCALAR && !yaml_is_null(n)) {
        if (!n->quoted && !n->json && yaml_scalar_is_int(n->text, &i)) { /* 010 is 8 */
            *value = (double)i;
            return true;
        }
        if (json_scalar_double(n->text, value))
            return true;
    }
    return json_reading_expected(r, n, "a number");
}

static bool read_float(struct json_reading *r, const struct yaml_node *n, float *value)
{
    double d;
    if (!read_double(r, n, &d))
        return false;
    if (isfinite(d) && fabs(d) > (double)FLT_MAX)
        return json_reading_expected(r, n, "a number in the range of a float");
    *value = (float)d;
    return true;
}

static bool read_string(struct json_reading *r, const struct yaml_node *n, upb_MessageValue *out)
{
    if (!json_reading_is_string(n)) {
        if (n->kind == YAML_SCALAR && !yaml_is_null(n))
            return json_reading_fail(r, n, "expected a string, got %.*s: put it in quotes",
                                     BYTES_ARG(n->text));
        return json_reading_expected(r, n, "a string");
    }
    if (utf8_check(n->text) < n->text.len)
        return json_reading_fail(r, n, "expected a string, got bytes that are not UTF-8");
    out->str_val = json_reading_keep(r, n->text);
    return true;
}

static bool read_bytes(struct json_reading *r, const struct yaml_node *n, upb_MessageValue *out)
{
    struct strbuf raw = STRBUF_INIT;
    /* An unquoted number can be good base64 too, but then Envoy would not take it. */
    bool ok = json_reading_is_string(n) && json_scalar_base64(n->text, &raw);
    if (ok)
        out->str_val = json_reading_keep(r, strbuf_bytes(&raw));
    strbuf_fini(&raw);
    return ok ? true : json_reading_expected(r, n, "bytes as base64");
}

static bool enum_unknown(struct json_reading *r, const upb_EnumDef *e, const struct yaml_node *n,
                         bool *skip)
{
    struct suggest s = {.wanted = n->text};
    struct strbuf names = STRBUF_INIT;
    int count = upb_EnumDef_ValueCount(e);
    if (r->options->allow_unknown) {
        if (r->options->report)
            field_report_add(r->options->report, FIELD_UNKNOWN, strbuf_bytes(&r->path),
                             "a value that the API does not have");
        *skip = true;
        return true;
    }
    for (int i = 0; i < count; i++) {
        const char *name = upb_EnumValueDef_Name(upb_EnumDef_Value(e, i));
        suggest_offer(&s, bytes_of(name));
        if (i < 12)
            strbuf_printf(&names, "%s%s", i ? ", " : "", name);
    }
    if (count > 12)
        strbuf_add_str(&names, ", ...");
    if (s.best.data)
        json_reading_fail(r, n, "expected one of %s, got %.*s: did you mean `%.*s`?",
                          strbuf_str(&names), BYTES_ARG(n->text), BYTES_ARG(s.best));
    else
        json_reading_fail(r, n, "expected one of %s, got %.*s", strbuf_str(&names),
                          BYTES_ARG(n->text));
    strbuf_fini(&names);
    return false;
}

/* Case does not matter; no enum of the API has two names that differ in it alone. */
static const upb_EnumValueDef *find_value(const upb_EnumDef *e, struct bytes name)
{
    const upb_EnumValueDef *v = upb_EnumDef_FindValueByNameWithSize(e, name.data, name.len);
    for (int i = 0; !v && i < upb_EnumDef_ValueCount(e); i++) {
        const upb_EnumValueDef *other = upb_EnumDef_Value(e, i);
        if (bytes_eq_nocase(bytes_of(upb_EnumValueDef_Name(other)), name))
            v = other;
    }
    return v;
}

static bool read_enum(struct json_reading *r, const upb_FieldDef *f, const struct yaml_node *n,
                      upb_MessageValue *out, bool *skip)
{
    const upb_EnumDef *e = upb_FieldDef_EnumSubDef(f);
    int64_t number;
    if (strcmp(upb_EnumDef_FullName(e), "google.protobuf.NullValue") == 0 && yaml_is_null(n)) {
        out->int32_val = 0;
        return true;
    }
    if (n->kind != YAML_SCALAR || yaml_is_null(n))
        return json_reading_expected(r, n, "the name of an enum value");
    const upb_EnumValueDef *v = find_value(e, n->text);
    if (v) {
        out->int32_val = upb_EnumValueDef_Number(v);
        return true;
    }
    /* 1.0 is a number to JSON alone; YAML's has a fraction and names no value. */
    bool whole = (n->json && !n->quoted) || bytes_find_char(n->text, '.') < 0;
    if (whole && scalar_i64(n, &number)) {
        if (number < INT32_MIN || number > INT32_MAX)
            return json_reading_expected(r, n, "a 32-bit enum number");
        out->int32_val = (int32_t)number;
        return true;
    }
    return enum_unknown(r, e, n, skip);
}

bool json_reading_value(struct json_reading *r, const upb_FieldDef *f, const struct yaml_node *n,
                        upb_MessageValue *out, bool *skip)
{
    int64_t i;
    uint64_t u;
    switch (upb_FieldDef_CType(f)) {
    case kUpb_CType_Bool:
        return read_bool(r, n, out);
    case kUpb_CType_Float:
        return read_float(r, n, &out->float_val);
    case kUpb_CType_Double:
        return read_double(r, n, &out->double_val);
    case kUpb_CType_Int32:
        if (!read_signed(r, n, INT32_MIN, INT32_MAX, &i))
            return false;
        out->int32_val = (int32_t)i;
        return true;
    case kUpb_CType_Int64:
        return read_signed(r, n, INT64_MIN, INT64_MAX, &out->int64_val);
    case kUpb_CType_UInt32:
        if (!read_unsigned(r, n, UINT32_MAX, &u))
            return false;
        out->uint32_val = (uint32_t)u;
        return true;
    case kUpb_CType_UInt64:
        return read_unsigned(r, n, UINT64_MAX, &out->uint64_val);
    case kUpb_CType_String:
        return read_string(r, n, out);
    case kUpb_CType_Bytes:
        return read_bytes(r, n, out);
    case kUpb_CType_Enum:
        return read_enum(r, f, n, out, skip);
    case kUpb_CType_Message:
        break;
    }
    CHECK(!"a message is read elsewhere");
    return false;
}
