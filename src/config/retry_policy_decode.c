#include "config/retry_policy.h"

#include "config/decode_util.h"
#include "config/metadata.h"
#include "config/route.h"
#include "config/typed.h"
#include "config/upb_util.h"
#include "config/wire_slice.h"
#include "envoy/config/core/v3/extension.upb.h"
#include "envoy/config/route/v3/route_components.upb.h"
#include "google/protobuf/any.upb.h"

#define RP(x) envoy_config_route_v3_RetryPolicy_##x
#define PREVIOUS_HOSTS "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
#define OMIT_CANARY_HOSTS                                                                          \
    "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate"
#define OMIT_HOST_METADATA                                                                         \
    "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig"
#define PREVIOUS_PRIORITIES                                                                        \
    "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"

enum {
    BASE_MS = 25,
    MAX_TIMES_BASE = 10,
    RESET_MAX_MS = 300000,
    NUM_RETRIES = 1,
    HOST_RETRIES = 1,
    HOST_RETRIES_MAX = 1000, /* each costs a pick */
    FIELD_UPDATE_FREQUENCY = 1,
    FIELD_METADATA_MATCH = 1,
};

const struct retry_policy retry_policy_none = {
    .num_retries = NUM_RETRIES,
    .base_ms = BASE_MS,
    .max_ms = BASE_MS * MAX_TIMES_BASE,
    .host_retries = HOST_RETRIES,
};

static const struct bytes on_words[] = {
#define X(id, word) [RETRY_ON_##id] = {word, sizeof(word) - 1},
    RETRY_ON_LIST(X) RETRY_ON_GRPC_LIST(X)
#undef X
};

static uint32_t parse(struct bytes words, unsigned from, unsigned to)
{
    uint32_t on = 0;
    while (words.data) {
        struct bytes word = bytes_trim(bytes_split(&words, ','));
        for (unsigned i = from; i < to; i++)
            on |= bytes_eq(word, on_words[i]) ? 1u << i : 0;
    }
    return on;
}

bool retry_on_all_known(struct bytes words, bool grpc)
{
    while (words.data) {
        struct bytes word = bytes_trim(bytes_split(&words, ','));
        if (word.len && !(grpc ? retry_on_parse_grpc(word) : retry_on_parse(word)))
            return false;
    }
    return true;
}

uint32_t retry_on_parse(struct bytes words)
{
    return parse(words, 0, RETRY_ON_CANCELLED);
}

uint32_t retry_on_parse_grpc(struct bytes words)
{
    return parse(words, RETRY_ON_CANCELLED, N_RETRY_ON);
}

static bool take_back_off(const envoy_config_route_v3_RetryPolicy *m, struct retry_policy *p,
                          struct error *err)
{
    const envoy_config_route_v3_RetryPolicy_RetryBackOff *b = RP(retry_back_off)(m);
    p->base_ms = BASE_MS;
    if (b) {
        if (!RP(RetryBackOff_base_interval)(b))
            return error_set(err, "retry_back_off.base_interval: value is required");
        p->base_ms = upb_duration_ms(RP(RetryBackOff_base_interval)(b), 0);
        if (p->base_ms == 0)
            return error_set(err, "retry_back_off.base_interval: value must be greater than 0s");
    }
    p->max_ms = p->base_ms * MAX_TIMES_BASE;
    if (b && RP(RetryBackOff_max_interval)(b)) {
        p->max_ms = upb_duration_ms(RP(RetryBackOff_max_interval)(b), 0);
        if (p->max_ms < p->base_ms)
            return error_set(err, "retry_back_off: retry_policy.max_interval must greater than or "
                                  "equal to the base_interval");
    }
    return true;
}

