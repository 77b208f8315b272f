#include "config/static_load.h"

#include <check.h>
#include <stdlib.h>

#include "config_fixture.h"

static struct fixture f;
static struct bootstrap_config *config;

static void setup(void)
{
    fixture_init(&f);
    config = NULL;
}

static void teardown(void)
{
    bootstrap_config_free(&config);
    fixture_fini(&f);
}

/* "" when everything was loaded. */
static const char *load(const char *yaml)
{
    struct error err = ERROR_INIT;
    bootstrap_config_free(&config);
    config = bootstrap_config_decode(builder_decode_context(f.builder),
                                     fixture_wire(&f, "envoy.config.bootstrap.v3.Bootstrap", yaml),
                                     &err);
    bool ok = config && static_load(f.builder, config, &err);
    char *text = arena_str(f.arena, bytes_of(error_text(&err)));
    ck_assert(ok != error_is_set(&err));
    error_fini(&err);
    return text;
}

#define ADS                                                                                        \
    "dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, "                 \
    "set_node_on_first_message_only: true, grpc_services: [{envoy_grpc: {cluster_name: xds, "      \
    "authority: a, retry_policy: {retry_back_off: {base_interval: 0.1s}}}, initial_metadata: "     \
    "[{key: K, value: v}]}]}, cds_config: {ads: {}, initial_fetch_timeout: 3s}, lds_config: "      \
    "{ads: {}}}"
#define XDS_CLUSTER                                                                                \
    "{name: xds, type: STRICT_DNS, http2_protocol_options: {connection_keepalive: {interval: "     \
    "30s, "                                                                                        \
    "timeout: 5s}}, load_assignment: {cluster_name: xds, endpoints: [{lb_endpoints: [{endpoint: "  \
    "{address: {socket_address: {address: localhost, port_value: 1}}}}]}]}}"

START_TEST(who_may_reach_the_admin_address)
{
    ck_assert_str_eq(load("{admin: {address: {pipe: {path: /a, mode: 384}}}}"), "");
    ck_assert_uint_eq(config->admin_pipe_mode, 0600);
    ck_assert_str_eq(load("{admin: {address: {socket_address: {address: '::', port_value: 1, "
                          "ipv4_compat: true}}}}"),
                     "");
    ck_assert(config->admin_ipv4_compat);
    ck_assert_uint_eq(config->admin_pipe_mode, 0);
}
END_TEST

START_TEST(reads_a_bootstrap)
{
    ck_assert_str_eq(
        load(
            "{node: {id: node, cluster: k, locality: {zone: z}}, admin: {address: {socket_address: "
            "{address: 127.0.0.1, port_value: 9901}}, access_log_path: /dev/null}, " ADS
            ", static_resources: {clusters: [" XDS_CLUSTER
            "]}, stats_flush_interval: 1s, stats_config: {use_all_default_tags: false, "
            "stats_tags: [{tag_name: t, fixed_value: v}]}}"),
        "");
    ck_assert(bytes_eq_str(config->node_id, "node") && bytes_eq_str(config->node_zone, "z"));
    ck_assert_uint_gt(config->node_wire.len, 0);
    ck_assert(config->has_admin && config->admin_address.port == 9901);
    ck_assert_uint_eq(config->n_admin_access_logs, 1);
    ck_assert(config->has_ads);
    const struct grpc_service *s = &config->ads.api.services[0];
    ck_assert(bytes_eq_str(s->cluster_name, "xds") && bytes_eq_str(s->authority, "a"));
    ck_assert_uint_eq(s->retry_base_ms, 100);
    ck_assert_uint_eq(s->retry_max_ms, 1000);
    ck_assert(bytes_eq_str(s->metadata_keys[0], "k"));
    ck_assert(config->ads.api.set_node_on_first_message_only && !config->ads.api.delta);
    ck_assert_int_eq(config->cds.kind, SOURCE_ADS);
    ck_assert_uint_eq(config->cds.initial_fetch_timeout_ms, 3000);
    ck_assert_uint_eq(config->lds.initial_fetch_timeout_ms, 15000);
    ck_assert(bytes_eq(config->lds.key, config->ads.key));
    ck_assert(!config->use_all_default_tags && config->n_stat_tags == 1);
    ck_assert_uint_eq(config->stats_flush_interval_ms, 1000);
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cluster_added"), 1);
}
END_TEST

