#include "config/builder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "config/builder_private.h"
#include "config/route.h"
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

#define EDS(name, more)                                                                            \
    "{name: " name ", type: EDS, eds_cluster_config: {eds_config: {ads: {}}}" more "}"
#define CLA(name, port)                                                                            \
    "{cluster_name: " name ", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "  \
    "{address: 127.0.0.1, port_value: " port "}}}}]}]}"
#define HCM                                                                                        \
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."             \
    "HttpConnectionManager"
#define ROUTER                                                                                     \
    "{name: r, typed_config: {'@type': "                                                           \
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"
#define LISTENER_WITH(name, port, hcm)                                                             \
    "{name: " name ", address: {socket_address: {address: 127.0.0.1, port_value: " port            \
    "}}, filter_chains: [{filters: [{name: hcm, typed_config: {'@type': " HCM                      \
    ", http_filters: [" ROUTER "], " hcm "}}]}]}"
#define RDS_LISTENER(name, port, routes)                                                           \
    LISTENER_WITH(name, port,                                                                      \
                  "stat_prefix: p, rds: {route_config_name: " routes                               \
                  ", config_source: {ads: {}}}")
#define INLINE_LISTENER(name, port, prefix)                                                        \
    LISTENER_WITH(name, port, "stat_prefix: " prefix ", route_config: {name: r}")
#define ROUTES(name, cluster)                                                                      \
    "{name: " name ", virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, "    \
    "route: {cluster: " cluster "}}]}]}"

static void expect(const char *text, const char *expected)
{
    ck_assert_str_eq(text, expected);
}

static uint16_t port_of(const char *cluster)
{
    struct cluster_entry *e = fixture_cluster(&f, cluster);
    ck_assert_ptr_nonnull(e);
    return e->hosts->n_hosts ? e->hosts->hosts[0].address.port : 0;
}

START_TEST(m01_new_cluster_is_invisible_until_its_endpoints_come)
{
    fixture_start(&f);
    expect(fixture_update(&f, RESOURCE_CLUSTER, "web", EDS("web", "")), "");
    expect(fixture_log(&f), "want eds web;done;");
    ck_assert_ptr_null(fixture_cluster(&f, "web"));
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.warming_clusters"), 1);
    expect(fixture_update(&f, RESOURCE_ENDPOINT, "web", CLA("web", "80")), "");
    expect(fixture_log(&f), "publish 1;");
    ck_assert_uint_eq(port_of("web"), 80);
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.warming_clusters"), 0);
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.active_clusters"), 1);
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cluster_added"), 1);
    ck_assert_int_eq(fixture_stat(&f, "cluster.web.membership_total"), 1);
    ck_assert_int_eq(fixture_stat(&f, "cluster.web.update_attempt"), 2);
    ck_assert_int_eq(fixture_stat(&f, "cluster.web.update_success"), 1);
    ck_assert_int_eq(fixture_stat(&f, "cluster.web.update_rejected"), 0);
}
END_TEST

START_TEST(m02_changed_cluster_serves_until_the_new_one_is_warm)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "web", EDS("web", ""));
    fixture_update(&f, RESOURCE_ENDPOINT, "web", CLA("web", "80"));
    fixture_log(&f);
    const char *other = "{name: web, type: EDS, eds_cluster_config: {service_name: other, "
                        "eds_config: {ads: {}}}}";
    expect(fixture_update(&f, RESOURCE_CLUSTER, "web", other), "");
    expect(fixture_log(&f), "want eds other;done;");
    ck_assert_uint_eq(port_of("web"), 80);
    expect(fixture_update(&f, RESOURCE_ENDPOINT, "other", CLA("other", "81")), "");
    expect(fixture_log(&f), "unwant eds web;done;publish 2;");
    ck_assert_uint_eq(port_of("web"), 81);
    ck_assert_int_eq(fixture_stat(&f, "cluster.web.update_success"), 2);
}
END_TEST

START_TEST(m03_changed_cluster_reuses_its_endpoints)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "web", EDS("web", ""));
    fixture_update(&f, RESOURCE_ENDPOINT, "web", CLA("web", "80"));
    struct cluster_entry *before = fixture_cluster(&f, "web");
    const struct host_set *hosts = before->hosts;
    uint64_t decoded = builder_decoded(f.builder, RESOURCE_ENDPOINT);
    fixture_log(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "web", EDS("web", ", connect_timeout: 1s"));
    expect(fixture_log(&f), "publish 2;");
    struct cluster_entry *after = fixture_cluster(&f, "web");
    ck_assert_uint_eq(after->cluster->connect_timeout_ms, 1000);
    ck_assert_ptr_eq(after->hosts, hosts);
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_ENDPOINT), decoded);
}
END_TEST

