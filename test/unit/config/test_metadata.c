/* Metadata in the wire format: found, compared, and safe to read however they are broken. */
#include "config/metadata.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "config_fixture.h"

static struct fixture f;

static struct bytes metadata(const char *yaml)
{
    return fixture_wire(&f, "envoy.config.core.v3.Metadata", yaml);
}

static void setup(void)
{
    fixture_init(&f);
}

static void teardown(void)
{
    fixture_fini(&f);
}

#define LB(fields) "{filter_metadata: {other: {a: 1}, envoy.lb: {" fields "}}}"

static const struct {
    const char *body, *labels;
    bool all;
} rows[] = {
    {LB("a: x, b: y"), LB("a: x"), true},
    {LB("a: x"), LB("a: x, b: y"), false},
    {LB("a: x"), LB("a: X"), false},
    {LB("a: 1"), LB("a: 1"), true},
    {LB("a: 1"), LB("a: '1'"), false},
    {LB("a: true"), LB("a: false"), false},
    {LB("a: null"), LB("a: null"), true},
    {LB("a: [1, {k: v}]"), LB("a: 1"), true}, /* a list: any of it */
    {LB("a: [1, {k: v}]"), LB("a: {k: v}"), true},
    {LB("a: [1, 2]"), LB("a: 3"), false},
    {LB("a: [1]"), LB("a: [1]"), false},
    {LB("a: [[1, {k: v}]]"), LB("a: [1, {k: v}]"), true},
    {LB("a: [[1, {k: v}]]"), LB("a: [1]"), false},
    {LB("a: {l: [1]}"), LB("a: {l: [1, 2]}"), false},
    {LB("a: {l: [1]}"), LB("a: {l: [1]}"), true},
    {LB("a: {p: 1, q: 2}"), LB("a: {q: 2, p: 1}"), true},
    {LB("a: {p: 1, q: 2}"), LB("a: {p: 1}"), false},
    {LB("a: x"), LB(""), true},
    {"{}", LB("a: x"), false},
};

START_TEST(test_has_all)
{
    struct bytes body = metadata_filter(metadata(rows[_i].body), METADATA_LB);
    struct bytes labels = metadata_filter(metadata(rows[_i].labels), METADATA_LB);
    ck_assert_ptr_nonnull(labels.data);
    ck_assert_int_eq(metadata_has_all(body, labels), rows[_i].all);
}
END_TEST

START_TEST(test_find)
{
    struct bytes body = metadata_filter(metadata(LB("t: true, f: false, s: 'true'")), METADATA_LB);
    ck_assert(metadata_is_true(metadata_field(body, BYTES("t"))));
    ck_assert(!metadata_is_true(metadata_field(body, BYTES("f"))));
    ck_assert(!metadata_is_true(metadata_field(body, BYTES("s"))));
    ck_assert_ptr_null(metadata_field(body, BYTES("x")).data);
    ck_assert_ptr_null(metadata_filter(body, BYTES("absent")).data);
    ck_assert(!metadata_is_true(BYTES_NONE));
}
END_TEST

/* Cut at each byte and with each byte changed: an answer, whatever it is. */
START_TEST(test_broken)
{
    struct bytes whole = metadata(LB("a: {l: [1, {k: v}]}, b: {p: {q: r}}, c: true"));
    struct bytes labels = metadata_filter(whole, METADATA_LB);
    unsigned found = 0;
    for (size_t i = 0; i < whole.len; i++) {
        for (unsigned change = 0; change < 9; change++) {
            size_t len = change < 8 ? whole.len : i;
            char *copy = malloc(len ? len : 1);
            memcpy(copy, whole.data, len);
            if (change < 8)
                copy[i] ^= (char)(1 << change);
            struct bytes body = metadata_filter(bytes_from(copy, len), METADATA_LB);
            found += metadata_has_all(body, labels);
            found += metadata_has_all(labels, body);
            struct strbuf out = STRBUF_INIT;
            metadata_add(&out, bytes_from(copy, len), &(struct bytes){"envoy.lb", 8}, 1, true,
                         f.arena);
            strbuf_fini(&out);
            free(copy);
        }
    }
    ck_assert_uint_gt(found, 0);
}
END_TEST

static const struct {
    const char *path, *text, *json; /* NULL: none */
} texts[] = {
    {"envoy.lb:a", "x\"", "\"x\\\"\""},
    {"envoy.lb:n", "15", "15"},
    {"envoy.lb:b", "true", "true"},
    {"envoy.lb:z", NULL, NULL},
    {"envoy.lb:none", NULL, NULL},
    {"envoy.lb:a:b", NULL, NULL},
    {"envoy.lb:o:p", "[]", "[]"},
    {"envoy.lb:o", "{\"p\":[],\"q\":{}}", "{\"p\":[],\"q\":{}}"},
    {"envoy.lb:l", "[1,\"\",null,{\"k\":false}]", "[1,\"\",null,{\"k\":false}]"},
    {"other", "{\"a\":1}", "{\"a\":1}"},
    {"none", NULL, NULL},
};

static void check_text(struct bytes all, unsigned row, bool json)
{
    struct strbuf out = STRBUF_INIT;
    struct bytes rest = bytes_of(texts[row].path), path[4];
    const char *want = json ? texts[row].json : texts[row].text;
    unsigned n = 0;
    while (rest.data)
        path[n++] = bytes_split(&rest, ':');
    ck_assert_int_eq(metadata_add(&out, all, path, n, json, f.arena), want != NULL);
    ck_assert_str_eq(strbuf_str(&out), want ? want : "");
    strbuf_fini(&out);
}

START_TEST(test_text)
{
    struct bytes all = metadata(LB("a: 'x\"', n: 15, b: true, z: null, o: {q: {}, p: []}, "
                                   "l: [1, '', null, {k: false}]"));
    check_text(all, (unsigned)_i, false);
    check_text(all, (unsigned)_i, true);
}
END_TEST

static const struct {
    double number;
    const char *text;
} numbers[] = {
    {0, "0"},
    {-3, "-3"},
    {0.1, "0.1"},
    {1e8, "1e+08"},
    {100, "100"},
    {1e5, "1e+05"},
    {1234567, "1234567"},
    {1e22, "1e+22"},
    {1e-7, "1e-07"},
    {0.001, "0.001"},
    {123456789012.0, "123456789012"},
    {1.0 / 3, "0.3333333333333333"},
    {HUGE_VAL, "null"},
};

START_TEST(test_numbers)
{
    struct strbuf out = STRBUF_INIT;
    metadata_add_number(&out, numbers[_i].number);
    ck_assert_str_eq(strbuf_str(&out), numbers[_i].text);
    strbuf_fini(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metadata");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_has_all, 0, (int)ARRAY_SIZE(rows));
    tcase_add_test(t, test_find);
    tcase_add_test(t, test_broken);
    tcase_add_loop_test(t, test_text, 0, (int)ARRAY_SIZE(texts));
    tcase_add_loop_test(t, test_numbers, 0, (int)ARRAY_SIZE(numbers));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
