/* What there is to look at in one message type, compiled once: for each field number its form on
 * the wire, its rules, and whether it is implemented. It outlives the descriptors that it was made
 * from, which rest (descriptors.h). Private to validate*.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "config/descriptors.h"
#include "config/validate_rules.h"

enum plan_kind {
    PLAN_SCALAR,  /* numbers and enums */
    PLAN_TEXT,    /* string */
    PLAN_BYTES,   /* bytes */
    PLAN_MESSAGE, /* looked into */
    PLAN_OPAQUE,  /* looked into for its form alone: Struct, Timestamp, ... */
    PLAN_WRAPPER, /* UInt32Value, ...: `inner` is its value */
    PLAN_DURATION,
    PLAN_ANY,
    PLAN_MAP,
};

enum { PLAN_MAX_FIELDS = 128, PLAN_MAX_COUNTED = 8, PLAN_MAX_DIRECT = 256 };

struct plan;
struct validator;

struct plan_field {
    uint32_t number;
    uint8_t kind;  /* enum plan_kind */
    uint8_t type;  /* upb_FieldType; of a wrapper: of its value */
    uint8_t wire;  /* enum wire_type of one value; of a wrapper's value too */
    uint8_t oneof; /* 1 + its index; 0: in none */
    bool repeated;
    bool disallowed;
    bool listed;                     /* not implemented or deprecated: refused or told of */
    uint8_t counted;                 /* 1 + where its values are counted; 0: nowhere */
    const struct value_rules *rules; /* of a value; NULL: none */
    const struct field_rules *list;  /* where values are counted */
    const char *sub;                 /* messages: the full name */
    const int32_t *names;            /* enums of which no other value is allowed: their values */
    uint32_t n_names;
    struct plan *plan; /* of sub; made when it is first needed */
};

struct plan {
    struct plan_field *fields;
    uint8_t *direct; /* by number below n_direct: 1 + the field; 0: there is none */
    uint32_t n_direct;
    uint8_t n_fields, n_counted;
    bool odd;            /* not to be judged here */
    bool disabled;       /* its values have no rules */
    bool entry;          /* of a map */
    bool extension;      /* implemented as one */
    uint64_t must[2];    /* fields that must be there */
    uint64_t must_oneof; /* and one of each of these */
};

/* All in the arena, which is never reset. rules: of m. */
struct plan *plan_compile(struct arena *a, const struct upb_MessageDef *m,
                          const struct message_rules *rules);
/* Do the rules allow the value, whatever the message around it? value: as it is on the wire. */
bool plan_number_ok(const struct plan_field *f, uint64_t value);
bool plan_text_ok(const struct plan_field *f, struct bytes text);
/* Rules for a number that is known already: seconds. */
bool plan_range_ok(const struct value_rules *r, long double value);

/* The walk (validate_quick.c); v outlives it. */
struct quick;
struct quick *quick_new(struct descriptors *d, struct validator *v);
void quick_free(struct quick **q);
unsigned quick_check(struct quick *q, struct bytes message, struct bytes body);
/* The validator's, kept by it. */
const struct message_rules *validator_rules(struct validator *v, const struct upb_MessageDef *m);
