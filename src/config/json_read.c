#include "config/json_read.h"

#include <stdio.h>

#include <upb/array.h>
#include <upb/map.h>
#include <upb/reflection.h>

#include "config/json_read_value.h"
#include "config/json_scalar.h"
#include "config/suggest.h"

/* Field numbers of google.protobuf.Value; Struct, ListValue and wrappers have the one field 1. */
enum { VALUE_NULL = 1, VALUE_NUMBER, VALUE_STRING, VALUE_BOOL, VALUE_STRUCT, VALUE_LIST };

static bool read_message(struct json_reading *r, const upb_MessageDef *m, const struct yaml_node *n,
                         upb_Message *msg);
static bool read_fields(struct json_reading *r, const upb_MessageDef *m, const struct yaml_node *n,
                        upb_Message *msg);

static const upb_FieldDef *field_number(const upb_MessageDef *m, uint32_t number)
{
    const upb_FieldDef *f = upb_MessageDef_FindFieldByNumber(m, number);
    CHECK(f != NULL);
    return f;
}

static void set(struct json_reading *r, upb_Message *msg, const upb_FieldDef *f,
                upb_MessageValue value)
{
    CHECK(upb_Message_Set(msg, f, value, r->arena));
}

/* One value of the field's type: an element, a map value or a singular field. */
static bool read_single(struct json_reading *r, const upb_FieldDef *f, const struct yaml_node *n,
                        upb_MessageValue *out, bool *skip)
{
    if (!upb_FieldDef_IsSubMessage(f))
        return json_reading_value(r, f, n, out, skip);
    const upb_MessageDef *m = upb_FieldDef_MessageSubDef(f);
    upb_Message *sub = upb_Message_New(m, r->arena);
    CHECK(sub != NULL);
    out->msg_val = sub;
    upb_WellKnown kind = upb_MessageDef_WellKnownType(m);
    if (yaml_is_null(n) && (kind == kUpb_WellKnown_Unspecified || kind == kUpb_WellKnown_Struct))
        return true; /* an element that says nothing */
    return read_message(r, m, n, sub);
}

/* --- Struct, Value, ListValue --- */

static bool read_plain_value(struct json_reading *r, const upb_MessageDef *m,
                             const struct yaml_node *n, upb_Message *msg)
{
    upb_MessageValue v = {0};
    int64_t i;
    uint32_t number = VALUE_STRING;
    struct bytes text = n->text;
    char digits[24];
    if (yaml_is_null(n)) {
        number = VALUE_NULL;
    } else if (n->json && !n->quoted) {
        if (bytes_eq_str(text, "true") || bytes_eq_str(text, "false")) {
            number = VALUE_BOOL;
            v.bool_val = text.len == 4;
        } else {
            number = VALUE_NUMBER;
            if (!json_scalar_double(text, &v.double_val))
                return json_reading_expected(r, n, "a number in the range of a double");
        }
    } else if (!n->quoted && yaml_scalar_is_bool(text, &v.bool_val)) {
        number = VALUE_BOOL;
    } else if (!n->quoted && yaml_scalar_is_int(text, &i)) {
        /* Envoy keeps larger numbers of YAML as strings, since a double would round them; and
         * fractions too, since it cannot know what they will be read as. */
        if (i >= INT32_MIN && i <= INT32_MAX) {
            number = VALUE_NUMBER;
            v.double_val = (double)i;
        } else {
            int len = snprintf(digits, sizeof(digits), "%lld", (long long)i);
            text = bytes_from(digits, (size_t)len);
        }
    }
    if (number == VALUE_STRING)
        v.str_val = json_reading_keep(r, text);
    set(r, msg, field_number(m, number), v);
    return true;
}

static bool read_value(struct json_reading *r, const upb_MessageDef *m, const struct yaml_node *n,
                       upb_Message *msg)
{
    if (n->kind == YAML_SCALAR)
        return read_plain_value(r, m, n, msg);
    upb_MessageValue v;
    bool skip = false;
    const upb_FieldDef *f = field_number(m, n->kind == YAML_MAPPING ? VALUE_STRUCT : VALUE_LIST);
    bool ok = read_single(r, f, n, &v, &skip);
    set(r, msg, f, v);
    return ok;
}

static bool read_list_field(struct json_reading *r, const upb_FieldDef *f,
                            const struct yaml_node *n, upb_Message *msg);
