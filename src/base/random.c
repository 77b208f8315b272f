#include "base/random.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t split_mix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void random_seed(struct random_source *r, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        r->s[i] = split_mix(&seed);
}

void random_seed_os(struct random_source *r)
{
    if (getrandom(r->s, sizeof(r->s), 0) != (ssize_t)sizeof(r->s))
        random_seed(r, (uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)r);
    r->s[0] |= 1; /* the all-zero state is the one that never moves */
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256**, by Blackman and Vigna. */
uint64_t random_u64(struct random_source *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t random_below(struct random_source *r, uint64_t n)
{
    CHECK(n > 0);
    return (uint64_t)(((__uint128_t)random_u64(r) * n) >> 64);
}

/* Eight hexadecimal digits, one for each nibble, whatever their order. */
static void put_hex(char out[8], uint32_t v)
{
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t x = v, letters;
    x = (x | x << 16) & 0x0000ffff0000ffffull;
    x = (x | x << 8) & 0x00ff00ff00ff00ffull;
    x = (x | x << 4) & (ones * 0x0f);
    letters = (x + ones * 6) >> 4 & ones; /* 1 where the digit is from 10 on */
    x += ones * '0' + letters * ('a' - '0' - 10);
    memcpy(out, &x, 8);
}

void random_uuid4(struct random_source *r, char out[37])
{
    uint64_t hi = random_u64(r), lo = random_u64(r);
    char hex[32];
    put_hex(hex, (uint32_t)hi);
    put_hex(hex + 8, (uint32_t)(hi >> 32));
    put_hex(hex + 16, (uint32_t)lo);
    put_hex(hex + 24, (uint32_t)(lo >> 32));
    hex[12] = '4';
    hex[16] = "89ab"[random_u64(r) >> 62];
    memcpy(out, hex, 8);
    memcpy(out + 9, hex + 8, 4);
    memcpy(out + 14, hex + 12, 4);
    memcpy(out + 19, hex + 16, 4);
    memcpy(out + 24, hex + 20, 12);
    out[8] = out[13] = out[18] = out[23] = '-';
    out[36] = '\0';
}
