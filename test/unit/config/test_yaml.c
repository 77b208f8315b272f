#include "config/yaml.h"

#include <check.h>
#include <stdlib.h>

#include "base/strbuf.h"

/* The tree as compact text: quoted scalars in quotes, others bare. */
static void show(const struct yaml_node *n, struct strbuf *out)
{
    switch (n->kind) {
    case YAML_SCALAR:
        strbuf_printf(out, n->quoted ? "\"%.*s\"" : "%.*s", BYTES_ARG(n->text));
        break;
    case YAML_SEQUENCE:
        strbuf_add_char(out, '[');
        for (size_t i = 0; i < n->count; i++) {
            if (i)
                strbuf_add_char(out, ',');
            show(n->items[i], out);
        }
        strbuf_add_char(out, ']');
        break;
    case YAML_MAPPING:
        strbuf_add_char(out, '{');
        for (size_t i = 0; i < n->count; i++) {
            strbuf_printf(out, "%s%.*s:", i ? "," : "", BYTES_ARG(n->entries[i].key));
            show(n->entries[i].value, out);
        }
        strbuf_add_char(out, '}');
        break;
    }
}

typedef struct yaml_node *parse_fn(struct arena *a, const char *file, struct bytes text,
                                   struct error *err);

static void check_tree(parse_fn *parse, const char *text, const char *expected)
{
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct yaml_node *n = parse(a, "f", bytes_of(text), &err);
    ck_assert_msg(n != NULL, "%s: %s", text, error_text(&err));
    show(n, &out);
    ck_assert_str_eq(strbuf_str(&out), expected);
    strbuf_fini(&out);
    arena_free(&a);
}

static void check_error(parse_fn *parse, const char *text, const char *expected)
{
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    ck_assert_msg(parse(a, "f", bytes_of(text), &err) == NULL, "%s", text);
    ck_assert_msg(strncmp(error_text(&err), expected, strlen(expected)) == 0, "%s: '%s'", text,
                  error_text(&err));
    error_fini(&err);
    arena_free(&a);
}

START_TEST(yaml_trees)
{
    check_tree(yaml_parse, "a: 1\nb: [x, \"1\", 'y']\nc:\n- d: e\n  f: ~\n",
               "{a:1,b:[x,\"1\",\"y\"],c:[{d:e,f:~}]}");
    check_tree(yaml_parse, "", "{}");
    check_tree(yaml_parse, "# nothing\n", "{}");
    check_tree(yaml_parse, "a: |\n  x\n  y\n", "{a:\"x\ny\n\"}");
    check_tree(yaml_parse, "a: !!str 5\n", "{a:\"5\"}");
    check_tree(yaml_parse, "a: &x {b: c}\nd: *x\n", "{a:{b:c},d:{b:c}}");
    check_tree(yaml_parse, "{\"a\": [1, 2,], \"b\": {\"c\": null,},}", "{a:[1,2],b:{c:null}}");
    check_tree(yaml_parse, "a: 1\n---\nb: 2\n", "{a:1}");
    check_tree(yaml_parse,
               "\xef\xbb\xbf"
               "a: 1\n",
               "{a:1}");
}
END_TEST

START_TEST(yaml_positions)
{
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    struct yaml_node *n = yaml_parse(a, "f", BYTES("a:\n  b: x\n  c:\n  - y\n"), &err);
    struct yaml_node *inner = yaml_get(n, "a");
    ck_assert_uint_eq(inner->line, 2);
    ck_assert_uint_eq(inner->column, 3);
    ck_assert_uint_eq(inner->entries[0].value->column, 6);
    ck_assert_uint_eq(inner->entries[1].key_node->line, 3);
    ck_assert_uint_eq(yaml_get(inner, "c")->items[0]->line, 4);
    ck_assert_str_eq(inner->file, "f");
    ck_assert_ptr_null(yaml_get(n, "z"));
    ck_assert_ptr_null(yaml_get(yaml_get(inner, "b"), "z"));
    arena_free(&a);
}
END_TEST

START_TEST(yaml_errors)
{
    check_error(yaml_parse, "a: 1\nb: 2\na: 3\n", "f:3:1: 'a' stands twice: first on line 1");
    check_error(yaml_parse, "a:\n\tb: 1\n", "f:2:1: found character that cannot start any token");
    check_error(yaml_parse, "a: [1\n", "f:2:1: did not find expected ',' or ']'");
    check_error(yaml_parse, "a: *x\n", "f:1:4: alias '*x' has no anchor before it");
    check_error(yaml_parse, "a: &x [*x]\n", "f:1:8: alias '*x' has no anchor before it");
    check_error(yaml_parse, "{[a]: 1}\n", "f:1:2: expected a name before ':'");
    check_error(yaml_parse, "a: !foo 1\n", "f:1:4: a tag that has no meaning here");
    check_error(yaml_parse, "\xc3\xa4: b\n\xc3\xa4: \xff\n", "f:2:4: ");
    check_error(yaml_parse, "a: \xff\n", "f:1:4: ");
}
END_TEST

