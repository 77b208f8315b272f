#include "admin/dump_entries.h"

#include <stdio.h>

#include "base/clock.h"
#include "config/wire.h"

#define ROUTE_CONFIGURATION "envoy.config.route.v3.RouteConfiguration"
#define HTTP_CONNECTION_MANAGER                                                                    \
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
#define LOAD_ASSIGNMENT "envoy.config.endpoint.v3.ClusterLoadAssignment"

void dump_put_message(struct strbuf *out, uint32_t number, struct strbuf *inner)
{
    wire_put_bytes(out, number, inner->len ? strbuf_bytes(inner) : BYTES(""));
    strbuf_fini(inner);
}

void dump_put_varint(struct strbuf *out, uint32_t number, uint64_t value)
{
    wire_put_varint(out, (uint64_t)number << 3 | WIRE_VARINT);
    wire_put_varint(out, value);
}

void dump_put_text(struct strbuf *out, uint32_t number, struct bytes text)
{
    if (text.len)
        wire_put_bytes(out, number, text);
}

static void put_url(struct strbuf *out, uint32_t number, struct bytes type_url, struct bytes value)
{
    struct strbuf any = STRBUF_INIT;
    wire_put_bytes(&any, 1, type_url);
    wire_put_bytes(&any, 2, value);
    dump_put_message(out, number, &any);
}

void dump_put_any(struct strbuf *out, uint32_t number, const char *message, struct bytes value)
{
    char url[160];
    snprintf(url, sizeof(url), "type.googleapis.com/%s", message);
    put_url(out, number, bytes_of(url), value);
}

/* google.protobuf.Timestamp, in milliseconds as Envoy. */
static void put_time(struct strbuf *out, uint32_t number, uint64_t wall_ns)
{
    struct strbuf t = STRBUF_INIT;
    dump_put_varint(&t, 1, wall_ns / NS_PER_S);
    dump_put_varint(&t, 2, wall_ns % NS_PER_S / NS_PER_MS * NS_PER_MS);
    dump_put_message(out, number, &t);
}

/* UpdateFailureState */
static void put_rejected(struct strbuf *out, uint32_t number, enum resource_type type,
                         const struct resource_rejected *r, bool contents)
{
    struct strbuf e = STRBUF_INIT;
    if (!r)
        return;
    if (contents)
        dump_put_any(&e, 1, resource_type_name(type), r->wire);
    put_time(&e, 2, r->wall_ns);
    dump_put_text(&e, 3, bytes_of(r->details));
    dump_put_text(&e, 4, bytes_of(r->version_info));
    dump_put_message(out, number, &e);
}

static void put_error_of(struct strbuf *out, uint32_t number, enum resource_type type,
                         const struct resource_rejected *r)
{
    put_rejected(out, number, type, r, true);
}

static void put_error(struct strbuf *out, uint32_t number, const struct resource_view *v)
{
    put_error_of(out, number, v->type, v->rejected);
}

/* Envoy says nothing of what is well. */
static void put_status(struct strbuf *out, uint32_t number, const struct resource_view *v)
{
    if (v->status != CLIENT_ACKED && v->status != CLIENT_UNKNOWN)
        dump_put_varint(out, number, v->status);
}

/* { Any resource = 1, Timestamp last_updated = 2 } */
static bool put_static(struct strbuf *out, const struct resource_version *r)
{
    if (!r)
        return false;
    put_url(out, 1, bytes_of(r->type_url), r->wire);
    put_time(out, 2, r->received_wall_ns);
    return true;
}

/* { version_info = 1, Any = 2, last_updated = 3 } */
static void put_version(struct strbuf *out, const struct resource_version *r)
{
    if (!r)
        return;
    dump_put_text(out, 1, bytes_of(r->version->text));
    put_url(out, 2, bytes_of(r->type_url), r->wire);
    put_time(out, 3, r->received_wall_ns);
}

/* { ..., error_state = 4, client_status = 5 } */
static bool put_dynamic(struct strbuf *out, const struct resource_version *r,
                        const struct resource_view *v)
{
    put_version(out, r);
    put_error(out, 4, v);
    put_status(out, 5, v);
    return true;
}

bool dump_static_cluster(const struct resource_view *v, struct strbuf *out)
{
    return v->is_static && put_static(out, v->active ? v->active : v->warming);
}

bool dump_active_cluster(const struct resource_view *v, struct strbuf *out)
{
    bool wanted = !v->is_static && (v->active || (!v->warming && v->rejected));
    return wanted && put_dynamic(out, v->active, v);
}

bool dump_warming_cluster(const struct resource_view *v, struct strbuf *out)
{
    return !v->is_static && v->warming && put_dynamic(out, v->warming, v);
}

bool dump_static_listener(const struct resource_view *v, struct strbuf *out)
{
    return v->is_static && put_static(out, v->active ? v->active : v->warming);
}

