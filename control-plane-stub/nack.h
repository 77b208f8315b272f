/* A NACK in words: which resource, which field, why. Pure. */
#pragma once

#include "text.h"

struct nack_part {
    char *resource; /* NULL when the message names none that we know */
    char *field;    /* NULL when the message holds no field path */
    char *reason;
};

/* Take one line of an error_detail apart; `names` are the resources that were sent. */
void nack_parse(struct nack_part *out, const char *line, size_t len, const char *const *names,
                size_t name_count);
void nack_part_fini(struct nack_part *p);
