#include <stdio.h>

#include "admin/pages.h"
#include "base/clock.h"
#include "base/memory.h"
#include "config/json_write.h"
#include "config/route.h"
#include "config/wire.h"
#include "regex/regex.h"

/* The sections in Envoy's order. Each is a message of envoy.admin.v3, built as bytes on the config
 * thread and printed by the JSON writer: what was received is echoed, nothing is filled in. */
enum section { BOOTSTRAP, CLUSTERS, ENDPOINTS, LISTENERS, SCOPED_ROUTES, ROUTES, SECRETS, SECTIONS };

static const char *const section_messages[SECTIONS] = {
    [BOOTSTRAP] = "envoy.admin.v3.BootstrapConfigDump",
    [CLUSTERS] = "envoy.admin.v3.ClustersConfigDump",
    [ENDPOINTS] = "envoy.admin.v3.EndpointsConfigDump",
    [LISTENERS] = "envoy.admin.v3.ListenersConfigDump",
    [SCOPED_ROUTES] = "envoy.admin.v3.ScopedRoutesConfigDump",
    [ROUTES] = "envoy.admin.v3.RoutesConfigDump",
    [SECRETS] = "envoy.admin.v3.SecretsConfigDump",
};

/* The repeated fields that ?resource= may name. */
static const struct resource_field {
    const char *name, *message;
    enum section section;
    uint32_t number;
} resource_fields[] = {
    {"static_clusters", "StaticCluster", CLUSTERS, 2},
    {"dynamic_active_clusters", "DynamicCluster", CLUSTERS, 3},
    {"dynamic_warming_clusters", "DynamicCluster", CLUSTERS, 4},
    {"static_endpoint_configs", "StaticEndpointConfig", ENDPOINTS, 2},
    {"dynamic_endpoint_configs", "DynamicEndpointConfig", ENDPOINTS, 3},
    {"static_listeners", "StaticListener", LISTENERS, 2},
    {"dynamic_listeners", "DynamicListener", LISTENERS, 3},
    {"inline_scoped_route_configs", "InlineScopedRouteConfigs", SCOPED_ROUTES, 1},
    {"dynamic_scoped_route_configs", "DynamicScopedRouteConfigs", SCOPED_ROUTES, 2},
    {"static_route_configs", "StaticRouteConfig", ROUTES, 2},
    {"dynamic_route_configs", "DynamicRouteConfig", ROUTES, 3},
    {"static_secrets", "StaticSecret", SECRETS, 1},
    {"dynamic_active_secrets", "DynamicSecret", SECRETS, 2},
    {"dynamic_warming_secrets", "DynamicSecret", SECRETS, 3},
};

struct dump {
    struct admin_page page;
    struct admin *admin;
    struct strbuf text, mask;
    size_t at;
    const struct resource_field *resource; /* NULL: whole sections */
    struct regex *name_regex;
    bool include_eds, abandoned, finished, any, any_masked;
    enum section section;
    struct strbuf wire;                    /* of the section under construction */
};

/* ---- bytes ---- */

static void put_sub(struct strbuf *out, uint32_t number, struct strbuf *inner)
{
    strbuf_reserve(inner, 0);
    wire_put_bytes(out, number, strbuf_bytes(inner));
    strbuf_fini(inner);
}

static void put_u64(struct strbuf *out, uint32_t number, uint64_t value)
{
    wire_put_varint(out, number << 3 | WIRE_VARINT);
    wire_put_varint(out, value);
}

static void put_text(struct strbuf *out, uint32_t number, const char *text)
{
    if (text && *text)
        wire_put_bytes(out, number, bytes_of(text));
}

static void put_time(struct strbuf *out, uint32_t number, uint64_t wall_ns)
{
    struct strbuf t = STRBUF_INIT;
    put_u64(&t, 1, wall_ns / NS_PER_S);
    put_u64(&t, 2, wall_ns % NS_PER_S / NS_PER_MS * NS_PER_MS);
    put_sub(out, number, &t);
}

