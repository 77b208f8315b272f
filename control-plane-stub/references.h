/* Do the names that resources use stand for resources? Reads wire bytes, so raw ones count too.
 *
 * Pure; main thread only. */
#pragma once

#include "snapshot.h"

/* Add one sentence per dangling name to `out` (as keys). `known_clusters` may be used without being
 * served. */
void references_check(const struct desc_pool *pool, const struct snapshot *s,
                      const struct strmap *known_clusters, struct strmap *out);
