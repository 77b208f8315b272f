#include <check.h>
#include <stdlib.h>

#include "config/field_report.h"
#include "config_fixture.h"

static struct fixture f;
static struct cluster *last;

static void setup(void)
{
    fixture_init(&f);
}

static void teardown(void)
{
    NODE_UNREF(&last);
    fixture_fini(&f);
}

static const char *decode(const char *yaml)
{
    struct error err = ERROR_INIT;
    NODE_UNREF(&last);
    last = cluster_decode(builder_decode_context(f.builder),
                          fixture_wire(&f, "envoy.config.cluster.v3.Cluster", yaml), &err);
    char *text = arena_str(f.arena, bytes_of(error_text(&err)));
    ck_assert(!last == error_is_set(&err));
    error_fini(&err);
    return text;
}

#define ADDRESS(host, port) "{socket_address: {address: " host ", port_value: " port "}}"
#define ONE(host, port)                                                                            \
    "load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: "                   \
    "{address: " ADDRESS(host, port) "}}]}]}"
#define OPTIONS(more)                                                                              \
    "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: "  \
    "{'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, " more  \
    "}}"
#define RESOLVER(type, more)                                                                       \
    "typed_dns_resolver_config: {name: r, typed_config: {'@type': "                                \
    "type.googleapis.com/envoy.extensions.network.dns_resolver." type more "}}"
#define CARES(more) RESOLVER("cares.v3.CaresDnsResolverConfig", more)
#define DNS_CLUSTER(more)                                                                          \
    "cluster_type: {name: envoy.clusters.dns, typed_config: {'@type': "                            \
    "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster" more "}}"
#define LB(name, type, more)                                                                       \
    "load_balancing_policy: {policies: [{typed_extension_config: {name: " name                     \
    ", typed_config: {'@type': type.googleapis.com/envoy.extensions.load_balancing_policies." type \
        more "}}}]}"

#define SOURCE(host, more)                                                                         \
    "upstream_bind_config: {source_address: {address: " host ", port_value: 0}" more "}"
#define EXTRA(host) ", extra_source_addresses: [{address: {address: " host ", port_value: 0}}]"

/* What is refused, and the words that the sentence must hold. */
#define SOCKET_INPUT                                                                               \
    "type.googleapis.com/envoy.extensions.matching.common_inputs.transport_socket.v3."
#define MATCHER(more) "{name: c, transport_socket_matcher: {" more "}}"
#define ONCE(more) "on_no_match: {matcher: {" more "}}"
#define NEST(more) ONCE(ONCE(ONCE(ONCE(more))))

