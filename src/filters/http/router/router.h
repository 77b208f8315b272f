/* envoy.filters.http.router: the terminal HTTP filter. Executes the route's action: answers it
 * (redirect, direct response) or proxies the request through a set of attempts. Worker thread. */
#pragma once

#include "dataplane/http/filter.h"

extern const struct http_filter_ops router_filter;
