#include <stdio.h>

#include "admin/pages.h"
#include "suite.h"
#include "world.h"

static struct world w;

#define HCM                                                                                        \
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."             \
    "HttpConnectionManager"
#define ROUTER                                                                                     \
    "{name: r, typed_config: {'@type': "                                                           \
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"
#define LISTENER(name, port, more, hcm)                                                            \
    "{name: " name ", address: {socket_address: {address: 127.0.0.1, port_value: " port "}}" more  \
    ", filter_chains: [{filters: [{name: hcm, typed_config: {'@type': " HCM                        \
    ", stat_prefix: p, http_filters: [" ROUTER "], " hcm "}}]}]}"
#define INLINE "route_config: {name: inl, virtual_hosts: [{name: v, domains: ['*']}]}"
#define RDS "rds: {route_config_name: rt, config_source: {ads: {}}}"
#define EDS(name) "{name: " name ", type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}"

static void setup(void)
{
    world_init(&w);
    world_static(&w, RESOURCE_CLUSTER, "sc",
                 "{name: sc, connect_timeout: 2s, load_assignment: {cluster_name: sc, endpoints: "
                 "[{priority: 0, lb_endpoints: [{endpoint: {hostname: h, address: "
                 "{socket_address: {address: 127.0.0.1, port_value: 1}}}}, {endpoint: {address: "
                 "{pipe: {path: /p}}}, health_status: DRAINING, load_balancing_weight: 4}]}]}}");
    world_static(&w, RESOURCE_LISTENER, "sl", LISTENER("sl", "80", "", INLINE));
    fixture_start(&w.f);
    fixture_update(&w.f, RESOURCE_CLUSTER, "dc", "{name: dc}");
    fixture_update(&w.f, RESOURCE_CLUSTER, "warming", EDS("warming"));
    fixture_update(&w.f, RESOURCE_LISTENER, "dl", LISTENER("dl", "81", "", RDS));
    fixture_update(&w.f, RESOURCE_ROUTE, "rt", "{name: rt}");
}

static bool has(const char *text, const char *part)
{
    return bytes_find(bytes_of(text), bytes_of(part)) >= 0;
}

static void expect_has(const char *text, const char *part)
{
    ck_assert_msg(has(text, part), "%s is not in %.3000s", part, text);
}

START_TEST(sections_are_in_envoys_order)
{
    static const char *const sections[] = {"Bootstrap",    "Clusters", "Endpoints", "Listeners",
                                           "ScopedRoutes", "Routes",   "Secrets"};
    setup();
    for (unsigned with = 0; with < 2; with++) {
        struct answer a = world_ask(&w, "GET", with ? "/config_dump?include_eds" : "/config_dump");
        struct bytes rest = bytes_of(a.text);
        ck_assert_str_eq(a.content_type, TEXT_JSON);
        ck_assert(bytes_starts_with(rest, BYTES("{\n \"configs\": [\n  {\n   \"@type\": ")));
        ck_assert(bytes_ends_with(rest, BYTES("\n  }\n ]\n}\n")));
        for (unsigned i = 0; i < ARRAY_SIZE(sections); i++) {
            char type[100];
            snprintf(type, sizeof(type),
                     "\n  {\n   \"@type\": "
                     "\"type.googleapis.com/envoy.admin.v3.%sConfigDump\"",
                     sections[i]);
            ptrdiff_t at = bytes_find(rest, bytes_of(type));
            ck_assert_msg((at >= 0) == (i != 2 || with), "%s", type);
            if (at >= 0)
                rest = bytes_skip(rest, (size_t)at);
        }
    }
    world_fini(&w);
}
END_TEST