static const char two_names[] =
    "{name: d, type: STRICT_DNS, load_assignment: {cluster_name: d, endpoints: [{lb_endpoints: "
    "[{endpoint: {address: {socket_address: {address: a.test, port_value: 80}}}}, {endpoint: "
    "{address: {socket_address: {address: b.test, port_value: 81}}}}]}]}}";

START_TEST(m04_dns_cluster_waits_for_a_name)
{
    fixture_start(&f);
    expect(fixture_update(&f, RESOURCE_CLUSTER, "d", two_names), "");
    expect(fixture_log(&f), "dns d;");
    struct address a[2] = {address_ipv4(10, 0, 0, 1, 0), address_ipv4(10, 0, 0, 2, 0)};
    builder_commit(f.builder);
    ck_assert_ptr_null(fixture_cluster(&f, "d"));
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 0, true, a, 2);
    builder_commit(f.builder);
    ck_assert_uint_eq(fixture_cluster(&f, "d")->hosts->n_hosts, 2);
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 1, false, NULL, 0);
    builder_commit(f.builder);
    ck_assert_uint_eq(fixture_cluster(&f, "d")->hosts->n_hosts, 2);
    struct host_state *state = fixture_cluster(&f, "d")->hosts->hosts[1].state;
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation + 7, 0, true, a, 1);
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 9, true, a, 1);
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 0, true, a + 1, 1);
    builder_commit(f.builder);
    ck_assert_uint_eq(fixture_cluster(&f, "d")->hosts->n_hosts, 1);
    ck_assert_ptr_eq(fixture_cluster(&f, "d")->hosts->hosts[0].state, state);
    ck_assert_uint_eq(fixture_cluster(&f, "d")->hosts->hosts[0].address.port, 80);
    expect(arena_str(f.arena, host_name(&fixture_cluster(&f, "d")->hosts->hosts[0])), "a.test");
    ck_assert_int_eq(fixture_stat(&f, "cluster.d.update_failure"), 1);
}
END_TEST

START_TEST(m04_failed_name_does_not_end_the_waiting)
{
    struct address a = address_ipv4(10, 0, 0, 1, 0);
    fixture_start(&f);
    expect(fixture_update(&f, RESOURCE_CLUSTER, "d", two_names), "");
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 0, false, NULL, 0);
    builder_commit(f.builder);
    ck_assert_ptr_null(fixture_cluster(&f, "d"));
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 1, true, &a, 1);
    builder_commit(f.builder);
    ck_assert_uint_eq(fixture_cluster(&f, "d")->hosts->n_hosts, 1);
}
END_TEST

START_TEST(t01_timeout_goes_on_without)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "web", EDS("web", ""));
    ck_assert_ptr_null(fixture_cluster(&f, "web"));
    ck_assert(fixture_expire(&f));
    ck_assert_uint_eq(port_of("web"), 0);
    ck_assert_int_eq(fixture_stat(&f, "cluster.web.init_fetch_timeout"), 1);
    fixture_update(&f, RESOURCE_ENDPOINT, "web", CLA("web", "80"));
    ck_assert_uint_eq(port_of("web"), 80);
}
END_TEST

START_TEST(t01_zero_waits_for_ever)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "web",
                   "{name: web, type: EDS, eds_cluster_config: {eds_config: {ads: {}, "
                   "initial_fetch_timeout: 0s}}}");
    ck_assert(!fixture_expire(&f));
    ck_assert_ptr_null(fixture_cluster(&f, "web"));
}
END_TEST

START_TEST(a07_a08_good_ones_are_applied_bad_ones_stay)
{
    fixture_start(&f);
    const char *first[] = {"a", "{name: a}", "b", "{name: b}", NULL};
    expect(fixture_full(&f, RESOURCE_CLUSTER, first), "");
    const char *second[] = {
        "a", "{name: a, lb_policy: RING_HASH}", "b", "{name: b, connect_timeout: 2s}",
        "c", "{name: c, type: ORIGINAL_DST}",   NULL};
    const char *text = fixture_full(&f, RESOURCE_CLUSTER, second);
    ck_assert_msg(strncmp(text, "Error adding/updating cluster(s) a: ", 36) == 0, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "RING_HASH"));
    ck_assert_ptr_nonnull(strstr(text, ", c: "));
    builder_commit(f.builder);
    ck_assert_uint_eq(fixture_cluster(&f, "a")->cluster->connect_timeout_ms, 5000);
    ck_assert_uint_eq(fixture_cluster(&f, "b")->cluster->connect_timeout_ms, 2000);
    ck_assert_ptr_null(fixture_cluster(&f, "c"));
    const struct resource *r =
        store_find(builder_store(f.builder), NULL, RESOURCE_CLUSTER, BYTES("a"));
    ck_assert_ptr_nonnull(strstr(r->rejected->details, "RING_HASH"));
    expect(fixture_full(&f, RESOURCE_CLUSTER, first), "");
    ck_assert_ptr_null(r->rejected);
}
END_TEST

