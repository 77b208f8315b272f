#include <stdio.h>

#include "admin/dump_entries.h"
#include "admin/dump_ignored.h"
#include "admin/pages.h"
#include "base/memory.h"
#include "config/json_write.h"
#include "regex/regex.h"

/* The sections in Envoy's order, and the lists in each in the order of their numbers. An entry is
 * made as bytes and printed by the JSON writer, one after the other, on the config thread: a slice
 * of text a turn. */
#define SECTION_LIST(X)                                                                            \
    X(BOOTSTRAP, "Bootstrap")                                                                      \
    X(CLUSTERS, "Clusters")                                                                        \
    X(ECDS, "Ecds")                                                                                \
    X(ENDPOINTS, "Endpoints")                                                                      \
    X(LISTENERS, "Listeners")                                                                      \
    X(SCOPED_ROUTES, "ScopedRoutes") X(ROUTES, "Routes") X(SECRETS, "Secrets")
enum section {
#define X(id, name) SECTION_##id,
    SECTION_LIST(X)
#undef X
        SECTION_COUNT,
    SECTION_IGNORED = SECTION_COUNT, /* not Envoy's, and last */
};
static const char *const section_messages[] = {
#define X(id, name) "envoy.admin.v3." name "ConfigDump",
    SECTION_LIST(X)
#undef X
};

/* What ?resource= may name. entry NULL: of those there is a function apart. */
static const struct part {
    const char *field, *message;
    enum section section;
    enum resource_type type;
    dump_entry_fn *entry;
} parts[] = {
    {"static_clusters", "StaticCluster", SECTION_CLUSTERS, RESOURCE_CLUSTER, dump_static_cluster},
    {"dynamic_active_clusters", "DynamicCluster", SECTION_CLUSTERS, RESOURCE_CLUSTER,
     dump_active_cluster},
    {"dynamic_warming_clusters", "DynamicCluster", SECTION_CLUSTERS, RESOURCE_CLUSTER,
     dump_warming_cluster},
    {"ecds_filters", "EcdsFilterConfig", SECTION_ECDS, RESOURCE_EXTENSION, dump_extension},
    {"static_endpoint_configs", "StaticEndpointConfig", SECTION_ENDPOINTS, RESOURCE_CLUSTER,
     dump_static_endpoints},
    {"dynamic_endpoint_configs", "DynamicEndpointConfig", SECTION_ENDPOINTS, RESOURCE_CLUSTER,
     dump_dynamic_endpoints},
    {"static_listeners", "StaticListener", SECTION_LISTENERS, RESOURCE_LISTENER,
     dump_static_listener},
    {"dynamic_listeners", "DynamicListener", SECTION_LISTENERS, RESOURCE_LISTENER,
     dump_dynamic_listener},
    {"inline_scoped_route_configs", "InlineScopedRouteConfigs", SECTION_SCOPED_ROUTES,
     RESOURCE_LISTENER, NULL},
    {"dynamic_scoped_route_configs", "DynamicScopedRouteConfigs", SECTION_SCOPED_ROUTES,
     RESOURCE_SCOPED_ROUTE, NULL},
    {"static_route_configs", "StaticRouteConfig", SECTION_ROUTES, RESOURCE_LISTENER, NULL},
    {"dynamic_route_configs", "DynamicRouteConfig", SECTION_ROUTES, RESOURCE_ROUTE,
     dump_dynamic_route},
    {"static_secrets", "StaticSecret", SECTION_SECRETS, RESOURCE_SECRET, dump_static_secret},
    {"dynamic_active_secrets", "DynamicSecret", SECTION_SECRETS, RESOURCE_SECRET,
     dump_active_secret},
    {"dynamic_warming_secrets", "DynamicSecret", SECTION_SECRETS, RESOURCE_SECRET,
     dump_warming_secret},
};

enum { SLICE_LOOKED_AT = 512, SCAN_COSTS = 8 };

