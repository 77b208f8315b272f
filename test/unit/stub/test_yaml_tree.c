/* YAML and JSON as a tree that knows where things stand, variables filled in. */
#include <check.h>
#include <stdlib.h>

#include "strmap.h"
#include "yaml_tree.h"

#include <string.h>

static struct strmap vars;
static struct tree *tree;
static struct error err;

static void start(void)
{
    *strmap_put(&vars, "PORT") = mem_string("8080");
    *strmap_put(&vars, "LINES") = mem_string("a\nb");
}

static void tidy(void)
{
    tree_free(&tree);
    error_fini(&err);
    for (size_t i = 0; i < vars.count; i++)
        free(vars.entries[i].value);
    strmap_fini(&vars);
}

static const struct node *read(const char *text)
{
    if (!tree_parse(&tree, "f", text, strlen(text), &vars, &err))
        ck_abort_msg("%s", err.text);
    return tree->document_count ? tree->documents[0] : NULL;
}

static void refuse(const char *text, const char *why)
{
    ck_assert(!tree_parse(&tree, "f", text, strlen(text), &vars, &err));
    ck_assert_str_eq(err.text, why);
}

START_TEST(variables_are_filled_in)
{
    const struct node *n = read("p: ${PORT}\nq: {r: ${PORT}, s: \"$${PORT} ${NOT_SET_X:-d}\"}");

    ck_assert_str_eq(node_get(n, "p")->text, "8080");
    ck_assert_str_eq(node_get(node_get(n, "q"), "r")->text, "8080");
    ck_assert_str_eq(node_get(node_get(n, "q"), "s")->text, "${PORT} d");
}
END_TEST

START_TEST(columns_are_those_of_the_file)
{
    const struct node *n = read("{a: ${PORT}, b: c,\n d: ${NOT_SET_X:-}e}");

    ck_assert_int_eq(n->items[2]->column, 14);
    ck_assert_int_eq(node_get(n, "b")->line, 1);
    ck_assert_int_eq(node_get(n, "b")->column, 17);
    ck_assert_int_eq(node_get(n, "d")->line, 2);
}
END_TEST

START_TEST(what_looks_like_a_variable_stays)
{
    ck_assert_str_eq(node_get(read("a: \"$x ${1} ${a b} $\""), "a")->text, "$x ${1} ${a b} $");
}
END_TEST

START_TEST(a_variable_without_value_is_refused)
{
    refuse("a:\n  b: x${NOT_SET_X}",
           "f:2:7: variable ${NOT_SET_X} has no value (--var NOT_SET_X=VALUE)");
}
END_TEST

START_TEST(an_unclosed_variable_is_refused)
{
    refuse("a:\n  b: x${PORT", "f:2:7: ${PORT is not closed by } ($${ stands for ${)");
    refuse("a: ${PORT\nb: }", "f:1:4: ${PORT is not closed by } ($${ stands for ${)");
    refuse("a: ${NOPE:-x\nb: }", "f:1:4: ${NOPE is not closed by } ($${ stands for ${)");
    ck_assert_str_eq(node_get(read("a: \"${\""), "a")->text, "${");
}
END_TEST

START_TEST(a_value_of_several_lines_is_refused)
{
    refuse("a: ${LINES}", "f:1:4: the value of ${LINES} has more than one line");
}
END_TEST

START_TEST(json_is_read_with_surrogate_pairs)
{
    const struct node *n = read("{\"a\":\"\\ud83d\\ude00 \\\\ud83d \\/\",\t\"b\": [1, null]}");

    ck_assert_str_eq(node_get(n, "a")->text, "\xf0\x9f\x98\x80 \\ud83d /");
    ck_assert(node_is_null(node_get(n, "b")->items[1]));
}
END_TEST

START_TEST(anchors_and_merge_keys)
{
    const struct node *n = read("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n");
    const struct node *use = node_get(n, "use");

    ck_assert_str_eq(node_get(use, "x")->text, "1");
    ck_assert_str_eq(node_get(use, "y")->text, "3");
    ck_assert_uint_eq(use->count, 2);
}
END_TEST

START_TEST(a_key_twice_is_refused)
{
    refuse("a: 1\nb: 2\na: 3", "f:3:1: key \"a\" stands here twice");
}
END_TEST

START_TEST(bad_yaml_says_where)
{
    ck_assert(!tree_parse(&tree, "f", "a: [1, 2\nb: 3", 13, &vars, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "f:2:2: "));
}
END_TEST

START_TEST(an_alias_to_itself_ends)
{
    const struct node *n = read("&a [*a]");

    ck_assert_ptr_eq(n->items[0], n);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stub/yaml_tree");
    TCase *tc = tcase_create("texts");
    tcase_add_checked_fixture(tc, start, tidy);
    tcase_add_test(tc, variables_are_filled_in);
    tcase_add_test(tc, columns_are_those_of_the_file);
    tcase_add_test(tc, what_looks_like_a_variable_stays);
    tcase_add_test(tc, a_variable_without_value_is_refused);
    tcase_add_test(tc, an_unclosed_variable_is_refused);
    tcase_add_test(tc, a_value_of_several_lines_is_refused);
    tcase_add_test(tc, json_is_read_with_surrogate_pairs);
    tcase_add_test(tc, anchors_and_merge_keys);
    tcase_add_test(tc, a_key_twice_is_refused);
    tcase_add_test(tc, bad_yaml_says_where);
    tcase_add_test(tc, an_alias_to_itself_ends);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
