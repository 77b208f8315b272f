#include "dataplane/http/access_log.h"

#include "config/access_log_filter.h"
#include "dataplane/http/access_log_writer.h"
#include "dataplane/http/format.h"
#include "dataplane/http/grpc.h"
#include "dataplane/http/http_conn_list.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/net/transport_tls.h"

/* Every stream has one here: a request that is no gRPC is filtered by its HTTP status. */
static int grpc_status_of(const struct stream *s)
{
    int64_t n = stream_grpc_status(s);
    if (n == GRPC_NO_STATUS)
        return GRPC_UNKNOWN;
    return n <= GRPC_STATUS_MAX ? (int)n : GRPC_BAD_STATUS;
}

static bool passes(struct stream *s, const struct access_log *log)
{
    if (!log->filter)
        return true;
    struct strbuf flags = STRBUF_INIT;
    struct format_part part = {.op = FORMAT_RESPONSE_FLAGS, .max_length = FORMAT_NO_LIMIT};
    if (s->info.flags && !format_value(s, &part, &flags))
        strbuf_cut(&flags, 0);
    uint64_t until = s->info.end_ns ? s->info.end_ns : loop_now_ns(s->worker->loop);
    struct access_log_subject subject = {
        .status = s->info.status,
        .log_type = (int)s->info.log_type,
        .duration_ms = (until - s->info.start_ns) / NS_PER_MS,
        .response_flags = strbuf_bytes(&flags),
        .grpc_status = grpc_status_of(s),
        .request_header = headers_values,
        .ctx = &s->request_headers,
        .random = &s->worker->random,
        .request_id = headers_get(&s->request_headers, HEADER_X_REQUEST_ID),
    };
    bool pass = access_log_filter_pass(log->filter, &subject);
    strbuf_fini(&flags);
    return pass;
}

static void write_logs(struct stream *s, struct access_log *const *logs, unsigned n)
{
    struct http_conn_list *list = s->worker->http_conns;
    struct strbuf *line = &list->log_line;
    for (unsigned i = 0; i < n; i++) {
        const struct access_log *log = logs[i];
        if (log->sink == ACCESS_LOG_GRPC ? !s->worker->log_service : !list->log)
            continue;
        if (!passes(s, log))
            continue;
        if (log->sink == ACCESS_LOG_GRPC) {
            s->worker->log_service->write(s->worker->log_service, s, log);
            continue;
        }
        strbuf_cut(line, 0);
        if (log->is_json) {
            format_json(s, &log->json, log->omit_empty, line);
            strbuf_add_char(line, '\n');
        } else {
            format_text(s, &log->format, line);
        }
        access_log_write(list->log, log, strbuf_bytes(line));
    }
}

void access_log_stream(struct stream *s, enum access_log_type type)
{
    s->info.log_type = type;
    write_logs(s, s->manager->access_logs, s->manager->n_access_logs);
}

/* --- connections: a stream without a request, that formats see as any other --- */

static void log_connection(struct http_conn *c, const struct listener *l, struct stream *s,
                           enum close_reason ended, const struct refused_connection *refused)
{
    struct stream_private priv = {
        .finished = true, .no_request = true, .ended = (uint8_t)ended, .refused = refused};
    struct loop *loop = c->worker->loop;
    s->magic = STREAM_MAGIC;
    s->worker = c->worker;
    s->conn = c;
    s->priv = &priv;
    s->arena = arena_new(0);
    s->info.log_type = ACCESS_LOG_NOT_SET;
    s->info.end_ns = loop_now_ns(loop);
    s->info.start_wall_ns = loop_wall_ns(loop) - (s->info.end_ns - s->info.start_ns);
    headers_init(&s->request_headers, s->arena);
    headers_init(&s->request_trailers, s->arena);
    headers_init(&s->response_headers, s->arena);
    headers_init(&s->response_trailers, s->arena);
    write_logs(s, l->access_logs, l->n_access_logs);
    arena_free(&s->arena);
}

void access_log_connection(struct http_conn *c, const struct listener *l, enum close_reason reason)
{
    const char *details =
        reason == CLOSE_CONNECT_TIMEOUT ? "transport socket timeout was reached" : NULL;
    struct stream s = {
        .remote = *connection_remote(c->connection),
        .request.protocol = c->codec->multiplexed ? PROTOCOL_HTTP2 : c->codec->protocol,
        .info = {.start_ns = connection_times(c->connection)->begun_ns,
                 .bytes_received = c->rx_counted,
                 .bytes_sent = c->tx_counted,
                 .flags = c->codec_failed ? 1u << RESPONSE_FLAG_DOWNSTREAM_PROTOCOL_ERROR : 0,
                 .termination_details = details},
    };
    log_connection(c, l, &s, reason, NULL);
}

void access_log_refused(struct worker *w, const struct listener *l,
                        const struct refused_connection *r)
{
    struct http_conn nobody = {.worker = w};
    struct stream s = {
        .remote = r->remote,
        .info = {.start_ns = r->accepted_ns, .flags = r->flags, .details = r->details},
    };
    log_connection(&nobody, l, &s, CLOSE_NO_FILTER_CHAIN, r);
}

const struct address *stream_local_address(const struct stream *s)
{
    const struct refused_connection *r = s->priv->refused;
    return r ? &r->local : connection_local(s->conn->connection);
}

const struct address *stream_direct_remote(const struct stream *s)
{
    return s->priv->refused ? &s->remote : connection_remote(s->conn->connection);
}

struct bytes stream_server_name(const struct stream *s)
{
    const struct refused_connection *r = s->priv->refused;
    return r ? r->server_name : tls_connection_text(s->conn->tls, TLS_SERVER_NAME, s->arena);
}
