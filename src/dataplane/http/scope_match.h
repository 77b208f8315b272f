/* Which scope serves a request, by the key that a connection manager makes of its headers
 * (config/scoped_routes.h). Pure; worker thread; allocates only in the headers' arena. */
#pragma once

#include "config/scoped_routes.h"
#include "dataplane/http/headers.h"

/* NULL: no key can be made, or no scope has it. t may be NULL. */
const struct scope_entry *scope_match(const struct scoped_routes *s, const struct scope_table *t,
                                      const struct headers *h);
