#include "config/matcher.h"

#include "config/upb_util.h"
#include "envoy/config/route/v3/route_components.upb.h"
#include "envoy/type/matcher/v3/regex.upb.h"
#include "envoy/type/matcher/v3/string.upb.h"
#include "envoy/type/v3/range.upb.h"

void regex_list_fini(struct regex_list *l)
{
    for (struct regex_node *n = l->first; n; n = n->next)
        regex_free(&n->regex);
    l->first = NULL;
}

struct regex *regex_list_add(struct regex_list *l, struct arena *a, struct bytes pattern,
                             uint32_t max_program_size, struct error *err)
{
    struct regex *re = regex_new_limited(pattern, max_program_size, err);
    if (!re)
        return NULL;
    struct regex_node *n = ARENA_NEW(a, struct regex_node);
    n->regex = re;
    n->next = l->first;
    l->first = n;
    return re;
}

/* A limit of its own takes the place of the default, a larger one too. */
static uint32_t max_program_size(const envoy_type_matcher_v3_RegexMatcher *msg)
{
    const envoy_type_matcher_v3_RegexMatcher_GoogleRE2 *m =
        envoy_type_matcher_v3_RegexMatcher_google_re2(msg);
    const struct google_protobuf_UInt32Value *max =
        m ? envoy_type_matcher_v3_RegexMatcher_GoogleRE2_max_program_size(m) : NULL;
    return upb_u32(max, REGEX_PROGRAM_SIZE_DEFAULT);
}

bool regex_matcher_decode(const envoy_type_matcher_v3_RegexMatcher *msg, struct arena *a,
                          struct regex_list *regexes, const struct regex **out, struct error *err)
{
    struct bytes pattern = upb_bytes(envoy_type_matcher_v3_RegexMatcher_regex(msg));
    if (pattern.len == 0)
        return error_set(err, "regex: expected a pattern of at least 1 character");
    *out = regex_list_add(regexes, a, pattern, max_program_size(msg), err);
    return *out || error_prefix(err, "regex: ");
}

static bool set_text(struct string_matcher *out, enum string_match kind, upb_StringView text,
                     struct arena *a)
{
    out->kind = kind;
    out->text = arena_dup(a, upb_bytes(text));
    return true;
}

bool string_matcher_decode(const envoy_type_matcher_v3_StringMatcher *m, struct arena *a,
                           struct regex_list *regexes, struct string_matcher *out,
                           struct error *err)
{
    out->ignore_case = envoy_type_matcher_v3_StringMatcher_ignore_case(m);
    switch (envoy_type_matcher_v3_StringMatcher_match_pattern_case(m)) {
    case envoy_type_matcher_v3_StringMatcher_match_pattern_exact:
        return set_text(out, STRING_EXACT, envoy_type_matcher_v3_StringMatcher_exact(m), a);
    case envoy_type_matcher_v3_StringMatcher_match_pattern_prefix:
        return set_text(out, STRING_PREFIX, envoy_type_matcher_v3_StringMatcher_prefix(m), a);
    case envoy_type_matcher_v3_StringMatcher_match_pattern_suffix:
        return set_text(out, STRING_SUFFIX, envoy_type_matcher_v3_StringMatcher_suffix(m), a);
    case envoy_type_matcher_v3_StringMatcher_match_pattern_contains:
        return set_text(out, STRING_CONTAINS, envoy_type_matcher_v3_StringMatcher_contains(m), a);
    case envoy_type_matcher_v3_StringMatcher_match_pattern_safe_regex:
        out->kind = STRING_REGEX;
        if (out->ignore_case)
            return error_set(err, "ignore_case has no effect for safe_regex.");
        return regex_matcher_decode(envoy_type_matcher_v3_StringMatcher_safe_regex(m), a, regexes,
                                    &out->regex, err) ||
               error_prefix(err, "safe_regex.");
    case envoy_type_matcher_v3_StringMatcher_match_pattern_custom:
        return error_set(err, "custom: this string matcher extension is not implemented");
    default:
        return error_set(err, "match_pattern: expected one of exact, prefix, suffix, safe_regex, "
                              "contains");
    }
}

static bool set_string(struct header_matcher *out, enum string_match kind, upb_StringView text,
                       struct arena *a)
{
    out->kind = HEADER_MATCH_STRING;
    return set_text(&out->string, kind, text, a);
}

static bool set_range(struct header_matcher *out, const envoy_config_route_v3_HeaderMatcher *m)
{
    const envoy_type_v3_Int64Range *r = envoy_config_route_v3_HeaderMatcher_range_match(m);
    out->kind = HEADER_MATCH_RANGE;
    out->range_start = envoy_type_v3_Int64Range_start(r);
    out->range_end = envoy_type_v3_Int64Range_end(r);
    return true;
}

