#include "filters/access_loggers/grpc/grpc_metadata_proto.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "config/json_scalar.h"
#include "config/upb_util.h"
#include "envoy/config/core/v3/base.upb.h"
#include "google/protobuf/struct.upb.h"

#define VALUE(f) google_protobuf_Value_##f
#define STRUCT(f) google_protobuf_Struct_##f

typedef google_protobuf_Value value_msg;
typedef google_protobuf_Struct struct_msg;
typedef google_protobuf_Struct_FieldsEntry entry_msg;

static upb_StringView view(struct bytes b)
{
    return upb_StringView_FromDataAndSize(b.data, b.len);
}

/* NULL: there is none. */
static const value_msg *find(struct bytes metadata, const struct grpc_log_tag *tag,
                             upb_Arena *scratch)
{
    const envoy_config_core_v3_Metadata *m = envoy_config_core_v3_Metadata_parse_ex(
        metadata.data, metadata.len, NULL, UPB_VIEW, scratch);
    struct_msg *at = NULL;
    value_msg *value = NULL;
    if (!m || !envoy_config_core_v3_Metadata_filter_metadata_get(m, view(tag->text), &at))
        return NULL;
    for (unsigned i = 0; i < tag->n_path; i++) {
        if (i > 0)
            at = (struct_msg *)VALUE(struct_value)(value);
        if (!at || !STRUCT(fields_get)(at, view(tag->path[i]), &value))
            return NULL;
    }
    return value;
}

static void add_json(struct strbuf *out, const value_msg *v);

static int by_key(const void *a, const void *b)
{
    const entry_msg *const *x = a, *const *y = b;
    return bytes_cmp(upb_bytes(STRUCT(FieldsEntry_key)(*x)),
                     upb_bytes(STRUCT(FieldsEntry_key)(*y)));
}

/* Sorted, so that entries look the same in every process. */
static void add_struct(struct strbuf *out, const struct_msg *s)
{
    size_t it = kUpb_Map_Begin, n = 0, size = STRUCT(fields_size)(s);
    const entry_msg **entries = mem_alloc((size + 1) * sizeof(entries[0]));
    while (n < size && (entries[n] = STRUCT(fields_next)(s, &it)))
        n++;
    qsort(entries, n, sizeof(entries[0]), by_key);
    strbuf_add_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            strbuf_add_char(out, ',');
        json_scalar_add_string(out, upb_bytes(STRUCT(FieldsEntry_key)(entries[i])));
        strbuf_add_char(out, ':');
        add_json(out, STRUCT(FieldsEntry_value)(entries[i]));
    }
    strbuf_add_char(out, '}');
    mem_free(entries);
}

static void add_list(struct strbuf *out, const google_protobuf_ListValue *l)
{
    size_t n;
    const value_msg *const *values = google_protobuf_ListValue_values(l, &n);
    strbuf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            strbuf_add_char(out, ',');
        add_json(out, values[i]);
    }
    strbuf_add_char(out, ']');
}

static void add_json(struct strbuf *out, const value_msg *v)
{
    switch (v ? VALUE(kind_case)(v) : VALUE(kind_NOT_SET)) {
    case VALUE(kind_string_value):
        json_scalar_add_string(out, upb_bytes(VALUE(string_value)(v)));
        return;
    case VALUE(kind_number_value):
        json_scalar_add_double(out, VALUE(number_value)(v));
        return;
    case VALUE(kind_bool_value):
        strbuf_add_str(out, VALUE(bool_value)(v) ? "true" : "false");
        return;
    case VALUE(kind_struct_value):
        add_struct(out, VALUE(struct_value)(v));
        return;
    case VALUE(kind_list_value):
        add_list(out, VALUE(list_value)(v));
        return;
    case VALUE(kind_null_value):
    case VALUE(kind_NOT_SET):
        break;
    }
    strbuf_add_str(out, "null");
}

struct bytes grpc_log_metadata(struct bytes metadata, const struct grpc_log_tag *tag,
                               upb_Arena *scratch, struct arena *text)
{
    const value_msg *v = metadata.len ? find(metadata, tag, scratch) : NULL;
    struct strbuf json = STRBUF_INIT;
    switch (v ? VALUE(kind_case)(v) : VALUE(kind_NOT_SET)) {
    case VALUE(kind_string_value):
        return arena_dup(text, upb_bytes(VALUE(string_value)(v)));
    case VALUE(kind_number_value): /* six digits, as Envoy */
        return bytes_of(arena_printf(text, "%g", VALUE(number_value)(v)));
    case VALUE(kind_null_value):
    case VALUE(kind_NOT_SET):
        return BYTES_NONE;
    case VALUE(kind_bool_value):
    case VALUE(kind_struct_value):
    case VALUE(kind_list_value):
        break;
    }
    add_json(&json, v);
    struct bytes made = arena_dup(text, strbuf_bytes(&json));
    strbuf_fini(&json);
    return made;
}
