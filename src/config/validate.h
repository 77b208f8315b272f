/* The API's own validation rules (validate.rules), applied to the bytes of a message and to all
 * that is in it, also inside an Any of a known type. Rules are compiled when a type is first seen,
 * and kept. All failures are reported, in Envoy's words after the field path:
 *     clusters[0].name: value length must be at least 1 characters
 * Runs on the thread of the descriptor pool. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "config/descriptors.h"
#include "config/source_text.h"

struct validator;

struct validator *validator_new(struct descriptors *d); /* d outlives it */
void validator_free(struct validator **v);

enum { VALIDATE_MAX_ERRORS = 50 };

/* Failures joined with "; ". Bytes that are no such message are a failure too. */
MUST_CHECK bool validate_message(struct validator *v, struct bytes message, struct bytes body,
                                 struct error *err);
/* The same for what was read from text: one failure a line, each with its position. */
MUST_CHECK bool validate_text(struct validator *v, struct bytes message, struct bytes body,
                              const struct source_text *text, struct error *err);
/* What one walk without a decoder is sure of: that validate_message() finds nothing, that
 * unsupported_scan() finds nothing. It may be less sure than they would be, never more. */
enum { SURELY_VALID = 1, SURELY_SUPPORTED = 2 };
unsigned validate_quick(struct validator *v, struct bytes message, struct bytes body);
/* How many rules of the types seen so far this code does not know: 0, as a test makes sure. */
size_t validator_unknown_rules(const struct validator *v);
