/* envoy.service.discovery.v3.DiscoveryResponse and DeltaDiscoveryResponse, read off the wire
 * without copying. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct discovery_resource {
    struct bytes name;     /* field 1 of the resource, or of its Resource wrapper */
    struct bytes version;  /* of the wrapper; empty: the response's */
    struct bytes type_url; /* of the Any */
    struct bytes wire;     /* the Any's value; data NULL: a wrapper without a resource */
    struct bytes wrapper;  /* the Resource message: its aliases; data NULL: none */
    bool has_ttl, ttl_bad; /* of the wrapper; bad: no duration, or a negative one */
    uint64_t ttl_ms;
    bool again; /* one of that name stands before it: found out by whoever uses them */
};

struct discovery_error {
    struct bytes name;
    int code; /* google.rpc.Code; 5 = NOT_FOUND */
    struct bytes message;
};

/* Views into the response's bytes; the arrays are the caller's to free (discovery_response_fini).
 */
struct discovery_response {
    struct bytes version, type_url, nonce, control_plane;
    struct discovery_resource *resources;
    size_t n_resources, cap_resources;
    struct discovery_error *errors;
    size_t n_errors, cap_errors;
    struct bytes *removed; /* delta's */
    size_t n_removed, cap_removed;
    size_t size; /* of the message */
};

/* False: the bytes are no DiscoveryResponse (rule A13: a stream error). version is then
 * version_info. */
MUST_CHECK bool discovery_response_read(struct bytes message, struct discovery_response *out);
/* The same of a DeltaDiscoveryResponse; version is system_version_info (D04). */
MUST_CHECK bool delta_response_read(struct bytes message, struct discovery_response *out);
/* The other names of a resource, one after the other (D12): *rest is its wrapper at first. */
bool discovery_next_alias(struct bytes *rest, struct bytes *alias);
void discovery_response_fini(struct discovery_response *r);
