#include "config/listener_filter_decode.h"

#include "config/decode_util.h"
#include "config/typed.h"
#include "envoy/config/listener/v3/listener.upb.h"
#include "envoy/config/listener/v3/listener_components.upb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.upb.h"
#include "envoy/type/v3/range.upb.h"

#define LISTENER(f) envoy_config_listener_v3_Listener_##f
#define FILTER(f) envoy_config_listener_v3_ListenerFilter_##f
#define MATCH(f) envoy_config_listener_v3_ListenerFilterChainMatchPredicate_##f
#define TLS(f) envoy_extensions_filters_listener_tls_inspector_v3_TlsInspector_##f

typedef envoy_config_listener_v3_ListenerFilterChainMatchPredicate match_msg;

enum { TIMEOUT_MS = 15000, HELLO_MAX = 16 * 1024, DEPTH_MAX = 10 };

static const char inspector[] = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";

static bool take_match(struct arena *a, const match_msg *m, unsigned depth,
                       struct listener_match *out, struct error *err);

static bool take_set(struct arena *a, const match_msg *const *rules, size_t n, unsigned depth,
                     struct listener_match *out, struct error *err)
{
    struct listener_match *list = ARENA_ARRAY(a, struct listener_match, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (!take_match(a, rules[i], depth + 1, &list[i], err))
            return error_prefix(err, "rules[%zu]: ", i);
    }
    out->rules = list;
    out->n_rules = (unsigned)n;
    return true;
}

static bool take_match(struct arena *a, const match_msg *m, unsigned depth,
                       struct listener_match *out, struct error *err)
{
    size_t n;
    if (depth > DEPTH_MAX)
        return error_set(err, "more than %d levels", DEPTH_MAX);
    switch (MATCH(rule_case)(m)) {
    case MATCH(rule_any_match):
        out->kind = LISTENER_MATCH_ANY;
        return true;
    case MATCH(rule_not_match): {
        const match_msg *inner = MATCH(not_match)(m);
        out->kind = LISTENER_MATCH_NOT;
        return take_set(a, &inner, 1, depth, out, err);
    }
    case MATCH(rule_and_match): {
        const match_msg *const *rules = MATCH(MatchSet_rules)(MATCH(and_match)(m), &n);
        out->kind = LISTENER_MATCH_AND;
        return take_set(a, rules, n, depth, out, err);
    }
    case MATCH(rule_or_match): {
        const match_msg *const *rules = MATCH(MatchSet_rules)(MATCH(or_match)(m), &n);
        out->kind = LISTENER_MATCH_OR;
        return take_set(a, rules, n, depth, out, err);
    }
    case MATCH(rule_destination_port_range): {
        const envoy_type_v3_Int32Range *r = MATCH(destination_port_range)(m);
        out->kind = LISTENER_MATCH_PORTS;
        out->from = envoy_type_v3_Int32Range_start(r);
        out->to = envoy_type_v3_Int32Range_end(r);
        return true;
    }
    case MATCH(rule_NOT_SET):
        break;
    }
    return error_set(err, "expected a rule");
}

static bool take_inspector(struct bytes wire, struct listener_filters *out, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    const envoy_extensions_filters_listener_tls_inspector_v3_TlsInspector *m =
        TLS(parse)(wire.data, wire.len, arena);
    bool ok = m != NULL || error_set(err, "the bytes are no TlsInspector");
    if (ok) {
        uint32_t max = upb_u32(TLS(max_client_hello_size)(m), HELLO_MAX);
        out->tls_inspector = true;
        out->max_client_hello = max < HELLO_MAX ? max : HELLO_MAX;
        out->ja3 = upb_bool(TLS(enable_ja3_fingerprinting)(m), false);
        out->ja4 = upb_bool(TLS(enable_ja4_fingerprinting)(m), false);
        out->close_on_bad_hello = TLS(close_connection_on_client_hello_parsing_errors)(m);
    }
    upb_Arena_Free(arena);
    return ok;
}

static bool take_filter(struct decode_context *ctx, struct arena *a,
                        const envoy_config_listener_v3_ListenerFilter *f,
                        struct listener_filters *out, struct error *err)
{
    struct typed t;
    if (FILTER(config_discovery)(f))
        return error_set(err, "config_discovery is not implemented");
    if (!take_any(ctx, a, FILTER(typed_config)(f), &t, err))
        return false;
    struct bytes name = upb_bytes(FILTER(name)(f));
    if (!bytes_eq_str(t.type_name, inspector))
        return error_set(err,
                         "Didn't find a registered implementation for '%.*s' with type URL: "
                         "'%.*s'",
                         BYTES_ARG(name), BYTES_ARG(t.type_name));
    const match_msg *disabled = FILTER(filter_disabled)(f);
    if (disabled) {
        struct listener_match *match = ARENA_NEW(a, struct listener_match);
        if (!take_match(a, disabled, 0, match, err))
            return error_prefix(err, "filter_disabled: ");
        out->disabled = match;
    }
    return take_inspector(t.value, out, err);
}

bool listener_filters_decode(struct decode_context *ctx, struct arena *a,
                             const struct envoy_config_listener_v3_Listener *m,
                             struct listener_filters *out, struct error *err)
{
    size_t n;
    const envoy_config_listener_v3_ListenerFilter *const *list = LISTENER(listener_filters)(m, &n);
    out->timeout_ms = TIMEOUT_MS;
    if (!take_limit_ms(LISTENER(listener_filters_timeout)(m), "listener_filters_timeout",
                       &out->timeout_ms, err))
        return false;
    out->continue_on_timeout = LISTENER(continue_on_listener_filters_timeout)(m);
    for (size_t i = 0; i < n; i++) {
        if (!take_filter(ctx, a, list[i], out, err))
            return error_prefix(err, "listener_filters[%zu]: ", i);
    }
    return true;
}

static bool matches(const struct listener_match *m, uint16_t port)
{
    bool all = m->kind == LISTENER_MATCH_AND;
    switch (m->kind) {
    case LISTENER_MATCH_ANY:
        return true;
    case LISTENER_MATCH_NOT:
        return !matches(&m->rules[0], port);
    case LISTENER_MATCH_PORTS:
        return port >= m->from && port < m->to;
    case LISTENER_MATCH_AND:
    case LISTENER_MATCH_OR:
        break;
    }
    for (unsigned i = 0; i < m->n_rules; i++) {
        if (matches(&m->rules[i], port) != all)
            return !all;
    }
    return all;
}

bool listener_filters_inspect(const struct listener_filters *f, uint16_t port)
{
    return f->tls_inspector && !(f->disabled && matches(f->disabled, port));
}
