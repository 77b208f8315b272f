#include "config/validate.h"

#include <inttypes.h>
#include <stdio.h>
#include <upb/array.h>
#include <upb/map.h>
#include <upb/reflection.h>
#include <upb/upb.h>

#include "base/map.h"
#include "base/memory.h"
#include "config/field_path.h"
#include "config/json_scalar.h"
#include "config/typed.h"
#include "config/utf8.h"
#include "config/validate_plan.h"
#include "config/validate_rules.h"

struct validator {
    struct descriptors *d;
    struct arena *arena;
    struct map by_message; /* full name -> message_rules */
    struct quick *quick;
    size_t unknown_rules;
};

struct validation {
    struct validator *v;
    struct strbuf path;
    struct arena *scratch; /* unwrapped TypedStructs */
    upb_Arena *messages;
    unsigned nesting, n_errors;
    const struct source_text *text; /* NULL: failures are joined in one line */
    struct error *err;
};

static void check_message(struct validation *c, const upb_MessageDef *m, const upb_Message *msg);

struct validator *validator_new(struct descriptors *d)
{
    struct validator *v = NEW(struct validator);
    v->d = d;
    v->arena = arena_new(4096);
    v->quick = quick_new(d, v);
    return v;
}

void validator_free(struct validator **vp)
{
    struct validator *v = *vp;
    struct bytes key;
    void *rules;
    *vp = NULL;
    if (!v)
        return;
    for (size_t i = 0; map_next(&v->by_message, &i, &key, &rules);)
        message_rules_fini(rules);
    map_fini(&v->by_message);
    quick_free(&v->quick);
    arena_free(&v->arena);
    mem_free(v);
}

size_t validator_unknown_rules(const struct validator *v)
{
    return v->unknown_rules;
}

static struct message_rules *rules_of(struct validator *v, const upb_MessageDef *m)
{
    struct bytes key = bytes_of(upb_MessageDef_FullName(m));
    struct message_rules *rules = map_get(&v->by_message, key);
    if (!rules) {
        rules = message_rules_compile(m, v->arena, &v->unknown_rules);
        map_set(&v->by_message, key, rules);
    }
    return rules;
}

const struct message_rules *validator_rules(struct validator *v, const upb_MessageDef *m)
{
    return rules_of(v, m);
}

unsigned validate_quick(struct validator *v, struct bytes message, struct bytes body)
{
    return quick_check(v->quick, message, body);
}

PRINTF(2, 3) static void fail(struct validation *c, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT;
    struct error one = ERROR_INIT;
    const char *separator = c->text ? "\n" : "; ";
    va_list ap;
    if (c->n_errors++ >= VALIDATE_MAX_ERRORS) {
        if (c->n_errors == VALIDATE_MAX_ERRORS + 1)
            error_append(c->err, separator, "more errors follow");
        return;
    }
    va_start(ap, fmt);
    strbuf_vprintf(&text, fmt, ap);
    va_end(ap);
    error_set(&one, "%s%s%s", strbuf_str(&c->path), c->path.len > 0 ? ": " : "", strbuf_str(&text));
    if (c->text)
        source_text_locate(c->text, &one);
    error_append(c->err, separator, "%s", error_text(&one));
    error_fini(&one);
    strbuf_fini(&text);
}

/* --- numbers --- */

/* 5, 0.1; durations as 0s, 1ms, 1.5s */
static const char *show(const struct value_rules *r, long double value, char *buf, size_t size)
{
    if (r->kind == RULES_DURATION && value > 0 && value < 1)
        snprintf(buf, size, "%.6gms", (double)(value * 1000));
    else
        snprintf(buf, size, "%.17Lg%s", value, r->kind == RULES_DURATION ? "s" : "");
    return buf;
}

