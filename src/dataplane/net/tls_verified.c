#include "dataplane/net/tls_verified.h"

#include <string.h>

#include "base/memory.h"
#include "base/stats.h"

struct verified {
    uint8_t key[TLS_VERIFIED_KEY];
    int64_t from, until; /* until 0: free */
};

static struct verified *tables[STAT_THREADS_MAX];

/* Keys are digests: any of their bits do. */
static unsigned place_of(const uint8_t key[TLS_VERIFIED_KEY])
{
    return key[0] % TLS_VERIFIED_MAX;
}

bool tls_verified_has(unsigned slot, const uint8_t key[TLS_VERIFIED_KEY], int64_t now)
{
    const struct verified *v = slot < STAT_THREADS_MAX ? tables[slot] : NULL;
    if (!v)
        return false;
    v += place_of(key);
    return v->from <= now && now < v->until && memcmp(v->key, key, TLS_VERIFIED_KEY) == 0;
}

void tls_verified_add(unsigned slot, const uint8_t key[TLS_VERIFIED_KEY], int64_t from,
                      int64_t until)
{
    if (slot >= STAT_THREADS_MAX)
        return;
    if (!tables[slot])
        tables[slot] = mem_zalloc(TLS_VERIFIED_MAX * sizeof(*tables[slot]));
    struct verified *v = tables[slot] + place_of(key);
    memcpy(v->key, key, TLS_VERIFIED_KEY);
    v->from = from;
    v->until = until;
}
