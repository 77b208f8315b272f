/* Layers of the runtime: what they say, which one counts, and who is told. */
#include "config/runtime.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "config/json_read.h"
#include "config/runtime_value.h"
#include "config/static_load.h"
#include "config/yaml.h"
#include "config_fixture.h"

static struct fixture f;
static struct bootstrap_config *config;

static void setup(void)
{
    fixture_init(&f);
}

static void teardown(void)
{
    bootstrap_config_free(&config);
    fixture_fini(&f);
}

#define LAYERS(...) "{layered_runtime: {layers: [" __VA_ARGS__ "]}}"

static const char *load(const char *yaml)
{
    struct error err = ERROR_INIT;
    bootstrap_config_free(&config);
    config = bootstrap_config_decode(builder_decode_context(f.builder),
                                     fixture_wire(&f, "envoy.config.bootstrap.v3.Bootstrap", yaml),
                                     &err);
    const char *text = arena_str(f.arena, bytes_of(config ? "" : error_text(&err)));
    error_fini(&err);
    return text;
}

static const char *value(const char *key)
{
    const struct runtime_value *v = runtime_get(&config->runtime, bytes_of(key));
    return v ? v->text : "none";
}

START_TEST(values_of_every_kind)
{
    ck_assert_str_eq(
        load(LAYERS("{name: s, static_layer: {foo: {bar: 5, baz: x}, frac: {numerator: "
                    "5, denominator: TEN_THOUSAND}, flag: true, d: 1.5, big: "
                    "12345678901, neg: -3, str: '12', empty: {}}}")),
        "");
    ck_assert_str_eq(value("foo.bar"), "5");
    ck_assert_str_eq(value("foo.baz"), "x");
    ck_assert_str_eq(value("frac"), "{\"numerator\":5,\"denominator\":\"TEN_THOUSAND\"}");
    ck_assert_str_eq(value("flag"), "true");
    ck_assert_str_eq(value("d"), "1.5");
    ck_assert_str_eq(value("big"), "12345678901");
    ck_assert_str_eq(value("neg"), "-3");
    ck_assert_str_eq(value("str"), "12");
    ck_assert_str_eq(value("empty"), "{}");
    ck_assert_str_eq(value("foo"), "none");
    ck_assert_str_eq(load(LAYERS("{name: s, static_layer: {a: [1]}}")),
                     "layered_runtime.layers[0].static_layer.Invalid runtime entry value for a");
    ck_assert_str_eq(load(LAYERS("{name: a, admin_layer: {}}, {name: b, admin_layer: {}}")),
                     "layered_runtime.layers[1].admin_layer: Too many admin layers specified in "
                     "LayeredRuntime, at most one may be specified");
}
END_TEST

static void expect_fraction(const struct runtime_cell *c, uint32_t numerator, uint32_t denominator)
{
    struct fraction got = runtime_fraction(c, (struct fraction){7, 100});
    ck_assert_uint_eq(got.numerator, numerator);
    ck_assert_uint_eq(got.denominator, denominator);
}

START_TEST(a_cell_follows_its_key)
{
    ck_assert_str_eq(load(LAYERS("{name: s, static_layer: {key: 30}}, {name: a, admin_layer: {}}")),
                     "");
    struct runtime *r = &config->runtime;
    runtime_set_stats(r, f.stats);
    struct runtime_cell *c = runtime_cell_get(r, BYTES("key"));
    struct runtime_cell *other = runtime_cell_get(r, BYTES("other"));
    ck_assert_ptr_eq(c, runtime_cell_get(r, BYTES("key")));
    expect_fraction(NULL, 7, 100);
    expect_fraction(c, 30, 100);
    expect_fraction(other, 7, 100);
    ck_assert(runtime_modify(r, BYTES("key"), BYTES("{numerator: 1, denominator: MILLION}")));
    expect_fraction(c, 1, 1000000);
    ck_assert(runtime_modify(r, BYTES("key"), BYTES("0")));
    expect_fraction(c, 0, 100);
    ck_assert(runtime_modify(r, BYTES("key"), BYTES("some text")));
    expect_fraction(c, 7, 100); /* no fraction: the default */
    ck_assert(runtime_modify(r, BYTES("key"), BYTES("")));
    expect_fraction(c, 30, 100); /* the layer below */
    ck_assert(runtime_modify(r, BYTES("other"), BYTES("100")));
    expect_fraction(other, 100, 100);
    ck_assert_int_eq(fixture_stat(&f, "runtime.num_keys"), 2);
    ck_assert_int_eq(fixture_stat(&f, "runtime.num_layers"), 2);
    ck_assert_int_eq(fixture_stat(&f, "runtime.admin_overrides_active"), 1);
    struct runtime_cell *again = c;
    runtime_cell_unref(&again);
    runtime_cell_unref(&c);
    runtime_cell_unref(&other);
    ck_assert_uint_eq(map_count(&r->cells), 0);
    ck_assert_str_eq(load(LAYERS("{name: s, static_layer: {key: 30}}")), "");
    ck_assert(!runtime_modify(&config->runtime, BYTES("key"), BYTES("1")));
}
END_TEST

