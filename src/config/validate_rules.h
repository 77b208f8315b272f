/* The validation rules of one message type, compiled from the options of its descriptor, which they
 * outlive: fields and oneofs are numbers here. Private to validate*.c. */
#pragma once

#include <stdbool.h>
#include <upb/def.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "config/descriptors.h"
#include "regex/regex.h"

/* long double: holds every 64-bit integer exactly on the platforms that matter; durations are in
 * seconds. */
struct number_rules {
    bool has_const, has_lt, has_lte, has_gt, has_gte;
    long double constant, lt, lte, gt, gte; /* constant: of a bool */
    const long double *not_in;              /* of an enum */
    size_t n_not_in;
};

struct text_rules {
    uint64_t min, max, min_bytes, max_bytes; /* max: UINT64_MAX none */
    struct regex *pattern, *well_known;
    const char *well_known_text;
    struct bytes pattern_text, prefix, suffix; /* data NULL: none */
    const struct bytes *in;
    size_t n_in;
};

enum rules_kind {
    RULES_NONE,
    RULES_NUMBER,
    RULES_DURATION,
    RULES_BOOL,
    RULES_ENUM,
    RULES_TEXT,
    RULES_BYTES,
    RULES_ANY
};

struct value_rules {
    enum rules_kind kind;
    bool ignore_empty;
    bool defined_only;           /* enum */
    bool skip;                   /* message: what is in it is not looked at */
    struct number_rules *number; /* never NULL; most have none, and share that */
    struct text_rules *text;
};

struct field_rules {
    uint32_t number;
    bool required;
    bool disallowed;
    bool unique;
    uint64_t min_items, max_items;
    struct value_rules value; /* of the field, or of each item, or of each map value */
    struct value_rules key;   /* of a map */
};

struct message_rules {
    struct field_rules *fields; /* only those with rules, or with messages inside */
    size_t n_fields;
    uint32_t *required_oneofs; /* which of the message's */
    size_t n_required_oneofs;
    bool disabled; /* validate.disabled or validate.ignored */
};

/* In the arena. *unknown counts rules that this code does not know. Regular expressions are freed
 * by message_rules_fini(). */
struct message_rules *message_rules_compile(const upb_MessageDef *m, struct arena *a,
                                            size_t *unknown);
void message_rules_fini(struct message_rules *rules);