START_TEST(what_was_received_is_echoed)
{
    setup();
    const char *text = world_get(&w, "/config_dump");
    expect_has(text, "\"bootstrap\": {\n    \"node\": {\n     \"id\": \"me\",\n"); /* as sent */
    expect_has(text, "\"stats_flush_interval\": \"1s\"");
    expect_has(
        text,
        "\n   \"version_info\": \"v\",\n   \"static_clusters\": [\n    {\n     \"cluster\": {\n"
        "      \"@type\": \"type.googleapis.com/envoy.config.cluster.v3.Cluster\",\n"
        "      \"name\": \"sc\",\n      \"connect_timeout\": \"2s\",\n");
    expect_has(text, "\n   ],\n   \"dynamic_active_clusters\": [\n    {\n"
                     "     \"version_info\": \"v\",\n     \"cluster\": {\n"
                     "      \"@type\": \"type.googleapis.com/envoy.config.cluster.v3.Cluster\",\n"
                     "      \"name\": \"dc\"\n     },\n     \"last_updated\": \"");
    expect_has(text, "\n   ],\n   \"dynamic_warming_clusters\": [\n    {\n"
                     "     \"version_info\": \"v\",\n     \"cluster\": {\n"
                     "      \"@type\": \"type.googleapis.com/envoy.config.cluster.v3.Cluster\",\n"
                     "      \"name\": \"warming\",\n");
    expect_has(text, "\"dynamic_listeners\": [\n    {\n     \"name\": \"dl\",\n"
                     "     \"active_state\": {\n      \"version_info\": \"v\",\n");
    expect_has(text, "\"static_route_configs\": [\n    {\n     \"route_config\": {\n"
                     "      \"@type\": \"type.googleapis.com/envoy.config.route.v3."
                     "RouteConfiguration\",\n      \"name\": \"inl\",\n");
    expect_has(text, "\"dynamic_route_configs\": [\n    {\n     \"version_info\": \"v\",\n"
                     "     \"route_config\": {\n      \"@type\": \"type.googleapis.com/"
                     "envoy.config.route.v3.RouteConfiguration\",\n      \"name\": \"rt\"\n");
    ck_assert(!has(text, "client_status"));
    world_fini(&w);
}
END_TEST

START_TEST(refused_resources_say_why)
{
    setup();
    fixture_update(&w.f, RESOURCE_LISTENER, "bad",
                   "{name: bad, address: {socket_address: {address: 1.2.3.4, port_value: 1}}, "
                   "filter_chains: [{filters: [{name: x}]}]}");
    fixture_update(&w.f, RESOURCE_CLUSTER, "dc", "{name: dc, connect_timeout: -1s}");
    const char *text = world_get(&w, "/config_dump?resource=dynamic_listeners&name_regex=bad");
    expect_has(text, "   \"name\": \"bad\",\n   \"error_state\": {\n"
                     "    \"failed_configuration\": {\n     \"@type\": \"type.googleapis.com/"
                     "envoy.config.listener.v3.Listener\",\n     \"name\": \"bad\",\n");
    expect_has(text, "\"last_update_attempt\": \"");
    expect_has(text, "\"details\": \"");
    expect_has(text, "   \"client_status\": \"NACKED\"\n");
    text = world_get(&w, "/config_dump?resource=dynamic_active_clusters");
    expect_has(text, "\"cluster\": {\n    \"@type\": \"type.googleapis.com/envoy.config.cluster.v3."
                     "Cluster\",\n    \"name\": \"dc\"\n   },\n");
    expect_has(text, "\"connect_timeout\": \"-1s\"");
    world_fini(&w);
}
END_TEST

START_TEST(endpoints_are_the_hosts_as_they_stand)
{
    setup();
    fixture_update(&w.f, RESOURCE_ENDPOINT, "warming",
                   "{cluster_name: warming, endpoints: [{locality: {zone: z}, priority: 1, "
                   "load_balancing_weight: 2, lb_endpoints: [{endpoint: {address: "
                   "{socket_address: {address: '::1', port_value: 2}}}}]}]}");
    fixture_cluster(&w.f, "sc")->hosts->hosts[0].state->health = HEALTH_FAILED_OUTLIER;
    ck_assert_str_eq(
        world_get(&w, "/config_dump?include_eds&resource=static_endpoint_configs"),
        "{\n \"configs\": [\n  {\n   \"@type\": \"type.googleapis.com/envoy.admin.v3."
        "EndpointsConfigDump.StaticEndpointConfig\",\n   \"endpoint_config\": {\n"
        "    \"@type\": \"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment\",\n"
        "    \"cluster_name\": \"sc\",\n    \"endpoints\": [\n     {\n      \"locality\": {},\n"
        "      \"lb_endpoints\": [\n       {\n        \"endpoint\": {\n         \"address\": {\n"
        "          \"socket_address\": {\n           \"address\": \"127.0.0.1\",\n"
        "           \"port_value\": 1\n          }\n         },\n"
        "         \"health_check_config\": {},\n         \"hostname\": \"h\"\n        },\n"
        "        \"health_status\": \"UNHEALTHY\",\n        \"load_balancing_weight\": 1\n"
        "       },\n       {\n        \"endpoint\": {\n         \"address\": {\n"
        "          \"pipe\": {\n           \"path\": \"/p\"\n          }\n         },\n"
        "         \"health_check_config\": {}\n        },\n"
        "        \"health_status\": \"UNHEALTHY\",\n        \"load_balancing_weight\": 4\n"
        "       }\n      ],\n      \"load_balancing_weight\": 0\n     }\n    ],\n"
        "    \"policy\": {\n     \"overprovisioning_factor\": 140\n    }\n   }\n  }\n ]\n}\n");
    const char *text = world_get(&w, "/config_dump?include_eds&resource=dynamic_endpoint_configs");
    expect_has(text, "\"cluster_name\": \"dc\",\n    \"policy\": {");
    expect_has(text, "\"cluster_name\": \"warming\",\n    \"endpoints\": [\n     {\n"
                     "      \"locality\": {\n       \"zone\": \"z\"\n      },\n");
    expect_has(text, "\"load_balancing_weight\": 2,\n      \"priority\": 1\n");
    world_fini(&w);
}
END_TEST

