#include "base/stats.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "suite.h"

enum { ST_TOTAL, ST_ACTIVE, ST_TIME, ST_TEXT, ST_CODES, ST_OTHER };

static const struct stat_desc descs[] = {
    {"rq_total", STAT_COUNTER},  {"rq_active", STAT_GAUGE},    {"rq_time", STAT_HISTOGRAM},
    {"version_text", STAT_TEXT}, {"upstream_rq_", STAT_CODES}, {"rq_other", STAT_COUNTER},
};
static const struct stat_schema schema = {descs, ARRAY_SIZE(descs)};
static const struct stat_schema other_schema = {descs, 2};

struct printed {
    struct strbuf text;
    bool used_only;
};

static void print(void *ctx, const struct stat_view *v)
{
    struct printed *p = ctx;
    if (p->used_only && !v->used)
        return;
    strbuf_printf(&p->text, "%.*s=", BYTES_ARG(v->name));
    if (v->kind == STAT_TEXT)
        strbuf_printf(&p->text, "'%s'\n", v->text ? v->text : "");
    else
        strbuf_printf(&p->text, "%lld\n", (long long)v->value);
}

static void prints(struct stat_store *store, bool used_only, const char *want)
{
    struct printed p = {STRBUF_INIT, used_only};
    stat_visit(store, print, &p);
    ck_assert_str_eq(strbuf_str(&p.text), want);
    strbuf_fini(&p.text);
}

static void count_view(void *ctx, const struct stat_view *v)
{
    ++*(unsigned *)ctx;
}

START_TEST(used_means_written)
{
    struct stat_store *store = stat_store_new(4);
    struct stat_scope *s = stat_scope_get(store, BYTES("cluster.a"), &schema);
    prints(store, true, "");
    stat_add(s, 2, ST_TOTAL, 0); /* written, though zero */
    stat_inc(s, 3, ST_ACTIVE);
    stat_add(s, 2, ST_ACTIVE, -1);
    prints(store, true, "cluster.a.rq_total=0\ncluster.a.rq_active=0\n");
    stat_set_text(s, ST_TEXT, BYTES("v1"));
    stat_set_text(s, ST_TEXT, BYTES("v2"));
    stat_inc(s, 0, ST_TOTAL);
    stat_add(s, 3, ST_TOTAL, 41);
    prints(store, false,
           "cluster.a.rq_total=42\ncluster.a.rq_active=0\ncluster.a.rq_time=0\n"
           "cluster.a.version_text='v2'\ncluster.a.rq_other=0\n");
    bool used;
    ck_assert_int_eq(stat_read(s, ST_OTHER, &used), 0);
    ck_assert(!used);
    stat_scope_unref(&s);
    stat_store_free(&store);
}
END_TEST

START_TEST(codes_and_classes)
{
    struct stat_store *store = stat_store_new(3);
    struct stat_scope *s = stat_scope_get(store, BYTES(""), &schema);
    for (unsigned i = 0; i < 3; i++)
        stat_code(s, 2, ST_CODES, 200);
    stat_code(s, 1, ST_CODES, 204);
    stat_code(s, 1, ST_CODES, 503);
    stat_code(s, 1, ST_CODES, 0); /* no status: counts nowhere */
    stat_code(s, 1, ST_CODES, 600);
    stat_code(s, 1, ST_CODES, 999);
    prints(store, true,
           "upstream_rq_200=3\nupstream_rq_204=1\nupstream_rq_503=1\n"
           "upstream_rq_2xx=4\nupstream_rq_5xx=1\nupstream_rq_unknown=2\n");
    for (unsigned code = 400; code < 460; code++) /* more than one node holds */
        stat_code(s, 2, ST_CODES, code);
    stat_code(s, 2, ST_CODES, 459);
    struct printed p = {STRBUF_INIT, true};
    stat_visit(store, print, &p);
    ck_assert_ptr_nonnull(strstr(p.text.data, "upstream_rq_459=2\n"));
    ck_assert_ptr_nonnull(strstr(p.text.data, "upstream_rq_4xx=61\n"));
    strbuf_fini(&p.text);
    stat_scope_unref(&s);
    stat_store_free(&store);
}
END_TEST

