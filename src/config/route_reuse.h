/* The parts of a route configuration that a new version keeps: children of the previous one whose
 * bytes are equal. Config thread. */
#pragma once

#include "base/bytes.h"
#include "config/route.h"

/* Children of one parent: route_ref or vhost_ref, which have the same layout. */
struct parts {
    struct bytes wire; /* of the parent */
    struct route_ref *refs;
    unsigned n;
};

/* How often a message has that field, and (in *rest, kept in out) the message without it. */
unsigned parts_count(struct bytes wire, uint32_t number, struct strbuf *out, struct bytes *rest);
/* Fills in where the children are, all NULL. False: the bytes are corrupt. */
MUST_CHECK bool parts_find(struct parts *p, uint32_t number);
/* Takes a reference on each child of `previous` that stands in p too. */
void parts_keep(struct parts *p, const struct parts *previous);
