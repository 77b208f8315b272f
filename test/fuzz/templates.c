#include "config_world.h"

#define HCM "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
#define TLS "envoy.extensions.transport_sockets.tls.v3."
#define URL "'@type': type.googleapis.com/"
#define ALS "envoy.extensions.access_loggers.grpc.v3."
#define ROUTER                                                                                     \
    "{name: envoy.filters.http.router, typed_config: {" URL                                        \
    "envoy.extensions.filters.http.router.v3.Router, dynamic_stats: true}}"
#define ROUTES                                                                                     \
    "virtual_hosts: [{name: v, domains: ['*', 'a.test', '*.a.test', 'b.*'], routes: [{name: nn, "  \
    "match: {prefix: /a, case_sensitive: false, headers: [{name: x, string_match: {safe_regex: "   \
    "{regex: 'a.*'}}}, {name: yy, present_match: true, invert_match: true}, {name: z, "            \
    "range_match: {start: 1, end: 5}}], query_parameters: [{name: q, string_match: {prefix: "      \
    "p}}]}, route: {cluster: c, timeout: 1s, prefix_rewrite: /b, host_rewrite_literal: h.test}, "  \
    "request_headers_to_add: [{header: {key: x-a, value: '%REQ(x-b)%'}, append_action: "           \
    "OVERWRITE_IF_EXISTS_OR_ADD}], response_headers_to_remove: [x-c]}, {match: {path: /b}, "       \
    "direct_response: {status: 200, body: {inline_string: x}}}, {match: {path_separated_prefix: "  \
    "/s}, route: {weighted_clusters: {clusters: [{name: c, weight: 1}, {name: d, weight: 2}]}, "   \
    "regex_rewrite: {pattern: {regex: '/s(.*)'}, substitution: '/\\1'}}}, {match: {safe_regex: "   \
    "{regex: '/r.*'}}, redirect: {https_redirect: true, host_redirect: h.test, path_redirect: "    \
    "/x}}, {match: {prefix: /, runtime_fraction: {default_value: {numerator: 5}}}, route: "        \
    "{cluster_header: x-cluster, idle_timeout: 1s}}]}]"
#define LOG                                                                                        \
    "access_log: [{name: f, filter: {and_filter: {filters: [{status_code_filter: {comparison: "    \
    "{op: GE, value: {default_value: 400, runtime_key: k}}}}, {header_filter: {header: {name: x, " \
    "string_match: {exact: a}}}}, {or_filter: {filters: [{response_flag_filter: {flags: [UH]}}, "  \
    "{not_health_check_filter: {}}]}}]}}, typed_config: {" URL                                     \
    "envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null, log_format: "         \
    "{json_format: {a: '%REQ(X?Y):3%', b: [1, {c: '%PROTOCOL%'}], d: true}}}}]"

