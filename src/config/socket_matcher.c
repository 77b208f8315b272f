#include "config/socket_matcher.h"

#include <stdlib.h>

#include "config/decode_util.h"
#include "config/json_scalar.h"
#include "config/matcher.h"
#include "config/typed.h"
#include "config/wire_slice.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/type/matcher/v3/string.upb.h"
#include "google/protobuf/struct.upb.h"

#define INPUTS "envoy.extensions.matching.common_inputs.transport_socket.v3."
#define VALUE(f) google_protobuf_Value_##f

/* Field numbers of xds.type.matcher.v3.Matcher and what is in it. */
enum {
    MATCHER_LIST = 1,
    MATCHER_TREE = 2,
    MATCHER_NO_MATCH = 3,
    LIST_MATCHERS = 1,
    FIELD_PREDICATE = 1,
    FIELD_ON_MATCH = 2,
    PREDICATE_SINGLE = 1,
    PREDICATE_OR = 2,
    PREDICATE_AND = 3,
    PREDICATE_NOT = 4,
    PREDICATES = 1,
    SINGLE_INPUT = 1,
    SINGLE_VALUE = 2,
    TREE_INPUT = 1,
    TREE_EXACT = 2,
    TREE_PREFIX = 3,
    MAP_ENTRIES = 1,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    ON_MATCHER = 1,
    ON_ACTION = 2,
    ON_KEEP = 3,
    EXTENSION_CONFIG = 2,
    INPUT_FILTER = 1,
    INPUT_PATH = 2,
    SEGMENT_KEY = 1,
    ACTION_NAME = 1,
};
enum { DEPTH_MAX = 16, VALUE_TEXT_MAX = 40 };

struct input {
    bool of_locality;
    struct bytes filter;
    struct bytes *path;
    size_t n_path;
};

struct predicate {
    enum { SINGLE, ANY_OF, ALL_OF, NONE_OF } kind;
    struct input input;
    struct string_matcher value;
    struct predicate *children;
    size_t n_children;
};

/* What follows: one more matcher, or a name. */
struct follows {
    const struct level *next;
    struct bytes name;
};

struct rule {
    struct predicate predicate; /* of a list */
    struct bytes key;           /* of a map */
    struct follows follows;
};

struct level {
    enum { NOTHING, LIST, EXACT, PREFIX } kind;
    struct input input;
    struct rule *rules;
    size_t n_rules;
    struct follows otherwise;
};

struct socket_matcher {
    struct bytes wire;
    struct level *top;
    struct regex_list regexes;
};

struct reading {
    struct decode_context *ctx;
    struct arena *arena;
    struct regex_list *regexes;
    struct error *err;
};

static bool read_level(struct reading *r, struct bytes wire, unsigned depth, struct level **out);
static bool read_predicate(struct reading *r, struct bytes wire, unsigned depth,
                           struct predicate *out);

/* The next length-delimited field of that number. */
static bool next(struct bytes *wire, uint32_t number, struct bytes *out)
{
    struct wire_field f;
    while (wire_next(wire, &f)) {
        if (f.number == number && f.type == WIRE_BYTES) {
            *out = f.bytes;
            return true;
        }
    }
    return false;
}

/* --- reading --- */

static bool unwrap(struct reading *r, struct bytes extension, struct typed *out)
{
    struct bytes any = wire_message(r->arena, extension, EXTENSION_CONFIG);
    return typed_unwrap_any(r->ctx->descriptors, any, r->arena, out, r->err) &&
           decode_check(r->ctx, arena_str(r->arena, out->type_name), out->value, r->err);
}

static bool unknown(struct reading *r, struct bytes extension, const struct typed *t)
{
    struct bytes name = wire_find_bytes(extension, 1);
    return error_set(r->err,
                     "Didn't find a registered implementation for '%.*s' with type URL: '%.*s'",
                     BYTES_ARG(name), BYTES_ARG(t->type_name));
}

