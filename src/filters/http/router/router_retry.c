#include "filters/http/router/router_internal.h"

struct router_tries {
    struct router *router;
    struct retry retry;
    bool enabled;                /* another attempt may follow */
    bool waiting;                /* it will, when the back-off ends ... */
    bool ratelimited, timed_out; /* ... of the time that the answer asked for; after a timeout */
    struct cluster_runtime *counted; /* used: a retry counts in its breaker; NULL: none */
    struct buffer body;              /* of the request so far, to be sent again */
    uint64_t body_limit;
    const struct headers *trailers; /* of the request; NULL: none so far */
    struct bytes authority;         /* of the request, before the host's name took its place */
    struct timer back_off, per_try, idle;
    struct host_state **tried; /* held, each once; room for a power of two, in the stream's arena */
    unsigned n_tried, n_attempts;
    struct lb_tried seen, excluded; /* priorities */
};

static void count(struct router *r, enum cluster_stat in_cluster, enum request_stat in_request)
{
    cluster_stat_inc(r->cluster, in_cluster);
    router_count_request(r, in_request);
}

static void uncount(struct router_tries *t)
{
    struct cluster_runtime *c = t->counted;
    if (!c)
        return;
    t->counted = NULL;
    breaker_dec(c, t->router->action->priority, BREAKER_RETRY);
    cluster_runtime_done(c);
}

void router_retry_over(struct router *r)
{
    struct router_tries *t = r->tries;
    if (!t || !t->enabled)
        return;
    t->enabled = t->waiting = false;
    timer_stop(&t->back_off);
    uncount(t);
    buffer_fini(&t->body);
}

void router_retry_stop(struct router *r)
{
    struct router_tries *t = r->tries;
    if (!t)
        return;
    router_retry_over(r);
    timer_stop(&t->per_try);
    timer_stop(&t->idle);
    while (t->n_tried > 0)
        host_state_release(t->tried[--t->n_tried]);
}

/* What comes of it is of no interest. */
static void drop(struct router *r, struct attempt *a)
{
    attempt_drop(a);
    if (a->body_above)
        filter_request_watermark(r->filter, false);
    a->body_above = false;
}

void router_retry_settled(struct router *r, struct attempt *a)
{
    if (!r->tries)
        return;
    router_retry_over(r); /* perhaps it is already, and others go on */
    if (a->hedged)
        attempt_note_upstream(a);
    LIST_EACH(it, &r->attempts)
    {
        struct attempt *other = LIST_ENTRY(it, struct attempt, link);
        if (other != a && other->state != ATTEMPT_DONE)
            drop(r, other);
    }
}

/* --- what decides --- */

static bool allowed(struct router *r, struct router_tries *t)
{
    unsigned priority = r->action->priority;
    if (t->retry.left == 0) {
        count(r, STAT_UPSTREAM_RQ_RETRY_LIMIT_EXCEEDED, STAT_REQUEST_RETRY_LIMIT_EXCEEDED);
        r->stream->info.flags |= 1u << RESPONSE_FLAG_UPSTREAM_RETRY_LIMIT_EXCEEDED;
        return false;
    }
    t->retry.left--;
    if (!breaker_can_create(r->cluster, priority, BREAKER_RETRY)) {
        count(r, STAT_UPSTREAM_RQ_RETRY_OVERFLOW, STAT_REQUEST_RETRY_OVERFLOW);
        r->stream->info.flags |= 1u << RESPONSE_FLAG_UPSTREAM_OVERFLOW;
        return false;
    }
    cluster_runtime_use(r->cluster);
    breaker_inc(r->cluster, priority, BREAKER_RETRY);
    t->counted = r->cluster;
    return true;
}

static void wait_for_next(struct router *r, bool timed_out)
{
    struct router_tries *t = r->tries;
    timer_stop(&t->per_try);
    timer_stop(&t->idle);
    t->waiting = true;
    t->timed_out = timed_out;
    timer_start(&t->back_off,
                retry_back_off_ms(&t->retry, &r->stream->worker->random, &t->ratelimited));
}

/* Ends the attempt and waits, if another is wanted and may be. The attempt is released when the
 * next begins: it may be on the call stack. */
static bool try_again(struct router *r, struct attempt *a, bool wanted)
{
    struct router_tries *t = r->tries;
    if (t->counted && !wanted)
        count(r, STAT_UPSTREAM_RQ_RETRY_SUCCESS, STAT_REQUEST_RETRY_SUCCESS);
    uncount(t);
    if (!wanted || !allowed(r, t))
        return false;
    if (a->host)
        host_state_answered(a->host, true);
    drop(r, a);
    wait_for_next(r, false);
    return true;
}

