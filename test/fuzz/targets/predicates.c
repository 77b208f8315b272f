/* Conditions of the configuration that the data plane asks: the filters of an access log about a
 * request that is over, and where a listener filter does not apply. Compiled, they say what a plain
 * reading of the message says.
 *
 *     which, what is known of the request (12), bytes of the condition; at most 700 bytes */
#include <envoy/config/accesslog/v3/accesslog.upb.h>
#include <envoy/config/core/v3/base.upb.h>
#include <envoy/config/listener/v3/listener.upb.h>
#include <envoy/config/listener/v3/listener_components.upb.h>
#include <envoy/config/route/v3/route_components.upb.h>
#include <envoy/type/v3/percent.upb.h>
#include <envoy/type/v3/range.upb.h>
#include <stdio.h>
#include <stdlib.h>

#include "../config_world.h"
#include "../proto.h"
#include "config/access_log_filter_decode.h"
#include "config/json_read.h"
#include "config/listener_filter_decode.h"
#include "config/validate.h"
#include "config/wire.h"
#include "config/yaml.h"

#define FILTER "envoy.config.accesslog.v3.AccessLogFilter"
#define PREDICATE "envoy.config.listener.v3.ListenerFilterChainMatchPredicate"
#define INSPECTOR                                                                                  \
    "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
#define AL(f) envoy_config_accesslog_v3_##f
#define ASKS(f) envoy_config_accesslog_v3_AccessLogFilter_##f
#define MATCH(f) envoy_config_listener_v3_ListenerFilterChainMatchPredicate_##f

enum { KNOWN = 12, LISTENER_FILTERS = 9, FILTER_NAME = 1, FILTER_TYPED = 3, FILTER_DISABLED = 4 };

typedef envoy_config_accesslog_v3_AccessLogFilter filter_msg;
typedef envoy_config_listener_v3_ListenerFilterChainMatchPredicate match_msg;

static struct config_world *world;

/* Where mutations begin. */
static const char *const filters[] = {
    "{status_code_filter: {comparison: {op: GE, value: {default_value: 200, runtime_key: k}}}}",
    "{duration_filter: {comparison: {op: LE, value: {default_value: 5, runtime_key: k}}}}",
    "{status_code_filter: {comparison: {op: NE, value: {default_value: 7, runtime_key: k}}}}",
    "{and_filter: {filters: [{not_health_check_filter: {}}, {traceable_filter: {}}]}}",
    "{or_filter: {filters: [{header_filter: {header: {name: x, string_match: {exact: a}}}}, {"
    "log_type_filter: {types: [DownstreamEnd], exclude: true}}]}}",
    "{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 50, denominator: HUNDRED}}}",
    "{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 7, denominator: MILLION}, "
    "use_independent_randomness: true}}",
    "{response_flag_filter: {flags: [UH, NR]}}",
    "{response_flag_filter: {}}",
    "{grpc_status_filter: {statuses: [UNAVAILABLE, OK]}}",
    "{log_type_filter: {types: [DownstreamStart]}}",
    "{metadata_filter: {}}",
    "{extension_filter: {name: x}}",
};
static const char *const predicates[] = {
    "{any_match: true}",
    "{not_match: {destination_port_range: {start: 3, end: 9}}}",
    "{and_match: {rules: [{any_match: true}, {destination_port_range: {start: 1, end: 5}}]}}",
    "{or_match: {rules: [{destination_port_range: {start: 8, end: 9}}, {not_match: {}}]}}",
};

static void setup(void)
{
    static struct config_world w;
    config_world_setup();
    config_world_init(&w, false);
    world = &w;
}

/* ---- access logs ---- */

struct known {
    struct access_log_subject subject;
    struct strbuf flags;
    struct bytes header; /* data NULL: none */
    struct random_source random;
    char id[9];
};

static const char *const flag_names[] = {"UH", "NR", "DC", "UF"};

static bool header_value(const void *ctx, struct bytes name, uint32_t *at, struct bytes *value)
{
    const struct known *k = ctx;
    if ((*at)++ || !k->header.data || !bytes_eq(name, BYTES("x")))
        return false;
    *value = k->header;
    return true;
}

