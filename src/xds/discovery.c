#include "xds/discovery.h"

#include "base/clock.h"
#include "base/memory.h"
#include "config/wire.h"

enum {
    RESPONSE_VERSION_INFO = 1,
    RESPONSE_RESOURCES = 2,
    RESPONSE_TYPE_URL = 4,
    RESPONSE_NONCE = 5,
    RESPONSE_CONTROL_PLANE = 6,
    RESPONSE_RESOURCE_ERRORS = 7,
    /* DeltaDiscoveryResponse, where it differs */
    DELTA_REMOVED_RESOURCES = 6,
    DELTA_CONTROL_PLANE = 7,
    DELTA_RESOURCE_ERRORS = 9,
    RESOURCE_ALIASES = 4,
    RESOURCE_TTL = 6,
};
#define DURATION_MAX_S 315576000000 /* 10,000 years: what a Duration may be */

static bool read_any(struct bytes any, struct bytes *type_url, struct bytes *value)
{
    struct wire_field f;
    *type_url = BYTES("");
    *value = BYTES("");
    while (wire_next(&any, &f)) {
        if (f.number == 1 && f.type == WIRE_BYTES)
            *type_url = f.bytes;
        if (f.number == 2 && f.type == WIRE_BYTES)
            *value = f.bytes;
    }
    return any.len == 0;
}

/* What has none is not passed over as unasked: it is refused. */
static struct bytes own_name(struct bytes resource)
{
    struct bytes name = wire_find_bytes(resource, 1);
    return name.data ? name : BYTES("");
}

/* google.protobuf.Duration: seconds = 1, nanos = 2. */
static void read_ttl(struct bytes duration, struct discovery_resource *r)
{
    int64_t seconds = (int64_t)wire_find_varint(duration, 1, 0);
    int64_t nanos = (int64_t)wire_find_varint(duration, 2, 0);
    r->has_ttl = true;
    r->ttl_bad = seconds < 0 || seconds > DURATION_MAX_S || nanos < 0 || nanos > 999999999;
    if (!r->ttl_bad)
        r->ttl_ms = (uint64_t)seconds * 1000 + (uint64_t)nanos / NS_PER_MS;
}

/* envoy.service.discovery.v3.Resource: version = 1, resource = 2, name = 3. */
static bool read_wrapper(struct discovery_resource *r)
{
    struct bytes rest = r->wire;
    struct wire_field f;
    bool has = false;
    r->wrapper = r->wire;
    r->wire = BYTES_NONE;
    r->name = BYTES("");
    while (wire_next(&rest, &f)) {
        if (f.type != WIRE_BYTES)
            continue;
        if (f.number == 1)
            r->version = f.bytes;
        if (f.number == 3)
            r->name = f.bytes;
        if (f.number == RESOURCE_TTL)
            read_ttl(f.bytes, r);
        if (f.number == 2) {
            has = true;
            if (!read_any(f.bytes, &r->type_url, &r->wire))
                return false;
        }
    }
    if (has && r->name.len == 0)
        r->name = own_name(r->wire);
    return rest.len == 0;
}

static bool add_resource(struct discovery_response *out, struct bytes any)
{
    if (!mem_try_grow(&out->resources, &out->cap_resources, out->n_resources + 1,
                      sizeof(*out->resources)))
        return false;
    struct discovery_resource *r = &out->resources[out->n_resources++];
    *r = (struct discovery_resource){0};
    if (!read_any(any, &r->type_url, &r->wire))
        return false;
    if (bytes_ends_with(r->type_url, BYTES("/envoy.service.discovery.v3.Resource")))
        return read_wrapper(r);
    r->name = own_name(r->wire);
    return true;
}

