#include <check.h>
#include <stdlib.h>

#include "config/route.h"
#include "config_fixture.h"

static struct fixture f;
static struct listener_parts *last;

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
    struct listener_parts *old = last;
    last = listener_decode(builder_decode_context(f.builder),
                           fixture_wire(&f, "envoy.config.listener.v3.Listener", yaml), old, &err);
    char *text = arena_str(f.arena, bytes_of(error_text(&err)));
    ck_assert(!last == error_is_set(&err));
    NODE_UNREF(&old);
    error_fini(&err);
    return text;
}

#define ADDRESS "address: {socket_address: {address: 127.0.0.1, port_value: 80}}"
#define LISTENER(more) "{name: l, " ADDRESS ", " more "}"
#define HCM_TYPE                                                                                   \
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."             \
    "HttpConnectionManager"
#define ROUTER                                                                                     \
    "{name: r, typed_config: {'@type': "                                                           \
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"
#define CORS                                                                                       \
    "{name: c, typed_config: {'@type': "                                                           \
    "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}"
#define UNKNOWN "typed_config: {'@type': type.googleapis.com/google.protobuf.StringValue, value: x}"
#define HCM_FILTER(more) "{name: hcm, typed_config: {'@type': " HCM_TYPE ", " more "}}"
#define HCM(more) LISTENER("filter_chains: [{filters: [" HCM_FILTER(more) "]}]")
#define WITH(more) HCM("stat_prefix: p, route_config: {name: r}, http_filters: [" ROUTER "], " more)
#define CHAINS(a, b) LISTENER("filter_chains: [{name: x, " a "}, {name: z, " b "}]")
#define MATCH(more) "filter_chain_match: {" more "}"

