#include "config/unsupported.h"

#include <stdio.h>
#include <upb/array.h>
#include <upb/def.h>
#include <upb/map.h>
#include <upb/reflection.h>
#include <upb/upb.h>

#include "config/field_path.h"
#include "config/typed.h"
#include "config/wire.h"

enum { UNKNOWN_SET_MAX = 1000 }; /* bytes */

struct scan {
    struct descriptors *d;
    struct field_report *report;
    struct strbuf path;
    struct strbuf
        types; /* of the messages around, joined with "::"; what is in an Any begins anew */
    struct arena *scratch;
    upb_Arena *messages;
    unsigned nesting;
    struct error *err;
};

/* --- the table --- */

static size_t row_count(void)
{
    size_t n = 0;
    while (support_rows[n].message)
        n++;
    return n;
}

/* The first row of the message; NULL: none. The table is sorted. */
static const struct support_row *rows_of(struct bytes message)
{
    size_t low = 0, high = row_count();
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_cmp(bytes_of(support_rows[middle].message), message) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    const struct support_row *r = &support_rows[low];
    return r->message && bytes_eq_str(message, r->message) ? r : NULL;
}

static bool names_field(const char *fields, struct bytes field)
{
    struct bytes rest = bytes_of(fields);
    while (rest.len > 0)
        if (bytes_eq(bytes_split(&rest, ' '), field))
            return true;
    return false;
}

static const struct support_row *row_of_field(const struct support_row *rows, struct bytes field)
{
    const struct support_row *rest = NULL;
    for (const struct support_row *r = rows;
         r && r->message && strcmp(r->message, rows->message) == 0; r++) {
        if (names_field(r->fields, field))
            return r;
        if (r->fields[0] == '*')
            rest = r;
    }
    return rest;
}

enum support support_of(struct bytes message, struct bytes field)
{
    const struct support_row *r = row_of_field(rows_of(message), field);
    return r ? r->support : SUPPORT_LIST;
}

bool support_extension_known(struct bytes type_name)
{
    for (size_t i = 0; support_extensions[i]; i++)
        if (bytes_eq_str(type_name, support_extensions[i]))
            return true;
    return false;
}

/* --- the walk --- */

static bool scan_message(struct scan *s, const upb_MessageDef *m, const upb_Message *msg);

static struct bytes view(upb_StringView v)
{
    return bytes_from(v.data, v.size);
}

static bool scan_any(struct scan *s, const upb_MessageDef *any, const upb_Message *msg)
{
    const upb_FieldDef *type = upb_MessageDef_FindFieldByNumber(any, kUpb_Any_TypeFieldNumber);
    const upb_FieldDef *value = upb_MessageDef_FindFieldByNumber(any, kUpb_Any_ValueFieldNumber);
    struct bytes url = view(upb_Message_Get(msg, type).str_val);
    struct bytes body = view(upb_Message_Get(msg, value).str_val);
    struct typed typed;
    struct bytes name = typed_is_typed_struct(url) ? descriptors_type_name(typed_inner_url(body))
                                                   : descriptors_type_name(url);
    if (!support_extension_known(name) || s->nesting >= DESCRIPTORS_MAX_DEPTH)
        return true;
    if (!typed_unwrap(s->d, url, body, s->scratch, &typed, s->err))
        return error_prefix(s->err, "%s: ", strbuf_str(&s->path));
    const upb_MessageDef *m = descriptors_message(s->d, typed.type_name);
    if (!m)
        return true;
    const upb_Message *inner = descriptors_view(m, typed.value, s->messages, s->err);
    if (!inner)
        return error_prefix(s->err, "%s: ", strbuf_str(&s->path));
    struct strbuf types = s->types;
    s->types = (struct strbuf)STRBUF_INIT;
    bool ok = scan_message(s, m, inner);
    strbuf_fini(&s->types);
    s->types = types;
    return ok;
}

