#include "dataplane/http/grpc_status.h"
#include "dataplane/http/header_mutate.h"
#include "filters/http/router/router_internal.h"

static void charge(struct router *r, enum cluster_stat completed, enum cluster_stat codes,
                   unsigned status)
{
    struct cluster_runtime *c = r->cluster;
    stat_code(c->stats, c->worker->slot, codes, status);
    cluster_stat_inc(c, completed);
}

void router_count_request(struct router *r, enum request_stat id)
{
    for (unsigned i = 0; i < ARRAY_SIZE(r->counted); i++) {
        if (r->counted[i])
            stat_inc(r->counted[i], r->stream->worker->slot, id);
    }
}

static void charge_request(struct router *r, unsigned status)
{
    for (unsigned i = 0; i < ARRAY_SIZE(r->counted); i++) {
        if (r->counted[i])
            stat_code(r->counted[i], r->stream->worker->slot, STAT_REQUEST_CODES, status);
    }
    router_count_request(r, STAT_REQUEST_COMPLETED);
}

static bool is_5xx(unsigned status)
{
    return status >= 500 && status < 600;
}

/* host: also counts the host's success or error; NULL: not. */
void router_charge_code(struct router *r, unsigned status, struct host_state *host)
{
    if (host)
        host_state_answered(host, is_5xx(status));
    if (!r->config->dynamic_stats)
        return;
    charge(r, STAT_UPSTREAM_RQ_COMPLETED, STAT_UPSTREAM_RQ, status);
    if (r->internal)
        charge(r, STAT_INTERNAL_UPSTREAM_RQ_COMPLETED, STAT_INTERNAL_UPSTREAM_RQ, status);
    else
        charge(r, STAT_EXTERNAL_UPSTREAM_RQ_COMPLETED, STAT_EXTERNAL_UPSTREAM_RQ, status);
    if (r->canary)
        charge(r, STAT_CANARY_UPSTREAM_RQ_COMPLETED, STAT_CANARY_UPSTREAM_RQ, status);
    charge_request(r, status);
}

void router_charge_answer(struct router *r, struct attempt *a, bool end)
{
    struct stream *s = r->stream;
    bool called = headers_has(&s->request_headers, HEADER_CONTENT_TYPE) && stream_is_grpc(s) &&
                  !is_5xx(s->info.status);
    router_charge_code(r, s->info.status, called ? NULL : a->host);
    if (!called)
        return;
    r->called = a->host;
    if (end)
        router_charge_call(r, &a->response_headers);
}

void router_charge_call(struct router *r, const struct headers *trailers)
{
    if (LIKELY(!r->called))
        return;
    host_state_answered(r->called, grpc_server_failed(trailers));
    r->called = NULL;
}

void router_charge_cut_call(struct router *r)
{
    if (!r->called)
        return;
    router_charge_call(r, NULL);
    stat_inc(r->stream->manager->stats, r->stream->worker->slot,
             STAT_HTTP_RQ_RESET_AFTER_DOWNSTREAM_RESPONSE_STARTED);
}

static uint64_t since_request_end_ms(const struct router *r)
{
    return (loop_now_ns(r->stream->worker->loop) - r->request_end_ns) / NS_PER_MS;
}

void router_charge_timeout(struct router *r, struct host_state *host)
{
    if (LIKELY(!r->timeout_is_no_error)) {
        router_charge_code(r, 504, host);
        return;
    }
    router_charge_code(r, 204, NULL);
    if (host)
        host_state_answered(host, true);
}

void router_charge_time(struct router *r)
{
    if (!r->config->dynamic_stats || r->request_end_ns == 0)
        return;
    struct cluster_runtime *c = r->cluster;
    uint64_t ms = since_request_end_ms(r);
    stat_record(c->stats, c->worker->slot, STAT_UPSTREAM_RQ_TIME, ms);
    stat_record(c->stats, c->worker->slot,
                r->internal ? STAT_INTERNAL_UPSTREAM_RQ_TIME : STAT_EXTERNAL_UPSTREAM_RQ_TIME, ms);
    if (r->canary)
        stat_record(c->stats, c->worker->slot, STAT_CANARY_UPSTREAM_RQ_TIME, ms);
    for (unsigned i = 0; i < ARRAY_SIZE(r->counted); i++) {
        if (r->counted[i])
            stat_record(r->counted[i], c->worker->slot, STAT_REQUEST_TIME, ms);
    }
}

static void add_attempt_count(struct router *r)
{
    struct stream *s = r->stream;
    if (s->route.vhost->include_attempt_count_in_response)
        headers_set_id(&s->response_headers, HEADER_X_ENVOY_ATTEMPT_COUNT,
                       arena_u64(s->arena, s->info.attempts));
}

void router_finish_headers(struct router *r)
{
    struct stream *s = r->stream;
    if (!r->config->suppress_envoy_headers && r->request_end_ns != 0)
        headers_set_id(&s->response_headers, HEADER_X_ENVOY_UPSTREAM_SERVICE_TIME,
                       arena_u64(s->arena, since_request_end_ms(r)));
    headers_remove_id(&s->response_headers, HEADER_KEEP_ALIVE); /* of the origin's connection */
    header_mutate_response(s);
    add_attempt_count(r);
}

void router_give_up_attempts(struct router *r)
{
    LIST_EACH(it, &r->attempts)
    attempt_reset(LIST_ENTRY(it, struct attempt, link));
}

