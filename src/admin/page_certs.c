#include <stdio.h>
#include <time.h>

#include "admin/name_list.h"
#include "admin/pages.h"
#include "base/memory.h"

enum { SECONDS_PER_DAY = 24 * 60 * 60 };

/* The certificates of all TLS contexts that serve now: of clusters, then of listeners. */
struct certs_page {
    struct admin_page page;
    struct admin *admin;
    struct name_list clusters, listeners;
    unsigned chain; /* of the listener that is printed */
    struct json_out json;
};

static void add_time(struct json_out *j, const char *key, int64_t unix_s)
{
    char text[32];
    time_t t = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_string(j, key, bytes_of(text));
}

static void add_san(struct json_out *j, const struct tls_cert_san *s)
{
    static const char *const keys[] = {
        [TLS_SAN_DNS] = "dns", [TLS_SAN_URI] = "uri", [TLS_SAN_IP] = "ip_address"};
    const char *key = s->type < ARRAY_SIZE(keys) ? keys[s->type] : NULL;
    if (!key)
        return;
    json_begin(j, NULL, '{');
    json_string(j, key, bytes_of(s->value));
    json_end(j, '}');
}

static void add_certificate(struct certs_page *p, const struct tls_cert_info *c)
{
    const struct clock *clock = p->admin->table.clock;
    struct json_out *j = &p->json;
    int64_t left = c->not_after - (int64_t)(clock->wall_ns(clock) / NS_PER_S);
    char days[24];
    json_begin(j, NULL, '{');
    json_string(j, "path", bytes_of(c->path));
    json_string(j, "serial_number", bytes_of(c->serial));
    json_begin(j, "subject_alt_names", '[');
    for (unsigned i = 0; i < c->n_sans; i++)
        add_san(j, &c->sans[i]);
    json_end(j, ']');
    snprintf(days, sizeof(days), "%lld", left > 0 ? (long long)(left / SECONDS_PER_DAY) : 0ll);
    json_string(j, "days_until_expiration", bytes_of(days));
    add_time(j, "valid_from", c->not_before);
    add_time(j, "expiration_time", c->not_after);
    if (c->ocsp_until) {
        json_begin(j, "ocsp_details", '{');
        add_time(j, "valid_from", c->ocsp_from);
        add_time(j, "expiration", c->ocsp_until);
        json_end(j, '}');
    }
    json_end(j, '}');
}

static void add_list(struct certs_page *p, const char *key, const struct tls_cert_info *list,
                     unsigned n)
{
    json_begin(&p->json, key, '[');
    for (unsigned i = 0; i < n; i++)
        add_certificate(p, &list[i]);
    json_end(&p->json, ']');
}

static void add_context(struct certs_page *p, const struct tls_node *t)
{
    struct tls_cert_infos infos = {0};
    if (!t)
        return;
    t->factory->cert_infos(t->factory->ctx, t->context, &infos);
    json_begin(&p->json, NULL, '{');
    add_list(p, "ca_cert", infos.ca, infos.n_ca);
    add_list(p, "cert_chain", infos.certificates, infos.n_certificates);
    json_end(&p->json, '}');
}

static void add_chain(struct certs_page *p, const struct listener_entry *e)
{
    unsigned i = p->chain++;
    bool more = e && i <= e->n_chains;
    if (more && i < e->n_chains)
        add_context(p, e->chains[i]->tls);
    else if (more && e->default_chain)
        add_context(p, e->default_chain->tls);
    if (more)
        return;
    p->chain = 0;
    p->listeners.at++;
}

static bool certs_next(struct admin_page *page, struct strbuf *out)
{
    struct certs_page *p = (struct certs_page *)page;
    const struct admin_table *t = &p->admin->table;
    const struct snapshot *s = t->snapshot(t->ctx);
    p->json.out = out;
    if (p->json.depth == 0) {
        json_begin(&p->json, NULL, '{');
        json_begin(&p->json, "certificates", '[');
    }
    while (s && p->clusters.at < p->clusters.n && out->len < ADMIN_SLICE) {
        const struct cluster_entry *e = snapshot_cluster(s, p->clusters.names[p->clusters.at++]);
        for (unsigned i = 0; e && i <= e->cluster->n_socket_matches; i++)
            add_context(p, cluster_entry_tls(e, i));
    }
    while (s && p->listeners.at < p->listeners.n && out->len < ADMIN_SLICE)
        add_chain(p, snapshot_listener(s, p->listeners.names[p->listeners.at]));
    if (p->clusters.at < p->clusters.n || p->listeners.at < p->listeners.n)
        return true;
    json_end(&p->json, ']');
    json_end(&p->json, '}');
    strbuf_add_char(out, '\n');
    return false;
}

static void certs_free(struct admin_page *page)
{
    struct certs_page *p = (struct certs_page *)page;
    name_list_fini(&p->clusters);
    name_list_fini(&p->listeners);
    mem_free(p);
}

struct admin_page *page_certs(struct admin *a, const struct query *q)
{
    (void)q;
    struct certs_page *p = NEW(struct certs_page);
    const struct snapshot *s = a->table.snapshot(a->table.ctx);
    p->admin = a;
    p->json.first = true;
    p->page = (struct admin_page){
        .status = 200, .content_type = TEXT_JSON, .next = certs_next, .free = certs_free};
    name_list_init(&p->clusters, s ? &s->clusters : NULL, NULL);
    name_list_init(&p->listeners, s ? &s->listeners : NULL, NULL);
    return &p->page;
}