START_TEST(a08_refused_endpoints_do_not_exist)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "web", EDS("web", ""));
    const char *text = fixture_update(&f, RESOURCE_ENDPOINT, "web",
                                      "{cluster_name: web, endpoints: [{lb_endpoints: [{endpoint: "
                                      "{address: {socket_address: {address: not-an-ip, port_value: "
                                      "1}}}}]}]}");
    ck_assert_ptr_nonnull(strstr(text, "web: endpoints[0].lb_endpoints[0].endpoint.address: "
                                       "socket_address.address: malformed IP address: not-an-ip. "
                                       "Consider setting"));
    ck_assert_uint_eq(port_of("web"), 0);
    fixture_update(&f, RESOURCE_ENDPOINT, "web", CLA("web", "80"));
    fixture_update(&f, RESOURCE_ENDPOINT, "web",
                   "{cluster_name: web, policy: {drop_overloads: "
                   "[{category: x}]}}");
    ck_assert_uint_eq(port_of("web"), 80);
}
END_TEST

START_TEST(r01_full_state_removes_and_r09_static_stays)
{
    struct error err = ERROR_INIT;
    struct resource_update u = {
        .name = BYTES("fixed"),
        .wire = fixture_wire(&f, "envoy.config.cluster.v3.Cluster", "{name: fixed}")};
    ck_assert(builder_add_static(f.builder, RESOURCE_CLUSTER, &u, &err));
    ck_assert(!builder_add_static(f.builder, RESOURCE_CLUSTER, &u, &err));
    expect(error_text(&err), "cluster manager: duplicate cluster 'fixed'");
    error_fini(&err);
    fixture_start(&f);
    const char *two[] = {"a", "{name: a}", "b", EDS("b", ""), NULL};
    const char *one[] = {"a", "{name: a}", "fixed", "{name: fixed, connect_timeout: 9s}", NULL};
    const char *none[] = {NULL};
    fixture_full(&f, RESOURCE_CLUSTER, two);
    expect(fixture_full(&f, RESOURCE_CLUSTER, one), "");
    builder_commit(f.builder);
    ck_assert_uint_eq(fixture_cluster(&f, "fixed")->cluster->connect_timeout_ms, 5000);
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cluster_removed"), 1);
    fixture_full(&f, RESOURCE_CLUSTER, none);
    builder_commit(f.builder);
    ck_assert_ptr_null(fixture_cluster(&f, "a"));
    ck_assert_ptr_nonnull(fixture_cluster(&f, "fixed"));
}
END_TEST

START_TEST(m13_wants_are_told_once_after_the_update)
{
    fixture_start(&f);
    const char *list[] = {"a", EDS("a", ""), "b", EDS("b", ""), "c", EDS("c", ""), NULL};
    fixture_full(&f, RESOURCE_CLUSTER, list);
    expect(fixture_log(&f), "want eds a;want eds b;want eds c;done;");
    const char *less[] = {"a", EDS("a", ""), "d", EDS("d", ""), NULL};
    fixture_full(&f, RESOURCE_CLUSTER, less);
    expect(fixture_log(&f), "unwant eds b;unwant eds c;want eds d;done;");
}
END_TEST

START_TEST(m05_listener_waits_for_routes)
{
    fixture_start(&f);
    expect(fixture_update(&f, RESOURCE_LISTENER, "l", RDS_LISTENER("l", "80", "r")), "");
    expect(fixture_log(&f), "bind l;want rds r;done;");
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    expect(fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES("r", "unknown")), "");
    expect(fixture_log(&f), "publish 1;");
    struct listener_entry *e = fixture_listener(&f, "l");
    ck_assert_ptr_nonnull(e->chains[0]->routes);
    ck_assert_ptr_nonnull(e->chains[0]->manager);
    expect(e->chains[0]->listener_http_stats->prefix, "listener.127.0.0.1_80.http.p");
    /* a known one is reused without a request */
    expect(fixture_update(&f, RESOURCE_LISTENER, "l2", RDS_LISTENER("l2", "81", "r")), "");
    expect(fixture_log(&f), "bind l2;publish 2;");
    ck_assert_ptr_eq(fixture_listener(&f, "l2")->chains[0]->routes, e->chains[0]->routes);
}
END_TEST