static bool take_reset_headers(const envoy_config_route_v3_RetryPolicy *m, struct arena *a,
                               struct retry_policy *p, struct error *err)
{
    const envoy_config_route_v3_RetryPolicy_RateLimitedRetryBackOff *b =
        RP(rate_limited_retry_back_off)(m);
    size_t n;
    p->reset_max_ms = RESET_MAX_MS;
    if (!b)
        return true;
    p->reset_max_ms = upb_duration_ms(RP(RateLimitedRetryBackOff_max_interval)(b), RESET_MAX_MS);
    const envoy_config_route_v3_RetryPolicy_ResetHeader *const *list =
        RP(RateLimitedRetryBackOff_reset_headers)(b, &n);
    if (n == 0)
        return error_set(err, "rate_limited_retry_back_off.reset_headers: value must contain at "
                              "least 1 item(s)");
    p->reset_headers = ARENA_ARRAY(a, struct retry_reset_header, n);
    for (size_t i = 0; i < n; i++) {
        int format = RP(ResetHeader_format)(list[i]);
        if (format != RP(SECONDS) && format != RP(UNIX_TIMESTAMP))
            return error_set(err,
                             "rate_limited_retry_back_off.reset_headers[%zu].format: %d is not a "
                             "defined value",
                             i, format);
        p->reset_headers[i].name = upb_lower(RP(ResetHeader_name)(list[i]), a);
        p->reset_headers[i].timestamp = format == RP(UNIX_TIMESTAMP);
    }
    p->n_reset_headers = (uint32_t)n;
    return true;
}

static bool take_matchers(const envoy_config_route_v3_HeaderMatcher *const *list, size_t n,
                          struct arena *a, struct regex_list *regexes, struct header_matcher **out,
                          struct error *err)
{
    *out = n ? ARENA_ARRAY(a, struct header_matcher, n) : NULL;
    for (size_t i = 0; i < n; i++) {
        if (!header_matcher_decode(list[i], a, regexes, &(*out)[i], err))
            return error_prefix(err, "[%zu].", i);
    }
    return true;
}

static bool take_headers(const envoy_config_route_v3_RetryPolicy *m, struct arena *a,
                         struct retry_policy *p, struct error *err)
{
    size_t n;
    const envoy_config_route_v3_HeaderMatcher *const *list = RP(retriable_headers)(m, &n);
    p->n_headers = (uint32_t)n;
    if (!take_matchers(list, n, a, &p->regexes, &p->headers, err))
        return error_prefix(err, "retriable_headers");
    list = RP(retriable_request_headers)(m, &n);
    p->n_request_headers = (uint32_t)n;
    return take_matchers(list, n, a, &p->regexes, &p->request_headers, err) ||
           error_prefix(err, "retriable_request_headers");
}

static void take_codes(const envoy_config_route_v3_RetryPolicy *m, struct arena *a,
                       struct retry_policy *p)
{
    size_t n;
    uint32_t const *list = RP(retriable_status_codes)(m, &n);
    uint32_t *codes = n ? ARENA_ARRAY(a, uint32_t, n) : NULL;
    for (size_t i = 0; i < n; i++)
        codes[i] = list[i];
    p->codes = codes;
    p->n_codes = (uint32_t)n;
}

/* The type and the bytes of an extension. */
static bool take_typed(struct route_decode_context *ctx, struct arena *a,
                       const google_protobuf_Any *any, struct typed *t, struct error *err)
{
    *t = (struct typed){BYTES(""), BYTES(""), BYTES("")};
    return !any || typed_unwrap(ctx->descriptors, upb_bytes(google_protobuf_Any_type_url(any)),
                                upb_bytes(google_protobuf_Any_value(any)), a, t, err);
}

static bool not_registered(upb_StringView name, const struct typed *t, struct error *err)
{
    return error_set(err,
                     "Didn't find a registered implementation for '%.*s' with type URL: '%.*s'",
                     BYTES_ARG(upb_bytes(name)), BYTES_ARG(t->type_name));
}

