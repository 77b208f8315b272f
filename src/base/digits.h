/* Decimal digits without printf, for what is written with each request. Pure functions, any
 * thread. */
#pragma once

#include <stdint.h>

enum { DIGITS_U64_MAX = 20 };

static inline unsigned digits_count(uint64_t value)
{
    for (unsigned n = 1;; n += 4, value /= 10000) {
        if (value < 10)
            return n;
        if (value < 100)
            return n + 1;
        if (value < 1000)
            return n + 2;
        if (value < 10000)
            return n + 3;
    }
}

/* Returns how many were written; no NUL follows. */
static inline unsigned digits_u64(char out[DIGITS_U64_MAX], uint64_t value)
{
    unsigned n = digits_count(value);
    for (unsigned i = n; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return n;
}

/* The last n digits, with zeros before them. Returns what follows. */
static inline char *digits_fixed(char *out, unsigned value, unsigned n)
{
    for (unsigned i = n; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + n;
}
