#include "config/header_mutation.h"

#include <check.h>
#include <stdlib.h>

#include "config_fixture.h"
#include "config/route.h"

#define ROUTES "envoy.config.route.v3.RouteConfiguration"

static struct fixture f;

/* The additions of a route configuration's requests. */
static struct route_config *decode(const char *additions, struct error *err)
{
    struct filter_context filters = {.arena = f.arena, .stats = f.stats};
    struct route_decode_context ctx = {.filters = &filters, .descriptors = f.descriptors};
    char *yaml = arena_printf(f.arena, "{name: r, %s}", additions);
    return route_config_decode(&ctx, fixture_wire(&f, ROUTES, yaml), NULL, err);
}

static const struct {
    const char *option;
    enum append_action action;
} actions[] = {
    {"", APPEND_IF_EXISTS_OR_ADD},
    {", append: true", APPEND_IF_EXISTS_OR_ADD},
    {", append: false", OVERWRITE_IF_EXISTS_OR_ADD},
    {", append_action: ADD_IF_ABSENT", ADD_IF_ABSENT},
    {", append_action: OVERWRITE_IF_EXISTS_OR_ADD", OVERWRITE_IF_EXISTS_OR_ADD},
    {", append_action: OVERWRITE_IF_EXISTS", OVERWRITE_IF_EXISTS},
};

START_TEST(actions_and_values)
{
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        struct error err = ERROR_INIT;
        struct route_config *rc = decode(
            arena_printf(f.arena, "request_headers_to_add: [{header: {key: X-A, value: v}%s}]",
                         actions[i].option),
            &err);
        ck_assert_msg(rc != NULL, "%s", error_text(&err));
        const struct header_addition *a = rc->request.add;
        ck_assert_uint_eq(rc->request.n_add, 1);
        ck_assert(bytes_eq_str(a->key.name, "x-a"));
        ck_assert(a->literal && bytes_eq_str(a->text, "v"));
        ck_assert_int_eq(a->action, actions[i].action);
        NODE_UNREF(&rc);
        node_reap();
    }
}
END_TEST

START_TEST(both_directions_and_removals)
{
    struct error err = ERROR_INIT;
    struct route_config *rc =
        decode("request_headers_to_add: [{header: {key: a, value: \"%PROTOCOL%-x\"}}, "
               "{header: {key: b, value: \"100%%\"}}, "
               "{header: {key: c, raw_value: cmF3}, keep_empty_value: true}], "
               "request_headers_to_remove: [X-Gone], "
               "response_headers_to_add: [{header: {key: d, value: e}}], "
               "response_headers_to_remove: [Server, via]",
               &err);
    ck_assert_msg(rc != NULL, "%s", error_text(&err));
    ck_assert_uint_eq(rc->request.n_add, 3);
    ck_assert(!rc->request.add[0].literal);
    ck_assert(rc->request.add[1].literal && bytes_eq_str(rc->request.add[1].text, "100%"));
    ck_assert(bytes_eq_str(rc->request.add[2].text, "raw"));
    ck_assert(rc->request.add[2].keep_empty_value);
    ck_assert(bytes_eq_str(rc->request.remove[0].name, "x-gone"));
    ck_assert_uint_eq(rc->response.n_add, 1);
    ck_assert_uint_eq(rc->response.n_remove, 2);
    ck_assert(bytes_eq_str(rc->response.remove[0].name, "server"));
    NODE_UNREF(&rc);
    node_reap();
}
END_TEST

#define WEIGHTED                                                                                   \
    "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: "              \
    "{weighted_clusters: {clusters: [{name: c, weight: 1, "

static const char *const refused[][2] = {
    {"request_headers_to_add: [{}]", "request_headers_to_add[0].header: expected a header"},
    {"request_headers_to_add: [{header: {key: \"\", value: x}}]",
     "request_headers_to_add[0].header.key: expected at least 1 character"},
    {"request_headers_to_add: [{header: {key: ok, value: x}}, {header: {key: \":path\", value: "
     "x}}]",
     "request_headers_to_add[1].:-prefixed or host headers may not be modified (':path')"},
    {"request_headers_to_add: [{header: {key: Host, value: x}}]",
     "request_headers_to_add[0].:-prefixed or host headers may not be modified ('host')"},
    {"response_headers_to_add: [{header: {key: a, value: x}, append: true, "
     "append_action: ADD_IF_ABSENT}]",
     "response_headers_to_add[0].Both append and append_action are set and it's not allowed"},
    {"request_headers_to_add: [{header: {key: a, value: x}, append_action: 9}]",
     "request_headers_to_add[0].append_action: 9 is not a defined value"},
    {"response_headers_to_add: [{header: {key: a, value: \"%NOSUCH%\"}}]",
     "response_headers_to_add[0].header.value: "},
    {"response_headers_to_add: [{header: {key: a, value: \"%PROTOCOL\"}}]",
     "response_headers_to_add[0].header.value: "},
    {"request_headers_to_add: [{header: {key: \"a: b\", value: x}}]",
     "request_headers_to_add[0].header.key: expected letters, digits and -_.!#$%&'*+^`|~, got 'a: "
     "b'"},
    {"response_headers_to_add: [{header: {key: \"a b\", value: x}}]",
     "response_headers_to_add[0].header.key: expected letters"},
    {"response_headers_to_add: [{header: {key: \"caf\u00e9\", value: x}}]",
     "response_headers_to_add[0].header.key: expected letters"},
    {"request_headers_to_remove: [\":method\"]",
     "request_headers_to_remove: :-prefixed or host headers may not be removed (':method')"},
    {"response_headers_to_remove: [x, HOST]",
     "response_headers_to_remove: :-prefixed or host headers may not be removed ('host')"},
    {WEIGHTED "request_headers_to_remove: [\":path\"]}]}}}]}]",
     "virtual_hosts[0].routes[0].route.weighted_clusters: clusters[0]: "
     "request_headers_to_remove: :-prefixed or host headers may not be removed (':path')"},
    {WEIGHTED "response_headers_to_add: [{header: {key: \":status\", value: x}}]}]}}}]}]",
     "virtual_hosts[0].routes[0].route.weighted_clusters: clusters[0]: "
     "response_headers_to_add[0].:-prefixed or host headers may not be modified"},
};

START_TEST(refusals)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct error err = ERROR_INIT;
        struct route_config *rc = decode(refused[i][0], &err);
        ck_assert_msg(rc == NULL, "%s", refused[i][0]);
        ck_assert_msg(bytes_starts_with(bytes_of(error_text(&err)), bytes_of(refused[i][1])),
                      "%s: %s", refused[i][0], error_text(&err));
        error_fini(&err);
        node_reap();
    }
    ck_assert_uint_eq(node_count_live(), 0);
}
END_TEST

static void setup(void)
{
    fixture_init(&f);
}

static void teardown(void)
{
    fixture_fini(&f);
}

int main(void)
{
    Suite *s = suite_create("header_mutation");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, actions_and_values);
    tcase_add_test(t, both_directions_and_removals);
    tcase_add_test(t, refusals);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