#define CLUSTERS(more) "static_resources: {clusters: [" more "]}"
#define LISTENERS(more) "static_resources: {listeners: [" more "]}"
#define TCP(name, port)                                                                            \
    "{" name "address: {socket_address: {address: 127.0.0.1, port_value: " port                    \
    "}}, filter_chains: [{}]}"

#define XDS "{envoy_grpc: {cluster_name: xds}}"
#define TWO_SERVERS                                                                                \
    "dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, "                 \
    "grpc_services: [" XDS ", " XDS "]}}"

static const struct {
    const char *yaml, *words;
} bad[] = {
    {"{" ADS "}", "dynamic_resources.ads_config: Unknown gRPC client cluster 'xds'"},
    {"{dynamic_resources: {cds_config: {ads: {}}}}",
     "dynamic_resources.cds_config: ADS must be configured to support an ADS config source"},
    {"{dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, "
     "grpc_services: [{google_grpc: {target_uri: 'x:0', stat_prefix: y1}}]}}}",
     "dynamic_resources.ads_config: grpc_services[0]: google_grpc.target_uri: 'x:0': expected"},
    {"{dynamic_resources: {ads_config: {api_type: REST, transport_api_version: V3, "
     "grpc_services: [{envoy_grpc: {cluster_name: xds}}]}}}",
     "dynamic_resources.ads_config: cluster_names: REST needs one, and no grpc_services"},
    {"{dynamic_resources: {ads_config: {api_type: REST, transport_api_version: V3, "
     "cluster_names: [x], refresh_delay: 1s}}}",
     "dynamic_resources.ads_config: api_type: REST cannot be aggregated"},
    {"{dynamic_resources: {cds_config: {api_config_source: {api_type: REST, transport_api_version: "
     "V3, cluster_names: [x]}}}}",
     "dynamic_resources.cds_config: api_config_source.refresh_delay is required for REST API "
     "configuration sources"},
    {"{" TWO_SERVERS ", " CLUSTERS(XDS_CLUSTER) "}",
     "dynamic_resources.ads_config.grpc_services: more than one needs the runtime key "
     "envoy.restart_features.xds_failover_support"},
    {"{dynamic_resources: {cds_config: {api_config_source: {api_type: GRPC, "
     "transport_api_version: V3, grpc_services: [" XDS ", " XDS "]}}}, " CLUSTERS(XDS_CLUSTER) "}",
     "dynamic_resources.cds_config: api_config_source.grpc_services: more than one is for "
     "ads_config alone"},
    {"{dynamic_resources: {cds_config: {path_config_source: {path: /x}}}}",
     "dynamic_resources.cds_config: paths must refer to an existing path in the system: '/x' does "
     "not exist"},
    {"{dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V2, "
     "grpc_services: [{envoy_grpc: {cluster_name: xds}}]}}}",
     "transport_api_version"},
    {"{" CLUSTERS("{name: a}, {name: a}") "}",
     "static_resources.clusters[1]: cluster manager: duplicate cluster 'a'"},
    {"{" CLUSTERS("{name: a, lb_policy: MAGLEV}") "}", "static_resources.clusters[0]: "},
    {"{" LISTENERS(TCP("name: a, ", "1") ", " TCP("name: b, ", "1")) "}",
     "static_resources.listeners[1]: error adding listener: 'b' has duplicate address "
     "'127.0.0.1:1' as existing listener"},
    {"{" LISTENERS(TCP("name: a, ", "1") ", " TCP("name: a, ", "2")) "}",
     "static_resources.listeners[1]: error adding listener: there are two listeners named 'a'"},
    {"{admin: {address: {socket_address: {address: nowhere, port_value: 1}}}}",
     "admin.address: socket_address.address: malformed IP address: nowhere"},
};

