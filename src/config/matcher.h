/* String, header and query parameter matchers of the API, compiled. Made by the config thread in a
 * node's arena; matching is const and for any thread. Regexes are collected in a struct regex_list,
 * which the node's fini frees. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "regex/regex.h"

struct regex_list {
    struct regex_node {
        struct regex *regex;
        struct regex_node *next;
    } * first;
};
void regex_list_fini(struct regex_list *l);
/* Compiles a pattern into the list; NULL and *err when RE2 refuses it or its program is larger. */
struct regex *regex_list_add(struct regex_list *l, struct arena *a, struct bytes pattern,
                             uint32_t max_program_size, struct error *err);

enum string_match { STRING_EXACT, STRING_PREFIX, STRING_SUFFIX, STRING_CONTAINS, STRING_REGEX };

struct string_matcher {
    enum string_match kind;
    bool ignore_case;
    struct bytes text;
    const struct regex *regex;
};

enum header_match {
    HEADER_MATCH_PRESENT,
    HEADER_MATCH_STRING,
    HEADER_MATCH_RANGE, /* [start, end) */
};

struct header_matcher {
    struct bytes name; /* lower case */
    enum header_match kind;
    bool invert, missing_as_empty;
    bool present;
    struct string_matcher string;
    int64_t range_start, range_end;
};

struct query_matcher {
    struct bytes name;
    bool has_string, present;
    struct string_matcher string;
};

struct envoy_type_matcher_v3_StringMatcher;
struct envoy_type_matcher_v3_RegexMatcher;
struct envoy_config_route_v3_HeaderMatcher;
struct envoy_config_route_v3_QueryParameterMatcher;

MUST_CHECK bool string_matcher_decode(const struct envoy_type_matcher_v3_StringMatcher *msg,
                                      struct arena *a, struct regex_list *regexes,
                                      struct string_matcher *out, struct error *err);
MUST_CHECK bool regex_matcher_decode(const struct envoy_type_matcher_v3_RegexMatcher *msg,
                                     struct arena *a, struct regex_list *regexes,
                                     const struct regex **out, struct error *err);
MUST_CHECK bool header_matcher_decode(const struct envoy_config_route_v3_HeaderMatcher *msg,
                                      struct arena *a, struct regex_list *regexes,
                                      struct header_matcher *out, struct error *err);
MUST_CHECK bool query_matcher_decode(const struct envoy_config_route_v3_QueryParameterMatcher *msg,
                                     struct arena *a, struct regex_list *regexes,
                                     struct query_matcher *out, struct error *err);

bool string_matcher_match(const struct string_matcher *m, struct bytes value);
/* Walks over the values of one header: *value becomes the next one at or after position *at, which
 * moves behind it; false: no more. Start at 0. */
typedef bool header_values(const void *ctx, struct bytes lower_name, uint32_t *at,
                           struct bytes *value);
/* A repeated header is matched value by value: one match is enough, and with invert it is one too
 * many. A missing header matches neither way, unless it is read as empty. */
bool header_matcher_match(const struct header_matcher *m, header_values *next, const void *ctx);
/* value.data == NULL: the parameter is missing. */
bool query_matcher_match(const struct query_matcher *m, struct bytes value);