/* ResourceError: resource_name = 1 { name = 1 }, error_detail = 2 { code = 1, message = 2 }. */
static bool add_error(struct discovery_response *out, struct bytes error)
{
    if (!mem_try_grow(&out->errors, &out->cap_errors, out->n_errors + 1, sizeof(*out->errors)))
        return false;
    struct discovery_error *e = &out->errors[out->n_errors++];
    struct bytes detail = wire_find_bytes(error, 2);
    e->name = wire_find_bytes(wire_find_bytes(error, 1), 1);
    e->code = (int)wire_find_varint(detail, 1, 0);
    e->message = wire_find_bytes(detail, 2);
    return true;
}

static const struct discovery_response nothing = {
    .version = {"", 0}, .type_url = {"", 0}, .nonce = {"", 0}};

bool discovery_response_read(struct bytes message, struct discovery_response *out)
{
    struct wire_field f;
    bool ok = true;
    *out = nothing;
    out->size = message.len;
    while (ok && wire_next(&message, &f)) {
        if (f.type != WIRE_BYTES)
            continue;
        if (f.number == RESPONSE_VERSION_INFO)
            out->version = f.bytes;
        else if (f.number == RESPONSE_RESOURCES)
            ok = add_resource(out, f.bytes);
        else if (f.number == RESPONSE_TYPE_URL)
            out->type_url = f.bytes;
        else if (f.number == RESPONSE_NONCE)
            out->nonce = f.bytes;
        else if (f.number == RESPONSE_CONTROL_PLANE)
            out->control_plane = wire_find_bytes(f.bytes, 1);
        else if (f.number == RESPONSE_RESOURCE_ERRORS)
            ok = add_error(out, f.bytes);
    }
    if (ok && message.len == 0)
        return true;
    discovery_response_fini(out);
    return false;
}

static bool add_wrapped(struct discovery_response *out, struct bytes resource)
{
    if (!mem_try_grow(&out->resources, &out->cap_resources, out->n_resources + 1,
                      sizeof(*out->resources)))
        return false;
    struct discovery_resource *r = &out->resources[out->n_resources++];
    *r = (struct discovery_resource){.wire = resource};
    return read_wrapper(r);
}

static bool add_removed(struct discovery_response *out, struct bytes name)
{
    if (!mem_try_grow(&out->removed, &out->cap_removed, out->n_removed + 1, sizeof(*out->removed)))
        return false;
    out->removed[out->n_removed++] = name;
    return true;
}

bool delta_response_read(struct bytes message, struct discovery_response *out)
{
    struct wire_field f;
    bool ok = true;
    *out = nothing;
    out->size = message.len;
    while (ok && wire_next(&message, &f)) {
        if (f.type != WIRE_BYTES)
            continue;
        if (f.number == RESPONSE_VERSION_INFO) {
            out->version = f.bytes;
        } else if (f.number == RESPONSE_RESOURCES) {
            ok = add_wrapped(out, f.bytes);
        } else if (f.number == RESPONSE_TYPE_URL) {
            out->type_url = f.bytes;
        } else if (f.number == RESPONSE_NONCE) {
            out->nonce = f.bytes;
        } else if (f.number == DELTA_REMOVED_RESOURCES) {
            ok = add_removed(out, f.bytes);
        } else if (f.number == DELTA_CONTROL_PLANE) {
            out->control_plane = wire_find_bytes(f.bytes, 1);
        } else if (f.number == DELTA_RESOURCE_ERRORS) {
            ok = add_error(out, f.bytes);
        }
    }
    if (ok && message.len == 0)
        return true;
    discovery_response_fini(out);
    return false;
}

bool discovery_next_alias(struct bytes *rest, struct bytes *alias)
{
    struct wire_field f;
    while (wire_next(rest, &f)) {
        if (f.number == RESOURCE_ALIASES && f.type == WIRE_BYTES) {
            *alias = f.bytes;
            return true;
        }
    }
    return false;
}

void discovery_response_fini(struct discovery_response *r)
{
    mem_free(r->removed);
    mem_free(r->resources);
    mem_free(r->errors);
    *r = (struct discovery_response){0};
}
