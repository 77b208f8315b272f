#include "config/source_text.h"

#include <check.h>
#include <stdlib.h>

static struct arena *arena;

static const char file[] = "node: {id: n}\n"
                           "staticResources:\n"
                           "  listeners:\n"
                           "  - name: one\n"
                           "    filter_chains:\n"
                           "    - filters:\n"
                           "      - name: manager\n"
                           "        typed_config:\n"
                           "          \"@type\": type.googleapis.com/some.Manager\n"
                           "          routeConfig: {name: local}\n"
                           "  - name: two\n"
                           "    filter_chains:\n"
                           "    - filters:\n"
                           "      - typed_config:\n"
                           "          \"@type\": type.googleapis.com/xds.type.v3.TypedStruct\n"
                           "          type_url: type.googleapis.com/some.Manager\n"
                           "          value: {stat_prefix: x}\n";
static const char later[] = "node: {cluster: c}\n"
                            "static_resources: {listeners: [{name: three}]}\n"
                            "layers:\n"
                            "  a: {\"x.y\": 1}\n";

static struct source_text both(void)
{
    struct error err = ERROR_INIT;
    struct source_text t = {.n = 2};
    t.trees[0] = yaml_parse(arena, "f", bytes_of(file), &err);
    t.trees[1] = yaml_parse(arena, "l", bytes_of(later), &err);
    ck_assert_msg(t.trees[0] && t.trees[1], "%s", error_text(&err));
    return t;
}

static void check(const struct source_text *t, const char *sentence, const char *expected)
{
    struct error err = ERROR_INIT;
    error_set(&err, "%s", sentence);
    ck_assert(!source_text_locate(t, &err));
    ck_assert_str_eq(error_text(&err), arena_printf(arena, "%s%s", expected, sentence));
    error_fini(&err);
}

START_TEST(test_paths)
{
    struct source_text t = both();
    check(&t, "static_resources.listeners[0].name: too short", "f:4:11: ");
    check(&t, "static_resources.listeners[1].filter_chains[0].filters[0].name: is required",
          "f:14:9: ");
    check(&t,
          "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config"
          ".name: bad",
          "f:10:31: ");
    check(&t, "layers[\"a\"][\"x.y\"]: bad", "l:4:14: ");
    check(&t, "layers[\"b\"]: bad", "l:4:3: ");
    check(&t, "nothing of this: is there", "l:1:1: ");
}
END_TEST

START_TEST(test_context_that_grew)
{
    struct source_text t = both();
    check(&t,
          "static_resources.listeners[0]: error adding listener 'one': filter_chains[0]: "
          "filters[0]: route_config: virtual_hosts[0].name: bad",
          "f:10:24: ");
    check(&t,
          "static_resources.listeners[0]: not implemented: filter_chains[0].filters (why), "
          "name",
          "f:7:7: ");
    /* a word of the sentence is no field */
    check(&t, "static_resources.listeners[0]: name is no good", "f:4:5: ");
    check(&t, "static_resources.listeners[99999999999]: bad", "l:2:31: ");
    check(&t, "static_resources.listeners[: bad", "l:2:31: ");
    check(&t, "static_resources.listeners[\"a: bad", "l:2:31: ");
    check(&t, "[0]: bad", "l:1:1: ");
}
END_TEST

START_TEST(test_typed_struct)
{
    struct source_text t = both();
    check(&t,
          "static_resources.listeners[1].filter_chains[0].filters[0].typed_config.stat_prefix: "
          "bad",
          "f:17:32: ");
    check(&t, "static_resources.listeners[1]: filter_chains[0]: filters[0]: stat_prefix: bad",
          "f:17:32: ");
}
END_TEST

START_TEST(test_merged)
{
    struct source_text t = both(), none = {.n = 0};
    check(&t, "static_resources.listeners[2].name: bad", "l:2:39: ");
    check(&t, "node.id: bad", "f:1:12: ");
    check(&t, "node.cluster: bad", "l:1:17: ");
    check(&t, "node: bad", "l:1:7: ");
    check(&none, "node: bad", "");
}
END_TEST

int main(void)
{
    arena = arena_new(4096);
    Suite *s = suite_create("source_text");
    TCase *t = tcase_create("all");
    tcase_add_test(t, test_paths);
    tcase_add_test(t, test_context_that_grew);
    tcase_add_test(t, test_typed_struct);
    tcase_add_test(t, test_merged);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    arena_free(&arena);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