static bool read_map_field(struct json_reading *r, const upb_FieldDef *f, const struct yaml_node *n,
                           upb_Message *msg);

/* --- Any --- */

static bool unknown_type(struct json_reading *r, const struct yaml_node *n, struct bytes url)
{
    struct bytes name = descriptors_type_name(url);
    if (bytes_find_char(url, '/') < 1)
        return json_reading_fail(r, n,
                                 "expected a type URL such as type.googleapis.com/%.*s, got "
                                 "%.*s",
                                 BYTES_ARG(name), BYTES_ARG(url));
    return json_reading_fail(r, n, "no message type %.*s is known", BYTES_ARG(name));
}

/* Types whose JSON is no object stand under "value". */
static bool has_own_json(const upb_MessageDef *m)
{
    return upb_MessageDef_WellKnownType(m) != kUpb_WellKnown_Unspecified;
}

static bool read_any_content(struct json_reading *r, const upb_MessageDef *m,
                             const struct yaml_node *n, upb_Message *msg)
{
    if (!has_own_json(m)) {
        r->any = n;
        return read_message(r, m, n, msg);
    }
    bool ok = true, found = false;
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_entry *e = &n->entries[i];
        if (bytes_eq_str(e->key, "@type"))
            continue;
        if (!bytes_eq_str(e->key, "value")) {
            ok = json_reading_fail(r, e->key_node, "a %s inside an Any has only `value`",
                                   upb_MessageDef_FullName(m));
            continue;
        }
        size_t at = json_reading_enter(r, e->key);
        ok = read_message(r, m, e->value, msg) && ok;
        strbuf_cut(&r->path, at);
        found = true;
    }
    return found || n->count <= 1 ? ok : false;
}

static bool read_any(struct json_reading *r, const upb_MessageDef *any, const struct yaml_node *n,
                     upb_Message *msg)
{
    if (n->kind != YAML_MAPPING)
        return json_reading_expected(r, n, "a mapping with @type");
    const struct yaml_node *type = yaml_get(n, "@type");
    if (!type && n->count == 0)
        return true;
    if (!type)
        return json_reading_fail(r, n, "expected @type: type.googleapis.com/... in it");
    if (!json_reading_is_string(type))
        return json_reading_expected(r, type, "a type URL");
    const upb_MessageDef *m = descriptors_type_url(r->d, type->text);
    if (!m || bytes_find_char(type->text, '/') < 1)
        return unknown_type(r, type, type->text);
    upb_Message *inner = upb_Message_New(m, r->arena);
    CHECK(inner != NULL);
    unsigned outside = r->nesting;
    r->nesting = 0; /* its bytes are read by themselves */
    bool ok = read_any_content(r, m, n, inner);
    r->nesting = outside;
    if (!ok)
        return false;
    struct error err = ERROR_INIT;
    struct bytes body;
    if (!descriptors_encode(m, inner, r->arena, &body, &err)) {
        json_reading_fail(r, n, "%s", error_text(&err));
        error_fini(&err);
        return false;
    }
    set(r, msg, field_number(any, kUpb_Any_TypeFieldNumber),
        (upb_MessageValue){.str_val = json_reading_keep(r, type->text)});
    set(r, msg, field_number(any, kUpb_Any_ValueFieldNumber),
        (upb_MessageValue){.str_val = upb_StringView_FromDataAndSize(body.data, body.len)});
    return true;
}

/* --- other well-known types --- */

static bool read_time(struct json_reading *r, const upb_MessageDef *m, const struct yaml_node *n,
                      upb_Message *msg, bool duration)
{
    int64_t seconds;
    int32_t nanos;
    if (n->kind == YAML_MAPPING) /* {seconds: 1}, the message itself */
        return read_fields(r, m, n, msg);
    bool ok =
        json_reading_is_string(n) && (duration ? json_scalar_duration(n->text, &seconds, &nanos)
                                               : json_scalar_timestamp(n->text, &seconds, &nanos));
    if (!ok)
        return json_reading_expected(
            r, n, duration ? "a duration such as 1.5s" : "a time such as 2006-01-02T15:04:05Z");
    set(r, msg, field_number(m, kUpb_Duration_SecondsFieldNumber),
        (upb_MessageValue){.int64_val = seconds});
    set(r, msg, field_number(m, kUpb_Duration_NanosFieldNumber),
        (upb_MessageValue){.int32_val = nanos});
    return true;
}

