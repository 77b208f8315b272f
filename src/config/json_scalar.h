/* Single values of proto3 JSON as text: numbers, base64, durations, timestamps, field masks. Pure
 * functions, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/strbuf.h"

/* What an unquoted scalar of YAML 1.1 means, as Envoy's reader takes it. */
bool yaml_scalar_is_bool(struct bytes text, bool *value);   /* yes, No, TRUE, on, ... */
bool yaml_scalar_is_int(struct bytes text, int64_t *value); /* 12, -3, 0x1f, 017 */

/* Decimal, or a number with fraction or exponent whose value is an integer ("1e3", "2.0"). */
MUST_CHECK bool json_scalar_i64(struct bytes text, int64_t *value);
MUST_CHECK bool json_scalar_u64(struct bytes text, uint64_t *value);
/* Also NaN, Infinity, -Infinity. */
MUST_CHECK bool json_scalar_double(struct bytes text, double *value);
/* Standard or URL alphabet, padding optional. Adds the bytes. */
MUST_CHECK bool json_scalar_base64(struct bytes text, struct strbuf *out);
/* "1.5s", "-0.25s"; up to 9 digits, 10,000 years. */
MUST_CHECK bool json_scalar_duration(struct bytes text, int64_t *seconds, int32_t *nanos);
/* RFC 3339, years 1 to 9999. */
MUST_CHECK bool json_scalar_timestamp(struct bytes text, int64_t *seconds, int32_t *nanos);
/* lowerCamelCase to snake_case; snake_case stays. */
void json_scalar_snake(struct bytes text, struct strbuf *out);
void json_scalar_camel(struct bytes text, struct strbuf *out);

/* The other way: numbers read back equal, strings get their quotes; all as libprotobuf does. */
void json_scalar_add_string(struct strbuf *out, struct bytes text);
void json_scalar_add_double(struct strbuf *out, double value);
void json_scalar_add_float(struct strbuf *out, float value);
void json_scalar_add_base64(struct strbuf *out, struct bytes b);
/* False: out of the range that JSON allows. */
MUST_CHECK bool json_scalar_add_duration(struct strbuf *out, int64_t seconds, int32_t nanos);
MUST_CHECK bool json_scalar_add_timestamp(struct strbuf *out, int64_t seconds, int32_t nanos);