struct dump {
    struct admin_page page;
    struct admin *admin;
    struct strbuf text, wire, mask;
    size_t at;
    const struct part *resource; /* ?resource=; NULL: whole sections */
    struct regex *name_regex;
    bool include_eds, abandoned, finished;
    bool any;     /* an element of "configs" was printed */
    bool refused; /* the mask fits no element */
    bool section_begun, list_begun;
    enum section section;
    const struct part *part; /* of the section; NULL: its head comes first */
    size_t from;             /* position in the part's resources */
    unsigned looked_at;
    enum resource_type ignored_type; /* in SECTION_IGNORED */
    struct json_out ignored;         /* depth 0: nothing was ignored so far */
};

static struct bytes section_url(enum section s, char out[160])
{
    snprintf(out, 160, "type.googleapis.com/%s", section_messages[s]);
    return bytes_of(out);
}

/* ---- masks ---- */

static bool part_is(const struct part *p, enum section s, struct bytes field)
{
    return p->section == s && bytes_eq_str(field, p->field);
}

static bool section_has(enum section s, struct bytes field)
{
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (part_is(&parts[i], s, field))
            return true;
    }
    return bytes_eq_str(field, "version_info") && (s == SECTION_CLUSTERS || s == SECTION_LISTENERS);
}

/* A section is printed if it has every field of the mask, which cannot enter its lists. */
static bool mask_fits(const struct dump *d, enum section s)
{
    struct bytes rest = d->mask.len ? strbuf_bytes(&d->mask) : BYTES_NONE;
    while (rest.len) {
        if (!section_has(s, bytes_split(&rest, ',')))
            return false;
    }
    return true;
}

static bool mask_names(const struct dump *d, const char *field)
{
    struct bytes rest = d->mask.len ? strbuf_bytes(&d->mask) : BYTES_NONE;
    bool any = rest.len > 0;
    while (rest.len) {
        if (bytes_eq_str(bytes_split(&rest, ','), field))
            return true;
    }
    return !any;
}

/* The bytes in d->wire without what the mask leaves out. */
static bool prune(struct dump *d, const char *message)
{
    struct strbuf pruned = STRBUF_INIT;
    struct error err = ERROR_INIT;
    if (!d->mask.len)
        return true;
    bool ok = field_mask_prune(d->admin->table.descriptors, bytes_of(message),
                               strbuf_bytes(&d->mask), strbuf_bytes(&d->wire), &pruned, &err);
    error_fini(&err);
    strbuf_fini(&d->wire);
    d->wire = pruned;
    return ok;
}

/* ---- printing ---- */

static void begin_element(struct dump *d)
{
    strbuf_add_str(&d->text, d->any ? ",\n  " : "{\n \"configs\": [\n  ");
    d->any = true;
}

/* d->wire as an element of "configs". */
static void print_element(struct dump *d, const char *message)
{
    struct json_write_options o = {.redact = true, .depth = 2};
    char url[160];
    snprintf(url, sizeof(url), "type.googleapis.com/%s", message);
    begin_element(d);
    json_write_any(d->admin->table.descriptors, bytes_of(url),
                   d->wire.len ? strbuf_bytes(&d->wire) : BYTES(""), &o, &d->text);
}

/* d->wire as an entry of the list of the part. */
static void print_entry(struct dump *d, const char *message)
{
    struct json_write_options o = {.redact = true, .depth = 4};
    struct error err = ERROR_INIT;
    size_t before = d->text.len;
    if (!d->list_begun)
        strbuf_printf(&d->text, ",\n   \"%s\": [", d->part->field);
    strbuf_add_str(&d->text, d->list_begun ? ",\n    " : "\n    ");
    if (json_write(d->admin->table.descriptors, bytes_of(message), strbuf_bytes(&d->wire), &o,
                   &d->text, &err))
        d->list_begun = true;
    else
        strbuf_cut(&d->text, before);
    error_fini(&err);
}

static void print(struct dump *d)
{
    char message[160];
    snprintf(message, sizeof(message), "%s.%s", section_messages[d->part->section],
             d->part->message);
    if (!d->resource)
        print_entry(d, message);
    else if (prune(d, message))
        print_element(d, message);
    else
        d->refused = true;
}

