/* Each condition of a retry, against what Envoy 1.40 did with the same answers and failures. */
#include <check.h>
#include <stdlib.h>

#include "base/clock.h"
#include "dataplane/upstream/retry.h"

static struct arena *a;
static struct headers request, response;

static void set_up(void)
{
    a = arena_new(0);
    headers_init(&request, a);
    headers_init(&response, a);
}

static void tear_down(void)
{
    arena_free(&a);
}

static const uint32_t codes[] = {404, 200};
static struct header_matcher x_again = {
    .name = {"x-again", 7}, .kind = HEADER_MATCH_PRESENT, .present = true};

struct answer {
    const char *words, *status, *name, *value;
    bool again;
};

static const struct answer answers[] = {
    {"5xx", "500", NULL, NULL, true},
    {"5xx", "599", NULL, NULL, true},
    {"5xx", "499", NULL, NULL, false},
    {"5xx", "503", "x-envoy-ratelimited", "true", false},
    {"5xx", "503", "x-envoy-overloaded", "true", true},
    {"envoy-ratelimited", "429", "x-envoy-ratelimited", "true", true},
    {"envoy-ratelimited", "429", NULL, NULL, false},
    {"gateway-error", "501", NULL, NULL, false},
    {"gateway-error", "502", NULL, NULL, true},
    {"gateway-error", "504", NULL, NULL, true},
    {"gateway-error", "505", NULL, NULL, false},
    {"retriable-4xx", "409", NULL, NULL, true},
    {"retriable-4xx", "408", NULL, NULL, false},
    {"retriable-status-codes", "404", NULL, NULL, true},
    {"retriable-status-codes", "200", NULL, NULL, true},
    {"retriable-status-codes", "503", NULL, NULL, false},
    {"retriable-headers", "200", "x-again", "", true},
    {"retriable-headers", "200", "x-other", "", false},
    {"reset,connect-failure,refused-stream,reset-before-request", "503", NULL, NULL, false},
    {"http3-post-connect-failure", "503", NULL, NULL, false},
    {"cancelled", "200", "grpc-status", "1", true},
    {"deadline-exceeded", "200", "grpc-status", "4", true},
    {"resource-exhausted", "200", "grpc-status", "8", true},
    {"internal", "200", "grpc-status", "13", true},
    {"unavailable", "200", "grpc-status", "14", true},
    {"cancelled,deadline-exceeded,resource-exhausted,internal", "200", "grpc-status", "14", false},
    {"unavailable", "200", "grpc-status", "x", false},
    {"unavailable", "200", "grpc-status", "0", false},
    {"unavailable", "503", NULL, NULL, false},
};

static struct retry_policy policy_of(const char *words)
{
    struct retry_policy p = retry_policy_none;
    p.on = retry_on_parse(bytes_of(words)) | retry_on_parse_grpc(bytes_of(words));
    p.codes = codes;
    p.n_codes = 2;
    p.headers = &x_again;
    p.n_headers = 1;
    p.reset_max_ms = 300000;
    return p;
}

START_TEST(test_answer)
{
    const struct answer *row = &answers[_i];
    struct retry_policy p = policy_of(row->words);
    struct retry r;
    headers_add_id(&response, HEADER_STATUS, bytes_of(row->status));
    if (row->name)
        headers_add(&response, bytes_of(row->name), bytes_of(row->value));
    ck_assert(retry_init(&r, &p, &request));
    ck_assert_msg(retry_after_answer(&r, &response, 0) == row->again, "row %d", _i);
}
END_TEST

struct failure {
    const char *words;
    enum upstream_failure why;
    bool started, again;
};

