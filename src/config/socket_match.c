#include "config/socket_match.h"

#include "config/socket_matcher.h"
#include "config/tls_decode.h"
#include "config/upb_util.h"
#include "config/wire_slice.h"
#include "envoy/config/cluster/v3/cluster.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "google/protobuf/struct.upb.h"

#define CLUSTER(f) envoy_config_cluster_v3_Cluster_##f
#define VALUE(f) google_protobuf_Value_##f

enum { FIELD_MATCHES = 43, FIELD_MATCHER = 59, FIELD_MATCH = 2, VALUE_DEPTH_MAX = 32 };

static const upb_StringView metadata_key = {"envoy.transport_socket_match", 28};

static bool take_matches(struct decode_context *ctx, struct cluster *c,
                         const envoy_config_cluster_v3_Cluster *m, struct bytes wire,
                         struct error *err)
{
    struct arena *a = c->node.arena;
    size_t n;
    const CLUSTER(TransportSocketMatch) *const *list = CLUSTER(transport_socket_matches)(m, &n);
    struct wire_field f;
    if (n > SOCKET_MATCHES_MAX)
        return error_set(err, "transport_socket_matches: more than %d", SOCKET_MATCHES_MAX);
    if (n == 0)
        return true;
    c->socket_matches = ARENA_ARRAY(a, struct socket_match, n);
    while (wire_next(&wire, &f) && c->n_socket_matches < n) {
        if (f.number != FIELD_MATCHES || f.type != WIRE_BYTES)
            continue;
        unsigned i = c->n_socket_matches;
        struct socket_match *to = &c->socket_matches[i];
        to->name = arena_dup(a, upb_bytes(CLUSTER(TransportSocketMatch_name)(list[i])));
        to->criteria = arena_dup(a, wire_message(a, f.bytes, FIELD_MATCH));
        c->n_socket_matches++;
        const envoy_config_core_v3_TransportSocket *ts =
            CLUSTER(TransportSocketMatch_transport_socket)(list[i]);
        if (!ts)
            return error_set(err,
                             "transport_socket_matches[%u].transport_socket: Didn't find a "
                             "registered implementation for '' with type URL: ''",
                             i);
        if (!transport_socket_decode(ctx, a, ts, false, "transport_socket", &to->tls, err))
            return error_prefix(err, "transport_socket_matches[%u].", i);
    }
    return true;
}

/* A matcher finds sockets by their names. */
static bool take_matcher(struct decode_context *ctx, struct cluster *c, struct bytes wire,
                         struct error *err)
{
    struct arena *a = c->node.arena;
    for (uint32_t i = 0; i < c->n_socket_matches; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (bytes_eq(c->socket_matches[i].name, c->socket_matches[k].name))
                return error_set(err,
                                 "Duplicate transport socket name '%.*s' found in "
                                 "transport_socket_matches",
                                 BYTES_ARG(c->socket_matches[i].name));
        }
    }
    return socket_matcher_decode(ctx, a, wire_message(a, wire, FIELD_MATCHER), &c->socket_matcher,
                                 err) ||
           error_prefix(err, "transport_socket_matcher.");
}

bool socket_matches_decode(struct decode_context *ctx, struct cluster *c,
                           const envoy_config_cluster_v3_Cluster *m, struct bytes wire,
                           struct error *err)
{
    return take_matches(ctx, c, m, wire, err) &&
           (!CLUSTER(transport_socket_matcher)(m) || take_matcher(ctx, c, wire, err));
}

static bool struct_equal(const google_protobuf_Struct *a, const google_protobuf_Struct *b,
                         unsigned depth);

static bool list_equal(const google_protobuf_ListValue *a, const google_protobuf_ListValue *b,
                       unsigned depth);

static bool value_equal(const google_protobuf_Value *a, const google_protobuf_Value *b,
                        unsigned depth)
{
    if (depth > VALUE_DEPTH_MAX || VALUE(kind_case)(a) != VALUE(kind_case)(b))
        return false;
    switch (VALUE(kind_case)(a)) {
    case VALUE(kind_null_value):
        return true;
    case VALUE(kind_number_value):
        return !(VALUE(number_value)(a) < VALUE(number_value)(b)) &&
               !(VALUE(number_value)(a) > VALUE(number_value)(b));
    case VALUE(kind_string_value):
        return bytes_eq(upb_bytes(VALUE(string_value)(a)), upb_bytes(VALUE(string_value)(b)));
    case VALUE(kind_bool_value):
        return VALUE(bool_value)(a) == VALUE(bool_value)(b);
    case VALUE(kind_struct_value):
        return struct_equal(VALUE(struct_value)(a), VALUE(struct_value)(b), depth + 1);
    case VALUE(kind_list_value):
        return list_equal(VALUE(list_value)(a), VALUE(list_value)(b), depth + 1);
    case VALUE(kind_NOT_SET):
        break;
    }
    return false; /* as Envoy: what has no kind equals nothing */
}

