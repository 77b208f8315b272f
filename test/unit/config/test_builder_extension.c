#include <check.h>
#include <stdlib.h>

#include "config/builder.h"
#include "config/filter_discovery.h"
#include "config_fixture.h"

static struct fixture f;

static void setup(void)
{
    fixture_init(&f);
}

static void teardown(void)
{
    fixture_fini(&f);
}

#define URL "type.googleapis.com/envoy.extensions.filters."
#define HCM URL "network.http_connection_manager.v3.HttpConnectionManager"
#define ROUTER_URL URL "http.router.v3.Router"
#define CORS_URL URL "http.cors.v3.Cors"
#define SKIPPED_URL URL "http.grpc_stats.v3.FilterConfig"
#define DISCOVERED(name, type, more)                                                               \
    "{name: " name ", config_discovery: {config_source: {ads: {}}, type_urls: [" type "]" more "}" \
    "}"
#define LAST DISCOVERED("last", ROUTER_URL, "")
#define CHAIN(prefix, filters)                                                                     \
    "{filters: [{name: hcm, typed_config: {'@type': " HCM ", stat_prefix: " prefix                 \
    ", route_config: {name: r}, http_filters: [" filters "]}}]}"
#define LISTENER(name, port, chains)                                                               \
    "{name: " name ", address: {socket_address: {address: 127.0.0.1, port_value: " port            \
    "}}, filter_chains: [" chains "]}"
#define ONE(filters) LISTENER("l", "1", CHAIN("p", filters))
#define EXTENSION(name, type, more) "{name: " name ", typed_config: {'@type': " type more "}}"
#define ROUTER(more) EXTENSION("last", ROUTER_URL, more)
#define QUIET ", suppress_envoy_headers: true"
#define STATS "extension_config_discovery.http_filter.last."

static void expect(const char *text, const char *expected)
{
    ck_assert_str_eq(text, expected);
}

static void listener(const char *name, const char *yaml)
{
    expect(fixture_update(&f, RESOURCE_LISTENER, name, yaml), "");
}

static const char *extension(const char *name, const char *yaml)
{
    return fixture_update(&f, RESOURCE_EXTENSION, name, yaml);
}

static struct http_manager *manager(const char *name)
{
    struct listener_entry *e = fixture_listener(&f, name);
    ck_assert_ptr_nonnull(e);
    return e->chains[0]->manager;
}

static const char *filter(const char *name, unsigned i)
{
    struct http_manager *m = manager(name);
    return i < m->n_filters ? m->filters[i].factory->name : "";
}

static void remove_extension(const char *name)
{
    struct bytes removed = bytes_of(name);
    struct update_result r;
    config_update(f.builder, &f.ads, RESOURCE_EXTENSION, NULL, 0, &removed, 1, false, BYTES("v"),
                  &r);
    update_result_fini(&r);
    builder_commit(f.builder);
}

START_TEST(a_listener_waits_for_its_filter)
{
    fixture_start(&f);
    listener("l", ONE(LAST));
    expect(fixture_log(&f), "bind l;want ecds last;done;");
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    expect(extension("last", ROUTER("")), "");
    expect(fixture_log(&f), "publish 1;");
    expect(filter("l", 0), "envoy.filters.http.router");
    ck_assert_int_eq(fixture_stat(&f, STATS "config_reload"), 1);
    ck_assert_int_eq(fixture_stat(&f, STATS "update_success"), 1);
}
END_TEST

START_TEST(a_new_one_changes_the_manager_alone)
{
    fixture_start(&f);
    listener("l",
             LISTENER("l", "1",
                      CHAIN("p", LAST) ", {name: other, filter_chain_match: {server_names: "
                                       "[x]}, filters: [{name: hcm, typed_config: {'@type': " HCM
                                       ", stat_prefix: q, route_config: {name: r}, "
                                       "http_filters: [{name: envoy.filters.http.router}]}}]}"));
    expect(extension("last", ROUTER("")), "");
    struct chain_binding *before[2], **now;
    for (unsigned i = 0; i < 2; i++)
        before[i] = fixture_listener(&f, "l")->chains[i];
    expect(extension("last", ROUTER(QUIET)), "");
    now = fixture_listener(&f, "l")->chains;
    ck_assert_ptr_ne(before[0], now[0]);
    ck_assert_ptr_eq(before[0]->chain, now[0]->chain);
    ck_assert_ptr_eq(before[0]->routes, now[0]->routes);
    ck_assert_ptr_eq(before[0]->manager->base, now[0]->manager->base);
    ck_assert_ptr_ne(before[0]->manager->filters[0].config, now[0]->manager->filters[0].config);
    ck_assert_ptr_eq(before[1], now[1]);
    ck_assert_int_eq(fixture_stat(&f, STATS "config_reload"), 2);
}
END_TEST

