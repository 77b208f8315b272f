#include "filters/access_loggers/grpc/grpc_log_proto.h"

#include "base/memory.h"
#include "config/upb_util.h"
#include "config/utf8.h"
#include "config/wire.h"
#include "dataplane/http/format.h"
#include "dataplane/http/http_conn.h"
#include "dataplane/http/stream.h"
#include "dataplane/http/stream_error.h"
#include "dataplane/net/transport_tls.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/data/accesslog/v3/accesslog.upb.h"
#include "envoy/service/accesslog/v3/als.upb.h"
#include "filters/access_loggers/grpc/grpc_metadata_proto.h"
#include "google/protobuf/duration.upb.h"
#include "google/protobuf/timestamp.upb.h"

#define COMMON(f) envoy_data_accesslog_v3_AccessLogCommon_##f
#define FLAGS(f) envoy_data_accesslog_v3_ResponseFlags_##f
#define TLSP(f) envoy_data_accesslog_v3_TLSProperties_##f
#define REQ(f) envoy_data_accesslog_v3_HTTPRequestProperties_##f
#define RESP(f) envoy_data_accesslog_v3_HTTPResponseProperties_##f
#define ENTRY(f) envoy_data_accesslog_v3_HTTPAccessLogEntry_##f
#define TCP(f) envoy_data_accesslog_v3_TCPAccessLogEntry_##f
#define ALS(f) envoy_service_accesslog_v3_StreamAccessLogsMessage_##f

typedef envoy_data_accesslog_v3_AccessLogCommon common_msg;

enum { BLOCK_SIZE = 32 * 1024, ARENA_FIRST = 4096 };

/* One entry in the making. */
struct entry {
    struct grpc_log_maker *maker;
    struct stream *s;
    const struct grpc_log *log;
    upb_Arena *a;
};

void grpc_log_maker_init(struct grpc_log_maker *m)
{
    m->block = mem_alloc(BLOCK_SIZE);
    m->arena = arena_new(ARENA_FIRST);
    m->text = (struct strbuf)STRBUF_INIT;
}

void grpc_log_maker_fini(struct grpc_log_maker *m)
{
    mem_free(m->block);
    arena_free(&m->arena);
    strbuf_fini(&m->text);
}

static upb_Arena *maker_arena(struct grpc_log_maker *m)
{
    return upb_Arena_Init(m->block, BLOCK_SIZE, &upb_alloc_global);
}

/* A string of proto3 is UTF-8: as in Envoy, each byte that is not becomes "!". */
static upb_StringView text(struct entry *e, struct bytes b)
{
    if (utf8_check(b) == b.len)
        return upb_StringView_FromDataAndSize(b.data ? b.data : "", b.len);
    char *copy = arena_alloc(e->maker->arena, b.len);
    size_t at = 0;
    while (at < b.len) {
        uint32_t code;
        size_t n = utf8_decode(bytes_skip(b, at), &code);
        if (n)
            memcpy(copy + at, b.data + at, n);
        else
            copy[at] = '!';
        at += n ? n : 1;
    }
    return upb_StringView_FromDataAndSize(copy, b.len);
}

static upb_StringView header(struct entry *e, const struct headers *h, enum header_id id)
{
    return text(e, headers_get(h, id));
}

static envoy_config_core_v3_Address *address(struct entry *e, const struct address *from)
{
    envoy_config_core_v3_Address *out = envoy_config_core_v3_Address_new(e->a);
    char buf[ADDRESS_TEXT_MAX];
    if (from->kind == ADDRESS_PIPE) {
        envoy_config_core_v3_Pipe *p = envoy_config_core_v3_Address_mutable_pipe(out, e->a);
        struct bytes path = arena_dup(e->maker->arena, bytes_of(address_format(from, buf)));
        envoy_config_core_v3_Pipe_set_path(p, text(e, path));
        return out;
    }
    envoy_config_core_v3_SocketAddress *s =
        envoy_config_core_v3_Address_mutable_socket_address(out, e->a);
    struct bytes ip = arena_dup(e->maker->arena, bytes_of(address_format_ip(from, buf)));
    envoy_config_core_v3_SocketAddress_set_address(s, text(e, ip));
    envoy_config_core_v3_SocketAddress_set_port_value(s, from->port);
    return out;
}