static bool scan_single(struct scan *s, const upb_FieldDef *f, upb_MessageValue v)
{
    const upb_MessageDef *m = upb_FieldDef_MessageSubDef(f);
    switch (upb_MessageDef_WellKnownType(m)) {
    case kUpb_WellKnown_Unspecified:
        return scan_message(s, m, v.msg_val);
    case kUpb_WellKnown_Any:
        return scan_any(s, m, v.msg_val);
    case kUpb_WellKnown_FieldMask:
    case kUpb_WellKnown_Duration:
    case kUpb_WellKnown_Timestamp:
    case kUpb_WellKnown_DoubleValue:
    case kUpb_WellKnown_FloatValue:
    case kUpb_WellKnown_Int64Value:
    case kUpb_WellKnown_UInt64Value:
    case kUpb_WellKnown_Int32Value:
    case kUpb_WellKnown_UInt32Value:
    case kUpb_WellKnown_StringValue:
    case kUpb_WellKnown_BytesValue:
    case kUpb_WellKnown_BoolValue:
    case kUpb_WellKnown_Value:
    case kUpb_WellKnown_ListValue:
    case kUpb_WellKnown_Struct:
        break;
    }
    return true;
}

static bool scan_map(struct scan *s, const upb_FieldDef *f, const upb_Map *map)
{
    const upb_MessageDef *entry = upb_FieldDef_MessageSubDef(f);
    const upb_FieldDef *key_field = upb_MessageDef_FindFieldByNumber(entry, 1);
    const upb_FieldDef *value_field = upb_MessageDef_FindFieldByNumber(entry, 2);
    size_t it = kUpb_Map_Begin;
    bool ok = true;
    if (!upb_FieldDef_IsSubMessage(value_field) || !upb_FieldDef_IsString(key_field))
        return true;
    while (ok && upb_MapIterator_Next(map, &it)) {
        size_t at = field_path_key(&s->path, view(upb_MapIterator_Key(map, it).str_val));
        ok = scan_single(s, value_field, upb_MapIterator_Value(map, it));
        strbuf_cut(&s->path, at);
    }
    return ok;
}

static bool scan_inside(struct scan *s, const upb_FieldDef *f, upb_MessageValue v)
{
    bool ok = true;
    if (!upb_FieldDef_IsSubMessage(f))
        return true;
    if (upb_FieldDef_IsMap(f))
        return scan_map(s, f, v.map_val);
    if (!upb_FieldDef_IsRepeated(f))
        return scan_single(s, f, v);
    for (size_t i = 0; ok && i < upb_Array_Size(v.array_val); i++) {
        size_t at = field_path_index(&s->path, i);
        ok = scan_single(s, f, upb_Array_Get(v.array_val, i));
        strbuf_cut(&s->path, at);
    }
    return ok;
}

/* "type a.b.C(a.b.A::a.b.B) with unknown field set {1, 2}" */
static void report_set(struct scan *s, const upb_MessageDef *m, struct bytes numbers)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_printf(&text, "type %s(%s) with unknown field set {%.*s}", upb_MessageDef_FullName(m),
                  s->types.len ? strbuf_str(&s->types) : "root", BYTES_ARG(numbers));
    field_report_add(s->report, FIELD_UNKNOWN_SET, strbuf_bytes(&text), "");
    strbuf_fini(&text);
}

static void scan_unknown(struct scan *s, const upb_MessageDef *m, const upb_Message *msg)
{
    size_t len;
    const char *data = upb_Message_GetUnknown(msg, &len);
    struct bytes rest = bytes_from(data, data ? len : 0);
    struct strbuf numbers = STRBUF_INIT;
    struct wire_field f;
    while (wire_next(&rest, &f)) {
        char number[24];
        if (numbers.len < UNKNOWN_SET_MAX)
            strbuf_printf(&numbers, "%s%u", numbers.len ? ", " : "", f.number);
        int n = snprintf(number, sizeof(number), "%u", f.number);
        size_t at = field_path_enter(&s->path, bytes_from(number, (size_t)n));
        field_report_add(s->report, FIELD_UNKNOWN, strbuf_bytes(&s->path), "field number");
        strbuf_cut(&s->path, at);
    }
    if (numbers.len)
        report_set(s, m, strbuf_bytes(&numbers));
    strbuf_fini(&numbers);
}