static void known_read(struct known *k, struct fuzz_in *in)
{
    static const char *const headers[] = {NULL, "a", "", "b"};
    uint8_t flags, bits;
    *k = (struct known){.flags = STRBUF_INIT};
    k->subject.status = fuzz_u8(in) * 4u;
    k->subject.duration_ms = fuzz_u8(in);
    k->subject.grpc_status = fuzz_u8(in) % 20 - 1;
    k->subject.log_type = fuzz_u8(in) % 12;
    flags = fuzz_u8(in);
    bits = fuzz_u8(in);
    for (unsigned i = 0; i < ARRAY_SIZE(flag_names); i++)
        if (flags >> i & 1)
            strbuf_printf(&k->flags, "%s%s", k->flags.len ? "," : "", flag_names[i]);
    k->subject.response_flags = strbuf_bytes(&k->flags);
    k->subject.health_check = bits & 1;
    k->subject.traceable = bits & 2;
    const char *header = headers[bits >> 2 & 3];
    k->header = header ? bytes_of(header) : BYTES_NONE;
    if (bits & 16)
        k->subject.random = &k->random;
    random_seed(&k->random, bits);
    uint32_t id = 0;
    for (unsigned i = 0; i < 4; i++)
        id = id << 8 | fuzz_u8(in);
    snprintf(k->id, sizeof(k->id), bits & 32 ? "%08x" : "%08X", id);
    unsigned cut = fuzz_u8(in);
    k->subject.request_id = bytes_first(bytes_of(k->id), cut < 64 ? cut : 8);
    if (bits & 64)
        k->id[cut % 8] = 'g'; /* no digit */
    k->subject.request_header = header_value;
    k->subject.ctx = k;
    (void)fuzz_u8(in);
}

enum answer { NO, YES, EITHER };

static enum answer yes(bool b)
{
    return b ? YES : NO;
}

static enum answer compare(const AL(ComparisonFilter) * c, uint64_t actual)
{
    uint32_t v = envoy_config_core_v3_RuntimeUInt32_default_value(AL(ComparisonFilter_value)(c));
    int32_t op = AL(ComparisonFilter_op)(c);
    return yes(op == AL(ComparisonFilter_EQ)   ? actual == v
               : op == AL(ComparisonFilter_GE) ? actual >= v
               : op == AL(ComparisonFilter_LE) ? actual <= v
                                               : actual != v);
}

static enum answer sampled(const AL(RuntimeFilter) * r, const struct known *k)
{
    const envoy_type_v3_FractionalPercent *p = AL(RuntimeFilter_percent_sampled)(r);
    uint64_t of = 100, n = p ? envoy_type_v3_FractionalPercent_numerator(p) : 0;
    for (int i = p ? envoy_type_v3_FractionalPercent_denominator(p) : 0; i > 0; i--)
        of *= 100;
    struct bytes id = k->subject.request_id;
    bool digits = id.len >= 8 && !memchr(id.data, 'g', 8);
    if (digits && !AL(RuntimeFilter_use_independent_randomness)(r))
        return yes(strtoull(k->id, NULL, 16) % of < n);
    return n == 0 ? NO : n >= of ? YES : k->subject.random ? EITHER : NO;
}

static enum answer flagged(const AL(ResponseFlagFilter) * f, const struct known *k)
{
    size_t n;
    upb_StringView const *list = AL(ResponseFlagFilter_flags)(f, &n);
    struct bytes rest = k->subject.response_flags, one;
    if (n == 0)
        return yes(rest.len);
    while (rest.len) {
        one = bytes_split(&rest, ',');
        for (size_t i = 0; i < n; i++)
            if (bytes_eq(one, bytes_from(list[i].data, list[i].size)))
                return YES;
    }
    return NO;
}

static enum answer numbered(const int32_t *list, size_t n, int number, bool exclude)
{
    size_t i = 0;
    while (i < n && list[i] != number)
        i++;
    return yes((i < n) != exclude);
}

static enum answer with_header(const filter_msg *m, const struct known *k)
{
    struct arena *a = arena_new(0);
    struct regex_list regexes = {NULL};
    struct header_matcher h = {0};
    struct error err = ERROR_INIT;
    bool ok = header_matcher_decode(AL(HeaderFilter_header)(ASKS(header_filter)(m)), a, &regexes,
                                    &h, &err);
    FUZZ_CHECK(ok, "compiled before: %s", error_text(&err));
    enum answer is = yes(header_matcher_match(&h, header_value, k));
    regex_list_fini(&regexes);
    arena_free(&a);
    return is;
}