static const struct {
    const char *yaml, *words;
} bad[] = {
    {"{}", "name: value length must be at least 1 characters"},
    {"{name: c, type: ORIGINAL_DST}", "type: ORIGINAL_DST is not implemented"},
    {"{name: c, cluster_type: {name: envoy.clusters.aggregate}}", "cluster_type"},
    {"{name: c, type: EDS}", "cannot create an EDS cluster without an EDS config"},
    {"{name: c, type: EDS, eds_cluster_config: {}}",
     "cannot create an EDS cluster without an EDS config"},
    {"{name: c, eds_cluster_config: {eds_config: {ads: {}}}}",
     "eds_cluster_config set in a non-EDS cluster"},
    {"{name: c, type: EDS, eds_cluster_config: {eds_config: {}}}", "eds_config"},
    {"{name: c, type: EDS, eds_cluster_config: {eds_config: {api_config_source: {api_type: GRPC, "
     "transport_api_version: V2, grpc_services: [{envoy_grpc: {cluster_name: x}}]}}}}",
     "transport_api_version"},
    {"{name: c, type: EDS, eds_cluster_config: {eds_config: {api_config_source: {api_type: GRPC, "
     "transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: x}}]}}}}",
     "must have a statically defined non-EDS cluster: 'x' does not exist"},
    {"{name: c, type: EDS, eds_cluster_config: {eds_config: {api_config_source: {api_type: REST, "
     "transport_api_version: V3, cluster_names: [x]}}}}",
     "REST"},
    {MATCHER("matcher_tree: {input: {name: i, typed_config: {'@type': " SOCKET_INPUT
             "FilterStateInput, key: k}}, exact_match_map: {map: {a: {matcher: {}}}}}"),
     "transport_socket_matcher.matcher_tree.input: FilterStateInput is not implemented"},
    {MATCHER("on_no_match: {keep_matching: true, matcher: {}}"), "keep_matching"},
    {MATCHER("matcher_tree: {input: {name: i, typed_config: {'@type': " SOCKET_INPUT
             "EndpointMetadataInput}}, custom_match: {name: c}}"),
     "custom_match"},
    {MATCHER(NEST(NEST(NEST(NEST(NEST("")))))), "nested more than 16 deep"},
    {"{name: c, lb_policy: RING_HASH}", "RING_HASH is not implemented"},
    {"{name: c, lb_policy: MAGLEV}", "MAGLEV is not implemented"},
    {"{name: c, lb_policy: CLUSTER_PROVIDED}",
     "cluster provided LB specified but cluster 'c' did not provide one"},
    {"{name: c, common_lb_config: {zone_aware_lb_config: {}}, " LB("a", "random.v3.Random", "") "}",
     "cannot be combined with load_balancing_policy"},
    {"{name: c, common_lb_config: {consistent_hashing_lb_config: {}}, " LB("a", "random.v3.Random",
                                                                           "") "}",
     "cannot be combined with load_balancing_policy"},
    {"{name: c, common_http_protocol_options: {max_stream_duration: -1s}}", "max_stream_duration"},
    {"{name: c, lb_policy: LOAD_BALANCING_POLICY_CONFIG}", "load_balancing_policy need to be set"},
    {"{name: c, " LB("mine", "maglev.v3.Maglev", "") "}",
     "didn't find a registered load balancer factory implementation for cluster: 'c' with names "
     "from [mine]"},
    {"{name: c, lb_subset_config: {}}", "lb_subset_config"},
    {"{name: c, common_lb_config: {locality_weighted_lb_config: {}}}",
     "locality_weighted_lb_config"},
    {"{name: c, common_lb_config: {update_merge_window: -1s}}", "update_merge_window"},
    {"{name: c, circuit_breakers: {per_host_thresholds: [{max_connections: 1}, {max_retries: 1}]}}",
     "per_host_thresholds[1].max_retries"},
    {"{name: c, circuit_breakers: {per_host_thresholds: [{max_requests: 1}]}}", "max_requests"},
    {"{name: c, circuit_breakers: {per_host_thresholds: [{retry_budget: {}}]}}", "retry_budget"},
    {"{name: c, circuit_breakers: {per_host_thresholds: [{max_pending_requests: 1}]}}",
     "max_pending_requests"},
    {"{name: c, circuit_breakers: {per_host_thresholds: [{max_connection_pools: 1}]}}",
     "max_connection_pools"},
    {"{name: c, " SOURCE("127.0.0.1", EXTRA("127.0.0.2")) "}",
     "upstream_bind_config.extra_source_addresses[0]: expected the other version of IP"},
    {"{name: c, " SOURCE("127.0.0.1", EXTRA("'::1'") ", additional_source_addresses: [{address: "
                                                     "'::1', port_value: 0}]") "}",
     "extra_source_addresses and additional_source_addresses"},
    {"{name: c, " SOURCE("127.0.0.1", ", additional_source_addresses: [{address: '::1', port_value:"
                                      " 0}, {address: '::1', port_value: 0}]") "}",
     "additional_source_addresses: expected at most one address"},
    {"{name: c, upstream_bind_config: {extra_source_addresses: [{address: {address: '::1', "
     "port_value: 0}}]}}",
     "extra_source_addresses: expected a source_address, too"},
    {"{name: c, " SOURCE("127.0.0.1", EXTRA("a.test")) "}",
     "upstream_bind_config.extra_source_addresses[0]: socket_address.address: malformed"},
    {"{name: c, connect_timeout: 0s}", "connect_timeout: value must be greater than 0s"},
    {"{name: c, connect_timeout: -1s}", "connect_timeout"},
    {"{name: c, transport_socket: {name: tls, typed_config: {'@type': "
     "type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport}}}",
     "transport_socket"},
    {"{name: c, transport_socket_matches: [{name: x, transport_socket: {name: what}}]}",
     "transport_socket_matches[0].transport_socket: Didn't find a registered implementation"},
    {"{name: c, filters: [{name: x}]}", "filters"},
    {"{name: c, " ONE("a.test", "80") "}",
     "load_assignment: endpoints[0].lb_endpoints[0].endpoint.address: socket_address.address: "
     "malformed IP address: a.test. Consider setting resolver_name or setting "
     "cluster type to 'STRICT_DNS' or 'LOGICAL_DNS'"},
    {"{name: c, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: "
     "{address: "
     "" ADDRESS("1.2.3.4", "1") ", additional_addresses: [{address: " ADDRESS("a.test",
                                                                              "1") "}]}}]}]}}",
     "load_assignment: endpoints[0].lb_endpoints[0].endpoint.additional_addresses[0].address: "
     "socket_address.address: malformed IP address: a.test. Consider"},
    {"{name: c, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: "
     "{address: "
     "" ADDRESS("1.2.3.4", "1") ", additional_addresses: [{}]}}]}]}}",
     "endpoint.additional_addresses[0].address is missing"},
    {"{name: c, " ONE("1.2.3.4", "70000") "}", "port_value"},
    {"{name: c, type: LOGICAL_DNS}", "LOGICAL_DNS clusters must have a single host"},
    {"{name: c, type: LOGICAL_DNS, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: "
     "[{endpoint: {address: " ADDRESS("a", "1") "}}, {endpoint: {address: " ADDRESS("b",
                                                                                    "1") "}}]}]}}",
     "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint"},
    {"{name: c, load_assignment: {cluster_name: c, endpoints: [{priority: 129}]}}", "priority"},
    {"{name: c, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint_name: "
     "x}]}]}}",
     "endpoint"},
    {"{name: c, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: ["
     "{endpoint: {address: " ADDRESS("1.1.1.1", "1") "}, load_balancing_weight: 4294967295}, "
                                                     "{endpoint: {address: " ADDRESS(
                                                         "1.1.1.2",
                                                         "1") "}, load_balancing_weight: 1}]}]}}",
     "The sum of weights of all endpoints in the locality must not exceed uint32_t max"},
    {"{name: c, load_assignment: {cluster_name: c, endpoints: [{load_balancing_weight: "
     "4294967295}, {load_balancing_weight: 1, locality: {zone: a}}]}}",
     "The sum of weights of all localities at the same priority exceeds 4294967295"},
    {"{name: c, load_assignment: {cluster_name: c, policy: {drop_overloads: [{category: x}]}}}",
     "drop_overloads"},
    {"{name: c, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: "
     "{address: {envoy_internal_address: {server_listener_name: x}}}}]}]}}",
     "internal"},
    {"{name: c, http_protocol_options: {}, http2_protocol_options: {}}",
     "Both HTTP1 and HTTP2 options may only be configured"},
    {"{name: c, http2_protocol_options: {allow_metadata: true}}", "allow_metadata"},
    {"{name: c, " OPTIONS("use_downstream_protocol_config: {http3_protocol_options: {}}") "}",
     "http3_protocol_options"},
    {"{name: c, " OPTIONS("explicit_http_config: {http3_protocol_options: {}}") "}",
     "http3_protocol_options"},
    {"{name: c, " OPTIONS("auto_config: {}") "}", "ALPN configured for cluster c"},
    {"{name: c, typed_extension_protocol_options: {x: {'@type': "
     "type.googleapis.com/google.protobuf.StringValue, value: a}}}",
     "x"},
    {"{name: c, type: STRICT_DNS, dns_refresh_rate: 1s, dns_failure_refresh_rate: "
     "{base_interval: 5s, max_interval: 1s}}",
     "dns_failure_refresh_rate must have max_interval greater than or equal to the base_interval"},
    {"{name: c, " DNS_CLUSTER(
         ", dns_failure_refresh_rate: {base_interval: 5s, max_interval: 1s}") "}",
     "cluster_type.typed_config.dns_failure_refresh_rate must have max_interval greater than"},
    {"{name: c, " DNS_CLUSTER(", dns_refresh_rate: 0s") "}", "dns_refresh_rate"},
    {"{name: c, " DNS_CLUSTER(", all_addresses_in_single_endpoint: true") "}",
     "LOGICAL_DNS clusters must have a single host"},
    {"{name: c, " DNS_CLUSTER(", " RESOLVER("apple.v3.AppleDnsResolverConfig", "")) "}",
     "cluster_type.typed_config.typed_dns_resolver_config: 'r'"},
    {"{name: c, cluster_type: {name: x, typed_config: {'@type': "
     "type.googleapis.com/envoy.extensions."
     "clusters.aggregate.v3.ClusterConfig, clusters: [a]}}}",
     "cluster_type: 'x' with type URL 'type.googleapis.com/envoy.extensions.clusters.aggregate.v3."
     "ClusterConfig' is not implemented"},
    {"{name: c, type: STRICT_DNS, " CARES(", resolvers: [{pipe: {path: /x}}]") "}",
     "typed_dns_resolver_config.resolvers[0]: expected socket_address"},
    {"{name: c, type: STRICT_DNS, " CARES(
         ", resolvers: [" ADDRESS("1.1.1.1", "1") ", " ADDRESS("dns.test", "53") "]") "}",
     "typed_dns_resolver_config.resolvers[1]: malformed IP address: dns.test"},
    {"{name: c, type: STRICT_DNS, " CARES(", resolvers: [{socket_address: {address: 1.1.1.1, "
                                          "named_port: dns}}]") "}",
     "named_port"},
    {"{name: c, type: STRICT_DNS, " CARES(", query_tries: 0") "}", "query_tries"},
    {"{name: c, type: STRICT_DNS, dns_resolution_config: {resolvers: [" ADDRESS("x", "53") "]}}",
     "dns_resolution_config.resolvers[0]: malformed IP address: x"},
    {"{name: c, type: STRICT_DNS, " RESOLVER("getaddrinfo.v3.GetAddrInfoDnsResolverConfig", "") "}",
     "typed_dns_resolver_config: 'r' with type URL 'type.googleapis.com/envoy.extensions.network."
     "dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig' is not implemented"},
    {"{name: c, upstream_bind_config: {source_address: {address: nowhere, port_value: 0}}}",
     "upstream_bind_config"},
};