START_TEST(refuses)
{
    const char *text = load(bad[_i].yaml);
    ck_assert_msg(strstr(text, bad[_i].words) != NULL, "%s\n got: %s\nwant: %s", bad[_i].yaml, text,
                  bad[_i].words);
}
END_TEST

START_TEST(t11_a_second_server_by_the_runtime_key)
{
    ck_assert_str_eq(
        load("{" TWO_SERVERS ", layered_runtime: {layers: [{name: s, static_layer: {"
             "envoy.restart_features.xds_failover_support: true}}]}, " CLUSTERS(XDS_CLUSTER) "}"),
        "");
    ck_assert_uint_eq(config->ads.api.n_services, 2);
}
END_TEST

START_TEST(listeners_without_a_name)
{
    ck_assert_str_eq(load("{" LISTENERS(TCP("", "1") ", " TCP("", "2")) "}"), "");
    builder_start(f.builder, NULL, NULL);
    ck_assert(f.initialised);
    ck_assert_uint_eq(builder_snapshot(f.builder)->listeners.count, 2);
}
END_TEST

START_TEST(control_cluster_may_speak_http2)
{
    ck_assert_str_eq(load("{" ADS ", " CLUSTERS(XDS_CLUSTER) "}"), "");
    builder_start(f.builder, &config->cds, &config->lds);
    ck_assert_str_eq(fixture_log(&f), "dns xds;");
    struct address a = address_ipv4(127, 0, 0, 1, 0);
    builder_dns_update(f.builder, BYTES("xds"), f.dns_generation, 0, true, &a, 1);
    builder_commit(f.builder);
    ck_assert_str_eq(fixture_log(&f), "publish 1;want cds *;done;");
    const struct cluster *c = fixture_cluster(&f, "xds")->cluster;
    ck_assert_int_eq(c->protocol, UPSTREAM_HTTP2);
    ck_assert_uint_eq(c->h2_keepalive_timeout_ms, 5000);
    ck_assert(fixture_expire(&f)); /* CDS */
    ck_assert(fixture_expire(&f)); /* LDS */
    ck_assert(f.initialised);
}
END_TEST

/* Its secret comes by a cluster that stands behind it in the list; an EDS one would not do. */
#define SECRET_FROM(cluster)                                                                       \
    "{name: a, transport_socket: {name: tls, typed_config: {'@type': type.googleapis.com/"         \
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {"          \
    "tls_certificate_sds_secret_configs: [{name: s, sds_config: {resource_api_version: V3, "       \
    "api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: " \
    "{cluster_name: " cluster "}}]}}}]}}}}"

START_TEST(clusters_may_stand_in_any_order)
{
    ck_assert_str_eq(load("{" CLUSTERS(SECRET_FROM("xds") ", " XDS_CLUSTER) "}"), "");
}
END_TEST

START_TEST(the_cluster_of_secrets_must_be_there)
{
    const char *said =
        load("{" CLUSTERS(SECRET_FROM("eds") ", {name: eds, type: EDS, "
                                             "eds_cluster_config: {eds_config: {ads: {}}}}") "}");
    ck_assert_msg(strstr(said, "must have a statically defined non-EDS cluster: 'eds'") != NULL,
                  "%s", said);
}
END_TEST

#define MONITORS(...) "{overload_manager: {resource_monitors: [" __VA_ARGS__ "]}}"
#define CONNECTIONS(max)                                                                           \
    "{name: c, typed_config: {'@type': type.googleapis.com/envoy.extensions.resource_monitors."    \
    "downstream_connections.v3.DownstreamConnectionsConfig, "                                      \
    "max_active_downstream_connections: " max "}}"
