/* The decoding half of access_log_filter.h. Config thread. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "config/access_log_filter.h"
#include "config/matcher.h"

struct envoy_config_accesslog_v3_AccessLogFilter;

/* In the arena; its regexes in the list. NULL and *err: refused. */
struct access_log_filter *
access_log_filter_decode(const struct envoy_config_accesslog_v3_AccessLogFilter *m, struct arena *a,
                         struct regex_list *regexes, struct error *err);
