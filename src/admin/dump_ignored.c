#include "admin/dump_ignored.h"

#include "admin/json_out.h"
#include "base/clock.h"
#include "config/json_scalar.h"
#include "config/store.h"
#include "config/unsupported.h"

/* Deprecated fields work; they are only logged. */
static bool is_listed(const struct field_entry *e)
{
    return e->class == FIELD_IGNORED || e->class == FIELD_UNKNOWN;
}

static bool any_listed(const struct field_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (is_listed(&r->entries[i]))
            return true;
    return false;
}

/* In milliseconds, as the other times of the page. */
static void put_time(struct json_out *j, uint64_t wall_ns)
{
    struct strbuf text = STRBUF_INIT;
    int32_t nanos = (int32_t)(wall_ns % NS_PER_S - wall_ns % NS_PER_MS);
    if (json_scalar_add_timestamp(&text, (int64_t)(wall_ns / NS_PER_S), nanos))
        json_string(j, "last_updated", strbuf_bytes(&text));
    strbuf_fini(&text);
}

static void put_fields(struct json_out *j, const struct field_report *r)
{
    json_begin(j, "fields", '[');
    for (size_t i = 0; i < r->n; i++) {
        const struct field_entry *e = &r->entries[i];
        if (!is_listed(e))
            continue;
        json_begin(j, NULL, '{');
        json_string(j, "path", bytes_of(e->path));
        json_string(j, "class", bytes_of(field_class_name(e->class)));
        if (e->detail[0])
            json_string(j, "detail", bytes_of(e->detail));
        json_end(j, '}');
    }
    json_end(j, ']');
}

static bool put(struct json_out *j, const char *type, struct bytes name, struct bytes version,
                uint64_t wall_ns, const struct field_report *r)
{
    if (!any_listed(r))
        return false;
    json_begin(j, NULL, '{');
    json_string(j, "resource", bytes_of(type));
    if (name.len)
        json_string(j, "name", name);
    if (version.len)
        json_string(j, "version_info", version);
    put_time(j, wall_ns);
    put_fields(j, r);
    json_end(j, '}');
    return true;
}

bool dump_ignored_resource(struct descriptors *d, const struct resource_view *v, struct json_out *j)
{
    const struct resource_version *r = v->active ? v->active : v->warming;
    const char *type = resource_type_name(v->type);
    struct field_report found = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    bool any = false;
    if (r && unsupported_scan(d, bytes_of(type), r->wire, &found, &err))
        any = put(j, type, v->name, r->version ? bytes_of(r->version->text) : BYTES_NONE,
                  r->received_wall_ns, &found);
    error_fini(&err); /* bytes that run were read before */
    field_report_fini(&found);
    return any;
}

bool dump_ignored_bootstrap(const struct field_report *r, uint64_t wall_ns, struct json_out *j)
{
    return r && put(j, "envoy.config.bootstrap.v3.Bootstrap", BYTES_NONE, BYTES_NONE, wall_ns, r);
}
