#include "base/digits.h"
#include "dataplane/http/header_mutate.h"
#include "filters/http/router/router_internal.h"

/* How much of the path, without its query, the route matched. */
static size_t matched_len(const struct route *route, size_t path_len)
{
    switch (route->path_kind) {
    case ROUTE_PATH_PREFIX:
    case ROUTE_PATH_SEPARATED_PREFIX:
        return route->path.len < path_len ? route->path.len : path_len;
    case ROUTE_PATH_EXACT:
    case ROUTE_PATH_REGEX:
    case ROUTE_PATH_CONNECT:
        break;
    }
    return path_len;
}

static struct bytes replace_regex(struct arena *a, const struct regex_rewrite *rw,
                                  struct bytes text, struct bytes tail)
{
    struct strbuf out = STRBUF_INIT;
    regex_replace_all(rw->regex, text, rw->substitution, &out);
    strbuf_add_bytes(&out, tail);
    struct bytes result = arena_dup(a, strbuf_bytes(&out));
    strbuf_fini(&out);
    return result;
}

void router_rewrite_path(struct router *r, const struct bytes *prefix_rewrite,
                         const struct regex_rewrite *regex)
{
    struct stream *s = r->stream;
    struct headers *h = &s->request_headers;
    struct bytes path = headers_get(h, HEADER_PATH), now;
    ptrdiff_t q = bytes_find_char(path, '?');
    size_t len = q < 0 ? path.len : (size_t)q;
    if (regex) {
        now = replace_regex(s->arena, regex, bytes_first(path, len), bytes_skip(path, len));
        if (now.len == path.len - len)
            return; /* nothing is left of it: as Envoy, the path stays */
    } else {
        struct bytes rest = bytes_skip(path, matched_len(s->route.route, len));
        char *text = arena_alloc(s->arena, prefix_rewrite->len + rest.len + 1);
        memcpy(text, prefix_rewrite->data, prefix_rewrite->len);
        if (rest.len > 0)
            memcpy(text + prefix_rewrite->len, rest.data, rest.len);
        now = bytes_from(text, prefix_rewrite->len + rest.len);
    }
    /* "http://elsewhere/" taken out of a client's path would be read as another host's. */
    if (now.data[0] != '/')
        now = bytes_of(arena_printf(s->arena, "/%.*s", BYTES_ARG(now)));
    if (!r->config->suppress_envoy_headers)
        headers_set_id(h, HEADER_X_ENVOY_ORIGINAL_PATH, path);
    headers_set_id(h, HEADER_PATH, now);
}

/* Was this host the last to be added to x-forwarded-host? As Envoy, which finds it there as it adds
 * it, without a blank, and passes over empty entries. */
static bool is_last_of(struct bytes list, struct bytes host)
{
    while (list.len && list.data[list.len - 1] == ',')
        list.len--;
    ptrdiff_t comma = bytes_rfind_char(list, ',');
    return bytes_eq(comma < 0 ? list : bytes_skip(list, (size_t)comma + 1), host);
}

static void set_authority(struct router *r, struct bytes authority, bool append_forwarded)
{
    struct stream *s = r->stream;
    struct headers *h = &s->request_headers;
    struct bytes before = headers_get(h, HEADER_AUTHORITY);
    if (before.len > 0 && !r->config->suppress_envoy_headers)
        headers_set_id(h, HEADER_X_ENVOY_ORIGINAL_HOST, before);
    if (append_forwarded && before.len > 0) {
        struct bytes list = headers_get_all_id(h, HEADER_X_FORWARDED_HOST);
        if (list.len == 0)
            headers_set_id(h, HEADER_X_FORWARDED_HOST, before);
        else if (!is_last_of(list, before))
            headers_set_id(
                h, HEADER_X_FORWARDED_HOST,
                bytes_of(arena_printf(s->arena, "%.*s,%.*s", BYTES_ARG(list), BYTES_ARG(before))));
    }
    headers_set_id(h, HEADER_AUTHORITY, authority);
}

