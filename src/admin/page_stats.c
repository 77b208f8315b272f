#include <math.h>
#include <stdio.h>

#include "admin/pages.h"
#include "admin/stat_list.h"
#include "admin/stat_memory.h"
#include "base/memory.h"

static const double quantiles[] = {0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1};
static const double buckets[] = {0.5,   1,     5,     10,     25,     50,      100,
                                 250,   500,   1000,  2500,   5000,   10000,   30000,
                                 60000, 300000, 600000, 1800000, 3600000};

enum bucket_mode { BUCKETS_NONE, BUCKETS_CUMULATIVE, BUCKETS_DISJOINT };

/* A page over a list, one entry after the other; a slice a turn. */
struct stats_page {
    struct admin_page page;
    struct admin *admin;
    struct stat_list list;
    size_t at;
    unsigned phase;       /* 0 texts, 1 counters and gauges, 2 histograms */
    enum bucket_mode mode;
    bool json, pretty, begun, any;
};

static void print_value(struct strbuf *out, double v)
{
    if (isnan(v))
        strbuf_add_str(out, "nan");
    else
        strbuf_printf(out, "%.15g", v);
}

static void text_quantiles(struct stats_page *p, const struct stat_histogram *interval,
                           const struct stat_histogram *all, struct strbuf *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++) {
        strbuf_printf(out, "%sP%.15g(", i ? " " : "", quantiles[i] * 100);
        print_value(out, stat_histogram_quantile(interval, quantiles[i]));
        strbuf_add_char(out, ',');
        print_value(out, stat_histogram_quantile(all, quantiles[i]));
        strbuf_add_char(out, ')');
    }
}

static void text_buckets(struct stats_page *p, const struct stat_histogram *interval,
                         const struct stat_histogram *all, struct strbuf *out)
{
    uint64_t before_i = 0, before_a = 0;
    for (size_t i = 0; i < ARRAY_SIZE(buckets); i++) {
        uint64_t bi = stat_histogram_below(interval, buckets[i]);
        uint64_t ba = stat_histogram_below(all, buckets[i]);
        bool disjoint = p->mode == BUCKETS_DISJOINT;
        strbuf_printf(out, "%sB%.15g(%llu,%llu)", i ? " " : "", buckets[i],
                      (unsigned long long)(disjoint ? bi - before_i : bi),
                      (unsigned long long)(disjoint ? ba - before_a : ba));
        before_i = bi;
        before_a = ba;
    }
}

static void text_histogram(struct stats_page *p, const struct stat_entry *e, struct strbuf *out)
{
    struct stat_histogram all, interval;
    stat_read_histogram(e->scope, e->id, &all);
    stat_memory_interval(p->admin->memory, e->name, &interval);
    strbuf_printf(out, "%.*s: ", BYTES_ARG(e->name));
    if (all.count == 0)
        strbuf_add_str(out, "No recorded values");
    else if (p->mode == BUCKETS_NONE)
        text_quantiles(p, &interval, &all, out);
    else
        text_buckets(p, &interval, &all, out);
    strbuf_add_char(out, '\n');
}

static void text_entry(struct stats_page *p, const struct stat_entry *e, struct strbuf *out)
{
    if (e->kind == STAT_TEXT)
        strbuf_printf(out, "%.*s: \"%.*s\"\n", BYTES_ARG(e->name), BYTES_ARG(e->text));
    else if (e->kind == STAT_HISTOGRAM)
        text_histogram(p, e, out);
    else
        strbuf_printf(out, "%.*s: %lld\n", BYTES_ARG(e->name), (long long)e->value);
}

static void json_double(struct json_out *j, const char *key, double v)
{
    char text[40];
    snprintf(text, sizeof(text), "%.15g", v);
    json_raw(j, key, isnan(v) ? "null" : text);
}

/* "computed_quantiles": one object a histogram, one pair of values a quantile. */
static void json_histogram(struct stats_page *p, const struct stat_entry *e, struct json_out *j)
{
    struct stat_histogram all, interval;
    stat_read_histogram(e->scope, e->id, &all);
    stat_memory_interval(p->admin->memory, e->name, &interval);
    json_begin(j, NULL, '{');
    json_string(j, "name", e->name);
    json_begin(j, "values", '[');
    for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++) {
        json_begin(j, NULL, '{');
        json_double(j, "interval", stat_histogram_quantile(&interval, quantiles[i]));
        json_double(j, "cumulative", stat_histogram_quantile(&all, quantiles[i]));
        json_end(j, '}');
    }
    json_end(j, ']');
    json_end(j, '}');
}

