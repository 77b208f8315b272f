#include "dataplane/http/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/digits.h"
#include "dataplane/http/grpc.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/net/transport_tls.h"

/* "2026-01-02T03:04:05.678Z": all but the milliseconds is made once a second and thread. */
static void add_default_time(struct strbuf *out, time_t sec, unsigned ns)
{
    static _Thread_local char text[] = "0000-00-00T00:00:00.000Z";
    static _Thread_local time_t made = -1;
    if (sec != made) {
        struct tm tm;
        gmtime_r(&sec, &tm);
        digits_fixed(text, (unsigned)tm.tm_year + 1900, 4);
        digits_fixed(text + 5, (unsigned)tm.tm_mon + 1, 2);
        digits_fixed(text + 8, (unsigned)tm.tm_mday, 2);
        digits_fixed(text + 11, (unsigned)tm.tm_hour, 2);
        digits_fixed(text + 14, (unsigned)tm.tm_min, 2);
        digits_fixed(text + 17, (unsigned)tm.tm_sec, 2);
        made = sec;
    }
    digits_fixed(text + 20, ns / (unsigned)NS_PER_MS, 3);
    strbuf_add(out, text, sizeof(text) - 1);
}

/* strftime in UTC or local time with Envoy's additions: %3f (digits of the second), %s, %E3S. */
static void add_time(struct strbuf *out, uint64_t wall_ns, struct bytes format, bool local)
{
    time_t sec = (time_t)(wall_ns / NS_PER_S);
    unsigned ns = (unsigned)(wall_ns % NS_PER_S);
    if (!format.len && !local) {
        add_default_time(out, sec, ns);
        return;
    }
    struct tm tm;
    if (local)
        localtime_r(&sec, &tm);
    else
        gmtime_r(&sec, &tm);
    if (!format.len)
        format = BYTES("%Y-%m-%dT%H:%M:%E3S%z");
    char digits[10];
    *digits_fixed(digits, ns, 9) = '\0';
    for (size_t i = 0; i < format.len; i++) {
        const char *p = format.data + i;
        size_t left = format.len - i;
        if (*p != '%' || left < 2) {
            strbuf_add_char(out, *p);
        } else if (p[1] == 'f') {
            strbuf_add(out, digits, 9);
            i++;
        } else if (p[1] >= '1' && p[1] <= '9' && left > 2 && p[2] == 'f') {
            strbuf_add(out, digits, (size_t)(p[1] - '0'));
            i += 2;
        } else if (p[1] == 's') {
            strbuf_printf(out, "%lld", (long long)sec);
            i++;
        } else if (p[1] == 'E' && left > 3 && p[2] >= '1' && p[2] <= '9' && p[3] == 'S') {
            strbuf_printf(out, "%02d.%.*s", tm.tm_sec, p[2] - '0', digits);
            i += 3;
        } else {
            char spec[3] = {'%', p[1], 0}, text[64];
            size_t n = strftime(text, sizeof(text), spec, &tm);
            strbuf_add(out, text, n);
            i++;
        }
    }
}

static bool add(struct strbuf *out, struct bytes b)
{
    strbuf_add_bytes(out, b);
    return b.len > 0;
}

/* Spaces would end a field of a line. */
static bool add_details(struct strbuf *out, struct bytes details, bool keep_spaces)
{
    for (size_t i = 0; i < details.len; i++) {
        char c = details.data[i];
        bool space = c == ' ' || (c >= '\t' && c <= '\r');
        strbuf_add_char(out, space && !keep_spaces ? '_' : c);
    }
    return details.len > 0;
}

static bool add_u64(struct strbuf *out, uint64_t v)
{
    strbuf_add_u64(out, v);
    return true;
}

/* Milliseconds from a to b; empty when either has not happened. */
static bool add_span(struct strbuf *out, uint64_t a, uint64_t b)
{
    return a && b && b >= a && add_u64(out, (b - a) / NS_PER_MS);
}