static void rewrite_host(struct router *r)
{
    const struct route_rewrite *w = r->action->rewrite;
    struct headers *h = &r->stream->request_headers;
    struct bytes value = BYTES_NONE;
    switch (w->host) {
    case HOST_REWRITE_NONE:
    case HOST_REWRITE_AUTO: /* when the host is known */
        return;
    case HOST_REWRITE_LITERAL:
        value = w->host_text;
        break;
    case HOST_REWRITE_HEADER:
        value = headers_get_name(h, w->host_text);
        break;
    case HOST_REWRITE_PATH_REGEX: {
        struct bytes path = headers_get(h, HEADER_PATH);
        ptrdiff_t q = bytes_find_char(path, '?');
        value = replace_regex(r->stream->arena, &w->host_regex,
                              q < 0 ? path : bytes_first(path, (size_t)q), BYTES(""));
        break;
    }
    }
    if (value.len > 0)
        set_authority(r, value, w->append_x_forwarded_host);
}

void router_rewrite_for_host(struct router *r, struct arena *arena, const struct host *host)
{
    const struct route_rewrite *w = r->action->rewrite;
    if (w->host == HOST_REWRITE_AUTO && host_name(host).len)
        set_authority(r, arena_dup(arena, host_name(host)), w->append_x_forwarded_host);
}

static bool header_ms(struct headers *h, enum header_id id, uint64_t *ms)
{
    struct bytes value = headers_get(h, id);
    return value.data && header_number(value, ms) && *ms <= INT64_MAX;
}

/* "100m": a number of at most eight digits and a unit; rounded up to milliseconds. In nanoseconds
 * some would fill more than 64 bits. */
static bool grpc_timeout(const struct headers *h, uint64_t *ms)
{
    static const struct {
        char unit;
        uint32_t ms, of_ms;
    } units[] = {{'H', 3600000, 1}, {'M', 60000, 1}, {'S', 1000, 1},
                 {'m', 1, 1},       {'u', 1, 1000},  {'n', 1, 1000000}};
    struct bytes v = headers_get(h, HEADER_GRPC_TIMEOUT);
    uint64_t n;
    if (v.len < 2 || !header_number(bytes_first(v, v.len - 1), &n) || n > 99999999)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (units[i].unit == v.data[v.len - 1]) {
            *ms = (n * units[i].ms + units[i].of_ms - 1) / units[i].of_ms;
            return true;
        }
    }
    return false;
}

/* max_grpc_timeout: what the client says takes the place of the route's timeout. */
static uint64_t old_grpc_timeout(const struct route_extras *x, const struct headers *h)
{
    uint64_t ms = 0;
    if (grpc_timeout(h, &ms) && x->old_grpc_offset_ms < ms)
        ms -= x->old_grpc_offset_ms;
    if (x->old_grpc_max_ms && (ms == 0 || ms > x->old_grpc_max_ms))
        ms = x->old_grpc_max_ms;
    return ms;
}

/* "100m": the smallest unit that eight digits can hold. */
static struct bytes grpc_timeout_text(struct arena *a, uint64_t ms)
{
    static const struct {
        char unit;
        unsigned of_last;
    } units[] = {{'m', 1}, {'S', 1000}, {'M', 60}, {'H', 60}};
    uint64_t n = ms, most = 99999999;
    size_t i = 0;
    while (n > most && i + 1 < ARRAY_SIZE(units))
        n /= units[++i].of_last;
    return bytes_of(
        arena_printf(a, "%llu%c", (unsigned long long)(n < most ? n : most), units[i].unit));
}

/* How long the stream may live: the client's own word, within the route's, or the route's alone, or
 * the connection manager's. A gRPC server is told of it. */