static void put_listener_state(struct strbuf *out, uint32_t number,
                               const struct resource_version *r)
{
    struct strbuf e = STRBUF_INIT;
    if (!r)
        return;
    put_version(&e, r);
    dump_put_message(out, number, &e);
}

bool dump_dynamic_listener(const struct resource_view *v, struct strbuf *out)
{
    if (v->is_static || !(v->active || v->warming || v->rejected))
        return false;
    dump_put_text(out, 1, v->name);
    put_listener_state(out, 2, v->active);
    put_listener_state(out, 3, v->warming);
    put_error(out, 5, v);
    put_status(out, 6, v);
    return true;
}

bool dump_dynamic_route(const struct resource_view *v, struct strbuf *out)
{
    return (v->active || v->rejected) && put_dynamic(out, v->active, v);
}

bool dump_extension(const struct resource_view *v, struct strbuf *out)
{
    return (v->active || v->rejected) && put_dynamic(out, v->active, v);
}

/* ---- secrets: what is private in them is hidden by whoever prints the bytes ---- */

/* { name = 1, last_updated = 2, secret = 3 }; Envoy has no time for it. */
bool dump_static_secret(const struct resource_view *v, struct strbuf *out)
{
    if (!v->is_static || !v->active)
        return false;
    dump_put_text(out, 1, v->name);
    put_url(out, 3, bytes_of(v->active->type_url), v->active->wire);
    return true;
}

/* { name = 1, version_info = 2, last_updated = 3, secret = 4, error_state = 5,
 *   client_status = 6 } */
static bool put_secret(struct strbuf *out, const struct resource_view *v, struct bytes version,
                       struct bytes wire)
{
    dump_put_text(out, 1, v->name);
    dump_put_text(out, 2, version);
    if (v->active)
        put_time(out, 3, v->active->received_wall_ns);
    dump_put_any(out, 4, resource_type_name(RESOURCE_SECRET), wire);
    put_error(out, 5, v);
    put_status(out, 6, v);
    return true;
}

bool dump_active_secret(const struct resource_view *v, struct strbuf *out)
{
    if (v->is_static || !v->active)
        return false;
    return put_secret(out, v, bytes_of(v->active->version->text), v->active->wire);
}

/* Not there: Envoy shows a secret that has a name and nothing else. */
bool dump_warming_secret(const struct resource_view *v, struct strbuf *out)
{
    struct strbuf none = STRBUF_INIT;
    if (v->is_static || v->active)
        return false;
    dump_put_text(&none, 1, v->name);
    put_secret(out, v, BYTES("uninitialized"), strbuf_bytes(&none));
    strbuf_fini(&none);
    return true;
}

/* { type_url = 1, name = 2, version_info = 3, xds_config = 4, last_updated = 5, client_status = 7,
 *   error_state = 8, is_static_resource = 9 }. A static resource has no status: nobody sent it. */
void dump_client_status(const struct resource_view *v, bool contents, struct strbuf *out)
{
    const struct resource_version *r = v->active ? v->active : v->warming;
    dump_put_text(out, 1, bytes_of(resource_type_url(v->type)));
    dump_put_text(out, 2, v->name);
    if (r) {
        dump_put_text(out, 3, bytes_of(r->version->text));
        if (contents)
            put_url(out, 4, bytes_of(r->type_url), r->wire);
        put_time(out, 5, r->received_wall_ns);
    }
    if (v->is_static) {
        dump_put_varint(out, 9, true);
        return;
    }
    if (v->status != CLIENT_UNKNOWN)
        dump_put_varint(out, 7, v->status);
    put_rejected(out, 8, v->type, v->rejected, contents);
}

/* Numbers of fields on the way to a route configuration inside a listener. */
enum {
    LISTENER_FILTER_CHAINS = 3,
    LISTENER_DEFAULT_FILTER_CHAIN = 25,
    CHAIN_FILTERS = 3,
    FILTER_TYPED_CONFIG = 4,
    ANY_TYPE_URL = 1,
    ANY_VALUE = 2,
    MANAGER_ROUTE_CONFIG = 4,
    MANAGER_SCOPED_ROUTES = 31,
    SCOPED_ROUTES_NAME = 1,
    SCOPED_ROUTES_LIST = 4,
    LIST_SCOPES = 1,
    SCOPE_NAME = 1,
    ROUTE_CONFIG_NAME = 1,
};

/* A field of a connection manager; data NULL: the filter is none, or has no such field. */
static struct bytes field_of_filter(struct bytes filter, uint32_t field)
{
    struct bytes any = wire_find_bytes(filter, FILTER_TYPED_CONFIG);
    if (!bytes_ends_with(wire_find_bytes(any, ANY_TYPE_URL), BYTES("/" HTTP_CONNECTION_MANAGER)))
        return BYTES_NONE;
    return wire_find_bytes(wire_find_bytes(any, ANY_VALUE), field);
}

/* The i-th that stands in the bytes of a listener. The nodes are not asked: they may be older than
 * the listener, and know their bytes only while they are decoded. */
