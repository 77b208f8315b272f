#include "admin/histogram_out.h"

#include <math.h>

#include "suite.h"

enum { TIME };
static const struct stat_desc stats[] = {{"time", STAT_HISTOGRAM}};
static const struct stat_schema schema = {stats, 1};

static void record(const uint64_t *values, unsigned n, struct stat_histogram *out)
{
    struct stat_store *store = stat_store_new(2);
    struct stat_scope *s = stat_scope_get(store, BYTES("h"), &schema);
    for (unsigned i = 0; i < n; i++)
        stat_record(s, 0, TIME, values[i]);
    stat_read_histogram(s, TIME, out);
    stat_scope_unref(&s);
    stat_store_free(&store);
}

static struct stat_histogram interval, all, none;

static void five_values(void)
{
    static const uint64_t values[] = {0, 1, 2, 6, 18};
    record(values, 5, &all);
}

static void expect_text(enum histogram_mode mode, const struct stat_histogram *i,
                        const struct stat_histogram *a, const char *expected)
{
    struct strbuf out = STRBUF_INIT;
    histogram_text(&out, BYTES("h"), mode, NULL, i, a);
    ck_assert_str_eq(strbuf_str(&out), expected);
    strbuf_fini(&out);
}

/* The lines that Envoy 1.40 printed for these values. */
START_TEST(text_is_envoys)
{
    five_values();
    expect_text(HISTOGRAM_SUMMARY, &none, &all,
                "h: P0(nan,0) P25(nan,1.05) P50(nan,2.05) P75(nan,6.05) P90(nan,18.5) "
                "P95(nan,18.5) P99(nan,18.5) P99.5(nan,18.5) P99.9(nan,18.5) P100(nan,18.5)\n");
    expect_text(HISTOGRAM_CUMULATIVE, &none, &all,
                "h: B0.5(0,1) B1(0,2) B5(0,3) B10(0,4) B25(0,5) B50(0,5) B100(0,5) B250(0,5) "
                "B500(0,5) B1000(0,5) B2500(0,5) B5000(0,5) B10000(0,5) B30000(0,5) B60000(0,5) "
                "B300000(0,5) B600000(0,5) B1.8e+06(0,5) B3.6e+06(0,5)\n");
    expect_text(HISTOGRAM_DISJOINT, &none, &all,
                "h: B0.5(0,1) B1(0,1) B5(0,1) B10(0,1) B25(0,1) B50(0,0) B100(0,0) B250(0,0) "
                "B500(0,0) B1000(0,0) B2500(0,0) B5000(0,0) B10000(0,0) B30000(0,0) B60000(0,0) "
                "B300000(0,0) B600000(0,0) B1.8e+06(0,0) B3.6e+06(0,0)\n");
    expect_text(HISTOGRAM_DETAILED, &none, &all,
                "h:\n  totals=0,0:1, 1,0.1:1, 2,0.1:1, 6,0.1:1, 18,1:1\n  intervals=\n"
                "  summary=P0(nan,0) P25(nan,1.05) P50(nan,2.05) P75(nan,6.05) P90(nan,18.5) "
                "P95(nan,18.5) P99(nan,18.5) P99.5(nan,18.5) P99.9(nan,18.5) P100(nan,18.5)\n");
}
END_TEST

START_TEST(nothing_recorded)
{
    for (unsigned m = HISTOGRAM_SUMMARY; m <= HISTOGRAM_DETAILED; m++)
        expect_text((enum histogram_mode)m, &none, &none, "h: No recorded values\n");
}
END_TEST

START_TEST(an_interval_of_its_own)
{
    static const uint64_t last[] = {1, 43, 45, 45, 46, 47, 47, 48};
    five_values();
    record(last, 8, &interval);
    expect_text(HISTOGRAM_SUMMARY, &interval, &all,
                "h: P0(1.05,0) P25(43.5,1.05) P50(45.666666666666664,2.05) "
                "P75(47.333333333333336,6.05) P90(48.5,18.5) P95(48.5,18.5) P99(48.5,18.5) "
                "P99.5(48.5,18.5) P99.9(48.5,18.5) P100(48.5,18.5)\n");
}
END_TEST