static bool read_input(struct reading *r, struct bytes extension, struct input *out)
{
    struct typed t;
    struct bytes rest, segment;
    if (!unwrap(r, extension, &t))
        return error_prefix(r->err, "input: ");
    out->of_locality = bytes_eq_str(t.type_name, INPUTS "LocalityMetadataInput");
    if (bytes_eq_str(t.type_name, INPUTS "FilterStateInput"))
        return error_set(r->err, "input: FilterStateInput is not implemented");
    if (!out->of_locality && !bytes_eq_str(t.type_name, INPUTS "EndpointMetadataInput"))
        return unknown(r, extension, &t);
    out->filter = wire_find_bytes(t.value, INPUT_FILTER);
    if (out->filter.len == 0)
        out->filter = BYTES("envoy.lb");
    out->path = ARENA_ARRAY(r->arena, struct bytes, wire_count(t.value, INPUT_PATH) + 1);
    rest = t.value;
    while (next(&rest, INPUT_PATH, &segment))
        out->path[out->n_path++] = wire_find_bytes(segment, SEGMENT_KEY);
    return true;
}

static bool read_follows(struct reading *r, struct bytes wire, unsigned depth, struct follows *out)
{
    struct bytes action = wire_message(r->arena, wire, ON_ACTION);
    struct typed t;
    if (wire_find_varint(wire, ON_KEEP, 0))
        return error_set(r->err, "keep_matching is not implemented");
    if (wire_has(wire, ON_MATCHER))
        return read_level(r, wire_message(r->arena, wire, ON_MATCHER), depth + 1,
                          (struct level **)(uintptr_t)&out->next);
    if (!unwrap(r, action, &t))
        return error_prefix(r->err, "action: ");
    if (!bytes_eq_str(t.type_name, INPUTS "TransportSocketNameAction"))
        return unknown(r, action, &t);
    out->name = wire_find_bytes(t.value, ACTION_NAME);
    return true;
}

/* The two languages of string matchers have the same numbers. */
static bool read_single(struct reading *r, struct bytes wire, struct predicate *out)
{
    struct bytes value = wire_message(r->arena, wire, SINGLE_VALUE);
    upb_Arena *messages = upb_Arena_New();
    const envoy_type_matcher_v3_StringMatcher *m = envoy_type_matcher_v3_StringMatcher_parse(
        value.data ? value.data : "", value.len, messages);
    bool ok = value.data ? true : error_set(r->err, "custom_match is not implemented");
    ok = ok && read_input(r, wire_message(r->arena, wire, SINGLE_INPUT), &out->input) &&
         (m || error_set(r->err, "value_match: the bytes are no StringMatcher")) &&
         string_matcher_decode(m, r->arena, r->regexes, &out->value, r->err);
    upb_Arena_Free(messages);
    return ok;
}

static bool read_children(struct reading *r, struct bytes wire, unsigned depth,
                          struct predicate *out)
{
    struct bytes child;
    out->children = ARENA_ARRAY(r->arena, struct predicate, wire_count(wire, PREDICATES) + 1);
    while (next(&wire, PREDICATES, &child)) {
        if (!read_predicate(r, child, depth + 1, &out->children[out->n_children++]))
            return false;
    }
    return true;
}

static bool read_predicate(struct reading *r, struct bytes wire, unsigned depth,
                           struct predicate *out)
{
    struct wire_field f;
    struct bytes rest = wire;
    if (depth > DEPTH_MAX)
        return error_set(r->err, "nested more than %d deep", DEPTH_MAX);
    if (!wire_next(&rest, &f))
        return error_set(r->err, "predicate: expected one of single_predicate, or_matcher, "
                                 "and_matcher, not_matcher");
    struct bytes body = wire_message(r->arena, wire, f.number);
    switch (f.number) {
    case PREDICATE_OR:
        out->kind = ANY_OF;
        return read_children(r, body, depth, out);
    case PREDICATE_AND:
        out->kind = ALL_OF;
        return read_children(r, body, depth, out);
    case PREDICATE_NOT:
        out->kind = NONE_OF;
        out->children = ARENA_NEW(r->arena, struct predicate);
        out->n_children = 1;
        return read_predicate(r, body, depth + 1, out->children);
    default: /* numbers of the API, not an enum of ours */
        out->kind = SINGLE;
        return read_single(r, body, out);
    }
}

