#include "config/sensitive.h"

#include <string.h>
#include <upb/array.h>
#include <upb/def.h>
#include <upb/map.h>
#include <upb/reflection.h>
#include <upb/upb.h>

#include "config/typed.h"

struct search {
    struct descriptors *d;
    struct arena *scratch;
    upb_Arena *messages;
    unsigned nesting;
};

static bool in_message(struct search *s, const upb_MessageDef *m, const upb_Message *msg);

static struct bytes view(upb_StringView v)
{
    return bytes_from(v.data, v.size);
}

static bool in_bytes(struct search *s, struct bytes type_name, struct bytes body)
{
    struct error err = ERROR_INIT;
    const upb_MessageDef *m = descriptors_message(s->d, type_name);
    if (!m)
        return false; /* a type that nothing here acts on */
    const upb_Message *msg = descriptors_view(m, body, s->messages, &err);
    error_fini(&err);
    return !msg || in_message(s, m, msg);
}

static bool in_any(struct search *s, const upb_MessageDef *any, const upb_Message *msg)
{
    const upb_FieldDef *type = upb_MessageDef_FindFieldByNumber(any, kUpb_Any_TypeFieldNumber);
    const upb_FieldDef *value = upb_MessageDef_FindFieldByNumber(any, kUpb_Any_ValueFieldNumber);
    struct error err = ERROR_INIT;
    struct typed typed;
    bool ok = typed_unwrap(s->d, view(upb_Message_Get(msg, type).str_val),
                           view(upb_Message_Get(msg, value).str_val), s->scratch, &typed, &err);
    error_fini(&err);
    return !ok || in_bytes(s, typed.type_name, typed.value);
}

static bool in_single(struct search *s, const upb_FieldDef *f, upb_MessageValue v)
{
    const upb_MessageDef *m = upb_FieldDef_MessageSubDef(f);
    if (upb_MessageDef_WellKnownType(m) == kUpb_WellKnown_Any)
        return in_any(s, m, v.msg_val);
    return upb_MessageDef_WellKnownType(m) == kUpb_WellKnown_Unspecified &&
           in_message(s, m, v.msg_val);
}

/* A DataSource that only says where. */
static bool is_elsewhere(const upb_FieldDef *f, upb_MessageValue v)
{
    const upb_MessageDef *m = upb_FieldDef_IsSubMessage(f) ? upb_FieldDef_MessageSubDef(f) : NULL;
    if (!m || strcmp(upb_MessageDef_FullName(m), "envoy.config.core.v3.DataSource") != 0)
        return false;
    const upb_FieldDef *bytes = upb_MessageDef_FindFieldByName(m, "inline_bytes");
    const upb_FieldDef *text = upb_MessageDef_FindFieldByName(m, "inline_string");
    return !upb_Message_Has(v.msg_val, bytes) && !upb_Message_Has(v.msg_val, text);
}

static bool in_value(struct search *s, const upb_FieldDef *f, bool sensitive, upb_MessageValue v)
{
    if (sensitive)
        return !is_elsewhere(f, v);
    return upb_FieldDef_IsSubMessage(f) && in_single(s, f, v);
}

static bool in_map(struct search *s, const upb_FieldDef *f, bool sensitive, const upb_Map *map)
{
    const upb_FieldDef *value = upb_MessageDef_FindFieldByNumber(upb_FieldDef_MessageSubDef(f), 2);
    size_t it = kUpb_Map_Begin;
    bool found = false;
    while (!found && upb_MapIterator_Next(map, &it))
        found = in_value(s, value, sensitive, upb_MapIterator_Value(map, it));
    return found;
}

static bool in_field(struct search *s, const upb_FieldDef *f, upb_MessageValue v)
{
    bool sensitive = descriptors_field_sensitive(f), found = false;
    if (!sensitive && !upb_FieldDef_IsSubMessage(f))
        return false;
    if (upb_FieldDef_IsMap(f))
        return in_map(s, f, sensitive, v.map_val);
    if (!upb_FieldDef_IsRepeated(f))
        return in_value(s, f, sensitive, v);
    for (size_t i = 0; !found && i < upb_Array_Size(v.array_val); i++)
        found = in_value(s, f, sensitive, upb_Array_Get(v.array_val, i));
    return found;
}

static bool in_message(struct search *s, const upb_MessageDef *m, const upb_Message *msg)
{
    size_t it = (size_t)kUpb_Message_Begin;
    const upb_FieldDef *f;
    upb_MessageValue v;
    bool found = s->nesting >= DESCRIPTORS_MAX_DEPTH;
    s->nesting++;
    while (!found && upb_Message_Next(msg, m, NULL, &f, &v, &it))
        found = in_field(s, f, v);
    s->nesting--;
    return found;
}

bool sensitive_found(struct descriptors *d, struct bytes type_name, struct bytes body)
{
    struct search s = {.d = d, .messages = upb_Arena_New(), .scratch = arena_new(0)};
    CHECK(s.messages != NULL);
    bool found = in_bytes(&s, type_name, body);
    upb_Arena_Free(s.messages);
    arena_free(&s.scratch);
    return found;
}
