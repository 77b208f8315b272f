#include "config/json_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <upb/array.h>
#include <upb/def.h>
#include <upb/map.h>
#include <upb/reflection.h>
#include <upb/upb.h>

#include "base/memory.h"
#include "config/json_scalar.h"
#include "config/typed.h"
#include "config/wire.h"

struct json_writer {
    struct descriptors *d;
    const struct json_write_options *options;
    struct strbuf *out;
    struct strbuf path; /* only kept when there is a report */
    upb_Arena *arena;   /* of decoded messages */
    unsigned indent;
    unsigned nesting;  /* messages around this one, those outside an Any included */
    unsigned redacted; /* values hidden so far */
};

static void write_message(struct json_writer *w, const upb_MessageDef *m, const upb_Message *msg,
                          bool sensitive);
static void write_any(struct json_writer *w, struct bytes url, struct bytes value);

/* --- layout --- */

static void new_line(struct json_writer *w)
{
    if (w->options->compact)
        return;
    strbuf_add_char(w->out, '\n');
    for (unsigned i = 0; i < w->indent; i++)
        strbuf_add_char(w->out, ' ');
}

static void open_block(struct json_writer *w, char c)
{
    strbuf_add_char(w->out, c);
    w->indent++;
}

/* n: how many things the block holds. */
static void close_block(struct json_writer *w, char c, size_t n)
{
    w->indent--;
    if (n > 0)
        new_line(w);
    strbuf_add_char(w->out, c);
}

static void next_item(struct json_writer *w, size_t *n)
{
    if ((*n)++ > 0)
        strbuf_add_char(w->out, ',');
    new_line(w);
}

static void write_key(struct json_writer *w, size_t *n, struct bytes key)
{
    next_item(w, n);
    json_scalar_add_string(w->out, key);
    strbuf_add_str(w->out, w->options->compact ? ":" : ": ");
}

static size_t enter(struct json_writer *w, const char *field)
{
    size_t at = w->path.len;
    if (w->options->report)
        strbuf_printf(&w->path, "%s%s", at ? "." : "", field);
    return at;
}

static size_t enter_index(struct json_writer *w, size_t index)
{
    size_t at = w->path.len;
    if (w->options->report)
        strbuf_printf(&w->path, "[%zu]", index);
    return at;
}

static struct bytes view(upb_StringView s)
{
    return bytes_from(s.data, s.size);
}

/* --- single values --- */

static void write_enum(struct json_writer *w, const upb_FieldDef *f, int32_t number)
{
    const upb_EnumDef *e = upb_FieldDef_EnumSubDef(f);
    const upb_EnumValueDef *v = upb_EnumDef_FindValueByNumber(e, number);
    if (strcmp(upb_EnumDef_FullName(e), "google.protobuf.NullValue") == 0)
        strbuf_add_str(w->out, "null");
    else if (v)
        json_scalar_add_string(w->out, bytes_of(upb_EnumValueDef_Name(v)));
    else
        strbuf_printf(w->out, "%" PRId32, number);
}

static void write_scalar(struct json_writer *w, const upb_FieldDef *f, upb_MessageValue v)
{
    switch (upb_FieldDef_CType(f)) {
    case kUpb_CType_Bool:
        strbuf_add_str(w->out, v.bool_val ? "true" : "false");
        break;
    case kUpb_CType_Float:
        json_scalar_add_float(w->out, v.float_val);
        break;
    case kUpb_CType_Double:
        json_scalar_add_double(w->out, v.double_val);
        break;
    case kUpb_CType_Int32:
        strbuf_printf(w->out, "%" PRId32, v.int32_val);
        break;
    case kUpb_CType_UInt32:
        strbuf_printf(w->out, "%" PRIu32, v.uint32_val);
        break;
    case kUpb_CType_Int64:
        strbuf_printf(w->out, "\"%" PRId64 "\"", v.int64_val);
        break;
    case kUpb_CType_UInt64:
        strbuf_printf(w->out, "\"%" PRIu64 "\"", v.uint64_val);
        break;
    case kUpb_CType_String:
        json_scalar_add_string(w->out, view(v.str_val));
        break;
    case kUpb_CType_Bytes:
        strbuf_add_char(w->out, '"');
        json_scalar_add_base64(w->out, view(v.str_val));
        strbuf_add_char(w->out, '"');
        break;
    case kUpb_CType_Enum:
        write_enum(w, f, v.int32_val);
        break;
    case kUpb_CType_Message:
        CHECK(!"a message is written elsewhere");
    }
}

