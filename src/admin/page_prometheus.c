#include <math.h>
#include <stdlib.h>

#include "admin/histogram_out.h"
#include "admin/pages.h"
#include "admin/stat_list.h"
#include "admin/stat_memory.h"
#include "admin/stat_tags.h"
#include "base/map.h"
#include "base/memory.h"

/* Counters, gauges, text readouts (as gauges), histograms: one after the other, each with its
 * families in order of name. First all samples of a kind are collected, which come in the order of
 * their full names; then they are printed. Both in slices. */
static const struct kind {
    enum stat_kind kind;
    const char *type;
} kinds[] = {{STAT_COUNTER, "counter"},
             {STAT_GAUGE, "gauge"},
             {STAT_TEXT, "gauge"},
             {STAT_HISTOGRAM, "histogram"}};

enum { SLICE_SAMPLES = 2048 };

struct sample {
    struct sample *next;
    struct bytes labels;
    uint64_t value;
    struct bytes name;              /* histograms */
    const struct stat_scope *scope; /* histograms; held by the list */
    unsigned id;
};

struct family {
    struct bytes key;  /* the name without tags, as it stands: the order */
    struct bytes name; /* as Prometheus writes it */
    struct sample *first, *last;
};

struct prometheus_page {
    struct admin_page page;
    struct admin *admin;
    struct stat_list list;
    struct stat_tags tags;
    struct arena *arena;    /* samples of the kind */
    struct map families;    /* name without tags -> struct family * */
    struct family **sorted; /* not NULL: printing */
    size_t n_sorted, at;
    struct strbuf name, labels; /* of the sample at hand */
    const struct sample *sample;
    unsigned kind;
    bool texts, summary;
};

static bool name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void add_name(struct strbuf *out, struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        strbuf_add_char(out, name_char(name.data[i]) ? name.data[i] : '_');
}

static void add_label(struct strbuf *out, struct bytes name, struct bytes value)
{
    if (out->len)
        strbuf_add_char(out, ',');
    add_name(out, name);
    strbuf_add_str(out, "=\"");
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c == '\n')
            strbuf_add_str(out, "\\n");
        else if (c == '"' || c == '\\')
            strbuf_printf(out, "\\%c", c);
        else
            strbuf_add_char(out, c);
    }
    strbuf_add_char(out, '"');
}

/* ---- collecting ---- */

static struct family *family_of(struct prometheus_page *p)
{
    struct family *f = map_get(&p->families, strbuf_bytes(&p->tags.name));
    if (f)
        return f;
    strbuf_reset(&p->name);
    strbuf_add_str(&p->name, "envoy_");
    add_name(&p->name, strbuf_bytes(&p->tags.name));
    f = ARENA_NEW(p->arena, struct family);
    f->key = arena_dup(p->arena, strbuf_bytes(&p->tags.name));
    f->name = arena_dup(p->arena, strbuf_bytes(&p->name));
    map_set(&p->families, f->key, f);
    return f;
}

static void collect(struct prometheus_page *p, const struct stat_entry *e)
{
    struct sample *s = ARENA_NEW(p->arena, struct sample);
    stat_tags_extract(p->admin->tag_rules, e->name, &p->tags);
    strbuf_reset(&p->labels);
    for (unsigned i = 0; i < p->tags.n; i++)
        add_label(&p->labels, p->tags.tags[i].name, p->tags.tags[i].value);
    if (e->kind == STAT_TEXT)
        add_label(&p->labels, BYTES("text_value"), e->text);
    s->labels = arena_dup(p->arena, strbuf_bytes(&p->labels));
    s->value = e->kind == STAT_TEXT ? 0 : e->value;
    if (e->kind == STAT_HISTOGRAM) {
        s->name = arena_dup(p->arena, e->name);
        s->scope = e->scope;
        s->id = e->id;
    }
    struct family *f = family_of(p);
    if (f->last)
        f->last->next = s;
    else
        f->first = s;
    f->last = s;
}

static void start_kind(struct prometheus_page *p)
{
    if (p->arena)
        arena_free(&p->arena);
    map_fini(&p->families);
    mem_free(p->sorted);
    p->sorted = NULL;
    p->families = (struct map){0};
    p->arena = arena_new(64 * 1024);
    stat_list_start(&p->list, 1u << kinds[p->kind].kind);
}

/* ---- printing ---- */

static void add_number(struct strbuf *out, double v)
{
    if (isnan(v))
        strbuf_add_str(out, "nan");
    else
        strbuf_printf(out, "%.32g", v);
}

static void print_summary(const struct family *f, const struct sample *s,
                          const struct stat_histogram *h, struct strbuf *out)
{
    for (size_t i = 0; i < HISTOGRAM_QUANTILES; i++) {
        strbuf_printf(out, "%.*s{%.*s%squantile=\"%g\"} ", BYTES_ARG(f->name), BYTES_ARG(s->labels),
                      s->labels.len ? "," : "", histogram_quantiles[i]);
        add_number(out, stat_histogram_quantile(h, histogram_quantiles[i]));
        strbuf_add_char(out, '\n');
    }
}

static void print_buckets(const struct prometheus_page *p, const struct family *f,
                          const struct sample *s, const struct stat_histogram *h,
                          struct strbuf *out)
{
    const struct stat_buckets *b = stats_config_buckets(p->admin->table.stats_config, s->name);
    if (!b)
        b = &histogram_buckets;
    const char *comma = s->labels.len ? "," : "";
    for (size_t i = 0; i < b->n; i++)
        strbuf_printf(out, "%.*s_bucket{%.*s%sle=\"%.15g\"} %llu\n", BYTES_ARG(f->name),
                      BYTES_ARG(s->labels), comma, b->bounds[i],
                      (unsigned long long)stat_histogram_below(h, b->bounds[i]));
    strbuf_printf(out, "%.*s_bucket{%.*s%sle=\"+Inf\"} %llu\n", BYTES_ARG(f->name),
                  BYTES_ARG(s->labels), comma, (unsigned long long)h->count);
}