START_TEST(m06_old_listener_serves_while_the_new_one_warms)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_LISTENER, "l", RDS_LISTENER("l", "80", "r"));
    fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES("r", "c"));
    struct listener_entry *e = fixture_listener(&f, "l");
    fixture_log(&f);
    expect(fixture_update(&f, RESOURCE_LISTENER, "l", RDS_LISTENER("l", "80", "r2")), "");
    expect(fixture_log(&f), "bind l;want rds r2;done;");
    ck_assert_ptr_eq(fixture_listener(&f, "l"), e);
    f.refuse_bind = true;
    const char *text = fixture_update(&f, RESOURCE_LISTENER, "l", RDS_LISTENER("l", "99", "r"));
    expect(text, "Error adding/updating listener(s) l: cannot bind '127.0.0.1:1': Address already "
                 "in use");
    ck_assert_ptr_eq(fixture_listener(&f, "l"), e);
    f.refuse_bind = false;
    fixture_log(&f);
    fixture_update(&f, RESOURCE_ROUTE, "r2", ROUTES("r2", "c"));
    expect(fixture_log(&f), "unwant rds r;done;publish 2;release l;");
    ck_assert_int_eq(fixture_stat(&f, "listener_manager.listener_in_place_updated"), 1);
    ck_assert_int_eq(fixture_stat(&f, "listener_manager.listener_modified"), 1);
}
END_TEST

START_TEST(m09_equal_parts_of_a_listener_keep_their_nodes)
{
    fixture_start(&f);
    expect(fixture_update(&f, RESOURCE_LISTENER, "l", INLINE_LISTENER("l", "80", "p")), "");
    struct chain_binding *one = fixture_listener(&f, "l")->chains[0];
    expect(fixture_update(&f, RESOURCE_LISTENER, "l", INLINE_LISTENER("l", "80", "q")), "");
    struct chain_binding *two = fixture_listener(&f, "l")->chains[0];
    ck_assert_ptr_ne(one, two);
    ck_assert_ptr_eq(listener_find_chain_key(fixture_listener(&f, "l"), two->chain->key), two);
    ck_assert_ptr_ne(two->manager, NULL);
    const struct filter_chain *chain = two->chain;
    fixture_update(&f, RESOURCE_LISTENER, "l",
                   "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, "
                   "tcp_backlog_size: 5, filter_chains: [{filters: [{name: hcm, typed_config: "
                   "{'@type': " HCM ", http_filters: [" ROUTER "], stat_prefix: q, route_config: "
                   "{name: r}}}]}]}");
    struct chain_binding *three = fixture_listener(&f, "l")->chains[0];
    ck_assert_ptr_eq(three, two); /* chain, manager and routes are the same */
    ck_assert_ptr_eq(three->chain, chain);
}
END_TEST

static int64_t draining(const char *what)
{
    struct strbuf name = STRBUF_INIT;
    strbuf_printf(&name, "listener_manager.total_%s_draining", what);
    int64_t n = fixture_stat(&f, strbuf_str(&name));
    strbuf_fini(&name);
    return n;
}

#define TWO_CHAINS(name, port, more)                                                               \
    "{name: " name ", address: {socket_address: {address: 127.0.0.1, port_value: " port            \
    "}}, filter_chains: [{name: a, filter_chain_match: {server_names: [a]}, filters: [{name: "     \
    "hcm, typed_config: {'@type': " HCM ", http_filters: [" ROUTER                                 \
    "], stat_prefix: p, route_config: {name: r}}}]}" more "]}"
#define SECOND_CHAIN                                                                               \
    ", {name: b, filter_chain_match: {server_names: [b]}, filters: [{name: hcm, typed_config: "    \
    "{'@type': " HCM ", http_filters: [" ROUTER "], stat_prefix: p, route_config: {name: r}}}]}"

