/* Reading DiscoveryResponse off the wire. */
#include <check.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/strbuf.h"
#include "config/wire.h"
#include "xds/discovery.h"

static void put_any(struct strbuf *out, uint32_t field, const char *type, struct bytes value)
{
    struct strbuf any = STRBUF_INIT;
    wire_put_bytes(&any, 1, bytes_of(type));
    wire_put_bytes(&any, 2, value);
    wire_put_bytes(out, field, strbuf_bytes(&any));
    strbuf_fini(&any);
}

static const char route[] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

static struct strbuf response(void)
{
    struct strbuf r = STRBUF_INIT, body = STRBUF_INIT, wrapper = STRBUF_INIT, plane = STRBUF_INIT;
    wire_put_bytes(&r, 1, BYTES("v1"));
    wire_put_bytes(&body, 1, BYTES("plain"));
    put_any(&r, 2, route, strbuf_bytes(&body));
    strbuf_reset(&body);
    wire_put_bytes(&body, 1, BYTES("inner"));
    wire_put_bytes(&wrapper, 1, BYTES("v9"));
    put_any(&wrapper, 2, route, strbuf_bytes(&body));
    wire_put_bytes(&wrapper, 3, BYTES("wrapped"));
    put_any(&r, 2, "type.googleapis.com/envoy.service.discovery.v3.Resource",
            strbuf_bytes(&wrapper));
    wire_put_bytes(&r, 4, bytes_of(route));
    wire_put_bytes(&r, 5, BYTES("n1"));
    wire_put_bytes(&plane, 1, BYTES("cp"));
    wire_put_bytes(&r, 6, strbuf_bytes(&plane));
    strbuf_fini(&body);
    strbuf_fini(&wrapper);
    strbuf_fini(&plane);
    return r;
}

#define ck_bytes(b, s) ck_assert_msg(bytes_eq_str((b), (s)), "'%.*s'", BYTES_ARG(b))

START_TEST(test_fields_and_wrapped_resources)
{
    struct strbuf wire = response();
    struct discovery_response r;
    ck_assert(discovery_response_read(strbuf_bytes(&wire), &r));
    ck_bytes(r.version, "v1");
    ck_bytes(r.nonce, "n1");
    ck_bytes(r.type_url, route);
    ck_bytes(r.control_plane, "cp"); /* rule S13 */
    ck_assert_uint_eq(r.n_resources, 2);
    ck_bytes(r.resources[0].name, "plain");
    ck_bytes(r.resources[0].version, "");
    ck_bytes(r.resources[1].name, "wrapped");
    ck_bytes(r.resources[1].version, "v9");
    ck_bytes(r.resources[1].type_url, route);
    ck_bytes(wire_find_bytes(r.resources[1].wire, 1), "inner");
    discovery_response_fini(&r);
    strbuf_fini(&wire);
}
END_TEST