START_TEST(refuses)
{
    const char *text = decode(bad[_i].yaml);
    ck_assert_msg(last == NULL, "accepted: %s", bad[_i].yaml);
    ck_assert_msg(strstr(text, bad[_i].words) != NULL, "%s\n got: %s\nwant: %s", bad[_i].yaml, text,
                  bad[_i].words);
}
END_TEST

START_TEST(has_envoys_defaults)
{
    ck_assert_str_eq(decode("{name: 'a:b://c'}"), "");
    ck_assert(bytes_eq_str(last->stat_name, "a_b_c"));
    ck_assert_int_eq(last->type, CLUSTER_STATIC);
    ck_assert_int_eq(last->lb_policy, LB_ROUND_ROBIN);
    ck_assert_uint_eq(last->connect_timeout_ms, 5000);
    ck_assert_uint_eq(last->buffer_limit, 1048576);
    ck_assert_uint_eq(last->breakers[PRIORITY_HIGH].max_connections, 1024);
    ck_assert_uint_eq(last->breakers[PRIORITY_DEFAULT].max_retries, 3);
    ck_assert_uint_eq(last->idle_timeout_ms, 3600000);
    ck_assert_uint_eq(last->dns_refresh_ms, 5000);
    ck_assert_uint_eq(last->max_response_headers_kb, 0);
    ck_assert(last->wait_for_warm_on_init);
    ck_assert_double_eq(last->healthy_panic_threshold, 50);
    ck_assert_uint_eq(last->inline_hosts->n_hosts, 0);
    ck_assert_uint_eq(last->inline_hosts->n_priorities, 1);
}
END_TEST

