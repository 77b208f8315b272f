/* What was accepted last, as a file that outlives the process. */
#include "config/kept_world.h"

#include <check.h>
#include <stdlib.h>

#include "config/sensitive.h"
#include "config_fixture.h"

static struct fixture f;
static struct strbuf file;
static const struct kept_node node = {BYTES("n"), BYTES("c")};

#define EDS "{name: web, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}"
#define CLA                                                                                        \
    "{cluster_name: web, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "       \
    "{address: 127.0.0.1, port_value: 80}}}}]}]}"

/* A world of one cluster with its endpoints, saved. */
static void setup(void)
{
    size_t left_out;
    fixture_init(&f);
    fixture_start(&f);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "web", EDS), "");
    ck_assert_str_eq(fixture_update(&f, RESOURCE_ENDPOINT, "web", CLA), "");
    f.clock.wall = 77 * NS_PER_S;
    ck_assert(kept_world_write(f.builder, &node, &file, &left_out));
    ck_assert_uint_eq(left_out, 0);
}

static void teardown(void)
{
    strbuf_fini(&file);
    fixture_fini(&f);
}

/* Another process, whose source does not answer. */
static void restart(void)
{
    fixture_fini(&f);
    fixture_init(&f);
    builder_start(f.builder, &f.ads, &f.ads);
}

static struct kept_world *read_file(const struct kept_node *who, const char *words)
{
    struct error err = ERROR_INIT;
    struct kept_world *k = kept_world_read(strbuf_bytes(&file), who, &err);
    ck_assert_msg(k ? !words : words && strstr(error_text(&err), words), "%s", error_text(&err));
    error_fini(&err);
    return k;
}

START_TEST(comes_back)
{
    struct kept_world *k = read_file(&node, NULL);
    ck_assert_uint_eq(kept_world_saved_ns(k), 77 * NS_PER_S);
    ck_assert_uint_eq(kept_world_count(k), 2);
    restart();
    ck_assert_uint_eq(kept_world_apply(k, f.builder, BYTES("another")), 0);
    ck_assert(!builder_serves_kept(f.builder));
    ck_assert_uint_eq(kept_world_apply(k, f.builder, f.ads.key), 2);
    builder_commit(f.builder);
    ck_assert_ptr_nonnull(fixture_cluster(&f, "web"));
    ck_assert(builder_serves_kept(f.builder) && !builder_has_world(f.builder));
    ck_assert_uint_eq(kept_world_apply(k, f.builder, f.ads.key), 0);
    kept_world_free(&k);
}
END_TEST

START_TEST(an_answer_takes_its_place)
{
    static const char *const none[] = {NULL};
    struct kept_world *k = read_file(&node, NULL);
    restart();
    kept_world_apply(k, f.builder, f.ads.key);
    fixture_full(&f, RESOURCE_CLUSTER, none);
    builder_commit(f.builder);
    ck_assert_ptr_null(fixture_cluster(&f, "web"));
    ck_assert(!builder_serves_kept(f.builder));
    ck_assert_uint_eq(kept_world_apply(k, f.builder, f.ads.key), 0);
    fixture_full(&f, RESOURCE_LISTENER, none);
    ck_assert(builder_has_world(f.builder));
    kept_world_free(&k);
}
END_TEST

START_TEST(nothing_older_than_an_answer_is_given)
{
    static const char *const none[] = {NULL};
    struct kept_world *k = read_file(&node, NULL);
    restart();
    fixture_full(&f, RESOURCE_CLUSTER, none);
    ck_assert_uint_eq(kept_world_apply(k, f.builder, f.ads.key), 0);
    kept_world_free(&k);
}
END_TEST

START_TEST(every_changed_byte_is_noticed)
{
    for (size_t i = 0; i < file.len; i++) {
        struct error err = ERROR_INIT;
        file.data[i] ^= 1;
        ck_assert_ptr_null(kept_world_read(strbuf_bytes(&file), &node, &err));
        file.data[i] ^= 1;
        ck_assert_ptr_null(kept_world_read(bytes_first(strbuf_bytes(&file), i), &node, &err));
        error_fini(&err);
    }
}
END_TEST

START_TEST(is_for_one_node)
{
    struct kept_node other = {BYTES("m"), BYTES("c")};
    read_file(&other, "another node, 'n'");
    other = (struct kept_node){BYTES("n"), BYTES("d")};
    read_file(&other, "another cluster of nodes, 'c'");
}
END_TEST

#define TLS(key)                                                                                   \
    "{name: web, transport_socket: {name: tls, typed_config: {'@type': "                           \
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, "           \
    "common_tls_context: {tls_certificates: [{private_key: {" key "}}]}}}}"

START_TEST(secrets_are_found)
{
    static const struct {
        const char *yaml;
        bool found;
    } rows[] = {
        {EDS, false},
        {TLS("filename: /key.pem"), false},
        {TLS("inline_string: key"), true},
        {TLS("inline_bytes: a2V5"), true},
        {"{name: web, transport_socket: {name: tls, typed_config: {'@type': "
         "type.googleapis.com/xds.type.v3.TypedStruct, type_url: "
         "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, value: "
         "{common_tls_context: {tls_certificates: [{private_key: {inline_string: key}}]}}}}}",
         true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct bytes wire = fixture_wire(&f, "envoy.config.cluster.v3.Cluster", rows[i].yaml);
        ck_assert_msg(sensitive_found(f.descriptors, BYTES("envoy.config.cluster.v3.Cluster"),
                                      wire) == rows[i].found,
                      "%s", rows[i].yaml);
    }
    ck_assert(
        sensitive_found(f.descriptors, BYTES("envoy.config.cluster.v3.Cluster"), BYTES("\xff")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kept_world");
    TCase *t = tcase_create("kept_world");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, comes_back);
    tcase_add_test(t, an_answer_takes_its_place);
    tcase_add_test(t, nothing_older_than_an_answer_is_given);
    tcase_add_test(t, every_changed_byte_is_noticed);
    tcase_add_test(t, is_for_one_node);
    tcase_add_test(t, secrets_are_found);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
