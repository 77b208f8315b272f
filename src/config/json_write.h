/* Messages as JSON, as Envoy's admin pages print them: proto field names, @type inside an expanded
 * Any, 64-bit integers as strings, enums by name. Output is added to a strbuf: one resource at a
 * time is the natural slice. An Any that is unknown or corrupt is printed as
 * {"@type": ..., "value": base64} and spoils only itself. Map keys are sorted. Runs on the thread
 * of the descriptor pool. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "config/descriptors.h"
#include "config/field_report.h"

struct json_write_options {
    bool defaults;               /* print fields that have their default value (/server_info) */
    bool compact;                /* no line ends and no indentation */
    bool redact;                 /* hide fields marked as sensitive, also inside an Any */
    unsigned depth;              /* indentation where the text will stand; not on its first line */
    struct field_report *report; /* unknown field numbers, by path; NULL: not wanted */
};

MUST_CHECK bool json_write(struct descriptors *d, struct bytes message, struct bytes body,
                           const struct json_write_options *options, struct strbuf *out,
                           struct error *err);
/* Never fails: see above. */
void json_write_any(struct descriptors *d, struct bytes type_url, struct bytes value,
                    const struct json_write_options *options, struct strbuf *out);

/* Adds to out the bytes of the message without what the mask does not name. mask: paths joined by
 * commas ("cluster.name,last_updated"), snake_case or lowerCamelCase; they may enter an Any of a
 * known type, but nothing repeated. False and *err: a path that the message cannot have. */
MUST_CHECK bool field_mask_prune(struct descriptors *d, struct bytes message, struct bytes mask,
                                 struct bytes body, struct strbuf *out, struct error *err);