static enum answer plain(const filter_msg *m, const struct known *k);

static enum answer several(const filter_msg *const *list, size_t n, const struct known *k, bool all)
{
    enum answer is = yes(all);
    for (size_t i = 0; i < n; i++) {
        enum answer one = plain(list[i], k);
        if (one == yes(!all))
            return one;
        is = one == EITHER ? EITHER : is;
    }
    return is;
}

static enum answer plain(const filter_msg *m, const struct known *k)
{
    size_t n = 0;
    if (ASKS(has_status_code_filter)(m))
        return compare(AL(StatusCodeFilter_comparison)(ASKS(status_code_filter)(m)),
                       k->subject.status);
    if (ASKS(has_duration_filter)(m))
        return compare(AL(DurationFilter_comparison)(ASKS(duration_filter)(m)),
                       k->subject.duration_ms);
    if (ASKS(has_not_health_check_filter)(m))
        return yes(!k->subject.health_check);
    if (ASKS(has_traceable_filter)(m))
        return yes(k->subject.traceable);
    if (ASKS(has_runtime_filter)(m))
        return sampled(ASKS(runtime_filter)(m), k);
    if (ASKS(has_response_flag_filter)(m))
        return flagged(ASKS(response_flag_filter)(m), k);
    if (ASKS(has_header_filter)(m))
        return with_header(m, k);
    if (ASKS(has_grpc_status_filter)(m)) {
        const AL(GrpcStatusFilter) *g = ASKS(grpc_status_filter)(m);
        const int32_t *list = AL(GrpcStatusFilter_statuses)(g, &n);
        return numbered(list, n, k->subject.grpc_status, AL(GrpcStatusFilter_exclude)(g));
    }
    if (ASKS(has_log_type_filter)(m)) {
        const AL(LogTypeFilter) *t = ASKS(log_type_filter)(m);
        const int32_t *list = AL(LogTypeFilter_types)(t, &n);
        return numbered(list, n, k->subject.log_type, AL(LogTypeFilter_exclude)(t));
    }
    if (ASKS(has_and_filter)(m)) {
        const filter_msg *const *list = AL(AndFilter_filters)(ASKS(and_filter)(m), &n);
        return several(list, n, k, true);
    }
    FUZZ_CHECK(ASKS(has_or_filter)(m), "compiled, but what is it?");
    const filter_msg *const *list = AL(OrFilter_filters)(ASKS(or_filter)(m), &n);
    return several(list, n, k, false);
}

static bool valid(const char *message, struct bytes wire)
{
    struct error err = ERROR_INIT;
    bool ok = validate_message(world_validator, bytes_of(message), wire, &err);
    error_fini(&err);
    return ok;
}

static void access_log(struct fuzz_in *in, upb_Arena *upb, struct arena *a)
{
    struct regex_list regexes = {NULL};
    struct access_log_cell *cells = NULL;
    struct access_log_filter_home home = {a, &regexes, &cells, NULL};
    struct error err = ERROR_INIT;
    struct known k;
    known_read(&k, in);
    const filter_msg *m = ASKS(parse)(in->rest.data, in->rest.len, upb);
    struct access_log_filter *f = m ? access_log_filter_decode(m, &home, &err) : NULL;
    FUZZ_CHECK(!m || !f == error_is_set(&err), "an error or none");
    if (f) {
        bool pass = access_log_filter_pass(f, &k.subject);
        enum answer is = valid(FILTER, in->rest) ? plain(m, &k) : EITHER;
        FUZZ_CHECK(is == EITHER || is == yes(pass), "it says %d", pass);
    }
    FUZZ_CHECK(access_log_filter_pass(NULL, &k.subject), "no filter is no filter");
    error_fini(&err);
    regex_list_fini(&regexes);
    strbuf_fini(&k.flags);
}

/* ---- listener filters ---- */