static void set_duration(struct stream *s)
{
    const struct route_extras *x = s->route.route->extras;
    struct headers *h = &s->request_headers;
    uint64_t ms = s->manager->max_stream_duration_ms;
    bool limited = ms > 0;
    if (LIKELY(!x->has_duration))
        return;
    if (x->has_grpc_max && grpc_timeout(h, &ms)) {
        if (x->grpc_max_ms && ms > x->grpc_max_ms)
            ms = x->grpc_max_ms;
        ms = ms > x->grpc_offset_ms ? ms - x->grpc_offset_ms : 0;
        limited = true;
        if (ms)
            stream_set_max_duration(s, ms);
        else
            stream_expire(s);
    } else if (x->has_max_stream_duration) {
        ms = x->max_stream_duration_ms;
        limited = ms > 0;
        stream_set_max_duration(s, ms);
    }
    if (!stream_is_grpc(s))
        return;
    if (limited)
        headers_set_id(h, HEADER_GRPC_TIMEOUT, grpc_timeout_text(s->arena, ms));
    else if (s->manager->max_stream_duration_ms) /* that it would have had is taken away */
        headers_remove_id(h, HEADER_GRPC_TIMEOUT);
}

/* Most requests of a thread have one timeout. */
static struct bytes ms_text(struct arena *a, uint64_t ms)
{
    static _Thread_local uint64_t known;
    static _Thread_local unsigned len;
    static _Thread_local char text[DIGITS_U64_MAX];
    if (len == 0 || ms != known)
        len = digits_u64(text, ms);
    known = ms;
    return arena_dup(a, bytes_from(text, len));
}

void router_tell_timeout(struct router *r, struct arena *arena, uint64_t elapsed_ms)
{
    struct headers *h = &r->stream->request_headers;
    const struct route_extras *x = r->stream->route.route->extras;
    uint64_t ms = r->per_try_ms && !r->hedge ? r->per_try_ms : r->timeout_ms;
    if (ms == 0)
        return;
    if (r->timeout_ms) {
        uint64_t left = elapsed_ms < r->timeout_ms ? r->timeout_ms - elapsed_ms : 1;
        ms = ms < left ? ms : left;
    }
    if (!r->config->suppress_envoy_headers)
        headers_set_id(h, HEADER_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, ms_text(arena, ms));
    if (x->has_old_grpc_max && !x->has_duration && stream_is_grpc(r->stream))
        headers_set_id(h, HEADER_GRPC_TIMEOUT, grpc_timeout_text(arena, ms));
}

/* Of one attempt; one that is no shorter than the whole request's is none. */
static void set_per_try(struct router *r)
{
    struct headers *h = &r->stream->request_headers;
    const struct retry_policy *p = router_retry_policy(r);
    uint64_t ms;
    if (p)
        r->per_try_ms = p->per_try_timeout_ms;
    if (UNLIKELY(headers_has(h, HEADER_X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS))) {
        if (header_ms(h, HEADER_X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS, &ms))
            r->per_try_ms = ms;
        headers_remove_id(h, HEADER_X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS);
    }
    if (r->timeout_ms && r->per_try_ms >= r->timeout_ms)
        r->per_try_ms = 0;
}

static void set_hedge(struct router *r)
{
    const struct headers *h = &r->stream->request_headers;
    r->hedge = r->action->has_hedge ? r->action->hedge : r->stream->route.vhost->hedge;
    if (LIKELY(!headers_has(h, HEADER_X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT)))
        return;
    struct bytes asked = headers_get(h, HEADER_X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT);
    if (bytes_eq(asked, BYTES("true")))
        r->hedge = true;
    else if (bytes_eq(asked, BYTES("false")))
        r->hedge = false;
}

/* The client's own wish, where the connection manager has left it (internal requests). Where the
 * word of a proxy before this one counts, it does alone, and the client's is left as it is. */
static void obey_timeout_header(struct router *r)
{
    struct headers *h = &r->stream->request_headers;
    uint64_t ms;
    enum header_id id = HEADER_X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS;
    if (r->config->respect_expected_rq_timeout &&
        headers_has(h, HEADER_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS))
        id = HEADER_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS;
    if (LIKELY(!headers_has(h, id)))
        return;
    if (header_ms(h, id, &ms))
        r->timeout_ms = ms;
    if (id == HEADER_X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS)
        headers_remove_id(h, id);
}