struct reading {
    const char *text;
    int64_t numerator; /* -1: it has none */
    uint32_t denominator;
};

static void expect_reading(struct runtime *r, const struct reading *expected)
{
    struct runtime_cell *c = runtime_cell_get(r, BYTES("key"));
    struct fraction got = runtime_fraction(c, (struct fraction){7, 7});
    bool none = expected->numerator < 0;
    ck_assert_msg(got.denominator == (none ? 7 : expected->denominator) &&
                      got.numerator == (none ? 7 : (uint32_t)expected->numerator),
                  "'%s': %u of %u", expected->text, got.numerator, got.denominator);
    runtime_cell_unref(&c);
}

/* What is a string in a Struct, and what is none. */
static const struct reading in_struct[] = {
    {"33.5", 33, 100},
    {"'33.5'", 33, 100},
    {"0.5", 0, 100},
    {"1e-9", 0, 100},
    {"-0.5", -1, 0},
    {"-1", -1, 0},
    {"5e9", UINT32_MAX, 100},
    {"' 7'", 7, 100},
    {"\"\\n7\\t\"", 7, 100},
    {"'0x10'", 16, 100},
    {"'0x1p3'", 8, 100},
    {"'010'", 10, 100},
    {"'+5'", 5, 100},
    {"'+ 5'", -1, 0},
    {"'0x'", -1, 0},
    {"'inf'", -1, 0},
    {"'nan'", -1, 0},
    {"'1e400'", -1, 0},
    {"'7 # c'", -1, 0},
    {"\"7\\0\"", -1, 0},
    {"'numerator: 5'", -1, 0},
    {"{}", 0, 100},
    {"{numerator: 33.5}", 0, 100}, /* YAML has it as a string */
    {"{numerator: -1}", -1, 0},
    {"{numerator: '5'}", 0, 100},
    {"{numerator: true}", 0, 100},
    {"{numerator: null, denominator: MILLION}", 0, 1000000},
    {"{numerator: [5]}", 0, 100},
    {"{numerator: 5, denominator: 1}", -1, 0},
    {"{numerator: 5, denominator: BAD}", -1, 0},
    {"{numerator: 5, more: 1}", -1, 0},
};

START_TEST(numbers_of_a_struct)
{
    for (unsigned i = 0; i < ARRAY_SIZE(in_struct); i++) {
        ck_assert_str_eq(load(arena_printf(f.arena, LAYERS("{name: s, static_layer: {key: %s}}"),
                                           in_struct[i].text)),
                         "");
        expect_reading(&config->runtime, &in_struct[i]);
    }
}
END_TEST

/* JSON has numbers, and so has what comes over the wire. */
static const struct reading in_json[] = {
    {"{\"key\": 33.5}", 33, 100},
    {"{\"key\": 5e9}", UINT32_MAX, 100},
    {"{\"key\": -0.5}", -1, 0},
    {"{\"key\": {\"numerator\": 33.5}}", 33, 100},
    {"{\"key\": {\"numerator\": 5e9}}", UINT32_MAX, 100},
    {"{\"key\": {\"numerator\": -0.5}}", 0, 100},
};

START_TEST(numbers_of_json)
{
    ck_assert_str_eq(load(LAYERS("{name: s, static_layer: {}}")), "");
    for (unsigned i = 0; i < ARRAY_SIZE(in_json); i++) {
        struct error err = ERROR_INIT;
        struct bytes wire;
        struct yaml_node *n = json_parse(f.arena, "test", bytes_of(in_json[i].text), &err);
        ck_assert(n && json_read(f.descriptors, n, BYTES("google.protobuf.Struct"), NULL, f.arena,
                                 &wire, &err));
        ck_assert(runtime_set_layer(&config->runtime, 0, wire, &err));
        expect_reading(&config->runtime, &in_json[i]);
    }
}
END_TEST