START_TEST(yaml_bounds)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_add_str(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        strbuf_printf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            strbuf_printf(&text, "%s*a%d", k ? ", " : "", i - 1);
        strbuf_add_str(&text, "]\n");
    }
    check_error(yaml_parse, strbuf_str(&text), "f:7:15: too many nodes");
    strbuf_reset(&text);
    for (int i = 0; i < 5000; i++)
        strbuf_add_char(&text, '[');
    check_error(yaml_parse, strbuf_str(&text), "f:1:101: nested too deeply");
    check_error(json_parse, strbuf_str(&text), "f:1:101: nested too deeply");
    strbuf_fini(&text);
}
END_TEST

START_TEST(several_documents)
{
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    size_t n;
    struct yaml_node **docs =
        yaml_parse_all(a, "f", BYTES("a: 1\n---\nb: 2\n---\n- c\n"), &n, &err);
    ck_assert_ptr_nonnull(docs);
    ck_assert_uint_eq(n, 3);
    ck_assert_ptr_nonnull(yaml_get(docs[1], "b"));
    ck_assert_int_eq(docs[2]->kind, YAML_SEQUENCE);
    docs = yaml_parse_all(a, "f", BYTES(""), &n, &err);
    ck_assert_ptr_nonnull(docs);
    ck_assert_uint_eq(n, 0);
    ck_assert_ptr_null(yaml_parse_all(a, "f", BYTES("a: 1\n---\nb: [\n"), &n, &err));
    error_fini(&err);
    arena_free(&a);
}
END_TEST

START_TEST(json_trees)
{
    check_tree(json_parse, "{\"a\": [1, -2.5e3, true, null, \"x\\n\\u00e9\\ud83d\\ude00\"]}",
               "{a:[1,-2.5e3,true,null,\"x\n\xc3\xa9\xf0\x9f\x98\x80\"]}");
    check_tree(json_parse, " [ ] ", "[]");
    check_tree(json_parse, "{\"a\":1,}", "{a:1}");
    check_tree(json_parse, "[1,]", "[1]");
    check_tree(json_parse, "\"\"", "\"\"");
}
END_TEST

START_TEST(json_errors)
{
    check_error(json_parse, "", "f:1:1: expected a JSON value, got the end");
    check_error(json_parse, "{\"a\":1,\n\"a\":2}", "f:2:1: 'a' stands twice: first on line 1");
    check_error(json_parse, "{\"a\" 1}", "f:1:6: expected ':'");
    check_error(json_parse, "{a: 1}", "f:1:2: expected a name in quotes or '}'");
    check_error(json_parse, "[1 2]", "f:1:4: expected ',' or ']'");
    check_error(json_parse, "[,]", "f:1:2: expected a JSON value");
    check_error(json_parse, "{} x", "f:1:4: text after the JSON value");
    check_error(json_parse, "[01]", "f:1:2: expected a JSON value");
    check_error(json_parse, "[1.]", "f:1:2: expected a JSON value");
    check_error(json_parse, "[truex]", "f:1:2: expected a JSON value");
    check_error(json_parse, "[\"a", "f:1:2: the string has no end");
    check_error(json_parse, "[\"\\", "f:1:4: the string has no end");
    check_error(json_parse, "[\"\\x\"]", "f:1:4: no such escape in JSON");
    check_error(json_parse, "[\"\\ud800\"]", "f:1:5: half of a surrogate pair");
    check_error(json_parse, "[\"\\udc00\"]", "f:1:5: half of a surrogate pair");
    check_error(json_parse, "[\"\\u12g4\"]", "f:1:7: expected four hexadecimal digits");
    check_error(json_parse, "[\"a\nb\"]", "f:1:4: a control character inside a string");
    check_error(json_parse, "[\"\xc0\x80\"]", "f:1:3: not UTF-8");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("yaml");
    tcase_add_test(tc, yaml_trees);
    tcase_add_test(tc, yaml_positions);
    tcase_add_test(tc, yaml_errors);
    tcase_add_test(tc, yaml_bounds);
    tcase_add_test(tc, several_documents);
    tcase_add_test(tc, json_trees);
    tcase_add_test(tc, json_errors);
    Suite *s = suite_create("yaml");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