static bool read_list(struct reading *r, struct bytes wire, unsigned depth, struct level *l)
{
    struct bytes field;
    l->kind = LIST;
    l->rules = ARENA_ARRAY(r->arena, struct rule, wire_count(wire, LIST_MATCHERS) + 1);
    while (next(&wire, LIST_MATCHERS, &field)) {
        struct rule *rule = &l->rules[l->n_rules++];
        if (!read_predicate(r, wire_message(r->arena, field, FIELD_PREDICATE), depth + 1,
                            &rule->predicate) ||
            !read_follows(r, wire_message(r->arena, field, FIELD_ON_MATCH), depth, &rule->follows))
            return error_prefix(r->err, "matchers[%zu].", l->n_rules - 1);
    }
    return true;
}

static bool read_tree(struct reading *r, struct bytes wire, unsigned depth, struct level *l)
{
    bool exact = wire_has(wire, TREE_EXACT);
    struct bytes entry, map = wire_message(r->arena, wire, exact ? TREE_EXACT : TREE_PREFIX);
    if (!exact && !wire_has(wire, TREE_PREFIX))
        return error_set(r->err, "custom_match is not implemented");
    l->kind = exact ? EXACT : PREFIX;
    l->rules = ARENA_ARRAY(r->arena, struct rule, wire_count(map, MAP_ENTRIES) + 1);
    if (!read_input(r, wire_message(r->arena, wire, TREE_INPUT), &l->input))
        return false;
    while (next(&map, MAP_ENTRIES, &entry)) {
        struct rule *rule = &l->rules[l->n_rules++];
        rule->key = wire_find_bytes(entry, ENTRY_KEY);
        if (!read_follows(r, wire_message(r->arena, entry, ENTRY_VALUE), depth, &rule->follows))
            return error_prefix(r->err, "map[%.*s].", BYTES_ARG(rule->key));
    }
    return true;
}

static bool read_level(struct reading *r, struct bytes wire, unsigned depth, struct level **out)
{
    struct level *l = ARENA_NEW(r->arena, struct level);
    *out = l;
    if (depth > DEPTH_MAX)
        return error_set(r->err, "nested more than %d deep", DEPTH_MAX);
    if (wire_has(wire, MATCHER_LIST) &&
        !read_list(r, wire_message(r->arena, wire, MATCHER_LIST), depth, l))
        return error_prefix(r->err, "matcher_list.");
    if (wire_has(wire, MATCHER_TREE) &&
        !read_tree(r, wire_message(r->arena, wire, MATCHER_TREE), depth, l))
        return error_prefix(r->err, "matcher_tree.");
    return !wire_has(wire, MATCHER_NO_MATCH) ||
           read_follows(r, wire_message(r->arena, wire, MATCHER_NO_MATCH), depth, &l->otherwise) ||
           error_prefix(r->err, "on_no_match.");
}

bool socket_matcher_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                           struct socket_matcher **out, struct error *err)
{
    struct socket_matcher *m = ARENA_NEW(a, struct socket_matcher);
    struct reading r = {ctx, a, &m->regexes, err};
    *out = m;
    m->wire = arena_dup(a, wire);
    return read_level(&r, m->wire, 0, &m->top);
}

void socket_matcher_fini(struct socket_matcher *m)
{
    if (m)
        regex_list_fini(&m->regexes);
}

bool socket_matcher_equal(const struct socket_matcher *a, const struct socket_matcher *b)
{
    return a && b ? bytes_eq(a->wire, b->wire) : a == b;
}

/* --- matching --- */

struct said {
    const envoy_config_core_v3_Metadata *endpoint, *locality;
};

/* Texts, numbers and truths have one; data NULL: there is none. */
static struct bytes text_of(const google_protobuf_Value *v, struct strbuf *scratch)
{
    switch (VALUE(kind_case)(v)) {
    case VALUE(kind_string_value):
        return upb_bytes(VALUE(string_value)(v));
    case VALUE(kind_bool_value):
        return VALUE(bool_value)(v) ? BYTES("true") : BYTES("false");
    case VALUE(kind_number_value):
        strbuf_reset(scratch);
        json_scalar_add_double(scratch, VALUE(number_value)(v));
        return strbuf_bytes(scratch);
    case VALUE(kind_null_value):
    case VALUE(kind_struct_value):
    case VALUE(kind_list_value):
    case VALUE(kind_NOT_SET):
        break;
    }
    return BYTES_NONE;
}

