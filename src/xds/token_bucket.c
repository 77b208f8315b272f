#include "xds/token_bucket.h"

#include "base/clock.h"

enum { WAIT_MAX_MS = 24 * 60 * 60 * 1000 }; /* then it is asked again */

void token_bucket_init(struct token_bucket *b, uint32_t max, double per_second, uint64_t now_ns)
{
    *b = (struct token_bucket){
        .max = max, .per_second = per_second, .tokens = max, .filled_ns = now_ns};
}

static void fill(struct token_bucket *b, uint64_t now_ns)
{
    double seconds = (double)(now_ns - b->filled_ns) / (double)NS_PER_S;
    b->tokens += seconds * b->per_second;
    if (b->tokens > b->max)
        b->tokens = b->max;
    b->filled_ns = now_ns;
}

bool token_bucket_take(struct token_bucket *b, uint64_t now_ns)
{
    if (b->per_second == 0)
        return true;
    fill(b, now_ns);
    if (b->tokens < 1)
        return false;
    b->tokens -= 1;
    return true;
}

uint64_t token_bucket_wait_ms(const struct token_bucket *b)
{
    double ms = (1 - b->tokens) / b->per_second * 1000;
    if (ms > WAIT_MAX_MS)
        return WAIT_MAX_MS;
    return ms < 1 ? 1 : (uint64_t)ms + 1;
}
