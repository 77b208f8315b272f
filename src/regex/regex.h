/* struct regex: a compiled RE2 pattern, behind a C face. Linear time whatever the pattern and the
 * text. Bytes are Latin-1: a byte of 0x80 or more is one character that `.` and negated classes
 * match, so that text which is not UTF-8 can never slip past a rule. Compiling is for the config
 * thread; a compiled regex is const and may be matched by any number of threads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct regex;

/* The size of the compiled program that Envoy allows unless its runtime says otherwise
 * (re2.max_program_size.error_level). */
#define REGEX_PROGRAM_SIZE_DEFAULT 100
#define REGEX_PROGRAM_SIZE_ANY UINT32_MAX

/* A pattern of the configuration. NULL and *err when RE2 refuses it or when its program is larger
 * than the default allows, in Envoy's words. */
struct regex *regex_new(struct bytes pattern, struct error *err);
/* The same with another limit; patterns of an operator (admin filters) have none. */
struct regex *regex_new_limited(struct bytes pattern, uint32_t max_program_size, struct error *err);
void regex_free(struct regex **re);

struct bytes regex_pattern(const struct regex *re); /* as it was given; lives as long as re */
unsigned regex_group_count(const struct regex *re); /* capturing groups, group 0 not counted */
size_t regex_program_size(const struct regex *re);

bool regex_full_match(const struct regex *re, struct bytes text);
bool regex_partial_match(const struct regex *re, struct bytes text);
/* Partial match; fills groups[0..n-1] (group 0: the whole match) with parts of text; data NULL
 * where a group took no part. */
bool regex_captures(const struct regex *re, struct bytes text, struct bytes *groups, unsigned n);

/* A substitution of RegexMatchAndSubstitute: \0 to \9 are groups, \\ is a backslash. */
MUST_CHECK bool regex_check_substitution(const struct regex *re, struct bytes substitution,
                                         struct error *err);
/* Replaces every match that does not overlap, from left to right, and adds the result to out.
 * Returns the number of replacements; with 0 the text is added unchanged. */
size_t regex_replace_all(const struct regex *re, struct bytes text, struct bytes substitution,
                         struct strbuf *out);

#ifdef __cplusplus
}
#endif
