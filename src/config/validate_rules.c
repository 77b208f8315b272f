#include "config/validate_rules.h"

#include <google/protobuf/descriptor.upb.h>
#include <string.h>
#include <upb/upb.h>

#include "config/wire.h"

/* Field numbers of validate.proto. Of its rules those are known that some message of the API has; a
 * unit test asks whether that has changed. */
enum {
    RULE_FLOAT = 1,
    RULE_DOUBLE = 2,
    RULE_SINT32 = 7,
    RULE_SINT64 = 8,
    RULE_SFIXED64 = 12,
    RULE_BOOL = 13,
    RULE_STRING = 14,
    RULE_BYTES = 15,
    RULE_ENUM = 16,
    RULE_MESSAGE = 17,
    RULE_REPEATED = 18,
    RULE_MAP = 19,
    RULE_ANY = 20,
    RULE_DURATION = 21,
};
enum { OPTION_ONEOF_REQUIRED = 1071, OPTION_DISABLED = 1071, OPTION_IGNORED = 1072 };

struct compiler {
    struct arena *arena;
    size_t unknown;
};

static long double duration_seconds(struct bytes body)
{
    return (long double)(int64_t)wire_find_varint(body, 1, 0) +
           (long double)(int32_t)wire_find_varint(body, 2, 0) / 1e9L;
}

/* What a limit's wire value means depends on the type of the rule. */
static long double number_of(uint32_t rule, const struct wire_field *f)
{
    if (rule == RULE_DURATION)
        return duration_seconds(f->bytes);
    if (rule == RULE_DOUBLE)
        return (long double)wire_double(f->value);
    if (rule == RULE_FLOAT)
        return (long double)wire_float(f->value);
    if (rule == RULE_SINT32 || rule == RULE_SINT64)
        return (long double)((int64_t)(f->value >> 1) ^ -(int64_t)(f->value & 1));
    bool is_unsigned = rule == 5 || rule == 6 || rule == 9 || rule == 10;
    if (f->type == WIRE_FIXED32)
        return is_unsigned ? (long double)(uint32_t)f->value : (long double)(int32_t)f->value;
    return is_unsigned ? (long double)f->value : (long double)(int64_t)f->value;
}

static const long double *append_number(struct compiler *c, const long double *list, size_t *n,
                                        long double value)
{
    long double *grown = ARENA_ARRAY(c->arena, long double, *n + 1);
    if (*n)
        memcpy(grown, list, *n * sizeof(*grown));
    grown[(*n)++] = value;
    return grown;
}

static const struct bytes *append_bytes(struct compiler *c, const struct bytes *list, size_t *n,
                                        struct bytes value)
{
    struct bytes *grown = ARENA_ARRAY(c->arena, struct bytes, *n + 1);
    if (*n)
        memcpy(grown, list, *n * sizeof(*grown));
    grown[(*n)++] = value;
    return grown;
}

static struct number_rules no_number;
static struct text_rules no_text = {.max = UINT64_MAX, .max_bytes = UINT64_MAX};

static struct number_rules *own_number(struct compiler *c, struct value_rules *v)
{
    if (v->number == &no_number)
        v->number = ARENA_NEW(c->arena, struct number_rules);
    return v->number;
}

static void own_text(struct compiler *c, struct value_rules *v)
{
    v->text = ARENA_NEW(c->arena, struct text_rules);
    v->text->max = v->text->max_bytes = UINT64_MAX;
}

enum number_rule { IS_LT = 2, IS_LTE, IS_GT, IS_GTE };

static void add_number_rule(struct compiler *c, struct value_rules *v, enum number_rule what,
                            long double value)
{
    struct number_rules *r = own_number(c, v);
    switch (what) {
    case IS_LT:
        r->has_lt = true, r->lt = value;
        break;
    case IS_LTE:
        r->has_lte = true, r->lte = value;
        break;
    case IS_GT:
        r->has_gt = true, r->gt = value;
        break;
    case IS_GTE:
        r->has_gte = true, r->gte = value;
        break;
    }
}

static void compile_number(struct compiler *c, uint32_t rule, struct bytes body,
                           struct value_rules *v)
{
    struct wire_field f;
    v->kind = RULES_NUMBER;
    while (wire_next(&body, &f)) {
        if (f.number < IS_LT || f.number > IS_GTE || f.type == WIRE_BYTES)
            c->unknown++;
        else
            add_number_rule(c, v, (enum number_rule)f.number, number_of(rule, &f));
    }
}

