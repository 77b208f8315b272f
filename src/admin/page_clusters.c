#include <stdio.h>

#include "admin/name_list.h"
#include "admin/pages.h"
#include "base/memory.h"
#include "regex/regex.h"

/* /failed_active_hc/failed_outlier_check...: Envoy's words for why a host takes no requests. */
static void health_flags(uint32_t flags, struct strbuf *out)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {{HEALTH_FAILED_ACTIVE_HC, "/failed_active_hc"},
                 {HEALTH_FAILED_OUTLIER, "/failed_outlier_check"},
                 {HEALTH_FAILED_EDS, "/failed_eds_health"},
                 {HEALTH_DEGRADED_EDS, "/degraded_eds_health"},
                 {HEALTH_DRAINING, "/eds_status_draining"}};
    size_t before = out->len;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (flags & names[i].flag)
            strbuf_add_str(out, names[i].name);
    }
    if (out->len == before)
        strbuf_add_str(out, "healthy");
}

struct host_stat {
    const char *name;
    uint64_t value;
    bool gauge;
};

enum { HOST_STATS = 9 };

/* In the order of the text page: by name. */
static void host_stats(const struct host *h, struct host_stat out[HOST_STATS])
{
    const struct host_use *s = host_state_seen(h->state);
    const struct host_stat all[HOST_STATS] = {
        {"cx_active", s->cx_active, true},    {"cx_connect_fail", s->cx_connect_fail, false},
        {"cx_total", s->cx_total, false},     {"rq_active", s->rq_active, true},
        {"rq_error", s->rq_error, false},     {"rq_pending_active", s->rq_pending_active, true},
        {"rq_success", s->rq_success, false}, {"rq_timeout", s->rq_timeout, false},
        {"rq_total", s->rq_total, false}};
    memcpy(out, all, sizeof(all));
}

static uint32_t flags_of(const struct host *h)
{
    return h->health | atomic_load(&h->state->health);
}

static void text_host(const struct cluster_entry *e, const struct host *h, struct strbuf *out)
{
    char address[ADDRESS_TEXT_MAX];
    struct host_stat stats[HOST_STATS];
    struct strbuf head = STRBUF_INIT;
    const struct locality *l = &e->hosts->localities[h->locality];
    strbuf_printf(&head, "%.*s::%s::", BYTES_ARG(e->cluster->name),
                  address_format(&h->address, address));
    host_stats(h, stats);
    for (size_t i = 0; i < HOST_STATS; i++)
        strbuf_printf(out, "%s%s::%llu\n", strbuf_str(&head), stats[i].name,
                      (unsigned long long)stats[i].value);
    const char *p = strbuf_str(&head);
    strbuf_printf(out, "%shostname::%.*s\n%shealth_flags::", p, BYTES_ARG(host_name(h)), p);
    health_flags(flags_of(h), out);
    strbuf_printf(out, "\n%sweight::%u\n%sregion::%.*s\n%szone::%.*s\n%ssub_zone::%.*s\n", p,
                  h->weight, p, BYTES_ARG(l->region), p, BYTES_ARG(l->zone), p,
                  BYTES_ARG(l->sub_zone));
    strbuf_printf(out, "%scanary::%s\n%spriority::%u\n%ssuccess_rate::-1\n", p,
                  h->more && h->more->canary ? "true" : "false", p, h->priority, p);
    strbuf_printf(out, "%slocal_origin_success_rate::-1\n", p);
    strbuf_fini(&head);
}

