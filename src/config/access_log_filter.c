#include "config/access_log_filter.h"

#include "base/random.h"
#include "config/access_log.h"
#include "config/access_log_filter_decode.h"
#include "config/runtime.h"
#include "config/upb_util.h"
#include "envoy/config/accesslog/v3/accesslog.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/route/v3/route_components.upb.h"
#include "envoy/type/v3/percent.upb.h"

#define AL(f) envoy_config_accesslog_v3_##f
#define FILTER(f) envoy_config_accesslog_v3_AccessLogFilter_##f

typedef envoy_config_accesslog_v3_AccessLogFilter filter_msg;
typedef envoy_config_accesslog_v3_ComparisonFilter comparison_msg;

enum filter_kind {
    FILTER_STATUS,
    FILTER_DURATION,
    FILTER_NOT_HEALTH_CHECK,
    FILTER_TRACEABLE,
    FILTER_FRACTION,
    FILTER_AND,
    FILTER_OR,
    FILTER_HEADER,
    FILTER_FLAGS,
    FILTER_GRPC_STATUS,
    FILTER_LOG_TYPE,
};

struct access_log_filter {
    enum filter_kind kind;
    int32_t op; /* comparison */
    uint32_t value;
    struct fraction fraction;
    struct runtime_cell *cell; /* of value or fraction; NULL: no key */
    bool independent;          /* of the request's ID */
    bool exclude;
    struct header_matcher header;
    struct bytes *flags; /* FILTER_FLAGS: none = any flag */
    int32_t *numbers;    /* gRPC statuses or types of logs */
    const struct access_log_filter *const *children;
    unsigned n; /* of flags, numbers or children */
};

/* Kept until the access log goes. */
static struct runtime_cell *take_key(const struct access_log_filter_home *home, upb_StringView key)
{
    struct runtime_cell *cell = runtime_cell_get(home->runtime, upb_bytes(key));
    if (!cell)
        return NULL;
    struct access_log_cell *kept = ARENA_NEW(home->arena, struct access_log_cell);
    *kept = (struct access_log_cell){*home->cells, cell};
    *home->cells = kept;
    return cell;
}

static bool take_comparison(struct access_log_filter *f, enum filter_kind kind,
                            const comparison_msg *m, const struct access_log_filter_home *home,
                            struct error *err)
{
    const envoy_config_core_v3_RuntimeUInt32 *v = m ? AL(ComparisonFilter_value)(m) : NULL;
    if (!v)
        return error_set(err, "comparison.value is missing");
    f->kind = kind;
    f->op = AL(ComparisonFilter_op)(m);
    f->value = envoy_config_core_v3_RuntimeUInt32_default_value(v);
    f->cell = take_key(home, envoy_config_core_v3_RuntimeUInt32_runtime_key(v));
    if (f->op < AL(ComparisonFilter_EQ) || f->op > AL(ComparisonFilter_NE))
        return error_set(err, "comparison.op: %d is not known", f->op);
    return true;
}

static bool take_fraction(struct access_log_filter *f, const filter_msg *m,
                          const struct access_log_filter_home *home, struct error *err)
{
    static const uint32_t denominators[] = {100, 10000, 1000000};
    const AL(RuntimeFilter) *r = FILTER(runtime_filter)(m);
    const envoy_type_v3_FractionalPercent *p = AL(RuntimeFilter_percent_sampled)(r);
    int32_t d = p ? envoy_type_v3_FractionalPercent_denominator(p) : 0;
    if (d < 0 || d >= (int32_t)ARRAY_SIZE(denominators))
        return error_set(err, "runtime_filter.percent_sampled.denominator is not known");
    f->kind = FILTER_FRACTION;
    f->fraction.denominator = denominators[d];
    f->fraction.numerator = p ? envoy_type_v3_FractionalPercent_numerator(p) : 0;
    f->independent = AL(RuntimeFilter_use_independent_randomness)(r);
    f->cell = take_key(home, AL(RuntimeFilter_runtime_key)(r));
    return true;
}