/* ---- walking ---- */

static bool name_wanted(const struct dump *d, struct bytes name)
{
    return !d->name_regex || regex_full_match(d->name_regex, name);
}

static void add_static_routes(struct dump *d, const struct resource_view *v)
{
    struct bytes name;
    strbuf_reset(&d->wire);
    for (unsigned i = 0; dump_static_route(v, i, &d->wire, &name); i++) {
        if (name_wanted(d, name))
            print(d);
        strbuf_reset(&d->wire);
    }
}

static bool scope_wanted(void *arg, struct bytes name)
{
    return name_wanted(arg, name);
}

static void add_inline_scopes(struct dump *d, const struct resource_view *v)
{
    strbuf_reset(&d->wire);
    for (unsigned i = 0; dump_inline_scopes(v, i, scope_wanted, d, &d->wire); i++) {
        if (d->wire.len)
            print(d);
        strbuf_reset(&d->wire);
    }
}

/* Those of the n-th source; SIZE_MAX: there are no more. */
static size_t add_scopes(struct dump *d, struct builder *b, size_t n)
{
    struct scopes_view v;
    strbuf_reset(&d->wire);
    if (!builder_scopes_view(b, (unsigned)n, &v))
        return SIZE_MAX;
    if (dump_dynamic_scopes(b, &v, scope_wanted, d, &d->wire))
        print(d);
    return n + 1;
}

static bool add(void *ctx, const struct resource_view *v)
{
    struct dump *d = ctx;
    strbuf_reset(&d->wire);
    if (!d->part->entry && d->part->section == SECTION_SCOPED_ROUTES)
        add_inline_scopes(d, v);
    else if (!d->part->entry)
        add_static_routes(d, v);
    else if (name_wanted(d, v->name) && d->part->entry(v, &d->wire))
        print(d);
    return !d->refused && d->text.len < ADMIN_SLICE && ++d->looked_at < SLICE_LOOKED_AT;
}

/* The rest of the part, or a slice of it. True: the part is done. */
static bool walk_part(struct dump *d, struct builder *b)
{
    if (d->part->type == RESOURCE_SCOPED_ROUTE)
        d->from = add_scopes(d, b, d->from);
    else
        d->from = builder_each(b, d->part->type, d->from, add, d);
    if (d->from != SIZE_MAX)
        return d->refused;
    d->from = 0;
    if (d->list_begun)
        strbuf_add_str(&d->text, "\n   ]");
    d->list_begun = false;
    return true;
}

static const struct part *next_part(enum section s, const struct part *after)
{
    const struct part *end = parts + ARRAY_SIZE(parts);
    for (const struct part *p = after ? after + 1 : parts; p < end; p++) {
        if (p->section == s)
            return p;
    }
    return NULL;
}

static void build_bootstrap(struct dump *d)
{
    const struct admin_table *t = &d->admin->table;
    strbuf_reset(&d->wire);
    dump_bootstrap(t->bootstrap, t->node, t->start_wall_ns, &d->wire);
    if (prune(d, section_messages[SECTION_BOOTSTRAP]))
        print_element(d, section_messages[SECTION_BOOTSTRAP]);
}

static void section_head(struct dump *d, struct builder *b)
{
    char url[160];
    const char *version = d->section == SECTION_CLUSTERS ? builder_type_version(b, RESOURCE_CLUSTER)
                          : d->section == SECTION_LISTENERS
                              ? builder_type_version(b, RESOURCE_LISTENER)
                              : "";
    begin_element(d);
    strbuf_printf(&d->text, "{\n   \"@type\": \"%.*s\"", BYTES_ARG(section_url(d->section, url)));
    if (*version && mask_names(d, "version_info")) {
        strbuf_add_str(&d->text, ",\n   \"version_info\": \"");
        strbuf_add_json_escaped(&d->text, bytes_of(version));
        strbuf_add_char(&d->text, '"');
    }
    d->section_begun = true;
    d->part = next_part(d->section, NULL);
}