static void put_any(struct strbuf *out, uint32_t number, struct bytes type_url, struct bytes value)
{
    struct strbuf any = STRBUF_INIT;
    wire_put_bytes(&any, 1, type_url);
    wire_put_bytes(&any, 2, value);
    put_sub(out, number, &any);
}

static void put_type(struct strbuf *out, uint32_t number, const char *message, struct bytes value)
{
    char url[128];
    snprintf(url, sizeof(url), "type.googleapis.com/%s", message);
    put_any(out, number, bytes_of(url), value);
}

static void put_error(struct strbuf *out, uint32_t number, const struct resource_view *v)
{
    const struct resource_rejected *r = v->rejected;
    struct strbuf e = STRBUF_INIT;
    if (!r)
        return;
    put_type(&e, 1, resource_type_name(v->type), r->wire);
    put_time(&e, 2, r->wall_ns);
    put_text(&e, 3, r->details);
    put_text(&e, 4, r->version_info);
    put_sub(out, number, &e);
}

/* { Any resource = 1, Timestamp last_updated = 2 } */
static void put_static(struct strbuf *out, uint32_t number, const struct resource_version *v)
{
    struct strbuf e = STRBUF_INIT;
    put_any(&e, 1, bytes_of(v->type_url), v->wire);
    put_time(&e, 2, v->received_wall_ns);
    put_sub(out, number, &e);
}

/* { version_info = 1, Any = 2, last_updated = 3, error_state = 4, client_status = 5 } */
static void put_dynamic(struct strbuf *out, uint32_t number, const struct resource_version *r,
                        const struct resource_view *v)
{
    struct strbuf e = STRBUF_INIT;
    if (r) {
        put_text(&e, 1, r->version_info);
        put_any(&e, 2, bytes_of(r->type_url), r->wire);
        put_time(&e, 3, r->received_wall_ns);
    }
    put_error(&e, 4, v);
    if (v->status)
        put_u64(&e, 5, v->status);
    put_sub(out, number, &e);
}

/* ---- sections ---- */

static bool name_wanted(const struct dump *d, struct bytes name)
{
    return !d->name_regex || regex_partial_match(d->name_regex, name);
}

static bool add_cluster(void *ctx, const struct resource_view *v)
{
    struct dump *d = ctx;
    if (!name_wanted(d, v->name))
        return true;
    if (v->is_static && v->active)
        put_static(&d->wire, 2, v->active);
    else if (v->active || !v->warming)
        put_dynamic(&d->wire, 3, v->active, v);
    if (v->warming)
        put_dynamic(&d->wire, 4, v->warming, v);
    return true;
}

static void put_listener_state(struct strbuf *out, uint32_t number, const struct resource_version *r)
{
    struct strbuf e = STRBUF_INIT;
    if (!r)
        return;
    put_text(&e, 1, r->version_info);
    put_any(&e, 2, bytes_of(r->type_url), r->wire);
    put_time(&e, 3, r->received_wall_ns);
    put_sub(out, number, &e);
}

static bool add_listener(void *ctx, const struct resource_view *v)
{
    struct dump *d = ctx;
    struct strbuf e = STRBUF_INIT;
    if (!name_wanted(d, v->name))
        return true;
    if (v->is_static) {
        put_static(&d->wire, 2, v->active ? v->active : v->warming);
        return true;
    }
    wire_put_bytes(&e, 1, v->name);
    put_listener_state(&e, 2, v->active);
    put_listener_state(&e, 3, v->warming);
    put_error(&e, 5, v);
    if (v->status)
        put_u64(&e, 6, v->status);
    put_sub(&d->wire, 3, &e);
    return true;
}