START_TEST(reads_what_is_set)
{
    ck_assert_str_eq(
        decode(
            "{name: c, alt_stat_name: s, connect_timeout: 0.25s, lb_policy: LEAST_REQUEST, "
            "least_request_lb_config: {choice_count: 5, active_request_bias: {default_value: 2, "
            "runtime_key: k}}, circuit_breakers: {thresholds: [{priority: HIGH, max_requests: 7}, "
            "{max_connections: 1, retry_budget: {budget_percent: {value: 7.5}}}, {max_connections: "
            "9}]}, max_requests_per_connection: 3, "
            "common_lb_config: {healthy_panic_threshold: {value: 0}}, per_connection_buffer_limit"
            "_bytes: 100, upstream_bind_config: {source_address: {address: 127.0.0.6, "
            "port_value: 0}}, upstream_connection_options: {tcp_keepalive: {keepalive_time: 9}}}"),
        "");
    ck_assert(bytes_eq_str(last->stat_name, "s"));
    ck_assert_uint_eq(last->connect_timeout_ms, 250);
    ck_assert_int_eq(last->lb_policy, LB_LEAST_REQUEST);
    ck_assert_uint_eq(last->least_request_choices, 5);
    ck_assert_double_eq(last->active_request_bias, 2);
    ck_assert_uint_eq(last->breakers[PRIORITY_HIGH].max_requests, 7);
    ck_assert_uint_eq(last->breakers[PRIORITY_DEFAULT].max_connections, 1);
    ck_assert(last->breakers[PRIORITY_DEFAULT].has_budget &&
              !last->breakers[PRIORITY_HIGH].has_budget);
    ck_assert_double_eq(last->breakers[PRIORITY_DEFAULT].budget_percent, 7.5);
    ck_assert_uint_eq(last->breakers[PRIORITY_DEFAULT].min_retries_at_once, 3);
    ck_assert_uint_eq(last->max_requests_per_connection, 3);
    ck_assert_double_eq(last->healthy_panic_threshold, 0);
    ck_assert(last->has_bind_address && last->keepalive);
    ck_assert_uint_eq(last->keepalive_time_s, 9);
}
END_TEST

