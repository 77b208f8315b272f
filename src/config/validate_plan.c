#include "config/validate_plan.h"

#include <upb/def.h>

#include "config/unsupported.h"
#include "config/wire.h"

/* --- values --- */

static long double number_of(uint8_t type, uint64_t v)
{
    switch ((upb_FieldType)type) {
    case kUpb_FieldType_Double:
        return (long double)wire_double(v);
    case kUpb_FieldType_Float:
        return (long double)wire_float(v);
    case kUpb_FieldType_Int32:
    case kUpb_FieldType_Enum:
    case kUpb_FieldType_SFixed32:
        return (int32_t)v;
    case kUpb_FieldType_UInt32:
    case kUpb_FieldType_Fixed32:
        return (uint32_t)v;
    case kUpb_FieldType_Int64:
    case kUpb_FieldType_SFixed64:
        return (long double)(int64_t)v;
    case kUpb_FieldType_SInt32:
        return (int32_t)((uint32_t)v >> 1 ^ -((uint32_t)v & 1));
    case kUpb_FieldType_SInt64:
        return (long double)(int64_t)(v >> 1 ^ -(v & 1));
    case kUpb_FieldType_Bool:
        return v != 0;
    case kUpb_FieldType_UInt64:
    case kUpb_FieldType_Fixed64:
    case kUpb_FieldType_String:
    case kUpb_FieldType_Bytes:
    case kUpb_FieldType_Group:
    case kUpb_FieldType_Message:
        break;
    }
    return (long double)v;
}

static bool listed(const long double *list, size_t n, long double value)
{
    for (size_t i = 0; i < n; i++)
        if (!(list[i] < value) && !(list[i] > value))
            return true;
    return false;
}

bool plan_range_ok(const struct value_rules *r, long double value)
{
    const struct number_rules *n = r->number;
    if ((n->has_const && !listed(&n->constant, 1, value)) || listed(n->not_in, n->n_not_in, value))
        return false;
    return (!n->has_gt || value > n->gt) && (!n->has_gte || value >= n->gte) &&
           (!n->has_lt || value < n->lt) && (!n->has_lte || value <= n->lte);
}

static bool named(const struct plan_field *f, int32_t value)
{
    for (uint32_t i = 0; i < f->n_names; i++)
        if (f->names[i] == value)
            return true;
    return false;
}

bool plan_number_ok(const struct plan_field *f, uint64_t v)
{
    const struct value_rules *r = f->rules;
    long double value = number_of(f->type, v);
    switch (r->kind) {
    case RULES_ENUM:
        if (f->names && !named(f, (int32_t)v))
            return false;
        return plan_range_ok(r, value);
    case RULES_NUMBER:
    case RULES_BOOL:
        return (r->ignore_empty && !(value < 0) && !(value > 0)) || plan_range_ok(r, value);
    case RULES_NONE:
    case RULES_DURATION:
    case RULES_TEXT:
    case RULES_BYTES:
    case RULES_ANY:
        break;
    }
    return true;
}

static bool text_listed(const struct bytes *list, size_t n, struct bytes text)
{
    for (size_t i = 0; i < n; i++)
        if (bytes_eq(list[i], text))
            return true;
    return false;
}

/* Text is ASCII: as many characters as bytes. */
bool plan_text_ok(const struct plan_field *f, struct bytes text)
{
    const struct value_rules *r = f->rules;
    const struct text_rules *t = r->text;
    if ((r->kind != RULES_TEXT && r->kind != RULES_BYTES) || (r->ignore_empty && text.len == 0))
        return true;
    if (r->kind == RULES_TEXT && (text.len < t->min || text.len > t->max))
        return false;
    if (text.len < t->min_bytes || text.len > t->max_bytes)
        return false;
    if ((t->pattern && !regex_partial_match(t->pattern, text)) ||
        (t->well_known && !regex_partial_match(t->well_known, text)))
        return false;
    if ((t->prefix.data && !bytes_starts_with(text, t->prefix)) ||
        (t->suffix.data && !bytes_ends_with(text, t->suffix)))
        return false;
    return !t->n_in || text_listed(t->in, t->n_in, text);
}

/* --- compiling --- */