/* Buckets count since the start, a summary tells of the last interval. */
static void print_histogram(struct prometheus_page *p, const struct family *f,
                            const struct sample *s, struct strbuf *out)
{
    struct stat_histogram h;
    if (p->summary)
        stat_memory_interval(p->admin->memory, s->name, &h);
    else
        stat_read_histogram(s->scope, s->id, &h);
    if (p->summary)
        print_summary(f, s, &h, out);
    else
        print_buckets(p, f, s, &h, out);
    strbuf_printf(out, "%.*s_sum{%.*s} ", BYTES_ARG(f->name), BYTES_ARG(s->labels));
    add_number(out, h.sum);
    strbuf_printf(out, "\n%.*s_count{%.*s} %llu\n", BYTES_ARG(f->name), BYTES_ARG(s->labels),
                  (unsigned long long)h.count);
}

static const char *type_of(const struct prometheus_page *p)
{
    return p->summary && kinds[p->kind].kind == STAT_HISTOGRAM ? "summary" : kinds[p->kind].type;
}

/* The next sample; false: there is no more of this kind. */
static bool print_next(struct prometheus_page *p, struct strbuf *out)
{
    while (!p->sample) {
        if (p->at == p->n_sorted)
            return false;
        const struct family *f = p->sorted[p->at];
        strbuf_printf(out, "# TYPE %.*s %s\n", BYTES_ARG(f->name), type_of(p));
        p->sample = f->first;
    }
    const struct family *f = p->sorted[p->at];
    const struct sample *s = p->sample;
    if (s->scope)
        print_histogram(p, f, s, out);
    else
        strbuf_printf(out, "%.*s{%.*s} %llu\n", BYTES_ARG(f->name), BYTES_ARG(s->labels),
                      (unsigned long long)s->value);
    p->sample = s->next;
    if (!p->sample)
        p->at++;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp((*(struct family *const *)a)->key, (*(struct family *const *)b)->key);
}

static void sort_families(struct prometheus_page *p)
{
    size_t it = 0, n = 0;
    struct bytes name;
    void *f;
    p->sorted = mem_alloc((map_count(&p->families) + 1) * sizeof(struct family *));
    while (map_next(&p->families, &it, &name, &f))
        p->sorted[n++] = f;
    if (n)
        qsort(p->sorted, n, sizeof(p->sorted[0]), by_name);
    p->n_sorted = n;
    p->at = 0;
    p->sample = NULL;
}

static void collect_slice(struct prometheus_page *p)
{
    for (unsigned n = 0; n < SLICE_SAMPLES && !stat_list_over(&p->list);) {
        const struct stat_entry *e = stat_list_next(&p->list, &n);
        if (e) {
            collect(p, e);
            n++;
        }
    }
    if (!stat_list_over(&p->list))
        return;
    sort_families(p);
}

static bool prometheus_next(struct admin_page *page, struct strbuf *out)
{
    struct prometheus_page *p = (struct prometheus_page *)page;
    if (!p->sorted) {
        collect_slice(p);
        return true;
    }
    while (out->len < ADMIN_SLICE) {
        if (print_next(p, out))
            continue;
        do
            p->kind++;
        while (p->kind < ARRAY_SIZE(kinds) && kinds[p->kind].kind == STAT_TEXT && !p->texts);
        if (p->kind == ARRAY_SIZE(kinds))
            return false;
        start_kind(p);
        return true;
    }
    return true;
}

static void prometheus_free(struct admin_page *page)
{
    struct prometheus_page *p = (struct prometheus_page *)page;
    map_fini(&p->families);
    mem_free(p->sorted);
    if (p->arena)
        arena_free(&p->arena);
    strbuf_fini(&p->name);
    strbuf_fini(&p->labels);
    stat_tags_fini(&p->tags);
    stat_list_fini(&p->list);
    mem_free(p);
}

/* The word is known to be one that there is. */
static bool take_buckets(struct bytes buckets, struct prometheus_page *p, struct error *err)
{
    enum histogram_mode mode;
    if (!histogram_mode_parse(buckets, &mode))
        return error_set(err, "unsupported prometheusnative histogram type when not using "
                              "protobuf exposition format");
    if (mode == HISTOGRAM_DISJOINT || mode == HISTOGRAM_DETAILED)
        return error_set(err, "unsupported prometheus histogram bucket mode");
    p->summary = mode == HISTOGRAM_SUMMARY && buckets.len;
    return true;
}

struct admin_page *page_stats_prometheus(struct admin *a, const struct query *q)
{
    struct prometheus_page *p = NEW(struct prometheus_page);
    struct error err = ERROR_INIT;
    p->admin = a;
    p->texts = query_has(q, "text_readouts");
    if (a->table.flush_on_admin)
        admin_stats_flush(a);
    p->page = (struct admin_page){.status = 200,
                                  .content_type = TEXT_PLAIN,
                                  .next = prometheus_next,
                                  .free = prometheus_free};
    if (stat_list_init(&p->list, q, false, a->table.stats, a->table.stats_config, &err) &&
        take_buckets(query_get(q, "histogram_buckets"), p, &err)) {
        start_kind(p);
        return &p->page;
    }
    struct admin_page *refusal = page_error(400, "%s", error_text(&err));
    error_fini(&err);
    prometheus_free(&p->page);
    return refusal;
}