START_TEST(reads_the_resolver)
{
    char text[ADDRESS_TEXT_MAX];
    ck_assert_str_eq(decode("{name: c, type: STRICT_DNS}"), "");
    ck_assert_ptr_null(last->dns_options);
    ck_assert_str_eq(decode("{name: c, type: STRICT_DNS, use_tcp_for_dns_lookups: true}"), "");
    ck_assert_ptr_null(last->dns_options);
    ck_assert_str_eq(decode("{name: c, type: LOGICAL_DNS, typed_dns_resolver_config: {name: r, "
                            "typed_config: {}}, " ONE("a", "1") "}"),
                     "");
    ck_assert_ptr_null(last->dns_options); /* as Envoy: it belongs to dns_resolvers */
    ck_assert_str_eq(
        decode("{name: c, type: STRICT_DNS, " CARES(
            ", resolvers: [{socket_address: {protocol: UDP, address: 10.0.0.1, port_value: 53}}, "
            "{socket_address: {address: '::1', port_value: 5353}}], use_resolvers_as_fallback: "
            "true, filter_unroutable_families: true, rotate_nameservers: true, "
            "reinit_channel_on_timeout: true, query_timeout_seconds: 3, query_tries: 2, "
            "edns0_max_payload_size: 1232, max_udp_channel_duration: 60s, dns_resolver_options: "
            "{use_tcp_for_dns_lookups: true, no_default_search_domain: true}") "}"),
        "");
    const struct dns_options *o = last->dns_options;
    ck_assert_uint_eq(o->n_servers, 2);
    ck_assert_str_eq(address_format(&o->servers[0], text), "10.0.0.1:53");
    ck_assert_str_eq(address_format(&o->servers[1], text), "[::1]:5353");
    ck_assert(o->servers_are_fallback && o->filter_unroutable && o->rotate &&
              o->reopen_on_timeout && o->use_tcp && o->no_search && !o->no_hosts_file);
    ck_assert_uint_eq(o->timeout_ms, 3000);
    ck_assert_uint_eq(o->tries, 2);
    ck_assert_uint_eq(o->edns_size, 1232);
    ck_assert_uint_eq(o->max_age_ms, 60000);
}
END_TEST