START_TEST(m08_what_drains_is_counted_until_its_time_has_passed)
{
    f.builder->options.drain_ms = 600;
    fixture_start(&f);
    fixture_update(&f, RESOURCE_LISTENER, "l", TWO_CHAINS("l", "80", SECOND_CHAIN));
    ck_assert_int_eq(draining("filter_chains"), 0);
    fixture_update(&f, RESOURCE_LISTENER, "l", TWO_CHAINS("l", "80", ""));
    ck_assert_int_eq(draining("filter_chains"), 1);
    ck_assert_int_eq(draining("listeners"), 0);
    fixture_update(&f, RESOURCE_LISTENER, "l", TWO_CHAINS("l", "81", "")); /* another address */
    ck_assert_int_eq(draining("filter_chains"), 1);
    ck_assert_int_eq(draining("listeners"), 1);
    const char *none[] = {NULL};
    fixture_full(&f, RESOURCE_LISTENER, none);
    ck_assert_int_eq(draining("listeners"), 1);
    builder_commit(f.builder);
    ck_assert_int_eq(draining("listeners"), 2);
    ck_assert(fixture_expire(&f));
    ck_assert_int_eq(draining("filter_chains"), 0);
    ck_assert(fixture_expire(&f));
    ck_assert_int_eq(draining("listeners"), 1);
    ck_assert(fixture_expire(&f));
    ck_assert_int_eq(draining("listeners"), 0);
    ck_assert(!fixture_expire(&f));
    /* it goes with the builder */
    fixture_update(&f, RESOURCE_LISTENER, "l", TWO_CHAINS("l", "80", SECOND_CHAIN));
    fixture_update(&f, RESOURCE_LISTENER, "l", TWO_CHAINS("l", "80", ""));
    ck_assert_int_eq(draining("filter_chains"), 1);
}
END_TEST

START_TEST(r07_a_port_moves_between_listeners)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_LISTENER, "a", INLINE_LISTENER("a", "80", "p"));
    const char *clash[] = {"a", INLINE_LISTENER("a", "80", "p"), "b",
                           INLINE_LISTENER("b", "80", "p"), NULL};
    const char *text = fixture_full(&f, RESOURCE_LISTENER, clash);
    ck_assert_ptr_nonnull(strstr(text, "b: error adding listener: 'b' has duplicate address "
                                       "'127.0.0.1:80' as existing listener"));
    builder_commit(f.builder);
    fixture_log(&f);
    const char *moved[] = {"b", INLINE_LISTENER("b", "80", "p"), NULL};
    expect(fixture_full(&f, RESOURCE_LISTENER, moved), "");
    builder_commit(f.builder);
    expect(fixture_log(&f), "bind b;publish 2;release a;");
    ck_assert_ptr_null(fixture_listener(&f, "a"));
    ck_assert_ptr_nonnull(fixture_listener(&f, "b"));
    ck_assert_int_eq(fixture_stat(&f, "listener_manager.listener_removed"), 1);
}
END_TEST

START_TEST(m10_validate_clusters)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_LISTENER, "l", RDS_LISTENER("l", "80", "r"));
    const char *text = fixture_update(
        &f, RESOURCE_ROUTE, "r",
        "{name: r, validate_clusters: true, virtual_hosts: [{name: v, domains: ['*'], routes: "
        "[{match: {prefix: /}, route: {cluster: nobody}}]}]}");
    ck_assert_ptr_nonnull(
        strstr(text, "r: virtual_hosts[0].routes[0].route.cluster: route: unknown cluster "
                     "'nobody'"));
    /* inline routes are validated by default */
    text = fixture_update(
        &f, RESOURCE_LISTENER, "i",
        LISTENER_WITH("i", "81", "stat_prefix: p, route_config: " ROUTES("r", "nobody")));
    ck_assert_ptr_nonnull(strstr(text, "unknown cluster 'nobody'"));
}
END_TEST

static const char one_host[] =
    "{name: d, type: LOGICAL_DNS, load_assignment: {cluster_name: d, endpoints: [{lb_endpoints: "
    "[{endpoint: {address: {socket_address: {address: a.test, port_value: 80}}}}]}]}}";

/* An answer of LOGICAL_DNS is one host, at all of its addresses. */
START_TEST(one_host_at_all_addresses)
{
    struct address a[3] = {address_ipv4(10, 0, 0, 1, 0), address_ipv4(10, 0, 0, 2, 0),
                           address_ipv4(10, 0, 0, 3, 0)};
    unsigned n;
    fixture_start(&f);
    expect(fixture_update(&f, RESOURCE_CLUSTER, "d", one_host), "");
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 0, true, a, 3);
    builder_commit(f.builder);
    const struct host_set *hs = fixture_cluster(&f, "d")->hosts;
    ck_assert_uint_eq(hs->n_hosts, 1);
    const struct address *others = host_others(&hs->hosts[0], &n);
    ck_assert_uint_eq(n, 2);
    ck_assert(address_eq_ip(&others[1], &a[2]));
    ck_assert_uint_eq(others[1].port, 80);
    struct host_state *state = hs->hosts[0].state;
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 0, true, a, 3);
    builder_commit(f.builder);
    ck_assert_ptr_eq(fixture_cluster(&f, "d")->hosts, hs);
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 0, true, a, 1);
    builder_commit(f.builder);
    hs = fixture_cluster(&f, "d")->hosts;
    ck_assert_ptr_ne(hs->hosts[0].state, state);
    ck_assert_ptr_null(host_others(&hs->hosts[0], &n));
    ck_assert_int_eq(fixture_stat(&f, "cluster.d.membership_change"), 2);
}
END_TEST

