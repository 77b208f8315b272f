/* The statistics of a page: what the query asks for, in the order of their names, a few scopes at a
 * time, so that a proxy with very many clusters can print them without a stall. Main thread. */
#pragma once

#include "admin/query.h"
#include "base/stats.h"
#include "regex/regex.h"

struct stats_config;

struct stat_entry {
    struct bytes name; /* until the next group is read */
    enum stat_kind kind;
    uint64_t value;
    struct bytes text;
    const struct stat_scope *scope;
    unsigned id;
};

struct stat_list {
    struct stat_scope **scopes; /* counted; by prefix */
    size_t n_scopes, next_scope;
    struct arena *arena;        /* of the group */
    struct stat_entry *entries; /* of the group: scopes whose names interleave */
    size_t n, cap, at;
    bool used_only, inverted, none;
    unsigned kinds; /* 1 << enum stat_kind: asked for by ?type= */
    unsigned now;   /* those of the current pass */
    struct regex *filter;
    const struct stats_config *config;
};

#define STAT_KINDS_ALL                                                                             \
    (1u << STAT_COUNTER | 1u << STAT_GAUGE | 1u << STAT_HISTOGRAM | 1u << STAT_TEXT)

/* Reads usedonly, filter, invert_filter, hidden and type (which is checked, but not obeyed, unless
 * with_type), and checks the words of format and histogram_buckets, which are for the page. What
 * config leaves out is not there. False: *err is the body of the answer 400. */
MUST_CHECK bool stat_list_init(struct stat_list *l, const struct query *q, bool with_type,
                               struct stat_store *stats, const struct stats_config *config,
                               struct error *err);
/* Starts a pass over the statistics of these kinds, from the first name. */
void stat_list_start(struct stat_list *l, unsigned kinds);
/* NULL: go on in a later turn, unless the pass is over. *looked_at counts what was looked at. */
const struct stat_entry *stat_list_next(struct stat_list *l, unsigned *looked_at);
static inline bool stat_list_over(const struct stat_list *l)
{
    return l->at == l->n && l->next_scope == l->n_scopes;
}
void stat_list_fini(struct stat_list *l);