static void json_histograms(struct stats_page *p, struct json_out *j)
{
    bool any = false;
    for (size_t i = 0; i < p->list.n; i++)
        any |= p->list.entries[i].kind == STAT_HISTOGRAM;
    if (!any)
        return;
    json_begin(j, NULL, '{');
    json_begin(j, "histograms", '{');
    json_begin(j, "supported_quantiles", '[');
    for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
        json_double(j, NULL, quantiles[i] * 100);
    json_end(j, ']');
    json_begin(j, "computed_quantiles", '[');
    for (size_t i = 0; i < p->list.n; i++) {
        if (p->list.entries[i].kind == STAT_HISTOGRAM)
            json_histogram(p, &p->list.entries[i], j);
    }
    json_end(j, ']');
    json_end(j, '}');
    json_end(j, '}');
}

static void json_entry(const struct stat_entry *e, struct json_out *j)
{
    json_begin(j, NULL, '{');
    json_string(j, "name", e->name);
    if (e->kind == STAT_TEXT)
        json_string(j, "value", e->text);
    else
        json_number(j, "value", e->value);
    json_end(j, '}');
}

static unsigned phase_of(enum stat_kind kind)
{
    return kind == STAT_TEXT ? 0 : kind == STAT_HISTOGRAM ? 2 : 1;
}

static bool json_next(struct stats_page *p, struct strbuf *out)
{
    struct json_out j = {.out = out, .compact = !p->pretty, .depth = 2, .first = !p->any};
    if (!p->begun)
        strbuf_add_str(out, p->pretty ? "{\n \"stats\": [" : "{\"stats\":[");
    p->begun = true;
    while (p->phase < 2 && out->len < ADMIN_SLICE) {
        const struct stat_entry *e = &p->list.entries[p->at];
        if (p->at == p->list.n) {
            p->at = 0;
            p->phase++;
            continue;
        }
        p->at++;
        if (phase_of(e->kind) == p->phase)
            json_entry(e, &j);
        p->any = !j.first;
    }
    if (p->phase < 2)
        return true;
    json_histograms(p, &j);
    strbuf_add_str(out, p->pretty ? "\n ]\n}" : "]}");
    return false;
}

static bool text_next(struct stats_page *p, struct strbuf *out)
{
    while (p->phase < 3 && out->len < ADMIN_SLICE) {
        if (p->at == p->list.n) {
            p->at = 0;
            p->phase++;
            continue;
        }
        const struct stat_entry *e = &p->list.entries[p->at++];
        if (phase_of(e->kind) == p->phase)
            text_entry(p, e, out);
    }
    return p->phase < 3;
}

static bool stats_next(struct admin_page *page, struct strbuf *out)
{
    struct stats_page *p = (struct stats_page *)page;
    return p->json ? json_next(p, out) : text_next(p, out);
}

static void stats_free(struct admin_page *page)
{
    struct stats_page *p = (struct stats_page *)page;
    stat_list_fini(&p->list);
    mem_free(p);
}

static bool bucket_mode(struct bytes text, enum bucket_mode *mode)
{
    *mode = BUCKETS_NONE;
    if (!text.data || bytes_eq_str(text, "none") || bytes_eq_str(text, "summary") ||
        bytes_eq_str(text, "detailed"))
        return true;
    *mode = bytes_eq_str(text, "cumulative") ? BUCKETS_CUMULATIVE : BUCKETS_DISJOINT;
    return bytes_eq_str(text, "cumulative") || bytes_eq_str(text, "disjoint");
}

struct admin_page *page_stats(struct admin *a, const struct query *q)
{
    struct bytes format = query_get(q, "format");
    struct error err = ERROR_INIT;
    enum bucket_mode mode;
    if (bytes_eq_str(format, "prometheus"))
        return page_stats_prometheus(a, q);
    if (format.data && !bytes_eq_str(format, "json") && !bytes_eq_str(format, "text") &&
        !bytes_eq_str(format, "html") && !bytes_eq_str(format, "active-html"))
        return page_error(400, "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n");
    if (!bucket_mode(query_get(q, "histogram_buckets"), &mode))
        return page_error(400, "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|"
                               "summary|none)\n");
    struct stats_page *p = NEW(struct stats_page);
    p->admin = a;
    p->mode = mode;
    p->json = bytes_eq_str(format, "json");
    p->pretty = query_has(q, "pretty");
    p->page = (struct admin_page){.status = 200,
                                  .content_type = p->json ? TEXT_JSON : TEXT_PLAIN,
                                  .next = stats_next,
                                  .free = stats_free};
    if (stat_list_make(&p->list, q, a->table.stats, &err))
        return &p->page;
    struct admin_page *refusal = page_error(400, "%s", error_text(&err));
    error_fini(&err);
    stats_free(&p->page);
    return refusal;
}