/* Route configurations that stand inside a connection manager count as static. */
static bool add_inline_routes(void *ctx, const struct resource_view *v)
{
    struct dump *d = ctx;
    for (unsigned i = 0; v->listener && i < v->listener->n_chains; i++) {
        const struct http_manager *m = v->listener->chains[i]->manager;
        const struct route_config *rc = m ? m->inline_routes : NULL;
        struct strbuf e = STRBUF_INIT;
        if (!rc || !name_wanted(d, rc->name))
            continue;
        put_type(&e, 1, "envoy.config.route.v3.RouteConfiguration", rc->wire);
        put_time(&e, 2, v->active->received_wall_ns);
        put_sub(&d->wire, 2, &e);
    }
    return true;
}

static bool add_dynamic(void *ctx, const struct resource_view *v)
{
    struct dump *d = ctx;
    if (name_wanted(d, v->name) && (v->active || v->rejected))
        put_dynamic(&d->wire, 3, v->active, v);
    return true;
}

/* The load assignment of a cluster that has it inside itself (field 33). */
static bool add_inline_endpoints(void *ctx, const struct resource_view *v)
{
    struct dump *d = ctx;
    struct bytes cla = v->active ? wire_find_bytes(v->active->wire, 33) : BYTES_NONE;
    struct strbuf e = STRBUF_INIT;
    if (!cla.data || !name_wanted(d, v->name))
        return true;
    if (v->is_static) {
        put_type(&e, 1, "envoy.config.endpoint.v3.ClusterLoadAssignment", cla);
        put_sub(&d->wire, 2, &e);
    } else {
        put_type(&e, 2, "envoy.config.endpoint.v3.ClusterLoadAssignment", cla);
        put_sub(&d->wire, 3, &e);
    }
    return true;
}

/* The bootstrap with the node that is really sent. */
static void build_bootstrap(struct dump *d)
{
    struct bytes rest = d->admin->table.bootstrap;
    struct strbuf bootstrap = STRBUF_INIT;
    struct wire_field f;
    wire_put_bytes(&bootstrap, 1, d->admin->table.node);
    while (wire_next(&rest, &f)) {
        if (f.number != 1)
            strbuf_add_bytes(&bootstrap, f.raw);
    }
    put_sub(&d->wire, 1, &bootstrap);
    put_time(&d->wire, 2, d->admin->table.start_wall_ns);
}

static void build_section(struct dump *d, struct builder *b)
{
    strbuf_reset(&d->wire);
    strbuf_reserve(&d->wire, 0);
    switch (d->section) {
    case BOOTSTRAP:
        build_bootstrap(d);
        break;
    case CLUSTERS:
        put_text(&d->wire, 1, builder_type_version(b, RESOURCE_CLUSTER));
        builder_each(b, RESOURCE_CLUSTER, 0, add_cluster, d);
        break;
    case ENDPOINTS:
        builder_each(b, RESOURCE_CLUSTER, 0, add_inline_endpoints, d);
        builder_each(b, RESOURCE_ENDPOINT, 0, add_dynamic, d);
        break;
    case LISTENERS:
        put_text(&d->wire, 1, builder_type_version(b, RESOURCE_LISTENER));
        builder_each(b, RESOURCE_LISTENER, 0, add_listener, d);
        break;
    case ROUTES:
        builder_each(b, RESOURCE_LISTENER, 0, add_inline_routes, d);
        builder_each(b, RESOURCE_ROUTE, 0, add_dynamic, d);
        break;
    case SCOPED_ROUTES:
    case SECRETS:
    case SECTIONS:
        break;
    }
}

/* ---- printing ---- */

