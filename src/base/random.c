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

void random_uuid4(struct random_source *r, char out[37])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char b[16];
    uint64_t hi = random_u64(r), lo = random_u64(r);
    memcpy(b, &hi, 8);
    memcpy(b + 8, &lo, 8);
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    char *p = out;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[b[i] >> 4];
        *p++ = hex[b[i] & 15];
    }
    *p = '\0';
}