START_TEST(reset_is_a_baseline)
{
    struct stat_store *store = stat_store_new(3);
    struct stat_scope *s = stat_scope_get(store, BYTES("c"), &schema);
    stat_add(s, 2, ST_TOTAL, 5);
    stat_add(s, 2, ST_ACTIVE, 3);
    stat_code(s, 2, ST_CODES, 200);
    stat_code(s, 2, ST_CODES, 404);
    stat_code(s, 2, ST_CODES, 700);
    stat_reset_counters(store);
    prints(store, true,
           "c.rq_total=0\nc.rq_active=3\nc.upstream_rq_200=0\nc.upstream_rq_404=0\n"
           "c.upstream_rq_2xx=0\nc.upstream_rq_4xx=0\nc.upstream_rq_unknown=0\n");
    stat_inc(s, 1, ST_TOTAL);
    stat_code(s, 1, ST_CODES, 200);
    stat_code(s, 1, ST_CODES, 503);
    prints(store, true,
           "c.rq_total=1\nc.rq_active=3\nc.upstream_rq_200=1\nc.upstream_rq_404=0\n"
           "c.upstream_rq_503=1\nc.upstream_rq_2xx=1\nc.upstream_rq_4xx=0\nc.upstream_rq_5xx=1\n"
           "c.upstream_rq_unknown=0\n");
    stat_reset_counters(store);
    struct stat_scope *later = stat_scope_get(store, BYTES("d"), &other_schema);
    stat_inc(later, 1, ST_TOTAL);
    bool used;
    ck_assert_int_eq(stat_read(s, ST_TOTAL, &used), 6);
    ck_assert_int_eq(stat_read(later, ST_TOTAL, &used), 1);
    stat_scope_unref(&later);
    stat_scope_unref(&s);
    stat_store_free(&store);
}
END_TEST

START_TEST(scope_belongs_to_a_name)
{
    struct stat_store *store = stat_store_new(2);
    struct stat_scope *a = stat_scope_get(store, BYTES("x"), &schema);
    struct stat_scope *b = stat_scope_get(store, BYTES("x"), &schema);
    struct stat_scope *c = stat_scope_get(store, BYTES("x"), &other_schema);
    ck_assert_ptr_eq(a, b);
    ck_assert_ptr_ne(a, c);
    stat_inc(a, 0, ST_TOTAL);
    struct stat_scope *d = stat_scope_ref(a);
    stat_scope_unref(&a);
    stat_scope_unref(&b);
    ck_assert_ptr_null(a);
    bool used;
    ck_assert_int_eq(stat_read(d, ST_TOTAL, &used), 1);
    stat_scope_unref(&d);
    d = stat_scope_get(store, BYTES("x"), &schema); /* the name died: counting begins anew */
    ck_assert_int_eq(stat_read(d, ST_TOTAL, &used), 0);
    stat_scope_unref(&d);
    stat_scope_unref(&c);
    stat_scope_unref(&c);
    stat_store_free(&store);
    stat_store_free(&store);
}
END_TEST

enum { MANY = 30000 };

/* Dropping 30,000 scopes takes milliseconds; a walk over all of them each time took a minute. */
START_TEST(a_name_with_a_nul)
{
    struct stat_store *store = stat_store_new(2);
    struct stat_scope *a = stat_scope_get(store, BYTES("x\0y"), &schema);
    struct stat_scope *b = stat_scope_get(store, BYTES("x\0y"), &schema);
    ck_assert_ptr_eq(a, b);
    ck_assert_str_eq(a->prefix, "x_y");
    stat_scope_unref(&b);
    stat_scope_unref(&a);
    stat_store_free(&store);
}
END_TEST

START_TEST(many_scopes_come_and_go)
{
    static struct stat_scope *scopes[MANY];
    struct stat_store *store = stat_store_new(2);
    char name[32];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            snprintf(name, sizeof(name), "cluster.c%u", i);
            scopes[i] = stat_scope_get(store, bytes_of(name), &other_schema);
        }
        snprintf(name, sizeof(name), "cluster.c%u", MANY / 2);
        struct stat_scope *again = stat_scope_get(store, bytes_of(name), &other_schema);
        ck_assert_ptr_eq(again, scopes[MANY / 2]);
        stat_scope_unref(&again);
        uint64_t start = clock_real.monotonic_ns(&clock_real);
        for (unsigned i = 0; i < MANY; i++)
            stat_scope_unref(&scopes[round == 1 ? MANY - 1 - i : i]);
        ck_assert_uint_lt(clock_real.monotonic_ns(&clock_real) - start, 5 * NS_PER_S);
    }
    stat_store_free(&store);
}
END_TEST

