#include "admin/histogram_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const double histogram_quantiles[HISTOGRAM_QUANTILES] = {0,    0.25, 0.5,   0.75,  0.9,
                                                         0.95, 0.99, 0.995, 0.999, 1};
static const double bounds[] = {0.5,   1,      5,      10,      25,     50,    100,
                                250,   500,    1000,   2500,    5000,   10000, 30000,
                                60000, 300000, 600000, 1800000, 3600000};
const struct stat_buckets histogram_buckets = {.bounds = bounds, .n = ARRAY_SIZE(bounds)};

bool histogram_mode_parse(struct bytes text, enum histogram_mode *mode)
{
    static const char *const names[] = {
#define X(id, name) name,
        HISTOGRAM_MODE_LIST(X)
#undef X
    };
    *mode = HISTOGRAM_SUMMARY;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (bytes_eq_str(text, names[i])) {
            *mode = (enum histogram_mode)i;
            return true;
        }
    }
    return text.len == 0 || bytes_eq_str(text, "none");
}

static void shortest(char out[40], const char *format, double v)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 40, format, digits, v);
        if (strtod(out, NULL) == v)
            return;
    }
}

void histogram_number(struct strbuf *out, double v)
{
    char text[40];
    if (isnan(v)) {
        strbuf_add_str(out, "nan");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    strbuf_add_str(out, text);
}

/* JSON numbers take the shorter of 300000 and 3e+05. */
static void json_double(struct json_out *j, const char *key, double v)
{
    char plain[40], scientific[40], *e;
    if (isnan(v)) {
        json_raw(j, key, "null");
        return;
    }
    struct strbuf s = STRBUF_INIT;
    histogram_number(&s, v);
    snprintf(plain, sizeof(plain), "%s", strbuf_str(&s));
    strbuf_fini(&s);
    shortest(scientific, "%.*e", v);
    e = strchr(scientific, 'e');
    if (e && strncmp(e - 2, ".0", 2) == 0) /* one digit: 3.0e+05 is 3e+05 */
        memmove(e - 2, e, strlen(e) + 1);
    json_raw(j, key, strlen(scientific) < strlen(plain) ? scientific : plain);
}

/* ---- text ---- */

static void text_quantiles(struct strbuf *out, const struct stat_histogram *interval,
                           const struct stat_histogram *all)
{
    for (size_t i = 0; i < HISTOGRAM_QUANTILES; i++) {
        strbuf_printf(out, "%sP%g(", i ? " " : "", histogram_quantiles[i] * 100);
        histogram_number(out, stat_histogram_quantile(interval, histogram_quantiles[i]));
        strbuf_add_char(out, ',');
        histogram_number(out, stat_histogram_quantile(all, histogram_quantiles[i]));
        strbuf_add_char(out, ')');
    }
}

/* How many values are in bucket i, or in it and those below it. */
static unsigned long long in_bucket(const struct stat_histogram *h, const struct stat_buckets *b,
                                    size_t i, enum histogram_mode mode)
{
    uint64_t n = stat_histogram_below(h, b->bounds[i]);
    if (mode == HISTOGRAM_DISJOINT && i)
        n -= stat_histogram_below(h, b->bounds[i - 1]);
    return n;
}

static void text_buckets(struct strbuf *out, enum histogram_mode mode, const struct stat_buckets *b,
                         const struct stat_histogram *interval, const struct stat_histogram *all)
{
    for (size_t i = 0; i < b->n; i++) {
        strbuf_printf(out, "%sB%g(%llu,%llu)", i ? " " : "", b->bounds[i],
                      in_bucket(interval, b, i, mode), in_bucket(all, b, i, mode));
    }
}

typedef void step_fn(void *ctx, double low, double width, uint64_t count);

static void each_step(const struct stat_histogram *h, step_fn *fn, void *ctx)
{
    double scale = 1;
    if (h->zeros)
        fn(ctx, 0, 0, h->zeros);
    for (unsigned d = 0; d < STAT_DECADES; d++, scale *= 10) {
        for (unsigned i = 0; i < STAT_STEPS; i++) {
            if (h->steps[d][i])
                fn(ctx, stat_histogram_low(d, i), scale / 10, h->steps[d][i]);
        }
    }
}

static void text_step(void *ctx, double low, double width, uint64_t count)
{
    struct strbuf *out = ctx;
    strbuf_printf(out, "%s%g,%g:%llu", out->data[out->len - 1] == '=' ? "" : ", ", low, width,
                  (unsigned long long)count);
}

static void text_detailed(struct strbuf *out, const struct stat_histogram *interval,
                          const struct stat_histogram *all)
{
    strbuf_add_str(out, "\n  totals=");
    each_step(all, text_step, out);
    strbuf_add_str(out, "\n  intervals=");
    each_step(interval, text_step, out);
    strbuf_add_str(out, "\n  summary=");
    text_quantiles(out, interval, all);
}

void histogram_text(struct strbuf *out, struct bytes name, enum histogram_mode mode,
                    const struct stat_buckets *buckets, const struct stat_histogram *interval,
                    const struct stat_histogram *all)
{
    strbuf_printf(out, "%.*s:", BYTES_ARG(name));
    if (mode != HISTOGRAM_DETAILED || all->count == 0)
        strbuf_add_char(out, ' ');
    if (all->count == 0) {
        strbuf_add_str(out, "No recorded values");
    } else {
        switch (mode) {
        case HISTOGRAM_SUMMARY:
            text_quantiles(out, interval, all);
            break;
        case HISTOGRAM_CUMULATIVE:
        case HISTOGRAM_DISJOINT:
            text_buckets(out, mode, buckets ? buckets : &histogram_buckets, interval, all);
            break;
        case HISTOGRAM_DETAILED:
            text_detailed(out, interval, all);
            break;
        }
    }
    strbuf_add_char(out, '\n');
}

/* ---- JSON ---- */

static bool has_quantiles(enum histogram_mode mode)
{
    return mode == HISTOGRAM_SUMMARY || mode == HISTOGRAM_DETAILED;
}

void histogram_json_begin(struct json_out *j, enum histogram_mode mode)
{
    bool detailed = mode == HISTOGRAM_DETAILED;
    json_begin(j, NULL, '{');
    if (!has_quantiles(mode)) {
        json_begin(j, "histograms", '[');
        return;
    }
    json_begin(j, "histograms", '{');
    json_begin(j, detailed ? "supported_percentiles" : "supported_quantiles", '[');
    for (size_t i = 0; i < HISTOGRAM_QUANTILES; i++)
        json_double(j, NULL, histogram_quantiles[i] * 100);
    json_end(j, ']');
    json_begin(j, detailed ? "details" : "computed_quantiles", '[');
}

void histogram_json_end(struct json_out *j, enum histogram_mode mode)
{
    json_end(j, ']');
    if (has_quantiles(mode))
        json_end(j, '}');
    json_end(j, '}');
}

static void json_quantiles(struct json_out *j, const char *key,
                           const struct stat_histogram *interval, const struct stat_histogram *all)
{
    json_begin(j, key, '[');
    for (size_t i = 0; i < HISTOGRAM_QUANTILES; i++) {
        json_begin(j, NULL, '{');
        json_double(j, "cumulative", stat_histogram_quantile(all, histogram_quantiles[i]));
        json_double(j, "interval", stat_histogram_quantile(interval, histogram_quantiles[i]));
        json_end(j, '}');
    }
    json_end(j, ']');
}

static void json_buckets(struct json_out *j, enum histogram_mode mode, const struct stat_buckets *b,
                         const struct stat_histogram *interval, const struct stat_histogram *all)
{
    json_begin(j, "buckets", '[');
    for (size_t i = 0; i < b->n; i++) {
        json_begin(j, NULL, '{');
        json_double(j, "upper_bound", b->bounds[i]);
        json_number(j, "interval", (int64_t)in_bucket(interval, b, i, mode));
        json_number(j, "cumulative", (int64_t)in_bucket(all, b, i, mode));
        json_end(j, '}');
    }
    json_end(j, ']');
}

static void json_step(void *ctx, double low, double width, uint64_t count)
{
    struct json_out *j = ctx;
    json_begin(j, NULL, '{');
    json_double(j, "lower_bound", low);
    json_double(j, "width", width);
    json_number(j, "count", (int64_t)count);
    json_end(j, '}');
}

static void json_steps(struct json_out *j, const char *key, const struct stat_histogram *h)
{
    json_begin(j, key, '[');
    each_step(h, json_step, j);
    json_end(j, ']');
}

void histogram_json(struct json_out *j, struct bytes name, enum histogram_mode mode,
                    const struct stat_buckets *buckets, const struct stat_histogram *interval,
                    const struct stat_histogram *all)
{
    json_begin(j, NULL, '{');
    json_string(j, "name", name);
    switch (mode) {
    case HISTOGRAM_SUMMARY:
        json_quantiles(j, "values", interval, all);
        break;
    case HISTOGRAM_CUMULATIVE:
    case HISTOGRAM_DISJOINT:
        json_buckets(j, mode, buckets ? buckets : &histogram_buckets, interval, all);
        break;
    case HISTOGRAM_DETAILED:
        json_steps(j, "totals", all);
        json_steps(j, "intervals", interval);
        json_quantiles(j, "percentiles", interval, all);
        break;
    }
    json_end(j, '}');
}
