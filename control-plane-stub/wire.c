#include "wire.h"

#include "encode.h"

#include "envoy/service/discovery/v3/discovery.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRAPPER_URL "type.googleapis.com/envoy.service.discovery.v3.Resource"

typedef Envoy__Service__Discovery__V3__DiscoveryRequest sotw_message;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest delta_message;
typedef Envoy__Service__Discovery__V3__Resource resource_message;

static void read_node(struct xds_request *req, const Envoy__Config__Core__V3__Node *node)
{
    req->has_node = node != NULL;
    req->node_id = node ? node->id : "";
    req->node_cluster = node ? node->cluster : "";
}

static void read_error(struct xds_request *req, const Google__Rpc__Status *status)
{
    req->has_error = status != NULL;
    req->error_code = status ? status->code : 0;
    req->error_message = status ? status->message : "";
}

static bool read_sotw(struct wire_request *out, size_t len, const void *data)
{
    sotw_message *m = envoy__service__discovery__v3__discovery_request__unpack(NULL, len, data);

    if (!m)
        return false;
    out->message = m;
    read_node(&out->req, m->node);
    read_error(&out->req, m->error_detail);
    out->req.type_url = m->type_url;
    out->req.version_info = m->version_info;
    out->req.nonce = m->response_nonce;
    out->req.names = m->resource_names;
    out->req.name_count = m->n_resource_names;
    return true;
}

static bool read_delta(struct wire_request *out, size_t len, const void *data)
{
    delta_message *m;
    size_t n;

    m = envoy__service__discovery__v3__delta_discovery_request__unpack(NULL, len, data);
    if (!m)
        return false;
    out->message = m;
    read_node(&out->req, m->node);
    read_error(&out->req, m->error_detail);
    out->req.type_url = m->type_url;
    out->req.version_info = "";
    out->req.nonce = m->response_nonce;
    out->req.names = m->resource_names_subscribe;
    out->req.name_count = m->n_resource_names_subscribe;
    out->req.unsubscribe = m->resource_names_unsubscribe;
    out->req.unsubscribe_count = m->n_resource_names_unsubscribe;
    n = m->n_initial_resource_versions;
    out->req.initial_count = n;
    out->req.initial_names = mem_alloc(n * sizeof(char *));
    out->req.initial_versions = mem_alloc(n * sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        out->req.initial_names[i] = m->initial_resource_versions[i]->key;
        out->req.initial_versions[i] = m->initial_resource_versions[i]->value;
    }
    return true;
}

bool wire_read(struct wire_request *out, enum dialect dialect, const void *data, size_t len)
{
    *out = (struct wire_request){.dialect = dialect};
    return dialect == DIALECT_SOTW ? read_sotw(out, len, data) : read_delta(out, len, data);
}

void wire_request_fini(struct wire_request *r)
{
    free(r->req.initial_names);
    free(r->req.initial_versions);
    if (r->message && r->dialect == DIALECT_SOTW)
        envoy__service__discovery__v3__discovery_request__free_unpacked(r->message, NULL);
    else if (r->message)
        envoy__service__discovery__v3__delta_discovery_request__free_unpacked(r->message, NULL);
    *r = (struct wire_request){0};
}

uint64_t wire_ttl(const void *wrapper, size_t len)
{
    resource_message *m = envoy__service__discovery__v3__resource__unpack(NULL, len, wrapper);
    uint64_t us = 0;

    if (m && m->ttl && m->ttl->seconds >= 0 && m->ttl->seconds < 1 << 30 && m->ttl->nanos >= 0)
        us = (uint64_t)m->ttl->seconds * 1000000 + (uint64_t)m->ttl->nanos / 1000;
    if (m)
        envoy__service__discovery__v3__resource__free_unpacked(m, NULL);
    return us;
}

static void put_any(struct text *out, unsigned number, const char *url, const void *value,
                    size_t len)
{
    struct text any = {0};

    wire_bytes(&any, 1, url, strlen(url));
    if (len)
        wire_bytes(&any, 2, value, len);
    wire_bytes(out, number, any.data, any.len);
    text_fini(&any);
}

enum { NO_SUCH_FIELD = 60000 };

static bool is_garbled(const struct wire_extra *extra, const char *name)
{
    for (size_t i = 0; i < extra->garble_count; i++)
        if (!strcmp(extra->garble[i], name) || !strcmp(extra->garble[i], "*"))
            return true;
    return false;
}

/* The resource as an Any, with what a fault does to it. */
static void put_item(struct text *out, unsigned number, const char *url,
                     const struct resource *item, const struct wire_extra *extra)
{
    struct text value = {0};

    if (is_garbled(extra, item->name))
        text_add(&value, "\xff\xff\xff", 3);
    else
        text_add(&value, item->value, item->len);
    if (extra->unknown_field) {
        wire_varint(&value, NO_SUCH_FIELD << 3);
        wire_varint(&value, 1);
    }
    put_any(out, number, url, value.data, value.len);
    text_fini(&value);
}