/* From the start of the request; NULL: that has not happened. */
static google_protobuf_Duration *since_start(struct entry *e, uint64_t ns)
{
    uint64_t start = e->s->info.start_ns;
    if (!ns)
        return NULL;
    google_protobuf_Duration *d = google_protobuf_Duration_new(e->a);
    uint64_t passed = ns > start ? ns - start : 0;
    google_protobuf_Duration_set_seconds(d, (int64_t)(passed / NS_PER_S));
    google_protobuf_Duration_set_nanos(d, (int32_t)(passed % NS_PER_S));
    return d;
}

static void add_times(struct entry *e, common_msg *m)
{
    const struct stream_info *i = &e->s->info;
    google_protobuf_Timestamp *t = COMMON(mutable_start_time)(m, e->a);
    google_protobuf_Timestamp_set_seconds(t, (int64_t)(i->start_wall_ns / NS_PER_S));
    google_protobuf_Timestamp_set_nanos(t, (int32_t)(i->start_wall_ns % NS_PER_S));
    COMMON(set_time_to_last_rx_byte)(m, since_start(e, i->request_end_ns));
    COMMON(set_time_to_first_upstream_tx_byte)(m, since_start(e, i->upstream_first_tx_ns));
    COMMON(set_time_to_last_upstream_tx_byte)(m, since_start(e, i->upstream_last_tx_ns));
    COMMON(set_time_to_first_upstream_rx_byte)(m, since_start(e, i->upstream_first_rx_ns));
    COMMON(set_time_to_last_upstream_rx_byte)(m, since_start(e, i->upstream_last_rx_ns));
    COMMON(set_time_to_first_downstream_tx_byte)(m, since_start(e, i->downstream_first_tx_ns));
    COMMON(set_time_to_last_downstream_tx_byte)
    (m, since_start(e, i->downstream_first_tx_ns ? i->end_ns : 0));
    COMMON(set_duration)(m, since_start(e, i->end_ns));
}

static void add_addresses(struct entry *e, common_msg *m)
{
    const struct stream_info *i = &e->s->info;
    COMMON(set_downstream_remote_address)(m, address(e, &e->s->remote));
    COMMON(set_downstream_local_address)(m, address(e, stream_local_address(e->s)));
    COMMON(set_downstream_direct_remote_address)(m, address(e, stream_direct_remote(e->s)));
    if (i->has_upstream_address)
        COMMON(set_upstream_remote_address)(m, address(e, &i->upstream_address));
    if (i->has_upstream_local_address)
        COMMON(set_upstream_local_address)(m, address(e, &i->upstream_local_address));
}

typedef void flag_setter(envoy_data_accesslog_v3_ResponseFlags *m, bool value);

