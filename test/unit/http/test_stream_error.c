#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/http/stream_error.h"

/* Every row is filled, and says what Envoy says. */
START_TEST(test_rows)
{
    for (int i = 0; i < STREAM_ERROR_COUNT; i++) {
        const struct stream_error *e = stream_error_get((enum stream_error_id)i);
        ck_assert_ptr_nonnull(e->name);
        ck_assert_ptr_nonnull(e->details);
        ck_assert_ptr_nonnull(e->body);
        ck_assert(e->status == 0 || (e->status >= 300 && e->status < 600));
        ck_assert_uint_lt(e->flags, 1u << RESPONSE_FLAG_COUNT);
    }
    const struct stream_error *e = stream_error_get(STREAM_ERROR_NO_HEALTHY_UPSTREAM);
    ck_assert_uint_eq(e->status, 503);
    ck_assert_str_eq(e->body, "no healthy upstream");
    ck_assert_uint_eq(e->flags, 1u << RESPONSE_FLAG_NO_HEALTHY_UPSTREAM);
    ck_assert_str_eq(response_flag_short(RESPONSE_FLAG_NO_HEALTHY_UPSTREAM), "UH");
    ck_assert_str_eq(response_flag_long(RESPONSE_FLAG_NO_HEALTHY_UPSTREAM), "NoHealthyUpstream");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stream_error");
    TCase *t = tcase_create("rows");
    tcase_add_test(t, test_rows);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