static bool add_address(struct strbuf *out, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    return a->kind != ADDRESS_NONE && add(out, bytes_of(address_format(a, text)));
}

static bool add_ip(struct strbuf *out, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    if (a->kind == ADDRESS_PIPE)
        return add_address(out, a);
    return a->kind != ADDRESS_NONE && add(out, bytes_of(address_format_ip(a, text)));
}

static bool add_port(struct strbuf *out, const struct address *a)
{
    return address_is_ip(a) && add_u64(out, a->port);
}

static struct bytes header_of(const struct headers *h, struct bytes name)
{
    if (bytes_eq(name, BYTES("host"))) /* what HTTP/1 calls the authority */
        name = BYTES(":authority");
    return headers_get_name(h, name);
}

static bool add_header(struct strbuf *out, const struct headers *h, const struct format_part *part)
{
    struct bytes v = header_of(h, part->text);
    if (!v.data && part->alternative.len)
        v = header_of(h, part->alternative);
    return add(out, v);
}

static bool add_without_query(struct strbuf *out, const struct headers *h,
                              const struct format_part *part)
{
    struct bytes v = header_of(h, part->text);
    if (!v.data && part->alternative.len)
        v = header_of(h, part->alternative);
    ptrdiff_t q = bytes_find_char(v, '?');
    return add(out, q < 0 ? v : bytes_first(v, (size_t)q));
}

static bool add_protocol(struct strbuf *out, enum http_protocol p)
{
    static const char *const names[] = {"HTTP/1.0", "HTTP/1.1", "HTTP/2"};
    return add(out, bytes_of(names[p]));
}

static bool add_flags(struct strbuf *out, uint32_t flags, bool full)
{
    bool any = false;
    for (; flags; flags &= flags - 1) {
        unsigned f = (unsigned)__builtin_ctz(flags);
        if (any)
            strbuf_add_char(out, ',');
        strbuf_add_str(out, full ? response_flag_long((enum response_flag)f)
                                 : response_flag_short((enum response_flag)f));
        any = true;
    }
    return any || add(out, BYTES("-")); /* never left out, unlike other operators */
}

/* Of a request of gRPC alone. */
static bool add_grpc_status(struct strbuf *out, const struct stream *s, enum format_grpc form)
{
    static const struct {
        const char *camel, *snake;
    } names[GRPC_STATUS_MAX + 1] = {
        {"OK", "OK"},
        {"Canceled", "CANCELLED"},
        {"Unknown", "UNKNOWN"},
        {"InvalidArgument", "INVALID_ARGUMENT"},
        {"DeadlineExceeded", "DEADLINE_EXCEEDED"},
        {"NotFound", "NOT_FOUND"},
        {"AlreadyExists", "ALREADY_EXISTS"},
        {"PermissionDenied", "PERMISSION_DENIED"},
        {"ResourceExhausted", "RESOURCE_EXHAUSTED"},
        {"FailedPrecondition", "FAILED_PRECONDITION"},
        {"Aborted", "ABORTED"},
        {"OutOfRange", "OUT_OF_RANGE"},
        {"Unimplemented", "UNIMPLEMENTED"},
        {"Internal", "INTERNAL"},
        {"Unavailable", "UNAVAILABLE"},
        {"DataLoss", "DATA_LOSS"},
        {"Unauthenticated", "UNAUTHENTICATED"},
    };
    int64_t n = grpc_content_type(&s->request_headers) ? stream_grpc_status(s) : GRPC_NO_STATUS;
    if (n == GRPC_NO_STATUS)
        return false;
    if (n == GRPC_BAD_STATUS)
        return add(out, BYTES("-1"));
    if (form == GRPC_NUMBER || n > GRPC_STATUS_MAX)
        return add_u64(out, (uint64_t)n);
    return add(out, bytes_of(form == GRPC_SNAKE_STRING ? names[n].snake : names[n].camel));
}