/* Flags that the message has no word for are not there. */
static flag_setter *const flag_setters[RESPONSE_FLAG_COUNT] = {
    [RESPONSE_FLAG_FAILED_LOCAL_HEALTH_CHECK] = FLAGS(set_failed_local_healthcheck),
    [RESPONSE_FLAG_NO_HEALTHY_UPSTREAM] = FLAGS(set_no_healthy_upstream),
    [RESPONSE_FLAG_UPSTREAM_REQUEST_TIMEOUT] = FLAGS(set_upstream_request_timeout),
    [RESPONSE_FLAG_LOCAL_RESET] = FLAGS(set_local_reset),
    [RESPONSE_FLAG_UPSTREAM_REMOTE_RESET] = FLAGS(set_upstream_remote_reset),
    [RESPONSE_FLAG_UPSTREAM_CONNECTION_FAILURE] = FLAGS(set_upstream_connection_failure),
    [RESPONSE_FLAG_UPSTREAM_CONNECTION_TERMINATION] = FLAGS(set_upstream_connection_termination),
    [RESPONSE_FLAG_UPSTREAM_OVERFLOW] = FLAGS(set_upstream_overflow),
    [RESPONSE_FLAG_NO_ROUTE_FOUND] = FLAGS(set_no_route_found),
    [RESPONSE_FLAG_DELAY_INJECTED] = FLAGS(set_delay_injected),
    [RESPONSE_FLAG_FAULT_INJECTED] = FLAGS(set_fault_injected),
    [RESPONSE_FLAG_RATE_LIMITED] = FLAGS(set_rate_limited),
    [RESPONSE_FLAG_RATE_LIMIT_SERVICE_ERROR] = FLAGS(set_rate_limit_service_error),
    [RESPONSE_FLAG_DOWNSTREAM_CONNECTION_TERMINATION] =
        FLAGS(set_downstream_connection_termination),
    [RESPONSE_FLAG_UPSTREAM_RETRY_LIMIT_EXCEEDED] = FLAGS(set_upstream_retry_limit_exceeded),
    [RESPONSE_FLAG_STREAM_IDLE_TIMEOUT] = FLAGS(set_stream_idle_timeout),
    [RESPONSE_FLAG_INVALID_ENVOY_REQUEST_HEADERS] = FLAGS(set_invalid_envoy_request_headers),
    [RESPONSE_FLAG_DOWNSTREAM_PROTOCOL_ERROR] = FLAGS(set_downstream_protocol_error),
    [RESPONSE_FLAG_UPSTREAM_MAX_STREAM_DURATION_REACHED] =
        FLAGS(set_upstream_max_stream_duration_reached),
    [RESPONSE_FLAG_RESPONSE_FROM_CACHE_FILTER] = FLAGS(set_response_from_cache_filter),
    [RESPONSE_FLAG_NO_FILTER_CONFIG_FOUND] = FLAGS(set_no_filter_config_found),
    [RESPONSE_FLAG_DURATION_TIMEOUT] = FLAGS(set_duration_timeout),
    [RESPONSE_FLAG_UPSTREAM_PROTOCOL_ERROR] = FLAGS(set_upstream_protocol_error),
    [RESPONSE_FLAG_NO_CLUSTER_FOUND] = FLAGS(set_no_cluster_found),
    [RESPONSE_FLAG_OVERLOAD_MANAGER] = FLAGS(set_overload_manager),
    [RESPONSE_FLAG_DNS_RESOLUTION_FAILED] = FLAGS(set_dns_resolution_failure),
    [RESPONSE_FLAG_DOWNSTREAM_REMOTE_RESET] = FLAGS(set_downstream_remote_reset),
};

static void add_flags(struct entry *e, common_msg *m)
{
    uint32_t flags = e->s->info.flags;
    if (!flags)
        return;
    envoy_data_accesslog_v3_ResponseFlags *out = COMMON(mutable_response_flags)(m, e->a);
    for (; flags; flags &= flags - 1) {
        unsigned f = (unsigned)__builtin_ctz(flags);
        if (f == RESPONSE_FLAG_UNAUTHORIZED_EXTERNAL_SERVICE)
            FLAGS(Unauthorized_set_reason)
        (FLAGS(mutable_unauthorized_details)(out, e->a), FLAGS(Unauthorized_EXTERNAL_SERVICE));
        else if (f < RESPONSE_FLAG_COUNT && flag_setters[f]) flag_setters[f](out, true);
    }
}

/* --- TLS --- */

typedef envoy_data_accesslog_v3_TLSProperties_CertificateProperties certificate_msg;

static struct bytes tls_text(struct entry *e, enum tls_question q)
{
    return tls_connection_text(e->s->conn->tls, q, e->maker->arena);
}

typedef unsigned names_of(const struct transport *t, enum tls_san_type type, struct arena *a,
                          struct bytes **out);

/* As Envoy: of the names, those that say who a workload is. */
static void add_sans(struct entry *e, certificate_msg *m, names_of *get)
{
    const struct transport *t = connection_transport(e->s->conn->connection);
    struct bytes *names;
    unsigned n = t ? get(t, TLS_SAN_URI, e->maker->arena, &names) : 0;
    for (unsigned i = 0; i < n; i++) {
        envoy_data_accesslog_v3_TLSProperties_CertificateProperties_SubjectAltName *out =
            TLSP(CertificateProperties_add_subject_alt_name)(m, e->a);
        TLSP(CertificateProperties_SubjectAltName_set_uri)(out, text(e, names[i]));
    }
}