static const struct failure failures[] = {
    {"5xx,reset,gateway-error,connect-failure,refused-stream,reset-before-request",
     UPSTREAM_OVERFLOW, false, false},
    {"connect-failure", UPSTREAM_CONNECT_FAILED, false, true},
    {"connect-failure", UPSTREAM_CONNECT_TIMEOUT, false, true},
    {"connect-failure", UPSTREAM_LOCAL_CLOSE, false, true},
    {"connect-failure", UPSTREAM_TERMINATED, true, false},
    {"connect-failure", UPSTREAM_RESET, true, false},
    {"connect-failure", UPSTREAM_REFUSED, true, false},
    {"connect-failure,refused-stream,reset-before-request", UPSTREAM_MAX_DURATION, true, false},
    {"gateway-error", UPSTREAM_MAX_DURATION, true, true},
    {"refused-stream", UPSTREAM_REFUSED, true, true},
    {"refused-stream", UPSTREAM_RESET, true, false},
    {"refused-stream", UPSTREAM_CONNECT_FAILED, false, false},
    {"reset-before-request", UPSTREAM_CONNECT_FAILED, false, true},
    {"reset-before-request", UPSTREAM_TERMINATED, true, false},
    {"reset-before-request", UPSTREAM_RESET, true, false},
    {"reset-before-request", UPSTREAM_REFUSED, true, false},
    {"reset", UPSTREAM_TERMINATED, true, true},
    {"reset", UPSTREAM_RESET, true, true},
    {"reset", UPSTREAM_PROTOCOL_ERROR, true, true},
    {"5xx", UPSTREAM_TERMINATED, true, true},
    {"5xx", UPSTREAM_CONNECT_FAILED, false, true},
    {"gateway-error", UPSTREAM_RESET, true, true},
    {"retriable-4xx,retriable-status-codes,retriable-headers,envoy-ratelimited", UPSTREAM_RESET,
     true, false},
    {"unavailable,internal,cancelled", UPSTREAM_CONNECT_FAILED, false, false},
};

START_TEST(test_failure)
{
    const struct failure *row = &failures[_i];
    struct retry_policy p = policy_of(row->words);
    struct retry r;
    ck_assert(retry_init(&r, &p, &request));
    ck_assert_msg(retry_after_failure(&r, row->why, row->started) == row->again, "row %d", _i);
}
END_TEST

START_TEST(test_request_headers)
{
    struct retry_policy p = policy_of("");
    struct retry r;
    ck_assert(!retry_init(&r, NULL, &request));
    ck_assert(!retry_init(&r, &p, &request));
    headers_add_id(&request, HEADER_X_ENVOY_RETRY_ON,
                   BYTES("retriable-status-codes, 5xx,internal"));
    headers_add_id(&request, HEADER_X_ENVOY_RETRY_GRPC_ON, BYTES("unavailable,reset"));
    headers_add_id(&request, HEADER_X_ENVOY_MAX_RETRIES, BYTES("7"));
    headers_add_id(&request, HEADER_X_ENVOY_RETRIABLE_STATUS_CODES, BYTES("x,, 418"));
    headers_add_id(&request, HEADER_X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT, BYTES("true"));
    headers_add_id(&request, HEADER_HOST, BYTES("a"));
    ck_assert(retry_init(&r, NULL, &request));
    ck_assert_uint_eq(r.on,
                      RETRY_ON(RETRIABLE_STATUS_CODES) | RETRY_ON(5XX) | RETRY_ON(UNAVAILABLE));
    ck_assert_uint_eq(r.left, 7);
    retry_forget_headers(&request);
    ck_assert_uint_eq(request.n, 1);
    headers_add_id(&response, HEADER_STATUS, BYTES("418"));
    ck_assert(retry_after_answer(&r, &response, 0));
    headers_set_id(&response, HEADER_STATUS, BYTES("404"));
    ck_assert(!retry_after_answer(&r, &response, 0));
    headers_add_id(&request, HEADER_X_ENVOY_RETRY_ON, BYTES("5xx"));
    headers_add_id(&request, HEADER_X_ENVOY_MAX_RETRIES, BYTES("-1"));
    ck_assert(retry_init(&r, &p, &request));
    ck_assert_uint_eq(r.left, 1);
    headers_set_id(&request, HEADER_X_ENVOY_MAX_RETRIES, BYTES("18446744073709551615"));
    ck_assert(retry_init(&r, &p, &request));
    ck_assert_uint_eq(r.left, UINT32_MAX);
    headers_set_id(&request, HEADER_X_ENVOY_MAX_RETRIES, BYTES("4294967296")); /* as in Envoy */
    ck_assert(retry_init(&r, &p, &request));
    ck_assert_uint_eq(r.left, 0);
    headers_set_id(&request, HEADER_X_ENVOY_MAX_RETRIES, BYTES(" +5"));
    ck_assert(retry_init(&r, &p, &request));
    ck_assert_uint_eq(r.left, 5);
}
END_TEST

