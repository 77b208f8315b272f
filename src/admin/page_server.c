#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "admin/pages.h"
#include "config/json_write.h"
#include "config/wire.h"
#include "base/memory.h"

const char *admin_state_name(enum admin_state s)
{
    static const char *const names[] = {"LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"};
    return names[s];
}

static struct admin_page *text(const char *body)
{
    struct text_page *t = text_page_new(200, TEXT_PLAIN);
    strbuf_add_str(&t->text, body);
    return &t->page;
}

struct admin_page *page_help(struct admin *a, const struct query *q)
{
    struct text_page *t = text_page_new(200, TEXT_PLAIN);
    admin_help_text(&t->text);
    return &t->page;
}

/* False: what serves is the control plane's. */
static bool kept_since(const struct admin *a, char *out, size_t size)
{
    uint64_t ns = a->table.kept_ns ? a->table.kept_ns(a->table.ctx) : 0;
    time_t t = (time_t)(ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return ns != 0;
}

struct admin_page *page_ready(struct admin *a, const struct query *q)
{
    enum admin_state s = a->table.state(a->table.ctx);
    char since[32];
    if (s == ADMIN_LIVE && kept_since(a, since, sizeof(since)))
        return page_error(200,
                          "LIVE\nthe control plane does not answer: this is the configuration "
                          "of %s, from --state-dir\n",
                          since);
    return page_error(s == ADMIN_LIVE ? 200 : 503, "%s\n", admin_state_name(s));
}

/* /server_info: the node is printed by the config thread, which owns the descriptors. */
struct info_page {
    struct text_page text;
    struct admin *admin;
    struct strbuf node;
    bool abandoned;
};

static void print_info(struct info_page *p)
{
    const struct admin_table *t = &p->admin->table;
    struct json_out j = {.out = &p->text.text, .first = true};
    char uptime[32];
    snprintf(uptime, sizeof(uptime), "\"%llus\"",
             (unsigned long long)((t->clock->wall_ns(t->clock) - t->start_wall_ns) / NS_PER_S));
    json_begin(&j, NULL, '{');
    json_string(&j, "version", bytes_of(t->version));
    json_string(&j, "state", bytes_of(admin_state_name(t->state(t->ctx))));
    json_raw(&j, "uptime_current_epoch", uptime);
    json_raw(&j, "uptime_all_epochs", uptime);
    json_string(&j, "hot_restart_version", BYTES("disabled"));
    json_begin(&j, "command_line_options", '{');
    for (unsigned i = 0; i < t->n_options; i++)
        json_raw(&j, t->options[i].name, t->options[i].value);
    json_end(&j, '}');
    json_raw(&j, "node", strbuf_str(&p->node));
    json_end(&j, '}');
    strbuf_add_char(&p->text.text, '\n');
}

/* In the metadata of the node, since each reader of a ServerInfo knows that: a second part of the
 * message, which protobuf merges. */
static void add_kept(struct strbuf *node, const char *since)
{
    enum { NODE_METADATA = 3, STRUCT_FIELDS = 1, KEY = 1, VALUE = 2, STRING_VALUE = 3 };
    struct strbuf value = STRBUF_INIT, entry = STRBUF_INIT, fields = STRBUF_INIT;
    wire_put_bytes(&value, STRING_VALUE, bytes_of(since));
    wire_put_bytes(&entry, KEY, BYTES("xylem.kept_configuration"));
    wire_put_bytes(&entry, VALUE, strbuf_bytes(&value));
    wire_put_bytes(&fields, STRUCT_FIELDS, strbuf_bytes(&entry));
    wire_put_bytes(node, NODE_METADATA, strbuf_bytes(&fields));
    strbuf_fini(&value);
    strbuf_fini(&entry);
    strbuf_fini(&fields);
}

static void info_config(struct builder *b, void *arg)
{
    struct info_page *p = arg;
    struct error err = ERROR_INIT;
    struct json_write_options o = {.defaults = true, .depth = 1};
    struct strbuf node = STRBUF_INIT;
    char since[32];
    strbuf_add_bytes(&node, p->admin->table.node);
    if (kept_since(p->admin, since, sizeof(since)))
        add_kept(&node, since);
    if (!json_write(p->admin->table.descriptors, BYTES("envoy.config.core.v3.Node"),
                    strbuf_bytes(&node), &o, &p->node, &err)) {
        strbuf_reset(&p->node);
        strbuf_add_str(&p->node, "{}");
    }
    strbuf_fini(&node);
    error_fini(&err);
}

static void info_free(struct admin_page *page)
{
    struct info_page *p = (struct info_page *)page;
    if (page->waiting) {
        p->abandoned = true;
        return;
    }
    strbuf_fini(&p->node);
    strbuf_fini(&p->text.text);
    mem_free(p);
}

static void info_done(void *arg)
{
    struct info_page *p = arg;
    p->text.page.waiting = false;
    if (p->abandoned) {
        info_free(&p->text.page);
        return;
    }
    print_info(p);
    p->text.page.on_ready(p->text.page.owner);
}

struct admin_page *page_server_info(struct admin *a, const struct query *q)
{
    struct text_page *text_template = text_page_new(200, TEXT_JSON);
    struct info_page *p = NEW(struct info_page);
    p->text = *text_template;
    mem_free(text_template);
    p->admin = a;
    p->text.page.free = info_free;
    p->text.page.waiting = true;
    a->table.ask_config(a->table.ctx, info_config, info_done, p);
    return &p->text.page;
}

struct admin_page *page_memory(struct admin *a, const struct query *q)
{
    struct text_page *t = text_page_new(200, TEXT_JSON);
    struct mallinfo2 m = mallinfo2();
    struct json_out j = {.out = &t->text, .first = true};
    const struct {
        const char *name;
        size_t value;
    } rows[] = {{"allocated", m.uordblks},         {"heap_size", m.arena + m.hblkhd},
                {"pageheap_unmapped", 0},          {"pageheap_free", m.fordblks},
                {"total_thread_cache", m.fsmblks}, {"total_physical_bytes", m.arena + m.hblkhd}};
    json_begin(&j, NULL, '{');
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char value[32];
        snprintf(value, sizeof(value), "\"%zu\"", rows[i].value);
        json_raw(&j, rows[i].name, value);
    }
    json_end(&j, '}');
    strbuf_add_char(&t->text, '\n');
    return &t->page;
}