/* A route with max_stream_duration has no other timeout of its own. */
static void set_timeout(struct router *r)
{
    struct headers *h = &r->stream->request_headers;
    const struct route_extras *x = r->stream->route.route->extras;
    r->timeout_ms = x->has_duration ? 0 : r->action->timeout_ms;
    if (x->has_old_grpc_max && !x->has_duration && stream_is_grpc(r->stream))
        r->timeout_ms = old_grpc_timeout(x, h);
    obey_timeout_header(r);
    set_per_try(r);
    set_hedge(r);
    router_tell_timeout(r, r->stream->arena, 0);
}

/* What else an internal client may ask for; from others the connection manager takes it. Nobody
 * who sends requests names statistics here: their number would be his, too. */
static void set_wishes(struct router *r)
{
    struct headers *h = &r->stream->request_headers;
    r->has_duration = header_ms(h, HEADER_X_ENVOY_UPSTREAM_STREAM_DURATION_MS, &r->duration_ms);
    r->timeout_is_no_error = headers_has(h, HEADER_X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE);
    headers_remove_id(h, HEADER_X_ENVOY_UPSTREAM_STREAM_DURATION_MS);
    headers_remove_id(h, HEADER_X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE);
    headers_remove_id(h, HEADER_X_ENVOY_UPSTREAM_ALT_STAT_NAME);
}

static bool is_valid(enum header_id id, struct bytes value)
{
    uint64_t n;
    if (id == HEADER_X_ENVOY_RETRY_ON || id == HEADER_X_ENVOY_RETRY_GRPC_ON)
        return retry_on_all_known(value, id == HEADER_X_ENVOY_RETRY_GRPC_ON);
    return header_number(value, &n);
}

bool router_check_strictly(struct router *r)
{
    struct stream *s = r->stream;
    for (uint32_t i = 0; i < r->config->n_strict; i++) {
        enum header_id id = r->config->strict[i];
        struct bytes name = header_name(id), v = headers_get_all_id(&s->request_headers, id);
        if (!v.data || is_valid(id, v))
            continue;
        const struct stream_error *e = stream_error_get(STREAM_ERROR_STRICT_CHECK);
        router_fail(r, e,
                    arena_printf(s->arena, "%s '%.*s' with value '%.*s'", e->body, BYTES_ARG(name),
                                 BYTES_ARG(v)),
                    arena_printf(s->arena, "%s{%.*s}", e->details, BYTES_ARG(name)));
        return false;
    }
    return true;
}

void router_prepare_request(struct router *r)
{
    struct stream *s = r->stream;
    const struct cluster_action *a = r->action;
    if (r->internal)
        set_wishes(r);
    set_timeout(r);
    if (s->route.vhost->include_request_attempt_count)
        headers_set_id(&s->request_headers, HEADER_X_ENVOY_ATTEMPT_COUNT, BYTES("1"));
    if (s->route.weight && s->route.weight->host_rewrite.len > 0)
        headers_set_id(&s->request_headers, HEADER_AUTHORITY, s->route.weight->host_rewrite);
    header_mutate_request(s);
    stream_restore_port(s);
    rewrite_host(r);
    if (!headers_has(&s->request_headers, HEADER_PATH))
        ; /* a CONNECT */
    else if (a->rewrite->has_prefix)
        router_rewrite_path(r, &a->rewrite->prefix, NULL);
    else if (a->rewrite->regex.regex)
        router_rewrite_path(r, NULL, &a->rewrite->regex);
    const struct route_extras *x = s->route.route->extras;
    if (x->has_idle_timeout)
        stream_set_idle_timeout(s, x->idle_timeout_ms);
    set_duration(s);
    if (r->tunnel == TUNNEL_NONE) /* whoever has added it */
        headers_remove_id(&s->request_headers, HEADER_UPGRADE);
    router_tries_begin(r);
}