/* Envoy puts "[redacted]" for strings and bytes, and drops other values: the caller has asked
 * is_dropped() first. */
static void write_single(struct json_writer *w, const upb_FieldDef *f, upb_MessageValue v,
                         bool sensitive)
{
    if (upb_FieldDef_IsSubMessage(f)) {
        write_message(w, upb_FieldDef_MessageSubDef(f), v.msg_val, sensitive);
        return;
    }
    if (sensitive) {
        v.str_val = upb_StringView_FromDataAndSize("[redacted]", 10);
        w->redacted++;
    }
    write_scalar(w, f, v);
}

static bool is_dropped(const upb_FieldDef *f, bool sensitive)
{
    return sensitive && !upb_FieldDef_IsSubMessage(f) && !upb_FieldDef_IsString(f);
}

/* --- repeated and maps --- */

static void write_list(struct json_writer *w, const upb_FieldDef *f, const upb_Array *list,
                       bool sensitive)
{
    size_t written = 0, n = list ? upb_Array_Size(list) : 0;
    open_block(w, '[');
    for (size_t i = 0; i < n && !is_dropped(f, sensitive); i++) {
        size_t at = enter_index(w, i);
        next_item(w, &written);
        write_single(w, f, upb_Array_Get(list, i), sensitive);
        strbuf_cut(&w->path, at);
    }
    close_block(w, ']', written);
}

struct map_item {
    char *key; /* as text */
    size_t len;
    upb_MessageValue value;
};

static int by_key(const void *a, const void *b)
{
    const struct map_item *x = a, *y = b;
    return bytes_cmp(bytes_from(x->key, x->len), bytes_from(y->key, y->len));
}

static void map_key_text(const upb_FieldDef *f, upb_MessageValue key, struct strbuf *out)
{
    switch ((int)upb_FieldDef_CType(f)) {
    case kUpb_CType_Bool:
        strbuf_add_str(out, key.bool_val ? "true" : "false");
        break;
    case kUpb_CType_Int32:
        strbuf_printf(out, "%" PRId32, key.int32_val);
        break;
    case kUpb_CType_UInt32:
        strbuf_printf(out, "%" PRIu32, key.uint32_val);
        break;
    case kUpb_CType_Int64:
        strbuf_printf(out, "%" PRId64, key.int64_val);
        break;
    case kUpb_CType_UInt64:
        strbuf_printf(out, "%" PRIu64, key.uint64_val);
        break;
    default:
        strbuf_add_bytes(out, view(key.str_val));
        break;
    }
}

static struct map_item *sorted_items(const upb_FieldDef *key_field, const upb_Map *map, size_t *n)
{
    struct map_item *items = NULL;
    size_t cap = 0, it = kUpb_Map_Begin;
    *n = 0;
    while (map && upb_MapIterator_Next(map, &it)) {
        struct strbuf key = STRBUF_INIT;
        map_key_text(key_field, upb_MapIterator_Key(map, it), &key);
        GROW(items, cap, *n + 1);
        items[*n].len = key.len;
        items[*n].key = strbuf_detach(&key);
        items[(*n)++].value = upb_MapIterator_Value(map, it);
    }
    if (*n > 1)
        qsort(items, *n, sizeof(*items), by_key);
    return items;
}

static void write_map(struct json_writer *w, const upb_FieldDef *f, const upb_Map *map,
                      bool sensitive)
{
    const upb_MessageDef *entry = upb_FieldDef_MessageSubDef(f);
    const upb_FieldDef *key_field = upb_MessageDef_FindFieldByNumber(entry, 1);
    const upb_FieldDef *value_field = upb_MessageDef_FindFieldByNumber(entry, 2);
    size_t n, written = 0;
    struct map_item *items = sorted_items(key_field, map, &n);
    open_block(w, '{');
    for (size_t i = 0; i < n; i++) {
        struct bytes key = bytes_from(items[i].key, items[i].len);
        size_t at = w->path.len;
        if (w->options->report)
            strbuf_printf(&w->path, "[\"%.*s\"]", BYTES_ARG(key));
        if (!is_dropped(value_field, sensitive)) {
            write_key(w, &written, key);
            write_single(w, value_field, items[i].value, sensitive);
        }
        strbuf_cut(&w->path, at);
        mem_free(items[i].key);
    }
    mem_free(items);
    close_block(w, '}', written);
}

