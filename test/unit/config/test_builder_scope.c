#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "config/builder.h"
#include "config/route.h"
#include "config/scoped_routes.h"
#include "config_fixture.h"

static struct fixture f;

#define URL "type.googleapis.com/envoy.extensions.filters."
#define LISTENER_OF(rds)                                                                           \
    "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, filter_chains: "    \
    "[{filters: [{name: hcm, typed_config: {'@type': " URL                                         \
    "network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: p, scoped_routes: "    \
    "{name: s, scope_key_builder: {fragments: [{header_value_extractor: {name: x, index: 0}}]}, "  \
    "rds_config_source: " rds ", scoped_rds: {scoped_rds_config_source: {ads: {}}}}, "             \
    "http_filters: [{name: envoy.filters.http.router}]}}]}]}"
#define LISTENER LISTENER_OF("{ads: {}}")
#define SCOPE(name, key, more)                                                                     \
    "{name: " name ", key: {fragments: [{string_key: " key "}]}, " more "}"
#define BY_RDS(name, key, rds) SCOPE(name, key, "route_configuration_name: " rds)
#define ROUTES(name, status)                                                                       \
    "{name: " name ", virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, "    \
    "direct_response: {status: " status "}}]}]}"
#define STATS "http.p.scoped_rds.s."

static void setup(void)
{
    fixture_init(&f);
    fixture_start(&f);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_LISTENER, "l", LISTENER), "");
}

static void teardown(void)
{
    fixture_fini(&f);
}

static const char *put(const char *name, const char *yaml)
{
    return fixture_update(&f, RESOURCE_SCOPED_ROUTE, name, yaml);
}

static const char *routes(const char *name, const char *yaml)
{
    return fixture_update(&f, RESOURCE_ROUTE, name, yaml);
}

static void take_away(enum resource_type type, const char *name)
{
    struct bytes removed = bytes_of(name);
    struct update_result r;
    config_update(f.builder, &f.ads, type, NULL, 0, &removed, 1, false, BYTES("v"), &r);
    update_result_fini(&r);
    builder_commit(f.builder);
}

static bool serves(void)
{
    return fixture_listener(&f, "l") != NULL;
}

/* The status that a key leads to; 0: no routes, -1: no scope. */
static int answer(const char *key)
{
    const struct bytes fragment = bytes_of(key);
    const struct scope_entry *e =
        scope_table_find(fixture_listener(&f, "l")->chains[0]->scopes, &fragment, 1);
    if (!e)
        return -1;
    return e->routes ? (int)e->routes->vhosts[0].vhost->routes[0].route->direct->status : 0;
}

static const char *full(const char *const *pairs)
{
    const char *text = fixture_full(&f, RESOURCE_SCOPED_ROUTE, pairs);
    builder_commit(f.builder);
    return text;
}

START_TEST(a_listener_waits_for_scopes_and_routes)
{
    ck_assert_str_eq(fixture_log(&f), "bind l;want srds *;done;");
    ck_assert(!serves());
    const char *const two[] = {"a", BY_RDS("a", "A", "r1"), "b", BY_RDS("b", "B", "r2"), NULL};
    ck_assert_str_eq(full(two), "");
    ck_assert_str_eq(fixture_log(&f), "want rds r1;want rds r2;done;");
    ck_assert(!serves());
    routes("r1", ROUTES("r1", "201"));
    ck_assert(!serves());
    routes("r2", ROUTES("r2", "202"));
    ck_assert(serves());
    ck_assert_int_eq(answer("A"), 201);
    ck_assert_int_eq(answer("B"), 202);
    ck_assert_int_eq(answer("C"), -1);
    ck_assert_int_eq(fixture_stat(&f, STATS "all_scopes"), 2);
    ck_assert_int_eq(fixture_stat(&f, STATS "active_scopes"), 2);
    ck_assert_int_eq(fixture_stat(&f, STATS "config_reload"), 1);
    /* nobody waits for one that comes later */
    put("c", BY_RDS("c", "C", "r3"));
    ck_assert_int_eq(answer("C"), 0);
    routes("r3", ROUTES("r3", "203"));
    ck_assert_int_eq(answer("C"), 203);
}
END_TEST

START_TEST(waiting_ends_in_time)
{
    ck_assert(fixture_expire(&f));
    ck_assert(serves());
    ck_assert_int_eq(answer("A"), -1);
    ck_assert_int_eq(fixture_stat(&f, STATS "init_fetch_timeout"), 1);
    ck_assert_str_eq(put("a", BY_RDS("a", "A", "r1")), "");
    ck_assert_int_eq(answer("A"), 0);
}
END_TEST