static bool read_field_mask(struct json_reading *r, const upb_MessageDef *m,
                            const struct yaml_node *n, upb_Message *msg)
{
    if (!json_reading_is_string(n))
        return json_reading_expected(r, n, "field paths joined by commas");
    upb_Array *paths = upb_Message_Mutable(msg, field_number(m, 1), r->arena).array;
    struct bytes rest = n->text;
    struct strbuf snake = STRBUF_INIT;
    while (rest.len > 0) {
        struct bytes path = bytes_split(&rest, ',');
        if (path.len == 0)
            continue; /* it chooses nothing */
        strbuf_reset(&snake);
        json_scalar_snake(path, &snake);
        upb_MessageValue v = {.str_val = json_reading_keep(r, strbuf_bytes(&snake))};
        CHECK(upb_Array_Append(paths, v, r->arena));
    }
    strbuf_fini(&snake);
    return true;
}

static bool read_wrapper(struct json_reading *r, const upb_MessageDef *m, const struct yaml_node *n,
                         upb_Message *msg)
{
    upb_MessageValue v;
    bool skip = false;
    const upb_FieldDef *f = field_number(m, 1);
    if (n->kind == YAML_MAPPING) /* {value: 1}, the message itself */
        return read_fields(r, m, n, msg);
    if (!json_reading_value(r, f, n, &v, &skip))
        return false;
    set(r, msg, f, v);
    return true;
}

/* --- messages --- */

static bool unknown_field(struct json_reading *r, const upb_MessageDef *m,
                          const struct yaml_entry *e)
{
    struct suggest s = {.wanted = e->key};
    if (r->options->allow_unknown) {
        if (r->options->report) {
            size_t at = json_reading_enter(r, e->key);
            char where[32];
            snprintf(where, sizeof(where), "line %u", e->key_node->line);
            field_report_add(r->options->report, FIELD_UNKNOWN, strbuf_bytes(&r->path), where);
            strbuf_cut(&r->path, at);
        }
        return true;
    }
    for (int i = 0; i < upb_MessageDef_FieldCount(m); i++)
        suggest_offer(&s, bytes_of(upb_FieldDef_Name(upb_MessageDef_Field(m, i))));
    if (s.best.data)
        return json_reading_fail(r, e->key_node, "unknown field `%.*s` in %s: did you mean `%.*s`?",
                                 BYTES_ARG(e->key), upb_MessageDef_FullName(m), BYTES_ARG(s.best));
    return json_reading_fail(r, e->key_node, "unknown field `%.*s` in %s", BYTES_ARG(e->key),
                             upb_MessageDef_FullName(m));
}

static bool read_element(struct json_reading *r, const upb_FieldDef *f, const struct yaml_node *n,
                         upb_Array *list)
{
    upb_MessageValue v;
    bool skip = false;
    if (!read_single(r, f, n, &v, &skip))
        return false;
    if (!skip)
        CHECK(upb_Array_Append(list, v, r->arena));
    return true;
}

/* As for Envoy, a list of one may be written without its brackets, and lists inside a list are one
 * list. Not so in a Struct, where each means itself. */
static bool read_list_field(struct json_reading *r, const upb_FieldDef *f,
                            const struct yaml_node *n, upb_Message *msg)
{
    const upb_MessageDef *m = upb_FieldDef_MessageSubDef(f); /* NULL: a list of scalars */
    bool loose = !m || (upb_MessageDef_WellKnownType(m) != kUpb_WellKnown_Value &&
                        upb_MessageDef_WellKnownType(m) != kUpb_WellKnown_ListValue);
    upb_Array *list = upb_Message_Mutable(msg, f, r->arena).array;
    if (n->kind != YAML_SEQUENCE) {
        bool no_message = n->kind == YAML_SCALAR && m && !has_own_json(m);
        return loose && !no_message ? read_element(r, f, n, list)
                                    : json_reading_expected(r, n, "a list");
    }
    bool ok = true;
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_node *item = n->items[i];
        size_t at = json_reading_enter_index(r, i);
        bool good = loose && item->kind == YAML_SEQUENCE ? read_list_field(r, f, item, msg)
                                                         : read_element(r, f, item, list);
        ok = ok && good;
        strbuf_cut(&r->path, at);
    }
    return ok;
}

