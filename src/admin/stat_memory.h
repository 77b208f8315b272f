/* What the histograms held at the last flush, so that pages can tell the last interval from all
 * time, as Envoy does. Kept sparse: only steps that were hit. Main thread. */
#pragma once

#include "base/stats.h"

struct stat_memory;

struct stat_memory *stat_memory_new(void);
void stat_memory_free(struct stat_memory **m);
void stat_memory_flush(struct stat_memory *m, struct stat_store *stats);
/* The last whole interval of a histogram; empty when nothing was recorded in it. */
void stat_memory_interval(const struct stat_memory *m, struct bytes name,
                          struct stat_histogram *out);