static int tls_version(struct bytes name)
{
    static const struct {
        const char *name;
        int version;
    } versions[] = {
        {"TLSv1", TLSP(TLSv1)},
        {"TLSv1.1", TLSP(TLSv1_1)},
        {"TLSv1.2", TLSP(TLSv1_2)},
        {"TLSv1.3", TLSP(TLSv1_3)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        if (bytes_eq_str(name, versions[i].name))
            return versions[i].version;
    }
    return TLSP(VERSION_UNSPECIFIED);
}

static void add_tls(struct entry *e, common_msg *m)
{
    uint64_t cipher;
    if (!e->s->conn->tls)
        return;
    envoy_data_accesslog_v3_TLSProperties *out = COMMON(mutable_tls_properties)(m, e->a);
    TLSP(set_tls_version)(out, tls_version(tls_text(e, TLS_VERSION)));
    if (bytes_to_u64(tls_text(e, TLS_CIPHER_ID), &cipher))
        google_protobuf_UInt32Value_set_value(TLSP(mutable_tls_cipher_suite)(out, e->a),
                                              (uint32_t)cipher);
    TLSP(set_tls_sni_hostname)(out, text(e, tls_text(e, TLS_SERVER_NAME)));
    TLSP(set_tls_session_id)(out, text(e, tls_text(e, TLS_SESSION_ID)));
    certificate_msg *peer = TLSP(mutable_peer_certificate_properties)(out, e->a);
    add_sans(e, peer, transport_tls_peer_names);
    TLSP(CertificateProperties_set_subject)(peer, text(e, tls_text(e, TLS_PEER_SUBJECT)));
    TLSP(CertificateProperties_set_issuer)(peer, text(e, tls_text(e, TLS_PEER_ISSUER)));
    certificate_msg *local = TLSP(mutable_local_certificate_properties)(out, e->a);
    add_sans(e, local, transport_tls_local_names);
    TLSP(CertificateProperties_set_subject)(local, text(e, tls_text(e, TLS_LOCAL_SUBJECT)));
}

/* --- the rest --- */

static struct bytes metadata_of(const struct stream *s, const struct grpc_log_tag *t)
{
    switch (t->of) {
    case OF_ROUTE:
        return s->route_matched && s->route.route ? route_metadata(s->route.route) : BYTES_NONE;
    case OF_CLUSTER:
        return s->info.cluster_metadata;
    case OF_HOST:
        return s->info.host_metadata;
    case OF_REQUEST:
        break;
    }
    return BYTES_NONE;
}

static struct bytes tag_value(struct entry *e, const struct grpc_log_tag *t)
{
    const struct stream *s = e->s;
    struct bytes value = BYTES_NONE;
    switch (t->kind) {
    case TAG_TEXT:
        value = t->text;
        break;
    case TAG_REQUEST_HEADER:
        value = headers_get_all(&s->request_headers, t->text);
        break;
    case TAG_FORMAT:
        strbuf_cut(&e->maker->text, 0);
        format_text(e->s, &t->format, &e->maker->text);
        value = arena_dup(e->maker->arena, strbuf_bytes(&e->maker->text));
        break;
    case TAG_METADATA:
        value = grpc_log_metadata(metadata_of(s, t), t, e->a, e->maker->arena);
        break;
    }
    return value.data ? value : t->fallback;
}

/* An empty text is told of metadata alone, as Envoy does. */
static void add_tags(struct entry *e, common_msg *m)
{
    for (unsigned i = 0; i < e->log->n_tags; i++) {
        const struct grpc_log_tag *t = &e->log->tags[i];
        struct bytes value = tag_value(e, t);
        if (value.len || (t->kind == TAG_METADATA && value.data && value.data != t->fallback.data))
            COMMON(custom_tags_set)(m, text(e, t->name), text(e, value), e->a);
    }
}

static void add_common(struct entry *e, common_msg *m)
{
    struct stream *s = e->s;
    const struct stream_info *i = &s->info;
    const char *failure = s->conn->tls ? connection_failure(s->conn->connection) : NULL;
    add_addresses(e, m);
    add_tls(e, m);
    add_times(e, m);
    add_flags(e, m);
    add_tags(e, m);
    COMMON(set_upstream_cluster)(m, text(e, i->upstream_cluster));
    COMMON(set_upstream_transport_failure_reason)(m, text(e, i->upstream_failure_reason));
    if (s->route_matched && s->route.route)
        COMMON(set_route_name)(m, text(e, s->route.route->name));
    COMMON(set_upstream_request_attempt_count)(m, i->attempts);
    if (i->termination_details)
        COMMON(set_connection_termination_details)(m, text(e, bytes_of(i->termination_details)));
    if (failure)
        COMMON(set_downstream_transport_failure_reason)(m, text(e, bytes_of(failure)));
    COMMON(set_downstream_wire_bytes_sent)(m, i->downstream_bytes.sent);
    COMMON(set_downstream_wire_bytes_received)(m, i->downstream_bytes.received);
    COMMON(set_upstream_wire_bytes_sent)(m, i->upstream_bytes.sent);
    COMMON(set_upstream_wire_bytes_received)(m, i->upstream_bytes.received);
    COMMON(set_stream_id)(m, header(e, &s->request_headers, HEADER_X_REQUEST_ID));
    COMMON(set_access_log_type)(m, (int)i->log_type);
    bool last = i->log_type == ACCESS_LOG_END || i->log_type == ACCESS_LOG_NOT_SET;
    COMMON(set_intermediate_log_entry)(m, !last);
}

static int request_method(struct bytes method)
{
    static const struct {
        const char *name;
        int method;
    } methods[] = {
        {"GET", envoy_config_core_v3_GET},         {"HEAD", envoy_config_core_v3_HEAD},
        {"POST", envoy_config_core_v3_POST},       {"PUT", envoy_config_core_v3_PUT},
        {"DELETE", envoy_config_core_v3_DELETE},   {"CONNECT", envoy_config_core_v3_CONNECT},
        {"OPTIONS", envoy_config_core_v3_OPTIONS}, {"TRACE", envoy_config_core_v3_TRACE},
        {"PATCH", envoy_config_core_v3_PATCH},
    };
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (bytes_eq_str(method, methods[i].name))
            return methods[i].method;
    }
    return envoy_config_core_v3_METHOD_UNSPECIFIED;
}

