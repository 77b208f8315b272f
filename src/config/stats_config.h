/* stats_config of the bootstrap: which statistics there are, and the bounds of histograms. Tags are
 * admin's (admin/stat_tags.h). Decoded once, const from then on. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "config/matcher.h"

enum stats_choice { STATS_ALL, STATS_NONE, STATS_INCLUDED, STATS_EXCLUDED };

struct stat_buckets {
    struct string_matcher match; /* of the full name */
    const double *bounds;        /* ascending */
    unsigned n;
};

struct stats_config {
    enum stats_choice choice;
    struct string_matcher *patterns; /* of STATS_INCLUDED, STATS_EXCLUDED */
    unsigned n_patterns;
    struct stat_buckets *buckets; /* the first that matches counts */
    unsigned n_buckets;
    struct regex_list regexes;
};

struct envoy_config_metrics_v3_StatsConfig;

/* m may be NULL. After a failure, too, fini is due. */
MUST_CHECK bool stats_config_decode(const struct envoy_config_metrics_v3_StatsConfig *m,
                                    struct arena *a, struct stats_config *out, struct error *err);
void stats_config_fini(struct stats_config *c);

/* False: the statistic is left out everywhere. c may be NULL: nothing was said. */
bool stats_config_has(const struct stats_config *c, struct bytes name);
/* NULL: Envoy's bounds. */
const struct stat_buckets *stats_config_buckets(const struct stats_config *c, struct bytes name);