static bool read_map_field(struct json_reading *r, const upb_FieldDef *f, const struct yaml_node *n,
                           upb_Message *msg)
{
    if (n->kind != YAML_MAPPING)
        return json_reading_expected(r, n, "a mapping");
    const upb_MessageDef *entry = upb_FieldDef_MessageSubDef(f);
    const upb_FieldDef *key_field = field_number(entry, kUpb_MapEntry_KeyFieldNumber);
    const upb_FieldDef *value_field = field_number(entry, kUpb_MapEntry_ValueFieldNumber);
    upb_Map *map = upb_Message_Mutable(msg, f, r->arena).map;
    bool ok = true;
    r->nesting++; /* an entry is a message too */
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_entry *e = &n->entries[i];
        struct yaml_node quoted = *e->key_node; /* a key is a string whatever it looks like */
        upb_MessageValue key, value;
        bool skip = false;
        quoted.quoted = true;
        size_t at = json_reading_enter_key(r, e->key);
        bool good = json_reading_value(r, key_field, &quoted, &key, &skip) &&
                    read_single(r, value_field, e->value, &value, &skip);
        if (good && !skip &&
            upb_Map_Insert(map, key, value, r->arena) == kUpb_MapInsertStatus_Replaced)
            good = json_reading_fail(r, e->key_node, "the key stands twice");
        ok = ok && good;
        strbuf_cut(&r->path, at);
    }
    r->nesting--;
    return ok;
}

static bool is_null_value(const upb_FieldDef *f)
{
    if (upb_FieldDef_IsRepeated(f))
        return false;
    if (upb_FieldDef_CType(f) == kUpb_CType_Enum)
        return strcmp(upb_EnumDef_FullName(upb_FieldDef_EnumSubDef(f)),
                      "google.protobuf.NullValue") == 0;
    return upb_FieldDef_IsSubMessage(f) &&
           upb_MessageDef_WellKnownType(upb_FieldDef_MessageSubDef(f)) == kUpb_WellKnown_Value;
}

static void report_deprecated(struct json_reading *r, const upb_FieldDef *f,
                              const struct yaml_entry *e)
{
    if (r->options->report && descriptors_field_deprecated(f)) {
        char where[32];
        snprintf(where, sizeof(where), "line %u", e->key_node->line);
        field_report_add(r->options->report, FIELD_DEPRECATED, strbuf_bytes(&r->path), where);
    }
}

/* seen: for each field of the message, the key that set it. */
static bool check_once(struct json_reading *r, const upb_FieldDef *f, const struct yaml_entry *e,
                       const struct yaml_node **seen)
{
    const upb_OneofDef *oneof = upb_FieldDef_RealContainingOneof(f);
    const struct yaml_node **slot = &seen[upb_FieldDef_Index(f)];
    if (*slot)
        return json_reading_fail(r, e->key_node, "stands twice: first as `%.*s` on line %u",
                                 BYTES_ARG((*slot)->text), (*slot)->line);
    *slot = e->key_node;
    for (int i = 0; oneof && i < upb_OneofDef_FieldCount(oneof); i++) {
        const upb_FieldDef *other = upb_OneofDef_Field(oneof, i);
        const struct yaml_node *key = seen[upb_FieldDef_Index(other)];
        if (other != f && key)
            return json_reading_fail(r, e->key_node,
                                     "only one of `%s` (line %u) and `%s` can be set (oneof %s)",
                                     upb_FieldDef_Name(other), key->line, upb_FieldDef_Name(f),
                                     upb_OneofDef_Name(oneof));
    }
    return true;
}

static bool read_field(struct json_reading *r, const upb_FieldDef *f, const struct yaml_entry *e,
                       upb_Message *msg, const struct yaml_node **seen)
{
    upb_MessageValue v;
    bool ok, skip = false;
    if (yaml_is_null(e->value) && !is_null_value(f))
        return true;
    size_t at = json_reading_enter(r, bytes_of(upb_FieldDef_Name(f)));
    report_deprecated(r, f, e);
    ok = check_once(r, f, e, seen);
    if (!ok) {
        strbuf_cut(&r->path, at);
        return false;
    }
    if (upb_FieldDef_IsMap(f)) {
        ok = read_map_field(r, f, e->value, msg);
    } else if (upb_FieldDef_IsRepeated(f)) {
        ok = read_list_field(r, f, e->value, msg);
    } else {
        ok = read_single(r, f, e->value, &v, &skip);
        if (ok && !skip)
            set(r, msg, f, v);
    }
    strbuf_cut(&r->path, at);
    return ok;
}