START_TEST(resources_masks_and_names)
{
    setup();
    ck_assert_str_eq(world_get(&w, "/config_dump?resource=dynamic_active_clusters&mask="
                                   "cluster.name"),
                     "{\n \"configs\": [\n  {\n   \"@type\": \"type.googleapis.com/envoy.admin.v3."
                     "ClustersConfigDump.DynamicCluster\",\n   \"cluster\": {\n"
                     "    \"@type\": \"type.googleapis.com/envoy.config.cluster.v3.Cluster\",\n"
                     "    \"name\": \"dc\"\n   }\n  }\n ]\n}\n");
    ck_assert_str_eq(world_get(&w, "/config_dump?mask=bootstrap.node.id"),
                     "{\n \"configs\": [\n  {\n   \"@type\": \"type.googleapis.com/envoy.admin.v3."
                     "BootstrapConfigDump\",\n   \"bootstrap\": {\n    \"node\": {\n"
                     "     \"id\": \"me\"\n    }\n   }\n  }\n ]\n}\n");
    const char *text = world_get(&w, "/config_dump?mask=static_clusters&name_regex=s.");
    expect_has(text, "ClustersConfigDump\",\n   \"static_clusters\": [\n");
    ck_assert(!has(text, "version_info") && !has(text, "dynamic") && !has(text, "Listeners"));
    text = world_get(&w, "/config_dump?mask=version_info");
    expect_has(text, "ClustersConfigDump\",\n   \"version_info\": \"v\"\n  },\n");
    expect_has(text, "ListenersConfigDump\",\n   \"version_info\": \"v\"\n  }\n ]");
    ck_assert_str_eq(world_get(&w, "/config_dump?resource=static_clusters&name_regex=s"), "{}\n");
    expect_has(world_get(&w, "/config_dump?resource=static_route_configs&name_regex=i.l"),
               "\"name\": \"inl\"");
    ck_assert_str_eq(world_get(&w, "/config_dump?resource=static_secrets"), "{}\n");
    ck_assert_str_eq(world_get(&w, "/config_dump?resource=dynamic_scoped_route_configs&mask=x"),
                     "{}\n");
    world_fini(&w);
}
END_TEST

static void refuse(unsigned status, const char *target, const char *text)
{
    struct answer a = world_ask(&w, "GET", target);
    ck_assert_msg(a.status == status, "%s: %u", target, a.status);
    ck_assert_str_eq(a.content_type, "text/plain");
    ck_assert_str_eq(a.text, text);
}

START_TEST(refusals_are_envoys)
{
    setup();
    refuse(400, "/config_dump?name_regex=[",
           "INVALID_ARGUMENT: Error while parsing name_regex from [: missing ]: [");
    refuse(400, "/config_dump?mask=foo",
           "FieldMask foo could not be successfully applied to any configs.");
    refuse(400, "/config_dump?mask=static_clusters,bootstrap",
           "FieldMask static_clusters,bootstrap could not be successfully applied to any configs.");
    refuse(400, "/config_dump?mask=static_clusters.cluster.name",
           "FieldMask static_clusters.cluster.name could not be successfully applied to any "
           "configs.");
    refuse(400, "/config_dump?resource=static_clusters&mask=cluster.nosuch,last_updated",
           "FieldMask paths: \"cluster.nosuch\"\npaths: \"last_updated\"\n could not be "
           "successfully used.");
    refuse(400, "/config_dump?resource=bootstrap",
           "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field");
    refuse(404, "/config_dump?resource=nosuch", "nosuch not found in config dump");
    refuse(404, "/config_dump?resource=static_endpoint_configs",
           "static_endpoint_configs not found in config dump");
    world_fini(&w);
}
END_TEST