START_TEST(histogram_quantiles)
{
    static struct stat_histogram h;
    struct stat_store *store = stat_store_new(4);
    struct stat_scope *s = stat_scope_get(store, BYTES("h"), &schema);
    stat_read_histogram(s, ST_TIME, &h);
    ck_assert_uint_eq(h.count, 0);
    ck_assert(isnan(stat_histogram_quantile(&h, 0.5)));
    for (unsigned v = 1; v <= 1000; v++)
        stat_record(s, v % 4, ST_TIME, v); /* four threads' shares are merged */
    stat_read_histogram(s, ST_TIME, &h);
    ck_assert_uint_eq(h.count, 1000);
    ck_assert_double_eq_tol(h.sum, 500500, 0.1);
    static const double qs[] = {0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999};
    for (unsigned i = 0; i < ARRAY_SIZE(qs); i++) {
        double got = stat_histogram_quantile(&h, qs[i]);
        ck_assert_msg(fabs(got - qs[i] * 1000) <= qs[i] * 100 + 1, "%g: %g", qs[i], got);
    }
    ck_assert_double_eq(stat_histogram_quantile(&h, 1), 1050);
    ck_assert_double_eq(stat_histogram_quantile(&h, 0), 1.05);
    ck_assert_uint_eq(stat_histogram_below(&h, 99.9), 99);
    ck_assert_uint_ge(stat_histogram_below(&h, 100), 99); /* to a step: 100 to 109 are one */
    ck_assert_uint_le(stat_histogram_below(&h, 100), 109);
    ck_assert_uint_eq(stat_histogram_below(&h, 1e9), 1000);
    stat_scope_unref(&s);
    stat_store_free(&store);
}
END_TEST

/* What Envoy 1.40 printed for these values. */
START_TEST(histogram_quantiles_are_envoys)
{
    static const double qs[] = {0, 0.25, 0.5, 0.75, 0.9, 1};
    static const struct {
        uint64_t values[8];
        unsigned n;
        double expected[6];
    } cases[] = {
        {{4}, 1, {4.05, 4.05, 4.05, 4.05, 4.05, 4.05}},
        {{0, 1, 2, 6, 18}, 5, {0, 1.05, 2.05, 6.05, 18.5, 18.5}},
        {{1, 1, 1, 1, 1},
         5,
         {1.0166666666666666, 1.0333333333333334, 1.05, 1.0666666666666667, 1.0833333333333333,
          1.0833333333333333}},
        {{1, 43, 45, 45, 46, 47, 47, 48},
         8,
         {1.05, 43.5, 45.666666666666664, 47.333333333333336, 48.5, 48.5}},
    };
    for (unsigned c = 0; c < ARRAY_SIZE(cases); c++) {
        static struct stat_histogram h;
        struct stat_store *store = stat_store_new(2);
        struct stat_scope *s = stat_scope_get(store, BYTES("h"), &schema);
        for (unsigned i = 0; i < cases[c].n; i++)
            stat_record(s, i % 2, ST_TIME, cases[c].values[i]);
        stat_read_histogram(s, ST_TIME, &h);
        for (unsigned i = 0; i < ARRAY_SIZE(qs); i++)
            ck_assert_double_eq(stat_histogram_quantile(&h, qs[i]), cases[c].expected[i]);
        stat_scope_unref(&s);
        stat_store_free(&store);
    }
}
END_TEST

START_TEST(scopes_are_visited_one_by_one)
{
    struct stat_store *store = stat_store_new(2);
    struct stat_scope *a = stat_scope_get(store, BYTES("a"), &schema);
    struct stat_scope *b = stat_scope_get(store, BYTES("b"), &schema);
    size_t n;
    struct stat_scope **all = stat_scopes(store, &n);
    ck_assert_uint_eq(n, 2);
    stat_scope_unref(&a);
    stat_scope_unref(&b); /* the array keeps them */
    for (size_t i = 0; i < n; i++) {
        unsigned seen = 0;
        stat_visit_scope(all[i], count_view, &seen);
        ck_assert_uint_gt(seen, 0);
        stat_scope_unref(&all[i]);
    }
    mem_free(all);
    all = stat_scopes(store, &n);
    ck_assert_uint_eq(n, 0);
    mem_free(all);
    stat_store_free(&store);
}
END_TEST