static void expect_json(enum histogram_mode mode, const char *start, const char *end)
{
    struct strbuf out = STRBUF_INIT;
    struct json_out j = {.out = &out, .compact = true, .first = true};
    histogram_json_begin(&j, mode);
    histogram_json(&j, BYTES("h"), mode, NULL, &none, &all);
    histogram_json(&j, BYTES("i"), mode, NULL, &none, &none);
    histogram_json_end(&j, mode);
    struct bytes got = strbuf_bytes(&out);
    ck_assert_msg(bytes_starts_with(got, bytes_of(start)), "%s", strbuf_str(&out));
    ck_assert_msg(bytes_ends_with(got, bytes_of(end)), "%s", strbuf_str(&out));
    strbuf_fini(&out);
}

START_TEST(json_is_envoys)
{
    five_values();
    expect_json(HISTOGRAM_SUMMARY,
                "{\"histograms\":{\"supported_quantiles\":[0,25,50,75,90,95,99,99.5,99.9,100],"
                "\"computed_quantiles\":[{\"name\":\"h\",\"values\":[{\"cumulative\":0,"
                "\"interval\":null},{\"cumulative\":1.05,\"interval\":null},",
                "{\"cumulative\":null,\"interval\":null}]}]}}");
    expect_json(HISTOGRAM_CUMULATIVE,
                "{\"histograms\":[{\"name\":\"h\",\"buckets\":[{\"upper_bound\":0.5,"
                "\"interval\":0,\"cumulative\":1},{\"upper_bound\":1,\"interval\":0,"
                "\"cumulative\":2},",
                "{\"upper_bound\":3e+05,\"interval\":0,\"cumulative\":0},{\"upper_bound\":6e+05,"
                "\"interval\":0,\"cumulative\":0},{\"upper_bound\":1800000,\"interval\":0,"
                "\"cumulative\":0},{\"upper_bound\":3600000,\"interval\":0,\"cumulative\":0}]}]}");
    expect_json(HISTOGRAM_DETAILED,
                "{\"histograms\":{\"supported_percentiles\":[0,25,50,75,90,95,99,99.5,99.9,100],"
                "\"details\":[{\"name\":\"h\",\"totals\":[{\"lower_bound\":0,\"width\":0,"
                "\"count\":1},{\"lower_bound\":1,\"width\":0.1,\"count\":1},",
                "{\"cumulative\":null,\"interval\":null}]}]}}");
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0"},           {4.05, "4.05"},  {1.0 + 0.1 / 6, "1.0166666666666666"},
                 {NAN, "nan"},       {1e5, "100000"}, {45 + 2.0 / 3, "45.666666666666664"},
                 {305000, "305000"}, {0.1, "0.1"}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct strbuf out = STRBUF_INIT;
        histogram_number(&out, cases[i].v);
        ck_assert_str_eq(strbuf_str(&out), cases[i].text);
        strbuf_fini(&out);
    }
}
END_TEST

START_TEST(modes)
{
    enum histogram_mode m;
    ck_assert(histogram_mode_parse(BYTES("disjoint"), &m) && m == HISTOGRAM_DISJOINT);
    ck_assert(histogram_mode_parse(BYTES("none"), &m) && m == HISTOGRAM_SUMMARY);
    ck_assert(histogram_mode_parse(BYTES_NONE, &m) && m == HISTOGRAM_SUMMARY);
    ck_assert(!histogram_mode_parse(BYTES("foo"), &m));
}
END_TEST

SUITE("histogram_out", text_is_envoys, nothing_recorded, an_interval_of_its_own, json_is_envoys,
      numbers, modes)