static void check_range(struct validation *c, const struct value_rules *r, long double value)
{
    const struct number_rules *n = r->number;
    char low[48], high[48];
    bool below = (n->has_gt && !(value > n->gt)) || (n->has_gte && !(value >= n->gte));
    bool above = (n->has_lt && !(value < n->lt)) || (n->has_lte && !(value <= n->lte));
    bool has_low = n->has_gt || n->has_gte, has_high = n->has_lt || n->has_lte;
    if (!below && !above)
        return;
    show(r, n->has_gt ? n->gt : n->gte, low, sizeof(low));
    show(r, n->has_lt ? n->lt : n->lte, high, sizeof(high));
    if (has_low && has_high)
        fail(c, "value must be inside range %c%s, %s%c", n->has_gt ? '(' : '[', low, high,
             n->has_lt ? ')' : ']');
    else if (has_low)
        fail(c, "value must be greater than %s%s", n->has_gt ? "" : "or equal to ", low);
    else
        fail(c, "value must be less than %s%s", n->has_lt ? "" : "or equal to ", high);
}

static bool listed(const long double *list, size_t n, long double value)
{
    for (size_t i = 0; i < n; i++)
        if (!(list[i] < value) && !(list[i] > value))
            return true;
    return false;
}

static void fail_list(struct validation *c, const long double *list, size_t n)
{
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&out, "%s%.0Lf", i ? ", " : "", list[i]);
    fail(c, "value must not be in list [%s]", strbuf_str(&out));
    strbuf_fini(&out);
}

static void check_number(struct validation *c, const struct value_rules *r, long double value)
{
    const struct number_rules *n = r->number;
    if (n->has_const && !listed(&n->constant, 1, value))
        fail(c, "value must equal %s", n->constant != 0 ? "true" : "false");
    check_range(c, r, value);
    if (n->n_not_in && listed(n->not_in, n->n_not_in, value))
        fail_list(c, n->not_in, n->n_not_in);
}

/* --- strings and bytes --- */

static void check_length(struct validation *c, uint64_t len, uint64_t min, uint64_t max,
                         const char *unit)
{
    if (len >= min && len <= max)
        return;
    if (min == max)
        fail(c, "value length must be %" PRIu64 " %s", min, unit);
    else if (min > 0 && max != UINT64_MAX)
        fail(c, "value length must be between %" PRIu64 " and %" PRIu64 " %s, inclusive", min, max,
             unit);
    else if (len < min)
        fail(c, "value length must be at least %" PRIu64 " %s", min, unit);
    else
        fail(c, "value length must be at most %" PRIu64 " %s", max, unit);
}

static bool text_listed(const struct bytes *list, size_t n, struct bytes text)
{
    for (size_t i = 0; i < n; i++)
        if (bytes_eq(list[i], text))
            return true;
    return false;
}

static void fail_text_list(struct validation *c, const struct bytes *list, size_t n)
{
    struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&out, "%s%.*s", i ? ", " : "", BYTES_ARG(list[i]));
    fail(c, "value must be in list [%s]", strbuf_str(&out));
    strbuf_fini(&out);
}

static void check_text(struct validation *c, const struct value_rules *r, struct bytes text)
{
    const struct text_rules *t = r->text;
    if (r->kind == RULES_TEXT)
        check_length(c, utf8_length(text), t->min, t->max, "characters");
    check_length(c, text.len, t->min_bytes, t->max_bytes, "bytes");
    if (t->pattern && !regex_partial_match(t->pattern, text))
        fail(c, "value does not match regex pattern \"%.*s\"", BYTES_ARG(t->pattern_text));
    if (t->well_known && !regex_partial_match(t->well_known, text))
        fail(c, "value does not match regex pattern \"%s\"", t->well_known_text);
    if (t->prefix.data && !bytes_starts_with(text, t->prefix))
        fail(c, "value does not have prefix \"%.*s\"", BYTES_ARG(t->prefix));
    if (t->suffix.data && !bytes_ends_with(text, t->suffix))
        fail(c, "value does not have suffix \"%.*s\"", BYTES_ARG(t->suffix));
    if (t->n_in && !text_listed(t->in, t->n_in, text))
        fail_text_list(c, t->in, t->n_in);
}

/* --- one value --- */

