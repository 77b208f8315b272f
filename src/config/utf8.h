/* UTF-8 as protobuf demands it of string fields: shortest forms, no surrogates, up to U+10FFFF.
 * Pure functions, any thread. */
#pragma once

#include "base/bytes.h"

/* Offset of the first byte that is not valid UTF-8; b.len when all is well. */
size_t utf8_check(struct bytes b);
/* Number of code points of valid text. */
size_t utf8_length(struct bytes b);
/* The first code point; returns its bytes, 0 when they are not valid. */
size_t utf8_decode(struct bytes b, uint32_t *code);
/* Writes 1 to 4 bytes, returns how many. */
size_t utf8_encode(uint32_t code, char out[4]);
