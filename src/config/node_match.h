/* Who is asked by a ClientStatusRequest: its node matchers against the bytes of a core.v3.Node.
 * Pure but for the regular expressions that it compiles. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"

struct client_status_request {
    bool matches;                   /* one of the matchers does, or there is none */
    bool exclude_resource_contents; /* names and versions alone */
};

/* request: the bytes of envoy.service.status.v3.ClientStatusRequest. False and *err: it cannot be
 * read, or a matcher is none. */
MUST_CHECK bool client_status_request_read(struct bytes request, struct bytes node,
                                           struct client_status_request *out, struct error *err);
