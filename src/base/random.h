/* Random numbers for load balancing, jitter and request ids: fast, seedable, not for keys. One
 * generator a thread (each worker owns one); tests give a fixed seed. */
#pragma once

#include <stdint.h>

#include "base/check.h"

struct random_source {
    uint64_t s[4];
};

void random_seed(struct random_source *r, uint64_t seed);
/* Seeds from the kernel. */
void random_seed_os(struct random_source *r);
uint64_t random_u64(struct random_source *r);
/* Uniform in [0, n), n > 0. */
uint64_t random_below(struct random_source *r, uint64_t n);
/* A version 4 UUID in lower case, 36 characters and a NUL. */
void random_uuid4(struct random_source *r, char out[37]);
