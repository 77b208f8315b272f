/* The statistics of a page: what the query asks for, sorted by name, in an arena. Main thread. */
#pragma once

#include "admin/query.h"
#include "base/stats.h"
#include "regex/regex.h"

struct stat_entry {
    struct bytes name;
    enum stat_kind kind;
    int64_t value;
    struct bytes text;
    const struct stat_scope *scope; /* counted by the list */
    unsigned id;
};

struct stat_list {
    struct arena *arena;
    struct stat_entry *entries;
    size_t n, cap;
    bool used_only;
    struct regex *filter;
    struct bytes type; /* "Counters" ...; empty: all */
};

/* Reads usedonly, filter and type. False: *err says what is wrong with them. */
MUST_CHECK bool stat_list_make(struct stat_list *l, const struct query *q, struct stat_store *stats,
                               struct error *err);
void stat_list_fini(struct stat_list *l);
