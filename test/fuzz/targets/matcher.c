/* Regexes and matchers: strings against a naive reading; a regex against itself (a full match is a
 * partial one, replacing each match by itself changes nothing); header matchers against what one
 * value says, and their opposite.
 *
 *     how, length of the value, value, pattern or bytes of a HeaderMatcher; at most 600 bytes */
#include <envoy/config/route/v3/route_components.upb.h>
#include <envoy/type/matcher/v3/string.upb.h>

#include "../config_world.h"
#include "../proto.h"
#include "config/matcher.h"
#include "config/validate.h"
#include "config/wire.h"

#define HEADER_MATCHER "envoy.config.route.v3.HeaderMatcher"
#define QUERY_MATCHER "envoy.config.route.v3.QueryParameterMatcher"

enum { EXACT = 1, PREFIX = 2, SUFFIX = 3, SAFE_REGEX = 5, IGNORE_CASE = 6, CONTAINS = 7 };

static bool contains(struct bytes value, struct bytes text, bool fold)
{
    for (size_t i = 0; i + text.len <= value.len; i++) {
        struct bytes part = bytes_first(bytes_skip(value, i), text.len);
        if (fold ? bytes_eq_nocase(part, text) : bytes_eq(part, text))
            return true;
    }
    return false;
}

static bool naive(unsigned kind, bool fold, struct bytes text, struct bytes value)
{
    struct bytes part = value;
    if (kind == CONTAINS)
        return contains(value, text, fold);
    if (value.len < text.len)
        return false;
    if (kind == PREFIX)
        part = bytes_first(value, text.len);
    if (kind == SUFFIX)
        part = bytes_skip(value, value.len - text.len);
    return fold ? bytes_eq_nocase(part, text) : bytes_eq(part, text);
}

static void strings(struct arena *a, uint8_t how, struct bytes text, struct bytes value)
{
    static const unsigned kinds[] = {EXACT, PREFIX, SUFFIX, CONTAINS};
    unsigned kind = kinds[how >> 2 & 3];
    bool fold = how & 16;
    struct strbuf wire = STRBUF_INIT;
    struct regex_list regexes = {NULL};
    struct string_matcher m = {0};
    struct error err = ERROR_INIT;
    upb_Arena *arena = upb_Arena_New();
    wire_put_bytes(&wire, kind, text);
    if (fold)
        strbuf_add_str(&wire, "\x30\x01");
    const envoy_type_matcher_v3_StringMatcher *msg =
        envoy_type_matcher_v3_StringMatcher_parse(wire.data, wire.len, arena);
    if (msg && string_matcher_decode(msg, a, &regexes, &m, &err))
        FUZZ_CHECK(string_matcher_match(&m, value) == naive(kind, fold, text, value),
                   "kind %u of '%.*s' on '%.*s'", kind, BYTES_ARG(text), BYTES_ARG(value));
    else
        FUZZ_CHECK(!msg || *error_text(&err), "refused without a word");
    upb_Arena_Free(arena);
    regex_list_fini(&regexes);
    strbuf_fini(&wire);
    error_fini(&err);
}

static void check_groups(const struct regex *re, struct bytes value)
{
    struct bytes groups[4];
    if (!regex_captures(re, value, groups, ARRAY_SIZE(groups)))
        return;
    FUZZ_CHECK(groups[0].data, "no whole match");
    for (unsigned i = 0; i < ARRAY_SIZE(groups); i++) {
        const char *end = value.data + value.len;
        if (groups[i].data)
            FUZZ_CHECK(groups[i].data >= value.data && groups[i].data + groups[i].len <= end,
                       "group %u is elsewhere", i);
    }
}

static void regexes(struct bytes pattern, struct bytes value, struct bytes substitution)
{
    struct error err = ERROR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct regex *re = regex_new(pattern, &err);
    FUZZ_CHECK(!re == error_is_set(&err), "an error or none");
    if (re) {
        bool full = regex_full_match(re, value), part = regex_partial_match(re, value);
        FUZZ_CHECK(!full || part, "a full match is a partial one");
        fuzz_same("pattern", regex_pattern(re), pattern);
        check_groups(re, value);
        size_t n = regex_replace_all(re, value, BYTES("\\0"), &out);
        FUZZ_CHECK((n > 0) == part, "%zu replacements", n);
        fuzz_same("each match by itself", strbuf_bytes(&out), value);
        strbuf_reset(&out);
        if (regex_check_substitution(re, substitution, &err))
            regex_replace_all(re, value, substitution, &out);
        else
            FUZZ_CHECK(*error_text(&err), "refused without a word");
    }
    regex_free(&re);
    strbuf_fini(&out);
    error_fini(&err);
}

