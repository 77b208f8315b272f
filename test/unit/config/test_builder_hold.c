/* Make before break: routes that wait for clusters, clusters that wait for routes. */
#include <check.h>
#include <stdarg.h>
#include <stdlib.h>

#include "config/builder_private.h"
#include "config/route.h"
#include "config/route_index.h"
#include "config_fixture.h"

static struct fixture f;

#define EDS(name) "{name: " name ", type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}"
#define CLA(name)                                                                                  \
    "{cluster_name: " name ", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "  \
    "{address: 127.0.0.1, port_value: 80}}}}]}]}"
#define LISTENER                                                                                   \
    "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, filter_chains: "    \
    "[{filters: [{name: hcm, typed_config: {'@type': "                                             \
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."             \
    "HttpConnectionManager, stat_prefix: p, rds: {route_config_name: r, config_source: {ads: "     \
    "{}}}, http_filters: [{name: r, typed_config: {'@type': "                                      \
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]}"
#define VHOST(name, domain, cluster)                                                               \
    "{name: " name ", domains: [" domain                                                           \
    "], routes: [{match: {prefix: /}, route: {cluster: " cluster "}}]}"

static void routes(const char *vhosts)
{
    char *yaml = arena_printf(f.arena, "{name: r, virtual_hosts: [%s]}", vhosts);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_ROUTE, "r", yaml), "");
}

static void clusters(const char *first, ...)
{
    const char *pairs[21];
    unsigned n = 0;
    va_list names;
    va_start(names, first);
    for (const char *name = first; name && n < 20; name = va_arg(names, const char *)) {
        pairs[n++] = name;
        pairs[n++] = arena_printf(f.arena, "{name: %s}", name);
    }
    va_end(names);
    pairs[n] = NULL;
    ck_assert_str_eq(fixture_full(&f, RESOURCE_CLUSTER, pairs), "");
    builder_commit(f.builder);
}

/* The cluster that a host's first route names now. */
static const char *cluster_of(const char *host)
{
    struct listener_entry *l = fixture_listener(&f, "l");
    const struct route_config *rc = l->chains[0]->routes;
    int at = vhost_index_find(rc->index, bytes_of(host));
    return at < 0 ? "404"
                  : arena_str(f.arena, rc->vhosts[at].vhost->routes[0].route->cluster->cluster);
}

static const char *waiting(void)
{
    struct resource *r = store_find(builder_store(f.builder), &f.ads, RESOURCE_ROUTE, BYTES("r"));
    static char text[256];
    text[0] = '\0';
    if (r->pending)
        builder_hold_describe(f.builder, r, text, sizeof(text));
    return text;
}

static void setup(void)
{
    fixture_init(&f);
    f.builder->options.route_hold_ms = 5000;
    fixture_start(&f);
    clusters("one", "two", NULL);
    fixture_update(&f, RESOURCE_LISTENER, "l", LISTENER);
    routes(VHOST("a", "a", "one") ", " VHOST("b", "b", "one"));
    ck_assert_str_eq(cluster_of("a"), "one");
}

static void teardown(void)
{
    fixture_fini(&f);
}

START_TEST(a_changed_virtual_host_waits_for_its_cluster_and_others_do_not)
{
    routes(VHOST("a", "a", "three") ", " VHOST("b", "b", "two") ", " VHOST("c", "c", "four"));
    ck_assert_str_eq(cluster_of("a"), "one");
    ck_assert_str_eq(cluster_of("b"), "two");
    ck_assert_str_eq(cluster_of("c"), "four"); /* nobody answered for it: nothing breaks */
    ck_assert_str_eq(waiting(), "cds three, cds four");
    ck_assert_int_eq(fixture_stat(&f, "xylem.config.holds"), 1);
    fixture_update(&f, RESOURCE_CLUSTER, "three", EDS("three"));
    ck_assert_str_eq(cluster_of("a"), "one"); /* it warms */
    fixture_update(&f, RESOURCE_ENDPOINT, "three", CLA("three"));
    ck_assert_ptr_nonnull(fixture_cluster(&f, "three")); /* both in one snapshot */
    ck_assert_str_eq(cluster_of("a"), "three");
    ck_assert_str_eq(waiting(), "");
    ck_assert(!fixture_expire(&f));
}
END_TEST

START_TEST(it_waits_no_longer_than_it_may)
{
    routes(VHOST("a", "a", "three") ", " VHOST("b", "b", "one"));
    ck_assert_str_eq(cluster_of("a"), "one");
    routes(VHOST("a", "a", "four") ", " VHOST("b", "b", "one"));
    ck_assert_str_eq(cluster_of("a"), "one");
    ck_assert_str_eq(waiting(), "cds four");
    ck_assert(fixture_expire(&f));
    ck_assert_str_eq(cluster_of("a"), "four"); /* rule M10 */
    ck_assert_int_eq(fixture_stat(&f, "xylem.config.holds_expired"), 1);
    ck_assert(!fixture_expire(&f));
    /* What it names already is not waited for again. */
    routes("{name: a, domains: [a, aa], routes: [{match: {prefix: /}, route: {cluster: "
           "four}}]}, " VHOST("b", "b", "one"));
    ck_assert_str_eq(cluster_of("aa"), "four");
    ck_assert_str_eq(waiting(), "");
}
END_TEST

START_TEST(back_to_what_serves)
{
    const char *first = VHOST("a", "a", "one") ", " VHOST("b", "b", "one");
    routes(VHOST("a", "a", "three") ", " VHOST("b", "b", "two"));
    ck_assert_str_eq(cluster_of("b"), "two");
    routes(first);
    ck_assert_str_eq(cluster_of("a"), "one");
    ck_assert_str_eq(cluster_of("b"), "one");
    ck_assert_str_eq(waiting(), "");
    ck_assert(!fixture_expire(&f));
}
END_TEST

START_TEST(more_of_it_goes_on_as_more_clusters_come)
{
    routes(VHOST("a", "a", "three") ", " VHOST("b", "b", "four"));
    ck_assert_str_eq(cluster_of("a"), "one");
    ck_assert_str_eq(cluster_of("b"), "one");
    clusters("one", "two", "four", NULL);
    ck_assert_str_eq(cluster_of("a"), "one");
    ck_assert_str_eq(cluster_of("b"), "four");
    ck_assert_str_eq(waiting(), "cds three");
    clusters("one", "two", "four", "three", NULL);
    ck_assert_str_eq(cluster_of("a"), "three");
    ck_assert_str_eq(waiting(), "");
}
END_TEST

START_TEST(their_order_does_not_matter)
{
    routes(VHOST("d", "d", "one") ", " VHOST("b", "b", "three") ", " VHOST("a", "a", "four"));
    ck_assert_str_eq(cluster_of("a"), "one");
    ck_assert_str_eq(cluster_of("b"), "one");
    ck_assert_str_eq(cluster_of("d"), "one");
    clusters("one", "two", "three", NULL);
    ck_assert_str_eq(cluster_of("a"), "one");
    ck_assert_str_eq(cluster_of("b"), "three");
    clusters("one", "two", "three", "four", NULL);
    ck_assert_str_eq(cluster_of("a"), "four");
    routes(VHOST("a", "a", "five")); /* b and d go, a is held */
    ck_assert_str_eq(cluster_of("a"), "four");
    ck_assert_str_eq(cluster_of("b"), "404");
    ck_assert_str_eq(waiting(), "cds five");
}
END_TEST

START_TEST(a_domain_that_moves_is_not_lost)
{
    /* To a new virtual host: who has it serves it on. */
    routes(VHOST("a", "a", "one") ", " VHOST("b", "bb", "one") ", " VHOST("c", "b", "three"));
    ck_assert_str_eq(cluster_of("b"), "one");
    ck_assert_str_eq(cluster_of("bb"), "404"); /* they cannot be mixed */
    clusters("one", "two", "three", NULL);
    ck_assert_str_eq(cluster_of("b"), "three");
    ck_assert_str_eq(cluster_of("bb"), "one");
    /* Out of a catch-all. */
    routes(VHOST("all", "'*'", "one"));
    routes(VHOST("all", "'*'", "one") ", " VHOST("d", "d", "five"));
    ck_assert_str_eq(cluster_of("d"), "one");
    clusters("one", "two", "three", "five", NULL);
    ck_assert_str_eq(cluster_of("d"), "five");
    /* Between two that exist. */
    routes(VHOST("u", "u", "one") ", " VHOST("w", "w", "one"));
    routes(VHOST("u", "w", "one") ", " VHOST("w", "u", "six"));
    ck_assert_str_eq(cluster_of("u"), "one");
    ck_assert_str_eq(cluster_of("w"), "one");
    ck_assert(fixture_expire(&f));
    ck_assert_str_eq(cluster_of("u"), "six");
}
END_TEST

START_TEST(names_may_be_shared)
{
    routes(VHOST("same", "a", "one") ", " VHOST("same", "b", "one"));
    routes(VHOST("same", "a", "two") ", " VHOST("same", "b", "three"));
    ck_assert_str_eq(cluster_of("a"), "two");
    ck_assert_str_eq(cluster_of("b"), "one");
    routes(VHOST("same", "b", "three") ", " VHOST("same", "a", "one")); /* not to be mixed */
    ck_assert_str_eq(cluster_of("a"), "two");
    ck_assert_str_eq(cluster_of("b"), "one");
    clusters("one", "two", "three", NULL);
    ck_assert_str_eq(cluster_of("a"), "one");
    ck_assert_str_eq(cluster_of("b"), "three");
}
END_TEST

START_TEST(a_removed_cluster_lives_while_it_is_named)
{
    clusters("two", NULL);
    ck_assert_ptr_nonnull(fixture_cluster(&f, "one"));
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cluster_removed"), 0);
    routes(VHOST("a", "a", "two") ", " VHOST("b", "b", "one"));
    ck_assert_ptr_nonnull(fixture_cluster(&f, "one"));
    routes(VHOST("a", "a", "two") ", " VHOST("b", "b", "two"));
    ck_assert_ptr_null(fixture_cluster(&f, "one")); /* at once with its last route */
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cluster_removed"), 1);
    ck_assert(!fixture_expire(&f));
    clusters(NULL, NULL);
    ck_assert_ptr_nonnull(fixture_cluster(&f, "two"));
    ck_assert(fixture_expire(&f));
    ck_assert_ptr_null(fixture_cluster(&f, "two")); /* rule R08 */
}
END_TEST

START_TEST(one_that_is_not_named_goes_at_once_and_one_that_is_back_stays)
{
    clusters("one", NULL);
    ck_assert_ptr_null(fixture_cluster(&f, "two"));
    clusters("two", NULL);
    clusters("two", NULL); /* told twice that it is gone */
    ck_assert_ptr_nonnull(fixture_cluster(&f, "one"));
    ck_assert(!f.builder->ctx.cluster_known(f.builder, BYTES("one")));
    clusters("one", "two", NULL);
    ck_assert(!fixture_expire(&f));
    ck_assert_ptr_nonnull(fixture_cluster(&f, "one"));
    ck_assert(f.builder->ctx.cluster_known(f.builder, BYTES("one")));
}
END_TEST

START_TEST(one_that_comes_back_badly_goes)
{
    static const char *const bad[] = {"two", "{name: two}", "one",
                                      "{name: one, connect_timeout: 0s}", NULL};
    clusters("two", NULL);
    ck_assert_str_ne(fixture_full(&f, RESOURCE_CLUSTER, bad), "");
    builder_commit(f.builder);
    ck_assert_ptr_nonnull(fixture_cluster(&f, "one"));
    ck_assert(fixture_expire(&f));
    ck_assert_ptr_null(fixture_cluster(&f, "one"));
    ck_assert_int_eq(fixture_stat(&f, "xylem.config.holds_expired"), 1);
}
END_TEST

START_TEST(none_of_it_when_it_is_off)
{
    f.builder->options.route_hold_ms = 0;
    routes(VHOST("a", "a", "three") ", " VHOST("b", "b", "one"));
    ck_assert_str_eq(cluster_of("a"), "three");
    clusters(NULL, NULL);
    ck_assert_ptr_null(fixture_cluster(&f, "one"));
    ck_assert(!fixture_expire(&f));
}
END_TEST

START_TEST(what_is_held_goes_with_its_listener)
{
    routes(VHOST("a", "a", "three") ", " VHOST("b", "b", "two"));
    const char *none[] = {NULL};
    clusters("two", NULL); /* one is held too */
    fixture_full(&f, RESOURCE_LISTENER, none);
    builder_commit(f.builder);
    ck_assert_ptr_null(fixture_cluster(&f, "one"));
    ck_assert(!fixture_expire(&f));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("builder_hold");
    TCase *t = tcase_create("builder_hold");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_changed_virtual_host_waits_for_its_cluster_and_others_do_not);
    tcase_add_test(t, it_waits_no_longer_than_it_may);
    tcase_add_test(t, back_to_what_serves);
    tcase_add_test(t, more_of_it_goes_on_as_more_clusters_come);
    tcase_add_test(t, their_order_does_not_matter);
    tcase_add_test(t, a_domain_that_moves_is_not_lost);
    tcase_add_test(t, names_may_be_shared);
    tcase_add_test(t, a_removed_cluster_lives_while_it_is_named);
    tcase_add_test(t, one_that_is_not_named_goes_at_once_and_one_that_is_back_stays);
    tcase_add_test(t, one_that_comes_back_badly_goes);
    tcase_add_test(t, none_of_it_when_it_is_off);
    tcase_add_test(t, what_is_held_goes_with_its_listener);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