static bool read_fields(struct json_reading *r, const upb_MessageDef *m, const struct yaml_node *n,
                        upb_Message *msg)
{
    if (n->kind != YAML_MAPPING) {
        char wanted[200];
        snprintf(wanted, sizeof(wanted), "a mapping (%s)", upb_MessageDef_FullName(m));
        return json_reading_expected(r, n, wanted);
    }
    size_t size = sizeof(struct yaml_node *) * (size_t)(upb_MessageDef_FieldCount(m) + 1);
    const struct yaml_node **seen = upb_Arena_Malloc(r->arena, size);
    CHECK(seen != NULL);
    memset(seen, 0, size);
    bool ok = true, is_any = n == r->any;
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_entry *e = &n->entries[i];
        const upb_FieldDef *f = upb_MessageDef_FindByJsonNameWithSize(m, e->key.data, e->key.len);
        if (f)
            ok = read_field(r, f, e, msg, seen) && ok;
        else if (!is_any || !bytes_eq_str(e->key, "@type"))
            ok = unknown_field(r, m, e) && ok;
    }
    return ok;
}

static bool read_kind(struct json_reading *r, const upb_MessageDef *m, const struct yaml_node *n,
                      upb_Message *msg)
{
    switch (upb_MessageDef_WellKnownType(m)) {
    case kUpb_WellKnown_Unspecified:
        return read_fields(r, m, n, msg);
    case kUpb_WellKnown_Any:
        return read_any(r, m, n, msg);
    case kUpb_WellKnown_FieldMask:
        return read_field_mask(r, m, n, msg);
    case kUpb_WellKnown_Duration:
        return read_time(r, m, n, msg, true);
    case kUpb_WellKnown_Timestamp:
        return read_time(r, m, n, msg, false);
    case kUpb_WellKnown_DoubleValue:
    case kUpb_WellKnown_FloatValue:
    case kUpb_WellKnown_Int64Value:
    case kUpb_WellKnown_UInt64Value:
    case kUpb_WellKnown_Int32Value:
    case kUpb_WellKnown_UInt32Value:
    case kUpb_WellKnown_StringValue:
    case kUpb_WellKnown_BytesValue:
    case kUpb_WellKnown_BoolValue:
        return read_wrapper(r, m, n, msg);
    case kUpb_WellKnown_Value:
        return read_value(r, m, n, msg);
    case kUpb_WellKnown_ListValue:
        return read_list_field(r, field_number(m, 1), n, msg);
    case kUpb_WellKnown_Struct:
        return read_map_field(r, field_number(m, 1), n, msg);
    }
    return false;
}

static bool read_message(struct json_reading *r, const upb_MessageDef *m, const struct yaml_node *n,
                         upb_Message *msg)
{
    if (r->nesting >= DESCRIPTORS_MAX_DEPTH)
        return json_reading_fail(r, n, "nested too deeply: at most %d messages inside each other",
                                 DESCRIPTORS_MAX_DEPTH);
    r->nesting++;
    bool ok = read_kind(r, m, n, msg);
    r->nesting--;
    return ok;
}

bool json_read(struct descriptors *d, const struct yaml_node *root, struct bytes message,
               const struct json_read_options *options, struct arena *a, struct bytes *body,
               struct error *err)
{
    static const struct json_read_options none = {0};
    struct json_reading r = {.d = d, .options = options ? options : &none, .err = err};
    struct bytes encoded;
    const upb_MessageDef *m = descriptors_message(d, message);
    if (!m)
        return error_set(err, "no message type %.*s is known", BYTES_ARG(message));
    r.arena = upb_Arena_New();
    CHECK(r.arena != NULL);
    if (r.options->path)
        strbuf_add_str(&r.path, r.options->path);
    upb_Message *msg = upb_Message_New(m, r.arena);
    CHECK(msg != NULL);
    bool ok = read_message(&r, m, root, msg) && descriptors_encode(m, msg, r.arena, &encoded, err);
    if (ok)
        *body = arena_dup(a, encoded);
    strbuf_fini(&r.path);
    upb_Arena_Free(r.arena);
    return ok;
}
