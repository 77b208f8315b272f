#include "config/matcher.h"

#include <check.h>
#include <stdlib.h>

#include "config_fixture.h"
#include "envoy/config/route/v3/route_components.upb.h"

#define HEADER "envoy.config.route.v3.HeaderMatcher"
#define QUERY "envoy.config.route.v3.QueryParameterMatcher"

static struct fixture f;
static upb_Arena *upb;

static bool header_decode(const char *yaml, struct header_matcher *m, struct regex_list *regexes,
                          struct error *err)
{
    struct bytes wire = fixture_wire(&f, HEADER, yaml);
    const envoy_config_route_v3_HeaderMatcher *msg =
        envoy_config_route_v3_HeaderMatcher_parse(wire.data, wire.len, upb);
    ck_assert_ptr_nonnull(msg);
    memset(m, 0, sizeof(*m));
    return header_matcher_decode(msg, f.arena, regexes, m, err);
}

struct row {
    const char *matcher, *value; /* value NULL: the header is missing; "a|b": it is there twice */
    bool want;
};

static const struct row header_rows[] = {
    {"{name: X, string_match: {exact: abc}}", "abc", true},
    {"{name: X, string_match: {exact: abc}}", "aBc", false},
    {"{name: X, string_match: {exact: abc}}", "abcd", false},
    {"{name: X, string_match: {exact: abc}}", NULL, false},
    {"{name: X, string_match: {exact: abc, ignore_case: true}}", "aBC", true},
    {"{name: X, string_match: {exact: \"\"}}", "", true},
    {"{name: X, string_match: {prefix: ab}}", "abc", true},
    {"{name: X, string_match: {prefix: ab}}", "a", false},
    {"{name: X, string_match: {prefix: AB, ignore_case: true}}", "abc", true},
    {"{name: X, string_match: {prefix: AB}}", "abc", false},
    {"{name: X, string_match: {suffix: bc}}", "abc", true},
    {"{name: X, string_match: {suffix: bc}}", "bcd", false},
    {"{name: X, string_match: {suffix: BC, ignore_case: true}}", "abc", true},
    {"{name: X, string_match: {contains: b}}", "abc", true},
    {"{name: X, string_match: {contains: x}}", "abc", false},
    {"{name: X, string_match: {contains: B, ignore_case: true}}", "abc", true},
    {"{name: X, string_match: {contains: B}}", "abc", false},
    {"{name: X, string_match: {safe_regex: {regex: \"a+\"}}}", "aaa", true},
    {"{name: X, string_match: {safe_regex: {regex: \"a+\"}}}", "aab", false}, /* whole value */
    {"{name: X, string_match: {safe_regex: {regex: \"a.c\"}}}",
     "a\xe4"
     "c",
     true}, /* Latin-1 */
    {"{name: X, string_match: {safe_regex: {regex: \"a.c\"}}}",
     "a\xc3\xa4"
     "c",
     false},
    {"{name: X, exact_match: abc}", "abc", true},
    {"{name: X, exact_match: ''}", "abc", true},
    {"{name: X, exact_match: ''}", NULL, false},
    {"{name: X, string_match: {exact: ''}}", "abc", false},
    {"{name: X, prefix_match: ab}", "abc", true},
    {"{name: X, suffix_match: bc}", "abc", true},
    {"{name: X, contains_match: b}", "abc", true},
    {"{name: X, safe_regex_match: {regex: \"[0-9]+\"}}", "42", true},
    {"{name: X, safe_regex_match: {regex: \"[0-9]+\"}}", "42x", false},
    {"{name: X, range_match: {start: -10, end: 10}}", "-10", true},
    {"{name: X, range_match: {start: -10, end: 10}}", "9", true},
    {"{name: X, range_match: {start: -10, end: 10}}", "10", false}, /* the end is outside */
    {"{name: X, range_match: {start: -10, end: 10}}", "-11", false},
    {"{name: X, range_match: {start: -10, end: 10}}", "5.0", false},
    {"{name: X, range_match: {start: -10, end: 10}}", "x", false},
    {"{name: X, range_match: {start: -10, end: 10}}", "", false},
    {"{name: X, range_match: {start: -10, end: 10}}", NULL, false},
    {"{name: X, present_match: true}", "", true},
    {"{name: X, present_match: true}", NULL, false},
    {"{name: X, present_match: false}", "x", false},
    {"{name: X, present_match: false}", NULL, true},
    {"{name: X}", "x", true},
    {"{name: X}", NULL, false},
    {"{name: X, string_match: {exact: abc}, invert_match: true}", "abc", false},
    {"{name: X, string_match: {exact: abc}, invert_match: true}", "abd", true},
    {"{name: X, range_match: {start: 1, end: 3}, invert_match: true}", "2", false},
    {"{name: X, range_match: {start: 1, end: 3}, invert_match: true}", "7", true},
    {"{name: X, present_match: true, invert_match: true}", "x", false},
    {"{name: X, present_match: true, invert_match: true}", NULL, true},
    {"{name: X, string_match: {exact: \"\"}, treat_missing_header_as_empty: true}", NULL, true},
    {"{name: X, string_match: {exact: a}, treat_missing_header_as_empty: true}", NULL, false},
    {"{name: X, string_match: {exact: a}, treat_missing_header_as_empty: true, "
     "invert_match: true}",
     NULL, true},
    {"{name: X, safe_regex_match: {regex: \".*\"}, treat_missing_header_as_empty: true}", NULL,
     true},
    {"{name: X, string_match: {exact: a}}", "a|b", true},
    {"{name: X, string_match: {exact: b}}", "a|b", true},
    {"{name: X, string_match: {exact: \"a,b\"}}", "a|b", false}, /* never joined */
    {"{name: X, string_match: {exact: a}, invert_match: true}", "a|b", false},
    {"{name: X, string_match: {exact: b}, invert_match: true}", "a|b", false},
    {"{name: X, string_match: {exact: c}, invert_match: true}", "a|b", true},
    {"{name: X, string_match: {exact: c}, invert_match: true}", NULL, false},
    {"{name: X, range_match: {start: 2, end: 3}}", "1|2", true},
    {"{name: X, range_match: {start: 2, end: 3}, invert_match: true}", "2|1", false},
    {"{name: X, range_match: {start: 2, end: 3}, invert_match: true}", "1|x", true},
    {"{name: X, range_match: {start: 2, end: 3}, invert_match: true}", NULL, false},
    {"{name: X, present_match: true}", "|", true},
    {"{name: X, present_match: true, treat_missing_header_as_empty: true}", NULL, true},
    {"{name: X, present_match: false, treat_missing_header_as_empty: true}", NULL, false},
};

