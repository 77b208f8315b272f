/* The filter that stands where the configuration of another has not come (ECDS): requests that
 * reach it are answered with 500. No configuration names it. */
#pragma once

#include "dataplane/http/filter.h"

extern const struct http_filter_ops missing_config_filter;
