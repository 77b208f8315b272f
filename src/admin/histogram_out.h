/* Histograms as the statistics pages print them: quantiles, buckets or every step, for the last
 * interval and for all time. Pure. */
#pragma once

#include "admin/json_out.h"
#include "base/stats.h"
#include "config/stats_config.h"

#define HISTOGRAM_MODE_LIST(X)                                                                     \
    X(SUMMARY, "summary")                                                                          \
    X(CUMULATIVE, "cumulative") X(DISJOINT, "disjoint") X(DETAILED, "detailed")
enum histogram_mode {
#define X(id, name) HISTOGRAM_##id,
    HISTOGRAM_MODE_LIST(X)
#undef X
};

enum { HISTOGRAM_QUANTILES = 10 };
extern const struct stat_buckets histogram_buckets; /* upper bounds, ms, where none are set */
extern const double histogram_quantiles[HISTOGRAM_QUANTILES]; /* 0 ... 1 */

/* ?histogram_buckets=; "" and "none" are the summary. */
bool histogram_mode_parse(struct bytes text, enum histogram_mode *mode);
/* The shortest decimal that reads back as v; "nan" (null in JSON pages) where there is none. */
void histogram_number(struct strbuf *out, double v);

/* buckets may be NULL: histogram_buckets. "NAME: P0(1.05,2.05) ...\n" */
void histogram_text(struct strbuf *out, struct bytes name, enum histogram_mode mode,
                    const struct stat_buckets *buckets, const struct stat_histogram *interval,
                    const struct stat_histogram *all);
/* What stands before the first one, each, and after the last one in "stats". */
void histogram_json_begin(struct json_out *j, enum histogram_mode mode);
void histogram_json(struct json_out *j, struct bytes name, enum histogram_mode mode,
                    const struct stat_buckets *buckets, const struct stat_histogram *interval,
                    const struct stat_histogram *all);
void histogram_json_end(struct json_out *j, enum histogram_mode mode);

#define HISTOGRAM_BUCKETS_USAGE                                                                    \
    "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)\n"