static bool take_children(struct access_log_filter *f, enum filter_kind kind,
                          const filter_msg *const *list, size_t n,
                          const struct access_log_filter_home *home, struct error *err)
{
    const struct access_log_filter **children =
        ARENA_ARRAY(home->arena, const struct access_log_filter *, n);
    if (n < 2)
        return error_set(err, "filters: value must contain at least 2 item(s)");
    for (size_t i = 0; i < n; i++) {
        children[i] = access_log_filter_decode(list[i], home, err);
        if (!children[i])
            return error_prefix(err, "filters[%zu].", i);
    }
    f->kind = kind;
    f->children = children;
    f->n = (unsigned)n;
    return true;
}

static void take_flags(struct access_log_filter *f, const filter_msg *m, struct arena *a)
{
    size_t n;
    upb_StringView const *flags = AL(ResponseFlagFilter_flags)(FILTER(response_flag_filter)(m), &n);
    f->kind = FILTER_FLAGS;
    f->flags = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        f->flags[i] = arena_dup(a, upb_bytes(flags[i]));
    f->n = (unsigned)n;
}

static void take_numbers(struct access_log_filter *f, enum filter_kind kind, const int32_t *numbers,
                         size_t n, bool exclude, struct arena *a)
{
    f->kind = kind;
    f->exclude = exclude;
    f->numbers = ARENA_ARRAY(a, int32_t, n ? n : 1);
    if (n)
        memcpy(f->numbers, numbers, n * sizeof(numbers[0]));
    f->n = (unsigned)n;
}

static void take_grpc(struct access_log_filter *f, const filter_msg *m, struct arena *a)
{
    size_t n;
    const envoy_config_accesslog_v3_GrpcStatusFilter *g = FILTER(grpc_status_filter)(m);
    const int32_t *statuses = AL(GrpcStatusFilter_statuses)(g, &n);
    take_numbers(f, FILTER_GRPC_STATUS, statuses, n, AL(GrpcStatusFilter_exclude)(g), a);
}

static void take_log_type(struct access_log_filter *f, const filter_msg *m, struct arena *a)
{
    size_t n;
    const envoy_config_accesslog_v3_LogTypeFilter *t = FILTER(log_type_filter)(m);
    const int32_t *types = AL(LogTypeFilter_types)(t, &n);
    take_numbers(f, FILTER_LOG_TYPE, types, n, AL(LogTypeFilter_exclude)(t), a);
}

static bool take_header(struct access_log_filter *f, const filter_msg *m,
                        const struct access_log_filter_home *home, struct error *err)
{
    const envoy_config_route_v3_HeaderMatcher *h =
        AL(HeaderFilter_header)(FILTER(header_filter)(m));
    f->kind = FILTER_HEADER;
    if (!h)
        return error_set(err, "header_filter.header: value is required");
    return header_matcher_decode(h, home->arena, home->regexes, &f->header, err) ||
           error_prefix(err, "header_filter.header.");
}

static bool take_filter(struct access_log_filter *f, const filter_msg *m,
                        const struct access_log_filter_home *home, struct error *err)
{
    struct arena *a = home->arena;
    size_t n;
    switch (FILTER(filter_specifier_case)(m)) {
    case FILTER(filter_specifier_status_code_filter):
        return take_comparison(f, FILTER_STATUS,
                               AL(StatusCodeFilter_comparison)(FILTER(status_code_filter)(m)), home,
                               err);
    case FILTER(filter_specifier_duration_filter):
        return take_comparison(f, FILTER_DURATION,
                               AL(DurationFilter_comparison)(FILTER(duration_filter)(m)), home,
                               err);
    case FILTER(filter_specifier_not_health_check_filter):
        f->kind = FILTER_NOT_HEALTH_CHECK;
        return true;
    case FILTER(filter_specifier_traceable_filter):
        f->kind = FILTER_TRACEABLE;
        return true;
    case FILTER(filter_specifier_runtime_filter):
        return take_fraction(f, m, home, err);
    case FILTER(filter_specifier_and_filter): {
        const filter_msg *const *list = AL(AndFilter_filters)(FILTER(and_filter)(m), &n);
        return take_children(f, FILTER_AND, list, n, home, err);
    }
    case FILTER(filter_specifier_or_filter): {
        const filter_msg *const *list = AL(OrFilter_filters)(FILTER(or_filter)(m), &n);
        return take_children(f, FILTER_OR, list, n, home, err);
    }
    case FILTER(filter_specifier_header_filter):
        return take_header(f, m, home, err);
    case FILTER(filter_specifier_response_flag_filter):
        take_flags(f, m, a);
        return true;
    case FILTER(filter_specifier_grpc_status_filter):
        take_grpc(f, m, a);
        return true;
    case FILTER(filter_specifier_extension_filter):
        return error_set(err, "extension_filter is not implemented");
    case FILTER(filter_specifier_metadata_filter):
        return error_set(err, "metadata_filter is not implemented");
    case FILTER(filter_specifier_log_type_filter):
        take_log_type(f, m, a);
        return true;
    case FILTER(filter_specifier_NOT_SET):
        break;
    }
    return error_set(err, "expected a filter");
}

