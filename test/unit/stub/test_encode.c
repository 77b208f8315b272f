/* YAML to wire bytes: the forms and the errors. check_encoder.py compares all types with Python. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "api_descriptors.h"
#include "encode.h"
#include "print.h"
#include "resource.h"

static struct desc_pool pool;
static struct error err;

static void start(void)
{
    ck_assert(desc_pool_add_zlib(&pool, api_descriptors_z, api_descriptors_z_size, &err));
    ck_assert(desc_pool_link(&pool, &err));
}

static void tidy(void)
{
    desc_pool_fini(&pool);
    error_fini(&err);
}

/* The YAML as a message of the type, and back as JSON. */
static char *through(const char *type, const char *yaml)
{
    const struct desc_message *m = desc_find(&pool, type);
    struct encoder e = {.pool = &pool, .file = "f", .err = &err};
    struct text bytes = {0}, json = {0};
    struct tree *tree;

    ck_assert_ptr_nonnull(m);
    ck_assert(tree_parse(&tree, "f", yaml, strlen(yaml), NULL, &err));
    if (encode_message(&e, m, tree->documents[0], NULL, &bytes))
        print_message(&pool, m, bytes.data, bytes.len, &json);
    else
        text_puts(&json, err.text);
    text_fini(&bytes);
    tree_free(&tree);
    return text_take(&json);
}

static void expect(const char *type, const char *yaml, const char *want)
{
    char *got = through(type, yaml);

    ck_assert_str_eq(got, want);
    free(got);
}

#define CLUSTER "envoy.config.cluster.v3.Cluster"

START_TEST(both_spellings_and_both_enums)
{
    expect(CLUSTER, "{name: c, connectTimeout: 1.5s, lb_policy: RANDOM, type: 3}",
           "{\"name\":\"c\",\"type\":\"EDS\",\"connect_timeout\":\"1.5s\","
           "\"lb_policy\":\"RANDOM\"}");
}
END_TEST

START_TEST(an_any_in_an_any)
{
    expect(
        "envoy.config.core.v3.TypedExtensionConfig",
        "name: n\ntyped_config: {'@type': google.protobuf.Any, value: {'@type': "
        "type.googleapis.com/google.protobuf.Duration, value: 3s}}",
        "{\"name\":\"n\",\"typed_config\":{\"@type\":\"type.googleapis.com/google.protobuf.Any\","
        "\"value\":{\"@type\":\"type.googleapis.com/google.protobuf.Duration\","
        "\"value\":\"3s\"}}}");
}
END_TEST

START_TEST(raw_bytes_in_an_any)
{
    expect("envoy.config.core.v3.TypedExtensionConfig",
           "typed_config: {'@type': type.googleapis.com/no.such.Type, '@raw': AAEC}",
           "{\"typed_config\":{\"@type\":\"type.googleapis.com/no.such.Type\",\"@raw\":\"AAEC\"}}");
}
END_TEST

START_TEST(errors_name_place_field_and_reason)
{
    expect(CLUSTER,
           "name: c\nload_assignment:\n  endpoints:\n  - lb_endpoints:\n    - endpoint:\n"
           "        address: {socket_address: {port_value: x}}",
           "f:6:48: load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address."
           "port_value: expected a number (uint32), found \"x\"");
    expect(CLUSTER, "nam: c",
           "f:1:1: envoy.config.cluster.v3.Cluster has no field \"nam\"; did you mean \"name\"?");
    expect(CLUSTER, "{name: c, connect_timeout: 5}",
           "f:1:28: connect_timeout: expected a duration such as \"1.5s\", found \"5\"");
    expect(CLUSTER, "{name: [c]}", "f:1:8: name: expected a string, found a list");
    expect(CLUSTER, "{type: EDS, cluster_type: {name: x}}",
           "f:1:13: type and cluster_type exclude each other (oneof cluster_discovery_type)");
    expect(CLUSTER, "{connect_timeout: 1s, connectTimeout: 1s}",
           "f:1:23: field connect_timeout stands here twice");
    expect(CLUSTER, "{dns_lookup_family: V5}",
           "f:1:21: dns_lookup_family: \"V5\" is no value of "
           "envoy.config.cluster.v3.Cluster.DnsLookupFamily (AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED, "
           "ALL)");
    expect(CLUSTER, "{metadata: {filter_metadata: {a: 1}}}",
           "f:1:34: metadata.filter_metadata[\"a\"]: expected a mapping, found a scalar");
}
END_TEST

START_TEST(an_unknown_type_is_refused)
{
    expect("envoy.config.core.v3.TypedExtensionConfig", "typed_config: {'@type': a.b/Nope}",
           "f:1:25: typed_config: type \"a.b/Nope\" is not in the API");
}
END_TEST

static struct resource *make(const char *yaml)
{
    struct resource *r = NULL;
    struct tree *tree;

    ck_assert(tree_parse(&tree, "f", yaml, strlen(yaml), NULL, &err));
    if (!resource_make(&r, &pool, "f", tree->documents[0], NULL, NULL, &err))
        ck_assert_ptr_null(r);
    tree_free(&tree);
    return r;
}

START_TEST(resources_by_short_name)
{
    struct resource *r = make("{'@type': ClusterLoadAssignment, cluster_name: c}");

    ck_assert_str_eq(r->type_url,
                     "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment");
    ck_assert_str_eq(r->name, "c");
    resource_unref(&r);
}
END_TEST

START_TEST(raw_resources)
{
    struct resource *r = make("{type_url: type.googleapis.com/x.Y, name: n, raw: 'AAEC'}");

    ck_assert_str_eq(r->type_url, "type.googleapis.com/x.Y");
    ck_assert_uint_eq(r->len, 3);
    resource_unref(&r);
    ck_assert_ptr_null(make("{type_url: x.Y, name: n, raw: '*'}"));
    ck_assert_str_eq(err.text, "f:1:31: raw: expected bytes in base64");
}
END_TEST

START_TEST(wrapped_resources)
{
    struct resource *r = make("{'@type': envoy.service.discovery.v3.Resource, name: n, ttl: 1s, "
                              "resource: {'@type': Cluster, name: c}}");

    ck_assert_str_eq(r->type_url, "type.googleapis.com/envoy.config.cluster.v3.Cluster");
    ck_assert_str_eq(r->name, "n");
    ck_assert_ptr_nonnull(r->wrapper);
    ck_assert_uint_eq(r->len, 3);
    resource_unref(&r);
}
END_TEST

START_TEST(a_resource_needs_a_name)
{
    ck_assert_ptr_null(make("{'@type': Cluster}"));
    ck_assert_str_eq(err.text, "f:1:1: this envoy.config.cluster.v3.Cluster needs a name");
    ck_assert_ptr_null(make("{name: c}"));
    ck_assert_str_eq(err.text, "f:1:1: a resource needs @type (or raw with type_url and name)");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stub/encode");
    TCase *tc = tcase_create("forms");
    tcase_add_checked_fixture(tc, start, tidy);
    tcase_add_test(tc, both_spellings_and_both_enums);
    tcase_add_test(tc, an_any_in_an_any);
    tcase_add_test(tc, raw_bytes_in_an_any);
    tcase_add_test(tc, errors_name_place_field_and_reason);
    tcase_add_test(tc, an_unknown_type_is_refused);
    tcase_add_test(tc, resources_by_short_name);
    tcase_add_test(tc, raw_resources);
    tcase_add_test(tc, wrapped_resources);
    tcase_add_test(tc, a_resource_needs_a_name);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
