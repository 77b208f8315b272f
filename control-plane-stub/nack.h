/* A NACK in words: which resource, which field, why. Pure. */
#pragma once

#include "text.h"

struct nack_part {
    char *resource; /* NULL when the message names none that we know */
    char *field;    /* NULL when the message holds no field path */
    char *reason;
};

/* Take the next complaint off an error_detail's message (one line, or a line with the dump of a
 * message that Envoy puts into it); `names` are the resources that were sent. false at the end. */
bool nack_next(const char **message, struct nack_part *out, const char *const *names,
               size_t name_count);
void nack_part_fini(struct nack_part *p);