/* Nodes that did not change outlive the bytes they were made of: those of the listener count. */
START_TEST(routes_inside_a_listener_that_changed)
{
    setup();
    fixture_update(&w.f, RESOURCE_LISTENER, "il", LISTENER("il", "82", "", INLINE));
    fixture_update(&w.f, RESOURCE_LISTENER, "il",
                   LISTENER("il", "82", ", per_connection_buffer_limit_bytes: 5", INLINE));
    const char *text = world_get(&w, "/config_dump?resource=static_route_configs");
    struct bytes rest = bytes_of(text);
    ptrdiff_t at = bytes_find(rest, BYTES("\"name\": \"inl\""));
    ck_assert(at > 0);
    ck_assert(bytes_find(bytes_skip(rest, (size_t)at + 1), BYTES("\"name\": \"inl\"")) > 0);
    world_fini(&w);
}
END_TEST

enum { MANY = 1200 };

START_TEST(many_resources_take_many_turns)
{
    char name[16], yaml[64];
    setup();
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "c%04u", i);
        snprintf(yaml, sizeof(yaml), "{name: %s}", name);
        fixture_update(&w.f, RESOURCE_CLUSTER, name, yaml);
    }
    struct bytes rest = bytes_of(world_get(&w, "/config_dump"));
    ck_assert_uint_gt(w.n_asked, 4);
    ck_assert_uint_le(w.largest, ADMIN_SLICE);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(yaml, sizeof(yaml), "\"name\": \"c%04u\"", i);
        ptrdiff_t at = bytes_find(rest, bytes_of(yaml));
        ck_assert_msg(at > 0, "%s", yaml);
        rest = bytes_skip(rest, (size_t)at);
    }
    unsigned before = w.n_asked;
    ck_assert_str_eq(world_get(&w, "/config_dump?resource=dynamic_active_clusters&name_regex=x"),
                     "{}\n");
    ck_assert_uint_gt(w.n_asked - before, 2); /* nothing to print is work too */
    world_fini(&w);
}
END_TEST

START_TEST(init_dump_tells_who_waits)
{
    setup();
    fixture_update(
        &w.f, RESOURCE_LISTENER, "wl",
        LISTENER("wl", "83", "", "rds: {route_config_name: nosuch, config_source: {ads: {}}}"));
    ck_assert_str_eq(world_get(&w, "/init_dump?mask=listener"),
                     "{\n \"unready_targets_dumps\": [\n  {\n"
                     "   \"name\": \"init manager Listener-local-init-manager wl\",\n"
                     "   \"target_names\": [\n"
                     "    \"shared target RdsRouteConfigSubscription RDS init nosuch\"\n   ]\n"
                     "  }\n ]\n}\n");
    expect_has(world_get(&w, "/init_dump"), "   \"name\": \"cluster warming\",\n"
                                            "   \"target_names\": [\n    \"eds warming\"\n");
    world_fini(&w);
}
END_TEST

START_TEST(listeners)
{
    setup();
    ck_assert_str_eq(world_get(&w, "/listeners"), "dl::127.0.0.1:81\nsl::127.0.0.1:80\n");
    fixture_update(&w.f, RESOURCE_LISTENER, "dl",
                   "{name: dl, address: {socket_address: {address: '::', port_value: 0}}, "
                   "additional_addresses: [{address: {pipe: {path: /p}}}], filter_chains: "
                   "[{filters: [{name: hcm, typed_config: {'@type': " HCM
                   ", stat_prefix: p, http_filters: [" ROUTER "], " RDS "}}]}]}");
    struct answer a = world_ask(&w, "GET", "/listeners?format=json");
    ck_assert_str_eq(a.content_type, TEXT_JSON);
    expect_has(a.text, "{\n \"listener_statuses\": [\n  {\n   \"name\": \"dl\",\n"
                       "   \"local_address\": {\n    \"socket_address\": {\n"
                       "     \"address\": \"::\",\n     \"port_value\": 1000\n    }\n   },\n"
                       "   \"additional_local_addresses\": [\n    {\n     \"pipe\": {\n"
                       "      \"path\": \"/p\"\n     }\n    }\n   ]\n  },\n");
    ck_assert_str_eq(world_get(&w, "/listeners"), "dl::[::]:1000\ndl::/p\nsl::127.0.0.1:80\n");
    fixture_update(&w.f, RESOURCE_LISTENER, "silent",
                   "{name: silent, address: {pipe: {path: /s}}, filter_chains: [{filters: [{name: "
                   "hcm, typed_config: {'@type': " HCM ", stat_prefix: p, http_filters: [" ROUTER
                   "], " RDS "}}]}]}");
    ck_assert_str_eq(world_get(&w, "/listeners"), "dl::[::]:1000\ndl::/p\nsl::127.0.0.1:80\n");
    world_fini(&w);
}
END_TEST

