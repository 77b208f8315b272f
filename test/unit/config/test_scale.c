/* What a resource costs in memory, counted on the heap: bounds that a change must not break. */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "config_fixture.h"

enum { N = 1000 };

static struct fixture f;

static void setup(void)
{
    fixture_init(&f);
    fixture_start(&f);
}

static void teardown(void)
{
    fixture_fini(&f);
}

static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* Bytes a resource, of n that an update brings. */
static double cost(enum resource_type type, const struct resource_update *u, size_t n, size_t each)
{
    struct update_result r;
    fixture_log(&f);
    size_t before = heap();
    config_update(f.builder, &f.ads, type, u, n, NULL, 0, false, BYTES("v"), &r);
    ck_assert_uint_eq(r.n_accepted, n);
    update_result_fini(&r);
    builder_commit(f.builder);
    builder_reap(f.builder);
    strbuf_fini(&f.log);
    malloc_trim(0); /* what is cached for the next allocation counts as used, until then */
    return ((double)heap() - (double)before) / (double)each;
}

static void within(const char *what, double bytes, double bound)
{
    printf("# %s: %.0f bytes, of %.0f at most\n", what, bytes, bound);
    if (!HEAP_IS_WATCHED)
        ck_assert_msg(bytes <= bound, "%s: %.0f bytes, more than %.0f", what, bytes, bound);
}

static struct resource_update table(unsigned routes)
{
    struct strbuf s = STRBUF_INIT;
    strbuf_add_str(&s, "{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [");
    for (unsigned i = 0; i < routes; i++)
        strbuf_printf(&s, "%s{match: {prefix: /c%u/}, route: {cluster: c%u}}", i ? "," : "", i, i);
    strbuf_add_str(&s, "]}]}");
    struct resource_update u = {
        BYTES("r"), BYTES("v"), BYTES_NONE,
        fixture_wire(&f, resource_type_name(RESOURCE_ROUTE), strbuf_str(&s))};
    strbuf_fini(&s);
    return u;
}

START_TEST(a_route_costs_300_bytes)
{
    const char *rds_listener =
        "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, "
        "filter_chains: [{filters: [{name: hcm, typed_config: {'@type': "
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager, stat_prefix: p, http_filters: [{name: r, typed_config: {'@type': "
        "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}], "
        "rds: {route_config_name: r, config_source: {ads: {}}}}}]}]}";
    struct resource_update small = table(1), large = table(N + 1);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_LISTENER, "l", rds_listener), "");
    cost(RESOURCE_ROUTE, &small, 1, 1);
    within("one more route", cost(RESOURCE_ROUTE, &large, 1, N), 300);
}
END_TEST

/* N resources that differ by name: "c0", "c1" ... */
static struct resource_update *many(enum resource_type type, const char *format)
{
    struct resource_update *u = mem_zalloc(N * sizeof(*u));
    for (unsigned i = 0; i < N; i++) {
        const char *name = arena_printf(f.arena, "c%u", i);
        const char *text = arena_printf(f.arena, format, name);
        u[i] = (struct resource_update){bytes_of(name), BYTES("v"), BYTES_NONE,
                                        fixture_wire(&f, resource_type_name(type), text)};
    }
    return u;
}

#define ENDPOINT(port)                                                                             \
    "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " #port "}}}}"
#define ENDPOINTS(list) "{cluster_name: %s, endpoints: [{lb_endpoints: [" list "]}]}"
#define TEN_MORE                                                                                   \
    ENDPOINT(11)                                                                                   \
    "," ENDPOINT(12) "," ENDPOINT(13) "," ENDPOINT(14) "," ENDPOINT(15) "," ENDPOINT(              \
        16) "," ENDPOINT(17) "," ENDPOINT(18) "," ENDPOINT(19) "," ENDPOINT(20)

START_TEST(a_cluster_and_its_endpoints)
{
    struct resource_update *clusters = many(
        RESOURCE_CLUSTER, "{name: %s, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}");
    struct resource_update *two = many(RESOURCE_ENDPOINT, ENDPOINTS(ENDPOINT(1) "," ENDPOINT(2)));
    struct resource_update *twelve =
        many(RESOURCE_ENDPOINT, ENDPOINTS(ENDPOINT(1) "," ENDPOINT(2) "," TEN_MORE));
    within("a cluster", cost(RESOURCE_CLUSTER, clusters, N, N), 1620);
    within("its two endpoints", cost(RESOURCE_ENDPOINT, two, N, N), 730);
    within("a further endpoint", cost(RESOURCE_ENDPOINT, twelve, N, 10 * N), 110);
    mem_free(clusters);
    mem_free(two);
    mem_free(twelve);
}
END_TEST

/* Rule T01 for many: one timer and one snapshot. */
START_TEST(names_that_time_out_together)
{
    struct resource_update *clusters = many(
        RESOURCE_CLUSTER, "{name: %s, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}");
    struct update_result r;
    config_update(f.builder, &f.ads, RESOURCE_CLUSTER, clusters, N, NULL, 0, true, BYTES("v"), &r);
    update_result_fini(&r);
    builder_commit(f.builder);
    fixture_log(&f);
    ck_assert(fixture_expire(&f));
    ck_assert_str_eq(fixture_log(&f), "publish 1;");
    ck_assert_uint_eq(builder_snapshot(f.builder)->clusters.count, N);
    ck_assert(!fixture_expire(&f));
    mem_free(clusters);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("scale");
    TCase *t = tcase_create("scale");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_route_costs_300_bytes);
    tcase_add_test(t, a_cluster_and_its_endpoints);
    tcase_add_test(t, names_that_time_out_together);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
