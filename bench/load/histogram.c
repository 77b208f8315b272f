#include "load/histogram.h"

/* Values below 2 * SUB have a bucket each; above, SUB buckets for each power of two. */
static unsigned bucket_of(uint64_t v)
{
    if (v < 2 * HISTOGRAM_SUB)
        return (unsigned)v;
    unsigned shift = 63 - (unsigned)__builtin_clzll(v) - 10;
    unsigned bucket = shift * HISTOGRAM_SUB + (unsigned)(v >> shift);
    unsigned last = HISTOGRAM_POWERS * HISTOGRAM_SUB - 1;
    return bucket < last ? bucket : last;
}

static uint64_t highest_of(unsigned bucket)
{
    if (bucket < 2 * HISTOGRAM_SUB)
        return bucket;
    unsigned shift = bucket / HISTOGRAM_SUB - 1;
    return (((uint64_t)(bucket % HISTOGRAM_SUB) + HISTOGRAM_SUB + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += (double)value;
    if (value > h->max)
        h->max = value;
    h->buckets[bucket_of(value)]++;
}

uint64_t histogram_at(const struct histogram *h, double part)
{
    uint64_t want = (uint64_t)(part * (double)h->count + 0.9999999), seen = 0;
    if (want == 0)
        want = 1;
    for (unsigned i = 0; i < HISTOGRAM_POWERS * HISTOGRAM_SUB; i++) {
        seen += h->buckets[i];
        if (seen >= want && h->count)
            return highest_of(i) < h->max ? highest_of(i) : h->max;
    }
    return h->max;
}
