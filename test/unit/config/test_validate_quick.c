/* The walk of validate_quick.c beside the readings that it saves: never surer than they are, and
 * sure where resources are as they mostly are. */
#include <check.h>
#include <stdlib.h>

#include "base/random.h"
#include "config/json_read.h"
#include "config/unsupported.h"
#include "config/validate.h"

#define CLUSTER "envoy.config.cluster.v3.Cluster"
#define ENDPOINTS "envoy.config.endpoint.v3.ClusterLoadAssignment"
#define LISTENER "envoy.config.listener.v3.Listener"
#define ROUTE "envoy.config.route.v3.Route"
#define ROUTES "envoy.config.route.v3.RouteConfiguration"
#define HCM "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
#define URL "'@type': type.googleapis.com/"

static struct descriptors *pool;
static struct validator *validator;
static struct arena *arena;

static struct bytes wire_of(const char *message, const char *text)
{
    struct error err = ERROR_INIT;
    struct bytes body;
    struct yaml_node *n = yaml_parse(arena, "f", bytes_of(text), &err);
    ck_assert_msg(n && json_read(pool, n, bytes_of(message), NULL, arena, &body, &err), "%s: %s",
                  text, error_text(&err));
    return body;
}

/* What the two readings find: the most that the walk may be sure of. */
static unsigned readings(struct bytes message, struct bytes body)
{
    struct field_report report = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    unsigned sure = validate_message(validator, message, body, &err) ? SURELY_VALID : 0;
    error_fini(&err);
    if (unsupported_scan(pool, message, body, &report, &err) && report.n == 0)
        sure |= SURELY_SUPPORTED;
    error_fini(&err);
    field_report_fini(&report);
    return sure;
}

static unsigned check(struct bytes message, struct bytes body)
{
    unsigned sure = validate_quick(validator, message, body);
    ck_assert_msg((sure & ~readings(message, body)) == 0, "%.*s", BYTES_ARG(message));
    return sure;
}

struct example {
    const char *message, *text;
    unsigned sure;
};

enum { BOTH = SURELY_VALID | SURELY_SUPPORTED };

static const struct example examples[] = {
    {CLUSTER,
     "{name: a, type: EDS, connect_timeout: 1.5s, lb_policy: LEAST_REQUEST, "
     "eds_cluster_config: {service_name: e, eds_config: {ads: {}, resource_api_version: "
     "V3}}, circuit_breakers: {thresholds: [{max_requests: 5}]}, "
     "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3."
     "HttpProtocolOptions: {" URL "envoy.extensions.upstreams.http.v3."
     "HttpProtocolOptions, explicit_http_config: {http_protocol_options: {}}}}}",
     BOTH},
    {CLUSTER, "{name: a, common_lb_config: {healthy_panic_threshold: {value: 50}}}", BOTH},
    {CLUSTER, "{name: a, outlier_detection: {max_ejection_percent: 50}}", SURELY_VALID},
    {CLUSTER, "{connect_timeout: 1s}", SURELY_SUPPORTED},
    {CLUSTER, "{name: a, connect_timeout: 0s}", SURELY_SUPPORTED},
    {CLUSTER, "{name: a, outlier_detection: {max_ejection_percent: 101}}", 0},
    {CLUSTER, "{name: ä}", 0}, /* the readings know UTF-8 */
    {ENDPOINTS,
     "{cluster_name: e, endpoints: [{locality: {zone: z}, priority: 1, lb_endpoints: [{endpoint: "
     "{address: {socket_address: {address: 127.0.0.1, port_value: 80}}, hostname: h}, "
     "load_balancing_weight: 3, health_status: DRAINING}]}]}",
     BOTH},
    {ENDPOINTS, "{cluster_name: e, endpoints: [{priority: 129}]}", SURELY_SUPPORTED},
    {ENDPOINTS, "{cluster_name: e, endpoints: [{lb_endpoints: [{load_balancing_weight: 0}]}]}",
     SURELY_SUPPORTED},
    {ROUTES,
     "{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /a, headers: "
     "[{name: x, string_match: {safe_regex: {regex: 'a.*'}}}]}, route: {cluster: c, timeout: 1s}, "
     "request_headers_to_add: [{header: {key: x-a, value: b}}], response_headers_to_remove: "
     "[x-c]}, {match: {path: /b}, direct_response: {status: 200, body: {inline_string: x}}}]}]}",
     BOTH},
    {ROUTE, "{match: {}, route: {cluster: c}}", SURELY_SUPPORTED},
    {ROUTE, "{match: {prefix: /}}", SURELY_SUPPORTED},
    {ROUTE, "{match: {prefix: /}, route: {cluster: c}, request_headers_to_remove: [\"a\\0b\"]}",
     SURELY_SUPPORTED},
    {LISTENER,
     "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, filter_chains: "
     "[{filters: [{name: hcm, typed_config: {" URL HCM ", stat_prefix: p, rds: "
     "{route_config_name: r, config_source: {ads: {}}}, http_filters: [{name: r, typed_config: "
     "{" URL "envoy.extensions.filters.http.router.v3.Router}}]}}]}]}",
     BOTH},
    {LISTENER, "{name: l, filter_chains: [{filters: [{name: hcm, typed_config: {" URL HCM "}}]}]}",
     SURELY_SUPPORTED},
    {LISTENER,
     "{name: l, filter_chains: [{filters: [{name: f, typed_config: {" URL
     "envoy.extensions.filters.http.lua.v3.Lua, inline_code: x}}]}]}",
     BOTH}, /* not entered: its decoder refuses it */
};