/* Of two scopes with a histogram each, the written one alone is named. */
START_TEST(written_histograms_are_visited)
{
    struct stat_store *store = stat_store_new(4);
    struct stat_scope *a = stat_scope_get(store, BYTES("a"), &schema);
    struct stat_scope *b = stat_scope_get(store, BYTES("b"), &schema);
    struct printed p = {STRBUF_INIT, false};
    stat_inc(a, 1, ST_TOTAL);
    stat_visit_histograms(store, print, &p);
    ck_assert_str_eq(strbuf_str(&p.text), "");
    stat_record(b, 2, ST_TIME, 5);
    stat_visit_histograms(store, print, &p);
    ck_assert_str_eq(strbuf_str(&p.text), "b.rq_time=0\n");
    strbuf_fini(&p.text);
    stat_scope_unref(&a);
    stat_scope_unref(&b);
    stat_store_free(&store);
}
END_TEST

START_TEST(histogram_edges)
{
    static struct stat_histogram h;
    struct stat_store *store = stat_store_new(2);
    struct stat_scope *s = stat_scope_get(store, BYTES("h"), &schema);
    stat_record(s, 0, ST_TIME, 0);
    stat_record(s, 0, ST_TIME, 0);
    stat_record(s, 0, ST_TIME, 0);
    stat_record(s, 0, ST_TIME, 7);
    stat_read_histogram(s, ST_TIME, &h);
    ck_assert_double_eq(stat_histogram_quantile(&h, 0.5), 0);
    ck_assert_double_eq_tol(stat_histogram_quantile(&h, 1), 7.05, 1e-12);
    ck_assert_uint_eq(stat_histogram_below(&h, 0.5), 3);
    stat_record(s, 0, ST_TIME, UINT64_MAX); /* clamped into the last step, not lost */
    stat_read_histogram(s, ST_TIME, &h);
    ck_assert_uint_eq(h.count, 5);
    ck_assert_uint_eq(h.steps[STAT_DECADES - 1][STAT_STEPS - 1], 1);
    for (uint64_t v = 1, n = 0; n < 19; v *= 10, n++)
        stat_record(s, 1, ST_TIME, v);
    stat_read_histogram(s, ST_TIME, &h);
    ck_assert_uint_eq(h.count, 24);
    stat_scope_unref(&s);
    stat_store_free(&store);
}
END_TEST

/* A step counts in 16 bits until it is full, then the whole decade in 32: nothing is lost. */
START_TEST(histogram_steps_grow)
{
    enum { TIMES = 70000 };
    static struct stat_histogram h;
    struct stat_store *store = stat_store_new(2);
    struct stat_scope *s = stat_scope_get(store, BYTES("h"), &schema);
    stat_record(s, 0, ST_TIME, 25);
    for (unsigned i = 0; i < TIMES; i++) {
        stat_record(s, 0, ST_TIME, 42);
        stat_record(s, 0, ST_TIME, 3);
    }
    stat_record(s, 0, ST_TIME, 25);
    stat_read_histogram(s, ST_TIME, &h);
    ck_assert_uint_eq(h.steps[1][32], TIMES);
    ck_assert_uint_eq(h.steps[1][15], 2);
    ck_assert_uint_eq(h.steps[0][20], TIMES);
    ck_assert_uint_eq(h.count, 2 * TIMES + 2);
    ck_assert_double_eq(h.sum, 45.0 * TIMES + 50);
    stat_scope_unref(&s);
    stat_store_free(&store);
}
END_TEST

enum { AF_MARK, AF_GROUP, AF_SELF, AF_TIME, AF_BY_WORKER, AF_BY_ALL };
static const struct stat_desc late_descs[] = {
    {"never printed", STAT_MARK},
    {"group", STAT_COUNTER_AFTER(AF_MARK)},
    {"self", STAT_COUNTER_AFTER(AF_SELF)},
    {"time", STAT_HISTOGRAM_AFTER(AF_TIME)},
    {"cx", STAT_COUNTER_BY(STAT_OF_WORKERS)},
    {"inflated", STAT_GAUGE_BY(STAT_OF_ALL | STAT_NO_SUM)},
};
static const struct stat_schema late_schema = {late_descs, ARRAY_SIZE(late_descs)};