START_TEST(scopes_come_and_go)
{
    const char *const one[] = {"a", BY_RDS("a", "A", "r1"), NULL};
    full(one);
    routes("r1", ROUTES("r1", "201"));
    fixture_log(&f);
    /* another key, other routes */
    ck_assert_str_eq(put("a", BY_RDS("a", "B", "r2")), "");
    ck_assert_str_eq(fixture_log(&f), "want rds r2;unwant rds r1;done;publish 2;");
    routes("r2", ROUTES("r2", "202"));
    ck_assert_int_eq(answer("A"), -1);
    ck_assert_int_eq(answer("B"), 202);
    uint64_t decoded = builder_decoded(f.builder, RESOURCE_SCOPED_ROUTE);
    ck_assert_str_eq(put("a", BY_RDS("a", "B", "r2")), "");
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_SCOPED_ROUTE), decoded);
    fixture_log(&f);
    take_away(RESOURCE_SCOPED_ROUTE, "a");
    ck_assert_str_eq(fixture_log(&f), "unwant rds r2;done;publish 4;");
    ck_assert_int_eq(answer("B"), -1);
    ck_assert_int_eq(fixture_stat(&f, STATS "all_scopes"), 0);
    /* a full answer leaves out what is gone */
    const char *const two[] = {"a", BY_RDS("a", "A", "r1"), "b", BY_RDS("b", "B", "r1"), NULL};
    full(two);
    routes("r1", ROUTES("r1", "203"));
    full(one);
    ck_assert_int_eq(answer("A"), 203);
    ck_assert_int_eq(answer("B"), -1);
    full((const char *const[]){NULL});
    ck_assert_int_eq(answer("A"), -1);
}
END_TEST

START_TEST(keys_may_change_places)
{
    const char *const before[] = {"a", BY_RDS("a", "A", "r1"), "b", BY_RDS("b", "B", "r2"), NULL};
    const char *const after[] = {"a", BY_RDS("a", "B", "r1"), "b", BY_RDS("b", "A", "r2"), NULL};
    full(before);
    routes("r1", ROUTES("r1", "201"));
    routes("r2", ROUTES("r2", "202"));
    ck_assert_str_eq(full(after), "");
    ck_assert_int_eq(answer("A"), 202);
    ck_assert_int_eq(answer("B"), 201);
}
END_TEST

START_TEST(one_key_is_one_scopes)
{
    const char *const good[] = {"a", BY_RDS("a", "A", "r1"), NULL};
    const char *const same_key[] = {"c", BY_RDS("c", "C", "r1"), "b", BY_RDS("b", "A", "r1"),
                                    "a", BY_RDS("a", "A", "r1"), NULL};
    const char *const no_routes[] = {"c", BY_RDS("c", "D", "r1"), "b", SCOPE("b", "B", ""),
                                     "a", BY_RDS("a", "A", "r1"), NULL};
    full(good);
    routes("r1", ROUTES("r1", "201"));
    ck_assert_str_eq(full(same_key), "Error adding/updating scoped route(s) b: scope key conflict "
                                     "found, first scope is 'a', second scope is 'b'");
    ck_assert_int_eq(answer("C"), 201); /* the others count */
    ck_assert_str_eq(full(no_routes), "Error adding/updating scoped route(s) b: "
                                      "route_configuration_name is empty.");
    ck_assert_int_eq(answer("D"), 201);
    ck_assert_str_eq(put("b", BY_RDS("b", "A", "r1")),
                     "Error adding/updating scoped route(s) b: scope key conflict found, first "
                     "scope is 'a', second scope is 'b'");
    ck_assert_int_eq(answer("A"), 201);
    ck_assert_int_eq(fixture_stat(&f, STATS "update_rejected"), 3);
    ck_assert_int_eq(fixture_stat(&f, STATS "all_scopes"), 2);
    ck_assert_str_eq(put("b", BY_RDS("b", "B", "r1")), "");
    ck_assert_int_eq(answer("B"), 201);
}
END_TEST