static uint8_t wire_of(upb_FieldType type)
{
    switch (type) {
    case kUpb_FieldType_Double:
    case kUpb_FieldType_Fixed64:
    case kUpb_FieldType_SFixed64:
        return WIRE_FIXED64;
    case kUpb_FieldType_Float:
    case kUpb_FieldType_Fixed32:
    case kUpb_FieldType_SFixed32:
        return WIRE_FIXED32;
    case kUpb_FieldType_String:
    case kUpb_FieldType_Bytes:
    case kUpb_FieldType_Message:
    case kUpb_FieldType_Group:
        return WIRE_BYTES;
    case kUpb_FieldType_Bool:
    case kUpb_FieldType_Enum:
    case kUpb_FieldType_Int32:
    case kUpb_FieldType_Int64:
    case kUpb_FieldType_UInt32:
    case kUpb_FieldType_UInt64:
    case kUpb_FieldType_SInt32:
    case kUpb_FieldType_SInt64:
        break;
    }
    return WIRE_VARINT;
}

static enum plan_kind message_kind(const upb_MessageDef *m)
{
    switch (upb_MessageDef_WellKnownType(m)) {
    case kUpb_WellKnown_Unspecified:
        return PLAN_MESSAGE;
    case kUpb_WellKnown_Any:
        return PLAN_ANY;
    case kUpb_WellKnown_Duration:
        return PLAN_DURATION;
    case kUpb_WellKnown_DoubleValue:
    case kUpb_WellKnown_FloatValue:
    case kUpb_WellKnown_Int64Value:
    case kUpb_WellKnown_UInt64Value:
    case kUpb_WellKnown_Int32Value:
    case kUpb_WellKnown_UInt32Value:
    case kUpb_WellKnown_StringValue:
    case kUpb_WellKnown_BytesValue:
    case kUpb_WellKnown_BoolValue:
        return PLAN_WRAPPER;
    case kUpb_WellKnown_FieldMask:
    case kUpb_WellKnown_Timestamp:
    case kUpb_WellKnown_Value:
    case kUpb_WellKnown_ListValue:
    case kUpb_WellKnown_Struct:
        break;
    }
    return PLAN_OPAQUE;
}

/* The form of one value. */
static void set_form(struct plan_field *p, struct arena *a, const upb_FieldDef *f)
{
    const upb_MessageDef *sub = upb_FieldDef_IsSubMessage(f) ? upb_FieldDef_MessageSubDef(f) : NULL;
    p->number = upb_FieldDef_Number(f);
    p->type = (uint8_t)upb_FieldDef_Type(f);
    p->kind = p->type == kUpb_FieldType_String  ? PLAN_TEXT
              : p->type == kUpb_FieldType_Bytes ? PLAN_BYTES
                                                : PLAN_SCALAR;
    if (sub) {
        p->sub = arena_str(a, bytes_of(upb_MessageDef_FullName(sub)));
        p->kind = (uint8_t)(upb_FieldDef_IsMap(f) ? PLAN_MAP : message_kind(sub));
    }
    if (p->kind == PLAN_WRAPPER)
        p->type = (uint8_t)upb_FieldDef_Type(upb_MessageDef_FindFieldByNumber(sub, 1));
    p->wire = wire_of((upb_FieldType)p->type);
}

static void set_rules(struct plan_field *p, struct arena *a, const upb_FieldDef *f,
                      const struct value_rules *r)
{
    if (!r || (r->kind == RULES_NONE && !r->skip))
        return;
    p->rules = r;
    if (p->type != kUpb_FieldType_Enum || !r->defined_only)
        return;
    const upb_EnumDef *e = upb_FieldDef_EnumSubDef(f);
    int32_t *names = ARENA_ARRAY(a, int32_t, upb_EnumDef_ValueCount(e));
    p->n_names = (uint32_t)upb_EnumDef_ValueCount(e);
    for (uint32_t i = 0; i < p->n_names; i++)
        names[i] = upb_EnumValueDef_Number(upb_EnumDef_Value(e, (int)i));
    p->names = names;
}

/* Is what stands for a missing value allowed? */
static bool may_miss(const struct plan_field *p)
{
    if (!p->rules)
        return true;
    return p->kind == PLAN_SCALAR ? plan_number_ok(p, 0) : plan_text_ok(p, BYTES(""));
}

static void must(struct plan *p, unsigned field)
{
    p->must[field / 64] |= UINT64_C(1) << field % 64;
}

static void set_list(struct plan *p, struct plan_field *f, const struct field_rules *r)
{
    if (r->min_items > 0)
        must(p, p->n_fields);
    if (r->min_items <= 1 && r->max_items == UINT64_MAX && !r->unique)
        return;
    p->odd |= p->n_counted == PLAN_MAX_COUNTED;
    f->list = r;
    f->counted = p->odd ? 0 : ++p->n_counted;
}