START_TEST(some_names_come_later)
{
    struct stat_store *store = stat_store_new(3);
    struct stat_scope *s = stat_scope_get(store, BYTES("l"), &late_schema);
    const char *always = "l.cx=0\nl.worker_0.cx=0\nl.main_thread.inflated=0\n"
                         "l.worker_0.inflated=0\n";
    prints(store, false, always);
    stat_add(s, 1, AF_MARK, 0);
    stat_inc(s, 2, AF_SELF);
    stat_record(s, 2, AF_TIME, 1);
    prints(store, false,
           "l.group=0\nl.self=1\nl.time=0\nl.cx=0\nl.worker_0.cx=0\n"
           "l.main_thread.inflated=0\nl.worker_0.inflated=0\n");
    prints(store, true, "l.self=1\nl.time=0\n");
    stat_scope_unref(&s);
    stat_store_free(&store);
}
END_TEST

START_TEST(threads_have_names_of_their_own)
{
    struct stat_store *store = stat_store_new(4);
    struct stat_scope *s = stat_scope_get(store, BYTES("l"), &late_schema);
    stat_add(s, STAT_SLOT_WORKER0, AF_BY_WORKER, 3);
    stat_add(s, STAT_SLOT_WORKER0 + 1, AF_BY_WORKER, 4);
    stat_set(s, STAT_SLOT_MAIN, AF_BY_ALL, 7);
    const char *text = "l.cx=%u\nl.worker_0.cx=%u\nl.worker_1.cx=%u\nl.main_thread.inflated=7\n";
    char want[128];
    snprintf(want, sizeof(want), text, 7, 3, 4);
    prints(store, true, want);
    stat_reset_counters(store);
    snprintf(want, sizeof(want), text, 0, 0, 0);
    prints(store, true, want);
    stat_inc(s, STAT_SLOT_WORKER0 + 1, AF_BY_WORKER);
    snprintf(want, sizeof(want), text, 1, 0, 1);
    prints(store, true, want);
    stat_scope_unref(&s);
    stat_store_free(&store);
}
END_TEST

enum { WRITERS = 4, ROUNDS = 20000 };

struct writer {
    struct stat_scope *scope;
    unsigned slot;
};

static void *write_all(void *arg)
{
    const struct writer *w = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        stat_inc(w->scope, w->slot, ST_TOTAL);
        stat_add(w->scope, w->slot, ST_ACTIVE, i % 2 ? -1 : 1);
        stat_record(w->scope, w->slot, ST_TIME, i);
        stat_code(w->scope, w->slot, ST_CODES, 200 + i % 40);
        if (i % 50 == 0)
            stat_set_text(w->scope, ST_TEXT, BYTES("text"));
    }
    return NULL;
}

static void count_only(void *ctx, const struct stat_view *v)
{
    *(int64_t *)ctx += v->value;
    for (unsigned i = 0; v->text && i < 1000; i++) /* it is set anew meanwhile */
        ck_assert_int_eq(strcmp(v->text, "text"), 0);
}

START_TEST(threads_write_while_one_reads)
{
    static struct stat_histogram h;
    struct stat_store *store = stat_store_new(WRITERS);
    struct stat_scope *s = stat_scope_get(store, BYTES("t"), &schema);
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    int64_t last = 0, now, sum = 0;
    bool used;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){s, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_all, &writers[i]), 0);
    }
    for (unsigned i = 0; i < 300; i++) {
        now = stat_read(s, ST_TOTAL, &used);
        ck_assert_int_ge(now, last); /* a counter never goes back */
        last = now;
        stat_read_histogram(s, ST_TIME, &h);
        stat_visit(store, count_only, &sum);
        stat_visit_scope(s, count_only, &sum);
        if (i % 100 == 0)
            stat_reset_counters(store);
        struct stat_scope *t = stat_scope_get(store, BYTES("other"), &schema);
        stat_scope_unref(&t);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(stat_read(s, ST_TOTAL, &used), WRITERS * ROUNDS);
    ck_assert_int_eq(stat_read(s, ST_ACTIVE, &used), 0);
    stat_read_histogram(s, ST_TIME, &h);
    ck_assert_uint_eq(h.count, WRITERS * ROUNDS);
    stat_scope_unref(&s);
    stat_store_free(&store);
}
END_TEST

SUITE("stats", used_means_written, codes_and_classes, reset_is_a_baseline, scope_belongs_to_a_name,
      a_name_with_a_nul, many_scopes_come_and_go, histogram_quantiles,
      histogram_quantiles_are_envoys, scopes_are_visited_one_by_one, written_histograms_are_visited,
      histogram_edges, histogram_steps_grow, some_names_come_later, threads_have_names_of_their_own,
      threads_write_while_one_reads)
