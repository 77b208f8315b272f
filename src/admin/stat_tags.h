/* Tags in the names of statistics, for Prometheus: the name without its tags, and the tags in the
 * order in which Envoy prints them. Envoy's default rules, for the names that exist here, as a walk
 * over the parts of a name; stats_config.stats_tags of the bootstrap through RE2. Each rule reads
 * the whole name, so that rules do not depend on each other. Main thread. */
#pragma once

#include "base/strbuf.h"

enum { STAT_TAGS_MAX = 16 };

struct stat_tag_value {
    struct bytes name; /* "envoy.cluster_name" */
    struct bytes value;
};

struct stat_cut {
    size_t at, len; /* what a tag takes out of the name */
};

struct stat_tags {
    struct strbuf name; /* what is left */
    struct stat_tag_value tags[STAT_TAGS_MAX];
    struct stat_cut cuts[STAT_TAGS_MAX];
    unsigned n, n_cuts;
};

struct stat_tag_rules;

/* What main got from the command line: "name:value". */
struct fixed_tags {
    const char *const *texts;
    unsigned n;
};

/* Of the command line, which come first, and of stats_config of a bootstrap's bytes. Rules that
 * cannot be used are left out, and said in *complaints, one a line. */
struct stat_tag_rules *stat_tag_rules_new(struct fixed_tags given, struct bytes bootstrap,
                                          struct strbuf *complaints);
void stat_tag_rules_free(struct stat_tag_rules **r);

/* rules NULL: Envoy's defaults. Values point into name, or belong to the rules. */
void stat_tags_extract(const struct stat_tag_rules *rules, struct bytes name,
                       struct stat_tags *out);
void stat_tags_fini(struct stat_tags *t);