START_TEST(an_answer_that_is_too_long)
{
    struct address a[HOST_OTHERS_MAX + 2];
    unsigned n;
    for (unsigned i = 0; i < ARRAY_SIZE(a); i++)
        a[i] = address_ipv4(10, 0, (uint8_t)(i >> 8), (uint8_t)i, 0);
    fixture_start(&f);
    expect(fixture_update(&f, RESOURCE_CLUSTER, "d", one_host), "");
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 0, true, a, ARRAY_SIZE(a));
    builder_commit(f.builder);
    (void)host_others(&fixture_cluster(&f, "d")->hosts->hosts[0], &n);
    ck_assert_uint_eq(n, HOST_OTHERS_MAX);
}
END_TEST

START_TEST(m14_order_of_the_start)
{
    struct error err = ERROR_INIT;
    struct resource_update u[] = {
        {.name = BYTES("d"), .wire = fixture_wire(&f, "envoy.config.cluster.v3.Cluster", one_host)},
        {.name = BYTES("e"),
         .wire = fixture_wire(&f, "envoy.config.cluster.v3.Cluster", EDS("e", ""))},
        {.name = BYTES("l"),
         .wire =
             fixture_wire(&f, "envoy.config.listener.v3.Listener", RDS_LISTENER("l", "80", "r"))}};
    ck_assert(builder_add_static(f.builder, RESOURCE_CLUSTER, &u[0], &err));
    ck_assert(builder_add_static(f.builder, RESOURCE_CLUSTER, &u[1], &err));
    ck_assert_msg(builder_add_static(f.builder, RESOURCE_LISTENER, &u[2], &err), "%s",
                  error_text(&err));
    expect(fixture_log(&f), "bind l;");
    builder_start(f.builder, &f.ads, &f.ads);
    expect(fixture_log(&f), "dns d;");
    struct address a[2] = {address_ipv4(10, 0, 0, 1, 0), address_ipv4(10, 0, 0, 2, 0)};
    builder_dns_update(f.builder, BYTES("d"), f.dns_generation, 0, true, a, 2);
    expect(fixture_log(&f), "publish 1;want eds e;done;");
    fixture_update(&f, RESOURCE_ENDPOINT, "e", CLA("e", "80"));
    ck_assert_uint_eq(fixture_cluster(&f, "d")->hosts->n_hosts, 1);
    expect(fixture_log(&f), "publish 2;want cds *;done;");
    const char *list[] = {"x", EDS("x", ""), NULL};
    fixture_full(&f, RESOURCE_CLUSTER, list);
    expect(fixture_log(&f), "want eds x;done;");
    ck_assert(fixture_expire(&f)); /* EDS of x */
    expect(fixture_log(&f), "publish 3;want rds r;want lds *;done;");
    config_update_failed(f.builder, &f.ads, RESOURCE_LISTENER); /* rule M15 */
    ck_assert(!f.initialised);
    fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES("r", "c"));
    ck_assert(f.initialised);
    expect(fixture_log(&f), "publish 4;");
}
END_TEST

START_TEST(changing_one_of_a_thousand_clusters_decodes_one)
{
    enum { N = 1000 };
    struct resource_update *u = mem_zalloc(N * sizeof(*u));
    struct cluster_entry *before[N];
    struct update_result r;
    char name[32], yaml[128];
    fixture_start(&f);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        snprintf(yaml, sizeof(yaml), "{name: c%d}", i);
        u[i].name = arena_dup(f.arena, bytes_of(name));
        u[i].wire = fixture_wire(&f, "envoy.config.cluster.v3.Cluster", yaml);
    }
    config_update(f.builder, &f.ads, RESOURCE_CLUSTER, u, N, NULL, 0, true, BYTES("1"), &r);
    builder_commit(f.builder);
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_CLUSTER), N);
    for (int i = 0; i < N; i++)
        before[i] = snapshot_cluster(builder_snapshot(f.builder), u[i].name);
    u[7].wire =
        fixture_wire(&f, "envoy.config.cluster.v3.Cluster", "{name: c7, connect_timeout: 1s}");
    config_update(f.builder, &f.ads, RESOURCE_CLUSTER, u, N, NULL, 0, true, BYTES("2"), &r);
    ck_assert_uint_eq(r.n_unchanged, N - 1);
    builder_commit(f.builder);
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_CLUSTER), N + 1);
    for (int i = 0; i < N; i++) {
        struct cluster_entry *now = snapshot_cluster(builder_snapshot(f.builder), u[i].name);
        ck_assert(i == 7 ? now != before[i] : now == before[i]);
    }
    expect(builder_type_version(f.builder, RESOURCE_CLUSTER), "2");
    ck_assert_ptr_null(builder_commit(f.builder)); /* nothing changed: nothing published */
    mem_free(u);
}
END_TEST