static void compile_duration(struct compiler *c, struct bytes body, struct field_rules *field,
                             struct value_rules *v)
{
    struct wire_field f;
    v->kind = RULES_DURATION;
    while (wire_next(&body, &f)) {
        if (f.number == 1)
            field->required = f.value != 0;
        else if (f.number > IS_LT && f.number <= IS_GTE + 1)
            add_number_rule(c, v, (enum number_rule)(f.number - 1), number_of(RULE_DURATION, &f));
        else
            c->unknown++;
    }
}

static void compile_enum(struct compiler *c, struct bytes body, struct value_rules *v)
{
    struct wire_field f;
    v->kind = RULES_ENUM;
    while (wire_next(&body, &f)) {
        if (f.number == 2) {
            v->defined_only = f.value != 0;
        } else if (f.number == 4 && f.type == WIRE_VARINT) {
            struct number_rules *r = own_number(c, v);
            long double value = (long double)(int32_t)f.value;
            r->not_in = append_number(c, r->not_in, &r->n_not_in, value);
        } else {
            c->unknown++;
        }
    }
}

static struct regex *own_pattern(const char *text)
{
    struct error err = ERROR_INIT;
    struct regex *re = regex_new_limited(bytes_of(text), REGEX_PROGRAM_SIZE_ANY, &err);
    CHECK(re != NULL);
    return re;
}

/* The expressions of protoc-gen-validate, whose text is part of the message. */
static void compile_well_known(struct value_rules *v, uint64_t kind, bool strict)
{
    static const char *const name = "^:?[0-9a-zA-Z!#$%&'*+-.^_|~`]+$";
    static const char *const value = "^[^\\x00-\\x08\\x0A-\\x1F\\x7F]*$";
    static const char *const loose = "^[^\\x00\\n\\r]*$";
    if (kind == 0)
        return;
    v->text->well_known_text = !strict ? loose : kind == 1 ? name : value;
    v->text->well_known = own_pattern(v->text->well_known_text);
}

static void compile_pattern(struct compiler *c, struct value_rules *v, struct bytes pattern)
{
    struct error err = ERROR_INIT;
    v->text->pattern_text = pattern;
    v->text->pattern = regex_new_limited(pattern, REGEX_PROGRAM_SIZE_ANY, &err);
    if (!v->text->pattern)
        c->unknown++;
    error_fini(&err);
}

/* StringRules and BytesRules number the same things differently. */
enum text_rule {
    TEXT_UNKNOWN,
    TEXT_MIN,
    TEXT_MAX,
    TEXT_MIN_BYTES,
    TEXT_MAX_BYTES,
    TEXT_PATTERN,
    TEXT_PREFIX,
    TEXT_SUFFIX,
    TEXT_IN,
    TEXT_WELL_KNOWN,
    TEXT_STRICT,
    TEXT_IGNORE_EMPTY,
};

static enum text_rule string_rule(uint32_t number)
{
    static const unsigned char rules[] = {
        [2] = TEXT_MIN,         [3] = TEXT_MAX,     [4] = TEXT_MIN_BYTES,     [5] = TEXT_MAX_BYTES,
        [6] = TEXT_PATTERN,     [7] = TEXT_PREFIX,  [8] = TEXT_SUFFIX,        [10] = TEXT_IN,
        [24] = TEXT_WELL_KNOWN, [25] = TEXT_STRICT, [26] = TEXT_IGNORE_EMPTY,
    };
    return number < ARRAY_SIZE(rules) ? (enum text_rule)rules[number] : TEXT_UNKNOWN;
}

static enum text_rule bytes_rule(uint32_t number)
{
    return number == 2 ? TEXT_MIN_BYTES : number == 3 ? TEXT_MAX_BYTES : TEXT_UNKNOWN;
}

