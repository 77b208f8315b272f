#include "dataplane/upstream/retry.h"

#include "base/clock.h"
#include "dataplane/http/grpc_status.h"
#include "dataplane/upstream/async_grpc.h"

bool retry_init(struct retry *r, const struct retry_policy *policy, const struct headers *request)
{
    const struct retry_policy *p = policy ? policy : &retry_policy_none;
    struct bytes on = headers_get(request, HEADER_X_ENVOY_RETRY_ON);
    struct bytes grpc = headers_get(request, HEADER_X_ENVOY_RETRY_GRPC_ON);
    uint64_t max;
    *r = (struct retry){
        .policy = p,
        .on = p->on | retry_on_parse(on) | retry_on_parse_grpc(grpc),
        .left = p->num_retries,
        .next_ms = p->base_ms,
    };
    bool wanted = p->n_request_headers == 0;
    for (uint32_t i = 0; i < p->n_request_headers && !wanted; i++)
        wanted = header_matcher_match(&p->request_headers[i], headers_values, request);
    if (!wanted || !r->on)
        return false;
    if (header_number(headers_get(request, HEADER_X_ENVOY_MAX_RETRIES), &max))
        r->left = (uint32_t)max; /* as in Envoy: 2^32 are none */
    r->codes = headers_get(request, HEADER_X_ENVOY_RETRIABLE_STATUS_CODES);
    r->names = headers_get(request, HEADER_X_ENVOY_RETRIABLE_HEADER_NAMES);
    return true;
}

void retry_forget_headers(struct headers *request)
{
    static const uint16_t ids[] = {
        HEADER_X_ENVOY_RETRY_ON,
        HEADER_X_ENVOY_RETRY_GRPC_ON,
        HEADER_X_ENVOY_MAX_RETRIES,
        HEADER_X_ENVOY_RETRIABLE_STATUS_CODES,
        HEADER_X_ENVOY_RETRIABLE_HEADER_NAMES,
        HEADER_X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
        HEADER_X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
    };
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        if (UNLIKELY(headers_has(request, ids[i])))
            headers_remove_id(request, ids[i]);
    }
}

static bool has(const struct retry *r, uint32_t conditions)
{
    return (r->on & conditions) != 0;
}

static bool listed_code(const struct retry *r, unsigned status)
{
    struct bytes rest = r->codes;
    uint64_t code;
    for (uint32_t i = 0; i < r->policy->n_codes; i++) {
        if (r->policy->codes[i] == status)
            return true;
    }
    while (rest.data) {
        if (header_number(bytes_split(&rest, ','), &code) && code == status)
            return true;
    }
    return false;
}

static bool listed_header(const struct retry *r, const struct headers *response)
{
    struct bytes rest = r->names;
    for (uint32_t i = 0; i < r->policy->n_headers; i++) {
        if (header_matcher_match(&r->policy->headers[i], headers_values, response))
            return true;
    }
    while (rest.data) {
        struct bytes name = bytes_trim(bytes_split(&rest, ','));
        for (const struct header *h = response->entries; h < headers_end(response); h++) {
            if (name.len > 0 && bytes_eq_nocase(h->name, name))
                return true;
        }
    }
    return false;
}

/* Of an answer that says it in its head: what has no body. */
static bool grpc_condition(const struct retry *r, const struct headers *response)
{
    unsigned status;
    if (!grpc_status_read(response, &status))
        return false;
    switch (status) {
    case GRPC_CANCELLED:
        return has(r, RETRY_ON(CANCELLED));
    case GRPC_DEADLINE_EXCEEDED:
        return has(r, RETRY_ON(DEADLINE_EXCEEDED));
    case GRPC_RESOURCE_EXHAUSTED:
        return has(r, RETRY_ON(RESOURCE_EXHAUSTED));
    case GRPC_INTERNAL:
        return has(r, RETRY_ON(INTERNAL));
    case GRPC_UNAVAILABLE:
        return has(r, RETRY_ON(UNAVAILABLE));
    default:
        return false;
    }
}

/* An answer that was limited by its rate is tried again only for that. */
static bool answer_condition(const struct retry *r, const struct headers *response)
{
    unsigned status = headers_status(response);
    if (headers_has(response, HEADER_X_ENVOY_RATELIMITED))
        return has(r, RETRY_ON(ENVOY_RATELIMITED));
    if (status >= 500 && status < 600 && has(r, RETRY_ON(5XX)))
        return true;
    if (status >= 502 && status <= 504 && has(r, RETRY_ON(GATEWAY_ERROR)))
        return true;
    if (status == 409 && has(r, RETRY_ON(RETRIABLE_4XX)))
        return true;
    if (has(r, RETRY_ON(RETRIABLE_STATUS_CODES)) && listed_code(r, status))
        return true;
    if (has(r, RETRY_ON(RETRIABLE_HEADERS)) && listed_header(r, response))
        return true;
    return grpc_condition(r, response);
}

/* False: this header says nothing that can be used. */
static bool asked_wait(const struct retry *r, const struct retry_reset_header *h,
                       const struct headers *response, uint64_t wall_ns, uint64_t *ms)
{
    uint64_t s, now_s = h->timestamp ? wall_ns / NS_PER_S : 0;
    struct bytes value;
    uint32_t from = 0;
    if (!headers_values(response, h->name, &from, &value) || !header_number(value, &s))
        return false;
    if (s < now_s || s - now_s > r->policy->reset_max_ms / 1000)
        return false;
    *ms = (s - now_s) * 1000;
    return true;
}

bool retry_after_answer(struct retry *r, const struct headers *response, uint64_t wall_ns)
{
    r->wait_ms = 0;
    if (!answer_condition(r, response))
        return false;
    const struct retry_policy *p = r->policy;
    for (uint32_t i = 0; i < p->n_reset_headers; i++) {
        if (asked_wait(r, &p->reset_headers[i], response, wall_ns, &r->wait_ms))
            break;
    }
    return true;
}

bool retry_after_failure(const struct retry *r, enum upstream_failure why, bool started)
{
    uint32_t on = RETRY_ON(RESET) | RETRY_ON(5XX) | RETRY_ON(GATEWAY_ERROR);
    if (!started)
        on |= RETRY_ON(RESET_BEFORE_REQUEST);
    switch (why) {
    case UPSTREAM_OVERFLOW:
        return false;
    case UPSTREAM_CONNECT_FAILED:
    case UPSTREAM_CONNECT_TIMEOUT:
    case UPSTREAM_LOCAL_CLOSE:
        return has(r, on | RETRY_ON(CONNECT_FAILURE));
    case UPSTREAM_REFUSED:
        return has(r, on | RETRY_ON(REFUSED_STREAM));
    case UPSTREAM_TERMINATED:
    case UPSTREAM_MAX_DURATION:
    case UPSTREAM_RESET:
    case UPSTREAM_PROTOCOL_ERROR:
        return has(r, on);
    }
    check_failed(__FILE__, __LINE__, "failure");
}

uint64_t retry_back_off_ms(struct retry *r, struct random_source *random, bool *ratelimited)
{
    uint64_t wait = r->wait_ms, bound = r->next_ms;
    *ratelimited = wait > 0;
    r->wait_ms = 0;
    if (*ratelimited) /* not all at the same moment: up to half as long again */
        return wait + random_below(random, wait / 2);
    r->next_ms = bound < r->policy->max_ms / 2 ? bound * 2 : r->policy->max_ms;
    return random_below(random, bound);
}