START_TEST(equal_endpoints_keep_their_state)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "web", EDS("web", ""));
    fixture_update(&f, RESOURCE_ENDPOINT, "web", CLA("web", "80"));
    struct host_state *state = fixture_cluster(&f, "web")->hosts->hosts[0].state;
    struct cluster_state *cluster = fixture_cluster(&f, "web")->state;
    fixture_update(&f, RESOURCE_ENDPOINT, "web",
                   "{cluster_name: web, endpoints: [{lb_endpoints: [{endpoint: {address: "
                   "{socket_address: {address: 127.0.0.1, port_value: 81}}}}, {endpoint: "
                   "{address: {socket_address: {address: 127.0.0.1, port_value: 80}}}}, "
                   "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: "
                   "81}}}}]}]}");
    const struct host_set *hs = fixture_cluster(&f, "web")->hosts;
    ck_assert_uint_eq(hs->n_hosts, 2); /* the first of equal addresses counts */
    ck_assert_ptr_eq(hs->hosts[1].state, state);
    ck_assert_ptr_eq(fixture_cluster(&f, "web")->state, cluster);
    /* type and source change, the address stays */
    fixture_update(&f, RESOURCE_CLUSTER, "web",
                   "{name: web, load_assignment: " CLA("web", "80") "}");
    ck_assert_ptr_eq(fixture_cluster(&f, "web")->hosts->hosts[0].state, state);
}
END_TEST

/* An address that has another name, or stands elsewhere, is another host. */
START_TEST(another_name_or_locality_is_another_host)
{
#define NAMED(name, zone)                                                                          \
    "{cluster_name: web, endpoints: [{locality: {zone: " zone "}, lb_endpoints: [{endpoint: "      \
    "{hostname: " name ", address: {socket_address: {address: 127.0.0.1, port_value: 80}}}, "      \
    "load_balancing_weight: %d}]}]}"
    static const struct {
        const char *yaml;
        bool same;
    } steps[] = {
        {NAMED("a", "p"), true},  {NAMED("b", "p"), false},  {NAMED("b", "p"), true},
        {NAMED("b", "q"), false}, {NAMED("''", "q"), false}, {NAMED("''", "''"), false},
        {CLA("web", "80"), true}, {NAMED("a", "''"), false},
    };
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "web", EDS("web", ""));
    struct host_state *before = NULL;
    unsigned changes = 1;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct strbuf text = STRBUF_INIT;
        strbuf_printf(&text, steps[i].yaml, (int)i + 1); /* another weight alone is no other host */
        fixture_update(&f, RESOURCE_ENDPOINT, "web", strbuf_str(&text));
        strbuf_fini(&text);
        struct host_state *now = fixture_cluster(&f, "web")->hosts->hosts[0].state;
        ck_assert_msg(i == 0 || (now == before) == steps[i].same, "step %zu", i);
        changes += i > 0 && !steps[i].same;
        host_state_unref(&before);
        before = now;
        host_state_ref(before);
    }
    host_state_unref(&before);
    ck_assert_int_eq(fixture_stat(&f, "cluster.web.membership_change"), changes);
#undef NAMED
}
END_TEST

START_TEST(pinned_nodes_outlive_their_snapshots)
{
    f.holders = 2;
    fixture_start(&f);
    fixture_update(&f, RESOURCE_LISTENER, "l", INLINE_LISTENER("l", "80", "p"));
    struct snapshot *first = builder_snapshot(f.builder);
    struct chain_binding *x = fixture_listener(&f, "l")->chains[0];
    const char *none[] = {NULL};
    fixture_full(&f, RESOURCE_LISTENER, none);
    builder_commit(f.builder);
    ck_assert_ptr_ne(builder_snapshot(f.builder), first);
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    node_pin(&x->node, 2);
    builder_snapshot_returned(f.builder, first);
    builder_reap(f.builder);
    ck_assert_ptr_nonnull(snapshot_listener(first, BYTES("l"))); /* one holder is left */
    builder_snapshot_returned(f.builder, first);
    unsigned live = node_count_live();
    ck_assert_uint_ge(builder_reap(f.builder), 1);
    ck_assert_uint_eq(node_count_live(), live);
    ck_assert(bytes_eq_str(x->manager->stat_prefix, "p")); /* still readable */
    node_unpin(&x->node, 2);
    builder_reap(f.builder);
    builder_reap(f.builder);
    ck_assert_uint_lt(node_count_live(), live);
    f.holders = 0;
}
END_TEST