static void add_text_rule(struct compiler *c, struct value_rules *v, enum text_rule what,
                          const struct wire_field *f)
{
    struct text_rules *t = v->text;
    struct bytes text = f->type == WIRE_BYTES ? arena_dup(c->arena, f->bytes) : BYTES_NONE;
    switch (what) {
    case TEXT_MIN:
        t->min = f->value;
        break;
    case TEXT_MAX:
        t->max = f->value;
        break;
    case TEXT_MIN_BYTES:
        t->min_bytes = f->value;
        break;
    case TEXT_MAX_BYTES:
        t->max_bytes = f->value;
        break;
    case TEXT_PATTERN:
        compile_pattern(c, v, text);
        break;
    case TEXT_PREFIX:
        t->prefix = text;
        break;
    case TEXT_SUFFIX:
        t->suffix = text;
        break;
    case TEXT_IN:
        t->in = append_bytes(c, t->in, &t->n_in, text);
        break;
    case TEXT_IGNORE_EMPTY:
        v->ignore_empty = f->value != 0;
        break;
    case TEXT_WELL_KNOWN:
    case TEXT_STRICT:
        break; /* both together, afterwards */
    case TEXT_UNKNOWN:
        c->unknown++;
        break;
    }
}

static void compile_text(struct compiler *c, bool is_string, struct bytes body,
                         struct value_rules *v)
{
    struct wire_field f;
    uint64_t well_known = 0;
    bool strict = true;
    v->kind = is_string ? RULES_TEXT : RULES_BYTES;
    own_text(c, v);
    while (wire_next(&body, &f)) {
        enum text_rule what = is_string ? string_rule(f.number) : bytes_rule(f.number);
        if (what == TEXT_WELL_KNOWN)
            well_known = f.value;
        else if (what == TEXT_STRICT)
            strict = f.value != 0;
        add_text_rule(c, v, what, &f);
    }
    compile_well_known(v, well_known, strict);
}

static void compile_any(struct compiler *c, struct bytes body, struct field_rules *field,
                        struct value_rules *v)
{
    struct wire_field f;
    v->kind = RULES_ANY;
    while (wire_next(&body, &f)) {
        if (f.number == 1)
            field->required = f.value != 0;
        else
            c->unknown++;
    }
}

static void compile_rules(struct compiler *c, struct bytes body, struct field_rules *field,
                          struct value_rules *v);

static void compile_repeated(struct compiler *c, struct bytes body, struct field_rules *field)
{
    struct field_rules item = {0};
    struct wire_field f;
    while (wire_next(&body, &f)) {
        if (f.number == 1)
            field->min_items = f.value;
        else if (f.number == 2)
            field->max_items = f.value;
        else if (f.number == 3)
            field->unique = f.value != 0;
        else if (f.number == 4)
            compile_rules(c, f.bytes, &item, &field->value);
        else
            c->unknown++;
    }
}

static void compile_map(struct compiler *c, struct bytes body, struct field_rules *field)
{
    struct field_rules item = {0};
    struct wire_field f;
    while (wire_next(&body, &f)) {
        if (f.number == 1)
            field->min_items = f.value;
        else if (f.number == 2)
            field->max_items = f.value;
        else if (f.number == 4)
            compile_rules(c, f.bytes, &item, &field->key);
        else if (f.number == 5)
            compile_rules(c, f.bytes, &item, &field->value);
        else
            c->unknown++;
    }
}

static void compile_rules(struct compiler *c, struct bytes body, struct field_rules *field,
                          struct value_rules *v)
{
    struct wire_field f;
    while (wire_next(&body, &f)) {
        if (f.number >= RULE_FLOAT && f.number <= RULE_SFIXED64) {
            compile_number(c, f.number, f.bytes, v);
        } else if (f.number == RULE_BOOL) {
            v->kind = RULES_BOOL;
            own_number(c, v)->has_const = wire_has(f.bytes, 1);
            v->number->constant = (long double)wire_find_varint(f.bytes, 1, 0);
        } else if (f.number == RULE_STRING || f.number == RULE_BYTES) {
            compile_text(c, f.number == RULE_STRING, f.bytes, v);
        } else if (f.number == RULE_ENUM) {
            compile_enum(c, f.bytes, v);
        } else if (f.number == RULE_MESSAGE) {
            v->skip = wire_find_varint(f.bytes, 1, 0) != 0;
            field->required = field->required || wire_find_varint(f.bytes, 2, 0) != 0;
        } else if (f.number == RULE_REPEATED) {
            compile_repeated(c, f.bytes, field);
        } else if (f.number == RULE_MAP) {
            compile_map(c, f.bytes, field);
        } else if (f.number == RULE_ANY) {
            compile_any(c, f.bytes, field, v);
        } else if (f.number == RULE_DURATION) {
            compile_duration(c, f.bytes, field, v);
        } else {
            c->unknown++;
        }
    }
}

