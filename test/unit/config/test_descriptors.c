#include "config/descriptors.h"

#include <check.h>
#include <stdlib.h>
#include <upb/arena.h>
#include <upb/def.h>

static struct descriptors *pool;

static const struct upb_FieldDef *field(const char *message, const char *name)
{
    const struct upb_MessageDef *m = descriptors_message(pool, bytes_of(message));
    ck_assert_ptr_nonnull(m);
    const struct upb_FieldDef *f = upb_MessageDef_FindFieldByName(m, name);
    ck_assert_ptr_nonnull(f);
    return f;
}

START_TEST(files_load_when_named)
{
    struct descriptors *d = descriptors_new();
    ck_assert_uint_eq(descriptors_files_loaded(d), 0);
    ck_assert_ptr_nonnull(descriptors_message(d, BYTES("google.protobuf.Duration")));
    ck_assert_uint_eq(descriptors_files_loaded(d), 1);
    ck_assert_ptr_nonnull(descriptors_message(d, BYTES("envoy.config.core.v3.Node")));
    size_t n = descriptors_files_loaded(d);
    ck_assert_uint_gt(n, 5);
    ck_assert_ptr_nonnull(descriptors_message(d, BYTES("envoy.config.core.v3.Locality")));
    ck_assert_uint_eq(descriptors_files_loaded(d), n);
    descriptors_free(&d);
    ck_assert_ptr_null(d);
}
END_TEST

START_TEST(files_go_when_not_named)
{
    descriptors_message(pool, BYTES("envoy.config.core.v3.Node"));
    size_t n = descriptors_files_loaded(pool);
    for (int i = 0; i < RESTS_IN_VAIN; i++)
        descriptors_rest(pool);
    descriptors_message(pool, BYTES("envoy.config.core.v3.Node")); /* counts from here */
    for (int i = 0; i < RESTS_IN_VAIN; i++)
        descriptors_rest(pool);
    ck_assert_uint_eq(descriptors_files_loaded(pool), n);
    descriptors_rest(pool);
    ck_assert_uint_eq(descriptors_files_loaded(pool), 0);
    const struct upb_FieldDef *f = field("envoy.config.core.v3.Node", "id");
    ck_assert_uint_eq(upb_FieldDef_Number(f), 1);
    ck_assert_uint_eq(descriptors_files_loaded(pool), n);
}
END_TEST

START_TEST(names)
{
    ck_assert_ptr_nonnull(
        descriptors_message(pool, BYTES("envoy.config.bootstrap.v3.Bootstrap.StaticResources")));
    ck_assert_ptr_nonnull(descriptors_message(pool, BYTES("google.protobuf.FieldMask")));
    ck_assert_ptr_nonnull(descriptors_message(pool, BYTES("udpa.type.v1.TypedStruct")));
    ck_assert_ptr_nonnull(descriptors_message(pool, BYTES("xds.type.v3.TypedStruct")));
    ck_assert_ptr_null(descriptors_message(pool, BYTES("envoy.config.core.v3.Nothing")));
    ck_assert_ptr_null(descriptors_message(pool, BYTES("envoy.config.core.v3.Node.Nothing")));
    ck_assert_ptr_null(descriptors_message(pool, BYTES("")));
    ck_assert_ptr_null(descriptors_message(pool, BYTES_NONE));
    ck_assert_ptr_null(descriptors_message(pool, BYTES(".")));
    ck_assert_ptr_null(descriptors_message(pool, BYTES("envoy.config.core.v3.RequestMethod")));
    ck_assert_ptr_nonnull(descriptors_enum(pool, BYTES("envoy.config.core.v3.RequestMethod")));
    ck_assert_ptr_nonnull(
        descriptors_type_url(pool, BYTES("type.googleapis.com/envoy.config.cluster.v3.Cluster")));
    ck_assert(bytes_eq_str(descriptors_type_name(BYTES("a/b/c.D")), "c.D"));
    ck_assert(bytes_eq_str(descriptors_type_name(BYTES("c.D")), "c.D"));
}
END_TEST

