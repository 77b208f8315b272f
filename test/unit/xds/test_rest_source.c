/* Resources that are polled, through a real builder; time and the server are the test's. */
#include "xds/rest_source.h"

#include <check.h>
#include <stdlib.h>

#include "../config/config_fixture.h"

enum { REFRESH_MS = 1000 };

static struct fixture f;
static struct xds_table table;
static struct random_source dice;
static struct config_source source;
static struct rest_source *rest;
static xds_timer_fn *timer_fn;
static fetch_fn *answer_fn;
static void *timer_arg, *answer_arg;
static uint64_t timer_ms;
static struct strbuf asked;
static unsigned n_asked, n_cancelled;

static void *timer_start(void *ctx, uint64_t ms, xds_timer_fn *fn, void *arg)
{
    ck_assert_msg(!timer_fn, "one timer at a time");
    timer_fn = fn;
    timer_arg = arg;
    timer_ms = ms;
    return &timer_fn;
}

static void timer_cancel(void *ctx, void *timer)
{
    timer_fn = NULL;
}

static void *fetch(void *ctx, const struct fetch_request *q, fetch_fn *fn, void *arg)
{
    ck_assert_msg(!answer_fn, "one request at a time");
    strbuf_reset(&asked);
    strbuf_printf(&asked, "%.*s %.*s %.*s", BYTES_ARG(q->cluster), BYTES_ARG(q->path),
                  BYTES_ARG(q->body));
    n_asked++;
    answer_fn = fn;
    answer_arg = arg;
    return &answer_fn;
}

static void fetch_cancel(void *ctx, void *fetch)
{
    answer_fn = NULL;
    n_cancelled++;
}

static void answer(unsigned status, const char *body)
{
    fetch_fn *fn = answer_fn;
    struct fetch_result r = {status, "no way", bytes_of(body)};
    ck_assert_ptr_nonnull(fn);
    answer_fn = NULL;
    fn(answer_arg, &r);
}

static void poll_again(void)
{
    xds_timer_fn *fn = timer_fn;
    ck_assert_ptr_nonnull(fn);
    ck_assert(timer_ms >= REFRESH_MS && timer_ms < 2 * REFRESH_MS);
    timer_fn = NULL;
    fn(timer_arg);
}

static void setup(void)
{
    fixture_init(&f);
    fixture_start(&f);
    random_seed(&dice, 1);
    source = (struct config_source){.kind = SOURCE_REST,
                                    .key = f.ads.key, /* whom the fixture's "*" is of */
                                    .api = {.rest_cluster = BYTES("server"),
                                            .refresh_ms = REFRESH_MS,
                                            .request_timeout_ms = 500}};
    table = (struct xds_table){.clock = &f.clock.clock,
                               .random = &dice,
                               .stats = f.stats,
                               .timer_start = timer_start,
                               .timer_cancel = timer_cancel,
                               .fetch = fetch,
                               .fetch_cancel = fetch_cancel};
    struct rest_source_options o = {&table,           f.builder,   &source,
                                    RESOURCE_CLUSTER, "/clusters", BYTES("\x0a\x01n")};
    timer_fn = NULL;
    answer_fn = NULL;
    n_asked = n_cancelled = 0;
    rest = rest_source_new(&o);
}

static void teardown(void)
{
    rest_source_free(&rest);
    ck_assert(!timer_fn && !answer_fn);
    strbuf_fini(&asked);
    fixture_fini(&f);
}

#define ONE                                                                                        \
    "{\"version_info\": \"v1\", \"resources\": [{\"@type\": "                                      \
    "\"type.googleapis.com/envoy.config.cluster.v3.Cluster\", \"name\": \"one\"}]}"

static void begin(void)
{
    rest_source_want(rest, BYTES("*"));
    rest_source_flush(rest);
}

START_TEST(o04_asks_and_asks_again)
{
    begin();
    ck_assert_str_eq(strbuf_str(&asked),
                     "server /clusters {\"node\":{\"id\":\"n\"},\"type_url\":"
                     "\"type.googleapis.com/envoy.config.cluster.v3.Cluster\"}");
    answer(200, ONE);
    ck_assert_ptr_nonnull(fixture_cluster(&f, "one"));
    poll_again();
    ck_assert_ptr_nonnull(strstr(strbuf_str(&asked), "\"version_info\":\"v1\""));
    answer(200, "{\"version_info\": \"v2\"}");
    ck_assert_ptr_null(fixture_cluster(&f, "one"));
}
END_TEST

/* Status and body that change nothing, and whether the version that is told stays. */
static const struct {
    unsigned status;
    const char *body;
} nothing[] = {
    {0, ""},          {304, ""},  {500, "{\"version_info\": \"v2\"}"},
    {200, ""},        {200, "{"}, {200, "{\"version_info\": \"v2\", \"resources\": [{}]}"},
    {200, "[\"no\"]"}};

START_TEST(o04_keeps_what_is_good)
{
    begin();
    answer(200, ONE);
    poll_again();
    answer(nothing[_i].status, nothing[_i].body);
    ck_assert_ptr_nonnull(fixture_cluster(&f, "one"));
    poll_again();
    ck_assert_ptr_nonnull(strstr(strbuf_str(&asked), "\"version_info\":\"v1\""));
}
END_TEST

START_TEST(o04_more_names_are_asked_for_at_once)
{
    begin();
    rest_source_want(rest, BYTES("two"));
    rest_source_flush(rest); /* one request at a time */
    ck_assert_uint_eq(n_asked, 1);
    answer(200, ONE);
    ck_assert_uint_eq(n_asked, 2);
    ck_assert_ptr_nonnull(strstr(strbuf_str(&asked), "\"two\""));
    ck_assert_ptr_null(strstr(strbuf_str(&asked), "\"v1\"")); /* or it may be "not modified" */
    answer(304, "");
    ck_assert_ptr_nonnull(timer_fn);
    rest_source_want(rest, BYTES("three"));
    rest_source_flush(rest);
    ck_assert_uint_eq(n_asked, 3);
    ck_assert_ptr_null(timer_fn);
}
END_TEST

START_TEST(o04_ends_at_any_point)
{
    begin();
    rest_source_unwant(rest, BYTES("*"));
    ck_assert(rest_source_idle(rest));
    rest_source_free(&rest);
    ck_assert_uint_eq(n_cancelled, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rest_source");
    TCase *t = tcase_create("rest_source");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, o04_asks_and_asks_again);
    tcase_add_loop_test(t, o04_keeps_what_is_good, 0, (int)ARRAY_SIZE(nothing));
    tcase_add_test(t, o04_more_names_are_asked_for_at_once);
    tcase_add_test(t, o04_ends_at_any_point);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