/* May one of them still bring a better answer? */
static bool others_go_on(const struct router *r, const struct attempt *a)
{
    if (r->tries->waiting)
        return true;
    LIST_EACH(it, &r->attempts)
    {
        const struct attempt *other = LIST_ENTRY(it, struct attempt, link);
        if (other != a && other->state != ATTEMPT_DONE)
            return true;
    }
    return false;
}

bool router_retry_failure(struct router *r, struct attempt *a, enum upstream_failure why)
{
    if (!r->tries || !r->tries->enabled)
        return false;
    if (!a->hedged && try_again(r, a, retry_after_failure(&r->tries->retry, why, a->started)))
        return true;
    if (!others_go_on(r, a))
        return false;
    router_charge_failure(r, a->host, why);
    drop(r, a);
    return true;
}

bool router_retry_answer(struct router *r, struct attempt *a)
{
    struct router_tries *t = r->tries;
    unsigned status = headers_status(&a->response_headers);
    uint64_t wall_ns = 0;
    if (!t || !t->enabled) {
        router_retry_settled(r, a);
        return false;
    }
    if (t->retry.policy->n_reset_headers > 0)
        wall_ns = loop_wall_ns(r->stream->worker->loop);
    bool wanted = retry_after_answer(&t->retry, &a->response_headers, wall_ns);
    if (!a->hedged && try_again(r, a, wanted)) {
        stat_code(r->cluster->stats, r->stream->worker->slot, STAT_RETRY_UPSTREAM_RQ, status);
        cluster_stat_inc(r->cluster, STAT_RETRY_UPSTREAM_RQ_COMPLETED);
        return true;
    }
    t->retry.wait_ms = 0; /* asked for in vain */
    if (wanted && others_go_on(r, a)) {
        host_state_answered(a->host, true);
        drop(r, a);
        return true;
    }
    router_retry_settled(r, a);
    return false;
}

/* --- the timeouts of one attempt --- */

/* The attempt goes on, and if there may be another it begins beside it, whatever the conditions. */
static void hedge(struct router *r, struct attempt *a)
{
    struct router_tries *t = r->tries;
    if (!t->enabled || r->response_started || a->hedged)
        return;
    uncount(t);
    if (!allowed(r, t))
        return;
    a->hedged = true;
    wait_for_next(r, true);
}

static void attempt_timed_out(struct router *r, enum cluster_stat stat, const char *details)
{
    struct router_tries *t = r->tries;
    struct attempt *a = router_newest(r);
    if (r->done || !a || a->state == ATTEMPT_DONE)
        return;
    if (r->hedge) {
        hedge(r, a);
        return;
    }
    cluster_stat_inc(r->cluster, stat);
    atomic_fetch_add_explicit(&host_state_use(a->host)->rq_timeout, 1, memory_order_relaxed);
    attempt_reset(a);
    if (router_retry_failure(r, a, UPSTREAM_RESET)) {
        t->timed_out = true;
        return;
    }
    if (r->response_started)
        router_charge_cut_call(r);
    else
        router_charge_timeout(r, a->host);
    router_fail_timeout(r, stream_error_get(STREAM_ERROR_UPSTREAM_PER_TRY_TIMEOUT), details);
}

static void on_per_try(struct timer *timer)
{
    attempt_timed_out(timer->owner, STAT_UPSTREAM_RQ_PER_TRY_TIMEOUT, "upstream_per_try_timeout");
}

static void on_idle(struct timer *timer)
{
    attempt_timed_out(timer->owner, STAT_UPSTREAM_RQ_PER_TRY_IDLE_TIMEOUT,
                      "upstream_per_try_idle_timeout");
}

void router_tries_wait(struct router *r)
{
    struct router_tries *t = r->tries;
    struct attempt *a = router_newest(r);
    if (!t || r->done || !a || a->state != ATTEMPT_ACTIVE || a->headers_seen)
        return;
    if (r->per_try_ms)
        timer_start(&t->per_try, r->per_try_ms);
    if (t->retry.policy->per_try_idle_timeout_ms)
        timer_start(&t->idle, t->retry.policy->per_try_idle_timeout_ms);
}

void router_tries_heard(struct router *r, bool head)
{
    struct router_tries *t = r->tries;
    if (head)
        timer_stop(&t->per_try);
    if (timer_pending(&t->idle))
        timer_start(&t->idle, t->retry.policy->per_try_idle_timeout_ms);
}