const struct template templates[] = {
    {"envoy.config.cluster.v3.Cluster",
     "{name: c, type: EDS, eds_cluster_config: {service_name: e, eds_config: {ads: {}, "
     "resource_api_version: V3}}, connect_timeout: 1s, lb_policy: LEAST_REQUEST, least_request_lb_"
     "config: {choice_count: 3}, circuit_breakers: {thresholds: [{max_requests: 5, "
     "track_remaining: true}]}, typed_extension_protocol_options: "
     "{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {" URL
     "envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: "
     "{http_protocol_options: {}}}}}"},
    {"envoy.config.cluster.v3.Cluster",
     "{name: d, type: STRICT_DNS, dns_lookup_family: V4_ONLY, respect_dns_ttl: true, "
     "dns_refresh_rate: 5s, load_assignment: {cluster_name: d, endpoints: [{lb_endpoints: "
     "[{endpoint: {address: {socket_address: {address: h.test, port_value: 80}}}}]}]}, "
     "common_lb_config: {healthy_panic_threshold: {value: 20}}}"},
    {"envoy.config.cluster.v3.Cluster",
     "{name: s, type: STATIC, load_balancing_policy: {policies: [{typed_extension_config: {name: "
     "x, typed_config: {" URL
     "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin}}}]"
     "}, load_assignment: {cluster_name: s, endpoints: [{lb_endpoints: [{endpoint: {address: "
     "{socket_address: {address: 127.0.0.1, port_value: 80}}}}]}]}}"},
    {"envoy.config.endpoint.v3.ClusterLoadAssignment",
     "{cluster_name: e, endpoints: [{locality: {region: r, zone: z}, priority: 1, "
     "load_balancing_weight: 2, lb_endpoints: [{endpoint: {address: {socket_address: {address: "
     "127.0.0.1, port_value: 80}}, hostname: h}, load_balancing_weight: 3, health_status: "
     "DRAINING, metadata: {filter_metadata: {envoy.lb: {canary: true}}}}, {endpoint: {address: "
     "{pipe: {path: /x}}}}]}, {lb_endpoints: [{endpoint: {address: {socket_address: {address: "
     "'::1', port_value: 81}}}}]}], policy: {overprovisioning_factor: 150, drop_overloads: "
     "[]}}"},
    {"envoy.config.listener.v3.Listener",
     "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, filter_chains: "
     "[{filter_chain_match: {destination_port: 1, prefix_ranges: [{address_prefix: 1.1.1.0, "
     "prefix_len: 24}], server_names: ['*.a.test'], source_type: EXTERNAL, source_ports: [5]}, "
     "filters: [{name: hcm, typed_config: {" URL HCM
     ", stat_prefix: p, rds: {route_config_name: r, "
     "config_source: {ads: {}}}, http_filters: [" ROUTER "], " LOG "}}]}], "
     "default_filter_chain: {name: d, filters: [{name: hcm, typed_config: {" URL HCM
     ", stat_prefix: q, codec_type: HTTP1, normalize_path: true, server_name: s, "
     "common_http_protocol_options: {idle_timeout: 5s, headers_with_underscores_action: "
     "REJECT_REQUEST}, http_protocol_options: {accept_http_10: true}, route_config: {name: "
     "i, " ROUTES "}, http_filters: [" ROUTER "]}}]}}"},
    {"envoy.config.listener.v3.Listener",
     "{name: m, address: {pipe: {path: /tmp/x}}, connection_balance_config: {exact_balance: {}}, "
     "filter_chains: [{filters: [{name: hcm, typed_config: {'@type': "
     "type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/" HCM
     ", value: {stat_prefix: t, route_config: {name: u}, http_filters: [{name: "
     "envoy.filters.http.router, typed_config: {" URL
     "envoy.extensions.filters.http.router.v3.Router}}]}}}]}]}"},
    {"envoy.config.listener.v3.Listener",
     "{name: o, address: {socket_address: {address: 127.0.0.1, port_value: 81}}, filter_chains: "
     "[{filters: [{name: hcm, typed_config: {" URL HCM
     ", stat_prefix: e, route_config: {name: i}, http_filters: [{name: f, config_discovery: "
     "{config_source: {ads: {}}, type_urls: [type.googleapis.com/"
     "envoy.extensions.filters.http.router.v3.Router], default_config: {" URL
     "envoy.extensions.filters.http.router.v3.Router}}}]}}]}, {name: d, filter_chain_match: "
     "{destination_port: 2}, filters: [{name: hcm, typed_config: {" URL HCM
     ", stat_prefix: e, route_config: {name: i}, http_filters: [{name: g, config_discovery: "
     "{config_source: {ads: {}}, type_urls: ["
     "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig]}}, {name: f, config_discovery: "
     "{config_source: {ads: {}}, type_urls: [type.googleapis.com/"
     "envoy.extensions.filters.http.router.v3.Router]}}]}}]}]}"},
    {"envoy.config.listener.v3.Listener",
     "{name: v, address: {socket_address: {address: 127.0.0.1, port_value: 82}}, filter_chains: "
     "[{filters: [{name: hcm, typed_config: {" URL HCM
     ", stat_prefix: v, rds: {route_config_name: v, config_source: {ads: {}}}, http_filters: ["
     "{name: o, typed_config: {" URL "envoy.extensions.filters.http.on_demand.v3.OnDemand, odcds: "
     "{source: {ads: {}}, timeout: 1s}}}, " ROUTER "]}}]}]}"},
    {"envoy.config.route.v3.RouteConfiguration",
     "{name: v, vhds: {config_source: {ads: {}}}, virtual_hosts: [{name: h, domains: [h.test], "
     "routes: [{match: {prefix: /}, route: {cluster: c}}]}]}"},
    {"envoy.config.route.v3.VirtualHost",
     "{name: v/a, domains: [a.test, b.test], routes: [{match: {prefix: /}, route: {cluster: c}}]}"},
    {"envoy.config.listener.v3.Listener",
     "{name: o, address: {socket_address: {address: 127.0.0.1, port_value: 83}}, filter_chains: "
     "[{filters: [{name: hcm, typed_config: {" URL HCM
     ", stat_prefix: o, scoped_routes: {name: s, scope_key_builder: {fragments: "
     "[{header_value_extractor: {name: x, element_separator: ',', index: 1}}, "
     "{header_value_extractor: {name: yy, element: {separator: '=', key: k}}}]}, "
     "rds_config_source: {ads: {}}, scoped_rds: {scoped_rds_config_source: {ads: {}}}}, "
     "http_filters: [" ROUTER "]}}]}], default_filter_chain: {filters: [{name: hcm, "
     "typed_config: {" URL HCM ", stat_prefix: i, scoped_routes: {name: i, scope_key_builder: "
     "{fragments: [{header_value_extractor: {name: x, index: 0}}]}, "
     "scoped_route_configurations_list: {scoped_route_configurations: [{name: i, key: "
     "{fragments: [{string_key: a}]}, route_configuration: {name: i, virtual_hosts: []}}]}}, "
     "http_filters: [" ROUTER "]}}]}}"},
    {"envoy.config.route.v3.ScopedRouteConfiguration",
     "{name: o, key: {fragments: [{string_key: a}, {string_key: b}]}, "
     "route_configuration_name: r}"},
    {"envoy.config.route.v3.ScopedRouteConfiguration",
     "{name: p, key: {fragments: [{string_key: a}, {string_key: c}]}, on_demand: true, "
     "route_configuration_name: v}"},
    {"envoy.config.route.v3.ScopedRouteConfiguration",
     "{name: q, key: {fragments: [{string_key: b}]}, route_configuration: {name: q, " ROUTES "}}"},
    {"envoy.config.core.v3.TypedExtensionConfig",
     "{name: f, typed_config: {" URL
     "envoy.extensions.filters.http.router.v3.Router, suppress_envoy_headers: true}}"},
    {"envoy.config.core.v3.TypedExtensionConfig",
     "{name: g, typed_config: {" URL "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig}}"},
    {"envoy.config.route.v3.RouteConfiguration",
     "{name: r, " ROUTES
     ", internal_only_headers: [x-i], max_direct_response_body_size_bytes: 100, "
     "validate_clusters: false}"},
    {"envoy.config.route.v3.RouteConfiguration",
     "{name: r, virtual_hosts: [{name: w, domains: ['*'], require_tls: ALL, "
     "include_request_attempt_count: true, routes: [{match: {prefix: /}, route: {cluster: s}}]}]}"},
    {"envoy.config.route.v3.RouteConfiguration",
     "{name: r, typed_per_filter_config: {envoy.filters.http.router: {" URL
     "envoy.config.route.v3.FilterConfig, disabled: true, is_optional: true, config: {" URL
     "envoy.extensions.filters.http.router.v3.Router}}}, virtual_hosts: [{name: v, domains: "
     "[a.test], routes: [{match: {path: /}, route: {weighted_clusters: {clusters: [{name: c, "
     "weight: 1, typed_per_filter_config: {x: {" URL "envoy.config.route.v3.FilterConfig, "
     "is_optional: true}}}]}}}]}]}"},
    {"envoy.config.cluster.v3.Cluster",
     "{name: c, type: LOGICAL_DNS, dns_failure_refresh_rate: {base_interval: 1s, max_interval: "
     "5s}, "
     "upstream_connection_options: {tcp_keepalive: {keepalive_time: 5}}, upstream_bind_config: "
     "{source_address: {address: 127.0.0.1, port_value: 0}}, load_assignment: {cluster_name: c, "
     "endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: h.test, "
     "port_value: 80}}}}]}]}}"},
    {"envoy.config.cluster.v3.Cluster",
     "{name: e, transport_socket: {name: t, typed_config: {" URL TLS
     "UpstreamTlsContext, sni: a.test, common_tls_context: {tls_certificate_sds_secret_configs: "
     "[{name: s, sds_config: {ads: {}}}], combined_validation_context: "
     "{default_validation_context: {match_subject_alt_names: [{prefix: 'spiffe://'}]}, "
     "validation_context_sds_secret_config: {name: m, sds_config: {ads: {}}}}}}}}"},
    {"envoy.config.listener.v3.Listener",
     "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, filter_chains: "
     "[{filters: [{name: h, typed_config: {" URL HCM
     ", stat_prefix: p, route_config: {name: r, " ROUTES "}, http_filters: [" ROUTER
     "]}}], transport_socket: {name: t, typed_config: {" URL TLS
     "DownstreamTlsContext, require_client_certificate: true, common_tls_context: {tls_params: "
     "{cipher_suites: [A]}, tls_certificates: [{certificate_chain: {inline_string: c}, "
     "private_key: {inline_bytes: aw==}}], validation_context: {trusted_ca: {inline_string: c}, "
     "verify_certificate_hash: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa], "
     "match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]}, alpn_protocols: "
     "[h2]}, session_ticket_keys_sds_secret_config: {name: e, sds_config: {ads: {}}}}}}]}"},
    {"envoy.extensions.transport_sockets.tls.v3.Secret",
     "{name: s, tls_certificate: {certificate_chain: {inline_string: c}, private_key: "
     "{environment_variable: PATH}, password: {inline_string: p}}}"},
    {"envoy.extensions.transport_sockets.tls.v3.Secret",
     "{name: m, validation_context: {trusted_ca: {inline_string: c}, crl: {inline_string: l}, "
     "custom_validator_config: {name: v, typed_config: {" URL TLS
     "SPIFFECertValidatorConfig, trust_domains: [{name: a, trust_bundle: {inline_string: b}}]}}}}"},
    {"envoy.config.bootstrap.v3.Bootstrap",
     "{node: {id: nn, cluster: k, locality: {zone: z}, metadata: {a: [1, 2.5, null, {b: x}]}}, "
     "admin: "
     "{address: {socket_address: {address: 127.0.0.1, port_value: 0}}}, dynamic_resources: "
     "{ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: "
     "{cluster_name: x}}]}, cds_config: {ads: {}, resource_api_version: V3}, lds_config: {ads: "
     "{}}}, "
     "static_resources: {clusters: [{name: x, load_assignment: {cluster_name: x, endpoints: "
     "[{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: "
     "1}}}}]}]}}], listeners: [{name: l, address: {socket_address: {address: 127.0.0.1, "
     "port_value: "
     "2}}, filter_chains: [{filters: [{name: envoy.filters.network.http_connection_manager, "
     "typed_config: {" URL HCM ", stat_prefix: p, route_config: {name: r, " ROUTES
     "}, http_filters: [" ROUTER "]}}]}]}]}, layered_runtime: {layers: [{name: s, static_layer: "
     "{envoy.resource_limits.listener.l.connection_limit: 5}}]}, stats_flush_interval: 5s}"},
    {"envoy.config.bootstrap.v3.Bootstrap",
     "{node: {id: nn, cluster: k}, dynamic_resources: {ads_config: {api_type: DELTA_GRPC, "
     "grpc_services: [{envoy_grpc: {cluster_name: x}}]}}, static_resources: {clusters: [{name: "
     "x}]}, "
     "layered_runtime: {layers: [{name: s, static_layer: {envoy.reloadable_features.x: true, "
     "envoy.restart_features.xds_failover_support: true, a: {b: 5, c: {numerator: 1, denominator: "
     "HUNDRED}}, re2.max: x}}, {name: d, disk_layer: {symlink_root: /none, subdirectory: e, "
     "append_service_cluster: true}}, {name: t, rtds_layer: {name: r, rtds_config: {ads: {}, "
     "resource_api_version: V3}}}, {name: a, admin_layer: {}}]}}"},
    {"envoy.config.listener.v3.Listener",
     "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 3}}, "
     "listener_filters_timeout: 1s, listener_filters: [{name: t, typed_config: {" URL
     "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector, enable_ja3_fingerprinting: "
     "true}, filter_disabled: {or_match: {rules: [{destination_port_range: {start: 1, end: 5}}, "
     "{and_match: {rules: [{any_match: true}, {not_match: {any_match: true}}]}}]}}}], "
     "filter_chains: [{filters: [{name: s, typed_config: {'@type': "
     "type.googleapis.com/xds.type.v3.TypedStruct, type_url: "
     "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange, value: {}}}, {name: "
     "h, typed_config: {" URL HCM
     ", stat_prefix: p, route_config: {name: r}, http_filters: [" ROUTER "]}}]}]}"},
    {"envoy.config.accesslog.v3.AccessLog",
     "{name: g, typed_config: {" URL ALS "HttpGrpcAccessLogConfig, common_config: {log_name: l, "
     "transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: c}}, "
     "buffer_size_bytes: 5, grpc_stream_retry_policy: {retry_back_off: {base_interval: 1s, "
     "max_interval: 5s}}, custom_tags: [{tag: a, literal: {value: b}}, {tag: e, environment: "
     "{name: PATH, default_value: x}}, {tag: h, request_header: {name: X-A, default_value: d}}, "
     "{tag: v, value: '%PROTOCOL%'}, {tag: m, metadata: {kind: {request: {}}, metadata_key: {key: "
     "k, path: [{key: p}, {key: q}]}, default_value: z}}]}, additional_request_headers_to_log: "
     "[X, yy], additional_response_headers_to_log: [z]}}"},
    {"envoy.config.accesslog.v3.AccessLog",
     "{name: t, filter: {traceable_filter: {}}, typed_config: {" URL ALS
     "TcpGrpcAccessLogConfig, common_config: {log_name: l, transport_api_version: V3, "
     "grpc_service: {envoy_grpc: {cluster_name: c}}, buffer_flush_interval: 2s, custom_tags: "
     "[{tag: c, metadata: {kind: {cluster: {}}, metadata_key: {key: k, path: [{key: p}]}}}, {tag: "
     "h, metadata: {kind: {host: {}}, metadata_key: {key: k, path: [{key: p}]}}}, {tag: r, "
     "metadata: {kind: {route: {}}, metadata_key: {key: k, path: [{key: p}]}}}]}}}"},
    {"envoy.config.route.v3.Route",
     "{match: {prefix: /}, route: {cluster: c, internal_redirect_policy: {redirect_response_codes: "
     "[302], response_headers_to_copy: [a, b]}, rate_limits: [{actions: [{remote_address: {}}], "
     "hits_addend: {format: '%BYTES_SENT%'}}, {actions: [{generic_key: {descriptor_value: v}}], "
     "hits_addend: {number: 5}}]}}"},
};
const unsigned n_templates = ARRAY_SIZE(templates);