static void write_field(struct json_writer *w, const upb_FieldDef *f, upb_MessageValue v,
                        bool sensitive)
{
    if (upb_FieldDef_IsMap(f))
        write_map(w, f, v.map_val, sensitive);
    else if (upb_FieldDef_IsRepeated(f))
        write_list(w, f, v.array_val, sensitive);
    else
        write_single(w, f, v, sensitive);
}

/* --- well-known types --- */

static upb_MessageValue get_number(const upb_MessageDef *m, const upb_Message *msg, uint32_t number)
{
    const upb_FieldDef *f = upb_MessageDef_FindFieldByNumber(m, number);
    CHECK(f != NULL);
    return upb_Message_Get(msg, f);
}

static void write_time(struct json_writer *w, const upb_MessageDef *m, const upb_Message *msg,
                       bool duration)
{
    int64_t seconds = get_number(m, msg, kUpb_Duration_SecondsFieldNumber).int64_val;
    int32_t nanos = get_number(m, msg, kUpb_Duration_NanosFieldNumber).int32_val;
    strbuf_add_char(w->out, '"');
    bool ok = duration ? json_scalar_add_duration(w->out, seconds, nanos)
                       : json_scalar_add_timestamp(w->out, seconds, nanos);
    if (!ok) /* no JSON exists for it; better shown than lost */
        strbuf_printf(w->out, "%" PRId64 "s %" PRId32 "ns", seconds, nanos);
    strbuf_add_char(w->out, '"');
}

static void write_field_mask(struct json_writer *w, const upb_MessageDef *m, const upb_Message *msg)
{
    const upb_Array *paths = get_number(m, msg, 1).array_val;
    strbuf_add_char(w->out, '"');
    for (size_t i = 0; paths && i < upb_Array_Size(paths); i++) {
        if (i)
            strbuf_add_char(w->out, ',');
        struct bytes path = view(upb_Array_Get(paths, i).str_val);
        struct strbuf camel = STRBUF_INIT, snake = STRBUF_INIT, quoted = STRBUF_INIT;
        json_scalar_camel(path, &camel);
        json_scalar_snake(strbuf_bytes(&camel), &snake);
        bool same = bytes_eq(strbuf_bytes(&snake), path); /* "a__b" has no other name */
        json_scalar_add_string(&quoted, same ? strbuf_bytes(&camel) : path);
        strbuf_add(w->out, quoted.data + 1, quoted.len - 2);
        strbuf_fini(&camel);
        strbuf_fini(&snake);
        strbuf_fini(&quoted);
    }
    strbuf_add_char(w->out, '"');
}

static void write_value(struct json_writer *w, const upb_MessageDef *m, const upb_Message *msg,
                        bool sensitive)
{
    const upb_OneofDef *kind = upb_MessageDef_FindOneofByName(m, "kind");
    const upb_FieldDef *f = upb_Message_WhichOneof(msg, kind);
    if (!f || is_dropped(f, sensitive))
        strbuf_add_str(w->out, "null");
    else
        write_single(w, f, upb_Message_Get(msg, f), sensitive);
}

/* Types whose JSON is something else than an object of their fields. */
static bool write_well_known(struct json_writer *w, const upb_MessageDef *m, const upb_Message *msg,
                             bool sensitive)
{
    const upb_FieldDef *first = upb_MessageDef_FindFieldByNumber(m, 1);
    switch (upb_MessageDef_WellKnownType(m)) {
    case kUpb_WellKnown_Unspecified:
        return false;
    case kUpb_WellKnown_Any:
        write_any(w, view(get_number(m, msg, kUpb_Any_TypeFieldNumber).str_val),
                  view(get_number(m, msg, kUpb_Any_ValueFieldNumber).str_val));
        return true;
    case kUpb_WellKnown_FieldMask:
        write_field_mask(w, m, msg);
        return true;
    case kUpb_WellKnown_Duration:
    case kUpb_WellKnown_Timestamp:
        write_time(w, m, msg, upb_MessageDef_WellKnownType(m) == kUpb_WellKnown_Duration);
        return true;
    case kUpb_WellKnown_Value:
        write_value(w, m, msg, sensitive);
        return true;
    case kUpb_WellKnown_DoubleValue:
    case kUpb_WellKnown_FloatValue:
    case kUpb_WellKnown_Int64Value:
    case kUpb_WellKnown_UInt64Value:
    case kUpb_WellKnown_Int32Value:
    case kUpb_WellKnown_UInt32Value:
    case kUpb_WellKnown_StringValue:
    case kUpb_WellKnown_BytesValue:
    case kUpb_WellKnown_BoolValue:
        if (is_dropped(first, sensitive))
            strbuf_add_str(w->out, "null");
        else
            write_single(w, first, upb_Message_Get(msg, first), sensitive);
        return true;
    case kUpb_WellKnown_ListValue:
    case kUpb_WellKnown_Struct:
        write_field(w, first, upb_Message_Get(msg, first), sensitive);
        return true;
    }
    return false;
}

