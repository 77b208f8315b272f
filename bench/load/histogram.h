/* A histogram of high dynamic range: values from 0 to 2^43, each kept to one part in 1,024. */
#pragma once

#include <stdint.h>
#include <stdio.h>

enum { HISTOGRAM_SUB = 1024, HISTOGRAM_POWERS = 34 };

struct histogram {
    uint64_t count, max;
    double sum;
    uint64_t buckets[HISTOGRAM_POWERS * HISTOGRAM_SUB];
};

void histogram_add(struct histogram *h, uint64_t value);
/* The value that `part` (0 to 1) of all values do not exceed; 0 when there is none. */
uint64_t histogram_at(const struct histogram *h, double part);
