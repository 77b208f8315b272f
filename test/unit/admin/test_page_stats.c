#include "admin/pages.h"
#include "admin/histogram_out.h"

#include <stdio.h>

#include "suite.h"
#include "world.h"

enum { TOTAL, ACTIVE, TIME, TEXT };
static const struct stat_desc stats[] = {
    {"total", STAT_COUNTER}, {"active", STAT_GAUGE}, {"time", STAT_HISTOGRAM}, {"text", STAT_TEXT}};
static const struct stat_schema schema = {stats, ARRAY_SIZE(stats)};

static struct world w;
static struct stat_scope *scope;

static void setup(void)
{
    world_init(&w);
    scope = stat_scope_get(w.f.stats, BYTES("zz"), &schema);
    stat_add(scope, 0, TOTAL, 3);
    stat_set(scope, 1, ACTIVE, -1); /* a thread seen between two writes */
    stat_record(scope, 0, TIME, 4);
    stat_set_text(scope, TEXT, BYTES("a \"word\" <b>"));
}

static void teardown(void)
{
    stat_scope_unref(&scope);
    world_fini(&w);
}

static void expect(const char *target, const char *type, const char *text)
{
    struct answer a = world_ask(&w, "GET", target);
    ck_assert_uint_eq(a.status, 200);
    ck_assert_str_eq(a.content_type, type);
    ck_assert_str_eq(a.text, text);
}

START_TEST(text_lines)
{
    setup();
    expect("/stats?filter=^zz", TEXT_PLAIN,
           "zz.text: \"a \"word\" <b>\"\nzz.active: 0\nzz.total: 3\n"
           "zz.time: P0(nan,4.05) P25(nan,4.05) P50(nan,4.05) P75(nan,4.05) P90(nan,4.05) "
           "P95(nan,4.05) P99(nan,4.05) P99.5(nan,4.05) P99.9(nan,4.05) P100(nan,4.05)\n");
    admin_stats_flush(w.admin);
    expect("/stats?type=Histograms&filter=^zz&histogram_buckets=detailed", TEXT_PLAIN,
           "zz.time:\n  totals=4,0.1:1\n  intervals=4,0.1:1\n"
           "  summary=P0(4.05,4.05) P25(4.05,4.05) P50(4.05,4.05) P75(4.05,4.05) P90(4.05,4.05) "
           "P95(4.05,4.05) P99(4.05,4.05) P99.5(4.05,4.05) P99.9(4.05,4.05) P100(4.05,4.05)\n");
    expect("/stats?filter=nosuch", TEXT_PLAIN, "");
    teardown();
}
END_TEST

START_TEST(json)
{
    setup();
    expect("/stats?format=json&filter=nosuch", TEXT_JSON, "{\"stats\":[]}");
    expect("/stats?format=json&filter=^zz[.](text|total)", TEXT_JSON,
           "{\"stats\":[{\"name\":\"zz.text\",\"value\":\"a \\\"word\\\" <b>\"},"
           "{\"name\":\"zz.total\",\"value\":3}]}");
    const char *q = "{\"cumulative\":4.05,\"interval\":null}";
    struct strbuf s = STRBUF_INIT;
    strbuf_add_str(&s, "{\"stats\":[{\"name\":\"zz.active\",\"value\":0},{\"histograms\":{"
                       "\"supported_quantiles\":[0,25,50,75,90,95,99,99.5,99.9,100],"
                       "\"computed_quantiles\":[{\"name\":\"zz.time\",\"values\":[");
    for (unsigned i = 0; i < 10; i++)
        strbuf_printf(&s, "%s%s", i ? "," : "", q);
    strbuf_add_str(&s, "]}]}}]}");
    expect("/stats?format=json&filter=^zz[.](active|time)", TEXT_JSON, strbuf_str(&s));
    strbuf_fini(&s);
    teardown();
}
END_TEST

START_TEST(html_is_escaped)
{
    setup();
    struct answer a = world_ask(&w, "GET", "/stats?format=html&filter=^zz.text");
    ck_assert_str_eq(a.content_type, TEXT_HTML);
    ck_assert(bytes_find(bytes_of(a.text), BYTES("zz.text: &#34;a &#34;word&#34; &#60;b&#62;")) >
              0);
    ck_assert(bytes_find(bytes_of(a.text), BYTES("<b>")) < 0);
    teardown();
}
END_TEST

START_TEST(refusals_are_envoys)
{
    static const char *const cases[][2] = {
        {"/stats?format=xml", "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"},
        {"/stats?type=foo", "invalid &type= param"},
        {"/stats?filter=(", "Invalid re2 regex: missing ): ("},
        {"/stats?histogram_buckets=foo", HISTOGRAM_BUCKETS_USAGE},
        {"/stats?histogram_buckets=prometheusnative",
         "Invalid histogram_buckets type for non prometheus stats type"},
        {"/stats?hidden=foo", "usage: /stats?hidden=(include|only|exclude)\n\n"},
    };
    setup();
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
        ck_assert_str_eq(world_refused(&w, 400, cases[i][0]), cases[i][1]);
    teardown();
}
END_TEST

/* The hash of a version fills all 64 bits. */
START_TEST(gauges_have_no_sign)
{
    setup();
    stat_set(scope, 1, ACTIVE, (int64_t)UINT64_C(11710372585520591341));
    expect("/stats?filter=^zz.active", TEXT_PLAIN, "zz.active: 11710372585520591341\n");
    expect("/stats?filter=^zz.active&format=json", TEXT_JSON,
           "{\"stats\":[{\"name\":\"zz.active\",\"value\":11710372585520591341}]}");
    teardown();
}
END_TEST

START_TEST(reset_counters)
{
    setup();
    ck_assert_str_eq(world_ask(&w, "POST", "/reset_counters").text, "OK\n");
    expect("/stats?filter=^zz[.]total", TEXT_PLAIN, "zz.total: 0\n");
    teardown();
}
END_TEST

enum { MANY = 3000 };

/* However many there are, a turn is short. */
START_TEST(many_statistics_take_many_turns)
{
    static struct stat_scope *many[MANY];
    char name[32];
    setup();
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "many.%05u", (i * 7919u) % MANY);
        many[i] = stat_scope_get(w.f.stats, bytes_of(name), &schema);
        stat_inc(many[i], 0, TOTAL);
    }
    static const char *const targets[] = {"/stats", "/stats?format=json", "/stats/prometheus"};
    for (unsigned t = 0; t < ARRAY_SIZE(targets); t++) {
        world_get(&w, targets[t]);
        ck_assert_uint_gt(w.n_slices, 3);
        ck_assert_uint_lt(w.largest, ADMIN_SLICE + 8192);
    }
    world_get(&w, "/stats?filter=nosuch"); /* nothing to print is work too */
    ck_assert_uint_gt(w.n_slices, 3);
    const char *text = world_get(&w, "/stats?filter=^many.*total");
    unsigned seen = 0;
    struct bytes rest = bytes_of(text);
    while (rest.len) {
        struct bytes line = bytes_split(&rest, '\n');
        snprintf(name, sizeof(name), "many.%05u.total: 1", seen++);
        ck_assert(bytes_eq_str(line, name));
    }
    ck_assert_uint_eq(seen, MANY);
    for (unsigned i = 0; i < MANY; i++)
        stat_scope_unref(&many[i]);
    teardown();
}
END_TEST

SUITE("page_stats", text_lines, json, html_is_escaped, refusals_are_envoys, gauges_have_no_sign,
      reset_counters, many_statistics_take_many_turns)
