#include "dataplane/http/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/http/grpc.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/net/transport_tls.h"

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

static inline struct bytes header_of(const struct headers *h, const struct format_part *part)
{
    struct bytes v = headers_get_key(h, (struct header_key){part->text, part->id});
    if (!v.data && part->alternative.len)
        v = headers_get_key(h, (struct header_key){part->alternative, part->alternative_id});
    return v;
}

static bool add_header(struct strbuf *out, const struct headers *h, const struct format_part *part)
{
    struct bytes v = header_of(h, part);
    strbuf_add_bytes(out, v);
    return v.data != NULL;
}

static NOINLINE bool add_without_query(struct strbuf *out, const struct headers *h,
                                       const struct format_part *part)
{
    struct bytes v = header_of(h, part);
    ptrdiff_t q = bytes_find_char(v, '?');
    strbuf_add_bytes(out, q < 0 ? v : bytes_first(v, (size_t)q));
    return v.data != NULL;
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

static NOINLINE bool add_hostname(struct strbuf *out)
{
    char name[256];
    if (gethostname(name, sizeof(name)) != 0)
        return false;
    name[sizeof(name) - 1] = '\0';
    return add(out, bytes_of(name));
}

static NOINLINE bool add_unique_id(struct strbuf *out, struct stream *s)
{
    char id[37];
    random_uuid4(&s->worker->random, id);
    return add(out, bytes_of(id));
}

/* When the client's handshake was done; 0: it is not, or there is none. */
static uint64_t handshake_ns(const struct stream *s)
{
    if (!s->conn->tls)
        return 0;
    const struct connection_times *t = connection_times(s->conn->connection);
    return connection_time_ns(t, t->done_us1);
}

static uint64_t point_ns(const struct stream *s, unsigned point)
{
    const struct stream_info *i = &s->info;
    const struct connection_times *up = &i->upstream_times;
    switch ((enum format_point)point) {
    case POINT_DS_CX_BEG: /* of who was refused: */
        return s->conn->connection ? connection_times(s->conn->connection)->begun_ns : i->start_ns;
    case POINT_DS_HS_END:
        return handshake_ns(s);
    case POINT_US_CX_BEG:
        return up->begun_ns;
    case POINT_US_CX_END:
        return connection_time_ns(up, up->opened_us1);
    case POINT_US_HS_END:
        return i->upstream_tls ? connection_time_ns(up, up->done_us1) : 0;
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
    case POINT_US_RX_BODY_BEG:
        return i->upstream_first_body_ns;
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

static bool add_common_duration(struct strbuf *out, const struct stream *s,
                                const struct format_part *part)
{
    uint64_t from = point_ns(s, part->duration.from), to = point_ns(s, part->duration.to);
    return from && to >= from && add_u64(out, (to - from) / part->duration.unit_ns);
}

static void add_wall_time(struct strbuf *out, uint64_t ns, struct bytes format, bool local)
{
    format_time(out, (time_t)(ns / NS_PER_S), (unsigned)(ns % NS_PER_S), format, local);
}

static bool add_peer_time(const struct tls_connection *c, bool until,
                          const struct format_part *part, struct strbuf *out)
{
    int64_t at;
    if (!tls_connection_peer_time(c, until, &at))
        return false;
    format_time(out, at, 0, part->text, false);
    return true;
}

static bool time_value(struct stream *s, const struct format_part *part, struct strbuf *out)
{
    const struct stream_info *i = &s->info;
    const struct clock *clock = loop_clock(s->worker->loop);
    switch ((int)part->op) {
    case FORMAT_START_TIME:
    case FORMAT_START_TIME_LOCAL:
        add_wall_time(out, i->start_wall_ns, part->text, part->op == FORMAT_START_TIME_LOCAL);
        return true;
    case FORMAT_EMIT_TIME:
    case FORMAT_EMIT_TIME_LOCAL:
        add_wall_time(out, clock->wall_ns(clock), part->text, part->op == FORMAT_EMIT_TIME_LOCAL);
        return true;
    case FORMAT_DOWNSTREAM_PEER_CERT_V_START:
    case FORMAT_DOWNSTREAM_PEER_CERT_V_END:
        return add_peer_time(s->conn->tls, part->op == FORMAT_DOWNSTREAM_PEER_CERT_V_END, part,
                             out);
    case FORMAT_UPSTREAM_PEER_CERT_V_START:
    case FORMAT_UPSTREAM_PEER_CERT_V_END:
        return add_peer_time(i->upstream_tls, part->op == FORMAT_UPSTREAM_PEER_CERT_V_END, part,
                             out);
    case FORMAT_COMMON_DURATION:
        return add_common_duration(out, s, part);
    case FORMAT_DOWNSTREAM_HANDSHAKE_DURATION:
        return add_span(out, point_ns(s, POINT_DS_CX_BEG), handshake_ns(s));
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
        return format_upstream(s, part, out);
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

static NOINLINE bool add_environment(struct strbuf *out, struct bytes variable)
{
    char name[256];
    snprintf(name, sizeof(name), "%.*s", BYTES_ARG(variable));
    const char *value = getenv(name);
    return add(out, value ? bytes_of(value) : BYTES("-")); /* text, also in JSON */
}

/* The list of operators (config/format.h) has both sides in the same order. */
enum {
    DOWNSTREAM_AFTER_UPSTREAM = FORMAT_DOWNSTREAM_WIRE_BYTES_SENT - FORMAT_UPSTREAM_WIRE_BYTES_SENT
};
_Static_assert(FORMAT_DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED ==
                   FORMAT_UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED + DOWNSTREAM_AFTER_UPSTREAM,
               "order");

/* Those of HTTP/2 are not known when a request is logged: its frames may be made later. */
static bool wire_value(const struct stream *s, unsigned op, struct strbuf *out)
{
    const struct stream_info *i = &s->info;
    bool upstream = op < FORMAT_DOWNSTREAM_WIRE_BYTES_SENT;
    const struct wire_bytes *w = upstream ? &i->upstream_bytes : &i->downstream_bytes;
    if (upstream ? i->has_upstream_address && i->upstream_protocol == PROTOCOL_HTTP2
                 : i->log_type != ACCESS_LOG_NOT_SET && s->request.protocol == PROTOCOL_HTTP2)
        return false;
    switch (upstream ? op : op - DOWNSTREAM_AFTER_UPSTREAM) {
    case FORMAT_UPSTREAM_WIRE_BYTES_SENT:
        return add_u64(out, w->sent);
    case FORMAT_UPSTREAM_WIRE_BYTES_RECEIVED:
        return add_u64(out, w->received);
    case FORMAT_UPSTREAM_HEADER_BYTES_SENT:
    case FORMAT_UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT: /* HTTP/1 does not compress fields */
        return add_u64(out, w->fields_sent);
    default:
        return add_u64(out, wire_bytes_fields_received(w));
    }
}

static bool size_value(const struct stream *s, enum format_op op, struct strbuf *out)
{
    switch ((int)op) {
    case FORMAT_BYTES_RECEIVED:
        return add_u64(out, s->info.bytes_received);
    case FORMAT_BYTES_SENT:
        return add_u64(out, s->info.bytes_sent);
    case FORMAT_REQUEST_HEADERS_BYTES:
        return add_u64(out, s->request_headers.byte_size);
    case FORMAT_RESPONSE_HEADERS_BYTES:
        return add_u64(out, s->info.response_header_bytes);
    case FORMAT_RESPONSE_TRAILERS_BYTES:
        return add_u64(out, s->response_trailers.byte_size);
    case FORMAT_BYTES_RETRANSMITTED: /* of QUIC */
    case FORMAT_PACKETS_RETRANSMITTED:
        return add_u64(out, 0);
    case FORMAT_CUSTOM_FLAGS: /* no filter sets any */
    case FORMAT_LOCAL_REPLY_BODY:
        return true;
    default:
        return op >= FORMAT_UPSTREAM_WIRE_BYTES_SENT &&
               op <= FORMAT_DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED && wire_value(s, op, out);
    }
}

bool format_whole(struct stream *s, const struct format_part *part, struct strbuf *out)
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
    case FORMAT_RESPONSE_CODE:
        return add_response_code(out, s);
    case FORMAT_RESPONSE_CODE_DETAILS:
        return add_details(out, bytes_of(i->details), part->keep_spaces);
    case FORMAT_UPSTREAM_TRANSPORT_FAILURE_REASON:
        return add_details(out, i->upstream_failure_reason, false);
    case FORMAT_PATH:
        return format_path(s, part, out);
    case FORMAT_QUERY_PARAM:
        return format_query_param(s, part, out);
    case FORMAT_QUERY_PARAMS:
        return format_query_params(s, part, out);
    case FORMAT_RESPONSE_FLAGS:
        return add_flags(out, i->flags, false);
    case FORMAT_RESPONSE_FLAGS_LONG:
        return add_flags(out, i->flags, true);
    case FORMAT_CONNECTION_TERMINATION_DETAILS:
        return add(out, bytes_of(i->termination_details));
    case FORMAT_GRPC_STATUS:
        return add_grpc_status(out, s, (enum format_grpc)part->grpc);
    case FORMAT_GRPC_STATUS_NUMBER:
        return add_grpc_status(out, s, GRPC_NUMBER);
    case FORMAT_FILTER_STATE:
        return format_filter_state(s, part, out);
    case FORMAT_DYNAMIC_METADATA:
    case FORMAT_CLUSTER_METADATA:
    case FORMAT_UPSTREAM_METADATA:
    case FORMAT_METADATA:
        return format_metadata(s, part, false, out);
    case FORMAT_UNIQUE_ID:
        return add_unique_id(out, s);
    case FORMAT_HOSTNAME:
        return add_hostname(out);
    case FORMAT_ENVIRONMENT:
        return add_environment(out, part->text);
    case FORMAT_ACCESS_LOG_TYPE:
        return add_log_type(out, s);
    default:
        return size_value(s, part->op, out) || time_value(s, part, out);
    }
}

/* The first that has something to say. */
static bool among_value(struct stream *s, const struct format_part *part, struct strbuf *out)
{
    for (unsigned i = 0; i < part->among.n_parts; i++) {
        if (format_value(s, &part->among.parts[i], out))
            return true;
    }
    return false;
}

bool format_value(struct stream *s, const struct format_part *part, struct strbuf *out)
{
    size_t before = out->len;
    bool any = part->op == FORMAT_COALESCE ? among_value(s, part, out) : format_whole(s, part, out);
    if (!any)
        strbuf_cut(out, before);
    else if (out->len - before > part->max_length)
        strbuf_cut(out, before + part->max_length);
    return any;
}