static void next_section(struct dump *d)
{
    if (d->section_begun)
        strbuf_add_str(&d->text, "\n  }");
    d->section_begun = false;
    d->part = NULL;
    d->section++;
    if (d->section == SECTION_IGNORED)
        d->finished = d->mask.len > 0; /* a mask names fields of the other sections */
}

/* ---- what is ignored ---- */

/* A google.protobuf.Struct, which every reader of a ConfigDump can resolve; only if there is
 * something to tell. The first entry begins it. */
static struct json_out *ignored_out(struct dump *d, struct json_out *entry, struct strbuf *text)
{
    *entry = d->ignored;
    entry->out = text;
    if (d->ignored.depth)
        return entry;
    strbuf_add_char(text, '{');
    *entry = (struct json_out){.out = text, .depth = 3, .first = true};
    json_string(entry, "@type", BYTES("type.googleapis.com/google.protobuf.Struct"));
    json_begin(entry, "value", '{');
    json_begin(entry, "ignored_fields", '[');
    return entry;
}

static void keep_ignored(struct dump *d, const struct json_out *entry, bool any)
{
    if (any && !d->ignored.depth)
        begin_element(d);
    if (any) {
        strbuf_add_bytes(&d->text, strbuf_bytes(entry->out));
        d->ignored = *entry;
    }
    strbuf_fini(entry->out);
}

static bool add_ignored(void *ctx, const struct resource_view *v)
{
    struct dump *d = ctx;
    struct json_out entry;
    struct strbuf text = STRBUF_INIT;
    if (name_wanted(d, v->name)) {
        ignored_out(d, &entry, &text);
        keep_ignored(d, &entry, dump_ignored_resource(d->admin->table.descriptors, v, &entry));
    }
    d->looked_at += SCAN_COSTS;
    return d->text.len < ADMIN_SLICE && d->looked_at < SLICE_LOOKED_AT;
}

static void add_ignored_bootstrap(struct dump *d)
{
    const struct admin_table *t = &d->admin->table;
    struct json_out entry;
    struct strbuf text = STRBUF_INIT;
    ignored_out(d, &entry, &text);
    keep_ignored(d, &entry, dump_ignored_bootstrap(t->bootstrap_report, t->start_wall_ns, &entry));
}

/* A slice. */
static void build_ignored(struct dump *d, struct builder *b)
{
    if (d->ignored_type == 0 && d->from == 0 && !d->ignored.depth && !d->name_regex)
        add_ignored_bootstrap(d);
    d->from = builder_each(b, d->ignored_type, d->from, add_ignored, d);
    if (d->from != SIZE_MAX)
        return;
    d->from = 0;
    d->ignored_type++;
    d->finished = d->ignored_type == RESOURCE_TYPE_COUNT;
    if (!d->finished || !d->ignored.depth)
        return;
    d->ignored.out = &d->text;
    json_end(&d->ignored, ']');
    json_end(&d->ignored, '}');
    json_end(&d->ignored, '}');
}

static bool section_shown(const struct dump *d, const struct builder *b)
{
    if (d->section == SECTION_ENDPOINTS && !d->include_eds)
        return false;
    if (d->section == SECTION_ECDS && !builder_store(b)->counts[RESOURCE_EXTENSION])
        return false; /* as Envoy's, which has it while filters are discovered */
    return mask_fits(d, d->section);
}

static void build_section(struct dump *d, struct builder *b)
{
    if (d->section == SECTION_IGNORED) {
        build_ignored(d, b);
    } else if (d->section == SECTION_BOOTSTRAP) {
        build_bootstrap(d);
        next_section(d);
    } else if (!d->section_begun && !section_shown(d, b)) {
        next_section(d);
    } else {
        if (!d->section_begun)
            section_head(d, b);
        while (d->part && (!mask_names(d, d->part->field) || walk_part(d, b)))
            d->part = next_part(d->section, d->part);
        if (!d->part)
            next_section(d);
    }
}