/* ctx: a row's value; *at counts the values taken. */
static bool next_value(const void *ctx, struct bytes name, uint32_t *at, struct bytes *value)
{
    struct bytes rest = bytes_of(ctx);
    ck_assert(bytes_eq_str(name, "x"));
    for (uint32_t i = 0; rest.data && i <= *at; i++) {
        *value = bytes_split(&rest, '|');
        if (i == *at) {
            (*at)++;
            return true;
        }
    }
    return false;
}

START_TEST(headers)
{
    for (size_t i = 0; i < ARRAY_SIZE(header_rows); i++) {
        const struct row *r = &header_rows[i];
        struct regex_list regexes = {NULL};
        struct error err = ERROR_INIT;
        struct header_matcher m;
        ck_assert_msg(header_decode(r->matcher, &m, &regexes, &err), "%s: %s", r->matcher,
                      error_text(&err));
        ck_assert(bytes_eq_str(m.name, "x"));
        ck_assert_msg(header_matcher_match(&m, next_value, r->value) == r->want, "%s against %s",
                      r->matcher, r->value ? r->value : "nothing");
        regex_list_fini(&regexes);
    }
}
END_TEST

static const struct row refused_rows[] = {
    {"{name: \"\"}", "name: expected a header name of at least 1 character"},
    {"{name: a, string_match: {}}",
     "string_match.match_pattern: expected one of exact, prefix, suffix, safe_regex, contains"},
    {"{name: a, string_match: {safe_regex: {regex: \"\"}}}",
     "string_match.safe_regex.regex: expected a pattern of at least 1 character"},
    {"{name: a, string_match: {safe_regex: {regex: a}, ignore_case: true}}",
     "string_match.ignore_case has no effect for safe_regex."},
    {"{name: a, safe_regex_match: {regex: \"(\"}}", "safe_regex_match.regex: "},
    {"{name: a, string_match: {safe_regex: {regex: \"(?=x)\"}}}",
     "string_match.safe_regex.regex: "},
};

START_TEST(refusals)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused_rows); i++) {
        struct regex_list regexes = {NULL};
        struct error err = ERROR_INIT;
        struct header_matcher m;
        ck_assert(!header_decode(refused_rows[i].matcher, &m, &regexes, &err));
        ck_assert_msg(
            bytes_starts_with(bytes_of(error_text(&err)), bytes_of(refused_rows[i].value)),
            "%s: %s", refused_rows[i].matcher, error_text(&err));
        error_fini(&err);
        regex_list_fini(&regexes);
    }
}
END_TEST

static const struct row query_rows[] = {
    {"{name: q, string_match: {exact: a}}", "a", true},
    {"{name: q, string_match: {exact: a}}", "A", false},
    {"{name: q, string_match: {prefix: A, ignore_case: true}}", "ab", true},
    {"{name: q, string_match: {exact: \"\"}}", NULL, false}, /* missing is not empty */
    {"{name: q, string_match: {safe_regex: {regex: \"[a-c]+\"}}}", "abc", true},
    {"{name: q, present_match: true}", "", true},
    {"{name: q, present_match: true}", NULL, false},
    {"{name: q, present_match: false}", NULL, true},
    {"{name: q, present_match: false}", "x", false},
    {"{name: q}", "", true},
    {"{name: q}", NULL, false},
};

START_TEST(query_parameters)
{
    for (size_t i = 0; i < ARRAY_SIZE(query_rows); i++) {
        const struct row *r = &query_rows[i];
        struct regex_list regexes = {NULL};
        struct error err = ERROR_INIT;
        struct query_matcher m = {0};
        struct bytes wire = fixture_wire(&f, QUERY, r->matcher);
        const envoy_config_route_v3_QueryParameterMatcher *msg =
            envoy_config_route_v3_QueryParameterMatcher_parse(wire.data, wire.len, upb);
        ck_assert_msg(query_matcher_decode(msg, f.arena, &regexes, &m, &err), "%s",
                      error_text(&err));
        ck_assert_msg(query_matcher_match(&m, bytes_of(r->value)) == r->want, "%s against %s",
                      r->matcher, r->value ? r->value : "nothing");
        regex_list_fini(&regexes);
    }
}
END_TEST

static void setup(void)
{
    fixture_init(&f);
    upb = upb_Arena_New();
}

static void teardown(void)
{
    upb_Arena_Free(upb);
    fixture_fini(&f);
}

int main(void)
{
    Suite *s = suite_create("matcher");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, headers);
    tcase_add_test(t, refusals);
    tcase_add_test(t, query_parameters);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
