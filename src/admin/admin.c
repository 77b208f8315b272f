#include "admin/admin.h"

#include <stdarg.h>
#include <stdio.h>

#include "admin/pages.h"
#include "admin/stat_memory.h"
#include "admin/stat_tags.h"
#include "base/log.h"
#include "base/memory.h"

static const struct admin_param allocprofiler_params[] = {
    {"enable", "enable/disable the allocation profiler; One of (y, n)"}, {NULL, NULL}};
static const struct admin_param clusters_params[] = {
    {"filter", "Regular expression (Google re2) for filtering clusters by name"}, {NULL, NULL}};
static const struct admin_param config_dump_params[] = {
    {"resource", "The resource to dump"},
    {"mask",
     "The mask to apply. When both resource and mask are specified, the mask is applied to every "
     "element in the desired repeated field so that only a subset of fields are returned. The "
     "mask is parsed as a Protobuf::FieldMask"},
    {"name_regex",
     "Dump only the currently loaded configurations whose names match the specified regex. Can be "
     "used with both resource and mask query parameters."},
    {"include_eds",
     "Dump currently loaded configuration including EDS. See the response definition for more "
     "information"},
    {NULL, NULL}};
static const struct admin_param cpuprofiler_params[] = {
    {"enable", "enables the CPU profiler; One of (y, n)"}, {NULL, NULL}};
static const struct admin_param drain_listeners_params[] = {
    {"graceful",
     "When draining listeners, enter a graceful drain period prior to closing listeners. This "
     "behaviour and duration is configurable via server options or CLI"},
    {"skip_exit",
     "When draining listeners, drain the connections but never stop the listeners. The graceful "
     "parameter has no effect when this is set, since the drain period only delays stopping the "
     "listeners"},
    {"inboundonly",
     "Drains all inbound listeners. traffic_direction field in "
     "envoy_v3_api_msg_config.listener.v3.Listener is used to determine whether a listener is "
     "inbound or outbound."},
    {NULL, NULL}};
static const struct admin_param heapprofiler_params[] = {
    {"enable", "enable/disable the heap profiler; One of (y, n)"}, {NULL, NULL}};
static const struct admin_param init_dump_params[] = {
    {"mask",
     "The desired component to dump unready targets. The mask is parsed as a Protobuf::FieldMask. "
     "For example, get the unready targets of all listeners with /init_dump?mask=listener`"},
    {NULL, NULL}};
static const struct admin_param listeners_params[] = {
    {"format", "File format to use; One of (text, json)"}, {NULL, NULL}};
static const struct admin_param logging_params[] = {
    {"paths",
     "Change multiple logging levels by setting to "
     "<logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>. If fine grain logging is "
     "enabled, use __FILE__ or a glob experision as the logger name. For example, "
     "source/common*:warning"},
    {"group",
     "Change given logger group to desired level, set to <logger_group_name>:<desired_level>. "
     "logger_group_name must be a logger name."},
    {"level",
     "desired logging level, this will change all loggers's level; One of (, trace, debug, info, "
     "warning, error, critical, off)"},
    {NULL, NULL}};
static const struct admin_param stats_params[] = {
    {"usedonly", "Only include stats that have been written by system since restart"},
    {"filter", "Regular expression (Google re2) for filtering stats"},
    {"invert_filter", "Invert the filter regex"},
    {"format", "Format to use; One of (html, active-html, text, json)"},
    {"type", "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)"},
    {"histogram_buckets",
     "Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)"},
    {NULL, NULL}};
static const struct admin_param stats_prometheus_params[] = {
    {"usedonly", "Only include stats that have been written by system since restart"},
    {"text_readouts",
     "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)"},
    {"filter", "Regular expression (Google re2) for filtering stats"},
    {"invert_filter", "Invert the filter regex"},
    {"histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"},
    {NULL, NULL}};