/* Keys and values of a map have the rules of the field, not of the entry's type. */
static struct plan *compile_entry(struct arena *a, const upb_MessageDef *entry,
                                  const struct field_rules *r)
{
    struct plan *p = ARENA_NEW(a, struct plan);
    p->entry = true;
    p->fields = ARENA_ARRAY(a, struct plan_field, 2);
    p->n_direct = 3;
    p->direct = ARENA_ARRAY(a, uint8_t, 3);
    for (uint8_t i = 0; i < 2; i++) {
        struct plan_field *f = &p->fields[i];
        const upb_FieldDef *def = upb_MessageDef_FindFieldByNumber(entry, i + 1u);
        set_form(f, a, def);
        set_rules(f, a, def, !r ? NULL : i ? &r->value : &r->key);
        if (f->sub || !may_miss(f))
            must(p, i);
        p->direct[i + 1] = (uint8_t)(i + 1);
    }
    p->n_fields = 2;
    return p;
}

static const struct field_rules *rules_of(const struct message_rules *rules, const upb_FieldDef *f)
{
    for (size_t i = 0; i < rules->n_fields; i++) {
        if (rules->fields[i].number == upb_FieldDef_Number(f))
            return &rules->fields[i];
    }
    return NULL;
}

static void compile_field(struct plan *p, struct arena *a, const upb_MessageDef *m,
                          const upb_FieldDef *def, const struct field_rules *r)
{
    struct plan_field *f = &p->fields[p->n_fields];
    const upb_OneofDef *oneof = upb_FieldDef_RealContainingOneof(def);
    bool presence = upb_FieldDef_HasPresence(def);
    set_form(f, a, def);
    f->repeated = upb_FieldDef_IsRepeated(def);
    f->oneof = oneof ? (uint8_t)(upb_OneofDef_Index(oneof) + 1) : 0;
    enum support support =
        support_of(bytes_of(upb_MessageDef_FullName(m)), bytes_of(upb_FieldDef_Name(def)));
    f->listed =
        support == SUPPORT_LIST || support == SUPPORT_REFUSE || descriptors_field_deprecated(def);
    f->disallowed = r && r->disallowed && presence && !f->repeated;
    set_rules(f, a, def, r ? &r->value : NULL);
    if (f->kind == PLAN_MAP)
        f->plan = compile_entry(a, upb_FieldDef_MessageSubDef(def), r);
    if (f->repeated && r)
        set_list(p, f, r);
    else if (presence && r && r->required && !oneof)
        must(p, p->n_fields);
    else if (!presence && !f->repeated && !may_miss(f))
        must(p, p->n_fields);
    p->odd |= f->type == kUpb_FieldType_Group || (f->oneof && f->oneof > 63);
    if (f->number < p->n_direct)
        p->direct[f->number] = (uint8_t)(p->n_fields + 1);
    p->n_fields++;
}

struct plan *plan_compile(struct arena *a, const upb_MessageDef *m,
                          const struct message_rules *rules)
{
    struct plan *p = ARENA_NEW(a, struct plan);
    int n = upb_MessageDef_FieldCount(m);
    p->odd = n > PLAN_MAX_FIELDS || upb_MessageDef_Syntax(m) != kUpb_Syntax_Proto3;
    p->disabled = rules->disabled;
    p->extension = support_extension_known(bytes_of(upb_MessageDef_FullName(m)));
    if (p->odd)
        return p;
    for (int i = 0; i < n; i++) {
        uint32_t number = upb_FieldDef_Number(upb_MessageDef_Field(m, i));
        if (number >= p->n_direct && number < PLAN_MAX_DIRECT)
            p->n_direct = number + 1;
    }
    p->direct = ARENA_ARRAY(a, uint8_t, p->n_direct);
    p->fields = ARENA_ARRAY(a, struct plan_field, n);
    for (int i = 0; i < n; i++) {
        const upb_FieldDef *f = upb_MessageDef_Field(m, i);
        compile_field(p, a, m, f, rules_of(rules, f));
    }
    for (size_t i = 0; i < rules->n_required_oneofs; i++) {
        uint32_t index = rules->required_oneofs[i] + 1;
        p->odd |= index > 63;
        p->must_oneof |= UINT64_C(1) << index % 64;
    }
    return p;
}