static bool applies(const match_msg *m, uint16_t port)
{
    size_t n = 0;
    if (MATCH(has_any_match)(m))
        return true;
    if (MATCH(has_not_match)(m))
        return !applies(MATCH(not_match)(m), port);
    if (MATCH(has_destination_port_range)(m)) {
        const envoy_type_v3_Int32Range *r = MATCH(destination_port_range)(m);
        return port >= envoy_type_v3_Int32Range_start(r) && port < envoy_type_v3_Int32Range_end(r);
    }
    bool all = MATCH(has_and_match)(m);
    const match_msg *const *rules = all ? MATCH(MatchSet_rules)(MATCH(and_match)(m), &n)
                                        : MATCH(MatchSet_rules)(MATCH(or_match)(m), &n);
    unsigned matched = 0;
    for (size_t i = 0; i < n; i++)
        matched += applies(rules[i], port);
    return all ? matched == n : matched > 0;
}

/* A listener whose only filter is disabled there. */
static void put_listener(struct bytes predicate, struct strbuf *out)
{
    struct strbuf any = STRBUF_INIT, filter = STRBUF_INIT;
    wire_put_bytes(&any, 1, BYTES(INSPECTOR));
    wire_put_bytes(&filter, FILTER_NAME, BYTES("f"));
    wire_put_bytes(&filter, FILTER_TYPED, strbuf_bytes(&any));
    wire_put_bytes(&filter, FILTER_DISABLED, predicate);
    wire_put_bytes(out, LISTENER_FILTERS, strbuf_bytes(&filter));
    strbuf_fini(&any);
    strbuf_fini(&filter);
}

static void listener(struct bytes wire, upb_Arena *upb, struct arena *a)
{
    static const uint16_t ports[] = {0, 1, 4, 5, 8, 9, 80, 81, 100, 443, 8080, 65535};
    struct strbuf text = STRBUF_INIT;
    struct listener_filters f = {0};
    struct error err = ERROR_INIT;
    const match_msg *m = MATCH(parse)(wire.data, wire.len, upb);
    put_listener(wire, &text);
    const envoy_config_listener_v3_Listener *l =
        m ? envoy_config_listener_v3_Listener_parse(text.data, text.len, upb) : NULL;
    bool ok = l && listener_filters_decode(builder_decode_context(world->builder), a, l, &f, &err);
    FUZZ_CHECK(ok || !l || error_is_set(&err), "refused without a word");
    for (unsigned i = 0; ok && i < ARRAY_SIZE(ports); i++)
        FUZZ_CHECK(listener_filters_inspect(&f, ports[i]) != applies(m, ports[i]), "at port %u",
                   ports[i]);
    error_fini(&err);
    strbuf_fini(&text);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    upb_Arena *upb = upb_Arena_New();
    struct arena *a = arena_new(0);
    if (fuzz_bool(&in))
        listener(bytes_skip(in.rest, KNOWN), upb, a);
    else
        access_log(&in, upb, a);
    arena_free(&a);
    upb_Arena_Free(upb);
}

static void add_template(struct random_source *random, bool is_filter, struct strbuf *out)
{
    const char *text = is_filter ? filters[random_below(random, ARRAY_SIZE(filters))]
                                 : predicates[random_below(random, ARRAY_SIZE(predicates))];
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    struct bytes wire;
    struct yaml_node *n = yaml_parse(a, "template", bytes_of(text), &err);
    bool ok = n && json_read(world_descriptors, n, is_filter ? BYTES(FILTER) : BYTES(PREDICATE),
                             NULL, a, &wire, &err);
    FUZZ_CHECK(ok, "%s", error_text(&err));
    strbuf_add_bytes(out, wire);
    arena_free(&a);
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    struct fuzz_in in = {input};
    bool anew = input.len < 1 + KNOWN || random_below(random, 40) == 0;
    uint8_t which = anew ? (uint8_t)random_u64(random) : fuzz_u8(&in);
    struct bytes known = fuzz_take(&in, KNOWN);
    bool change = random_below(random, 3) == 0;
    strbuf_add_char(out, (char)which);
    for (size_t i = 0; i < KNOWN; i++) {
        bool other = anew || (change && random_below(random, 4) == 0);
        strbuf_add_char(out, other ? (char)random_u64(random) : known.data[i]);
    }
    if (anew)
        add_template(random, !(which & 1), out);
    else if (change)
        strbuf_add_bytes(out, in.rest);
    else
        proto_mutate(world_descriptors, random, which & 1 ? BYTES(PREDICATE) : BYTES(FILTER),
                     in.rest, out);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = setup, .mutate = mutate};