static const struct {
    const char *yaml, *words;
} bad[] = {
    {"{name: l, filter_chains: [{}]}", "error adding listener named 'l': address is necessary"},
    {"{" ADDRESS ", filter_chains: [{}]}", "name"},
    {LISTENER("filter_chains: []"),
     "error adding listener '127.0.0.1:80': no filter chains specified"},
    {"{name: l, address: {socket_address: {address: foo, port_value: 1}}, filter_chains: [{}]}",
     "malformed IP address: foo"},
    {"{name: l, address: {socket_address: {address: 1.1.1.1, port_value: 1, protocol: UDP}}, "
     "filter_chains: [{}]}",
     "only TCP is implemented"},
    {"{name: l, address: {socket_address: {address: 1.1.1.1, named_port: http}}, filter_chains: "
     "[{}]}",
     "named_port"},
    {LISTENER("filter_chains: [{}], use_original_dst: true"), "use_original_dst"},
    {LISTENER("filter_chains: [{}], listener_filters: [{name: tls, " UNKNOWN "}]"),
     "listener_filters"},
    {LISTENER("filter_chains: [{}], udp_listener_config: {}"), "udp_listener_config"},
    {LISTENER("filter_chains: [{}], api_listener: {}"), "api_listener"},
    {"{name: l, internal_listener: {}, filter_chains: [{}]}", "internal_listener"},
    {LISTENER("filter_chains: [{transport_socket: {name: tls, " UNKNOWN "}}]"), "transport_socket"},
    {LISTENER("filter_chains: [{filters: [{name: x, " UNKNOWN "}]}]"),
     "Didn't find a registered implementation for 'x' with type URL: "
     "'google.protobuf.StringValue'"},
    {LISTENER("filter_chains: [{filters: [" HCM_FILTER(
         "stat_prefix: p, route_config: {}, http_filters: [" ROUTER "]") ", {name: x, " UNKNOWN
                                                                         "}]}]"),
     "must be the last filter in a network filter chain."},
    {CHAINS(MATCH(""), MATCH("")), "filter chain 'z' has the same matching rules defined as 'x'"},
    {CHAINS(MATCH("server_names: [a, b]"), MATCH("server_names: [b]")),
     "error adding listener '127.0.0.1:80': multiple filter chains with overlapping matching rules "
     "are defined"},
    {CHAINS(MATCH("source_ports: [1, 1]"), MATCH("")), "overlapping"},
    {CHAINS(MATCH("server_names: ['']"), MATCH("")), "overlapping"},
    {CHAINS(MATCH("application_protocols: ['']"), MATCH("")), "overlapping"},
    {CHAINS(MATCH("server_names: ['.a.com']"), MATCH("server_names: ['*.a.com']")), "overlapping"},
    {CHAINS(MATCH("server_names: ['a*.test']"), MATCH("")),
     "error adding listener '127.0.0.1:80': partial wildcards are not supported in "
     "\"server_names\""},
    {CHAINS(MATCH("address_suffix: x"), MATCH("")), "address_suffix"},
    {CHAINS(MATCH("destination_port: 70000"), MATCH("")), "destination_port"},
    {CHAINS(MATCH("source_ports: [0]"), MATCH("")), "source_ports"},
    {CHAINS(MATCH("prefix_ranges: [{address_prefix: x, prefix_len: 8}]"), MATCH("")),
     "prefix_ranges[0]: malformed IP address: x"},
    {CHAINS(MATCH("prefix_ranges: [{address_prefix: 1.1.1.1, prefix_len: 33}]"), MATCH("")),
     "invalid range: 1.1.1.1/33"},
    {HCM("route_config: {}, http_filters: [" ROUTER "]"), "stat_prefix"},
    {HCM("stat_prefix: p, http_filters: [" ROUTER "]"), "route_specifier"},
    {HCM("stat_prefix: p, route_config: {}"), "http_filters: expected at least a terminal filter"},
    {HCM("stat_prefix: p, route_config: {}, http_filters: [" CORS "]"),
     "Error: non-terminal filter named c of type envoy.filters.http.cors is the last filter in a "
     "http filter chain."},
    {HCM("stat_prefix: p, route_config: {}, http_filters: [" ROUTER ", " CORS "]"),
     "Error: terminal filter named r of type envoy.filters.http.router must be the last filter in "
     "a http filter chain."},
    {HCM("stat_prefix: p, route_config: {}, http_filters: [{name: x, " UNKNOWN "}, " ROUTER "]"),
     "Didn't find a registered implementation for 'x' with type URL: "
     "'google.protobuf.StringValue'"},
    {HCM("stat_prefix: p, route_config: {}, http_filters: [{name: x, config_discovery: "
         "{config_source: {ads: {}}, type_urls: [a]}}]"),
     "Error: no factory found for a required type URL a."},
    {HCM("stat_prefix: p, scoped_routes: {name: s, scope_key_builder: {fragments: "
         "[{header_value_extractor: {name: x, index: 1}}]}, scoped_rds: {scoped_rds_config_source: "
         "{ads: {}}}}, http_filters: [" ROUTER "]"),
     "filter_chains[0]: filters[0]: scoped_routes.scope_key_builder.fragments[0]."
     "header_value_extractor: Index > 0 for empty string element separator."},
    {WITH("http2_protocol_options: {allow_metadata: true}"), "allow_metadata"},
    {WITH("http2_protocol_options: {custom_settings_parameters: [{identifier: 2, value: 1}]}"),
     "http2_protocol_options.custom_settings_parameters: server push is not supported"},
    {WITH("http2_protocol_options: {custom_settings_parameters: [{identifier: 3, value: 1}]}"),
     "through both named and custom parameters"},
    {WITH("http2_protocol_options: {custom_settings_parameters: [{identifier: 8, value: 1}]}"),
     "parameter 8 is not implemented"},
    {WITH("codec_type: HTTP3"), "codec_type"},
    {WITH("max_request_headers_kb: 8193"), "max_request_headers_kb"},
    {WITH("strip_any_host_port: true, strip_matching_host_port: true"),
     "Only one of `strip_matching_host_port` or `strip_any_host_port` can be set."},
    {WITH("stream_idle_timeout: -1s"), "stream_idle_timeout"},
    {WITH("original_ip_detection_extensions: [{name: x, " UNKNOWN "}]"),
     "original_ip_detection_extensions"},
    {WITH("local_reply_config: {}"), "local_reply_config"},
    {WITH("access_log: [{name: f, " UNKNOWN "}]"),
     "access_log[0]: Didn't find a registered implementation for 'f' with type URL: "
     "'google.protobuf.StringValue'"},
    {WITH("internal_address_config: {cidr_ranges: [{address_prefix: z, prefix_len: 1}]}"),
     "internal_address_config.cidr_ranges[0]"},
    {WITH("request_id_extension: {" UNKNOWN "}"), "request_id_extension"},
    {HCM("stat_prefix: p, http_filters: [" ROUTER "], route_config: {virtual_hosts: [{name: v, "
         "domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: nobody}}]}]}"),
     "route: unknown cluster 'nobody'"},
    {HCM("stat_prefix: p, http_filters: [" ROUTER "], rds: {route_config_name: r, config_source: "
         "{path_config_source: {path: ''}}}"),
     "path"},
};

