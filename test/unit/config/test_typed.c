#include "config/typed.h"

#include <check.h>
#include <stdlib.h>

#include "config/json_read.h"
#include "config/json_write.h"

#define ROUTER "envoy.extensions.filters.http.router.v3.Router"

static struct descriptors *pool;
static struct arena *arena;

static struct bytes any_of(const char *text)
{
    struct error err = ERROR_INIT;
    struct bytes body;
    struct yaml_node *n = yaml_parse(arena, "f", bytes_of(text), &err);
    ck_assert_msg(n && json_read(pool, n, BYTES("google.protobuf.Any"), NULL, arena, &body, &err),
                  "%s", error_text(&err));
    return body;
}

START_TEST(plain_any)
{
    struct error err = ERROR_INIT;
    struct typed t;
    struct bytes any =
        any_of("{\"@type\": type.googleapis.com/" ROUTER ", suppress_envoy_headers: true}");
    ck_assert(typed_unwrap_any(pool, any, arena, &t, &err));
    ck_assert(bytes_eq_str(t.type_url, "type.googleapis.com/" ROUTER));
    ck_assert(bytes_eq_str(t.type_name, ROUTER));
    ck_assert(bytes_eq_str(t.value, "\x20\x01"));
}
END_TEST

START_TEST(both_typed_structs)
{
    static const char *const types[] = {"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct error err = ERROR_INIT;
        struct typed t;
        struct bytes any = any_of(arena_printf(
            arena,
            "\"@type\": type.googleapis.com/%s\n"
            "type_url: type.googleapis.com/" ROUTER "\n"
            "value: {suppressEnvoyHeaders: true, strict_check_headers: [x-envoy-max-retries]}\n",
            types[i]));
        ck_assert_msg(typed_unwrap_any(pool, any, arena, &t, &err), "%s", error_text(&err));
        ck_assert(bytes_eq_str(t.type_name, ROUTER));
        ck_assert(bytes_eq_str(t.value, "\x20\x01\x2a\x13x-envoy-max-retries"));
    }
}
END_TEST

START_TEST(nothing_is_unwrapped_without_descriptors)
{
    struct error err = ERROR_INIT;
    struct typed t;
    struct bytes any = any_of("{\"@type\": type.googleapis.com/xds.type.v3.TypedStruct,"
                              " type_url: type.googleapis.com/" ROUTER "}");
    ck_assert(typed_unwrap_any(NULL, any, arena, &t, &err));
    ck_assert(bytes_eq_str(t.type_name, "xds.type.v3.TypedStruct"));
    ck_assert(bytes_eq_str(typed_inner_url(t.value), "type.googleapis.com/" ROUTER));
}
END_TEST

START_TEST(unknown_inner_type)
{
    struct error err = ERROR_INIT;
    struct typed t;
    struct bytes any = any_of("\"@type\": type.googleapis.com/xds.type.v3.TypedStruct\n"
                              "type_url: type.googleapis.com/istio.telemetry.v1.Stats\n"
                              "value: {a: 1}\n");
    ck_assert(typed_unwrap_any(pool, any, arena, &t, &err));
    ck_assert(typed_is_typed_struct(t.type_name));
    ck_assert(
        bytes_eq_str(typed_inner_url(t.value), "type.googleapis.com/istio.telemetry.v1.Stats"));
}
END_TEST

START_TEST(errors)
{
    struct error err = ERROR_INIT;
    struct typed t;
    struct bytes any = any_of("\"@type\": type.googleapis.com/xds.type.v3.TypedStruct\n"
                              "type_url: type.googleapis.com/" ROUTER "\n"
                              "value: {supress_envoy_headers: true, dynamic_stats: [1]}\n");
    ck_assert(!typed_unwrap_any(pool, any, arena, &t, &err));
    ck_assert_str_eq(error_text(&err), "TypedStruct of " ROUTER
                                       ": dynamic_stats: expected true or false, got a list\n"
                                       "unknown field `supress_envoy_headers` in " ROUTER
                                       ": did you mean `suppress_envoy_headers`?");
    error_fini(&err);
    ck_assert(!typed_unwrap(pool, BYTES("x/xds.type.v3.TypedStruct"), BYTES("\x12\x05zz"), arena,
                            &t, &err));
    ck_assert_str_eq(error_text(&err), "xds.type.v3.TypedStruct: bytes are corrupt");
    error_fini(&err);
    any = any_of("\"@type\": type.googleapis.com/xds.type.v3.TypedStruct\n"
                 "type_url: type.googleapis.com/udpa.type.v1.TypedStruct\n");
    ck_assert(!typed_unwrap_any(pool, any, arena, &t, &err));
    error_fini(&err);
}
END_TEST

static void setup(void)
{
    pool = descriptors_new();
    arena = arena_new(0);
}

static void teardown(void)
{
    descriptors_free(&pool);
    arena_free(&arena);
}

int main(void)
{
    TCase *tc = tcase_create("typed");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, plain_any);
    tcase_add_test(tc, both_typed_structs);
    tcase_add_test(tc, nothing_is_unwrapped_without_descriptors);
    tcase_add_test(tc, unknown_inner_type);
    tcase_add_test(tc, errors);
    Suite *s = suite_create("typed");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
