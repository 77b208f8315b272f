/* struct csds_answer: one answer to a ClientStatusRequest (CSDS) in the making: what the store
 * holds of every resource, in slices, as JSON text or as the bytes of ClientStatusResponse. What is
 * private in a resource is hidden in both. A walk that spans updates may miss or repeat names.
 * The owner's; csds_answer_step() runs on the config thread while the owner waits. */
#pragma once

#include "admin/admin.h"
#include "base/error.h"

enum { CSDS_ANSWER_MAX = 256 << 20 }; /* bytes of an answer that must be whole */

struct csds_answer {
    struct admin *admin;
    bool json;
    struct strbuf request; /* bytes of the message, or JSON; empty: an empty message */
    struct strbuf out;     /* added to; the owner takes from it between steps */
    struct error err;      /* set: the request is refused */
    bool finished;
    /* its own: */
    bool begun, matches, exclude, any;
    unsigned type; /* enum resource_type */
    size_t from;
    unsigned looked_at; /* in this step, ... */
    size_t begun_at;    /* ... which found so much */
};

void csds_answer_init(struct csds_answer *c, struct admin *a, bool json);
void csds_answer_fini(struct csds_answer *c);
/* Goes on until there is ADMIN_SLICE more, or it is finished. */
void csds_answer_step(struct builder *b, struct csds_answer *c);