/* --- messages --- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = upb_FieldDef_Number(*(const upb_FieldDef *const *)a);
    uint32_t y = upb_FieldDef_Number(*(const upb_FieldDef *const *)b);
    return x < y ? -1 : x > y;
}

static bool is_set(const upb_Message *msg, const upb_FieldDef *f)
{
    if (upb_FieldDef_HasPresence(f))
        return upb_Message_Has(msg, f);
    upb_MessageValue v = upb_Message_Get(msg, f);
    if (upb_FieldDef_IsMap(f))
        return v.map_val && upb_Map_Size(v.map_val) > 0;
    if (upb_FieldDef_IsRepeated(f))
        return v.array_val && upb_Array_Size(v.array_val) > 0;
    switch (upb_FieldDef_CType(f)) {
    case kUpb_CType_Bool:
        return v.bool_val;
    case kUpb_CType_Float: {
        float zero = 0;
        return memcmp(&v.float_val, &zero, sizeof(zero)) != 0;
    }
    case kUpb_CType_Double:
    case kUpb_CType_Int64:
    case kUpb_CType_UInt64:
        return v.uint64_val != 0;
    case kUpb_CType_Int32:
    case kUpb_CType_UInt32:
    case kUpb_CType_Enum:
        return v.uint32_val != 0;
    case kUpb_CType_String:
    case kUpb_CType_Bytes:
        return v.str_val.size > 0;
    case kUpb_CType_Message:
        break;
    }
    return false;
}

/* The fields to print, by number; the caller frees the array. */
static const upb_FieldDef **fields_to_write(const struct json_writer *w, const upb_MessageDef *m,
                                            const upb_Message *msg, size_t *n)
{
    int count = upb_MessageDef_FieldCount(m);
    const upb_FieldDef **fields = mem_alloc(sizeof(*fields) * (size_t)(count + 1));
    *n = 0;
    for (int i = 0; i < count; i++) {
        const upb_FieldDef *f = upb_MessageDef_Field(m, i);
        bool always =
            w->options->defaults && (upb_FieldDef_IsRepeated(f) || !upb_FieldDef_HasPresence(f));
        if (always || is_set(msg, f))
            fields[(*n)++] = f;
    }
    if (*n > 1)
        qsort(fields, *n, sizeof(*fields), by_number);
    return fields;
}

static void report_unknown(struct json_writer *w, const upb_Message *msg)
{
    size_t len;
    const char *data = upb_Message_GetUnknown(msg, &len);
    struct bytes rest = bytes_from(data, data ? len : 0);
    struct wire_field f;
    while (w->options->report && wire_next(&rest, &f)) {
        char number[16];
        snprintf(number, sizeof(number), "%u", f.number);
        size_t at = enter(w, number);
        field_report_add(w->options->report, FIELD_UNKNOWN, strbuf_bytes(&w->path), "");
        strbuf_cut(&w->path, at);
    }
}

/* A TypedStruct can carry a secret under a name: its value is shown as the message that it stands
 * for if something of that has to be hidden. False: show the Struct. */
static bool write_redacted_struct(struct json_writer *w, const upb_MessageDef *m,
                                  const upb_Message *msg)
{
    struct error err = ERROR_INIT;
    struct bytes body;
    struct typed typed;
    struct arena *arena = arena_new(0);
    unsigned before = w->redacted;
    size_t start = w->out->len;
    struct bytes name = bytes_of(upb_MessageDef_FullName(m));
    bool ok = descriptors_encode(m, msg, w->arena, &body, &err) &&
              typed_unwrap(w->d, name, body, arena, &typed, &err) &&
              !bytes_eq(typed.type_name, name);
    const upb_MessageDef *inner = ok ? descriptors_message(w->d, typed.type_name) : NULL;
    const upb_Message *content =
        inner ? descriptors_decode(inner, arena_dup(arena, typed.value), w->arena, &err) : NULL;
    if (content)
        write_message(w, inner, content, false);
    bool hidden = content && w->redacted > before;
    if (!hidden && content)
        strbuf_cut(w->out, start);
    error_fini(&err);
    arena_free(&arena);
    return hidden;
}

