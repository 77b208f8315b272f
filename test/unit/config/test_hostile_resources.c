/* Damaged resources of every type, against a builder that runs: accepted or refused with a
 * sentence, never a crash, and the last good version goes on. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "config_fixture.h"

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

static const struct {
    enum resource_type type;
    const char *name, *yaml;
} seeds[] = {
    {RESOURCE_CLUSTER, "c",
     "{name: c, type: EDS, eds_cluster_config: {service_name: e, eds_config: {ads: {}, "
     "resource_api_version: V3}}, connect_timeout: 1s, lb_policy: LEAST_REQUEST, circuit_breakers: "
     "{thresholds: [{max_requests: 5}]}, typed_extension_protocol_options: "
     "{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy."
     "extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: "
     "{http_protocol_options: {}}}}}"},
    {RESOURCE_ENDPOINT, "e",
     "{cluster_name: e, endpoints: [{locality: {zone: z}, priority: 1, lb_endpoints: [{endpoint: "
     "{address: {socket_address: {address: 127.0.0.1, port_value: 80}}, hostname: h}, "
     "load_balancing_weight: 3, health_status: DRAINING}, {endpoint: {address: {pipe: {path: "
     "/x}}}}]}]}"},
    {RESOURCE_LISTENER, "l",
     "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, filter_chains: "
     "[{filter_chain_match: {destination_port: 1, prefix_ranges: [{address_prefix: 1.1.1.0, "
     "prefix_len: 24}], server_names: ['*.a.test']}, filters: [{name: hcm, typed_config: {'@type': "
     "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
     "HttpConnectionManager, stat_prefix: p, rds: {route_config_name: r, config_source: {ads: "
     "{}}}, http_filters: [{name: r, typed_config: {'@type': "
     "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}], access_log: [{name: "
     "f, filter: {status_code_filter: {comparison: {op: GE, value: {default_value: 1, "
     "runtime_key: k}}}}, typed_config: {'@type': type.googleapis.com/envoy.extensions."
     "access_loggers.file.v3.FileAccessLog, path: /dev/null, log_format: {json_format: {a: "
     "'%REQ(X?Y):3%'}}}}]}}]}], default_filter_chain: {name: d}}"},
    {RESOURCE_ROUTE, "r",
     "{name: r, virtual_hosts: [{name: v, domains: ['*', 'a.test'], routes: [{match: {prefix: /a, "
     "headers: [{name: x, string_match: {safe_regex: {regex: 'a.*'}}}]}, route: {cluster: c, "
     "timeout: 1s}}, {match: {path: /b}, direct_response: {status: 200, body: {inline_string: "
     "x}}}]}]}"},
};

static void damage(struct random_source *r, char *data, size_t *len, size_t cap)
{
    switch (random_below(r, 5)) {
    case 0:
        data[random_below(r, *len)] ^= (char)(1u << random_below(r, 8));
        break;
    case 1:
        data[random_below(r, *len)] = (char)random_u64(r);
        break;
    case 2:
        *len = random_below(r, *len) + 1;
        break;
    case 3: { /* repeat a slice */
        size_t at = random_below(r, *len), n = random_below(r, *len - at) + 1;
        if (*len + n <= cap) {
            memmove(data + at + n, data + at, *len - at);
            *len += n;
        }
        break;
    }
    default: { /* cut a slice out */
        size_t at = random_below(r, *len), n = random_below(r, (*len - at) / 2 + 1);
        memmove(data + at, data + at + n, *len - at - n);
        *len -= n;
        *len += *len == 0;
    }
    }
}

/* In a heap block of its own size, so that a sanitizer sees a read past the end. */
static void deliver(enum resource_type type, const char *name, const char *data, size_t len)
{
    struct update_result result;
    char *exact = malloc(len);
    memcpy(exact, data, len);
    struct resource_update u = {bytes_of(name), BYTES("v"), BYTES_NONE, bytes_from(exact, len)};
    config_update(f.builder, &f.ads, type, &u, 1, NULL, 0, false, BYTES("v"), &result);
    for (unsigned i = 0; i < result.n_errors; i++)
        ck_assert_str_ne(result.errors[i].details, "");
    update_result_fini(&result);
    builder_commit(f.builder);
    builder_reap(f.builder);
    strbuf_reset(&f.log);
    free(exact);
}