START_TEST(no_scope_is_called_as_all_are)
{
    const char *const good[] = {"a", BY_RDS("a", "A", "r1"), NULL};
    const char *const star[] = {"*", BY_RDS("'*'", "Z", "r1"), "a", BY_RDS("a", "B", "r1"), NULL};
    const char *const why =
        "Error adding/updating scoped route(s) *: the name stands for all scopes";
    full(good);
    routes("r1", ROUTES("r1", "201"));
    ck_assert_str_eq(full(star), why);
    ck_assert_int_eq(answer("B"), 201); /* the others count */
    ck_assert_int_eq(answer("Z"), -1);
    ck_assert_str_eq(put("*", BY_RDS("'*'", "Z", "r1")), why);
    take_away(RESOURCE_SCOPED_ROUTE, "*");
    ck_assert_int_eq(answer("B"), 201);
    ck_assert_str_eq(full(good), "");
    ck_assert_int_eq(answer("A"), 201);
    ck_assert_int_eq(fixture_stat(&f, STATS "all_scopes"), 1);
}
END_TEST

/* One that is refused takes its old key back from whoever was to have it. */
START_TEST(a_refused_scope_keeps_its_key)
{
    const char *const before[] = {"a", BY_RDS("a", "A", "r1"), "b", BY_RDS("b", "B", "r2"),
                                  "c", BY_RDS("c", "C", "r3"), NULL};
    const char *const after[] = {"c", BY_RDS("c", "B", "r3"), "b", BY_RDS("b", "A", "r2"),
                                 "a", SCOPE("a", "X", ""),    NULL};
    full(before);
    routes("r1", ROUTES("r1", "201"));
    routes("r2", ROUTES("r2", "202"));
    routes("r3", ROUTES("r3", "203"));
    const char *why = full(after);
    ck_assert_msg(strstr(why, "first scope is 'a', second scope is 'b'") &&
                      strstr(why, "first scope is 'b', second scope is 'c'"),
                  "%s", why);
    ck_assert_int_eq(answer("A"), 201);
    ck_assert_int_eq(answer("B"), 202);
    ck_assert_int_eq(answer("C"), 203);
}
END_TEST

START_TEST(a_key_goes_from_one_that_leaves_to_one_that_comes)
{
    const char *const one[] = {"a", BY_RDS("a", "A", "r1"), NULL};
    struct update_result r;
    struct bytes removed = BYTES("a");
    struct resource_update u = {
        BYTES("b"), BYTES("v"), BYTES_NONE,
        fixture_wire(&f, resource_type_name(RESOURCE_SCOPED_ROUTE), BY_RDS("b", "A", "r2"))};
    full(one);
    routes("r1", ROUTES("r1", "201"));
    config_update(f.builder, &f.ads, RESOURCE_SCOPED_ROUTE, &u, 1, &removed, 1, false, BYTES("w"),
                  &r);
    ck_assert_uint_eq(r.n_errors, 0);
    update_result_fini(&r);
    routes("r2", ROUTES("r2", "202"));
    ck_assert_int_eq(answer("A"), 202);
}
END_TEST

START_TEST(routes_of_its_own)
{
    const char *const own[] = {"a", SCOPE("a", "A", "route_configuration: " ROUTES("own", "203")),
                               NULL};
    ck_assert_str_eq(full(own), "");
    ck_assert_str_eq(fixture_log(&f), "bind l;want srds *;done;publish 1;");
    ck_assert_int_eq(answer("A"), 203);
    ck_assert_str_ne(
        put("a", SCOPE("a", "A", "route_configuration: {name: x, virtual_hosts: [{}]}")), "");
    ck_assert_int_eq(answer("A"), 203);
}
END_TEST

START_TEST(routes_on_demand)
{
    const char *const one[] = {
        "a", SCOPE("a", "A", "route_configuration_name: r1, on_demand: true"), NULL};
    full(one);
    ck_assert_str_eq(fixture_log(&f), "bind l;want srds *;done;publish 1;");
    ck_assert_int_eq(answer("A"), 0);
    builder_demand(f.builder, RESOURCE_ROUTE, &f.ads, BYTES("r1"));
    builder_demand(f.builder, RESOURCE_ROUTE, &f.ads, BYTES("r1"));
    ck_assert_str_eq(fixture_log(&f), "want rds r1;done;");
    ck_assert_int_eq(fixture_stat(&f, STATS "active_scopes"), 1);
    ck_assert_int_eq(fixture_stat(&f, STATS "on_demand_scopes"), 1);
    routes("r1", ROUTES("r1", "201"));
    ck_assert_str_eq(fixture_log(&f), "publish 2;settled r1;");
    ck_assert_int_eq(answer("A"), 201);
    /* who did not know, and who asks for what nobody names */
    builder_demand(f.builder, RESOURCE_ROUTE, &f.ads, BYTES("r1"));
    builder_demand(f.builder, RESOURCE_ROUTE, &f.ads, BYTES("other"));
    builder_commit(f.builder);
    ck_assert_str_eq(fixture_log(&f), "settled r1;settled other;");
    /* a change that keeps the routes keeps them */
    put("a", SCOPE("a", "B", "route_configuration_name: r1, on_demand: true"));
    ck_assert_int_eq(answer("B"), 201);
}
END_TEST