static struct bytes view(upb_StringView s)
{
    return bytes_from(s.data, s.size);
}

static upb_MessageValue get_number(const upb_MessageDef *m, const upb_Message *msg, uint32_t number)
{
    return upb_Message_Get(msg, upb_MessageDef_FindFieldByNumber(m, number));
}

static long double number_value(const upb_FieldDef *f, upb_MessageValue v)
{
    switch (upb_FieldDef_CType(f)) {
    case kUpb_CType_Bool:
        return v.bool_val;
    case kUpb_CType_Float:
        return (long double)v.float_val;
    case kUpb_CType_Double:
        return (long double)v.double_val;
    case kUpb_CType_Int32:
    case kUpb_CType_Enum:
        return v.int32_val;
    case kUpb_CType_UInt32:
        return v.uint32_val;
    case kUpb_CType_Int64:
        return (long double)v.int64_val;
    case kUpb_CType_UInt64:
        return (long double)v.uint64_val;
    case kUpb_CType_String:
    case kUpb_CType_Bytes:
    case kUpb_CType_Message:
        break;
    }
    return 0;
}

static void check_scalar(struct validation *c, const struct value_rules *r, const upb_FieldDef *f,
                         upb_MessageValue v)
{
    switch (r->kind) {
    case RULES_TEXT:
    case RULES_BYTES:
        if (upb_FieldDef_IsString(f) && !(r->ignore_empty && v.str_val.size == 0))
            check_text(c, r, view(v.str_val));
        break;
    case RULES_ENUM:
        if (r->defined_only && upb_FieldDef_CType(f) == kUpb_CType_Enum &&
            !upb_EnumDef_FindValueByNumber(upb_FieldDef_EnumSubDef(f), v.int32_val))
            fail(c, "value must be one of the defined enum values");
        check_number(c, r, v.int32_val);
        break;
    case RULES_NUMBER:
    case RULES_BOOL:
        if (!(r->ignore_empty && !(number_value(f, v) < 0) && !(number_value(f, v) > 0)))
            check_number(c, r, number_value(f, v));
        break;
    case RULES_NONE:
    case RULES_DURATION:
    case RULES_ANY:
        break;
    }
}

static void check_any(struct validation *c, const struct value_rules *r, const upb_MessageDef *any,
                      const upb_Message *msg)
{
    struct bytes url = view(get_number(any, msg, kUpb_Any_TypeFieldNumber).str_val);
    struct bytes value = view(get_number(any, msg, kUpb_Any_ValueFieldNumber).str_val);
    struct error err = ERROR_INIT;
    struct typed typed;
    if (url.len == 0)
        return;
    if (!typed_unwrap(c->v->d, url, value, c->scratch, &typed, &err)) {
        fail(c, "%s", error_text(&err));
        error_fini(&err);
        return;
    }
    const upb_MessageDef *m = descriptors_message(c->v->d, typed.type_name);
    if (!m) /* whoever reads it knows whether that is an error */
        return;
    if (c->nesting >= DESCRIPTORS_MAX_DEPTH) {
        fail(c, "nested too deeply");
        return;
    }
    const upb_Message *inner = descriptors_view(m, typed.value, c->messages, &err);
    if (inner)
        check_message(c, m, inner);
    else
        fail(c, "%s", error_text(&err));
    error_fini(&err);
}

static void check_duration(struct validation *c, const struct value_rules *r,
                           const upb_MessageDef *m, const upb_Message *msg)
{
    int64_t seconds = get_number(m, msg, kUpb_Duration_SecondsFieldNumber).int64_val;
    int32_t nanos = get_number(m, msg, kUpb_Duration_NanosFieldNumber).int32_val;
    struct strbuf text = STRBUF_INIT;
    if (!json_scalar_add_duration(&text, seconds, nanos))
        fail(c, "value must be a valid duration");
    strbuf_fini(&text);
    if (r->kind == RULES_DURATION)
        check_number(c, r, (long double)seconds + (long double)nanos / 1e9L);
}