START_TEST(routes_change_without_touching_chains)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_LISTENER, "l", RDS_LISTENER("l", "80", "r"));
    fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES("r", "a"));
    struct chain_binding *one = fixture_listener(&f, "l")->chains[0];
    fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES("r", "b"));
    struct chain_binding *two = fixture_listener(&f, "l")->chains[0];
    ck_assert_ptr_ne(one->routes, two->routes);
    ck_assert_ptr_eq(one->chain, two->chain);
    ck_assert_ptr_eq(one->manager, two->manager);
    uint64_t n = builder_decoded(f.builder, RESOURCE_ROUTE);
    fixture_log(&f);
    fixture_update(&f, RESOURCE_ROUTE, "r", ROUTES("r", "b"));
    expect(fixture_log(&f), "");
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_ROUTE), n);
}
END_TEST

struct seen {
    unsigned n;
    char text[512];
};

static bool look(void *ctx, const struct resource_view *v)
{
    struct seen *s = ctx;
    size_t at = strlen(s->text);
    snprintf(s->text + at, sizeof(s->text) - at, "%.*s:%d:%s%s%s;", BYTES_ARG(v->name),
             (int)v->status, v->active ? "A" : "", v->warming ? "W" : "", v->waiting_for);
    return ++s->n % 2 != 0; /* slices of two */
}

START_TEST(views_for_the_admin_pages)
{
    struct seen s = {0};
    fixture_start(&f);
    const char *list[] = {"b", EDS("b", ""), "a", "{name: a}", "c", "{name: c, type: ORIGINAL_DST}",
                          NULL};
    fixture_full(&f, RESOURCE_CLUSTER, list);
    builder_commit(f.builder);
    for (size_t at = 0; at != SIZE_MAX;)
        at = builder_each(f.builder, RESOURCE_CLUSTER, at, look, &s);
    expect(s.text, "a:3:A;b:3:Weds b;c:4:;");
    s = (struct seen){0};
    builder_each(f.builder, RESOURCE_ENDPOINT, 0, look, &s);
    expect(s.text, "b:1:;");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("builder");
    TCase *t = tcase_create("builder");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, m01_new_cluster_is_invisible_until_its_endpoints_come);
    tcase_add_test(t, m02_changed_cluster_serves_until_the_new_one_is_warm);
    tcase_add_test(t, m03_changed_cluster_reuses_its_endpoints);
    tcase_add_test(t, m04_dns_cluster_waits_for_a_name);
    tcase_add_test(t, one_host_at_all_addresses);
    tcase_add_test(t, an_answer_that_is_too_long);
    tcase_add_test(t, m04_failed_name_does_not_end_the_waiting);
    tcase_add_test(t, t01_timeout_goes_on_without);
    tcase_add_test(t, t01_zero_waits_for_ever);
    tcase_add_test(t, a07_a08_good_ones_are_applied_bad_ones_stay);
    tcase_add_test(t, a08_refused_endpoints_do_not_exist);
    tcase_add_test(t, r01_full_state_removes_and_r09_static_stays);
    tcase_add_test(t, m13_wants_are_told_once_after_the_update);
    tcase_add_test(t, m05_listener_waits_for_routes);
    tcase_add_test(t, m06_old_listener_serves_while_the_new_one_warms);
    tcase_add_test(t, m09_equal_parts_of_a_listener_keep_their_nodes);
    tcase_add_test(t, m08_what_drains_is_counted_until_its_time_has_passed);
    tcase_add_test(t, r07_a_port_moves_between_listeners);
    tcase_add_test(t, m10_validate_clusters);
    tcase_add_test(t, m14_order_of_the_start);
    tcase_add_test(t, changing_one_of_a_thousand_clusters_decodes_one);
    tcase_add_test(t, equal_endpoints_keep_their_state);
    tcase_add_test(t, another_name_or_locality_is_another_host);
    tcase_add_test(t, pinned_nodes_outlive_their_snapshots);
    tcase_add_test(t, routes_change_without_touching_chains);
    tcase_add_test(t, views_for_the_admin_pages);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