START_TEST(reads_the_extension_of_names)
{
    ck_assert_str_eq(
        decode("{name: c, dns_refresh_rate: 9s, respect_dns_ttl: true, " DNS_CLUSTER("") "}"), "");
    ck_assert_int_eq(last->type, CLUSTER_STRICT_DNS);
    ck_assert_int_eq(last->dns_family, DNS_AUTO);
    ck_assert_uint_eq(last->dns_refresh_ms, 5000); /* the fields of Cluster do not count */
    ck_assert(!last->respect_dns_ttl);
    ck_assert_uint_eq(last->dns_failure_refresh_base_ms, 5000);
    ck_assert_ptr_null(last->dns_options);
    ck_assert_str_eq(
        decode("{name: c, " ONE("a", "1") ", " DNS_CLUSTER(
            ", all_addresses_in_single_endpoint: true, dns_lookup_family: ALL, respect_dns_ttl: "
            "true, dns_refresh_rate: 2s, dns_jitter: 1s, dns_failure_refresh_rate: "
            "{base_interval: 3s}, " CARES(", query_tries: 7")) "}"),
        "");
    ck_assert_int_eq(last->type, CLUSTER_LOGICAL_DNS);
    ck_assert_int_eq(last->dns_family, DNS_ALL);
    ck_assert_uint_eq(last->dns_refresh_ms, 2000);
    ck_assert_uint_eq(last->dns_jitter_ms, 1000);
    ck_assert_uint_eq(last->dns_failure_refresh_base_ms, 3000);
    ck_assert_uint_eq(last->dns_failure_refresh_max_ms, 30000);
    ck_assert_uint_eq(last->dns_options->tries, 7);
    ck_assert(last->respect_dns_ttl);
}
END_TEST

/* Clusters whose resolvers mean the same share one, whatever says it. */
START_TEST(equal_resolvers_have_equal_keys)
{
    static const char *const equal[] = {
        "{name: c, type: STRICT_DNS, dns_resolvers: [" ADDRESS("10.0.0.1", "53") "]}",
        "{name: c, type: STRICT_DNS, dns_resolution_config: {resolvers: [" ADDRESS("10.0.0.1",
                                                                                   "53") "]}}",
        "{name: c, type: STRICT_DNS, " CARES(", resolvers: [" ADDRESS("10.0.0.1", "53") "]") "}",
    };
    static const char *const other[] = {
        "{name: c, type: STRICT_DNS, dns_resolvers: [" ADDRESS("10.0.0.1", "54") "]}",
        "{name: c, type: STRICT_DNS, use_tcp_for_dns_lookups: true, dns_resolvers: [" ADDRESS(
            "10.0.0.1", "53") "]}",
        "{name: c, type: STRICT_DNS, " CARES(
            ", query_tries: 2, resolvers: [" ADDRESS("10.0.0.1", "53") "]") "}",
    };
    ck_assert_str_eq(decode(equal[0]), "");
    struct bytes key = arena_dup(f.arena, last->dns_options->key);
    for (size_t i = 0; i < ARRAY_SIZE(equal); i++) {
        ck_assert_str_eq(decode(equal[i]), "");
        ck_assert(bytes_eq(last->dns_options->key, key));
    }
    for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
        ck_assert_str_eq(decode(other[i]), "");
        ck_assert(!bytes_eq(last->dns_options->key, key));
    }
}
END_TEST

