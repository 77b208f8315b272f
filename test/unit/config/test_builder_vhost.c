#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "config/builder.h"
#include "config/route.h"
#include "config_fixture.h"

static struct fixture f;

#define URL "type.googleapis.com/envoy.extensions.filters."
#define LISTENER                                                                                   \
    "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, filter_chains: "    \
    "[{filters: [{name: hcm, typed_config: {'@type': " URL                                         \
    "network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: p, rds: "              \
    "{route_config_name: r, config_source: {ads: {}}}, http_filters: "                             \
    "[{name: envoy.filters.http.router}]}}]}]}"
#define VHOST(name, domains, status)                                                               \
    "{name: " name ", domains: [" domains                                                          \
    "], routes: [{match: {prefix: /}, direct_response: {status: " status "}}]}"
#define ROUTES(vhosts) "{name: r, vhds: {config_source: {ads: {}}}, virtual_hosts: [" vhosts "]}"
#define HERE VHOST("here", "here.test", "200")
#define STATS "http.p.rds.vhds.r."

static void setup(void)
{
    fixture_init(&f);
    builder_decode_context(f.builder)->ads_delta = true;
    fixture_start(&f);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_LISTENER, "l", LISTENER), "");
    ck_assert_str_eq(fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES(HERE)), "");
    fixture_log(&f);
}

static void teardown(void)
{
    fixture_fini(&f);
}

static const char *demand(const char *name)
{
    builder_demand(f.builder, RESOURCE_VIRTUAL_HOST, &f.ads, bytes_of(name));
    return fixture_log(&f);
}

static const char *put(const char *name, const char *yaml)
{
    return fixture_update(&f, RESOURCE_VIRTUAL_HOST, name, yaml);
}

static const char *take_away(const char *name)
{
    struct bytes removed = bytes_of(name);
    struct update_result r;
    config_update(f.builder, &f.ads, RESOURCE_VIRTUAL_HOST, NULL, 0, &removed, 1, false, BYTES("v"),
                  &r);
    update_result_fini(&r);
    builder_commit(f.builder);
    return fixture_log(&f);
}

static struct route_config *routes(void)
{
    return fixture_listener(&f, "l")->chains[0]->routes;
}

/* Names of the virtual hosts that serve, and what they answer. */
static void expect_serving(const char *text)
{
    struct strbuf now = STRBUF_INIT;
    const struct route_config *rc = routes();
    for (unsigned i = 0; i < rc->n_vhosts; i++) {
        const struct virtual_host *v = rc->vhosts[i].vhost;
        strbuf_printf(&now, "%.*s %u;", BYTES_ARG(v->name), v->routes[0].route->direct->status);
    }
    ck_assert_str_eq(strbuf_str(&now), text);
    strbuf_fini(&now);
}

START_TEST(one_comes_beside_those_that_are_there)
{
    ck_assert_str_eq(demand("r/a.test"), "want vhds r/a.test;done;");
    ck_assert_str_eq(demand("r/a.test"), "");
    struct virtual_host *here = routes()->vhosts[0].vhost;
    ck_assert_str_eq(put("r/a.test", VHOST("r/a.test", "a.test", "201")), "");
    ck_assert_str_eq(fixture_log(&f), "publish 2;settled r/a.test;");
    expect_serving("here 200;r/a.test 201;");
    ck_assert_ptr_eq(routes()->vhosts[0].vhost, here);
    ck_assert_int_eq(fixture_stat(&f, STATS "config_reload"), 1);
    ck_assert_int_eq(fixture_stat(&f, STATS "update_success"), 1);
    /* who asks again for another of its hosts is told at once */
    ck_assert_str_eq(demand("r/a.test"), "settled r/a.test;");
}
END_TEST

START_TEST(it_changes_and_goes)
{
    demand("r/a.test");
    put("r/a.test", VHOST("r/a.test", "a.test", "201"));
    ck_assert_str_eq(put("r/a.test", VHOST("r/a.test", "a.test", "202")), "");
    expect_serving("here 200;r/a.test 202;");
    uint64_t decoded = builder_decoded(f.builder, RESOURCE_VIRTUAL_HOST);
    ck_assert_str_eq(put("r/a.test", VHOST("r/a.test", "a.test", "202")), "");
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_VIRTUAL_HOST), decoded);
    fixture_log(&f);
    ck_assert_str_eq(take_away("r/a.test"), "publish 4;settled r/a.test;");
    expect_serving("here 200;");
    ck_assert_str_eq(demand("r/a.test"), "settled r/a.test;");
    put("r/a.test", VHOST("r/a.test", "a.test", "203"));
    expect_serving("here 200;r/a.test 203;");
}
END_TEST

