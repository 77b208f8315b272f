/* Decimal digits without printf, for what is written with each request. Pure functions, any
 * thread. */
#pragma once

#include <stdint.h>
#include <string.h>

enum { DIGITS_U64_MAX = 20 };

/* Returns how many were written; no NUL follows. */
static inline unsigned digits_u64(char out[DIGITS_U64_MAX], uint64_t value)
{
    char digits[DIGITS_U64_MAX];
    unsigned at = DIGITS_U64_MAX;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    memcpy(out, digits + at, DIGITS_U64_MAX - at);
    return DIGITS_U64_MAX - at;
}

/* The last n digits, with zeros before them. Returns what follows. */
static inline char *digits_fixed(char *out, unsigned value, unsigned n)
{
    for (unsigned i = n; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + n;
}