struct values {
    struct bytes list[3];
    uint32_t n;
};

static bool next_value(const void *ctx, struct bytes name UNUSED, uint32_t *at, struct bytes *value)
{
    const struct values *v = ctx;
    if (*at >= v->n)
        return false;
    *value = v->list[(*at)++];
    return true;
}

static void match_headers(const struct header_matcher *m, struct bytes value)
{
    struct values none = {.n = 0}, one = {{value}, 1}, two = {{BYTES("x"), value}, 2};
    struct header_matcher opposite = *m;
    opposite.invert = !m->invert;
    bool with_one = header_matcher_match(m, next_value, &one);
    FUZZ_CHECK(with_one != header_matcher_match(&opposite, next_value, &one),
               "a value matches, or its opposite does");
    (void)header_matcher_match(m, next_value, &none);
    bool with_two = header_matcher_match(m, next_value, &two);
    if (m->kind != HEADER_MATCH_PRESENT)
        FUZZ_CHECK(m->invert ? !with_two || with_one : with_two || !with_one,
                   "one value of two decides");
}

static void headers(struct arena *a, struct bytes wire, struct bytes value)
{
    struct regex_list list = {NULL};
    struct header_matcher m = {0};
    struct error err = ERROR_INIT;
    upb_Arena *arena = upb_Arena_New();
    const envoy_config_route_v3_HeaderMatcher *msg =
        validate_message(world_validator, BYTES(HEADER_MATCHER), wire, &err)
            ? envoy_config_route_v3_HeaderMatcher_parse(wire.data, wire.len, arena)
            : NULL;
    if (msg && header_matcher_decode(msg, a, &list, &m, &err))
        match_headers(&m, value);
    else
        FUZZ_CHECK(*error_text(&err), "refused without a word");
    upb_Arena_Free(arena);
    regex_list_fini(&list);
    error_fini(&err);
}

static void queries(struct arena *a, struct bytes wire, struct bytes value)
{
    struct regex_list list = {NULL};
    struct query_matcher m = {0};
    struct error err = ERROR_INIT;
    upb_Arena *arena = upb_Arena_New();
    const envoy_config_route_v3_QueryParameterMatcher *msg =
        validate_message(world_validator, BYTES(QUERY_MATCHER), wire, &err)
            ? envoy_config_route_v3_QueryParameterMatcher_parse(wire.data, wire.len, arena)
            : NULL;
    if (msg && query_matcher_decode(msg, a, &list, &m, &err)) {
        bool missing = query_matcher_match(&m, BYTES_NONE);
        FUZZ_CHECK(!missing || !m.has_string, "a missing parameter matches a string");
        (void)query_matcher_match(&m, value);
    } else {
        FUZZ_CHECK(*error_text(&err), "refused without a word");
    }
    upb_Arena_Free(arena);
    regex_list_fini(&list);
    error_fini(&err);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct arena *a = arena_new(0);
    uint8_t how = fuzz_u8(&in);
    struct bytes value = fuzz_take(&in, fuzz_u8(&in));
    if (!value.data)
        value = BYTES("");
    switch (how & 3) {
    case 0:
        strings(a, how, in.rest, value);
        break;
    case 1:
        regexes(in.rest, value, bytes_first(value, how >> 2));
        break;
    case 2:
        headers(a, in.rest, value);
        break;
    default:
        queries(a, in.rest, value);
    }
    arena_free(&a);
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    struct fuzz_in in = {input};
    uint8_t how = fuzz_u8(&in), data[300];
    if (input.len < 2 || random_below(random, 30) == 0)
        how = (uint8_t)random_u64(random);
    struct bytes value = fuzz_take(&in, fuzz_u8(&in));
    bool change = random_below(random, 2);
    size_t n = value.len;
    if (n)
        memcpy(data, value.data, n);
    if (change)
        n = fuzz_mutate_bytes(data, n, 255);
    strbuf_add_char(out, (char)how);
    strbuf_add_char(out, (char)n);
    strbuf_add(out, data, n);
    struct bytes rest = in.rest;
    if (how & 2 && !change) {
        struct bytes message = how & 1 ? BYTES(QUERY_MATCHER) : BYTES(HEADER_MATCHER);
        proto_mutate(world_descriptors, random, message, rest, out);
    } else if (change || rest.len > sizeof(data)) {
        strbuf_add_bytes(out, rest);
    } else {
        if (rest.len)
            memcpy(data, rest.data, rest.len);
        strbuf_add(out, data, fuzz_mutate_bytes(data, rest.len, sizeof(data)));
    }
}

const struct fuzz_target fuzz_target = {.run = run, .setup = config_world_setup, .mutate = mutate};