static void text_breaker(struct bytes name, const char *priority, const struct circuit_breaker *b,
                         struct strbuf *out)
{
    const struct {
        const char *name;
        uint32_t value;
    } rows[] = {{"max_connections", b->max_connections},
                {"max_pending_requests", b->max_pending_requests},
                {"max_requests", b->max_requests},
                {"max_retries", b->max_retries}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        strbuf_printf(out, "%.*s::%s_priority::%s::%u\n", BYTES_ARG(name), priority, rows[i].name,
                      rows[i].value);
}

static bool has_service_name(const struct cluster *c)
{
    return c->type == CLUSTER_EDS && !bytes_eq(c->eds_service_name, c->name);
}

static void text_head(const struct cluster_entry *e, struct strbuf *out)
{
    const struct cluster *c = e->cluster;
    strbuf_printf(out, "%.*s::observability_name::%.*s\n", BYTES_ARG(c->name),
                  BYTES_ARG(c->observability_name));
    text_breaker(c->name, "default", &c->breakers[PRIORITY_DEFAULT], out);
    text_breaker(c->name, "high", &c->breakers[PRIORITY_HIGH], out);
    strbuf_printf(out, "%.*s::added_via_api::%s\n", BYTES_ARG(c->name),
                  e->added_via_api ? "true" : "false");
    if (has_service_name(c))
        strbuf_printf(out, "%.*s::eds_service_name::%.*s\n", BYTES_ARG(c->name),
                      BYTES_ARG(c->eds_service_name));
}

static void json_stats(const struct host *h, struct json_out *j)
{
    struct host_stat stats[HOST_STATS];
    char text[32];
    host_stats(h, stats);
    json_begin(j, "stats", '[');
    for (int gauges = 0; gauges < 2; gauges++) {
        for (size_t i = 0; i < HOST_STATS; i++) {
            if (stats[i].gauge != gauges)
                continue;
            json_begin(j, NULL, '{');
            if (stats[i].gauge)
                json_string(j, "type", BYTES("GAUGE"));
            snprintf(text, sizeof(text), "%llu", (unsigned long long)stats[i].value);
            if (stats[i].value)
                json_string(j, "value", bytes_of(text));
            json_string(j, "name", bytes_of(stats[i].name));
            json_end(j, '}');
        }
    }
    json_end(j, ']');
}

static void json_flag(struct json_out *j, const char *key, bool on)
{
    if (on)
        json_raw(j, key, "true");
}

static void json_text(struct json_out *j, const char *key, struct bytes value)
{
    if (value.len)
        json_string(j, key, value);
}

static void json_host(const struct cluster_entry *e, const struct host *h, struct json_out *j)
{
    const struct locality *l = &e->hosts->localities[h->locality];
    uint32_t flags = flags_of(h);
    const char *eds = flags & HEALTH_DRAINING       ? "DRAINING"
                      : flags & HEALTH_FAILED_EDS   ? "UNHEALTHY"
                      : flags & HEALTH_DEGRADED_EDS ? "DEGRADED"
                                                    : "HEALTHY";
    json_begin(j, NULL, '{');
    json_address(j, "address", &h->address);
    json_stats(h, j);
    json_begin(j, "health_status", '{');
    json_flag(j, "failed_active_health_check", flags & HEALTH_FAILED_ACTIVE_HC);
    json_flag(j, "failed_outlier_check", flags & HEALTH_FAILED_OUTLIER);
    json_string(j, "eds_health_status", bytes_of(eds));
    json_end(j, '}');
    json_number(j, "weight", h->weight);
    json_text(j, "hostname", host_name(h));
    if (h->priority)
        json_number(j, "priority", h->priority);
    json_begin(j, "locality", '{');
    json_text(j, "region", l->region);
    json_text(j, "zone", l->zone);
    json_text(j, "sub_zone", l->sub_zone);
    json_end(j, '}');
    json_end(j, '}');
}

static void json_threshold(struct json_out *j, const char *priority,
                           const struct circuit_breaker *b)
{
    json_begin(j, NULL, '{');
    if (priority)
        json_string(j, "priority", bytes_of(priority));
    json_number(j, "max_connections", b->max_connections);
    json_number(j, "max_pending_requests", b->max_pending_requests);
    json_number(j, "max_requests", b->max_requests);
    json_number(j, "max_retries", b->max_retries);
    json_end(j, '}');
}

static void json_head(const struct cluster_entry *e, struct json_out *j)
{
    json_begin(j, NULL, '{');
    json_string(j, "name", e->cluster->name);
    json_flag(j, "added_via_api", e->added_via_api);
    if (e->hosts->n_hosts)
        json_begin(j, "host_statuses", '[');
}

static void json_tail(const struct cluster_entry *e, struct json_out *j)
{
    const struct cluster *c = e->cluster;
    json_begin(j, "circuit_breakers", '{');
    json_begin(j, "thresholds", '[');
    json_threshold(j, NULL, &c->breakers[PRIORITY_DEFAULT]);
    json_threshold(j, "HIGH", &c->breakers[PRIORITY_HIGH]);
    json_end(j, ']');
    json_end(j, '}');
    json_string(j, "observability_name", c->observability_name);
    if (has_service_name(c))
        json_text(j, "eds_service_name", c->eds_service_name);
}

/* ---- the page ---- */

/* A cluster of very many hosts takes several turns. */
enum { SLICE_HOSTS = 64 };

struct clusters_page {
    struct admin_page page;
    struct admin *admin;
    struct name_list names;
    uint32_t host; /* the next one of the cluster; 0: its head comes first */
    bool is_json, any, in_hosts;
    struct json_out json;
};

static void print_head(struct clusters_page *p, const struct cluster_entry *e, struct strbuf *out)
{
    if (!p->is_json) {
        text_head(e, out);
        return;
    }
    if (!p->any)
        json_begin(&p->json, "cluster_statuses", '[');
    p->any = true;
    json_head(e, &p->json);
    p->in_hosts = e->hosts->n_hosts > 0;
}

/* e NULL: the cluster went away between two turns. */
static void print_tail(struct clusters_page *p, const struct cluster_entry *e)
{
    if (p->is_json) {
        if (p->in_hosts)
            json_end(&p->json, ']');
        if (e)
            json_tail(e, &p->json);
        json_end(&p->json, '}');
    }
    p->in_hosts = false;
    p->host = 0;
    p->names.at++;
}

static void print_some(struct clusters_page *p, const struct snapshot *s, struct strbuf *out)
{
    const struct cluster_entry *e = s ? snapshot_cluster(s, p->names.names[p->names.at]) : NULL;
    if (!e && p->host == 0) {
        p->names.at++;
        return;
    }
    if (p->host == 0)
        print_head(p, e, out);
    for (unsigned i = 0; e && i < SLICE_HOSTS && p->host < e->hosts->n_hosts; i++, p->host++) {
        if (p->is_json)
            json_host(e, &e->hosts->hosts[p->host], &p->json);
        else
            text_host(e, &e->hosts->hosts[p->host], out);
    }
    if (!e || p->host >= e->hosts->n_hosts)
        print_tail(p, e);
}

static bool clusters_next(struct admin_page *page, struct strbuf *out)
{
    struct clusters_page *p = (struct clusters_page *)page;
    const struct admin_table *t = &p->admin->table;
    const struct snapshot *s = t->snapshot(t->ctx);
    p->json.out = out;
    if (p->is_json && p->json.depth == 0)
        json_begin(&p->json, NULL, '{');
    while (p->names.at < p->names.n && out->len < ADMIN_SLICE)
        print_some(p, s, out);
    if (p->names.at < p->names.n)
        return true;
    if (p->is_json) {
        if (p->any)
            json_end(&p->json, ']');
        json_end(&p->json, '}');
        strbuf_add_char(out, '\n');
    }
    return false;
}

static void clusters_free(struct admin_page *page)
{
    struct clusters_page *p = (struct clusters_page *)page;
    name_list_fini(&p->names);
    mem_free(p);
}

struct admin_page *page_clusters(struct admin *a, const struct query *q)
{
    struct error err = ERROR_INIT;
    struct regex *filter = NULL;
    struct bytes pattern = query_get(q, "filter");
    if (pattern.len && !(filter = regex_new_limited(pattern, REGEX_PROGRAM_SIZE_ANY, &err))) {
        error_fini(&err);
        return page_error(400, "Invalid re2 regex");
    }
    struct clusters_page *p = NEW(struct clusters_page);
    p->admin = a;
    p->is_json = bytes_eq_str(query_get(q, "format"), "json");
    p->json.first = true;
    p->page = (struct admin_page){.status = 200,
                                  .content_type = p->is_json ? TEXT_JSON : TEXT_PLAIN,
                                  .next = clusters_next,
                                  .free = clusters_free};
    const struct snapshot *s = a->table.snapshot(a->table.ctx);
    name_list_init(&p->names, s ? &s->clusters : NULL, filter);
    regex_free(&filter);
    return &p->page;
}