START_TEST(test_delta_fields_aliases_and_heartbeats)
{
    struct strbuf r = STRBUF_INIT, body = STRBUF_INIT, resource = STRBUF_INIT;
    struct discovery_response d;
    wire_put_bytes(&body, 1, BYTES("inner"));
    wire_put_bytes(&resource, 3, BYTES("name"));
    wire_put_bytes(&resource, 4, BYTES("alias1"));
    put_any(&resource, 2, route, strbuf_bytes(&body));
    wire_put_bytes(&resource, 1, BYTES("v9"));
    wire_put_bytes(&resource, 4, BYTES("alias2"));
    wire_put_bytes(&r, 1, BYTES("system"));
    wire_put_bytes(&r, 2, strbuf_bytes(&resource));
    strbuf_reset(&resource);
    wire_put_bytes(&resource, 3, BYTES("heartbeat"));
    wire_put_bytes(&r, 2, strbuf_bytes(&resource));
    wire_put_bytes(&r, 4, bytes_of(route));
    wire_put_bytes(&r, 5, BYTES("n1"));
    wire_put_bytes(&r, 6, BYTES("gone1"));
    wire_put_bytes(&r, 6, BYTES("gone2"));
    strbuf_reset(&resource);
    wire_put_bytes(&resource, 1, BYTES("cp"));
    wire_put_bytes(&r, 7, strbuf_bytes(&resource));
    ck_assert(delta_response_read(strbuf_bytes(&r), &d));
    ck_bytes(d.version, "system");
    ck_bytes(d.nonce, "n1");
    ck_bytes(d.type_url, route);
    ck_bytes(d.control_plane, "cp");
    ck_assert_uint_eq(d.n_resources, 2);
    ck_bytes(d.resources[0].name, "name");
    ck_bytes(d.resources[0].version, "v9");
    ck_bytes(wire_find_bytes(d.resources[0].wire, 1), "inner");
    ck_bytes(d.resources[1].name, "heartbeat");
    ck_assert_ptr_null(d.resources[1].wire.data);
    ck_assert_uint_eq(d.n_removed, 2);
    ck_bytes(d.removed[1], "gone2");
    struct bytes rest = d.resources[0].wrapper, alias; /* rule D12 */
    ck_assert(discovery_next_alias(&rest, &alias));
    ck_bytes(alias, "alias1");
    ck_assert(discovery_next_alias(&rest, &alias));
    ck_bytes(alias, "alias2");
    ck_assert(!discovery_next_alias(&rest, &alias));
    discovery_response_fini(&d);
    ck_assert(!delta_response_read(BYTES("\x12\x05"
                                         "ab"),
                                   &d));
    ck_assert(!delta_response_read(BYTES("\x12\x04\x12\x02\x0a\x09"), &d));
    strbuf_fini(&r);
    strbuf_fini(&body);
    strbuf_fini(&resource);
}
END_TEST

/* Rule A13: what is no message is a stream error. */
START_TEST(test_a_resource_without_a_name_has_an_empty_one)
{
    struct strbuf wire = STRBUF_INIT, wrapper = STRBUF_INIT;
    struct discovery_response r;
    put_any(&wire, 2, route, BYTES(""));
    put_any(&wrapper, 2, route, BYTES(""));
    put_any(&wire, 2, "type.googleapis.com/envoy.service.discovery.v3.Resource",
            strbuf_bytes(&wrapper));
    ck_assert(discovery_response_read(strbuf_bytes(&wire), &r));
    ck_assert_uint_eq(r.n_resources, 2);
    for (unsigned i = 0; i < 2; i++)
        ck_assert(r.resources[i].name.data && r.resources[i].name.len == 0);
    discovery_response_fini(&r);
    strbuf_fini(&wire);
    strbuf_fini(&wrapper);
}
END_TEST

START_TEST(test_A13_corrupt_bytes_are_refused)
{
    struct discovery_response r;
    ck_assert(!discovery_response_read(BYTES("\x12\x05"
                                             "ab"),
                                       &r));
    ck_assert(!discovery_response_read(BYTES("\x12\x02\x0a\x09"), &r)); /* inside an Any */
    ck_assert(discovery_response_read(BYTES(""), &r));
    discovery_response_fini(&r);
}
END_TEST

START_TEST(test_random_bytes_do_no_harm)
{
    struct random_source random;
    random_seed(&random, 5);
    for (int i = 0; i < 20000; i++) {
        struct strbuf wire = response();
        struct discovery_response r;
        for (uint64_t k = random_below(&random, 5); k--;)
            wire.data[random_below(&random, wire.len)] = (char)random_u64(&random);
        strbuf_cut(&wire, (size_t)random_below(&random, wire.len + 1));
        if (discovery_response_read(strbuf_bytes(&wire), &r))
            discovery_response_fini(&r);
        if (delta_response_read(strbuf_bytes(&wire), &r))
            discovery_response_fini(&r);
        strbuf_fini(&wire);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("discovery");
    TCase *t = tcase_create("all");
    tcase_add_test(t, test_fields_and_wrapped_resources);
    tcase_add_test(t, test_delta_fields_aliases_and_heartbeats);
    tcase_add_test(t, test_A13_corrupt_bytes_are_refused);
    tcase_add_test(t, test_a_resource_without_a_name_has_an_empty_one);
    tcase_add_test(t, test_random_bytes_do_no_harm);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