static void write_fields(struct json_writer *w, const upb_MessageDef *m, const upb_Message *msg,
                         bool sensitive, size_t *written)
{
    size_t n;
    const upb_FieldDef **fields = fields_to_write(w, m, msg, &n);
    bool hide = w->options->redact;
    bool typed_struct = hide && typed_is_typed_struct(bytes_of(upb_MessageDef_FullName(m)));
    for (size_t i = 0; i < n; i++) {
        const upb_FieldDef *f = fields[i];
        bool secret = hide && (sensitive || descriptors_field_sensitive(f));
        if (is_dropped(f, secret))
            continue;
        size_t at = enter(w, upb_FieldDef_Name(f));
        write_key(w, written, bytes_of(upb_FieldDef_Name(f)));
        if (!typed_struct || !upb_FieldDef_IsSubMessage(f) || !write_redacted_struct(w, m, msg))
            write_field(w, f, upb_Message_Get(msg, f), secret);
        strbuf_cut(&w->path, at);
    }
    report_unknown(w, msg);
    mem_free(fields);
}

static void write_message(struct json_writer *w, const upb_MessageDef *m, const upb_Message *msg,
                          bool sensitive)
{
    size_t written = 0;
    w->nesting++;
    if (!write_well_known(w, m, msg, sensitive)) {
        open_block(w, '{');
        write_fields(w, m, msg, sensitive, &written);
        close_block(w, '}', written);
    }
    w->nesting--;
}

static void write_any(struct json_writer *w, struct bytes url, struct bytes value)
{
    struct error err = ERROR_INIT;
    size_t written = 0;
    const upb_MessageDef *m = descriptors_type_url(w->d, url);
    const upb_Message *msg = NULL;
    if (m && w->nesting < DESCRIPTORS_MAX_DEPTH)
        msg = descriptors_decode(m, value, w->arena, &err);
    error_fini(&err);
    open_block(w, '{');
    if (url.len > 0 || value.len > 0) {
        write_key(w, &written, BYTES("@type"));
        json_scalar_add_string(w->out, url);
        if (!msg) {
            write_key(w, &written, BYTES("value"));
            strbuf_add_char(w->out, '"');
            json_scalar_add_base64(w->out, value);
            strbuf_add_char(w->out, '"');
        } else if (value.len == 0 && upb_MessageDef_WellKnownType(m) == kUpb_WellKnown_Value) {
            /* of no kind; null is one */
        } else if (upb_MessageDef_WellKnownType(m) != kUpb_WellKnown_Unspecified) {
            write_key(w, &written, BYTES("value"));
            write_message(w, m, msg, false);
        } else {
            w->nesting++;
            write_fields(w, m, msg, false, &written);
            w->nesting--;
        }
    }
    close_block(w, '}', written);
}

static void writer_init(struct json_writer *w, struct descriptors *d,
                        const struct json_write_options *options, struct strbuf *out)
{
    static const struct json_write_options none = {0};
    *w = (struct json_writer){.d = d, .options = options ? options : &none, .out = out};
    w->indent = w->options->depth;
    w->arena = upb_Arena_New();
    CHECK(w->arena != NULL);
}

static void writer_fini(struct json_writer *w)
{
    strbuf_fini(&w->path);
    upb_Arena_Free(w->arena);
}

bool json_write(struct descriptors *d, struct bytes message, struct bytes body,
                const struct json_write_options *options, struct strbuf *out, struct error *err)
{
    struct json_writer w;
    const upb_MessageDef *m = descriptors_message(d, message);
    if (!m)
        return error_set(err, "no message type %.*s is known", BYTES_ARG(message));
    writer_init(&w, d, options, out);
    const upb_Message *msg = descriptors_decode(m, body, w.arena, err);
    if (msg)
        write_message(&w, m, msg, false);
    writer_fini(&w);
    return msg != NULL;
}

void json_write_any(struct descriptors *d, struct bytes type_url, struct bytes value,
                    const struct json_write_options *options, struct strbuf *out)
{
    struct json_writer w;
    writer_init(&w, d, options, out);
    write_any(&w, type_url, value);
    writer_fini(&w);
}
