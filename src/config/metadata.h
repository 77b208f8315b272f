/* envoy.config.core.v3.Metadata as it stands in the wire format: what hosts and clusters keep of
 * theirs. Pure functions without an allocation but where an arena is given; any bytes are safe, any
 * thread. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/strbuf.h"

/* What load balancing calls its part. */
#define METADATA_LB BYTES("envoy.lb")

/* The google.protobuf.Struct of one filter; data NULL: none. */
struct bytes metadata_filter(struct bytes metadata, struct bytes filter);
/* The google.protobuf.Value of a field; data NULL: none. */
struct bytes metadata_field(struct bytes body, struct bytes key);
bool metadata_is_true(struct bytes value);
/* Does a Struct have every field of another, with an equal value, or in its place a list that has
 * one? */
bool metadata_has_all(struct bytes body, struct bytes labels);
/* metadata_text.c: adds what path leads to, the name of a filter first: its Struct, or the Value of
 * a field of it. As JSON, with the keys of objects in order, but for a string, which stands bare
 * unless json asks for its quotes too. False, and nothing added: there is none, or it is null. */
bool metadata_add(struct strbuf *out, struct bytes metadata, const struct bytes *path,
                  unsigned n_path, bool json, struct arena *scratch);
/* As short as it reads back equal; what no number of JSON can be is null. */
void metadata_add_number(struct strbuf *out, double number);
