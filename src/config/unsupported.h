/* Nothing is ignored in silence: the one table of what Xylem implements of the API
 * (support_table.inc), and the scan that finds in a resource what it does not. docs/xds-support.md
 * is generated from the same table. Pure but for the descriptor pool, whose thread it runs on. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/error.h"
#include "config/descriptors.h"
#include "config/field_report.h"

enum support {
    SUPPORT_FULL,   /* implemented: all values */
    SUPPORT_PART,   /* implemented but for what the note says; the decoder refuses the rest */
    SUPPORT_LIST,   /* not implemented; harmless, so accepted and listed */
    SUPPORT_REFUSE, /* not implemented; ignoring it would be unsafe: refused */
};

struct support_row {
    const char *message; /* full name */
    enum support support;
    const char *fields; /* proto names, joined by spaces; "*": all that no row names */
    const char *note;   /* one short sentence for the document; may be "" */
};

/* Sorted by message, ends with {NULL}. */
extern const struct support_row support_rows[];
/* Full names of the messages that are known as extensions (inside an Any); ends with NULL. */
extern const char *const support_extensions[];

/* Where a field that is implemented in part is not: what its path ends with; ends with NULL. */
extern const char *const support_places_without[];

bool support_extension_known(struct bytes type_name);
/* A field that no row names, or a message without rows: SUPPORT_LIST. */
enum support support_of(struct bytes message, struct bytes field);

/* Walks a resource, adds what is not implemented to the report: FIELD_IGNORED, FIELD_REFUSED, and
 * FIELD_UNKNOWN for field numbers that the API does not have; and what is deprecated. An Any of a
 * type that is no known extension is not entered: its decoder refuses it or not. False and *err
 * only when the bytes are corrupt. */
MUST_CHECK bool unsupported_scan(struct descriptors *d, struct bytes message, struct bytes body,
                                 struct field_report *report, struct error *err);
/* What strict mode and the refused class say about a report: false and *err name the paths. */
MUST_CHECK bool unsupported_check(const struct field_report *report, bool strict,
                                  struct error *err);