static void load_one(void *ctx, struct bytes name)
{
    size_t *n = ctx;
    ++*n;
    ck_assert_ptr_nonnull(descriptors_message(pool, name));
}

START_TEST(the_whole_api_loads)
{
    size_t n = 0;
    descriptors_each_message(pool, BYTES(""), load_one, &n);
    ck_assert_uint_gt(n, 900);
    n = 0;
    descriptors_each_message(pool, BYTES("envoy.extensions.filters.http.router."), load_one, &n);
    ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(options)
{
    ck_assert(descriptors_field_sensitive(
        field("envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "private_key")));
    ck_assert(!descriptors_field_sensitive(
        field("envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "certificate_chain")));
    ck_assert(
        descriptors_field_deprecated(field("envoy.config.route.v3.HeaderMatcher", "exact_match")));
    ck_assert(!descriptors_field_deprecated(field("envoy.config.route.v3.HeaderMatcher", "name")));
    ck_assert_uint_gt(
        descriptors_field_rules(field("envoy.config.route.v3.HeaderMatcher", "name")).len, 0);
    ck_assert_ptr_null(
        descriptors_field_rules(field("envoy.config.route.v3.HeaderMatcher", "invert_match")).data);
}
END_TEST

START_TEST(corrupt_bytes)
{
    struct error err = ERROR_INIT;
    upb_Arena *arena = upb_Arena_New();
    const struct upb_MessageDef *m = descriptors_message(pool, BYTES("envoy.config.core.v3.Node"));
    ck_assert_ptr_nonnull(descriptors_decode(m, BYTES_NONE, arena, &err));
    ck_assert_ptr_null(descriptors_decode(m, BYTES("\x0a\x05xx"), arena, &err));
    ck_assert_str_eq(error_text(&err), "envoy.config.core.v3.Node: bytes are corrupt");
    error_fini(&err);
    ck_assert_ptr_null(descriptors_decode(m, BYTES("\x0a\x01\xff"), arena, &err));
    ck_assert_str_eq(error_text(&err), "envoy.config.core.v3.Node: a string is not UTF-8");
    error_fini(&err);
    upb_Arena_Free(arena);
}
END_TEST

/* Bytes on which libupb 1.51 ends the process: a map entry with an unknown field, at the end. */
START_TEST(map_entry_with_unknown_field)
{
    struct error err = ERROR_INIT;
    upb_Arena *arena = upb_Arena_New();
    const struct upb_MessageDef *m =
        descriptors_message(pool, BYTES("envoy.config.core.v3.Metadata"));
    struct bytes body = BYTES("\x0a\x1a\x62\x09line\xec"
                              "end\t\x12\x00\x0a\x0b"
                              "0123456789a");
    ck_assert_ptr_null(descriptors_decode(m, body, arena, &err));
    ck_assert_str_eq(error_text(&err), "envoy.config.core.v3.Metadata.FilterMetadataEntry: a map "
                                       "entry with an unknown field");
    error_fini(&err);
    body = BYTES("\x0a\x10\x08\x01\x0a\x0c"
                 "0123456789ab");
    ck_assert_ptr_null(descriptors_decode(m, body, arena, &err));
    error_fini(&err);
    upb_Arena_Free(arena);
}
END_TEST

static void setup(void)
{
    pool = descriptors_new();
}

static void teardown(void)
{
    descriptors_free(&pool);
}

int main(void)
{
    TCase *tc = tcase_create("descriptors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, files_load_when_named);
    tcase_add_test(tc, files_go_when_not_named);
    tcase_add_test(tc, names);
    tcase_add_test(tc, the_whole_api_loads);
    tcase_add_test(tc, options);
    tcase_add_test(tc, corrupt_bytes);
    tcase_add_test(tc, map_entry_with_unknown_field);
    Suite *s = suite_create("descriptors");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