/* One element of "configs"; a mask that fits nothing in it leaves it out. */
static void print_any(struct dump *d, const char *message, struct bytes body)
{
    struct descriptors *descriptors = d->admin->table.descriptors;
    struct json_write_options o = {.redact = true, .depth = 2};
    struct strbuf pruned = STRBUF_INIT;
    struct error err = ERROR_INIT;
    char url[160];
    if (d->mask.len) {
        if (!field_mask_prune(descriptors, bytes_of(message), strbuf_bytes(&d->mask), body, &pruned,
                              &err)) {
            error_fini(&err);
            strbuf_fini(&pruned);
            return;
        }
        body = pruned.data ? strbuf_bytes(&pruned) : BYTES("");
    }
    d->any_masked = true;
    strbuf_add_str(&d->text, d->any ? ",\n  " : "\n  ");
    d->any = true;
    snprintf(url, sizeof(url), "type.googleapis.com/%s", message);
    json_write_any(descriptors, bytes_of(url), body, &o, &d->text);
    strbuf_fini(&pruned);
}

static void print_resource(struct dump *d)
{
    struct bytes rest = strbuf_bytes(&d->wire);
    struct wire_field f;
    char message[160];
    snprintf(message, sizeof(message), "%s.%s", section_messages[d->section],
             d->resource->message);
    while (wire_next(&rest, &f)) {
        if (f.number == d->resource->number)
            print_any(d, message, f.bytes);
    }
}

/* Config thread: one section a turn. */
static void build(struct builder *b, void *arg)
{
    struct dump *d = arg;
    if (d->resource)
        d->section = d->resource->section;
    else if (d->section == ENDPOINTS && !d->include_eds)
        d->section++;
    build_section(d, b);
    if (d->resource)
        print_resource(d);
    else
        print_any(d, section_messages[d->section], strbuf_bytes(&d->wire));
    d->section++;
    d->finished = d->resource || d->section == SECTIONS;
}

static void dump_free(struct admin_page *page)
{
    struct dump *d = (struct dump *)page;
    if (page->waiting) {
        d->abandoned = true;
        return;
    }
    regex_free(&d->name_regex);
    strbuf_fini(&d->text);
    strbuf_fini(&d->mask);
    strbuf_fini(&d->wire);
    mem_free(d);
}

static void built(void *arg);

static void ask_more(struct dump *d)
{
    const struct admin_table *t = &d->admin->table;
    d->page.waiting = true;
    t->ask_config(t->ctx, build, built, d);
}

/* Main. The status is known with the first text: a mask is judged when all sections were tried. */
static void built(void *arg)
{
    struct dump *d = arg;
    d->page.waiting = false;
    if (d->abandoned) {
        dump_free(&d->page);
        return;
    }
    if (d->mask.len && !d->finished) {
        ask_more(d);
        return;
    }
    if (d->finished && d->mask.len && !d->any_masked) {
        d->page.status = 400;
        d->page.content_type = "text/plain";
        strbuf_reset(&d->text);
        strbuf_printf(&d->text, "FieldMask %s could not be successfully applied to any configs.",
                      strbuf_str(&d->mask));
    } else if (d->finished) {
        strbuf_add_str(&d->text, d->any ? "\n ]\n}\n" : "]\n}\n");
    }
    d->page.on_ready(d->page.owner);
}

static bool dump_next(struct admin_page *page, struct strbuf *out)
{
    struct dump *d = (struct dump *)page;
    struct bytes now = bytes_first(bytes_skip(strbuf_bytes(&d->text), d->at), ADMIN_SLICE);
    strbuf_add_bytes(out, now);
    d->at += now.len;
    if (d->at < d->text.len)
        return true;
    strbuf_reset(&d->text);
    d->at = 0;
    if (d->finished)
        return false;
    ask_more(d); /* from here on the dump is the config thread's until built() */
    return true;
}

static const struct resource_field *find_resource(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_SIZE(resource_fields); i++) {
        if (bytes_eq_str(name, resource_fields[i].name))
            return &resource_fields[i];
    }
    return NULL;
}