static void add_request(struct entry *e, envoy_data_accesslog_v3_HTTPRequestProperties *m)
{
    const struct headers *h = &e->s->request_headers;
    const struct grpc_log_names *names = &e->log->request_headers;
    REQ(set_request_method)(m, request_method(headers_get(h, HEADER_METHOD)));
    REQ(set_scheme)(m, header(e, h, HEADER_SCHEME));
    REQ(set_authority)(m, header(e, h, HEADER_AUTHORITY));
    REQ(set_path)(m, header(e, h, HEADER_PATH));
    REQ(set_user_agent)(m, header(e, h, HEADER_USER_AGENT));
    REQ(set_referer)(m, header(e, h, HEADER_REFERER));
    REQ(set_forwarded_for)(m, header(e, h, HEADER_X_FORWARDED_FOR));
    REQ(set_request_id)(m, header(e, h, HEADER_X_REQUEST_ID));
    REQ(set_original_path)(m, header(e, h, HEADER_X_ENVOY_ORIGINAL_PATH));
    REQ(set_request_headers_bytes)(m, h->byte_size);
    REQ(set_request_body_bytes)(m, e->s->info.bytes_received);
    REQ(set_upstream_header_bytes_sent)(m, e->s->info.upstream_bytes.fields_sent);
    REQ(set_downstream_header_bytes_received)
    (m, wire_bytes_fields_received(&e->s->info.downstream_bytes));
    for (unsigned i = 0; i < names->n; i++) {
        bool host = bytes_eq_str(names->names[i], "host"); /* what HTTP/1 calls the authority */
        struct bytes v = headers_get_all(h, host ? BYTES(":authority") : names->names[i]);
        if (v.data)
            REQ(request_headers_set)(m, text(e, names->names[i]), text(e, v), e->a);
    }
}

static void add_response(struct entry *e, envoy_data_accesslog_v3_HTTPResponseProperties *m)
{
    struct stream *s = e->s;
    const struct grpc_log_names *names = &e->log->response_headers;
    if (s->info.status)
        google_protobuf_UInt32Value_set_value(RESP(mutable_response_code)(m, e->a), s->info.status);
    RESP(set_response_headers_bytes)(m, s->info.response_header_bytes);
    RESP(set_response_body_bytes)(m, s->info.bytes_sent);
    RESP(set_upstream_header_bytes_received)
    (m, wire_bytes_fields_received(&s->info.upstream_bytes));
    RESP(set_downstream_header_bytes_sent)(m, s->info.downstream_bytes.fields_sent);
    RESP(set_response_code_details)(m, text(e, bytes_of(s->info.details)));
    for (unsigned i = 0; i < names->n; i++) {
        struct bytes v = headers_get_all(&s->response_headers, names->names[i]);
        if (v.data)
            RESP(response_headers_set)(m, text(e, names->names[i]), text(e, v), e->a);
    }
    names = &e->log->response_trailers;
    for (unsigned i = 0; i < names->n; i++) {
        struct bytes v = headers_get_all(&s->response_trailers, names->names[i]);
        if (v.data)
            RESP(response_trailers_set)(m, text(e, names->names[i]), text(e, v), e->a);
    }
}

