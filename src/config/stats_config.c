#include "config/stats_config.h"

#include <stdlib.h>
#include <string.h>

#include "config/upb_util.h"
#include "envoy/config/metrics/v3/stats.upb.h"
#include "envoy/type/matcher/v3/string.upb.h"

#define STATS(f) envoy_config_metrics_v3_StatsConfig_##f
#define MATCHER(f) envoy_config_metrics_v3_StatsMatcher_##f
#define BUCKETS(f) envoy_config_metrics_v3_HistogramBucketSettings_##f
#define LIST(f) envoy_type_matcher_v3_ListStringMatcher_##f

static bool take_patterns(const envoy_type_matcher_v3_ListStringMatcher *m, struct arena *a,
                          struct stats_config *out, struct error *err)
{
    size_t n;
    const envoy_type_matcher_v3_StringMatcher *const *patterns = LIST(patterns)(m, &n);
    if (n == 0)
        return error_set(err, "patterns: value must contain at least 1 item(s)");
    out->patterns = ARENA_ARRAY(a, struct string_matcher, n);
    for (; out->n_patterns < n; out->n_patterns++) {
        if (!string_matcher_decode(patterns[out->n_patterns], a, &out->regexes,
                                   &out->patterns[out->n_patterns], err))
            return error_prefix(err, "patterns[%u].", out->n_patterns);
    }
    return true;
}

static bool take_matcher(const envoy_config_metrics_v3_StatsMatcher *m, struct arena *a,
                         struct stats_config *out, struct error *err)
{
    if (MATCHER(has_reject_all)(m)) {
        out->choice = MATCHER(reject_all)(m) ? STATS_NONE : STATS_ALL;
        return true;
    }
    if (MATCHER(has_inclusion_list)(m)) {
        out->choice = STATS_INCLUDED;
        return take_patterns(MATCHER(inclusion_list)(m), a, out, err) ||
               error_prefix(err, "inclusion_list.");
    }
    if (MATCHER(has_exclusion_list)(m)) {
        out->choice = STATS_EXCLUDED;
        return take_patterns(MATCHER(exclusion_list)(m), a, out, err) ||
               error_prefix(err, "exclusion_list.");
    }
    return error_set(err, "expected one of reject_all, exclusion_list, "
                          "inclusion_list");
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static bool take_buckets(const envoy_config_metrics_v3_HistogramBucketSettings *m, struct arena *a,
                         struct stats_config *out, struct error *err)
{
    struct stat_buckets *b = &out->buckets[out->n_buckets];
    size_t n;
    const double *bounds = BUCKETS(buckets)(m, &n);
    if (!BUCKETS(match)(m))
        return error_set(err, "match: value is required");
    if (!string_matcher_decode(BUCKETS(match)(m), a, &out->regexes, &b->match, err))
        return error_prefix(err, "match.");
    double *sorted = ARENA_ARRAY(a, double, n ? n : 1);
    if (n) {
        memcpy(sorted, bounds, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), ascending);
    }
    b->bounds = sorted;
    b->n = (unsigned)n;
    return true;
}

bool stats_config_decode(const struct envoy_config_metrics_v3_StatsConfig *m, struct arena *a,
                         struct stats_config *out, struct error *err)
{
    size_t n;
    if (!m)
        return true;
    if (STATS(stats_matcher)(m) && !take_matcher(STATS(stats_matcher)(m), a, out, err))
        return error_prefix(err, "stats_config.stats_matcher.");
    const envoy_config_metrics_v3_HistogramBucketSettings *const *settings =
        STATS(histogram_bucket_settings)(m, &n);
    out->buckets = ARENA_ARRAY(a, struct stat_buckets, n ? n : 1);
    for (; out->n_buckets < n; out->n_buckets++) {
        if (!take_buckets(settings[out->n_buckets], a, out, err))
            return error_prefix(err, "stats_config.histogram_bucket_settings[%u].", out->n_buckets);
    }
    return true;
}

void stats_config_fini(struct stats_config *c)
{
    regex_list_fini(&c->regexes);
}

static bool any_matches(const struct stats_config *c, struct bytes name)
{
    for (unsigned i = 0; i < c->n_patterns; i++) {
        if (string_matcher_match(&c->patterns[i], name))
            return true;
    }
    return false;
}

bool stats_config_has(const struct stats_config *c, struct bytes name)
{
    switch (c ? c->choice : STATS_ALL) {
    case STATS_ALL:
        return true;
    case STATS_NONE:
        return false;
    case STATS_INCLUDED:
        return any_matches(c, name);
    case STATS_EXCLUDED:
        return !any_matches(c, name);
    }
    return true;
}

const struct stat_buckets *stats_config_buckets(const struct stats_config *c, struct bytes name)
{
    for (unsigned i = 0; c && i < c->n_buckets; i++) {
        if (string_matcher_match(&c->buckets[i].match, name))
            return &c->buckets[i];
    }
    return NULL;
}
