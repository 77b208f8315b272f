#include <stdlib.h>

#include "admin/pages.h"
#include "admin/stat_list.h"
#include "admin/stat_tags.h"
#include "base/memory.h"

static const double buckets[] = {0.5,   1,     5,     10,     25,     50,      100,
                                 250,   500,   1000,  2500,   5000,   10000,   30000,
                                 60000, 300000, 600000, 1800000, 3600000};

/* A statistic with its family and its labels, made once for sorting and printing. */
struct sample {
    const struct stat_entry *entry;
    struct bytes family, labels;
    unsigned kind; /* 0 counters, 1 gauges, 2 text readouts, 3 histograms */
};

struct prometheus_page {
    struct admin_page page;
    struct stat_list list;
    struct sample *samples;
    size_t n, at;
};

static bool name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void add_label(struct strbuf *out, const char *name, struct bytes value)
{
    if (out->len)
        strbuf_add_char(out, ',');
    strbuf_printf(out, "%s=\"", name);
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

static void make_sample(struct arena *a, const struct stat_entry *e, struct stat_tags *tags,
                        struct sample *out)
{
    static const unsigned kinds[] = {[STAT_COUNTER] = 0, [STAT_GAUGE] = 1, [STAT_TEXT] = 2,
                                     [STAT_HISTOGRAM] = 3};
    struct strbuf labels = STRBUF_INIT, family = STRBUF_INIT;
    stat_tags_extract(e->name, tags);
    strbuf_add_str(&family, "envoy_");
    for (size_t i = 0; i < tags->name.len; i++)
        strbuf_add_char(&family, name_char(tags->name.data[i]) ? tags->name.data[i] : '_');
    for (unsigned i = 0; i < tags->n; i++)
        add_label(&labels, tags->tags[i].name, tags->tags[i].value);
    if (e->kind == STAT_TEXT)
        add_label(&labels, "text_value", e->text);
    *out = (struct sample){e, arena_dup(a, strbuf_bytes(&family)),
                           arena_dup(a, strbuf_bytes(&labels)), kinds[e->kind]};
    strbuf_fini(&labels);
    strbuf_fini(&family);
}

static int sample_order(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int c = bytes_cmp(x->family, y->family);
    return c ? c : bytes_cmp(x->entry->name, y->entry->name);
}

static void print_histogram(const struct sample *s, struct strbuf *out)
{
    struct stat_histogram h;
    const char *comma = s->labels.len ? "," : "";
    stat_read_histogram(s->entry->scope, s->entry->id, &h);
    for (size_t i = 0; i < ARRAY_SIZE(buckets); i++)
        strbuf_printf(out, "%.*s_bucket{%.*s%sle=\"%.15g\"} %llu\n", BYTES_ARG(s->family),
                      BYTES_ARG(s->labels), comma, buckets[i],
                      (unsigned long long)stat_histogram_below(&h, buckets[i]));
    strbuf_printf(out, "%.*s_bucket{%.*s%sle=\"+Inf\"} %llu\n", BYTES_ARG(s->family),
                  BYTES_ARG(s->labels), comma, (unsigned long long)h.count);
    strbuf_printf(out, "%.*s_sum{%.*s} %.15g\n", BYTES_ARG(s->family), BYTES_ARG(s->labels), h.sum);
    strbuf_printf(out, "%.*s_count{%.*s} %llu\n", BYTES_ARG(s->family), BYTES_ARG(s->labels),
                  (unsigned long long)h.count);
}

static bool prometheus_next(struct admin_page *page, struct strbuf *out)
{
    static const char *const types[] = {"counter", "gauge", "gauge", "histogram"};
    struct prometheus_page *p = (struct prometheus_page *)page;
    while (p->at < p->n && out->len < ADMIN_SLICE) {
        const struct sample *s = &p->samples[p->at], *before = p->at ? s - 1 : NULL;
        if (!before || before->kind != s->kind || !bytes_eq(before->family, s->family))
            strbuf_printf(out, "# TYPE %.*s %s\n", BYTES_ARG(s->family), types[s->kind]);
        if (s->kind == 3)
            print_histogram(s, out);
        else
            strbuf_printf(out, "%.*s{%.*s} %lld\n", BYTES_ARG(s->family), BYTES_ARG(s->labels),
                          (long long)(s->kind == 2 ? 0 : s->entry->value));
        p->at++;
    }
    return p->at < p->n;
}

static void prometheus_free(struct admin_page *page)
{
    struct prometheus_page *p = (struct prometheus_page *)page;
    mem_free(p->samples);
    stat_list_fini(&p->list);
    mem_free(p);
}

struct admin_page *page_stats_prometheus(struct admin *a, const struct query *q)
{
    struct prometheus_page *p = NEW(struct prometheus_page);
    struct error err = ERROR_INIT;
    struct stat_tags tags = {.name = STRBUF_INIT};
    p->page = (struct admin_page){
        .status = 200, .content_type = TEXT_PLAIN, .next = prometheus_next, .free = prometheus_free};
    if (!stat_list_make(&p->list, q, a->table.stats, &err)) {
        struct admin_page *refusal = page_error(400, "%s", error_text(&err));
        error_fini(&err);
        prometheus_free(&p->page);
        return refusal;
    }
    bool texts = query_has(q, "text_readouts");
    p->samples = mem_alloc(p->list.n * sizeof(*p->samples));
    for (size_t i = 0; i < p->list.n; i++) {
        const struct stat_entry *e = &p->list.entries[i];
        struct stat_histogram h;
        if (e->kind == STAT_TEXT && !texts)
            continue;
        if (e->kind == STAT_HISTOGRAM && p->list.used_only &&
            (stat_read_histogram(e->scope, e->id, &h), h.count == 0))
            continue;
        make_sample(p->list.arena, e, &tags, &p->samples[p->n++]);
    }
    qsort(p->samples, p->n, sizeof(p->samples[0]), sample_order);
    stat_tags_fini(&tags);
    return &p->page;
}