static struct admin_page *refuse_resource(struct bytes name)
{
    if (bytes_eq_str(name, "bootstrap") || bytes_eq_str(name, "last_updated") ||
        bytes_eq_str(name, "version_info"))
        return page_error(400, "%.*s is not a repeated field. Use ?mask=%.*s to get only this field",
                          BYTES_ARG(name), BYTES_ARG(name));
    return page_error(404, "%.*s not found in config dump", BYTES_ARG(name));
}

struct admin_page *page_config_dump(struct admin *a, const struct query *q)
{
    struct bytes resource = query_get(q, "resource"), mask = query_get(q, "mask");
    struct bytes regex = query_get(q, "name_regex");
    struct error err = ERROR_INIT;
    struct regex *re = NULL;
    const struct resource_field *field = resource.len ? find_resource(resource) : NULL;
    if (resource.len && !field)
        return refuse_resource(resource);
    if (regex.len && !(re = regex_new(regex, &err))) {
        struct admin_page *p = page_error(400, "Error while parsing name_regex from %s",
                                          error_text(&err));
        error_fini(&err);
        return p;
    }
    struct dump *d = NEW(struct dump);
    d->page = (struct admin_page){
        .status = 200, .content_type = TEXT_JSON, .next = dump_next, .free = dump_free};
    d->admin = a;
    d->resource = field;
    d->name_regex = re;
    d->include_eds = query_has(q, "include_eds");
    strbuf_add_bytes(&d->mask, mask);
    strbuf_add_str(&d->text, "{\n \"configs\": [");
    ask_more(d);
    return &d->page;
}

/* ---- /init_dump: why something is not ready ---- */

struct init_dump {
    struct text_page text;
    struct admin *admin;
    bool abandoned;
    struct json_out json;
    bool any;
};

static bool add_waiting(void *ctx, const struct resource_view *v)
{
    struct init_dump *d = ctx;
    if (!v->waiting_for[0])
        return true;
    if (!d->any)
        json_begin(&d->json, "unready_targets_dumps", '[');
    d->any = true;
    json_begin(&d->json, NULL, '{');
    struct strbuf name = STRBUF_INIT;
    strbuf_printf(&name, "%s %.*s", v->type == RESOURCE_LISTENER ? "init manager Listener" : "cluster",
                  BYTES_ARG(v->name));
    json_string(&d->json, "name", strbuf_bytes(&name));
    strbuf_fini(&name);
    json_begin(&d->json, "target_names", '[');
    json_string(&d->json, NULL, bytes_of(v->waiting_for));
    json_end(&d->json, ']');
    json_end(&d->json, '}');
    return true;
}

static void init_build(struct builder *b, void *arg)
{
    struct init_dump *d = arg;
    d->json = (struct json_out){.out = &d->text.text, .first = true};
    json_begin(&d->json, NULL, '{');
    builder_each(b, RESOURCE_CLUSTER, 0, add_waiting, d);
    builder_each(b, RESOURCE_LISTENER, 0, add_waiting, d);
    if (d->any)
        json_end(&d->json, ']');
    json_end(&d->json, '}');
    strbuf_add_char(&d->text.text, '\n');
}

static void init_free(struct admin_page *page)
{
    struct init_dump *d = (struct init_dump *)page;
    if (page->waiting) {
        d->abandoned = true;
        return;
    }
    strbuf_fini(&d->text.text);
    mem_free(d);
}

static void init_built(void *arg)
{
    struct init_dump *d = arg;
    d->text.page.waiting = false;
    if (d->abandoned)
        init_free(&d->text.page);
    else
        d->text.page.on_ready(d->text.page.owner);
}

struct admin_page *page_init_dump(struct admin *a, const struct query *q)
{
    struct text_page *start = text_page_new(200, TEXT_JSON);
    struct init_dump *d = NEW(struct init_dump);
    d->text = *start;
    mem_free(start);
    d->admin = a;
    d->text.page.free = init_free;
    d->text.page.waiting = true;
    a->table.ask_config(a->table.ctx, init_build, init_built, d);
    return &d->text.page;
}
