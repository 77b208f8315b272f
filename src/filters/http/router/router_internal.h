/* The router's parts, shared by its files only. */
#pragma once

#include "base/list.h"
#include "config/route.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/stream.h"
#include "dataplane/upstream/attempt.h"
#include "dataplane/upstream/retry.h"
#include "filters/http/router/router_config.h"

struct router_tries;

/* State of a stream in the router; in the stream's arena. */
struct router {
    struct http_filter *filter;
    struct stream *stream;
    const struct router_config *config;
    const struct cluster_action *action; /* NULL: nothing is proxied */
    struct cluster_runtime *cluster;     /* used; NULL: none */
    struct stat_scope *counted[2];       /* virtual cluster, route; NULL: not counted */
    struct list attempts;            /* the set: the newest is the last; failed ones wait to go */
    struct router_tries *tries;      /* NULL: one attempt without a timeout of its own */
    struct attempt *chosen;          /* whose response goes down; NULL: none yet */
    struct timer *timeout;           /* of the route; NULL until the end of the request */
    enum tunnel tunnel;              /* what is asked for ... */
    bool tunnel_ends;                /* ... which is TCP to the cluster */
    uint64_t timeout_ms, per_try_ms; /* 0: off */
    uint64_t duration_ms;            /* of an attempt, if has_duration */
    uint64_t request_end_ns;         /* 0: the request goes on */
    struct host_state *called;       /* its answer's head is good, gRPC's end of it to come */
    bool request_ended;              /* by the client */
    bool downstream_full;            /* the response is to be read no further for now */
    bool hedge;                      /* a timeout of one attempt begins another beside it */
    bool internal;
    bool has_duration;        /* this internal client wishes so, whatever the cluster's */
    bool timeout_is_no_error; /* and so: it is told 204 */
    bool canary;              /* so the response or the host says */
    bool response_started;
    bool done; /* answered or failed: nothing more is sent down */
};

/* router_direct.c: answers without an upstream. */
void router_redirect(struct router *r, const struct redirect_action *action);
void router_tls_redirect(struct router *r);
void router_direct_response(struct router *r, const struct direct_response *action);

/* router_request.c: the head that goes upstream. Reads and removes the timeout headers, sets
 * r->timeout_ms. */
void router_prepare_request(struct router *r);
/* False: a header that must be valid is not; the stream has been answered. */
bool router_check_strictly(struct router *r);
/* host_rewrite AUTO, once the host is known. arena: of the attempt. */
void router_rewrite_for_host(struct router *r, struct arena *arena, const struct host *host);
/* Tells the upstream how long this attempt may take. */
void router_tell_timeout(struct router *r, struct arena *arena, uint64_t elapsed_ms);
/* Rewrites :path by one of the two; keeps x-envoy-original-path. */
void router_rewrite_path(struct router *r, const struct bytes *prefix_rewrite,
                         const struct regex_rewrite *regex);

/* router_reply.c: statistics and failures. */
void router_charge_code(struct router *r, unsigned status, struct host_state *host);
/* The same for the head of an answer; what the host has of a call of gRPC, its end says. */
void router_charge_answer(struct router *r, struct attempt *a, bool end);
/* The end of what was called: its trailers; NULL: none. */
void router_charge_call(struct router *r, const struct headers *trailers);
void router_charge_cut_call(struct router *r);
/* Of an attempt that failed before its answer. */
void router_charge_failure(struct router *r, struct host_state *host, enum upstream_failure why);
void router_charge_time(struct router *r);
/* Of one that took too long. */
void router_charge_timeout(struct router *r, struct host_state *host);
/* In the virtual cluster's and the route's statistics. */
void router_count_request(struct router *r, enum request_stat id);
/* Headers of a final response: service time, mutations, attempt count. */
void router_finish_headers(struct router *r);
/* Ends the stream: a local reply, or a reset when the response has begun. */
void router_fail(struct router *r, const struct stream_error *e, const char *body,
                 const char *details);
/* The whole request, or its last attempt, took too long. */
void router_fail_timeout(struct router *r, const struct stream_error *e, const char *details);
/* The same with another status than the error's. */
void router_fail_with(struct router *r, const struct stream_error *e, unsigned status);
void router_fail_upstream(struct router *r, struct host_state *host, enum upstream_failure why,
                          struct bytes text);
void router_give_up_attempts(struct router *r);
void router_fail_no_host(struct router *r);

/* router.c. NULL: the attempt has failed, and what follows is under way. */
struct attempt *router_start_attempt(struct router *r, struct arena *arena, bool end);

/* NULL: none was made. */
static inline struct attempt *router_newest(const struct router *r)
{
    struct list *last = list_last(&r->attempts);
    return last ? LIST_ENTRY(last, struct attempt, link) : NULL;
}

/* router_retry.c: what may be sent again, and the timeouts of each attempt. */
static inline const struct retry_policy *router_retry_policy(const struct router *r)
{
    return r->action->retry ? r->action->retry : r->stream->route.vhost->retry;
}
/* When the head is ready for the upstream; takes the headers that steer retries out of it. */
void router_tries_begin(struct router *r);
const struct host *router_pick(struct router *r);
/* True: the attempt is over, another follows or goes on; nothing is to be told or counted. */
bool router_retry_failure(struct router *r, struct attempt *a, enum upstream_failure why);
bool router_retry_answer(struct router *r, struct attempt *a);
bool router_retry_waits(const struct router *r); /* for its time */
/* Is what an upstream refuses (HTTP/2) sent again by the policy? */
bool router_retries_refused(const struct router *r);
/* Keeps a part of the body that is about to be sent. False: the stream has been answered. */
bool router_keep_body(struct router *r, const struct buffer *data);
void router_keep_trailers(struct router *r, const struct headers *trailers);
/* The request is complete and on its way: the attempt's timeouts begin. */
void router_tries_wait(struct router *r);
void router_tries_heard(struct router *r, bool head); /* something of the response */
/* No further attempt. */
void router_retry_over(struct router *r);
/* Nor any other than this one, whose answer goes down. */
void router_retry_settled(struct router *r, struct attempt *a);
/* Nothing more happens: timers and counts are given back. May be repeated. */
void router_retry_stop(struct router *r);
