/* The terminal HTTP filter of the admin listener: requests in, pages out. Its configuration is the
 * struct admin. Main thread. */
#pragma once

#include "dataplane/http/filter.h"

extern const struct http_filter_ops admin_filter_ops;
