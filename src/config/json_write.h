/* Messages as JSON, as Envoy's admin pages print them: proto field names, @type inside an expanded
 * Any, 64-bit integers as strings, enums by name. Output is appended to a strbuf: one resource at a
 * time is the natural slice. An Any that is unknown or corrupt is printed as
 * {"@type": ..., "value": base64} and spoils only itself. Runs on the thread of the descriptor pool. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "config/descriptors.h"
#include "config/field_report.h"

struct json_write_options {
    bool defaults;               /* print fields that have their default value (/server_info) */
    bool compact;                /* no line ends and no indentation */
    bool redact;                 /* hide fields marked as sensitive, also inside Any */
    unsigned depth;              /* indentation at which the text will stand; the first line has none */
    struct field_report *report; /* unknown field numbers, by path; NULL: not wanted */
};

MUST_CHECK bool json_write(struct descriptors *d, struct bytes message, struct bytes body,
                           const struct json_write_options *options, struct strbuf *out,
                           struct error *err);
/* Never fails: see above. */
void json_write_any(struct descriptors *d, struct bytes type_url, struct bytes value,
                    const struct json_write_options *options, struct strbuf *out);

/* A field mask: comma-separated paths ("static_clusters.cluster.name,version_info"), snake_case or
 * lowerCamelCase. False and *err: a path names no field of the message. Beyond an Any or a repeated
 * field Envoy does not look: a path that goes into one is an error. */
MUST_CHECK bool field_mask_check(struct descriptors *d, struct bytes message, struct bytes mask,
                                 struct error *err);
/* Appends to out the message's bytes without what the mask does not name. */
MUST_CHECK bool field_mask_prune(struct descriptors *d, struct bytes message, struct bytes mask,
                                 struct bytes body, struct strbuf *out, struct error *err);