/* Config thread: until there is a slice of text. */
static void build(struct builder *b, void *arg)
{
    struct dump *d = arg;
    d->looked_at = 0;
    while (!d->finished && d->text.len < ADMIN_SLICE && d->looked_at < SLICE_LOOKED_AT) {
        if (d->resource)
            d->finished = walk_part(d, b);
        else
            build_section(d, b);
    }
}

/* ---- the page (main) ---- */

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

static void refuse_mask(struct dump *d)
{
    struct bytes rest = strbuf_bytes(&d->mask);
    d->page.status = 400;
    d->page.content_type = "text/plain";
    strbuf_reset(&d->text);
    if (!d->resource) {
        strbuf_printf(&d->text, "FieldMask %s could not be successfully applied to any configs.",
                      strbuf_str(&d->mask));
        return;
    }
    strbuf_add_str(&d->text, "FieldMask ");
    while (rest.len) {
        struct bytes path = bytes_split(&rest, ',');
        strbuf_printf(&d->text, "paths: \"%.*s\"\n", BYTES_ARG(path));
    }
    strbuf_add_str(&d->text, " could not be successfully used.");
}

/* The status is known with the first text. */
static void built(void *arg)
{
    struct dump *d = arg;
    d->page.waiting = false;
    if (d->abandoned) {
        dump_free(&d->page);
        return;
    }
    if (d->text.len == 0 && !d->finished && !d->refused) {
        ask_more(d);
        return;
    }
    if (d->refused || (d->finished && !d->any && d->mask.len && !d->resource)) {
        refuse_mask(d);
        d->finished = true;
    } else if (d->finished) {
        strbuf_add_str(&d->text, d->any ? "\n ]\n}\n" : "{}\n");
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
    if (!d->finished)
        ask_more(d);
    return !d->finished;
}

static struct admin_page *refuse(unsigned status, struct admin_page *p)
{
    p->status = status;
    p->content_type = "text/plain";
    return p;
}

static const struct part *find_part(struct bytes name, bool include_eds)
{
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (bytes_eq_str(name, parts[i].field) &&
            (parts[i].section != SECTION_ENDPOINTS || include_eds))
            return &parts[i];
    }
    return NULL;
}

static struct admin_page *refuse_resource(struct bytes name)
{
    if (bytes_eq_str(name, "bootstrap") || bytes_eq_str(name, "last_updated") ||
        bytes_eq_str(name, "version_info"))
        return refuse(400, page_error(400,
                                      "%.*s is not a repeated field. Use ?mask=%.*s to get "
                                      "only this field",
                                      BYTES_ARG(name), BYTES_ARG(name)));
    return refuse(404, page_error(404, "%.*s not found in config dump", BYTES_ARG(name)));
}

struct admin_page *page_config_dump(struct admin *a, const struct query *q)
{
    struct bytes resource = query_get(q, "resource"), regex = query_get(q, "name_regex");
    struct error err = ERROR_INIT;
    struct regex *re = NULL;
    bool include_eds = query_has(q, "include_eds");
    const struct part *part = resource.len ? find_part(resource, include_eds) : NULL;
    if (regex.len && !(re = regex_new_limited(regex, REGEX_PROGRAM_SIZE_ANY, &err))) {
        struct admin_page *p =
            page_error(400, "INVALID_ARGUMENT: Error while parsing name_regex from %.*s: %s",
                       BYTES_ARG(regex), query_regex_error(&err, regex));
        error_fini(&err);
        return refuse(400, p);
    }
    if (resource.len && !part) {
        regex_free(&re);
        return refuse_resource(resource);
    }
    struct dump *d = NEW(struct dump);
    d->page = (struct admin_page){
        .status = 200, .content_type = TEXT_JSON, .next = dump_next, .free = dump_free};
    d->admin = a;
    d->resource = d->part = part;
    d->name_regex = re;
    d->include_eds = include_eds;
    strbuf_add_bytes(&d->mask, query_get(q, "mask"));
    ask_more(d);
    return &d->page;
}
