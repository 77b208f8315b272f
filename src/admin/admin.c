#include "admin/admin.h"

#include <stdarg.h>
#include <stdio.h>

#include "admin/pages.h"
#include "admin/stat_memory.h"
#include "base/memory.h"

struct param {
    const char *name, *help;
};

struct command {
    const char *path, *help;
    bool post;
    page_fn *fn;
    const struct param *params; /* ends with {NULL} */
};

static const struct param enable_params[] = {
    {"enable", "enable/disable the profiler; One of (y, n)"}, {NULL, NULL}};
static const struct param clusters_params[] = {
    {"format", "File format to use; One of (text, json)"},
    {"filter", "Regular expression (Google re2) for filtering clusters by name"},
    {NULL, NULL}};
static const struct param config_dump_params[] = {
    {"resource", "The resource to dump"},
    {"mask", "The mask to apply. With resource it applies to every element of that field. A "
             "Protobuf::FieldMask"},
    {"name_regex", "Dump only the configurations whose names match the regular expression"},
    {"include_eds", "Also dump the endpoints"},
    {NULL, NULL}};
static const struct param drain_params[] = {
    {"graceful", "Enter a graceful drain period before the listeners close"},
    {"skip_exit", "Drain the connections but never stop the listeners"},
    {"inboundonly", "Only listeners whose traffic_direction is INBOUND"},
    {NULL, NULL}};
static const struct param init_dump_params[] = {
    {"mask", "The component to dump: /init_dump?mask=listener"}, {NULL, NULL}};
static const struct param listeners_params[] = {
    {"format", "File format to use; One of (text, json)"}, {NULL, NULL}};
static const struct param logging_params[] = {
    {"paths", "Change multiple logging levels by setting to <logger_name1>:<desired_level1>,..."},
    {"level", "desired logging level; One of (, trace, debug, info, warning, error, critical, "
              "off)"},
    {NULL, NULL}};
static const struct param stats_params[] = {
    {"usedonly", "Only include stats that have been written by system since restart"},
    {"filter", "Regular expression (Google re2) for filtering stats"},
    {"format", "Format to use; One of (html, active-html, text, json)"},
    {"type", "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)"},
    {"histogram_buckets", "Histogram bucket display mode; One of (cumulative, disjoint, detailed, "
                          "summary)"},
    {NULL, NULL}};
static const struct param prometheus_params[] = {
    {"usedonly", "Only include stats that have been written by system since restart"},
    {"text_readouts", "Render text_readouts as new gaugues with value 0 (increases Prometheus data "
                      "size)"},
    {"filter", "Regular expression (Google re2) for filtering stats"},
    {"histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"},
    {NULL, NULL}};

static const struct command commands[] = {
    {"/", "Admin home page", false, page_home, NULL},
    {"/allocprofiler", "enable/disable the allocation profiler (if supported)", true,
     page_unsupported, enable_params},
    {"/certs", "print certs on machine", false, page_certs, NULL},
    {"/clusters", "upstream cluster status", false, page_clusters, clusters_params},
    {"/config_dump", "dump current Envoy configs", false, page_config_dump, config_dump_params},
    {"/contention", "dump current Envoy mutex contention stats (if enabled)", false,
     page_contention, NULL},
    {"/cpuprofiler", "enable/disable the CPU profiler", true, page_unsupported, enable_params},
    {"/drain_listeners", "drain listeners", true, page_drain_listeners, drain_params},
    {"/healthcheck/fail", "cause the server to fail health checks", true, page_healthcheck_fail,
     NULL},
    {"/healthcheck/ok", "cause the server to pass health checks", true, page_healthcheck_ok, NULL},
    {"/heap_dump", "dump current Envoy heap (if supported)", false, page_unsupported, NULL},
    {"/heapprofiler", "enable/disable the heap profiler", true, page_unsupported, enable_params},
    {"/help", "print out list of admin commands", false, page_help, NULL},
    {"/hot_restart_version", "print the hot restart compatibility version", false,
     page_hot_restart_version, NULL},
    {"/init_dump", "dump current Envoy init manager information (experimental)", false,
     page_init_dump, init_dump_params},
    {"/listeners", "print listener info", false, page_listeners, listeners_params},
    {"/logging", "query/change logging levels", true, page_logging, logging_params},
    {"/memory", "print current allocation/heap usage", false, page_memory, NULL},
    {"/quitquitquit", "exit the server", true, page_quit, NULL},
    {"/ready", "print server state, return 200 if LIVE, otherwise return 503", false, page_ready,
     NULL},
    {"/reopen_logs", "reopen access logs", true, page_reopen_logs, NULL},
    {"/reset_counters", "reset all counters to zero", true, page_reset_counters, NULL},
    {"/runtime", "print runtime values", false, page_runtime, NULL},
    {"/server_info", "print server version/status information", false, page_server_info, NULL},
    {"/stats", "print server stats", false, page_stats, stats_params},
    {"/stats/prometheus", "print server stats in prometheus format", false, page_stats_prometheus,
     prometheus_params},
};