static bool add_hostname(struct strbuf *out)
{
    char name[256];
    if (gethostname(name, sizeof(name)) != 0)
        return false;
    name[sizeof(name) - 1] = '\0';
    return add(out, bytes_of(name));
}

static bool add_unique_id(struct strbuf *out, struct stream *s)
{
    char id[37];
    random_uuid4(&s->worker->random, id);
    return add(out, bytes_of(id));
}

static bool connection_value(struct stream *s, enum format_op op, struct strbuf *out)
{
    const struct address *local = stream_local_address(s);
    const struct address *direct = stream_direct_remote(s);
    switch ((int)op) {
    case FORMAT_DOWNSTREAM_LOCAL_ADDRESS:
        return add_address(out, local);
    case FORMAT_DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT:
        return add_ip(out, local);
    case FORMAT_DOWNSTREAM_LOCAL_PORT:
        return add_port(out, local);
    case FORMAT_DOWNSTREAM_REMOTE_ADDRESS:
        return add_address(out, &s->remote);
    case FORMAT_DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT:
        return add_ip(out, &s->remote);
    case FORMAT_DOWNSTREAM_REMOTE_PORT:
        return add_port(out, &s->remote);
    case FORMAT_DOWNSTREAM_DIRECT_REMOTE_ADDRESS:
        return add_address(out, direct);
    case FORMAT_DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT:
        return add_ip(out, direct);
    case FORMAT_CONNECTION_ID:
        return add_u64(out, s->conn->id);
    case FORMAT_DOWNSTREAM_DIRECT_REMOTE_PORT:
        return add_port(out, direct);
    case FORMAT_DOWNSTREAM_DIRECT_LOCAL_ADDRESS:
        return add_address(out, local);
    case FORMAT_DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT:
        return add_ip(out, local);
    case FORMAT_DOWNSTREAM_DIRECT_LOCAL_PORT:
        return add_port(out, local);
    case FORMAT_STREAM_ID:
        return add(out, headers_get(&s->request_headers, HEADER_X_REQUEST_ID));
    case FORMAT_FILTER_CHAIN_NAME:
        return s->conn->binding && add(out, s->conn->binding->chain->name);
    case FORMAT_REQUESTED_SERVER_NAME:
        return add(out, stream_server_name(s));
    default:
        return format_tls_value(s, op, out);
    }
}

static bool upstream_address_value(const struct stream_info *i, enum format_op op,
                                   struct strbuf *out)
{
    static const struct address none = {.kind = ADDRESS_NONE};
    const struct address *host = i->has_upstream_address ? &i->upstream_address : &none;
    const struct address *local =
        i->has_upstream_local_address ? &i->upstream_local_address : &none;
    switch ((int)op) {
    case FORMAT_UPSTREAM_HOST_NAME:
        return i->upstream_hostname.len ? add(out, i->upstream_hostname) : add_address(out, host);
    case FORMAT_UPSTREAM_HOST_NAME_WITHOUT_PORT:
        return i->upstream_hostname.len ? add(out, i->upstream_hostname) : add_ip(out, host);
    case FORMAT_UPSTREAM_HOST:
    case FORMAT_UPSTREAM_REMOTE_ADDRESS:
        return add_address(out, host);
    case FORMAT_UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT:
        return add_ip(out, host);
    case FORMAT_UPSTREAM_REMOTE_PORT:
        return add_port(out, host);
    case FORMAT_UPSTREAM_LOCAL_ADDRESS:
        return add_address(out, local);
    case FORMAT_UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT:
        return add_ip(out, local);
    default:
        return add_port(out, local);
    }
}

