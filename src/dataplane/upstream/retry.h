/* struct retry: whether a request that has failed is tried again, and when. Made of the route's
 * policy and of what the request's headers ask; everything here is arithmetic, so that each
 * condition can be tested alone. The router does what it says. Worker thread. */
#pragma once

#include "base/random.h"
#include "config/retry_policy.h"
#include "dataplane/http/headers.h"
#include "dataplane/upstream/conn_pool.h"

struct retry {
    const struct retry_policy *policy; /* never NULL */
    struct bytes codes, names;         /* what the request adds: lists between commas */
    uint32_t on;                       /* 1 << enum retry_on */
    uint32_t left;                     /* retries */
    uint64_t next_ms;                  /* the back-off will be less than that */
    uint64_t wait_ms;                  /* a reset header asks for; 0: nobody does */
};

/* False: nothing asks for retries. policy: NULL for none. The request's lists must stay where they
 * are, the headers need not: retry_forget_headers() removes them. */
bool retry_init(struct retry *r, const struct retry_policy *policy, const struct headers *request);
/* The headers that steer retries go no further, whether they were obeyed or not. */
void retry_forget_headers(struct headers *request);

/* Would this answer be tried again? Notes what it says of the time to come back. */
bool retry_after_answer(struct retry *r, const struct headers *response, uint64_t wall_ns);
/* started: a byte of the request may have been sent. */
bool retry_after_failure(const struct retry *r, enum upstream_failure why, bool started);
/* How long to wait, with jitter; *ratelimited: as the answer asked. Moves on to the next wait. */
uint64_t retry_back_off_ms(struct retry *r, struct random_source *random, bool *ratelimited);