START_TEST(a_new_table_keeps_it)
{
    demand("r/a.test");
    put("r/a.test", VHOST("r/a.test", "a.test", "201"));
    ck_assert_str_eq(fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES("")), "");
    expect_serving("r/a.test 201;");
    uint64_t decoded = builder_decoded(f.builder, RESOURCE_ROUTE);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES("")), "");
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_ROUTE), decoded);
    /* and one without VHDS is without it */
    ck_assert_str_eq(
        fixture_update(&f, RESOURCE_ROUTE, "r", "{name: r, virtual_hosts: [" HERE "]}"), "");
    expect_serving("here 200;");
}
END_TEST

START_TEST(a_domain_or_a_name_stands_once)
{
    demand("r/a.test");
    demand("r/b.test");
    put("r/a.test", VHOST("r/a.test", "a.test", "201"));
    ck_assert_str_ne(put("r/b.test", VHOST("r/b.test", "a.test", "202")), "");
    expect_serving("here 200;r/a.test 201;");
    ck_assert_str_eq(demand("r/b.test"), "publish 2;settled r/a.test;settled r/b.test;"
                                         "settled r/b.test;");
    ck_assert_int_eq(fixture_stat(&f, STATS "update_rejected"), 1);
    /* one that comes by two names is one */
    ck_assert_str_eq(put("r/a.test", VHOST("both", "'a.test', 'b.test'", "203")), "");
    ck_assert_str_eq(put("r/b.test", VHOST("both", "'a.test', 'b.test'", "203")), "");
    expect_serving("here 200;both 203;");
    /* a table that collides is refused */
    ck_assert_str_ne(fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES(VHOST("x", "b.test", "204"))),
                     "");
    expect_serving("here 200;both 203;");
}
END_TEST

START_TEST(one_that_does_not_come)
{
    demand("r/a.test");
    ck_assert(fixture_expire(&f));
    ck_assert_str_eq(fixture_log(&f), "settled r/a.test;");
    ck_assert_int_eq(fixture_stat(&f, STATS "init_fetch_timeout"), 1);
    demand("r/b.test");
    ck_assert_str_eq(take_away("r/b.test"), "settled r/b.test;");
    ck_assert_str_eq(demand("r/b.test"), "settled r/b.test;");
}
END_TEST

START_TEST(one_of_another_table_is_no_matter)
{
    demand("other/a.test");
    ck_assert_str_eq(put("other/a.test", VHOST("other/a.test", "a.test", "201")), "");
    expect_serving("here 200;");
    demand("q/a.test");
    ck_assert_str_eq(put("q/a.test", VHOST("q/a.test", "a.test", "201")), "");
    expect_serving("here 200;");
}
END_TEST

START_TEST(a_table_that_goes_takes_them_along)
{
    demand("r/a.test");
    demand("r/b.test");
    put("r/a.test", VHOST("r/a.test", "a.test", "201"));
    fixture_log(&f);
    /* one that asks for none, while a request waits for b.test */
    fixture_update(&f, RESOURCE_ROUTE, "r", "{name: r, virtual_hosts: [" HERE "]}");
    ck_assert_str_eq(fixture_log(&f), "unwant vhds r/a.test;unwant vhds r/b.test;done;publish 3;"
                                      "settled r/a.test;settled r/b.test;");
    expect_serving("here 200;");
    fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES(HERE));
    fixture_log(&f);
    ck_assert_str_eq(demand("r/a.test"), "want vhds r/a.test;done;");
    /* and its listener */
    fixture_full(&f, RESOURCE_LISTENER, (const char *const[]){NULL});
    builder_commit(f.builder);
    const char *log = fixture_log(&f);
    ck_assert_msg(strstr(log, "unwant vhds r/a.test;") != NULL, "%s", log);
    ck_assert_uint_eq(builder_store(f.builder)->counts[RESOURCE_VIRTUAL_HOST], 0);
    ck_assert_int_eq(fixture_stat(&f, "xylem.config.on_demand.names"), 0);
}
END_TEST

START_TEST(what_is_refused)
{
    static const struct {
        const char *yaml, *why;
    } bad[] = {
        {"{name: r, vhds: {}}", "vhds"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *why = fixture_update(&f, RESOURCE_ROUTE, "r", bad[i].yaml);
        ck_assert_msg(strstr(why, bad[i].why) != NULL, "%s", why);
    }
    builder_decode_context(f.builder)->ads_delta = false;
    const char *why = fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES(VHOST("x", "x", "200")));
    ck_assert_msg(strstr(why, "vhds.config_source: virtual hosts come by delta") != NULL, "%s",
                  why);
    expect_serving("here 200;");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("builder_vhost");
    TCase *t = tcase_create("builder_vhost");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, one_comes_beside_those_that_are_there);
    tcase_add_test(t, it_changes_and_goes);
    tcase_add_test(t, a_new_table_keeps_it);
    tcase_add_test(t, a_domain_or_a_name_stands_once);
    tcase_add_test(t, one_that_does_not_come);
    tcase_add_test(t, one_of_another_table_is_no_matter);
    tcase_add_test(t, a_table_that_goes_takes_them_along);
    tcase_add_test(t, what_is_refused);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