START_TEST(test_only_requests_that_match)
{
    struct header_matcher wanted = x_again;
    struct retry_policy p = policy_of("5xx");
    struct retry r;
    p.request_headers = &wanted;
    p.n_request_headers = 1;
    ck_assert(!retry_init(&r, &p, &request));
    headers_add(&request, BYTES("x-again"), BYTES(""));
    ck_assert(retry_init(&r, &p, &request));
}
END_TEST

/* Each wait is less than twice the one before, up to the bound. */
START_TEST(test_back_off)
{
    static const uint64_t bounds[] = {25, 50, 100, 200, 250, 250};
    struct random_source random;
    struct retry_policy p = policy_of("5xx");
    uint64_t most[ARRAY_SIZE(bounds)] = {0};
    bool ratelimited;
    random_seed(&random, 1);
    for (unsigned run = 0; run < 2000; run++) {
        struct retry r;
        ck_assert(retry_init(&r, &p, &request));
        for (unsigned i = 0; i < ARRAY_SIZE(bounds); i++) {
            uint64_t ms = retry_back_off_ms(&r, &random, &ratelimited);
            ck_assert(!ratelimited && ms < bounds[i]);
            most[i] = ms > most[i] ? ms : most[i];
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bounds); i++)
        ck_assert_uint_ge(most[i], bounds[i] - 3);
}
END_TEST

struct reset {
    const char *seconds, *stamp; /* NULL: no such header */
    uint64_t from;               /* ms; 0: not obeyed */
};

static const struct reset resets[] = {
    {"2", NULL, 2000},     {"300", NULL, 300000}, {"301", NULL, 0},
    {"0", NULL, 0},        {"+3", NULL, 3000},    {"x", "1005", 5000},
    {NULL, "1005", 5000},  {NULL, "999", 0},      {NULL, "1000", 0},
    {"301", "1007", 7000}, {"3", "1007", 3000},   {"18446744073709551615", NULL, 0},
};

START_TEST(test_reset_headers)
{
    static struct retry_reset_header headers[] = {{{"retry-after", 11}, false},
                                                  {{"x-reset", 7}, true}};
    const struct reset *row = &resets[_i];
    struct random_source random;
    struct retry_policy p = policy_of("5xx");
    struct retry r;
    bool ratelimited;
    p.reset_headers = headers;
    p.n_reset_headers = 2;
    random_seed(&random, 2);
    headers_add_id(&response, HEADER_STATUS, BYTES("503"));
    if (row->seconds)
        headers_add(&response, BYTES("retry-after"), bytes_of(row->seconds));
    if (row->stamp)
        headers_add(&response, BYTES("x-reset"), bytes_of(row->stamp));
    ck_assert(retry_init(&r, &p, &request));
    for (unsigned i = 0; i < 100; i++) {
        ck_assert(retry_after_answer(&r, &response, 1000 * NS_PER_S + 999));
        uint64_t ms = retry_back_off_ms(&r, &random, &ratelimited);
        ck_assert_msg(ratelimited == (row->from > 0), "row %d", _i);
        ck_assert(!ratelimited || (ms >= row->from && ms < row->from + row->from / 2));
    }
    ck_assert(!retry_back_off_ms(&r, &random, &ratelimited) || !ratelimited); /* for one answer */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("retry");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, test_answer, 0, ARRAY_SIZE(answers));
    tcase_add_loop_test(t, test_failure, 0, ARRAY_SIZE(failures));
    tcase_add_test(t, test_request_headers);
    tcase_add_test(t, test_only_requests_that_match);
    tcase_add_test(t, test_back_off);
    tcase_add_loop_test(t, test_reset_headers, 0, ARRAY_SIZE(resets));
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
