/* Tags in statistic names, as Envoy's default tag rules extract them for Prometheus: the name without
 * its tags, and the tags in the order in which Envoy prints them. Pure. */
#pragma once

#include "base/strbuf.h"

enum { STAT_TAGS_MAX = 6 };

struct stat_tag_value {
    const char *name; /* "envoy_cluster_name" */
    struct bytes value;
};

struct stat_tags {
    struct strbuf name; /* what is left */
    struct stat_tag_value tags[STAT_TAGS_MAX];
    unsigned n;
};

void stat_tags_extract(struct bytes name, struct stat_tags *out);
void stat_tags_fini(struct stat_tags *t);