static void check_value(struct validation *c, const struct value_rules *r, const upb_FieldDef *f,
                        upb_MessageValue v)
{
    if (!upb_FieldDef_IsSubMessage(f)) {
        check_scalar(c, r, f, v);
        return;
    }
    const upb_MessageDef *m = upb_FieldDef_MessageSubDef(f);
    const upb_FieldDef *first = upb_MessageDef_FindFieldByNumber(m, 1);
    switch (upb_MessageDef_WellKnownType(m)) {
    case kUpb_WellKnown_Unspecified:
        if (!r->skip)
            check_message(c, m, v.msg_val);
        break;
    case kUpb_WellKnown_Any:
        if (!r->skip)
            check_any(c, r, m, v.msg_val);
        break;
    case kUpb_WellKnown_Duration:
        check_duration(c, r, m, v.msg_val);
        break;
    case kUpb_WellKnown_DoubleValue:
    case kUpb_WellKnown_FloatValue:
    case kUpb_WellKnown_Int64Value:
    case kUpb_WellKnown_UInt64Value:
    case kUpb_WellKnown_Int32Value:
    case kUpb_WellKnown_UInt32Value:
    case kUpb_WellKnown_StringValue:
    case kUpb_WellKnown_BytesValue:
    case kUpb_WellKnown_BoolValue:
        check_scalar(c, r, first, upb_Message_Get(v.msg_val, first));
        break;
    case kUpb_WellKnown_FieldMask:
    case kUpb_WellKnown_Timestamp:
    case kUpb_WellKnown_Value:
    case kUpb_WellKnown_ListValue:
    case kUpb_WellKnown_Struct:
        break;
    }
}

/* --- repeated, maps, fields --- */

static void check_count(struct validation *c, const struct field_rules *r, uint64_t n,
                        const char *unit)
{
    if (n >= r->min_items && n <= r->max_items)
        return;
    if (r->min_items == r->max_items)
        fail(c, "value must contain exactly %" PRIu64 " %s(s)", r->min_items, unit);
    else if (r->min_items > 0 && r->max_items != UINT64_MAX)
        fail(c, "value must contain between %" PRIu64 " and %" PRIu64 " %ss, inclusive",
             r->min_items, r->max_items, unit);
    else if (n < r->min_items)
        fail(c, "value must contain at least %" PRIu64 " %s(s)", r->min_items, unit);
    else
        fail(c, "value must contain no more than %" PRIu64 " %s(s)", r->max_items, unit);
}

static void check_unique(struct validation *c, const upb_FieldDef *f, const upb_Array *list)
{
    struct map seen = MAP_INIT;
    static char mark;
    size_t n = list ? upb_Array_Size(list) : 0;
    for (size_t i = 0; i < n; i++) {
        upb_MessageValue v = upb_Array_Get(list, i);
        char number[48];
        snprintf(number, sizeof(number), "%.21Lg", number_value(f, v));
        struct bytes key = upb_FieldDef_IsString(f) ? view(v.str_val) : bytes_of(number);
        if (map_set(&seen, key, &mark)) {
            fail(c, "repeated value must contain unique items");
            break;
        }
    }
    map_fini(&seen);
}

static bool value_matters(const struct value_rules *r, const upb_FieldDef *f)
{
    return r->kind != RULES_NONE || upb_FieldDef_IsSubMessage(f);
}

static void check_list(struct validation *c, const struct field_rules *r, const upb_FieldDef *f,
                       const upb_Array *list)
{
    size_t n = list ? upb_Array_Size(list) : 0;
    check_count(c, r, n, "item");
    if (r->unique && !upb_FieldDef_IsSubMessage(f))
        check_unique(c, f, list);
    for (size_t i = 0; i < n && value_matters(&r->value, f); i++) {
        size_t at = field_path_index(&c->path, i);
        check_value(c, &r->value, f, upb_Array_Get(list, i));
        strbuf_cut(&c->path, at);
    }
}