START_TEST(routes_on_demand_that_do_not_come)
{
    const char *const one[] = {
        "a", SCOPE("a", "A", "route_configuration_name: r1, on_demand: true"), NULL};
    full(one);
    builder_demand(f.builder, RESOURCE_ROUTE, &f.ads, BYTES("r1"));
    fixture_log(&f);
    take_away(RESOURCE_ROUTE, "r1");
    ck_assert_str_eq(fixture_log(&f), "settled r1;");
    /* the scope goes while a request waits */
    put("a", SCOPE("a", "A", "route_configuration_name: r2, on_demand: true"));
    builder_demand(f.builder, RESOURCE_ROUTE, &f.ads, BYTES("r2"));
    fixture_log(&f);
    take_away(RESOURCE_SCOPED_ROUTE, "a");
    ck_assert_str_eq(fixture_log(&f), "unwant rds r2;done;publish 3;settled r2;");
}
END_TEST

START_TEST(d09_the_last_listener_takes_all_along)
{
    const char *const one[] = {"a", BY_RDS("a", "A", "r1"), NULL};
    full(one);
    routes("r1", ROUTES("r1", "201"));
    fixture_log(&f);
    fixture_full(&f, RESOURCE_LISTENER, (const char *const[]){NULL});
    builder_commit(f.builder);
    const char *log = fixture_log(&f);
    ck_assert_msg(strstr(log, "unwant srds *;") && strstr(log, "unwant rds r1;"), "%s", log);
    ck_assert_uint_eq(builder_store(f.builder)->counts[RESOURCE_SCOPED_ROUTE], 0);
    ck_assert_uint_eq(builder_store(f.builder)->counts[RESOURCE_ROUTE], 0);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_LISTENER, "l", LISTENER), "");
    ck_assert_msg(strstr(fixture_log(&f), "want srds *;"), "not asked for again");
    ck_assert_str_eq(full((const char *const[]){NULL}), "");
    ck_assert_int_eq(answer("A"), -1);
}
END_TEST

START_TEST(a_listener_may_ask_others_for_the_routes)
{
    const char *const one[] = {"a", BY_RDS("a", "A", "r1"), NULL};
    full(one);
    routes("r1", ROUTES("r1", "201"));
    fixture_log(&f);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_LISTENER, "l",
                                    LISTENER_OF("{path_config_source: {path: /dev/null}}")),
                     "");
    const char *log = fixture_log(&f);
    ck_assert_msg(strstr(log, "want rds r1;done;") == log + strlen("bind l;"), "%s", log);
    ck_assert_int_eq(answer("A"), 201); /* the listener before it serves */
    ck_assert_str_eq(fixture_update(&f, RESOURCE_LISTENER, "l", LISTENER), "");
    log = fixture_log(&f);
    ck_assert_msg(strstr(log, "unwant rds r1;") != NULL, "%s", log);
    ck_assert_int_eq(answer("A"), 201);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("builder_scope");
    TCase *t = tcase_create("builder_scope");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_listener_waits_for_scopes_and_routes);
    tcase_add_test(t, waiting_ends_in_time);
    tcase_add_test(t, scopes_come_and_go);
    tcase_add_test(t, keys_may_change_places);
    tcase_add_test(t, one_key_is_one_scopes);
    tcase_add_test(t, no_scope_is_called_as_all_are);
    tcase_add_test(t, a_refused_scope_keeps_its_key);
    tcase_add_test(t, a_key_goes_from_one_that_leaves_to_one_that_comes);
    tcase_add_test(t, routes_of_its_own);
    tcase_add_test(t, routes_on_demand);
    tcase_add_test(t, routes_on_demand_that_do_not_come);
    tcase_add_test(t, d09_the_last_listener_takes_all_along);
    tcase_add_test(t, a_listener_may_ask_others_for_the_routes);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