START_TEST(equal_bytes_change_nothing)
{
    fixture_start(&f);
    listener("l", ONE(LAST));
    expect(extension("last", ROUTER("")), "");
    struct chain_binding *before = fixture_listener(&f, "l")->chains[0];
    uint64_t decoded = builder_decoded(f.builder, RESOURCE_EXTENSION);
    fixture_log(&f);
    expect(extension("last", ROUTER("")), "");
    expect(fixture_log(&f), "");
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_EXTENSION), decoded);
    ck_assert_ptr_eq(fixture_listener(&f, "l")->chains[0], before);
    ck_assert_int_eq(fixture_stat(&f, STATS "config_reload"), 1);
    ck_assert_int_eq(fixture_stat(&f, STATS "update_success"), 2);
}
END_TEST

START_TEST(another_filter_of_the_chain_keeps_its_configuration)
{
    fixture_start(&f);
    listener("l", ONE(DISCOVERED("first", CORS_URL, "") ", " LAST));
    expect(extension("last", ROUTER("")), "");
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    expect(extension("first", EXTENSION("first", CORS_URL, "")), "");
    void *before = manager("l")->filters[1].config;
    expect(extension("last", ROUTER(QUIET)), "");
    ck_assert_ptr_ne(manager("l")->filters[1].config, before);
    before = manager("l")->filters[1].config;
    remove_extension("first");
    expect(filter("l", 0), "missing");
    ck_assert_ptr_eq(manager("l")->filters[1].config, before);
}
END_TEST

#define ERROR "Error adding/updating filter configuration(s) last: "

START_TEST(a_refused_one_leaves_the_last_good_one)
{
    static const struct {
        const char *yaml, *why;
    } bad[] = {
        {EXTENSION("last", CORS_URL, ""),
         ERROR "Error: filter config has type URL envoy.extensions.filters.http.cors.v3.Cors but "
               "expect envoy.extensions.filters.http.router.v3.Router."},
        {EXTENSION("first", ROUTER_URL, ""),
         ERROR "Unexpected resource name in ExtensionConfigDS response: first"},
        {"{name: last}", NULL},
        {ROUTER(", upstream_http_filters: [{name: x}]"), NULL},
    };
    fixture_start(&f);
    listener("l", ONE(LAST));
    expect(extension("last", ROUTER("")), "");
    struct chain_binding *before = fixture_listener(&f, "l")->chains[0];
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *why = extension("last", bad[i].yaml);
        if (bad[i].why)
            expect(why, bad[i].why);
        ck_assert_str_ne(why, "");
        ck_assert_int_eq(fixture_stat(&f, STATS "config_fail"), i + 1);
    }
    ck_assert_ptr_eq(fixture_listener(&f, "l")->chains[0], before);
}
END_TEST

START_TEST(all_places_take_it_or_none)
{
    fixture_start(&f);
    listener("l", ONE(DISCOVERED("first", CORS_URL,
                                 "") ", " DISCOVERED("x", ROUTER_URL ", " CORS_URL, "")));
    listener("m", LISTENER("m", "2",
                           CHAIN("q", DISCOVERED("x", CORS_URL ", " ROUTER_URL, "") ", " LAST)));
    expect(extension("last", ROUTER("")), "");
    expect(extension("x", EXTENSION("x", ROUTER_URL, "")),
           "Error adding/updating filter configuration(s) x: Error: terminal filter named x of "
           "type envoy.filters.http.router must be the last filter in a http filter chain.");
    expect(extension("first", EXTENSION("first", CORS_URL, "")), ""); /* l is made anew */
    expect(filter("l", 0), "envoy.filters.http.cors");
    expect(filter("l", 1), "missing");
    expect(filter("m", 0), "missing");
    expect(extension("x", EXTENSION("x", CORS_URL, "")),
           "Error adding/updating filter configuration(s) x: Error: non-terminal filter named x of "
           "type envoy.filters.http.cors is the last filter in a http filter chain.");
    expect(filter("m", 0), "missing");
    expect(filter("m", 1), "envoy.filters.http.router");
}
END_TEST

