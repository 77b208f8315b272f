/* What a resource says and Xylem does not act on, as an element of a list in JSON: found anew in
 * the bytes that run, so that nothing is kept for it and it is never out of date. Config thread. */
#pragma once

#include "config/builder.h"
#include "config/field_report.h"

struct descriptors;
struct json_out;

/* Writes nothing when the resource has no such field. Returns whether something was written. */
bool dump_ignored_resource(struct descriptors *d, const struct resource_view *v,
                           struct json_out *j);
/* The same for the bootstrap, from what was reported when it was loaded. */
bool dump_ignored_bootstrap(const struct field_report *r, uint64_t wall_ns, struct json_out *j);
