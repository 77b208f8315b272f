/* A control plane's DiscoveryResponse and DeltaDiscoveryResponse: read without copying as the
 * generated code reads it. What one takes for corrupt, the other may take only where it reads less
 * closely.
 *
 *     bytes of one of the two, read as both */
#include <envoy/service/discovery/v3/discovery.upb.h>
#include <google/protobuf/any.upb.h>

#include "../config_world.h"
#include "../proto.h"
#include "config/wire.h"
#include "xds/discovery.h"

#define RESPONSE "envoy.service.discovery.v3.DiscoveryResponse"
#define DELTA "envoy.service.discovery.v3.DeltaDiscoveryResponse"

static struct bytes view(upb_StringView v)
{
    return bytes_from(v.data, v.size);
}

static void compare_aliases(const struct discovery_resource *ours,
                            const envoy_service_discovery_v3_Resource *r)
{
    size_t n = 0, i = 0;
    const upb_StringView *aliases = envoy_service_discovery_v3_Resource_aliases(r, &n);
    struct bytes rest = ours->wrapper, alias;
    for (; discovery_next_alias(&rest, &alias); i++)
        if (i < n)
            fuzz_same("an alias", alias, view(aliases[i]));
    FUZZ_CHECK(i == n, "%zu aliases, not %zu", i, n);
}

static void compare_resource(const struct discovery_resource *ours,
                             const envoy_service_discovery_v3_Resource *r)
{
    const google_protobuf_Any *any = envoy_service_discovery_v3_Resource_resource(r);
    struct bytes name = view(envoy_service_discovery_v3_Resource_name(r));
    FUZZ_CHECK(!any == !ours->wire.data, "a resource or none");
    fuzz_same("its version", ours->version, view(envoy_service_discovery_v3_Resource_version(r)));
    if (name.len)
        fuzz_same("its name", ours->name, name);
    FUZZ_CHECK(ours->has_ttl == envoy_service_discovery_v3_Resource_has_ttl(r), "a time or none");
    compare_aliases(ours, r);
}

static void compare_wrapped(const struct discovery_resource *ours, struct bytes wire)
{
    upb_Arena *arena = upb_Arena_New();
    const envoy_service_discovery_v3_Resource *r =
        envoy_service_discovery_v3_Resource_parse(wire.data, wire.len, arena);
    if (r)
        compare_resource(ours, r);
    upb_Arena_Free(arena);
}

static void compare(const struct discovery_response *ours,
                    const envoy_service_discovery_v3_DiscoveryResponse *theirs)
{
    size_t n = 0;
    const google_protobuf_Any *const *list =
        envoy_service_discovery_v3_DiscoveryResponse_resources(theirs, &n);
    fuzz_same("version", ours->version,
              view(envoy_service_discovery_v3_DiscoveryResponse_version_info(theirs)));
    fuzz_same("type", ours->type_url,
              view(envoy_service_discovery_v3_DiscoveryResponse_type_url(theirs)));
    fuzz_same("nonce", ours->nonce,
              view(envoy_service_discovery_v3_DiscoveryResponse_nonce(theirs)));
    FUZZ_CHECK(ours->n_resources == n, "%zu resources, not %zu", ours->n_resources, n);
    for (size_t i = 0; i < n; i++) {
        struct bytes url = view(google_protobuf_Any_type_url(list[i]));
        if (bytes_ends_with(url, BYTES("/envoy.service.discovery.v3.Resource"))) {
            compare_wrapped(&ours->resources[i], view(google_protobuf_Any_value(list[i])));
            continue;
        }
        fuzz_same("type of a resource", ours->resources[i].type_url, url);
        fuzz_same("a resource", ours->resources[i].wire, view(google_protobuf_Any_value(list[i])));
    }
}