static void check_map(struct validation *c, const struct field_rules *r, const upb_FieldDef *f,
                      const upb_Map *map)
{
    const upb_MessageDef *entry = upb_FieldDef_MessageSubDef(f);
    const upb_FieldDef *key_field = upb_MessageDef_FindFieldByNumber(entry, 1);
    const upb_FieldDef *value_field = upb_MessageDef_FindFieldByNumber(entry, 2);
    size_t it = kUpb_Map_Begin;
    check_count(c, r, map ? upb_Map_Size(map) : 0, "pair");
    while (map && upb_MapIterator_Next(map, &it)) {
        upb_MessageValue key = upb_MapIterator_Key(map, it);
        char number[24];
        struct bytes name;
        if (upb_FieldDef_IsString(key_field)) {
            name = view(key.str_val);
        } else {
            int len = snprintf(number, sizeof(number), "%.0Lf", number_value(key_field, key));
            name = bytes_from(number, (size_t)len);
        }
        size_t at = field_path_key(&c->path, name);
        check_value(c, &r->key, key_field, key);
        check_value(c, &r->value, value_field, upb_MapIterator_Value(map, it));
        strbuf_cut(&c->path, at);
    }
}

static void check_field(struct validation *c, const struct field_rules *r, const upb_FieldDef *f,
                        const upb_Message *msg)
{
    size_t at = field_path_enter(&c->path, bytes_of(upb_FieldDef_Name(f)));
    if (upb_FieldDef_IsMap(f)) {
        check_map(c, r, f, upb_Message_Get(msg, f).map_val);
    } else if (upb_FieldDef_IsRepeated(f)) {
        check_list(c, r, f, upb_Message_Get(msg, f).array_val);
    } else if (upb_FieldDef_HasPresence(f) && !upb_Message_Has(msg, f)) {
        if (r->required && !upb_FieldDef_RealContainingOneof(f))
            fail(c, "value is required");
    } else {
        check_value(c, &r->value, f, upb_Message_Get(msg, f));
        if (r->disallowed && upb_FieldDef_HasPresence(f))
            fail(c, "deprecated and disallowed by default");
    }
    strbuf_cut(&c->path, at);
}

static void check_message(struct validation *c, const upb_MessageDef *m, const upb_Message *msg)
{
    const struct message_rules *rules = rules_of(c->v, m);
    if (rules->disabled || c->n_errors > VALIDATE_MAX_ERRORS)
        return;
    c->nesting++;
    for (size_t i = 0; i < rules->n_fields; i++)
        check_field(c, &rules->fields[i],
                    upb_MessageDef_FindFieldByNumber(m, rules->fields[i].number), msg);
    for (size_t i = 0; i < rules->n_required_oneofs; i++) {
        const upb_OneofDef *o = upb_MessageDef_Oneof(m, (int)rules->required_oneofs[i]);
        if (!upb_Message_WhichOneof(msg, o))
            fail(c, "field: \"%s\", reason: is required", upb_OneofDef_Name(o));
    }
    c->nesting--;
}

bool validate_text(struct validator *v, struct bytes message, struct bytes body,
                   const struct source_text *text, struct error *err)
{
    struct error found = ERROR_INIT;
    struct validation c = {.v = v, .text = text, .err = &found};
    const upb_MessageDef *m = descriptors_message(v->d, message);
    if (!m)
        return error_set(err, "no message type %.*s is known", BYTES_ARG(message));
    c.messages = upb_Arena_New();
    c.scratch = arena_new(0);
    CHECK(c.messages != NULL);
    const upb_Message *msg = descriptors_view(m, body, c.messages, &found);
    if (msg)
        check_message(&c, m, msg);
    upb_Arena_Free(c.messages);
    arena_free(&c.scratch);
    strbuf_fini(&c.path);
    if (!error_is_set(&found))
        return true;
    error_move(err, &found);
    return false;
}

bool validate_message(struct validator *v, struct bytes message, struct bytes body,
                      struct error *err)
{
    return validate_text(v, message, body, NULL, err);
}