/* --- the next attempt --- */

/* True: none is left that goes on. */
static bool release_attempts(struct router *r)
{
    LIST_EACH(it, &r->attempts)
    {
        struct attempt *a = LIST_ENTRY(it, struct attempt, link);
        if (a->state == ATTEMPT_DONE)
            attempt_release(a);
    }
    return list_empty(&r->attempts);
}

/* What the upstream and the log are told belongs to the attempt, and so do its bytes. */
static void renew_head(struct router *r, struct arena *arena)
{
    struct router_tries *t = r->tries;
    struct stream *s = r->stream;
    struct headers *h = &s->request_headers;
    const struct virtual_host *v = s->route.vhost;
    uint64_t now_ns = loop_now_ns(s->worker->loop);
    uint64_t elapsed_ms = r->request_end_ns ? (now_ns - r->request_end_ns) / NS_PER_MS : 0;
    if (t->authority.data)
        headers_set_id(h, HEADER_AUTHORITY, t->authority);
    if (v->include_request_attempt_count)
        headers_set_id(h, HEADER_X_ENVOY_ATTEMPT_COUNT, arena_u64(arena, s->info.attempts + 1));
    if (v->include_is_timeout_retry_header)
        headers_set_id(h, HEADER_X_ENVOY_IS_TIMEOUT_RETRY,
                       t->timed_out ? BYTES("true") : BYTES("false"));
    router_tell_timeout(r, arena, elapsed_ms);
    s->info.upstream_hostname = s->info.upstream_failure_reason = BYTES_NONE;
    s->info.host_metadata = BYTES_NONE;
    s->info.upstream_first_tx_ns = s->info.upstream_last_tx_ns = 0;
    s->info.upstream_first_rx_ns = s->info.upstream_last_rx_ns = 0;
    s->info.upstream_first_body_ns = 0;
    s->info.has_upstream_address = s->info.has_upstream_local_address = false;
}

/* The cluster of now; a removed one is missed here. */
static bool find_cluster(struct router *r)
{
    struct cluster_runtime *c = cluster_runtime_get(r->stream->worker, r->cluster->name);
    if (!c)
        return false;
    if (c != r->cluster) {
        cluster_runtime_use(c);
        cluster_runtime_done(r->cluster);
        r->cluster = c;
    }
    return true;
}

static void send_kept(struct router *r, struct attempt *a)
{
    struct router_tries *t = r->tries;
    bool ended = r->request_ended && !t->trailers;
    struct buffer copy;
    buffer_init(&copy, r->stream->worker->chunks);
    if (t->retry.left > 0)
        buffer_share(&copy, &t->body, 0, t->body.len);
    else
        buffer_move(&copy, &t->body); /* it is not needed again */
    if (copy.len > 0)
        attempt_send_data(a, &copy, ended);
    buffer_fini(&copy);
    if (t->trailers && router_newest(r) == a && a->state != ATTEMPT_DONE)
        attempt_send_trailers(a, t->trailers);
}

static void on_back_off(struct timer *timer)
{
    struct router *r = timer->owner;
    struct router_tries *t = r->tries;
    bool end = r->request_ended && t->body.len == 0 && !t->trailers;
    t->waiting = false;
    count(r, STAT_UPSTREAM_RQ_RETRY, STAT_REQUEST_RETRY);
    cluster_stat_inc(r->cluster, t->ratelimited ? STAT_UPSTREAM_RQ_RETRY_BACKOFF_RATELIMITED
                                                : STAT_UPSTREAM_RQ_RETRY_BACKOFF_EXPONENTIAL);
    bool alone = release_attempts(r); /* else those that go on keep theirs */
    struct arena *arena = alone ? stream_attempt_arena(r->stream) : r->stream->arena;
    renew_head(r, arena);
    if (!find_cluster(r)) {
        r->stream->info.attempts++;
        router_fail_no_host(r);
        return;
    }
    struct attempt *a = router_start_attempt(r, arena, end);
    if (a && !end)
        send_kept(r, a);
}

static void remember(struct router *r, struct host_state *host)
{
    struct router_tries *t = r->tries;
    unsigned n = t->n_tried;
    for (unsigned i = 0; i < n; i++) {
        if (t->tried[i] == host)
            return;
    }
    if ((n & (n - 1)) == 0) { /* it is full */
        struct host_state **more =
            arena_alloc(r->stream->arena, (n ? 2 * n : 1) * sizeof(struct host_state *));
        if (n)
            memcpy(more, t->tried, n * sizeof(*more));
        t->tried = more;
    }
    t->tried[t->n_tried++] = host;
    host_state_hold(host);
}