static bool list_equal(const google_protobuf_ListValue *a, const google_protobuf_ListValue *b,
                       unsigned depth)
{
    size_t n_a, n_b;
    const google_protobuf_Value *const *x = google_protobuf_ListValue_values(a, &n_a);
    const google_protobuf_Value *const *y = google_protobuf_ListValue_values(b, &n_b);
    if (n_a != n_b)
        return false;
    for (size_t i = 0; i < n_a; i++) {
        if (!value_equal(x[i], y[i], depth))
            return false;
    }
    return true;
}

/* All of `a` stands in `b`. */
static bool struct_within(const google_protobuf_Struct *a, const google_protobuf_Struct *b,
                          unsigned depth)
{
    size_t it = kUpb_Map_Begin;
    const google_protobuf_Struct_FieldsEntry *e;
    while ((e = google_protobuf_Struct_fields_next(a, &it))) {
        google_protobuf_Value *other;
        if (!google_protobuf_Struct_fields_get(b, google_protobuf_Struct_FieldsEntry_key(e),
                                               &other) ||
            !value_equal(google_protobuf_Struct_FieldsEntry_value(e), other, depth))
            return false;
    }
    return true;
}

static bool struct_equal(const google_protobuf_Struct *a, const google_protobuf_Struct *b,
                         unsigned depth)
{
    return google_protobuf_Struct_fields_size(a) == google_protobuf_Struct_fields_size(b) &&
           struct_within(a, b, depth);
}

void socket_picker_init(struct socket_picker *p, const struct cluster *c, upb_Arena *arena)
{
    p->n = 0;
    p->by_matcher = c && c->socket_matcher ? c : NULL;
    for (uint32_t i = 0; c && i < c->n_socket_matches; i++) {
        struct bytes b = c->socket_matches[i].criteria;
        p->criteria[p->n++] = google_protobuf_Struct_parse(b.data, b.len, arena);
    }
}

static bool matches(const google_protobuf_Struct *criteria,
                    const envoy_config_core_v3_Metadata *metadata)
{
    google_protobuf_Struct *of;
    if (!criteria)
        return false; /* no memory to read it: another will do */
    if (google_protobuf_Struct_fields_size(criteria) == 0)
        return true;
    return metadata &&
           envoy_config_core_v3_Metadata_filter_metadata_get(metadata, metadata_key, &of) &&
           struct_within(criteria, of, 0);
}

/* 0: there is none of that name, or it is no name. */
static unsigned named(const struct cluster *c, struct bytes name)
{
    for (uint32_t i = 0; name.data && i < c->n_socket_matches; i++) {
        if (bytes_eq(c->socket_matches[i].name, name))
            return i + 1;
    }
    return 0;
}

unsigned socket_picker_find(const struct socket_picker *p,
                            const envoy_config_core_v3_Metadata *endpoint,
                            const envoy_config_core_v3_Metadata *locality)
{
    if (p->by_matcher)
        return named(p->by_matcher,
                     socket_matcher_find(p->by_matcher->socket_matcher, endpoint, locality));
    for (unsigned i = 0; i < p->n; i++) {
        if (matches(p->criteria[i], endpoint))
            return i + 1;
    }
    for (unsigned i = 0; locality && i < p->n; i++) {
        if (matches(p->criteria[i], locality))
            return i + 1;
    }
    return 0;
}

bool socket_matches_equal(const struct cluster *a, const struct cluster *b)
{
    bool equal = a->n_socket_matches == b->n_socket_matches &&
                 socket_matcher_equal(a->socket_matcher, b->socket_matcher);
    for (uint32_t i = 0; equal && i < a->n_socket_matches; i++)
        equal = bytes_eq(a->socket_matches[i].criteria, b->socket_matches[i].criteria) &&
                bytes_eq(a->socket_matches[i].name, b->socket_matches[i].name);
    return equal;
}
