#include "config/node_match.h"

#include "config/matcher.h"
#include "config/upb_util.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/service/status/v3/csds.upb.h"
#include "envoy/type/matcher/v3/node.upb.h"
#include "envoy/type/matcher/v3/number.upb.h"
#include "envoy/type/matcher/v3/string.upb.h"
#include "envoy/type/matcher/v3/struct.upb.h"
#include "envoy/type/matcher/v3/value.upb.h"
#include "envoy/type/v3/range.upb.h"
#include "google/protobuf/struct.upb.h"

#define M(f) envoy_type_matcher_v3_##f
#define VALUE(f) google_protobuf_Value_##f
#define REQUEST(f) envoy_service_status_v3_ClientStatusRequest_##f

typedef google_protobuf_Value value_msg;
typedef envoy_type_matcher_v3_ValueMatcher matcher_msg;

/* What one reading needs; all of it goes when it ends. */
struct reading {
    struct arena *arena;
    struct regex_list regexes;
    struct error *err;
    bool failed;
};

static bool string_matches(struct reading *r, const envoy_type_matcher_v3_StringMatcher *m,
                           struct bytes text)
{
    struct string_matcher s = {0};
    if (!string_matcher_decode(m, r->arena, &r->regexes, &s, r->err)) {
        r->failed = true;
        return false;
    }
    return string_matcher_match(&s, text);
}

static bool double_matches(const envoy_type_matcher_v3_DoubleMatcher *m, double d)
{
    const envoy_type_v3_DoubleRange *range = M(DoubleMatcher_range)(m);
    if (range)
        return d >= envoy_type_v3_DoubleRange_start(range) &&
               d < envoy_type_v3_DoubleRange_end(range);
    return d == M(DoubleMatcher_exact)(m);
}

static bool value_matches(struct reading *r, const matcher_msg *m, const value_msg *v);

static bool list_matches(struct reading *r, const envoy_type_matcher_v3_ListMatcher *m,
                         const google_protobuf_ListValue *list)
{
    const matcher_msg *one = M(ListMatcher_one_of)(m);
    size_t n;
    const value_msg *const *values = google_protobuf_ListValue_values(list, &n);
    for (size_t i = 0; one && i < n; i++) {
        if (value_matches(r, one, values[i]))
            return true;
    }
    return false;
}

static bool or_matches(struct reading *r, const envoy_type_matcher_v3_OrMatcher *m,
                       const value_msg *v)
{
    size_t n;
    const matcher_msg *const *list = M(OrMatcher_value_matchers)(m, &n);
    for (size_t i = 0; i < n; i++) {
        if (value_matches(r, list[i], v))
            return true;
    }
    return false;
}

/* v NULL: there is no such value. */
static bool value_matches(struct reading *r, const matcher_msg *m, const value_msg *v)
{
    switch (M(ValueMatcher_match_pattern_case)(m)) {
    case M(ValueMatcher_match_pattern_null_match):
        return v && VALUE(has_null_value)(v);
    case M(ValueMatcher_match_pattern_double_match):
        return v && VALUE(has_number_value)(v) &&
               double_matches(M(ValueMatcher_double_match)(m), VALUE(number_value)(v));
    case M(ValueMatcher_match_pattern_string_match):
        return v && VALUE(has_string_value)(v) &&
               string_matches(r, M(ValueMatcher_string_match)(m),
                              upb_bytes(VALUE(string_value)(v)));
    case M(ValueMatcher_match_pattern_bool_match):
        return v && VALUE(has_bool_value)(v) &&
               VALUE(bool_value)(v) == M(ValueMatcher_bool_match)(m);
    case M(ValueMatcher_match_pattern_present_match):
        return (v != NULL) == M(ValueMatcher_present_match)(m);
    case M(ValueMatcher_match_pattern_list_match):
        return v && VALUE(has_list_value)(v) &&
               list_matches(r, M(ValueMatcher_list_match)(m), VALUE(list_value)(v));
    case M(ValueMatcher_match_pattern_or_match):
        return or_matches(r, M(ValueMatcher_or_match)(m), v);
    case M(ValueMatcher_match_pattern_NOT_SET):
        break;
    }
    r->failed = !error_set(r->err, "match_pattern: is required");
    return false;
}

static const value_msg *value_at(const google_protobuf_Struct *s,
                                 const envoy_type_matcher_v3_StructMatcher_PathSegment *const *path,
                                 size_t n)
{
    value_msg *v = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!s || !google_protobuf_Struct_fields_get((google_protobuf_Struct *)s,
                                                     M(StructMatcher_PathSegment_key)(path[i]), &v))
            return NULL;
        s = VALUE(has_struct_value)(v) ? VALUE(struct_value)(v) : NULL;
    }
    return v;
}

static bool metadata_matches(struct reading *r, const envoy_type_matcher_v3_StructMatcher *m,
                             const google_protobuf_Struct *metadata)
{
    size_t n;
    const envoy_type_matcher_v3_StructMatcher_PathSegment *const *path =
        M(StructMatcher_path)(m, &n);
    const matcher_msg *value = M(StructMatcher_value)(m);
    if (n == 0 || !value) {
        r->failed = !error_set(r->err, n ? "value: is required" : "path: is required");
        return false;
    }
    return value_matches(r, value, value_at(metadata, path, n));
}

/* Its id and all of the metadata that it names. */
static bool node_matches(struct reading *r, const envoy_type_matcher_v3_NodeMatcher *m,
                         const envoy_config_core_v3_Node *node)
{
    size_t n;
    const envoy_type_matcher_v3_StringMatcher *id = M(NodeMatcher_node_id)(m);
    const envoy_type_matcher_v3_StructMatcher *const *list = M(NodeMatcher_node_metadatas)(m, &n);
    bool all = !id || string_matches(r, id, upb_bytes(envoy_config_core_v3_Node_id(node)));
    if (r->failed)
        error_prefix(r->err, "node_id.");
    for (size_t i = 0; i < n && !r->failed; i++) {
        all &= metadata_matches(r, list[i], envoy_config_core_v3_Node_metadata(node));
        if (r->failed)
            error_prefix(r->err, "node_metadatas[%zu].", i);
    }
    return all;
}

static void read_matchers(struct reading *r, const envoy_service_status_v3_ClientStatusRequest *m,
                          const envoy_config_core_v3_Node *node, struct client_status_request *out)
{
    size_t n;
    const envoy_type_matcher_v3_NodeMatcher *const *list = REQUEST(node_matchers)(m, &n);
    out->matches = n == 0;
    out->exclude_resource_contents = REQUEST(exclude_resource_contents)(m);
    for (size_t i = 0; i < n && !r->failed; i++) {
        out->matches |= node_matches(r, list[i], node);
        if (r->failed)
            error_prefix(r->err, "node_matchers[%zu].", i);
    }
}

bool client_status_request_read(struct bytes request, struct bytes node,
                                struct client_status_request *out, struct error *err)
{
    upb_Arena *a = upb_Arena_New();
    struct reading r = {.arena = arena_new(0), .err = err};
    const envoy_service_status_v3_ClientStatusRequest *m =
        REQUEST(parse)(request.len ? request.data : "", request.len, a);
    const envoy_config_core_v3_Node *n =
        envoy_config_core_v3_Node_parse(node.len ? node.data : "", node.len, a);
    *out = (struct client_status_request){0};
    if (m && n)
        read_matchers(&r, m, n, out);
    else
        r.failed = !error_set(err, "the bytes are no ClientStatusRequest");
    regex_list_fini(&r.regexes);
    arena_free(&r.arena);
    upb_Arena_Free(a);
    return !r.failed;
}