START_TEST(as_sure_as_can_be)
{
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
        const struct example *e = &examples[i];
        unsigned sure = check(bytes_of(e->message), wire_of(e->message, e->text));
        ck_assert_msg(sure == e->sure, "%s: %u", e->text, sure);
    }
}
END_TEST

/* Two values of one field, a tag or a length longer than it need be, an entry of a map with more
 * than key and value: what could be read in two ways is left to the decoder. */
START_TEST(two_readings)
{
    static const struct bytes bodies[] = {
        BYTES("\x0a\x01\x61\x0a\x01\x62"),                 /* name twice */
        BYTES("\x8a\x80\x00\x01\x61"),                     /* its tag in three bytes */
        BYTES("\x0a\x81\x00\x61\x0b"),                     /* a group */
        BYTES("\x0a\x01\x61\x0c"),                         /* the end of one */
        BYTES("\x08\x01"),                                 /* a number for a text */
        BYTES("\x0a\x02\x61"),                             /* cut */
        BYTES("\x0a\x01\x61\xa2\x02\x04\x0a\x00\x18\x01"), /* field 36: an entry with field 3 */
    };
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
        ck_assert_msg(check(BYTES(CLUSTER), bodies[i]) == 0, "%zu", i);
    ck_assert_uint_eq(validate_quick(validator, BYTES("no.Such"), BYTES("")), 0);
}
END_TEST

static void check_empty(void *ctx, struct bytes name)
{
    *(unsigned *)ctx += check(name, BYTES("")) == BOTH;
}

START_TEST(every_message_of_the_api)
{
    unsigned sure = 0;
    descriptors_each_message(pool, BYTES(""), check_empty, &sure);
    ck_assert_uint_gt(sure, 100);
}
END_TEST

/* The definitions go after a while; what was made of them is as sure as before, needs none of them,
 * and the readings have them again. */
START_TEST(definitions_go)
{
    struct bytes wires[ARRAY_SIZE(examples)];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
            wires[i] = wire_of(examples[i].message, examples[i].text);
            ck_assert_uint_eq(check(bytes_of(examples[i].message), wires[i]), examples[i].sure);
        }
        for (int i = 0; i < RESTS_IN_VAIN; i++)
            descriptors_rest(pool);
        ck_assert_uint_gt(descriptors_files_loaded(pool), 0);
        descriptors_rest(pool);
        ck_assert_uint_eq(descriptors_files_loaded(pool), 0);
        for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
            ck_assert_uint_eq(validate_quick(validator, bytes_of(examples[i].message), wires[i]),
                              examples[i].sure);
        ck_assert_uint_eq(descriptors_files_loaded(pool), 0);
    }
}
END_TEST

static size_t damage(struct random_source *r, char *data, size_t len)
{
    size_t at = random_below(r, len), n = random_below(r, (len - at) / 2 + 1);
    switch (random_below(r, 4)) {
    case 0:
        data[at] ^= (char)(1u << random_below(r, 8));
        return len;
    case 1:
        data[at] = (char)random_u64(r);
        return len;
    case 2:
        memmove(data + at, data + at + n, len - at - n);
        return len - n ? len - n : 1;
    default:
        memmove(data + at + n, data + at, len - at);
        return len + n;
    }
}

START_TEST(damaged_bytes)
{
    enum { ROUNDS = 20000, CAP = 4096 };
    struct random_source r;
    struct bytes wires[ARRAY_SIZE(examples)];
    unsigned sure = 0;
    random_seed(&r, 11);
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
        wires[i] = wire_of(examples[i].message, examples[i].text);
    for (int round = 0; round < ROUNDS; round++) {
        char data[CAP];
        size_t i = random_below(&r, ARRAY_SIZE(examples)), len = wires[i].len;
        memcpy(data, wires[i].data, len);
        for (uint64_t n = random_below(&r, 2) + 1; n > 0 && len < CAP / 2; n--)
            len = damage(&r, data, len);
        char *exact = memcpy(malloc(len), data, len);
        sure += check(bytes_of(examples[i].message), bytes_from(exact, len)) != 0;
        free(exact);
    }
    ck_assert_uint_gt(sure, ROUNDS / 100);
}
END_TEST

static void setup(void)
{
    pool = descriptors_new();
    validator = validator_new(pool);
    arena = arena_new(0);
}

static void teardown(void)
{
    validator_free(&validator);
    descriptors_free(&pool);
    arena_free(&arena);
}

int main(void)
{
    TCase *tc = tcase_create("validate_quick");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, as_sure_as_can_be);
    tcase_add_test(tc, two_readings);
    tcase_add_test(tc, every_message_of_the_api);
    tcase_add_test(tc, definitions_go);
    tcase_add_test(tc, damaged_bytes);
    Suite *s = suite_create("validate_quick");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
