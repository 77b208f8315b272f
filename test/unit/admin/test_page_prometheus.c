#include "admin/pages.h"
#include "admin/histogram_out.h"
#include "suite.h"
#include "world.h"

enum { TOTAL, ACTIVE, TIME, TEXT, CODES };
static const struct stat_desc stats[] = {{"x_total", STAT_COUNTER},
                                         {"x_active", STAT_GAUGE},
                                         {"x_time", STAT_HISTOGRAM},
                                         {"x_text", STAT_TEXT},
                                         {"x_rq_", STAT_CODES}};
static const struct stat_schema schema = {stats, ARRAY_SIZE(stats)};

static struct world w;
static struct stat_scope *one, *two;

static void setup(const char *bootstrap)
{
    world_init_bootstrap(&w, bootstrap);
    one = stat_scope_get(w.f.stats, BYTES("cluster.one"), &schema);
    two = stat_scope_get(w.f.stats, BYTES("cluster.two"), &schema);
    stat_add(one, 0, TOTAL, 3);
    stat_add(two, 0, TOTAL, 4);
    stat_set(two, 1, ACTIVE, 5);
    stat_record(one, 0, TIME, 4);
    stat_record(one, 0, TIME, 700);
    stat_code(one, 0, CODES, 200);
    stat_code(one, 0, CODES, 404);
    stat_set_text(one, TEXT, BYTES("a\\\"b\nc"));
}

static void teardown(void)
{
    stat_scope_unref(&one);
    stat_scope_unref(&two);
    world_fini(&w);
}

static void expect(const char *target, const char *text)
{
    struct answer a = world_ask(&w, "GET", target);
    ck_assert_uint_eq(a.status, 200);
    ck_assert_str_eq(a.content_type, TEXT_PLAIN);
    ck_assert_str_eq(a.text, text);
}

START_TEST(families)
{
    setup("{}");
    expect("/stats/prometheus?filter=x_(total|active|rq)",
           "# TYPE envoy_cluster_x_rq counter\n"
           "envoy_cluster_x_rq{envoy_response_code=\"200\",envoy_cluster_name=\"one\"} 1\n"
           "envoy_cluster_x_rq{envoy_response_code=\"404\",envoy_cluster_name=\"one\"} 1\n"
           "# TYPE envoy_cluster_x_rq_xx counter\n"
           "envoy_cluster_x_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"one\"} 1\n"
           "envoy_cluster_x_rq_xx{envoy_response_code_class=\"4\",envoy_cluster_name=\"one\"} 1\n"
           "# TYPE envoy_cluster_x_total counter\n"
           "envoy_cluster_x_total{envoy_cluster_name=\"one\"} 3\n"
           "envoy_cluster_x_total{envoy_cluster_name=\"two\"} 4\n"
           "# TYPE envoy_cluster_x_active gauge\n"
           "envoy_cluster_x_active{envoy_cluster_name=\"one\"} 0\n"
           "envoy_cluster_x_active{envoy_cluster_name=\"two\"} 5\n");
    expect("/stats?format=prometheus&usedonly&filter=x_active",
           "# TYPE envoy_cluster_x_active gauge\n"
           "envoy_cluster_x_active{envoy_cluster_name=\"two\"} 5\n");
    expect("/stats/prometheus?filter=nosuch", "");
    teardown();
}
END_TEST

START_TEST(texts_are_gauges_on_request)
{
    setup("{}");
    expect("/stats/prometheus?filter=one.x_text", "");
    expect("/stats/prometheus?filter=one.x_text&text_readouts",
           "# TYPE envoy_cluster_x_text gauge\n"
           "envoy_cluster_x_text{envoy_cluster_name=\"one\",text_value=\"a\\\\\\\"b\\nc\"} 0\n");
    teardown();
}
END_TEST

#define B(le, n) "envoy_cluster_x_time_bucket{envoy_cluster_name=\"one\",le=\"" le "\"} " n "\n"