START_TEST(damaged_resources_are_refused_or_read)
{
    enum { ROUNDS = 4000, CAP = 8192 };
    struct random_source r;
    static char data[CAP];
    struct bytes wires[ARRAY_SIZE(seeds)];
    random_seed(&r, 7);
    for (unsigned i = 0; i < ARRAY_SIZE(seeds); i++)
        wires[i] = fixture_wire(&f, resource_type_name(seeds[i].type), seeds[i].yaml);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned i = (unsigned)random_below(&r, ARRAY_SIZE(seeds));
        size_t len = wires[i].len;
        memcpy(data, wires[i].data, len);
        for (uint64_t n = random_below(&r, 4); n > 0; n--)
            damage(&r, data, &len, CAP);
        deliver(seeds[i].type, seeds[i].name, data, len);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(seeds); i++)
        deliver(seeds[i].type, seeds[i].name, wires[i].data, wires[i].len);
    ck_assert_ptr_nonnull(fixture_cluster(&f, "c"));
    ck_assert_uint_eq(fixture_cluster(&f, "c")->hosts->n_hosts, 2);
    ck_assert_ptr_nonnull(fixture_listener(&f, "l")->chains[0]->routes);
}
END_TEST

START_TEST(noise_is_refused)
{
    struct random_source r;
    char data[64];
    random_seed(&r, 11);
    fixture_update(&f, seeds[0].type, seeds[0].name, seeds[0].yaml);
    fixture_update(&f, seeds[2].type, seeds[2].name, seeds[2].yaml);
    for (int round = 0; round < 4000; round++) {
        size_t len = random_below(&r, sizeof(data)) + 1;
        for (size_t i = 0; i < len; i++)
            data[i] = (char)random_u64(&r);
        unsigned i = (unsigned)random_below(&r, ARRAY_SIZE(seeds));
        deliver(seeds[i].type, seeds[i].name, data, len);
    }
}
END_TEST

/* Any order of good, changed, removed and timed-out resources keeps the books. */
START_TEST(any_order_of_updates)
{
    struct random_source r;
    char yaml[512], name[8];
    random_seed(&r, 13);
    f.holders = 1;
    for (int round = 0; round < 3000; round++) {
        unsigned k = (unsigned)random_below(&r, 4), v = (unsigned)random_below(&r, 3);
        const char *none[] = {NULL};
        struct snapshot *before = builder_snapshot(f.builder);
        switch (random_below(&r, 7)) {
        case 0:
        case 1:
            snprintf(name, sizeof(name), "c%u", k);
            snprintf(yaml, sizeof(yaml),
                     "{name: c%u, type: EDS, connect_timeout: %us, eds_cluster_config: "
                     "{service_name: e%u, eds_config: {ads: {}}}}",
                     k, v + 1, (k + v) % 3);
            ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, name, yaml), "");
            break;
        case 2:
            snprintf(name, sizeof(name), "e%u", v);
            snprintf(yaml, sizeof(yaml),
                     "{cluster_name: e%u, endpoints: [{lb_endpoints: [{endpoint: {address: "
                     "{socket_address: {address: 127.0.0.1, port_value: %u}}}}]}]}",
                     v, k + 1);
            ck_assert_str_eq(fixture_update(&f, RESOURCE_ENDPOINT, name, yaml), "");
            break;
        case 3:
            snprintf(name, sizeof(name), "l%u", k);
            snprintf(yaml, sizeof(yaml),
                     "{name: l%u, address: {socket_address: {address: 127.0.0.1, port_value: %u}}, "
                     "filter_chains: [{filters: [{name: hcm, typed_config: {'@type': "
                     "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager."
                     "v3.HttpConnectionManager, stat_prefix: p, rds: {route_config_name: r%u, "
                     "config_source: {ads: {}}}, http_filters: [{name: "
                     "envoy.filters.http.router}]}}]}]}",
                     k, 100 + k, v);
            ck_assert_str_eq(fixture_update(&f, RESOURCE_LISTENER, name, yaml), "");
            break;
        case 4:
            snprintf(name, sizeof(name), "r%u", v);
            snprintf(yaml, sizeof(yaml),
                     "{name: r%u, virtual_hosts: [{name: v%u, domains: ['*']}]}", v, k);
            ck_assert_str_eq(fixture_update(&f, RESOURCE_ROUTE, name, yaml), "");
            break;
        case 5:
            if (random_below(&r, 8) == 0)
                fixture_full(&f, k % 2 ? RESOURCE_CLUSTER : RESOURCE_LISTENER, none);
            builder_commit(f.builder);
            break;
        default:
            fixture_expire(&f);
        }
        if (before && builder_snapshot(f.builder) != before && before->holders)
            builder_snapshot_returned(f.builder, before);
        builder_reap(f.builder);
        strbuf_reset(&f.log);
    }
    if (builder_snapshot(f.builder) && builder_snapshot(f.builder)->holders)
        builder_snapshot_returned(f.builder, builder_snapshot(f.builder));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hostile_resources");
    TCase *t = tcase_create("hostile_resources");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 100);
    tcase_add_test(t, damaged_resources_are_refused_or_read);
    tcase_add_test(t, noise_is_refused);
    tcase_add_test(t, any_order_of_updates);
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