struct access_log_filter *access_log_filter_decode(const filter_msg *m,
                                                   const struct access_log_filter_home *home,
                                                   struct error *err)
{
    struct access_log_filter *f = ARENA_NEW(home->arena, struct access_log_filter);
    return take_filter(f, m, home, err) ? f : NULL;
}

static bool compare(const struct access_log_filter *f, uint64_t actual)
{
    uint32_t value = runtime_number(f->cell, f->value);
    switch (f->op) {
    case AL(ComparisonFilter_EQ):
        return actual == value;
    case AL(ComparisonFilter_GE):
        return actual >= value;
    case AL(ComparisonFilter_LE):
        return actual <= value;
    default:
        return actual != value;
    }
}

static bool has_flag(const struct access_log_filter *f, struct bytes flags)
{
    if (f->n == 0)
        return flags.len > 0;
    while (flags.data) {
        struct bytes one = bytes_split(&flags, ',');
        for (unsigned i = 0; i < f->n; i++) {
            if (bytes_eq(one, f->flags[i]))
                return true;
        }
    }
    return false;
}

static bool number_passes(const struct access_log_filter *f, int number)
{
    bool found = false;
    for (unsigned i = 0; i < f->n; i++)
        found |= f->numbers[i] == number;
    return found != f->exclude;
}

static bool children_pass(const struct access_log_filter *f, const struct access_log_subject *s,
                          bool all)
{
    for (unsigned i = 0; i < f->n; i++) {
        if (access_log_filter_pass(f->children[i], s) != all)
            return !all;
    }
    return all;
}

/* The first eight digits of the ID, as Envoy's: the same for all who log the request. False: they
 * are no digits. */
static bool number_of_id(struct bytes id, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < 8; i++) {
        int digit = i < id.len ? hex_digit(id.data[i]) : -1;
        if (digit < 0)
            return false;
        *out = *out << 4 | (uint64_t)digit;
    }
    return true;
}

/* The key holds a number of as many parts as percent_sampled has; a fraction is no number. */
static bool is_sampled(const struct access_log_filter *f, const struct access_log_subject *s)
{
    uint32_t numerator = runtime_number(f->cell, f->fraction.numerator);
    uint64_t value;
    if (f->independent || !number_of_id(s->request_id, &value)) {
        if (!s->random)
            return numerator >= f->fraction.denominator;
        value = random_below(s->random, f->fraction.denominator);
    }
    return value % f->fraction.denominator < numerator;
}

bool access_log_filter_pass(const struct access_log_filter *f, const struct access_log_subject *s)
{
    if (!f)
        return true;
    switch (f->kind) {
    case FILTER_STATUS:
        return compare(f, s->status);
    case FILTER_DURATION:
        return compare(f, s->duration_ms);
    case FILTER_NOT_HEALTH_CHECK:
        return !s->health_check;
    case FILTER_TRACEABLE:
        return s->traceable;
    case FILTER_FRACTION:
        return is_sampled(f, s);
    case FILTER_AND:
        return children_pass(f, s, true);
    case FILTER_OR:
        return children_pass(f, s, false);
    case FILTER_HEADER:
        return header_matcher_match(&f->header, s->request_header, s->ctx);
    case FILTER_FLAGS:
        return has_flag(f, s->response_flags);
    case FILTER_GRPC_STATUS:
        return number_passes(f, s->grpc_status);
    case FILTER_LOG_TYPE:
        return number_passes(f, s->log_type);
    }
    return true;
}