struct admin_page *page_contention(struct admin *a, const struct query *q)
{
    return text("Mutex contention tracing is not enabled. To enable, run Envoy with flag "
                "--enable-mutex-tracing.");
}

struct admin_page *page_hot_restart_version(struct admin *a, const struct query *q)
{
    return text("disabled");
}

/* Profilers, and dumps of an allocator that is not linked: the tools of the system make profiles of
 * this process, so none is under way that could be ended. */
struct admin_page *page_unsupported(struct admin *a, const struct query *q)
{
    struct bytes name = bytes_skip(q->path, 1);
    struct bytes enable = query_get(q, "enable");
    if (bytes_eq_str(name, "heapprofiler"))
        return page_error(501, "The current build does not support heap profiler");
    if (bytes_ends_with(name, BYTES("profiler")) && !bytes_eq_str(enable, "y") &&
        !bytes_eq_str(enable, "n"))
        return page_error(400, "?enable=<y|n>\n");
    if (bytes_eq_str(name, "cpuprofiler") && bytes_eq_str(enable, "n"))
        return text("OK\n");
    return page_error(501, "The current build does not support %.*s", BYTES_ARG(name));
}

/* Names are not looked up at run time here, so there is nothing to follow. */
struct admin_page *page_recent_lookups(struct admin *a, const struct query *q)
{
    return text("Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\n"
                "total: 0\n");
}

struct admin_page *page_recent_lookups_set(struct admin *a, const struct query *q)
{
    return text("OK\n");
}

struct admin_page *page_quit(struct admin *a, const struct query *q)
{
    a->table.quit(a->table.ctx);
    return text("OK\n");
}

struct admin_page *page_reopen_logs(struct admin *a, const struct query *q)
{
    a->table.reopen_logs(a->table.ctx);
    return text("OK\n");
}

struct admin_page *page_reset_counters(struct admin *a, const struct query *q)
{
    stat_reset_counters(a->table.stats);
    return text("OK\n");
}

struct admin_page *page_healthcheck_fail(struct admin *a, const struct query *q)
{
    a->table.fail_health(a->table.ctx, true);
    return text("OK\n");
}

struct admin_page *page_healthcheck_ok(struct admin *a, const struct query *q)
{
    a->table.fail_health(a->table.ctx, false);
    return text("OK\n");
}

struct admin_page *page_drain_listeners(struct admin *a, const struct query *q)
{
    a->table.drain(a->table.ctx, query_has(q, "inboundonly"), query_has(q, "graceful"),
                   query_has(q, "skip_exit"));
    return text("OK\n");
}