const struct host *router_pick(struct router *r)
{
    struct router_tries *t = r->tries;
    const struct host *host;
    if (LIKELY(!t) || !t->enabled)
        return cluster_runtime_pick(r->cluster, NULL);
    const struct retry_policy *p = t->retry.policy;
    if (r->stream->info.attempts <= 1) {
        host = cluster_runtime_pick(r->cluster, NULL);
    } else {
        struct lb_query q = {
            .avoid = (const struct host_state *const *)t->tried,
            .n_avoid = t->n_tried,
            .picks = 1 + p->host_retries,
            .no_canary = p->omit_canary,
            .no_labels = p->omit_labels,
            .n_no_labels = p->n_omit_labels,
            .tried = p->priority_frequency ? &t->excluded : NULL,
        };
        struct lb_tried before = t->excluded;
        host = cluster_runtime_pick(r->cluster, &q);
        if (memcmp(&before, &t->excluded, sizeof(before)) != 0) { /* all were: it begins anew */
            t->seen = t->excluded;
            t->n_attempts = 0;
        }
    }
    t->n_attempts++;
    if (!host)
        return NULL;
    if (p->previous_hosts)
        remember(r, host->state);
    if (p->priority_frequency) {
        lb_tried_add(&t->seen, host->priority);
        if (t->n_attempts % p->priority_frequency == 0)
            t->excluded = t->seen;
    }
    return host;
}

/* --- the request --- */

bool router_retry_waits(const struct router *r)
{
    return r->tries && r->tries->waiting;
}

bool router_retries_refused(const struct router *r)
{
    const struct router_tries *t = r->tries;
    return t && t->enabled && retry_after_failure(&t->retry, UPSTREAM_REFUSED, true);
}

bool router_keep_body(struct router *r, const struct buffer *data)
{
    struct router_tries *t = r->tries;
    if (!t || !t->enabled)
        return true;
    bool waiting = t->waiting;
    if (!waiting && t->retry.left == 0)
        return true; /* no other attempt can follow this one */
    if (data->len <= t->body_limit && t->body.len <= t->body_limit - data->len) {
        size_t before = t->body.len;
        buffer_share(&t->body, data, 0, data->len);
        buffer_tighten_grown(&t->body, before);
        return true;
    }
    cluster_stat_inc(r->cluster, STAT_RETRY_OR_SHADOW_ABANDONED);
    router_retry_over(r);
    if (!waiting)
        return true;
    router_fail(r, stream_error_get(STREAM_ERROR_RETRY_PAYLOAD_TOO_LARGE), NULL, NULL);
    return false;
}

void router_keep_trailers(struct router *r, const struct headers *trailers)
{
    if (r->tries)
        r->tries->trailers = trailers;
}

/* The most specific limit counts, the connection's where there is none. */
static uint64_t body_limit(const struct stream *s)
{
    const struct body_limit *of_route = &s->route.route->extras->body_limit;
    const struct body_limit *of_vhost = &s->route.vhost->body_limit;
    if (of_route->set || of_vhost->set)
        return (of_route->set ? of_route : of_vhost)->bytes;
    uint64_t limit = stream_buffer_limit(s);
    return limit ? limit : UINT64_MAX;
}

void router_tries_begin(struct router *r)
{
    struct stream *s = r->stream;
    struct headers *h = &s->request_headers;
    struct retry retry;
    const struct retry_policy *p = router_retry_policy(r);
    bool enabled = false;
    if (p || headers_has(h, HEADER_X_ENVOY_RETRY_ON) ||
        headers_has(h, HEADER_X_ENVOY_RETRY_GRPC_ON))
        enabled = retry_init(&retry, p, h);
    if (enabled || r->per_try_ms || (p && p->per_try_idle_timeout_ms)) {
        struct router_tries *t = r->tries = ARENA_NEW(s->arena, struct router_tries);
        struct loop *loop = s->worker->loop;
        t->router = r;
        t->enabled = enabled;
        if (enabled)
            t->retry = retry;
        else
            t->retry.policy = p ? p : &retry_policy_none;
        t->body_limit = body_limit(s);
        t->authority = headers_get(h, HEADER_AUTHORITY);
        buffer_init(&t->body, s->worker->chunks);
        timer_init(&t->back_off, loop, on_back_off, r);
        timer_init(&t->per_try, loop, on_per_try, r);
        timer_init(&t->idle, loop, on_idle, r);
    }
    retry_forget_headers(h);
}