static bool header_specifier(const envoy_config_route_v3_HeaderMatcher *m, struct arena *a,
                             struct regex_list *regexes, struct header_matcher *out,
                             struct error *err)
{
    upb_StringView text;
    switch (envoy_config_route_v3_HeaderMatcher_header_match_specifier_case(m)) {
    case envoy_config_route_v3_HeaderMatcher_header_match_specifier_exact_match:
        text = envoy_config_route_v3_HeaderMatcher_exact_match(m);
        /* Of an empty one Envoy asks no more than that the header is there. */
        return set_string(out, text.size ? STRING_EXACT : STRING_PREFIX, text, a);
    case envoy_config_route_v3_HeaderMatcher_header_match_specifier_prefix_match:
        return set_string(out, STRING_PREFIX, envoy_config_route_v3_HeaderMatcher_prefix_match(m),
                          a);
    case envoy_config_route_v3_HeaderMatcher_header_match_specifier_suffix_match:
        return set_string(out, STRING_SUFFIX, envoy_config_route_v3_HeaderMatcher_suffix_match(m),
                          a);
    case envoy_config_route_v3_HeaderMatcher_header_match_specifier_contains_match:
        return set_string(out, STRING_CONTAINS,
                          envoy_config_route_v3_HeaderMatcher_contains_match(m), a);
    case envoy_config_route_v3_HeaderMatcher_header_match_specifier_safe_regex_match:
        out->kind = HEADER_MATCH_STRING;
        out->string.kind = STRING_REGEX;
        return regex_matcher_decode(envoy_config_route_v3_HeaderMatcher_safe_regex_match(m), a,
                                    regexes, &out->string.regex, err) ||
               error_prefix(err, "safe_regex_match.");
    case envoy_config_route_v3_HeaderMatcher_header_match_specifier_string_match:
        out->kind = HEADER_MATCH_STRING;
        return string_matcher_decode(envoy_config_route_v3_HeaderMatcher_string_match(m), a,
                                     regexes, &out->string, err) ||
               error_prefix(err, "string_match.");
    case envoy_config_route_v3_HeaderMatcher_header_match_specifier_range_match:
        return set_range(out, m);
    case envoy_config_route_v3_HeaderMatcher_header_match_specifier_present_match:
        out->kind = HEADER_MATCH_PRESENT;
        out->present = envoy_config_route_v3_HeaderMatcher_present_match(m);
        return true;
    default: /* a name alone asks for presence */
        out->kind = HEADER_MATCH_PRESENT;
        out->present = true;
        return true;
    }
}

bool header_matcher_decode(const envoy_config_route_v3_HeaderMatcher *m, struct arena *a,
                           struct regex_list *regexes, struct header_matcher *out,
                           struct error *err)
{
    out->name = upb_request_header(envoy_config_route_v3_HeaderMatcher_name(m), a);
    if (out->name.len == 0)
        return error_set(err, "name: expected a header name of at least 1 character");
    out->invert = envoy_config_route_v3_HeaderMatcher_invert_match(m);
    out->missing_as_empty = envoy_config_route_v3_HeaderMatcher_treat_missing_header_as_empty(m);
    return header_specifier(m, a, regexes, out, err);
}

bool query_matcher_decode(const envoy_config_route_v3_QueryParameterMatcher *m, struct arena *a,
                          struct regex_list *regexes, struct query_matcher *out, struct error *err)
{
    out->name = arena_dup(a, upb_bytes(envoy_config_route_v3_QueryParameterMatcher_name(m)));
    out->present = true;
    if (out->name.len == 0)
        return error_set(err, "name: expected a parameter name of at least 1 character");
    if (envoy_config_route_v3_QueryParameterMatcher_has_string_match(m)) {
        out->has_string = true;
        return string_matcher_decode(envoy_config_route_v3_QueryParameterMatcher_string_match(m), a,
                                     regexes, &out->string, err) ||
               error_prefix(err, "string_match.");
    }
    if (envoy_config_route_v3_QueryParameterMatcher_has_present_match(m))
        out->present = envoy_config_route_v3_QueryParameterMatcher_present_match(m);
    return true;
}

bool string_matcher_match(const struct string_matcher *m, struct bytes value)
{
    bool fold = m->ignore_case;
    switch (m->kind) {
    case STRING_EXACT:
        return fold ? bytes_eq_nocase(value, m->text) : bytes_eq(value, m->text);
    case STRING_PREFIX:
        return fold ? bytes_starts_with_nocase(value, m->text) : bytes_starts_with(value, m->text);
    case STRING_SUFFIX:
        return fold ? bytes_ends_with_nocase(value, m->text) : bytes_ends_with(value, m->text);
    case STRING_CONTAINS:
        return (fold ? bytes_find_nocase(value, m->text) : bytes_find(value, m->text)) >= 0;
    case STRING_REGEX:
        return regex_full_match(m->regex, value);
    }
    return false;
}

static bool header_value_matches(const struct header_matcher *m, struct bytes value)
{
    int64_t number;
    if (m->kind == HEADER_MATCH_STRING)
        return string_matcher_match(&m->string, value);
    return bytes_to_i64(value, &number) && number >= m->range_start && number < m->range_end;
}

bool header_matcher_match(const struct header_matcher *m, header_values *next, const void *ctx)
{
    struct bytes value = BYTES("");
    uint32_t at = 0;
    bool found = next(ctx, m->name, &at, &value) || m->missing_as_empty;
    if (m->kind == HEADER_MATCH_PRESENT)
        return (found == m->present) != m->invert;
    if (!found)
        return false;
    do {
        if (header_value_matches(m, value))
            return !m->invert;
    } while (next(ctx, m->name, &at, &value));
    return m->invert;
}

bool query_matcher_match(const struct query_matcher *m, struct bytes value)
{
    bool has = value.data != NULL;
    if (m->has_string)
        return has && string_matcher_match(&m->string, value);
    return has == m->present;
}