static void compare_delta(const struct discovery_response *ours,
                          const envoy_service_discovery_v3_DeltaDiscoveryResponse *theirs)
{
    size_t n = 0, n_removed = 0;
    const envoy_service_discovery_v3_Resource *const *list =
        envoy_service_discovery_v3_DeltaDiscoveryResponse_resources(theirs, &n);
    const upb_StringView *removed =
        envoy_service_discovery_v3_DeltaDiscoveryResponse_removed_resources(theirs, &n_removed);
    fuzz_same("version", ours->version,
              view(envoy_service_discovery_v3_DeltaDiscoveryResponse_system_version_info(theirs)));
    fuzz_same("type", ours->type_url,
              view(envoy_service_discovery_v3_DeltaDiscoveryResponse_type_url(theirs)));
    fuzz_same("nonce", ours->nonce,
              view(envoy_service_discovery_v3_DeltaDiscoveryResponse_nonce(theirs)));
    FUZZ_CHECK(ours->n_resources == n, "%zu resources, not %zu", ours->n_resources, n);
    FUZZ_CHECK(ours->n_removed == n_removed, "%zu removed, not %zu", ours->n_removed, n_removed);
    for (size_t i = 0; i < n; i++)
        compare_resource(&ours->resources[i], list[i]);
    for (size_t i = 0; i < n_removed; i++)
        fuzz_same("a removed name", ours->removed[i], view(removed[i]));
}

static void run_delta(struct bytes input)
{
    struct discovery_response r;
    upb_Arena *arena = upb_Arena_New();
    const envoy_service_discovery_v3_DeltaDiscoveryResponse *theirs =
        envoy_service_discovery_v3_DeltaDiscoveryResponse_parse(input.data, input.len, arena);
    if (delta_response_read(input, &r)) {
        if (theirs)
            compare_delta(&r, theirs);
        discovery_response_fini(&r);
    } else {
        FUZZ_CHECK(!r.resources && !r.removed && !r.errors, "left behind");
    }
    upb_Arena_Free(arena);
}

/* Groups are skipped by the one and refused by the other. */
static void run(struct bytes input)
{
    run_delta(input);
    struct discovery_response r;
    upb_Arena *arena = upb_Arena_New();
    const envoy_service_discovery_v3_DiscoveryResponse *theirs =
        envoy_service_discovery_v3_DiscoveryResponse_parse(input.data, input.len, arena);
    if (discovery_response_read(input, &r)) {
        if (theirs)
            compare(&r, theirs);
        for (size_t i = 0; i < r.n_resources; i++) {
            const struct discovery_resource *x = &r.resources[i];
            FUZZ_CHECK(x->name.data && x->type_url.data, "resource %zu is half read", i);
        }
        discovery_response_fini(&r);
    } else {
        FUZZ_CHECK(r.n_resources == 0 && !r.resources && !r.errors, "left behind");
    }
    upb_Arena_Free(arena);
}

static void put_any(struct strbuf *out, const char *type, struct bytes value)
{
    struct strbuf any = STRBUF_INIT, url = STRBUF_INIT;
    strbuf_printf(&url, "type.googleapis.com/%s", type);
    wire_put_bytes(&any, 1, strbuf_bytes(&url));
    wire_put_bytes(&any, 2, value);
    wire_put_bytes(out, 2, strbuf_bytes(&any));
    strbuf_fini(&any);
    strbuf_fini(&url);
}

/* A resource more, bare or in a Resource. */
static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    struct strbuf wrapper = STRBUF_INIT;
    if (random_below(random, 4)) {
        struct bytes message = random_below(random, 2) ? BYTES(RESPONSE) : BYTES(DELTA);
        proto_mutate(world_descriptors, random, message, input, out);
        return;
    }
    unsigned at = (unsigned)random_below(random, n_templates);
    strbuf_add_bytes(out, input);
    if (random_below(random, 2)) {
        put_any(out, templates[at].message, template_wire(at));
        return;
    }
    if (random_below(random, 2))
        wire_put_bytes(&wrapper, 3, BYTES("name"));
    wire_put_bytes(&wrapper, 1, BYTES("7"));
    put_any(&wrapper, templates[at].message, template_wire(at));
    if (random_below(random, 2))
        put_any(out, "envoy.service.discovery.v3.Resource", strbuf_bytes(&wrapper));
    else
        wire_put_bytes(out, 2, strbuf_bytes(&wrapper)); /* of a delta */
    strbuf_fini(&wrapper);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = config_world_setup, .mutate = mutate};
