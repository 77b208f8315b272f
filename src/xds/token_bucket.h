/* struct token_bucket: how many requests a stream may send (rule T06). Starts full. Pure: time is
 * the caller's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
    double max, per_second, tokens;
    uint64_t filled_ns; /* when `tokens` was right */
};

/* per_second 0: there is no limit. */
void token_bucket_init(struct token_bucket *b, uint32_t max, double per_second, uint64_t now_ns);
/* False: there is none now. */
bool token_bucket_take(struct token_bucket *b, uint64_t now_ns);
/* Milliseconds until there is one, rounded up; at least 1. */
uint64_t token_bucket_wait_ms(const struct token_bucket *b);
