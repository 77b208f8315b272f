#include "base/xxhash64.h"

#include <string.h>

#define PRIME_1 UINT64_C(0x9E3779B185EBCA87)
#define PRIME_2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME_3 UINT64_C(0x165667B19E3779F9)
#define PRIME_4 UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME_5 UINT64_C(0x27D4EB2F165667C5)

enum { STRIPE = 32, LANES = 4 };

static uint64_t rotate(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

/* Little-endian, whatever the machine. */
static uint64_t load(const char *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)(unsigned char)p[i] << 8 * i;
    return v;
}

static uint64_t mix(uint64_t lane, uint64_t input)
{
    return rotate(lane + input * PRIME_2, 31) * PRIME_1;
}

/* The whole stripes; *p moves behind them. */
static uint64_t stripes(const char **p, const char *end)
{
    uint64_t lanes[LANES] = {PRIME_1 + PRIME_2, PRIME_2, 0, UINT64_C(0) - PRIME_1};
    for (; end - *p >= STRIPE; *p += STRIPE) {
        for (unsigned i = 0; i < LANES; i++)
            lanes[i] = mix(lanes[i], load(*p + 8 * i, 8));
    }
    uint64_t h =
        rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
    for (unsigned i = 0; i < LANES; i++)
        h = (h ^ mix(0, lanes[i])) * PRIME_1 + PRIME_4;
    return h;
}

uint64_t xxhash64(struct bytes data)
{
    const char *p = data.len ? data.data : "", *end = p + data.len;
    uint64_t h = data.len >= STRIPE ? stripes(&p, end) : PRIME_5;
    h += data.len;
    for (; end - p >= 8; p += 8)
        h = rotate(h ^ mix(0, load(p, 8)), 27) * PRIME_1 + PRIME_4;
    if (end - p >= 4) {
        h = rotate(h ^ load(p, 4) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        p += 4;
    }
    for (; p < end; p++)
        h = rotate(h ^ load(p, 1) * PRIME_5, 11) * PRIME_1;
    h = (h ^ h >> 33) * PRIME_2;
    h = (h ^ h >> 29) * PRIME_3;
    return h ^ h >> 32;
}
