/* The decoding half of access_log_filter.h. Config thread. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "config/access_log_filter.h"
#include "config/matcher.h"

struct envoy_config_accesslog_v3_AccessLogFilter;

struct runtime;

/* Where its parts go. */
struct access_log_filter_home {
    struct arena *arena;
    struct regex_list *regexes;
    struct access_log_cell **cells;
    struct runtime *runtime; /* NULL: no keys */
};

/* NULL and *err: refused. */
struct access_log_filter *
access_log_filter_decode(const struct envoy_config_accesslog_v3_AccessLogFilter *m,
                         const struct access_log_filter_home *home, struct error *err);