static struct bytes nth_of_managers(struct bytes listener, uint32_t field, unsigned i)
{
    struct wire_field chain, filter;
    while (wire_next(&listener, &chain)) {
        struct bytes rest = chain.bytes;
        if (chain.type != WIRE_BYTES || (chain.number != LISTENER_FILTER_CHAINS &&
                                         chain.number != LISTENER_DEFAULT_FILTER_CHAIN))
            continue;
        while (wire_next(&rest, &filter)) {
            struct bytes found = BYTES_NONE;
            if (filter.number == CHAIN_FILTERS && filter.type == WIRE_BYTES)
                found = field_of_filter(filter.bytes, field);
            if (found.data && i-- == 0)
                return found;
        }
    }
    return BYTES_NONE;
}

bool dump_static_route(const struct resource_view *v, unsigned i, struct strbuf *out,
                       struct bytes *name)
{
    const struct resource_version *r = v->active ? v->active : v->warming;
    struct bytes routes = r ? nth_of_managers(r->wire, MANAGER_ROUTE_CONFIG, i) : BYTES_NONE;
    if (!routes.data)
        return false;
    *name = wire_find_bytes(routes, ROUTE_CONFIG_NAME);
    dump_put_any(out, 1, ROUTE_CONFIGURATION, routes);
    put_time(out, 2, r->received_wall_ns);
    return true;
}

/* { name = 1, repeated Any = 2, last_updated = 3 } */
bool dump_inline_scopes(const struct resource_view *v, unsigned i, dump_name_fn *wanted, void *arg,
                        struct strbuf *out)
{
    const struct resource_version *r = v->active ? v->active : v->warming;
    struct bytes scoped = r ? nth_of_managers(r->wire, MANAGER_SCOPED_ROUTES, i) : BYTES_NONE;
    struct bytes list = wire_find_bytes(scoped, SCOPED_ROUTES_LIST);
    struct wire_field f;
    if (!scoped.data)
        return false;
    if (!list.data)
        return true; /* its scopes come apart */
    dump_put_text(out, 1, wire_find_bytes(scoped, SCOPED_ROUTES_NAME));
    while (wire_next(&list, &f)) {
        if (f.number == LIST_SCOPES && f.type == WIRE_BYTES &&
            wanted(arg, wire_find_bytes(f.bytes, SCOPE_NAME)))
            dump_put_any(out, 2, resource_type_name(RESOURCE_SCOPED_ROUTE), f.bytes);
    }
    put_time(out, 3, r->received_wall_ns);
    return true;
}

struct scopes_out {
    dump_name_fn *wanted;
    void *arg;
    struct strbuf *out;
};

static void put_scope(void *arg, const struct resource_version *v)
{
    struct scopes_out *o = arg;
    if (o->wanted(o->arg, v->resource->name))
        put_url(o->out, 3, bytes_of(v->type_url), v->wire);
}

/* { name = 1, version_info = 2, repeated Any = 3, last_updated = 4 } */
bool dump_dynamic_scopes(const struct builder *b, const struct scopes_view *v, dump_name_fn *wanted,
                         void *arg, struct strbuf *out)
{
    struct scopes_out o = {wanted, arg, out};
    if (!v->version)
        return false;
    dump_put_text(out, 1, v->name);
    dump_put_text(out, 2, bytes_of(v->version));
    builder_each_scope(b, v, put_scope, &o);
    put_time(out, 4, v->wall_ns);
    return true;
}

static bool put_endpoints(const struct resource_view *v, uint32_t number, struct strbuf *out)
{
    const struct cluster_entry *c = v->cluster;
    struct strbuf assignment = STRBUF_INIT;
    if (!c)
        return false;
    struct bytes service =
        c->cluster->type == CLUSTER_EDS ? c->cluster->eds_service_name : BYTES_NONE;
    dump_load_assignment(service.len ? service : v->name, c->hosts, &assignment);
    dump_put_any(out, number, LOAD_ASSIGNMENT, strbuf_bytes(&assignment));
    strbuf_fini(&assignment);
    return true;
}

bool dump_static_endpoints(const struct resource_view *v, struct strbuf *out)
{
    return v->is_static && put_endpoints(v, 1, out);
}

bool dump_dynamic_endpoints(const struct resource_view *v, struct strbuf *out)
{
    if (v->is_static || !put_endpoints(v, 2, out))
        return false;
    put_error_of(out, 4, RESOURCE_ENDPOINT, v->endpoints_rejected);
    if (v->endpoints_rejected)
        dump_put_varint(out, 5, CLIENT_NACKED);
    return true;
}

void dump_bootstrap(struct bytes bootstrap, struct bytes node, uint64_t wall_ns, struct strbuf *out)
{
    struct strbuf b = STRBUF_INIT;
    struct wire_field f;
    wire_put_bytes(&b, 1, node);
    while (wire_next(&bootstrap, &f)) {
        if (f.number != 1)
            strbuf_add_bytes(&b, f.raw);
    }
    dump_put_message(out, 1, &b);
    put_time(out, 2, wall_ns);
}
