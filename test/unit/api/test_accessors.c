/* The generated accessors write and read official bytes, whatever else the process links. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "envoy/config/cluster/v3/cluster.upb.h"
#include "envoy/service/discovery/v3/discovery.upb.h"
#include "google/protobuf/any.upb.h"
#include "google/protobuf/duration.upb.h"

START_TEST(a_cluster_has_its_official_bytes)
{
    upb_Arena *arena = upb_Arena_New();
    envoy_config_cluster_v3_Cluster *cluster = envoy_config_cluster_v3_Cluster_new(arena);
    envoy_config_cluster_v3_Cluster_set_name(cluster, upb_StringView_FromString("c"));
    google_protobuf_Duration *timeout =
        envoy_config_cluster_v3_Cluster_mutable_connect_timeout(cluster, arena);
    google_protobuf_Duration_set_seconds(timeout, 5);
    size_t size;
    const char *bytes = envoy_config_cluster_v3_Cluster_serialize(cluster, arena, &size);
    /* name = 1, connect_timeout = 4 { seconds = 1 } */
    const char want[] = "\x0a\x01\x63\x22\x02\x08\x05";
    ck_assert_uint_eq(size, sizeof(want) - 1);
    ck_assert_int_eq(memcmp(bytes, want, size), 0);
    upb_Arena_Free(arena);
}
END_TEST

START_TEST(a_response_is_read_with_its_resources)
{
    /* version_info = 1 "7", resources = 2 { type_url = 1 "t", value = 2 "v" }, nonce = 5 "n" */
    const char bytes[] = "\x0a\x01\x37\x12\x06\x0a\x01t\x12\x01v\x2a\x01n";
    upb_Arena *arena = upb_Arena_New();
    const envoy_service_discovery_v3_DiscoveryResponse *response =
        envoy_service_discovery_v3_DiscoveryResponse_parse(bytes, sizeof(bytes) - 1, arena);
    ck_assert_ptr_nonnull(response);
    size_t count;
    const google_protobuf_Any *const *resources =
        envoy_service_discovery_v3_DiscoveryResponse_resources(response, &count);
    ck_assert_uint_eq(count, 1);
    upb_StringView url = google_protobuf_Any_type_url(resources[0]);
    ck_assert_uint_eq(url.size, 1);
    ck_assert_int_eq(url.data[0], 't');
    ck_assert_int_eq(envoy_service_discovery_v3_DiscoveryResponse_nonce(response).data[0], 'n');
    upb_Arena_Free(arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/accessors");
    TCase *tc = tcase_create("bytes");
    tcase_add_test(tc, a_cluster_has_its_official_bytes);
    tcase_add_test(tc, a_response_is_read_with_its_resources);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
