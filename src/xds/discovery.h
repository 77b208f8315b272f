/* envoy.service.discovery.v3.DiscoveryResponse, read off the wire without copying. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct discovery_resource {
    struct bytes name;     /* field 1 of the resource, or of its Resource wrapper */
    struct bytes version;  /* of the wrapper; empty: the response's */
    struct bytes type_url; /* of the Any */
    struct bytes wire;     /* the Any's value; data NULL: a wrapper without a resource */
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
};

/* False: the bytes are no DiscoveryResponse (rule A13: a stream error). */
MUST_CHECK bool discovery_response_read(struct bytes message, struct discovery_response *out);
void discovery_response_fini(struct discovery_response *r);
