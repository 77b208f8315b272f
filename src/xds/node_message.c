#include "xds/node_message.h"

#include "config/wire.h"

enum {
    NODE_ID = 1,
    NODE_CLUSTER = 2,
    NODE_LOCALITY = 4,
    NODE_USER_AGENT_NAME = 6,
    NODE_USER_AGENT_VERSION = 7,
    NODE_USER_AGENT_BUILD_VERSION = 8,
    NODE_CLIENT_FEATURES = 10,
    LOCALITY_ZONE = 2,
    BUILD_VERSION_VERSION = 1,
};

static void put_varint(struct strbuf *out, uint32_t number, uint64_t value)
{
    wire_put_varint(out, number << 3 | WIRE_VARINT);
    wire_put_varint(out, value);
}

static void put_locality(struct bytes locality, struct bytes zone, struct strbuf *out)
{
    struct strbuf copy = STRBUF_INIT;
    struct wire_field f;
    while (wire_next(&locality, &f)) {
        if (f.number != LOCALITY_ZONE)
            strbuf_add_bytes(&copy, f.raw);
    }
    wire_put_bytes(&copy, LOCALITY_ZONE, zone);
    wire_put_bytes(out, NODE_LOCALITY, strbuf_bytes(&copy));
    strbuf_fini(&copy);
}

/* core.v3.BuildVersion { version: SemanticVersion { major = 1, minor = 2, patch = 3 } } */
static void put_build_version(struct strbuf *out)
{
    struct strbuf version = STRBUF_INIT, build = STRBUF_INIT;
    put_varint(&version, 1, NODE_COMPATIBLE_MAJOR);
    put_varint(&version, 2, NODE_COMPATIBLE_MINOR);
    put_varint(&version, 3, NODE_COMPATIBLE_PATCH);
    wire_put_bytes(&build, BUILD_VERSION_VERSION, strbuf_bytes(&version));
    wire_put_bytes(out, NODE_USER_AGENT_BUILD_VERSION, strbuf_bytes(&build));
    strbuf_fini(&version);
    strbuf_fini(&build);
}

/* Is the field replaced by something of ours? */
static bool replaced(uint32_t number, const struct node_overrides *o)
{
    switch (number) {
    case NODE_ID:
        return o->id.data != NULL;
    case NODE_CLUSTER:
        return o->cluster.data != NULL;
    case NODE_LOCALITY:
        return o->zone.data != NULL;
    case NODE_USER_AGENT_NAME:
    case NODE_USER_AGENT_VERSION:
    case NODE_USER_AGENT_BUILD_VERSION:
        return true;
    default:
        return false;
    }
}

void node_message_build(struct bytes node, const struct node_overrides *o, struct strbuf *out)
{
    struct bytes rest = node;
    struct wire_field f;
    if (o->id.data)
        wire_put_bytes(out, NODE_ID, o->id);
    if (o->cluster.data)
        wire_put_bytes(out, NODE_CLUSTER, o->cluster);
    while (wire_next(&rest, &f)) {
        if (!replaced(f.number, o))
            strbuf_add_bytes(out, f.raw);
    }
    if (o->zone.data)
        put_locality(wire_find_bytes(node, NODE_LOCALITY), o->zone, out);
    wire_put_bytes(out, NODE_USER_AGENT_NAME, BYTES(NODE_USER_AGENT));
    put_build_version(out);
    wire_put_bytes(out, NODE_CLIENT_FEATURES, BYTES("xds.config.supports-resource-ttl"));
    wire_put_bytes(out, NODE_CLIENT_FEATURES, BYTES("xds.config.supports-resource-in-sotw"));
}