static bool upstream_value(struct stream *s, enum format_op op, struct strbuf *out)
{
    const struct stream_info *i = &s->info;
    switch ((int)op) {
    case FORMAT_UPSTREAM_HOST:
    case FORMAT_UPSTREAM_HOST_NAME:
    case FORMAT_UPSTREAM_HOST_NAME_WITHOUT_PORT:
    case FORMAT_UPSTREAM_REMOTE_ADDRESS:
    case FORMAT_UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT:
    case FORMAT_UPSTREAM_REMOTE_PORT:
    case FORMAT_UPSTREAM_LOCAL_ADDRESS:
    case FORMAT_UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT:
    case FORMAT_UPSTREAM_LOCAL_PORT:
        return upstream_address_value(i, op, out);
    case FORMAT_UPSTREAM_CLUSTER:
        return add(out, i->upstream_cluster);
    case FORMAT_UPSTREAM_CLUSTER_RAW:
        return add(out, i->upstream_cluster_raw);
    case FORMAT_UPSTREAM_PROTOCOL:
        return i->has_upstream_address && !i->upstream_is_tcp &&
               add_protocol(out, i->upstream_protocol);
    case FORMAT_UPSTREAM_REQUEST_ATTEMPT_COUNT:
        return add_u64(out, i->attempts);
    case FORMAT_UPSTREAM_TRANSPORT_FAILURE_REASON:
        return add_details(out, i->upstream_failure_reason, false);
    case FORMAT_ROUTE_NAME:
        return s->route_matched && s->route.route && add(out, s->route.route->name);
    case FORMAT_VIRTUAL_CLUSTER_NAME:
        return add(out, i->virtual_cluster);
    default:
        return connection_value(s, op, out);
    }
}

static uint64_t point_ns(const struct stream_info *i, unsigned point)
{
    switch ((enum format_point)point) {
    case POINT_DS_RX_BEG:
        return i->start_ns;
    case POINT_DS_RX_END:
        return i->request_end_ns;
    case POINT_US_TX_BEG:
        return i->upstream_first_tx_ns;
    case POINT_US_TX_END:
        return i->upstream_last_tx_ns;
    case POINT_US_RX_BEG:
        return i->upstream_first_rx_ns;
    case POINT_US_RX_END:
        return i->upstream_last_rx_ns;
    case POINT_DS_TX_BEG:
        return i->downstream_first_tx_ns;
    case POINT_DS_TX_END:
        return i->downstream_first_tx_ns ? i->end_ns : 0;
    case POINT_UNKNOWN:
        break;
    }
    return 0;
}

static bool add_common_duration(struct strbuf *out, const struct stream_info *i,
                                const struct format_part *part)
{
    uint64_t from = point_ns(i, part->duration.from), to = point_ns(i, part->duration.to);
    return from && to >= from && add_u64(out, (to - from) / part->duration.unit_ns);
}

static bool time_value(struct stream *s, const struct format_part *part, struct strbuf *out)
{
    const struct stream_info *i = &s->info;
    const struct clock *clock = loop_clock(s->worker->loop);
    switch ((int)part->op) {
    case FORMAT_START_TIME:
    case FORMAT_START_TIME_LOCAL:
        add_time(out, i->start_wall_ns, part->text, part->op == FORMAT_START_TIME_LOCAL);
        return true;
    case FORMAT_EMIT_TIME:
    case FORMAT_EMIT_TIME_LOCAL:
        add_time(out, clock->wall_ns(clock), part->text, part->op == FORMAT_EMIT_TIME_LOCAL);
        return true;
    case FORMAT_COMMON_DURATION:
        return add_common_duration(out, i, part);
    case FORMAT_DURATION:
        return add_span(out, i->start_ns, i->end_ns ? i->end_ns : loop_now_ns(s->worker->loop));
    case FORMAT_REQUEST_DURATION:
        return add_span(out, i->start_ns, i->request_end_ns);
    case FORMAT_REQUEST_TX_DURATION:
        return add_span(out, i->start_ns, i->upstream_last_tx_ns);
    case FORMAT_RESPONSE_DURATION:
        return add_span(out, i->start_ns, i->upstream_first_rx_ns);
    case FORMAT_RESPONSE_TX_DURATION:
        return add_span(out, i->upstream_first_rx_ns, i->end_ns);
    default:
        return upstream_value(s, part->op, out);
    }
}