START_TEST(histograms)
{
    setup("{}");
    expect("/stats/prometheus?filter=one.x_time",
           "# TYPE envoy_cluster_x_time histogram\n" B("0.5", "0") B("1", "0") B("5", "1")
               B("10", "1") B("25", "1") B("50", "1") B("100", "1") B("250", "1") B("500", "1")
                   B("1000", "2") B("2500", "2") B("5000", "2") B("10000", "2") B("30000", "2")
                       B("60000", "2") B("300000", "2") B("600000", "2") B("1800000", "2")
                           B("3600000", "2")
                               B("+Inf",
                                 "2") "envoy_cluster_x_time_sum{envoy_cluster_name=\"one\"} 704\n"
                                      "envoy_cluster_x_time_count{envoy_cluster_name=\"one\"} 2\n");
    teardown();
}
END_TEST

/* A summary tells of the last interval. */
START_TEST(summaries)
{
    setup("{}");
    const char *target = "/stats/prometheus?filter=one.x_time&histogram_buckets=summary";
    struct bytes before = bytes_of(world_get(&w, target));
    ck_assert(bytes_starts_with(
        before, BYTES("# TYPE envoy_cluster_x_time summary\n"
                      "envoy_cluster_x_time{envoy_cluster_name=\"one\",quantile=\"0\"} nan\n")));
    ck_assert(bytes_ends_with(before,
                              BYTES("envoy_cluster_x_time_sum{envoy_cluster_name=\"one\"} 0\n"
                                    "envoy_cluster_x_time_count{envoy_cluster_name=\"one\"} 0\n")));
    admin_stats_flush(w.admin);
    struct bytes after = bytes_of(world_get(&w, target));
    ck_assert(bytes_find(after, BYTES("quantile=\"0.999\"} 705\n")) > 0);
    ck_assert(bytes_ends_with(after,
                              BYTES("envoy_cluster_x_time_sum{envoy_cluster_name=\"one\"} 704\n"
                                    "envoy_cluster_x_time_count{envoy_cluster_name=\"one\"} 2\n")));
    teardown();
}
END_TEST

/* A default rule comes before an own one of its name, as in Envoy. */
START_TEST(tags_of_the_bootstrap)
{
    setup("{stats_config: {stats_tags: [{tag_name: pod.name, fixed_value: p1}, "
          "{tag_name: envoy.cluster_name, regex: '^cluster\\.((\\w)\\w+\\.)'}]}}");
    expect("/stats/prometheus?filter=x_total",
           "# TYPE envoy_cluster_x_total counter\n"
           "envoy_cluster_x_total{pod_name=\"p1\",envoy_cluster_name=\"one\"} 3\n"
           "envoy_cluster_x_total{pod_name=\"p1\",envoy_cluster_name=\"two\"} 4\n");
    teardown();
}
END_TEST

START_TEST(refusals_are_envoys)
{
    static const char *const cases[][2] = {
        {"/stats/prometheus?filter=(", "Invalid re2 regex: missing ): ("},
        {"/stats/prometheus?type=foo", "invalid &type= param"},
        {"/stats/prometheus?histogram_buckets=foo", HISTOGRAM_BUCKETS_USAGE},
        {"/stats/prometheus?histogram_buckets=disjoint",
         "unsupported prometheus histogram bucket mode"},
        {"/stats?format=prometheus&histogram_buckets=detailed",
         "unsupported prometheus histogram bucket mode"},
        {"/stats/prometheus?histogram_buckets=prometheusnative",
         "unsupported prometheusnative histogram type when not using protobuf exposition format"},
    };
    setup("{}");
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
        ck_assert_str_eq(world_refused(&w, 400, cases[i][0]), cases[i][1]);
    teardown();
}
END_TEST

SUITE("page_prometheus", families, texts_are_gauges_on_request, histograms, summaries,
      tags_of_the_bootstrap, refusals_are_envoys)
