/* What a browser may ask of the admin pages, which have no authentication: a page of another site
 * must not change anything, and a name that some site points at this machine must not read.
 * Programs send neither Origin nor Sec-Fetch-Site, and are not concerned. Pure. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

struct admin_caller {
    struct bytes method, host;
    struct bytes origin, fetch_site; /* data NULL: no such header */
    bool loopback;                   /* the connection comes from this machine */
};

/* NULL: go on; else the body of the answer 403. */
const char *admin_guard(const struct admin_caller *c);