/* Messages that hold nothing with rules. */
static bool is_leaf(const upb_FieldDef *f)
{
    if (upb_FieldDef_IsMap(f))
        f = upb_MessageDef_FindFieldByNumber(upb_FieldDef_MessageSubDef(f), 2);
    if (!upb_FieldDef_IsSubMessage(f))
        return true;
    upb_WellKnown known = upb_MessageDef_WellKnownType(upb_FieldDef_MessageSubDef(f));
    return known != kUpb_WellKnown_Unspecified && known != kUpb_WellKnown_Any;
}

static bool has_rules(const upb_FieldDef *f)
{
    return descriptors_field_rules(f).data || descriptors_field_disallowed(f) || !is_leaf(f);
}

static size_t count_fields(const upb_MessageDef *m)
{
    size_t n = 0;
    for (int i = 0; i < upb_MessageDef_FieldCount(m); i++)
        n += has_rules(upb_MessageDef_Field(m, i));
    return n;
}

static struct bytes unknown_of(const void *options)
{
    size_t len;
    const char *data = upb_Message_GetUnknown(options, &len);
    return bytes_from(data, data ? len : 0);
}

/* Envoy decodes these without its rules, which in the first contradict what it says: that bundles
 * may stand in a map instead. */
static const char *const never_checked[] = {
    "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
    "envoy.extensions.matching.common_inputs.transport_socket.v3.EndpointMetadataInput",
    "envoy.extensions.matching.common_inputs.transport_socket.v3.LocalityMetadataInput",
    "envoy.extensions.matching.common_inputs.transport_socket.v3.TransportSocketNameAction",
};

static bool is_never_checked(const upb_MessageDef *m)
{
    for (size_t i = 0; i < ARRAY_SIZE(never_checked); i++) {
        if (strcmp(upb_MessageDef_FullName(m), never_checked[i]) == 0)
            return true;
    }
    return false;
}

struct message_rules *message_rules_compile(const upb_MessageDef *m, struct arena *a,
                                            size_t *unknown)
{
    struct compiler c = {.arena = a};
    struct message_rules *rules = ARENA_NEW(a, struct message_rules);
    int n_fields = upb_MessageDef_FieldCount(m), n_oneofs = upb_MessageDef_OneofCount(m);
    rules->fields = ARENA_ARRAY(a, struct field_rules, count_fields(m));
    rules->required_oneofs = ARENA_ARRAY(a, uint32_t, n_oneofs + 1);
    rules->disabled = is_never_checked(m);
    if (!rules->disabled && upb_MessageDef_HasOptions(m)) {
        struct bytes options = unknown_of(upb_MessageDef_Options(m));
        rules->disabled = wire_find_varint(options, OPTION_DISABLED, 0) != 0 ||
                          wire_find_varint(options, OPTION_IGNORED, 0) != 0;
    }
    for (int i = 0; i < n_fields; i++) {
        const upb_FieldDef *f = upb_MessageDef_Field(m, i);
        if (!has_rules(f))
            continue;
        struct field_rules *field = &rules->fields[rules->n_fields++];
        *field = (struct field_rules){.number = upb_FieldDef_Number(f),
                                      .disallowed = descriptors_field_disallowed(f),
                                      .max_items = UINT64_MAX,
                                      .value = {.number = &no_number, .text = &no_text},
                                      .key = {.number = &no_number, .text = &no_text}};
        compile_rules(&c, descriptors_field_rules(f), field, &field->value);
    }
    for (int i = 0; i < n_oneofs; i++) {
        const upb_OneofDef *o = upb_MessageDef_Oneof(m, i);
        if (upb_OneofDef_HasOptions(o) &&
            wire_find_varint(unknown_of(upb_OneofDef_Options(o)), OPTION_ONEOF_REQUIRED, 0) != 0)
            rules->required_oneofs[rules->n_required_oneofs++] = (uint32_t)i;
    }
    *unknown += c.unknown;
    return rules;
}

static void value_fini(struct value_rules *v)
{
    if (v->text->pattern)
        regex_free(&v->text->pattern);
    if (v->text->well_known)
        regex_free(&v->text->well_known);
}

void message_rules_fini(struct message_rules *rules)
{
    for (size_t i = 0; i < rules->n_fields; i++) {
        value_fini(&rules->fields[i].value);
        value_fini(&rules->fields[i].key);
    }
}