static void put_padding(struct text *out, const struct wire_extra *extra)
{
    char *zeros = extra->pad ? mem_zero(extra->pad) : NULL;

    if (zeros)
        wire_bytes(out, NO_SUCH_FIELD, zeros, extra->pad);
    free(zeros);
}

static void put_string(struct text *out, unsigned number, const char *s)
{
    if (s && *s)
        wire_bytes(out, number, s, strlen(s));
}

static void put_control_plane(struct text *out, unsigned number, const struct wire_extra *extra)
{
    struct text body = {0};

    if (!extra->control_plane)
        return;
    put_string(&body, 1, extra->control_plane);
    wire_bytes(out, number, body.data, body.len);
    text_fini(&body);
}

static const char *any_url(const struct resource *item, const struct wire_extra *extra)
{
    return extra->resource_type ? extra->resource_type : item->type_url;
}

/* A Resource with everything but the resource: it lives on as it is, at this version. */
static void heartbeat_of(const struct resource *item, const char *version, struct text *out)
{
    resource_message beat = ENVOY__SERVICE__DISCOVERY__V3__RESOURCE__INIT;
    resource_message *own = envoy__service__discovery__v3__resource__unpack(
        NULL, item->wrapper_len, (const uint8_t *)item->wrapper);
    uint8_t *bytes;
    size_t len;

    if (!own)
        return;
    beat.name = item->name;
    beat.version = own->version && *own->version ? own->version : (char *)version;
    beat.ttl = own->ttl;
    len = envoy__service__discovery__v3__resource__get_packed_size(&beat);
    bytes = mem_alloc(len);
    envoy__service__discovery__v3__resource__pack(&beat, bytes);
    text_add(out, bytes, len);
    free(bytes);
    envoy__service__discovery__v3__resource__free_unpacked(own, NULL);
}

static void put_heartbeat(struct text *out, const struct xds_response *r,
                          const struct resource *item, bool delta)
{
    struct text beat = {0};
    char version[17];

    snprintf(version, sizeof(version), "%016llx", (unsigned long long)item->hash);
    heartbeat_of(item, delta ? version : r->version, &beat);
    if (delta)
        wire_bytes(out, 2, beat.data, beat.len);
    else
        put_any(out, 2, WRAPPER_URL, beat.data, beat.len);
    text_fini(&beat);
}

static void write_sotw(const struct xds_response *r, const struct wire_extra *extra,
                       struct text *out)
{
    put_string(out, 1, r->version);
    for (size_t i = 0; i < r->count; i++) {
        const struct resource *item = r->items[i];

        if (r->heartbeat)
            put_heartbeat(out, r, item, false);
        else if (item->wrapper)
            put_any(out, 2, WRAPPER_URL, item->wrapper, item->wrapper_len);
        else
            put_item(out, 2, any_url(item, extra), item, extra);
    }
    put_string(out, 4, r->type_url);
    put_string(out, 5, r->nonce);
    put_control_plane(out, 6, extra);
}

/* A wrapped resource keeps its ttl, aliases and the like; the version is ours unless it has one. */
static void put_resource(struct text *out, const struct resource *item,
                         const struct wire_extra *extra)
{
    resource_message *own = NULL;
    struct text body = {0};
    char version[17];

    snprintf(version, sizeof(version), "%016llx", (unsigned long long)item->hash);
    if (item->wrapper)
        own = envoy__service__discovery__v3__resource__unpack(NULL, item->wrapper_len,
                                                              (const uint8_t *)item->wrapper);
    if (!own || !own->version || !*own->version)
        put_string(&body, 1, version);
    if (own) {
        text_add(&body, item->wrapper, item->wrapper_len);
        envoy__service__discovery__v3__resource__free_unpacked(own, NULL);
    } else {
        put_item(&body, 2, any_url(item, extra), item, extra);
        put_string(&body, 3, item->name);
    }
    wire_bytes(out, 2, body.data, body.len);
    text_fini(&body);
}

static void write_delta(const struct xds_response *r, const struct wire_extra *extra,
                        struct text *out)
{
    put_string(out, 1, r->version);
    for (size_t i = 0; i < r->count; i++) {
        if (r->heartbeat)
            put_heartbeat(out, r, r->items[i], true);
        else
            put_resource(out, r->items[i], extra);
    }
    put_string(out, 4, r->type_url);
    put_string(out, 5, r->nonce);
    for (size_t i = 0; i < r->removed_count; i++)
        wire_bytes(out, 6, r->removed[i], strlen(r->removed[i]));
    put_control_plane(out, 7, extra);
}

void wire_write(enum dialect dialect, const struct xds_response *r, const struct wire_extra *extra,
                struct text *out)
{
    if (dialect == DIALECT_SOTW)
        write_sotw(r, extra, out);
    else
        write_delta(r, extra, out);
    put_padding(out, extra);
}