START_TEST(refuses)
{
    const char *text = decode(bad[_i].yaml);
    ck_assert_msg(last == NULL, "accepted: %s", bad[_i].yaml);
    ck_assert_msg(strstr(text, bad[_i].words) != NULL, "%s\n got: %s\nwant: %s", bad[_i].yaml, text,
                  bad[_i].words);
}
END_TEST

START_TEST(reads_http2_options)
{
    ck_assert_str_eq(decode(WITH("codec_type: HTTP2")), "");
    const struct http_manager *m = last->chains[0].manager;
    ck_assert_int_eq(m->codec, CODEC_HTTP2);
    ck_assert_uint_eq(m->http2.max_concurrent_streams, 100);
    ck_assert_uint_eq(m->http2.stream_window, 65536);
    ck_assert_uint_eq(m->http2.connection_window, 1048576);
    ck_assert(!m->http2.stream_error);
    ck_assert_str_eq(
        decode(WITH("stream_error_on_invalid_http_message: true, http2_protocol_options: "
                    "{hpack_table_size: 0, max_concurrent_streams: 7, initial_stream_window_size: "
                    "70000, initial_connection_window_size: 80000, max_outbound_frames: 1, "
                    "max_outbound_control_frames: 2, "
                    "max_consecutive_inbound_frames_with_empty_payload: 3, "
                    "max_inbound_priority_frames_per_stream: 4, "
                    "max_inbound_window_update_frames_per_data_frame_sent: 5, "
                    "custom_settings_parameters: [{identifier: 99, value: 1}], "
                    "connection_keepalive: {interval: 30s, timeout: 5s, interval_jitter: "
                    "{value: 20}, connection_idle_interval: 60s}}")),
        "");
    const struct http2_options *o = &last->chains[0].manager->http2;
    ck_assert_uint_eq(o->hpack_table_size, 0);
    ck_assert_uint_eq(o->max_concurrent_streams, 7);
    ck_assert_uint_eq(o->stream_window, 70000);
    ck_assert_uint_eq(o->connection_window, 80000);
    ck_assert_uint_eq(o->max_outbound_frames, 1);
    ck_assert_uint_eq(o->max_outbound_control, 2);
    ck_assert_uint_eq(o->max_empty_frames, 3);
    ck_assert_uint_eq(o->max_priority_per_stream, 4);
    ck_assert_uint_eq(o->max_window_updates_per_data, 5);
    ck_assert_uint_eq(o->n_custom, 1);
    ck_assert_uint_eq(o->keepalive_interval_ms, 30000);
    ck_assert_uint_eq(o->keepalive_timeout_ms, 5000);
    ck_assert_uint_eq(o->keepalive_idle_ms, 60000);
    ck_assert_uint_eq(o->keepalive_jitter, 20);
    ck_assert(o->stream_error);
}
END_TEST