/* Files and /runtime_modify. */
static const struct reading in_text[] = {
    {"33.5", 33, 100},
    {"0.5", 0, 100},
    {" 7 ", 7, 100},
    {"\t7", 7, 100},
    {"\n7", 7, 100},
    {"0x10", 16, 100},
    {"010", 8, 100},
    {"08", 8, 100},
    {"7 # c", 7, 100},
    {"0.5 # c", -1, 0},
    {"# off\n\n0\n", 0, 100},
    {"\xef\xbb\xbf"
     "0",
     0, 100},
    {"---\n7", 7, 100},
    {"&a 7", 7, 100},
    {"'7'", -1, 0},
    {"7:", -1, 0},
    {"[7]", -1, 0},
    {"7f", -1, 0},
    {"*a", -1, 0},
    {"# c", -1, 0},
    {"{}", 0, 100},
    {"numerator: 5", 5, 100},
    {" {\"numerator\": 5, \"denominator\": \"MILLION\"}", 5, 1000000},
    {"numerator: 010 # c", 8, 100},
    {"numerator: 33.5", 0, 100},
    {"numerator: '5'", 0, 100},
    {"numerator: 3000000000", 0, 100},
    {"numerator: -5", -1, 0},
    {"numerator:", 0, 100},
    {"numerator: 5\ndenominator: 1", -1, 0},
};

START_TEST(numbers_of_text)
{
    ck_assert_str_eq(load(LAYERS("{name: a, admin_layer: {}}")), "");
    for (unsigned i = 0; i < ARRAY_SIZE(in_text); i++) {
        ck_assert(runtime_modify(&config->runtime, BYTES("key"), bytes_of(in_text[i].text)));
        expect_reading(&config->runtime, &in_text[i]);
        ck_assert_str_eq(value("key"), in_text[i].text);
    }
}
END_TEST

static void expect_layers(int64_t layers, int64_t not_exists, int64_t exists)
{
    ck_assert_int_eq(fixture_stat(&f, "runtime.num_layers"), layers);
    ck_assert_int_eq(fixture_stat(&f, "runtime.override_dir_not_exists"), not_exists);
    ck_assert_int_eq(fixture_stat(&f, "runtime.override_dir_exists"), exists);
}

START_TEST(a_folder_of_values)
{
    struct error err = ERROR_INIT;
    char root[] = "/tmp/xylem-runtime-XXXXXX", sub[64], yaml[200];
    ck_assert_ptr_nonnull(mkdtemp(root));
    snprintf(sub, sizeof(sub), "%s/foo", root);
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    fixture_put_file(root, "plain", "# why\n\nvalue  \n\n");
    fixture_put_file(root, ".hidden", "no");
    fixture_put_file(sub, "bar", "9\n");
    snprintf(yaml, sizeof(yaml), LAYERS("{name: d, disk_layer: {symlink_root: %s}}"), root);
    ck_assert_str_eq(load(yaml), "");
    ck_assert(runtime_read_disk(&config->runtime, 0, BYTES("c"), &err));
    ck_assert_str_eq(value("plain"), "value");
    ck_assert_str_eq(value("foo.bar"), "9");
    ck_assert_str_eq(value(".hidden"), "none");
    runtime_set_stats(&config->runtime, f.stats);
    expect_layers(1, 2, 0);
    snprintf(yaml, sizeof(yaml), "rm -r %s", root);
    ck_assert_int_eq(system(yaml), 0);
    ck_assert(runtime_read_disk(&config->runtime, 0, BYTES("c"), &err));
    ck_assert_str_eq(value("plain"), "none");
    expect_layers(0, 3, 0);
}
END_TEST

START_TEST(two_folders_of_values)
{
    struct error err = ERROR_INIT;
    char root[] = "/tmp/xylem-runtime-XXXXXX", path[64];
    ck_assert_ptr_nonnull(mkdtemp(root));
    fixture_put_file(root, "file", "1");
    ck_assert_str_eq(load(arena_printf(f.arena,
                                       LAYERS("{name: a, disk_layer: {symlink_root: %s}}, {name: "
                                              "b, disk_layer: {symlink_root: %s}}, {name: c, "
                                              "disk_layer: {symlink_root: %s/file}}"),
                                       root, root, root)),
                     "");
    struct runtime *r = &config->runtime;
    ck_assert(!runtime_read_disk(r, 2, BYTES(""), &err));
    error_fini(&err);
    ck_assert(runtime_read_disk(r, 0, BYTES(""), &err));
    runtime_set_stats(r, f.stats);
    ck_assert_int_eq(fixture_stat(&f, "runtime.load_error"), 2);
    ck_assert_int_eq(fixture_stat(&f, "runtime.load_success"), 0);
    expect_layers(1, 2, 0);
    ck_assert(runtime_read_disk(r, 1, BYTES(""), &err));
    expect_layers(2, 2, 1);
    ck_assert_int_eq(fixture_stat(&f, "runtime.load_success"), 1);
    snprintf(path, sizeof(path), "%s/file", root);
    unlink(path);
    rmdir(root);
}
END_TEST