static enum support support_here(const struct scan *s, const struct support_row *row)
{
    if (!row)
        return SUPPORT_LIST;
    for (size_t i = 0; row->support == SUPPORT_PART && support_places_without[i]; i++)
        if (bytes_ends_with(strbuf_bytes(&s->path), bytes_of(support_places_without[i])))
            return SUPPORT_LIST;
    return row->support;
}

static bool scan_message(struct scan *s, const upb_MessageDef *m, const upb_Message *msg)
{
    const struct support_row *rows = rows_of(bytes_of(upb_MessageDef_FullName(m)));
    size_t it = (size_t)kUpb_Message_Begin;
    const upb_FieldDef *f;
    upb_MessageValue v;
    bool ok = true;
    size_t around = s->types.len;
    s->nesting++;
    strbuf_printf(&s->types, "%s%s", around ? "::" : "", upb_MessageDef_FullName(m));
    while (ok && upb_Message_Next(msg, m, NULL, &f, &v, &it)) {
        struct bytes name = bytes_of(upb_FieldDef_Name(f));
        const struct support_row *row = row_of_field(rows, name);
        size_t at = field_path_enter(&s->path, name);
        enum support support = support_here(s, row);
        if (descriptors_field_deprecated(f))
            field_report_add(s->report, FIELD_DEPRECATED, strbuf_bytes(&s->path), "");
        if (support == SUPPORT_LIST || support == SUPPORT_REFUSE)
            field_report_add(s->report, support == SUPPORT_LIST ? FIELD_IGNORED : FIELD_REFUSED,
                             strbuf_bytes(&s->path), row ? row->note : "");
        else
            ok = scan_inside(s, f, v);
        strbuf_cut(&s->path, at);
    }
    strbuf_cut(&s->types, around);
    scan_unknown(s, m, msg);
    s->nesting--;
    return ok;
}

bool unsupported_scan(struct descriptors *d, struct bytes message, struct bytes body,
                      struct field_report *report, struct error *err)
{
    struct scan s = {.d = d, .report = report, .err = err};
    const upb_MessageDef *m = descriptors_message(d, message);
    if (!m)
        return error_set(err, "no message type %.*s is known", BYTES_ARG(message));
    s.messages = upb_Arena_New();
    CHECK(s.messages != NULL);
    s.scratch = arena_new(0);
    const upb_Message *msg = descriptors_view(m, body, s.messages, err);
    bool ok = msg && scan_message(&s, m, msg);
    upb_Arena_Free(s.messages);
    arena_free(&s.scratch);
    strbuf_fini(&s.path);
    strbuf_fini(&s.types);
    return ok;
}

/* "PATH: not implemented (why)", for each. */
static void add_refusals(const struct field_report *report, enum field_class class,
                         const char *words, struct error *err)
{
    enum { SHOWN_MAX = 20 };
    unsigned shown = 0;
    for (size_t i = 0; i < report->n && shown < SHOWN_MAX; i++) {
        const struct field_entry *e = &report->entries[i];
        if (e->class != class)
            continue;
        shown++;
        error_append(err, "; ", "%s: %s%s%s%s", e->path, words, e->detail[0] ? " (" : "", e->detail,
                     e->detail[0] ? ")" : "");
    }
    if (report->counts[class] > shown)
        error_append(err, "; ", "and %zu more", report->counts[class] - shown);
}

bool unsupported_check(const struct field_report *report, bool strict, struct error *err)
{
    if (report->counts[FIELD_REFUSED] > 0)
        add_refusals(report, FIELD_REFUSED, "not implemented", err);
    else if (strict && report->counts[FIELD_IGNORED] > 0)
        add_refusals(report, FIELD_IGNORED, "not implemented, and refused in strict mode", err);
    else
        return true;
    return false;
}
