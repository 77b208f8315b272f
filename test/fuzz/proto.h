/* Messages of the API, changed and made up by what the descriptors say, so that a mutation stays a
 * message: a field more or less, a value of a small vocabulary, an Any of a known type. */
#pragma once

#include "config/descriptors.h"
#include "fuzz.h"

enum { PROTO_DEPTH_MAX = 12 };

/* Adds the bytes of a made-up message; deeper than PROTO_DEPTH_MAX: nothing. */
void proto_generate(struct descriptors *d, struct random_source *r, struct bytes message,
                    struct strbuf *out);
/* Adds the message with one or a few changes. */
void proto_mutate(struct descriptors *d, struct random_source *r, struct bytes message,
                  struct bytes wire, struct strbuf *out);
