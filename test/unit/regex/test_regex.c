#include "regex/regex.h"

#include <check.h>
#include <stdlib.h>

static struct regex *compile(const char *pattern)
{
    struct error err = ERROR_INIT;
    struct regex *re = regex_new(bytes_of(pattern), &err);
    ck_assert_msg(re != NULL, "%s", error_text(&err));
    return re;
}

static void check_replace(const char *pattern, const char *text, const char *substitution,
                          const char *expected)
{
    struct error err = ERROR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct regex *re = compile(pattern);
    ck_assert(regex_check_substitution(re, bytes_of(substitution), &err));
    regex_replace_all(re, bytes_of(text), bytes_of(substitution), &out);
    ck_assert_str_eq(strbuf_str(&out), expected);
    strbuf_fini(&out);
    regex_free(&re);
}

START_TEST(full_and_partial)
{
    struct regex *re = compile("/a/[0-9]+");
    ck_assert(regex_full_match(re, BYTES("/a/12")));
    ck_assert(!regex_full_match(re, BYTES("/a/12/")));
    ck_assert(!regex_full_match(re, BYTES("")));
    ck_assert(!regex_full_match(re, BYTES_NONE));
    ck_assert(regex_partial_match(re, BYTES("x/a/1y")));
    ck_assert(bytes_eq_str(regex_pattern(re), "/a/[0-9]+"));
    ck_assert_uint_eq(regex_group_count(re), 0);
    ck_assert_uint_gt(regex_program_size(re), 0);
    regex_free(&re);
    ck_assert_ptr_null(re);
}
END_TEST

/* A byte outside ASCII is a character: a negated class must match it, or a deny rule fails open. */
START_TEST(bytes_outside_utf8_match)
{
    struct regex *re = compile("[^a]*");
    ck_assert(regex_full_match(re, BYTES("x\x80y\xff")));
    regex_free(&re);
    re = compile(".*evil.*");
    ck_assert(regex_full_match(re, BYTES("\xc3\x28 evil \xfe")));
    ck_assert(regex_full_match(re, BYTES("\0evil")));
    regex_free(&re);
}
END_TEST

START_TEST(refused_patterns)
{
    static const char *const patterns[] = {"(", "a(?=b)", "[z-a]", "a**", "\\8", "(?P<n"};
    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
        struct error err = ERROR_INIT;
        ck_assert_ptr_null(regex_new(bytes_of(patterns[i]), &err));
        ck_assert_ptr_nonnull(strstr(error_text(&err), patterns[i]));
        error_fini(&err);
    }
    struct error err = ERROR_INIT;
    ck_assert_ptr_null(regex_new(BYTES("a{200}b{300}"), &err));
    ck_assert_str_eq(error_text(&err),
                     "regex 'a{200}b{300}' RE2 program size of 504 > max program size of 100 set "
                     "for the error level threshold. Increase configured max program size if "
                     "necessary.");
    struct regex *re = regex_new_limited(BYTES("a{200}"), REGEX_PROGRAM_SIZE_ANY, &err);
    ck_assert_ptr_nonnull(re);
    regex_free(&re);
    error_fini(&err);
}
END_TEST

START_TEST(captures)
{
    struct regex *re = compile("(a+)(b)?(c)");
    struct bytes groups[5];
    ck_assert(regex_captures(re, BYTES("xaac"), groups, 5));
    ck_assert(bytes_eq_str(groups[0], "aac"));
    ck_assert(bytes_eq_str(groups[1], "aa"));
    ck_assert_ptr_null(groups[2].data);
    ck_assert(bytes_eq_str(groups[3], "c"));
    ck_assert_ptr_null(groups[4].data);
    ck_assert(!regex_captures(re, BYTES("xb"), groups, 5));
    regex_free(&re);
}
END_TEST

START_TEST(replace)
{
    check_replace("^/service/([^/]+)(/.*)$", "/service/foo/v1/api", "\\2/instance/\\1",
                  "/v1/api/instance/foo");
    check_replace("one", "/xxx/one/yyy/one/zzz", "two", "/xxx/two/yyy/two/zzz");
    check_replace("^(.*?)one(.*)$", "/xxx/one/yyy/one/zzz", "\\1two\\2", "/xxx/two/yyy/one/zzz");
    check_replace("(?i)/xxx/", "/aaa/XxX/bbb", "/yyy/", "/aaa/yyy/bbb");
    check_replace("a", "bbb", "x", "bbb");
    check_replace("", "abc", "-", "-a-b-c-");
    check_replace("b*", "abc", "x", "xaxcx");
    check_replace("a*", "baac", "x", "xbxcx");
    check_replace("a", "", "x", "");
    check_replace("a", "aa", "\\\\\\0", "\\a\\a");
}
END_TEST

START_TEST(bad_substitutions)
{
    struct regex *re = compile("(a)");
    struct error err = ERROR_INIT;
    ck_assert(!regex_check_substitution(re, BYTES("\\2"), &err));
    error_fini(&err);
    ck_assert(!regex_check_substitution(re, BYTES("\\x"), &err));
    error_fini(&err);
    ck_assert(!regex_check_substitution(re, BYTES("a\\"), &err));
    error_fini(&err);
    regex_free(&re);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("regex");
    tcase_add_test(tc, full_and_partial);
    tcase_add_test(tc, bytes_outside_utf8_match);
    tcase_add_test(tc, refused_patterns);
    tcase_add_test(tc, captures);
    tcase_add_test(tc, replace);
    tcase_add_test(tc, bad_substitutions);
    Suite *s = suite_create("regex");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