/* In the order of /help, whose text is Envoy's. */
static const struct admin_command commands[] = {
    {"/", "Admin home page", false, page_home, NULL},
    {"/allocprofiler", "enable/disable the allocation profiler (if supported)", true,
     page_unsupported, allocprofiler_params},
    {"/certs", "print certs on machine", false, page_certs, NULL},
    {"/clusters", "upstream cluster status", false, page_clusters, clusters_params},
    {"/config_dump", "dump current Envoy configs", false, page_config_dump, config_dump_params},
    {"/contention", "dump current Envoy mutex contention stats (if enabled)", false,
     page_contention, NULL},
    {"/cpuprofiler", "enable/disable the CPU profiler", true, page_unsupported, cpuprofiler_params},
    {"/drain_listeners", "drain listeners", true, page_drain_listeners, drain_listeners_params},
    {"/healthcheck/fail", "cause the server to fail health checks", true, page_healthcheck_fail,
     NULL},
    {"/healthcheck/ok", "cause the server to pass health checks", true, page_healthcheck_ok, NULL},
    {"/heap_dump", "dump current Envoy heap (if supported)", false, page_unsupported, NULL},
    {"/heapprofiler", "enable/disable the heap profiler", true, page_unsupported,
     heapprofiler_params},
    {"/help", "print out list of admin commands", false, page_help, NULL},
    {"/hot_restart_version", "print the hot restart compatibility version", false,
     page_hot_restart_version, NULL},
    {"/init_dump", "dump current Envoy init manager information (experimental)", false,
     page_init_dump, init_dump_params},
    {"/listeners", "print listener info", false, page_listeners, listeners_params},
    {"/logging", "query/change logging levels", true, page_logging, logging_params},
    {"/memory", "print current allocation/heap usage", false, page_memory, NULL},
    {"/memory/tcmalloc", "print TCMalloc stats", false, page_unsupported, NULL},
    {"/peak_heap_dump", "dump peak Envoy heap (if supported)", false, page_unsupported, NULL},
    {"/quitquitquit", "exit the server", true, page_quit, NULL},
    {"/ready", "print server state, return 200 if LIVE, otherwise return 503", false, page_ready,
     NULL},
    {"/reopen_logs", "reopen access logs", true, page_reopen_logs, NULL},
    {"/reset_counters", "reset all counters to zero", true, page_reset_counters, NULL},
    {"/runtime", "print runtime values", false, page_runtime, NULL},
    {"/runtime_modify",
     "Adds or modifies runtime values as passed in query parameters. To delete a previously added "
     "key, use an empty string as the value. Note that deletion only applies to overrides added "
     "via this endpoint; values loaded from disk can be modified via override but not deleted. "
     "E.g. ?key1=value1&key2=value2...",
     true, page_runtime_modify, NULL},
    {"/server_info", "print server version/status information", false, page_server_info, NULL},
    {"/stats", "print server stats", false, page_stats, stats_params},
    {"/stats/prometheus", "print server stats in prometheus format", false, page_stats_prometheus,
     stats_prometheus_params},
    {"/stats/recentlookups", "Show recent stat-name lookups", false, page_recent_lookups, NULL},
    {"/stats/recentlookups/clear", "clear list of stat-name lookups and counter", true,
     page_recent_lookups_set, NULL},
    {"/stats/recentlookups/disable", "disable recording of reset stat-name lookup names", true,
     page_recent_lookups_set, NULL},
    {"/stats/recentlookups/enable", "enable recording of reset stat-name lookup names", true,
     page_recent_lookups_set, NULL},
};

void admin_help_text(struct strbuf *out)
{
    strbuf_add_str(out, "admin commands are:\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct admin_command *c = &commands[i];
        strbuf_printf(out, "  %s%s: %s\n", c->path, c->post ? " (POST)" : "", c->help);
        for (const struct admin_param *p = c->params; p && p->name; p++)
            strbuf_printf(out, "      %s: %s\n", p->name, p->help);
    }
}

/* Rules of the bootstrap that RE2 cannot run are said once, at the start. */
static void make_tag_rules(struct admin *a)
{
    struct strbuf complaints = STRBUF_INIT;
    a->tag_rules = stat_tag_rules_new(a->table.stats_tags, a->table.bootstrap, &complaints);
    struct bytes rest = strbuf_bytes(&complaints);
    while (rest.len) {
        struct bytes line = bytes_split(&rest, '\n');
        LOG(LOG_ADMIN, LOG_WARNING, "%.*s", BYTES_ARG(line));
    }
    strbuf_fini(&complaints);
}

struct admin *admin_new(const struct admin_table *table)
{
    struct admin *a = NEW(struct admin);
    a->table = *table;
    a->memory = stat_memory_new();
    make_tag_rules(a);
    return a;
}

void admin_free(struct admin **a)
{
    if (!*a)
        return;
    stat_memory_free(&(*a)->memory);
    stat_tag_rules_free(&(*a)->tag_rules);
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

void admin_html_escape(struct strbuf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
            strbuf_printf(out, "&#%d;", c);
        else
            strbuf_add_char(out, c);
    }
}

static const struct admin_command *find_command(struct bytes path)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (bytes_eq_str(path, commands[i].path))
            return &commands[i];
    }
    return NULL;
}

void admin_each_command(void (*fn)(void *ctx, const struct admin_command *c), void *ctx)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fn(ctx, &commands[i]);
}

/* The JSON half of CSDS: for programs, so /help, which is Envoy's, has no line of it. */
bool admin_takes_body(struct bytes path)
{
    return bytes_eq(path, BYTES("/v3/discovery:client_status"));
}

static struct admin_page *open_question(struct admin *a, struct bytes method, struct bytes body)
{
    if (!bytes_eq_str(method, "POST"))
        return page_error(405, "Method %.*s not allowed, POST required.", BYTES_ARG(method));
    return page_client_status(a, body);
}

struct admin_page *admin_open(struct admin *a, struct bytes method, struct bytes target,
                              struct bytes form)
{
    struct arena *arena = arena_new(1024);
    struct query q;
    query_parse(arena, target, form, &q);
    const struct admin_command *c = find_command(q.path);
    struct admin_page *page;
    if (admin_takes_body(q.path)) {
        page = open_question(a, method, form);
    } else if (!c) {
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