/* Envoy takes 1 for a bias that cannot be. */
START_TEST(a_bias_that_is_none)
{
#define BIAS(value)                                                                                \
    "{name: c, lb_policy: LEAST_REQUEST, least_request_lb_config: {active_request_bias: "          \
    "{default_value: " value ", runtime_key: k}}}"
    static const char *const odd[] = {BIAS("-1"), BIAS("NaN"), BIAS("-Infinity")};
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        ck_assert_str_eq(decode(odd[i]), "");
        ck_assert_double_eq(last->active_request_bias, 1);
    }
#undef BIAS
}
END_TEST

START_TEST(takes_the_first_policy_it_knows)
{
    ck_assert_str_eq(
        decode("{name: c, load_balancing_policy: {policies: [{typed_extension_config: {name: a, "
               "typed_config: {'@type': type.googleapis.com/envoy.extensions.load_balancing_"
               "policies.maglev.v3.Maglev}}}, {typed_extension_config: {name: b, typed_config: "
               "{'@type': type.googleapis.com/envoy.extensions.load_balancing_policies.random.v3."
               "Random}}}]}}"),
        "");
    ck_assert_int_eq(last->lb_policy, LB_RANDOM);
    ck_assert_str_eq(
        decode("{name: c, " LB("x", "least_request.v3.LeastRequest", ", choice_count: 4") "}"), "");
    ck_assert_uint_eq(last->least_request_choices, 4);
    ck_assert(!last->least_request_scan);
    ck_assert_str_eq(decode("{name: c, " LB("x", "least_request.v3.LeastRequest",
                                            ", selection_method: FULL_SCAN") "}"),
                     "");
    ck_assert(last->least_request_scan);
}
END_TEST

START_TEST(reads_http2_options)
{
    ck_assert_str_eq(decode("{name: c, http2_protocol_options: {max_concurrent_streams: 3}}"), "");
    ck_assert_uint_eq(last->http2->max_concurrent_streams, 3);
    ck_assert_str_eq(
        decode("{name: c, " OPTIONS("use_downstream_protocol_config: {http_protocol_options: {}, "
                                    "http2_protocol_options: {}}") "}"),
        "");
    ck_assert_int_eq(last->protocol, UPSTREAM_DOWNSTREAM);
    ck_assert_str_eq(decode("{name: c, protocol_selection: USE_DOWNSTREAM_PROTOCOL, "
                            "http_protocol_options: {}, http2_protocol_options: {}}"),
                     "");
    ck_assert_int_eq(last->protocol, UPSTREAM_DOWNSTREAM);
}
END_TEST

START_TEST(reads_protocol_options)
{
    builder_decode_context(f.builder)->is_static = true;
    ck_assert_str_eq(
        decode("{name: c, " OPTIONS("common_http_protocol_options: {idle_timeout: 1s, "
                                    "max_requests_per_connection: 2}, explicit_http_config: "
                                    "{http2_protocol_options: {connection_keepalive: {interval: "
                                    "30s, timeout: 5s}}}") "}"),
        "");
    ck_assert_int_eq(last->protocol, UPSTREAM_HTTP2);
    ck_assert_uint_eq(last->h2_keepalive_interval_ms, 30000);
    ck_assert_uint_eq(last->http2->keepalive_interval_ms, 30000);
    ck_assert_uint_eq(last->idle_timeout_ms, 1000);
    ck_assert_uint_eq(last->max_requests_per_connection, 2);
    ck_assert_str_eq(decode("{name: c, " OPTIONS("explicit_http_config: {http_protocol_options: "
                                                 "{enable_trailers: true}}") "}"),
                     "");
    ck_assert(last->enable_trailers && last->protocol == UPSTREAM_HTTP1);
}
END_TEST

