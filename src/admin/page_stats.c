#include "admin/histogram_out.h"
#include "admin/pages.h"
#include "admin/stat_list.h"
#include "admin/stat_memory.h"
#include "base/memory.h"

/* Text readouts, then counters and gauges, then histograms: three passes over the list. */
static const unsigned passes[] = {1u << STAT_TEXT, 1u << STAT_COUNTER | 1u << STAT_GAUGE,
                                  1u << STAT_HISTOGRAM};

enum stats_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_HTML };

struct stats_page {
    struct admin_page page;
    struct admin *admin;
    struct stat_list list;
    unsigned pass;
    enum stats_format format;
    enum histogram_mode mode;
    bool begun, any, any_histogram;
};

/* The slice ends by size, and by the number of statistics that were looked at. */
enum { SLICE_ENTRIES = 4096 };

static void print_text(struct stats_page *p, const struct stat_entry *e, struct strbuf *out)
{
    struct stat_histogram all, interval;
    switch (e->kind) {
    case STAT_TEXT:
        strbuf_printf(out, "%.*s: \"%.*s\"\n", BYTES_ARG(e->name), BYTES_ARG(e->text));
        break;
    case STAT_HISTOGRAM:
        stat_read_histogram(e->scope, e->id, &all);
        stat_memory_interval(p->admin->memory, e->name, &interval);
        histogram_text(out, e->name, p->mode,
                       stats_config_buckets(p->admin->table.stats_config, e->name), &interval,
                       &all);
        break;
    case STAT_COUNTER:
    case STAT_GAUGE:
    case STAT_CODES:
    case STAT_MARK:
        strbuf_printf(out, "%.*s: %llu\n", BYTES_ARG(e->name), (unsigned long long)e->value);
    }
}

static void print_json(struct stats_page *p, const struct stat_entry *e, struct strbuf *out)
{
    struct json_out j = {.out = out, .compact = true, .depth = 2, .first = !p->any};
    struct stat_histogram all, interval;
    if (e->kind == STAT_HISTOGRAM) {
        stat_read_histogram(e->scope, e->id, &all);
        stat_memory_interval(p->admin->memory, e->name, &interval);
        if (!p->any_histogram)
            histogram_json_begin(&j, p->mode);
        p->any_histogram = true;
        histogram_json(&j, e->name, p->mode,
                       stats_config_buckets(p->admin->table.stats_config, e->name), &interval,
                       &all);
    } else {
        json_begin(&j, NULL, '{');
        json_string(&j, "name", e->name);
        if (e->kind == STAT_TEXT)
            json_string(&j, "value", e->text);
        else
            json_unsigned(&j, "value", e->value);
        json_end(&j, '}');
    }
    p->any = true;
}

static void print(struct stats_page *p, const struct stat_entry *e, struct strbuf *out)
{
    struct strbuf line = STRBUF_INIT;
    switch (p->format) {
    case FORMAT_TEXT:
        print_text(p, e, out);
        break;
    case FORMAT_JSON:
        print_json(p, e, out);
        break;
    case FORMAT_HTML:
        print_text(p, e, &line);
        admin_html_escape(out, strbuf_bytes(&line));
        strbuf_fini(&line);
        break;
    }
}

static void begin(struct stats_page *p, struct strbuf *out)
{
    static const char *const head[] = {
        [FORMAT_TEXT] = "",
        [FORMAT_JSON] = "{\"stats\":[",
        [FORMAT_HTML] = ("<!DOCTYPE html>\n<html lang='en'>\n<head>\n<title>Xylem Admin</title>\n"
                         "</head>\n<body>\n<pre>\n")};
    strbuf_add_str(out, head[p->format]);
    p->begun = true;
}

static void end(struct stats_page *p, struct strbuf *out)
{
    static const char *const tail[] = {
        [FORMAT_TEXT] = "", [FORMAT_JSON] = "]}", [FORMAT_HTML] = "</pre>\n</body>\n</html>\n"};
    if (p->any_histogram) {
        struct json_out j = {.out = out, .compact = true, .depth = 5};
        histogram_json_end(&j, p->mode);
    }
    strbuf_add_str(out, tail[p->format]);
}

static bool stats_next(struct admin_page *page, struct strbuf *out)
{
    struct stats_page *p = (struct stats_page *)page;
    const struct stat_entry *e;
    if (!p->begun)
        begin(p, out);
    for (unsigned n = 0; n < SLICE_ENTRIES && out->len < ADMIN_SLICE;) {
        if ((e = stat_list_next(&p->list, &n))) {
            print(p, e, out);
        } else if (stat_list_over(&p->list)) {
            if (++p->pass == ARRAY_SIZE(passes)) {
                end(p, out);
                return false;
            }
            stat_list_start(&p->list, passes[p->pass]);
        }
    }
    return true;
}

static void stats_free(struct admin_page *page)
{
    struct stats_page *p = (struct stats_page *)page;
    stat_list_fini(&p->list);
    mem_free(p);
}

static const char *content_type(enum stats_format f)
{
    static const char *const types[] = {
        [FORMAT_TEXT] = TEXT_PLAIN, [FORMAT_JSON] = TEXT_JSON, [FORMAT_HTML] = TEXT_HTML};
    return types[f];
}

static enum stats_format format_of(struct bytes text)
{
    if (bytes_eq_str(text, "html") || bytes_eq_str(text, "active-html"))
        return FORMAT_HTML;
    return bytes_eq_str(text, "json") ? FORMAT_JSON : FORMAT_TEXT;
}

/* The words are known to be some that there are. */
static bool take_query(const struct query *q, struct stats_page *p, struct error *err)
{
    p->format = format_of(query_get(q, "format"));
    return histogram_mode_parse(query_get(q, "histogram_buckets"), &p->mode) ||
           error_set(err, "Invalid histogram_buckets type for non prometheus stats type");
}

struct admin_page *page_stats(struct admin *a, const struct query *q)
{
    struct error err = ERROR_INIT;
    if (bytes_eq_str(query_get(q, "format"), "prometheus"))
        return page_stats_prometheus(a, q);
    struct stats_page *p = NEW(struct stats_page);
    p->admin = a;
    if (a->table.flush_on_admin)
        admin_stats_flush(a);
    if (stat_list_init(&p->list, q, true, a->table.stats, a->table.stats_config, &err) &&
        take_query(q, p, &err)) {
        p->page = (struct admin_page){.status = 200,
                                      .content_type = content_type(p->format),
                                      .next = stats_next,
                                      .free = stats_free};
        stat_list_start(&p->list, passes[0]);
        return &p->page;
    }
    struct admin_page *refusal = page_error(400, "%s", error_text(&err));
    error_fini(&err);
    stats_free(&p->page);
    return refusal;
}