/* While the response is on its way through the filters its head says it. */
static bool add_response_code(struct strbuf *out, const struct stream *s)
{
    struct bytes status = headers_get(&s->response_headers, HEADER_STATUS);
    if (!s->info.status && !s->priv->finished && !s->priv->local_reply && status.len)
        return add(out, status);
    return add_u64(out, s->info.status);
}

static bool add_log_type(struct strbuf *out, const struct stream *s)
{
    static const char *const names[] = {
        [ACCESS_LOG_NOT_SET] = "NotSet",
        [ACCESS_LOG_START] = "DownstreamStart",
        [ACCESS_LOG_PERIODIC] = "DownstreamPeriodic",
        [ACCESS_LOG_END] = "DownstreamEnd",
        [ACCESS_LOG_TUNNEL] = "DownstreamTunnelSuccessfullyEstablished",
    };
    return add(out, bytes_of(names[s->info.log_type]));
}

bool format_value(struct stream *s, const struct format_part *part, struct strbuf *out)
{
    const struct stream_info *i = &s->info;
    switch ((int)part->op) {
    case FORMAT_LITERAL:
        return add(out, part->text);
    case FORMAT_REQ:
        return add_header(out, &s->request_headers, part);
    case FORMAT_RESP:
        return add_header(out, &s->response_headers, part);
    case FORMAT_TRAILER:
        return add_header(out, &s->response_trailers, part);
    case FORMAT_REQ_WITHOUT_QUERY:
        return add_without_query(out, &s->request_headers, part);
    case FORMAT_PROTOCOL:
        return (!s->priv->no_request || s->conn->requests) &&
               add_protocol(out, s->request.protocol);
    case FORMAT_RESPONSE_CODE:
        return add_response_code(out, s);
    case FORMAT_RESPONSE_CODE_DETAILS:
        return add_details(out, bytes_of(i->details), part->keep_spaces);
    case FORMAT_PATH:
        return format_path(s, part, out);
    case FORMAT_QUERY_PARAM:
        return format_query_param(s, part, out);
    case FORMAT_RESPONSE_FLAGS:
        return add_flags(out, i->flags, false);
    case FORMAT_RESPONSE_FLAGS_LONG:
        return add_flags(out, i->flags, true);
    case FORMAT_CONNECTION_TERMINATION_DETAILS:
        return add(out, bytes_of(i->termination_details));
    case FORMAT_BYTES_RECEIVED:
        return add_u64(out, i->bytes_received);
    case FORMAT_BYTES_SENT:
        return add_u64(out, i->bytes_sent);
    case FORMAT_REQUEST_HEADERS_BYTES:
        return add_u64(out, i->request_header_bytes);
    case FORMAT_RESPONSE_HEADERS_BYTES:
        return add_u64(out, i->response_header_bytes);
    case FORMAT_GRPC_STATUS:
        return add_grpc_status(out, s, (enum format_grpc)part->grpc);
    case FORMAT_GRPC_STATUS_NUMBER:
        return add_grpc_status(out, s, GRPC_NUMBER);
    case FORMAT_FILTER_STATE:
        return format_filter_state(s, part, out);
    case FORMAT_UNIQUE_ID:
        return add_unique_id(out, s);
    case FORMAT_HOSTNAME:
        return add_hostname(out);
    case FORMAT_ENVIRONMENT: {
        char name[256];
        snprintf(name, sizeof(name), "%.*s", BYTES_ARG(part->text));
        return add(out, bytes_of(getenv(name)));
    }
    case FORMAT_ACCESS_LOG_TYPE:
        return add_log_type(out, s);
    default:
        return time_value(s, part, out);
    }
}
