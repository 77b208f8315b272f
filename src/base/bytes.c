#include "base/bytes.h"

#include <stdlib.h>

bool bytes_eq_nocase(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    }
    return true;
}

bool bytes_have_upper(struct bytes b)
{
    const uint64_t ones = 0x0101010101010101ull, high = 0x8080808080808080ull;
    const char *p = b.data, *end = b.len ? p + b.len : p; /* NULL may be no part of a sum */
    for (; end - p >= 8; p += 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        uint64_t low = x & ~high;
        if ((low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~x & high)
            return true;
    }
    for (; p < end; p++) {
        if (*p >= 'A' && *p <= 'Z')
            return true;
    }
    return false;
}

int bytes_cmp(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    if (c)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

int bytes_order(const void *a, const void *b)
{
    return bytes_cmp(*(const struct bytes *)a, *(const struct bytes *)b);
}

bool bytes_ends_with(struct bytes b, struct bytes suffix)
{
    return b.len >= suffix.len && bytes_eq(bytes_skip(b, b.len - suffix.len), suffix);
}

bool bytes_starts_with_nocase(struct bytes b, struct bytes prefix)
{
    return b.len >= prefix.len && bytes_eq_nocase(bytes_first(b, prefix.len), prefix);
}

bool bytes_ends_with_nocase(struct bytes b, struct bytes suffix)
{
    return b.len >= suffix.len && bytes_eq_nocase(bytes_skip(b, b.len - suffix.len), suffix);
}

size_t bytes_count_char(struct bytes b, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < b.len; i++)
        n += b.data[i] == c;
    return n;
}

ptrdiff_t bytes_rfind_char(struct bytes b, char c)
{
    const char *p = b.len ? memrchr(b.data, c, b.len) : NULL;
    return p ? p - b.data : -1;
}

ptrdiff_t bytes_find(struct bytes b, struct bytes needle)
{
    if (needle.len == 0)
        return 0;
    const char *p = b.len ? memmem(b.data, b.len, needle.data, needle.len) : NULL;
    return p ? p - b.data : -1;
}

ptrdiff_t bytes_find_nocase(struct bytes b, struct bytes needle)
{
    if (needle.len == 0)
        return 0;
    for (size_t i = 0; i + needle.len <= b.len; i++) {
        if (bytes_eq_nocase(bytes_from(b.data + i, needle.len), needle))
            return (ptrdiff_t)i;
    }
    return -1;
}

bool bytes_to_u64(struct bytes b, uint64_t *value)
{
    enum { ALWAYS_FITS = 19 };
    uint64_t v = 0;
    unsigned digit;
    if (b.len == 0)
        return false;
    const char *p = b.data, *end = p + b.len;
    const char *near = b.len > ALWAYS_FITS ? p + ALWAYS_FITS : end;
    for (; p < near && (digit = (unsigned char)*p - (unsigned)'0') <= 9; p++)
        v = v * 10 + digit;
    for (; p < end; p++) {
        digit = (unsigned char)*p - (unsigned)'0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *value = v;
    return true;
}

bool bytes_to_i64(struct bytes b, int64_t *value)
{
    bool negative = b.len && b.data[0] == '-';
    uint64_t v;
    if (b.len && (b.data[0] == '-' || b.data[0] == '+'))
        b = bytes_skip(b, 1);
    if (!bytes_to_u64(b, &v) || v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *value = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool bytes_to_double(struct bytes b, double *value)
{
    char text[64], *end;
    if (b.len == 0 || b.len >= sizeof(text) || (unsigned char)b.data[0] <= ' ')
        return false; /* strtod would skip white space */
    memcpy(text, b.data, b.len);
    text[b.len] = '\0';
    double v = strtod(text, &end);
    if (end != text + b.len)
        return false;
    *value = v;
    return true;
}

static uint64_t hash_seed = 0x9e3779b97f4a7c15ull;

void bytes_hash_set_seed(uint64_t seed)
{
    hash_seed = seed;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t load64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t load_tail(const char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

/* Multiply-and-fold over 16-byte steps. A factor of zero would cancel the state, so both factors
 * are masked with what follows from the seed: who does not know it cannot choose that zero. */
uint64_t bytes_hash_seeded(struct bytes b, uint64_t seed)
{
    const uint64_t k0 = 0xa0761d6478bd642full, k1 = 0xe7037ed1a0b428dbull;
    const uint64_t secret = mix(seed ^ k1, k0);
    const char *p = b.data;
    size_t n = b.len;
    uint64_t h = seed ^ k0;
    for (; n >= 16; p += 16, n -= 16)
        h = mix(load64(p) ^ secret, load64(p + 8) ^ h);
    uint64_t lo = 0, hi = 0;
    if (n > 8) {
        lo = load64(p);
        hi = load_tail(p + 8, n - 8);
    } else if (n) {
        lo = load_tail(p, n);
    }
    return mix(k1 ^ b.len, mix(lo ^ secret, hi ^ h) ^ secret);
}

uint64_t bytes_hash(struct bytes b)
{
    return bytes_hash_seeded(b, hash_seed);
}