START_TEST(has_envoys_defaults)
{
    ck_assert_str_eq(decode(WITH("codec_type: AUTO")), "");
    const struct listener *l = last->listener;
    ck_assert(l->bind_to_port && l->enable_reuse_port && !l->freebind);
    ck_assert_uint_eq(l->buffer_limit, 1048576);
    ck_assert_int_eq(l->fast_open_queue, -1);
    ck_assert(l->added_via_api);
    const struct http_manager *m = last->chains[0].manager;
    ck_assert(last->chains[0].chain->is_http);
    ck_assert(bytes_eq_str(m->server_name, "envoy"));
    ck_assert_uint_eq(m->stream_idle_timeout_ms, 300000);
    ck_assert_uint_eq(m->idle_timeout_ms, 3600000);
    ck_assert_uint_eq(m->drain_timeout_ms, 5000);
    ck_assert_uint_eq(m->delayed_close_timeout_ms, 1000);
    ck_assert_uint_eq(m->request_timeout_ms, 0);
    ck_assert_uint_eq(m->max_headers_count, 100);
    ck_assert_uint_eq(m->max_request_headers_kb, 60);
    ck_assert(m->generate_request_id && m->pack_trace_reason && m->allow_absolute_url);
    ck_assert(!m->use_remote_address && !m->normalize_path && m->internal_default);
    ck_assert_int_eq(m->escaped_slashes, ESCAPED_SLASHES_KEEP);
    ck_assert_str_eq(m->stats->prefix, "http.p");
    ck_assert_uint_eq(m->n_filters, 1);
    ck_assert_ptr_nonnull(m->inline_routes);
}
END_TEST

START_TEST(optional_and_observing_filters_are_skipped)
{
    ck_assert_str_eq(
        decode(HCM(
            "stat_prefix: p, route_config: {}, http_filters: [{name: x, is_optional: true, " UNKNOWN
            "}, {name: g, typed_config: {'@type': type.googleapis.com/envoy."
            "extensions.filters.http.grpc_stats.v3.FilterConfig}}, {name: "
            "envoy.filters.http.router}]")),
        "");
    ck_assert_uint_eq(last->chains[0].manager->n_filters, 1);
}
END_TEST

START_TEST(equal_chains_keep_their_nodes)
{
#define TWO(limit, port)                                                                           \
    LISTENER("per_connection_buffer_limit_bytes: " limit ", filter_chains: [{name: a, "            \
             "filter_chain_match: {destination_port: " port                                        \
             "}, filters: [" HCM_FILTER("stat_prefix: p, route_config: {}, http_filters: [" ROUTER \
                                        "]") "]}], "                                               \
                                             "default_filter_chain: {}")
    ck_assert_str_eq(decode(TWO("1", "5")), "");
    struct filter_chain *chain = last->chains[0].chain, *def = last->default_chain->chain;
    struct http_manager *manager = last->chains[0].manager;
    ck_assert_str_eq(decode(TWO("2", "5")), "");
    ck_assert_ptr_eq(last->chains[0].chain, chain);
    ck_assert_ptr_eq(last->chains[0].manager, manager);
    ck_assert_ptr_eq(last->default_chain->chain, def);
    ck_assert_str_eq(decode(TWO("2", "6")), "");
    ck_assert_ptr_ne(last->chains[0].chain, chain);
    ck_assert_ptr_eq(last->default_chain->chain, def);
}
END_TEST

/* ---- which chain a connection gets ---- */

static struct listener_entry *entry;

static void listen_to(const char *yaml)
{
    ck_assert_str_eq(fixture_update(&f, RESOURCE_LISTENER, "l", yaml), "");
    entry = fixture_listener(&f, "l");
    ck_assert_ptr_nonnull(entry);
}

struct from {
    const char *local, *remote, *server, *transport, *alpn;
};

static const char *chain_for(struct from q)
{
    struct chain_query c = {.server_name = bytes_of(q.server),
                            .transport_protocol = bytes_of(q.transport)};
    struct bytes alpn[2];
    ck_assert(address_parse_ip_port(bytes_of(q.local), &c.local));
    ck_assert(address_parse_ip_port(bytes_of(q.remote ? q.remote : "9.9.9.9:9"), &c.remote));
    c.direct_remote = c.remote;
    if (q.alpn) {
        struct bytes rest = bytes_of(q.alpn);
        while (rest.data)
            alpn[c.n_application_protocols++] = bytes_split(&rest, ',');
        c.application_protocols = alpn;
    }
    struct chain_binding *b = listener_find_chain(entry, &c);
    return b ? arena_str(f.arena, b->chain->name) : "none";
}