#define HEAP                                                                                       \
    "{name: h, typed_config: {'@type': type.googleapis.com/envoy.extensions.resource_monitors."    \
    "fixed_heap.v3.FixedHeapConfig, max_heap_size_bytes: 1000000}}"

#define OLD_LIMIT                                                                                  \
    "{layered_runtime: {layers: [{name: x, static_layer: {overload: "                              \
    "{global_downstream_max_connections: 9}}}]}"

START_TEST(reads_the_limit_of_connections)
{
    ck_assert_str_eq(load("{}"), "");
    ck_assert_uint_eq(config->overload.max_connections, UINT64_MAX);
    ck_assert_str_eq(load(MONITORS(HEAP ", " CONNECTIONS("7"))), "");
    ck_assert_uint_eq(config->overload.max_connections, 7);
    ck_assert_str_eq(load(MONITORS(CONNECTIONS("7") ", " CONNECTIONS("8"))),
                     "overload_manager.resource_monitors[1]: Duplicate resource monitor c");
    ck_assert_str_eq(load(MONITORS(CONNECTIONS("-1"))),
                     "overload_manager.resource_monitors[0]: typed_config."
                     "max_active_downstream_connections: value must be greater than 0");
    ck_assert_str_eq(load(OLD_LIMIT "}"), "");
    ck_assert_uint_eq(config->overload.max_connections, 9);
    ck_assert_uint_eq(runtime_listener_connection_limit(&config->runtime, BYTES("a")), UINT64_MAX);
    ck_assert_str_eq(
        load(OLD_LIMIT ", overload_manager: {resource_monitors: [" CONNECTIONS("7") "]}}"), "");
    ck_assert_uint_eq(config->overload.max_connections, 7);
}
END_TEST

#define LAYERS(...) "{layered_runtime: {layers: [" __VA_ARGS__ "]}}"
#define LAYER(name, values) "{name: " name ", static_layer: " values "}"
#define LIMIT(name) "envoy.resource_limits.listener." name ".connection_limit"

static uint64_t limit_of(const char *listener)
{
    return runtime_listener_connection_limit(&config->runtime, bytes_of(listener));
}

START_TEST(reads_runtime_layers)
{
    ck_assert_str_eq(
        load(LAYERS(LAYER("base", "{" LIMIT("a.b") ": 5, " LIMIT("c") ": 6.9}") ", " LAYER(
            "above", "{envoy: {resource_limits: {listener: {a.b: {connection_limit: 0}}}}}"))),
        "");
    ck_assert_uint_eq(limit_of("a.b"), 0); /* the later layer, nested */
    ck_assert_uint_eq(limit_of("c"), 6);
    ck_assert_uint_eq(limit_of("d"), UINT64_MAX);
    ck_assert_str_eq(
        load(LAYERS(LAYER("x", "{" LIMIT("a") ": -1}"))),
        "layered_runtime.layers[0].static_layer." LIMIT("a") ": expected a number from 0 on");
    ck_assert_str_eq(load(LAYERS(LAYER("x", "{}") ", " LAYER("x", "{}"))),
                     "layered_runtime.layers[1].name: Duplicate layer name: x");
    ck_assert_str_eq(load(LAYERS(LAYER("x", "{some.other.key: 1}"))), "");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("static_load");
    TCase *t = tcase_create("static_load");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, who_may_reach_the_admin_address);
    tcase_add_test(t, reads_a_bootstrap);
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_SIZE(bad));
    tcase_add_test(t, t11_a_second_server_by_the_runtime_key);
    tcase_add_test(t, listeners_without_a_name);
    tcase_add_test(t, reads_the_limit_of_connections);
    tcase_add_test(t, reads_runtime_layers);
    tcase_add_test(t, control_cluster_may_speak_http2);
    tcase_add_test(t, clusters_may_stand_in_any_order);
    tcase_add_test(t, the_cluster_of_secrets_must_be_there);
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