static struct bytes value_of(const struct input *in, const struct said *s, struct strbuf *scratch)
{
    const envoy_config_core_v3_Metadata *m = in->of_locality ? s->locality : s->endpoint;
    upb_StringView filter = {in->filter.data, in->filter.len};
    google_protobuf_Struct *at;
    google_protobuf_Value *v = NULL;
    if (!m || !envoy_config_core_v3_Metadata_filter_metadata_get(m, filter, &at))
        return BYTES_NONE;
    for (size_t i = 0; i < in->n_path; i++) {
        upb_StringView key = {in->path[i].data, in->path[i].len};
        if (i && !VALUE(has_struct_value)(v))
            return BYTES_NONE;
        if (i)
            at = (google_protobuf_Struct *)(uintptr_t)VALUE(struct_value)(v);
        if (!at || !google_protobuf_Struct_fields_get(at, key, &v))
            return BYTES_NONE;
    }
    return v ? text_of(v, scratch) : BYTES_NONE;
}

static bool holds(const struct predicate *p, const struct said *s, struct strbuf *scratch)
{
    size_t n = 0;
    if (p->kind == SINGLE) {
        struct bytes value = value_of(&p->input, s, scratch);
        return value.data && string_matcher_match(&p->value, value);
    }
    for (size_t i = 0; i < p->n_children; i++)
        n += holds(&p->children[i], s, scratch);
    return p->kind == ANY_OF ? n > 0 : p->kind == ALL_OF ? n == p->n_children : n == 0;
}

static struct bytes find(const struct level *l, const struct said *s, struct strbuf *scratch);

static struct bytes follow(const struct follows *f, const struct said *s, struct strbuf *scratch)
{
    return f->next ? find(f->next, s, scratch) : f->name;
}

/* The longest prefix first, and shorter ones where what follows finds nothing. */
static struct bytes find_prefix(const struct level *l, struct bytes value, const struct said *s,
                                struct strbuf *scratch)
{
    for (size_t len = value.len + 1; len-- > 0;) {
        for (size_t i = 0; i < l->n_rules; i++) {
            if (!bytes_eq(l->rules[i].key, bytes_first(value, len)))
                continue;
            struct bytes name = follow(&l->rules[i].follows, s, scratch);
            if (name.data)
                return name;
        }
    }
    return BYTES_NONE;
}

static struct bytes find_key(const struct level *l, const struct said *s, struct strbuf *scratch)
{
    struct bytes value = value_of(&l->input, s, scratch);
    struct strbuf deeper = STRBUF_INIT;
    struct bytes name = BYTES_NONE;
    if (value.data && l->kind == PREFIX)
        name = find_prefix(l, value, s, &deeper);
    for (size_t i = 0; value.data && l->kind == EXACT && i < l->n_rules && !name.data; i++) {
        if (bytes_eq(l->rules[i].key, value))
            name = follow(&l->rules[i].follows, s, &deeper);
    }
    strbuf_fini(&deeper);
    return name;
}

static struct bytes find(const struct level *l, const struct said *s, struct strbuf *scratch)
{
    struct bytes name = BYTES_NONE;
    for (size_t i = 0; l->kind == LIST && i < l->n_rules && !name.data; i++) {
        if (holds(&l->rules[i].predicate, s, scratch))
            name = follow(&l->rules[i].follows, s, scratch);
    }
    if (l->kind == EXACT || l->kind == PREFIX)
        name = find_key(l, s, scratch);
    return name.data ? name : follow(&l->otherwise, s, scratch);
}

struct bytes socket_matcher_find(const struct socket_matcher *m,
                                 const envoy_config_core_v3_Metadata *endpoint,
                                 const envoy_config_core_v3_Metadata *locality)
{
    struct said s = {endpoint, locality};
    struct strbuf scratch = STRBUF_INIT;
    struct bytes name = find(m->top, &s, &scratch); /* names stand in the matcher */
    strbuf_fini(&scratch);
    return name;
}
