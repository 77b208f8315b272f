/* struct bytes: a borrowed run of bytes, not NUL-terminated. It owns nothing: whoever made it says
 * how long the bytes live. Pure functions, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"

struct bytes {
    const char *data;
    size_t len;
};

#define BYTES(literal) ((struct bytes){"" literal, sizeof(literal) - 1})
#define BYTES_NONE ((struct bytes){NULL, 0})
/* for printf: printf("%.*s", BYTES_ARG(b)) */
#define BYTES_ARG(b) (int)(b).len, (b).data

static inline struct bytes bytes_of(const char *s)
{
    return (struct bytes){s, s ? strlen(s) : 0};
}

static inline struct bytes bytes_from(const char *data, size_t len)
{
    return (struct bytes){data, len};
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_eq_str(struct bytes a, const char *s)
{
    return bytes_eq(a, bytes_of(s));
}

/* ASCII only, as RFC 9110 field names and host names are compared. */
bool bytes_eq_nocase(struct bytes a, struct bytes b);
bool bytes_have_upper(struct bytes b);         /* a letter from A to Z */
int bytes_cmp(struct bytes a, struct bytes b); /* like memcmp, shorter first */
/* The same of two `struct bytes`, for qsort() and bsearch(). */
int bytes_order(const void *a, const void *b);
bool bytes_ends_with(struct bytes b, struct bytes suffix);
bool bytes_starts_with_nocase(struct bytes b, struct bytes prefix);
bool bytes_ends_with_nocase(struct bytes b, struct bytes suffix);
/* Offset of the first occurrence, or -1. */
static inline ptrdiff_t bytes_find_char(struct bytes b, char c)
{
    const char *p = b.len ? (const char *)memchr(b.data, c, b.len) : NULL;
    return p ? p - b.data : -1;
}
ptrdiff_t bytes_rfind_char(struct bytes b, char c);
size_t bytes_count_char(struct bytes b, char c);
ptrdiff_t bytes_find(struct bytes b, struct bytes needle);
ptrdiff_t bytes_find_nocase(struct bytes b, struct bytes needle);
/* b without its first n bytes; n is cut to b.len. */
static inline struct bytes bytes_skip(struct bytes b, size_t n)
{
    if (n > b.len)
        n = b.len;
    return (struct bytes){b.data ? b.data + n : NULL, b.len - n};
}
static inline struct bytes bytes_first(struct bytes b, size_t n)
{
    return (struct bytes){b.data, n < b.len ? n : b.len};
}
static inline bool bytes_starts_with(struct bytes b, struct bytes prefix)
{
    return b.len >= prefix.len && bytes_eq(bytes_first(b, prefix.len), prefix);
}
/* Removes spaces and tabs at both ends (OWS of RFC 9110 section 5.6.3). */
static inline struct bytes bytes_trim(struct bytes b)
{
    while (b.len && (b.data[0] == ' ' || b.data[0] == '\t'))
        b = bytes_skip(b, 1);
    while (b.len && (b.data[b.len - 1] == ' ' || b.data[b.len - 1] == '\t'))
        b.len--;
    return b;
}
/* Splits at the first `sep`: returns what is before it, and leaves what follows in *rest
 * (empty data == NULL when there was no separator). */
static inline struct bytes bytes_split(struct bytes *rest, char sep)
{
    struct bytes all = *rest;
    ptrdiff_t at = bytes_find_char(all, sep);
    *rest = at < 0 ? BYTES_NONE : bytes_skip(all, (size_t)at + 1);
    return at < 0 ? all : bytes_first(all, (size_t)at);
}
/* Decimal digits only, whole string, no sign, no overflow. False leaves *value. */
MUST_CHECK bool bytes_to_u64(struct bytes b, uint64_t *value);
/* Optional sign. */
MUST_CHECK bool bytes_to_i64(struct bytes b, int64_t *value);
MUST_CHECK bool bytes_to_double(struct bytes b, double *value);

/* 64-bit hash, seeded at process start against chosen-collision input (hash_seed in tests). */
uint64_t bytes_hash(struct bytes b);
uint64_t bytes_hash_seeded(struct bytes b, uint64_t seed);
void bytes_hash_set_seed(uint64_t seed);

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
/* What a hexadecimal digit of either case stands for; -1: it is none. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline char ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}