void router_fail(struct router *r, const struct stream_error *e, const char *body,
                 const char *details)
{
    struct stream *s = r->stream;
    r->done = true;
    if (r->timeout)
        timer_rest(r->timeout);
    router_retry_stop(r);
    router_give_up_attempts(r);
    if (!details)
        details = e->details;
    if (stream_response_sent(s)) {
        s->info.details = details;
        stream_reset(s, e);
        return;
    }
    if (r->response_started) /* a filter holds it still: nobody has seen it */
        headers_init(&s->response_headers, s->arena);
    s->info.flags |= e->flags;
    s->info.details = details;
    header_mutate_reply(s, e->status);
    if (e == stream_error_get(STREAM_ERROR_UPSTREAM_OVERFLOW) && !r->config->suppress_envoy_headers)
        headers_set_id(&s->response_headers, HEADER_X_ENVOY_OVERLOADED, BYTES("true"));
    if (r->cluster)
        add_attempt_count(r);
    stream_direct_reply(s, e->status, bytes_of(body ? body : e->body), details);
}

void router_fail_no_host(struct router *r)
{
    router_charge_code(r, 503, NULL);
    router_fail(r, stream_error_get(STREAM_ERROR_NO_HEALTHY_UPSTREAM), NULL, NULL);
}

struct failure_row {
    enum stream_error_id error;
    const char *reason;
};

static const struct failure_row *failure_row(enum upstream_failure why)
{
    static const struct failure_row rows[] = {
        [UPSTREAM_OVERFLOW] = {STREAM_ERROR_UPSTREAM_OVERFLOW, "overflow"},
        [UPSTREAM_CONNECT_FAILED] = {STREAM_ERROR_CONNECT_FAILURE, "remote connection failure"},
        [UPSTREAM_CONNECT_TIMEOUT] = {STREAM_ERROR_CONNECT_TIMEOUT, "connection timeout"},
        [UPSTREAM_LOCAL_CLOSE] = {STREAM_ERROR_CONNECT_FAILURE, "local connection failure"},
        [UPSTREAM_TERMINATED] = {STREAM_ERROR_UPSTREAM_CONNECTION_TERMINATION,
                                 "connection termination"},
        [UPSTREAM_RESET] = {STREAM_ERROR_UPSTREAM_REMOTE_RESET, "remote reset"},
        [UPSTREAM_REFUSED] = {STREAM_ERROR_UPSTREAM_REMOTE_RESET, "remote refused stream reset"},
        [UPSTREAM_PROTOCOL_ERROR] = {STREAM_ERROR_UPSTREAM_PROTOCOL_ERROR, "protocol error"},
        [UPSTREAM_MAX_DURATION] = {STREAM_ERROR_UPSTREAM_MAX_DURATION, ""},
    };
    return &rows[why];
}

/* Details carry no spaces. */
static const char *underscored(char *text)
{
    for (char *p = text; *p; p++) {
        if (*p == ' ')
            *p = '_';
    }
    return text;
}

/* Only failures to connect tell the transport's reason. */
static struct bytes transport_reason(struct router *r, enum upstream_failure why, struct bytes text)
{
    if (why != UPSTREAM_CONNECT_FAILED || text.len == 0)
        return BYTES_NONE;
    return arena_dup(r->stream->arena, text);
}

/* Envoy counts what took too long nowhere else. */
void router_charge_failure(struct router *r, struct host_state *host, enum upstream_failure why)
{
    if (why == UPSTREAM_MAX_DURATION)
        return;
    const struct stream_error *e = stream_error_get(failure_row(why)->error);
    router_charge_code(r, e->status, host);
}

void router_fail_with(struct router *r, const struct stream_error *e, unsigned status)
{
    if (status != e->status) {
        struct stream_error *own = arena_alloc(r->stream->arena, sizeof(*own));
        *own = *e;
        own->status = status;
        e = own;
    }
    router_fail(r, e, NULL, NULL);
}

void router_fail_timeout(struct router *r, const struct stream_error *e, const char *details)
{
    if (UNLIKELY(r->timeout_is_no_error)) {
        struct stream_error *own = arena_alloc(r->stream->arena, sizeof(*own));
        *own = *e;
        own->status = 204;
        own->body = "";
        e = own;
    }
    router_fail(r, e, NULL, details);
}

static void fail_max_duration(struct router *r)
{
    const struct stream_error *e = stream_error_get(STREAM_ERROR_UPSTREAM_MAX_DURATION);
    router_fail_with(r, e, r->request_end_ns ? e->status : 408); /* or the client is slow */
}

void router_fail_upstream(struct router *r, struct host_state *host, enum upstream_failure why,
                          struct bytes text)
{
    struct stream *s = r->stream;
    if (why == UPSTREAM_MAX_DURATION) {
        fail_max_duration(r);
        return;
    }
    const struct failure_row *row = failure_row(why);
    const struct stream_error *e = stream_error_get(row->error);
    struct bytes reason = transport_reason(r, why, text);
    if (reason.len > 0)
        s->info.upstream_failure_reason = reason;
    const char *details =
        underscored(arena_printf(s->arena, "upstream_reset_%s_response_started{%s%s%.*s}",
                                 r->response_started ? "after" : "before", row->reason,
                                 reason.len ? "|" : "", BYTES_ARG(reason)));
    if (r->response_started)
        router_charge_cut_call(r);
    else
        router_charge_failure(r, host, why);
    const char *body = NULL; /* the row's */
    bool retried = s->info.attempts > 1;
    if (why == UPSTREAM_LOCAL_CLOSE || why == UPSTREAM_REFUSED || retried)
        body = arena_printf(s->arena,
                            "upstream connect error or disconnect/reset before headers. "
                            "%sreset reason: %s",
                            retried ? "retried and the latest " : "", row->reason);
    router_fail(r, e, body, details);
}