START_TEST(listeners_come_in_slices)
{
    enum { LISTENERS = 500, NAME_LEN = 200 };
    char name[NAME_LEN + 1], yaml[1024];
    setup();
    for (unsigned i = 0; i < LISTENERS; i++) {
        snprintf(name, sizeof(name), "l%0*u", NAME_LEN - 1, i);
        snprintf(yaml, sizeof(yaml),
                 "{name: %s, address: {pipe: {path: /l%u}}, filter_chains: [{filters: [{name: hcm, "
                 "typed_config: {'@type': " HCM ", stat_prefix: p, http_filters: [" ROUTER "], " RDS
                 "}}]}]}",
                 name, i);
        fixture_update(&w.f, RESOURCE_LISTENER, name, yaml);
    }
    const char *text = world_get(&w, "/listeners");
    ck_assert_uint_gt(strlen(text), LISTENERS * NAME_LEN);
    expect_has(text, "499::/l499\nsl::127.0.0.1:80\n");
    ck_assert_uint_gt(w.n_slices, 1);
    ck_assert_uint_lt(w.largest, ADMIN_SLICE + 1024);
    text = world_get(&w, "/listeners?format=json");
    expect_has(text, "\"path\": \"/l499\"\n");
    ck_assert_ptr_nonnull(strstr(text, "\n ]\n}\n"));
    ck_assert_uint_lt(w.largest, ADMIN_SLICE + 1024);
    world_fini(&w);
}
END_TEST

START_TEST(what_is_ignored_comes_last)
{
    static const char begin[] =
        ",\n  {\n   \"@type\": \"type.googleapis.com/google.protobuf.Struct\",\n   \"value\": {\n"
        "    \"ignored_fields\": [\n     {\n"
        "      \"resource\": \"envoy.config.cluster.v3.Cluster\",\n      \"name\": \"dc\",\n";
    static const char end[] = "      \"fields\": [\n       {\n"
                              "        \"path\": \"track_timeout_budgets\",\n"
                              "        \"class\": \"ignored\"\n       }\n      ]\n     }\n    ]\n"
                              "   }\n  }\n ]\n}\n";
    setup();
    ck_assert(!has(world_get(&w, "/config_dump"), "ignored_fields"));
    fixture_update(&w.f, RESOURCE_CLUSTER, "dc", "{name: dc, track_timeout_budgets: true}");
    const char *text = world_get(&w, "/config_dump");
    expect_has(text, begin);
    expect_has(text, "\"last_updated\": \"1970-01-01T");
    ck_assert(bytes_ends_with(bytes_of(text), bytes_of(end)));
    ck_assert(!has(world_get(&w, "/config_dump?mask=bootstrap"), "ignored_fields"));
    ck_assert(!has(world_get(&w, "/config_dump?name_regex=sc"), "ignored_fields"));
    fixture_update(&w.f, RESOURCE_CLUSTER, "dc", "{name: dc}");
    ck_assert(!has(world_get(&w, "/config_dump"), "ignored_fields"));
    world_fini(&w);
}
END_TEST

SUITE("page_config_dump", what_is_ignored_comes_last, sections_are_in_envoys_order,
      what_was_received_is_echoed, refused_resources_say_why, endpoints_are_the_hosts_as_they_stand,
      resources_masks_and_names, refusals_are_envoys, routes_inside_a_listener_that_changed,
      many_resources_take_many_turns, init_dump_tells_who_waits, listeners,
      listeners_come_in_slices)