void admin_help_text(struct strbuf *out)
{
    strbuf_add_str(out, "admin commands are:\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct command *c = &commands[i];
        strbuf_printf(out, "  %s%s: %s\n", c->path, c->post ? " (POST)" : "", c->help);
        for (const struct param *p = c->params; p && p->name; p++)
            strbuf_printf(out, "      %s: %s\n", p->name, p->help);
    }
}

struct admin *admin_new(const struct admin_table *table)
{
    struct admin *a = NEW(struct admin);
    a->table = *table;
    a->memory = stat_memory_new();
    return a;
}

void admin_free(struct admin **a)
{
    if (!*a)
        return;
    stat_memory_free(&(*a)->memory);
    mem_free(*a);
    *a = NULL;
}

void admin_stats_flush(struct admin *a)
{
    stat_memory_flush(a->memory, a->table.stats);
}

/* ---- pages of text ---- */

static bool text_next(struct admin_page *p, struct strbuf *out)
{
    struct text_page *t = (struct text_page *)p;
    struct bytes rest = bytes_skip(strbuf_bytes(&t->text), t->at);
    struct bytes now = bytes_first(rest, ADMIN_SLICE);
    strbuf_add_bytes(out, now);
    t->at += now.len;
    return t->at < t->text.len;
}

static void text_free(struct admin_page *p)
{
    struct text_page *t = (struct text_page *)p;
    strbuf_fini(&t->text);
    mem_free(t);
}

struct text_page *text_page_new(unsigned status, const char *content_type)
{
    struct text_page *t = NEW(struct text_page);
    t->page = (struct admin_page){
        .status = status, .content_type = content_type, .next = text_next, .free = text_free};
    return t;
}

struct admin_page *page_error(unsigned status, const char *fmt, ...)
{
    struct text_page *t = text_page_new(status, TEXT_PLAIN);
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(&t->text, fmt, ap);
    va_end(ap);
    return &t->page;
}

static const struct command *find_command(struct bytes path)
{
    if (path.len > 1 && path.data[path.len - 1] == '/')
        path.len--;
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (bytes_eq_str(path, commands[i].path))
            return &commands[i];
    }
    return NULL;
}

struct admin_page *admin_open(struct admin *a, struct bytes method, struct bytes target)
{
    struct arena *arena = arena_new(1024);
    struct query q;
    query_parse(arena, target, &q);
    const struct command *c = find_command(q.path);
    struct admin_page *page;
    if (!c) {
        struct text_page *t = text_page_new(404, TEXT_PLAIN);
        strbuf_add_str(&t->text, "invalid path. ");
        admin_help_text(&t->text);
        page = &t->page;
    } else if (c->post && !bytes_eq_str(method, "POST")) {
        page = page_error(405, "Method %.*s not allowed, POST required.", BYTES_ARG(method));
    } else {
        page = c->fn(a, &q);
    }
    arena_free(&arena);
    return page;
}