START_TEST(one_place_that_refuses_speaks_for_all)
{
    fixture_start(&f);
    listener("l", ONE(DISCOVERED("x", CORS_URL ", " SKIPPED_URL, "") ", " LAST));
    listener("m", LISTENER("m", "2", CHAIN("q", DISCOVERED("x", CORS_URL, "") ", " LAST)));
    expect(extension("last", ROUTER("")), "");
    expect(extension("x", EXTENSION("x", CORS_URL, "")), "");
    ck_assert_str_ne(extension("x", EXTENSION("x", SKIPPED_URL, "")), "");
    expect(extension("last", ROUTER(QUIET)), ""); /* both are made anew */
    expect(filter("l", 0), "envoy.filters.http.cors");
    expect(filter("m", 0), "envoy.filters.http.cors");
}
END_TEST

START_TEST(a_first_one_that_does_not_come_is_missing)
{
    fixture_start(&f);
    listener("l", ONE(LAST));
    ck_assert(fixture_expire(&f));
    expect(filter("l", 0), "missing");
    ck_assert_int_eq(fixture_stat(&f, STATS "init_fetch_timeout"), 1);
    ck_assert_int_eq(fixture_stat(&f, STATS "config_fail"), 1);
    expect(extension("last", ROUTER("")), "");
    expect(filter("l", 0), "envoy.filters.http.router");
}
END_TEST

#define WITH_DEFAULT ", default_config: {'@type': " ROUTER_URL "}"

START_TEST(the_default_stands_in)
{
    fixture_start(&f);
    listener("l", ONE(DISCOVERED("last", ROUTER_URL, WITH_DEFAULT)));
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    ck_assert(fixture_expire(&f));
    void *fallback = manager("l")->filters[0].config;
    expect(extension("last", ROUTER(QUIET)), "");
    ck_assert_ptr_ne(manager("l")->filters[0].config, fallback);
    remove_extension("last");
    ck_assert_ptr_eq(manager("l")->filters[0].config, fallback);
}
END_TEST

START_TEST(the_default_need_not_wait)
{
    fixture_start(&f);
    listener("l", ONE(DISCOVERED("last", ROUTER_URL,
                                 WITH_DEFAULT ", apply_default_config_without_warming: true")));
    void *fallback = manager("l")->filters[0].config;
    expect(filter("l", 0), "envoy.filters.http.router");
    expect(extension("last", ROUTER("")), "");
    ck_assert_ptr_ne(manager("l")->filters[0].config, fallback);
}
END_TEST

START_TEST(a_removal_before_the_first_is_no_answer)
{
    fixture_start(&f);
    listener("l", ONE(LAST));
    remove_extension("last");
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    expect(extension("last", ROUTER("")), "");
    remove_extension("last");
    expect(filter("l", 0), "missing");
    ck_assert_int_eq(fixture_stat(&f, STATS "config_reload"), 2);
}
END_TEST

START_TEST(a_later_place_begins_with_what_is_there)
{
    fixture_start(&f);
    listener("l", ONE(LAST));
    expect(extension("last", ROUTER("")), "");
    fixture_log(&f);
    listener("m", LISTENER("m", "2", CHAIN("q", LAST)));
    expect(fixture_log(&f), "bind m;publish 2;");
    expect(filter("m", 0), "envoy.filters.http.router");
    /* and with nothing where that does not fit */
    listener("o", LISTENER("o", "3",
                           CHAIN("r", DISCOVERED("last", CORS_URL,
                                                 "") ", {name: envoy.filters.http.router}")));
    expect(filter("o", 0), "missing");
}
END_TEST

