/* An Any as it is meant: a TypedStruct (udpa.type.v1, xds.type.v3) is turned into the message that
 * it names, everything else passes through. Used wherever an Any is read. Runs on the thread of the
 * descriptor pool. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "config/descriptors.h"

struct typed {
    struct bytes type_url;  /* of the message meant */
    struct bytes type_name; /* what follows the last '/' */
    struct bytes value;     /* its bytes */
};

/* Results point into the arguments or into the arena. A TypedStruct of a type that the API does not
 * have is left as it is: type_name is the TypedStruct's and `value` its bytes; typed_inner_url()
 * tells what it names. So is every one without descriptors (d NULL). */
MUST_CHECK bool typed_unwrap(struct descriptors *d, struct bytes type_url, struct bytes value,
                             struct arena *a, struct typed *out, struct error *err);
/* Bytes of a google.protobuf.Any. */
MUST_CHECK bool typed_unwrap_any(struct descriptors *d, struct bytes any, struct arena *a,
                                 struct typed *out, struct error *err);
bool typed_is_typed_struct(struct bytes type_url);
/* The type_url that a TypedStruct names; data NULL when the bytes are corrupt. */
struct bytes typed_inner_url(struct bytes value);
