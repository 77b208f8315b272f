/* Filters for loopback tests. `origin` is terminal and answers by path; `probe` does in each hook
 * what the test has set for it, and writes down the calls. */
#pragma once

#include "base/strbuf.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/stream.h"

extern const struct http_filter_ops origin_filter, probe_filter;

/* What origin was given last, and how to answer by hand. */
struct origin {
    struct http_filter *filter; /* of the newest stream; NULL once destroyed */
    struct strbuf body;         /* request body received */
    unsigned begun, ended, destroyed, resets, above, below;
    bool trailers;
};
extern struct origin origin;
void origin_reset(void);
void origin_answer(const char *status, const char *body, bool end);
void origin_send(const char *body, bool end);

enum probe_hook {
    PROBE_REQUEST_HEADERS,
    PROBE_REQUEST_DATA,
    PROBE_REQUEST_TRAILERS,
    PROBE_RESPONSE_HEADERS,
    PROBE_RESPONSE_DATA,
    PROBE_RESPONSE_TRAILERS,
    PROBE_HOOKS
};
struct probe {
    struct http_filter *filter;
    enum filter_status status[PROBE_HOOKS]; /* what the hook returns */
    bool reset_at[PROBE_HOOKS];             /* resets the stream in that hook */
    bool reply_at[PROBE_HOOKS];             /* local reply 403 in that hook */
    unsigned calls[PROBE_HOOKS];
    struct buffer taken; /* FILTER_TAKEN: where the data went */
    unsigned destroyed;
};
extern struct probe probe;
void probe_reset(void);