/* A connection without a request has not said what it speaks. */
static int protocol_version(const struct stream *s)
{
    if (s->info.log_type == ACCESS_LOG_NOT_SET && !s->conn->requests)
        return ENTRY(PROTOCOL_UNSPECIFIED);
    switch (s->request.protocol) {
    case PROTOCOL_HTTP10:
        return ENTRY(HTTP10);
    case PROTOCOL_HTTP11:
        return ENTRY(HTTP11);
    case PROTOCOL_HTTP2:
        break;
    }
    return ENTRY(HTTP2);
}

static char *http_entry(struct entry *e, size_t *len)
{
    ALS(HTTPAccessLogEntries) *list = ALS(HTTPAccessLogEntries_new)(e->a);
    envoy_data_accesslog_v3_HTTPAccessLogEntry *entry =
        ALS(HTTPAccessLogEntries_add_log_entry)(list, e->a);
    add_common(e, ENTRY(mutable_common_properties)(entry, e->a));
    ENTRY(set_protocol_version)(entry, protocol_version(e->s));
    add_request(e, ENTRY(mutable_request)(entry, e->a));
    add_response(e, ENTRY(mutable_response)(entry, e->a));
    return ALS(HTTPAccessLogEntries_serialize)(list, e->a, len);
}

static char *tcp_entry(struct entry *e, size_t *len)
{
    ALS(TCPAccessLogEntries) *list = ALS(TCPAccessLogEntries_new)(e->a);
    envoy_data_accesslog_v3_TCPAccessLogEntry *entry =
        ALS(TCPAccessLogEntries_add_log_entry)(list, e->a);
    add_common(e, TCP(mutable_common_properties)(entry, e->a));
    envoy_data_accesslog_v3_ConnectionProperties *m =
        TCP(mutable_connection_properties)(entry, e->a);
    envoy_data_accesslog_v3_ConnectionProperties_set_received_bytes(m, e->s->info.bytes_received);
    envoy_data_accesslog_v3_ConnectionProperties_set_sent_bytes(m, e->s->info.bytes_sent);
    return ALS(TCPAccessLogEntries_serialize)(list, e->a, len);
}

bool grpc_log_add_entry(struct grpc_log_maker *m, struct stream *s, const struct grpc_log *log,
                        struct strbuf *entries)
{
    size_t len;
    struct entry e = {m, s, log, maker_arena(m)};
    if (!e.a)
        return false;
    char *wire = log->is_tcp ? tcp_entry(&e, &len) : http_entry(&e, &len);
    if (wire)
        strbuf_add(entries, wire, len);
    upb_Arena_Free(e.a);
    arena_reset(m->arena);
    return wire != NULL;
}

/* A message whose list is empty ends in the list's length, which is 0: the list takes its place. */
bool grpc_log_make_message(struct grpc_log_maker *m, const struct grpc_log_message *message,
                           struct strbuf *out)
{
    upb_Arena *a = maker_arena(m);
    size_t len;
    if (!a)
        return false;
    envoy_service_accesslog_v3_StreamAccessLogsMessage *made = ALS(new)(a);
    if (message->is_tcp)
        ALS(mutable_tcp_logs)(made, a);
    else
        ALS(mutable_http_logs)(made, a);
    if (message->identified) {
        ALS(Identifier) *id = ALS(mutable_identifier)(made, a);
        struct bytes node = message->node, name = message->log_name;
        ALS(Identifier_set_node)(id, envoy_config_core_v3_Node_parse(node.data, node.len, a));
        ALS(Identifier_set_log_name)(id, upb_StringView_FromDataAndSize(name.data, name.len));
    }
    char *wire = ALS(serialize)(made, a, &len);
    strbuf_cut(out, 0);
    if (wire) {
        CHECK(len > 0 && wire[len - 1] == 0);
        strbuf_add(out, wire, len - 1);
        wire_put_varint(out, message->entries.len);
        strbuf_add_bytes(out, message->entries);
    }
    upb_Arena_Free(a);
    return wire != NULL;
}