#define FIND(...) chain_for((struct from){__VA_ARGS__})

START_TEST(finds_by_port_and_prefix)
{
    fixture_start(&f);
    listen_to(
        LISTENER("filter_chains: [{name: any}, {name: port, filter_chain_match: "
                 "{destination_port: 81}}, {name: net8, filter_chain_match: {prefix_ranges: "
                 "[{address_prefix: 10.0.0.0, prefix_len: 8}]}}, {name: net16, "
                 "filter_chain_match: {prefix_ranges: [{address_prefix: 10.1.0.0, prefix_len: "
                 "16}], server_names: [a.test]}}]"));
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80"), "any");
    ck_assert_str_eq(FIND(.local = "10.2.1.1:80"), "net8");
    ck_assert_str_eq(FIND(.local = "10.1.1.1:80", .server = "a.test"), "net16");
    /* the most specific range is taken for good */
    ck_assert_str_eq(FIND(.local = "10.1.1.1:80", .server = "b.test"), "none");
    ck_assert_str_eq(FIND(.local = "10.1.1.1:81", .server = "a.test"), "port");
}
END_TEST

START_TEST(finds_by_server_name)
{
    fixture_start(&f);
    listen_to(
        LISTENER("filter_chains: [{name: exact, filter_chain_match: {server_names: [a.b.test]}}, "
                 "{name: wild, filter_chain_match: {server_names: ['*.test']}}, {name: deep, "
                 "filter_chain_match: {server_names: ['*.b.test']}}], default_filter_chain: "
                 "{name: default}"));
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .server = "a.b.test"), "exact");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .server = "c.b.test"), "deep");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .server = "x.y.b.test"), "deep");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .server = "c.test"), "wild");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .server = "test"), "default");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80"), "default");
}
END_TEST

START_TEST(finds_by_transport_and_protocol)
{
    fixture_start(&f);
    listen_to(
        LISTENER("filter_chains: [{name: tls, filter_chain_match: {transport_protocol: tls}}, "
                 "{name: h2, filter_chain_match: {transport_protocol: tls, "
                 "application_protocols: [h2]}}, {name: raw, filter_chain_match: "
                 "{transport_protocol: raw_buffer}}]"));
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80"), "raw");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .transport = "tls"), "tls");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .transport = "tls", .alpn = "x,h2"), "h2");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .transport = "quic"), "none");
}
END_TEST

START_TEST(finds_by_source)
{
    fixture_start(&f);
    listen_to(LISTENER(
        "filter_chains: [{name: local, filter_chain_match: {source_type: SAME_IP_OR_LOOPBACK}}, "
        "{name: ext, filter_chain_match: {source_type: EXTERNAL, source_prefix_ranges: "
        "[{address_prefix: 7.0.0.0, prefix_len: 8}]}}, {name: port, filter_chain_match: "
        "{source_type: EXTERNAL, source_prefix_ranges: [{address_prefix: 7.0.0.0, prefix_len: 8}], "
        "source_ports: [77]}}, {name: direct, filter_chain_match: {direct_source_prefix_ranges: "
        "[{address_prefix: 6.0.0.0, prefix_len: 8}]}}]"));
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .remote = "127.0.0.1:9"), "local");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .remote = "1.1.1.1:9"), "local");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .remote = "7.1.1.1:9"), "ext");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .remote = "7.1.1.1:77"), "port");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .remote = "6.1.1.1:9"), "direct");
    ck_assert_str_eq(FIND(.local = "1.1.1.1:80", .remote = "8.1.1.1:9"), "none");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("listener_decode");
    TCase *t = tcase_create("listener_decode");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_SIZE(bad));
    tcase_add_test(t, has_envoys_defaults);
    tcase_add_test(t, reads_http2_options);
    tcase_add_test(t, optional_and_observing_filters_are_skipped);
    tcase_add_test(t, equal_chains_keep_their_nodes);
    tcase_add_test(t, finds_by_port_and_prefix);
    tcase_add_test(t, finds_by_server_name);
    tcase_add_test(t, finds_by_transport_and_protocol);
    tcase_add_test(t, finds_by_source);
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
