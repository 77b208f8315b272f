/* struct field_report: what a resource says that Xylem does not act on, by field path: unknown
 * fields, fields that are not implemented, deprecated ones. Bounded: beyond FIELD_REPORT_MAX
 * entries only the counts grow. One thread; owned by whoever declared it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/strbuf.h"

enum field_class {
    FIELD_UNKNOWN,    /* neither name nor number is in the API that we know */
    FIELD_IGNORED,    /* known, not implemented, harmless: accepted and listed */
    FIELD_REFUSED,    /* known, not implemented, and ignoring it would be unsafe: NACK */
    FIELD_DEPRECATED, /* known and deprecated; implemented or not */
    /* Beside the FIELD_UNKNOWN of a message, once: the path tells which message, within which, has
     * which of them: what statistics tell apart */
    FIELD_UNKNOWN_SET,
    FIELD_CLASS_COUNT
};

struct field_entry {
    enum field_class class;
    char *path;   /* static_resources.clusters[0].lb_subset_config */
    char *detail; /* why, or where (file:line:col); may be "" */
};

enum { FIELD_REPORT_MAX = 1000 };

struct field_report {
    struct field_entry *entries;
    size_t n, cap;
    size_t counts[FIELD_CLASS_COUNT]; /* all, also beyond the bound */
};

#define FIELD_REPORT_INIT                                                                          \
    {                                                                                              \
        0                                                                                          \
    }

void field_report_add(struct field_report *r, enum field_class class, struct bytes path,
                      const char *detail);
/* Adds the entries of another but those of a class. */
void field_report_take(struct field_report *r, const struct field_report *from,
                       enum field_class but);
void field_report_fini(struct field_report *r);
const char *field_class_name(enum field_class class); /* "unknown", "ignored", ... */
/* Adds the entries of a class, "path (detail)", joined with sep; at most max of them. */
void field_report_join(const struct field_report *r, enum field_class class, const char *sep,
                       size_t max, struct strbuf *out);
