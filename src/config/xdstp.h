/* Names of the form xdstp://AUTHORITY/TYPE/ID?KEY=VALUE&... (xDS TP1). Two that differ in the order
 * of their parameters alone are one name, and a collection is named with a star for the last part
 * of the ID. Pure. */
#pragma once

#include "base/arena.h"
#include "base/error.h"

bool xdstp_is(struct bytes name);
/* The same with its parameters in order, as it is asked for. Any other name stays as it is. */
struct bytes xdstp_canonical(struct arena *a, struct bytes name);
/* The collection that a resource of this name is one of; data NULL: of none. */
struct bytes xdstp_collection(struct arena *a, struct bytes name);
/* Is it the name of a collection of that type? */
MUST_CHECK bool xdstp_check_collection(struct bytes name, const char *type, struct error *err);