START_TEST(who_is_named_by_nobody_is_asked_for_no_longer)
{
    fixture_start(&f);
    listener("l", ONE(LAST));
    expect(extension("last", ROUTER("")), "");
    listener("l", ONE("{name: envoy.filters.http.router}"));
    ck_assert_ptr_nonnull(strstr(fixture_log(&f), "unwant ecds last;"));
    ck_assert_ptr_null(manager("l")->base);
    ck_assert_ptr_null(
        store_find(builder_store(f.builder), &f.ads, RESOURCE_EXTENSION, BYTES("last")));
}
END_TEST

START_TEST(a_changed_listener_goes_on_with_what_is_there)
{
    fixture_start(&f);
    listener("l", ONE(LAST));
    expect(extension("last", ROUTER("")), "");
    listener("l", LISTENER("l", "1", CHAIN("changed", LAST)));
    expect(filter("l", 0), "envoy.filters.http.router");
    expect(bytes_eq_str(manager("l")->stat_prefix, "changed") ? "changed" : "", "changed");
    expect(extension("last", ROUTER(QUIET)), "");
    expect(filter("l", 0), "envoy.filters.http.router");
}
END_TEST

START_TEST(a_filter_that_may_be_skipped_is_left_out)
{
    fixture_start(&f);
    listener("l", ONE(DISCOVERED("seen", SKIPPED_URL, "") ", {name: envoy.filters.http.router}"));
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    expect(extension("seen", EXTENSION("seen", SKIPPED_URL, "")), "");
    ck_assert_uint_eq(manager("l")->n_filters, 1);
    expect(filter("l", 0), "envoy.filters.http.router");
}
END_TEST

START_TEST(what_a_place_may_not_ask_for)
{
    static const struct {
        const char *yaml, *why;
    } bad[] = {
        {DISCOVERED("x", URL "http.nope.v3.Nope", ""), "Error: no factory found for a required "
                                                       "type URL envoy.extensions.filters.http."
                                                       "nope.v3.Nope."},
        {DISCOVERED("x", ROUTER_URL, ", apply_default_config_without_warming: true"),
         "Error: filter config x applied without warming but has no default config."},
        {DISCOVERED("x", ROUTER_URL, ", default_config: {'@type': " CORS_URL "}"),
         "config_discovery.default_config: Error: filter config has type URL"},
        {"{name: x, config_discovery: {config_source: {ads: {}}}}", "type_urls"},
        {"{name: x, config_discovery: {type_urls: [" ROUTER_URL "]}}", "config_source"},
    };
    fixture_start(&f);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char *yaml = arena_printf(f.arena, LISTENER("l", "1", CHAIN("p", "%s")), bad[i].yaml);
        const char *why = fixture_update(&f, RESOURCE_LISTENER, "l", yaml);
        ck_assert_msg(strstr(why, bad[i].why) != NULL, "%s", why);
        ck_assert_msg(strstr(why, "http_filters[0]") != NULL, "%s", why);
    }
    ck_assert_uint_eq(builder_store(f.builder)->counts[RESOURCE_EXTENSION], 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("builder_extension");
    TCase *t = tcase_create("builder_extension");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_listener_waits_for_its_filter);
    tcase_add_test(t, a_new_one_changes_the_manager_alone);
    tcase_add_test(t, equal_bytes_change_nothing);
    tcase_add_test(t, another_filter_of_the_chain_keeps_its_configuration);
    tcase_add_test(t, a_refused_one_leaves_the_last_good_one);
    tcase_add_test(t, all_places_take_it_or_none);
    tcase_add_test(t, one_place_that_refuses_speaks_for_all);
    tcase_add_test(t, a_first_one_that_does_not_come_is_missing);
    tcase_add_test(t, the_default_stands_in);
    tcase_add_test(t, the_default_need_not_wait);
    tcase_add_test(t, a_removal_before_the_first_is_no_answer);
    tcase_add_test(t, a_later_place_begins_with_what_is_there);
    tcase_add_test(t, who_is_named_by_nobody_is_asked_for_no_longer);
    tcase_add_test(t, a_changed_listener_goes_on_with_what_is_there);
    tcase_add_test(t, a_filter_that_may_be_skipped_is_left_out);
    tcase_add_test(t, what_a_place_may_not_ask_for);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
