#include "admin/pages.h"

/* One page, nothing fetched from elsewhere: what the proxy says of itself, refreshed every two
 * seconds, and all commands. */
static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<title>Xylem Admin</title>\n<style>\n"
    "body { font: 15px sans-serif; margin: 2em; color: #222; }\n"
    "table { border-collapse: collapse; margin-bottom: 2em; }\n"
    "td, th { padding: .25em 1.2em .25em 0; text-align: left; vertical-align: top; }\n"
    "th { font-weight: normal; color: #666; }\n"
    "tr + tr td, tr + tr th { border-top: 1px solid #eee; }\n"
    "button { background: none; border: none; padding: 0; font: inherit; color: #069;\n"
    "  text-decoration: underline; cursor: pointer; }\n"
    "form { margin: 0; } input { font: inherit; width: 12em; } .param { padding-left: 1.5em; }\n"
    "</style>\n</head>\n<body>\n<h1>Xylem</h1>\n";

static const char script[] =
    "<script>\n"
    "const rows = [\n"
    "  ['server.uptime', 'uptime, s'], ['server.concurrency', 'workers'],\n"
    "  ['server.total_connections', 'downstream connections'],\n"
    "  ['rq', 'requests a second'], ['server.memory_allocated', 'memory in use, bytes'],\n"
    "  ['listener_manager.total_listeners_active', 'listeners'],\n"
    "  ['cluster_manager.active_clusters', 'clusters'],\n"
    "  ['cluster_manager.warming_clusters', 'clusters that warm'],\n"
    "  ['control_plane.connected_state', 'control plane connected'],\n"
    "  ['rejected', 'updates rejected']];\n"
    "let last = null;\n"
    "async function refresh() {\n"
    "  const url = 'stats?format=json&filter=^(server|cluster_manager|listener_manager|' +\n"
    "    'control_plane)[.]|^http[.].*downstream_rq_total$|update_rejected$';\n"
    "  const answer = await (await fetch(url)).json(), now = performance.now(), v = {};\n"
    "  let rq = 0;\n"
    "  v.rejected = 0;\n"
    "  for (const s of answer.stats) {\n"
    "    if (!s.name) continue;\n"
    "    v[s.name] = s.value;\n"
    "    if (/^http[.].*downstream_rq_total$/.test(s.name) && !/^http[.]admin[.]/.test(s.name))\n"
    "      rq += s.value;\n"
    "    if (/update_rejected$/.test(s.name)) v.rejected += s.value;\n"
    "  }\n"
    "  if (last) v.rq = Math.round((rq - last.rq) / (now - last.at) * 1000);\n"
    "  last = {rq: rq, at: now};\n"
    "  const table = document.getElementById('live');\n"
    "  table.replaceChildren();\n"
    "  for (const [name, text] of rows) {\n"
    "    if (v[name] === undefined) continue;\n"
    "    const row = table.insertRow();\n"
    "    row.appendChild(document.createElement('th')).textContent = text;\n"
    "    row.insertCell().textContent = Number(v[name]).toLocaleString();\n"
    "  }\n"
    "  document.getElementById('state').textContent = (await (await fetch('ready')).text());\n"
    "}\n"
    "function only(form) { /* parameters without a value are not sent */\n"
    "  for (const e of form.elements) e.disabled = e.name !== '' && e.value === '';\n"
    "}\n"
    "refresh(); setInterval(() => refresh().catch(() => {}), 2000);\n"
    "</script>\n</body>\n</html>\n";

static void add_command(void *ctx, const struct admin_command *c)
{
    struct strbuf *out = ctx;
    const char *name = c->path + 1;
    if (!*name)
        return;
    strbuf_add_str(out, "<tr><td>");
    if (c->post) {
        strbuf_printf(
            out, "<form action=\"%s\" method=\"post\" onsubmit=\"only(this)\"><button>%s</button>",
            name, name);
        for (const struct admin_param *p = c->params; p && p->name; p++) {
            strbuf_printf(out, "<div class=\"param\">%s <input name=\"%s\" title=\"", p->name,
                          p->name);
            admin_html_escape(out, bytes_of(p->help));
            strbuf_add_str(out, "\"></div>");
        }
        strbuf_add_str(out, "</form>");
    } else {
        strbuf_printf(out, "<a href=\"%s\">%s</a>", name, name);
    }
    strbuf_add_str(out, "</td><td>");
    admin_html_escape(out, bytes_of(c->help));
    strbuf_add_str(out, "</td></tr>\n");
}

struct admin_page *page_home(struct admin *a, const struct query *q)
{
    const struct admin_table *t = &a->table;
    struct text_page *p = text_page_new(200, TEXT_HTML);
    strbuf_add_str(&p->text, head);
    strbuf_printf(&p->text, "<p><b id=\"state\">%s</b> %s</p>\n<table id=\"live\"></table>\n",
                  admin_state_name(t->state(t->ctx)), t->version);
    strbuf_add_str(&p->text, "<table>\n");
    admin_each_command(add_command, &p->text);
    strbuf_add_str(&p->text, "</table>\n");
    strbuf_add_str(&p->text, script);
    return &p->page;
}
