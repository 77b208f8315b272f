/* The pack of official descriptors inflates, is in order, and is complete enough for reflection. */
#include "api_descriptors.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <upb/def.h>
#include <zlib.h>

static unsigned char *plain;

struct part {
    const char *data;
    uint32_t size;
};

static struct part next_part(size_t *at)
{
    struct part part;
    ck_assert_uint_le(*at + 4, api_descriptors_size);
    const unsigned char *p = plain + *at;
    part.size = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    ck_assert_uint_le(*at + 4 + part.size, api_descriptors_size);
    part.data = (const char *)p + 4;
    *at += 4 + part.size;
    return part;
}

static void inflate_pack(void)
{
    uLongf size = api_descriptors_size;
    plain = malloc(size);
    ck_assert_ptr_nonnull(plain);
    ck_assert_int_eq(uncompress(plain, &size, api_descriptors_z, api_descriptors_z_size), Z_OK);
    ck_assert_uint_eq(size, api_descriptors_size);
}

static void free_pack(void)
{
    free(plain);
}

static void load(upb_DefPool *pool, struct part name, struct part body)
{
    upb_Arena *arena = upb_Arena_New();
    upb_Status status;
    upb_Status_Clear(&status);
    google_protobuf_FileDescriptorProto *file =
        google_protobuf_FileDescriptorProto_parse(body.data, body.size, arena);
    ck_assert_ptr_nonnull(file);
    upb_StringView inside = google_protobuf_FileDescriptorProto_name(file);
    ck_assert_uint_eq(inside.size, name.size);
    ck_assert_int_eq(memcmp(inside.data, name.data, name.size), 0);
    if (!upb_DefPool_AddFile(pool, file, &status))
        ck_abort_msg("%.*s: %s", (int)name.size, name.data, upb_Status_ErrorMessage(&status));
    upb_Arena_Free(arena);
}

START_TEST(every_file_loads_in_order)
{
    upb_DefPool *pool = upb_DefPool_New();
    size_t at = 0, files = 0;
    while (at < api_descriptors_size) {
        struct part name = next_part(&at);
        load(pool, name, next_part(&at));
        files++;
    }
    ck_assert_uint_ge(files, 638);
    const char *names[] = {
        "envoy.config.bootstrap.v3.Bootstrap",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "envoy.admin.v3.ConfigDump",
        "udpa.type.v1.TypedStruct",
        "xds.type.v3.TypedStruct",
        "google.protobuf.FieldMask",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_msg(upb_DefPool_FindMessageByName(pool, names[i]) != NULL, "%s", names[i]);
    upb_DefPool_Free(pool);
}
END_TEST

START_TEST(options_carry_the_validation_rules)
{
    /* The rules are extensions of FieldOptions: number 1071, so the tag bytes 0xfa 0x42. */
    const char *file = "envoy/config/cluster/v3/cluster.proto";
    size_t at = 0;
    while (at < api_descriptors_size) {
        struct part name = next_part(&at);
        struct part body = next_part(&at);
        if (name.size == strlen(file) && memcmp(name.data, file, name.size) == 0) {
            ck_assert_ptr_nonnull(memmem(body.data, body.size, "\xfa\x42", 2));
            return;
        }
    }
    ck_abort_msg("%s is not in the pack", file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/descriptors");
    TCase *tc = tcase_create("pack");
    tcase_add_checked_fixture(tc, inflate_pack, free_pack);
    tcase_add_test(tc, every_file_loads_in_order);
    tcase_add_test(tc, options_carry_the_validation_rules);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