static const char endpoints[] =
    "{name: c, load_assignment: {cluster_name: c, policy: {overprovisioning_factor: 100}, "
    "endpoints: [{locality: {region: r, zone: z}, lb_endpoints: ["
    "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}, hostname: h, "
    "additional_addresses: [{address: {socket_address: {address: '::1', port_value: 9}}}]}, "
    "load_balancing_weight: 4}, "
    "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 2}}}, "
    "health_status: UNHEALTHY}, "
    "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 3}}}, "
    "health_status: DRAINING}, "
    "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 4}}}, "
    "health_status: DEGRADED}, "
    "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}, "
    "{priority: 1, lb_endpoints: [{endpoint: {address: {pipe: {path: /tmp/x}}}, "
    "health_status: DEGRADED}]}]}}";

START_TEST(reads_endpoints)
{
    ck_assert_str_eq(decode(endpoints), "");
    const struct host_set *hs = last->inline_hosts;
    ck_assert_uint_eq(hs->n_hosts, 6); /* that which stands twice is two */
    ck_assert_uint_eq(hs->n_priorities, 2);
    ck_assert_uint_eq(hs->overprovisioning_factor, 100);
    ck_assert_uint_eq(hs->priorities[0].n_hosts, 5);
    ck_assert_uint_eq(hs->priorities[1].n_hosts, 1);
    ck_assert_uint_eq(hs->hosts[0].weight, 4);
    ck_assert(bytes_eq_str(host_name(&hs->hosts[0]), "h"));
    ck_assert(bytes_eq_str(hs->localities[0].zone, "z"));
    unsigned n_others;
    const struct address *others = host_others(&hs->hosts[0], &n_others);
    ck_assert_uint_eq(n_others, 1);
    ck_assert_uint_eq(others[0].port, 9);
    ck_assert_ptr_null(host_others(&hs->hosts[1], &n_others));
    struct host_set_counts n = host_set_count(hs);
    ck_assert_uint_eq(n.total, 6);
    ck_assert_uint_eq(n.healthy, 2);
    ck_assert_uint_eq(n.degraded, 2);
    ck_assert_uint_eq(n.excluded, 1);
    ck_assert_uint_eq(n.max_weight, 4);
}
END_TEST

START_TEST(endpoints_of_an_eds_cluster_come_from_elsewhere)
{
    static const char yaml[] = "{name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}, "
                               "load_assignment: {cluster_name: c}}";
    struct decode_context *ctx = builder_decode_context(f.builder);
    struct field_report report = FIELD_REPORT_INIT;
    ctx->report = &report;
    ck_assert_str_eq(decode(yaml), "");
    ck_assert_ptr_null(last->inline_hosts);
    ck_assert_str_eq(report.entries[0].path, "Cluster 'c': load_assignment");
    ctx->strict = true;
    ck_assert_str_eq(decode(yaml), "load_assignment: the endpoints of an EDS cluster come by "
                                   "eds_config, and strict mode refuses others");
    ctx->report = NULL;
    field_report_fini(&report);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cluster_decode");
    TCase *t = tcase_create("cluster_decode");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_SIZE(bad));
    tcase_add_test(t, has_envoys_defaults);
    tcase_add_test(t, reads_what_is_set);
    tcase_add_test(t, reads_the_resolver);
    tcase_add_test(t, reads_the_extension_of_names);
    tcase_add_test(t, equal_resolvers_have_equal_keys);
    tcase_add_test(t, a_bias_that_is_none);
    tcase_add_test(t, takes_the_first_policy_it_knows);
    tcase_add_test(t, reads_protocol_options);
    tcase_add_test(t, reads_http2_options);
    tcase_add_test(t, reads_endpoints);
    tcase_add_test(t, endpoints_of_an_eds_cluster_come_from_elsewhere);
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