static bool take_predicate(struct route_decode_context *ctx, struct arena *a,
                           const envoy_config_route_v3_RetryPolicy_RetryHostPredicate *m,
                           struct retry_policy *p, struct bytes *omit, struct error *err)
{
    struct typed t;
    if (!take_typed(ctx, a, RP(RetryHostPredicate_typed_config)(m), &t, err))
        return false;
    if (bytes_eq_str(t.type_name, PREVIOUS_HOSTS)) {
        p->previous_hosts = true;
    } else if (bytes_eq_str(t.type_name, OMIT_CANARY_HOSTS)) {
        p->omit_canary = true;
    } else if (bytes_eq_str(t.type_name, OMIT_HOST_METADATA)) {
        struct bytes match = wire_message(a, t.value, FIELD_METADATA_MATCH);
        struct bytes labels = arena_dup(a, metadata_filter(match, METADATA_LB));
        if (labels.len > 0) /* none: nothing is left out */
            omit[p->n_omit_labels++] = labels;
    } else {
        return not_registered(RP(RetryHostPredicate_name)(m), &t, err);
    }
    return true;
}

static bool take_predicates(struct route_decode_context *ctx, struct arena *a,
                            const envoy_config_route_v3_RetryPolicy *m, struct retry_policy *p,
                            struct error *err)
{
    size_t n;
    const envoy_config_route_v3_RetryPolicy_RetryHostPredicate *const *list =
        RP(retry_host_predicate)(m, &n);
    struct bytes *omit = n ? ARENA_ARRAY(a, struct bytes, n) : NULL;
    p->omit_labels = omit;
    for (size_t i = 0; i < n; i++) {
        if (!take_predicate(ctx, a, list[i], p, omit, err))
            return error_prefix(err, "retry_host_predicate[%zu]: ", i);
    }
    int64_t times = RP(host_selection_retry_max_attempts)(m);
    p->host_retries = times > HOST_RETRIES_MAX ? HOST_RETRIES_MAX
                      : times > 0              ? (uint32_t)times
                                               : HOST_RETRIES;
    if (RP(retry_options_predicates)(m, &n) && n > 0)
        return error_set(err, "retry_options_predicates: this extension is not implemented");
    return true;
}

static bool take_priority(struct route_decode_context *ctx, struct arena *a,
                          const envoy_config_route_v3_RetryPolicy *m, struct retry_policy *p,
                          struct error *err)
{
    const envoy_config_route_v3_RetryPolicy_RetryPriority *r = RP(retry_priority)(m);
    struct typed t;
    if (!r)
        return true;
    if (!take_typed(ctx, a, RP(RetryPriority_typed_config)(r), &t, err))
        return error_prefix(err, "retry_priority: ");
    if (!bytes_eq_str(t.type_name, PREVIOUS_PRIORITIES)) {
        not_registered(RP(RetryPriority_name)(r), &t, err);
        return error_prefix(err, "retry_priority: ");
    }
    int32_t frequency = (int32_t)wire_find_varint(t.value, FIELD_UPDATE_FREQUENCY, 0);
    if (frequency <= 0)
        return error_set(err, "retry_priority.update_frequency: value must be greater than 0");
    p->priority_frequency = (uint32_t)frequency;
    return true;
}

struct retry_policy *retry_policy_decode(struct route_decode_context *ctx, struct arena *a,
                                         const envoy_config_route_v3_RetryPolicy *m,
                                         struct error *err)
{
    struct retry_policy *p = ARENA_NEW(a, struct retry_policy);
    struct bytes on = upb_bytes(RP(retry_on)(m));
    p->on = retry_on_parse(on) | retry_on_parse_grpc(on);
    p->num_retries = upb_u32(RP(num_retries)(m), NUM_RETRIES);
    take_codes(m, a, p);
    if (take_limit_ms(RP(per_try_timeout)(m), "per_try_timeout", &p->per_try_timeout_ms, err) &&
        take_limit_ms(RP(per_try_idle_timeout)(m), "per_try_idle_timeout",
                      &p->per_try_idle_timeout_ms, err) &&
        take_back_off(m, p, err) && take_reset_headers(m, a, p, err) &&
        take_headers(m, a, p, err) && take_predicates(ctx, a, m, p, err) &&
        take_priority(ctx, a, m, p, err))
        return p;
    retry_policy_fini(p);
    return NULL;
}

void retry_policy_fini(const struct retry_policy *p)
{
    if (p && p->regexes.first)
        regex_list_fini((struct regex_list *)&p->regexes);
}