START_TEST(an_admin_layer_where_there_is_none)
{
    static const char *const some[] = {"{layered_runtime: {}}", LAYERS()};
    for (unsigned i = 0; i < ARRAY_SIZE(some); i++) {
        ck_assert_str_eq(load(some[i]), "");
        ck_assert_uint_eq(config->runtime.n_layers, 1);
        ck_assert_uint_eq(config->runtime.layers[0].name.len, 0);
        ck_assert(runtime_modify(&config->runtime, BYTES("key"), BYTES("1")));
    }
    ck_assert_str_eq(load("{}"), "");
    ck_assert(!runtime_modify(&config->runtime, BYTES("key"), BYTES("1")));
}
END_TEST

#define RTDS                                                                                       \
    LAYERS("{name: l, rtds_layer: {name: dyn, rtds_config: {path_config_source: {path: /etc}}}}")

START_TEST(a_layer_of_a_source)
{
    struct error err = ERROR_INIT;
    ck_assert_str_eq(load(RTDS), "");
    const struct config_source *source = &config->runtime.layers[0].source;
    builder_start(f.builder, NULL, NULL);
    ck_assert_int_eq(builder_init_stage(f.builder), INIT_RUNTIME); /* before clusters of sources */
    struct runtime_cell *c = runtime_cell_get(&config->runtime, BYTES("key"));
    static const char *const steps[][2] = {
        {"{name: dyn, layer: {key: 3}}", ""},
        {"{name: dyn, layer: {key: [4]}}",
         "Error adding/updating runtime layer(s) dyn: layer: Invalid runtime entry value for key"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        struct update_result result;
        struct strbuf text = STRBUF_INIT;
        struct resource_update u = {
            .name = BYTES("dyn"),
            .version = BYTES("1"),
            .wire = fixture_wire(&f, "envoy.service.runtime.v3.Runtime", steps[i][0])};
        config_update(f.builder, source, RESOURCE_RUNTIME, &u, 1, NULL, 0, false, BYTES("1"),
                      &result);
        update_result_text(&result, RESOURCE_RUNTIME, &text);
        ck_assert_str_eq(strbuf_str(&text), steps[i][1]);
        strbuf_fini(&text);
        update_result_fini(&result);
        expect_fraction(c, 3, 100);
    }
    ck_assert_int_eq(builder_init_stage(f.builder), INIT_DONE);
    struct bytes gone = BYTES("dyn");
    struct update_result result;
    config_update(f.builder, source, RESOURCE_RUNTIME, NULL, 0, &gone, 1, false, BYTES("2"),
                  &result);
    update_result_fini(&result);
    expect_fraction(c, 7, 100);
    runtime_cell_unref(&c);
    error_fini(&err);
}
END_TEST

START_TEST(a_layer_has_a_name_beside_that_of_its_resource)
{
    static const char rtds[] = LAYERS("{name: %s, rtds_layer: {name: a, rtds_config: "
                                      "{path_config_source: {path: /etc}}}}, {name: a, "
                                      "admin_layer: {}}");
    ck_assert_str_eq(load(arena_printf(f.arena, rtds, "b")), "");
    ck_assert(bytes_eq_str(config->runtime.layers[0].name, "b"));
    ck_assert(bytes_eq_str(config->runtime.layers[0].resource, "a"));
    ck_assert_str_eq(load(arena_printf(f.arena, rtds, "a")),
                     "layered_runtime.layers[1].name: Duplicate layer name: a");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("runtime");
    TCase *t = tcase_create("runtime");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, values_of_every_kind);
    tcase_add_test(t, a_cell_follows_its_key);
    tcase_add_test(t, numbers_of_a_struct);
    tcase_add_test(t, numbers_of_json);
    tcase_add_test(t, numbers_of_text);
    tcase_add_test(t, a_folder_of_values);
    tcase_add_test(t, two_folders_of_values);
    tcase_add_test(t, an_admin_layer_where_there_is_none);
    tcase_add_test(t, a_layer_of_a_source);
    tcase_add_test(t, a_layer_has_a_name_beside_that_of_its_resource);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
